"""What a dask worker does for a class: each job in a process of the autograder's own.

So the worker's event loop is never kept waiting, a job that dies takes nothing else along, and a
run that is given up ends at once. The jobs' processes end with the worker, or when they have been
idle. dask's scheduler reads the names in this module too: nothing heavy is imported here.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, NamedTuple

from autograder.course import CourseError
from autograder.environment import ONE_THREAD
from autograder.grading import watch
from autograder.grading.executor import Lost, die_with
from autograder.grading.watch import Bounds, OverLimit

ROOT = Path(__file__).resolve().parents[2]
IDLE_S = 600
PROGRAM = (
    "import sys; from autograder.grading.cluster_worker import serve; "
    "serve(int(sys.argv[1]), int(sys.argv[2]))"
)


class Parcel:
    """Something pickled, of which no log and no dashboard shows more than the size.

    dask counts it as a few bytes, so it never moves one from memory to a disk.
    """

    def __init__(self, content: bytes):
        self.content = content

    @classmethod
    def of(cls, value: Any) -> Parcel:
        return cls(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    def open(self) -> Any:
        return pickle.loads(self.content)

    def __repr__(self) -> str:
        return f"<{len(self.content)} bytes>"


class Done(NamedTuple):
    """A job's result."""

    value: Any


class NotDone(NamedTuple):
    """Why there is no result."""

    reason: str


class JobProcess:
    """A process that does one job after the other."""

    def __init__(self) -> None:
        self.run = ""
        self._connection, theirs = Pipe()
        self._process = _starter.submit(_start, theirs).result()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def do(self, job: bytes, bounds: Bounds | None) -> bytes:
        """The pickled result. Raises EOFError, OSError or OverLimit, as `result_from` does."""
        self._connection.send_bytes(job)
        return watch.result_from(self._connection, self._process.pid, bounds)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


# A process ends with the *thread* that started it (`die_with`): this one lives as long as dask's.
_starter = ThreadPoolExecutor(1, "job-starter")
_lock = threading.Lock()
_idle: list[JobProcess] = []
_busy: set[JobProcess] = set()


def _start(theirs: Connection) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM, str(theirs.fileno()), str(os.getpid())],
        pass_fds=[theirs.fileno()],
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is for the worker alone
    )


def work(job: Parcel, run: str, bounds: Bounds | None = None) -> Parcel:
    """Do a job, a pickled (function, argument); returns `Done` or `NotDone`, pickled.

    A job that takes more than `bounds` is `Lost`: it would be so on any machine.
    """
    with _lock:
        _idle[:] = [process for process in _idle if process.alive]
        process = _idle.pop() if _idle else None
    process = process or JobProcess()
    process.run = run
    with _lock:
        _busy.add(process)
    try:
        answer = process.do(job.content, bounds)
    except OverLimit as error:
        process.end()
        return Parcel.of(Done(Lost(error)))
    except (EOFError, OSError):
        process.end()
        return Parcel.of(NotDone("the process that did it was killed, perhaps for memory"))
    finally:
        with _lock:
            _busy.discard(process)
    with _lock:
        _idle.append(process)
    return Parcel(answer)


def end_run(run: str) -> None:
    """End what this worker does for a run, and the processes that have nothing to do."""
    with _lock:
        ended = [*_idle, *(process for process in _busy if process.run == run)]
        _idle.clear()
    for process in ended:
        process.end()


# --- in the job's process ---------------------------------------------------------------------


def serve(descriptor: int, parent: int) -> None:
    """Do jobs until the worker ends, or sends none for a while."""
    die_with(parent)
    from autograder.grading.shared_cache import shared_cache

    connection = Connection(descriptor)
    watch.answers_to(connection)
    with shared_cache():
        while connection.poll(IDLE_S):
            try:
                job = connection.recv_bytes()
            except EOFError:
                return
            watch.answer(pickle.dumps(_done(job)))


def _done(job: bytes) -> Done | NotDone:
    try:
        function: Callable[[Any], Any]
        function, argument = pickle.loads(job)
        return Done(function(argument))
    except CourseError as error:
        return NotDone(str(error))
    except Exception as error:
        return NotDone(f"{type(error).__name__}: {error}")
