"""Situations with one right outcome each, of which a part of a check asks for all.

And what comes before all others: whether anything is written at all, and for which pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

from trickster.checks.faults import is_unwritten
from trickster.checks.result import Part


class Case(NamedTuple):
    """One situation of a part: what came of it, what should, and what a miss usually is."""

    what: str
    got: Any
    want: Any
    advice: str


def must_be_written(answer: Callable[..., Any], *inputs: Any) -> None:
    """Raise NotImplementedError where the answer does, before a slow check draws what it asks.

    Whatever else comes of these small ``inputs`` counts for nothing.
    """
    try:
        answer(*inputs)
    except (Exception, SystemExit) as error:
        if is_unwritten(error) or hasattr(error, "plain"):  # or not its own error, but its end
            raise


class OtherPictures(Exception):
    """The lab is open on a scenario whose pictures the check does not have."""

    plain = "this check grades on clothes, see above."


def must_be_on_clothes(*answers: Callable[..., Any]) -> None:
    """Raise OtherPictures where a notebook's answers belong to another scenario than the default.

    Only at a desk, where they are the notebook's own functions, beside its name ``scenario``. In
    grading the lab is the course's own copy, and answers are proxies that know no such name.
    """
    for answer in answers:
        beside = answer.__globals__ if isinstance(answer, FunctionType) else {}
        if getattr(beside.get("scenario"), "name", "fashion") != "fashion":
            raise OtherPictures(
                'This check grades on clothes: open the lab with Scenario("fashion") to be graded. '
                "Your experiments go on."
            )


def decide(part: Part, cases: list[Case]) -> None:
    """All of the part's points if every case is right; the first wrong one is reported."""
    wrong = [case for case in cases if case.got != case.want]
    if wrong:
        case = wrong[0]
        part.expect(False, f"{case.what}: {case.got}", f"{case.want}", "", case.advice)
    else:
        right = f"{len(cases)} of {len(cases)} situations right"
        part.expect(True, right, "all of them right")
