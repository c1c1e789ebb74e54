"""Grades a course folder: `submitted/<student>/<lab>/<lab>.ipynb`, each on its own.

`grade_class` does all of it: the gradebook, the scores, the feedback pages, `scores.csv`
(nbgrader's exporter) and `scores.json`. `grade_one` grades one submission, and is the one
place where a student's code runs. What cannot be graded is reported and stops nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry

from autograder import host
from autograder.author import build_notebook, grade_id, points_of, to_text
from autograder.course import CourseError, pick_labs, read_course

# One thread each: several workers, or a machine with more cores, must not change a score.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
Say = Callable[[str], None]
Marks = Mapping[tuple[str, str], dict[str, float]]  # (lab, student) → written answer → points


@dataclass(frozen=True)
class CellScore:
    """What one graded cell gave; `points` is None while nobody has marked it."""

    name: str
    kind: str  # "test" or "written"
    points: float | None
    maximum: float
    waiting: bool = False  # for a person, who may have marked an earlier version


@dataclass(frozen=True)
class Task:
    """One submission to be graded."""

    root: Path
    course_root: Path
    lab: str
    student: str
    points: dict[str, float] = field(default_factory=dict)  # of each graded cell, in order
    marks: dict[str, float] = field(default_factory=dict)

    @property
    def maximum(self) -> float:
        return sum(self.points.values())

    @property
    def folder(self) -> Path:
        return self.course_root / "submitted" / self.student / self.lab

    @property
    def graded(self) -> Path:
        """The notebook as it was run by the autograder."""
        return self.course_root / "autograded" / self.student / self.lab / f"{self.lab}.ipynb"


@dataclass(frozen=True)
class Result:
    """What became of one submission."""

    lab: str
    student: str
    status: str  # "graded", "needs marking" or "failed"
    maximum: float
    cells: tuple[CellScore, ...] = ()
    penalty: float = 0.0  # taken off for handing in late
    reason: str = ""  # why it failed, or what else the instructor should know
    seconds: float = 0.0

    @property
    def score(self) -> float:
        return max(0.0, sum(cell.points or 0.0 for cell in self.cells) - self.penalty)

    @property
    def test_points(self) -> float:
        return sum(cell.points or 0.0 for cell in self.cells if cell.kind == "test")


def grade_class(
    root: Path,
    course_root: Path,
    labs: list[str] | None = None,
    students: list[str] | None = None,
    workers: int | None = None,
    marks: Marks | None = None,
    say: Say = print,
    step: Callable[[int, int, Result], None] = lambda done, total, result: None,
) -> list[Result]:
    """Grade every submission in a course folder; `step` is told of each as it is done."""
    course_root = course_root.resolve()
    tasks, results = find_submissions(root, course_root, labs, students)
    total = len(tasks) + len(results)
    names = sorted({task.lab for task in tasks})
    say(f"{total} submissions; registering {len(names)} labs in the gradebook ...")
    points = register(root, course_root, names)
    marks = marks or {}
    tasks = [
        replace(task, points=points[task.lab], marks=marks.get((task.lab, task.student), {}))
        for task in tasks
    ]
    with host.open_gradebook(course_root, read_course(root).id) as gradebook:
        for student in sorted({task.student for task in tasks}):
            gradebook.update_or_create_student(student)
    for done, result in enumerate(results, 1):
        step(done, total, result)
    for result in run(tasks, workers or os.cpu_count() or 1):
        results.append(result)
        step(len(results), total, result)
    results.sort(key=lambda result: (result.lab, result.student))
    host.export_csv(course_root, course_root / "scores.csv")
    (course_root / "scores.json").write_text(as_json(results), encoding="utf-8")
    return results


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
    if host.unusable_name(str(course_root)):
        raise CourseError(f"{course_root}: {host.unusable_name(str(course_root))}")
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
            why = host.unusable_name(folder.name)
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
    sources = {lab.name: build_notebook(lab, course) for lab in labs}
    course_root.mkdir(parents=True, exist_ok=True)
    try:
        host.generate(
            root,
            sources,
            gradebook=host.database(course_root),
        )
    except host.HostError as error:
        if "there are submissions" not in str(error):
            raise
        raise CourseError(
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


def _points(source: NotebookNode) -> dict[str, float]:
    return {grade_id(cell): points_of(cell) for cell in source.cells if points_of(cell)}


def _folders(parent: Path) -> Iterator[Path]:
    for path in sorted(parent.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield path


# --- one submission ---------------------------------------------------------------------


def grade_one(task: Task) -> None:
    """Run and grade one submission, and record its scores in the gradebook.

    The only place where a student's code runs. Raises CourseError when nbgrader gives up.
    """
    with one_thread():
        host.autograde(task.root, task.course_root, task.lab, task.student)


def work(task: Task) -> Result:
    """Everything that is done for one submission; an error becomes a failed result."""
    started = time.monotonic()
    try:
        check_submission(task)
        grade_one(task)
        with host.open_gradebook(task.course_root) as gradebook:
            apply_marks(gradebook, task)
            result = read_result(gradebook, task)
        host.feedback(task.root, task.course_root, task.lab, task.student)
    except Exception as error:  # whatever a submission can provoke, the next one is graded
        result = failure(task, error)
        _withdraw(task)
    return replace(result, seconds=time.monotonic() - started)


def check_submission(task: Task) -> None:
    """Raise CourseError with the reason why a submission is no notebook of its lab."""
    path = task.folder / f"{task.lab}.ipynb"
    if not path.is_file():
        others = sorted(path.parent.glob("*.ipynb"))
        hint = f" Rename {others[0].name!r} if it is meant." if others else ""
        raise CourseError(f"{path.name} is missing in its folder.{hint}")
    names = [grade_id(cell) for cell in read_notebook(path).cells if grade_id(cell)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CourseError(f"{path.name} has more than one cell {twice[0]}: remove the copies.")
    if not set(names) & set(task.points):
        raise CourseError(
            f"{path.name} has none of this lab's graded cells: it is another notebook, "
            "or its cells have lost nbgrader's metadata."
        )


def read_notebook(path: Path) -> NotebookNode:
    """A student's notebook, or CourseError with what is wrong with the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CourseError(f"{path.name} is not text in UTF-8: it is damaged.") from error
    if not text.strip():
        raise CourseError(f"{path.name} is empty.")
    try:
        json.loads(text)
    except ValueError as error:
        raise CourseError(f"{path.name} is not valid JSON: {error}.") from error
    try:
        with host.quiet():
            notebook = nbformat.reads(text, as_version=4)
            nbformat.validate(notebook)
    except Exception as error:  # nbformat raises many kinds for odd JSON
        reason = str(error).strip().split("\n")[0]
        raise CourseError(f"{path.name} is no Jupyter notebook: {reason}") from error
    return notebook


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
    order = list(task.points)
    cells = []
    for grade in sorted(notebook.grades, key=lambda grade: order.index(grade.name)):
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
        maximum=task.maximum,
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
    with host.quiet(), host.open_gradebook(task.course_root) as gradebook:
        try:
            notebook = gradebook.find_submission_notebook(task.lab, task.lab, task.student)
        except MissingEntry:
            return
        for grade in notebook.grades:
            grade.auto_score = None
            grade.needs_manual_grade = True
        gradebook.db.commit()


