"""The thieves of the checks' panels: they learn from answers, all of a panel at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from trickster import attacks
from trickster.attacks import TrainingSet
from trickster.checks.cache import remember
from trickster.checks.fixtures import answered, fashion

Named = dict[str, np.ndarray]  # for each thief, what its clone calls the 5,000 test pictures


class Pool(NamedTuple):
    """Which pictures a thief sends, and the seed of the clones that learn from the answers."""

    kind: str
    n: int
    seed: int
    clone_seed: int


def lesson(x: np.ndarray, answers: np.ndarray, labels: str, seed: int) -> TrainingSet:
    """What a thief of the panels learns from ``answers``, whatever type of number they are."""
    return TrainingSet(x, answers.astype(np.float32), labels, seed=seed)


def learn(panels: Sequence[Mapping[str, TrainingSet]]) -> list[Named]:
    """Train the clones of all thieves of all panels together, and ask each what it learnt.

    One lesson under two names is learnt once; a thief whose lesson is empty has no clone.
    """
    lessons = {id(one): one for panel in panels for one in panel.values() if len(one.x)}
    clones = attacks.train_clones(list(lessons.values()))
    said = {key: clone.labels(fashion().x_test) for key, clone in zip(lessons, clones, strict=True)}
    return [
        {name: said[id(one)] for name, one in panel.items() if id(one) in said} for panel in panels
    ]


@cache
def undefended(pool: Pool, thieves: tuple[str, ...]) -> Named:
    """The same without a defence, for thieves called ``"soft"`` and ``"hard"``.

    Once in a process, and once for a whole class: see ``store``.
    """

    def make() -> Named:
        asked = answered(pool.kind, pool.n, pool.seed)
        panel = {how: lesson(asked.x, asked.posteriors, how, pool.clone_seed) for how in thieves}
        # A pool by itself: what is kept must not depend on what else was wanted that day.
        return learn([panel])[0]

    return remember("undefended", {"pool": list(pool), "thieves": list(thieves)}, make)
