"""A student's network in the check's own hands, rebuilt from what ``probes.recorded`` notes.

What a check says of a network rests on what the network answers here, to pictures that were drawn
afterwards, and not on what the student's process says that it answers. A record is data that
anybody may have written: only the functions below are called, and what they would take of memory
and time is known before anything is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from trickster.checks.network_costs import BATCH, Costs, check_arguments
from trickster.checks.probes import tensors_in
from trickster.checks.result import Missed


def _named(prefix: str, owner: Any, names: str) -> dict[str, Any]:
    return {f"{prefix}.{name}": getattr(owner, name) for name in names.split()}


def _as_it_is(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Where a tensor lies, and with how many digits, is the student's machine's business."""
    return tensor


def _few_chunks(tensor: torch.Tensor, chunks: int, dim: int = 0) -> tuple[torch.Tensor, ...]:
    if chunks > BATCH:
        raise ValueError(f"{chunks} parts are too many.")
    return tensor.chunk(chunks, dim)


FUNCTIONS = {
    **_named(
        "torch.nn.functional",
        F,
        "conv1d conv2d conv_transpose2d linear relu relu6 leaky_relu elu selu celu gelu silu mish "
        "softplus softsign tanhshrink hardtanh hardswish hardsigmoid logsigmoid prelu glu tanh "
        "sigmoid softmax log_softmax normalize max_pool1d max_pool2d avg_pool1d avg_pool2d "
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d "
        "batch_norm layer_norm group_norm instance_norm dropout dropout1d dropout2d alpha_dropout "
        "feature_alpha_dropout pad interpolate pixel_shuffle pixel_unshuffle channel_shuffle",
    ),
    **_named(
        "torch",
        torch,
        "relu tanh sigmoid softmax log_softmax flatten reshape squeeze unsqueeze permute transpose "
        "cat stack add sub mul div neg abs exp log sqrt square pow clamp maximum minimum "
        "mean sum amax max matmul bmm addmm where logsumexp dropout movedim swapaxes",
    ),
    **_named(
        "torch.Tensor",
        torch.Tensor,
        "relu relu_ tanh sigmoid softmax log_softmax flatten reshape squeeze unsqueeze permute "
        "transpose unflatten add add_ sub sub_ mul mul_ div div_ neg abs exp log sqrt "
        "square pow __pow__ __rsub__ __rtruediv__ clamp maximum minimum mean sum amax max matmul "
        "mm bmm expand logsumexp __getitem__ std var movedim swapaxes",
    ),
    "torch.chunk": _few_chunks,
    "torch.Tensor.chunk": _few_chunks,
    "torch.spmm": torch.mm,  # so torch calls its mm
    "torch.Tensor.T.__get__": torch.t,
    # A layout in memory, on which a view depends, does not come along.
    "torch.Tensor.view": torch.Tensor.reshape,
    **dict.fromkeys(
        (
            *("torch.Tensor.data.__get__", "torch.Tensor.detach", "torch.Tensor.clone"),
            *("torch.Tensor.contiguous", "torch.Tensor.to", "torch.Tensor.cpu"),
            *("torch.Tensor.float", "torch.Tensor.double", "torch.Tensor.half"),
        ),
        _as_it_is,
    ),
}


