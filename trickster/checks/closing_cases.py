"""What lab 6 tries with a language model's service that is to tell thieves nothing.

Honest users and thieves ask the student's service in turn; each function decides one part.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.stats import rankdata

from trickster import exact
from trickster.checks import draws
from trickster.checks.cases import Case, decide
from trickster.checks.result import Missed, Part
from trickster.checks.token_cases import Keyhole, keyhole
from trickster.checks.values import locked, returned, saying_what_is_written_into
from trickster.services import TokenAPI, Told, log_softmax

CALIBRATED = 0.05  # by how much a log-probability may be off
STOLEN = 0.2, 0.5  # errors of the best theft: no points up to the first, all from the second
APART = 0.11  # of the most likely tokens' logits: rounding to one decimal cannot exchange them
STEADY = 1e-6  # of a log-probability: differences that rounding makes
FEW, MANY = 9, 50  # thefts that a thief averages: where they agree, and where they do not
KINDS, EACH, INSTEAD = 6, 20, 7  # of questions whose numbers are compared; logits tried in each
CHANCE = 6  # standard deviations of a rank correlation that is there by chance
AVERAGING = "who raises tokens many times and averages"


class Checked:
    """The student's ``telling``, its answers tested before anybody reads them."""

    def __init__(self, telling: Callable[..., Any]):
        self._telling = telling

    def __call__(self, logits: np.ndarray, bias: dict[int, float]) -> Told:
        answer = returned(self._telling(logits.copy(), dict(bias)), "tell")
        try:
            token, told = answer
            told = {int(key): float(value) for key, value in told.items()}
            token = int(token)
        except (TypeError, ValueError, AttributeError):
            raise Missed(
                "tell must return two things: the next token, and a dictionary from tokens to "
                "log-probabilities (an empty one for none)."
            ) from None
        known = [token, *told]
        if (
            not all(0 <= one < len(logits) for one in known)
            or not np.isfinite(list(told.values()) or [0.0]).all()
        ):
            raise Missed("tell named a token that does not exist, or a log-probability of NaN.")
        if len(told) > 5:
            raise Missed(f"tell returned {len(told)} log-probabilities; five are the most.")
        return token, told


@draws.cached
def _clear(name: str, number: int) -> Keyhole:
    """A drawn model and prompt whose six most likely tokens are clearly in that order."""
    for i in itertools.count():
        one = keyhole(f"{name} {number}", i)
        if -np.diff(np.sort(one.logits)[::-1][:6]).max() >= APART:
            return one
    raise AssertionError("The count does not end.")


def _services(telling: Callable[..., Told], name: str, n: int = 3) -> list[Keyhole]:
    """The service that ``telling`` makes of ``n`` drawn models."""
    made = []
    for i in range(n):
        one = _clear(name, i)
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
        "These look like logits or probabilities: log_softmax(logits) makes log-probabilities."
        if not wrong and off > 1
        else "Honest users need calibrated probabilities of the tokens that are likely; without a "
        "bias the answer can be as it was.",
    )


def _dishonest(token: int, told: dict[int, float], logits: np.ndarray) -> tuple[str, float]:
    """What is wrong with an answer to a question without a bias, and how far it is off."""
    want = log_softmax(logits)
    best = np.argsort(-want)[:5].tolist()
    if token != best[0]:
        return "the token is not the most likely one", 0.0
    if set(told) != set(best):
        return f"{len(set(told) & set(best))} of the five most likely tokens returned", 0.0
    return "", max(abs(told[one] - want[one]) for one in best)


def bias_still_works(part: Part, telling: Callable[..., Any]) -> None:
    """Customers ban words, and favour one: the next token follows the bias."""
    rng, cases = draws.rng("bias works"), []
    for one in _services(Checked(telling), "bias"):
        best = np.argsort(-one.logits)
        banned = best[: int(rng.integers(1, 4))].tolist()
        token, _ = one.client.query(one.prompt, dict.fromkeys(banned, -100.0))
        advice = "A banned token must not come: choose the token from logits plus bias."
        what = "the likeliest token banned" if len(banned) == 1 else f"{len(banned)} tokens banned"
        cases.append(Case(f"{what}, the next token", token, int(best[len(banned)]), advice))
        wanted = int(best[int(rng.integers(8, 40))])
        token, _ = one.client.query(one.prompt, {wanted: 60.0})
        advice = "A favoured token must come: choose the token from logits plus bias."
        cases.append(Case("an unlikely token favoured, the next token", token, wanted, advice))
        token, _ = one.client.query(one.prompt, {int(best[0]): -0.05, wanted: 0.2})
        advice = "How large a bias is counts: these two change no order, so choose from the sum."
        what = "the likeliest token a little out of favour, an unlikely one a little in"
        cases.append(Case(f"{what}, the next token", token, int(best[0]), advice))
    decide(part, cases)


