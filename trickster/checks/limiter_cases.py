"""What lab 4 tries with a rate limiter: bursts, keys, batches, refusals, waits, drift, clocks.

Each function decides one part of a check. ``make`` builds a limiter of the student's; ``drive``
sends it many requests at once (see ``probes``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.checks.cases import Case, decide
from trickster.checks.result import Missed, Part, array

Drive = Callable[[Any, list[str], np.ndarray, list[int]], Any]
FORGETS = "The limiter forgot a key that still owes: keep what each key has used by its key."
PER_KEY = "One customer's use was charged to another: keep what each key has used by its key."
REFUSED = "Refused requests were counted. What is refused must leave everything as it was."
PARTLY = "A batch is answered whole or not at all: a refused one must take nothing."
TAKES = "retry_after only looks: it must take nothing, also where it answers 0.0."
BACKWARDS = (
    "A clock that goes back must gain nothing and cost nothing: for each key, count with the "
    "latest time it has seen, max(now, then)."
)


def _allows(limiter: Any, key: str, now: float, n: int = 1) -> bool:
    answer = limiter.allow(key, now, n)
    if answer is None:
        raise Missed("allow returned None. Does it end with return True or return False?")
    return bool(answer)


def _wait(limiter: Any, key: str, now: float, n: int = 1) -> float:
    found = array(limiter.retry_after(key, now, n), "retry_after")
    if found.size != 1 or np.isnan(found).any():
        raise Missed("retry_after must return one number of seconds.")
    return float(found.reshape(()))


def _crowd(make: Callable[..., Any], drive: Drive, room: int) -> Case:
    """One key uses up its room, thousands of others come, and it asks again."""
    keys = ["ann", *(f"key {i}" for i in range(3_000)), "ann"]
    allowed = drive(make(), keys, np.zeros(len(keys)), [room, *[1] * 3_000, 1])
    return Case("asked again after 3,000 other keys", bool(allowed[-1]), False, FORGETS)


def keys_and_batches(part: Part, make: Callable[..., Any], drive: Drive, room: int) -> None:
    """Parts that both limiters share; ``room`` answers fit at once."""
    limiter = make()
    _allows(limiter, "ann", 0, room)
    cases = [
        Case("another key's first request", _allows(limiter, "bob", 0, room), True, PER_KEY),
        _crowd(make, drive, room),
    ]
    limiter = make()
    _allows(limiter, "ann", 0, room - 3)
    too_many = _allows(limiter, "ann", 0, 5)
    cases += [
        Case("5 asked where 3 fit", too_many, False, "All n must fit, or none is answered."),
        Case("then the 3 that fit", _allows(limiter, "ann", 0, 3), True, PARTLY),
        Case("and one more", _allows(limiter, "ann", 0), False, "Every answer of a batch counts."),
        Case(
            f"{room + 1} asked by a new key",
            _allows(limiter, "eve", 0, room + 1),
            False,
            "A batch that is larger than all the room there is never passes.",
        ),
    ]
    decide(part, cases)


# --- the token bucket ---


def burst_and_rate(part: Part, make: Callable[..., Any]) -> None:
    """The bucket starts full, refills at its rate, and overflows."""
    bucket = make(2.0, 10)
    cases = [
        Case(
            "a new key's burst of 10",
            _allows(bucket, "ann", 50, 10),
            True,
            "An honest burst was refused: a new key's bucket is full.",
        ),
        Case("an 11th at once", _allows(bucket, "ann", 50), False, "Take n tokens when allowed."),
        Case(
            "2 tokens after 1 s at rate 2",
            _allows(bucket, "ann", 51, 2),
            True,
            "A second refills rate tokens: (now - then) * rate.",
        ),
        Case("and a third", _allows(bucket, "ann", 51), False, "A second refills rate tokens."),
        Case("10 after 1,000 s", _allows(bucket, "ann", 1_051, 10), True, "Is it full again?"),
        Case(
            "and an 11th",
            _allows(bucket, "ann", 1_051),
            False,
            "The bucket overflows: never more than burst tokens, min(burst, ...).",
        ),
    ]
    decide(part, cases)


def refusals_leave_the_bucket(part: Part, make: Callable[..., Any]) -> None:
    """What is refused takes no token."""
    bucket = make(1.0, 10)
    _allows(bucket, "ann", 0, 10)
    for tick in range(20):
        _allows(bucket, "ann", 0.25 * tick, 8)
    decide(
        part,
        [Case("5 tokens at 5 s, after 20 refusals", _allows(bucket, "ann", 5, 5), True, REFUSED)],
    )


def waits_of_a_bucket(part: Part, make: Callable[..., Any]) -> None:
    """``retry_after`` agrees with ``allow``, and takes nothing."""
    bucket = make(2.0, 10)
    early = make(2.0, 10)
    waits = [_wait(bucket, "ann", 0, 10)]
    still = _allows(bucket, "ann", 0, 10)
    _allows(early, "ann", 0, 10)
    waits += [_wait(bucket, "ann", 0, 4), _wait(bucket, "ann", 1, 4)]
    never, other = _wait(bucket, "ann", 0, 11), make(2.0, 10)
    _allows(other, "ann", 0, 10)
    decide(
        part,
        [
            Case("the wait for 10 of a full bucket", waits[0], 0.0, "0.0 where it would pass."),
            Case("then those 10", still, True, TAKES),
            Case(
                "the waits for 4 of an empty one, at once and after 1 s",
                np.round(waits[1:], 3).tolist(),
                [2.0, 1.0],
                "What is missing, divided by the rate.",
            ),
            Case("for 11 of at most 10", never, np.inf, "Never: float('inf')."),
            Case("for 4 after 3 s", _wait(other, "ann", 3, 4), 0.0, "0.0, not a negative wait."),
            Case(
                "asked for 4 just before and just after that wait",
                [_allows(early, "ann", 1.99, 4), _allows(bucket, "ann", 2.0001, 4)],
                [False, True],
                "retry_after must agree with allow, and must take nothing itself.",
            ),
        ],
    )


def backward_clock_and_bucket(part: Part, make: Callable[..., Any], drive: Drive) -> None:
    """A clock that goes back neither gains nor costs tokens."""
    bucket, slow = make(1.0, 10), make(1.0, 10)
    times = np.tile([100.0, 0.0], 30)
    got = int(np.sum(drive(bucket, ["ann"] * 60, times, [1] * 60)))
    _allows(slow, "ann", 100, 5)
    decide(
        part,
        [
            Case("answers of 10 to a clock that jumps 100, 0, 100 ...", got, 10, BACKWARDS),
            Case("5 of the 5 left, one second back", _allows(slow, "ann", 99, 5), True, BACKWARDS),
        ],
    )


def drift(part: Part, make: Callable[..., Any], drive: Drive) -> None:
    """A long time at the limit, and a customer who keeps exactly to the rate."""
    n = 100_000
    got = int(np.sum(drive(make(0.7, 5), ["ann"] * n, np.arange(n) * 0.1, [1] * n)))
    want = 5 + 0.7 * 0.1 * (n - 1)
    steady = int(np.sum(drive(make(10.0, 1), ["ann"] * n, np.arange(n) * 0.1, [1] * n)))
    part.expect(
        abs(got - want) <= 2 and steady == n,
        f"{got:,} answers to {n:,} requests at ten times a rate of .7 a second; {steady:,} to a "
        "customer who keeps exactly to a rate of 10",
        f"{want:,.1f} (within 2), and {n:,}",
        "",
        "Part of a token got lost or was won at each request. Keep fractions of a token; int() and "
        "round() lose them, and so does moving the time on without adding what it brought."
        if abs(got - want) > 2
        else "A tenth of a second times 10 comes out as .9999999 now and then, and a customer who "
        "does what is asked is refused. Compare with a small tolerance: tokens >= n - 1e-6.",
    )


# --- the sliding window ---


def any_window(part: Part, make: Callable[..., Any], drive: Drive) -> None:
    """No window of so many seconds holds more answers than the limit."""

    def later(now: float, n: int = 1) -> bool:
        window = make(5, 60)
        _allows(window, "ann", 55, 5)
        return _allows(window, "ann", now, n)

    cases = [
        Case("5 of 5", _allows(make(5, 60), "ann", 55, 5), True, "An honest burst was refused."),
        Case(
            "5 at 55 s, one more at 65 s",
            later(65),
            False,
            "Windows that begin at fixed times allow twice the limit around their border. "
            "Look back `seconds` from now.",
        ),
        Case("5 at 55 s, one more at 114 s", later(114), False, "That is 59 s later, of 60."),
        Case(
            "5 at 55 s, 5 at 115 s",
            later(115, 5),
            True,
            "What was answered 60 s ago counts no more.",
        ),
    ]
    rng = np.random.default_rng(4)
    times = np.sort(rng.uniform(0, 2_000, 3_000))
    allowed = np.asarray(drive(make(20, 60), ["ann"] * 3_000, times, [1] * 3_000), dtype=bool)
    want = _windowed(times, 20, 60)
    cases.append(
        Case(
            "of 3,000 requests at random times, those answered otherwise than asked",
            int(np.sum(allowed != want)),
            0,
            "Count the answers younger than `seconds`, each by its own time, and no refusals.",
        )
    )
    decide(part, cases)


def refusals_leave_the_window(part: Part, make: Callable[..., Any]) -> None:
    """What is refused counts in no window."""
    window = make(5, 60)
    _allows(window, "ann", 0, 5)
    for tick in range(1, 60):
        _allows(window, "ann", tick)
    decide(
        part, [Case("5 at 60 s, after 59 refusals", _allows(window, "ann", 60, 5), True, REFUSED)]
    )


def waits_of_a_window(part: Part, make: Callable[..., Any]) -> None:
    """``retry_after`` agrees with ``allow``, and takes nothing."""
    window = make(5, 60)
    early = make(5, 60)
    waits = [_wait(window, "ann", 0, 5)]
    still = []
    for one in (window, early):
        still += [_allows(one, "ann", 0, 2), _allows(one, "ann", 10, 3)]
    waits += [_wait(window, "ann", 20, 2), _wait(window, "ann", 20, 3)]
    decide(
        part,
        [
            Case("the wait for 5 of 5", waits[0], 0.0, "0.0 where it would pass."),
            Case("then 2 of them, and 3", still, [True] * 4, TAKES),
            Case(
                "after 2 at 0 s and 3 at 10 s, the waits at 20 s for 2 and for 3",
                np.round(waits[1:], 3).tolist(),
                [40.0, 50.0],
                "Wait until enough of the oldest answers are `seconds` old: 2 places come at "
                "60 s, the others at 70 s.",
            ),
            Case("for 6", _wait(window, "ann", 20, 6), np.inf, "Never: float('inf')."),
            Case(
                "asked for 2 just before and just after that wait",
                [_allows(early, "ann", 59.99, 2), _allows(window, "ann", 60.0001, 2)],
                [False, True],
                "retry_after must agree with allow, and must take nothing itself.",
            ),
        ],
    )


def backward_clock_and_window(part: Part, make: Callable[..., Any]) -> None:
    """A clock that goes back neither gains nor costs room."""
    window, other = make(5, 60), make(5, 60)
    for one in (window, other):
        _allows(one, "ann", 100, 2)
        back = _allows(one, "ann", 0, 3)
    decide(
        part,
        [
            Case("3 of the 3 left, with a clock that fell to 0", back, True, BACKWARDS),
            Case("one more at 101 s", _allows(window, "ann", 101), False, BACKWARDS),
            Case("5 at 160 s", _allows(other, "ann", 160, 5), True, BACKWARDS),
        ],
    )


def _windowed(times: np.ndarray, limit: int, seconds: float) -> np.ndarray:
    """What a window answers, counted the slow way."""
    given: list[float] = []
    allowed = []
    for now in times.tolist():
        allowed.append(sum(now - then < seconds for then in given) < limit)
        if allowed[-1]:
            given.append(now)
    return np.array(allowed)
