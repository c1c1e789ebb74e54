"""Lab 2's checks: right answers of several kinds pass, and each wrong one is named."""

import random
import re
from contextlib import nullcontext, suppress
from functools import partial

import numpy as np
import pytest
import torch
from drawn import FEW, SECRETS, under_a_secret, under_secrets
from reading import in_words
from reference import ROOT, reference
from scipy import stats
from sklearn.linear_model import LogisticRegression

from autograder import held_back
from autograder.course import pick_labs
from benchmarks import star_answers
from trickster import attacks, evaluation, models, training
from trickster.api import BudgetExceeded
from trickster.checks import clone_cases, draws, known_clothes, lab2, teacher, thresholds
from trickster.scenario import Scenario
from trickster.withheld import refused_by, refusing

pytestmark = pytest.mark.usefixtures("library_answers")

VICTIM = Scenario("fashion").victim
CLOTHES = Scenario("fashion").data


def grading(secret=b"not public, but known to the test"):
    return draws.grading_with(secret, held_back.load())


@pytest.fixture(scope="module")
def names():
    return reference("lab2")


class Canned:
    """What a right answer gave while its author worked, given again whatever is asked now."""

    def __init__(self, function):
        self.function, self.results, self.replays = function, [], False

    def __call__(self, *given, **options):
        if self.replays:
            return self.results.pop(0)
        result = self.function(*given, **options)
        self.results.append(result)
        return result


@pytest.mark.parametrize("exercise", ["collect", "fidelity", "audit"])
def test_right_answers_to_known_questions_earn_nothing_in_grading(names, exercise):
    canned, check = Canned(names[exercise]), getattr(lab2, exercise)
    assert check(canned) == check.points
    canned.replays = True
    with grading():
        assert check(canned) == 0.0


@pytest.mark.parametrize("secret", SECRETS)
def test_the_references_of_exact_exercises_pass_for_every_secret(names, secret):
    with grading(secret):
        for exercise in ("collect", "fidelity", "audit", "compare"):
            check = getattr(lab2, exercise)
            result = check(names[exercise])
            assert result == check.points, result.as_text()
        assert lab2.audit(auditing(resampled)) == 3.0


def test_the_library_s_own_answers_refuse():
    def through_a_thief(x, answers, **how):
        class Client:
            def query(self, batch):
                return answers[: len(batch)]

        return attacks.steal(Client(), x, len(x), **how).posteriors

    with refused_by(refusing):
        assert lab2.collect(attacks.collect) == 0.0
        assert lab2.fidelity(lambda c, v, x: evaluation.fidelity(c(x), v(x))) == 0.0
        assert lab2.train_clone(lambda *a, **k: attacks.train_clone(*a, **k).posteriors) == 0.0
        assert lab2.train_clone(through_a_thief) == 0.0
        result = lab2.steal(lambda api, pools, n, seed: attacks.steal(api, pools["shapes"], n))
    assert result == 0.0 and "Withheld: trickster.attacks.steal is" in in_words(result)


# --- exercise 1 ---------------------------------------------------------------------


def test_collect_reference(names):
    assert lab2.collect(names["collect"]) == 2.0


def test_collect_another_right_way():
    def collect(api, pool, budget, batch_size=256):
        budget = min(budget, len(pool))
        pictures, answers = [], []
        while len(answers) < budget:
            batch = pool[len(answers) : min(len(answers) + batch_size, budget)]
            pictures.extend(batch)
            answers.extend(api.query(batch))
        return np.array(pictures), np.array(answers)

    assert lab2.collect(collect) == 2.0


