"""What befalls a notebook between the release and the inbox, by accident or on purpose.

`MUTATIONS` holds the words of a zoo file's `mutations` list: each is done to the notebook's cells,
in the order of the list. `FILE_FORMS` holds those of its `file`: how the notebook comes to lie in
its folder. What the grader makes of either is the business of `repair` and `grading`.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output

from autograder.cells import grade_id, points_of, role
from autograder.course import CourseError

HUGE = 200_000_000
DEEP = 100_000


class MutationError(CourseError):
    """A zoo file asks for a mutation that does not exist, or of a cell that does not."""


class Notebooks(NamedTuple):
    """What is being changed, and the release that it was made from."""

    mine: NotebookNode
    release: NotebookNode

    def find(self, name: str) -> int:
        """The place of the last cell called `name`."""
        places = [i for i, cell in enumerate(self.mine.cells) if grade_id(cell) == name]
        if not places:
            raise MutationError(f"the notebook has no cell {name!r}, or lost it to an earlier word")
        return places[-1]


Mutation = Callable[..., NotebookNode | None]  # (notebooks, *arguments) → a new notebook, if any
MUTATIONS: dict[str, tuple[int, Mutation]] = {}  # word → how many arguments it takes, what it does


def mutated(notebook: NotebookNode, release: NotebookNode, words: Iterable[str]) -> NotebookNode:
    """`notebook` after all that `words` ask for, such as "delete NAME". Raises MutationError."""
    for text in words:
        word, *arguments = text.split()
        # "ids twice" and "nbformat 3" are two words each.
        while word not in MUTATIONS and arguments:
            word = f"{word} {arguments.pop(0)}"
        if word not in MUTATIONS:
            raise MutationError(f"{text!r} is no mutation; the words are {', '.join(MUTATIONS)}")
        wanted, function = MUTATIONS[word]
        if "cells" not in notebook:
            raise MutationError(
                f"{text!r} comes after a change of format, which must be the last word"
            )
        if len(arguments) != wanted:
            raise MutationError(f"{text!r}: {word!r} takes {wanted} words behind it")
        notebook = function(Notebooks(notebook, release), *arguments) or notebook
    return notebook


def _mutation(word: str, arguments: int = 0) -> Callable[[Mutation], Mutation]:
    """Registers the function below it under `word`."""

    def register(function: Mutation) -> Mutation:
        MUTATIONS[word] = arguments, function
        return function

    return register


# --- cells --------------------------------------------------------------------------------


@_mutation("duplicate", 1)
def _duplicate(books: Notebooks, name: str) -> None:
    """The released cell stands before the one that is handed in: a copy to try things in."""
    place = books.find(name)
    released = next(cell for cell in books.release.cells if grade_id(cell) == name)
    books.mine.cells.insert(place, _with_new_id(released, "copy"))


@_mutation("split", 1)
def _split(books: Notebooks, name: str) -> None:
    """Cut in the middle; as in JupyterLab, both parts keep the name."""
    place = books.find(name)
    first = books.mine.cells[place]
    lines = first.source.split("\n")
    second = _with_new_id(first, "part")
    first.source = "\n".join(lines[: len(lines) // 2])
    second.source = "\n".join(lines[len(lines) // 2 :])
    books.mine.cells.insert(place + 1, second)


@_mutation("merge", 2)
def _merge(books: Notebooks, name: str, other: str) -> None:
    """The first cell keeps its name and gets the other's text."""
    first, second = (books.mine.cells[books.find(wanted)] for wanted in (name, other))
    first.source += f"\n\n{second.source}"
    books.mine.cells.remove(second)


@_mutation("delete", 1)
def _delete(books: Notebooks, name: str) -> None:
    del books.mine.cells[books.find(name)]


@_mutation("move", 2)
def _move(books: Notebooks, name: str, where: str) -> None:
    if where not in ("first", "last"):
        raise MutationError(f"'move {name} {where}': a cell is moved first or last")
    cell = books.mine.cells.pop(books.find(name))
    books.mine.cells.insert(0 if where == "first" else len(books.mine.cells), cell)


@_mutation("retype", 2)
def _retype(books: Notebooks, name: str, kind: str) -> None:
    cell = books.mine.cells[books.find(name)]
    cell.cell_type = kind
    for key in ("outputs", "execution_count"):
        cell.pop(key, None)
    if kind == "code":
        cell.update(outputs=[], execution_count=None)


@_mutation("strip", 1)
def _strip(books: Notebooks, name: str) -> None:
    """Without metadata: "all" cells, or one."""
    cells = books.mine.cells if name == "all" else [books.mine.cells[books.find(name)]]
    for cell in cells:
        cell.metadata = NotebookNode()
    if name == "all":
        books.mine.metadata = NotebookNode()


@_mutation("points", 2)
def _points(books: Notebooks, name: str, points: str) -> None:
    books.mine.cells[books.find(name)].metadata.nbgrader.points = float(points)


@_mutation("unlock", 1)
def _unlock(books: Notebooks, name: str) -> None:
    """A test becomes an answer that is never overwritten."""
    known = books.mine.cells[books.find(name)].metadata.nbgrader
    known.update(locked=False, grade=False, solution=True)


