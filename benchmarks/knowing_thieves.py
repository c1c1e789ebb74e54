"""What the course's defences take from thieves who have read their code, and from the oracle.

    python -m benchmarks.knowing_thieves              # 5 seeds, fifteen minutes, one core

A thief sends shapes within one day. Who *knows* the defence lacks nothing but its key: they undo
reversed answers, leave out what a first clone finds unlikely, keep labels only, or open as many
accounts as they need. The *oracle* is told which answers are lies, and trains on the others. Three
more thieves own a hundred real pictures, which neither the victim nor a detector has learnt from.

Each of them trains two clones from the same answers: the one that labs 3 to 5 train, and the one
that lab 2's reference theft trains, which is a better thief's.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import cli
from benchmarks.course_defenses import (
    ACCOUNTS,
    BUDGET,
    DEFENSES,
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
LAB_2 = "lab 2's clone"
LONGER = 8  # times as many epochs for lab 2's clone, 80 in place of 10
LYING = ("noise", "adaptive misinformation", "Trickster", "layered", "keyed lies")
LABELS_ONLY = ("layered",)
UNDONE = ("Trickster", "keyed lies")  # the un-lier's, who knows how answers are reversed


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


def as_in_lab_2(thief: str) -> str:
    """The name of the same thief with lab 2's clone."""
    return f"{thief}, {LAB_2}"


def predictions(defense: str, seed: int) -> dict[str, np.ndarray]:
    """For each thief, their clone's labels of all test pictures."""
    sets, x = training_sets(defense, seed), scenario.data.x_test
    labels = {}
    for name, clone in zip(sets, attacks.train_clones(list(sets.values())), strict=True):
        labels[name] = clone.labels(x)
    augmented = attacks.steal_jacobian(Account(defense, seed), sets[ALONE].x, BUDGET, seed=seed)
    labels[AUGMENTED] = augmented.labels(x)
    smaller = [replace(one, x=squares(one.x), epochs=one.epochs * LONGER) for one in sets.values()]
    for name, clone in zip(sets, attacks.train_clones(smaller), strict=True):
        labels[as_in_lab_2(name)] = clone.labels(squares(x))
    return labels


def run(job: Job) -> Measurement:
    """Each thief's clone, what was flagged, and what honest users get."""
    defense, seed = job
    data, theirs = scenario.data, scenario.victim.labels(scenario.data.x_test)
    found: Measurement = {}
    for thief, labels in predictions(defense, seed).items():
        others = np.ones(len(labels), dtype=bool)
        others[owned(seed) if thief.startswith(WITH_REAL) else []] = False
        found[thief] = {
            "accuracy": evaluation.accuracy(labels[others], data.y_test[others]),
            "fidelity": evaluation.fidelity(labels[others], theirs[others]),
        }
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
    """The most successful of these thieves with either clone, or of those who were tried."""
    both = [*thieves, *map(as_in_lab_2, thieves)]
    tried = [thief for thief in both if values(results, defense, thief, what)]
    return max(tried, key=lambda thief: np.mean(values(results, defense, thief, what)))


def section(results: Results) -> str:
    """The tables, as Markdown: one for each clone."""
    about = "; ".join(f"*{name}*: {DEFENSES[name]}" for name in LYING)
    flagged = [
        f"{defense}: {of_all(results, defense, 'flagged'):.0%} of the shapes and "
        f"{of_all(results, defense, 'honest flagged'):.0%} of honest inputs, at a loss of "
        + short(honest(results, defense, "lost"))
        for defense in LYING
    ]
    return (
        f"Fidelity of the clone, mean over {plural(len({job[1] for job, _ in results}), 'seed')} "
        "with a 95 % bootstrap interval; in bold, for each defence, the best thief with either "
        "clone who is not told anything and has no real pictures. "
        "*Un-lier*: undoes reversed answers; *small loss*: leaves out what a first clone finds "
        "unlikely; *oracle*: told which answers are lies. Where an account has a limit, all but "
        f"the first thief have {ACCOUNTS}. Thieves with {REAL} real pictures, held-out ones, mix "
        "them among the shapes, use nothing else, or double them along the clone's gradient. Who "
        "has few answers learns them for as many steps as the others. Defences: "
        f"{about}.\n\nThe clone of labs 3 to 5, which learns from all pixels for {EPOCHS} epochs:"
        f"\n\n{_table(results, (NAIVE, *KNOWING, ORACLE, *WITH_REAL), str)}\n\n"
        "The same answers, learnt by the clone of lab 2's reference theft, which sees the means "
        f"of 2 by 2 pixels for {EPOCHS * LONGER} epochs:\n\n"
        f"{_table(results, (NAIVE, *KNOWING, ORACLE, MIXED, ALONE), as_in_lab_2)}\n\n"
        f"Answered with lies, and what honest users lose. {'; '.join(flagged)}."
    )


def _table(results: Results, thieves: Sequence[str], named: Callable[[str], str]) -> str:
    """A row for each defence; ``named`` gives a thief's name in the results."""
    rows = []
    for defense in ("none", *LYING):
        strongest = best(results, defense, (NAIVE, *KNOWING))
        cells = []
        for thief in map(named, thieves):
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
