"""Output defences: what becomes of the victim's posteriors ``(n, k)`` before a customer sees them.

Most are plain functions of posteriors; :class:`Trickster` is one that looks at the query, too,
and is an ``api.Defense`` as it stands. Each treats every row by itself and returns rows that are
distributions. Rate limits live in ``limiters``, the scores that tell weird inputs in ``ood``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from trickster import ood
from trickster.models import softmax

if TYPE_CHECKING:  # the API calls defences, and not the other way round
    from trickster.api import Query


def hard_labels(posteriors: np.ndarray) -> np.ndarray:
    """One-hot rows: only the most probable class is named; on ties, the first."""
    return np.eye(posteriors.shape[1], dtype=posteriors.dtype)[posteriors.argmax(axis=1)]


def top_k(posteriors: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` largest probabilities of each row, normalised; the others become 0.

    Of equal probabilities the earlier class is kept, so that exactly ``k`` remain.
    """
    if not 1 <= k <= posteriors.shape[1]:
        raise ValueError(f"k must lie between 1 and the {posteriors.shape[1]} classes; it is {k}.")
    order = np.argsort(-posteriors, axis=1, kind="stable")[:, :k]
    kept = np.zeros_like(posteriors)
    np.put_along_axis(kept, order, np.take_along_axis(posteriors, order, axis=1), axis=1)
    return kept / kept.sum(axis=1, keepdims=True)


def round_posteriors(posteriors: np.ndarray, decimals: int) -> np.ndarray:
    """Probabilities rounded to ``decimals`` places and normalised again.

    A row of which nothing is left (ten times .04, to one place) becomes the one-hot of
    its most probable class.
    """
    rounded = np.round(posteriors, decimals)
    total = rounded.sum(axis=1, keepdims=True)
    empty = total == 0
    return np.where(empty, hard_labels(posteriors), rounded / np.where(empty, 1, total))


