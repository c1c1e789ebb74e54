"""The record of a grade: all that is stored beside nbgrader's gradebook, and what is made of it.

`receipts/STUDENT/LAB.json` in the course folder says what became of one submission: every graded
cell with its points and the parts of its check, what was repaired, stopped or suspicious, and
hashes and versions of everything that went in, so that the score can be believed and repeated. It
is written last: a run that is cut off leaves none, and the next run grades that submission again.

`scores.csv` and `scores.json` have one row a submission. `score` is empty unless the submission is
graded to its end, so that nothing unfinished is uploaded by mistake; `score_so_far` has what is
known. They are made from records and never read back.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import platform
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from autograder.course import Lab
from autograder.foreign_text import for_spreadsheet, visible_json
from autograder.repair import salvage
from autograder.repair.notes import Note, to_look_at
from autograder.repair.salvage import MAX_BYTES
from trickster.checks.result import PartResult
from trickster.files import write_atomically

FORMAT = 2
FOLDER = "receipts"
FOR_PENALTY = ("handed in", "due")  # inputs that decide the penalty, and no other point
TIMESTAMP = "timestamp.txt"  # nbgrader's: when the notebook beside it was handed in
STALE = (
    "Another notebook has been handed in since this one was graded: run grade to bring the score "
    "up to date."
)
PACKAGES = ("torch", "numpy", "scikit-learn", "nbgrader", "ipykernel")
DIGITS = 4  # of points behind the decimal point, for other programs
COLUMNS = ("student", "lab", "status", "score", "score_so_far", "maximum", "penalty", "reason")


@dataclass(frozen=True)
class CellRecord:
    """One graded cell; `points` is None while nobody has marked it."""

    name: str
    kind: str  # "test" or "written"
    points: float | None
    maximum: float
    waiting: bool = False  # for a person, who may have marked an earlier version
    parts: tuple[PartResult, ...] = ()  # of the check, where it has any
    note: str = ""  # why the test ended early, or what else there is to say
    begun: bool = True  # False: nothing of the exercise is written yet
    seconds: float = 0.0  # waited for the student's code
    invalid_mark: str = ""  # why the gradebook's points cannot be published
    remarks: tuple[str, ...] = ()  # the check's, for the instructor alone


@dataclass(frozen=True)
class GradingRecord:
    """What became of one submission."""

    lab: str
    student: str
    status: str  # "graded", "needs marking" or "failed"
    maximum: float
    cells: tuple[CellRecord, ...] = ()
    penalty: float = 0.0  # taken off for handing in late
    reason: str = ""  # why it failed, or what else the instructor should know
    inputs: dict[str, str] = field(default_factory=dict)  # what went in → its hash or version
    seconds: float = 0.0
    repairs: tuple[Note, ...] = ()
    stopped: str = ""  # why the student's process ended before its time
    limits: tuple[str, ...] = ()  # that single cells have met
    problems: tuple[str, ...] = ()  # mistakes of the course's own checks
    code_remarks: tuple[str, ...] = ()  # what the instructor should know of the student's code
    refused: bool = False  # failed for what it is: trying again is of no use
    former_points: dict[str, float] = field(default_factory=dict)  # of cells, in the notebook
    stale: str = ""  # why this is no longer about the file that was handed in
    format: int = FORMAT

    @property
    def score(self) -> float:
        """The points so far, less the penalty. Nothing else adds up points."""
        return max(0.0, sum(cell.points or 0.0 for cell in self.cells) - self.penalty)

    @property
    def test_points(self) -> float:
        """The points that came without a person."""
        return sum(cell.points or 0.0 for cell in self.cells if cell.kind == "test")

    @property
    def remark(self) -> str:
        """What the instructor should know."""
        return self.stale or " ".join([*self.invalid_marks, *self.old_marks, self.reason]).strip()

    @property
    def old_marks(self) -> list[str]:
        """Sentences on marks that count although what they were given for has changed since."""
        old = [cell.name for cell in self.cells if cell.waiting and cell.points is not None]
        return [f"The mark of {name} is of an earlier answer." for name in old]

    @property
    def unmarked(self) -> str:
        """Which cells nobody has marked yet, as a sentence, or ""."""
        waiting = [c for c in self.cells if c.waiting and c.points is None and not c.invalid_mark]
        return f"Waits for a mark: {', '.join(cell.name for cell in waiting)}." if waiting else ""

    @property
    def invalid_marks(self) -> list[str]:
        """Sentences on points in the gradebook that cannot be published."""
        return [cell.invalid_mark for cell in self.cells if cell.invalid_mark]

    @property
    def suspicious(self) -> list[str]:
        """Sentences on what a person should look at; they cost no points."""
        return [*self.invalid_marks, *self.noted]

    @property
    def noted(self) -> list[str]:
        """Those that the run itself has found."""
        return [*to_look_at(self.repairs), *self.remarks]

    @property
    def remarks(self) -> list[str]:
        """Those of checks, and those on the code."""
        tested = [f"{cell.name}: {remark}" for cell in self.cells for remark in cell.remarks]
        return [*tested, *self.code_remarks]


def why_invalid(name: str, points: float, maximum: float) -> str:
    """Why the points of a cell cannot be published, or ""."""
    if 0 <= points <= maximum:  # false for what is not a number
        return ""
    return (
        f"The gradebook has {points:g} points for {name}, which can have 0 to {maximum:g}: "
        "correct the mark in formgrader, then publish."
    )


def failed(
    lab: str, student: str, reason: str, maximum: float = 0.0, **known: Any
) -> GradingRecord:
    """The record of a submission that could not be graded."""
    return GradingRecord(lab, student, "failed", maximum, reason=reason, **known)


def checked(record: GradingRecord, submission: Sequence[Path]) -> GradingRecord:
    """The same record, `stale` where the file that was handed in is another by now."""
    known = record.inputs.get("submission")
    same = known is None or known == hash_of_all(submission)
    return replace(record, stale="" if same else STALE)


# --- what went in -----------------------------------------------------------------------


def inputs_of(
    root: Path,
    lab: str,
    submission: Sequence[Path],
    trusted: bool,
    due: str,
    settings: str,
    secret: str,
    options: dict[str, Any],
) -> dict[str, str]:
    """Hashes and versions of all that decides a score.

    The first notebook is the expected one; `settings` is the hash of those that a run depends on,
    `secret` that of the course's secret.
    """
    found = {
        "submission": hash_of_all(submission),
        "handed in": _hash_if_there(submission[0].with_name(TIMESTAMP)),
        "due": due,
        "lab": hash_of(Lab(root, lab).source, Lab(root, lab).release),
        "settings": settings,
        "secret": secret,
        "sandbox": "none: trusted" if trusted else "bubblewrap",
        **software(root),
    }
    return {**found, "options": repr(sorted(options.items()))} if options else found


def software(root: Path) -> dict[str, str]:
    """Hashes and versions of all that decides a score beside the class and its labs."""
    return {
        "library": _hash_of_folder(root / "trickster"),
        "grader": _hash_of_folder(root / "autograder"),
        "data": _hash_of_folder(root / "datasets"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{name: _version(name) for name in PACKAGES},
    }


def hash_of(*files: Path) -> str:
    """SHA-256 of the files' contents, one after the other; a missing one counts as such."""
    found = hashlib.sha256()
    for path in files:
        try:
            one = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(1024**2):
                    one.update(block)
            found.update(one.digest())
        except OSError:
            found.update(b"missing")
    return found.hexdigest()


