"""The panel's thieves: when they ask, what refusals cost them, and what their clones train on."""

from __future__ import annotations

import numpy as np
import pytest

from trickster.api import RateLimited
from trickster.checks import fixtures, panel
from trickster.checks.panel import DAY, Account, InRequests, Pool
from trickster.limiters import SlidingWindow

POOL = Pool("shapes", 90, 1, 0)


@pytest.fixture
def asked():
    """The pictures of a small pool, with the victim's answers."""
    return POOL.answered()


class Watched:
    """A defence that changes nothing, notes who asks when, and may have a limiter."""

    def __init__(self, limiter=None):
        self.limiter, self.log = limiter, []

    def __call__(self, posteriors, query):
        self.log.append((query.key, query.now, len(query.x)))
        if self.limiter and not self.limiter.allow(query.key, query.now, len(query.x)):
            raise RateLimited(query.key, len(query.x), 1.0)
        query.x[:] = 0  # the caller's pictures are not the defence's to spoil
        return posteriors


def test_requests_of_a_day_come_a_minute_apart_and_the_next_day_begins_later(asked):
    service = Watched()
    account = Account(service, asked, "ann", day=2)
    for i in range(7):
        np.testing.assert_array_equal(
            account.query(asked.x[i : i + 2]), asked.posteriors[i : i + 2]
        )
    times = [now for _, now, _ in service.log]
    assert np.diff(times[:5]).tolist() == [60.0] * 4 and times[6] - times[5] == 60.0
    assert times[0] >= 2 * DAY and times[5] - times[0] > DAY  # never 6 in 24 hours
    assert times[5] - times[4] > 0 and times[5] - times[1] > DAY


def test_answers_are_found_by_picture_in_any_order(asked):
    order = np.random.default_rng(0).permutation(len(asked.x))
    got = Account(Watched(), asked, "ann").query(asked.x[order])
    np.testing.assert_array_equal(got, asked.posteriors[order])
    np.testing.assert_array_equal(asked.find(asked.x[order]).features, asked.features[order])
    with pytest.raises(KeyError):
        asked.find(asked.x[:1] / 2)


def test_a_refused_request_is_lost_and_the_next_one_is_sent(asked):
    service = Watched(SlidingWindow(70, DAY))
    got = InRequests(Account(service, asked, "ann"), 40).query(asked.x)
    assert [n for _, _, n in service.log] == [40, 40, 10]
    assert np.isnan(got[40:80]).all()
    kept = np.r_[0:40, 80:90]
    np.testing.assert_array_equal(got[kept], asked.posteriors[kept])
    trained_on = panel.training_set(asked.x, got, "hard", 3)
    np.testing.assert_array_equal(trained_on.x, asked.x[kept])
    assert trained_on.answers.dtype == np.float32 and trained_on.seed == 3


def test_each_thief_trains_on_what_it_got(asked):
    rng = np.random.default_rng(0)

    def noisy(posteriors, query):
        return rng.dirichlet(np.ones(10), len(posteriors))

    sets = panel.training_sets(noisy, POOL, request=30, accounts=2)
    assert list(sets) == ["soft", "hard", "averaging", "Sybil"]
    assert [one.labels for one in sets.values()] == ["soft", "hard", "soft", "soft"]
    assert sets["soft"].answers is not sets["hard"].answers
    np.testing.assert_array_equal(sets["soft"].answers, sets["hard"].answers)
    assert len(sets["averaging"].x) == 30 and len(sets["Sybil"].x) == 90
    # The mean of three draws varies less than one draw.
    assert sets["averaging"].answers.std() < 0.7 * sets["soft"].answers.std()


def test_many_accounts_with_the_answers_of_one_train_the_same_clone(asked):
    service = Watched()
    sets = panel.training_sets(service, POOL, request=30, accounts=3)
    assert sets["Sybil"] is sets["soft"]
    keys = [key for key, _, _ in service.log]
    assert keys == ["patient"] * 3 + ["averager"] * 3 + ["Sybil 0", "Sybil 1", "Sybil 2"]
    assert "Sybil" not in panel.training_sets(service, POOL, request=30)
    assert list(panel.training_sets(service, POOL, request=30, repeats=1)) == ["soft", "hard"]


def test_accounts_get_around_what_is_limited_by_account(asked):
    sets = panel.training_sets(Watched(SlidingWindow(30, DAY)), POOL, request=30, accounts=3)
    assert len(sets["soft"].x) == 30 and len(sets["Sybil"].x) == 90


def test_what_is_refused_once_is_missing_from_the_averager_s_means():
    limiter = SlidingWindow(30, 100 * DAY)  # enough for one of three passes
    sets = panel.training_sets(Watched(limiter), POOL, request=30)
    assert len(sets["averaging"].x) == 0
    assert "averaging" not in panel.train([{"averaging": sets["averaging"]}])[0]


def test_a_defence_cannot_spoil_the_pool(asked):
    before = asked.x.copy()
    panel.training_sets(Watched(), POOL, request=30)
    np.testing.assert_array_equal(fixtures.answered(*POOL[:3]).x, before)
