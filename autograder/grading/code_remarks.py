"""What an instructor should know of a submission's code before trusting its points.

Nothing here costs points or shows in a student's page. Answers may be the course's own, which are
public, marks and all. A notebook's code may carry a table of pictures that everybody can download,
or a model that was trained elsewhere: that shows in how much data it holds, counted after
compression, so that neither prose nor long lists of zeros count much. What of the library it
repeats is found in `library_text`.
"""

from __future__ import annotations

import ast
import warnings
import zlib
from collections.abc import Iterable, Iterator

from nbformat import NotebookNode

from autograder.cells import MARKER, grade_id, role
from autograder.course import CourseError
from autograder.foreign_text import listed
from autograder.grading.bounded import Bounds, OverLimit, within
from autograder.grading.exercise_remarks import on_exercises
from autograder.grading.library_text import (
    code_in,
    repeated,
    shell_commands,
    ways_around,
)
from autograder.grading.required_cells import MOST_LINES, other_readings, without_magics

# Bytes, compressed. Honest submissions hold up to 700 and 3,600; ordinary Python code
# has 3 and 14 a line, 7 and 20 where it is dense. To know 5,000 pictures takes 3,000 with one error
# in ten and 20,000 with none; 256 centres of 16 coarse features take 4,000.
MOST_DATA = 3_000  # in strings and numbers
MOST_CODE = 11_000  # of everything that code can read of itself: comments and names as well
MOST_NAMED = 3
LOOKING = Bounds("Looking through the code", computing=20, waiting=120)


def remarks_on(notebook: NotebookNode, withheld: Iterable[str] = ()) -> tuple[str, ...]:
    """Sentences on the code that a student wrote in a repaired notebook.

    `withheld` are the names of the library that tests of this notebook have withheld.
    """
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code" and _own(cell)]
    copied = tuple(_on_solutions(notebook))
    try:
        return *copied, *within(LOOKING, _remarks, cells, sorted(withheld))
    except OverLimit as error:
        return *copied, str(error)
    except CourseError:  # a busy machine: no reason to fail the submission
        return *copied, "There was no time to look through its code."


def _own(cell: NotebookNode) -> bool:
    return role(cell) not in ("test", "provided")


def _on_solutions(notebook: NotebookNode) -> Iterator[str]:
    """The marks around answers in the course's own solutions, which no release has."""
    marked = [cell for cell in notebook.cells if _own(cell) and MARKER.search(cell.source)]
    if marked:
        names = [grade_id(cell) or "a cell of its own" for cell in marked]
        yield (
            "Answers have the marks that only the course's own solutions have "
            f"({MARKER.search(marked[0].source)[0]}): {listed(names, MOST_NAMED)}."
        )


def _remarks(cells: list[str], withheld: list[str]) -> tuple[str, ...]:
    try:
        return *_on_data(cells), *_on_library(cells, withheld)
    except RecursionError:
        return ("Its code is nested too deeply to be looked through.",)


# --- the library's answers -----------------------------------------------------------------------


def _on_library(cells: list[str], withheld: list[str]) -> Iterator[str]:
    if not withheld:
        return
    by_cell = [_trees(source) for source in cells]
    trees = [tree for found in by_cell for tree in found]
    unread = (source for source, found in zip(cells, by_cell, strict=True) if not found)
    if any(source.count("\n") > MOST_LINES for source in unread):
        yield "A cell of its code is too long to be looked through, and no plain Python."
    trees += [inner for tree in trees for inner in code_in(tree)]
    yield from on_exercises(trees, withheld)
    for place in repeated(trees, withheld):
        yield f"Its code repeats {place} word for word, which answers an exercise here."
    commands = [line for source in cells for line in shell_commands(source)]
    words = [word for word in ways_around(trees) if not any(word in line for line in commands)]
    if words := [*words, *commands]:
        yield (
            f"Its code uses {', '.join(words)}, which may lead to the library's own answers past "
            "the test: look at what it does there."
        )


def _trees(source: str) -> list[ast.Module]:
    """A cell's code; where it is no plain Python, each way to read it that is."""
    if plain := _parsed(source):
        return [plain]
    return [tree for text in other_readings(source) if (tree := _parsed(text))]


# --- data ---------------------------------------------------------------------------------------


def _on_data(cells: list[str]) -> Iterator[str]:
    data = _compressed(b"\n".join(literals(source) for source in cells))
    code = _compressed("\n".join(cells).encode("utf-8", "surrogatepass"))
    if data > MOST_DATA:
        yield (
            f"Its code holds {data / 1_000:.1f} KB of data (usual: up to 0.7): look for a table, "
            "or a model that was trained elsewhere."
        )
    elif code > MOST_CODE:
        yield (
            f"Its code is {code / 1_000:.1f} KB long, compressed (usual: below 3.5): look for data "
            "in comments and names."
        )


def _compressed(data: bytes) -> int:
    return len(zlib.compress(data, 9))


def literals(source: str) -> bytes:
    """The strings and numbers in a cell's code, without documentation; lines that IPython reads.

    All of the cell where it is no Python.
    """
    tree, found = _parsed(source), []
    if tree is None:
        plain = without_magics(source)
        tree, kept = _parsed(plain), set(plain.split("\n"))
        if tree is None:
            return _as_bytes(source)
        found = [_as_bytes(line) for line in source.split("\n") if line not in kept]
    texts = {id(text) for node in ast.walk(tree) for text in _documentation(node)}
    values = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in texts)
    return b"\n".join([*found, *map(_as_bytes, values)])


def _parsed(source: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes in a student's strings
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _documentation(node: ast.AST) -> Iterator[ast.Constant]:
    """The documentation string of a function or class."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            yield first.value


def _as_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return f"{value:x}".encode()  # no limit on its digits, as decimal ones have
    return str(value).encode("utf-8", "surrogatepass")
