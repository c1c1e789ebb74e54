"""Grades one submission: a pure job, from texts and settings to a record and a graded notebook.

A job reads and writes nothing of the class, neither its gradebook nor its folders, so that it can
run in any process on any machine that has this repository's software. What needs the gradebook
(marks given by a person, the penalty for handing in late) is added by whoever records it.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import records
from autograder.cells import grade_id, points_of, role, to_text
from autograder.course import CourseError
from autograder.foreign_text import listed
from autograder.grading.bounded import Bounds, OverLimit, within
from autograder.grading.code_remarks import LOOKING, remarks_on
from autograder.grading.execution import (
    CHOOSING,
    Outcome,
    RunSettings,
    TrustedCells,
    run_notebook,
    trusted_cells,
)
from autograder.grading.file_choice import choose
from autograder.records import CellRecord, GradingRecord, failed
from autograder.referee.session import TimeLimits
from autograder.repair import notes
from autograder.repair.mend import WrongNotebook, check_related, mend
from autograder.repair.notes import Note
from autograder.repair.salvage import FileText, NotANotebook, parse_notebook, writable
from autograder.repair.summary import with_summary
from autograder.sandbox.limits import GIB, Limits
from autograder.sanitize.notebook import sanitize

REPAIRING = Bounds("Repairing the notebook", computing=20, waiting=120)
CLEANING = Bounds("Making the notebook safe to show", computing=20, waiting=120)
LONGEST_REASON = 1_000  # characters
KILLED = "the process that graded it was killed, perhaps for memory."
TOO_MUCH = (
    "{reason} Honest notebooks need a small part of that: some answer in it is huge, or made to "
    "keep the grader busy. Look at its code."
)
AGAIN = (
    "It is not tried again unless something changes; to do so anyway: grade --student {student} "
    "--again."
)
# What one job may cost the grader's own process, about twenty times what an honest one does
# (benchmarks/lab_costs.py): a slow or busy machine may not cost anybody a score.
COMPUTING_S = 600  # at least, of the processor
COMPUTING_S_EACH = 120  # for each test; the slowest needs half a minute
WAITING = 4  # times as long on the clock, since others may use the processor as well
STARTS = 3  # of the agent in a test, each of which may take `TimeLimits.startup`
MEMORY = GIB  # beside what the student's code may use, as both may load the same data


class Refused(CourseError):
    """A submission that can never be graded, for what it is."""


@dataclass(frozen=True)
class Job:
    """All that is needed to grade one submission; it can be pickled."""

    lab: str
    student: str
    files: tuple[FileText, ...]  # the notebooks that were handed in, mostly one
    source: str  # the lab's own notebook, with its hidden tests
    release: str  # the notebook that students were given
    secret: bytes = field(repr=False)  # what checks draw from
    settings: RunSettings = field(default_factory=RunSettings)
    inputs: dict[str, str] = field(default_factory=dict)  # for the record
    former: Mapping[str, frozenset[float]] = field(default_factory=dict)  # points of earlier days
    hidden: tuple[str, ...] = ()  # folders that no submission may see
    refusal: str = ""  # why there is no text that could be graded

    @property
    def bounds(self) -> Bounds:
        """What the grader's process may use for this, beyond which it is killed."""
        tests = len(points_in(_notebook(self.source)))
        return job_bounds(self.settings, tests)


def job_bounds(settings: RunSettings, tests: int) -> Bounds:
    """What a job may use that grades a notebook with so many tests."""
    computing = max(COMPUTING_S, COMPUTING_S_EACH * tests)
    steps = sum(step.waiting for step in (REPAIRING, CHOOSING, LOOKING, CLEANING))
    each = STARTS * TimeLimits().startup + settings.grace
    students = settings.startup_timeout + settings.notebook_timeout + settings.grace
    return Bounds(
        "Grading it",
        computing,
        WAITING * computing + steps + students + tests * each,
        Limits(**settings.limits).memory + MEMORY,
    )


@dataclass(frozen=True)
class GradedSubmission:
    """The record so far, and the text of the notebook as it was run; "" where it failed.

    What needs the gradebook is missing in the record: marks, and a penalty for handing in late.
    """

    record: GradingRecord
    notebook: str = ""


