"""Grades a course folder: `submitted/<student>/<lab>/<lab>.ipynb`, each on its own.

`grade_class` does all of it: the gradebook, the scores, the feedback pages, a receipt for each,
`scores.csv`, `scores.json` and `report.html`; `publish` writes the last four anew from the
gradebook, after marking by hand. `grade_one` grades one submission. What cannot be graded is
reported and stops nothing else.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.utils import parse_utc

from autograder import nbgrader_api, records
from autograder.authoring.source import lab_notebook
from autograder.cells import grade_id, points_of, role, to_text
from autograder.course import CourseError, pick_labs, read_course
from autograder.environment import variables
from autograder.grading.executor import alone_in, pooled
from autograder.grading.preprocessor import require_sandbox
from autograder.repair.mend import check_related, mend
from autograder.repair.preprocessors import notes_of
from autograder.repair.salvage import read_submission
from autograder.reporting.html import write_report
from autograder.results import CellScore, Result, read_scores, write_scores

STORE = ".store"  # of a course folder
A_DATE = "2026-05-04 12:00:00 UTC"
LONGEST_DATE = 200  # bytes
SECONDS_EACH = 25  # what an honest notebook takes on one core, within a factor of two
Say = Callable[[str], None]
Marks = Mapping[tuple[str, str], dict[str, float]]  # (lab, student) → written answer → points
Options = Mapping[tuple[str, str], dict[str, Any]]  # (lab, student) → trait of Grade → value


class CellsChanged(CourseError):
    """A lab has other graded cells than the gradebook of a course folder knows."""


@dataclass(frozen=True)
class Task:
    """One submission to be graded or published."""

    root: Path
    course_root: Path
    lab: str
    student: str
    points: dict[str, float] = field(default_factory=dict)  # of each graded cell, in order
    marks: dict[str, float] = field(default_factory=dict)
    trusted: bool = False  # run without a sandbox
    due: str = "none"  # the date after which it is late
    options: dict[str, Any] = field(default_factory=dict)  # instead of the settings of Grade

    @property
    def maximum(self) -> float:
        return sum(self.points.values())

    @property
    def folder(self) -> Path:
        return self.course_root / "submitted" / self.student / self.lab

    @property
    def notebook(self) -> Path:
        return self.folder / f"{self.lab}.ipynb"

    @property
    def feedback(self) -> Path:
        return self.course_root / "feedback" / self.student / self.lab / f"{self.lab}.html"

    @property
    def inputs(self) -> dict[str, str]:
        """All that decides the score, as hashes and versions."""
        found = records.inputs_of(self.root, self.lab, self.notebook, self.trusted)
        found["due"] = self.due
        return {**found, "options": repr(sorted(self.options.items()))} if self.options else found

    @property
    def graded(self) -> Path:
        """The notebook as it was run by the autograder."""
        return self.course_root / "autograded" / self.student / self.lab / f"{self.lab}.ipynb"


Began = Callable[[Task], None]
Step = Callable[[int, int, Result], None]


def grade_class(
    root: Path,
    course_root: Path,
    labs: list[str] | None = None,
    students: list[str] | None = None,
    workers: int | None = None,
    marks: Marks | None = None,
    say: Say = print,
    step: Step = lambda done, total, result: None,
    began: Began = lambda task: None,
    trusted: bool = False,
    again: bool = False,
    options: Options | None = None,
) -> list[Result]:
    """Grade every submission in a course folder.

    `began` is told of each when it starts, `step` when it is done. The files of scores tell
    of the whole class, also when only some of `labs` or `students` are graded. What an earlier
    run has graded, and nothing of it has changed since, is not graded `again`. `trusted`
    submissions run without a sandbox; CourseError where there is none and they are not. `options`
    are what single submissions have in place of nbgrader_config's settings of `Grade`.
    """
    course_root = course_root.resolve()
    if not trusted:
        require_sandbox()
    tasks, results = find_submissions(root, course_root, labs, students)
    with alone_in(course_root), _store_in(course_root):
        workers = workers or os.cpu_count() or 1
        names = sorted({task.lab for task in tasks})
        say(f"Registering {len(names)} {'lab' if len(names) == 1 else 'labs'} in the gradebook ...")
        points = register(root, course_root, names)
        due = due_dates(course_root, names)
        marks, options = marks or {}, options or {}
        tasks = [
            replace(
                task,
                points=points[task.lab],
                marks=marks.get((task.lab, task.student), {}),
                trusted=trusted,
                due=due[task.lab],
                options=options.get((task.lab, task.student), {}),
            )
            for task in tasks
        ]
        with nbgrader_api.open_gradebook(course_root, read_course(root).id) as gradebook:
            for student in sorted({task.student for task in tasks}):
                gradebook.update_or_create_student(student)
        done = {} if again else unchanged(root, course_root, tasks)
        left = [task for task in tasks if (task.lab, task.student) not in done]
        say(told_before(len(tasks), len(done), workers))
        results = _collected(left, [*results, *done.values()], run(left, workers, began), step)
        _write_files(root, course_root, standing(root, course_root, results))
    return results


def _store_in(course_root: Path) -> AbstractContextManager[None]:
    """What is the same for the whole class is computed once: the checks keep it in here.

    The sandbox sees neither the folder nor the variables.
    """
    return variables({"TRICKSTER_STORE": str(course_root / STORE), "TRICKSTER_STORE_WRITE": "1"})


def _write_files(root: Path, course_root: Path, results: list[Result]) -> None:
    """Scores and report of the whole class; receipts learn what was marked meanwhile."""
    write_scores(course_root, results)
    kept = []
    for result in results:
        receipt = records.read(course_root, result.student, result.lab)
        if receipt is None:  # not gradable by its name alone
            receipt = records.of(result, None, {})
        else:
            path = Task(root, course_root, result.lab, result.student).notebook
            marked = records.checked(records.marked(receipt, result), path)
            if marked != receipt:
                records.write(course_root, marked)
            receipt = marked
        kept.append(receipt)
    write_report(root, course_root, kept)


def unchanged(root: Path, course_root: Path, tasks: list[Task]) -> dict[tuple[str, str], Result]:
    """The results of submissions that an earlier run has graded, and that are the same still."""
    found: dict[tuple[str, str], Result] = {}
    with nbgrader_api.quiet(), nbgrader_api.open_gradebook(course_root) as gradebook:
        for task in tasks:
            receipt = records.read(course_root, task.student, task.lab)
            if receipt is None or receipt.inputs != task.inputs:
                continue
            if receipt.status == "failed" and not receipt.refused:
                continue  # the grader's own trouble may be over
            if receipt.refused:
                found[task.lab, task.student] = failure(task, CourseError(receipt.reason))
            elif task.graded.is_file() and task.feedback.is_file():
                with suppress(MissingEntry):
                    apply_marks(gradebook, task)
                    result = read_result(gradebook, task)
                    found[task.lab, task.student] = replace(result, reason=receipt.reason)
    return found


def due_dates(course_root: Path, names: list[str]) -> dict[str, str]:
    """When each lab was due, as the gradebook has it (UTC), or "none"."""
    with nbgrader_api.quiet(), nbgrader_api.open_gradebook(course_root) as gradebook:
        found = {name: gradebook.find_assignment(name).duedate for name in names}
    return {name: str(date) if date else "none" for name, date in found.items()}


def told_before(count: int, done: int, workers: int) -> str:
    """What is about to happen, and how long it takes."""
    if not done:
        return forecast(count, workers)
    known = f"{done} of {count} notebooks are unchanged since they were graded"
    return f"{known}. {forecast(count - done, workers)}" if done < count else f"{known}."


def publish(
    root: Path,
    course_root: Path,
    workers: int | None = None,
    say: Say = print,
    step: Step = lambda done, total, result: None,
) -> list[Result]:
    """Write feedback pages and scores from the gradebook, as it is after marking; runs nothing."""
    course_root = course_root.resolve()
    known = standing(root, course_root, [])
    tasks = [
        Task(root, course_root, result.lab, result.student, _points_in(result))
        for result in known
        if result.status != "failed"
    ]
    failed = [result for result in known if result.status == "failed"]
    if not tasks and not failed:
        raise CourseError(f"Nothing in {course_root} is graded yet: grade the class first.")
    results = _collected(
        tasks, failed, pooled(tasks, workers or os.cpu_count() or 1, _publish, _lost), step
    )
    _write_files(root, course_root, results)
    everybody, unusable = find_submissions(root, course_root, None, None)
    left = len(everybody) + len(unusable) - len(results)
    if left:
        say(f"Not graded yet, and left out: {left} of {left + len(results)} submissions.")
    return results


def forecast(count: int, workers: int) -> str:
    """How long a class takes: "20 notebooks, about 10 minutes on 2 cores."."""
    used = max(1, min(workers, count))
    minutes = max(1, round(count * SECONDS_EACH / used / 60))
    return (
        f"{count} {'notebook' if count == 1 else 'notebooks'}, about {minutes} "
        f"{'minute' if minutes == 1 else 'minutes'} on {used} {'core' if used == 1 else 'cores'}."
    )


def standing(root: Path, course_root: Path, fresh: list[Result]) -> list[Result]:
    """The result of everything that is handed in: `fresh`, else what earlier runs left.

    A submission that has gone, or was never graded, has none.
    """
    found = {(result.lab, result.student): result for result in fresh}
    tasks, failed = find_submissions(root, course_root, None, None)
    for result in failed:
        found.setdefault((result.lab, result.student), result)
    earlier = read_scores(course_root)
    order = _orders(root, [task.lab for task in tasks])
    if nbgrader_api.database(course_root).is_file():
        with nbgrader_api.quiet(), nbgrader_api.open_gradebook(course_root) as gradebook:
            for task in tasks:
                key = (task.lab, task.student)
                if key in found:
                    continue
                result = _earlier(gradebook, replace(task, points=order[task.lab]), earlier)
                if result is not None:
                    found[key] = result
    return sorted(found.values(), key=lambda result: (result.lab, result.student))


def _earlier(
    gradebook: Gradebook, task: Task, rows: dict[tuple[str, str], dict[str, Any]]
) -> Result | None:
    """What an earlier run left of a submission, or None."""
    row = rows.get((task.lab, task.student), {})
    if task.graded.is_file():
        try:
            return replace(read_result(gradebook, task), seconds=row.get("seconds", 0.0))
        except MissingEntry:  # another gradebook's leavings
            return None
    if row.get("status") != "failed":
        return None
    return Result(task.lab, task.student, "failed", row["maximum"], reason=row["reason"])


def _collected(
    tasks: list[Task],
    results: list[Result],
    coming: Generator[Result, None, None],
    step: Step,
) -> list[Result]:
    """All results in order, once `step` has been told of each."""
    total, results = len(tasks) + len(results), list(results)
    for done, result in enumerate(results, 1):
        step(done, total, result)
    with closing(coming):  # also when `step` is interrupted
        for result in coming:
            results.append(result)
            step(len(results), total, result)
    return sorted(results, key=lambda result: (result.lab, result.student))


def find_submissions(
    root: Path, course_root: Path, labs: list[str] | None, students: list[str] | None
) -> tuple[list[Task], list[Result]]:
    """The submissions to grade, and a failed result for each folder that cannot be one."""
    submitted = course_root / "submitted"
    if not submitted.is_dir():
        raise CourseError(
            f"{course_root} has no folder submitted/: "
            "put each notebook into submitted/<student>/<lab>/<lab>.ipynb."
        )
    if nbgrader_api.unusable_name(str(course_root)):
        raise CourseError(f"{course_root}: {nbgrader_api.unusable_name(str(course_root))}")
    known = [lab.name for lab in pick_labs(root)]
    wanted = [lab.name for lab in pick_labs(root, labs)]
    missing = [name for name in students or [] if not (submitted / name).is_dir()]
    if missing:
        raise CourseError(f"{submitted} has no folder {missing[0]!r}.")
    tasks: list[Task] = []
    failed: list[Result] = []
    for folder in _folders(submitted):
        if students and folder.name not in students:
            continue
        for name in (lab.name for lab in _folders(folder)):
            why = nbgrader_api.unusable_name(folder.name)
            if name not in known:
                why = f"{name} is no lab of this course; the labs are {', '.join(known)}."
            if why:
                failed.append(Result(name, folder.name, "failed", 0.0, reason=why))
            elif name in wanted:
                tasks.append(Task(root, course_root, name, folder.name))
    if not tasks and not failed:
        raise CourseError(f"{submitted} holds no submission: <student>/<lab>/<lab>.ipynb.")
    return tasks, failed


def register(root: Path, course_root: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """Enter labs in the course folder's gradebook; returns the points of their graded cells."""
    course = read_course(root)
    labs = pick_labs(root, names) if names else []
    sources = {lab.name: lab_notebook(lab, course) for lab in labs}
    course_root.mkdir(parents=True, exist_ok=True)
    try:
        nbgrader_api.generate(
            root,
            sources,
            gradebook=nbgrader_api.database(course_root),
        )
    except nbgrader_api.HostError as error:
        if "there are submissions" not in str(error):
            raise
        raise CellsChanged(
            f"A lab has gained or lost a cell since submissions in {course_root} were graded, and "
            "nbgrader cannot mix the two. Grade them in a fresh course folder, or remove "
            f"gradebook.db there: the marks in it are lost then. ({error})"
        ) from error
    if course_root.resolve() != root.resolve():
        _copy_sources(course_root, sources)
    return {name: _points(source) for name, source in sources.items()}


