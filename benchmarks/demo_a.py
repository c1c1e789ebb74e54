"""Demo A ("The Trickster Defense") on real CIFAR-10 pictures: its noise, and this course's lies.

    python -m benchmarks.demo_a --root FOLDER    # FOLDER holds CIFAR-10; a quarter of an hour
    python -m benchmarks.demo_a                  # ... or TRICKSTER_DATA names it

The notebook's protocol (``demo_a_protocol``): the thief sends 60,000 pictures of Fashion-MNIST,
receives logits, and fits them with squared error for five epochs. Then a defence of lab 5's kind
on the same theft: several scores of ``detectors``, combined on honest pictures alone, decide who
is lied to, and a secret key decides the lie. It meets thieves who know it, and the oracle.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from functools import cache, lru_cache

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from torch.nn import functional as F

from benchmarks import detectors
from benchmarks.demo_a_protocol import (
    cifar,
    learn,
    measure_on_cifar,
    network,
    queries,
    smooth,
    victim,
)
from benchmarks.formatting import markdown_table, mean_interval, plural
from benchmarks.store import Job, Measurement, Results
from trickster import adaptive_attacks, defenses, evaluation, models, pools, probing
from trickster.api import Query
from trickster.models import softmax

PART = "demo_a"
SIGMA, CAUGHT = 2.0, 0.38
EPOCHS, MOST = 5, 50  # with all answers, and at most with few
REAL = 1_000  # held-out pictures of a thief who owns real ones
DETECTOR = detectors.MOST
FLAGGED = 0.025  # of the honest pictures that choose the threshold
UNFORESEEN = 3_000  # queries changed in each way that the detector's outliers do not hold
CHUNK = 10_000  # pictures looked at together: bounds the memory
BLEND = 0.5  # share of one real picture in each of the thief who blends
COLOURS = 0.5  # share of made-up colours in each of the thief who colours
PUBLISHED = {"no defence": ".34", "noise on 38 %": ".38"}

NAIVE, REAL_PICTURES, ORACLE = "does not know", f"{REAL:,} real pictures", "oracle"
WALKING, COPYING, BLENDING, COLOURING = "walking", "copying", "blending", "colouring"
CHANGING = (BLENDING, COLOURING)  # thieves who change their queries
UNLIER, SMALL_LOSS = "un-lier", "small loss"
KNOWING = (UNLIER, SMALL_LOSS, WALKING, COPYING, *CHANGING)
ORACLES = {f"oracle, {thief}": thief for thief in CHANGING}
HONEST = "honest users"
TRICKSTER = "Trickster"
PLANES = 9  # of the lie: 512 cells, as in lab 5
CONDITIONS = {
    "no defence": (HONEST, NAIVE, *CHANGING, REAL_PICTURES),
    "noise on 38 %": (NAIVE,),  # granted a detector that never flags an honest user
    TRICKSTER: (HONEST, NAIVE, *KNOWING, ORACLE, *ORACLES, REAL_PICTURES),
}
ONCE = (SMALL_LOSS, WALKING, COPYING, COLOURING, *ORACLES, REAL_PICTURES)  # with one seed
FEW = 2  # seeds behind the keyed lies, and with pictures that are blended: a clone takes minutes


@dataclass(frozen=True)
class Theft:
    """What a thief learns from: pictures, and logits ``(n, 10)``."""

    x: np.ndarray
    targets: np.ndarray
    epochs: int = EPOCHS

    def rows(self, chosen: np.ndarray) -> Theft:
        """Some of it, learnt for as many steps as all of it."""
        epochs = epochs_for(chosen.sum(), len(self.x))
        return Theft(self.x[chosen], self.targets[chosen], epochs)


def epochs_for(answers: int, sent: int) -> int:
    """As many as give few ``answers`` the steps that ``sent`` ones have; at most ``MOST``."""
    return int(np.clip(round(EPOCHS * sent / max(1, answers)), EPOCHS, MOST))


def noisy(logits: np.ndarray, seed: int) -> np.ndarray:
    """The notebook's noise, on as many queries as its detector caught."""
    rng = np.random.default_rng(seed)
    hit = rng.random(len(logits)) < CAUGHT
    return logits + hit[:, None] * rng.normal(0, SIGMA, logits.shape).astype(np.float32)


