"""Checks of lab 4, Rate limits and hard labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from trickster import attacks, evaluation
from trickster.api import RateLimited
from trickster.checks import fixtures
from trickster.checks import panel as thieves
from trickster.checks.result import Missed, Part, Sheet, array, check, number
from trickster.checks.thresholds import LAYERED_DROP, LAYERED_LOSS
from trickster.models import softmax

POOL_SEED = 8_000  # the checks' pools; the labs draw theirs from small seeds
DAY = 86_400


class Case(NamedTuple):
    """One situation of a part: what came of it, what should, and what a miss usually is."""

    what: str
    got: Any
    want: Any
    means: str


def _decide(part: Part, cases: list[Case]) -> None:
    """All of the part's points if every case is right; the first wrong one is told."""
    wrong = [case for case in cases if case.got != case.want]
    if wrong:
        case = wrong[0]
        part.expect(False, f"{case.what}: {case.got}", f"{case.want}", "", case.means)
    else:
        right = f"{len(cases)} of {len(cases)} situations right"
        part.expect(True, right, "all of them right")


# --- exercise 1 --------------------------------------------------------------------


def _answers(n: int = 200) -> np.ndarray:
    """Posteriors of all kinds, from sure to flat."""
    rng = np.random.default_rng(11)
    logits = rng.normal(size=(n, 10)) * rng.uniform(0.1, 6, size=(n, 1))
    return softmax(logits).astype(np.float32)


def _sums(found: np.ndarray, fix: str) -> None:
    """Raises :class:`Missed` where rows are no distributions."""
    if not np.isfinite(found).all():
        raise Missed(f"{int((~np.isfinite(found)).any(axis=1).sum())} rows hold NaN. {fix}")
    off = np.abs(found.sum(axis=1) - 1)
    if found.min() < -1e-9 or off.max() > 1e-4:
        raise Missed(
            f"{int((off > 1e-4).sum())} of {len(found)} rows are no distribution: their sums run "
            f"from {found.sum(axis=1).min():.3g} to {found.sum(axis=1).max():.3g}. {fix}"
        )


@check("Exercise 1, the information ladder", 4)
def ladder(
    sheet: Sheet,
    hard_labels: Callable[..., Any],
    top_k: Callable[..., Any],
    round_posteriors: Callable[..., Any],
) -> None:
    """Each rung: a distribution in every row, and every row by itself."""
    p = _answers()
    eye = np.eye(10)
    with sheet.part("hard_labels", 1) as part:
        _hard_rung(part, hard_labels, p)
    with sheet.part("top_k", 1) as part:
        found = array(top_k(p.copy(), 3), "top_k", p.shape)
        _sums(found, "Divide each row by what is left of it: sum(axis=1, keepdims=True).")
        order = np.argsort(-p, axis=1)[:, :3]
        want = np.zeros(p.shape)
        np.put_along_axis(want, order, np.take_along_axis(p, order, axis=1), axis=1)
        off = float(np.abs(found - want / want.sum(axis=1, keepdims=True)).max())
        largest = np.take_along_axis(found, order[:, :1], axis=1)
        part.expect(
            off < 1e-4,
            f"largest distance from the three largest of each row, normalised: {off:.2g}",
            "0",
            "below 1e-6",
            "These are the smallest of each row: argsort goes upwards, so take the last k places, "
            "or sort -posteriors."
            if np.all(largest == 0)
            else "Sort along axis=1: each row has three largest classes of its own.",
        )
    with sheet.part("top_k with ties, with k = 1 and k = 10", 0.5) as part:
        flat = np.vstack([np.full(10, 0.1), np.repeat([0.4, 0.025], [2, 8])])
        kept = (array(top_k(flat.copy(), 3), "top_k", (2, 10)) > 0).sum(axis=1).tolist()
        one = array(top_k(p.copy(), 1), "top_k", p.shape)
        ten = array(top_k(p.copy(), 10), "top_k", p.shape)
        ties = (
            "Keeping all that are at least as large as the k-th keeps the ties as well: choose k "
            "places with argsort, not a level."
        )
        _decide(
            part,
            [
                Case("classes kept of two rows with ties, k = 3", kept, [3, 3], ties),
                Case(
                    "k = 1 is the hard label",
                    bool(np.abs(one - eye[p.argmax(axis=1)]).max() < 1e-4),
                    True,
                    "Of one class, normalised, 1 is left.",
                ),
                Case(
                    "k = 10 changes nothing",
                    bool(np.abs(ten - p).max() < 1e-4),
                    True,
                    "Mind a slice that ends at -k or at 0.",
                ),
            ],
        )
    with sheet.part("round_posteriors", 1) as part:
        for decimals in (1, 2):
            found = array(round_posteriors(p.copy(), decimals), "round_posteriors", p.shape)
            _sums(found, "Rounded parts rarely sum to 1: divide each row by its sum again.")
            want = np.round(p.astype(float), decimals)
            want /= want.sum(axis=1, keepdims=True)
            off = np.abs(found - want).max(axis=1)
            # A probability on the edge between two roundings may go either way.
            edge = np.abs((p.astype(float) * 10**decimals) % 1 - 0.5).min(axis=1) < 1e-3
            off = float(off[~edge].max())
            if off > 1e-4:
                break
        part.expect(
            off < 1e-4,
            f"largest distance from the rounded row, normalised: {off:.2g}",
            "0",
            "below 1e-6",
            "Round each probability to `decimals` places first, then divide each row by its sum. "
            "Was it normalised over the whole batch, or not rounded at all?",
        )
    with sheet.part("a row that rounds to nothing", 0.5) as part:
        vague = softmax(
            np.array([[0.0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 5, 0, 0, 0, 0, 0, 0]])
        )
        found = array(round_posteriors(vague.copy(), 0), "round_posteriors", (2, 10))
        _sums(found, "Nothing is left of such a row, and 0 / 0 is NaN: give its hard label.")
        part.expect(
            bool(np.allclose(found, eye[[1, 3]])),
            f"largest class of two rows {found.argmax(axis=1).tolist()}, with "
            f"{found.max(axis=1).round(2).tolist()}",
            "[1, 3], with [1.0, 1.0]",
            "",
            "A row of which nothing is left becomes its hard label.",
        )
        if part.share == 1:
            _clear_beside_vague(round_posteriors)


