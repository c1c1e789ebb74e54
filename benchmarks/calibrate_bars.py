"""Measure what stands behind the bars of labs 1, 2 and 4, over many seeds.

    python benchmarks/calibrate_bars.py            # about ten minutes on two cores
    python benchmarks/calibrate_bars.py --seeds 3  # a quick look

For each bar: the reference, another right answer, and answers that should not pass. The
table is what ``trickster/checks/bars.py`` quotes. Whole defences have a script of their own,
``calibrate_defenses.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from calibrate_defenses import Answer, no_limit, rolled, stack_of
from tqdm import tqdm

from trickster import attacks, data, evaluation, models, training
from trickster.checks import bars, lab2
from trickster.scenario import Scenario

Measure = Callable[[int], float]


def victim(width: int, epochs: int) -> Measure:
    """Held-out accuracy of a victim trained with exercise 2's settings."""
    fashion = data.load("fashion")

    def run(seed: int) -> float:
        network = models.cnn(width=width, seed=seed)
        training.fit(network, fashion.x_train, fashion.y_train, epochs=epochs, lr=3e-3, seed=seed)
        return evaluation.accuracy(
            models.Classifier(network).labels(fashion.x_test), fashion.y_test
        )

    return run


def theft(
    pool: str, *, runs: int, budget: int = 3_000, labels: str = "soft", epochs: int = 10
) -> Measure:
    """Mean fidelity of ``runs`` thefts with pools of their own."""
    scenario = Scenario("fashion")
    truth = scenario.victim.labels(scenario.data.x_test)

    def run(seed: int) -> float:
        values = []
        for k in range(runs):
            drawn = 1_000 * (seed + 1) + k
            n = min(budget, 1_500) if pool == "digits" else budget
            x = scenario.pool(pool, n, seed=drawn)
            answers = scenario.victim.posteriors(x)
            clone = attacks.train_clone(x, answers, labels=labels, epochs=epochs, seed=drawn)
            values.append(evaluation.fidelity(clone.labels(scenario.data.x_test), truth))
        return float(np.mean(values))

    return run


def layered_loss(make: Callable[..., object]) -> Measure:
    """Minus the loss of honest accuracy, with another half of the test pictures held out."""
    fashion, victim = data.load("fashion"), Scenario("fashion").victim
    features, posteriors = victim.features_and_posteriors(fashion.x_test)
    bank = victim.features(fashion.x_train)

    def run(seed: int) -> float:
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


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="runs of each answer")
    parser.add_argument("--only", default="", help="bars whose names begin so")
    arguments = parser.parse_args()
    print(f"{'bar':16} {'answer':24} {'mean':>6} {'sd':>6} {'least':>6} {'most':>6}   to the bar")
    for name, (bar, answers) in (measures() | lab4_measures()).items():
        if not name.startswith(arguments.only):
            continue
        for answer, run in answers.items():
            bar_line = tqdm(range(arguments.seeds), desc=f"{name}: {answer}", leave=False)
            values = np.array([run(seed) for seed in bar_line])
            spread = values.std(ddof=1)
            print(
                f"{name:16} {answer:24} {values.mean():6.3f} {spread:6.3f} {values.min():6.3f} "
                f"{values.max():6.3f}   {(values.mean() - bar.full) / spread:+.1f} sd from full, "
                f"{(values.mean() - bar.some) / spread:+.1f} sd from some"
            )


if __name__ == "__main__":
    main()
