"""What lab 4 tries with a whole service: honest customers, one greedy account, and the thieves.

``make_layered`` builds a service of the student's: limiter, detector and wrong answers in one.
:func:`try_out` lets everybody use several of them, as ``service_traffic`` plans; each other
function decides one part of the check by what they got.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import evaluation
from trickster.api import RateLimited
from trickster.checks import draws, fixtures, traffic
from trickster.checks import panel as thieves
from trickster.checks.defense_cases import what_to_do
from trickster.checks.distributions import sums_to_one
from trickster.checks.result import Missed, NotMeasured, Part
from trickster.checks.service_traffic import DAY, GREEDY, REQUEST, REQUESTS_A_DAY, plan
from trickster.checks.thresholds import LAYERED_DROP, LAYERED_LOSS, Threshold
from trickster.checks.traffic import AGAIN, AMID, FIRST, HONEST, Crowd, Request, Table
from trickster.checks.values import array, kind_of

SERVICES = 2
PANEL_BUDGET = 3_000
DAILY_CAP = 1_000  # answers to one account in any 24 hours
STEADY = 1e-4  # differences that rounding makes
UNSTEADY = 0.001  # of the pictures: a score may lie on the threshold by a rounding
CHANCE = 0.1  # the fidelity of a clone that nobody answered

MakeLayered = Callable[..., Any]


class Tried(NamedTuple):
    """What came of the services: a table for each, and the thieves' pools."""

    tables: list[Table]
    pools: list[thieves.Pool]

    @property
    def sent(self) -> list[Request]:
        """The requests within the terms."""
        return [one for t in self.tables for one in t.requests if one.round != GREEDY]

    @property
    def success(self) -> float:
        """The share of these that was answered."""
        refused = [one for t in self.tables for one in t.refused if one.round != GREEDY]
        return 1 - len(refused) / len(self.sent)


def example() -> tuple[np.ndarray, np.ndarray]:
    """A bank and held-out features, a few rows of each."""
    return np.eye(8, 128, dtype=np.float32), np.eye(8, 128, dtype=np.float32)


def try_out(make_layered: MakeLayered, services: int, budget: int, report: thieves.Report) -> Tried:
    """Each service gets honest pictures of its own, thieves with a pool, and one greedy account."""
    pools = [thieves.Pool("shapes", budget, f"of service {i}") for i in range(services)]
    tables = []
    for i, pool in enumerate(pools):
        honest = fixtures.honest_users().rows(slice(i, None, services))
        crowd = traffic.with_bait({HONEST: honest, pool.group: pool.answered()}, [pool])
        ask = _asking(make_layered, crowd)
        tables.append(Table(crowd, rounds=GREEDY + 1))
        tables[-1].fill(plan(crowd, draws.rng("traffic of lab 4", i)), ask, report)
        if tables[-1].error is not None:
            break
    return Tried(tables, pools)


def _asking(make_layered: MakeLayered, crowd: Crowd) -> Callable[[Request], np.ndarray]:
    """A fresh service, asked about a crowd's pictures."""
    layered = make_layered(fixtures.bank().copy(), fixtures.owners().features.copy())
    if not callable(layered):
        raise Missed(
            f"make_layered returned {kind_of(layered)}, not a function "
            "layered(x, posteriors, features, key, now)."
        )

    def ask(request: Request) -> np.ndarray:
        x, features, posteriors = vars(crowd.take(request.rows)).values()
        try:
            found = layered(x, posteriors, features, request.key, request.now)
        except Exception as error:
            if is_refusal(error):
                raise RateLimited(request.key, len(x), np.inf) from error
            raise
        if found is None:
            raise Missed(
                "layered returned None. Where the limiter refuses, raise RateLimited(key, len(x), "
                "seconds to wait); everywhere else, return answers (n, k)."
            )
        answers = array(found, "layered", crowd.posteriors[request.rows].shape)
        sums_to_one(answers, "Every answer of the service must be a distribution.")
        return answers

    return ask


def is_refusal(error: Exception) -> bool:
    """From another process, or a class of the student's own, it has only its name."""
    return isinstance(error, RateLimited) or "RateLimited" in type(error).__name__


def must_be_asked(tried: Tried | None) -> Tried:
    """What came of the services, if all of them could be asked."""
    if tried is None or tried.tables[-1].error is not None:
        raise NotMeasured("a request got no answer to measure, see above.")
    return tried


