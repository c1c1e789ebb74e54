"""What each demo claimed, what its method gives here, and what the course's defences give.

README's table and RESULTS.md's longer one, made of stored results by ``results.py``; nothing is
measured here. ``summary_figure`` draws the same rows.
"""

from __future__ import annotations

from typing import NamedTuple

from benchmarks import demo_a, demo_b
from benchmarks import thieves_by_defense as course
from benchmarks.formatting import markdown_table, short, with_interval
from benchmarks.store import Results, stored_results
from trickster.evaluation import Interval, bootstrap_interval


class Thief(NamedTuple):
    """The most successful of several thieves against one defence."""

    name: str
    after: Interval
    before: Interval | None = None  # undefended, where that differs from the row's own thief


class Row(NamedTuple):
    """A defence: what was claimed of it, its own thief without and with it, and who pays."""

    name: str
    claimed: tuple[float, float] | None
    before: Interval
    after: Interval
    best: Thief | None  # of those without real pictures; None: the row's own thief
    best_with_real: Thief | None  # None: not measured
    honest: tuple[float, float] | None  # None: taken to lose nothing

    @property
    def lost(self) -> float:
        """Accuracy that the defence costs honest users."""
        return self.honest[0] - self.honest[1] if self.honest else 0.0


def rows() -> list[Row]:
    """One for each demo, and the course's; those whose part is not measured are left out."""
    parts = ((demo_a, _demo_a), (demo_b, _demo_b), (course, _course))
    return [
        row for part, make in parts if (results := stored_results(part)) for row in make(results)
    ]


def _demo_a(results: Results) -> list[Row]:
    def stolen(condition: str, learns: str) -> Interval:
        return bootstrap_interval(
            r["accuracy"] for job, r in results if job[:2] == (condition, learns)
        )

    noisy = "noise on 38 %"
    claimed = tuple(float(demo_a.PUBLISHED[c, demo_a.LOGITS]) for c in ("no defence", noisy))
    honest = {job[0]: r["accuracy"] for job, r in results if job[1] == "honest users"}
    made = []
    for name, condition in (
        ("Demo A: zero-mean noise", noisy),
        ("This course: Trickster on demo A's theft", "Trickster"),
    ):
        best = max(demo_a.LEARNS, key=lambda learns: stolen(condition, learns).mean)
        made.append(
            Row(
                name,
                claimed if condition == noisy else None,
                stolen("no defence", demo_a.LOGITS),
                stolen(condition, demo_a.LOGITS),
                None if best == demo_a.LOGITS else Thief(f"from {best}", stolen(condition, best)),
                None,
                # The noise's detector is granted.
                None if condition == noisy else (honest["no defence"], honest[condition]),
            )
        )
    return made


def _demo_b(results: Results) -> list[Row]:
    def mean(condition: str, what: str = "clone_accuracy") -> Interval:
        return bootstrap_interval(result[what] for job, result in results if job[0] == condition)

    many = "all five, against 30 accounts that ask 15 times"
    real = (f"{defense}, against 300 real digits" for defense in ("all five", "no defence"))
    honest = (mean(c, "honest_accuracy").mean for c in ("no defence", "all five"))
    return [
        Row(
            "Demo B: five mechanisms",
            (float(demo_b.PUBLISHED["no defence"]), float(demo_b.PUBLISHED["all five"])),
            mean("no defence"),
            mean("all five"),
            Thief("30 accounts", mean(many)),
            Thief("300 real digits", *map(mean, real)),
            tuple(honest),
        )
    ]


def _course(results: Results) -> list[Row]:
    def stolen(thief: str, behind: str) -> Interval:
        return bootstrap_interval(course.values(results, thief, behind, "accuracy"))

    names = {"Sybil": f"{course.ACCOUNTS} accounts"}
    made = []
    for defense, name in (
        ("Trickster", "This course: Trickster (lab 3)"),
        ("layered", "This course: layered stack (lab 4)"),
    ):
        best = max(course.WITHOUT_REAL, key=lambda thief: stolen(thief, defense).mean)
        real = max(course.WITH_REAL, key=lambda thief: stolen(thief, defense).mean)
        honest = (
            course.values(results, "honest users", d, "utility")[0][0] for d in ("none", defense)
        )
        made.append(
            Row(
                name,
                None,
                stolen("soft", "none"),
                stolen("soft", defense),
                None if best == "soft" else Thief(names.get(best, best), stolen(best, defense)),
                Thief(f"{course.REAL} real pictures", stolen(real, defense), stolen(real, "none")),
                tuple(honest),
            )
        )
    return made


def table(found: list[Row]) -> str:
    """README's table, in whole per cent, with a line that says how to read it."""
    head = ("Defence", "Claimed", "Measured", "Best thief we tried", "Honest users lose")
    lines = []
    for row in found:
        best = row.best or Thief("the same thief", row.after)
        thieves = [best, row.best_with_real] if row.best_with_real else [best]
        lines.append(
            (
                row.name,
                arrow(*row.claimed) if row.claimed else "",
                arrow(row.before.mean, row.after.mean),
                "; ".join(f"{percent(one.after.mean)} ({one.name})" for one in thieves),
                f"{100 * row.lost:.1f} points" if row.honest else "nothing (assumed)",
            )
        )
    seeds: dict[int, str] = {}
    for row in found:
        seeds.setdefault(row.before.n, row.name.partition(":")[0])
    means = ", ".join(f"{whose[0].lower()}{whose[1:]} {n}" for n, whose in seeds.items())
    return (
        markdown_table(head, lines, left=(0, 3))
        + "\n\nAccuracy of the thief's clone, undefended → defended. *Claimed* is a single run, "
        f"*measured* the mean over several seeds ({means}). *Best thief*: the most successful of "
        "several against the defence, without and with real pictures."
    )


def percent(share: float) -> str:
    """``44 %``."""
    return f"{100 * share:.0f} %"


def arrow(before: float, after: float) -> str:
    """``44 % → 25 %``."""
    return f"{percent(before)} → {percent(after)}"


def section(found: list[Row]) -> str:
    """The same for RESULTS.md, with the intervals and the number of seeds."""

    def spread(one: Interval) -> str:
        return with_interval(*one[:3])

    def successful(thief: Thief | None, otherwise: str) -> str:
        if thief is None:
            return otherwise
        before = f"{short(thief.before.mean)} → " if thief.before else ""
        return f"{before}{spread(thief.after)}: {thief.name}"

    head = (
        "", "clone, as claimed (one run)", "clone, over seeds", "seeds",
        "defended, best thief without real pictures", "best thief with real ones",
        "honest users",
    )  # fmt: skip
    lines = [
        (
            row.name,
            f"{short(row.claimed[0])} → {short(row.claimed[1])}" if row.claimed else "",
            f"{spread(row.before)} → {spread(row.after)}",
            row.before.n,
            successful(row.best, f"{spread(row.after)}: the same thief"),
            successful(row.best_with_real, "not measured"),
            f"{short(row.honest[0])} → {short(row.honest[1])}"
            if row.honest
            else "none lost (assumed)",
        )
        for row in found
    ]
    return (
        "README's table with its intervals. Each figure is an accuracy, of the clone or of honest "
        "users; an arrow goes from undefended to defended. *Over seeds* is the demo's own thief "
        "(demo A's also meets this course's Trickster), in the last two rows the soft thief. Demo "
        "B's 30 accounts ask each question 15 times; the course's thief with real pictures doubles "
        "them along the clone's gradient. What stands behind each row: "
        "[`docs/demos.md`](../docs/demos.md).\n\n" + markdown_table(head, lines)
    )
