"""Thieves who know the defence and choose their questions, to find out which answers are lies.

They count on two things. A lie holds the right probabilities, in another order; and where a picture
changes a little, a truth changes little. The :func:`walking` thief goes along lines to the edges
where answers jump, reads off there how the classes were permuted, and undoes it wherever that
permutation holds. The :func:`copying` thief asks about changed copies of each picture, and leaves
out the answers whose order changed; the :func:`eliminating` thief puts them right. What a thief
makes of answers without further questions is in ``adaptive_attacks``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import multivariate_normal

from trickster.adaptive_attacks import RIDGE, log_ratios

Ask = Callable[[np.ndarray], np.ndarray]  # pictures (n, c, h, w) to answers (n, k)
# From pictures (n, c, h, w) in [0, 1] to copies of them.
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

STEP = np.float32(1 / 255)  # the smallest change of a pixel in 8 bits
MOVED = 0.7  # see `reordered`
SMOOTH = 0.3  # the largest difference of log probabilities where there is no edge between
SAME_NUMBERS = 0.02  # the largest difference of sorted log probabilities of one picture
EDGES = 3  # at most, between two neighbours on a line
KNOWN = 0.9  # share of new lines under a known permutation at which walking ends
ROUNDS = 15  # of `undo`; the decisions have settled before


class Found(NamedTuple):
    """What a thief has in the end, ready to be learnt.

    x : pictures ``(m, c, h, w)``.
    answers : what the thief believes to be the truth about them, ``(m, k)``.
    queries : how many pictures the thief has asked about; never more than the budget.
    """

    x: np.ndarray
    answers: np.ndarray
    queries: int


# --- copies -----------------------------------------------------------------------------------


def one_step(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each pixel of ``x`` in [0, 1] one step of 8 bits brighter or darker, at random."""
    up = rng.random(x.shape) < 0.5
    up = (up | (x < STEP)) & (x <= 1 - STEP)
    return x + np.where(up, STEP, -STEP)


def noisy(deviation: float) -> Change:
    """A change: normal noise of this ``deviation`` on each pixel, clipped to [0, 1]."""

    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = deviation * rng.standard_normal(x.shape, dtype=np.float32)
        return np.clip(x + noise, 0, 1)

    return change


