"""Grade the same honest lab 3 notebooks with stock nbgrader and with this course's grader.

    python -m benchmarks.grading_speed --results build/speed
    python -m benchmarks.grading_speed --results build/look --rounds 1

Both grade copies of the solution and of the zoo's other right way, in turns, in one run on one
machine. nbgrader grades one after the other, in the student's own kernel, with as many threads as
it likes; it gets fewer notebooks, since its seconds a notebook hardly vary. This course's grader
has as many workers as the machine has cores, and writes feedback pages and the report as well.
Seconds are wall-clock time: measure on a machine that does nothing else.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log
from traitlets.config import Config

from autograder import nbgrader_api
from autograder.cells import to_text
from autograder.database import database
from autograder.grading.gradebook import ClassGradebook
from autograder.grading.run import grade_class
from autograder.sample_class.runner import load_specimens
from benchmarks import cli
from benchmarks.formatting import markdown_table, plural
from benchmarks.memory import Peak
from benchmarks.store import ROOT, Job, Measurement, Results

PART = "grading_speed"
LAB = "lab3_trickster_noise"
HONEST = ("perfect", "other_way")
NOTEBOOKS = {"nbgrader": 2, "ours": 6}  # a round


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


def stock(course: Path, submissions: dict[str, NotebookNode]) -> Measurement:
    """What `nbgrader autograde` takes with its own settings (but for its 30 s a cell)."""
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
        points = [
            sum(
                grade.auto_score or 0
                for grade in gradebook.find_submission_notebook(LAB, LAB, student).grades
            )
            for student in submissions
        ]
    return {"seconds": seconds, "points": points}


def ours(course: Path, submissions: dict[str, NotebookNode]) -> Measurement:
    """What this course's grader takes; its largest worker in bytes."""
    hand_in(course, submissions)
    began = time.monotonic()
    with Peak("pss", every=0.5) as peak:
        results = grade_class(ROOT, course, workers=os.cpu_count() or 1, say=lambda text: None)
    seconds = time.monotonic() - began
    points = [result.test_points for result in results]
    return {"seconds": seconds, "points": points, "bytes": peak.bytes}


def run(job: Job) -> Measurement:
    """One round of one grader."""
    whose, _ = job
    with tempfile.TemporaryDirectory(prefix="trickster-speed-") as folder:
        grade = stock if whose == "nbgrader" else ours
        return grade(Path(folder), notebooks(NOTEBOOKS[whose]))


def section(results: Results) -> str:
    """The table, and the ratio round by round."""
    rows, each = [], {}
    for whose, name in (("nbgrader", "`nbgrader autograde`"), ("ours", "this course")):
        rounds = [result for job, result in results if job[0] == whose]
        each[whose] = [one["seconds"] / len(one["points"]) for one in rounds]
        points = sorted({value for one in rounds for value in one["points"]})
        found = " and ".join(f"{value:g}" for value in points)
        seconds = float(np.median(each[whose]))
        count = sum(len(one["points"]) for one in rounds)
        rows.append((name, count, f"{seconds:.1f}", f"{60 / seconds:.1f}", found))
    ratios = [a / b for a, b in zip(each["nbgrader"], each["ours"], strict=True)]
    most = max(result["bytes"] for job, result in results if job[0] == "ours")
    head = ("", "notebooks", "seconds each", "notebooks a minute", "points of each")
    return (
        f"{plural(len(ratios), 'round')} in turns on the same honest notebooks of lab 3; medians. "
        "Seconds are wall-clock time, and other work on the machine counts: compare the two, which "
        f"had the same.\n\n{markdown_table(head, rows)}\n\nThis course grades "
        f"**{np.median(ratios):.1f} times as many notebooks a minute** (round by round "
        f"{min(ratios):.1f} to {max(ratios):.1f}); a worker needs at most {most / 2**20:,.0f} MB."
    )


def jobs(rounds: int = 3) -> list[Job]:
    """Both graders in turns."""
    return [(whose, number) for number in range(rounds) for whose in NOTEBOOKS]


def main() -> None:
    from benchmarks import grading_speed  # processes of the grader import it under its name

    cli.main(grading_speed, timed=True)


if __name__ == "__main__":
    main()
