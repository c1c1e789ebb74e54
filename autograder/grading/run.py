"""Grades a course folder: `submitted/<student>/<lab>/<lab>.ipynb`, each on its own.

`grade_class` does all of it: the gradebook, the scores, the feedback pages, a record of each,
`scores.csv`, `scores.json` and `report.html`; `publish` writes the last four anew from the
gradebook, after marking by hand. What cannot be graded is reported and stops nothing else.

Submissions are graded, and pages rendered, by pure jobs in an executor; this process alone reads
what was handed in and writes gradebook, notebooks, pages and records, one at a time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from autograder import nbgrader_api, records
from autograder.authoring.source import lab_notebook
from autograder.cells import to_text
from autograder.course import SECRET, CourseError, Lab, read_course
from autograder.grading.execution import RunSettings, require_sandbox
from autograder.grading.executor import Call, Lost, RemoteWorkers, completed, workers_for
from autograder.grading.feedback import Rendered, render_page
from autograder.grading.gradebook import ClassGradebook, alone_with
from autograder.grading.secret import check_held_back, existing, hash_of, of_course, of_lab
from autograder.grading.shared_cache import shared_cache
from autograder.grading.submission import (
    KILLED,
    GradedSubmission,
    Job,
    grade_submission,
    lost,
    points_in,
    reason_of,
)
from autograder.grading.submitted import Submission, find_submissions
from autograder.nbgrader_api import MissingEntry, check_penalties
from autograder.records import CellRecord, GradingRecord
from autograder.repair.salvage import FileText
from autograder.reporting.html import write_report
from trickster.files import write_atomically

ANOTHER_SECRET = f"{SECRET} was missing, so another secret was made"
FOR_ALL = (
    f"{ANOTHER_SECRET}, and everybody is graded anew. If this was not intended, put the old file "
    "back and grade again."
)
FOR_SOME = (
    f"{ANOTHER_SECRET}: grade the whole class, so that everybody is asked the same. If you have a "
    "copy of the old file, put it back and grade again."
)
SECONDS_EACH = 15  # what an honest notebook takes on one core, within a factor of two
Say = Callable[[str], None]
Began = Callable[[str, str], None]  # a lab and a student
Step = Callable[[int, int, GradingRecord], None]  # how many are done, of how many, and this one
Marks = Mapping[tuple[str, str], dict[str, float]]  # (lab, student) → written answer → points
Options = Mapping[tuple[str, str], dict[str, Any]]  # (lab, student) → setting of a run → value


def grade_class(
    root: Path,
    course_root: Path,
    labs: list[str] | None = None,
    students: list[str] | None = None,
    workers: int | None = None,
    marks: Marks | None = None,
    say: Say = print,
    step: Step = lambda done, total, record: None,
    began: Began = lambda lab, student: None,
    trusted: bool = False,
    again: bool = False,
    options: Options | None = None,
    executor: Executor | None = None,
) -> list[GradingRecord]:
    """Grade every submission in a course folder.

    `began` is called for each when it starts, `step` when it is done. The files of scores are about
    the whole class, also when only some of `labs` or `students` are graded. What an earlier run
    has graded, and nothing of it has changed since, is not graded `again`. `trusted` submissions
    run without a sandbox; CourseError where there is none and they are not. `options` are what
    single submissions have in place of nbgrader_config's settings of `Grade`.

    `workers` submissions are graded at once, as many as this machine has cores if left out, in
    processes of this machine, or in any `executor` whose workers are processes of their own;
    remote workers prove their sandbox themselves.
    """
    course_root = course_root.resolve()
    remote = isinstance(executor, RemoteWorkers)
    if not trusted and not remote:
        require_sandbox()
    check_held_back()
    check_penalties(root)
    found, unusable = find_submissions(root, course_root, labs, students)
    workers = executor.slots if remote else workers or os.cpu_count() or 1
    with alone_with(course_root), shared_cache():
        names = sorted({submission.lab for submission in found})
        say(f"Registering {len(names)} {'lab' if len(names) == 1 else 'labs'} in the gradebook ...")
        run = ClassRun(root, course_root, names, marks or {}, options or {}, trusted)
        run.register(submission.student for submission in found)
        if run.lost_secret:
            say(FOR_SOME if labs or students else FOR_ALL)
        same = {} if again else run.unchanged(found)
        # Lab by lab: what a worker has drawn for one submission is there for the next.
        to_grade = sorted((s for s in found if s.key not in same), key=lambda s: s.key)
        to_render, ready = [], list(unusable)
        for record in same.values():
            (to_render if run.lacks_page(record) else ready).append(record)
        say(announcement(len(found), len(same), workers))
        with _pool(executor, len(to_grade) + len(to_render), workers) as pool:
            coming = run.graded(pool, workers, to_grade, to_render, began)
            graded = _collected(ready, coming, len(found) + len(unusable), step)
        _write_files(root, course_root, graded)
    return graded


def publish(
    root: Path,
    course_root: Path,
    workers: int | None = None,
    say: Say = print,
    step: Step = lambda done, total, record: None,
    executor: Executor | None = None,
) -> list[GradingRecord]:
    """Write feedback pages and scores from the gradebook, as it is after marking; runs nothing."""
    course_root = course_root.resolve()
    check_penalties(root)
    everybody, unusable = find_submissions(root, course_root)
    with alone_with(course_root):
        known = class_records(root, course_root, [])
        if not known:
            raise CourseError(f"Nothing in {course_root} is graded yet: grade the class first.")
        to_render = [record for record in known if record.status != "failed"]
        ready = [record for record in known if record.status == "failed"]
        workers = workers or os.cpu_count() or 1
        run = ClassRun(root, course_root, [])
        with _pool(executor, len(to_render), workers) as pool:
            coming = run.graded(pool, workers, [], to_render)
            published = _collected(ready, coming, len(known), step)
        _write_files(root, course_root, published)
    left = len(everybody) + len(unusable) - len(published)
    if left:
        say(f"Not graded yet, and left out: {left} of {left + len(published)} submissions.")
    return published


def _pool(executor: Executor | None, jobs: int, workers: int) -> AbstractContextManager[Executor]:
    """The caller's own executor, which stays open, or one for these jobs."""
    return nullcontext(executor) if executor is not None else workers_for(jobs, workers)


