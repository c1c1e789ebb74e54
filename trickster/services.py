"""Services beside that for pictures: rows of numbers in, and the next token of a text.

:class:`VectorAPI` answers rows of numbers, :class:`TokenAPI` prompts; both check, charge and log as
``api.MeteredAPI`` does. What a language model's service says of its logits, and so its defence, is
one function, a :data:`Telling`; those of common services are here. The models are in ``solvable``
and ``language_model``, the thieves in ``exact``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Protocol

import numpy as np

from trickster.api import Client, InvalidQuery, MeteredAPI

MOST_BIAS = 100.0  # of one token's logit, up or down
REMEMBERED = 64  # prompts whose logits a service keeps

Bias = dict[int, float]
Told = tuple[int, dict[int, float]]  # the next token, and some tokens' log-probabilities
Telling = Callable[[np.ndarray, Bias], Told]  # of logits (V,) and the customer's bias


class NextToken(Protocol):
    """What a :class:`TokenAPI` serves; ``language_model.LanguageModel`` is one."""

    vocabulary_size: int
    context: int

    def logits(self, prompts: np.ndarray) -> np.ndarray: ...


class VectorAPI(MeteredAPI):
    """A model of rows of numbers behind a metered, logged ``query``.

    Parameters
    ----------
    model : from rows ``(n, d)``, float64, to answers ``(n,)`` or ``(n, k)``.
    d : how many numbers make one row.
    low, high : the range in which each number must lie.
    defenses : functions from answers to answers, applied in this order.
    options : ``budget``, ``limiters`` and ``clock``, see ``api.MeteredAPI``.
    """

    def __init__(
        self,
        model: Callable[[np.ndarray], np.ndarray],
        d: int,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        defenses: Sequence[Callable[[np.ndarray], np.ndarray]] = (),
        **options: Any,
    ):
        super().__init__(**options)
        self._model, self.d, self.low, self.high = model, d, low, high
        self.defenses = tuple(defenses)

    def query(self, x: np.ndarray, key: str = "anonymous") -> np.ndarray:
        """The model's answers to rows ``x (n, d)``.

        Raises ``InvalidQuery``, ``BudgetExceeded`` or ``RateLimited`` without charging.
        """
        _, x = self._admit(x, key)
        answers = self._model(x)
        for defense in self.defenses:
            answers = defense(answers)
        return answers

    def _countable(self, request: Any) -> int:
        try:
            x = np.asarray(request, dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidQuery(
                f"A query is an array of numbers of shape (n, {self.d}); this is a "
                f"{type(request).__name__}."
            ) from None
        if x.ndim != 2 or x.shape[1] != self.d:
            hint = " One row needs a leading axis: x[None]." if x.shape == (self.d,) else ""
            raise InvalidQuery(f"Queries must have shape (n, {self.d}); got {x.shape}.{hint}")
        if len(x) == 0:
            raise InvalidQuery("The batch is empty: send at least one row.")
        return len(x)

    def _valid(self, request: Any) -> np.ndarray:
        x = np.array(request, dtype=np.float64)  # a copy: the model may not see it change
        if not np.isfinite(x).all():
            bad = int((~np.isfinite(x)).any(axis=1).sum())
            raise InvalidQuery(f"{bad} of {len(x)} rows hold NaN or infinite values.")
        if x.min() < self.low or x.max() > self.high:
            raise InvalidQuery(
                f"Values must lie in [{self.low:g}, {self.high:g}]; these run from "
                f"{x.min():.7g} to {x.max():.7g}."
            )
        return x


class TokenAPI(MeteredAPI):
    """A language model's service: a prompt in, the next token and what ``telling`` tells of it.

    Parameters
    ----------
    model : see :class:`NextToken`.
    telling : what the service says of the logits; :class:`TopTokens` with five by default.
    options : ``budget`` (a prompt is one answer), ``limiters`` and ``clock``, see
        ``api.MeteredAPI``.

    A bias adds to the logits of single tokens, from -100 to 100: customers ban or favour words.
    """

    def __init__(self, model: NextToken, telling: Telling | None = None, **options: Any):
        super().__init__(**options)
        self._model, self.telling = model, telling or TopTokens()
        self._tokens: dict[str, int] = {}
        self._kept: OrderedDict[tuple[int, ...], np.ndarray] = OrderedDict()

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are: 0 to ``vocabulary_size - 1``."""
        return self._model.vocabulary_size

    def query(
        self,
        prompt: Sequence[int],
        bias: Mapping[int, float] | None = None,
        key: str = "anonymous",
    ) -> Told:
        """The most likely next token, and log-probabilities by token, sorted by token.

        prompt : numbers of tokens, as many as the model's context at most.
        bias : what to add to the logits of single tokens.

        Raises ``InvalidQuery``, ``BudgetExceeded`` or ``RateLimited`` without charging.
        """
        _, (tokens, checked) = self._admit((prompt, bias), key)
        self._tokens[key] = self.tokens(key) + len(tokens) + 1
        token, told = self.telling(self._logits(tokens), checked)
        return int(token), {int(name): float(told[name]) for name in sorted(told)}

    def tokens(self, key: str = "anonymous") -> int:
        """Tokens this key has sent and received: what providers bill."""
        return self._tokens.get(key, 0)

    def client(self, key: str) -> TokenClient:
        """The customer's side of this API under one key."""
        return TokenClient(self, key)

    def _logits(self, tokens: tuple[int, ...]) -> np.ndarray:
        """Of the next token, float64; those of the latest prompts are kept."""
        if tokens not in self._kept:
            self._kept[tokens] = self._model.logits(np.array([tokens]))[0].astype(np.float64)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        self._kept.move_to_end(tokens)
        return self._kept[tokens].copy()

    def _countable(self, request: Any) -> int:
        prompt, bias = request
        if isinstance(prompt, str | bytes) or not hasattr(prompt, "__len__"):
            raise InvalidQuery(
                "A prompt is a list of tokens, each a whole number; this is a "
                f"{type(prompt).__name__}. A language model's encode() makes tokens of a text."
            )
        if not 1 <= len(prompt) <= self._model.context:
            raise InvalidQuery(
                f"A prompt has 1 to {self._model.context} tokens; this one has {len(prompt)}."
            )
        if bias is not None and not isinstance(bias, Mapping):
            raise InvalidQuery(
                "A bias is a dictionary from tokens to what is added to their logits; this is a "
                f"{type(bias).__name__}."
            )
        return 1

    def _valid(self, request: Any) -> tuple[tuple[int, ...], Bias]:
        prompt, bias = request
        tokens = tuple(self._token(token, "The prompt") for token in np.asarray(prompt).tolist())
        checked = {}
        for token, value in (bias or {}).items():
            if not isinstance(value, Real) or not abs(float(value)) <= MOST_BIAS:
                raise InvalidQuery(
                    f"The bias of token {token} is {value}: it must be a number from "
                    f"-{MOST_BIAS:g} to {MOST_BIAS:g}."
                )
            checked[self._token(token, "The bias")] = float(value)
        return tokens, checked

    def _token(self, token: Any, where: str) -> int:
        if not isinstance(token, Integral) or isinstance(token, bool):
            raise InvalidQuery(f"{where} names {token!r}, which is no token: a whole number.")
        if not 0 <= token < self.vocabulary_size:
            raise InvalidQuery(
                f"{where} names token {token}, which does not exist: they run from 0 to "
                f"{self.vocabulary_size - 1}."
            )
        return int(token)

    def _length(self, request: Any) -> int:
        return 1


