"""What lab 6 tries with thieves who solve for a softmax regression, from exact and rounded answers.

Each function decides one part of a check, or draws what several parts need. Models, sizes and rows
are drawn for the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.api import BudgetExceeded
from trickster.checks import draws
from trickster.checks.result import Missed, Part
from trickster.checks.thresholds import ROUNDED_ONE, ROUNDED_TWO
from trickster.checks.values import array, returned
from trickster.services import VectorAPI
from trickster.solvable import SoftmaxRegression

EXACT = 1e-5  # of the largest weight: what solving leaves is a thousandth of it
SPARE = 16  # queries that a softmax regression may cost beside its d + 1
ROUNDED_MODELS = 3


class Service(VectorAPI):
    """A drawn model that keeps what it was asked and what it answered."""

    def __init__(self, model: Callable[[np.ndarray], np.ndarray], d: int, **options: Any):
        super().__init__(self._answer, d, **options)
        self.drawn, self.x, self.answers = model, np.empty((0, d)), []

    def _answer(self, x: np.ndarray) -> np.ndarray:
        self.x, answers = np.vstack([self.x, x]), self.drawn(x)
        self.answers.append(answers.copy())  # a student may write into theirs
        return answers

    def ask(self, x: np.ndarray) -> np.ndarray:
        """The student's ``query``."""
        return self.query(x, "thief")


def regression(name: str, number: int = 0, scale: float = 2.0) -> SoftmaxRegression:
    """A drawn softmax regression of rows in [0, 1]."""
    rng = draws.rng("softmax regression", name, number)
    d, k = int(rng.integers(12, 40)), int(rng.integers(3, 9))
    weights = scale * rng.normal(size=(k, d))
    return SoftmaxRegression(weights, rng.normal(size=k) - weights.sum(axis=1) / 2)


NOT_FINITE = (
    "A probability may be as small as 1e-100, never 0 in float64 (in float32 it would be), and its "
    "logarithm is finite. What else do you divide by, or take the logarithm of?"
)
NO_LOGARITHMS = (
    "Many rounded probabilities are 0, and 0 has no logarithm. Fit the probabilities themselves."
)


def _pair(found: Any, what: str, k: int, d: int, not_finite: str = NOT_FINITE) -> np.ndarray:
    """Weights and bias as ``(k, d + 1)``, without their mean over the classes."""
    try:
        weights, bias = returned(found, what)
    except (TypeError, ValueError):
        raise Missed(f"{what} must return two things: weights (k, d) and bias (k,).") from None
    weights = array(weights, f"{what} (weights)", finite=False)
    if weights.shape == (d, k) and d != k:
        raise Missed(f"{what} returned weights of shape ({d}, {k}), not ({k}, {d}): transpose.")
    if weights.shape == (k,) and array(bias, what, finite=False).shape in ((k, d), (d, k)):
        raise Missed(f"{what} returned the bias first: weights come first, then the bias.")
    weights = array(weights, f"{what} (weights)", (k, d), finite=False)
    bias = array(bias, f"{what} (bias)", (k,), finite=False)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise Missed(f"{what} returned NaN or infinite values. {not_finite}")
    return SoftmaxRegression(weights, bias).centred()


def solve(
    solve_softmax: Callable[..., Any], model: SoftmaxRegression, *n: int
) -> tuple[float, Service]:
    """The largest error of a theft, as a share of the largest weight; and the service.

    ``n``, if given, is how many rows the theft is to ask about.
    """
    k, d = model.weights.shape
    service = Service(model.posteriors, d, low=0, high=1, budget=10 * (d + 1))
    try:
        found = solve_softmax(service.ask, d, k, *n)
    except BudgetExceeded:
        raise Missed(
            f"you asked for more than {10 * (d + 1)} answers, ten times what {d} inputs and a bias "
            f"need: {d + 1} equations in {d + 1} unknowns for each class."
        ) from None
    truth = model.centred()
    error = np.abs(_pair(found, "solve_softmax", k, d) - truth).max() / np.abs(truth).max()
    return float(error), service


