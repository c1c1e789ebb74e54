"""Gives scores back: fills an instructor's own table in place, and packs the feedback pages.

Only final scores are written, each into the one field where it belongs. A grade is never blanked,
and everything else in the table stays the same to the byte.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autograder.course import CourseError, Lab, pick_labs
from autograder.exchange.columns import Column, find_columns, number
from autograder.exchange.feedback import KEYED, pack
from autograder.exchange.ledger import Ledger, read_ledger
from autograder.exchange.scores import final, graded_records
from autograder.exchange.students import Matches, match
from autograder.exchange.table import Table, read_table
from autograder.foreign_text import for_spreadsheet, visible
from autograder.records import DIGITS, GradingRecord
from trickster.files import write_atomically

Say = Callable[[str], None]
FORMS = ("canvas", "moodle", "gradescope", "csv")
COMMA = re.compile(r"^\s*\d+,\d+\s*$")
MAX_NAMED = 20
KEPT = ("ex", "excused")  # Canvas's word for a student who need not hand in


@dataclass
class Outcome:
    """What an export did, and what it could not do."""

    nothing: list[str] = field(default_factory=list)  # labs of which nobody has handed in anything
    filled: dict[str, int] = field(default_factory=dict)  # lab → fields written
    same: dict[str, int] = field(default_factory=dict)  # lab → fields that were right already
    changed: list[str] = field(default_factory=list)
    without_grade: list[str] = field(default_factory=list)
    not_in_table: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    without_page: list[str] = field(default_factory=list)


def export(
    root: Path,
    course_root: Path,
    form: str,
    template: Path | None,
    lab: str | None = None,
    column: str | None = None,
    to: Path | None = None,
    unfinished: bool = False,
    scale: bool = False,
    feedback: Path | None = None,
    say: Say = print,
) -> Outcome:
    """Write a table that the system takes, and the pages as a zip if `feedback` names one.

    Raises CourseError where it is not certain what goes where; nothing is written then.
    """
    if form not in FORMS:
        raise CourseError(f"{form!r} is no format; the formats are {', '.join(FORMS)}.")
    labs = pick_labs(root)
    chosen = pick_labs(root, [lab])[0] if lab else None
    records = graded_records(root, course_root)
    ledger = read_ledger(course_root)
    if template is None:
        if form != "csv":
            raise CourseError(f"Give {form.capitalize()}'s own export with --template FILE.")
        if column is not None:
            raise CourseError("--column needs a --template.")
        target = to or course_root / "grades.csv"
        wanted = [chosen] if chosen else labs
        write_atomically(target, own_table(records, wanted, ledger, unfinished))
        say(f"Written: {target}.")
        outcome, names = Outcome(), {lab.name for lab in wanted}
        if feedback is not None:
            _pack(course_root, form, records, names, ledger, feedback, unfinished, outcome, say)
        return outcome
    table = read_table(template)
    columns = find_columns(form, table, labs, chosen, column)
    target = to or template.with_name(f"{template.stem}-filled{template.suffix}")
    if target.resolve() == template.resolve():
        raise CourseError(f"{target} is the template itself: give another file with --to.")
    graded = sorted({column.lab for column in columns} & {record.lab for record in records})
    if feedback is not None and form in KEYED and len(graded) > 1:
        raise CourseError(
            f"{KEYED[form]} takes the pages of one assignment at a time, and these would be of "
            f"{', '.join(graded)}: name one with --lab."
        )
    filled, outcome = fill(table, columns, records, ledger, unfinished, scale)
    write_atomically(target, filled.as_bytes())
    report(outcome, columns, table, say)
    say(f"Written: {target}.")
    if feedback is not None:
        names = {column.lab for column in columns}
        _pack(course_root, form, records, names, ledger, feedback, unfinished, outcome, say)
    return outcome


def _pack(
    course_root: Path,
    form: str,
    records: Iterable[GradingRecord],
    labs: Collection[str],
    ledger: Ledger,
    target: Path,
    unfinished: bool,
    outcome: Outcome,
    say: Say,
) -> None:
    """Write the pages of these labs as a zip, and say who has none."""
    mine = [record for record in records if record.lab in labs]
    count, outcome.without_page = pack(course_root, form, mine, ledger, target, unfinished)
    say(f"Written: {target}, with {count} {'page' if count == 1 else 'pages'}.")
    _list(say, "Without a page", outcome.without_page)


def fill(
    table: Table,
    columns: Iterable[Column],
    records: Iterable[GradingRecord],
    ledger: Ledger,
    unfinished: bool = False,
    scale: bool = False,
) -> tuple[Table, Outcome]:
    """The table with scores in these columns, and what is to be said of it."""
    by_lab: dict[str, dict[str, GradingRecord]] = defaultdict(dict)
    for record in records:
        by_lab[record.lab][record.student] = record
    values: dict[tuple[int, int], str] = {}
    outcome = Outcome()
    for column in columns:
        known = by_lab[column.lab]
        found = match(table, known, column.lab, ledger)
        values |= _fill_one(table, column, known, found, outcome, unfinished, scale)
    return table.with_values(values), outcome


def _fill_one(
    table: Table,
    column: Column,
    known: Mapping[str, GradingRecord],
    found: Matches,
    outcome: Outcome,
    unfinished: bool,
    scale: bool,
) -> dict[tuple[int, int], str]:
    """What goes into one lab's column."""
    values: dict[tuple[int, int], str] = {}
    outcome.same[column.lab] = outcome.filled[column.lab] = 0
    if not known:  # a lab to come: one line says it, not one for each student
        outcome.nothing.append(column.lab)
        return values
    comma = _decimal_comma(table, column)
    reasons: dict[int, str] = {}
    for student, record in known.items():
        row, why = found.row_of.get(student), final(record, unfinished)
        if row is None:
            if not why:
                outcome.not_in_table.append(f"{visible(student)} ({column.lab})")
            continue
        if why:
            reasons[row] = why
            continue
        text = _written(record, column.most(table, row), scale)
        before = table.value(row, column.at)
        if before.strip().casefold() in KEPT or column.is_locked(table, row):
            what = visible(before.strip()) or "locked"
            outcome.kept.append(f"{found.names[row]} ({column.lab}): {what}")
        elif number(before) == float(text):
            outcome.same[column.lab] += 1
        else:
            values[row, column.at] = text.replace(".", ",") if comma else text
            outcome.filled[column.lab] += 1
            if before.strip():
                change = f"{visible(before.strip())} → {text}"
                outcome.changed.append(f"{found.names[row]} ({column.lab}): {change}")
    matched = set(found.row_of.values())
    for row, name in found.names.items():
        if row in reasons or row not in matched:
            why = reasons.get(row) or found.unclear.get(row) or "nothing graded"
            outcome.without_grade.append(f"{name} ({column.lab}): {why}")
    return values


