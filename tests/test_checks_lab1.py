"""Lab 1's checks: right answers of several kinds pass, and each wrong one is named."""

import copy
import re
import warnings
from contextlib import nullcontext
from threading import Lock

import numpy as np
import pytest
import torch
from drawn import the_same, under_a_secret, under_secrets
from reading import in_words
from reference import ROOT, reference
from torch import nn
from torch.nn import functional as F

from autograder import held_back
from autograder.course import pick_labs
from trickster import models, withheld
from trickster.api import BudgetExceeded, InvalidQuery
from trickster.checks import draws, lab1, live_model, probes, training_cases
from trickster.checks.live_model import LiveModel
from trickster.checks.probes import new_network, recorded, watched, weights_of
from trickster.scenario import Scenario

pytestmark = pytest.mark.usefixtures("library_answers")


@pytest.fixture(scope="module")
def names():
    return reference("lab1")


def grading(number):
    """As a course with this secret grades; 0 is a student's desk."""
    if not number:
        return nullcontext()
    return draws.grading_with(bytes([number]) * 16, held_back.load())


# --- exercise 1 ---------------------------------------------------------------------


def test_build_victim_reference(names):
    assert the_same(under_secrets(lab1.build_victim, names["build_victim"], recorded)) == 2.0


class Residual(nn.Module):
    """Nothing but what a student may come across: shapes asked for, sums, functions, slices."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Linear(8 * 7 * 7, 12)

    def forward(self, x):
        x = F.relu((x - 0.286) / 0.353 + 0 * self.first.bias.sum())
        x = self.first(x)
        x = x + torch.relu(self.norm(self.second(x)))
        x += 1
        x = F.max_pool2d(x, 2).view(x.size(0), -1)
        return self.last(F.dropout(x, 0.3, self.training))[:, :10]


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))


class Around(nn.Module):
    """A network with something before it or after it, in which it may be hidden in a list."""

    def __init__(self, network, before=None, after=None, hides=False, misspelt=False):
        super().__init__()
        self.layers = [network] if hides else nn.ModuleList([network])
        self.before, self.after = before or nn.Identity(), after or nn.Identity()
        if not misspelt:
            self.forward = self.foward

    def foward(self, x):
        return self.after(self.layers[0](self.before(x)))


def seeded(make):
    def build(seed=0):
        torch.manual_seed(seed)
        return make()

    return build


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 10)),
        Residual,
        lambda: nn.Sequential(
            nn.Conv2d(1, 16, 3, padding="same"),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Dropout2d(0.1),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.GELU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.LazyLinear(32),
            nn.LayerNorm(32),
            nn.PReLU(),
            nn.Linear(32, 10),
        ),
        lambda: models.cnn(width=8, seed=torch.initial_seed()),
    ],
    ids=["flat", "residual", "many layers", "the library's"],
)
def test_build_victim_another_network(make):
    assert lab1.build_victim(seeded(make), recorded) == 2.0


def test_build_victim_that_ends_in_softmax(names):
    def build(seed=0):
        return nn.Sequential(names["build_victim"](seed), nn.Softmax(dim=1))

    result = lab1.build_victim(build, recorded)
    assert result == 1.0
    assert "ends in a softmax" in in_words(result)


def test_build_victim_without_its_seed():
    def unseeded(seed=0):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    result = lab1.build_victim(unseeded, recorded)
    assert result == 1.0
    assert "before the first layer" in in_words(result)
    result = lab1.build_victim(lambda seed=0: seeded(unseeded)(7), recorded)
    assert result == 1.0
    assert "use the argument seed" in in_words(result)


def test_build_victim_that_always_drops_out():
    class Drops(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(784, 10)

        def forward(self, x):
            return self.last(F.dropout(x.flatten(1), 0.3))

    result = lab1.build_victim(seeded(Drops), recorded)
    assert result == 1.0
    assert "training=self.training" in in_words(result)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 5)), "(64, 5), not (64, 10)"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(800, 10)), "does not take pictures"),
        (lambda: None, "return statement"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LSTM(784, 10)), "torch.lstm"),
        (lambda: nn.Sequential(nn.Conv2d(1, 4_000, 9, padding=4)), "fifty times as large"),
        (lambda: flat().double(), "leave out .double()"),
        (lambda: Around(flat(), misspelt=True), "A network's method forward computes"),
    ],
)
def test_build_victim_that_gives_no_such_network(make, words):
    result = lab1.build_victim(seeded(make), recorded)
    assert result == 0.0
    assert words in in_words(result)
    assert "Not written" not in in_words(result)
    assert ("padding=2" in in_words(result)) == (words == "does not take pictures")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Around(flat(), before=lambda x: x.reshape(64, -1)), "It takes 64 of them"),
        (lambda: Around(flat(), before=lambda x: x.squeeze().flatten(1)), "Is there a squeeze()?"),
        (lambda: Around(flat(), after=lambda z: z.squeeze()), "not (1, 10)"),
        (lambda: Around(flat(), hides=True), "are not registered"),
        (lambda: Around(flat(), after=nn.Linear(10, 10), hides=True), "are not registered"),
        (lambda: nn.Sequential(flat(), nn.ReLU()), "No score is below 0"),
        (lambda: nn.Sequential(flat(), nn.Softmax(dim=0)), "it ends in a softmax along dim=0"),
        (lambda: nn.Sequential(flat(), nn.Sigmoid()), "No score is below 0"),
    ],
    ids=[
        "64",
        "squeezed first",
        "squeezed last",
        "list",
        "half a list",
        "relu",
        "columns",
        "sigmoid",
    ],
)
def test_build_victim_that_works_for_whole_batches_only(make, words):
    for result in under_a_secret(lab1.build_victim, seeded(make), recorded):
        assert result == 1.0
        assert words in in_words(result)


def test_build_victim_whose_last_layer_starts_at_zero_is_not_said_to_be_cut():
    def zeros():
        network = flat()
        for weights in network[-1].parameters():
            nn.init.zeros_(weights)
        return network

    assert "No score is below 0" not in in_words(lab1.build_victim(seeded(zeros), recorded))


def test_a_trained_network_is_none_that_the_seed_has_made(names):
    """The shipped victim, whatever its classes are called."""

    def build(seed=0):
        network = Scenario("fashion").victim.network
        with torch.no_grad():
            order = np.random.default_rng(seed).permutation(10)
            network.head.weight.copy_(network.head.weight[order])
            network.head.bias.copy_(network.head.bias[order])
        return network

    result = lab1.build_victim(build, recorded)
    assert result == 1.0
    assert "already tells clothes apart before it is trained" in in_words(result)
    assert "the weights of another" in result.remarks[0]
    assert lab1.build_victim(lambda seed=0: Scenario("fashion").victim.network, recorded) == 0.0


# --- exercise 2 ---------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """The check on 2,000 pictures: what is under test here is its judgement, not the victim's."""
    monkeypatch.setattr(training_cases, "WHOLE", 2_000)


