"""A service that nothing shipped can tell: it sorts clothes into ten classes drawn at grading.

Whoever is graded on it has to learn from its answers: neither the shipped pictures' labels nor the
shipped victim's weights say anything about its classes. It is a formula, so nobody waits for it
to be trained. Pictures averaged over 4x4 squares, whitened on the shipped training pictures, times
a random matrix; and, as with a real network, what lies far from all clothes is mostly one class.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from trickster.checks import draws, fixtures
from trickster.models import softmax

SQUARE = 4  # pixels
DIRECTIONS = 32  # of the 49 squares; with fewer, even poor pools steal well
CLASSES = 10
FAR = 0.95  # of the training pictures lie nearer to their mean than what is called far
PULL = 0.2  # of one more unit of distance, beside scores of deviation 1
SHARPNESS = 5.0  # deviation of the logits: the mean confidence is near the shipped victim's


class _Space(NamedTuple):
    """Where pictures lie: mean ``(49,)``, directions ``(49, 32)``, and how far is far."""

    mean: np.ndarray
    directions: np.ndarray
    far: float

    def places(self, x: np.ndarray) -> np.ndarray:
        """Of pictures ``(n, 1, 28, 28)``: ``(n, 32)``, of deviation 1 among clothes."""
        return (squares(x) - self.mean) @ self.directions

    def distances(self, places: np.ndarray) -> np.ndarray:
        """How much farther than far: ``(n, 1)``."""
        return np.maximum(np.linalg.norm(places, axis=1, keepdims=True) - self.far, 0)


class Teacher:
    """One draw of ten classes, each as common as any other among clothes."""

    def __init__(self, *draw_labels: str | int):
        rng = draws.rng("teacher", *draw_labels)
        self._matrix = rng.standard_normal((DIRECTIONS, CLASSES)) / np.sqrt(DIRECTIONS)
        self._pull = PULL * rng.standard_normal(CLASSES)
        scores = self._scores(_clothes())
        self._middle, self._scale = scores.mean(axis=0), SHARPNESS / scores.std()
        self._biases = equally_common((scores - self._middle) * self._scale)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Of pictures ``(n, 1, 28, 28)``: ``(n, 10)``."""
        scores = self._scores(places(x))
        return (scores - self._middle) * self._scale + self._biases

    def posteriors(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, float32 ``(n, 10)``."""
        return softmax(self.logits(x)).astype(np.float32)

    def labels(self, x: np.ndarray) -> np.ndarray:
        """The most probable class, int64 ``(n,)``."""
        return self.logits(x).argmax(axis=1)

    def features_and_posteriors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What :class:`trickster.api.PredictionAPI` serves; the features are the places."""
        return places(x).astype(np.float32), self.posteriors(x)

    def _scores(self, places: np.ndarray) -> np.ndarray:
        return places @ self._matrix + _space().distances(places) * self._pull


@draws.cached
def service(*draw_labels: str | int) -> Teacher:
    """The service that ``draw_labels`` name: the same for the same labels and secret."""
    return Teacher(*draw_labels)


def labels(x: np.ndarray, *draw_labels: str | int) -> np.ndarray:
    """What the service of that name calls pictures ``(n, 1, 28, 28)``: int64 ``(n,)``, 0 to 9."""
    return service(*draw_labels).labels(x)


def squares(x: np.ndarray) -> np.ndarray:
    """The brightness of the 4x4 squares of pictures ``(n, 1, 28, 28)``: ``(n, 49)``."""
    n, _, height, width = x.shape
    blocks = x.reshape(n, height // SQUARE, SQUARE, width // SQUARE, SQUARE)
    return blocks.mean(axis=(2, 4)).reshape(n, -1)


def places(x: np.ndarray) -> np.ndarray:
    """Where pictures ``(n, 1, 28, 28)`` lie in the directions in which clothes vary most.

    ``(n, 32)``, uncorrelated and of deviation 1 among clothes; the first varies most.
    """
    return _space().places(x)


@cache
def _space() -> _Space:
    seen = squares(fixtures.fashion().x_train)
    mean = seen.mean(axis=0)
    _, lengths, rows = np.linalg.svd(seen - mean, full_matrices=False)
    deviations = lengths[:DIRECTIONS] / np.sqrt(len(seen))
    space = _Space(mean, rows[:DIRECTIONS].T / deviations, 0.0)
    norms = np.linalg.norm(space.places(fixtures.fashion().x_train), axis=1)
    return space._replace(far=float(np.quantile(norms, FAR)))


@cache
def _clothes() -> np.ndarray:
    """The training pictures' places."""
    return places(fixtures.fashion().x_train)


def equally_common(logits: np.ndarray) -> np.ndarray:
    """Biases ``(10,)`` with which each class is the largest of as many rows as any other."""
    biases = np.zeros(CLASSES)
    for step in np.geomspace(2.0, 0.05, 60):
        shares = np.bincount((logits + biases).argmax(axis=1), minlength=CLASSES) / len(logits)
        biases -= step * np.log(np.maximum(shares, 1e-3) * CLASSES)
    return biases