def _decimal_comma(table: Table, column: Column) -> bool:
    """Whether the table writes 9,5 for nine and a half."""
    places = [n for n in (column.at, column.maximum) if n is not None]
    cells = (table.value(row, n) for row in range(1, len(table.rows)) for n in places)
    written = [cell for cell in cells if number(cell) is not None and not cell.strip().isdigit()]
    return bool(written) and all(COMMA.match(cell) for cell in written)


def _written(record: GradingRecord, most: float | None, scale: bool) -> str:
    """The score, in the points of the table."""
    points = record.score
    if most and abs(most - record.maximum) > 1e-6:
        if not scale:
            raise CourseError(
                f"The table has {most:g} points for {record.lab}, which has {record.maximum:g}: "
                "correct the points in your system and export anew, or add --scale."
            )
        points = points * most / record.maximum if record.maximum else 0.0
    return f"{round(points, DIGITS):.{DIGITS}f}".rstrip("0").rstrip(".")


def report(outcome: Outcome, columns: Iterable[Column], table: Table, say: Say) -> None:
    """Say what was filled, and who is missing on which side."""
    for column in columns:
        header, lab = visible(table.header[column.at]), column.lab
        done = f"{outcome.filled[lab]} filled, {outcome.same[lab]} as before"
        say(f"{lab}, column {header}: {'nothing graded' if lab in outcome.nothing else done}.")
    for title, names in (
        ("Changed", outcome.changed),
        ("Left as they are, since the system has locked or excused them", outcome.kept),
        ("In the table, without a grade; left as they are", outcome.without_grade),
        ("Graded, but not in the table", outcome.not_in_table),
    ):
        _list(say, title, names)


def _list(say: Say, title: str, names: list[str]) -> None:
    if names:
        say(f"{title}: {len(names)}.")
    for name in names[:MAX_NAMED]:
        say(f"  {name}")
    if len(names) > MAX_NAMED:
        say(f"  ... and {len(names) - MAX_NAMED} more")


def own_table(
    records: Iterable[GradingRecord], labs: Iterable[Lab], ledger: Ledger, unfinished: bool
) -> str:
    """A plain table: a row for each student, with what is known of them, and a column each lab."""
    names = [lab.name for lab in labs]
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    for record in records:
        if record.lab in names:
            done = not final(record, unfinished)
            rows[record.student][record.lab] = _written(record, None, False) if done else ""
    text = io.StringIO()
    header = ("student", "name", "login", "sis", "email", "canvas", *names)
    table = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for student in sorted(rows):
        known = {"student": student, **dict(_known(student, ledger)), **rows[student]}
        table.writerow({key: for_spreadsheet(value) for key, value in known.items()})
    return text.getvalue()


def _known(student: str, ledger: Ledger) -> Iterator[tuple[str, str]]:
    for entry in ledger.of(student):
        yield from entry.ids.items()
        yield "name", entry.name
