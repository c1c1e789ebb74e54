"""The thresholds that graded accuracy, fidelity and drops are compared with, with their evidence.

``HONEST_LOSS`` and ``HONEST_FLAGGED`` have theirs in ``benchmarks/RESULTS.md``. Checks of exact
properties (shapes, meters, closed forms) have tolerances, not thresholds, and are not listed.
``calibrate_training.py``, ``calibrate_honest.py``, ``calibrate_defenses.py`` and
``calibrate_knowing.py`` in ``benchmarks/`` of the course's own repository (students' copies have
none) measure the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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


@dataclass(frozen=True)
class Ladder(Threshold):
    """A threshold with a point at each rung: ``some``, ``between`` and ``full``."""

    between: tuple[float, ...] = ()

    @property
    def rungs(self) -> tuple[float, ...]:
        return (self.some, *self.between, self.full)

    def share(self, value: float) -> float:
        """0 below the lowest rung, as many parts as rungs were reached, rising evenly between."""
        if value < self.some:
            return 0.0
        parts = range(1, len(self.rungs) + 1)
        return round(float(np.interp(value, self.rungs, parts)) / len(self.rungs), 3)


VICTIM_ACCURACY = Threshold(
    0.86,
    0.80,
    "about .89",
    "33 runs, 200 of half as wide: right answers: reference .875 to .910, half as wide .865 to "
    ".901; wrong ones: one epoch .783 to .828",
)
CLONE_FIDELITY = Threshold(
    0.47,
    0.40,
    "about .63",
    "33 runs: right answers: reference .572 to .705, CNN .537 to .674; wrong ones: 300 of 3,000 "
    "answers .181 to .346",
)
STOLEN_FIDELITY = Ladder(
    0.83,
    0.60,
    "about .88",
    "33 runs, 200 of reference and half the size: right answers: reference .847 to .918; nearly "
    "right: half the size .753 to .847; a part of the points: shapes .655 to .739, CNN, 8 epochs "
    ".628 to .710, 10 epochs .589 to .680, hard labels .561 to .629; wrong ones: digits .253 to "
    ".348, patches .317 to .430, noise .171 to .294",
    between=(0.68, 0.73, 0.77, 0.80),
)
STOLEN_STARS = (0.87, 0.89, 0.91)  # honours above full points

# Lab 3. A drop is of accuracy and of fidelity, whichever falls less, of the best thief.
DROP = Threshold(
    0.18,
    0.10,
    "in this notebook about .43 with shapes, .31 with the other pool; when graded, on other "
    "draws, about .37",
    "33 runs, 200 of largest and smallest swapped: right answers: reversed .336 to .403, least "
    "likely class .348 to .412, rolled by one .267 to .381, largest and smallest swapped .192 to "
    ".333, reversed, 5th neighbour .303 to .369; wrong ones: zero-mean noise, fixed -.026 to "
    ".044, keeps the argmax -.003 to .039; refused for something else: random lies .082 to .179",
)
SPENT_GAIN = Threshold(  # of fidelity, beyond what the hundred real pictures alone bring
    0.03,
    0.025,
    "about .14 more",
    "33 runs, 200 of mirrored, nine rolls, far, lies undone, mirror images and real alone: right "
    "answers: reference .113 to .163, mirrored .059 to .118, nine rolls .034 to .105, far, lies "
    "undone .066 to .168; nearly right: mirror images .006 to .051; wrong ones: shapes -.357 to "
    "-.270, shapes, lies undone -.155 to -.053, shapes and real -.236 to -.160, real alone -.001 "
    "to .001",
)
SPENT_BETTER = 0.31  # below it: whoever believes answers about shapes; above: whoever corrects them
HONEST_LOSS = 0.015  # of the honest users' accuracy
HONEST_FLAGGED = 0.03  # of the honest users' inputs
POOR_POOL = 0.40  # fidelity of a clone from a pool that steals badly anyway

# --- lab 4 ---------------------------------------------------------------------------------

LAYERED_DROP = Threshold(  # of fidelity, to the best thief of the panel
    0.20,
    0.12,
    "about .44",
    "33 runs: right answers: reversed, labels .385 to .503, reversed, 5th neighbour, labels .318 "
    "to .477; nearly right: rolled by one, labels .294 to .460; wrong ones: labels and a limit "
    "-.004 to .071, zero-mean noise, fixed -.011 to .066, keeps the argmax -.004 to .071; refused "
    "for something else: one class, labels .122 to .290",
)
LAYERED_READ = Threshold(  # the same, to the best way of a thief who has read the code
    0.28,
    0.15,
    "about .42",
    "200 runs: right answers: reversed, labels .316 to .515, reversed, 5th neighbour, labels .305 "
    "to .499; nearly right: rolled by one, labels .013 to .291; wrong ones: rolled by one -.058 "
    "to .067, reversed -.029 to .125, largest and smallest swapped -.044 to .078, least likely "
    "class -.070 to .116, one class, labels .015 to .222",
)
LAYERED_LOSS = Threshold(  # of honest accuracy, negative
    -0.015,
    -0.04,
    "about -.006",
    "200 runs: reversed, 2 % -.009 to -.005, 1 % -.005 to -.002, rolled by one -.008 to -.004, "
    "largest and smallest swapped -.009 to -.005, 5th neighbour -.010 to -.007, rolled, 10th "
    "neighbour -.011 to -.006, 5 % -.027 to -.020, 10 % -.074 to -.062; at a desk, where "
    "nothing is drawn, the right answers lose .007 at most, 5 % loses .022 and earns a part, "
    "and 10 % .062 and earns nothing",
)

# --- lab 5 ---------------------------------------------------------------------------------

# A share of answers put right.
UNLIED = Threshold(
    0.88,
    0.78,
    "about 95 %",
    "25 runs: lab 3's: right answers: the library's .930 to .971; wrong ones: as told .401 to "
    ".452, by a coin .467 to .514; another lie: right answers: the library's .957 to .986; wrong "
    "ones: as told .343 to .619, by a coin .478 to .526",
)
# Minus the share of lies behind which a thief finds the right class.
UNDONE = Threshold(
    -0.6,
    -0.75,
    "0 to 25 % with eight cells",
    "25 runs: right answers: 8 cells -.249 to -.004, one permutation -.420 to -.000, one a "
    "picture -.144 to -.024; wrong ones: reversed -.966 to -.900, rolled by the key -.992 to "
    "-.000, rolled by one -.965 to -.000",
)
# Shares of a pool flagged, where 2 % of honest pictures are.
CAUGHT_SHAPES = Threshold(
    0.78,
    0.7,
    "about 91 %",
    "25 runs: right answers: both .889 to .927, outlier exposure .897 to .933; wrong ones: "
    "nearest neighbour .581 to .647, Mahalanobis .535 to .599",
)
CAUGHT_HIDDEN = Threshold(
    0.6,
    0.45,
    "on your own machine about 72 %, in grading about 80 %",
    "25 runs: right answers: both .757 to .819, outlier exposure .652 to .719; wrong ones: "
    "nearest neighbour .557 to .652, Mahalanobis .137 to .192",
)
# Drops, as in lab 3, to thieves who have read the code; the last with the oracle among them.
KNOWING_SHAPES = Threshold(
    0.32,
    0.22,
    "about .48",
    "3 runs, 200 of 8 cells, one a picture and nearest neighbour, cells, 25 of one permutation "
    "and outlier exposure: right answers: 8 cells .363 to .540, one permutation .445 to .579, "
    "outlier exposure .460 to .558, one a picture .328 to .496; wrong ones: nearest neighbour, "
    "cells .146 to .378, lab 3's -.010 to .000, reversed -.004 to .000, unkeyed cells .00",
)
KNOWING_HIDDEN = Threshold(
    0.16,
    0.1,
    "on your own machine about .33, in grading about .38",
    "3 runs, 200 of 8 cells, one a picture and nearest neighbour, cells, 25 of one permutation "
    "and outlier exposure: right answers: 8 cells .294 to .482, one permutation .356 to .511, "
    "outlier exposure .284 to .440, one a picture .216 to .419; wrong ones: nearest neighbour, "
    "cells .121 to .337, lab 3's .00, reversed .00, unkeyed cells .00",
)
ORACLE = Threshold(
    0.065,
    0.04,
    "about .14",
    "3 runs, 200 of 8 cells, one a picture and nearest neighbour, cells, 25 of one permutation "
    "and outlier exposure: right answers: 8 cells .100 to .213, one permutation .100 to .184, "
    "outlier exposure .066 to .149, one a picture .100 to .213; wrong ones: nearest neighbour, "
    "cells -.012 to .063, lab 3's -.010 to .000, reversed -.004 to .000, unkeyed cells .00",
)
# The share of lies found, or of truths left alone, whichever is smaller.
LIES_SHOWN = Threshold(
    0.95,
    0.85,
    "about 99.9 %",
    "200 runs: right answers: sorted or not .989 to 1.000, one pixel .989 to 1.000, correlation "
    ".971 to 1.000; wrong ones: another class .817 to .938, other ranks .796 to .960, copies far "
    "off .325 to .885, the unsure half .374 to .607",
)

# --- lab 6 ---------------------------------------------------------------------------------

ROUNDED_TWO = Threshold(  # fidelity from posteriors with two decimals, mean over three models
    0.985,
    0.97,
    "about .997",
    "50 runs: right answers: likelihood, scikit-learn .994 to .998, likelihood, L-BFGS .996 to "
    ".999; wrong ones: likelihood, penalty left on .875 to .936, logarithms, 0 as half a step "
    ".870 to .944, logarithms, 0 as 1e-12 .887 to .941, labels only .880 to .940",
)
ROUNDED_ONE = Threshold(  # with one decimal
    0.965,
    0.955,
    "about .982",
    "50 runs: right answers: likelihood, scikit-learn .977 to .988, likelihood, L-BFGS .977 to "
    ".987; wrong ones: likelihood, penalty left on .868 to .944, logarithms, 0 as half a step "
    ".831 to .915, logarithms, 0 as 1e-12 .862 to .918, labels only .875 to .941",
)
