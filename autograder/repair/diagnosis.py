"""What became of a submission's metadata, types and order, as notes.

Read off a finished `Match`. What became of the texts is told where they are chosen, in `mend`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from nbformat import NotebookNode

from autograder.repair import notes as say
from autograder.repair.fragments import Piece, Slot
from autograder.repair.matching import Match
from autograder.repair.notes import Note

FLAGS = ("grade", "solution", "locked", "task", "schema_version")


def of_cell(slot: Slot, used: list[Piece]) -> Iterator[Note]:
    """Notes on the type and the metadata of a cell; missing metadata are told once for all."""
    first = used[0]
    if not slot.name or first.by in ("cut", "function"):
        return
    if first.cell.cell_type != slot.cell.cell_type:
        yield say.retyped(slot.name, first.cell.cell_type, slot.cell.cell_type)
    right = slot.cell.metadata.nbgrader
    known = first.cell.metadata.get("nbgrader", {})
    if known:
        keys = [key for key in FLAGS if known.get(key) != right.get(key)]
        if known.get("grade_id") != slot.name:
            keys.insert(0, "grade_id")
        if "points" in right and "points" not in known:
            keys.append("points")
        if keys:
            yield say.changed_metadata(slot.name, keys)
    for piece in slot.pieces:
        said = piece.cell.metadata.get("nbgrader", {}).get("points", right.get("points"))
        if piece.by == "name" and "points" in right and said != right.points:
            yield say.points(slot.name, str(said)[:12], right.points)
            break


def of_notebook(read: NotebookNode, match: Match) -> Iterator[Note]:
    if read.metadata.get("orig_nbformat"):
        yield say.old_format(read.metadata.orig_nbformat)
    ids = {cell.id for cell in read.cells}
    if any(cell.metadata.get("id") in ids for cell in read.cells):
        yield say.same_ids()
    cut = {part for parts in match.merged for part in parts}
    bare = [
        slot.name
        for slot in match.slots
        if slot.name and slot.pieces and not any(_has_metadata(p) or p in cut for p in slot.pieces)
    ]
    if bare:
        yield say.stripped(bare)
    if moved := _moved(match):
        yield say.reordered(moved)
    for parts in match.merged:
        slots = dict.fromkeys(part.slot for part in parts if part.slot is not None)
        if names := [slot.name for slot in slots if slot.name]:
            yield say.merged(names)
    strange = [
        piece for piece in match.free() if piece.cell.metadata.get("nbgrader", {}).get("grade_id")
    ]
    if strange:
        yield say.foreign(len(strange))


def _has_metadata(piece: Piece) -> bool:
    return "nbgrader" in piece.cell.metadata


def _moved(match: Match) -> list[str]:
    """The named cells that stand elsewhere: the fewest whose move explains the order."""
    places = {piece: place for place, piece in enumerate(match.pieces)}
    sure = [
        (places[slot.pieces[0]], slot)
        for slot in match.slots
        if len(slot.pieces) == 1 and slot.pieces[0].by in ("name", "id", "equal", "text")
    ]
    tails: list[int] = []  # the smallest place at which a rising run of each length ends
    lengths = []
    for place, _ in sure:
        length = bisect_left(tails, place)
        tails[length : length + 1] = [place]
        lengths.append(length)
    stayed, wanted = set(), len(tails) - 1
    for (_, slot), length in zip(reversed(sure), reversed(lengths), strict=True):
        if length == wanted:
            stayed.add(slot)
            wanted -= 1
    return [slot.name for _, slot in sure if slot not in stayed and slot.name]
