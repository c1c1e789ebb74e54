"""What lies in `submitted/`: which submissions there are, and why one cannot be graded at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder import nbgrader_api
from autograder.course import CourseError, pick_labs
from autograder.foreign_text import listed, visible
from autograder.records import TIMESTAMP, GradingRecord, failed
from autograder.repair.salvage import MAX_BYTES, FileText, NotANotebook, read_file

A_DATE = "it as in 2026-05-04 12:00:00 UTC, or 2026-05-04 14:00 Europe/Berlin"
LONGEST_DATE = 200  # bytes
# lab1.ipynb, lab1.ipynb.txt, LAB1.IPYNB, lab1.ipynb (2), lab1.json, but no ._lab1.ipynb of macOS.
NOTEBOOK = re.compile(r"^(?!\.).*(\.ipynb\b|\.json$)", re.IGNORECASE)
ASTRAY = re.compile(r"^(?!\.).*\.ipynb\b", re.IGNORECASE)
MACOS = "__MACOSX"
MOST_FILES = 20  # of one folder that are looked into
NO_LAB = "(no lab)"
MOST_NAMED = 5


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

    @property
    def has_date(self) -> bool:
        """Whether the date at which it came in, if there is one, can be read."""
        try:
            check_timestamp(self.folder / TIMESTAMP)
        except CourseError:
            return False
        return True

    def notebooks(self) -> list[Path]:
        """The file as it should be called, there or not, and whatever else may be the notebook."""
        return [
            self.notebook,
            *(path for path in _candidates(self.folder) if path != self.notebook),
        ]

    def read(self) -> tuple[FileText, ...]:
        """The texts of these files. Raises CourseError with the reason why there is none."""
        try:
            return self._read()
        except (OSError, RecursionError) as error:
            raise CourseError(f"The folder cannot be read: {error}.") from error

    def _read(self) -> tuple[FileText, ...]:
        for found in (self.folder.parent, self.folder, *sorted(self.folder.rglob("*"))):
            if found.is_symlink():
                raise CourseError(
                    f"{visible(found.name)} is a link to another place: hand in the file itself."
                )
        check_timestamp(self.folder / TIMESTAMP)
        there = [path for path in self.notebooks() if os.path.lexists(path)]
        if len(there) == 1:
            return (read_file(there[0], self._name(there[0])),)
        return tuple(self._readable(there))

    def _readable(self, paths: list[Path]) -> Iterator[FileText]:
        """Those of several files that can be read, and no more than one could be long."""
        left = MAX_BYTES
        for path in paths:
            try:
                found = read_file(path, self._name(path))
            except NotANotebook:
                if path == self.notebook:  # let the others show whether that matters
                    yield FileText(self._name(path), "")
                continue
            left -= len(found.text)
            if left < 0:
                return
            yield found

    def _name(self, path: Path) -> str:
        return visible(path.relative_to(self.folder).as_posix())


def misplaced(student: str, paths: list[Path]) -> GradingRecord:
    """The row of notebooks that lie where no lab says what they are."""
    names = listed([visible(path.name) for path in paths], MOST_NAMED)
    place = f"{visible(paths[0].parent.name)}/"
    return failed(
        NO_LAB,
        student,
        f"Not graded: {names} in {place} itself; the place of a notebook is "
        "submitted/<student>/<lab>/.",
    )


def check_timestamp(path: Path) -> None:
    """Raise CourseError where nbgrader could not read the date at which a notebook came in."""
    if not path.exists():
        return
    if not path.is_file() or path.stat().st_size > LONGEST_DATE:
        raise CourseError(f"{path.name} is no date; write {A_DATE}")
    text = path.read_bytes().decode("utf-8", errors="replace").strip()
    try:
        if text:  # nbgrader takes an empty one for none
            nbgrader_api.handed_in_at(text)
    except (ValueError, OverflowError, TypeError) as error:
        raise CourseError(f"{path.name}: {text!r} is no clear date; write {A_DATE}") from error


def find_submissions(
    root: Path,
    course_root: Path,
    labs: list[str] | None = None,
    students: list[str] | None = None,
) -> tuple[list[Submission], list[GradingRecord]]:
    """The submissions to grade, and a failed record for each folder that cannot be one."""
    submitted = course_root / "submitted"
    if not submitted.is_dir():
        own = next(iter([*course_root.glob("*.ipynb"), *course_root.glob("*/*.ipynb")]), None)
        hint = f" To grade your own work, name the notebook: grade {own}" if own else ""
        raise CourseError(
            f"{course_root} has no folder submitted/: "
            f"put each notebook into submitted/<student>/<lab>/<lab>.ipynb.{hint}"
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
    if not students:
        unusable += [misplaced(path.name, [path]) for path in _notebooks_in(submitted)]
    for folder in _folders(submitted):
        if students and folder.name not in students:
            continue
        if astray := _notebooks_in(folder):
            unusable.append(misplaced(folder.name, astray))
        for name in (lab.name for lab in _folders(folder)):
            why = nbgrader_api.unusable_student(course_root, folder.name)
            if name not in known:
                why = f"{visible(name)} is no lab of this course; the labs are {', '.join(known)}."
            if why:
                unusable.append(failed(name, folder.name, why))
            elif name in wanted:
                found.append(Submission(course_root, name, folder.name))
    if not found and not unusable:
        raise CourseError(f"{submitted} holds no submission: <student>/<lab>/<lab>.ipynb.")
    return found, unusable


def _candidates(folder: Path) -> list[Path]:
    """The files in a folder, and in those below it, that may be a notebook by their names."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != MACOS)
        found += [Path(place, name) for name in sorted(files) if NOTEBOOK.search(name)]
        if len(found) >= MOST_FILES:
            break
    return found[:MOST_FILES]


def _folders(parent: Path) -> Iterator[Path]:
    for path in sorted(parent.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.name != MACOS:
            yield path


def _notebooks_in(parent: Path) -> list[Path]:
    """The notebooks directly in a folder where none should be."""
    return [
        path for path in sorted(parent.iterdir()) if ASTRAY.search(path.name) and path.is_file()
    ]
