"""The panel's thieves: the pools they own, and what their clones train on."""

from __future__ import annotations

import numpy as np
import pytest

from autograder import held_back
from autograder.held_back import pools as families
from trickster.checks import draws, fixtures, panel
from trickster.checks.hidden_pool import glyphs
from trickster.checks.panel import Pool

POOL = Pool("shapes", 90, "of a test")
SECRET = b"a course's secret"


def refused(answers, rows):
    """The answers without those to some rows."""
    answers = answers.copy()
    answers[rows] = np.nan
    return answers


def test_each_thief_trains_on_what_it_got():
    asked = POOL.answered()
    means = refused(0.5 * asked.posteriors + 0.05, slice(30, None))
    sets = panel.training_sets(POOL, refused(asked.posteriors, [4, 7]), means)
    assert list(sets) == ["soft", "hard", "averaging"]
    assert [one.labels for one in sets.values()] == ["soft", "hard", "soft"]
    kept = np.setdiff1d(np.arange(90), [4, 7])
    for how in ("soft", "hard"):
        np.testing.assert_array_equal(sets[how].x, asked.x[kept])
        np.testing.assert_array_equal(sets[how].answers, asked.posteriors[kept])
    np.testing.assert_array_equal(sets["averaging"].x, asked.x[:30])
    np.testing.assert_array_equal(sets["averaging"].answers, means[:30])
    assert all(one.answers.dtype == np.float32 for one in sets.values())
    assert {one.seed for one in sets.values()} == {POOL.clone_seed}
    assert list(panel.training_sets(POOL, asked.posteriors)) == ["soft", "hard"]


def test_a_pool_and_its_clones_are_drawn_from_the_secret():
    desk = POOL.answered().x, POOL.clone_seed
    others = POOL._replace(name="of another").answered().x
    with draws.grading_with(SECRET):
        graded = POOL.answered().x, POOL.clone_seed
    assert np.abs(desk[0] - others).max() > 0.1 and np.abs(desk[0] - graded[0]).max() > 0.1
    assert desk[1] != graded[1]
    np.testing.assert_array_equal(desk[0], POOL.answered().x)


def test_thieves_pictures_come_as_honest_ones_do():
    """In 8 bits, noisy: nothing but what they show tells who sends them."""
    for kind in ("shapes", "patches", "hidden"):
        levels = Pool(kind, 40, "of a test").answered().x * 255
        assert np.allclose(levels, levels.round(), atol=1e-4)
    plain = glyphs(40, seed=draws.seed("pool", "hidden", "of a test"))
    sent = Pool("hidden", 40, "of a test").answered().x
    bright = plain > 0.5
    assert 0.01 < np.abs(sent - plain)[bright].mean() < 0.1


def test_before_and_after_are_thefts_with_the_same_pictures():
    """A defence that changes nothing takes nothing away."""
    asked = POOL.answered()
    before = panel.undefended(POOL, ("soft", "hard"))
    (after,) = panel.train([panel.training_sets(POOL, asked.posteriors)])
    for how in ("soft", "hard"):
        assert np.mean(before[how] == after[how]) > 0.99


# --- pools of grading alone -----------------------------------------------------------


def test_grading_hides_other_pictures_than_a_desk():
    hidden = Pool("hidden", 40, "0")
    with draws.grading_with(SECRET, held_back.load()):
        graded, seed = hidden.answered().x, draws.seed("pool", "hidden", "0")
    plain = families.mixture(40, seed=seed)
    assert np.abs(graded - plain).mean() < 0.05 < np.abs(graded - glyphs(40, seed=seed)).mean()


@pytest.mark.slow
def test_a_mixture_holds_every_family_in_shares_of_its_own(monkeypatch):
    drawn: dict[str, int] = {}

    def counted(name, draw):
        def count(n, rng):
            drawn[name] = n
            return draw(n, rng)

        return count

    for name, (draw, share) in families.FAMILIES.items():
        monkeypatch.setitem(families.FAMILIES, name, (counted(name, draw), share))
    shares = []
    for seed in range(3):
        x = families.mixture(2_000, seed=seed)
        assert x.shape == (2_000, 1, 28, 28) and x.dtype == np.float32
        assert x.min() >= 0 and x.max() <= 1
        assert min(drawn.values()) >= 30 and max(drawn.values()) < 1_400
        shares.append(tuple(drawn.values()))
    assert len(drawn) == 5 and len(set(shares)) == 3
    np.testing.assert_array_equal(x, families.mixture(2_000, seed=2))


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_family_s_pictures_are_various_and_black_behind(name):
    draw, _ = families.FAMILIES[name]
    x = draw(200, np.random.default_rng(0))
    assert x.shape == (200, 28, 28) and x.min() >= 0 and x.max() <= 1
    assert len(np.unique(x.reshape(200, -1), axis=0)) >= 195  # a mosaic may be all black
    assert np.mean(x < 0.02) > 0.1 and np.mean(x > 0.3) > 0.1
    other = draw(200, np.random.default_rng(1))
    assert np.abs(x - other).mean() > 0.05


def test_hidden_pictures_are_not_known_by_their_ground():
    """As much of them is black as of clothes."""

    def black(x):
        return np.mean(fixtures.as_sent(x, "of a test").reshape(len(x), -1) == 0, axis=1)

    line = np.quantile(black(fixtures.fashion().x_test[:2_500]), 0.02)
    assert np.mean(black(families.mixture(1_000, seed=3)) < line) < 0.1


@pytest.mark.thorough
@pytest.mark.slow
def test_every_family_steals_where_nothing_defends():
    with draws.grading_with(SECRET, held_back.load()):
        stolen = {}
        for name, (draw, _) in families.FAMILIES.items():
            x = draw(3_000, np.random.default_rng(draws.seed(name)))[:, None]
            _, answers = fixtures.victim().features_and_posteriors(x)
            stolen[name] = panel.attacks.TrainingSet(x, answers, "soft")
        clones = panel.attacks.train_clones(list(stolen.values()))
    labels = [clone.labels(fixtures.fashion().x_test) for clone in clones]
    fidelity = [float(np.mean(one == fixtures.victim_labels())) for one in labels]
    assert min(fidelity) > 0.55, dict(zip(stolen, fidelity, strict=True))
