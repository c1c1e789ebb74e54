"""Output defences: distributions in, distributions out, row by row."""

import doctest
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from trickster import defenses, ood
from trickster.api import DefenseError, PredictionAPI, Query

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
    got = defenses.reverse_sigmoid(p, beta, gamma)
    leading = p.max(axis=1) > 0.55
    np.testing.assert_array_equal(got.argmax(axis=1)[leading], p.argmax(axis=1)[leading])


def test_reverse_sigmoid_refuses_negative_strengths_and_bears_certainty():
    sure = np.eye(3, dtype=np.float32)
    got = defenses.reverse_sigmoid(sure, 1.0, 0.1)
    assert np.isfinite(got).all() and got.dtype == np.float32
    with pytest.raises(ValueError, match="negative"):
        defenses.reverse_sigmoid(sure, beta=-1)


@given(weights, st.floats(0.1, 0.95), st.floats(1, 100))
@settings(max_examples=50, deadline=None)
def test_adaptive_misinformation_is_the_formula_of_the_paper(w, tau, nu):
    p = normalised(w)
    lies = np.roll(p, 1, axis=1)
    got = defenses.adaptive_misinformation(p, lies, tau, nu)
    for row, lie, answer in zip(p, lies, got, strict=True):
        a = 1 / (1 + np.exp(nu * (max(row) - tau)))
        np.testing.assert_allclose(answer, (1 - a) * row + a * lie, atol=1e-9)


def test_adaptive_misinformation_is_sharp_and_does_not_overflow():
    p = np.array([[0.9, 0.1], [0.55, 0.45]], dtype=np.float32)
    lies = p[:, ::-1].copy()
    got = defenses.adaptive_misinformation(p, lies, tau=0.7, nu=1e6)
    np.testing.assert_allclose(got, [p[0], lies[1]], atol=1e-7)
    with pytest.raises(ValueError, match="cannot be mixed"):
        defenses.adaptive_misinformation(p, lies[:1], 0.5)


# --- keyed lies ---------------------------------------------------------------------

KEY, OTHER_KEY = bytes(range(16)), bytes(range(1, 17))
DIMENSIONS = 6


def ask(n, seed=0):
    """A query of ``n`` random pictures with random features."""
    rng = np.random.default_rng(seed)
    return Query(rng.random((n, 1, 3, 3), dtype=np.float32), rng.normal(size=(n, DIMENSIONS)),
                 "anyone", 0.0)  # fmt: skip


def rows_of(query, index):
    return replace(query, x=query.x[index], features=query.features[index])


def cells(key=KEY, planes=3):
    return defenses.CellLie.fit(key, ask(400, seed=9).features, planes)


KEYED = {"picture": defenses.PictureLie, "cell": cells}


@pytest.mark.parametrize("name", KEYED)
@given(weights)
@settings(max_examples=25, deadline=None)
def test_a_keyed_lie_moves_every_probability_to_another_class(name, w):
    p = normalised(w)
    query, lie = ask(len(p)), KEYED[name](KEY)
    got = lie(p, query)
    np.testing.assert_array_equal(np.sort(got, axis=1), np.sort(p, axis=1))
    clear = np.sort(p, axis=1)[:, -1] > np.sort(p, axis=1)[:, -2]
    assert (got[clear].argmax(axis=1) != p[clear].argmax(axis=1)).all()
    alone = [lie(p[i : i + 1], rows_of(query, slice(i, i + 1))) for i in range(len(p))]
    np.testing.assert_array_equal(got, np.concatenate(alone))


@pytest.mark.parametrize("name", KEYED)
def test_the_key_decides_the_lie_and_nothing_else_does(name):
    p, query = np.random.default_rng(0).dirichlet(np.ones(10), 200), ask(200)
    first = KEYED[name](KEY)(p, query)
    np.testing.assert_array_equal(first, KEYED[name](KEY)(p, query))
    later = replace(query, key="somebody else", now=99.0)
    np.testing.assert_array_equal(first, KEYED[name](KEY)(p, later))
    other = KEYED[name](OTHER_KEY)(p, query)
    # Two secret permutations without fixed points agree on about a ninth of the classes.
    assert np.mean(first.argmax(axis=1) == other.argmax(axis=1)) < 0.25


@pytest.mark.parametrize("name", KEYED)
def test_keys_that_can_be_guessed_are_refused_and_kept_out_of_sight(name):
    with pytest.raises(ValueError, match="8 bytes can be guessed"):
        KEYED[name](b"password")
    assert repr(KEY)[2:-1] not in repr(KEYED[name](KEY))


def test_each_picture_s_lie_is_drawn_evenly_from_all_that_move_every_class():
    n = 9_000
    p = np.tile([0.5, 0.3, 0.15, 0.05], (n, 1))
    lies = defenses.PictureLie(KEY)(p, ask(n))
    kinds, counts = np.unique(lies, axis=0, return_counts=True)
    assert len(kinds) == 9  # derangements of four: 4! (1/2 - 1/6 + 1/24)
    assert chisquare(counts).pvalue > 1e-3


def test_a_cell_is_the_sides_of_the_hyperplanes_and_has_one_lie():
    lie, query = cells(planes=3), ask(500)
    p = np.tile(np.linspace(0.19, 0.01, 10), (500, 1))
    got = lie(p, query)
    seen = {}
    for feature, answer in zip(query.features, got, strict=True):
        side = tuple(np.dot(feature, lie.normals[:, j]) > lie.offsets[j] for j in range(3))
        seen.setdefault(side, set()).add(answer.tobytes())
    assert len(seen) == 8 and all(len(answers) == 1 for answers in seen.values())
    assert len(set().union(*seen.values())) == 8
    fitted_to = ask(400, seed=9).features @ lie.normals
    np.testing.assert_array_equal((fitted_to > lie.offsets).mean(axis=0), 0.5)
    assert len(np.unique(cells(planes=0)(p, query), axis=0)) == 1


