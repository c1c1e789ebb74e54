"""Which detector is best? The same recipes on the course's own ground and on demo A's.

    python -m benchmarks.detectors --root FOLDER    # FOLDER holds CIFAR-10; six minutes
    python -m benchmarks.detectors                  # ... or TRICKSTER_DATA names it

On demo A's ground the victim is the notebook's (``demo_a_protocol``), and the thief sends grey
clothes in three equal channels. Each detector learns from training pictures of its ground, and
from outliers made of them, and never sees a thief's picture.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks import demo_a_protocol
from benchmarks.formatting import markdown_table, plural
from benchmarks.store import Job, Measurement, Results
from trickster import data, evaluation, models, ood, pools
from trickster.checks.hidden_pool import glyphs
from trickster.scenario import Scenario

PART = "detectors"
FLAGGED = 0.02  # of held-out honest pictures
BANK, SENT = 12_000, 3_000  # training pictures that detectors learn from; a thief's queries
OURS, THEIRS = "fashion", "demo A"
SENT_TO = {OURS: ("shapes", "letters"), THEIRS: ("grey clothes",)}
SCORES = (
    "nearest neighbour, last features",
    "Mahalanobis, channels of both convolutions",
    "Gram matrix, first convolution",
    "outlier exposure, all layers",
    "outlier exposure and nearest neighbour, by ranks",
    "all four, by ranks",
)
MOST = "Mahalanobis and two exposures to mixed outliers, by ranks"  # demo_a's
MIXED = ("exposed to mixed outliers, all layers", "exposed to mixed outliers, products of channels")
Rows = Mapping[str, np.ndarray]


@cache
def victim(ground: str) -> models.Classifier:
    """The course's victim; or the notebook's."""
    return Scenario("fashion").victim if ground == OURS else demo_a_protocol.victim()


def dataset(ground: str) -> data.Dataset:
    return Scenario("fashion").data if ground == OURS else demo_a_protocol.cifar()


def queries(name: str, seed: int) -> np.ndarray:
    """What a thief sends."""
    if name == "grey clothes":
        return demo_a_protocol.queries()[:SENT]
    return glyphs(SENT, seed=seed) if name == "letters" else pools.make(name, SENT, seed=seed)


@cache
def seen(ground: str, what: str, seed: int) -> Rows:
    """:func:`look` at training pictures, outliers, honest pictures or a thief's, by their name."""
    found = dataset(ground)
    x = {
        "training": lambda: found.x_train[:BANK],
        "outliers": lambda: _outliers(found, seed),
        "mixed outliers": lambda: mixed_outliers(found.x_train[:BANK], BANK, seed=seed),
        "honest": lambda: found.x_test,
    }.get(what, lambda: queries(what, seed))()
    return look(ground, x)


def look(ground: str, x: np.ndarray) -> Rows:
    """All that scores need of what the victim makes of pictures, by its name."""
    layers, products = victim(ground).statistics(x), victim(ground).channel_products(x)
    channels = np.hstack([layers["conv1"], layers["conv2"]])
    return {
        **layers,
        "channels": channels,
        "all": np.hstack(list(layers.values())),
        # The root, because products are squares; behind a ReLU none is negative.
        "channels and products": np.hstack([channels, *map(np.sqrt, products.values())]),
        **{f"products of {k}": v for k, v in products.items()},
    }


