"""The one training loop: hard labels or posteriors, deterministic for a seed, CPU or GPU.

Victims and clones all train here, so that a difference between two of them is never a
difference between two loops. (Demo A is measured with its own.)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from trickster.models import as_pictures, seeded
from trickster.progress import advance

Augment = Callable[[torch.Tensor], torch.Tensor]  # a batch of pictures to what is shown of it


def fit(
    network: nn.Module,
    x: np.ndarray,
    targets: np.ndarray,
    *,
    epochs: int = 10,
    batch_size: int = 64,
    lr: float = 2e-3,
    weight_decay: float = 0.01,
    seed: int = 0,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
    augment: Augment | None = None,
    mixed_precision: bool = False,
    device: str | torch.device | None = None,
    progress: str | None = None,
) -> list[float]:
    """Train ``network`` in place, end in evaluation mode, return the mean loss of each epoch.

    Parameters
    ----------
    x : float array ``(n, ...)``, the pictures.
    targets : hard labels, an integer array ``(n,)``; or posteriors, a float array ``(n, k)`` whose
        rows are distributions (the soft cross-entropy of Knockoff Nets, Orekondy et al. 2019).
    epochs, batch_size, lr, weight_decay : AdamW with a one-cycle schedule whose peak is ``lr``.
    seed : decides the order of the batches and dropout. Same seed, same machine
        and same number of threads: same weights, to the last bit.
    loss_of : the loss of a batch from its logits ``(b, k)`` and targets; default: cross-entropy.
        With another one, targets are whatever it takes.
    augment : changes a batch of pictures before it is shown; draws with torch, from ``seed``.
    mixed_precision : compute in bfloat16: much faster on recent processors, slower on old ones.
    device : where to train; default: a GPU if there is one. The network ends on the CPU.
    progress : a label for a progress bar on standard output; ``None``: no bar.

    Raises ``ValueError`` for empty, misaligned or non-finite data, and for unknown classes.
    """
    plain = loss_of is F.cross_entropy
    x, targets = checked(network, x, targets) if plain else _aligned(x, targets)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    pictures, wanted = _laid_out(network, x).to(device), torch.as_tensor(targets).to(device)
    network.to(device).train()
    steps = -(-len(pictures) // batch_size)
    optimizer, schedule = recipe(network.parameters(), lr, weight_decay, epochs * steps)
    losses = []
    bar = tqdm(total=epochs, desc=progress, file=sys.stdout, disable=progress is None, leave=False)
    with bar, seeded(seed), few_threads(network), repeatable():
        order = torch.Generator().manual_seed(seed)
        for _ in range(epochs):
            shuffled = torch.randperm(len(pictures), generator=order).to(device)
            total = torch.zeros((), device=device)
            for batch in shuffled.split(batch_size):
                logits = _logits(network, pictures[batch], augment, mixed_precision)
                loss = loss_of(logits, wanted[batch])
                _step(loss, optimizer, schedule)
                total += loss.detach() * len(batch)
            losses.append(float(total) / len(pictures))
            bar.update()
            bar.set_postfix(loss=f"{losses[-1]:.3f}")
            advance(1 / epochs)
    network.cpu().eval()
    return losses


def _logits(
    network: nn.Module, x: torch.Tensor, augment: Augment | None, mixed_precision: bool
) -> torch.Tensor:
    """What the network says in training, ``(b, k)`` in float32."""
    x = augment(x) if augment else x
    with torch.autocast(x.device.type, torch.bfloat16, enabled=mixed_precision):
        return network(x).float()


def _step(loss: torch.Tensor, optimizer: torch.optim.Optimizer, schedule: OneCycleLR) -> None:
    """Down the gradient of ``loss``, at the next rate."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()


def _laid_out(network: nn.Module, x: np.ndarray) -> torch.Tensor:
    """Pictures and network in the layout in which convolutions on a CPU are much faster."""
    pictures = as_pictures(x)
    if pictures.ndim != 4:
        return pictures
    network.to(memory_format=torch.channels_last)
    return pictures.contiguous(memory_format=torch.channels_last)


def shifted_and_flipped(pictures: torch.Tensor, most: int = 4) -> torch.Tensor:
    """Pictures ``(b, c, h, w)`` moved by up to ``most`` pixels, and half of them mirrored.

    What comes in at the edges is the picture's own mirror image. An ``augment`` for :func:`fit`.
    (Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural
    Networks", 2012.)
    """
    b, _, h, w = pictures.shape
    large = F.pad(pictures, (most,) * 4, mode="reflect")
    places = torch.randint(2 * most + 1, (b, 2)).tolist()
    parts = [one[:, y : y + h, x : x + w] for one, (y, x) in zip(large, places, strict=True)]
    moved = torch.stack(parts)
    mirrored = (torch.rand(b, 1, 1, 1) < 0.5).to(moved.device)
    moved = torch.where(mirrored, moved.flip(3), moved)
    return moved.contiguous(memory_format=torch.channels_last)


