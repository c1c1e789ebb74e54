"""Demo B over many seeds against what was measured before, and its parts by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from trickster import demos
from trickster.demos import MECHANISMS, DemoB

SEEDS = range(20)


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, ...], dict[str, np.ndarray]]:
    """Every measure over all seeds: undefended, fully defended, and one mechanism at a time."""
    conditions = [(), MECHANISMS, *((name,) for name in MECHANISMS)]
    measured = {}
    for defenses in conditions:
        results = [DemoB(defenses).run(seed) for seed in SEEDS]
        measured[defenses] = {key: np.array([r[key] for r in results]) for key in results[0]}
    return measured


def mean(runs, *defenses: str, what: str = "clone_accuracy") -> float:
    return float(runs[defenses][what].mean())


@pytest.mark.slow
# Measured means over 20 to 30 seeds, with a margin of about two standard errors each way.
@pytest.mark.parametrize(
    "defenses, low, high",
    [
        ((), 0.38, 0.51),
        (("rate limit",), 0.32, 0.43),
        (MECHANISMS, 0.20, 0.33),
        (("noise",), 0.16, 0.27),
        (("rounding",), 0.43, 0.56),
        (("hard labels",), 0.38, 0.54),
    ],
    ids=lambda value: "+".join(value) or "undefended" if isinstance(value, tuple) else None,
)
def test_clone_accuracy_is_of_the_measured_magnitude(runs, defenses, low, high):
    assert low < mean(runs, *defenses) < high


@pytest.mark.slow
def test_one_seed_says_little(runs):
    accuracy = runs[()]["clone_accuracy"]
    assert 0.04 < accuracy.std(ddof=1) < 0.12
    assert accuracy.max() - accuracy.min() > 0.15


@pytest.mark.slow
def test_noise_alone_beats_the_full_stack(runs):
    assert mean(runs, "noise") < mean(runs, *MECHANISMS)


@pytest.mark.slow
def test_hard_labels_change_nothing_for_a_thief_who_uses_labels(runs):
    assert np.array_equal(runs[("hard labels",)]["fidelity"], runs[()]["fidelity"])


@pytest.mark.slow
def test_the_rate_limit_serves_about_182_of_300(runs):
    assert mean(runs, "rate limit", what="query_success") == pytest.approx(0.6, abs=0.02)
    assert mean(runs, what="query_success") == 1


@pytest.mark.slow
def test_honest_users_pay(runs):
    assert mean(runs, what="honest_accuracy") == pytest.approx(0.974, abs=0.006)
    assert mean(runs, *MECHANISMS, what="honest_accuracy") == pytest.approx(0.927, abs=0.015)


def test_a_run_repeats_itself_and_another_seed_does_not():
    assert DemoB().run(3) == DemoB().run(3)
    assert DemoB().run(3) != DemoB().run(4)


def test_an_unknown_mechanism_is_refused():
    with pytest.raises(ValueError, match="captcha"):
        DemoB(("noise", "captcha"))


def test_the_victim_is_the_published_one():
    forest, x, y = demos.demo_b_victim()
    assert (forest.n_estimators, x.shape) == (50, (540, 64))
    assert np.mean(forest.predict(x) == y) == pytest.approx(0.974, abs=0.006)


def test_the_first_150_queries_are_always_served():
    served = DemoB(("rate limit",))._served(10_000, np.random.default_rng(0))
    assert served[:150].all()
    assert served[150:].mean() == pytest.approx(0.2, abs=0.015)


# --- the thief whom the original left out -----------------------------------------------------


@pytest.mark.slow
def test_accounts_pass_the_rate_limit_and_repeated_questions_see_through_the_noise(runs):
    asked_once = [DemoB(accounts=2).run(seed) for seed in SEEDS]
    majority = [DemoB(accounts=30, repeats=15).run(seed) for seed in SEEDS]
    assert all(one["query_success"] == 1 for one in asked_once + majority)
    once, often = (np.mean([one["clone_accuracy"] for one in r]) for r in (asked_once, majority))
    assert mean(runs, *MECHANISMS) < once < often
    assert often == pytest.approx(mean(runs), abs=0.05)  # as if there were no defence


def test_accounts_share_the_queries_evenly():
    limited = DemoB(("rate limit",), accounts=3)
    served = limited._served(3_000, np.random.default_rng(0)).reshape(-1, 3)
    assert served[:150].all()
    assert served[150:].mean(axis=0) == pytest.approx(np.full(3, 0.2), abs=0.05)


def test_real_pictures_matter_more_than_all_defences():
    for defenses in ((), MECHANISMS):
        stolen = [DemoB(defenses, real_pictures=True).run(s)["clone_accuracy"] for s in SEEDS[:5]]
        assert np.mean(stolen) > 0.85


# --- the mechanisms, each by itself -----------------------------------------------------------


@pytest.fixture(scope="module")
def posteriors() -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(10, 0.3), 20_000)


@pytest.mark.parametrize(
    "defenses", [(), MECHANISMS, *((name, "renormalising") for name in MECHANISMS[:-1])]
)
def test_answers_stay_distributions(posteriors, defenses):
    p = DemoB(defenses)._defended(posteriors, np.random.default_rng(1))
    assert p.min() >= 0
    assert np.allclose(p.sum(axis=1), 1)


def test_without_a_defence_answers_pass_unchanged(posteriors):
    assert np.allclose(DemoB(())._defended(posteriors, np.random.default_rng(1)), posteriors)


def test_rounding_keeps_tenths(posteriors):
    p = DemoB(("rounding", "renormalising"))._defended(posteriors, np.random.default_rng(1))
    expected = posteriors.round(1)
    assert np.allclose(p, expected / expected.sum(axis=1, keepdims=True))


def test_rounding_everything_to_zero_leaves_a_uniform_answer():
    flat = np.full((1, 30), 1 / 30)
    demo = DemoB(("rounding", "renormalising"))
    assert np.allclose(demo._defended(flat, np.random.default_rng(1)), flat)


def test_renormalising_changes_nothing_for_a_thief_who_takes_the_argmax():
    for others in ((), ("rounding",), MECHANISMS[:-1]):
        assert DemoB(others).run(5) == DemoB((*others, "renormalising")).run(5)


def test_hard_labels_leak_the_clean_argmax_four_times_in_ten(posteriors):
    p = DemoB(("noise", "hard labels"))._defended(posteriors, np.random.default_rng(1))
    onehot = p.max(axis=1) == 1
    assert onehot.mean() == pytest.approx(0.4, abs=0.015)
    assert np.array_equal(p[onehot].argmax(axis=1), posteriors[onehot].argmax(axis=1))


def test_noise_has_the_published_size():
    # Far from the clips the noise is plain N(0, .2), but for the common factor of the row.
    p = np.full((50_000, 2), 0.5)
    noisy = DemoB(("noise",))._defended(p, np.random.default_rng(2))
    x, y = np.clip(0.5 + np.random.default_rng(3).normal(0, 0.2, (2, 50_000)), 0.01, 0.99)
    assert noisy[:, 0].std() == pytest.approx((x / (x + y)).std(), rel=0.02)
    assert noisy[:, 0].mean() == pytest.approx(0.5, abs=0.005)


# --- the thief's pictures ---------------------------------------------------------------------


def test_synthetic_digits_are_uniform_pixels_with_a_disc_seven_times_in_ten():
    x = demos.synthetic_digits(4_000, np.random.default_rng(0)).reshape(-1, 8, 8)
    assert x.min() >= 0 and x.max() <= 1
    # A pixel inside a disc is U(0, 1) + U(.3, .7), clipped to 1 with probability .5. Row 3,
    # column 3 lies in the disc of every centre in 2..5 (at most 2.83 away), a corner only in
    # the disc of 1 centre in 16.
    assert np.mean(x[:, 3, 3] == 1) == pytest.approx(0.7 / 2, abs=0.03)
    assert np.mean(x[:, 0, 0] == 1) == pytest.approx(0.7 / 2 / 16, abs=0.01)
    assert np.mean(x[:, 3, 3]) == pytest.approx(0.3 * 0.5 + 0.7 * mean_brightened(), abs=0.02)


def mean_brightened() -> float:
    """E min(1, U(0, 1) + U(.3, .7)) by counting on a fine grid."""
    u = (np.arange(500) + 0.5) / 500
    return float(np.minimum(1, u[:, None] + 0.3 + 0.4 * u).mean())
