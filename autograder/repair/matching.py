"""Finds out which cell of the release each submitted cell is, whatever became of its metadata.

In this order: nbgrader's name, the cell's id, the same text; then cells that hold several are
cut; what is left is recognised by the function it defines, by a text that is alike, and last
by its neighbours. What is done with two cells for one place is `mend`'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nbformat import NotebookNode

from autograder.repair.fragments import (
    ALIKE,
    Piece,
    Slot,
    alike,
    definitions,
    find_block,
    unique_names,
)

TELLING = 20  # characters; a shorter line may stand in any cell
CODE_LIKE = ("code", "raw")


class Match:
    """The slots of the release, and the submission's pieces in their order."""

    def __init__(self, submitted: NotebookNode, release: NotebookNode):
        self.slots = [Slot(cell, index) for index, cell in enumerate(release.cells)]
        self.pieces = [Piece(cell, cell.source) for cell in submitted.cells]
        self.merged: list[list[Piece]] = []  # what shared a cell
        self.named = {slot.name: slot for slot in self.slots if slot.name}
        self.ids = {slot.cell.id: slot for slot in self.slots}
        counts = Counter(slot.plain for slot in self.slots)
        self.texts = {
            slot.plain: slot
            for slot in self.slots
            if counts[slot.plain] == 1 and len(slot.plain) > (TELLING if slot.answer else 0)
        }
        unique_names(self.slots)
        self._by_name()
        self._by_id()
        self._to_their_homes()
        self._by_text_equal()
        self._cut()
        self._by_function()
        self._by_likeness()
        self._by_place()
        order = {piece: place for place, piece in enumerate(self.pieces)}
        for slot in self.slots:
            slot.pieces.sort(key=order.__getitem__)

    @property
    def related(self) -> bool:
        """Whether any piece certainly is an exercise of this lab.

        The first cells of all labs are the same, and tell nothing.
        """
        claims = {piece.by for slot in self.slots if slot.graded for piece in slot.pieces}
        return bool(claims - {"text", "place"})

    def free(self) -> list[Piece]:
        """The pieces that nobody has claimed."""
        return [piece for piece in self.pieces if piece.slot is None]

    # --- by what the cell says it is ------------------------------------------------------

    def _by_name(self) -> None:
        for piece in self.pieces:
            known = piece.cell.metadata.get("nbgrader", {}).get("grade_id")
            slot = self.named.get(known) if isinstance(known, str) else None
            if slot is not None:
                _claim(slot, piece, "name")

    def _by_id(self) -> None:
        for piece in self.free():
            for wanted in (piece.cell.id, piece.cell.metadata.get("id")):
                slot = self.ids.get(wanted) if isinstance(wanted, str) else None
                # Of a text without a name one is the course's, the others are the student's.
                if slot is not None and piece.slot is None and (slot.name or not slot.pieces):
                    _claim(slot, piece, "id")

    # --- by what is in it -------------------------------------------------------------------

    def _to_their_homes(self) -> None:
        """Move pieces whose metadata were exchanged: their text says where they belong."""
        moves = []
        for piece in self.pieces:
            home = self._home(piece) if piece.slot is not None else None
            if home is not None:
                moves.append((home, piece))
        for home, piece in moves:
            piece.slot.pieces.remove(piece)
            if home.pieces and not home.name:  # a copy of a text of the course's
                piece.slot = None
                continue
            _claim(home, piece, "equal" if piece.plain == home.plain else "function")

    def _home(self, piece: Piece) -> Slot | None:
        """The slot that this piece certainly belongs to, if it is not in it."""
        here = piece.slot
        equal = self.texts.get(piece.plain)
        if equal is not None and equal is not here and not equal.answer:
            return equal if not here.answer or not equal.pieces else None
        if here.defines and not piece.defines & here.defines:
            for slot in self.slots:
                taken = any(other.defines & slot.defines for other in slot.pieces)
                if piece.defines & slot.defines and not taken:
                    return slot
        return None

    def _by_text_equal(self) -> None:
        for piece in self.free():
            slot = self.texts.get(piece.plain)
            if slot is not None and not slot.pieces:
                _claim(slot, piece, "equal")

    # --- cells that hold several --------------------------------------------------------------

    def _cut(self) -> None:
        """Cut cells in which other cells of the release ended up."""
        pieces: list[Piece] = []
        for piece in self.pieces:
            parts = self._parts(piece)
            pieces += parts or [piece]
            if len(parts) > 1:
                self.merged.append(parts)
        self.pieces = pieces

    def _parts(self, piece: Piece) -> list[Piece]:
        """The pieces that `piece` is made of, already in their slots; [] when it is one."""
        lines = piece.source.split("\n")
        owners: list[Slot | None] = [None] * len(lines)  # of each line; None: as found
        for slot, (start, end) in self._blocks(piece):
            if not any(owners[start:end]):
                owners[start:end] = [slot] * (end - start)
        for slot, (start, end) in self._functions(piece, owners):
            owners[start:end] = [slot] * (end - start)
        runs = [
            run for run in _runs(owners) if any(line.strip() for line in lines[run[0] : run[1]])
        ]
        here = piece.slot
        if len(runs) < 2 and (not runs or runs[0][2] in (None, here)):
            return []
        if here is not None:
            here.pieces.remove(piece)
        # What stands beside a whole test or provided cell is the student's own.
        rest = None if here in owners else here
        parts = []
        for start, end, owner in runs:
            part = Piece(piece.cell, "\n".join(lines[start:end]).strip("\n"))
            target = owner or rest
            if target is not None:
                _claim(target, part, piece.by if target is here else "cut")
            if rest is not None and not rest.answer and target is rest:
                rest = None  # a cell of the course's own is one stretch
            parts.append(part)
        return parts

    def _blocks(self, piece: Piece) -> Iterator[tuple[Slot, tuple[int, int]]]:
        """The release's texts that stand in this piece, and nowhere else."""
        for slot in self.texts.values():
            own = slot is piece.slot
            wanted = self._cuts_itself(slot) if own else not slot.pieces
            if wanted and slot.role != "written" and slot.plain in piece.plain != slot.plain:
                found = find_block(piece.source, slot.plain)
                if found is not None:
                    yield slot, found

    def _cuts_itself(self, slot: Slot) -> bool:
        """Whether more text in this slot's own cell means that two cells were merged."""
        if slot.answer:
            return False
        if slot.name:
            return True
        beside = self.slots[max(0, slot.index - 1) : slot.index + 2]
        return any(other.answer and not other.pieces for other in beside)

    def _functions(
        self, piece: Piece, owners: list[Slot | None]
    ) -> Iterator[tuple[Slot, tuple[int, int]]]:
        """The lines that write other answers than this piece's own."""
        if piece.cell.cell_type not in CODE_LIKE:
            return
        writes = {
            name: slot
            for slot in self.slots
            for name in slot.defines & piece.defines
            if slot is piece.slot or slot.open
        }
        foreign = {slot for slot in writes.values() if slot is not piece.slot}
        if not foreign or (piece.slot is None and len(foreign) == 1):
            return  # a cell of its own, for one answer, is taken as a whole
        marks = [
            (place, writes[name])
            for place, name in definitions(piece.source)
            if name in writes and owners[place] is None
        ]
        if marks and (piece.slot is None or not piece.slot.answer):
            # The imports above belong to the first.
            above = [place for place in range(marks[0][0]) if owners[place]]
            marks[0] = (max(above, default=-1) + 1, marks[0][1])
        ends = [place for place, _ in marks[1:]] + [len(owners)]
        for (start, slot), end in zip(marks, ends, strict=True):
            stop = next((place for place in range(start, end) if owners[place]), end)
            if slot is not piece.slot:
                yield slot, (start, stop)

    # --- what is left -------------------------------------------------------------------------

    def _by_function(self) -> None:
        """A cell that defines what an answer that is still open should."""
        for slot in [slot for slot in self.slots if slot.defines and slot.open]:
            for piece in self.free():
                if piece.defines & slot.defines:
                    _claim(slot, piece, "function")

    def _by_likeness(self) -> None:
        """Cells that still hold a line of the release's, or look much like it; the best first."""
        empty = [slot for slot in self.slots if not slot.pieces]
        free = self.free()
        # Lines of several cells, as the stub of every scaffold, tell nothing.
        counts = Counter(line for slot in self.slots for line in set(_lines(slot.plain)))
        shared = {line for line, count in counts.items() if count > 1}
        own = {
            piece: [line for line in _lines(piece.plain) if line not in shared] for piece in free
        }
        scores = []
        for slot in empty:
            lines = [line for line in _lines(slot.plain) if line not in shared]
            telling = {line for line in lines if slot.answer and len(line) >= TELLING}
            for place, piece in enumerate(free):
                if telling and 2 * len(telling.intersection(own[piece])) >= len(telling):
                    scores.append((100.0, slot.index, place))
                elif sum(map(len, lines)) >= 2 * TELLING:
                    score = alike("\n".join(lines), "\n".join(own[piece]))
                    scores.append((score, slot.index, place))
        for score, index, place in sorted(scores, key=lambda one: (-one[0], one[1], one[2])):
            slot, piece = self.slots[index], free[place]
            if score >= ALIKE and not slot.pieces and piece.slot is None:
                _claim(slot, piece, "text")

    def _by_place(self) -> None:
        """Texts, and code without a name of its own, that stand where an answer should."""
        for slot in self.slots:
            if slot.answer and not slot.defines and not slot.pieces:
                near = [*self._after(slot), *reversed(list(self._before(slot)))]
                kinds = CODE_LIKE if slot.role == "solution" else ("markdown", "raw")
                fitting = [piece for piece in near if piece.cell.cell_type in kinds and piece.plain]
                if fitting:
                    _claim(slot, fitting[0], "place")

    def _after(self, slot: Slot) -> list[Piece]:
        """The unclaimed pieces right behind what stands before `slot` in the release."""
        known = next((other for other in self.slots[: slot.index][::-1] if other.pieces), None)
        start = self.pieces.index(known.pieces[0]) + 1 if known else 0
        return _unclaimed(self.pieces[start:])

    def _before(self, slot: Slot) -> list[Piece]:
        """The unclaimed pieces right before what stands behind `slot` in the release."""
        known = next((other for other in self.slots[slot.index + 1 :] if other.pieces), None)
        end = self.pieces.index(known.pieces[0]) if known else len(self.pieces)
        return _unclaimed(self.pieces[:end][::-1])[::-1]


def _claim(slot: Slot, piece: Piece, by: str) -> None:
    slot.pieces.append(piece)
    piece.slot, piece.by = slot, by


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _unclaimed(pieces: list[Piece]) -> list[Piece]:
    """The first pieces, up to the first that is claimed."""
    end = next((place for place, piece in enumerate(pieces) if piece.slot), len(pieces))
    return pieces[:end]


def _runs(owners: list[Slot | None]) -> Iterator[tuple[int, int, Slot | None]]:
    """Stretches of lines with the same owner."""
    start = 0
    for place in range(1, len(owners) + 1):
        if place == len(owners) or owners[place] is not owners[start]:
            yield start, place, owners[start]
            start = place