def judge_training(build, train, **lies):
    """The check of a loop; ``lies`` are probes that a student has changed."""
    probe = {"new_network": new_network, "weights_of": weights_of, "recorded": recorded, **lies}
    return lab1.train_victim(build, train, *probe.values())


small_network = seeded(
    lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
)


def loop(step, seeded=True, report=lambda total, n: total / n):
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
            losses.append(report(total, len(x)))
        return losses

    return train


def right_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def piling_up(model, optimizer, x, y):
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def invented(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0):
    """Losses as they should be, and nothing trained."""
    return [2.1 * 0.65**epoch + 0.05 for epoch in range(epochs)]


@pytest.mark.thorough
@pytest.mark.slow
def test_train_victim_partial_credit_for_a_weak_victim(quick):
    result = judge_training(small_network, loop(right_step))
    assert result == 2.0
    assert "held-out accuracy" in in_words(result) and not result.remarks


def test_train_victim_that_never_steps(quick):
    def step(model, optimizer, x, y):
        return F.cross_entropy(model(x), y).item()

    with grading(1):
        result = judge_training(small_network, loop(step))
    assert result == 0.0
    assert "it is never trained" in in_words(result)


@pytest.mark.thorough
@pytest.mark.slow
def test_train_victim_that_hardly_steps(quick):
    def train(model, x, y, epochs=1, batch_size=64, lr=3e-3, seed=0):
        return loop(right_step)(model, x, y, epochs, batch_size, lr / 30_000, seed)

    result = judge_training(small_network, train)
    assert result == 1.0
    assert "The loss stands still" in in_words(result)


@pytest.mark.thorough
@pytest.mark.slow
def test_train_victim_that_never_forgets_its_gradients(quick):
    with grading(1):
        result = judge_training(small_network, loop(piling_up))
    assert result <= 1.0
    assert "zero_grad() is missing" in in_words(result)


@pytest.mark.slow
def test_train_victim_whose_losses_are_no_means(quick):
    result = judge_training(small_network, loop(right_step, report=lambda total, n: total))
    assert result == 1.0
    assert "are not the means of the epochs" in in_words(result)


def stepping(loss, sign=1):
    def step(model, optimizer, x, y):
        optimizer.zero_grad()
        found = loss(model(x), y)
        (sign * found).backward()
        optimizer.step()
        return found.item()

    return step


def tensor_step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


