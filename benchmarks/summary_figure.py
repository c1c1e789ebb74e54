"""README's picture: the rows of ``summary``, each thief's clone behind each defence."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.summary import CHANCE, Row, percent
from trickster.evaluation import Interval
from trickster.picture import COLOURS, Picture

SPREAD = 0.7  # of a row's height, for its marks


class Mark(NamedTuple):
    """How one kind of clone is drawn."""

    label: str
    marker: str
    colour: str
    hollow: bool = False


MARKS = {
    "before": Mark("unaware, undefended", "o", "0.25", hollow=True),
    "naive": Mark("unaware, defended", "s", COLOURS[0]),
    "knows": Mark("informed thief", "^", COLOURS[1]),
    "oracle": Mark("oracle", "*", COLOURS[2]),
    "owned": Mark("real pictures, undefended", "D", COLOURS[3], hollow=True),
    "real": Mark("real pictures, defended", "D", COLOURS[3]),
}


def clones(row: Row) -> dict[str, Interval]:
    """The accuracy of each clone that was measured."""
    found = {
        "before": row.before,
        "naive": row.naive,
        "knows": row.knows and row.knows.after,
        "oracle": row.oracle and row.oracle.after,
        "owned": row.real and row.real.before,
        "real": row.real and row.real.after,
    }
    return {kind: value for kind, value in found.items() if value}


def figure(rows: list[Row]) -> Picture:
    """A row for each defence, a mark for each clone, and the claim as a dashed arrow."""
    canvas = Figure(figsize=(9, 0.66 * len(rows) + 1.5))
    axes = canvas.subplots()
    step = SPREAD / len(MARKS)
    for place, row in enumerate(rows):
        found, top = clones(row), place - SPREAD / 2
        for i, (kind, mark) in enumerate(MARKS.items(), start=1):
            if kind in found:
                _draw(axes, found[kind], top + i * step, mark)
        if row.claimed:
            axes.annotate(
                "", (row.claimed[1], top), (row.claimed[0], top),
                arrowprops={"arrowstyle": "->", "color": "0.45", "lw": 1.4, "ls": "--"},
            )  # fmt: skip
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.tick_params(axis="y", length=0)
    for place in range(1, len(rows)):
        axes.axhline(place - 0.5, color="0.9", lw=1, zorder=0)
    axes.axvline(CHANCE, color="0.6", ls=":", zorder=0)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlabel(
        "accuracy of the clone (lines: 95 % intervals; dotted: guessing; dashed: as reported)"
    )
    axes.set_xticks([i / 5 for i in range(6)], [percent(i / 5) for i in range(6)])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    handles = [
        axes.plot(
            [], [], mark.marker, color=mark.colour, label=mark.label,
            mfc="none" if mark.hollow else mark.colour, ms=_size(mark),
        )[0]
        for mark in MARKS.values()
    ]  # fmt: skip
    canvas.legend(
        handles=handles, loc="lower center", ncols=len(MARKS) // 2, frameon=False,
        handletextpad=0.3, columnspacing=1.2,
    )  # fmt: skip
    canvas.tight_layout(rect=(0, 0.07, 0.99, 1))
    return Picture(canvas, _alt(rows))


def _draw(axes: Axes, value: Interval, place: float, mark: Mark) -> None:
    axes.errorbar(
        value.mean, place, xerr=[[value.mean - value.low], [value.high - value.mean]],
        fmt=mark.marker, color=mark.colour, mfc="none" if mark.hollow else mark.colour,
        ms=_size(mark), elinewidth=1.2, zorder=3,
    )  # fmt: skip


def _size(mark: Mark) -> int:
    return 8 if mark.marker == "*" else 6


def _alt(rows: list[Row]) -> str:
    """One sentence for those who cannot see the picture: the table beside it has all numbers."""
    return f"The table as a chart: a mark for each thief, behind {len(rows)} defences"
