"""Thieves who know the defence and lack only its key: what they make of answers before they learn.

Each turns what a thief has collected, a ``TrainingSet``, into a better one: :func:`unlied` by
undoing lies that the answers give away, :func:`explained` those that do not fit the pictures,
:func:`small_loss` by leaving out what a first clone finds unlikely. The
:func:`oracle` is told which answers are lies, and bounds what leaving out can achieve. Hand one
to ``attacks.steal`` as ``clean``, or train several sets together with ``attacks.train_clones``.
Thieves who choose their questions, to find out what is a lie, are in ``probing``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from trickster import attacks, models, training
from trickster.attacks import TrainingSet
from trickster.defenses import hard_labels

# Answers (n, k), taken for lies of one kind, to the truths (n, k) behind them.
Undo = Callable[[np.ndarray], np.ndarray]

RIDGE = 0.1  # variance of log answers that no Gaussian falls below: guards against tiny clusters
ROUNDS = 60  # of EM; the decisions have settled long before
SURE = 0.98  # how far a start trusts its own guess


def oracle(training_set: TrainingSet, lies: np.ndarray) -> TrainingSet:
    """The truthful answers alone. ``lies (n,)`` says which are none.

    The yardstick for a defence that lies: whoever can tell lies from truths has at least this
    clone; ``probing.copying`` can, for twice the queries. It is a bound on thieves who *leave
    out* lies; one who can undo them keeps more rows. Nothing is left where all answers are lies.
    """
    lies = np.asarray(lies)
    if lies.dtype != bool or lies.shape != (len(training_set.x),):
        raise ValueError(
            f"lies is True or False for each of the {len(training_set.x)} answers; it has type "
            f"{lies.dtype} and shape {lies.shape}."
        )
    return _rows(training_set, ~lies)


def small_loss(training_set: TrainingSet, keep: float = 0.5) -> TrainingSet:
    """The share ``keep`` of the answers that a first clone, trained on all of them, fits best.

    Networks learn first what fits together. If truths fit together better than lies, what the
    first clone has not learnt is lies; if lies are the majority, or agree, it keeps *them*.
    Costs no query and one more training. (Han et al., "Co-teaching: Robust Training of Deep
    Neural Networks with Extremely Noisy Labels", 2018, whose two networks select for each other.)
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep is a share above 0 and up to 1, not {keep}.")
    (first,) = attacks.train_clones([training_set])
    wanted = training_set.answers
    if training_set.labels == "hard":
        wanted = hard_labels(wanted)
    best = best_fitting(wanted, first.posteriors(training_set.x), keep)
    return _rows(training_set, np.sort(best))


def best_fitting(answers: np.ndarray, likely: np.ndarray, keep: float) -> np.ndarray:
    """The rows of ``answers (n, k)`` that a clone fits best, the best first: integers ``(m,)``.

    ``likely (n, k)`` is what the clone says itself. The share ``keep`` of the rows is returned,
    one at least; what counts is the cross-entropy, as in the clone's training.
    """
    loss = -(answers * np.log(np.maximum(likely, 1e-12))).sum(axis=1)
    return np.argsort(loss, kind="stable")[: max(1, round(keep * len(loss)))]


def explained(training_set: TrainingSet, undo: Sequence[Undo]) -> TrainingSet:
    """The same pictures, with answers put right by a clone that sees which do not fit them.

    ``undo`` is what :func:`unlie` takes. A first clone learns from all answers without being told
    which are lies (:func:`hidden_version_loss`); each answer is then left as told, or undone in one
    of the ways, whichever this clone finds likeliest. It works for posteriors and for labels, and
    finds lies that look like true answers about another class, which the answers alone do not give
    away. Costs no query and one more training.
    """
    told = training_set.answers
    if training_set.labels == "hard":
        told = hard_labels(told)
    undone = [np.asarray(one(told)) for one in undo]
    if any(one.shape != told.shape or not np.isfinite(one).all() for one in undone):
        raise ValueError(f"A lie undone must be finite answers of shape {told.shape} again.")
    versions = np.stack([told, *undone], axis=1).astype(np.float32)
    network, _ = training_set.network_and_targets()
    how = {"epochs": training_set.epochs, "lr": training_set.lr, "seed": training_set.seed}
    training.fit(network, training_set.x, versions, loss_of=hidden_version_loss, **how)
    logits = torch.from_numpy(models.Classifier(network).logits(training_set.x))
    kind = _log_likelihoods(logits, torch.from_numpy(versions)).argmax(dim=1).numpy()
    return replace(training_set, answers=versions[np.arange(len(told)), kind])


def hidden_version_loss(logits: torch.Tensor, versions: torch.Tensor) -> torch.Tensor:
    """The mean of ``-log(1/m sum_i exp(v_i . log q))``, q the softmax of the logits ``(b, k)``.

    Of each answer there are m versions v_i ``(b, m, k)``, as told and undone, and which of them is
    the truth is hidden; before, all are equally likely. For labels this is the forward correction
    of Patrini et al., "Making Deep Neural Networks Robust to Label Noise: A Loss Correction
    Approach", 2017, with a transition matrix that gives each version the share 1/m.
    """
    likely = _log_likelihoods(logits, versions).logsumexp(dim=1)
    return (math.log(versions.shape[1]) - likely).mean()


def _log_likelihoods(logits: torch.Tensor, versions: torch.Tensor) -> torch.Tensor:
    """Of each version ``(b, m, k)``, if the logits ``(b, k)`` are right: ``(b, m)``."""
    return (versions * logits.log_softmax(dim=1)[:, None]).sum(dim=2)


def unlied(training_set: TrainingSet, undo: Sequence[Undo], *, seed: int = 0) -> TrainingSet:
    """The same pictures, with answers put right by :func:`unlie`. Costs no query."""
    return replace(training_set, answers=unlie(training_set.answers, undo, seed=seed).answers)


@dataclass(frozen=True)
class Unlied:
    """Answers put right.

    ``answers (n, k)`` as they probably were before somebody lied; ``kind (n,)`` 0 where an answer
    was left as told, i where the i-th way to undo a lie was used; ``sure (n,)`` the probability
    of that.
    """

    answers: np.ndarray
    kind: np.ndarray
    sure: np.ndarray


def unlie(answers: np.ndarray, undo: Sequence[Undo], *, seed: int = 0, starts: int = 2) -> Unlied:
    """Decide for each answer whether it is told as it is, or which lie it is, and undo it.

    Parameters
    ----------
    answers : posteriors ``(n, k)``, truths and lies mixed.
    undo : for each lie that the service may tell a function that takes all answers for such lies
        and returns the truths behind them, ``(n, k)`` to ``(n, k)``. Reversed answers are undone
        by ``defenses.misinform`` itself.
    seed, starts : the mixture below is fitted from ``starts`` random starts; the likeliest counts.

    The logarithms of true answers form clouds, about one for each class, and those of lies do
    not, or other ones. So a mixture of Gaussians is fitted to answers whose version (as told, or
    undone in one of the ways) is itself unknown: EM, with a version and a Gaussian hidden behind
    each row. Nothing but the answers is looked at, and no share of lies is assumed.
    (Frey and Jojic, "Transformation-Invariant Clustering Using the EM Algorithm", 2003.)

    Lies that swap fixed pairs of classes have a mirror image that fits as well as the truth:
    there each cloud is decided by chance.
    """
    undone = [np.asarray(one(answers)) for one in undo]
    if any(one.shape != answers.shape or not np.isfinite(one).all() for one in undone):
        raise ValueError(f"A lie undone must be finite answers of shape {answers.shape} again.")
    versions = np.stack([answers, *undone])
    points, rng = log_ratios(versions), np.random.default_rng(seed)
    fits = [_fit(points, _guess(versions, rng)) for _ in range(starts)]
    shares = max(fits, key=lambda fit: fit[1])[0].sum(axis=2)
    kind, rows = shares.argmax(axis=0), np.arange(len(answers))
    return Unlied(versions[kind, rows], kind, shares[kind, rows])


def _rows(training_set: TrainingSet, chosen: np.ndarray) -> TrainingSet:
    return replace(training_set, x=training_set.x[chosen], answers=training_set.answers[chosen])


# --- a mixture of Gaussians over answers of unknown version -----------------------------------
# Arrays have axes: version m, row n, Gaussian g, coordinate d.


def log_ratios(answers: np.ndarray) -> np.ndarray:
    """Logarithms of answers ``(..., k)``, less their mean; the last follows from the others."""
    logs = np.log(np.maximum(answers, 1e-12, dtype=np.float64))
    return (logs - logs.mean(axis=-1, keepdims=True))[..., :-1]


def _guess(versions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random version of each row, in the Gaussian of its top class: shares ``(m, n, g)``."""
    m, n, k = versions.shape
    kind, rows = rng.integers(m, size=n), np.arange(n)
    shares = np.full((m, n, k), (1 - SURE) / (m * k))
    shares[kind, rows, versions[kind, rows].argmax(axis=1)] += SURE
    return shares


def _fit(points: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, float]:
    """EM from a guess: shares ``(m, n, g)`` that sum to 1 in each row, and the log-likelihood."""
    likelihood = -np.inf
    for _ in range(ROUNDS):
        logs = _log_densities(points, shares)
        rows = logsumexp(logs, axis=(0, 2))
        shares = np.exp(logs - rows[None, :, None])
        if rows.mean() - likelihood < 1e-5:
            break
        likelihood = rows.mean()
    return shares, float(rows.mean())


def _log_densities(points: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """How likely each row is, in each version, from each Gaussian: logarithms ``(m, n, g)``.

    The Gaussians, their weights, and how common each version is, are those of ``shares``.
    """
    m, n, d = points.shape
    points, shares = points.reshape(m * n, d), shares.reshape(m * n, -1)
    weights = shares.sum(axis=0) + 1e-9
    versions = shares.reshape(m, n, -1).sum(axis=(1, 2)) / n + 1e-9
    logs = np.empty((m * n, len(weights)))
    for g, weight in enumerate(weights):
        share = shares[:, g, None]
        off = points - (share * points).sum(axis=0) / weight
        covariance = (share * off).T @ off / weight + RIDGE * np.eye(d)
        half = np.linalg.cholesky(covariance)
        distance = np.square(solve_triangular(half, off.T, lower=True)).sum(axis=0)
        scale = np.log(np.diag(half)).sum() + d / 2 * np.log(2 * np.pi)
        logs[:, g] = np.log(weight / n) - scale - distance / 2
    return logs.reshape(m, n, -1) + np.log(versions)[:, None, None]
