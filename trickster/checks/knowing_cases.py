"""What lab 5 tries with a whole defence: honest users, and thieves, one of whom runs its code.

Two services run the student's defence, each with a key of its own. :func:`try_out` asks both about
everything, mixed, and now and then as the thieves ask a service that they run themselves, with
keys of theirs. Each other function decides one part of the check; what labs 3 and 5 ask alike is
in ``defense_cases``.

No thief here asks in order to find out lies. The last part's oracle bounds those who would leave
lies out (``probing.copying``), but not one who undoes them (``probing.walking``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from trickster import adaptive_attacks, defenses
from trickster.attacks import TrainingSet
from trickster.checks import defense_cases, draws, fixtures, keyed_cases, outlier_cases, traffic
from trickster.checks import panel as thieves
from trickster.checks.defense_cases import ALONE, LARGEST, SMALLEST, STEADY, Panel
from trickster.checks.distributions import distributions, given_read_only
from trickster.checks.result import NotMeasured, Part
from trickster.checks.thresholds import Threshold
from trickster.checks.traffic import AGAIN, AMID, FIRST, HONEST, Crowd, Request, Table

SERVICES = 2  # each has its key, and the thieves of a panel with a pool of each kind
POOLS = {"shapes": 6, "hidden": SERVICES}  # what an oracle gets varies much from pool to pool
OWN = AMID + 1  # the round in which thieves ask their own services
TRIED = 40  # keys that they try, beside the other service's
EPOCHS, MOST = 10, 100  # of a clone with a full budget, and of one with few answers
LIE = "keyed_lie(posteriors, features, key)"  # as a learner writes it
KNOWN = 0.5  # who can repeat so many of the lies has found them out


class Tried(NamedTuple):
    """What came of both services: their answers, and what other keys answer."""

    table: Table
    own: np.ndarray  # (pictures, k), NaN where no thief has asked their own service
    keys: np.ndarray  # (pictures,) the number of the key they asked it with, -1 for none


def example() -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Two pictures, with posteriors, statistics and a key, in the shapes a defence gets them in."""
    x, posteriors, _ = defense_cases.example()
    return x, posteriors, np.ones((2, 322), np.float32), keyed_cases.key("example")


# --- everything at once ---------------------------------------------------------------------


def try_out(defend: Callable[..., Any], budget: int, report: thieves.Report) -> Tried:
    """What everybody gets to see: honest users, and a thief with each pool."""
    crowd, statistics = everybody(budget)

    def ask(request: Request) -> np.ndarray:
        asked = crowd.take(request.rows)
        found = defend(asked.x, asked.posteriors, statistics[request.rows], request.key)
        return distributions(found, "defend", len(request.rows))

    table = Table(crowd, rounds=OWN + 1)
    requests = plan(crowd)
    table.fill(requests, ask, report)
    own, keys = table.given[OWN].copy(), np.full(len(crowd.group), -1)
    for i, one in enumerate(one for one in requests if one.round == OWN):
        keys[one.rows] = i
    table.given[OWN] = np.nan  # those were not the services' answers
    return Tried(table, own, keys)


@draws.cached
def everybody(budget: int) -> tuple[Crowd, np.ndarray]:
    """Honest users and a thief with each pool, and the victim's statistics ``(pictures, 322)``."""
    owned = [one for kind in POOLS for one in _owned(kind, budget)]
    groups = {HONEST: fixtures.honest_users(), **{one.group: one.answered() for one in owned}}
    crowd = traffic.with_bait(groups, [_owned(kind, budget)[0] for kind in POOLS])
    return crowd, outlier_cases.statistics(crowd.take(np.arange(len(crowd.group))).x)


def _owned(kind: str, budget: int) -> list[thieves.Pool]:
    return [defense_cases.pool(kind, i, budget) for i in range(POOLS[kind])]