@dataclass(frozen=True)
class TokenClient(Client):
    """One customer's view of a :class:`TokenAPI`."""

    _public_names: ClassVar[tuple[str, ...]] = (
        *("key", "query", "used", "remaining", "tokens", "vocabulary_size"),
    )

    _api: TokenAPI

    def query(self, prompt: Sequence[int], bias: Mapping[int, float] | None = None) -> Told:
        """The next token, and some tokens' log-probabilities; see :meth:`TokenAPI.query`."""
        return self._api.query(prompt, bias, self.key)

    @property
    def tokens(self) -> int:
        """Tokens sent and received so far."""
        return self._api.tokens(self.key)

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are."""
        return self._api.vocabulary_size


# --- what a service tells ---------------------------------------------------------------------


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities over the last axis, stable for large logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def biased(logits: np.ndarray, bias: Bias) -> np.ndarray:
    """Logits ``(V,)`` with the customer's bias added."""
    changed = logits.copy()
    for token, value in bias.items():
        changed[token] += value
    return changed


def most_likely(logits: np.ndarray, top: int) -> dict[int, float]:
    """The ``top`` most likely tokens and their log-probabilities; on ties, the first."""
    told = log_softmax(logits)
    return {int(token): float(told[token]) for token in np.argsort(-told, kind="stable")[:top]}


@dataclass(frozen=True)
class TopTokens:
    """The undefended service: the bias changes the token, and the log-probabilities it tells.

    ``decimals`` rounds them; ``noise`` adds a fresh N(0, noise) to each.
    """

    top: int = 5
    decimals: int | None = None
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "_rng", np.random.default_rng(self.seed))

    def __call__(self, logits: np.ndarray, bias: Bias) -> Told:
        changed = biased(logits, bias)
        told = most_likely(changed, self.top)
        if self.noise:
            told = {token: p + self.noise * self._rng.normal() for token, p in told.items()}
        if self.decimals is not None:
            told = {token: round(p, self.decimals) for token, p in told.items()}
        return int(changed.argmax()), told


def token_only(logits: np.ndarray, bias: Bias) -> Told:
    """Bias, but no log-probabilities at all."""
    return int(biased(logits, bias).argmax()), {}


def no_bias(logits: np.ndarray, bias: Bias) -> Told:
    """Log-probabilities, but no bias: whatever a customer sends as one is ignored."""
    return int(logits.argmax()), most_likely(logits, 5)


def bias_moves_the_token_only(logits: np.ndarray, bias: Bias) -> Told:
    """The bias decides which token comes next; the log-probabilities are those without it."""
    return int(biased(logits, bias).argmax()), most_likely(logits, 5)


close_the_hole = bias_moves_the_token_only  # the name that lab 6 shows: it does not say how
