"""What lab 5 tries with thieves who choose their questions.

The services are formulas of the check's own (``teacher``): neither the shipped victim nor the lab's
detector tells which of their answers are lies, so there is nothing but to ask. Their meters count
every picture. Each function decides one part of a check, or draws what several parts need.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster.api import BudgetExceeded, InvalidQuery, PredictionAPI, Query
from trickster.checks import draws, fixtures, teacher
from trickster.checks.result import Missed, NotMeasured, Part
from trickster.checks.thresholds import LIES_SHOWN
from trickster.checks.unlying_cases import NAME, ROWS
from trickster.checks.values import array, locked, returned, saying_what_is_written_into
from trickster.defenses import CellLie, KeyedLie, PictureLie, Trickster

PICTURES = 300  # that are asked about twice
FEW = 10  # of them at a time: each answer is judged by itself
AWAY = 0.1  # from the detector's edge, so that a copy is on the same side
ACCUSED = 0.02  # the share of truths that may be called lies
LINES = 12
NEIGHBOURS = np.float32(0.25)  # of the way from a real picture to a shape
ON_A_LINE = 33  # points at which a line's true class is looked at
A_WALK = 24  # queries that one line may cost: two ends, and 22 halvings
HARD_LIMIT = 240  # queries with which a line ends the check
APART = 0.02  # of the logarithms of a picture's numbers: matching is never a matter of rounding
SMALLEST = 1e-9  # of these numbers
NEAR = 1e-4  # two answers are the same

AskTwice = Callable[[Callable[..., Any], np.ndarray], Any]
WalkToEdge = Callable[[Callable[..., Any], np.ndarray, np.ndarray], Any]


class Asked:
    """A drawn service that lies on one side of a plane, with a record of what it was asked.

    It lies where ``places @ across`` is smaller than ``edge``.
    """

    def __init__(self, name: str, across: np.ndarray, edge: float, lie: KeyedLie, budget: int):
        self.name, self.budget = name, budget
        self.model = teacher.service("on purpose")
        weird = Trickster(lambda posteriors, query: query.features @ across, edge, lie)
        self.client = PredictionAPI(self.model, defenses=[weird], budget=budget).client("thief")
        self.x: list[np.ndarray] = []

    def ask(self, x: Any) -> np.ndarray:
        """What a student's thief calls."""
        answers = self.client.query(x)
        self.x.append(np.array(x, dtype=np.float32))
        return answers

    def tried_by(self, thief: Callable[..., Any], *given: np.ndarray) -> Any:
        """What a student's thief makes of it. Raises Missed where the service refuses."""
        writes = (
            f"{self.name} writes into the pictures that it is given, which are needed again "
            "(copies = x is the same array). Begin with x.copy(), or with a new array."
        )
        try:
            with saying_what_is_written_into(writes):
                return thief(self.ask, *map(locked, given))
        except BudgetExceeded as refused:
            raise Missed(
                f"{self.name} asked for more than its budget of {self.budget} answers: it had "
                f"{self.client.used}, and asked for {refused.requested} more."
            ) from None
        except InvalidQuery as refused:
            raise Missed(f"the service refused what {self.name} sent. {refused}") from None


def _key(*labels: str | int) -> bytes:
    return draws.rng("on purpose", "key", *labels).bytes(32)


def _pictures(rng: np.random.Generator, n: int) -> np.ndarray:
    """``n`` honest pictures, and behind them ``n`` shapes, as they are sent."""
    honest, shapes = fixtures.honest_pictures().x, fixtures.answered("shapes", ROWS, NAME).x
    return np.concatenate([x[rng.permutation(len(x))[:n]] for x in (honest, shapes)])


# --- two questions about each picture --------------------------------------------------------


class Twice(NamedTuple):
    """Which answers are lies, and which of them the student called lies, ``(n,)`` each."""

    lies: np.ndarray
    called: np.ndarray
    asked: Asked

    @property
    def found(self) -> float:
        return float(np.mean(self.called[self.lies]))

    @property
    def accused(self) -> float:
        return float(np.mean(self.called[~self.lies]))

    @property
    def right(self) -> float:
        """The share of the lies, or of the truths, that is judged rightly: the smaller one."""
        return min(self.found, 1 - self.accused)


def one_a_picture(part: Part, ask_twice: AskTwice) -> float:
    """Each lie has a permutation of its own; returns the share judged rightly."""
    tried = _asked_twice(ask_twice, "one a picture")
    part.award(
        LIES_SHOWN.share(tried.right),
        f"{tried.found:.1%} of the lies were found, and {tried.accused:.1%} of the truths were "
        "called lies",
        f"at least {LIES_SHOWN.full:.0%} of either judged rightly (some points from "
        f"{LIES_SHOWN.some:.0%})",
        LIES_SHOWN.usual,
        _why_judged_wrongly(tried),
        value=tried.right,
    )
    if part.share:
        _must_judge_few(part, ask_twice, tried.right)
    return tried.right


