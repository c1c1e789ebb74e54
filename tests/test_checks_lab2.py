"""Lab 2's checks: right answers of several kinds pass, and each wrong one is named."""

import contextlib

import numpy as np
import pytest
from reading import in_words
from reference import reference
from scipy import stats

from trickster import attacks, models, training
from trickster.api import BudgetExceeded
from trickster.checks import lab2
from trickster.scenario import Scenario

pytestmark = pytest.mark.usefixtures("library_answers")

VICTIM = Scenario("fashion").victim


@pytest.fixture(scope="module")
def names():
    return reference("lab2")


# --- exercise 1 ---------------------------------------------------------------------


def test_collect_reference(names):
    assert lab2.collect(names["collect"]) == 3.0
    assert lab2.collect(attacks.collect) == 3.0


def test_collect_another_right_way():
    def collect(api, pool, budget, batch_size=256):
        budget = min(budget, len(pool))
        pictures, answers = [], []
        while len(answers) < budget:
            batch = pool[len(answers) : min(len(answers) + batch_size, budget)]
            pictures.extend(batch)
            answers.extend(api.query(batch))
        return pictures, answers

    assert lab2.collect(collect) == 3.0


def collecting(step=None, order=None, again=False, stop=True):
    """A collect with one thing done wrong or none."""

    def collect(api, pool, budget, batch_size=256):
        if again:
            pool = np.concatenate([pool] * (budget // len(pool) + 1))
        x = pool[: budget if stop else -(-budget // batch_size) * batch_size]
        size = step or batch_size
        answers = np.concatenate([api.query(x[i : i + size]) for i in range(0, len(x), size)])
        return (x[order] if order else x), answers

    return collect


@pytest.mark.parametrize(
    ("made", "points", "words"),
    [
        (collecting(stop=False), 1, "You went over the budget: cut the pool at the budget first"),
        (collecting(order=slice(None, None, -1)), 2, "Row i of the answers must answer row i"),
        (collecting(again=True), 2, "returned 500 pictures"),
        (collecting(step=10_000), 2, "Send at most batch_size pictures"),
        (lambda api, pool, budget, batch_size=256: api.query(pool[:budget]), 0, "two things"),
    ],
)
def test_collect_wrong_ways_are_named(made, points, words):
    result = lab2.collect(made)
    assert result == points
    assert words in in_words(result)


# --- exercise 2 ---------------------------------------------------------------------


def cloning(hard=lambda a: a.argmax(axis=1), soft=lambda a: a, network=models.mlp, use_seed=True):
    """A train_clone with one thing done wrong or none."""

    def train_clone(x, answers, labels="soft", epochs=10, seed=0):
        targets = soft(answers) if labels == "soft" else hard(answers)
        seed = seed if use_seed else int(np.random.default_rng().integers(1_000_000))
        made = network(seed=seed)
        training.fit(made, x, targets, epochs=epochs, lr=3e-3, seed=seed)
        return models.Classifier(made).posteriors

    return train_clone


def one_hot(answers, axis):
    return np.eye(10, dtype=np.float32)[answers.argmax(axis=axis)]


def largest_of_each_column(answers):
    marked = (answers == answers.max(axis=0)).astype(np.float32)
    marked[:, 0] += marked.sum(axis=1) == 0  # no row may stay empty
    return marked / marked.sum(axis=1, keepdims=True)


def test_train_clone_reference(names):
    assert lab2.train_clone(names["train_clone"]) == 4.0


@pytest.mark.slow
def test_train_clone_other_right_ways():
    assert lab2.train_clone(cloning(hard=lambda a: one_hot(a, 1))) == 4.0

    def narrow(seed):
        return models.cnn(width=8, dropout=0.0, seed=seed)

    assert lab2.train_clone(cloning(network=narrow)) >= 3.5


@pytest.mark.parametrize(
    ("made", "points", "words"),
    [
        (cloning(hard=lambda a: a.argmax(axis=0)), 3, "Each row is one picture's answer"),
        (cloning(hard=lambda a: one_hot(a, 0)), 3, "Each row is one picture's answer"),
        (cloning(hard=largest_of_each_column), 3, "Each row is one picture's answer"),
        (cloning(hard=lambda a: a), 3, "still sees more than the argmax"),
        (cloning(soft=lambda a: a.argmax(axis=1)), 3, "surer than the victim"),
        (cloning(use_seed=False), (2, 3), "Hand the seed both"),
    ],
)
def test_train_clone_wrong_ways_are_named(made, points, words):
    low, high = points if isinstance(points, tuple) else (points, points)
    result = lab2.train_clone(made)
    assert low <= result <= high
    assert words in in_words(result)


def test_train_clone_that_returns_a_network():
    def train_clone(x, answers, labels="soft", epochs=10, seed=0):
        return attacks.train_clone(x, answers, labels=labels, epochs=1, seed=seed)

    result = lab2.train_clone(train_clone)
    assert result == 0.0
    assert "returned a Classifier; asked a function" in in_words(result)


# --- exercise 3 ---------------------------------------------------------------------


def test_fidelity_reference(names):
    assert lab2.fidelity(names["fidelity"]) == 2.0


def test_fidelity_wrong_ways_are_named(names):
    truth = Scenario("fashion").data.y_test

    def accuracy(clone, victim, x):
        return np.mean(clone(x).argmax(axis=1) == truth[: len(x)])

    def of_the_victim(clone, victim, x):
        return np.mean(victim(x).argmax(axis=1) == truth[: len(x)])

    def count(clone, victim, x):
        return (clone(x).argmax(axis=1) == victim(x).argmax(axis=1)).sum()

    def whole_rows(clone, victim, x):
        return np.mean(np.all(np.isclose(clone(x), victim(x) * 0.9 + 0.01), axis=1))

    for wrong, words in (
        (accuracy, "This is the clone's accuracy"),
        (of_the_victim, "This is the victim's accuracy"),
        (count, "divide by how many there are"),
        (whole_rows, "the share of pictures"),
    ):
        result = lab2.fidelity(wrong)
        assert result == 0.0
        assert words.lower() in in_words(result).lower()


# --- exercise 4 ---------------------------------------------------------------------


def test_budget_curve_reference(names):
    assert lab2.budget_curve(names["budget_curve"]) == 2.0


def test_budget_curve_another_right_way():
    def budget_curve(steal_once, budgets, seeds):
        curve = {}
        for seed in seeds:
            for budget in budgets:
                curve.setdefault(budget, []).append(steal_once(budget, seed))
        return {budget: np.array(runs) for budget, runs in curve.items()}

    assert lab2.budget_curve(budget_curve) == 2.0


@pytest.mark.parametrize(
    ("made", "points", "words"),
    [
        (lambda f, bs, ss: {b: [f(b, 0) for _ in ss] for b in bs}, 0, "Hand each seed on"),
        (lambda f, bs, ss: {b: np.mean([f(b, s) for s in ss]) for b in bs}, 1, "A mean alone"),
        (lambda f, bs, ss: [[f(b, s) for s in ss] for b in bs], 1, "must return a dictionary"),
        (lambda f, bs, ss: {b: [f(b, s) for s in ss[:1]] for b in bs}, 0, "3 thefts"),
    ],
)
def test_budget_curve_wrong_ways_are_named(made, points, words):
    result = lab2.budget_curve(made)
    assert result == points
    assert words in in_words(result)


# --- exercise 5 ---------------------------------------------------------------------


def stealing(pool, labels="soft", epochs=10, extra=0):
    def steal(api, pools, budget, seed=0):
        x, answers = attacks.collect(api, pools[pool], budget + extra)
        clone = attacks.train_clone(x, answers, labels=labels, epochs=epochs, seed=seed)
        return clone.posteriors

    return steal


@pytest.mark.slow
def test_steal_reference(names):
    result = lab2.steal(names["steal"])
    assert result == 5.0
    assert "Well stolen" in in_words(result)


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["noise", "patches", "digits"])
def test_steal_from_a_poor_pool_earns_the_budget_point_only(pool):
    result = lab2.steal(stealing(pool))
    assert result == 1.0
    assert "fidelity with 3,000 queries: 0 of 4" in in_words(result)


def test_steal_partial_credit():
    def hasty(api, pools, budget, seed=0):
        return stealing("shapes", labels="hard", epochs=8)(api, pools, min(900, budget), seed)

    result = lab2.steal(hasty)
    assert 2.0 < result < 5.0
    text = in_words(result)
    assert "each unused one is lost" in text and "Well stolen" not in text


@pytest.mark.slow
def test_steal_that_hands_out_the_victim_itself():
    """Its weights are in the notebook; the service's model has other names for the classes."""
    result = lab2.steal(lambda api, pools, budget, seed=0: VICTIM.posteriors)
    assert result == 0.0
    assert "Nothing was asked" in in_words(result)
    asks = stealing("shapes")

    def asks_in_vain(api, pools, budget, seed=0):
        asks(api, pools, min(300, budget), seed)
        return VICTIM.posteriors

    assert lab2.steal(asks_in_vain) <= 1.0
    assert lab2.train_clone(lambda x, answers, **options: VICTIM.posteriors) <= 2.0


@pytest.mark.slow
def test_steal_over_budget():
    def greedy(api, pools, budget, seed=0):
        clone = stealing("shapes")(api, pools, budget, seed)
        with contextlib.suppress(BudgetExceeded):
            api.query(pools["shapes"][:1])
        return clone

    result = lab2.steal(greedy)
    assert result == 4.0
    assert "4 requests refused" in in_words(result)
    result = lab2.steal(stealing("shapes", extra=1))
    assert result == 0.0
    assert "Ask for no more than budget pictures" in in_words(result)


# --- exercise 6 ---------------------------------------------------------------------


def test_audit_reference(names):
    assert lab2.audit(names["audit"]) == 2.0


def auditing(interval, seeds=lambda seeds: seeds):
    def audit(run, given):
        results = [run(seed) for seed in seeds(list(given))]
        return {key: interval(np.array([r[key] for r in results])) for key in results[0]}

    return audit


def student_t(values):
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return values.mean(), values.mean() - half, values.mean() + half


def test_audit_another_right_way():
    assert lab2.audit(auditing(student_t)) == 2.0


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (lambda v: (v.mean(), v.mean() - 1.96 * v.std(), v.mean() + 1.96 * v.std()), "single runs"),
        (lambda v: (v.mean(), v.min(), v.max()), "single runs"),
        (lambda v: (v.mean(), *np.quantile(v, [0.025, 0.975])), "single runs"),
        (lambda v: (v.mean(), v.mean(), v.mean()), "Use bootstrap_interval"),
    ],
)
def test_audit_wrong_intervals_are_named(interval, words):
    result = lab2.audit(auditing(interval))
    assert result == 1.0
    assert words in in_words(result)


def test_audit_of_one_seed():
    result = lab2.audit(auditing(student_t, lambda seeds: seeds[:1] * 20))
    assert result == 0.0
    assert "20 runs over 1 seeds" in in_words(result)
