"""Which system a download comes from.

One layout is chosen for a whole download: the one that more than half of its entries have. An entry
is one voice, whatever lies in it, and the other layouts' files in it count for nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import cache

from autograder.exchange import gradescope, named
from autograder.exchange.archives import METADATA, Item
from autograder.exchange.hand_ins import (
    LAB,
    SUBMITTED,
    Located,
    Recognised,
    Tree,
    outside,
    voters,
    without_zip,
)
from autograder.exchange.people import Roster
from autograder.exchange.plain_folders import plain_folders
from autograder.records import TIMESTAMP

Fits = Callable[[Located], bool]


def recognise(
    items: list[Item],
    roster: Roster | None,
    where: tzinfo | None,
    labs: Collection[str] = (),
    folder: str = "",
) -> Recognised:
    """Every file with its person. `folder` is what a given folder is called; "" for a zip."""
    items = _unbundled(items, labs)
    tables = gradescope.tables(items)
    useful = [
        item
        for item in items
        if item.path[-1] != TIMESTAMP
        and not (item.path[-1] == METADATA and item.path[:-1] in tables)
    ]
    notebooks = [item for item in useful if item.is_notebook]
    tree = Tree(notebooks or useful, labs, wrapped=not folder)
    is_student = (lambda name: roster.knows(name)) if roster is not None else (lambda _: False)

    def located(is_around: Callable[[tuple[str, ...]], bool]) -> list[Located]:
        asked_once = cache(is_around)
        paths = {outside(item.path) for item in useful}
        places = {path: tree.entry(path, _is_system_s, asked_once) for path in paths}
        return [Located(item, places[outside(item.path)]) for item in useful]

    files = located(lambda path: not is_student(path[-1]))
    fits = _fits(files, tables)
    layout = _choice(files, fits)
    if layout == "Gradescope":
        return gradescope.gradescope(files, tables, where)
    if layout == "Moodle":
        return named.moodle(files)
    if layout == "Blackboard":
        return named.blackboard(files, roster, where)
    if layout == "Canvas":
        return named.canvas(files)
    files = located(lambda path: not is_student(path[-1]) and _has_class(tree, path))
    if (held := _downloads_within(files, items)) is not None:
        return held
    dates = [item for item in items if item.path[-1] == TIMESTAMP]
    return plain_folders(files, dates, tree, roster, folder)


def _unbundled(items: list[Item], labs: Collection[str]) -> list[Item]:
    """The items, with lab1.zip and lab2.zip as folders where nothing else lies beside them.

    One zip alone may be a student's, who has chosen what is in it.
    """
    tops = {item.path[0]: without_zip(item.path[0]) for item in items}
    numbers = {int(match[1]) for name in tops.values() if (match := LAB.match(name))}
    is_bundle = len(numbers) == len(tops) > 1 and all(
        name != top and (LAB.fullmatch(name) or name in labs) for top, name in tops.items()
    )
    if not is_bundle:
        return items
    return [replace(item, path=(tops[item.path[0]], *item.path[1:])) for item in items]


def _is_system_s(name: str) -> bool:
    """Whether a name is as a system writes those of students, and so no folder around them."""
    return bool(
        gradescope.SUBMISSION.match(name)
        or named.MOODLE.match(name)
        or named.BLACKBOARD.match(name)
        or named.is_canvas(name)
    )


def _has_class(tree: Tree, path: tuple[str, ...]) -> bool:
    """Whether the one folder in a zip holds those of several students."""
    return len(tree.folders_in(path)) > 1 or tree.below[path] == {SUBMITTED}


def _fits(files: Sequence[Located], tables: gradescope.Tables) -> Mapping[str, Fits]:
    with_text = named.attempts_with_text(files)
    return {
        "Gradescope": lambda one: gradescope.is_gradescope(one, tables),
        "Moodle": lambda one: named.is_moodle(one.entry),
        "Blackboard": lambda one: named.is_blackboard(one, with_text),
        "Canvas": lambda one: named.is_canvas(one.entry),
    }


def _choice(files: Sequence[Located], fits: Mapping[str, Fits]) -> str:
    """The layout of more than half of the entries, or ""."""
    voices = {one.key: one for one in voters(files)}
    counts = {name: sum(fit(one) for one in voices.values()) for name, fit in fits.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] * 2 > len(voices) else ""


def _downloads_within(files: Sequence[Located], items: Sequence[Item]) -> Recognised | None:
    """What to say where most entries are folders or zips that look like downloads themselves."""
    inner: dict[tuple[str, ...], list[Item]] = defaultdict(list)
    for one in voters(files):
        if one.inside:
            inner[one.key].append(Item(one.inside, one.item.staged, one.item.sha256))
    entries = {one.key for one in voters(files)}
    systems = {key: layout for key, own in inner.items() if (layout := _of_itself(own))}
    if len(systems) * 2 <= len(entries):
        return None
    ((system, _),) = Counter(systems.values()).most_common(1)
    found = Recognised(system)
    for key in sorted(entries):
        found.refuse(
            Item(key),
            f"it may be a download from {systems.get(key, system)}, or one student's work: if it "
            "is a download, collect it by itself; else put what is in it into submitted/ by hand",
        )
    return found


def _of_itself(items: list[Item]) -> str:
    """Which system a folder's or a zip's content comes from, read as a download, or ""."""
    tables = gradescope.tables(items)
    files = [Located(item, 0) for item in items if item.path[-1] != METADATA]
    return _choice(files, _fits(files, tables)) if files else ""
