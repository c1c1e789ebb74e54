"""Who is who: names and numbers of a learning-management system, and a course folder's students.

A roster is any table of the class: the gradebook that Canvas exports, Moodle's grading worksheet,
Gradescope's roster, or a table of one's own with a column `student`. People are matched by the
strongest thing that both sides know, and never by a name that two people share.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path

from autograder import nbgrader_api
from autograder.course import CourseError
from autograder.exchange import dates
from autograder.exchange.table import Table, read_table
from autograder.foreign_text import visible

# From the strongest down. `participant` is Moodle's number, another one in each assignment. In
# Gradescope, students write their number themselves: an address, which it has checked, is stronger.
STRONG = ("canvas", "participant", "login", "email", "sis")
FOLDER_FROM = ("student", "login", "sis", "email")  # what a roster calls a student's folder
LONGEST = 100  # characters of a folder's name; nbgrader's columns hold 128
NUMBER = re.compile(r"^\D*?(\d+)$")
PARTICIPANT = re.compile(r"^([^\d,;@]{3,}?)\s*\d+$")
EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
APOSTROPHES = re.compile("[\u2018\u2019\u02bc\u02b9\u0060\u00b4]")
# Headers, in small letters. Moodle writes them in the language of the site; its numbers and
# addresses are found by what stands in the column.
HEADERS = {
    "student": ("student", "nbgrader id", "folder"),
    "canvas": ("lms_user_id", "canvas id", "canvas user id"),
    "participant": ("identifier",),
    "sis": (*("sid", "student id", "student number", "sis user id", "sis id", "id number"),
            *("matrikelnummer", "id-nummer", "numéro d'identification", "número de id")),
    "login": ("username", "user name", "login", "sis login id", "login id", "benutzername"),
    "email": ("email", "email address", "e-mail", "e-mail address"),
    "name": (*("name", "full name", "fullname", "vollständiger name", "nombre completo"),
             *("nom complet", "nome completo", "lastname,firstname")),
    "first": ("first name", "firstname", "first_name", "vorname", "nombre", "prénom", "nome"),
    "last": ("last name", "lastname", "last_name", "surname", "nachname", "apellido(s)", "nom",
             "cognome"),
    "handed in": ("last modified (submission)",),
}  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """One person, as a system names them."""

    system: str
    name: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)  # kind → value

    @property
    def shown(self) -> str:
        numbers = ", ".join(f"{kind} {value}" for kind, value in self.ids.items())
        return visible(
            f"{self.name} ({numbers})" if self.name and numbers else self.name or numbers
        )


@dataclass(frozen=True)
class Person:
    """One row of a roster."""

    student: str  # the name of the folder
    names: tuple[str, ...]
    ids: Mapping[str, str]
    handed_in: datetime | None = None  # what Moodle's worksheet says of its own assignment


class Unknown(CourseError):
    """Nobody can say whose folder this is."""


def plain(text: str) -> str:
    """A name or an address as it is compared: no matter which case, accents' form or blanks."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    text = APOSTROPHES.sub("'", text)
    return re.sub(r"\s+", " ", text).strip().casefold()


def squeezed(name: str) -> str:
    """Letters, marks and digits alone: Canvas names files doejane, of "Doe, Jane"."""
    kept = (c for c in plain(name) if unicodedata.category(c)[0] in "LMN")
    return unicodedata.normalize("NFC", "".join(kept))


def spellings(name: str) -> set[str]:
    """The squeezed forms of a name in every order: "Smith, Jr., Bob" and "Bob Smith, Jr."."""
    parts = name.split(",") if "," in name else plain(name).split(" ")
    orders = (" ".join((*parts[i:], *parts[:i])) for i in range(len(parts)))
    return {squeezed(order) for order in orders} - {""}


def without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")


