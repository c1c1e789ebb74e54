"""What lab 2 tries with a clone: its labels, and a theft from a service with other class names.

Each function with a ``part`` decides it; the others measure what several parts need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster import evaluation
from trickster.api import BudgetExceeded
from trickster.checks import fixtures
from trickster.checks.result import Missed, Part, array
from trickster.scenario import Scenario

POOL_SEED = 7_000  # the checks' pools; the labs draw theirs from small seeds


def class_names(seed: int) -> np.ndarray:
    """An order of the ten classes in which none has its usual place.

    The victim's weights lie in every student's notebook. A clone that answers with them, and not
    with what was stolen, calls each class by the wrong name; a theft is as hard as ever.
    """
    rng = np.random.default_rng([POOL_SEED, seed])
    while True:
        order = rng.permutation(10)
        if (order != np.arange(10)).all():
            return order


def renamed(names: np.ndarray) -> np.ndarray:
    """The victim's labels of the test pictures, in these names."""
    return np.argsort(names)[fixtures.victim_labels()]


def ask(clone: Any, x: np.ndarray) -> np.ndarray:
    if not callable(clone) or hasattr(clone, "parameters"):
        raise Missed(
            f"train_clone returned a {type(clone).__name__}; asked a function from pictures to "
            "posteriors, such as models.Classifier(network).posteriors."
        )
    return array(clone(x), "The clone", (len(x), 10))


TOO_LITTLE = (
    "The clone has learnt little of what it was shown: lr=3e-3 and the epochs you are given are a "
    "good start."
)


def soft_labels(part: Part, train: Callable[..., Any], x: np.ndarray) -> None:
    """Every answer says 0.65 for one class and 0.35 for another: a soft clone repeats that."""
    answers = np.zeros((len(x), 10), np.float32)
    bright = x.reshape(len(x), -1).mean(axis=1) > np.median(x.mean(axis=(1, 2, 3)))
    answers[bright, 1], answers[bright, 2] = 0.65, 0.35
    answers[~bright, 7], answers[~bright, 8] = 0.65, 0.35
    got = ask(train(x, answers, labels="soft", epochs=20, seed=0), x)
    first = float(np.where(bright, got[:, 1], got[:, 7]).mean())
    second = float(np.where(bright, got[:, 2], got[:, 8]).mean())
    part.expect(
        0.2 < second < 0.5,
        f"a victim that says .65 and .35 is copied as {first:.2f} and {second:.2f} on average",
        "the second between .2 and .5",
        "0.6 and 0.3",
        TOO_LITTLE
        if first < 0.4
        else "The clone is surer than the victim: with soft labels the posteriors themselves are "
        "the targets, not their argmax."
        if second <= 0.2
        else "The clone does not repeat the posteriors it was trained on.",
    )


def hard_labels(part: Part, train: Callable[..., Any], x: np.ndarray, answers: np.ndarray) -> None:
    one_hot = np.eye(10, dtype=np.float32)[answers.argmax(axis=1)]
    axis = (
        "The largest value was looked for down the columns (axis=0), over the batch. Each row is "
        "one picture's answer: argmax(axis=1) gives one label for each picture."
    )
    try:
        clone = train(x, answers, labels="hard", epochs=20, seed=0)
    except (ValueError, IndexError) as error:
        raise Missed(f"training refused the targets: {error} {axis}") from None
    got = ask(clone, x)
    same = ask(train(x, one_hot, labels="hard", epochs=20, seed=0), x)
    agree = float((got.argmax(axis=1) == answers.argmax(axis=1)).mean())
    blind = bool(np.array_equal(got, same))
    if agree < 0.6:
        soft = ask(train(x, answers, labels="soft", epochs=20, seed=0), x).argmax(axis=1)
        means = TOO_LITTLE if (soft == answers.argmax(axis=1)).mean() < 0.6 else axis
    else:
        means = (
            "The clone still sees more than the argmax: two victims with the same labels and "
            "other probabilities must give the same hard-label clone."
        )
    part.expect(
        agree >= 0.6 and blind,
        f"agreement with the rows' argmax on its own training pictures {agree:.2f}; with one-hot "
        f"answers the clone is {'the same' if blind else 'another'}",
        "at least .6, and the same",
        "about .9",
        means,
    )


def one_theft(steal: Callable[..., Any], budget: int, seed: int) -> tuple[float, int, list[str]]:
    """Fidelity, answers used, and requests refused for going over the budget."""
    scenario = Scenario("fashion")
    # More pictures than the budget allows to ask about, so that asking for too many shows.
    sizes = dict.fromkeys(scenario.pools, budget + 200) | {"digits": min(budget, 1_500)}
    pools = {name: scenario.pool(name, n, seed=POOL_SEED + seed) for name, n in sizes.items()}
    names = class_names(seed)
    service = scenario.api(budget=budget, defenses=[lambda answers, query: answers[:, names]])
    try:
        clone = steal(service.client("thief"), pools, budget, seed=seed)
    except BudgetExceeded as error:
        raise Missed(
            f"the API refused you: {error} Ask for no more than budget pictures in all."
        ) from None
    refused = [entry.refused for entry in service.log if entry.refused]
    if not callable(clone):
        raise Missed(
            f"steal returned a {type(clone).__name__}; asked the clone: a function from pictures "
            "to posteriors."
        )
    answers = array(clone(fixtures.fashion().x_test.copy()), "The clone", (5000, 10))
    return evaluation.fidelity(answers, renamed(names)), service.used("thief"), refused