def reverse_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean of ``-log(1 - p_y)`` over a batch: small for a network that is wrong.

    Trains the source of lies of :func:`defenses.adaptive_misinformation`.
    (Kariyappa and Qureshi 2020.)
    """
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return (logits.logsumexp(dim=1) - others.logsumexp(dim=1)).mean()


def recipe(
    parameters: Iterable[torch.Tensor], lr: float, weight_decay: float, steps: int
) -> tuple[torch.optim.AdamW, OneCycleLR]:
    """How every network here is trained: AdamW, with a one-cycle schedule that peaks at ``lr``."""
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=_can_fuse())
    return optimizer, OneCycleLR(optimizer, lr, total_steps=steps)


def same_steps(n: int, like: int = 3_000, *, epochs: int = 10, batch_size: int = 64) -> int:
    """How many epochs of ``n`` pictures take as many steps as ``epochs`` of ``like`` pictures.

    A step is one batch. At a fixed number of epochs, fewer pictures also mean fewer steps, and a
    clone of few answers is weak for want of training. With this number of epochs every clone trains
    for equally long (up to half an epoch, and at least one), and what differs is what was asked.

    >>> [same_steps(n) for n in (100, 1_000, 3_000)]
    [235, 29, 10]
    """
    if min(n, like, epochs, batch_size) < 1:
        raise ValueError(
            f"Steps are counted for 1 picture or more; got n={n}, like={like}, epochs={epochs}, "
            f"batch_size={batch_size}."
        )
    return max(1, round(epochs * -(-like // batch_size) / -(-n // batch_size)))


@contextmanager
def repeatable() -> Iterator[None]:
    """cuDNN's repeatable convolutions: its usual ones add up in another order every time."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


@contextmanager
def few_threads(network: nn.Module) -> Iterator[None]:
    """One thread for a network without convolutions: its steps are too small to be shared.

    Beside another busy process, two threads that wait for each other at every step have
    taken ten times as long as one.
    """
    threads = torch.get_num_threads()
    if not any(isinstance(module, nn.Conv2d) for module in network.modules()):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_thread_if_busy() -> Iterator[None]:
    """One thread for torch, where others keep the machine's cores busy already.

    Threads that wait for each other on a shared machine take many times as long as one alone.
    """
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > cores:  # Windows tells no load
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def checked(
    network: nn.Module, x: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both as :func:`fit` wants them, or ``ValueError`` where ``network`` cannot learn them."""
    x, targets = _with_targets(*_aligned(x, targets))
    _check_classes(network, x, targets)
    return x, targets


def _aligned(x: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays: what every loss needs."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    targets = np.asarray(targets)
    if len(x) == 0:
        raise ValueError("There is nothing to train on: x has no rows.")
    if len(x) != len(targets):
        raise ValueError(f"x has {len(x)} rows but targets has {len(targets)}: one target a row.")
    if not np.isfinite(x).all():
        raise ValueError("x holds NaN or infinite values; a network cannot learn from them.")
    return x, targets


def _with_targets(x: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hard labels or posteriors, in the types that cross-entropy wants."""
    if targets.ndim == 1 and np.issubdtype(targets.dtype, np.integer):
        return x, targets.astype(np.int64)
    if targets.ndim == 2 and np.issubdtype(targets.dtype, np.floating):
        targets = targets.astype(np.float32)
        sums = targets.sum(axis=1)
        if not np.isfinite(sums).all() or (targets < 0).any() or np.abs(sums - 1).max() > 1e-3:
            raise ValueError(
                "targets of shape (n, k) must be posteriors: rows of probabilities that sum to 1. "
                "Logits go through trickster.models.softmax first."
            )
        return x, targets
    raise ValueError(
        "targets must be hard labels (integers, shape (n,)) or posteriors (floats, shape (n, k)); "
        f"got {targets.dtype} of shape {targets.shape}."
    )


def _check_classes(network: nn.Module, x: np.ndarray, targets: np.ndarray) -> None:
    """Ask before training: on a GPU a label out of range ends the whole process's session."""
    network.eval()
    with torch.inference_mode():
        k = network.cpu()(as_pictures(x[:1])).shape[1]
    if targets.ndim == 2 and targets.shape[1] != k:
        raise ValueError(f"The network has {k} classes but the posteriors {targets.shape[1]}.")
    if targets.ndim == 1 and not (targets.min() >= 0 and targets.max() < k):
        raise ValueError(
            f"The network's labels run from 0 to {k - 1} but the targets from {targets.min()} to "
            f"{targets.max()}."
        )


def _can_fuse() -> bool:
    """Fused AdamW runs on a CPU since torch 2.4; it is faster and otherwise the same."""
    major, minor = torch.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (2, 4)
