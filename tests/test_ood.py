"""Scores, AUROC and threshold, against scikit-learn, SciPy and plain counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from trickster import ood

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


def test_weird_inputs_are_told_apart_as_the_course_says():
    """The order of the three scores on real features: confidence, energy, neighbours."""
    from trickster.scenario import Scenario

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
