"""Labelled pictures as a ``Dataset`` that is what it says, and the errors of loading one.

Where data sets come from is the business of ``data``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class DataNotFound(FileNotFoundError):
    """A data set was asked for that is in none of the places where it may be."""


class BrokenData(ValueError):
    """A data file is there, but is not what it should be."""


class ChecksumMismatch(BrokenData):
    """A file that ships with the course is not the one that was shipped."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled pictures, split into training and test.

    Parameters
    ----------
    name: what ``load`` calls it.
    x_train, x_test: float32 pictures in [0, 1], shape (n, c, h, w).
    y_train, y_test: int64 labels from 0, shape (n,).
    classes: the name of each label, in label order.

    Raises
    ------
    ValueError: an array has another shape, dtype, length or range than that.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            _check_pictures(f"{self.name}: x_{part}", x)
            _check_labels(f"{self.name}: y_{part}", y, len(x), self.n_classes)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise ValueError(
                f"{self.name}: training pictures have shape {self.x_train.shape[1:]}, test "
                f"pictures {self.x_test.shape[1:]}. Resize one of them."
            )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one picture."""
        return self.x_train.shape[1:]

    @property
    def n_classes(self) -> int:
        """How many labels there are."""
        return len(self.classes)

    def __repr__(self) -> str:
        c, h, w = self.input_shape
        return (
            f"Dataset({self.name!r}, {len(self.x_train)} train + {len(self.x_test)} test, "
            f"{c}x{h}x{w}, {self.n_classes} classes)"
        )


def _check_pictures(where: str, x: np.ndarray) -> None:
    """Raise ValueError unless ``x`` is a non-empty float32 (n, c, h, w) in [0, 1]."""
    if not isinstance(x, np.ndarray) or x.ndim != 4 or x.dtype != np.float32 or not x.size:
        got = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise ValueError(
            f"{where} must be a non-empty float32 NumPy array of shape (n, c, h, w), got {got}."
        )
    low, high = float(x.min()), float(x.max())
    if not (low >= 0 and high <= 1):  # written so that a nan fails too
        raise ValueError(
            f"{where} must lie in [0, 1], got values from {low:g} to {high:g}. "
            "Divide 8-bit pictures by 255."
        )


def _check_labels(where: str, y: np.ndarray, n: int, n_classes: int) -> None:
    """Raise ValueError unless ``y`` is n int64 labels in [0, n_classes)."""
    if not isinstance(y, np.ndarray) or y.dtype != np.int64 or y.shape != (n,):
        got = f"{y.dtype} {y.shape}" if isinstance(y, np.ndarray) else type(y).__name__
        raise ValueError(
            f"{where} must be an int64 NumPy array of shape ({n},), one label a picture, got {got}."
        )
    if y.min() < 0 or y.max() >= n_classes:
        raise ValueError(
            f"{where} must hold labels from 0 to {n_classes - 1}, got {y.min()} to {y.max()}. "
            "Count from 0, and name every class."
        )


def from_bytes(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    classes: tuple[str, ...],
) -> Dataset:
    """A Dataset from pairs of uint8 pictures (n, c, h, w) and integer labels (n,)."""
    (x_train, x_test), (y_train, y_test) = (
        [np.divide(x, np.float32(255), dtype=np.float32, order="C") for x in (train[0], test[0])],
        [np.asarray(y).astype(np.int64) for y in (train[1], test[1])],
    )
    return Dataset(name, x_train, y_train, x_test, y_test, classes)
