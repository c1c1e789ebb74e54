"""What lab 3 tries with the choice of a threshold on a score of weirdness."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.checks import draws
from trickster.checks.distributions import given_read_only
from trickster.checks.result import SAME, Part
from trickster.checks.values import number

Choose = Callable[[np.ndarray, float], Any]  # honest scores (n,) and a share → a threshold


class Threshold:
    """The student's choice of a threshold, and what is wrong with it as a whole.

    Honest scores lie close below a highest one, with a long tail downwards, and are spread evenly
    over that distribution: a right threshold flags the same share of all that may come, to a
    thousandth. float32 holds each of them exactly.
    """

    def __init__(self, choose: Choose):
        self._choose, self._rng = choose, draws.rng("threshold")
        self.scores, _ = self._honest(200 * int(self._rng.integers(8, 13)))
        self.slip = ""  # found out by `on_given_scores`, and told once

    def _honest(self, n: int, top: float = 0.9) -> tuple[np.ndarray, Callable[[float], float]]:
        """``n`` scores, others each time, and the share of all such scores that lie below."""
        top, scale = top + self._rng.uniform(-0.09, 0.09), self._rng.uniform(0.05, 0.15)
        evenly = (np.arange(n) + self._rng.uniform(0.2, 0.8, n)) / n
        scores = _rounded(top - scale * (-np.log(evenly)) ** (2 / 3))

        def below(line: float) -> float:
            return float(np.exp(-((max(0.0, top - line) / scale) ** 1.5)))

        return self._rng.permutation(scores), below

    def flagged(self, scores: np.ndarray, rate: float) -> float:
        """The share of the scores that lie below the threshold for them and a rate."""
        return float(np.mean(scores < self(scores, rate)))

    def __call__(self, scores: np.ndarray, rate: float) -> float:
        return number(self._choose(scores.copy(), rate), "choose_threshold")

    # --- the parts ---

    def on_given_scores(self, part: Part) -> None:
        """As many of them as may be, and never more."""
        rng = self._rng
        n = len(self.scores)
        whole = [r for r in range(1, 51) if r / 200 * n == r * n // 200]  # not so in binary
        rates = [
            int(rng.choice([r for r in whole if r in those])) / 200
            for those in ((1, 3, 5), range(8, 17, 2), range(30, 51, 2))  # the first: half per cents
        ]
        shares = [self.flagged(self.scores, rate) for rate in rates]
        ok = _are_right(rates, shares)
        moved = self(self.scores + 1, rates[0]) - self(self.scores, rates[0]) if ok else 1.0
        ok = ok and abs(moved - 1) < 1e-3
        self.slip = "" if ok else self._why(rates, shares)
        part.expect(
            ok,
            ", ".join(f"{share:.3f} flagged" for share in shares)
            + ("" if abs(moved - 1) < 1e-3 else f"; for all scores + 1 it moves by {moved:.3g}"),
            f"{', '.join(f'{rate:.3f}' for rate in rates)}, never more",
            "exactly these",
            self.slip,
        )

    def on_fresh_scores(self, part: Part) -> None:
        """All that may come from where the given scores came from, of two kinds of scores."""
        rates, fresh = [], []
        # Rates far from the usual 5 %, and scores that no common threshold fits.
        for top, low, high in ((0.9, 2, 3), (6.0, 8, 11)):
            rates.append(int(self._rng.integers(low, high + 1)) / 100 + 0.005)
            scores, below = self._honest(2_000, top)
            fresh.append(below(self(scores, rates[-1])))
        part.expect(
            all(abs(share - rate) < 0.01 for share, rate in zip(fresh, rates, strict=True)),
            " and ".join(f"{share:.3f}" for share in fresh) + " of new honest users flagged",
            " and ".join(f"{rate:.3f}" for rate in rates) + ", within .01",
            "exactly these",
            self._again("The threshold must follow from the honest scores alone, for any max_fpr."),
        )

    def at_the_edges(self, part: Part) -> None:
        """A share of 0, equal scores, and few scores."""
        rng = self._rng
        none = self.flagged(self.scores, 0.0)
        low = int(rng.integers(4, 9))
        # Equal low scores, more than may be flagged, and others above them, each another one.
        low_score, above = rng.uniform([0.1, 0.7], [0.4, 0.8])
        few_equal = _rounded(
            np.r_[np.full(low, low_score), above + rng.permutation(100 - low) / 1000]
        )
        rate = low - 2
        tied = self.flagged(few_equal, rate / 100)
        n, share = FEW[int(rng.integers(len(FEW)))]
        few = round(n * self.flagged(rng.permutation(np.arange(float(n))), share))
        most = int(n * share)
        whole = int(rng.integers(2, 5))  # of ten scores: a share that is a whole number of them
        ten = 0.5 + (rng.permutation(10) + 0.5) / 2**20  # so close that no rounding is right
        of_ten = round(10 * self.flagged(ten, whole / 10))
        part.expect(
            none == 0 and tied <= rate / 100 and (few, of_ten) == (most, whole),
            f"max_fpr 0: {none:.3f} flagged; ties: {tied:.2f} of at most {rate / 100:.2f}; "
            f"{share:.2f} of {n} scores: {few} flagged; {whole / 10:.1f} of 10: {of_ten} flagged",
            f"0, at most {rate / 100:.2f}, {most} and {whole}",
            "exactly these, with 0.00 for ties",
            self._again(
                ROUNDED
                if of_ten != whole and self._is_rounded(ten, whole / 10)
                else ONCE_EACH
                if tied * 100 > rate and self._drops_equal(few_equal, rate / 100)
                else _why_edge(none, tied * 100 > rate, max(few - most, of_ten - whole))
            ),
        )
        if part.share:
            given_read_only(self._choose, "choose_threshold", few_equal, 0.02, what="scores")

    # --- advice ---

    def _again(self, advice: str) -> str:
        """What is wrong as a whole is not explained twice, and no other reason is made up."""
        return SAME if self.slip else advice

    def _why(self, rates: list[float], shares: list[float]) -> str:
        if _are_right(rates, shares):
            return (
                "Other scores, as many, get the threshold of these: compute it anew in each call, "
                "and keep nothing from one call to the next."
            )
        if len({round(share, 6) for share in shares}) == 1 and self._follows():
            return (
                "The same share is flagged whatever max_fpr is: the threshold must follow from it."
                if shares[0] < 1
                else FLAGS_ALL
            )
        if not self._follows():
            if shares == [1.0] * len(shares) and self(self.scores, rates[0]).is_integer():
                return FLAGS_ALL
            return (
                "The threshold does not move with the scores that choose_threshold is given: "
                "compute it from honest_scores, not from a pool or from scores elsewhere in the "
                "notebook."
            )
        if all(abs(share - (1 - r)) < 0.01 for r, share in zip(rates, shares, strict=True)):
            return (
                "This flags nearly everybody: weird is what lies below, so the threshold belongs "
                "to the low end of the honest scores."
            )
        if all(abs(share - r / 100) < 0.002 for r, share in zip(rates, shares, strict=True)):
            return (
                "Next to nobody is flagged: max_fpr is a share, .05 for 5 %. np.quantile takes "
                "shares, np.percentile percent."
            )
        if self._is_rounded(self.scores, rates[0]):
            return ROUNDED
        if all(0 < share - r < 0.002 for r, share in zip(rates, shares, strict=True)):
            return (
                "One or two more are flagged than may be. If 20 may lie below, the threshold is "
                "the score at index 20, as it is: those at indices 0 to 19 are smaller."
            )
        if _are_right(rates[1:], shares[1:]):
            return (
                f"With max_fpr {rates[0]:g}, {shares[0]:.3f} are flagged: a share need not be a "
                "whole per cent. Round only the place in the order, not max_fpr."
            )
        return (
            "Sort the scores: the threshold is the one that has max_fpr of them below it, and no "
            "distribution is assumed."
        )

    def _is_rounded(self, scores: np.ndarray, rate: float) -> bool:
        """Whether the threshold is no score, and has few digits."""
        line = self(scores, rate)
        few_digits = any(abs(line - round(line, digits)) < 1e-9 for digits in range(1, 6))
        return few_digits and float(np.abs(scores - line).min()) > 1e-9

    def _drops_equal(self, scores: np.ndarray, rate: float) -> bool:
        """Whether equal scores count once."""
        return self(scores, rate) == self(np.unique(scores), rate)

    def _follows(self) -> bool:
        """Whether the threshold moves up when all the scores do."""
        return abs(self(self.scores + 1, 0.05) - self(self.scores, 0.05) - 1) < 1e-6


def _are_right(rates: list[float], shares: list[float]) -> bool:
    return all(r - 0.002 <= share <= r + 1e-9 for r, share in zip(rates, shares, strict=True))


def _rounded(scores: np.ndarray) -> np.ndarray:
    """Scores that are the same in float32, in float64."""
    return scores.astype(np.float32).astype(np.float64)


ROUNDED = "The threshold is rounded, and some scores lie between: return it as it is."
ONCE_EACH = (
    "Scores that are equal count once here, as np.unique and set leave them: each is an honest "
    "user, so sort all of them."
)
FLAGS_ALL = (
    "This flags everybody. Return a score, not its place in the order or a count: "
    "np.sort(honest_scores)[place]."
)
# Few scores, and a share of them that lies above a half, between two whole numbers: rounding to the
# nearest is one too many. np.quantile, too, rounds down here: between the last two of those that
# may be flagged and the next.
FEW = [
    (n, share / 100)
    for n in range(6, 16)
    for share in range(60, 91)
    if int(n * share / 100 + 0.05) == int(n * share / 100 - 0.05) == int((n - 1) * share / 100) + 1
    and n * share % 100 > 55
]


def _why_edge(none: float, tied: bool, more: int) -> str:
    if none > 0:
        return "With max_fpr 0 nobody may be flagged: the lowest score itself is the threshold."
    if tied:
        return "Equal scores stay together: compare with <, and add nothing to the threshold."
    if more > 0:
        return "At most max_fpr may lie below: round down, not up or to the nearest."
    return "The highest such threshold is asked: one more score may lie below it."
