"""What lab 6 tries with a language model's service that is to tell thieves nothing.

Honest users and thieves ask the student's service in turn; each function decides one part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster import exact
from trickster.checks import draws
from trickster.checks.cases import Case, decide
from trickster.checks.result import Missed, Part, returned
from trickster.checks.token_cases import Keyhole, keyhole
from trickster.services import TokenAPI, TokenClient, Told, log_softmax

CALIBRATED = 0.05  # by how much a log-probability may be off
STOLEN = 0.2, 0.5  # errors of the best theft: some points from the first, all from the second


class Checked:
    """The student's ``telling``, its answers tested before anybody reads them."""

    def __init__(self, telling: Callable[..., Any]):
        self._telling = telling

    def __call__(self, logits: np.ndarray, bias: dict[int, float]) -> Told:
        answer = returned(self._telling(logits.copy(), dict(bias)), "tell")
        try:
            token, told = answer
            told = {int(key): float(value) for key, value in dict(told).items()}
            token = int(token)
        except (TypeError, ValueError):
            raise Missed(
                "tell must return two things: the next token, and a dictionary from tokens to "
                "log-probabilities (an empty one if it tells none)."
            ) from None
        known = [token, *told]
        if (
            not all(0 <= one < len(logits) for one in known)
            or not np.isfinite(list(told.values()) or [0.0]).all()
        ):
            raise Missed("tell named a token that does not exist, or a log-probability of NaN.")
        if len(told) > 5:
            raise Missed(f"tell told {len(told)} log-probabilities; five are the most.")
        return token, told


def _services(telling: Callable[..., Told], name: str, n: int = 3) -> list[Keyhole]:
    """The service that ``telling`` makes of ``n`` drawn models."""
    made = []
    for i in range(n):
        one = keyhole(name, i)
        service = TokenAPI(one.model, telling)
        made.append(one._replace(service=service, client=service.client("thief")))
    return made


def honest_log_probabilities(part: Part, telling: Callable[..., Any]) -> None:
    """Without a bias: the most likely token, and the five largest log-probabilities."""
    off, wrong = 0.0, ""
    for one in _services(Checked(telling), "honest"):
        here, off_here = _dishonest(*one.client.query(one.prompt), one.logits)
        wrong, off = wrong or here, max(off, off_here)
    part.expect(
        not wrong and off <= CALIBRATED,
        wrong or f"log-probabilities off by {off:.2g} at most",
        f"the five most likely tokens, off by at most {CALIBRATED}",
        "0",
        "Honest users need calibrated probabilities of the tokens that are likely; without a bias "
        "the answer can be as it was.",
    )


def _dishonest(token: int, told: dict[int, float], logits: np.ndarray) -> tuple[str, float]:
    """What is wrong with an answer to a question without a bias, and how far it is off."""
    want = log_softmax(logits)
    best = np.argsort(-want)[:5].tolist()
    if token != best[0]:
        return "the token is not the most likely one", 0.0
    if set(told) != set(best):
        return f"{len(set(told) & set(best))} of the five most likely tokens told", 0.0
    return "", max(abs(told[one] - want[one]) for one in best)


def bias_still_works(part: Part, telling: Callable[..., Any]) -> None:
    """Customers ban words, and favour one: the next token follows the bias."""
    rng, cases = draws.rng("bias works"), []
    for one in _services(Checked(telling), "bias"):
        best = np.argsort(-one.logits)
        banned = best[: int(rng.integers(1, 4))].tolist()
        token, _ = one.client.query(one.prompt, dict.fromkeys(banned, -100.0))
        advice = "A banned token must not come: choose the token from logits plus bias."
        cases.append(Case(f"{len(banned)} likely tokens banned, the next token", token,
                          int(best[len(banned)]), advice))  # fmt: skip
        wanted = int(best[int(rng.integers(8, 40))])
        token, _ = one.client.query(one.prompt, {wanted: 60.0})
        advice = "A favoured token must come: choose the token from logits plus bias."
        cases.append(Case("an unlikely token favoured, the next token", token, wanted, advice))
    decide(part, cases)


class Watched(Checked):
    """A service at which honest users ask in between, and get what they got before."""

    def __init__(self, telling: Callable[..., Any], name: str):
        super().__init__(telling)
        self._rng = draws.rng("honest in between", name)
        self._honest = [keyhole("in between", i).logits for i in range(4)]

    def __call__(self, logits: np.ndarray, bias: dict[int, float]) -> Told:
        answer = super().__call__(logits, bias)
        if self._rng.random() < 0.2:
            honest = self._honest[int(self._rng.integers(len(self._honest)))]
            wrong, off = _dishonest(*super().__call__(honest, {}), honest)
            if wrong or off > CALIBRATED:
                raise Missed(
                    "honest users asked between the thief's questions, and one was told something "
                    f"wrong ({wrong or f'off by {off:.2g}'}). What a service tells may not depend "
                    "on how often it was asked. If yours does not, choose the five tokens before "
                    "you round: rounded numbers can be equal, and a wrong token be taken."
                )
        return answer


def best_theft(part: Part, telling: Callable[..., Any]) -> None:
    """What the most successful of five thieves reads."""
    thieves = {
        "who raises four tokens at a time": exact.logits_through_top_k,
        "who raises tokens and reads the numbers as if no bias were in them": lambda api, prompt: (
            exact.logits_through_top_k(_Offset(api), prompt)
        ),
        "who raises one token at a time, by as little as it takes": exact.logits_one_by_one,
        "who bans what is known": exact.logits_by_banning,
        "who raises tokens, asks each question nine times and averages": lambda api, prompt: (
            exact.logits_through_top_k(exact.Averaged(api), prompt)
        ),
    }
    errors: dict[str, float] = {}
    for name, thief in thieves.items():
        part.doing(name)
        made = _services(Watched(telling, name), "theft", 2)
        found = [exact.theft_error(thief(one.client, one.prompt), one.logits) for one in made]
        errors[name] = min(found)
    best = min(errors, key=errors.__getitem__)
    some, full = STOLEN
    share = 1.0 if errors[best] >= full else 0.5 if errors[best] >= some else 0.0
    part.award(
        share,
        f"the thief {best} recovers the logits with an error of {errors[best]:.2g} of their spread",
        f"at least {full} (half from {some}) for the best of {len(thieves)} thieves",
        "0.9",
        "Whatever a log-probability tells of a token that the thief has chosen is read. Raised "
        "tokens must not appear among the log-probabilities, and banning the likely ones must not "
        "bring up the next. Rounding and noise leave the cliff; fresh noise averages out. Does the "
        "bias have to change the log-probabilities at all?",
    )


class _Offset:
    """A service whose log-probabilities of raised tokens are taken to be without their bias."""

    def __init__(self, api: TokenClient):
        self.api, self.vocabulary_size = api, api.vocabulary_size

    def query(self, prompt: Any, bias: Any = None) -> Told:
        token, told = self.api.query(prompt, bias)
        return token, {one: value + (bias or {}).get(one, 0.0) for one, value in told.items()}