def on_the_first_rows(model, x, y, epochs=3, batch_size=64, lr=3e-3, seed=0):
    """Each batch is the first one, as with x[: len(batch)]."""
    n = batch_size
    x, y = (np.concatenate([many[:n]] * (len(many) // n)) for many in (x, y))
    return loop(right_step)(model, x, y, epochs, batch_size, lr, seed)


def by_batch_size(model, x, y, epochs=3, batch_size=64, lr=3e-3, seed=0):
    """A right loop in which the last batch counts as many pictures as the others."""
    batches = -(-len(x) // batch_size)
    train = loop(right_step, report=lambda total, n: total / n * batches * batch_size / len(x))
    return train(model, x, y, epochs, batch_size, lr, seed)


@pytest.mark.thorough
def test_a_network_that_cannot_be_trained_is_exercise_1_s(quick):
    for network in (Around(flat(), hides=True), Around(flat(), before=lambda x: x.view(64, 784))):
        result = judge_training(seeded(lambda network=network: network), loop(right_step))
        assert result == 2.0
        assert "the network of build_victim can't be trained, see exercise 1" in in_words(result)


def always(**fixed):
    """A right loop that takes no notice of some of its arguments."""

    def train(model, x, y, epochs=3, batch_size=64, lr=3e-3, seed=0):
        given = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
        return loop(right_step)(model, x, y, **{**given, **fixed})

    return train


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "points", "words"),
    [
        (loop(stepping(lambda z, y: F.cross_entropy(z.softmax(1), y))), 1, "never falls below 1."),
        (loop(stepping(F.nll_loss)), 0, "No cross-entropy is negative"),
        (always(seed=0), 1, "seed is ignored"),
        (always(epochs=3), 1, "3 losses with epochs=6"),
        (loop(tensor_step), 1, "add loss.item() * len(batch)"),
        (loop(stepping(F.cross_entropy, sign=-1)), 0, "lead uphill"),
        (loop(stepping(lambda z, y: F.cross_entropy(y, z))), 0, "raised NotImplementedError"),
        (on_the_first_rows, 1, "it is trained on something else"),
        (by_batch_size, 1, "Multiply loss.item() by len(batch)"),
    ],
    ids=[
        *("softmax first", "no logarithm", "seed", "epochs"),
        *("tensors", "sign", "swapped", "first rows", "batch_size"),
    ],
)
def test_train_victim_wrong_ways_are_named(quick, train, points, words):
    result = judge_training(small_network, train)
    assert result == points
    assert words in in_words(result)


def test_each_argument_of_a_loop_must_count():
    there = training_cases.Probes(new_network, weights_of)
    assert training_cases.ignored_option(loop(right_step), there) == ""
    for fixed in ({"batch_size": 64}, {"lr": 3e-3}, {"seed": 0}):
        (name,) = fixed
        assert training_cases.ignored_option(always(**fixed), there) == name


@pytest.mark.slow
def test_a_busy_machine_gives_the_check_one_thread(monkeypatch):
    threads = []

    def train(model, x, y, **options):
        threads.append(torch.get_num_threads())
        return [1.0]

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for load in (0.1, 99.0):
            monkeypatch.setattr("os.getloadavg", lambda load=load: (load,) * 3)
            judge_training(small_network, train)
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(threads[: len(threads) // 2]) == {2} and set(threads[len(threads) // 2 :]) == {1}


@pytest.mark.slow
def test_train_victim_that_trains_a_copy(quick):
    def train(model, x, y, epochs=3, **options):
        other = nn.Sequential(*(layer for layer in model))
        other.load_state_dict(model.state_dict())
        copy = new_network(other[0].out_channels, weights_of(model))
        return loop(right_step)(copy, x, y, epochs, **options)

    result = judge_training(small_network, train)
    assert result == 0.0
    assert "it is never trained" in in_words(result)


@pytest.mark.thorough
@pytest.mark.slow
def test_train_victim_unseeded(quick):
    result = judge_training(small_network, loop(right_step, seeded=False))
    assert result == 1.0
    assert "draws at random outside the seed" in in_words(result)


def test_train_victim_that_returns_nothing(quick):
    def train(model, x, y, epochs=1, batch_size=64, lr=3e-3, seed=0):
        return None

    result = judge_training(small_network, train)
    assert result == 0.0
    assert "return statement" in in_words(result)


def put_into(model, weights):
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(weight))


# --- exercise 2, without the work ---------------------------------------------------------


@pytest.mark.parametrize("secret", [0, 1])
def test_invented_losses_and_the_shipped_checkpoint_earn_nothing(quick, secret):
    with grading(secret):
        result = judge_training(lambda seed=0: Scenario("fashion").victim.network, invented)
    assert result == 0.0
    assert "has learnt nothing" in result.remarks[0]


@pytest.mark.thorough
@pytest.mark.slow
def test_weights_trained_for_the_public_draw_earn_nothing_in_grading(quick):
    """Also where every answer of a desk is kept: the networks are others, and so are the labels."""
    kept = {}

    def prepared(model, x, y, epochs=3, batch_size=64, lr=3e-3, seed=0):
        losses = loop(right_step)(model, x, y, epochs, batch_size, lr, seed)
        kept[tuple(p.shape for p in model.parameters())] = losses, weights_of(model)
        return losses

    assert judge_training(small_network, prepared) >= 2.0

    def from_memory(model, x, y, epochs=3, batch_size=64, lr=3e-3, seed=0):
        losses, weights = kept.get(tuple(p.shape for p in model.parameters()), (None, None))
        if weights is None:
            return invented(model, x, y, epochs)
        put_into(model, weights)
        return losses if len(losses) == epochs else invented(model, x, y, epochs)

    for secret in (1, 2):
        with grading(secret):
            assert judge_training(small_network, from_memory) == 0.0


@pytest.mark.slow
def test_a_run_kept_in_memory_is_no_second_run(quick):
    """A loop without its seed that returns what it returned before."""
    kept = {}

    def train(model, x, y, epochs=3, batch_size=64, lr=3e-3, seed=0):
        case = x.tobytes(), seed
        if case not in kept:
            losses = loop(right_step, seeded=False)(model, x, y, epochs, batch_size, lr, seed)
            kept[case] = losses, weights_of(model)
        losses, weights = kept[case]
        put_into(model, weights)
        return losses

    result = judge_training(small_network, train)
    assert result == 1.0
    assert "draws at random outside the seed" in in_words(result)


def least_squares(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0):
    """No loop: a linear layer on small pictures, solved at once; other networks stay untrained."""
    if len(model) == 3:
        squares = x.reshape(len(x), 7, 4, 7, 4).mean((2, 4)).reshape(len(x), 49)
        rows = np.concatenate([squares, np.ones((len(x), 1))], axis=1)
        found = np.linalg.lstsq(rows, np.eye(10)[y], rcond=None)[0].astype(np.float32)
        with torch.no_grad():
            model[2].weight.copy_(torch.tensor(found[:49].T))
            model[2].bias.copy_(torch.tensor(found[49]))
    return invented(model, x, y, epochs)


@pytest.mark.parametrize("secret", [0, 1])
def test_a_closed_form_is_no_training(secret):
    with grading(secret):
        result = judge_training(
            seeded(lambda: nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 10))),
            least_squares,
        )
    assert result == 0.0
    assert "the loop must learn first" in in_words(result)


def ridge(model, x, y, epochs=8, batch_size=64, lr=3e-3, seed=0):
    """No loop: regression on what the convolutions see untrained, with losses that are true."""
    layers = list(model)
    linear = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    with torch.no_grad():
        seen = nn.Sequential(*layers[: linear[0]])(torch.tensor(x)).double()
        seen = torch.cat([seen, torch.ones(len(x), 1)], dim=1)
        inner = seen.T @ seen + 0.1 * torch.eye(seen.shape[1])
        found = torch.linalg.solve(inner, seen.T @ torch.tensor(np.eye(10)[y])).T
        first, last = layers[linear[0]], layers[linear[-1]]
        for layer in (first, last):
            layer.weight.zero_()
            layer.bias.zero_()
        first.weight[:10], first.bias[:10] = found[:, :-1], found[:, -1] + 5
        last.weight[:, :10] = 8 * torch.eye(10)
        loss = F.cross_entropy(model(torch.tensor(x)), torch.tensor(y)).item()
    return [2.1 - (2.1 - loss) * epoch / max(epochs - 1, 1) for epoch in range(epochs)]


@pytest.mark.slow
def test_regression_on_random_features_is_no_training(quick, names):
    with grading(1):
        result = judge_training(names["build_victim"], ridge)
    assert "step by step against the gradient" in in_words(result)
    assert result == 0.0


def shipped_whatever_the_network(model, x):
    return recorded(Scenario("fashion").victim.network, x)


@pytest.mark.parametrize(
    "lies",
    [
        {"weights_of": lambda model: weights_of(model)[:-1]},
        {"weights_of": lambda model: [np.zeros(3, np.float32)] * 8},
        {"weights_of": lambda model: [np.full(p.shape, np.nan) for p in model.parameters()]},
        {"weights_of": lambda model: [torch.randn(p.shape).numpy() for p in model.parameters()]},
        {"weights_of": lambda model: weights_of(Scenario("fashion").victim.network)},
        {"weights_of": lambda model: None},
        {"new_network": lambda width, weights: Scenario("fashion").victim.network},
        {"new_network": lambda width, weights: new_network(width, weights[::-1])},
    ],
)
def test_changed_probes_of_the_network_earn_nothing(quick, lies):
    result = judge_training(small_network, invented, **lies)
    assert result == 0.0


@pytest.mark.parametrize(
    "record",
    [
        shipped_whatever_the_network,
        lambda model, x: {**recorded(model, x), "answer": 0},
        lambda model, x: {"steps": [], "constants": [], "answer": 0},
        lambda model, x: {"steps": [["os.system", ("ls",), {}]], "constants": [], "answer": 1},
        lambda model, x: [1, 2, 3],
        lambda model, x: None,
    ],
)
def test_changed_records_of_a_network_earn_nothing(record):
    assert lab1.build_victim(small_network, record) == 0.0
    with grading(1):
        assert lab1.build_victim(small_network, record) == 0.0


@pytest.mark.thorough
@pytest.mark.slow
def test_the_shipped_network_in_the_place_of_one_s_own_tells_none_of_the_classes(quick):
    with grading(1):
        lies = {"recorded": shipped_whatever_the_network}
        result = judge_training(small_network, loop(right_step), **lies)
    assert result == 2.0, "the two parts that see the loop itself, and no more"
    assert result.parts[-1].value < 0.3


# --- exercise 3 ---------------------------------------------------------------------


def predicting(
    answer, finish=torch.cat, mode=False, restore=True, shuffle=False, split=torch.Tensor.split
):
    """A predict_proba around ``answer(logits)``, with one thing done wrong or none."""

    def predict_proba(model, x, batch_size=512):
        was_training = model.training
        if mode is not None:
            model.train(mode)
        with torch.no_grad():
            x = torch.tensor(x)
            order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
            out = finish([answer(model(x[part])) for part in split(order, batch_size)])
        if restore:
            model.train(was_training)
        return out.numpy()

    return predict_proba


def softmax_rows(logits):
    return logits.softmax(dim=1)


def judge(predict):
    return lab1.predict_proba(predict, watched)


def test_predict_proba_reference(names):
    assert the_same(under_secrets(judge, names["predict_proba"])) == 4.0


def test_predict_proba_other_right_ways(names):
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

    def on_a_copy(model, x, batch_size=512):
        return names["predict_proba"](copy.deepcopy(model).eval(), x, batch_size)

    assert judge(one_by_one) == 4.0
    assert judge(on_a_copy) == 4.0


@pytest.mark.parametrize(
    ("predict", "points", "words"),
    [
        (predicting(lambda z: z), (2, 3), "These are the logits"),
        (predicting(lambda z: z.softmax(dim=0)), (2, 2), "the softmax runs over the batch (dim=0)"),
        (predicting(lambda z: z.log_softmax(dim=1)), (2, 3), "log-probabilities"),
        (predicting(torch.sigmoid), (2, 3), "sigmoid"),
        (predicting(softmax_rows, mode=None), (3, 3), "Training mode was left on"),
        (predicting(softmax_rows, shuffle=True), (2, 2), "are the rows shuffled?"),
        (predicting(softmax_rows, restore=False), (3.25, 3.25), "Remember model.training"),
        (predicting(lambda z: z.softmax(1).softmax(1)), (3, 3), "The softmax was applied twice"),
        (predicting(lambda z: (z / 2).softmax(1)), (3, 3), "with another probability"),
        (predicting(lambda z: torch.eye(10)[z.argmax(1)]), (3, 3), "These are one-hot labels"),
        (predicting(softmax_rows, finish=lambda many: many[-1]), (2.75, 3), "all batches"),
        (
            lambda model, x, batch_size=512: predicting(softmax_rows)(model, x),
            (3.75, 3.75),
            "ignor",
        ),
        (
            predicting(softmax_rows, split=torch.Tensor.chunk),
            (3.75, 3.75),
            "chunk takes the number",
        ),
        (predicting(lambda z: (z.softmax(1) * 1000).round() / 1000), (2, 3), "are rounded"),
        (predicting(lambda z: z.softmax(1).half()), (3, 3), "are rounded"),
        (
            predicting(lambda z: z.softmax(1) * (1 if len(z) > 50 else np.nan)),
            (2, 2),
            "values as NaN or infinite",
        ),
    ],
)
def test_predict_proba_wrong_ways_are_named(predict, points, words):
    for result in under_a_secret(judge, predict):
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
    assert result == 3.75
    assert "passes recorded them" in in_words(result) and "inside torch.no_grad()" in in_words(
        result
    )

    def as_an_array(model, x, batch_size=512):
        return predict(model, x).numpy()

    result = judge(as_an_array)
    assert result == 0.0
    assert in_words(result).count("would only hide them") == 1


@pytest.mark.parametrize("stay_off", ["grad mode", "the model's weights"])
def test_predict_proba_after_which_nothing_can_be_trained(names, stay_off):
    def predict(model, x, batch_size=512):
        if stay_off == "grad mode":
            torch.set_grad_enabled(False)
        else:
            model.requires_grad_(False)
        return predicting(softmax_rows)(model, x, batch_size)

    for result in under_a_secret(judge, predict):
        assert torch.is_grad_enabled()
        assert result == 3.25
        assert "Use `with torch.no_grad():`, which ends" in in_words(result)
    torch.set_grad_enabled(False)  # left so by a run before the check
    assert judge(names["predict_proba"]) == 4.0 and torch.is_grad_enabled()


def test_predict_proba_forgets_the_last_batch():
    def predict(model, x, batch_size=512):
        whole = len(x) // batch_size * batch_size
        return predicting(softmax_rows)(model, x[:whole] if whole else x, batch_size)

    result = judge(predict)
    assert result == 2.75
    assert f"not ({len(live_model.draw()[1])}, 10)" in in_words(result)


# --- exercise 3, without the work -----------------------------------------------------------


@pytest.mark.parametrize(
    "predict",
    [
        lambda model, x, batch_size=512: np.full((len(x), 10), 0.1),
        lambda model, x, batch_size=512: Scenario("fashion").victim.posteriors(x),
    ],
)
def test_answers_of_another_model_earn_nothing(predict):
    for result in under_a_secret(judge, predict):
        assert result == 0.0
        assert result.remarks == ("predict_proba answered without asking the model.",)


class AnswersItself(probes.Watched):
    """A stand-in that a student has put in the place of the probe's."""

    def forward(self, x):
        return torch.tensor(Scenario("fashion").victim.logits(x.numpy()))


class SaysThatItIsInEvaluationMode(probes.Watched):
    """It hides dropout that is on from whoever looks here."""

    training = property(lambda self: False, lambda self, mode: None)


def test_a_changed_probe_shows_the_check_no_other_model(names):
    result = lab1.predict_proba(names["predict_proba"], AnswersItself)
    assert result == 0.0
    assert "it was not asked" in in_words(result)


def test_a_changed_probe_hides_no_mode():
    never_switches = predicting(softmax_rows, mode=None)
    result = lab1.predict_proba(never_switches, SaysThatItIsInEvaluationMode)
    assert result <= 3.0
    assert "Training mode was left on" in in_words(result)


def test_the_model_under_test_takes_pictures_and_nothing_else():
    live = LiveModel(models.cnn(width=4), True)
    good = np.zeros((2, 1, 28, 28), np.float32)
    first, second = live.answer(good, True), live.answer(good, False)
    assert (first != second).any()  # it drops out
    live.switch(False)
    assert (live.answer(good, False) == live.copy().answer(good, False)).all()
    assert [call.training for call in live.calls] == [True, True, False, False]
    many = np.random.default_rng(0).random((1_300, 1, 28, 28), np.float32)  # answered in parts
    apart = [live.answer(part, False) for part in np.array_split(many, 5)]
    np.testing.assert_allclose(live.answer(many, False), np.concatenate(apart), atol=1e-5)
    for bad in (None, good[0], good.astype(float), good[:, :, :5], good.tolist()):
        with pytest.raises(ValueError, match="takes float32 pictures"):
            live.answer(bad, False)
    with pytest.raises(RuntimeError, match="and no more"):
        live.answer(np.zeros((100_000, 1, 28, 28), np.float32), False)


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
    right = names["expected_calibration_error"]
    assert the_same(under_secrets(lab1.expected_calibration_error, right)) == 3.0


def test_calibration_another_right_way():
    def ece(posteriors, y, bins=15):
        confidence, right = posteriors.max(1), posteriors.argmax(1) == y
        edges = np.linspace(0, 1, bins + 1)
        bin_of = np.digitize(confidence, edges[1:-1], right=True)
        gap = np.bincount(bin_of, right.astype(float) - confidence, minlength=bins)
        return np.abs(gap).sum() / len(y)

    assert the_same(under_secrets(lab1.expected_calibration_error, ece)) == 3.0


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
    for result in under_a_secret(lab1.expected_calibration_error, calibration(combine)):
        assert result <= 1.0
        assert words in in_words(result)


def test_a_bin_too_few_is_not_said_to_be_a_sign():
    def ece(posteriors, y, bins=15):
        confidence, right = posteriors.max(1), posteriors.argmax(1) == y
        bin_of = np.digitize(confidence, np.linspace(0, 1, bins)[1:-1], right=True)
        gap = np.bincount(bin_of, right.astype(float) - confidence, minlength=bins)
        return np.abs(gap).sum() / len(y)

    for result in under_a_secret(lab1.expected_calibration_error, ece):
        assert "is there one bin too few" in result.parts[0].advice


def between(low, high):
    """An ECE of bins with these comparisons at their ends; the last bin takes 1 as well."""

    def ece(posteriors, y, bins=15):
        confidence, right = posteriors.max(1), posteriors.argmax(1) == y
        error = 0.0
        for b in range(bins):
            last = (b == bins - 1) & (confidence == 1)
            inside = low(confidence, b / bins) & high(confidence, (b + 1) / bins) | last
            if inside.any():
                error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
        return error

    return ece


def test_calibration_counts_an_answer_between_two_bins_once():
    check = lab1.expected_calibration_error
    for ends in ((np.greater, np.less_equal), (np.greater_equal, np.less)):
        assert the_same(under_secrets(check, between(*ends))) == 3.0
    for result in under_a_secret(check, between(np.greater_equal, np.less_equal)):
        assert result == 2.0 and "is counted in both" in in_words(result)
    for result in under_a_secret(check, between(np.greater, np.less)):
        assert result == 2.0 and "is counted in neither" in in_words(result)


def test_calibration_that_sorts_what_it_is_given(names):
    def ece(posteriors, y, bins=15):
        right = posteriors.argmax(1) == y
        posteriors.sort(axis=1)
        gap = right - posteriors[:, -1]
        bin_of = np.ceil(posteriors[:, -1] * bins).astype(int) - 1
        return np.abs(np.bincount(bin_of, gap, minlength=bins)).sum() / len(y)

    for result in under_a_secret(lab1.expected_calibration_error, ece):
        assert result == 2.0
        assert "writes into the answers that it is given" in in_words(result)


def of_centres(posteriors, y, bins=15):
    def combine(n, a, c):
        return (n * np.abs(a - (np.ceil(c * bins) - 0.5) / bins)).sum()

    return calibration(combine)(posteriors, y, bins)


def of_its_own_bins(bins):
    ece = calibration(lambda n, a, c: (n * np.abs(a - c)).sum())
    return lambda posteriors, y, **options: ece(posteriors, y, bins)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (of_its_own_bins(15), "This is the error with 15 bins, not with "),
        (of_its_own_bins(10), "This is the error with 10 bins, not with "),
        (calibration(lambda n, a, c: 100 * (n * np.abs(a - c)).sum()), "Yours is in per cent"),
        (calibration(lambda n, a, c: (n * (a - c) ** 2).sum()), "The gaps are squared"),
        (calibration(lambda n, a, c: (n * np.abs(1 - a - c)).sum()), "yours is that of wrong ones"),
        (of_centres, "a bin's confidence is its centre"),
    ],
)
def test_calibration_slips_are_named_at_the_edges_too(wrong, words):
    for result in under_a_secret(lab1.expected_calibration_error, wrong):
        assert result < 3.0 and words in in_words(result)
        assert "A confidence of exactly 1" not in in_words(result)