def weights_and_bias(part: Part, solve_softmax: Callable[..., Any]) -> list[Service]:
    """Two drawn models are recovered, up to what no posterior tells; returns their services."""
    models = [regression("weights", i) for i in range(2)]
    services, errors = [], []
    for model in models:
        error, service = solve(solve_softmax, model)
        errors.append(error)
        services.append(service)
    worst = int(np.argmax(errors))
    part.expect(
        max(errors) <= EXACT,
        f"largest error {max(errors):.1e} of the largest weight, after "
        f"{services[worst].used('thief')} queries for {services[worst].d} inputs",
        f"at most {EXACT:g}, up to what posteriors cannot tell",
        "1e-12",
        _why_not_solved(models[worst], services[worst], errors[worst]),
    )
    return services


def _why_not_solved(model: SoftmaxRegression, service: Service, error: float) -> str:
    """What is to be done about an error of this size."""
    if mistake := _classic_mistake(model, service, error):
        return mistake
    if error < 0.05:
        return (
            "Close, but not exact. Did you clip the probabilities, add something to them, or turn "
            "them into float32?"
        )
    return (
        "For every row that you asked about, log p less its mean over the classes is linear in x "
        "and 1. Build the equations from these same rows, and solve them for all classes at once. "
        "Rows that repeat each other count once."
    )


def _classic_mistake(model: SoftmaxRegression, service: Service, error: float) -> str:
    """Which mistake makes an error of this size, as far as its own queries tell; or nothing."""
    if not service.answers:
        return "You asked nothing: send rows to query, and solve for the weights."
    p = np.concatenate(service.answers)
    with np.errstate(divide="ignore"):
        ones, logs = np.hstack([service.x, np.ones((len(p), 1))]), np.log(p)
    if not np.isfinite(logs).all():
        return ""
    no_bias = np.hstack([_solved(service.x, logs), np.zeros((p.shape[1], 1))])
    mistakes = {
        "The equations have no column for the bias: put a column of ones beside x.": no_bias,
        "These are the probabilities, solved as if they were linear in x: their logarithms "
        "are, up to a constant for each row.": _solved(ones, p),
        "Weights and bias are mixed up: the solution has a row for each column that you put into "
        "the equations, in the same order. The bias is the row of the ones.": np.roll(
            _solved(ones, logs), 1, axis=1
        ),
        "You took each class's mean over the rows out, and that is part of its bias. Take each "
        "row's mean over the classes out: axis=1.": _solved(ones, logs - logs.mean(axis=0)),
        "These are logarithms to base 10; softmax is undone by the natural one, np.log.": _solved(
            ones, logs / np.log(10)
        ),
    }
    truth, largest = model.centred(), np.abs(model.centred()).max()
    for sentence, wrong in mistakes.items():
        wrong = wrong - wrong.mean(axis=0)
        if np.isclose(np.abs(wrong - truth).max() / largest, error, rtol=1e-3):
            return sentence
    if len(p) <= model.weights.shape[1]:
        return (
            f"{len(p)} rows are too few: each class has {model.weights.shape[1]} weights and a "
            "bias, so it takes one more equation than there are inputs."
        )
    return ""


