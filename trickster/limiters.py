"""Rate limiters with explicit time: who may have how many answers, and when.

A limiter is asked ``allow(key, now, n)`` and says yes or no to the whole batch, and
``retry_after(key, now, n)`` tells how long to wait. What it refuses is not counted, and a
clock that goes back gains nothing. Both kinds here count in whole microseconds and whole
parts of a token: integers do not drift.

A limiter holds no lock; ``api.PredictionAPI`` asks under its own. The refusal that a client
sees, ``api.RateLimited``, lives there.
"""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction
from typing import Protocol

MICRO = 1_000_000  # microseconds in a second
_SWEEP_FROM = 1_024  # keys; below it, looking for idle ones is not worth the time


class Limiter(Protocol):
    """What ``api.PredictionAPI`` asks; any object with these two methods will do."""

    def allow(self, key: str, now: float, n: int = 1) -> bool: ...

    def retry_after(self, key: str, now: float, n: int = 1) -> float: ...


class ManualClock:
    """Seconds that pass only when set: ``clock.now += 60``. For simulations and tests."""

    def __init__(self, now: float = 0.0):
        self.now = now

    def __call__(self) -> float:
        return self.now


class TokenBucket:
    """Each key owns a bucket of ``burst`` tokens, refilled with ``rate`` tokens a second.

    An answer costs a token. A new key's bucket is full, so a burst passes at once, and in
    any ``s`` seconds a key gets at most ``burst + rate * s`` answers.
    """

    def __init__(self, rate: float, burst: float):
        if not (0 < rate < math.inf and 0 < burst < math.inf):
            raise ValueError(f"rate and burst must be positive and finite: {rate}, {burst}.")
        self.rate, self.burst = rate, burst
        exact = Fraction(rate).limit_denominator(10**12)
        if exact == 0:
            raise ValueError(f"A rate of {rate} tokens a second is too small to count with.")
        # A token is cut into so many parts that a microsecond refills a whole number of them.
        self._token, self._refill = MICRO * exact.denominator, exact.numerator
        self._full = int(Fraction(burst) * self._token)
        self._keys: dict[str, tuple[int, int]] = {}  # key: parts left, at which microsecond
        self._sweep_at, self._floor = _SWEEP_FROM, -math.inf

    def allow(self, key: str, now: float, n: int = 1) -> bool:
        """Take ``n`` tokens of ``key`` at ``now`` seconds, all or none; were they there?"""
        parts, at = self._level(key, now)
        if _count(n) * self._token > parts:
            return False
        self._sweep(at)
        self._keys[key] = parts - n * self._token, at
        return True

    def retry_after(self, key: str, now: float, n: int = 1) -> float:
        """Seconds until ``n`` tokens are there: 0.0 if now, ``inf`` if they never fit."""
        parts, at = self._level(key, now)
        missing = _count(n) * self._token - parts
        if missing <= 0:
            return 0.0
        if n * self._token > self._full:
            return math.inf
        return _seconds(at - _micro(now) + -(-missing // self._refill))

    def _level(self, key: str, now: float) -> tuple[int, int]:
        """Parts in the key's bucket, and the microsecond that the key has reached."""
        at = _micro(now)
        if key not in self._keys:
            return self._full, max(at, self._floor)
        parts, then = self._keys[key]
        at = max(at, then)
        return min(self._full, parts + (at - then) * self._refill), at

    def _sweep(self, at: int) -> None:
        """Forget the keys whose buckets are full again: they are as good as new."""
        if len(self._keys) < self._sweep_at:
            return
        self._keys = {
            key: (parts, then)
            for key, (parts, then) in self._keys.items()
            if parts + (at - then) * self._refill < self._full
        }
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._keys))
        # Or a clock that goes back would find the forgotten bucket full a second time.
        self._floor = max(self._floor, at)


class SlidingWindow:
    """Each key gets at most ``limit`` answers in any ``seconds`` seconds.

    An answer given at ``t`` counts until just before ``t + seconds``.
    """

    def __init__(self, limit: int, seconds: float):
        if limit < 1 or not 0 < seconds < math.inf:
            raise ValueError(f"limit must be at least 1, seconds positive: {limit}, {seconds}.")
        self.limit, self.seconds = limit, seconds
        self._span = max(1, _micro(seconds))
        self._keys: dict[str, deque[tuple[int, int]]] = {}  # key: (microsecond, answers), in order
        self._sweep_at, self._floor = _SWEEP_FROM, -math.inf

    def allow(self, key: str, now: float, n: int = 1) -> bool:
        """Count ``n`` answers for ``key`` at ``now`` seconds, all or none; was there room?"""
        at, given = self._window(key, now)
        if sum(count for _, count in given) + _count(n) > self.limit:
            return False
        self._sweep(at)
        given.append((at, n))
        self._keys[key] = given
        return True

    def retry_after(self, key: str, now: float, n: int = 1) -> float:
        """Seconds until ``n`` answers fit: 0.0 if now, ``inf`` if they never do."""
        _, given = self._window(key, now)
        over = sum(count for _, count in given) + _count(n) - self.limit
        if over <= 0:
            return 0.0
        for then, count in given:
            over -= count
            if over <= 0:
                return _seconds(then + self._span - _micro(now))
        return math.inf

    def _window(self, key: str, now: float) -> tuple[int, deque[tuple[int, int]]]:
        """The microsecond that the key has reached, and what it was given in the last span."""
        at = _micro(now)
        given = self._keys.get(key)
        if given is None:
            return max(at, self._floor), deque()
        at = max(at, given[-1][0])
        return at, deque(entry for entry in given if entry[0] > at - self._span)

    def _sweep(self, at: int) -> None:
        """Forget the keys of which nothing counts any more."""
        if len(self._keys) < self._sweep_at:
            return
        old = at - self._span
        self._keys = {key: given for key, given in self._keys.items() if given[-1][0] > old}
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._keys))
        self._floor = max(self._floor, at)  # see TokenBucket


class GlobalLimit:
    """One account for everybody: ``limiter`` is asked with the same key, whoever comes."""

    def __init__(self, limiter: Limiter):
        self.limiter = limiter

    def allow(self, key: str, now: float, n: int = 1) -> bool:
        return self.limiter.allow("everybody", now, n)

    def retry_after(self, key: str, now: float, n: int = 1) -> float:
        return self.limiter.retry_after("everybody", now, n)


def _count(n: int) -> int:
    if n < 1:
        raise ValueError(f"A batch holds at least one picture, not {n}.")
    return n


def _micro(seconds: float) -> int:
    return round(seconds * MICRO)


def _seconds(micro: int) -> float:
    """A wait in seconds, with a microsecond to spare: adding it to a time rounds."""
    return (micro + 1) / MICRO
