"""Lab 3's checks: right answers of several kinds pass, and each wrong one is named."""

import re
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from drawn import the_same, under_a_secret, under_secrets
from reading import in_words
from reference import reference
from scipy import ndimage
from scipy.special import logsumexp
from scipy.stats import norm

from autograder import held_back
from trickster import defenses, ood
from trickster.api import BudgetExceeded
from trickster.checks import defense_cases, draws, fixtures, lab3, spending_cases, thresholds
from trickster.checks.result import SAME, Sheet

pytestmark = pytest.mark.usefixtures("library_answers")


@pytest.fixture(scope="module")
def names():
    return reference("lab3")


# --- exercise 1 ---------------------------------------------------------------------


def noise_of(p, noise, axis=1):
    raised = np.exp(np.log(p) + noise)
    return raised / raised.sum(axis=axis, keepdims=True)


UNTOLD = np.random.default_rng()


def noisy_in_place(p, sigma, rng):
    p[:] = noise_of(p, rng.normal(0, sigma, p.shape))
    return p.copy()


def noise_around(logits, sigma, rng, shape):
    raised = np.exp(logits + rng.normal(0, sigma, shape))
    return raised / raised.sum(axis=1, keepdims=True)


def with_log(logarithm):
    return lambda p, s, rng: noise_around(logarithm(p), s, rng, p.shape)


def clipped(p, sigma, rng):
    noisy = np.clip(p + rng.normal(0, sigma, p.shape), 0.01, 0.99)
    return noisy / noisy.sum(axis=1, keepdims=True)


@pytest.mark.slow
def test_zero_mean_noise_right_ways(names):
    for right in (
        names["zero_mean_noise"],
        lambda p, s, rng: noise_of(p, s * rng.standard_normal(p.shape)),
        lambda p, s, rng: noise_of(p, rng.normal(0, s, p.shape[::-1]).T).astype("float32"),
        lambda p, s, rng: noise_of(np.maximum(p, 1e-6), rng.normal(0, s, p.shape)),
        lambda p, s, rng: noise_of(p + 1e-8, rng.normal(0, s, p.shape)),
    ):
        assert the_same(under_secrets(lab3.zero_mean_noise, right)) == 2.0


@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (lambda p, s, rng: p + rng.normal(0, s, p.shape), 0, "no distributions"),
        (lambda p, s, rng: np.abs(p) / p.sum(1, keepdims=True), 0, "the same noise, or none"),
        (lambda p, s, rng: noise_of(p, rng.normal(0, s**2, p.shape)), 1, "is sigma**2"),
        (lambda p, s, rng: noise_of(p, rng.normal(0, s**0.5, p.shape)), 1, "the root of sigma"),
        (lambda p, s, rng: noise_of(p, rng.uniform(-s, s, p.shape)), 1, "deviation of .58 sigma"),
        (lambda p, s, rng: noise_of(p, rng.laplace(0, s / 2**0.5, p.shape)), 1, "not normally"),
        (lambda p, s, rng: noise_of(p, rng.normal(s, s, p.shape[1]) * 0.3), 0, "Draw an array"),
        (lambda p, s, rng: noise_of(p, rng.normal(0, s, (len(p), 1))), 0, "Draw an array"),
        (lambda p, s, rng: noise_of(p, 1.5 * rng.normal(0, s, p.shape)), 1, "in place of sigma"),
        (lambda p, s, rng: noise_of(p, rng.normal(0, s, p.shape), 0), 0, "its columns sum to 1"),
        (lambda p, s, rng: noise_of(p, UNTOLD.normal(0, s, p.shape)), 1, "nothing else"),
        (
            lambda p, s, rng: noise_of(p, np.random.default_rng(0).normal(0, s, p.shape)),
            1,
            "another gives others: False",
        ),
        (clipped, 0, "add the noise to them"),
        (with_log(lambda p: np.log(p[0])), 1, "noise on the same logits"),
        (with_log(lambda p: np.log(p.mean(axis=0))), 1, "noise on the same logits"),
        (with_log(lambda p: np.log(np.maximum(p, 0.01))), 1, "clip at 1e-12 or so"),
        (with_log(lambda p: np.log(np.maximum(p, 0.05))), 1, "before the logarithm"),
        (with_log(lambda p: np.log(p + 0.01)), 1, "are changed before the logarithm"),
        (with_log(np.log2), 1, "1.44 times log(posteriors)"),
        (lambda p, s, rng: noise_of(p, rng.normal(0, 2, p.shape)), 1, "for both sigmas: sigma is"),
        (noisy_in_place, 1, "writes into the posteriors"),
    ],
)
def test_zero_mean_noise_wrong_ways_are_named(wrong, points, words):
    result = the_same(under_a_secret(lab3.zero_mean_noise, wrong))
    assert result == points
    assert words in in_words(result)


