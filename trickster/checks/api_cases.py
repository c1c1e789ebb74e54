"""What lab 1 tries with the class API: counts, budget, order of charging, and input.

Each function with a ``part`` decides it. ``make_api`` puts a model behind the student's class.
Budgets, sizes, pictures and the model are drawn for the test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.api import BudgetExceeded, InvalidQuery
from trickster.checks import draws, fixtures
from trickster.checks.faults import is_unwritten
from trickster.checks.result import Missed, Part, array, number
from trickster.models import softmax

MakeApi = Callable[..., Any]


def pictures(n: int, *draw: str) -> np.ndarray:
    """``n`` honest pictures."""
    some = fixtures.honest_pictures().x
    return some[draws.rng("pictures for the API", *draw).permutation(len(some))[:n]]


class Model:
    """A predictor whose answers depend on the picture and cost nothing. It knows what it was asked.

    ``watch`` is called whenever it answers.
    """

    def __init__(self, watch: Callable[[], object] = lambda: None):
        self.answered = 0
        self._watch = watch
        self._mixture = draws.rng("model behind the API").normal(0, 8, (49, 10))

    def posteriors(self, x: np.ndarray) -> np.ndarray:
        squares = np.asarray(x, dtype=float).reshape(len(x), 7, 4, 7, 4).mean(axis=(2, 4))
        with np.errstate(invalid="ignore"):  # a wrong service lets infinite pixels through
            return softmax((squares.reshape(len(x), 49) - 0.3) @ self._mixture)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self._watch()
        self.answered += len(x)
        return self.posteriors(x)


def answers_and_counts(part: Part, make_api: MakeApi) -> None:
    """The model's own answers, and every picture counted."""
    rng = draws.rng("answers and counts")
    first, second = (int(n) for n in rng.choice(np.arange(5, 41), 2, replace=False))
    x, model = pictures(first + second, "counts"), Model()
    service = make_api(model, budget=first + second + int(rng.integers(1, 50)))
    answers = array(_served(service, x[:first]), "query", (first, 10))
    array(_served(service, x[first:]), "query", (second, 10))
    same = np.allclose(answers, model.posteriors(x[:first]))
    used = number(service.used, "used")
    part.expect(
        same and used == first + second,
        f"answers {'as predicted' if same else 'changed'}; after {first} and {second} pictures "
        f"used is {used:g}",
        f"the model's own answers, and {first + second}",
        "",
        "Every picture is one query, however many come at once: add len(x), not 1."
        if used == 2
        else "used counts all pictures answered so far."
        if same
        else "Return what predict answers to these pictures, as it is.",
    )


def _served(service: Any, x: np.ndarray) -> Any:
    """The answer to good pictures within the budget; raises :class:`Missed` where it is refused."""
    try:
        return service.query(x.copy())
    except InvalidQuery as error:
        raise Missed(
            f"good pictures were refused: {str(error).rstrip('.')}. Pixels of exactly 0 and 1 are "
            "allowed, and most pictures have some."
        ) from error
    except BudgetExceeded as error:
        raise Missed(
            f"a request within the budget of a new service was refused: {error} Each service has "
            "a meter of its own, self.used, which __init__ sets to 0."
        ) from error


def charges_first(part: Part, make_api: MakeApi) -> None:
    """What is answered has been charged, and a line that breaks saves nobody the price."""
    rng = draws.rng("charges first")
    n, before = int(rng.integers(20, 60)), int(rng.integers(5, 20))
    x, seen = pictures(n + before, "charges"), []

    def look() -> None:
        seen.append(number(service.used, "used"))
        if len(seen) == 2:
            raise ConnectionError("the line broke")

    service = make_api(Model(look), budget=n + before + 10)
    _served(service, x[:before])
    with contextlib.suppress(ConnectionError):
        service.query(x[before:].copy())
    used = number(service.used, "used")
    charged = [before, before + n]
    part.expect(
        seen == charged and used == before + n,
        f"while {before} answers were computed, used was {seen[0] if seen else 0:g}; while {n} "
        f"more were, {seen[-1] if len(seen) > 1 else 0:g}; then the line broke, and used is "
        f"{used:g}",
        f"{before}, {before + n} and {before + n}",
        "",
        "Every picture is one query: add len(x)."
        if seen and seen[0] not in (0, before)
        else "You charge first, but give the charge back when the answer fails. A customer could "
        "then hang up on purpose, just before the end. What is charged stays charged."
        if seen == charged and used == before
        else "You count a query after answering it. An answer that is interrupted then goes "
        "unpaid, and a request that comes in while the model computes spends the same unit "
        "again. Check, charge, answer, in this order.",
    )


