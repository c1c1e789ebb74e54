"""Jobs for worker processes that need nothing: what starts for them is up in no time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import pytest

from autograder.environment import one_thread
from autograder.grading import executor, run, single, watch
from autograder.grading.watch import Bounds


class InThisProcess(Executor):
    """Does each job at once, while it is submitted: what a test has patched counts there."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with one_thread():
            future.set_result(fn(*args, **kwargs))
        return future


@contextmanager
def graded_here() -> Iterator[None]:
    """Meanwhile, what grades one submission after the other starts no process for that.

    Such a process needs seconds to begin, and has tests of its own.
    """

    def workers_for(jobs: int, workers: int) -> Executor:
        alone = min(jobs, workers) <= 1
        return InThisProcess() if alone else executor.workers_for(jobs, workers)

    def in_own_process(function: Callable[[Any], Any], argument: Any) -> Any:
        return InThisProcess().submit(function, argument).result()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "workers_for", workers_for)
        patch.setattr(single, "in_own_process", in_own_process)
        yield


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