class Watched(Checked):
    """A service at which honest users ask in between, and get what they got before."""

    def __init__(self, telling: Callable[..., Any], name: str):
        super().__init__(telling)
        self._rng = draws.rng("honest in between", name)
        self._honest = [_clear("in between", i).logits for i in range(4)]

    def __call__(self, logits: np.ndarray, bias: dict[int, float]) -> Told:
        answer = super().__call__(logits, bias)
        if self._rng.random() < 0.2:
            honest = self._honest[int(self._rng.integers(len(self._honest)))]
            wrong, off = _dishonest(*super().__call__(honest, {}), honest)
            if wrong or off > CALIBRATED:
                raise Missed(
                    "honest users asked between the thief's questions, and one got a wrong "
                    f"answer ({wrong or f'off by {off:.2g}'}). What a service returns may not "
                    "depend on how often it was asked."
                )
        return answer


def stolen_anyway(telling: Callable[..., Any]) -> float:
    """Error of the thief of exercise 5, who asks often enough to average noise away."""
    checked = Checked(telling)
    return 0.0 if _is_noisy(checked) else _stolen(_averaged, checked, "undefended")


def _is_noisy(telling: Callable[..., Told]) -> bool:
    """Whether the same question with a bias gets another answer when it is asked again."""
    (one,) = _services(telling, "again", 1)
    (_, first), *others = [one.client.query(one.prompt, _raised(one)) for _ in range(4)]
    return not all(_same((0, first), (0, told)) for _, told in others)


def _raised(one: Keyhole) -> dict[int, float]:
    return dict.fromkeys(np.argsort(-one.logits)[8:12].tolist(), 100.0)


def asked_once(telling: Callable[..., Any]) -> Told:
    """The answer to a question with a bias, for a comparison with a later one."""
    (one,) = _services(Checked(telling), "again", 1)
    return one.client.query(one.prompt, _raised(one))


def _writes_into_logits(telling: Callable[..., Any]) -> bool:
    """Whether ``telling`` adds the bias to the array that it is given."""
    (one,) = _services(telling, "again", 1)
    try:
        with saying_what_is_written_into("logits"):
            telling(locked(one.logits), _raised(one))
    except Missed:
        return True
    return False


def _same(one: Told, other: Told) -> bool:
    """Whether two answers agree, up to rounding."""
    return (
        one[0] == other[0]
        and one[1].keys() == other[1].keys()
        and all(abs(one[1][t] - other[1][t]) <= STEADY for t in one[1])
    )


def must_defend(part: Part, stolen: Callable[[], float]) -> None:
    """Nobody earns points for what a service without any defence does as well."""
    if part.share and (error := stolen()) < STOLEN[0]:
        part.miss(
            "right so far, but a service without any defence does as much, and here the thief of "
            f"exercise 5 still reads the logits (with an error of {error:.2g} of their spread). "
            "This part counts once that thief learns less."
        )


def _stolen(thief: Callable[..., Any], telling: Callable[..., Told], name: str) -> float:
    """Error of a theft from the worse protected of two services."""
    made = _services(telling, name, 2)
    return min(exact.theft_error(thief(one.client, one.prompt), one.logits) for one in made)


