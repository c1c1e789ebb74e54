"""The zoo's file format: a made-up submission, and the verdict that it must get.

One file a submission, `zoo/<lab>/<student>.py`: a header, then the cells that differ from the
base notebook, each under the `grade_id` of the cell that it replaces.

    # /// zoo
    # base = "release"              or "solution": the notebook that the cells go into
    # about = "Forgets to shuffle"
    # kind = "clumsy"               or "hostile"; "learner" if left out
    # student = "O'Neil"            for names that no file of a repository should bear
    # damage = ["delete root_sum"]  what befell the notebook: the words of `mishaps.DAMAGE`
    # file = "truncated"            how it lies in the folder: one of `mishaps.FORMS`
    # [limits]                      what to change in the settings of `Grade`, in seconds,
    # call_timeout = 5              and in the sandbox's `Limits`: memory and disk in MiB, processes
    # [expect]                      all of it optional
    # root_sum_test = 4             points of a test cell, or [lowest, highest]
    # total = [4, 6]                points of all test cells together
    # status = "graded"             or "needs marking", or "failed"
    # reason = "is empty"           is part of what the instructor is told
    # stopped = "longer than 5 s"   is part of why its process ended; "" if it must not end
    # repairs = ["restored"]        every kind of repair in the receipt, and no other
    # never = ["ESCAPED"]           is nowhere in the graded notebook and its feedback page
    # [marks]                       what a marker gives for the written answers
    # why = 1.5
    # ///

    # %% root_sum
    ...
    # %% [markdown] why
    # The answer, with a # before each line.

Cells are taken as they stand, so that a submission can hold a syntax error. Code that reports
what it could do spells a word of `never` in two halves, since feedback shows the code as well.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from autograder.cells import MARKER, grade_id, points_of, role
from autograder.course import CourseError, Lab, parse_toml
from autograder.sample_class.mutations import FORMS, MishapError, damaged
from autograder.sandbox.limits import MIB

BASES = ("release", "solution")
KINDS = ("learner", "clumsy", "hostile")
STATUSES = ("graded", "needs marking", "failed")
HEADER = re.compile(r"\A\s*# /// zoo\n(?P<toml>(?:#(?: .*)?\n)*?)# ///[ ]*(?:\n|\Z)")
CELL = re.compile(r"^# ?%%(?P<markdown> \[markdown\])?(?P<name>.*)$", re.MULTILINE)
STUDENT = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
FOLDER = re.compile(r"^(?!\.)[^/\0]{1,80}$")
WORDS = ("base", "about", "kind", "student", "damage", "file", "limits", "expect", "marks")
SECONDS = ("timeout", "call_timeout", "notebook_timeout", "grace")
SANDBOX = {"memory": MIB, "disk": MIB, "processes": 1}  # and what one of each is in `Limits`
VERDICT = ("total", "status", "reason", "stopped", "repairs", "never")
Span = tuple[float, float]


class ZooError(CourseError):
    """A file of the zoo breaks a rule of its format."""


@dataclass(frozen=True)
class Expectation:
    """The verdict that a submission must get; what is None or missing may be anything."""

    points: dict[str, Span] = field(default_factory=dict)
    total: Span | None = None
    status: str | None = None
    reason: str | None = None  # part of the result's reason
    stopped: str | None = None  # part of why the process ended; "" if it did not
    repairs: frozenset[str] | None = None  # the kinds of all repairs
    never: tuple[str, ...] = ()  # words that nothing made of the submission holds


@dataclass(frozen=True)
class Specimen:
    """One submission of the zoo, ready to be handed in."""

    lab: str
    student: str
    about: str
    notebook: NotebookNode
    expect: Expectation
    marks: dict[str, float]
    form: str = ""  # how the notebook lies in its folder; "" as it should
    options: dict[str, Any] = field(default_factory=dict)  # what to change in `Grade`
    kind: str = "learner"


def load_zoo(lab: Lab, source: NotebookNode, release: NotebookNode) -> list[Specimen]:
    """Every submission in a lab's zoo, in the order of their names."""
    paths = sorted(lab.zoo.glob("*.py")) if lab.zoo.is_dir() else []
    found: dict[str, Specimen] = {}
    for path in paths:
        specimen = load(path, lab, source, release)
        if specimen.student in found:
            raise ZooError(f"{path.name}: there is another student called {specimen.student!r}.")
        found[specimen.student] = specimen
    return list(found.values())