def _outliers(found: data.Dataset, seed: int) -> np.ndarray:
    made = {"noise": BANK // 6, "patches": BANK // 6, "digits": BANK // 8}
    others = [
        pools.make(name, n, seed=100 + seed, shape=found.input_shape) for name, n in made.items()
    ]
    return np.concatenate([pools.outliers(found.x_train[:BANK], BANK, seed=seed), *others])


def mixed_outliers(honest: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Colour pictures ``(n, 3, h, w)`` that are weird in part: of use against who adapts queries.

    Three fifths of what is weird is random shapes in colour and in grey, crops of photographs,
    noise and digits; the rest is made from honest pictures. Into four fifths of it something else
    is mixed, between a tenth and seven tenths of the whole: an honest picture, or smooth colours.
    Every second picture is saved as a JPEG, for copies of CIFAR-10 may be, and a detector that
    tells pictures by that fails against a thief who does the same.
    """
    rng = np.random.default_rng([seed, 17])
    shape, fifth = honest.shape[1:], n // 5
    grey = (1, *shape[1:])
    digits = min(n // 20, 1_797)
    made = [
        pools.make("shapes", fifth, seed=seed, shape=shape),
        np.repeat(pools.make("shapes", fifth, seed=seed + 1, shape=grey), 3, axis=1),
        pools.make("patches", fifth // 2, seed=seed, shape=shape),
        pools.make("noise", fifth // 4, seed=seed, shape=shape),
        pools.make("digits", digits, seed=seed, shape=shape),
    ]
    kinds = [kind for kind in pools.outlier_kinds(shape) if kind != "turned"]
    made.append(pools.outliers(honest, n - sum(map(len, made)), seed=seed, kinds=kinds))
    weird = np.concatenate(made)[rng.permutation(n)]
    real = rng.random((n, 1, 1, 1)) < 0.6
    added = np.where(real, honest[rng.integers(len(honest), size=n)], colours(n, seed))
    share = np.where(rng.random(n) < 0.8, rng.uniform(0.1, 0.7, n), 0).astype("f")
    out = weird + share[:, None, None, None] * (added - weird)
    out[::2] = saved_as_jpeg(out[::2])
    return out


def colours(n: int, seed: int) -> np.ndarray:
    """Smooth fields of colour ``(n, 3, 32, 32)``: random ones at 2 by 2 to 4 by 4 places."""
    rng = np.random.default_rng([seed, 18])
    sides = rng.integers(2, 5, size=n)
    out = np.empty((n, *demo_a_protocol.SHAPE), "f")
    for side in (2, 3, 4):
        rows = np.flatnonzero(sides == side)
        out[rows] = demo_a_protocol.smooth(rng.random((len(rows), 3, side, side), "f"))
    return out


def saved_as_jpeg(x: np.ndarray, quality: int = 75) -> np.ndarray:
    """Colour pictures ``(n, 3, h, w)`` as they come back from a JPEG file."""
    out = np.empty_like(x)
    for i, picture in enumerate(np.round(255 * x.clip(0, 1)).astype(np.uint8)):
        file = BytesIO()
        Image.fromarray(picture.transpose(1, 2, 0)).save(file, "JPEG", quality=quality)
        out[i] = np.asarray(Image.open(file)).transpose(2, 0, 1) / np.float32(255)
    return out


class Perceptron(MLPClassifier):
    """scikit-learn's, with the ``decision_function`` that ``ood.OutlierExposure`` asks for."""

    FARTHEST = 8  # standard deviations: no single input decides alone

    def fit(self, x, y):
        return super().fit(np.clip(x, -self.FARTHEST, self.FARTHEST).astype("f"), y)

    def decision_function(self, x):
        clipped = np.clip(x, -self.FARTHEST, self.FARTHEST).astype("f")
        outlier, honest = np.log(self.predict_proba(clipped).astype("d") + 1e-12).T
        return honest - outlier


@cache
def scoring(ground: str, name: str, seed: int) -> Callable[[Rows], np.ndarray]:
    """One of ``SCORES``, or ``MOST``, fitted on the ground's training pictures."""
    bank = seen(ground, "training", 0)
    if name.endswith("by ranks"):
        parts = _parts(ground, name, seed)
        honest = _half(seen(ground, "honest", 0), 0)
        ranks = ood.Ranks.fit(np.stack([part(honest) for part in parts], axis=1))
        return lambda rows: ranks(np.stack([part(rows) for part in parts], axis=1))
    if name.startswith("nearest"):
        return lambda rows: ood.score_knn(rows["features"], bank["features"], 1)
    if name.startswith("Mahalanobis"):
        fitted = ood.Mahalanobis.fit(bank["channels"], dataset(ground).y_train[:BANK])
        return lambda rows: fitted(rows["channels"])
    if name.startswith("Gram"):
        products = f"products of conv{1 if 'first' in name else 2}"
        gram = ood.GramDeviation.fit(bank[products])
        return lambda rows: gram(rows[products])
    if name == MIXED[1]:
        return _products_exposed(ground, seed)
    outliers = seen(ground, "mixed outliers" if name == MIXED[0] else "outliers", seed)
    exposed = ood.OutlierExposure.fit(bank["all"], outliers["all"], seed=seed)
    return lambda rows: exposed(rows["all"])


def _products_exposed(ground: str, seed: int) -> Callable[[Rows], np.ndarray]:
    """A small network on products of channels, where trees are slow and know less."""
    what = "channels and products"
    honest, outliers = seen(ground, "training", 0), seen(ground, "mixed outliers", seed)
    network = Perceptron((128,), alpha=1e-2, batch_size=128, learning_rate_init=5e-4, max_iter=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # six epochs are meant
        fitted = ood.OutlierExposure.fit(
            honest[what], outliers[what], network.set_params(random_state=seed)
        )
    return lambda rows: fitted(rows[what])


def _parts(ground: str, name: str, seed: int) -> list[Callable[[Rows], np.ndarray]]:
    """The scores that a name which ends so puts together."""
    if name == SCORES[4]:
        return [scoring(ground, one, seed) for one in (SCORES[3], SCORES[0])]
    if name == MOST:
        return [scoring(ground, one, seed) for one in (SCORES[1], *MIXED)]
    return [scoring(ground, one, seed) for one in SCORES[:4]]


def _half(rows: Rows, number: int) -> Rows:
    """The first half of held-out pictures chooses ranks and thresholds, the second measures."""
    half = len(rows["features"]) // 2
    part = slice(half) if number == 0 else slice(half, None)
    return {name: values[part] for name, values in rows.items()}


@cache
def detector(
    ground: str, name: str, seed: int, flagged: float = FLAGGED
) -> tuple[Callable[[Rows], np.ndarray], float]:
    """One of ``SCORES``, or ``MOST``, and the score below which a picture is weird."""
    score = scoring(ground, name, seed)
    return score, ood.choose_threshold(score(_half(seen(ground, "honest", 0), 0)), flagged)


def run(job: Job) -> Measurement:
    """One score on one ground with one seed: shares flagged, and AUROC; or ("victim", ...)."""
    name, ground, seed = job
    if name == "victim":
        found = dataset(ground)
        labels = victim(ground).labels(found.x_test)
        return {"accuracy": evaluation.accuracy(labels, found.y_test)}
    score, line = detector(ground, name, seed)
    honest = score(_half(seen(ground, "honest", 0), 1))
    weird = {sent: score(seen(ground, sent, seed)) for sent in SENT_TO[ground]}
    return {
        "flagged": {
            "honest": float(np.mean(honest < line)),
            **{sent: float(np.mean(scores < line)) for sent, scores in weird.items()},
        },
        "auroc": {sent: ood.auroc(honest, scores) for sent, scores in weird.items()},
    }


HEAD = ("flagged at a price of 2 %", "shapes", "letters", "demo A's grey clothes")


def table(results: Results) -> str:
    """For each score the share of each thief's queries that it flags, as Markdown; lab 5 has it."""
    rows = []
    for name in SCORES:
        shares = [
            np.mean([one["flagged"][sent] for job, one in results if job[:2] == (name, ground)])
            for ground, all_sent in SENT_TO.items()
            for sent in all_sent
        ]
        rows.append((name, *(f"{100 * share:.0f} %" for share in shares)))
    return markdown_table(HEAD, rows)


def section(results: Results) -> str:
    """What RESULTS.md says."""
    seeds = len({job[2] for job, _ in results})
    accuracy = [one["accuracy"] for job, one in results if job[:2] == ("victim", THEIRS)]
    honest = [one["flagged"]["honest"] for _, one in results if "flagged" in one]
    return (
        "Share of a thief's queries flagged, at the score below which 2 % of held-out honest "
        f"pictures lie; of other honest pictures {min(honest):.1%} to {max(honest):.1%} are "
        "flagged. Shapes and letters are sent to the course's victim, grey clothes to demo A's "
        f"(CIFAR-10, ten epochs, accuracy {np.mean(accuracy):.3f}). Outliers are made from "
        f"{BANK:,} training pictures of the same ground, with noise, patches and digits beside "
        "them: no shapes, no letters, no clothes that a thief sends. "
        f"One victim for each ground, and {plural(seeds, 'seed')}: the figures are magnitudes.\n\n"
        + table(results)
    )


def jobs(seeds: int = 1) -> list[Job]:
    """Each score on each ground."""
    names = ("victim", *SCORES)
    return [(name, g, seed) for seed in range(seeds) for g in SENT_TO for name in names]


if __name__ == "__main__":
    sys.exit(demo_a_protocol.measure_on_cifar(sys.modules[__name__], "Detectors are"))
