"""Side by side with adversarial-robustness-toolbox: the same thefts, and the same defences.

    python -m pip install -e ".[peers]"     # an extra; nothing else here needs it
    python -m benchmarks.peers              # about eight minutes

Same victim, pool, clone's architecture, budget and threads (one), in turns in one process.
``Copycat`` learns from labels, ``Knockoff`` with random sampling from probabilities. *Ours* also
has the same epochs, batch size and mean learning rate (constant there, one cycle here). *Quick* is
this course's recipe for a clone that is as faithful, sooner. It was chosen on seeds from 100 on,
which are not measured here; only the MLP's epochs and batches were changed, to what had done better
there, after a first look at the seeds that are. Compared are seconds of the processor: other work
on the machine counts less.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.util
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from benchmarks import cli
from benchmarks.formatting import markdown_table, mean_interval, plural
from benchmarks.store import Job, Measurement, Results
from trickster import attacks, defenses, evaluation, models
from trickster.data import datasets_dir
from trickster.scenario import Scenario, victim_file

PART = "peers"
BUDGET, EPOCHS, BATCH, LR = 3_000, 10, 64, 3e-3
PEAK = 2 * LR  # of one cycle, whose mean is half its peak
RECIPES = {  # of this library: at equal epochs, and at equal fidelity
    ("ours", "cnn"): {"epochs": EPOCHS, "lr": PEAK},
    ("ours", "mlp"): {"epochs": EPOCHS, "lr": PEAK},
    ("quick", "cnn"): {"epochs": 5, "lr": 5e-3, "quick": True},
    ("quick", "mlp"): {"epochs": 7, "lr": 6e-3, "quick": True},
}
WHOSE = ("toolbox", "ours", "quick")
PANEL = 8  # seeds, each with both thefts: sixteen clones
THEFTS = {"Copycat (labels)": "hard", "Knockoff, random (probabilities)": "soft"}
WIDTH = 16  # of the clone's first layer; half the victim's

scenario = Scenario("fashion")


class WithSoftmax(nn.Module):
    """What the toolbox wants of a victim whose probabilities it shall use."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x).softmax(dim=1)


def estimator(network: nn.Module, lr: float = LR):
    """A network as the toolbox wraps it."""
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        network,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.AdamW(network.parameters(), lr=lr),
        input_shape=scenario.data.input_shape,
        nb_classes=10,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )


class Clock:
    """Seconds of the processor that a function has taken."""

    def __init__(self):
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            began = time.process_time()
            result = function(*args, **named)
            self.seconds += time.process_time() - began
            return result

        return timed


@cache
def pool(seed: int) -> np.ndarray:
    return scenario.pool("shapes", BUDGET, seed=seed)


def theirs(labels: str, network: nn.Module, seed: int, clock: Clock) -> models.Classifier:
    """The toolbox's theft; the clock runs while it trains."""
    from art.attacks.extraction import CopycatCNN, KnockoffNets

    victim = estimator(WithSoftmax(models.load(datasets_dir() / victim_file("fashion"))))
    how = {
        "batch_size_fit": BATCH, "batch_size_query": 256, "nb_epochs": EPOCHS, "nb_stolen": BUDGET,
    }  # fmt: skip
    if labels == "hard":
        attack = CopycatCNN(victim, use_probability=False, **how)
    else:
        attack = KnockoffNets(
            victim, sampling_strategy="random", use_probability=True, verbose=False, **how
        )
    np.random.seed(seed)  # noqa: NPY002 (what the toolbox draws from)
    torch.manual_seed(seed)
    thief = estimator(network)
    thief.fit = clock.around(thief.fit)
    attack.extract(pool(seed), thieved_classifier=thief)
    return models.Classifier(network)


def ours(labels: str, network: str, seed: int, clock: Clock, **how) -> models.Classifier:
    """The same with this library."""
    client = scenario.api().client("thief")
    with mock.patch.object(attacks, "train_clone", clock.around(attacks.train_clone)):
        return attacks.steal(
            client, pool(seed), BUDGET, labels=labels, network=network, seed=seed, **how
        )


def run(job: Job) -> Measurement:
    """One theft (whose, which, network, seed), or the comparison of the output defences."""
    import art.attacks.extraction  # before a clock runs
    import art.estimators.classification

    if job[0] == "defences":
        return {"rows": output_defenses(), "version": art.__version__}
    whose, theft, kind, seed = job
    labels = THEFTS[theft]
    pool(seed)
    clock, training = Clock(), Clock()
    if whose != "toolbox":
        steal = partial(ours, labels, kind, seed, training, **RECIPES[whose, kind])
    else:
        network = (
            models.mlp(seed=seed)
            if kind == "mlp"
            else models.cnn(width=WIDTH, dropout=0, seed=seed)
        )
        steal = partial(theirs, labels, network, seed, training)
    clone = clock.around(steal)()
    predicted = clone.labels(scenario.data.x_test)
    truth = scenario.victim.labels(scenario.data.x_test)
    return {
        "seconds": clock.seconds,
        "training": training.seconds,
        "fidelity": evaluation.fidelity(predicted, truth),
    }


