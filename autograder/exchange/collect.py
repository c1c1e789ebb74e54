"""Puts a download into `submitted/`, as planned, and says what it did.

A submission is written beside its place and then moved there whole; the one that it replaces goes
to `earlier/STUDENT/LAB/`. `collected.json` is written last.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from autograder import nbgrader_api
from autograder.course import CourseError, pick_labs
from autograder.exchange import dates
from autograder.exchange.archives import read
from autograder.exchange.hand_ins import HandIn
from autograder.exchange.layouts import recognise
from autograder.exchange.ledger import Entry, read_ledger
from autograder.exchange.people import folder_name, read_roster
from autograder.exchange.plan import NEW, NEWER, SAME, STAYS, Class, Placement, Plan, make_plan
from autograder.foreign_text import visible
from autograder.grading.executor import alone_in
from autograder.records import TIMESTAMP
from trickster.files import write_atomically

Say = Callable[[str], None]
EARLIER = "earlier"
WORDS = {NEW: "new", NEWER: "newer than before", SAME: "unchanged", STAYS: "left out"}


def collect(
    root: Path,
    source: Path,
    course_root: Path,
    lab: str | None = None,
    roster: Path | None = None,
    dry_run: bool = False,
    replace: bool = False,
    timezone: str | None = None,
    say: Say = print,
) -> Plan:
    """Put what a download holds into a course folder; a dry run only says what it would do.

    Raises CourseError where nothing can be done at all. What cannot be placed is in the plan's
    `refused`, each with a reason.
    """
    where = dates.zone(timezone)
    course_root = course_root.resolve()
    if why := nbgrader_api.unusable_name(str(course_root)):
        raise CourseError(f"{course_root}: {why}")
    chosen = pick_labs(root, [lab])[0].name if lab else ""
    people = read_roster(roster, where) if roster else None
    if not dry_run:
        course_root.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="trickster-collect-") as folder,
        nullcontext() if dry_run else alone_in(course_root),
    ):
        course = Class(
            course_root, pick_labs(root), read_ledger(course_root), people, chosen, replace
        )
        download = read(source, Path(folder))
        labs = [one.name for one in course.labs]
        given = source.resolve().name if source.is_dir() else ""
        plan = make_plan(course, recognise(download.items, people, where, labs, given))
        plan.refused = [*download.refused, *plan.refused]
        if not dry_run:
            carry_out(plan, course)
    report(plan, say, dry_run)
    return plan


def carry_out(plan: Plan, course: Class) -> None:
    """Write the submissions of a plan; what is interrupted can be collected again."""
    try:
        for placement in plan.placements:
            if placement.writes:
                _write(placement, course)
            elif placement.action == SAME:
                _date(course.submitted / placement.student / placement.lab, placement.date)
            if placement.action != STAYS:
                course.ledger.add(_entry(placement))
    finally:
        course.ledger.write()


def _write(placement: Placement, course: Class) -> None:
    target = course.submitted / placement.student / placement.lab
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f".{secrets.token_hex(8)}.unfinished"
    unfinished.mkdir()
    try:
        names: set[str] = set()
        for hand_in in placement.files:
            assert hand_in.item.staged is not None  # a plan holds notebooks only
            name = _file_name(hand_in, placement.lab, names)
            shutil.copyfile(hand_in.item.staged, unfinished / name)
            names.add(name)
        _date(unfinished, placement.date)
        if target.exists():
            aside = _free(course.course_root / EARLIER / placement.student / placement.lab, target)
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(target, aside)
        os.rename(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _file_name(hand_in: HandIn, lab: str, taken: set[str]) -> str:
    """The expected name for the first file; for others their own, made safe."""
    if not taken:
        return f"{lab}.ipynb"
    stem = folder_name(hand_in.name.rpartition(".")[0]) or "notebook"
    names = (f"{stem}{number}.ipynb" for number in ("", *(f" ({n})" for n in range(2, 10_000))))
    return next(name for name in names if name not in taken)


def _date(folder: Path, date: datetime | None) -> None:
    """Write when a notebook was handed in, unless that is known."""
    path = folder / TIMESTAMP
    if date is not None and not path.exists():
        write_atomically(path, dates.as_timestamp(date))


def _free(folder: Path, target: Path) -> Path:
    """Where an earlier try goes: by its date, or by number."""
    had = dates.read_timestamp(target / TIMESTAMP)
    stem = f"{had:%Y-%m-%d %H.%M.%S}" if had else "try"
    names = (stem if n == 1 and had else f"{stem} {n}" for n in range(1, 10_000))
    return next(folder / name for name in names if not (folder / name).exists())


def _entry(placement: Placement) -> Entry:
    first = placement.files[0]
    return Entry(
        student=placement.student,
        lab=placement.lab,
        system=placement.who.system,
        name=placement.who.name,
        ids=dict(placement.who.ids),
        place=first.place,
        handed_in=dates.as_timestamp(placement.date).strip() if placement.date else "",
        order=first.order,
        sha256=first.item.sha256,
        late=any(one.late for one in placement.files),
    )


def report(plan: Plan, say: Say, dry_run: bool) -> None:
    """Say what was done, or would be: a line for each submission, then what was not placed."""
    say(f"Read as {plan.layout}.")
    for placement in plan.placements:
        date = f", handed in {dates.as_timestamp(placement.date).strip()}" if placement.date else ""
        notes = "".join(f"; {note}" for note in placement.notes)
        where = f"{visible(placement.student)}/{placement.lab}"
        say(f"  {WORDS[placement.action]}: {where}{date}{notes}")
    if plan.refused:
        say(f"Not placed: {len(plan.refused)}.")
        for one in plan.refused:
            say(f"  {one.what}: {one.reason}.")
    if plan.left:
        say(f"Other files, which grading has no use for: {plan.left}.")
    written = [placement for placement in plan.placements if placement.writes]
    if undated := sum(one.who.system == "Moodle" and one.date is None for one in written):
        say(
            f"Not known of {undated}: when it was handed in, so that it cannot count as late. "
            "Moodle's zip has no dates; its grading worksheet has (--roster)."
        )
    counts = Counter(placement.action for placement in plan.placements)
    parts = [f"{counts[action]} {word}" for action, word in WORDS.items() if counts[action]]
    total = ", ".join(parts) or "no submission"
    say(f"{'Would be collected' if dry_run else 'Collected'}: {total}.")
    if dry_run:
        say("Nothing was written: this was a dry run.")
