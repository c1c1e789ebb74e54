"""What lab 4 tries with a token bucket: bursts, refills, refusals, and waits.

Each function decides one part of the check; ``make`` builds a bucket of the student's. Rates are
powers of two and times multiples of the time for a quarter of a token, so that nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.checks import draws, limiter_cases
from trickster.checks.cases import Case, decide
from trickster.checks.limiter_cases import (
    AGREES,
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

Make = Callable[[float, int], Any]  # rate and burst → a bucket
FRACTIONS = (
    "Part of a token got lost or was won at each request. Keep fractions of a token; int() and "
    "round() lose them, and so does moving the time on without adding what it brought."
)
PART_OF_A_TOKEN = (  # of an empty bucket: tokens since then, the answer to one more, what that is
    (1.125, True, "one of 1.125 tokens"),
    (2, True, "one of .125 tokens left and .875 new ones"),
    (2, False, "one more after 2 of 2 tokens"),
)
TOLERANCE = "A tolerance is for rounding errors: 1e-6 of a token will do."
EXACTLY = "A request for exactly as many tokens as are left passes: tokens >= n, not tokens > n."
EMPTY = (
    "A new key's bucket was not full. Begin with (burst, now) for a key that has never asked, "
    "whatever the time is: an honest burst passes at once."
)
NEVER_REFILLED = (
    "The bucket never fills again. A second brings rate tokens: (now - then) * rate, where now is "
    "the argument, not the computer's clock, and then is when the key last asked."
)
OTHER_RATE = "The bucket refills at another rate: n seconds bring n * rate tokens."
REFILLED_TWICE = (
    "The same seconds brought tokens twice. Whenever tokens are added, keep the time as well: "
    "self.keys[key] = (tokens, now)."
)


def _drawn(what: str, service: int = 0) -> tuple[np.random.Generator, float, int, str, float]:
    """For one bucket: a generator, a rate, a burst, a key, and when it first asks."""
    rng = draws.rng("bucket", what, service)
    rate, burst = 2.0 ** between(rng, -2, 3), between(rng, 8, 24)
    return rng, rate, burst, customers(rng, 1)[0], float(between(rng, 0, 1_000))


def burst_and_rate(part: Part, make: Make) -> None:
    """The bucket starts full, refills at its rate, and overflows."""
    decide(part, [case for i in range(SERVICES) for case in _burst_and_rate(make, i)])


def _burst_and_rate(make: Make, service: int) -> list[Case]:
    rng, rate, burst, key, now = _drawn("burst and rate", service)
    now *= service > 0  # the first one begins at time 0, with a full bucket as well
    asked = Asked(make(rate, burst))
    asked.empty(key, now, pieces(rng, burst), FULL, f"a new key's burst of {burst}")
    what = f"one more at once than a burst of {burst}"
    asked.expect(key, now, 1, False, "Take n tokens when allowed.", what)
    refilled = "A second refills rate tokens, (now - then) * rate; what is refused takes none."
    refills = [between(rng, 2, burst - 1) for _ in range(between(rng, 2, 4))]
    refills.insert(between(rng, 1, len(refills)), burst)
    for tokens in refills:
        seconds = tokens / rate * (between(rng, 10, 100) if tokens == burst else 1)
        now += seconds
        full, what = tokens == burst, f"{tokens} tokens after {seconds:g} s at rate {rate:g}"
        asked.empty(
            key,
            now,
            pieces(rng, tokens),
            "After so long a pause, the bucket is full again." if full else refilled,
            what,
        )
        over = (
            "The bucket overflows: never more than burst tokens, min(burst, ...)."
            if full
            else refilled
        )
        asked.expect(key, now, 1, False, over, f"one more than {what}")
    return [*asked.cases, *_fractions(make, service)]


def _fractions(make: Make, service: int) -> list[Case]:
    """What an answered request leaves of a token is there for the next one."""
    _, rate, burst, key, now = _drawn("fractions", service)
    asked = Asked(make(rate, burst))
    asked.allows(key, now, burst)
    for tokens, want, what in PART_OF_A_TOKEN:
        asked.expect(key, now + tokens / rate, 1, want, FRACTIONS, what)
    return asked.cases


def keys_and_batches(part: Part, make: Make) -> None:
    """See ``limiter_cases``."""
    rng, rate, *_ = _drawn("keys and batches")
    limiter_cases.keys_and_batches(part, lambda room: make(rate, room), rng)


def refusals_leave_the_bucket(part: Part, make: Make) -> None:
    """What is refused takes no token."""
    decide(part, [case for i in range(SERVICES) for case in _refusals(make, i)])


def _refusals(make: Make, service: int) -> list[Case]:
    rng, rate, burst, key, now = _drawn("refusals", service)
    asked, tokens = Asked(make(rate, burst)), between(rng, 3, 6)
    asked.allows(key, now, burst)
    quarters = 4 * tokens  # that many times, a quarter of a token comes
    ticks = np.sort(rng.choice(quarters, between(rng, 2 * tokens, quarters), replace=False))
    for tick in ticks.tolist():
        asked.allows(key, now + tick / (4 * rate), between(rng, tokens + 1, burst))
    what = f"after {tokens / rate:g} s at rate {rate:g} and {len(ticks)} refusals"
    now += tokens / rate
    asked.expect(key, now, tokens, True, REFUSED, f"{tokens} tokens {what}")
    asked.expect(key, now, 1, False, "Take n tokens when allowed.", f"one more than {tokens}")
    return asked.cases


def waits_of_a_bucket(part: Part, make: Make) -> None:
    """``retry_after`` agrees with ``allow``, and takes nothing."""
    decide(part, [case for i in range(SERVICES) for case in _waits(make, i)])


def _waits(make: Make, service: int) -> list[Case]:
    rng, rate, burst, key, now = _drawn("waits", service)
    rate = max(rate, 4.0) if service == 0 else rate  # or all waits may be whole seconds
    bucket, early, other = (Asked(make(rate, burst)) for _ in range(3))
    another, third = f"{key} again", f"{key} later"  # whoever shares limiters loses that part only
    n = 2 * between(rng, 1, (burst - 3) // 2) + 1  # odd: not a whole number of seconds at rate 4
    back, whole = between(rng, 1, n - 1), n / rate  # seconds for n tokens
    first = bucket.wait(key, now, burst)
    still = bucket.allows(key, now, burst)
    early.allows(another, now, burst)
    other.allows(third, now, burst)
    waits = [bucket.wait(key, now, n), bucket.wait(key, now + back / rate, n)]
    late = other.wait(third, now + whole + between(rng, 1, 5), n)
    right = [round(whole, 3), round((n - back) / rate, 3)]
    tried = [
        early.allows(another, now + whole - 0.01, n),
        bucket.allows(key, now + whole + 0.0001, n),
    ]
    return [
        Case(
            f"the wait for {burst} of a full bucket, at {now:g} s",
            first,
            0.0,
            TIME_OF_DAY if first == now else "Answer 0.0 where allow would say True.",
        ),
        Case(f"then those {burst}", still, True, TAKES),
        Case(
            f"the waits for {n} of an empty one at rate {rate:g}, at once and after "
            f"{back / rate:g} s",
            waits,
            right,
            _why_wait(waits, right, n, rate),
        ),
        *_longest_waits(Asked(make(rate, burst)), key, now, rate, burst),
        Case(
            f"the wait for {n} when they are there",
            late,
            0.0,
            "A wait is never negative: max(0.0, ...).",
        ),
        Case(
            f"asked for {n} just before and just after that wait",
            tried,
            [False, True],
            AGREES,
        ),
    ]


def _longest_waits(asked: Asked, key: str, now: float, rate: float, burst: int) -> list[Case]:
    """For all that a bucket holds, and for more than that."""
    asked.allows(key, now, burst)
    all_of_it = asked.wait(key, now, burst)
    never = [asked.wait(one, now, burst + 1) for one in (key, f"{key} never")]
    return [
        Case(
            f"the wait for all {burst} of an empty one at rate {rate:g}",
            all_of_it,
            round(burst / rate, 3),
            "An empty bucket is full again after a while: only more than burst never passes, "
            "n > burst.",
        ),
        Case(
            f"the waits for {burst + 1} of at most {burst}, of a key that has asked and a new one",
            never,
            [np.inf, np.inf],
            "More than all the room there is never passes, whoever asks: answer float('inf').",
        ),
    ]


def _why_wait(waits: list[float], right: list[float], n: int, rate: float) -> str:
    """What is wrong with the waits for ``n`` tokens, at once and some time later."""
    if not any(waits):
        return (
            "The answer is 0.0 even where allow refuses: a wait is what is missing, divided by the "
            "rate."
        )
    if waits[0] == round(n * rate, 3) != round(n / rate, 3):
        return "Divide what is missing by the rate: tokens / (tokens per second) are seconds."
    near = all(abs(wait - true) < 1 for wait, true in zip(waits, right, strict=True))
    if near and all(wait % 1 == 0 for wait in waits):
        return (
            "These are whole seconds. Keep the fractions, without int(), round() or ceil(): who "
            "comes back after a wait that was cut off is refused again."
        )
    if waits[0] == waits[1]:
        return (
            "What has been refilled since the last request shortens the wait: add it first, as "
            "allow does."
        )
    return "A wait is what is missing, divided by the rate."


# --- slips that spoil several parts ---------------------------------------------------


def slip(make: Make) -> str:
    """What is wrong with a bucket as a whole; "" if that is nothing, or nothing known."""
    rate, burst, now = 4.0, 20, 1_000.0

    def fresh() -> Asked:
        return Asked(make(rate, burst))

    if not fresh().allows(probe_key(), now, burst):
        return EXACTLY if fresh().allows(probe_key(), now, burst - 1) else EMPTY
    if not fresh().allows(probe_key(), 0.0, burst):
        return EMPTY
    return (
        limiter_cases.slip_of_both(lambda: make(rate, burst), burst, now)
        or _slip_of_refills(fresh(), rate, burst, now)
        or limiter_cases.slip_of_refusals(fresh(), burst, now, now, now + burst / rate)
        or _slip_of_fractions(fresh(), rate, burst, now)
    )


def _slip_of_refills(asked: Asked, rate: float, burst: int, now: float) -> str:
    """Two seconds after a burst, twice the rate passes."""
    key, later = probe_key(), probe_key()
    asked.allows(key, now, burst)
    passed = sum(asked.allows(key, now + 2, 1) for _ in range(burst + 1))
    if passed == 2 * rate:
        return ""
    if passed > burst:
        return REFILLED_TWICE
    asked.allows(later, now, burst)
    return OTHER_RATE if asked.allows(later, now + 100, 1) else NEVER_REFILLED


def _slip_of_fractions(asked: Asked, rate: float, burst: int, now: float) -> str:
    """A quarter of a token at a time must add up, also where every request is refused."""
    key, hasty, patient = probe_key(), probe_key(), probe_key()
    asked.allows(key, now, burst)
    for i in range(16):
        asked.allows(key, now + i / 16, burst)
    if not asked.allows(key, now + 1, 4):
        return FRACTIONS
    asked.allows(patient, now, burst)
    for tokens, want, _ in PART_OF_A_TOKEN[:2]:
        if asked.allows(patient, now + tokens / rate, 1) != want:
            return FRACTIONS
    asked.allows(hasty, now, burst)
    return TOLERANCE if asked.allows(hasty, now + 1 / 8, 1) else ""
