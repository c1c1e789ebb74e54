"""Notebooks for those who learn alone: the release, with model answers folded into it.

After each written answer comes one from the lab's source, with its mark scheme, and after the hints
of an exercise, or below a heading, what `stars.py` beside the source has for a ★. Both are plain
Markdown cells: nothing in them runs, and grading leaves them where they are. A class never gets
them; that `build` releases none of them, and that a student copy holds none, is tested.
"""

from __future__ import annotations

import re

import nbformat
from nbformat import NotebookNode

from autograder.authoring.source import AuthorError, build_notebook, find_regions, parse
from autograder.cells import HEADING, MODEL_ANSWER, grade_id, role
from autograder.course import Lab, read_course

WRITTEN = f"{MODEL_ANSWER}: open it when you have written yours"
STARRED = f"{MODEL_ANSWER} for the ★: open it when you have tried"
HINT = "<details"


def with_model_answers(lab: Lab) -> NotebookNode:
    """The lab's release with a folded cell for each model answer. Raises AuthorError."""
    source = build_notebook(lab, read_course(lab.root))
    written = {grade_id(cell): cell for cell in source.cells if role(cell) == "written"}
    starred = starred_answers(lab, source)
    notebook = nbformat.read(lab.release, as_version=nbformat.NO_CONVERT)
    cells: list[NotebookNode] = []
    waiting: list[NotebookNode] = []  # for the end of an exercise's hints
    for cell in notebook.cells:
        if waiting and not (cell.cell_type == "markdown" and cell.source.startswith(HINT)):
            cells += waiting
            waiting = []
        cells.append(cell)
        name = grade_id(cell)
        if name in written:
            cells.append(_folded(name, WRITTEN, _written_answer(written[name])))
        waiting += [
            _folded(place, STARRED, _as_text(starred[place]))
            for place in sorted(_places(cell) & starred.keys())
        ]
    notebook.cells = [*cells, *waiting]
    return notebook


def starred_answers(lab: Lab, source: NotebookNode) -> dict[str, list[NotebookNode]]:
    """The cells of each answer in the lab's `stars.py`, by the place that they belong to.

    The file is in the percent format, and a lab may have none. A cell with `after="steal_test"` in
    its header begins an answer, which goes after that cell of `source` and its hints; a cell
    without a name is called by a heading in it. Raises AuthorError.
    """
    path = lab.source.with_name("stars.py")
    if not path.is_file():
        return {}
    where = f"solutions/{lab.name}/{path.name}"
    known, name = set().union(*map(_places, source.cells)), ""
    found: dict[str, list[NotebookNode]] = {}
    for cell in parse(path.read_text(encoding="utf-8"), where):
        name = cell.metadata.get("after", name)
        if name not in known:
            raise AuthorError(
                f"{where}: after={name!r} in a header is no cell of {lab.name}, and no heading."
            )
        found.setdefault(name, []).append(cell)
    return found


def _places(cell: NotebookNode) -> set[str]:
    """What `after` may call a cell: its name, or a heading in it."""
    told = cell.cell_type == "markdown" and role(cell) != "written"
    return {grade_id(cell), *(HEADING.findall(cell.source) if told else [])} - {""}


def _written_answer(cell: NotebookNode) -> str:
    """The model answer of a written cell, and how it is marked."""
    regions = {region.kind: "\n".join(region.lines) for region in find_regions(cell.source)}
    answer, scheme = regions.get("SOLUTION", cell.source), regions.get("MARK SCHEME", "")
    answer = answer.replace(scheme, "").strip() if scheme else answer.strip()
    return f"{answer}\n\n**Give yourself points.** {scheme.strip()}" if scheme else answer


def _as_text(cells: list[NotebookNode]) -> str:
    """Text and code, one after the other; the code is only shown."""
    return "\n\n".join(
        f"```python\n{cell.source}\n```" if cell.cell_type == "code" else cell.source
        for cell in cells
    )


def _folded(name: str, title: str, text: str) -> NotebookNode:
    source = f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    return nbformat.v4.new_markdown_cell(source, id=f"model-{plain}"[:64])
