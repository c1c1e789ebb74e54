"""The small networks of the course, and the one way to ask them for answers.

Networks are ordinary ``torch`` modules. :class:`Classifier` puts NumPy arrays
around one: what a service really serves. Training lives in ``training``.
"""

from __future__ import annotations

import itertools
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import nn

from trickster.files import write_atomically


class Network(nn.Module):
    """A body that computes features and a head that turns them into logits.

    ``forward`` takes pictures ``(n, c, h, w)`` and returns logits ``(n, k)``;
    ``features`` returns what the head sees, ``(n, d)``.
    """

    def __init__(self, body: nn.Module, head: nn.Linear, spec: dict):
        super().__init__()
        self.body, self.head, self.spec = body, head, spec

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))

    def layers(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """What becomes of pictures ``(n, c, h, w)`` on their way, in one pass.

        ``"picture"`` is ``x`` itself; ``"conv1"``, ``"conv2"``, ... what each convolution passes
        on ``(n, channels, h, w)``; ``"features"`` what the head sees ``(n, d)``.
        """
        found = {"picture": x}
        for module in self.body:
            x = module(x)
            if isinstance(module, nn.ReLU) and x.ndim == 4:
                found[f"conv{len(found)}"] = x
        return found | {"features": x}


def cnn(
    input_shape: tuple[int, int, int] = (1, 28, 28),
    n_classes: int = 10,
    *,
    width: int = 32,
    dropout: float = 0.25,
    seed: int = 0,
) -> Network:
    """Two strided 5x5 convolutions and one hidden layer: fast on a CPU, .885 on Fashion-MNIST.

    ``width`` is the number of filters of the first layer (the second has twice,
    the hidden layer four times as many). Stride 2 instead of pooling makes it
    several times faster than 3x3 convolutions with batch norm.
    """
    c, h, w = input_shape
    with seeded(seed):
        body = nn.Sequential(
            nn.Conv2d(c, width, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * _quarter(h) * _quarter(w), 4 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        head = nn.Linear(4 * width, n_classes)
    spec = {
        "kind": "cnn",
        "input_shape": list(input_shape),
        "n_classes": n_classes,
        "width": width,
        "dropout": dropout,
    }
    return Network(body, head, spec)


def vgg(
    input_shape: tuple[int, int, int] = (3, 32, 32),
    n_classes: int = 10,
    *,
    width: int = 64,
    seed: int = 0,
) -> Network:
    """Five 3x3 convolutions with batch norm, for small colour pictures; sides of at least 8.

    The convolutions have ``width / 4``, ``width``, twice ``width`` (two of them) and four times
    ``width`` filters; the sides are halved before the second, third and last. Features are the
    means of the last channels. Much slower than :func:`cnn`, and much better on CIFAR-10.
    (Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    2015, and Ioffe and Szegedy, "Batch Normalization", 2015; both in small.)
    """
    widths = (input_shape[0], width // 4, width, 2 * width, 2 * width, 4 * width)
    halved_before = (1, 2, 4)  # the first convolution is number 0
    parts: list[nn.Module] = []
    with seeded(seed):
        for i, (before, after) in enumerate(itertools.pairwise(widths)):
            parts += [nn.MaxPool2d(2)] if i in halved_before else []
            parts += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
            parts += [nn.ReLU()]
        body = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        head = nn.Linear(widths[-1], n_classes)
    spec = {
        "kind": "vgg",
        "input_shape": list(input_shape),
        "n_classes": n_classes,
        "width": width,
    }
    return Network(body, head, spec)


def mlp(
    input_shape: tuple[int, int, int] = (1, 28, 28),
    n_classes: int = 10,
    *,
    hidden: int = 256,
    seed: int = 0,
) -> Network:
    """One hidden layer: the thief's quick clone (an order of magnitude faster than a CNN)."""
    c, h, w = input_shape
    with seeded(seed):
        body = nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, hidden), nn.ReLU())
        head = nn.Linear(hidden, n_classes)
    spec = {
        "kind": "mlp",
        "input_shape": list(input_shape),
        "n_classes": n_classes,
        "hidden": hidden,
    }
    return Network(body, head, spec)


class Classifier:
    """A network behind NumPy: pictures ``(n, c, h, w)`` in, plain arrays out.

    Every answer is computed in evaluation mode, without gradients and in
    batches; the network is left in the mode it was found in.
    """

    def __init__(self, network: nn.Module, *, batch_size: int = 256):
        # Convolutions on a CPU are faster in this memory layout, most of all in small batches.
        self.network = network.to(memory_format=torch.channels_last)
        self.batch_size = batch_size

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Unnormalised scores, float32 ``(n, k)``."""
        return self._run(self.network, x)

    def posteriors(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 ``(n, k)``, each row summing to 1."""
        return softmax(self.logits(x))

    def labels(self, x: np.ndarray) -> np.ndarray:
        """The most probable class, int64 ``(n,)``."""
        return self.logits(x).argmax(axis=1)

    def features(self, x: np.ndarray) -> np.ndarray:
        """What the last layer sees, float32 ``(n, d)``."""
        return self._run(self.network.features, x)

    def features_and_posteriors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both from one forward pass."""

        def both(batch: torch.Tensor) -> dict[str, torch.Tensor]:
            features = self.network.features(batch)
            return {"features": features, "logits": self.network.head(features)}

        found = self._run_each(both, x)
        return found["features"], softmax(found["logits"])

    def statistics(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """A few numbers of each layer: what the features alone have forgotten of a picture.

        float32 arrays with a row for each picture. ``"picture"``: mean and deviation of each
        colour ``(n, 2 c)``. ``"conv1"``, ``"conv2"``, ...: mean and deviation of each channel that
        a convolution passes on, behind its ReLU ``(n, 2 channels)``. ``"features"`` ``(n, d)``.
        """
        return self.statistics_and_posteriors(x)[0]

    def statistics_and_posteriors(self, x: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """:meth:`statistics` and :meth:`posteriors` from one forward pass."""

        def columns(batch: torch.Tensor) -> dict[str, torch.Tensor]:
            layers = self.network.layers(batch)
            found = {name: _mean_and_deviation(layer) for name, layer in layers.items()}
            return found | {"logits": self.network.head(layers["features"])}

        found = self._run_each(columns, x)
        return found, softmax(found.pop("logits"))

    def channel_products(self, x: np.ndarray, power: int = 1) -> dict[str, np.ndarray]:
        """How strongly each pair of a layer's channels is active in the same places.

        For each convolution (``"conv1"``, ...) the upper half of its Gram matrix, float32
        ``(n, channels (channels + 1) / 2)``: means over the places of a picture of the products
        of two channels, each to the ``power``, and of this the ``power``-th root.
        (Sastry and Oore, "Detecting Out-of-Distribution Examples with Gram Matrices", 2020.)
        """

        def columns(batch: torch.Tensor) -> dict[str, torch.Tensor]:
            layers = self.network.layers(batch)
            return {k: _gram(v, power) for k, v in layers.items() if k.startswith("conv")}

        if not any(isinstance(module, nn.Conv2d) for module in self.network.modules()):
            raise ValueError("Only convolutions have channels; this network has none.")
        return self._run_each(columns, x)

    def _run_each(self, function, x: np.ndarray) -> dict[str, np.ndarray]:
        """:meth:`_run` for a function that returns several tensors ``(n, ...)`` by name."""
        widths: dict[str, int] = {}

        def side_by_side(batch: torch.Tensor) -> torch.Tensor:
            found = function(batch)
            widths.update({name: columns.shape[1] for name, columns in found.items()})
            return torch.cat(list(found.values()), dim=1)

        out = self._run(side_by_side, x)
        ends = np.cumsum(list(widths.values()))
        return dict(zip(widths, np.split(out, ends[:-1], axis=1), strict=True))

    def _run(self, function, x: np.ndarray) -> np.ndarray:
        device = next(self.network.parameters()).device
        was_training = self.network.training
        self.network.eval()
        try:
            with torch.inference_mode():
                pictures = as_pictures(x)
                parts = [function(b.to(device)).cpu() for b in pictures.split(self.batch_size)]
                return torch.cat(parts).numpy()
        finally:
            self.network.train(was_training)


def _mean_and_deviation(layer: torch.Tensor) -> torch.Tensor:
    """Of each channel of ``(n, c, h, w)``, ``(n, 2 c)``; a layer without places as it is."""
    if layer.ndim == 2:
        return layer
    mean = layer.mean(dim=(2, 3), keepdim=True)
    deviation = (layer - mean).square().mean(dim=(2, 3)).sqrt()
    return torch.cat([mean[:, :, 0, 0], deviation], dim=1)


def _gram(layer: torch.Tensor, power: int) -> torch.Tensor:
    """The upper half of the Gram matrix of each row of ``(n, c, h, w)``, of order ``power``."""
    channels = layer.flatten(2) ** power
    products = (channels @ channels.mT / channels.shape[2]) ** (1 / power)
    row, column = torch.triu_indices(*products.shape[1:])
    return products[:, row, column]


def as_pictures(x: np.ndarray) -> torch.Tensor:
    """``x`` as a float32 tensor; it may share memory with ``x``, so never write to it."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    # torch warns about a read-only array, and data.load returns nothing else.
    return torch.as_tensor(x if x.flags.writeable else x.copy())


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, stable for large logits; keeps the dtype."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def save(network: Network, path: str | Path, *, half: bool = False) -> None:
    """Write weights and architecture as one safetensors file (data only, nothing executable).

    With ``half`` floats are written in half precision: half the size, and three digits.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    if half:
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    metadata = {"spec": json.dumps(network.spec, sort_keys=True)}
    write_atomically(path, to_safetensors(tensors, metadata=metadata))


def load(path: str | Path) -> Network:
    """The network that :func:`save` wrote, in evaluation mode.

    Raises ``ValueError`` where the file is damaged or was not written by :func:`save`.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            spec = json.loads((file.metadata() or {}).get("spec", "null"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a readable safetensors file ({error}). Make it again, or restore it "
            "from the repository."
        ) from error
    if not isinstance(spec, dict) or spec.get("kind") not in BUILDERS:
        raise ValueError(
            f"{path} does not say which network it holds; save it with trickster.models.save."
        )
    options = {key: value for key, value in spec.items() if key != "kind"}
    try:
        network = BUILDERS[spec["kind"]](**options)
        network.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} holds weights that do not fit the network it names: {error}"
        ) from error
    return network.eval()


BUILDERS = {"cnn": cnn, "mlp": mlp, "vgg": vgg}


@contextmanager
def seeded(seed: int):
    """Initial weights from a seed; the caller's random state stays untouched."""
    # A GPU that nobody has started yet has no state to keep, and must not be started for this.
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=list(gpus)):
        torch.manual_seed(seed)
        yield


def _quarter(size: int) -> int:
    return -(-size // 4)