def over_budget(part: Part, make_api: MakeApi) -> None:
    """A batch that does not fit is refused whole and costs nothing; a smaller one still comes."""
    rng = draws.rng("over budget")
    spent, left = int(rng.integers(25, 50)), int(rng.integers(3, 9))
    x, model = pictures(spent, "budget"), Model()
    service = make_api(model, budget=spent + left)
    _served(service, x)
    more, rest = f"{left + 1} more", f"then {left}, as many as are left"
    told: list[Any] = []
    seen = {more: _refusal(service, x[: left + 1], BudgetExceeded, told)}
    after = number(service.used, "used")
    if not seen[more]:
        served = _refusal(service, x[:left], BudgetExceeded)
        if not served:
            seen[rest] = "refused"
        else:
            seen[f"then {left}: {served}, then 1 more"] = _refusal(service, x[:1], BudgetExceeded)
    flood, budget = int(rng.integers(4_000, 6_000)), int(rng.integers(500, 2_000))
    flooded = make_api(model, budget=budget)
    seen[f"{flood:,} to a new service with {budget:,} left"] = _refusal(
        flooded, np.repeat(x[:1], flood, axis=0), BudgetExceeded
    )
    true = told in ([], [(left + 1, left)])
    part.expect(
        not any(seen.values()) and after == spent and model.answered == spent + left and true,
        f"{spent} of {spent + left} spent; used {after:g} after the request for {left + 1}; "
        + ", ".join(f"{name}: {what or 'refused'}" for name, what in seen.items())
        + f"; the model answered {model.answered} pictures"
        + ("" if true else f"; the error tells of (requested, remaining) = {told[0]}"),
        f"refused whole with BudgetExceeded, nothing charged, {spent + left} pictures answered"
        + ("" if true else f"; ({left + 1}, {left})"),
        "",
        "A refused request was charged. Compare first, and add len(x) to used only when it fits."
        if not seen[more] and after != spent
        else "Exactly what is left may still be asked: refuse where used + len(x) > budget, not >=."
        if seen.get(rest)
        else "The error tells the customer what was asked, and what is left: "
        "BudgetExceeded(key, len(x), self.budget - self.used)."
        if not any(seen.values()) and not true
        else "Compare used + len(x) with the budget before you answer or charge anything; a batch "
        "that does not fit is refused whole, and a smaller one may still come.",
    )


def _refusal(
    service: Any, x: np.ndarray, kind: type[Exception], told: list[Any] | None = None
) -> str:
    """ "" when the service refuses ``x`` with an error of ``kind``, else what it did.

    ``told`` gets what the error says of the request and of the budget.
    """
    try:
        service.query(x.copy())
    except kind as error:
        if told is not None:
            told.append((getattr(error, "requested", None), getattr(error, "remaining", None)))
        return ""
    except Exception as error:
        if is_unwritten(error):
            raise
        return f"raised {type(error).__name__} instead of {kind.__name__}"
    return "answered"


def _no_pictures() -> dict[str, np.ndarray]:
    """Eight arrays that are no pictures, by what is wrong with them, in a drawn order."""
    rng = draws.rng("bad input")
    n, x = int(rng.integers(2, 9)), pictures(9, "bad input")
    side = int(rng.choice([14, 20, 24, 27, 29, 32, 64]))
    top = int(rng.choice([2, 10, 100, 255]))
    nan = x[:n].copy()
    nan[rng.integers(n), 0, rng.integers(28), rng.integers(28)] = np.nan
    infinite = np.where(np.isnan(nan), np.float32(-np.inf), nan)
    kind = str(rng.choice(["uint8", "int32", "int64"]))
    cases = {
        "a picture without the batch axis": x[n],
        f"{side}x{side} pixels": rng.random((n, 1, side, side), np.float32),
        f"{kind} from 0 to 255": (x[:n] * 255).astype(kind),
        f"floats from 0 to {top}": np.minimum(x[:n] / x[:n].max(), 1) * np.float32(top),
        "floats from -1 to 1": x[:n] * 2 - 1,
        "NaN": nan,
        "a pixel of -infinity": infinite,
        "an empty batch": x[:0],
    }
    names = list(cases)
    return {names[place]: cases[names[place]] for place in rng.permutation(len(names))}


def bad_input(part: Part, make_api: MakeApi) -> None:
    """What is no picture is refused before anything is charged or computed; pictures are not."""
    cases, model = _no_pictures(), Model()
    service = make_api(model, budget=1_000)
    good = pictures(40, "between bad input")
    sizes = draws.rng("sizes between bad input").integers(1, len(good) + 1, len(cases))
    wrong, unserved = {}, {"float32": 0, "float64": 0}
    for i, ((name, bad), size) in enumerate(zip(cases.items(), sizes, strict=True)):
        kind = "float64" if i % 2 else "float32"
        unserved[kind] += _refusal(service, good[:size].astype(kind), InvalidQuery) == ""
        before, answered = number(service.used, "used"), model.answered
        what = _refusal(service, bad, InvalidQuery)
        if not what and number(service.used, "used") != before:
            what = "refused, but charged"
        if not what and model.answered > answered:
            what = "refused, but only after the model had answered"
        if what:
            wrong[name] = what
    refused = "; good pictures refused as well: " + ", ".join(
        f"{n} of {len(cases) // 2} requests in {kind}" for kind, n in unserved.items()
    )
    part.award(
        0 if any(unserved.values()) else 1 - len(wrong) / len(cases),
        (
            "; ".join(f"{name}: {what}" for name, what in wrong.items())
            or f"{len(cases)} of {len(cases)} refused, nothing charged"
        )
        + (refused if any(unserved.values()) else ""),
        f"all {len(cases)} refused with InvalidQuery, nothing charged; good pictures answered",
        "",
        _why_refused(unserved, wrong),
    )


def _why_refused(unserved: dict[str, int], wrong: dict[str, str]) -> str:
    if unserved["float64"] and not unserved["float32"]:
        return (
            "Pictures of 64 bits are floats as well: ask whether np.issubdtype(x.dtype, "
            "np.floating), not whether x.dtype is np.float32."
        )
    if any(unserved.values()):
        return "Refuse what is wrong with the pictures, and nothing else."
    others = {what for what in wrong.values() if what.startswith("raised")}
    if len(wrong) > 2 and others == set(wrong.values()):
        return "The right things are refused, with another error: raise InvalidQuery(...) yourself."
    return "Check shape, size, dtype, then finiteness and range, all before charging."
