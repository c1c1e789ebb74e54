"""One place that says what is stolen: the data, the victim, the pools and the API together.

``Scenario("fashion")`` needs no network: data and victim ship with the course.
``Scenario("cifar10")`` is the same labs in colour; its victim is trained on first
use, on the user's machine, and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from trickster import data, models, pools, training
from trickster.api import PredictionAPI

# The shipped pictures or a torchvision set; the victim's recipe for each.
RECIPES = {
    "fashion": {"width": 32, "epochs": 10, "lr": 3e-3},
    "cifar10": {"width": 64, "epochs": 12, "lr": 2e-3},
}


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
        """The pretrained victim: posteriors, logits and features."""
        if self.name == "fashion":
            data.embedded_bytes(FASHION_VICTIM)  # raises where the file is not the shipped one
            path = data.datasets_dir() / FASHION_VICTIM
        else:
            path = data.cache_dir() / f"{self.name}_victim.safetensors"
            if not path.exists():
                network = train_victim(self.data, self.name, progress="training the victim, once")
                models.save(network, path)
        return models.Classifier(models.load(path))

    @property
    def pools(self) -> tuple[str, ...]:
        """Pools that need no network, from the poorest to the richest."""
        return ("noise", "digits", "patches", "shapes")

    def pool(self, name: str, n: int, *, seed: int) -> np.ndarray:
        """``n`` query pictures of the pool ``name``, shaped for this victim."""
        return pools.make(name, n, seed=seed, shape=self.data.input_shape, root=self.root)

    def api(self, *, budget: int | None = None, **options) -> PredictionAPI:
        """The victim behind a fresh prediction API; ``options`` as for ``PredictionAPI``."""
        return PredictionAPI(self.victim, self.data.input_shape, budget=budget, **options)


FASHION_VICTIM = "fashion_victim.safetensors"


def train_victim(
    dataset: data.Dataset, recipe: str = "fashion", *, seed: int = 0, progress: str | None = None
) -> models.Network:
    """Train a victim by the recipe of a scenario; how the shipped one was made."""
    how = RECIPES[recipe]
    network = models.cnn(dataset.input_shape, dataset.n_classes, width=how["width"], seed=seed)
    training.fit(
        network,
        dataset.x_train,
        dataset.y_train,
        epochs=how["epochs"],
        lr=how["lr"],
        seed=seed,
        progress=progress,
    )
    return network