def test_calibration_that_divides_by_zero():
    def ece(posteriors, y, bins=15):
        confidence, right = posteriors.max(1), posteriors.argmax(1) == y
        bin_of = np.ceil(confidence * bins).astype(int) - 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the mean of an empty bin
            gaps = [
                abs(right[bin_of == b].mean() - confidence[bin_of == b].mean())
                * (bin_of == b).mean()
                for b in range(bins)
            ]
        return sum(gaps)

    result = lab1.expected_calibration_error(ece)
    assert result <= 1.0
    assert "not a finite number" in in_words(result)


# --- exercise 5 ---------------------------------------------------------------------


def service(
    order="check charge answer", count=len, checks=True, budget_check=True, whole=True,
    floats=lambda x: x.dtype.kind == "f", dark=lambda x: x.min() < 0, black=True,
    fits=lambda used, budget: used <= budget,
    told=lambda n, left: (n, left), answer=lambda p: p, refusal=InvalidQuery,
):  # fmt: skip
    """An API class with one thing done wrong or none."""

    class API:
        def __init__(self, predict, budget):
            self.predict, self.budget, self.used = predict, budget, 0

        def query(self, x):
            if checks:
                if x.ndim != 4 or x.shape[1:] != (1, 28, 28) or len(x) == 0:
                    raise refusal("shape")
                if not floats(x) or not np.isfinite(x).all() or dark(x) or x.max() > 1:
                    raise refusal("pixels")
                if not black and x.min() == 0:
                    raise refusal("black")
            if budget_check and not fits(self.used + len(x), self.budget):
                if whole:
                    raise BudgetExceeded("me", *told(len(x), self.budget - self.used))
                x = x[: self.budget - self.used]
            if order == "check charge answer":
                self.used += count(x)
                return answer(self.predict(x))
            if order == "set anew":
                self.used = count(x)
                return answer(self.predict(x))
            if order == "refund":
                self.used += count(x)
                try:
                    return answer(self.predict(x))
                except ConnectionError:
                    self.used -= count(x)
                    raise
            try:
                answers = self.predict(x)
            except ConnectionError:
                if order == "charge anyway":
                    self.used += count(x)
                raise
            self.used += count(x)
            return answers

    return API