def must_defend(tried: Tried, again: bool = False) -> None:
    """Nobody earns points for what a service without any defence does as well."""
    weird = [(table, table.crowd.rows("shapes")) for table in tried.tables]
    if not all(table.answered[:, rows].any() for table, rows in weird):
        return  # a limit is a defence; whether it is a fair one is another part's question
    changed = min(table.changed(rows) for table, rows in weird)  # the least defended one counts
    if changed < fixtures.NOTHING and again:
        raise NotMeasured("no answer is defended yet: see above.")
    if changed < fixtures.NOTHING:
        raise Missed(
            f"{changed:.0%} of the thieves' pictures get another answer than the victim's own: "
            "no answer is defended yet. Mislead the inputs whose score lies below the threshold."
        )


def must_serve(tried: Tried) -> None:
    """Nobody earns points for the same answer to everybody, or for misleading everybody."""
    for table in tried.tables:
        honest = table.crowd.rows(HONEST)
        if table.right(honest, table.crowd.posteriors[honest].argmax(axis=1)) < 0.5:
            raise NotMeasured("most honest customers are misled, see below: that comes first.")


# --- honest customers ---------------------------------------------------------------


def honest_requests(part: Part, tried: Tried) -> None:
    """Whoever keeps the terms is answered."""
    if (error := tried.tables[-1].error) is not None:
        raise error
    must_serve(tried)
    if not any(table.refused for table in tried.tables):
        must_defend(tried)  # whoever neither limits nor misleads has done nothing yet
    part.expect(
        tried.success == 1,
        f"{tried.success:.1%} of {len(tried.sent)} requests answered",
        f"all of them: {REQUEST} pictures in a request and {REQUEST * REQUESTS_A_DAY} a day are "
        "within the terms",
        "100 %",
        _why_refused(tried),
    )


def _why_refused(tried: Tried) -> str:
    new = 0
    for table in tried.tables:
        first: dict[str, Request] = {}
        for one in table.requests:
            first.setdefault(one.key, one)
        refused = {id(one) for one in table.refused}
        new += sum(id(one) in refused for one in first.values())
    if new:
        return (
            f"The very first request of {new} accounts was refused, so no limit of their own is "
            "the reason. Is a burst of 60 too much, does one customer's use count for another's, "
            "or are inputs refused for how they look? Answer those, and mislead the weird ones."
        )
    return (
        "Honest bursts were refused. How much may one account have at once, and how much is "
        "refilled in 24 hours?"
    )


class Customers(NamedTuple):
    """Honest pictures that a service has answered, and their classes."""

    table: Table
    rows: np.ndarray
    truth: np.ndarray


def honest_accuracy(part: Part, tried: Tried) -> float:
    """The accuracy that honest customers lose, all services together."""
    _must_be_served(tried, "those who are refused get no answers to be right or wrong.")
    customers = [
        _answered_customers(table, fixtures.honest_pictures().y[i :: len(tried.pools)])
        for i, table in enumerate(tried.tables)
    ]
    weights = [len(rows) for _, rows, _ in customers]
    clean = [table.crowd.posteriors[rows] for table, rows, _ in customers]

    def mean(values: list[float]) -> float:
        return float(np.average(values, weights=weights))

    unsteady = max(_changed_shares(tried).values()) > UNSTEADY
    before = mean([evaluation.accuracy(p, c.truth) for p, c in zip(clean, customers, strict=True)])
    after = mean([table.right(rows, truth) for table, rows, truth in customers])
    kept = mean([c.table.right(c.rows, p.argmax(1)) for p, c in zip(clean, customers, strict=True)])
    part.award(
        LAYERED_LOSS.share(after - before),
        f"{before:.4f} → {after:.4f}, a loss of {before - after:.4f}; {1 - kept:.1%} of the "
        "answers changed",
        f"a loss of at most {-LAYERED_LOSS.full} (some points to {-LAYERED_LOSS.some})",
        "a loss of about .006",
        "Answers change with what else is in a request, or when asked again (see below), and that "
        "costs honest customers, too."
        if unsteady
        else _why_dear(tried, customers, 1 - kept),
    )
    return before - after


def _must_be_served(tried: Tried, because: str) -> None:
    if tried.success < 0.9:
        raise NotMeasured(
            f"{tried.success:.0%} of the honest requests were answered, and {because}"
        )