def best_theft(part: Part, telling: Callable[..., Any], first: Told) -> None:
    """What the most successful of five thieves reads; ``first`` is from :func:`asked_once`."""
    if _is_noisy(Checked(telling)):
        raise Missed(
            "the same question gets different answers, and who asks it often enough averages the "
            "noise away, however strong it is. The same question must get the same answer."
        )
    thieves = {
        "who raises four tokens at a time": [exact.logits_through_top_k],
        "who raises tokens and reads the numbers as if no bias were in them": [
            _unbiased(exact.logits_through_top_k)
        ],
        "who raises one token at a time, by as little as it takes": [exact.logits_one_by_one],
        "who bans what is known": [exact.logits_by_banning],
        AVERAGING: [_averaged, _unbiased(_averaged)],
    }
    errors: dict[str, float] = {}
    for name, ways in thieves.items():
        part.doing(name)
        for way in ways:
            if errors.get(name, 1.0) > STOLEN[0]:
                error = _stolen(way, Watched(telling, name), "theft")
                errors[name] = min(error, errors.get(name, 1.0))
    unread = min(errors.values())
    if unread > STOLEN[0]:
        errors[AVERAGING] = min(errors[AVERAGING], _read_from_the_code(Watched(telling, "code")))
    if not _same(first, asked_once(telling)):
        raise Missed(
            "a question with a bias got another answer after the thieves had asked theirs. The "
            "same query gets the same answer: count nothing, and remember nothing."
        )
    best = min(errors, key=errors.__getitem__)
    none, full = STOLEN
    part.award(
        round((errors[best] - none) / (full - none), 2),
        f"the thief {best}{',' * (',' in best)} recovers the logits with an error of "
        f"{errors[best]:.2g} of their spread",
        f"at least {full} (some points above {none}) for the best of {len(thieves)} thieves",
        "0.9",
        "tell writes into the logits that it is given, so that what it tells follows the bias. Add "
        "the bias to a copy: begin with changed = logits.copy()."
        if errors[best] < STOLEN[1] and _writes_into_logits(telling)
        else "With a bias, a number changes when nothing but the logit of a raised, lowered or "
        "banned token does: the thief knows your function and computes that logit. Tokens that are "
        "not biased tell it as well if their log-probabilities are divided by a sum with the bias "
        "in it, and so does the next token's own. Does the bias have to change the "
        "log-probabilities at all?"
        if errors[best] < unread
        else "The thief reads every log-probability of a token that they have chosen. Raised "
        "tokens must not appear among the log-probabilities, and banning the likely ones must not "
        "bring up the next. Rounding leaves the cliff, and noise averages out. Does the bias have "
        "to change the log-probabilities at all?",
    )


def _unbiased(thief: Callable[..., Any]) -> Callable[..., Any]:
    """The same thief, who takes the log-probabilities of raised tokens to be without their bias."""
    return lambda api, prompt: thief(_Offset(api), prompt)


def _averaged(api: Any, prompt: list[int]) -> np.ndarray:
    """The mean of many thefts, in changing groups of tokens and with slightly changing biases.

    Where they differ, there are more of them: noise that is the same for the same question does
    not help.
    """
    rng = draws.rng("averages")
    found = [_shuffled(api, prompt, rng) for _ in range(FEW)]
    if max((np.ptp(one) for one in _read(found) if one.size), default=0) > CALIBRATED:
        found += [_shuffled(api, prompt, rng) for _ in range(MANY - FEW)]
    return np.array([one.mean() if one.size else np.nan for one in _read(found)])


def _read(found: list[np.ndarray]) -> list[np.ndarray]:
    """For each token, what was read of its logit."""
    return [column[np.isfinite(column)] for column in np.array(found).T]


def _shuffled(api: Any, prompt: list[int], rng: np.random.Generator) -> np.ndarray:
    """One theft, with the tokens in another order and another bias."""
    order = rng.permutation(api.vocabulary_size)
    found = np.empty(len(order))
    found[order] = exact.logits_through_top_k(
        _Renamed(api, order), prompt, raise_by=float(rng.uniform(99.99, 100))
    )
    return found


class _Renamed:
    """A service whose token ``order[i]`` is called ``i``."""

    def __init__(self, api: Any, order: np.ndarray):
        self.api, self.vocabulary_size = api, api.vocabulary_size
        self.order, self.called = order.tolist(), np.argsort(order).tolist()

    def query(self, prompt: Any, bias: Any = None) -> Told:
        named = {self.order[one]: value for one, value in (bias or {}).items()}
        token, told = self.api.query(prompt, named)
        return self.called[token], {self.called[one]: value for one, value in told.items()}


class _Offset:
    """A service whose log-probabilities of raised tokens are taken to be without their bias."""

    def __init__(self, api: Any):
        self.api, self.vocabulary_size = api, api.vocabulary_size

    def query(self, prompt: Any, bias: Any = None) -> Told:
        token, told = self.api.query(prompt, bias)
        return token, {one: value + (bias or {}).get(one, 0.0) for one, value in told.items()}


