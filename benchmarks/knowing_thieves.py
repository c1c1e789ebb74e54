"""What the course's defences take from thieves who have read their code, and from the oracle.

    python -m benchmarks.knowing_thieves              # 10 seeds, ten minutes, two cores

Defences: those of labs 3, 4 and 5. A thief sends shapes within one day, or a hundred real pictures
and shapes. Who *knows* the defence lacks nothing but its key: they undo reversed answers, leave out
what a first clone finds unlikely, or keep labels only; the best of them counts. The *oracle* is
told which answers are lies, and trains on the others.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from benchmarks import calibrate_knowing as lab5
from benchmarks import cli
from benchmarks.formatting import markdown_table, mean_interval, plural, short
from benchmarks.store import Job, Measurement, Results
from benchmarks.thieves_by_defense import BUDGET, FLAGGED, PER_DAY, REAL, halves, trickster
from trickster import adaptive_attacks, attacks, defenses, evaluation
from trickster.api import Query
from trickster.attacks import TrainingSet
from trickster.scenario import Scenario

PART = "knowing_thieves"
EPOCHS, MOST = 10, 100  # with a full budget, and with few answers: about as many steps for all
NAIVE, REAL_PICTURES, ORACLE = "does not know", f"{REAL} real pictures", "oracle"
KNOWING = ("keeps labels", "un-lier", "small loss")

scenario = Scenario("fashion")


class Told(NamedTuple):
    """Answers, and which of them are lies."""

    answers: np.ndarray
    lies: np.ndarray


class Defence(NamedTuple):
    """Answers to pictures (pictures, seed), and what the service lets an account have."""

    about: str
    tell: Callable[[np.ndarray, int], Told]
    labels_only: bool = False
    budget: int = BUDGET


def nothing(x: np.ndarray, seed: int) -> Told:
    return Told(scenario.victim.posteriors(x), np.zeros(len(x), dtype=bool))


def reversed_answers(x: np.ndarray, seed: int) -> Told:
    """Lab 3's: the nearest neighbour decides, and lies are the probabilities in reverse."""
    features, posteriors = scenario.victim.features_and_posteriors(x)
    query = Query(x, features, "", 0.0)
    return Told(trickster()(posteriors, query), trickster().weird(posteriors, query))


def layered(x: np.ndarray, seed: int) -> Told:
    """Lab 4's: the same, and then labels only."""
    answers, lies = reversed_answers(x, seed)
    return Told(defenses.hard_labels(answers), lies)


@cache
def threshold() -> float:
    """For lab 5's detector, chosen as lab 3's is: on the first half of the test pictures."""
    return lab5.threshold(lab5.combined, FLAGGED)


def keyed(x: np.ndarray, seed: int) -> Told:
    """Lab 5's: outliers made from honest pictures train the detector, and a key draws the lies."""
    layers, posteriors = scenario.victim.statistics_and_posteriors(x)
    statistics = np.hstack(list(layers.values()))
    key = np.random.default_rng([5, seed]).bytes(32).hex()
    lies, answers = lab5.combined()(statistics) < threshold(), posteriors.copy()
    answers[lies] = lab5.cells(3)(posteriors[lies], statistics[lies, lab5.FEATURES], key)
    return Told(answers, lies)


DEFENSES = {
    "none": Defence("", nothing),
    "lab 3": Defence("probabilities in reverse for weird inputs", reversed_answers),
    "lab 4": Defence(
        f"the same, then labels only, {PER_DAY['layered']:,} a day for each account",
        layered, labels_only=True, budget=PER_DAY["layered"],
    ),
    "lab 5": Defence("another detector, and keyed lies", keyed),
}  # fmt: skip


def training_sets(defence: Defence, seed: int) -> dict[str, TrainingSet]:
    """What each thief makes of what they were told."""
    pool, data = scenario.pool("shapes", BUDGET, seed=seed)[: defence.budget], scenario.data
    told, lies = defence.tell(pool, seed)
    soft = TrainingSet(pool, told, epochs=EPOCHS, seed=seed)
    real = data.x_train[np.random.default_rng(seed).choice(len(data.x_train), REAL, replace=False)]
    mixed = np.concatenate([real, pool])[: defence.budget]
    sets = {
        NAIVE: soft,
        REAL_PICTURES: replace(soft, x=mixed, answers=defence.tell(mixed, seed)[0]),
    }
    if lies.any():
        sets["small loss"] = adaptive_attacks.small_loss(soft)
        sets[ORACLE] = adaptive_attacks.oracle(soft, lies)
    if lies.any() and not defence.labels_only:
        sets["keeps labels"] = replace(soft, labels="hard")
        sets["un-lier"] = adaptive_attacks.unlied(soft, [defenses.misinform], seed=seed)
    return {name: replace(one, epochs=epochs_for(len(one.x))) for name, one in sets.items()}