def in_equal_requests(api, pool, budget, batch_size=256):
    x = pool[:budget]
    requests = np.array_split(x, -(-len(x) // batch_size))
    return x, np.concatenate([api.query(one) for one in requests])


def test_collect_in_requests_of_any_size_up_to_the_largest():
    assert lab2.collect(in_equal_requests) == 2.0
    assert lab2.collect(lambda api, pool, n, batch_size: in_equal_requests(api, pool, n, 7)) == 2.0


def the_last_ones(api, pool, budget, batch_size=256):
    return collecting()(api, pool[::-1], budget, batch_size)


def whole_batches(api, pool, budget, batch_size=256):
    rest = budget % batch_size if budget > batch_size else 0
    return collecting()(
        api, pool[: len(pool) // batch_size * batch_size], budget - rest, batch_size
    )


def in_a_list(api, pool, budget, batch_size=256):
    x, answers = collecting()(api, pool, budget, batch_size)
    return x, np.array_split(answers, 3)


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


def shuffling(api, pool, budget, batch_size=256):
    np.random.default_rng(0).shuffle(pool)
    return collecting()(api, pool, budget, batch_size)


def brightening(api, pool, budget, batch_size=256):
    pool[:budget] *= 0.5
    return collecting()(api, pool, budget, batch_size)


def overlapping(api, pool, budget, batch_size=256):
    x = pool[:budget]
    batches = [x[i : i + batch_size + 1] for i in range(0, len(x), batch_size)]
    return x, np.concatenate([api.query(batch) for batch in batches])


def handing_out(as_what):
    return lambda *given, **more: tuple(as_what(one) for one in collecting()(*given, **more))


@pytest.mark.parametrize(
    ("made", "points", "words"),
    [
        (shuffling, 1, "changed the pool that it was given"),
        (brightening, 1, "changed the pool that it was given"),
        (overlapping, 0, "Do your batches overlap?"),
        (handing_out(torch.tensor), 1, "returned a Tensor, and the cells below need arrays"),
        (handing_out(list), 1, "returned a list, and the cells below need arrays"),
        (collecting(stop=False), 0.5, "You went over the budget: cut the pool at the budget first"),
        (collecting(order=slice(None, None, -1)), 1, "Row i of the answers must answer row i"),
        (collecting(again=True), 1.5, "returned 500 pictures"),
        (collecting(step=10_000), 1.5, "Send at most batch_size pictures"),
        (the_last_ones, 1, "Ask about the first pictures of the pool"),
        (whole_batches, 0, "the last batch may be smaller"),
        (in_a_list, 0, "join them with np.concatenate"),
        (lambda *given, **more: collecting()(*given, **more)[::-1], 0, "the pictures first"),
        (lambda api, pool, budget, batch_size=256: api.query(pool[:budget]), 0, "two things"),
        (lambda api, pool, budget, batch_size=256: None, 0, "return statement"),
        (
            lambda api, pool, budget, batch_size=256: (pool, collecting()(api, pool, budget)[1]),
            0,
            "return the pictures that you asked about, and no others",
        ),
    ],
)
def test_collect_wrong_ways_are_named(made, points, words):
    for result in under_a_secret(lab2.collect, made):
        assert result == points
        assert words in in_words(result)


# --- exercise 2 ---------------------------------------------------------------------


def cloning(
    hard=lambda a: a.argmax(axis=1), soft=lambda a: a, network=models.mlp, use_seed=True,
    returned="posteriors", **fixed,
):  # fmt: skip
    """A train_clone with one thing done wrong or none."""

    def train_clone(x, answers, labels="soft", epochs=10, seed=0):
        epochs = fixed.get("epochs", epochs)
        targets = soft(answers) if labels == "soft" else hard(answers)
        seed = seed if use_seed else int(np.random.default_rng().integers(1_000_000))
        made = network(seed=seed)
        training.fit(made, x, targets, epochs=epochs, lr=3e-3, seed=seed)
        return getattr(models.Classifier(made), returned)

    return train_clone


def one_hot(answers):
    return np.eye(10, dtype=np.float32)[answers.argmax(axis=1)]


def largest_of_each_column(answers):
    marked = (answers == answers.max(axis=0)).astype(np.float32)
    marked[:, 0] += marked.sum(axis=1) == 0  # no row may stay empty
    return marked / marked.sum(axis=1, keepdims=True)


@pytest.mark.thorough
@pytest.mark.slow
def test_train_clone_another_right_way():
    """A CNN: in benchmarks/calibrate_training.py, 20 runs."""
    assert lab2.train_clone(cloning(hard=one_hot)) == 4.0


def in_place(change):
    """A train_clone that first writes into what it was given."""

    def train_clone(x, answers, labels="soft", epochs=10, seed=0):
        change(x, answers, labels, np.random.default_rng(seed).permutation(len(x)))
        return cloning()(x, answers, labels=labels, epochs=epochs, seed=seed)

    return train_clone


def reorders_both(x, answers, labels, order):
    x[:], answers[:] = x[order], answers[order]


def reorders_x(x, answers, labels, order):
    x[:] = x[order]


def makes_one_hot(x, answers, labels, order):
    if labels == "hard":
        answers[:] = one_hot(answers)


def stops_at(line):
    def train_clone(x, answers, labels="soft", epochs=10, seed=0):
        return line(x, answers) if labels == "hard" else cloning()(x, answers, labels, epochs, seed)

    return train_clone


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "points", "words"),
    [
        (in_place(reorders_both), 3, "train_clone changed x and answers in place"),
        (in_place(reorders_x), 0, "Are pictures and answers still in the same order?"),
        (in_place(makes_one_hot), 3, "train_clone changed answers in place"),
        (cloning(hard=lambda a: (a > 0.5).astype(float)), 3, "the largest may lie below .5"),
        (cloning(hard=lambda a: a.round()), 3, "the largest may lie below .5"),
        (cloning(hard=lambda a: a.max(axis=1)), 3, "max gives its probability"),
        (cloning(hard=lambda a: a.argmax(axis=0)), 3, "Each row is one picture's answer"),
        (cloning(hard=largest_of_each_column), 3, "Each row is one picture's answer"),
        (cloning(hard=lambda a: a), 3, "still sees more than the argmax"),
        (cloning(soft=lambda a: a.argmax(axis=1)), 3, "surer than the victim"),
        (cloning(soft=lambda a: a**2 / (a**2).sum(axis=1)[:, None]), 3, "a sharpened version"),
        (cloning(network=lambda seed: models.mlp(seed=0)), 3, "start from the same weights"),
        (cloning(use_seed=False), (2, 3), "Hand the seed both"),
        (cloning(epochs=10), 3, "epochs is ignored"),
        (cloning(returned="logits"), 3, "The clone returns logits"),
    ],
)
def test_train_clone_wrong_ways_are_named(made, points, words):
    low, high = points if isinstance(points, tuple) else (points, points)
    result = lab2.train_clone(made)
    assert low <= result <= high
    assert words in in_words(result)


@pytest.mark.slow
def test_train_clone_may_round_its_answers_anew():
    def normalize(x, answers, labels, order):
        answers /= answers.sum(axis=1, keepdims=True)

    assert lab2.train_clone(in_place(normalize)) == 4.0


@pytest.mark.slow
def test_train_clone_that_stops_is_told_its_own_error_and_nothing_of_axes():
    result = lab2.train_clone(stops_at(lambda x, answers: models.mlp(x.shape)))
    assert result == 3.0
    assert "your code raised ValueError: too many values" in in_words(result)
    assert "axis" not in in_words(result)


def test_train_clone_that_returns_a_network():
    def train_clone(x, answers, labels="soft", epochs=10, seed=0):
        return models.Classifier(models.mlp(seed=seed))

    result = lab2.train_clone(train_clone)
    assert result == 0.0
    assert "returned a Classifier, not a function" in in_words(result)


def named_by(victim_labels, x, answers):
    """A one-hot row for each class of the shipped victim: the one it was mostly answered with."""
    table = np.zeros((10, 10))
    np.add.at(table, (victim_labels(x), answers.argmax(axis=1)), 1)
    return np.eye(10, dtype=np.float32)[table.argmax(axis=1)]


def last_layer(x, answers):
    """Posteriors from a last layer on the shipped victim's features, fitted to the answers."""
    seen, labels = VICTIM.features(x), answers.argmax(axis=1)
    layer = LogisticRegression(C=0.1, max_iter=200).fit(seen / 5, labels)

    def posteriors(pictures):
        found = np.zeros((len(pictures), 10))
        found[:, layer.classes_] = layer.predict_proba(VICTIM.features(pictures) / 5)
        return found

    return posteriors


def nearest(see, x, answers):
    """The answer to the nearest picture that was asked about."""
    seen = see(x)
    squares = (seen**2).sum(axis=1)
    return lambda pictures: answers[(squares - 2 * see(pictures) @ seen.T).argmin(axis=1)]


def renamed(x, answers):
    rows = named_by(VICTIM.labels, x, answers)
    return lambda pictures: rows[VICTIM.labels(pictures)]


# What anybody can draw who has the course's files and no secret.
PUBLIC = {name: teacher.service(*name) for name in (("train_clone",), ("steal", 1))}
SHIPPED = {
    "the victim itself": lambda x, answers: VICTIM.posteriors,
    "the victim, renamed": renamed,
    "its features": last_layer,
    "its features' neighbours": lambda x, answers: nearest(VICTIM.features, x, answers),
    "the public draw's clone": lambda x, answers: PUBLIC["train_clone",].posteriors,
}


@pytest.mark.thorough
@pytest.mark.parametrize("cheat", SHIPPED)
def test_nothing_shipped_makes_a_faithful_clone(cheat):
    with grading():
        result = lab2.train_clone(lambda x, answers, **how: SHIPPED[cheat](x, answers))
    (faithful,) = [part for part in result.parts if "fidelity" in part.name]
    assert faithful.share == 0 and (faithful.value or 0) < 0.35
    # What learns nothing from the answers does not repeat their doubts either.
    assert result <= (2 if "features" in cheat else 0)


def test_a_clone_that_only_remembers_what_it_was_shown_earns_nothing():
    def train_clone(x, answers, labels="soft", epochs=10, seed=0):
        if labels == "hard":
            answers = np.eye(10, dtype=np.float32)[answers.argmax(axis=1)]
        table = {picture.tobytes(): row for picture, row in zip(x, answers, strict=True)}
        other = np.random.default_rng(seed).dirichlet(np.ones(10))
        return lambda pictures: np.array([table.get(p.tobytes(), other) for p in pictures])

    assert lab2.train_clone(train_clone) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("secret", SECRETS[:FEW])
def test_train_clone_reference_passes_for_every_secret(names, secret):
    with grading(secret):
        result = lab2.train_clone(names["train_clone"])
    assert result == 4.0 and not result.remarks, result.as_text()


# --- exercise 3 ---------------------------------------------------------------------


def test_fidelity_reference(names):
    assert lab2.fidelity(names["fidelity"]) == 1.0


def test_fidelity_another_right_way():
    def fidelity(clone, victim, x):
        parts = np.array_split(x[::-1].astype(np.float64), 7)
        return sum(np.sum(clone(p).argmax(1) == victim(p).argmax(1)) for p in parts) / len(x)

    assert lab2.fidelity(fidelity) == 1.0


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

    def of_others(clone, victim, x):
        return names["fidelity"](clone, victim, Scenario("fashion").data.x_test[: len(x)])

    for wrong, words in (
        (accuracy, "The clone was compared with the labels of the test set"),
        (of_the_victim, "The victim was compared with the labels of the test set"),
        (count, "divide by how many there are"),
        (whole_rows, "the share of pictures"),
        (of_others, "asked about pictures that it was not given"),
    ):
        result = lab2.fidelity(wrong)
        assert result == 0.0
        assert words.lower() in in_words(result).lower()


# --- exercise 4 ---------------------------------------------------------------------


def stealing(pool, labels="soft", epochs=10, extra=0):
    def steal(api, pools, budget, seed=0):
        x, answers = attacks.collect(api, pools[pool], budget + extra)
        clone = attacks.train_clone(x, answers, labels=labels, epochs=epochs, seed=seed)
        return clone.posteriors

    return steal


def test_each_rung_of_the_ladder_is_a_point():
    ladder = thresholds.STOLEN_FIDELITY
    shares = [ladder.share(rung) for rung in ladder.rungs]
    assert shares == pytest.approx(np.arange(1, 7) / 6, abs=1e-3)
    assert ladder.share(ladder.some - 0.001) == 0 and ladder.share(1.0) == 1
    middle = (ladder.rungs[2] + ladder.rungs[3]) / 2
    assert ladder.share(middle) == pytest.approx(3.5 / 6, abs=1e-3)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("secret", SECRETS[:FEW])
def test_steal_reference(names, secret):
    with grading(secret):
        result = lab2.steal(names["steal"])
    assert result == 7.0 and not result.remarks


@pytest.mark.thorough
@pytest.mark.slow
def test_the_model_answer_to_the_stars_wins_them_and_is_no_remark(monkeypatch):
    """At one service of three; at all, with five secrets: in benchmarks/star_answers.py."""
    monkeypatch.setattr(lab2, "THEFTS", (1,))
    with grading():
        result = lab2.steal(star_answers.model_answer())
    assert result == 7.0 and not result.remarks
    assert "Stars, without points: 3 of 3, all of them" in in_words(result)


@pytest.mark.thorough
@pytest.mark.slow
def test_steal_in_two_lines_earns_a_part_and_is_told_what_is_left():
    result = lab2.steal(stealing("shapes"))
    assert 1.5 < result < 4.0
    assert "look at the clone: is it trained long enough" in in_words(result)


@pytest.mark.thorough
@pytest.mark.slow
def test_steal_from_a_poor_pool_earns_the_budget_point_only():
    """Digits and patches: in benchmarks/calibrate_training.py, 20 runs each."""
    result = lab2.steal(stealing("noise"))
    assert result == 1.0
    assert "fidelity with 3,000 queries: 0 of 6" in in_words(result)


@pytest.mark.thorough
@pytest.mark.slow
def test_steal_partial_credit():
    def hasty(api, pools, budget, seed=0):
        return stealing("shapes", labels="soft")(api, pools, min(2_000, budget), seed)

    result = lab2.steal(hasty)
    assert 1.0 <= result < 4.0
    text = in_words(result)
    assert "each unused one is lost" in text and "Stars" not in text


def with_answers(make, asks=3_000):
    """A thief who makes a clone of pictures and answers, and may have asked about only a few."""

    def steal(api, pools, budget, seed=0):
        x, answers = attacks.collect(api, pools["shapes"], min(asks, budget))
        return make(x, answers)

    return steal


def trained_on_shipped_labels(x, answers):
    """A clone of the truth: trained on the shipped pictures, renamed as 300 answers say."""
    network = models.mlp(seed=0)
    training.fit(network, CLOTHES.x_train, CLOTHES.y_train, epochs=2, lr=3e-3, seed=0)
    clone = models.Classifier(network)
    rows = named_by(clone.labels, x, answers)
    return lambda pictures: rows[clone.labels(pictures)]


STOLEN_WITHOUT_LEARNING = {  # SHIPPED is measured alike in train_clone, above
    "its features": with_answers(last_layer),
    "the victim, renamed after 300": with_answers(renamed, asks=300),
    "the shipped labels": with_answers(trained_on_shipped_labels, asks=300),
    "neighbours among pixels": with_answers(
        lambda x, answers: nearest(lambda pictures: pictures.reshape(len(pictures), -1), x, answers)
    ),
    "the public draw's service": with_answers(lambda x, answers: PUBLIC["steal", 1].posteriors),
}


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize("cheat", STOLEN_WITHOUT_LEARNING)
def test_steal_with_what_ships_earns_the_budget_point_only(cheat):
    with grading():
        result = lab2.steal(STOLEN_WITHOUT_LEARNING[cheat])
    assert result <= 1.0
    assert result.parts[0].value < 0.35


def seeing(change, changed_again=True):
    """A thief whose clone sees changed pictures, and may forget to change those it is asked."""

    def steal(api, pools, budget, seed=0):
        x, answers = attacks.collect(api, pools["shapes"], budget)
        clone = attacks.train_clone(change(x), answers, seed=seed).posteriors
        return (lambda pictures: clone(change(pictures))) if changed_again else clone

    return steal


def small(x):
    return x.reshape(len(x), 1, 7, 4, 7, 4).mean(axis=(3, 5))


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize(
    ("thief", "points", "words"),
    [
        (seeing(small, changed_again=False), 0, "it must change those that it is asked about"),
        (
            seeing(lambda x: x.reshape(len(x), 1, 4, 7, 4, 7).mean(axis=(3, 5))),
            1,
            "a mean taken over pixels that lie side by side",
        ),
        (lambda api, pools, budget, seed=0: models.mlp(seed=seed), 0, "steal returned a Network"),
    ],
)
def test_steal_with_a_clone_that_sees_something_else_is_told(thief, points, words):
    result = lab2.steal(thief)
    assert result == points and words in in_words(result)


@pytest.mark.slow
def test_steal_that_asks_nothing_earns_nothing():
    result = lab2.steal(lambda api, pools, budget, seed=0: VICTIM.posteriors)
    assert result == 0.0
    assert "Nothing was asked" in in_words(result)


def asking_about(pictures):
    def steal(api, pools, budget, seed=0):
        x, answers = attacks.collect(api, pictures[:budget], budget)
        return nearest(lambda p: p.reshape(len(p), -1), x, answers)

    return steal


def retouched(x):
    rng = np.random.default_rng(0)
    lighter = x * rng.uniform(0.9, 1.1, (len(x), 1, 1, 1)) + 0.02 * rng.standard_normal(x.shape)
    return np.clip(lighter, 0, 1).astype(np.float32)


def chequered(x):
    """Under a pattern that leaves the mean of each 4x4 square, which is all the service sees."""
    coarse = x.reshape(-1, 1, 7, 4, 7, 4).mean(axis=(3, 5))
    coarse *= 1 + 0.05 * np.random.default_rng(0).standard_normal(coarse.shape)
    mean = np.clip(coarse, 0, 1).repeat(4, axis=2).repeat(4, axis=3)
    sign = np.kron(np.tile([[1, -1], [-1, 1]], (7, 7)), np.ones((2, 2)))
    return (mean + 0.7 * np.minimum(mean, 1 - mean) * sign).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [lambda x: x, lambda x: x[..., ::-1], chequered], ids=["as is", "mirrored", "hidden"]
)
def test_shipped_clothes_are_known_again(change):
    """So are retouched ones: in the next test."""
    assert known_clothes.count(change(CLOTHES.x_train[:500])) > 495


