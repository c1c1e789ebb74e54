"""Mends a submitted notebook: every cell of the release once, in its order, with its metadata.

The release is trusted for all that is not a student's answer; the answers come from the
submission. Nothing that a student wrote is lost: a second version of an answer, and a changed
test cell, stay in the notebook as text that is not run. Each change is told in a `Note`.
How cells are recognised is `matching`'s business.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

from autograder.course import CourseError
from autograder.repair import notes as say
from autograder.repair.diagnosis import of_cell, of_notebook
from autograder.repair.fragments import Piece, Slot, alike, parse
from autograder.repair.matching import Match
from autograder.repair.notes import Note
from autograder.repair.salvage import name_cell, salvage
from autograder.repair.salvage import parse as read_text

MOST_PARTS = 10  # nobody splits an answer over more cells


class AnotherNotebook(CourseError):
    """A notebook, but none of this lab."""


@dataclass(frozen=True)
class Mended:
    """A notebook that can be graded, and what was done to it."""

    notebook: NotebookNode
    notes: list[Note]
    related: bool  # whether any exercise of the lab was found in it


@dataclass
class Filled:
    """What goes into a slot: its text, the pieces it is made of, and versions kept aside."""

    source: str
    used: list[Piece] = field(default_factory=list)
    aside: list[NotebookNode] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def mend(submitted: NotebookNode | dict[str, Any] | str, release: NotebookNode) -> Mended:
    """The submission as a gradable copy of `release`; mending twice changes nothing more.

    Raises `salvage.NotANotebook` for what is no notebook, and nothing else: a notebook without
    any cell of the lab gives the release, followed by what was handed in.
    """
    read = read_text(submitted) if isinstance(submitted, str) else salvage(submitted)
    match = Match(read, release)
    filled = [_fill(slot, match) for slot in match.slots]
    notebook = copy.deepcopy(release)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.cells = _assemble(match, filled)
    notes = [*of_notebook(read, match), *(note for one in filled for note in one.notes)]
    return Mended(notebook, notes, match.related)


def check_related(mended: Mended, submitted: NotebookNode, lab: str) -> None:
    """Raise AnotherNotebook when nothing in the submission belongs to `lab`."""
    if mended.related:
        return
    said = submitted.metadata.get("trickster", {}).get("lab")
    guess = f" It says that it is {said!r}." if said and said != lab else ""
    raise AnotherNotebook(
        f"The notebook has no cell of {lab}: none of its tests, answers or functions.{guess} "
        "Hand in the notebook of this lab."
    )


# --- what goes into a cell ----------------------------------------------------------------


def _fill(slot: Slot, match: Match) -> Filled:
    if not slot.pieces:
        filled = Filled(slot.cell.source)
        if slot.name or slot.cell.cell_type == "code":
            filled.notes.append(say.restored(slot.name or slot.cell.id, slot.role))
        return filled
    if slot.answer:
        filled = _answer(slot, match)
    elif slot.name:
        filled = _locked(slot)
    else:  # free for all: the student may have written a prediction into it
        (piece,) = slot.pieces
        filled = Filled(slot.cell.source if piece.plain == slot.plain else piece.source, [piece])
    filled.notes += of_cell(slot, filled.used)
    return filled


def _locked(slot: Slot) -> Filled:
    """A test or provided cell: the release's text, whatever was handed in."""
    same = [piece for piece in slot.pieces if piece.plain == slot.plain]
    changed = [piece for piece in slot.pieces if piece.plain != slot.plain and piece.plain]
    filled = Filled(slot.cell.source, (same or changed or slot.pieces)[:1])
    if len(same) > 1:
        filled.notes.append(say.duplicated(slot.name, len(same)))
    if not same and not changed:
        filled.notes.append(say.restored(slot.name, slot.role))
    elif not same and len(changed) > 1 and _words(changed) == slot.plain.split():
        filled.notes.append(say.split(slot.name))
    elif changed:
        filled.notes.append(say.edited(slot.name, slot.role == "test"))
        about = f"What was handed in as the cell `{slot.name}`; the lab's own stands above."
        versions = {piece.plain: piece for piece in changed}
        filled.aside = [_aside(slot, [piece], about) for piece in versions.values()]
    return filled


def _words(pieces: list[Piece]) -> list[str]:
    return [word for piece in pieces for word in piece.plain.split()]


def _answer(slot: Slot, match: Match) -> Filled:
    """A student's answer: the best of what was handed in for it."""
    written = [piece for piece in slot.pieces if slot.filled_by(piece)]
    untouched = [piece for piece in slot.pieces if piece.plain == slot.plain]
    if not written:
        filled = Filled(slot.cell.source, slot.pieces[:1])
        if not untouched:
            filled.notes.append(say.restored(slot.name, slot.role))
        elif len(untouched) > 1:
            filled.notes.append(say.duplicated(slot.name, len(untouched)))
        return filled
    versions = _versions(slot, written, match)
    best, why = _best(slot, versions)
    filled = Filled(_joined(slot, best), best)
    if len(versions) > 1:
        filled.notes.append(say.chosen(slot.name, len(versions), why, slot.role == "written"))
    elif untouched and best[0].by == "function":
        filled.notes.append(say.found(slot.name))
    elif len(slot.pieces) > len(best):
        filled.notes.append(say.duplicated(slot.name, len(slot.pieces)))
    if len(best) > 1:
        filled.notes.append(say.split(slot.name))
    about = f"Another version of `{slot.name}`; the one above was taken."
    filled.aside = [_aside(slot, parts, about) for parts in versions if parts is not best]
    return filled


