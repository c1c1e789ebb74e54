"""The defences that the tables of thieves compare, in the default scenario, and their terms.

``thieves_by_defense`` measures them against thieves who do not know them, ``knowing_thieves``
against those who do. Thresholds are chosen on one half of the test pictures, honest users are
measured on the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from benchmarks import calibrate_knowing as lab5
from trickster import defenses, evaluation, models, ood, training
from trickster.api import Query
from trickster.scenario import Scenario

BUDGET = 3_000  # answers, the most that a thief can use
FLAGGED = 0.02  # of the honest inputs that chose the threshold
SIGMA = 2.0
PER_DAY = {"rate limit": 300, "layered": 1_000}  # answers for an account; else no limit
ACCOUNTS, REAL = 10, 100
DEFENSES = {
    "none": "",
    "rounding": "to one decimal",
    "top 3": "the three largest, normalised",
    "hard labels": "one-hot",
    "noise": f"zero-mean noise of deviation {SIGMA:g} on the logits of weird inputs",
    "reverse sigmoid": "beta 1, gamma .1, for everybody",
    "adaptive misinformation": "mixes in a model trained to be wrong where the victim is unsure; "
    "the victim is not retrained with outliers, as its paper does",
    "Trickster": "lab 3's, probabilities in reverse for weird inputs",
    "rate limit": f"{PER_DAY['rate limit']} answers a day for each account",
    "layered": "lab 4's, Trickster, then labels only, "
    f"{PER_DAY['layered']:,} a day for each account",
    "keyed lies": "lab 5's, a detector that has learnt from outliers made of honest pictures, "
    "and lies that follow from a secret key, in eight cells",
}
FINER = "keyed lies, 512 cells"
KEYED = {"keyed lies": 3, FINER: 9}  # planes, which cut 2 to the power of so many cells

scenario = Scenario("fashion")
Output = Callable[[np.ndarray, Query], np.ndarray]


class Told(NamedTuple):
    """Answers ``(n, k)``, and which of them are lies ``(n,)``."""

    answers: np.ndarray
    lies: np.ndarray


@cache
def halves() -> tuple[slice, slice]:
    """Of the test pictures: those that choose thresholds, and those that measure."""
    half = len(scenario.data.x_test) // 2
    return slice(None, half), slice(half, None)


def owned(seed: int) -> np.ndarray:
    """Which test pictures a thief with real ones owns: held-out ones, as any customer's would be.

    They are of the half that chooses thresholds; no clone is measured on its own.
    """
    return np.random.default_rng(seed).choice(halves()[0].stop, REAL, replace=False)


@cache
def trickster() -> defenses.Trickster:
    bank = scenario.victim.features(scenario.data.x_train)
    honest = scenario.victim.features(scenario.data.x_test[halves()[0]])
    return defenses.Trickster.from_features(bank, honest, max_fpr=FLAGGED)


@cache
def msp_threshold() -> float:
    posteriors = scenario.victim.posteriors(scenario.data.x_test[halves()[0]])
    return ood.choose_threshold(ood.score_msp(posteriors), FLAGGED)


@cache
def liar() -> models.Classifier:
    """Adaptive Misinformation's second model, which has learnt to be wrong."""
    network = models.cnn(seed=1)
    x, y = scenario.data.x_train, scenario.data.y_train.copy()
    training.fit(network, x, y, epochs=5, lr=1e-3, seed=1, loss_of=training.reverse_cross_entropy)
    return models.Classifier(network)


def outputs(name: str, seed: int) -> list[Output]:
    """What a defence does to an answer."""
    rng = np.random.default_rng(10_000 + seed)

    def noise(p: np.ndarray, query: Query) -> np.ndarray:
        weird = trickster().weird(p, query)[:, None]
        return np.where(weird, defenses.zero_mean_noise(p, SIGMA, rng), p)

    def lies(p: np.ndarray, query: Query) -> np.ndarray:
        wrong = liar().posteriors(query.x)
        return defenses.adaptive_misinformation(p, wrong, tau=msp_threshold())

    def labels(p: np.ndarray, query: Query) -> np.ndarray:
        return defenses.hard_labels(p)

    return {
        "rounding": [lambda p, query: defenses.round_posteriors(p, 1)],
        "top 3": [lambda p, query: defenses.top_k(p, 3)],
        "hard labels": [labels],
        "noise": [noise],
        "reverse sigmoid": [lambda p, query: defenses.reverse_sigmoid(p)],
        "adaptive misinformation": [lies],
        "Trickster": [trickster()],
        "layered": [trickster(), labels],
    }.get(name, [])


def tell(name: str, x: np.ndarray, seed: int) -> Told:
    """What a service with this defence answers to pictures, and which answers are lies.

    A defence that treats all answers alike tells none.
    """
    if name in KEYED:
        return _keyed_lies(x, seed, KEYED[name])
    features, posteriors = scenario.victim.features_and_posteriors(x)
    query, lies = Query(x, features, "", 0.0), np.zeros(len(x), dtype=bool)
    if name in ("noise", "Trickster", "layered"):
        lies = trickster().weird(posteriors, query)
    elif name == "adaptive misinformation":  # there the wrong model has more than half a say
        lies = ood.score_msp(posteriors) < msp_threshold()
    answers = posteriors
    for output in outputs(name, seed):
        answers = output(answers, query)
    return Told(answers, lies)


def honest_users(answers: np.ndarray) -> dict[str, list[float]]:
    """Their accuracy, and what the defence takes of it, from answers to the measuring half.

    Each with a 95 % bootstrap interval over the pictures; what is lost is paired, picture by
    picture.
    """
    x, y = scenario.data.x_test[halves()[1]], scenario.data.y_test[halves()[1]]
    right = answers.argmax(axis=1) == y
    undefended = scenario.victim.labels(x) == y
    served, lost = (
        evaluation.bootstrap_interval(each, resamples=2_000)
        for each in (right, undefended.astype(float) - right)
    )
    return {"utility": list(served[:3]), "lost": list(lost[:3])}


def _keyed_lies(x: np.ndarray, seed: int, planes: int) -> Told:
    """Lab 5's reference, with a key for each seed."""
    layers, posteriors = scenario.victim.statistics_and_posteriors(x)
    statistics = np.hstack(list(layers.values()))
    key = np.random.default_rng([5, seed]).bytes(32).hex()
    lies = lab5.combined()(statistics) < lab5.threshold(lab5.combined, FLAGGED)
    answers = posteriors.copy()
    answers[lies] = lab5.cells(planes)(posteriors[lies], statistics[lies, lab5.FEATURES], key)
    return Told(answers, lies)
