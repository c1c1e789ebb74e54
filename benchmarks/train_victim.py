"""Train a shipped victim again and compare it with the one in datasets/.

    python -m benchmarks.train_victim                           # train, compare, change nothing
    python -m benchmarks.train_victim --write                   # replace the file and its checksum
    python -m benchmarks.train_victim cifar10 --root FOLDER     # the other; FOLDER holds CIFAR-10

The two need not agree to the last bit on another machine; their accuracy on the
held-out pictures should agree within one point.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.shipped import record_checksum
from trickster import data, evaluation, models, scenario

KEEP_WITHIN = 0.01
HALF = ("cifar10",)  # the scenarios whose victim is written in half precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="fashion", choices=sorted(scenario.RECIPES))
    parser.add_argument("--root", type=Path, help="the data folder; default: TRICKSTER_DATA")
    parser.add_argument("--write", action="store_true", help="replace the shipped victim")
    arguments = parser.parse_args()
    try:
        pictures = data.load(arguments.name, root=arguments.root)
    except data.DataNotFound as error:
        raise SystemExit(str(error)) from None
    again = scenario.train_victim(pictures, arguments.name, progress="training")
    fresh = measured(models.Classifier(again), pictures)
    print(f"trained now: accuracy {fresh:.4f} on {len(pictures.x_test):,} held-out pictures")
    if arguments.write:
        write(again, arguments.name)
        return
    shipped = measured(scenario.Scenario(arguments.name).victim, pictures)
    print(f"shipped:     accuracy {shipped:.4f}")
    if abs(fresh - shipped) > KEEP_WITHIN:
        raise SystemExit(f"They differ by {abs(fresh - shipped):.4f}: more than {KEEP_WITHIN}.")
    print(f"They differ by {abs(fresh - shipped):.4f}: within {KEEP_WITHIN}.")


def measured(victim: models.Classifier, pictures: data.Dataset) -> float:
    """Held-out accuracy."""
    return evaluation.accuracy(victim.posteriors(pictures.x_test), pictures.y_test)


def write(network: models.Network, name: str) -> None:
    """Replace the shipped file and record its checksum."""
    path = data.datasets_dir() / scenario.victim_file(name)
    models.save(network, path, half=name in HALF)
    record_checksum(path)


if __name__ == "__main__":
    main()
