"""Run the graded checks of whole defences (labs 3 and 4) over and over, with fresh panels.

    python benchmarks/calibrate_defenses.py             # 20 runs, about 50 minutes on two cores
    python benchmarks/calibrate_defenses.py --runs 2    # a quick look
    python benchmarks/calibrate_defenses.py --check layered --answer reference

Each run of a check draws its own pools and trains its own thieves. Right answers must get all
points in every run; wrong ones must not, and must be told why. The table is what
``trickster/checks/bars.py`` quotes for ``DROP`` and ``LAYERED_DROP``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a worker, as in grading

import numpy as np
from kept import Found, Job, Result, exactly, markdown, measured

from trickster import defenses, limiters, ood
from trickster.api import RateLimited
from trickster.checks import bars, lab3, lab4
from trickster.scenario import Scenario

PART = "calibrate_defenses"
DAY = 86_400
Wrong = Callable[[np.ndarray], np.ndarray]
FELL = re.compile(r"the smaller drop is (-?\d\.\d+)|a drop of (-?\d\.\d+) over")


class Answer(NamedTuple):
    """A defence: what weird inputs get, who is weird, and what everybody gets."""

    wrong: Wrong = defenses.misinform
    share: float = 0.02  # of honest inputs that are treated as weird
    neighbour: int = 1
    tell: Wrong = lambda p: p
    limit: Callable[[], Any] = lambda: limiters.SlidingWindow(900, DAY)
    whole_batch: bool = False
    from_pool: bool = False  # the threshold catches 90 % of the shapes
    words: str = ""  # what a wrong answer must be told


class Weird:
    """Which rows are weird, by their neighbours among the training features."""

    def __init__(self, answer: Answer, bank: np.ndarray, honest: np.ndarray):
        self.answer, self.bank = answer, bank
        scores, share = ood.score_knn(honest, bank, k=answer.neighbour), answer.share
        if answer.from_pool:
            pool = Scenario("fashion").pool("shapes", 3_000, seed=0)
            features = Scenario("fashion").victim.features(pool)
            scores, share = ood.score_knn(features, bank, k=answer.neighbour), 0.9
        elif answer.whole_batch:  # a mean hardly varies: a little below the usual one is enough
            scores, share = scores.mean(keepdims=True) - 0.05, 0.0
        self.threshold = ood.choose_threshold(scores, share)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        scores = ood.score_knn(features, self.bank, k=self.answer.neighbour)
        if self.answer.whole_batch:
            scores = np.full(len(scores), scores.mean())
        return scores < self.threshold

    def answers(self, posteriors: np.ndarray, features: np.ndarray) -> np.ndarray:
        wrong = self.answer.wrong(posteriors)
        given = np.where(self(features)[:, None], wrong, posteriors)
        return self.answer.tell(given)


def trickster_of(answer: Answer) -> Callable[..., np.ndarray]:
    """The answer as lab 3 asks for it."""
    victim, data = Scenario("fashion").victim, Scenario("fashion").data
    weird = Weird(answer, victim.features(data.x_train), victim.features(data.x_test[:2_500]))
    return lambda x, posteriors, features: weird.answers(posteriors, features)


def stack_of(answer: Answer) -> Callable[..., Any]:
    """The answer as lab 4 asks for it: a function that makes a fresh service."""

    def make_layered(bank: np.ndarray, honest: np.ndarray) -> Callable[..., np.ndarray]:
        weird, limit = Weird(answer, bank, honest), answer.limit()

        def layered(x, posteriors, features, key, now):
            if not limit.allow(key, now, len(x)):
                raise RateLimited(key, len(x), limit.retry_after(key, now, len(x)))
            return weird.answers(posteriors, features)

        return layered

    return make_layered


DRAWS = np.random.default_rng(0)


def noisy(p: np.ndarray) -> np.ndarray:
    """Zero-mean noise of deviation 2 on the logits, always the same for the same row."""
    parts = [
        defenses.zero_mean_noise(row[None], 2.0, np.random.default_rng(int(row.max() * 1e9)))
        for row in p
    ]
    return np.concatenate(parts).astype(p.dtype)


def fresh_noise(p: np.ndarray) -> np.ndarray:
    return defenses.zero_mean_noise(p, 2.0, DRAWS)


def keeps_argmax(p: np.ndarray) -> np.ndarray:
    return 0.5 * np.eye(p.shape[1])[p.argmax(axis=1)] + 0.5 / p.shape[1]


def random_lies(p: np.ndarray) -> np.ndarray:
    return DRAWS.dirichlet(np.full(p.shape[1], 0.3), size=len(p))


def least_likely(p: np.ndarray) -> np.ndarray:
    return np.eye(p.shape[1])[p.argmin(axis=1)]


def rolled(p: np.ndarray) -> np.ndarray:
    return np.roll(p, 1, axis=1)


def swapped(p: np.ndarray) -> np.ndarray:
    """Lab 3's simplest hint: the largest probability and the smallest change places."""
    wrong, rows = p.copy(), np.arange(len(p))
    top, least = p.argmax(axis=1), p.argmin(axis=1)
    wrong[rows, top], wrong[rows, least] = p[rows, least], p[rows, top]
    return wrong


