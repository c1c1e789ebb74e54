"""What lab 6 tries with services that tell some of a language model's logits.

Each function decides one part of a check, or draws what several parts need. The models behind the
services are those of ``logit_cases``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import withheld
from trickster.api import BudgetExceeded
from trickster.checks import draws
from trickster.checks.logit_cases import DrawnModel
from trickster.checks.result import Missed, Part
from trickster.checks.values import array
from trickster.services import TokenAPI, TokenClient, TopTokens

USUAL = 2.0  # spread of logits
READ = 0.01  # of a logit: what recovering leaves is a thousandth of it


class Remembering:
    """An undefended service that keeps the last bias it was sent."""

    def __init__(self, top: int):
        with withheld.lifted():  # as an answer to exercise 6 it refuses
            self._telling, self.last = TopTokens(top), {}

    def __call__(self, logits: np.ndarray, bias: dict[int, float]) -> Any:
        self.last = dict(bias)
        with withheld.lifted():
            return self._telling(logits, bias)


class Keyhole(NamedTuple):
    """A drawn model, its service, a customer of it, and a prompt with its true logits."""

    model: DrawnModel
    service: TokenAPI
    client: TokenClient
    prompt: list[int]
    logits: np.ndarray
    top: int

    @property
    def needed(self) -> int:
        """Queries that recover everything."""
        return 1 + -(-(len(self.logits) - 1) // (self.top - 1))


def keyhole(name: str, number: int, *, top: int = 5, spread: float = USUAL) -> Keyhole:
    """A service that tells the ``top`` most likely tokens."""
    rng = draws.rng("keyhole", name, number)
    model = DrawnModel(
        f"keyhole {name}", number, vocabulary=int(rng.integers(60, 110)), hidden=8, spread=spread
    )
    prompt = rng.integers(model.vocabulary_size, size=int(rng.integers(3, 9))).tolist()
    logits = model.logits(np.array([prompt]))[0].astype(np.float64)
    service = TokenAPI(model, Remembering(top), budget=3 * model.vocabulary_size)
    return Keyhole(model, service, service.client("thief"), prompt, logits, top)


def far_apart(name: str, number: int, top: int, spread: float) -> Keyhole:
    """A service whose logits lie so far apart that raising them by 80 is enough, and by 50 not.

    For the usual ``spread`` of 2 they lie closer. The last answer has fewer raised tokens than fit.
    """
    for i in itertools.count():
        one = keyhole(f"{name} {number}", i, top=top, spread=spread)
        uneven = (len(one.logits) - 1) % (top - 1) > 0
        if uneven and (spread == USUAL or 60 < np.ptp(one.logits) < 75):
            return one
    raise AssertionError("The count does not end.")


def all_logits(
    part: Part, recover: Callable[..., Any], name: str, spread: float = USUAL
) -> list[Keyhole]:
    """Every logit, up to one constant, of two services; returns them."""
    tried = [far_apart(name, i, top, spread) for i, top in enumerate((5, 3))]
    errors, found = [], []
    for one in tried:
        found.append(_recovered(recover, one))
        errors.append(_error(found[-1], one.logits))
    if spread == USUAL and max(errors) <= READ:
        _ask_for_another_prompt(recover, tried[0])
    worst = int(np.argmax(errors))
    one = tried[worst]
    part.expect(
        max(errors) <= READ,
        f"largest error {max(errors):.2g}, with the {one.top} most likely of {len(one.logits)} "
        f"tokens returned; the logits lie {np.ptp(one.logits):.0f} apart",
        f"at most {READ}, up to one constant",
        "1e-6",
        _why_other_logits(found[worst], one),
    )
    return tried


def _recovered(recover: Callable[..., Any], one: Keyhole) -> np.ndarray:
    try:
        found = recover(one.client, list(one.prompt))
    except BudgetExceeded:
        raise Missed(
            f"the budget of {one.service.budget} queries was spent; {one.needed} are enough for "
            f"{len(one.logits)} tokens."
        ) from None
    except KeyError as error:
        missing, raised = str(error).strip("'\""), one.service.telling.last
        if missing.isdigit() and int(missing) not in {*raised, int(one.logits.argmax())}:
            raise Missed(
                f"your code looked for token {missing} in an answer that does not contain it, and "
                "that query did not raise it. Read the others against the most likely token, which "
                "query returns first: an answer's keys are sorted by number, not by likelihood."
            ) from None
        raise Missed(
            f"your code looked for token {error} in an answer that does not contain it. A token "
            "that you raise is returned only if it overtakes the others: raise it by more (up to "
            "100), and raise no more tokens than fit into one answer. This service returns "
            f"{one.top}, others another number: count them."
        ) from None
    found = array(found, "logits_through_top_k", (len(one.logits),), finite=False)
    return found


def _ask_for_another_prompt(recover: Callable[..., Any], one: Keyhole) -> None:
    """Raise Missed where one customer's second prompt gets other logits than its own."""
    service = TokenAPI(one.model, Remembering(one.top), budget=6 * one.model.vocabulary_size)
    client = service.client("thief")
    for prompt in (one.prompt, [*one.prompt[::-1], one.prompt[0]]):
        logits = one.model.logits(np.array([prompt]))[0].astype(np.float64)
        asked = one._replace(service=service, client=client, prompt=prompt, logits=logits)
        try:
            error = _error(_recovered(recover, asked), logits)
        except Missed:  # about tokens of the first prompt
            error = np.inf
        if error > READ:
            raise Missed(
                "the same customer's second prompt gets wrong logits. Ask about the prompt that "
                "you are given, and keep nothing from one call to the next: each prompt has logits "
                "and a most likely token of its own."
            )


