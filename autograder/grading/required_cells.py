"""Which provided cells must run so that a submission can be graded.

Most of a lab's minutes go into provided experiments: loops that train clones and draw a
figure from the student's functions. No score needs them. A provided cell runs when it binds
a name that a cell which runs refers to, whichever comes first, since a function looks its
names up when it is called. A name that a cell binds before it reads it, such as a loop's, is its
own: see `reading_order`. Whatever a student may write always runs.
"""

from __future__ import annotations

import re
import symtable
import warnings
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from nbformat import NotebookNode

from autograder.cells import role
from autograder.grading.reading_order import read_before_bound

MOST_LINES = 400  # of a cell that IPython reads: a few seconds, whatever is in them
TIMED = re.compile(  # what follows, and options, is code
    r"^%{1,2}(?:time|timeit|prun)\b[ \t]*"
    r"(?:-(?:[nrp][ \t]*\d+|[lsTD][ \t]*\S+|[a-zA-Z]+)(?:[ \t]+|$))*",
    re.MULTILINE,
)
ASSIGNED = re.compile(r"^([^=%!?#'\"\n]+=)[ \t]*[%!].*$", re.MULTILINE)  # files = !ls
MAGIC = re.compile(r"^([ \t]*)(?:[%!?].*|[\w.%*]+\?{1,2}[ \t]*)$", re.MULTILINE)
CONTINUED = re.compile(r"^[ \t]*[%!](?:[^\n]*\\\n)+", re.MULTILINE)  # onto the next line

# What IPython makes of magics; hand-written, it is a student's way to IPython.
GENERATED = re.compile(
    r"\bget_ipython\(\)\.(?:system\(|getoutput\(|run_(?:line|cell)_magic\('[^']*', )"
)


class Names(NamedTuple):
    """The global names that a cell binds, and those that it needs from elsewhere."""

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
    for text in chain((source,), other_readings(source)):
        table = _table(text)
        if table is not None:
            bound, used = _globals(table)
            used -= bound - _read_first(text, used)
            break
    else:
        return NOTHING
    if "import *" in source:
        bound.add("*")
    return Names(frozenset(bound), frozenset(used))


def _globals(table: symtable.SymbolTable) -> tuple[set[str], set[str]]:
    """The global names that code binds, and those that it refers to."""
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
    return bound, used


def _read_first(source: str, used: set[str]) -> set[str]:
    """Of the names that code uses, those that it may read before it binds them; all if unclear."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_before_bound(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return used


def other_readings(source: str) -> Iterator[str]:
    """A cell that is no Python as it stands: without its magics, and as IPython itself reads it.

    IPython takes away prompts (`>>> `), too, and knows a magic from a line that begins with `%`.
    It begins anew after each line that it has changed, so long cells are not read that way.
    """
    yield without_magics(source)
    if source.count("\n") > MOST_LINES:
        return
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of lines that end in an odd way
            text = TransformerManager().transform_cell(source)
    except (SyntaxError, ValueError, RuntimeError, MemoryError):  # also after 500 changes
        return
    yield text if "get_ipython" in source else GENERATED.sub("(", text)


def without_magics(source: str) -> str:
    """A cell's Python alone: IPython's magics, shell lines and questions are replaced."""
    source = CONTINUED.sub(lambda match: match.group().replace("\\\n", " "), source)
    source = ASSIGNED.sub(r"\1 None", TIMED.sub("", source))
    return MAGIC.sub(r"\1pass", source)


def _table(source: str) -> symtable.SymbolTable | None:
    """The names of Python code, or None where it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes in a student's strings
            return symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
