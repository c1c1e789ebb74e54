"""Decides where each name in a test cell comes from: the grader's libraries or the notebook.

Only imports in the course's own cells count. A name that they import is the grader's, except that
`trickster.checks.probes`, which looks into the student's objects, is imported in the student's
process. All other names are the student's.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import symtable
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from autograder.referee.errors import CourseBug


class ImportSource(NamedTuple):
    """Where a name is imported from: a module, or an ``attribute`` of it."""

    module: str
    attribute: str = ""


Imports = Mapping[str, ImportSource]


class ResolvedNames(NamedTuple):
    """The names in a test cell, by where they come from."""

    graders: dict[str, Any]  # the grader's own objects
    probes: dict[str, str]  # "module:name", to be imported in the student's process
    students: list[str]  # names in the notebook


def free_names(source: str) -> list[str]:
    """The names that a cell uses and does not define itself, without builtins, in order."""
    try:
        top = symtable.symtable(source, "<test cell>", "exec")
    except SyntaxError as error:
        raise CourseBug(f"The test cell is not valid Python: {error}") from error
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


def imports_of(sources: Iterable[str]) -> dict[str, ImportSource]:
    """What these cells import at their top level, by name."""
    found: dict[str, ImportSource] = {}
    for statement in _statements(sources):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or whole] = ImportSource(whole)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                found[alias.asname or alias.name] = ImportSource(statement.module, alias.name)
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
            raise CourseBug(
                f"A cell that the course provides is not valid Python: {error}"
            ) from error


def resolve(names: Iterable[str], imports: Imports, exercises: Iterable[str] = ()) -> ResolvedNames:
    """Where each of the ``names`` comes from.

    exercises: the names that students are to define, which no import may hide.
    """
    resolved = ResolvedNames({}, {}, [])
    for name in names:
        source = imports.get(name)
        if source is None:
            resolved.students.append(name)
            continue
        if name in exercises:
            raise CourseBug(
                f"A provided cell imports {name!r}, and an exercise asks the student to define "
                "it: the test would test the import. Rename one."
            )
        try:
            module = importlib.import_module(source.module)
            if getattr(module, "BESIDE_THE_STUDENT", False):
                resolved.probes[name] = f"{source.module}:{source.attribute}"
            elif source.attribute and not hasattr(module, source.attribute):
                submodule = importlib.import_module(f"{source.module}.{source.attribute}")
                resolved.graders[name] = submodule
            else:
                found = getattr(module, source.attribute) if source.attribute else module
                resolved.graders[name] = found
        except ImportError as error:
            raise CourseBug(f"The grader can't import {name!r}: {error}") from error
    return resolved
