"""Every figure of this course: run what is missing, write benchmarks/RESULTS.md and README's part.

    python benchmarks/results.py                    # all parts; hours, once
    python benchmarks/results.py demo_b peers       # some
    python benchmarks/results.py --again demo_b     # also what is there already
    python benchmarks/results.py --write            # nothing is measured: only the page and figures

Each part keeps its results line by line in ``benchmarks/results/``; a run that was cut off goes
on where it was, and a complete part is left as it is. The machine, versions and library of each
part stand beside it.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

from kept import RESULTS, ROOT, read, stored

HERE = Path(__file__).resolve().parent

PAGE = HERE / "RESULTS.md"
PARTS = {
    "demo_a": "Demo A on real pictures",
    "demo_b": "Demo B over seeds",
    "thieves_by_defense": "Thieves and defences in the default scenario",
    "peers": "Beside a well-known library",
    "lab_costs": "What the labs cost",
    "calibrate_training": "Graded checks: training, theft and noise (labs 1 to 3)",
    "calibrate_honest": "Graded checks: what honest users lose (labs 3 and 4)",
    "calibrate_defenses": "Graded checks: whole defences (labs 3 and 4)",
}
OPTIONAL = ("demo_a", "peers")  # they need pictures or a package that not everybody has
INTRODUCTION = """\
# Results

Written by `make results` from the files in [`results/`](results/); never edited by hand. Each part
names the machine and the versions it was measured with; another machine may differ in the last
digits, and its timings will. *Library* is a hash of the course library and its data. A complete
part stays as it is when the library changes: parts with another hash were measured before or after
such a change, and `git log benchmarks/results/PART.jsonl` says when.

**To measure a part again**, in the course's environment: `python benchmarks/results.py --again
PART`, which also writes this page, README's table and the figures. What was interrupted goes on
where it was, without `--again`. A quick look that leaves these results alone: a part's script with
`--seeds 1` (or `--runs 1`) and `--results FOLDER`. Demo A needs CIFAR-10's pictures (its script's
`--root FOLDER`, or the variable `TRICKSTER_DATA`), the comparison with a library needs it installed
(`python -m pip install -e ".[peers]"`). On two cores the whole defences take seven hours, the
checks of labs 1 to 3 several, demo A one; each of the others less than half an hour.
"""


def page() -> str:
    """RESULTS.md, from what is kept."""
    parts = [INTRODUCTION]
    for name, title in PARTS.items():
        part = importlib.import_module(name)
        found = stored(part)
        if not found:
            parts.append(f"## {title}\n\nNot measured yet: `python benchmarks/{name}.py`.\n")
            continue
        heads, _ = read(RESULTS / f"{name}.jsonl")
        where = "; later ".join(map(_where, heads))
        body = part.section(found)
        figure = RESULTS / f"{name}.png"
        if hasattr(part, "figure") and figure.exists():
            alt = part.figure(found).alt
            body += f"\n\n![{alt}](results/{figure.name})"
        parts.append(f"## {title}\n\n*`benchmarks/{name}.py`; {where}.*\n\n{body}\n")
    return "\n".join(parts)


def _where(head: dict[str, object]) -> str:
    """The machine and the versions."""
    parts = [
        f"{head['cores']} cores ({head['machine']})",
        head.get("gpu"),
        f"Python {head['python']}",
    ]
    parts += [f"{package} {head[package]}" for package in ("numpy", "scikit-learn", "torch")]
    return ", ".join(map(str, filter(None, [*parts, f"library {head['library']}"])))


def main() -> int:
    """Run the parts in processes of their own, one after the other, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--write", action="store_true", help="only write the page")
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    asked = parser.parse_args()
    unknown = sorted(set(asked.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    for name in [] if asked.write else asked.parts or PARTS:
        print(f"== {PARTS[name]} ({name}) ==", flush=True)
        again = ["--again"] if asked.again else []
        try:
            subprocess.run([sys.executable, str(HERE / f"{name}.py"), *again], check=False)
        except KeyboardInterrupt:
            return 130  # the part has said that all is kept
    RESULTS.mkdir(exist_ok=True)
    for name in PARTS:
        part = importlib.import_module(name)
        if hasattr(part, "figure") and (found := stored(part)):
            part.figure(found).save(RESULTS / f"{name}.png", dpi=100)
    PAGE.write_text(page(), encoding="utf-8")
    importlib.import_module("summary").write()
    print(f"Wrote {PAGE.relative_to(ROOT)}, and README's table and figure.")
    missing = [name for name in PARTS if not stored(importlib.import_module(name))]
    print(
        f"Not complete: {', '.join(missing)}; what was measured is kept."
        if missing
        else "Every part is complete; `--again PART` measures one anew."
    )
    return int(bool(set(missing) - set(OPTIONAL)))


if __name__ == "__main__":
    sys.exit(main())