def folder_name(text: str) -> str:
    """A name for a student's folder: the text, but for what nbgrader or a file system refuses."""
    text = unicodedata.normalize("NFC", text)
    kept = "".join(" " if unicodedata.category(c)[0] == "Z" else c for c in text)
    kept = "".join(c for c in kept if unicodedata.category(c)[0] != "C")
    kept = re.sub(r'[*?\[\],"/\\:<>|]+', " ", kept)
    kept = re.sub(r" +", " ", kept).strip(" .")[:LONGEST].strip(" .")
    while len(kept.encode()) > 200:  # a file system counts bytes
        kept = kept[:-1].strip(" .")
    return "" if nbgrader_api.unusable_name(kept) else kept


class Roster:
    """The people of a class."""

    def __init__(self, people: Iterable[Person], name: str):
        self.people, self.name = tuple(people), name
        self._by: dict[tuple[str, str], list[Person]] = defaultdict(list)
        for person in self.people:
            for kind, value in person.ids.items():
                self._by[kind, plain(value)].append(person)
            for spelling in {s for name in person.names for s in spellings(name)}:
                self._by["name", spelling].append(person)
                self._by["bare name", without_accents(spelling)].append(person)

    def find(self, who: Identity) -> Person:
        """The one person that this is. Raises Unknown where there is none, or more than one."""
        found = self.by_number(who) or self.by_name(who)
        if found is None:
            raise Unknown(f"{self.name} has nobody like {who.shown}: {self._advice(who)}")
        return found

    def by_number(self, who: Identity) -> Person | None:
        """The person with the same number or address: by the strongest kind that both have.

        Raises Unknown where a stronger kind says that it is somebody else.
        """
        for place, kind in enumerate(STRONG):
            found = self._by.get((kind, plain(who.ids[kind])), []) if kind in who.ids else []
            if found:
                agreeing = [one for one in found if not contradict(one, who, STRONG[:place])]
                if not agreeing:
                    raise Unknown(
                        f"{self.name} has somebody with the {kind} of {who.shown}, but with "
                        f"another {_differing(found[0], who, STRONG[:place])}: correct the row, "
                        "if it is the same person"
                    )
                return self._only(agreeing, who)
        return None

    def by_name(self, who: Identity) -> Person | None:
        """The person of the same name whom no number contradicts; accents count if they can."""
        known = squeezed(who.name)
        for kind, spelling in (("name", known), ("bare name", without_accents(known))):
            people = self._by.get((kind, spelling), []) if spelling else []
            found = [person for person in people if not contradict(person, who)]
            if found:
                return self._only(found, who)
        return None

    def _advice(self, who: Identity) -> str:
        if "participant" in who.ids and any("participant" in one.ids for one in self.people):
            return "Moodle's worksheet is about one assignment, so give the one of this lab"
        return "add a row, or correct the one that is meant"

    def _only(self, found: list[Person], who: Identity) -> Person:
        if len({person.student for person in found}) > 1:
            raise Unknown(
                f"{self.name} has {len(found)} people like {who.shown}, and nothing tells which "
                "one is meant: give a roster with their numbers or addresses"
            )
        return found[0]

    def knows(self, name: str) -> bool:
        """Whether a folder may be called so after somebody."""
        spelling = squeezed(name)
        by_name = self._by.get(("name", spelling)) or self._by.get(
            ("bare name", without_accents(spelling))
        )
        return self.knows_folder(name) is not None or bool(spelling and by_name)

    def knows_folder(self, name: str) -> Person | None:
        """The person whose folder, login, number or address this is."""
        for kind in ("student", "login", "sis", "email", "canvas"):
            found = self._by.get((kind, plain(name)), [])
            if len(found) == 1:
                return found[0]
        return None


def contradict(person: Person, who: Identity, kinds: Iterable[str] = STRONG) -> bool:
    """Whether both have a number or an address of one kind, and not the same."""
    return bool(_differing(person, who, kinds))


def _differing(person: Person, who: Identity, kinds: Iterable[str]) -> str:
    """The first of these kinds that both have, and not the same; or ""."""
    shared = (kind for kind in kinds if kind in person.ids and kind in who.ids)
    return next((k for k in shared if plain(person.ids[k]) != plain(who.ids[k])), "")