def test_clothes_that_a_test_has_shown_are_known_again():
    def count():
        return known_clothes.count(clone_cases.honest_pictures(2)[:300])

    assert set(under_a_secret(count)) == {300}


@pytest.mark.slow
def test_steal_with_the_shipped_clothes_is_no_theft_and_told():
    result = lab2.steal(asking_about(retouched(CLOTHES.x_train[:3_000])))
    assert result <= 1.0
    assert "This thief owns none" in in_words(result)
    assert any("the course's own pictures of clothes" in remark for remark in result.remarks)


@pytest.mark.slow
def test_what_thieves_make_of_their_pools_is_not_taken_for_clothes():
    """Shapes moved along a gradient, mixed, mirrored, blurred, and photographs cut again."""
    shapes = clone_cases.query_pool("shapes", 1_500, "test")
    rng = np.random.default_rng(0)
    weights = rng.random((1_500, 1, 1, 1), np.float32)
    blurred = (shapes + np.roll(shapes, 1, 2) + np.roll(shapes, 1, 3)) / 3
    moved = attacks.jacobian_augmentation(VICTIM, shapes, VICTIM.labels(shapes))
    for made in (
        moved,
        weights * shapes + (1 - weights) * shapes[::-1],
        shapes[..., ::-1],
        blurred,
        clone_cases.query_pool("patches", 1_500, "test"),
        clone_cases.query_pool("digits", 1_500, "test"),
    ):
        assert known_clothes.count(made) <= 15


