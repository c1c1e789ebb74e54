"""The report's drawings, each as SVG with the words that say what it shows.

The same numbers give the same bytes. Scores of those who still wait for marks are hatched, so
that no colour is needed to tell them apart.
"""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from autograder.reporting.console import number
from autograder.reporting.statistics import LabStatistics, edges, histogram

# As in `trickster.plots`, which is not imported for it: that takes torch and seconds.
BLUE, PALE, ORANGE = "#0072B2", "#BBDDEE", "#A84300"
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "trickster", "font.family": "sans-serif"}


class Drawing(NamedTuple):
    """An SVG file as an address that a page can hold, and its alternative text."""

    address: str
    alt: str


def scores(lab: LabStatistics) -> Drawing | None:
    """The distribution of a lab's scores; None where nothing is graded."""
    spread = lab.scores
    if spread is None:
        return None
    borders = edges(max(lab.maximum, spread.high))
    settled, so_far = histogram(lab.settled, borders), histogram(lab.so_far, borders)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 2.9), layout="constrained")
        axes = figure.subplots()
        look = {"width": borders[1], "align": "edge", "edgecolor": "white"}
        if any(settled):
            axes.bar(borders[:-1], settled, color=BLUE, label="graded", **look)
        if any(so_far):
            look |= {"color": PALE, "edgecolor": BLUE, "hatch": "///", "bottom": settled}
            axes.bar(borders[:-1], so_far, label="waits for marks", **look)
        line = {"color": ORANGE, "linewidth": 2}
        axes.axvline(spread.median, label=f"median {spread.median:.1f}", **line)
        axes.axvline(spread.mean, label=f"mean {spread.mean:.1f}", linestyle=":", **line)
        axes.set(xlabel="points", ylabel="submissions", xlim=(borders[0], borders[-1]))
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=9)
        return Drawing(_address(figure), _score_words(borders, settled, so_far))


def _score_words(borders: list[float], settled: list[int], so_far: list[int]) -> str:
    words = []
    for i, count in enumerate(map(sum, zip(settled, so_far, strict=True))):
        if count:
            waits = f", {so_far[i]} of them waiting for marks" if so_far[i] else ""
            words.append(f"{number(borders[i])} to {number(borders[i + 1])}: {count}{waits}")
    return f"Submissions by points. {'; '.join(words)}."


def _address(figure: Figure) -> str:
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
