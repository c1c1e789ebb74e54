"""What is kept of each graded submission: enough to believe its score, and to grade it again.

`receipts/STUDENT/LAB.json` in the course folder holds hashes of everything that went in
(submission, lab, library, grader), versions, seconds, every test's points with what its check
measured, and what was mended, stopped or suspicious. It is written last, so that a run which is
cut off leaves none, and the next run grades that submission again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from autograder.cells import grade_id, role
from autograder.course import Lab
from autograder.repair.salvage import MAX_BYTES
from autograder.results import Result

FORMAT = 1
FOLDER = "receipts"
TIMESTAMP = "timestamp.txt"  # nbgrader's: when the notebook beside it was handed in
STALE = (
    "The notebook was replaced since, or graded by nbgrader itself; its receipt is of an earlier "
    "version: run grade to renew it."
)
MEASURED = 8_000  # characters kept of what a check said
PACKAGES = ("torch", "numpy", "scikit-learn", "nbgrader", "ipykernel")


@dataclass(frozen=True)
class Receipt:
    """One graded submission; `cells` are as in `scores.json`."""

    lab: str
    student: str
    status: str
    maximum: float
    penalty: float
    reason: str
    inputs: dict[str, str]  # what went in → its hash or version
    seconds: float
    cells: dict[str, dict[str, Any]]
    measured: dict[str, str] = field(default_factory=dict)  # test → what its check said
    waited: dict[str, float] = field(default_factory=dict)  # test → seconds for the student's code
    repairs: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = ""  # why the student's process ended before its time
    limits: list[str] = field(default_factory=list)  # of time that single cells have met
    problems: list[str] = field(default_factory=list)  # slips of the course's own checks
    refused: bool = False  # failed for what it is: trying again is of no use
    stale: str = ""  # why this no longer tells of the file that was handed in
    format: int = FORMAT

    @property
    def score(self) -> float:
        """The score again, from the points of the cells alone."""
        points = sum(cell["points"] or 0.0 for cell in self.cells.values())
        return max(0.0, points - self.penalty)

    @property
    def suspicious(self) -> list[str]:
        """Sentences on what a person should look at; they cost no points."""
        return [note["for_instructor"] for note in self.repairs if note.get("suspicious")]


def of(
    result: Result, notebook: NotebookNode | None, inputs: dict[str, str], refused: bool = False
) -> Receipt:
    """The receipt for a result and the notebook as it was run (None where there is none)."""
    told = notebook.metadata.get("trickster", {}) if notebook is not None else {}
    cells = notebook.cells if notebook is not None else []
    tests = [cell for cell in cells if role(cell) == "test"]
    return Receipt(
        lab=result.lab,
        student=result.student,
        status=result.status,
        maximum=result.maximum,
        penalty=result.penalty,
        reason=result.reason,
        inputs=inputs,
        seconds=round(result.seconds, 1),
        cells=_cells(result),
        measured={
            grade_id(cell): (told.get("check_texts", {}).get(grade_id(cell), "") + _said(cell))[
                :MEASURED
            ]
            for cell in tests
        },
        waited=dict(told.get("waited", {})),
        repairs=[dict(note) for note in told.get("repairs", [])],
        stopped=str(told.get("kernel_ended", "")),
        limits=[str(limit) for limit in told.get("limits_hit", [])],
        problems=[str(problem) for problem in told.get("check_problems", [])],
        refused=refused,
    )


def marked(receipt: Receipt, result: Result) -> Receipt:
    """The same receipt with the points that a person, or nbgrader by itself, has given since."""
    return replace(receipt, status=result.status, penalty=result.penalty, cells=_cells(result))


def checked(receipt: Receipt, submission: Path) -> Receipt:
    """The same receipt, `stale` where the file that was handed in is another by now."""
    known = receipt.inputs.get("submission")
    same = known is None or known == hash_of_submission(submission)
    return replace(receipt, stale="" if same else STALE)


def _cells(result: Result) -> dict[str, dict[str, Any]]:
    return {
        cell.name: {
            "kind": cell.kind,
            "points": cell.points,
            "maximum": cell.maximum,
            "waiting": cell.waiting,
        }
        for cell in result.cells
    }


def _said(cell: NotebookNode) -> str:
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append(f"{output.ename}: {output.evalue}\n")
    return "".join(parts)


# --- what went in -----------------------------------------------------------------------


def inputs_of(root: Path, lab: str, submission: Path, trusted: bool) -> dict[str, str]:
    """Hashes and versions of all that decides a score."""
    return {
        "submission": hash_of_submission(submission),
        "handed in": _hash_if_there(submission.with_name(TIMESTAMP)),
        "lab": hash_of(Lab(root, lab).source, Lab(root, lab).release),
        "library": _hash_of_folder(root / "trickster"),
        "grader": _hash_of_folder(root / "autograder"),
        "data": _hash_of_folder(root / "datasets"),
        "settings": hash_of(root / "nbgrader_config.py"),
        "sandbox": "none: trusted" if trusted else "bubblewrap",
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


def hash_of_submission(path: Path) -> str:
    """Like `hash_of`, but of what may be a link to anywhere, a pipe, or without end."""
    try:
        found = path.lstat()
    except OSError:
        return hash_of(path)
    if not stat.S_ISREG(found.st_mode):
        return "no file"
    return hash_of(path) if found.st_size <= MAX_BYTES else f"too large: {found.st_size} bytes"


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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


# --- files ------------------------------------------------------------------------------


def path_of(course_root: Path, student: str, lab: str) -> Path:
    return course_root / FOLDER / student / f"{lab}.json"


def write(course_root: Path, receipt: Receipt) -> None:
    """Write a receipt whole or not at all."""
    path = path_of(course_root, receipt.student, receipt.lab)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    text = json.dumps(asdict(receipt), indent=1, ensure_ascii=False, sort_keys=True)
    with half.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(half, path)


def remove(course_root: Path, student: str, lab: str) -> None:
    """From here on, whoever is cut off has to begin again."""
    path_of(course_root, student, lab).unlink(missing_ok=True)


def read(course_root: Path, student: str, lab: str) -> Receipt | None:
    """The receipt of an earlier run, or None when there is none that can be read."""
    try:
        text = path_of(course_root, student, lab).read_text(encoding="utf-8")
        found = Receipt(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.format == FORMAT else None


def read_all(course_root: Path) -> list[Receipt]:
    """Every receipt of a course folder, by lab and student."""
    places = (course_root / FOLDER).glob("*/*.json")
    found = [read(course_root, path.parent.name, path.stem) for path in places]
    return sorted((r for r in found if r is not None), key=lambda r: (r.lab, r.student))
