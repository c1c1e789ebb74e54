"""Run the graded checks of training, thefts and noise (labs 1 to 3) over and over.

    python -m benchmarks.calibrate_training                         # 33 to 200 runs, six hours
    python -m benchmarks.calibrate_training --runs 1 --results LOOK    # a quick look, elsewhere

Each run is graded with a secret of its own, from which the checks draw services, pools and
pictures; its victims, clones and noise come from seeds of their own. The table is what
``trickster/checks/thresholds.py`` quotes for labs 1 and 2, and for the attack of lab 3. Whole
defences have a script of their own, ``calibrate_defenses.py``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker, as in grading

import numpy as np
from sklearn.linear_model import LogisticRegression

from autograder import held_back
from benchmarks.calibration import Calibrated, main, measure_verdict, plan_jobs, table
from benchmarks.spending_answers import (
    attack,
    changed,
    mirrored,
    nine_rolls,
    with_clothes_of_others,
    with_mirror_images,
    with_shapes,
)
from benchmarks.store import Job, Measurement, Results
from trickster import attacks, defenses, models, pools, training
from trickster.checks import draws, fixtures, lab1, lab2, lab3, thresholds
from trickster.checks.probes import new_network, recorded, weights_of
from trickster.withheld import nobody, refused_by

PART = "calibrate_training"
Functions = tuple[Callable[..., Any], ...]
Posteriors = Callable[[np.ndarray], np.ndarray]
# Every answer of one number is asked with the same pools: for thefts, four for each of four.
drawn = lru_cache(maxsize=20)(pools.make)


class Answer(NamedTuple):
    """What a student hands in: the functions of one run, from its number."""

    make: Callable[[int], Functions]
    advice: str = ""  # part of what the check must advise against a wrong answer


def victim(
    width: int = 32, epochs: int = 8, rate: float | None = None, seeded: bool = True
) -> Callable[[int], Functions]:
    """Lab 1, exercise 2: an architecture, and a loop with these settings."""

    def make(number: int) -> Functions:
        dice = np.random.default_rng(number)

        def build(seed=0):
            return models.cnn(width=width, seed=1_000 * number + seed)

        def train(model, x, y, epochs=epochs, batch_size=64, lr=3e-3, seed=0):
            seed = 1_000 * number + seed if seeded else int(dice.integers(2**31))
            lr = lr if rate is None else rate
            how = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
            return training.fit(model, x, y, **how, device="cpu")  # as the lab's own loop

        return build, train, new_network, weights_of, recorded

    return make


def clone(
    network: str = "mlp",
    learns: Callable[[np.ndarray, str], np.ndarray] | None = None,
    used: int | None = None,
    seeded: bool = True,
) -> Callable[[int], Functions]:
    """Lab 2, exercise 2: what the clone is, what it is shown, and how much of it."""

    def make(number: int) -> Functions:
        dice = np.random.default_rng(number)

        def train_clone(x, answers, labels="soft", epochs=10, seed=0):
            seed = 1_000 * number + seed if seeded else int(dice.integers(2**31))
            if learns:
                targets = learns(answers, labels)
            else:
                targets = answers if labels == "soft" else answers.argmax(axis=1)
            body = models.mlp if network == "mlp" else models.cnn
            one = body(x.shape[1:], seed=seed)
            training.fit(one, x[:used], targets[:used], epochs=epochs, lr=3e-3, seed=seed)
            return models.Classifier(one).posteriors

        return (train_clone,)

    return make


def theft(
    pool: str,
    *,
    labels: str = "soft",
    epochs: int = 20,
    share: float = 1.0,
    learn: Callable[..., Posteriors] | None = None,
    square: int = 1,
    **network: str,
) -> Callable[[int], Functions]:
    """Lab 2, exercise 4: what is asked about, how much of the budget, and how it is learnt.

    ``square`` is the side of the squares whose means the clone sees in place of pixels.
    """

    def seen(x: np.ndarray) -> np.ndarray:
        n, c, h, w = x.shape
        return x.reshape(n, c, h // square, square, w // square, square).mean(axis=(3, 5))

    def make(number: int) -> Functions:
        def steal(api, pools, budget, seed=0):
            x, answers = attacks.collect(api, pools[pool], int(share * budget))
            if learn:
                return learn(x, answers)
            how = {"labels": labels, "epochs": epochs, **network}
            clone = attacks.train_clone(seen(x), answers, seed=seed + number, **how)
            return lambda pictures: clone.posteriors(seen(pictures))

        return (steal,)

    return make


def theft_that_asks_first(number: int) -> Functions:
    """Lab 2, exercise 4, the reference: which squares leave the answers as they are?"""

    def means(x: np.ndarray, side: int) -> np.ndarray:
        n, c, h, w = x.shape
        return x.reshape(n, c, h // side, side, w // side, side).mean(axis=(3, 5))

    def steal(api, pools, budget, seed=0):
        few, others = pools["shapes"][:10], pools["shapes"][10:]
        told, side = api.query(few), 1
        for larger in (2, 4):
            blurred = means(few, larger).repeat(larger, axis=2).repeat(larger, axis=3)
            if np.abs(api.query(blurred) - told).max() < 0.001:
                side = larger
        x, answers = attacks.collect(api, others, api.remaining)
        network = models.mlp(means(x, side).shape[1:], seed=seed + number)
        how = {"epochs": 200, "batch_size": 512, "lr": 2e-2}
        training.fit(network, means(x, side), answers, **how, seed=seed + number)
        clone = models.Classifier(network)
        return lambda pictures: clone.posteriors(means(pictures, side))

    return (steal,)


def shipped_renamed(x: np.ndarray, answers: np.ndarray) -> Posteriors:
    """The shipped victim, with the class that each of its own was mostly answered with."""
    victim, table = fixtures.victim(), np.zeros((10, 10), np.float32)
    np.add.at(table, victim.labels(x), answers)
    names = np.eye(10, dtype=np.float32)[table.argmax(axis=1)]
    return lambda pictures: names[victim.labels(pictures)]


def shipped_features(x: np.ndarray, answers: np.ndarray) -> Posteriors:
    """A last layer fitted to the answers, on what the shipped victim sees."""
    seen, labels = fixtures.victim().features(x), answers.argmax(axis=1)
    middle, scale = seen.mean(axis=0), seen.std(axis=0) + 1e-3
    layer = LogisticRegression(C=0.1, max_iter=300).fit((seen - middle) / scale, labels)

    def posteriors(pictures: np.ndarray) -> np.ndarray:
        found = np.zeros((len(pictures), 10), np.float32)
        seen = (fixtures.victim().features(pictures) - middle) / scale
        found[:, layer.classes_] = layer.predict_proba(seen)
        return found

    return posteriors


def on_shipped_features(number: int) -> Functions:
    """Lab 2, exercise 2, with the victim that lies in every notebook."""

    def train_clone(x, answers, labels="soft", epochs=10, seed=0):
        return shipped_features(x, answers)

    return (train_clone,)


def noise(change: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]):
    """Lab 3, exercise 1: noise from draws that are new in each run."""

    def make(number: int) -> Functions:
        def zero_mean_noise(posteriors, sigma, rng):
            return change(posteriors, sigma, np.random.default_rng([number, rng.integers(2**32)]))

        return (zero_mean_noise,)

    return make


def on_logits(draw: Callable[[np.random.Generator, float, tuple[int, ...]], np.ndarray]):
    """Adds what ``draw`` gives to the logits."""

    def change(posteriors: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
        logits = np.log(np.maximum(posteriors, 1e-12))
        return models.softmax(logits + draw(rng, sigma, logits.shape))

    return change


def on_probabilities(p: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    noisy = np.clip(p + rng.normal(0, sigma, p.shape), 1e-6, None)
    return noisy / noisy.sum(axis=1, keepdims=True)


def down_the_columns(answers: np.ndarray, labels: str) -> np.ndarray:
    """``argmax(axis=0)``, repeated until there are enough of them."""
    if labels == "soft":
        return answers
    return np.resize(answers.argmax(axis=0) % 10, len(answers))


BELIEVED = "your clone was trained on them"  # on lies
LONGER = "is it trained long enough"  # the advice to a theft that earns a part of the points
CHECKS: dict[str, dict[str, Answer]] = {
    "train_victim": {
        "reference": Answer(victim()),
        "half as wide": Answer(victim(width=16)),
        "one epoch": Answer(victim(epochs=1), "number of epochs was changed"),
        # The advice for these two is given at once: they need no long training.
        "hardly a step": Answer(victim(epochs=1, rate=1e-7), "The loss stands still"),
        "draws outside the seed": Answer(victim(width=16, seeded=False), "outside the seed"),
    },
    "train_clone": {
        "reference": Answer(clone()),
        "CNN": Answer(clone("cnn")),
        "argmax for soft": Answer(
            clone(learns=lambda answers, labels: answers.argmax(axis=1)), "surer than the victim"
        ),
        "posteriors for hard": Answer(
            clone(learns=lambda answers, labels: answers), "sees more than the argmax"
        ),
        "largest of each column": Answer(clone(learns=down_the_columns), "axis=0"),
        "seed not used": Answer(clone(seeded=False), "Hand the seed"),
        "300 of 3,000 answers": Answer(clone(used=300), "every row of the answers"),
        "shipped features": Answer(on_shipped_features, "every row of the answers"),
    },
    "steal": {
        "reference": Answer(theft_that_asks_first),
        "half the size": Answer(theft("shapes", epochs=80, square=2)),
        "shapes": Answer(theft("shapes"), LONGER),
        "10 epochs": Answer(theft("shapes", epochs=10), LONGER),
        "hard labels": Answer(theft("shapes", labels="hard"), LONGER),
        "CNN, 8 epochs": Answer(theft("shapes", network="cnn", epochs=8), LONGER),
        "digits": Answer(theft("digits"), "queries were used"),
        "patches": Answer(theft("patches"), "what you ask about matters most"),
        "noise": Answer(theft("noise"), "what you ask about matters most"),
        "a tenth of the budget": Answer(theft("shapes", share=0.1), "each unused one is lost"),
        "shipped victim": Answer(theft("shapes", learn=shipped_renamed), "pool"),
        "shipped features": Answer(
            theft("shapes", learn=shipped_features), "so the fault is in the clone"
        ),
        "more than the budget": Answer(theft("shapes", share=1.02), "no more than budget"),
    },
    "zero_mean_noise": {
        "reference": Answer(noise(defenses.zero_mean_noise)),
        "row by row": Answer(
            noise(
                on_logits(
                    lambda rng, sigma, shape: np.stack(
                        [sigma * rng.standard_normal(shape[1]) for _ in range(shape[0])]
                    )
                )
            )
        ),
        "the variance": Answer(
            noise(on_logits(lambda rng, sigma, shape: rng.normal(0, sigma**2, shape))),
            "sigma**2, the variance",
        ),
        "uniform": Answer(
            noise(
                on_logits(
                    lambda rng, sigma, shape: rng.uniform(-(3**0.5) * sigma, 3**0.5 * sigma, shape)
                )
            ),
            "not normally distributed",
        ),
        "on the probabilities": Answer(noise(on_probabilities), "not to the probabilities"),
        "one draw for all": Answer(
            noise(on_logits(lambda rng, sigma, shape: rng.normal(0, sigma, (1, shape[1])))),
            "Draw an array of the posteriors' shape",
        ),
    },
    "spend": {
        "reference": Answer(attack(changed(pixels=1, light=0.06))),
        "mirrored": Answer(attack(mirrored)),
        "nine rolls": Answer(attack(nine_rolls)),
        "far, lies undone": Answer(attack(changed(pixels=2, light=0.1), undo=True)),
        "mirror images": Answer(attack(with_mirror_images)),
        "shapes": Answer(attack(lambda x_shapes, real: x_shapes), BELIEVED),
        "shapes, lies undone": Answer(attack(lambda x_shapes, real: x_shapes, undo=True), BELIEVED),
        "shapes and real": Answer(attack(with_shapes), BELIEVED),
        "real alone": Answer(attack(lambda x_shapes, real: real), "What else can you make"),
        "clothes of others": Answer(attack(with_clothes_of_others), "does not own"),
        "more than the budget": Answer(
            attack(lambda x_shapes, real: np.concatenate([real, x_shapes])), "at most"
        ),
        "shipped victim": Answer(
            attack(lambda x_shapes, real: x_shapes, ask_first=False), "nothing was asked"
        ),
    },
}
NEAR: dict[str, tuple[str, ...]] = {}  # answers near a bar that are refused for something else
PARTLY = {"steal": ("shapes",)}  # answers near a bar that earn most of the points, by design
OFTEN = {  # near their bars, or done in no time
    "train_victim": ("half as wide",),
    "steal": ("reference", "half the size"),
    "zero_mean_noise": tuple(CHECKS["zero_mean_noise"]),
    "spend": ("mirrored", "nine rolls", "far, lies undone", "mirror images", "real alone"),
}
QUOTED = {  # in thresholds.py
    "train_victim": ("reference", "half as wide", "one epoch"),
    "train_clone": ("reference", "CNN", "300 of 3,000 answers"),
    "steal": (
        *("reference", "half the size", "shapes", "10 epochs", "hard labels", "CNN, 8 epochs"),
        *("digits", "patches", "noise"),
    ),
    "spend": (
        *("reference", "mirrored", "nine rolls", "far, lies undone", "mirror images"),
        *("shapes", "shapes, lies undone", "shapes and real", "real alone"),
    ),
}


FUNCTIONS = {
    "train_victim": lab1.train_victim,
    "train_clone": lab2.train_clone,
    "steal": lab2.steal,
    "zero_mean_noise": lab3.zero_mean_noise,
    "spend": lab3.spend,
}
COMPARED = {  # with which threshold, and in which part of the check
    "train_victim": (thresholds.VICTIM_ACCURACY, ("held-out accuracy",)),
    "train_clone": (thresholds.CLONE_FIDELITY, ("fidelity with 3,000 queries",)),
    "steal": (thresholds.STOLEN_FIDELITY, ("fidelity with 3,000 queries",), ("half the size",)),
    "spend": (
        thresholds.SPENT_GAIN,
        ("more than the hundred pictures bring",),
        ("mirror images",),
    ),
}
CHECKED = {
    name: Calibrated(
        function.points,
        {answer: given.advice for answer, given in CHECKS[name].items()},
        *COMPARED.get(name, ()),
        often=OFTEN.get(name, ()),
    )
    for name, function in FUNCTIONS.items()
}


def run_check(job: Job) -> Measurement:
    """One check of one answer, graded with the secret of one number."""
    check, name, number = job
    functions = CHECKS[check][name].make(number)
    secret, same = number.to_bytes(draws.SHORTEST, "big"), mock.patch.object(pools, "make", drawn)
    with same, refused_by(nobody), draws.grading_with(secret, held_back.load()):
        result = FUNCTIONS[check](*functions)
    return measure_verdict(CHECKED[check], name, result)


def jobs(runs: int = 200) -> list[Job]:
    """So many runs of the answers that are run often, and fewer of the others."""
    return plan_jobs(CHECKED, runs)


def section(results: Results) -> str:
    """The table, as Markdown."""
    return (
        "Each run has a secret of its own, from which the checks draw. What is measured is "
        "accuracy for the victim, fidelity for the clones, and for lab 3's attack (*spend*) how "
        "much more it is than that of a clone of the hundred real pictures alone. *Hardly a "
        "step*: one epoch at a learning rate of 1e-7; *draws outside the seed*: other weights "
        "with the same seed; *reference*, of the theft: asks first how coarsely the service "
        "looks; *half the size*: a clone that sees the means of 2x2 squares, which earns most of "
        "the points; *shapes*: 20 epochs with all pixels, which earns a part of them, as do the "
        "three below it; *digits*, *patches*, *noise*: the same from a pool that steals badly; "
        "*shipped victim*: its own classes, renamed as the answers say; *shipped features*: a "
        "last layer on what it sees, fitted to the answers. Of lab 3's attack: *reference* moves "
        "real pictures by up to a pixel and lays faint clouds over them; *mirrored*: they and "
        "their mirror images, moved by a pixel in every direction; *nine rolls*: the same without "
        "mirror images, the simplest attack with full points; *mirror images*: not moved, which "
        "earns a part; *far, lies undone*: moved and clouded more, until a quarter is flagged, "
        "and the lies reversed; *shapes, lies undone*: no real picture, which earns half of the "
        "points; *shapes and real*: 2,900 and 100, believed.\n\n" + table(CHECKED, results)
    )


if __name__ == "__main__":
    sys.exit(main(__doc__, PART, CHECKED, run_check, jobs))
