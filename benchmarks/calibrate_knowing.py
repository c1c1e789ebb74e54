"""Run lab 5's graded checks over and over, each time with a new secret, on right and wrong answers.

    python -m benchmarks.calibrate_knowing                   # up to 200 runs, five hours, one core
    python -m benchmarks.calibrate_knowing --runs 1 --results LOOK       # a quick look, elsewhere

Run i is graded with secret i, as a class is. Answers near a bar are run most often: their spread
decides the bars that ``trickster/checks/thresholds.py`` quotes this table for. A run draws its
pools and trains its undefended clones once for all answers.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Collection
from functools import cache
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker, as in grading

import numpy as np

from autograder import held_back
from benchmarks import cli
from benchmarks.asking_answers import (
    asked_three_times,
    asked_twice,
    by_halving,
    correlated,
    far_off,
    in_reverse,
    nearer_to_the_truth,
    on_a_grid,
    one_pixel,
    one_step,
    other_class,
    other_ranks,
    the_unsure_half,
)
from benchmarks.calibrate_defenses import rolled, secret
from benchmarks.calibration import deviations, value_range
from benchmarks.formatting import low_to_high, markdown_table, plural, short
from benchmarks.sharing import sharing_clones
from benchmarks.store import Job, Measurement, Results
from trickster import adaptive_attacks, defenses, ood, pools, withheld
from trickster.api import Query
from trickster.checks import draws, fixtures, lab5, outlier_cases, thresholds
from trickster.checks.result import CheckResult
from trickster.probing import reordered
from trickster.scenario import Scenario

PART = "calibrate_knowing"
FEATURES = slice(-128, None)
Score = Callable[[np.ndarray], np.ndarray]  # statistics (n, 322) to (n,)
KEPT = 100_000  # scores that a detector remembers
FEW = 25  # runs of an answer that lies far from every bar, and takes seconds
SOME = (0, 12, 16)  # the numbers of runs of what lies far from every bar
Lie = Callable[[np.ndarray, np.ndarray, str], np.ndarray]  # posteriors, features, key

# --- detectors --------------------------------------------------------------------------------


def remembering(score: Score) -> Score:
    """The same, which does not score an input twice: many answers share a detector and a draw."""
    kept: dict[bytes, float] = {}

    def remembered(statistics: np.ndarray) -> np.ndarray:
        rows = [hashlib.blake2b(row, digest_size=16).digest() for row in statistics]
        new = [i for i, row in enumerate(rows) if row not in kept]
        if new:
            if len(kept) > KEPT:
                kept.clear()
                return remembered(statistics)
            kept.update(zip((rows[i] for i in new), score(statistics[new]), strict=True))
        return np.array([kept[row] for row in rows])

    return remembered


@cache
def exposure() -> Score:
    """Outlier exposure, as the lab's text describes it."""
    shipped = fixtures.fashion().x_train
    others = [Scenario("fashion").pool(name, 2_000, seed=1) for name in ("noise", "patches")]
    others.append(Scenario("fashion").pool("digits", 1_500, seed=1))
    weird = np.concatenate([pools.outliers(shipped, len(shipped), seed=0), *others])
    rows = [_statistics(x, name) for x, name in ((shipped, "honest"), (weird, "weird"))]
    return remembering(ood.OutlierExposure.fit(*rows))


@cache
def nearest() -> Score:
    """Lab 3's: the nearest neighbour among the last features."""
    return remembering(
        lambda statistics: ood.score_knn(statistics[:, FEATURES], fixtures.bank(), 1)
    )


@cache
def mahalanobis() -> Score:
    """By class, of the channels of both convolutions."""
    channels = slice(2, -128)
    bank = _statistics(fixtures.fashion().x_train, "honest")[:, channels]
    fitted = ood.Mahalanobis.fit(bank, fixtures.fashion().y_train)
    return lambda statistics: fitted(statistics[:, channels])


