"""What lab 2 tries with a clone: its labels, its seed, and thefts from services that it draws.

Each function with a ``part`` decides it; the others measure what several parts need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import evaluation, pools
from trickster.api import BudgetExceeded, PredictionAPI
from trickster.checks import draws, fixtures, known_clothes, teacher
from trickster.checks.result import Missed, Part, Sheet
from trickster.checks.values import array, kind_of

# A clone with the service's own squares and mirrored shapes reaches .94 (benchmarks.star_answers),
# four such clones together reach more; who has found the matrix of the formula reaches .999.
TOO_FAITHFUL = 0.985
PARTS = 4  # of the honest pictures


def honest_pictures(part: int) -> np.ndarray:
    """A quarter of the honest pictures: part 0 for exercises 2 and 3, another for each theft.

    So no test is decided with pictures that an earlier one has shown. (Those who remember them,
    to send them to a service: see ``known_clothes``.)
    """
    return fixtures.honest_pictures().x[part % PARTS :: PARTS].copy()


def query_pool(kind: str, n: int, *labels: str | int) -> np.ndarray:
    """``n`` pictures of a pool as a service receives them; ``labels`` name the draw."""
    pictures = pools.make(kind, n, seed=draws.seed("pool", kind, *labels))
    return fixtures.as_sent(pictures, kind, *labels)


def ask(clone: Any, x: np.ndarray) -> np.ndarray:
    if not callable(clone) or hasattr(clone, "parameters"):
        raise Missed(
            f"train_clone returned {kind_of(clone)}, not a function from pictures to "
            "posteriors, such as models.Classifier(network).posteriors."
        )
    return array(clone(x), "The clone", (len(x), 10))


def look_twice(sheet: Sheet, value: float) -> None:
    """Tell the instructor of a fidelity that no theft reaches from the given pools."""
    if value > TOO_FAITHFUL:
        sheet.tell_instructor(
            f"{sheet.title}: a fidelity of {value:.3f}, above {TOO_FAITHFUL}. No clone that learns "
            "from these pools alone is known to reach it: look at what it knew beforehand."
        )


# --- exercise 2 --------------------------------------------------------------------

TOO_LITTLE = (
    "The clone has learnt little of what it was shown. Are pictures and answers still in the same "
    "order? lr=3e-3 and the epochs you are given are a good start."
)


class Untouched:
    """A ``train_clone`` that is handed copies, and told once where it writes into what it gets."""

    def __init__(self, train: Callable[..., Any]):
        self._train, self._told = train, False

    def __call__(self, x: np.ndarray, answers: np.ndarray, **how: Any) -> Any:
        given = x.copy(), answers.copy()
        clone = self._train(*given, **how)
        changed = [
            name
            for name, one, before in zip(("x", "answers"), given, (x, answers), strict=True)
            if not np.allclose(one, before, atol=1e-5)  # rounded anew is as it was
        ]
        if changed and not self._told:
            self._told = True
            raise Missed(
                f"train_clone changed {' and '.join(changed)} in place. The pictures and answers "
                "belong to whoever calls it, who may train on them again: make new arrays, as "
                "x[order] and answers.argmax(axis=1) do."
            )
        return clone


SHARPER, FLATTER = 0.035, 0.055  # right clones lie from 0 to .024 above the victim's doubt


class Task(NamedTuple):
    """Pictures whose brightest part decides their class: a clone learns that from a few hundred.

    ``x (n, 1, 28, 28)`` and ``classes (n,)`` to learn from, ``fresh`` and ``fresh_classes`` to
    ask about: whoever repeats what was shown knows nothing of those.
    """

    x: np.ndarray
    classes: np.ndarray
    fresh: np.ndarray
    fresh_classes: np.ndarray


def task(pictures: np.ndarray, parts: int, classes: np.ndarray) -> Task:
    """The last third of the pictures is fresh. ``parts`` is 2 (halves) or 4 (quarters)."""
    halves = pictures.reshape(len(pictures), 2, 14, 2, 14).mean(axis=(2, 4))
    means = halves.reshape(-1, 4) if parts == 4 else halves.mean(axis=2)
    named = classes[means.argmax(axis=1)]
    first = len(pictures) * 2 // 3
    return Task(pictures[:first], named[:first], pictures[first:], named[first:])


class Doubts(NamedTuple):
    """What :func:`doubts` draws: a task and a victim that always hesitates between two classes."""

    task: Task
    answers: np.ndarray
    second: np.ndarray  # of the fresh pictures
    confidence: float


def doubts(pictures: np.ndarray) -> Doubts:
    """A victim that names one of two classes, and with it always the same other one."""
    rng = draws.rng("soft labels")
    names, confidence = rng.permutation(10)[:4], round(float(rng.uniform(0.62, 0.68)), 2)
    found = task(pictures, 2, names[:2])
    other = dict(zip(names[:2].tolist(), names[2:].tolist(), strict=True))
    answers = np.zeros((len(found.x), 10), np.float32)
    rows = np.arange(len(found.x))
    answers[rows, found.classes] = confidence
    answers[rows, [other[c] for c in found.classes.tolist()]] = 1 - confidence
    second = np.array([other[c] for c in found.fresh_classes.tolist()])
    return Doubts(found, answers, second, confidence)


def soft_labels(part: Part, train: Callable[..., Any], drawn: Doubts) -> None:
    """Every answer names one class with .65 or so, and another with the rest: so must a clone."""
    shown, rows = drawn.task, np.arange(len(drawn.second))
    seed = draws.seed("soft labels", "seed")
    got = ask(train(shown.x, drawn.answers, labels="soft", epochs=20, seed=seed), shown.fresh)
    first = float(got[rows, shown.fresh_classes].mean())
    second = float(got[rows, drawn.second].mean())
    sure, doubt = drawn.confidence, 1 - drawn.confidence
    # The doubt as a share of both: free of how well the clone tells the two classes apart.
    copied = second / max(first + second, 1e-6)
    part.expect(
        0.4 < first < 1 and doubt - SHARPER < copied < doubt + FLATTER,
        f"a victim that says {sure:.2f} and {doubt:.2f} is copied as {first:.2f} and "
        f"{second:.2f} on average, on pictures that the clone had not seen",
        f"the first above .4; the second's share of the two between {doubt - SHARPER:.2f} and "
        f"{doubt + FLATTER:.2f}",
        "0.6 and 0.3",
        TOO_LITTLE
        if first < 0.4
        else "The clone returns logits: a function to posteriors was asked, such as "
        "models.Classifier(network).posteriors."
        if first > 1
        else "The clone is surer than the victim: with soft labels the posteriors themselves are "
        "the targets, neither their argmax nor a sharpened version of them."
        if copied <= doubt - SHARPER
        else "The clone does not repeat the posteriors it was trained on.",
    )


def hard_labels(part: Part, train: Callable[..., Any], pictures: np.ndarray) -> None:
    """Two victims with the same labels and other probabilities must give the same clone."""
    rng = draws.rng("hard labels")
    shown = task(pictures, 4, rng.permutation(10)[:4])
    answers = _unsure(shown.classes, rng)
    answers[::2] = (answers[::2] + 0.1) / 2  # the largest value need not be above .5
    one_hot = np.eye(10, dtype=np.float32)[shown.classes]
    seed = draws.seed("hard labels", "seed")
    axis = (
        "The largest value was looked for down the columns (axis=0), over the batch. Each row is "
        "one picture's answer: argmax(axis=1) gives one label for each picture."
    )
    try:
        clone = train(shown.x, answers, labels="hard", epochs=20, seed=seed)
    except (ValueError, IndexError) as error:
        if not (means := _refused(str(error), axis)):
            raise
        raise Missed(f"training refused the targets: {error} {means}") from None
    got = ask(clone, shown.fresh)
    same = ask(train(shown.x, one_hot, labels="hard", epochs=20, seed=seed), shown.fresh)
    agree = float((got.argmax(axis=1) == shown.fresh_classes).mean())
    blind = bool(np.array_equal(got, same))
    if agree < 0.6:
        soft = ask(train(shown.x, answers, labels="soft", epochs=20, seed=seed), shown.fresh)
        learns = (soft.argmax(axis=1) == shown.fresh_classes).mean() >= 0.6
        means = axis if learns else TOO_LITTLE
    else:
        means = (
            "The clone still sees more than the argmax: two victims with the same labels and "
            "other probabilities must give the same hard-label clone."
        )
    part.expect(
        agree >= 0.6 and blind,
        f"{agree:.2f} of pictures that the clone had not seen get the victim's class; with "
        f"one-hot answers the clone is {'the same' if blind else 'another'}",
        "at least .6, and the same",
        "about .9",
        means,
    )


def _refused(error: str, axis: str) -> str:
    """What it means that ``training.fit`` refuses the targets with this error; "" if it did not."""
    if "one target a row" in error or "labels run from" in error:
        return axis
    if "must be posteriors" in error:
        return (
            "With hard labels, each row needs one class, whatever its probability: the largest "
            "may lie below .5. argmax(axis=1) gives it."
        )
    if "targets must be hard labels" in error:
        return "argmax(axis=1) gives the class of each row, an integer; max gives its probability."
    return ""


def _unsure(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Posteriors ``(n, 10)`` with these as their largest, by .1 or more."""
    n = len(classes)
    answers = rng.dirichlet(np.ones(10), n) * 0.5
    answers[np.arange(n), classes] = 0
    answers *= rng.uniform(0.3, 0.45, (n, 1)) / answers.sum(axis=1, keepdims=True)
    answers[np.arange(n), classes] = 1 - answers.sum(axis=1)
    return answers.astype(np.float32)


