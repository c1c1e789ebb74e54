"""Which scores of a class may be given back."""

from __future__ import annotations

from pathlib import Path

from autograder.course import CourseError
from autograder.grading.executor import alone_in
from autograder.grading.run import class_records
from autograder.records import GradingRecord


def graded_records(root: Path, course_root: Path) -> list[GradingRecord]:
    """Every record of the class, with the marks and penalties of now."""
    with alone_in(course_root):
        found = class_records(root, course_root, [])
    if not found:
        raise CourseError(f"Nothing in {course_root} is graded yet: grade the class first.")
    return found


def final(record: GradingRecord, unfinished: bool) -> str:
    """Why a record has no score to be given back, or ""."""
    if record.status == "failed":
        return "could not be graded"
    if unfinished:
        return ""
    if record.status != "graded":
        return "needs marking"
    return "was handed in anew since it was graded" if record.stale else ""
