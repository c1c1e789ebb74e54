"""What lab 1 tries with the expected calibration error: drawn answers whose error is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trickster.checks import draws, fixtures

BINS = (8, 21)  # from the smallest to below the largest number that is tried
ONE, BETWEEN = "one answer", "one answer between two bins"
FORMULA = (
    "In each bin: |share of right answers - mean confidence|, weighted by the share of all "
    "answers that fall into the bin."
)
NEAR = 1e-5  # answers as near to the edge of a bin are left out: a rounding error would move them


def by_hand() -> tuple[np.ndarray, np.ndarray, str, float]:
    """Answers of two confidences, with their classes, for two bins; the formula, and the error.

    Drawn until no usual mistake gives about the same number.
    """
    rng = draws.rng("calibration by hand")
    while True:
        posteriors, y, formula, want = _two_confidences(rng)
        if all(abs(wrong - want) > 0.01 for _, wrong in _wrong_formulas(posteriors, y, 2)):
            return posteriors, y, formula, want


def _two_confidences(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str, float]:
    """One half too sure of itself, the other not sure enough."""
    low, high = int(rng.integers(36, 46)) / 100, int(rng.integers(66, 96)) / 100
    n_low, n_high = (int(n) for n in rng.choice([3, 4, 5, 6], 2, replace=False))
    right_low, right_high = (n_low - 1, n_high // 3) if rng.integers(2) else (0, n_high)
    confidence = np.repeat([low, high], [n_low, n_high])
    right = np.concatenate([np.arange(n_low) < right_low, np.arange(n_high) < right_high])
    order = rng.permutation(len(right))
    posteriors, y = _answers(confidence[order], right[order], 3, rng)
    n = n_low + n_high
    want = abs(right_low - n_low * low) / n + abs(right_high - n_high * high) / n
    formula = (
        f"{n_low}/{n} · |{right_low}/{n_low} - {low:g}| + "
        f"{n_high}/{n} · |{right_high}/{n_high} - {high:g}|"
    )
    return posteriors, y, formula, want


def of_the_victim() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Twice: a number of bins, the victim's answers to honest pictures, and their classes."""
    rng = draws.rng("calibration of the victim")
    honest = fixtures.honest_pictures()
    posteriors = fixtures.victim().posteriors(honest.x[:2_000])
    confidence = posteriors.max(axis=1).astype(float)
    for bins in (int(n) for n in rng.choice(np.arange(*BINS), 2, replace=False)):
        place = confidence * bins
        clear = (np.abs(place - np.round(place)) > NEAR * bins) | (confidence == 1)
        yield bins, posteriors[clear], honest.y[:2_000][clear]


class Edge(NamedTuple):
    """A case at the edges: its name, answers, their classes, the error, and how many bins."""

    name: str
    posteriors: np.ndarray
    y: np.ndarray
    want: float
    bins: int = 15


def edges() -> Iterator[Edge]:
    """The cases, in a drawn order."""
    rng = draws.rng("edges of calibration")
    k, n = int(rng.integers(3, 7)), int(rng.integers(4, 9))
    sure, truth = np.ones(n), np.ones(n, dtype=bool)
    cases = [
        Edge("always sure and right", *_answers(sure, truth, k, rng), 0.0),
        Edge("always sure and wrong", *_answers(sure, ~truth, k, rng), 1.0),
    ]
    confidence = int(rng.integers(61, 99)) / 100
    one = _answers(np.array([confidence]), np.array([True]), 2, rng)
    cases.append(Edge(ONE, *one, round(1 - confidence, 2)))
    yield from (cases[place] for place in rng.permutation(len(cases)))
    yield _between_two_bins()


def _between_two_bins() -> Edge:
    """One answer at the upper edge of a bin, which is the lower edge of the next, without rounding.

    Into which of the two it goes makes no difference to the error.
    """
    rng = draws.rng("calibration between two bins")
    confidence, bins, k = rng.choice([0.5, 0.75]), int(rng.choice([4, 8])), int(rng.integers(3, 7))
    posteriors, y = _answers(np.array([confidence]), np.array([True]), k, rng)
    name = f"{BETWEEN} ({confidence:g}, with {bins} bins)"
    return Edge(name, posteriors, y, 1 - confidence, bins)


def which_edges(found: list[tuple[Edge, float]]) -> str:
    """Name what usually gives these errors at the edges."""
    slips = [dict(_slips(edge.posteriors, edge.y, edge.bins)) for edge, _ in found]
    for words in slips[0]:
        if all(_close(got, values[words]) for values, (_, got) in zip(slips, found, strict=True)):
            return words
    missed = {
        edge.name: got / edge.want if edge.want else got
        for edge, got in found
        if not _close(got, edge.want)
    }
    if min(missed.values()) < -1e-6:
        return "A gap has no sign: take |accuracy - confidence|."
    shares = {round(share, 6) for share in missed.values()}
    at_an_edge = [edge.name for edge, _ in found if 0 < edge.want < 1 and _at_an_edge(edge)]
    if set(missed) == set(at_an_edge) and shares in ({0}, {2}):
        return (
            f"An answer between two bins is counted in {'both' if 2 in shares else 'neither'}: "
            "close each bin at one end only, as in (low, high]."
        )
    if ONE in missed:
        return FORMULA
    return (
        "A confidence of exactly 1 belongs to the last bin; empty bins count nothing (and must "
        "not divide by zero)."
    )