def test_copies_that_are_changed_a_little_share_a_cell_and_not_a_hash():
    rng = np.random.default_rng(0)
    p, query = np.tile(rng.dirichlet(np.ones(5)), (300, 1)), ask(300)
    # The same picture, and the same features, up to a little.
    near = replace(
        query,
        x=query.x[:1] + rng.uniform(0, 1e-4, query.x.shape).astype(np.float32),
        features=query.features[:1] + rng.normal(0, 1e-4, query.features.shape),
    )
    assert len(np.unique(cells()(p, near), axis=0)) == 1
    lies = defenses.PictureLie(KEY)(p, near)
    assert len(np.unique(lies, axis=0)) > 30
    # ... so that many copies tell what the one answer hides.
    never_on_top = np.bincount(lies.argmax(axis=1), minlength=5).argmin()
    assert never_on_top == p[0].argmax()


def test_there_must_be_something_to_lie_about():
    with pytest.raises(ValueError, match="one class"):
        defenses.PictureLie(KEY)(np.ones((2, 1)), ask(2))
    assert cells()(np.empty((0, 4)), ask(0)).shape == (0, 4)


# --- the trickster ------------------------------------------------------------------


class Victim:
    """Its features are a picture's first two pixels; it is sure of class 0."""

    def features_and_posteriors(self, x):
        return x.reshape(len(x), -1)[:, :2], np.tile([[0.7, 0.2, 0.1]], (len(x), 1))


def pictures(n):
    return np.random.default_rng(0).random((n, 1, 2, 2)).astype(np.float32)


@pytest.fixture
def trickster():
    """Knows the features on the diagonal, and honest inputs close to it."""
    bank = np.tile(np.linspace(0.1, 1, 20)[:, None], 2)
    return defenses.Trickster.from_features(bank, bank + np.array([0, 0.01]), max_fpr=0.0)


def test_the_trickster_is_a_defence_of_the_api(trickster):
    x = np.zeros((2, 1, 2, 2), np.float32)
    x[0, 0, 0], x[1, 0, 0] = [0.5, 0.5], [1.0, 0.0]  # on the diagonal, and far from it
    answers = PredictionAPI(Victim(), (1, 2, 2), defenses=[trickster]).query(x)
    np.testing.assert_array_equal(answers, [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])


def test_the_trickster_judges_each_input_by_itself_and_repeats_itself(trickster):
    x, api = pictures(40), PredictionAPI(Victim(), (1, 2, 2), defenses=[trickster])
    together = api.query(x)
    misled = together.argmax(axis=1) != 0
    assert 0 < misled.sum() < 40
    np.testing.assert_array_equal(api.query(x[::-1])[::-1], together)
    np.testing.assert_array_equal(np.concatenate([api.query(one[None]) for one in x]), together)


def test_the_trickster_s_score_threshold_and_lie_decide(trickster):
    x = pictures(40)
    features, p = Victim().features_and_posteriors(x)
    query = Query(x, features, "anyone", 0.0)
    scores = trickster.score(p, query)
    np.testing.assert_array_equal(trickster.weird(p, query), scores < trickster.threshold)
    assert not replace(trickster, threshold=-np.inf).weird(p, query).any()
    everybody = replace(trickster, threshold=np.inf, lie=lambda p: np.roll(p, 1, axis=1))
    np.testing.assert_array_equal(everybody(p, query), np.roll(p, 1, axis=1))
    confident = defenses.Trickster(lambda p, query: ood.score_msp(p), 0.9)
    assert confident.weird(p, query).all()


@pytest.mark.parametrize("lie", [defenses.PictureLie(KEY), defenses.CellLie.fit(
    KEY, np.random.default_rng(0).random((50, 2)), planes=2)])  # fmt: skip
def test_the_trickster_tells_keyed_lies(trickster, lie):
    x = pictures(40)
    features, p = Victim().features_and_posteriors(x)
    query = Query(x, features, "anyone", 0.0)
    answers = PredictionAPI(Victim(), (1, 2, 2), defenses=[replace(trickster, lie=lie)]).query(x)
    weird = trickster.weird(p, query)
    assert 0 < weird.sum() < 40
    np.testing.assert_array_equal(answers[weird], lie(p, query)[weird])
    np.testing.assert_array_equal(answers[~weird], p[~weird])


def test_the_trickster_s_threshold_spares_honest_inputs():
    rng = np.random.default_rng(1)
    bank, honest = rng.random((50, 3)), rng.random((400, 3))
    made = defenses.Trickster.from_features(bank, honest, max_fpr=0.05, k=3)
    query = Query(np.empty((400, 1, 2, 2)), honest, "anyone", 0.0)
    assert made.weird(np.full((400, 3), 1 / 3), query).mean() == 0.05


def test_a_score_of_another_shape_is_refused():
    whole_batch = defenses.Trickster(lambda p, query: p.max(), 0.5)
    api = PredictionAPI(Victim(), (1, 2, 2), defenses=[whole_batch])
    with pytest.raises(ValueError, match="one number for each of the 4 inputs"):
        api.query(pictures(4))
    liar = defenses.Trickster(lambda p, query: p.max(axis=1), 1.0, lie=lambda p: -p)
    with pytest.raises(DefenseError, match="Trickster"):
        PredictionAPI(Victim(), (1, 2, 2), defenses=[liar]).query(pictures(4))


def test_the_examples_in_the_docstrings_run():
    found = doctest.testmod(defenses)
    assert found.attempted >= 6 and found.failed == 0
