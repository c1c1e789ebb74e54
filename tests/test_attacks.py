"""The thieves: what they ask, what they pay, and what they leave with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from trickster import attacks, data, evaluation, models, scenario
from trickster.api import BudgetExceeded, PredictionAPI

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
