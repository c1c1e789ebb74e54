"""Lab 1's checks: right answers of several kinds pass, and each wrong one is named."""

import numpy as np
import pytest
import torch
from reading import in_words
from reference import reference
from torch import nn
from torch.nn import functional as F

from trickster.api import BudgetExceeded, InvalidQuery
from trickster.checks import fixtures, lab1
from trickster.checks.probes import forward, make_probe, read_probe

pytestmark = pytest.mark.usefixtures("library_answers")


@pytest.fixture(scope="module")
def names():
    return reference("lab1")


# --- exercise 1 ---------------------------------------------------------------------


def test_build_victim_reference(names):
    assert lab1.build_victim(names["build_victim"], forward) == 2.0


def test_build_victim_another_network():
    def build(seed=0):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 10))

    assert lab1.build_victim(build, forward) == 2.0


def test_build_victim_that_ends_in_softmax(names):
    def build(seed=0):
        return nn.Sequential(names["build_victim"](seed), nn.Softmax(dim=1))

    result = lab1.build_victim(build, forward)
    assert result == 1.0
    assert "ends in a softmax" in in_words(result)


def test_build_victim_without_its_seed():
    def unseeded(seed=0):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    def fixed(seed=0):
        torch.manual_seed(0)
        return unseeded()

    result = lab1.build_victim(unseeded, forward)
    assert result == 1.0
    assert "before the first layer" in in_words(result)
    result = lab1.build_victim(fixed, forward)
    assert result == 1.0
    assert "use the argument" in in_words(result)


def test_build_victim_of_the_wrong_shape():
    def build(seed=0):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 5))

    result = lab1.build_victim(build, forward)
    assert result == 0.0
    assert "shape (64, 5); asked (64, 10)" in in_words(result)


# --- exercise 2 ---------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """The check on 2,000 pictures: what is under test here is its judgement, not the victim's."""
    from trickster import data

    whole = fixtures.fashion()
    small = data.Dataset(
        "fashion",
        whole.x_train[:2000],
        whole.y_train[:2000],
        whole.x_test,
        whole.y_test,
        whole.classes,
    )
    monkeypatch.setattr(fixtures, "fashion", lambda: small)


def small_network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))


