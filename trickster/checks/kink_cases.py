"""What lab 6 tries with thieves who find the kinks of a piecewise linear function.

Each function decides one part of a check, or draws what several parts need. Functions are drawn for
the test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster.api import BudgetExceeded
from trickster.checks import draws
from trickster.checks.result import Missed, Part
from trickster.checks.values import array

MOST_KINKS = 10_000  # that find_kinks may return: each is compared with the true ones
A_KINK = 150  # queries that finding one may cost
EXACT = 1e-6  # of an interval: how far off a kink may be


class Bent(NamedTuple):
    """A drawn piecewise linear function, its kinks ``(m,)``, and how often it was asked."""

    f: Callable[[Any], np.ndarray]
    at: np.ndarray
    low: float
    high: float
    asked: list[int]
    cancel: bool = False


def bent(name: str, number: int, close: bool = False, cancel: bool = False) -> Bent:
    """Some kinks between two drawn ends.

    With ``close``, two of them are next to each other; with ``cancel``, they bend back in the end.
    """
    rng = draws.rng("kinks", name, number)
    m, low = int(rng.integers(5, 10)), float(rng.uniform(-80, -20))
    high = low + float(rng.uniform(50, 150))
    places = rng.permutation(40)[:m] + rng.uniform(0.2, 0.8, m)
    at = np.sort(low + (high - low) * places / 40)
    if close:
        i = int(rng.integers(1, m))
        at[i] = at[i - 1] + (high - low) * 2e-4
    bends = rng.choice([-1.0, 1.0], m) * rng.uniform(0.4, 2.0, m)
    if cancel:  # the slopes at both ends are the same
        bends[m // 2 : m // 2 * 2] = -bends[: m // 2]
        bends[-1] = bends[-1] if m % 2 == 0 else 0.0
        at, bends = at[bends != 0], bends[bends != 0]
    slope, level, asked = *rng.normal(size=2), []

    def f(t: Any) -> np.ndarray:
        t = places_asked(t)
        asked.append(len(t))
        if sum(asked) > 10 * A_KINK * m:
            raise BudgetExceeded("thief", len(t), max(0, 10 * A_KINK * m - sum(asked) + len(t)))
        return slope * t + level + np.maximum(t[:, None] - at, 0) @ bends

    return Bent(f, at, low, high, asked, cancel)


def places_asked(t: Any) -> np.ndarray:
    """The places ``(n,)`` on a line at which ``find_kinks`` asks its function."""
    return array(t, "find_kinks (where it asks f)").reshape(-1)


def _kinks(find: Callable[..., Any], drawn: Bent) -> np.ndarray:
    try:
        found = find(drawn.f, drawn.low, drawn.high)
    except BudgetExceeded:
        raise Missed(
            f"you asked for more than {10 * A_KINK * len(drawn.at):,} values to find "
            f"{len(drawn.at)} kinks. A fine grid is asked everywhere; halving an interval asks "
            "only where something bends. Is each half smaller than the whole, and is an interval "
            "straight although rounding makes its slopes differ in the twelfth digit?"
        ) from None
    except RecursionError:
        _must_stay_inside(find)
        raise Missed(
            "your search called itself without end. Stop where an interval is straight, and "
            "where it is too narrow to be halved."
        ) from None
    except TypeError as error:
        if "NoneType" not in str(error):
            raise
        raise Missed(
            f"a part of your search returned None ({error}). Each way through find_kinks ends with "
            "a return statement: where the interval is straight, [] is returned, where it has one "
            "kink, [t], else what both halves return."
        ) from error
    if isinstance(found, (list, tuple)) and any(isinstance(one, (list, tuple)) for one in found):
        raise Missed(
            "find_kinks returned lists inside a list, not a list of numbers. Add the lists of "
            "both halves (a + b) in place of appending them."
        )
    places = array(found, "find_kinks", most=MOST_KINKS)
    if places.size < len(drawn.at) and not isinstance(found, (list, tuple)):
        off = np.abs(places.reshape(-1, 1) - drawn.at).min(axis=1) / (drawn.high - drawn.low)
        if places.size and np.mean(off <= EXACT) > 0.5:  # an array on purpose, with kinks missing
            return places.reshape(-1)
        kind = "a single number" if places.size == 1 else f"an array of {places.size} numbers"
        raise Missed(
            f"find_kinks returned {kind} in place of "
            f"a list of {len(drawn.at)} kinks. Does it return t somewhere, and not [t]? A NumPy "
            "number plus a list is their sum, an array, and what was found is lost."
        )
    return places.reshape(-1)


def _must_stay_inside(find: Callable[..., Any]) -> None:
    """Raises :class:`Missed` where a search without end leaves the interval that it is given."""
    low, high, reach = 1_000.0, 1_001.0, [1_000.0]

    def f(t: Any) -> np.ndarray:
        t = places_asked(t)
        reach.extend(t[:MOST_KINKS].tolist())
        if len(reach) > MOST_KINKS:
            raise BudgetExceeded("thief", len(t), 0)
        return np.abs(t - 1_000.3)

    with contextlib.suppress(BudgetExceeded, RecursionError):
        find(f, low, high)
    far = max(reach, key=lambda t: abs(t - 1_000.5))
    if abs(far - 1_000.5) > 1:
        raise Missed(
            f"your search does not end: of a function between {low:,.0f} and {high:,.0f}, it asked "
            f"for f({far:,.1f}). Split an interval inside of it, at low + 0.47 * (high - low)."
        ) from None


def places_of_kinks(part: Part, find: Callable[..., Any], close: bool = False) -> list[Bent]:
    """Every kink, and no other; returns the functions that were asked."""
    name = "close" if close else "places"
    tried = [bent(name, i, close, cancel=not close and i == 1) for i in range(3)]
    before, in_order = [bent("places", 0)] if close else [], True
    for drawn in tried:
        found = _kinks(find, drawn)
        in_order = in_order and bool((np.diff(found) >= 0).all())
        found = np.sort(found)
        if len(found) != len(drawn.at) or not np.allclose(
            found, drawn.at, rtol=0, atol=EXACT * (drawn.high - drawn.low)
        ):
            break
        before.append(drawn)
    width = drawn.high - drawn.low
    same = len(found) == len(drawn.at)
    error = np.abs(found - drawn.at).max() / width if same else np.inf
    part.expect(
        error <= EXACT,
        f"{len(found)} found of {len(drawn.at)} kinks"
        + (f", the worst off by {error:.1e} of the interval" if same else ""),
        f"all of them, and no other, to {EXACT:g} of the interval",
        "1e-12",
        _why_other_kinks(found, drawn, before, close),
    )
    if part.share and not close and not in_order:  # of whatever part, it costs points once
        part.miss("all kinks are right, but they are out of order: return them from low to high.")
    return tried


def _why_other_kinks(found: np.ndarray, drawn: Bent, before: list[Bent], close: bool) -> str:
    if len(found) == len(drawn.at):
        return (
            "The positions are rough. The straight lines to both sides of a kink cross exactly "
            "there: compute the crossing from values and slopes at the two ends."
        )
    exact = EXACT * (drawn.high - drawn.low)
    off = np.abs(found[:, None] - drawn.at).min(axis=1)
    if len(found) > len(drawn.at):
        if any(_holds(found, one.at) for one in before) and _holds(found, drawn.at):
            return (
                "These include the kinks of the function that was asked about before: begin with "
                "an empty list in each call, not with one that is a default value or a global."
            )
        if (off <= exact).all():
            return (
                "Kinks are listed more than once. Once an interval has given its kink, do not "
                "search its parts as well; and the parts of a split interval may not overlap."
            )
        return (
            "Some of them are none. Two lines through the ends of an interval always cross "
            "somewhere: only if f runs along the one just before the crossing and along the other "
            "just after it is it the interval's only kink."
        )
    if len(found) == 0 and not drawn.cancel:
        return (
            "Kinks are missing: none was found. Try one by hand: find_kinks(lambda t: abs(t - .3), "
            "-1, 1) must return [.3]. If it does not, print where your two lines cross, and "
            "whether your test confirms that crossing."
        )
    if (off > exact).any():
        return (
            "Kinks are missing, and one that was found is none. Two lines through the ends of an "
            "interval always cross somewhere: only if f runs along the one just before the "
            "crossing and along the other just after it is it the interval's only kink. Else split."
        )
    if close and len(found) >= len(drawn.at) - 2:
        return (
            "Two kinks are close together. An interval with more than one must be split again, "
            "however narrow it is by then."
        )
    return (
        "Kinks are missing. An interval is straight only if the slopes at both ends and the slope "
        "across it agree; bends can cancel, so neither equal slopes at the ends nor the value in "
        "the middle prove it straight. And an interval that is split must return the kinks of both "
        "parts."
    )


def _holds(found: np.ndarray, kinks: np.ndarray) -> bool:
    """Whether all ``kinks`` are among those that were found."""
    return bool(np.isclose(found[:, None], kinks, rtol=0, atol=1e-4).any(axis=0).all())


def queries_for_kinks(part: Part, tried: list[Bent]) -> None:
    """Hardly more than bisection needs."""
    each = [sum(drawn.asked) / len(drawn.at) for drawn in tried]
    if min(each) == 0:
        raise Missed("a function was not asked at all, so nothing was found out about it.")
    part.expect(
        max(each) <= A_KINK,
        f"{max(each):.0f} queries for each kink",
        f"at most {A_KINK}",
        "20 to 30",
        "Do not search where nothing bends, and do not halve down to the last digit: once an "
        "interval has one kink, the two lines give its place.",
    )
