"""Due dates of a lab and of one student, as nbgrader's gradebook has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_course import LAB, built_course

from autograder import nbgrader_api
from autograder.course import CourseError
from autograder.grading.due_dates import set_due
from autograder.grading.gradebook import ClassGradebook
from autograder.grading.submitted import check_timestamp


@pytest.mark.slow
def test_a_due_date_for_the_class_and_a_later_one_for_one_student(tmp_path: Path) -> None:
    root, course = built_course(tmp_path / "repository"), tmp_path / "class"
    book = ClassGradebook(root, course)

    def seconds_late(student: str) -> float:
        with book.open() as gradebook:
            return gradebook.find_submission(LAB, student).total_seconds_late

    with pytest.raises(CourseError, match="has no gradebook yet"):
        set_due(root, course, "lab1")
    book.register([LAB])
    assert set_due(root, course, "lab1") == f"{LAB} has no due date."
    book.add_students(["ada", "bo"])
    with book.open() as gradebook:
        for student in ("ada", "bo"):
            gradebook.add_submission(LAB, student, timestamp="2026-05-03 12:00:00 UTC")
    with pytest.raises(CourseError, match="has no due date: set the class's first"):
        set_due(root, course, "lab1", "2026-05-04 12:00 UTC", "ada")

    said = set_due(root, course, "lab1", "2026-05-01 14:00:00 +02:00")
    assert said.startswith(f"{LAB} is due at 2026-05-01 12:00:00 UTC. Penalties, if ")
    assert seconds_late("ada") == seconds_late("bo") == 2 * 86_400
    set_due(root, course, "lab1", "2026-05-03 02:00 Europe/Berlin", "ada")
    assert seconds_late("ada") == 43_200 and seconds_late("bo") == 2 * 86_400
    assert set_due(root, course, "lab1", student="ada").endswith("due at 2026-05-03 00:00:00 UTC.")
    book.register([LAB])  # a lab that was mended
    assert seconds_late("ada") == 43_200
    set_due(root, course, "lab1", "2026-05-01 12:00 UTC", "ada")  # as everybody's
    assert seconds_late("ada") == 2 * 86_400
    for date, student, why in (
        ("2026-04-01 12:00 UTC", "ada", "give a later date"),
        ("2026-05-09 12:00 UTC", "cy", "cy has no graded submission"),
        ("tomorrow", None, "'tomorrow' is no date"),
        ("2026-13-01 12:00", None, "is no date"),
        ("2026-05-01 12:00 Nowhere", None, "is no date"),
    ):
        with pytest.raises(CourseError, match=why):
            set_due(root, course, "lab1", date, student)
    assert seconds_late("ada") == seconds_late("bo") == 2 * 86_400


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-05-04 12:00", 12),
        ("2026-05-04 12:00:00 UTC", 12),
        ("2026-05-04T12:00:00Z", 12),
        ("2026-05-04 12:00:00.123456 Europe/Berlin", 10),  # as nbgrader writes it
        ("2026-05-04 12:00:00+02:00", 10),
    ],
)
def test_a_clear_date(text: str, hour: int) -> None:
    found = nbgrader_api.handed_in_at(text)
    assert (found.month, found.day, found.hour, found.tzinfo) == (5, 4, hour, None)


@pytest.mark.parametrize(
    "text",
    ["2026-05-04 12:00 CEST", "2026-05-04 12:00:00 +02:00", "04/05/2026 12:00", "12:00", "5 May",
     "2026-05-04", "2026-13-04 12:00", "2026-05-04 12:00+02:00 UTC"],
)  # fmt: skip
def test_what_nbgrader_would_misread_is_no_clear_date(tmp_path: Path, text: str) -> None:
    path = tmp_path / "timestamp.txt"
    path.write_text(text)
    with pytest.raises(CourseError, match="is no clear date; write it as in 2026-05-04"):
        check_timestamp(path)
