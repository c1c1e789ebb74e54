"""What was collected: whose each submission is in its own system, in `collected.json`.

A course folder knows students by their folders, a system by numbers and addresses. `collect` writes
down both, so that the next download finds the same folders and that scores and feedback find
their way back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from autograder.course import CourseError
from autograder.exchange.people import STRONG, Identity, Unknown, plain
from autograder.foreign_text import visible
from trickster.files import write_atomically

FILE = "collected.json"
FORMAT = 1
# Numbers that mean a person in every assignment; Moodle's and blind ones are another in each.
LASTING = ("canvas", "sis", "login", "email", "folder")


@dataclass(frozen=True)
class Entry:
    """One submission that was collected."""

    student: str
    lab: str
    system: str
    name: str  # as the system has it
    ids: dict[str, str] = field(default_factory=dict)
    place: str = ""  # what the system wrote before the file's own name
    handed_in: str = ""  # as in timestamp.txt
    order: int = 0  # of the upload, where the system numbers them
    sha256: str = ""
    late: bool = False  # says the system, with or without a date

    def is_of(self, who: Identity) -> bool:
        """Whether the system means the same person, as far as this lab goes."""
        if self.system != who.system:
            return False
        shared = set(self.ids) & set(who.ids)
        return bool(shared) and all(plain(self.ids[k]) == plain(who.ids[k]) for k in shared)


class Ledger:
    """The entries of a course folder, one for each student and lab."""

    def __init__(self, course_root: Path, entries: Iterable[Entry] = ()):
        self.path = course_root / FILE
        self.entries = {(entry.student, entry.lab): entry for entry in entries}
        self._folders: dict[tuple[str, str, str], set[str]] = {}
        self._labs: dict[str, set[str]] = {}
        for entry in self.entries.values():
            self._remember(entry)

    def get(self, student: str, lab: str) -> Entry | None:
        return self.entries.get((student, lab))

    def of(self, student: str) -> list[Entry]:
        """All entries of a student."""
        return [self.entries[student, lab] for lab in sorted(self._labs.get(student, ()))]

    def add(self, entry: Entry) -> None:
        self.entries[entry.student, entry.lab] = entry
        self._remember(entry)

    def folder_of(self, who: Identity, lab: str) -> str:
        """The folder that a person has had so far, or ""; by the strongest kind that is known.

        Raises Unknown where a stronger kind says that it is somebody else's.
        """
        stronger: list[str] = []
        for kind in sorted(who.ids, key=lambda one: (*STRONG, one).index(one)):
            found = self._folders.get(_key(who.system, kind, who.ids[kind], lab), set())
            for folder in found:
                other = [k for k in stronger if any(k in entry.ids for entry in self.of(folder))]
                if other:
                    raise Unknown(
                        f"the {kind} of {who.shown} has so far been that of the folder "
                        f"{visible(folder)}, with another {other[0]}: give a roster that has both"
                    )
            if found:
                return next(iter(found)) if len(found) == 1 else ""
            if kind in LASTING:
                stronger.append(kind)
        return ""

    def _remember(self, entry: Entry) -> None:
        self._labs.setdefault(entry.student, set()).add(entry.lab)
        for kind, value in entry.ids.items():
            key = _key(entry.system, kind, value, entry.lab)
            self._folders.setdefault(key, set()).add(entry.student)

    def write(self) -> None:
        rows = [asdict(self.entries[key]) for key in sorted(self.entries)]
        text = json.dumps({"format": FORMAT, "collected": rows}, indent=1, ensure_ascii=False)
        write_atomically(self.path, text + "\n")


def _key(system: str, kind: str, value: str, lab: str) -> tuple[str, str, str]:
    scope = "" if kind in LASTING else f"{system} {lab}"
    return scope, kind, plain(value)


def read_ledger(course_root: Path) -> Ledger:
    """What a course folder knows so far. Raises CourseError where the file is damaged."""
    path = course_root / FILE
    if not path.exists():
        return Ledger(course_root)
    try:
        return Ledger(course_root, _entries(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CourseError(
            f"{path} is damaged ({error}): restore it from a backup, or remove it; collecting "
            "again then makes it anew from the downloads."
        ) from error


def _entries(found: dict) -> Iterator[Entry]:
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']}, of another version")
    for row in found["collected"]:
        yield Entry(**row)