def _collected(
    ready: list[GradingRecord], coming: Iterator[GradingRecord], total: int, step: Step
) -> list[GradingRecord]:
    """All records in order, once `step` has been called for each."""
    found = []
    with closing(coming):  # also when `step` is interrupted
        for record in chain(ready, coming):
            found.append(record)
            step(len(found), total, record)
    return _sorted(found)


def _sorted(found: Iterable[GradingRecord]) -> list[GradingRecord]:
    return sorted(found, key=lambda record: (record.lab, record.student))


class ClassRun:
    """One run over submissions to the labs `names`."""

    def __init__(
        self,
        root: Path,
        course_root: Path,
        names: list[str],
        marks: Marks | None = None,
        options: Options | None = None,
        trusted: bool = False,
    ):
        self.root, self.course_root, self.names = root, course_root, names
        self.marks, self.options, self.trusted = marks or {}, options or {}, trusted
        self.gradebook = ClassGradebook(root, course_root)
        self.secret = b""
        self.lost_secret = False
        self.due: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.former: dict[str, dict[str, frozenset[float]]] = {}
        self.settings = nbgrader_api.grade_settings(root)
        self.hash_of_settings = nbgrader_api.hash_of_settings(root)

    def register(self, students: Iterable[str]) -> None:
        """Enter labs and students in the gradebook; a first run makes the course's secret."""
        course = read_course(self.root)
        known = records.read_all(self.course_root)
        self.lost_secret = bool(known) and existing(self.course_root) is None
        self.secret = of_course(self.course_root)
        self.gradebook.register(self.names)
        self.gradebook.add_students(students)
        self.due = self.gradebook.due_dates(self.names)
        for name in self.names:
            mine = [record for record in known if record.lab == name]
            self.former[name] = records.points_seen(mine)
            self.sources[name] = to_text(lab_notebook(Lab(self.root, name), course))

    # --- what there is to do --------------------------------------------------------------------

    def unchanged(self, found: list[Submission]) -> dict[tuple[str, str], GradingRecord]:
        """The records of submissions that an earlier run graded, and that are the same still."""
        same = {}
        for submission in found:
            stored = records.read(self.course_root, submission.student, submission.lab)
            inputs = self._inputs(submission)
            if stored is None or not records.same_run(stored, inputs):
                continue
            if stored.status == "failed" and not stored.refused:
                continue  # the grader's own trouble may be over
            record = replace(stored, stale="", inputs=inputs)
            if not record.refused:
                if not submission.has_date:
                    continue
                if not self.gradebook.graded(*submission.key).is_file():
                    continue
                try:
                    record = self.gradebook.current(record, self.marks.get(submission.key))
                except MissingEntry:
                    continue
            if record.penalty != stored.penalty:  # the page tells it
                self.gradebook.feedback(*submission.key).unlink(missing_ok=True)
            if record != stored:
                records.write(self.course_root, record)
            same[submission.key] = record
        return same

    def lacks_page(self, record: GradingRecord) -> bool:
        """Whether the feedback page is missing, or older than the graded notebook."""
        if record.status == "failed":
            return False
        page = self.gradebook.feedback(record.lab, record.student)
        notebook = self.gradebook.graded(record.lab, record.student)
        return not page.is_file() or page.stat().st_mtime < notebook.stat().st_mtime

    def _inputs(self, submission: Submission) -> dict[str, str]:
        return records.inputs_of(
            self.root,
            submission.lab,
            submission.notebooks(),
            self.trusted,
            self.due[submission.lab],
            self.hash_of_settings,
            hash_of(self.secret),
            self.options.get(submission.key, {}),
        )

    def _job(self, submission: Submission) -> Job:
        files: tuple[FileText, ...] = ()
        refusal = ""
        try:
            files = submission.read()
        except CourseError as error:
            refusal = str(error)
        given = {**self.settings, **self.options.get(submission.key, {})}
        return Job(
            lab=submission.lab,
            student=submission.student,
            files=files,
            source=self.sources[submission.lab],
            release=Lab(self.root, submission.lab).release.read_text(encoding="utf-8"),
            secret=of_lab(self.secret, submission.lab),
            settings=RunSettings.of({**given, "trust_submissions": self.trusted}),
            inputs=self._inputs(submission),
            former=self.former[submission.lab],
            hidden=(str(self.course_root),),
            refusal=refusal,
        )

    # --- doing it -------------------------------------------------------------------------------

    def graded(
        self,
        executor: Executor,
        workers: int,
        to_grade: Iterable[Submission],
        to_render: Iterable[GradingRecord],
        began: Began = lambda lab, student: None,
    ) -> Iterator[GradingRecord]:
        """Grade submissions and render pages; each record is written before it is returned."""
        submissions, pages = deque(to_grade), deque(to_render)

        def next_call() -> Call | None:
            if pages:
                record = pages.popleft()
                return Call(render_page, self._page(record), record)
            if submissions:
                submission = submissions.popleft()
                began(*submission.key)
                return Call(grade_submission, self._job(submission), submission)
            return None

        for call, result in completed(executor, workers, next_call):
            if call.function is render_page:
                yield self._published(call.key, result)
                continue
            record = self._recorded(call.argument, result)
            if record.status != "failed":
                pages.append(record)
            else:
                records.write(self.course_root, record)
                yield record

    def _recorded(self, job: Job, graded: GradedSubmission | Lost) -> GradingRecord:
        """Enter a graded submission in the gradebook; a failed one loses its earlier score."""
        record = lost(job, graded.error) if isinstance(graded, Lost) else graded.record
        records.remove(self.course_root, job.student, job.lab)
        if not isinstance(graded, Lost) and record.status != "failed":
            marks = self.marks.get((job.lab, job.student), {})
            try:
                return self.gradebook.record(record, graded.notebook, marks)
            except Exception as error:  # a full disk, say; the next submission may fare better
                record = replace(record, status="failed", cells=(), reason=reason_of(error))
        self.gradebook.withdraw(job.lab, job.student)
        return record

    def _page(self, record: GradingRecord) -> nbgrader_api.Page | str:
        unmarked = [cell.name for cell in record.cells if cell.waiting and cell.points is None]
        try:
            return nbgrader_api.feedback_page(
                self.root, self.course_root, record.lab, record.student, unmarked
            )
        except Exception as error:  # the score stands; the next page is written
            return reason_of(error)

    def _published(self, record: GradingRecord, page: Rendered | Lost) -> GradingRecord:
        """Write a page, then the record: a run that is cut off before has the page to do again."""
        page = Rendered(problem=KILLED) if isinstance(page, Lost) else page
        if page.html:
            write_atomically(self.gradebook.feedback(record.lab, record.student), page.html)
        records.write(self.course_root, record)
        what = "Feedback page without the notebook" if page.html else "No feedback page"
        reason = f"{record.reason} {what}: {page.problem}".strip() if page.problem else ""
        return replace(record, reason=reason or record.reason)


