"""Grades one notebook for the person who wrote it, and leaves nothing behind.

The notebook is graded by the same job as in a class, without a gradebook. Written answers need a
reader: the report says where to find the mark scheme. In a student copy, which holds no sources,
the released tests are what grades.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autograder import nbgrader_api
from autograder.authoring.execute import ANSI, as_terminal
from autograder.authoring.source import lab_notebook
from autograder.cells import grade_id, headings_of, is_model_answer, role, to_text
from autograder.course import SECRET, CourseError, Lab, list_labs, read_course
from autograder.grading import secret
from autograder.grading.execution import RunSettings, require_sandbox
from autograder.grading.executor import LostWorker, in_own_process
from autograder.grading.submission import Job, grade_submission, why_lost
from autograder.grading.watch import OverLimit
from autograder.records import CellRecord, GradingRecord
from autograder.repair.salvage import read_file, read_submission
from autograder.reporting.console import cell_points, number
from trickster.checks.faults import SCAFFOLD
from trickster.checks.result import CheckResult

STUDENT = "you"
AS_IN_THE_CLASS = "What the checks ask is drawn from the course's secret, {path}."
AFRESH = "What the checks ask is drawn for this run alone: another run asks for other things."
LINES_SHOWN = 30  # of what a check, or the student's code, printed


@dataclass(frozen=True)
class OwnGrade:
    """One's own notebook after grading: its record, and the notebook as it was run."""

    lab: Lab
    record: GradingRecord
    notebook: NotebookNode


def grade_notebook(
    root: Path, path: Path, trusted: bool = False, say: Callable[[str], None] = print
) -> OwnGrade:
    """Grade the notebook at `path`; CourseError when it cannot be graded.

    A `trusted` notebook runs without a sandbox.
    """
    if not trusted:
        require_sandbox()
    if not path.is_file():
        raise CourseError(f"There is no file {path}.")
    lab = lab_of(root, path)
    given = {**nbgrader_api.grade_settings(root), "trust_submissions": trusted}
    folder = course_folder(root, path)
    known = secret.existing(folder)
    job = Job(
        lab=lab.name,
        student=STUDENT,
        files=(read_file(path, path.name)._replace(name=f"{lab.name}.ipynb"),),
        source=to_text(lab_notebook(lab, read_course(root))),
        release=lab.release.read_text(encoding="utf-8"),
        secret=secret.of_lab(known or secret.new(), lab.name),
        settings=RunSettings.of(given),
        hidden=(str(folder.resolve()),),
    )
    say(f"Grading {path.name}; this takes about a minute ...")
    say(AS_IN_THE_CLASS.format(path=folder / SECRET) if known else AFRESH)
    try:
        graded = in_own_process(grade_submission, job)
    except (OverLimit, LostWorker) as error:
        raise CourseError(f"{path} could not be graded: {why_lost(error)}") from error
    if graded.record.status == "failed":
        raise CourseError(f"{path} could not be graded: {graded.record.reason}")
    return OwnGrade(lab, graded.record, nbformat.reads(graded.notebook, as_version=4))


def course_folder(root: Path, path: Path) -> Path:
    """The course folder that a notebook was handed in to, as submitted/STUDENT/LAB/; else the root.

    A secret that lay anywhere else could be the student's own.
    """
    above = path.resolve().parents
    handed_in = len(above) > 3 and above[2].name == "submitted"
    return above[3] if handed_in else root


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


def show(out: Console, graded: OwnGrade) -> None:
    """Print the learner's table, then each check's result where points were missed."""
    record, cells = graded.record, {grade_id(cell): cell for cell in graded.notebook.cells}
    headings = headings_of(graded.notebook)
    table = Table(title=graded.lab.name, title_justify="left")
    for heading in ("exercise", "check", "points"):
        table.add_column(heading, justify="right" if heading == "points" else "left")
    tests = [cell for cell in record.cells if cell.kind == "test"]
    for cell in record.cells:
        points = cell_points(cell) if cell.kind == "test" else f"yours to judge ({cell.maximum:g})"
        table.add_row(escape(headings.get(cell.name, "")), escape(cell.name), points)
    most = sum(cell.maximum for cell in tests)
    table.add_section()
    table.add_row("all checks", "", f"{number(record.test_points)}/{number(most)}")
    out.print(table)
    for cell in tests:
        if cell.points is None or cell.points < cell.maximum:
            out.print(f"\n[bold]{escape(cell.name)}[/bold]")
            lines = [*result_of(cell).as_text().split("\n"), *printed_in(cells[cell.name])]
            out.print(escape("\n".join(f"  {line}" for line in lines)), soft_wrap=True)
    _show_errors(out, graded.notebook)
    _show_written(out, graded)


def result_of(cell: CellRecord) -> CheckResult:
    """A test's result, which a cell of plain asserts has as well."""
    return CheckResult(cell.points or 0.0, "", cell.maximum, cell.parts, cell.note, cell.begun)


def printed_in(cell: NotebookNode) -> list[str]:
    """What a test, and the student's code during it, printed: its lines, but not too many."""
    streams = [output for output in cell.get("outputs", []) if output.output_type == "stream"]
    text = "".join(as_terminal(output.text) for output in streams).strip("\n")
    lines = text.split("\n") if text else []
    if len(lines) > LINES_SHOWN:
        lines = [*lines[:LINES_SHOWN], f"... and {len(lines) - LINES_SHOWN} more lines"]
    return lines


def _error(output: NotebookNode) -> str:
    message = ANSI.sub("", output.evalue).strip()
    return f"{output.ename}: {message}" if message else output.ename


def _show_errors(out: Console, notebook: NotebookNode) -> None:
    """Cells that are no checks and did not run: often why a check had nothing to work with.

    An exercise that nobody has begun is no news: its check says so.
    """
    for place, cell in enumerate(notebook.cells, 1):
        if role(cell) == "test":
            continue
        for output in cell.get("outputs", []):
            if output.output_type == "error" and not output.get("evalue", "").startswith(SCAFFOLD):
                name = grade_id(cell) or f"number {place}"
                out.print(f"\nCell [bold]{escape(name)}[/bold] stopped with an error:")
                out.print(escape(f"  {_error(output)}"), soft_wrap=True)


def _show_written(out: Console, graded: OwnGrade) -> None:
    names = [cell.name for cell in graded.record.cells if cell.kind == "written"]
    if not names:
        return
    headings = headings_of(graded.notebook)
    which = "; ".join(headings.get(name) or name for name in names)
    advice = "Your instructor has the mark scheme."
    if any(is_model_answer(cell.source) for cell in graded.notebook.cells):
        advice = "Compare yours with the model answer below it."
    elif graded.lab.executed.is_file():  # not in a student copy
        place = graded.lab.executed.relative_to(graded.lab.root).as_posix()
        advice = f"Compare yours with the mark scheme in {place}."
    text = f"\nWritten answers are not marked by the machine: {which}. {advice}"
    out.print(escape(text), soft_wrap=True)
