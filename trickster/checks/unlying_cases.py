"""What lab 5 tries with thieves who know the defence: who undoes lies, and who leaves them out.

Each function decides one part of a check. The truth behind every answer is known here, so what a
thief has put right is counted, row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import ood
from trickster.checks import draws, fixtures
from trickster.checks.distributions import given_read_only
from trickster.checks.result import Missed, NotMeasured, Part
from trickster.checks.thresholds import UNLIED
from trickster.checks.values import array
from trickster.defenses import misinform
from trickster.models import softmax

Unlie = Callable[[np.ndarray, np.ndarray, int], Any]
SmallLoss = Callable[[np.ndarray, np.ndarray, float], Any]
ROUNDED = 0.005  # of the rows may lie so close to two clouds that rounding decides
ROWS, NAME = 1_500, "of lab 5"  # of each pool that the smaller checks ask about


class Told(NamedTuple):
    """Answers as a service gave them, all of them undone, and which are lies."""

    answers: np.ndarray  # (n, k)
    undone: np.ndarray  # (n, k)
    lies: np.ndarray  # (n,)

    @property
    def truth(self) -> np.ndarray:
        return np.where(self.lies[:, None], self.undone, self.answers)


# --- putting answers right ------------------------------------------------------------------


def of_lab_3() -> Told:
    """What lab 3's defence answers a thief: the probabilities of weird inputs in reverse."""
    asked = fixtures.answered("shapes", ROWS, NAME)
    line = np.quantile(ood.score_knn(fixtures.owners().features, fixtures.bank(), 1), 0.02)
    lies = ood.score_knn(asked.features, fixtures.bank(), 1) < line
    return _told(asked.posteriors, lies, np.arange(10)[::-1])


def of_another_service() -> Told:
    """Another lie, about a drawn share of the pictures of a pool that no lab shows."""
    rng = draws.rng("another lie")
    posteriors = fixtures.answered("hidden", ROWS, NAME).posteriors
    return _told(posteriors, rng.random(ROWS) < rng.uniform(0.35, 0.65), _other_order(rng))


def _other_order(rng: np.random.Generator) -> np.ndarray:
    """Which probability, by its rank, a class of each rank gets: largest first."""
    ends = np.r_[9, 1:9, 0]
    turned = np.roll(np.arange(10), int(rng.integers(1, 4)))
    halves = np.roll(np.arange(10), 5)
    return (ends, turned, halves)[int(rng.integers(3))]


def _told(truth: np.ndarray, lies: np.ndarray, order: np.ndarray) -> Told:
    told = np.where(lies[:, None], _reordered(truth, order), truth)
    return Told(told, _reordered(told, np.argsort(order)), lies)


