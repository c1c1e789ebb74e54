"""How much faster several clones train as one batched model than one by one, in one run.

    python -m benchmarks.batched_clones             # about three minutes
    python -m benchmarks.batched_clones --rounds 3  # a quick look

Both ways take turns, so that whatever else the machine does falls on both. Printed is processor
time on one thread, as a grading worker has it: the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from trickster import attacks

PICTURES, EPOCHS = 3_000, 1  # an epoch more is the same work again


def training_sets(count: int) -> list[attacks.TrainingSet]:
    """Random pictures and answers: what they show does not matter to the clock."""
    rng = np.random.default_rng(0)
    return [
        attacks.TrainingSet(
            rng.random((PICTURES, 1, 28, 28), dtype=np.float32),
            rng.dirichlet(np.ones(10), PICTURES).astype(np.float32),
            epochs=EPOCHS,
            seed=seed,
        )
        for seed in range(count)
    ]


def one_by_one(training_sets: list[attacks.TrainingSet]) -> None:
    for one in training_sets:
        attacks.train_clone(**vars(one))


def seconds(
    train: Callable[[list[attacks.TrainingSet]], object], training_sets: list[attacks.TrainingSet]
) -> float:
    start = time.process_time()
    train(training_sets)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    ready = training_sets(10)
    attacks.train_clones(ready[:2])  # the first call of a process is slower
    print(f"{PICTURES:,} pictures a clone, at most {attacks.STACK} clones in a stack")
    for count in (2, 4, 6, 10):
        some = ready[:count]
        rows = [
            (seconds(one_by_one, some), seconds(attacks.train_clones, some))
            for _ in range(options.rounds)
        ]
        ratios = sorted(alone / together for alone, together in rows)
        print(
            f"{count:2} clones: {np.median(ratios):.2f} times as fast "
            f"(rounds from {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