def grade_submission(job: Job) -> GradedSubmission:
    """Repair the submission, run it, test it. Raises nothing: a failure is a record as well."""
    started = time.monotonic()
    try:
        record, notebook = _graded(job)
        record, text = records.writable(record), writable(to_text(notebook))
    except Exception as error:  # whatever a submission can provoke, the next one is graded
        refused = isinstance(error, (Refused, NotANotebook, WrongNotebook, OverLimit))
        record, text = failed(job.lab, job.student, reason_of(error), refused=refused), ""
    seconds = round(time.monotonic() - started, 1)
    maximum = sum(points_in(_notebook(job.source)).values())
    record = replace(record, maximum=maximum, inputs=job.inputs, seconds=seconds)
    return GradedSubmission(record, text)


def why_lost(error: BaseException) -> str:
    """A sentence on a job that has brought no result."""
    return TOO_MUCH.format(reason=error) if isinstance(error, OverLimit) else KILLED


def lost(job: Job, error: BaseException) -> GradingRecord:
    """The record of a submission whose job has brought no result."""
    over, reason = isinstance(error, OverLimit), why_lost(error)
    if over:  # where it is not, the next run may have more luck
        reason = f"{reason} {AGAIN.format(student=shlex.quote(job.student))}"
    maximum = sum(points_in(_notebook(job.source)).values())
    return failed(job.lab, job.student, reason, maximum, inputs=job.inputs, refused=over)


def _graded(job: Job) -> tuple[GradingRecord, NotebookNode]:
    if job.refusal:
        raise Refused(job.refusal)
    source, release = _notebook(job.source), _notebook(job.release)
    check_release(release, {grade_id(c) for c in source.cells if grade_id(c)}, job.lab)
    notebook, notes, former = within(REPAIRING, _repaired, job, release)
    restore_locked(notebook, source)
    hidden = [Path(folder) for folder in job.hidden]
    trusted = _trusted(source, release)
    outcome = run_notebook(notebook, trusted, job.settings, job.secret, hidden)
    unsolved = {grade_id(cell): cell.source for cell in release.cells}
    record = draft_record(job.lab, job.student, notebook, outcome, notes, unsolved)
    return replace(record, former_points=former), within(CLEANING, _sanitized, notebook)


def _repaired(job: Job, release: NotebookNode) -> tuple[NotebookNode, list[Note], dict[str, float]]:
    """The notebook to run, the notes on it, and the points that were true once, by cell."""
    chosen, about_files = choose(job.files, job.lab, release)
    submitted = parse_notebook(chosen.text, chosen.name)
    former, repointed = with_points_of_today(submitted, release, job.former)
    notebook, found = repaired(submitted, release, job.lab, about_files, repointed)
    return notebook, found, former


def repaired(
    submitted: NotebookNode,
    release: NotebookNode,
    lab: str,
    before: Sequence[Note] = (),
    after: Sequence[Note] = (),
) -> tuple[NotebookNode, list[Note]]:
    """The submission as a gradable notebook that says what was repaired, and the notes on it."""
    mended = mend(submitted, release)
    check_related(mended, submitted, lab)
    mended = replace(mended, notes=[*before, *mended.notes, *after])
    return with_summary(mended), mended.notes


def _sanitized(notebook: NotebookNode) -> NotebookNode:
    sanitize(notebook)
    return notebook


def with_points_of_today(
    submitted: NotebookNode, release: NotebookNode, former: Mapping[str, frozenset[float]]
) -> tuple[dict[str, float], list[Note]]:
    """Bring points that were true once up to date: whoever hands them in has changed nothing.

    Returns them by cell, and a note on each.
    """
    today, found = points_in(release), {}
    for cell in submitted.cells:
        name, claimed = grade_id(cell), cell.metadata.get("nbgrader", {}).get("points")
        if name in today and claimed != today[name] and claimed in former.get(name, ()):
            found[name] = float(claimed)
            cell.metadata.nbgrader["points"] = today[name]
    return found, [notes.repointed(name, was, today[name]) for name, was in found.items()]


