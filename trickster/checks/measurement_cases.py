"""What lab 2 tries with a measurement: fidelity, and the interval of many runs.

Each function with a ``part`` decides it; the others draw what several parts need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trickster.checks import clone_cases, draws, fixtures
from trickster.checks.result import Missed, Part
from trickster.checks.values import number

# --- exercise 3 --------------------------------------------------------------------


class Answered(NamedTuple):
    """Pictures ``(n, 1, 28, 28)``, and what a victim and a clone call them ``(n,)``."""

    x: np.ndarray
    victim: np.ndarray
    clone: np.ndarray


def answered() -> Answered:
    """Honest pictures, on two thirds of which or so both have drawn the same class."""
    rng, x = draws.rng("fidelity"), clone_cases.honest_pictures(0)
    victim = rng.integers(10, size=len(x))
    same = rng.random(len(x)) < rng.uniform(0.6, 0.75)
    return Answered(x, victim, np.where(same, victim, (victim + rng.integers(1, 10)) % 10))


class _Asked:
    """Answers by picture, in whatever batches it is asked; with probabilities of its own."""

    def __init__(self, x: np.ndarray, labels: np.ndarray, confidence: float):
        self._labels = {_levels(one): label for one, label in zip(x, labels, strict=True)}
        self._confidence = confidence

    def __call__(self, x: np.ndarray) -> np.ndarray:
        known = [self._labels.get(_levels(one)) for one in np.asarray(x)]
        if None in known:
            raise ValueError("fidelity asked about pictures that it was not given.")
        eye = np.eye(10, dtype=np.float32)[np.array(known, dtype=int)]
        return eye * self._confidence + (1 - self._confidence) / 10


def _levels(picture: np.ndarray) -> bytes:
    return np.round(picture * 255).astype(np.uint8).tobytes()


def _both(drawn: Answered) -> tuple[_Asked, _Asked]:
    """The clone and the victim: only their classes can agree, not their probabilities."""
    return _Asked(drawn.x, drawn.clone, 0.7), _Asked(drawn.x, drawn.victim, 0.5)


def share(part: Part, fidelity: Callable[..., Any], drawn: Answered) -> None:
    """Neither the clone's accuracy nor the victim's, no count and no percentage."""
    (clone, victim), n = _both(drawn), len(drawn.x)
    want = float(np.mean(drawn.clone == drawn.victim))
    got = number(fidelity(clone, victim, drawn.x.copy()), "fidelity")
    listed = fixtures.fashion().y_test[:n]
    means = (
        "The share of pictures on which clone and victim name the same class. The class of a "
        "picture is the largest number of its row: argmax(axis=1)."
    )
    if abs(got - float(np.mean(drawn.clone == listed))) < 1e-6:
        means = (
            "The clone was compared with the labels of the test set, as for its accuracy. Fidelity "
            "compares it with the victim, mistakes included: the truth plays no part."
        )
    elif abs(got - float(np.mean(drawn.victim == listed))) < 1e-6:
        means = (
            "The victim was compared with the labels of the test set, as for its accuracy: the "
            "clone plays no part in it."
        )
    elif abs(got - want * n) < 0.5:
        means = "This counts the pictures: divide by how many there are."
    elif abs(got - want * 100) < 1e-3:
        means = "This is a percentage, not a share from 0 to 1."
    part.expect(abs(got - want) < 1e-6, f"{got:.4f} on {n:,} pictures", f"{want:.4f}", "", means)


def fewer(part: Part, fidelity: Callable[..., Any], drawn: Answered) -> None:
    """On some of the pictures, and of the victim with itself."""
    rng = draws.rng("fidelity", "fewer")
    chosen = rng.permutation(len(drawn.x))[: rng.integers(150, 250)]
    some = Answered(*(values[chosen] for values in drawn))
    clone, victim = _both(some)
    want = float(np.mean(some.clone == some.victim))
    got = number(fidelity(clone, victim, some.x.copy()), "fidelity")
    twin = number(fidelity(victim, victim, some.x.copy()), "fidelity")
    part.expect(
        abs(got - want) < 1e-6 and abs(twin - 1) < 1e-6,
        f"{got:.4f} on {len(chosen)} pictures, and {twin:.4f} for the victim itself",
        f"{want:.4f}, and 1",
        "",
        "Ask both about the pictures you are given, and compare the classes: two clones that "
        "name the same class with other probabilities agree.",
    )


# --- exercise 5 --------------------------------------------------------------------

N_RUNS = 20
MEASUREMENTS = (
    *("clone_accuracy", "honest_accuracy", "fidelity", "query_success", "detection_rate"),
    *("false_alarms", "utility", "drop"),
)
Runs = Mapping[int, Mapping[str, float]]
Table = Mapping[str, tuple[float, float, float]]  # name: mean, low, high


def runs() -> dict[int, dict[str, float]]:
    """What twenty seeds measure: two or three things, of different spread."""
    rng = draws.rng("audit")
    names = rng.choice(MEASUREMENTS, 2 + rng.integers(2), replace=False)
    columns = {
        str(name): rng.normal(rng.uniform(0.3, 0.7), rng.uniform(0.02, 0.08), N_RUNS)
        for name in names
    }
    return _by_seed(rng, columns)


def lopsided_runs() -> dict[int, dict[str, float]]:
    """What nine to thirteen seeds measure: in one thing the last run stands out, in one the first.

    So whoever never draws the last run, or the first, has quite another interval.
    """
    rng = draws.rng("audit", "lopsided")
    n, columns = int(rng.integers(9, 14)), {}
    names = rng.choice(MEASUREMENTS, 2, replace=False)
    for name, side, place in zip(names, (1, -1), (-1, 0), strict=True):
        columns[str(name)] = rng.normal(rng.uniform(0.45, 0.55), 0.02, n)
        columns[str(name)][place] += side * rng.uniform(0.3, 0.4)
    return _by_seed(rng, columns)


def few_runs() -> dict[int, dict[str, float]]:
    """What five to seven seeds measure: everything there is, so that chance averages out."""
    rng = draws.rng("audit", "few")
    n = int(rng.integers(5, 8))
    return _by_seed(
        rng,
        {
            name: rng.normal(rng.uniform(0.3, 0.7), rng.uniform(0.02, 0.08), n)
            for name in MEASUREMENTS
        },
    )


def _by_seed(
    rng: np.random.Generator, columns: Mapping[str, np.ndarray]
) -> dict[int, dict[str, float]]:
    """Columns of runs as what each of as many seeds measures."""
    n = len(next(iter(columns.values())))
    seeds = rng.choice(np.arange(100, 1_000), n, replace=False)
    return {
        int(seed): {name: float(column[i]) for name, column in columns.items()}
        for i, seed in enumerate(seeds)
    }


def interval(part: Part, table: Table, runs: Runs) -> None:
    """As wide as the error of the mean asks for, in every measurement."""
    widths = {}
    for name, values in _columns(table, runs):
        _, low, high = table[name]
        if not np.isfinite([low, high]).all():
            raise Missed(f"the interval is [{low}, {high}]: one run has no spread. Use all seeds.")
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
        widths[name] = (high - low) / (2 * 1.96 * error), 1.96 * error
    worst = max(widths, key=lambda name: abs(np.log(max(widths[name][0], 1e-9))))
    (width, half), (mean, low, high) = widths[worst], table[worst]
    part.expect(
        all(table[name][1] < table[name][0] < table[name][2] for name in widths)
        and all(0.75 < one < 1.35 for one, _ in widths.values()),
        f"{worst}: [{low:.3f}, {high:.3f}] around {mean:.3f}",
        f"a half-width near 1.96 standard errors of the mean, here {half:.3f} (within a third)",
        "",
        f"That is the spread of single runs. The mean of {N_RUNS} runs is known better, by the "
        f"root of {N_RUNS}: take the percentiles of the resamples' means, not of the runs."
        if width > 1.5
        else "low and high are exchanged: return (mean, low, high)."
        if width < 0
        else "Both ends are the mean itself, as if each resample held the same runs: draw with "
        "replacement, as rng.integers and rng.choice do, and rng.permutation does not."
        if high - low < half / 100
        else "Both ends lie on one side of the mean. np.percentile takes percents, 2.5 and 97.5."
        if not low < mean < high
        else f"Each resample draws {N_RUNS} runs with replacement and takes their mean; the "
        "interval goes from the 2.5th to the 97.5th percentile of these means.",
    )


# Of half an interval. Over 300 secrets, the ends moved by up to .05 with 9,999 resamples and by .15
# with 1,000; those of Student's t lay .49 away or more.
NEAR = 0.25
# Of what the mean is away from an end, on average over eight measurements of few runs. Right
# answers with 1,000 resamples deviate by .019, and by .012 at both ends together; the 5th and the
# 95th percentile lie .14 too near, resamples of one run too few .09 too far.
AN_END, BOTH_ENDS = 0.08, 0.05


def percentiles(part: Part, lopsided: tuple[Table, Runs], few: tuple[Table, Runs]) -> None:
    """Both ends where the percentiles of resampled means lie: no formula with two equal halves."""
    table, runs = lopsided
    rng, off, why, shown = draws.rng("audit", "resamples"), 0.0, "", ([], [])
    for name, values in _columns(table, runs):
        wanted, found = _ends(rng, values), np.array(table[name][1:])
        far = float(np.abs(found - wanted).max() / (np.ptp(wanted) / 2))
        if not far <= off:  # what is no number is far as well
            off, why = far, _why_elsewhere(found, wanted, values)
        for ends, texts in zip((found, wanted), shown, strict=True):
            texts.append(f"{name} [{ends[0]:.3f}, {ends[1]:.3f}]")
    if not off < NEAR:
        measured = f"{len(runs)} runs, of which one stands apart: {', '.join(shown[0])}"
        asked = f"{', '.join(shown[1])}, each end within a quarter of half the interval"
        return part.expect(False, measured, asked, "", why)
    table, runs = few
    reach = _reach(table, runs, draws.rng("audit", "few", "resamples"))
    right = bool(np.abs(reach - 1).max() < AN_END and abs(reach.mean() - 1) < BOTH_ENDS)
    part.expect(
        right,
        f"{len(runs)} runs, on average over {len(MEASUREMENTS)} measurements: your intervals reach "
        f"{reach[0]:.2f} times as far down and {reach[1]:.2f} times as far up",
        f"as far as the percentiles 2.5 and 97.5 of resampled means, within {BOTH_ENDS} of 1",
        "",
        "" if right else _why_not_as_far(table, runs, reach),
    )


def _columns(table: Table, runs: Runs) -> Iterator[tuple[str, np.ndarray]]:
    """Each measurement with its values, which must be in the table."""
    for name in next(iter(runs.values())):
        if name not in table:
            raise Missed(f"there is no interval for {name}.")
        yield name, np.array([run[name] for run in runs.values()])


def _ends(
    rng: np.random.Generator,
    values: np.ndarray,
    percents: Sequence[float] = (2.5, 97.5),
    draw: int | None = None,
) -> np.ndarray:
    """Percentiles of the means of resamples of ``draw`` values; default: all there are."""
    means = rng.choice(values, (9_999, draw or len(values))).mean(axis=1)
    return np.percentile(means, percents)


def _reach(table: Table, runs: Runs, rng: np.random.Generator, **how: Any) -> np.ndarray:
    """How far down and up the intervals reach from their mean, beside what ``how`` draws."""
    reach = []
    for name, values in _columns(table, runs):
        mean = values.mean()
        reach.append((np.array(table[name][1:]) - mean) / (_ends(rng, values, **how) - mean))
    return np.mean(reach, axis=0)


def _why_not_as_far(table: Table, runs: Runs, reach: np.ndarray) -> str:
    """Which slip explains it best, if one does."""
    rng, n = draws.rng("audit", "few", "slips"), len(runs)
    slips = {
        "These are the 5th and the 95th percentile, a 90 % interval: the middle 95 % leave 2.5 % "
        "at each end.": {"percents": (5, 95)},
        "These are the 0.5th and the 99.5th percentile, a 99 % interval: the middle 95 % leave "
        "2.5 % at each end.": {"percents": (0.5, 99.5)},
        "One end is right, the other leaves out 5 %: take the 2.5th and the 97.5th percentile.": {
            "percents": (2.5, 95) if reach[0] > reach[1] else (5, 97.5)
        },
        "Each resample has one run too few: draw as many as there are.": {"draw": n - 1},
        "Each resample has one run too many: draw as many as there are.": {"draw": n + 1},
    }
    for why, how in slips.items():
        if np.abs(_reach(table, runs, rng, **how) - 1).max() < 0.04:
            return why
    return (
        "Each resample draws as many runs as there are, with replacement, and takes their mean; "
        "the ends are the 2.5th and the 97.5th percentile of these means. Take 1,000 resamples "
        "or more."
    )


def _why_elsewhere(found: np.ndarray, wanted: np.ndarray, values: np.ndarray) -> str:
    mean, near = values.mean(), NEAR * np.ptp(wanted) / 2
    below, above = mean - found[0], found[1] - mean
    rng = draws.rng("audit", "slips")
    if np.abs(found - np.percentile(values, [2.5, 97.5])).max() < 0.02:
        return "These are percentiles of the runs. Take those of the means of many resamples."
    for name, some in (("last", values[:-1]), ("first", values[1:])):
        if np.abs(found - _ends(rng, some, draw=len(values))).max() < near / 4:
            return (
                f"The {name} run is in no resample. Any run may be drawn, each as often as any "
                "other: rng.integers(0, n) draws from 0 to n - 1."
            )
    if np.abs(found - (2 * mean - wanted[::-1])).max() < near:
        return "This interval is turned around its mean: its ends are the two percentiles as such."
    if abs(below - above) < 0.05 * abs(below + above):
        return (
            "Your interval reaches as far down as up, as a formula with the standard error does. "
            "These runs lie on one side: the percentiles of the resamples' means show it."
        )
    return (
        f"Each resample draws {len(values)} runs with replacement, as many as there are, and takes "
        "their mean; the ends are the 2.5th and the 97.5th percentile of these means."
    )


# --- exercise 5, compare -----------------------------------------------------------


class Conditions(NamedTuple):
    """An experiment without and with a defence ``(n,)``, the same seeds, and a claimed drop."""

    undefended: np.ndarray
    defended: np.ndarray
    claimed: float


def conditions() -> Conditions:
    """Runs whose seeds move both alike, so that all pairs differ far more than those of a seed.

    The interval of all pairs is 1.5 to 1.8 times as wide as that of the drops. A large drop lies
    between two small ones, so that runs in order of size no longer belong together: then the
    interval has .3 to .65 of the width.
    """
    rng = draws.rng("compare")
    n = int(rng.integers(30, 40))
    sizes = np.where(np.arange(n) % 2, 1, -1) + 0.3 * rng.standard_normal(n)
    drops = 0.15 + 0.022 * (sizes - sizes.mean()) / sizes.std() + rng.normal(0, 0.003)
    middles = 0.475 + np.linspace(-0.25, 0.25, n)
    order = rng.permutation(n)
    undefended, defended = ((middles + sign * drops / 2)[order] for sign in (1, -1))
    pairs = np.sort(np.subtract.outer(undefended, defended).ravel())
    place = int(len(pairs) * rng.uniform(0.85, 0.95))
    return Conditions(undefended, defended, float(pairs[place : place + 2].mean()))


def paired_drop(part: Part, found: list[float], drawn: Conditions) -> None:
    """Mean and interval of the differences seed by seed."""
    drops = drawn.undefended - drawn.defended
    mean, low, high = found
    half = float(1.96 * drops.std(ddof=1) / np.sqrt(len(drops)))
    width = (high - low) / (2 * half)
    part.expect(
        abs(mean - drops.mean()) < 1e-9 and low < mean < high and 0.75 < width < 1.35,
        f"{mean:.3f} [{low:.3f}, {high:.3f}]",
        f"{drops.mean():.3f}, and a half-width near {half:.3f}",
        "",
        "That is the interval of all pairs, or of the two means apart: take the difference of the "
        "two runs with the same seed first, and bootstrap these differences."
        if width >= 1.35 and abs(mean - drops.mean()) < 1e-9
        else "The runs are no longer in the order of their seeds: were they sorted? Take the "
        "difference of the two runs with the same seed."
        if abs(mean - drops.mean()) < 1e-9 and width < 0.75 and _in_order(drawn, half, width)
        else "Take the difference of the two runs with the same seed, undefended minus defended, "
        "and bootstrap the mean of these differences.",
    )


def _in_order(drawn: Conditions, half: float, width: float) -> bool:
    """Whether an interval of this width, in right ones, is that of runs in order of size."""
    drops = np.sort(drawn.undefended) - np.sort(drawn.defended)
    return abs(width * half / (1.96 * drops.std(ddof=1) / np.sqrt(len(drops))) - 1) < 0.15


def share_of_pairs(part: Part, share: float, drawn: Conditions) -> None:
    """Of all n * n pairs, not of the n seeds, and no count."""
    pairs = np.subtract.outer(drawn.undefended, drawn.defended)
    wanted, n = float(np.mean(pairs >= drawn.claimed)), len(pairs)
    part.expect(
        abs(share - wanted) < 1e-9,
        f"{share:.3g} of the pairs",
        f"{wanted:.3f} of {n * n}",
        "",
        "That is a count: divide it by the number of pairs."
        if share > 1
        else f"Each of the {n} undefended runs makes a pair with each of the {n} defended ones, "
        "whatever their seeds; which of these differences are the claimed drop or more?",
    )
