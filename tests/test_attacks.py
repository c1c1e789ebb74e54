"""The thieves: what they ask, what they pay, and what they leave with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from trickster import attacks, data, evaluation, models, scenario
from trickster.api import BudgetExceeded, PredictionAPI, RateLimited
from trickster.limiters import ManualClock, SlidingWindow

SHAPE = (1, 8, 8)


class Notebook:
    """A client that answers with the first pixel and writes down what it was sent."""

    def __init__(self):
        self.batches: list[np.ndarray] = []

    def query(self, x):
        self.batches.append(x.copy())
        p = x[:, 0, 0, :1]
        return np.concatenate([p, 1 - p], axis=1)

    @property
    def asked(self) -> np.ndarray:
        return np.concatenate(self.batches)


class Teacher:
    """scikit-learn's logistic regression of the 8x8 digits as a service."""

    def __init__(self):
        digits = data.load("digits")
        self.model = LogisticRegression(max_iter=2_000)
        self.model.fit(digits.x_train.reshape(-1, 64), digits.y_train)

    def query(self, x):
        return self.model.predict_proba(x.reshape(-1, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher()


def numbered(n: int) -> np.ndarray:
    """Pictures that can be told apart: number i is i/n all over."""
    return np.broadcast_to(
        (np.arange(n, dtype=np.float32) / n)[:, None, None, None], (n, *SHAPE)
    ).copy()


# --- collecting -------------------------------------------------------------------------------


@given(n=st.integers(1, 40), budget=st.integers(1, 50), batch_size=st.integers(1, 17))
def test_collect_asks_about_the_first_pictures_once_each(n, budget, batch_size):
    pool, client = numbered(n), Notebook()
    x, answers = attacks.collect(client, pool, budget, batch_size=batch_size)
    m = min(n, budget)
    assert np.array_equal(x, pool[:m])
    assert np.array_equal(client.asked, pool[:m])
    assert np.array_equal(answers[:, 0], pool[:m, 0, 0, 0])  # row for row
    assert max(map(len, client.batches)) <= batch_size
    assert len(client.batches) == -(-m // batch_size)


@pytest.mark.parametrize("budget", [0, -5])
@pytest.mark.parametrize("thief", [attacks.collect, attacks.steal])
def test_a_thief_needs_a_budget(thief, budget):
    client = Notebook()
    with pytest.raises(ValueError, match=f"the budget is {budget}"):
        thief(client, numbered(5), budget)
    assert not client.batches


@pytest.mark.parametrize("thief", [attacks.collect, attacks.steal])
def test_a_thief_needs_pictures(thief):
    with pytest.raises(ValueError, match="pool is empty"):
        thief(Notebook(), numbered(5)[:0], 10)


def test_the_meter_agrees_with_the_thief(teacher):
    class Served:
        def features_and_posteriors(self, x):
            return x.reshape(len(x), -1), teacher.query(x)

    api = PredictionAPI(Served(), SHAPE, budget=600)
    attacks.collect(api.client("thief"), numbered(500), 500)
    assert api.used("thief") == 500
    with pytest.raises(BudgetExceeded):
        attacks.collect(api.client("thief"), numbered(500), 500)
    assert api.used("thief") <= 600


# --- stealing ---------------------------------------------------------------------------------


def test_steal_takes_a_random_part_of_the_pool_without_repeats():
    def asked(seed):
        client = Notebook()
        attacks.steal(client, numbered(200), 50, seed=seed, epochs=1)
        return client.asked[:, 0, 0, 0]

    first, again, other = asked(1), asked(1), asked(2)
    assert len(np.unique(first)) == 50
    assert set(first) <= set(numbered(200)[:, 0, 0, 0])
    assert np.array_equal(first, again)
    assert set(first) != set(other)
    assert not np.all(np.diff(first) > 0)  # shuffled, not just chosen
    assert first.max() > 0.9 and first.min() < 0.1  # from everywhere, not only the beginning


def test_a_seed_decides_the_whole_theft(teacher):
    digits = data.load("digits")
    first, again, other = (
        attacks.steal(teacher, digits.x_train, 200, seed=seed, epochs=2).logits(digits.x_test)
        for seed in (4, 4, 5)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("network, width", [("mlp", 256), ("cnn", 64)])
def test_the_clones_are_what_they_are_called(network, width):
    x = np.random.default_rng(0).random((30, 3, 9, 9), dtype=np.float32)
    answers = np.full((30, 7), 1 / 7, np.float32)
    clone = attacks.train_clone(x, answers, network=network, epochs=1)
    assert clone.network.spec["kind"] == network
    assert clone.network.head.in_features == width  # the CNN is half as wide as the victim
    assert clone.posteriors(x).shape == (30, 7)


@pytest.mark.parametrize("wrong", [{"labels": "logits"}, {"network": "resnet"}])
def test_unknown_words_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        attacks.train_clone(numbered(5), np.full((5, 2), 0.5), **wrong)


def test_a_hard_label_thief_learns_from_the_argmax_alone(teacher):
    x = data.load("digits").x_train[:150]
    p = teacher.query(x)
    onehot = np.eye(10, dtype=np.float32)[p.argmax(axis=1)]
    blurred = 0.2 * onehot + 0.8 / 10
    clones = [
        attacks.train_clone(x, answers, labels="hard", epochs=2).logits(x)
        for answers in (p, onehot, blurred)
    ]
    assert np.array_equal(clones[0], clones[1])
    assert np.array_equal(clones[0], clones[2])
    soft = [attacks.train_clone(x, answers, epochs=2).logits(x) for answers in (p, blurred)]
    assert not np.allclose(*soft)  # while the soft thief listens to all of it


@pytest.mark.parametrize("labels", ["soft", "hard"])
@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_linear_victim_can_be_stolen(teacher, labels, network):
    digits = data.load("digits")
    clone = attacks.steal(teacher, digits.x_train, 1_000, labels=labels, network=network)
    victims = teacher.query(digits.x_test)
    assert evaluation.fidelity(clone.posteriors(digits.x_test), victims) > 0.9


def test_a_thief_with_noise_leaves_with_little_and_one_with_clothes_with_much():
    fashion = scenario.Scenario("fashion")
    x = fashion.data.x_test[:2_000]
    victims = fashion.victim.posteriors(x)
    own = fashion.data.x_train
    found = {}
    for name, pool in (("noise", fashion.pool("noise", 500, seed=0)), ("clothes", own)):
        client = fashion.api(budget=500).client("thief")
        clone = attacks.steal(client, pool, 500)
        assert isinstance(clone, models.Classifier)
        found[name] = evaluation.fidelity(clone.posteriors(x), victims)
    assert found["noise"] < 0.35
    assert found["clothes"] > 0.70


# --- Jacobian-based augmentation --------------------------------------------------------------


def linear(weights: np.ndarray) -> models.Classifier:
    """A clone whose gradient is known: its logits are ``x @ weights``."""
    network = models.mlp(SHAPE, weights.shape[1], hidden=2 * weights.shape[0])
    eye = torch.eye(weights.shape[0])
    with torch.no_grad():  # relu(x) - relu(-x) = x
        network.body[1].weight.copy_(torch.cat([eye, -eye]))
        network.body[1].bias.zero_()
        network.head.weight.copy_(torch.tensor(np.concatenate([weights, -weights]).T))
        network.head.bias.zero_()
    return models.Classifier(network)


def test_augmentation_follows_the_gradient_of_the_label_s_probability():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(64, 4)).astype(np.float32)
    x = rng.uniform(0.3, 0.7, (300, *SHAPE)).astype(np.float32)
    labels = rng.integers(0, 4, 300)
    # By hand: dF_y/dx = F_y (w_y - sum_c F_c w_c).
    logits = x.reshape(300, 64) @ w
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    slope = w.T[labels] - p @ w.T
    clear = np.abs(slope) > 1e-4  # elsewhere float rounding decides the sign
    moved = attacks.jacobian_augmentation(linear(w), x, labels, step=0.1)
    step = (moved - x).reshape(300, 64)
    np.testing.assert_allclose(step[clear], 0.1 * np.sign(slope[clear]), atol=1e-6)


def test_augmentation_stays_in_the_cube_and_leaves_its_input_alone():
    x = np.random.default_rng(1).random((5, *SHAPE), dtype=np.float32)
    before = x.copy()
    x.setflags(write=False)
    clone = models.Classifier(models.cnn(SHAPE, 3, width=4))
    moved = attacks.jacobian_augmentation(clone, x, np.array([0, 1, 2, 0, 1]), step=0.9)
    assert moved.shape == x.shape and moved.min() >= 0 and moved.max() <= 1
    assert np.abs(moved - x).max() > 0.1
    np.testing.assert_array_equal(x, before)
    with pytest.raises(ValueError, match="one label a picture"):
        attacks.jacobian_augmentation(clone, x, np.zeros(4, int))


def test_the_jacobian_thief_spends_the_budget_and_doubles_his_pictures(teacher):
    notebook = Notebook()
    attacks.steal_jacobian(notebook, numbered(10), 65, epochs=1)
    assert [len(batch) for batch in notebook.batches] == [10, 10, 20, 25]
    np.testing.assert_array_equal(notebook.batches[0], numbered(10))
    few = data.load("digits").x_train[:60]
    test = data.load("digits")
    stolen = attacks.steal_jacobian(teacher, few, 960, step=0.2, epochs=30)
    alone = attacks.train_clone(few, teacher.query(few), epochs=30)
    of_teacher = teacher.query(test.x_test)
    gained = [evaluation.fidelity(c.labels(test.x_test), of_teacher) for c in (alone, stolen)]
    assert gained[1] > gained[0] + 0.03, gained


# --- other ways of asking ---------------------------------------------------------------------


def test_averaging_is_the_mean_of_the_answers_and_costs_each_of_them():
    rng = np.random.default_rng(0)
    given = []

    class Noisy:
        def query(self, x):
            given.append(rng.dirichlet(np.ones(4), size=len(x)))
            return given[-1]

    mean = attacks.Averaging(Noisy(), 5).query(numbered(7))
    np.testing.assert_allclose(mean, sum(given) / 5)
    assert len(given) == 5
    with pytest.raises(ValueError, match="at least once"):
        attacks.Averaging(Noisy(), 0)


def test_accounts_take_turns_and_a_refused_batch_goes_to_the_next():
    clock = ManualClock()
    victim = models.Classifier(models.mlp(SHAPE, 3))
    api = PredictionAPI(victim, SHAPE, limiters=[SlidingWindow(20, 60)], clock=clock)
    sybil = attacks.Sybil([api.client(f"account {i}") for i in range(3)])
    pictures = numbered(60)
    asked, answers = attacks.collect(sybil, pictures, 60, batch_size=10)
    np.testing.assert_allclose(answers, victim.posteriors(asked), atol=1e-6)
    assert [api.used(f"account {i}") for i in range(3)] == [20, 20, 20]
    clock.now = 30.0
    with pytest.raises(RateLimited) as refused:
        sybil.query(pictures[:1])
    assert refused.value.retry_after == pytest.approx(30, abs=1e-3)
    clock.now = 61.0
    api.client("account 0").query(pictures[:20])  # full again: the next account answers
    assert len(sybil.query(pictures[:10])) == 10
    with pytest.raises(ValueError, match="one account"):
        attacks.Sybil([])


def test_accounts_without_budget_end_with_the_api_s_own_refusal():
    api = PredictionAPI(models.Classifier(models.mlp(SHAPE, 3)), SHAPE, budget=5)
    sybil = attacks.Sybil([api.client("a"), api.client("b")])
    assert len(sybil.query(numbered(5))) == len(sybil.query(numbered(5))) == 5
    with pytest.raises(BudgetExceeded):
        sybil.query(numbered(1))
