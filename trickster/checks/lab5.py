"""Checks of lab 5, The thief who knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from trickster.checks import (
    defense_cases,
    keyed_cases,
    knowing_cases,
    outlier_cases,
    probing_cases,
    remarks,
    unlying_cases,
)
from trickster.checks.cases import must_be_on_clothes, must_be_written
from trickster.checks.defense_cases import PANEL_BUDGET
from trickster.checks.knowing_cases import Counts
from trickster.checks.result import NotMeasured, Sheet, check
from trickster.checks.thresholds import (
    CAUGHT_HIDDEN,
    CAUGHT_SHAPES,
    KNOWING_HIDDEN,
    KNOWING_SHAPES,
    ORACLE,
)

KEYED = (
    "trickster.defenses.KeyedLie",
    "trickster.defenses.PictureLie",
    "trickster.defenses.CellLie",
    "trickster.defenses.Trickster",  # it calls the others
)
KINDS = tuple(  # of outliers: each is a part of the answer
    f"trickster.pools.{name}"
    for name in ("_turned", "_overlaid", "_pasted", "_tiles", "_inverted", "_grey", "_colours")
)

# --- exercise 1 --------------------------------------------------------------------


@check(
    "Exercise 1, unlie",
    3,
    withholds=("trickster.adaptive_attacks.unlie", "trickster.adaptive_attacks.unlied"),
)
def unlie(sheet: Sheet, unlie: Callable[..., Any]) -> None:
    """Answers of lab 3's defence, and of another that lies otherwise, put right row by row."""
    told, found = unlying_cases.of_lab_3(), None
    with sheet.part("each answer as told, or undone", 1) as part:
        found = unlying_cases.put_right(unlie, told, "lab 3")
        unlying_cases.one_of_two(part, told, found)
        part.blame(partial(unlying_cases.slip, told, found))
        if part.share:
            unlying_cases.must_repeat_itself(unlie, told, found, "lab 3")
    with sheet.part("lab 3's lies put right", 1) as part:
        found = unlying_cases.must_be_answered(found)
        unlying_cases.right_rows(part, told, found)
        part.blame(partial(unlying_cases.slip, told, found))
    with sheet.part("another lie, told more or less often", 1) as part:
        unlying_cases.must_be_answered(found)
        other = unlying_cases.of_another_service()
        again = unlying_cases.put_right(unlie, other, "another")
        unlying_cases.right_rows(part, other, again)
        part.blame(partial(unlying_cases.slip, other, again))


# --- exercise 2 --------------------------------------------------------------------


@check(
    "Exercise 2, small_loss",
    2,
    withholds=("trickster.adaptive_attacks.small_loss", "trickster.adaptive_attacks.best_fitting"),
)
def small_loss(sheet: Sheet, small_loss: Callable[..., Any]) -> None:
    """The rows with the smallest cross-entropy under a first clone."""
    right = 0.0
    with sheet.part("what the first clone fits best", 1.5) as part:
        unlying_cases.kept_rows(part, small_loss)
        right = part.share
    with sheet.part("a clone that is sure", 0.5) as part:
        unlying_cases.zeros(part, small_loss, right)


# --- exercise 3 --------------------------------------------------------------------


@check(
    "Exercise 3, a detector that has never seen this thief",
    4,
    withholds=("trickster.pools.outliers", *KINDS, "trickster.ood.OutlierExposure"),
)
def detector(sheet: Sheet, make_outliers: Callable[..., Any], score: Callable[..., Any]) -> None:
    """Outliers from honest pictures; scores of honest and weird inputs, asked about mixed."""
    must_be_on_clothes(make_outliers, score)
    scored = None
    with sheet.part("outliers from honest pictures", 1) as part:
        outlier_cases.other_pictures(part, make_outliers)
    with sheet.part("scores, one input at a time", 0.5) as part:
        scored = outlier_cases.try_out(score)
        outlier_cases.steady(part, scored)
        outlier_cases.must_leave_its_inputs(score)
    with sheet.part("fresh shapes", 1.25) as part:
        found = outlier_cases.must_be_scored(scored)
        outlier_cases.caught(part, found, "shapes", CAUGHT_SHAPES)
    with sheet.part("a pool that you have not seen", 1.25) as part:
        found = outlier_cases.must_be_scored(scored)
        outlier_cases.caught(part, found, "hidden", CAUGHT_HIDDEN)


# --- exercise 4 --------------------------------------------------------------------


