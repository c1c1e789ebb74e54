"""A class's gradebook, and the folders beside it that nbgrader writes: all that grading changes.

Used by one process at a time. Scores go in through nbgrader's own steps, marks as formgrader
enters them, and both come back out as records (`completed`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from autograder import nbgrader_api
from autograder.authoring.source import lab_notebook
from autograder.cells import grade_id, role, to_text
from autograder.course import CourseError, pick_labs, read_course
from autograder.database import database
from autograder.grading.executor import alone_in
from autograder.nbgrader_api import MissingEntry
from autograder.records import CellRecord, GradingRecord, why_invalid
from autograder.repair.salvage import read_submission
from trickster.files import write_atomically


@contextmanager
def alone_with(course_root: Path) -> Iterator[None]:
    """Keeps other runs out of a course folder and its gradebook; CourseError if one is there."""
    with alone_in(course_root), database(course_root).only_writer():
        yield


class CellsChanged(CourseError):
    """A lab has other graded cells than the gradebook of a course folder knows."""


@dataclass(frozen=True)
class ClassGradebook:
    """The gradebook of the course folder `course_root`, for the labs of the repository `root`."""

    root: Path
    course_root: Path

    @property
    def exists(self) -> bool:
        return database(self.course_root).exists

    @contextmanager
    def open(self) -> Iterator[Any]:
        """nbgrader's own object."""
        with nbgrader_api.quiet(), nbgrader_api.open_gradebook(self.course_root) as gradebook:
            yield gradebook

    # --- a class --------------------------------------------------------------------------------

    def register(self, names: list[str]) -> None:
        """Enter labs, or what has changed of them. Raises CellsChanged where that is too much."""
        course = read_course(self.root)
        labs = pick_labs(self.root, names) if names else []
        sources = {lab.name: lab_notebook(lab, course) for lab in labs}
        self.course_root.mkdir(parents=True, exist_ok=True)
        try:
            nbgrader_api.generate(self.root, sources, gradebook=database(self.course_root))
        except nbgrader_api.NbgraderError as error:
            if "there are submissions" not in str(error):
                raise
            raise CellsChanged(
                f"A lab has gained or lost a cell since submissions in {self.course_root} were "
                "graded, and nbgrader cannot mix the two. Grade them in a fresh course folder, or "
                "remove gradebook.db there, or empty its database: the marks in it are lost then. "
                f"({error})"
            ) from error
        if self.course_root.resolve() != self.root.resolve():
            self._copy_sources(sources)

    def _copy_sources(self, sources: dict[str, NotebookNode]) -> None:
        """nbgrader's formgrader lists the labs that it finds in the course's own source folder."""
        for name, source in sources.items():
            path = self.course_root / "solutions" / name / f"{name}.ipynb"
            write_atomically(path, to_text(source))

    def add_students(self, names: Iterable[str]) -> None:
        course = read_course(self.root).id
        with nbgrader_api.open_gradebook(self.course_root, course) as gradebook:
            for student in sorted(set(names)):
                entry = gradebook.update_or_create_student(student)
                for name in ("first_name", "last_name"):  # formgrader would show "None, None"
                    setattr(entry, name, getattr(entry, name) or student)
            gradebook.db.commit()

    def due_dates(self, labs: Iterable[str]) -> dict[str, str]:
        """When each lab was due (UTC), or "none"."""
        with self.open() as gradebook:
            return {lab: due_date(gradebook, lab) for lab in labs}

    # --- one submission -------------------------------------------------------------------------

    def graded(self, lab: str, student: str) -> Path:
        """The notebook as it was run by the autograder."""
        return self.course_root / "autograded" / student / lab / f"{lab}.ipynb"

    def feedback(self, lab: str, student: str) -> Path:
        return self.course_root / "feedback" / student / lab / f"{lab}.html"

    def record(
        self, draft: GradingRecord, notebook: str, marks: Mapping[str, float]
    ) -> GradingRecord:
        """Enter a notebook that was run, in place of an earlier one; returns the whole record.

        Marks that a person has given stay where the text behind them is the same. `marks` are
        new ones: cell → points.
        """
        lab, student = draft.lab, draft.student
        texts = self._texts_marked(lab, student)
        nbgrader_api.record(self.root, self.course_root, lab, student, notebook)
        with self.open() as gradebook:
            self._keep_marks(gradebook, lab, student, texts)
            enter_marks(gradebook, lab, student, marks)
            return completed(gradebook, draft)

    def current(
        self, record: GradingRecord, marks: Mapping[str, float] | None = None
    ) -> GradingRecord:
        """The record with points and penalty of today. Raises MissingEntry where there are none."""
        lab, student = record.lab, record.student
        with self.open() as gradebook:
            enter_marks(gradebook, lab, student, marks or {})
        self._renew_penalty(lab, student)
        with self.open() as gradebook:
            inputs = {**record.inputs, "due": due_date(gradebook, lab)} if record.inputs else {}
            return completed(gradebook, replace(record, inputs=inputs))

    def _renew_penalty(self, lab: str, student: str) -> None:
        """A date, a due date, an extension, a mark or the policy may have changed since the run."""
        with self.open() as gradebook:
            gradebook.find_submission_notebook(lab, lab, student)
        nbgrader_api.renew_penalty(self.root, self.course_root, lab, student)

    def withdraw(self, lab: str, student: str) -> None:
        """Take back what an earlier run recorded, so that no score outlives its submission."""
        for step in ("autograded", "feedback"):
            shutil.rmtree(self.course_root / step / student / lab, ignore_errors=True)
        with self.open() as gradebook:
            try:
                notebook = gradebook.find_submission_notebook(lab, lab, student)
            except MissingEntry:
                return
            for grade in notebook.grades:
                grade.auto_score = None
                grade.needs_manual_grade = True
            gradebook.db.commit()

    def _texts_marked(self, lab: str, student: str) -> dict[str, str]:
        """What a person has marked so far: the text behind each mark that is not in question."""
        path = self.graded(lab, student)
        if not (self.exists and path.is_file()):
            return {}
        with self.open() as gradebook:
            try:
                found = gradebook.find_submission_notebook(lab, lab, student)
            except MissingEntry:
                return {}
            names = {
                grade.name
                for grade in found.grades
                if grade.manual_score is not None and not grade.needs_manual_grade
            }
        texts = _texts_behind(path) if names else {}
        return {name: text for name, text in texts.items() if name in names}

    def _keep_marks(self, gradebook: Any, lab: str, student: str, marked: dict[str, str]) -> None:
        """nbgrader asks for every mark again; ask only where the text has changed."""
        now = _texts_behind(self.graded(lab, student)) if marked else {}
        for name, text in marked.items():
            if now.get(name) == text:
                grade = gradebook.find_grade(name, lab, lab, student)
                grade.needs_manual_grade = False
        gradebook.db.commit()