def output_defenses() -> list[tuple[str, str, str]]:
    """The toolbox's output defences beside ours, on the same posteriors: (name, verdict, why)."""
    from art.defences.postprocessor import ClassLabels, ReverseSigmoid, Rounded

    # In float32 the toolbox's own clipping of probabilities near 1 has no effect.
    p = scenario.victim.posteriors(scenario.data.x_test[:500]).astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    pairs = {
        "reverse sigmoid": (
            ReverseSigmoid(beta=1.0, gamma=0.1)(p.copy()),
            defenses.reverse_sigmoid(p, 1.0, 0.1),
        ),
        "labels only, one picture": (
            np.concatenate([ClassLabels()(row[None].copy()) for row in p]),
            defenses.hard_labels(p),
        ),
        "labels only, a batch": (ClassLabels()(p.copy()), defenses.hard_labels(p)),
        "rounding, one decimal": (
            Rounded(decimals=1)(p.copy()),
            defenses.round_posteriors(p, 1),
        ),
    }
    rows = []
    for name, (peer, mine) in pairs.items():
        off = np.abs(peer.sum(axis=1) - 1) > 1e-3
        same = float(np.abs(peer - mine).max())
        why = (
            f"{off.sum()} of {len(p)} of its rows are no distributions (sums from "
            f"{peer.sum(axis=1).min():.1f} to {peer.sum(axis=1).max():.1f})"
            if off.any()
            else f"largest difference {same:.1g}"
        )
        rows.append((name, "equal" if same < 1e-4 else "different", why))
    return rows


def section(results: Results) -> str:
    """Three tables, as Markdown."""
    equal, sooner = [], []
    for kind in ("cnn", "mlp"):
        for theft in THEFTS:
            toolbox, ours, quick = (
                [r for job, r in results if job[:3] == (whose, theft, kind)] for whose in WHOSE
            )
            name = f"{theft}, {kind.upper()}"
            equal.append((name, *_compared(toolbox, ours)))
            sooner.append((name, *_compared(toolbox, quick), _whole(toolbox, quick)))
        panel, others = (
            [r for job, r in results if job[::2] == (whose, kind) and job[3] < PANEL]
            for whose in ("toolbox", "quick")
        )
        name = f"a panel of {plural(len(panel), kind.upper())}"
        sooner.append((name, *_compared(panel, others, np.sum), _whole(panel, others, np.sum)))
    seeds = len({job[3] for job, _ in results if job[0] == "ours"})
    peer = next(result for job, result in results if job[0] == "defences")
    head = ["", "fidelity, toolbox", "fidelity, ours", "difference", "seconds, toolbox"]
    head += ["seconds, ours", "times as fast"]
    recipes = " and ".join(
        f"{RECIPES['quick', kind]['epochs']} epochs with a peak of "
        f"{RECIPES['quick', kind]['lr']:g} for {name}"
        for kind, name in (("cnn", "a CNN"), ("mlp", "an MLP"))
    )
    return "\n\n".join(
        [
            f"adversarial-robustness-toolbox {peer['version']}, {BUDGET:,} shapes, one thread. "
            f"Fidelity, and its difference seed by seed, over {plural(seeds, 'seed')} with a 95 % "
            "bootstrap interval; median seconds of the processor in which a clone trains; times "
            "as fast by the medians, and seed by seed.",
            f"**At equal epochs**: {EPOCHS}, in batches of {BATCH}. The toolbox trains at a "
            f"constant learning rate of {LR:g}, this course in one cycle that has the same mean "
            f"(its peak is {PEAK:g}).",
            markdown_table(head, equal),
            "**To equal fidelity**: the toolbox as above, this course with "
            f"`attacks.train_clone(..., quick=True)` (`trickster/quick.py`): {recipes}. A panel is "
            f"both thefts with {PANEL} seeds, one clone after the other; its seconds are those of "
            "all of them. *Whole theft* counts the victim's answers as well. The machine has "
            "instructions for products in bfloat16; without them the recipe computes in float32, "
            "and is slower.",
            markdown_table([*head, "whole theft"], sooner),
            "Output defences on the same 500 posteriors:",
            markdown_table(("defence", "toolbox and ours", ""), peer["rows"]),
        ]
    )


def _compared(
    toolbox: list[Measurement],
    ours: list[Measurement],
    of_all: Callable[[list[float]], float] = np.median,
) -> list[str]:
    """Fidelities, their difference, seconds, and how many times as fast: in all, and one by one."""
    pairs = list(zip(ours, toolbox, strict=True))
    took = [of_all([one["training"] for one in each]) for each in (toolbox, ours)]
    ratios = [b["training"] / a["training"] for a, b in pairs]
    return [
        *(mean_interval(one["fidelity"] for one in each) for each in (toolbox, ours)),
        mean_interval(a["fidelity"] - b["fidelity"] for a, b in pairs),
        *(f"{seconds:.2f}" for seconds in took),
        f"{took[0] / took[1]:.1f} ({min(ratios):.1f} to {max(ratios):.1f})",
    ]


def _whole(
    toolbox: list[Measurement],
    ours: list[Measurement],
    of_all: Callable[[list[float]], float] = np.median,
) -> str:
    """How many times as fast with the victim's answers."""
    theirs, mine = (of_all([one["seconds"] for one in each]) for each in (toolbox, ours))
    return f"{theirs / mine:.1f}"


def jobs(seeds: int = 10) -> list[Job]:
    """The output defences, and each theft in turns with each seed."""
    return [("defences", "", "", 0)] + [
        (whose, theft, kind, seed)
        for seed in range(seeds)
        for theft in THEFTS
        for kind in ("cnn", "mlp")
        for whose in WHOSE
    ]


def why_not() -> str:
    """Why nothing is measured, or ""."""
    if importlib.util.find_spec("art"):
        return ""
    return 'The peer is left out, for it is not installed: python -m pip install -e ".[peers]".'


if __name__ == "__main__":
    cli.main(sys.modules[__name__], timed=True, why_not=why_not)
