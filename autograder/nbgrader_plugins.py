"""This course's own steps in nbgrader's pipelines, named in `nbgrader_config.py`.

They make `nbgrader autograde` and formgrader's button grade as `python -m autograder grade` does:
each step is thin and calls what that command calls. What one step learns of a submission is kept
by the exporter that runs them all, for the steps behind it (`SubmissionState`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Grade as GradebookEntry
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeError
from nbgrader.exchange.default import ExchangeList
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool, Dict, Float, Integer, List, Unicode

from autograder import nbgrader_api, records
from autograder.cells import grade_id
from autograder.course import CourseError
from autograder.grading.bounded import within
from autograder.grading.execution import (
    Outcome,
    RunSettings,
    TrustedCells,
    run_notebook,
    trusted_cells,
)
from autograder.grading.gradebook import completed, due_date
from autograder.grading.secret import hash_of, of_course, of_lab
from autograder.grading.submission import REPAIRING, check_release, draft_record, repaired
from autograder.grading.submitted import Submission
from autograder.repair.notes import Note
from autograder.repair.salvage import read_submission
from autograder.sanitize.notebook import sanitize

IMPOSSIBLE = "The mark entered here cannot be right, and does not count until it is corrected."
UNCHANGED = "No response."  # nbgrader's own comment on an answer that is as it was released
HASHES = ("code_sha256", "source_sha256")
DEFAULTS = RunSettings()


@dataclass
class SubmissionState:
    """What is known of the submission that is being graded."""

    started: float = field(default_factory=time.monotonic)
    notes: list[Note] = field(default_factory=list)
    unsolved: dict[str, str] = field(default_factory=dict)  # the release's texts, by grade_id
    outcome: Outcome = field(default_factory=Outcome)
    trusted: bool = False
    secret: str = ""  # its hash


class SubmissionExporter(NotebookExporter):
    """Reads a submission with this course's reader, which gives up later than nbformat's.

    Whatever it cannot read is an error of this one submission; nbgrader goes on with the next.
    """

    graded = Unicode(
        "", help="A notebook that was run already, to be recorded in place of the file."
    ).tag(config=True)
    state = SubmissionState()

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        if self.graded:
            options["submitted"], self.graded = nbformat.reads(self.graded, as_version=4), ""
        elif any(isinstance(step, Repair) for step in self._preprocessors):
            self.state = SubmissionState()
            options["submitted"] = within(REPAIRING, read_submission, Path(filename))
        return super().from_filename(filename, resources, **options)

    def from_file(
        self, file_stream: Any, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        submitted = options.pop("submitted", None)
        if submitted is None:  # the second pass, over the notebook that the first has written
            return super().from_file(file_stream, resources, **options)
        return self.from_notebook_node(submitted, resources, **options)


class Step(NbGraderPreprocessor):
    """A step of grading, which takes part in the exporter's `SubmissionState`."""

    @property
    def state(self) -> SubmissionState:
        if not isinstance(self.parent, SubmissionExporter):
            name = f"{SubmissionExporter.__module__}.{SubmissionExporter.__name__}"
            raise CourseError(f"Grading needs c.Autograde.exporter_class = {name!r}.")
        return self.parent.state

    @property
    def coursedir(self) -> CourseDirectory | None:
        """The course folder, as nbgrader's application knows it."""
        owner = self.parent
        while owner is not None:
            if getattr(owner, "coursedir", None) is not None:
                return owner.coursedir
            owner = owner.parent
        return None


