"""The measurements, against slow loops, SciPy and closed forms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score

from trickster import evaluation
from trickster.evaluation import Interval, bootstrap_interval, expected_calibration_error


@st.composite
def answered(draw) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors, some on the bins' edges, and labels."""
    n, k = draw(st.integers(1, 25)), draw(st.integers(2, 5))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(k, draw(st.sampled_from([0.05, 0.5, 5.0]))), n)
    if draw(st.booleans()):  # tenths: many confidences fall exactly on an edge
        p = rng.multinomial(10, p) / 10
    return p, rng.integers(0, k, n)


# --- accuracy, fidelity, utility --------------------------------------------------------------


@given(answered())
def test_accuracy_is_scikit_learns(case):
    p, y = case
    labels = np.array([max(range(len(row)), key=lambda j: row[j]) for row in p])
    expected = accuracy_score(y, labels)
    assert evaluation.accuracy(p, y) == pytest.approx(expected)
    assert evaluation.accuracy(labels, y) == pytest.approx(expected)


@given(answered(), answered())
def test_fidelity_is_symmetric_and_counts_shared_errors(one, other):
    n, k = min(len(one[0]), len(other[0])), min(one[0].shape[1], other[0].shape[1])
    p, q = one[0][:n, :k], other[0][:n, :k]
    same = sum(a.argmax() == b.argmax() for a, b in zip(p, q, strict=True)) / n
    assert evaluation.fidelity(p, q) == evaluation.fidelity(q, p) == pytest.approx(same)
    assert evaluation.fidelity(p, p) == 1


def test_a_clone_can_be_faithful_and_wrong():
    y, victim = np.array([0, 1, 2, 3]), np.array([1, 1, 1, 1])
    assert evaluation.fidelity(victim, victim) == 1
    assert evaluation.accuracy(victim, y) == 0.25


def test_plain_lists_are_answers_too():
    assert evaluation.accuracy([0, 1, 1], [0, 1, 0]) == pytest.approx(2 / 3)
    assert evaluation.fidelity([[0.9, 0.1]], [[0.6, 0.4]]) == 1


@pytest.mark.parametrize("measure", [evaluation.accuracy, evaluation.fidelity])
@pytest.mark.parametrize(
    "answers, others",
    [
        (np.zeros(3), np.zeros(4)),
        (np.zeros((3, 2)), np.zeros(4)),
        (np.zeros(3), np.zeros(1)),  # NumPy would broadcast this one without a word
        (np.zeros(0), np.zeros(0)),
        (np.zeros((0, 10)), np.zeros(0)),
        (np.zeros((3, 1)), np.zeros(3)),  # the argmax of one column is always 0
        (np.zeros((3, 2, 2)), np.zeros(3)),
        (np.float64(1), np.float64(1)),
    ],
)
def test_answers_that_cannot_be_compared(measure, answers, others):
    with pytest.raises(ValueError, match="shape"):
        measure(answers, others)


def test_the_truth_must_be_labels():
    with pytest.raises(ValueError, match="the truth"):
        evaluation.accuracy(np.eye(3), np.eye(3))


def test_utility_asks_the_service_once_about_everything():
    asked = []

    def query(x):
        asked.append(x.copy())
        return np.eye(2)[(x > 0.5).astype(int)]

    x = np.array([0.2, 0.9, 0.7, 0.1])
    assert evaluation.utility(query, x, np.array([0, 1, 0, 0])) == 0.75
    (seen,) = asked
    assert np.array_equal(seen, x)


# --- calibration ------------------------------------------------------------------------------


def slow_ece(p: np.ndarray, y: np.ndarray, bins: int) -> float:
    """Guo et al.'s equation 3, bin by bin and row by row."""
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [i for i in range(len(y)) if low < max(p[i]) <= high]
        if inside:
            hit = sum(int(np.argmax(p[i]) == y[i]) for i in inside) / len(inside)
            sure = sum(max(p[i]) for i in inside) / len(inside)
            total += len(inside) / len(y) * abs(hit - sure)
    return total


