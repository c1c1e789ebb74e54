"""Every figure of the labs: readable without colour, each with alternative text.

Each function returns a :class:`Picture`; as the last line of a cell it is shown.
Lines differ by marker and dash, bars by hatching; the colours are Okabe and Ito's.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from trickster.evaluation import Interval, confidence_bins
from trickster.picture import (
    COLOURS,
    HATCHES,
    Picture,
    as_image,
    line_style,
    new_axes,
    strip,
)

FEW = 20  # answers in a bin, below which their accuracy says little


def pictures(
    x: np.ndarray, captions: Sequence[str] | None = None, *, columns: int = 10, title: str = ""
) -> Picture:
    """A contact sheet of pictures ``(n, c, h, w)`` in [0, 1], with a caption under each."""
    rows = -(-len(x) // columns)
    height = rows * (1.2 if captions else 0.95) + 0.3 * bool(title)
    figure = Figure(figsize=(columns * 0.95, height))
    for i, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        axes.axis("off")
        if i < len(x):
            axes.imshow(as_image(x[i]), cmap="gray", vmin=0, vmax=1)
            if captions:
                axes.set_title(captions[i], fontsize=9, y=-0.34)
    if title:
        figure.suptitle(title, fontsize=11)
    what = title or "Contact sheet"
    words = f": {', '.join(dict.fromkeys(captions))}" if captions else ""
    return Picture(figure, f"{what}. {len(x)} pictures{words}.")


def contact_rows(rows: Mapping[str, np.ndarray], *, columns: int = 10, title: str = "") -> Picture:
    """One labelled row of pictures for each entry: what the query pools look like."""
    figure = Figure(figsize=(columns * 0.8, len(rows) * 0.85 + 0.4))
    lines = figure.subplots(len(rows), squeeze=False)[:, 0]
    for axes, (name, x) in zip(lines, rows.items(), strict=True):
        axes.imshow(strip(x[:columns], columns), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    figure.suptitle(title, fontsize=11)
    return Picture(figure, f"{title}. One row each of: {'; '.join(rows)}.")


def answers(
    x: np.ndarray,
    posteriors: np.ndarray,
    classes: Sequence[str],
    captions: Sequence[str],
    *,
    title: str = "",
) -> Picture:
    """Each picture ``(n, c, h, w)`` beside a bar for each class of its ``posteriors (n, k)``."""
    height = 2.1 * len(x)
    figure = Figure(figsize=(7.5, height))
    room = {"top": 1 - 0.55 / height, "bottom": 0.4 / height, "hspace": 0.36, "wspace": 0.4}
    room |= {"left": 0.02, "right": 0.98, "width_ratios": [1, 2.4]}
    grid = figure.subplots(len(x), 2, squeeze=False, gridspec_kw=room)
    readings = []
    for (left, right), picture, row, caption in zip(grid, x, posteriors, captions, strict=True):
        left.imshow(as_image(picture), cmap="gray", vmin=0, vmax=1)
        left.axis("off")
        left.set_title(caption, fontsize=10)
        at = np.arange(len(row))
        right.barh(at, row, color=[COLOURS[int(i == row.argmax())] for i in at])
        right.set_yticks(at, classes, fontsize=9)
        right.set(xlim=(0, 1.12), ylim=(len(row) - 0.4, -0.6))
        right.spines[["top", "right"]].set_visible(False)
        right.tick_params(labelbottom=right is grid[-1, 1])
        for i in at[row >= 0.005]:
            right.text(row[i] + 0.01, i, f"{row[i]:.2f}", fontsize=9, va="center")
        seen = [i for i in np.argsort(-row) if row[i] >= 0.005]
        readings.append(f"{caption}: " + ", ".join(f"{classes[i]} {row[i]:.2f}" for i in seen))
    right.set_xlabel("probability")
    figure.suptitle(title, fontsize=11)
    return Picture(figure, f"{title}. {'; '.join(readings)}.")


def boundaries(
    victim: Callable[[np.ndarray], np.ndarray],
    clones: Mapping[str, tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]],
    *,
    title: str = "",
) -> Picture:
    """A panel for each clone: its decision boundary, the victim's, and what it asked about.

    ``victim`` and the clones are functions from queries of two numbers in [0, 1], shaped as
    pictures ``(n, 1, 1, 2)``, to posteriors ``(n, 2)``. ``clones`` maps a name to a clone and the
    queries that it has learnt from. Where clone and victim disagree, the panel is shaded.
    """
    ticks = np.linspace(0, 1, 101, dtype=np.float32)
    places = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 1, 1, 2)
    truth = victim(places)[:, 1].reshape(101, 101)
    side = 2.6 if len(clones) > 1 else 4.4
    figure = Figure(figsize=(side * len(clones), side + 0.4))
    row = figure.subplots(1, len(clones), squeeze=False, gridspec_kw={"wspace": 0.06})[0]
    readings = []
    for axes, (name, (clone, queries)) in zip(row, clones.items(), strict=True):
        copied = clone(places)[:, 1].reshape(101, 101)
        wrong = (copied > 0.5) != (truth > 0.5)
        axes.contourf(ticks, ticks, wrong, levels=[0.5, 1], colors=[COLOURS[4]], alpha=0.45)
        half = {"levels": [0.5], "linewidths": 2}
        axes.contour(ticks, ticks, truth, colors="black", **half)
        axes.contour(ticks, ticks, copied, colors=COLOURS[1], linestyles="--", **half)
        labels = victim(queries).argmax(axis=1)
        for label, marker in enumerate("ox"):
            at = queries[labels == label][:, 0, 0].T
            axes.scatter(*at, s=9, marker=marker, color=COLOURS[0], alpha=0.5, linewidths=0.8)
        agreement = 1 - wrong.mean()
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
        axes.set_title(f"{name}\nagrees on {agreement:.1%}", fontsize=10)
        readings.append(f"{name} {agreement:.1%}")
    keys = [
        Line2D([], [], color="black", linewidth=2, label="the victim's boundary"),
        Line2D([], [], color=COLOURS[1], linestyle="--", linewidth=2, label="the clone's"),
        Patch(color=COLOURS[4], alpha=0.45, label="they disagree"),
        *(
            Line2D([], [], color=COLOURS[0], marker=marker, linestyle="", label=f"answered {name}")
            for marker, name in (("o", "circle"), ("x", "cross"))
        ),
    ]
    columns = len(keys) if len(clones) > 2 else 2
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.12)}
    figure.legend(handles=keys, ncols=columns, frameon=False, **below)
    figure.suptitle(title, fontsize=11, y=1.05 if len(clones) > 1 else 0.99)
    return Picture(figure, f"{title}. Agreement of clone and victim: {', '.join(readings)}.")


def losses(
    values: Sequence[float], held_out: Sequence[float] | None = None, *, title: str = "Loss"
) -> Picture:
    """Mean training loss of each epoch and, where it was measured, the held-out loss after it."""
    figure, axes = new_axes(title, "epoch", "cross-entropy")
    lines = {"training loss": values} | ({} if held_out is None else {"held-out loss": held_out})
    readings = []
    for i, (name, line) in enumerate(lines.items()):
        axes.plot(range(1, len(line) + 1), line, label=name, **line_style(i))
        readings.append(
            f"{name} from {line[0]:.2f} in the first epoch to {line[-1]:.2f} in epoch {len(line)}"
        )
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return Picture(figure, f"{title}: {'; '.join(readings)}.")


def reliability(
    posteriors: np.ndarray, y: np.ndarray, *, bins: int = 15, title: str = "Reliability"
) -> Picture:
    """Accuracy against confidence in ``bins`` equal bins, and how many answers each bin holds.

    A model is calibrated where the line is on the diagonal; the bars are the 95 % sampling error.
    Bins of fewer than ``FEW`` answers are hollow points: their accuracy is mostly chance.
    """
    confidence = posteriors.max(axis=1)
    right = posteriors.argmax(axis=1) == y
    bin_of = confidence_bins(posteriors, bins)
    count = np.bincount(bin_of, minlength=bins)
    seen = count > 0
    hit = np.bincount(bin_of, right, minlength=bins)[seen] / count[seen]
    mean = np.bincount(bin_of, confidence, minlength=bins)[seen] / count[seen]
    figure, axes = new_axes(title, "", "accuracy", size=(6, 4.8), below=0.45)
    below = figure.axes[1]
    axes.plot([0, 1], [0, 1], color="0.5", linestyle=":", label="calibrated")
    few = count[seen] < FEW
    error = 1.96 * np.sqrt(hit * (1 - hit) / count[seen])
    dot = {"marker": "o", "color": COLOURS[0]}
    axes.errorbar(mean[~few], hit[~few], error[~few], label="measured (bars: 95 %)", **dot)
    if few.any():
        dot |= {"linestyle": "", "fillstyle": "none", "label": f"fewer than {FEW} answers"}
        axes.plot(mean[few], hit[few], **dot)
    axes.set(ylim=(-0.05, 1.05))
    axes.legend(frameon=False)
    centres = (np.arange(bins) + 0.5) / bins
    drawn = below.bar(centres[seen], count[seen], 0.9 / bins, color=COLOURS[0])
    below.bar_label(drawn, fmt="{:,.0f}", padding=2, fontsize=8)
    below.set(xlabel="confidence (largest probability)", ylabel="answers", xlim=(-0.02, 1.02))
    below.set_ylim(top=1.25 * count.max())
    below.yaxis.set_major_formatter("{x:,.0f}")
    gap = max((mean - hit)[~few] if not few.all() else mean - hit, key=abs)
    numbers = ", ".join(f"{m:.2f}: {n:,}" for m, n in zip(mean, count[seen], strict=True))
    return Picture(
        figure,
        f"{title}: accuracy against confidence in {seen.sum()} bins. The largest gap, confidence "
        f"minus accuracy, is {gap:+.2f}. Answers by mean confidence of the bin: {numbers}.",
    )


def curves(
    lines: Mapping[str, Mapping[float, Interval]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    log_x: bool = False,
    log_y: bool = False,
    marks: Mapping[str, float] | None = None,
    numbered: Sequence[float] = (),
    ticks: Mapping[float, str] | None = None,
    apart: float = 1.0,
    paired: bool = False,
) -> Picture:
    """One line for each name through its means, with intervals as bars.

    ``lines`` maps a name to ``{x: Interval}``; ``marks`` draws labelled level lines; the means at
    ``numbered`` xs are written beside their points; on a log axis, ``ticks`` names xs. Each line is
    drawn at ``apart`` times the xs of the one before; ``paired``: each two share a colour.
    """
    figure, axes = new_axes(title, xlabel, ylabel)
    axes.set_yscale("log" if log_y else "linear")
    readings, digits, named = [], ".2g" if log_y else ".2f", ticks or {}
    for i, (name, points) in enumerate(lines.items()):
        xs = sorted(points)
        mean = np.array([points[x].mean for x in xs])
        bars = [mean - [points[x].low for x in xs], [points[x].high for x in xs] - mean]
        bars = np.where(np.isfinite(bars), bars, 0)
        at = np.array(xs) * apart ** (i - (len(lines) - 1) / 2)
        axes.errorbar(at, mean, yerr=bars, label=name, capsize=3, **line_style(i, paired))
        first, last = (f"{mean[j]:{digits}} at {named.get(xs[j], f'{xs[j]:g}')}" for j in (0, -1))
        readings.append(f"{name} from {first} to {last}")
        for x in sorted(set(numbered) & set(xs)):
            told, side = f"{points[x].mean:{digits}} at {x:g}", {"xytext": (-8, -4), "ha": "right"}
            axes.annotate(told, (x, points[x].mean), **side, textcoords="offset points")
    for name, level in (marks or {}).items():
        axes.axhline(level, color="0.4", linestyle=":", linewidth=1)
        # Beside the axes, in their own units: a place in data units gets lost on a log axis.
        axes.text(1.01, level, name, fontsize=9, va="center", transform=axes.get_yaxis_transform())
    if log_x:
        axes.set_xscale("log")
        xs = sorted({x for points in lines.values() for x in points})
        axes.set_xticks(xs, [textwrap.fill(named.get(x, f"{x:,g}"), 10) for x in xs])
        axes.minorticks_off()
    if len(lines) > 1:
        axes.legend(frameon=False)
    return Picture(figure, f"{title}: {'; '.join(readings)}.{_marked(marks)}")


def bars(
    groups: Mapping[str, Mapping[str, Interval]],
    *,
    title: str,
    ylabel: str,
    chance: float | None = None,
    numbered: bool = False,
) -> Picture:
    """Grouped bars with intervals: ``{series: {category: Interval}}``; ``numbered``: with means.

    The first series has all categories. One called "" is not in the legend, as suits a single one.
    """
    categories = list(next(iter(groups.values())))
    by = [[name for name in groups if c in groups[name]] for c in categories]
    width, readings = 0.8 / len(groups), []
    figure, axes = new_axes(title, "", ylabel, size=(1.4 * len(categories) + 2, 3.6))
    for i, (name, values) in enumerate(groups.items()):
        there = [c for c in categories if c in values]
        at = [j + (n.index(name) - (len(n) - 1) / 2) * width for j, n in enumerate(by) if name in n]
        mean = np.array([values[c].mean for c in there])
        error = [mean - [values[c].low for c in there], [values[c].high for c in there] - mean]
        drawn = axes.bar(
            at, mean, width, yerr=np.where(np.isfinite(error), error, np.nan), capsize=3,
            label=name, color=COLOURS[i % len(COLOURS)], hatch=HATCHES[i % len(HATCHES)],
            edgecolor="white", ecolor="0.2")  # fmt: skip
        if numbered:
            axes.bar_label(drawn, [f"{m:.2f}".lstrip("0") for m in mean], fontsize=8, padding=2)
            axes.margins(y=0.1)  # no number touches the title
        heights = ", ".join(f"{c} {m:.2f}" for c, m in zip(there, mean, strict=True))
        readings.append(f"{name}: {heights}" if name else heights)
    axes.set_xticks(range(len(categories)), [textwrap.fill(c, 15) for c in categories])
    if chance is not None:
        axes.axhline(chance, color="0.4", linestyle=":", linewidth=1, label="chance")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # never over a bar
    marked = _marked(chance and {"chance": chance})
    return Picture(figure, f"{title} ({ylabel}). {'; '.join(readings)}.{marked}")


def dots(
    series: Mapping[str, Sequence[float]],
    *,
    title: str,
    xlabel: str,
    marks: Mapping[str, float] | None = None,
) -> Picture:
    """One row of dots for each series: a dot for each run and, of several, a line at the mean."""
    figure, axes = new_axes(title, xlabel, "", size=(7, 0.6 * len(series) + 1.4))
    readings = []
    for i, (name, values) in enumerate(series.items()):
        values = np.asarray(values, dtype=float)
        several = len(values) > 1
        spread = np.linspace(-0.18, 0.18, len(values)) if several else [0]
        style = {key: look for key, look in line_style(i).items() if key != "linestyle"}
        axes.scatter(values, -i + np.asarray(spread), s=22, **style)
        if several:
            axes.plot([values.mean()] * 2, [-i - 0.3, -i + 0.3], color="0.2", linewidth=1.5)
        mean, ends = f"{values.mean():.2f}", f"from {values.min():.2f} to {values.max():.2f}"
        readings.append(f"{name}: mean {mean}, {ends}" if several else f"{name}: {mean}")
    named, end, above, top = sorted((marks or {}).items(), key=lambda one: one[1]), -np.inf, 0, 0.45
    for _, x in named:
        axes.axvline(x, color="0.4", linestyle=":", linewidth=1)
    low, high = axes.get_xlim()
    for name, x in named:
        side = "left" if x < (low + high) / 2 else "right"  # of the text lies at the line
        width = 0.0125 * (high - low) * len(f" {name} ")  # no less than it takes
        left = x if side == "left" else x - width
        above = above + 0.3 if left < end else 0  # not over the name before
        end, top = max(end, left + width), max(top, 0.45 + above)
        axes.text(x, 0.45 + above, f" {name} ", fontsize=9, va="bottom", ha=side)
    axes.set_yticks([-i for i in range(len(series))], list(series))
    axes.set_ylim(-len(series) + 0.5, top + 0.35)
    return Picture(figure, f"{title}. {'; '.join(readings)}.{_marked(marks)}")


def histograms(
    series: Mapping[str, np.ndarray],
    *,
    title: str,
    xlabel: str,
    bins: int = 40,
    marks: Mapping[str, float] | None = None,
) -> Picture:
    """One outline for each group of values ``(n,)``: how far two score distributions overlap."""
    figure, axes = new_axes(title, xlabel, "share of the group")
    values = {name: np.asarray(group, dtype=float) for name, group in series.items()}
    low, high = np.quantile(np.concatenate(list(values.values())), [0.002, 1])
    edges = np.linspace(low, high, bins + 1)
    for i, (name, group) in enumerate(values.items()):
        style = {key: look for key, look in line_style(i).items() if key != "marker"}
        share = np.histogram(np.clip(group, low, high), edges)[0] / len(group)
        axes.stairs(share, edges, label=name, linewidth=1.5, **style)
    for name, at in (marks or {}).items():
        axes.axvline(at, color="0.4", linestyle=":", linewidth=1.5, label=name)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # never over a line
    medians = ", ".join(f"{name} {np.median(group):.2f}" for name, group in values.items())
    return Picture(figure, f"{title} ({xlabel}). Medians: {medians}.{_marked(marks)}")


def spectrum(
    series: Mapping[str, np.ndarray], *, title: str, marks: Mapping[str, float] | None = None
) -> Picture:
    """Singular values ``(m,)``, largest first, on a log axis: where they fall off a cliff.

    ``marks`` draws labelled lines after this many values.
    """
    figure, axes = new_axes(title, "rank", "singular value")
    readings = []
    for i, (name, group) in enumerate(series.items()):
        values = np.asarray(group, dtype=float)
        values = values[values > 0]
        style = {"markevery": 5, "markersize": 4} | line_style(i)
        axes.plot(range(1, len(values) + 1), values, label=name, **style)
        drops = values[1:-1] / values[2:]
        rank = int(drops.argmax())
        readings.append(f"{name}: the largest drop, {drops[rank]:.3g} times, after {rank + 2}")
    inside = {"va": "top", "transform": axes.get_xaxis_transform()}
    for name, at in (marks or {}).items():
        axes.axvline(at + 0.5, color="0.4", linestyle=":", linewidth=1)
        axes.text(at + 0.5, 1, f" {name}", fontsize=9, **inside)
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return Picture(figure, f"{title}. {'; '.join(readings)}.{_marked(marks)}")


def bent_line(t: np.ndarray, values: np.ndarray, kinks: Sequence[float], *, title: str) -> Picture:
    """Values ``(m,)`` of a piecewise linear function at positions ``t (m,)``, above its slope."""
    figure = Figure(figsize=(6, 5))
    above, below = figure.subplots(2, sharex=True)
    above.set(title=title, ylabel="answer")
    below.set(xlabel="position on the line", ylabel="slope")
    above.plot(t, values, color=COLOURS[0])
    below.step(t[:-1], np.diff(values) / np.diff(t), where="post", color=COLOURS[0])
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        for i, kink in enumerate(kinks):
            label = "kinks" if i == 0 and axes is above else None
            axes.axvline(kink, color=COLOURS[1], linestyle=":", linewidth=1, label=label)
    above.legend(frameon=False)
    listed = ", ".join(f"{at:.2f}" for at in kinks)
    return Picture(figure, f"{title}. {len(kinks)} kinks, at {listed}.")


def frontier(
    points: Mapping[str, tuple[Interval, Interval]],
    *,
    title: str,
    chosen: str | None = None,
    xlabel: str = "utility (honest users' accuracy)",
    ylabel: str = "fidelity of the clone",
    limit: float | None = None,
) -> Picture:
    """Named points with intervals both ways, joined in their order; ``chosen`` gets a ring.

    A dotted line is drawn where x is at its ``limit``.
    """
    figure, axes = new_axes(title, xlabel, ylabel)
    spans = np.array([[(p.mean, p.low, p.high) for p in pair] for pair in points.values()])
    (xs, ys), low, high = spans.transpose(2, 1, 0)
    errors = np.stack([[xs, ys] - low, high - [xs, ys]], axis=1)
    xerr, yerr = np.where(np.isfinite(errors), errors, 0)
    axes.errorbar(xs, ys, xerr=xerr, yerr=yerr, capsize=3, **line_style(0))
    if limit is not None:
        axes.axvline(limit, color="0.4", linestyle=":", linewidth=1.5, label=f"limit: {limit:g}")
        axes.legend(frameon=False)
    axes.set_ylim(bottom=0)
    # Names stand behind the bars, and apart from each other where points lie close together.
    lowest = -np.inf
    for name, x, y in sorted(zip(points, xs, ys, strict=True), key=lambda point: point[2]):
        lowest = max(y, lowest + 0.05 * axes.get_ylim()[1])
        text = f"{name}, chosen" if name == chosen else name
        end = x + xerr[1][list(points).index(name)]
        axes.annotate(
            text, (end, lowest), (6, 0), textcoords="offset points", va="center", fontsize=9
        )
        if name == chosen:
            axes.plot(x, y, "o", markersize=14, fillstyle="none", color=COLOURS[1])
    across = xlabel.partition(" (")[0]
    readings = "; ".join(
        f"{n}: {across} {x:.3f}, fidelity {y:.2f}" for n, x, y in zip(points, xs, ys, strict=True)
    )
    ring = f" Chosen: {chosen}." if chosen else ""
    line = "" if limit is None else f" Limit: {limit:g}."
    return Picture(figure, f"{title}. {readings}.{ring}{line}")


def _marked(marks: Mapping[str, float] | None) -> str:
    """The part of an alternative text that reads the labelled level lines."""
    told = ", ".join(f"{name} at {at:.2f}" for name, at in (marks or {}).items())
    return f" Marked: {told}." if told else ""
