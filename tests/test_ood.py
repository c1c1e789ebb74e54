"""Scores, AUROC and threshold, against scikit-learn, SciPy and plain counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import combine_pvalues
from sklearn.covariance import EmpiricalCovariance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from trickster import ood, pools
from trickster.scenario import Scenario

finite = st.floats(-50, 50, width=32)


@given(arrays(np.float64, (7, 4), elements=finite))
@settings(max_examples=25, deadline=None)
def test_energy_is_logsumexp(logits):
    np.testing.assert_allclose(ood.score_energy(logits), logsumexp(logits, axis=1), atol=1e-9)


def test_energy_of_large_logits_is_finite():
    assert np.isfinite(ood.score_energy(np.array([[1e4, 0.0], [-1e4, -1e4]]))).all()


@pytest.mark.parametrize("k", [1, 3, 20])
def test_knn_is_scikit_learns(k):
    rng = np.random.default_rng(k)
    features, bank = rng.normal(size=(50, 8)), rng.normal(size=(200, 8))
    distance, _ = NearestNeighbors(n_neighbors=k, metric="cosine").fit(bank).kneighbors(features)
    got = ood.score_knn(features, bank, k, batch_size=16)
    np.testing.assert_allclose(got, 1 - distance[:, -1], atol=1e-9)


def test_knn_edges():
    bank = np.eye(3)
    assert ood.score_knn(np.empty((0, 3)), bank, 1).shape == (0,)
    assert np.isfinite(ood.score_knn(np.zeros((1, 3)), bank, 1)).all()
    for k in (0, 4):
        with pytest.raises(ValueError, match="bank's 3 rows"):
            ood.score_knn(bank, bank, k)


@given(
    arrays(np.float64, 20, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    arrays(np.float64, 9, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
)
@settings(max_examples=25, deadline=None)
def test_auroc_is_scikit_learns(normal, weird):
    truth = np.r_[np.ones(20), np.zeros(9)]
    assert ood.auroc(normal, weird) == pytest.approx(roc_auc_score(truth, np.r_[normal, weird]))


def test_auroc_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        ood.auroc(np.array([]), np.ones(3))


@given(
    arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.1, 0.2, 0.7, 0.9, 1.5])),
    st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_threshold_flags_at_most_its_share_and_no_higher_one_does(scores, rate):
    line = ood.choose_threshold(scores, rate)
    assert np.mean(scores < line) <= rate + 1e-9
    for higher in [s for s in np.unique(scores) if s > line]:
        assert np.mean(scores < higher) > rate


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_threshold_refuses_what_is_no_share(rate):
    with pytest.raises(ValueError, match="share from 0 to 1"):
        ood.choose_threshold(np.ones(3), rate)


@pytest.mark.parametrize("scores", [[], [np.nan, 1.0]])
def test_threshold_needs_scores(scores):
    with pytest.raises(ValueError, match="finite honest scores"):
        ood.choose_threshold(np.array(scores), 0.1)


# --- scores that learn what is normal ---------------------------------------------------------


def correlated(n, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * 10.0 ** np.arange(d)


@given(st.integers(0, 1_000), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_mahalanobis_is_scipy_s_distance_to_the_nearest_class(seed, d, classes):
    bank, rows = correlated(80, d, seed), correlated(9, d, seed + 1)
    labels = np.arange(80) % classes + 3
    means = np.stack([bank[labels == c].mean(axis=0) for c in np.unique(labels)])
    covariance = np.cov((bank - means[labels - 3]).T, bias=True).reshape(d, d)
    inverse = np.linalg.inv(covariance)
    expected = -(cdist(rows, means, "mahalanobis", VI=inverse).min(axis=1) ** 2)
    got = ood.Mahalanobis.fit(bank, labels, ridge=0)(rows)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_mahalanobis_without_labels_is_scikit_learns_and_dead_features_do_no_harm():
    bank, rows = correlated(200, 4, 0), correlated(20, 4, 1)
    expected = -EmpiricalCovariance().fit(bank).mahalanobis(rows)
    np.testing.assert_allclose(ood.Mahalanobis.fit(bank, ridge=0)(rows), expected, rtol=1e-6)

    def with_dead_and_double(x):
        return np.column_stack([x, np.zeros(len(x)), x[:, 0]]).astype(np.float32)

    got = ood.Mahalanobis.fit(with_dead_and_double(bank))(with_dead_and_double(rows))
    np.testing.assert_allclose(got, expected, rtol=1e-2)
    with pytest.raises(ValueError, match="one label a row"):
        ood.Mahalanobis.fit(bank, np.zeros(3))


@given(
    arrays(np.float64, (12, 3), elements=st.floats(0, 4)),
    arrays(np.float64, (5, 3), elements=st.floats(0, 8)),
)
@settings(max_examples=50, deadline=None)
def test_gram_deviation_is_the_formula_of_the_paper(bank, rows):
    expected = np.zeros(len(rows))
    for i, row in enumerate(rows):
        for value, low, high in zip(row, bank.min(axis=0), bank.max(axis=0), strict=True):
            if value < low:
                expected[i] -= (low - value) / max(low, 1e-6)
            elif value > high:
                expected[i] -= (value - high) / max(high, 1e-6)
    np.testing.assert_allclose(ood.GramDeviation.fit(bank, outside=0)(rows), expected, rtol=1e-9)


def test_gram_deviation_leaves_out_the_share_that_it_is_told():
    bank = np.arange(1_001.0)[:, None]
    fitted = ood.GramDeviation.fit(bank, outside=0.1)
    assert (fitted.low, fitted.high) == (50, 950)
    np.testing.assert_allclose(fitted(np.array([[40.0], [500.0], [1_900.0]])), [-0.2, 0, -1])
    with pytest.raises(ValueError, match="share from 0 to below 1"):
        ood.GramDeviation.fit(bank, outside=1)


def test_outlier_exposure_is_the_log_odds_of_the_classifier():
    rng = np.random.default_rng(0)
    honest, outliers = rng.normal(0, 1, (300, 3)), rng.normal(1, 2, (200, 3)) * [1, 10, 100]
    fitted = ood.OutlierExposure.fit(honest, outliers, LogisticRegression())
    both = np.concatenate([honest, outliers])
    mean, deviation = both.mean(axis=0), both.std(axis=0)
    model = LogisticRegression().fit((both - mean) / deviation, np.arange(500) < 300)
    p = model.predict_proba((outliers[:9] - mean) / deviation)[:, 1]
    np.testing.assert_allclose(fitted(outliers[:9]), np.log(p / (1 - p)), atol=1e-6)


def test_outlier_exposure_by_boosting_is_as_good_as_the_densities_allow_and_repeats_itself():
    rng = np.random.default_rng(0)

    def draw(n):
        return rng.normal(0, 1, (n, 2)), rng.normal(0, 3, (n, 2))

    def ratio(rows):  # the log odds of two known normal densities, up to a constant
        return -(rows**2).sum(axis=1) * (1 - 1 / 9) / 2

    honest, outliers = draw(3_000)
    first, again = (ood.OutlierExposure.fit(honest, outliers, seed=1) for _ in range(2))
    normal, weird = draw(2_000)
    np.testing.assert_array_equal(first(weird), again(weird))
    best = ood.auroc(ratio(normal), ratio(weird))
    assert best - 0.02 < ood.auroc(first(normal), first(weird)) < best + 0.01


@given(
    arrays(np.float64, (19, 3), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    arrays(np.float64, (6, 3), elements=st.sampled_from([-1.0, 0.0, 0.5, 0.7, 2.0])),
)
@settings(max_examples=50, deadline=None)
def test_ranks_are_fisher_s_combination_of_p_values(honest, scores):
    p = np.array([[(1 + (honest[:, j] <= row[j]).sum()) / 20 for j in range(3)] for row in scores])
    fisher = [combine_pvalues(row, method="fisher").statistic for row in p]
    np.testing.assert_allclose(ood.Ranks.fit(honest)(scores), np.array(fisher) / -2, atol=1e-12)


def test_ranks_do_not_care_for_units_and_need_honest_scores():
    rng = np.random.default_rng(0)
    honest, scores = rng.normal(size=(50, 2)), rng.normal(size=(9, 2))
    got = ood.Ranks.fit(np.column_stack([np.exp(honest[:, 0]), 1e6 * honest[:, 1]]))(
        np.column_stack([np.exp(scores[:, 0]), 1e6 * scores[:, 1]])
    )
    np.testing.assert_array_equal(got, ood.Ranks.fit(honest)(scores))
    for none in (np.empty((0, 2)), np.full((3, 2), np.nan)):
        with pytest.raises(ValueError, match="finite honest scores"):
            ood.Ranks.fit(none)


def test_scores_by_layer_stand_side_by_side():
    rows = {"conv1": np.eye(3), "features": np.arange(6).reshape(3, 2), "unused": None}
    scores = ood.ByLayer({"features": lambda r: r[:, 0], "conv1": lambda r: r.sum(axis=1)})(rows)
    np.testing.assert_array_equal(scores, [[0, 1], [2, 1], [4, 1]])


def test_weird_inputs_are_told_apart_as_the_course_says():
    """The order of the three scores on real features: confidence, energy, neighbours."""
    scenario = Scenario("fashion")
    victim, x = scenario.victim, scenario.data.x_test[2_500:3_500]
    shapes = scenario.pool("shapes", 800, seed=3)
    bank = victim.features(scenario.data.x_train)
    pairs = {
        "msp": [ood.score_msp(victim.posteriors(z)) for z in (x, shapes)],
        "energy": [ood.score_energy(victim.logits(z)) for z in (x, shapes)],
        "knn": [ood.score_knn(victim.features(z), bank, 1) for z in (x, shapes)],
    }
    auroc = {name: ood.auroc(*pair) for name, pair in pairs.items()}
    assert auroc["knn"] > 0.94 and auroc["msp"] < 0.86
    assert auroc["msp"] < auroc["energy"] < auroc["knn"]


@pytest.mark.slow
def test_what_the_layers_know_and_the_features_have_forgotten():
    """Share of shapes below the threshold for 2 % of honest pictures: each recipe in its place."""
    scenario = Scenario("fashion")
    victim, train = scenario.victim, scenario.data.x_train[:4_000]
    labels = scenario.data.y_train[:4_000]
    own, honest = scenario.data.x_test[:2_000], scenario.data.x_test[2_500:4_000]
    pictures = {
        "bank": train,
        "outliers": pools.outliers(train, 4_000, seed=0),
        "own": own,
        "honest": honest,
        "shapes": scenario.pool("shapes", 800, seed=3),
    }
    statistics = {name: victim.statistics(x) for name, x in pictures.items()}
    rows = {name: np.concatenate(list(s.values()), axis=1) for name, s in statistics.items()}
    layers = ood.ByLayer(
        {
            name: ood.Mahalanobis.fit(statistics["bank"][name], labels)
            for name in ("conv1", "features")
        }
    )
    exposed = ood.OutlierExposure.fit(rows["bank"], rows["outliers"])
    ranks = ood.Ranks.fit(np.column_stack([layers(statistics["own"]), exposed(rows["own"])]))

    def columns(name):
        first, last = layers(statistics[name]).T
        combined = ranks(np.column_stack([first, last, exposed(rows[name])]))
        return {"first": first, "last": last, "exposed": exposed(rows[name]), "ranks": combined}

    scores = {name: columns(name) for name in ("own", "honest", "shapes")}
    lines = {how: ood.choose_threshold(found, 0.02) for how, found in scores["own"].items()}
    weird = {
        name: {how: np.mean(scores[name][how] < line) for how, line in lines.items()}
        for name in ("honest", "shapes")
    }
    assert max(weird["honest"].values()) < 0.04
    assert weird["shapes"]["last"] < 0.3 < 0.65 < weird["shapes"]["first"]
    assert weird["shapes"]["exposed"] > 0.75 and weird["shapes"]["ranks"] > 0.75
