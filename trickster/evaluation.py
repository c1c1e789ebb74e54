"""What is measured, and with what uncertainty: accuracy, fidelity, utility, calibration, intervals.

Pure functions on arrays. Nothing here trains, queries or draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean over ``n`` runs and the confidence interval around it."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def labels_of(answers: np.ndarray) -> np.ndarray:
    """Labels ``(n,)`` from labels ``(n,)`` or from posteriors or logits ``(n, k)``."""
    answers = np.asarray(answers)
    if answers.ndim == 2 and answers.shape[1] > 1:  # one column would be class 0 for everyone
        return answers.argmax(axis=1)
    if answers.ndim == 1:
        return answers
    raise ValueError(
        f"Answers must be labels of shape (n,) or posteriors of shape (n, k); got {answers.shape}."
    )


def accuracy(answers: np.ndarray, y: np.ndarray) -> float:
    """Share of answers (labels ``(n,)`` or posteriors ``(n, k)``) that equal the truth ``y``."""
    return _agreement(labels_of(answers), np.asarray(y), "the truth")


def fidelity(clone: np.ndarray, victim: np.ndarray) -> float:
    """Share of inputs on which clone and victim choose the same class, right or wrong.

    Both are labels ``(n,)`` or posteriors ``(n, k)`` for the same inputs.
    (Jagielski et al., "High Accuracy and High Fidelity Extraction of Neural Networks", 2020.)
    """
    return _agreement(labels_of(clone), labels_of(victim), "the victim's answers")


def utility(query: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    """Accuracy that an honest user gets from ``query``, the service with its defences on."""
    return accuracy(query(x), y)


def expected_calibration_error(posteriors: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by bin size.

    The confidence of an answer is its largest probability; bin ``b`` holds
    confidences in ``(b / bins, (b + 1) / bins]``. 0 is perfect.
    (Guo et al., "On Calibration of Modern Neural Networks", 2017.)
    """
    posteriors, y = np.asarray(posteriors), np.asarray(y)
    if posteriors.ndim != 2 or y.shape != posteriors.shape[:1] or y.size == 0:
        raise ValueError(
            f"Calibration compares posteriors of shape (n, k) with labels of shape (n,), at least "
            f"one; got {posteriors.shape} and {y.shape}."
        )
    right = posteriors.argmax(axis=1) == y
    gap = np.bincount(
        confidence_bins(posteriors, bins), right - posteriors.max(axis=1).astype(float)
    )
    return float(np.abs(gap).sum() / len(y))


def confidence_bins(posteriors: np.ndarray, bins: int = 15) -> np.ndarray:
    """The bin of each row's largest probability, int ``(n,)``.

    Bin ``b`` of the ``bins`` equal ones holds ``(b / bins, (b + 1) / bins]``.
    """
    # Compared with the edges themselves: a product such as .07 * 100 overshoots its edge.
    edges = np.arange(1, bins + 1) / bins
    return np.searchsorted(edges, posteriors.max(axis=1)).clip(max=bins - 1)


def bootstrap_interval(
    values: Iterable[float],
    *,
    confidence: float = 0.95,
    resamples: int = 9_999,
    seed: int = 0,
) -> Interval:
    """Mean of one measurement per seed, with its percentile bootstrap interval.

    ``values`` are the measurements of independent runs. One run has no spread
    to show: its interval is ``(-inf, inf)``. With fewer than about ten runs a
    bootstrap interval is too narrow; treat it as a lower bound on the uncertainty.
    (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.)
    """
    values = np.asarray(list(values), dtype=float)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"An interval needs finite values, at least one; got {values.tolist()}.")
    if values.size == 1:
        return Interval(float(values[0]), -np.inf, np.inf, 1)
    result = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=confidence,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Interval(float(values.mean()), float(low), float(high), int(values.size))


def _agreement(labels: np.ndarray, others: np.ndarray, what: str) -> float:
    if labels.shape != others.shape or labels.size == 0:
        raise ValueError(
            f"Cannot compare answers of shape {labels.shape} with {what} of shape {others.shape}: "
            "one label for each input, at least one input."
        )
    return float(np.mean(labels == others))
