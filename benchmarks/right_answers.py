"""What survives of the labs' right answers when the thief has read them.

    python -m benchmarks.right_answers                # 3 seeds, ten minutes, one core

Right answers are what the checks of labs 3, 4 and 5 give all points for a whole defence: the
references, the zoo's other ways, and two more lies that lab 3 accepts. Their thieves ask about
3,000 shapes within the terms, from as many accounts as they need. The *un-lier* undoes this very
lie, tries all the usual ways where only the key could tell, or leaves out what is plainly a lie.
Who *looks at the pictures* undoes the lie where an answer does not fit its picture.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from io import StringIO
from typing import Any, NamedTuple

import numpy as np

from benchmarks import answers, calibrate_defenses, cli
from benchmarks.course_defenses import BUDGET, halves, scenario
from benchmarks.formatting import markdown_table, mean_interval, plural
from benchmarks.knowing_thieves import epochs_for
from benchmarks.store import Job, Measurement, Results
from trickster import adaptive_attacks, attacks, defenses, evaluation
from trickster.attacks import TrainingSet
from trickster.checks.keyed_cases import UNDO

PART = "right_answers"
WHOLE = {"lab3": "trickster_test", "lab4": "layered_test", "lab5": "defend_test"}
REQUEST, A_DAY = 60, 300  # within the terms of lab 4: pictures in a request, answers an account
UNDEFENDED, NAIVE, UNLIER, LOOKS, ORACLE = (
    "undefended", "does not know", "un-lier", "looks at the pictures", "oracle"
)  # fmt: skip
THIEVES = (UNDEFENDED, NAIVE, UNLIER, LOOKS, ORACLE)
Clean = Callable[[TrainingSet], TrainingSet]


def undoing(*ways: Callable[[np.ndarray], np.ndarray]) -> Clean:
    return lambda told: adaptive_attacks.unlied(told, ways, seed=told.seed)


def rolled_back(told: np.ndarray) -> np.ndarray:
    return np.roll(told, -1, axis=1)


def leaving_out(largest: float) -> Clean:
    """Without the answers whose largest probability is this one."""
    return lambda told: adaptive_attacks.oracle(
        told, np.abs(told.answers.max(axis=1) - largest) < 1e-4
    )


class Answer(NamedTuple):
    """A right answer: whose, what it tells weird inputs, and what its reader does about it."""

    lab: str
    student: str  # of the zoo; "" for lab 3's defence with the lie of ``calibrate_defenses``
    lies: str
    clean: Clean | None  # None: a label says nothing of what it was before
    undo: adaptive_attacks.Undo | None = None  # where the code says how a lie is turned round


def undoable(student: str, lies: str, undo: adaptive_attacks.Undo) -> Answer:
    """An answer of lab 3 whose lies can be turned round."""
    return Answer("lab3", student, lies, undoing(undo), undo)


ANSWERS = {
    "lab 3, reference": undoable("perfect", "probabilities in reverse", defenses.misinform),
    "lab 3, other way": Answer(
        "lab3", "other_way", ".82 on the least likely class", leaving_out(0.82)
    ),
    "lab 3, rolled by one": undoable(
        "", "each class gets its neighbour's probability", rolled_back
    ),
    "lab 3, largest and smallest swapped": undoable(
        "", "the two change places", calibrate_defenses.swapped
    ),
    "lab 4, reference": Answer("lab4", "perfect", "in reverse, then labels only", None),
    "lab 4, other way": Answer("lab4", "other_way", "labels, the least likely class", None),
    "lab 5, reference": Answer("lab5", "perfect", "keyed, eight cells", undoing(*UNDO)),
    "lab 5, other way": Answer(
        "lab5", "other_way", "keyed, one permutation a picture", undoing(*UNDO)
    ),
}


@cache
def _names(name: str) -> dict[str, Any]:
    """What the answer's notebook defines, and nothing of what it prints."""
    one = ANSWERS[name]
    with redirect_stdout(StringIO()):
        return answers.names_in(answers.zoo(one.lab)[one.student].notebook, one.lab)


@cache
def _features() -> tuple[np.ndarray, np.ndarray]:
    """Of training pictures, and of the half of the test pictures that chooses thresholds."""
    data, features = scenario.data, scenario.victim.features
    return features(data.x_train), features(data.x_test[halves()[0]])


