"""A pool of processes that grade: one notebook each at a time, one thread each.

A worker that dies takes nobody's result along, and none outlives the process that started it.
Ctrl-C reaches the parent alone: it ends the workers, and with them what they were doing.
"""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from autograder.course import CourseError
from autograder.environment import one_thread

PR_SET_PDEATHSIG = 1
LOCK = ".grading"
Job = TypeVar("Job")
Done = TypeVar("Done")


def pooled(
    jobs: list[Job],
    workers: int,
    work: Callable[[Job], Done],
    lost: Callable[[Job], Done],
    began: Callable[[Job], None] = lambda job: None,
) -> Generator[Done, None, None]:
    """What `work` makes of each job, as it is done, `workers` at a time.

    `lost` makes the result of a job whose worker died, also when it was tried alone.
    """
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            began(job)
            with one_thread():
                yield work(job)
        return
    left = dict.fromkeys(range(len(jobs)))
    with closing(_pool(jobs, workers, work, began)) as coming:
        for number, result in coming:
            del left[number]
            yield result
    for number in left:  # a worker died and took its pool along: the rest runs one by one
        with closing(_pool([jobs[number]], 1, work, began)) as coming:
            alone = next(coming, None)
        yield alone[1] if alone else lost(jobs[number])


def _pool(
    jobs: list[Job], workers: int, work: Callable[[Job], Done], began: Callable[[Job], None]
) -> Generator[tuple[int, Done], None, None]:
    """Numbered results from a pool of processes; ends early when a worker has died.

    A job is handed over only when a worker is free, so that `began` tells the truth. Closed
    before its end, or interrupted, it kills the workers: nobody waits for running jobs.
    """
    spawn: Any = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with one_thread():
        pool = ProcessPoolExecutor(
            min(workers, len(jobs)), spawn, initializer=_prepare, initargs=(os.getpid(),)
        )
        waiting, running = list(enumerate(jobs)), {}
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    number, job = waiting.pop(0)
                    with _no_interrupt():  # a worker that is starting inherits this
                        running[pool.submit(work, job)] = number
                    began(job)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool:
            return
        except BaseException:
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Holds Ctrl-C back until this is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(parent: int) -> None:
    """Make this worker leave Ctrl-C to its parent, and end when that is killed.

    The next run must be alone in its folder.
    """
    # Not SIG_IGN, which a student's kernel would inherit: it could not be interrupted any more.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with(parent)


def die_with(parent: int) -> None:
    """End this process when its parent is killed."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else grades in this course folder meanwhile; CourseError if somebody does.

    The lock is the system's: it goes when this process does, however that ends.
    """
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CourseError(
                f"Another run is grading {folder}: wait until it ends, then run this again."
            ) from error
        yield
