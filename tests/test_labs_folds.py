"""What the labs fold away, alike in all of them: results, and lines for students who are stuck."""

from __future__ import annotations

import ast
import re
from functools import cache

import nbformat
import pytest
from nbformat import NotebookNode
from reference import ROOT

from autograder.authoring.source import build_notebook
from autograder.cells import grade_id, role
from autograder.course import Lab, list_labs, read_course

LABS = list_labs(ROOT)
every_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
STUCK = "<details><summary>The library's functions</summary>\n\n```python\n"
RESULT = "<details><summary><b>Read the result</b></summary>"
FOLDED = re.compile(rf"(?:^|\n\n){re.escape(RESULT)}\n\n(?:(?!<details>).)*?\n\n</details>", re.S)


@cache
def cells_of(lab: Lab) -> list[NotebookNode]:
    return build_notebook(lab, read_course(ROOT)).cells


def text_of(lab: Lab) -> str:
    return "\n\n".join(cell.source for cell in cells_of(lab) if cell.cell_type == "markdown")


def for_the_stuck(lab: Lab) -> str:
    """The fold with the library's functions."""
    (fold,) = re.findall(rf"{re.escape(STUCK)}.*?\n</details>", text_of(lab), re.S)
    return fold


def students_cells(lab: Lab) -> dict[str, tuple[str, str]]:
    """By name: the exercise of each cell that students write, and its solution."""
    found, exercise = {}, ""
    for cell in cells_of(lab):
        if heading := re.match(r"## Exercise (\d+)", cell.source):
            exercise = heading[1]
        if cell.cell_type == "code" and role(cell) == "solution":
            found[grade_id(cell)] = exercise, cell.source
    return found


def bound_by(code: str) -> set[str]:
    """The names that a cell's own lines bind."""
    names = set()
    for line in ast.parse(code).body:
        if isinstance(line, ast.FunctionDef | ast.ClassDef):
            names.add(line.name)
        elif isinstance(line, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in line.names}
        elif isinstance(line, ast.Assign):
            stored = [node for target in line.targets for node in ast.walk(target)]
            names |= {node.id for node in stored if isinstance(node, ast.Name)}
    return names


def used_by(code: str) -> set[str]:
    """The names that a cell takes from other cells."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    return {node.id for node in names} - own


def needed(lab: Lab) -> dict[str, str]:
    """The names of students' cells that later ones use as they are released, and their exercises.

    Left out is the check of a cell's own.
    """
    theirs, found, behind = students_cells(lab), {}, {}
    for cell in nbformat.read(lab.release, as_version=4).cells:
        if cell.cell_type == "code":
            _, checked = theirs.get(grade_id(cell).removesuffix("_test"), ("", ""))
            used = used_by(cell.source) - bound_by(checked)
            found |= {name: behind[name] for name in used & set(behind)}
            exercise, solution = theirs.get(grade_id(cell), ("", ""))
            behind |= dict.fromkeys(bound_by(solution), exercise)
    return found


@every_lab
def test_whoever_is_stuck_gets_lines_for_all_that_later_cells_use(lab):
    folds = re.findall(r"```python\n(.*?)```", text_of(lab), re.S)
    offered = set().union(*map(bound_by, folds))
    unused = re.findall(r"Exercise (\d+): nothing later uses it", for_the_stuck(lab))
    missing = {name: number for name, number in needed(lab).items() if name not in offered}
    assert set(missing.values()) <= set(unused), missing


@every_lab
def test_each_exercise_with_code_is_named_for_whoever_is_stuck(lab):
    with_code = {exercise for exercise, _ in students_cells(lab).values()}
    named = re.findall(r"^(?:# )?Exercise (\d+)", for_the_stuck(lab), re.M)
    assert with_code <= set(named) and len(with_code) > 2


@every_lab
def test_results_are_folded_and_markdown_in_them_is_rendered(lab):
    text = text_of(lab)
    questions = text.count("**Explain it before you open the next fold.**")
    assert questions == text.count("**Explain it") and "**Read the result" not in text
    assert len(FOLDED.findall(text)) == text.count("<b>Read the result</b>") >= questions > 0
