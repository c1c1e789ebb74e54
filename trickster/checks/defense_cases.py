"""What lab 3 tries with a defence: steady answers, honest users, and the thieves.

:func:`try_out` asks about everything, mixed; each other function decides one part of the check by
the answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import evaluation
from trickster.checks import draws, fixtures, traffic
from trickster.checks import panel as thieves
from trickster.checks.distributions import distributions, given_read_only
from trickster.checks.fixtures import HELD_OUT, NOTHING, held_out
from trickster.checks.result import Missed, NotMeasured, Part
from trickster.checks.thresholds import DROP, HONEST_FLAGGED, HONEST_LOSS, POOR_POOL
from trickster.checks.traffic import AGAIN, AMID, FIRST, HONEST, Crowd, Request, Table

PANEL_POOLS = 2  # of each kind
PANEL_BUDGET = 3_000
SMALLEST, LARGEST = 16, 400  # pictures in a request, but for those that come alone
OF_THE_REQUEST = (
    "A threshold that is taken from the request always flags the same share of it, whoever asks: "
    "take it once, before the first request, from the held-out honest scores."
)
IN_PLACES = (
    "The same places of each request are flagged, whatever is asked: score the features that "
    "trickster is given, not those of another cell."
)
LARGE = 100  # pictures in a request that shows which share of it is flagged
ALONE = 24
STEADY = 1e-3  # differences that rounding makes
UNSTEADY = 0.001  # of the pictures: a score may lie on the threshold by a rounding
WEAK = 0.2  # who changes the answers to fewer weird inputs has a score that is of little use
POOR = ("digits", "patches")
MISINFORM = "misinform(posteriors)"  # lab 3's lie, as a learner writes it
LEARNS_FROM = {"soft": "soft labels", "hard": "hard labels"}


def pool(kind: str, number: int, budget: int = PANEL_BUDGET) -> thieves.Pool:
    """A thief's pictures, as many as its budget; digits are rarer."""
    return thieves.Pool(kind, min(1_500, budget) if kind == "digits" else budget, str(number))


def panel_pools(kind: str, pools: int, budget: int) -> list[thieves.Pool]:
    """Those that the panel's thieves own."""
    return [pool(kind, number, budget) for number in range(pools)]


