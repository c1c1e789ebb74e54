"""The authoring format: one percent-format text file a lab, expanded to a notebook.

A cell's role stands in its header, in place of nbgrader's metadata:

    # %% provided="setup"                         code the student gets and cannot change
    # %% solution="build_victim"                  the student's code (### BEGIN SOLUTION ...)
    # %% test="build_victim_test" points=4        what gives the points
    # %% [markdown] written="why" points=2        a written answer, marked by a person

Other cells are plain. `{{repository}}`, `{{branch}}`, `{{scenario}}`, `{{lab}}` and
`{{colab_url}}` are filled in from `course.toml` (a line with a link to {{colab_url}} is left out
when the repository is not on github.com), `{{setup}}` from `solutions/setup_cell.py`. Executing
and releasing is `build`'s business.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from autograder.cells import LANGUAGE_INFO, MARKER, grade_id, points_of, role
from autograder.course import Course, CourseError, Lab

ROLES = ("provided", "solution", "test", "written")
PLAIN_KEYS = ("tags", "jupyter")  # Jupyter's own, passed on as they are
INTERNAL_KEYS = ("lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker")
SETUP = "{{setup}}"
# Code that a student runs and need not read: folded in JupyterLab, on Colab, and on the web site.
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form", "tags": ["hide-input"]}
NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
COLAB_LINE = re.compile(r"^.*\]\(\{\{colab_url\}\}\).*\n?", re.MULTILINE)
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


class AuthorError(CourseError):
    """A lab's source breaks a rule of the authoring format."""


@dataclass(frozen=True)
class Region:
    """A stretch of lines between BEGIN and END, the marker lines left out."""

    kind: str
    lines: tuple[str, ...]


def build_notebook(lab: Lab, course: Course) -> NotebookNode:
    """The lab's source as a notebook with nbgrader's metadata and stable ids, not executed."""
    text = lab.source.read_text(encoding="utf-8")
    where = f"solutions/{lab.name}/{lab.name}.py"
    return copy.deepcopy(_expanded(text, lab.name, course, where, _setup_cell(lab)))


def expand(
    text: str, lab: str, course: Course, where: str = "the source", setup: str = ""
) -> NotebookNode:
    """Percent-format `text` as a notebook; `where` names the file in errors.

    `setup` is what {{setup}} stands for: the code that every lab begins with.
    """
    raw = parse(text, where)
    cells = parse(_substitute(text, lab, course, setup), where)
    seen: dict[str, str] = {}
    for number, cell in enumerate(cells, 1):
        _expand_cell(cell, f"{where}, cell {number}{_line_of(text, number)}", seen)
    for as_written, cell in zip(raw, cells, strict=True):
        if as_written.source.strip() == SETUP:
            cell.metadata.update(FOLDED)
    _set_ids(cells)
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.nbformat_minor = 5
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": KERNELSPEC,
            "language_info": LANGUAGE_INFO,
            "trickster": {
                "code_sha256": _code_hash(raw),
                "lab": lab,
                "points": _plain_number(sum(points_of(cell) for cell in cells)),
                "source_sha256": hashlib.sha256((text + setup).encode()).hexdigest(),
            },
        }
    )
    return notebook


def lab_notebook(lab: Lab, course: Course) -> NotebookNode:
    """What a lab is graded against: its source; in a student copy, which has none, its release."""
    if lab.source.is_file():
        return build_notebook(lab, course)
    return nbformat.read(lab.release, as_version=nbformat.NO_CONVERT)


@lru_cache(maxsize=32)
def _expanded(*given: Any) -> NotebookNode:
    """The same as `expand`, kept: one run over a class asks four times for each lab."""
    return expand(*given)


def lines_of(lab: Lab, notebook: NotebookNode) -> dict[str, int]:
    """The line of the source at which each cell begins, by the cell's id."""
    lines = _header_lines(lab.source.read_text(encoding="utf-8"))
    if len(lines) != len(notebook.cells):  # a header without its %%: the lines do not tell
        return {}
    return {cell.id: line for cell, line in zip(notebook.cells, lines, strict=True)}