# --- exercise 2 ---------------------------------------------------------------------


def msp(p):
    return p.max(axis=1)


def energy(z):
    return logsumexp(z, axis=1)


def cosines(features, bank):
    return np.sort(ood.unit_rows(features) @ ood.unit_rows(bank).T, axis=1)


def knn(features, bank, k):
    return cosines(features, bank)[:, -k]


def single_energy(z):
    return torch.logsumexp(torch.tensor(z).float(), 1).numpy()


def single_knn(features, bank, k):
    sides = (torch.tensor(np.array(x)).float() for x in (features, bank))
    f, b = (torch.nn.functional.normalize(side, dim=1) for side in sides)
    return (f @ b.T).topk(k, dim=1).values[:, -1].numpy()


def test_scores_right_ways(names):
    given = (names["score_msp"], names["score_energy"], names["score_knn"])
    assert the_same(under_secrets(lab3.scores, *given)) == 4.0
    assert the_same(under_secrets(lab3.scores, msp, energy, knn)) == 4.0
    assert the_same(under_secrets(lab3.scores, msp, single_energy, single_knn)) == 4.0


def naive_energy(z):
    with np.errstate(all="ignore"):
        return np.log(np.exp(z).sum(axis=1))


def batch_energy(z):
    with np.errstate(all="ignore"):
        return z.max() + np.log(np.exp(z - z.max()).sum(axis=1))


def raw_knn(features, bank, k):
    return np.sort(features @ bank.T, axis=1)[:, -k]


def mean_knn(features, bank, k):
    return cosines(features, bank)[:, -k:].mean(axis=1)


def of_the_batch(score):
    """Made relative to the batch, and so NaN for one row alone."""

    def relative(*given):
        found = score(*given)
        with np.errstate(all="ignore"):
            return (found - found.mean()) / found.std()

    return relative


def alone_nan(score):
    def answer(rows, *more):
        return score(rows, *more) if len(rows) > 1 else np.full(1, np.nan)

    return answer


def half_divided(features, bank, k):
    return np.sort(ood.unit_rows(features) @ bank.T, axis=1)[:, -k]


def by_columns(features, bank, k):
    sides = [x / np.linalg.norm(x, axis=0) for x in (features, bank)]
    return np.sort(sides[0] @ sides[1].T, axis=1)[:, -k]


def knn_in_place(which, features, bank, k):
    given = (features, bank)[which]
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    return knn(features, bank, k)


def partitioned_at_k(features, bank, k):
    return -np.partition(-cosines(features, bank), k, axis=1)[:, :k].max(axis=1)


def keeping(key):
    """k-NN that keeps the bank's rows of length 1 from the first call with this key."""
    kept = {}

    def score(features, bank, k):
        rows = kept.setdefault((key(bank), draws.key()), ood.unit_rows(bank))
        return np.sort(ood.unit_rows(features) @ rows.T, axis=1)[:, -k]

    return score


def from_zeros(features, bank, k):
    return np.maximum(knn(features, bank, k), 0)


def never_negative(z):
    top = np.maximum(z.max(axis=1), 0)
    with np.errstate(all="ignore"):
        return top + np.log(np.exp(z - top[:, None]).sum(axis=1))


def energy_in_place(z):
    top = z.max(axis=1, keepdims=True)
    z -= top
    return energy(z) + top[:, 0]


def whole_norm(of_bank, features, bank, k):
    """The norm of the whole array in place of each row's, in one of the two."""
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (features, bank)]
    lengths[of_bank] = np.linalg.norm((features, bank)[of_bank])
    return np.sort(features / lengths[0] @ (bank / lengths[1]).T, axis=1)[:, -k]


def euclidean(features, bank, k):
    return -np.sort(np.linalg.norm(features[:, None] - bank, axis=2), axis=1)[:, k - 1]


