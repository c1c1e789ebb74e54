"""What lab 4 tries with two more services: how they refuse, and what they leave as it was.

One account uses up the first service and then asks the second. Nothing that they are given may
be written into. By then ``service_cases`` has asked its questions, so that this costs one part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from trickster.api import RateLimited
from trickster.checks import draws, fixtures
from trickster.checks.result import Missed
from trickster.checks.service_cases import DAILY_CAP, MakeLayered, Tried, is_refusal
from trickster.checks.service_traffic import DAY, REQUEST
from trickster.checks.values import locked, saying_what_is_written_into

MOST = DAILY_CAP // REQUEST + 2  # requests at once, of which a service within the cap refuses some
Ask = Callable[[str, float], Any]


def refusals(make_layered: MakeLayered, tried: Tried) -> None:
    """Raises :class:`Missed` where a refusal, or what is left behind, is not as it should be."""
    lots = _lots(tried)
    first, second = (_asking(make_layered, lots) for _ in range(2))
    key = draws.rng("two services of lab 4", "key").bytes(6).hex()
    now = max(one.now for table in tried.tables for one in table.requests) + DAY
    for _ in range(MOST):
        try:
            first(key, now)
        except Exception as error:
            if not is_refusal(error):
                raise
            _must_say_when(error)
            break
    else:
        return  # what no limit costs, another part says
    try:
        second(key, now)
    except Exception as error:
        if not is_refusal(error):
            raise
        raise Missed(
            "An account that had used up one service was refused by another, where it was new. "
            "Each service has a limiter of its own: make it inside make_layered, called for "
            "each of them, and keep nothing in a dictionary of the class or of the notebook."
        ) from error


def _lots(tried: Tried) -> Iterator[tuple[np.ndarray, ...]]:
    """Requests ``(x, posteriors, features)`` without end, read-only."""
    crowd, rng = tried.tables[0].crowd, draws.rng("two services of lab 4", "pictures")
    while True:
        x, features, posteriors = vars(
            crowd.take(rng.choice(len(crowd.group), REQUEST, replace=False))
        ).values()
        yield tuple(locked(values) for values in (x, posteriors, features))


def _asking(make_layered: MakeLayered, lots: Iterator[tuple[np.ndarray, ...]]) -> Ask:
    """A fresh service, which every call asks about other pictures."""
    layered = _unwritten_into(
        "make_layered", make_layered, locked(fixtures.bank()), locked(fixtures.owners().features)
    )
    return lambda key, now: _unwritten_into("layered", layered, *next(lots), key, now)


def _unwritten_into(name: str, function: Callable[..., Any], *given: Any) -> Any:
    with saying_what_is_written_into(
        f"{name} writes into what it is given, which others still need: the service logs the "
        "victim's own answers, and the bank is the same for all. Write into a copy, "
        "posteriors.copy(), or choose with np.where, which makes a new array."
    ):
        return function(*given)


def _must_say_when(error: Exception) -> None:
    """The third of the things that ``RateLimited`` is made of; a class of a student's has none."""
    wait = getattr(error, "retry_after", None)
    if isinstance(error, RateLimited) and isinstance(wait, (int, float)) and not wait > 0:
        raise Missed(
            f"A refused customer was told to come back in {wait:g} seconds, and would be refused "
            f"again: RateLimited(key, n, seconds) wants what the limiter's retry_after answers for "
            f"all n = {REQUEST} pictures."
        )
