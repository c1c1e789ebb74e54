"""The reference table: every thief against every defence of the course, in the default scenario.

    python -m benchmarks.thieves_by_defense             # 10 seeds, a quarter of an hour, two cores
    python -m benchmarks.thieves_by_defense --seeds 20

Each theft takes one day. All thieves plan with the terms of the service (how many answers an
account gets in a day), and 3,000 answers are the most they can use. Thresholds are chosen on
one half of the test pictures, honest users are measured on the other.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from functools import cache

import numpy as np
from matplotlib.figure import Figure

from benchmarks import cli
from benchmarks.formatting import markdown_table, mean_interval, plural, short, with_interval
from benchmarks.store import Job, Measurement, Results
from trickster import attacks, defenses, evaluation, models, ood, plots, training
from trickster.api import PredictionAPI, Query
from trickster.limiters import ManualClock, SlidingWindow
from trickster.scenario import Scenario

PART = "thieves_by_defense"
BUDGET, REQUEST, DAY = 3_000, 100, 86_400
FLAGGED = 0.02  # of the honest inputs that chose the threshold
SIGMA = 2.0
PER_DAY = {"rate limit": 300, "layered": 1_000}  # answers for an account; else no limit
ACCOUNTS, REPEATS, REAL = 10, 3, 100

scenario = Scenario("fashion")
Output = Callable[[np.ndarray, Query], np.ndarray]
THIEVES = {
    "soft": "3,000 shapes, learns from probabilities",
    "hard": "the same, keeps only labels",
    "averaging": f"asks each of its shapes {REPEATS} times and learns from the means",
    "Sybil": f"the soft thief with {ACCOUNTS} accounts",
    "100 real": f"the soft thief, {REAL} of whose pictures are real clothes",
    "Jacobian": f"{REAL} real pictures, doubled along the clone's gradient until the budget ends",
}
WITHOUT_REAL = ("soft", "hard", "averaging", "Sybil")
WITH_REAL = {
    "100 real": f"{REAL} real pictures among the shapes",
    "Jacobian": f"{REAL} real pictures, augmented",
}
DEFENSES = {
    "none": "",
    "rounding": "to one decimal",
    "top 3": "the three largest, normalised",
    "hard labels": "one-hot",
    "noise": f"zero-mean noise of deviation {SIGMA:g} on the logits of weird inputs",
    "reverse sigmoid": "beta 1, gamma .1, for everybody",
    "adaptive misinformation": "mixes in a model trained to be wrong where the victim is unsure; "
    "the victim is not retrained with outliers, as its paper does",
    "Trickster": "probabilities in reverse for weird inputs",
    "rate limit": f"{PER_DAY['rate limit']} answers a day for each account",
    "layered": f"Trickster, then labels only, {PER_DAY['layered']:,} a day for each account",
}


@cache
def halves() -> tuple[slice, slice]:
    """Of the test pictures: those that choose thresholds, and those that measure."""
    half = len(scenario.data.x_test) // 2
    return slice(None, half), slice(half, None)


@cache
def trickster() -> defenses.Trickster:
    bank = scenario.victim.features(scenario.data.x_train)
    honest = scenario.victim.features(scenario.data.x_test[halves()[0]])
    return defenses.Trickster.from_features(bank, honest, max_fpr=FLAGGED)


@cache
def msp_threshold() -> float:
    posteriors = scenario.victim.posteriors(scenario.data.x_test[halves()[0]])
    return ood.choose_threshold(ood.score_msp(posteriors), FLAGGED)


@cache
def liar() -> models.Classifier:
    """Adaptive Misinformation's second model, which has learnt to be wrong."""
    network = models.cnn(seed=1)
    x, y = scenario.data.x_train, scenario.data.y_train.copy()
    training.fit(network, x, y, epochs=5, lr=1e-3, seed=1, loss_of=training.reverse_cross_entropy)
    return models.Classifier(network)


def outputs(name: str, seed: int) -> list[Output]:
    """What a defence does to an answer."""
    rng = np.random.default_rng(10_000 + seed)

    def noise(p: np.ndarray, query: Query) -> np.ndarray:
        weird = trickster().weird(p, query)[:, None]
        return np.where(weird, defenses.zero_mean_noise(p, SIGMA, rng), p)

    def lies(p: np.ndarray, query: Query) -> np.ndarray:
        wrong = liar().posteriors(query.x)
        return defenses.adaptive_misinformation(p, wrong, tau=msp_threshold())

    def labels(p: np.ndarray, query: Query) -> np.ndarray:
        return defenses.hard_labels(p)

    return {
        "rounding": [lambda p, query: defenses.round_posteriors(p, 1)],
        "top 3": [lambda p, query: defenses.top_k(p, 3)],
        "hard labels": [labels],
        "noise": [noise],
        "reverse sigmoid": [lambda p, query: defenses.reverse_sigmoid(p)],
        "adaptive misinformation": [lies],
        "Trickster": [trickster()],
        "layered": [trickster(), labels],
    }.get(name, [])


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
    data = scenario.data
    real = data.x_train[np.random.default_rng(seed).choice(len(data.x_train), REAL, replace=False)]
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
    api, (_, measuring) = service(defense, seed), halves()
    x, y = scenario.data.x_test[measuring], scenario.data.y_test[measuring]
    answers = np.concatenate(
        [
            api.query(x[i : i + REQUEST], key=f"customer {i // (3 * REQUEST)}")
            for i in range(0, len(x), REQUEST)
        ]
    )
    right = answers.argmax(axis=1) == y
    undefended = scenario.victim.labels(x) == y
    served, lost = (
        evaluation.bootstrap_interval(each, resamples=2_000)
        for each in (right, undefended.astype(float) - right)
    )
    return {"utility": list(served[:3]), "lost": list(lost[:3])}


