"""Finds what happened to a submission's metadata, cell types and order, as notes.

It reads a finished `Match`. Notes on the texts are made where they are chosen, in `mend`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from nbformat import NotebookNode

from autograder.cells import grade_id
from autograder.repair import notes
from autograder.repair.fragments import Fragment, Slot
from autograder.repair.matching import Match
from autograder.repair.notes import Note

CERTAIN = ("name", "id", "equal", "text")  # how a cell whose place is known was matched
FLAGS = ("grade", "solution", "locked", "task", "schema_version")


def cell_notes(slot: Slot, used: list[Fragment]) -> Iterator[Note]:
    """Notes on the type and the metadata of a cell; missing metadata get one note for all cells."""
    first = used[0]
    if not slot.name or first.matched_by in ("cut", "function"):
        return
    if first.cell.cell_type != slot.cell.cell_type:
        yield notes.retyped(slot.name, first.cell.cell_type, slot.cell.cell_type)
    ours = slot.cell.metadata.nbgrader
    theirs = first.cell.metadata.get("nbgrader", {})
    if theirs:
        keys = [key for key in FLAGS if theirs.get(key) != ours.get(key)]
        if theirs.get("grade_id") != slot.name:
            keys.insert(0, "grade_id")
        if "points" in ours and "points" not in theirs:
            keys.append("points")
        if keys:
            yield notes.changed_metadata(slot.name, keys)
    for fragment in slot.fragments:
        claimed = fragment.cell.metadata.get("nbgrader", {}).get("points", ours.get("points"))
        if fragment.matched_by == "name" and "points" in ours and claimed != ours.points:
            yield notes.changed_points(slot.name, str(claimed)[:12], ours.points)
            break


def notebook_notes(read: NotebookNode, match: Match) -> Iterator[Note]:
    """Notes on the notebook as a whole: its format, ids, missing metadata and order."""
    if old := read.metadata.get("trickster", {}).get("old_format"):
        yield notes.old_format(old)
    ids = {cell.id for cell in read.cells}
    if any(cell.metadata.get("id") in ids for cell in read.cells):
        yield notes.same_ids()
    cut = {part for parts in match.merged for part in parts}
    bare = [
        slot.name
        for slot in match.slots
        if slot.name
        and slot.fragments
        and not any(_is_marked(f) or f in cut for f in slot.fragments)
    ]
    if bare:
        yield notes.stripped(bare)
    if moved := _moved(match):
        yield notes.reordered(moved)
    for parts in match.merged:
        slots = dict.fromkeys(part.slot for part in parts if part.slot is not None)
        if names := [slot.name for slot in slots if slot.name]:
            yield notes.merged(names)
    unknown = [fragment for fragment in match.unmatched() if grade_id(fragment.cell)]
    if unknown:
        yield notes.unknown_cells(len(unknown))


def _is_marked(fragment: Fragment) -> bool:
    return "nbgrader" in fragment.cell.metadata


def _moved(match: Match) -> list[str]:
    """The named cells that were moved: the fewest whose move explains the order."""
    places = {fragment: place for place, fragment in enumerate(match.fragments)}
    certain = [
        (places[slot.fragments[0]], slot)
        for slot in match.slots
        if len(slot.fragments) == 1 and slot.fragments[0].matched_by in CERTAIN
    ]
    tails: list[int] = []  # the smallest place at which an increasing run of each length ends
    lengths = []
    for place, _ in certain:
        length = bisect_left(tails, place)
        tails[length : length + 1] = [place]
        lengths.append(length)
    stayed, wanted = set(), len(tails) - 1
    for (_, slot), length in zip(reversed(certain), reversed(lengths), strict=True):
        if length == wanted:
            stayed.add(slot)
            wanted -= 1
    return [slot.name for _, slot in certain if slot not in stayed and slot.name]