@cache
def judged(which: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, logits and whether weird, of the thief's pictures or of the honest users'."""
    x = {
        "queries": queries,
        REAL_PICTURES: lambda: cifar().x_test[:REAL],
        HONEST: lambda: cifar().x_test[measuring()],
    }[which]()
    return judge(x)


def judge(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of any pictures."""
    score, line = detectors.detector(detectors.THEIRS, DETECTOR, seed=0, flagged=FLAGGED)
    features, weird = [], []
    for start in range(0, len(x), CHUNK):
        rows = detectors.look(detectors.THEIRS, x[start : start + CHUNK])
        features.append(rows["features"])
        weird.append(score(rows) < line)
    features, head = np.concatenate(features), victim().network.head
    logits = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    return features, logits, np.concatenate(weird)


def measuring() -> slice:
    """The test pictures on which neither ranks nor threshold were chosen."""
    return slice(len(cifar().x_test) // 2, None)


@cache
def lie(seed: int) -> defenses.CellLie:
    """Keyed lies for cells of feature space, cut where outliers made from honest pictures lie."""
    key = np.random.default_rng([5, seed]).bytes(32)
    weird = pools.outliers(cifar().x_train[: detectors.BANK], 2_000, seed=7)
    return defenses.CellLie.fit(key, victim().features(weird), PLANES)


def served(condition: str, which: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The logits that leave the service, and which of them are lies."""
    features, logits, weird = judged(which)
    if condition == "noise on 38 %":
        return noisy(logits, seed), np.zeros(len(logits), dtype=bool)
    if condition == TRICKSTER:
        return misled(features, logits, weird, seed), weird
    return logits, np.zeros(len(logits), dtype=bool)


def misled(features: np.ndarray, logits: np.ndarray, weird: np.ndarray, seed: int) -> np.ndarray:
    """The logits, with lies for what is weird."""
    lies = lie(seed)(logits, Query(features, features, "", 0.0))
    return np.where(weird[:, None], lies, logits)


def asking(seed: int) -> probing.Ask:
    """What the service answers to pictures of the thief's own making, as probabilities."""
    return lambda x: softmax(misled(*judge(x), seed))


def one_real_picture(seed: int) -> np.ndarray:
    """What the walking and the blending thief own: one whose answer they can see to be right."""
    _, logits, weird = judged(REAL_PICTURES)
    right = ~weird & (logits.argmax(axis=1) == cifar().y_test[:REAL])
    return cifar().x_test[np.random.default_rng(seed).choice(np.flatnonzero(right))]


def walked(seed: int) -> Theft:
    """What the thief learns who walks from one real picture to the edges where answers jump.

    Their queries are as many as the others', walking included.
    """
    own, sent = one_real_picture(seed), len(queries())
    found = probing.walking(asking(seed), own, queries(), sent)
    told, _ = served(TRICKSTER, "queries", seed)
    told = np.sort(told[: len(found.x)], axis=1)
    targets = np.empty_like(told)  # the logits as told, in the order of what was undone
    np.put_along_axis(targets, found.answers.argsort(axis=1), told, axis=1)
    return Theft(found.x, targets, epochs_for(len(found.x), sent))


@lru_cache(maxsize=1)
def changed(thief: str, seed: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The queries, changed so that fewer look weird, and :func:`judge` of them."""
    if thief == COLOURING:
        share, added = COLOURS, colours(len(queries()), seed)
    else:
        share, added = BLEND, one_real_picture(seed)
    x = queries() + np.float32(share) * (added - queries())
    return x, judge(x)


def colours(n: int, seed: int) -> np.ndarray:
    """Smooth fields of colour ``(n, 3, 32, 32)``: four random colours, one at each corner."""
    corners = [
        np.random.default_rng(100 * seed + start).random((min(CHUNK, n - start), 3, 2, 2), "f")
        for start in range(0, n, CHUNK)
    ]
    return smooth(np.concatenate(corners))


def unforeseen(n: int, seed: int) -> dict[str, np.ndarray]:
    """Changes of the first n queries, most of which the detector's outliers do not hold."""
    x, own, rng = queries()[:n], cifar().x_test[:REAL], np.random.default_rng(seed)
    n = len(x)
    tint = rng.random((n, 3, 1, 1), "f")
    down, across = (np.arange(32, dtype="f")[:, None] / 32, np.arange(32, dtype="f") / 32)
    waves = rng.uniform(-6, 6, (2, n, 3, 1, 1)).astype("f")
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * (waves[0] * down + waves[1] * across))
    others = own[rng.permutation(len(own))[np.arange(n) % len(own)]]
    return {
        "saved as JPEG": detectors.saved_as_jpeg(x),
        "tinted": x * (1 - 0.7 * tint) + 0.3 * tint,
        "striped": x + np.float32(0.3) * (stripes - x),
        "a quarter of one real picture in each": x
        + np.float32(0.25) * (one_real_picture(seed) - x),
        "a quarter of another real picture in each": x + np.float32(0.25) * (others - x),
    }


def copied(seed: int) -> Theft:
    """What the thief believes who asks about each picture twice, as ``probing.copying`` does.

    Half of the pictures, so that the queries are as many as the others'.
    """
    x = queries()[: len(queries()) // 2]
    told = served(TRICKSTER, "queries", seed)[0][: len(x)]
    again = asking(seed)(probing.one_step(x, np.random.default_rng(seed)))
    believed = ~probing.reordered(softmax(told), again)
    return Theft(x[believed], told[believed], epochs_for(believed.sum(), len(queries())))


def evading(condition: str, thief: str, seed: int) -> Theft:
    """What thieves who change their queries are told; of the oracle's, what is true."""
    x, (features, logits, weird) = changed(ORACLES.get(thief, thief), seed)
    if condition != TRICKSTER:
        return Theft(x, logits)
    told = Theft(x, misled(features, logits, weird, seed))
    return told.rows(~weird) if thief in ORACLES else told


def theft(condition: str, thief: str, seed: int) -> Theft:
    """What this thief makes of the answers."""
    if thief == REAL_PICTURES:
        answers, _ = served(condition, REAL_PICTURES, seed)
        return Theft(cifar().x_test[:REAL], answers, MOST)
    if thief == WALKING:
        return walked(seed)
    if thief == COPYING:
        return copied(seed)
    if thief in (*CHANGING, *ORACLES):
        return evading(condition, thief, seed)
    answers, lies = served(condition, "queries", seed)
    naive = Theft(queries(), answers)
    if thief == UNLIER:
        found = adaptive_attacks.unlie(softmax(answers), [defenses.misinform], seed=seed)
        undone = defenses.misinform(answers)
        return replace(naive, targets=np.where(found.kind[:, None] == 1, undone, answers))
    if thief == SMALL_LOSS:
        loss = np.square(clone(condition, NAIVE, seed).logits(naive.x) - answers).mean(axis=1)
        return naive.rows(loss <= np.median(loss))
    return naive.rows(~lies) if thief == ORACLE else naive


@lru_cache(maxsize=2)  # the naive thief's is where small loss begins
def clone(condition: str, thief: str, seed: int) -> models.Classifier:
    """Trained as the notebook's thief does it."""
    stolen, made = theft(condition, thief, seed), network(100 + seed)
    if thief == UNLIER and np.array_equal(stolen.targets, served(condition, "queries", seed)[0]):
        return clone(condition, NAIVE, seed)  # nothing was undone
    if len(stolen.x):  # an oracle whose answers are all lies learns nothing
        learn(made, stolen.x, stolen.targets, epochs=stolen.epochs, seed=seed, loss_of=F.mse_loss)
    return models.Classifier(made)


def run(job: Job) -> Measurement:
    """One theft (condition, thief, seed), or what honest users get (condition, HONEST, seed)."""
    condition, thief, seed = job
    truth = cifar().y_test[measuring()]
    if thief == HONEST:
        answers, lies = served(condition, HONEST, seed)
        changes = unforeseen(UNFORESEEN, seed) if condition == TRICKSTER else {}
        return {
            "accuracy": evaluation.accuracy(answers, truth),
            "flagged": {
                "thief": float(served(condition, "queries", seed)[1].mean()),
                "honest": float(lies.mean()),
                **{name: float(judge(x)[2].mean()) for name, x in changes.items()},
            },
            "queries": len(queries()),
        }
    labels = clone(condition, thief, seed).labels(cifar().x_test[measuring()])
    found: Measurement = {
        "accuracy": evaluation.accuracy(labels, truth),
        "fidelity": evaluation.fidelity(labels, judged(HONEST)[1]),
    }
    if condition == TRICKSTER and thief in CHANGING:
        found["flagged"] = float(changed(thief, seed)[1][2].mean())
    return found


def values(results: Results, condition: str, thief: str) -> list[float]:
    """The clone's accuracy for each seed; none where this was not measured."""
    return [r["accuracy"] for job, r in results if job[:2] == (condition, thief)]


def flagged_of(results: Results, thief: str) -> list[float]:
    """The share of the queries that the detector flags, of a thief who changes them."""
    return [r["flagged"] for job, r in results if job[:2] == (TRICKSTER, thief)]


def section(results: Results) -> str:
    """The table, as Markdown."""
    thieves = (NAIVE, *KNOWING, ORACLE, *ORACLES, REAL_PICTURES)
    accuracies = [
        (who, *(_cell(values(results, c, who), c if who == NAIVE else "") for c in CONDITIONS))
        for who in (*thieves, HONEST)
    ]
    flagged = next(r["flagged"] for job, r in results if job[:2] == (TRICKSTER, HONEST))
    weird = "; ".join(f"{who}: {np.mean(flagged_of(results, who)):.0%}" for who in CHANGING)
    others = "; ".join(f"{k}: {v:.0%}" for k, v in flagged.items() if k not in ("thief", "honest"))
    sent = max(r.get("queries", 0) for _, r in results)
    seeds = len({job[2] for job, _ in results})
    few = len(values(results, TRICKSTER, NAIVE))
    return (
        f"Accuracy of the clone on held-out CIFAR-10 pictures, mean over {plural(seeds, 'seed')} "
        f"({few} behind the keyed lies, and of pictures that are blended) with a 95 % bootstrap "
        "interval where a number has one, else of one run. "
        f"{sent:,} queries, logits, squared error, as in the notebook; *noise on 38 %*: sigma 2 on "
        "the share of queries that the notebook's detector caught, granted that it never flags an "
        f"honest user. *Trickster*: keyed lies, in {2**PLANES} cells, for what three scores find "
        f"weird: {DETECTOR}. The threshold, below which {FLAGGED:.1%} of other honest pictures "
        f"lie, flags {flagged['thief']:.1%} of the thief's queries and {flagged['honest']:.1%} of "
        "the honest ones. The detector has seen no clothes: its outliers are made of honest "
        "pictures, random shapes, photographs and digits, and into most of them an honest picture "
        "or smooth colours are mixed. *Un-lier*: undoes reversed answers; *small loss*: keeps the "
        "half that the first clone fits best; *walking*: finds the permutations on lines from one "
        "real picture, and undoes them; *copying*: asks about half of the pictures twice, the "
        "second time with every pixel changed by 1/255, and leaves out the answers whose order "
        "changes; *blending*: mixes one real picture into each picture, "
        f"{BLEND:.0%} of it, and believes every answer; *colouring*: mixes a smooth field of "
        f"random colours into each, {COLOURS:.0%} of it; *oracle*: told which answers are lies. "
        "Who has few answers learns them in up to ten times as many epochs. Flagged of changed "
        f"queries: {weird}. Of clothes changed otherwise: {others}.\n\n"
        + markdown_table(("", *CONDITIONS), accuracies)
    )


def _cell(found: list[float], published_of: str) -> str:
    """A mean with its interval, and what the notebook has published."""
    if not found:
        return ""
    published = PUBLISHED.get(published_of)
    return mean_interval(found) + (f" (published {published})" if published else "")


def jobs(seeds: int = 5) -> list[Job]:
    """What honest users get, and each theft, with as many seeds as it has."""

    def has(condition: str, who: str) -> int:
        lies = condition == TRICKSTER
        if who in ONCE or (lies and who == HONEST):
            return 1
        return FEW if lies or who in CHANGING else seeds

    return [
        (condition, who, seed)
        for seed in range(seeds)
        for condition, thieves in CONDITIONS.items()
        for who in thieves
        if seed < min(seeds, has(condition, who))
    ]


if __name__ == "__main__":
    sys.exit(measure_on_cifar(sys.modules[__name__], "Demo A is"))