# --- numbers that follow a logit --------------------------------------------------------------


def _read_from_the_code(telling: Callable[..., Told]) -> float:
    """Error of a thief who looks for any number that follows the logit of a token of their choice.

    In each question, that token and others exchange their logits, all of unlikely tokens: honest
    answers stay as they are. Where the next token and the names of those told stay as well, their
    numbers must not follow. Names alone say no more than next tokens, which must follow the bias.
    """
    pairs: dict[tuple[Any, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    models = [_clear("theft", i).logits for i in range(2)]
    for i, (kind, token, bias, others) in enumerate(_questions(models)):
        logits = models[i % len(models)]
        answers = []
        for other in [token, *others]:
            swapped = logits.copy()
            swapped[[token, other]] = logits[[other, token]]
            answers.append((float(logits[other]), telling(swapped, bias)))
        for role, logit, seen in _followed(token, np.argsort(-logits)[:5].tolist(), answers):
            pairs.setdefault((kind, role), []).append((logit, seen))
            pairs.setdefault(("any", role), []).append((logit, seen))
    return min((_error_of_reading(found) for found in pairs.values()), default=1.0)


def _questions(models: list[np.ndarray]) -> Iterator[tuple[int, int, dict[int, float], list[int]]]:
    """Of drawn kinds: a token, a bias, and tokens whose logits it may have in place of its own."""
    rng = draws.rng("questions about a logit")

    def much() -> float:
        low, high = ((0.1, 2), (2, 25), (25, 100))[rng.integers(3)]
        return float(rng.uniform(low, high))

    for i, (_, kind) in enumerate(itertools.product(range(EACH), range(KINDS))):
        order = np.argsort(-models[i % len(models)]).tolist()
        token, *drawn = rng.permutation(order[5:]).tolist()
        others, more = drawn[:INSTEAD], drawn[INSTEAD : INSTEAD + int(rng.integers(1, 5))]
        same = much()
        if kind == 0:
            bias = {token: same}
        elif kind == 1:
            bias = dict.fromkeys([token, *more], same)
        elif kind == 2:
            bias = {one: much() for one in [token, *more]}
        elif kind == 3:
            bias = {token: same, **dict.fromkeys(order[int(rng.integers(0, 4)) : 5], -100.0)}
        elif kind == 4:
            bias = {token: -same}
        else:  # all that are likelier are banned, and so is whatever changes places with it
            place = int(rng.integers(15, 30))
            token, others = order[place], rng.permutation(order[5:place])[:INSTEAD].tolist()
            bias = dict.fromkeys(order[:place], -100.0)
        yield kind, token, bias, others


def _followed(
    token: int, likely: list[int], answers: list[tuple[float, Told]]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What was told in the same words: by its role, the ranks of logits and of numbers."""
    words = [(said, *sorted(told)) for _, (said, told) in answers]
    usual = max(words, key=words.count)
    same = [(logit, told) for (logit, (_, told)), w in zip(answers, words, strict=True)
            if w == usual]  # fmt: skip
    if len(usual) == 1 or len(same) < 4:
        return
    logit = _ranks(np.array([one for one, _ in same]))
    told = np.array([[numbers[name] for name in usual[1:]] for _, numbers in same])
    roles = {"sum": told.sum(axis=1)}
    for name, column in zip(usual[1:], told.T, strict=True):
        place = f"number {likely.index(name)}" if name in likely else "another"
        roles["own" if name == token else place] = column
        if name == token and len(usual) > 2:
            roles["own less the others"] = len(usual) * column - roles["sum"]
    for role, column in roles.items():
        ranks = _ranks(np.round(column / (4 * STEADY)))
        if ranks.any():
            yield role, logit, ranks


def _ranks(values: np.ndarray) -> np.ndarray:
    ranks = rankdata(values)
    return ranks - ranks.mean()


def _error_of_reading(found: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Error of a logit that is read from ranks which follow it; 1 where they may do so by chance.

    Where they follow it roughly, as behind noise, the thief averages over MANY questions.
    """
    logit, seen = (np.concatenate(ranks) for ranks in zip(*found, strict=True))
    follows = abs(logit @ seen) / np.sqrt((logit @ logit) * (seen @ seen))
    if follows * np.sqrt(len(logit)) < CHANCE:
        return 1.0
    return float(min(1.0, np.sqrt(max(0.0, 1 / follows**2 - 1) / MANY)))
