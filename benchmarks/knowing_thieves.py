"""What the course's defences take from thieves who have read their code, and from the oracle.

    python -m benchmarks.knowing_thieves              # 5 seeds, ten minutes, one core

A thief sends shapes within one day. Who *knows* the defence lacks nothing but its key: they undo
reversed answers, leave out what a first clone finds unlikely, keep labels only, or open as many
accounts as they need. The *oracle* is told which answers are lies, and trains on the others. Three
more thieves own a hundred real pictures.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Sequence
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
    real = data.x_train[np.random.default_rng(seed).choice(len(data.x_train), REAL, replace=False)]
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


def run(job: Job) -> Measurement:
    """Each thief's clone, what was flagged, and what honest users get."""
    defense, seed = job
    sets = training_sets(defense, seed)
    clones = dict(zip(sets, attacks.train_clones(list(sets.values())), strict=True))
    account = Account(defense, seed)
    clones[AUGMENTED] = attacks.steal_jacobian(account, sets[ALONE].x, BUDGET, seed=seed)
    data, theirs = scenario.data, scenario.victim.labels(scenario.data.x_test)
    found: Measurement = {}
    for thief, clone in clones.items():
        labels = clone.labels(data.x_test)
        found[thief] = {
            "accuracy": evaluation.accuracy(labels, data.y_test),
            "fidelity": evaluation.fidelity(labels, theirs),
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
    """The most successful of these thieves, or of those among them who were tried."""
    tried = [thief for thief in thieves if values(results, defense, thief, what)]
    return max(tried, key=lambda thief: np.mean(values(results, defense, thief, what)))


def section(results: Results) -> str:
    """The table, as Markdown."""
    thieves = (NAIVE, *KNOWING, ORACLE, *WITH_REAL)
    rows = []
    for defense in ("none", *LYING):
        strongest = best(results, defense, (NAIVE, *KNOWING))
        cells = []
        for thief in thieves:
            found = values(results, defense, thief)
            cell = mean_interval(found) if found else ""
            cells.append(f"**{cell}**" if thief == strongest else cell)
        shares = (of_all(results, defense, what) for what in ("flagged", "honest flagged"))
        lost = short(honest(results, defense, "lost"))
        rows.append((defense, *cells, *(f"{share:.0%}" for share in shares), lost))
    about = "; ".join(f"*{name}*: {DEFENSES[name]}" for name in LYING)
    return (
        f"Fidelity of the clone, mean over {plural(len({job[1] for job, _ in results}), 'seed')} "
        "with a 95 % bootstrap interval; in bold the best thief who is not told anything and has "
        "no real pictures. "
        "*Un-lier*: undoes reversed answers; *small loss*: leaves out what a first clone finds "
        "unlikely; *oracle*: told which answers are lies. Where an account has a limit, all but "
        f"the first thief have {ACCOUNTS}. Thieves with {REAL} real pictures mix them among the "
        "shapes, use nothing else, or double them along the clone's gradient. Who has few answers "
        "learns them for as many steps as the others. Then the shares of shapes and of honest "
        f"inputs that are answered with lies, and what honest users lose. Defences: {about}.\n\n"
        + markdown_table(("", *thieves, "flagged", "honest flagged", "lost"), rows)
    )


def jobs(seeds: int = 5) -> list[Job]:
    """Each defence with each seed."""
    return [(defense, seed) for seed in range(seeds) for defense in ("none", *LYING)]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=len(LYING) + 1)