def _clear_beside_vague(round_posteriors: Callable[..., Any]) -> None:
    """Of 30 classes, one row rounds to nothing and another does not: only the first is replaced."""
    p = np.full((2, 30), 1 / 30)
    p[1] = np.r_[0.6, 0.4, np.zeros(28)]
    found = array(round_posteriors(p.copy(), 1), "round_posteriors", p.shape)
    _sums(found, "Nothing is left of such a row, and 0 / 0 is NaN: give its hard label.")
    if not np.allclose(found[1], p[1], atol=1e-4):
        raise Missed(
            "In one batch of 30 classes, a row of which rounding leaves nothing and a row "
            f"[.6, .4, 0, ...]: the second came back with {found[1, :2].round(2).tolist()} in "
            "front instead of [.6, .4]. Give a hard label to the empty rows only, not to all."
        )


def _hard_rung(part: Part, hard_labels: Callable[..., Any], p: np.ndarray) -> None:
    found = array(hard_labels(p.copy()), "hard_labels")
    down = np.zeros(p.shape)
    down[p.argmax(axis=0), np.arange(10)] = 1
    if np.array_equal(found, down) or np.array_equal(found, np.eye(10)[p.argmax(axis=0) % 10]):
        raise Missed(
            f"hard_labels looked down the columns: for each class, which of the {len(p)} rows has "
            "most of it? Asked is each row's largest class: argmax(axis=1)."
        )
    found = array(found, "hard_labels", p.shape)
    if np.array_equal(found, _library_hard_labels(p)):
        raise Missed(
            f"Each of the {len(p)} rows has the winning columns of all rows marked: "
            f"{int(found[0].sum())} ones in the first. Index row by row: "
            "answers[np.arange(n), winners] = 1, or np.eye(k)[winners]."
        )
    _sums(found, "One 1 in each row, zeros elsewhere.")
    right = float(np.mean(np.all(found == np.eye(10)[p.argmax(axis=1)], axis=1)))
    twins = array(hard_labels(np.array([[0.4, 0.4, 0.2] + [0.0] * 7])), "hard_labels", (1, 10))
    part.expect(
        right == 1 and np.count_nonzero(twins) == 1,
        f"{right:.0%} of {len(p)} rows are the one-hot of their largest class; of two equal "
        f"ones {np.count_nonzero(twins)} marked",
        "100 %, and 1",
        "",
        "argmax(axis=1) gives one class for each row, the first of equal ones."
        if right < 1
        else "Comparing with the maximum marks every equal one: use argmax.",
    )


def _library_hard_labels(p: np.ndarray) -> np.ndarray:
    """The shown bug: every winning column is marked in every row."""
    answers = np.zeros_like(p)
    answers[:, p.argmax(axis=1)] = 1
    return answers