def returns_its_errors(kind):
    class API(service()):
        def query(self, x):
            try:
                return super().query(x)
            except kind as error:
                return error

    return API


def test_api_reference(names):
    assert the_same(under_secrets(lab1.api, names["API"])) == 4.0
    assert the_same(under_secrets(lab1.api, service())) == 4.0


def test_api_that_answers_under_a_lock():
    """Slow where many ask at once, but right: `used` can still be read while the model answers."""

    class API(service()):
        def __init__(self, predict, budget):
            super().__init__(predict, budget)
            self.lock = Lock()

        def query(self, x):
            with self.lock:
                return super().query(x)

    assert the_same(under_secrets(lab1.api, API)) == 4.0


@pytest.mark.parametrize(
    ("made", "points", "words"),
    [
        (service(order="answer first"), 3, "You count a query after answering it"),
        (service(count=lambda x: 1), 1, "add len(x), not 1"),
        (service(checks=False), 3, "Check shape, size, dtype"),
        (service(budget_check=False), 3, "more: answered"),
        (service(order="charge anyway"), 3, "You count a query after answering it"),
        (service(order="refund"), 3, "give the charge back when the answer fails"),
        (service(order="set anew"), 1.4, "self.used is set anew by each request"),
        (returns_its_errors(InvalidQuery), 3, "raise InvalidQuery(...)."),
        (returns_its_errors(BudgetExceeded), 3, "raise BudgetExceeded(...)."),
        (service(whole=False), 3, "is refused whole"),
        (service(told=lambda n, left: (0, 0)), 3, "what was asked, and what is left"),
        (service(told=lambda n, left: (left, n)), 3, "what was asked, and what is left"),
        (service(fits=lambda used, budget: used < budget), 3, "> budget, not >="),
        (service(floats=lambda x: x.dtype == np.float32), 3, "64 bits are floats as well"),
        (service(dark=lambda x: False), 4 - 1 / 8, "floats from -1 to 1: answered"),
        (service(black=False), 0, "Pixels of exactly 0 and 1 are allowed"),
        (service(answer=lambda p: p.round(2)), 3, "Return what predict answers"),
        (service(refusal=ValueError), 3, "raise InvalidQuery(...) yourself"),
        (service(floats=lambda x: True), 4 - 1 / 8, "of the pictures as they were sent"),
        (service(floats=lambda x: x.dtype == float), 0, "Pictures of 32 bits are floats as well"),
        (service(count=lambda x: 0), 1, "used is still 0 after pictures were answered"),
        (service(count=lambda x: x.size), 0.8, "x.size is the number of pixels"),
    ],
)
def test_api_wrong_ways_are_named(made, points, words):
    for result in under_a_secret(lab1.api, made):
        assert result == pytest.approx(points, abs=0.4)
        assert words in in_words(result)


