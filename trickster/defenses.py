"""Output defences: plain functions from posteriors ``(n, k)`` to posteriors ``(n, k)``.

Each treats every row by itself and returns rows that are distributions. Rate limits live
in ``limiters``, the question which inputs are weird in ``ood``.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from trickster.models import softmax


def hard_labels(posteriors: np.ndarray) -> np.ndarray:
    """One-hot rows: only the most probable class is told; of equal ones, the first."""
    return np.eye(posteriors.shape[1], dtype=posteriors.dtype)[posteriors.argmax(axis=1)]


def top_k(posteriors: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` largest probabilities of each row, normalised; the others become 0.

    Of equal probabilities the earlier class is kept, so that exactly ``k`` remain.
    """
    if not 1 <= k <= posteriors.shape[1]:
        raise ValueError(f"k must lie between 1 and the {posteriors.shape[1]} classes; it is {k}.")
    order = np.argsort(-posteriors, axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(posteriors)
    np.put_along_axis(kept, order, np.take_along_axis(posteriors, order, axis=1), axis=1)
    return kept / kept.sum(axis=1, keepdims=True)


def round_posteriors(posteriors: np.ndarray, decimals: int) -> np.ndarray:
    """Probabilities rounded to ``decimals`` places and normalised again.

    A row of which nothing is left (ten times .04, to one place) becomes the one-hot of
    its most probable class.
    """
    rounded = np.round(posteriors, decimals)
    total = rounded.sum(axis=1, keepdims=True)
    empty = total == 0
    return np.where(empty, hard_labels(posteriors), rounded / np.where(empty, 1, total))


def zero_mean_noise(posteriors: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Softmax of the logits plus N(0, ``sigma``) noise: demo A's defence, fresh at each call."""
    logits = np.log(np.maximum(posteriors, 1e-12))
    return softmax(logits + rng.normal(0, sigma, logits.shape)).astype(posteriors.dtype)


def misinform(posteriors: np.ndarray) -> np.ndarray:
    """The same probabilities in reverse: the least likely class gets the largest.

    The answer looks as sure as the honest one, is wrong in each of its parts, and is the
    same whenever the same question comes: asking again tells nothing new.
    """
    order = np.argsort(posteriors, axis=1, kind="stable")
    wrong = np.empty_like(posteriors)
    np.put_along_axis(wrong, order, np.take_along_axis(posteriors, order[:, ::-1], axis=1), axis=1)
    return wrong


def reverse_sigmoid(posteriors: np.ndarray, beta: float = 1.0, gamma: float = 0.1) -> np.ndarray:
    """Probabilities bent towards one half, so that quite different inputs get the same answer.

    ``y - beta (sigmoid(gamma logit(y)) - 1/2)``, clipped at 0 and normalised. ``beta`` scales the
    bend, ``gamma`` how soon it sets in. With both at most 1, a class that had more than one half
    still leads: a thief who keeps only labels loses nothing there. (Lee, Edwards, Molloy and Su,
    "Defending Against Neural Network Model Stealing Attacks Using Deceptive Perturbations", 2019.)
    """
    if beta < 0 or gamma < 0:
        raise ValueError(f"beta and gamma must not be negative: {beta}, {gamma}.")
    y = np.clip(posteriors.astype(np.float64), 1e-9, 1 - 1e-9)
    bent = np.maximum(y - beta * (expit(gamma * np.log(y / (1 - y))) - 0.5), 1e-9)
    return (bent / bent.sum(axis=1, keepdims=True)).astype(posteriors.dtype)


def adaptive_misinformation(
    posteriors: np.ndarray, wrong: np.ndarray, tau: float, nu: float = 1_000.0
) -> np.ndarray:
    """Rows that drift from the victim's answer to a wrong one where the victim is unsure.

    ``(1 - a) y + a wrong`` with ``a = 1 / (1 + exp(nu (max y - tau)))``. ``wrong (n, k)`` are the
    posteriors of a model that was trained to be wrong (:func:`training.reverse_cross_entropy`);
    ``tau`` is the confidence below which an input counts as weird; a large ``nu`` makes the
    passage sharp. (Kariyappa and Qureshi, "Defending Against Model Stealing Attacks with
    Adaptive Misinformation", 2020, whose victim was also trained to be unsure of outliers.)
    """
    if posteriors.shape != wrong.shape:
        raise ValueError(
            f"Answers of shape {posteriors.shape} cannot be mixed with those of {wrong.shape}."
        )
    a = expit(-nu * (posteriors.max(axis=1, keepdims=True) - tau))
    return ((1 - a) * posteriors + a * wrong).astype(posteriors.dtype)
