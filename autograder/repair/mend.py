"""Mends a submitted notebook: every cell of the release once, in its order, with its metadata.

Answers come from the submission, everything else from the release. Nothing that a student wrote
is lost: a second version of an answer, and a changed test cell, stay in the notebook as text that
is not run. Each change is reported in a `Note`. Cells are recognised in `matching`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

from autograder.course import CourseError
from autograder.repair import notes
from autograder.repair.diagnosis import cell_notes, notebook_notes
from autograder.repair.fragments import Fragment, Slot, parse, similarity
from autograder.repair.matching import Match
from autograder.repair.notes import Note
from autograder.repair.salvage import content_id, parse_notebook, salvage

MAX_PARTS = 10  # no answer is split over more cells


class WrongNotebook(CourseError):
    """A notebook, but not of this lab."""


@dataclass(frozen=True)
class MendedNotebook:
    """A notebook that can be graded, and what was done to it."""

    notebook: NotebookNode
    notes: list[Note]
    related: bool  # whether it holds any exercise of the lab


@dataclass
class FilledSlot:
    """What goes into a slot: its text, the fragments it is made of, and the other versions."""

    source: str
    used: list[Fragment] = field(default_factory=list)
    other_versions: list[NotebookNode] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def mend(submitted: NotebookNode | dict[str, Any] | str, release: NotebookNode) -> MendedNotebook:
    """The submission as a gradable copy of `release`; mending twice changes nothing more.

    Raises `salvage.NotANotebook` for what is not a notebook, and nothing else: a notebook without
    any cell of the lab gives the release, followed by what was handed in.
    """
    read = parse_notebook(submitted) if isinstance(submitted, str) else salvage(submitted)
    match = Match(read, release)
    filled = [_fill(slot, match) for slot in match.slots]
    notebook = copy.deepcopy(release)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.cells = _assemble(match, filled)
    on_cells = [note for one in filled for note in one.notes]
    return MendedNotebook(notebook, [*notebook_notes(read, match), *on_cells], match.related)


def check_related(mended: MendedNotebook, submitted: NotebookNode, lab: str) -> None:
    """Raise WrongNotebook when nothing in the submission belongs to `lab`."""
    if mended.related:
        return
    named = submitted.metadata.get("trickster", {}).get("lab")
    guess = f" It says that it is {named[:60]!r}." if named and named != lab else ""
    raise WrongNotebook(
        f"The notebook has no cell of {lab}: none of its tests, answers or functions.{guess} "
        "Hand in the notebook of this lab."
    )


# --- what goes into a cell ----------------------------------------------------------------


def _fill(slot: Slot, match: Match) -> FilledSlot:
    if not slot.fragments:
        filled = FilledSlot(slot.cell.source)
        if slot.name or slot.cell.cell_type == "code":
            filled.notes.append(notes.restored(slot.name or slot.cell.id, slot.role))
        return filled
    if slot.is_answer:
        filled = _answer(slot, match)
    elif slot.name:
        filled = _locked(slot)
    else:  # a cell without a name: the student may have written a prediction into it
        (fragment,) = slot.fragments
        source = slot.cell.source if fragment.text == slot.text else fragment.source
        filled = FilledSlot(source, [fragment])
    filled.notes += cell_notes(slot, filled.used)
    return filled


def _locked(slot: Slot) -> FilledSlot:
    """A test or provided cell: the release's text, whatever was handed in."""
    same = [fragment for fragment in slot.fragments if fragment.text == slot.text]
    changed = [part for part in slot.fragments if part.text and part.text != slot.text]
    filled = FilledSlot(slot.cell.source, (same or changed or slot.fragments)[:1])
    if len(same) > 1:
        filled.notes.append(notes.duplicated(slot.name, len(same)))
    if not same and not changed:
        filled.notes.append(notes.restored(slot.name, slot.role))
    elif not same and len(changed) > 1 and _words(changed) == slot.text.split():
        filled.notes.append(notes.split(slot.name))
    elif changed:
        filled.notes.append(notes.edited(slot.name, slot.role == "test"))
        about = f"This is what you handed in as the cell `{slot.name}`; the lab's own is above."
        versions = {fragment.text: fragment for fragment in changed}
        filled.other_versions = [
            _kept_version(slot, [fragment], about) for fragment in versions.values()
        ]
    return filled


def _words(fragments: list[Fragment]) -> list[str]:
    return [word for fragment in fragments for word in fragment.text.split()]


def _answer(slot: Slot, match: Match) -> FilledSlot:
    """A student's answer: the best of what was handed in for it."""
    written = [fragment for fragment in slot.fragments if slot.filled_by(fragment)]
    untouched = [fragment for fragment in slot.fragments if fragment.text == slot.text]
    if not written:
        filled = FilledSlot(slot.cell.source, slot.fragments[:1])
        if not untouched:
            filled.notes.append(notes.restored(slot.name, slot.role))
        elif len(untouched) > 1:
            filled.notes.append(notes.duplicated(slot.name, len(untouched)))
        return filled
    versions = _versions(slot, written, match)
    best, why = _best(slot, versions)
    filled = FilledSlot(_join(slot, best), best)
    if len(versions) > 1:
        filled.notes.append(
            notes.several_versions(slot.name, len(versions), why, slot.role == "written")
        )
    elif untouched and best[0].matched_by == "function":
        filled.notes.append(notes.found_elsewhere(slot.name))
    elif len(slot.fragments) > len(best):
        filled.notes.append(notes.duplicated(slot.name, len(slot.fragments)))
    if len(best) > 1:
        filled.notes.append(notes.split(slot.name))
    about = f"Another version of `{slot.name}`; the one above was used."
    filled.other_versions = [
        _kept_version(slot, parts, about) for parts in versions if parts is not best
    ]
    return filled


