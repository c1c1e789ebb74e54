"""The thief's query pools: pictures to send to a victim (also called transfer sets).

A thief without the victim's data sends something else. ``make`` builds pools from nothing
(noise, shapes), from two photographs, from small digits, or from any data set that
``data.load`` knows. Which pool a thief owns matters more than most defences.

``outliers`` is the owner's: weird pictures made from honest ones, by whoever knows no thief.
"""

from __future__ import annotations

import operator
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from trickster import data

Shape = tuple[int, int, int]

_MAX_SHAPES = 4
_CHUNK_VALUES = 500_000  # pixels drawn at a time: bounds the memory of "shapes" to some 20 MB
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, what Pillow uses for grey


def make(
    name: str,
    n: int,
    *,
    seed: int,
    shape: Shape = (1, 28, 28),
    root: str | Path | None = None,
) -> np.ndarray:
    """Make n query pictures.

    Parameters
    ----------
    name: one of ``NAMES``.
        "noise": uniform pixels. "shapes": 1 to 4 turned ellipses and boxes, some hollow, shaded
        or cut off, on a dark ground. "patches": random crops of scikit-learn's two sample
        photographs. "digits": scikit-learn's 1,797 digits of 8x8, enlarged. Any other name: a
        random part of the training pictures of ``data.load(name)``, resized; the pool of a thief
        who owns such data.
    n: how many, at least 1 and at most ``size_limit(name)``. None comes twice from a pool with
        a limit.
    seed: from 0. The same call gives the same bytes; a larger n need not begin with them.
    shape: (channels, height, width) of one picture, with 1 or 3 channels. Default: (1, 28, 28).
    root: the data folder of ``data.load``, for data sets.

    Returns
    -------
    float32 array (n, channels, height, width) in [0, 1]; yours to change.

    Raises
    ------
    ValueError: the name, n, seed or shape is not one of these.
    data.DataNotFound: a data set that is not on this machine.
    """
    if name not in NAMES:
        raise ValueError(data.unknown_name("query pool", name, NAMES))
    n, seed = _whole("n, the number of pictures,", n, 1), _whole("seed", seed, 0)
    shape = _checked_shape(shape)
    # The name is part of the seed: two pools of one seed must not share their draws.
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if name in _PROCEDURAL:
        return _PROCEDURAL[name](n, shape, rng)
    pictures = _all_digits() if name == "digits" else data.load(name, root=root).x_train
    if n > len(pictures):
        raise ValueError(
            f"The pool {name!r} holds {len(pictures):,} pictures, and {n:,} were asked for. Ask "
            "for fewer, or take a pool without a limit: " + ", ".join(_PROCEDURAL) + "."
        )
    chosen = pictures[rng.permutation(len(pictures))[:n]]
    return _fit(chosen, shape)


def size_limit(name: str) -> int | None:
    """The most pictures that the pool ``name`` can give; None if there is no limit."""
    if name not in NAMES:
        raise ValueError(data.unknown_name("query pool", name, NAMES))
    if name in _PROCEDURAL:
        return None
    return 1_797 if name == "digits" else data.train_size(name)


def _whole(what: str, value: int, least: int) -> int:
    """``value`` as an int, or ValueError unless it is a whole number of at least ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ValueError(f"{what} must be a whole number from {least}, got {value!r}.")
    return number


def _checked_shape(shape: Shape) -> Shape:
    """``shape`` as three ints, or ValueError."""
    try:
        channels, height, width = (_whole("a length", length, 1) for length in shape)
    except (TypeError, ValueError):
        channels = 0
    if channels not in (1, 3):
        raise ValueError(
            "shape must be (channels, height, width) with 1 or 3 channels and positive lengths, "
            f"such as (1, 28, 28), got {shape!r}."
        )
    return channels, height, width


# --- pools made from nothing ------------------------------------------------------------------


def _noise(n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Uniform pixels."""
    return rng.random((n, *shape), dtype=np.float32)


