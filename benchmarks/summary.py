"""README's table and figure: what each demo claimed, what its method gives, what ours gives.

Made of stored results by ``results.py``; nothing is measured here.
"""

from __future__ import annotations

from typing import NamedTuple

import demo_a
import demo_b
import thieves_by_defense as course
from kept import RESULTS, ROOT, Found, markdown, short, spelled, stored
from matplotlib.figure import Figure

from trickster.evaluation import Interval, bootstrap_interval
from trickster.plots import COLOURS, Picture

README = ROOT / "README.md"
FIGURE = RESULTS / "summary.png"
HOLLOW = 8  # a hollow mark's size: it stays visible around a closed one
BEGIN, END = "<!-- measured: -->", "<!-- :measured -->"


class Row(NamedTuple):
    """A method: the clone without and with it, against its best thief, and who pays."""

    name: str
    claimed: tuple[float, float] | None
    before: Interval
    after: Interval
    worst: tuple[str, Interval]  # the best thief who has nothing real
    real: tuple[str, Interval, Interval] | None  # the best one who has, without and with it
    honest: tuple[float, float] | None


def rows() -> list[Row]:
    """One for each demo, and two of the course; those whose part is not measured are left out."""
    parts = ((demo_a, _demo_a), (demo_b, _demo_b), (course, _course))
    return [row for part, make in parts if (found := stored(part)) for row in make(found)]


def _demo_a(found: Found) -> list[Row]:
    def stolen(condition: str, learns: str) -> Interval:
        return bootstrap_interval(
            r["accuracy"] for job, r in found if job[:2] == (condition, learns)
        )

    noisy = "noise on 38 %"
    claimed = tuple(float(demo_a.PUBLISHED[c, demo_a.LOGITS]) for c in ("no defence", noisy))
    honest = {job[0]: r["accuracy"] for job, r in found if job[1] == "honest users"}
    made = []
    for name, condition in (
        ("Demo A: zero-mean noise", noisy),
        ("This course: Trickster, demo A's theft", "Trickster"),
    ):
        worst = max(demo_a.LEARNS, key=lambda learns: stolen(condition, learns).mean)
        made.append(
            Row(
                name,
                claimed if condition == noisy else None,
                stolen("no defence", demo_a.LOGITS),
                stolen(condition, demo_a.LOGITS),
                (f"learns from {worst}", stolen(condition, worst)),
                None,
                # The noise's detector is granted.
                None if condition == noisy else (honest["no defence"], honest[condition]),
            )
        )
    return made


def _demo_b(found: Found) -> list[Row]:
    def mean(condition: str, what: str = "clone_accuracy") -> Interval:
        return bootstrap_interval(result[what] for job, result in found if job[0] == condition)

    many = "all five, against 30 accounts that ask 15 times"
    return [
        Row(
            "Demo B: five mechanisms",
            (float(demo_b.PUBLISHED["no defence"]), float(demo_b.PUBLISHED["all five"])),
            mean("no defence"),
            mean("all five"),
            ("has 30 accounts, asks 15 times", mean(many)),
            (
                "300 real digits",
                mean("no defence, against 300 real digits"),
                mean("all five, against 300 real digits"),
            ),
            (
                mean("no defence", "honest_accuracy").mean,
                mean("all five", "honest_accuracy").mean,
            ),
        )
    ]


def _course(found: Found) -> list[Row]:
    def stolen(thief: str, behind: str) -> Interval:
        return bootstrap_interval(course.values(found, thief, behind, "accuracy"))

    made = []
    for defense, name in (
        ("Trickster", "This course: Trickster (lab 3)"),
        ("layered", "This course: layered stack (lab 4)"),
    ):
        worst = max(course.WITHOUT_REAL, key=lambda thief: stolen(thief, defense).mean)
        real = max(course.WITH_REAL, key=lambda thief: stolen(thief, defense).mean)
        honest = (
            course.values(found, "honest users", d, "utility")[0][0] for d in ("none", defense)
        )
        made.append(
            Row(
                name,
                None,
                stolen("soft", "none"),
                stolen("soft", defense),
                (f"{worst} thief", stolen(worst, defense)),
                (course.WITH_REAL[real], stolen(real, "none"), stolen(real, defense)),
                tuple(honest),
            )
        )
    return made


def table(found: list[Row]) -> str:
    """Markdown: the clone's accuracy and the honest users', before and after."""

    def arrow(before: float, after: float) -> str:
        return f"{short(before)} → {short(after)}"

    def spread(one: Interval) -> str:
        return spelled(*one[:3])

    head = (
        "", "clone, as claimed (one run)", "clone, over seeds", "seeds",
        "defended, best thief without real pictures", "best thief with real ones",
        "honest users",
    )  # fmt: skip
    lines = [
        (
            row.name,
            arrow(*row.claimed) if row.claimed else "",
            f"{spread(row.before)} → {spread(row.after)}",
            row.before.n,
            f"{spread(row.worst[1])}: {row.worst[0]}",
            f"{short(row.real[1].mean)} → {spread(row.real[2])}: {row.real[0]}"
            if row.real
            else "not measured",
            arrow(*row.honest) if row.honest else "none lost (granted)",
        )
        for row in found
    ]
    return markdown(head, lines)


