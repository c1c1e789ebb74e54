"""Reads what a check said back into its parts: which were missed, and why.

The text has the form that `trickster.checks.result` prints. Whatever else stands in it (words
of the student's code, progress bars) is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MEANWHILE = "--- what your code printed meanwhile ---"  # what follows is the student's own
MARGIN = " " * 7
PART = re.compile(r"^  (✓ passed|~ in part|✗ missed)  (.+): [\d.e+-]+ of [\d.e+-]+$")
TOTAL = re.compile(r"^[\d.e+-]+ of [\d.e+-]+ points$")
FIELD = re.compile(r"^(measured|asked|usual|advice)(?: {2,}(.*))?$")
STOPPED = re.compile(r"^(?:The test stopped early|0 points): (.+)$", re.MULTILINE)
RAISED = re.compile(r"^([A-Za-z_]\w*): ?(.*)$", re.MULTILINE)
NOT_BEGUN = "not begun"
NOT_ENDED = "the check did not come to its end"
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*(?:e[+-]?\d+)?")
WHERE = " It happened in "  # a line of one student's notebook, no part of the reason


@dataclass(frozen=True)
class Failure:
    """Something that a check asked for and did not get, or did not get in full (`partly`)."""

    part: str
    partly: bool
    reason: str


@dataclass
class _Part:
    name: str
    mark: str
    fields: dict[str, str] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)
    last: str = ""

    def take(self, line: str) -> None:
        """One line below the verdict: a field, its continuation, or a part of the reason."""
        if found := FIELD.match(line):
            self.last = found[1]
            self.fields[self.last] = (found[2] or "").strip()
        elif line.startswith(" ") and self.last:
            self.fields[self.last] = f"{self.fields[self.last]} {line.strip()}".lstrip()
        else:
            self.last = ""
            self.why.append(line.strip())

    def failure(self) -> Failure:
        fields = {name: text for name, text in self.fields.items() if name != "usual"}
        why = fields.pop("advice", "") or " ".join(self.why)
        told = "; ".join(f"{name} {text}" for name, text in fields.items())
        return Failure(self.name, self.mark == "~ in part", why or told)


def failures(text: str) -> list[Failure]:
    """The parts of a check that did not get all their points, and what ended it too early.

    Each part once. An exercise that nobody has begun has the one failure `NOT_BEGUN`.
    """
    checked, _, after = text.partition(MEANWHILE)
    parts, ended = _parts(checked)
    missed = {part.name: part.failure() for part in parts if part.mark != "✓ passed"}
    if not ended:
        early = _early(checked, after)
        if early.part == NOT_BEGUN:
            return [early]
        missed.setdefault(early.part, early)
    return list(missed.values())


def _parts(text: str) -> tuple[list[_Part], bool]:
    """Every part, and whether the check came to its total."""
    parts: list[_Part] = []
    below = False  # a part's verdict
    for line in text.split("\n"):
        if TOTAL.match(line):
            return parts, True
        if found := PART.match(line):
            parts.append(_Part(found[2], found[1]))
            below = True
        elif below and line.startswith(MARGIN):
            parts[-1].take(line[len(MARGIN) :])
        else:
            below = False
    return parts, False


def _early(checked: str, after: str) -> Failure:
    """Why a check gave no total: the error it ended in, which is the last thing said."""
    if checked.startswith("Not written yet: "):
        return Failure(NOT_BEGUN, False, "")
    if stopped := STOPPED.findall(checked):
        return Failure(NOT_ENDED, False, stopped[-1])
    raised = RAISED.findall(f"{checked}\n{after}")
    kind, text = raised[-1] if raised else ("", "")
    if kind == "NotImplementedError":
        return Failure(NOT_BEGUN, False, "")
    return Failure(NOT_ENDED, False, f"{kind}: {text}" if text else kind)


def alike(text: str) -> str:
    """What sentences have in common that differ only in their numbers."""
    same = NUMBER.sub("#", text.split(WHERE)[0])
    return re.sub(r"#(?:, #)+", "#", same)
