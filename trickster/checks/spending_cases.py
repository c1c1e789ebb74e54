"""What lab 3 sends a student's own attack against: drawn services behind the library's trickster.

A service sorts clothes into ten classes of its own (``teacher``), and its detector sees pictures as
the shipped victim does. The attack returns what its clone is to be trained on; the clone is trained
here, so that what is measured is how the queries were spent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from trickster import attacks, evaluation
from trickster.api import BudgetExceeded, PredictionAPI, Query
from trickster.checks import clone_cases, draws, fixtures, known_clothes, teacher
from trickster.checks.distributions import distributions
from trickster.checks.result import SAME, Missed, NotMeasured, Part, Sheet
from trickster.checks.thresholds import SPENT_BETTER, SPENT_GAIN
from trickster.checks.values import array
from trickster.defenses import Trickster
from trickster.models import Classifier
from trickster.training import same_steps

SERVICES = 3
BUDGET = 3_000  # queries, and pictures that a clone may be trained on
REAL = 100  # pictures of clothes that the thief owns
USUAL = "about .60, with 6% lies"
MISLED = 0.2  # who is lied to more often should hear that first
FEW = 300  # different pictures
LOOKED_AT = 66  # pictures of each training set that are compared with clothes of others
OTHERS = 0.05  # of them, in all: some of those made out of the thief's own may look like others'
FARTHEST = 2  # pixels that a picture may have moved, and still be recognised
SIZES = (0.9, 1.0, 1.1)  # that a thief's own picture may have, to be told from those of others
NEARER = 0.35  # as far away, at most, as the nearest of the thief's own: a picture of others


class Theft(NamedTuple):
    """What an attack on one service got, and how it got it."""

    training_set: attacks.TrainingSet
    used: int  # queries
    lies: float  # share of them that the trickster answered with a lie
    shapes: float  # share of the training set that are shapes as they were given
    others: float  # share of it that are pictures of clothes, but not the thief's own
    renamed: float  # share of it that was asked about, and has another class than was answered


class _Service:
    """A victim with classes of its own and its defence, which counts its lies.

    ``named`` keeps the class that was answered to each picture.
    """

    def __init__(self, number: int):
        self._teacher = teacher.service("spend", number)
        self._trickster = _trickster()
        self.lies = 0
        self.named: dict[bytes, int] = {}

    def open(self) -> PredictionAPI:
        return PredictionAPI(self, budget=BUDGET, defenses=[self.mislead])

    def features_and_posteriors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return fixtures.victim().features(x), self._teacher.posteriors(x)

    def mislead(self, posteriors: np.ndarray, query: Query) -> np.ndarray:
        weird = self._trickster.weird(posteriors, query)
        self.lies += int(weird.sum())
        answers = np.where(weird[:, None], self._trickster.lie(posteriors), posteriors)
        pictures = (picture.tobytes() for picture in np.asarray(query.x, np.float32))
        self.named.update(zip(pictures, answers.argmax(axis=1).tolist(), strict=True))
        return answers


@cache
def _trickster() -> Trickster:
    return Trickster.from_features(fixtures.bank(), fixtures.owners().features)


def _real(number: int) -> np.ndarray:
    """The thief's own pictures ``(100, 1, 28, 28)``: another hundred for each service."""
    return fixtures.honest_pictures().x[number * REAL : (number + 1) * REAL].copy()


def _measured() -> np.ndarray:
    """The pictures that fidelity is measured on, which no attack is given."""
    return fixtures.honest_pictures().x[SERVICES * REAL :]


# --- one attack -------------------------------------------------------------------------


def one_theft(spend: Callable[..., Any], number: int) -> Theft:
    """What ``spend`` makes of 3,000 queries to the service of this number."""
    shapes, real = clone_cases.query_pool("shapes", BUDGET, "spend", number), _real(number)
    victim = _Service(number)
    service = victim.open()
    client = service.client("thief")

    def ask(x: np.ndarray) -> np.ndarray:
        """What the service answers to pictures ``(n, 1, 28, 28)``: posteriors ``(n, 10)``."""
        return client.query(x)

    try:
        found = spend(shapes.copy(), real.copy(), ask)
    except BudgetExceeded as error:
        raise Missed(
            f"the service refused you: {error} Ask about {BUDGET:,} pictures in all, at most."
        ) from None
    if any(entry.refused for entry in service.log):
        raise Missed(
            "the service refused a request, and your code went on regardless: "
            f"{next(entry.refused for entry in service.log if entry.refused)}"
        )
    x, answers = _pair(found)
    used = service.used("thief")
    if used == 0:
        raise Missed(
            "nothing was asked, and so nothing was stolen. This service sorts clothes into ten "
            "classes of its own: only its answers, ask(x), tell you which."
        )
    given = {picture.tobytes() for picture in shapes}
    named = np.array([victim.named.get(picture.tobytes(), -1) for picture in x])
    return Theft(
        _training_set(x, answers, number),
        used,
        victim.lies / used,
        float(np.mean([picture.tobytes() in given for picture in x])),
        others(x, real, number),
        float(np.mean((named >= 0) & (named != answers.argmax(axis=1)))),
    )