@given(answered(), st.integers(1, 30))
def test_calibration_error_is_the_slow_loops(case, bins):
    p, y = case
    measured = expected_calibration_error(p, y, bins)
    assert measured == pytest.approx(slow_ece(p, y, bins), abs=1e-9)
    assert 0 <= measured <= 1


@pytest.mark.parametrize("bins", [10, 15, 49, 100])
def test_every_edge_belongs_to_the_bin_below_it(bins):
    for b in range((bins + 1) // 2, bins + 1):
        edge = b / bins
        # A sure and wrong neighbour in the bin above must not be averaged with the edge.
        above = min(1.0, edge + 0.5 / bins)
        p = np.array([[edge, 1 - edge], [above, 1 - above]])
        y = np.array([0, 1])
        assert expected_calibration_error(p, y, bins) == pytest.approx(slow_ece(p, y, bins))


def test_calibration_in_closed_form():
    sure = np.array([[1.0, 0.0]] * 4)
    assert expected_calibration_error(sure, np.array([0, 0, 0, 0])) == 0
    assert expected_calibration_error(sure, np.array([0, 0, 0, 1])) == pytest.approx(0.25)
    assert expected_calibration_error(sure, np.array([1, 1, 1, 1])) == 1


def test_a_calibrated_victim_scores_near_zero_and_a_boaster_does_not():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5), 20_000)
    y = np.array([rng.choice(5, p=row) for row in p])
    assert expected_calibration_error(p, y) < 0.02
    sharpened = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert expected_calibration_error(sharpened, y) > 0.15


@pytest.mark.parametrize("y", [np.zeros(4, int), np.zeros(1, int), np.zeros((3, 1), int)])
def test_calibration_wants_one_label_a_row(y):
    with pytest.raises(ValueError, match="shape"):
        expected_calibration_error(np.full((3, 2), 0.5), y)


def test_calibration_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="shape"):
        expected_calibration_error(np.zeros((0, 2)), np.zeros(0, int))


# --- intervals --------------------------------------------------------------------------------


def test_the_interval_agrees_with_an_independent_bootstrap():
    values = np.random.default_rng(3).gamma(2.0, size=25)
    draws = np.random.default_rng(1).choice(values, (40_000, 25)).mean(axis=1)
    interval = bootstrap_interval(values)
    assert interval.mean == pytest.approx(values.mean())
    assert (interval.low, interval.high) == pytest.approx(
        np.percentile(draws, [2.5, 97.5]), abs=0.02
    )


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
def test_the_interval_of_many_values_is_the_normal_one(confidence):
    values = np.random.default_rng(0).normal(0.7, 0.05, 400)
    interval = bootstrap_interval(values, confidence=confidence)
    half = stats.norm.ppf(0.5 + confidence / 2) * values.std() / np.sqrt(400)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.05 * half + 1e-4)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.05 * half + 1e-4)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        interval = bootstrap_interval(rng.normal(0.5, 0.1, 30), resamples=499, confidence=0.9)
        hits += interval.low <= 0.5 <= interval.high
    # Binomial(200, .9) has a standard deviation of .021; a percentile bootstrap is a bit narrow.
    assert 0.80 <= hits / 200 <= 0.96


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_the_interval_lies_within_the_values_around_the_mean(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = bootstrap_interval(values, resamples=200)
    slack = 1e-12
    assert min(values) - slack <= interval.low <= interval.high <= max(values) + slack
    assert interval.n == len(values)
    assert interval == bootstrap_interval(values, resamples=200)  # same seed, same interval


def test_one_run_has_no_spread_to_show():
    assert bootstrap_interval([0.7]) == Interval(0.7, -np.inf, np.inf, 1)


def test_equal_runs_have_an_interval_of_no_width():
    assert bootstrap_interval([0.5] * 4) == Interval(0.5, 0.5, 0.5, 4)


def test_generators_are_values_too():
    assert bootstrap_interval(v / 10 for v in range(5)).mean == pytest.approx(0.2)


@pytest.mark.parametrize("values", [[], [0.1, np.nan], [np.inf, 0.1]])
def test_intervals_need_finite_values(values):
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval(values)


def test_an_interval_reads_as_mean_and_bounds():
    assert str(Interval(0.12345, 0.1, 0.15, 5)) == "0.123 [0.100, 0.150]"