def zero_mean_noise(posteriors: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Softmax of the logits plus N(0, ``sigma``) noise: demo A's defence, fresh at each call."""
    logits = np.log(np.maximum(posteriors, 1e-12))
    return softmax(logits + rng.normal(0, sigma, logits.shape)).astype(posteriors.dtype)


def misinform(posteriors: np.ndarray) -> np.ndarray:
    """The same probabilities in reverse: the least likely class gets the largest.

    The answer looks as confident as the honest one, is wrong in each of its parts, and is the
    same whenever the same question comes: asking again reveals nothing new.
    """
    order = np.argsort(posteriors, axis=1, kind="stable")
    wrong = np.empty_like(posteriors)
    np.put_along_axis(wrong, order, np.take_along_axis(posteriors, order[:, ::-1], axis=1), axis=1)
    return wrong


@dataclass(frozen=True)
class KeyedLie:
    """A lie under a secret ``key``, which decides how the probabilities change classes.

    Called like a defence. Each input has a *place* (what that is, a subclass says); at each place
    the classes are permuted in another way, and none stays where it is: the true class is never
    on top. The key and the place decide the permutation, by HMAC-SHA-256: asking again reveals
    nothing new, and another key tells other lies. The ``key`` has at least 16 bytes.

    Nobody who lacks the key can compute the permutation. But all ten numbers are still there.
    Where many inputs share a place, a thief can read the permutation off two answers to nearly the
    same picture, one of them true (``probing.walking``); where hardly any do, they notice that an
    answer *is* a lie (``probing.copying``). So a lie buys queries, and no more.
    (Kerckhoffs, "La cryptographie militaire", 1883. Keyed wrong answers, to a few queries and as
    a watermark: Szyller, Atli, Marchal and Asokan, "DAWN: Dynamic Adversarial Watermarking of
    Neural Networks", 2021.)
    """

    key: bytes = field(repr=False)

    def __post_init__(self):
        if len(self.key) < 16:
            raise ValueError(f"A key of {len(self.key)} bytes can be guessed: give 16 or more.")

    def places(self, query: Query) -> list[bytes]:
        """For each of the ``n`` inputs, what it has in common with those that share its lie."""
        raise NotImplementedError

    def __call__(self, posteriors: np.ndarray, query: Query) -> np.ndarray:
        """Misleading posteriors ``(n, k)``."""
        places, k = self.places(query), posteriors.shape[1]
        moved_to = {place: self._permutation(place, k) for place in set(places)}
        order = np.array([moved_to[place] for place in places], dtype=int).reshape(-1, k)
        wrong = np.empty_like(posteriors)
        np.put_along_axis(wrong, order, posteriors, axis=1)
        return wrong

    def _permutation(self, place: bytes, k: int) -> np.ndarray:
        """Where each of ``k`` classes goes: each elsewhere."""
        if k < 2:
            raise ValueError("With one class there is nothing to lie about.")
        rng = _keyed(self.key, b"permutation " + place)
        while True:  # about e times
            moved_to = rng.permutation(k)
            if (moved_to != np.arange(k)).all():
                return moved_to


@dataclass(frozen=True)
class PictureLie(KeyedLie):
    """A keyed lie of its own for each picture, to the last bit of its pixels.

    A picture that is changed ever so little is another picture. So a thief who asks about one such
    copy sees that they were lied to (``probing.copying``); with many copies, each class gives
    itself away by the number that it never gets (``probing.eliminating``).
    """

    def places(self, query: Query) -> list[bytes]:
        return [picture.tobytes() for picture in query.x]


@dataclass(frozen=True)
class CellLie(KeyedLie):
    """One keyed lie for all inputs of a cell of feature space, cut by secret hyperplanes.

    Inputs that look alike to the victim are mostly in one cell. So a copy that is changed a
    little gets the same lie, and lies agree with each other: they teach a clone something wrong
    instead of nothing. (Cells by the sides of random hyperplanes: Charikar, "Similarity
    Estimation Techniques from Rounding Algorithms", 2002.)
    """

    normals: np.ndarray = field(repr=False)  # (d, planes)
    offsets: np.ndarray = field(repr=False)  # (planes,)

    @classmethod
    def fit(cls, key: bytes, features: np.ndarray, planes: int = 5) -> CellLie:
        """With ``planes`` hyperplanes in directions that ``key`` decides: 2 to that power cells.

        Each plane cuts ``features (m, d)`` into halves. Take those of weird inputs that you can
        make yourself (``pools.outliers``). With no plane, all inputs share one lie.
        """
        spread = np.maximum(features.std(axis=0, dtype=np.float64), 1e-9)
        normals = _keyed(key, b"planes").normal(size=(features.shape[1], planes)) / spread[:, None]
        return cls(key, normals, np.median(features @ normals, axis=0))

    def places(self, query: Query) -> list[bytes]:
        sides = query.features @ self.normals > self.offsets
        return [b"cell " + row.tobytes() for row in sides]


def _keyed(key: bytes, message: bytes) -> np.random.Generator:
    """Randomness that only the holder of the key can repeat."""
    return np.random.default_rng(list(hmac.digest(key, message, hashlib.sha256)))


@dataclass(frozen=True)
class Trickster:
    """Honest answers for inputs that look normal, misleading ones for weird inputs.

    An ``api.Defense``: called with posteriors ``(n, k)`` and their query, it returns posteriors
    ``(n, k)``. An input is weird if its score lies below the threshold. Each input is judged by
    itself, and if ``lie`` draws nothing at random, asking again reveals nothing new.

    Parameters
    ----------
    score : called like a defence, ``score(posteriors, query)``; returns one float for each input
        ``(n,)``, higher for normal.
    threshold : see :func:`trickster.ood.choose_threshold`. A higher one catches more weird inputs
        and misleads more honest ones.
    lie : from posteriors ``(n, k)`` to misleading ones; or a :class:`KeyedLie`, which sees the
        query as well.

    The course's headline defence. It follows Adaptive Misinformation (Kariyappa and Qureshi,
    "Defending Against Model Stealing Attacks with Adaptive Misinformation", 2020), with the
    distance to training features as the score (Sun et al., "Out-of-Distribution Detection with
    Deep Nearest Neighbors", 2022) and a deterministic lie in place of a second model.

    Examples
    --------
    >>> from trickster.scenario import Scenario
    >>> fashion = Scenario("fashion")
    >>> bank, honest = (fashion.victim.features(x) for x in
    ...                 (fashion.data.x_train, fashion.data.x_test[:2_500]))
    >>> api = fashion.api(defenses=[Trickster.from_features(bank, honest, max_fpr=0.02)])
    >>> shapes = fashion.pool("shapes", 200, seed=0)
    >>> misled = api.query(shapes).argmax(axis=1) != fashion.victim.labels(shapes)
    >>> bool(misled.mean() > 0.5)
    True
    """

    score: Callable[[np.ndarray, Query], np.ndarray]
    threshold: float
    lie: Callable[[np.ndarray], np.ndarray] | KeyedLie = misinform

    @classmethod
    def from_features(
        cls,
        bank: np.ndarray,
        honest: np.ndarray,
        max_fpr: float = 0.02,
        k: int = 1,
        lie: Callable[[np.ndarray], np.ndarray] | KeyedLie = misinform,
    ) -> Trickster:
        """One that knows weird inputs by their distance to the training features ``bank (m, d)``.

        At most ``max_fpr`` of the held-out honest inputs with features ``honest (n, d)`` count as
        weird. The score is :func:`trickster.ood.score_knn` with ``k``.
        """

        def score(posteriors: np.ndarray, query: Query) -> np.ndarray:
            return ood.score_knn(query.features, bank, k)

        threshold = ood.choose_threshold(ood.score_knn(honest, bank, k), max_fpr)
        return cls(score, threshold, lie)

    def weird(self, posteriors: np.ndarray, query: Query) -> np.ndarray:
        """Which inputs are answered misleadingly: booleans ``(n,)``."""
        scores = np.asarray(self.score(posteriors, query))
        if scores.shape != posteriors.shape[:1]:
            raise ValueError(
                f"A score is one number for each of the {len(posteriors)} inputs; "
                f"this one has shape {scores.shape}."
            )
        return scores < self.threshold

    def __call__(self, posteriors: np.ndarray, query: Query) -> np.ndarray:
        """What the customer gets to see ``(n, k)``."""
        weird = self.weird(posteriors, query)
        keyed = isinstance(self.lie, KeyedLie)
        lies = self.lie(posteriors, query) if keyed else self.lie(posteriors)
        return np.where(weird[:, None], lies, posteriors)


def reverse_sigmoid(posteriors: np.ndarray, beta: float = 1.0, gamma: float = 0.1) -> np.ndarray:
    """Probabilities bent towards one half, so that quite different inputs get the same answer.

    ``y - beta (sigmoid(gamma logit(y)) - 1/2)``, clipped at 0 and normalised. ``beta`` scales the
    bend, ``gamma`` how soon it sets in. With both at most 1, a class that had more than one half
    still leads: a thief who keeps only labels loses nothing there. (Lee, Edwards, Molloy and Su,
    "Defending Against Neural Network Model Stealing Attacks Using Deceptive Perturbations", 2019.)
    """
    if beta < 0 or gamma < 0:
        raise ValueError(f"beta and gamma must not be negative: {beta}, {gamma}.")
    y = np.clip(posteriors.astype(np.float64), 1e-9, 1 - 1e-9)
    bent = np.maximum(y - beta * (expit(gamma * np.log(y / (1 - y))) - 0.5), 1e-9)
    return (bent / bent.sum(axis=1, keepdims=True)).astype(posteriors.dtype)


def adaptive_misinformation(
    posteriors: np.ndarray, wrong: np.ndarray, tau: float, nu: float = 1_000.0
) -> np.ndarray:
    """Rows that drift from the victim's answer to a wrong one where the victim is unsure.

    ``(1 - a) y + a wrong`` with ``a = 1 / (1 + exp(nu (max y - tau)))``. ``wrong (n, k)`` are the
    posteriors of a model that was trained to be wrong (:func:`training.reverse_cross_entropy`);
    ``tau`` is the confidence below which an input counts as weird; a large ``nu`` makes the
    passage sharp. (Kariyappa and Qureshi, "Defending Against Model Stealing Attacks with
    Adaptive Misinformation", 2020, whose victim was also trained to be unsure of outliers.)
    """
    if posteriors.shape != wrong.shape:
        raise ValueError(
            f"Answers of shape {posteriors.shape} cannot be mixed with those of {wrong.shape}."
        )
    a = expit(-nu * (posteriors.max(axis=1, keepdims=True) - tau))
    return ((1 - a) * posteriors + a * wrong).astype(posteriors.dtype)
