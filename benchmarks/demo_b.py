"""Demo B over seeds: each of its mechanisms alone, all of them, and the thieves it left out.

    python benchmarks/demo_b.py              # 30 seeds, half a minute on two cores
    python benchmarks/demo_b.py --seeds 100

The demonstration ("ML05:2023 Model Theft", scikit-learn's digits) published one run.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import kept
import numpy as np
from kept import Found, Job, Result, counted, interval, markdown

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


def run(job: Job) -> Result:
    """One theft: the condition's name and the seed."""
    name, seed = job
    return CONDITIONS[name].run(seed)


def section(found: Found) -> str:
    """The table, as Markdown."""
    rows = []
    for name in CONDITIONS:
        here = [result for job, result in found if job[0] == name]
        stolen = [one["clone_accuracy"] for one in here]
        rows.append(
            (
                name,
                PUBLISHED.get(name, ""),
                interval(stolen),
                f"{min(stolen):.2f} to {max(stolen):.2f}",
                interval(one["fidelity"] for one in here),
                f"{np.mean([one['query_success'] for one in here]):.0%}",
                interval(one["honest_accuracy"] for one in here),
            )
        )
    seeds = len({job[1] for job, _ in found})
    head = (
        "", "published", "clone's accuracy", "range", "fidelity", "thief's queries answered",
        "honest users' accuracy",
    )  # fmt: skip
    return (
        f"Mean over {counted(seeds, 'seed')} with a 95 % bootstrap interval. The victim is always "
        "the same forest; a seed draws the thief's pictures and the defence's dice. Accounts take "
        "turns, each with 150 answers before its rate limit sets in; who asks several times takes "
        "the majority. Honest users are taken to stay below the limit: who does not is refused "
        "four requests in five.\n\n" + markdown(head, rows)
    )


def jobs(seeds: int = 30) -> list[Job]:
    """Each condition with each seed."""
    return [(name, seed) for seed in range(seeds) for name in CONDITIONS]


if __name__ == "__main__":
    kept.main(sys.modules[__name__], chunk=12)
