"""Does work on a student's text in a process of its own, within limits of time and memory.

A text can be made so that a parser or a regular expression needs hours for it, and nothing within
a process can stop those. Linux holds the limits; elsewhere the work is done without them.
"""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

from autograder.course import CourseError
from autograder.grading.executor import die_with
from autograder.grading.watch import Bounds, OverLimit, megabytes, pickled_error

OUT_OF_MEMORY = 3  # the exit code
MAX_ANSWER = 256 * 1024**2  # bytes
P = ParamSpec("P")
R = TypeVar("R")


def within(bounds: Bounds, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What the function returns or raises, both of which must be picklable.

    Raises OverLimit where it needs too much, CourseError where it gives no answer in time.
    """
    if not sys.platform.startswith("linux"):
        return function(*args, **kwargs)
    reader, writer = os.pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads:
        child = os.fork()  # it runs our own code only, prints nothing, and does not clean up
    if child == 0:
        _work(bounds, parent, writer, lambda: function(*args, **kwargs))
    os.close(writer)
    status = None
    try:
        answer = _received(bounds, reader)
        status = os.waitpid(child, 0)[1]
    finally:
        os.close(reader)
        if status is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    if status:
        raise _reason(bounds, status)
    succeeded, value = pickle.loads(answer)
    if succeeded:
        return value
    raise value


def _work(bounds: Bounds, parent: int, writer: int, function: Callable[[], Any]) -> NoReturn:
    """What the child does; it answers and ends."""
    code = 1
    try:
        die_with(parent)
        _limit(bounds)
        try:
            answer = pickle.dumps((True, function()))
        except MemoryError:
            raise
        except Exception as error:
            answer = pickled_error(error)
        with os.fdopen(writer, "wb") as file:
            file.write(answer)
        code = 0
    except MemoryError:
        code = OUT_OF_MEMORY
    finally:
        os._exit(code)


def _limit(bounds: Bounds) -> None:
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115
    size = pages * resource.getpagesize() + bounds.memory
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    size = size if most == resource.RLIM_INFINITY else min(size, most)
    resource.setrlimit(resource.RLIMIT_AS, (size, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (bounds.computing, bounds.computing + 1))


def _received(bounds: Bounds, reader: int) -> bytes:
    """All that the child writes until it ends."""
    until = time.monotonic() + bounds.waiting
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    parts, size = [], 0
    while True:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1_000):
            raise CourseError(
                f"{bounds.what} took longer than {bounds.waiting:g} s. On a machine that is less "
                "busy it may succeed."
            )
        block = os.read(reader, 1024**2)
        if not block:
            return b"".join(parts)
        parts.append(block)
        size += len(block)
        if size > MAX_ANSWER:
            raise OverLimit(f"{bounds.what} gives more than {megabytes(MAX_ANSWER)}, the limit.")


def _reason(bounds: Bounds, status: int) -> CourseError:
    """Why the child has ended without an answer."""
    code = os.waitstatus_to_exitcode(status)
    if code == OUT_OF_MEMORY:
        return OverLimit(f"{bounds.what} needs more than {megabytes(bounds.memory)} of memory.")
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return OverLimit(
            f"{bounds.what} takes more than {bounds.computing} s of computing: some text in it "
            "is far too long or odd."
        )
    return CourseError(f"{bounds.what} ended without a result ({code}).")