# --- the whole class --------------------------------------------------------------------


def class_records(root: Path, course_root: Path, fresh: list[GradingRecord]) -> list[GradingRecord]:
    """The record of everything that is handed in: `fresh`, else what earlier runs left.

    Points are as the gradebook has them now. A submission that has gone, or was never graded, has
    no record.
    """
    found = {(record.lab, record.student): record for record in fresh}
    submissions, unusable = find_submissions(root, course_root)
    for record in unusable:
        found.setdefault((record.lab, record.student), record)
    gradebook = ClassGradebook(root, course_root)
    order = _orders(root, {submission.lab for submission in submissions})
    for submission in submissions:
        if submission.key not in found:
            record = _earlier(gradebook, submission, order[submission.lab])
            if record is not None:
                found[submission.key] = record
    return _sorted(found.values())


def _orders(root: Path, names: Iterable[str]) -> dict[str, dict[str, float]]:
    """The points of each lab's graded cells, in their order."""
    course = read_course(root)
    return {name: points_in(lab_notebook(Lab(root, name), course)) for name in names}


def _earlier(
    gradebook: ClassGradebook, submission: Submission, points: dict[str, float]
) -> GradingRecord | None:
    """What earlier runs left of a submission, or None; renewed where the gradebook has changed."""
    stored = records.read(gradebook.course_root, submission.student, submission.lab)
    record = stored or GradingRecord(*submission.key, "graded", sum(points.values()))
    if record.status != "failed":
        if not (gradebook.exists and gradebook.graded(*submission.key).is_file()):
            return None
        known = {cell.name: cell for cell in record.cells}
        cells = [known.pop(name, None) or _blank(name, points[name]) for name in points]
        try:
            record = gradebook.current(replace(record, cells=(*cells, *known.values())))
        except MissingEntry:  # another gradebook's leavings
            return None
    if stored is None:
        lost = [cell.name for cell in record.cells if cell.kind == "test" and cell.points is None]
        reason = f"no score for {', '.join(lost)}: its cell is missing." if lost else ""
        return replace(record, reason=reason)
    record = records.checked(record, submission.notebooks())
    if record != stored:
        records.write(gradebook.course_root, record)
    return record


def _blank(name: str, maximum: float) -> CellRecord:
    return CellRecord(name, "test", None, maximum)


def _write_files(root: Path, course_root: Path, fresh: list[GradingRecord]) -> None:
    """Scores and report of the whole class."""
    everybody = class_records(root, course_root, fresh)
    records.write_scores(course_root, everybody)
    write_report(root, course_root, everybody)


def announcement(count: int, done: int, workers: int) -> str:
    """What is about to happen, and how long it takes."""
    if not done:
        return forecast(count, workers)
    known = f"{done} of {count} notebooks are unchanged since they were graded"
    return f"{known}. {forecast(count - done, workers)}" if done < count else f"{known}."


def forecast(count: int, workers: int) -> str:
    """How long a class takes: "20 notebooks, about 10 minutes on 2 cores."."""
    used = max(1, min(workers, count))
    minutes = max(1, round(count * SECONDS_EACH / used / 60))
    return (
        f"{count} {'notebook' if count == 1 else 'notebooks'}, about {minutes} "
        f"{'minute' if minutes == 1 else 'minutes'} on {used} {'core' if used == 1 else 'cores'}."
    )
