"""Demo A ("The Trickster Defense") on real CIFAR-10 pictures: its noise, and this course's lies.

    python -m benchmarks.demo_a --root FOLDER    # FOLDER holds CIFAR-10; an hour on two cores
    python -m benchmarks.demo_a                  # ... or TRICKSTER_DATA names it

Rebuilt from the notebook's protocol: victim conv32, pool, conv64, pool, fc512, dropout .5, fc10
on CIFAR-10, ten epochs; the thief sends Fashion-MNIST in three equal channels and fits the same
architecture for five epochs; Adam at a constant 1e-3. Here he has 20,000 queries (the notebook:
60,000; where there is no full Fashion-MNIST, the 12,000 that ship with the course), three ways to
learn, and seeds. Uses a GPU where there is one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.cli import add_options, is_missing, measure_with
from benchmarks.formatting import markdown_table, mean_interval, plural, short
from benchmarks.store import Job, Measurement, Results
from trickster import data, defenses, evaluation, models, ood, training
from trickster.models import softmax

PART = "demo_a"
QUERIES = 20_000
SIGMA, CAUGHT, FLAGGED = 2.0, 0.38, 0.02
SHAPE = (3, 32, 32)
LEARNS = {
    "logits, squared error": "logits",
    "probabilities": "soft",
    "labels only": "hard",
}
CONDITIONS = {
    "no defence": "",
    "noise on 38 %": "sigma 2 on the share of queries that the notebook's detector caught",
    "noise on all": "sigma 2 on every query of the thief, a perfect detector",
    "Trickster": "probabilities in reverse where the nearest training features are far away",
}
LOGITS = next(iter(LEARNS))
PUBLISHED = {("no defence", LOGITS): ".34", ("noise on 38 %", LOGITS): ".38"}


def network(seed: int) -> models.Network:
    """The notebook's architecture, for victim and clone."""
    with models.seeded(seed):
        body = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 8 * 8, 512), nn.ReLU(), nn.Dropout(0.5),
        )  # fmt: skip
        return models.Network(body, nn.Linear(512, 10), {"kind": "demo_a"})


def learn(
    one: models.Network,
    x: np.ndarray,
    targets: np.ndarray,
    *,
    epochs: int,
    seed: int,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = F.cross_entropy,
) -> None:
    """The notebook's loop. ``training.fit`` would do, but its schedule makes another clone."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inputs, wanted = torch.tensor(x).to(device), torch.tensor(targets).to(device)
    one.to(device).train()
    optimizer = torch.optim.Adam(one.parameters(), lr=1e-3, fused=True)
    with models.seeded(seed), training.repeatable():
        for _ in range(epochs):
            for batch in torch.randperm(len(inputs)).to(device).split(64):
                optimizer.zero_grad()
                loss_of(one(inputs[batch]), wanted[batch]).backward()
                optimizer.step()
    one.cpu().eval()


@cache
def cifar() -> data.Dataset:
    return data.load("cifar10")


@cache
def victim() -> models.Classifier:
    """Trained once for each process, always with the same seed."""
    one = network(0)
    learn(one, cifar().x_train, cifar().y_train, epochs=10, seed=0)
    return models.Classifier(one)


@cache
def queries() -> np.ndarray:
    """Fashion-MNIST as the notebook sends it: 32 by 32, three equal channels."""
    try:
        sent = data.load("fashion-full")
    except data.DataNotFound:
        sent = data.load("fashion")
    x = torch.tensor(sent.x_train[:QUERIES])
    large = F.interpolate(x, size=SHAPE[1:], mode="bilinear", align_corners=False)
    return large.expand(-1, 3, -1, -1).clamp(0, 1).numpy().copy()


@cache
def detector() -> tuple[np.ndarray, float]:
    """Features of the training pictures, and the score below which an input is weird."""
    bank = victim().features(cifar().x_train)
    choosing = victim().features(cifar().x_test[: len(cifar().x_test) // 2])
    return bank, ood.choose_threshold(ood.score_knn(choosing, bank, k=1), FLAGGED)


@cache
def service_side(which: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, logits and whether weird, of the thief's queries or of held-out pictures."""
    x = queries() if which == "thief" else cifar().x_test[_measuring()]
    bank, threshold = detector()
    features = victim().features(x)
    return features, victim().logits(x), ood.score_knn(features, bank, k=1) < threshold


def defended(condition: str, logits: np.ndarray, weird: np.ndarray, seed: int) -> np.ndarray:
    """The logits that leave the service."""
    rng = np.random.default_rng(seed)
    if condition.startswith("noise"):
        share = CAUGHT if condition.endswith("38 %") else 1.0
        hit = rng.random(len(logits)) < share
        return logits + hit[:, None] * rng.normal(0, SIGMA, logits.shape).astype(np.float32)
    if condition == "Trickster":
        wrong = np.log(np.maximum(defenses.misinform(softmax(logits)), 1e-12))
        return np.where(weird[:, None], wrong, logits).astype(np.float32)
    return logits


def run(job: Job) -> Measurement:
    """One theft (condition, way to learn, seed), or ("honest users", condition, 0)."""
    condition, learns, seed = job
    return _honest(condition) if learns == "honest users" else _theft(condition, learns, seed)


