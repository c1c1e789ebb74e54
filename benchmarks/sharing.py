"""Clones that several answers of one run have in common, trained once: what calibrations share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import numpy as np

from trickster import attacks, models
from trickster.attacks import TrainingSet
from trickster.checks import draws

_TRAIN = attacks.train_clones


@contextmanager
def sharing_clones() -> Iterator[None]:
    """As long as this lasts, the checks train a clone once where answers tell a thief the same."""
    with mock.patch.object(attacks, "train_clones", train_once):
        yield


@draws.cached
def clones() -> dict[bytes, models.Classifier]:
    """Those that were trained in the run of this secret, by what they were trained on."""
    return {}


def train_once(
    training_sets: Sequence[TrainingSet], *, trained: Callable[[int], object] | None = None
) -> list[models.Classifier]:
    """``attacks.train_clones``, but no clone twice: many answers tell some thieves the same."""
    keys = [_digest(one) for one in training_sets]
    new = {key: i for i, key in enumerate(keys) if key not in clones()}
    ready = _TRAIN([training_sets[i] for i in new.values()], trained=trained)
    clones().update(zip(new, ready, strict=True))
    return [clones()[key] for key in keys]


def _digest(one: TrainingSet) -> bytes:
    how = repr((one.x.shape, one.labels, one.network, one.epochs, one.lr, one.seed)).encode()
    digest = hashlib.blake2b(how)
    for array in (one.x, one.answers):
        digest.update(np.ascontiguousarray(array))
    return digest.digest()
