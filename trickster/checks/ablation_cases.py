"""What lab 4 tries with an ablation: mechanisms one at a time, alone and left out of all of them.

Every condition is run with every seed. What a run gives is drawn, so that only who keeps it has it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from trickster.checks import draws
from trickster.checks.result import Missed, NotMeasured, Part
from trickster.checks.values import kind_of

MOST_RUNS = 1_000  # it asks for 35 at most
MEASURED = ("clone", "honest", "answered")
PARTS_OF_A_CASTLE = ("moat", "wall", "dragon", "gate", "tower", "ditch", "archers", "riddle")


class Runs:
    """Drawn mechanisms and seeds, and the runs that a student's function asks for."""

    def __init__(self, name: str):
        rng = draws.rng(name)
        chosen = rng.choice(PARTS_OF_A_CASTLE, int(rng.integers(3, 6)), replace=False).tolist()
        seeds = rng.choice(1_000, int(rng.integers(3, 6)), replace=False).tolist()
        if seeds == sorted(seeds):  # or their order could not be seen to be kept
            seeds.reverse()
        self.mechanisms, self.seeds = tuple(chosen), seeds
        self.what = str(rng.choice(MEASURED))
        self.calls: list[tuple[tuple[str, ...], int]] = []

    def run(self, switched_on: Any, seed: int) -> dict[str, float]:
        """What the student's function calls."""
        if isinstance(switched_on, str):
            raise Missed(
                f"run was given the word {switched_on!r}; it wants a tuple of mechanisms, such as "
                f"({switched_on!r},) with its comma."
            )
        if not isinstance(switched_on, tuple):
            raise Missed(
                f"run was given {kind_of(switched_on)}; it wants a tuple of mechanisms: "
                f"(), ({self.mechanisms[0]!r},), or tuple(...) of what you have."
            )
        if len(self.calls) == MOST_RUNS:
            raise Missed(f"run was called more than {MOST_RUNS:,} times.")
        # Anything may be handed to run: of a huge array, the first items are kept.
        on = tuple(str(name)[:40] for name in islice(switched_on, 10))
        self.calls.append((on, int(seed)))
        return {what: _measured(what, on, int(seed)) for what in MEASURED}

    def values(self, on: tuple[str, ...], what: str) -> np.ndarray:
        """What the runs of one condition give, in the order of the seeds."""
        return np.array([_measured(what, on, seed) for seed in self.seeds])


class Ablation:
    """One ablation by the student's function: nothing, each mechanism alone, and all of them."""

    def __init__(self, ablation: Callable[..., Any]):
        self._ablation, self._runs = ablation, Runs("ablation")
        self._mechanisms, self._seeds = self._runs.mechanisms, self._runs.seeds
        chosen = self._mechanisms
        self._conditions: dict[str, tuple[str, ...]] = {
            "none": (),
            **{name: (name,) for name in chosen},
            "all": self._mechanisms,
        }
        self._finished, self._table = False, None

    def each_run_once(self, part: Part) -> None:
        """Nothing, each mechanism alone and all together, with the same seeds."""
        self._table = self._ablation(self._runs.run, self._mechanisms, list(self._seeds))
        self._finished = True
        calls, conditions = set(self._runs.calls), self._conditions.values()
        wanted = {(on, seed) for on in conditions for seed in self._seeds}
        missing = sorted(wanted - calls)
        extra = sorted({on for on, _ in calls} - set(conditions), key=len)
        part.expect(
            not missing and calls <= wanted,
            f"{len(calls)} different runs"
            + (f"; missing: {missing[0]}" if missing else "")
            + (f"; not asked: {extra[0]}" if extra else ""),
            f"{len(wanted)} different runs: {len(conditions)} conditions, each with every seed",
            "",
            self._why_other_runs(extra),
        )

    def _why_other_runs(self, extra: list[tuple[str, ...]]) -> str:
        if any(1 < len(on) < len(self._mechanisms) for on in extra):
            return (
                "The mechanisms are added up, one to the others: what one does by itself is seen "
                "only when it is switched on alone, (name,)."
            )
        if any(len(on) > 1 for on in extra):
            return "Keep the mechanisms in the order given: in a stack, the order counts."
        return (
            "Nothing, each mechanism alone and all of them together, each with every seed: one "
            "seed for all would measure nothing about chance."
        )

    def each_run_kept(self, part: Part) -> None:
        """What ``run`` returned, by condition, in the order of the seeds."""
        if not self._finished:
            raise NotMeasured("ablation did not come to an end, see above.")
        try:
            found = {str(name): [dict(one) for one in runs] for name, runs in self._table.items()}
        except (AttributeError, TypeError, ValueError):
            raise Missed(
                "ablation must return a dictionary from each condition to the list of what run "
                f'returned: {{"none": [{{...}}, {{...}}], "{self._mechanisms[0]}": [...], ..., '
                '"all": [...]}.'
            ) from None
        want = {
            name: [_measured("clone", on, seed) for seed in self._seeds]
            for name, on in self._conditions.items()
        }
        kept = {name: [one.get("clone") for one in runs] for name, runs in found.items()}
        part.expect(
            kept == want,
            f"conditions {sorted(kept)}, with {sorted({len(runs) for runs in kept.values()})} runs",
            f"conditions {sorted(want)}, with [{len(self._seeds)}] runs, in the order of the seeds",
            "",
            'The conditions are called "none", as each mechanism is, and "all".'
            if set(kept) != set(want)
            else "Keep what run returned as it is, one for each seed, in the order of the seeds.",
        )


