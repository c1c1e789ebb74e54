"""What the course's defences take from thieves who have read their code, and from the oracle.

    python -m benchmarks.knowing_thieves              # 5 seeds, half an hour, one core

A thief sends shapes within one day. Who *knows* the defence lacks nothing but its key: they undo
reversed answers, leave out what a first clone finds unlikely, keep labels only, or open as many
accounts as they need. The *oracle* is told which answers are lies, and trains on the others. Three
more thieves own a hundred real pictures, which neither the victim nor a detector has learnt from.

Each of them trains three clones from the same answers: the one that labs 3 to 5 train, one that is
trained eight times as long, and lab 2's, which is trained as long and sees means of 2 by 2 pixels.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from benchmarks import cli
from benchmarks.course_defenses import (
    ACCOUNTS,
    BUDGET,
    DEFENSES,
    FINER,
    KEYED,
    PER_DAY,
    REAL,
    halves,
    honest_users,
    owned,
    scenario,
    tell,
)
from benchmarks.formatting import markdown_table, mean_interval, plural, short
from benchmarks.store import Job, Measurement, Results
from trickster import adaptive_attacks, attacks, defenses, evaluation
from trickster.attacks import TrainingSet

PART = "knowing_thieves"
EPOCHS, MOST = 10, 100  # with a full budget, and with few answers: about as many steps for all
NAIVE, ORACLE = "does not know", "oracle"
MANY_ACCOUNTS = f"{ACCOUNTS} accounts"
KNOWING = (MANY_ACCOUNTS, "keeps labels", "un-lier", "small loss")
MIXED, ALONE, AUGMENTED = (f"{REAL} real {how}" for how in ("mixed in", "alone", "augmented"))
WITH_REAL = (MIXED, ALONE, AUGMENTED)
LONGER = 8  # times as many epochs, 80 in place of 10
LAB_3, LONG, LAB_2 = "", f"{EPOCHS * LONGER} epochs", "lab 2's clone"
CLONES = (LAB_3, LONG, LAB_2)
LYING = ("noise", "adaptive misinformation", "Trickster", "layered", *KEYED)
LABELS_ONLY = ("layered",)
UNDONE = ("Trickster", *KEYED)  # the un-lier's, who knows how answers are reversed


@dataclass(frozen=True)
class Account:
    """Somebody who asks a service behind a defence."""

    defense: str
    seed: int

    def query(self, x: np.ndarray) -> np.ndarray:
        return tell(self.defense, x, self.seed).answers


def training_sets(defense: str, seed: int) -> dict[str, TrainingSet]:
    """What each thief makes of what they were told."""
    pool, data = scenario.pool("shapes", BUDGET, seed=seed), scenario.data
    told, lies = tell(defense, pool, seed)
    soft = TrainingSet(pool, told, epochs=EPOCHS, seed=seed)
    one_day = slice(PER_DAY.get(defense, BUDGET))
    real = data.x_test[owned(seed)]
    mixed = np.concatenate([real, pool])[:BUDGET]
    to_mixed = tell(defense, mixed, seed).answers
    sets = {
        NAIVE: replace(soft, x=pool[one_day], answers=told[one_day]),
        MIXED: replace(soft, x=mixed, answers=to_mixed),
        ALONE: replace(soft, x=real, answers=to_mixed[:REAL]),
    }
    if defense in PER_DAY:
        sets[MANY_ACCOUNTS] = soft
    if defense in LYING:
        sets["small loss"] = adaptive_attacks.small_loss(soft)
        sets[ORACLE] = adaptive_attacks.oracle(soft, lies)
    if defense in LYING and defense not in LABELS_ONLY:
        sets["keeps labels"] = replace(soft, labels="hard")
    if defense in UNDONE:
        sets["un-lier"] = adaptive_attacks.unlied(soft, [defenses.misinform], seed=seed)
    return {name: replace(one, epochs=epochs_for(len(one.x))) for name, one in sets.items()}


def epochs_for(answers: int) -> int:
    """Few answers are learnt in more epochs, so that nobody is weak for want of training."""
    return int(np.clip(round(EPOCHS * BUDGET / answers), EPOCHS, MOST))


def squares(x: np.ndarray) -> np.ndarray:
    """Means of squares of 2 by 2 pixels: ``(n, c, h, w)`` to ``(n, c, h / 2, w / 2)``."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))


def with_clone(thief: str, clone: str) -> str:
    """The name in the results of a thief who trains this clone."""
    return f"{thief}, {clone}" if clone else thief


def who_trains(name: str) -> str:
    """The thief alone, from a name that ``with_clone`` made."""
    for clone in (LONG, LAB_2):
        name = name.removesuffix(with_clone("", clone))
    return name


def trained(given: Mapping[str, TrainingSet], clone: str) -> dict[str, np.ndarray]:
    """This clone's labels of all test pictures, under the name of each thief who trains it."""
    seen, times = squares if clone == LAB_2 else np.asarray, 1 if clone == LAB_3 else LONGER
    sets = [replace(one, x=seen(one.x), epochs=one.epochs * times) for one in given.values()]
    clones = zip(given, attacks.train_clones(sets), strict=True)
    x = seen(scenario.data.x_test)
    return {with_clone(thief, clone): network.labels(x) for thief, network in clones}


