"""One place that says what is stolen: the data, the victim, the pools and the API together.

Both victims ship with the course. ``Scenario("fashion")`` needs no network, for its pictures ship
as well; ``Scenario("cifar10")`` is the same theft in colour, for whoever has CIFAR-10's pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from trickster import data, models, pools, training
from trickster.api import PredictionAPI


@dataclass(frozen=True)
class Recipe:
    """How the victim of a scenario was made, and what thieves may send to it."""

    build: Callable[..., models.Network]
    width: int
    epochs: int
    lr: float
    how: dict[str, Any]  # the rest of what training.fit is told
    pools: tuple[str, ...]  # from the poorest to the richest


RECIPES = {
    "fashion": Recipe(
        models.cnn, 32, epochs=10, lr=3e-3, how={},
        pools=("noise", "digits", "patches", "shapes"),
    ),
    "cifar10": Recipe(
        models.vgg, 64, epochs=8, lr=5e-3,
        how={
            "batch_size": 128,
            "augment": training.shifted_and_flipped,
            "mixed_precision": True,
        },
        pools=("noise", "digits", "fashion", "shapes", "patches"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """What is stolen and with what.

    Parameters
    ----------
    name : ``"fashion"`` (default, no network) or ``"cifar10"``.
    root : data folder for sets that do not ship; see :func:`trickster.data.load`.
    download : let torchvision download what is missing.
    """

    name: str = "fashion"
    root: str | Path | None = None
    download: bool = False

    def __post_init__(self):
        if self.name not in RECIPES:
            raise ValueError(f"There is no scenario {self.name!r}; choose from {sorted(RECIPES)}.")

    @cached_property
    def data(self) -> data.Dataset:
        """Training and held-out test pictures with their labels."""
        return data.load(self.name, root=self.root, download=self.download)

    @cached_property
    def victim(self) -> models.Classifier:
        """The pretrained victim: posteriors, logits and features. Needs no pictures."""
        name = victim_file(self.name)
        data.embedded_bytes(name)  # raises where the file is not the shipped one
        return models.Classifier(models.load(data.datasets_dir() / name))

    @property
    def pools(self) -> tuple[str, ...]:
        """Pools that need neither a network nor a data folder, from the poorest to the richest."""
        return RECIPES[self.name].pools

    def pool(self, name: str, n: int, *, seed: int) -> np.ndarray:
        """``n`` query pictures of the pool ``name``, shaped for this victim."""
        return pools.make(name, n, seed=seed, shape=self.data.input_shape, root=self.root)

    def api(self, *, budget: int | None = None, **options) -> PredictionAPI:
        """The victim behind a fresh prediction API; ``options`` as for ``PredictionAPI``."""
        return PredictionAPI(self.victim, self.data.input_shape, budget=budget, **options)


def victim_file(name: str) -> str:
    """The shipped file of a scenario's victim, in ``data.datasets_dir()``."""
    return f"{name}_victim.safetensors"


def train_victim(
    dataset: data.Dataset, recipe: str = "fashion", *, seed: int = 0, progress: str | None = None
) -> models.Network:
    """Train a victim by the recipe of a scenario; how the shipped ones were made."""
    made = RECIPES[recipe]
    network = made.build(dataset.input_shape, dataset.n_classes, width=made.width, seed=seed)
    training.fit(
        network,
        dataset.x_train,
        dataset.y_train,
        epochs=made.epochs,
        lr=made.lr,
        seed=seed,
        progress=progress,
        **made.how,
    )
    return network