def example() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two pictures, with posteriors and features, in the shapes in which a defence gets them."""
    return (
        np.zeros((2, 1, 28, 28), np.float32),
        np.full((2, 10), 0.1, np.float32),
        np.ones((2, 128), np.float32),
    )


# --- everything at once -------------------------------------------------------------


def try_out(
    trickster: Callable[..., Any], pools: int, budget: int, report: thieves.Report
) -> Table:
    """What everybody gets to see: honest users, and thieves with so many pools of each kind."""
    owned = [one for kind in ("shapes", "hidden") for one in panel_pools(kind, pools, budget)]
    owned += [pool(kind, 0, budget) for kind in POOR]
    groups = {HONEST: fixtures.honest_users(), **{one.group: one.answered() for one in owned}}
    crowd = traffic.with_bait(groups, [pool("shapes", 0, budget), pool("hidden", 0, budget)])

    def ask(request: Request) -> np.ndarray:
        asked = crowd.take(request.rows)
        found = trickster(asked.x, asked.posteriors, asked.features)
        return distributions(found, "trickster", len(request.rows))

    table = Table(crowd)
    table.fill(plan(crowd), ask, report)
    return table


def plan(crowd: Crowd) -> list[Request]:
    """Everything once; then a third of it twice more, in the same requests and in other company."""
    rng = draws.rng("traffic of lab 3")
    sizes = traffic.log_uniform(rng, SMALLEST, LARGEST)
    third, honest = crowd.a_third(rng), crowd.group == HONEST
    rest = np.setdiff1d(np.arange(len(crowd.group)), third)
    repeated = traffic.lots(rng, third, sizes)
    first = [Request(FIRST, rows) for rows in [*repeated, *traffic.lots(rng, rest, sizes)]]
    later = [Request(AGAIN, rows) for rows in repeated]
    later += [Request(AMID, rows) for rows in traffic.in_company(rng, third, honest, sizes, ALONE)]
    return [part[i] for part in (first, later) for i in rng.permutation(len(part))]


def must_defend(caught: float, first: Table | None = None, lie: str = MISINFORM) -> None:
    """Nobody earns points for what a service without any defence does as well.

    The ``first`` part that asks is given the table, and says why nothing is defended, and which
    function tells the lab's ``lie``.
    """
    if caught >= NOTHING:
        return
    if first is None:
        raise NotMeasured("nothing is defended yet: see above.")
    advice = _of_the_request(first) or (
        f"Recognise weird inputs by their score, and answer those with {lie}. If "
        "yours are, the comparison is the wrong way round (weird is a score below the threshold), "
        "or the threshold is too low: take it from the held-out honest scores, and not from the "
        "first request."
    )
    raise Missed(
        f"{caught:.0%} of the weird inputs get another answer than the victim's own: nothing is "
        f"defended yet. {advice}"
    )


def _of_the_request(table: Table) -> str:
    """What is wrong if large requests decide which share, or which places, of them is flagged."""
    lowest, highest = 0.0, 1.0
    places = np.zeros(0, bool)  # of the largest request so far
    alike, other = 0, 0  # requests that are flagged in the same places, or not
    for request in table.requests:
        if (n := len(request.rows)) >= LARGE:
            given = table.given[request.round, request.rows]
            flagged = fixtures.differs(given, table.crowd.posteriors[request.rows])
            both = min(n, len(places))
            alike += np.array_equal(flagged[:both], places[:both]) and flagged[:both].any()
            other += not np.array_equal(flagged[:both], places[:both])
            places = flagged if n > len(places) else places
            share = flagged.sum()
            lowest, highest = max(lowest, (share - 1) / n), min(highest, (share + 1) / n)
    if alike > 2 and other == 0 and not places.all():
        return IN_PLACES
    return OF_THE_REQUEST if 0 < lowest <= highest else ""


def must_serve(table: Table) -> None:
    """Nobody earns points for giving everybody the same answer, or for misleading everybody."""
    honest = table.crowd.rows(HONEST)
    wanted = table.crowd.posteriors[honest].argmax(axis=1)
    if table.right(honest, wanted) < 0.5:
        raise NotMeasured("most honest users are misled, see below: that comes first.")


def must_be_asked(table: Table | None) -> Table:
    """The table, if everything in it was asked at least once."""
    if table is None or not table.answered[FIRST].all():
        raise NotMeasured("a request got no answer to measure, see above.")
    return table


# --- the same question, the same answer ---------------------------------------------


def same_answers(part: Part, table: Table, caught: float, lie: str = MISINFORM) -> None:
    """Every third picture: in the same request again, beside others, and some of them alone."""
    if table.error is not None:
        raise table.error
    must_defend(caught, table, lie)
    again = np.concatenate([one.rows for one in table.requests if one.round == AGAIN])
    alone = [one.rows[0] for one in table.requests if one.round == AMID and len(one.rows) == 1]
    changed = {
        "in the same request again": table.gap(FIRST, AGAIN, again) >= STEADY,
        "beside other inputs": table.gap(FIRST, AMID, again) >= STEADY,
        "alone": table.gap(FIRST, AMID, np.array(alone)) >= STEADY,
    }
    shares = {name: float(each.mean()) for name, each in changed.items()}
    if max(shares.values()) <= UNSTEADY:
        must_serve(table)
    part.expect(
        max(shares.values()) <= UNSTEADY,
        f"of {len(again):,} answers changed: "
        + ", ".join(f"{name} {share:.1%}" for name, share in shares.items()),
        f"at most {UNSTEADY:.1%}, which rounding may cost",
        "0.0%",
        "Answers change when asked again: whoever repeats a question and averages gets the truth. "
        "Draw nothing at random, and count nothing."
        if shares["in the same request again"] > UNSTEADY
        else "An answer depends on its neighbours in the batch: decide for each input by itself."
        + f" {_of_the_request(table)}",
    )


def must_leave_its_inputs(trickster: Callable[..., Any], table: Table) -> None:
    """Raises :class:`Missed` for a defence that writes into what it is given."""
    rng = draws.rng("a request that is read-only")
    kinds = table.crowd.rows(HONEST), table.crowd.rows("shapes")
    asked = table.crowd.take(np.concatenate([rng.choice(rows, SMALLEST * 4) for rows in kinds]))
    given = {"pictures": asked.x, "posteriors": asked.posteriors, "features": asked.features}
    for what in ("posteriors", "features", "pictures"):

        def locked(one: np.ndarray, what: str = what) -> Any:
            return trickster(*(given | {what: one}).values())

        given_read_only(locked, "trickster", given[what], what=what)


# --- honest users -------------------------------------------------------------------


def honest_users(part: Part, table: Table, steady: float) -> float:
    """Award what honest users keep; returns the share of the thieves' points it leaves open."""
    rows, truth = table.crowd.rows(HONEST), fixtures.honest_pictures().y
    clean = table.crowd.posteriors[rows]
    before, after = evaluation.accuracy(clean, truth), table.right(rows, truth)
    flagged, loss = table.changed(rows), before - after
    fine_loss, fine_flag = loss <= HONEST_LOSS, flagged <= HONEST_FLAGGED
    why = (
        "that answers change, see above, costs them too."
        if steady < 1 and flagged <= 0.5
        else what_to_do(table.one_of(rows), flagged, table.changed(table.crowd.rows("shapes")))
    )
    part.award(
        0.5 * fine_loss + 0.5 * fine_flag,
        f"accuracy {before:.4f} → {after:.4f}, a loss of {100 * loss:.2f} points; {flagged:.2%} "
        f"of {len(rows):,} honest inputs are treated as weird",
        f"a loss of at most {100 * HONEST_LOSS:.1f} points, at most {HONEST_FLAGGED:.0%}",
        "about 0.6 points, 1.7%",
        f"Honest users lose {100 * loss:.2f} points (allowed: {100 * HONEST_LOSS:.1f}). Your "
        f"defence treats {flagged:.2%} of them as weird; {why}",
    )
    return float(np.clip(1 - (loss - HONEST_LOSS) / 0.02, 0, 1)) * float(flagged < 0.1)