def find_regions(source: str, where: str = "the cell") -> list[Region]:
    """Every BEGIN ... END region of a cell; an unbalanced or nested marker is an error.

    A region inside a region of another kind (a mark scheme within a solution)
    is returned by itself, and its lines count for the outer one too.
    """
    open_regions: list[tuple[str, list[str]]] = []
    found: list[Region] = []
    for line in source.split("\n"):
        match = MARKER.search(line)
        if match is None:
            for _, lines in open_regions:
                lines.append(line)
            continue
        verb, kind = match.groups()
        if verb == "BEGIN":
            if any(kind == other for other, _ in open_regions):
                raise AuthorError(f"{where}: a second BEGIN {kind} before the first one's END.")
            open_regions.append((kind, []))
        elif not open_regions or open_regions[-1][0] != kind:
            raise AuthorError(f"{where}: END {kind} without a BEGIN {kind} that is still open.")
        else:
            found.append(Region(kind, tuple(open_regions.pop()[1])))
    if open_regions:
        kind = open_regions[-1][0]
        raise AuthorError(f"{where}: BEGIN {kind} has no END {kind}. Add the line ### END {kind}.")
    return found


def lines_outside(source: str) -> Iterator[str]:
    """The lines of a cell that stand in no region and are no marker."""
    depth = 0
    for line in source.split("\n"):
        match = MARKER.search(line)
        if match is not None:
            depth += 1 if match.group(1) == "BEGIN" else -1
        elif depth == 0:
            yield line


def parse(text: str, where: str) -> list[NotebookNode]:
    """The cells of percent-format `text`, their headers as metadata; `where` names the file."""
    try:
        return jupytext.reads(text, fmt="py:percent").cells
    except Exception as error:
        raise AuthorError(f"{where} is not in jupytext's percent format: {error}") from error


def _setup_cell(lab: Lab) -> str:
    """What {{setup}} stands for: `solutions/setup_cell.py`, or "" in a course that has none."""
    path = lab.root / "solutions" / "setup_cell.py"
    return path.read_text(encoding="utf-8").rstrip("\n") if path.is_file() else ""


def _substitute(text: str, lab: str, course: Course, setup: str) -> str:
    values = {
        "repository": course.repository,
        "branch": course.branch,
        "scenario": course.scenario,
        "lab": lab,
        "colab_url": course.colab_url(lab),
    }

    def value(match: re.Match[str]) -> str:
        return values[match.group(1)]

    text = text.replace(SETUP, setup)
    if not values["colab_url"]:  # a link that leads nowhere is worse than none
        text = COLAB_LINE.sub("", text)
    return re.sub(r"\{\{(" + "|".join(values) + r")\}\}", value, text)


def _line_of(text: str, number: int) -> str:
    """Where the cell's header is, as " (line 12)"; "" when the headers do not tell."""
    headers = _header_lines(text)
    return f" (line {headers[number - 1]})" if number <= len(headers) else ""


def _header_lines(text: str) -> list[int]:
    return [n for n, line in enumerate(text.split("\n"), 1) if re.match(r"# ?%%", line)]


def _expand_cell(cell: NotebookNode, where: str, seen: dict[str, str]) -> None:
    """Replace the header's shorthand by nbgrader's metadata, in place."""
    header = {k: v for k, v in cell.metadata.items() if k not in INTERNAL_KEYS}
    _check_header(header, cell.cell_type, where)
    kept = {key: header[key] for key in PLAIN_KEYS if key in header}
    found = [key for key in ROLES if key in header]
    if found:
        name = header[found[0]]
        if name in seen:
            raise AuthorError(f"{where}: the name {name!r} is taken by {seen[name]}. Pick another.")
        seen[name] = where
        where = f"{where}, {name!r}"
        kept["nbgrader"] = _nbgrader_metadata(found[0], header, cell.cell_type, where)
    cell.metadata = nbformat.from_dict(kept)
    _check_regions(cell, where)
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None


