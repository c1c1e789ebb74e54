"""Reads whatever a student hands in as a valid notebook, and refuses what cannot be one.

Everything that a person wrote is kept, even from a damaged file: sources, their order, pictures
pasted into texts, and what is needed to recognise cells. Outputs and all other metadata are left
out: grading makes its own outputs, and a tag such as `skip-execution` must not survive.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from autograder.course import CourseError

MAX_BYTES = 50_000_000
MAX_CELLS = 1_000
MAX_CODE = 2_000_000  # characters in all code cells; text cells may hold pictures
CELL_TYPES = ("code", "markdown", "raw")
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class FileText(NamedTuple):
    """A student's file as text."""

    name: str  # within the folder that was handed in
    text: str
    encoding: str = ""  # other than UTF-8


class NotANotebook(CourseError):
    """This file cannot be read as a notebook; the message says why."""


def read_submission(path: Path) -> NotebookNode:
    """The notebook in a student's file as valid nbformat 4.5, or NotANotebook."""
    return parse_notebook(read_text(path), path.name)


def parse_notebook(text: str, name: str = "the notebook") -> NotebookNode:
    """The notebook in `text`; `name` stands for it in errors."""
    if not text.strip():
        raise NotANotebook(f"{name} is empty.")
    if text.lstrip()[0] == "<":
        raise NotANotebook(
            f"{name} is a web page, saved from the browser, and no notebook. In Jupyter or Colab, "
            "choose Download in the File menu, and hand in that file."
        )
    try:
        raw = json.loads(text)
    except RecursionError as error:
        raise NotANotebook(f"{name} is nested too deeply to be a notebook.") from error
    except ValueError as error:
        raise NotANotebook(
            f"{name} is not valid JSON, so it is damaged or was cut off: a whole copy is needed. "
            f"({error}.)"
        ) from error
    return salvage(raw, name)


def salvage(raw: Any, name: str = "the notebook") -> NotebookNode:
    """`raw` (a notebook's JSON, of any version) as a valid notebook of nbformat 4.5.

    Deterministic, and idempotent. An id that a cell cannot keep, because another cell has it, goes
    into its metadata, where Colab keeps the ids of its cells too.
    """
    if not isinstance(raw, dict):
        raise NotANotebook(f"{name} is not a Jupyter notebook: it is JSON, but not a JSON object.")
    version = _version(raw)
    old = version if "cells" not in raw or version < 4 else None
    cells = _old_cells(raw, name) if old else raw["cells"]
    if not isinstance(cells, list):
        raise NotANotebook(f"{name} is not a Jupyter notebook: it has no list of cells.")
    if len(cells) > MAX_CELLS:
        raise NotANotebook(f"{name} has {len(cells):,} cells; at most {MAX_CELLS:,} are accepted.")
    notebook = nbformat.v4.new_notebook()
    notebook.nbformat_minor = 5
    notebook.cells = [_cell(cell) for cell in cells if isinstance(cell, dict)]
    code = sum(len(cell.source) for cell in notebook.cells if cell.cell_type != "markdown")
    if code > MAX_CODE:
        raise NotANotebook(
            f"{name} holds {code:,} characters of code; at most {MAX_CODE:,} are accepted. Load "
            "data from a file instead of writing it into a cell."
        )
    _set_ids(notebook.cells)
    notebook.metadata = nbformat.from_dict(_metadata(raw.get("metadata"), old))
    return notebook


def content_id(cell: NotebookNode, taken: Callable[[str], bool]) -> str:
    """An id derived from the cell's content that is not `taken`."""
    text = f"{cell.cell_type}\n{cell.source}"
    stem = f"x-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    counter, wanted = 2, stem
    while taken(wanted):
        counter, wanted = counter + 1, f"{stem}-{counter}"
    return wanted


def read_text(path: Path) -> str:
    """The text of a student's file, or NotANotebook; follows no link."""
    return read_file(path, path.name).text


