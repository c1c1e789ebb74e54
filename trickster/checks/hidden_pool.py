"""A query pool that no lab shows: what a defence has not been tuned against.

The checks of a defence use it beside fresh draws of a pool that the students know.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&%#?@$"
FACES = ("DejaVuSans-Bold", "DejaVuSerif-Bold", "DejaVuSans", "DejaVuSansMono-Bold")
SIZES = (40, 60, 90)
SIDE = 56  # drawn at twice the size, so that edges come out soft


def glyphs(n: int, *, seed: int) -> np.ndarray:
    """``n`` pictures of one to three large turned letters, ``(n, 1, 28, 28)`` in [0, 1]."""
    rng = np.random.default_rng([seed, 1967])
    out = np.empty((n, 1, 28, 28), np.float32)
    for i in range(n):
        picture = Image.new("L", (SIDE, SIDE))
        for _ in range(rng.integers(1, 4)):
            picture.paste(int(rng.uniform(60, 256)), (0, 0, SIDE, SIDE), _letter(rng))
        out[i, 0] = np.asarray(picture.resize((28, 28), Image.Resampling.BILINEAR))
    return out / 255


def _letter(rng: np.random.Generator) -> Image.Image:
    """One letter as a mask: turned, shifted, and now and then twice as small."""
    sheet = Image.new("L", (2 * SIDE, 2 * SIDE))
    font = _fonts()[rng.integers(len(_fonts()))]
    character = CHARACTERS[rng.integers(len(CHARACTERS))]
    ImageDraw.Draw(sheet).text((SIDE, SIDE), character, fill=255, font=font, anchor="mm")
    sheet = sheet.rotate(rng.uniform(-180, 180))
    if rng.random() < 0.5:
        sheet = sheet.resize((SIDE, SIDE))
    x, y = rng.integers(-20, 21, size=2)
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(sheet, ((SIDE - sheet.width) // 2 + int(x), (SIDE - sheet.height) // 2 + int(y)))
    return mask


@cache
def _fonts() -> tuple[ImageFont.FreeTypeFont, ...]:
    """Fonts that come with matplotlib, so that every machine draws the same letters."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return tuple(ImageFont.truetype(str(folder / f"{f}.ttf"), s) for f in FACES for s in SIZES)
