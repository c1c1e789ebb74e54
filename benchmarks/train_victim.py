"""Train the shipped Fashion-MNIST victim again and compare it with the one in datasets/.

    python -m benchmarks.train_victim            # train, compare, change nothing
    python -m benchmarks.train_victim --write    # also replace the shipped file and its checksum

The two need not agree to the last bit on another machine; their accuracy on the
held-out pictures should agree within one point.
"""

from __future__ import annotations

import argparse

from benchmarks.shipped import record_checksum
from trickster import data, evaluation, models, scenario

KEEP_WITHIN = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="replace the shipped victim")
    arguments = parser.parse_args()
    fashion = data.load("fashion")
    again = scenario.train_victim(fashion, "fashion", progress="training")
    fresh = measured(models.Classifier(again), fashion)
    print(f"trained now: accuracy {fresh:.4f} on {len(fashion.x_test):,} held-out pictures")
    if arguments.write:
        write(again)
        return
    shipped = measured(scenario.Scenario("fashion").victim, fashion)
    print(f"shipped:     accuracy {shipped:.4f}")
    if abs(fresh - shipped) > KEEP_WITHIN:
        raise SystemExit(f"They differ by {abs(fresh - shipped):.4f}: more than {KEEP_WITHIN}.")
    print(f"They differ by {abs(fresh - shipped):.4f}: within {KEEP_WITHIN}.")


def measured(victim: models.Classifier, fashion: data.Dataset) -> float:
    """Held-out accuracy."""
    return evaluation.accuracy(victim.posteriors(fashion.x_test), fashion.y_test)


def write(network: models.Network) -> None:
    """Replace the shipped file and record its checksum."""
    path = data.datasets_dir() / scenario.FASHION_VICTIM
    models.save(network, path)
    record_checksum(path)


if __name__ == "__main__":
    main()
