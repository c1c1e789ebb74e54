"""Every bar that a graded measurement is compared with, in one table, with its evidence.

Checks of exact properties (shapes, meters, closed forms) have tolerances, not bars, and
are not listed. ``benchmarks/calibrate_bars.py`` and ``benchmarks/calibrate_defenses.py``
measure the evidence again.
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

# Lab 3. A drop is of accuracy and of fidelity, whichever falls less, of the best thief.
DROP = Bar(
    0.20,
    0.10,
    "about .35",
    "20 runs of 2 seeds: right answers: reversed .290 to .350, least likely class .290 to "
    ".350, rolled by one .240 to .350, largest and smallest swapped .240 to .310, reversed, "
    "5th neighbour .240 to .330; wrong ones: zero-mean noise, fixed -.030 to .030, keeps the "
    "argmax -.010 to .050, hard labels .000 to .050",
)
HONEST_LOSS = 0.015  # of the honest users' accuracy
HONEST_FLAGGED = 0.03  # of the honest users' inputs
POOR_POOL = 0.40  # fidelity of a clone from a pool that steals badly anyway

# --- lab 4 ---------------------------------------------------------------------------------

LAYERED_DROP = Bar(  # of fidelity, to the best thief of the panel
    0.20,
    0.12,
    "about .40",
    "20 runs of 2 seeds: right answers: reversed .385 to .450, least likely class .389 to "
    ".467, rolled by one .303 to .409, largest and smallest swapped .320 to .403, reversed, "
    "5th neighbour .341 to .422; wrong ones: labels and a limit .001 to .065, zero-mean "
    "noise, fixed -.006 to .071, keeps the argmax .001 to .061",
)
LAYERED_LOSS = Bar(  # of honest accuracy, negative
    -0.015,
    -0.04,
    "about -.004",
    "The check's held-out half is fixed: reference -.004, rolled with the tenth neighbour -.006. "
    "10 random halves: reference -.011 to -.004, rolled -.015 to -.004, threshold at 5 % -.031 to "
    "-.024, at 10 % -.076 to -.058, so that 5 % earns a part and 10 % nothing",
)