def figure(found: list[Row]) -> Picture:
    """Each clone as claimed, as measured, and of the best thief, beside what honest users pay."""
    canvas = Figure(figsize=(9, 0.8 * len(found) + 1.5))
    left, right = canvas.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    lift = 0.24

    def dumbbell(height: float, before: float, after: float, colour: str, dash: str = "-") -> None:
        left.annotate(
            "", (after, height), (before, height),
            arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.6, "ls": dash,
                        "shrinkA": 3, "shrinkB": 3},
        )  # fmt: skip

    def dot(height: float, one: Interval, marker: str, colour: str, hollow: bool = False) -> None:
        left.errorbar(
            one.mean, height, fmt=marker, ms=HOLLOW if hollow else 6, color=colour, zorder=3,
            mfc="none" if hollow else colour, xerr=[[one.mean - one.low], [one.high - one.mean]],
        )  # fmt: skip

    def claim(value: float) -> Interval:
        return Interval(value, value, value, 1)

    for i, row in enumerate(found):
        if row.claimed:
            dumbbell(-i + lift, *row.claimed, "0.55", "--")
            dot(-i + lift, claim(row.claimed[0]), "o", "0.55", hollow=True)
            dot(-i + lift, claim(row.claimed[1]), "s", "0.55")
        dumbbell(-i, row.before.mean, row.after.mean, COLOURS[0])
        dot(-i, row.after, "s", COLOURS[0])
        dot(-i, row.before, "o", COLOURS[0], hollow=True)
        dot(-i - lift, row.worst[1], "D", COLOURS[1])
        if row.real:
            dumbbell(-i - lift, row.real[1].mean, row.real[2].mean, COLOURS[2])
            dot(-i - lift, row.real[2], "^", COLOURS[2])
            dot(-i - lift, row.real[1], "o", COLOURS[2], hollow=True)
        else:
            left.annotate(
                "no thief with real pictures measured", (0.99, -i - lift), ha="right", va="center",
                color=COLOURS[2], size=8,
            )  # fmt: skip
        lost = row.honest[0] - row.honest[1] if row.honest else 0.0
        right.barh(-i, lost, height=0.3, color="0.4")
        right.annotate(
            short(lost) if row.honest else "0 (granted)", (lost, -i), (4, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    handles = [
        left.plot([], [], "o", color="0.3", mfc="none", ms=HOLLOW, ls="", label="undefended")[0],
        left.plot([], [], "s", color="0.55", ls="--", label="defended, as claimed (one run)")[0],
        left.plot([], [], "s", color=COLOURS[0], label="defended, over seeds")[0],
        left.plot([], [], "D", color=COLOURS[1], ls="", label="best thief without real pictures")[
            0
        ],
        left.plot([], [], "^", color=COLOURS[2], ls="", label="best thief with real pictures")[0],
    ]
    left.axvline(0.1, color="0.6", ls=":", zorder=0)
    left.annotate("chance", (0.1, 0.5), (3, -9), textcoords="offset points", color="0.4", size=8)
    left.set(
        title="accuracy of the clone, 95 % intervals", xlim=(0, 1), ylim=(0.6 - len(found), 0.5)
    )
    left.set_yticks(
        [-i for i in range(len(found))], [row.name.replace(": ", ":\n") for row in found]
    )
    right.set(title="accuracy honest users lose", xlim=(0, 0.08))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    canvas.tight_layout(rect=(0, 0.14, 1, 1))
    canvas.legend(handles=handles, loc="lower center", ncols=3, frameon=False)
    said = "; ".join(f"{row.name}: {', '.join(_words(row))}" for row in found)
    return Picture(canvas, f"Accuracy of the clone, undefended and defended. {said}.")


def _words(row: Row) -> list[str]:
    """The row for those who cannot see the figure."""
    words = [f"measured {short(row.before.mean)} to {short(row.after.mean)}"]
    if row.claimed:
        words.insert(0, f"claimed {short(row.claimed[0])} to {short(row.claimed[1])}")
    words.append(f"against the best thief without real pictures {short(row.worst[1].mean)}")
    if row.real:
        words.append(
            f"against the best with real pictures {short(row.real[1].mean)} to "
            f"{short(row.real[2].mean)}"
        )
    if row.honest:
        words.append(f"honest users {short(row.honest[0])} to {short(row.honest[1])}")
    return words


def readme(text: str) -> str:
    """README with its table and figure as the stored results say."""
    found = rows()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    picture = FIGURE.relative_to(ROOT).as_posix()
    body = f"{table(found)}\n\n![{figure(found).alt}]({picture})"
    return f"{head}{BEGIN}\n{body}\n{END}{tail}"


def write() -> None:
    """README and the figure; nothing where no part is measured."""
    if not rows():
        return
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    figure(rows()).save(FIGURE, dpi=100)