def _versions(slot: Slot, written: list[Fragment], match: Match) -> list[list[Fragment]]:
    """The different versions of an answer, in order, each a list of the parts it was split into."""
    places = {fragment: place for place, fragment in enumerate(match.fragments)}
    groups: list[list[Fragment]] = []
    for fragment in written:
        last = groups[-1] if groups else []
        between = match.fragments[places[last[-1]] + 1 : places[fragment]] if last else []
        beside = all(other.slot is None for other in between)
        if last and beside and _is_continued(slot, last, fragment):
            last.append(fragment)
        else:
            groups.append([fragment])
    # Where the same text is there twice, the later one counts for both.
    texts = {tuple(fragment.text for fragment in parts): parts for parts in reversed(groups)}
    return [parts for parts in groups if texts[tuple(fragment.text for fragment in parts)] is parts]


def _is_continued(slot: Slot, parts: list[Fragment], fragment: Fragment) -> bool:
    """Whether `fragment` is the next part of a split answer, not another version of it."""
    before = _join(slot, parts)
    if (
        len(parts) == MAX_PARTS
        or fragment.text in before
        or before in fragment.text
        or similarity(before, fragment.text)
    ):
        return False
    if slot.role == "written":
        return True
    if parse(_join(slot, [*parts, fragment])) is None:
        return False
    if parse(before) is None or fragment.tree is None:  # cut through the middle of a function
        return True
    return not any(part.defines & fragment.defines for part in parts)


def _join(slot: Slot, parts: list[Fragment]) -> str:
    blank = "\n\n" if slot.role == "written" else "\n"
    return blank.join(part.source for part in parts)


def _best(slot: Slot, versions: list[list[Fragment]]) -> tuple[list[Fragment], str]:
    """The version to be graded, and a phrase that says which it is."""
    if slot.role == "written":
        return versions[-1], "the last one in the notebook"

    def merits(parts: list[Fragment]) -> tuple[bool, bool]:
        defines = frozenset().union(*(part.defines for part in parts))
        return parse(_join(slot, parts)) is not None, bool(slot.defines & defines)

    best = max(reversed(versions), key=merits)  # on ties, the last in the notebook
    rivals = [merits(parts) for parts in versions if parts is not best]
    readable, fitting = merits(best)
    if readable and not any(other[0] for other in rivals):
        return best, "the only one that Python can read"
    if fitting and not any(other[1] for other in rivals if other[0] == readable):
        return best, f"the only one that defines {' and '.join(sorted(slot.defines))}"
    return best, "the last one in the notebook" + ("" if versions[-1] is best else " that can run")


def _kept_version(slot: Slot, parts: list[Fragment], about: str) -> NotebookNode:
    """A version that is kept as text: it is not run and not graded."""
    source = _join(slot, parts)
    if slot.cell.cell_type == "code":
        fence = "```"
        while fence in source:
            fence += "`"
        source = f"{fence}python\n{source}\n{fence}"
    text = f"**Kept, but not run.** {about}\n\n{source}"
    cell = NotebookNode(cell_type="markdown", id="", metadata=NotebookNode(), source=text)
    if attachments := _attachments(parts):
        cell.attachments = attachments
    return cell


# --- the notebook -------------------------------------------------------------------------


def _assemble(match: Match, filled: list[FilledSlot]) -> list[NotebookNode]:
    """The release's cells in order; after each its other versions, then the student's own cells."""
    used = {fragment for one in filled for fragment in one.used}
    extras: dict[int, list[NotebookNode]] = {-1: []}
    anchor = -1  # the release's cell after which the next extra cell goes
    for fragment in match.fragments:
        if fragment in used:
            anchor = fragment.slot.index
        elif fragment.slot is None:
            extras.setdefault(anchor, []).append(_extra_cell(fragment))
    additions, cells = list(extras[-1]), list(extras[-1])
    for slot, one in zip(match.slots, filled, strict=True):
        after = [*one.other_versions, *extras.get(slot.index, [])]
        additions += after
        cells += [_filled_cell(slot, one), *after]
    _set_ids(additions, set(match.ids))
    return cells


def _filled_cell(slot: Slot, filled: FilledSlot) -> NotebookNode:
    """The release's cell with what was handed in for it."""
    cell = copy.deepcopy(slot.cell)
    cell.source = filled.source
    if cell.cell_type == "code":
        cell.update(execution_count=None, outputs=[])
    elif (slot.is_answer or not slot.name) and (attachments := _attachments(filled.used)):
        cell.attachments = attachments
    return cell


def _extra_cell(fragment: Fragment) -> NotebookNode:
    """A cell that the student added, without any metadata."""
    cell = copy.deepcopy(fragment.cell)
    cell.source, cell.metadata = fragment.source, NotebookNode()
    return cell


def _attachments(fragments: list[Fragment]) -> NotebookNode:
    found = NotebookNode()
    for fragment in fragments:
        found.update(fragment.cell.get("attachments", {}))
    return found


def _set_ids(cells: list[NotebookNode], ours: set[str]) -> None:
    """The student's own cells keep their ids where these are unique; the others get new ones."""
    present = ours | {cell.id for cell in cells}
    used = set(ours)
    for cell in cells:
        if not cell.id or cell.id in used:
            cell.id = content_id(cell, lambda wanted: wanted in present or wanted in used)
        used.add(cell.id)
