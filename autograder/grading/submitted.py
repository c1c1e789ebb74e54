"""What lies in `submitted/`: which submissions there are, and why one cannot be graded at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder import nbgrader_api
from autograder.course import CourseError, pick_labs
from autograder.foreign_text import visible
from autograder.records import TIMESTAMP, GradingRecord, failed
from autograder.repair.salvage import read_text

A_DATE = "2026-05-04 12:00:00 UTC"
LONGEST_DATE = 200  # bytes


@dataclass(frozen=True)
class Submission:
    """One folder `submitted/<student>/<lab>/`."""

    course_root: Path
    lab: str
    student: str

    @property
    def key(self) -> tuple[str, str]:
        return self.lab, self.student

    @property
    def folder(self) -> Path:
        return self.course_root / "submitted" / self.student / self.lab

    @property
    def notebook(self) -> Path:
        return self.folder / f"{self.lab}.ipynb"

    def read(self) -> str:
        """The notebook's text. Raises CourseError with the reason why it can never be graded."""
        path = self.notebook
        if not os.path.lexists(path):
            others = sorted(path.parent.glob("*.ipynb"))
            hint = f" Rename {others[0].name!r} if it is meant." if others else ""
            raise CourseError(f"{path.name} is missing in its folder.{hint}")
        # nbgrader copies what lies beside the notebook, and would follow a link to anywhere.
        for found in (self.folder.parent, self.folder, *sorted(self.folder.rglob("*"))):
            if found.is_symlink():
                raise CourseError(
                    f"{found.name} is a link to another place: hand in the file itself."
                )
        check_timestamp(self.folder / TIMESTAMP)
        return read_text(path)


def check_timestamp(path: Path) -> None:
    """Raise CourseError where nbgrader could not read the date at which a notebook came in."""
    if not path.exists():
        return
    if not path.is_file() or path.stat().st_size > LONGEST_DATE:
        raise CourseError(f"{path.name} is no date; write {A_DATE}")
    text = path.read_bytes().decode("utf-8", errors="replace").strip()
    try:
        if text:  # nbgrader takes an empty one for none
            nbgrader_api.parse_utc(text)
    except (ValueError, OverflowError, TypeError) as error:
        raise CourseError(f"{path.name}: {text!r} is no date; write {A_DATE}") from error


def find_submissions(
    root: Path,
    course_root: Path,
    labs: list[str] | None = None,
    students: list[str] | None = None,
) -> tuple[list[Submission], list[GradingRecord]]:
    """The submissions to grade, and a failed record for each folder that cannot be one."""
    submitted = course_root / "submitted"
    if not submitted.is_dir():
        raise CourseError(
            f"{course_root} has no folder submitted/: "
            "put each notebook into submitted/<student>/<lab>/<lab>.ipynb."
        )
    if why := nbgrader_api.unusable_name(str(course_root)):
        raise CourseError(f"{course_root}: {why}")
    known = [lab.name for lab in pick_labs(root)]
    wanted = [lab.name for lab in pick_labs(root, labs)]
    missing = [name for name in students or [] if not (submitted / name).is_dir()]
    if missing:
        raise CourseError(f"{submitted} has no folder {missing[0]!r}.")
    found: list[Submission] = []
    unusable: list[GradingRecord] = []
    for folder in _folders(submitted):
        if students and folder.name not in students:
            continue
        for name in (lab.name for lab in _folders(folder)):
            why = nbgrader_api.unusable_name(folder.name)
            if name not in known:
                why = f"{visible(name)} is no lab of this course; the labs are {', '.join(known)}."
            if why:
                unusable.append(failed(name, folder.name, why))
            elif name in wanted:
                found.append(Submission(course_root, name, folder.name))
    if not found and not unusable:
        raise CourseError(f"{submitted} holds no submission: <student>/<lab>/<lab>.ipynb.")
    return found, unusable


def _folders(parent: Path) -> Iterator[Path]:
    for path in sorted(parent.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield path
