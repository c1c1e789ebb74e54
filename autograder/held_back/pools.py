"""Query pools of grading alone: pictures that no lab shows and no student copy can draw.

Five families, each with a style drawn from the seed: how many lines, how wide, which fonts. A pool
mixes all of them in drawn shares, and crosses many of its pictures with another one's. So who has
copied one family, or the letters that a student's own run of the checks sends, knows a small part
of it. All have a black ground around them, as clothes do. Undefended, they steal as much as the
labs' shapes do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import comb
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 28
FINE = 2 * SIDE  # lines and letters are drawn at twice the size, so that edges come out soft
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=?!()[]"
# Fonts of matplotlib that have all of these characters.
FONTS = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmb", "cmr", "cmss", "cmti", "cmtt")

Family = Callable[[int, np.random.Generator], np.ndarray]  # n, rng -> (n, 28, 28) in [0, 1]


def mixture(n: int, *, seed: int) -> np.ndarray:
    """``n`` pictures of all families ``(n, 1, 28, 28)`` in [0, 1], in an order that tells nothing.

    ``seed`` draws the families' shares, none below a fortieth, their styles, and which pictures
    are crossed: 40 to 70 % are the difference of two.
    """
    rng = np.random.default_rng([seed, 404])
    crossed = rng.permutation(n) < n * rng.uniform(0.4, 0.7)
    pictures = _of_all_families(n + int(crossed.sum()), rng)
    pictures, others = pictures[:n], pictures[n:]
    pictures[crossed] = abs(pictures[crossed] - others)
    return _framed(pictures, rng)[:, None]


def _of_all_families(n: int, rng: np.random.Generator) -> np.ndarray:
    usual = np.array([share for _, share in FAMILIES.values()])
    shares = 0.03 + rng.dirichlet(usual)
    family = rng.choice(len(usual), size=n, p=shares / shares.sum())
    pictures = np.empty((n, SIDE, SIDE), np.float32)
    for i, (draw, _) in enumerate(FAMILIES.values()):
        pictures[family == i] = draw(int(np.sum(family == i)), rng)
    return pictures


# --- drawn with a pen -----------------------------------------------------------------


def letters(n: int, rng: np.random.Generator) -> np.ndarray:
    """One to three turned letters of a few fonts, thin or bold."""
    files = rng.permutation(np.array(_font_files()))[:8]
    fonts = [ImageFont.truetype(str(file), int(rng.integers(34, 100))) for file in files]
    boldest = rng.integers(2, 6)

    def draw(sheet: Image.Image) -> None:
        for _ in range(rng.integers(1, 4)):
            mask = Image.new("L", (2 * FINE, 2 * FINE))
            ImageDraw.Draw(mask).text(
                (FINE, FINE),
                CHARACTERS[rng.integers(len(CHARACTERS))],
                fill=255,
                font=fonts[rng.integers(len(fonts))],
                anchor="mm",
                stroke_width=int(rng.integers(boldest)),
            )
            left, top = FINE // 2 - rng.integers(-14, 15, size=2)
            mask = mask.rotate(rng.uniform(-180, 180))
            mask = mask.crop((int(left), int(top), int(left) + FINE, int(top) + FINE))
            sheet.paste(int(rng.uniform(60, 256)), (0, 0, FINE, FINE), mask)

    return _sheets(n, draw)


def strokes(n: int, rng: np.random.Generator) -> np.ndarray:
    """A few lines, bent or broken, thin or as wide as a sleeve."""
    most, widest, bent = rng.integers(4, 7), rng.uniform(14, 24), rng.uniform(0.4, 0.8)

    def draw(sheet: Image.Image) -> None:
        pen = ImageDraw.Draw(sheet)
        for _ in range(rng.integers(1, most)):
            points = rng.uniform(4, FINE - 4, (rng.integers(2, 6), 2))
            if rng.random() < bent:
                points = _bezier(points)
            width = np.exp(rng.uniform(np.log(2), np.log(widest)))
            pen.line(list(map(tuple, points)), int(rng.uniform(70, 256)), int(width), "curve")

    return _sheets(n, draw)


def polygons(n: int, rng: np.random.Generator) -> np.ndarray:
    """One to three ragged polygons, filled with textures."""
    most, others = rng.integers(7, 10), rng.uniform(0.2, 0.5)

    def draw(sheet: Image.Image) -> None:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, most)))
        radii = rng.uniform(8, 34, len(angles))
        x, y = rng.uniform(18, 38, 2)
        corners = zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True)
        ImageDraw.Draw(sheet).polygon(list(corners), fill=255)

    picture = np.zeros((n, SIDE, SIDE), np.float32)
    for layer in range(3):
        cover = _sheets(n, draw) * (rng.random((n, 1, 1)) < (others if layer else 1))
        picture += cover * (_texture(n, rng) - picture)
    return picture


def _sheets(n: int, draw: Callable[[Image.Image], None]) -> np.ndarray:
    """What ``draw`` leaves on each of ``n`` black sheets."""
    out = np.empty((n, SIDE, SIDE), np.float32)
    for i in range(n):
        sheet = Image.new("L", (FINE, FINE))
        draw(sheet)
        out[i] = np.asarray(sheet.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return out / 255


def _bezier(points: np.ndarray) -> np.ndarray:
    """The curve that a few points pull, as 24 points."""
    t, m = np.linspace(0, 1, 24)[:, None], len(points) - 1
    weights = [comb(m, j) * t**j * (1 - t) ** (m - j) for j in range(m + 1)]
    return np.concatenate(weights, axis=1) @ points


@cache
def _font_files() -> tuple[str, ...]:
    """Fonts that come with matplotlib, so that every machine draws the same letters."""
    import matplotlib  # takes a third of a second, and not every process draws letters

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    names = sorted(folder.glob("*.ttf"))
    return tuple(str(f) for f in names if f.name.startswith(FONTS) and "Display" not in f.name)


# --- computed -------------------------------------------------------------------------


def gratings(n: int, rng: np.random.Generator) -> np.ndarray:
    """One to four overlapping gratings, each in a window of its own."""
    fastest, others = rng.uniform(6, 12), rng.uniform(0.3, 0.7)
    picture = np.zeros((n, SIDE, SIDE))
    for layer in range(4):
        u, v = _turned(n, rng, 0.5)
        power = rng.choice([2, 6], size=(n, 1, 1))
        window = np.exp(
            -(abs(u / _each(n, rng, 0.15, 0.9)) ** power)
            - abs(v / _each(n, rng, 0.15, 0.9)) ** power
        )
        speed = np.exp(_each(n, rng, 0, np.log(fastest)))
        wave = 0.5 + 0.5 * np.sin(np.pi * speed * u + _each(n, rng, 0, 2 * np.pi))
        there = rng.random((n, 1, 1)) < (others if layer else 1)
        picture = np.clip(picture + there * _each(n, rng, 0.3, 1) * window * wave, 0, 1)
    return picture.astype(np.float32)


def mosaics(n: int, rng: np.random.Generator) -> np.ndarray:
    """Cells around random points, in shades, some of them black."""
    most = int(rng.integers(9, 17))
    places = rng.uniform(-1.1, 1.1, (2, n, most, 1, 1))
    y, x = _plane()
    distance = (x - places[0]) ** 2 + (y - places[1]) ** 2
    distance[np.arange(most) >= rng.integers(4, most + 1, (n, 1))] = np.inf
    shades = rng.uniform(0.15, 1, (n, most)) * (
        rng.random((n, most)) < rng.uniform(0.3, 0.8, (n, 1))
    )
    nearest = distance.argmin(axis=1).reshape(n, -1)
    cells = np.take_along_axis(shades, nearest, axis=1)
    return cells.reshape(n, SIDE, SIDE).astype(np.float32)


def _framed(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each behind a box or an oval of its own: as much of it stays black as of most clothes."""
    n = len(pictures)
    y, x = _plane()
    u = abs(x - _each(n, rng, -0.15, 0.15)) / _each(n, rng, 0.7, 1.1)
    v = abs(y - _each(n, rng, -0.15, 0.15)) / _each(n, rng, 0.7, 1.1)
    corners = rng.choice([2, 12], size=(n, 1, 1))
    far = (u**corners + v**corners) ** (1 / corners)
    return (pictures * np.clip((1 - far) * 10 + 0.5, 0, 1)).astype(np.float32)