def epochs_for(answers: int) -> int:
    """Few answers are learnt in more epochs, so that nobody is weak for want of training."""
    return int(np.clip(round(EPOCHS * BUDGET / answers), EPOCHS, MOST))


def run(job: Job) -> Measurement:
    """Accuracy and fidelity of each thief's clone, what was flagged and what honest users keep."""
    name, seed = job
    defence, victim, data = DEFENSES[name], scenario.victim, scenario.data
    sets = training_sets(defence, seed)
    theirs = victim.labels(data.x_test)
    found: Measurement = {}
    for thief, clone in zip(sets, attacks.train_clones(list(sets.values())), strict=True):
        labels = clone.labels(data.x_test)
        found[thief] = [
            evaluation.accuracy(labels, data.y_test),
            evaluation.fidelity(labels, theirs),
        ]
    measuring = halves()[1]
    served, lies = defence.tell(data.x_test[measuring], seed)
    found["flagged"] = float(
        defence.tell(scenario.pool("shapes", BUDGET, seed=seed), seed).lies.mean()
    )
    found["honest flagged"] = float(lies.mean())
    truth = data.y_test[measuring]
    found["utility"] = evaluation.accuracy(served.argmax(axis=1), truth)
    found["lost"] = evaluation.accuracy(theirs[measuring], truth) - found["utility"]
    return found


def values(results: Results, defense: str, thief: str, what: str = "fidelity") -> list[float]:
    """One measurement for each seed; none where there is no such thief."""
    index = ("accuracy", "fidelity").index(what)
    return [one[thief][index] for job, one in results if job[0] == defense and thief in one]


def of_all(results: Results, defense: str, what: str) -> float:
    """Mean over the seeds of what is no thief's: flagged, honest flagged, utility, lost."""
    return float(np.mean([one[what] for job, one in results if job[0] == defense]))


def best_who_knows(results: Results, defense: str, what: str = "fidelity") -> str:
    """The most successful of the thieves who know the defence."""
    tried = [thief for thief in (NAIVE, *KNOWING) if values(results, defense, thief, what)]
    return max(tried, key=lambda thief: np.mean(values(results, defense, thief, what)))


def section(results: Results) -> str:
    """The table, as Markdown."""
    thieves = (NAIVE, *KNOWING, ORACLE, REAL_PICTURES)
    rows = []
    for defense in DEFENSES:
        best = best_who_knows(results, defense)
        cells = []
        for thief in thieves:
            found = values(results, defense, thief)
            cell = mean_interval(found) if found else ""
            cells.append(f"**{cell}**" if thief == best else cell)
        shares = (of_all(results, defense, what) for what in ("flagged", "honest flagged"))
        lost = short(of_all(results, defense, "lost"))
        rows.append((defense, *cells, *(f"{share:.0%}" for share in shares), lost))
    about = "; ".join(f"*{name}*: {one.about}" for name, one in DEFENSES.items() if one.about)
    return (
        f"Fidelity of the clone, mean over {plural(len({job[1] for job, _ in results}), 'seed')} "
        "with a 95 % bootstrap interval; in bold the best thief who is not told anything. "
        "*Un-lier*: undoes reversed answers; *small loss*: leaves out what a first clone finds "
        "unlikely; *oracle*: told which answers are lies. Who has few answers learns them for as "
        "many steps as the others. Then the shares of shapes and of honest inputs that are "
        f"flagged, and what honest users lose. Defences: {about}.\n\n"
        + markdown_table(("", *thieves, "flagged", "honest flagged", "lost"), rows)
    )


def jobs(seeds: int = 10) -> list[Job]:
    """Each defence with each seed."""
    return [(defense, seed) for seed in range(seeds) for defense in DEFENSES]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=4)
