"""What lab 3 tries with noisy answers and with wrong ones, on drawn posteriors of all kinds.

Each function decides one part of a check, or measures what several parts need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.checks import draws
from trickster.checks.distributions import distributions, given_read_only
from trickster.checks.result import Missed, NotMeasured, Part
from trickster.checks.values import array
from trickster.models import softmax

ROWS = 5_000  # of each of two questions, or more: 0.1 sigma is six standard errors of a mean
RARE = 7e-5, 8e-5  # the smallest probability: that of a real answer is often smaller still
CLASSES = 10

Answer = Callable[..., Any]  # posteriors (n, k), and perhaps more → posteriors (n, k)


# --- zero-mean noise ----------------------------------------------------------------


def _question(rng: np.random.Generator) -> np.ndarray:
    """Two questions in turn ``(n, k)``; the second has one class that is hardly possible."""
    p = softmax(rng.uniform(-1.5, 1.5, (2, int(rng.integers(5, 9)))))
    rare, unlikely = int(rng.integers(p.shape[1])), float(rng.uniform(*RARE))
    p[1] *= (1 - unlikely) / (1 - p[1, rare])
    p[1, rare] = unlikely
    return np.tile(p, (ROWS + int(rng.integers(0, 250)), 1))


def fresh_noise(part: Part, noise: Answer) -> None:
    """Another draw for each row, the same from the same generator, others from another."""
    rng = draws.rng("noise", "fresh")
    clean, sigma, seed = _question(rng), float(rng.uniform(1.5, 2.5)), draws.seed("noise", "fresh")
    got, again, other = (
        distributions(noise(clean.copy(), sigma, np.random.default_rng(s)), "It", *clean.shape)
        for s in (seed, seed, seed + 1)
    )
    different, repeats = len(np.unique(got.round(9), axis=0)), np.array_equal(got, again)
    follows = not np.array_equal(got, other)
    part.expect(
        repeats and follows and different > 0.97 * len(clean),
        f"{different:,} different answers to {len(clean):,} questions; "
        f"the same generator repeats them: {repeats}; another gives others: {follows}",
        "a fresh draw for each row, the same from the same generator, others from another",
        "as many as questions, True and True",
        "Draw an array of the posteriors' shape from rng, and from nothing else. Noise on the "
        "logits needs no clipping: the softmax takes care of the range.",
    )
    if part.share:
        given_read_only(noise, "zero_mean_noise", clean, sigma, np.random.default_rng(seed))


def normal_noise(part: Part, noise: Answer) -> None:
    """On the logits, with mean 0 and deviation sigma, for a large sigma and for a small one."""
    rng = draws.rng("noise", "normal")
    clean, seed = _question(rng), draws.seed("noise", "normal")
    sigmas = float(rng.uniform(1.5, 2.5)), float(rng.uniform(0.3, 0.6))
    shifts, spreads, tails = [], [], 0.0
    for sigma in sigmas:
        got = distributions(
            noise(clean.copy(), sigma, np.random.default_rng(seed)), "It", *clean.shape
        )
        logs = np.log(np.maximum(got, 1e-300)) - np.log(clean)
        shift = (logs - logs[:, :1])[:, 1:]  # differences of logits: free of the normaliser
        two = np.stack([logs[0::2], logs[1::2]]).mean(axis=1)  # one row for each question
        shifts.append((two - np.median(two, axis=1, keepdims=True)) / sigma)
        # Column by column and question by question: what all rows share is no noise.
        noise_alone = np.stack([shift[0::2], shift[1::2]])
        noise_alone -= noise_alone.mean(axis=1, keepdims=True)
        spreads.append(float(np.sqrt(np.mean(noise_alone**2) / 2)) / sigma)
        tails = max(tails, _excess(noise_alone), key=abs)
    means = [float(shift.flat[np.abs(shift).argmax()]) for shift in shifts]
    part.expect(
        all(abs(mean) < 0.1 for mean in means)
        and all(0.93 < spread < 1.07 for spread in spreads)
        and abs(tails) < 0.3,
        f"for sigma {sigmas[0]:.2f} and {sigmas[1]:.2f}: mean over sigma {means[0]:+.2f} and "
        f"{means[1]:+.2f}; deviation over sigma {spreads[0]:.2f} and {spreads[1]:.2f}; excess "
        f"kurtosis {tails:.2f}",
        "mean within 0.1 sigma of 0, deviation within 7 % of sigma, and normally distributed",
        "0.00, 1.00 and 0.0",
        _slip_of_logits(clean[:2], shifts[1] * sigmas[1])
        or _why_other_noise(sigmas, means, spreads, tails),
    )


def _excess(values: np.ndarray) -> float:
    """Excess kurtosis: 0 for normal values, -0.6 for differences of uniform ones."""
    standard = (values - values.mean()) / max(float(values.std()), 1e-12)
    return float(np.mean(standard**4)) - 3


def _slip_of_logits(p: np.ndarray, off: np.ndarray) -> str:
    """What mean logits, ``off`` from those of two questions ``p (2, k)``, tell; "" for nothing."""
    logits = np.log(p)
    found, right = (x - x.mean(axis=1, keepdims=True) for x in (logits + off, logits))
    if np.abs(found[0] - found[1]).max() < 0.1:
        if np.abs(found).max() < 0.1:
            return ""  # no class is likelier than another: not these logits at all
        return (
            "Two different questions get noise on the same logits, as if one row were taken for "
            "all: take the logarithm of the whole array, and of each row its own softmax."
        )
    times = float((found * right).sum() / np.square(right).sum())
    if abs(times - 1) > 0.02 and np.abs(found - times * right).max() < 0.1:
        return (
            f"Without the noise, your logits are {times:.2f} times log(posteriors): take np.log, "
            "the natural logarithm, and multiply it by nothing."
        )
    raised = off > 0.1
    if raised.any() and np.abs(off[~raised]).max() < 0.1 and p[raised].max() < p[~raised].min():
        return (
            f"Small probabilities, such as {p.min():.1g}, are changed before the logarithm: clip "
            "at 1e-12 or so, which only keeps the logarithm of 0 away."
        )
    return ""


def _why_other_noise(
    sigmas: tuple[float, ...], means: list[float], spreads: list[float], tails: float
) -> str:
    """What means and deviations, over sigma, tell of the noise."""
    scaled = max(map(abs, means)) < 0.1 and np.isclose(*spreads, rtol=0.05)
    if max(spreads) < 0.05:
        return (
            "All rows carry the same noise, or none: draw rng.normal(0, sigma, posteriors.shape)."
        )
    if np.isclose(spreads[0] * sigmas[0], spreads[1] * sigmas[1], rtol=0.05):
        return (
            f"The deviation is {spreads[0] * sigmas[0]:.2f} for both sigmas: sigma is ignored. "
            "rng.normal(0, sigma, size) follows it."
        )
    if np.allclose(spreads, 1 / np.sqrt(sigmas), rtol=0.07):
        return "The deviation is the root of sigma: rng.normal wants the deviation itself, sigma."
    if np.allclose(spreads, sigmas, rtol=0.07):
        return (
            "The deviation is sigma**2, the variance: rng.normal wants the deviation itself, sigma."
        )
    if scaled and abs(tails) >= 0.3:
        uniform = " (uniform noise from -sigma to sigma has a deviation of .58 sigma)"
        return (
            f"The noise is not normally distributed{uniform if tails < 0 else ''}: draw it with "
            "rng.normal(0, sigma, size)."
        )
    if scaled:
        return (
            f"The noise is normal, with a deviation of {spreads[0]:.2f} sigma in place of sigma: "
            "rng.normal(0, sigma, size) has the right one."
        )
    return (
        "The logits are log(posteriors), up to a constant that softmax ignores: add the noise "
        "to them, rng.normal(0, sigma, size), not to the probabilities, and take the softmax of "
        "the sum. Or small probabilities are changed before the logarithm."
    )


# --- misinformation -----------------------------------------------------------------


def posteriors() -> np.ndarray:
    """Posteriors ``(n, 10)`` from flat to saturated, with every class on top, and with ties."""
    rng = draws.rng("misinform", "posteriors")
    n = int(rng.integers(700, 900))
    logits = rng.normal(size=(n, CLASSES)) * rng.uniform(0.3, 12, size=(n, 1))
    a, b = rng.choice(CLASSES, 2, replace=False)
    edge = np.stack([np.eye(CLASSES)[a], np.full(CLASSES, 1 / CLASSES), np.eye(CLASSES)[a] / 2])
    edge[2, b] = 0.5
    p = np.concatenate([softmax(logits), edge]).astype(np.float32)
    return p[rng.permutation(len(p))]


def wrong_answers(p: np.ndarray, misinform: Answer) -> np.ndarray:
    """What ``misinform`` gives; raises :class:`Missed` where that is no distributions."""
    found = array(misinform(p.copy()), "misinform", p.shape)
    if np.abs(found.sum(axis=1) - 1).max() > 1e-3:
        _say_why_no_distributions(p, found)
    return distributions(found, "misinform", *p.shape)


def _say_why_no_distributions(p: np.ndarray, found: np.ndarray) -> None:
    """Raises :class:`Missed` where the slip is a known one."""
    lost = np.sort(p, axis=1)
    lost[:, -1] = lost[:, 0]  # the largest is overwritten before it is read
    if np.allclose(np.sort(found, axis=1), np.sort(lost, axis=1), atol=1e-6):
        raise Missed(
            "misinform loses the largest probability and has the smallest twice: `wrong = "
            "posteriors` makes no copy, so one line overwrites what the next one reads. Begin "
            "with posteriors.copy(), and read from posteriors."
        )
    rows, columns = np.array(p), (p.argmax(axis=1), p.argmin(axis=1))
    rows[:, columns[0]], rows[:, columns[1]] = p[:, columns[1]], p[:, columns[0]]
    if np.allclose(found, rows, atol=1e-6):
        raise Missed(
            "misinform writes each row's places into all rows: wrong[:, top] takes whole columns. "
            "Index row by row: wrong[np.arange(n), top]."
        )
    if np.allclose(np.sort(found, axis=None), np.sort(p, axis=None), atol=1e-6):
        raise Missed(
            "misinform moves numbers from one row to the next: without axis=1, np.roll and the "
            "like go through the whole array."
        )


def another_class(part: Part, p: np.ndarray, found: np.ndarray, misinform: Answer) -> float:
    """Another class on top in every row that has a clear one, and not the same for everybody.

    Most of the rows earn half of the points. Returns the share of the points.
    """
    ordered = np.sort(p, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 1e-6
    top, given = p.argmax(axis=1)[clear], found.argmax(axis=1)[clear]
    same, classes = float(np.mean(given == top)), len(np.unique(given))
    most = 0.5 if same < 0.5 and classes >= 5 else 0.0
    sure, usual = float(found.max(axis=1).mean()), float(p.max(axis=1).mean())
    shows = (
        f"; the largest probability is {sure:.2f} on average, and {usual:.2f} in true answers, "
        "which shows at a glance but costs no points here"
        if sure < usual / 2
        else ""
    )
    part.award(
        1.0 if same == 0 and classes >= 5 else most,
        f"{same:.1%} of the rows still name the true class; {classes} classes are named in all"
        + shows,
        "0.0%, and at least 5 classes",
        "0.0%, and 8 to 10",
        "" if same == 0 and classes >= 5 else _why_right(p, found, clear, misinform),
    )
    return part.share


def must_mislead(misled: float) -> None:
    """Answers that mislead nobody earn nothing by being the same when asked again."""
    if misled == 0:
        raise NotMeasured("nobody is misled yet, see above.")


def _why_right(p: np.ndarray, found: np.ndarray, clear: np.ndarray, misinform: Answer) -> str:
    """How answers come to name the true class in ``clear`` rows, or few classes for everybody."""
    top, given = p.argmax(axis=1)[clear], found.argmax(axis=1)[clear]
    if float(np.ptp(found, axis=1).max()) < 1e-6:
        return (
            "All classes get the same probability, which shows at a glance and misleads nobody: "
            "another class must be on top, and look as sure as the true one did."
        )
    steps = np.diff(found, axis=1)
    same = np.allclose(np.sort(found, axis=1), np.sort(p, axis=1), atol=1e-6)
    if same and ((steps >= 0).all() or (steps <= 0).all()):
        return (
            "Each row comes back sorted, with its classes forgotten: hand the numbers to classes, "
            "np.put_along_axis(wrong, order, numbers, axis=1)."
        )
    if 1 < (classes := len(np.unique(given))) < 5:
        return (
            f"Only {classes} classes come on top: at least five, over all rows. Let the answer "
            "follow the posteriors."
        )
    if classes == 1:
        return (
            "Everybody gets the same class, which shows at a glance, and is right for some: the "
            "answer must follow the posteriors."
        )
    if np.mean(given == top) > 0.95:
        return (
            "Noise that keeps the largest class teaches a hard-label thief everything: "
            "another class must be on top."
        )
    kept = sorted(set(top[given == top].tolist()))
    if np.array_equal(np.isin(top, kept), given == top):
        return (
            f"The classes {kept} stay where they are, whenever they are on top: a permutation of "
            "the classes must move every one of them."
        )
    rows = {tuple(row) for row in p.astype(float).round(5).tolist()}
    if all(tuple(row) in rows for row in found[found.max(axis=1) < 0.9].round(5).tolist()):
        return (
            "Whole rows have changed places, so that one customer gets another's answer: move the "
            "probabilities within each row, axis=1."
        )
    if np.array_equal(found, wrong_answers(p[::-1], misinform)[::-1]):
        surest = p.max(axis=1)[clear]
        right, wrong = surest[given == top], surest[given != top]
        above = float(np.mean(right[:, None] > wrong))
        if max(above, 1 - above) > 0.95:
            which = "most" if above > 0.5 else "least"
            return (
                f"The rows that keep their largest class are the {which} sure ones: mislead about "
                "every row, whatever its largest probability is, and do not mix the truth in."
            )
        return (
            "The same rows keep their largest class each time: what the others get is not large "
            "enough there. Do not mix the truth in, and look at one such row."
        )
    return (
        "Some rows keep their largest class by chance. Nothing may be drawn at random: give the "
        "largest probability to a class that the row itself decides, and that is another one."
    )


def same_again(part: Part, p: np.ndarray, misinform: Answer) -> None:
    """The same answers again, in another order, beside fewer rows, and alone."""
    rng = draws.rng("misinform", "order")
    everything = np.arange(len(p))
    order = rng.permutation(len(p))
    some = rng.choice(len(p), 25, replace=False)
    whole = wrong_answers(p, misinform)

    def gap(*requests: np.ndarray) -> float:
        """How far answers to these requests, each some rows of ``p``, are from the first ones."""
        return max(float(np.abs(wrong_answers(p[r], misinform) - whole[r]).max()) for r in requests)

    gaps = {
        "asked again": gap(everything),
        "in another order": gap(order),
        "in parts": gap(*np.split(order, np.sort(rng.choice(len(p), 3, replace=False)) + 1)[:-1]),
        "alone": gap(*some[:, None]),
    }
    part.expect(
        max(gaps.values()) < 1e-5,
        ", ".join(f"{name}: changed by {gap:.2g}" for name, gap in gaps.items()),
        "below 1e-05",
        "0, or about 1e-7",
        "Answers change when asked again: whoever repeats a question and averages gets the truth. "
        "Draw nothing at random."
        if gaps["asked again"] >= 1e-5
        else "An answer depends on its place or its neighbours in the batch, as one that a seeded "
        "generator draws does: decide for each input by itself.",
    )
