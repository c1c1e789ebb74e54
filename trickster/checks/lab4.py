"""Checks of lab 4, Rate limits and hard labels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from trickster.checks import ladder_cases, limiter_cases, service_cases
from trickster.checks.cases import Case, decide
from trickster.checks.distributions import sums_to_one
from trickster.checks.result import Missed, Sheet, array, check, number
from trickster.checks.service_cases import DAILY_CAP, PANEL_BUDGET, PANEL_SEEDS

MOST_RUNS = 1_000  # of an ablation: it asks for fifteen

# --- exercise 1 --------------------------------------------------------------------


@check(
    "Exercise 1, the information ladder",
    4,
    withholds=(
        "trickster.defenses.hard_labels",
        "trickster.defenses.top_k",
        "trickster.defenses.round_posteriors",
    ),
)
def ladder(
    sheet: Sheet,
    hard_labels: Callable[..., Any],
    top_k: Callable[..., Any],
    round_posteriors: Callable[..., Any],
) -> None:
    """Each rung: a distribution in every row, and every row by itself."""
    p = ladder_cases.answers()
    with sheet.part("hard_labels", 1) as part:
        ladder_cases.one_hot(part, hard_labels, p)
    with sheet.part("top_k", 1) as part:
        ladder_cases.three_largest(part, top_k, p)
    with sheet.part("top_k with ties, with k = 1 and k = 10", 0.5) as part:
        ladder_cases.ties_and_extremes(part, top_k, p)
    with sheet.part("round_posteriors", 1) as part:
        ladder_cases.rounded(part, round_posteriors, p)
    with sheet.part("a row that rounds to nothing", 0.5) as part:
        ladder_cases.rounds_to_nothing(part, round_posteriors)


@check("Exercise 2, counterexample", 1)
def counterexample(sheet: Sheet, counterexample: Callable[..., Any]) -> None:
    """A batch of distributions on which both library functions return none."""
    with sheet.part("hard labels fail on it", 0.5) as part:
        p = array(counterexample(), "counterexample", (None, 10))
        sums_to_one(p, "What you hand in must be posteriors: each row sums to 1.")
        sums = ladder_cases.all_winners_marked(p).sum(axis=1)
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
        sums_to_one(p, "What you hand in must be posteriors: each row sums to 1.")
        sums = np.round(p, 1).sum(axis=1)
        part.expect(
            bool(np.any(np.abs(sums - 1) > 1e-6)),
            f"sums of the rounded rows {sums[:4].round(2).tolist()}",
            "a sum that is not 1",
            "",
            "Choose probabilities that lose something when they are rounded: what becomes of .04?",
        )


# --- exercises 3 and 4 ---------------------------------------------------------------


@check("Exercise 3, TokenBucket", 4, withholds=("trickster.limiters.TokenBucket",))
def token_bucket(sheet: Sheet, make: Callable[..., Any], drive: limiter_cases.Drive) -> None:
    """Bursts and rate, keys and batches, refusals, waits, drift, and clocks."""
    with sheet.part("a burst at once, then the rate", 1) as part:
        limiter_cases.burst_and_rate(part, make)
    with sheet.part("per key, and a batch whole or not at all", 0.75) as part:
        limiter_cases.keys_and_batches(part, lambda: make(1.0, 10), drive, 10)
    with sheet.part("refused requests are not counted", 0.5) as part:
        limiter_cases.refusals_leave_the_bucket(part, make)
    with sheet.part("retry_after", 0.75) as part:
        limiter_cases.waits_of_a_bucket(part, make)
    with sheet.part("no drift", 0.5) as part:
        limiter_cases.drift(part, make, drive)
    with sheet.part("a clock that goes back", 0.5) as part:
        limiter_cases.backward_clock_and_bucket(part, make, drive)


@check("Exercise 4, SlidingWindow", 3, withholds=("trickster.limiters.SlidingWindow",))
def sliding_window(sheet: Sheet, make: Callable[..., Any], drive: limiter_cases.Drive) -> None:
    """Any window of so many seconds, keys and batches, refusals, waits, and clocks."""
    with sheet.part("never more than limit in any window", 1) as part:
        limiter_cases.any_window(part, make, drive)
    with sheet.part("per key, and a batch whole or not at all", 0.5) as part:
        limiter_cases.keys_and_batches(part, lambda: make(10, 60), drive, 10)
    with sheet.part("refused requests are not counted", 0.5) as part:
        limiter_cases.refusals_leave_the_window(part, make)
    with sheet.part("retry_after", 0.5) as part:
        limiter_cases.waits_of_a_window(part, make)
    with sheet.part("a clock that goes back", 0.5) as part:
        limiter_cases.backward_clock_and_window(part, make)


# --- exercise 5 --------------------------------------------------------------------


@check("Exercise 5, price_of_theft", 2)
def price_of_theft(sheet: Sheet, price_of_theft: Callable[..., Any]) -> None:
    """Whole days under both limits, and all that must be paid."""

    def ask(*numbers: float, **options: float) -> tuple[float, float]:
        found = array(price_of_theft(*numbers, **options), "price_of_theft", (2,))
        return number(found[0], "The number of days"), number(found[1], "The money")

    with sheet.part("days", 1) as part:
        begun = "A day that has begun counts as a whole one: round up."
        decide(
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
        decide(
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
        if len(calls) == MOST_RUNS:
            raise Missed(f"run was called more than {MOST_RUNS:,} times.")
        # Anything may be handed to run: of a huge array, the first items are kept.
        calls.append((tuple(str(name)[:40] for name in islice(switched_on, 10)), int(seed)))
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


@check("Exercise 7, layered", 5, withholds=("trickster.defenses.Trickster",))
def layered(
    sheet: Sheet,
    make_layered: Callable[..., Any],
    seeds: tuple[int, ...] = PANEL_SEEDS,
    budget: int = PANEL_BUDGET,
) -> None:
    """Honest customers first, then one greedy account, then the panel of thieves."""
    served, loss, steady = service_cases.NOBODY, 1.0, None
    with sheet.part("honest customers: answers", 0.5) as part:
        served = service_cases.honest_requests(part, make_layered)
    with sheet.part("honest customers: accuracy", 1) as part:
        service_cases.must_defend(make_layered)
        loss = service_cases.honest_accuracy(part, served)
    with sheet.part("the same picture, the same answer", 1) as part:
        service_cases.must_defend(make_layered, again=True)
        service_cases.same_answers(part, make_layered)
        steady = part.share == 1
    with sheet.part(f"one account, at most {DAILY_CAP:,} answers in 24 hours", 0.5) as part:
        service_cases.greedy_account(part, make_layered)
    with sheet.part("the best thief of the panel", 2) as part:
        _worth_attacking(served.success, loss, steady)
        service_cases.best_thief(part, make_layered, seeds, budget)


def _worth_attacking(success: float, loss: float, steady: bool | None) -> None:
    """Thieves are counted where customers are served, and where answers do not change."""
    if steady is None:
        raise Missed(
            "not measured: whether the same picture gets the same answer could not be found "
            "out (see above), and that comes first."
        )
    if not steady:
        raise Missed(
            "not measured: the answers to a picture change (see above). A thief can ask "
            "again, or choose what else is in the request: this figure would promise too much."
        )
    if loss > 0.05 or success < 0.9:
        raise Missed(
            f"not measured: honest customers lose {100 * loss:.1f} points of accuracy and get "
            f"{success:.0%} of their requests answered. To mislead or refuse everybody is no "
            "defence of a service; thieves are counted when customers are served (a loss of "
            "at most 5 points, 90 % answered)."
        )
