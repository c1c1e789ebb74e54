"""When a lab is due, for the class and for one student: nbgrader's due dates and extensions."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from autograder.course import CourseError, pick_labs
from autograder.foreign_text import visible
from autograder.grading.gradebook import ClassGradebook, alone_with
from autograder.nbgrader_api import MissingEntry

A_DATE = re.compile(r"^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?) ?(\S*)$")
OFFSET = re.compile(r"^(?:Z|[+-]\d\d:?\d\d)$")
AGAIN = (
    "Penalties, if nbgrader_config.py sets a penalty_method, are computed by publish, once the "
    "class is graded."
)


def set_due(
    root: Path, course_root: Path, lab: str, date: str | None = None, student: str | None = None
) -> str:
    """Set a due date, if one is given, and return a sentence on what holds now.

    With a student, the date is that student's alone. Raises CourseError where it cannot be set.
    """
    name = pick_labs(root, [lab])[0].name
    when = _date(date) if date is not None else None
    gradebook = ClassGradebook(root, course_root)
    if when is None and not gradebook.exists:
        raise CourseError(f"{course_root} has no gradebook yet: set a date, or grade first.")
    course_root.mkdir(parents=True, exist_ok=True)
    with alone_with(course_root):
        _register(gradebook, name)
        with gradebook.open() as book:
            assignment = book.find_assignment(name)
            if student is not None:
                return _of_one(book, assignment, student, when)
            if when is not None:
                assignment.duedate = when
                book.db.commit()
            return _sentence(name, assignment.duedate, when is not None)


def _date(text: str) -> datetime:
    """A date in UTC, without its zone, as nbgrader keeps it.

    nbgrader's own parser takes a zone that it does not know, such as a separate +02:00, for UTC.
    """
    match = A_DATE.match(text.strip())
    try:
        if match is None:
            raise ValueError(text)
        day, time, zone = match.groups()
        if not zone or OFFSET.match(zone):
            date = datetime.fromisoformat(f"{day}T{time}{zone or '+00:00'}")
        else:
            date = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=ZoneInfo(zone))
        return date.astimezone(UTC).replace(tzinfo=None)
    except (OSError, ValueError, OverflowError, KeyError) as error:  # KeyError: no such zone
        raise CourseError(
            f"{text!r} is no date; write it as in 2026-05-01 12:00 UTC, or Europe/Berlin for UTC."
        ) from error


def _register(gradebook: ClassGradebook, lab: str) -> None:
    """A lab that was never graded is not in the gradebook yet."""
    with gradebook.open() as book:
        try:
            book.find_assignment(lab)
            return
        except MissingEntry:
            pass
    gradebook.register([lab])


def _of_one(book: Any, assignment: Any, student: str, when: datetime | None) -> str:
    """The same for one student; nbgrader keeps how much later than the class's the date is."""
    lab, shown = assignment.name, visible(student)
    try:
        submission = book.find_submission(lab, student)
    except MissingEntry as error:
        raise CourseError(
            f"{shown} has no graded submission of {lab} yet: grade it, then set the date, and run "
            "publish. (Is that the name of a folder in submitted/?)"
        ) from error
    if assignment.duedate is None:
        raise CourseError(f"{lab} has no due date: set the class's first, without --student.")
    if when is not None:
        if when < assignment.duedate:
            raise CourseError(
                f"{lab} is due at {assignment.duedate} UTC for the class, and nobody can be due "
                "before that: give a later date."
            )
        submission.extension = (when - assignment.duedate) or None
        book.db.commit()
    return _sentence(f"{lab} of {shown}", submission.duedate, when is not None)


def _sentence(what: str, date: datetime | None, changed: bool) -> str:
    said = f"{what} is due at {date} UTC." if date else f"{what} has no due date."
    return f"{said} {AGAIN}" if changed else said
