"""Compares what a scaffold promises with what its solution is: signatures and docstrings.

The scaffold is the released cell, the solution the cell of the source. Only names that a
student sees count: functions, classes and methods that do not begin with one underscore.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from nbformat import NotebookNode

from autograder.cells import grade_id, role


@dataclass(frozen=True)
class Promise:
    """What a definition tells its user."""

    signature: str
    docstring: str | None


def drift(source: NotebookNode, release: NotebookNode) -> list[str]:
    """A sentence for each public definition in which scaffold and solution differ."""
    scaffolds = {grade_id(cell): cell.source for cell in release.cells if grade_id(cell)}
    found: list[str] = []
    for cell in source.cells:
        name = grade_id(cell)
        if role(cell) == "solution" and name in scaffolds:
            found += [f"cell {name}: {text}" for text in _compare(cell.source, scaffolds[name])]
    return found


def _compare(solution: str, scaffold: str) -> list[str]:
    try:
        wanted = promises(solution)
    except SyntaxError as error:
        return [f"the solution is no valid Python: {error.msg} in line {error.lineno}."]
    try:
        given = promises(scaffold)
    except SyntaxError as error:
        return [
            f"the scaffold is no valid Python: {error.msg} in line {error.lineno}. "
            "Leave whole statements outside the solution region."
        ]
    found = []
    for name, promise in wanted.items():
        if name not in given:
            found.append(
                f"the solution defines {promise.signature}, the scaffold does not. Move its first "
                "line and docstring out of the solution region, or begin its name with _."
            )
        elif given[name].signature != promise.signature:
            found.append(
                f"the scaffold says {given[name].signature}, the solution {promise.signature}."
            )
        elif given[name].docstring != promise.docstring:
            found.append(f"the docstring of {name} is not the solution's. Build the release anew.")
    for name in given:
        if name not in wanted:
            found.append(f"the scaffold defines {given[name].signature}, the solution does not.")
    return found


def promises(code: str) -> dict[str, Promise]:
    """Every public definition in a cell, by its dotted name."""
    plain = "\n".join("pass" if line[:1] in ("%", "!") else line for line in code.split("\n"))
    return _promises(ast.parse(plain), "")


def _promises(parent: ast.AST, prefix: str) -> dict[str, Promise]:
    found: dict[str, Promise] = {}
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if _private(node.name):
                continue
            name = prefix + node.name
            found[name] = Promise(_signature(node, name), ast.get_docstring(node))
            if isinstance(node, ast.ClassDef):
                found |= _promises(node, f"{name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            found |= _promises(node, prefix)
    return found


def _private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, name: str) -> str:
    marks = "".join(f"@{ast.unparse(mark)} " for mark in node.decorator_list)
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in (*node.bases, *node.keywords))
        return f"{marks}class {name}({bases})" if bases else f"{marks}class {name}"
    kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{marks}{kind}{name}({ast.unparse(node.args)}){returns}"
