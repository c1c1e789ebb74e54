"""What lab 3 tries with scores of weirdness, with a threshold on them, and with a choice of one.

Each function decides one part of a check. Right answers are computed here a second way, on drawn
inputs; where an answer equals that of a known slip, the slip is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster.checks import draws
from trickster.checks.distributions import given_read_only
from trickster.checks.result import SAME, Missed, Part
from trickster.checks.values import array, number
from trickster.models import softmax

Score = Callable[..., Any]
Choose = Callable[[np.ndarray, float], Any]  # honest scores (n,) and a share → a threshold


# --- three scores -------------------------------------------------------------------


class Inputs(NamedTuple):
    """What the scores are asked about, and another order of the rows."""

    logits: np.ndarray
    features: np.ndarray
    bank: np.ndarray
    k: int
    order: np.ndarray


def inputs() -> Inputs:
    """Drawn: 30 to 50 rows, 8 to 12 classes, 10 to 16 features, and a neighbour from 5 to 15."""
    rng = draws.rng("scores")
    n, d = int(rng.integers(30, 51)), int(rng.integers(10, 17))
    return Inputs(
        rng.normal(0, 3, (n, int(rng.integers(8, 13)))),
        rng.gamma(1.0, 1.0, (n, d)),
        rng.gamma(1.0, 1.0, (int(rng.integers(150, 251)), d)),
        int(rng.integers(5, 16)),
        rng.permutation(n),
    )


def msp(part: Part, score_msp: Score, given: Inputs) -> None:
    """The largest probability."""
    p = softmax(given.logits)
    ordered = np.sort(p, axis=1)
    want = ordered[:, -1]
    _same(part, _one_a_row(score_msp(p.copy()), "score_msp", len(p)), want, {
        "This is the class, not its probability: max, not argmax.": p.argmax(axis=1).astype(float),
        "This is the difference to the second largest; asked is the largest itself.": (
            want - ordered[:, -2]
        ),
        "This is an entropy; asked is the largest probability.": (p * np.log(p)).sum(axis=1),
        "This is 1 minus the probability: higher must mean more normal.": 1 - want,
        "The sign is wrong: higher must mean more normal; the score is +max.": -want,
    })  # fmt: skip


def energy(part: Part, score_energy: Score, given: Inputs) -> None:
    """The formula, also where logits are large, and where rows are far apart."""
    logits, n = given.logits, len(given.logits)
    got = _one_a_row(score_energy(logits.copy()), "score_energy", n)
    large = array(score_energy(logits + 1000), "score_energy", (n,), finite=False)
    if not np.isfinite(large).all():
        raise Missed(
            "score_energy overflows: with logits near 1,000 it is not finite. Take each row's "
            "largest logit out of the exponential first, and add it again at the end."
        )
    want, top = np.logaddexp.reduce(logits, axis=1), logits.max(axis=1)
    far = np.where(given.order % 2, 1000.0, -1000.0)
    mixed = array(score_energy(logits + far[:, None]), "score_energy", (n,), finite=False)
    if not np.isfinite(mixed).all():
        raise Missed(
            "score_energy is not finite where one row's logits are near -1,000 and another's "
            "near +1,000. Take out each row's own largest logit, not the batch's: "
            "max(axis=1, keepdims=True)."
        )
    _same(part, np.r_[got, large - 1000, mixed - far], np.r_[want, want, want], {
        "The sign is wrong: higher must mean more normal; the score is +log sum exp.": -np.r_[
            want, want + 2000, want + 2 * far
        ],
        "This is the mean of the exponentials; asked is their sum.": np.r_[want, want, want]
        - np.log(logits.shape[1]),
        "Each row's largest logit was taken out and not added again.": np.r_[
            want - top, want - top - 1000, want - top - far
        ],
    })  # fmt: skip


def knn(part: Part, score_knn: Score, given: Inputs) -> None:
    """The cosine to the first and to another neighbour."""
    features, bank, k = given.features, given.bank, given.k
    got = np.r_[
        array(score_knn(features.copy(), bank.copy(), 1), "score_knn", (len(features),)),
        array(score_knn(features.copy(), bank.copy(), k), "score_knn", (len(features),)),
    ]
    lengths = [np.sqrt(np.square(x).sum(axis=1)) for x in (features, bank)]
    raw = -np.sort(-features @ bank.T, axis=1)
    similar = -np.sort(-(features @ bank.T) / np.outer(*lengths), axis=1)
    want = np.r_[similar[:, 0], similar[:, k - 1]]
    _same(part, got, want, {
        "Divide each row by its length first: the cosine of two rows lies between -1 and 1.": (
            np.r_[raw[:, 0], raw[:, k - 1]]
        ),
        "Divide the rows of the bank by their lengths as well: features and bank alike.": (
            _at(features / lengths[0][:, None] @ bank.T, k)
        ),
        "Divide the rows of features by their lengths as well: features and bank alike.": (
            _at(features @ (bank / lengths[1][:, None]).T, k)
        ),
        "Each row is divided by its own length: norm(axis=1, keepdims=True), not the norm of the "
        "whole array.": _at(features @ bank.T / np.linalg.norm(features) / np.linalg.norm(bank), k),
        "The lengths of columns were taken (axis=0); each row is an input: axis=1.": _at(
            (features / np.linalg.norm(features, axis=0))
            @ (bank / np.linalg.norm(bank, axis=0)).T, k
        ),
        "This is a Euclidean distance; asked is the cosine, the product of rows of length 1.": (
            _at(-np.sqrt(np.maximum(lengths[0][:, None] ** 2 + lengths[1] ** 2
                                    - 2 * features @ bank.T, 0)), k)
        ),
        "This is a distance, 1 - cosine: higher must mean more normal, so return the cosine.": (
            1 - want
        ),
        "This is the mean of the k most similar; asked is the k-th of them.": np.r_[
            similar[:, 0], similar[:, :k].mean(axis=1)
        ],
        "This is one neighbour too far: the k-th most similar is at index k - 1 in descending "
        "order, and at index -k in ascending order.": np.r_[
            similar[:, 1], similar[:, k]
        ],
        "These are the least similar rows of the bank: sort the other way.": np.r_[
            similar[:, -1], similar[:, -k]
        ],
        "This is the nearest neighbour, whatever k is.": np.r_[similar[:, 0], similar[:, 0]],
    })  # fmt: skip


def _at(similar: np.ndarray, k: int) -> np.ndarray:
    """The largest of each row, and then the k-th largest."""
    ordered = -np.sort(-similar, axis=1)
    return np.r_[ordered[:, 0], ordered[:, k - 1]]


def _one_a_row(value: Any, what: str, n: int) -> np.ndarray:
    found = array(value, what)
    if found.shape != (n,):
        raise Missed(
            f"{what} returned shape {found.shape}; asked ({n},): one number for each row, axis=1."
        )
    return found


def one_at_a_time(
    part: Part, score_msp: Score, score_energy: Score, score_knn: Score, given: Inputs
) -> None:
    """No score changes when the batch does."""
    n, gaps = len(given.order), {}
    for name, score, rows in (
        ("score_msp", score_msp, softmax(given.logits)),
        ("score_energy", score_energy, given.logits),
        ("score_knn", lambda f: score_knn(f, given.bank, given.k), given.features),
    ):
        whole = array(score(rows.copy()), name, (n,))
        turned = array(score(rows[given.order]), name, (n,))
        alone = array(score(rows[:1].copy()), name, (1,))
        gaps[name] = np.abs(np.r_[turned - whole[given.order], alone - whole[:1]]).max()
    worst = max(gaps, key=gaps.get)
    part.expect(
        gaps[worst] < 1e-6,
        f"scores change by up to {gaps[worst]:.2g} ({worst}) when the batch changes",
        "less than 1e-6",
        "rounding only, below 1e-12",
        "A score must not depend on what else is in the batch: no means or ranks over rows.",
    )
    if part.share:
        given_read_only(score_msp, "score_msp", softmax(given.logits))
        given_read_only(score_energy, "score_energy", given.logits, what="logits")
        bank, k = given.bank, given.k
        given_read_only(score_knn, "score_knn", given.features, bank.copy(), k, what="features")

        def of_bank(bank: np.ndarray) -> Any:
            return score_knn(given.features.copy(), bank, k)

        given_read_only(of_bank, "score_knn", bank, what="bank")


def _same(part: Part, got: np.ndarray, want: np.ndarray, known: dict[str, np.ndarray]) -> None:
    """Equal to the formula; otherwise name the known wrong one that it equals."""
    off = float(np.abs(got - want).max())
    named = [slip for slip, values in known.items() if np.allclose(got, values, atol=1e-5)]
    part.expect(
        off < 1e-5,
        f"largest difference from the formula {off:.2g}",
        "below 1e-5",
        "rounding only, below 1e-12",
        named[0] if named else "Compare your formula with the one in the text, on one row.",
    )


# --- a threshold on a score -----------------------------------------------------------


class Threshold:
    """The student's choice of a threshold, and what is wrong with it as a whole.

    Honest scores lie close below a highest one, with a long tail downwards, and are spread evenly
    over that distribution: a right threshold flags the same share of all that may come, to a
    thousandth.
    """

    def __init__(self, choose: Choose):
        self._choose, self._rng = choose, draws.rng("threshold")
        self.scores, _ = self._honest(100 * int(self._rng.integers(15, 26)))
        self.slip = ""  # found out by `on_given_scores`, and told once

    def _honest(self, n: int, top: float = 0.9) -> tuple[np.ndarray, Callable[[float], float]]:
        """``n`` scores, others each time, and the share of all such scores that lie below."""
        top, scale = top + self._rng.uniform(-0.09, 0.09), self._rng.uniform(0.05, 0.15)
        evenly = (np.arange(n) + self._rng.uniform(0.2, 0.8, n)) / n
        scores = top - scale * (-np.log(evenly)) ** (2 / 3)

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
        whole = [r for r in range(1, 26) if r / 100 * n == r * n // 100]  # not so in binary
        rates = [
            int(rng.choice([r for r in whole if low <= r <= high])) / 100
            for low, high in ((1, 3), (4, 8), (15, 25))
        ]
        shares = [self.flagged(self.scores, rate) for rate in rates]
        ok = all(r - 0.002 <= share <= r + 1e-9 for r, share in zip(rates, shares, strict=True))
        self.slip = "" if ok else self._why(rates, shares)
        part.expect(
            ok,
            ", ".join(f"{share:.3f} flagged" for share in shares),
            f"{', '.join(f'{rate:.3f}' for rate in rates)}, never more",
            "exactly these",
            self.slip,
        )

    def on_fresh_scores(self, part: Part) -> None:
        """All that may come from where the given scores came from, of two kinds of scores."""
        rates, fresh = [], []
        # Rates far from the usual 5 %, and scores that no common threshold fits.
        for top, low, high in ((0.9, 2, 3), (6.0, 8, 11)):
            rates.append(int(self._rng.integers(low, high + 1)) / 100)
            scores, below = self._honest(2_000, top)
            fresh.append(below(self(scores, rates[-1])))
        part.expect(
            all(abs(share - rate) < 0.01 for share, rate in zip(fresh, rates, strict=True)),
            " and ".join(f"{share:.3f}" for share in fresh) + " of new honest users flagged",
            " and ".join(f"{rate:.2f}" for rate in rates) + ", within .01",
            "exactly these",
            self._again("The threshold must follow from the honest scores alone, for any max_fpr."),
        )

    def at_the_edges(self, part: Part) -> None:
        """A share of 0, equal scores, and few scores."""
        rng = self._rng
        none = self.flagged(self.scores, 0.0)
        low = int(rng.integers(4, 9))
        few_equal, rate = np.repeat(rng.uniform([0.1, 0.7], [0.4, 0.9]), [low, 100 - low]), low - 2
        tied = self.flagged(few_equal, rate / 100)
        n, share = FEW[int(rng.integers(len(FEW)))]
        few = round(n * self.flagged(rng.permutation(np.arange(float(n))), share))
        most = int(n * share)
        whole = int(rng.integers(2, 5))  # of ten scores: a share that is a whole number of them
        of_ten = round(10 * self.flagged(rng.permutation(np.arange(10.0)), whole / 10))
        part.expect(
            none == 0 and tied <= rate / 100 and (few, of_ten) == (most, whole),
            f"max_fpr 0: {none:.3f} flagged; ties: {tied:.2f} of at most {rate / 100:.2f}; "
            f"{share:.2f} of {n} scores: {few} flagged; {whole / 10:.1f} of 10: {of_ten} flagged",
            f"0, at most {rate / 100:.2f}, {most} and {whole}",
            "exactly these, with 0.00 for ties",
            self._again(_why_edge(none, tied * 100 > rate, max(few - most, of_ten - whole))),
        )

    # --- advice ---

    def _again(self, advice: str) -> str:
        """What is wrong as a whole is not explained twice, and no other reason is made up."""
        return SAME if self.slip else advice

    def _why(self, rates: list[float], shares: list[float]) -> str:
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
        if all(0 < share - r < 0.002 for r, share in zip(rates, shares, strict=True)):
            return (
                "One or two more are flagged than may be. If 20 may lie below, the threshold is "
                "the score at index 20, as it is: those at indices 0 to 19 are smaller."
            )
        line = self(self.scores, rates[0])
        if line in (round(line, 2), round(line, 3)):
            return "The threshold is rounded, and some scores lie between: return it as it is."
        return (
            "Sort the scores: the threshold is the one that has max_fpr of them below it, and no "
            "distribution is assumed."
        )

    def _follows(self) -> bool:
        """Whether the threshold moves up when all the scores do."""
        return abs(self(self.scores + 1, 0.05) - self(self.scores, 0.05) - 1) < 1e-6


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
