"""What lab 4 tries with a whole service: honest customers, one greedy account, and the thieves.

Each function decides one part of the check. ``make_layered`` builds a service of the student's:
limiter, detector and wrong answers in one. It is asked as any defence is, see :class:`Service`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import evaluation
from trickster.api import Query, RateLimited
from trickster.checks import fixtures
from trickster.checks import panel as thieves
from trickster.checks.distributions import sums_to_one
from trickster.checks.fixtures import Answered, joined
from trickster.checks.panel import DAY, REQUESTS_A_DAY, Account, InRequests, ask
from trickster.checks.result import Missed, Part, array
from trickster.checks.thresholds import LAYERED_DROP, LAYERED_LOSS

POOL_SEED = 8_000  # the checks' pools; the labs draw theirs from small seeds
PANEL_SEEDS = (0, 1)
REQUEST = 60  # pictures in an honest customer's request
DAILY_CAP = 1_000  # answers to one account in any 24 hours
PANEL_BUDGET = 3_000
ACCOUNTS = 10
BESIDE_OTHERS = 300  # weird pictures that are asked about alone and beside other inputs
CHANCE = 0.1  # the fidelity of a clone that nobody answered

MakeLayered = Callable[..., Any]


class Service:
    """A student's service as an ``api.Defense`` that also refuses, and counts what it did."""

    def __init__(self, make_layered: MakeLayered):
        owner = fixtures.owners()
        self._layered = make_layered(fixtures.bank().copy(), owner.features.copy())
        if not callable(self._layered):
            raise Missed(
                f"make_layered returned a {type(self._layered).__name__}; asked a function "
                "layered(x, posteriors, features, key, now)."
            )
        self.requests = self.refused = 0

    def __call__(self, posteriors: np.ndarray, query: Query) -> np.ndarray:
        """Answers ``(n, k)``; raises ``RateLimited`` where the student's service does."""
        shape = posteriors.shape
        self.requests += 1
        try:
            found = self._layered(query.x, posteriors, query.features, query.key, query.now)
        except Exception as error:
            # From another process, or a class of the student's own, it has only its name.
            if isinstance(error, RateLimited) or "RateLimited" in type(error).__name__:
                self.refused += 1
                raise RateLimited(query.key, len(query.x), math.inf) from error
            raise
        answers = array(found, "layered", shape)
        sums_to_one(answers, "Every answer of the service must be a distribution.")
        return answers


def _pool(seed: int, budget: int = PANEL_BUDGET) -> thieves.Pool:
    return thieves.Pool("shapes", budget, POOL_SEED + seed, seed)


def _weird(n: int) -> Answered:
    return _pool(PANEL_SEEDS[0]).answered().rows(slice(n))


def must_defend(make_layered: MakeLayered, again: bool = False) -> None:
    """Nobody earns points for what a service without any defence does as well."""
    weird = _weird(REQUEST)
    try:
        answers = ask(Service(make_layered), weird, "ann")
    except RateLimited:
        return  # a limit is a defence; whether it is a fair one is another part's question
    changed = fixtures.changed(answers, weird.posteriors)
    if changed < fixtures.NOTHING and again:
        raise Missed("no answer is defended yet: see above.")
    if changed < fixtures.NOTHING:
        raise Missed(
            f"{changed:.0%} of {REQUEST} weird pictures get another answer than the victim's own: "
            "no answer is defended yet. Mislead the inputs whose score lies below the threshold."
        )


# --- honest customers ---------------------------------------------------------------


class Served(NamedTuple):
    """What honest customers got: answers, NaN where refused, and how many requests passed."""

    answers: np.ndarray
    success: float


NOBODY = Served(np.empty((0, 10)), 0.0)