class Repair(Step):
    """Makes of whatever was handed in a notebook with every cell of the release, once.

    It comes first: nbgrader's own steps take unique names and whole metadata for granted.
    `OverwriteCells`, which follows, writes the gradebook's tests, hidden ones included, over the
    released ones.
    """

    labs = Unicode(
        "",
        help="The folder with the released labs; if empty, the course's release directory.",
    ).tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        lab, name = (resources["nbgrader"][key] for key in ("assignment", "notebook"))
        release = self._release(lab, name)
        check_release(release, _cells_known(resources["nbgrader"]["db_url"], lab, name), lab)
        notebook, notes = within(REPAIRING, repaired, nb, release, lab)
        for note in notes:
            self.log.warning("%s: %s", note.kind, note.for_instructor)
        self.state.notes = notes
        self.state.unsolved = {grade_id(cell): cell.source for cell in release.cells}
        return notebook, resources

    def _release(self, lab: str, name: str) -> NotebookNode:
        folder = Path(self.labs) if self.labs else self._release_directory()
        path = folder / lab / f"{name}.ipynb"
        if not path.is_file():
            raise CourseError(
                f"There is no release {path}: build it with `python -m autograder build`, "
                "or name the folder of the labs in nbgrader_config.py (c.Repair.labs)."
            )
        return nbformat.read(path, as_version=4)

    def _release_directory(self) -> Path:
        course = self.coursedir
        if course is None:
            raise CourseError("Repair needs the folder of the labs: set c.Repair.labs.")
        return Path(course.root) / course.release_directory


def _cells_known(db_url: str, lab: str, name: str) -> set[str]:
    """The names of a lab's cells in the gradebook."""
    with Gradebook(db_url) as gradebook:
        try:
            return {cell.name for cell in gradebook.find_notebook(name, lab).source_cells}
        except MissingEntry:
            raise CourseError(
                f"The gradebook does not know {lab}: run nbgrader generate_assignment."
            ) from None


class Grade(Step):
    """Stands where nbgrader has `Execute`: own cells in the sandbox, tests by the referee.

    Refuses to run submissions where there is no sandbox, unless told to trust them.
    """

    timeout = Float(
        DEFAULTS.timeout, allow_none=True, help="Seconds a cell, and all calls of one test."
    ).tag(config=True)
    call_timeout = Float(DEFAULTS.call_timeout, help="Seconds for one call of a test.").tag(
        config=True
    )
    notebook_timeout = Float(
        DEFAULTS.notebook_timeout,
        help="Seconds for all of a student's code: cells, and calls by the tests.",
    ).tag(config=True)
    grace = Float(DEFAULTS.grace, help="Seconds to end after an interrupt, before the kill.").tag(
        config=True
    )
    startup_timeout = Float(DEFAULTS.startup_timeout, help="Seconds for the kernel to start.").tag(
        config=True
    )
    output_limit = Integer(DEFAULTS.output_limit, help="Bytes of one cell's outputs.").tag(
        config=True
    )
    notebook_output_limit = Integer(
        DEFAULTS.notebook_output_limit, help="Bytes of all outputs of a notebook's own cells."
    ).tag(config=True)
    run_all = Bool(False, help="Run provided cells that no test needs, too.").tag(config=True)
    trust_submissions = Bool(False, help="Run submissions without a sandbox.").tag(config=True)
    limits = Dict(help="What to change in the sandbox's limits, by name.").tag(config=True)
    extra_arguments = List(Unicode(), help="For the kernel's command.").tag(config=True)

    @property
    def settings(self) -> RunSettings:
        names = self.class_own_traits(config=True)
        return RunSettings.of({name: getattr(self, name) for name in names})

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        trusted = _trusted_cells(resources["nbgrader"])
        folder = Path(self.coursedir.root)
        secret = of_course(folder)
        drawn_from = of_lab(secret, resources["nbgrader"]["assignment"])
        outcome = run_notebook(nb, trusted, self.settings, drawn_from, [folder])
        for problem in outcome.problems:
            self.log.error(problem)
        self.state.outcome, self.state.trusted = outcome, self.trust_submissions
        self.state.secret = hash_of(secret)
        return nb, resources


