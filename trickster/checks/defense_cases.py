"""What lab 3 tries with a defence: steady answers, honest users, and the thieves.

Each function decides one part of a check, or measures what several parts need. The student's
``trickster`` is asked as any defence is, see :func:`as_defense`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import evaluation
from trickster.api import Defense, Query
from trickster.checks import fixtures
from trickster.checks import panel as thieves
from trickster.checks.distributions import distributions
from trickster.checks.fixtures import HELD_OUT, NOTHING, Answered, changed, held_out, joined
from trickster.checks.result import Missed, Part
from trickster.checks.thresholds import DROP, HONEST_FLAGGED, HONEST_LOSS, POOR_POOL

POOL_SEED = 3_000
PANEL_SEEDS = (0, 1)
PANEL_BUDGET = 3_000
REQUEST = 256  # pictures in a request
WEAK = 0.2  # who changes the answers to fewer weird inputs has a score that is of little use
LEARNS_FROM = {"soft": "soft labels", "hard": "hard labels"}


def pool(kind: str, seed: int, budget: int = PANEL_BUDGET) -> thieves.Pool:
    """A thief's pictures, as many as its budget; digits are rarer."""
    n = min(1_500, budget) if kind == "digits" else budget
    return thieves.Pool(kind, n, POOL_SEED + seed, seed)


def as_defense(trickster: Callable[..., Any]) -> Defense:
    """The student's function as a defence whose answers are distributions."""

    def defense(posteriors: np.ndarray, query: Query) -> np.ndarray:
        found = trickster(query.x, posteriors, query.features)
        return distributions(found, "trickster", len(posteriors))

    return defense


def answers(defense: Defense, asked: Answered) -> np.ndarray:
    """What somebody sees who asks about all of them, a request after the other."""
    requests = [asked.rows(slice(i, i + REQUEST)) for i in range(0, len(asked.x), REQUEST)]
    return np.concatenate([thieves.ask(defense, request) for request in requests])


def must_defend(caught: float, first: bool = False) -> None:
    """Nobody earns points for what a service without any defence does as well."""
    if caught < NOTHING and not first:
        raise Missed("nothing is defended yet: see above.")
    if caught < NOTHING:
        raise Missed(
            f"{caught:.0%} of the weird inputs get another answer than the victim's own: nothing "
            "is defended yet. Recognise weird inputs by their score, and answer those with "
            "misinform(posteriors)."
        )


# --- the same question, the same answer ---------------------------------------------


def same_answers(part: Part, defense: Defense, weird: Answered) -> None:
    """Honest and weird pictures in one request."""
    both = joined(held_out().rows(slice(0, 150)), weird)
    repeats(part, lambda index: answers(defense, both.rows(index)), 300, "trickster", scale=1e-3)


def repeats(part: Part, ask: Callable[[np.ndarray], Any], n: int, what: str, scale: float) -> None:
    """The same answers again, in another order, and one by one."""
    everything = np.arange(n)
    whole = distributions(ask(everything), what, n)
    again = distributions(ask(everything), what, n)
    order = np.random.default_rng(4).permutation(n)
    turned = distributions(ask(order), what, n)
    some = order[:25]
    alone = np.concatenate([distributions(ask(some[i : i + 1]), what, 1) for i in range(25)])
    gaps = {
        "asked again": float(np.abs(again - whole).max()),
        "in another order": float(np.abs(turned - whole[order]).max()),
        "alone": float(np.abs(alone - whole[some]).max()),
    }
    part.expect(
        max(gaps.values()) < scale,
        ", ".join(f"{name}: changed by {gap:.2g}" for name, gap in gaps.items()),
        f"below {scale:g}",
        "0, or about 1e-7",
        "Answers change when asked again: whoever repeats a question and averages gets the truth. "
        "Draw nothing at random."
        if gaps["asked again"] >= scale
        else "An answer depends on its neighbours in the batch: decide for each input by itself.",
    )


# --- honest users -------------------------------------------------------------------


def honest_users(part: Part, defense: Defense) -> float:
    """Award what honest users keep; returns the share of the thieves' points it leaves open."""
    honest = held_out()
    given = answers(defense, honest)
    truth = fixtures.fashion().y_test[HELD_OUT]
    before, after = (evaluation.accuracy(a, truth) for a in (honest.posteriors, given))
    flagged, loss = changed(given, honest.posteriors), before - after
    turned = float(np.mean(given.argmax(axis=1) != honest.posteriors.argmax(axis=1)))
    fine_loss, fine_flag = loss <= HONEST_LOSS, flagged <= HONEST_FLAGGED
    part.award(
        0.5 * fine_loss + 0.5 * fine_flag,
        f"accuracy {before:.4f} → {after:.4f}, a loss of {100 * loss:.2f} points; {flagged:.2%} "
        "of 2,500 honest inputs are treated as weird",
        f"a loss of at most {100 * HONEST_LOSS:.1f} points, at most {HONEST_FLAGGED:.0%}",
        "0.4 points, 1.2%",
        f"Honest users lose {100 * loss:.2f} points (allowed: {100 * HONEST_LOSS:.1f}). Your "
        f"defence treats {flagged:.2%} of them as weird; {_what_to_do(given, turned)}",
    )
    return float(np.clip(1 - (loss - HONEST_LOSS) / 0.02, 0, 1)) * float(flagged < 0.1)


