"""What lab 4 tries with a thief who has read a service's code: what they make of its answers.

They know how the service misleads, but not which of its answers are misleading. What they cannot
undo, they leave out. The best of their ways counts, and so does taking all answers as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from trickster import adaptive_attacks, training
from trickster.attacks import TrainingSet
from trickster.checks import panel as thieves
from trickster.checks.keyed_cases import UNDO
from trickster.checks.result import NotMeasured, Part
from trickster.checks.service_cases import Stolen, Tried, award_drop, fidelity_of
from trickster.checks.thresholds import LAYERED_READ
from trickster.checks.traffic import FIRST

KNOWN = 0.9  # ways that get the class right behind so many of the lies are how they were told
MOST = 3  # so many of them: of more, a thief can hardly say which
COMMON = 0.1  # answers that are the same ten numbers, in some order, so often are of one making
HARDLY = 0.1  # of fidelity, between two ways to use the same answers
NAIVE, UNLIER, LOOKS = "as they are", "un-lier", "looks at the pictures"
LEAVES_OUT, SMALL_LOSS = "leaves lies out", "small loss"
Undo = Callable[[np.ndarray], np.ndarray]


def training_sets(told: TrainingSet, truth: np.ndarray) -> thieves.Sets:
    """What a reader's clones train on, from soft answers; ``truth (n, k)`` is the victim's own.

    Of the truth only what the code says is taken: how a lie was told, and what it looks like.
    """
    lies = told.answers.argmax(axis=1) != truth.argmax(axis=1)
    sets = {NAIVE: told, SMALL_LOSS: adaptive_attacks.small_loss(told)}
    if ways := known_ways(told.answers, truth, lies):
        sets[UNLIER] = adaptive_attacks.unlied(told, ways, seed=told.seed)
        sets[LOOKS] = adaptive_attacks.explained(told, ways)
    plain = of_one_making(told.answers, lies)
    if plain is None:
        plain = of_lying_names(told.answers, lies)
    if plain is not None:
        sets[LEAVES_OUT] = adaptive_attacks.oracle(told, plain)
    n = len(told.x)
    return {
        name: replace(one, epochs=training.same_steps(len(one.x), n, epochs=one.epochs))
        for name, one in sets.items()
        if len(one.x)
    }


def known_ways(answers: np.ndarray, truth: np.ndarray, lies: np.ndarray) -> list[Undo]:
    """Ways to undo these lies, each for a part of them; none where the class is lost.

    It is lost in the labels of reversed answers, for example. The usual ways are tried, and so is
    putting in another order the classes (one for all lies, or one for each class on top), or the
    probabilities from the largest to the smallest.
    """
    ways: list[Undo] = []
    rows = np.flatnonzero(lies)
    while len(rows) > (1 - KNOWN) * lies.sum():
        if len(ways) == MOST:
            return []
        told, wanted = answers[rows], truth[rows]
        ways.append(_nearest(told, wanted))
        rows = rows[ways[-1](told).argmax(axis=1) != wanted.argmax(axis=1)]
    return ways


def _nearest(told: np.ndarray, wanted: np.ndarray) -> Undo:
    """The way that brings what was told nearest to what was wanted; the first if several tie."""
    fitted = [fit(told, wanted) for fit in (reordered, reordered_by_top, reranked)]
    return min((*UNDO, *fitted), key=lambda undo: float(np.abs(undo(told) - wanted).mean()))


def reordered(told: np.ndarray, wanted: np.ndarray) -> Undo:
    """The order of the classes that brings what was told nearest to what was wanted (squares).

    Columns can be put in another order without a change of their squares: it is the order in
    which the products of what was told and what was wanted have the largest sum.
    """
    _, order = linear_sum_assignment(wanted.T @ told, maximize=True)
    return lambda p: p[:, order]


def reordered_by_top(told: np.ndarray, wanted: np.ndarray) -> Undo:
    """Like :func:`reordered`, with an order for each class that has the largest probability."""
    top, k = told.argmax(axis=1), told.shape[1]
    by_class = [reordered(told[top == c], wanted[top == c]) for c in range(k)]

    def undo(p: np.ndarray) -> np.ndarray:
        return np.choose(p.argmax(axis=1)[:, None], [one(p) for one in by_class])

    return undo


def reranked(told: np.ndarray, wanted: np.ndarray) -> Undo:
    """Which rank each rank was given, most often, undone: reversed answers are an example."""
    k = told.shape[1]
    ranks = [_by_rank(p).argsort(axis=1).ravel() for p in (wanted, told)]
    counts = np.bincount(ranks[0] * k + ranks[1], minlength=k * k).reshape(k, k)
    _, given = linear_sum_assignment(counts, maximize=True)

    def undo(p: np.ndarray) -> np.ndarray:
        classes, right = _by_rank(p), np.empty_like(p)
        largest_first = np.take_along_axis(p, classes, axis=1)
        np.put_along_axis(right, classes[:, given], largest_first, axis=1)
        return right

    return undo


def _by_rank(p: np.ndarray) -> np.ndarray:
    """The classes of each row, the likeliest first."""
    return np.argsort(-p, axis=1, kind="stable")


def of_one_making(answers: np.ndarray, lies: np.ndarray) -> np.ndarray | None:
    """Which answers are the numbers that most lies consist of; None where truths are as well."""
    if not lies.any():
        return None
    numbers = np.sort(answers, axis=1).round(4)
    kinds, counts = np.unique(numbers[lies], axis=0, return_counts=True)
    same = (numbers == kinds[counts.argmax()]).all(axis=1)
    return same if same.mean() >= COMMON and lies[same].mean() >= KNOWN else None


def of_lying_names(answers: np.ndarray, lies: np.ndarray) -> np.ndarray | None:
    """Which answers name a class that lies name more often than truths; None if all do or none.

    All that labels show is a name: where lies prefer some names, the others are mostly true.
    """
    named, k = answers.argmax(axis=1), answers.shape[1]
    told, of_lies = np.bincount(named, minlength=k), np.bincount(named[lies], minlength=k)
    same = (2 * of_lies > told)[named]
    return same if 0 < same.sum() < len(same) else None


def read(tried: Tried, report: thieves.Report | None = None) -> Stolen:
    """What a reader gets away with at each service."""
    sets = []
    for table, pool in zip(tried.tables, tried.pools, strict=True):
        rows = table.crowd.rows(pool.group)
        told = thieves.training_sets(pool, table.given[FIRST, rows])["soft"]
        given = ~np.isnan(table.given[FIRST, rows]).any(axis=1)
        sets.append(training_sets(told, table.crowd.posteriors[rows][given]))
    return stolen(sets, tried.pools, report)


def stolen(
    sets: list[thieves.Sets], pools: list[thieves.Pool], report: thieves.Report | None = None
) -> Stolen:
    """Train the clones of each service's reader; where one way does not work, nothing is undone."""
    labels = thieves.train(sets, report)
    before = [fidelity_of(thieves.undefended(pool, ("soft",))["soft"]) for pool in pools]
    ways = sorted(set().union(*sets))
    after = {way: [fidelity_of(one.get(way, one.get(NAIVE))) for one in labels] for way in ways}
    return Stolen(before, after)


