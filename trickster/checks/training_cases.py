"""What lab 1 tries with a training loop: networks, pictures and labels are drawn for the test.

What is measured is what the weights are worth when the loop has ended: the check holds a copy of
the network, or rebuilds it, and asks it itself. A loss that the loop returns must fit to that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from trickster import evaluation, models
from trickster.checks import draws, fixtures, probes, sorting
from trickster.checks.rebuilt import BATCH, Rebuilt
from trickster.checks.result import Missed, Part, Sheet
from trickster.checks.thresholds import VICTIM_ACCURACY
from trickster.checks.values import array
from trickster.models import softmax

SMALL, WHOLE = 2_000, 12_000  # pictures
EPOCHS = 6
NARROWEST, WIDEST = 12, 18  # filters of the network that is handed in
FEW = 192  # pictures for the first three steps
WHOLE_BATCHES = 3  # before a small last one
# Cosine of a layer's way and its negative gradient: right loops .13 to .93, by chance .01.
DOWNHILL = 0.05
NO_STEPS = (
    "The weights do not move step by step against the gradient of the loss on a batch: "
    "zero_grad(), backward(), step()."
)
UPHILL = (
    "The first steps lead uphill, with the gradient: does something turn its sign, such as "
    "(-loss).backward()?"
)
OTHERS = (
    "The losses fall, but not those of the network on these pictures: it is trained on something "
    "else. Take the model's logits as they are, and of the arguments x and y the batch: "
    "model(x[batch]) and y[batch]."
)
TENSORS = (
    "The losses are tensors, which hold on to everything that they were computed from: add "
    "loss.item() * len(batch) to total."
)
RIGHT = 0.55  # of the pictures trained on; a loop that never forgets its gradients reaches .36
APART = 0.05  # how far two runs with one seed may end apart, of the way that they went

Train = Callable[..., Any]


class Probes(NamedTuple):
    """The probes of the student's process."""

    new_network: Callable[[int, list[np.ndarray]], Any]
    weights_of: Callable[[Any], list[np.ndarray]]


def task(n: int, *draw: str) -> fixtures.Labelled:
    """``n`` training pictures, as sent, in classes that are drawn as well."""
    fashion = fixtures.fashion()
    rows = draws.rng("training pictures", *draw).permutation(len(fashion.x_train))[:n]
    x = fixtures.as_sent(fashion.x_train[rows], "training pictures", *draw)
    return fixtures.Labelled(x, labels(x))


def labels(x: np.ndarray) -> np.ndarray:
    """The classes of the task."""
    return sorting.labels(x, "train_victim")


