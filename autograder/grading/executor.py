"""Runs jobs on any `concurrent.futures.Executor`, and the one that this machine's cores make.

A worker that dies costs nobody else's result, and its own job is tried once more, alone. The
default executor starts processes that compute with one thread each. None of them outlives the
process that started it, and Ctrl-C reaches that one only: it ends the workers, and with them
what they were doing.
"""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing
import os
import signal
import sys
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from autograder.course import CourseError
from autograder.environment import one_thread

PR_SET_PDEATHSIG = 1
LOCK = ".grading"


class Call(NamedTuple):
    """One piece of work: a module's function and its argument, both of which can be pickled."""

    function: Callable[[Any], Any]
    argument: Any
    key: Any = None  # the caller's own, which stays here


class Lost(NamedTuple):
    """In place of a result: what the executor raised, twice."""

    error: BaseException


def completed(
    executor: Executor, workers: int, next_call: Callable[[], Call | None]
) -> Iterator[tuple[Call, Any]]:
    """Each call with its result, as they are done, `workers` at a time.

    Remote workers say themselves how many they are: that changes while they work.
    `next_call` gives what is to be done next, or None while there is nothing: it is asked again
    after each result, so that a result can bring new work. It is asked only when a worker is
    free. The functions must not raise: an exception is taken for the death of a worker, whose
    call is then repeated while no other runs. If that fails as well, its result is `Lost`.
    """
    slots = (lambda: executor.slots) if isinstance(executor, RemoteWorkers) else (lambda: workers)
    running: dict[Future[Any], Call] = {}
    suspects: deque[Call] = deque()
    try:
        while True:
            while len(running) < slots() and not suspects and (call := next_call()) is not None:
                running[executor.submit(call.function, call.argument)] = call
            if not running and not suspects:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                call = running.pop(future)
                if _error_of(future) is None:
                    yield call, future.result()
                else:
                    suspects.append(call)
            while suspects and not running:
                yield _repeated(executor, suspects.popleft())
    finally:
        for future in running:
            future.cancel()


def _error_of(future: Future[Any]) -> BaseException | None:
    return CancelledCall() if future.cancelled() else future.exception()


class CancelledCall(Exception):
    """An executor gave a call up."""


def _repeated(executor: Executor, call: Call) -> tuple[Call, Any]:
    future = executor.submit(call.function, call.argument)
    wait([future])
    error = _error_of(future)
    return call, (future.result() if error is None else Lost(error))


class RemoteWorkers(Executor):
    """Workers that are not this machine's. They prove their sandbox, and come and go.

    They repeat by themselves what they lose; a result may be `Lost`.
    """

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many jobs they can do at once, at this moment; at least 1."""


class InThisProcess(Executor):
    """Does each job at once, while it is submitted: for one job, or one worker."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with one_thread():
            future.set_result(fn(*args, **kwargs))
        return future


class WorkerProcesses(Executor):
    """Processes on this machine, new ones in place of a pool that has lost one.

    Left with an exception, it kills them: nobody waits for jobs that are running.
    """

    def __init__(self, workers: int):
        self.workers = workers
        self._others = set(multiprocessing.active_children())
        self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        spawn: Any = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            self.workers, spawn, initializer=_prepare, initargs=(os.getpid(),)
        )

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with one_thread(), _no_interrupt():  # a worker that is starting inherits both
            try:
                return self._pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                self._pool = self._new_pool()
                return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def __exit__(self, kind: Any, *details: Any) -> None:
        if kind is not None:
            for worker in set(multiprocessing.active_children()) - self._others:
                worker.kill()
        self.shutdown(cancel_futures=True)


def workers_for(jobs: int, workers: int) -> Executor:
    """What runs this many jobs on this machine, `workers` at a time."""
    used = min(workers, jobs)
    return WorkerProcesses(used) if used > 1 else InThisProcess()


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
    """Keeps other runs out of this course folder; CourseError if one is there.

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
