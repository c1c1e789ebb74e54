"""Runs jobs on any `concurrent.futures.Executor`, and the one that this machine's cores make.

A worker that dies costs nobody else's result, and its own job is tried once more, alone. One that
takes more time or memory than its job may use is killed, and that job is given up. The default
executor starts processes that compute with one thread each. None of them outlives the process that
started it, and Ctrl-C reaches that one only: it ends the workers, and with them what they were
doing, even a loop in C.
"""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from autograder.course import CourseError
from autograder.environment import one_thread
from autograder.grading import watch
from autograder.grading.watch import Bounds, OverLimit, bounds_of

PR_SET_PDEATHSIG = 1
LAST_WORDS_S = 10  # for a worker without jobs to end by itself
LOCK = ".grading"


class Call(NamedTuple):
    """One piece of work: a module's function and its argument, both of which can be pickled."""

    function: Callable[[Any], Any]
    argument: Any
    key: Any = None  # the caller's own, which stays here


class Lost(NamedTuple):
    """In place of a result: what the executor raised, twice, or that the job took too much."""

    error: BaseException


def completed(
    executor: Executor, workers: int, next_call: Callable[[], Call | None]
) -> Iterator[tuple[Call, Any]]:
    """Each call with its result, as they are done, `workers` at a time.

    Remote workers say themselves how many they are: that changes while they work.
    `next_call` gives what is to be done next, or None while there is nothing: it is asked again
    after each result, so that a result can bring new work. It is asked only when a worker is
    free. The functions must not raise: an exception is taken for the death of a worker, whose
    call is then repeated while no other runs. If that fails as well, its result is `Lost`; so it
    is at once where the call took more than it may use.
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
                error = _error_of(future)
                if error is None:
                    yield call, future.result()
                elif isinstance(error, OverLimit):
                    yield call, Lost(error)
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


class LostWorker(Exception):
    """A worker has ended in the middle of a job."""


class _Worker:
    """A process on this machine that does one job after the other."""

    def __init__(self) -> None:
        spawn: Any = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(theirs, os.getpid()))
        with one_thread(), _no_interrupt():  # it inherits both
            self.process.start()
        theirs.close()

    def do(self, job: bytes, bounds: Bounds | None) -> tuple[bool, Any]:
        """Whether the job succeeded, and what it returned or raised."""
        self._connection.send_bytes(job)
        return pickle.loads(watch.result_from(self._connection, self.process.pid, bounds))

    def dismiss(self) -> None:
        """Let it end by itself, as it has nothing to do."""
        self._connection.close()
        self.process.join(LAST_WORDS_S)
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


class WorkerProcesses(Executor):
    """Processes on this machine, which start when they are needed and take the place of lost ones.

    An argument that has `bounds` says what its job may use: a worker that takes more is killed, and
    the job raises OverLimit. Left with an exception, this kills all of them: nobody waits for jobs
    that are running.
    """

    def __init__(self, workers: int):
        self._threads = ThreadPoolExecutor(workers, "waits-for-a-job")
        # A worker ends with the *thread* that started it (`die_with`): this one stays.
        self._starter = ThreadPoolExecutor(1, "starts-workers")
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._over = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        bounds = bounds_of(args[0]) if args else None
        return self._threads.submit(self._do, pickle.dumps((fn, args, kwargs)), bounds)

    def _do(self, job: bytes, bounds: Bounds | None) -> Any:
        worker = self._free()
        try:
            succeeded, value = worker.do(job, bounds)
        except BaseException as error:
            with self._lock:
                self._all.discard(worker)
            worker.kill()
            if isinstance(error, OverLimit):
                raise
            raise LostWorker("its process was killed") from error
        with self._lock:
            self._idle.append(worker)
        if succeeded:
            return value
        raise value

    def _free(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        worker = self._starter.submit(_Worker).result()
        with self._lock:
            self._all.add(worker)
            over = self._over
        if over:
            worker.kill()
        return worker

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            for worker in self._all:
                worker.dismiss()
            self._all.clear()
            self._starter.shutdown()

    def __exit__(self, kind: Any, *details: Any) -> None:
        if kind is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            with self._lock:
                self._over, running = True, list(self._all)
            for worker in running:
                worker.kill()
        self.shutdown(cancel_futures=True)


def workers_for(jobs: int, workers: int) -> WorkerProcesses:
    """What runs this many jobs on this machine, `workers` at a time.

    Also one job has a process of its own: this one must be able to end it.
    """
    return WorkerProcesses(max(1, min(workers, jobs)))


def in_own_process(function: Callable[[Any], Any], argument: Any) -> Any:
    """What the function returns or raises; OverLimit, LostWorker where its process does not end."""
    with WorkerProcesses(1) as pool:
        return pool.submit(function, argument).result()


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


def _serve(connection: Connection, parent: int) -> None:
    """Do jobs, in a worker, until there are none."""
    _prepare(parent)
    watch.answers_to(connection)
    while True:
        try:
            function, args, kwargs = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        try:
            result = pickle.dumps((True, function(*args, **kwargs)))
        except Exception as error:
            result = watch.pickled_error(error)
        watch.answer(result)


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