@check("Exercise 2, counterexample", 1)
def counterexample(sheet: Sheet, counterexample: Callable[..., Any]) -> None:
    """A batch of distributions on which both library functions return none."""
    with sheet.part("hard labels fail on it", 0.5) as part:
        p = array(counterexample(), "counterexample", (None, 10))
        _sums(p, "What you hand in must be posteriors: each row sums to 1.")
        sums = _library_hard_labels(p).sum(axis=1)
        part.expect(
            bool(np.any(np.abs(sums - 1) > 1e-6)),
            f"{len(p)} rows; sums of the library's hard labels {sums[:4].round(2).tolist()}",
            "a sum that is not 1",
            "",
            "A batch of one row shows nothing, nor do rows with the same winner: which columns "
            "are marked, and in which rows?",
        )
    with sheet.part("rounding to one decimal fails on it", 0.5) as part:
        p = array(counterexample(), "counterexample", (None, 10))
        _sums(p, "What you hand in must be posteriors: each row sums to 1.")
        sums = np.round(p, 1).sum(axis=1)
        part.expect(
            bool(np.any(np.abs(sums - 1) > 1e-6)),
            f"sums of the rounded rows {sums[:4].round(2).tolist()}",
            "a sum that is not 1",
            "",
            "Choose probabilities that lose something when they are rounded: what becomes of .04?",
        )


# --- exercises 3 and 4 ---------------------------------------------------------------

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


def _says(limiter: Any, key: str, now: float, n: int = 1) -> bool:
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
    said = drive(make(), keys, np.zeros(len(keys)), [room, *[1] * 3_000, 1])
    return Case("asked again after 3,000 other keys", bool(said[-1]), False, FORGETS)


def _keys_and_batches(part: Part, make: Callable[..., Any], drive: Drive, room: int) -> None:
    """Parts that both limiters share; ``room`` answers fit at once."""
    limiter = make()
    _says(limiter, "ann", 0, room)
    cases = [
        Case("another key's first request", _says(limiter, "bob", 0, room), True, PER_KEY),
        _crowd(make, drive, room),
    ]
    limiter = make()
    _says(limiter, "ann", 0, room - 3)
    too_many = _says(limiter, "ann", 0, 5)
    cases += [
        Case("5 asked where 3 fit", too_many, False, "All n must fit, or none is answered."),
        Case("then the 3 that fit", _says(limiter, "ann", 0, 3), True, PARTLY),
        Case("and one more", _says(limiter, "ann", 0), False, "Every answer of a batch counts."),
        Case(
            f"{room + 1} asked by a new key",
            _says(limiter, "eve", 0, room + 1),
            False,
            "A batch that is larger than all the room there is never passes.",
        ),
    ]
    _decide(part, cases)


@check("Exercise 3, TokenBucket", 4)
def token_bucket(sheet: Sheet, make: Callable[..., Any], drive: Drive) -> None:
    """Bursts and rate, keys and batches, refusals, waits, drift, and clocks."""
    with sheet.part("a burst at once, then the rate", 1) as part:
        bucket = make(2.0, 10)
        cases = [
            Case(
                "a new key's burst of 10",
                _says(bucket, "ann", 50, 10),
                True,
                "An honest burst was refused: a new key's bucket is full.",
            ),
            Case("an 11th at once", _says(bucket, "ann", 50), False, "Take n tokens when allowed."),
            Case(
                "2 tokens after 1 s at rate 2",
                _says(bucket, "ann", 51, 2),
                True,
                "A second refills rate tokens: (now - then) * rate.",
            ),
            Case("and a third", _says(bucket, "ann", 51), False, "A second refills rate tokens."),
            Case("10 after 1,000 s", _says(bucket, "ann", 1_051, 10), True, "Is it full again?"),
            Case(
                "and an 11th",
                _says(bucket, "ann", 1_051),
                False,
                "The bucket overflows: never more than burst tokens, min(burst, ...).",
            ),
        ]
        _decide(part, cases)
    with sheet.part("per key, and a batch whole or not at all", 0.75) as part:
        _keys_and_batches(part, lambda: make(1.0, 10), drive, 10)
    with sheet.part("refused requests are not counted", 0.5) as part:
        bucket = make(1.0, 10)
        _says(bucket, "ann", 0, 10)
        for tick in range(20):
            _says(bucket, "ann", 0.25 * tick, 8)
        _decide(
            part,
            [Case("5 tokens at 5 s, after 20 refusals", _says(bucket, "ann", 5, 5), True, REFUSED)],
        )
    with sheet.part("retry_after", 0.75) as part:
        bucket = make(2.0, 10)
        early = make(2.0, 10)
        waits = [_wait(bucket, "ann", 0, 10)]
        still = _says(bucket, "ann", 0, 10)
        _says(early, "ann", 0, 10)
        waits += [_wait(bucket, "ann", 0, 4), _wait(bucket, "ann", 1, 4)]
        never, other = _wait(bucket, "ann", 0, 11), make(2.0, 10)
        _says(other, "ann", 0, 10)
        _decide(
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
                Case(
                    "for 4 after 3 s", _wait(other, "ann", 3, 4), 0.0, "0.0, not a negative wait."
                ),
                Case(
                    "asked for 4 just before and just after that wait",
                    [_says(early, "ann", 1.99, 4), _says(bucket, "ann", 2.0001, 4)],
                    [False, True],
                    "retry_after must agree with allow, and must take nothing itself.",
                ),
            ],
        )
    with sheet.part("no drift", 0.5) as part:
        _drift(part, make, drive)
    with sheet.part("a clock that goes back", 0.5) as part:
        bucket, slow = make(1.0, 10), make(1.0, 10)
        times = np.tile([100.0, 0.0], 30)
        got = int(np.sum(drive(bucket, ["ann"] * 60, times, [1] * 60)))
        _says(slow, "ann", 100, 5)
        _decide(
            part,
            [
                Case("answers of 10 to a clock that jumps 100, 0, 100 ...", got, 10, BACKWARDS),
                Case(
                    "5 of the 5 left, one second back", _says(slow, "ann", 99, 5), True, BACKWARDS
                ),
            ],
        )


