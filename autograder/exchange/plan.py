"""What collecting a download would do: each submission's student, lab and file, or why not.

Making a plan changes nothing; `collect` carries it out. A submission that is there and may be newer
stays, and whatever cannot be placed with certainty is left in the download with a reason.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from autograder.course import CourseError, Lab
from autograder.exchange import dates
from autograder.exchange.archives import Refused, is_other_archive
from autograder.exchange.hand_ins import LAB, HandIn, Recognised
from autograder.exchange.ledger import Ledger
from autograder.exchange.people import Identity, Roster, Unknown, folder_name, plain, squeezed
from autograder.foreign_text import listed, visible
from autograder.records import TIMESTAMP
from autograder.repair.salvage import decoded

# A key of JSON; within a cell's text its quotation marks would be written \".
SAYS_LAB = re.compile(r'"trickster"\s*:\s*\{[^{}]{0,300}?"lab"\s*:\s*"([^"\\]{1,100})"')
COPY = re.compile(r"^(?P<stem>.*?)(?:-(?P<number>\d+)| ?\((?P<number2>\d+)\))?(?P<end>\.[^.]*)$")
MAX_NAMED = 3
NEW, NEWER, SAME, STAYS = "new", "newer", "unchanged", "stays"


@dataclass(frozen=True)
class Placement:
    """One submission, and what becomes of it."""

    student: str
    lab: str
    files: tuple[HandIn, ...]  # the first is the one that gets the expected name
    who: Identity
    action: str  # NEW, NEWER, SAME or STAYS
    date: datetime | None = None
    notes: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        return self.action in (NEW, NEWER)


@dataclass
class Plan:
    """All of a download."""

    layout: str
    placements: list[Placement] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    left: int = 0  # files beside notebooks, which grading has no use for


@dataclass(frozen=True)
class Class:
    """What a course folder is before collecting."""

    course_root: Path
    labs: Sequence[Lab]
    ledger: Ledger
    roster: Roster | None = None
    lab: str = ""  # that everything is of, where the instructor says so
    replace: bool = False  # what is there, where nobody can say which is newer

    @property
    def submitted(self) -> Path:
        return self.course_root / "submitted"


def make_plan(course: Class, found: Recognised) -> Plan:
    """What collecting would do."""
    plan = Plan(found.layout, refused=list(found.refused))
    groups: dict[tuple[str, str], list[tuple[Identity, HandIn]]] = defaultdict(list)
    without: dict[tuple[str, ...], list[HandIn]] = defaultdict(list)
    with_notebook: set[str] = set()
    empty: list[HandIn] = []
    for hand_in in found.hand_ins:
        if not hand_in.item.is_notebook:
            without[tuple(_key(who) for who in hand_in.who)].append(hand_in)
            continue
        assert hand_in.item.staged is not None
        if not hand_in.item.staged.stat().st_size:  # it would stand in a later one's way
            empty.append(hand_in)
            continue
        with_notebook |= {_key(who) for who in hand_in.who}
        try:
            lab = lab_of(hand_in, course)
            check_name(hand_in, course.roster)
        except CourseError as error:
            plan.refused.append(Refused(hand_in.item.shown, str(error)))
            continue
        for who in hand_in.who:
            try:
                groups[folder_for(who, lab, course), lab].append((who, hand_in))
            except CourseError as error:
                plan.refused.append(Refused(hand_in.item.shown, str(error)))
    for whose, files in without.items():
        plan.left += len(files)
        if not with_notebook.intersection(whose):
            plan.refused.append(_no_notebook(files))
    for hand_in in empty:
        if with_notebook.intersection(_key(who) for who in hand_in.who):
            plan.left += 1
        else:
            plan.refused.append(Refused(hand_in.item.shown, "the file is empty: ask for it anew"))
    existing = _folders_by_form(course.submitted)
    for (student, lab), handed in sorted(groups.items()):
        student = existing.get(student, student)
        outcome = _placed(course, student, lab, handed)
        if isinstance(outcome, Placement):
            plan.placements.append(outcome)
        else:
            plan.refused.append(outcome)
    return plan


def _key(who: Identity) -> str:
    return "\0".join([who.system, *(f"{k}={plain(v)}" for k, v in sorted(who.ids.items()))])


def _no_notebook(files: list[HandIn]) -> Refused:
    names = ", ".join(visible(one.name) for one in files[:MAX_NAMED])
    advice = (
        "it is an archive that cannot be opened here: ask for the notebook, or for a zip"
        if any(is_other_archive(one.name) for one in files)
        else "no notebook is among it: ask for the .ipynb"
    )
    whose = " and ".join(who.shown for who in files[0].who)
    return Refused(f"{names} of {whose}", advice)


def _folders_by_form(submitted: Path) -> dict[str, str]:
    """Existing students' folders; accents may be written in two forms, which look the same."""
    if not submitted.is_dir():
        return {}
    found: dict[str, list[str]] = defaultdict(list)
    for path in submitted.iterdir():
        found[unicodedata.normalize("NFC", path.name)].append(path.name)
    return {form: names[0] for form, names in found.items() if len(names) == 1}