def reordered(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which answers hold about the same numbers in another order: booleans ``(n,)``.

    ``first`` and ``second (n, k)`` answer pictures that are nearly the same. Their logarithms are
    compared, class by class and sorted: for two truths both differences are small, or equal; for
    a lie in two orders, the first is larger by more than 0.7 in the mean of the classes.
    """
    a, b = _logs(first), _logs(second)
    by_class = np.abs(a - b).mean(axis=-1)
    in_order = np.abs(np.sort(a, axis=-1) - np.sort(b, axis=-1)).mean(axis=-1)
    return by_class - in_order > MOVED


def copying(
    ask: Ask,
    pool: np.ndarray,
    budget: int,
    *,
    copies: int = 1,
    change: Change = one_step,
    seed: int = 0,
) -> Found:
    """Ask about each picture and about changed copies of it, and leave out what was reordered.

    Where each picture has a lie of its own (``defenses.PictureLie``), any change shows it. Where
    all pictures of a cell share one (``defenses.CellLie``), only a change that leaves the cell
    does: larger changes show more lies, but leave the detector's side more often, too. As many
    pictures of ``pool (n, c, h, w)`` as the ``budget`` pays for are asked about, each
    ``1 + copies`` times. Where all lies are found, this thief is ``adaptive_attacks.oracle``.
    Raises ValueError where the budget does not pay for one picture and one copy.

    (Pairs of inputs that hardly differ: Lowd and Meek, "Adversarial Learning", KDD 2005.)
    """
    x, rng = _affordable(pool, budget, copies), np.random.default_rng(seed)
    answers = ask(x)
    lies = np.zeros(len(x), dtype=bool)
    for _ in range(copies):
        lies |= reordered(answers, ask(change(x, rng)))
    return Found(x[~lies], answers[~lies], (1 + copies) * len(x))


def eliminating(
    ask: Ask, pool: np.ndarray, budget: int, *, copies: int = 24, seed: int = 0
) -> Found:
    """Ask about each picture and about many copies of it, and put lies right by elimination.

    A keyed lie leaves no class where it was. So of all the orders in which a picture's numbers
    are returned, none gives a class its own number, and after two dozen lies hardly another order
    is left. Answers that are never reordered are believed. Arguments and errors as for
    :func:`copying`; only for lies that differ from picture to picture.
    """
    x, rng = _affordable(pool, budget, copies), np.random.default_rng(seed)
    told = np.stack([ask(x), *(ask(one_step(x, rng)) for _ in range(copies))], axis=1)
    rank = np.argsort(np.argsort(-told, axis=-1, kind="stable"), axis=-1)
    answers = told[:, 0].copy()
    lies = np.any([reordered(answers, one) for one in told.swapaxes(0, 1)], axis=0)
    for row in np.flatnonzero(lies):
        times = np.sum(rank[row, :, :, None] == np.arange(told.shape[-1]), axis=0)
        own = linear_sum_assignment(times)[1]  # the rank of each class that it never got
        answers[row] = np.sort(told[row, 0])[::-1][own]
    return Found(x, answers, (1 + copies) * len(x))


def _affordable(pool: np.ndarray, budget: int, copies: int) -> np.ndarray:
    """As many pictures as can be asked about together with their copies."""
    x = pool[: budget // (1 + max(copies, 0))]
    if copies < 1 or len(x) == 0:
        raise ValueError(
            f"A budget of {budget} for {len(pool)} pictures with {copies} copies each: give a "
            "picture, at least one copy, and a budget that pays for both."
        )
    return x


# --- lines ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk:
    """Lines from one picture, and what was found out on them.

    answers : as returned, ``(lines, points, k)``.
    permutations : integers ``(lines, points, k)``; the probability of class c is where
        ``permutations[..., c]`` says.
    queries : how many pictures were asked about.
    """

    answers: np.ndarray
    permutations: np.ndarray
    queries: int

    @property
    def truths(self) -> np.ndarray:
        """The answers with their permutations undone, ``(lines * points, k)``."""
        undone = np.take_along_axis(self.answers, self.permutations, axis=-1)
        return undone.reshape(-1, undone.shape[-1])


def permutation_between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where each class of ``before (k,)`` is in ``after (k,)``, by the closest match of numbers.

    Both answer nearly the same picture, so that they hold nearly the same numbers.
    """
    return linear_sum_assignment(np.abs(_logs(before)[:, None] - _logs(after)))[1]


def walk(
    ask: Ask,
    start: np.ndarray,
    ends: np.ndarray,
    *,
    points: int = 9,
    halvings: int = 12,
    budget: int | None = None,
) -> Walk:
    """Ask along lines from ``start (c, h, w)`` to ``ends (n, c, h, w)``, and find what edges do.

    ``start`` is answered truthfully. Where two neighbours of ``points`` pictures on a line name
    different classes, the thief asks about the middle, and goes on in that half where the class
    changes, until the change proves to be smooth, both sides show the same numbers, or
    ``halvings`` are done. :func:`permutation_between` then says what the edge does.

    Costs ``n * points`` queries, and up to ``halvings`` for each change of the class; when the
    ``budget`` is spent, edges stay as they are and may be misread. Raises ValueError where it does
    not pay for the lines. (Lines to a boundary: Lowd and Meek, "Adversarial Learning", KDD 2005.)
    """
    left = math.inf if budget is None else budget - len(ends) * points
    if left < 0:
        raise ValueError(
            f"{len(ends)} lines of {points} pictures do not fit a budget of {budget} queries."
        )
    steps = np.linspace(0, 1, points, dtype=np.float32)[:, None, None, None]
    lines = start + steps * (ends[:, None] - start)
    answers = ask(lines.reshape(-1, *start.shape)).reshape(len(ends), points, -1)
    line, gap = np.nonzero(np.diff(answers.argmax(axis=-1), axis=1))
    sides = _Sides(
        lines[line, gap], lines[line, gap + 1], answers[line, gap], answers[line, gap + 1]
    )
    moved, queries = _moved(ask, sides, halvings, left)
    as_told = np.arange(answers.shape[-1])
    permutations = np.tile(as_told, (len(ends), points, 1))
    for i, j, edge in zip(line, gap, moved, strict=True):
        permutations[i, j + 1 :] = edge[permutations[i, j + 1 :]]
    return Walk(answers, permutations, len(ends) * points + queries)


def shared(permutations: np.ndarray) -> np.ndarray:
    """Those of ``permutations (lines, points, k)`` that are on two lines or more, ``(m, k)``.

    An edge that was misread gives a permutation of its own. The first is that of a truth.
    """
    of_lines = np.concatenate([np.unique(line, axis=0) for line in permutations])
    distinct, lines = np.unique(of_lines, axis=0, return_counts=True)
    truth = np.arange(permutations.shape[-1])
    lies = distinct[(lines > 1) & (distinct != truth).any(axis=1)]
    return np.concatenate([truth[None], lies])


def undo(answers: np.ndarray, permutations: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Undo each of ``answers (n, k)`` by that permutation with which it looks most like a truth.

    permutations : ``(m, k)``, as in :class:`Walk`.
    known : truths about other pictures ``(l, k)``. Their logarithms form clouds, one for each
        leading class; a Gaussian is fitted to each, and later to the answers as they were undone.
    """
    versions, rows = np.stack([answers[:, one] for one in permutations]), np.arange(len(answers))
    points, truths = log_ratios(versions), known
    chosen = np.full(len(answers), -1)
    for _ in range(ROUNDS):
        cloud, tops = log_ratios(truths), truths.argmax(axis=1)
        likely = [_log_density(points, cloud[tops == c]) for c in np.unique(tops)]
        before, chosen = chosen, np.max(likely, axis=0).argmax(axis=0)
        if (before == chosen).all():
            break
        truths = versions[chosen, rows]
    return versions[chosen, rows]


def walking(
    ask: Ask, start: np.ndarray, pool: np.ndarray, budget: int, *, lines: int = 10
) -> Found:
    """Walk until most permutations are known, ask about further pictures, and undo them there.

    The thief owns one picture that is answered truthfully, ``start (c, h, w)``. Lines go from it
    to pictures of ``pool (n, c, h, w)``, ``lines`` at a time, until nine of ten end under a
    permutation that was :func:`shared` by lines before, or half of the ``budget`` is spent. The
    other queries ask about further pictures of the pool; what the thief believes is what
    :func:`undo` makes of the answers. Against lies that are nowhere the same, what walking costs
    is lost.
    """
    walks, queries = [], 0
    permutations = np.empty((0, 1), dtype=int)
    for first in range(0, len(pool), lines):
        new = walk(ask, start, pool[first : first + lines], budget=budget // 2 - queries)
        walks.append(new)
        queries += new.queries
        known = [(one == permutations).all(axis=1).any() for one in new.permutations[:, -1]]
        permutations = shared(np.concatenate([one.permutations for one in walks]))
        if np.mean(known) >= KNOWN or queries + new.queries > budget / 2:
            break
    told = np.concatenate([one.answers[:, -1] for one in walks])
    others = pool[len(told) : len(told) + budget - queries]
    told = np.concatenate([told, ask(others)])
    truths = np.concatenate([one.truths for one in walks])
    return Found(pool[: len(told)], undo(told, permutations, truths), queries + len(others))


class _Sides(NamedTuple):
    """Pictures on both sides of edges ``(n, c, h, w)``, and the answers to them ``(n, k)``."""

    low: np.ndarray
    high: np.ndarray
    before: np.ndarray
    after: np.ndarray


def _moved(ask: Ask, gaps: _Sides, halvings: int, budget: float) -> tuple[np.ndarray, int]:
    """What all edges in each gap do together, permutations ``(n, k)``; and the queries."""
    low, high, before, after = (one.copy() for one in gaps)
    moved, queries = np.tile(np.arange(after.shape[1]), (len(after), 1)), 0
    for _ in range(EDGES):
        rows = np.flatnonzero(before.argmax(axis=1) != after.argmax(axis=1))
        if len(rows) == 0:
            break
        sides = _Sides(low[rows], high[rows], before[rows], after[rows])
        edges, asked = _bisect(ask, sides, halvings, budget - queries)
        queries += asked
        for row, one, other in zip(rows, edges.before, edges.after, strict=True):
            if np.abs(_logs(one) - _logs(other)).max() > SMOOTH:
                moved[row] = permutation_between(one, other)[moved[row]]
        low[rows], before[rows] = edges.high, edges.after  # and on to the next
    return moved, queries


def _bisect(ask: Ask, sides: _Sides, halvings: int, budget: float) -> tuple[_Sides, int]:
    """The sides of each edge moved together, as `walk` says; and the queries."""
    low, high, before, after = (one.copy() for one in sides)
    queries = 0
    for _ in range(halvings):
        jumps = np.abs(_logs(before) - _logs(after)).max(axis=1) > SMOOTH
        in_order = np.abs(np.sort(_logs(before)) - np.sort(_logs(after)))
        rows = np.flatnonzero(jumps & (in_order.max(axis=1) > SAME_NUMBERS))
        rows = rows[: int(min(budget - queries, len(rows)))]
        if len(rows) == 0:
            break
        middle = (low[rows] + high[rows]) / 2
        between = ask(middle)
        queries += len(rows)
        changed = between.argmax(axis=1) != before[rows].argmax(axis=1)
        left, right = rows[changed], rows[~changed]
        high[left], after[left] = middle[changed], between[changed]
        low[right], before[right] = middle[~changed], between[~changed]
    return _Sides(low, high, before, after), queries


def _logs(answers: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(answers, 1e-12))


def _log_density(points: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """Of ``points (m, n, d)`` in the Gaussian of the rows of ``cloud (l, d)``, ``(m, n)``."""
    covariance = RIDGE * np.eye(cloud.shape[1])
    if len(cloud) > 1:
        covariance += np.cov(cloud.T)
    likely = multivariate_normal(cloud.mean(axis=0), covariance).logpdf(points)
    return np.log(len(cloud)) + likely.reshape(points.shape[:-1])
