"""Downloads of Canvas, Moodle and Blackboard, which write into each name whose file it is.

What a student chose begins where the system's own part ends. Each pattern ends that part at the
first place where it can end.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import tzinfo

from autograder.exchange import dates
from autograder.exchange.hand_ins import TEXT_ONLY, HandIn, Located, Recognised
from autograder.exchange.people import Identity, Roster, plain

# Systems write numbers in ASCII; a name may have other digits, which would compare as the same.
# Canvas's own part is made of word characters alone. A name without any leaves the line before
# the number: _12345_67890_lab1.ipynb.
CANVAS = re.compile(
    r"^(?P<name>.*?)_(?:(?P<late>LATE)_)?(?P<user>\d+)_(?P<attachment>\d+)_(?P<file>.+)$",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
CANVAS_BLIND = re.compile(
    r"^(?:(?P<late>LATE)_)?anon_(?:(?P<late2>LATE)_)?(?P<user>[A-Z0-9]+)_(?P<attachment>\d+)_(?P<file>.+)$",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
CANVAS_NO_FILE = re.compile(r"^.+_(?:text|link)\.html$", re.IGNORECASE)
ALSO_A_USER = re.compile(r"_(?=(\d+)_(\d+)_.)", re.ASCII)
FAR_BELOW = 100  # how many times lower a number is that Canvas did not give to an upload
# Moodle writes a blank for each _ in a name.
MOODLE = re.compile(
    r"^(?P<name>[^_]+)_(?P<participant>\d+)_(?P<type>assign[a-z]+)_(?P<plugin>[a-z]+)(?:_(?P<file>.*))?$",
    re.DOTALL | re.ASCII,
)
BLACKBOARD = re.compile(
    r"^(?P<head>.+?)_attempt_(?P<date>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|\.txt)$",
    re.DOTALL | re.ASCII,
)
IN_BRACKETS = re.compile(r"\(([^()\r\n]+)\)\s*$")
BLIND = ("participant", "teilnehmer/in", "teilnehmer", "participante", "partecipante", "deelnemer")


def not_as(system: str) -> str:
    return f"its name is not as {system} writes names: put it into submitted/ by hand"


# --- Canvas ---------------------------------------------------------------------------------


def is_canvas(name: str) -> bool:
    return any(pattern.match(name) for pattern in (CANVAS, CANVAS_BLIND, CANVAS_NO_FILE))


def canvas(files: Sequence[Located]) -> Recognised:
    """Downloaded submissions: doejane_LATE_12345_67890_lab1-2.ipynb."""
    found = Recognised("Canvas")
    uploads = [one for one in files if CANVAS.match(one.entry) or CANVAS_BLIND.match(one.entry)]
    blind = all(CANVAS_BLIND.match(one.entry) for one in uploads)  # else somebody is called Anon
    matches = [match for one in uploads if (match := CANVAS.match(one.entry))]
    lowest = min((int(m["attachment"]) for m in matches if not _other_users(m)), default=0)
    for one in files:
        match = CANVAS_BLIND.match(one.entry) if blind else CANVAS.match(one.entry)
        if match is None:
            typed = CANVAS_NO_FILE.match(one.entry) is not None
            found.refuse(one.item, TEXT_ONLY if typed else not_as("Canvas"))
            continue
        parts = match.groupdict()
        if blind:
            who = Identity("Canvas", f"anon {parts['user']}", {"anonymous": parts["user"]})
        else:
            who = Identity("Canvas", parts["name"], {"canvas": parts["user"]})
        others = {} if blind else _other_users(match)
        found.hand_ins.append(
            HandIn(
                (who,),
                one.item,
                name=one.inside[-1] if one.inside else parts["file"],
                place=one.entry[: match.start("file")],
                folders=(*one.above, *one.inside[:-1]),
                order=int(parts["attachment"]),
                late=bool(parts["late"] or parts.get("late2")),
                other_users=tuple(user for user, n in others.items() if n * FAR_BELOW >= lowest),
            )
        )
    return found


def _other_users(match: re.Match[str]) -> dict[str, int]:
    """Later numbers that may be the user's, each with the upload's: the rest would be the name.

    Canvas removes _12_ from a name, but _1-2_ becomes _12_ only after that.
    """
    text = _without_marks(match.string)
    own = re.match(r"[\w\ud800-\udfff]*", text)
    length = own.end() if own else 0
    later = (one for one in ALSO_A_USER.finditer(text) if one.start(1) > match.start("user"))
    return {one[1]: int(one[2]) for one in later if one.start(1) <= length}


def _without_marks(name: str) -> str:
    """A name with a letter for each accent that is a character of its own."""
    return "".join("x" if unicodedata.category(c)[0] == "M" else c for c in name)


# --- Moodle ---------------------------------------------------------------------------------


def is_moodle(name: str) -> bool:
    return MOODLE.match(name) is not None


def moodle(files: Sequence[Located]) -> Recognised:
    """Submissions in folders, Jane Doe_123_assignsubmission_file_/lab1.ipynb, or flat."""
    found = Recognised("Moodle")
    matches = [match for one in files if (match := MOODLE.match(one.entry))]
    with_files = {match["participant"] for match in matches if match["plugin"] == "file"}
    for one in files:
        match = MOODLE.match(one.entry)
        if match is None:
            found.refuse(one.item, not_as("Moodle"))
            continue
        if match["plugin"] != "file":
            if match["participant"] not in with_files:
                found.refuse(one.item, TEXT_ONLY)
            continue
        who = Identity("Moodle", match["name"], {"participant": match["participant"]})
        flat = match["file"] or ""
        found.hand_ins.append(
            HandIn(
                (who,),
                one.item,
                name=one.inside[-1] if one.inside else flat,
                place=one.entry[: len(one.entry) - len(flat)] + ("/" if one.inside else ""),
                folders=(*one.above, *one.inside[:-1]),
            )
        )
    return _without_blind_names(found)


def _without_blind_names(found: Recognised) -> Recognised:
    """Where marking is blind, everybody has one name, such as Participant."""
    numbers = {h.who[0].ids["participant"] for h in found.hand_ins}
    names = {h.who[0].name for h in found.hand_ins}
    if names and (all(plain(n) in BLIND for n in names) or (len(names) == 1 and len(numbers) > 2)):
        blind = [replace(h, who=(replace(h.who[0], name=""),)) for h in found.hand_ins]
        return replace(found, hand_ins=blind)
    return found


# --- Blackboard ------------------------------------------------------------------------------

Attempt = tuple[tuple[str, ...], str, str]  # the folder, the assignment with the login, the date


def _attempt(one: Located, match: re.Match[str]) -> Attempt:
    return (one.above, match["head"], match["date"])


def attempts_with_text(files: Sequence[Located]) -> set[Attempt]:
    """The attempts beside which Blackboard wrote its text."""
    return {
        _attempt(one, match)
        for one in files
        if not one.inside and (match := BLACKBOARD.match(one.entry)) and match["file"] is None
    }


def is_blackboard(one: Located, with_text: set[Attempt]) -> bool:
    """Whether an entry is Blackboard's; one that Canvas may have written needs its text."""
    match = BLACKBOARD.match(one.entry)
    if match is None:
        return False
    return not CANVAS.match(one.entry) or _attempt(one, match) in with_text