def predictions(defense: str, seed: int) -> dict[str, np.ndarray]:
    """For each thief with each clone, its labels of all test pictures."""
    sets = training_sets(defense, seed)
    without_real = {thief: one for thief, one in sets.items() if thief not in WITH_REAL}
    labels = trained(sets, LAB_3) | trained(without_real, LONG) | trained(sets, LAB_2)
    augmented = attacks.steal_jacobian(Account(defense, seed), sets[ALONE].x, BUDGET, seed=seed)
    labels[AUGMENTED] = augmented.labels(scenario.data.x_test)
    return labels


def stolen(labels: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """How good a clone is by its ``labels`` of the ``others`` among the test pictures."""
    return {
        "accuracy": evaluation.accuracy(labels[others], scenario.data.y_test[others]),
        "fidelity": evaluation.fidelity(labels[others], victim_labels()[others]),
    }


@cache
def victim_labels() -> np.ndarray:
    return scenario.victim.labels(scenario.data.x_test)


def run(job: Job) -> Measurement:
    """Each thief's clone, what was flagged, and what honest users get."""
    defense, seed = job
    data, found = scenario.data, {}
    for thief, labels in predictions(defense, seed).items():
        others = np.ones(len(labels), dtype=bool)
        others[owned(seed) if thief.startswith(WITH_REAL) else []] = False
        found[thief] = stolen(labels, others)
    served = tell(defense, data.x_test[halves()[1]], seed)
    pool = scenario.pool("shapes", BUDGET, seed=seed)
    found["flagged"] = float(tell(defense, pool, seed).lies.mean())
    found["honest flagged"] = float(served.lies.mean())
    found["honest users"] = honest_users(served.answers)
    return found


def values(results: Results, defense: str, thief: str, what: str = "fidelity") -> list[float]:
    """One measurement for each seed; none where there is no such thief."""
    return [one[thief][what] for job, one in results if job[0] == defense and thief in one]


def of_all(results: Results, defense: str, what: str) -> float:
    """Mean over the seeds of a share that is no thief's: flagged, honest flagged."""
    return float(np.mean([one[what] for job, one in results if job[0] == defense]))


def honest(results: Results, defense: str, what: str) -> float:
    """Mean over the seeds of honest users' utility, or of what they have lost."""
    return float(
        np.mean([one["honest users"][what][0] for job, one in results if job[0] == defense])
    )


def best(results: Results, defense: str, thieves: Sequence[str], what: str = "fidelity") -> str:
    """The most successful of these thieves, or of those who were tried, with any clone."""
    named = (with_clone(thief, clone) for thief in thieves for clone in CLONES)
    tried = [thief for thief in named if values(results, defense, thief, what)]
    return max(tried, key=lambda thief: np.mean(values(results, defense, thief, what)))


def section(results: Results) -> str:
    """The tables, as Markdown: one for each clone."""
    about = "; ".join(f"*{name}*: {DEFENSES[name]}" for name in LYING if name in DEFENSES)
    flagged = [
        f"{defense}: {of_all(results, defense, 'flagged'):.0%} of the shapes and "
        f"{of_all(results, defense, 'honest flagged'):.0%} of honest inputs, at a loss of "
        + short(honest(results, defense, "lost"))
        for defense in LYING
    ]
    return (
        f"Fidelity of the clone, mean over {plural(len({job[1] for job, _ in results}), 'seed')} "
        "with a 95 % bootstrap interval; in bold, for each defence, the best thief with any "
        "clone who is not told anything and has no real pictures. "
        "*Un-lier*: undoes reversed answers; *small loss*: leaves out what a first clone finds "
        "unlikely; *oracle*: told which answers are lies. Where an account has a limit, all but "
        f"the first thief have {ACCOUNTS}. Thieves with {REAL} real pictures, held-out ones, mix "
        "them among the shapes, use nothing else, or double them along the clone's gradient. Who "
        "has few answers learns them for as many steps as the others. Defences: "
        f"{about}; *{FINER}*: the same, each with a lie of its own.\n\nThe clone of labs "
        f"3 to 5, which learns from all pixels for {EPOCHS} epochs:\n\n"
        f"{_table(results, LAB_3)}\n\n"
        f"The same clone, trained for {EPOCHS * LONGER} epochs:\n\n"
        f"{_table(results, LONG)}\n\n"
        "A clone that lab 2's thieves may try, trained as long, which sees the means of 2 by 2 "
        f"pixels:\n\n{_table(results, LAB_2)}\n\n"
        f"Answered with lies, and what honest users lose. {'; '.join(flagged)}."
    )


def _table(results: Results, clone: str) -> str:
    """A row for each defence, a column for each thief who trains this clone."""
    real = {LAB_3: WITH_REAL, LONG: (), LAB_2: (MIXED, ALONE)}[clone]
    thieves = (NAIVE, *KNOWING, ORACLE, *real)
    rows = []
    for defense in ("none", *LYING):
        strongest = best(results, defense, (NAIVE, *KNOWING))
        cells = []
        for thief in (with_clone(thief, clone) for thief in thieves):
            found = values(results, defense, thief)
            cell = mean_interval(found) if found else ""
            cells.append(f"**{cell}**" if thief == strongest else cell)
        rows.append((defense, *cells))
    return markdown_table(("", *thieves), rows)


def jobs(seeds: int = 5) -> list[Job]:
    """Each defence with each seed."""
    return [(defense, seed) for seed in range(seeds) for defense in ("none", *LYING)]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=len(LYING) + 1)