@cache
def combined() -> Score:
    """Outlier exposure and the nearest neighbour, by their ranks among honest pictures."""

    def both(statistics: np.ndarray) -> np.ndarray:
        return np.stack([exposure()(statistics), nearest()(statistics)], axis=1)

    ranks = ood.Ranks.fit(both(_statistics(fixtures.fashion().x_test[:2_500], "ranks")))
    return lambda statistics: ranks(both(statistics))


def _statistics(x: np.ndarray, *name: str) -> np.ndarray:
    """Of pictures as they arrive, by a draw of the owner's own."""
    with draws.as_at_a_desk():
        return outlier_cases.statistics(fixtures.as_sent(x, "owner", *name))


@cache
def threshold(detector: Callable[[], Score], share: float) -> float:
    chosen_on = _statistics(fixtures.fashion().x_test[:2_500], "threshold")
    return ood.choose_threshold(detector()(chosen_on), share)


# --- lies -------------------------------------------------------------------------------------


@cache
def weird_features() -> np.ndarray:
    return fixtures.victim().features(pools.outliers(fixtures.fashion().x_train, 2_000, seed=7))


def cells(planes: int) -> Lie:
    def lie(posteriors: np.ndarray, features: np.ndarray, key: str) -> np.ndarray:
        fitted = defenses.CellLie.fit(bytes.fromhex(key), weird_features(), planes)
        return fitted(posteriors, Query(features, features, "", 0.0))

    return lie


def each_its_own(posteriors: np.ndarray, features: np.ndarray, key: str) -> np.ndarray:
    """The features in place of the pixels, which a lie of exercise 4 does not see."""
    return defenses.PictureLie(bytes.fromhex(key))(posteriors, Query(features, features, "", 0.0))


def unkeyed(posteriors: np.ndarray, features: np.ndarray, key: str) -> np.ndarray:
    """Cells and permutations, and always the same: the key is the author's own."""
    return cells(3)(posteriors, features, "5e" * 32)


def reversed_order(posteriors: np.ndarray, features: np.ndarray, key: str) -> np.ndarray:
    return defenses.misinform(posteriors)


def rolled_by_key(posteriors: np.ndarray, features: np.ndarray, key: str) -> np.ndarray:
    return np.roll(posteriors, 1 + int(key, 16) % 9, axis=1)


def rolled_by_one(posteriors: np.ndarray, features: np.ndarray, key: str) -> np.ndarray:
    return rolled(posteriors)


