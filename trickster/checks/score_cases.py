"""What lab 3 tries with scores of weirdness.

Each function decides one part of a check. Right answers are computed here a second way, on drawn
inputs; where an answer equals that of a known slip, the slip is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster.checks import draws
from trickster.checks.distributions import given_read_only
from trickster.checks.result import Missed, Part
from trickster.checks.values import array
from trickster.models import softmax

Score = Callable[..., Any]


# --- three scores -------------------------------------------------------------------


class Inputs(NamedTuple):
    """What the scores are asked about, and another order of the rows."""

    logits: np.ndarray
    features: np.ndarray
    bank: np.ndarray
    k: int
    order: np.ndarray


def inputs() -> Inputs:
    """Drawn: 30 to 50 rows, 8 to 12 classes, 10 to 16 features, and a neighbour from 5 to 15.

    Every third row of features points away from the bank: its cosines are negative.
    """
    rng = draws.rng("scores")
    n, d = int(rng.integers(30, 51)), int(rng.integers(10, 17))
    return Inputs(
        rng.normal(0, 3, (n, int(rng.integers(8, 13)))),
        rng.gamma(1.0, 1.0, (n, d)) * np.where(np.arange(n) % 3, 1, -1)[:, None],
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
        "This is the difference to the second largest, not the largest itself.": (
            want - ordered[:, -2]
        ),
        "This is an entropy, not the largest probability.": (p * np.log(p)).sum(axis=1),
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
        low = array(score_energy(logits - 1000), "score_energy", (n,), finite=False)
        if not np.isfinite(low).all():
            raise Missed(
                "score_energy is not finite with logits near -1,000, whose exponentials are all 0: "
                "take out each row's largest logit itself, unclipped, also where it is negative."
            )
        raise Missed(
            "score_energy is not finite where one row's logits are near -1,000 and another's "
            "near +1,000. Take out each row's own largest logit, not the batch's: "
            "max(axis=1, keepdims=True)."
        )
    if float(np.ptp(large)) < 1e-3 < float(np.ptp(want)):
        raise Missed(
            "score_energy gives all rows the same score where their logits are near 1,000: take "
            "out each row's largest logit, and clip nothing."
        )
    _same(part, np.r_[got, large - 1000, mixed - far], np.r_[want, want, want], {
        "The sign is wrong: higher must mean more normal; the score is +log sum exp.": -np.r_[
            want, want + 2000, want + 2 * far
        ],
        "This is the mean of the exponentials, not their sum.": np.r_[want, want, want]
        - np.log(logits.shape[1]),
        "Each row's largest logit was taken out and not added again.": np.r_[
            want - top, want - top - 1000, want - top - far
        ],
    }, np.abs(np.r_[want, want + 1000, want + far]))  # fmt: skip


def knn(part: Part, score_knn: Score, given: Inputs) -> None:
    """The cosine to the first and to another neighbour."""
    features, bank, k = given.features, given.bank, given.k
    got = np.r_[
        array(score_knn(features.copy(), bank.copy(), 1), "score_knn", (len(features),)),
        array(score_knn(features.copy(), bank.copy(), k), "score_knn", (len(features),)),
    ]
    lengths = [np.sqrt(np.square(x).sum(axis=1)) for x in (features, bank)]
    similar = -np.sort(-_cosines(features, bank), axis=1)
    want = np.r_[similar[:, 0], similar[:, k - 1]]
    _same(part, got, want, {
        **_divided_wrongly(features, bank, k),
        "This is a Euclidean distance, not the cosine (the product of rows of length 1).": (
            _at(-np.sqrt(np.maximum(lengths[0][:, None] ** 2 + lengths[1] ** 2
                                    - 2 * features @ bank.T, 0)), k)
        ),
        "This is a distance, 1 - cosine: higher must mean more normal, so return the cosine.": (
            1 - want
        ),
        "This is the mean of the k most similar, not the k-th of them.": np.r_[
            similar[:, 0], similar[:, :k].mean(axis=1)
        ],
        "This is one neighbour too far: the k-th most similar is at index k - 1 in descending "
        "order, and at index -k in ascending order.": np.r_[
            similar[:, 1], similar[:, k]
        ],
        "These are the least similar rows of the bank: sort the other way.": np.r_[
            similar[:, -1], similar[:, -k]
        ],
        "These are among the least similar rows of the bank: the k-th most similar is at index -k "
        "in ascending order.": np.r_[similar[:, -2], similar[:, -k - 1]],
        "This is the nearest neighbour, whatever k is.": np.r_[similar[:, 0], similar[:, 0]],
        "Negative cosines have lost their sign: a row may point away from the bank.": (
            _at(np.abs(similar), k)
        ),
        "Negative cosines have become 0, as if the largest so far began at 0: begin at -1, or sort "
        "all of them.": np.maximum(want, 0),
    })  # fmt: skip
    if part.share:
        _other_banks(part, score_knn, given)


def _divided_wrongly(features: np.ndarray, bank: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Slips in dividing rows by their lengths, and the scores that come of them."""
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in (features, bank)]
    return {
        "Divide each row by its length first: the cosine of two rows lies between -1 and 1.": (
            _at(features @ bank.T, k)
        ),
        "Divide the rows of the bank by their lengths as well: features and bank alike.": (
            _at(features / lengths[0] @ bank.T, k)
        ),
        "Divide the rows of features by their lengths as well: features and bank alike.": (
            _at(features @ (bank / lengths[1]).T, k)
        ),
        "Each row is divided by its own length: norm(axis=1, keepdims=True), not the norm of the "
        "whole array.": _at(features @ bank.T / np.linalg.norm(features) / np.linalg.norm(bank), k),
        "In features, each row is divided by its own length: norm(axis=1, keepdims=True), not the "
        "norm of the whole array.": _at(
            features @ (bank / lengths[1]).T / np.linalg.norm(features), k
        ),
        "In the bank, each row is divided by its own length: norm(axis=1, keepdims=True), not the "
        "norm of the whole array.": _at(
            features / lengths[0] @ bank.T / np.linalg.norm(bank), k
        ),
        "The lengths of columns were taken (axis=0); each row is an input: axis=1.": _at(
            (features / np.linalg.norm(features, axis=0))
            @ (bank / np.linalg.norm(bank, axis=0)).T, k
        ),
    }  # fmt: skip


