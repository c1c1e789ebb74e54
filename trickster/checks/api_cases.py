"""What lab 1 tries with the class API: counts, budget, order of charging, and input.

Each function with a ``part`` decides it. ``make_api`` puts a model behind the student's class.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.api import BudgetExceeded, InvalidQuery
from trickster.checks.result import Part, array, number
from trickster.models import softmax


def _answer(x: np.ndarray) -> np.ndarray:
    """A predictor whose answers depend on the picture and cost nothing."""
    level = np.asarray(x, dtype=float).reshape(len(x), -1).mean(axis=1)
    return softmax(np.outer(level, np.arange(10)))


def _broken_line(x: np.ndarray) -> np.ndarray:
    raise ConnectionError("the line broke")


def answers_and_counts(part: Part, make_api: Callable[..., Any], x: np.ndarray) -> None:
    """The model's own answers, and every picture counted."""
    service = make_api(_answer, budget=100)
    answers = array(service.query(x[:30]), "query", (30, 10))
    array(service.query(x[30:37]), "query", (7, 10))
    same = np.allclose(answers, _answer(x[:30]))
    used = number(service.used, "used")
    part.expect(
        same and used == 37,
        f"answers {'as predicted' if same else 'changed'}; after 30 and 7 pictures used is "
        f"{used:g}",
        "the model's own answers, and 37",
        "",
        "Every picture is one query, however many come at once: add len(x), not 1."
        if used == 2
        else "used counts all pictures answered so far.",
    )


def charges_first(part: Part, make_api: Callable[..., Any], x: np.ndarray) -> None:
    """A line that breaks while answers are computed saves nobody their price."""
    service = make_api(_broken_line, budget=100)
    with contextlib.suppress(ConnectionError):
        service.query(x[:40])
    used = number(service.used, "used")
    part.expect(
        used == 40,
        f"the line broke while 40 answers were computed; used is {used:g}",
        "40",
        "",
        "Every picture is one query: add len(x)."
        if used not in (0, 40)
        else "You count a query after answering it. Whatever interrupts the answer, or comes "
        "in meanwhile, then goes unpaid: two requests at one moment spend the same unit twice. "
        "Check, charge, answer, in this order.",
    )


def over_budget(part: Part, make_api: Callable[..., Any], x: np.ndarray) -> None:
    """A batch that does not fit is refused whole and costs nothing; a smaller one still comes."""
    asked: list[int] = []

    def predict(batch: np.ndarray) -> np.ndarray:
        asked.append(len(batch))
        return _answer(batch)

    service = make_api(predict, budget=50)
    service.query(x[:45])
    seen = {"6 more": _refusal(service, x[:6], BudgetExceeded)}
    after = number(service.used, "used")
    if not seen["6 more"]:
        array(service.query(x[:5]), "query", (5, 10))
        seen["then 5, answered, then 1"] = _refusal(service, x[:1], BudgetExceeded)
    flooded = make_api(predict, budget=1_000)
    flood = np.repeat(x[:1], 5_000, axis=0)
    seen["5,000 against 1,000"] = _refusal(flooded, flood, BudgetExceeded)
    part.expect(
        not any(seen.values()) and after == 45 and sum(asked) == 50,
        f"45 of 50 spent; used {after:g} after the request for 6; "
        + ", ".join(f"{name}: {what or 'refused'}" for name, what in seen.items())
        + f"; the model answered {sum(asked)} pictures",
        "refused whole with BudgetExceeded, nothing charged, 50 pictures answered",
        "",
        "Compare used + len(x) with the budget before you answer or charge anything; a batch that "
        "does not fit is refused whole, and a smaller one may still come.",
    )


def _refusal(service: Any, x: np.ndarray, kind: type[Exception]) -> str:
    """ "" when the service refuses ``x`` with an error of ``kind``, else what it did."""
    try:
        service.query(x)
    except NotImplementedError:
        raise
    except kind:
        return ""
    except Exception as error:
        return f"raised {type(error).__name__} instead of {kind.__name__}"
    return "answered"


def bad_input(part: Part, make_api: Callable[..., Any], x: np.ndarray) -> None:
    """What is no picture is refused before anything is charged or computed."""
    nan = x[:4].copy()
    nan[2, 0, 3, 3] = np.nan
    cases = {
        "a picture without the batch axis": x[0],
        "32x32 pixels": np.zeros((2, 1, 32, 32), np.float32),
        "uint8 from 0 to 255": (x[:4] * 255).astype(np.uint8),
        "floats from 0 to 255": x[:4] * 255,
        "NaN": nan,
        "an empty batch": x[:0],
    }
    asked: list[int] = []

    def predict(batch: np.ndarray) -> np.ndarray:
        asked.append(len(batch))
        return _answer(batch)

    service = make_api(predict, budget=1_000)
    wrong = {}
    for name, bad in cases.items():
        before, answered = number(service.used, "used"), len(asked)
        what = _refusal(service, bad, InvalidQuery)
        if not what and number(service.used, "used") != before:
            what = "refused, but charged"
        if not what and len(asked) > answered:
            what = "refused, but only after the model had answered"
        if what:
            wrong[name] = what
    part.award(
        1 - len(wrong) / len(cases),
        "; ".join(f"{name}: {what}" for name, what in wrong.items())
        or f"{len(cases)} of {len(cases)} refused, nothing charged",
        f"all {len(cases)} refused with InvalidQuery, nothing charged",
        "",
        "Check shape, size, dtype, then finiteness and range, all before charging.",
    )