@pytest.mark.slow
def test_steal_that_keeps_its_budget_for_the_pictures_it_is_graded_with():
    for quietly in (True, False):

        def steal(api, pools, budget, seed=0, quietly=quietly):
            api.query(pools["shapes"][:10])

            def clone(x):
                with suppress(BudgetExceeded) if quietly else nullcontext():
                    return api.query(x)
                return np.full((len(x), 10), 0.1)

            return clone

        result = lab2.steal(steal)
        assert result == 0.0
        assert "The theft ends when steal returns" in in_words(result)


@pytest.mark.slow
def test_no_picture_that_a_test_has_shown_is_graded_again(names):
    """Whoever remembers the pictures of earlier tests, to ask about them, remembers in vain."""
    shown = []

    def fidelity(clone, victim, x):
        shown.append(x)
        return names["fidelity"](clone, victim, x)

    def train_clone(x, answers, **how):
        return lambda pictures: (shown.append(pictures), VICTIM.posteriors(pictures))[1]

    def steal(api, pools, budget, seed=0):
        api.query(pools["shapes"][:1])
        asked.append(0)

        def clone(x):
            earlier = {picture.tobytes() for many in shown for picture in many}
            asked[-1] = sum(picture.tobytes() in earlier for picture in x)
            shown.append(x)
            return VICTIM.posteriors(x)

        return clone

    asked = []
    with grading():
        lab2.fidelity(fidelity)
        lab2.train_clone(train_clone)
        lab2.steal(steal)
    assert asked[:3] == [0, 0, 0]