@pytest.mark.parametrize(
    ("given", "points", "words"),
    [
        ((lambda p: 1 - p.max(1), energy, knn), 3, "1 minus the probability"),
        ((lambda p: -p.max(1), energy, knn), 3, "the score is +max"),
        ((lambda p: p.max(1) - p.max(1).mean(), energy, knn), 2, "no means"),
        ((of_the_batch(msp), energy, knn), 2, "score_msp returned 1 of 1 values as NaN"),
        ((msp, alone_nan(energy), knn), 3, "score_energy returned 1 of 1 values as NaN"),
        ((msp, energy, alone_nan(knn)), 3, "score_knn returned 1 of 1 values as NaN"),
        ((msp, batch_energy, knn), 3, "not the batch's"),
        ((msp, lambda z: -energy(z), knn), 3, "The sign is wrong"),
        ((msp, naive_energy, knn), 3, "overflows"),
        ((msp, energy, lambda *a: 1 - knn(*a)), 3, "This is a distance"),
        ((msp, energy, raw_knn), 3, "Divide each row by its length"),
        ((msp, energy, mean_knn), 3, "not the k-th"),
        ((msp, energy, lambda f, bank, k: cosines(f, bank)[:, -k - 1]), 3, "one neighbour too far"),
        ((msp, energy, lambda f, bank, k: cosines(f, bank)[:, k - 1]), 3, "the least similar"),
        ((msp, energy, lambda f, bank, k: knn(f, bank, 1)), 3, "whatever k is"),
        ((lambda p: p.argmax(1), energy, knn), 3, "max, not argmax"),
        ((lambda p: p.max(0), energy, knn), 2, "one number for each row, axis=1"),
        ((lambda p: np.sort(p)[:, -1] - np.sort(p)[:, -2], energy, knn), 3, "to the second"),
        ((msp, lambda z: energy(z) - np.log(z.shape[1]), knn), 3, "mean of the exponentials"),
        ((msp, lambda z: energy(z - z.max(1)[:, None]), knn), 3, "and not added again"),
        ((msp, energy, half_divided), 3, "Divide the rows of the bank"),
        ((msp, energy, euclidean), 3, "This is a Euclidean distance"),
        ((msp, energy, partial(whole_norm, 0)), 2, "In features, each row is divided by its own"),
        ((msp, energy, partial(whole_norm, 1)), 3, "In the bank, each row is divided by its own"),
        ((msp, energy, lambda f, bank, k: cosines(f, bank)[:, k]), 3, "among the least"),
        ((msp, energy, by_columns), 2, "The lengths of columns were taken"),
        ((msp, energy, partial(knn_in_place, 0)), 3, "score_knn writes into the features"),
        ((msp, energy, partial(knn_in_place, 1)), 3, "score_knn writes into the bank"),
        ((msp, energy_in_place, knn), 3, "score_energy writes into the logits"),
        ((msp, never_negative, knn), 3, "itself, unclipped"),
        ((msp, lambda z: naive_energy(np.clip(z, -700, 700)), knn), 3, "clip nothing"),
        ((msp, lambda z: naive_energy(np.minimum(z, 700)), knn), 3, "itself, unclipped"),
        ((msp, energy, from_zeros), 3, "begin at -1"),
        ((msp, energy, lambda *a: knn(np.abs(a[0]), *a[1:])), 3, "have lost their sign"),
        ((msp, energy, partitioned_at_k), 3, "as many rows in the bank as k, score_knn ends with"),
        ((msp, energy, keeping(lambda bank: 0)), 3, "keep nothing from one call"),
        ((msp, energy, keeping(np.shape)), 3, "another bank of the same size"),
    ],
)
def test_scores_wrong_ways_are_named(given, points, words):
    result = the_same(under_a_secret(lab3.scores, *given))
    assert result == points
    assert words in in_words(result)


# --- exercises 3 and 4 ---------------------------------------------------------------


def place(scores, at):
    return np.sort(scores)[int(at)]


def test_choose_threshold_right_ways(names):
    for right in (
        names["choose_threshold"],
        np.quantile,
        lambda s, r: np.quantile(s, r, method="higher"),
        lambda s, r: place(s, r * len(s) + 1e-9),
        lambda s, r: np.partition(s, int(r * len(s) + 1e-9))[int(r * len(s) + 1e-9)],
        lambda s, r: torch.tensor(s).float().sort().values[int(r * len(s) + 1e-9)].item(),
    ):
        assert the_same(under_secrets(lab3.choose_threshold, right)) == 3.0


