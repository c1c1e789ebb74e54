"""Situations with one right outcome each, of which a part of a check asks for all."""

from __future__ import annotations

from typing import Any, NamedTuple

from trickster.checks.result import Part


class Case(NamedTuple):
    """One situation of a part: what came of it, what should, and what a miss usually is."""

    what: str
    got: Any
    want: Any
    advice: str


def decide(part: Part, cases: list[Case]) -> None:
    """All of the part's points if every case is right; the first wrong one is reported."""
    wrong = [case for case in cases if case.got != case.want]
    if wrong:
        case = wrong[0]
        part.expect(False, f"{case.what}: {case.got}", f"{case.want}", "", case.advice)
    else:
        right = f"{len(cases)} of {len(cases)} situations right"
        part.expect(True, right, "all of them right")
