"""Thieves who know the defence: what they keep, what they put right, what it gains them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from trickster import adaptive_attacks, attacks, data, defenses, evaluation, scenario
from trickster.api import Query
from trickster.attacks import TrainingSet


def training_set(n: int = 40, k: int = 4, **options) -> TrainingSet:
    rng = np.random.default_rng(n)
    x = rng.random((n, 1, 6, 6), dtype=np.float32)
    return TrainingSet(x, rng.dirichlet(np.ones(k), n).astype(np.float32), epochs=2, **options)


# --- the oracle -------------------------------------------------------------------------------


def test_the_oracle_keeps_the_truthful_answers_and_everything_else_as_it_was():
    everything = training_set(labels="hard", seed=3)
    lies = np.arange(40) % 3 == 0
    kept = adaptive_attacks.oracle(everything, lies)
    np.testing.assert_array_equal(kept.x, everything.x[~lies])
    np.testing.assert_array_equal(kept.answers, everything.answers[~lies])
    assert (kept.labels, kept.seed, kept.epochs) == ("hard", 3, 2)
    assert len(adaptive_attacks.oracle(everything, np.ones(40, bool)).x) == 0


@pytest.mark.parametrize("lies", [np.zeros(39, bool), np.zeros(40), np.arange(3)])
def test_the_oracle_is_told_about_each_answer(lies):
    with pytest.raises(ValueError, match="each of the 40 answers"):
        adaptive_attacks.oracle(training_set(), lies)


# --- small loss -------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_small_loss_keeps_what_the_first_clone_fits_best(labels):
    everything = training_set(labels=labels)
    kept = adaptive_attacks.small_loss(everything, keep=0.3)
    (first,) = attacks.train_clones([everything])
    targets = everything.answers if labels == "soft" else everything.answers.argmax(axis=1)
    losses = torch.nn.functional.cross_entropy(
        torch.tensor(first.logits(everything.x)), torch.tensor(targets), reduction="none"
    )
    best = np.sort(np.argsort(losses.numpy())[:12])
    np.testing.assert_array_equal(kept.x, everything.x[best])
    np.testing.assert_array_equal(kept.answers, everything.answers[best])
    assert kept.labels == labels


def test_small_loss_leaves_out_lies_that_are_few_and_keeps_those_that_are_the_majority():
    digits = data.load("digits")
    x, truth = digits.x_train, digits.y_train
    rng = np.random.default_rng(0)

    def clean(share):
        lies = rng.random(len(x)) < share
        # A picture's row in x tells, after the choice, whether it was lied about.
        answers = np.eye(10, dtype=np.float32)[np.where(lies, (truth + 1) % 10, truth)]
        kept = adaptive_attacks.small_loss(TrainingSet(x, answers), keep=0.5)
        row = {picture.tobytes(): i for i, picture in enumerate(x)}
        return 1 - lies[[row[picture.tobytes()] for picture in kept.x]].mean()

    assert clean(0.3) > 0.95
    assert clean(0.7) < 0.05


@pytest.mark.parametrize("keep", [0, -0.1, 1.1])
def test_small_loss_keeps_a_share(keep):
    with pytest.raises(ValueError, match="share above 0"):
        adaptive_attacks.small_loss(training_set(), keep)


# --- lies that do not fit their pictures ------------------------------------------------------


def rolled_back(by: int) -> adaptive_attacks.Undo:
    return lambda answers: np.roll(answers, -by, axis=1)


def test_the_loss_of_hidden_versions_is_a_mixture_s_and_for_labels_the_forward_correction():
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(6, 4)), requires_grad=True)
    q = softmax(logits.detach().numpy(), axis=1)
    loss = adaptive_attacks.hidden_version_loss
    versions = rng.dirichlet(np.ones(4), size=(6, 3))
    # The likelihood of an answer is the product of q_c ** answer_c over its classes.
    likely = np.prod(q[:, None] ** versions, axis=2).mean(axis=1)
    got = loss(logits, torch.tensor(versions))
    assert got.item() == pytest.approx(-np.log(likely).mean())
    assert torch.autograd.gradcheck(lambda z: loss(z, torch.tensor(versions)), logits)
    labels = np.eye(4)[[0, 1, 2, 3, 3, 0]]
    versions = np.stack([labels, *(rolled_back(by)(labels) for by in (1, 3))], axis=1)
    told = sum(np.roll(q, by, axis=1) for by in (0, 1, 3)) / 3  # q through the transition matrix
    got = loss(logits, torch.tensor(versions))
    assert got.item() == pytest.approx(-np.log((told * labels).sum(axis=1)).mean())


@pytest.mark.parametrize("labels", ["soft", "hard"])
@pytest.mark.parametrize("kinds", [(1,), (1, 3)], ids=["one kind of lie", "two kinds"])
def test_lies_that_look_like_truths_are_put_right_by_who_looks_at_the_pictures(labels, kinds):
    digits = data.load("digits")
    x, truth = digits.x_train, digits.y_train
    rng = np.random.default_rng(0)
    told = (truth + rng.choice([0, *kinds], size=len(x))) % 10
    answers = 0.9 * np.eye(10, dtype=np.float32)[told] + 0.01
    everything = TrainingSet(x, answers, labels, seed=3)
    undo = [rolled_back(by) for by in kinds]
    found = adaptive_attacks.explained(everything, undo)
    assert np.mean(told == truth) < 0.55
    assert np.mean(found.answers.argmax(axis=1) == truth) > 0.9
    assert (found.labels, found.seed, found.answers.dtype) == (labels, 3, np.float32)
    blind = adaptive_attacks.unlied(everything, undo)  # looks at nothing but the answers
    assert np.mean(blind.answers.argmax(axis=1) == truth) < 0.7


# --- lies undone ------------------------------------------------------------------------------


def swap_top_two(posteriors: np.ndarray) -> np.ndarray:
    order = np.argsort(-posteriors, axis=1, kind="stable")[:, :2]
    swapped = posteriors.copy()
    values = np.take_along_axis(posteriors, order[:, ::-1], axis=1)
    np.put_along_axis(swapped, order, values, axis=1)
    return swapped


@cache
def shapes(n: int = 1_500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the thief sends, the victim's features of it, and its true answers."""
    fashion = scenario.Scenario("fashion")
    x = fashion.pool("shapes", n, seed=7)
    return x, *fashion.victim.features_and_posteriors(x)


