"""The reference table: every thief against every defence of the course, in the default scenario.

    python -m benchmarks.thieves_by_defense             # 10 seeds, a quarter of an hour, two cores
    python -m benchmarks.thieves_by_defense --seeds 20

Each theft takes one day. All thieves plan with the terms of the service (how many answers an
account gets in a day), and 3,000 answers are the most they can use. What stands in the table of
thieves who know a defence is ``knowing_thieves``'s.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from benchmarks import cli, knowing_thieves
from benchmarks.course_defenses import (
    ACCOUNTS,
    BUDGET,
    DEFENSES,
    FLAGGED,
    PER_DAY,
    REAL,
    halves,
    honest_users,
    outputs,
    owned,
    scenario,
)
from benchmarks.formatting import markdown_table, mean_interval, plural, short, with_interval
from benchmarks.store import Job, Measurement, Results, stored_results
from trickster import attacks, evaluation, models, picture
from trickster.api import PredictionAPI
from trickster.limiters import ManualClock, SlidingWindow

PART = "thieves_by_defense"
REQUEST, DAY = 100, 86_400
REPEATS = 3

THIEVES = {
    "soft": "3,000 shapes, learns from probabilities",
    "hard": "the same, keeps only labels",
    "averaging": f"asks each of its shapes {REPEATS} times and learns from the means",
    "Sybil": f"the soft thief with {ACCOUNTS} accounts",
    "100 real": f"the soft thief, {REAL} of whose pictures are real clothes that the victim has "
    "not seen",
    "Jacobian": f"{REAL} real pictures, doubled along the clone's gradient until the budget ends",
}
WITHOUT_REAL = ("soft", "hard", "averaging", "Sybil")
WITH_REAL = {
    "100 real": f"{REAL} real pictures among the shapes",
    "Jacobian": f"{REAL} real pictures, augmented",
}
# Measured by ``knowing_thieves``, for the defences that lie.
KNOWING = {
    "un-lier": "knows how answers are reversed and puts each right that looks reversed",
    "small loss": "leaves out the half that a first clone finds unlikely",
    "oracle": "no thief, a bound: told which answers are lies, and trains on the others",
}
MEASURED_THERE = "keyed lies"  # the row of that defence is that part's
SAME = {  # names there of thieves here
    "soft": knowing_thieves.NAIVE,
    "hard": "keeps labels",
    "100 real": knowing_thieves.MIXED,
    "Jacobian": knowing_thieves.AUGMENTED,
}


def service(name: str, seed: int) -> PredictionAPI:
    """The victim behind a defence, in the first second of a day."""
    limiters = [SlidingWindow(PER_DAY[name], DAY)] if name in PER_DAY else []
    return scenario.api(defenses=outputs(name, seed), limiters=limiters, clock=ManualClock())


def theft(thief: str, defense: str, seed: int) -> models.Classifier:
    """The clone of one thief after a day."""
    api = service(defense, seed)
    client = api.client("thief")
    budget = min(BUDGET, PER_DAY.get(defense, BUDGET))
    shapes = scenario.pool("shapes", BUDGET, seed=seed)
    real = scenario.data.x_test[owned(seed)]
    labels = "hard" if thief == "hard" else "soft"
    if thief == "Jacobian":
        return attacks.steal_jacobian(_InRequests(client), real, budget, seed=seed)
    if thief == "averaging":
        budget //= REPEATS
        client = attacks.Averaging(client, REPEATS)
    if thief == "Sybil":
        budget = min(BUDGET, ACCOUNTS * PER_DAY.get(defense, BUDGET))
        client = attacks.Sybil([api.client(f"account {i}") for i in range(ACCOUNTS)])
    pool = np.concatenate([real, shapes]) if thief == "100 real" else shapes
    x, answers = attacks.collect(client, pool, budget, batch_size=REQUEST)
    return attacks.train_clone(x, answers, labels=labels, seed=seed)


class _InRequests:
    """Cuts a large question into requests of the size that the others send."""

    def __init__(self, client: attacks.Queryable):
        self.client = client

    def query(self, x: np.ndarray) -> np.ndarray:
        parts = [x[i : i + REQUEST] for i in range(0, len(x), REQUEST)]
        return np.concatenate([self.client.query(part) for part in parts])


def honest(defense: str, seed: int) -> Measurement:
    """What honest customers get; each account sends three requests of a hundred pictures."""
    api, x = service(defense, seed), scenario.data.x_test[halves()[1]]
    answers = np.concatenate(
        [
            api.query(x[i : i + REQUEST], key=f"customer {i // (3 * REQUEST)}")
            for i in range(0, len(x), REQUEST)
        ]
    )
    return honest_users(answers)


def run(job: Job) -> Measurement:
    """One theft (thief, defence, seed), or ("honest users", defence, seed)."""
    thief, defense, seed = job
    if thief == "honest users":
        return honest(defense, seed)
    others = np.ones(len(scenario.data.x_test), dtype=bool)
    others[owned(seed) if thief in WITH_REAL else []] = False
    x, y = scenario.data.x_test[others], scenario.data.y_test[others]
    predicted = theft(thief, defense, seed).labels(x)
    return {
        "fidelity": evaluation.fidelity(predicted, scenario.victim.labels(x)),
        "accuracy": evaluation.accuracy(predicted, y),
    }


def values(results: Results, thief: str, defense: str, what: str = "fidelity") -> list:
    """One measurement for each seed."""
    return [result[what] for job, result in results if job[:2] == (thief, defense)]


def with_who_knows(results: Results) -> Results:
    """These results, and in their form those of ``knowing_thieves`` that belong beside them."""
    more = []
    for (defense, seed), found in stored_results(knowing_thieves):
        there = {name: name for name in KNOWING}
        if defense == MEASURED_THERE:
            there |= SAME
            more.append((("honest users", defense, seed), found["honest users"]))
        for thief, name in there.items():
            if name in found:
                more.append(((thief, defense, seed), found[name]))
    return [*results, *more]


def worst(results: Results, defense: str) -> str:
    """The thief without real pictures whose clones are the most faithful; the oracle is none."""
    tried = [
        thief
        for thief in (*WITHOUT_REAL, *KNOWING)
        if thief != "oracle" and values(results, thief, defense)
    ]
    return max(tried, key=lambda thief: np.mean(values(results, thief, defense)))


def section(results: Results) -> str:
    """Two tables, as Markdown."""
    seeds = len({job[2] for job, _ in results})
    results, thieves = with_who_knows(results), (*THIEVES, *KNOWING)
    rows, accuracies = [], []
    for defense in DEFENSES:
        honest = values(results, "honest users", defense, "utility")
        if not honest:  # measured by the other part, and not yet
            continue
        lost = values(results, "honest users", defense, "lost")[0]
        best = worst(results, defense)
        cells = []
        for thief in thieves:
            cell = _cell(values(results, thief, defense))
            cells.append(f"**{cell}**" if thief == best else cell)
        rows.append(
            (defense, *cells, short(honest[0][0]), with_interval(*lost) if any(lost) else short(0))
        )
        stolen = (_cell(values(results, thief, defense, "accuracy")) for thief in thieves)
        accuracies.append((defense, *stolen))
    about = "; ".join(f"*{name}*: {what}" for name, what in (THIEVES | KNOWING).items())
    terms = "; ".join(f"*{name}*: {what}" for name, what in DEFENSES.items() if what)
    return (
        f"Fidelity of the clone, mean over {plural(seeds, 'seed')} with a 95 % bootstrap "
        "interval; in bold the best thief who has no real pictures. Utility: accuracy of honest "
        "users; lost: what the defence takes of it, picture by picture, its interval from the "
        "pictures. The columns *un-lier*, *small loss* and *oracle*, and the row *keyed lies*, are "
        "of the next part, which has its own machine line; they are empty where a defence tells no "
        "lies, or none of the kind. Where there is no limit, ten accounts get what one gets.\n\n"
        + markdown_table(("", *thieves, "utility", "lost"), rows)
        + f"\n\nThieves, who have one day and use at most {BUDGET:,} answers: {about}. Defences: "
        f"{terms}. An input is weird if its nearest training features are farther away than those "
        f"of all but {FLAGGED:.0%} of honest inputs.\n\n"
        "Accuracy of the same clones:\n\n" + markdown_table(("", *thieves), accuracies)
    )


def _cell(found: list[float]) -> str:
    return mean_interval(found) if found else ""


def figure(results: Results) -> picture.Picture:
    """What each thief gets behind each defence, beside what honest users lose."""
    results, thieves = with_who_knows(results), (*THIEVES, *KNOWING)
    names = [name for name in DEFENSES if values(results, "honest users", name, "lost")]
    names.sort(key=lambda d: (d != "none", -np.mean(values(results, worst(results, d), d))))
    canvas = Figure(figsize=(9, 0.7 * len(names) + 1.2))
    left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(3, 1.3))
    step = 0.8 / len(thieves)  # of a row's height
    markers = (*picture.MARKERS, "<")
    for i, thief in enumerate(thieves):
        label: str | None = thief
        for row, defense in enumerate(names):
            if not (found := values(results, thief, defense)):
                continue
            fidelity = evaluation.bootstrap_interval(found)
            left.errorbar(
                fidelity.mean, -row + step * ((len(thieves) - 1) / 2 - i), markersize=5,
                fmt=markers[i], color=picture.COLOURS[i % len(picture.COLOURS)], elinewidth=1,
                xerr=[[fidelity.mean - fidelity.low], [fidelity.high - fidelity.mean]],
                label=label,
            )  # fmt: skip
            label = None
    for row, defense in enumerate(names):
        mean, low, high = values(results, "honest users", defense, "lost")[0]
        right.errorbar(
            mean, -row, xerr=[[mean - low], [high - mean]], fmt="o", color="0.2", markersize=5
        )
    left.set(title="fidelity of the clone", xlim=(0, 1))
    right.axvline(0, color="0.9", zorder=0)
    right.set(title="accuracy honest users lose")
    left.set_yticks([-row for row in range(len(names))], names)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
    canvas.legend(loc="lower center", ncols=5, frameon=False, bbox_to_anchor=(0.5, -0.09))
    canvas.tight_layout()
    return picture.Picture(canvas, _alt(results, names))


def _alt(results: Results, names: list[str]) -> str:
    def best(defense: str, thieves: Iterable[str]) -> str:
        return f"{max(np.mean(v) for w in thieves if (v := values(results, w, defense))):.2f}"

    listed = "; ".join(
        f"{d} {best(d, [worst(results, d)])} and {best(d, WITH_REAL)}" for d in names
    )
    return (
        "Fidelity of the best thief without real pictures, and of the best with 100, by defence: "
        f"{listed}."
    )


def jobs(seeds: int = 10) -> list[Job]:
    """Each thief at each defence with each seed, and its honest users."""
    return [
        (who, defense, seed)
        for seed in range(seeds)
        for defense in DEFENSES
        if defense != MEASURED_THERE
        for who in ("honest users", *THIEVES)
    ]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=7)