def _what_to_do(given: np.ndarray, turned: float) -> str:
    if float(np.abs(given - given[0]).max()) < 1e-6:
        return "everybody gets one and the same answer, which is no service at all."
    if turned > 0.5:
        return (
            "the comparison is the wrong way round: scores are higher for normal inputs, so weird "
            "is a score *below* the threshold."
        )
    return "pick the threshold from the held-out honest scores, not from the pool."


# --- the thieves --------------------------------------------------------------------


class Panel(NamedTuple):
    """The best thief of the panel, seed by seed: rows of accuracy and fidelity."""

    before: np.ndarray
    after: np.ndarray
    best: str  # in the last seed, under the defence

    @property
    def drops(self) -> np.ndarray:
        return self.before - self.after

    @property
    def drop(self) -> float:
        """What falls less, accuracy or fidelity, in the mean over the seeds."""
        return float(self.drops.mean(axis=0).min())


def panel(
    defense: Defense,
    kind: str,
    seeds: tuple[int, ...] = PANEL_SEEDS,
    budget: int = PANEL_BUDGET,
    report: thieves.Report | None = None,
) -> Panel:
    """Thieves with their own pools of ``kind``: undefended, and against ``defense``."""
    pools = [pool(kind, seed, budget) for seed in seeds]
    sets = [thieves.training_sets(defense, one, request=REQUEST) for one in pools]
    before = [_best(thieves.undefended(one, ("soft", "hard")))[1] for one in pools]
    best = [_best(predictions) for predictions in thieves.train(sets, report)]
    return Panel(np.array(before), np.array([scores for _, scores in best]), best[-1][0])


def _best(predictions: thieves.Predictions) -> tuple[str, tuple[float, float]]:
    """The thief with the highest fidelity on the held-out pictures: name, accuracy, fidelity."""
    truth, victim = fixtures.fashion().y_test[HELD_OUT], held_out().posteriors
    scores = {
        thief: (
            evaluation.accuracy(labels[HELD_OUT], truth),
            evaluation.fidelity(labels[HELD_OUT], victim),
        )
        for thief, labels in predictions.items()
    }
    best = max(scores, key=lambda thief: scores[thief][1])
    return best, scores[best]


def best_thief(part: Part, found: Panel, kept: float, steady: float, caught: float) -> None:
    """Award the drop, as far as honest users and steady answers let it count."""
    best = LEARNS_FROM.get(found.best, found.best)
    (acc, fid), (acc_after, fid_after) = found.before.mean(axis=0), found.after.mean(axis=0)
    if kept < 1:
        advice = "Honest users pay for this drop (see above): it counts only as far as they do not."
    elif caught < WEAK:
        advice = (
            f"Your score catches only {caught:.0%} of the shapes: compare the scores in exercise "
            "2's table."
        )
    elif steady < 1:
        advice = (
            "Answers that change when asked again, or beside other inputs, can be averaged or "
            "steered: half counts."
        )
    elif found.drop < DROP.some:
        advice = (
            "The thief loses too little. Are weird queries recognised (feature distance, not "
            "confidence), and is the answer to them really wrong?"
        )
    else:
        advice = "More weird queries must be caught at the same cost, or the answers be more wrong."
    part.award(
        DROP.share(found.drop) * kept * (1.0 if steady == 1 else 0.5),
        f"best thief ({best}): accuracy {acc:.3f} → {acc_after:.3f}, fidelity {fid:.3f} → "
        f"{fid_after:.3f}; the smaller drop is {found.drop:.3f} "
        f"(seeds: {', '.join(f'{d.min():.3f}' for d in found.drops)})",
        f"both fall by at least {DROP.full} (some points from {DROP.some})",
        DROP.usual,
        advice,
        value=found.drop,
    )


def poor_pools(part: Part, defense: Defense, seed: int, budget: int, kept: float) -> None:
    """The best thief with each pool that steals badly anyway must not profit."""
    kinds = ("digits", "patches")
    sets = [
        thieves.training_sets(defense, pool(kind, seed, budget), request=REQUEST, repeats=1)
        for kind in kinds
    ]
    best = [_best(predictions)[1] for predictions in thieves.train(sets, part.doing)]
    fidelity = {kind: scores[1] for kind, scores in zip(kinds, best, strict=True)}
    part.expect(
        max(fidelity.values()) < POOR_POOL and kept > 0,
        ", ".join(f"{kind}: fidelity {value:.2f}" for kind, value in fidelity.items()),
        f"below {POOR_POOL}" + ("" if kept > 0 else ", and honest users served"),
        "about .25 and .10",
        "The honest users pay for it: see above."
        if kept == 0
        else "A wrong answer taught the thief something: is it wrong in the same way always?",
    )
