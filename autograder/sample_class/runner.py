"""The sample class: the zoo handed in as students would, graded, and compared with its verdicts.

It is what a new instructor grades first, and what proves the autograder right.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from autograder import nbgrader_api
from autograder.authoring.source import build_notebook
from autograder.course import CourseError, pick_labs, read_course
from autograder.grading import run, secret
from autograder.grading.execution import require_sandbox
from autograder.grading.gradebook import CellsChanged
from autograder.grading.run import Began, Say, Step
from autograder.records import GradingRecord, as_dict
from autograder.sample_class.mutations import FILE_FORMS
from autograder.sample_class.specimen import Specimen, load_zoo
from autograder.sample_class.verdict import AS_EXPECTED, pages_of, verdict

FOLDER = Path("build") / "sample_class"


@dataclass(frozen=True)
class GradedSample:
    """The sample class after grading, and what it was drawn from.

    Verdicts and descriptions are by (lab, student).
    """

    results: list[GradingRecord]
    verdicts: dict[tuple[str, str], str]
    abouts: dict[tuple[str, str], str]
    secret: bytes

    @property
    def wrong(self) -> int:
        return sum(verdict != AS_EXPECTED for verdict in self.verdicts.values())


def grade_sample(
    root: Path,
    specimens: list[Specimen],
    workers: int | None = None,
    say: Say = print,
    step: Step = lambda done, total, record: None,
    began: Began = lambda lab, student: None,
    again: bool = False,
    folder: Path | None = None,
    given: bytes | None = None,
) -> GradedSample:
    """Hand the submissions in, grade what an earlier run has not, and give each its verdict.

    That happens in the course folder `folder`, or in the root's own for the sample class. Checks
    draw from the secret `given`, else from a new one, with which a run that was cut off goes on.
    """
    require_sandbox()  # before the work, not after it
    folder = hand_in(root, specimens, folder)
    if given or again:
        secret.replace(folder, given or secret.new())
    marks = {(specimen.lab, specimen.student): specimen.marks for specimen in specimens}
    options = {(specimen.lab, specimen.student): specimen.options for specimen in specimens}
    settings = (None, None, workers, marks, say, step, began)
    try:
        results = run.grade_class(root, folder, *settings, again=again, options=options)
    except CellsChanged:  # nobody's marks are in this gradebook: begin anew
        shutil.rmtree(folder)
        hand_in(root, specimens, folder)
        secret.keep(folder, given or secret.new())
        results = run.grade_class(root, folder, *settings, options=options)
    found = {(result.lab, result.student): result for result in results}
    verdicts = {
        key: verdict(specimen, found[key], pages_of(folder, *key))
        for specimen in specimens
        for key in [(specimen.lab, specimen.student)]
    }
    abouts = {(specimen.lab, specimen.student): specimen.about for specimen in specimens}
    return GradedSample(results, verdicts, abouts, secret.of_course(folder))


def load_specimens(
    root: Path,
    labs: list[str] | None = None,
    students: list[str] | None = None,
    whole_zoo: bool = False,
) -> list[Specimen]:
    """The submissions to `labs`, or to all labs: the small class, or the whole zoo.

    Where `students` are named, all of theirs in the zoo.
    """
    everybody = _load_zoo(root, labs)
    for student in students or []:
        if all(specimen.student != student for specimen in everybody):
            raise CourseError(f"{student!r} is no student of the zoo in these labs.")
    if students:
        return [one for one in everybody if one.student in students]
    chosen = [one for one in everybody if one.sample or whole_zoo]
    if not chosen:
        raise CourseError("No submission to these labs says sample = true: grade --all of them.")
    return chosen


def _load_zoo(root: Path, labs: list[str] | None) -> list[Specimen]:
    course = read_course(root)
    picked = [lab for lab in pick_labs(root, labs) if any(lab.zoo.glob("*.py"))]
    if not picked:
        raise CourseError(
            f"{root / 'autograder' / 'sample_class' / 'zoo'} holds no submission to these labs."
        )
    sources = {lab.name: build_notebook(lab, course) for lab in picked}
    releases = nbgrader_api.generate(root, sources)
    return [
        specimen
        for lab in picked
        for specimen in load_zoo(lab, sources[lab.name], releases[lab.name])
    ]


def hand_in(root: Path, specimens: list[Specimen], folder: Path | None = None) -> Path:
    """Write the submissions into a course folder in place of earlier ones, and return that."""
    folder = folder or root / FOLDER
    shutil.rmtree(folder / "submitted", ignore_errors=True)
    for specimen in specimens:
        path = folder / "submitted" / specimen.student / specimen.lab / f"{specimen.lab}.ipynb"
        path.parent.mkdir(parents=True)
        # nbformat's own writer would mend some of the mutations.
        text = json.dumps(specimen.notebook, indent=1, ensure_ascii=False) + "\n"
        if specimen.form:
            lab = next(lab for lab in pick_labs(root) if lab.name == specimen.lab)
            FILE_FORMS[specimen.form](path, text, lab.executed)
        else:
            path.write_text(text, encoding="utf-8")
    return folder


def as_json(graded: GradedSample) -> str:
    """Results and verdicts, for other programs."""
    rows = [
        {**as_dict(result), "verdict": graded.verdicts[result.lab, result.student]}
        for result in graded.results
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