def _shapes(n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Random ellipses and boxes, painted over one another."""
    out = np.empty((n, *shape), np.float32)
    step = max(1, _CHUNK_VALUES // int(np.prod(shape)))
    for start in range(0, n, step):
        out[start : start + step] = _paint(min(step, n - start), shape, rng)
    return out


def _paint(m: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """One chunk of ``_shapes``: float32 (m, c, h, w). Lengths are in half pictures."""
    channels, height, width = shape
    ys = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    xs = np.linspace(-1, 1, width, dtype=np.float32)

    def draw(low: float, high: float, depth: int = 1) -> np.ndarray:
        return rng.uniform(low, high, (m, depth, 1, 1)).astype(np.float32)

    picture = np.broadcast_to(draw(0, 0.08, channels), (m, *shape)).copy()
    count = rng.integers(1, _MAX_SHAPES + 1, (m, 1, 1, 1))
    edge = np.float32(max(height, width) / 2)  # one pixel of soft edge
    for layer in range(_MAX_SHAPES):
        x, y = xs - draw(-0.6, 0.6), ys - draw(-0.6, 0.6)
        # Some shapes are upright, as most things are.
        angle = draw(0, np.pi) * (draw(0, 1) < 0.6)
        cos, sin = np.cos(angle), np.sin(angle)
        half_u, half_v = draw(0.1, 0.9), draw(0.1, 0.9)
        u, v = (x * cos + y * sin) / half_u, (y * cos - x * sin) / half_v
        is_box = draw(0, 1) < 0.5
        radius = np.where(is_box, np.maximum(abs(u), abs(v)), np.sqrt(u * u + v * v))
        size = np.minimum(half_u, half_v) * edge
        cover = np.clip((1 - radius) * size + 0.5, 0, 1)
        hollow = draw(0.3, 0.85) * (draw(0, 1) < 0.3)
        cover *= np.where(hollow > 0, np.clip((radius - hollow) * size + 0.5, 0, 1), 1)
        shade = draw(0.15, 1, channels) + draw(-0.3, 0.3) * u
        cover *= count > layer
        picture += cover * (np.clip(shade, 0, 1) - picture)
    return np.clip(picture, 0, 1, out=picture)


def _patches(n: int, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Random crops of two photographs, from close by to the whole height, mirrored at random."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    photos = [Image.fromarray(p).convert(mode) for p in load_sample_images().images]
    out = np.empty((n, height, width, channels), np.uint8)
    for i in range(n):
        photo = photos[rng.integers(len(photos))]
        largest = min(photo.width / width, photo.height / height)
        # Log-uniform, so that close-ups are as common as wide views.
        scale = largest * np.exp(rng.uniform(np.log(0.05), 0))
        left = rng.uniform(0, photo.width - scale * width)
        top = rng.uniform(0, photo.height - scale * height)
        box = (left, top, left + scale * width, top + scale * height)
        crop = photo.resize((width, height), Image.Resampling.BILINEAR, box=box)
        out[i] = np.asarray(crop).reshape(height, width, channels)
    mirror, upside_down = rng.random((2, n)) < 0.5
    out[mirror] = out[mirror][:, :, ::-1]
    out[upside_down] = out[upside_down][:, ::-1]
    return np.divide(out.transpose(0, 3, 1, 2), np.float32(255), dtype=np.float32, order="C")


_PROCEDURAL: dict[str, Callable[[int, Shape, np.random.Generator], np.ndarray]] = {
    "noise": _noise,
    "shapes": _shapes,
    "patches": _patches,
}
NAMES: tuple[str, ...] = tuple(dict.fromkeys((*_PROCEDURAL, "digits", *data.NAMES)))


# --- pools made from data sets ----------------------------------------------------------------


def _all_digits() -> np.ndarray:
    """Every 8x8 digit: a thief keeps no test set."""
    digits = data.load("digits")
    return np.concatenate([digits.x_train, digits.x_test])


def _fit(x: np.ndarray, shape: Shape) -> np.ndarray:
    """Bring float32 pictures (n, c, h, w) to ``shape``: grey or three channels, bilinear."""
    channels, height, width = shape
    if x.shape[1] == 3 and channels == 1:
        x = np.tensordot(x, _LUMA, axes=(1, 0))[:, None]
    if x.shape[2:] != (height, width):
        import torch.nn.functional as F
        from torch import tensor

        size = (height, width)
        x = F.interpolate(tensor(x), size, mode="bilinear", antialias=True).numpy()
    if x.shape[1] == 1 and channels == 3:
        x = np.repeat(x, 3, axis=1)
    return np.clip(x, 0, 1).astype(np.float32)


# --- outliers made from honest pictures -------------------------------------------------------


def outliers(
    honest: np.ndarray, n: int, *, seed: int, kinds: Sequence[str] | None = None
) -> np.ndarray:
    """Make n weird pictures from honest ones: what an owner has who knows no thief.

    Parameters
    ----------
    honest: float array (m, c, h, w) in [0, 1], at least two pictures.
    n: how many, at least 1.
    seed: from 0. The same call gives the same bytes.
    kinds: out of those that :func:`outlier_kinds` names for these pictures; default: all of them,
        in equal parts, in random order.
        "turned": by a quarter, to the left or the right. "overlaid": two pictures, the brighter
        of both or their mean. "pasted": a box of one picture somewhere in another. "tiles 4x4",
        "tiles 2x2": tiles in another order. "inverted": rolled over the edges, and one half
        inverted. In colour also "grey", and "colours": red, green and blue in another order.

    Returns
    -------
    float32 array (n, c, h, w) in [0, 1].

    Raises
    ------
    ValueError: fewer than two pictures, or a kind that these pictures have not.
    """
    n, seed = _whole("n, the number of pictures,", n, 1), _whole("seed", seed, 0)
    if len(honest) < 2:
        raise ValueError(f"Outliers need at least two honest pictures, got {len(honest)}.")
    possible = outlier_kinds(honest.shape[1:])
    chosen = possible if kinds is None else tuple(kinds)
    for kind in chosen:
        if kind not in possible:
            raise ValueError(data.unknown_name("kind of outlier", kind, possible))
    if not chosen:
        raise ValueError("Name at least one kind of outlier.")
    rng = np.random.default_rng([seed, zlib.crc32(b"outliers")])
    which = rng.permutation(np.arange(n) % len(chosen))
    out = np.empty((n, *honest.shape[1:]), np.float32)
    for i, kind in enumerate(chosen):
        rows = np.flatnonzero(which == i)
        first = rng.integers(len(honest), size=len(rows))
        other = (first + rng.integers(1, len(honest), size=len(rows))) % len(honest)
        out[rows] = _OUTLIERS[kind](honest[first], honest[other], rng)
    return out


def outlier_kinds(shape: Shape) -> tuple[str, ...]:
    """The kinds of :func:`outliers` that pictures of this shape can be made into.

    Only squares can be turned, and only colour can be lost.
    """
    channels, height, width = shape
    kinds = [kind for kind in _OUTLIERS if channels == 3 or kind not in ("grey", "colours")]
    return tuple(kind for kind in kinds if height == width or kind != "turned")


def _turned(x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    left = rng.random((len(x), 1, 1, 1)) < 0.5
    return np.where(left, np.rot90(x, 1, (2, 3)), np.rot90(x, -1, (2, 3)))


def _overlaid(x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    brighter = rng.random((len(x), 1, 1, 1)) < 0.5
    return np.where(brighter, np.maximum(x, other), (x + other) / 2)


def _pasted(x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The box is between a quarter and three quarters of a picture wide and high."""
    out = x.copy()
    for picture, source in zip(out, other, strict=True):
        here, there = [slice(None)], [slice(None)]
        for length in x.shape[2:]:
            side = max(1, int(rng.uniform(0.25, 0.75) * length))
            for box in (here, there):
                start = int(rng.integers(length - side + 1))
                box.append(slice(start, start + side))
        picture[tuple(here)] = source[tuple(there)]
    return out


def _tiles(side: int) -> Outlier:
    """A kind: ``side`` times ``side`` tiles in another order; what is left over stays."""

    def shuffled(x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        n, channels, height, width = x.shape
        h, w = height // side, width // side
        grid = x[:, :, : side * h, : side * w].reshape(n, channels, side, h, side, w)
        tiles = grid.transpose(0, 2, 4, 1, 3, 5).reshape(n, side * side, channels, h, w)
        order = rng.permuted(np.tile(np.arange(side * side), (n, 1)), axis=1)
        same = (order == np.arange(side * side)).all(axis=1)
        order[same] = np.roll(order[same], 1, axis=1)
        tiles = np.take_along_axis(tiles, order[:, :, None, None, None], axis=1)
        grid = tiles.reshape(n, side, side, channels, h, w).transpose(0, 3, 1, 4, 2, 5)
        out = x.copy()
        out[:, :, : side * h, : side * w] = grid.reshape(n, channels, side * h, side * w)
        return out

    return shuffled


def _inverted(x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rolled by a quarter to three quarters of a side; then one half, of four, inverted."""
    _, _, height, width = x.shape
    half_of = (
        np.s_[:, : height // 2], np.s_[:, height // 2 :],
        np.s_[:, :, : width // 2], np.s_[:, :, width // 2 :],
    )  # fmt: skip
    out = np.empty_like(x)
    for picture, source in zip(out, x, strict=True):
        by = [int(rng.uniform(0.25, 0.75) * length) for length in (height, width)]
        picture[:] = np.roll(source, by, axis=(1, 2))
        half = half_of[rng.integers(4)]
        picture[half] = 1 - picture[half]
    return out


def _grey(x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _fit(_fit(x, (1, *x.shape[2:])), x.shape[1:])


def _colours(x: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    orders = np.array([(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
    return np.take_along_axis(x, orders[rng.integers(5, size=len(x))][:, :, None, None], axis=1)


# From pictures (n, c, h, w), as many others, and a generator.
Outlier = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
_OUTLIERS: dict[str, Outlier] = {
    "turned": _turned,
    "overlaid": _overlaid,
    "pasted": _pasted,
    "tiles 4x4": _tiles(4),
    "tiles 2x2": _tiles(2),
    "inverted": _inverted,
    "grey": _grey,
    "colours": _colours,
}