def reader(part: Part, tried: Tried, naive: Stolen | None) -> None:
    """The best of the reader's ways, and of the others': a reader can do as they do."""
    if naive is None:
        raise NotMeasured("the thieves who have not read it come first, see above.")
    found = read(tried, part.doing)
    others = {f"{name}, as above": values for name, values in naive.after.items()}
    decide(part, Stolen(found.before, found.after | others))


def decide(part: Part, found: Stolen) -> None:
    """Award what the best way loses, from an undefended service, in the mean over services."""
    shown = [name for name in (UNLIER, LOOKS, LEAVES_OUT, SMALL_LOSS) if name in found.after]
    award_drop(part, found, LAYERED_READ, shown, _advice(_named(found)))


def _named(found: Stolen) -> str:
    """The way to speak of: leaving lies out rather than taking all, where that is hardly better."""
    means = {way: float(np.mean(values)) for way, values in found.after.items()}
    if found.best in (UNLIER, LOOKS) or LEAVES_OUT not in means:
        return found.best
    return LEAVES_OUT if means[found.best] - means[LEAVES_OUT] < HARDLY else found.best


def _advice(best: str) -> str:
    if best == UNLIER:
        return (
            "The thief knows how your service misleads, finds out which answers do, and turns them "
            "round: their ten numbers hold all that the truth held. How much of it must you send?"
        )
    if best == LOOKS:
        return (
            "Your lie names the class behind it. The thief knows how your service misleads, "
            "notices which answers do not fit their pictures, and turns them round. With your "
            "code, nobody should be able to work out from a misleading answer which class was the "
            "likeliest."
        )
    if best == LEAVES_OUT:
        return (
            "Your misleading answers can be told by their ten numbers, which are the same every "
            "time, or by the classes that they name: the thief leaves them out. Make lies and "
            "truths look alike."
        )
    return "Knowing your code makes no difference here: see the thieves above."
