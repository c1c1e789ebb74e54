"""What lab 6 tries with the logits of language models, and with services that tell some of them.

Each function decides one part of a check, or draws what several parts need. The models are drawn:
their logits are ``W h``, with a hidden state ``h`` for each prompt, as a transformer's are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import exact, withheld
from trickster.api import BudgetExceeded
from trickster.checks import draws
from trickster.checks.cases import Case, decide
from trickster.checks.result import Missed, Part, array
from trickster.language_model import Shape, Transformer
from trickster.models import seeded
from trickster.services import TokenAPI, TokenClient, TopTokens, log_softmax

READ = 0.01  # of a logit: what recovering leaves is a thousandth of it


class DrawnModel:
    """A language model without a text: logits ``W h``, in float32."""

    context = 16

    def __init__(self, name: str, number: int, *, vocabulary: int, hidden: int, spread: float = 2):
        rng = draws.rng("language model", name, number)
        self._key = draws.seed("language model", name, number)
        self.vocabulary_size, self.hidden, self.spread = vocabulary, hidden, spread
        self.projection = rng.normal(size=(vocabulary, hidden)) * spread / np.sqrt(hidden)
        self._common = rng.normal(size=hidden)  # as if some words were frequent everywhere

    def logits(self, prompts: np.ndarray) -> np.ndarray:
        """Of prompts ``(n, t)``, ``(n, V)``."""
        rows = [np.random.default_rng([self._key, *p]) for p in np.asarray(prompts).tolist()]
        states = [self._common + rng.normal(size=self.hidden) for rng in rows]
        return np.array(states, np.float32) @ self.projection.astype(np.float32).T

    def prompts(self, n: int) -> np.ndarray:
        """``n`` drawn prompts ``(n, 5)``."""
        rng = draws.rng("prompts", self._key)
        return rng.integers(self.vocabulary_size, size=(n, 5))


# --- the hidden size --------------------------------------------------------------------------


class Sized(NamedTuple):
    """Logits ``(n, V)`` of a drawn model, and how many directions they span."""

    logits: np.ndarray
    size: int


def sized(name: str, number: int) -> Sized:
    """Logits of a drawn model, of some prompts more than it has hidden units."""
    rng = draws.rng("sized", name, number)
    hidden, vocabulary = int(rng.integers(9, 40)), int(rng.integers(160, 400))
    model = DrawnModel(name, number, vocabulary=vocabulary, hidden=hidden)
    return Sized(model.logits(model.prompts(hidden + int(rng.integers(8, 60)))), hidden)


def too_few(name: str, number: int) -> Sized:
    """Logits of fewer prompts than hidden units, with no chance fall of three times or more."""
    rng = draws.rng("too few", name, number)
    for i in itertools.count():
        hidden, vocabulary = int(rng.integers(16, 40)), int(rng.integers(160, 400))
        model = DrawnModel(f"few {name} {number}", i, vocabulary=vocabulary, hidden=hidden)
        logits = model.logits(model.prompts(int(hidden * rng.uniform(0.4, 0.8))))
        with withheld.lifted():
            values = exact.singular_values(logits)
        if (values[1:-1] / values[2:]).max() < 3:
            return Sized(logits, hidden)
    raise AssertionError("The count does not end.")


def _found(hidden_size: Callable[..., Any], logits: np.ndarray) -> int | None:
    found = hidden_size(logits.copy())
    if found is None:
        return None
    if not isinstance(found, (bool, int, float, np.number, np.ndarray)):
        raise Missed(f"hidden_size returned a {type(found).__name__}; asked a number, or None.")
    single = array(found, "hidden_size")
    if single.size != 1:
        raise Missed(f"hidden_size returned an array of shape {single.shape}, not one number.")
    value = float(single.reshape(()))
    return int(value) if value == int(value) else value


TOLERANCE = (
    "Singular values that should be 0 are not, in float32 and after rounding: no fixed limit fits "
    "them all. Look for the cliff: the place where one is many times the next."
)


def logits_of_several(part: Part, hidden_size: Callable[..., Any]) -> None:
    """Float32 logits, whatever their scale."""
    cases = []
    for i, scale in enumerate((1.0, 1e3, 1e-3)):
        drawn = sized("logits", i)
        got = _found(hidden_size, scale * drawn.logits)
        n, vocabulary = drawn.logits.shape
        what = f"{n} prompts, {vocabulary} tokens, logits times {scale:g}"
        cases.append(Case(what, got, drawn.size, _why_other_size(got, drawn.size)))
    decide(part, cases)


def _why_other_size(got: Any, size: int) -> str:
    if got is None:
        return (
            "Your function returned None, and there is a cliff. Does it end with a return "
            "statement? Does it look for the largest fall behind the first value?"
        )
    if got == 1:
        return (
            "The first value towers over the others because of what all prompts have in common; "
            "that fall is no cliff. Leave the first one out."
        )
    if isinstance(got, int) and got == size + 1:
        return "One too many: is the constant of each row still in? And does counting begin at 1?"
    if isinstance(got, int) and got == size - 1:
        return (
            "One too few: with the cliff between places i and i + 1, counted from 0, there are "
            "i + 1 values before it."
        )
    return TOLERANCE


def log_probabilities_too(part: Part, hidden_size: Callable[..., Any]) -> None:
    """What softmax ignores must not count, and rounding must not hide the cliff."""
    cases = []
    for i, decimals in enumerate((6, 3)):
        drawn = sized("log-probabilities", i)
        told = log_softmax(drawn.logits.astype(np.float64)).round(decimals)
        got = _found(hidden_size, told)
        advice = (
            "Log-probabilities are logits less one number for each row, and that number adds a "
            "direction, (1, 1, ..., 1). Take each row's mean out before anything else. (If logits "
            "are one too many as well, the count is wrong, not the mean.)"
            if got == drawn.size + 1
            else _why_other_size(got, drawn.size)
        )
        what = f"log-probabilities of {len(told)} prompts with {decimals} decimals"
        cases.append(Case(what, got, drawn.size, advice))
    decide(part, cases)


def transformers(part: Part, hidden_size: Callable[..., Any]) -> None:
    """Two of drawn widths, whose last layer normalisation takes one dimension away."""
    cases = []
    for i in range(2):
        rng = draws.rng("transformer", i)
        width, vocabulary = int(rng.integers(14, 50)), int(rng.integers(200, 300))
        with seeded(draws.seed("transformer", i)):
            network = Transformer(Shape(vocabulary, width=width, context=8, layers=1, heads=1))
        tokens = rng.integers(vocabulary, size=(width + 40, 8))
        got = _found(hidden_size, network.last_logits(tokens))
        advice = (
            "What a layer normalisation passes on has mean 0, so its logits span one direction "
            "less than it is wide. Report what the logits span."
            if got == width
            else _why_other_size(got, width - 1)
        )
        what = f"a transformer of width {width} with layer normalisation before its head"
        cases.append(Case(what, got, width - 1, advice))
    decide(part, cases)


def too_few_prompts(part: Part, hidden_size: Callable[..., Any]) -> None:
    """None without a cliff; a number where there are just enough prompts."""
    cases = []
    for i in range(2):
        few, enough = too_few("few", i), sized("enough", i)
        n = enough.size + 5
        cases += [
            Case(
                f"{len(few.logits)} prompts of a model with {few.size} hidden units",
                _found(hidden_size, few.logits),
                None,
                "With fewer prompts than hidden units there is no cliff, and the largest of many "
                "small falls means nothing. Return None unless it is at least ten times.",
            ),
            Case(
                f"{n} prompts of a model with {enough.size}",
                _found(hidden_size, enough.logits[:n]),
                enough.size,
                "A few prompts more than hidden units are enough to see the cliff. Is the number "
                "right in the parts above?",
            ),
        ]
    decide(part, cases)


# --- through the keyhole ----------------------------------------------------------------------


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


def keyhole(name: str, number: int, *, top: int = 5, spread: float = 2.0) -> Keyhole:
    """A service that tells the ``top`` most likely tokens."""
    rng = draws.rng("keyhole", name, number)
    model = DrawnModel(
        f"keyhole {name}", number, vocabulary=int(rng.integers(60, 110)), hidden=8, spread=spread
    )
    prompt = rng.integers(model.vocabulary_size, size=int(rng.integers(3, 9))).tolist()
    logits = model.logits(np.array([prompt]))[0].astype(np.float64)
    service = TokenAPI(model, TopTokens(top), budget=3 * model.vocabulary_size)
    return Keyhole(model, service, service.client("thief"), prompt, logits, top)


def all_logits(
    part: Part, recover: Callable[..., Any], name: str, spread: float = 2.0
) -> list[Keyhole]:
    """Every logit, up to one constant, of two services; returns them."""
    tried = [keyhole(name, i, top=top, spread=spread) for i, top in enumerate((5, 3))]
    errors, found = [], []
    for one in tried:
        found.append(_recovered(recover, one))
        errors.append(_error(found[-1], one.logits))
    worst = int(np.argmax(errors))
    one = tried[worst]
    part.expect(
        max(errors) <= READ,
        f"largest error {max(errors):.2g}, with the {one.top} most likely of {len(one.logits)} "
        f"tokens told; the logits lie {np.ptp(one.logits):.0f} apart",
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
        raise Missed(
            f"your code looked for token {error} in an answer that does not tell it. A token that "
            "you raise is told only if it overtakes the others: raise it by more (up to 100), and "
            f"raise no more tokens than fit into one answer. This service tells {one.top}, others "
            "another number: count them."
        ) from None
    found = array(found, "logits_through_top_k", (len(one.logits),))
    return found


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
    if _error(np.sort(found), np.sort(one.logits)) <= READ:
        return (
            "These are the right numbers beside the wrong tokens. An answer lists its tokens by "
            "their numbers, not by likelihood, and not in the order in which you raised them: read "
            "each by its key."
        )
    difference = np.round(found - one.logits, 2)
    values, counts = np.unique(difference, return_counts=True)
    few, top = difference == values[counts.argmin()], int(one.logits.argmax())
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
    return (
        "Log-probabilities of different answers have different normalisers: a bias changes them "
        "all. Read each raised token against one that every answer tells, and take the bias off."
    )


def queries_for_logits(part: Part, tried: list[Keyhole]) -> None:
    """As many tokens in a query as fit beside the one they are read against."""
    over = [one.service.used("thief") - one.needed for one in tried]
    worst = tried[int(np.argmax(over))]
    if min(one.service.used("thief") for one in tried) == 0:
        raise Missed("a service was not asked at all.")
    part.expect(
        max(over) <= 4,
        f"{worst.service.used('thief')} queries for {len(worst.logits)} tokens, {worst.top} told",
        f"at most {worst.needed + 4}",
        f"{worst.needed}",
        "Every answer tells as many tokens as the service allows: one of them is the token that "
        "you read the others against, so raise all but one of that number at a time.",
    )


def projection(part: Part, output_projection: Callable[..., Any]) -> None:
    """The columns of the output projection, up to a linear map, from log-probabilities."""
    rng = draws.rng("projection")
    hidden, vocabulary = int(rng.integers(9, 30)), int(rng.integers(160, 300))
    model = DrawnModel("projection", 0, vocabulary=vocabulary, hidden=hidden)
    logits = model.logits(model.prompts(2 * hidden)).astype(np.float64)
    told = log_softmax(logits)
    found = array(output_projection(told.copy(), hidden), "output_projection", (vocabulary, hidden))
    if not np.isfinite(found).all():
        raise Missed("output_projection returned NaN or infinite values.")
    error = exact.projection_error(found - found.mean(axis=0), model.projection)
    part.expect(
        error <= 1e-3,
        f"{error:.1e} of the true projection lies outside of your columns",
        "at most 1e-3",
        "1e-6",
        "Take each row's mean out first. The rows of logits are hidden states times the "
        "projection, so the first right singular vectors span its columns: what np.linalg.svd "
        "returns last, transposed, as many columns as there are hidden units.",
    )