def _training_set(x: np.ndarray, answers: np.ndarray, number: int) -> attacks.TrainingSet:
    """As every clone of this service learns: for as many steps, from the same weights."""
    seed = draws.seed("spend", "clone", number)
    return attacks.TrainingSet(x, answers, epochs=same_steps(len(x)), seed=seed)


def _pair(found: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and answers, float32, if a clone can be trained on them."""
    if found is None or not isinstance(found, tuple | list) or len(found) != 2:
        raise Missed(
            "spend must return two things: the pictures that your clone is to be trained on, and "
            "their answers. Does it end with `return x, answers`?"
        )
    x = array(found[0], "spend (pictures)", (None, 1, 28, 28))
    if not 1 <= len(x) <= BUDGET:
        raise Missed(f"spend returned {len(x):,} pictures: return from 1 to {BUDGET:,} of them.")
    answers = distributions(found[1], "spend (answers)", len(x))
    if x.min() < 0 or x.max() > 1:
        raise Missed(
            f"spend returned pictures whose pixels run from {x.min():.3g} to {x.max():.3g}: they "
            "must lie in [0, 1]."
        )
    return x.astype(np.float32), answers.astype(np.float32)


# --- pictures of others -----------------------------------------------------------------


def others(x: np.ndarray, real: np.ndarray, number: int) -> float:
    """Share of ``x (n, 1, 28, 28)`` that look like clothes which this thief does not own.

    Those are the course's own pictures and the ones that are measured on: as they are, mirrored,
    retouched, or moved by a pixel or two. A picture counts if it is far more like one of them than
    like any of the thief's own, which may be mirrored, moved, larger or smaller.
    """
    rows = draws.rng("spend", "looked at", number).permutation(len(x))[:LOOKED_AT]
    seen = np.split(_directions_moved(x[rows]), 2 * (2 * FARTHEST + 1) ** 2)
    theirs = np.max([_likeness(way, _clothes_of_others()) for way in seen], axis=0)
    own = _likeness(
        known_clothes.directions(x[rows]),
        [_directions_moved(_resized(real, size)) for size in SIZES],
    )
    return float(np.mean((theirs > known_clothes.ALIKE) & (1 - theirs < NEARER * (1 - own))))


def _likeness(seen: np.ndarray, known: Sequence[np.ndarray]) -> np.ndarray:
    """The largest cosine of each direction in ``seen (n, d)`` to any of the known: ``(n,)``."""
    return np.max([(seen @ some.T).max(axis=1) for some in known], axis=0)


def _directions_moved(x: np.ndarray) -> np.ndarray:
    """Directions of pictures ``(n, 1, 28, 28)`` and of their mirror images, way by way.

    All are moved by up to two pixels each way, which makes 50 times n of them.
    """
    steps = range(-FARTHEST, FARTHEST + 1)
    both = np.concatenate([x, x[..., ::-1]])
    ways = [np.roll(both, (i, j), (2, 3)) for i in steps for j in steps]
    return np.concatenate([known_clothes.directions(way) for way in ways])


def _resized(x: np.ndarray, size: float) -> np.ndarray:
    """Pictures ``(n, 1, 28, 28)`` whose clothes are so many times as large, about the middle."""
    middle = (x.shape[-1] - 1) / 2 * (1 - 1 / size)
    return ndimage.affine_transform(x, (1, 1, 1 / size, 1 / size), (0, 0, middle, middle), order=1)


@draws.cached
def _clothes_of_others() -> list[np.ndarray]:
    """Directions of pictures. At a desk, none of the thief's own is among them."""
    known = [fixtures.fashion().x_train, fixtures.owners().x, _measured()]
    if draws.is_grading():
        known.append(fixtures.held_out().x)
    return [known_clothes.directions(x) for x in known]


# --- what it earns ----------------------------------------------------------------------


class Thefts(NamedTuple):
    """What came of all attacks: a fidelity each, and what a learner is told of them."""

    fidelity: tuple[float, ...]
    from_real: tuple[float, ...]  # what the hundred pictures alone bring at the same services
    measured: str
    advice: str

    @property
    def mean(self) -> float:
        return float(np.mean(self.fidelity))

    @property
    def gain(self) -> float:
        """Beyond what the hundred pictures alone bring."""
        return self.mean - float(np.mean(self.from_real))


def send(sheet: Sheet, part: Part, spend: Callable[..., Any], services: int) -> Thefts:
    """Send the attack against each service, and train its clones."""
    thefts = []
    for number in range(services):
        part.doing(f"service {number + 1} of {services}")
        thefts.append(one_theft(spend, number))
    _must_be_own(sheet, float(np.mean([theft.others for theft in thefts])))
    part.doing(f"trains {services} clones")
    values, lies = _fidelities(thefts), float(np.mean([theft.lies for theft in thefts]))
    clone_cases.look_twice(sheet, float(np.mean(values)))
    return Thefts(
        tuple(values),
        tuple(_from_real_alone(number) for number in range(services)),
        f"{np.mean(values):.3f}, runs from {min(values):.3f} to {max(values):.3f} ({services} "
        f"services); {max(theft.used for theft in thefts):,} queries, {lies:.0%} of them answered "
        "with lies",
        _why_low(thefts, lies),
    )


def more_than_shapes(part: Part, found: Thefts) -> None:
    """Nobody who believes the answers about shapes gets here, with real pictures or without."""
    part.expect(
        found.mean >= SPENT_BETTER,
        found.measured,
        f"at least {SPENT_BETTER}",
        USUAL,
        found.advice,
        value=found.mean,
    )


def more_than_real(part: Part, found: Thefts | None) -> None:
    """Award what the attack makes of its real pictures."""
    if found is None:
        raise NotMeasured("no theft was completed, see above.")
    part.award(
        SPENT_GAIN.share(found.gain),
        f"{found.mean:.3f}, which is {abs(found.gain):.3f} {'more' if found.gain >= 0 else 'less'} "
        f"than a clone of the hundred pictures alone has ({np.mean(found.from_real):.3f})",
        f"at least {SPENT_GAIN.full} more (some points from {SPENT_GAIN.some})",
        SPENT_GAIN.usual,
        found.advice if found.mean >= SPENT_BETTER else SAME,
        value=found.gain,
    )


def _fidelities(thefts: Sequence[Theft]) -> list[float]:
    clones = attacks.train_clones([theft.training_set for theft in thefts])
    return [_fidelity(clone, number) for number, clone in enumerate(clones)]


def _fidelity(clone: Classifier, number: int) -> float:
    x = _measured()
    return evaluation.fidelity(clone.labels(x), teacher.labels(x, "spend", number))


@draws.cached
def _from_real_alone(number: int) -> float:
    """The fidelity of a clone that was trained on the thief's own pictures and nothing else."""
    x = _real(number)
    (clone,) = attacks.train_clones(
        [_training_set(x, _Service(number).open().client("thief").query(x), number)]
    )
    return _fidelity(clone, number)


def _must_be_own(sheet: Sheet, share: float) -> None:
    """This thief owns a hundred pictures of clothes: a theft with those of others earns nothing."""
    if share <= OTHERS:
        return
    sheet.tell_instructor(
        f"{sheet.title}: {share:.0%} of the pictures that a clone is trained on are clothes which "
        "this thief was not given, perhaps retouched or moved."
    )
    raise Missed(
        f"{share:.0%} of the pictures that you returned are clothes which this thief does not own. "
        "There are the shapes and the hundred pictures in `real`, and what you make of them."
    )


def _why_low(thefts: Sequence[Theft], lies: float) -> str:
    sets = [theft.training_set for theft in thefts]
    different = min(len(np.unique(one.x.reshape(len(one.x), -1), axis=0)) for one in sets)
    if lies > MISLED and max(theft.shapes for theft in thefts) > MISLED:
        return (
            f"{lies:.0%} of the answers were lies, most of them about shapes, and your clone was "
            "trained on them, corrected or not. Which pictures would the defence answer truthfully?"
        )
    if lies > MISLED:
        return (
            f"{lies:.0%} of the answers were lies: your pictures are too unlike clothes. Change "
            "the real ones less (then about 6% are lies), or find out which answers are lies."
        )
    if (asked := max(theft.used for theft in thefts)) < different:
        return (
            f"You asked about {asked:,} pictures and returned {different:,} different ones: "
            "other answers are not the service's. Ask about each new picture itself."
        )
    if (renamed := max(theft.renamed for theft in thefts)) > 0.5:
        return (
            f"{renamed:.0%} of the pictures come back with another class than the service gave "
            "them: return its answers, each beside its own picture, not those of another victim."
        )
    if different < FEW:
        return (
            f"Your clone saw {different} different pictures. Few are flagged, so the answers are "
            f"good; but there are {BUDGET:,} queries. What else can you make of the real pictures "
            "that still looks like clothes to the detector?"
        )
    return (
        "Few answers are lies, and yet the clone learns little from them: each new picture has to "
        "tell it something that the old ones do not. What else can happen to a picture that the "
        "detector still takes for clothes? The service answers each new picture anew, so its "
        "class may change. Combine several such changes, and keep each of them small."
    )
