"""What is said about a mended notebook: to the instructor what happened, to the student kindly.

What happened is found out in `mend`. Nothing here accuses: a changed test cell may be a slip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_NAMED = 6
SAFE = "Nothing you wrote was lost."


@dataclass(frozen=True)
class Note:
    """One thing that was mended; `cell` is the grade_id, "" for the whole notebook."""

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
        f"The cell {cell} was there {times} with the same text; one was kept.",
        f"The cell `{cell}` was there {times}; one is enough, and it was kept. To try something "
        "out, add an empty cell instead of copying one.",
    )


def chosen(cell: str, versions: int, why: str, written: bool) -> Note:
    verb = "marked" if written else "graded"
    return Note(
        "choice",
        cell,
        f"There were {versions} versions of {cell}. {why[0].upper()}{why[1:]} was taken; the "
        "others stay below it as text.",
        f"There were {versions} versions of `{cell}`. {why[0].upper()}{why[1:]} is what was "
        f"{verb}; the others stand below it. Keep one version when you hand in, so that you "
        "choose.",
    )


def split(cell: str) -> Note:
    return Note(
        "split",
        cell,
        f"{cell} was split over several cells; they were put together in their order.",
        f"`{cell}` was split over several cells; they were put together again. {SAFE} Helpers can "
        "go into a new cell of their own, above the one with the answer.",
    )


def merged(cells: Sequence[str]) -> Note:
    names = _list(cells)
    return Note(
        "merged",
        cells[0] if cells else "",
        f"One cell held what belongs into several ({names}); it was cut at their borders.",
        f"Several cells had been merged into one ({_list(cells, '`')}); they were parted again. "
        f"{SAFE} Each check looks into its own cell, so leave them apart.",
    )


def restored(cell: str, role: str) -> Note:
    if role in ("solution", "written"):
        return Note(
            "deleted",
            cell,
            f"The cell for {cell} was missing or empty; the unsolved one was put back.",
            f"The cell for your answer `{cell}` was missing or empty; the unsolved one is back. If "
            "your answer stands elsewhere, tell your instructor.",
        )
    return Note(
        "deleted",
        cell,
        f"The {role or 'course'} cell {cell} was missing; it was put back.",
        f"The cell `{cell}` was missing and was put back. The lab needs it: leave it where it is.",
    )


def found(cell: str) -> Note:
    return Note(
        "found",
        cell,
        f"The cell {cell} was unsolved, but an answer stood in another cell; it was moved there.",
        f"Your answer for `{cell}` stood in another cell; it was moved to its place. Write it into "
        "the cell that the lab provides.",
    )


def reordered(cells: Sequence[str]) -> Note:
    return Note(
        "reordered",
        "",
        f"Cells stood in another order ({_list(cells)}); the lab's order was restored.",
        f"Some cells had moved ({_list(cells, '`')}); the lab's order was restored. The lab is run "
        "from top to bottom: try Restart and Run All before you hand in.",
    )


def retyped(cell: str, was: str, wanted: str) -> Note:
    return Note(
        "retyped",
        cell,
        f"The cell {cell} was of type {was}; it is {wanted} again.",
        f"The cell `{cell}` had become a {was} cell; it is a {wanted} cell again. {SAFE} In "
        "Jupyter the keys Y (code) and M (text) switch it by accident.",
    )


def stripped(cells: Sequence[str]) -> Note:
    return Note(
        "metadata",
        cells[0] if len(cells) == 1 else "",
        f"nbgrader's metadata were missing ({_list(cells)}); the cells were recognised by their "
        "ids, texts and places.",
        f"Some cells had lost the hidden marks by which they are graded ({_list(cells, '`')}); "
        f"they were recognised and marked again. {SAFE} It happens when cells are copied into a "
        "new notebook: better hand in the notebook that you were given.",
    )


def changed_metadata(cell: str, keys: Iterable[str]) -> Note:
    return Note(
        "metadata",
        cell,
        f"nbgrader's metadata of {cell} had been changed ({', '.join(keys)}); the lab's own are "
        "back.",
        f"The hidden marks of the cell `{cell}` had changed; they are as they were. {SAFE}",
    )


def points(cell: str, was: str, wanted: float) -> Note:
    return Note(
        "points",
        cell,
        f"The metadata of {cell} said {was} points; it gives {wanted:g}.",
        f"The points noted in the cell `{cell}` differed from the lab's; the lab's "
        f"({wanted:g}) count.",
        suspicious=True,
    )


def edited(cell: str, test: bool) -> Note:
    kind = "test" if test else "provided"
    return Note(
        f"edited-{kind}",
        cell,
        f"The text of the {kind} cell {cell} had been changed; the lab's own was run. What was "
        "handed in stands below it as text.",
        f"The cell `{cell}` had been changed; the lab's own version was run instead, and yours "
        "stands below it. To try something out, add a new cell.",
        suspicious=test,
    )


def old_format(version: int) -> Note:
    return Note(
        "format",
        "",
        f"The notebook was in the old format {version}; it was converted to 4.5.",
        f"Your notebook was saved in an old format (version {version}); it was converted. {SAFE} "
        "A newer Jupyter saves it in today's format.",
    )


def same_ids() -> Note:
    return Note(
        "ids",
        "",
        "Several cells had the same id; all but one got a new one.",
        f"Several cells had the same internal number; that was put right. {SAFE}",
    )


def foreign(count: int) -> Note:
    many = "One more cell was" if count == 1 else f"{count} more cells were"
    return Note(
        "foreign",
        "",
        f"{many} marked for grading that the lab does not know; kept as plain cells.",
        f"{many} marked for grading that the lab does not know. They are kept as cells of yours.",
    )


def _list(names: Sequence[str], mark: str = "") -> str:
    """ "a, b and 3 more", each name between two of `mark`."""
    shown = [f"{mark}{name}{mark}" for name in names[:MOST_NAMED]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
