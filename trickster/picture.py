"""What a figure of the labs is: a picture with the words that say what it shows, and its style.

The figures themselves are in :mod:`trickster.plots`.
"""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
HATCHES = ("", "//", "..", "xx", "\\\\", "--")
DPI = 120  # sharp on most screens ...
CSS_DPI = 96  # ... at the size that a browser gives to an inch ...
# ... and no wider than the notebook. On a dark page the figure is a white card.
FIT = 'style="max-width: 100%;height: auto;border-radius: 6px"'


class Picture:
    """A figure with the words that say what it shows, which a screen reader reads out.

    A notebook shows it as HTML: JupyterLab gives no alternative text to an output that is a PNG.
    """

    def __init__(self, figure: Figure, alt: str):
        self.figure, self.alt = figure, alt

    def png(self, dpi: int = DPI) -> bytes:
        """The figure as PNG bytes, the same bytes for the same figure."""
        buffer = io.BytesIO()
        FigureCanvasAgg(self.figure).print_figure(
            buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None}
        )
        return buffer.getvalue()

    def save(self, path: str | Path, dpi: int = DPI) -> None:
        """Write the figure as a PNG file."""
        Path(path).write_bytes(self.png(dpi))

    def _repr_mimebundle_(self, include=None, exclude=None):
        png = self.png()
        # PNG's header has its size there. With both, a page keeps the room for a new figure.
        pixels = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        width, height = (round(number * CSS_DPI / DPI) for number in pixels)
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        size = f'width="{width}" height="{height}"'
        image = f'<img alt="{html.escape(self.alt)}" {size} {FIT} src="{source}">'
        return {"text/html": image, "text/plain": self.alt}

    def __repr__(self) -> str:
        return self.alt


def line_style(i: int, paired: bool = False) -> dict:
    """How line ``i`` looks: it differs from the others without colour, too.

    paired : two lines share a colour, the first of them solid, the second dashed.
    """
    colour, dash = (i // 2, i % 2) if paired else (i, i)
    return {
        "color": COLOURS[colour % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": DASHES[dash % len(DASHES)],
    }


def new_axes(
    title: str,
    xlabel: str,
    ylabel: str,
    size: tuple[float, float] = (6, 3.6),
    below: float | None = None,
):
    """A figure and its axes, without lines above and to the right.

    below : adds a second panel under the first, so many times as high, with the same x axis.
    """
    figure = Figure(figsize=size)
    grid = {"height_ratios": [1] if below is None else [1, below], "hspace": 0.08}
    rows = len(grid["height_ratios"])
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False, gridspec_kw=grid)
    for axes in panels[:, 0]:
        axes.spines[["top", "right"]].set_visible(False)
    first = panels[0, 0]
    first.set(title=title, xlabel=xlabel, ylabel=ylabel)
    return figure, first


def as_image(picture: np.ndarray) -> np.ndarray:
    """A picture ``(c, h, w)`` as matplotlib takes it: ``(h, w)`` if grey, else ``(h, w, c)``."""
    return picture[0] if picture.shape[0] == 1 else picture.transpose(1, 2, 0)


def strip(x: np.ndarray, columns: int) -> np.ndarray:
    """Pictures ``(n, c, h, w)`` side by side on white, each in a thin frame: one image to draw."""
    if x.ndim != 4:
        raise ValueError(f"A row of pictures is an array of shape (n, c, h, w), not {x.shape}.")
    gap = max(2, x.shape[3] // 7)
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=0.4)
    spaced = np.pad(framed, ((0, columns - len(x)), (0, 0), (0, 0), (0, gap)), constant_values=1.0)
    spaced[len(x) :] = spaced[..., -gap:] = 1.0
    return as_image(np.concatenate(list(spaced), axis=2)[..., :-gap])