def _hash_if_there(path: Path) -> str:
    return hash_of_submission(path) if os.path.lexists(path) else "none"


def hash_of_all(notebooks: Sequence[Path]) -> str:
    """What identifies a submission: its notebook, or all that might be it, with their names."""
    if len(notebooks) == 1:
        return hash_of_submission(notebooks[0])
    found = "\0".join(f"{path.name}\0{hash_of_submission(path)}" for path in notebooks)
    return hashlib.sha256(found.encode("utf-8", "surrogateescape")).hexdigest()


def hash_of_submission(path: Path) -> str:
    """Like `hash_of`, but of what may be a link to anywhere, a pipe, or without end."""
    try:
        found = path.lstat()
    except OSError:
        return hash_of(path)
    if not stat.S_ISREG(found.st_mode):
        return "no file"
    return hash_of(path) if found.st_size <= MAX_BYTES else f"too large: {found.st_size} bytes"


def same_run(stored: GradingRecord, inputs: Mapping[str, str]) -> bool:
    """Whether a run with these inputs would find the same: the penalty alone may be another."""
    if stored.status == "failed":  # for its date, perhaps
        return stored.inputs == inputs
    known, wanted = (
        {name: value for name, value in one.items() if name not in FOR_PENALTY}
        for one in (stored.inputs, inputs)
    )
    return known == wanted


@cache  # nobody edits the library while a class is graded
def _hash_of_folder(folder: Path) -> str:
    left_out = {"__pycache__", "zoo"}
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and left_out.isdisjoint(path.relative_to(folder).parts)
    ]
    names = "\0".join(path.relative_to(folder).as_posix() for path in files)
    return hashlib.sha256((names + hash_of(*files)).encode()).hexdigest()


@cache  # asked for each submission, and the same as long as this program runs
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


# --- files ------------------------------------------------------------------------------


def path_of(course_root: Path, student: str, lab: str) -> Path:
    return course_root / FOLDER / student / f"{lab}.json"


def write(course_root: Path, record: GradingRecord) -> None:
    """Write a record whole or not at all."""
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False, sort_keys=True)
    write_atomically(path_of(course_root, record.student, record.lab), text + "\n")


