"""Checks of lab 2, Steal it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster import evaluation
from trickster.api import Client, PredictionAPI
from trickster.checks import clone_cases, fixtures
from trickster.checks.clone_cases import POOL_SEED
from trickster.checks.result import Missed, Sheet, array, check, number
from trickster.checks.thresholds import CLONE_FIDELITY, STOLEN_FIDELITY, STOLEN_WELL
from trickster.models import softmax
from trickster.scenario import Scenario

# --- exercise 1 --------------------------------------------------------------------


class _Counter:
    """A victim whose answers are a formula of the picture, behind a real API."""

    def features_and_posteriors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        level = x.reshape(len(x), -1).mean(axis=1)
        return level[:, None], softmax(np.outer(level, np.arange(10.0)))


def _meter(budget: int | None) -> tuple[PredictionAPI, Client]:
    service = PredictionAPI(_Counter(), budget=budget)
    return service, service.client("thief")


@check("Exercise 1, collect", 3)
def collect(sheet: Sheet, collect: Callable[..., Any]) -> None:
    """Pictures and answers row for row, in batches, and exactly the budget."""
    pool = Scenario("fashion").pool("shapes", 300, seed=POOL_SEED)
    with sheet.part("pictures and answers belong together", 1) as part:
        _, client = _meter(None)
        x, answers = _pair(collect(client, pool, 130, batch_size=32), 130, "collect")
        want = _Counter().features_and_posteriors(x.astype(np.float32))[1]
        off = float(np.abs(answers - want).max())
        part.expect(
            off < 1e-5 and len(np.unique(x.reshape(130, -1), axis=0)) == 130,
            f"{len(x)} pictures; largest distance of an answer from its picture's {off:.2g}",
            "130 different pictures, 0",
            "below 1e-6",
            "Row i of the answers must answer row i of the pictures: collect both in the same "
            "order, and ask about each picture once.",
        )
    with sheet.part("the whole budget and not one query more", 1) as part:
        used = {}
        for budget, batch_size in ((100, 32), (64, 64), (7, 50)):
            service, client = _meter(None)
            _pair(collect(client, pool, budget, batch_size=batch_size), budget, "collect")
            used[budget] = service.used("thief")
        part.expect(
            all(spent == budget for budget, spent in used.items()),
            ", ".join(f"{spent} queries of {budget}" for budget, spent in used.items()),
            "100 of 100, 64 of 64, 7 of 7",
            "",
            "The last batch is the rest, not a full one: cut the pool at the budget first, then "
            "cut that into batches.",
        )
    with sheet.part("batches, and a pool smaller than the budget", 1) as part:
        service, client = _meter(None)
        x, _ = _pair(collect(client, pool[:90], 500, batch_size=32), 90, "collect")
        sizes = [entry.n for entry in service.log]
        part.expect(
            sizes == [32, 32, 26],
            f"requests of {sizes} pictures for a pool of 90",
            "[32, 32, 26]",
            "",
            "Send at most batch_size pictures in one request, and stop where the pool ends: a "
            "picture asked twice is money spent twice.",
        )


def _pair(result: Any, n: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        x, answers = result
    except (TypeError, ValueError):
        raise Missed(f"{what} must return two things: the pictures and the answers.") from None
    x = array(x, f"{what} (pictures)", (None, 1, 28, 28))
    answers = array(answers, f"{what} (answers)", (None, 10))
    if not len(x) == len(answers) == n:
        raise Missed(
            f"{what} returned {len(x)} pictures and {len(answers)} answers; it should be {n} of "
            "each. "
            + (
                "You went over the budget: cut the pool at the budget first, then cut that into "
                "batches; the last batch is the rest, not a full one."
                if max(len(x), len(answers)) > n
                else "Each picture of the pool is asked about once, up to the budget."
            )
        )
    return x, answers


# --- exercise 2 --------------------------------------------------------------------


@check("Exercise 2, train_clone", 4)
def train_clone(sheet: Sheet, train_clone: Callable[..., Any]) -> None:
    """Soft and hard labels do what they say, a seed repeats, and the clone resembles the victim."""
    scenario = Scenario("fashion")
    x = scenario.pool("shapes", 3000, seed=POOL_SEED)
    answers = scenario.victim.posteriors(x)
    with sheet.part("soft labels carry the victim's doubt", 1) as part:
        clone_cases.soft_labels(part, train_clone, x[:400])
    with sheet.part("hard labels are each row's largest", 1) as part:
        clone_cases.hard_labels(part, train_clone, x[:600], answers[:600])
    with sheet.part("the same seed gives the same clone", 1) as part:
        probe = fixtures.fashion().x_test[:50].copy()
        options = {"labels": "soft", "epochs": 2}
        first, again, other = (
            clone_cases.ask(train_clone(x[:400], answers[:400], seed=seed, **options), probe)
            for seed in (1, 1, 2)
        )
        same, different = np.abs(first - again).max(), np.abs(first - other).max()
        part.expect(
            same == 0 and different > 0,
            f"same seed: answers differ by {same:.2g}; another seed: by {different:.2g}",
            "0, and more than 0",
            "0 and about 0.2",
            "Hand the seed both to the network and to training.fit.",
        )
    with sheet.part("fidelity with 3,000 queries", 1) as part:
        names = clone_cases.class_names(0)
        clone = train_clone(x, answers[:, names], labels="soft", epochs=10, seed=0)
        predicted = clone_cases.ask(clone, fixtures.fashion().x_test.copy())
        value = evaluation.fidelity(predicted, clone_cases.renamed(names))
        part.award(
            CLONE_FIDELITY.share(value),
            f"{value:.3f} on 5,000 real pictures",
            f"at least {CLONE_FIDELITY.full} (some points from {CLONE_FIDELITY.some})",
            CLONE_FIDELITY.usual,
            "Are x and targets in the same order, and does every row of the answers take part?",
            value=value,
        )


# --- exercise 3 --------------------------------------------------------------------


@check("Exercise 3, fidelity", 2)
def fidelity(sheet: Sheet, fidelity: Callable[..., Any]) -> None:
    """Agreement with the victim, right or wrong; not agreement with the truth."""
    fashion = fixtures.fashion()
    truth, victim = fashion.y_test, fixtures.victim_labels()
    rng = np.random.default_rng(3)
    # Agrees with the victim on 70 % and is right elsewhere: far more accurate than faithful.
    clone = np.where(rng.random(len(truth)) < 0.7, victim, (victim + 1) % 10)
    clone = np.where((clone != victim) & (rng.random(len(truth)) < 0.8), truth, clone)
    eye = np.eye(10, dtype=np.float32)

    # Other probabilities than the victim's, so that only the classes can agree.
    def ask_clone(x: np.ndarray) -> np.ndarray:
        return eye[clone[: len(x)]] * 0.7 + 0.03

    def ask_victim(x: np.ndarray) -> np.ndarray:
        return eye[victim[: len(x)]] * 0.5 + 0.05

    with sheet.part("on the 5,000 test pictures", 1) as part:
        want = float(np.mean(clone == victim))
        right = float(np.mean(clone == truth))
        got = number(fidelity(ask_clone, ask_victim, fashion.x_test.copy()), "fidelity")
        means = "The share of pictures on which clone and victim name the same class."
        if abs(got - right) < 1e-6:
            means = (
                "This is the clone's accuracy. Fidelity compares it with the victim, mistakes "
                "included: the truth plays no part."
            )
        elif abs(got - float(np.mean(victim == truth))) < 1e-6:
            means = "This is the victim's accuracy: the clone plays no part in it."
        elif abs(got - want * len(truth)) < 0.5:
            means = "This counts the pictures: divide by how many there are."
        elif abs(got - want * 100) < 1e-3:
            means = "This is a percentage: asked is a share from 0 to 1."
        part.expect(
            abs(got - want) < 1e-6,
            f"{got:.4f} for a clone with accuracy {right:.4f}",
            f"{want:.4f}",
            "",
            means,
        )
    with sheet.part("on 200 pictures", 1) as part:
        want = float(np.mean(clone[:200] == victim[:200]))
        got = number(fidelity(ask_clone, ask_victim, fashion.x_test[:200].copy()), "fidelity")
        twin = number(fidelity(ask_victim, ask_victim, fashion.x_test[:200].copy()), "fidelity")
        part.expect(
            abs(got - want) < 1e-6 and abs(twin - 1) < 1e-6,
            f"{got:.4f}, and {twin:.4f} for the victim itself",
            f"{want:.4f}, and 1",
            "",
            "Ask both about the pictures you are given, and compare the classes: two clones that "
            "name the same class with other probabilities agree.",
        )


# --- exercise 4 --------------------------------------------------------------------


@check("Exercise 4, budget_curve", 2)
def budget_curve(sheet: Sheet, budget_curve: Callable[..., Any]) -> None:
    """One run for each budget and seed, and every run kept."""
    calls: list[tuple[int, int]] = []

    def steal_once(budget: int, seed: int) -> float:
        calls.append((int(budget), int(seed)))
        return round(0.1 + budget / 10_000 + seed / 1_000, 6)

    budgets, seeds = [100, 1000, 500], [3, 1, 2]
    with sheet.part("every budget with every seed, once", 1) as part:
        curve = budget_curve(steal_once, budgets, seeds)
        wanted = sorted((b, s) for b in budgets for s in seeds)
        part.expect(
            sorted(calls) == wanted,
            f"{len(calls)} thefts, {len(set(calls))} different",
            f"{len(wanted)} thefts, all different",
            "",
            "The arguments of steal_once are swapped: the budget comes first, then the seed."
            if sorted((s, b) for b, s in calls) == wanted
            else "Hand each seed on: the same seed repeated measures nothing about chance."
            if len(set(calls)) < len(wanted)
            else "Each pair of budget and seed is one theft; a second one tells nothing new.",
        )
    with sheet.part("every measurement kept", 1) as part:
        if not calls:
            raise Missed("nothing was measured.")
        try:
            rows = {
                int(budget): array(list(runs), "budget_curve") for budget, runs in curve.items()
            }
        except (AttributeError, TypeError):
            raise Missed(
                "budget_curve must return a dictionary from each budget to the list of its runs: "
                "{100: [.31, .35, .33], ...}. A mean alone has no interval."
            ) from None
        want = {b: sorted(round(0.1 + b / 10_000 + s / 1_000, 6) for s in seeds) for b in budgets}
        ok = set(rows) == set(want) and all(
            rows[b].shape == (3,) and np.allclose(np.sort(rows[b]), want[b]) for b in want
        )
        part.expect(
            ok,
            f"budgets {sorted(rows)} with {sorted({row.size for row in rows.values()})} runs each",
            "budgets [100, 500, 1000] with [3] runs each, as measured",
            "",
            "Keep the runs of each budget in a list of its own; means come later, with intervals.",
        )


# --- exercise 5 --------------------------------------------------------------------

STEAL_BUDGET = 3_000
STEAL_SEEDS = (0, 1, 2)


@check("Exercise 5, steal", 5)
def steal(sheet: Sheet, steal: Callable[..., Any], seeds: tuple[int, ...] = STEAL_SEEDS) -> None:
    """Fidelity over seeds with 3,000 queries and fresh pools, never a query over budget."""
    values: list[float] = []
    over: list[str] = []
    spent: list[int] = []
    with sheet.part("fidelity with 3,000 queries", 4) as part:
        for seed in seeds:
            value, used, refused = clone_cases.one_theft(steal, STEAL_BUDGET, seed)
            values.append(value)
            spent.append(used)
            over += refused
        interval = evaluation.bootstrap_interval(values)
        well = f". Well stolen: more than {STOLEN_WELL}. Which of your choices did it?"
        well = well if interval.mean > STOLEN_WELL else ""
        part.award(
            STOLEN_FIDELITY.share(interval.mean),
            f"{interval.mean:.3f}, runs from {min(values):.3f} to {max(values):.3f} "
            f"({len(values)} seeds){well}",
            f"at least {STOLEN_FIDELITY.full} (some points from {STOLEN_FIDELITY.some})",
            STOLEN_FIDELITY.usual,
            _why_low(interval.mean, spent),
            value=interval.mean,
        )
    with sheet.part("never one query over budget", 1) as part:
        if not values:
            raise Missed("no theft came to its end, so there is nothing to count.")
        _, used, refused = clone_cases.one_theft(steal, 500, 9)
        over += refused
        if used == 0:
            raise Missed("nothing was asked, so no budget was kept to.")
        part.expect(
            not over and max(spent) <= STEAL_BUDGET and used <= 500,
            f"{max(spent):,} of {STEAL_BUDGET:,} and {used} of 500 queries answered; "
            f"{len(over)} requests refused",
            "no request refused",
            "all of the budget used",
            "A thief who sends more than the budget allows is seen at once. Use the argument "
            "budget (and api.remaining), not a number of your own.",
        )


def _why_low(mean: float, spent: list[int]) -> str:
    if max(spent) == 0:
        return (
            "Nothing was asked. This service's model gives its classes other numbers than the one "
            "in your notebook: only its answers tell you which."
        )
    if mean < 0.15:
        return (
            "About .10 is guessing. Was the noise pool used, or are pictures and answers in "
            "different order?"
        )
    if max(spent) < 0.9 * STEAL_BUDGET:
        return (
            f"Only {max(spent):,} of {STEAL_BUDGET:,} queries were used: each unused one is lost."
        )
    return "Look at the comparison of pools above: what you ask about matters most."


# --- exercise 6 --------------------------------------------------------------------


@check("Exercise 6, audit", 2)
def audit(sheet: Sheet, audit: Callable[..., Any]) -> None:
    """Every seed once, and for each measurement its mean and a confidence interval."""
    seeds = list(range(100, 120))
    runs = {s: _measured(s) for s in seeds}
    calls: list[int] = []

    def run(seed: int) -> dict[str, float]:
        calls.append(int(seed))
        return dict(runs[int(seed)])

    table: dict[str, tuple[float, float, float]] = {}
    with sheet.part("the mean over all seeds", 1) as part:
        table = _table(audit(run, seeds))
        want = {key: float(np.mean([r[key] for r in runs.values()])) for key in runs[100]}
        worst = max((abs(table[key][0] - want[key]) for key in want if key in table), default=1.0)
        part.expect(
            set(table) == set(want) and sorted(calls) == seeds and worst < 1e-9,
            f"{len(calls)} runs over {len(set(calls))} seeds; measurements {sorted(table)}; "
            f"largest error of a mean {worst:.2g}",
            f"20 runs over 20 seeds; {sorted(want)}; 0",
            "",
            "Run each seed once, with that seed, and average each measurement over the runs.",
        )
    with sheet.part("a 95 % interval of the mean", 1) as part:
        if not table:
            raise Missed("there is no table to look at.")
        values = np.array([r["clone_accuracy"] for r in runs.values()])
        mean, low, high = table["clone_accuracy"]
        if not np.isfinite([low, high]).all():
            raise Missed(f"the interval is [{low}, {high}]: one run has no spread. Use all seeds.")
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
        width = (high - low) / (2 * 1.96 * error)
        spread = (high - low) / 2
        part.expect(
            low < mean < high and 0.75 < width < 1.35,
            f"[{low:.3f}, {high:.3f}] around {mean:.3f}",
            "a half-width near 1.96 standard errors of the mean, here "
            f"{1.96 * error:.3f} (within a third)",
            "",
            "That is the spread of single runs. The mean of 20 runs is known better, by the root "
            "of 20: use bootstrap_interval, whose result has mean, low and high."
            if spread > 1.5 * 1.96 * error
            else "Use bootstrap_interval on the list of runs; it returns mean, low and high.",
        )


def _measured(seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    return {
        "clone_accuracy": float(np.clip(rng.normal(0.3, 0.08), 0, 1)),
        "honest_accuracy": float(np.clip(rng.normal(0.92, 0.01), 0, 1)),
    }


def _table(result: Any) -> dict[str, tuple[float, float, float]]:
    try:
        rows = {str(key): [float(v) for v in list(row)[:3]] for key, row in result.items()}
    except (AttributeError, TypeError, ValueError):
        raise Missed(
            "audit must return a dictionary from each measurement's name to (mean, low, high)."
        ) from None
    if not rows or any(len(row) != 3 for row in rows.values()):
        raise Missed("audit must give three numbers for each measurement: mean, low, high.")
    return {key: (row[0], row[1], row[2]) for key, row in rows.items()}
