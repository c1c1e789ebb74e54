"""The thieves. Each holds a ``Client`` and a pool of pictures, and leaves with a clone.

Here: the random-pool thief with posteriors (Knockoff Nets, Orekondy et al. 2019)
and with hard labels (Copycat CNN, Correia-Silva et al. 2018); the thief who makes new
pictures out of a few (Jacobian-based augmentation, Papernot et al. 2017); and two ways of
asking that work with each of them, :class:`Averaging` and :class:`Sybil`. What a thief makes of
the answers who knows the defence is in ``adaptive_attacks``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch

from trickster import models, training
from trickster.api import BudgetExceeded, RateLimited
from trickster.batched import fit_many
from trickster.quick import fit_quickly

STACK = 4  # clones that train as one; a larger stack outgrows a processor's cache


class Queryable(Protocol):
    """Anything with a ``query`` method: an ``api.Client``, or a stand-in for one."""

    def query(self, x: np.ndarray) -> np.ndarray: ...


def collect(
    client: Queryable, pool: np.ndarray, budget: int, *, batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Ask about the first ``budget`` pictures of ``pool``, in batches.

    Returns the pictures asked about ``(m, c, h, w)`` and the answers ``(m, k)``,
    row for row, with ``m = min(budget, len(pool))``. Shuffle the pool first if
    its order means something.
    """
    if budget < 1:
        raise ValueError(f"A thief needs at least one query; the budget is {budget}.")
    if len(pool) == 0:
        raise ValueError("A thief needs pictures to send; the pool is empty.")
    asked = pool[:budget]
    batches = [asked[i : i + batch_size] for i in range(0, len(asked), batch_size)]
    return asked, np.concatenate([client.query(batch) for batch in batches])


def train_clone(
    x: np.ndarray,
    answers: np.ndarray,
    *,
    labels: Literal["soft", "hard"] = "soft",
    network: Literal["mlp", "cnn"] = "mlp",
    epochs: int = 10,
    lr: float = 3e-3,
    seed: int = 0,
    quick: bool = False,
    progress: str | None = None,
) -> models.Classifier:
    """A clone trained on what the victim answered.

    ``answers`` are posteriors ``(n, k)``. ``labels="hard"`` keeps only each row's
    argmax, as a thief must who sees nothing else (or who trusts nothing else).
    ``network``: the small MLP, or a CNN half as wide as the victim. ``quick`` trains with
    ``quick.fit_quickly``, which says what suits it, and shows no progress.
    """
    training_set = TrainingSet(x, answers, labels, network, epochs, lr, seed, quick)
    clone, targets = training_set.network_and_targets()
    how = {"epochs": epochs, "lr": lr, "seed": seed}
    if quick:
        fit_quickly(clone, x, targets, **how)
    else:
        training.fit(clone, x, targets, progress=progress, **how)
    return models.Classifier(clone)


@dataclass(frozen=True)
class TrainingSet:
    """What one clone is trained on, and how: the arguments of :func:`train_clone`."""

    x: np.ndarray
    answers: np.ndarray
    labels: Literal["soft", "hard"] = "soft"
    network: Literal["mlp", "cnn"] = "mlp"
    epochs: int = 10
    lr: float = 3e-3
    seed: int = 0
    quick: bool = False

    def network_and_targets(self) -> tuple[models.Network, np.ndarray]:
        """The untrained clone, and what it is to repeat."""
        if self.labels not in ("soft", "hard"):
            raise ValueError(f"labels is 'soft' or 'hard', not {self.labels!r}.")
        shape, k = self.x.shape[1:], self.answers.shape[1]
        if self.network == "mlp":
            clone = models.mlp(shape, k, seed=self.seed)
        elif self.network == "cnn":
            clone = models.cnn(shape, k, width=16, dropout=0.0, seed=self.seed)
        else:
            raise ValueError(f"network is 'mlp' or 'cnn', not {self.network!r}.")
        hard = self.labels == "hard"
        return clone, self.answers.argmax(axis=1) if hard else self.answers


def train_clones(
    training_sets: Sequence[TrainingSet], *, trained: Callable[[int], object] | None = None
) -> list[models.Classifier]:
    """The clones that :func:`train_clone` would give one by one, up to float rounding.

    MLPs with equally many pictures (and the same epochs and lr) train as one batched model, but
    those that train quickly do so one by one.
    ``trained`` is called now and then with the number of clones that are ready.
    """
    clones: list[models.Classifier | None] = [None] * len(training_sets)
    for places in _alike(training_sets):
        group = [training_sets[i] for i in places]
        pairs = [one.network_and_targets() for one in group]
        networks, targets = map(list, zip(*pairs, strict=True))
        xs, seeds = [one.x for one in group], [one.seed for one in group]
        how = {"epochs": group[0].epochs, "lr": group[0].lr}
        if group[0].quick:
            fit_quickly(networks[0], xs[0], targets[0], seed=seeds[0], **how)
        elif group[0].network == "mlp":  # one alone, too: it saves the overhead of autograd
            fit_many(networks, xs, targets, seeds=seeds, **how)
        else:
            training.fit(networks[0], xs[0], targets[0], seed=seeds[0], **how)
        for i, network in zip(places, networks, strict=True):
            clones[i] = models.Classifier(network)
        if trained is not None:
            trained(sum(clone is not None for clone in clones))
    return clones


