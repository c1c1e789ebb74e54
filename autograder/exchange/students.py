"""Which graded student a row of an instructor's table means."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autograder.exchange.ledger import LASTING, Ledger
from autograder.exchange.people import (
    STRONG,
    Identity,
    Person,
    Roster,
    Unknown,
    columns_of,
    contradict,
    folder_name,
    people_by_row,
    plain,
    squeezed,
)
from autograder.exchange.table import Table
from autograder.foreign_text import visible


@dataclass
class Matches:
    """Rows of a table and students of a course folder."""

    row_of: dict[str, int] = field(default_factory=dict)  # student → row
    names: dict[int, str] = field(default_factory=dict)  # row → what to call the person
    unclear: dict[int, str] = field(default_factory=dict)  # row → why it is nobody's


def match(table: Table, students: Iterable[str], lab: str, ledger: Ledger) -> Matches:
    """The row of each student, where it is certain: one student a row, and one row a student."""
    folders = {unicodedata.normalize("NFC", name): name for name in students}
    known = Roster([_person(name, lab, ledger) for name in folders.values()], "The class")
    found, rows = Matches(), defaultdict(list)
    for row, person in people_by_row(table, columns_of(table)):
        found.names[row] = visible(person.names[0] if person.names else person.student)
        try:
            student = _student(person, folders, known)
        except Unknown as error:
            found.unclear[row] = str(error)
            continue
        if student:
            rows[student].append(row)
    for student, own in rows.items():
        if len(own) == 1:
            found.row_of[student] = own[0]
        else:
            for row in own:
                found.unclear[row] = f"{len(own)} rows fit {visible(student)}"
    return found


def _person(student: str, lab: str, ledger: Ledger) -> Person:
    """A student as the ledger knows them; Moodle's numbers count for their own lab alone."""
    ids: dict[str, str] = {}
    names = [student]
    for entry in ledger.of(student):
        kept = {k: v for k, v in entry.ids.items() if k in LASTING or entry.lab == lab}
        ids |= {k: v for k, v in kept.items() if k in STRONG}
        names += [entry.name] if entry.name else []
    return Person(student, tuple(dict.fromkeys(names)), ids)


def _student(person: Person, folders: Mapping[str, str], known: Roster) -> str:
    """The student that a row means, or ""; raises Unknown where it may be several."""
    strong = {kind: person.ids[kind] for kind in STRONG if kind in person.ids}
    by_number = known.by_number(Identity("table", "", strong))
    if by_number is not None:
        return by_number.student
    values = [person.student, *(person.ids.get(kind, "") for kind in ("student", *STRONG))]
    if "canvas" in strong:  # what collecting without a roster calls a folder
        values += [f"{squeezed(name)}_{strong['canvas']}" for name in person.names]
    who = Identity("table", person.names[0] if person.names else "", strong)
    names = {folder_name(value) for value in values if value}
    same = {folders[name] for name in names if name in folders}
    if not same:  # an address, say, in capitals
        forms = {plain(name) for name in names}
        same = {folder for name, folder in folders.items() if plain(name) in forms}
    named = {p.student for p in known.people if p.student in same and not contradict(p, who)}
    if len(named) == 1:
        return named.pop()
    found = known.by_name(who)
    return found.student if found is not None else ""
