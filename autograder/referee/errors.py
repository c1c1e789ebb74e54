"""The errors that can occur between a check and a student's code.

`StudentError` is what the student's code raised, `Stopped` means that it cannot be called any more,
`CourseBug` that the check itself is wrong, `MachineFault` that the grader's machine failed.
"""

from __future__ import annotations

import builtins
import importlib
from functools import lru_cache
from typing import Any, NamedTuple

from autograder.course import CourseError

# Modules whose exceptions a student's code may raise and a check may expect, beside builtins.
EXPECTED_MODULES = ("trickster.api", "trickster.withheld")
MAX_TEXT, MAX_TRACEBACK = 2_100, 8_100  # characters


class StudentError(Exception):
    """Something that the student's code raised, under the name of its class there.

    It is also an instance of the builtin or course-library class that it was there.
    ``notebook_line`` is the deepest (function, line) in the notebook.
    """

    notebook_line: tuple[str, str] | None = None
    traceback_text: str = ""
    text: str = ""

    def __str__(self) -> str:
        return self.text


class Stopped(Exception):
    """The student's code can't be called any more; the text tells the student why."""

    # What a check says where it has already shown the full text.
    plain = "your code could not be called any more, as explained above."


class TimeLimitExceeded(Stopped):
    """The student's code took longer than it may."""

    plain = "your code took too long, as explained above."


class KernelDied(Stopped):
    """The student's Python process has ended."""

    plain = "the Python process had ended, as explained above."


class ProtocolError(Stopped):
    """What came from the student's process was not a valid answer."""


class CourseBug(BaseException):
    """A check or a test cell is wrong. No ``except Exception`` in a check may hide it."""


class MachineFault(BaseException):
    """The grader's machine failed: nobody's answer. No ``except Exception`` in a check may hide it.

    It leaves the referee as `NotTested`.
    """

    @classmethod
    def by(cls, error: BaseException) -> MachineFault:
        return cls(f"{type(error).__name__}: {error}")


class NotTested(CourseError):
    """A test could not run, and not for what the student wrote: nobody gets points for it, or 0."""

    def __init__(self, reason: object):
        super().__init__(
            f"The machine that graded it failed, not the submission: {reason}. Mend that, and "
            "grade it again."
        )


class RemoteErrorDescription(NamedTuple):
    """What `agent.describe` says of something raised in the student's kernel."""

    name: str
    kinds: list[str]
    text: str
    attributes: dict[str, Any]
    location: list[str]
    traceback_text: str
    ref: int

    def check(self) -> None:
        """Raises TypeError if a field is not what it should be."""
        texts = [
            self.name,
            self.text,
            self.traceback_text,
            *self.kinds,
            *self.location,
            *self.attributes,
        ]
        valid = (
            all(type(text) is str for text in texts)
            and (type(self.kinds), type(self.location)) == (list, list)
            and type(self.attributes) is dict
            and type(self.ref) is int
            and len(self.location) in (0, 2)
            and len(self.kinds) <= 20
        )
        if not valid:
            raise TypeError

    def notebook_line(self) -> tuple[str, str] | None:
        """The deepest (function, line) in the notebook, if there is one."""
        return (self.location[0][:80], self.location[1][:MAX_TEXT]) if self.location else None

    def error(self) -> StudentError:
        """The exception that a check sees."""
        kind = next(filter(None, map(expected_class, self.kinds)), Exception)
        made = _error_class(valid_class_name(self.name, "Exception"), kind)
        # Python finds MemoryError.__new__ unsafe for a class that has another exception as well.
        error = (Exception if kind is MemoryError else made).__new__(made)
        error.text = self.text[:MAX_TEXT]
        error.traceback_text = self.traceback_text[:MAX_TRACEBACK]
        error.args = (error.text,)
        error.notebook_line = self.notebook_line()
        for name in getattr(kind, "_public_names", ()):
            value = self.attributes.get(name)
            setattr(error, name, value if type(value) in (int, float, str) else None)
        return error


def expected_class(place: str) -> type[Exception] | None:
    """The exception class at "module:name", if it is a builtin or one that checks expect."""
    module, _, name = place.partition(":")
    if module == "builtins":
        kind = getattr(builtins, name, None)
    elif module in EXPECTED_MODULES:
        kind = getattr(importlib.import_module(module), name, None)
    else:
        return None
    # KeyboardInterrupt and the like must not end the grader: they become plain Exceptions.
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        return None
    # A group cannot be made without its parts.
    return None if issubclass(kind, BaseExceptionGroup) else kind


def valid_class_name(name: str, otherwise: str) -> str:
    """A class name that came from the student's process, if it is a valid one."""
    return name[:80] if name.isidentifier() else otherwise


@lru_cache(maxsize=256)
def _error_class(name: str, kind: type[Exception]) -> type[StudentError]:
    return type(name, (StudentError, kind), {"__module__": __name__})
