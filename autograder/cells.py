"""What a cell of a lab is: its role, its name, its points, the heading it stands under.

nbgrader's cell metadata is read here and nowhere else. How a lab's source becomes a notebook
is ``authoring``'s business.
"""

from __future__ import annotations

import re

import nbformat
from nbformat import NotebookNode

REGIONS = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
MARKER = re.compile(rf"\b(BEGIN|END) ({'|'.join(REGIONS)})\b")
HEADING = re.compile(r"^#{2,3}\s+(.+?)\s*$", re.MULTILINE)
MODEL_ANSWER = "Model answer"  # how the summary of a folded one begins, in a copy to learn alone
LANGUAGE_INFO = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}


def grade_id(cell: NotebookNode) -> str:
    """The cell's nbgrader name, or ""."""
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def role(cell: NotebookNode) -> str:
    """ "provided", "solution", "test", "written", or "" for a plain cell."""
    meta = cell.metadata.get("nbgrader", {})
    if meta.get("solution"):
        return "written" if meta.get("grade") else "solution"
    if meta.get("grade"):
        return "test"
    return "provided" if meta.get("locked") else ""


def points_of(cell: NotebookNode) -> float:
    """The points a cell can give, 0 for cells that give none."""
    meta = cell.metadata.get("nbgrader", {})
    return float(meta.get("points", 0)) if meta.get("grade") else 0.0


def is_model_answer(source: str) -> bool:
    """Whether a cell is one of the course's own model answers, which nobody handed in."""
    return source.lstrip().startswith(f"<details><summary>{MODEL_ANSWER}")


def headings_of(notebook: NotebookNode) -> dict[str, str]:
    """The heading under which each named cell stands, "" before the first."""
    found, heading = {}, ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            matches = HEADING.findall(cell.source)
            heading = matches[-1] if matches and role(cell) != "written" else heading
        found[grade_id(cell)] = heading
    return found


def to_text(notebook: NotebookNode) -> str:
    """The one way this course writes a notebook: the same cells always give the same bytes."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"
