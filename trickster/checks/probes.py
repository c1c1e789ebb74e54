"""How a check hands a model to the student's process, and takes the student's own out of it.

A lab imports these names in a cell that its author provides; the check calls them and gets plain
data back. They run beside the student's code, which can change them: so nothing that they return
is believed. A network comes out whole, as weights or as a record of what it computes, and the
check asks it itself; a model under test stays with the check and only seems to be here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name

# The autograder takes these names from the student's process, other imports from its own.
BESIDE_THE_STUDENT = True


# --- a network of the check's, to be trained here ---------------------------------------


def new_network(width: int, weights: list[np.ndarray]) -> nn.Sequential:
    """The network of lab 1 without dropout, ``width`` filters wide, with these ``weights``.

    It takes pictures ``(n, 1, 28, 28)``; ``weights`` are in the order of its parameters.
    """
    network = nn.Sequential(
        nn.Conv2d(1, width, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * 7 * 7, 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 10),
    )
    with torch.no_grad():
        for parameter, array in zip(network.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(array))
    return network


def weights_of(model: nn.Module) -> list[np.ndarray]:
    """Copies of a network's parameters, in their order."""
    return [parameter.detach().cpu().numpy().copy() for parameter in model.parameters()]


# --- a network of the student's, to be asked elsewhere -------------------------------------


def recorded(model: nn.Module, x: np.ndarray) -> dict[str, Any]:
    """What ``model`` computes from the pictures ``x (n, 1, 28, 28)`` in evaluation mode.

    Returns
    -------
    ``steps``: torch's own functions, each as ``[name, positional, named]``, where a ``Value(i)``
    is written ``{"value": i}`` (0 are the pictures, and every tensor that a step gives is the
    next) and a tensor that does not depend on the pictures ``{"constant": i}``; ``constants``:
    those as arrays; ``answer``: the number of the value that is the answer, None where the
    answer does not depend on the pictures; ``hidden``: how many of the weights that it computes
    with are not among ``model.parameters()``, where an optimizer would find them.
    """
    pictures, was_training = torch.tensor(x), model.training
    recorder = _Recorder(pictures, {id(weights) for weights in model.parameters()})
    model.eval()
    with torch.no_grad(), recorder:
        answer = model(pictures)
    model.train(was_training)
    return {
        "steps": recorder.steps,
        "constants": recorder.constants,
        "answer": recorder.numbers.get(id(answer)),
        "hidden": recorder.hidden,
    }


class _Recorder(TorchFunctionMode):
    """Notes each of torch's functions that computes something from the pictures."""

    def __init__(self, pictures: torch.Tensor, trainable: set[int]):
        super().__init__()
        self.hidden, self._trainable = 0, trainable
        self.steps: list[list[Any]] = []
        self.constants: list[np.ndarray] = []
        self.numbers = {id(pictures): 0}  # of the values
        self._places: dict[int, int] = {}  # of the constants
        self._kept: list[torch.Tensor] = [pictures]  # an id is free again when its tensor is gone
        self._values = 1

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = tensors_in([*args, *kwargs.values()])
        results = list(tensors_in(result))
        if results and any(id(tensor) in self.numbers for tensor in given):
            named = {name: self._plain(value) for name, value in kwargs.items()}
            self.steps.append([resolve_name(func), self._plain(args), named])
            for tensor in results:
                self.numbers[id(tensor)] = self._values
                self._values += 1
            self._kept += results
        return result

    def _plain(self, value: Any) -> Any:
        """``value`` without tensors."""
        if isinstance(value, torch.Tensor):
            number = self.numbers.get(id(value))
            return {"constant": self._constant(value)} if number is None else {"value": number}
        if isinstance(value, tuple):
            return tuple(self._plain(one) for one in value)
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if isinstance(value, slice):
            return {"slice": [self._plain(end) for end in (value.start, value.stop, value.step)]}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        return {"other": str(value)}  # such as a dtype

    def _constant(self, tensor: torch.Tensor) -> int:
        if id(tensor) not in self._places:
            if isinstance(tensor, nn.Parameter) and id(tensor) not in self._trainable:
                self.hidden += tensor.numel()
            self._places[id(tensor)] = len(self.constants)
            self.constants.append(tensor.detach().cpu().numpy().copy())
            self._kept.append(tensor)
        return self._places[id(tensor)]


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a value, and in the lists and tuples that it is made of, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors_in(one)


# --- a model of the check's, to be asked here ----------------------------------------------


class Live(Protocol):
    """A model that stays with the check."""

    def answer(self, x: np.ndarray, gradients: bool) -> np.ndarray: ...

    def switch(self, training: bool) -> None: ...

    def copy(self) -> Live: ...


class Watched(nn.Module):
    """A module like any other, but what answers is ``live``, which the check holds."""

    def __init__(self, live: Live, training: bool):
        super().__init__()
        # What is asked of modules: where they are, and whether their answers carry gradients.
        self.zero = nn.Parameter(torch.zeros(()))
        self.live = live
        self.training = training

    def train(self, mode: bool = True) -> Watched:
        super().train(mode)
        self.live.switch(bool(mode))
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.live.answer(x.detach().cpu().numpy(), torch.is_grad_enabled())
        return torch.tensor(logits) + self.zero

    def records_gradients(self) -> bool:
        """Whether it can be trained here, outside of any block; from now on it can."""
        recording = torch.is_grad_enabled() and self.zero.requires_grad
        torch.set_grad_enabled(True)
        self.zero.requires_grad_(True)
        return recording

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        return Watched(self.live.copy(), self.training)


def watched(live: Live, training: bool) -> Watched:
    """A module for ``live``, which is in training or in evaluation mode."""
    return Watched(live, training)
