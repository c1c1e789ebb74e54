"""Lab 3's checks: right answers of several kinds pass, and each wrong one is named."""

import re

import numpy as np
import pytest
from reading import in_words
from reference import reference

from trickster import defenses, ood
from trickster.api import Query
from trickster.checks import defense_cases, fixtures, lab3, thresholds
from trickster.checks.result import Sheet


@pytest.fixture(scope="module")
def names():
    return reference("lab3")


# --- exercise 1 ---------------------------------------------------------------------


def test_zero_mean_noise_right_ways(names):
    assert lab3.zero_mean_noise(names["zero_mean_noise"]) == 2.0
    assert lab3.zero_mean_noise(defenses.zero_mean_noise) == 2.0


def noise_of(p, noise, axis=1):
    raised = np.exp(np.log(p) + noise)
    return raised / raised.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda p, s, rng: p + rng.normal(0, s, p.shape), "no distributions"),
        (lambda p, s, rng: np.abs(p) / p.sum(1, keepdims=True), "Draw an array"),
        (lambda p, s, rng: defenses.zero_mean_noise(p, s**2, rng), "is sigma**2"),
        (lambda p, s, rng: noise_of(p, rng.uniform(-s, s, p.shape)), "not normally distributed"),
        (lambda p, s, rng: noise_of(p, s * 3**0.5 * rng.uniform(-1, 1, p.shape)), "not normally"),
        (lambda p, s, rng: noise_of(p, rng.normal(s, s, p.shape[1]) * 0.3), "Draw an array"),
        (lambda p, s, rng: noise_of(p, 1.5 * rng.normal(0, s, p.shape)), "add the noise to them"),
        (lambda p, s, rng: noise_of(p, rng.normal(0, s, p.shape), axis=0), "its columns sum to 1"),
        (lambda p, s, rng: defenses.zero_mean_noise(p, s, np.random.default_rng()), "nothing else"),
    ],
)
def test_zero_mean_noise_wrong_ways_are_named(wrong, words):
    result = lab3.zero_mean_noise(wrong)
    assert result <= 1.0
    assert words in in_words(result)


# --- exercise 2 ---------------------------------------------------------------------


def msp(p):
    return p.max(axis=1)


def test_scores_right_ways(names):
    given = (names["score_msp"], names["score_energy"], names["score_knn"])
    assert lab3.scores(*given) == 4.0
    assert lab3.scores(ood.score_msp, ood.score_energy, ood.score_knn) == 4.0


def naive_energy(z):
    return np.log(np.exp(z).sum(axis=1))


def batch_energy(z):
    return z.max() + np.log(np.exp(z - z.max()).sum(axis=1))


def raw_knn(features, bank, k):
    return np.sort(features @ bank.T, axis=1)[:, -k]


def mean_knn(features, bank, k):
    return np.sort(ood.unit_rows(features) @ ood.unit_rows(bank).T, axis=1)[:, -k:].mean(axis=1)


def far_knn(features, bank, k):
    return np.sort(ood.unit_rows(features) @ ood.unit_rows(bank).T, axis=1)[:, -k - 1]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((lambda p: 1 - p.max(1), ood.score_energy, ood.score_knn), "1 minus the probability"),
        ((lambda p: -p.max(1), ood.score_energy, ood.score_knn), "the score is +max"),
        ((msp, batch_energy, ood.score_knn), "not the batch's"),
        ((msp, ood.score_energy, lambda *a: 1 - ood.score_knn(*a)), "This is a distance"),
        ((msp, lambda z: -ood.score_energy(z), ood.score_knn), "The sign is wrong"),
        ((msp, naive_energy, ood.score_knn), "overflows"),
        ((msp, ood.score_energy, raw_knn), "Divide each row by its length"),
        ((msp, ood.score_energy, mean_knn), "asked is the k-th"),
        ((msp, ood.score_energy, far_knn), "one neighbour too far"),
        ((lambda p: p.max(1) - p.max(1).mean(), ood.score_energy, ood.score_knn), "no means"),
    ],
)
def test_scores_wrong_ways_are_named(given, words):
    result = lab3.scores(*given)
    assert result <= 3.0
    assert words in in_words(result)


# --- exercises 3, 4 and 6 -----------------------------------------------------------


def test_choose_threshold_right_ways(names):
    assert lab3.choose_threshold(names["choose_threshold"]) == 3.0
    assert lab3.choose_threshold(ood.choose_threshold) == 3.0
    assert lab3.choose_threshold(lambda s, r: np.quantile(s, r, method="lower")) >= 2.0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda s, r: np.quantile(s, 1 - r), "the low end"),
        (lambda s, r: 0.5, "Sort the scores"),
        (lambda s, r: np.sort(s)[int(np.ceil(r * len(s))) + 1], "round down"),
    ],
)
def test_choose_threshold_wrong_ways_are_named(wrong, words):
    result = lab3.choose_threshold(wrong)
    assert result < 3.0
    assert words in in_words(result)


def test_misinform_right_ways(names):
    def swap(p):
        p, rows = p.copy(), np.arange(len(p))
        a, b = p.argmax(axis=1), p.argmin(axis=1)
        p[rows, a], p[rows, b] = p[rows, b], p[rows, a]
        return p

    for right in (
        names["misinform"],
        defenses.misinform,
        swap,
        lambda p: np.roll(p, 1, axis=1),
        lambda p: 0.8 * np.eye(10)[p.argmin(axis=1)] + 0.02,
    ):
        assert lab3.misinform(right) == 3.0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda p: 0.5 * np.eye(10)[p.argmax(axis=1)] + 0.05, "keeps the largest class"),
        (lambda p: np.eye(10)[np.full(len(p), 3)], "Everybody gets the same class"),
        (lambda p: -p, "no distributions"),
        (lambda p: np.random.default_rng().dirichlet(np.ones(10), len(p)), "repeats a question"),
        (lambda p: defenses.misinform(p)[::-1], "depends on its neighbours"),
    ],
)
def test_misinform_wrong_ways_are_named(wrong, words):
    result = lab3.misinform(wrong)
    assert result < 3.0
    assert words in in_words(result)