def _solved(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(rows, targets, rcond=None)[0].T


def queries_spent(part: Part, services: list[Service], solve_softmax: Callable[..., Any]) -> None:
    """Hardly more answers than unknowns, and as many as ``n`` says."""
    over = [service.used("thief") - service.d - 1 for service in services]
    worst = services[int(np.argmax(over))]
    if min(service.used("thief") for service in services) == 0:
        raise Missed("nothing was asked, so nothing was stolen.")
    if max(over) <= SPARE:
        _follows_n(solve_softmax)
    part.expect(
        max(over) <= SPARE,
        f"{worst.used('thief')} queries for {worst.d} inputs",
        f"at most {worst.d + 1 + SPARE}",
        f"{worst.d + 1}",
        "As many equations as unknowns are enough, if no two rows say the same: one unknown for "
        "each input, and one for the bias.",
    )


def _follows_n(solve_softmax: Callable[..., Any]) -> None:
    """Raise Missed where another ``n`` than d + 1 does not decide how many rows are asked."""
    model = regression("another n")
    d = model.weights.shape[1]
    for n in (d + 10, d // 2):
        error, service = solve(solve_softmax, model, n)
        if (asked := service.used("thief")) != n:
            raise Missed(
                f"called with n={n} for {d} inputs, your function asked about {asked} rows. Ask "
                "about n rows, and about d + 1 only if n is None: the cell below tries 100 to 800."
            )
        if n > d and error > EXACT:
            raise Missed(
                f"called with n={n} for {d} inputs, your function returned other weights than "
                "with d + 1 rows. More rows than unknowns must give the same weights."
            )


def tiny_probabilities(part: Part, solve_softmax: Callable[..., Any]) -> None:
    """The same for a model that is almost certain of everything."""
    model = regression("tiny", scale=20.0)
    error, service = solve(solve_softmax, model)
    smallest = min(float(p.min()) for p in service.answers) if service.answers else 1.0
    part.expect(
        error <= EXACT,
        f"largest error {error:.1e} of the largest weight; the smallest probability was "
        f"{smallest:.0e}",
        f"at most {EXACT:g}",
        "1e-12",
        _classic_mistake(model, service, error)
        or "Small probabilities tell as much as large ones: log(1e-40) is exact. Do not clip them, "
        "nor add something to them.",
    )


# --- rounded answers --------------------------------------------------------------------------


def rounded(fit: Callable[..., Any], decimals: int, found: list[np.ndarray] | None = None) -> float:
    """Mean fidelity of what ``fit`` makes of rounded posteriors, over drawn models.

    Weights and biases ``(k, d + 1)`` are added to ``found``.
    """
    values, found = [], [] if found is None else found
    for i in range(ROUNDED_MODELS):
        rng = draws.rng("rounded", decimals, i)
        d, k = int(rng.integers(12, 20)), int(rng.integers(4, 7))
        weights = 3 * rng.normal(size=(k, d))
        model = SoftmaxRegression(weights, rng.normal(size=k) - weights.sum(axis=1) / 2)
        x = rng.random((20 * (d + 1), d))
        p = model.posteriors(x).round(decimals)
        fitted = fit(x.copy(), p / p.sum(axis=1, keepdims=True))
        found.append(_pair(fitted, "fit_rounded", k, d, NO_LOGARITHMS))
        fresh = rng.random((3_000, d))
        answers = fresh @ found[-1][:, :-1].T + found[-1][:, -1]
        values.append(np.mean(answers.argmax(axis=1) == model.logits(fresh).argmax(axis=1)))
    return float(np.mean(values))


def _why_other_fit(value: float, found: list[np.ndarray]) -> str:
    if all(np.abs(pair).max() < 1e-6 for pair in found):
        return (
            "Weights and biases are all 0: each row is there with every class, and none of them "
            "counts more. Weight them by the probabilities: sample_weight=p.ravel()."
        )
    if all((pair[:, -1] == 0).all() for pair in found):
        return "Your bias is 0 for all classes: fit one, or give the rows a column of ones."
    if value < 0.5:
        return (
            "Most rows get another class, as if rows, classes and probabilities did not belong "
            "together. Row i of x must be there once with each class, weighted by the probability "
            "that p[i] gives this class."
        )
    return (
        "Four mistakes cost about this much. A penalty, which pulls the weights towards 0: C=1e4 "
        "is hardly any, scikit-learn's usual C=1 is one. The most likely class alone: use every "
        "probability of a row. A search that stops early: scikit-learn warns, and needs a larger "
        "max_iter. And logarithms, which rounding changes without bounds. Do not fit logarithms: "
        "fit the probabilities."
    )


def fit_of_rounded(part: Part, fit: Callable[..., Any], decimals: int) -> None:
    """What a fit to rounded posteriors agrees with, on fresh rows."""
    bar = {1: ROUNDED_ONE, 2: ROUNDED_TWO}[decimals]
    found: list[np.ndarray] = []
    value = rounded(fit, decimals, found)
    part.award(
        bar.share(value),
        f"{value:.3f} of fresh rows get the victim's class",
        f"at least {bar.full} (some points from {bar.some})",
        bar.usual,
        _why_other_fit(value, found),
        value=value,
    )