def _measuring() -> slice:
    """The test pictures that did not choose the threshold."""
    return slice(len(cifar().x_test) // 2, None)


def _honest(condition: str) -> Measurement:
    """What honest users get, and what the detector sees of them and of the thief."""
    _, logits, weird = service_side("honest")
    _, thief_logits, caught = service_side("thief")
    # Noise is granted a detector that never errs: its honest users lose nothing.
    given = defended(condition, logits, weird, 0) if condition == "Trickster" else logits
    return {
        "accuracy": evaluation.accuracy(given, cifar().y_test[_measuring()]),
        "weird": {"thief": float(caught.mean()), "honest": float(weird.mean())},
        "auroc": scores_auroc(),
        "queries": len(queries()),
        "confidence": {
            "thief": float(softmax(thief_logits).max(axis=1).mean()),
            "honest": float(softmax(logits).max(axis=1).mean()),
        },
    }


def _theft(condition: str, learns: str, seed: int) -> Measurement:
    """Accuracy and fidelity of the clone."""
    _, logits, weird = service_side("thief")
    answers = defended(condition, logits, weird, seed)
    clone = network(100 + seed)
    if LEARNS[learns] == "logits":
        learn(clone, queries(), answers, epochs=5, seed=seed, loss_of=F.mse_loss)
    else:
        targets = softmax(answers) if LEARNS[learns] == "soft" else answers.argmax(axis=1)
        learn(clone, queries(), targets, epochs=5, seed=seed)
    labels = models.Classifier(clone).labels(cifar().x_test[_measuring()])
    return {
        "accuracy": evaluation.accuracy(labels, cifar().y_test[_measuring()]),
        "fidelity": evaluation.fidelity(labels, service_side("honest")[1]),
    }


@cache
def scores_auroc() -> dict[str, float]:
    """How well each score of lab 3 tells honest inputs from the thief's; .5 is chance."""
    bank, _ = detector()
    scores: dict[str, list[np.ndarray]] = {"nearest neighbour": [], "confidence": [], "energy": []}
    for which in ("honest", "thief"):
        features, logits, _ = service_side(which)
        # Neighbours take long; those of 5,000 are enough for two digits.
        scores["nearest neighbour"].append(ood.score_knn(features[:5_000], bank, k=1))
        scores["confidence"].append(ood.score_msp(softmax(logits)))
        scores["energy"].append(ood.score_energy(logits))
    return {name: ood.auroc(*pair) for name, pair in scores.items()}


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows = []
    honest = {job[0]: result for job, result in results if job[1] == "honest users"}
    for condition in CONDITIONS:
        cells = []
        for learns in LEARNS:
            runs = [r for job, r in results if job[:2] == (condition, learns)]
            published = PUBLISHED.get((condition, learns))
            cell = mean_interval(one["accuracy"] for one in runs)
            cells.append(f"{cell} (published {published})" if published else cell)
        rows.append((condition, *cells, short(honest[condition]["accuracy"])))
    seeds = len({job[2] for job, _ in results})
    one = honest["Trickster"]
    about = "; ".join(f"*{name}*: {what}" for name, what in CONDITIONS.items() if what)
    return (
        f"Accuracy of the clone on held-out CIFAR-10 pictures, mean over {plural(seeds, 'seed')} "
        "with a 95 % bootstrap interval, by what the thief learns from.\n\n"
        + markdown_table(("", *LEARNS, "honest users' accuracy"), rows)
        + f"\n\n{about}. The noise is granted a detector that never flags an honest user. The "
        "Trickster's threshold, chosen on other pictures, flags "
        f"{one['weird']['thief']:.0%} of the thief's queries and "
        f"{one['weird']['honest']:.1%} of the honest ones; AUROC of lab 3's scores here: "
        + ", ".join(f"{name} {short(value)}" for name, value in one["auroc"].items())
        + f" (.5 is chance). {one['queries']:,} queries (the notebook: 60,000). The victim's mean "
        f"confidence is {one['confidence']['thief']:.2f} on the thief's queries and "
        f"{one['confidence']['honest']:.2f} on honest ones."
    )


def jobs(seeds: int = 3) -> list[Job]:
    """Each theft with each seed, and what honest users get."""
    thefts = [
        (condition, learns, seed)
        for seed in range(seeds)
        for condition in CONDITIONS
        for learns in LEARNS
    ]
    return [(condition, "honest users", 0) for condition in CONDITIONS] + thefts


def main() -> int:
    """Measure what is missing and print the table; 0 also where there are no pictures."""
    return measure_on_cifar(sys.modules[__name__], "Demo A is")


def measure_on_cifar(part: ModuleType, left_out: str) -> int:
    """The main function of a part that needs CIFAR-10: 0 also where its pictures are not.

    ``left_out`` begins the sentence that says so.
    """
    parser = argparse.ArgumentParser(description=(part.__doc__ or part.PART).splitlines()[0])
    parser.add_argument("--root", type=Path, help="where CIFAR-10 lies; default: TRICKSTER_DATA")
    options = add_options(parser, part.jobs, timed=True).parse_args()
    if options.root:
        os.environ["TRICKSTER_DATA"] = str(options.root)
    jobs_wanted = part.jobs(options.count)
    try:
        if is_missing(options, part.PART, jobs_wanted):
            cifar()
    except data.DataNotFound as error:
        print(f"{left_out} left out, for CIFAR-10's pictures are not here. {error}")
        return 0
    print(part.section(measure_with(options, part.PART, jobs_wanted, part.run)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
