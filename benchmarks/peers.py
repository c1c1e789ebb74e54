"""Side by side with adversarial-robustness-toolbox: the same thefts, and the same defences.

    python -m pip install -e ".[peers]"     # an extra; nothing else here needs it
    python -m benchmarks.peers              # about five minutes

Same victim, pool, clone's architecture, budget, epochs, batch size, mean learning rate (constant
there, one cycle here) and threads (one), in turns in one process. ``Copycat`` learns from labels,
``Knockoff`` with random sampling from probabilities.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.util
import sys
import time
from functools import cache

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


@cache
def pool(seed: int) -> np.ndarray:
    return scenario.pool("shapes", BUDGET, seed=seed)


def theirs(labels: str, network: nn.Module, seed: int) -> models.Classifier:
    """The toolbox's theft."""
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
    attack.extract(pool(seed), thieved_classifier=estimator(network))
    return models.Classifier(network)


def ours(labels: str, network: str, seed: int) -> models.Classifier:
    """The same with this library."""
    client = scenario.api().client("thief")
    return attacks.steal(
        client,
        pool(seed),
        BUDGET,
        labels=labels,
        network=network,
        seed=seed,
        epochs=EPOCHS,
        lr=PEAK,
    )


def run(job: Job) -> Measurement:
    """One theft (whose, which, network, seed), or the comparison of the output defences."""
    if job[0] == "defences":
        import art

        return {"rows": output_defenses(), "version": art.__version__}
    whose, theft, kind, seed = job
    labels = THEFTS[theft]
    pool(seed)
    began = time.perf_counter()
    if whose == "ours":
        clone = ours(labels, kind, seed)
    else:
        network = (
            models.mlp(seed=seed)
            if kind == "mlp"
            else models.cnn(width=WIDTH, dropout=0, seed=seed)
        )
        clone = theirs(labels, network, seed)
    seconds = time.perf_counter() - began
    predicted = clone.labels(scenario.data.x_test)
    truth = scenario.victim.labels(scenario.data.x_test)
    return {"seconds": seconds, "fidelity": evaluation.fidelity(predicted, truth)}


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
    """Two tables, as Markdown."""
    rows = []
    for theft in THEFTS:
        for kind in ("cnn", "mlp"):
            of = {
                whose: [r for job, r in results if job[:3] == (whose, theft, kind)]
                for whose in ("toolbox", "ours")
            }
            took = {w: np.median([one["seconds"] for one in of[w]]) for w in of}
            rows.append(
                (
                    f"{theft}, {kind.upper()}",
                    *(mean_interval(one["fidelity"] for one in of[w]) for w in of),
                    *(f"{took[w]:.1f}" for w in of),
                    f"{took['toolbox'] / took['ours']:.1f} ({_ratios(of['toolbox'], of['ours'])})",
                )
            )
    head = (
        "",
        "fidelity, toolbox",
        "fidelity, ours",
        "seconds, toolbox",
        "seconds, ours",
        "times as fast",
    )
    seeds = len({job[3] for job, _ in results if job[0] == "ours"})
    peer = next(result for job, result in results if job[0] == "defences")
    return (
        f"adversarial-robustness-toolbox {peer['version']}, {BUDGET:,} shapes, {EPOCHS} epochs, "
        f"batches of {BATCH}, one thread. The toolbox trains at a constant learning rate of "
        f"{LR:g}, this course in one cycle that has the same mean (its peak is {PEAK:g}). "
        f"Fidelity over {plural(seeds, 'seed')} with a 95 % bootstrap interval; median seconds; "
        "times as fast by the medians, and seed by seed.\n\n"
        + markdown_table(head, rows)
        + "\n\nOutput defences on the same "
        "500 posteriors:\n\n" + markdown_table(("defence", "toolbox and ours", ""), peer["rows"])
    )


def _ratios(slow: list[Measurement], fast: list[Measurement]) -> str:
    """The smallest and the largest of the seeds' own ratios."""
    each = [a["seconds"] / b["seconds"] for a, b in zip(slow, fast, strict=True)]
    return f"{min(each):.1f} to {max(each):.1f}"


def jobs(seeds: int = 10) -> list[Job]:
    """The output defences, and each theft in turns with each seed."""
    return [("defences", "", "", 0)] + [
        (whose, theft, kind, seed)
        for seed in range(seeds)
        for theft in THEFTS
        for kind in ("cnn", "mlp")
        for whose in ("toolbox", "ours")
    ]


def why_not() -> str:
    """Why nothing is measured, or ""."""
    if importlib.util.find_spec("art"):
        return ""
    return 'The peer is left out, for it is not installed: python -m pip install -e ".[peers]".'


if __name__ == "__main__":
    cli.main(sys.modules[__name__], timed=True, why_not=why_not)
