"""The black box: what an owner puts on the network, and all that a thief can see.

:class:`PredictionAPI` is the owner's side: victim, budgets, meter, log, defences. What it shares
with the services of ``services`` is :class:`MeteredAPI`.
:class:`Client` is the customer's side: one key, and a ``query`` method.
Defences themselves live in ``defenses``; this module only calls them.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from trickster.limiters import Limiter


class InvalidQuery(ValueError):
    """The pictures are not what the service accepts. Nothing was charged."""


class BudgetExceeded(RuntimeError):
    """The request asks for more answers than its key has left. Nothing was answered or charged."""

    _public_names = ("key", "requested", "remaining")

    def __init__(self, key: str, requested: int, remaining: int):
        super().__init__(
            f"Key {key!r} asked for {requested:,} answers but has {remaining:,} left. Nothing was "
            "answered or charged: send a smaller batch, or stop."
        )
        self.key, self.requested, self.remaining = key, requested, remaining

    def __reduce__(self):
        # Pickled by its parts, or a worker process could not report it.
        return type(self), (self.key, self.requested, self.remaining)


class RateLimited(RuntimeError):
    """The request comes too soon. Nothing was answered or charged; ``retry_after`` seconds help.

    ``retry_after`` is ``inf`` where no wait is long enough for so large a batch.
    """

    _public_names = ("key", "requested", "retry_after")

    def __init__(self, key: str, requested: int, retry_after: float):
        when = (
            f"try again in {retry_after:,.1f} s."
            if math.isfinite(retry_after)
            else "a batch of this size never passes, send a smaller one."
        )
        super().__init__(
            f"Key {key!r} asked for {requested:,} answers too soon. Nothing was answered or "
            f"charged: {when}"
        )
        self.key, self.requested, self.retry_after = key, requested, retry_after

    def __reduce__(self):
        return type(self), (self.key, self.requested, self.retry_after)


class DefenseError(RuntimeError):
    """A defence returned something that is not one distribution for each picture."""


class Victim(Protocol):
    """What a :class:`PredictionAPI` serves; ``models.Classifier`` is one."""

    def features_and_posteriors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class Query:
    """What a defence may look at beside the posteriors.

    ``x`` pictures ``(n, c, h, w)``; ``features`` of the victim's last layer
    ``(n, d)``; ``key`` who asks; ``now`` when, in seconds on the API's clock.
    """

    x: np.ndarray
    features: np.ndarray
    key: str
    now: float


# posteriors (n, k) and the query, to posteriors (n, k)
Defense = Callable[[np.ndarray, Query], np.ndarray]


@dataclass(frozen=True)
class LogEntry:
    """One request: ``n`` pictures by ``key`` at ``now``; ``refused`` says why not, or is empty."""

    now: float
    key: str
    n: int
    refused: str = ""


class MeteredAPI:
    """What every service does with a request before it answers: check, charge, log.

    A subclass says what a request is: :meth:`_countable` how many answers it asks for,
    :meth:`_valid` whether they can be given. Both raise :class:`InvalidQuery`.

    Parameters
    ----------
    budget : answers each key may have in all; ``None``: no limit.
    limiters : see ``limiters``. A request passes if all of them allow it; one that any
        refuses counts for none.
    clock : returns the time in seconds; give your own to make time explicit.

    A request is checked, then charged, then answered. What is refused is not
    charged; what is charged stays charged, even if the answer fails half-way,
    so that two requests at one moment cannot spend the same unit twice.
    """

    def __init__(
        self,
        *,
        budget: int | None = None,
        limiters: Sequence[Limiter] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        if budget is not None and budget < 0:
            raise ValueError(f"A budget counts answers: it cannot be {budget}.")
        self._clock, self.budget, self.limiters = clock, budget, tuple(limiters)
        self.log: list[LogEntry] = []
        self._used: dict[str, int] = {}

    def used(self, key: str = "anonymous") -> int:
        """Answers this key has had so far."""
        return self._used.get(key, 0)

    def remaining(self, key: str = "anonymous") -> int | None:
        """Answers this key may still have; ``None`` without a budget."""
        return None if self.budget is None else self.budget - self.used(key)

    def client(self, key: str) -> Client:
        """The customer's side of this API under one key."""
        return Client(self, key)

    def _admit(self, request: Any, key: str) -> tuple[float, Any]:
        """The time, and the request as it is to be answered: it has passed and is charged.

        Raises :class:`InvalidQuery`, :class:`BudgetExceeded` or :class:`RateLimited`.
        """
        now = self._clock()
        try:
            n = self._countable(request)
            self._check_budget(key, n)  # before looking at a single value
            request = self._valid(request)
            with _counting:
                self._check_budget(key, n)
                self._take(key, now, n)
                self._used[key] = self.used(key) + n
        except (InvalidQuery, BudgetExceeded, RateLimited) as error:
            self.log.append(LogEntry(now, key, self._length(request), refused=str(error)))
            raise
        self.log.append(LogEntry(now, key, n))
        return now, request

    def _countable(self, request: Any) -> int:
        """How many answers are asked for, from the request's shape alone: cheap for any size."""
        raise NotImplementedError

    def _valid(self, request: Any) -> Any:
        """The request in the form in which it is answered, if its values are right."""
        raise NotImplementedError

    def _length(self, request: Any) -> int:
        """How many answers a refused request seems to ask for; 0 where that has no meaning."""
        try:
            return len(request)
        except TypeError:
            return 0

    def _check_budget(self, key: str, n: int) -> None:
        if self.budget is not None and n > self.remaining(key):
            raise BudgetExceeded(key, n, self.remaining(key))

    def _take(self, key: str, now: float, n: int) -> None:
        """Ask all limiters first, and only then let each of them count: all or none."""
        wait = max((limiter.retry_after(key, now, n) for limiter in self.limiters), default=0.0)
        if wait > 0:
            raise RateLimited(key, n, wait)
        for limiter in self.limiters:
            if not limiter.allow(key, now, n):
                raise RateLimited(key, n, limiter.retry_after(key, now, n))