def sorted_in_place(s, r):
    s.sort()
    return s[int(r * len(s) + 1e-9)]


def kept_by_rate():
    kept = {}
    return lambda s, r: kept.setdefault((r, len(s), draws.key()), np.quantile(s, r))


POOL = np.random.default_rng(0).normal(0.5, 0.1, 500)


@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (lambda s, r: np.quantile(s, 1 - r), 0, "the low end"),
        (lambda s, r: np.sort(s)[::-1][int(r * len(s))], 0, "the low end"),
        (lambda s, r: 0.5, 0, "does not move with the scores"),
        (lambda s, r: np.quantile(POOL, r), 0, "not from a pool"),
        (lambda s, r: int(r * len(s)), 0, "not its place in the order"),
        (lambda s, r: np.argsort(s)[int(r * len(s))], 0, "not its place in the order"),
        (lambda s, r: np.quantile(s, 0.05), 0, "whatever max_fpr is"),
        (lambda s, r: s.min(), 0, "whatever max_fpr is"),
        (lambda s, r: s[int(r * len(s))], 0, "Sort the scores"),
        (lambda s, r: round(float(np.quantile(s, r)), 2), (0, 1, 2), "The threshold is rounded"),
        (lambda s, r: place(s, max(0, np.ceil(r * len(s)) - 1)), 2, "The highest such threshold"),
        (lambda s, r: s.max() + 1, 0, "This flags everybody"),
        (np.percentile, 0, "max_fpr is a share"),
        (lambda s, r: s.mean() - 1.645 * s.std(), 0, "whatever max_fpr is"),
        (lambda s, r: s.mean() + s.std() * norm.ppf(r), 0, "no distribution is assumed"),
        (lambda s, r: place(s, r * len(s) + 1), 1, "the score at index 20"),
        (lambda s, r: place(s, np.ceil(r * len(s))), 2, "round down, not up"),
        (lambda s, r: place(s, round(r * len(s))), 2, "round down, not up"),
        (lambda s, r: place(s, max(0, r * len(s) - 1)), 2, "The highest such threshold"),
        (lambda s, r: np.quantile(s, r, method="lower"), 2, "The highest such threshold"),
        (lambda s, r: np.quantile(s, r) + 1e-9, 2, "With max_fpr 0 nobody"),
        (lambda s, r: np.quantile(s, r) + 1e-9 * (r > 0), 2, "Equal scores stay together"),
        (lambda s, r: None, 0, "returned None"),
        (lambda s, r: np.percentile(s, round(100 * r)), 2, "need not be a whole per cent"),
        (lambda s, r: np.percentile(s, int(100 * r + 1e-9)), 2, "need not be a whole per cent"),
        (lambda s, r: place(np.unique(s), r * len(np.unique(s)) + 1e-9), 2, "count once here"),
        (sorted_in_place, 2, "writes into the scores"),
        (kept_by_rate(), 2, "keep nothing from one call to the next"),
        (lambda s, r: round(float(np.quantile(s, r)), 4), (0, 1, 2), "The threshold is rounded"),
        (lambda s, r: round(float(np.quantile(s, r)), 5), (0, 1, 2), "The threshold is rounded"),
    ],
)
def test_choose_threshold_wrong_ways_are_named_once(wrong, points, words):
    for result in under_a_secret(lab3.choose_threshold, wrong):
        assert result in (points if isinstance(points, tuple) else (points,))
        assert in_words(result).count(words) == 1
        # What is wrong as a whole is blamed on nothing else.
        advice = [part.advice for part in result.parts if part.share == 0]
        assert points or set(advice[1:]) <= {
            SAME,
            "choose_threshold returned -inf, not a finite number.",
        }


def swap(p):
    p, rows = p.copy(), np.arange(len(p))
    a, b = p.argmax(axis=1), p.argmin(axis=1)
    p[rows, a], p[rows, b] = p[rows, b], p[rows, a]
    return p


