"""The thieves. Each holds a ``Client`` and a pool of pictures, and leaves with a clone.

Here: the random-pool thief with posteriors (Knockoff Nets, Orekondy et al. 2019)
and with hard labels (Copycat CNN, Correia-Silva et al. 2018).
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from trickster import models, training


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
    progress: str | None = None,
) -> models.Classifier:
    """A clone trained on what the victim answered.

    ``answers`` are posteriors ``(n, k)``. ``labels="hard"`` keeps only each row's
    argmax, as a thief must who sees nothing else (or who trusts nothing else).
    ``network``: the quick MLP, or a CNN half as wide as the victim.
    """
    if labels not in ("soft", "hard"):
        raise ValueError(f"labels is 'soft' or 'hard', not {labels!r}.")
    shape, k = x.shape[1:], answers.shape[1]
    if network == "mlp":
        clone = models.mlp(shape, k, seed=seed)
    elif network == "cnn":
        clone = models.cnn(shape, k, width=16, dropout=0.0, seed=seed)
    else:
        raise ValueError(f"network is 'mlp' or 'cnn', not {network!r}.")
    targets = answers.argmax(axis=1) if labels == "hard" else answers
    training.fit(clone, x, targets, epochs=epochs, lr=lr, seed=seed, progress=progress)
    return models.Classifier(clone)


def steal(
    client: Queryable,
    pool: np.ndarray,
    budget: int,
    *,
    labels: Literal["soft", "hard"] = "soft",
    network: Literal["mlp", "cnn"] = "mlp",
    seed: int = 0,
    **options,
) -> models.Classifier:
    """The random-pool thief: shuffle ``pool``, collect under ``budget``, train a clone.

    ``options`` go to :func:`train_clone`.
    """
    order = np.random.default_rng(seed).permutation(len(pool))[:budget]
    x, answers = collect(client, pool[order], budget)
    return train_clone(x, answers, labels=labels, network=network, seed=seed, **options)