def _at_an_edge(edge: Edge) -> bool:
    place = edge.posteriors.max() * edge.bins
    return abs(place - round(place)) < 1e-9


def _answers(
    confidence: np.ndarray, right: np.ndarray, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors ``(n, k)`` of these confidences, and classes: theirs where they are right."""
    said = rng.integers(k, size=len(confidence))
    posteriors = np.repeat(((1 - confidence) / (k - 1))[:, None], k, axis=1)
    posteriors[np.arange(len(said)), said] = confidence
    return posteriors, np.where(right, said, (said + rng.integers(1, k, len(said))) % k)


def which_formula(got: float, posteriors: np.ndarray, y: np.ndarray, bins: int) -> str:
    """Name the usual wrong formulas by computing them."""
    for formulas in (_wrong_formulas, _slips, _with_other_bins):
        for words, value in formulas(posteriors, y, bins):
            if _close(got, value):
                return words
    return FORMULA


def _close(got: float, value: float) -> bool:
    return abs(got - value) < 1e-5 * max(1.0, abs(value))


class _Bins:
    """Which answers fall into each bin that has any, and the gaps between the means of these."""

    def __init__(self, posteriors: np.ndarray, y: np.ndarray, bins: int):
        self.confidence = posteriors.max(axis=1).astype(float)
        self.right = (posteriors.argmax(axis=1) == y).astype(float)
        bin_of = np.clip(np.ceil(self.confidence * bins).astype(int) - 1, 0, bins - 1)
        self.full = [bin_of == b for b in range(bins) if (bin_of == b).any()]
        self.shares = np.array([inside.mean() for inside in self.full])
        self.accuracies = np.array([self.right[inside].mean() for inside in self.full])
        self.centres = np.array([(bin_of[inside][0] + 0.5) / bins for inside in self.full])
        self.gaps = self.accuracies - [self.confidence[inside].mean() for inside in self.full]

    def error(self) -> float:
        return float(self.shares @ np.abs(self.gaps))


def _slips(posteriors: np.ndarray, y: np.ndarray, bins: int) -> Iterator[tuple[str, float]]:
    """Wrong formulas besides those that a drawn answer must tell from the right one."""
    found = _Bins(posteriors, y, bins)
    sizes, error = np.abs(found.gaps), found.error()
    confidences = found.accuracies - found.gaps
    yield "Yours is in per cent: accuracy and confidence are shares, from 0 to 1.", 100 * error
    yield (
        "The gaps are squared in yours: take |accuracy - confidence|.",
        float(found.shares @ sizes**2),
    )
    yield (
        "In yours a bin's confidence is its centre: take the mean confidence of the answers in it.",
        float(found.shares @ np.abs(found.accuracies - found.centres)),
    )
    yield (
        "The gap is taken for each answer alone: take the means of a bin first.",
        float(np.abs(found.right - found.confidence).mean()),
    )
    yield (
        "The number of answers in each bin is not divided by the number of all answers.",
        error * len(y),
    )
    yield (
        "Each bin counts the same in yours, empty ones too: weight it by its share of the answers.",
        float(sizes.sum() / bins),
    )
    yield (
        "The accuracy is the share of right answers; yours is that of wrong ones.",
        float(found.shares @ np.abs(1 - found.accuracies - confidences)),
    )


def _with_other_bins(
    posteriors: np.ndarray, y: np.ndarray, bins: int
) -> Iterator[tuple[str, float]]:
    for other in sorted({10, 15, 20, bins - 1, bins + 1} - {bins, 1}):
        yield (
            f"This is the error with {other} bins, not with {bins}: is the argument bins ignored, "
            "or is there one bin too few or too many?",
            _Bins(posteriors, y, other).error(),
        )


def _wrong_formulas(
    posteriors: np.ndarray, y: np.ndarray, bins: int
) -> Iterator[tuple[str, float]]:
    found = _Bins(posteriors, y, bins)
    confidence, right, full, gaps = found.confidence, found.right, found.full, found.gaps
    signed = float(sum(gap * inside.mean() for gap, inside in zip(gaps, full, strict=True)))
    truth = posteriors[np.arange(len(y)), y]
    cancel = "Gaps of different sign cancel: take |accuracy - confidence| in each bin."
    if bins == 2:  # one bin in place of two gives the same
        cancel += " (Or is there one bin too few?)"
    yield (
        "Each bin counts the same in yours: weight it by its share of the answers.",
        float(np.abs(gaps).mean()),
    )
    yield (
        "This is the largest gap (the maximum calibration error): take the weighted mean.",
        float(np.abs(gaps).max()),
    )
    yield cancel, signed
    yield cancel, -signed
    yield (
        "All answers went into one bin: sort them by confidence first.",
        float(abs(right.mean() - confidence.mean())),
    )
    yield (
        "Confidence is the largest probability of a row, not that of the true class.",
        float(abs(right.mean() - truth.mean())),
    )
