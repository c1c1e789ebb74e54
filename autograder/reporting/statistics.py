"""The numbers of the report: plain functions from records of grades to small tables.

Nothing here reads or writes a file, draws, or knows HTML. Whatever the order of the records, the
numbers are the same.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import NamedTuple

from autograder.records import CellRecord, GradingRecord

STATUSES = ("graded", "needs marking", "failed")
PER_LAB = ("lab", "due")  # inputs that differ between labs because they must
PER_STUDENT = ("submission", "handed in")
STEPS = (0.5, 1, 2, 5)
MOST_BARS = 20
SLOWEST = 5
ALL = 1 - 1e-9  # of the points, as floats add up
NOT_BEGUN = "not begun"
NOT_ENDED = "the check did not come to its end"
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*(?:e[+-]?\d+)?")
WHERE = " It happened in "  # a line of one student's notebook, no part of the reason


class Spread(NamedTuple):
    """Some numbers in short."""

    count: int
    mean: float
    median: float
    low: float
    high: float


class Group(NamedTuple):
    """Texts that say the same but for their numbers: the commonest one, and who it is about."""

    text: str
    who: list[str]


class Miss(NamedTuple):
    """A part of a check that some students did not get in full."""

    part: str
    missed: int  # no points
    partly: int
    reason: str  # the commonest
    of_reason: int  # students

    @property
    def students(self) -> int:
        return self.missed + self.partly


@dataclass(frozen=True)
class ExerciseStatistics:
    """One graded cell over all submissions that were graded."""

    name: str
    heading: str
    kind: str
    maximum: float
    mean: float | None  # share of the points, of those that have a mark
    full: int
    part: int
    none: int
    waiting: list[str]  # students whose answer waits for a mark
    misses: list[Miss]


@dataclass(frozen=True)
class LabStatistics:
    """One lab over all its submissions; scores are of those that did not fail."""

    name: str
    statuses: dict[str, int]
    maximum: float
    settled: list[float]  # scores of the graded
    so_far: list[float]  # scores of those that wait for marks
    late: list[str]
    exercises: list[ExerciseStatistics]

    @property
    def submissions(self) -> int:
        return sum(self.statuses.values())

    @property
    def scores(self) -> Spread | None:
        return spread([*self.settled, *self.so_far])

    @property
    def waiting(self) -> int:
        return sum(len(exercise.waiting) for exercise in self.exercises)


class Repairs(NamedTuple):
    """One kind of repair: how often, in whose notebooks, and the commonest sentence on it."""

    kind: str
    times: int
    example: str
    who: list[str]


class Times(NamedTuple):
    """Seconds for a lab's submissions, and the slowest few as (student, seconds)."""

    lab: str
    seconds: Spread
    slowest: list[tuple[str, float]]


class Differing(NamedTuple):
    """A version or hash that is not the same for all; each value with whose it is."""

    name: str
    values: list[tuple[str, list[str]]]


def spread(values: Iterable[float]) -> Spread | None:
    """Count, mean, median and range; None of nothing."""
    found = list(values)
    if not found:
        return None
    return Spread(len(found), fmean(found), float(median(found)), min(found), max(found))


def edges(highest: float) -> list[float]:
    """Borders of at most `MOST_BARS` equally wide, round bins that reach from 0 to `highest`."""
    highest = max(highest, STEPS[0])
    wide = next(
        step * 10**power
        for power in range(12)
        for step in STEPS
        if step * 10**power * MOST_BARS >= highest
    )
    return [wide * i for i in range(math.ceil(highest / wide) + 1)]


def histogram(values: Iterable[float], borders: list[float]) -> list[int]:
    """How many values lie from each border to below the next; the last bin holds its end too."""
    bars = [0] * (len(borders) - 1)
    for value in values:
        place = bisect_right(borders, value) - 1
        bars[min(max(place, 0), len(bars) - 1)] += 1
    return bars