def _error(found: np.ndarray, logits: np.ndarray) -> float:
    difference = found - logits
    error = float(np.ptp(difference)) / 2
    return error if np.isfinite(error) else np.inf


def _why_other_logits(found: np.ndarray, one: Keyhole) -> str:
    missing = int((~np.isfinite(found)).sum())
    if missing:
        return f"{missing} of {len(found)} logits are NaN or infinite: were all tokens asked about?"
    if one.service.used("thief") == 0:
        return "You asked nothing."
    if _misplaced(found - found.max(), one.logits - one.logits.max()):
        return (
            "These are mostly the right numbers beside the wrong tokens. An answer lists its "
            "tokens by their numbers, not by likelihood, and not in the order in which you raised "
            "them: read each by its key."
        )
    difference = np.round(found - one.logits, 2)
    values, counts = np.unique(difference, return_counts=True)
    few, top = difference == values[counts.argmin()], int(one.logits.argmax())
    if advice := _why_the_last_group(difference != values[counts.argmax()], one):
        return advice
    if len(values) == 2 and few[top] and few.sum() > 1:
        return (
            "You raised the token that you read against as well, and in that answer its bias "
            "cancels that of the others. Leave it out: its own difference is 0."
        )
    if len(values) == 2 and few.sum() == 1 and not few[top]:
        last = len(few) - 1
        return f"Only token {few.argmax()} is off; they run from 0 to {last}. Was it asked about?"
    if len(values) == 2:
        return (
            "All tokens that you raised are off by the same number: subtract from each what you "
            "have added to it."
        )
    if (used := one.service.used("thief")) < one.needed - 1:
        return (
            f"You asked {used} quer{'y' if used == 1 else 'ies'}, and all tokens together take "
            f"{one.needed}: does return stand inside the loop?"
        )
    return (
        "Log-probabilities of different answers have different normalisers: a bias changes them "
        "all. Read each raised token against one that every answer contains, and take the bias off."
    )


def _why_the_last_group(off: np.ndarray, one: Keyhole) -> str:
    """Advice where nothing is ``off (V,)`` but the tokens of the last, smaller group."""
    size = (len(off) - 1) % (one.top - 1)
    others = np.delete(np.arange(len(off)), one.logits.argmax())
    last = others[len(others) - size :]
    if not size or not np.array_equal(np.flatnonzero(off), last):
        return ""
    if set(last.tolist()) <= set(one.service.telling.last):
        return (
            "Only the last answer is read wrongly. Fewer tokens were raised there, so the token "
            "that you read against is not the least likely one: look it up by its key."
        )
    names = "Token " + str(last[0]) if size == 1 else f"Tokens from {last[0]} on"
    return f"{names} got no answer: raise the last group as well, although it is smaller."


def _misplaced(found: np.ndarray, logits: np.ndarray) -> bool:
    """Whether most numbers are some token's logit, but hardly any is its own."""
    own = np.abs(found - logits) <= READ
    somebodys = np.abs(found[:, None] - logits).min(axis=1) <= READ
    different = len(np.unique(found.round(3))) > len(found) / 2
    return bool(different and somebodys.mean() > 0.7 and own.mean() < 0.6)


def queries_for_logits(part: Part, tried: list[Keyhole]) -> None:
    """As many tokens in a query as fit beside the one they are read against."""
    over = [one.service.used("thief") - one.needed for one in tried]
    worst = tried[int(np.argmax(over))]
    if min(one.service.used("thief") for one in tried) == 0:
        raise Missed("a service was not asked at all.")
    part.expect(
        max(over) <= 4,
        f"{worst.service.used('thief')} queries for {len(worst.logits)} tokens, "
        f"{worst.top} in an answer",
        f"at most {worst.needed + 4}",
        f"{worst.needed}",
        "Every answer contains as many tokens as the service allows: one of them is the token that "
        "you read the others against, so raise all but one of that number at a time.",
    )