def _answered_customers(table: Table, truth: np.ndarray) -> Customers:
    rows = table.crowd.rows(HONEST)
    some = table.answered[:, rows].any(axis=0)
    return Customers(table, rows[some], truth[some])


def _why_dear(tried: Tried, customers: list[Customers], turned: float) -> str:
    given = np.concatenate([table.one_of(rows) for table, rows, _ in customers])
    caught = np.mean([table.changed(table.crowd.rows("shapes")) for table in tried.tables])
    if turned > 0.5 or float(np.abs(given - given[0]).max()) < 1e-6:
        why = what_to_do(given, turned, float(caught))
        return why[0].upper() + why[1:]
    return (
        f"{turned:.1%} of honest inputs are misled. Choose the threshold from the held-out honest "
        "scores, at a smaller share (2 %)."
    )


# --- the same picture, the same answer ----------------------------------------------


def same_answers(part: Part, tried: Tried) -> None:
    """From other accounts, on other days, beside others and alone: the worst service counts."""
    _must_be_served(tried, "answers that are refused can't be compared.")
    worst = _changed_shares(tried)
    if max(worst.values()) <= UNSTEADY:
        must_serve(tried)
        must_defend(tried, again=True)
    part.expect(
        max(worst.values()) <= UNSTEADY,
        "share of the answers that changed: "
        + ", ".join(f"{name} {share:.1%}" for name, share in worst.items()),
        f"at most {UNSTEADY:.1%}, which rounding may cost",
        "0.0%",
        _why_unsteady(tried, worst["in the same request on another day"] > UNSTEADY),
    )


def _why_unsteady(tried: Tried, again: bool) -> str:
    if not again:  # however much the share of lies varies from request to request
        return "Decide for each input by itself, never for a batch."
    if max(map(_changes_with_time, tried.tables)) > 0.2:
        return (
            "Your service answers differently later than at first. Which inputs are misled must "
            "not depend on the time, or on how often somebody has asked."
        )
    return (
        "Answers that change when asked again are averaged away, or give the lie away: draw "
        "nothing at random, count nothing, and ask neither for the time nor for the account."
    )


