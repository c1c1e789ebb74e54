"""Which system a download comes from, and what each of its files says: who, when, which try.

One layout is chosen for a whole download, the one that most of its files have. Canvas, Moodle and
Blackboard write it into names, Gradescope into a file of its own; in a plain folder, folders are
people and labs. Students choose the names within their own zips: all of such a zip is one voice in
the choice, and the outermost name that says whose a file is counts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import yaml

from autograder.exchange import dates
from autograder.exchange.archives import METADATA, Item, Refused
from autograder.exchange.people import Identity, Roster, plain
from autograder.foreign_text import visible

CANVAS = re.compile(
    r"^(?:(?P<name>.+?)_)?(?:(?P<late>LATE)_)?(?P<user>\d+)_(?P<attachment>\d+)_(?P<file>.+)$",
    re.IGNORECASE | re.DOTALL,
)
CANVAS_BLIND = re.compile(
    r"^(?:(?P<late>LATE)_)?anon_(?:(?P<late2>LATE)_)?(?P<user>\w+?)_(?P<attachment>\d+)_(?P<file>.+)$",
    re.IGNORECASE | re.DOTALL,
)
CANVAS_NO_FILE = re.compile(r"^.+_(?:text|link)\.html$", re.IGNORECASE)
MOODLE = re.compile(
    r"^(?P<name>.+)_(?P<participant>\d+)_(?P<type>assign[a-z]+)_(?P<plugin>[a-z]+)(?:_(?P<file>.*))?$",
    re.DOTALL,
)
BLACKBOARD = re.compile(
    r"^(?P<head>.+)_attempt_(?P<date>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt)$", re.DOTALL
)
IN_BRACKETS = re.compile(r"\(([^()\r\n]+)\)[^\S\r\n]*$", re.MULTILINE)
BLIND = ("participant", "teilnehmer/in", "teilnehmer", "participante", "partecipante", "deelnemer")
SUBMISSION = re.compile(r"^submission_\d+$")
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
    date_file: Path | None = None  # a `timestamp.txt` beside it


@dataclass
class Recognised:
    """What a layout makes of a download."""

    layout: str
    hand_ins: list[HandIn] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, item: Item, reason: str) -> None:
        self.refused.append(Refused(item.shown, reason))


def recognise(items: list[Item], roster: Roster | None, where: tzinfo | None) -> Recognised:
    """Every file with its person, by the layout that fits most of them."""
    layouts: Mapping[str, Callable[[], Recognised]] = {
        "Gradescope": lambda: _gradescope(items, where),
        "Moodle": lambda: _moodle(useful),
        "Blackboard": lambda: _blackboard(useful, where),
        "Canvas": lambda: _canvas(useful),
    }
    tables = {item.path[:-1] for item in items if item.path[-1] == METADATA}
    useful = [item for item in items if not _is_date(item)]
    voices = _voices([item for item in useful if item.path[-1] != METADATA])
    counts = {
        name: sum(all(_fits(name, item, tables) for item in voice) for voice in voices)
        for name in layouts
    }
    best = max(counts, key=lambda name: counts[name])
    return layouts[best]() if counts[best] * 2 > len(voices) else _plain(items, roster)


def _voices(items: list[Item]) -> list[list[Item]]:
    """Each file by itself, and what lies in an inner zip together."""
    found: dict[tuple[str, ...], list[Item]] = defaultdict(list)
    for item in items:
        ends = (n + 1 for n, name in enumerate(item.path[:-1]) if name.lower().endswith(".zip"))
        found[item.path[: next(ends, len(item.path))]].append(item)
    return list(found.values())


def _fits(layout: str, item: Item, tables: set[tuple[str, ...]]) -> bool:
    if layout == "Gradescope":
        return any(SUBMISSION.match(n) and item.path[:i] in tables for i, n in enumerate(item.path))
    patterns = {"Moodle": (MOODLE,), "Blackboard": (BLACKBOARD,)}
    return _split(item, *patterns.get(layout, (CANVAS, CANVAS_BLIND, CANVAS_NO_FILE))) is not None


def _not_as(system: str) -> str:
    return f"its name is not as {system} writes names: put it into submitted/ by hand"


def _is_date(item: Item) -> bool:
    return item.path[-1] == "timestamp.txt"


def _split(item: Item, *patterns: re.Pattern[str]) -> tuple[int, re.Match[str]] | None:
    """The outermost part of a path that a pattern fits, and where it is."""
    for place, part in enumerate(item.path):
        for pattern in patterns:
            if match := pattern.match(part):
                return place, match
    return None


# --- Canvas ---------------------------------------------------------------------------------


def _canvas(items: list[Item]) -> Recognised:
    """Downloaded submissions: doejane_LATE_12345_67890_lab1-2.ipynb."""
    found = Recognised("Canvas")
    for item in items:
        split = _split(item, CANVAS_BLIND, CANVAS)
        if split is None:
            typed = _split(item, CANVAS_NO_FILE) is not None
            found.refuse(item, TEXT_ONLY if typed else _not_as("Canvas"))
            continue
        place, match = split
        parts = match.groupdict()
        if "late2" in parts:
            who = Identity("Canvas", f"anon {parts['user']}", {"anonymous": parts["user"]})
        else:
            who = Identity("Canvas", parts["name"] or "", {"canvas": parts["user"]})
        inside = item.path[place + 1 :]
        found.hand_ins.append(
            HandIn(
                (who,),
                item,
                name=inside[-1] if inside else parts["file"],
                place=match.string[: match.start("file")],
                folders=(*item.path[:place], *inside[:-1]),
                order=int(parts["attachment"]),
                late=bool(parts["late"] or parts.get("late2")),
            )
        )
    return found


# --- Moodle ---------------------------------------------------------------------------------


def _moodle(items: list[Item]) -> Recognised:
    """Submissions in folders, Jane Doe_123_assignsubmission_file_/lab1.ipynb, or flat."""
    found = Recognised("Moodle")
    splits = [split for item in items if (split := _split(item, MOODLE))]
    with_files = {match["participant"] for _, match in splits if match["plugin"] == "file"}
    for item in items:
        split = _split(item, MOODLE)
        if split is None:
            found.refuse(item, _not_as("Moodle"))
            continue
        place, match = split
        if match["plugin"] != "file":
            if match["participant"] not in with_files:
                found.refuse(item, TEXT_ONLY)
            continue
        who = Identity("Moodle", match["name"], {"participant": match["participant"]})
        inside = item.path[place + 1 :]
        flat = match["file"] if match["file"] is not None else ""
        found.hand_ins.append(
            HandIn(
                (who,),
                item,
                name=inside[-1] if inside else flat,
                place=match.string[: len(match.string) - len(flat)] + ("/" if inside else ""),
                folders=(*item.path[:place], *inside[:-1]),
            )
        )
    return _without_blind_names(found)


def _without_blind_names(found: Recognised) -> Recognised:
    """Where marking is blind, everybody has one name, such as Participant."""
    numbers = {h.who[0].ids["participant"] for h in found.hand_ins}
    names = {h.who[0].name for h in found.hand_ins}
    if names and (all(plain(n) in BLIND for n in names) or (len(names) == 1 and len(numbers) > 2)):
        blind = [replace(h, who=(replace(h.who[0], name=""),)) for h in found.hand_ins]
        return replace(found, hand_ins=blind)
    return found


# --- Blackboard ------------------------------------------------------------------------------


def _blackboard(items: list[Item], where: tzinfo | None) -> Recognised:
    """Attempts, Lab 1_jdoe_attempt_2026-05-04-12-00-00_lab1.ipynb, and a text about each."""
    found = Recognised("Blackboard")
    logins = dict(_logins(items))
    splits = [split for item in items if (split := _split(item, BLACKBOARD))]
    with_files = {match.group("head", "date") for _, match in splits if match["file"]}
    for item in items:
        split = _split(item, BLACKBOARD)
        if split is None:
            found.refuse(item, _not_as("Blackboard"))
            continue
        place, match = split
        if match["file"] is None:
            if match.group("head", "date") not in with_files:
                found.refuse(item, TEXT_ONLY)
            continue
        login = logins.get(match["head"]) or match["head"].rpartition("_")[2]
        inside = item.path[place + 1 :]
        found.hand_ins.append(
            HandIn(
                (Identity("Blackboard", "", {"login": login}),),
                item,
                name=inside[-1] if inside else match["file"],
                place=match.string[: match.start("file")],
                folders=(*item.path[:place], match["head"], *inside[:-1]),
                date=dates.parse(match["date"], where),
            )
        )
    return found


def _logins(items: list[Item]) -> Iterator[tuple[str, str]]:
    """What the texts beside attempts say of their logins, which may hold an underscore."""
    for item in items:
        split = _split(item, BLACKBOARD)
        if split is None or split[1]["file"] is not None or item.staged is None:
            continue
        head = split[1]["head"]
        with item.staged.open(encoding="utf-8", errors="replace") as file:
            text = file.read(10_000)
        for login in IN_BRACKETS.findall(text):
            if head.endswith(f"_{login}"):
                yield head, login
                break


# --- Gradescope ------------------------------------------------------------------------------


class _Ruby(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads Ruby's objects as plain values."""