def load(path: Path, lab: Lab, source: NotebookNode, release: NotebookNode) -> Specimen:
    """One submission of the zoo, from its file and the lab's notebooks."""
    where = path.relative_to(lab.root).as_posix()
    if not STUDENT.match(path.stem):
        raise ZooError(f"{where}: a student's name is made of letters, digits, _ and -.")
    text = path.read_text(encoding="utf-8")
    header = HEADER.match(text)
    if header is None:
        raise ZooError(f"{where} must begin with a block from # /// zoo to # ///.")
    lines = header["toml"].split("\n")
    table = parse_toml("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines), where)
    _check_keys(table, WORDS, where)
    about, base = table.get("about"), table.get("base", "release")
    if not isinstance(about, str) or not about.strip():
        raise ZooError(f'{where} needs about = "...": a sentence that says what it does.')
    if table.get("kind", KINDS[0]) not in KINDS:
        raise ZooError(f"{where}: kind = {table['kind']!r} is unknown; it is {_either(KINDS)}.")
    if base not in BASES:
        raise ZooError(f"{where}: base = {base!r} is unknown; it is {' or '.join(BASES)}.")
    notebook = copy.deepcopy(release) if base == "release" else solved(source, release)
    _replace_cells(notebook, text[header.end() :], where)
    try:
        notebook = damaged(notebook, release, _texts(table.get("damage", []), "damage", where))
    except MishapError as error:
        raise ZooError(f"{where}: damage: {error}.") from None
    form = table.get("file", "")
    if form and form not in FORMS:
        raise ZooError(f"{where}: file = {form!r} is unknown; it is {_either(tuple(FORMS))}.")
    return Specimen(
        lab=lab.name,
        student=_student(table.get("student", path.stem), where),
        about=about.strip(),
        notebook=notebook,
        expect=_expectation(table.get("expect", {}), release, where),
        marks=_marks(table.get("marks", {}), release, where),
        form=form,
        options=_options(table.get("limits", {}), where),
        kind=table.get("kind", KINDS[0]),
    )


def solved(source: NotebookNode, release: NotebookNode) -> NotebookNode:
    """The release, filled in by a student who knows the solution."""
    answers = {grade_id(cell): cell for cell in source.cells if role(cell)}
    notebook = copy.deepcopy(release)
    for cell in notebook.cells:
        if role(cell) in ("solution", "written"):
            cell.source = "\n".join(_answer_lines(answers[grade_id(cell)].source))
    return notebook


def _answer_lines(source: str) -> list[str]:
    """A solution cell without its markers and its mark scheme."""
    kept, in_scheme = [], False
    for line in source.split("\n"):
        match = MARKER.search(line)
        if match is None and not in_scheme:
            kept.append(line)
        elif match is not None and match.group(2) == "MARK SCHEME":
            in_scheme = match.group(1) == "BEGIN"
    return kept


# --- the cells ------------------------------------------------------------------------


def _replace_cells(notebook: NotebookNode, text: str, where: str) -> None:
    cells = {grade_id(cell): cell for cell in notebook.cells if grade_id(cell)}
    headers = list(CELL.finditer(text))
    before = text[: headers[0].start()] if headers else text
    if before.strip():
        raise ZooError(f"{where}: text before the first cell. Begin cells with # %% grade_id.")
    starts = [*(header.start() for header in headers), len(text)]
    seen: set[str] = set()
    for header, end in zip(headers, starts[1:], strict=True):
        name = header["name"].strip()
        _check_name([name], cells, "a cell", where)
        if name in seen:
            raise ZooError(f"{where}: two cells replace {name}. Keep one.")
        seen.add(name)
        kind = "markdown" if header["markdown"] else "code"
        if kind != cells[name].cell_type:
            mark = " [markdown]" if cells[name].cell_type == "markdown" else ""
            raise ZooError(f"{where}: {name} is a {cells[name].cell_type} cell: # %%{mark} {name}")
        lines = text[header.end() : end].strip("\n").split("\n")
        if kind == "markdown":
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        cells[name].source = "\n".join(lines)


# --- the verdict ----------------------------------------------------------------------


def _expectation(table: Any, release: NotebookNode, where: str) -> Expectation:
    if not isinstance(table, dict):
        raise ZooError(f"{where}: [expect] is a table of test names and their points.")
    tests = {grade_id(cell): points_of(cell) for cell in release.cells if role(cell) == "test"}
    status = table.get("status")
    if status is not None and status not in STATUSES:
        raise ZooError(f"{where}: status = {status!r} is unknown; it is {_either(STATUSES)}.")
    for word in ("reason", "stopped"):
        if not isinstance(table.get(word, ""), str):
            raise ZooError(f"{where}: {word} = {table[word]!r} is no text.")
    names = [name for name in table if name not in VERDICT]
    _check_name(names, tests, "a test", where)
    total = table.get("total")
    most = sum(tests.values())
    repairs = table.get("repairs")
    return Expectation(
        points={name: _span(table[name], tests[name], f"{where}: {name}") for name in names},
        total=None if total is None else _span(total, most, f"{where}: total"),
        status=status,
        reason=table.get("reason"),
        stopped=table.get("stopped"),
        repairs=None if repairs is None else frozenset(_texts(repairs, "repairs", where)),
        never=tuple(_texts(table.get("never", []), "never", where)),
    )


def _marks(table: Any, release: NotebookNode, where: str) -> dict[str, float]:
    if not isinstance(table, dict):
        raise ZooError(f"{where}: [marks] is a table of written answers and their marks.")
    written = {grade_id(cell): points_of(cell) for cell in release.cells if role(cell) == "written"}
    _check_name(table, written, "a written answer", where)
    for name, mark in table.items():
        if isinstance(mark, list):
            raise ZooError(f"{where}: the mark for {name} must be one number.")
    return {name: _span(table[name], written[name], f"{where}: {name}")[0] for name in table}


def _span(value: Any, most: float, where: str) -> Span:
    ends = value if isinstance(value, list) and len(value) == 2 else [value, value]
    good = all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
    if not good or not 0 <= ends[0] <= ends[1] <= most:
        raise ZooError(
            f"{where} = {value!r} is not possible: write a number from 0 to {most:g}, "
            "or [lowest, highest]."
        )
    return float(ends[0]), float(ends[1])


def _check_name(names: Iterable[str], known: Iterable[str], what: str, where: str) -> None:
    for name in names:
        if name not in known:
            raise ZooError(
                f"{where}: {name!r} is not the name of {what} of this lab. "
                f"The names are {', '.join(known) or 'none'}."
            )


def _student(name: Any, where: str) -> str:
    if not isinstance(name, str) or not FOLDER.match(name):
        raise ZooError(f"{where}: student = {name!r} cannot be the name of a folder.")
    return name


def _options(table: Any, where: str) -> dict[str, Any]:
    known = (*SECONDS, *SANDBOX)
    if not isinstance(table, dict):
        raise ZooError(f"{where}: [limits] is a table of {_either(known)}.")
    _check_keys(table, known, f"{where}: [limits]")
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ZooError(f"{where}: {name} = {value!r}: write a number above 0.")
    options: dict[str, Any] = {name: table[name] for name in SECONDS if name in table}
    limits = {name: int(table[name] * one) for name, one in SANDBOX.items() if name in table}
    return {**options, "limits": limits} if limits else options


def _texts(value: Any, what: str, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise ZooError(f"{where}: {what} = {value!r} is no list of texts.")
    return value


def _check_keys(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise ZooError(f"{where}: unknown word {key!r}; the words are {', '.join(known)}.")


def _either(words: tuple[str, ...]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}"
