"""Measure what stands behind the bars of labs 1, 2 and 4, over many seeds.

    python benchmarks/calibrate_bars.py            # about ten minutes on two cores
    python benchmarks/calibrate_bars.py --seeds 30

For each bar: the reference, another right answer, and answers that should not pass. The
table is what ``trickster/checks/bars.py`` quotes. Whole defences have a script of their own,
``calibrate_defenses.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from calibrate_defenses import Answer, no_limit, rolled, stack_of
from kept import Found, Job, Result, asked_for, markdown, measured

from trickster import attacks, data, evaluation, models, training
from trickster.checks import bars, lab2
from trickster.scenario import Scenario

PART = "calibrate_bars"
Measure = Callable[[int], float]


def victim(width: int, epochs: int) -> Measure:
    """Held-out accuracy of a victim trained with exercise 2's settings."""

    def run(seed: int) -> float:
        fashion = data.load("fashion")
        network = models.cnn(width=width, seed=seed)
        training.fit(network, fashion.x_train, fashion.y_train, epochs=epochs, lr=3e-3, seed=seed)
        return evaluation.accuracy(
            models.Classifier(network).labels(fashion.x_test), fashion.y_test
        )

    return run


@cache
def victims_labels() -> np.ndarray:
    scenario = Scenario("fashion")
    return scenario.victim.labels(scenario.data.x_test)


def theft(
    pool: str, *, runs: int, budget: int = 3_000, labels: str = "soft", epochs: int = 10
) -> Measure:
    """Mean fidelity of ``runs`` thefts with pools of their own."""

    def run(seed: int) -> float:
        scenario, values = Scenario("fashion"), []
        for k in range(runs):
            drawn = 1_000 * (seed + 1) + k
            n = min(budget, 1_500) if pool == "digits" else budget
            x = scenario.pool(pool, n, seed=drawn)
            answers = scenario.victim.posteriors(x)
            clone = attacks.train_clone(x, answers, labels=labels, epochs=epochs, seed=drawn)
            values.append(evaluation.fidelity(clone.labels(scenario.data.x_test), victims_labels()))
        return float(np.mean(values))

    return run


@cache
def honest_pictures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features and posteriors of the test pictures, and the features of the training pictures."""
    fashion, victim = data.load("fashion"), Scenario("fashion").victim
    return *victim.features_and_posteriors(fashion.x_test), victim.features(fashion.x_train)


def layered_loss(make: Callable[..., object]) -> Measure:
    """Minus the loss of honest accuracy, with another half of the test pictures held out."""

    def run(seed: int) -> float:
        fashion, (features, posteriors, bank) = data.load("fashion"), honest_pictures()
        order = np.random.default_rng(seed).permutation(len(features))
        held, rest = np.split(order, 2)
        x, truth = fashion.x_test[rest], fashion.y_test[rest]
        answers = make(bank, features[held])(x, posteriors[rest], features[rest], "shop", 0.0)
        clean = evaluation.accuracy(posteriors[rest], truth)
        return evaluation.accuracy(answers, truth) - clean

    return run


def lab4_measures() -> dict[str, tuple[bars.Bar, dict[str, Measure]]]:
    """What honest users lose by stacks that treat more and more of them as weird."""
    answers = {
        "reference, 2 %": Answer(),
        "5 %": Answer(share=0.05),
        "10 %": Answer(share=0.10),
        "rolled, 10th neighbour": Answer(wrong=rolled, neighbour=10),
    }
    stacks = {name: stack_of(one._replace(limit=no_limit)) for name, one in answers.items()}
    measured = {name: layered_loss(stack) for name, stack in stacks.items()}
    return {"LAYERED_LOSS": (bars.LAYERED_LOSS, measured)}


def measures() -> dict[str, tuple[bars.Bar, dict[str, Measure]]]:
    """The answers that stand behind each bar."""
    k = len(lab2.STEAL_SEEDS)
    return {
        "VICTIM_ACCURACY": (
            bars.VICTIM_ACCURACY,
            {
                "reference": victim(32, 8),
                "half as wide": victim(16, 8),
                "one epoch": victim(32, 1),
            },
        ),
        "CLONE_FIDELITY": (
            bars.CLONE_FIDELITY,
            {
                "reference": theft("shapes", runs=1),
                "hard labels": theft("shapes", runs=1, labels="hard"),
                "300 queries": theft("shapes", runs=1, budget=300),
            },
        ),
        "STOLEN_FIDELITY": (
            bars.STOLEN_FIDELITY,
            {
                "reference, 20 epochs": theft("shapes", runs=k, epochs=20),
                "10 epochs": theft("shapes", runs=k),
                "hard labels, 20 epochs": theft("shapes", runs=k, labels="hard", epochs=20),
                "patches": theft("patches", runs=k),
                "digits": theft("digits", runs=k),
                "noise": theft("noise", runs=k),
            },
        ),
    }


def run(job: Job) -> Result:
    """One measurement: (bar, answer, seed)."""
    bar, answer, seed = job
    return {"value": float(all_measures()[bar][1][answer](seed))}


@cache
def all_measures() -> dict[str, tuple[bars.Bar, dict[str, Measure]]]:
    """Every bar's, with what they load and train once in a process."""
    return measures() | lab4_measures()


def section(found: Found) -> str:
    """A line for each answer: its spread, and how far it lies from the bar."""
    rows = []
    for name, (bar, answers) in all_measures().items():
        for answer in answers:
            values = np.array([r["value"] for job, r in found if job[:2] == (name, answer)])
            if len(values) < 2:
                continue
            mean, spread = values.mean(), values.std(ddof=1)
            rows.append(
                (
                    f"{name}: {answer}",
                    len(values),
                    f"{mean:.3f} ± {spread:.3f}",
                    f"{values.min():.3f} to {values.max():.3f}",
                    f"{bar.full:g}",
                    f"{(mean - bar.full) / spread:+.1f}",
                    f"{bar.some:g}",
                    f"{(mean - bar.some) / spread:+.1f}",
                )
            )
    head = ("bar: answer", "runs", "mean ± sd", "range", "full from", "sd", "some from", "sd")
    return "Distances from a bar are in standard deviations of the answer.\n\n" + markdown(
        head, rows
    )


def main() -> None:
    """Measure what is missing and print the table."""
    asked = asked_for(__doc__, seeds=10)
    jobs = [
        (name, answer, seed)
        for seed in range(asked.seeds)
        for name, (_, answers) in all_measures().items()
        for answer in answers
    ]
    print(section(measured(PART, jobs, run, workers=asked.workers, chunk=4, again=asked.again)))


if __name__ == "__main__":
    main()