# --- answers ----------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What a student hands in, part of the advice to a wrong one, and in which runs it is tried.

    ``near``: right, and so near to what honest users may lose that a run may cost a few tenths.
    ``often``: luck might turn its verdict.
    """

    given: Any
    advice: str = ""
    runs: Collection[int] = range(FEW)
    near: bool = False
    often: bool = False


class Defence(NamedTuple):
    detector: Callable[[], Score] = combined
    lie: Lie = cells(3)
    share: float = 0.02


def defend(given: Defence) -> Callable[..., np.ndarray]:
    """As a student of lab 5 hands it in."""
    score, line = given.detector(), threshold(given.detector, given.share)

    def answer(x, posteriors, statistics, key):
        weird, answers = score(statistics) < line, posteriors.copy()
        answers[weird] = given.lie(posteriors[weird], statistics[weird, FEATURES], key)
        return answers

    return answer


def constant(x, posteriors, statistics, key):
    return np.full_like(posteriors, 0.1)


def library_unlie(told: np.ndarray, undone: np.ndarray, seed: int) -> np.ndarray:
    return adaptive_attacks.unlie(told, [lambda _: undone], seed=seed).answers


def surer(told: np.ndarray, undone: np.ndarray, seed: int) -> np.ndarray:
    """Half of the rows at random: nothing was learnt."""
    coin = np.random.default_rng(seed).random((len(told), 1)) < 0.5
    return np.where(coin, told, undone)


def outliers(honest: np.ndarray, seed: int) -> np.ndarray:
    return pools.outliers(honest, len(honest), seed=seed)


ANSWERS: dict[str, dict[str, Answer]] = {
    "unlie": {
        "the library's": Answer(library_unlie),
        "as told": Answer(lambda told, undone, seed: told, "same version"),
        "by a coin": Answer(surer, "clouds have not settled"),
    },
    "detector": {
        "both": Answer(combined),
        "outlier exposure": Answer(exposure),
        "nearest neighbour": Answer(nearest, "more outliers of more kinds"),
        "Mahalanobis": Answer(mahalanobis, "more outliers of more kinds"),
    },
    "keyed_lie": {
        "8 cells": Answer(cells(3)),
        "one permutation": Answer(cells(0)),
        "one a picture": Answer(each_its_own),
        "reversed": Answer(reversed_order, "whoever reads your code undoes it"),
        "rolled by the key": Answer(rolled_by_key, "Too few lies"),
        "rolled by one": Answer(rolled_by_one, "whoever reads your code undoes it"),
    },
    "defend": {
        "8 cells": Answer(Defence(), often=True),
        "one permutation": Answer(Defence(lie=cells(0))),
        "outlier exposure": Answer(Defence(exposure, share=0.015), near=True),
        "one a picture": Answer(Defence(lie=each_its_own), often=True),
        "nearest neighbour, cells": Answer(Defence(nearest), "Your detector", often=True),
        "lab 3's": Answer(Defence(nearest, reversed_order), "without the service's key", SOME),
        "reversed": Answer(Defence(lie=reversed_order), "without the service's key", SOME),
        "unkeyed cells": Answer(Defence(lie=unkeyed), "without the service's key", SOME),
        "constant": Answer(constant, "one and the same answer", SOME),
    },
    "ask_twice": {
        "sorted or not": Answer(asked_twice(reordered, one_step)),
        "one pixel": Answer(asked_twice(reordered, one_pixel)),
        "correlation": Answer(asked_twice(correlated, one_step)),
        "another class": Answer(asked_twice(other_class, one_step), "all ten numbers"),
        "other ranks": Answer(asked_twice(other_ranks, one_step), "changed a little"),
        "copies far off": Answer(asked_twice(reordered, far_off), "only one step away"),
        "the unsure half": Answer(the_unsure_half, "a lie looks as sure"),
        "asks three times": Answer(asked_three_times, "more than its budget"),
    },
    "walk_to_edge": {
        "18 halvings": Answer(by_halving(18)),
        "12 halvings": Answer(by_halving(12)),
        "the larger jump": Answer(by_halving(20, same=nearer_to_the_truth)),
        "the ends matched": Answer(by_halving(0), "at the two ends"),
        "the other way round": Answer(by_halving(18, turned=True), "other way round"),
        "in reverse": Answer(in_reverse, "the truth in reverse"),
        "a grid of 200": Answer(on_a_grid, "about the middle of what is left"),
    },
}
QUICK = ("ask_twice", "walk_to_edge")  # checks that take no time
BARS = {  # the part of a check, by its beginning, and what its value is compared with
    "unlie": {"lab 3's": thresholds.UNLIED, "another lie": thresholds.UNLIED},
    "detector": {"fresh": thresholds.CAUGHT_SHAPES, "a pool": thresholds.CAUGHT_HIDDEN},
    "keyed_lie": {"a thief": thresholds.UNDONE},
    "defend": {
        "thieves with fresh": thresholds.KNOWING_SHAPES,
        "thieves with a pool": thresholds.KNOWING_HIDDEN,
        "the worst case": thresholds.ORACLE,
    },
    "ask_twice": {"a permutation for each p": thresholds.LIES_SHOWN},
    "walk_to_edge": {},
}


def run(job: Job) -> Measurement:
    """One check of one answer, with the secret of one number."""
    check, name, number = job
    with (
        draws.grading_with(secret(number), held_back.load()),
        withheld.refused_by(withheld.nobody),
        sharing_clones(),
    ):
        result = _check(check, ANSWERS[check][name].given)
    advice = [result.note, *(part.advice for part in result.parts)]
    return {
        "points": float(result),
        "values": {
            part.name: round(part.value, 3) for part in result.parts if part.value is not None
        },
        "told": any(ANSWERS[check][name].advice in text for text in advice),
    }


def _check(check: str, given: Any) -> CheckResult:
    if check == "detector":
        return lab5.detector(outliers, given())
    if check == "defend":
        return lab5.defend(defend(given) if isinstance(given, Defence) else given)
    return getattr(lab5, check)(given)


def jobs(runs: int = 200) -> list[Job]:
    """So many runs of the answers that are run often, and some of each other one.

    *One permutation* need not be among the former: behind the same detector, the oracle takes as
    much from it as from *8 cells* (within .002), and other thieves stay far from their bars.
    """
    return [
        (check, name, number)
        for number in range(runs)  # what a secret draws is drawn once for all of them
        for check, answers in ANSWERS.items()
        for name, answer in answers.items()
        if answer.often or check in QUICK or number in answer.runs
    ]


def values(results: Results, check: str, name: str, part: str) -> np.ndarray:
    """What was compared with a bar, run by run; ``part`` may be cut short."""
    found = [one["values"] for job, one in results if job[:2] == (check, name)]
    return np.array([v for one in found for key, v in one.items() if key.startswith(part)])


def evidence(results: Results, check: str, part: str) -> list[str]:
    """``8 cells .46 to .55`` for each answer that was compared with a bar."""
    found = {name: values(results, check, name, part) for name in ANSWERS[check]}
    return [f"{name} {value_range(one)}" for name, one in found.items() if len(one)]


def false_verdicts(results: Results) -> list[str]:
    """Right answers without all points, wrong ones with all or without their explanation."""
    false = []
    for job, result in results:
        answer = ANSWERS[job[0]][job[1]]
        full = result["points"] == getattr(lab5, job[0]).points
        if (full == bool(answer.advice) and not answer.near) or not result["told"]:
            false.append(f"{job[0]}: {job[1]} (run {job[2]})")
    return false


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows = []
    for check, answers in ANSWERS.items():
        for name, answer in answers.items():
            points = [one["points"] for job, one in results if job[:2] == (check, name)]
            cells_of_row = []
            for part, bar in BARS[check].items():
                found = values(results, check, name, part)
                if len(found):
                    far = f", {deviations(found, bar.full):+.1f} sd" if len(found) > 1 else ""
                    cells_of_row.append(
                        f"{part}: {value_range(found)} (bar {short(bar.full)}{far})"
                    )
            rows.append(
                (
                    f"{check}: {name}",
                    "wrong" if answer.advice else "nearly right" if answer.near else "right",
                    len(points),
                    low_to_high(f"{min(points):g}", f"{max(points):g}")
                    + f" of {getattr(lab5, check).points:g}",
                    "; ".join(cells_of_row),
                )
            )
    false = false_verdicts(results)
    return (
        f"Every run draws afresh. False verdicts: {', '.join(false) if false else 'none'} of "
        f"{plural(len(results), 'run')}. A value is a share of answers put right, of a pool "
        "flagged, minus the share of lies undone, the drop of the best thief (accuracy or "
        "fidelity, whichever falls less, mean over two services; the oracle's over six pools), or "
        "what share of the lies or of the truths was told to be one, whichever is smaller. "
        "*Nearly right*: outlier exposure alone costs honest users nearly what they may lose, so "
        "that a run may cost a few tenths of a point.\n\n"
        + markdown_table(("check: answer", "is", "runs", "points", "measured"), rows)
    )


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=1_000)
