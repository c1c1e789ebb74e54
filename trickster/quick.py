"""The quick recipe: a clone as faithful as ``training.fit`` makes it, in less than half the time.

Half the epochs are enough, since pictures are standardised (LeCun et al., "Efficient BackProp",
1998) and convolutions learn by orthogonal steps (Jordan et al., "Muon: An Optimizer for Hidden
Layers in Neural Networks", 2024). An epoch is shorter, since a convolution is computed as a product
of two matrices, forth and back, and matrices are multiplied in bfloat16 where the processor is made
for that, while the weights stay in float32 (Micikevicius et al., "Mixed Precision Training", 2018).

No lab and no check trains with it: their thresholds were measured with ``training.fit``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trickster.models import Network
from trickster.training import checked, few_threads, recipe

DEVIATION = 2.0  # of the standardised pictures' pixels
KERNEL, STRIDE, EDGE = 5, 2, 2  # of the convolutions in ``models.cnn``
MOMENTUM = 0.9  # of a convolution's steps
RATE = 10  # times AdamW's: what a convolution's weights move along orthogonal directions


def fit_quickly(
    network: Network,
    x: np.ndarray,
    targets: np.ndarray,
    *,
    epochs: int = 5,
    batch_size: int | None = None,
    lr: float = 5e-3,
    weight_decay: float = 0.01,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> list[float]:
    """Train an MLP or a CNN in place, on the CPU; return the mean loss of each epoch.

    Parameters
    ----------
    network : from ``models.mlp``, or from ``models.cnn`` with ``dropout=0`` for pictures whose
        sides are multiples of 4.
    x, targets, epochs, batch_size, lr, weight_decay, seed : as for ``training.fit``. A CNN does
        well with 5 epochs in batches of 64 (its default) and ``lr=5e-3``; an MLP with 7 in batches
        of 128 (its default) and ``lr=6e-3``.
    dtype : in which matrices are multiplied; default: :func:`best_dtype`.

    The network ends in evaluation mode and takes the same pictures as before: what standardises
    them has become part of its first layer. Same seed, same machine and same number of threads:
    same weights, to the last bit. Raises ``ValueError`` where ``training.fit`` would, and for
    networks of other kinds.
    """
    kind = _kind(network)
    batch_size = batch_size or kind.batch_size
    x, targets = checked(network, x, targets)
    pictures = torch.tensor(x)
    mean, deviation = pictures.mean(), pictures.std() / DEVIATION
    if not deviation > 0:
        raise ValueError("All pixels of x are the same: there is nothing to learn from them.")
    stack = kind(network, dtype or best_dtype())
    rows = stack.rows((pictures - mean) / deviation, -mean / deviation)
    wanted = torch.tensor(targets)
    if wanted.ndim == 1:
        wanted = F.one_hot(wanted, network.head.out_features).float()
    steps, losses = epochs * -(-len(x) // batch_size), []
    optimizer, schedule = recipe(stack.parameters, lr, weight_decay, steps)
    paces = [torch.zeros_like(kernel) for kernel in stack.kernels]
    order = torch.Generator().manual_seed(seed)
    with torch.no_grad(), few_threads(network):
        for _ in range(epochs):
            total = torch.zeros(())
            for batch in torch.randperm(len(x), generator=order).split(batch_size):
                total += _descend(stack, rows.index_select(0, batch), wanted[batch]) * len(batch)
                _turn(stack, paces, RATE * schedule.get_last_lr()[0], weight_decay)
                optimizer.step()
                schedule.step()
            losses.append(float(total) / len(x))
        stack.layers[0].take_in(mean, deviation)
        stack.hand_back()
    network.eval()
    return losses


def best_dtype() -> torch.dtype:
    """bfloat16 if the processor has instructions for its products, and torch says so."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    quick = known.get("avx512_bf16") or known.get("amx_bf16")
    return torch.bfloat16 if quick else torch.float32


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """``matrix`` with all its singular values near 1, from about 0.7 to 1.2.

    By five steps of a Newton-Schulz iteration, with the coefficients of Jordan et al. 2024.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def _turn(stack: _MLP, paces: list[torch.Tensor], rate: float, weight_decay: float) -> None:
    """One step of the convolutions, whose momentum is in ``paces``."""
    for kernel, pace in zip(stack.kernels, paces, strict=True):
        pace.mul_(MOMENTUM).add_(kernel.grad)
        step = orthogonal((kernel.grad + MOMENTUM * pace).to(stack.dtype))
        kernel.mul_(1 - rate * weight_decay).sub_(rate * step)


def _descend(stack: _MLP, rows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of a batch; the layers keep the gradients."""
    logs = stack.forward(rows).log_softmax(dim=1)
    stack.backward(logs.exp().mul_(wanted.sum(dim=1, keepdim=True)).sub_(wanted).div_(len(rows)))
    return -(wanted * logs).sum() / len(rows)