def _other_banks(part: Part, score_knn: Score, given: Inputs) -> None:
    """Nothing is kept from one bank to the next, of the same size or smaller."""
    features, bank = given.features, given.bank
    for other, k, slip in (
        (bank[:, ::-1], given.k, "With another bank of the same size"),
        (bank[: given.k + 3], given.k, "With another bank, a smaller one,"),
    ):
        want = _at(_cosines(features, other), k)[len(features) :]
        got = array(score_knn(features.copy(), other.copy(), k), "score_knn", want.shape)
        if (off := float(np.abs(got - want).max())) > 1e-5:
            part.miss(
                f"{slip} the scores are wrong by up to {off:.2g}: work with the bank that "
                "score_knn is given, and keep nothing from one call to the next."
            )
            return
    few = bank[: given.k]
    try:
        got = array(score_knn(features.copy(), few.copy(), len(few)), "score_knn", want.shape)
    except (IndexError, ValueError, RuntimeError) as error:
        raise Missed(
            f"With as many rows in the bank as k, score_knn ends with {type(error).__name__}: "
            f"{error}. m >= k is all that is promised: partition at -k, or at k - 1, not at k."
        ) from error
    if float(np.abs(got - _cosines(features, few).min(axis=1)).max()) > 1e-5:
        part.miss("With as many rows in the bank as k, the score is the smallest cosine.")


def _cosines(features: np.ndarray, bank: np.ndarray) -> np.ndarray:
    lengths = [np.linalg.norm(x, axis=1) for x in (features, bank)]
    return features @ bank.T / np.outer(*lengths)


def _at(similar: np.ndarray, k: int) -> np.ndarray:
    """The largest of each row, and then the k-th largest."""
    ordered = -np.sort(-similar, axis=1)
    return np.r_[ordered[:, 0], ordered[:, k - 1]]


def _one_a_row(value: Any, what: str, n: int) -> np.ndarray:
    found = array(value, what)
    if found.shape != (n,):
        raise Missed(
            f"{what} returned shape {found.shape}, not ({n},): one number for each row, axis=1."
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
        gap = np.abs(np.r_[turned - whole[given.order], alone - whole[:1]])
        gaps[name] = float(gap.max()) / max(1.0, float(np.abs(whole).max()))
    worst = max(gaps, key=gaps.get)
    part.expect(
        gaps[worst] < 1e-6,
        f"scores change by up to {gaps[worst]:.2g} ({worst}) when the batch changes",
        "less than 1e-6",
        "rounding only, below 1e-12",
        "A score must not depend on what else is in the batch: no means, lengths or ranks "
        "over all rows.",
    )
    if part.share:
        given_read_only(score_msp, "score_msp", softmax(given.logits))
        given_read_only(score_energy, "score_energy", given.logits, what="logits")
        bank, k = given.bank, given.k
        given_read_only(score_knn, "score_knn", given.features, bank.copy(), k, what="features")

        def of_bank(bank: np.ndarray) -> Any:
            return score_knn(given.features.copy(), bank, k)

        given_read_only(of_bank, "score_knn", bank, what="bank")


def _same(
    part: Part,
    got: np.ndarray,
    want: np.ndarray,
    known: dict[str, np.ndarray],
    size: np.ndarray | float = 0.0,
) -> None:
    """Equal to the formula; otherwise name the known wrong one that it equals.

    Values of some ``size``, about 1,000 for example, may be rounded as float32 rounds them.
    """

    def gap(values: np.ndarray) -> float:
        return float((np.abs(got - values) / np.maximum(size, 1)).max())

    off = gap(want)
    named = [slip for slip, values in known.items() if gap(values) < 1e-5]
    part.expect(
        off < 1e-5,
        f"largest {'relative ' * bool(np.any(size))}difference from the formula {off:.2g}",
        "below 1e-5",
        "rounding only, below 1e-12",
        named[0] if named else "Compare your formula with the one in the text, on a few rows.",
    )