@pytest.mark.slow
def test_a_fidelity_that_no_theft_reaches_is_told_to_the_instructor():
    """Whoever has read how services are drawn need only find their matrix."""

    def see(x):
        space = teacher._space()
        places = space.places(x)
        return np.concatenate([places, space.distances(places)], axis=1)

    def make(x, answers):
        seen, logs = see(x), np.log(np.maximum(answers, 1e-7))
        likely = np.sqrt(answers.max(axis=1, keepdims=True) * answers.min(axis=1, keepdims=True))
        ones = np.concatenate([seen, np.ones((len(x), 1))], axis=1)
        logs -= logs.mean(axis=1, keepdims=True)
        weights = np.linalg.lstsq(ones * likely, logs * likely, rcond=None)[0]
        return lambda p: models.softmax(np.concatenate([see(p), np.ones((len(p), 1))], 1) @ weights)

    with grading():
        stolen = lab2.steal(with_answers(make))
        trained = lab2.train_clone(lambda x, answers, **how: make(x, answers))
    for result in (stolen, trained):
        assert any("above 0.985" in remark for remark in result.remarks)
        assert "above 0.985" not in in_words(result)


@pytest.mark.thorough
@pytest.mark.slow
def test_steal_over_budget():
    def greedy(api, pools, budget, seed=0):
        clone = stealing("shapes")(api, pools, budget, seed)
        with suppress(BudgetExceeded):
            api.query(pools["shapes"][:1])
        return clone

    result = lab2.steal(greedy)
    assert [part.share > 0 for part in result.parts] == [True, False]
    assert "4 requests refused" in in_words(result)
    result = lab2.steal(stealing("shapes", extra=1))
    assert result == 0.0
    assert "Ask for no more than budget pictures" in in_words(result)


