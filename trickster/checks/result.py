"""The form of every check: parts, each with a measured value, a bar and a reason.

What is asked in an exercise lives in the lab's own module; the numbers it is
compared with live in ``bars``.
"""

from __future__ import annotations

import functools
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np

WIDTH = 92


class Missed(Exception):
    """Raised inside a part to end it without points; its text tells the learner why."""


class Part:
    """One thing that an exercise asks for. Exactly one of its methods is called."""

    def __init__(self, sheet: Sheet, name: str, points: float):
        self.sheet, self.name, self.points = sheet, name, points
        self.share: float | None = None

    def expect(self, ok: bool, measured: str, asked: str, usual: str = "", means: str = "") -> None:
        """All or nothing: ``means`` is told when ``ok`` is false."""
        self.award(1.0 if ok else 0.0, measured, asked, usual, means)

    def award(
        self, share: float, measured: str, asked: str, usual: str = "", means: str = ""
    ) -> None:
        """``share`` of the points, from 0 to 1; ``means`` is told when it is below 1."""
        self.share = float(min(1.0, max(0.0, share)))
        said = [f"measured  {measured}", f"asked     {asked}"]
        if usual:
            said.append(f"usual     {usual}")
        self.sheet.line(self, *said, means if self.share < 1 else "")


class Sheet:
    """Collects the parts of one check and prints them as they are decided."""

    def __init__(self, title: str, points: float):
        self.title, self.points = title, points
        self.parts: list[Part] = []
        self._told: set[str] = set()  # what has ended parts already
        print(title)

    @contextmanager
    def part(self, name: str, points: float) -> Iterator[Part]:
        """A part worth ``points``. What the student's code raises costs this part only."""
        part = Part(self, name, points)
        self.parts.append(part)
        try:
            yield part
        except NotImplementedError as error:
            if not any(other.share for other in self.parts):
                raise  # nothing is written yet: say that, and nothing else
            part.share = 0.0
            self.line(part, "this part is not written yet: NotImplementedError.", _where(error))
        except Missed as missed:
            part.share = 0.0
            self.line(part, str(missed))
        except (Exception, SystemExit) as error:
            part.share = 0.0
            self.line(part, *self._why(error))
        if part.share is None:
            raise AssertionError(f"The check left its part {name!r} undecided.")

    def _why(self, error: BaseException) -> list[str]:
        """What a learner reads of an error.

        What is not the code's own error, but its end, says so itself, once; from then on what it
        has as ``plain`` will do.
        """
        plain = getattr(error, "plain", None)
        if not isinstance(plain, str):
            return [f"your code raised {type(error).__name__}: {error}", _where(error)]
        text = str(error)
        if text in self._told:
            return [plain]
        self._told.add(text)
        return [text, _where(error)]

    def line(self, part: Part, *texts: str) -> None:
        """Print the verdict on a part and what there is to say about it."""
        share = part.share or 0.0
        mark = "ok  " if share == 1 else ("part" if share > 0 else "MISS")
        print(f"  {mark} {part.name}: {share * part.points:.3g} of {part.points:g}")
        for text in filter(None, texts):
            hanging = (
                " " * 17 if text.startswith(("measured  ", "asked     ", "usual     ")) else ""
            )
            wrapped = textwrap.wrap(
                text,
                WIDTH,
                initial_indent="       ",
                subsequent_indent=hanging or "       ",
                break_long_words=False,
            )
            print("\n".join(wrapped))

    def total(self) -> float:
        """The points, rounded to hundredths so that they print as they count."""
        possible = sum(part.points for part in self.parts)
        if abs(possible - self.points) > 1e-9:
            raise AssertionError(f"The parts make {possible} points, the check {self.points}.")
        earned = round(sum(part.points * (part.share or 0.0) for part in self.parts), 2)
        print(f"{earned:g} of {self.points:g} points")
        return float(min(self.points, max(0.0, earned)))


def check(title: str, points: float) -> Callable[[Callable[..., None]], Callable[..., float]]:
    """Make ``function(sheet, *names)`` a check: it returns its points as a float.

    Whatever the student's code writes to standard error is shown on standard
    output, since nbgrader takes any word on standard error for a failed test.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., float]:
        @functools.wraps(function)
        def run(*names: Any, **options: Any) -> float:
            with redirect_stderr(sys.stdout), warnings.catch_warnings():
                warnings.simplefilter("default")
                sheet = Sheet(title, points)
                function(sheet, *names, **options)
                return sheet.total()

        run.points = points
        return run

    return decorate


def array(value: Any, what: str, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """``value`` (array, list or tensor) as a float array of ``shape``; ``None`` fits any size.

    Raises :class:`Missed`, which tells the learner what ``what`` returned instead.
    """
    if getattr(value, "requires_grad", False):
        raise Missed(
            f"{what} returned a tensor that still carries gradients. Answer inside "
            "torch.no_grad(), and hand out .numpy()."
        )
    if value is None:
        raise Missed(f"{what} returned None. Does it end with a return statement?")
    try:
        found = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise Missed(
            f"{what} returned a {type(value).__name__}, not an array of numbers."
        ) from None
    if shape is not None:
        fits = len(shape) == found.ndim and all(
            want is None or want == have for want, have in zip(shape, found.shape, strict=True)
        )
        if not fits:
            wanted = "(" + ", ".join("n" if size is None else str(size) for size in shape) + ")"
            raise Missed(f"{what} returned shape {found.shape}; asked {wanted}.")
    return found


def number(value: Any, what: str) -> float:
    """``value`` as a finite float; raises :class:`Missed`."""
    found = array(value, what)
    if found.size != 1:
        raise Missed(f"{what} returned an array of shape {found.shape}, not one number.")
    single = float(found.reshape(()))
    if not np.isfinite(single):
        raise Missed(f"{what} returned {single}, not a finite number.")
    return single


def _where(error: BaseException) -> str:
    """The deepest line of the student's notebook behind an error."""
    # Where the student's code runs in another process, its traceback does not come along.
    found = getattr(error, "notebook_line", None)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if found is None and (
            frame.filename.startswith("<ipython") or "ipykernel" in frame.filename
        ):
            found = frame.name, frame.line
    return f"It happened in {found[0]}(), at: {found[1]}" if found else ""
