"""What the checks draw, and from what: a public seed at a desk, the course's secret in grading.

Whoever has read every line of the checks still knows nothing of what they will ask: pools, seeds,
orders, networks and numbers come from :func:`rng` and :func:`seed`, which are keyed by a secret
that only the grader holds. A student's own run of a check uses :data:`PUBLIC` in its place, so
that it repeats itself; it asks for the same things, of the same difficulty.

What exists for grading alone (honest pictures that no student was given, query pools whose
generators no student copy has) is handed in by the grader as :class:`HeldBack`.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

PUBLIC = b"at a desk"  # in place of the secret, where a student works
SHORTEST = 16  # bytes of a secret

Result = TypeVar("Result")
Pool = Callable[..., np.ndarray]  # pool(n, seed=...) -> pictures (n, 1, 28, 28) in [0, 1]


@dataclass(frozen=True)
class HeldBack:
    """What students were not given.

    Parameters
    ----------
    pictures : honest pictures ``(n, 1, 28, 28)`` in [0, 1], read-only; None if there are none.
    labels : their classes ``(n,)``.
    pools : generators of query pools, by name.
    """

    pictures: np.ndarray | None = None
    labels: np.ndarray | None = None
    pools: Mapping[str, Pool] = field(default_factory=dict)


@dataclass(frozen=True)
class _Source:
    secret: bytes
    held_back: HeldBack


_source: ContextVar[_Source | None] = ContextVar("source of draws", default=None)


@contextmanager
def grading_with(secret: bytes, held_back: HeldBack | None = None) -> Iterator[None]:
    """Draw from ``secret`` (at least 16 bytes), with what is held back, as long as this lasts.

    Raises ValueError for a shorter secret.
    """
    if len(secret) < SHORTEST:
        raise ValueError(
            f"A secret of {len(secret)} bytes can be guessed: it must have {SHORTEST} or more."
        )
    token = _source.set(_Source(bytes(secret), held_back or HeldBack()))
    try:
        yield
    finally:
        _source.reset(token)


@contextmanager
def as_at_a_desk() -> Iterator[None]:
    """Draw what a student's own run of a check draws, as long as this lasts."""
    token = _source.set(None)
    try:
        yield
    finally:
        _source.reset(token)


def is_grading() -> bool:
    """Whether draws come from a secret."""
    return _source.get() is not None


def held_back() -> HeldBack:
    """What the grader has handed in; empty where a student works."""
    source = _source.get()
    return source.held_back if source else HeldBack()


def rng(*labels: str | int) -> np.random.Generator:
    """A generator for what ``labels`` name: the same for the same labels and secret."""
    return np.random.default_rng(list(_digest(labels)))


def seed(*labels: str | int) -> int:
    """A seed from 0 to 2**31 - 1 for what ``labels`` name."""
    return int.from_bytes(_digest(labels)[:4], "big") >> 1


def key() -> str:
    """A hash that tells secrets apart and tells nothing of them."""
    return _digest(("key",)).hex()[:16]


def _digest(labels: tuple[str | int, ...]) -> bytes:
    source = _source.get()
    message = json.dumps(labels).encode()
    return hmac.digest(source.secret if source else PUBLIC, message, hashlib.sha256)


def cached(function: Callable[..., Result]) -> Callable[..., Result]:
    """Like ``functools.cache``, once for each secret: of drawn things, only the latest are kept."""
    kept: dict[tuple[object, ...], Result] = {}
    latest = ""

    @functools.wraps(function)
    def run(*given: object) -> Result:
        nonlocal latest
        if key() != latest:
            kept.clear()
            latest = key()
        if given not in kept:
            kept[given] = function(*given)
        return kept[given]

    def cache_clear() -> None:
        kept.clear()

    run.cache_clear = cache_clear  # type: ignore[attr-defined]
    return run
