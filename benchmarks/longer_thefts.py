"""Lab 2's budget curve with eight times the training steps, for what the lab draws and says of it.

python -m benchmarks.longer_thefts             # 3 seeds, three minutes on one core
python -m benchmarks.longer_thefts --seeds 1
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from functools import cache

import numpy as np

from benchmarks import cli
from benchmarks.formatting import markdown_table, short
from benchmarks.store import Job, Measurement, Results
from trickster import attacks, evaluation, training
from trickster.scenario import Scenario

PART = "longer_thefts"
BUDGETS = (100, 300, 1_000, 3_000, 5_000)  # the lab's
EPOCHS = 80  # of the largest budget; the lab's thieves train for 10


@cache
def scenario() -> Scenario:
    return Scenario("fashion")


def run(job: Job) -> Measurement:
    """The fidelities of clones of so many shapes, with the pictures and seeds of the lab."""
    budget, seeds = job
    epochs = training.same_steps(budget, like=max(BUDGETS), epochs=EPOCHS)
    told = []
    for seed in range(1, seeds + 1):
        x = scenario().pool("shapes", max(BUDGETS), seed=seed)[:budget]
        answers = scenario().victim.posteriors(x)
        told.append(attacks.TrainingSet(x, answers, epochs=epochs, seed=seed))
    clothes = scenario().data.x_test
    labels = scenario().victim.labels(clothes)
    clones = attacks.train_clones(told)  # train_clone's up to rounding, sooner
    return {"fidelity": [evaluation.fidelity(one.labels(clothes), labels) for one in clones]}


def values(results: Results, budget: int) -> list[float]:
    """The fidelity of each seed."""
    (found,) = (one["fidelity"] for job, one in results if job[0] == budget)
    return found


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows = []
    for budget in BUDGETS:
        found = values(results, budget)
        each = ", ".join(short(one) for one in found)
        rows.append((f"{budget:,}", short(float(np.mean(found))), each))
    return (
        "Fidelity of a clone of so many shapes, with soft labels. All train for as many steps: "
        f"those of 5,000 answers and {EPOCHS} epochs. The lab's own thieves train for an eighth of "
        "them.\n\n" + markdown_table(("queries", "mean", "each seed"), rows)
    )


def jobs(seeds: int = 3) -> list[Job]:
    """Each budget, with so many of the lab's seeds."""
    return [(budget, seeds) for budget in BUDGETS]


if __name__ == "__main__":
    cli.main(sys.modules[__name__])
