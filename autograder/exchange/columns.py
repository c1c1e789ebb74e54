"""Where a lab's score goes in an instructor's table, and out of how many points it is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from autograder.course import CourseError, Lab
from autograder.exchange.people import is_canvas, is_moodle, plain
from autograder.exchange.plan import names_lab
from autograder.exchange.table import Table
from autograder.foreign_text import visible

CANVAS_COLUMN = re.compile(r"\(\d+\)\s*$")
# Moodle's headers in the languages of its largest sites; others are named with --column.
GRADE = ("grade", "bewertung", "note", "calificación", "valutazione", "beoordeling", "nota",
         "avaliação", "cijfer", "оценка", "评分", "評点")  # fmt: skip
MAXIMUM = ("maximum grade", "beste bewertung", "maximale bewertung", "bestwertung", "note maximale",
           "calificación máxima", "valutazione massima", "maximale beoordeling")  # fmt: skip
LOCKED = ("grade can be changed", "bewertung kann geändert werden", "la note peut être modifiée")
NO = ("no", "nein", "non")
GRADESCOPE = ("total score", "max points")
NUMBER = re.compile(r"^\s*\d+(?:[.,]\d+)?\s*$")


@dataclass(frozen=True)
class Column:
    """One lab's place in a table."""

    lab: str
    at: int
    maximum: int | None = None  # the column that has it, where there is one
    locked: int | None = None  # the column that says whether a grade may be changed
    points: float | None = None  # of Canvas's row "Points Possible"

    def most(self, table: Table, row: int) -> float | None:
        """Out of how many points a score in this row is, where the table says so."""
        if self.maximum is not None:
            return number(table.value(row, self.maximum))
        return self.points

    def is_locked(self, table: Table, row: int) -> bool:
        return self.locked is not None and plain(table.value(row, self.locked)) in NO


def number(text: str) -> float | None:
    """A number as these tables write it, with a point or a comma."""
    return float(text.strip().replace(",", ".")) if NUMBER.match(text) else None


def find_columns(
    form: str, table: Table, labs: Sequence[Lab], chosen: Lab | None, named: str | None
) -> list[Column]:
    """The columns to fill. Raises CourseError where that is not certain."""
    check_form(form, table)
    headers = [plain(name) for name in table.header]
    if named is not None:
        if chosen is None:
            raise CourseError("--column says where a lab's scores go: add --lab to say which lab.")
        if headers.count(plain(named)) != 1:
            raise CourseError(_no_column(table, f"{named!r} is no column of the table"))
        return [_column(form, table, chosen.name, headers.index(plain(named)))]
    if form in ("moodle", "gradescope"):
        if chosen is None:
            raise CourseError(f"This table is about one lab: add --lab ({_names(labs)}).")
        known = GRADE if form == "moodle" else GRADESCOPE[:1]
        found = [place for place, header in enumerate(headers) if header in known]
        if len(found) != 1:
            raise CourseError(_no_column(table, "No column is known to hold the grade"))
        return [_column(form, table, chosen.name, found[0])]
    columns = []
    for lab in [chosen] if chosen else labs:
        fits = [n for n, name in enumerate(table.header) if names_lab(name, lab)]
        fits = [n for n in fits if form != "canvas" or CANVAS_COLUMN.search(table.header[n])]
        if len(fits) > 1:
            names = ", ".join(visible(table.header[n]) for n in fits)
            raise CourseError(f"Several columns name {lab.name}: {names}. Add --lab and --column.")
        columns += [_column(form, table, lab.name, fits[0])] if fits else []
    if not columns:
        what = chosen.name if chosen else "a lab"
        raise CourseError(_no_column(table, f"No column of the table names {what}"))
    return columns


def check_form(form: str, table: Table) -> None:
    """Raise CourseError where the table is not of this system."""
    headers = [plain(name) for name in table.header]
    wrong = {
        "canvas": not is_canvas(headers),
        "moodle": not is_moodle(table),
        "gradescope": "total score" not in headers,
    }
    if wrong.get(form, False):
        raise CourseError(
            f"The table is not one that {form.capitalize()} has exported: give its own export, "
            "which has the numbers by which it knows people again."
        )


def _no_column(table: Table, why: str) -> str:
    names = ", ".join(visible(name) for name in table.header)
    return f"{why}. Name it with --column (and --lab); the columns are: {names}."


def _names(labs: Sequence[Lab]) -> str:
    return ", ".join(lab.name for lab in labs)


def _column(form: str, table: Table, lab: str, at: int) -> Column:
    headers = [plain(name) for name in table.header]

    def place(names: Sequence[str]) -> int | None:
        return next((n for n, header in enumerate(headers) if header in names), None)

    if form == "canvas":
        rows = range(1, min(4, len(table.rows)))
        of_nobody = [row for row in rows if not table.value(row, headers.index("id")).strip()]
        possible = (number(table.value(row, at)) for row in of_nobody)
        return Column(lab, at, points=next((n for n in possible if n is not None), None))
    if form == "moodle":
        return Column(lab, at, maximum=place(MAXIMUM), locked=place(LOCKED))
    return Column(lab, at, maximum=place(GRADESCOPE[1:]) if form == "gradescope" else None)