def writable(record: GradingRecord) -> GradingRecord:
    """The record with words that can be written as UTF-8: some are a student's."""
    text = salvage.writable(json.dumps(asdict(record), ensure_ascii=False))
    return replace(from_dict(json.loads(text)), lab=record.lab, student=record.student)


def remove(course_root: Path, student: str, lab: str) -> None:
    """From here on, whoever is cut off has to begin again."""
    path_of(course_root, student, lab).unlink(missing_ok=True)


def read(course_root: Path, student: str, lab: str) -> GradingRecord | None:
    """The record of an earlier run, or None when there is none that can be read."""
    try:
        return from_dict(json.loads(path_of(course_root, student, lab).read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def from_dict(found: dict[str, Any]) -> GradingRecord:
    """The record that a file holds. Raises one of several errors where it holds something else."""
    if found["format"] == 1:
        found = _from_format_1(found)
    if found["format"] != FORMAT:
        raise ValueError(f"A record of format {found['format']} is of another version.")
    cells = tuple(_cell(cell) for cell in found["cells"])
    repairs = tuple(Note(**note) for note in found["repairs"])
    texts = {name: tuple(found.get(name, ())) for name in ("limits", "problems", "code_remarks")}
    return GradingRecord(**{**found, "cells": cells, "repairs": repairs, **texts})


def _cell(found: dict[str, Any]) -> CellRecord:
    parts = tuple(PartResult(**part) for part in found["parts"])
    remarks = tuple(found.get("remarks", ()))
    kept = {name: value for name, value in found.items() if name != "refused"}
    invalid = found.get("invalid_mark", found.get("refused", ""))  # "refused" in older files
    return CellRecord(**{**kept, "parts": parts, "remarks": remarks, "invalid_mark": invalid})


def _from_format_1(found: dict[str, Any]) -> dict[str, Any]:
    """A record from before checks returned their parts as data: none are known."""
    cells = [
        {"name": name, "seconds": found["waited"].get(name, 0.0), "parts": (), **cell}
        for name, cell in found["cells"].items()
    ]
    kept = {name: value for name, value in found.items() if name not in ("measured", "waited")}
    return {**kept, "cells": cells, "format": FORMAT}


def read_all(course_root: Path) -> list[GradingRecord]:
    """Every record of a course folder, by lab and student."""
    places = (course_root / FOLDER).glob("*/*.json")
    found = [read(course_root, path.parent.name, path.stem) for path in places]
    return sorted((r for r in found if r is not None), key=lambda r: (r.lab, r.student))


def points_seen(found: Iterable[GradingRecord]) -> dict[str, frozenset[float]]:
    """What each cell was worth in these records, and in the notebooks that they are about."""
    seen: dict[str, set[float]] = {}
    for record in found:
        maxima = {cell.name: cell.maximum for cell in record.cells}
        for name, points in [*maxima.items(), *record.former_points.items()]:
            seen.setdefault(name, set()).add(points)
    return {name: frozenset(points) for name, points in seen.items()}


# --- scores for other programs ----------------------------------------------------------


def as_dict(record: GradingRecord) -> dict[str, Any]:
    """A record's row in `scores.json`."""
    return {
        "lab": record.lab,
        "student": record.student,
        "status": record.status,
        "score": _rounded(record.score) if record.status == "graded" else None,
        "score_so_far": None if record.status == "failed" else _rounded(record.score),
        "maximum": _rounded(record.maximum),
        "penalty": _rounded(record.penalty),
        "reason": " ".join(filter(None, [record.unmarked, record.remark])),
        "seconds": round(record.seconds, 1),
        "cells": {
            cell.name: {
                "kind": cell.kind,
                "points": None if cell.points is None else _rounded(cell.points),
                "maximum": _rounded(cell.maximum),
            }
            for cell in record.cells
        },
    }


def _rounded(points: float) -> float:
    """Points without what adding floats leaves behind: 14.78 of 14.780000000000001."""
    return round(points, DIGITS)


def as_json(records: Iterable[GradingRecord]) -> str:
    """What `scores.json` holds."""
    rows = [as_dict(record) for record in records]
    return visible_json(json.dumps(rows, indent=1, ensure_ascii=False)) + "\n"


def as_csv(records: Iterable[GradingRecord]) -> str:
    """What `scores.csv` holds; a cell is empty where the JSON has null.

    Text that a spreadsheet would run has an apostrophe before it; the JSON has it as it is.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for record in records:
        table.writerow({name: for_spreadsheet(value) for name, value in as_dict(record).items()})
    return text.getvalue()


def write_scores(course_root: Path, records: list[GradingRecord]) -> None:
    """Write both files of a course folder."""
    write_atomically(course_root / "scores.json", as_json(records))
    write_atomically(course_root / "scores.csv", as_csv(records))
