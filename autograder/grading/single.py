"""Grades one notebook for the person who wrote it, and leaves nothing behind.

The notebook is graded exactly as in a class (`classroom.grade_one`), in a temporary course
folder. Written answers need a reader: the report says where to find the mark scheme. In a
student copy, which holds no sources, the released tests are what grades.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autograder.authoring.execute import ANSI, as_terminal
from autograder.cells import grade_id, headings_of, role
from autograder.course import CourseError, Lab, list_labs
from autograder.grading import run
from autograder.grading.preprocessor import require_sandbox
from autograder.repair.salvage import read_submission
from autograder.reporting.console import cell_points, number
from autograder.results import Result

STUDENT = "you"
LINES_SHOWN = 30  # of what a check printed


@dataclass(frozen=True)
class Graded:
    """One notebook after grading: its scores, and the notebook as it was run."""

    lab: Lab
    result: Result
    notebook: NotebookNode


def grade_notebook(root: Path, path: Path, trusted: bool = False) -> Graded:
    """Grade the notebook at `path`; CourseError when it cannot be graded.

    A `trusted` notebook runs without a sandbox.
    """
    if not trusted:
        require_sandbox()
    if not path.is_file():
        raise CourseError(f"There is no file {path}.")
    lab = lab_of(root, path)
    with tempfile.TemporaryDirectory(prefix="trickster-grade-") as folder:
        course_root = Path(folder).resolve()
        points = run.register(root, course_root, [lab.name])[lab.name]
        task = run.Task(root, course_root, lab.name, STUDENT, points, trusted=trusted)
        task.folder.mkdir(parents=True)
        shutil.copyfile(path, task.folder / f"{lab.name}.ipynb")
        result = run.work(task)
        if result.status == "failed":
            raise CourseError(f"{path} could not be graded: {result.reason}")
        notebook = nbformat.read(task.graded, as_version=4)
    return Graded(lab, result, notebook)


def lab_of(root: Path, path: Path) -> Lab:
    """The lab that a notebook belongs to: what the build wrote into it, else its file's name."""
    labs = {lab.name: lab for lab in list_labs(root)}
    notebook = read_submission(path)
    written = notebook.metadata.get("trickster", {}).get("lab")
    if written in labs:
        return labs[written]
    named = [name for name in labs if name in path.stem]
    if len(named) == 1:
        return labs[named[0]]
    raise CourseError(
        f"{path} does not say which lab it is. Give the file its lab's name; "
        f"the labs are {', '.join(labs)}."
    )


def show(out: Console, graded: Graded) -> None:
    """Print the learner's table, then what each check said where points were missed."""
    result, cells = graded.result, {grade_id(cell): cell for cell in graded.notebook.cells}
    headings = headings_of(graded.notebook)
    table = Table(title=graded.lab.name, title_justify="left")
    for heading in ("exercise", "check", "points"):
        table.add_column(heading, justify="right" if heading == "points" else "left")
    tests = [cell for cell in result.cells if cell.kind == "test"]
    for cell in result.cells:
        points = cell_points(cell) if cell.kind == "test" else f"yours to judge ({cell.maximum:g})"
        table.add_row(escape(headings.get(cell.name, "")), escape(cell.name), points)
    most = sum(cell.maximum for cell in tests)
    table.add_section()
    table.add_row("all checks", "", f"{number(result.test_points)}/{number(most)}")
    out.print(table)
    texts = graded.notebook.metadata.get("trickster", {}).get("check_texts", {})
    for cell in tests:
        if cell.points is None or cell.points < cell.maximum:
            out.print(f"\n[bold]{escape(cell.name)}[/bold]: {cell_points(cell)} points")
            said = "The cell is missing."
            if cell.name in cells:
                said = what_it_said(cells[cell.name], texts.get(cell.name, ""))
            out.print(escape(said), soft_wrap=True)
    _show_errors(out, graded.notebook)
    _show_written(out, graded)


def what_it_said(cell: NotebookNode, result: str = "") -> str:
    """A check's result, and the error it ended in, without colours and traceback."""
    lines = result.rstrip().split("\n") if result else []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            text = as_terminal(output.text).strip("\n")
            if output.name == "stderr" and text:
                lines.append("Written to stderr, which costs every point of this check:")
            lines += text.split("\n") if text else []
        elif output.output_type == "error":
            lines.append(_error(output))
    if len(lines) > LINES_SHOWN:
        lines = [*lines[:LINES_SHOWN], f"... and {len(lines) - LINES_SHOWN} more lines"]
    return "\n".join(f"  {line}" for line in lines) or "  The check printed nothing."


def _error(output: NotebookNode) -> str:
    message = ANSI.sub("", output.evalue).strip()
    return f"{output.ename}: {message}" if message else output.ename


def _show_errors(out: Console, notebook: NotebookNode) -> None:
    """Cells that are no checks and did not run: often why a check had nothing to work with.

    An exercise that nobody has begun is no news: its check has said so.
    """
    for place, cell in enumerate(notebook.cells, 1):
        if role(cell) == "test":
            continue
        for output in cell.get("outputs", []):
            if output.output_type == "error" and output.ename != "NotImplementedError":
                name = grade_id(cell) or f"number {place}"
                out.print(f"\nCell [bold]{escape(name)}[/bold] stopped with an error:")
                out.print(escape(f"  {_error(output)}"), soft_wrap=True)


def _show_written(out: Console, graded: Graded) -> None:
    names = [cell.name for cell in graded.result.cells if cell.kind == "written"]
    if not names:
        return
    headings = headings_of(graded.notebook)
    told = "; ".join(headings.get(name) or name for name in names)
    advice = "Your instructor has the mark scheme."
    if graded.lab.executed.is_file():  # not in a student copy
        place = graded.lab.executed.relative_to(graded.lab.root).as_posix()
        advice = f"Compare yours with the mark scheme in {place}."
    said = f"\nWritten answers are not marked by the machine: {told}. {advice}"
    out.print(escape(said), soft_wrap=True)
