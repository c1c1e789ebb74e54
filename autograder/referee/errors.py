"""What can go wrong between a check and a student's code, each with a name of its own.

`StudentError` is what the student's code raised, `Stopped` that it cannot be asked any more,
`CourseBug` that the check itself is wrong.
"""

from __future__ import annotations

import builtins
import importlib
from functools import lru_cache
from typing import Any, NamedTuple

# Whose exceptions a student's code may raise and a check may expect, beside Python's own.
EXPECTED = ("trickster.api",)
TEXT, STORY = 2_100, 8_100  # characters


class StudentError(Exception):
    """Something that the student's code raised, under the name that it has there.

    It is also of the builtin class, or of the one from the course library, that it was there.
    ``notebook_line`` is the deepest (function, line) in the notebook, ``story`` the traceback.
    """

    notebook_line: tuple[str, str] | None = None
    story: str = ""
    text: str = ""

    def __str__(self) -> str:
        return self.text


class Stopped(Exception):
    """The student's code can't be asked any more; the text says why, to the student."""

    # A check says this where the full text, without the class's name, has been said before.
    plain = "your code could not be asked any more, as above."


class TookTooLong(Stopped):
    """The student's code was given up on."""

    plain = "your code took too long, as above."


class KernelDied(Stopped):
    """The student's Python process has ended."""

    plain = "the Python process had ended, as above."


class BrokeProtocol(Stopped):
    """What came from the student's process was not an answer."""


class CourseBug(BaseException):
    """A check or a test cell is wrong. No ``except Exception`` of a check may hide it."""


class Told(NamedTuple):
    """How the student's kernel describes something raised; see `agent.describe`."""

    name: str
    kinds: list[str]
    text: str
    attributes: dict[str, Any]
    where: list[str]
    story: str
    ref: int

    def check(self) -> None:
        """Raises TypeError where a field is not what it should be."""
        texts = [self.name, self.text, self.story, *self.kinds, *self.where, *self.attributes]
        right = (
            all(type(text) is str for text in texts)
            and type(self.ref) is int
            and len(self.where) in (0, 2)
            and len(self.kinds) <= 20
        )
        if not right:
            raise TypeError

    def error(self) -> StudentError:
        """The exception that a check sees."""
        kind = next(filter(None, map(known, self.kinds)), Exception)
        made = _named(identifier(self.name, "Exception"), kind)
        error = made.__new__(made)
        error.text, error.story = self.text[:TEXT], self.story[:STORY]
        error.args = (error.text,)
        if self.where:
            error.notebook_line = (self.where[0][:80], self.where[1][:TEXT])
        for name in getattr(kind, "_public_names", ()):
            value = self.attributes.get(name)
            setattr(error, name, value if type(value) in (int, float, str) else None)
        return error


def known(place: str) -> type[Exception] | None:
    """The exception class at "module:name", if it is Python's own or one that checks expect."""
    module, _, name = place.partition(":")
    if module == "builtins":
        kind = getattr(builtins, name, None)
    elif module in EXPECTED:
        kind = getattr(importlib.import_module(module), name, None)
    else:
        return None
    # KeyboardInterrupt and its kind must not end the grader: they become plain Exceptions.
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        return None
    return None if issubclass(kind, ExceptionGroupLike) else kind


# Python 3.10 has no groups; where they exist, they cannot be made without their parts.
ExceptionGroupLike: Any = getattr(builtins, "BaseExceptionGroup", ())


def identifier(name: str, otherwise: str) -> str:
    """A class name from the student's process, if it is one."""
    return name[:80] if name.isidentifier() else otherwise


@lru_cache(maxsize=256)
def _named(name: str, kind: type[Exception]) -> type[StudentError]:
    return type(name, (StudentError, kind), {"__module__": __name__})
