"""Graded checks run over and over, with fresh randomness, on right answers and on wrong ones.

A right answer must get all points in every run; a wrong one must not, and the check must explain
why. A nearly right one gets all points in some runs only. Which checks and which answers:
``calibrate_training.py`` and ``calibrate_defenses.py``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from benchmarks.cli import add_options, measure_with
from benchmarks.formatting import exact_interval, low_to_high, markdown_table, short
from benchmarks.store import Job, Measurement, Results, Run
from trickster.checks.result import CheckResult
from trickster.checks.thresholds import Threshold

FEW = 33  # runs of an answer that lies far from its bar
DIGITS = 3  # of a stored value, as many as the checks show
EXPLAINED = "told"  # the name of that column in the stored files


class Calibrated(NamedTuple):
    """A graded check, the answers it is run on, and the value it compares with its threshold."""

    points: float
    answers: Mapping[str, str]  # name: part of a wrong answer's advice; empty for a right answer
    threshold: Threshold | None = None
    parts: tuple[str, ...] = ()  # whose values are compared with it; the smallest one counts
    nearly: tuple[str, ...] = ()  # of the right answers those that may lose a part of the points
    often: tuple[str, ...] = ()  # answers whose verdict luck might turn, or that take no time


Checks = Mapping[str, Calibrated]


def measure_verdict(check: Calibrated, answer: str, result: CheckResult) -> Measurement:
    """Points, the value (None where nothing was compared), and whether the mistake is explained."""
    by_name = {part.name: part.value for part in result.parts}
    values = [by_name[name] for name in check.parts if by_name[name] is not None]
    advice = [result.note, *(part.advice for part in result.parts)]
    return {
        "points": float(result),
        "value": round(float(min(values)), DIGITS) if values else None,
        EXPLAINED: any(check.answers[answer] in text for text in advice),
    }


def is_false(checks: Checks, job: Job, result: Measurement) -> bool:
    """A right answer without all points, or a wrong one with all of them."""
    check, name, _ = job
    if name in checks[check].nearly:
        return False
    return (result["points"] == checks[check].points) == bool(checks[check].answers[name])


def false_verdicts(checks: Checks, results: Results) -> list[str]:
    """Which jobs got a verdict that they should not, or no explanation."""
    return [
        f"{job[0]}: {job[1]} (run {job[2]})"
        for job, result in results
        if is_false(checks, job, result) or not result[EXPLAINED]
    ]


def values_of(results: Results, check: str, answer: str) -> np.ndarray:
    """What one answer measured, run by run."""
    values = (result["value"] for job, result in results if job[:2] == (check, answer))
    return np.array([value for value in values if value is not None])


def deviations(values: np.ndarray, full: float) -> float:
    """How far the runs lie above where full points begin, in their own standard deviations."""
    return float((values.mean() - full) / max(values.std(ddof=1), 1e-3))


def evidence(results: Results, check: str, answers: tuple[str, ...]) -> list[str]:
    """``reference .876 to .884`` for each answer, as thresholds.py quotes it."""
    return [f"{name} {value_range(values_of(results, check, name))}" for name in answers]


def value_range(values: np.ndarray) -> str:
    """Smallest and largest, with the digits that the check showed when it was measured."""
    digits = 2 if np.array_equal(values, values.round(2)) else 3
    return low_to_high(short(values.min(), digits), short(values.max(), digits))


def name_the_near(distances: Mapping[str, float]) -> str:
    """A sentence that names what lies nearer to its bar than three standard deviations."""
    near = [f"*{name}* ({value:+.1f})" for name, value in distances.items() if abs(value) < 3]
    if not near:
        return "All lie at least three standard deviations from their bar."
    return f"Nearer to the bar than three standard deviations: {', '.join(near)}."


HEAD = (
    "check: answer", "is", "false verdicts, 95 %", "explained", "points", "measured", "mean", "bar",
    "sd", "sd from the bar",
)  # fmt: skip


def table(checks: Checks, results: Results) -> str:
    """A line for each answer: verdicts, points, and how far what was measured lies from the bar."""
    rows, distances = [], {}
    for check, calibrated in checks.items():
        for name in calibrated.answers:
            runs = [result for job, result in results if job[:2] == (check, name)]
            if not runs:
                continue
            values = values_of(results, check, name)
            if calibrated.threshold and len(values) > 1:
                full = calibrated.threshold.full
                distances[f"{check}: {name}"] = deviations(values, full)
            rows.append(_row(checks, check, name, runs, values))
    return (
        "Each run draws afresh. *Explained*: the sentence that this mistake must be answered with "
        "was shown. A false verdict is a right answer without all points, or a wrong "
        "one with all of them; its interval is the exact one of a binomial. Full points begin at "
        "the bar; how far from it an answer lies is in standard deviations (sd) of its own runs. "
        "Some wrong answers are refused for another reason than the bar, or before it is reached. "
        + name_the_near(distances)
        + "\n\n"
        + markdown_table(HEAD, rows)
    )


def _row(
    checks: Checks, check: str, name: str, runs: list[Measurement], values: np.ndarray
) -> tuple[object, ...]:
    calibrated, points = checks[check], [result["points"] for result in runs]
    false = sum(is_false(checks, (check, name, 0), result) for result in runs)
    explained = sum(result[EXPLAINED] for result in runs)
    wrong, threshold = bool(calibrated.answers[name]), calibrated.threshold
    nearly = name in calibrated.nearly  # no verdict on it is false, so none is counted
    return (
        f"{check}: {name}",
        "wrong" if wrong else "nearly right" if nearly else "right",
        "" if nearly else f"{false} of {len(runs)} {exact_interval(false, len(runs))}",
        f"{explained} of {len(runs)}" if wrong else "",
        low_to_high(f"{min(points):g}", f"{max(points):g}") + f" of {calibrated.points:g}",
        value_range(values) if len(values) else "",
        short(values.mean()) if len(values) else "",
        *(
            (
                short(threshold.full),
                short(values.std(ddof=1)),
                f"{deviations(values, threshold.full):+.1f}",
            )
            if threshold and len(values) > 1
            else ("", "", "")
        ),
    )


def plan_jobs(checks: Checks, runs: int) -> list[Job]:
    """So many runs of the answers that are run often, and ``FEW`` at most of the others."""
    return [
        (check, name, number)
        for number in range(runs)
        for check, calibrated in checks.items()
        for name in calibrated.answers
        if number < FEW or name in calibrated.often
    ]


def counted(results: Results, check: str) -> str:
    """``33 runs, 40 of mirrored, nine rolls and real alone``: how often each answer was run."""
    runs = Counter(job[1] for job, _ in results if job[0] == check)
    fewest = min(runs.values())
    more: dict[int, list[str]] = {}
    for name, number in runs.items():
        if number > fewest:
            more.setdefault(number, []).append(name)
    said = [f"{fewest} runs", *(f"{n} of {_in_a_row(some)}" for n, some in more.items())]
    return ", ".join(said)


def _in_a_row(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def main(about: str, part: str, checks: Checks, run: Run, jobs: Callable[[int], list[Job]]) -> int:
    """Measure what is missing and print the table; 1 if any verdict was wrong."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--check", default="", help="checks whose names begin so")
    parser.add_argument("--answer", default="", help="answers whose names begin so")
    options = add_options(parser, jobs).parse_args()
    wanted = [
        job
        for job in jobs(options.count)
        if job[0].startswith(options.check) and job[1].startswith(options.answer)
    ]
    if not wanted:
        parser.error("no check and answer begin so; `--check layered --answer reversed` would do.")
    # A few at a time: answers that are attacked with the same pools share them, and the thieves.
    results = measure_with(options, part, wanted, run, chunk=11)
    print(table(checks, results))
    false = false_verdicts(checks, results)
    print(f"False: {'; '.join(false)}." if false else "No verdict is false.")
    return int(bool(false))