def _notebook(text: str) -> NotebookNode:
    return nbformat.reads(text, as_version=4)


def points_in(notebook: NotebookNode) -> dict[str, float]:
    """The points of each graded cell, in order."""
    return {grade_id(cell): points_of(cell) for cell in notebook.cells if points_of(cell)}


def check_release(release: NotebookNode, known: set[str], lab: str) -> None:
    """Raise CourseError where the release has other cells than the course knows: `known`."""
    here = {grade_id(cell) for cell in release.cells if grade_id(cell)}
    if known != here:
        odd = ", ".join(sorted(known ^ here))
        raise CourseError(
            f"The release of {lab} and the gradebook know different cells ({odd}): "
            "build the labs anew with `python -m autograder build`, and enter them again."
        )


def restore_locked(notebook: NotebookNode, source: NotebookNode) -> None:
    """Put the course's own text into tests (hidden ones included) and provided cells."""
    locked = {
        grade_id(cell): cell.source for cell in source.cells if role(cell) in ("test", "provided")
    }
    for cell in notebook.cells:
        cell.source = locked.get(grade_id(cell), cell.source)


def _trusted(source: NotebookNode, release: NotebookNode) -> TrustedCells:
    """Tests and provided cells as the course has them, solution cells as students got them.

    A solution may define helpers that nobody is asked for.
    """
    code = [cell for cell in source.cells if role(cell) in ("test", "provided")]
    code += [cell for cell in release.cells if role(cell) == "solution"]
    return trusted_cells((grade_id(c), role(c), c.source, points_of(c)) for c in code)


def draft_record(
    lab: str,
    student: str,
    notebook: NotebookNode,
    outcome: Outcome,
    notes: list[Note],
    unsolved: Mapping[str, str],
) -> GradingRecord:
    """The record of a notebook that was run. `unsolved` has the texts of the release's cells."""
    cells = []
    for cell in notebook.cells:
        name, maximum = grade_id(cell), points_of(cell)
        if role(cell) == "written":
            empty = cell.source == unsolved.get(name)  # nbgrader gives these 0 points at once
            cells.append(CellRecord(name, "written", 0.0 if empty else None, maximum, not empty))
        elif role(cell) == "test" and maximum:
            cells.append(_test_record(name, maximum, outcome))
    reasons = [*outcome.problems, *(f"It met a limit: {limit}" for limit in outcome.limits)]
    reasons += [
        f"It needs the module {module}, which is not installed here ({', '.join(names)})."
        for module, names in outcome.missing.items()
    ]
    reasons += [f"Its code was ended: {outcome.stopped}."] if outcome.stopped else []
    record = GradingRecord(
        lab=lab,
        student=student,
        status="needs marking" if any(cell.waiting for cell in cells) else "graded",
        maximum=sum(cell.maximum for cell in cells),
        cells=tuple(cells),
        repairs=tuple(notes),
        stopped=outcome.stopped,
        limits=tuple(outcome.limits),
        problems=tuple(outcome.problems),
        code_remarks=(*_on_processes(outcome), *remarks_on(notebook, outcome.withheld)),
    )
    return replace(record, reason=" ".join([*reasons, *record.noted]))


def _on_processes(outcome: Outcome) -> tuple[str, ...]:
    """A sentence where another process may have answered, in which nothing of the library refuses.

    It is measured outside the sandbox: no submission can hide it.
    """
    if not outcome.helped:
        return ()
    return (
        f"Processes that its code had started before computed, or ended, during "
        f"{listed(outcome.helped, 3)}: the library does not refuse there. Look at what they do.",
    )


def _test_record(name: str, maximum: float, outcome: Outcome) -> CellRecord:
    verdict = outcome.tests[name]
    return CellRecord(
        name,
        "test",
        verdict.points,
        maximum,
        parts=verdict.result.parts if verdict.result is not None else (),
        note=verdict.note,
        begun=verdict.begun,
        seconds=round(verdict.seconds, 2),
        remarks=verdict.remarks,
    )


def reason_of(error: BaseException) -> str:
    """A sentence for the instructor on why a submission could not be graded."""
    text = str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."
