"""How many queries a keyed lie costs the thieves who ask in order to find it out.

    python -m benchmarks.lies_by_query               # 5 seeds, half an hour, one core

Lab 5's detector, with one permutation for all weird pictures, with 2 to the power of 3, 6, 9 or 12
cells, or with one permutation for each picture. Every thief pays for every query out of the same
budget: who walks or asks about copies has fewer pictures left to learn from. The *oracle*, who is
told which answers are lies, and the thief of an undefended service pay one query a picture. All
train the clone of labs 3 to 5; in README's rows, behind 8 and 512 cells with 3,000 queries, they
train the two better ones of ``knowing_thieves`` as well.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from benchmarks import calibrate_knowing as lab5
from benchmarks import cli
from benchmarks.course_defenses import FLAGGED, halves, scenario
from benchmarks.formatting import markdown_table, mean_interval, plural, short
from benchmarks.knowing_thieves import CLONES, LAB_3, epochs_for, stolen, trained, with_clone
from benchmarks.store import Job, Measurement, Results
from trickster import defenses, probing
from trickster.api import Query
from trickster.attacks import TrainingSet
from trickster.probing import Found

PART = "lies_by_query"
BUDGETS = (3_000, 6_000)
PLANES = {
    "one permutation": 0,
    "8 cells": 3,
    "64 cells": 6,
    "512 cells": 9,
    "4,096 cells": 12,
    "one a picture": None,
}
COURSE, FINER = "8 cells", "512 cells"  # lab 5's reference, and what it recommends in the end
ANY = "any lie"  # whose kind does not matter
UNDEFENDED, ORACLE = "undefended", "oracle"
UNAWARE, WALKING, COPYING = "does not know", "walking", "copying"
FAR, ELIMINATING = "copying, farther", "eliminating"
ASKING = (WALKING, COPYING, FAR, ELIMINATING)
COPIES, NOISE = 3, 0.03  # of the thief whose copies differ more


@cache
def detector() -> tuple[lab5.Score, float]:
    """Lab 5's reference, and its threshold."""
    return lab5.combined(), lab5.threshold(lab5.combined, FLAGGED)


class Service:
    """Lab 5's service with one kind of lie, under a key for each seed."""

    def __init__(self, kind: str, seed: int):
        key, planes = np.random.default_rng([5, seed]).bytes(32), PLANES[kind]
        self.lie: defenses.KeyedLie = (
            defenses.PictureLie(key)
            if planes is None
            else defenses.CellLie.fit(key, lab5.weird_features(), planes)
        )

    def query(self, x: np.ndarray) -> np.ndarray:
        answers, features, weird = judged(x)
        if weird.any():
            asked = Query(x[weird], features[weird], "", 0.0)
            answers[weird] = self.lie(answers[weird], asked)
        return answers