class PredictionAPI(MeteredAPI):
    """A victim behind a metered, logged, defended ``query``.

    Parameters
    ----------
    victim : answers pictures with features and posteriors (``models.Classifier``).
    input_shape : ``(c, h, w)`` of one picture.
    defenses : applied in this order to the posteriors; see :data:`Defense`.
    budget, limiters, clock : see :class:`MeteredAPI`.
    """

    def __init__(
        self,
        victim: Victim,
        input_shape: tuple[int, int, int] = (1, 28, 28),
        *,
        budget: int | None = None,
        defenses: Sequence[Defense] = (),
        limiters: Sequence[Limiter] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__(budget=budget, limiters=limiters, clock=clock)
        self._victim, self.input_shape = victim, tuple(input_shape)
        self.defenses = tuple(defenses)

    def query(self, x: np.ndarray, key: str = "anonymous") -> np.ndarray:
        """Posteriors ``(n, k)`` for pictures ``x``: floats ``(n, c, h, w)`` in [0, 1].

        Raises :class:`InvalidQuery`, :class:`BudgetExceeded` or :class:`RateLimited`, before
        any work is done and without charging, and :class:`DefenseError` for a broken defence.
        """
        now, x = self._admit(x, key)
        features, posteriors = self._victim.features_and_posteriors(x)
        query = Query(x, features, key, now)
        for defense in self.defenses:
            posteriors = _distributions(defense(posteriors, query), posteriors.shape, defense)
        return posteriors

    def _countable(self, x: np.ndarray) -> int:
        """The size of the batch, from its shape alone: cheap even for a huge one."""
        want = "(n, " + ", ".join(map(str, self.input_shape)) + ")"
        if not isinstance(x, np.ndarray):
            raise InvalidQuery(
                f"A query is a NumPy array of shape {want}; this is a {type(x).__name__}."
            )
        x = np.asarray(x)
        if x.ndim != 4 or x.shape[1:] != self.input_shape:
            hint = " One picture needs a leading axis: x[None]." if x.ndim == 3 else ""
            raise InvalidQuery(f"Pictures must have shape {want}; got {x.shape}.{hint}")
        if len(x) == 0:
            raise InvalidQuery("The batch is empty: send at least one picture.")
        if x.dtype not in (np.float16, np.float32, np.float64):
            raise InvalidQuery(
                f"Pixels must be floats in [0, 1]; these are {x.dtype}. "
                "Pictures with values 0-255: x.astype('float32') / 255."
            )
        return len(x)

    def _valid(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)  # a subclass could lie about itself
        low, high = float(x.min()), float(x.max())
        if not np.isfinite(low + high):
            bad = int((~np.isfinite(x)).any(axis=(1, 2, 3)).sum())
            raise InvalidQuery(f"{bad} of {len(x)} pictures hold NaN or infinite pixels.")
        if low < 0 or high > 1:
            raise InvalidQuery(
                f"Pixels must lie in [0, 1]; these run from {low:.7g} to {high:.7g}."
            )
        return x.astype(np.float32, copy=False)


# One lock for all services: it is held while a request is counted, never while it is answered.
_counting = threading.Lock()


@dataclass(frozen=True)
class Client:
    """One customer's view of a service, such as a :class:`PredictionAPI`: all that a thief holds.

    ``_public_names`` is what a thief in another process is given; exceptions have it, too.
    """

    _public_names: ClassVar[tuple[str, ...]] = ("key", "query", "used", "remaining")

    _api: MeteredAPI
    key: str

    def query(self, x: np.ndarray) -> np.ndarray:
        """What the service answers, as posteriors ``(n, k)``; see :meth:`PredictionAPI.query`."""
        return self._api.query(x, self.key)

    @property
    def used(self) -> int:
        """Answers received so far."""
        return self._api.used(self.key)

    @property
    def remaining(self) -> int | None:
        """Answers left; ``None`` without a budget."""
        return self._api.remaining(self.key)


def _distributions(answers: np.ndarray, shape: tuple[int, ...], defense: Defense) -> np.ndarray:
    """``answers`` if each row is a distribution; owners find a broken defence before users do."""
    name = getattr(defense, "__name__", type(defense).__name__)
    try:
        answers = np.asarray(answers)
    except ValueError as error:  # rows of different lengths
        raise DefenseError(f"Defence {name} returned no array: {error}") from error
    if answers.shape != shape:
        raise DefenseError(f"Defence {name} turned answers of shape {shape} into {answers.shape}.")
    if answers.dtype.kind not in "fiub":
        raise DefenseError(f"Defence {name} returned {answers.dtype} instead of numbers.")
    if not np.isfinite(answers).all():
        raise DefenseError(f"Defence {name} returned NaN or infinite values.")
    off = float(np.abs(answers.sum(axis=1) - 1).max())
    if answers.min() < 0 or off > 1e-3:
        raise DefenseError(
            f"Defence {name} returned rows that are not distributions: smallest value "
            f"{answers.min():.3g}, largest distance of a row's sum from 1 {off:.3g}."
        )
    return answers