def seeds(part: Part, train: Callable[..., Any], drawn: Doubts) -> None:
    """The same seed gives the same clone, another one another, and each has learnt something."""
    shown, rows = drawn.task, np.arange(len(drawn.second))
    one, two = (draws.seed("a clone's seed", i) for i in range(2))
    first, again, other = (
        ask(train(shown.x, drawn.answers, labels="soft", epochs=5, seed=seed), shown.fresh)
        for seed in (one, one, two)
    )
    learnt = min(
        float((got[rows, shown.fresh_classes] + got[rows, drawn.second]).mean())
        for got in (first, other)
    )
    if learnt < 0.6:
        raise Missed(
            f"the clones give {learnt:.2f} to the two classes that the victim names, and .50 is "
            f"guessing: they must learn something before the seed can matter. {TOO_LITTLE}"
        )
    longer = ask(train(shown.x, drawn.answers, labels="soft", epochs=9, seed=one), shown.fresh)
    # One picture over and over: its order can't matter, so only the weights can differ.
    x, answers = np.repeat(shown.x[:1], 130, axis=0), np.repeat(drawn.answers[:1], 130, axis=0)
    alike = [ask(train(x, answers, labels="soft", epochs=1, seed=s), x[:1]) for s in (one, two)]
    if np.array_equal(*alike):
        raise Missed(
            "two seeds start from the same weights: where the order of training can't matter, both "
            "clones are the same. Hand the seed both to the network and to training.fit."
        )
    same, different, more = (float(np.abs(first - x).max()) for x in (again, other, longer))
    part.expect(
        same == 0 and different > 0 and more > 0,
        f"same seed: answers differ by {same:.2g}; another seed: by {different:.2g}; other epochs: "
        f"by {more:.2g}",
        "0, and twice more than 0",
        "0, about 0.2, about 0.1",
        "epochs is ignored: hand it to training.fit."
        if same == 0 and different > 0
        else "Hand the seed both to the network and to training.fit.",
    )