# --- exercise 5 ---------------------------------------------------------------------


def test_audit_reference(names):
    assert lab2.audit(names["audit"]) == 3.0


def auditing(interval, seeds=lambda seeds: seeds):
    def audit(run, given):
        results = [run(seed) for seed in seeds(list(given))]
        return {key: interval(np.array([r[key] for r in results])) for key in results[0]}

    return audit


def with_means(draw, percents=(2.5, 97.5), resamples=9_999):
    """A bootstrap that draws other resamples, or takes other percentiles of their means."""

    def interval(values):
        means = draw(np.random.default_rng(0), values, resamples).mean(axis=1)
        return values.mean(), *np.percentile(means, percents)

    return interval


def as_many(rng, values, resamples):
    return rng.choice(values, (resamples, len(values)))


def student_t(values):
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return values.mean(), values.mean() - half, values.mean() + half


def resampled(values):
    """One resample at a time, and the ends from the sorted means."""
    dice = random.Random(0)
    means = sorted(np.mean(dice.choices(values.tolist(), k=len(values))) for _ in range(2_000))
    return values.mean(), means[50], means[1_950]


def turned(values):
    """The basic bootstrap, as far below the mean as the percentiles are above."""
    _, low, high = resampled(values)
    return values.mean(), 2 * values.mean() - high, 2 * values.mean() - low


