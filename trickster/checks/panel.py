"""The thieves that labs 3 and 4 send against a student's defence, and the clones they train.

A thief holds an :class:`Account` of the defended service, alone or behind ``attacks.Averaging``
or ``attacks.Sybil``. What its clone trains on is collected first, so that the clones of a whole
panel train together. How well they did is for each lab to measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from trickster import attacks
from trickster.api import Defense, Query, RateLimited
from trickster.attacks import Averaging, Queryable, Sybil, TrainingSet
from trickster.checks.cache import remember
from trickster.checks.fixtures import Answered, answered, fashion

DAY = 86_400  # seconds
REQUESTS_A_DAY = 5  # as many as an honest customer sends
REPEATS = 3  # how often the averaging thief asks; so its budget is enough for a third of the pool

Report = Callable[[str], None]  # shows what a slow check is doing
Predictions = dict[str, np.ndarray]  # for each thief, its clone's labels of the 5,000 test pictures


class Pool(NamedTuple):
    """Which pictures a thief sends, and the seed of the clones that train on the answers."""

    kind: str
    n: int
    seed: int
    clone_seed: int

    def answered(self) -> Answered:
        """The pictures, with what the victim answers where nothing defends it."""
        return answered(self.kind, self.n, self.seed)


def ask(defense: Defense, asked: Answered, key: str = "anyone", now: float = 0.0) -> np.ndarray:
    """What ``key`` gets to see behind ``defense``, which may write into its copies."""
    query = Query(asked.x.copy(), asked.features.copy(), key, now)
    return defense(asked.posteriors.copy(), query)


class Account:
    """One key of a defended service, with a clock: the requests of a day come a minute apart.

    ``pictures`` are those that it may ask about: the victim has answered them before.
    """

    def __init__(self, defense: Defense, pictures: Answered, key: str, day: int = 0):
        self.defense, self.pictures, self.key, self.day = defense, pictures, key, day
        self._requests = 0

    def query(self, x: np.ndarray) -> np.ndarray:
        """Answers ``(n, k)`` to one request ``(n, c, h, w)``; a refusal is raised."""
        days, minutes = divmod(self._requests, REQUESTS_A_DAY)
        self._requests += 1
        # Five minutes later each day: nobody asks before 24 hours are over.
        now = (self.day + days) * (DAY + 300) + 60.0 * minutes
        return ask(self.defense, self.pictures.find(x), self.key, now)


class InRequests:
    """A client that cuts what it is asked about into requests of ``size`` pictures."""

    def __init__(self, client: Queryable, size: int):
        self.client, self.size = client, size

    def query(self, x: np.ndarray) -> np.ndarray:
        """Answers ``(n, k)``; rows of NaN where a request was refused, which ends nothing."""
        requests = [x[i : i + self.size] for i in range(0, len(x), self.size)]
        return np.concatenate([self._answers(request) for request in requests])

    def _answers(self, request: np.ndarray) -> np.ndarray:
        try:
            return self.client.query(request)
        except RateLimited:
            return np.full((len(request), fashion().n_classes), np.nan)


def training_sets(
    defense: Defense, pool: Pool, *, request: int, repeats: int = REPEATS, accounts: int = 1
) -> dict[str, TrainingSet]:
    """What each thief's clone trains on, after they have asked about ``pool``.

    Parameters
    ----------
    defense : stands between the victim and the thieves; one that counts sees them all.
    request : pictures in a request.
    repeats : how often the averaging thief asks; there is none if 1.
    accounts : of the Sybil thief; there is none if 1.
    """
    asked = pool.answered()

    def client(*keys: str, day: int) -> InRequests:
        opened = [Account(defense, asked, key, day) for key in keys]
        return InRequests(Sybil(opened) if len(opened) > 1 else opened[0], request)

    answers = client("patient", day=0).query(asked.x)
    sets = {how: training_set(asked.x, answers, how, pool.clone_seed) for how in ("soft", "hard")}
    if repeats > 1:
        some = asked.x[: len(asked.x) // REPEATS]
        means = Averaging(client("averager", day=20), repeats).query(some)
        sets["averaging"] = training_set(some, means, "soft", pool.clone_seed)
    if accounts > 1:
        many = client(*(f"Sybil {i}" for i in range(accounts)), day=60).query(asked.x)
        # Many accounts with the answers of one train the very same clone.
        same = np.allclose(answers, many, atol=1e-6, equal_nan=True)
        alone = sets["soft"]
        sets["Sybil"] = alone if same else training_set(asked.x, many, "soft", pool.clone_seed)
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


@cache
def undefended(pool: Pool, thieves: tuple[str, ...]) -> Predictions:
    """The same without a defence, for thieves called ``"soft"`` and ``"hard"``.

    Once in a process, and once for a whole class: see ``cache``.
    """

    def make() -> Predictions:
        x, answers = pool.answered().x, pool.answered().posteriors
        panel = {how: training_set(x, answers, how, pool.clone_seed) for how in thieves}
        # A pool by itself: what is kept must not depend on what else was wanted that day.
        return train([panel])[0]

    return remember("undefended", {"pool": list(pool), "thieves": list(thieves)}, make)