def trained_on_a_service(train: Callable[..., Any], n: int) -> float:
    """Fidelity of a clone trained on a drawn service's answers to ``n`` shapes."""
    service, x = teacher.service("train_clone"), query_pool("shapes", n, "train_clone")
    seed = draws.seed("train_clone", "seed")
    clone = train(x, service.posteriors(x), labels="soft", epochs=10, seed=seed)
    honest = honest_pictures(0)
    return evaluation.fidelity(ask(clone, honest), service.labels(honest))


# --- exercise 4 --------------------------------------------------------------------


class Theft(NamedTuple):
    """What came of one theft."""

    fidelity: float
    used: int  # answers
    refused: int  # requests, for going over the budget
    shipped: int  # queries that were pictures of the course's own clothes
    shapes: int  # queries from that pool


class _Recorded:
    """A victim that keeps what it was asked."""

    def __init__(self, victim: teacher.Teacher):
        self._victim, self.asked = victim, [np.empty((0, 1, 28, 28), np.float32)]

    def features_and_posteriors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append(x.copy())
        return self._victim.features_and_posteriors(x)


def one_theft(steal: Callable[..., Any], budget: int, number: int) -> Theft:
    """A theft from a service of its own, with pools of its own; each has another ``number``."""
    # More pictures than the budget allows to ask about, so that asking for too many shows.
    sizes = {"noise": budget + 200, "digits": min(budget, 1_500)}
    sizes |= {"patches": budget + 200, "shapes": budget + 200}
    given = {kind: query_pool(kind, n, "steal", number) for kind, n in sizes.items()}
    owned = {picture.tobytes(): kind for kind, pool in given.items() for picture in pool}
    victim = _Recorded(teacher.service("steal", number))
    service = PredictionAPI(victim, budget=budget)
    try:
        clone = steal(service.client("thief"), given, budget, seed=draws.seed("steal", number))
    except BudgetExceeded as error:
        raise Missed(
            f"the API refused you: {error} Ask for no more than budget pictures in all."
        ) from None
    if not callable(clone) or hasattr(clone, "parameters"):
        raise Missed(
            f"steal returned {kind_of(clone)}, not the clone: a function from pictures "
            "to posteriors, such as models.Classifier(network).posteriors."
        )
    requests, service.budget = len(service.log), service.used("thief")
    honest = honest_pictures(number)
    try:
        answers = array(clone(honest), "The clone", (len(honest), 10))
    except BudgetExceeded:
        answers = None
    except (RuntimeError, ValueError) as error:
        if not any(words in str(error) for words in ("cannot be multiplied", "features")):
            raise
        raise Missed(
            f"your clone cannot look at pictures of shape (n, 1, 28, 28): {error}. If it was "
            "trained on changed pictures, it must change those that it is asked about as well: "
            "return lambda pictures: clone(changed(pictures))."
        ) from None
    if answers is None or len(service.log) > requests:
        raise Missed(
            "the clone asked the service about the pictures that it was to answer itself. The "
            "theft ends when steal returns."
        )
    asked = np.concatenate(victim.asked)
    foreign = [picture for picture in asked if picture.tobytes() not in owned]
    return Theft(
        evaluation.fidelity(answers, teacher.labels(honest, "steal", number)),
        service.used("thief"),
        sum(bool(entry.refused) for entry in service.log),
        known_clothes.count(np.array(foreign)) if foreign else 0,
        sum(owned.get(picture.tobytes()) == "shapes" for picture in asked),
    )
