"""A check's result as data, and how a check is written.

A check is a function of a :class:`Sheet` and the student's names::

    @check("Exercise 1, mean", 2)
    def mean(sheet: Sheet, mean: Callable[..., Any]) -> None:
        with sheet.part("of five numbers", 2) as part:
            numbers = draws.rng("numbers to average").integers(1, 50, 5).tolist()
            got, right = number(mean(numbers), "mean"), sum(numbers) / 5
            advice = "Divide by how many there are."
            part.expect(abs(got - right) < 1e-9, f"{got:g}", f"{right:g}", advice=advice)

Called with the student's names, it returns a :class:`CheckResult`: the points, as a float, with
the parts as data. A notebook shows it as a table, ``as_text()`` is for terminals. What is asked
in an exercise lives in the lab's own module; the numbers it is compared with live in
``thresholds``; how returned values are read in ``values``; how a result looks in ``presentation``.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass, replace
from typing import Any

from trickster import withheld
from trickster.checks import presentation
from trickster.checks.faults import is_unwritten, of_the_machine, place_of
from trickster.checks.progress import Progress

LONGEST = 4_000  # characters of one text; a student's code may return more
SAME = "The same as above."


UNWRITTEN, UNMEASURED = "not written yet", "not measured"


class Missed(Exception):
    """Raised inside a part to end it without points; its text tells the learner why."""


class NotMeasured(Missed):
    """A part that another one, which the learner is told of, has left nothing to measure for."""


# --- results ------------------------------------------------------------------------


@dataclass(frozen=True)
class PartResult:
    """What came of one part of a check.

    ``value`` is the number that was compared with the threshold, where there is one.
    ``advice`` says what a miss of this kind usually means; "" where all points were earned.
    ``skipped`` is :data:`UNWRITTEN` or :data:`UNMEASURED` where nothing was tried.
    """

    name: str
    points: float
    share: float
    measured: str = ""
    asked: str = ""
    usual: str = ""
    advice: str = ""
    value: float | None = None
    skipped: str = ""

    @property
    def earned(self) -> float:
        return self.share * self.points

    @property
    def status(self) -> str:
        """``passed``, ``partial``, ``missed``, or why it was skipped."""
        if self.skipped:
            return self.skipped
        return "passed" if self.share == 1 else "partial" if self.share > 0 else "missed"


class CheckResult(float):
    """The points of a check, rounded to hundredths, with what they are made of.

    ``note`` says why the check ended early, or that the exercise is not written yet, which
    ``begun`` tells as well. ``remarks`` are for the instructor alone, and cost nothing. It prints
    as the bare number: nbgrader reads that. Two results add up to one that has the parts of both;
    any other arithmetic gives a plain float.
    """

    title: str
    maximum: float
    parts: tuple[PartResult, ...]
    note: str
    begun: bool
    remarks: tuple[str, ...]

    def __new__(
        cls,
        points: float,
        title: str,
        maximum: float,
        parts: tuple[PartResult, ...] = (),
        note: str = "",
        begun: bool = True,
        remarks: tuple[str, ...] = (),
    ) -> CheckResult:
        # Rounded, so that the points count as they print.
        result = super().__new__(cls, min(maximum, max(0.0, round(points, 2))))
        result.title, result.maximum, result.parts = title, float(maximum), tuple(parts)
        result.note, result.begun, result.remarks = note, begun, tuple(remarks)
        return result

    def __reduce__(self) -> tuple[Any, ...]:
        what = (self.title, self.maximum, self.parts, self.note, self.begun, self.remarks)
        return CheckResult, (float(self), *what)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, CheckResult):
            return float(self) + other
        return CheckResult(
            float(self) + float(other),
            f"{self.title}; {other.title}",
            self.maximum + other.maximum,
            self.parts + other.parts,
            " ".join(filter(None, (self.note, other.note))),
            self.begun or other.begun,
            self.remarks + other.remarks,
        )

    def __radd__(self, other: Any) -> Any:
        """``sum`` begins with 0."""
        return self if type(other) is int and other == 0 else other + float(self)

    def _repr_html_(self) -> str:
        return presentation.as_html(self)

    def as_text(self) -> str:
        """All of it, for a terminal."""
        return presentation.as_text(self)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "points": float(self),
            "title": self.title,
            "maximum": self.maximum,
            "parts": [asdict(part) for part in self.parts],
            "note": self.note,
            "begun": self.begun,
            "remarks": list(self.remarks),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> CheckResult:
        """The result again. Raises KeyError or TypeError where ``found`` is something else."""
        parts = tuple(PartResult(**part) for part in found["parts"])
        return cls(
            found["points"],
            found["title"],
            found["maximum"],
            parts,
            found["note"],
            found["begun"],
            tuple(found.get("remarks", ())),
        )


# --- how a check is written ---------------------------------------------------------


class Part:
    """One thing that an exercise asks for. It is decided once, by ``expect`` or ``award``."""

    def __init__(
        self, name: str, points: float, progress: Progress, once: Callable[[str], str] = str
    ):
        self.name, self.points = name, points
        self.result: PartResult | None = None
        self._progress, self._once = progress, once

    def doing(self, text: str) -> None:
        """Show what a slow part is working on."""
        self._progress.doing(f"{self.name}, {text}")

    def expect(
        self,
        ok: bool,
        measured: str,
        asked: str,
        usual: str = "",
        advice: str = "",
        value: float | None = None,
    ) -> None:
        """All or nothing: ``advice`` is given when ``ok`` is false."""
        self.award(1.0 if ok else 0.0, measured, asked, usual, advice, value)

    def award(
        self,
        share: float,
        measured: str,
        asked: str,
        usual: str = "",
        advice: str = "",
        value: float | None = None,
    ) -> None:
        """``share`` of the points, from 0 to 1; ``advice`` is given when it is below 1."""
        share = float(min(1.0, max(0.0, share)))
        advice = advice if share < 1 else ""
        self.result = PartResult(
            self.name,
            self.points,
            share,
            *map(_clean, (measured, asked, usual, advice)),
            None if value is None else float(value),
        )

    def miss(self, advice: str) -> None:
        """No points after all, whatever has been measured."""
        known = self.result or PartResult(self.name, self.points, 0.0)
        self.result = replace(known, share=0.0, advice=_clean(advice))

    def skip(self, why: str, advice: str) -> None:
        """No points, since nothing was tried: ``why`` is UNWRITTEN or UNMEASURED."""
        self.result = PartResult(self.name, self.points, 0.0, advice=_clean(advice), skipped=why)

    def blame(self, find: Callable[[], str]) -> None:
        """Name the slip that spoils several parts, once, in place of what this part makes of it.

        ``find`` returns it, or ""; it is called only where the part was missed.
        """
        if self.share < 1 and (slip := find()):
            self.miss(self._once(slip))

    @property
    def share(self) -> float:
        """What has been awarded; 0 as long as nothing has."""
        return self.result.share if self.result else 0.0


class Sheet:
    """Collects the parts of one check as they are decided."""

    def __init__(self, title: str, points: float):
        self.title, self.points = title, points
        self.parts: list[Part] = []
        self.progress = Progress(title, points)
        self.remarks: list[str] = []
        self._explained: set[str] = set()  # what has ended parts already
        self._unwritten = ""  # what is, in a sentence

    @contextmanager
    def part(self, name: str, points: float) -> Iterator[Part]:
        """A part worth ``points``. What the student's code raises costs this part only.

        Where the machine failed (``faults``), the check ends with that error.
        """
        part = Part(name, points, self.progress, self._once)
        self.parts.append(part)
        self.progress.doing(name)
        try:
            yield part
        except NotMeasured as reason:
            part.skip(UNMEASURED, str(reason))
        except Missed as missed:
            part.miss(self._once(str(missed)))
        except (Exception, SystemExit) as error:
            if of_the_machine(error):
                raise
            if is_unwritten(error):
                self._unwritten = self._unwritten or _unwritten(error)
                part.skip(UNWRITTEN, self._once(_unwritten(error)))
            else:
                part.miss(self._why(error))
        if part.result is None:
            raise AssertionError(f"The check left its part {name!r} undecided.")
        self.progress.advance(points)

    def tell_instructor(self, remark: str) -> None:
        """A sentence on what a person should look at: it costs no points, no student reads it."""
        self.remarks.append(_clean(remark))

    def _earned(self) -> float:
        return sum(part.earned for part in self._decided())

    def _decided(self) -> tuple[PartResult, ...]:
        return tuple(part.result for part in self.parts if part.result is not None)

    def _once(self, text: str) -> str:
        """An explanation, where it is not one that another part has given already."""
        if text in self._explained:
            return SAME
        self._explained.add(text)
        return text

    def _why(self, error: BaseException) -> str:
        """What a learner reads of an error.

        What is not the code's own error, but its end, says so itself, once; from then on what it
        has as ``plain`` will do.
        """
        plain = getattr(error, "plain", None)
        if not isinstance(plain, str):
            words = _sentence(f"your code raised {type(error).__name__}: {error}")
            return self._once(f"{words} {_where(error)}")
        text = str(error)
        if text in self._explained:
            return plain
        self._explained.add(text)
        return f"{text} {_where(error)}"

    def result(self) -> CheckResult:
        """What came of the check. Its parts must make up its points."""
        possible = sum(part.points for part in self.parts)
        if abs(possible - self.points) > 1e-9:
            raise AssertionError(f"The parts make {possible} points, the check {self.points}.")
        if self._unwritten and all(part.skipped for part in self._decided()):
            # Nothing is written yet: say that, and nothing else.
            return self._made(0.0, (), self._unwritten, begun=False)
        return self._made(self._earned(), self._decided())

    def ended_early(self, error: Exception) -> CheckResult | None:
        """No points, and why, where an error outside of a part has ended the check.

        None where the error is not one that a learner should read in a sentence.
        """
        if is_unwritten(error):
            return self._made(0.0, self._decided(), _unwritten(error), begun=False)
        if isinstance(getattr(error, "plain", None), str):
            return self._made(0.0, self._decided(), f"The test stopped early: {error}")
        return None

    def _made(
        self, points: float, parts: tuple[PartResult, ...], note: str = "", begun: bool = True
    ) -> CheckResult:
        remarks = tuple(self.remarks)
        return CheckResult(points, self.title, self.points, parts, _clean(note), begun, remarks)


def check(
    title: str, points: float, withholds: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., CheckResult]]:
    """Make ``function(sheet, *names)`` a check: it returns a :class:`CheckResult`.

    ``withholds`` names what of the library answers the exercise, as ``"trickster.ood.score_msp"``:
    it refuses while this check runs (see ``trickster.withheld``). A check that compares with it
    computes that inside ``withheld.lifted()``.

    Whatever the student's code writes to standard error is shown on standard
    output, since nbgrader takes any word on standard error for a failed test.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., CheckResult]:
        @functools.wraps(function)
        def run(*names: Any, **options: Any) -> CheckResult:
            with redirect_stderr(sys.stdout), warnings.catch_warnings():
                warnings.simplefilter("default")
                sheet = Sheet(title, points)
                try:
                    with withheld.during_check(withholds):
                        function(sheet, *names, **options)
                    return sheet.result()
                except Exception as error:
                    result = sheet.ended_early(error)
                    if result is None:
                        raise
                    return result
                finally:
                    sheet.progress.close()

        run.points, run.withholds = points, withholds
        return run

    return decorate


def _clean(text: str) -> str:
    """One line of what can be printed. The text may quote what a student's code returned."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * LONGEST]).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def _sentence(text: str) -> str:
    """``text`` with a full stop behind it, wherever it came from."""
    text = text.rstrip(" :\n")
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _unwritten(error: BaseException) -> str:
    found = place_of(error)
    name = f"{found[0]}()" if found and found[0].isidentifier() else "this exercise"
    return f"Not written yet: {name} still raises NotImplementedError."


def _where(error: BaseException) -> str:
    """A sentence on the deepest line of the student's notebook behind an error."""
    found = place_of(error)
    return f"It happened in {found[0]}(), at: {found[1]}" if found else ""
