"""Grade the same honest lab 3 notebooks with stock nbgrader and with this course's grader.

    python -m benchmarks.grading_speed                          # about fifteen minutes on two cores
    python -m benchmarks.grading_speed --submissions 6 --stock 1

Both grade real copies of the solution and of the zoo's other right way, in one run on one
machine. nbgrader grades one after the other, in the student's own kernel, with as many threads
as it likes; it gets fewer notebooks, since its seconds a notebook hardly vary. What is compared
is submissions a minute.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log
from tqdm import tqdm
from traitlets.config import Config

from autograder import nbgrader_api
from autograder.cells import to_text
from autograder.course import pick_labs
from autograder.database import database
from autograder.grading import run
from autograder.grading.gradebook import ClassGradebook
from autograder.sample_class.runner import load_specimens
from benchmarks.memory import Peak
from benchmarks.store import ROOT

LAB = "lab3_trickster_noise"
HONEST = ("perfect", "other_way")


def notebooks(count: int) -> dict[str, NotebookNode]:
    """Honest submissions by student, no two of them the same bytes."""
    right = load_specimens(ROOT, [LAB], list(HONEST))
    made = {}
    for number in range(count):
        notebook = right[number % len(right)].notebook.copy()
        notebook.metadata = {**notebook.metadata, "number": number}
        made[f"student{number:02}"] = notebook
    return made


def hand_in(course: Path, submissions: dict[str, NotebookNode]) -> None:
    for student, notebook in submissions.items():
        path = course / "submitted" / student / LAB / f"{LAB}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(to_text(notebook), encoding="utf-8")


def stock(course: Path, submissions: dict[str, NotebookNode]) -> float:
    """Seconds that `nbgrader autograde` takes with its own settings (but for its 30 s a cell)."""
    hand_in(course, submissions)
    ClassGradebook(ROOT, course).register([LAB])
    config = Config()
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.db_url = database(course).url
    config.CourseDirectory.source_directory = "solutions"
    config.CourseDirectory.assignment_id = LAB
    config.ExecutePreprocessor.timeout = 600
    config.Execute.timeout = 600
    began = time.monotonic()
    with nbgrader_api.alembic_in_reach(), nbgrader_api.quiet():
        app = Autograde(coursedir=CourseDirectory(config=config), config=config)
        done = capture_log(app)
    seconds = time.monotonic() - began
    if not done["success"]:
        raise SystemExit(f"nbgrader failed: {done['error'][-2000:]}")
    with nbgrader_api.open_gradebook(course) as gradebook:
        for student in submissions:
            score = sum(
                grade.auto_score or 0
                for grade in gradebook.find_submission_notebook(LAB, LAB, student).grades
            )
            print(f"  nbgrader: {student} {score:g}")
    return seconds


def ours(course: Path, submissions: dict[str, NotebookNode], workers: int) -> tuple[float, int]:
    """Seconds that this course's grader takes, feedback pages and report included; bytes."""
    hand_in(course, submissions)
    began = time.monotonic()
    with Peak("pss", every=0.5) as peak, tqdm(total=len(submissions), desc="this course") as bar:
        results = run.grade_class(
            ROOT,
            course,
            workers=workers,
            say=lambda text: None,
            step=lambda done, total, record: bar.update(),
        )
    seconds = time.monotonic() - began
    wrong = [result for result in results if result.test_points != 21]
    if wrong:
        raise SystemExit(f"An honest submission lost points: {wrong[0]}")
    return seconds, peak.bytes


def main() -> None:
    """Measure and print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=20, help="for this course's grader")
    parser.add_argument("--stock", type=int, default=4, help="of them for stock nbgrader")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    pick_labs(ROOT, [LAB])
    everybody = notebooks(options.submissions)
    few = dict(list(everybody.items())[: options.stock])
    folder = Path(tempfile.mkdtemp(prefix="trickster-speed-"))
    try:
        theirs = stock(folder / "stock", few) / len(few)
        seconds, most = ours(folder / "ours", everybody, options.workers)
    finally:
        shutil.rmtree(folder)
    mine = seconds / len(everybody)
    print(f"{'':26} {'notebooks':>9} {'seconds each':>13} {'a minute':>9}")
    for name, count, each in (
        ("nbgrader autograde", len(few), theirs),
        (f"this course, {options.workers} workers", len(everybody), mine),
    ):
        print(f"{name:26} {count:9} {each:13.1f} {60 / each:9.2f}")
    print(f"{theirs / mine:.1f} times as many a minute; at most {most / 2**20:,.0f} MB a worker")


if __name__ == "__main__":
    main()
