"""How a check looks into a model that lives in the student's process.

A lab imports these names in a cell that its author provides; the check calls them
with a handle of the model and gets plain data back.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from trickster import models
from trickster.scenario import Scenario

# The autograder takes these names from the student's process, other imports from its own.
BESIDE_THE_STUDENT = True


def forward(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """What ``model`` gives for pictures ``x (n, c, h, w)``, in evaluation mode, as an array."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        parts = [model(batch) for batch in torch.tensor(x).split(1024)]
    model.train(was_training)
    return torch.cat(parts).numpy()


class Probe(nn.Module):
    """The shipped victim, with a note of every call that passes through it."""

    def __init__(self, network: models.Network):
        super().__init__()
        self.network = network
        self.notes: list[dict[str, int | bool]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.notes.append(
            {
                "pictures": len(x),
                "training": self.network.training,
                "gradients": torch.is_grad_enabled(),
            }
        )
        return self.network(x)


def make_probe(training: bool) -> Probe:
    """A fresh shipped victim under observation, in training or in evaluation mode."""
    probe = Probe(Scenario("fashion").victim.network)
    probe.train(training)
    return probe


def read_probe(probe: Probe) -> dict[str, object]:
    """``calls``: the notes so far; ``training``: the mode it is in now."""
    return {"calls": list(probe.notes), "training": probe.network.training}
