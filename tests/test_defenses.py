"""Output defences: distributions in, distributions out, row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trickster import defenses

weights = arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(2, 10)),
    elements=st.floats(0, 1, width=32),
)
DETERMINISTIC = {
    "hard_labels": defenses.hard_labels,
    "top_2": lambda p: defenses.top_k(p, 2),
    "round_1": lambda p: defenses.round_posteriors(p, 1),
    "misinform": defenses.misinform,
    "reverse_sigmoid": lambda p: defenses.reverse_sigmoid(p, 1.0, 0.7),
    "adaptive": lambda p: defenses.adaptive_misinformation(p, p[:, ::-1], 0.6, 20.0),
}


def normalised(w):
    w = w + 1e-6
    return w / w.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", DETERMINISTIC)
@given(weights)
@settings(max_examples=25, deadline=None)
def test_rows_are_distributions_that_stand_alone(name, w):
    p = normalised(w)
    got = DETERMINISTIC[name](p)
    assert got.shape == p.shape and (got >= 0).all()
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-9)
    alone = np.concatenate([DETERMINISTIC[name](row[None]) for row in p])
    np.testing.assert_array_equal(got, alone)


@given(weights)
@settings(max_examples=25, deadline=None)
def test_misinform_keeps_the_numbers_and_moves_the_top(w):
    p = normalised(w)
    got = defenses.misinform(p)
    np.testing.assert_array_equal(np.sort(got, axis=1), np.sort(p, axis=1))
    clear = np.sort(p, axis=1)[:, -1] > np.sort(p, axis=1)[:, -2]  # a shared top has no rival
    assert (got[clear].argmax(axis=1) != p[clear].argmax(axis=1)).all()


def test_hard_labels_of_a_batch_and_of_ties():
    p = np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
    np.testing.assert_array_equal(defenses.hard_labels(p), [[1, 0, 0], [0, 0, 1]])


def test_top_k_keeps_k_and_normalises():
    p = np.array([[0.4, 0.4, 0.2], [0.25, 0.25, 0.5]])
    np.testing.assert_allclose(defenses.top_k(p, 2), [[0.5, 0.5, 0], [1 / 3, 0, 2 / 3]])
    np.testing.assert_allclose(defenses.top_k(p, 3), p)
    with pytest.raises(ValueError, match="3 classes"):
        defenses.top_k(p, 4)


def test_rounding_of_a_row_that_vanishes():
    p = np.full((1, 25), 0.04)
    got = defenses.round_posteriors(p, 1)
    assert got.sum() == 1 and got[0, 0] == 1


def test_zero_mean_noise_is_normal_on_the_logits():
    p = np.tile([[0.7, 0.2, 0.1]], (20_000, 1))
    got = defenses.zero_mean_noise(p, 1.5, np.random.default_rng(0))
    ratio = np.log(got[:, 0] / got[:, 1]) - np.log(0.7 / 0.2)
    assert abs(ratio.mean()) < 0.05
    assert ratio.std() == pytest.approx(1.5 * 2**0.5, rel=0.03)


@given(weights, st.floats(0, 1), st.floats(0.05, 3))
@settings(max_examples=50, deadline=None)
def test_reverse_sigmoid_is_the_formula_of_the_paper(w, beta, gamma):
    p = normalised(w)
    want = np.empty_like(p)
    for i, row in enumerate(p):  # number by number, as it is printed
        odds = [(y / (1 - y)) ** -gamma for y in row]
        bent = [y - beta * (1 / (1 + o) - 0.5) for y, o in zip(row, odds, strict=True)]
        want[i] = np.array(bent) / sum(bent)
    np.testing.assert_allclose(defenses.reverse_sigmoid(p, beta, gamma), want, atol=1e-7)
    np.testing.assert_allclose(defenses.reverse_sigmoid(p, 0.0, gamma), p, atol=1e-7)


@given(weights, st.floats(0, 0.99), st.floats(0.05, 1))
@settings(max_examples=50, deadline=None)
def test_reverse_sigmoid_keeps_a_majority_s_class(w, beta, gamma):
    p = normalised(w)
    told = defenses.reverse_sigmoid(p, beta, gamma)
    leading = p.max(axis=1) > 0.55
    np.testing.assert_array_equal(told.argmax(axis=1)[leading], p.argmax(axis=1)[leading])


def test_reverse_sigmoid_refuses_negative_strengths_and_bears_certainty():
    sure = np.eye(3, dtype=np.float32)
    told = defenses.reverse_sigmoid(sure, 1.0, 0.1)
    assert np.isfinite(told).all() and told.dtype == np.float32
    with pytest.raises(ValueError, match="negative"):
        defenses.reverse_sigmoid(sure, beta=-1)


@given(weights, st.floats(0.1, 0.95), st.floats(1, 100))
@settings(max_examples=50, deadline=None)
def test_adaptive_misinformation_is_the_formula_of_the_paper(w, tau, nu):
    p = normalised(w)
    lies = np.roll(p, 1, axis=1)
    told = defenses.adaptive_misinformation(p, lies, tau, nu)
    for row, lie, got in zip(p, lies, told, strict=True):
        a = 1 / (1 + np.exp(nu * (max(row) - tau)))
        np.testing.assert_allclose(got, (1 - a) * row + a * lie, atol=1e-9)


def test_adaptive_misinformation_is_sharp_and_does_not_overflow():
    p = np.array([[0.9, 0.1], [0.55, 0.45]], dtype=np.float32)
    lies = p[:, ::-1].copy()
    told = defenses.adaptive_misinformation(p, lies, tau=0.7, nu=1e6)
    np.testing.assert_allclose(told, [p[0], lies[1]], atol=1e-7)
    with pytest.raises(ValueError, match="cannot be mixed"):
        defenses.adaptive_misinformation(p, lies[:1], 0.5)
