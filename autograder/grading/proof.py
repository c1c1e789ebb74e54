"""The proof that a machine may grade: its sandbox holds, and its software is the head's.

`prove` runs on the machine in question, `why_not` where the class is. Two machines with other
versions of torch, or of a check, could give the same notebook two scores.
"""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass

from autograder import records
from autograder.course import CourseError
from autograder.grading.execution import ROOT
from autograder.grading.secret import check_held_back
from autograder.sandbox import doctor

LONGEST_FOLDER = 60  # characters; Linux takes 107 for the path of a socket in a folder below
SHORT = 12  # characters of a hash that are shown


@dataclass(frozen=True)
class Proof:
    """What a machine says of itself."""

    host: str
    software: dict[str, str]  # what decides a score → its hash or version
    broken: tuple[str, ...] = ()  # sentences on what its sandbox does not enforce


def prove(sandbox: bool) -> Proof:
    """Try every wall of this machine's `sandbox`, if submissions are to run in one.

    Raises CourseError where what is held back from students is missing or damaged, and where no
    socket can be made in the folder for temporary files.
    """
    check_held_back()
    if len(tempfile.gettempdir()) > LONGEST_FOLDER:
        raise CourseError(
            f"its folder for temporary files, {tempfile.gettempdir()}, has too long a path for "
            f"sockets: set TMPDIR to one of at most {LONGEST_FOLDER} characters, such as /tmp."
        )
    findings = doctor.examine(ROOT) if sandbox else []
    broken = tuple(str(finding) for finding in findings if not finding.ok)
    return Proof(platform.node(), records.software(ROOT), broken)


def why_not(proof: Proof, ours: dict[str, str]) -> str:
    """Why a machine must not grade beside one with `ours` as software; "" when it may."""
    if proof.broken:
        return " ".join(proof.broken)
    differences = [
        f"{name} ({_short(proof.software.get(name, 'none'))} there, {_short(value)} here)"
        for name, value in ours.items()
        if proof.software.get(name) != value
    ]
    if differences:
        return (
            f"it has other software: {', '.join(differences)}. Give it the same commit, "
            "the same Python, and the same set-up (TORCH=cpu on all machines or on none)."
        )
    return ""


def _short(value: str) -> str:
    return value if len(value) <= SHORT else f"{value[:SHORT]}..."