def loop(step, seeded=True):
    """A training loop around ``step(model, optimizer, x, y) -> loss``."""

    def train(model, x, y, epochs=3, batch_size=64, lr=3e-3, seed=0):
        x, y = torch.tensor(x), torch.tensor(y)
        if seeded:
            torch.manual_seed(seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        losses = []
        for _ in range(epochs):
            total = 0.0
            for batch in torch.randperm(len(x)).split(batch_size):
                total += step(model, optimizer, x[batch], y[batch]) * len(batch)
            losses.append(total / len(x))
        return losses

    return train


def right_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def test_train_victim_partial_credit_for_a_weak_victim(quick):
    result = lab1.train_victim(small_network, loop(right_step), forward)
    assert 2.0 <= result < 5.0
    assert "held-out accuracy" in in_words(result)


def test_train_victim_that_never_steps(quick):
    def step(model, optimizer, x, y):
        return F.cross_entropy(model(x), y).item()

    result = lab1.train_victim(small_network, loop(step), forward)
    assert result == 1.0
    assert "The loss stands still" in in_words(result)


def test_train_victim_unseeded(quick):
    result = lab1.train_victim(small_network, loop(right_step, seeded=False), forward)
    assert result < 4.0
    assert "draws at random outside the seed" in in_words(result)


def test_train_victim_that_returns_nothing(quick):
    def train(model, x, y, epochs=1, batch_size=64, lr=3e-3, seed=0):
        return None

    result = lab1.train_victim(small_network, train, forward)
    assert result == 0.0
    assert "return statement" in in_words(result)


# --- exercise 3 ---------------------------------------------------------------------


def predicting(answer, finish=torch.cat, mode=False, restore=True, shuffle=False):
    """A predict_proba around ``answer(logits)``, with one thing done wrong or none."""

    def predict_proba(model, x, batch_size=512):
        was_training = model.training
        if mode is not None:
            model.train(mode)
        with torch.no_grad():
            x = torch.tensor(x)
            order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
            out = finish([answer(model(x[part])) for part in order.split(batch_size)])
        if restore:
            model.train(was_training)
        return out.numpy()

    return predict_proba


def softmax_rows(logits):
    return logits.softmax(dim=1)


def judge(predict):
    return lab1.predict_proba(predict, make_probe, read_probe)


def test_predict_proba_reference(names):
    assert judge(names["predict_proba"]) == 4.0


def test_predict_proba_other_right_ways():
    assert judge(predicting(softmax_rows)) == 4.0
    assert judge(predicting(lambda z: F.log_softmax(z, dim=1).exp())) == 4.0

    def one_by_one(model, x, batch_size=512):
        was = model.training
        model.eval()
        rows = []
        with torch.inference_mode():
            for start in range(0, len(x), batch_size):
                logits = model(torch.from_numpy(np.array(x[start : start + batch_size]))).numpy()
                weights = np.exp(logits - logits.max(axis=1, keepdims=True))
                rows.extend(weights / weights.sum(axis=1, keepdims=True))
        model.train(was)
        return rows

    assert judge(one_by_one) == 4.0


@pytest.mark.parametrize(
    ("predict", "points", "words"),
    [
        (predicting(lambda z: z), (2, 3), "These are the logits"),
        (predicting(lambda z: z.softmax(dim=0)), (2, 2), "the softmax runs over the batch (dim=0)"),
        (predicting(lambda z: z.log_softmax(dim=1)), (2, 3), "log-probabilities"),
        (predicting(torch.sigmoid), (2, 3), "sigmoid"),
        (predicting(softmax_rows, mode=None), (3, 3), "Training mode was left on"),
        (predicting(softmax_rows, shuffle=True), (2, 2), "are the rows shuffled?"),
        (predicting(softmax_rows, restore=False), (3, 3), "Note model.training"),
    ],
)
def test_predict_proba_wrong_ways_are_named(predict, points, words):
    result = judge(predict)
    assert points[0] <= result <= points[1]
    assert words in in_words(result)


def test_predict_proba_with_gradients():
    def predict(model, x, batch_size=512):
        was = model.training
        model.eval()
        out = model(torch.tensor(x)).softmax(dim=1)
        model.train(was)
        return out

    result = judge(predict)
    assert result == 0.0
    assert "still carries gradients" in in_words(result)

    def detached(model, x, batch_size=512):
        return predict(model, x).detach().numpy()

    result = judge(detached)
    assert result == 3.0
    assert "gradients were recorded" in in_words(result)


def test_predict_proba_forgets_the_last_batch():
    def predict(model, x, batch_size=512):
        whole = len(x) // batch_size * batch_size
        return predicting(softmax_rows)(model, x[:whole] if whole else x, batch_size)

    result = judge(predict)
    assert result == 3.0
    assert "asked (300, 10)" in in_words(result)


# --- exercise 4 ---------------------------------------------------------------------


def calibration(combine):
    """An ECE around ``combine(shares, accuracies, confidences)`` of the bins that hold answers."""

    def ece(posteriors, y, bins=15):
        confidence, right = posteriors.max(1), posteriors.argmax(1) == y
        bin_of = np.minimum(np.ceil(confidence * bins).astype(int) - 1, bins - 1)
        masks = [bin_of == b for b in range(bins) if (bin_of == b).any()]
        return combine(
            np.array([m.mean() for m in masks]),
            np.array([right[m].mean() for m in masks]),
            np.array([confidence[m].mean() for m in masks]),
        )

    return ece


def test_calibration_reference(names):
    assert lab1.expected_calibration_error(names["expected_calibration_error"]) == 3.0


def test_calibration_another_right_way():
    def ece(posteriors, y, bins=15):
        confidence, right = posteriors.max(1), posteriors.argmax(1) == y
        edges = np.linspace(0, 1, bins + 1)
        bin_of = np.digitize(confidence, edges[1:-1], right=True)
        gap = np.bincount(bin_of, right.astype(float) - confidence, minlength=bins)
        return np.abs(gap).sum() / len(y)

    assert lab1.expected_calibration_error(ece) == 3.0


@pytest.mark.parametrize(
    ("combine", "words"),
    [
        (lambda n, a, c: np.abs(a - c).mean(), "weight it by its share"),
        (lambda n, a, c: np.abs(a - c).max(), "largest gap"),
        (lambda n, a, c: (n * (a - c)).sum(), "Gaps of different sign cancel"),
        (lambda n, a, c: (n * (c - a)).sum(), "Gaps of different sign cancel"),
    ],
)
def test_calibration_wrong_formulas_are_named(combine, words):
    result = lab1.expected_calibration_error(calibration(combine))
    assert result <= 1.0
    assert words in in_words(result)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_calibration_that_divides_by_zero():
    def ece(posteriors, y, bins=15):
        confidence, right = posteriors.max(1), posteriors.argmax(1) == y
        bin_of = np.ceil(confidence * bins).astype(int) - 1
        gaps = [
            abs(right[bin_of == b].mean() - confidence[bin_of == b].mean()) * (bin_of == b).mean()
            for b in range(bins)
        ]
        return sum(gaps)

    result = lab1.expected_calibration_error(ece)
    assert result <= 1.0
    assert "not a finite number" in in_words(result)


# --- exercise 5 ---------------------------------------------------------------------


def service(order="check charge answer", count=len, checks=True, budget_check=True, whole=True):
    """An API class with one thing done wrong or none."""

    class API:
        def __init__(self, predict, budget):
            self.predict, self.budget, self.used = predict, budget, 0

        def query(self, x):
            if checks:
                if x.ndim != 4 or x.shape[1:] != (1, 28, 28) or len(x) == 0:
                    raise InvalidQuery("shape")
                if x.dtype.kind != "f" or not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
                    raise InvalidQuery("pixels")
            if budget_check and self.used + len(x) > self.budget:
                if whole:
                    raise BudgetExceeded("me", len(x), self.budget - self.used)
                x = x[: self.budget - self.used]
            if order == "check charge answer":
                self.used += count(x)
                return self.predict(x)
            answers = self.predict(x)
            self.used += count(x)
            return answers

    return API


def test_api_reference(names):
    assert lab1.api(names["API"]) == 4.0
    assert lab1.api(service()) == 4.0


@pytest.mark.parametrize(
    ("made", "points", "words"),
    [
        (service(order="answer first"), 3, "You count a query after answering it"),
        (service(count=lambda x: 1), 1, "add len(x), not 1"),
        (service(checks=False), 3, "Check shape, size, dtype"),
        (service(budget_check=False), 3, "6 more: answered"),
        (service(whole=False), 3, "is refused whole"),
    ],
)
def test_api_wrong_ways_are_named(made, points, words):
    result = lab1.api(made)
    assert result == pytest.approx(points, abs=0.4)
    assert words in in_words(result)


def test_api_that_raises_the_wrong_error():
    class API(service()):
        def query(self, x):
            try:
                return super().query(x)
            except (InvalidQuery, BudgetExceeded) as error:
                raise AssertionError("no") from error

    result = lab1.api(API)
    assert result <= 2.0
    assert "raised AssertionError instead of BudgetExceeded" in in_words(result)


@pytest.mark.slow
def test_train_victim_reference_end_to_end(names):
    points = lab1.train_victim(names["build_victim"], names["train_victim"], forward)
    assert points == 5.0