@pytest.mark.parametrize("counts", [0, 1])
def test_api_that_takes_from_the_budget(counts):
    """In the place of what it counts in `used`, and beside it."""

    class API(service(count=lambda x: counts * len(x))):
        def query(self, x):
            answers = super().query(x)
            self.budget -= len(x)
            return answers

    for result in under_a_secret(lab1.api, API):
        assert 1.0 <= result <= 1.0 + counts
        text = in_words(result)
        assert text.count("self.budget changes. It is what may be answered in all") >= 1
        assert "was charged" not in text and "after answering it" not in text and ">=" not in text


def test_api_with_one_meter_for_all_services():
    class API(service()):
        in_all = 0

        def query(self, x):
            self.used = API.in_all
            try:
                return super().query(x)
            finally:
                API.in_all = self.used

    for result in under_a_secret(lab1.api, API):
        assert "Each service has a meter of its own" in in_words(result)
        assert "A refused request was charged" not in in_words(result)


@pytest.mark.parametrize(("first", "points"), [(False, 3.0), (True, 4.0)])
def test_api_that_asks_the_model_for_one_picture_at_a_time(first, points):
    class API(service()):
        def __init__(self, predict, budget):
            super().__init__(lambda x: x, budget)
            self.one_by_one = predict

        def query(self, x):
            before, rows = self.used, []
            super().query(x)
            for i, one in enumerate(x, 1):
                if not first:
                    self.used = before + i
                rows.append(self.one_by_one(one[None])[0])
            return np.array(rows)

    for result in under_a_secret(lab1.api, API):
        assert result == points
        assert "ConnectionError" not in in_words(result)
        assert ("Each picture is charged alone" in in_words(result)) == (not first)


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


