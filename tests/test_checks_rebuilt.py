"""Networks taken out of the student's process: what is rebuilt answers as the original does."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trickster import models
from trickster.checks.probes import recorded
from trickster.checks.rebuilt import BATCH, FUNCTIONS, Rebuilt
from trickster.checks.result import Missed

X = np.random.default_rng(5).random((150, 1, 28, 28), np.float32)


class Attends(nn.Module):
    """Pieces of the picture that look at each other, as in a transformer."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(1, 16, 4, 4)
        self.ask = nn.Linear(16, 48)
        self.first = nn.Parameter(torch.randn(1, 1, 16))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        pieces = self.cut(x).flatten(2).transpose(1, 2)
        pieces = torch.cat([self.first.expand(len(x), -1, -1), pieces], dim=1)
        q, k, v = self.ask(self.norm(pieces)).chunk(3, dim=-1)
        pieces = pieces + (q @ k.transpose(-2, -1) / 16**0.5).softmax(-1) @ v
        return self.head(pieces[:, 0])


class Squeezes(nn.Module):
    """Channels weighed by a product, statistics, a changed type, an average over the picture."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False)
        self.norm = nn.GroupNorm(2, 8)
        self.weigh = nn.Linear(8, 8)
        self.last = nn.Linear(16, 10)
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, x):
        x = F.leaky_relu(self.norm(self.conv((1 - x) * self.scale))).float()
        x = x * torch.sigmoid(self.weigh(x.mean((2, 3))))[:, :, None, None]
        return self.last(torch.cat([x.amax((2, 3)), x.flatten(2).std(2)], 1))


NETWORKS = {
    "cnn": models.cnn,
    "cnn, channels last": lambda: models.cnn().to(memory_format=torch.channels_last),
    "mlp": models.mlp,
    "attends": Attends,
    "squeezes": Squeezes,
    "double": lambda: nn.Sequential(nn.Flatten(), Double()),
}


class Double(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(784, 10, dtype=torch.float64) / 30)

    def forward(self, x):
        return x.double() @ self.weight


@pytest.mark.parametrize("name", NETWORKS)
def test_a_rebuilt_network_answers_as_the_original(name):
    torch.manual_seed(3)
    network = NETWORKS[name]()
    network.train()
    rebuilt = Rebuilt(recorded(network, X[:BATCH]))
    assert network.training
    network.eval()
    with torch.no_grad():
        want = network(torch.tensor(X)).numpy()
    assert np.abs(rebuilt.logits(X) - want).max() < 1e-5
    assert rebuilt.logits(X[:1]).shape == (1, 10)
    assert not rebuilt.drops_out


def test_what_is_rebuilt_stays_as_it_was_recorded():
    network = models.mlp()
    rebuilt = Rebuilt(recorded(network, X[:BATCH]))
    before = rebuilt.logits(X)
    with torch.no_grad():
        network.head.weight.zero_()
    assert (rebuilt.logits(X) == before).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.LSTM(784, 10)), "calls torch.lstm"),
        (Numpy := type("Numpy", (nn.Module,), {"forward": lambda self, x: torch.tensor(x.numpy())}),
         "cannot follow"),
        (Constant := type("Constant", (nn.Module,), {"forward": lambda self, x: torch.eye(10)}),
         "cannot follow"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_followed_is_refused_with_its_reason(make, words):
    with pytest.raises(Missed, match=words):
        Rebuilt(recorded(make(), X[:BATCH]))


def record(*steps, constants=(), answer=None):
    """A record as a student's process might forge it."""
    return {
        "steps": list(steps),
        "constants": list(constants),
        "answer": len(steps) if answer is None else answer,
    }