def test_misinform_right_ways(names):
    for right in (
        names["misinform"],
        swap,
        lambda p: np.roll(p, 1, axis=1),
        lambda p: p[:, ::-1],
        lambda p: (1 - p) / (1 - p).sum(axis=1, keepdims=True),
        lambda p: 0.8 * np.eye(10)[p.argmin(axis=1)] + 0.02,
        lambda p: np.eye(10)[np.argsort(p, axis=1)[:, -2]],
    ):
        assert the_same(under_secrets(lab3.misinform, right)) == 3.0


def swap_without_a_copy(p):
    wrong, rows = p, np.arange(len(p))
    a, b = p.argmax(axis=1), p.argmin(axis=1)
    wrong[rows, a] = p[rows, b]
    wrong[rows, b] = p[rows, a]
    return wrong


def swap_in_all_rows(p):
    wrong, a, b = p.copy(), p.argmax(axis=1), p.argmin(axis=1)
    wrong[:, a], wrong[:, b] = p[:, b], p[:, a]
    return wrong


def reversed_in_place(p):
    p[:] = defenses.misinform(p)
    return p


def by_the_others(p):
    with np.errstate(all="ignore"):
        return p / (p.sum(axis=1) - p.max(axis=1))[:, None]


def only_where_sure(p):
    return np.where(p.max(axis=1, keepdims=True) > 0.6, swap(p), p)


def mixed(truth):
    return lambda p: (1 - truth) * np.roll(p, 1, axis=1) + truth * p


def zero_mean(p):
    return noise_of(np.maximum(p, 1e-12), np.random.default_rng().normal(0, 2, p.shape))


@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (lambda p: p, 0, "keeps the largest class"),
        (lambda p: 0.5 * np.eye(10)[p.argmax(axis=1)] + 0.05, 0, "keeps the largest class"),
        (lambda p: np.eye(10)[np.full(len(p), 3)], 0, "Everybody gets the same class"),
        (lambda p: np.full(p.shape, 0.1), 0, "All classes get the same probability"),
        (lambda p: p[:, [1, 0, 2, 4, 3, 6, 5, 8, 9, 7]], 2, "The classes [2] stay"),
        (lambda p: np.random.default_rng().permuted(p, axis=1), 1, "by chance"),
        (zero_mean, (0, 1), "by chance"),
        (lambda p: np.random.default_rng().dirichlet(np.ones(10), len(p)), 1, "repeats a question"),
        (lambda p: np.roll(p, 1, axis=0), 1, "Whole rows have changed places"),
        (lambda p: p[::-1], 1, "Whole rows have changed places"),
        (lambda p: swap(p)[::-1], 1, "its neighbours in the batch"),
        (lambda p: np.roll(p, 1), 0, "without axis=1"),
        (reversed_in_place, 2, "writes into the posteriors"),
        (swap_in_all_rows, 0, "wrong[np.arange(n), top]"),
        (lambda p: 1 - p, 0, "divide each row by its sum"),
        (lambda p: np.log(np.maximum(p, 1e-9)), 0, "Of logits, take the softmax"),
        (by_the_others, 0, "is something divided by 0"),
        (lambda p: np.random.default_rng(0).permuted(p, axis=1), 1, "as one that a seeded"),
        (swap_without_a_copy, 0, "makes no copy"),
        (lambda p: -p, 0, "no distributions"),
        (lambda p: p / p.sum(axis=0), 0, "its columns sum to 1"),
        (lambda p: np.eye(10)[p.argmax(axis=1) % 4 + 4], (0, 1), "Only 4 classes come on top"),
        (lambda p: np.eye(10)[5 + p.argmax(axis=1) // 3], (0, 1, 2), "Only 4 classes come on top"),
        (lambda p: np.sort(p, axis=1), 0, "comes back sorted"),
        (lambda p: -np.sort(-p, axis=1), 0, "comes back sorted"),
        (only_where_sure, 2, "are the least sure ones"),
        (mixed(0.4), 2, "The same rows keep their largest class each time"),
    ],
)
def test_misinform_wrong_ways_are_named(wrong, points, words):
    result = the_same(under_a_secret(lab3.misinform, wrong))
    assert result in (points if isinstance(points, tuple) else (points,))
    assert in_words(result).count(words) == 1


# --- exercise 5 ---------------------------------------------------------------------


