"""What lab 1's training gives after 16 epochs in place of 8, for what the lab says of it.

python -m benchmarks.longer_training             # 3 seeds, four minutes on one core
python -m benchmarks.longer_training --seeds 1
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks import answers, cli
from benchmarks.formatting import markdown_table, short
from benchmarks.store import Job, Measurement, Results
from trickster import data
from trickster.evaluation import accuracy, expected_calibration_error
from trickster.models import Classifier, softmax

PART = "longer_training"
EPOCHS = 16  # the lab itself shows 8
MEASURED = ("training loss", "held-out loss", "accuracy", "mean confidence", "calibration error")


def run(job: Job) -> Measurement:
    """The reference's network and loop, with the pictures and the first seed of the lab."""
    epochs, seed = job
    lab, fashion = answers.solution("lab1"), data.load("fashion")
    network = lab["build_victim"](seed=seed)
    losses = lab["train_victim"](network, fashion.x_train, fashion.y_train, epochs, seed=seed)
    logits = Classifier(network).logits(fashion.x_test)
    held_out = F.cross_entropy(torch.tensor(logits), torch.tensor(fashion.y_test)).item()
    posteriors = softmax(logits)
    found = (
        losses[-1],
        held_out,
        float(accuracy(logits, fashion.y_test)),
        float(posteriors.max(axis=1).mean()),
        expected_calibration_error(posteriors, fashion.y_test),
    )
    return dict(zip(MEASURED, found, strict=True))


def values(results: Results, what: str) -> np.ndarray:
    """One of ``MEASURED``, of each seed."""
    return np.array([one[what] for _, one in results])


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows = [(job[1], *(short(one[what]) for what in MEASURED)) for job, one in results]
    return (
        f"The reference's network and training step after {EPOCHS} epochs; lab 1 prints the same "
        "after each of 8, for seed 0.\n\n" + markdown_table(("seed", *MEASURED), rows)
    )


def jobs(seeds: int = 3) -> list[Job]:
    """As many seeds; the first is the lab's."""
    return [(EPOCHS, seed) for seed in range(seeds)]


if __name__ == "__main__":
    cli.main(sys.modules[__name__])
