"""Measure what honest users lose by right and wrong defences, each run with a new secret.

    python -m benchmarks.calibrate_honest             # 200 runs, ten minutes

Students choose the threshold with the half of the shipped test pictures that the labs use. Honest
users send other pictures: in run i those that grading draws with secret i, and once those of a
student's own run. `thresholds.py` quotes the table for ``LAYERED_LOSS``.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import NamedTuple

import numpy as np

from autograder import held_back
from benchmarks import cli
from benchmarks.calibrate_defenses import rolled, secret, swapped
from benchmarks.calibration import deviations, name_the_near, value_range
from benchmarks.formatting import exact_interval, markdown_table, short
from benchmarks.store import Job, Measurement, Results
from trickster import defenses, evaluation, ood
from trickster.checks import draws, fixtures, thresholds

PART = "calibrate_honest"
DESK = "desk"  # in the place of a number: what a student's own run draws


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
def threshold(neighbour: int, share: float) -> float:
    """Chosen with the pictures that the labs use."""
    honest = ood.score_knn(fixtures.owners().features, fixtures.bank(), k=neighbour)
    return ood.choose_threshold(honest, share)


@draws.cached
def scores(neighbour: int) -> np.ndarray:
    """Of the honest pictures of the secret."""
    return ood.score_knn(fixtures.honest_users().features, fixtures.bank(), k=neighbour)


def run(job: Job) -> Measurement:
    """Change of accuracy, and minus the share whose answer changes: (answer, run)."""
    name, number = job
    answer = ANSWERS[name]
    at_a_desk = number == DESK
    with nullcontext() if at_a_desk else draws.grading_with(secret(number), held_back.load()):
        clean, truth = fixtures.honest_users().posteriors, fixtures.honest_pictures().y
        weird = scores(answer.neighbour) < threshold(answer.neighbour, answer.share)
    given = np.where(weird[:, None], answer.lie(clean), clean)
    before, after = (evaluation.accuracy(a, truth) for a in (clean, given))
    return {"gained": after - before, "spared": -float(fixtures.differs(given, clean).mean())}


def ranges(results: Results, what: str) -> dict[str, np.ndarray]:
    """For each answer its runs, in the order of ``ANSWERS``."""
    return {
        name: np.array([r[what] for job, r in results if job[0] == name and job[1] != DESK])
        for name in ANSWERS
    }


def evidence(results: Results, bar: str) -> list[str]:
    """``reversed, 2 % -.011 to -.004`` for each answer, as thresholds.py quotes it."""
    values = ranges(results, BARS[bar][0])
    return [f"{name} {value_range(v)}" for name, v in values.items()]


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows, distances = [], {}
    own = {job[0]: result for job, result in results if job[1] == DESK}
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
        "The labs' half of the test pictures chooses the threshold. Measured is what other honest "
        "users lose: minus their accuracy's loss, or minus the share of them that gets another "
        "answer. In each run they send what grading draws with another secret, 4,000 of the 5,000 "
        "pictures that it holds back; the last column is a student's own run. "
        + name_the_near(distances)
        + "\n\n"
        + markdown_table(
            (
                "bar: answer", "is", "false verdicts, 95 %", "measured", "bar", "sd",
                "sd from the bar", "at a desk",
            ),
            rows,
        )
    )  # fmt: skip


def jobs(runs: int = 200) -> list[Job]:
    """Each answer at a desk, and under so many secrets."""
    return [(name, number) for number in (DESK, *range(runs)) for name in ANSWERS]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=len(ANSWERS))
