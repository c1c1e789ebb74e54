"""What the check of a whole defence sends it: honest and hostile pictures, mixed.

Each check draws one plan of requests and fills one table of answers, and every part of it reads
that table. All pictures come equally often; where they come for the first time, every request,
every account and every stretch of time holds the same mixture; and they differ in their content
only (``fixtures.as_sent``). So a defence that counts calls, or remembers what it has seen, is
honest to thieves wherever it is honest.
What the parts make of the table lives in ``defense_cases`` and ``service_cases``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from trickster.api import RateLimited
from trickster.checks import draws, fixtures
from trickster.checks.faults import is_unwritten
from trickster.checks.fixtures import Answered, joined
from trickster.checks.panel import Pool, Report

# The rounds of a plan. A third of the pictures is asked about in all of them.
FIRST, AGAIN, AMID = range(3)  # everything once; the same requests again; in other company
HONEST, SHIPPED, DESK = "honest", "shipped", "desk"  # groups of pictures; all others are thieves'
BAIT = 60  # pictures that a student may know by heart, for the instructor's eyes alone

Rng = np.random.Generator


@dataclass(frozen=True)
class Crowd:
    """All pictures of a plan, by groups; they are numbered one group after another."""

    groups: Mapping[str, Answered]

    @cached_property
    def group(self) -> np.ndarray:
        """The name of each picture's group."""
        return np.repeat(list(self.groups), [len(one.x) for one in self.groups.values()])

    @cached_property
    def posteriors(self) -> np.ndarray:
        """What the victim answers to each, where nothing defends it."""
        return np.concatenate([one.posteriors for one in self.groups.values()])

    def rows(self, *groups: str) -> np.ndarray:
        """The pictures of these groups, whose names may be cut short: ``"shapes"``."""
        return np.flatnonzero([str(name).startswith(groups) for name in self.group])

    def take(self, rows: np.ndarray) -> Answered:
        """Copies of these pictures, with the victim's answers."""
        some = next(iter(self.groups.values()))
        taken = Answered(
            *(np.empty((len(rows), *one.shape[1:]), one.dtype) for one in vars(some).values())
        )
        start = 0
        for group in self.groups.values():
            inside = (rows >= start) & (rows < start + len(group.x))
            for name, values in vars(group.rows(rows[inside] - start)).items():
                getattr(taken, name)[inside] = values
            start += len(group.x)
        return taken

    def a_third(self, rng: Rng) -> np.ndarray:
        """A third of every group, drawn."""
        places = [rng.permutation(np.flatnonzero(self.group == name)) for name in self.groups]
        return np.sort(np.concatenate([some[: len(some) // 3] for some in places]))


def with_bait(groups: Mapping[str, Answered], pools: Sequence[Pool]) -> Crowd:
    """The groups, and what a student may know: shipped pictures, and a desk's own of these pools.

    At a desk there is nothing to find out.
    """
    if not draws.is_grading():
        return Crowd(groups)
    known = [fixtures.answered_at_a_desk(*pool, BAIT // len(pools)) for pool in pools]
    shipped = fixtures.held_out().rows(slice(BAIT))
    return Crowd({**groups, SHIPPED: shipped, DESK: joined(*known)})


# --- the plan -------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """Some pictures of a crowd ``rows (n,)``, in this order; who sends them, and when."""

    round: int
    rows: np.ndarray
    key: str = ""
    now: float = 0.0


def lots(rng: Rng, rows: np.ndarray, sizes: Iterator[int]) -> list[np.ndarray]:
    """The rows in a drawn order, cut into requests of these sizes."""
    rows, cut = rng.permutation(rows), []
    while len(rows):
        size = next(sizes)
        cut.append(rows[:size])
        rows = rows[size:]
    return cut


def in_company(
    rng: Rng, rows: np.ndarray, honest: np.ndarray, sizes: Iterator[int], alone: int
) -> list[np.ndarray]:
    """The rows, half of them in requests of their own kind, the others mixed, and some alone.

    ``honest (pictures,)`` says which are; of those that come ``alone``, every second one is.
    """
    rows = rng.permutation(rows)
    kinds = rows[honest[rows]], rows[~honest[rows]]
    singles = np.concatenate([kind[: alone // 2] for kind in kinds])
    rest = np.setdiff1d(rows, singles)
    apart = rng.random(len(rest)) < 0.5
    groups = rest[apart & honest[rest]], rest[apart & ~honest[rest]], rest[~apart]
    return [*np.split(singles, len(singles)), *(one for g in groups for one in lots(rng, g, sizes))]


def log_uniform(rng: Rng, low: int, high: int) -> Iterator[int]:
    """Sizes of requests, small ones as common as large ones."""
    while True:
        yield int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


# --- the answers ----------------------------------------------------------------------


@dataclass
class Table:
    """What came back: ``given (rounds, pictures, classes)``, NaN where there is no answer.

    ``error`` is what ended the questions, if the defence raised anything but ``RateLimited``.
    """

    crowd: Crowd
    rounds: int = 3
    requests: list[Request] = field(default_factory=list)
    refused: list[Request] = field(default_factory=list)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        shape = self.rounds, *self.crowd.posteriors.shape
        self.given = np.full(shape, np.nan, np.float32)
        drawn = draws.rng("which answer").random(shape[:2])
        self._turns = np.argsort(drawn, axis=0)  # which of a picture's answers comes first

    def fill(
        self, plan: Sequence[Request], ask: Callable[[Request], np.ndarray], report: Report
    ) -> None:
        """Send all of the plan; ``ask`` returns a request's answers ``(n, k)``, or raises."""
        for i, request in enumerate(plan):
            if i % 20 == 0:
                report(f"{i} of {len(plan)} requests sent")
            self.requests.append(request)
            try:
                self.given[request.round, request.rows] = ask(request)
            except RateLimited:
                self.refused.append(request)
            except (Exception, SystemExit) as error:
                if is_unwritten(error):
                    raise
                self.error = error
                return

    @property
    def answered(self) -> np.ndarray:
        """Whether a picture was answered in a round ``(rounds, pictures)``."""
        return ~np.isnan(self.given[:, :, 0])

    def one_of(self, rows: np.ndarray) -> np.ndarray:
        """One answer to each ``(n, k)``, drawn among those that it got; NaN where there is none."""
        turns, answered = self._turns[:, rows], self.answered[:, rows]
        first = np.take_along_axis(answered, turns, axis=0).argmax(axis=0)
        return self.given[turns[first, np.arange(len(rows))], rows]

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """The mean of three answers to each ``(n, k)``; NaN where one of them is missing."""
        return self.given[: AMID + 1, rows].mean(axis=0)

    def changed(self, rows: np.ndarray, rounds: slice = slice(None)) -> float:
        """Share of the answers that are not the victim's, each picture counting once."""
        differ = fixtures.differs(self.given[rounds, rows], self.crowd.posteriors[rows])
        return _mean_of_each(differ, self.answered[rounds, rows])

    def right(self, rows: np.ndarray, wanted: np.ndarray) -> float:
        """Share of the answers that name ``wanted (n,)``, each picture counting once."""
        return _mean_of_each(self.given[:, rows].argmax(axis=2) == wanted, self.answered[:, rows])

    def gap(self, one: int, other: int, rows: np.ndarray) -> np.ndarray:
        """How far two rounds' answers differ at most ``(n,)``; 0 where one of them is missing."""
        return np.nan_to_num(np.abs(self.given[one, rows] - self.given[other, rows]).max(axis=1))


def _mean_of_each(counts: np.ndarray, answered: np.ndarray) -> float:
    """Mean over pictures of their means over rounds; both ``(rounds, n)``."""
    some = answered.any(axis=0)
    if not some.any():
        return 0.0
    each = (counts & answered).sum(axis=0)[some] / answered.sum(axis=0)[some]
    return float(each.mean())