def uniform(p: np.ndarray) -> np.ndarray:
    return np.full_like(p, 1 / p.shape[1])


def first_class(p: np.ndarray) -> np.ndarray:
    return np.eye(p.shape[1])[np.zeros(len(p), int)]


def no_limit() -> limiters.SlidingWindow:
    return limiters.SlidingWindow(10**9, DAY)


def unchanged(p: np.ndarray) -> np.ndarray:
    return p


BOTH_RIGHT = {
    "reversed": Answer(),
    "least likely class": Answer(wrong=least_likely),
    "rolled by one": Answer(wrong=rolled),
    "largest and smallest swapped": Answer(wrong=swapped),
    "reversed, 5th neighbour": Answer(neighbour=5),
}
CHANGES = "Answers that change"
CHECKS: dict[str, dict[str, Answer]] = {
    "trickster": {
        **BOTH_RIGHT,
        "nothing": Answer(share=0.0, words="nothing is defended yet"),
        "zero-mean noise, fresh": Answer(wrong=fresh_noise, words=CHANGES),
        "zero-mean noise, fixed": Answer(wrong=noisy, words="really wrong"),
        "keeps the argmax": Answer(wrong=keeps_argmax, words="really wrong"),
        "hard labels": Answer(wrong=unchanged, tell=defenses.hard_labels, words="as weird"),
        "uniform to all": Answer(tell=uniform, words="Honest users lose"),
        "one class to all": Answer(tell=first_class, words="Honest users lose"),
        "random lies": Answer(wrong=random_lies, words=CHANGES),
        "misleads everybody": Answer(share=1.0, words="Honest users lose"),
        "whole batches": Answer(whole_batch=True, words="depends on its neighbours"),
        "threshold of the pool": Answer(from_pool=True, words="not from the pool"),
    },
    "layered": {
        **BOTH_RIGHT,
        "reversed, labels, bucket": Answer(
            tell=defenses.hard_labels, limit=lambda: limiters.TokenBucket(400 / DAY, 500)
        ),
        "labels and a limit": Answer(
            wrong=unchanged, tell=defenses.hard_labels, words="Labels and limits alone"
        ),
        "zero-mean noise, fresh": Answer(wrong=fresh_noise, words=CHANGES),
        "zero-mean noise, fixed": Answer(wrong=noisy, words="Noise around the true"),
        "keeps the argmax": Answer(wrong=keeps_argmax, words="whatever keeps the argmax"),
        "uniform to all": Answer(tell=uniform, words="one and the same answer"),
        "random lies": Answer(wrong=random_lies, words=CHANGES),
        "misleads everybody": Answer(share=1.0, words="misled"),
        "whole batches": Answer(whole_batch=True, words="never for a batch"),
        "no limit": Answer(limit=no_limit, words="7,200 of"),
        "too small a limit": Answer(
            limit=lambda: limiters.SlidingWindow(100, DAY), words="Honest bursts"
        ),
        "threshold of the pool": Answer(from_pool=True, words="smaller share"),
    },
}
QUOTED = {  # in the table of bars
    "trickster": (*BOTH_RIGHT, "zero-mean noise, fixed", "keeps the argmax", "hard labels"),
    "layered": (*BOTH_RIGHT, "labels and a limit", "zero-mean noise, fixed", "keeps the argmax"),
}
FULL = {"trickster": lab3.trickster.points, "layered": lab4.layered.points}


