"""The labs' own solutions as functions, taken from the sources of the labs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autograder.authoring.source import build_notebook
from autograder.cells import grade_id, role
from autograder.course import pick_labs, read_course

ROOT = Path(__file__).resolve().parent.parent


def reference(lab: str) -> dict[str, Any]:
    """The names that the imports and the solution cells of ``lab`` define."""
    (found,) = pick_labs(ROOT, [lab])
    names: dict[str, Any] = {}
    for cell in build_notebook(found, read_course(ROOT)).cells:
        if grade_id(cell) == "imports" or role(cell) == "solution":
            exec(compile(cell.source, f"{lab}:{grade_id(cell)}", "exec"), names)
    return names