PICTURES = {"value": 0}
LAYERS = "torch.nn.functional"
AXIS = ["torch.Tensor.flatten", (PICTURES,), {}]


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        (None, "could not be read"),
        ([], "could not be read"),
        (record("relu"), "could not be read"),
        (record(["torch.relu", (PICTURES,), {}], answer=7), "could not be read"),
        (record(["torch.relu", (PICTURES,), {}], answer="first"), "could not be read"),
        (record(["torch.relu", (PICTURES,), {}], answer=[1]), "could not be read"),
        (record(["torch.relu", (PICTURES,), {}], constants=["text"]), "could not be read"),
        (record(["torch.relu", (PICTURES,), {}], constants=[{}]), "could not be read"),
        (record(["torch.load", ("/etc/passwd",), {}]), "calls torch.load"),
        (record(["builtins.eval", ("1",), {}]), "calls builtins.eval"),
        (record(["torch.relu", ({"constant": 3},), {}]), "torch.relu of your network fails"),
        (record(["torch.relu", ({"other": "torch.float64"},), {}]), "fails"),
        (record(["torch.relu", ({"value": 0, "constant": 0},), {}]), "fails"),
        (record(["torch.relu", 5, {}]), "fails"),
        (record(["torch.relu", (), {}]), "fails"),
        (record(["torch.relu", (PICTURES,), {"no such": 1}]), "fails"),
        (record(["torch.sum", (PICTURES,), {}]), r"an answer of shape \(\)"),
        (record(["torch.relu", (PICTURES,), {}], answer=None) | {"answer": None}, "cannot follow"),
        (record(*[["torch.relu", (PICTURES,), {}]] * 2_001), "2001 steps"),
        # What would take all memory or hours is refused before anything is computed.
        (record(["torch.Tensor.expand", (PICTURES, 10**6, 64, 1, 28, 28), {}]), "fifty"),
        (record(["torch.nn.functional.pad", (PICTURES, [10**6] * 4), {}]), "fifty"),
        (record(["torch.nn.functional.interpolate", (PICTURES,), {"size": [9**5] * 2}]), "fifty"),
        (
            record(
                ["torch.nn.functional.conv2d", (PICTURES, {"constant": 0}), {"padding": 12}],
                constants=[np.zeros((5_000, 1, 25, 25), np.float32)],
            ),
            "fifty",
        ),
        (
            record(
                ["torch.nn.functional.pad", (PICTURES, [400] * 4), {}],
                ["torch.nn.functional.avg_pool2d", ({"value": 1}, 300, 1), {}],
            ),
            "fifty",
        ),
        (record(AXIS, ["torch.Tensor.chunk", ({"value": 1}, 50_000), {}]), "too many"),
    ],
)
def test_a_forged_record_is_refused_at_once(forged, words):
    began = time.process_time()
    with pytest.raises(Missed, match=words):
        Rebuilt(forged)
    assert time.process_time() - began < 5


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_a_network_that_writes_into_its_own_constants_is_the_same_for_every_batch():
    """A constant that grew with each batch would fill the memory after twenty."""
    twice = ["torch.cat", ([{"constant": 0}, {"constant": 0}],), {}]
    kept = ["torch.add", ({"value": 1}, 1.0), {"out": {"constant": 0}}]
    rebuilt = Rebuilt(record(twice, kept, constants=[np.ones(10, np.float32)]) | {"answer": 0})
    rebuilt.logits(X)
    assert rebuilt._constants[0].tolist() == [1] * 10


