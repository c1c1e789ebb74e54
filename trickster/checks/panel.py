"""The thieves that labs 3 and 4 send against a student's defence, and the clones they train.

What they ask, among everybody else, lives in ``traffic``. Here is what each of them makes of the
answers: what its clone trains on is collected first, so that the clones of a whole panel train
together. How well they did is for each lab to measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from trickster import attacks
from trickster.attacks import TrainingSet
from trickster.checks import draws
from trickster.checks.cache import remember
from trickster.checks.fixtures import Answered, answered, fashion

Report = Callable[[str], None]  # shows what a slow check is doing
Sets = dict[str, TrainingSet]  # what each thief's clone trains on
Predictions = dict[str, np.ndarray]  # for each thief, its clone's labels of the 5,000 test pictures


class Pool(NamedTuple):
    """Which pictures a thief owns: ``n`` of a kind; ``name`` is part of the draw."""

    kind: str
    n: int
    name: str

    @property
    def group(self) -> str:
        """Its name in a ``traffic.Crowd``."""
        return f"{self.kind} {self.name}"

    @property
    def clone_seed(self) -> int:
        """The seed of the clones that train on the answers."""
        return draws.seed("clone", *self)

    def answered(self) -> Answered:
        """The pictures as they are sent, with what the victim answers where nothing defends it."""
        return answered(*self)


def training_sets(pool: Pool, answers: np.ndarray, means: np.ndarray | None = None) -> Sets:
    """What the thieves who own a pool learn from: soft and hard labels, and means of three.

    ``answers (n, k)`` are to the pool's pictures, and so are the ``means (n, k)`` of repeated
    answers, which are there for a third of them. Rows of NaN were refused, or not asked for.
    """
    x, seed = pool.answered().x, pool.clone_seed
    sets = {how: training_set(x, answers, how, seed) for how in ("soft", "hard")}
    if means is not None:
        sets["averaging"] = training_set(x, means, "soft", seed)
    return sets


def training_set(x: np.ndarray, answers: np.ndarray, labels: str, seed: int) -> TrainingSet:
    """The pictures that were answered, with their answers; what was refused is lost."""
    given = ~np.isnan(answers).any(axis=1)
    return TrainingSet(x[given], answers[given].astype(np.float32), labels, seed=seed)


def train(
    panels: Sequence[Mapping[str, TrainingSet]], report: Report | None = None
) -> list[Predictions]:
    """Train the clones of all thieves of all panels together, and let each label the test pictures.

    One training set under two names is trained on once; a thief whose set is empty has no clone.
    ``report`` hears how far it is.
    """
    sets = {id(one): one for panel in panels for one in panel.values() if len(one.x)}

    def trained(ready: int) -> None:
        if report is not None:
            report(f"{ready} of {len(sets)} clones trained")

    clones = attacks.train_clones(list(sets.values()), trained=trained)
    labels = {key: clone.labels(fashion().x_test) for key, clone in zip(sets, clones, strict=True)}
    return [
        {thief: labels[id(one)] for thief, one in panel.items() if id(one) in labels}
        for panel in panels
    ]


@draws.cached
def undefended(pool: Pool, thieves: tuple[str, ...]) -> Predictions:
    """The same without a defence, for thieves called ``"soft"`` and ``"hard"``.

    Once in a process, and once for a whole class: see ``cache``.
    """

    def make() -> Predictions:
        sets = training_sets(pool, pool.answered().posteriors)
        # A pool by itself: what is kept must not depend on what else was wanted that day.
        return train([{how: sets[how] for how in thieves}])[0]

    inputs = {"pool": list(pool), "thieves": list(thieves), "key": draws.key()}
    return remember("undefended", inputs, make)