# Fewer pictures and one pool of each kind. What full panels give is proven by the sample class
# (perfect, other_way, keeps_the_argmax ...) and by benchmarks/calibrate_defenses.py.
SMALL = {"pools": 1, "budget": 1_200}
TINY = {"pools": 1, "budget": 300}  # enough where the words do not depend on the drop


def by_score(score, share=0.02, lie=defenses.misinform):
    """A trickster with a score of pictures, posteriors and features."""
    owners = fixtures.owners()
    line = ood.choose_threshold(score(owners.x, owners.posteriors, owners.features), share)

    def trickster(x, posteriors, features):
        weird = score(x, posteriors, features) < line
        return np.where(weird[:, None], lie(posteriors), posteriors)

    return trickster


def by_features(k=1, **options):
    return by_score(lambda x, p, features: ood.score_knn(features, fixtures.bank(), k), **options)


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

    def rank(x, posteriors, features):
        scores = (
            ood.score_knn(z, bank, 1) for z, bank in zip((features, flat(x)), banks, strict=True)
        )
        return np.min([np.searchsorted(r, s) for r, s in zip(ranks, scores, strict=True)], axis=0)

    return by_score(rank)


def least_likely(p):
    return 0.8 * np.eye(10)[p.argmin(axis=1)] + 0.02


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [by_features, lambda: by_features(k=5, lie=least_likely), by_pixels_too],
    ids=["reversed", "least likely, fifth neighbour", "pixels too"],
)
def test_trickster_right_ways(make):
    assert lab3.trickster(make(), **SMALL) == 5.0


def test_trickster_that_does_nothing():
    result = lab3.trickster(lambda x, posteriors, features: posteriors, **TINY)
    assert result == 0.0
    words = in_words(result)
    assert "nothing is defended yet. Recognise" in words
    assert words.count("nothing is defended yet: see above") == 4 and words.count("0% of") == 1


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("what", ["posteriors", "features", "pictures"])
def test_trickster_that_writes_into_its_inputs_loses_a_point(what):
    right = by_features()

    def trickster(x, posteriors, features):
        answers = right(x.copy(), posteriors.copy(), features.copy())
        {"pictures": x, "posteriors": posteriors, "features": features}[what][:] *= 1
        return answers

    result = lab3.trickster(trickster, **SMALL)
    assert result == 4.0
    assert in_words(result).count(f"trickster writes into the {what} that it is given") == 1


@pytest.mark.thorough
@pytest.mark.parametrize("share", [0.01, 0.02, 0.03])
def test_trickster_with_a_threshold_from_the_request_is_named(share):
    def trickster(x, posteriors, features):
        scores = ood.score_knn(features, fixtures.bank(), 1)
        weird = scores < np.quantile(scores, share)
        return np.where(weird[:, None], defenses.misinform(posteriors), posteriors)

    for result in under_a_secret(partial(lab3.trickster, **TINY), trickster):
        assert result < 3.0
        assert "always flags the same share of it, whoever asks" in in_words(result)


def test_trickster_with_a_threshold_that_flags_few_is_told_to_look_at_scores():
    right = by_features()

    def trickster(x, posteriors, features):
        some = (1e4 * posteriors.max(axis=1, keepdims=True)).astype(int) % 20 == 0
        return np.where(some, right(x, posteriors, features), posteriors)

    result = lab3.trickster(trickster, **TINY)
    assert result == 0.0
    assert "whoever asks" not in in_words(result) and "by their score" in in_words(result)


def test_trickster_that_scores_features_of_its_own_is_told_so():
    owners, right = fixtures.owners(), by_features()

    def trickster(x, posteriors, features):
        n = len(x)
        return right(x, posteriors, owners.features[:n])

    result = lab3.trickster(trickster, **TINY)
    assert result == 0.0
    words = in_words(result)
    assert "score the features that trickster is given" in words and "whoever asks" not in words


def test_trickster_with_a_threshold_from_its_first_call_is_told_of_it():
    lines = []

    def trickster(x, posteriors, features):
        scores = ood.score_knn(features, fixtures.bank(), 1)
        lines.append(np.quantile(scores, 0.4))
        return np.where(scores[:, None] < lines[0], defenses.misinform(posteriors), posteriors)

    words = in_words(lab3.trickster(trickster, **TINY))
    assert "nothing is defended yet" in words and "not from the first request" in words