def tell(name: str, x: np.ndarray, seed: int) -> np.ndarray:
    """What the service behind this answer tells a thief about pictures."""
    one, (bank, honest) = ANSWERS[name], _features()
    features, posteriors = scenario.victim.features_and_posteriors(x)
    if not one.student:
        lie = calibrate_defenses.BOTH_RIGHT[name.removeprefix("lab 3, ")]
        return calibrate_defenses.trickster_of(lie, bank, honest)(posteriors, features)
    names = _names(name)
    if one.lab == "lab3":
        return names["trickster"](x, posteriors, features)
    if one.lab == "lab5":
        layers = scenario.victim.statistics(x)
        key = np.random.default_rng([5, seed]).bytes(32).hex()
        return names["defend"](x, posteriors, np.hstack(list(layers.values())), key)
    layered = names["make_layered"](bank, honest)
    told = []
    for i in range(0, len(x), REQUEST):
        rows = slice(i, i + REQUEST)
        told.append(layered(x[rows], posteriors[rows], features[rows], f"{i // A_DAY}", 0.0))
    return np.concatenate(told)


def run(job: Job) -> Measurement:
    """Fidelity of each thief's clone, and the share of the shapes that are answered with lies."""
    name, seed = job
    x = scenario.pool("shapes", BUDGET, seed=seed)
    truth = scenario.victim.posteriors(x)
    told = np.asarray(tell(name, x, seed), dtype=np.float32)
    lies = told.argmax(axis=1) != truth.argmax(axis=1)
    soft = TrainingSet(x, told, seed=seed)
    sets = {
        UNDEFENDED: TrainingSet(x, truth, seed=seed),
        NAIVE: soft,
        ORACLE: adaptive_attacks.oracle(soft, lies),
    }
    if clean := ANSWERS[name].clean:
        sets[UNLIER] = clean(soft)
    if undo := ANSWERS[name].undo:
        sets[LOOKS] = adaptive_attacks.explained(soft, [undo])
    sets = {thief: replace(one, epochs=epochs_for(len(one.x))) for thief, one in sets.items()}
    clones = attacks.train_clones(list(sets.values()))
    theirs = scenario.victim.labels(scenario.data.x_test)
    fidelity = {
        thief: evaluation.fidelity(clone.labels(scenario.data.x_test), theirs)
        for thief, clone in zip(sets, clones, strict=True)
    }
    return {**fidelity, "lies": float(lies.mean())}


def values(results: Results, name: str, what: str) -> list[float]:
    """One measurement for each seed; none where there is no such thief."""
    return [found[what] for job, found in results if job[0] == name and what in found]


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows = [
        (
            name,
            one.lies,
            f"{np.mean(values(results, name, 'lies')):.0%}",
            *(
                mean_interval(found) if (found := values(results, name, who)) else ""
                for who in THIEVES
            ),
        )
        for name, one in ANSWERS.items()
    ]
    return (
        "Right answers of labs 3, 4 and 5: the references, the other ways of the sample "
        "submissions, and two more lies that lab 3 accepts. Fidelity of the clone, mean over "
        f"{plural(len({job[1] for job, _ in results}), 'seed')} with a 95 % bootstrap interval, "
        f"from {BUDGET:,} answers; *lies*: share of the shapes whose answer names another class. "
        "The *un-lier* has read the answer: they undo its lie, try all "
        f"{len(UNDO)} usual ways where only the key could tell, or leave out what is plainly a "
        "lie; of these labels nothing can be undone. Who *looks at the pictures* lets a first "
        "clone, trained on answers that may be true or lies, say which version of an answer fits "
        "its picture. The *oracle* is told which answers are lies. A rolled answer looks like a "
        "true one of another class: the un-lier, who sees nothing but answers, cannot tell the two "
        "apart; who looks at the pictures, can.\n\n"
        + markdown_table(("", "what weird inputs get", "lies", *THIEVES), rows, left=(0, 1))
    )


def _cell(found: list[float]) -> str:
    return mean_interval(found) if found else ""


def jobs(seeds: int = 3) -> list[Job]:
    """Each answer with each seed."""
    return [(name, seed) for name in ANSWERS for seed in range(seeds)]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=3)