def _must_judge_few(part: Part, ask_twice: AskTwice, right: float) -> None:
    """Takes the points from who judges an answer by those to other pictures."""
    few = _asked_twice(ask_twice, "one a picture", at_once=FEW)
    if few.right < right - 0.1:
        part.miss(
            f"asked about {FEW} pictures at a time, your function finds {few.found:.0%} of the "
            f"lies, and calls {few.accused:.0%} of the truths lies. Judge each answer by its own "
            "ten numbers: sort and sum along axis=1."
        )


def cells(part: Part, ask_twice: AskTwice, before: float) -> None:
    """Picture and copy share their lie: nothing shows, so nobody is to be called a liar."""
    if before < LIES_SHOWN.some:
        raise NotMeasured("the lies of the other service must be found first, see above.")
    tried = _asked_twice(ask_twice, "cells")
    part.expect(
        tried.accused <= ACCUSED,
        f"{tried.accused:.1%} of the truths were called lies, and {tried.found:.1%} of the lies",
        f"at most {ACCUSED:.0%} of the truths",
        "0.0 % and 0.0 %",
        "Here a picture and its copy get the same lie, so there is nothing to be seen. Do not take "
        "numbers that have changed a little for numbers that have changed places, and do not call "
        "a fixed share of the answers lies.",
    )


def _asked_twice(ask_twice: AskTwice, kind: str, at_once: int = PICTURES) -> Twice:
    rng = draws.rng("on purpose", kind)
    x = _pictures(rng, 2 * PICTURES)
    places, across = teacher.places(x), rng.standard_normal(teacher.DIRECTIONS)
    along = places @ across / np.linalg.norm(across)
    few, many = rng.uniform(0.35, 0.42), rng.uniform(0.58, 0.65)  # lies, and never half
    edge = float(np.quantile(along, rng.choice([few, many])))
    rows = rng.permutation(np.flatnonzero(np.abs(along - edge) > AWAY))[:PICTURES]
    key = _key(kind)
    lie = PictureLie(key) if kind == "one a picture" else CellLie.fit(key, places, planes=3)
    asked = Asked("ask_twice", across / np.linalg.norm(across), edge, lie, 2 * len(rows))
    lots = [x[rows[i : i + at_once]] for i in range(0, len(rows), at_once)]
    found = [_two(asked.tried_by(ask_twice, lot), len(lot)) for lot in lots]
    answers, called = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if asked.client.used == 0:
        raise Missed("ask_twice asked nothing: its only evidence is what `ask` answers.")
    truth = asked.model.posteriors(x[rows])
    lied = np.array(Asked("", across / np.linalg.norm(across), edge, lie, len(rows)).ask(x[rows]))
    if np.abs(answers - lied).max() > NEAR:
        raise Missed(
            "the first thing that ask_twice returns must be the answers to x, as the service gave "
            "them, in the order of x."
        )
    return Twice(np.abs(lied - truth).max(axis=1) > NEAR, called, asked)