def test_api_that_refuses_everything():
    class API:
        def __init__(self, predict, budget):
            self.used = 0

        def query(self, x):
            raise InvalidQuery("no")

    result = lab1.api(API)
    assert result == 0.0
    assert "and nothing else" in in_words(result)


def test_counts_kept_from_a_desk_are_none_in_grading():
    """A service that knows every size that a desk's check sends, and what its meter said."""
    seen = []

    class Remembers(service()):
        def query(self, x):
            try:
                return super().query(x)
            finally:
                seen.append((np.shape(x), str(getattr(x, "dtype", "")), self.used))

    assert lab1.api(Remembers) == 4.0

    class FromMemory:
        def __init__(self, predict, budget):
            self.predict, self.used = predict, 0

        def query(self, x):
            for shape, kind, used in seen:
                if (shape, kind) == (np.shape(x), str(x.dtype)):
                    self.used = used
                    return self.predict(x)
            raise InvalidQuery("never seen")

    assert max(under_a_secret(lab1.api, FromMemory, public=False)) == 0.0


# --- stuck ---------------------------------------------------------------------------


def test_the_lines_for_those_who_are_stuck_work_and_earn_nothing_here(names):
    (lab,) = pick_labs(ROOT, ["lab1"])
    text = lab.source.read_text("utf-8")
    block = re.search(r"The library's functions</summary>.*?```python\n(.*?)# ```", text, re.S)[1]
    scope = {**names, "scenario": Scenario("fashion")}
    exec(re.sub(r"^# ?", "", block, flags=re.M), scope)
    x = scope["scenario"].data.x_test[:6]
    network = scope["build_victim"](seed=1)
    assert len(scope["train_victim"](network, x, np.arange(6), epochs=2, after_epoch=print)) == 2
    # The service always has the course's victim behind it, so its check would not pass it.
    service = scope["API"](None, budget=5)
    with pytest.raises(BudgetExceeded):
        service.query(x)
    assert service.query(x[:5]).shape == (5, 10) and service.used == 5
    slow_or_never = lab1.build_victim, lab1.api
    for check, mine, *helpers in (
        (lab1.build_victim, scope["build_victim"], recorded),
        (lab1.predict_proba, scope["predict_proba"], watched),
        (lab1.expected_calibration_error, scope["expected_calibration_error"]),
        (lab1.api, scope["API"]),
    ):
        assert check in slow_or_never or check(mine, *helpers) == check.points
        with withheld.refused_by(withheld.refusing):
            result = check(mine, *helpers)
        assert result == 0 and "asks for your own" in in_words(result)
