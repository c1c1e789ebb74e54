"""What lab 4 tries with any rate limiter: how it is asked, keys, and batches.

``bucket_cases`` holds what a token bucket alone must do. Each function decides one part of a
check; ``make`` builds a limiter of the student's. Every request is a call of its own, from the
check's side, and nobody else's code stands in between. Rates, bursts, times, sizes, names and
orders are drawn, so that no list of answers fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import numpy as np

from trickster.checks.cases import Case, decide
from trickster.checks.result import Missed, Part
from trickster.checks.values import array

SERVICES = 3  # of a kind, where a part would else be a short story that is always the same
CROWD = 3_000  # keys that come between a key's first request and its next
FULL = "An honest burst was refused: a new key has its whole limit left."
FORGETS = "The limiter forgot a key that still owes: keep what each key has used by its key."
PER_KEY = "One customer's use was charged to another: keep what each key has used by its key."
REFUSED = "Refused requests were counted. What is refused must leave everything as it was."
PARTLY = "A batch is answered whole or not at all: a refused one must take nothing."
TAKES = "retry_after only looks: it must take nothing, also where it answers 0.0."
AGREES = "retry_after must agree with allow, and must take nothing itself."
TIME_OF_DAY = "A wait is counted from now. This is a point in time: subtract now."
SHARED = (
    "One limiter counted what another had answered. Each service has a limiter of its own: let "
    "__init__ make the dictionary, self.keys = {}; one that belongs to the class, or to the "
    "notebook, is the same for all of them."
)
ALL_OR_NONE = "All n must fit, or none is answered: compare with n, not with 1."
ONE_TOO_MANY = "One more than the whole limit passes at once: only who has all n left may pass."
TAKES_NOTHING = (
    "Far more than the whole limit passes at once. Take n when you answer; and 0 left does not "
    "make a key a new one (as `left or burst` would)."
)
ONE_FOR_N = "A request for n answers counts n times, not once: subtract or add n."


# --- how a limiter is asked -----------------------------------------------------------


class Asked:
    """One limiter, asked call by call, and what came of the requests that matter."""

    def __init__(self, limiter: Any):
        self._limiter, self._allow = limiter, limiter.allow
        self.cases: list[Case] = []

    def allows(self, key: str, now: float, n: int = 1) -> bool:
        """What ``allow`` answers. Raises :class:`Missed` where that is nothing at all."""
        answer = self._allow(key, float(now), n)
        if answer is None:
            raise Missed("allow returned None. Does it end with return True or return False?")
        if isinstance(answer, str):
            raise Missed(
                f"allow returned the text {answer[:20]!r}, and any text counts as true: "
                "return True or return False, without quotes."
            )
        return bool(answer)

    def wait(self, key: str, now: float, n: int = 1) -> float:
        """What ``retry_after`` answers, to a thousandth of a second."""
        found = array(self._limiter.retry_after(key, float(now), n), "retry_after", finite=False)
        if found.size != 1 or np.isnan(found).any():
            raise Missed("retry_after must return one number of seconds.")
        return round(float(found.reshape(())), 3)

    def expect(self, key: str, now: float, n: int, want: bool, advice: str, what: str) -> None:
        """Ask for ``n`` answers, and note what should come of it."""
        self.cases.append(Case(what, self.allows(key, now, n), want, advice))

    def empty(self, key: str, now: float, sizes: Iterable[int], advice: str, what: str) -> None:
        """Ask for one size after the other, all of which fit. Each is a case."""
        for n in sizes:
            self.expect(key, now, n, True, advice, f"{n} of {what}")

    def otherwise(self, key: str, times: list[float], want: list[bool]) -> int:
        """How many of the requests at ``times`` are answered otherwise than they should be."""
        return sum(self.allows(key, now) != right for now, right in zip(times, want, strict=True))


# --- what is drawn --------------------------------------------------------------------


def pieces(rng: np.random.Generator, total: int, most: int = 3) -> list[int]:
    """``total`` cut into at most ``most`` positive parts."""
    cuts = rng.choice(np.arange(1, total), int(rng.integers(0, min(most, total))), replace=False)
    return np.diff([0, *sorted(cuts.tolist()), total]).tolist()


def customers(rng: np.random.Generator, n: int) -> list[str]:
    """``n`` different keys."""
    return [f"customer {i}" for i in rng.choice(10**6, n, replace=False).tolist()]


def between(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return int(rng.integers(low, high + 1))


# --- what both kinds share ------------------------------------------------------------


def keys_and_batches(part: Part, make: Callable[[int], Any], rng: np.random.Generator) -> None:
    """What both kinds promise at one point in time; ``make(room)`` gives so many at once."""
    room, now = between(rng, 8, 16), between(rng, 0, 1_000)
    decide(
        part,
        [
            *_two_services(Asked(make(room)), Asked(make(room)), rng, now, room),
            *_side_by_side(Asked(make(room)), rng, now, room),
            *_crowd(Asked(make(room)), rng, now, room),
            *_batches(Asked(make(room)), rng, now, room),
        ],
    )


def _two_services(
    one: Asked, other: Asked, rng: np.random.Generator, now: int, room: int
) -> list[Case]:
    """A customer who has used up one service is new to another."""
    (name,) = customers(rng, 1)
    one.allows(name, now, room)
    what = f"{room} of the {room} of a key that is new here, and has used up another limiter"
    other.expect(name, now, room, True, SHARED, what)
    return other.cases


def _side_by_side(asked: Asked, rng: np.random.Generator, now: int, room: int) -> list[Case]:
    """Some customers use up their room in turns, and then ask for one more."""
    names = customers(rng, between(rng, 3, 5))
    turns = [(name, n) for name in names for n in pieces(rng, room)]
    first = True
    for i in rng.permutation(len(turns)).tolist():
        name, n = turns[i]
        what = f"{n} of the {room} of a new key" + ("" if first else ", beside other keys")
        asked.expect(name, now, n, True, FULL if first else PER_KEY, what)
        first = False
    for name in names:
        what = f"one more for a key that has had {room} of {room}"
        asked.expect(name, now, 1, False, "Every answer in a batch counts.", what)
    return asked.cases


def _crowd(asked: Asked, rng: np.random.Generator, now: int, room: int) -> list[Case]:
    """Some keys use up their room or nearly so, thousands of others come, and they ask again."""
    known = between(rng, 4, 8)
    names = customers(rng, known + CROWD)
    left = [between(rng, 0, 2) for _ in range(known)]
    left[0] = 0
    for name, rest in zip(names[:known], left, strict=True):
        asked.allows(name, now, room - rest)
    sizes = rng.integers(1, room + 1, CROWD).tolist()
    refused = sum(
        not asked.allows(name, now, n) for name, n in zip(names[known:], sizes, strict=True)
    )
    asked.cases.append(Case(f"refused of {CROWD:,} new keys", refused, 0, PER_KEY))
    for name, rest in zip(names[:known], left, strict=True):
        if rest:
            what = f"the {rest} that a key has left, after {CROWD:,} other keys"
            asked.expect(name, now, rest, True, FORGETS, what)
        what = f"one more for a key that has had {room}, after {CROWD:,} other keys"
        asked.expect(name, now, 1, False, FORGETS, what)
    return asked.cases


def _batches(asked: Asked, rng: np.random.Generator, now: int, room: int) -> list[Case]:
    """Batches that are larger than what is left, or than all there can be."""
    names = customers(rng, between(rng, 2, 3) + 1)
    huge = between(rng, 1, len(names) - 1)
    for i, name in enumerate(names):
        if i == huge:
            what = f"{room + 1} asked by a new key, of {room}"
            advice = "A batch that is larger than the whole limit never passes."
            asked.expect(name, now, room + 1, False, advice, what)
            continue
        fit = between(rng, 2, 5)
        for n in pieces(rng, room - fit):
            asked.allows(name, now, n)
        more = between(rng, fit + 1, room)
        what = f"{more} asked where {fit} of {room} fit"
        asked.expect(name, now, more, False, ALL_OR_NONE, what)
        asked.expect(name, now, fit, True, PARTLY, f"{what}, then the {fit} that fit")
        what = f"one more for a key that has had {room} of {room}"
        asked.expect(name, now, 1, False, "Every answer in a batch counts.", what)
    return asked.cases


# --- slips that spoil several parts ---------------------------------------------------


_probes = count()


def probe_key() -> str:
    """A key that no limiter has seen, also where the check runs for the second time."""
    return f"probe {next(_probes)}"


def slip_of_both(make: Callable[[], Any], room: int, now: float) -> str:
    """What is wrong with limiters of either kind, each with so much room; "" if nothing is.

    No points depend on it: it is asked where a part was missed.
    """
    one, other = Asked(make()), Asked(make())
    key, singly = probe_key(), probe_key()
    one.allows(key, now, room)
    if not one.allows(probe_key(), now, room):
        return PER_KEY
    if not other.allows(key, now, 1):
        return SHARED
    if one.allows(key, now, 1):
        got = sum(other.allows(singly, now, 1) for _ in range(2 * room))
        if got > room:
            return ONE_TOO_MANY if got == room + 1 else TAKES_NOTHING
        return ONE_FOR_N if got == room else ""
    return ALL_OR_NONE if other.allows(probe_key(), now, room + 1) else ""


def slip_of_refusals(asked: Asked, room: int, now: float, later: float, back: float) -> str:
    """What requests refused at ``later`` did to what is all there again at ``back``."""
    key, partly = probe_key(), probe_key()
    asked.allows(key, now, room)
    for _ in range(9):
        asked.allows(key, later, room)
    if not asked.allows(key, back, room):
        return REFUSED
    asked.allows(partly, back, room - 3)
    asked.allows(partly, back, 5)
    return "" if asked.allows(partly, back, 3) else PARTLY
