"""The sample class: the zoo handed in as students would, graded, and compared with its verdicts.

It is what a new instructor grades first, and what proves the autograder right.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from autograder import classroom, host
from autograder.author import build_notebook, to_text
from autograder.classroom import Began, Say, Step
from autograder.course import CourseError, pick_labs, read_course
from autograder.results import Result, as_dict
from autograder.submissions import Specimen, load_zoo

FOLDER = Path("build") / "sample_class"
AS_EXPECTED = "as expected"
ROUNDING = 1e-9  # of sums of points


@dataclass(frozen=True)
class Graded:
    """The sample class after grading; verdicts and descriptions by (lab, student)."""

    results: list[Result]
    verdicts: dict[tuple[str, str], str]
    abouts: dict[tuple[str, str], str]

    @property
    def wrong(self) -> int:
        return sum(verdict != AS_EXPECTED for verdict in self.verdicts.values())


def grade_sample(
    root: Path,
    labs: list[str] | None = None,
    workers: int | None = None,
    say: Say = print,
    step: Step = lambda done, total, result: None,
    began: Began = lambda task: None,
    again: bool = False,
) -> Graded:
    """Build the sample class, grade what an earlier run has not, and give each its verdict."""
    say("building the sample class from the zoo ...")
    specimens = load_specimens(root, labs)
    folder = hand_in(root, specimens)
    marks = {(specimen.lab, specimen.student): specimen.marks for specimen in specimens}
    told = (None, None, workers, marks, say, step, began)
    try:
        results = classroom.grade_class(root, folder, *told, again=again)
    except classroom.CellsChanged:  # nobody's marks are in this gradebook: begin anew
        shutil.rmtree(folder)
        results = classroom.grade_class(root, hand_in(root, specimens), *told)
    found = {(result.lab, result.student): result for result in results}
    verdicts = {
        (specimen.lab, specimen.student): verdict(specimen, found[specimen.lab, specimen.student])
        for specimen in specimens
    }
    abouts = {(specimen.lab, specimen.student): specimen.about for specimen in specimens}
    return Graded(results, verdicts, abouts)


def load_specimens(root: Path, labs: list[str] | None = None) -> list[Specimen]:
    """The zoo's submissions to the labs called `labs`, or to all of them."""
    course = read_course(root)
    picked = [lab for lab in pick_labs(root, labs) if any(lab.zoo.glob("*.py"))]
    if not picked:
        raise CourseError(f"{root / 'autograder' / 'zoo'} holds no submission to these labs.")
    sources = {lab.name: build_notebook(lab, course) for lab in picked}
    releases = host.generate(root, sources)
    return [
        specimen
        for lab in picked
        for specimen in load_zoo(lab, sources[lab.name], releases[lab.name])
    ]


def hand_in(root: Path, specimens: list[Specimen]) -> Path:
    """Write the submissions into the course folder in place of earlier ones, and return that."""
    folder = root / FOLDER
    shutil.rmtree(folder / "submitted", ignore_errors=True)
    for specimen in specimens:
        path = folder / "submitted" / specimen.student / specimen.lab / f"{specimen.lab}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(to_text(specimen.notebook), encoding="utf-8")
    return folder


def verdict(specimen: Specimen, result: Result) -> str:
    """ "as expected", or "WRONG: " and everything in which the result is not."""
    expect, wrong = specimen.expect, []
    got = {cell.name: cell.points for cell in result.cells}
    for name, (low, high) in expect.points.items():
        points = got.get(name)
        if points is None or not _within(points, low, high):
            wrong.append(f"{name} {_shown(points)}, expected {_span(low, high)}")
    if expect.total is not None:
        low, high = expect.total
        if not _within(result.test_points, low, high):
            wrong.append(f"total {_shown(result.test_points)}, expected {_span(low, high)}")
    if expect.status is None and result.status == "failed":
        wrong.append(f"failed: {result.reason}")
    elif expect.status is not None and result.status != expect.status:
        wrong.append(f"{result.status}, expected {expect.status}")
    return f"WRONG: {'; '.join(wrong)}" if wrong else AS_EXPECTED


def _within(points: float, low: float, high: float) -> bool:
    return low - ROUNDING <= points <= high + ROUNDING


def _shown(points: float | None) -> str:
    return "no score" if points is None else f"{points:g}"


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def as_json(graded: Graded) -> str:
    """Results and verdicts, for other programs."""
    rows = [
        {**as_dict(result), "verdict": graded.verdicts[result.lab, result.student]}
        for result in graded.results
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