def _trusted_cells(where: dict[str, str]) -> TrustedCells:
    """What the course wrote of a notebook, from the gradebook."""
    with Gradebook(where["db_url"]) as gradebook:
        notebook = gradebook.find_notebook(where["notebook"], where["assignment"])
        points = {cell.name: float(cell.max_score) for cell in notebook.grade_cells}
        answers = {cell.name for cell in notebook.solution_cells}
        return trusted_cells(
            (cell.name, _role(cell, points, answers), cell.source, points.get(cell.name, 0.0))
            for cell in notebook.source_cells
            if cell.cell_type == "code"
        )


def _role(cell: Any, points: dict[str, float], answers: set[str]) -> str:
    """A source cell's role in the gradebook, in the words of `cells.role`."""
    if cell.name in answers:
        return "solution"
    if cell.name in points:
        return "test"
    return "provided" if cell.locked else ""


class WriteRecord(Step):
    """The record of this grade, as `python -m autograder grade` leaves one."""

    root = Unicode("", help="The course's repository.").tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        where, state = resources["nbgrader"], self.state
        lab, student = where["assignment"], where["student"]
        course_root = Path(self.coursedir.root)
        draft = draft_record(lab, student, nb, state.outcome, state.notes, state.unsolved)
        with Gradebook(where["db_url"]) as gradebook:
            record = completed(gradebook, draft)
            due = due_date(gradebook, lab)
        settings = nbgrader_api.hash_of_settings(Path(self.root))
        submission = Submission(course_root, lab, student).notebooks()
        inputs = records.inputs_of(
            Path(self.root), lab, submission, state.trusted, due, settings, state.secret, {}
        )
        seconds = round(time.monotonic() - state.started, 1)
        records.write(course_root, replace(record, inputs=inputs, seconds=seconds))
        return nb, resources


class Sanitize(Step):
    """The last step: leaves in the graded notebook what a browser may be given."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        sanitize(nb)
        return nb, resources


class RemoveSourceHashes(NbGraderPreprocessor):
    """Removes the source's hashes: a release changes only when a student can see a change."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        for key in HASHES:
            nb.metadata.get("trickster", {}).pop(key, None)
        return nb, resources


class FlagUnmarkedAnswers(NbGraderPreprocessor):
    """Says on a feedback page which answers wait for a mark: nbgrader shows 0.0 for them.

    A mark that cannot be is not shown, nor counted. That code was not written is said by its check,
    and not by a comment of nbgrader's as well, which looks like a person's.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        where = resources["nbgrader"]
        names = where["notebook"], where["assignment"], where["student"]
        for cell in filter(utils.is_solution, nb.cells):
            if not utils.is_grade(cell) and cell.metadata.nbgrader.get("comment") == UNCHANGED:
                del cell.metadata.nbgrader["comment"]
        with Gradebook(where["db_url"]) as gradebook:
            for cell in filter(utils.is_grade, nb.cells):
                details = cell.metadata.nbgrader
                grade = gradebook.find_grade(details.grade_id, *names)
                impossible = bool(records.why_invalid("", grade.score, grade.max_score))
                if impossible:
                    details["score"] = 0.0
                if impossible or (utils.is_solution(cell) and grade.needs_manual_grade):
                    words = IMPOSSIBLE if impossible else self._words(grade)
                    details["comment"] = " ".join(filter(None, (words, details.get("comment"))))
            possible = [
                grade.score
                for grade in gradebook.find_submission_notebook(*names).grades
                if not records.why_invalid("", grade.score, grade.max_score)
            ]
        where["score"] = max(0.0, sum(possible) - max(0.0, where["late_penalty"]))
        return nb, resources

    @staticmethod
    def _words(grade: GradebookEntry) -> str:
        if grade.manual_score is None:
            return f"Not marked yet: all {grade.max_score:g} points are still open."
        return "The mark is of an earlier answer; this one has not been looked at yet."


class QuietExchangeList(ExchangeList):
    """What nbgrader's exchange holds; formgrader asks on each page, also where there is none."""

    def fail(self, msg: str) -> NoReturn:
        raise ExchangeError(msg)
