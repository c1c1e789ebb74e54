"""Lab 6's checks: right answers of several kinds pass, and each wrong one is named."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from drawn import the_same, under_a_secret, under_secrets
from reading import in_words
from reference import ROOT, reference
from sklearn.linear_model import LogisticRegression

from autograder.course import pick_labs
from trickster import exact, services, withheld
from trickster.checks import draws, lab6, token_cases
from trickster.services import log_softmax

pytestmark = pytest.mark.usefixtures("library_answers")


@pytest.fixture(scope="module")
def names():
    return reference("lab6")


def asked(d, n=None, seed=0):
    return np.random.default_rng(seed).random((n or d + 1, d))


def ones(x):
    return np.column_stack([x, np.ones(len(x))])


def solve(rows, targets):
    return np.linalg.lstsq(rows, targets, rcond=None)[0]


# --- exercise 1 ---------------------------------------------------------------------


def against_the_first_class(query, d, k, n=None):
    """Log-odds in place of centring, and a square system."""
    x = asked(d, n)
    p = np.array([query(row[None])[0] for row in x])
    odds = np.log(p) - np.log(p[:, :1])
    both = np.linalg.solve(ones(x), odds) if len(x) == d + 1 else solve(ones(x), odds)
    return both[:-1].T.tolist(), both[-1].tolist()


def without_centring(query, d, k, n=None):
    """Solving is linear, so what all classes have in common can as well stay in."""
    x = asked(d, n)
    both = solve(ones(x), np.log(query(x)))
    return both[:-1].T, both[-1]


def unit_rows(query, d, k, n=None):
    """The empty row, then one input at a time; what n allows beyond that is noise."""
    x = np.vstack([np.zeros(d), np.eye(d), asked(d, n)])[: n or d + 1]
    p = np.log(query(x))
    both = solve(ones(x), p - p.mean(axis=1, keepdims=True))
    return both[:-1].T, both[-1]


def library_softmax(query, d, k, n=None):
    found = exact.solve_softmax(query, d, k, queries=n)
    return found.weights, found.bias


def test_solve_softmax_right_ways(names):
    ways = (
        against_the_first_class,
        without_centring,
        unit_rows,
        library_softmax,
        names["solve_softmax"],
    )
    for right in ways:
        assert the_same(under_secrets(lab6.solve_softmax, right)) == 4.0


def ignores_n(query, d, k, n=None):
    return without_centring(query, d, k)


def never_fewer_than_unknowns(query, d, k, n=None):
    return without_centring(query, d, k, max(n or 0, d + 1))


def splits_at_n(query, d, k, n=None):
    """Right for d + 1 rows only: takes the number of rows for that of the weights."""
    x = asked(d, n)
    both = solve(ones(x), np.log(query(x)))
    return both[: len(x) - 1].T, both[len(x) - 1]


def forgets_the_bias(query, d, k, n=None):
    x = asked(d)
    logs = np.log(query(x))
    return solve(x, logs - logs.mean(axis=1, keepdims=True)).T, np.zeros(k)


def forgets_the_logarithm(query, d, k, n=None):
    x = asked(d)
    both = solve(ones(x), query(x))
    return both[:-1].T, both[-1]


def clips(query, d, k, n=None):
    return against_the_first_class(lambda x: np.clip(query(x), 1e-12, 1), d, k, n)


def one_too_few(query, d, k, n=None):
    return library_softmax(query, d, k, d)


def solved_from(query, d, logarithm, axis):
    x = asked(d)
    logs = logarithm(query(x))
    both = solve(ones(x), logs - logs.mean(axis=axis, keepdims=True))
    return both[:-1].T, both[-1]


def in_tens(query, d, k, n=None):
    return solved_from(query, d, np.log10, 1)


def forgets_the_logarithm_in_place(query, d, k, n=None):
    x = asked(d)
    p = query(x)
    p -= p.mean(axis=1, keepdims=True)
    both = solve(np.hstack([x, np.ones((len(x), 1))]), p)
    return both[:-1].T, both[-1]


def takes_the_class_means_out(query, d, k, n=None):
    return solved_from(query, d, np.log, 0)


def bias_from_the_wrong_row(query, d, k, n=None):
    x = asked(d)
    both = solve(np.hstack([np.ones((len(x), 1)), x]), np.log(query(x)))
    return both[:-1].T, both[-1]


def five_times(query, d, k, n=None):
    return library_softmax(query, d, k, 5 * d)


def twenty_times(query, d, k, n=None):
    return library_softmax(query, d, k, 20 * d)


@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (forgets_the_bias, 0, "column of ones"),
        (forgets_the_logarithm, 0, "solved as if they were linear"),
        (forgets_the_logarithm_in_place, 0, "solved as if they were linear"),
        (clips, 3, "Do not clip them"),
        (lambda q, d, k, n=None: solved_from(q, d, lambda p: np.log(p + 1e-9), 1), 0, "add some"),
        (lambda q, d, k, n=None: solved_from(lambda x: q(1 - x), d, np.log, 1), 0, "same rows"),
        (one_too_few, 0, "one more equation than there are inputs"),
        (in_tens, 0, "base 10"),
        (takes_the_class_means_out, 0, "axis=1"),
        (bias_from_the_wrong_row, 0, "Weights and bias are mixed up"),
        (ignores_n, 3, "Ask about n rows, and about d + 1 only if n is None"),
        (never_fewer_than_unknowns, 3, "Ask about n rows"),
        (splits_at_n, 3, "out of bounds"),
        (five_times, 3, "As many equations as unknowns are enough"),
        (twenty_times, 0, "ten times what"),
        (lambda q, d, k, n=None: (np.zeros((k, d)), np.zeros(k)), 0, "You asked nothing"),
        (lambda q, d, k, n=None: library_softmax(q, d, k)[0], 0, "two things"),
        (lambda q, d, k, n=None: print(end=""), 0, "return statement"),
        (lambda q, d, k, n=None: library_softmax(q, d, k)[::-1], 0, "returned the bias first"),
        (lambda q, d, k, n=None: (np.zeros((d, k)), np.zeros(k)), 0, "transpose"),
        (lambda q, d, k, n=None: (np.full((k, d), np.nan), np.zeros(k)), 0, "NaN"),
    ],
)
def test_solve_softmax_wrong_ways_are_named(wrong, points, words):
    result = lab6.solve_softmax(wrong)
    assert result == points
    assert words in in_words(result)
    assert (wrong is clips) == ("Do not clip them" in in_words(result))


def test_queries_outside_the_range_are_refused_with_a_sentence():
    result = lab6.solve_softmax(lambda q, d, k, n=None: q(np.full((2, d), 3.0)))
    assert result == 0 and "Values must lie in [0, 1]" in in_words(result)


# --- exercise 2 ---------------------------------------------------------------------


def by_gradient(x, p):
    rows, targets = torch.tensor(ones(x)), torch.tensor(p)
    w = torch.zeros((p.shape[1], rows.shape[1]), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w], lr=0.3)
    for _ in range(1_500):
        adam.zero_grad()
        (-(targets * torch.log_softmax(rows @ w.T, dim=1)).sum(dim=1).mean()).backward()
        adam.step()
    w = w.detach().numpy()
    return w[:, :-1], w[:, -1]


def likeliest(x, p):
    found = exact.fit_rounded(x, p)
    return found.weights, found.bias


@pytest.mark.slow
def test_fit_rounded_right_ways(names):
    for right in (names["fit_rounded"], likeliest):
        assert the_same(under_secrets(lab6.fit_rounded, right)) == 2.0
    assert lab6.fit_rounded(by_gradient) == 2.0


def clipped_logs(x, p):
    found = exact.least_squares(x, p, smallest=0.005)
    return found.weights, found.bias


def labels_only(x, p):
    fitted = LogisticRegression(C=1e4, max_iter=2_000).fit(x, p.argmax(axis=1))
    weights, bias = np.zeros((p.shape[1], x.shape[1])), np.full(p.shape[1], -50.0)
    weights[fitted.classes_], bias[fitted.classes_] = fitted.coef_, fitted.intercept_
    return weights, bias


def penalised(x, p):
    k = p.shape[1]
    rows, classes = np.repeat(x, k, axis=0), np.tile(np.arange(k), len(x))
    fitted = LogisticRegression(max_iter=500).fit(rows, classes, sample_weight=p.ravel())
    return fitted.coef_, fitted.intercept_


@pytest.mark.parametrize("wrong", [clipped_logs, labels_only, penalised])
def test_fit_rounded_wrong_ways(wrong):
    results = under_a_secret(lab6.fit_rounded, wrong)
    assert max(results) == 0
    assert "Do not fit logarithms" in in_words(results[0])


def test_fit_rounded_without_the_probabilities_is_named():
    def unweighed(x, p):
        k = p.shape[1]
        rows, classes = np.repeat(x, k, axis=0), np.tile(np.arange(k), len(x))
        fitted = LogisticRegression(C=1e4, max_iter=500).fit(rows, classes)
        return fitted.coef_, fitted.intercept_

    result = lab6.fit_rounded(unweighed)
    assert result == 0 and "sample_weight=p.ravel()" in in_words(result)


def test_fit_rounded_in_the_wrong_order_is_named():
    def mixed_up(x, p):
        k = p.shape[1]
        rows, classes = np.tile(x, (k, 1)), np.tile(np.arange(k), len(x))
        fitted = LogisticRegression(max_iter=500).fit(rows, classes, sample_weight=p.ravel())
        return fitted.coef_, fitted.intercept_

    result = lab6.fit_rounded(mixed_up)
    assert result == 0 and "did not belong together" in in_words(result)
    assert "logarithms" not in in_words(result)


def test_logs_of_zero_are_told_as_nan():
    with np.errstate(divide="ignore", invalid="ignore"):
        result = lab6.fit_rounded(lambda x, p: (np.log(p).T @ x, np.log(p).sum(axis=0)))
    assert result == 0 and "0 has no logarithm" in in_words(result)


def test_a_fit_without_a_bias_is_named():
    result = lab6.fit_rounded(lambda x, p: (likeliest(x, p)[0], np.zeros(p.shape[1])))
    assert result < 2 and "Your bias is 0 for all classes" in in_words(result)


# --- exercise 3 ---------------------------------------------------------------------


def by_halving(f, low, high):
    """Down to the last digit, level by level, with one request for each level."""
    found, intervals = [], [(low, high)]
    while intervals:
        a, b = np.array(intervals).T
        step = 1e-3 * (b - a)
        values = f(np.concatenate([a, a + step, a + 0.4 * (b - a), b - step, b])).reshape(5, -1)
        slopes = np.stack([
            (values[1] - values[0]) / step,
            (values[2] - values[0]) / (0.4 * (b - a)),
            (values[4] - values[3]) / step,
        ])  # fmt: skip
        bends = np.ptp(slopes, axis=0) > 1e-12 * (1 + np.abs(values).max()) / step
        next_ones = []
        for i in np.flatnonzero(bends):
            middle = a[i] + 0.51 * (b[i] - a[i])
            if b[i] - a[i] < 5e-5:
                found.append((a[i] + b[i]) / 2)
            else:
                next_ones += [(a[i], middle), (middle, b[i])]
        intervals = next_ones
    return sorted(found)


def test_find_kinks_right_ways(names):
    for right in (names["find_kinks"], exact.find_kinks):
        assert the_same(under_secrets(lab6.find_kinks, right)) == 2.0
    result = lab6.find_kinks(by_halving)
    assert result >= 1.5, result.as_text()  # it may cost more queries than are asked


def grid(f, low, high, n=40_001):
    t = np.linspace(low, high, n)
    slopes = np.diff(f(t)) / np.diff(t)
    return [t[i + 1] for i in np.flatnonzero(np.abs(np.diff(slopes)) > 1e-6)][::2]


def trusts_the_crossing(f, low, high):
    step = 1e-3 * (high - low)
    a, b, c, d = f(np.array([low, low + step, high - step, high]))
    left, right = (b - a) / step, (d - c) / step
    return [low + (d - a - right * (high - low)) / (left - right)]


def forgets_the_second_half(f, low, high):
    return exact.find_kinks(f, low, high)[:1]


def looks_at_the_middle(f, low, high):
    """Halves, and takes an interval for straight if the value in the middle is."""
    a, m, b = f(np.array([low, (low + high) / 2, high]))
    if abs(m - (a + b) / 2) < 1e-9 or high - low < 1e-5:
        return [] if high - low > 1e-4 else [(low + high) / 2]
    middle = (low + high) / 2
    return looks_at_the_middle(f, low, middle) + looks_at_the_middle(f, middle, high)


def looks_at_the_ends(f, low, high):
    """Takes an interval for straight if the slopes at its ends are the same."""
    step = 1e-3 * (high - low)
    a, b, c, d = f(np.array([low, low + step, high - step, high]))
    if abs((b - a) - (d - c)) < 1e-11 * (1 + abs(a) + abs(d)):
        return []
    return exact.find_kinks(f, low, high)


def keeps_a_list():
    found = []

    def find(f, low, high):
        found.extend(exact.find_kinks(f, low, high))
        return sorted(found)

    return find


def appends(f, low, high):
    return [exact.find_kinks(f, low, (low + high) / 2), exact.find_kinks(f, (low + high) / 2, high)]


def splits_outside(f, low, high):
    """Its middle is a width, and no place."""
    middle = 0.47 * (high - low)
    a, b = f(np.array([low, high]))
    if high - low < 1e-9 and a == b:
        return []
    return splits_outside(f, low, middle) + splits_outside(f, middle, high)


def forgets_to_return(f, low, high):
    """Returns nothing where it splits."""
    if high - low < 1e-3:
        return exact.find_kinks(f, low, high)
    middle = (low + high) / 2
    forgets_to_return(f, low, middle) + forgets_to_return(f, middle, high)


@pytest.mark.parametrize(
    ("wrong", "most", "words"),
    [
        (looks_at_the_ends, 0.5, "neither equal slopes at the ends"),
        (appends, 0, "in place of appending them"),
        (forgets_to_return, 0, "a part of your search returned None"),
        (splits_outside, 0, "Split an interval inside of it"),
        (lambda f, low, high: np.zeros(3), 0, "returned an array of 3 numbers in place of"),
        (lambda *asked: exact.find_kinks(*asked)[::-1], 0.5, "they are out of order"),
        (keeps_a_list(), 0.5, "begin with an empty list"),
        (lambda *asked: sorted(2 * exact.find_kinks(*asked)), 0.5, "listed more than once"),
        (grid, 0, "A fine grid is asked everywhere"),
        (lambda f, low, high: grid(f, low, high, 2_001), 0, "The positions are rough"),
        (trusts_the_crossing, 0, "one that was found is none"),
        (forgets_the_second_half, 0, "Kinks are missing. An interval"),
        (lambda f, low, high: np.float64(low), 0, "not [t]"),
        (looks_at_the_middle, 0.5, ""),
        (lambda f, low, high: [], 0, "Try one by hand"),
        (lambda f, low, high: list(np.linspace(low, high, 20)), 0, "Some of them are none"),
        (lambda f, low, high: f("abc"), 0, "not an array of numbers"),
        (lambda f, low, high: f(np.full(2, np.nan)), 0, "2 of 2 values as NaN"),
        (lambda f, low, high: f(np.zeros(10**6, np.int8)), 0, "A fine grid is asked everywhere"),
        (lambda f, low, high: np.zeros(10**6, np.int8), 0, "at most 10,000 can be looked at"),
    ],
)
def test_find_kinks_wrong_ways_are_named(wrong, most, words):
    results = under_a_secret(lab6.find_kinks, wrong)
    assert max(results) <= most
    assert words in in_words(results[0])


def central(query, x, v):
    """Gradients from both sides of each input, and a bias that is read off."""
    aside, step = 1e-3 * v / np.linalg.norm(v), 1e-6
    jumps = 0
    for sign in (1, -1):
        place = x + sign * aside
        rows = np.vstack([place + step * np.eye(len(x)), place - step * np.eye(len(x))])
        values = query(rows)
        jumps = jumps + sign * (values[: len(x)] - values[len(x) :]) / (2 * step)
    return np.append(jumps, -x @ jumps) * -7.0


def on_a_line_of_length_one(query, x, v):
    v /= np.linalg.norm(v)
    return central(query, x, v)


def test_neuron_at_right_ways(names):
    for right in (names["neuron_at"], exact.neuron_at, central):
        assert the_same(under_secrets(lab6.neuron_at, right)) == 2.0


def one_side(query, x, v):
    rows = np.vstack([x + 1e-3 * v, x + 1e-3 * v + 1e-6 * np.eye(len(x))])
    values = query(rows)
    weights = (values[1:] - values[0]) / 1e-6
    return np.append(weights, -weights @ x)


def wrong_bias(query, x, v):
    return central(query, x, v) * np.append(np.ones(len(x)), -1)


def on_the_kink(query, x, v):
    """Steps that cross the kink themselves."""
    up, down = query(x + 1e-3 * np.eye(len(x))), query(x - 1e-3 * np.eye(len(x)))
    weights = up + down - 2 * query(x[None])[0]
    return np.append(weights, -weights @ x)


def asks_five_times(query, x, v):
    return np.mean([central(query, x, v) for _ in range(5)], axis=0)


def charges_a_friend(query, x, v):
    query(x[None])
    return central(lambda rows: query(rows, key="friend"), x, v)


@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (charges_a_friend, 0, "key"),
        (one_side, 0, "on either side of x, and subtract"),
        (on_the_kink, 0, "cross the kink themselves"),
        (wrong_bias, 1.5, "w . x + b is 0"),
        (on_a_line_of_length_one, 0, "neuron_at changes v"),
        (asks_five_times, 1.5, "A gradient costs d + 1 values"),
        (lambda query, x, v: np.zeros(len(x) + 1), 0, "inf"),
        (lambda query, x, v: central(query, x, v)[:-1], 0, "weights, then the bias"),
        (lambda query, x, v: np.roll(central(query, x, v), 1), 0, "The bias comes first"),
        (lambda query, x, v: central(query, x, v)[None], 0, "not ("),
    ],
)
def test_neuron_at_wrong_ways_are_named(wrong, points, words):
    result = the_same(under_a_secret(lab6.neuron_at, wrong))
    assert result == points and words in in_words(result)


def library_outputs(query, neurons):
    found = exact.fit_outputs(query, neurons)
    return np.column_stack([found.weights, found.bias]), found.out, found.constant


def outputs_from_many_rows(query, neurons, n=500, with_bias=1):
    """Both columns of each neuron; without its bias, an answer that is wrong."""
    neurons = neurons / np.linalg.norm(neurons[:, :-1], axis=1, keepdims=True)
    x = 3 * np.random.default_rng(1).normal(size=(n, neurons.shape[1] - 1))
    z = x @ neurons[:, :-1].T + with_bias * neurons[:, -1]
    *both, constant = solve(ones(np.hstack([np.maximum(z, 0), np.maximum(-z, 0)])), query(x))
    facing, turned = np.reshape(both, (2, -1))
    swap = np.abs(turned) > np.abs(facing)
    return np.where(swap[:, None], -neurons, neurons), np.where(swap, turned, facing), constant


def test_fit_outputs_right_ways(names):
    for right in (names["fit_outputs"], library_outputs, outputs_from_many_rows):
        results = under_secrets(lab6.fit_outputs, right, names["find_kinks"], names["neuron_at"])
        assert the_same(results) == 2.0


def as_they_are(query, neurons):
    x = 3 * np.random.default_rng(0).normal(size=(200, neurons.shape[1] - 1))
    hidden = np.maximum(ones(x) @ neurons.T, 0)
    solved = solve(ones(hidden), query(x))
    return neurons, solved[:-1], solved[-1]


def test_fit_outputs_wrong_ways_are_named(names):
    others = names["find_kinks"], names["neuron_at"]
    result = lab6.fit_outputs(as_they_are, *others)
    assert result == 0 and "may face the wrong way" in in_words(result)
    result = lab6.fit_outputs(lambda q, n: outputs_from_many_rows(q, n, with_bias=0), *others)
    assert result == 0 and "made without the bias" in in_words(result)
    result = lab6.fit_outputs(names["fit_outputs"], others[0], on_a_line_of_length_one)
    assert result == 1 and "neuron_at changes v" in in_words(result)
    result = lab6.fit_outputs(lambda q, n: (*library_outputs(q, n)[:2], 0.0), *others)
    assert result == 1 and "a column of ones" in in_words(result)
    result = lab6.fit_outputs(library_outputs, lambda f, low, high: [], names["neuron_at"])
    assert result == 1 and "found no kink" in in_words(result)
    result = lab6.fit_outputs(library_outputs, names["find_kinks"], one_side)
    assert result == 1 and "of 16 neurons" in in_words(result)
    result = lab6.fit_outputs(lambda query, neurons: neurons, *others)
    assert result == 0 and "three things" in in_words(result)


# --- exercise 4 ---------------------------------------------------------------------


def values_of(logits, centre=True):
    logits = np.asarray(logits, dtype=float)
    centred = logits - logits.mean(axis=1, keepdims=True) if centre else logits
    return np.linalg.svd(centred, compute_uv=False)


def by_gaps_of_logs(logits):
    """Through eigenvalues, and with differences of logarithms."""
    rows = logits - logits.mean(axis=1, keepdims=True)
    values = np.linalg.svd(rows.astype(float))[1]
    gaps = np.log10(values[1:-1]) - np.log10(values[2:])
    return float(np.argmax(gaps) + 2) if gaps.max() > 1.2 else None


@pytest.mark.slow
def test_hidden_size_right_ways(names):
    for right in (names["hidden_size"], exact.hidden_size, by_gaps_of_logs):
        assert the_same(under_secrets(lab6.hidden_size, right)) == 3.0


def fixed(logits):
    return int((values_of(logits) > 1e-3).sum())


def relative(logits):
    values = values_of(logits)
    return int((values > 1e-6 * values[0]).sum())


def numpy_rank(logits):
    return int(np.linalg.matrix_rank(np.asarray(logits, dtype=float)))


def keeps_the_constant(logits):
    values = values_of(logits, centre=False)
    falls = values[1:-1] / values[2:]
    return int(falls.argmax()) + 2 if falls.max() >= 10 else None


def each_tokens_mean(logits):
    logits = np.asarray(logits, dtype=float)
    values = np.linalg.svd(logits - logits.mean(axis=0), compute_uv=False)
    falls = values[1:-1] / values[2:]
    return int(falls.argmax()) + 2 if falls.max() >= 10 else None


def never_unsure(logits):
    values = values_of(logits)
    return int((values[1:-1] / values[2:]).argmax()) + 2


def with_a_limit(logits, least):
    values = values_of(logits)
    falls = values[1:-1] / values[2:]
    return int(falls.argmax()) + 2 if falls.max() >= least else None


def the_first_by_all_others(logits):
    values = values_of(logits)
    falls = values[0] / values[2:]
    return int(falls.argmax()) + 2 if falls.max() >= 10 else None


def the_largest_fall_of_all(logits):
    values = values_of(logits)
    return int((values[:-1] / values[1:]).argmax()) + 1


def the_first_large_fall(logits, behind=0):
    values = values_of(logits)[behind:]
    large = np.flatnonzero(values[:-1] >= 10 * values[1:])
    return int(large[0]) + 1 + behind if len(large) else None


def upside_down(logits):
    values = values_of(logits)
    return int((values[2:] / values[1:-1]).argmax()) + 2


def upside_down_or_none(logits):
    values = values_of(logits)
    falls = values[1:] / values[:-1]
    return int(falls.argmax()) + 1 if falls.max() >= 10 else None


def off_by_one(logits):
    found = exact.hidden_size(logits)
    return found and found - 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (fixed, 0.5, "no fixed limit fits"),
        (numpy_rank, 0, "no fixed limit fits"),
        (relative, 1.5, "no fixed limit fits"),
        (keeps_the_constant, 2.25, "Take each row's mean out"),
        (each_tokens_mean, 0, "Take each row's mean: axis=1"),
        (never_unsure, 2.25, "Return None unless"),
        (lambda logits: with_a_limit(logits, 3.5), 2.25, "A drop is a cliff from ten times on"),
        (lambda logits: with_a_limit(logits, 1e3), 2.25, "Is a drop of ten times enough"),
        (the_first_by_all_others, 0, "Divide each value by the next"),
        (the_largest_fall_of_all, 1.5, "that drop is no cliff, however large it is"),
        (the_first_large_fall, 0.5, "that drop is no cliff, however large it is"),
        (lambda logits: the_first_large_fall(logits, behind=1), 2, "Compare all drops"),
        (off_by_one, 0, "One too few"),
        (upside_down, 0, "Are your quotients upside down?"),
        (upside_down_or_none, 0, "and not the other way round"),
        (lambda logits: None, 0, "return statement"),
        (lambda logits: "12", 0, "returned a str"),
        (lambda logits: values_of(logits), 0, "not one number"),
    ],
)
def test_hidden_size_wrong_ways_are_named(wrong, points, words):
    results = under_a_secret(lab6.hidden_size, wrong)
    assert the_same(results) == points
    assert all(words in in_words(result) for result in results)


# --- exercise 5 ---------------------------------------------------------------------


def with_a_reference_of_its_own(api, prompt):
    """Raises the reference as well, which costs no more."""
    v, (_, told) = api.vocabulary_size, api.query(prompt)
    logits, k = np.zeros(v), len(told) - 1
    for i in range(1, v, k):
        raised = list(range(i, min(v, i + k)))
        _, told = api.query(prompt, dict.fromkeys([0, *raised], 99.5))
        for t in raised:
            logits[t] = told[t] - told[0]
    return logits.tolist()


def test_logits_through_top_k_right_ways(names):
    for right in (
        names["logits_through_top_k"],
        with_a_reference_of_its_own,
        exact.logits_through_top_k,
        exact.logits_by_banning,
    ):
        assert the_same(under_secrets(lab6.logits_through_top_k, right)) == 4.0


def reading(api, prompt, *, by=100.0, at_once=None, read=None):
    token, told = api.query(prompt)
    others = [t for t in range(api.vocabulary_size) if t != token]
    logits, at_once = np.zeros(api.vocabulary_size), at_once or len(told) - 1
    for i in range(0, len(others), at_once):
        raised = others[i : i + at_once]
        _, told = api.query(prompt, dict.fromkeys(raised, by))
        for place, t in enumerate(raised):
            logits[t] = (read or (lambda told, place, t, token: told[t] - by - told[token]))(
                told, place, t, token
            )
    return logits


def in_sorted_order(told, place, t, token):
    ranked = sorted((value for key, value in told.items() if key != token), reverse=True)
    return ranked[place] - 100 - told[token]


def raises_the_reference_too(api, prompt):
    token, told = api.query(prompt)
    tokens, logits = list(range(api.vocabulary_size)), np.zeros(api.vocabulary_size)
    for i in range(0, len(tokens), len(told) - 1):
        raised = tokens[i : i + len(told) - 1]
        _, answer = api.query(prompt, dict.fromkeys(raised, 100.0))
        for t in raised:
            logits[t] = answer[t] - answer[token] - 100
    return logits


def forgets_a_token(api, prompt):
    found = np.array(exact.logits_through_top_k(api, prompt))
    found[int(found[0] == 0)] += 3
    return found


def drops_the_last_group(api, prompt):
    token, told = api.query(prompt)
    others = [t for t in range(api.vocabulary_size) if t != token]
    logits, k = np.zeros(api.vocabulary_size), len(told) - 1
    for i in range(0, len(others) - k + 1, k):
        _, told = api.query(prompt, dict.fromkeys(others[i : i + k], 100.0))
        for t in others[i : i + k]:
            logits[t] = told[t] - 100 - told[token]
    return logits


def returns_inside_the_loop(api, prompt):
    token, told = api.query(prompt)
    others = [t for t in range(api.vocabulary_size) if t != token]
    logits = np.zeros(api.vocabulary_size)
    raised = others[: len(told) - 1]
    _, told = api.query(prompt, dict.fromkeys(raised, 100.0))
    for t in raised:
        logits[t] = told[t] - 100 - told[token]
    return logits


def remembers_the_service():
    kept = []

    def recover(api, prompt):
        for one, logits in kept:
            if one is api:
                return logits
        kept.append((api, exact.logits_through_top_k(api, prompt)))
        return kept[-1][1]

    return recover


def reads_against_the_first_key(api, prompt):
    best, told = api.query(prompt)
    top = next(token for token in told if token != best)  # the first is the best one by chance
    return reading(api, prompt, read=lambda told, i, t, token: told[t] - 100 - told[top])


WRONG_READERS = [
    (reads_against_the_first_key, 0, "sorted by number, not by likelihood"),
    (raises_the_reference_too, 0, "You raised the token that you read against"),
    (forgets_a_token, 0, "is off; they run from 0"),
    (returns_inside_the_loop, 0, "does return stand inside the loop?"),
    (drops_the_last_group, 0, "raise the last group as well"),
    (
        lambda a, p: reading(a, p, read=lambda told, i, t, top: told[t] - 100 - min(told.values())),
        0,
        "look it up by its key",
    ),
    (remembers_the_service(), 1, "same customer's second prompt"),
    (lambda a, p: reading(a, p, read=in_sorted_order), 0, "right numbers beside the wrong"),
    (
        lambda a, p: reading(a, p, read=lambda told, i, t, top: told[t] - told[top]),
        0,
        "subtract from each what you have added",
    ),
    (
        lambda a, p: reading(a, p, read=lambda told, i, t, top: told[t] - 100),
        0,
        "different normalisers",
    ),
    (
        lambda a, p: reading(
            a, p, read=lambda told, i, t, top: list(told.values())[i] - told[top] - 100
        ),
        0,
        "right numbers beside the wrong",
    ),
    (lambda a, p: reading(a, p, by=50.0), 3, "raise it by more"),
    (lambda a, p: reading(a, p, at_once=1), 3, "raise all but one of that number"),
    (lambda a, p: reading(a, p, by=20.0), 3, "raise it by more"),
    (lambda a, p: reading(a, p, at_once=4), 0, "raise no more tokens than fit"),
    (lambda a, p: np.zeros(a.vocabulary_size), 0, "You asked nothing"),
    (lambda a, p: [a.query(p, {a.vocabulary_size: 1.0})], 0, "does not exist"),
    (lambda a, p: [a.query(p, {0: 1000.0})], 0, "must be a number from -100 to 100"),
    (lambda a, p: [a.query(p) for _ in range(900)], 0, "was spent"),
]


@pytest.mark.parametrize(("wrong", "most", "words"), WRONG_READERS)
def test_logits_through_top_k_wrong_ways_are_named(wrong, most, words):
    results = under_a_secret(lab6.logits_through_top_k, wrong)
    assert max(results) == most
    assert words in in_words(results[0])


def exact_basis(matrix, size):
    return np.linalg.svd(matrix, full_matrices=False)[2][:size].T


def test_output_projection(names):
    def rows(logits, size):
        centred = logits - logits.mean(axis=1, keepdims=True)
        return centred[:size].T

    for right in (names["output_projection"], exact.output_projection, rows):
        assert the_same(under_secrets(lab6.output_projection, right)) == 1.0
    for wrong, words in (
        (
            lambda logits, size: np.linalg.svd(logits, full_matrices=False)[2][-size:].T,
            "first right singular",
        ),
        (lambda logits, size: np.eye(logits.shape[1])[:, :size], "Take each row's mean out first"),
        (lambda logits, size: exact_basis(logits, size), "Each row's constant is still in"),
        (lambda logits, size: exact_basis(logits - logits.mean(axis=0), size), "axis=1"),
    ):
        result = the_same(under_a_secret(lab6.output_projection, wrong))
        assert result == 0 and words in in_words(result)
    result = lab6.output_projection(lambda logits, size: logits[:size])
    assert result == 0 and "not (" in in_words(result)


# --- exercise 6 ---------------------------------------------------------------------


def no_numbers_with_a_bias(logits, bias):
    token = int(services.biased(logits, bias).argmax())
    return token, {} if bias else services.most_likely(logits, 5)


def one_decimal(logits, bias):
    token, told = no_numbers_with_a_bias(logits, bias)
    return [token, {t: float(np.round(value, 1)) for t, value in told.items()}]


def three_fixed_steps(logits, bias):
    """A ban, a nudge, a must: a ruler for a thief who looks at next tokens, whom no check tries."""
    steps = np.array([-100.0, 0.0, 1.0, 100.0])
    nearest = {t: float(steps[np.abs(steps - value).argmin()]) for t, value in bias.items()}
    return services.bias_moves_the_token_only(logits, nearest)


def told_by_both(logits, bias):
    """Those of the five most likely tokens that are among the five with the bias, too."""
    _, with_bias = services.TopTokens(5)(logits, bias)
    token, plain = services.bias_moves_the_token_only(logits, bias)
    return token, {t: value for t, value in plain.items() if t in with_bias}


def noise_of_its_own(logits, bias):
    """A little, that depends on everything: no number follows a logit."""
    dice = np.random.default_rng([int(1e6 * abs(x)) for x in (*logits, *bias, *bias.values())])
    token, told = services.bias_moves_the_token_only(logits, bias)
    return token, {t: value + dice.uniform(-0.04, 0.04) for t, value in told.items()}


def in_float32(logits, bias):
    values, places = torch.log_softmax(torch.tensor(logits).float(), 0).topk(5)
    token = int(services.biased(logits, bias).argmax())
    return token, dict(zip(places.tolist(), values.tolist(), strict=True))


def the_next_token_as_certain(logits, bias):
    token, told = no_numbers_with_a_bias(logits, bias)
    return token, told or {token: 0.0}


@pytest.mark.thorough
@pytest.mark.slow
def test_tell_right_ways(names):
    moves = services.bias_moves_the_token_only
    for right in (
        *(names["tell"], no_numbers_with_a_bias, one_decimal, three_fixed_steps, moves),
        *(told_by_both, noise_of_its_own, in_float32, the_next_token_as_certain),
    ):
        assert the_same(under_secrets(lab6.tell, right)) == 3.0


def raised_are_told_without_their_bias(logits, bias):
    ranked = np.argsort(-services.biased(logits, bias))[:5]
    plain = log_softmax(logits)
    return int(ranked[0]), {int(t): float(plain[t]) for t in ranked}


def raising_only(logits, bias):
    if any(value > 0 for value in bias.values()):
        return no_numbers_with_a_bias(logits, bias)
    return services.TopTokens(5)(logits, bias)


def only_a_few_or_small(logits, bias):
    """Tells thieves by how many tokens they raise, or by how much."""
    raised = [value for value in bias.values() if value > 0]
    if len(raised) > 1 or max(raised, default=0) > 20 or min(bias.values(), default=0) < -20:
        return no_numbers_with_a_bias(logits, bias)
    return services.TopTokens(5)(logits, bias)


def honest_at_first():
    calls = []

    def tell(logits, bias):
        calls.append(1)
        if len(calls) <= 9:
            return services.TopTokens(5)(logits, bias)
        return int(services.biased(logits, bias).argmax()), {}

    return tell


NOISE = np.random.default_rng(0)


def fresh_noise(logits, bias):
    token, told = services.TopTokens(5)(logits, bias)
    scale = 0.01 if not bias else 0.4
    return token, {t: value + scale * NOISE.normal() for t, value in told.items()}


def noise_for_each_question(logits, bias):
    """The same question gets the same answer, and another one a new lie."""
    token, told = services.TopTokens(5)(logits, bias)
    dice = np.random.default_rng([int(1e6 * abs(x)) for x in (logits[0], *bias, *bias.values())])
    return token, {t: value + bool(bias) * dice.normal() for t, value in told.items()}


def rounded_too_early(logits, bias):
    told = log_softmax(services.biased(logits, bias)).round(1)
    return int(told.argmax()), {int(t): float(told[t]) for t in np.argsort(-told)[:5]}


def by_sign(logits, bias):
    """Drops what has a negative bias, and prefers what has a positive one, however small."""
    return services.bias_moves_the_token_only(
        logits, {t: float(100 * np.sign(value)) for t, value in bias.items()}
    )


def writes_into_the_logits(logits, bias):
    """Meant to tell what it would tell without a bias."""
    changed = logits
    for token, value in bias.items():
        changed[token] += value
    return int(changed.argmax()), services.most_likely(logits, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (writes_into_the_logits, 0, "begin with changed = logits.copy()"),
        (by_sign, 0.75, "How large a bias is counts"),
        (services.TopTokens(5), 0, "a service without any defence does as much"),
        (services.TopTokens(5, decimals=1), 0, "Rounding leaves the cliff"),
        (rounded_too_early, 0, "who raises tokens many times and averages"),
        (noise_for_each_question, 0, "who raises tokens many times and averages"),
        (raised_are_told_without_their_bias, 1.5, "as if no bias were in them"),
        (raising_only, 1.5, "who bans what is known"),
        (only_a_few_or_small, 1.5, "who raises one token at a time"),
        (fresh_noise, 0, "The same question must get the same answer"),
        (services.token_only, 0.75, "of the five most likely tokens returned"),
        (services.no_bias, 0.75, "A banned token must not come"),
        (lambda logits, bias: int(logits.argmax()), 0, "two things"),
        (lambda logits, bias: None, 0, "return statement"),
        (
            lambda logits, bias: (
                int(services.biased(logits, bias).argmax()),
                {t: logits[t] for t in services.most_likely(logits, 5)},
            ),
            0.75,
            "look like logits",
        ),
        (lambda logits, bias: (99_999, {}), 0, "does not exist"),
        (lambda logits, bias: (0, dict(enumerate(log_softmax(logits)))), 0, "five are the most"),
    ],
)
def test_tell_wrong_ways_are_named(wrong, points, words):
    results = under_a_secret(lab6.tell, wrong)
    assert the_same(results) == points
    assert all(words in in_words(result) for result in results)


def followed(tell):
    """A ``tell`` that is right but for the numbers which it returns beside a bias."""

    def service(logits, bias):
        biased, plain = services.biased(logits, bias), log_softmax(logits)
        token = int(biased.argmax())
        numbers = tell(biased, plain, token, bias) if bias else services.most_likely(logits, 5)
        return token, {int(t): float(value) for t, value in numbers.items()}

    return service


def hidden_by_noise(biased, plain, token, bias):
    dice = np.random.default_rng([int(1e6 * abs(x)) for x in (*plain, *bias, *bias.values())])
    return {token: plain[token] + dice.normal()}


def shared_out(biased, plain, token, bias):
    """Two numbers that say nothing by themselves; their sum does."""
    dice = np.random.default_rng([int(1e6 * abs(x)) for x in (*plain, *bias, *bias.values())])
    part = 5 * dice.normal()
    return {0: part, 1: plain[token] - part}


def true_for_a_third(biased, plain, token, bias):
    dice = np.random.default_rng([int(1e6 * abs(x)) for x in (*bias, *bias.values())])
    return {token: plain[token] if dice.random() < 1 / 3 else -10 * dice.random()}


LEAKS = {
    "the next token's own": lambda biased, plain, token, bias: services.most_likely(biased, 1),
    "the next token's own, unbiased": lambda biased, plain, token, bias: {token: plain[token]},
    "the next token's own, rounded": lambda biased, plain, token, bias: {
        token: round(plain[token])
    },
    "the usual five, divided by a sum with the bias": lambda biased, plain, token, bias: {
        t: log_softmax(biased)[t] for t in np.argsort(-plain)[:5]
    },
    "small biases": lambda biased, plain, token, bias: (
        services.most_likely(biased, 5) if max(map(abs, bias.values())) < 2 else {}
    ),
    "two or three biases": lambda biased, plain, token, bias: (
        services.most_likely(biased, 5) if len(bias) in (2, 3) else {}
    ),
    "bans beside favours": lambda biased, plain, token, bias: (
        services.most_likely(biased, 5) if min(bias.values()) < 0 < max(bias.values()) else {}
    ),
    "bans, the next token's own": lambda biased, plain, token, bias: (
        services.most_likely(biased, 1) if max(bias.values()) < 0 else {}
    ),
    "a temperature": lambda biased, plain, token, bias: services.most_likely(biased / 3, 1),
    "the gap to the second": lambda biased, plain, token, bias: {
        token: np.diff(np.sort(biased))[-1]
    },
    "a number for them all": lambda biased, plain, token, bias: {
        0: np.exp(log_softmax(biased)) @ log_softmax(biased)
    },
    "in the fourth digit": lambda biased, plain, token, bias: {
        t: round(plain[t], 2) + 1e-4 * plain[token] for t in np.argsort(-plain)[:5]
    },
    "behind noise": hidden_by_noise,
    "in a sum": shared_out,
    "one answer in three": true_for_a_third,
}


@pytest.mark.slow
@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_number_that_follows_a_logit_earns_nothing_against_thieves(leak):
    results = under_a_secret(lab6.tell, followed(leak))
    assert the_same(results) == 1.5
    assert all("a number changes when nothing but the logit" in in_words(one) for one in results)


def test_tell_must_return_a_dictionary():
    def pairs(logits, bias):
        token, told = services.bias_moves_the_token_only(logits, bias)
        return token, list(told.items())

    result = lab6.tell(pairs)
    assert result == 0 and "a dictionary from tokens to log-probabilities" in in_words(result)


@pytest.mark.parametrize("honest", [3, 10, 30, 300])
def test_a_service_that_hides_numbers_after_some_biases_is_seen(honest):
    calls = []

    def tell(logits, bias):
        calls.extend([1] * bool(bias))
        token, told = services.TopTokens(5)(logits, bias)
        return token, told if not bias or len(calls) <= honest else {}

    result = lab6.tell(tell)
    assert result <= 1.5
    assert "after the thieves had asked" in in_words(result) or result == 0


def test_a_service_that_changes_after_the_first_questions_is_seen():
    results = [lab6.tell(honest_at_first())]
    for i in range(5):
        with draws.grading_with(bytes([i]) * 16):
            results.append(lab6.tell(honest_at_first()))
    assert max(results) <= 1.5
    assert "may not depend on how often it was asked" in in_words(results[0])


# --- stuck ---------------------------------------------------------------------------


def stuck() -> dict[str, str]:
    """By the exercise, the lines that the lab offers to whoever is stuck."""
    (lab,) = pick_labs(ROOT, ["lab6"])
    text = lab.source.read_text("utf-8")
    block = re.search(r"The library's functions</summary>.*?```python\n(.*?)# ```", text, re.S)[1]
    lines = re.sub(r"^# ?", "", block, flags=re.M)
    return dict(re.findall(r"^# Exercise (.*)\n((?:(?!# ).*\n)*)", lines, re.M))


def test_the_lines_for_those_who_are_stuck_work_and_earn_nothing_here(names, library_answers):
    checks = {
        "1": lab6.solve_softmax,
        "2": lab6.fit_rounded,
        "3a": lab6.find_kinks,
        "3b": lab6.neuron_at,
        "3c": lab6.fit_outputs,
        "4": lab6.hidden_size,
        "5, the logits": lab6.logits_through_top_k,
        "5, the last layer": lab6.output_projection,
        "6": lab6.tell,
    }
    lines = stuck()
    assert set(lines) == {*checks, "7: nothing later uses it"}
    for exercise, check in checks.items():
        scope = {"np": np, "exact": exact, "services": services}
        before = set(scope)
        exec(lines[exercise], scope)
        (mine,) = (scope[name] for name in set(scope) - before - {"__builtins__"})
        others = (names["find_kinks"], names["neuron_at"]) if exercise == "3c" else ()
        assert check(mine, *others) == check.points, exercise
        with withheld.refused_by(withheld.refusing):
            result = check(mine, *others)
        assert result == 0 and "asks for your own" in in_words(result)


# --- the draws ----------------------------------------------------------------------


def test_models_of_different_secrets_differ():
    def drawn():
        return token_cases.keyhole("usual", 0).logits[:5].tolist()

    here = drawn()
    with draws.grading_with(b"a" * 16):
        assert drawn() != here
    assert drawn() == here
