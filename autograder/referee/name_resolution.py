"""Where the names in a test cell come from: the grader's own libraries, or the student's notebook.

Only cells that nobody but the course can have written are asked what they import. A name that
they import is the grader's; `trickster.checks.probes`, which looks into the student's objects,
is taken from the module of that name in the student's process.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import symtable
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from autograder.referee.errors import CourseBug


class Source(NamedTuple):
    """Where a name is imported from: a module, or an ``attribute`` of it."""

    module: str
    attribute: str = ""


Imports = Mapping[str, Source]


def free_names(source: str) -> list[str]:
    """The names that a cell uses and does not make itself, builtins left out, in order."""
    try:
        top = symtable.symtable(source, "<test cell>", "exec")
    except SyntaxError as error:
        raise CourseBug(f"The test cell is no Python: {error}") from error
    own = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    used = [name for name in _global_names(top) if name not in own]
    return [name for name in dict.fromkeys(used) if not hasattr(builtins, name)]


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _global_names(child)


def imports_of(sources: Iterable[str]) -> dict[str, Source]:
    """What these cells import at their top level, by name."""
    found: dict[str, Source] = {}
    for statement in _statements(sources):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or whole] = Source(whole)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                found[alias.asname or alias.name] = Source(statement.module, alias.name)
    return found


def definitions_of(sources: Iterable[str]) -> set[str]:
    """The functions and classes that these cells define."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {s.name for s in _statements(sources) if isinstance(s, kinds)}


def _statements(sources: Iterable[str]) -> Iterator[ast.stmt]:
    for source in sources:
        try:
            yield from ast.parse(source).body
        except SyntaxError as error:
            raise CourseBug(f"A cell that the course provides is no Python: {error}") from error


def sort_out(
    names: Iterable[str], imports: Imports, asked: Iterable[str] = ()
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The grader's objects, the probes as "module:name", and the student's names.

    ``asked``: what the course asks the student to define, which nothing may hide.
    """
    mine: dict[str, Any] = {}
    probes: dict[str, str] = {}
    theirs: list[str] = []
    for name in names:
        source = imports.get(name)
        if source is None:
            theirs.append(name)
            continue
        if name in asked:
            raise CourseBug(
                f"A provided cell imports {name!r}, and an exercise asks the student to define "
                "it: the test would test the import. Rename one."
            )
        try:
            module = importlib.import_module(source.module)
            if getattr(module, "BESIDE_THE_STUDENT", False):
                probes[name] = f"{source.module}:{source.attribute}"
            elif source.attribute and not hasattr(module, source.attribute):
                mine[name] = importlib.import_module(f"{source.module}.{source.attribute}")
            else:
                mine[name] = getattr(module, source.attribute) if source.attribute else module
        except ImportError as error:
            raise CourseBug(f"The grader can't import {name!r}: {error}") from error
    return mine, probes, theirs