def _alike(training_sets: Sequence[TrainingSet]) -> list[list[int]]:
    """Places of those that can train as one, at most ``STACK`` together; others stay alone."""
    kinds: dict[tuple, list[int]] = {}
    for i, one in enumerate(training_sets):
        alone = i if one.network != "mlp" or one.quick else None
        kind = (alone, one.x.shape, one.answers.shape[1], one.epochs, one.lr)
        kinds.setdefault(kind, []).append(i)
    return [same[i : i + STACK] for same in kinds.values() for i in range(0, len(same), STACK)]


def steal(
    client: Queryable,
    pool: np.ndarray,
    budget: int,
    *,
    labels: Literal["soft", "hard"] = "soft",
    network: Literal["mlp", "cnn"] = "mlp",
    seed: int = 0,
    clean: Callable[[TrainingSet], TrainingSet] | None = None,
    **options,
) -> models.Classifier:
    """The random-pool thief: shuffle ``pool``, collect under ``budget``, train a clone.

    ``clean`` is what a thief who knows the defence does with the answers before that; see
    ``adaptive_attacks``. ``options`` go to :func:`train_clone`.
    """
    order = np.random.default_rng(seed).permutation(len(pool))[:budget]
    x, answers = collect(client, pool[order], budget)
    how = {"labels": labels, "network": network, "seed": seed, **options}
    if clean is not None:
        silent = {name: value for name, value in how.items() if name != "progress"}
        cleaned = clean(TrainingSet(x, answers, **silent))
        x, answers = cleaned.x, cleaned.answers
    return train_clone(x, answers, **how)


def steal_jacobian(
    client: Queryable,
    seeds: np.ndarray,
    budget: int,
    *,
    step: float = 0.1,
    labels: Literal["soft", "hard"] = "soft",
    network: Literal["mlp", "cnn"] = "mlp",
    seed: int = 0,
    **options,
) -> models.Classifier:
    """The thief with a handful of pictures, which grow along the gradient of the clone.

    Asks about ``seeds (m, c, h, w)``, trains, and doubles what was asked about, until the budget
    is spent (:func:`jacobian_augmentation` with ``step``); the last clone has learnt from
    all answers. ``options`` go to :func:`train_clone`.
    (Papernot et al., "Practical Black-Box Attacks against Machine Learning", 2017.)
    """
    how = {"labels": labels, "network": network, "seed": seed, **options}
    x, answers = collect(client, seeds, budget)
    while len(x) < budget:
        clone = train_clone(x, answers, **how)
        new = jacobian_augmentation(clone, x, answers.argmax(axis=1), step)[: budget - len(x)]
        new, new_answers = collect(client, new, len(new))
        x, answers = np.concatenate([x, new]), np.concatenate([answers, new_answers])
    return train_clone(x, answers, **how)


def jacobian_augmentation(
    clone: models.Classifier, x: np.ndarray, labels: np.ndarray, step: float = 0.1
) -> np.ndarray:
    """New pictures ``(n, c, h, w)``: ``x`` moved to where the clone favours ``labels (n,)`` more.

    ``x + step * sign(dF_y / dx)``, clipped to [0, 1]; ``F_y`` is the clone's probability of the
    victim's label. (Papernot et al. 2017.)
    """
    if len(x) != len(labels):
        raise ValueError(f"{len(x)} pictures and {len(labels)} labels: one label a picture.")
    moved = []
    for start in range(0, len(x), clone.batch_size):
        rows = slice(start, start + clone.batch_size)
        pictures = models.as_pictures(x[rows]).clone().requires_grad_(True)
        wanted = torch.as_tensor(np.asarray(labels[rows], dtype=np.int64))
        # The logarithm's gradient has the same sign, and does not vanish where F is near 1.
        likely = torch.log_softmax(clone.network(pictures), dim=1).gather(1, wanted[:, None]).sum()
        (gradient,) = torch.autograd.grad(likely, pictures)
        moved.append((pictures.detach() + step * gradient.sign()).clamp(0, 1).numpy())
    return np.concatenate(moved)


class Averaging:
    """Asks every question ``repeats`` times and returns the mean: fresh noise averages out.

    Each picture costs ``repeats`` answers of the budget. Against answers that are the same
    whenever the same question comes, it only costs. (Lee et al., "Defending Against Neural
    Network Model Stealing Attacks Using Deceptive Perturbations", 2019, name the attack.)
    """

    def __init__(self, client: Queryable, repeats: int = 3):
        if repeats < 1:
            raise ValueError(f"A question is asked at least once, not {repeats} times.")
        self.client, self.repeats = client, repeats

    def query(self, x: np.ndarray) -> np.ndarray:
        """The mean of ``repeats`` answers ``(n, k)`` to each picture."""
        return np.mean([self.client.query(x) for _ in range(self.repeats)], axis=0)


class Sybil:
    """Several accounts that take turns, one batch each: what is limited by account is not.

    A refused batch goes to the next account; if all refuse, the refusal with the shortest wait
    is raised. (Douceur, "The Sybil Attack", 2002.)
    """

    def __init__(self, clients: Sequence[Queryable]):
        if not clients:
            raise ValueError("A thief needs at least one account.")
        self.clients, self._turn = list(clients), 0

    def query(self, x: np.ndarray) -> np.ndarray:
        """Answers ``(n, k)`` from the first account that gives them."""
        refusals = []
        for _ in self.clients:
            client = self.clients[self._turn]
            self._turn = (self._turn + 1) % len(self.clients)
            try:
                return client.query(x)
            except (BudgetExceeded, RateLimited) as refusal:
                refusals.append(refusal)
        raise min(refusals, key=lambda refusal: getattr(refusal, "retry_after", np.inf))