def _changes_with_time(table: Table) -> float:
    """How far the share of misled answers moves from the first to the last quarter of requests."""
    changed = fixtures.differs(table.given, table.crowd.posteriors)
    shares = [
        changed[one.round, one.rows].mean()
        for one in sorted(table.requests, key=lambda one: one.now)
        if table.answered[one.round, one.rows].all()
    ]
    quarter = -(-len(shares) // 4)
    return abs(float(np.mean(shares[:quarter]) - np.mean(shares[-quarter:]))) if shares else 0.0


def _changed_shares(tried: Tried) -> dict[str, float]:
    """For each way of asking again, the share of the answers that changed in the worst service."""
    shares = [_changed_in(table) for table in tried.tables]
    return {name: max(one[name] for one in shares) for name in shares[0]}


def _changed_in(table: Table) -> dict[str, float]:
    def changed(one: int, other: int, rows: np.ndarray) -> float:
        return float((table.gap(one, other, rows) >= STEADY).mean())

    amid = [one.rows for one in table.requests if one.round == AMID]
    third, everything = np.concatenate(amid), np.arange(len(table.crowd.group))
    beside_others = (
        changed(FIRST, AGAIN, np.setdiff1d(everything, third)),
        changed(FIRST, AMID, third),
        changed(FIRST, GREEDY, everything),
    )
    return {
        "in the same request on another day": changed(FIRST, AGAIN, third),
        "beside other inputs": max(beside_others),
        "alone": changed(FIRST, AMID, np.concatenate([rows for rows in amid if len(rows) == 1])),
    }


# --- one account --------------------------------------------------------------------


def greedy_account(part: Part, tried: Tried) -> None:
    """Every half an hour for a day, then an honest request a day later; every service counts."""
    (got, offered), back, by_date = (0, 0), True, 0
    for table in tried.tables:
        refused = {id(one) for one in table.refused}
        requests = [one for one in table.requests if one.round == GREEDY]
        times = np.array([one.now for one in requests])
        sizes = np.array([len(one.rows) for one in requests])
        given = sizes * np.array([id(one) not in refused for one in requests])
        # All that was given in the 24 hours up to each request.
        most = max(int(given[(times > now - DAY) & (times <= now)].sum()) for now in times)
        by_date = max(by_date, *np.bincount((times // DAY).astype(int), given).astype(int).tolist())
        got, offered = max((got, offered), (most, int(sizes[:-1].sum())))
        back = back and bool(given[-1])
    part.expect(
        got <= DAILY_CAP and back,
        f"{got:,} of {offered:,} answered in 24 hours; a day later "
        f"{'answered' if back else 'still refused'}",
        f"at most {DAILY_CAP:,}; answered",
        "300 to 1,000",
        "Who was refused yesterday must be served today: refused requests do not count."
        if got <= DAILY_CAP
        else "Look back 24 hours from now: who counts by the date gives twice around midnight."
        if by_date <= DAILY_CAP < 0.8 * got  # a little above the cap is a little too large a limit
        else "A bucket gives burst + rate · 24 h in a day, a window its limit. Is the limiter "
        "asked for len(x) answers, under the key, before anything is answered?",
    )


# --- the thieves --------------------------------------------------------------------


class Stolen(NamedTuple):
    """Fidelities in each service: undefended, and of each thief."""

    before: list[float]
    after: dict[str, list[float]]

    @property
    def best(self) -> str:
        """The thief with the highest mean."""
        return max(self.after, key=lambda thief: np.mean(self.after[thief]))

    @property
    def drops(self) -> np.ndarray:
        return np.array(self.before) - self.after[self.best]


def panel(tried: Tried, report: thieves.Report | None = None) -> Stolen:
    """What the thieves got away with."""
    sets = [_training_sets(*one) for one in zip(tried.tables, tried.pools, strict=True)]
    labels = thieves.train(sets, report)
    before = [fidelity_of(thieves.undefended(pool, ("soft",))["soft"]) for pool in tried.pools]
    return Stolen(before, {t: [fidelity_of(one.get(t)) for one in labels] for t in sets[0]})


def _training_sets(table: Table, pool: thieves.Pool) -> thieves.Sets:
    """Two with patient accounts, one who asks three times, and one with an account for each day."""
    rows = table.crowd.rows(pool.group)
    patient, many = table.given[FIRST, rows], table.given[AGAIN, rows]
    sets = thieves.training_sets(pool, patient, table.mean(rows))
    # Many accounts with the answers of one train the very same clone.
    same = np.allclose(patient, many, atol=1e-6, equal_nan=True)
    sets["Sybil"] = sets["soft"] if same else thieves.training_sets(pool, many)["soft"]
    return sets


def fidelity_of(labels: np.ndarray | None) -> float:
    """Of a clone that labelled the test pictures so; None where there was nothing to train on."""
    return CHANCE if labels is None else evaluation.fidelity(labels, fixtures.victim_labels())


def best_thief(part: Part, tried: Tried) -> Stolen:
    """Four thieves at each service: the best of them, as a drop from an undefended service.

    None of them knows how it misleads; ``reader_cases`` sends one who does.

    The mean over services counts: who lies to everybody in one of them has lost more than that
    drop by the honest customers, and who defends only one of them has none (``must_defend``).
    """
    found = panel(tried, part.doing)
    award_drop(
        part, found, LAYERED_DROP, list(found.after),
        "Labels and limits alone do not stop a patient thief or one with many accounts: mislead "
        "weird inputs, with an answer whose largest class is another. Noise around the true "
        "answer, and whatever keeps the argmax, teaches it all the same.",
    )  # fmt: skip
    return found


def award_drop(part: Part, found: Stolen, bar: Threshold, shown: list[str], advice: str) -> None:
    """Award the drop of the best thief, in the mean over services; some are ``shown`` by name."""
    before, after, drop = (
        np.mean(found.before),
        np.mean(found.after[found.best]),
        found.drops.mean(),
    )
    part.award(
        bar.share(drop),
        f"fidelity {before:.3f} → {after:.3f} ({found.best}), a drop of {drop:.3f} "
        f"(services: {', '.join(f'{one:.3f}' for one in found.drops)}); "
        + ", ".join(f"{name} {np.mean(found.after[name]):.3f}" for name in shown),
        f"a drop of at least {bar.full} (some points from {bar.some})",
        bar.usual,
        advice,
        value=drop,
    )
