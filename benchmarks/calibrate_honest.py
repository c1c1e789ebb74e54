"""Measure what honest users lose by right and wrong defences, with other halves held out.

    python -m benchmarks.calibrate_honest             # 200 halves, a minute
    python -m benchmarks.calibrate_honest --runs 20

The checks of labs 3 and 4 hold out one fixed half of the test pictures. Here a random half
chooses the threshold, and the other one is what honest users send. `thresholds.py`
quotes the table for ``LAYERED_LOSS``.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from benchmarks import cli
from benchmarks.calibrate_defenses import rolled, swapped
from benchmarks.calibration import deviations, name_the_near, value_range
from benchmarks.formatting import exact_interval, markdown_table, short
from benchmarks.store import Job, Measurement, Results
from trickster import defenses, evaluation, ood
from trickster.checks import fixtures, thresholds

PART = "calibrate_honest"
OWN = "own"  # in the place of a seed: the halves of the checks


class Answer(NamedTuple):
    """A defence whose threshold treats ``share`` of one half as weird."""

    right: bool
    share: float = 0.02
    lie: Callable[[np.ndarray], np.ndarray] = defenses.misinform
    neighbour: int = 1


ANSWERS = {
    "reversed, 2 %": Answer(True),
    "1 %": Answer(True, 0.01),
    "rolled by one": Answer(True, lie=rolled),
    "largest and smallest swapped": Answer(True, lie=swapped),
    "5th neighbour": Answer(True, neighbour=5),
    "rolled, 10th neighbour": Answer(True, lie=rolled, neighbour=10),
    "5 %": Answer(False, 0.05),
    "10 %": Answer(False, 0.10),
}
# What each bar measures (larger is better), and where full points begin. ``LAYERED_LOSS`` asks for
# the same as ``HONEST_LOSS``.
BARS = {
    "HONEST_LOSS": ("gained", -thresholds.HONEST_LOSS),
    "HONEST_FLAGGED": ("spared", -thresholds.HONEST_FLAGGED),
}


@cache
def scores(neighbour: int) -> np.ndarray:
    """Of all test pictures."""
    return ood.score_knn(_all("features"), fixtures.bank(), k=neighbour)


@cache
def _all(what: str) -> np.ndarray:
    return np.concatenate([getattr(fixtures.owners(), what), getattr(fixtures.held_out(), what)])


def run(job: Job) -> Measurement:
    """Change of accuracy, and minus the share whose answer changes: (answer, seed)."""
    name, seed = job
    answer, posteriors, truth = ANSWERS[name], _all("posteriors"), fixtures.fashion().y_test
    order = np.arange(len(truth)) if seed == OWN else np.random.default_rng(seed).permutation(5_000)
    held, rest = np.split(order, 2)
    every = scores(answer.neighbour)
    weird = every[rest] < ood.choose_threshold(every[held], answer.share)
    clean = posteriors[rest]
    given = np.where(weird[:, None], answer.lie(clean), clean)
    before, after = (evaluation.accuracy(a, truth[rest]) for a in (clean, given))
    return {"gained": after - before, "spared": -float(fixtures.differs(given, clean).mean())}


def ranges(results: Results, what: str) -> dict[str, np.ndarray]:
    """For each answer its runs, in the order of ``ANSWERS``."""
    return {
        name: np.array([r[what] for job, r in results if job[0] == name and job[1] != OWN])
        for name in ANSWERS
    }


def evidence(results: Results, bar: str) -> list[str]:
    """``reversed, 2 % -.011 to -.004`` for each answer, as thresholds.py quotes it."""
    values = ranges(results, BARS[bar][0])
    return [f"{name} {value_range(v)}" for name, v in values.items()]


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows, distances = [], {}
    own = {job[0]: result for job, result in results if job[1] == OWN}
    for bar, (what, full) in BARS.items():
        for name, value in ranges(results, what).items():
            answer, passed = ANSWERS[name], int((value >= full).sum())
            false = len(value) - passed if answer.right else passed
            distances[f"{bar}: {name}"] = deviations(value, full)
            rows.append(
                (
                    f"{bar}: {name}",
                    "right" if answer.right else "wrong",
                    f"{false} of {len(value)} {exact_interval(false, len(value))}",
                    value_range(value),
                    short(full),
                    short(value.std(ddof=1)),
                    f"{deviations(value, full):+.1f}",
                    short(own[name][what]),
                )
            )
    return (
        "A random half of the test pictures chooses the threshold, the other half is measured: "
        "minus what honest users lose of their accuracy, or minus the share of them that gets "
        "another answer. The halves of the checks are fixed, so nobody passes or fails by chance: "
        "the last column is what they measure. "
        + name_the_near(distances)
        + " No bar lies three from both sides: the right answers that lose the most and the "
        "threshold at 5 % are too close to each other.\n\n"
        + markdown_table(
            (
                "bar: answer", "is", "false verdicts, 95 %", "measured", "bar", "sd",
                "sd from the bar", "own half",
            ),
            rows,
        )
    )  # fmt: skip


def jobs(runs: int = 200) -> list[Job]:
    """Each answer on the checks' own halves and on random ones."""
    return [(name, seed) for name in ANSWERS for seed in (OWN, *range(runs))]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=99)
