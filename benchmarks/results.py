"""Every figure of this course: run what is missing, write benchmarks/RESULTS.md and README's part.

    python -m benchmarks.results                    # all parts; hours, once
    python -m benchmarks.results demo_b peers       # some
    python -m benchmarks.results --again demo_b     # also what is there already
    python -m benchmarks.results --write            # nothing is measured: only page and figures

Each part keeps its results line by line in ``benchmarks/results/``; a run that was cut off goes
on where it was, and a complete part is left as it is. The machine, versions and library of each
part stand beside it.
"""

from __future__ import annotations

import argparse
import importlib
import io
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from types import ModuleType

from matplotlib.image import imread

from autograder.authoring.source import build_notebook
from autograder.cells import grade_id
from autograder.course import pick_labs, read_course
from benchmarks.store import CONFIRMED, RESULTS, ROOT, read_results, stored_results
from trickster import plots
from trickster.files import write_atomically

PAGE = ROOT / "benchmarks" / "RESULTS.md"
README = ROOT / "README.md"
DEMOS = ROOT / "docs" / "demos.md"
PICTURE = ROOT / "docs" / "shapes.png"  # README's
PARTS = {
    "demo_a": "Demo A on real pictures",
    "demo_b": "Demo B over seeds",
    "thieves_by_defense": "Thieves and defences in the default scenario",
    "knowing_thieves": "Thieves who know the defence (labs 3 to 5)",
    "lies_by_query": "Thieves who ask in order to find out lies (lab 5)",
    "blended_queries": "Queries with real pictures mixed in (lab 5)",
    "right_answers": "What survives of right answers (labs 3 to 5)",
    "detectors": "Detectors on the course's ground and on demo A's",
    "star_answers": "What a model answer to lab 2's stars gets",
    "longer_training": "Lab 1's network, trained for longer",
    "longer_thefts": "Lab 2's budget curve, trained for longer",
    "peers": "Beside a well-known library",
    "exact_theft": "Exact theft (lab 6)",
    "lab_costs": "What the labs cost",
    "grading_speed": "Grading beside stock nbgrader",
    "class_scale": "A class on a cluster",
    "calibrate_training": "Graded checks: training, theft and noise (labs 1 to 3)",
    "calibrate_honest": "Graded checks: what honest users lose (labs 3 and 4)",
    "calibrate_defenses": "Graded checks: whole defences (labs 3 and 4)",
    "calibrate_knowing": "Graded checks: the thief who knows (lab 5)",
}
OPTIONAL = (
    "demo_a",
    "detectors",
    "peers",
)  # they need pictures or a package that not everybody has
INTRODUCTION = """\
# Results

Written by `make results` from the files in [`results/`](results/); never edited by hand. Each part
names the machine and the versions it was measured with. On another machine, or with another number
of threads, a single training may come out differently by a percent, and timings will differ.
*Library* is a hash of the course library and its data. A complete part stays as it is when the
library changes: parts with another hash were measured before or after such a change, and `git log
benchmarks/results/PART.jsonl` says when.

**To measure a part again**, in the course's environment: `python -m benchmarks.results --again
PART`, which also writes this page, README's table and the figures. What was interrupted goes on
where it was, without `--again`. A quick look that leaves these results alone: a part's script with
`--seeds 1` (or `--runs 1`) and `--results FOLDER`. After a change of the library that should not
touch a part: its script with `--confirm`, which measures one job of each kind again, and keeps the
others where nothing differs (on another processor, which rounds differently and so trains other
networks: where no number differs by more than the standard deviation of its kind's runs). Demo A
and the detectors need CIFAR-10's pictures (their scripts' `--root FOLDER`, or the variable
`TRICKSTER_DATA`), the comparison with a library needs it installed (`python -m pip install -e
".[peers]"`). On two cores, the graded checks of labs 1 to 5 and demo A take hours; each of the
others about half an hour or less.
"""


def load(module: str) -> ModuleType:
    """A module of this package, imported when it is needed.

    Importing a part sets the number of its threads for this process and those that it starts: so
    none is imported before the parts have run.
    """
    return importlib.import_module(f"benchmarks.{module}")


def page() -> str:
    """RESULTS.md, from what is stored."""
    summary = load("summary")
    sections = [INTRODUCTION]
    if rows := summary.rows():
        chart = _chart(rows, RESULTS.name)
        sections.append(f"## Claimed and measured\n\n{summary.section(rows)}\n\n{chart}\n")
    for name, title in PARTS.items():
        part = load(name)
        results = stored_results(part)
        if not results:
            sections.append(f"## {title}\n\nNot measured yet: `python -m benchmarks.{name}`.\n")
            continue
        provenances, _ = read_results(RESULTS / f"{name}.jsonl")
        machines = "; later ".join(dict.fromkeys(_machines(provenances)))
        body = part.section(results)
        figure = RESULTS / f"{name}.png"
        if hasattr(part, "figure") and figure.exists():
            alt = part.figure(results).alt
            body += f"\n\n![{alt}](results/{figure.name})"
        sections.append(f"## {title}\n\n*`benchmarks/{name}.py`; {machines}.*\n\n{body}\n")
    return "\n".join(sections)