class _Layer:
    """A linear layer as a matrix ``(in, out)``, with its own way back."""

    def __init__(self, matrix: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype):
        self.weight, self.bias = matrix.detach().clone(), bias.detach().clone()
        self.weight.grad, self.bias.grad = map(torch.empty_like, (self.weight, self.bias))
        self.dtype = dtype

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.rows, self.matrix = rows.to(self.dtype), self.weight.to(self.dtype)
        return torch.addmm(self.bias.to(self.dtype), self.rows, self.matrix)

    def keep(self, error: torch.Tensor) -> torch.Tensor:
        """Keep the gradients that follow from the error of what came out; the error."""
        error = error.to(self.dtype)
        self.weight.grad.copy_(self.rows.T @ error)
        torch.sum(error, 0, dtype=torch.float32, out=self.bias.grad)
        return error

    def backward(self, error: torch.Tensor) -> torch.Tensor:
        """The same; the error of what went in."""
        return self.keep(error) @ self.matrix.T

    def take_in(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Take what standardised the rows into the weights."""
        self.weight /= deviation
        self.bias -= mean * self.weight.sum(dim=0)


class _MLP:
    """One hidden layer."""

    batch_size = 128

    def __init__(self, network: Network, dtype: torch.dtype):
        self.dtype = dtype
        self.modules = [network.body[1], network.head]
        # The last layer is small, and its logits are differences that bfloat16 would round.
        kinds = (dtype, torch.float32)
        pairs = zip(self.modules, kinds, strict=True)
        self.layers = [_Layer(module.weight.T, module.bias, kind) for module, kind in pairs]

    @property
    def kernels(self) -> list[torch.Tensor]:
        """The weights of convolutions, which learn by orthogonal steps."""
        return []

    @property
    def parameters(self) -> list[torch.Tensor]:
        """All other weights, and all biases."""
        weights = [layer.weight for layer in self.layers[len(self.kernels) :]]
        return weights + [layer.bias for layer in self.layers]

    def rows(self, x: torch.Tensor, nothing: torch.Tensor) -> torch.Tensor:
        """What the first layer reads of pictures ``(n, c, h, w)``, a row for each."""
        return x.flatten(1).to(self.dtype)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        first, head = self.layers
        self.hidden = first.forward(rows).relu_()
        return head.forward(self.hidden)

    def backward(self, error: torch.Tensor) -> None:
        first, head = self.layers
        first.keep(_behind_relu(head.backward(error), self.hidden))

    def matrices(self) -> list[torch.Tensor]:
        """The layers' weights as the network's modules have them."""
        return [layer.weight.T for layer in self.layers]

    def hand_back(self) -> None:
        """Give the network its own weights again."""
        for module, layer, weight in zip(self.modules, self.layers, self.matrices(), strict=True):
            module.weight.copy_(weight)
            module.bias.copy_(layer.bias)


class _CNN(_MLP):
    """Two strided convolutions and a hidden layer. Channels come last between its layers."""

    batch_size = 64

    def __init__(self, network: Network, dtype: torch.dtype):
        self.dtype = dtype
        one, two, hidden = (network.body[i] for i in (0, 2, 5))
        self.modules = [one, two, hidden, network.head]
        _, h, w = network.spec["input_shape"]
        self.sides, self.width, self.wide = (h // 4, w // 4), one.out_channels, two.out_channels
        last = hidden.weight.unflatten(1, (self.wide, -1)).transpose(1, 2).flatten(1)
        self.layers = [
            *(
                _Layer(c.weight.permute(2, 3, 1, 0).flatten(0, 2), c.bias, dtype)
                for c in (one, two)
            ),
            _Layer(last.T, hidden.bias, dtype),
            _Layer(network.head.weight.T, network.head.bias, torch.float32),
        ]

    @property
    def kernels(self) -> list[torch.Tensor]:
        return [layer.weight for layer in self.layers[:2]]

    def rows(self, x: torch.Tensor, nothing: torch.Tensor) -> torch.Tensor:
        """All windows of the first convolution; ``nothing`` is what a black pixel has become."""
        padded = F.pad(x, (EDGE,) * 4, value=float(nothing)).to(self.dtype)
        return _windows(padded.permute(0, 2, 3, 1).contiguous(), KERNEL, STRIDE).view(len(x), -1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        first, second, hidden, head = self.layers
        n, (h, w) = len(rows), self.sides
        one = first.forward(rows.view(-1, first.weight.shape[0])).relu_()
        padded = F.pad(one.view(n, 2 * h, 2 * w, self.width), (0, 0) + (EDGE,) * 4)
        two = second.forward(_windows(padded, KERNEL, STRIDE)).relu_()
        three = hidden.forward(two.view(n, -1)).relu_()
        self.seen = one, two, three
        return head.forward(three)

    def backward(self, error: torch.Tensor) -> None:
        first, second, hidden, head = self.layers
        one, two, three = self.seen
        error = _behind_relu(head.backward(error), three)
        error = _behind_relu(hidden.backward(error).view_as(two), two)
        error = self._before_second(second.keep(error), len(three))
        first.keep(_behind_relu(error, one))

    def _before_second(self, error: torch.Tensor, n: int) -> torch.Tensor:
        """The error of what the second convolution read, a row for each pixel.

        Its way back is a 3x3 convolution without a stride, which writes blocks of 2x2 pixels.
        """
        (h, w), second = self.sides, self.layers[1]
        kernel = second.matrix.view(KERNEL, KERNEL, self.width, self.wide)
        blocks = F.pad(kernel, (0, 0, 0, 0, 0, 1, 0, 1)).view(3, 2, 3, 2, self.width, self.wide)
        back = blocks.flip(0, 2).permute(0, 2, 5, 1, 3, 4).reshape(9 * self.wide, 4 * self.width)
        padded = F.pad(error.view(n, h, w, self.wide), (0, 0, 1, 1, 1, 1))
        found = (_windows(padded, 3, 1) @ back).view(n, h, w, 2, 2, self.width)
        return found.transpose(2, 3).reshape(-1, self.width)

    def matrices(self) -> list[torch.Tensor]:
        *convolutions, hidden, head = self.layers
        kernels = [c.weight.unflatten(0, (KERNEL, KERNEL, -1)) for c in convolutions]
        last = hidden.weight.T.unflatten(1, (-1, self.wide)).transpose(1, 2).flatten(1)
        return [*(kernel.permute(3, 2, 0, 1) for kernel in kernels), last, head.weight.T]


def _kind(network: nn.Module) -> type[_MLP]:
    """How a network trains quickly; ``ValueError`` where it does not."""
    spec = getattr(network, "spec", {})
    if spec.get("kind") == "mlp":
        return _MLP
    sides = spec.get("input_shape", ())[1:]
    if spec.get("kind") == "cnn" and not spec["dropout"] and not any(s % 4 for s in sides):
        return _CNN
    raise ValueError(
        "Only models.mlp and models.cnn train quickly, the latter without dropout and for pictures "
        f"whose sides are multiples of 4; got {spec or type(network).__name__}. Train it with "
        "training.fit."
    )


def _windows(x: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """All windows of pictures ``(n, h, w, c)``, in rows of ``size * size * c``."""
    n, h, w, c = x.shape
    down, right = (h - size) // stride + 1, (w - size) // stride + 1
    shape = (n, down, right, size, size * c)  # a window's row lies in one piece
    strides = (h * w * c, stride * w * c, stride * c, w * c, 1)
    return x.as_strided(shape, strides).reshape(n * down * right, size * size * c)


def _behind_relu(error: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """The error before a ReLU from that behind it, where ``seen`` came out of it."""
    return torch.ops.aten.threshold_backward(error.to(seen.dtype), seen, 0)
