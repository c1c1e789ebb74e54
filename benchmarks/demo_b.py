"""Demo B over seeds: each of its mechanisms alone, all of them, and the thieves it left out.

    python -m benchmarks.demo_b              # 30 seeds, half a minute on two cores
    python -m benchmarks.demo_b --seeds 100

The demonstration ("ML05:2023 Model Theft", scikit-learn's digits) published one run.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks import cli
from benchmarks.formatting import markdown_table, mean_interval, plural
from benchmarks.store import Job, Measurement, Results
from trickster.demos import MECHANISMS, DemoB

PART = "demo_b"
PUBLISHED = {"no defence": ".494", "all five": ".174"}  # the clone's accuracy
CONDITIONS = {
    "no defence": DemoB(()),
    **{f"{name} alone": DemoB((name,)) for name in MECHANISMS},
    "all five": DemoB(),
    "all five, against two accounts": DemoB(accounts=2),
    "all five, against 10 accounts that ask five times": DemoB(accounts=10, repeats=5),
    "all five, against 30 accounts that ask 15 times": DemoB(accounts=30, repeats=15),
    "no defence, against 300 real digits": DemoB((), real_pictures=True),
    "all five, against 300 real digits": DemoB(real_pictures=True),
}


def run(job: Job) -> Measurement:
    """One theft: the condition's name and the seed."""
    name, seed = job
    return CONDITIONS[name].run(seed)


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows = []
    for name in CONDITIONS:
        runs = [result for job, result in results if job[0] == name]
        stolen = [one["clone_accuracy"] for one in runs]
        rows.append(
            (
                name,
                PUBLISHED.get(name, ""),
                mean_interval(stolen),
                f"{min(stolen):.2f} to {max(stolen):.2f}",
                mean_interval(one["fidelity"] for one in runs),
                f"{np.mean([one['query_success'] for one in runs]):.0%}",
                mean_interval(one["honest_accuracy"] for one in runs),
            )
        )
    seeds = len({job[1] for job, _ in results})
    head = (
        "", "published", "clone's accuracy", "range", "fidelity", "thief's queries answered",
        "honest users' accuracy",
    )  # fmt: skip
    return (
        f"Mean over {plural(seeds, 'seed')} with a 95 % bootstrap interval. The victim is always "
        "the same forest; a seed draws the thief's pictures and the defence's dice. Accounts take "
        "turns, each with 150 answers before its rate limit sets in; who asks several times takes "
        "the majority. Honest users are taken to stay below the limit: who does not is refused "
        "four requests in five.\n\n" + markdown_table(head, rows)
    )


def jobs(seeds: int = 30) -> list[Job]:
    """Each condition with each seed."""
    return [(name, seed) for seed in range(seeds) for name in CONDITIONS]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=12)
