"""What an instructor is told of a defence: signs that it knows the check, not the pictures.

A remark costs nothing, and no student reads it: a person decides what it means. Points are kept
from such a defence by the traffic itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trickster.checks.result import Sheet
from trickster.checks.traffic import DESK, FIRST, HONEST, SHIPPED, Table

MANY = 16  # pictures: a request that large holds honest ones and thieves'


def tell(sheet: Sheet, tables: Sequence[Table]) -> None:
    """Look at the answers of one service or several, and tell what stands out."""
    for remark in _remarks(tables):
        sheet.tell_instructor(remark)


def _remarks(tables: Sequence[Table]) -> Iterator[str]:
    honest, shipped = _changed(tables, HONEST), _changed(tables, SHIPPED)
    if honest - shipped > 0.2 and SHIPPED in tables[0].crowd.groups:
        yield (
            f"It misleads {honest:.0%} of new honest pictures and {shipped:.0%} of the shipped "
            "ones: it may know the shipped pictures by heart."
        )
    fresh, desk = _changed(tables, "shapes", "hidden"), _changed(tables, DESK)
    if desk - fresh > 0.3:
        yield (
            f"It misleads {desk:.0%} of the thieves' pictures that a student's own run sends, and "
            f"{fresh:.0%} of new ones: it may know the former by heart."
        )
    whole = np.concatenate([_whole_requests(table) for table in tables])
    if len(whole) and np.isin(whole, (0, 1)).mean() > 0.9 and 0.02 < np.mean(whole == 1) < 0.98:
        yield (
            f"{np.mean(whole == 1):.0%} of the larger requests were misled throughout, the others "
            "not at all, though all hold honest and weird pictures: it decides by the request, or "
            "counts."
        )
    early, late = (_changed(tables, "", rounds=rounds) for rounds in (slice(1), slice(1, None)))
    if abs(early - late) > 0.1:
        yield (
            f"It misleads {early:.0%} of the pictures, and {late:.0%} when the same ones come in "
            "other requests: it may count, or remember."
        )
    each = [_changed([table], HONEST) for table in tables]
    if max(each) - min(each) > 0.2:
        yield (
            f"One of its services misleads {min(each):.0%} of honest pictures, another "
            f"{max(each):.0%}: it may count services."
        )


def _changed(tables: Sequence[Table], *groups: str, rounds: slice = slice(None)) -> float:
    return float(np.mean([one.changed(one.crowd.rows(*groups), rounds) for one in tables]))


def _whole_requests(table: Table) -> np.ndarray:
    """For each larger request of the first round, the share of its pictures that was misled."""
    large = [one for one in table.requests if one.round == FIRST and len(one.rows) >= MANY]
    return np.array([table.changed(one.rows, slice(1)) for one in large])
