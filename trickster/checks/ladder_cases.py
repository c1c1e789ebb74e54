"""What lab 4 tries with each rung of the information ladder, and with bent probabilities.

The posteriors are drawn, of all kinds.

Each function decides one part of a check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.checks import draws
from trickster.checks.cases import Case, decide
from trickster.checks.distributions import given_read_only, sums_to_one
from trickster.checks.result import Missed, Part
from trickster.checks.values import array
from trickster.models import softmax

TIED_ROWS = 12  # or a class drawn among two equal ones might be the first each time


def answers(n: int = 200) -> np.ndarray:
    """Posteriors of all kinds, from sure to flat."""
    rng = draws.rng("ladder", "posteriors")
    logits = rng.normal(size=(n, 10)) * rng.uniform(0.1, 6, size=(n, 1))
    return softmax(logits).astype(np.float32)


def one_hot(part: Part, hard_labels: Callable[..., Any], p: np.ndarray) -> None:
    """A 1 at the largest class of each row, also of two equal ones."""
    try:
        found = given_read_only(hard_labels, "hard_labels", p)
    except IndexError as error:
        raise Missed(
            f"hard_labels raised IndexError: {str(error)[:200]}. If you index with the largest "
            "class of each row, that is argmax(axis=1)."
        ) from error
    down = np.zeros(p.shape)
    down[p.argmax(axis=0), np.arange(10)] = 1
    if np.array_equal(found, down) or np.array_equal(found, np.eye(10)[p.argmax(axis=0) % 10]):
        raise Missed(
            f"hard_labels looked down the columns: for each class, which of the {len(p)} rows has "
            "most of it? Asked is each row's largest class: argmax(axis=1)."
        )
    found = array(found, "hard_labels", p.shape)
    if np.array_equal(found, all_winners_marked(p)):
        raise Missed(
            f"Each of the {len(p)} rows has the winning columns of all rows marked: "
            f"{int(found[0].sum())} ones in the first. Index row by row: "
            "answers[np.arange(n), winners] = 1, or np.eye(k)[winners]."
        )
    sums_to_one(found, "One 1 in each row, zeros elsewhere.")
    right = float(np.mean(np.all(found == np.eye(10)[p.argmax(axis=1)], axis=1)))
    rng = draws.rng("ladder", "twins")
    tied = np.concatenate([_tied(rng, 2, 0.4) for _ in range(TIED_ROWS)])
    twins = array(hard_labels(tied.copy()), "hard_labels", tied.shape)
    marked = (twins != 0).sum(axis=1)
    marked = int(marked[marked != 1][0]) if np.any(marked != 1) else 1
    first = bool(twins[np.arange(TIED_ROWS), tied.argmax(axis=1)].all())
    part.expect(
        right == 1 and marked == 1 and first,
        f"{right:.0%} of {len(p)} rows are the one-hot of their largest class; of two equal "
        f"ones {marked} marked" + ("" if first else ", and not always the first"),
        "100 %, and the first one",
        "",
        "argmax(axis=1) gives one class for each row: on ties, the first."
        if right < 1 or not first
        else "Comparing with the maximum marks every equal one: use argmax.",
    )


def _tied(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """One row ``(1, 10)``: ``n`` classes with ``share`` each, and the rest shared by the others."""
    row = np.full(10, (1 - n * share) / (10 - n))
    row[rng.choice(10, n, replace=False)] = share
    return row[None]


def all_winners_marked(p: np.ndarray) -> np.ndarray:
    """The shown bug: every winning column is marked in every row."""
    answers = np.zeros_like(p)
    answers[:, p.argmax(axis=1)] = 1
    return answers


def k_largest(part: Part, top_k: Callable[..., Any], p: np.ndarray) -> None:
    """The k largest of each row, normalised."""
    k = int(draws.rng("ladder", "k").integers(3, 6))
    found = array(given_read_only(top_k, "top_k", p, k), "top_k", p.shape)
    sums_to_one(found, "Divide each row by what is left of it: sum(axis=1, keepdims=True).")
    order = np.argsort(-p, axis=1)[:, :k]
    want = np.zeros(p.shape)
    np.put_along_axis(want, order, np.take_along_axis(p, order, axis=1), axis=1)
    off = float(np.abs(found - want / want.sum(axis=1, keepdims=True)).max())
    largest = np.take_along_axis(found, order[:, :1], axis=1)
    part.expect(
        off < 1e-4,
        f"largest distance from the {k} largest of each row, normalised: {off:.2g}",
        "0",
        "below 1e-6",
        "These are the smallest of each row: argsort goes upwards, so take the last k places, "
        "or sort -posteriors."
        if np.all(largest == 0)
        else _why_not_the_largest(found, want, k),
    )


def _why_not_the_largest(found: np.ndarray, want: np.ndarray, k: int) -> str:
    kept = (found > 0).sum(axis=1)
    if np.array_equal(found > 0, want > 0):
        return (
            "The right classes stay, in other proportions than before: keep their probabilities, "
            "and divide each row by its sum. No softmax, and not the same for all."
        )
    if (kept > k).all():
        return f"More than {k} classes stay in every row: the others become 0."
    if (kept == k - 1).all():
        return f"One class too few stays: {k} places from the end are [:, -{k}:]."
    return f"Sort along axis=1: each row has {k} largest classes of its own."


def ties_and_extremes(part: Part, top_k: Callable[..., Any], p: np.ndarray) -> None:
    """Exactly k classes: with ties, for k = 1 and for all of them."""
    rng = draws.rng("ladder", "ties")
    k, above = int(rng.integers(3, 7)), int(rng.integers(1, 3))
    flat = np.vstack([np.full(10, 0.1), _tied(rng, above, 0.4)])
    kept = (array(top_k(flat.copy(), k), "top_k", (2, 10)) > 0).sum(axis=1).tolist()
    one = array(top_k(p.copy(), 1), "top_k", p.shape)
    ten = array(top_k(p.copy(), 10), "top_k", p.shape)
    plain = int((array(top_k(p.copy(), k), "top_k", p.shape) > 0).sum(axis=1).max())
    ties = (
        "Keeping all that are at least as large as the k-th keeps the ties as well: choose k "
        "places with argsort, not a level."
        if max(kept) > k >= plain
        else "Exactly k classes stay in every row."
    )
    decide(
        part,
        [
            Case(f"classes kept of two rows with ties, k = {k}", kept, [k, k], ties),
            Case(
                "k = 1 is the hard label",
                bool(np.abs(one - np.eye(10)[p.argmax(axis=1)]).max() < 1e-4),
                True,
                "With k = 1 the largest class is left, with all of the probability.",
            ),
            Case(
                "k = 10 changes nothing",
                bool(np.abs(ten - p).max() < 1e-4),
                True,
                "Be careful with slices that end at -k or at 0: they may be empty.",
            ),
        ],
    )


def rounded(part: Part, round_posteriors: Callable[..., Any], p: np.ndarray) -> None:
    """Each row rounded and normalised."""
    for decimals in (1, 2):
        found = given_read_only(round_posteriors, "round_posteriors", p, decimals)
        found = array(found, "round_posteriors", p.shape, finite=False)
        sums_to_one(found, "Rounded parts rarely sum to 1: divide each row by its sum again.")
        want = np.round(p.astype(float), decimals)
        want /= want.sum(axis=1, keepdims=True)
        off = np.abs(found - want).max(axis=1)
        # A probability on the edge between two roundings may go either way.
        edge = np.abs((p.astype(float) * 10**decimals) % 1 - 0.5).min(axis=1) < 1e-3
        off = float(off[~edge].max())
        if off > 1e-4:
            break
    part.expect(
        off < 1e-4,
        f"largest distance from the row rounded to {decimals} places, normalised: {off:.2g}",
        "0",
        "below 1e-6",
        _why_not_rounded(found, p.astype(float), decimals),
    )


def _why_not_rounded(found: np.ndarray, p: np.ndarray, decimals: int) -> str:
    def is_by(rounded: np.ndarray) -> bool:
        sums = rounded.sum(axis=1, keepdims=True)
        some = sums[:, 0] > 0
        return np.allclose(found[some], (rounded / np.where(sums, sums, 1))[some], atol=1e-4)

    if np.allclose(found, p, atol=1e-4):
        return "These are the posteriors as they came, or not rounded at all."
    if is_by(np.floor(p * 10**decimals) / 10**decimals):
        return "This cuts the digits off: np.round goes to the nearest."
    if any(is_by(np.round(p, other)) for other in range(5) if other != decimals):
        return "Another number of places is rounded to: use the argument decimals."
    return (
        "Round each probability to `decimals` places first, then divide each row by its own sum: "
        "sum(axis=1, keepdims=True)."
    )


def rounds_to_nothing(part: Part, round_posteriors: Callable[..., Any]) -> None:
    """A row of which nothing is left becomes its hard label, and no other row does."""
    rng = draws.rng("ladder", "rounds to nothing")
    largest = rng.integers(0, 10, int(rng.integers(4, 9)))
    # Every other row is clear: nothing is left of the vague ones.
    height = np.where(np.arange(len(largest)) % 2, 5.0, rng.uniform(0.3, 1.5, len(largest)))
    p = softmax(height[:, None] * np.eye(10)[largest])
    found = array(round_posteriors(p.copy(), 0), "round_posteriors", p.shape, finite=False)
    left = np.round(p, 0).sum(axis=1) > 0
    sums_to_one(found[left], "Divide each row by its own sum: sum(axis=1, keepdims=True).")
    sums_to_one(found, "Nothing is left of such a row, and 0 / 0 is NaN: give its hard label.")
    part.expect(
        bool(np.allclose(found, np.eye(10)[largest])),
        f"largest classes of {len(p)} rows {found.argmax(axis=1).tolist()}, with "
        f"{found.max(axis=1).round(2).tolist()}",
        f"{largest.tolist()}, each with 1.0",
        "",
        "A row of which nothing is left becomes its hard label.",
    )
    if part.share == 1:
        _clear_beside_vague(round_posteriors, rng)


def _clear_beside_vague(round_posteriors: Callable[..., Any], rng: np.random.Generator) -> None:
    """Of 30 classes, one row rounds to nothing and another does not: only the first is replaced."""
    p = np.full((2, 30), 1 / 30)
    first, second = rng.choice(30, 2, replace=False)
    p[1] = 0.6 * np.eye(30)[first] + 0.4 * np.eye(30)[second]
    try:
        found = round_posteriors(p.copy(), 1)
    except (IndexError, ValueError) as error:
        raise Missed(
            f"In a batch of 30 classes, round_posteriors raised {type(error).__name__}: "
            f"{str(error)[:200]}. Take the number of classes from the posteriors, p.shape[1]."
        ) from error
    found = array(found, "round_posteriors", p.shape, finite=False)
    sums_to_one(found, "Nothing is left of such a row, and 0 / 0 is NaN: give its hard label.")
    if not np.allclose(found[1], p[1], atol=1e-4):
        raise Missed(
            "In one batch of 30 classes, a row of which rounding leaves nothing and a row with "
            f".6, .4 and zeros: the second came back with {found[1, [first, second]].round(2)} "
            "instead of .6 and .4. Give a hard label to the empty rows only, not to all."
        )


# --- reverse sigmoid ------------------------------------------------------------------

SMALL = 1e-9  # as near to 0 and 1 as a probability comes before its logit is taken


def _bent(y: np.ndarray, beta: float, gamma: float, what: str = "") -> np.ndarray:
    """Reverse sigmoid by its tangent; ``what`` names a slip."""
    y = np.clip(y.astype(float), SMALL, 1 if what == "float32" else 1 - SMALL)
    with np.errstate(divide="ignore"):  # of 1, the logit is infinite
        logit = np.arctanh(2 * y - 1) * 2
    if what == "log":
        logit = np.log(y)
    if what == "gamma":
        gamma = 1.0
    sign = -1 if what == "sign" else 1
    half = 0.5 if what == "half" else 0.0
    found = np.maximum(y - sign * beta * (np.tanh(gamma * logit / 2) / 2 + half), 0)
    return found / np.maximum(found.sum(axis=1, keepdims=True), SMALL)


def bent(part: Part, reverse_sigmoid: Callable[..., Any], p: np.ndarray) -> None:
    """Each probability by the formula, at least 0, each row divided by its sum."""
    rng = draws.rng("reverse sigmoid")
    p = (p + 1e-5) / (p + 1e-5).sum(axis=1, keepdims=True)  # nothing is near 0 or 1
    off, why = 0.0, ""
    weak = float(rng.uniform(0.6, 1.4)), float(rng.uniform(0.1, 0.4))
    strong = float(rng.uniform(2.5, 3.5)), float(rng.uniform(0.6, 1.0))
    for beta, gamma in (weak, strong):
        found = given_read_only(reverse_sigmoid, "reverse_sigmoid", p, beta, gamma)
        found = array(found, "reverse_sigmoid", p.shape, finite=False)
        if found.min() < -1e-9:
            raise Missed("Some of the answers are negative: np.maximum(..., 0) before the sum.")
        # A slip comes before its consequences: with the wrong sign, a row can be 0 throughout.
        numbers = np.nan_to_num(found)
        off = float(np.abs(numbers - _bent(p, beta, gamma)).max())
        if off > 1e-4:
            why = _slip_of(numbers, p, beta, gamma)
        nothing = int(np.isnan(found).all(axis=1).sum())
        if nothing and off > 1e-4 and not why:
            raise Missed(
                f"{nothing} rows hold NaN: nothing was left of them, and 0 / 0 is NaN. By the "
                "formula, something is left of every row: compare yours with it, on one of them."
            )
        if not why:
            sums_to_one(found, "Divide each row by its sum: sum(axis=1, keepdims=True).")
        if off > 1e-4:
            break
    part.expect(
        off < 1e-4,
        f"largest distance from the formula {off:.2g}, with beta {beta:.2f} and gamma {gamma:.2f}",
        "0",
        "below 1e-6",
        why or "Compare your formula with the one in the text, on one row.",
    )


def _slip_of(found: np.ndarray, p: np.ndarray, beta: float, gamma: float) -> str:
    slips = {
        "These are nearly the posteriors as they came. The sigmoid is taken of gamma times the "
        "logit of y, log(y / (1 - y)), not of y itself.": p,
        "beta and gamma have changed places: beta scales the bend, gamma the logit.": _bent(
            p, gamma, beta
        ),
        "The bend is subtracted: what is above one half shrinks, what is below grows.": _bent(
            p, beta, gamma, "sign"
        ),
        "gamma is missing: it multiplies the logit.": _bent(p, beta, gamma, "gamma"),
        "The logit of y is log(y / (1 - y)); this is log(y).": _bent(p, beta, gamma, "log"),
        "The 1/2 is missing: the bend is the sigmoid less 1/2, so that .5 stays .5.": _bent(
            p, beta, gamma, "half"
        ),
    }
    named = [slip for slip, values in slips.items() if np.allclose(found, values, atol=2e-3)]
    return named[0] if named else ""


def bent_edges(part: Part, reverse_sigmoid: Callable[..., Any], formula: bool) -> None:
    """Rows of 0 and 1, in float32 as the service sends them; is the ``formula`` right elsewhere?"""
    rng = draws.rng("reverse sigmoid", "edges")
    beta, gamma = float(rng.uniform(0.6, 1.4)), float(rng.uniform(0.05, 0.15))
    p = np.eye(10)[rng.permutation(10)[:6]].astype(np.float32)
    two = rng.permutation(10)[:2]
    p[0] = 0
    p[0, two] = 0.75, 0.25
    found = array(reverse_sigmoid(p.copy(), beta, gamma), "reverse_sigmoid", p.shape, finite=False)
    in_float32 = formula and np.allclose(found, _bent(p, beta, gamma, "float32"), atol=1e-3)
    if formula and (in_float32 or not np.isfinite(found).all()):
        raise Missed(
            "0 and 1 have no logit, and in float32 1 - 1e-9 is 1: clip p.astype(float) to 1e-9 "
            "and 1 - 1e-9 first."
        )
    off = float(np.abs(np.nan_to_num(found) - _bent(p, beta, gamma)).max())
    part.expect(
        off < 1e-3,
        f"largest distance from the formula {off:.2g} in {len(p)} rows of zeros and ones",
        "0",
        "below 1e-6",
        "The formula comes first, see above."
        if not formula
        else _slip_of(found, p, beta, gamma)
        or "Move 0 and 1 to 1e-9 and 1 - 1e-9 before the logit is taken, no further.",
    )
