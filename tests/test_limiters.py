"""The rate limiters: against exact arithmetic, naive oracles, wild clocks and crowds of keys."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trickster.limiters import GlobalLimit, ManualClock, SlidingWindow, TokenBucket

LIMITERS = {
    "bucket": lambda: TokenBucket(1.0, 10),
    "window": lambda: SlidingWindow(10, 10),
    "global": lambda: GlobalLimit(SlidingWindow(10, 10)),
}
both = pytest.mark.parametrize("make", LIMITERS.values(), ids=LIMITERS)
per_key = pytest.mark.parametrize("make", [LIMITERS["bucket"], LIMITERS["window"]])


class ExactBucket:
    """The bucket's definition in fractions, without a thought for speed or memory."""

    def __init__(self, rate: Fraction, burst: int):
        self.rate, self.burst, self.keys = rate, Fraction(burst), {}

    def allow(self, key, micro, n):
        tokens, then = self.keys.get(key, (self.burst, micro))
        at = max(micro, then)
        tokens = min(self.burst, tokens + Fraction(at - then, 10**6) * self.rate)
        if n > tokens:
            return False
        self.keys[key] = tokens - n, at
        return True


class ExactWindow:
    """The window's definition: every answer ever given, each with its time."""

    def __init__(self, limit: int, micro: int):
        self.limit, self.span, self.given = limit, micro, {}

    def allow(self, key, micro, n):
        given = self.given.setdefault(key, [])
        at = max([micro, *given])
        if sum(at - then < self.span for then in given) + n > self.limit:
            return False
        given += [at] * n
        return True


# microseconds: small steps, large steps and steps back
steps = st.one_of(
    st.integers(-3_000_000, 3_000_000), st.sampled_from([0, 1, 100_000, 500_000, 1_000_000, 10**7])
)
requests = st.lists(st.tuples(st.sampled_from("abc"), steps, st.integers(1, 7)), max_size=80)


@given(requests, st.sampled_from(["0.1", "1", "10", "0.7", "3"]), st.integers(1, 6))
def test_bucket_is_the_exact_one(asked, rate, burst):
    bucket, exact, micro = TokenBucket(float(rate), burst), ExactBucket(Fraction(rate), burst), 0
    for key, step, n in asked:
        micro += step
        assert bucket.allow(key, micro / 1e6, n) == exact.allow(key, micro, n)


@given(requests, st.integers(1, 6), st.sampled_from([0.5, 1.0, 2.5]))
def test_window_is_the_exact_one(asked, limit, seconds):
    window, micro = SlidingWindow(limit, seconds), 0
    exact = ExactWindow(limit, int(seconds * 1e6))
    for key, step, n in asked:
        micro += step
        assert window.allow(key, micro / 1e6, n) == exact.allow(key, micro, n)


@both
@given(asked=requests, n=st.integers(1, 10))
def test_the_wait_is_long_enough_and_no_longer(make, asked, n):
    limiter, now = make(), 1e9
    for key, step, size in asked:
        now += step / 1e6
        limiter.allow(key, now, size)
    wait = limiter.retry_after("a", now, n)
    if wait == 0:
        assert limiter.allow("a", now, n)
    else:
        assert not limiter.allow("a", now + wait - 1e-5, n)
        assert limiter.allow("a", now + wait, n)


@both
def test_what_can_never_pass_waits_for_ever(make):
    assert make().retry_after("a", 0, 11) == math.inf
    assert not make().allow("a", 0, 11)
    assert make().allow("a", 0, 10)


@both
def test_a_batch_passes_whole_or_not_at_all_and_refusals_do_not_count(make):
    limiter = make()
    assert limiter.allow("a", 0, 7)
    for _ in range(50):
        assert not limiter.allow("a", 0, 4)
        assert limiter.retry_after("a", 0, 4) > 0
    assert limiter.allow("a", 0, 3)
    assert not limiter.allow("a", 0)
    assert limiter.allow("a", 10, 10)


@per_key
def test_keys_do_not_share(make):
    limiter = make()
    assert limiter.allow("a", 0, 10)
    assert limiter.allow("b", 0, 10)
    assert not limiter.allow("a", 0)


def test_everybody_shares_a_global_limit():
    limiter = LIMITERS["global"]()
    assert limiter.allow("a", 0, 6)
    assert not limiter.allow("b", 0, 6)
    assert limiter.retry_after("c", 4, 6) == pytest.approx(6, abs=1e-5)
    assert limiter.allow("b", 0, 4)


@both
def test_a_clock_that_jumps_gains_nothing(make):
    limiter = make()
    got = sum(limiter.allow("a", now) for now in [100.0, 0.0, 99.0, -1e6] * 50)
    assert got == 10
    assert limiter.allow("a", 110.0, 10)


@pytest.mark.slow
def test_a_million_requests_do_not_drift():
    """At ten times the rate: exactly what fractions give; and at the rate itself, all."""
    n = 1_000_000
    bucket, exact, different = TokenBucket(0.7, 5), ExactBucket(Fraction(7, 10), 5), 0
    for i in range(n // 4):  # fractions take their time
        different += bucket.allow("a", i * 0.1) != exact.allow("a", i * 100_000, 1)
    assert different == 0
    steady = TokenBucket(10.0, 1)
    assert all(steady.allow("a", i * 0.1) for i in range(n))
    window = SlidingWindow(10, 1.0)
    assert all(window.allow("a", 1.7e9 + i * 0.1) for i in range(100_000))


@per_key
def test_idle_keys_are_forgotten_and_busy_ones_are_not(make):
    limiter = make()
    limiter.allow("busy", 0.0, 10)
    for i in range(100_000):
        limiter.allow(f"key {i}", i * 0.01)
        if i % 100 == 0:
            limiter.allow("busy", i * 0.01)
    assert len(limiter._keys) < 5_000
    limiter.allow("busy", 1_000.0, 10)
    assert not limiter.allow("busy", 1_000.5, 10)


@per_key
def test_a_forgotten_key_gains_nothing_when_the_clock_goes_back(make):
    limiter = make()
    assert limiter.allow("a", 100, 10)
    for i in range(5_000):  # "a" is as good as new at 200 s, and swept away
        limiter.allow(f"key {i}", 200)
    assert "a" not in limiter._keys
    assert limiter.allow("a", 100, 10)
    assert not limiter.allow("a", 200, 1)


def test_a_window_remembers_no_more_than_its_limit():
    window = SlidingWindow(50, 1e9)
    for i in range(1_000):
        window.allow("a", float(i))
    assert sum(n for _, n in window._keys["a"]) == 50


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: TokenBucket(0, 1),
        lambda: TokenBucket(1, -1),
        lambda: TokenBucket(math.nan, 1),
        lambda: TokenBucket(1e-30, 1),
        lambda: SlidingWindow(0, 1),
        lambda: SlidingWindow(1, 0),
        lambda: TokenBucket(1, 1).allow("a", 0, 0),
        lambda: SlidingWindow(1, 1).retry_after("a", 0, -1),
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError):
        wrong()


def test_a_manual_clock_waits():
    clock = ManualClock(5)
    clock.now += 2
    assert clock() == 7


def test_numpy_sizes_and_times_will_do():
    bucket = TokenBucket(np.float64(1), np.int64(3))
    assert bucket.allow("a", np.float32(0), np.int64(3))
    assert bucket.retry_after("a", np.float64(0), np.int64(1)) == pytest.approx(1, abs=1e-5)
