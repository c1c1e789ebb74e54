"""The model that lab 1's ``predict_proba`` is tried with: drawn for the test, and never given away.

What the student's code holds is a stand-in (``probes.watched``). The model stays with the check,
which computes every answer, dropout included, and so knows in which mode it was asked, how often,
and in which mode it was left.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
import torch

from trickster import models
from trickster.checks import draws, fixtures
from trickster.models import Network

MAX_PICTURES = 100_000  # that one model answers
AT_ONCE = 1_000  # pictures
SPREAD = 2.5  # deviation of the logits of a class


class Call(NamedTuple):
    """A forward pass: was the model in training mode, were gradients recorded, of how many rows."""

    training: bool
    gradients: bool  # as the student's process says: nobody else can know
    n: int


class LiveModel:
    """A network in training or in evaluation mode. ``calls`` are the forward passes so far.

    ``_public_names`` is what the student's process may use of it.
    """

    _public_names: ClassVar[tuple[str, ...]] = ("answer", "switch", "copy")

    def __init__(self, network: Network, training: bool, calls: list[Call] | None = None):
        self.network, self.training = network, training
        self.calls: list[Call] = [] if calls is None else calls
        self.left_recording = True  # gradients, by whoever used it last
        self._answered = 0

    def answer(self, x: np.ndarray, gradients: bool) -> np.ndarray:
        """Logits ``(n, 10)`` for float32 pictures ``(n, 1, 28, 28)``."""
        if type(x) is not np.ndarray or x.shape[1:] != (1, 28, 28) or x.dtype != np.float32:
            raise ValueError("this model takes float32 pictures of shape (n, 1, 28, 28).")
        self._answered += len(x)
        if self._answered > MAX_PICTURES:
            raise RuntimeError(f"this model answers {MAX_PICTURES:,} pictures, and no more.")
        self.calls.append(Call(self.training, gradients is not False, len(x)))
        self.network.train(self.training)
        with torch.no_grad():
            # In parts: what a layer makes of 20,000 pictures at once would fill the memory.
            parts = torch.tensor(x).split(AT_ONCE)
            return torch.cat([self.network(part) for part in parts]).numpy()

    def switch(self, training: bool) -> None:
        """Into training mode, or out of it."""
        self.training = training is True

    def copy(self) -> LiveModel:
        """Another one in the same mode; what it is asked is noted with the rest."""
        return LiveModel(self.network, self.training, self.calls)


def draw(*labels: str) -> tuple[Network, np.ndarray]:
    """A network that tells clothes apart in its own way, and 250 to 350 pictures to ask it about.

    It is untrained, but answers as a trained one does: with logits of mean 0 and deviation
    ``SPREAD`` for each class.
    """
    rng = draws.rng("live model", *labels)
    network = models.cnn(width=8, dropout=0.25, seed=int(rng.integers(2**31)))
    pictures = fixtures.honest_pictures().x
    x = pictures[rng.permutation(len(pictures))[: rng.integers(250, 351)]]
    logits = LiveModel(network, False).answer(x, False)
    with torch.no_grad():
        scale = torch.tensor(SPREAD / logits.std(axis=0))
        shift = torch.tensor(logits.mean(axis=0))
        network.head.bias.copy_(scale * (network.head.bias - shift))
        network.head.weight.mul_(scale[:, None])
    return network, x
