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
from trickster.checks.result import Missed, Part
from trickster.checks.values import array, kind_of, number
from trickster.models import softmax

MakeApi = Callable[..., Any]
OWN_METER = "Each service has a meter of its own, self.used, which __init__ sets to 0."
RAISED = "An error is raised, not returned: raise BudgetExceeded(...)."
CHARGED_LAST = (
    "You count a query after answering it. An answer that is interrupted then goes unpaid, and a "
    "request that comes in while the model computes spends the same unit again. Check, charge, "
    "answer, in this order."
)
SET_ANEW = (
    "self.used is set anew by each request, to its size: add to it, as in self.used += len(x)."
)
FLOATING = "ask whether np.issubdtype(x.dtype, np.floating), not whether x.dtype is "
SHORT_FLOATS = f"Pictures of 32 bits are floats as well: {FLOATING}float, which has 64."
LONG_FLOATS = f"Pictures of 64 bits are floats as well: {FLOATING}np.float32."
WHOLE = " of 0 and 1"
NOTHING_ELSE = "Refuse what is wrong with the pictures, and nothing else."
CAST = (
    "Whole numbers of 0 and 1 lie in the range of pixels, but are no floats: ask whether "
    "np.issubdtype(x.dtype, np.floating), of the pictures as they were sent."
)


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


class Shop:
    """A service of the student's, the model behind it, and the requests that it has answered."""

    def __init__(self, make_api: MakeApi, model: Model, budget: int):
        self.service, self.model, self.budget = make_api(model, budget=budget), model, budget
        self.served: list[int] = []

    @property
    def used(self) -> float:
        return number(self.service.used, "used")

    def serve(self, x: np.ndarray) -> Any:
        """The answer to good pictures within the budget; raises :class:`Missed` where refused."""
        try:
            answer = self.service.query(x.copy())
        except InvalidQuery as error:
            raise Missed(
                f"good pictures were refused: {str(error).rstrip('.')}. {self._too_strict(x)}"
            ) from error
        except BudgetExceeded as error:
            raise Missed(
                f"a request within the budget of a new service was refused: {error} "
                + (self.slip() or OWN_METER)
            ) from error
        if isinstance(answer, Exception):
            raise Missed(f"query returned {kind_of(answer)} for good pictures within the budget.")
        if type(answer).__name__ == "generator":
            raise Missed("query returned a generator: hand out the answers with return, not yield.")
        self.served.append(len(x))
        return answer

    def slip(self) -> str:
        """What is wrong with the meter, in a sentence, whatever part finds it out; else ""."""
        used, n = self.used, sum(self.served)
        if getattr(self.service, "budget", self.budget) != self.budget:
            return (
                "self.budget changes. It is what may be answered in all, and stays as it is: count "
                "in self.used, and only there."
            )
        if not n or used == n:
            return ""
        if used == 0:
            return "used is still 0 after pictures were answered: add len(x) to self.used."
        if used == len(self.served):
            return "Every picture is one query, however many come at once: add len(x), not 1."
        if len(self.served) > 1 and used == self.served[-1]:
            return SET_ANEW
        if used == n * 28 * 28:
            return "x.size is the number of pixels. Every picture is one query: add len(x)."
        return f"used is {used:g} after {n} pictures to a new service. {OWN_METER}" * (used > n)

    def _too_strict(self, x: np.ndarray) -> str:
        """What about these pictures is refused, found out with others that differ in it alone."""
        if _refusal(self.service, x.astype(float), InvalidQuery) == "answered":
            return SHORT_FLOATS
        if _refusal(self.service, x.clip(0.01, 0.99), InvalidQuery) == "answered":
            return "Pixels of exactly 0 and 1 are allowed, and most pictures have some."
        return NOTHING_ELSE


def answers_and_counts(part: Part, make_api: MakeApi) -> None:
    """The model's own answers, and every picture counted."""
    rng = draws.rng("answers and counts")
    first, second = (int(n) for n in rng.choice(np.arange(5, 41), 2, replace=False))
    x, model = pictures(first + second, "counts"), Model()
    shop = Shop(make_api, model, first + second + int(rng.integers(1, 50)))
    answers = array(shop.serve(x[:first]), "query", (first, 10))
    array(shop.serve(x[first:]), "query", (second, 10))
    same, used = np.allclose(answers, model.posteriors(x[:first])), shop.used
    part.expect(
        same and used == first + second,
        f"answers {'as predicted' if same else 'changed'}; after {first} and {second} pictures "
        f"used is {used:g}",
        f"the model's own answers, and {first + second}",
        "",
        "used counts all pictures answered so far."
        if same
        else "Return what predict answers to these pictures, as it is.",
    )
    if same:
        part.blame(shop.slip)


