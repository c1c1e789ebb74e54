"""Submissions that a system calls late and that have no date, so that no penalty is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from autograder.course import CourseError
from autograder.exchange.ledger import read_ledger
from autograder.foreign_text import visible
from autograder.records import TIMESTAMP, GradingRecord


def name_undated(
    course_root: Path, records: Iterable[GradingRecord], say: Callable[[str], None]
) -> None:
    """Say a sentence about each of these submissions whose lab has a due date."""
    try:
        ledger = read_ledger(course_root)
    except CourseError as error:  # the class is graded by now
        say(str(error))
        return
    for record in records:
        entry = ledger.get(record.student, record.lab)
        place = Path("submitted", record.student, record.lab, TIMESTAMP)
        has_due_date = record.inputs.get("due", "none") != "none"
        if entry and entry.late and has_due_date and not (course_root / place).exists():
            say(
                f"{visible(record.student)}, {record.lab}: {entry.system} calls it late, but not "
                f"since when, so no penalty is computed: write {visible(str(place))}, with a line "
                "such as 2026-05-04 12:00:00 UTC, then publish."
            )
