"""Finds out which cell of the release each submitted cell is, whatever happened to its metadata.

In this order: by nbgrader's name, by the cell's id, by the same text; then cells that hold several
are cut; the rest is recognised by the function it defines, by a similar text, and last by its
neighbours. `mend` chooses between two cells for one place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nbformat import NotebookNode

from autograder.cells import is_model_answer
from autograder.repair.fragments import (
    SIMILAR,
    Fragment,
    Slot,
    definitions,
    find_block,
    set_unique_names,
    similarity,
)

DISTINCTIVE = 20  # characters; a shorter line may occur in any cell
CODE_LIKE = ("code", "raw")


class Match:
    """The slots of the release, and the submission's fragments in the order of the submission."""

    def __init__(self, submitted: NotebookNode, release: NotebookNode):
        self.slots = [Slot(cell, index) for index, cell in enumerate(release.cells)]
        self.fragments = [Fragment(cell, cell.source) for cell in submitted.cells]
        self.merged: list[list[Fragment]] = []  # fragments that shared a cell
        self.named = {slot.name: slot for slot in self.slots if slot.name}
        self.ids = {slot.cell.id: slot for slot in self.slots}
        counts = Counter(slot.text for slot in self.slots)
        self.texts = {
            slot.text: slot
            for slot in self.slots
            if counts[slot.text] == 1 and len(slot.text) > (DISTINCTIVE if slot.is_answer else 0)
        }
        set_unique_names(self.slots)
        self._by_name()
        self._by_id()
        self._undo_swapped_metadata()
        self._by_equal_text()
        self._cut_merged_cells()
        self._by_function()
        self._by_similar_text()
        self._by_place()
        order = {fragment: place for place, fragment in enumerate(self.fragments)}
        for slot in self.slots:
            slot.fragments.sort(key=order.__getitem__)

    @property
    def related(self) -> bool:
        """Whether any fragment is certainly an exercise of this lab.

        The first cells of all labs are the same, and prove nothing.
        """
        graded = [fragment for slot in self.slots if slot.is_graded for fragment in slot.fragments]
        return any(fragment.matched_by not in ("text", "place") for fragment in graded)

    def unmatched(self) -> list[Fragment]:
        """The fragments without a slot."""
        return [fragment for fragment in self.fragments if fragment.slot is None]

    # --- by what the cell says it is ------------------------------------------------------

    def _by_name(self) -> None:
        for fragment in self.fragments:
            known = fragment.cell.metadata.get("nbgrader", {}).get("grade_id")
            slot = self.named.get(known) if isinstance(known, str) else None
            if slot is not None:
                _assign(slot, fragment, "name")

    def _by_id(self) -> None:
        for fragment in self.unmatched():
            for wanted in (fragment.cell.id, fragment.cell.metadata.get("id")):
                slot = self.ids.get(wanted) if isinstance(wanted, str) else None
                # Of a text without a name one is the course's, the others are the student's.
                if slot is not None and fragment.slot is None and (slot.name or not slot.fragments):
                    _assign(slot, fragment, "id")

    # --- by what is in it -------------------------------------------------------------------

    def _undo_swapped_metadata(self) -> None:
        """Move fragments whose metadata were swapped: their text says where they belong."""
        moves = []
        for fragment in self.fragments:
            slot = self._true_slot(fragment) if fragment.slot is not None else None
            if slot is not None:
                moves.append((slot, fragment))
        for slot, fragment in moves:
            fragment.slot.fragments.remove(fragment)
            if slot.fragments and not slot.name:  # a copy of one of the course's texts
                fragment.slot = None
                continue
            _assign(slot, fragment, "equal" if fragment.text == slot.text else "function")

    def _true_slot(self, fragment: Fragment) -> Slot | None:
        """The slot that this fragment certainly belongs to, if it is in another one."""
        here = fragment.slot
        equal = self.texts.get(fragment.text)
        if equal is not None and equal is not here and not equal.is_answer:
            return equal if not here.is_answer or not equal.fragments else None
        if here.defines and not fragment.defines & here.defines:
            for slot in self.slots:
                taken = any(other.defines & slot.defines for other in slot.fragments)
                if fragment.defines & slot.defines and not taken:
                    return slot
        return None

    def _by_equal_text(self) -> None:
        for fragment in self.unmatched():
            slot = self.texts.get(fragment.text)
            if slot is not None and not slot.fragments:
                _assign(slot, fragment, "equal")

    # --- cells that hold several --------------------------------------------------------------

    def _cut_merged_cells(self) -> None:
        """Cut the cells that contain other cells of the release."""
        fragments: list[Fragment] = []
        for fragment in self.fragments:
            parts = self._parts_of(fragment)
            fragments += parts or [fragment]
            if len(parts) > 1:
                self.merged.append(parts)
        self.fragments = fragments

    def _parts_of(self, fragment: Fragment) -> list[Fragment]:
        """The fragments that `fragment` is made of, already in their slots; [] when it is one."""
        lines = fragment.source.split("\n")
        owners: list[Slot | None] = [None] * len(lines)  # of each line; None: as found
        for slot, (start, end) in self._blocks(fragment):
            if not any(owners[start:end]):
                owners[start:end] = [slot] * (end - start)
        for slot, (start, end) in self._functions(fragment, owners):
            owners[start:end] = [slot] * (end - start)
        runs = [
            run for run in _runs(owners) if any(line.strip() for line in lines[run[0] : run[1]])
        ]
        here = fragment.slot
        if len(runs) < 2 and (not runs or runs[0][2] in (None, here)):
            return []
        if here is not None:
            here.fragments.remove(fragment)
        # What was added to a whole test or provided cell is the student's own.
        rest = None if here in owners else here
        parts = []
        for start, end, owner in runs:
            part = Fragment(fragment.cell, "\n".join(lines[start:end]).strip("\n"))
            target = owner or rest
            if target is not None:
                _assign(target, part, fragment.matched_by if target is here else "cut")
            if rest is not None and not rest.is_answer and target is rest:
                rest = None  # a cell of the course's own is in one piece
            parts.append(part)
        return parts

    def _blocks(self, fragment: Fragment) -> Iterator[tuple[Slot, tuple[int, int]]]:
        """The release's texts that are in this fragment and nowhere else, with their lines."""
        for slot in self.texts.values():
            own = slot is fragment.slot
            wanted = self._cut_when_longer(slot) if own else not slot.fragments
            if wanted and slot.role != "written" and slot.text in fragment.text != slot.text:
                found = find_block(fragment.source, slot.text)
                if found is not None:
                    yield slot, found

    def _cut_when_longer(self, slot: Slot) -> bool:
        """Whether extra text in this slot's own cell means that two cells were merged."""
        if slot.is_answer:
            return False
        if slot.name:
            return True
        beside = self.slots[max(0, slot.index - 1) : slot.index + 2]
        return any(other.is_answer and not other.fragments for other in beside)

    def _functions(
        self, fragment: Fragment, owners: list[Slot | None]
    ) -> Iterator[tuple[Slot, tuple[int, int]]]:
        """The lines that answer other slots than this fragment's own."""
        if fragment.cell.cell_type not in CODE_LIKE:
            return
        answered = {
            name: slot
            for slot in self.slots
            for name in slot.defines & fragment.defines
            if slot is fragment.slot or slot.unfilled
        }
        foreign = {slot for slot in answered.values() if slot is not fragment.slot}
        if not foreign or (fragment.slot is None and len(foreign) == 1):
            return  # an unmatched cell with a single answer is taken as a whole
        marks = [
            (place, answered[name])
            for place, name in definitions(fragment.source)
            if name in answered and owners[place] is None
        ]
        if marks and (fragment.slot is None or not fragment.slot.is_answer):
            # The imports above belong to the first.
            above = [place for place in range(marks[0][0]) if owners[place]]
            marks[0] = (max(above, default=-1) + 1, marks[0][1])
        ends = [place for place, _ in marks[1:]] + [len(owners)]
        for (start, slot), end in zip(marks, ends, strict=True):
            stop = next((place for place in range(start, end) if owners[place]), end)
            if slot is not fragment.slot:
                yield slot, (start, stop)

    # --- what is left -------------------------------------------------------------------------

    def _by_function(self) -> None:
        """Cells that define what an unfilled answer should define."""
        for slot in [slot for slot in self.slots if slot.defines and slot.unfilled]:
            for fragment in self.unmatched():
                if fragment.defines & slot.defines:
                    _assign(slot, fragment, "function")

    def _by_similar_text(self) -> None:
        """Cells that still hold a line of the release's, or are similar to it; the best first."""
        empty = [slot for slot in self.slots if not slot.fragments]
        free = self.unmatched()
        # Lines that several cells share, such as the stub of every scaffold, prove nothing.
        counts = Counter(line for slot in self.slots for line in set(_lines(slot.text)))
        shared = {line for line, count in counts.items() if count > 1}
        own = {one: [line for line in _lines(one.text) if line not in shared] for one in free}
        scores = []
        for slot in empty:
            lines = [line for line in _lines(slot.text) if line not in shared]
            marks = {line for line in lines if slot.is_answer and len(line) >= DISTINCTIVE}
            for place, fragment in enumerate(free):
                if marks and 2 * len(marks.intersection(own[fragment])) >= len(marks):
                    scores.append((100.0, slot.index, place))
                elif sum(map(len, lines)) >= 2 * DISTINCTIVE:
                    score = similarity("\n".join(lines), "\n".join(own[fragment]))
                    scores.append((score, slot.index, place))
        for score, index, place in sorted(scores, key=lambda one: (-one[0], one[1], one[2])):
            slot, fragment = self.slots[index], free[place]
            if score >= SIMILAR and not slot.fragments and fragment.slot is None:
                _assign(slot, fragment, "text")

    def _by_place(self) -> None:
        """Texts, and code that defines no name of its own, in the place of an answer."""
        for slot in self.slots:
            if slot.is_answer and not slot.defines and not slot.fragments:
                near = [*self._after(slot), *reversed(list(self._before(slot)))]
                kinds = CODE_LIKE if slot.role == "solution" else ("markdown", "raw")
                fitting = [one for one in near if one.cell.cell_type in kinds and one.text]
                fitting = [one for one in fitting if not is_model_answer(one.text)]
                if fitting:
                    _assign(slot, fitting[0], "place")

    def _after(self, slot: Slot) -> list[Fragment]:
        """The unmatched fragments right after the cell that precedes `slot` in the release."""
        known = next((other for other in self.slots[: slot.index][::-1] if other.fragments), None)
        start = self.fragments.index(known.fragments[0]) + 1 if known else 0
        return _leading_unmatched(self.fragments[start:])

    def _before(self, slot: Slot) -> list[Fragment]:
        """The unmatched fragments right before the cell that follows `slot` in the release."""
        known = next((other for other in self.slots[slot.index + 1 :] if other.fragments), None)
        end = self.fragments.index(known.fragments[0]) if known else len(self.fragments)
        return _leading_unmatched(self.fragments[:end][::-1])[::-1]


def _assign(slot: Slot, fragment: Fragment, by: str) -> None:
    slot.fragments.append(fragment)
    fragment.slot, fragment.matched_by = slot, by


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _leading_unmatched(fragments: list[Fragment]) -> list[Fragment]:
    """The fragments before the first that has a slot."""
    end = next((place for place, fragment in enumerate(fragments) if fragment.slot), len(fragments))
    return fragments[:end]


def _runs(owners: list[Slot | None]) -> Iterator[tuple[int, int, Slot | None]]:
    """Consecutive lines with the same owner, as (start, end, owner)."""
    start = 0
    for place in range(1, len(owners) + 1):
        if place == len(owners) or owners[place] is not owners[start]:
            yield start, place, owners[start]
            start = place