EMPTY, LARGE, SIZE = "without any number", "fifty", "a size above 1,000,000"
FIRST, SECOND, THIRD = {"constant": 0}, {"constant": 1}, {"value": 1}
ROW = np.zeros((1, 1, 1, 29), np.float32)
LONG = np.zeros(4_000_000, np.float32)
PLANE = np.zeros((1, 1, 300, 300), np.float32)
# Many numbers are read, or kept for a while, although few come out, or none.
COSTLY = {
    "nothing, in 2**40 columns": (EMPTY + "|" + SIZE, [
        [f"{LAYERS}.adaptive_max_pool2d", (PICTURES, [2**40, 0]), {}]], []),
    "nothing, in rows": (EMPTY, [
        [f"{LAYERS}.adaptive_avg_pool2d", (PICTURES, [0, 10**6]), {}]], []),
    "nothing, padded": (EMPTY, [[f"{LAYERS}.pad", (PICTURES, [-28, 0, 10**6, 0]), {}]], []),
    "nothing, expanded": (EMPTY, [["torch.Tensor.expand", (PICTURES, 0, 64, 1, 28, 28), {}]], []),
    "nothing, cut out": (EMPTY, [
        ["torch.Tensor.__getitem__", (PICTURES, {"slice": [0, 0, 1]}), {}]], []),
    "a constant without numbers": (EMPTY, [AXIS], [np.zeros((0, 3), np.float32)]),
    "an overflow": (SIZE, [[f"{LAYERS}.conv2d", (PICTURES, FIRST, None, 1, 2**62), {}]], [ROW]),
    "a wide padding": (LARGE, [[f"{LAYERS}.max_pool2d", (PICTURES, 10**6, 1, 5 * 10**5), {}]], []),
    "long windows": (LARGE, [
        AXIS, ["torch.reshape", (THIRD, [1, -1]), {}],
        *[[f"{LAYERS}.avg_pool1d", ({"value": 2}, 25_000, 1), {}]] * 2], []),
    "many arguments": ("arguments", [
        ["torch.Tensor.__getitem__", (PICTURES, (None,) * 200_000), {}]], []),
    "many axes": (LARGE, [["torch.Tensor.__getitem__", (PICTURES, (None,) * 60), {}]], []),
    "long sums": (LARGE, [["torch.sum", (FIRST,), {}]] * 2_000, [LONG]),
    "products of all pairs": (LARGE, [["torch.matmul", (FIRST, SECOND), {}]], [
        np.zeros((400, 1, 1, 4_000), np.float32), np.zeros((1, 400, 4_000, 1), np.float32)]),
    "a kernel as large as its map": (LARGE, [
        [f"{LAYERS}.conv2d", (), {"weight": SECOND, "input": FIRST, "padding": 150}]],
        [PLANE, PLANE]),
    "a map between two sizes": (LARGE, [
        [f"{LAYERS}.interpolate", (FIRST, [1, 50_000]), {"mode": "bilinear", "antialias": True}]],
        [np.zeros((1, 1, 50_000, 1), np.float32)]),
}  # fmt: skip


@pytest.mark.parametrize("what", COSTLY)
def test_work_is_counted_not_only_what_comes_out(what):
    words, steps, constants = COSTLY[what]
    began = time.process_time()
    with pytest.raises(Missed, match=words):
        Rebuilt(record(*steps, constants=constants))
    assert time.process_time() - began < 5


HONEST = {
    "a small window": ([f"{LAYERS}.max_pool2d", (PICTURES, 2), {}], []),
    "one large window": ([f"{LAYERS}.avg_pool2d", (PICTURES, 28), {}], []),
    "a padded window": ([f"{LAYERS}.max_pool2d", (PICTURES, 28, 1, 14), {}], []),
    "a large number": (["torch.where", (FIRST, PICTURES, -(10**9)), {}], [np.ones(28, bool)]),
    "up to the end": (
        ["torch.Tensor.__getitem__", (PICTURES, {"slice": [None, 2**63 - 1, None]}), {}], []),
    "a wide layer": (["torch.matmul", (PICTURES, FIRST), {}], [np.zeros((28, 5_000), np.float32)]),
    "many channels": ([f"{LAYERS}.conv2d", (PICTURES, FIRST, None, 1, 2), {}],
        [np.zeros((256, 1, 5, 5), np.float32)]),
}  # fmt: skip


@pytest.mark.parametrize("what", HONEST)
def test_what_a_network_for_pictures_does_is_computed(what):
    step, constants = HONEST[what]
    assert len(Rebuilt(record(step, constants=constants)).logits(X)) == len(X)


def test_only_functions_without_side_effects_can_be_called():
    for name in FUNCTIONS:
        assert name.startswith(("torch.nn.functional.", "torch.Tensor.", "torch."))
        assert not any(word in name for word in ("load", "save", "file", "set_", "jit", "hook"))
