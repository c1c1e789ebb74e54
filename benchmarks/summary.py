"""What each demo claimed, and what its defence and the course's take from every kind of thief.

README's table and RESULTS.md's longer one, made of stored results by ``results.py``; nothing is
measured here. ``summary_figure`` draws the same rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks import demo_a, demo_b, lies_by_query
from benchmarks import knowing_thieves as course
from benchmarks.course_defenses import BUDGET, FINER, REAL
from benchmarks.formatting import markdown_table, short, with_interval
from benchmarks.store import Results, stored_results
from trickster.evaluation import Interval, bootstrap_interval

CHANCE = 0.1  # of ten classes
NONE = "–"  # no such thief, or not measured
ONCE = "one run"
SAME = "the same"  # thief: knowing the defence does not help
# Whose pictures they send who do not send plain clothes.
SENDER = {thief: thief for thief in demo_a.CHANGING} | demo_a.ORACLES
# What README's readers, who do not know the thieves by their names, are told instead.
HOW = {
    demo_a.UNLIER: "turns lies back",
    demo_a.SMALL_LOSS: "leaves out unlikely answers",
    lies_by_query.WALKING: "asks along lines",
    lies_by_query.COPYING: "asks twice",
    lies_by_query.FAR: "asks about altered copies",
    lies_by_query.ELIMINATING: "asks about many copies",
    demo_a.BLENDING: "mixes in a real picture",
    demo_a.COLOURING: "mixes in colours",
}


class Thief(NamedTuple):
    """The most successful thief of a kind against one defence: accuracy of their clone."""

    name: str
    after: Interval
    before: Interval | None = None  # their own undefended, where they send other pictures

    @property
    def notes(self) -> str:
        """``blending, one run``: who it is, and whether that was tried only once."""
        return ", ".join(filter(None, (self.name, ONCE * (self.after.n == 1))))

    @property
    def explained(self) -> Thief:
        """The same, called by what they do."""
        return self._replace(name=HOW.get(self.name.removesuffix(" thief"), self.name))


class Row(NamedTuple):
    """A defence: what was claimed of it, who meets it, and who pays."""

    name: str
    whose: str  # theft it is measured on
    claimed: tuple[float, float] | None
    before: Interval  # undefended
    naive: Interval  # the thief who does not know the defence
    knows: Thief | None  # who knows it and lacks only its key
    oracle: Thief | None  # who is told which answers are lies
    real: Thief | None  # who owns some real pictures
    honest: tuple[float, float] | None  # None: taken to lose nothing
    honest_once: bool = False  # measured with one seed

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
    def stolen(condition: str, thief: str = demo_a.NAIVE) -> Interval:
        return bootstrap_interval(demo_a.values(results, condition, thief))

    def seeds(condition: str, thief: str) -> set[int]:
        return {job[2] for job, _ in results if job[:2] == (condition, thief)}

    none, noisy, ours = "no defence", "noise on 38 %", demo_a.TRICKSTER
    claimed = tuple(float(demo_a.PUBLISHED[condition]) for condition in (none, noisy))
    kept = (np.mean(demo_a.values(results, c, demo_a.HONEST)) for c in (none, ours))
    tried = [who for who in (demo_a.NAIVE, *demo_a.KNOWING) if who in demo_a.CONDITIONS[ours]]
    met = seeds(ours, demo_a.NAIVE)  # undefended the same thefts, to compare like with like
    same = [one for one in results if one[0][2] in met]

    def best(names: dict[str, str]) -> Thief:
        who = max(names, key=lambda thief: stolen(ours, thief).mean)
        sender = SENDER.get(who, who)
        alike = [one for one in results if one[0][2] in seeds(ours, who)]
        other = sender != demo_a.NAIVE and demo_a.values(alike, none, sender)
        return Thief(names[who], stolen(ours, who), bootstrap_interval(other) if other else None)

    return [  # the noise's detector is granted
        Row(
            "Demo A: zero-mean noise", "demo A", claimed, stolen(none), stolen(noisy),
            None, None, None, None,
        ),
        Row(
            "Lab 5's 512 cells, demo A's theft", "demo A", None,
            bootstrap_interval(demo_a.values(same, none, demo_a.NAIVE)), stolen(ours),
            best({who: SAME if who == demo_a.NAIVE else who for who in tried}),
            best({demo_a.ORACLE: "", **demo_a.ORACLES}),
            best({demo_a.REAL_PICTURES: demo_a.REAL_PICTURES}), tuple(kept),
            len(seeds(ours, demo_a.HONEST)) == 1,
        ),
    ]  # fmt: skip


def _demo_b(results: Results) -> list[Row]:
    def mean(condition: str, what: str = "clone_accuracy") -> Interval:
        return bootstrap_interval(result[what] for job, result in results if job[0] == condition)

    many = "all five, against 30 accounts that ask 15 times"
    real = (f"{defense}, against 300 real digits" for defense in ("all five", "no defence"))
    honest = (mean(c, "honest_accuracy").mean for c in ("no defence", "all five"))
    return [
        Row(
            "Demo B: five mechanisms",
            "demo B",
            (float(demo_b.PUBLISHED["no defence"]), float(demo_b.PUBLISHED["all five"])),
            mean("no defence"),
            mean("all five"),
            Thief("asks 15 times from 30 accounts", mean(many)),
            None,
            Thief("300 real digits", *map(mean, real)),
            tuple(honest),
        )
    ]


def _course(results: Results) -> list[Row]:
    """Of each thief, the best of their three clones."""

    def most(defense: str, *thieves: str) -> Thief:
        name = course.best(results, defense, thieves, "accuracy")
        stolen = bootstrap_interval(course.values(results, defense, name, "accuracy"))
        return Thief(course.who_trains(name), stolen)

    made = []
    for defense, name in (
        ("Trickster", "Lab 3: Trickster"),
        ("layered", "Lab 4: layered stack"),
        ("keyed lies", f"Lab 5: {lies_by_query.COURSE}"),
        (FINER, f"Lab 5: {lies_by_query.FINER}"),
    ):
        knows = most(defense, course.NAIVE, *course.KNOWING)
        informed = (knows, *_who_ask_on_purpose(defense))
        knows = max(informed, key=lambda thief: thief.after.mean)
        real, undefended = (most(d, *course.WITH_REAL).after for d in (defense, "none"))
        made.append(
            Row(
                name,
                "labs",
                None,
                most("none", course.NAIVE).after,
                most(defense, course.NAIVE).after,
                knows._replace(name=knows.name.replace(course.NAIVE, SAME)),
                most(defense, course.ORACLE)._replace(name=""),
                Thief(f"{REAL} real pictures", real, undefended),
                tuple(course.honest(results, d, "utility") for d in ("none", defense)),
            )
        )
    return made


def _who_ask_on_purpose(defense: str) -> list[Thief]:
    """Those who find out keyed lies by asking, with as many queries as the others."""
    kind = {"keyed lies": lies_by_query.COURSE, FINER: lies_by_query.FINER}.get(defense)
    results, made = stored_results(lies_by_query), []
    for thief in lies_by_query.ASKING:
        for clone in course.CLONES:
            name = course.with_clone(thief, clone)
            found = lies_by_query.values(results, kind, BUDGET, name, "accuracy") if kind else []
            if found:
                made.append(Thief(f"{thief} thief", bootstrap_interval(found)))
    return made


def table(found: list[Row], chart: str) -> str:
    """README's part: how to read the rows, the chart, and below a fold the table, in per cent."""
    head = (
        "Defence", "Reported", "Unaware", "Informed", "Oracle", "Real pictures",
        "Honest users lose (points)",
    )  # fmt: skip
    lines = [
        (
            row.name,
            arrow(*row.claimed) if row.claimed else "",
            _best(Thief("", row.naive, row.before)),
            *map(_best, (row.knows, row.oracle, row.real and row.real._replace(name=""))),
            f"{100 * row.lost:.1f}" + f" ({ONCE})" * row.honest_once
            if row.honest
            else "0 (assumed)",
        )
        for row in found
    ]
    seeds, fewer, owned = {}, {}, {}
    for row in found:
        seeds.setdefault(row.whose, row.before.n)
        if 1 < row.before.n < seeds[row.whose]:
            fewer[row.whose] = f", its theft behind lies {row.before.n}"
        if row.real:
            owned[row.whose] = row.real.name.replace(" real", "").removesuffix(" pictures")
    runs = ", ".join(
        f"{whose} {ONCE if n == 1 else n}{fewer.get(whose, '')}" for whose, n in seeds.items()
    )
    return (
        f"How often the clone is right (guessing: {percent(CHANCE)}; behind a good defence, low), "
        f"over several seeds ({runs}) or in *{ONCE}*.\n"
        "- *Unaware*: believes every answer. "
        "*Informed*: the best thief who knows the code, not the key, and owns at most one real "
        "picture.\n"
        "- *Oracle*: no thief; is told which answers are lies, and learns from the others. "
        "Undoing lies may bring more.\n"
        "- *Real pictures*: the thief owns some "
        f"({', '.join(f'{whose} {name}' for whose, name in owned.items())}); simple attacks.\n\n"
        f"{chart}\n\n<details><summary>In numbers, undefended → defended, and what honest users "
        f"lose</summary>\n\n{markdown_table(head, lines)}\n\n</details>"
    )