def _drift(part: Part, make: Callable[..., Any], drive: Drive) -> None:
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


@check("Exercise 4, SlidingWindow", 3)
def sliding_window(sheet: Sheet, make: Callable[..., Any], drive: Drive) -> None:
    """Any window of so many seconds, keys and batches, refusals, waits, and clocks."""
    with sheet.part("never more than limit in any window", 1) as part:

        def later(now: float, n: int = 1) -> bool:
            window = make(5, 60)
            _says(window, "ann", 55, 5)
            return _says(window, "ann", now, n)

        cases = [
            Case("5 of 5", _says(make(5, 60), "ann", 55, 5), True, "An honest burst was refused."),
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
        said = np.asarray(drive(make(20, 60), ["ann"] * 3_000, times, [1] * 3_000), dtype=bool)
        want = _windowed(times, 20, 60)
        cases.append(
            Case(
                "of 3,000 requests at random times, those answered otherwise than asked",
                int(np.sum(said != want)),
                0,
                "Count the answers younger than `seconds`, each by its own time, and no refusals.",
            )
        )
        _decide(part, cases)
    with sheet.part("per key, and a batch whole or not at all", 0.5) as part:
        _keys_and_batches(part, lambda: make(10, 60), drive, 10)
    with sheet.part("refused requests are not counted", 0.5) as part:
        window = make(5, 60)
        _says(window, "ann", 0, 5)
        for tick in range(1, 60):
            _says(window, "ann", tick)
        _decide(
            part, [Case("5 at 60 s, after 59 refusals", _says(window, "ann", 60, 5), True, REFUSED)]
        )
    with sheet.part("retry_after", 0.5) as part:
        window = make(5, 60)
        early = make(5, 60)
        waits = [_wait(window, "ann", 0, 5)]
        still = []
        for one in (window, early):
            still += [_says(one, "ann", 0, 2), _says(one, "ann", 10, 3)]
        waits += [_wait(window, "ann", 20, 2), _wait(window, "ann", 20, 3)]
        _decide(
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
                    [_says(early, "ann", 59.99, 2), _says(window, "ann", 60.0001, 2)],
                    [False, True],
                    "retry_after must agree with allow, and must take nothing itself.",
                ),
            ],
        )
    with sheet.part("a clock that goes back", 0.5) as part:
        window, other = make(5, 60), make(5, 60)
        for one in (window, other):
            _says(one, "ann", 100, 2)
            back = _says(one, "ann", 0, 3)
        _decide(
            part,
            [
                Case("3 of the 3 left, with a clock that fell to 0", back, True, BACKWARDS),
                Case("one more at 101 s", _says(window, "ann", 101), False, BACKWARDS),
                Case("5 at 160 s", _says(other, "ann", 160, 5), True, BACKWARDS),
            ],
        )


def _windowed(times: np.ndarray, limit: int, seconds: float) -> np.ndarray:
    """What a window answers, the slow and sure way."""
    given: list[float] = []
    said = []
    for now in times.tolist():
        said.append(sum(now - then < seconds for then in given) < limit)
        if said[-1]:
            given.append(now)
    return np.array(said)


# --- exercise 5 --------------------------------------------------------------------


