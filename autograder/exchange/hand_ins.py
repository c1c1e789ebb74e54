"""What is handed in, and down to where a path is the instructor's or the system's own.

Students choose what their files are called, and everything within their folders and zips. So one
name of each path says whose it is, its *entry*: the outermost that may be a person's, below the
folders that hold the whole class. What is written further in is never asked.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from autograder.exchange.archives import Item, Refused
from autograder.exchange.people import Identity

LAB = re.compile(r"lab[ _-]?0*(\d+)(?!\d)", re.IGNORECASE)
SUBMITTED = "submitted"  # what a course folder calls it
# Folders that systems themselves put around a whole class.
WRITTEN = re.compile(r"(?:assignment_\d+_export|submissions)(?: ?\(\d+\))?", re.IGNORECASE)
TEXT_ONLY = "it was typed into the system, and no notebook was handed in"


@dataclass(frozen=True)
class HandIn:
    """One file that one person, or a group, has handed in."""

    who: tuple[Identity, ...]
    item: Item
    name: str  # the file's own, without what the system wrote before it
    place: str = ""  # what the system wrote before it, by which it knows its own again
    folders: tuple[str, ...] = ()  # where it lies, which may say which lab it is
    date: datetime | None = None
    order: int = 0  # Canvas's number of the upload: a later one is higher
    late: bool = False
    date_file: Path | None = None  # nbgrader's `timestamp.txt`
    undated: bool = False  # another `timestamp.txt` lies beside it, which anybody may have written
    other_users: tuple[str, ...] = ()  # of Canvas, whose its name may be as well


@dataclass
class Recognised:
    """What a layout makes of a download."""

    layout: str
    hand_ins: list[HandIn] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, item: Item, reason: str) -> None:
        self.refused.append(Refused(item.shown, reason))


@dataclass(frozen=True)
class Located:
    """One file, and which name of its path is its entry."""

    item: Item
    at: int

    @property
    def entry(self) -> str:
        return self.item.path[self.at]

    @property
    def key(self) -> tuple[str, ...]:
        """The path down to the entry."""
        return self.item.path[: self.at + 1]

    @property
    def above(self) -> tuple[str, ...]:
        return self.item.path[: self.at]

    @property
    def inside(self) -> tuple[str, ...]:
        return self.item.path[self.at + 1 :]


def voters(files: Sequence[Located]) -> Sequence[Located]:
    """The files that say how a download is read: what may be a notebook, or all if none may."""
    return [one for one in files if one.item.is_notebook] or files


def outside(path: tuple[str, ...]) -> tuple[str, ...]:
    """A path down to the first zip in it, which a student may have packed."""
    ends = (n + 1 for n, name in enumerate(path) if is_zip(name))
    return path[: next(ends, len(path))]


def is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def without_zip(name: str) -> str:
    """What a zip is called, which says as much as a folder's name."""
    return name[: -len(".zip")] if is_zip(name) else name


class Tree:
    """The folders of a download, outside the zips in it."""

    def __init__(self, items: Iterable[Item], labs: Collection[str], wrapped: bool):
        """`wrapped`: the download is a zip, which may have one folder around everything."""
        self.labs, self.wrapped = labs, wrapped
        self.below: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for path in {outside(item.path) for item in items}:
            for depth, name in enumerate(path):
                self.below[path[:depth]].add(name)
        self._labs_in: dict[tuple[str, ...], bool] = {}
        common: tuple[str, ...] = ()
        while len(self.below[common]) == 1 and self.below[(*common, *self.below[common])]:
            common = (*common, *self.below[common])
        self.common = common  # the folders around everything

    def is_labs(self, path: tuple[str, ...]) -> bool:
        """Whether a folder is a lab's: "lab1-ada" beside "lab1-bo" is a student's clone."""
        name = path[-1]
        if LAB.match(name) is None:
            return False
        if LAB.fullmatch(name) or name in self.labs:
            return True
        return self._has_labs(path[:-1])

    def _has_labs(self, folder: tuple[str, ...]) -> bool:
        """Whether the names in a folder that begin as a lab's are each another lab's."""
        if folder not in self._labs_in:
            found = (LAB.match(name) for name in self.below[folder])
            numbers = Counter(int(match[1]) for match in found if match)
            self._labs_in[folder] = len(numbers) > 1 and set(numbers.values()) == {1}
        return self._labs_in[folder]

    def entry(
        self,
        path: tuple[str, ...],
        is_entry: Callable[[str], bool],
        is_around: Callable[[tuple[str, ...]], bool],
    ) -> int:
        """Where the entry of a path is: the first name that is no folder around a class."""
        path = outside(path)
        at, free = 0, self.wrapped
        while at < len(path) - 1 and not is_entry(path[at]):
            here = path[: at + 1]
            if path[at] == SUBMITTED or WRITTEN.fullmatch(path[at]) or self.is_labs(here):
                at += 1
            elif free and here == self.common[: at + 1] and is_around(here):
                at, free = at + 1, False
            else:
                break
        return at

    def folders_in(self, path: tuple[str, ...]) -> list[str]:
        """The folders and zips directly in a folder that are no lab's."""
        inside = ((*path, name) for name in self.below[path])
        folders = (one for one in inside if self.below.get(one) or is_zip(one[-1]))
        return [one[-1] for one in folders if not self.is_labs((*path, without_zip(one[-1])))]