def test_trickster_that_allows_too_many_honest_users_is_told_how_many():
    words = in_words(lab3.trickster(by_features(share=0.1), **TINY))
    assert "not from the pool, and allow about 2 % of them below it" in words


@pytest.mark.slow
def test_trickster_with_a_weak_score():
    result = lab3.trickster(by_score(lambda x, posteriors, _: ood.score_msp(posteriors)), **TINY)
    assert 2.0 <= result < 4.0
    assert "of the shapes: compare the scores in exercise 2's table" in in_words(result)


def test_trickster_that_compares_the_wrong_way():
    right = by_features()

    def turned(x, posteriors, features):
        weird = np.any(right(x, posteriors, features) != posteriors, axis=1)
        return np.where(weird[:, None], posteriors, defenses.misinform(posteriors))

    assert "is the wrong way round" in in_words(lab3.trickster(turned, **TINY))


def by_training_pictures():
    """The threshold from the bank's own pictures, each of which is its own nearest neighbour."""
    bank = fixtures.bank()
    line = ood.choose_threshold(ood.score_knn(bank[:500], bank, 1), 0.02)

    def trickster(x, posteriors, features):
        weird = ood.score_knn(features, bank, 1) < line
        return np.where(weird[:, None], defenses.misinform(posteriors), posteriors)

    return trickster


@pytest.mark.parametrize(
    "make", [lambda: lambda x, posteriors, features: defenses.misinform(posteriors),
             by_training_pictures]
)  # fmt: skip
def test_trickster_that_misleads_everybody_is_not_told_to_turn_its_comparison(make):
    result = lab3.trickster(make(), **TINY)
    words = in_words(result)
    assert "nearly everybody is misled" in words and "wrong way round" not in words
    assert result == 0.0


def test_an_unwritten_trickster_is_told_at_once(monkeypatch):
    monkeypatch.setattr(defense_cases, "try_out", None)  # drawing what it asks would take seconds

    def trickster(x, posteriors, features):
        raise NotImplementedError

    result = lab3.trickster(trickster)
    assert result.note.startswith("Not written yet") and not result.parts


@pytest.mark.slow
def test_trickster_that_keeps_the_argmax():
    flat = by_features(lie=lambda p: 0.5 * np.eye(10)[p.argmax(axis=1)] + 0.05)
    result = lab3.trickster(flat, **TINY)
    assert result == 3.0
    assert "The thief loses too little" in in_words(result)


def test_trickster_that_breaks_distributions():
    result = lab3.trickster(lambda x, posteriors, features: posteriors * 2, **TINY)
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


# --- exercise 6 ---------------------------------------------------------------------


def asking(choose):
    """An attack that asks about these pictures and believes the answers."""

    def spend(x_shapes, real, ask):
        x = choose(x_shapes, real).astype("float32")
        return x, ask(x)

    return spend


def spent(spend, secret=b"the course's key"):
    with draws.grading_with(secret, held_back.load()):
        return lab3.spend(spend, services=1)


@pytest.mark.thorough
@pytest.mark.slow
def test_spend_in_steps():
    def moved(real):
        return np.concatenate(
            [np.roll(real, step, (2, 3)) for step in product((-1, 0, 1), repeat=2)]
        )

    believes_shapes = spent(asking(lambda shapes, real: np.concatenate([shapes[:2_900], real])))
    assert believes_shapes == 0.0
    assert "most of them about shapes" in in_words(believes_shapes)
    alone = spent(asking(lambda shapes, real: real))
    assert alone == 2.0 and "saw 100 different pictures" in in_words(alone)
    order = spent(asking(lambda shapes, real: np.repeat(real, 7, axis=0)[::-1].copy()))
    assert order == 2.0, "the same pictures more often, and in another order"
    further = spent(asking(lambda shapes, real: moved(np.concatenate([real, real[..., ::-1]]))))
    assert further == 4.0


def test_spend_that_cannot_be_trained_on_is_told(monkeypatch):
    monkeypatch.setattr(spending_cases, "BUDGET", 200)
    for wrong, words in (
        (lambda s, real, ask: None, "return two things"),
        (lambda s, real, ask: (real, np.full((100, 10), 0.1)), "nothing was asked"),
        (lambda s, real, ask: (real[:50], ask(real)), "not (50, 10)"),
        (lambda s, real, ask: (2 * real, ask(real)), "must lie in [0, 1]"),
        (lambda s, real, ask: (real, ask(real) + 1), "no distributions"),
        (lambda s, real, ask: (s[:0], ask(real)[:0]), "return from 1 to 200"),
    ):
        result = spent(wrong)
        assert result == 0.0 and words in in_words(result)