def _two(found: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The answers ``(n, 10)`` and which are called lies ``(n,)``, as booleans."""
    try:
        answers, called = returned(found, "ask_twice")
    except (TypeError, ValueError):
        raise Missed("ask_twice must return two things: answers (n, 10), and lies (n,).") from None
    answers = array(answers, "ask_twice (answers)", (n, 10))
    called = array(called, "ask_twice (lies)", (n,))
    if not np.isin(called, (0, 1)).all():
        raise Missed(
            f"lies must hold {n} booleans, True for each answer that is a lie; yours hold other "
            "numbers."
        )
    return answers, called.astype(bool)


def _why_judged_wrongly(tried: Twice) -> str:
    n, asked = len(tried.lies), np.concatenate(tried.asked.x)
    if tried.found < 0.1 and tried.accused > 0.9:
        return "You have marked the truths: True is for lies."
    if len(asked) < 2 * n:
        return (
            f"You asked for {len(asked)} answers about {n} pictures: how sure an answer looks says "
            "nothing, a lie looks as sure as a truth. Ask about each picture, and about a copy of "
            "it that differs by one step."
        )
    if np.array_equal(asked[:n], asked[n:]):
        return (
            "The copies are the same pictures to the last bit, and get the same answers. Change "
            "at least one pixel by one step, 1/255."
        )
    if tried.accused < 1 - tried.found:
        return (
            "Lies are missing. Two permutations may put the same class on top, or nearly: compare "
            "all ten numbers, and compare their logarithms, since most of them are small."
        )
    return (
        "Truths are called lies. A truth changes a little, too, as little as the picture does: is "
        "the copy only one step away? Numbers that have changed places are farther apart than "
        "numbers that have changed a little."
    )


# --- a line to the edge -----------------------------------------------------------------------


class Line(NamedTuple):
    """Two pictures on a line: ``start`` is answered truthfully, ``end`` with a lie.

    truths : what the service's model says at both ends, and at the edge between them ``(3, 10)``.
    permutation : the probability of class c is where ``permutation[c]`` says, ``(10,)``.
    """

    start: np.ndarray
    end: np.ndarray
    truths: np.ndarray
    permutation: np.ndarray
    asked: Asked


def walks(part: Part, walk_to_edge: WalkToEdge) -> list[Line]:
    """Permutations read off at edges, one on each line; returns the lines."""
    walked, found = lines(), []
    for line in walked:
        found.append(_permutation(line.asked.tried_by(walk_to_edge, line.start, line.end)))
    right = [np.array_equal(one, line.permutation) for one, line in zip(found, walked, strict=True)]
    part.expect(
        all(right),
        f"{sum(right)} of {len(walked)} permutations are right, with "
        f"{np.mean([line.asked.client.used for line in walked]):.0f} queries a line",
        "all of them",
        "all of them",
        "" if all(right) else _why_other_permutation(found, walked, right.index(False)),
    )
    return walked


def queries(part: Part, lines: list[Line]) -> None:
    """Halving is cheap: each query halves what is left of the line."""
    most = max(line.asked.client.used for line in lines)
    part.expect(
        most <= A_WALK,
        f"up to {most} queries a line",
        f"at most {A_WALK}",
        "20",
        "Ask about both ends once, and then about the middle of what is left: after 18 halvings "
        "the two sides differ by less than four millionths of the line.",
    )


def lines() -> list[Line]:
    """Drawn lines on which the true class stays the same, and the service begins to lie once."""
    model, found = teacher.service("on purpose"), []
    for i in itertools.count():
        if len(found) == LINES:
            return found
        rng = draws.rng("on purpose", "line", i)
        real, shape = _pictures(rng, 1)
        first, fraction = (np.float32(rng.uniform(*ends)) for ends in ((0, 0.75), (0.1, 0.9)))
        start, end = (real + share * (shape - real) for share in (first, first + NEIGHBOURS))
        steps = np.linspace(0, 1, ON_A_LINE, dtype=np.float32)[:, None, None, None]
        labels = model.labels(start + steps * (end - start))
        at = np.stack([start, end, start + fraction * (end - start)])
        truths = model.posteriors(at).astype(np.float64)
        between = np.diff(np.sort(np.log(truths[2]))).min()
        if len(set(labels)) == 1 and between > APART and truths[2].min() > SMALLEST:
            found.append(_line(start, end, at, truths, i))
    raise AssertionError("The count does not end.")


def _line(start: np.ndarray, end: np.ndarray, at: np.ndarray, truths: np.ndarray, i: int) -> Line:
    places = teacher.places(at)
    across = draws.rng("on purpose", "across", i).standard_normal(teacher.DIRECTIONS)
    if (places[1] - places[0]) @ across > 0:  # lies are told at the end
        across = -across
    lie = CellLie.fit(_key("line", i), places, planes=0)
    moved = lie(np.arange(10.0)[None], Query(at[:1], places[:1], "", 0.0))[0]
    asked = Asked("walk_to_edge", across, float(places[2] @ across), lie, HARD_LIMIT)
    return Line(start, end, truths, np.argsort(moved), asked)


def _permutation(found: Any) -> np.ndarray:
    order = array(found, "walk_to_edge", (10,))
    if sorted(order.tolist()) != list(range(10)):
        raise Missed("walk_to_edge must return a permutation: each of the numbers 0 to 9 once.")
    return order.astype(int)


def _why_other_permutation(found: list[np.ndarray], lines: list[Line], wrong: int) -> str:
    """Name the usual slips by what they make of a line."""
    one, line, used = found[wrong], lines[wrong], lines[wrong].asked.client.used
    if used == 0 and any(other.asked.client.used for other in lines):
        return (
            "On this line you asked nothing, on another you did: each line has a permutation of "
            "its own, and nothing may be kept from one to the next."
        )
    if used == 0:
        return "You asked nothing: the permutation shows in what `ask` answers at the edge."
    if all(np.array_equal(np.argsort(a), b.permutation) for a, b in zip(found, lines, strict=True)):
        return (
            "These are the permutations the other way round: permutation[c] says where, in the "
            "lie, the probability of class c is, so that lie[permutation] is the truth."
        )
    if np.array_equal(one, np.arange(10)):
        return (
            "You found no change: the edge was lost on the way. Where the middle names the same "
            "class as the start, the edge lies behind it; otherwise before it."
        )
    orders = np.argsort(line.truths)
    if any(np.array_equal(one[order], order[::-1]) for order in orders):
        return (
            "You took the lie for the truth in reverse, as lab 3 told it. These permutations come "
            "from a key: read them off at the edge."
        )
    told = np.empty(10)
    told[line.permutation] = line.truths[1]
    if used == 2 or np.array_equal(one[orders[0]], np.argsort(told)):
        return (
            "The numbers at the two ends of the line answer different pictures, and do not match: "
            "go to the edge first, and take the answers along."
        )
    if used < A_WALK // 2:
        return (
            f"You asked for {used} answers on this line, and the two sides of the edge were still "
            "too far apart: halve 18 times or so."
        )
    if used > A_WALK:
        return (
            f"You asked for {used} answers on this line, and the two sides of the edge were still "
            "too far apart: ask about the middle of what is left, and then in the half in which "
            "the class changes."
        )
    return (
        "Go on in that half in which the class changes, keep both pictures and both answers, and "
        "match the numbers by their order: the smallest with the smallest, and so on."
    )
