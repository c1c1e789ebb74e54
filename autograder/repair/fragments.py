"""The texts of cells: what they define, how similar they are, and where they can be cut.

A `Fragment` is a part of a submitted cell, usually all of it; a `Slot` is a cell of the release
with the fragments that were matched to it. The matching itself is in `matching`.
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

MAX_PARSED = 20_000  # characters; no answer is longer, and parsing takes time
MAX_PARSED_MARKDOWN = 5_000  # characters of a text cell that may be a retyped code cell
MAX_COMPARED = 20_000  # characters
SIMILAR = 60.0  # of 100; from here on, two texts are versions of the same one
COLAB_FORM = re.compile(r"^\s*#\s*@(title|markdown|param)\b.*$")
MAGIC = re.compile(r"^([ \t]*)[%!?].*$", re.MULTILINE)
TOP_LEVEL = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)")


@dataclass(eq=False)
class Fragment:
    """A part of a submitted cell, and the slot that it was matched to."""

    cell: NotebookNode
    source: str
    slot: Slot | None = None
    matched_by: str = ""  # name, id, equal, function, text, place, cut

    @cached_property
    def text(self) -> str:
        return normalize(self.source)

    @cached_property
    def tree(self) -> ast.Module | None:
        return parse(self.source)

    @cached_property
    def defines(self) -> frozenset[str]:
        is_code = self.cell.cell_type != "markdown"
        if not is_code and len(self.source) > MAX_PARSED_MARKDOWN:
            return frozenset()
        return defined_names(self.source, is_code)


@dataclass(eq=False)
class Slot:
    """A cell of the release, and what was handed in for it, in the order of the submission."""

    cell: NotebookNode
    index: int
    defines: frozenset[str] = frozenset()  # names that no other cell of the release defines
    fragments: list[Fragment] = field(default_factory=list)

    @cached_property
    def text(self) -> str:
        return normalize(self.cell.source)

    @property
    def name(self) -> str:
        return grade_id(self.cell)

    @property
    def role(self) -> str:
        return role(self.cell)

    @property
    def is_answer(self) -> bool:
        """Whether the student writes here."""
        return self.role in ("solution", "written")

    @property
    def is_graded(self) -> bool:
        return self.role in ("solution", "written", "test")

    @property
    def unfilled(self) -> bool:
        """Whether it holds nothing of the student's: no fragment, or only the scaffold."""
        return not any(self.filled_by(fragment) for fragment in self.fragments)

    def filled_by(self, fragment: Fragment) -> bool:
        return bool(fragment.text) and (not self.is_answer or fragment.text != self.text)


def normalize(source: str) -> str:
    """The text without what editors change: trailing blanks, and Colab's form comments."""
    lines = [line.rstrip() for line in source.split("\n") if not COLAB_FORM.match(line)]
    return "\n".join(lines).strip("\n")


def similarity(one: str, other: str) -> float:
    """How similar two texts are, from 0 to 100; 0 where they are too long to compare."""
    if max(len(one), len(other)) > MAX_COMPARED:
        return 0.0
    return fuzz.ratio(one, other, score_cutoff=SIMILAR)


def parse(source: str) -> ast.Module | None:
    """The syntax tree of a cell without its magics and shell lines; None if it cannot be parsed."""
    if len(source) > MAX_PARSED:
        return None
    for text in (source, MAGIC.sub(r"\1pass", source)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about odd escapes in a student's strings
                return ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    return None


def defined_names(source: str, code: bool = True) -> frozenset[str]:
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
    """The (first, end) lines of `source` that are the normalized `block`; None if it is absent."""
    trimmed = [line.rstrip() for line in source.split("\n")]
    wanted = block.split("\n")
    if not block or block not in "\n".join(trimmed):
        return None
    for start in range(len(trimmed) - len(wanted) + 1):
        if trimmed[start] == wanted[0] and trimmed[start : start + len(wanted)] == wanted:
            return start, start + len(wanted)
    return None


def set_unique_names(slots: Iterable[Slot]) -> None:
    """Set each code answer's `defines` to the names that no other cell defines."""
    code = [slot for slot in slots if slot.cell.cell_type == "code"]
    names_by_slot = {slot: defined_names(slot.cell.source) for slot in code}
    for slot, names in names_by_slot.items():
        if slot.role == "solution":
            others = set().union(
                *(more for other, more in names_by_slot.items() if other is not slot)
            )
            slot.defines = frozenset(names - others)


def _with_comments(lines: list[str], place: int) -> int:
    """The line where the comments right above line `place` begin."""
    while place > 0 and lines[place - 1].startswith("#"):
        place -= 1
    return place
