"""The cell at the top of a graded notebook that tells the student what was repaired."""

from __future__ import annotations

from nbformat import NotebookNode

from autograder.repair.mend import MendedNotebook
from autograder.repair.salvage import content_id

CELL_ID = "what-was-repaired"
HEADING = "## What was repaired"


def with_summary(mended: MendedNotebook) -> NotebookNode:
    """The mended notebook with that cell, if anything was repaired."""
    notebook, notes = mended.notebook, mended.notes
    if notes:
        lines = dict.fromkeys(note.for_student for note in notes)
        text = (
            f"{HEADING}\n\nSome cells of your notebook were not as the lab needs them. "
            "They were repaired before grading:\n\n" + "\n".join(f"- {line}" for line in lines)
        )
        taken = {cell.id for cell in notebook.cells}
        cell = NotebookNode(cell_type="markdown", id="", metadata=NotebookNode(), source=text)
        cell.id = content_id(cell, taken.__contains__) if CELL_ID in taken else CELL_ID
        notebook.cells.insert(0, cell)
    return notebook