@given(st.integers(0, 1_000), st.integers(1, 3), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_the_mixture_is_scipy_s_normal_densities(seed, m, d):
    rng = np.random.default_rng(seed)
    points, shares = rng.normal(size=(m, 20, d)), rng.random((m, 20, 3))
    shares /= shares.sum(axis=(0, 2), keepdims=True)
    got = adaptive_attacks._log_densities(points, shares)
    for g in range(3):
        share = shares[:, :, g].ravel()
        mean = np.average(points.reshape(-1, d), axis=0, weights=share)
        covariance = np.cov(points.reshape(-1, d).T, aweights=share, bias=True)
        normal = multivariate_normal(mean, covariance + adaptive_attacks.RIDGE * np.eye(d))
        for version in range(m):
            common = np.log(share.sum() / 20) + np.log(shares[version].sum() / 20)
            expected = normal.logpdf(points[version]) + common
            np.testing.assert_allclose(got[version, :, g], expected, atol=1e-6)


def test_without_lies_the_mixture_is_scikit_learns():
    _, _, truth = shapes()
    points = adaptive_attacks.log_ratios(truth[None])
    guess = adaptive_attacks._guess(truth[None], np.random.default_rng(0))
    shares, likelihood = adaptive_attacks._fit(points, guess)
    weights = guess[0].sum(axis=0)
    means = guess[0].T @ points[0] / weights[:, None]
    covariances = [
        np.cov(points[0].T, aweights=share, bias=True) + adaptive_attacks.RIDGE * np.eye(9)
        for share in guess[0].T
    ]
    theirs = GaussianMixture(
        10, reg_covar=adaptive_attacks.RIDGE, tol=1e-5, max_iter=adaptive_attacks.ROUNDS,
        weights_init=weights / weights.sum(), means_init=means,
        precisions_init=np.linalg.inv(covariances),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # both stop after as many rounds
        theirs.fit(points[0])
    assert likelihood == pytest.approx(theirs.score(points[0]), abs=0.01)
    same = shares[0].argmax(axis=1) == theirs.predict(points[0])
    assert same.mean() > 0.99
    np.testing.assert_allclose(logsumexp(np.log(shares + 1e-300), axis=(0, 2)), 0, atol=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_reversed_answers_are_put_right_however_many_they_are(share):
    _, _, truth = shapes()
    lies = np.random.default_rng(1).random(len(truth)) < share
    told = np.where(lies[:, None], defenses.misinform(truth), truth)
    found = adaptive_attacks.unlie(told, [defenses.misinform])
    assert np.mean((found.kind == 1) == lies) > 0.93
    right = (found.kind == 1) == lies
    np.testing.assert_array_equal(found.answers[right], truth[right])
    assert found.answers.dtype == truth.dtype
    assert (found.sure >= 0.5).all() and found.sure[right].mean() > found.sure[~right].mean()


@pytest.mark.slow
def test_any_set_of_lies_can_be_undone():
    _, _, truth = shapes()
    rng = np.random.default_rng(2)
    lies = [defenses.misinform, lambda p: np.roll(p, 3, axis=1), lambda p: np.roll(p, 4, axis=1)]
    undo = [defenses.misinform, lambda p: np.roll(p, -3, axis=1), lambda p: np.roll(p, -4, axis=1)]
    kind = rng.integers(0, 4, len(truth))
    told = np.choose(kind[:, None], [truth, *(lie(truth) for lie in lies)])
    found = adaptive_attacks.unlie(told, undo)
    assert np.mean(found.kind == kind) > 0.9
    harder = np.where((kind == 1)[:, None], swap_top_two(truth), truth)
    found = adaptive_attacks.unlie(harder, [swap_top_two])
    assert np.mean((found.kind == 1) == (kind == 1)) > 0.8


def test_a_seed_decides_what_is_undone():
    _, _, truth = shapes(200)
    told = np.where(np.arange(200)[:, None] % 2, defenses.misinform(truth), truth)
    first, again = (adaptive_attacks.unlie(told, [defenses.misinform], seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.sure, again.sure)
    other = adaptive_attacks.unlie(told, [defenses.misinform], seed=5)
    assert not np.array_equal(first.sure, other.sure)


@pytest.mark.parametrize("undo", [lambda p: p[:, :2], lambda p: p * np.nan])
def test_what_undoes_a_lie_returns_answers(undo):
    with pytest.raises(ValueError, match="finite answers of shape"):
        adaptive_attacks.unlie(np.full((5, 3), 1 / 3), [undo])
    with pytest.raises(ValueError, match="finite answers of shape"):
        adaptive_attacks.explained(training_set(k=3), [undo])


def test_answers_of_zero_and_of_one_kind_do_no_harm():
    labels = np.eye(3)[[0, 1, 2, 0, 0]]
    found = adaptive_attacks.unlie(labels, [lambda p: p[:, ::-1]])
    assert np.isfinite(found.sure).all()
    assert found.answers.shape == (5, 3)


# --- the thefts -------------------------------------------------------------------------------


@cache
def reversing() -> defenses.Trickster:
    """Lab 3's defence."""
    fashion = scenario.Scenario("fashion")
    bank, honest = (
        fashion.victim.features(x) for x in (fashion.data.x_train, fashion.data.x_test[:2_500])
    )
    return defenses.Trickster.from_features(bank, honest)


@pytest.mark.slow
def test_who_knows_that_lies_are_reversed_steals_as_if_there_were_no_defence():
    fashion = scenario.Scenario("fashion")
    x = fashion.data.x_test[2_500:]
    victims, pool = fashion.victim.labels(x), fashion.pool("shapes", 2_000, seed=11)

    def theft(clean, defended=True):
        api = fashion.api(budget=2_000, defenses=[reversing()] if defended else [])
        clone = attacks.steal(api.client("thief"), pool, 2_000, clean=clean)
        return evaluation.fidelity(clone.labels(x), victims)

    naive = theft(None)
    knowing = theft(lambda told: adaptive_attacks.unlied(told, [defenses.misinform]))
    undefended = theft(None, defended=False)
    assert naive < 0.42 < 0.55 < undefended
    assert knowing > undefended - 0.08, (naive, knowing, undefended)


@pytest.mark.slow
def test_who_lacks_the_key_cannot_undo_a_keyed_lie():
    fashion = scenario.Scenario("fashion")
    pictures, features, truth = shapes()
    query = Query(pictures, features, "thief", 0.0)
    lie = defenses.CellLie.fit(bytes(16), features)
    everybody = replace(reversing(), lie=lie, threshold=np.inf)(truth, query)
    told = TrainingSet(pictures, everybody)
    sets = [told, adaptive_attacks.unlied(told, [defenses.misinform])]
    x, lied_to = fashion.data.x_test[2_500:], everybody.argmax(axis=1) != truth.argmax(axis=1)
    naive, knowing = (
        evaluation.fidelity(clone.labels(x), fashion.victim.labels(x))
        for clone in attacks.train_clones(sets)
    )
    assert lied_to.all() and max(naive, knowing) < 0.2


def test_the_oracle_is_between_the_naive_thief_and_none_at_all():
    fashion = scenario.Scenario("fashion")
    x = fashion.data.x_test[2_500:]
    pictures, features, truth = shapes()
    query = Query(pictures, features, "thief", 0.0)
    told = TrainingSet(pictures, reversing()(truth, query))
    lies = reversing().weird(truth, query)
    sets = [told, adaptive_attacks.oracle(told, lies), TrainingSet(pictures, truth)]
    naive, oracle, undefended = (
        evaluation.fidelity(clone.labels(x), fashion.victim.labels(x))
        for clone in attacks.train_clones(sets)
    )
    assert naive + 0.1 < oracle < undefended


def test_a_thief_cleans_what_its_own_options_say():
    seen = []

    def clean(told):
        seen.append(told)
        return adaptive_attacks.oracle(told, np.arange(len(told.x)) >= 10)

    service = scenario.Scenario("fashion")
    pool = service.pool("digits", 30, seed=0)
    client = service.api().client("thief")
    clone = attacks.steal(
        client, pool, 20, clean=clean, labels="hard", epochs=1, lr=1e-3, seed=5, progress=None
    )
    (told,) = seen
    assert (told.labels, told.epochs, told.lr, told.seed, len(told.x)) == ("hard", 1, 1e-3, 5, 20)
    alone = attacks.train_clone(
        told.x[:10], told.answers[:10], labels="hard", epochs=1, lr=1e-3, seed=5
    )
    np.testing.assert_array_equal(clone.logits(pool), alone.logits(pool))
