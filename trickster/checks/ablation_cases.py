"""What lab 4 tries with an ablation: every condition is run with every seed, and every run kept."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from trickster.checks import draws
from trickster.checks.result import Missed, NotMeasured, Part

MOST_RUNS = 1_000  # it asks for 35 at most
PARTS_OF_A_CASTLE = ("moat", "wall", "dragon", "gate", "tower", "ditch", "archers", "riddle")


class Ablation:
    """One ablation by the student's function, of drawn mechanisms with drawn seeds.

    What ``run`` returns is drawn as well, so that only who keeps it has it.
    """

    def __init__(self, ablation: Callable[..., Any]):
        rng = draws.rng("ablation")
        chosen = rng.choice(PARTS_OF_A_CASTLE, int(rng.integers(3, 6)), replace=False).tolist()
        seeds = rng.choice(1_000, int(rng.integers(3, 6)), replace=False).tolist()
        if seeds == sorted(seeds):  # or their order could not be seen to be kept
            seeds.reverse()
        self._ablation, self._mechanisms, self._seeds = ablation, tuple(chosen), seeds
        self._conditions: dict[str, tuple[str, ...]] = {
            "none": (),
            **{name: (name,) for name in chosen},
            "all": self._mechanisms,
        }
        self._calls: list[tuple[tuple[str, ...], int]] = []
        self._finished, self._table = False, None

    def each_run_once(self, part: Part) -> None:
        """Nothing, each mechanism alone and all together, with the same seeds."""
        self._table = self._ablation(self._run, self._mechanisms, list(self._seeds))
        self._finished = True
        calls, conditions = self._calls, self._conditions.values()
        wanted = sorted((on, seed) for on in conditions for seed in self._seeds)
        missing = sorted(set(wanted) - set(calls))
        extra = sorted({on for on, _ in calls} - set(conditions), key=len)
        part.expect(
            sorted(calls) == wanted,
            f"{len(calls)} runs, {len(set(calls))} different"
            + (f"; missing: {missing[0]}" if missing else "")
            + (f"; not asked: {extra[0]}" if extra else ""),
            f"{len(wanted)} runs, all different",
            "",
            "The mechanisms are added up, one to the others: what one does by itself is seen only "
            "when it is switched on alone, (name,)."
            if any(len(on) > 1 for on in extra)
            else "Nothing, each mechanism alone and all of them together, in the order given, each "
            "with every seed: one seed for all would measure nothing about chance.",
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
            name: [_measured(on, seed) for seed in self._seeds]
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

    def _run(self, switched_on: Any, seed: int) -> dict[str, float]:
        """What the student's function calls."""
        if isinstance(switched_on, str):
            raise Missed(
                f"run was given the word {switched_on!r}; it wants a tuple of mechanisms, such as "
                f"({switched_on!r},) with its comma."
            )
        if len(self._calls) == MOST_RUNS:
            raise Missed(f"run was called more than {MOST_RUNS:,} times.")
        # Anything may be handed to run: of a huge array, the first items are kept.
        on = tuple(str(name)[:40] for name in islice(switched_on, 10))
        self._calls.append((on, int(seed)))
        return {"clone": _measured(on, int(seed)), "honest": 0.5}


def _measured(on: tuple[str, ...], seed: int) -> float:
    return round(float(draws.rng("ablation", *on, seed).random()), 4)
