"""How many queries a keyed lie costs the thieves who ask in order to find it out.

    python -m benchmarks.lies_by_query               # 5 seeds, half an hour, one core

Lab 5's detector, with one permutation for all weird pictures, with 2 to the power of 3, 6, 9 or 12
cells, or with one permutation for each picture. Every thief pays for every query out of the same
budget: who walks or asks about copies has fewer pictures left to learn from. The *oracle*, who is
told which answers are lies, and the thief of an undefended service pay one query a picture. All
train the clone of labs 3 to 5; behind eight cells and with 3,000 queries, README's row, each has
lab 2's clone as well.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from benchmarks import calibrate_knowing as lab5
from benchmarks import cli
from benchmarks.course_defenses import FLAGGED, halves, scenario
from benchmarks.formatting import markdown_table, mean_interval, plural, short
from benchmarks.knowing_thieves import LONGER, as_in_lab_2, epochs_for, squares
from benchmarks.store import Job, Measurement, Results
from trickster import attacks, defenses, evaluation, probing
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
COURSE = "8 cells"  # what lab 5 recommends, and the other tables call keyed lies
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
    labels = _labels(found, seed, both_clones=(kind, budget) == (COURSE, BUDGETS[0]))
    data, theirs = scenario.data, scenario.victim.labels(scenario.data.x_test)
    measured: Measurement = {}
    for thief, (x, answers, queries) in found.items():
        true = np.abs(answers - scenario.victim.posteriors(x)).max(axis=1) < 0.01
        for name in {thief, as_in_lab_2(thief)} & set(labels):
            measured[name] = {
                "accuracy": evaluation.accuracy(labels[name], data.y_test),
                "fidelity": evaluation.fidelity(labels[name], theirs),
                "queries": queries,
                "believed": len(x),
                "true": float(np.mean(true)),
            }
    return measured


def _labels(found: dict[str, Found], seed: int, both_clones: bool) -> dict[str, np.ndarray]:
    """For each thief, their clone's labels of all test pictures; and those of lab 2's clone."""
    x = scenario.data.x_test
    sets = {
        thief: TrainingSet(x, answers, epochs=epochs_for(len(x)), seed=seed)
        for thief, (x, answers, _) in found.items()
    }
    clones = zip(sets, attacks.train_clones(list(sets.values())), strict=True)
    labels = {thief: clone.labels(x) for thief, clone in clones}
    if both_clones:
        smaller = [
            replace(one, x=squares(one.x), epochs=one.epochs * LONGER) for one in sets.values()
        ]
        for thief, clone in zip(sets, attacks.train_clones(smaller), strict=True):
            labels[as_in_lab_2(thief)] = clone.labels(squares(x))
    return labels


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
    both = [
        mean_interval(values(results, COURSE, BUDGETS[0], name))
        for name in map(as_in_lab_2, (WALKING, UNAWARE))
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
        "copies, and gives each class the number that it never had. With lab 2's clone and "
        f"{BUDGETS[0]:,} queries, behind {COURSE}, the walking thief has {both[0]}, the one who "
        f"does not know {both[1]}.\n\n" + "\n\n".join(tables)
    )


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