def honest_requests(part: Part, make_layered: MakeLayered) -> Served:
    """Nine customers on one day, and one of them again on the next."""
    service, honest, day = Service(make_layered), fixtures.held_out(), REQUEST * REQUESTS_A_DAY
    shops = [
        InRequests(Account(service, honest, f"shop {i}"), REQUEST)
        for i in range(-(-len(honest.x) // day))
    ]
    answers = [shop.query(honest.x[day * i : day * (i + 1)]) for i, shop in enumerate(shops)]
    shops[0].query(honest.x[:day])
    success = 1 - service.refused / service.requests
    part.expect(
        success == 1,
        f"{success:.1%} of {service.requests} requests answered",
        "all of them: 60 pictures in a request and 300 a day are within the terms",
        "100 %",
        "Honest bursts were refused. How much may one account have at once, how much is "
        "refilled in 24 hours, and does one customer's use count for another's?",
    )
    return Served(np.concatenate(answers), success)


def honest_accuracy(part: Part, served: Served) -> float:
    """The accuracy that honest customers lose."""
    if served.success < 0.9:
        raise Missed(
            f"not measured: {served.success:.0%} of the honest requests were answered, and those "
            "who are refused have no accuracy."
        )
    kept = ~np.isnan(served.answers).any(axis=1)
    truth = fixtures.fashion().y_test[fixtures.HELD_OUT][kept]
    given, clean = served.answers[kept], fixtures.held_out().posteriors[kept]
    before, after = evaluation.accuracy(clean, truth), evaluation.accuracy(given, truth)
    loss = before - after
    turned = float(np.mean(given.argmax(axis=1) != clean.argmax(axis=1)))
    part.award(
        LAYERED_LOSS.share(-loss),
        f"{before:.4f} → {after:.4f}, a loss of {loss:.4f}; {turned:.1%} of the answers changed",
        f"a loss of at most {-LAYERED_LOSS.full} (some points to {-LAYERED_LOSS.some})",
        "a loss of about .004",
        _why_dear(turned, given),
    )
    return loss


def _why_dear(turned: float, given: np.ndarray) -> str:
    if float(np.abs(given - given[0]).max()) < 1e-6:
        return "Everybody gets one and the same answer, which is no service at all."
    if turned > 0.5:
        return (
            "Nearly everybody is misled. Mislead only the inputs whose score lies *below* the "
            "threshold: scores are higher for normal inputs."
        )
    return (
        f"{turned:.1%} of honest inputs are misled. Choose the threshold from the held-out honest "
        "scores, at a smaller share (2 %)."
    )


# --- the same picture, the same answer ----------------------------------------------


def same_answers(part: Part, make_layered: MakeLayered) -> None:
    """In another order, beside other inputs, from another account, on another day."""
    service = Service(make_layered)
    try:
        off = _again_and_in_pieces(service) | _beside_others(service, _weird(BESIDE_OTHERS))
    except RateLimited:
        raise Missed(
            "a request of at most 60 pictures was refused, so answers can't be compared."
        ) from None
    worst = max(off, key=off.get)
    part.expect(
        off[worst] < 1e-4,
        f"largest difference {off[worst]:.2g}, {worst}",
        "0",
        "below 1e-6",
        "Answers that change when asked again are averaged away, or betray the lie: draw nothing "
        "at random."
        if off["asked again the next day"] >= 1e-4
        else "Decide for each input by itself, never for a batch.",
    )


def _again_and_in_pieces(service: Service) -> dict[str, float]:
    """How far answers to a half-honest request change when it comes again, turned and in parts."""
    mixed = joined(fixtures.held_out().rows(slice(30)), _weird(30))
    first = ask(service, mixed, "ann", 0.0)
    turned = ask(service, mixed.rows(slice(None, None, -1)), "bob", 30.0)
    again = ask(service, mixed, "ann", DAY + 1.0)
    pieces = [ask(service, mixed.rows(slice(i, i + 10)), "eve", float(i)) for i in range(0, 60, 10)]
    return {
        "asked again the next day": _gap(again, first),
        "in reverse order": _gap(turned[::-1], first),
        "ten at a time": _gap(np.concatenate(pieces), first),
    }


def _beside_others(service: Service, weird: Answered) -> dict[str, float]:
    """How far answers to weird pictures change amid honest ones, 12 at a time, and alone.

    Whoever decides for a batch by its majority is steady in a mixed one, and in its pieces.
    """
    day, few = 3, 12
    together = InRequests(Account(service, weird, "dan", day), REQUEST).query(weird.x)
    honest = fixtures.held_out().rows(slice(REQUEST - few))
    amid = []
    for i in range(0, len(weird.x), few):
        turn, minute = divmod(i // few, REQUESTS_A_DAY)
        mixed = joined(weird.rows(slice(i, i + few)), honest)
        now = float(day * (DAY + 300)) + 60.0 * minute
        amid.append(ask(service, mixed, f"fay {turn}", now)[:few])
    start = float(day * (DAY + 300))
    alone = [ask(service, weird.rows(slice(i, i + 1)), "gus", start + i) for i in range(few)]
    if np.isnan(together).any():
        raise Missed("a request of at most 60 pictures was refused, so answers can't be compared.")
    return {
        "weird pictures among themselves and amid honest ones": _gap(
            together, np.concatenate(amid)
        ),
        "weird pictures among themselves and alone": _gap(together[:few], np.concatenate(alone)),
    }


def _gap(some: np.ndarray, others: np.ndarray) -> float:
    return float(np.abs(some - others).max())


# --- one account --------------------------------------------------------------------


def greedy_account(part: Part, make_layered: MakeLayered) -> None:
    """Fifty pictures every ten minutes for a day, then an honest request a day later."""
    service, request = Service(make_layered), _weird(50)
    got = sum(50 for t in range(0, DAY, 600) if _answered(service, request, float(t)))
    back = _answered(service, request, 2.0 * DAY + 600)
    part.expect(
        got <= DAILY_CAP and back,
        f"{got:,} of 7,200 answered; a day later {'answered' if back else 'still refused'}",
        f"at most {DAILY_CAP:,}; answered",
        "300 to 900",
        "Who was refused yesterday must be served today: refused requests do not count."
        if got <= DAILY_CAP
        else "A bucket gives burst + rate · 24 h in a day, a window its limit. Is the limiter "
        "asked for len(x) answers, under the key, before anything is answered?",
    )


def _answered(service: Service, request: Answered, now: float) -> bool:
    try:
        ask(service, request, "greedy", now)
    except RateLimited:
        return False
    return True


# --- the thieves --------------------------------------------------------------------


def panel(
    make_layered: MakeLayered,
    seeds: tuple[int, ...] = PANEL_SEEDS,
    budget: int = PANEL_BUDGET,
    report: thieves.Report | None = None,
) -> tuple[float, dict[str, float]]:
    """Mean fidelity of an undefended theft, and of each thief against fresh services."""
    pools = [_pool(seed, budget) for seed in seeds]
    sets = [
        thieves.training_sets(Service(make_layered), pool, request=REQUEST, accounts=ACCOUNTS)
        for pool in pools
    ]
    predictions = thieves.train(sets, report)
    means = {
        thief: float(np.mean([_fidelity(one.get(thief)) for one in predictions]))
        for thief in sets[0]
    }
    before = [_fidelity(thieves.undefended(pool, ("soft",))["soft"]) for pool in pools]
    return float(np.mean(before)), means


def _fidelity(labels: np.ndarray | None) -> float:
    """Of a clone that labelled the test pictures so; None where there was nothing to train on."""
    return CHANCE if labels is None else evaluation.fidelity(labels, fixtures.victim_labels())


def best_thief(part: Part, make_layered: MakeLayered, seeds: tuple[int, ...], budget: int) -> None:
    """Four thieves over seeds: the best of them, as a drop from the undefended service."""
    before, means = panel(make_layered, seeds, budget, part.doing)
    best = max(means, key=means.get)
    part.award(
        LAYERED_DROP.share(before - means[best]),
        f"fidelity {before:.3f} → {means[best]:.3f} ({best}), a drop of {before - means[best]:.3f} "
        f"over {len(seeds)} seeds; "
        + ", ".join(f"{name} {mean:.3f}" for name, mean in means.items()),
        f"a drop of at least {LAYERED_DROP.full} (some points from {LAYERED_DROP.some})",
        LAYERED_DROP.usual,
        "Labels and limits alone do not stop a patient thief or one with ten accounts: mislead "
        "weird inputs, with an answer whose largest class is another. Noise around the true "
        "answer, and whatever keeps the argmax, teaches it all the same.",
        value=before - means[best],
    )