def _reordered(answers: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The class that had rank i gets the probability that had rank ``order[i]``."""
    ranked = np.argsort(-answers, axis=1, kind="stable")
    out = np.empty_like(answers)
    np.put_along_axis(out, ranked, np.take_along_axis(answers, ranked[:, order], axis=1), axis=1)
    return out


def put_right(unlie: Unlie, told: Told, name: str) -> np.ndarray:
    """What ``unlie`` makes of them ``(n, k)``."""
    found = unlie(told.answers.copy(), told.undone.copy(), draws.seed("unlie", name))
    return array(found, "unlie", told.answers.shape)


def must_repeat_itself(unlie: Unlie, told: Told, found: np.ndarray, name: str) -> None:
    """Raises :class:`Missed` for who writes into what is given, or starts without the seed."""
    seed = draws.seed("unlie", name)
    again = [
        given_read_only(
            lambda one: unlie(one, told.undone.copy(), seed), "unlie", told.answers, what="answers"
        ),
        given_read_only(
            lambda one: unlie(told.answers.copy(), one, seed),
            "unlie",
            told.undone,
            what="undone answers",
        ),
    ]
    other = [np.any(array(one, "unlie", found.shape) != found, axis=1).mean() for one in again]
    if max(other) > ROUNDED:  # another start changes 2 to 6 % of the rows
        raise Missed(
            "the same answers and the same seed must give the same rows: draw the random start "
            "from np.random.default_rng(seed)."
        )


def one_of_two(part: Part, told: Told, found: np.ndarray) -> None:
    """Nothing is invented: each row is what was told, or that undone."""
    near = [np.abs(found - one).max(axis=1) < 1e-5 for one in (told.answers, told.undone)]
    share = float((near[0] | near[1]).mean())
    undone = float((near[1] & ~near[0]).mean())
    part.expect(
        share == 1 and 0 < undone < 1,
        f"{share:.1%} of the rows are one of the two versions; {undone:.0%} were undone",
        "100 %, and not all of them the same version",
        "100.0%",
    )


def slip(told: Told, found: np.ndarray) -> str:
    """What is wrong with all of the answers; "" where each is one of its two versions."""
    versions = told.answers, told.undone, misinform(told.answers)
    near = [np.abs(found - one).max(axis=1) < 1e-5 for one in versions]
    if not (near[0] | near[1]).all():
        if (near[0] | near[2]).all():
            return (
                "You undo answers as lab 3 told its lies. Use the argument undone: services lie in "
                "other ways, too."
            )
        return "Choose a version for each row: versions[chosen, rows]. Rows keep their places."
    if near[0].all() or near[1].all():
        return "Every row got the same version: compare how likely the two versions of a row are."
    return ""


def must_be_answered(found: np.ndarray | None) -> np.ndarray:
    if found is None:
        raise NotMeasured("unlie gave nothing to measure, see above.")
    return found


def right_rows(part: Part, told: Told, found: np.ndarray) -> None:
    """Award the share of the rows that are as they were before somebody lied."""
    right = np.abs(found - told.truth).max(axis=1) < 1e-5
    share, lies = float(right.mean()), float(told.lies.mean())
    part.award(
        UNLIED.share(share),
        f"{share:.1%} of {len(right):,} answers are as the victim gave them ({lies:.0%} were "
        f"lies, of which {right[told.lies].mean():.0%} were put right)",
        f"at least {UNLIED.full:.0%} (some points from {UNLIED.some:.0%})",
        UNLIED.usual,
        _why_not_right(right, told),
        value=share,
    )


def _why_not_right(right: np.ndarray, told: Told) -> str:
    if right.mean() < 0.2:
        return "Nearly every row got the wrong version: is the more likely one taken?"
    sure = told.answers.max(axis=1) > 0.5
    if right[sure].mean() < 0.7 or right.mean() < UNLIED.some:
        return (
            "The clouds have not settled. In each round, fit them to the versions chosen so far, "
            "class by class, and choose anew, for every row, the version that its likeliest "
            "cloud explains better; ten rounds at least, from a random start. Clouds are of "
            "log_answers(versions), not of probabilities, which crowd at 0 and 1."
        )
    return (
        "Take more rounds, choose the more likely version in each, and weight a cloud by how many "
        "rows it holds."
    )


# --- leaving answers out --------------------------------------------------------------------


def kept_rows(part: Part, small_loss: SmallLoss) -> None:
    """The rows with the smallest cross-entropy, as many as asked, for several shares."""
    rng = draws.rng("small loss")
    n, k = int(rng.integers(200, 400)), int(rng.integers(6, 11))
    answers = softmax(rng.normal(0, 2, (n, k)))
    likely = softmax(np.log(answers) * rng.uniform(0.2, 1, (n, 1)) + rng.normal(0, 1, (n, k)))
    shares = 0.5, float(rng.integers(15, 40)) / 100, float(rng.integers(60, 90)) / 100
    tried = [(answers, likely, keep) for keep in shares]
    for answers, likely, keep in [*tried, _of_a_sharp_clone()]:
        n = len(answers)
        found = given_read_only(
            small_loss, "small_loss", answers, likely.copy(), keep, what="answers"
        )
        got = _places(found, n)
        loss = -(answers * np.log(likely)).sum(axis=1)
        wanted = round(keep * n)
        if abs(len(got) - wanted) > 1:
            more = " keep is the share that stays." if len(got) == n - wanted else ""
            raise Missed(
                f"small_loss kept {len(got)} of {n} answers with keep={keep:g}, not {wanted}.{more}"
            )
        overlap = len(got & set(np.argsort(loss)[: len(got)].tolist())) / len(got)
        if overlap < 1:
            part.expect(
                False,
                f"{overlap:.0%} of those kept are among the {wanted} that the clone fits best",
                "all of them",
                "",
                _which_loss(got, answers, likely),
            )
            return
    given_read_only(
        lambda one: small_loss(answers.copy(), one, keep),
        "small_loss",
        likely,
        what="clone's posteriors",
    )
    part.expect(True, "the rows with the smallest loss, four times", "these rows")


def _of_a_sharp_clone() -> tuple[np.ndarray, np.ndarray, float]:
    """Answers, posteriors down to 1e-7, and a share to keep between two losses far apart."""
    rng = draws.rng("small loss", "sharp")
    answers = softmax(rng.normal(0, 2, (300, 10)))
    likely = np.maximum(softmax(rng.normal(0, 5, answers.shape)), 1e-7)
    likely /= likely.sum(axis=1, keepdims=True)
    loss = np.sort(-(answers * np.log(likely)).sum(axis=1))
    first = int(rng.integers(90, 180))
    return answers, likely, (first + 1 + int(np.diff(loss[first : first + 30]).argmax())) / 300


def zeros(part: Part, small_loss: SmallLoss, before: float) -> None:
    """A clone may be sure: log 0 must not decide by accident. ``before`` is the share so far."""
    rng = draws.rng("small loss", "zeros")
    n = int(rng.integers(20, 40))
    classes = rng.integers(10, size=n)
    answers = np.eye(10)[classes]
    wrong = rng.permutation(n)[: n // 2]
    likely = np.eye(10)[np.where(np.isin(np.arange(n), wrong), (classes + 1) % 10, classes)]
    keep = 1 - len(wrong) / n
    got = _places(array(small_loss(answers.copy(), likely, keep), "small_loss", None), n)
    part.expect(
        not got & set(wrong.tolist()),
        f"{len(got & set(wrong.tolist()))} of {len(wrong)} answers that the clone holds impossible "
        "were kept",
        "none",
        "none",
        "A probability of 0 has no logarithm, and 0 times that is no number: use "
        "np.maximum(likely, 1e-12)."
        if before == 1
        else "The loss is not the cross-entropy yet, see above: that comes first.",
    )


def _places(found: np.ndarray, n: int) -> set[int]:
    """The rows that are kept; raises :class:`Missed` for anything but their numbers."""
    if found.ndim != 1:
        raise Missed(f"small_loss returned shape {found.shape}, not the numbers of the kept rows.")
    if len(found) == n and set(np.unique(found)) <= {0, 1}:
        raise Missed(
            "small_loss returned a value for each row, not the numbers of the rows that are "
            "kept, such as np.argsort(loss)[:m]."
        )
    places = {int(one) for one in found}
    if len(places) < len(found) or not places <= set(range(n)) or (found != np.round(found)).any():
        raise Missed(f"small_loss must return numbers of rows, from 0 to {n - 1}, none twice.")
    return places


def _which_loss(got: set[int], answers: np.ndarray, likely: np.ndarray) -> str:
    """Name the usual wrong losses by computing them."""

    def is_by(loss: np.ndarray) -> bool:
        return got == set(np.argsort(loss)[: len(got)].tolist())

    loss = -(answers * np.log(likely)).sum(axis=1)
    labels = answers.argmax(axis=1)
    if is_by(-loss):
        return "These are the answers that the clone fits worst: take the other end."
    if is_by(-likely.max(axis=1)):
        return "This is how sure the clone is, not how well it fits the answer."
    if is_by(np.square(answers - likely).sum(axis=1)):
        return "This is a squared distance, not the cross-entropy, -sum answer * log(likely)."
    if is_by((answers * np.log(answers / likely)).sum(axis=1)):
        return (
            "This is the Kullback-Leibler divergence, which takes off the answer's own entropy; "
            "asked is the cross-entropy, -sum answer * log(likely)."
        )
    if is_by(-np.log(likely[np.arange(len(labels)), labels])):
        return "This looks at the top class alone: the cross-entropy sums over all classes."
    if is_by(-(likely * np.log(answers)).sum(axis=1)):
        return "Answer and clone have changed places: the logarithm is of the clone's probability."
    if any(
        is_by(-(answers * np.log(one)).sum(axis=1))
        for lowest in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
        for one in (np.maximum(likely, lowest), likely + lowest)
    ):
        return (
            "Small probabilities are raised before the logarithm, so that a bad fit looks better "
            "than it is: move a 0 to 1e-12, no further."
        )
    return "The loss of a row is -sum over its classes of answer times log(likely)."
