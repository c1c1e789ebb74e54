"""The thresholds that graded accuracy, fidelity and drops are compared with, with their evidence.

``HONEST_LOSS`` and ``HONEST_FLAGGED`` have theirs in ``benchmarks/RESULTS.md``. Checks of exact
properties (shapes, meters, closed forms) have tolerances, not thresholds, and are not listed.
``calibrate_training.py``, ``calibrate_honest.py`` and ``calibrate_defenses.py`` in ``benchmarks/``
of the course's own repository (students' copies have none) measure the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
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


VICTIM_ACCURACY = Threshold(
    0.86,
    0.80,
    "about .88",
    "200 runs: right answers: reference .875 to .888, half as wide .863 to .880; wrong ones: "
    "one epoch .810 to .833",
)
CLONE_FIDELITY = Threshold(
    0.47,
    0.40,
    "about .64",
    "6 runs: right answers: reference .601 to .687, CNN .537 to .631; wrong ones: 300 of "
    "3,000 answers .181 to .306",
)
STOLEN_FIDELITY = Threshold(
    0.52,
    0.47,
    "about .69",
    "6 runs: right answers: shapes .655 to .705, 10 epochs .595 to .648, hard labels .564 to "
    ".613; wrong ones: digits .295 to .315, patches .328 to .423, noise .189 to .258",
)
STOLEN_WELL = 0.70  # above it, a word of praise; no points

# Lab 3. A drop is of accuracy and of fidelity, whichever falls less, of the best thief.
# The threshold was .20 before these runs, where the right answers begin.
DROP = Threshold(
    0.18,
    0.10,
    "about .33",
    "200 runs: right answers: reversed .26 to .38, least likely class .28 to .38, rolled by "
    "one .21 to .35, largest and smallest swapped .20 to .34, reversed, 5th neighbour .21 to "
    ".35; wrong ones: zero-mean noise, fixed -.03 to .04, keeps the argmax -.01 to .04, hard "
    "labels .00 to .06; refused for something else: random lies .06 to .18",
)
HONEST_LOSS = 0.015  # of the honest users' accuracy
HONEST_FLAGGED = 0.03  # of the honest users' inputs
POOR_POOL = 0.40  # fidelity of a clone from a pool that steals badly anyway

# --- lab 4 ---------------------------------------------------------------------------------

LAYERED_DROP = Threshold(  # of fidelity, to the best thief of the panel
    0.20,
    0.12,
    "about .42",
    "200 runs: right answers: reversed .346 to .498, least likely class .376 to .512, rolled "
    "by one .274 to .448, largest and smallest swapped .285 to .460, reversed, 5th neighbour "
    ".326 to .452; wrong ones: labels and a limit -.010 to .072, zero-mean noise, fixed -.018"
    " to .076, keeps the argmax -.010 to .072",
)
LAYERED_LOSS = Threshold(  # of honest accuracy, negative
    -0.015,
    -0.04,
    "about -.004",
    "200 random halves: reversed, 2 % -.013 to -.004, 1 % -.009 to -.001, rolled by one -.012"
    " to -.003, largest and smallest swapped -.013 to -.004, 5th neighbour -.015 to -.004, "
    "rolled, 10th neighbour -.015 to -.004, 5 % -.038 to -.017, 10 % -.080 to -.044; on the "
    "check's own half, which is fixed, the right answers lose .006 at most, 5 % loses .022 "
    "and earns a part, and 10 % .061 and earns nothing",
)

# --- lab 6 ---------------------------------------------------------------------------------

ROUNDED_TWO = Threshold(  # fidelity from posteriors with two decimals, mean over three models
    0.985,
    0.97,
    "about .997",
    "50 runs: right answers: likelihood, scikit-learn .994 to .998, likelihood, L-BFGS .996 to "
    ".999; wrong ones: likelihood, penalty left on .875 to .936, logarithms, 0 as half a step "
    ".870 to .944, logarithms, 0 as 1e-12 .887 to .941, labels only .881 to .940",
)
ROUNDED_ONE = Threshold(  # with one decimal
    0.965,
    0.955,
    "about .982",
    "50 runs: right answers: likelihood, scikit-learn .977 to .988, likelihood, L-BFGS .977 to "
    ".987; wrong ones: likelihood, penalty left on .868 to .944, logarithms, 0 as half a step "
    ".831 to .915, logarithms, 0 as 1e-12 .862 to .918, labels only .875 to .941",
)
