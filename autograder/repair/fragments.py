"""Texts of cells: what two of them have in common, what they define, where they can be cut.

A `Piece` is a stretch of a submitted cell, usually all of it; a `Slot` is a cell of the release
with the pieces that claim its place. Who claims what is `matching`'s business.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from nbformat import NotebookNode
from rapidfuzz import fuzz

from autograder.cells import grade_id, role

LONGEST_CODE = 20_000  # characters; nobody's answer is longer, and parsing takes its time
LONGEST_TEXT = 5_000  # of a text that may be code of which only the type was changed
LONGEST_COMPARED = 20_000
ALIKE = 60.0  # of 100; from here on two texts are two versions of one
COLAB_FORM = re.compile(r"^\s*#\s*@(title|markdown|param)\b.*$")
MAGIC = re.compile(r"^(\s*)[%!?].*$", re.MULTILINE)
TOP_LEVEL = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)")


@dataclass(eq=False)
class Piece:
    """A stretch of a submitted cell, and the slot that it was found to belong to."""

    cell: NotebookNode
    source: str
    slot: Slot | None = None
    by: str = ""  # what it was recognised by: name, id, equal, function, text, place, cut

    @cached_property
    def plain(self) -> str:
        return normal(self.source)

    @cached_property
    def tree(self) -> ast.Module | None:
        return parse(self.source)

    @cached_property
    def defines(self) -> frozenset[str]:
        code = self.cell.cell_type != "markdown"
        return (
            defined(self.source, code) if code or len(self.source) <= LONGEST_TEXT else frozenset()
        )


@dataclass(eq=False)
class Slot:
    """A cell of the release, and what was handed in for it, in the order of the submission."""

    cell: NotebookNode
    index: int
    defines: frozenset[str] = frozenset()  # names that no other cell of the release defines
    pieces: list[Piece] = field(default_factory=list)

    @cached_property
    def plain(self) -> str:
        return normal(self.cell.source)

    @property
    def name(self) -> str:
        return grade_id(self.cell)

    @property
    def role(self) -> str:
        return role(self.cell)

    @property
    def answer(self) -> bool:
        """Whether the student writes here."""
        return self.role in ("solution", "written")

    @property
    def graded(self) -> bool:
        return self.role in ("solution", "written", "test")

    @property
    def open(self) -> bool:
        """Whether nothing of the student's is in it: no piece, or the scaffold only."""
        return not any(self.filled_by(piece) for piece in self.pieces)

    def filled_by(self, piece: Piece) -> bool:
        return bool(piece.plain) and (not self.answer or piece.plain != self.plain)


def normal(source: str) -> str:
    """The text without what editors change: blanks at ends of lines, Colab's form comments."""
    lines = [line.rstrip() for line in source.split("\n") if not COLAB_FORM.match(line)]
    return "\n".join(lines).strip("\n")


def alike(one: str, other: str) -> float:
    """How alike two texts are, from 0 to 100; 0 when that is too dear to find out."""
    if max(len(one), len(other)) > LONGEST_COMPARED:
        return 0.0
    return fuzz.ratio(one, other, score_cutoff=ALIKE)


def parse(source: str) -> ast.Module | None:
    """The syntax tree of a cell, its magics and shell lines left out; None when there is none."""
    if len(source) > LONGEST_CODE:
        return None
    for text in (source, MAGIC.sub(r"\1pass", source)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a student's odd escapes are no news
                return ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    return None


def defined(source: str, code: bool = True) -> frozenset[str]:
    """The functions and classes at the top level; in broken code, what looks like them."""
    return frozenset(name for _, name in definitions(source, code))


def definitions(source: str, code: bool = True) -> list[tuple[int, str]]:
    """Each top-level function and class with the line (from 0) where its text begins."""
    tree = parse(source)
    lines = source.split("\n")
    if tree is None:
        found = [(place, TOP_LEVEL.match(line)) for place, line in enumerate(lines) if code]
        starts = [(place, match.group(1)) for place, match in found if match]
    else:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        nodes = [node for node in tree.body if isinstance(node, kinds)]
        starts = [
            (min([node.lineno, *(mark.lineno for mark in node.decorator_list)]) - 1, node.name)
            for node in nodes
        ]
    return [(_with_comments(lines, place), name) for place, name in starts]


def find_block(source: str, block: str) -> tuple[int, int] | None:
    """Between which lines of `source` the normalised `block` stands as whole lines, or None."""
    trimmed = [line.rstrip() for line in source.split("\n")]
    wanted = block.split("\n")
    if not block or block not in "\n".join(trimmed):
        return None
    for start in range(len(trimmed) - len(wanted) + 1):
        if trimmed[start] == wanted[0] and trimmed[start : start + len(wanted)] == wanted:
            return start, start + len(wanted)
    return None


def unique_names(slots: Iterable[Slot]) -> None:
    """Give each slot of code for answers the names that it alone defines."""
    slots = list(slots)
    every = [(slot, defined(slot.cell.source)) for slot in slots if slot.cell.cell_type == "code"]
    for slot, names in every:
        if slot.role == "solution":
            others = set().union(*(more for other, more in every if other is not slot))
            slot.defines = frozenset(names - others)


def _with_comments(lines: list[str], place: int) -> int:
    """The line where the comments right above line `place` begin."""
    while place > 0 and lines[place - 1].startswith("#"):
        place -= 1
    return place
