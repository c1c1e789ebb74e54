"""What lab 1 tries with the expected calibration error: drawn answers whose error is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trickster.checks import draws, fixtures

BINS = (8, 21)  # from the smallest to below the largest number that is tried
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


def edges() -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """Cases at the edges: a name, answers, their classes, and the error."""
    rng = draws.rng("edges of calibration")
    k, n = int(rng.integers(3, 7)), int(rng.integers(4, 9))
    sure, truth = np.ones(n), np.ones(n, dtype=bool)
    cases = [
        ("always sure and right", *_answers(sure, truth, k, rng), 0.0),
        ("always sure and wrong", *_answers(sure, ~truth, k, rng), 1.0),
    ]
    confidence = int(rng.integers(61, 99)) / 100
    one = _answers(np.array([confidence]), np.array([True]), 2, rng)
    cases.append(("one answer", *one, round(1 - confidence, 2)))
    for place in rng.permutation(len(cases)):
        yield cases[place]


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
    for words, value in _wrong_formulas(posteriors, y, bins):
        if abs(got - value) < 1e-5:
            return words
    return (
        "In each bin: |share of right answers - mean confidence|, weighted by the share of all "
        "answers that fall into the bin."
    )


def _wrong_formulas(
    posteriors: np.ndarray, y: np.ndarray, bins: int
) -> Iterator[tuple[str, float]]:
    confidence = posteriors.max(axis=1).astype(float)
    right = (posteriors.argmax(axis=1) == y).astype(float)
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    full = [bin_of == b for b in range(bins) if (bin_of == b).any()]
    gaps = np.array([right[inside].mean() - confidence[inside].mean() for inside in full])
    signed = float(sum(gap * inside.mean() for gap, inside in zip(gaps, full, strict=True)))
    truth = posteriors[np.arange(len(y)), y]
    cancel = "Gaps of different sign cancel: take |accuracy - confidence| in each bin."
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
