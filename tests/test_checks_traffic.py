"""The traffic of a defence's check: mixed, within the terms, and told apart by nothing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from drawn import MANY

from trickster import limiters
from trickster.api import RateLimited
from trickster.checks import defense_cases, draws, fixtures, service_traffic, traffic
from trickster.checks.fixtures import Answered
from trickster.checks.service_traffic import DAY, GREEDY
from trickster.checks.traffic import AGAIN, AMID, FIRST, HONEST, Crowd, Request, Table

SECRETS = [i.to_bytes(16, "big") for i in range(MANY)]


def made_of(**sizes):
    """A crowd whose pictures are their own numbers."""
    start, groups = 0, {}
    for name, n in sizes.items():
        numbers = np.arange(start, start + n, dtype=np.float32)
        x = np.broadcast_to(numbers[:, None, None, None], (n, 1, 2, 2)).copy()
        posteriors = np.tile(np.float32([0.7, 0.2, 0.1]), (n, 1))
        groups[name] = Answered(x, numbers[:, None].repeat(4, axis=1), posteriors)
        start += n
    return Crowd(groups)


CROWD = made_of(honest=900, shapes=1_500, digits=600)


# --- crowds ---------------------------------------------------------------------------


def test_a_crowd_hands_out_copies_in_the_order_asked():
    rows = np.array([2_999, 0, 900, 1, 2_400])
    taken = CROWD.take(rows)
    np.testing.assert_array_equal(taken.x[:, 0, 0, 0], rows)
    np.testing.assert_array_equal(taken.features[:, 3], rows)
    taken.x[:], taken.posteriors[:] = -1, -1
    np.testing.assert_array_equal(CROWD.take(rows).x[:, 0, 0, 0], rows)
    assert CROWD.posteriors.min() > 0
    np.testing.assert_array_equal(CROWD.rows("sha"), np.arange(900, 2_400))


def test_bait_is_sent_in_grading_alone():
    groups = {HONEST: fixtures.honest_users().rows(slice(10))}
    pools = [defense_cases.pool(kind, 0, 60) for kind in ("shapes", "hidden")]
    assert list(traffic.with_bait(groups, pools).groups) == [HONEST]
    known = pools[0].answered().x[:30]
    with draws.grading_with(SECRETS[1]):
        crowd = traffic.with_bait(groups, pools)
    np.testing.assert_array_equal(crowd.take(crowd.rows("desk")).x[:30], known)
    shipped = crowd.take(crowd.rows("shipped")).x
    np.testing.assert_array_equal(shipped, fixtures.fashion().x_test[fixtures.HELD_OUT][:60])


# --- plans ----------------------------------------------------------------------------


def plans(secrets=3):
    """Plans of both labs under some secrets."""
    for secret in SECRETS[:secrets]:
        with draws.grading_with(secret):
            yield defense_cases.plan(CROWD)
            yield service_traffic.plan(CROWD, draws.rng("a service"))


def rows_of(plan, round):
    return np.concatenate([one.rows for one in plan if one.round == round])


def test_every_picture_comes_and_a_third_of_each_group_in_every_round():
    for plan in plans():
        everything = np.arange(3_000)
        np.testing.assert_array_equal(np.sort(rows_of(plan, FIRST)), everything)
        third = np.sort(rows_of(plan, AMID))
        assert Counter(CROWD.group[third]) == {"honest": 300, "shapes": 500, "digits": 200}
        assert len(np.unique(third)) == 1_000
        again = {tuple(one.rows) for one in plan if one.round == AGAIN}
        same = {tuple(one.rows) for one in plan if one.round == FIRST} & again
        np.testing.assert_array_equal(np.sort(np.concatenate([list(s) for s in same])), third)


def test_no_request_of_some_size_tells_what_it_holds():
    """Where pictures come for the first time, all requests hold the same mixture."""
    for plan in plans():
        mixed = [one.rows for one in plan if one.round == FIRST and len(one.rows) >= 50]
        shares = np.array([np.mean(rows < 900) for rows in mixed])
        assert len(mixed) > 10 and abs(shares.mean() - 0.3) < 0.02
        expected = np.sqrt(0.3 * 0.7 * np.mean([1 / len(rows) for rows in mixed]))
        assert shares.std() < 1.3 * expected
        # Half of the third comes among its own kind later.
        later = [one.rows for one in plan if one.round == AMID and len(one.rows) > 1]
        apart = sum(len(rows) for rows in later if np.mean(rows < 900) in (0, 1))
        assert 0.35 < apart / sum(map(len, later)) < 0.65
        alone = np.array([o.rows[0] for o in plan if o.round == AMID and len(o.rows) == 1])
        assert len(alone) >= 24 and 12 <= np.sum(alone < 900) <= len(alone) - 12


def test_secrets_decide_the_order():
    first = [np.concatenate([one.rows for one in plan])[:200] for plan in plans(4)]
    for i, one in enumerate(first):
        for other in first[:i]:
            assert np.mean(one == other) < 0.05


def test_requests_of_lab_3_have_many_sizes_and_new_pictures_come_first():
    plan = next(plans())
    sizes = [len(one.rows) for one in plan if one.round == FIRST]
    assert max(sizes) > 250 and len(set(sizes)) > 10
    rounds = [one.round for one in plan]
    assert rounds == sorted(rounds, key=lambda one: one > FIRST)
    assert {AGAIN, AMID} <= set(rounds[-8:]) | set(rounds[-20:])


def accounts(plan):
    """The requests of each account that keeps the terms."""
    kept: dict[str, list[Request]] = {}
    for one in plan:
        if one.round != GREEDY:
            kept.setdefault(one.key, []).append(one)
    return kept


def most_in_a_day(requests):
    """The most pictures, and the most requests, that an account sends in any 24 hours."""
    times = np.array([one.now for one in requests])
    windows = [(times > now - DAY) & (times <= now) for now in times]
    sizes = np.array([len(one.rows) for one in requests])
    return max(int(sizes[w].sum()) for w in windows), max(int(w.sum()) for w in windows)


@pytest.fixture(scope="module")
def service_plans():
    found = []
    for secret in SECRETS:
        with draws.grading_with(secret):
            found.append(service_traffic.plan(CROWD, draws.rng("a service")))
    return found


def test_all_accounts_but_one_keep_the_terms_and_one_uses_them_up(service_plans):
    for plan in service_plans:
        times = [one.now for one in plan]
        assert times == sorted(times)
        pictures, requests = zip(*map(most_in_a_day, accounts(plan).values()), strict=True)
        assert max(pictures) == 300 and max(requests) == 5
        assert max(len(one.rows) for one in plan) == 60


def test_neither_key_nor_account_tells_who_asks(service_plans):
    for plan in service_plans:
        for key, requests in accounts(plan).items():
            assert len(key) == 12 and set(key) <= set("0123456789abcdef")
            rounds = {one.round for one in requests}
            rows = np.concatenate([one.rows for one in requests])
            if rounds <= {FIRST, AGAIN} and len(rows) >= 100:
                assert 0.1 < np.mean(rows < 900) < 0.5


FAIR = [
    lambda: limiters.SlidingWindow(300, DAY),
    lambda: limiters.SlidingWindow(1_000, DAY),
    lambda: limiters.TokenBucket(300 / DAY, 300),
    lambda: limiters.TokenBucket(400 / DAY, 500),
]
TOO_STRICT = [
    lambda: limiters.SlidingWindow(299, DAY),
    lambda: limiters.SlidingWindow(300, 2 * DAY),
    lambda: limiters.TokenBucket(200 / DAY, 300),
    lambda: limiters.TokenBucket(400 / DAY, 280),
]


class ByDate:
    """Counts from midnight to midnight: twice its limit in 24 hours."""

    def __init__(self, limit):
        self.limit, self.given = limit, Counter()

    def allow(self, key, now, n):
        if self.given[key, now // DAY] + n > self.limit:
            return False
        self.given[key, now // DAY] += n
        return True


TOO_GENEROUS = [
    lambda: limiters.SlidingWindow(1_060, DAY),
    lambda: limiters.TokenBucket(1_000 / DAY, 1_000),
    lambda: ByDate(900),
]


def passed(limit, plan):
    """Whether all honest requests pass, and the most that the greedy account gets in 24 hours."""
    allowed = [limit.allow(one.key, one.now, len(one.rows)) for one in plan]
    honest = all(ok for one, ok in zip(plan, allowed, strict=True) if one.round != GREEDY)
    greedy = [one for one, ok in zip(plan, allowed, strict=True) if ok and one.round == GREEDY]
    return honest, most_in_a_day(greedy)[0]


def test_limits_that_fit_the_terms_pass_under_every_secret_and_others_never(service_plans):
    for plan in service_plans:
        for make in FAIR:
            honest, greedy = passed(make(), plan)
            assert honest and greedy <= 1_000
        assert not any(passed(make(), plan)[0] for make in TOO_STRICT)
        assert all(passed(make(), plan)[1] > 1_000 for make in TOO_GENEROUS)


def test_the_greedy_account_asks_about_no_picture_twice_and_comes_back(service_plans):
    for plan in service_plans:
        greedy = [one for one in plan if one.round == GREEDY]
        rows = np.concatenate([one.rows for one in greedy])
        assert len({one.key for one in greedy}) == 1 and len(np.unique(rows)) == len(rows)
        assert greedy[-1].now - greedy[-2].now > DAY
        assert sum(len(one.rows) for one in greedy[:-1]) > 2_000


# --- answers --------------------------------------------------------------------------


SMALL = made_of(honest=3, shapes=3)
TRUE, LIE = np.float32([0.7, 0.2, 0.1]), np.float32([0.1, 0.2, 0.7])


def table_of(*asked):
    """A table of six pictures; asked: (round, rows, answer)."""
    table = Table(SMALL)
    requests = [Request(round, np.array(rows)) for round, rows, _ in asked]
    answers = iter([answer for *_, answer in asked])

    def ask(request):
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return np.tile(answer, (len(request.rows), 1))

    table.fill(requests, ask, lambda text: None)
    return table


def test_every_answer_to_a_picture_counts_and_every_picture_once():
    table = table_of((FIRST, range(6), TRUE), (AGAIN, [0, 3], LIE), (AMID, [0], LIE))
    assert table.changed(np.array([0])) == pytest.approx(2 / 3)
    assert table.changed(np.arange(6)) == pytest.approx((2 / 3 + 1 / 2) / 6)
    assert table.right(np.array([0, 1]), np.array([0, 0])) == pytest.approx((1 / 3 + 1) / 2)
    np.testing.assert_array_equal(table.gap(FIRST, AGAIN, np.arange(6)) > 0.5, [1, 0, 0, 1, 0, 0])
    means = table.mean(np.arange(6))
    np.testing.assert_allclose(means[0], (TRUE + 2 * LIE) / 3, atol=1e-6)
    assert np.isnan(means[1:]).all()


def test_a_thief_learns_from_one_answer_to_each_picture_and_cannot_be_told_which():
    crowd = made_of(shapes=3_000)
    table = Table(crowd)
    table.given[FIRST], table.given[AGAIN], table.given[AMID, :1_500] = TRUE, LIE, LIE
    lies = table.one_of(np.arange(3_000))[:, 2] > 0.5
    assert 0.6 < lies[:1_500].mean() < 0.72 and 0.45 < lies[1_500:].mean() < 0.55


def test_what_is_refused_is_missing():
    limited = RateLimited("a", 2, 1.0)
    table = table_of((FIRST, [0, 1, 2], TRUE), (FIRST, [3, 4, 5], limited), (AGAIN, [3], LIE))
    assert [list(one.rows) for one in table.refused] == [[3, 4, 5]] and table.error is None
    answers = table.one_of(np.arange(6))
    np.testing.assert_array_equal(np.isnan(answers[:, 0]), [0, 0, 0, 0, 1, 1])
    assert table.changed(np.arange(6)) == pytest.approx(1 / 4)
    assert table_of((FIRST, range(6), limited)).changed(np.arange(6)) == 0


def test_an_error_ends_the_questions_and_an_unwritten_answer_the_check():
    error = ValueError("no")
    table = table_of((FIRST, [0, 1], TRUE), (FIRST, [2, 3], error), (FIRST, [4, 5], TRUE))
    assert table.error is error and not table.answered[:, 4:].any()
    with pytest.raises(NotImplementedError):
        table_of((FIRST, [0], NotImplementedError("not written yet")))
