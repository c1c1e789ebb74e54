"""What lab 6 tries with the logits of language models: their hidden size, their last layer.

Each function decides one part of a check, or draws what several parts need. The models are drawn:
their logits are ``W h``, with a hidden state ``h`` for each prompt, as a transformer's are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import exact, withheld
from trickster.checks import draws
from trickster.checks.cases import Case, decide
from trickster.checks.result import Missed, Part
from trickster.checks.values import array, kind_of
from trickster.language_model import Shape, Transformer
from trickster.models import seeded
from trickster.services import log_softmax

STRONG = 30.0  # how many times stronger some directions of a hidden state are than the others
COMMON = 40.0  # by what all prompts have in common, the first drop is larger than ten
MISSING = 1e-3  # of a projection: what recovering misses is a thousandth of it


class DrawnModel:
    """A language model without a text: logits ``W h``, in float32."""

    context = 16

    def __init__(
        self,
        name: str,
        number: int,
        *,
        vocabulary: int,
        hidden: int,
        spread: float = 2,
        common: float = 1,
        strong: int = 0,
    ):
        rng = draws.rng("language model", name, number)
        self._key = draws.seed("language model", name, number)
        self.vocabulary_size, self.hidden, self.spread = vocabulary, hidden, spread
        self.projection = rng.normal(size=(vocabulary, hidden)) * spread / np.sqrt(hidden)
        self._common = common * rng.normal(size=hidden)  # some words are frequent everywhere
        self._scale = np.where(np.arange(hidden) < strong, STRONG, 1.0)

    def logits(self, prompts: np.ndarray) -> np.ndarray:
        """Of prompts ``(n, t)``, ``(n, V)``."""
        rows = [np.random.default_rng([self._key, *p]) for p in np.asarray(prompts).tolist()]
        states = [self._common + self._scale * rng.normal(size=self.hidden) for rng in rows]
        return np.array(states, np.float32) @ self.projection.astype(np.float32).T

    def prompts(self, n: int) -> np.ndarray:
        """``n`` drawn prompts ``(n, 5)``."""
        rng = draws.rng("prompts", self._key)
        return rng.integers(self.vocabulary_size, size=(n, 5))


# --- the hidden size --------------------------------------------------------------------------


class Sized(NamedTuple):
    """Logits ``(n, V)`` of a drawn model, their drops, and how many directions they span.

    Drop ``i`` comes after ``i + 1`` singular values; ``strong`` directions outdo the others.
    """

    logits: np.ndarray
    drops: np.ndarray
    size: int
    strong: int = 0

    @property
    def cliff(self) -> float:
        """The drop after the hidden size."""
        return float(self.drops[self.size - 1])


def _drawn(
    draw: Callable[[int], tuple[np.ndarray, int]], fits: Callable[[Sized], bool], strong: int = 0
) -> Sized:
    """The first draw that tells right from wrong."""
    for i in itertools.count():
        logits, size = draw(i)
        with withheld.lifted():
            values = exact.singular_values(logits)
        drawn = Sized(logits, values[:-1] / values[1:], size, strong)
        if fits(drawn):
            return drawn
    raise AssertionError("The count does not end.")


def sized(
    name: str,
    number: int,
    *,
    common: float = 1,
    strong: int = 0,
    decimals: int | None = None,
    fits: Callable[[Sized], bool] = lambda drawn: True,
) -> Sized:
    """Logits of a drawn model, of some prompts more than it has hidden units.

    With ``decimals``, rounded log-probabilities in their place.
    """

    def draw(i: int) -> tuple[np.ndarray, int]:
        rng = draws.rng("sized", name, number, i)
        hidden, vocabulary = int(rng.integers(9, 40)), int(rng.integers(160, 400))
        model = DrawnModel(
            f"{name} {number}", i, vocabulary=vocabulary, hidden=hidden, common=common,
            strong=strong,
        )  # fmt: skip
        logits = model.logits(model.prompts(hidden + int(rng.integers(8, 60))))
        if decimals is not None:
            logits = log_softmax(logits.astype(np.float64)).round(decimals)
        return logits, hidden

    return _drawn(draw, fits, strong)


def too_few(name: str, number: int) -> Sized:
    """Logits of fewer prompts than hidden units; only the first drop is three times or more."""

    def draw(i: int) -> tuple[np.ndarray, int]:
        rng = draws.rng("too few", name, number, i)
        hidden, vocabulary = int(rng.integers(16, 40)), int(rng.integers(160, 400))
        model = DrawnModel(
            f"few {name} {number}", i, vocabulary=vocabulary, hidden=hidden, common=COMMON
        )
        return model.logits(model.prompts(int(hidden * rng.uniform(0.4, 0.8)))), hidden

    return _drawn(draw, lambda drawn: drawn.drops[1:-1].max() < 3 and drawn.drops[0] >= 20)


def _unclear() -> Sized:
    """Logits with so much noise that their largest drop is not ten times, but four to seven."""

    def draw(i: int) -> tuple[np.ndarray, int]:
        one, rng = sized("unclear", i), draws.rng("noise on logits", i)
        with withheld.lifted():
            last = exact.singular_values(one.logits)[one.size - 1]
        deviation = last / 5.5 / sum(np.sqrt(one.logits.shape))  # noise's largest value: a 5.5th
        return one.logits + rng.normal(0, deviation, one.logits.shape), one.size

    return _drawn(draw, lambda drawn: 4 < drawn.cliff < 7 and drawn.cliff == drawn.drops[1:].max())


def _found(hidden_size: Callable[..., Any], logits: np.ndarray) -> int | None:
    found = hidden_size(logits.copy())
    if found is None:
        return None
    if not isinstance(found, (bool, int, float, np.number, np.ndarray)):
        raise Missed(f"hidden_size returned {kind_of(found)}, not a number or None.")
    single = array(found, "hidden_size")
    if single.size != 1:
        raise Missed(f"hidden_size returned an array of shape {single.shape}, not one number.")
    value = float(single.reshape(()))
    return int(value) if value == int(value) else value


TOLERANCE = (
    "Singular values that should be 0 are not, in float32 and after rounding: no fixed limit fits "
    "them all. Look for the cliff: the place where one is many times the next. Divide, and do not "
    "subtract."
)


def logits_of_several(part: Part, hidden_size: Callable[..., Any]) -> None:
    """Float32 logits, whatever their scale, and wherever else their singular values fall."""
    strong = int(draws.rng("strong directions").integers(2, 5))
    drawn_ones = (
        (1.0, sized("logits", 0)),
        (1e3, sized("logits", 1, common=COMMON, fits=lambda drawn: drawn.drops[0] >= 20)),
        (1e-3, sized("logits", 2, strong=strong, fits=_drops_early)),
    )
    cases = []
    for scale, drawn in drawn_ones:
        got = _found(hidden_size, scale * drawn.logits)
        n, vocabulary = drawn.logits.shape
        what = f"{n} prompts, {vocabulary} tokens, logits times {scale:g}"
        cases.append(Case(what, got, drawn.size, _why_other_size(got, drawn)))
    decide(part, cases)


def _drops_early(drawn: Sized) -> bool:
    """Whether there is a drop of ten times, and far less than the cliff, before it."""
    return 12 <= drawn.drops[drawn.strong - 1] <= drawn.cliff / 100


def _why_other_size(got: Any, drawn: Sized) -> str:
    if got is None:
        return (
            "Your function returned None, and there is a cliff. Does it end with a return "
            "statement? Does it divide each value by the next, and not the other way round? Does "
            "it look for the largest drop after the first value? Is a drop of ten "
            f"times enough for it? (This one is {drawn.cliff:,.0f} times.)"
        )
    if got == len(drawn.logits) - 1:
        return (
            f"{got} is one less than there are prompts, as if you had taken each token's mean over "
            "the prompts out. Take each row's mean: axis=1. (Or did you divide the first value by "
            "all others? Divide each value by the next.)"
        )
    if got == 1:
        return (
            f"The first value is {drawn.drops[0]:.0f} times the second because of what all prompts "
            "have in common; that drop is no cliff, however large it is. Leave the first one out."
        )
    if drawn.strong and got == drawn.strong:
        return (
            f"{got} directions are much stronger than the others, and after them the values drop "
            f"{drawn.drops[got - 1]:.0f} times. That is a large drop, but not the largest one: "
            f"after {drawn.size} values they drop {drawn.cliff:,.0f} times. Compare all drops "
            "after the first value, and do not stop at the first one that is large."
        )
    if isinstance(got, int) and got == drawn.size + 1:
        return "One too many: is the constant of each row still in? And does counting begin at 1?"
    if isinstance(got, int) and got == drawn.size - 1:
        return (
            "One too few: with the cliff between values i and i + 1, counted from 0, there are "
            "i + 1 values before it."
        )
    if got in (int(drawn.drops[1:].argmin()) + 2, int(drawn.drops.argmin()) + 1):
        return (
            "This is where the values fall least. Are your quotients upside down? Divide each "
            "value by the next, s[:-1] / s[1:]."
        )
    if got == 0:
        return "Without a cliff, return None, and not 0; but here is one: " + TOLERANCE
    return TOLERANCE


def log_probabilities_too(part: Part, hidden_size: Callable[..., Any]) -> None:
    """What softmax ignores must not count, and rounding must not hide the cliff."""
    cases = []
    for i, decimals in enumerate((3, 1)):
        drawn = sized("log-probabilities", i, decimals=decimals, common=(1, COMMON)[i],
                      fits=(lambda drawn: True, _first_drop_is_the_largest)[i])  # fmt: skip
        got = _found(hidden_size, drawn.logits)
        advice = (
            "Log-probabilities are logits less one number for each row, and that number adds a "
            "direction, (1, 1, ..., 1). Take each row's mean out before anything else. (If logits "
            "are one too many as well, the count is wrong, not the mean.)"
            if got == drawn.size + 1
            else _why_other_size(got, drawn)
        )
        what = f"log-probabilities of {len(drawn.logits)} prompts, rounded to {decimals} decimals"
        cases.append(
            Case(what.removesuffix("s") if decimals == 1 else what, got, drawn.size, advice)
        )
    decide(part, cases)


def _first_drop_is_the_largest(drawn: Sized) -> bool:
    """Whether what all prompts have in common outdoes a cliff that is easy to see."""
    return 1.5 * drawn.cliff <= drawn.drops[0] and drawn.cliff >= 25


def transformers(part: Part, hidden_size: Callable[..., Any]) -> None:
    """Two of drawn widths, whose last layer normalisation takes one dimension away."""
    cases = []
    for number in range(2):
        drawn = _transformer(number)
        got = _found(hidden_size, drawn.logits)
        advice = (
            "What a layer normalisation passes on has mean 0, so its logits span one direction "
            "less than it is wide. Report what the logits span."
            if got == drawn.size + 1
            else _why_other_size(got, drawn)
        )
        what = f"a transformer of width {drawn.size + 1} with layer normalisation before its head"
        cases.append(Case(what, got, drawn.size, advice))
    decide(part, cases)


def _transformer(number: int) -> Sized:
    """Logits of an untrained transformer."""

    def draw(i: int) -> tuple[np.ndarray, int]:
        rng = draws.rng("transformer", number, i)
        width, vocabulary = int(rng.integers(14, 50)), int(rng.integers(200, 300))
        with seeded(draws.seed("transformer", number, i)):
            network = Transformer(Shape(vocabulary, width=width, context=8, layers=1, heads=1))
        return network.last_logits(rng.integers(vocabulary, size=(width + 40, 8))), width - 1

    return _drawn(draw, lambda drawn: drawn.drops[0] < 8)


def too_few_prompts(part: Part, hidden_size: Callable[..., Any]) -> None:
    """None without a cliff; a number where there are just enough prompts."""
    cases = []
    for i in range(2):
        few, enough = too_few("few", i), sized("enough", i)
        n, got = enough.size + 5, _found(hidden_size, few.logits)
        advice = (
            "With fewer prompts than hidden units there is no cliff, and the largest of many small "
            "drops means nothing. Return None unless it is at least ten times."
        )
        if got == len(few.logits) - 1:
            advice += (
                f" (Is it? Then the values after {got} may be 0 since each token's mean over the "
                "prompts is out: take out each row's, axis=1.)"
            )
        cases += [
            Case(
                f"{len(few.logits)} prompts of a model with {few.size} hidden units",
                got,
                None,
                _why_other_size(got, few) if got == 1 else advice,
            ),
            Case(
                f"{n} prompts of a model with {enough.size}",
                _found(hidden_size, enough.logits[:n]),
                enough.size,
                "A few prompts more than hidden units are enough to see the cliff. Is the number "
                "right in the parts above?",
            ),
        ]
    unclear = _unclear()
    got = _found(hidden_size, unclear.logits)
    advice = (
        "Noise has worn the cliff down to a few times. A drop is a cliff from ten times on; return "
        "None below."
    )
    what = f"noisy logits, the largest drop after the first value {unclear.cliff:.1f} times"
    cases.append(Case(what, got, None, advice))
    decide(part, cases)


# --- the last layer ----------------------------------------------------------------------------


def projection(part: Part, output_projection: Callable[..., Any]) -> None:
    """The columns of the output projection, up to a linear map.

    From log-probabilities, and from what exercise 5a recovers: each row with a constant of its own.
    """
    rng, errors, advice = draws.rng("projection"), [], ""
    for i in range(2):
        hidden, vocabulary = int(rng.integers(9, 30)), int(rng.integers(160, 300))
        model = DrawnModel("projection", i, vocabulary=vocabulary, hidden=hidden)
        logits = model.logits(model.prompts(2 * hidden)).astype(np.float64)
        seen = log_softmax(logits) if i == 0 else logits - logits.max(axis=1, keepdims=True)
        found = output_projection(seen.copy(), hidden)
        found = array(found, "output_projection", (vocabulary, hidden))
        errors.append(exact.projection_error(found, model.projection))
        if errors[-1] > MISSING and not advice:
            advice = _why_other_projection(found, seen, hidden)
    part.expect(
        max(errors) <= MISSING,
        f"{max(errors):.1e} of the true projection lies outside of your columns",
        f"at most {MISSING:g}",
        "1e-6",
        advice,
    )


def _why_other_projection(found: np.ndarray, seen: np.ndarray, hidden: int) -> str:
    """Which mistake makes these columns, as far as the matrix that they were made from tells."""
    kept = "Each row's constant is still in: it adds a direction, (1, 1, ..., 1), and pushes the "
    mistakes = {
        kept + "weakest direction of the projection out. Take each row's mean out first.": seen,
        "You took each token's mean over the prompts out, and the constant of each row is still "
        "in. Take each row's mean over the tokens out: axis=1.": seen - seen.mean(axis=0),
    }
    for sentence, matrix in mistakes.items():
        wrong = np.linalg.svd(matrix, full_matrices=False)[2][:hidden].T
        outside = wrong - found @ np.linalg.lstsq(found, wrong, rcond=None)[0]
        if np.linalg.norm(outside) <= MISSING * np.linalg.norm(wrong):
            return sentence
    return (
        "Take each row's mean out first. The rows of logits are hidden states times the "
        "projection, so the first right singular vectors span its columns: what np.linalg.svd "
        "returns last, transposed, as many columns as there are hidden units."
    )
