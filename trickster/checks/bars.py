"""Every bar that a graded measurement is compared with, in one table, with its evidence.

Checks of exact properties (shapes, meters, closed forms) have tolerances, not bars, and
are not listed. ``python benchmarks/calibrate_bars.py`` measures the evidence again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """``full`` points from here up, a share of them from ``some`` up.

    ``usual`` is what the reference measures; ``evidence`` says where reference,
    other right answers and wrong ones lie.
    """

    full: float
    some: float
    usual: str
    evidence: str

    def share(self, value: float) -> float:
        """1 from ``full`` up, one half at ``some``, rising evenly between, 0 below."""
        if value >= self.full:
            return 1.0
        if value < self.some:
            return 0.0
        return round(0.5 + 0.5 * (value - self.some) / (self.full - self.some), 2)


VICTIM_ACCURACY = Bar(
    0.86,
    0.80,
    "about .88",
    "10 seeds: reference .876 to .884, half as wide .867 to .876, one epoch .807 to .833",
)
CLONE_FIDELITY = Bar(
    0.55,
    0.35,
    "about .70",
    "10 seeds: reference .669 to .721, hard labels .593 to .713, only 300 queries .285 to .470",
)
STOLEN_FIDELITY = Bar(
    0.60,
    0.40,
    "about .74",
    "10 runs of 3 seeds: reference .714 to .758, 10 epochs .676 to .724, hard labels .653 to .711, "
    "digits .311 to .323, patches .205 to .243, noise .151 to .203",
)
STOLEN_WELL = 0.68  # above it, a word of praise; no points