@check("Exercise 5, price_of_theft", 2)
def price_of_theft(sheet: Sheet, price_of_theft: Callable[..., Any]) -> None:
    """Whole days under both limits, and all that must be paid."""

    def ask(*numbers: float, **options: float) -> tuple[float, float]:
        found = array(price_of_theft(*numbers, **options), "price_of_theft", (2,))
        return number(found[0], "The number of days"), number(found[1], "The money")

    with sheet.part("days", 1) as part:
        begun = "A day that has begun counts as a whole one: round up."
        _decide(
            part,
            [
                Case("3,000 queries, 1 account, 300 a day", ask(3000, 1, 300, 0.01)[0], 10, ""),
                Case(
                    "the same with 10 accounts",
                    ask(3000, 10, 300, 0.01)[0],
                    1,
                    "Each account has a limit of its own.",
                ),
                Case("3,001 queries", ask(3001, 10, 300, 0.01)[0], 2, begun),
                Case(
                    "3,000 queries, 10 accounts, and 700 a day for everybody",
                    ask(3000, 10, 300, 0.01, everybody=700)[0],
                    5,
                    "The smaller of the two limits decides.",
                ),
                Case(
                    "with 9,000 a day for everybody",
                    ask(3000, 2, 300, 0.01, everybody=9000)[0],
                    5,
                    "The smaller of the two limits decides.",
                ),
            ],
        )
    with sheet.part("money", 1) as part:
        _decide(
            part,
            [
                Case(
                    "3,000 queries at .01",
                    round(ask(3000, 1, 300, 0.01)[1], 6),
                    30.0,
                    "Every query is paid for.",
                ),
                Case(
                    "and 10 accounts at 5 each",
                    round(ask(3000, 10, 300, 0.01, signup=5.0)[1], 6),
                    80.0,
                    "Each account is opened once.",
                ),
            ],
        )


# --- exercise 6 --------------------------------------------------------------------


@check("Exercise 6, ablation", 2)
def ablation(sheet: Sheet, ablation: Callable[..., Any]) -> None:
    """Nothing, each mechanism alone, and all together, with the same seeds."""
    mechanisms = ("moat", "wall", "dragon")
    seeds = [5, 6, 8]
    calls: list[tuple[tuple[str, ...], int]] = []

    def run(switched_on: Any, seed: int) -> dict[str, float]:
        if isinstance(switched_on, str):
            raise Missed(
                f"run was given the word {switched_on!r}; it wants a tuple of mechanisms, such as "
                f"({switched_on!r},) with its comma."
            )
        calls.append((tuple(map(str, switched_on)), int(seed)))
        return {"clone": float(seed) + 10 * sum(map(len, calls[-1][0])), "honest": 0.5}

    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": mechanisms}
    table: Any = None
    with sheet.part("each condition with each seed, once", 1) as part:
        table = ablation(run, mechanisms, seeds)
        wanted = sorted((on, seed) for on in conditions.values() for seed in seeds)
        missing = sorted(set(wanted) - set(calls))
        extra = sorted({on for on, _ in calls} - set(conditions.values()), key=len)
        part.expect(
            sorted(calls) == wanted,
            f"{len(calls)} runs, {len(set(calls))} different"
            + (f"; missing: {missing[0]}" if missing else "")
            + (f"; not asked: {extra[0]}" if extra else ""),
            f"{len(wanted)} runs, all different",
            "",
            "The mechanisms are added up, one to the others: what one does by itself is seen only "
            "when it is switched on alone, (name,)."
            if any(len(on) > 1 for on in extra)
            else "Nothing, each mechanism alone and all of them together, in the order given, each "
            "with every seed: one seed for all would measure nothing about chance.",
        )
    with sheet.part("every run kept, by its condition", 1) as part:
        try:
            found = {str(name): [dict(one) for one in runs] for name, runs in table.items()}
        except (AttributeError, TypeError, ValueError):
            raise Missed(
                "ablation must return a dictionary from each condition to the list of what run "
                'returned: {"none": [{...}, {...}], "moat": [...], ..., "all": [...]}.'
            ) from None
        want = {
            name: [float(seed) + 10 * sum(map(len, on)) for seed in seeds]
            for name, on in conditions.items()
        }
        kept = {name: [one.get("clone") for one in runs] for name, runs in found.items()}
        part.expect(
            kept == want,
            f"conditions {sorted(kept)}, with {sorted({len(runs) for runs in kept.values()})} runs",
            f"conditions {sorted(want)}, with [3] runs, in the order of the seeds",
            "",
            'The conditions are called "none", as each mechanism is, and "all".',
        )


# --- exercise 7 --------------------------------------------------------------------

REQUEST, REQUESTS = 60, 5  # an honest customer's day: pictures a request, requests
DAILY_CAP = 1_000  # answers to one account in any 24 hours
PANEL_SEEDS = (0, 1)
STOLEN = 3_000
ACCOUNTS = 10
CROWD = 300  # weird pictures that are asked in several companies
CHANCE = 0.1  # the fidelity of a clone that nobody answered


class _World(NamedTuple):
    """What the owner has, and the held-out honest pictures that the check asks with."""

    bank: np.ndarray
    honest: np.ndarray
    x: np.ndarray
    posteriors: np.ndarray
    features: np.ndarray
    truth: np.ndarray


@cache
def _world() -> _World:
    honest = fixtures.held_out()
    return _World(
        fixtures.bank(),
        fixtures.owners().features,
        honest.x,
        honest.posteriors,
        honest.features,
        fixtures.fashion().y_test[fixtures.HELD_OUT],
    )