def plan(crowd: Crowd) -> list[Request]:
    """Lab 3's plan for each service, and one request with each key that thieves try."""
    rng = draws.rng("traffic of lab 5")
    sizes = traffic.log_uniform(rng, SMALLEST, LARGEST)
    service, honest = _service(crowd), crowd.group == HONEST
    third = crowd.a_third(rng)
    first: list[Request] = []
    later: list[Request] = []
    for i in range(SERVICES):
        key = keyed_cases.key("service", i)
        mine = third[service[third] == i]
        rest = np.setdiff1d(np.flatnonzero(service == i), third)
        repeated = traffic.lots(rng, mine, sizes)
        first += [Request(FIRST, rows, key) for rows in repeated]
        first += [Request(FIRST, rows, key) for rows in traffic.lots(rng, rest, sizes)]
        later += [Request(AGAIN, rows, key) for rows in repeated]
        company = traffic.in_company(rng, mine, honest, sizes, ALONE)
        later += [Request(AMID, rows, key) for rows in company]
    some = rng.permutation(len(crowd.group))
    lots = list(np.array_split(some[: len(some) // 6], TRIED))
    keys = [keyed_cases.key("thief", i) for i in range(TRIED)]
    rest = some[len(some) // 6 :]
    for i in range(SERVICES):  # and each service is asked about another's pictures
        lots.append(rest[service[rest] == i][: len(lots[0])])
        keys.append(keyed_cases.key("service", (i + 1) % SERVICES))
    later += [Request(OWN, rows, key) for rows, key in zip(lots, keys, strict=True)]
    return [part[i] for part in (first, later) for i in rng.permutation(len(part))]


def _service(crowd: Crowd) -> np.ndarray:
    """Which service each picture is sent to: a pool to one, all others to both in turn."""
    service = np.arange(len(crowd.group)) % SERVICES
    for kind, pools in POOLS.items():
        for i in range(pools):
            service[crowd.rows(f"{kind} {i}")] = i % SERVICES
    return service


def must_leave_its_inputs(defend: Callable[..., Any], crowd: Crowd, budget: int) -> None:
    """Raises :class:`Missed` for a defence that writes into what it is given."""
    rng = draws.rng("a request that is read-only")
    rows = np.concatenate([rng.choice(crowd.rows(one), 64) for one in (HONEST, "shapes 0")])
    asked, key = crowd.take(rows), keyed_cases.key("service", 0)
    statistics = everybody(budget)[1][rows]
    given = {"pictures": asked.x, "posteriors": asked.posteriors, "statistics": statistics}
    for what in ("posteriors", "statistics", "pictures"):

        def locked(one: np.ndarray, what: str = what) -> Any:
            return defend(*(given | {what: one}).values(), key)

        with keyed_cases.no_salted_hash("defend"):
            given_read_only(locked, "defend", given[what].copy(), what=what)


# --- another key, another lie ---------------------------------------------------------------


def repeated_lies(tried: Tried) -> float:
    """The largest share of a service's lies that a thief's own service repeats, over their keys."""
    posteriors = tried.table.crowd.posteriors
    answers = tried.table.given[FIRST]
    lies = fixtures.differs(answers, posteriors)
    same = np.abs(answers - tried.own).max(axis=1) < STEADY
    # Nearly all of the probability on one class: two lies may agree there by chance.
    open_ones = lies & (np.sort(posteriors, axis=1)[:, -2] > 10 * STEADY)
    shares = [
        float(same[rows].mean())
        for i in range(tried.keys.max() + 1)
        if (rows := open_ones & (tried.keys == i)).sum() >= 5
    ]
    return max(shares, default=0.0)


def keys_differ(part: Part, tried: Tried, caught: float) -> None:
    """Thieves who run the code themselves, with keys of their own, must not get the same lies."""
    defense_cases.must_defend(caught)
    repeated = repeated_lies(tried)
    part.expect(
        repeated < KNOWN,
        f"a thief who runs your code with {TRIED} keys of their own repeats up to "
        f"{repeated:.0%} of a service's lies to the same pictures with one of them",
        f"less than {KNOWN:.0%}",
        "0 to 20 %",
        "Your code tells the lie without the service's key, so whoever reads it can undo every "
        "answer. Hand the key that defend is called with to keyed_lie.",
    )


# --- the thieves ----------------------------------------------------------------------------


class Found(NamedTuple):
    """The best thief, and the oracle, with pools of one kind."""

    thieves: Panel
    oracle: Panel


def panel(tried: Tried, kind: str, budget: int, report: thieves.Report | None = None) -> Found:
    """Thieves who know the defence, with their own pools: undefended, and behind both services.

    Thieves have one pool a service, and an oracle all of them.
    """
    owned = _owned(kind, budget)
    before = [defense_cases.best(thieves.undefended(one, ("soft", "hard")))[1] for one in owned]
    known = repeated_lies(tried) >= KNOWN
    sets = []
    for i, one in enumerate(owned):
        made = {"oracle": _oracle(tried.table, one)}
        if i < SERVICES:
            made |= _of_thieves(tried.table, one, known)
        sets.append({name: _with_enough_steps(each, budget) for name, each in made.items()})
    predictions = thieves.train(sets, report)
    oracles = [_alone(one, "oracle") for one in predictions]
    others = [
        {name: one[name] for name in one if name != "oracle"} for one in predictions[:SERVICES]
    ]
    return Found(_panel(before[:SERVICES], others), _panel(before, oracles))


def _panel(before: Sequence[tuple[float, float]], found: Sequence[thieves.Predictions]) -> Panel:
    best = [defense_cases.best(one) for one in found]
    return Panel(np.array(before), np.array([scores for _, scores in best]), best[-1][0])


def _alone(predictions: thieves.Predictions, name: str) -> thieves.Predictions:
    """One thief's; who had nothing to train on names one class."""
    nothing = np.zeros(len(fixtures.fashion().x_test), dtype=int)
    return {name: predictions.get(name, nothing)}


def _oracle(table: Table, owned: thieves.Pool) -> TrainingSet:
    """What is left to whoever is told which of the answers are lies."""
    told, truth = _answers(table, owned)
    soft = thieves.training_sets(owned, told)["soft"]
    return adaptive_attacks.oracle(soft, fixtures.differs(told, truth))


def _of_thieves(table: Table, owned: thieves.Pool, known: bool) -> dict[str, TrainingSet]:
    """What each thief makes of the same answers."""
    told, truth = _answers(table, owned)
    sets = thieves.training_sets(owned, told)
    soft = sets["soft"]
    sets["un-lier"] = adaptive_attacks.unlied(soft, [defenses.misinform], seed=owned.clone_seed)
    sets["small loss"] = adaptive_attacks.small_loss(soft)
    if known:  # whoever can repeat a lie can undo it
        sets["reader of the code"] = replace(soft, answers=truth)
    return sets


def _answers(table: Table, owned: thieves.Pool) -> tuple[np.ndarray, np.ndarray]:
    """What the owner of a pool was told, and the victim's posteriors."""
    rows = table.crowd.rows(owned.group)
    return table.one_of(rows), table.crowd.posteriors[rows]


def _with_enough_steps(one: TrainingSet, budget: int) -> TrainingSet:
    """Few answers are learnt in more epochs, so that nobody is weak for want of training."""
    epochs = round(EPOCHS * budget / max(1, len(one.x)))
    return replace(one, epochs=int(np.clip(epochs, EPOCHS, MOST)))


class Counts(NamedTuple):
    """How far a drop counts: what honest users keep, steady answers, and the shapes caught."""

    kept: float
    steady: float
    caught: float


def best_thief(part: Part, found: Panel, bar: Threshold, counts: Counts) -> None:
    """Award the drop, as far as honest users and steady answers let it count."""
    (acc, fid), (acc_after, fid_after) = found.before.mean(axis=0), found.after.mean(axis=0)
    name = defense_cases.LEARNS_FROM.get(found.best, found.best)
    part.award(
        bar.share(found.drop) * counts.kept * (1.0 if counts.steady == 1 else 0.5),
        f"best thief ({name}): accuracy {acc:.3f} → {acc_after:.3f}, fidelity {fid:.3f} → "
        f"{fid_after:.3f}; the smaller drop is {found.drop:.3f} "
        f"(pools: {', '.join(f'{d.min():.3f}' for d in found.drops)})",
        f"both fall by at least {bar.full} (some points from {bar.some})",
        bar.usual,
        _advice(found.best, *counts),
        value=found.drop,
    )


def _advice(best: str, kept: float, steady: float, caught: float) -> str:
    if kept < 1:
        return "Honest users pay for this drop (see above): it counts only as far as they do not."
    if steady < 1:
        return (
            "Answers that change when asked again, or beside other inputs, can be averaged or "
            "steered: half counts."
        )
    if best == "reader of the code":
        return "The thief runs your code, gets your lies, and undoes them: use the key."
    if best == "un-lier":
        return (
            "The thief undoes your lies: the order of the probabilities gives them away. Answer "
            "weird inputs with keyed_lie."
        )
    if caught < 0.75:
        return (
            f"Your detector catches {caught:.0%} of the shapes, and from the truthful answers "
            "alone a thief learns most of the rest: use the score of exercise 3."
        )
    return (
        "More weird inputs must be caught at the same cost, or the lies agree more with each "
        "other: compare the kinds of lies in exercise 4's figure."
    )


def must_be_tried(tried: Tried | None) -> Tried:
    """What came of it, if everything was asked at least once."""
    if tried is None or tried.table.error is not None:
        raise NotMeasured("a request got no answer to measure, see above.")
    return tried


def must_be_measured(worst: Panel | None) -> Panel:
    """The thief who loses least, if any was trained."""
    if worst is None:
        raise NotMeasured("the thieves come first, see above.")
    return worst
