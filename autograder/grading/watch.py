"""What a job may use, and the look from outside at the process that does it.

Nothing inside a process can stop a loop in C, not even Ctrl-C: whoever waits for a job's result
looks on meanwhile, and ends the process where it takes more. Time counts only while somebody
looks, so that a laptop that sleeps and a run that is stopped for a while cost nobody a score.
"""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil

from autograder.course import CourseError

INTERVAL_S = 0.1
LONGEST_STEP_S = 1.0  # between two looks; more than that is a pause, not the job's
LONGEST_PLACE = 200  # bytes
ANSWER, PLACE = b"=", b"@"  # what a message from the job's process begins with

_to_whoever_waits: list[Connection] = []  # in the job's process


class OverLimit(CourseError):
    """Work on a submission needed more than it may use; it would again."""


@dataclass(frozen=True)
class Bounds:
    """What one piece of work may use."""

    what: str  # is being done, for the sentence: "Repairing the notebook"
    computing: int  # seconds of processor time
    waiting: float  # seconds altogether, also on a busy machine
    memory: int = 1024**3  # bytes: of address space in `bounded`, resident in a job's process


def bounds_of(job: Any) -> Bounds | None:
    """What the job with this argument may use; None for one that may use anything."""
    return getattr(job, "bounds", None)


# --- where the result is waited for -----------------------------------------------------------


def result_from(connection: Connection, pid: int, bounds: Bounds | None) -> bytes:
    """The result that the process `pid` sends, which now begins with a job.

    Raises EOFError or OSError where the process ends before, OverLimit where it takes more than
    `bounds`: it must be killed then.
    """
    look = _Look(pid, bounds) if bounds is not None else None
    place = ""
    while True:
        if look is not None and not connection.poll(INTERVAL_S):
            look.again(place)
            continue
        message = connection.recv_bytes()
        if message[:1] == ANSWER:
            return message[1:]
        place = message[1:].decode(errors="replace")


class _Look:
    """What a process has used since it began with a job."""

    def __init__(self, pid: int, bounds: Bounds):
        self.bounds, self.waited = bounds, 0.0
        self._last = time.monotonic()
        try:
            self._process = psutil.Process(pid)
            self._before = _computed(self._process)
        except psutil.Error as error:
            raise EOFError from error

    def again(self, place: str) -> None:
        """Raise OverLimit where it is too much by now; EOFError where the process has ended."""
        now = time.monotonic()
        self.waited += min(now - self._last, LONGEST_STEP_S)
        self._last = now
        try:
            computed = _computed(self._process) - self._before
            memory = _memory(self._process)
        except psutil.Error as error:
            raise EOFError from error
        bounds = self.bounds
        if computed > bounds.computing:
            used = f"{minutes(bounds.computing)} of computing"
        elif self.waited > bounds.waiting:
            used = minutes(bounds.waiting)
        elif memory > bounds.memory:
            used = f"{megabytes(bounds.memory)} of memory"
        else:
            return
        raise OverLimit(f"{bounds.what} took more than {used}{f' (at {place})' if place else ''}.")


def _computed(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system  # its own: the sandbox has other limits


def _memory(process: psutil.Process) -> int:
    """Bytes that are resident or swapped out."""
    try:
        with open(f"/proc/{process.pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return sum(int(fields[name].split()[0]) for name in ("VmRSS", "VmSwap")) * 1024
    except (OSError, KeyError):  # no Linux
        return process.memory_info().rss


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:g} s"


def megabytes(size: int) -> str:
    return f"{size / 1024**2:,.0f} MB"


# --- in the job's process ---------------------------------------------------------------------


def answers_to(connection: Connection) -> None:
    """From now on, results of this process and where it is at go there."""
    _to_whoever_waits[:] = [connection]


def answer(result: bytes) -> None:
    """Send a job's result."""
    _to_whoever_waits[0].send_bytes(ANSWER + result)


def pickled_error(error: Exception) -> bytes:
    """`(False, error)` for the other process; what cannot be pickled goes by its name and text."""
    try:
        result = pickle.dumps((False, error))
        pickle.loads(result)
    except Exception:
        result = pickle.dumps((False, CourseError(f"{type(error).__name__}: {error}")))
    return result


def report(place: str) -> None:
    """Say what the job is at, for the sentence where it takes too much."""
    if _to_whoever_waits:
        _to_whoever_waits[0].send_bytes(PLACE + place.encode(errors="replace")[:LONGEST_PLACE])
