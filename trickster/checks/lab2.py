"""Checks of lab 2, Steal it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster import evaluation
from trickster.api import Client, PredictionAPI
from trickster.checks import clone_cases, draws, measurement_cases
from trickster.checks.result import Missed, NotMeasured, Sheet, check
from trickster.checks.thresholds import CLONE_FIDELITY, STOLEN_FIDELITY, STOLEN_STARS
from trickster.checks.values import array, returned
from trickster.models import softmax

THIEVES = "trickster.attacks.steal", "trickster.attacks.steal_jacobian"

# --- exercise 1 --------------------------------------------------------------------


class _Formula:
    """A victim whose answers are a drawn formula of the picture, behind a real API."""

    def __init__(self) -> None:
        self.matrix = draws.rng("collect", "victim").normal(0, 4, (2, 10))

    def features_and_posteriors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = x.reshape(len(x), -1).astype(float)
        facts = np.stack([flat.mean(axis=1), flat.std(axis=1)], axis=1)
        return facts, softmax(facts @ self.matrix)


def _meter() -> tuple[PredictionAPI, Client]:
    service = PredictionAPI(_Formula())
    return service, service.client("thief")


@check("Exercise 1, collect", 2, withholds=("trickster.attacks.collect", *THIEVES))
def collect(sheet: Sheet, collect: Callable[..., Any]) -> None:
    """Pictures and answers row for row, in batches, and exactly the budget."""
    rng = draws.rng("collect", "budgets")
    size, whole, large = (int(rng.integers(low, low + 20)) for low in (25, 50, 40))
    n, small, rest = 4 * size + int(rng.integers(1, size)), int(rng.integers(5, 15)), size - 3
    pool = clone_cases.query_pool("shapes", 300, "collect")
    with sheet.part("pictures and answers belong together", 1) as part:
        _, client = _meter()
        given = pool.copy()
        result = collect(client, given, n, batch_size=size)
        _unchanged(given, pool)
        x, answers = _pair(result, n, "collect")
        _numpy(result)
        want = _Formula().features_and_posteriors(x.astype(np.float32))[1]
        off = float(np.abs(answers - want).max())
        first = {_levels(one) for one in pool[:n]}
        found = {_levels(one) for one in x}
        part.expect(
            off < 1e-5 and found == first,
            f"{len(found & first)} of the first {n} pictures of the pool; largest distance of an "
            f"answer from its picture's {off:.2g}",
            f"{n} of them, 0",
            "below 1e-6",
            "Row i of the answers must answer row i of the pictures: collect both in the same "
            "order, and ask about each picture once."
            if off >= 1e-5 or len(found) < n
            else "Ask about the first pictures of the pool, pool[:budget], not about others of it.",
        )
    with sheet.part("the whole budget and not one query more", 0.5) as part:
        used = {}
        for budget, batch_size in ((3 * size + rest, size), (whole, whole), (small, large)):
            service, client = _meter()
            got = collect(client, pool.copy(), budget, batch_size=batch_size)
            _pair(got, budget, "collect")
            used[budget] = service.used("thief")
        part.expect(
            all(spent == budget for budget, spent in used.items()),
            ", ".join(f"{spent} queries of {budget}" for budget, spent in used.items()),
            ", ".join(f"{budget} of {budget}" for budget in used),
            "",
            "The last batch is the rest, not a full one: cut the pool at the budget first, then "
            "cut that into batches.",
        )
    with sheet.part("batches, and a pool smaller than the budget", 0.5) as part:
        service, client = _meter()
        n = 2 * size + rest
        x, _ = _pair(collect(client, pool[:n].copy(), 500, batch_size=size), n, "collect")
        sizes = [entry.n for entry in service.log]
        shown = ", ".join(map(str, sizes[:6])) + (", ..." if len(sizes) > 6 else "")
        part.expect(
            max(sizes) <= size and sum(sizes) == n,
            f"requests of {shown} pictures for a pool of {n}",
            f"at most {size} in a request, {n} in all",
            f"{size}, {size}, {rest}",
            "Send at most batch_size pictures in one request."
            if max(sizes) > size
            else "Stop where the pool ends: a picture asked twice is money spent twice.",
        )


def _levels(picture: np.ndarray) -> bytes:
    """A picture, whatever its floats are."""
    return np.round(picture * 255).astype(np.uint8).tobytes()


def _unchanged(given: np.ndarray, pool: np.ndarray) -> None:
    if not np.array_equal(given, pool):
        raise Missed(
            "collect changed the pool that it was given, and the next theft would start from "
            "that. A slice such as pool[:budget] leaves it as it is; np.random.shuffle and "
            "what assigns to its pictures do not."
        )


def _numpy(pair: Any) -> None:
    """What comes back goes on to train_clone, which needs arrays."""
    kinds = [type(one).__name__ for one in pair if not hasattr(one, "astype")]
    if kinds:
        raise Missed(
            f"collect returned a {kinds[0]}, and the cells below need arrays of numpy: return a "
            "slice of the pool, and the answers joined with np.concatenate."
        )


def _pair(result: Any, n: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        x, answers = returned(result, what)
    except (TypeError, ValueError):
        raise Missed(f"{what} must return two things: the pictures and the answers.") from None
    if isinstance(answers, list) and len(answers) and np.ndim(answers[0]) == 2:
        raise Missed(
            f"{what} returned its answers as a list of batches: join them with np.concatenate."
        )
    if np.ndim(x) == 2 and np.ndim(answers) == 4:
        raise Missed(f"{what} must return the pictures first, and then the answers.")
    x = array(x, f"{what} (pictures)", (None, 1, 28, 28))
    answers = array(answers, f"{what} (answers)", (None, 10))
    if len(x) > len(answers) == n:
        raise Missed(
            f"{what} returned {len(x)} pictures and {n} answers: return the pictures that you "
            "asked about, and no others."
        )
    if len(answers) > len(x) == n:
        raise Missed(
            f"{what} returned {n} pictures, but {len(answers)} answers: some pictures were asked "
            "about twice. Do your batches overlap? Each begins where the last one ended, "
            "x[i : i + batch_size]."
        )
    if not len(x) == len(answers) == n:
        raise Missed(
            f"{what} returned {len(x)} pictures and {len(answers)} answers; it should be {n} of "
            "each. "
            + (
                "You went over the budget: cut the pool at the budget first, then cut that into "
                "batches; the last batch is the rest, not a full one."
                if max(len(x), len(answers)) > n
                else "Each picture of the pool is asked about once, up to the budget; the last "
                "batch may be smaller than the others, and it counts as well."
            )
        )
    return x, answers


# --- exercise 2 --------------------------------------------------------------------


@check(
    "Exercise 2, train_clone",
    4,
    withholds=(
        "trickster.attacks.train_clone",
        "trickster.attacks.train_clones",
        "trickster.attacks.TrainingSet.network_and_targets",
        *THIEVES,
        "trickster.adaptive_attacks.explained",
        "trickster.adaptive_attacks.small_loss",
    ),
)
def train_clone(sheet: Sheet, train_clone: Callable[..., Any]) -> None:
    """Soft and hard labels do what they say, a seed repeats, and the clone resembles the victim."""
    train_clone = clone_cases.Untouched(train_clone)
    pictures = clone_cases.query_pool("shapes", 900, "labels")
    doubts = clone_cases.doubts(pictures[:600])
    with sheet.part("soft labels pass on the victim's uncertainty", 1) as part:
        clone_cases.soft_labels(part, train_clone, doubts)
    with sheet.part("hard labels are each row's largest", 1) as part:
        clone_cases.hard_labels(part, train_clone, pictures)
    with sheet.part("the same seed gives the same clone", 1) as part:
        clone_cases.seeds(part, train_clone, doubts)
    with sheet.part("fidelity with 3,000 queries", 1) as part:
        value = clone_cases.trained_on_a_service(train_clone, 3_000)
        clone_cases.look_twice(sheet, value)
        part.award(
            CLONE_FIDELITY.share(value),
            f"{value:.3f} on real pictures",
            f"at least {CLONE_FIDELITY.full} (some points from {CLONE_FIDELITY.some})",
            CLONE_FIDELITY.usual,
            "Are x and targets in the same order, and does every row of the answers take part?",
            value=value,
        )


# --- exercise 3 --------------------------------------------------------------------


@check(
    "Exercise 3, fidelity",
    1,
    withholds=tuple(  # accuracy, too: for the victim's labels it is the same
        f"trickster.evaluation.{name}" for name in ("fidelity", "accuracy", "utility", "_agreement")
    ),
)
def fidelity(sheet: Sheet, fidelity: Callable[..., Any]) -> None:
    """Agreement with the victim, right or wrong; not agreement with the truth."""
    drawn = measurement_cases.answered()
    with sheet.part("on many pictures", 0.5) as part:
        measurement_cases.share(part, fidelity, drawn)
    with sheet.part("on fewer pictures", 0.5) as part:
        measurement_cases.fewer(part, fidelity, drawn)


# --- exercise 4 --------------------------------------------------------------------

STEAL_BUDGET = 3_000
POOR_POOLS = 0.56  # the three others end below it, and shapes with any training above
THEFTS = (1, 2, 3)


@check("Exercise 4, steal", 7, withholds=THIEVES)
def steal(sheet: Sheet, steal: Callable[..., Any]) -> None:
    """Fidelity over three services with 3,000 queries each, never a query over budget."""
    thefts: list[clone_cases.Theft] = []
    with sheet.part("fidelity with 3,000 queries", 6) as part:
        for i in THEFTS:
            thefts.append(clone_cases.one_theft(steal, STEAL_BUDGET, i))
        values = [theft.fidelity for theft in thefts]
        _own_pictures(sheet, thefts)
        interval = evaluation.bootstrap_interval(values)
        clone_cases.look_twice(sheet, interval.mean)
        part.award(
            STOLEN_FIDELITY.share(interval.mean),
            f"{interval.mean:.3f} on average, services {', '.join(f'{v:.3f}' for v in values)}"
            f"{_stars(interval.mean)}",
            f"at least {STOLEN_FIDELITY.full}; a point each at "
            f"{', '.join(map(str, STOLEN_FIDELITY.rungs[:-1]))}, and shares of a point between",
            STOLEN_FIDELITY.usual,
            _why_low(interval.mean, thefts),
            value=interval.mean,
        )
    with sheet.part("never one query over budget", 1) as part:
        if not thefts:
            raise NotMeasured("no theft was completed, so there is nothing to count.")
        budget = int(draws.rng("steal", "small budget").integers(400, 600))
        last = clone_cases.one_theft(steal, budget, len(THEFTS) + 1)
        if last.used == 0:
            raise Missed("nothing was asked, so no budget was kept to.")
        spent, over = max(theft.used for theft in thefts), sum(t.refused for t in [*thefts, last])
        part.expect(
            not over and spent <= STEAL_BUDGET and last.used <= budget,
            f"{spent:,} of {STEAL_BUDGET:,} and {last.used} of {budget} queries answered; "
            f"{over} requests refused",
            "no request refused",
            "all of the budget used",
            "A thief who sends more than the budget allows is seen at once. Use the argument "
            "budget (and api.remaining), not a number of your own.",
        )


def _stars(mean: float) -> str:
    """The honours above full points: which were won, and where the next one is."""
    won = sum(mean >= star for star in STOLEN_STARS)
    if mean < STOLEN_FIDELITY.full:
        return ""
    further = f"the next at {STOLEN_STARS[won]}" if won < len(STOLEN_STARS) else "all of them"
    return f". Stars, without points: {won} of {len(STOLEN_STARS)}, {further}"


def _own_pictures(sheet: Sheet, thefts: list[clone_cases.Theft]) -> None:
    """This thief owns no clothes: a theft with those that ship with the course earns nothing."""
    shipped = max(theft.shipped for theft in thefts)
    if shipped <= STEAL_BUDGET // 100:
        return
    sheet.tell_instructor(
        f"{sheet.title}: {shipped:,} of {STEAL_BUDGET:,} pictures that the thief asked about are "
        "the course's own pictures of clothes, perhaps retouched."
    )
    raise Missed(
        f"{shipped:,} of the pictures that you asked about are clothes from this course's data "
        "set. This thief owns none: ask about the four pools, or about what you make of them."
    )


def _why_low(mean: float, thefts: list[clone_cases.Theft]) -> str:
    spent = max(theft.used for theft in thefts)
    if spent == 0:
        return (
            "Nothing was asked. This service sorts clothes into ten classes of its own, not into "
            "those of the model in your notebook: only its answers tell you which."
        )
    if mean < 0.15:
        return (
            "About .10 is guessing. Was the noise pool used, or are pictures and answers in "
            "different order?"
        )
    if spent < 0.9 * STEAL_BUDGET:
        return f"Only {spent:,} of {STEAL_BUDGET:,} queries were used: each unused one is lost."
    if mean < POOR_POOLS and min(theft.shapes for theft in thefts) > 0.9 * spent:
        return (
            "You asked about shapes, so the fault is in the clone. If it sees changed pictures, "
            "look at a few of them: is a mean taken over pixels that lie side by side?"
        )
    if mean < POOR_POOLS:
        return "Look at the comparison of pools above: what you ask about matters most."
    return (
        "If all your queries go to good pools, look at the clone: is it trained long enough, and "
        "with soft labels? "
        "And how much detail of a picture does it need to see? Some of your queries could tell you "
        "how much the service sees."
    )


# --- exercise 5 --------------------------------------------------------------------


@check("Exercise 5, audit", 3, withholds=("trickster.evaluation.bootstrap_interval",))
def audit(sheet: Sheet, audit: Callable[..., Any]) -> None:
    """Every seed once, and for each measurement its mean and a percentile bootstrap interval."""
    runs = measurement_cases.runs()
    seeds, calls = list(runs), []

    def run(seed: int) -> dict[str, float]:
        calls.append(int(seed))
        return dict(runs[int(seed)])

    table: dict[str, tuple[float, float, float]] = {}
    with sheet.part("the mean over all seeds", 1) as part:
        table = _table(audit(run, list(seeds)))
        want = {key: float(np.mean([r[key] for r in runs.values()])) for key in runs[seeds[0]]}
        worst = max((abs(table[key][0] - want[key]) for key in want if key in table), default=1.0)
        part.expect(
            set(table) == set(want) and sorted(calls) == sorted(seeds) and worst < 1e-9,
            f"{len(calls)} runs over {len(set(calls))} seeds; measurements {sorted(table)}; "
            f"largest error of a mean {worst:.2g}",
            f"{len(seeds)} runs over {len(seeds)} seeds; {sorted(want)}; 0",
            "",
            "Give the mean of the runs themselves, not rounded, and not the mean of the resamples."
            if set(table) == set(want) and sorted(calls) == sorted(seeds) and worst < 0.01
            else "Run each seed once, with that seed, and average each measurement over the runs.",
        )
    with sheet.part("a 95 % interval of the mean", 1) as part:
        if not table:
            raise NotMeasured("there is no table to look at, see above.")
        measurement_cases.interval(part, table, runs)
    with sheet.part("its ends, also where one run stands apart", 1) as part:
        if not table:
            raise NotMeasured("there is no table to look at, see above.")
        lopsided, few = (
            (_table(audit(lambda seed, some=some: dict(some[int(seed)]), list(some))), some)
            for some in (measurement_cases.lopsided_runs(), measurement_cases.few_runs())
        )
        measurement_cases.percentiles(part, lopsided, few)


@check("Exercise 5, compare", 1, withholds=("trickster.evaluation.bootstrap_interval",))
def compare(sheet: Sheet, compare: Callable[..., Any]) -> None:
    """The drop seed by seed with its interval, and the share of all pairs that reach a claim."""
    drawn = measurement_cases.conditions()
    found: list[float] = []
    with sheet.part("the drop, seed by seed", 0.5) as part:
        result = compare(drawn.undefended.tolist(), drawn.defended.tolist(), drawn.claimed)
        try:
            (mean, low, high), share = returned(result, "compare")
            found = [float(value) for value in (mean, low, high, share)]
        except (TypeError, ValueError):
            raise Missed(
                "compare must return two things: (mean, low, high) of the drop, and a share."
            ) from None
        measurement_cases.paired_drop(part, found[:3], drawn)
    with sheet.part("the share of all pairs", 0.5) as part:
        if not found:
            raise NotMeasured("there is no share to look at, see above.")
        measurement_cases.share_of_pairs(part, found[3], drawn)


def _table(result: Any) -> dict[str, tuple[float, float, float]]:
    try:
        rows = {
            str(key): [float(v) for v in list(row)[:3]]
            for key, row in returned(result, "audit").items()
        }
    except (AttributeError, TypeError, ValueError):
        raise Missed(
            "audit must return a dictionary from each measurement's name to (mean, low, high)."
        ) from None
    if not rows or any(len(row) != 3 for row in rows.values()):
        raise Missed("audit must give three numbers for each measurement: mean, low, high.")
    return {key: (row[0], row[1], row[2]) for key, row in rows.items()}