def run_check(job: Job) -> Result:
    """One check of one answer, with the panels of one number: points, drops, and what was told.

    ``drops`` has one for each pool, and none where thieves were not measured.
    """
    check, name, number = job
    answer, seeds = CHECKS[check][name], (100 + 2 * number, 101 + 2 * number)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if check == "trickster":
            points = lab3.trickster(trickster_of(answer), seeds=seeds)
        else:
            points = lab4.layered(stack_of(answer), seeds=seeds)
    said = " ".join(out.getvalue().split())
    drops = [float(a or b) for a, b in FELL.findall(said)]
    return {"points": points, "drops": drops, "told": answer.words in said}


def section(found: Found) -> str:
    """A line for each answer: verdicts, points, the smaller drop and its distance from the bar."""
    rows = []
    for check, answers in CHECKS.items():
        bar = bars.DROP if check == "trickster" else bars.LAYERED_DROP
        for name, answer in answers.items():
            here = [result for job, result in found if job[:2] == (check, name)]
            if not here:
                continue
            points = [one["points"] for one in here]
            right = not answer.words
            wrong = sum(is_false((check, name, 0), one) for one in here)
            untold = sum(not one["told"] for one in here)
            drops = np.array([min(one["drops"]) for one in here if one["drops"]])
            far = ""
            if len(drops) > 1:
                spread = max(drops.std(ddof=1), 1e-3)
                far = f"{(drops.mean() - bar.full) / spread:+.1f}"
            rows.append(
                (
                    f"{check}: {name}",
                    "right" if right else "wrong",
                    f"{wrong} of {len(here)} {exactly(wrong, len(here))}",
                    "" if right else f"{len(here) - untold} of {len(here)}",
                    f"{min(points):g} to {max(points):g}",
                    f"{drops.min():.3f} to {drops.max():.3f}" if len(drops) else "",
                    far,
                )
            )
    head = (
        "check: answer", "is", "false verdicts, 95 %", "told why", "points", "smaller drop",
        "sd from full points",
    )  # fmt: skip
    return (
        "Each run has pools and thieves of its own. A false verdict is a right answer without all "
        "points, or a wrong one with all of them; its interval is the exact one of a binomial. "
        f"Full points: {FULL['trickster']:g} for the trickster (a drop of {bars.DROP.full:g}), "
        f"{FULL['layered']:g} for the layered stack (a drop of {bars.LAYERED_DROP.full:g}). The "
        "smaller drop is the smallest over pools of what the best thief loses; empty where a check "
        "ends before its thieves.\n\n" + markdown(head, rows)
    )


def is_false(job: Job, result: Result) -> bool:
    """A right answer without all points, or a wrong one with all of them."""
    check, name, _ = job
    return (result["points"] == FULL[check]) == bool(CHECKS[check][name].words)


def false_verdicts(found: Found) -> list[str]:
    """Which jobs got a verdict that they should not, or were not told why."""
    return [
        f"{job[0]}: {job[1]} (run {job[2]})"
        for job, result in found
        if is_false(job, result) or not result["told"]
    ]


def main() -> int:
    """Measure and print the table; 1 if any verdict was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20, help="runs of each check on each answer")
    parser.add_argument("--check", default="", help="checks whose names begin so")
    parser.add_argument("--answer", default="", help="answers whose names begin so")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="forget the runs that were kept")
    asked = parser.parse_args()
    jobs = [
        (check, name, number)
        for number in range(asked.runs)
        for check, answers in CHECKS.items()
        for name in answers
        if check.startswith(asked.check) and name.startswith(asked.answer)
    ]
    # A few at a time: answers that meet the same panel share its undefended thieves.
    found = measured(PART, jobs, run_check, workers=asked.workers, chunk=8, again=asked.again)
    print(section(found))
    false = false_verdicts(found)
    print(f"False: {'; '.join(false)}." if false else "No verdict is false.")
    return int(bool(false))


if __name__ == "__main__":
    sys.exit(main())