def blackboard(files: Sequence[Located], roster: Roster | None, where: tzinfo | None) -> Recognised:
    """Attempts, Lab 1_jdoe_attempt_2026-05-04-12-00-00_lab1.ipynb, and a text about each."""
    found = Recognised("Blackboard")
    matches = [(one, match) for one in files if (match := BLACKBOARD.match(one.entry))]
    with_files = {_attempt(one, match) for one, match in matches if match["file"]}
    logins = _logins(matches, roster)
    for one in files:
        match = BLACKBOARD.match(one.entry)
        if match is None:
            found.refuse(one.item, not_as("Blackboard"))
            continue
        if match["file"] is None:
            if _attempt(one, match) not in with_files:
                found.refuse(one.item, TEXT_ONLY)
            continue
        login = logins.get((one.above, match["head"]))
        if login is None:
            reason = (
                "where its login begins is not certain: collect Blackboard's download with the "
                "texts that lie beside the submissions, or give a roster with logins"
            )
            found.refuse(one.item, reason)
            continue
        found.hand_ins.append(
            HandIn(
                (Identity("Blackboard", "", {"login": login}),),
                one.item,
                name=one.inside[-1] if one.inside else match["file"],
                place=one.entry[: match.start("file")],
                folders=(*one.above, match["head"], *one.inside[:-1]),
                date=dates.parse(match["date"], where),
            )
        )
    return found


Head = tuple[tuple[str, ...], str]


def _logins(
    matches: Sequence[tuple[Located, re.Match[str]]], roster: Roster | None
) -> dict[Head, str]:
    """The login at the end of each head: by the texts, by the roster, or by the last line."""
    known = dict(_written_logins(matches))
    assignments = {(above, head[: -len(login)]) for (above, head), login in known.items()}
    guessed: dict[Head, str] = {}
    for above, head in {(one.above, match["head"]) for one, match in matches} - set(known):
        ends = [head[n + 1 :] for n, c in enumerate(head) if c == "_" and head[n + 1 :]]
        sure = [end for end in ends if (above, head[: -len(end)]) in assignments]
        if roster is not None and len(sure) != 1:
            sure = [end for end in ends if roster.by_number(Identity("", "", {"login": end}))]
        if len(sure) == 1:
            known[above, head] = sure[0]
        elif not sure:
            guessed[above, head] = ends[-1] if ends else head
    times = Counter((above, login) for (above, _), login in [*known.items(), *guessed.items()])
    return known | {
        (above, head): login for (above, head), login in guessed.items() if times[above, login] == 1
    }


def _written_logins(
    matches: Sequence[tuple[Located, re.Match[str]]],
) -> Iterator[tuple[Head, str]]:
    """What the texts' first lines say, "Name: Jane Doe (j_doe)"; students write the others."""
    for one, match in matches:
        if match["file"] is not None or one.inside or one.item.staged is None:
            continue
        with one.item.staged.open(encoding="utf-8-sig", errors="replace") as file:
            line = next((line for line in file.read(10_000).splitlines() if line.strip()), "")
        login = IN_BRACKETS.search(line)
        if login and match["head"].endswith(f"_{login[1]}"):
            yield (one.above, match["head"]), login[1]
