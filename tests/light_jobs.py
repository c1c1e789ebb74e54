"""Jobs for worker processes that need nothing: what starts for them is up in no time."""

from __future__ import annotations

import os
from typing import Any


def fragile(student: str) -> str:
    """Stands in for grading: one submission takes its whole process along."""
    if student == "killer":
        os._exit(9)
    return f"graded {student}"


def measured(job: tuple[str, int]) -> dict[str, Any]:
    """Stands in for a benchmark: one job takes its whole process along."""
    if job == ("killer", 2):
        os._exit(1)
    return {"value": len(job[0]) + job[1], "process": os.getpid()}
