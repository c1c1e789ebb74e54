"""What a student's code is given and may not change, and what it returned, as numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from trickster.checks.result import Missed

MOST_NUMBERS = 4_000_000  # in one array; the 3,000 pictures of a theft are 2.4 million


def locked(values: np.ndarray) -> np.ndarray:
    """A copy that nobody may write into."""
    values = values.copy()
    values.flags.writeable = False
    return values


@contextmanager
def saying_what_is_written_into(sentence: str) -> Iterator[None]:
    """Raises :class:`Missed` with the sentence where code writes into what is locked."""
    try:
        yield
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise Missed(sentence) from error


def returned(value: Any, what: str) -> Any:
    """``value``, unless it is None: then :class:`Missed` asks for the return statement."""
    if value is None:
        raise Missed(f"{what} returned None. Does it end with a return statement?")
    return value


KINDS = {"ndarray": "an array", "NoneType": "None", "Tensor": "a tensor", "bool": "True or False"}


def kind_of(value: Any) -> str:
    """What a value is, in words: "an int", "a list", "an array"."""
    name = type(value).__name__
    return KINDS.get(name, f"a{'n' * (name[:1].lower() in tuple('aeiou'))} {name}")


def array(
    value: Any,
    what: str,
    shape: tuple[int | None, ...] | None = None,
    *,
    finite: bool = True,
    most: int = MOST_NUMBERS,
) -> np.ndarray:
    """``value`` (array, list or tensor) as a float array of ``shape``; ``None`` fits any size.

    finite : refuse NaN and infinite values. Whoever lets them in looks for them: a comparison
        with NaN is False, and Python's ``max`` overlooks one that does not come first.
    most : numbers that it may hold. The check goes on with them, outside of any sandbox.

    Raises :class:`Missed`, which tells the learner what ``what`` returned instead.
    """
    if getattr(value, "requires_grad", False):
        raise Missed(
            f"{what} returned a tensor that still carries gradients. Answer inside "
            "torch.no_grad(), and hand out .numpy()."
        )
    _must_fit(getattr(value, "shape", None), what, shape)
    size = getattr(value, "size", 0)
    if isinstance(size, int) and size > most:
        raise Missed(f"{what} returned {size:,} numbers; at most {most:,} can be looked at.")
    try:
        with np.errstate(invalid="ignore"):  # what np.empty left there may be no number
            found = np.asarray(returned(value, what), dtype=float)
    except (TypeError, ValueError):
        raise Missed(f"{what} returned {kind_of(value)}, not an array of numbers.") from None
    _must_fit(found.shape, what, shape)
    if found.size > most:
        raise Missed(f"{what} returned {found.size:,} numbers; at most {most:,} can be looked at.")
    if finite and (bad := int((~np.isfinite(found)).sum())):
        raise Missed(
            f"{what} returned {bad:,} of {found.size:,} values as NaN or infinite: is something "
            "divided by 0, a logarithm of 0 taken, or a part of np.empty never written?"
        )
    return found


def _must_fit(have: Any, what: str, shape: tuple[int | None, ...] | None) -> None:
    """Raises :class:`Missed` where the shape that a value has is not ``shape``."""
    if shape is None or not isinstance(have, tuple):
        return
    if len(shape) != len(have) or any(
        want not in (None, size) for want, size in zip(shape, have, strict=True)
    ):
        sizes = ["n" if size is None else str(size) for size in shape]
        wanted = f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"
        raise Missed(f"{what} returned shape {tuple(have)}, not {wanted}.")


def number(value: Any, what: str) -> float:
    """``value`` as a finite float; raises :class:`Missed`."""
    found = array(value, what, finite=False)
    if found.size != 1:
        raise Missed(f"{what} returned an array of shape {found.shape}, not one number.")
    single = float(found.reshape(()))
    if not np.isfinite(single):
        of_nothing = " Is a mean of nothing taken, which is nan?" if np.isnan(single) else ""
        raise Missed(f"{what} returned {single}, not a finite number.{of_nothing}")
    return single