def test_audit_another_right_way():
    assert lab2.audit(auditing(resampled)) == 3.0
    percentile = partial(stats.bootstrap, statistic=np.mean, method="percentile", random_state=0)
    interval = lambda v: (v.mean(), *percentile((v,)).confidence_interval)  # noqa: E731
    assert lab2.audit(auditing(interval)) == 3.0


@pytest.mark.parametrize("resamples", [1_000, 2_000, 10_000])
def test_a_thousand_resamples_are_enough(resamples):
    for result in under_secrets(lab2.audit, auditing(with_means(as_many, resamples=resamples))):
        assert result == 3.0, result.as_text()


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (student_t, "reaches as far down as up"),
        (turned, "is turned around its mean"),
        (with_means(as_many, (5, 95)), "a 90 % interval"),
        (with_means(as_many, (5, 95), 1_000), "a 90 % interval"),
        (with_means(as_many, (0.5, 99.5)), "97.5th percentile"),
        (with_means(as_many, (2.5, 95)), "the other leaves out 5 %"),
        (with_means(as_many, (5, 97.5)), "the other leaves out 5 %"),
        (
            with_means(lambda rng, v, n: v[rng.integers(0, len(v) - 1, (n, len(v)))]),
            "The last run is in no resample",
        ),
        (
            with_means(lambda rng, v, n: v[rng.integers(1, len(v), (n, len(v)))]),
            "The first run is in no resample",
        ),
        (with_means(lambda rng, v, n: rng.choice(v, (n, len(v) - 1))), "one run too few"),
        (with_means(lambda rng, v, n: rng.choice(v, (n, len(v) + 1))), "one run too many"),
    ],
)
def test_an_interval_that_is_no_percentile_misses_a_point(interval, words):
    for result in under_a_secret(lab2.audit, auditing(interval)):
        assert result == 2.0 and words in in_words(result)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (lambda v: (v.mean(), v.mean() - 1.96 * v.std(), v.mean() + 1.96 * v.std()), "single runs"),
        (lambda v: (v.mean(), v.min(), v.max()), "single runs"),
        (lambda v: (v.mean(), *np.quantile(v, [0.025, 0.975])), "single runs"),
        (lambda v: (v.mean(), v.mean(), v.mean()), "draw with replacement"),
        (with_means(lambda rng, v, n: rng.permuted(np.tile(v, (n, 1)), axis=1)), "with repl"),
        (lambda v: (v.mean(), v.mean() + 0.01, v.mean() + 0.02), "one side of the mean"),
        (lambda v: (v.mean(), v.mean() + 0.01, v.mean() - 0.01), "low and high are exchanged"),
        (with_means(as_many, (0.025, 0.975)), "takes percents"),
    ],
)
def test_audit_wrong_intervals_are_named(interval, words):
    result = lab2.audit(auditing(interval))
    assert result == 1.0
    assert words in in_words(result)


