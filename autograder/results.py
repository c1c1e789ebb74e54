"""What grading gave, and the two files that tell it: `scores.json` and `scores.csv`.

Both hold the same rows, one a submission. `score` is empty unless the submission is graded to
its end, so that nothing unfinished is uploaded by mistake; `score_so_far` has what is known.
How a result comes about is `classroom`'s business.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = ("student", "lab", "status", "score", "score_so_far", "maximum", "penalty", "reason")


@dataclass(frozen=True)
class CellScore:
    """What one graded cell gave; `points` is None while nobody has marked it."""

    name: str
    kind: str  # "test" or "written"
    points: float | None
    maximum: float
    waiting: bool = False  # for a person, who may have marked an earlier version


@dataclass(frozen=True)
class Result:
    """What became of one submission."""

    lab: str
    student: str
    status: str  # "graded", "needs marking" or "failed"
    maximum: float
    cells: tuple[CellScore, ...] = ()
    penalty: float = 0.0  # taken off for handing in late
    reason: str = ""  # why it failed, or what else the instructor should know
    seconds: float = 0.0

    @property
    def score(self) -> float:
        return max(0.0, sum(cell.points or 0.0 for cell in self.cells) - self.penalty)

    @property
    def test_points(self) -> float:
        return sum(cell.points or 0.0 for cell in self.cells if cell.kind == "test")


def as_dict(result: Result) -> dict[str, Any]:
    """One result in plain values."""
    return {
        "lab": result.lab,
        "student": result.student,
        "status": result.status,
        "score": result.score if result.status == "graded" else None,
        "score_so_far": None if result.status == "failed" else result.score,
        "maximum": result.maximum,
        "penalty": result.penalty,
        "reason": result.reason,
        "seconds": round(result.seconds, 1),
        "cells": {
            cell.name: {"kind": cell.kind, "points": cell.points, "maximum": cell.maximum}
            for cell in result.cells
        },
    }


def as_json(results: list[Result]) -> str:
    """What `scores.json` holds."""
    return json.dumps([as_dict(result) for result in results], indent=1, ensure_ascii=False) + "\n"


def as_csv(results: list[Result]) -> str:
    """What `scores.csv` holds; a cell is empty where the JSON has null."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    table.writerows(as_dict(result) for result in results)
    return text.getvalue()


def write_scores(course_root: Path, results: list[Result]) -> None:
    """Write both files of a course folder."""
    (course_root / "scores.json").write_text(as_json(results), encoding="utf-8")
    (course_root / "scores.csv").write_text(as_csv(results), encoding="utf-8", newline="")


def read_scores(course_root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of an earlier `scores.json` by (lab, student); none when it cannot be read."""
    try:
        rows = json.loads((course_root / "scores.json").read_text(encoding="utf-8"))
        return {(row["lab"], row["student"]): row for row in rows}
    except (OSError, ValueError, TypeError, KeyError):  # missing, or edited by hand
        return {}
