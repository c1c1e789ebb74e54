"""Checks of lab 4, Rate limits and hard labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from trickster.checks import (
    ablation_cases,
    bucket_cases,
    ladder_cases,
    reader_cases,
    refusal_cases,
    remarks,
    service_cases,
)
from trickster.checks.cases import must_be_written
from trickster.checks.distributions import sums_to_one
from trickster.checks.result import NotMeasured, Sheet, check
from trickster.checks.service_cases import DAILY_CAP, PANEL_BUDGET, SERVICES
from trickster.checks.values import array

FEW_NUMBERS = 10_000  # of a counterexample, whose rows the shown bug squares

# --- exercise 1 --------------------------------------------------------------------


@check(
    "Exercise 1, the information ladder",
    4,
    withholds=(
        "trickster.defenses.hard_labels",
        "trickster.defenses.top_k",
        "trickster.defenses.round_posteriors",
        "trickster.adaptive_attacks.explained",
        "trickster.adaptive_attacks.small_loss",
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
        ladder_cases.k_largest(part, top_k, p)
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
        p = array(counterexample(), "counterexample", (None, 10), most=FEW_NUMBERS)
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
        p = array(counterexample(), "counterexample", (None, 10), most=FEW_NUMBERS)
        sums_to_one(p, "What you hand in must be posteriors: each row sums to 1.")
        sums = np.round(p, 1).sum(axis=1)
        part.expect(
            bool(np.any(np.abs(sums - 1) > 1e-6)),
            f"sums of the rounded rows {sums[:4].round(2).tolist()}",
            "a sum that is not 1",
            "",
            "Choose probabilities that lose something when they are rounded: what becomes of .04?",
        )


# --- exercise 3 --------------------------------------------------------------------


@check("Exercise 3, reverse_sigmoid", 3, withholds=("trickster.defenses.reverse_sigmoid",))
def reverse_sigmoid(sheet: Sheet, reverse_sigmoid: Callable[..., Any]) -> None:
    """The formula, for drawn beta and gamma, and where a probability is 0 or 1."""
    formula = False
    with sheet.part("the formula", 2) as part:
        ladder_cases.bent(part, reverse_sigmoid, ladder_cases.answers())
        formula = part.share == 1
    with sheet.part("probabilities of exactly 0 and 1", 1) as part:
        ladder_cases.bent_edges(part, reverse_sigmoid, formula)


# --- exercise 4 --------------------------------------------------------------------


@check("Exercise 4, TokenBucket", 4, withholds=("trickster.limiters.TokenBucket",))
def token_bucket(sheet: Sheet, make: Callable[..., Any]) -> None:
    """Bursts and rate, keys and batches, refusals, and waits."""
    slip = cache(partial(bucket_cases.slip, make))  # asked once, where a part was missed
    with sheet.part("a burst at once, then the rate", 1.25) as part:
        bucket_cases.burst_and_rate(part, make)
        part.blame(slip)
    with sheet.part("per key, and a batch whole or not at all", 1) as part:
        bucket_cases.keys_and_batches(part, make)
        part.blame(slip)
    with sheet.part("refused requests are not counted", 0.75) as part:
        bucket_cases.refusals_leave_the_bucket(part, make)
        part.blame(slip)
    with sheet.part("retry_after", 1) as part:
        bucket_cases.waits_of_a_bucket(part, make)
        part.blame(slip)


# --- exercise 5 --------------------------------------------------------------------


@check("Exercise 5a, ablation", 2, withholds=("trickster.demos.ablation",))
def ablation(sheet: Sheet, ablation: Callable[..., Any]) -> None:
    """Nothing, each mechanism alone, and all together, with the same seeds."""
    run = ablation_cases.Ablation(ablation)
    with sheet.part("each condition with each seed", 1) as part:
        run.each_run_once(part)
    with sheet.part("every run kept, by its condition", 1) as part:
        run.each_run_kept(part)


@check("Exercise 5b, leave_one_out", 2, withholds=("trickster.demos.leave_one_out",))
def leave_one_out(sheet: Sheet, leave_one_out: Callable[..., Any]) -> None:
    """What each mechanism takes as a part of all of them, by paired differences."""
    run = ablation_cases.LeaveOneOut(leave_one_out)
    with sheet.part("all of them, and all but one", 1) as part:
        run.each_left_out(part)
    with sheet.part("what each one takes, seed by seed", 1) as part:
        run.paired(part)


# --- exercise 6 --------------------------------------------------------------------


@check("Exercise 6, layered", 5, withholds=("trickster.defenses.Trickster",))
def layered(
    sheet: Sheet,
    make_layered: Callable[..., Any],
    services: int = SERVICES,
    budget: int = PANEL_BUDGET,
) -> None:
    """Several services, each used by honest customers, thieves and one greedy account at once."""
    tried, loss, steady, found = None, 1.0, None, None
    with sheet.part("honest customers: answers", 0.5) as part:
        must_be_written(make_layered, *service_cases.example())
        tried = service_cases.try_out(make_layered, services, budget, part.doing)
        service_cases.honest_requests(part, tried)
        if part.share == 1:
            refusal_cases.refusals(make_layered, tried)
    with sheet.part("honest customers: accuracy", 1) as part:
        asked = service_cases.must_be_asked(tried)
        service_cases.must_defend(asked)
        loss = service_cases.honest_accuracy(part, asked)
    with sheet.part("the same picture, the same answer", 1) as part:
        asked = service_cases.must_be_asked(tried)
        service_cases.same_answers(part, asked)
        steady = part.share == 1
    with sheet.part(f"one account, at most {DAILY_CAP:,} answers in 24 hours", 0.5) as part:
        service_cases.greedy_account(part, service_cases.must_be_asked(tried))
    with sheet.part("the best thief of the panel", 1) as part:
        asked = service_cases.must_be_asked(tried)
        _worth_attacking(asked.success, loss, steady)
        found = service_cases.best_thief(part, asked)
    with sheet.part("a thief who has read your code", 1) as part:
        asked = service_cases.must_be_asked(tried)
        _worth_attacking(asked.success, loss, steady)
        reader_cases.reader(part, asked, found)
    if tried is not None:
        remarks.tell(sheet, tried.tables)


def _worth_attacking(success: float, loss: float, steady: bool | None) -> None:
    """Thieves are counted where customers are served, and where answers do not change."""
    if steady is None:
        raise NotMeasured(
            "whether the same picture gets the same answer could not be found "
            "out (see above), and that comes first."
        )
    if not steady:
        raise NotMeasured(
            "the answers to a picture change (see above). A thief can ask "
            "again, or choose what else is in the request: this figure would promise too much."
        )
    if loss > 0.05 or success < 0.9:
        raise NotMeasured(
            f"honest customers lose {100 * loss:.1f} points of accuracy and get "
            f"{success:.0%} of their requests answered. To mislead or refuse everybody is no "
            "defence of a service; thieves are counted when customers are served (a loss of "
            "at most 5 points, 90 % answered)."
        )
