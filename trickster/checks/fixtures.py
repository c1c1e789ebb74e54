"""The data and the victim that every check measures with, and the pools it asks about.

Computed once in a process; pools also once for a whole class, see ``cache``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from trickster import data, models
from trickster.checks import draws
from trickster.checks.cache import Arrays, remember
from trickster.checks.hidden_pool import glyphs
from trickster.scenario import Scenario

NOTHING = 0.05  # a defence that changes the answers to fewer weird inputs defends nothing
# The labs tune on the first half of the test pictures, the checks measure on the rest.
HELD_OUT = slice(2_500, None)


N_HONEST = 4_000  # at most: where a student works, there are 2,500
BRIGHTER, NOISE = 0.1, 0.02  # how much a picture changes on its way to the service


class Labelled(NamedTuple):
    """Pictures ``(n, 1, 28, 28)`` and their classes ``(n,)``."""

    x: np.ndarray
    y: np.ndarray


def fashion() -> data.Dataset:
    """The default scenario's pictures, read-only."""
    return data.load("fashion")


@cache
def victim() -> models.Classifier:
    """The shipped victim."""
    return Scenario("fashion").victim


@cache
def victim_labels() -> np.ndarray:
    """What the victim calls each of the 5,000 test pictures."""
    return _tested().posteriors.argmax(axis=1)


def as_sent(x: np.ndarray, *labels: str | int) -> np.ndarray:
    """Pictures ``(n, c, h, w)`` as a service receives them: brighter or darker, noisy, in 8 bits.

    So no picture of a check equals a public one bit for bit, and neither unrounded values nor the
    lack of noise tell a thief's from a customer's. It costs honest users nothing. ``labels`` name
    the draw.
    """
    rng = draws.rng("as sent", *labels)
    brighter = rng.uniform(1 - BRIGHTER, 1 + BRIGHTER, (len(x), 1, 1, 1)).astype(np.float32)
    noisy = x * brighter + NOISE * rng.standard_normal(x.shape, np.float32)
    return (np.round(np.clip(noisy, 0, 1) * 255) / 255).astype(np.float32)


@draws.cached
def honest_pictures() -> Labelled:
    """Pictures as honest users send them, drawn from those that no lab has tuned on.

    In grading, 4,000 of a reserve that students were not given; else the held-out test pictures.
    """
    x, y = draws.held_back().pictures, draws.held_back().labels
    if x is None or y is None:
        x, y = fashion().x_test[HELD_OUT], fashion().y_test[HELD_OUT]
    chosen = draws.rng("honest pictures").permutation(len(x))[:N_HONEST]
    return Labelled(as_sent(x[chosen], "honest"), y[chosen])


@dataclass(frozen=True)
class Answered:
    """Pictures, and the victim's features and posteriors for them."""

    x: np.ndarray
    features: np.ndarray
    posteriors: np.ndarray

    def rows(self, index: Any) -> Answered:
        """Some of them, in the order of ``index``."""
        return Answered(self.x[index], self.features[index], self.posteriors[index])


def joined(*some: Answered) -> Answered:
    """All of them, one after another."""
    return Answered(
        *(np.concatenate([getattr(one, field.name) for one in some]) for field in fields(Answered))
    )


def differs(answers: np.ndarray, posteriors: np.ndarray) -> np.ndarray:
    """Which answers ``(..., n)`` are others than the victim's, by more than rounding."""
    return 0.5 * np.abs(answers - posteriors).sum(axis=-1) > 0.02


@draws.cached
def answered(kind: str, n: int, name: str) -> Answered:
    """A thief's query pool as it is sent, with the victim's answers; ``name`` is part of the draw.

    ``kind`` is one of the scenario's pools or ``"hidden"``: what no lab shows.
    """

    def make() -> Arrays:
        return _answers_to(_pool(kind, n, name))

    inputs = {"kind": kind, "n": n, "name": name, "key": draws.key()}
    return Answered(**remember("pool", inputs, make))


@draws.cached
def answered_at_a_desk(kind: str, n: int, name: str, some: int) -> Answered:
    """The first ``some`` pictures of the pool that a student's own run of a check sends."""

    def make() -> Arrays:
        with draws.as_at_a_desk():
            x = _pool(kind, n, name)
        return _answers_to(x[:some])

    return Answered(**remember("desk", {"kind": kind, "n": n, "name": name, "some": some}, make))


def _pool(kind: str, n: int, name: str) -> np.ndarray:
    seed = draws.seed("pool", kind, name)
    if kind == "hidden":
        x = draws.held_back().pools.get("hidden", glyphs)(n, seed=seed)
    else:
        x = Scenario("fashion").pool(kind, n, seed=seed)
    return as_sent(x, "pool", kind, name)


@draws.cached
def honest_users() -> Answered:
    """``honest_pictures()`` with the victim's answers."""

    def make() -> Arrays:
        return _answers_to(honest_pictures().x)

    return Answered(**remember("honest", {"key": draws.key()}, make))


def _answers_to(x: np.ndarray) -> Arrays:
    features, posteriors = victim().features_and_posteriors(x)
    return {"x": x, "features": features, "posteriors": posteriors}


@cache
def held_out() -> Answered:
    """The test pictures that no lab tunes on."""
    return _tested().rows(HELD_OUT)


@cache
def owners() -> Answered:
    """The other test pictures: what the owner of the service tunes a threshold with."""
    return _tested().rows(slice(None, HELD_OUT.start))


@cache
def bank() -> np.ndarray:
    """The victim's features of its training pictures."""

    def make() -> Arrays:
        return {"features": victim().features(fashion().x_train)}

    return remember("bank", {}, make)["features"]


@cache
def _tested() -> Answered:
    def make() -> Arrays:
        features, posteriors = victim().features_and_posteriors(fashion().x_test)
        return {"features": features, "posteriors": posteriors}

    return Answered(fashion().x_test, **remember("test", {}, make))