def due_date(gradebook: Any, lab: str) -> str:
    """When a lab was due (UTC), or "none"."""
    date = gradebook.find_assignment(lab).duedate
    return str(date) if date else "none"


def enter_marks(gradebook: Any, lab: str, student: str, marks: Mapping[str, float]) -> None:
    """Enter a marker's points for written answers, as formgrader does."""
    for name, points in marks.items():
        grade = gradebook.find_grade(name, lab, lab, student)
        grade.manual_score = points
        grade.needs_manual_grade = False
    gradebook.db.commit()


def completed(gradebook: Any, record: GradingRecord) -> GradingRecord:
    """The record with points, marks and penalty as the gradebook has them.

    A record without cells gets those of the gradebook. Raises MissingEntry where that knows
    nothing of the submission.
    """
    submission = gradebook.find_submission(record.lab, record.student)
    notebook = gradebook.find_submission_notebook(record.lab, record.lab, record.student)
    known = {cell.name: cell for cell in record.cells}
    places = {name: place for place, name in enumerate(known)}
    cells = []
    for grade in sorted(notebook.grades, key=lambda grade: places.get(grade.name, len(places))):
        marked = grade.manual_score is not None or grade.auto_score is not None
        kind = "test" if grade.cell_type == "code" else "written"
        cell = known.get(grade.name, CellRecord(grade.name, kind, None, 0.0))
        maximum = float(grade.max_score)
        invalid = why_invalid(grade.name, float(grade.score), maximum) if marked else ""
        cells.append(
            replace(
                cell,
                kind=kind,
                points=float(grade.score) if marked and not invalid else None,
                maximum=maximum,
                waiting=bool(grade.needs_manual_grade) or not marked or bool(invalid),
                invalid_mark=invalid,
            )
        )
    return replace(
        record,
        status="needs marking" if any(cell.waiting for cell in cells) else "graded",
        maximum=sum(cell.maximum for cell in cells),
        cells=tuple(cells),
        penalty=max(0.0, float(submission.late_submission_penalty or 0.0)),
    )


def _answer(cell: NotebookNode) -> str:
    """A written answer, with the pictures that were dragged into it."""
    pictures = cell.get("attachments") or {}
    return cell.source + ("\0" + json.dumps(pictures, sort_keys=True) if pictures else "")


def _texts_behind(path: Path) -> dict[str, str]:
    """What a person reads to mark a cell: for a test, all of the student's code.

    Of a written answer, its text and the pictures in it.
    """
    try:
        cells = read_submission(path).cells
    except CourseError:  # an earlier run was cut off: nothing to compare with
        return {}
    code = "\0".join(cell.source for cell in cells if role(cell) == "solution")
    return {
        grade_id(cell): _answer(cell) if role(cell) == "written" else code
        for cell in cells
        if role(cell) in ("written", "test")
    }
