"""What is said about a repaired notebook: the facts to the instructor, kind words to the student.

`mend` and `diagnosis` find out what happened. Nothing here accuses: a changed test cell may be an
accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_NAMED = 6
NOTHING_LOST = "Nothing you wrote was lost."


@dataclass(frozen=True)
class Note:
    """One repair; `cell` is the grade_id, or "" for the whole notebook."""

    kind: str
    cell: str
    for_instructor: str
    for_student: str
    suspicious: bool = False


def duplicated(cell: str, copies: int) -> Note:
    times = "twice" if copies == 2 else f"{copies} times"
    return Note(
        "duplicated",
        cell,
        f"The cell {cell} was there {times} with the same text; one copy was kept.",
        f"The cell `{cell}` was there {times} with the same text; one copy was kept. To try "
        "something out, add an empty cell instead of copying one.",
    )


def several_versions(cell: str, versions: int, why: str, written: bool) -> Note:
    verb = "marked" if written else "graded"
    return Note(
        "choice",
        cell,
        f"There were {versions} versions of {cell}. {why[0].upper()}{why[1:]} was used; the "
        "others are kept below it as text.",
        f"There were {versions} versions of `{cell}`. {why[0].upper()}{why[1:]} was {verb}; the "
        "others are kept below it as text. Keep only one version when you hand in, so that the "
        "choice is yours.",
    )


def split(cell: str) -> Note:
    return Note(
        "split",
        cell,
        f"{cell} was split over several cells; they were joined again in their order.",
        f"`{cell}` was split over several cells; they were joined again. {NOTHING_LOST} Helper "
        "functions can go into a new cell of their own, above the one with the answer.",
    )


def merged(cells: Sequence[str]) -> Note:
    return Note(
        "merged",
        cells[0] if cells else "",
        f"Several cells had been merged into one ({_list(cells)}); they were separated again.",
        f"Several cells had been merged into one ({_list(cells, '`')}); they were separated again. "
        f"{NOTHING_LOST} Each check looks at its own cell, so please keep them apart.",
    )


def restored(cell: str, role: str) -> Note:
    if role in ("solution", "written"):
        return Note(
            "deleted",
            cell,
            f"The cell for {cell} was missing or empty; the unsolved one was put back.",
            f"The cell for your answer `{cell}` was missing or empty; the unsolved one was put "
            "back. If your answer is somewhere else, tell your instructor.",
        )
    return Note(
        "deleted",
        cell,
        f"The {role or 'course'} cell {cell} was missing; it was put back.",
        f"The cell `{cell}` was missing and was put back. The lab needs it, so please leave it "
        "where it is.",
    )


def found_elsewhere(cell: str) -> Note:
    return Note(
        "found",
        cell,
        f"The cell {cell} was unsolved, but another cell held an answer; it was moved there.",
        f"Your answer for `{cell}` was in another cell; it was moved to its place. Please write it "
        "into the cell that the lab provides.",
    )


def reordered(cells: Sequence[str]) -> Note:
    return Note(
        "reordered",
        "",
        f"Cells were in a different order ({_list(cells)}); the lab's order was restored.",
        f"Some cells had moved ({_list(cells, '`')}); the lab's order was restored. The lab is run "
        "from top to bottom: try Restart and Run All before you hand in.",
    )


def retyped(cell: str, was: str, wanted: str) -> Note:
    return Note(
        "retyped",
        cell,
        f"The cell {cell} had become a {was} cell; it is a {wanted} cell again.",
        f"The cell `{cell}` had become a {was} cell; it is a {wanted} cell again. {NOTHING_LOST} "
        "In Jupyter, pressing Y (code) or M (text) outside a cell's text changes its type.",
    )


def stripped(cells: Sequence[str]) -> Note:
    return Note(
        "metadata",
        cells[0] if len(cells) == 1 else "",
        f"nbgrader's metadata was missing ({_list(cells)}); the cells were recognised by their "
        "ids, texts and positions.",
        f"Some cells had lost the hidden data that grading needs ({_list(cells, '`')}); they were "
        f"recognised and it was restored. {NOTHING_LOST} This happens when cells are copied into a "
        "new notebook: please hand in the notebook that you were given.",
    )


def changed_metadata(cell: str, keys: Iterable[str]) -> Note:
    return Note(
        "metadata",
        cell,
        f"nbgrader's metadata of {cell} had been changed ({', '.join(keys)}); the lab's own was "
        "restored.",
        f"The hidden grading data of the cell `{cell}` had changed; it was restored. "
        f"{NOTHING_LOST}",
    )


def changed_points(cell: str, was: str, wanted: float) -> Note:
    return Note(
        "points",
        cell,
        f"The metadata of {cell} claimed {was} points; it is worth {wanted:g}.",
        f"The points noted in the cell `{cell}` differed from the lab's; the lab's "
        f"({wanted:g}) count.",
        suspicious=True,
    )


def repointed(cell: str, was: float, wanted: float) -> Note:
    return Note(
        "repointed",
        cell,
        f"{cell} was worth {was:g} when the notebook was given out, and is worth {wanted:g} now. "
        "A mark that a person has given stays as it is: look at it again.",
        f"`{cell}` was worth {was:g} points when you got the notebook; it is worth {wanted:g} now.",
    )


def edited(cell: str, test: bool) -> Note:
    kind = "test" if test else "provided"
    return Note(
        f"edited-{kind}",
        cell,
        f"The text of the {kind} cell {cell} had been changed; the lab's own was run. The "
        "submitted version is kept below it as text.",
        f"The cell `{cell}` had been changed; the lab's own version was run instead, and yours is "
        "kept below it as text. To try something out, add a new cell.",
        suspicious=test,
    )


def to_look_at(notes: Iterable[Note]) -> list[str]:
    """A sentence for the instructor on each suspicious note, but one for all changed tests."""
    found = [note for note in notes if note.suspicious]
    tests = [note.cell for note in found if note.kind == "edited-test"]
    if len(tests) < 2:
        return [note.for_instructor for note in found]
    together = (
        f"The texts of {len(tests)} test cells had been changed ({', '.join(tests)}); the lab's "
        "own were run. The submitted versions are kept below them as text."
    )
    others = [note.for_instructor for note in found if note.kind != "edited-test"]
    return [together, *others]


def old_format(version: int) -> Note:
    return Note(
        "format",
        "",
        f"The notebook was in the old format {version}; it was converted to 4.5.",
        f"Your notebook was saved in an old format (version {version}); it was converted. "
        f"{NOTHING_LOST} A newer Jupyter saves notebooks in the current format.",
    )


def decoded(encoding: str) -> Note:
    return Note(
        "encoding",
        "",
        f"The file was saved as {encoding} and not as UTF-8; it was converted.",
        f"Your file was saved as {encoding}, as some editors do; it was converted. {NOTHING_LOST} "
        "Save notebooks from Jupyter or Colab, not from another editor.",
    )


def renamed(name: str, expected: str) -> Note:
    return Note(
        "file",
        "",
        f"There was no {expected}; {name} was graded.",
        f"Your file was called `{name}`; it was graded. Hand it in as `{expected}`.",
    )


def untouched_beside(name: str, expected: str) -> Note:
    return Note(
        "file",
        "",
        f"{expected} was not begun, but {name} beside it was: that one was graded.",
        f"`{expected}` was not begun, but `{name}` beside it was: that one was graded. Hand in one "
        "notebook only, so that the choice is yours.",
        suspicious=True,
    )


def several_files(chosen: str, others: Sequence[str]) -> Note:
    return Note(
        "file",
        "",
        f"There were several notebooks with answers. {chosen} was graded, and not {_list(others)}.",
        f"There were several notebooks with answers. `{chosen}` was graded, and not "
        f"{_list(others, '`')}. Hand in one notebook only, so that the choice is yours.",
        suspicious=True,
    )


def same_ids() -> Note:
    return Note(
        "ids",
        "",
        "Several cells had the same id; all but one got a new one.",
        f"Several cells had the same internal id; this was corrected. {NOTHING_LOST}",
    )


def unknown_cells(count: int) -> Note:
    cells, were = ("One cell", "was") if count == 1 else (f"{count} cells", "were")
    return Note(
        "foreign",
        "",
        f"{cells} that the lab does not have {were} marked for grading; kept, but not graded.",
        f"{cells} that the lab does not have {were} marked for grading; kept, but not graded.",
    )


def _list(names: Sequence[str], mark: str = "") -> str:
    """ "a, b and 3 more", each name between two of `mark`."""
    shown = [f"{mark}{name}{mark}" for name in names[:MAX_NAMED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