def group(pairs: Iterable[tuple[str, str]]) -> list[Group]:
    """(who, text) pairs by what their texts have in common, the commonest first."""
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    who: dict[str, set[str]] = defaultdict(set)
    for person, text in pairs:
        texts[alike(text)][text] += 1
        who[alike(text)].add(person)
    groups = [Group(_commonest(texts[key]), sorted(who[key])) for key in texts]
    return sorted(groups, key=lambda group: (-len(group.who), group.text))


def _commonest(counted: Counter[str]) -> str:
    return min(counted, key=lambda text: (-counted[text], text))


def alike(text: str) -> str:
    """What sentences have in common that differ only in their numbers."""
    same = NUMBER.sub("#", text.split(WHERE)[0])
    return re.sub(r"#(?:, #)+", "#", same)


# --- one lab ----------------------------------------------------------------------------


def lab(name: str, records: Iterable[GradingRecord], headings: Mapping[str, str]) -> LabStatistics:
    """The numbers of one lab; `headings` has its cells in their order."""
    mine = [record for record in records if record.lab == name]
    whole = [record for record in mine if record.status != "failed"]
    count = Counter(record.status for record in mine)
    places = {cell: place for place, cell in enumerate(headings)}
    cells = {cell.name for record in whole for cell in record.cells}
    order = sorted(cells, key=lambda cell: (places.get(cell, len(places)), cell))
    return LabStatistics(
        name=name,
        statuses={status: count[status] for status in dict.fromkeys((*STATUSES, *sorted(count)))},
        maximum=max((record.maximum for record in mine), default=0.0),
        settled=[record.score for record in whole if record.status == "graded"],
        so_far=[record.score for record in whole if record.status != "graded"],
        late=sorted(record.student for record in whole if record.penalty),
        exercises=[exercise(cell, headings.get(cell, ""), whole) for cell in order],
    )


def exercise(name: str, heading: str, records: Iterable[GradingRecord]) -> ExerciseStatistics:
    """The numbers of one graded cell. A test without a score counts as no points."""
    having = list(_cells_named(name, records))
    cells = [cell for _, cell in having]
    shares = [
        (cell.points or 0.0) / cell.maximum
        for cell in cells
        if cell.maximum and (cell.kind == "test" or cell.points is not None)
    ]
    full, none = sum(share >= ALL for share in shares), sum(share <= 0 for share in shares)
    return ExerciseStatistics(
        name=name,
        heading=heading or name,
        kind=cells[0].kind,
        maximum=max(cell.maximum for cell in cells),
        mean=fmean(shares) if shares else None,
        full=full,
        part=len(shares) - full - none,
        none=none,
        waiting=sorted(who for who, cell in having if cell.kind == "written" and cell.waiting),
        misses=misses(having),
    )


def _cells_named(name: str, records: Iterable[GradingRecord]) -> Iterator[tuple[str, CellRecord]]:
    """(student, cell) of every record that has the cell."""
    for record in records:
        for cell in record.cells:
            if cell.name == name:
                yield record.student, cell


def misses(having: Iterable[tuple[str, CellRecord]]) -> list[Miss]:
    """The parts of a check that were missed, the commonest first."""
    found: dict[str, list[tuple[str, bool, str]]] = defaultdict(list)
    for student, cell in having:
        for part, (partly, reason) in _missed(cell).items():
            found[part].append((student, partly, reason))
    return sorted(
        (_miss(part, students) for part, students in found.items()),
        key=lambda miss: (-miss.students, -miss.missed, miss.part),
    )


def _missed(cell: CellRecord) -> dict[str, tuple[bool, str]]:
    """The parts of a check without all their points: some of them, and the reason.

    What ended the check early is one more. An exercise that nobody has begun has this one only.
    """
    if cell.kind != "test" or (cell.points or 0.0) >= cell.maximum:
        return {}
    if not cell.begun:
        return {NOT_BEGUN: (False, "")}
    missed = {}
    for part in cell.parts:
        if part.status != "passed":
            facts = {"measured": part.measured, "required": part.asked}
            words = "; ".join(f"{name} {text}" for name, text in facts.items() if text)
            missed[part.name] = (part.status == "partial", part.advice or words)
    if cell.note:
        missed.setdefault(NOT_ENDED, (False, cell.note))
    return missed


