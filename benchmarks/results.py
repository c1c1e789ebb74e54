"""Every figure of this course: run what is missing, and write benchmarks/RESULTS.md.

    python benchmarks/results.py                    # all parts; hours, once
    python benchmarks/results.py demo_b peers       # some
    python benchmarks/results.py --write            # nothing is measured: only the page and figures

Each part keeps its results line by line in ``benchmarks/results/``; a run that was cut off goes
on where it was, and a complete part is left as it is (``python benchmarks/<part>.py --again``
forgets it). The machine, versions and library of each part stand beside it.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

from kept import RESULTS, ROOT, read

HERE = Path(__file__).resolve().parent

PAGE = HERE / "RESULTS.md"
PARTS = {
    "demo_a": "Demo A on real pictures",
    "demo_b": "Demo B over seeds",
    "thieves_by_defense": "Thieves and defences in the default scenario",
    "peers": "Beside a well-known library",
    "lab_costs": "What the labs cost",
    "calibrate_bars": "The bars of labs 1, 2 and 4",
    "calibrate_defenses": "The whole defences of labs 3 and 4",
}
INTRODUCTION = """\
# Results

Written by `make results` from the files in [`results/`](results/); never edited by hand. Each part
names the machine and the versions it was measured with; another machine may differ in the last
digits, and in every second.
"""


def page() -> str:
    """RESULTS.md, from what is kept."""
    parts = [INTRODUCTION]
    for name, title in PARTS.items():
        part = importlib.import_module(name)
        head, kept = read(RESULTS / f"{part.PART}.jsonl")
        if not kept:
            parts.append(f"## {title}\n\nNot measured yet: `python benchmarks/{name}.py`.\n")
            continue
        measured_with = ", ".join(
            [
                f"{head['cores']} cores ({head['machine']})",
                f"Python {head['python']}",
                *(f"{package} {head[package]}" for package in ("numpy", "scikit-learn", "torch")),
                f"library {head['library']}",
            ]
        )
        body = part.section(list(kept.items()))
        figure = RESULTS / f"{name}.png"
        if hasattr(part, "figure") and figure.exists():
            alt = part.figure(list(kept.items())).alt
            body += f"\n\n![{alt}]({figure.relative_to(HERE).as_posix()})"
        parts.append(f"## {title}\n\n*`benchmarks/{name}.py`; {measured_with}.*\n\n{body}\n")
    return "\n".join(parts)


def main() -> int:
    """Run the parts in processes of their own, one after the other, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--write", action="store_true", help="only write the page")
    asked = parser.parse_args()
    unknown = sorted(set(asked.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    failed = []
    for name in [] if asked.write else asked.parts or PARTS:
        print(f"== {PARTS[name]} ({name}) ==", flush=True)
        if subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode:
            failed.append(name)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}.")
    if failed:
        print(f"Not complete: {', '.join(failed)}; what was measured is kept.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