# --- many submissions -------------------------------------------------------------------


@contextmanager
def one_thread() -> Iterator[None]:
    """Kernels started in here compute with one thread."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def run(tasks: list[Task], workers: int) -> Iterator[Result]:
    """The result of each task as it is done, `workers` at a time."""
    if workers <= 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    left = dict.fromkeys(range(len(tasks)))
    for number, result in _pooled(tasks, workers):
        del left[number]
        yield result
    for number in left:  # a worker died and took its pool along: the rest runs one by one
        alone = next(_pooled([tasks[number]], 1), None)
        lost = CourseError("the process that graded it was killed, perhaps for its memory.")
        yield alone[1] if alone else failure(tasks[number], lost)


def _pooled(tasks: list[Task], workers: int) -> Iterator[tuple[int, Result]]:
    """Numbered results from a pool of processes; those that a dead worker lost are left out."""
    spawn: Any = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=spawn)
    try:
        futures = {pool.submit(work, task): number for number, task in enumerate(tasks)}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                continue
    finally:
        pool.shutdown(cancel_futures=True)


# --- the report for machines ---------------------------------------------------------------


def as_dict(result: Result) -> dict[str, Any]:
    """One result in plain values."""
    return {
        "lab": result.lab,
        "student": result.student,
        "status": result.status,
        "score": result.score,
        "maximum": result.maximum,
        "penalty": result.penalty,
        "reason": result.reason,
        "seconds": round(result.seconds, 1),
        "cells": {
            cell.name: {"kind": cell.kind, "points": cell.points, "maximum": cell.maximum}
            for cell in result.cells
        },
    }


def as_json(results: list[Result]) -> str:
    """What `scores.json` holds."""
    return json.dumps([as_dict(result) for result in results], indent=1, ensure_ascii=False) + "\n"