def charges_first(part: Part, make_api: MakeApi) -> None:
    """What is answered has been charged, and a line that breaks saves nobody the price."""
    rng = draws.rng("charges first")
    n, before = int(rng.integers(20, 60)), int(rng.integers(5, 20))
    x = pictures(n + before, "charges")
    seen: tuple[list[float], list[float]] = [], []  # used at each call of the model, by request

    def look() -> None:
        seen[len(shop.served)].append(shop.used)
        if shop.served:
            raise ConnectionError("the line broke")

    shop = Shop(make_api, Model(look), n + before + 10)
    shop.serve(x[:before])
    slip = shop.slip()
    with contextlib.suppress(ConnectionError):
        shop.serve(x[before:])
    used = shop.used
    first, second = (found[0] if found else 0 for found in seen)
    charged = set(seen[0]) == {before} and seen[1] == [before + n]
    part.expect(
        charged and used == before + n,
        f"while {before} answers were computed, used was {first:g}; while {n} "
        f"more were, {second:g}; then the line broke, and used is {used:g}",
        f"{before}, {before + n} and {before + n}",
        "",
        "You charge first, but give the charge back when the answer fails. A customer could "
        "then hang up on purpose, just before the end. What is charged stays charged."
        if charged and used == before
        else "Each picture is charged alone, just before its answer. Charge the whole request "
        "first, so that nothing can come between, and then ask predict once."
        if seen[0] == [*range(1, before + 1)]
        else SET_ANEW
        if set(seen[0]) == {before} and seen[1] == [n]
        else CHARGED_LAST,
    )
    part.blame(lambda: slip)


def over_budget(part: Part, make_api: MakeApi) -> None:
    """A batch that does not fit is refused whole and costs nothing; a smaller one still comes."""
    rng = draws.rng("over budget")
    spent, left = int(rng.integers(25, 50)), int(rng.integers(3, 9))
    x, model = pictures(spent, "budget"), Model()
    shop = Shop(make_api, model, spent + left)
    shop.serve(x)
    slip, service = shop.slip(), shop.service
    more, rest = f"{left + 1} more", f"then {left}, as many as are left"
    told: list[Any] = []
    seen = {more: _refusal(service, x[: left + 1], BudgetExceeded, told)}
    after = shop.used
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
        RAISED
        if any(what.startswith("returned") for what in seen.values())
        else "A refused request was charged. Compare first, and add len(x) to used only when it "
        "fits."
        if not seen[more] and after > spent
        else "Exactly what is left may still be asked: refuse where used + len(x) > budget, not >=."
        if seen.get(rest)
        else "The error tells the customer what was asked, and what is left: "
        "BudgetExceeded(key, len(x), self.budget - self.used)."
        if not any(seen.values()) and not true
        else "Compare used + len(x) with the budget before you answer or charge anything; a batch "
        "that does not fit is refused whole, and a smaller one may still come.",
    )
    part.blame(lambda: slip)


def _refusal(
    service: Any, x: np.ndarray, kind: type[Exception], told: list[Any] | None = None
) -> str:
    """ "" when the service refuses ``x`` with an error of ``kind``, else what it did.

    ``told`` gets what the error says of the request and of the budget.
    """
    try:
        answer = service.query(x.copy())
    except kind as error:
        if told is not None:
            told.append((getattr(error, "requested", None), getattr(error, "remaining", None)))
        return ""
    except Exception as error:
        if is_unwritten(error):
            raise
        return f"raised {type(error).__name__} instead of {kind.__name__}"
    if isinstance(answer, Exception):
        return f"returned {kind_of(answer)} instead of raising it"
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
        f"{kind}{WHOLE}": (x[:n] > 0.5).astype(kind),
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
    if any(unserved.values()):
        return (
            NOTHING_ELSE
            if all(unserved.values())
            else LONG_FLOATS
            if unserved["float64"]
            else SHORT_FLOATS
        )
    if wrong and set(wrong) == {name for name in wrong if name.endswith(WHOLE)}:
        return CAST
    if any(what.startswith("returned") for what in wrong.values()):
        return "An error is raised, not returned: raise InvalidQuery(...)."
    others = {what for what in wrong.values() if what.startswith("raised")}
    if len(wrong) > 2 and others == set(wrong.values()):
        return "The right things are refused, with another error: raise InvalidQuery(...) yourself."
    return "Check shape, size, dtype, then finiteness and range, all before charging."