def judged(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The victim's posteriors and last features of pictures, and which are weird."""
    layers, posteriors = scenario.victim.statistics_and_posteriors(x)
    score, threshold = detector()
    weird = score(np.hstack(list(layers.values()))) < threshold
    return posteriors, layers["features"], weird


def one_real_picture(seed: int) -> np.ndarray:
    """What the walking thief owns: a picture of clothes whose answer they can see to be right."""
    x, y = (held_out[halves()[0]] for held_out in (scenario.data.x_test, scenario.data.y_test))
    for row in np.random.default_rng(seed).permutation(len(x)):
        posteriors, _, weird = judged(x[row : row + 1])
        if not weird[0] and posteriors[0].argmax() == y[row]:
            return x[row]
    raise ValueError("No picture is answered truthfully and rightly.")


def thefts(kind: str, budget: int, seed: int) -> dict[str, Callable[[], Found]]:
    """Each thief, ready to go."""
    pool = scenario.pool("shapes", budget, seed=seed)
    if kind == ANY:

        def told() -> Found:
            posteriors, _, weird = judged(pool)
            return Found(pool[~weird], posteriors[~weird], budget)

        return {
            UNDEFENDED: lambda: Found(pool, scenario.victim.posteriors(pool), budget),
            ORACLE: told,
        }
    ask = Service(kind, seed).query
    thieves = {
        UNAWARE: lambda: Found(pool, ask(pool), budget),
        WALKING: lambda: probing.walking(ask, one_real_picture(seed), pool, budget),
        COPYING: lambda: probing.copying(ask, pool, budget, seed=seed),
        FAR: lambda: probing.copying(
            ask, pool, budget, copies=COPIES, change=probing.noisy(NOISE), seed=seed
        ),
    }
    if PLANES[kind] is None:
        thieves[ELIMINATING] = lambda: probing.eliminating(ask, pool, budget, seed=seed)
    return thieves


def run(job: Job) -> Measurement:
    """Each thief's clone; how many answers they believe, and how many of these are true."""
    kind, budget, seed = job
    found = {thief: theft() for thief, theft in thefts(kind, budget, seed).items()}
    sets = {
        thief: TrainingSet(x, answers, epochs=epochs_for(len(x)), seed=seed)
        for thief, (x, answers, _) in found.items()
    }
    all_pictures = np.ones(len(scenario.data.x_test), dtype=bool)
    measured: Measurement = {}
    for clone in clones(kind, budget):
        labels = trained(sets, clone)
        for thief, (x, answers, queries) in found.items():
            true = np.abs(answers - scenario.victim.posteriors(x)).max(axis=1) < 0.01
            name = with_clone(thief, clone)
            measured[name] = {
                **stolen(labels[name], all_pictures),
                "queries": queries,
                "believed": len(x),
                "true": float(np.mean(true)),
            }
    return measured


def clones(kind: str, budget: int) -> Sequence[str]:
    """Which ones every thief trains."""
    return CLONES if kind in (COURSE, FINER) and budget == BUDGETS[0] else (LAB_3,)


def values(
    results: Results, kind: str, budget: int, thief: str, what: str = "fidelity"
) -> list[float]:
    """One measurement for each seed; none where there is no such thief."""
    return [
        one[thief][what]
        for (its_kind, its_budget, _), one in results
        if (its_kind, its_budget) == (kind, budget) and thief in one
    ]


def best(results: Results, kind: str, budget: int, what: str = "fidelity") -> str:
    """The most successful thief against a kind of lie."""
    tried = [one for one in (UNAWARE, *ASKING) if values(results, kind, budget, one)]
    return max(tried, key=lambda one: np.mean(values(results, kind, budget, one, what)))


def section(results: Results) -> str:
    """A table for each budget, as Markdown."""
    tables = []
    for budget in BUDGETS:
        rows = []
        for kind in PLANES:
            strongest, cells = best(results, kind, budget), []
            for thief in (UNAWARE, *ASKING):
                found = values(results, kind, budget, thief)
                cell = mean_interval(found) if found else ""
                if found and thief != UNAWARE:
                    true = np.mean(values(results, kind, budget, thief, "true"))
                    believed = np.mean(values(results, kind, budget, thief, "believed"))
                    cell += f" ({true:.0%} of {believed:,.0f})"
                cells.append(f"**{cell}**" if thief == strongest else cell)
            rows.append((kind, *cells))
        told, free = (
            mean_interval(values(results, ANY, budget, thief)) for thief in (ORACLE, UNDEFENDED)
        )
        tables.append(
            f"With {budget:,} queries (oracle {told}, undefended {free}):\n\n"
            + markdown_table(("", UNAWARE, *ASKING), rows)
        )
    better = [
        f"behind {kind} the walking thief has {_most(results, kind, WALKING)}, the copying one "
        f"{_most(results, kind, COPYING)}, who does not know {_most(results, kind, UNAWARE)}"
        for kind in (COURSE, FINER)
    ]
    seeds = plural(len({seed for (_, _, seed), _ in results}), "seed")
    return (
        f"Fidelity of the clone, mean over {seeds} with a 95 % bootstrap interval, behind lab 5's "
        "detector; in bold the best thief in each row. In brackets: how many answers the thief "
        "believes in the end, and what share of them is true. Every query counts. *Walking*: goes "
        "along lines from one real picture, reads off at the edges how the classes were permuted, "
        "and undoes it. *Copying*: asks about each picture twice, the second time with every pixel "
        "changed by 1/255, and leaves out the answers whose order changes; *farther*: about "
        f"{COPIES} copies with noise of deviation {short(NOISE, 2)}. *Eliminating*: asks about 24 "
        "copies, and gives each class the number that it never had.\n\n"
        + "\n\n".join(tables)
        + f"\n\nWith the best of three clones and {BUDGETS[0]:,} queries, {'; '.join(better)}."
    )


def _most(results: Results, kind: str, thief: str) -> str:
    named = [with_clone(thief, clone) for clone in CLONES]
    found = [values(results, kind, BUDGETS[0], name) for name in named]
    return mean_interval(max((one for one in found if one), key=np.mean))


def jobs(seeds: int = 5) -> list[Job]:
    """Each kind of lie with each budget and seed."""
    return [
        (kind, budget, seed)
        for budget in BUDGETS
        for seed in range(seeds)
        for kind in (ANY, *PLANES)
    ]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=len(PLANES) + 1)
