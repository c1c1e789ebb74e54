"""The rooms of the house: who imports whom, and how large a file or a function may become."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from reference import ROOT

PACKAGES = ("trickster", "autograder")
LARGEST_FILE, LARGEST_LAB_CHECK, LARGEST_FUNCTION = 450, 400, 60  # lines
# What only a machine that grades needs; a student on Colab installs trickster alone.
GRADING_ONLY = ("autograder", "nbgrader", "IPython", "ipykernel", "jupyter_client", "nbformat")
# What displays itself in a notebook finds IPython there; everywhere else it is not asked to.
SHOWN_IN_NOTEBOOKS = {"trickster.playground": {"IPython"}}
SEE_NBGRADER = {"autograder.nbgrader_api", "autograder.nbgrader_plugins"}


def is_submission(path: Path) -> bool:
    """The zoo's files are students' notebooks, not modules."""
    return "zoo" in path.parts


@cache
def modules() -> dict[str, Path]:
    """Every module of the two packages, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not is_submission(path):
                parts = path.relative_to(ROOT).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from run_time_nodes(node)


def imported(name: str, path: Path) -> set[str]:
    """The dotted names that a module imports when it runs, at its top or in its functions."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in run_time_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{above}.{base}".rstrip(".")
            # What is a module of ours by itself does not need its package.
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= names if names <= modules().keys() else names | {base}
    return found


@cache
def graph() -> dict[str, set[str]]:
    """For each module the modules of the house that it imports."""
    return {
        name: {other for other in imported(name, path) if other in modules()} - {name}
        for name, path in modules().items()
    }


def test_imports_run_in_no_circle():
    try:
        tuple(TopologicalSorter(graph()).static_order())
    except CycleError as error:
        pytest.fail(f"Imports run in a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("name", [n for n in modules() if n.split(".")[0] == "trickster"])
def test_the_library_needs_nothing_of_grading(name):
    roots = {other.split(".")[0] for other in imported(name, modules()[name])}
    assert roots & set(GRADING_ONLY) == SHOWN_IN_NOTEBOOKS.get(name, set())


def test_nbgrader_is_imported_in_two_modules_only():
    seen = {
        name
        for name, path in modules().items()
        if any(other.split(".")[0] == "nbgrader" for other in imported(name, path))
    }
    assert seen == SEE_NBGRADER


@pytest.mark.parametrize("name", modules())
def test_a_file_can_be_read_in_one_sitting(name):
    path = modules()[name]
    is_lab_check = path.parent.name == "checks" and path.name.startswith("lab")
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < (LARGEST_LAB_CHECK if is_lab_check else LARGEST_FILE + 1)


@pytest.mark.parametrize("name", modules())
def test_a_function_fits_on_a_screen(name):
    tree = ast.parse(modules()[name].read_text(encoding="utf-8"))
    lengths = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {n: lines for n, lines in lengths.items() if lines > LARGEST_FUNCTION} == {}


@pytest.mark.parametrize("name", modules())
def test_a_file_says_first_what_it_owns(name):
    tree = ast.parse(modules()[name].read_text(encoding="utf-8"))
    words = ast.get_docstring(tree)
    assert words or not tree.body  # an empty __init__ owns nothing
    assert not words or words.splitlines()[0].endswith((".", ":", "?"))