def _versions(slot: Slot, written: list[Piece], match: Match) -> list[list[Piece]]:
    """The different versions of an answer, in order, each a list of the parts it was split into."""
    places = {piece: place for place, piece in enumerate(match.pieces)}
    groups: list[list[Piece]] = []
    for piece in written:
        last = groups[-1] if groups else []
        between = match.pieces[places[last[-1]] + 1 : places[piece]] if last else []
        beside = all(other.slot is None for other in between)
        if last and beside and _is_continued(slot, last, piece):
            last.append(piece)
        else:
            groups.append([piece])
    # Of the same text twice, the later one stands for both.
    texts = {tuple(piece.plain for piece in parts): parts for parts in reversed(groups)}
    return [parts for parts in groups if texts[tuple(piece.plain for piece in parts)] is parts]


def _is_continued(slot: Slot, parts: list[Piece], piece: Piece) -> bool:
    """Whether `piece` is the next part of an answer that was split, not another version of it."""
    before = _joined(slot, parts)
    if (
        len(parts) == MOST_PARTS
        or piece.plain in before
        or before in piece.plain
        or alike(before, piece.plain)
    ):
        return False
    if slot.role == "written":
        return True
    if parse(_joined(slot, [*parts, piece])) is None:
        return False
    if parse(before) is None or piece.tree is None:  # cut through the middle of a function
        return True
    return not any(part.defines & piece.defines for part in parts)


def _joined(slot: Slot, parts: list[Piece]) -> str:
    blank = "\n\n" if slot.role == "written" else "\n"
    return blank.join(part.source for part in parts)


def _best(slot: Slot, versions: list[list[Piece]]) -> tuple[list[Piece], str]:
    """The version to be graded, and the words that say which it is."""
    if slot.role == "written":
        return versions[-1], "the last one in the notebook"

    def merits(parts: list[Piece]) -> tuple[bool, bool]:
        defines = frozenset().union(*(part.defines for part in parts))
        return parse(_joined(slot, parts)) is not None, bool(slot.defines & defines)

    best = max(reversed(versions), key=merits)  # the first of equals: the last in the notebook
    rivals = [merits(parts) for parts in versions if parts is not best]
    readable, fitting = merits(best)
    if readable and not any(other[0] for other in rivals):
        return best, "the only one that Python can read"
    if fitting and not any(other[1] for other in rivals if other[0] == readable):
        return best, f"the only one that defines {' and '.join(sorted(slot.defines))}"
    return best, "the last one in the notebook" + ("" if versions[-1] is best else " that can run")


def _aside(slot: Slot, parts: list[Piece], about: str) -> NotebookNode:
    """A version that is kept as text: it is not run and not graded."""
    source = _joined(slot, parts)
    if slot.cell.cell_type == "code":
        fence = "```"
        while fence in source:
            fence += "`"
        source = f"{fence}python\n{source}\n{fence}"
    text = f"**Kept, not run.** {about}\n\n{source}"
    cell = NotebookNode(cell_type="markdown", id="", metadata=NotebookNode(), source=text)
    if pictures := _pictures(parts):
        cell.attachments = pictures
    return cell


# --- the notebook -------------------------------------------------------------------------


def _assemble(match: Match, filled: list[Filled]) -> list[NotebookNode]:
    """The release's cells in order; behind each what was kept aside, then the student's own."""
    used = {piece for one in filled for piece in one.used}
    extras: dict[int, list[NotebookNode]] = {-1: []}
    anchor = -1
    for piece in match.pieces:
        if piece in used:
            anchor = piece.slot.index
        elif piece.slot is None:
            extras.setdefault(anchor, []).append(_extra(piece))
    theirs, cells = list(extras[-1]), list(extras[-1])
    for slot, one in zip(match.slots, filled, strict=True):
        behind = [*one.aside, *extras.get(slot.index, [])]
        theirs += behind
        cells += [_provided(slot, one), *behind]
    _set_ids(theirs, set(match.ids))
    return cells


def _provided(slot: Slot, filled: Filled) -> NotebookNode:
    """The release's cell with what was handed in for it."""
    cell = copy.deepcopy(slot.cell)
    cell.source = filled.source
    if cell.cell_type == "code":
        cell.update(execution_count=None, outputs=[])
    elif (slot.answer or not slot.name) and (pictures := _pictures(filled.used)):
        cell.attachments = pictures
    return cell


def _extra(piece: Piece) -> NotebookNode:
    """A cell that the student added, without any metadata."""
    cell = copy.deepcopy(piece.cell)
    cell.source, cell.metadata = piece.source, NotebookNode()
    return cell


def _pictures(pieces: list[Piece]) -> NotebookNode:
    found = NotebookNode()
    for piece in pieces:
        found.update(piece.cell.get("attachments", {}))
    return found


def _set_ids(cells: list[NotebookNode], ours: set[str]) -> None:
    """The student's own cells keep their ids where nobody else bears them, else get one."""
    borne = ours | {cell.id for cell in cells}
    used = set(ours)
    for cell in cells:
        if not cell.id or cell.id in used:
            cell.id = name_cell(cell, lambda wanted: wanted in borne or wanted in used)
        used.add(cell.id)
