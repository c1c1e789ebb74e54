"""Finds a lab's secrets (solutions, mark schemes, hidden tests) in what students get.

A secret is a line inside such a region of the source. It counts as shown when one long
line of it, or two lines in a row, stand anywhere in the release: cells, outputs, metadata,
attachments. Lines that the author shows on purpose are no secrets: those that also stand in
a code cell outside every region, and those in a `<details>` block (a folded hint) of a
markdown cell. Whether the release is the generator's own work is `build`'s question.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nbformat import NotebookNode

from autograder.authoring.source import find_regions, lines_outside
from autograder.cells import MARKER, grade_id, role

LONG = 25  # a line of code of so many characters is told apart by itself
LONG_PROSE = 40  # and of a written answer: shorter ones are turns of phrase
SUBSTANTIVE = 6  # a line with fewer letters and digits says nothing
DETAILS = re.compile(r"<details\b.*?</details>", re.DOTALL | re.IGNORECASE)
NAMES = {"SOLUTION": "the solution", "HIDDEN TESTS": "a hidden test", "MARK SCHEME": "mark scheme"}


@dataclass(frozen=True)
class Secret:
    """Consecutive lines that a student must not see; None stands where a public line was."""

    cell: str
    kind: str
    lines: tuple[str | None, ...]
    long: int = LONG


def find_leaks(
    source: NotebookNode, release: NotebookNode, stars: Sequence[NotebookNode] = ()
) -> list[str]:
    """A sentence for each marker, and each secret of `source` or `stars`, in `release`."""
    secrets = list(secrets_of(source, stars))
    found: list[str] = []
    for place, text in texts_of(release):
        found += leaks_in_text(secrets, place, text)
    return list(dict.fromkeys(found))


def leaks_in_text(secrets: list[Secret], place: str, text: str) -> list[str]:
    """A sentence for each marker and each secret that stands in one text."""
    marker = MARKER.search(text)
    found = [f"{place} holds the marker {marker.group(0)!r}."] if marker else []
    lines = [line for line in map(_normal, text.split("\n")) if _substantive(line)]
    for secret in secrets:
        shown = _first_shown(secret, lines)
        if shown:
            found.append(
                f"{place} shows {NAMES[secret.kind]} of cell {secret.cell}: {shown!r}. "
                "Reword it, or fold it into a <details> hint if it is meant."
            )
    return found


def secrets_of(source: NotebookNode, stars: Sequence[NotebookNode] = ()) -> Iterator[Secret]:
    """Every region that the release must not show, less the lines shown on purpose.

    `stars` are the cells of model answers that stand beside the source: secret as a whole.
    """
    public = _public_lines(source)
    for number, cell in enumerate(source.cells, 1):
        name = grade_id(cell) or f"number {number}"
        long = LONG if cell.cell_type == "code" else LONG_PROSE
        regions = [(region.kind, region.lines) for region in find_regions(cell.source, name)]
        if role(cell) == "written" and not regions:  # nbgrader then replaces the whole cell
            regions = [("SOLUTION", tuple(cell.source.split("\n")))]
        for kind, lines in regions:
            secret = _less(public, lines)
            if any(secret):
                yield Secret(name, kind, secret, long)
    for number, cell in enumerate(stars, 1):
        long = LONG if cell.cell_type == "code" else LONG_PROSE
        secret = _less(public, cell.source.split("\n"))
        if any(secret):
            yield Secret(f"{number} of stars.py", "SOLUTION", secret, long)


def _less(public: list[str], lines: Iterable[str]) -> tuple[str | None, ...]:
    """The lines that say something; None in place of those that are public."""
    kept = [line for line in map(_normal, lines) if _substantive(line)]
    return tuple(None if any(line in p for p in public) else line for line in kept)


def texts_of(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    """Every text in a notebook, with the place where it stands."""
    for number, cell in enumerate(notebook.cells, 1):
        name = f"Cell {grade_id(cell) or cell.get('id', number)}"
        yield name, cell.source
        rest = {key: value for key, value in cell.items() if key not in ("source", "cell_type")}
        for key, value in rest.items():
            for text in _strings(value):
                yield f"{name} ({key})", text
    for text in _strings(notebook.metadata):
        yield "The notebook's metadata", text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        decoded = _decoded(value)
        if decoded:
            yield decoded
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        if value and all(isinstance(item, str) for item in value):
            yield "".join(value)
        for inner in value:
            yield from _strings(inner)


def _decoded(text: str) -> str:
    """What base64 text (an attachment, a picture) spells, or ""."""
    if len(text) < 24 or re.search(r"[^A-Za-z0-9+/=\s]", text):
        return ""
    try:
        return base64.b64decode(text).decode("utf-8", errors="ignore")
    except (binascii.Error, ValueError):
        return ""


def _public_lines(source: NotebookNode) -> list[str]:
    public: list[str] = []
    for cell in source.cells:
        if cell.cell_type == "code":
            public += lines_outside(cell.source)
        else:
            shown = "\n".join(lines_outside(cell.source))
            for block in DETAILS.findall(shown):
                public += block.split("\n")
    return [line for line in map(_normal, public) if line]


def _first_shown(secret: Secret, lines: list[str]) -> str:
    for line in secret.lines:
        if line and len(line) >= secret.long and any(line in text for text in lines):
            return line
    follow = dict.fromkeys(pairwise(lines))
    for first, second in pairwise(secret.lines):
        if first and second and any(first in a and second in b for a, b in follow):
            return f"{first} / {second}"
    return ""


def _normal(line: str) -> str:
    return " ".join(line.split())


def _substantive(line: str) -> bool:
    return sum(character.isalnum() for character in line) >= SUBSTANTIVE