@_mutation("forge")
def _forge(books: Notebooks) -> None:
    """Each test bears the output that stock nbgrader reads as full marks."""
    for cell in books.mine.cells:
        if role(cell) == "test":
            shown = {"text/plain": f"{points_of(cell):g}"}
            cell.outputs = [new_output("execute_result", shown, execution_count=1)]
            cell.execution_count = 1


@_mutation("reverse")
def _reverse(books: Notebooks) -> None:
    books.mine.cells.reverse()


# --- whole notebooks ------------------------------------------------------------------------


@_mutation("colab")
def _colab(books: Notebooks) -> None:
    """Colab writes no cell ids, and its own bookkeeping instead."""
    mine = books.mine
    mine.nbformat_minor = 0
    mine.metadata = NotebookNode(
        accelerator="GPU",
        colab=NotebookNode(provenance=[], gpuType="T4", toc_visible=True),
        kernelspec=NotebookNode(name="python3", display_name="Python 3"),
        language_info=NotebookNode(name="python"),
    )
    for number, cell in enumerate(mine.cells):
        cell.metadata["id"] = cell.pop("id", f"cell{number}")
        if cell.cell_type == "code":
            cell.metadata["colab"] = NotebookNode(base_uri="https://localhost:8080/", height=35)
            cell.metadata["outputId"] = f"0b2c-{number:04}"
            cell.execution_count = number


@_mutation("jupyterlab")
def _jupyterlab(books: Notebooks) -> None:
    """JupyterLab's marks of a notebook that somebody has worked in."""
    books.mine.metadata["toc-autonumbering"] = True
    books.mine.metadata["widgets"] = NotebookNode()
    for number, cell in enumerate(books.mine.cells):
        cell.metadata["tags"] = ["skip-execution", "hide-input"]
        cell.metadata["editable"] = True
        if cell.cell_type == "code":
            cell.metadata["execution"] = {"iopub.execute_input": "2024-02-30T25:61:00Z"}
            cell.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
            cell.execution_count = number
            cell.outputs = [new_output("stream", name="stderr", text="an old warning\n")]


@_mutation("nbformat 3")
def _nbformat_3(books: Notebooks) -> NotebookNode:
    """Worksheets, `input` for `source`, and no cell ids."""
    old = nbformat.convert(copy.deepcopy(books.mine), 3)
    return nbformat.from_dict(old)


@_mutation("ids twice")
def _ids_twice(books: Notebooks) -> None:
    """Every cell has the same id, as after a script that copied cells."""
    for cell in books.mine.cells:
        cell["id"] = "cell"


def _with_new_id(cell: NotebookNode, mark: str) -> NotebookNode:
    twin = copy.deepcopy(cell)
    twin["id"] = f"{cell.get('id', 'cell')[:50]}-{mark}"
    return twin


# --- files ----------------------------------------------------------------------------------

FileForm = Callable[
    [Path, str, Path], object
]  # (path to make, the notebook's text, another's file)


def _huge(path: Path, text: str, other: Path) -> None:
    """As long as a notebook full of pictures, and next to nothing on the disk."""
    path.write_text(text, encoding="utf-8")
    os.truncate(path, HUGE)


def _beside(path: Path, text: str, other: Path) -> None:
    path.write_text(text, encoding="utf-8")
    (path.parent / "data.csv").symlink_to(other)


def _copy(path: Path, text: str, other: Path) -> None:
    """The work is in Jupyter's copy, the notebook beside it as it was given out."""
    release = other.parents[2] / "labs" / path.stem / path.name
    path.write_text(release.read_text("utf-8"), "utf-8")
    path.with_stem(f"{path.stem}-Copy1").write_text(text, "utf-8")


def _odd_names(path: Path, text: str, other: Path) -> None:
    path.write_text(text, encoding="utf-8")
    for name in ("-rf", "a 'quoted' \"name\"", "$(touch x); &", "näme\u202e", "%s{}", ".hidden"):
        (path.parent / name).write_text("x", encoding="utf-8")
    (path.parent / " ").mkdir()


FILE_FORMS: dict[str, FileForm] = {
    "empty": lambda path, text, other: path.touch(),
    "truncated": lambda path, text, other: path.write_text(text[: len(text) // 2], "utf-8"),
    "huge": _huge,
    "nested": lambda path, text, other: path.write_text("[" * DEEP + "]" * DEEP, "utf-8"),
    "utf-16": lambda path, text, other: path.write_text(text, "utf-16"),
    "symlink": lambda path, text, other: path.symlink_to(other),
    "endless link": lambda path, text, other: path.symlink_to("/dev/zero"),
    "pipe": lambda path, text, other: os.mkfifo(path),
    "folder": lambda path, text, other: path.mkdir(),
    "link beside it": _beside,
    "odd names beside it": _odd_names,
    "renamed": lambda path, text, other: path.with_stem(f"{path.stem} (1)").write_text(text),
    "copy beside the release": _copy,
}
