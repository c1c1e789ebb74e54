"""What a network that somebody has noted would cost, before anything of it is computed.

Memory and time are counted from shapes alone: what arrives may be made to take hours, or all
memory, with few numbers in its answer or with none. What costs too much is refused with a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from trickster.checks.probes import tensors_in
from trickster.checks.result import Missed

BATCH = 64  # pictures that a network is recorded with, and asked about at a time
MAX_STEPS = 2_000
MAX_VALUES = 1_000_000  # numbers for each picture, over all steps; the lab's own needs 20,000
MAX_PASSING = 4_000_000  # numbers for each picture that a step keeps only for itself
MAX_FLOPS = 300_000_000  # for each picture; the lab's own needs 6 million
TOUCHED = 10  # flops of a product that reading or writing one number in another step is worth
MAX_SIZE = 1_000_000  # of an axis, a kernel, a padding
MAX_AXES = 16
MAX_ARGUMENTS = 1_000  # of one step, over all its lists

FREE = (  # as no number is looked at
    *("flatten", "reshape", "view", "squeeze", "unsqueeze", "permute", "transpose", "unflatten"),
    *("expand", "movedim", "swapaxes", "chunk", "detach", "clone", "contiguous", "to", "cpu"),
    *("float", "double", "half", "__get__"),
)
ARITHMETIC = (  # a number that is given to these is no size
    *("add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "pow", "__pow__"),
    *("__rsub__", "__rtruediv__", "clamp", "where"),
)


def check_arguments(name: str, args: Any, named: Any) -> None:
    """Raise Missed for a step whose arguments no network for small pictures would have."""
    leaves = _leaves([args, named], name.rpartition(".")[2] not in ARITHMETIC)
    for count, leaf in enumerate(leaves, 1):
        if count > MAX_ARGUMENTS:
            raise Missed(
                f"your network calls {name} with more than {MAX_ARGUMENTS:,} arguments, more than "
                "any layer for small pictures needs: split that step up."
            )
        if isinstance(leaf, int) and abs(leaf) > MAX_SIZE:
            raise Missed(
                f"your network calls {name} with a size above {MAX_SIZE:,}, which no layer for "
                "small pictures needs: make it smaller."
            )


def _leaves(part: Any, sizes: bool) -> Iterator[Any]:
    """What a step's arguments consist of; None for a number that is no size."""
    if isinstance(part, (list, tuple)):
        for one in part:
            yield from _leaves(one, sizes)
    elif isinstance(part, dict):
        for key, one in part.items():
            # The ends of slices may lie anywhere; indices of tensors are none of torch's.
            yield from _leaves(one, sizes and key not in ("slice", "value", "constant"))
    else:
        yield part if sizes else None


class Costs:
    """Adds up what a network costs, and refuses one that costs too much."""

    def __init__(self, steps: int):
        self.flops = self.values = 0
        if steps > MAX_STEPS:
            raise Missed(f"your network computes {steps} steps; the check follows {MAX_STEPS:,}.")

    def constant(self, constant: torch.Tensor) -> None:
        self._has_numbers("your network", constant)

    def weigh(self, name: str, args: Any, named: Any, results: list[torch.Tensor]) -> None:
        """Add a step, which was taken with tensors that have a shape and nothing else."""
        for result in results:
            self._has_numbers(f"{name} of your network", result)
        written = sum(result.numel() for result in results)
        self.values += written
        if self.values > BATCH * MAX_VALUES:
            raise _too_large()
        given = list(tensors_in([args, *named.values()]))
        if name.rpartition(".")[2] in FREE or not given or not results:
            return
        if _passing(name, args, named, results[0]) > BATCH * MAX_PASSING:
            raise _too_large()
        read = sum(tensor.numel() for tensor in given)
        if "pool" in name:
            read += written * _window(name, args, named, given[0], results[0])
        self.add(TOUCHED * (read + written))

    def add(self, flops: int) -> None:
        self.flops += flops
        if self.flops > BATCH * MAX_FLOPS:
            raise _too_large()

    @staticmethod
    def _has_numbers(what: str, tensor: torch.Tensor) -> None:
        if tensor.numel() == 0:
            raise Missed(
                f"{what} has a tensor without any number in it, of shape {tuple(tensor.shape)}: "
                "every step must compute something."
            )
        if tensor.ndim > MAX_AXES or max(tensor.shape, default=1) > MAX_SIZE:
            raise _too_large()


def _too_large() -> Missed:
    return Missed(
        "your network is fifty times as large as the one described here: take a smaller one."
    )


def _window(name: str, args: Any, named: Any, given: torch.Tensor, result: torch.Tensor) -> int:
    """From how many numbers, at most, a pooling step makes one."""
    axes = 2 if "2d" in name else 1
    plane, pooled = given.shape[-axes:], result.shape[-axes:]
    if "adaptive" in name:
        return math.prod(-(-size // out) + 1 for size, out in zip(plane, pooled, strict=True))
    kernel = args[1] if len(args) > 1 else named.get("kernel_size")
    sizes = [size for size in _leaves(kernel, True) if isinstance(size, int)]
    asked = sizes[0] ** axes if len(sizes) == 1 else math.prod(sizes)
    # One that begins in a wide padding walks up to the picture first.
    walk = max((n for n in _leaves([args, named], True) if type(n) is int), default=0)
    return min(asked, plane.numel()) + walk


def _passing(name: str, args: Any, named: Any, result: torch.Tensor) -> int:
    """How many numbers a step writes down for itself, at most."""
    given = [*tensors_in(args), *tensors_in(list(named.values()))]
    if "conv" in name:  # each window of each map in a row
        first = args[0] if args else named["input"]
        weight = args[1] if len(args) > 1 else named["weight"]
        axes = weight.ndim - 2
        moved = first if "transpose" in name else result
        channels = moved.shape[-axes - 1]
        return weight[0].numel() * (moved.numel() // channels)
    if name.endswith("matmul"):  # a factor that is repeated along some axes and not along others
        factors = [tensor if tensor.ndim > 1 else tensor[None] for tensor in given]
        pairs = math.prod(torch.broadcast_shapes(*(factor.shape[:-2] for factor in factors)))
        return sum(
            factor.numel()
            if math.prod(factor.shape[:-2]) in (1, pairs)
            else pairs * math.prod(factor.shape[-2:])
            for factor in factors
        )
    if "interpolate" in name and result.ndim == 4:  # one axis after the other
        (height, width), (high, wide) = given[0].shape[-2:], result.shape[-2:]
        maps = given[0].numel() // (height * width)
        return maps * max(height * wide, high * width)
    return 0
