"""Graded checks run over and over, with fresh randomness, on right answers and on wrong ones.

A right answer must get all points in every run; a wrong one must not, and must be told why.
Which checks and which answers: ``calibrate_training.py`` and ``calibrate_defenses.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from kept import Found, Job, Result, add_options, asked_for, exactly, markdown, short

from trickster.checks.thresholds import Threshold


class Checked(NamedTuple):
    """A graded check, and how what it measures is read from what it prints."""

    points: float
    answers: Mapping[str, str]  # name: what a wrong answer must be told; empty for a right one
    bar: Threshold | None = None
    shown: re.Pattern[str] | None = None  # what stands beside the bar; the smallest one counts


Checks = Mapping[str, Checked]


def judged(one: Checked, answer: str, run: Callable[[], float]) -> Result:
    """Points, what was measured against the bar (None where it was not), and whether told why."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        points = run()
    said = " ".join(out.getvalue().split())
    values = [float(next(filter(None, found.groups()))) for found in _shown(one, said)]
    return {
        "points": points,
        "value": min(values) if values else None,
        "told": one.answers[answer] in said,
    }


def _shown(one: Checked, said: str) -> list[re.Match[str]]:
    return list(one.shown.finditer(said)) if one.shown else []


def is_false(checks: Checks, job: Job, result: Result) -> bool:
    """A right answer without all points, or a wrong one with all of them."""
    check, name, _ = job
    return (result["points"] == checks[check].points) == bool(checks[check].answers[name])


def false_verdicts(checks: Checks, found: Found) -> list[str]:
    """Which jobs got a verdict that they should not, or were not told why."""
    return [
        f"{job[0]}: {job[1]} (run {job[2]})"
        for job, result in found
        if is_false(checks, job, result) or not result["told"]
    ]


def values(found: Found, check: str, answer: str) -> np.ndarray:
    """What one answer measured, run by run."""
    here = [r["value"] for job, r in found if job[:2] == (check, answer)]
    return np.array([value for value in here if value is not None])


def deviations(value: np.ndarray, full: float) -> float:
    """How far the runs lie above where full points begin, in their own standard deviations."""
    return float((value.mean() - full) / max(value.std(ddof=1), 1e-3))


def evidence(found: Found, check: str, answers: tuple[str, ...]) -> list[str]:
    """``reference .876 to .884`` for each answer, as the table of bars quotes it."""
    return [f"{name} {span(values(found, check, name))}" for name in answers]


def span(value: np.ndarray) -> str:
    """Smallest and largest, with the digits that the check printed when it was measured."""
    digits = 2 if np.array_equal(value, value.round(2)) else 3
    return _range(short(value.min(), digits), short(value.max(), digits))


def too_near(far: Mapping[str, float]) -> str:
    """A sentence that names what lies nearer to its bar than three standard deviations."""
    near = [f"*{name}* ({value:+.1f})" for name, value in far.items() if abs(value) < 3]
    if not near:
        return "All lie at least three standard deviations from their bar."
    return f"Nearer to the bar than three standard deviations: {', '.join(near)}."


def table(checks: Checks, found: Found) -> str:
    """A line for each answer: verdicts, points, and how far what was measured lies from the bar."""
    rows, distances = [], {}
    for check, one in checks.items():
        for name, words in one.answers.items():
            here = [result for job, result in found if job[:2] == (check, name)]
            if not here:
                continue
            points = [result["points"] for result in here]
            wrong = sum(is_false(checks, (check, name, 0), result) for result in here)
            told = sum(result["told"] for result in here)
            value = values(found, check, name)
            if far := one.bar and len(value) > 1:
                distances[f"{check}: {name}"] = deviations(value, one.bar.full)
            rows.append(
                (
                    f"{check}: {name}",
                    "wrong" if words else "right",
                    f"{wrong} of {len(here)} {exactly(wrong, len(here))}",
                    f"{told} of {len(here)}" if words else "",
                    _range(f"{min(points):g}", f"{max(points):g}") + f" of {one.points:g}",
                    span(value) if len(value) else "",
                    short(one.bar.full) if far else "",
                    short(value.std(ddof=1)) if far else "",
                    f"{deviations(value, one.bar.full):+.1f}" if far else "",
                )
            )
    head = (
        "check: answer", "is", "false verdicts, 95 %", "told why", "points", "measured", "bar",
        "sd", "sd from the bar",
    )  # fmt: skip
    return (
        "Each run draws afresh. *Told why*: the sentence that this mistake must be answered with "
        "was printed. A false verdict is a right answer without all points, or a wrong "
        "one with all of them; its interval is the exact one of a binomial. Full points begin at "
        "the bar; how far from it an answer lies is in standard deviations (sd) of its own runs. "
        "Some wrong answers are refused for another reason than the bar, or before it is reached. "
        + too_near(distances)
        + "\n\n"
        + markdown(head, rows)
    )


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def planned(checks: Checks, runs: int) -> list[Job]:
    """So many runs of each answer."""
    return [
        (check, name, number)
        for number in range(runs)
        for check, one in checks.items()
        for name in one.answers
    ]


def main(
    about: str,
    part: str,
    checks: Checks,
    run: Callable[[Job], Result],
    jobs: Callable[[int], list[Job]],
) -> int:
    """Measure what is missing and print the table; 1 if any verdict was wrong."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--check", default="", help="checks whose names begin so")
    parser.add_argument("--answer", default="", help="answers whose names begin so")
    asked = add_options(parser, jobs).parse_args()
    wanted = [
        job
        for job in jobs(asked.count)
        if job[0].startswith(asked.check) and job[1].startswith(asked.answer)
    ]
    if not wanted:
        parser.error("no check and answer begin so; `--check layered --answer reversed` would do.")
    # A few at a time: answers that meet the same pools share them, and the undefended thieves.
    found = asked_for(asked, part, wanted, run, chunk=11)
    print(table(checks, found))
    false = false_verdicts(checks, found)
    print(f"False: {'; '.join(false)}." if false else "No verdict is false.")
    return int(bool(false))