def _place(seed: int) -> thieves.Pool:
    return thieves.Pool("shapes", STOLEN, POOL_SEED + seed, seed)


def _pool(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A thief's pictures, with what the victim thinks of them."""
    found = fixtures.answered(*_place(seed)[:3])
    return found.x, found.posteriors, found.features


class _Service:
    """A student's service with a clock of its own, which counts refusals."""

    def __init__(self, make_layered: Callable[..., Any]):
        world = _world()
        self._layered = make_layered(world.bank.copy(), world.honest.copy())
        if not callable(self._layered):
            raise Missed(
                f"make_layered returned a {type(self._layered).__name__}; asked a function "
                "layered(x, posteriors, features, key, now)."
            )
        self.asked = self.refused = 0

    def __call__(self, pictures: tuple[np.ndarray, ...], key: str, now: float) -> np.ndarray | None:
        """Answers to ``(x, posteriors, features)``, or None where the service refuses."""
        self.asked += 1
        try:
            found = self._layered(*(part.copy() for part in pictures), key, now)
        except Exception as error:
            if isinstance(error, RateLimited) or "RateLimited" in type(error).__name__:
                self.refused += 1
                return None
            raise
        answers = array(found, "layered", pictures[1].shape)
        _sums(answers, "Every answer of the service must be a distribution.")
        return answers


def _requests(pictures: tuple[np.ndarray, ...]) -> list[tuple[np.ndarray, ...]]:
    """Pictures cut into requests as large as an honest customer's."""
    n = len(pictures[0])
    return [tuple(part[i : i + REQUEST] for part in pictures) for i in range(0, n, REQUEST)]


def _as_a_customer(
    service: _Service, pictures: tuple[np.ndarray, ...], key: str, day: int = 0, accounts: int = 1
) -> list[np.ndarray | None]:
    """Ask about all pictures, as many a day as a customer may; each request's answer or None."""
    answers = []
    for i, request in enumerate(_requests(pictures)):
        turn, place = divmod(i, REQUESTS * accounts)
        account, minute = divmod(place, REQUESTS)
        # Five minutes later each day: nobody asks before 24 hours are over.
        now = (day + turn) * (DAY + 300) + 60.0 * minute
        answers.append(service(request, f"{key} {account}", now))
    return answers


@check("Exercise 7, layered", 5)
def layered(
    sheet: Sheet, make_layered: Callable[..., Any], seeds: tuple[int, ...] = PANEL_SEEDS
) -> None:
    """Honest customers first, then one greedy account, then the panel of thieves."""
    world = _world()
    pictures = (world.x, world.posteriors, world.features)
    loss, success, compared = 1.0, 0.0, False
    answers: list[np.ndarray | None] = []
    with sheet.part("honest customers: answers", 0.5) as part:
        service = _Service(make_layered)
        answers = _as_a_customer(service, pictures, "shop", accounts=9)
        tomorrow = [part[:300] for part in pictures]
        _as_a_customer(service, tuple(tomorrow), "shop", day=1)
        success = 1 - service.refused / service.asked
        part.expect(
            success == 1,
            f"{success:.1%} of {service.asked} requests answered",
            "all of them: 60 pictures in a request and 300 a day are within the terms",
            "100 %",
            "Honest bursts were refused. How much may one account have at once, how much is "
            "refilled in 24 hours, and does one customer's use count for another's?",
        )
    with sheet.part("honest customers: accuracy", 1) as part:
        _must_defend(make_layered)
        kept = [i for i, answer in enumerate(answers) if answer is not None]
        if success < 0.9:
            raise Missed(
                f"not measured: {success:.0%} of the honest requests were answered, and those who "
                "are refused have no accuracy."
            )
        given = np.concatenate([answers[i] for i in kept])
        truth = np.concatenate([_requests((world.truth,))[i][0] for i in kept])
        clean = np.concatenate([_requests((world.posteriors,))[i][0] for i in kept])
        before, after = evaluation.accuracy(clean, truth), evaluation.accuracy(given, truth)
        loss = before - after
        turned = float(np.mean(given.argmax(axis=1) != clean.argmax(axis=1)))
        part.award(
            LAYERED_LOSS.share(-loss),
            f"{before:.4f} → {after:.4f}, a loss of {loss:.4f}; {turned:.1%} of the answers "
            "changed",
            f"a loss of at most {-LAYERED_LOSS.full} (some points to {-LAYERED_LOSS.some})",
            "a loss of about .004",
            _why_dear(turned, given),
        )
    with sheet.part("the same picture, the same answer", 1) as part:
        _must_defend(make_layered, again=True)
        _same_answers(part, make_layered)
        compared = True
    with sheet.part(f"one account, at most {DAILY_CAP:,} answers in 24 hours", 0.5) as part:
        _greedy(part, make_layered)
    with sheet.part("the best thief of the panel", 2) as part:
        if not compared:
            raise Missed(
                "not measured: whether the same picture gets the same answer could not be found "
                "out (see above), and that comes first."
            )
        if sheet.parts[2].share != 1:
            raise Missed(
                "not measured: the answers to a picture change (see above). A thief asks again, "
                "or in the company that suits him, so such a figure would promise too much."
            )
        if loss > 0.05 or success < 0.9:
            raise Missed(
                f"not measured: honest customers lose {100 * loss:.1f} points of accuracy and get "
                f"{success:.0%} of their requests answered. To mislead or refuse everybody is no "
                "defence of a service; thieves are counted when customers are served (a loss of "
                "at most 5 points, 90 % answered)."
            )
        _panel(part, make_layered, seeds)


def _must_defend(make_layered: Callable[..., Any], again: bool = False) -> None:
    """Nobody earns points for what a service without any defence does as well."""
    weird = tuple(part[:REQUEST] for part in _pool(PANEL_SEEDS[0]))
    answers = _Service(make_layered)(weird, "ann", 0.0)
    if answers is None:
        return  # a limit is a defence; whether it is a fair one is another part's question
    caught = fixtures.changed(answers, weird[1])
    if caught < fixtures.NOTHING and again:
        raise Missed("no answer is defended yet: see above.")
    if caught < fixtures.NOTHING:
        raise Missed(
            f"{caught:.0%} of {REQUEST} weird pictures get another answer than the victim's own: "
            "no answer is defended yet. Mislead the inputs whose score lies below the threshold."
        )


def _why_dear(turned: float, given: np.ndarray) -> str:
    if float(np.abs(given - given[0]).max()) < 1e-6:
        return "Everybody gets one and the same answer, which is no service at all."
    if turned > 0.5:
        return (
            "Nearly everybody is misled. Mislead only the inputs whose score lies *below* the "
            "threshold: scores are higher for normal inputs."
        )
    return (
        f"{turned:.1%} of honest inputs are misled. Choose the threshold from the held-out honest "
        "scores, at a smaller share (2 %)."
    )


def _same_answers(part: Part, make_layered: Callable[..., Any]) -> None:
    """In another order, in other company, by another account, on another day."""
    world, service = _world(), _Service(make_layered)
    weird = _pool(PANEL_SEEDS[0])
    mixed = tuple(
        np.concatenate([a[:30], b[:30]])
        for a, b in zip((world.x, world.posteriors, world.features), weird, strict=True)
    )
    first = service(mixed, "ann", 0.0)
    turned = service(tuple(a[::-1] for a in mixed), "bob", 30.0)
    again = service(mixed, "ann", DAY + 1.0)
    pieces = [
        service(tuple(a[i : i + 10] for a in mixed), "eve", float(i)) for i in range(0, 60, 10)
    ]
    together, amid, alone = _in_company(service, tuple(a[:CROWD] for a in weird))
    if any(answer is None for answer in (first, turned, again, *pieces, *together, *amid, *alone)):
        raise Missed("a request of at most 60 pictures was refused, so answers can't be compared.")
    off = {
        "asked again the next day": float(np.abs(again - first).max()),
        "in reverse order": float(np.abs(turned[::-1] - first).max()),
        "ten at a time": float(np.abs(np.concatenate(pieces) - first).max()),
        "weird pictures among themselves and amid honest ones": float(
            np.abs(np.concatenate(together) - np.concatenate(amid)).max()
        ),
        "weird pictures among themselves and alone": float(
            np.abs(np.concatenate(together)[: len(alone)] - np.concatenate(alone)).max()
        ),
    }
    worst = max(off, key=off.get)
    part.expect(
        off[worst] < 1e-4,
        f"largest difference {off[worst]:.2g}, {worst}",
        "0",
        "below 1e-6",
        "Answers that change when asked again are averaged away, or betray the lie: draw nothing "
        "at random."
        if off["asked again the next day"] >= 1e-4
        else "Decide for each input by itself, never for a batch.",
    )


def _in_company(
    service: _Service, weird: tuple[np.ndarray, ...]
) -> tuple[list[np.ndarray | None], ...]:
    """Answers to weird pictures among themselves, 12 at a time amid honest ones, and alone.

    Whoever decides for a batch by its majority is steady in a mixed one, and in its pieces.
    """
    world, day, few = _world(), 3, 12
    together = _as_a_customer(service, weird, "dan", day)
    honest = tuple(a[: REQUEST - few] for a in (world.x, world.posteriors, world.features))
    now = float(day * (DAY + 300))
    amid: list[np.ndarray | None] = []
    for turn, i in enumerate(range(0, len(weird[0]), few)):
        mixed = tuple(
            np.concatenate([a[i : i + few], b]) for a, b in zip(weird, honest, strict=True)
        )
        answer = service(mixed, f"fay {turn // REQUESTS}", now + 60.0 * (turn % REQUESTS))
        amid.append(None if answer is None else answer[:few])
    alone = [service(tuple(a[i : i + 1] for a in weird), "gus", now + i) for i in range(few)]
    return together, amid, alone


def _greedy(part: Part, make_layered: Callable[..., Any]) -> None:
    """Fifty pictures every ten minutes for a day, then an honest request a day later."""
    service = _Service(make_layered)
    request = tuple(part[:50] for part in _pool(PANEL_SEEDS[0]))
    got = sum(50 for t in range(0, DAY, 600) if service(request, "greedy", float(t)) is not None)
    back = service(request, "greedy", 2.0 * DAY + 600) is not None
    part.expect(
        got <= DAILY_CAP and back,
        f"{got:,} of 7,200 answered; a day later {'answered' if back else 'still refused'}",
        f"at most {DAILY_CAP:,}; answered",
        "300 to 900",
        "Who was refused yesterday must be served today: refused requests do not count."
        if got <= DAILY_CAP
        else "A bucket gives burst + rate · 24 h in a day, a window its limit. Is the limiter "
        "asked for len(x) answers, under the key, before anything is answered?",
    )


def _fidelity(labels: np.ndarray | None) -> float:
    """Of a clone that named the test pictures so; None where nothing was learnt."""
    return CHANCE if labels is None else evaluation.fidelity(labels, fixtures.victim_labels())


def _undefended(seed: int) -> float:
    return _fidelity(thieves.undefended(_place(seed), ("soft",))["soft"])


def panel(
    make_layered: Callable[..., Any], seeds: tuple[int, ...] = PANEL_SEEDS
) -> tuple[float, dict[str, float]]:
    """Mean fidelity of an undefended theft, and of each thief against fresh services."""
    taught = [_lessons(_Service(make_layered), seed) for seed in seeds]
    learnt = thieves.learn(taught)
    means = {
        name: float(np.mean([_fidelity(named.get(name)) for named in learnt])) for name in taught[0]
    }
    return float(np.mean([_undefended(seed) for seed in seeds])), means


def _panel(part: Part, make_layered: Callable[..., Any], seeds: tuple[int, ...]) -> None:
    """Four thieves over seeds: the best of them, as a drop from the undefended service."""
    before, means = panel(make_layered, seeds)
    best = max(means, key=means.get)
    part.award(
        LAYERED_DROP.share(before - means[best]),
        f"fidelity {before:.3f} → {means[best]:.3f} ({best}), a drop of {before - means[best]:.3f} "
        f"over {len(seeds)} seeds; "
        + ", ".join(f"{name} {mean:.3f}" for name, mean in means.items()),
        f"a drop of at least {LAYERED_DROP.full} (some points from {LAYERED_DROP.some})",
        LAYERED_DROP.usual,
        "Labels and limits alone do not stop a patient thief or one with ten accounts: mislead "
        "weird inputs, with an answer whose largest class is another. Noise around the true "
        "answer, and whatever keeps the argmax, teaches it all the same.",
        value=before - means[best],
    )


def _lessons(service: _Service, seed: int) -> dict[str, attacks.TrainingSet]:
    """What each thief learns from one service; what is refused is lost to them."""
    pool = _pool(seed)
    x, answers = _stolen(pool[0], _as_a_customer(service, pool, "patient"))
    third = tuple(part[: STOLEN // 3] for part in pool)
    asked = [_as_a_customer(service, third, "averager", day=20 + 10 * k) for k in range(3)]
    averaged = [
        None if any(one is None for one in same) else np.mean(same, axis=0)
        for same in zip(*asked, strict=True)
    ]
    many = _as_a_customer(service, pool, "sybil", day=60, accounts=ACCOUNTS)
    many_x, many_answers = _stolen(pool[0], many)
    taught = {
        "soft": thieves.lesson(x, answers, "soft", seed),
        "hard": thieves.lesson(x, answers, "hard", seed),
        "averaging": thieves.lesson(*_stolen(third[0], averaged), "soft", seed),
    }
    same = answers.shape == many_answers.shape and np.allclose(answers, many_answers, atol=1e-6)
    # Ten accounts with the very same answers learn the very same clone.
    sybil = taught["soft"] if same else thieves.lesson(many_x, many_answers, "soft", seed)
    return taught | {"Sybil": sybil}


def _stolen(x: np.ndarray, answers: list[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """The pictures that were answered, with their answers."""
    asked = [pictures for (pictures,) in _requests((x,))]
    kept = [(pictures, a) for pictures, a in zip(asked, answers, strict=True) if a is not None]
    if not kept:
        return x[:0], np.zeros((0, 10))
    return np.concatenate([pictures for pictures, _ in kept]), np.concatenate([a for _, a in kept])