def what_to_do(given: np.ndarray, flagged: float, caught: float) -> str:
    """Why honest users are misled: by their answers, and by the shares of them and of shapes."""
    if float(np.abs(given - given[0]).max()) < 1e-6:
        return "everybody gets one and the same answer, which is no service at all."
    if flagged > 0.5 and caught > flagged - 0.05:  # turned round, fewer shapes are flagged
        return (
            "nearly everybody is misled, thieves and customers alike: the threshold is far too "
            "high, or does not decide. Training pictures give one that is too high, since each is "
            "its own nearest neighbour in the bank: take it from the held-out honest scores."
        )
    if flagged > 0.5:
        return (
            "the comparison is the wrong way round: scores are higher for normal inputs, so weird "
            "is a score below the threshold."
        )
    return (
        "pick the threshold from the held-out honest scores, not from the pool, and allow about "
        "2 % of them below it."
    )


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
    table: Table, kind: str, pools: int, budget: int, report: thieves.Report | None = None
) -> Panel:
    """Thieves with their own pools of ``kind``: undefended, and with the answers of the table."""
    owned = panel_pools(kind, pools, budget)
    before = [best(thieves.undefended(one, ("soft", "hard")))[1] for one in owned]
    sets = [_training_sets(table, one) for one in owned]
    after = [best(predictions) for predictions in thieves.train(sets, report)]
    return Panel(np.array(before), np.array([scores for _, scores in after]), after[-1][0])


def _training_sets(table: Table, owned: thieves.Pool, averaging: bool = True) -> thieves.Sets:
    """What the thieves who own a pool learn from."""
    rows = table.crowd.rows(owned.group)
    return thieves.training_sets(owned, table.one_of(rows), table.mean(rows) if averaging else None)


def best(predictions: thieves.Predictions) -> tuple[str, tuple[float, float]]:
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


def must_be_bearable(kept: float) -> None:
    """Clones are trained only where their drop counts for anything."""
    if kept == 0:
        raise NotMeasured(
            "honest users pay for it (see above), and what a thief loses counts only "
            "as far as they do not."
        )


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


def poor_pools(part: Part, table: Table, budget: int) -> None:
    """The best thief with each pool that steals badly anyway must not profit."""
    sets = [_training_sets(table, pool(kind, 0, budget), averaging=False) for kind in POOR]
    after = [best(predictions)[1] for predictions in thieves.train(sets, part.doing)]
    fidelity = {kind: scores[1] for kind, scores in zip(POOR, after, strict=True)}
    part.expect(
        max(fidelity.values()) < POOR_POOL,
        ", ".join(f"{kind}: fidelity {value:.2f}" for kind, value in fidelity.items()),
        f"below {POOR_POOL}",
        "about .25 and .10",
        "A wrong answer taught the thief something: is it wrong in the same way always?",
    )