def _plain_value(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Ruby.add_multi_constructor("!", _plain_value)


def _gradescope(items: list[Item], where: tzinfo | None) -> Recognised:
    """An export of submissions, with submission_metadata.yml beside the folders."""
    found = Recognised("Gradescope")
    known: dict[tuple[str, ...], Any] = {}
    for item in items:
        if item.path[-1] == METADATA:
            known[item.path[:-1]] = _metadata(item, found)
    said = set()
    for item in items:
        if item.path[-1] == METADATA:
            continue
        place = next((n for n, part in enumerate(item.path[:-1]) if SUBMISSION.match(part)), None)
        about = known.get(item.path[:place], {}) if place is not None else {}
        entry = about.get(item.path[place]) if place is not None else None
        who = tuple(_submitters(entry))
        if place is None or not who:
            where_it_lies = item.path[: (place or 0) + 1]
            if where_it_lies not in said:
                said.add(where_it_lies)
                found.refuse(item, f"{METADATA} does not say whose it is")
            continue
        found.hand_ins.append(
            HandIn(
                who,
                item,
                name=item.path[-1],
                place=f"{item.path[place]}/",
                folders=(*item.path[:place], *item.path[place + 1 : -1]),
                date=_created(entry, where),
            )
        )
    return found


def _metadata(item: Item, found: Recognised) -> dict[str, Any]:
    try:
        assert item.staged is not None  # archives copies it
        content = yaml.load(item.staged.read_bytes(), Loader=_Ruby)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = visible(str(error).split("\n")[0])
        found.refuse(item, f"it is no valid YAML ({reason}): download the export again")
        return {}
    return content if isinstance(content, dict) else {}


def _value(entry: Any, key: str) -> Any:
    """A value under a key of Ruby's, `:key`, or as Gradescope might write it one day, `key`."""
    return entry.get(f":{key}", entry.get(key)) if isinstance(entry, dict) else None


def _submitters(entry: Any) -> Iterator[Identity]:
    people = _value(entry, "submitters")
    for person in people if isinstance(people, list) else ():
        said = {key: _value(person, key) for key in ("name", "sid", "email")}
        words = {k: str(v).strip() for k, v in said.items() if isinstance(v, str | int)}
        kinds = {"sis": words.get("sid", ""), "email": words.get("email", "")}
        ids = {kind: value for kind, value in kinds.items() if value}
        if ids or words.get("name"):
            yield Identity("Gradescope", words.get("name", ""), ids)


def _created(entry: Any, where: tzinfo | None) -> datetime | None:
    date = _value(entry, "created_at")
    if isinstance(date, datetime):
        return dates.in_utc(date, where)
    return dates.parse(date, where) if isinstance(date, str) else None


# --- plain folders ---------------------------------------------------------------------------

LAB = re.compile(r"lab[ _-]?0*\d+(?!\d)", re.IGNORECASE)
SUBMITTED = "submitted"  # what a course folder calls it


def _plain(items: list[Item], roster: Roster | None) -> Recognised:
    """STUDENT/LAB/x.ipynb, LAB/STUDENT/x.ipynb or STUDENT/x.ipynb, in any folder around them."""
    found = Recognised("plain folders")
    files = [item for item in items if not _is_date(item)]
    date_files = {item.path[:-1]: item.staged for item in items if _is_date(item)}
    around = _around([item.path[:-1] for item in files if item.staged])
    for item in files:
        folders = item.path[around:-1]
        if SUBMITTED in folders:
            folders = folders[folders.index(SUBMITTED) + 1 :]
        names = [name for name in folders if not LAB.match(name)]
        if roster is not None:
            names = [name for name in folders if roster.knows_folder(name)] or names
        if not names:
            found.refuse(item, "it lies in no folder of a student: put it into STUDENT/LAB/")
            continue
        found.hand_ins.append(
            HandIn(
                (_folder(names[0]),),
                item,
                name=item.path[-1],
                folders=tuple(item.path[:-1]),
                date_file=date_files.get(item.path[:-1]),
            )
        )
    return found


def _folder(name: str) -> Identity:
    name = re.sub(r"\.zip$", "", name, flags=re.IGNORECASE)
    return Identity("folder", name, {"folder": name})


def _around(folders: list[tuple[str, ...]]) -> int:
    """How many folders lie around all students: their names say nothing of anybody."""
    depth = 0
    while True:
        names = {path[depth] if depth < len(path) else "" for path in folders}
        if len(names) != 1 or "" in names:
            return depth
        (name,) = names
        below = {path[depth + 1] if depth + 1 < len(path) else "" for path in folders}
        several = "" not in below and len({n for n in below if not LAB.match(n)}) > 1
        if not (several or name == SUBMITTED or LAB.match(name)):
            return depth
        depth += 1
