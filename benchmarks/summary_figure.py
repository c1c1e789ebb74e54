"""README's picture: the rows of ``summary``, each clone's accuracy without and with the defence."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.formatting import plural
from benchmarks.summary import Row, arrow, percent
from trickster.evaluation import Interval
from trickster.plots import COLOURS, Picture

CLAIM = "0.45"
CHANCE = 0.1  # of ten classes
TITLE, LINE, GAP = 1.1, 1.0, 0.5  # heights, in lines of text


class Line(NamedTuple):
    """One clone: who made it, and its accuracy without and with the defence."""

    label: str
    colour: str
    before: Interval | None
    after: Interval
    dashed: bool = False


def lines(row: Row) -> list[Line]:
    """The claim, the same theft measured, and the best thieves."""
    found = []
    if row.claimed:
        before, after = (Interval(value, value, value, 1) for value in row.claimed)
        found.append(Line("claimed, 1 run", CLAIM, before, after, dashed=True))
    measured = f"measured, {plural(row.before.n, 'seed')}"
    found.append(Line(measured, COLOURS[0], row.before, row.after))
    if row.best:
        found.append(Line(f"thief with {row.best.name}", COLOURS[1], None, row.best.after))
    if real := row.best_with_real:
        found.append(Line(f"thief with {real.name}", COLOURS[1], real.before, real.after))
    return found


def figure(rows: list[Row]) -> Picture:
    """Every clone on a line of its own, its figures beside it, under the name of the defence."""
    height = sum(TITLE + len(lines(row)) * LINE + GAP for row in rows)
    canvas = Figure(figsize=(9, 0.25 * height + 1.0))
    axes = canvas.subplots()
    place, ticks = 0.0, []
    for row in rows:
        price = (
            f"honest users lose {100 * row.lost:.1f} points"
            if row.honest
            else "honest users are assumed to lose nothing"
        )
        across = axes.get_yaxis_transform()
        axes.text(
            0, place, row.name, transform=across, va="center", weight="bold",
            bbox={"color": "white", "pad": 1},
        )  # fmt: skip
        axes.text(1, place, price, transform=across, va="center", ha="right", color="0.3")
        place -= TITLE
        for line in lines(row):
            _draw(axes, place, line)
            ticks.append((place, line.label))
            place -= LINE
        place -= GAP
    axes.set_yticks([at for at, _ in ticks], [label for _, label in ticks])
    axes.tick_params(axis="y", length=0)
    axes.axvline(CHANCE, color="0.6", ls=":", zorder=0)
    axes.annotate("guessing", (CHANCE, place + GAP), (4, 0), textcoords="offset points",
                  color="0.4", size=9, va="bottom")  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(place + GAP, 0.8), xlabel="accuracy of the clone")
    axes.set_xticks([i / 5 for i in range(6)], [percent(i / 5) for i in range(6)])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    _add_legend(canvas, axes)
    canvas.tight_layout(rect=(0, 0.05, 0.99, 1))
    return Picture(canvas, _alt(rows))


def _draw(axes: Axes, place: float, line: Line) -> None:
    if line.before:
        axes.annotate(
            "", (line.after.mean, place), (line.before.mean, place),
            arrowprops={"arrowstyle": "->", "color": line.colour, "lw": 1.6,
                        "ls": "--" if line.dashed else "-", "shrinkA": 4, "shrinkB": 3},
        )  # fmt: skip
        _mark(axes, place, line.before, "o", line.colour, hollow=True)
    _mark(axes, place, line.after, "s", line.colour)
    ends = [line.after, *([line.before] if line.before else [])]
    axes.annotate(
        arrow(line.before.mean, line.after.mean) if line.before else percent(line.after.mean),
        (max(end.high for end in ends), place), (9, 0), textcoords="offset points", va="center",
        color=line.colour,
    )  # fmt: skip


def _mark(
    axes: Axes, place: float, value: Interval, marker: str, colour: str, hollow: bool = False
) -> None:
    """A hollow mark is larger: it stays visible around a closed one."""
    axes.errorbar(
        value.mean, place, xerr=[[value.mean - value.low], [value.high - value.mean]],
        fmt=marker, color=colour, mfc="none" if hollow else colour, ms=9 if hollow else 6, zorder=3,
    )  # fmt: skip


def _add_legend(canvas: Figure, axes: Axes) -> None:
    grey = "0.3"
    handles = [
        axes.plot([], [], "o", color=grey, mfc="none", ms=9, label="undefended")[0],
        axes.plot([], [], "s", color=grey, label="defended")[0],
        axes.plot([], [], "-", color=grey, label="95 % interval of the mean")[0],
    ]
    canvas.legend(handles=handles, loc="lower center", ncols=3, frameon=False)


def _alt(rows: list[Row]) -> str:
    """Two sentences for those who cannot see the picture."""
    drops = "; ".join(
        f"{row.name.removeprefix('This course: ')} {arrow(row.before.mean, row.after.mean)}"
        for row in rows
    )
    return (
        f"Accuracy of the clone, undefended to defended, as measured: {drops}. The table has the "
        "same figures, beside what was claimed, the best thieves, and what honest users lose."
    )