def _miss(part: str, students: list[tuple[str, bool, str]]) -> Miss:
    reasons = group((student, reason) for student, _, reason in students if reason)
    reason, who = reasons[0] if reasons else ("", [])
    partly = sum(partly for _, partly, _ in students)
    return Miss(part, len(students) - partly, partly, reason, len(who))


# --- over all ---------------------------------------------------------------------------


def by_student(
    records: Iterable[GradingRecord], order: Iterable[str]
) -> list[tuple[str, list[GradingRecord | None]]]:
    """Each student with the record of each lab in `order`, None where nothing was handed in."""
    found: dict[str, dict[str, GradingRecord]] = defaultdict(dict)
    for record in records:
        found[record.student][record.lab] = record
    labs = list(order)
    return [(student, [found[student].get(lab) for lab in labs]) for student in sorted(found)]


def repairs(records: Iterable[GradingRecord]) -> list[Repairs]:
    """What was repaired, by kind, the commonest first."""
    notes: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in records:
        for note in record.repairs:
            notes[note.kind].append((record.student, note.for_instructor))
    found = [
        Repairs(kind, len(pairs), group(pairs)[0].text, sorted({who for who, _ in pairs}))
        for kind, pairs in notes.items()
    ]
    return sorted(found, key=lambda one: (-one.times, one.kind))


def by_text(
    records: Iterable[GradingRecord], texts: Callable[[GradingRecord], Iterable[str]]
) -> list[tuple[str, Group]]:
    """(lab, group) for what `texts` finds in each record."""
    pairs: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in records:
        pairs[record.lab] += [(record.student, text) for text in texts(record) if text]
    return [(name, one) for name in sorted(pairs) for one in group(pairs[name])]


def failed(records: Iterable[GradingRecord]) -> list[tuple[str, Group]]:
    """(lab, reason and students) of the submissions that could not be graded."""
    unknown = "no reason was kept"
    lost = [record for record in records if record.status == "failed"]
    return by_text(lost, lambda record: [record.reason or unknown])


def unguarded(records: Iterable[GradingRecord]) -> list[str]:
    """Whose code ran without the sandbox, where it could have touched the scores of others."""
    return sorted({r.student for r in records if r.inputs.get("sandbox", "").startswith("none")})


def times(name: str, records: Iterable[GradingRecord]) -> Times | None:
    """Seconds per submission of one lab; what failed before it was run is left out."""
    took = [(r.student, r.seconds) for r in records if r.lab == name and r.seconds > 0]
    seconds = spread(second for _, second in took)
    if seconds is None:
        return None
    slowest = sorted(took, key=lambda pair: (-pair[1], pair[0]))[:SLOWEST]
    return Times(name, seconds, slowest)


def inputs(records: Iterable[GradingRecord]) -> tuple[list[tuple[str, str]], list[Differing]]:
    """What went in: (name, value) pairs that all share, and what differs.

    The hash of a lab is compared within that lab, that of a submission not at all.
    """
    values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    having: dict[str, set[str]] = defaultdict(set)
    everybody: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if not record.inputs:  # it failed before anything was read
            continue
        who = f"{record.student} ({record.lab})"
        everybody[""].add(who)
        everybody[record.lab].add(who)
        for name, value in record.inputs.items():
            if name not in PER_STUDENT:
                scope = record.lab if name in PER_LAB else ""
                key = f"{name}: {scope}" if scope else name
                values[key][value].add(who)
                having[key] = everybody[scope]
    for key, found in values.items():
        if missing := having[key] - set().union(*found.values()):
            found["not recorded"] = missing
    shared = [(key, next(iter(found))) for key, found in values.items() if len(found) == 1]
    differing = [
        Differing(
            key,
            sorted(
                ((value, sorted(who)) for value, who in found.items()),
                key=lambda pair: (-len(pair[1]), pair[0]),
            ),
        )
        for key, found in values.items()
        if len(found) > 1
    ]
    return sorted(shared), sorted(differing)
