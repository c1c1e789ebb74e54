"""Demo A's protocol, as its notebook has it: the network, the training loop, the pictures sent.

Victim and clone: conv32, pool, conv64, pool, fc512, dropout .5, fc10, on pictures normalised to
[-1, 1]; Adam at a constant 1e-3, batches of 64. The victim learns all of CIFAR-10 in ten epochs,
the thief sends Fashion-MNIST in three equal channels. ``demo_a`` and ``detectors`` measure on it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from benchmarks.cli import add_options, is_missing, measure_with
from benchmarks.store import ROOT
from trickster import data, models, training

QUERIES = 60_000
SHAPE = (3, 32, 32)
VICTIM = ROOT / "build" / "demo_a_victim.safetensors"  # kept between runs; delete it to train again


class Normalised(nn.Module):
    """Pixels from [0, 1] to [-1, 1]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x - 1


def network(seed: int) -> models.Network:
    """The notebook's architecture, for victim and clone."""
    with models.seeded(seed):
        body = nn.Sequential(
            Normalised(),
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 8 * 8, 512), nn.ReLU(), nn.Dropout(0.5),
        )  # fmt: skip
        return models.Network(body, nn.Linear(512, 10), {"kind": "demo_a"})


@contextmanager
def _no_denormals() -> Iterator[None]:
    """For this thread, and given back: code that comes later may need them (hypothesis does)."""
    before = torch.full((1,), 1e-40).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def learn(
    one: models.Network,
    x: np.ndarray,
    targets: np.ndarray,
    *,
    epochs: int,
    seed: int,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
) -> None:
    """The notebook's loop. ``training.fit`` would do, but its schedule makes another clone.

    In mixed precision: several times faster on recent processors, and on a GPU. Numbers too small
    for their exponent count as 0: Adam's averages for pixels that are always black become such
    numbers, with which most processors are many times slower.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inputs = torch.tensor(x).to(device, memory_format=torch.channels_last)
    wanted = torch.tensor(targets).to(device)
    one.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(one.parameters(), lr=1e-3, fused=True)
    with models.seeded(seed), training.repeatable(), _no_denormals():
        for _ in range(epochs):
            for batch in torch.randperm(len(inputs)).to(device).split(64):
                optimizer.zero_grad()
                with torch.autocast(device.type, torch.bfloat16):
                    outputs = one(inputs[batch])
                loss_of(outputs.float(), wanted[batch]).backward()
                optimizer.step()
    one.cpu().eval()


@cache
def cifar() -> data.Dataset:
    return data.load("cifar10")


@cache
def victim() -> models.Classifier:
    """One for all seeds and scripts, trained once."""
    one = network(0)
    if VICTIM.exists():
        one.load_state_dict(load_file(VICTIM))
    else:
        learn(one, cifar().x_train, cifar().y_train, epochs=10, seed=0)
        VICTIM.parent.mkdir(parents=True, exist_ok=True)
        weights = {name: value.contiguous() for name, value in one.state_dict().items()}
        save_file(weights, VICTIM)
    return models.Classifier(one.eval())


@cache
def queries() -> np.ndarray:
    """Fashion-MNIST as the notebook sends it: 32 by 32, three equal channels.

    Where there is no full Fashion-MNIST, the 12,000 pictures that ship with the course.
    """
    try:
        sent = data.load("fashion-full")
    except data.DataNotFound:
        sent = data.load("fashion")
    x = torch.tensor(sent.x_train[:QUERIES])
    large = F.interpolate(x, size=SHAPE[1:], mode="bilinear", align_corners=False)
    return large.expand(-1, 3, -1, -1).clamp(0, 1).numpy().copy()


def smooth(corners: np.ndarray) -> np.ndarray:
    """Fields of colour ``(n, 3, 32, 32)`` in [0, 1], from few colours ``(n, 3, h, w)``."""
    fields = F.interpolate(torch.tensor(corners), size=SHAPE[1:], mode="bicubic")
    return fields.clamp(0, 1).numpy()


def measure_on_cifar(part: ModuleType, left_out: str) -> int:
    """The main function of a part that needs CIFAR-10: 0 also where its pictures are not.

    ``left_out`` begins the sentence that says so.
    """
    parser = argparse.ArgumentParser(description=(part.__doc__ or part.PART).splitlines()[0])
    parser.add_argument("--root", type=Path, help="where CIFAR-10 lies; default: TRICKSTER_DATA")
    options = add_options(parser, part.jobs, timed=True).parse_args()
    if options.root:
        os.environ["TRICKSTER_DATA"] = str(options.root)
    jobs_wanted = part.jobs(options.count)
    try:
        if is_missing(options, part.PART, jobs_wanted):
            cifar()
    except data.DataNotFound as error:
        print(f"{left_out} left out, for CIFAR-10's pictures are not here. {error}")
        return 0
    print(part.section(measure_with(options, part.PART, jobs_wanted, part.run)))
    return 0