def _chart(rows: list, folder: str) -> str:
    """The summary's picture, in a page from which its folder is reached like this."""
    return f"![{load('summary_figure').figure(rows).alt}]({folder}/summary.png)"


def _machines(provenances: Sequence[dict[str, object]]) -> Iterator[str]:
    """Machine and versions of each line of provenance; of a further one only what is new."""
    before = ""
    for one in provenances:
        machine = _machine(one)
        library = f"library {one['library']}"
        if CONFIRMED in one:
            library += f" ({one[CONFIRMED]} kinds of job measured again, with the same results)"
        yield library if machine == before else f"{machine}, {library}"
        before = machine


def _machine(provenance: dict[str, object]) -> str:
    """The machine and the versions."""
    facts = [
        f"{provenance['cores']} cores ({provenance['machine']})",
        provenance.get("gpu"),
        f"Python {provenance['python']}",
    ]
    facts += [f"{package} {provenance[package]}" for package in ("numpy", "scikit-learn", "torch")]
    return ", ".join(map(str, filter(None, facts)))


def filled(text: str, name: str, block: str) -> str:
    """A page with its generated block of this name replaced."""
    begin, end = f"<!-- {name}: -->", f"<!-- :{name} -->"
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    return f"{head}{begin}\n{block}\n{end}{tail}"


def readme(text: str) -> str:
    """README with its table as the stored results say."""
    summary = load("summary")
    rows = summary.rows()
    return filled(text, "measured", summary.table(rows, _chart(rows, "benchmarks/results")))


def demos_page(text: str) -> str:
    """The page on the demonstrations with its tables as the stored results say."""
    for name, table in load("demos_page").tables().items():
        text = filled(text, name, table)
    return text


def lab_picture() -> bytes:
    """README's picture: what lab 1's first thief sends, and the answers. It spoils no guess."""
    (lab,) = pick_labs(ROOT, ["lab1"])
    names = {"my_share": ""}
    with redirect_stdout(io.StringIO()):
        for cell in build_notebook(lab, read_course(ROOT)).cells:
            if grade_id(cell) in ("imports", "first_theft"):
                exec(compile(cell.source, "lab1:first_theft", "exec"), names)
    answers = [names["kinds"][i] for i in names["bought"][:10].argmax(axis=1)]
    return plots.pictures(names["shapes"][:10], answers).png()


def alike(one: bytes, other: bytes) -> bool:
    """Whether two pictures differ no more than between machines: a boundary a pixel further."""
    grey = [imread(io.BytesIO(png))[..., :3].mean(axis=2) for png in (one, other)]
    return grey[0].shape == grey[1].shape and bool(abs(grey[0] - grey[1]).mean() < 1 / 255)


def write() -> None:
    """The page, the figures, README's picture, and the blocks of other pages, as stored."""
    for name in PARTS:
        part = load(name)
        if hasattr(part, "figure") and (results := stored_results(part)):
            part.figure(results).save(RESULTS / f"{name}.png", dpi=100)
    write_atomically(PAGE, page())
    if rows := load("summary").rows():
        write_atomically(README, readme(README.read_text(encoding="utf-8")))
        load("summary_figure").figure(rows).save(RESULTS / "summary.png", dpi=100)
    write_atomically(DEMOS, demos_page(DEMOS.read_text(encoding="utf-8")))
    drawn = lab_picture()
    if not (PICTURE.exists() and alike(PICTURE.read_bytes(), drawn)):
        write_atomically(PICTURE, drawn)
    print(
        f"Wrote {PAGE.relative_to(ROOT)}, README's table and picture, and the tables of demos.md."
    )


def main() -> int:
    """Run the parts in processes of their own, one after the other, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--write", action="store_true", help="only write the page")
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    for name in [] if options.write else options.parts or PARTS:
        print(f"== {PARTS[name]} ({name}) ==", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        try:
            subprocess.run(
                [*command, *(["--again"] if options.again else [])], check=False, cwd=ROOT
            )
        except KeyboardInterrupt:
            return 130  # the part has said that all is kept
    RESULTS.mkdir(exist_ok=True)
    write()
    missing = [name for name in PARTS if not stored_results(load(name))]
    print(
        f"Not complete: {', '.join(missing)}; what was measured is kept."
        if missing
        else "Every part is complete; `--again PART` measures one anew."
    )
    return int(bool(set(missing) - set(OPTIONAL)))


if __name__ == "__main__":
    sys.exit(main())
