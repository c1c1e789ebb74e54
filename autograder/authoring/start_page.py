"""The page on which a student's folder opens: what is done in each lab, and what comes next.

It reads what the checks in the student's own notebooks last showed. That is for the student's eyes:
grading runs every check anew and never reads this page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbformat import NotebookNode

from autograder.cells import LANGUAGE_INFO, points_of, role, to_text
from trickster.files import write_atomically

NAME = "start.ipynb"
OURS = {"start_page": True}  # in the notebook's metadata
EXERCISE = re.compile(r"^#{2,3}\s+(Exercise .+?|\d\w: .+?)\s*$", re.MULTILINE)
MINUTES = re.compile(r"^\| [●○]{5} \| (\d+) minutes \|", re.MULTILINE)
TITLE = re.compile(r"^# (.+?)\s*$", re.MULTILINE)
TIME = re.compile(r"\*\*Time\*\* about (\d+) minutes")

WELCOME = """\
# Trickster Labs: start here

Click a lab to open it, and work through its cells from top to bottom. Your work is saved in this
folder.

The table shows the points that the checks in your notebooks gave when you last ran and saved them.
To bring it up to date, click into the cell below and press Shift+Enter. Grading runs all checks
again, with fresh numbers.

{written}

This page is written anew at each start, so do not keep notes here."""
MARKED = """\
Hand in the lab's notebook, such as `lab1_train_victim/lab1_train_victim.ipynb`. Points for written
answers come from your instructor."""
ALONE = """\
Below each written question a model answer is folded: open it when you have written yours, and give
yourself points."""
CODE = """\
# @title Your points so far
from autograder.authoring.start_page import show

show()"""


@dataclass(frozen=True)
class Standing:
    """How far a student is in one lab."""

    path: str  # of the notebook, from the start page
    title: str
    minutes: str
    points: float  # what the checks gave
    checked: float  # what the checks can give
    written: float  # what an instructor gives
    following: str  # heading of the first exercise with points missing, "" if there is none
    following_minutes: str

    def row(self) -> str:
        """The lab as a row of the table."""
        lab = f"[{self.title}]({quote(self.path)})"
        points = f"{self.points:g} of {self.checked:g}"
        if self.written:
            points += f" (and {self.written:g} for written answers)"
        if not self.following:
            return f"| {lab} | {self.minutes}\u00a0min | {points} | all checks passed |"
        place = quote(self.path) + "#" + quote(self.following.replace(" ", "-"), safe=":?,'★")
        time = f", {self.following_minutes}\u00a0min" if self.following_minutes else ""
        return f"| {lab} | {self.minutes}\u00a0min | {points} | [{self.following}]({place}){time} |"


def standing(path: Path, folder: Path) -> Standing:
    """How far the student is in the lab at `path`. Raises ValueError for what is no notebook."""
    try:
        notebook = nbformat.read(path, as_version=4)
        cells = notebook.cells
        text = cells[0].source
    except Exception as error:  # a student may have made anything of the file
        raise ValueError(f"{path} is not a notebook.") from error
    found = {name: pattern.search(text) for name, pattern in (("title", TITLE), ("time", TIME))}
    earned = checked = written = 0.0
    following = following_minutes = heading = minutes = ""
    for cell in cells:
        if cell.cell_type == "markdown" and role(cell) != "written":
            for begun in EXERCISE.finditer(cell.source):
                heading = begun[1]
                block = MINUTES.search(cell.source, begun.end())
                minutes = block[1] if block else minutes
        elif role(cell) == "written":
            written += points_of(cell)
        elif role(cell) == "test":
            points, most = _shown(cell), points_of(cell)
            earned, checked = earned + points, checked + most
            if points < most and not following:
                following, following_minutes = heading, minutes
    return Standing(
        path.relative_to(folder).as_posix(),
        found["title"][1] if found["title"] else path.stem,
        found["time"][1] if found["time"] else "?",
        earned,
        checked,
        written,
        following,
        following_minutes,
    )


def _shown(cell: NotebookNode) -> float:
    """The points that a check's saved output shows, 0 where it shows none."""
    for output in cell.get("outputs", []):
        if output.output_type == "execute_result":
            try:
                points = float(output.data.get("text/plain", ""))
            except (TypeError, ValueError):
                continue
            return 0.0 if math.isnan(points) else min(max(points, 0.0), points_of(cell))
    return 0.0


def table(folder: Path) -> str:
    """The standing in every lab of a student's folder, as Markdown."""
    rows = ["| lab | time | points so far | next |", "|:---|---:|---:|:---|"]
    total = most = 0.0
    for path in _notebooks(folder):
        try:
            one = standing(path, folder)
        except ValueError:
            rows.append(f"| {path.stem} | | | this notebook cannot be read |")
            continue
        rows.append(one.row())
        total, most = total + one.points, most + one.checked
    return "\n".join([*rows, "", f"**{total:g} of {most:g} points** that checks give so far."])


def _notebooks(folder: Path) -> Iterator[Path]:
    """The notebooks of the labs in their order; not the newer releases beside them."""
    labs = [one for one in folder.iterdir() if re.fullmatch(r"lab\d+_\w+", one.name)]
    for lab in sorted(labs, key=lambda one: int(re.findall(r"\d+", one.name)[0])):
        if (lab / f"{lab.name}.ipynb").is_file():
            yield lab / f"{lab.name}.ipynb"


def show() -> None:
    """What the cell of the start page shows: the table of the folder that it is in."""
    from IPython.display import Markdown, display

    display(Markdown(table(Path.cwd())))


def write(folder: Path, answers: bool = False) -> None:
    """Write the start page of a student's folder, with the table as it is now.

    ``answers``: whether the notebooks have model answers.
    A file of the student's that happens to have its name stays as it is.
    """
    if (folder / NAME).exists() and not _is_ours(folder / NAME):
        return
    welcome = WELCOME.format(written=ALONE if answers else MARKED)
    data = {"text/markdown": table(folder), "text/plain": "Run this cell to see your points."}
    shown = nbformat.v4.new_output("display_data", data)
    cells = [
        nbformat.v4.new_markdown_cell(welcome, id="welcome"),
        nbformat.v4.new_code_cell(CODE, id="points", outputs=[shown]),
    ]
    cells[1].metadata = {"jupyter": {"source_hidden": True}, "cellView": "form"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": dict(LANGUAGE_INFO), "trickster": OURS}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    write_atomically(folder / NAME, to_text(notebook).encode())


def _is_ours(path: Path) -> bool:
    try:
        return nbformat.read(path, as_version=4).metadata.get("trickster") == OURS
    except Exception:  # no notebook
        return False
