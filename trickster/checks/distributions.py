"""Whether a student's code returned distributions, and what is wrong where it did not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.checks.result import Missed
from trickster.checks.values import array, locked, saying_what_is_written_into


def distributions(value: Any, what: str, n: int, k: int = 10) -> np.ndarray:
    """``value`` as ``n`` distributions over ``k`` classes; raises :class:`Missed`."""
    found = array(value, what, (n, k), finite=False)
    off = float(np.abs(found.sum(axis=1) - 1).max()) if np.isfinite(found).all() else np.inf
    if off > 1e-3 and n > 1 and np.allclose(found.sum(axis=0), 1, atol=1e-3):
        raise Missed(
            f"{what} returned rows that are no distributions: its columns sum to 1, its rows do "
            "not. The softmax of a row goes over its classes: axis=1, with keepdims=True."
        )
    if not np.isfinite(found).all():
        rows = int((~np.isfinite(found)).any(axis=1).sum())
        raise Missed(
            f"{what} returned {rows} of {n} rows with NaN or an infinite value: is something "
            "divided by 0, or a logarithm of 0 taken?"
        )
    if off > 1e-3 or found.min() < -1e-9:
        raise Missed(
            f"{what} returned rows that are no distributions: the smallest value is "
            f"{found.min():.3g}, the largest distance of a row's sum from 1 is {off:.3g}. "
            f"Probabilities are at least 0 and sum to 1{_how(found)}"
        )
    return found


def _how(found: np.ndarray) -> str:
    if found.min() >= -1e-9:
        return ": divide each row by its sum, sum(axis=1, keepdims=True)."
    return ". Of logits, take the softmax." if found.min() < -2 else "."


# No defence passes these on.
OWN = (
    *("bank", "logits", "scores", "answers", "undone answers"),
    *("clone's posteriors", "honest pictures"),
)


def given_read_only(
    function: Callable[..., Any],
    name: str,
    given: np.ndarray,
    *more: Any,
    what: str = "posteriors",
) -> np.ndarray:
    """What a student's function makes of values that nobody may write into, as an array.

    Raises :class:`Missed`, with ``what`` these are, where it tries.
    """
    writes = (
        f"{name} writes into the {what} that it is given, which others still need"
        f"{'' if what in OWN else ': the service keeps them, and the next defence gets them'}. "
        "Begin with a copy, or with a new array, and write into that."
    )
    own = locked(given)
    with saying_what_is_written_into(writes):
        found = function(own, *more)
    if not np.array_equal(own, given, equal_nan=True):  # torch writes through the lock
        raise Missed(writes)
    return array(found, name, finite=False)


def sums_to_one(found: np.ndarray, fix: str) -> None:
    """Raises :class:`Missed` where rows are no distributions."""
    if not found.size:
        raise Missed("There are no rows: an empty batch shows nothing.")
    if not np.isfinite(found).all():
        raise Missed(f"{int((~np.isfinite(found)).any(axis=1).sum())} rows hold NaN. {fix}")
    off = np.abs(found.sum(axis=1) - 1)
    if found.min() < -1e-9 or off.max() > 1e-4:
        raise Missed(
            f"{int((off > 1e-4).sum())} of {len(found)} rows are no distribution: their sums run "
            f"from {found.sum(axis=1).min():.3g} to {found.sum(axis=1).max():.3g}. {fix}"
        )
