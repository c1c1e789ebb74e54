"""Which provided cells must run so that a submission can be graded.

Most of a lab's minutes go into provided experiments: loops that train clones and draw a
figure from the student's functions. No score needs them. A provided cell runs when it binds
a name that a cell which runs refers to, whichever comes first, since a function looks its
names up when it is called. Whatever a student may write always runs.
"""

from __future__ import annotations

import symtable
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from autograder.cells import role


class Names(NamedTuple):
    """The global names that a cell binds, and those that it refers to."""

    bound: frozenset[str]
    used: frozenset[str]


NOTHING = Names(frozenset(), frozenset())


def needed(notebook: NotebookNode) -> list[bool]:
    """For each cell of a repaired notebook: must it run? (Text never does, tests always do.)"""
    names = [
        names_of(cell.source) if cell.cell_type == "code" else NOTHING for cell in notebook.cells
    ]
    runs = [cell.cell_type == "code" and role(cell) != "provided" for cell in notebook.cells]
    waiting = {i for i, cell in enumerate(notebook.cells) if role(cell) == "provided"}
    waiting = {i for i in waiting if notebook.cells[i].cell_type == "code"}
    wanted = frozenset[str]().union(*(names[i].used for i, run in enumerate(runs) if run))
    while found := {i for i in waiting if names[i].bound & wanted or "*" in names[i].bound}:
        waiting -= found
        for i in found:
            runs[i] = True
            wanted |= names[i].used
    return runs


def names_of(source: str) -> Names:
    """The names of a cell's code, IPython's magics included; nothing of code that cannot run.

    `from module import *` binds "*": it may bind anything.
    """
    try:
        table = symtable.symtable(TransformerManager().transform_cell(source), "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return NOTHING
    bound, used = set(), set()
    scopes = [table]
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            if scope is not table and not symbol.is_global():
                continue
            if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                bound.add(symbol.get_name())
            if symbol.is_referenced():
                used.add(symbol.get_name())
    if "import *" in source:
        bound.add("*")
    return Names(frozenset(bound), frozenset(used))
