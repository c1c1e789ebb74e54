"""Gradescope's exports, in which submission_metadata.yml says whose each folder is.

The one beside the folders is Gradescope's; a file of that name in a student's folder is never
opened. It holds names that students chose, so that its values are read as texts and nothing else:
as YAML, a name such as 2026-02-31 would be a date that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

import yaml

from autograder.exchange import dates
from autograder.exchange.archives import METADATA, Item
from autograder.exchange.hand_ins import HandIn, Located, Recognised, outside
from autograder.exchange.people import Identity
from autograder.foreign_text import visible

SUBMISSION = re.compile(r"^submission_\d+$")
NOTHING = ("", "~", "null")
Tables = dict[tuple[str, ...], Item]


class _Texts(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):
    """Reads lists, mappings and texts, whatever a tag calls them."""


def tables(items: Sequence[Item]) -> Tables:
    """By folder, each file that may be the export's own."""
    return {
        item.path[:-1]: item
        for item in items
        if item.path[-1] == METADATA
        and outside(item.path) == item.path
        and not any(SUBMISSION.match(name) for name in item.path[:-1])
    }


def is_gradescope(one: Located, known: Tables) -> bool:
    return SUBMISSION.match(one.entry) is not None and one.above in known


def gradescope(files: Sequence[Located], known: Tables, where: tzinfo | None) -> Recognised:
    """An export of submissions, with submission_metadata.yml beside the folders."""
    found = Recognised("Gradescope")
    about = {
        folder: _metadata(known[folder], found)
        for folder in sorted({one.above for one in files}.intersection(known))
    }
    said = set()
    for one in files:
        entry = about.get(one.above, {}).get(one.entry)
        who = tuple(_submitters(entry))
        if not who or not one.inside:
            if one.key not in said:
                said.add(one.key)
                found.refuse(one.item, f"{METADATA} does not say whose it is")
            continue
        found.hand_ins.append(
            HandIn(
                who,
                one.item,
                name=one.inside[-1],
                place=f"{one.entry}/",
                folders=(*one.above, *one.inside[:-1]),
                date=dates.parse(created, where)
                if isinstance(created := _value(entry, "created_at"), str)
                else None,
            )
        )
    return found


def _metadata(item: Item, found: Recognised) -> dict[str, Any]:
    try:
        assert item.staged is not None  # archives copies it
        content = yaml.load(item.staged.read_bytes(), Loader=_Texts)
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
        words = {k: v.strip() for k, v in said.items() if isinstance(v, str)}
        kinds = {"sis": words.get("sid", ""), "email": words.get("email", "")}
        ids = {kind: value for kind, value in kinds.items() if value not in NOTHING}
        if ids or words.get("name"):
            yield Identity("Gradescope", words.get("name", ""), ids)
