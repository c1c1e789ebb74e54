"""How weird is an input? Scores for "in-distribution", their AUROC, and the threshold.

A score is one float for each input, *higher for normal*. Each looks at one input at a
time: what else is in the batch must never matter. What is done with weird inputs lives
in ``defenses``.
"""

from __future__ import annotations

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
