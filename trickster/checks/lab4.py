"""Checks of lab 4, Rate limits and hard labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from trickster.checks import (
    ablation_cases,
    bucket_cases,
    draws,
    ladder_cases,
    reader_cases,
    remarks,
    service_cases,
)
from trickster.checks.cases import Case, decide, must_be_written
from trickster.checks.distributions import sums_to_one
from trickster.checks.result import NotMeasured, Sheet, array, check, number
from trickster.checks.service_cases import DAILY_CAP, PANEL_BUDGET, SERVICES

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


# --- exercise 3 --------------------------------------------------------------------


@check("Exercise 3, reverse_sigmoid", 3, withholds=("trickster.defenses.reverse_sigmoid",))
def reverse_sigmoid(sheet: Sheet, reverse_sigmoid: Callable[..., Any]) -> None:
    """The formula, for drawn beta and gamma, and where a probability is 0 or 1."""
    with sheet.part("the formula", 2) as part:
        ladder_cases.bent(part, reverse_sigmoid, ladder_cases.answers())
    with sheet.part("probabilities of exactly 0 and 1", 1) as part:
        ladder_cases.bent_edges(part, reverse_sigmoid)


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


@check("Exercise 5, price_of_theft", 2)
def price_of_theft(sheet: Sheet, price_of_theft: Callable[..., Any]) -> None:
    """Whole days under both limits, and all that must be paid."""

    def ask(*numbers: float, **options: float) -> tuple[float, float]:
        found = array(price_of_theft(*numbers, **options), "price_of_theft", (2,))
        return number(found[0], "The number of days"), number(found[1], "The money")

    rng = draws.rng("price of theft")
    per_day, accounts = 10 * int(rng.integers(20, 60)), int(rng.integers(5, 13))
    days, price = int(rng.integers(7, 12)), int(rng.integers(1, 10)) / 100
    queries = accounts * per_day * days  # nothing is left over
    with sheet.part("days", 1) as part:
        common = int(accounts * per_day * rng.uniform(0.35, 0.6))
        decide(part, _days(ask, queries, accounts, per_day, common))
    with sheet.part("money", 1) as part:
        signup = int(rng.integers(2, 30)) / 2
        queries += 1  # on the last day, nearly all of the limit is left
        paid = round(ask(queries, accounts, per_day, price)[1], 6)
        with_accounts = round(ask(queries, accounts, per_day, price, signup=signup)[1], 6)
        terms, answers = f"{queries:,} queries at {price:g}", round(queries * price, 6)
        fees = round(with_accounts - answers, 6)
        cases = [
            Case(
                f"{terms} with {accounts} accounts",
                paid,
                answers,
                "Each query is paid for once, and what is left of a day's limit costs nothing.",
            ),
            Case(
                f"{terms}, and {accounts} accounts at {signup:g} each",
                with_accounts,
                round(answers + accounts * signup, 6),
                "The sign-up fee is paid once for each account, not every day."
                if fees == round(accounts * signup * (days + 1), 6)
                else "Each account is opened once, and pays the sign-up fee: accounts * signup.",
            ),
        ]
        decide(part, cases)


def _days(
    ask: Callable[..., tuple[float, float]], queries: int, accounts: int, per_day: int, common: int
) -> list[Case]:
    """With one account and with several, with one query more, and with a limit for everybody."""
    exact, smaller = (
        queries // (accounts * per_day),
        "The smaller of the two limits decides: what all accounts together may ask in a day, or "
        "everybody.",
    )
    terms = f"{queries:,} queries, {accounts} accounts, {per_day} a day"
    return [
        Case(
            f"{queries:,} queries, 1 account, {per_day} a day",
            ask(queries, 1, per_day, 0.01)[0],
            queries // per_day,
            "Divide the queries by what all accounts get in a day. A day that is used up is one, "
            "and the days come before the money.",
        ),
        Case(
            f"the same with {accounts} accounts",
            ask(queries, accounts, per_day, 0.01)[0],
            exact,
            "Each account has a limit of its own.",
        ),
        Case(
            f"{queries + 1:,} queries",
            ask(queries + 1, accounts, per_day, 0.01)[0],
            exact + 1,
            "A day that has begun counts as a whole one: round up.",
        ),
        Case(
            f"{terms}, and {common:,} a day for everybody",
            ask(queries, accounts, per_day, 0.01, everybody=common)[0],
            -(-queries // common),
            smaller,
        ),
        Case(
            f"{terms}, and {queries:,} a day for everybody",
            ask(queries, accounts, per_day, 0.01, everybody=queries)[0],
            exact,
            smaller,
        ),
    ]


# --- exercise 6 --------------------------------------------------------------------


@check("Exercise 6, ablation", 2)
def ablation(sheet: Sheet, ablation: Callable[..., Any]) -> None:
    """Nothing, each mechanism alone, and all together, with the same seeds."""
    run = ablation_cases.Ablation(ablation)
    with sheet.part("each condition with each seed, once", 1) as part:
        run.each_run_once(part)
    with sheet.part("every run kept, by its condition", 1) as part:
        run.each_run_kept(part)


# --- exercise 7 --------------------------------------------------------------------


@check("Exercise 7, layered", 5, withholds=("trickster.defenses.Trickster",))
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