def _copy_sources(course_root: Path, sources: dict[str, NotebookNode]) -> None:
    """nbgrader's formgrader lists the labs that it finds in the course's own source folder."""
    for name, source in sources.items():
        path = course_root / "solutions" / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_text(source), encoding="utf-8")


def _orders(root: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """The points of each lab's graded cells, from the sources alone."""
    course = read_course(root)
    labs = pick_labs(root, sorted(set(names))) if names else []
    return {lab.name: _points(lab_notebook(lab, course)) for lab in labs}


def _points_in(result: Result) -> dict[str, float]:
    return {cell.name: cell.maximum for cell in result.cells}


def _points(source: NotebookNode) -> dict[str, float]:
    return {grade_id(cell): points_of(cell) for cell in source.cells if points_of(cell)}


def _folders(parent: Path) -> Iterator[Path]:
    for path in sorted(parent.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield path


# --- one submission ---------------------------------------------------------------------


def grade_one(task: Task) -> None:
    """Run and grade one submission, and record its scores in the gradebook.

    Raises CourseError when nbgrader gives up.
    """
    nbgrader_api.autograde(
        task.root, task.course_root, task.lab, task.student, task.trusted, task.options
    )


def work(task: Task) -> Result:
    """Everything that is done for one submission; an error becomes a failed result.

    Interrupted, it leaves no receipt: the next run grades the submission again.
    """
    started = time.monotonic()
    notebook, inputs, refused = None, task.inputs, True
    records.remove(task.course_root, task.student, task.lab)
    try:
        check_submission(task)
        refused = False
        marked = _texts_marked(task)
        grade_one(task)
        notebook = nbformat.read(task.graded, as_version=4)
        with nbgrader_api.open_gradebook(task.course_root) as gradebook:
            _keep_marked(gradebook, task, marked)
            apply_marks(gradebook, task)
            result = read_result(gradebook, task)
        result = replace(result, reason=_told(result.reason, notebook))
        nbgrader_api.feedback(task.root, task.course_root, task.lab, task.student)
    except Exception as error:  # whatever a submission can provoke, the next one is graded
        result = failure(task, error)
        refused = refused and isinstance(error, CourseError)
        _withdraw(task)
    result = replace(result, seconds=time.monotonic() - started)
    records.write(task.course_root, records.of(result, notebook, inputs, refused))
    return result


def _told(reason: str, notebook: NotebookNode) -> str:
    """`reason`, and what else the instructor should know of the way the notebook ran."""
    ours = notebook.metadata.get("trickster", {})
    sentences = [reason, *ours.get("check_problems", [])]
    sentences += [f"It met a limit: {limit}" for limit in ours.get("limits_hit", [])]
    if ours.get("kernel_ended"):
        sentences.append(f"Its code was ended: {ours['kernel_ended']}.")
    sentences += [note.for_instructor for note in notes_of(notebook) if note.suspicious]
    return " ".join(filter(None, sentences))


def _publish(task: Task) -> Result:
    """The feedback page and the result of a submission that is graded already."""
    with nbgrader_api.quiet(), nbgrader_api.open_gradebook(task.course_root) as gradebook:
        result = read_result(gradebook, task)
    receipt = records.read(task.course_root, task.student, task.lab)
    if receipt is not None:
        stale = records.checked(receipt, task.notebook).stale
        result = replace(result, reason=stale or receipt.reason)
    try:
        nbgrader_api.feedback(task.root, task.course_root, task.lab, task.student)
    except CourseError as error:  # its score stands; the next page is written
        return replace(result, reason=f"{result.reason} No feedback page: {error}".strip())
    return result


def check_submission(task: Task) -> None:
    """Raise CourseError with the reason why a submission can never be graded."""
    path = task.notebook
    if not os.path.lexists(path):
        others = sorted(path.parent.glob("*.ipynb"))
        hint = f" Rename {others[0].name!r} if it is meant." if others else ""
        raise CourseError(f"{path.name} is missing in its folder.{hint}")
    # nbgrader copies what lies beside the notebook, and would follow a link to anywhere.
    for found in (task.folder.parent, task.folder, *sorted(task.folder.rglob("*"))):
        if found.is_symlink():
            raise CourseError(f"{found.name} is a link to another place: hand in the file itself.")
    submitted = read_submission(path)
    release = nbformat.read(pick_labs(task.root, [task.lab])[0].release, as_version=4)
    check_related(mend(submitted, release), submitted, task.lab)
    check_timestamp(task.folder / records.TIMESTAMP)


def check_timestamp(path: Path) -> None:
    """Raise CourseError where nbgrader could not read the date at which a notebook came in."""
    if not path.exists():
        return
    if not path.is_file() or path.stat().st_size > LONGEST_DATE:
        raise CourseError(f"{path.name} is no date; write {A_DATE}")
    text = path.read_bytes().decode("utf-8", errors="replace").strip()
    try:
        if text:  # nbgrader takes an empty one for none
            parse_utc(text)
    except (ValueError, OverflowError, TypeError) as error:
        raise CourseError(f"{path.name}: {text!r} is no date; write {A_DATE}") from error


def _texts_marked(task: Task) -> dict[str, str]:
    """What a person has marked so far: the text behind each mark that is not in question."""
    if not (nbgrader_api.database(task.course_root).is_file() and task.graded.is_file()):
        return {}
    with nbgrader_api.quiet(), nbgrader_api.open_gradebook(task.course_root) as gradebook:
        try:
            found = gradebook.find_submission_notebook(task.lab, task.lab, task.student)
        except MissingEntry:
            return {}
        names = {
            grade.name
            for grade in found.grades
            if grade.manual_score is not None and not grade.needs_manual_grade
        }
    texts = _texts_behind(task.graded) if names else {}
    return {name: text for name, text in texts.items() if name in names}


def _texts_behind(path: Path) -> dict[str, str]:
    """What a person reads to mark a cell: the answer, or for a test all of the student's code."""
    try:
        cells = read_submission(path).cells
    except CourseError:  # an earlier run was cut off: nothing to compare with
        return {}
    code = "\0".join(cell.source for cell in cells if role(cell) == "solution")
    return {
        grade_id(cell): cell.source if role(cell) == "written" else code
        for cell in cells
        if role(cell) in ("written", "test")
    }


def _keep_marked(gradebook: Gradebook, task: Task, marked: dict[str, str]) -> None:
    """nbgrader asks for every mark again after each run; ask only where the text has changed."""
    now = _texts_behind(task.graded) if marked else {}
    for name, text in marked.items():
        if now.get(name) == text:
            grade = gradebook.find_grade(name, task.lab, task.lab, task.student)
            grade.needs_manual_grade = False
    gradebook.db.commit()


def apply_marks(gradebook: Gradebook, task: Task) -> None:
    """Enter a marker's points for written answers, as formgrader does."""
    for name, points in task.marks.items():
        grade = gradebook.find_grade(name, task.lab, task.lab, task.student)
        grade.manual_score = points
        grade.needs_manual_grade = False
    gradebook.db.commit()


def read_result(gradebook: Gradebook, task: Task) -> Result:
    """One submission's scores, as the gradebook has them."""
    submission = gradebook.find_submission(task.lab, task.student)
    notebook = gradebook.find_submission_notebook(task.lab, task.lab, task.student)
    places = {name: place for place, name in enumerate(task.points)}
    cells = []
    for grade in sorted(notebook.grades, key=lambda grade: places.get(grade.name, len(places))):
        known = grade.manual_score is not None or grade.auto_score is not None
        kind = "test" if grade.cell_type == "code" else "written"
        points = float(grade.score) if known else None
        waiting = bool(grade.needs_manual_grade) or not known
        cells.append(CellScore(grade.name, kind, points, float(grade.max_score), waiting))
    lost = [cell.name for cell in cells if cell.kind == "test" and cell.points is None]
    return Result(
        lab=task.lab,
        student=task.student,
        status="needs marking" if any(cell.waiting for cell in cells) else "graded",
        maximum=sum(cell.maximum for cell in cells),
        cells=tuple(cells),
        penalty=float(submission.late_submission_penalty or 0.0),
        reason=f"no score for {', '.join(lost)}: its cell is missing." if lost else "",
    )


def failure(task: Task, error: Exception) -> Result:
    """The failed result of a submission, with a sentence for the instructor."""
    text = str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"
    if "DeadKernelError" in text:
        text = "its code ended the Python process (an exit, a crash, or too little memory)."
    return Result(task.lab, task.student, "failed", task.maximum, reason=text)


def _withdraw(task: Task) -> None:
    """Take back what an earlier run recorded, so that no score outlives its submission."""
    for step in ("autograded", "feedback"):
        shutil.rmtree(task.course_root / step / task.student / task.lab, ignore_errors=True)
    with nbgrader_api.quiet(), nbgrader_api.open_gradebook(task.course_root) as gradebook:
        try:
            notebook = gradebook.find_submission_notebook(task.lab, task.lab, task.student)
        except MissingEntry:
            return
        for grade in notebook.grades:
            grade.auto_score = None
            grade.needs_manual_grade = True
        gradebook.db.commit()


def run(
    tasks: list[Task], workers: int, began: Began = lambda task: None
) -> Generator[Result, None, None]:
    """The result of each task as it is done, `workers` at a time."""
    return pooled(tasks, workers, work, _lost, began)


def _lost(task: Task) -> Result:
    return failure(task, CourseError("the process that graded it was killed, perhaps for memory."))
