"""Jobs for worker processes that need nothing: what starts for them is up in no time."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, NoReturn

from autograder.environment import one_thread
from autograder.grading import watch
from autograder.grading.watch import Bounds


class InThisProcess(Executor):
    """Does each job at once, while it is submitted: what a test has patched counts there."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with one_thread():
            future.set_result(fn(*args, **kwargs))
        return future


def fragile(student: str) -> str:
    """Stands in for grading: one submission takes its whole process along."""
    if student == "killer":
        os._exit(9)
    return f"graded {student}"


def measured(job: tuple[str, int]) -> dict[str, Any]:
    """Stands in for a benchmark: one job takes its whole process along."""
    if job == ("killer", 2):
        os._exit(1)
    return {"value": len(job[0]) + job[1], "process": os.getpid()}


@dataclass(frozen=True)
class Bounded:
    """A job that may use so much."""

    how: str
    bounds: Bounds


def greedy(job: Bounded) -> str:
    """Stands in for grading a submission that hangs the grader, or fills its memory."""
    watch.report("ask_test")
    if job.how == "computes":
        burn()
    if job.how == "waits":
        time.sleep(600)
    if job.how == "fills":
        kept = []
        while True:
            kept.append(b"x" * 10_000_000)
            time.sleep(0.001)
    return f"did {job.how}"


def burn() -> NoReturn:
    """Hours in one call of C code: no signal handler of Python's runs meanwhile."""
    re.match(r"(a+)+b", "a" * 60)
    raise AssertionError("it came to an end")
