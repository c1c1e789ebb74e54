"""Checks of lab 3, Trickster noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trickster.checks import (
    answer_cases,
    defense_cases,
    remarks,
    score_cases,
    spending_cases,
    threshold_cases,
)
from trickster.checks.cases import must_be_on_clothes, must_be_written
from trickster.checks.defense_cases import PANEL_BUDGET, PANEL_POOLS
from trickster.checks.distributions import given_read_only
from trickster.checks.result import Sheet, check

# --- exercise 1 --------------------------------------------------------------------


@check("Exercise 1, zero_mean_noise", 2, withholds=("trickster.defenses.zero_mean_noise",))
def zero_mean_noise(sheet: Sheet, noise: Callable[..., Any]) -> None:
    """Gaussian noise on the logits, fresh for each entry, and distributions come out."""
    with sheet.part("distributions, fresh draws from rng", 1) as part:
        answer_cases.fresh_noise(part, noise)
    with sheet.part("the noise is on the logits, with mean 0 and deviation sigma", 1) as part:
        answer_cases.normal_noise(part, noise)


# --- exercise 2 --------------------------------------------------------------------


@check(
    "Exercise 2, scores of weirdness",
    4,
    withholds=(
        "trickster.ood.score_msp",
        "trickster.ood.score_energy",
        "trickster.ood.score_knn",
        "trickster.defenses.Trickster",  # its score is score_knn
    ),
)
def scores(
    sheet: Sheet,
    score_msp: Callable[..., Any],
    score_energy: Callable[..., Any],
    score_knn: Callable[..., Any],
) -> None:
    """Three scores against their formulas; higher is more normal, one input at a time."""
    given = score_cases.inputs()
    with sheet.part("score_msp", 1) as part:
        score_cases.msp(part, score_msp, given)
    with sheet.part("score_energy", 1) as part:
        score_cases.energy(part, score_energy, given)
    with sheet.part("score_knn", 1) as part:
        score_cases.knn(part, score_knn, given)
    with sheet.part("one input at a time", 1) as part:
        score_cases.one_at_a_time(part, score_msp, score_energy, score_knn, given)


# --- exercise 3 --------------------------------------------------------------------


@check(
    "Exercise 3, choose_threshold",
    3,
    withholds=("trickster.ood.choose_threshold", "trickster.defenses.Trickster"),
)
def choose_threshold(sheet: Sheet, choose: Callable[..., Any]) -> None:
    """At most the given share of honest scores below it, and not much less."""
    threshold = threshold_cases.Threshold(choose)
    with sheet.part("on the scores it was given", 1) as part:
        threshold.on_given_scores(part)
    with sheet.part("on fresh honest scores", 1) as part:
        threshold.on_fresh_scores(part)
    with sheet.part("the edges", 1) as part:
        threshold.at_the_edges(part)


# --- exercise 4 --------------------------------------------------------------------


@check(
    "Exercise 4, misinform",
    3,
    withholds=(
        "trickster.defenses.misinform",
        "trickster.defenses.KeyedLie",
        "trickster.defenses.PictureLie",
        "trickster.defenses.CellLie",
        "trickster.defenses.Trickster",
    ),
)
def misinform(sheet: Sheet, misinform: Callable[..., Any]) -> None:
    """Distributions, another class on top in every row, the same answer every time."""
    p, misled = answer_cases.posteriors(), 0.0
    with sheet.part("another class on top in every row", 2) as part:
        got = answer_cases.wrong_answers(p, misinform)
        misled = answer_cases.another_class(part, p, got, misinform)
    with sheet.part("the same question, the same answer", 1) as part:
        answer_cases.must_mislead(misled)
        given_read_only(misinform, "misinform", p)
        answer_cases.same_again(part, p, misinform)


# --- exercise 5 --------------------------------------------------------------------


@check("Exercise 5, trickster", 5, withholds=("trickster.defenses.Trickster",))
def trickster(
    sheet: Sheet,
    trickster: Callable[..., Any],
    pools: int = PANEL_POOLS,
    budget: int = PANEL_BUDGET,
) -> None:
    """A panel of thieves and honest users, asked about at once, mixed."""
    must_be_on_clothes(trickster)
    table, kept, steady, caught = None, 0.0, 0.0, 1.0
    with sheet.part("the same question, the same answer", 1) as part:
        must_be_written(trickster, *defense_cases.example())
        table = defense_cases.try_out(trickster, pools, budget, part.doing)
        caught = table.changed(table.crowd.rows("shapes"))
        defense_cases.same_answers(part, table, caught)
        steady = part.share
        if steady:
            defense_cases.must_leave_its_inputs(trickster, table)
    with sheet.part("honest users", 1) as part:
        asked = defense_cases.must_be_asked(table)
        defense_cases.must_defend(caught)
        kept = defense_cases.honest_users(part, asked, steady)
    for kind, name in (
        ("shapes", "thieves with fresh shapes"),
        ("hidden", "thieves with a pool that you have not seen"),
    ):
        with sheet.part(name, 1) as part:
            asked = defense_cases.must_be_asked(table)
            defense_cases.must_defend(caught)
            defense_cases.must_be_bearable(kept)
            found = defense_cases.panel(asked, kind, pools, budget, part.doing)
            defense_cases.best_thief(part, found, kept, steady, caught)
    with sheet.part("pools that barely steal anything, even undefended", 1) as part:
        asked = defense_cases.must_be_asked(table)
        defense_cases.must_defend(caught)
        defense_cases.must_be_bearable(kept)
        defense_cases.poor_pools(part, asked, budget)
    if table is not None:
        remarks.tell(sheet, [table])


# --- exercise 6 --------------------------------------------------------------------


@check(
    "Exercise 6, spend",
    4,
    withholds=("trickster.adaptive_attacks.unlie", "trickster.adaptive_attacks.unlied"),
)
def spend(sheet: Sheet, spend: Callable[..., Any], services: int = spending_cases.SERVICES) -> None:
    """Attacks on services behind the library's trickster; the clones are trained here."""
    thefts = None
    with sheet.part("more than shapes bring", 2) as part:
        thefts = spending_cases.send(sheet, part, spend, services)
        spending_cases.more_than_shapes(part, thefts)
    with sheet.part("more than the hundred pictures bring", 2) as part:
        spending_cases.more_than_real(part, thefts)