class Pupil:
    """A network that the check has drawn, and that the student's loop trains.

    The check has its weights before and after, and asks its own copy of it.
    """

    def __init__(self, there: Probes, *draw: str):
        rng = draws.rng("pupil", *draw)
        self.width = int(rng.integers(NARROWEST, WIDEST + 1))
        drawn = models.cnn(width=self.width, seed=int(rng.integers(2**31)))
        self.weights = probes.weights_of(drawn)
        self._there = there

    def renamed(self, names: np.ndarray) -> Pupil:
        """The same network, in which class ``i`` is called ``names[i]``."""
        other = object.__new__(Pupil)
        other.width, other._there = self.width, self._there
        order = np.argsort(names)
        other.weights = [*self.weights[:-2], *(layer[order] for layer in self.weights[-2:])]
        return other

    def taught(self, train: Train, x: np.ndarray, y: np.ndarray, **options: Any) -> Lesson:
        """What the student's loop makes of it."""
        network = self._there.new_network(self.width, self.weights)
        losses = train(network, x.copy(), y.copy(), **options)
        weights = self._there.weights_of(network)
        if not isinstance(weights, list) or len(weights) != len(self.weights):
            raise Missed(
                "the network did not come back with the layers that it was handed in with."
            )
        weights = [
            array(found, "The network's weights", known.shape).astype(np.float32)
            for found, known in zip(weights, self.weights, strict=True)
        ]
        return Lesson(losses, self.weights, weights, self.own(weights))

    def own(self, weights: list[np.ndarray]) -> models.Classifier:
        return models.Classifier(probes.new_network(self.width, weights))

    def gradients(self, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
        """Of the loss on these pictures, for each of the weights before training."""
        network = self.untaught.network
        F.cross_entropy(network(torch.tensor(x)), torch.tensor(y)).backward()
        return [parameter.grad.numpy() for parameter in network.parameters()]

    @property
    def untaught(self) -> models.Classifier:
        return self.own(self.weights)


class Lesson(NamedTuple):
    """What came of training: what the loop returned, the weights before and after, the network."""

    losses: Any
    before: list[np.ndarray]
    after: list[np.ndarray]
    network: models.Classifier

    @property
    def moved(self) -> bool:
        """Whether any weight is another than before."""
        return any((a != b).any() for a, b in zip(self.before, self.after, strict=True))


def descends(train: Train, there: Probes) -> bool:
    """Whether the first steps of a loop go against the gradient."""
    return min(_first_steps(train, there)) > DOWNHILL


def _first_steps(train: Train, there: Probes) -> list[float]:
    """How far the first steps of a loop go against the gradient, from -1 to 1.

    In each layer behind the first, where what some loops do to pictures leaves less of it.
    """
    x, y = task(FEW, "first steps")
    seed = draws.seed("order of the first steps") % 1_000
    pupil = Pupil(there, "first steps")
    lesson = pupil.taught(train, x, y, epochs=1, batch_size=FEW // 3, lr=3e-3, seed=seed)
    return _downhill(lesson, pupil.gradients(x, y))[1:]


def _downhill(lesson: Lesson, gradients: list[np.ndarray]) -> list[float]:
    """The cosine between the way of each layer's weights and their negative gradient."""
    found = []
    for before, after, gradient in zip(lesson.before, lesson.after, gradients, strict=True):
        if before.ndim > 1:  # no biases
            way = (after - before).ravel().astype(float)
            lengths = np.linalg.norm(way) * np.linalg.norm(gradient)
            found.append(float(-(way @ gradient.ravel()) / max(lengths, 1e-30)))
    return found


class Found(NamedTuple):
    """What a small run has shown of a loop, whatever losses it returned."""

    moved: bool
    learnt: bool


def learns(sheet: Sheet, part: Part, train: Train, there: Probes) -> Found:
    """The loss falls and the network learns."""
    x, y = task(SMALL, "small")
    seed = draws.seed("order of a small run") % 1_000
    pupil = Pupil(there, "small")
    lesson = pupil.taught(train, x, y, epochs=EPOCHS, batch_size=32, lr=3e-3, seed=seed)
    before, after = (cross_entropy(net, x, y) for net in (pupil.untaught, lesson.network))
    right = evaluation.accuracy(lesson.network.logits(x), y)
    steps = _first_steps(train, there)
    down, learnt = min(steps) > DOWNHILL, bool(right > RIGHT and min(steps) > DOWNHILL)
    if _carry_gradients(lesson.losses):
        part.miss(TENSORS)
        return Found(lesson.moved, learnt)
    losses = array(lesson.losses, "train_victim", (None,), finite=False)
    if len(losses) != EPOCHS:
        raise Missed(
            f"train_victim returned {len(losses)} losses with epochs={EPOCHS}: return one for each "
            "epoch, and train for as many as the argument says."
        )
    first, last = losses[0], losses[-1]
    fits = after / 2 - 0.1 < last < 2 * after + 0.2 and after / 2 < first < before + 1.5
    falls = bool(np.isfinite(losses).all() and last < 0.7 * first)
    elsewhere = 0 <= last < before - 0.1 and after > 2 * last + 0.2
    if falls and not learnt:
        sheet.tell_instructor(
            "The losses that train_victim returned fall, but the network that it was to train has "
            "learnt nothing."
        )
    part.expect(
        bool(falls and fits and learnt),
        f"loss {first:.2f} in epoch 1, {last:.2f} in epoch {EPOCHS}; the network that came back "
        f"has a loss of {after:.2f} ({before:.2f} before) and an accuracy of {right:.2f}; its "
        f"first steps {'lead' if down else 'do not lead'} downhill",
        f"a last loss near that of the network, below 0.7 of the first, more than {RIGHT:.2f} "
        "of the answers right, and first steps that lead downhill",
        "2.1 to 0.3, accuracy .90",
        _softmax_first(lesson.network, x, y, last)
        or (UPHILL if max(steps) < -DOWNHILL else "")
        or (NO_STEPS if right > RIGHT and not down else "")
        or (OTHERS if elsewhere and not learnt and lesson.moved else "")
        or _why_not_learning(losses, learnt, lesson.moved),
    )
    if part.share == 1 and (slip := _wrong_weights(train, there)):
        part.miss(slip)
    return Found(lesson.moved, learnt)


def _wrong_weights(train: Train, there: Probes) -> str:
    """A sentence where the last batch, a small one, counts as much as a whole one; else ""."""
    x, y = task(WHOLE_BATCHES * 32 + 4, "small last batch")
    pupil = Pupil(there, "small last batch")
    options = {"epochs": 1, "batch_size": 32, "lr": 1e-5, "seed": 0}  # it hardly learns
    (loss,) = array(pupil.taught(train, x, y, **options).losses, "train_victim", (1,))
    own = cross_entropy(pupil.untaught, x, y)
    if abs(loss / own - 1) < 0.1:
        return ""
    return (
        f"With {len(x)} pictures and batch_size=32 the loss is {loss / own:.2f} times as large as "
        "it should be: the last batch holds only 4. Multiply loss.item() by len(batch)."
    )


def _carry_gradients(losses: Any) -> bool:
    """Whether tensors came back that hold on to all that they were computed from."""
    many = losses if isinstance(losses, (list, tuple)) else [losses]
    return any(getattr(loss, "requires_grad", False) is True for loss in many)


def _softmax_first(network: models.Classifier, x: np.ndarray, y: np.ndarray, last: float) -> str:
    """A sentence where a loss is that of probabilities in the place of logits; else ""."""
    p = network.posteriors(x).astype(float)
    own = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean()
    twice = -np.log(softmax(p)[np.arange(len(y)), y]).mean()
    if abs(last - twice) > 0.1 or abs(last - own) < 2 * abs(last - twice):
        return ""
    return (
        "The losses are those of probabilities: cross_entropy takes the model's logits and applies "
        "the softmax itself. With another softmax before it, the loss never falls below 1.46."
    )


def cross_entropy(network: models.Classifier, x: np.ndarray, y: np.ndarray) -> float:
    """The mean loss of a network on pictures, in evaluation mode."""
    posteriors = network.posteriors(x)[np.arange(len(y)), y]
    return float(-np.log(np.maximum(posteriors, 1e-12)).mean())


def _why_not_learning(losses: np.ndarray, learnt: bool, moved: bool) -> str:
    if not np.isfinite(losses).all():
        return "A loss is NaN or infinite. Check what goes into cross_entropy: logits and labels."
    if losses.min() < 0:
        return (
            "No cross-entropy is negative. F.cross_entropy(model(x[batch]), y[batch]) takes logits "
            "and labels; F.nll_loss would want log-probabilities, and nothing gets a minus sign."
        )
    if learnt:
        return (
            "The network learns, but the losses you return are not the means of the epochs' "
            "cross-entropy: take F.cross_entropy(model(x[batch]), y[batch]), and add loss.item() * "
            "len(batch) to total for each batch."
        )
    if not moved:
        return (
            "The weights of the network that was handed in are what they were before: it is never "
            "trained. The order is zero_grad(), backward(), step(), once for each batch."
        )
    if np.ptp(losses) < 0.05:
        return (
            "The loss stands still: the weights hardly change. The order is zero_grad(), "
            "backward(), step(), once for each batch."
        )
    if losses[-1] > losses[0]:
        return "The loss rises: are gradients added up because zero_grad() is missing?"
    return (
        "It learns too slowly: is zero_grad() missing, so that old gradients pile up, or is step() "
        "not called for each batch?"
    )


OPTIONS = {  # of the scaffold, and what is wrong with a loop that they do not change
    "batch_size": "batch_size is ignored: each step is taken on so many pictures.",
    "lr": "lr is ignored: the optimizer's learning rate is the argument.",
    "seed": "seed is ignored: another one puts the pictures in another order. Leave the line "
    "torch.manual_seed(seed) where it is.",
}


def ignored_option(train: Train, there: Probes) -> str:
    """Which of the arguments changes nothing about the weights; "" if each of them does."""
    x, y = task(FEW, "first steps")
    seed = draws.seed("order of the first steps") % 1_000
    usual = {"batch_size": FEW // 3, "lr": 3e-3, "seed": seed}
    pupil = Pupil(there, "first steps")
    first = pupil.taught(train, x, y, epochs=1, **usual)
    for name, other in (("batch_size", FEW // 8), ("lr", 1e-3), ("seed", seed + 1)):
        again = pupil.taught(train, x, y, epochs=1, **{**usual, name: other})
        if all((a == b).all() for a, b in zip(first.after, again.after, strict=True)):
            return name
    return ""


def repeats_itself(part: Part, train: Train, there: Probes) -> None:
    """The same seed gives the same weights, twice.

    The second run is the first with its classes renamed, in labels and network alike. A loop does
    the same arithmetic for both; an answer kept from the first run is none to the second.
    """
    x, y = task(SMALL // 2, "twice")
    names = draws.rng("names of a second run").permutation(10)
    options = {"epochs": 1, "batch_size": 50, "lr": 3e-3, "seed": draws.seed("twice") % 1_000}
    pupil = Pupil(there, "twice")
    down = descends(train, there)
    first = pupil.taught(train, x, y, **options)
    second = pupil.renamed(names).taught(train, x, names[y], **options)
    start, ends = pupil.untaught.logits(x), (first.network.logits(x), second.network.logits(x))
    went = float(np.abs(ends[0] - start).mean())
    apart = float(np.abs(ends[0] - ends[1][:, names]).mean())
    ignored = ignored_option(train, there) if down and apart < APART * went else ""
    part.expect(
        first.moved and down and apart < APART * went and not ignored,
        f"training moved the logits by {went:.2g}; a second run ended {apart:.2g} away from the "
        "first" + (f"; another {ignored} gives the same weights" if ignored else ""),
        f"more than 0, and less than {APART:.0%} of that; other weights with other arguments",
        "0.3 to 1, and less than .001",
        "The network was not trained at all."
        if not first.moved
        else OPTIONS[ignored]
        if ignored
        else NO_STEPS
        if apart < APART * went
        else "Something draws at random outside the seed. Leave the line torch.manual_seed(seed) "
        "where it is, and draw nothing before it.",
    )


def generalises(part: Part, build: Callable[..., Any], train: Train, recorded: Any) -> None:
    """A network of the student's own learns what it needs for pictures that it never saw."""
    held_out = fixtures.honest_pictures()
    x, y = task(WHOLE, "whole")
    model = build(draws.seed("own network") % 1_000)
    try:
        train(model, x, y, seed=draws.seed("order of a long run") % 1_000)
    except (RuntimeError, ValueError) as error:
        if not _can_be_trained(model, x, recorded):
            raise Missed(
                f"the network of build_victim can't be trained, see exercise 1: {error}"
            ) from error
        raise
    logits = Rebuilt(recorded(model, x[:BATCH])).logits(held_out.x)
    logits = array(logits, "Your network", (len(held_out.x), 10))
    right = evaluation.accuracy(logits, labels(held_out.x))
    half_width = 1.96 * (right * (1 - right) / len(logits)) ** 0.5
    part.award(
        VICTIM_ACCURACY.share(right),
        f"{right:.3f} ± {half_width:.3f} on {len(logits):,} pictures it never saw",
        f"at least {VICTIM_ACCURACY.full} (some points from {VICTIM_ACCURACY.some})",
        VICTIM_ACCURACY.usual,
        "A little low usually means that the schedule or the number of epochs was changed, or "
        "that the network is too small. About .10 means that nothing was learnt.",
        value=right,
    )


def _can_be_trained(model: Any, x: np.ndarray, recorded: Any) -> bool:
    """Whether a network takes any number of pictures, and an optimizer finds its weights."""
    try:
        return all(not Rebuilt(recorded(model, x[:n]), n).hidden for n in (BATCH, BATCH // 2))
    except (RuntimeError, Missed):
        return False
