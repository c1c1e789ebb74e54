"""How weird is an input? Scores for "in-distribution", their AUROC, and the threshold.

A score is one float for each input, *higher for normal*. Each looks at one input at a
time: what else is in the batch must never matter. What is done with weird inputs lives
in ``defenses``.

Some scores are plain functions. Those that must first learn what is normal are classes: ``fit``
makes one from training pictures, and calling it scores inputs. :class:`ByLayer` and
:class:`Ranks` put several together. No score here needs a thief's pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata


def score_msp(posteriors: np.ndarray) -> np.ndarray:
    """The largest probability of each row of ``posteriors (n, k)``; shape ``(n,)``.

    (Hendrycks and Gimpel, "A Baseline for Detecting Misclassified and
    Out-of-Distribution Examples in Neural Networks", 2017.)
    """
    return np.max(posteriors, axis=1)


def score_energy(logits: np.ndarray) -> np.ndarray:
    """The negative free energy ``log sum exp`` of each row of ``logits (n, k)``; shape ``(n,)``.

    (Liu et al., "Energy-based Out-of-distribution Detection", 2020.)
    """
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))


def score_knn(
    features: np.ndarray, bank: np.ndarray, k: int = 10, *, batch_size: int = 1024
) -> np.ndarray:
    """Cosine similarity to the ``k``-th most similar row of ``bank``; shape ``(n,)``, in [-1, 1].

    ``features (n, d)`` are those of the inputs, ``bank (m, d)`` those of training
    pictures, ``m >= k``. (Sun et al., "Out-of-Distribution Detection with Deep Nearest
    Neighbors", 2022.)
    """
    if not 1 <= k <= len(bank):
        raise ValueError(f"k must lie between 1 and the bank's {len(bank)} rows; it is {k}.")
    bank = unit_rows(bank).T
    scores = [np.empty(0, np.float32)]
    for start in range(0, len(features), batch_size):
        similar = unit_rows(features[start : start + batch_size]) @ bank
        # A copy of the column: a view would keep the whole matrix.
        kth = np.partition(similar, -k, axis=1)[:, -k].copy() if k > 1 else similar.max(axis=1)
        scores.append(kth)
    return np.concatenate(scores)


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows of ``x (n, d)`` divided by their length; rows of zeros stay zero."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Mahalanobis:
    """Minus the squared Mahalanobis distance to the nearest class; shape ``(n,)``, at most 0.

    Distances are measured in deviations *within* a class, along and across correlations: features
    that hardly vary among training pictures count most. Called with rows ``(n, d)`` of what it
    was fitted to. (Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution
    Samples and Adversarial Attacks", 2018.)
    """

    means: np.ndarray  # (classes, d)
    whitening: np.ndarray  # (d, d): behind it, the covariance within a class is the identity

    @classmethod
    def fit(
        cls, bank: np.ndarray, labels: np.ndarray | None = None, *, ridge: float = 1e-6
    ) -> Mahalanobis:
        """From training pictures' rows ``bank (m, d)`` and their classes ``labels (m,)``.

        Without labels all are one class. ``ridge`` is the share of each column's variance that is
        added to it, so that columns that depend on one another do no harm.
        """
        bank = np.asarray(bank, dtype=np.float64)
        labels = np.zeros(len(bank), int) if labels is None else np.asarray(labels)
        if len(bank) == 0 or len(bank) != len(labels):
            raise ValueError(f"{len(bank)} rows and {len(labels)} labels: one label a row.")
        classes, place = np.unique(labels, return_inverse=True)
        means = np.stack([bank[labels == c].mean(axis=0) for c in classes])
        within = bank - means[place]
        scale = np.maximum(within.std(axis=0), 1e-9)  # a dead feature stays one
        correlation = (within / scale).T @ (within / scale) / len(bank)
        values, vectors = np.linalg.eigh(correlation + ridge * np.eye(len(scale)))
        return cls(means, vectors / np.sqrt(values) / scale[:, None])

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        rows, means = rows @ self.whitening, self.means @ self.whitening
        return -np.min([((rows - mean) ** 2).sum(axis=1) for mean in means], axis=0)


@dataclass(frozen=True)
class GramDeviation:
    """How far products of channels leave the range that they have on training pictures.

    Minus the sum over all values of a row of ``(value - high) / |high|`` above the range and
    ``(low - value) / |low|`` below it; shape ``(n,)``, at most 0. Called with rows ``(n, d)`` of
    ``Classifier.channel_products``, one layer at a time. (Sastry and Oore, "Detecting
    Out-of-Distribution Examples with Gram Matrices", 2020, whose range is from the smallest to
    the largest value, for each class.)
    """

    low: np.ndarray  # (d,)
    high: np.ndarray  # (d,)

    @classmethod
    def fit(cls, bank: np.ndarray, outside: float = 0.004) -> GramDeviation:
        """From training pictures' ``bank (m, d)``; ``outside`` is the share left out of a range."""
        if not 0 <= outside < 1:
            raise ValueError(f"outside is a share from 0 to below 1, not {outside}.")
        return cls(*np.quantile(bank, [outside / 2, 1 - outside / 2], axis=0))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        # Of a channel that is always off, any activity is much.
        low, high = (np.maximum(np.abs(edge), 1e-6) for edge in (self.low, self.high))
        below, above = np.maximum(self.low - rows, 0) / low, np.maximum(rows - self.high, 0) / high
        return -(below + above).sum(axis=1)


@dataclass(frozen=True)
class OutlierExposure:
    """The log odds, by a classifier, that an input is honest and no outlier; shape ``(n,)``.

    The classifier has learnt to tell training pictures from outliers that are *not* the thief's:
    ``pools.outliers`` makes them from honest pictures. Called with rows ``(n, d)`` of what it was
    fitted to. (Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure",
    2019, who train the network itself with outliers.)
    """

    classifier: Any  # of scikit-learn, with a decision_function

    @classmethod
    def fit(
        cls, honest: np.ndarray, outliers: np.ndarray, classifier: Any = None, *, seed: int = 0
    ) -> OutlierExposure:
        """From rows of honest training pictures ``(m, d)`` and of outliers ``(l, d)``.

        ``classifier`` is any of scikit-learn's that has a ``decision_function``; default:
        histogram gradient boosting, with its randomness from ``seed``. It gets standardised rows.
        """
        # Here, because importing them takes as long as importing the rest of the library.
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if classifier is None:
            # 63 bins are faster than the usual 255, and no worse here.
            classifier = HistGradientBoostingClassifier(
                max_bins=63, early_stopping=False, random_state=seed
            )
        model = make_pipeline(StandardScaler(), classifier)
        is_honest = np.repeat([1, 0], [len(honest), len(outliers)])
        return cls(model.fit(np.concatenate([honest, outliers]), is_honest))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.classifier.decision_function(rows)


@dataclass(frozen=True)
class ByLayer:
    """One score for each layer, side by side: ``(n, layers)``.

    ``scores`` by the layer's name, each called with its rows. Called with all rows by name, as
    ``Classifier.statistics`` and ``Classifier.channel_products`` return them; layers without a
    score are left out.
    """

    scores: Mapping[str, Callable[[np.ndarray], np.ndarray]]

    def __call__(self, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.stack([score(rows[name]) for name, score in self.scores.items()], axis=1)


@dataclass(frozen=True)
class Ranks:
    """Several scores made one, fitted on honest inputs alone; shape ``(n,)``, at most 0.

    Each score becomes the share of honest inputs that score no higher, a p-value; what counts is
    the sum of their logarithms. So no score's unit matters, and nobody had to see a weird input
    to weigh them. Called with scores ``(n, s)``. (Fisher, "Statistical Methods for Research
    Workers", 1925: combining tests.)
    """

    honest: np.ndarray  # (m, s), each column in order

    @classmethod
    def fit(cls, honest_scores: np.ndarray) -> Ranks:
        """From honest inputs' scores ``(m, s)``, of pictures that trained nothing."""
        if len(honest_scores) == 0 or not np.isfinite(honest_scores).all():
            raise ValueError("Ranks need finite honest scores, at least one row.")
        return cls(np.sort(honest_scores, axis=0))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        below = [
            np.searchsorted(honest, column, side="right")
            for honest, column in zip(self.honest.T, scores.T, strict=True)
        ]
        # One is added to both: an input that is weirder than all honest ones has p > 0.
        return np.log((np.array(below) + 1) / (len(self.honest) + 1)).sum(axis=0)


def auroc(normal: np.ndarray, weird: np.ndarray) -> float:
    """How often a normal input scores higher than a weird one; ties count half. .5 is chance.

    ``normal (n,)`` and ``weird (m,)`` are scores. (The Mann-Whitney statistic.)
    """
    if len(normal) == 0 or len(weird) == 0:
        raise ValueError("AUROC compares two groups of scores: one of them is empty.")
    ranks = rankdata(np.concatenate([normal, weird]))[: len(normal)]
    above = ranks.sum() - len(normal) * (len(normal) + 1) / 2
    return float(above / (len(normal) * len(weird)))


def choose_threshold(honest_scores: np.ndarray, max_fpr: float) -> float:
    """The highest threshold under which at most ``max_fpr`` of ``honest_scores`` lie.

    An input is weird if its score is *below* the threshold. ``honest_scores (n,)`` must
    come from inputs that trained nothing. ``max_fpr`` is a share from 0 to 1.
    """
    if not 0 <= max_fpr <= 1:
        raise ValueError(f"max_fpr is a share from 0 to 1, not {max_fpr}.")
    ordered = np.sort(np.asarray(honest_scores))
    if ordered.size == 0 or not np.isfinite(ordered).all():
        raise ValueError("A threshold needs finite honest scores, at least one.")
    allowed = int(np.floor(max_fpr * len(ordered) + 1e-9))
    return float(ordered[allowed]) if allowed < len(ordered) else float(np.inf)