def run(job: Job) -> Measurement:
    """One theft (thief, defence, seed), or ("honest users", defence, seed)."""
    thief, defense, seed = job
    if thief == "honest users":
        return honest(defense, seed)
    predicted = theft(thief, defense, seed).labels(scenario.data.x_test)
    return {
        "fidelity": evaluation.fidelity(predicted, scenario.victim.labels(scenario.data.x_test)),
        "accuracy": evaluation.accuracy(predicted, scenario.data.y_test),
    }


def values(results: Results, thief: str, defense: str, what: str = "fidelity") -> list:
    """One measurement for each seed."""
    return [result[what] for job, result in results if job[:2] == (thief, defense)]


def worst(results: Results, defense: str) -> str:
    """The thief without real pictures whose clones are the most faithful."""
    return max(WITHOUT_REAL, key=lambda thief: np.mean(values(results, thief, defense)))


def section(results: Results) -> str:
    """Two tables, as Markdown."""
    seeds = len({job[2] for job, _ in results})
    rows, accuracies = [], []
    for defense in DEFENSES:
        utility, *_ = values(results, "honest users", defense, "utility")[0]
        lost = values(results, "honest users", defense, "lost")[0]
        best = worst(results, defense)
        cells = []
        for thief in THIEVES:
            cell = mean_interval(values(results, thief, defense))
            cells.append(f"**{cell}**" if thief == best else cell)
        rows.append(
            (defense, *cells, short(utility), with_interval(*lost) if any(lost) else short(0))
        )
        stolen = (mean_interval(values(results, thief, defense, "accuracy")) for thief in THIEVES)
        accuracies.append((defense, *stolen))
    about = "; ".join(f"*{name}*: {what}" for name, what in THIEVES.items())
    terms = "; ".join(f"*{name}*: {what}" for name, what in DEFENSES.items() if what)
    return (
        f"Fidelity of the clone, mean over {plural(seeds, 'seed')} with a 95 % bootstrap "
        "interval; in bold the best thief who has no real pictures. Utility: accuracy of honest "
        "users; lost: what the defence takes of it, picture by picture, its interval from the "
        "pictures.\n\n"
        + markdown_table(("", *THIEVES, "utility", "lost"), rows)
        + f"\n\nThieves, who have one day and use at most {BUDGET:,} answers: {about}. Defences: "
        f"{terms}. An input is weird if its nearest training features are farther away than those "
        f"of all but {FLAGGED:.0%} of honest inputs.\n\n"
        "Accuracy of the same clones:\n\n" + markdown_table(("", *THIEVES), accuracies)
    )


def figure(results: Results) -> plots.Picture:
    """What each thief gets behind each defence, beside what honest users lose."""
    names = sorted(
        DEFENSES, key=lambda d: (d != "none", -np.mean(values(results, worst(results, d), d)))
    )
    canvas = Figure(figsize=(9, 0.6 * len(names) + 1.2))
    left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(3, 1.3))
    step = 0.78 / len(THIEVES)  # of a row's height
    for i, thief in enumerate(THIEVES):
        for row, defense in enumerate(names):
            fidelity = evaluation.bootstrap_interval(values(results, thief, defense))
            left.errorbar(
                fidelity.mean, -row + step * ((len(THIEVES) - 1) / 2 - i), markersize=5,
                fmt=plots.MARKERS[i], color=plots.COLOURS[i % len(plots.COLOURS)], elinewidth=1,
                xerr=[[fidelity.mean - fidelity.low], [fidelity.high - fidelity.mean]],
                label=thief if row == 0 else None,
            )  # fmt: skip
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
    canvas.legend(
        loc="lower center", ncols=len(THIEVES), frameon=False, bbox_to_anchor=(0.5, -0.06)
    )
    canvas.tight_layout()
    listed = "; ".join(
        f"{d} {np.mean(values(results, worst(results, d), d)):.2f} and "
        f"{max(np.mean(values(results, who, d)) for who in WITH_REAL):.2f}"
        for d in names
    )
    return plots.Picture(
        canvas,
        "Fidelity of the best thief without real pictures, and of the best with 100, by defence: "
        f"{listed}.",
    )


def jobs(seeds: int = 10) -> list[Job]:
    """Each thief at each defence with each seed, and its honest users."""
    return [
        (who, defense, seed)
        for seed in range(seeds)
        for defense in DEFENSES
        for who in ("honest users", *THIEVES)
    ]


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=7)