def _best(thief: Thief | None) -> str:
    """README's cell on the best thief of a kind."""
    if thief is None:
        return NONE
    after, thief = thief.after.mean, thief.explained
    stolen = arrow(thief.before.mean, after) if thief.before else percent(after)
    return f"{stolen} ({thief.notes})" if thief.notes else stolen


def percent(share: float) -> str:
    """``44 %``."""
    return f"{100 * share:.0f} %"


def arrow(before: float, after: float) -> str:
    """``44 % → 25 %``."""
    return f"{percent(before)} → {percent(after)}"


def section(found: list[Row]) -> str:
    """The same for RESULTS.md, with the intervals and the number of seeds."""

    def spread(one: Interval | None) -> str:
        if one is None:
            return NONE
        return short(one.mean) if one.n == 1 else with_interval(*one[:3])

    def successful(thief: Thief | None) -> str:
        if thief is None:
            return NONE
        before = f"{short(thief.before.mean)} → " if thief.before else ""
        return f"{before}{spread(thief.after)}" + f": {thief.notes}" * bool(thief.notes)

    head = (
        "", "reported (one run)", "undefended", "unaware thief", "informed thief", "oracle",
        "real pictures", "honest users", "seeds",
    )  # fmt: skip
    lines = [
        (
            row.name,
            f"{short(row.claimed[0])} → {short(row.claimed[1])}" if row.claimed else "",
            spread(row.before),
            spread(row.naive) + f": {ONCE}" * (row.naive.n == 1),
            successful(row.knows),
            successful(row.oracle),
            successful(row.real),
            f"{short(row.honest[0])} → {short(row.honest[1])}" + f": {ONCE}" * row.honest_once
            if row.honest
            else "none lost (assumed)",
            row.before.n,
        )
        for row in found
    ]
    return (
        "README's table with its intervals. Each figure is an accuracy, of the clone or of honest "
        "users; an arrow goes from undefended to defended, and a thief's own arrow begins with "
        "what their own pictures bring. In the labs' rows each thief has the "
        "best of three clones. *Unaware*: takes every answer for "
        "the truth. *Informed*: the best of several thieves who have read the code and lack only "
        "its key. *Oracle*: told which answers are lies; demo B, whose noise falls on all answers, "
        "tells none to leave out. A thief's undefended result is of the same seeds. What "
        "stands behind each row: [`docs/demos.md`](../docs/demos.md).\n\n"
        + markdown_table(head, lines)
    )
