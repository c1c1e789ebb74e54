"""Compares what a submission of the zoo got with the verdict that its file asks for."""

from __future__ import annotations

from pathlib import Path

from autograder.records import GradingRecord
from autograder.sample_class.specimen import Specimen

AS_EXPECTED = "as expected"
ROUNDING = 1e-9  # of sums of points


def pages_of(folder: Path, lab: str, student: str) -> str:
    """What the student gets to see: the graded notebook and the feedback page, as text."""
    pages = (
        folder / "autograded" / student / lab / f"{lab}.ipynb",
        folder / "feedback" / student / lab / f"{lab}.html",
    )
    return "\n".join(page.read_text(encoding="utf-8") for page in pages if page.is_file())


def verdict(specimen: Specimen, record: GradingRecord, pages: str = "") -> str:
    """ "as expected", or "WRONG: " and everything in which the record or the pages are not."""
    expect, wrong = specimen.expect, []
    got = {cell.name: cell.points for cell in record.cells}
    for name, (low, high) in expect.points.items():
        points = got.get(name)
        if points is None or not _within(points, low, high):
            wrong.append(f"{name} {_shown(points)}, expected {_span(low, high)}")
    if expect.total is not None:
        low, high = expect.total
        if not _within(record.test_points, low, high):
            wrong.append(f"total {_shown(record.test_points)}, expected {_span(low, high)}")
    if expect.status is None and record.status == "failed":
        wrong.append(f"failed: {record.reason}")
    elif expect.status is not None and record.status != expect.status:
        wrong.append(f"{record.status}, expected {expect.status}")
    if expect.reason is not None and expect.reason not in record.reason:
        wrong.append(f"reason {record.reason!r}, expected {expect.reason!r}")
    wrong += _not_as_found(specimen, record, pages)
    return f"WRONG: {'; '.join(wrong)}" if wrong else AS_EXPECTED


def _not_as_found(specimen: Specimen, record: GradingRecord, pages: str) -> list[str]:
    """In which the record's repairs and limits, and the pages, are not as expected."""
    expect, wrong, stopped = specimen.expect, [], record.stopped
    kinds = {note.kind for note in record.repairs}
    if expect.stopped is not None:
        right = expect.stopped in stopped if expect.stopped else not stopped
        if not right:
            wrong.append(f"stopped {stopped!r}, expected {expect.stopped!r}")
    if expect.repairs is not None and kinds != expect.repairs:
        listed = ", ".join(sorted(kinds)) or "nothing"
        wanted = ", ".join(sorted(expect.repairs)) or "nothing"
        wrong.append(f"repaired: {listed}, expected {wanted}")
    wrong += [f"does not show {word!r}" for word in expect.shows if word not in pages]
    wrong += [f"shows {word!r}" for word in expect.never if word in pages]
    if specimen.kind == "learner" and expect.reason is None:
        wrong += [f"told the instructor: {remark}" for remark in record.remarks]
    return wrong


def _within(points: float, low: float, high: float) -> bool:
    return low - ROUNDING <= points <= high + ROUNDING


def _shown(points: float | None) -> str:
    return "no score" if points is None else f"{points:g}"


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
