"""Ten classes of clothes, drawn at grading, that are as hard to learn as the kinds of clothes.

Neither the shipped pictures' labels nor anything trained on them says anything about these
classes. They are a simpler relative of those in ``teacher``: ten uncorrelated mixtures of the
directions in which clothes vary most, and a picture belongs to the largest.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from trickster.checks import draws, fixtures, teacher

CLASSES = 10
DIRECTIONS = 13  # the more, the harder
SHARPNESS = 5.0  # deviation of the mixtures, with which their biases are found
ASKED, NEIGHBOURS = 2_000, 9
TOLD, CLOSE = 0.71, 0.006  # the share of pictures whose class their neighbours tell


def labels(x: np.ndarray, *draw: str | int) -> np.ndarray:
    """The drawn classes of pictures ``x (n, 1, 28, 28)``: int64 ``(n,)``, 0 to 9, as common."""
    mixtures, biases = _mixtures(*draw)
    return (_seen(x) @ mixtures + biases).argmax(axis=1)


@draws.cached
def _mixtures(*draw: str | int) -> tuple[np.ndarray, np.ndarray]:
    """The mixtures ``(directions, 10)``, and biases that make the classes equally common.

    Drawn until they are as hard to learn as usual: until the nearest neighbours of a picture tell
    its class as often.
    """
    rng, seen = draws.rng("sorting", *draw), _seen(fixtures.fashion().x_train)
    while True:
        drawn = rng.standard_normal((DIRECTIONS, CLASSES))
        mixtures = SHARPNESS * np.linalg.qr(drawn)[0]
        scores = seen @ mixtures
        biases = teacher.equally_common(scores)
        if abs(_told_by_neighbours((scores + biases).argmax(axis=1)) - TOLD) < CLOSE:
            return mixtures, biases


def _seen(x: np.ndarray) -> np.ndarray:
    return teacher.places(x)[:, :DIRECTIONS]


def _told_by_neighbours(y: np.ndarray) -> float:
    """Share of the last pictures that are of the class of most of their nearest neighbours."""
    neighbours = _neighbours()
    votes = np.zeros((len(neighbours), CLASSES), int)
    for nearest in neighbours.T:
        np.add.at(votes, (np.arange(len(votes)), y[nearest]), 1)
    return float(np.mean(votes.argmax(axis=1) == y[-len(votes) :]))


@cache
def _neighbours() -> np.ndarray:
    """For each of the last training pictures, the nearest of the others."""
    squares = teacher.squares(fixtures.fashion().x_train)
    others, asked = squares[:-ASKED], squares[-ASKED:]
    distances = (others**2).sum(axis=1) - 2 * asked @ others.T
    return np.argpartition(distances, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