def _check_header(header: dict[str, Any], cell_type: str, where: str) -> None:
    if "incorrectly_encoded_metadata" in header:
        raise AuthorError(
            f"{where}: cannot read the header {header['incorrectly_encoded_metadata']!r}. "
            'Write key="text" or key=number, as in: # %% test="my_test" points=2'
        )
    if "title" in header:
        raise AuthorError(
            f"{where}: the header says {header['title']!r}, which means nothing here. "
            f'Name a role as in solution="my_cell"; the roles are {", ".join(ROLES)}.'
        )
    unknown = [key for key in header if key not in (*ROLES, *PLAIN_KEYS, "points")]
    if unknown:
        raise AuthorError(
            f"{where}: unknown word {unknown[0]!r} in the header. "
            f"The roles are {', '.join(ROLES)}; test and written also take points."
        )
    found = [key for key in ROLES if key in header]
    if len(found) > 1:
        raise AuthorError(f"{where}: a cell has one role, this one has {' and '.join(found)}.")
    if not found:
        if "points" in header:
            raise AuthorError(f"{where}: points on a plain cell. Only test and written give any.")
        return
    name = header[found[0]]
    if not isinstance(name, str) or not NAME.match(name):
        raise AuthorError(
            f"{where}: {found[0]}={name!r} is no name. "
            "Use 1 to 64 letters, digits, _ or -, in quotation marks."
        )
    if (cell_type == "markdown") != (found[0] == "written"):
        other = "a [markdown] cell" if found[0] == "written" else "a code cell"
        raise AuthorError(f"{where}: {found[0]}={name!r} belongs on {other}.")


def _nbgrader_metadata(
    kind: str, header: dict[str, Any], cell_type: str, where: str
) -> dict[str, Any]:
    """nbgrader's cell metadata, schema version 3."""
    meta: dict[str, Any] = {
        "cell_type": cell_type,
        "grade": kind in ("test", "written"),
        "grade_id": header[kind],
        "locked": kind in ("provided", "test"),
        "schema_version": 3,
        "solution": kind in ("solution", "written"),
        "task": False,
    }
    points = header.get("points")
    if not meta["grade"]:
        if points is not None:
            raise AuthorError(f"{where}: points on a {kind} cell. Give them to its test cell.")
        return meta
    number = isinstance(points, int | float) and not isinstance(points, bool)
    if not (number and 0 < points < float("inf")):
        given = "no points" if points is None else f"points={points!r}"
        raise AuthorError(f"{where} has {given}. A {kind} cell needs a positive number: points=2")
    meta["points"] = _plain_number(points)
    return meta


def _check_regions(cell: NotebookNode, where: str) -> None:
    """Markers stand only where nbgrader takes them out, and solution cells have them."""
    kind = role(cell)
    found = {region.kind for region in find_regions(cell.source, where)}
    if kind == "solution" and "SOLUTION" not in found:
        raise AuthorError(
            f"{where}: a solution cell needs ### BEGIN SOLUTION and ### END SOLUTION "
            "around what the student is to write."
        )
    allowed = {"solution": {"SOLUTION"}, "test": {"HIDDEN TESTS"}}.get(kind, set())
    if kind == "written":
        allowed = {"SOLUTION", "MARK SCHEME"}
        outside = "\n".join(_outside_of(cell.source, "SOLUTION"))
        if "SOLUTION" in found and "BEGIN MARK SCHEME" in outside:
            raise AuthorError(
                f"{where}: the mark scheme must stand inside the solution region; "
                "nbgrader takes out only what is in there."
            )
    for wrong in sorted(found - allowed):
        homes = {"SOLUTION": "solution or written", "HIDDEN TESTS": "test"}
        home = homes.get(wrong, "written")
        raise AuthorError(f"{where}: BEGIN {wrong} belongs in a {home} cell, not here.")


def _outside_of(source: str, kind: str) -> Iterator[str]:
    inside = False
    for line in source.split("\n"):
        match = MARKER.search(line)
        if match is not None and match.group(2) == kind:
            inside = match.group(1) == "BEGIN"
        elif not inside:
            yield line


def _set_ids(cells: list[NotebookNode]) -> None:
    """Ids that a rebuild does not change: the cell's name, else a hash of its content."""
    used = {grade_id(cell) for cell in cells} - {""}
    for cell in cells:
        if grade_id(cell):
            cell.id = grade_id(cell)
            continue
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        cell.id = _unused(f"c-{digest}", used.__contains__)
        used.add(cell.id)


def _unused(wanted: str, taken: Callable[[str], bool]) -> str:
    name, counter = wanted, 2
    while taken(name):
        name, counter = f"{wanted}-{counter}", counter + 1
    return name


def _code_hash(cells: list[NotebookNode]) -> str:
    """What the outputs depend on: the code cells as written, before substitution."""
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()


def _plain_number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)