def read_file(path: Path, name: str) -> FileText:
    """Like `read_text`, with the name and the encoding of the file."""
    try:
        found = path.lstat()
    except OSError as error:
        raise NotANotebook(f"{path.name} cannot be read: {error.strerror}.") from error
    if stat.S_ISLNK(found.st_mode):
        raise NotANotebook(f"{path.name} is a link to another file: hand in the notebook itself.")
    if not stat.S_ISREG(found.st_mode):
        raise NotANotebook(f"{path.name} is not a file: hand in the notebook itself.")
    if found.st_size > MAX_BYTES:
        raise NotANotebook(
            f"{path.name} has {found.st_size / 1e6:,.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB "
            "are accepted. Clear its outputs, save it, and hand it in again."
        )
    try:
        # Without following links: the file may have been replaced since it was examined.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with open(handle, "rb") as file:
            return FileText(name, *decoded(file.read(MAX_BYTES + 1)))
    except OSError as error:
        raise NotANotebook(f"{path.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise NotANotebook(f"{path.name} is not text in UTF-8: it is damaged.") from error


def decoded(data: bytes) -> tuple[str, str]:
    """A file's text, and its encoding unless that is UTF-8. Raises UnicodeDecodeError.

    Windows' editors save UTF-16 and cp1252, and both can be told from a damaged file.
    """
    try:
        encoding = json.detect_encoding(data)
        return data.decode(encoding), "" if encoding.startswith("utf-8") else encoding
    except UnicodeDecodeError:
        if encoding.startswith("utf-8") and data.lstrip()[:1] == b"{" and b"\0" not in data:
            return data.decode("cp1252"), "cp1252"
        raise


def _version(raw: dict[str, Any]) -> int:
    number = raw.get("nbformat")
    if isinstance(number, int) and not isinstance(number, bool) and number > 0:
        return number
    return 4 if "cells" in raw else 3


def _old_cells(raw: dict[str, Any], name: str) -> Any:
    """The cells of a notebook of nbformat 1 to 3, converted by nbformat itself."""
    sheets = raw.get("worksheets", [])
    for holder in [raw, *(sheets if isinstance(sheets, list) else [])]:
        cells = holder.get("cells") if isinstance(holder, dict) else None
        for cell in cells if isinstance(cells, list) else []:
            if isinstance(cell, dict) and "outputs" in cell:
                cell["outputs"] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nbformat.convert(nbformat.reader.reads(json.dumps(raw)), 4)["cells"]
    except Exception as error:  # nbformat raises many kinds for odd JSON
        reason = str(error).strip().split("\n")[0]
        raise NotANotebook(f"{name} is not a Jupyter notebook: {reason}") from error


def _cell(raw: dict[str, Any]) -> NotebookNode:
    """One cell, with an id of "" where it has none that can be used."""
    kind = raw.get("cell_type")
    cell = NotebookNode(
        cell_type=kind if kind in CELL_TYPES else "raw",
        id="",
        metadata=NotebookNode(),
        source=_text(raw.get("source", raw.get("input"))),
    )
    metadata = raw.get("metadata") if isinstance(raw.get("metadata"), dict) else {}
    known = metadata.get("nbgrader")
    if isinstance(known, dict) and known:
        plain = {key: value for key, value in known.items() if _is_plain(value)}
        cell.metadata["nbgrader"] = NotebookNode(plain)
    # Colab keeps the id here, and `_set_ids` the original one of a cell with a new id.
    ids = [wanted for wanted in (raw.get("id"), metadata.get("id")) if _is_id(wanted)]
    if ids:
        cell.id = ids[0]
    if len(ids) > 1 and ids[1] != ids[0]:
        cell.metadata["id"] = ids[1]
    if cell.cell_type == "code":
        cell.update(execution_count=None, outputs=[])
    elif pictures := dict(_attachments(raw.get("attachments"))):
        cell.attachments = nbformat.from_dict(pictures)
    return cell


def _set_ids(cells: list[NotebookNode]) -> None:
    present = {cell.id for cell in cells}
    used: set[str] = set()
    for cell in cells:
        if not cell.id or cell.id in used:
            if cell.id:
                cell.metadata["id"] = cell.id
            cell.id = content_id(cell, lambda wanted: wanted in used or wanted in present)
        used.add(cell.id)


def _metadata(raw: Any, old: int | None) -> dict[str, Any]:
    """What is kept of a notebook's metadata: which lab it says it is, and its old format.

    The format is kept under a name of this course: editors write an `orig_nbformat` of their own
    into notebooks that are not old.
    """
    kept: dict[str, Any] = {}
    ours = raw.get("trickster") if isinstance(raw, dict) else None
    ours = ours if isinstance(ours, dict) else {}
    if isinstance(ours.get("lab"), str):
        kept["lab"] = _clean(ours["lab"])
    if old or ours.get("old_format") in (1, 2, 3):
        kept["old_format"] = old or ours["old_format"]
    return {"trickster": kept} if kept else {}


def _attachments(raw: Any) -> Iterator[tuple[str, dict[str, str]]]:
    for name, bundle in raw.items() if isinstance(raw, dict) else ():
        if isinstance(bundle, dict):
            yield _clean(name), {_clean(kind): _text(data) for kind, data in bundle.items()}


def _text(raw: Any) -> str:
    """A source as one text: nbformat allows a list of lines, or a string."""
    if isinstance(raw, list):
        raw = "".join(line for line in raw if isinstance(line, str))
    return _clean(raw) if isinstance(raw, str) else ""


def writable(text: str) -> str:
    """Text that can be written as UTF-8: a half of a character becomes a replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _clean(text: str) -> str:
    """Text that can be written as UTF-8, with \\n as its only line end."""
    text = writable(text)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and CELL_ID.fullmatch(value) is not None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
