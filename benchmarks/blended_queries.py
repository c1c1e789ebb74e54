"""Lab 5's detector against thieves who mix real pictures into every query.

    python -m benchmarks.blended_queries             # 5 seeds, five minutes, one core

On demo A's theft a quarter of one real photograph in each query passes the detector. Here the same
is tried on the course's ground: each shape is mixed with a picture of clothes that the thief owns.
The clone is that of labs 3 to 5; behind the defence the lies are keyed, in 8 cells.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks import cli
from benchmarks.course_defenses import halves, scenario
from benchmarks.formatting import markdown_table, mean_interval, plural
from benchmarks.knowing_thieves import BUDGET, LAB_3, epochs_for, stolen, trained
from benchmarks.lies_by_query import COURSE, Service, judged
from benchmarks.store import Job, Measurement, Results
from trickster.attacks import TrainingSet

PART = "blended_queries"
# Real pictures that the thief owns, and the share of one of them in each query.
MIXTURES = ((0, 0.0), (1, 0.25), (1, 0.5), (10, 0.25), (10, 0.5), (10, 1.0))
UNDEFENDED, UNAWARE, ORACLE = "undefended", "does not know", "oracle"
THIEVES = (UNDEFENDED, UNAWARE, ORACLE)


def queries(pictures: int, share: float, seed: int) -> np.ndarray:
    """Shapes, each mixed with one of so many held-out pictures; these alone for a share of 1."""
    shapes = scenario.pool("shapes", BUDGET, seed=seed)
    if not pictures:
        return shapes
    rng = np.random.default_rng([seed, pictures])
    own = scenario.data.x_test[rng.choice(halves()[0].stop, pictures, replace=False)]
    if share == 1:
        return own
    mixed = own[np.arange(len(shapes)) % pictures]
    return shapes + np.float32(share) * (mixed - shapes)


def run(job: Job) -> Measurement:
    """The clone of each thief, and what share of the queries is flagged."""
    pictures, share, seed = job
    x = queries(pictures, share, seed)
    truths, _, weird = judged(x)
    given = {
        UNDEFENDED: (x, truths),
        UNAWARE: (x, Service(COURSE, seed).query(x)),
        ORACLE: (x[~weird], truths[~weird]),
    }
    sets = {
        thief: TrainingSet(*told, epochs=epochs_for(len(told[0])), seed=seed)
        for thief, told in given.items()
        if len(told[0])
    }
    others = np.zeros(len(scenario.data.x_test), dtype=bool)
    others[halves()[1]] = True  # none that the thief owns
    labels = trained(sets, LAB_3)
    measured: Measurement = {
        thief: stolen(one, others)["fidelity"] for thief, one in labels.items()
    }
    return measured | {"flagged": float(weird.mean())}


def values(results: Results, pictures: int, share: float, what: str) -> list[float]:
    """One for each seed: the fidelity of a thief, or the share ``flagged``."""
    return [one[what] for job, one in results if job[:2] == (pictures, share)]


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows = []
    for pictures, share in MIXTURES:
        owned = plural(pictures, "real picture")
        name = "shapes as they are"
        if pictures:
            name = f"{owned} alone" if share == 1 else f"{share:.0%} of one of {owned}"
        flagged = np.mean(values(results, pictures, share, "flagged"))
        found = (values(results, pictures, share, thief) for thief in THIEVES)
        rows.append((name, f"{flagged:.0%}", *map(mean_interval, found)))
    seeds = plural(len({job[2] for job, _ in results}), "seed")
    return (
        f"Fidelity of the clone, mean over {seeds} with a 95 % bootstrap interval, with {BUDGET:,} "
        "shapes, into each of which the thief has mixed a picture of clothes of their own. "
        "*Flagged*: by lab 5's detector. *Does not know*: believes every answer behind keyed lies "
        "in 8 cells. *Oracle*: is told which answers are lies.\n\n"
        + markdown_table(("each query holds", "flagged", *THIEVES), rows)
    )


def jobs(seeds: int = 5) -> list[Job]:
    """Each mixture with each seed."""
    return [(*mixture, seed) for seed in range(seeds) for mixture in MIXTURES]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=len(MIXTURES))