def test_choose_point(names):
    assert lab3.choose_point(names["choose_point"]) == 1.0
    result = lab3.choose_point(lambda points, loss: max(points))
    assert result == 0.0
    assert "Among the rates" in in_words(result)


def affordable(points, loss, than):
    return [rate for rate in points if points[rate][1] >= than - loss]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda points, loss: max(affordable(points, loss, points[0.0][1])), "not the highest"),
        (
            lambda points, loss: min(
                affordable(points, loss, max(u for _, u in points.values())),
                key=lambda rate: points[rate][0],
            ),
            "not the best of all",
        ),
        (
            lambda points, loss: min(r for r in points if points[0.0][1] - points[r][1] < loss),
            "A loss of exactly max_loss is allowed",
        ),
    ],
    ids=["highest rate", "loss from the best", "less than"],
)
def test_choose_point_wrong_ways_are_named(wrong, words):
    result = lab3.choose_point(wrong)
    assert result == 0.0
    assert words in in_words(result)


# --- exercise 5 ---------------------------------------------------------------------


# Fewer pictures and one seed. What full panels give is proven by the sample class (perfect,
# other_way, keeps_the_argmax ...) and by benchmarks/calibrate_defenses.py.
SMALL = {"seeds": (0,), "budget": 1_200}
TINY = {"seeds": (0,), "budget": 300}  # enough where the words do not depend on the drop


def by_features(**options):
    """The library's defence as lab 3 asks for one."""
    made = defenses.Trickster.from_features(fixtures.bank(), fixtures.owners().features, **options)
    return lambda x, posteriors, features: made(posteriors, Query(x, features, "anyone", 0.0))


def by_pixels_too():
    """Another score: the worse of two ranks, among features and among pixels."""

    def flat(x):
        return x.reshape(len(x), -1)

    banks = fixtures.bank(), flat(fixtures.fashion().x_train)
    owners = fixtures.owners()
    ranks = [
        np.sort(ood.score_knn(z, bank, 1))
        for z, bank in zip((owners.features, flat(owners.x)), banks, strict=True)
    ]

    def rank(posteriors, query):
        scores = (
            ood.score_knn(z, bank, 1)
            for z, bank in zip((query.features, flat(query.x)), banks, strict=True)
        )
        return np.min([np.searchsorted(r, s) for r, s in zip(ranks, scores, strict=True)], axis=0)

    honest = rank(owners.posteriors, Query(owners.x, owners.features, "anyone", 0.0))
    made = defenses.Trickster(rank, ood.choose_threshold(honest, 0.02))
    return lambda x, posteriors, features: made(posteriors, Query(x, features, "anyone", 0.0))


def least_likely(p):
    return 0.8 * np.eye(10)[p.argmin(axis=1)] + 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [by_features, lambda: by_features(k=5, lie=least_likely), by_pixels_too],
    ids=["reversed", "least likely, fifth neighbour", "pixels too"],
)
def test_trickster_right_ways(make):
    assert lab3.trickster(make(), **SMALL) == 8.0


def test_trickster_that_does_nothing():
    result = lab3.trickster(lambda x, posteriors, features: posteriors)
    assert result == 0.0
    words = in_words(result)
    assert "nothing is defended yet. Recognise" in words
    assert words.count("nothing is defended yet: see above") == 4 and words.count("0% of") == 1


def test_trickster_with_a_weak_score():
    line = ood.choose_threshold(ood.score_msp(fixtures.owners().posteriors), 0.02)

    def trickster(x, posteriors, features):
        weird = ood.score_msp(posteriors) < line
        return np.where(weird[:, None], defenses.misinform(posteriors), posteriors)

    result = lab3.trickster(trickster, **TINY)
    assert 3.0 <= result < 6.0
    assert "of the shapes: compare the scores in exercise 2's table" in in_words(result)


def test_trickster_that_compares_the_wrong_way():
    right = by_features()

    def turned(x, posteriors, features):
        weird = np.any(right(x, posteriors, features) != posteriors, axis=1)
        return np.where(weird[:, None], posteriors, defenses.misinform(posteriors))

    assert "is the wrong way round" in in_words(lab3.trickster(turned, **TINY))


def test_trickster_that_keeps_the_argmax():
    flat = by_features(lie=lambda p: 0.5 * np.eye(10)[p.argmax(axis=1)] + 0.05)
    result = lab3.trickster(flat, **TINY)
    assert result == 4.0
    assert "The thief loses too little" in in_words(result)


def test_trickster_that_breaks_distributions():
    result = lab3.trickster(lambda x, posteriors, features: posteriors * 2)
    assert result == 0.0
    assert "sum to 1" in in_words(result)


@pytest.mark.parametrize("drop", [0.1752, 0.178, 0.1796])
def test_a_drop_below_the_threshold_is_never_shown_as_the_threshold(drop):
    before, after = np.array([[0.66, 0.7]] * 2), np.array([[0.66 - drop, 0.3]] * 2)
    sheet = Sheet("Exercise 5", 4)
    with sheet.part("the best thief", 4) as part:
        found = defense_cases.Panel(before, after, "soft")
        defense_cases.best_thief(part, found, kept=1, steady=1, caught=1)
    shown = re.search(r"smaller drop is (\S+)", in_words(sheet.result()))
    assert shown and (float(shown[1]) < thresholds.DROP.full or part.share == 1)
