"""What lab 4 tries with a sliding window: borders, random times, refusals, waits, clocks.

Each function decides one part of the check; ``make`` builds a window of the student's. All times
are multiples of 1/64 s, so that nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.checks import draws, limiter_cases
from trickster.checks.cases import Case, decide
from trickster.checks.limiter_cases import (
    AGREES,
    BACKWARDS,
    FULL,
    REFUSED,
    SERVICES,
    TAKES,
    TIME_OF_DAY,
    Asked,
    between,
    customers,
    pieces,
    probe_key,
)
from trickster.checks.result import Part

Make = Callable[[int, int], Any]  # limit and seconds → a window
REQUESTS = 1_200  # at random times
FULL_LIMIT = "Exactly `limit` answers fit: refuse where the new ones would make more than that."
INCLUSIVE = (
    "What was answered exactly `seconds` ago counts no more: keep the answers with now - then < "
    "seconds, not <=."
)
NEVER_FORGOTTEN = (
    "Answers never stop counting. Before you count, drop those with now - then >= seconds; now is "
    "the argument, not the computer's clock."
)


def _drawn(what: str, service: int = 0) -> tuple[np.random.Generator, int, int, str, int]:
    """For one window: a generator, a limit, the seconds, a key, and a multiple of the seconds."""
    rng = draws.rng("window", what, service)
    limit, seconds = between(rng, 5, 9), between(rng, 30, 90)
    return rng, limit, seconds, customers(rng, 1)[0], seconds * between(rng, 1, 30)


def any_window(part: Part, make: Make) -> None:
    """No window of so many seconds holds more answers than the limit."""
    rng, limit, seconds, last, border = _drawn("any window")
    start = border - between(rng, 2, seconds // 3)  # a fixed window would begin anew soon after
    cases = []

    def later(now: float, n: int, want: bool, advice: str) -> None:
        asked = Asked(make(limit, seconds))
        (key,) = customers(rng, 1)  # whoever shares limiters loses that part only
        asked.empty(key, start, pieces(rng, limit), FULL, f"{limit} for a new key")
        what = f"{limit} at {start} s, {n} more at {now:g} s, with windows of {seconds} s"
        asked.expect(key, now, n, want, advice, what)
        cases.extend(asked.cases)

    later(
        border + between(rng, 1, seconds // 3),
        1,
        False,
        "Windows that begin at fixed times allow twice the limit around their border. "
        "Look back `seconds` from now.",
    )
    short = between(rng, 1, 2)
    later(start + seconds - short, 1, False, f"That is {short} s too early.")
    for n in (limit, limit + 1) if rng.random() < 0.5 else (limit + 1, limit):
        advice = f"What was answered {seconds} s ago counts no more; the limit stays {limit}."
        later(start + seconds, n, n == limit, advice)
    cases.append(_random_times(make, rng, last))
    decide(part, cases)


def _random_times(make: Make, rng: np.random.Generator, key: str) -> Case:
    """Three times as many requests as a window lets pass."""
    limit, seconds = between(rng, 15, 25), between(rng, 40, 80)
    last = 64 * REQUESTS * seconds // (3 * limit)
    times = (np.sort(rng.integers(0, last, REQUESTS)) / 64).tolist()
    return Case(
        f"of {REQUESTS:,} requests at random times, at most {limit} in {seconds} s, those answered "
        "otherwise than asked",
        Asked(make(limit, seconds)).otherwise(key, times, _windowed(times, limit, seconds)),
        0,
        "Count the answers younger than `seconds`, each by its own time, and no refusals.",
    )


def _windowed(times: list[float], limit: int, seconds: float) -> list[bool]:
    """What a window answers, counted the slow way."""
    given: list[float] = []
    allowed = []
    for now in times:
        allowed.append(sum(now - then < seconds for then in given) < limit)
        given += [now] * allowed[-1]
    return allowed


def keys_and_batches(part: Part, make: Make) -> None:
    """See ``limiter_cases``."""
    rng, _, seconds, *_ = _drawn("keys and batches")
    limiter_cases.keys_and_batches(part, lambda room: make(room, seconds), rng)


def refusals_leave_the_window(part: Part, make: Make) -> None:
    """What is refused counts in no window."""
    decide(part, [case for i in range(SERVICES) for case in _refusals(make, i)])


def _refusals(make: Make, service: int) -> list[Case]:
    rng, limit, seconds, key, start = _drawn("refusals", service)
    asked = Asked(make(limit, seconds))
    asked.allows(key, start, limit)
    ticks = rng.choice(np.arange(1, seconds), between(rng, seconds // 2, seconds - 1), False)
    for tick in np.sort(ticks).tolist():
        asked.allows(key, start + tick, between(rng, 1, limit))
    what = f"{limit} again after {seconds} s and {len(ticks)} refusals"
    asked.expect(key, start + seconds, limit, True, REFUSED, what)
    asked.expect(key, start + seconds, 1, False, "Every answer in a batch counts.", "and one more")
    return asked.cases


def waits_of_a_window(part: Part, make: Make) -> None:
    """``retry_after`` agrees with ``allow``, and takes nothing."""
    decide(part, [case for i in range(SERVICES) for case in _waits(make, i)])


def _waits(make: Make, service: int) -> list[Case]:
    rng, limit, seconds, key, start = _drawn("waits", service)
    window, early = Asked(make(limit, seconds)), Asked(make(limit, seconds))
    old = between(rng, 2, limit - 2)
    then = between(rng, 5, seconds // 2)
    now = between(rng, then + 1, seconds - 5)
    few, many = between(rng, 1, old), between(rng, old + 1, limit)
    first = window.wait(key, start, limit)
    another = f"{key} again"
    still = [
        one.allows(name, start + at, n)
        for one, name in ((window, key), (early, another))
        for at, n in ((0, old), (then, limit - old))
    ]
    waits = [window.wait(key, start + now, n) for n in (few, many)]
    never = window.wait(key, start + now, limit + 1)
    tried = [
        early.allows(another, start + seconds - 0.01, few),
        window.allows(key, start + seconds + 0.0001, few),
    ]
    return [
        Case(
            f"the wait for {limit} of {limit}, at {start} s",
            first,
            0.0,
            TIME_OF_DAY if first == start else "Answer 0.0 where allow would say True.",
        ),
        Case(f"then {old} of them, and {limit - old}", still, [True] * 4, TAKES),
        Case(
            f"after {old} at {start} s and {limit - old} at {start + then} s, with windows of "
            f"{seconds} s, the waits at {start + now} s for {few} and for {many}",
            waits,
            [float(seconds - now), float(seconds + then - now)],
            _why_wait(
                waits,
                seconds,
                f"{old} places come at {start + seconds} s, the others at "
                f"{start + then + seconds} s",
            ),
        ),
        Case(
            f"the wait for {limit + 1} of at most {limit}",
            never,
            np.inf,
            "More than all the room there is never passes: answer float('inf').",
        ),
        Case(
            f"asked for {few} just before and just after that wait",
            tried,
            [False, True],
            AGREES,
        ),
    ]


def _why_wait(waits: list[float], seconds: int, places: str) -> str:
    """What is wrong with the waits for a few places, and for more than the oldest leave."""
    if not any(waits):
        return f"The answer is 0.0 even where allow refuses: {places}."
    if waits == [seconds, seconds]:
        return (
            f"Each answer leaves the window `seconds` after its own time, not after now: {places}."
        )
    if waits[0] == waits[1]:
        return (
            "It depends on n how many of the oldest answers must leave: neither the oldest alone "
            f"nor the newest decides. Here {places}."
        )
    return f"Wait until enough of the oldest answers are `seconds` old: {places}."


def backward_clock_and_window(part: Part, make: Make) -> None:
    """A clock that goes back neither gains nor costs room."""
    decide(part, [case for i in range(SERVICES) for case in _backwards(make, i)])


def _backwards(make: Make, service: int) -> list[Case]:
    rng, limit, seconds, key, border = _drawn("backward clock", service)
    window, other = Asked(make(limit, seconds)), Asked(make(limit, seconds))
    high = border + between(rng, 1, seconds - 10)
    low = between(rng, 0, border - seconds)
    another = f"{key} again"
    for one, name in ((window, key), (other, another)):
        used = between(rng, 1, limit - 2)
        for n in pieces(rng, used):
            one.allows(name, high, n)
        what = f"the {limit - used} left, with a clock that fell from {high} s to {low} s"
        one.empty(name, low, pieces(rng, limit - used), BACKWARDS, what)
    for at in range(high + 1, high + between(rng, 2, 5)):
        what = f"one more at {at} s, after {limit} in windows of {seconds} s until {high} s"
        window.expect(key, at, 1, False, BACKWARDS, what)
    other.expect(
        another, high + seconds, limit, True, BACKWARDS, f"{limit} again, {seconds} s later"
    )
    return [*window.cases, *other.cases]


# --- slips that spoil several parts ---------------------------------------------------


def slip(make: Make) -> str:
    """What is wrong with a window as a whole; "" if that is nothing, or nothing known."""
    limit, seconds, now = 8, 64, 1_000

    def fresh() -> Asked:
        return Asked(make(limit, seconds))

    if not fresh().allows(probe_key(), now, limit):
        return FULL_LIMIT if fresh().allows(probe_key(), now, limit - 1) else FULL
    both = limiter_cases.slip_of_both(lambda: make(limit, seconds), limit, now)
    if both:
        return both
    old, key = fresh(), probe_key()
    old.allows(key, now, limit)
    if any(old.allows(key, now + i, 1) for i in range(1, seconds)):
        return ""  # too early: the first part says by how much
    old, key = fresh(), probe_key()
    old.allows(key, now, limit)
    if not old.allows(key, now + seconds, limit):
        soon = old.allows(key, now + seconds + 1 / 64, limit)
        return INCLUSIVE if soon else NEVER_FORGOTTEN
    return limiter_cases.slip_of_refusals(fresh(), limit, now, now + seconds / 2, now + seconds)
