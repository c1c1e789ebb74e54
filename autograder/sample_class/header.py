"""What the header of a zoo file says, and a sentence for each thing in it that cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

from autograder.cells import grade_id, points_of, role
from autograder.course import CourseError, parse_toml
from autograder.sample_class.mutations import FILE_FORMS
from autograder.sandbox.limits import MIB

BASES = ("release", "solution")
KINDS = ("learner", "clumsy", "hostile")
STATUSES = ("graded", "needs marking", "failed")
HEADER = re.compile(r"\A\s*# /// zoo\n(?P<toml>(?:#(?: .*)?\n)*?)# ///[ ]*(?:\n|\Z)")
FOLDER = re.compile(r"^(?!\.)[^/\0]{1,80}$")
WORDS = (
    *("base", "about", "kind", "sample", "student", "mutations", "file"),
    *("limits", "expect", "marks"),
)
SECONDS = ("timeout", "call_timeout", "notebook_timeout", "grace")
SANDBOX = {"memory": MIB, "disk": MIB, "processes": 1}  # and what one of each is in `Limits`
VERDICT = ("total", "status", "reason", "stopped", "repairs", "shows", "never")
Span = tuple[float, float]


class ZooError(CourseError):
    """A file of the zoo breaks a rule of its format."""


@dataclass(frozen=True)
class Expectation:
    """The verdict that a submission must get; what is None or missing may be anything."""

    points: dict[str, Span] = field(default_factory=dict)
    total: Span | None = None
    status: str | None = None
    reason: str | None = None  # part of the record's reason
    stopped: str | None = None  # part of why the process ended; "" if it did not
    repairs: frozenset[str] | None = None  # the kinds of all repairs
    shows: tuple[str, ...] = ()  # words that the student gets to see
    never: tuple[str, ...] = ()  # words that nothing made of the submission holds


@dataclass(frozen=True)
class Header:
    """A header that was read; `student` is "" where the file's name gives it."""

    about: str
    base: str = BASES[0]
    kind: str = KINDS[0]
    sample: bool = False  # whether it belongs to the small class
    student: str = ""
    mutations: tuple[str, ...] = ()
    form: str = ""  # how the notebook lies in its folder; "" as it should
    options: dict[str, Any] = field(default_factory=dict)  # what to change in `Grade`
    expect: Expectation = field(default_factory=Expectation)
    marks: dict[str, float] = field(default_factory=dict)


def read_header(text: str, release: NotebookNode, where: str) -> tuple[Header, str]:
    """The header of a zoo file's text, and the text behind it; `where` names the file in errors."""
    found = HEADER.match(text)
    if found is None:
        raise ZooError(f"{where} must begin with a block from # /// zoo to # ///.")
    lines = found["toml"].split("\n")
    table = parse_toml("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines), where)
    _check_keys(table, WORDS, where)
    about, sample = table.get("about"), table.get("sample", False)
    if not isinstance(about, str) or not about.strip():
        raise ZooError(f'{where} needs about = "...": a sentence that says what it does.')
    if not isinstance(sample, bool):
        raise ZooError(f"{where}: sample = {sample!r} is unknown; it is true or false.")
    header = Header(
        about=about.strip(),
        base=_one_of(BASES, table, "base", BASES[0], where),
        kind=_one_of(KINDS, table, "kind", KINDS[0], where),
        sample=sample,
        student=_student(table, where),
        mutations=_texts(table.get("mutations", []), "mutations", where),
        form=_one_of(tuple(FILE_FORMS), table, "file", "", where),
        options=_options(table.get("limits", {}), where),
        expect=_expectation(table.get("expect", {}), release, where),
        marks=_marks(table.get("marks", {}), release, where),
    )
    return header, text[found.end() :]


# --- the verdict ----------------------------------------------------------------------


def _expectation(table: Any, release: NotebookNode, where: str) -> Expectation:
    if not isinstance(table, dict):
        raise ZooError(f"{where}: [expect] is a table of test names and their points.")
    tests = {grade_id(cell): points_of(cell) for cell in release.cells if role(cell) == "test"}
    for word in ("reason", "stopped"):
        if not isinstance(table.get(word, ""), str):
            raise ZooError(f"{where}: {word} = {table[word]!r} is no text.")
    names = [name for name in table if name not in VERDICT]
    check_names(names, tests, "a test", where)
    total, repairs = table.get("total"), table.get("repairs")
    return Expectation(
        points={name: _span(table[name], tests[name], f"{where}: {name}") for name in names},
        total=None if total is None else _span(total, sum(tests.values()), f"{where}: total"),
        status=_one_of(STATUSES, table, "status", None, where),
        reason=table.get("reason"),
        stopped=table.get("stopped"),
        repairs=None if repairs is None else frozenset(_texts(repairs, "repairs", where)),
        shows=_texts(table.get("shows", []), "shows", where),
        never=_texts(table.get("never", []), "never", where),
    )


def _marks(table: Any, release: NotebookNode, where: str) -> dict[str, float]:
    if not isinstance(table, dict):
        raise ZooError(f"{where}: [marks] is a table of written answers and their marks.")
    written = {grade_id(cell): points_of(cell) for cell in release.cells if role(cell) == "written"}
    check_names(table, written, "a written answer", where)
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


# --- other values ---------------------------------------------------------------------


def _student(table: dict[str, Any], where: str) -> str:
    name = table.get("student", "")
    if "student" in table and (not isinstance(name, str) or not FOLDER.match(name)):
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


def _one_of(
    known: tuple[str, ...], table: dict[str, Any], word: str, default: Any, where: str
) -> Any:
    if word not in table:
        return default
    if table[word] not in known:
        raise ZooError(f"{where}: {word} = {table[word]!r} is unknown; it is {_either(known)}.")
    return table[word]


def _texts(value: Any, word: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise ZooError(f"{where}: {word} = {value!r} is no list of texts.")
    return tuple(value)


def _check_keys(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise ZooError(f"{where}: unknown word {key!r}; the words are {', '.join(known)}.")


def check_names(names: Iterable[str], known: Iterable[str], what: str, where: str) -> None:
    """Raise ZooError for a name that the lab does not know."""
    for name in names:
        if name not in known:
            raise ZooError(
                f"{where}: {name!r} is not the name of {what} of this lab. "
                f"The names are {', '.join(known) or 'none'}."
            )


def _either(words: tuple[str, ...]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}"
