"""The sample class: the zoo handed in as students would, graded, and compared with its verdicts.

It is what a new instructor grades first, and what proves the autograder right.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from autograder import nbgrader_api, records
from autograder.authoring.source import build_notebook
from autograder.course import CourseError, pick_labs, read_course
from autograder.grading import run
from autograder.grading.preprocessor import require_sandbox
from autograder.grading.run import Began, Say, Step
from autograder.records import Receipt
from autograder.results import Result, as_dict
from autograder.sample_class.mutations import FORMS
from autograder.sample_class.specimen import Specimen, load_zoo

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
    students: list[str] | None = None,
    folder: Path | None = None,
) -> Graded:
    """Build the sample class, grade what an earlier run has not, and give each its verdict.

    Only `students`, if they are named; in the course folder `folder`, else in the root's own.
    """
    require_sandbox()  # before the work, not after it
    say("building the sample class from the zoo ...")
    specimens = load_specimens(root, labs, students)
    folder = hand_in(root, specimens, folder)
    marks = {(specimen.lab, specimen.student): specimen.marks for specimen in specimens}
    options = {(specimen.lab, specimen.student): specimen.options for specimen in specimens}
    told = (None, None, workers, marks, say, step, began)
    try:
        results = run.grade_class(root, folder, *told, again=again, options=options)
    except run.CellsChanged:  # nobody's marks are in this gradebook: begin anew
        shutil.rmtree(folder)
        hand_in(root, specimens, folder)
        results = run.grade_class(root, folder, *told, options=options)
    found = {(result.lab, result.student): result for result in results}
    verdicts = {
        key: verdict(specimen, found[key], evidence(folder, *key))
        for specimen in specimens
        for key in [(specimen.lab, specimen.student)]
    }
    abouts = {(specimen.lab, specimen.student): specimen.about for specimen in specimens}
    return Graded(results, verdicts, abouts)


def load_specimens(
    root: Path, labs: list[str] | None = None, students: list[str] | None = None
) -> list[Specimen]:
    """The zoo's submissions of `students` to `labs`; of all, or to all of them, if left out."""
    course = read_course(root)
    picked = [lab for lab in pick_labs(root, labs) if any(lab.zoo.glob("*.py"))]
    if not picked:
        raise CourseError(
            f"{root / 'autograder' / 'sample_class' / 'zoo'} holds no submission to these labs."
        )
    sources = {lab.name: build_notebook(lab, course) for lab in picked}
    releases = nbgrader_api.generate(root, sources)
    everybody = [
        specimen
        for lab in picked
        for specimen in load_zoo(lab, sources[lab.name], releases[lab.name])
    ]
    for student in students or []:
        if all(specimen.student != student for specimen in everybody):
            raise CourseError(f"{student!r} is no student of the zoo in these labs.")
    return [one for one in everybody if not students or one.student in students]


def hand_in(root: Path, specimens: list[Specimen], folder: Path | None = None) -> Path:
    """Write the submissions into a course folder in place of earlier ones, and return that."""
    folder = folder or root / FOLDER
    shutil.rmtree(folder / "submitted", ignore_errors=True)
    for specimen in specimens:
        path = folder / "submitted" / specimen.student / specimen.lab / f"{specimen.lab}.ipynb"
        path.parent.mkdir(parents=True)
        # nbformat's own writer would mend some of the damage.
        text = json.dumps(specimen.notebook, indent=1, ensure_ascii=False) + "\n"
        if specimen.form:
            lab = next(lab for lab in pick_labs(root) if lab.name == specimen.lab)
            FORMS[specimen.form](path, text, lab.executed)
        else:
            path.write_text(text, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Evidence:
    """What grading left of a submission, beside its result."""

    receipt: Receipt | None = None
    shown: str = ""  # the graded notebook and the feedback page


def evidence(folder: Path, lab: str, student: str) -> Evidence:
    """What lies in the course folder."""
    pages = (
        folder / "autograded" / student / lab / f"{lab}.ipynb",
        folder / "feedback" / student / lab / f"{lab}.html",
    )
    shown = [page.read_text(encoding="utf-8") for page in pages if page.is_file()]
    return Evidence(records.read(folder, student, lab), "\n".join(shown))


def verdict(specimen: Specimen, result: Result, found: Evidence | None = None) -> str:
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
    if expect.reason is not None and expect.reason not in result.reason:
        wrong.append(f"reason {result.reason!r}, expected {expect.reason!r}")
    wrong += _not_as_found(specimen, found or Evidence())
    return f"WRONG: {'; '.join(wrong)}" if wrong else AS_EXPECTED


def _not_as_found(specimen: Specimen, found: Evidence) -> list[str]:
    """In which the receipt and the pages are not as expected."""
    expect, wrong = specimen.expect, []
    stopped = found.receipt.stopped if found.receipt else ""
    kinds = {note["kind"] for note in found.receipt.repairs} if found.receipt else set()
    if expect.stopped is not None:
        right = expect.stopped in stopped if expect.stopped else not stopped
        if not right:
            wrong.append(f"stopped {stopped!r}, expected {expect.stopped!r}")
    if expect.repairs is not None and kinds != expect.repairs:
        listed = ", ".join(sorted(kinds)) or "nothing"
        wanted = ", ".join(sorted(expect.repairs)) or "nothing"
        wrong.append(f"mended: {listed}, expected {wanted}")
    wrong += [f"shows {word!r}" for word in expect.never if word in found.shown]
    return wrong


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