def read_roster(path: Path, where: tzinfo | None) -> Roster:
    """The roster in a table. Raises CourseError where it says nothing of anybody."""
    table = read_table(path)
    columns = columns_of(table)
    if not columns.keys() & {*STRONG, "student", "name", "last"}:
        raise CourseError(
            f"{path} names nobody: its first line must be a header with student, email, name, or "
            "the columns that Canvas, Moodle or Gradescope write."
        )
    people = [person for _, person in people_by_row(table, columns, where)]
    by_folder: dict[str, Person] = {}
    for person in people:
        other = by_folder.setdefault(person.student, person)
        if other is not person and (other.ids != person.ids or not person.ids):
            raise CourseError(
                f"{path} has two people for the folder {visible(person.student)}: give each row a "
                "name of its own in a column called student."
            )
    return Roster(people, path.name)


def columns_of(table: Table) -> dict[str, int]:
    """Which column says what."""
    headers = [plain(name) for name in table.header]
    found: dict[str, int] = {}
    if is_canvas(headers):
        found["canvas"] = headers.index("id")
        headers = ["name" if name == "student" else name for name in headers]
    elif "id" in headers and not {"student", "nbgrader id"} & set(headers):
        found["student"] = headers.index("id")  # as in `nbgrader db student import`
    for kind, names in HEADERS.items():
        for place, header in enumerate(headers):
            if header in names:
                found.setdefault(kind, place)
    if is_moodle(table):
        found["participant"] = 0
        found.pop("student", None)
    for place in range(len(headers) if "email" not in found else 0):
        if _all(EMAIL, (table.value(row, place) for row in range(1, len(table.rows)))):
            found.setdefault("email", place)
    return found


def is_canvas(headers: list[str]) -> bool:
    """Whether these are, in small letters, the headers of Canvas's gradebook."""
    names = {"student", "lastname,firstname"} & set(headers)
    return bool(names) and "id" in headers and bool({"section", "sis login id"} & set(headers))


def is_moodle(table: Table) -> bool:
    """Whether the first column has Moodle's participants, "Participant 123", in any language."""
    if any(plain(table.header[0]) in HEADERS[kind] for kind in ("student", "sis", "login")):
        return False
    values = [table.value(row, 0).strip() for row in range(1, len(table.rows))]
    found = [PARTICIPANT.match(value) for value in values if value]
    return bool(found) and all(found) and len({match[1] for match in found if match}) == 1


def _all(pattern: re.Pattern[str], values: Iterable[str]) -> bool:
    written = [value.strip() for value in values if value.strip()]
    return bool(written) and all(pattern.match(value) for value in written)


def people_by_row(
    table: Table, columns: Mapping[str, int], where: tzinfo | None = None
) -> Iterator[tuple[int, Person]]:
    """Everybody in a table, with the number of the row; other rows are left out."""
    of_canvas = is_canvas([plain(name) for name in table.header])
    for number in range(1, len(table.rows)):
        cells = {kind: table.value(number, place).strip() for kind, place in columns.items()}
        ids = {kind: cells[kind] for kind in (*STRONG, "student") if cells.get(kind)}
        if match := NUMBER.match(ids.get("participant", "")):
            ids["participant"] = match[1]
        name = cells.get("name") or " ".join(
            filter(None, (cells.get("first", ""), cells.get("last", "")))
        )
        if of_canvas and not ids:  # "Points Possible", "Manual Posting"
            continue
        folder = next((ids[kind] for kind in FOLDER_FROM if kind in ids), None)
        if folder is None and "canvas" in ids:
            folder = f"{squeezed(name)}_{ids['canvas']}"
        folder = folder_name(folder or name)
        if folder:
            date = dates.parse(cells.get("handed in", ""), where)
            yield number, Person(folder, (name,) if name else (), ids, date)