def _texture(n: int, rng: np.random.Generator) -> np.ndarray:
    """Waves, checks, slopes and plain shades ``(n, 28, 28)`` in [0.1, 1]."""
    u, v = _turned(n, rng, 0.4)
    waves = np.sin(_each(n, rng, 2, 14) * u + _each(n, rng, 0, 2 * np.pi))
    checks = waves * np.sin(_each(n, rng, 2, 14) * v)
    kind = rng.integers(4, size=(n, 1, 1))
    pattern = np.clip(np.select([kind == 0, kind == 1, kind == 2], [waves, checks, u], 0), -1, 1)
    dark, bright = _each(n, rng, 0.1, 0.9), _each(n, rng, 0.3, 1)
    return (dark + (bright - dark) * (0.5 + 0.5 * pattern)).astype(np.float32)


def _each(n: int, rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """One number for each picture ``(n, 1, 1)``."""
    return rng.uniform(low, high, (n, 1, 1))


def _plane() -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a picture, from -1 to 1."""
    along = np.linspace(-1, 1, SIDE)
    return along[:, None], along


def _turned(n: int, rng: np.random.Generator, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """For each picture a plane of its own: shifted by up to ``shift``, and turned."""
    y, x = _plane()
    x, y = x - _each(n, rng, -shift, shift), y - _each(n, rng, -shift, shift)
    angle = _each(n, rng, 0, 2 * np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


# Each family with its usual share: the larger, the less the share varies.
FAMILIES: dict[str, tuple[Family, float]] = {
    "letters": (letters, 8),
    "strokes": (strokes, 6),
    "polygons": (polygons, 3),
    "gratings": (gratings, 8),
    "mosaics": (mosaics, 8),
}