def test_spend_with_answers_of_its_own_is_told_so(monkeypatch):
    monkeypatch.setattr(spending_cases, "BUDGET", 900)

    def asked_once(shapes, real, ask):
        moved = [np.roll(real, step, (2, 3)) for step in product((-1, 0, 1), repeat=2)]
        return np.concatenate(moved), np.tile(ask(real), (9, 1))

    def of_another_victim(shapes, real, ask):
        moved = np.concatenate([np.roll(real, step, (2, 3)) for step in product((0, 1), repeat=2)])
        return moved, np.roll(ask(moved), 1, axis=1)

    words = in_words(spent(asked_once))
    assert "You asked about 100 pictures and returned 900 different ones" in words
    words = in_words(spent(of_another_victim))
    assert "100% of the pictures come back with another class" in words


@pytest.mark.parametrize("caught", [False, True], ids=["openly", "quietly"])
def test_spend_over_budget_is_refused(monkeypatch, caught):
    monkeypatch.setattr(spending_cases, "BUDGET", 120)

    def greedy(x_shapes, real, ask):
        answers = ask(real)
        try:
            ask(x_shapes[:21])
        except BudgetExceeded:
            if not caught:
                raise
        return real, answers

    result = spent(greedy)
    assert result == 0.0 and "refused" in in_words(result)


@pytest.mark.parametrize("whose", ["shipped", "mirrored", "moved", "measured"])
def test_spend_with_clothes_of_others_is_no_attack_and_told(monkeypatch, whose):
    monkeypatch.setattr(spending_cases, "BUDGET", 600)

    def clothes():
        if whose == "measured":  # seen in exercise 5, perhaps, and remembered
            return fixtures.honest_pictures().x[500:1_000]
        x = fixtures.fashion().x_train[:500]
        ways = {"shipped": x, "mirrored": x[..., ::-1], "moved": np.roll(x, (1, -2), (2, 3))}
        return 0.9 * ways[whose]

    result = spent(asking(lambda shapes, real: np.concatenate([real, clothes()])))
    assert result == 0.0 and "this thief does not own" in in_words(result)
    assert "was not given" in result.remarks[0]


@pytest.mark.thorough
@pytest.mark.slow
def test_what_is_made_of_one_s_own_pictures_is_one_s_own(names):
    with draws.grading_with(b"the course's key", held_back.load()):
        real = spending_cases._real(0)
        made, _ = names["spend"](None, real, lambda x: x)
        bright = np.clip(real * np.linspace(0.6, 1.4, 100)[:, None, None, None], 0, 1)
        turned = ndimage.rotate(real, 12, axes=(2, 3), reshape=False, order=1)
        smaller = ndimage.zoom(np.pad(real, ((0, 0), (0, 0), (2, 2), (2, 2))), (1, 1, 0.875, 0.875))
        alike = np.tensordot(real, real, ((2, 3), (2, 3)))[:, 0, :, 0]
        np.fill_diagonal(alike, 0)
        between = (real + real[alike.argmax(axis=1)]) / 2
        for own in (made, bright, real[..., ::-1], turned, np.clip(smaller, 0, 1), between):
            assert spending_cases.others(own, real, 0) <= spending_cases.OTHERS / 2


@pytest.mark.slow
def test_answers_to_the_public_services_are_worth_nothing_under_a_secret():
    kept = []

    def remembers(x_shapes, real, ask):
        kept.append((real, ask(real)))
        return kept[-1]

    def repeats(x_shapes, real, ask):
        ask(real[:1])
        return real, kept[0][1]

    assert lab3.spend(remembers, services=1) > 1.0
    assert spent(repeats) == 0.0


def test_an_unwritten_spend_is_told_calmly(monkeypatch):
    monkeypatch.setattr(spending_cases, "BUDGET", 100)

    def spend(x_shapes, real, ask):
        raise NotImplementedError

    result = lab3.spend(spend, services=1)
    assert result.note.startswith("Not written yet") and not result.parts