@check("Exercise 4, keyed_lie", 3, withholds=KEYED)
def keyed_lie(sheet: Sheet, keyed_lie: Callable[..., Any]) -> None:
    """Lies under keys of the check's."""
    must_be_on_clothes(keyed_lie)
    steady = 0.0
    with sheet.part("wrong, and the same when asked again", 1) as part:
        keyed_cases.wrong_and_steady(part, keyed_lie)
        steady = part.share
    with sheet.part("another key, another lie", 1) as part:
        keyed_cases.must_lie(steady)
        keyed_cases.keys_differ(part, keyed_lie)
    with sheet.part("a thief who knows every usual lie", 1) as part:
        keyed_cases.must_lie(steady)
        keyed_cases.cannot_be_undone(part, keyed_lie)


# --- exercise 5 --------------------------------------------------------------------


@check("Exercise 5, defend", 3, withholds=("trickster.defenses.Trickster",))
def defend(sheet: Sheet, defend: Callable[..., Any], budget: int = PANEL_BUDGET) -> None:
    """Two services with keys of their own, honest users, and thieves, one of whom runs the code."""
    must_be_on_clothes(defend)
    tried, kept, steady, caught = None, 0.0, 0.0, 1.0
    with sheet.part("the same question, the same answer", 0.25) as part:
        must_be_written(defend, *knowing_cases.example())
        tried = knowing_cases.try_out(defend, budget, part.doing)
        caught = tried.table.changed(tried.table.crowd.rows("shapes"))
        defense_cases.same_answers(part, tried.table, caught, knowing_cases.LIE)
        steady = part.share
        if steady:
            knowing_cases.must_leave_its_inputs(defend, tried.table.crowd, budget)
    with sheet.part("another key, another lie", 0.25) as part:
        knowing_cases.keys_differ(part, knowing_cases.must_be_tried(tried), caught)
    with sheet.part("honest users", 0.5) as part:
        table = knowing_cases.must_be_tried(tried).table
        defense_cases.must_defend(caught)
        kept = defense_cases.honest_users(part, table, steady)
    worst = None
    for kind, name, bar in (
        ("shapes", "thieves with fresh shapes", KNOWING_SHAPES),
        ("hidden", "thieves with a pool that you have not seen", KNOWING_HIDDEN),
    ):
        with sheet.part(name, 0.75) as part:
            asked = knowing_cases.must_be_tried(tried)
            defense_cases.must_defend(caught)
            defense_cases.must_be_bearable(kept)
            found = knowing_cases.panel(asked, kind, budget, part.doing)
            knowing_cases.best_thief(part, found.thieves, bar, Counts(kept, steady, caught))
            worst = worst or min(found, key=lambda one: one.drop)
    with sheet.part("the worst case with fresh shapes, the oracle included", 0.5) as part:
        measured = knowing_cases.must_be_measured(worst)
        knowing_cases.best_thief(part, measured, ORACLE, Counts(kept, steady, caught))
    if tried is not None:
        remarks.tell(sheet, [tried.table])


# --- exercise 7 --------------------------------------------------------------------


@check(
    "Exercise 7a, ask_twice",
    2,
    withholds=(
        "trickster.probing.copying",
        "trickster.probing.eliminating",
        "trickster.probing.reordered",
    ),
)
def ask_twice(sheet: Sheet, ask_twice: Callable[..., Any]) -> None:
    """Lies found by a copy of each picture, within a budget, at services drawn for the check."""
    right = 0.0
    with sheet.part("a permutation for each picture", 1.5) as part:
        right = probing_cases.one_a_picture(part, ask_twice)
    with sheet.part("a permutation for each cell", 0.5) as part:
        probing_cases.cells(part, ask_twice, right)


@check(
    "Exercise 7b, walk_to_edge",
    2,
    withholds=(
        "trickster.probing.walk",
        "trickster.probing.walking",
        "trickster.probing.permutation_between",
        "trickster.probing._moved",
        "trickster.probing._bisect",
    ),
)
def walk_to_edge(sheet: Sheet, walk_to_edge: Callable[..., Any]) -> None:
    """Permutations read off at the edges of services drawn for the check, and what they cost."""
    lines: list[Any] = []
    with sheet.part("permutations", 1.5) as part:
        lines = probing_cases.walks(part, walk_to_edge)
        found = part.share == 1
    with sheet.part("queries", 0.5) as part:
        if not (lines and found):
            raise NotMeasured("the permutations are not right yet (see above).")
        probing_cases.queries(part, lines)