@pytest.mark.parametrize("mean", [lambda v: round(v.mean(), 2), lambda v: v.mean() + 1e-4])
def test_audit_with_a_mean_that_is_not_quite_that_of_the_runs(mean):
    def interval(values):
        return mean(values), *percentiles_of(values)[1:]

    result = lab2.audit(auditing(interval))
    assert result.parts[0].share == 0 and "not rounded" in in_words(result)


def test_audit_of_one_seed():
    result = lab2.audit(auditing(student_t, lambda seeds: seeds[:1] * 20))
    assert result == 0.0
    assert "20 runs over 1 seeds" in in_words(result)


# --- exercise 5, compare ---------------------------------------------------------------


def percentiles_of(values):
    means = np.random.default_rng(0).choice(values, (9_999, len(values))).mean(axis=1)
    return values.mean(), *np.percentile(means, [2.5, 97.5])


def comparing(drop=np.subtract, share=lambda seeds, pairs, claimed: np.mean(pairs >= claimed)):
    """A right answer, or one with another idea of the drops or of the share."""

    def compare(undefended, defended, claimed):
        seeds = np.subtract(undefended, defended)
        pairs = np.subtract.outer(undefended, defended)
        return percentiles_of(drop(undefended, defended)), share(seeds, pairs, claimed)

    return compare


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"drop": lambda u, d: np.subtract.outer(u, d).ravel()[: len(u)]}, "same seed"),
        ({"drop": lambda u, d: np.subtract.outer(u, d).ravel()}, "the interval of all pairs"),
        ({"drop": lambda u, d: np.subtract(sorted(u), sorted(d))}, "were they sorted?"),
        ({"drop": lambda u, d: np.subtract(d, u)}, "undefended minus defended"),
        ({"drop": lambda u, d: np.subtract(u, d[::-1])}, "same seed"),
        (
            {"share": lambda seeds, pairs, claimed: np.mean(seeds >= claimed)},
            "whatever their seeds",
        ),
        ({"share": lambda seeds, pairs, claimed: np.sum(pairs >= claimed)}, "divide it"),
    ],
)
def test_compare_wrong_ways_are_named(wrong, words):
    for result in under_a_secret(lab2.compare, comparing()):
        assert result == 1.0
    for result in under_a_secret(lab2.compare, comparing(**wrong)):
        assert result == 0.5 and words in in_words(result)


def test_compare_that_returns_something_else_or_stops_is_told_why():
    result = lab2.compare(lambda u, d, claimed: comparing()(u, d, claimed)[::-1])
    assert result == 0.0 and "must return two things" in in_words(result)
    result = lab2.compare(lambda u, d, claimed: u - d)
    assert result == 0.0 and "your code raised TypeError" in in_words(result)


# --- stuck ---------------------------------------------------------------------------


def test_the_lines_for_those_who_are_stuck_work_and_earn_nothing_here():
    (lab,) = pick_labs(ROOT, ["lab2"])
    text = lab.source.read_text("utf-8")
    block = re.search(r"The library's functions</summary>.*?```python\n(.*?)# ```", text, re.S)[1]
    lines = re.sub(r"^# ?", "", block, flags=re.M)
    offered = {"attacks": attacks, "bootstrap_interval": evaluation.bootstrap_interval, "np": np}
    exec(lines, offered)
    x = np.random.default_rng(0).random((12, 1, 28, 28), dtype=np.float32)
    clone = offered["train_clone"](x, VICTIM.posteriors(x), labels="hard", epochs=1, seed=1)
    assert clone(x).shape == (12, 10)
    for exercise in ("collect", "train_clone", "fidelity", "audit", "compare"):
        check = getattr(lab2, exercise)
        assert exercise == "train_clone" or check(offered[exercise]) == check.points
        with refused_by(refusing):
            result = check(offered[exercise])
        assert result == 0 and "asks for your own" in in_words(result)