class Rebuilt:
    """The network that a record describes.

    ``record`` is what ``probes.recorded`` returns for ``batch`` pictures. Raises
    :class:`Missed`, which tells the learner why, where it describes no network that can be asked.
    ``hidden`` is how many of its weights no optimizer would find, as the record says.
    """

    def __init__(self, record: Any, batch: int = BATCH):
        self.batch = batch
        try:
            self.hidden = int(record.get("hidden", 0))
            self._steps = [(str(name), args, named) for name, args, named in record["steps"]]
            self._constants = [_constant(array) for array in record["constants"]]
            self._answer = record["answer"]
        except (TypeError, ValueError, KeyError, AttributeError):
            raise Missed("what arrived of your network could not be read.") from None
        costs = Costs(len(self._steps))
        for name, args, named in self._steps:
            check_arguments(name[:80], args, named)
            if name not in FUNCTIONS:
                raise Missed(
                    f"your network calls {name[:80]}, which the check cannot compute. Use torch's "
                    "layers for pictures: convolutions, linear layers, pooling, norms, "
                    "activations, dropout."
                )
        if self._answer is None:
            raise Missed(
                "the check cannot follow your network from the pictures to its answer: forward "
                "must compute a tensor from the tensor that it is given."
            )
        self._weigh(costs)

    @property
    def drops_out(self) -> bool:
        """Whether it throws units away even in evaluation mode."""
        return any(
            "dropout" in name and (args[2] if len(args) > 2 else named.get("training", True))
            for name, args, named in self._steps
        )

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Its answers ``(n, k)`` to pictures ``x (n, 1, 28, 28)``."""
        short = -len(x) % self.batch
        pictures = torch.tensor(np.concatenate([x, np.zeros((short, *x.shape[1:]), x.dtype)]))
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            answers = [
                self._run(batch.clone(), [constant.clone() for constant in self._constants])
                for batch in pictures.split(self.batch)
            ]
        return torch.cat(answers).numpy()[: len(x)]

    def _weigh(self, costs: Costs) -> None:
        """Find out what an answer would cost, with tensors that have a shape and nothing else."""
        for constant in self._constants:
            costs.constant(constant)
        pictures = torch.empty(self.batch, 1, 28, 28, device="meta")
        constants = [constant.to("meta") for constant in self._constants]
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            answer = self._run(pictures, constants, costs.weigh)
        costs.add(counter.get_total_flops())
        if answer.ndim < 1 or len(answer) != self.batch:
            many = "one picture" if self.batch == 1 else f"{self.batch} pictures"
            raise Missed(
                f"to {many} it gives an answer of shape {tuple(answer.shape)}, not "
                f"({self.batch}, 10), whatever the number of pictures."
            )

    def _run(
        self,
        pictures: torch.Tensor,
        constants: list[torch.Tensor],
        weigh: Callable[[str, Any, Any, list[torch.Tensor]], None] | None = None,
    ) -> torch.Tensor:
        values = [pictures]
        for name, args, named in self._steps:
            try:
                args, named = (_with_tensors(given, values, constants) for given in (args, named))
                results = list(tensors_in(FUNCTIONS[name](*args, **named)))
            except Exception as error:
                raise Missed(f"{name} of your network fails in the check: {error}") from None
            if weigh is not None:
                weigh(name, args, named, results)
            values += results
        try:
            return values[self._answer]
        except (TypeError, IndexError):
            raise Missed("what arrived of your network could not be read.") from None


def _constant(array: Any) -> torch.Tensor:
    if type(array) is not np.ndarray:
        raise TypeError("a constant is an array")
    tensor = torch.tensor(array)
    if tensor.is_floating_point():
        tensor = tensor.float()
    layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
    return tensor.contiguous(memory_format=layout)  # as the pictures: it is several times faster


def _with_tensors(
    given: Any, values: list[torch.Tensor], constants: list[torch.Tensor], depth: int = 0
) -> Any:
    """A step's arguments as they were, with tensors in their places."""

    def again(part: Any) -> Any:
        return _with_tensors(part, values, constants, depth + 1)

    if isinstance(given, tuple):
        return tuple(again(part) for part in given)
    if isinstance(given, list):
        return [again(part) for part in given]
    if not isinstance(given, dict):
        return given
    if depth == 0:
        return {name: again(part) for name, part in given.items()}
    ((kind, content),) = given.items()
    if kind == "slice":
        return slice(*again(content))
    if kind == "other":
        return {"Ellipsis": ...}[content]
    return {"value": values, "constant": constants}[kind][content]