# --- which lab, whose folder ------------------------------------------------------------------


def lab_of(hand_in: HandIn, course: Class) -> str:
    """The lab that a file is of: what the notebook says, else its name, else its folders."""
    names = [lab.name for lab in course.labs]
    said = _said(hand_in)
    if course.lab:
        if said in names and said != course.lab:
            raise CourseError(
                f"the notebook says that it is of {said}, not of {course.lab}: ask for the one of "
                f"{course.lab}, or, if it belongs there, put it into submitted/ by hand"
            )
        return course.lab
    if said in names:
        return said
    for text in (hand_in.name, *reversed(hand_in.folders)):
        named = {lab.name for lab in course.labs if names_lab(text, lab)}
        if len(named) == 1:
            return named.pop()
    raise CourseError(f"nothing says which lab it is of ({', '.join(names)}): name it with --lab")


def _said(hand_in: HandIn) -> str:
    """What the build wrote into a notebook of this course, or ""."""
    assert hand_in.item.staged is not None  # asked only of what may be a notebook
    try:
        text, _ = decoded(hand_in.item.staged.read_bytes())
    except UnicodeDecodeError:
        return ""
    found = SAYS_LAB.findall(text)
    return found[-1] if found else ""


def names_lab(text: str, lab: Lab) -> bool:
    """Whether a text, such as a file's name or a header, means this lab."""
    numbers = {int(number) for number in LAB.findall(text)}
    return lab.name in text or numbers == {lab.number}


def folder_for(who: Identity, lab: str, course: Class) -> str:
    """The folder of a person's submissions. Raises Unknown where that is not certain."""
    try:
        if folder := course.ledger.folder_of(who, lab):
            return folder
    except Unknown:
        if course.roster is None:
            raise
    if course.roster is not None:
        known = course.roster.knows_folder(who.ids["folder"]) if "folder" in who.ids else None
        return (known or course.roster.find(who)).student
    folder = folder_name(_own_folder(who))
    if not folder or folder.startswith("."):
        raise Unknown(f"{who.shown} cannot be the name of a folder: give a roster")
    return folder


def check_name(hand_in: HandIn, roster: Roster | None) -> None:
    """Raise Unknown where Canvas may have written a file's name for somebody else.

    A roster with Canvas's numbers decides, if the others who may be meant are nobody in it.
    """
    if not hand_in.other_users:
        return
    people = roster.people if roster is not None else ()
    known = {person.ids["canvas"] for person in people if "canvas" in person.ids}
    user = hand_in.who[0].ids["canvas"]
    if user not in known or known.intersection(hand_in.other_users):
        others = " or ".join(hand_in.other_users)
        raise Unknown(
            f"{user} or {others} may be the number of its user: give Canvas's gradebook with "
            "--roster, or put it into submitted/ by hand"
        )


def _own_folder(who: Identity) -> str:
    """What a folder is called where no roster says so: by something that stays the same."""
    if "canvas" in who.ids:
        return f"{squeezed(who.name)}_{who.ids['canvas']}".strip("_")
    if "anonymous" in who.ids:
        return f"anon_{who.ids['anonymous']}"
    if "participant" in who.ids:
        return who.name or f"Participant {who.ids['participant']}"
    known = (who.ids.get(kind) for kind in ("folder", "login", "email", "sis"))
    return next((value for value in known if value), who.name)


# --- which of several files and tries -----------------------------------------------------------


