"""Compares what a submission of the zoo got with the verdict that its file asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autograder import records
from autograder.records import Receipt
from autograder.results import Result
from autograder.sample_class.specimen import Specimen

AS_EXPECTED = "as expected"
ROUNDING = 1e-9  # of sums of points


@dataclass(frozen=True)
class Evidence:
    """What grading left of a submission, beside its result."""

    receipt: Receipt | None = None
    shown: str = ""  # the graded notebook and the feedback page


def evidence(folder: Path, lab: str, student: str) -> Evidence:
    """What lies in the course folder."""
    pages = (
        folder / "autograded" / student / lab / f"{lab}.ipynb",
        folder / "feedback" / student / lab / f"{lab}.html",
    )
    shown = [page.read_text(encoding="utf-8") for page in pages if page.is_file()]
    return Evidence(records.read(folder, student, lab), "\n".join(shown))


def verdict(specimen: Specimen, result: Result, found: Evidence | None = None) -> str:
    """ "as expected", or "WRONG: " and everything in which the result is not."""
    expect, wrong = specimen.expect, []
    got = {cell.name: cell.points for cell in result.cells}
    for name, (low, high) in expect.points.items():
        points = got.get(name)
        if points is None or not _within(points, low, high):
            wrong.append(f"{name} {_shown(points)}, expected {_span(low, high)}")
    if expect.total is not None:
        low, high = expect.total
        if not _within(result.test_points, low, high):
            wrong.append(f"total {_shown(result.test_points)}, expected {_span(low, high)}")
    if expect.status is None and result.status == "failed":
        wrong.append(f"failed: {result.reason}")
    elif expect.status is not None and result.status != expect.status:
        wrong.append(f"{result.status}, expected {expect.status}")
    if expect.reason is not None and expect.reason not in result.reason:
        wrong.append(f"reason {result.reason!r}, expected {expect.reason!r}")
    wrong += _not_as_found(specimen, found or Evidence())
    return f"WRONG: {'; '.join(wrong)}" if wrong else AS_EXPECTED


def _not_as_found(specimen: Specimen, found: Evidence) -> list[str]:
    """In which the receipt and the pages are not as expected."""
    expect, wrong = specimen.expect, []
    stopped = found.receipt.stopped if found.receipt else ""
    kinds = {note["kind"] for note in found.receipt.repairs} if found.receipt else set()
    if expect.stopped is not None:
        right = expect.stopped in stopped if expect.stopped else not stopped
        if not right:
            wrong.append(f"stopped {stopped!r}, expected {expect.stopped!r}")
    if expect.repairs is not None and kinds != expect.repairs:
        listed = ", ".join(sorted(kinds)) or "nothing"
        wanted = ", ".join(sorted(expect.repairs)) or "nothing"
        wrong.append(f"mended: {listed}, expected {wanted}")
    wrong += [f"shows {word!r}" for word in expect.never if word in found.shown]
    return wrong


def _within(points: float, low: float, high: float) -> bool:
    return low - ROUNDING <= points <= high + ROUNDING


def _shown(points: float | None) -> str:
    return "no score" if points is None else f"{points:g}"


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
