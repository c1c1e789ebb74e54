"""The quick recipe: the gradients of autograd, in another layout and another precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trickster import attacks, models, training
from trickster.quick import DEVIATION, MOMENTUM, RATE, fit_quickly, orthogonal

RNG = np.random.default_rng(0)
X = RNG.random((60, 2, 8, 12), dtype=np.float32)
P = RNG.dirichlet(np.ones(4), 60).astype(np.float32)


def network(kind: str) -> models.Network:
    if kind == "mlp":
        return models.mlp(X.shape[1:], 4, hidden=16, seed=1)
    return models.cnn(X.shape[1:], 4, width=4, dropout=0, seed=1)


class Standardised(torch.nn.Module):
    """A network that standardises its pictures itself: what is trained, written down plainly."""

    def __init__(self, inner: models.Network, mean: float, deviation: float):
        super().__init__()
        self.inner, self.mean, self.deviation = inner, mean, deviation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.inner.spec["kind"] == "mlp":
            return self.inner((x - self.mean) / self.deviation)
        # Outside of a picture it is black, which is not 0 any more.
        x = (F.pad(x, (2, 2, 2, 2)) - self.mean) / self.deviation
        first, *others = self.inner.body
        x = F.conv2d(x, first.weight, first.bias, stride=2)
        for module in others:
            x = module(x)
        return self.inner.head(x)


def by_autograd(network: torch.nn.Module, targets: np.ndarray, how: dict) -> list[float]:
    """The same recipe, without the layout and the gradients of `quick`."""
    kernels = [p for p in network.parameters() if p.ndim == 4]
    others = [p for p in network.parameters() if p.ndim != 4]
    steps = how["epochs"] * -(-len(X) // how["batch_size"])
    optimizer, schedule = training.recipe(others, how["lr"], how["weight_decay"], steps)
    paces = [torch.zeros_like(kernel) for kernel in kernels]
    x, wanted, losses = torch.tensor(X), torch.tensor(targets), []
    order = torch.Generator().manual_seed(how["seed"])
    for _ in range(how["epochs"]):
        total = 0.0
        for batch in torch.randperm(len(X), generator=order).split(how["batch_size"]):
            network.zero_grad()
            loss = F.cross_entropy(network(x[batch]), wanted[batch])
            loss.backward()
            total += float(loss.detach()) * len(batch)
            rate = RATE * schedule.get_last_lr()[0]
            with torch.no_grad():
                for kernel, pace in zip(kernels, paces, strict=True):
                    pace.copy_(MOMENTUM * pace + kernel.grad)
                    step = orthogonal((kernel.grad + MOMENTUM * pace).flatten(1))
                    kernel.mul_(1 - rate * how["weight_decay"]).sub_(rate * step.view_as(kernel))
            optimizer.step()
            schedule.step()
        losses.append(total / len(X))
    return losses


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize("targets", [P, P.argmax(axis=1)], ids=["soft", "hard"])
def test_it_ends_where_autograd_ends(kind: str, targets: np.ndarray) -> None:
    how = {"epochs": 3, "batch_size": 16, "lr": 5e-3, "weight_decay": 0.3, "seed": 7}
    quick, plain = network(kind), network(kind)
    pixels = torch.tensor(X)
    around = Standardised(plain, float(pixels.mean()), float(pixels.std() / DEVIATION))
    losses = fit_quickly(quick, X, targets, dtype=torch.float32, **how)
    assert losses == pytest.approx(by_autograd(around, targets, how), abs=1e-4)
    with torch.inference_mode():
        expected = around(pixels).numpy()
    assert models.Classifier(quick).logits(X) == pytest.approx(expected, abs=2e-3)
    assert not quick.training


def test_a_step_is_orthogonal_and_points_the_same_way() -> None:
    for shape in ((16, 40), (40, 16)):
        matrix = torch.tensor(RNG.normal(size=shape), dtype=torch.float32)
        u, values, v = torch.linalg.svd(orthogonal(matrix), full_matrices=False)
        assert values.min() > 0.6 and values.max() < 1.3
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        assert torch.sum((left @ right) * (u @ v)) == pytest.approx(16, abs=1e-2)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_half_the_precision_is_repeatable_and_close(kind: str) -> None:
    how = {"epochs": 3, "batch_size": 16, "seed": 7}
    ended = []
    for dtype in (torch.bfloat16, torch.bfloat16, torch.float32):
        trained = network(kind)
        fit_quickly(trained, X, P, dtype=dtype, **how)
        ended.append(models.Classifier(trained).posteriors(X))
    assert np.array_equal(ended[0], ended[1])
    assert 0 < np.abs(ended[0] - ended[2]).max() < 0.02


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_a_thief_may_ask_for_it(kind: str) -> None:
    quick = {"network": kind, "quick": True, "epochs": 1, "seed": 3}
    alone = attacks.train_clone(X, P, **quick).logits(X)
    sets = [attacks.TrainingSet(X, P, **quick), attacks.TrainingSet(X, P, epochs=1, seed=3)]
    together = [clone.logits(X) for clone in attacks.train_clones(sets)]
    assert np.array_equal(together[0], alone)
    assert not np.allclose(together[1], alone, atol=1e-3)


@pytest.mark.parametrize(
    ("other", "x", "words"),
    [
        (models.cnn(X.shape[1:], 4, width=4), X, "without dropout"),
        (models.cnn((2, 8, 10), 4, width=4, dropout=0), X[..., :10], "multiples of 4"),
        (torch.nn.Linear(3, 4), X, "got Linear"),
        (network("mlp"), X * np.nan, "NaN"),
        (network("mlp"), X * 0, "All pixels"),
    ],
)
def test_what_it_cannot_train_it_refuses(other, x, words) -> None:
    with pytest.raises(ValueError, match=words):
        fit_quickly(other, x, P)
