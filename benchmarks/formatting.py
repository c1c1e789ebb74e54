"""How the benchmarks print numbers: intervals, shares, counts and Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from scipy import stats

from trickster.evaluation import bootstrap_interval


def plural(number: int, noun: str) -> str:
    """``1 seed``, ``30 seeds``."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def short(value: float, digits: int = 3) -> str:
    """``.437``, as the field prints shares."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")


def with_interval(mean: float, low: float, high: float) -> str:
    """``.437 [.410, .463]``."""
    return f"{short(mean)} [{short(low)}, {short(high)}]"


def mean_interval(values: Iterable[float]) -> str:
    """``.437 [.410, .463]``: the mean of runs and its 95 % bootstrap interval."""
    mean, low, high, n = bootstrap_interval(values)
    return short(mean) if n == 1 or low == high else with_interval(mean, low, high)


def exact_interval(hits: int, runs: int) -> str:
    """``[0.0%, 16.8%]``: the exact 95 % interval of a share (Clopper and Pearson 1934)."""
    low, high = stats.binomtest(hits, runs).proportion_ci(0.95, method="exact")
    return f"[{low:.1%}, {high:.1%}]"


def low_to_high(low: str, high: str) -> str:
    """``.26 to .38``, or one of them where both are the same."""
    return low if low == high else f"{low} to {high}"


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, left: Sequence[int] = (0,)
) -> str:
    """A table; columns are aligned right, but for those numbered in ``left``."""
    marks = ["---" if column in left else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, marks, *rows])