def _placed(
    course: Class, student: str, lab: str, handed: list[tuple[Identity, HandIn]]
) -> Placement | Refused:
    """What becomes of all that one student has handed in of one lab."""
    whose = {_key(who): who for who, _ in handed}
    who, first = handed[0]
    if len(whose) > 1:
        names = " and ".join(sorted(one.shown for one in whose.values()))
        reason = f"{names} would share the folder {visible(student)}: tell them apart in a roster"
        return Refused(_shown(one for _, one in handed), reason)
    entry = course.ledger.get(student, lab) if course.roster is None else None
    if entry is not None and not entry.is_of(who) and entry.system == who.system:
        reason = (
            f"the folder {visible(student)} has the work of somebody else of that name "
            f"({visible(', '.join(entry.ids.values()))}): tell them apart with --roster"
        )
        return Refused(_shown(one for _, one in handed), reason)
    files, earlier = latest([hand_in for _, hand_in in handed], lab)
    date = files[0].date or dates.read_timestamp(files[0].date_file) or _from_roster(course, who)
    action, why = _compared(course, student, lab, files, date)
    notes = [why] if why else []
    if len(first.who) > 1:
        notes.append(f"handed in by a group: {', '.join(one.shown for one in first.who)}")
    if len(files) > 1:
        notes.append(
            f"{len(files)} notebooks, of which grading takes the one with the most answers"
        )
    if earlier:
        notes.append(f"{len(earlier)} earlier in the download: {_shown(earlier)}")
    if files[0].undated and date is None:
        notes.append(
            f"the {TIMESTAMP} beside it does not count, since students can write one: only that in "
            "submitted/STUDENT/LAB/ does"
        )
    if (
        any(one.late for one in files)
        and date is None
        and not _has_date(course, student, lab, action)
    ):
        notes.append(
            f"the system calls it late, but not since when: write {TIMESTAMP} by hand, into "
            f"submitted/{visible(student)}/{lab}/, with a line such as 2026-05-04 12:00:00 UTC"
        )
    return Placement(student, lab, tuple(files), who, action, date, tuple(notes))


def _has_date(course: Class, student: str, lab: str, action: str) -> bool:
    """Whether the submission that stays there has a date of its own."""
    return action in (SAME, STAYS) and (course.submitted / student / lab / TIMESTAMP).exists()


def _from_roster(course: Class, who: Identity) -> datetime | None:
    """The date in Moodle's worksheet, which is about one assignment."""
    if course.roster is None or "participant" not in who.ids:
        return None
    try:
        person = course.roster.find(who)
    except Unknown:
        return None
    same = person.ids.get("participant") == who.ids["participant"]
    return person.handed_in if same else None


def _shown(hand_ins: Iterable[HandIn]) -> str:
    return listed([hand_in.item.shown for hand_in in hand_ins], MAX_NAMED)


def latest(files: list[HandIn], lab: str) -> tuple[list[HandIn], list[HandIn]]:
    """The files of the last try, the likeliest first, and those of earlier tries."""
    last = max((f.date for f in files if f.date), default=None)
    current = [f for f in files if f.date == last or f.date is None] if last else files
    if any(f.order for f in current):  # Canvas numbers what is handed in again under one name
        newest: dict[str, HandIn] = {}
        for one in sorted(current, key=lambda f: (_copy(f.name)[1], f.order)):
            newest[_copy(one.name)[0]] = one
        current = list(newest.values())
    chosen = {id(one) for one in current}
    current = sorted(current, key=lambda f: (lab in f.name, _copy(f.name)[1], f.order, f.name))
    return current[::-1], [one for one in files if id(one) not in chosen]


def _copy(name: str) -> tuple[str, int]:
    """A file's name without the number of a copy, and that number: lab1-2.ipynb is the second."""
    match = COPY.match(name)
    if match is None:
        return name, 0
    return match["stem"] + match["end"], int(match["number"] or match["number2"] or 0)


def _compared(
    course: Class, student: str, lab: str, files: list[HandIn], date: datetime | None
) -> tuple[str, str]:
    """What becomes of a submission beside the one that is there, and why if that needs a word."""
    folder = course.submitted / student / lab
    if any(path.is_symlink() for path in (course.submitted, folder.parent, folder)):
        return STAYS, f"{visible(str(folder))} is a link to another place: nothing is written there"
    there = sorted(_hashes(folder)) if folder.is_dir() else []
    if not there:
        return NEW, ""
    had, handed_in = dates.read_timestamp(folder / TIMESTAMP), {one.item.sha256 for one in files}
    is_newer = date is not None and had is not None and date > had
    if handed_in == set(there) or (handed_in < set(there) and not is_newer):
        return SAME, ""
    if is_newer:
        return NEWER, f"the one of {_day(had)} goes to earlier/"
    if date and had:
        return STAYS, f"the one that is there is of {_day(had)}, this one of {_day(date)}"
    entry = course.ledger.get(student, lab)
    untouched = entry is not None and entry.sha256 in there
    if untouched and entry.order and files[0].order > entry.order and entry.system == "Canvas":
        return NEWER, "the earlier one goes to earlier/"
    if untouched and files[0].order and entry.order > files[0].order:
        return STAYS, "the one that is there was uploaded later"
    if course.replace:
        return NEWER, "as you asked: the one that was there goes to earlier/"
    return STAYS, "another one is there, and nothing says which is newer: --replace takes this one"


def _hashes(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names if name != TIMESTAMP):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    yield hashlib.file_digest(file, "sha256").hexdigest()


def _day(date: datetime) -> str:
    return f"{date.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
