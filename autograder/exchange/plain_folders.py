"""Plain folders: STUDENT/LAB/x.ipynb, LAB/STUDENT/x.ipynb or STUDENT/x.ipynb.

The outermost folder that is no lab's is the student's. With a roster, students may also lie a level
further down, in folders of their sections: at the level where most entries have somebody whom the
roster knows, and then so for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from autograder.exchange.archives import Item
from autograder.exchange.hand_ins import (
    LAB,
    SUBMITTED,
    HandIn,
    Located,
    Recognised,
    Tree,
    outside,
    voters,
    without_zip,
)
from autograder.exchange.people import Identity, Roster

NO_FOLDER = "it lies in no folder of a student: put it into STUDENT/LAB/"


def plain_folders(
    files: Sequence[Located],
    date_files: Sequence[Item],
    tree: Tree,
    roster: Roster | None,
    top: str,
) -> Recognised:
    """`top` is what the folder is called that was given; "" for a zip."""
    found = Recognised("plain folders")
    level = _level(files, tree, roster)
    known = {one.path[:-1]: one.staged for one in date_files if outside(one.path) == one.path}
    has_submitted = any(SUBMITTED in one.above for one in files)
    is_unclear = _is_unclear(files, tree, roster)
    for one in files:
        folders = _folders(one, tree)
        if has_submitted and SUBMITTED not in one.above:
            found.refuse(one.item, f"it lies outside {SUBMITTED}/, where submissions are")
        elif len(folders) <= level or LAB.fullmatch(without_zip(folders[level][-1])):
            found.refuse(one.item, NO_FOLDER)
        elif is_unclear and one.item.is_notebook:
            found.refuse(
                one.item,
                f"{one.entry}/ may be one student's folder, or hold those of a class: "
                "if it holds a class, collect it by itself; else give a roster",
            )
        else:
            student = without_zip(folders[level][-1])
            date_file = _date_file(folders[level], one, known, SUBMITTED in (top, *one.above[-1:]))
            found.hand_ins.append(
                HandIn(
                    (Identity("folder", student, {"folder": student}),),
                    one.item,
                    name=one.item.path[-1],
                    folders=tuple(one.item.path[:-1]),
                    date_file=date_file,
                    undated=date_file is None and one.item.path[:-1] in known,
                )
            )
    return found


def _folders(one: Located, tree: Tree) -> list[tuple[str, ...]]:
    """The folders from the entry inwards that may be a student's; a student's zip is the last."""
    path = outside(one.item.path)
    if path == one.item.path:
        path = path[:-1]
    paths = (path[: depth + 1] for depth in range(one.at, len(path)))
    return [folder for folder in paths if not tree.is_labs(folder)]


def _level(files: Sequence[Located], tree: Tree, roster: Roster | None) -> int:
    """How many folders lie between an entry and its students; each entry has one vote."""
    if roster is None:
        return 0
    depths: dict[tuple[str, ...], Counter[int]] = {}
    for one in voters(files):
        known = (n for n, path in enumerate(_folders(one, tree)) if _knows(roster, path[-1]))
        depths.setdefault(one.key, Counter())[next(known, 0)] += 1
    votes = Counter(max(sorted(one), key=lambda n, one=one: one[n]) for one in depths.values())
    if len(depths) < 2:  # it may be one student's, with folders of any name
        return 0
    return max(sorted(votes), key=lambda n: votes[n], default=0)


def _knows(roster: Roster, name: str) -> bool:
    return roster.knows(without_zip(name))


def _is_unclear(files: Sequence[Located], tree: Tree, roster: Roster | None) -> bool:
    """Whether there is one entry alone, which may as well be a folder around a class."""
    entries = {one.key for one in voters(files)}
    if len(entries) != 1:
        return False
    (key,) = entries
    if not tree.below.get(key) or (roster is not None and _knows(roster, key[-1])):
        return False
    inside = tree.folders_in(key)
    return len(inside) > 1 or SUBMITTED in inside or bool(inside and LAB.match(key[-1]))


def _date_file(
    student: tuple[str, ...],
    one: Located,
    known: dict[tuple[str, ...], Path | None],
    is_nbgraders: bool,
) -> Path | None:
    """The date of all in a folder that nbgrader wrote: submitted/STUDENT/LAB/timestamp.txt."""
    lab = one.item.path[: len(student) + 1]
    return known.get(lab) if is_nbgraders and lab != one.item.path else None