class LeaveOneOut:
    """All mechanisms and all but one, by the student's function."""

    def __init__(self, leave_one_out: Callable[..., Any]):
        self._leave_one_out, self._runs = leave_one_out, Runs("leave one out")
        self._found: Any = None
        whole = self._runs.mechanisms
        self._but = {name: tuple(one for one in whole if one != name) for name in whole}

    def each_left_out(self, part: Part) -> None:
        """All of them, and all but each one, with the same seeds."""
        runs = self._runs
        self._found = self._leave_one_out(runs.run, runs.mechanisms, list(runs.seeds), runs.what)
        conditions = [runs.mechanisms, *self._but.values()]
        wanted = {(on, seed) for on in conditions for seed in runs.seeds}
        missing = sorted(wanted - set(runs.calls))
        extra = sorted({on for on, _ in runs.calls} - set(conditions), key=len)
        part.expect(
            not missing and not extra,
            f"{len(set(runs.calls) & wanted)} of the runs"
            + (f"; missing: {missing[0]}" if missing else "")
            + (f"; not asked: {extra[0]}" if extra else ""),
            f"{len(wanted)} runs: all of {runs.mechanisms}, and all but each, with every seed",
            "",
            self._why_other_runs(extra),
        )

    def _why_other_runs(self, extra: list[tuple[str, ...]]) -> str:
        if any(sorted(on) == sorted(one) for on in extra for one in self._but.values()):
            return "Keep the mechanisms in the order given: in a stack, the order counts."
        if extra == [()]:
            return "Compare with all of them, not with nothing: the others are switched on here."
        if {(name,) for name in self._but} <= set(extra):
            return (
                "This compares nothing with each mechanism alone, as exercise 5a did. Here, "
                "compare all of them with all but one."
            )
        if () in extra:
            return "Leave one out at a time: those that were left out before are there again."
        return (
            "Run all of them, and for each mechanism all others, in the order given, each with "
            "every seed."
        )

    def paired(self, part: Part) -> None:
        """How much larger the measurement is without each mechanism, for each seed."""
        if self._found is None:
            raise NotMeasured("leave_one_out returned nothing, see above.")
        try:
            found = {str(name): np.array(v, dtype=float) for name, v in self._found.items()}
        except (AttributeError, TypeError, ValueError):
            raise Missed(
                "leave_one_out must return a dictionary from each mechanism to a list of numbers, "
                f'one for each seed: {{"{self._runs.mechanisms[0]}": [0.01, -0.02, ...], ...}}.'
            ) from None
        what, all_of_them = self._runs.what, self._runs.mechanisms
        whole = self._runs.values(all_of_them, what)
        want = {name: self._runs.values(on, what) - whole for name, on in self._but.items()}
        right = set(found) == set(want) and all(_same(found[name], want[name]) for name in want)
        shape = next((v.shape for v in found.values()), ())
        part.expect(
            right,
            f"{len(found)} mechanisms, with arrays of shape {shape}",
            f"{len(want)} mechanisms, with one difference for each of {len(self._runs.seeds)} "
            "seeds: without it, less with all",
            "",
            "" if right else self._why_other_differences(found, want),
        )

    def _why_other_differences(
        self, found: dict[str, np.ndarray], want: dict[str, np.ndarray]
    ) -> str:
        if set(found) != set(want):
            return "The keys are the mechanisms themselves: each names the one that was left out."
        runs = self._runs
        name = next(name for name in want if not _same(found[name], want[name]))
        one, without, whole = found[name], self._but[name], runs.values(runs.mechanisms, runs.what)
        if _same(one, -want[name]):
            return "The other way round: how much larger is the measurement without it?"
        if one.size == 1:
            return (
                "One number for each seed, not their mean: the spread of the differences is the "
                "evidence. Compare runs of the same seed."
            )
        if _same(one, runs.values(without, runs.what)):
            return "These are the measurements themselves: subtract those with all mechanisms."
        if any(
            _same(one, runs.values(without, other) - runs.values(runs.mechanisms, other))
            for other in MEASURED
            if other != runs.what
        ):
            return f"These are differences of another measurement: what says {runs.what!r}."
        if _same(one, runs.values(without, runs.what) - whole.mean()):
            return "Compare each run with that of the same seed, not with the mean of all."
        return (
            "Each difference is between two runs of the same seed: all mechanisms but this one, "
            "less all of them, in the order of the seeds."
        )


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, atol=1e-9))


def _measured(what: str, on: tuple[str, ...], seed: int) -> float:
    return round(float(draws.rng("ablation", what, *on, seed).random()), 4)
