"""Several small networks trained as one: their weights stacked, one step of AdamW for all.

Each network sees the batches that ``training.fit`` would show it, in the same order and under
the same schedule, so it ends with the same weights up to float rounding. What is saved is the
overhead of one small step after another; the arithmetic stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from trickster.progress import advance
from trickster.training import checked, few_threads, recipe


def fit_many(
    networks: Sequence[nn.Module],
    xs: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    seeds: Sequence[int],
    epochs: int = 10,
    batch_size: int = 64,
    lr: float = 2e-3,
    weight_decay: float = 0.01,
    device: str | torch.device | None = None,
) -> list[list[float]]:
    """Train each network in place on its own data; return the mean losses of each, by epoch.

    Parameters
    ----------
    networks : multilayer perceptrons of one architecture: linear layers with ReLU between.
    xs : for each network its pictures ``(n, ...)``, the same ``n`` for all.
    targets : for each network hard labels ``(n,)`` or posteriors ``(n, k)``; both may occur.
    seeds : for each network what ``training.fit`` calls ``seed``.
    epochs, batch_size, lr, weight_decay, device : as for ``training.fit``, the same for all.

    The networks end in evaluation mode on the CPU. Raises ``ValueError`` where ``training.fit``
    would, for networks of other kinds, and for data of different lengths.
    """
    if not networks or not len(networks) == len(xs) == len(targets) == len(seeds):
        raise ValueError(
            f"Every network needs its own pictures, targets and seed; got {len(networks)} "
            f"networks, {len(xs)} sets of pictures, {len(targets)} of targets, {len(seeds)} seeds."
        )
    stack = _Stack(networks)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    data = [checked(*one) for one in zip(networks, xs, targets, strict=True)]
    if len({len(x) for x, _ in data}) > 1:
        raise ValueError(
            "Networks that train as one take the same number of steps, so each needs as many "
            f"pictures; got {', '.join(str(len(x)) for x, _ in data)}."
        )
    pictures = [torch.tensor(x).flatten(1).to(device) for x, _ in data]
    wanted = [_distributions(t, stack.classes).to(device) for _, t in data]
    n = len(pictures[0])
    stack.to(device)
    steps = epochs * -(-n // batch_size)
    optimizer, schedule = recipe(stack.parameters, lr, weight_decay, steps)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    losses = []
    with few_threads(networks[0]):
        for _ in range(epochs):
            total = torch.zeros(len(networks), device=device)
            orders = [torch.randperm(n, generator=g).to(device) for g in generators]
            for batch in zip(*(order.split(batch_size) for order in orders), strict=True):
                loss = stack.backward(_gather(pictures, batch), _gather(wanted, batch))
                optimizer.step()
                schedule.step()
                total += loss * len(batch[0])
            losses.append((total / n).tolist())
            advance(len(networks) / epochs)
    stack.hand_back(networks)
    return [list(one) for one in zip(*losses, strict=True)]


class _Stack:
    """The weights ``(m, in, out)`` and biases ``(m, 1, out)`` of m networks, layer by layer."""

    def __init__(self, networks: Sequence[nn.Module]):
        chains = [_linear_layers(network) for network in networks]
        shapes = {tuple(layer.weight.shape for layer in chain) for chain in chains}
        if len(shapes) > 1:
            raise ValueError(
                "Networks that train as one must have the same layers; got "
                + " and ".join(str([tuple(s) for s in shape]) for shape in sorted(shapes))
                + "."
            )
        layers = list(zip(*chains, strict=True))
        self.weights = [torch.stack([one.weight.detach().T for one in same]) for same in layers]
        self.biases = [torch.stack([one.bias.detach()[None] for one in same]) for same in layers]

    @property
    def parameters(self) -> list[torch.Tensor]:
        return [*self.weights, *self.biases]

    @property
    def classes(self) -> int:
        return self.weights[-1].shape[2]

    def to(self, device: torch.device) -> None:
        """Move there, with room for the gradients: new memory at every step costs a tenth."""
        self.weights = [w.to(device).contiguous() for w in self.weights]
        self.biases = [b.to(device).contiguous() for b in self.biases]
        for parameter in self.parameters:
            parameter.grad = torch.empty_like(parameter)

    @torch.no_grad()
    def backward(self, x: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Each network's mean cross-entropy ``(m,)`` on its batch; the gradients are kept.

        ``x (m, n, d)`` and ``wanted (m, n, k)``: a batch of n rows for each network.
        """
        seen, last = [x], len(self.weights) - 1
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            seen.append(torch.baddbmm(bias, seen[-1], weight).relu_())
        logits = torch.baddbmm(self.biases[last], seen[last], self.weights[last])
        logs = logits.log_softmax(dim=2)
        error = logs.exp().mul_(wanted.sum(dim=2, keepdim=True)).sub_(wanted).div_(x.shape[1])
        for i in range(last, -1, -1):
            torch.bmm(seen[i].mT, error, out=self.weights[i].grad)
            torch.sum(error, dim=1, keepdim=True, out=self.biases[i].grad)
            if i:
                error = torch.bmm(error, self.weights[i].mT).mul_(seen[i] > 0)
        return -(wanted * logs).sum(dim=(1, 2)) / x.shape[1]

    def hand_back(self, networks: Sequence[nn.Module]) -> None:
        """Give every network its own weights again."""
        with torch.no_grad():
            for m, network in enumerate(networks):
                layers = _linear_layers(network)
                for layer, weight, bias in zip(layers, self.weights, self.biases, strict=True):
                    layer.weight.copy_(weight[m].T)
                    layer.bias.copy_(bias[m, 0])
                network.cpu().eval()


def _linear_layers(network: nn.Module) -> list[nn.Linear]:
    """The linear layers of a perceptron; ``ValueError`` if it is anything else."""
    parts = [part for part in network.modules() if not list(part.children())]
    kinds = [type(part) for part in parts if not isinstance(part, nn.Flatten)]
    if kinds[::2] != [nn.Linear] * (len(kinds) // 2 + 1) or kinds[1::2] != [nn.ReLU] * (
        len(kinds) // 2
    ):
        raise ValueError(
            "Only linear layers with ReLU between them train as one; this network has "
            + ", ".join(kind.__name__ for kind in kinds)
            + ". Train it with training.fit."
        )
    return [part for part in parts if isinstance(part, nn.Linear)]


def _distributions(targets: np.ndarray, classes: int) -> torch.Tensor:
    """Hard labels as their one-hot rows; posteriors as they are."""
    wanted = torch.tensor(targets)
    return nn.functional.one_hot(wanted, classes).float() if wanted.ndim == 1 else wanted


def _gather(rows: Sequence[torch.Tensor], batch: Sequence[torch.Tensor]) -> torch.Tensor:
    """The batch of every network from its own rows: ``(m, n, ...)``."""
    out = rows[0].new_empty((len(rows), len(batch[0]), *rows[0].shape[1:]))
    for one, order, room in zip(rows, batch, out, strict=True):
        torch.index_select(one, 0, order, out=room)
    return out
