"""Thieves that solve for a model in place of learning one.

Softmax regression from its posteriors (Tramer et al. 2016), one hidden ReLU layer from its kinks
(Jagielski et al. 2020; Carlini, Jagielski and Mironov 2020), hidden size and last layer of a
language model from its logits, even where a service tells only its five most likely tokens
(Carlini et al. 2024). Their victims are in ``solvable`` and ``language_model``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from trickster.solvable import ReluNetwork, SoftmaxRegression

Ask = Callable[[np.ndarray], np.ndarray]  # a service's query: rows (n, d) → (n,) or (n, k)
SMALLEST = 1e-300  # in place of a probability of 0, which has no logarithm
STEPS = (3.0, 5.0, 8.0, 12.0, 16.0, 24.0, 48.0, 96.0)  # by which a careful thief raises a token
CLOSE = 1e-3  # kinks on a line that are too close to look between them
CLIFF = 10.0  # by which singular values must drop for a hidden size to be named


class TokenService(Protocol):
    """What the thieves of language models hold; ``services.TokenClient`` is one."""

    vocabulary_size: int

    def query(
        self, prompt: Sequence[int], bias: Mapping[int, float] | None = None
    ) -> tuple[int, dict[int, float]]: ...


# --- softmax regression -----------------------------------------------------------------------


def solve_softmax(
    query: Ask, d: int, k: int, *, queries: int | None = None, seed: int = 0
) -> SoftmaxRegression:
    """The softmax regression behind ``query``, from ``d + 1`` random rows, or ``queries`` of them.

    Rows are uniform in [0, 1]. Log-probabilities are logits up to a constant of each row; without
    their mean over the classes they are linear in ``x`` and 1. More than ``d + 1`` rows are solved
    by least squares. The result is centred over the classes: more no posterior tells.
    (Tramer et al., "Stealing Machine Learning Models via Prediction APIs", 2016.)
    """
    x = np.random.default_rng(seed).random((queries or d + 1, d))
    p = np.asarray(query(x), dtype=np.float64)
    if p.shape != (len(x), k):
        raise ValueError(f"The service answered {p.shape}; asked were {(len(x), k)} posteriors.")
    return least_squares(x, p)


def least_squares(x: np.ndarray, p: np.ndarray, *, smallest: float = SMALLEST) -> SoftmaxRegression:
    """The softmax regression that fits log-posteriors ``p (n, k)`` of rows ``x (n, d)`` best.

    ``smallest`` stands in for smaller probabilities. Raises ValueError where rows and posteriors
    do not belong together, or are not finite.
    """
    x, p = _rows_and_posteriors(x, p)
    logs = np.log(np.maximum(p, smallest))
    centred = logs - logs.mean(axis=1, keepdims=True)
    solved = np.linalg.lstsq(_with_ones(x), centred, rcond=None)[0]
    return SoftmaxRegression(solved[:-1].T.copy(), solved[-1].copy())


def fit_rounded(x: np.ndarray, p: np.ndarray) -> SoftmaxRegression:
    """The softmax regression of greatest likelihood for rounded posteriors ``p (n, k)``.

    A rounded probability is nearly right, its logarithm may be far off, and that of 0 says
    nothing. So the posteriors themselves are the targets, as in a clone's training; a softmax
    regression's likelihood has one maximum, and Newton-like steps find it. Raises ValueError as
    :func:`least_squares` does.
    """
    import torch  # imported late: solving needs none

    x, p = _rows_and_posteriors(x, p)
    rows, targets = torch.as_tensor(_with_ones(x)), torch.as_tensor(p)
    weights = torch.zeros((p.shape[1], rows.shape[1]), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        likely = (targets * torch.log_softmax(rows @ weights.T, dim=1)).sum(dim=1).mean()
        value = 1e-6 * weights.square().sum() - likely
        value.backward()
        return value

    search.step(loss)
    solved = weights.detach().numpy()
    return SoftmaxRegression(solved[:, :-1].copy(), solved[:, -1].copy())


def _rows_and_posteriors(x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64, if they are as many and finite."""
    x, p = np.array(x, dtype=np.float64), np.array(p, dtype=np.float64)
    if x.ndim != 2 or p.ndim != 2 or len(x) != len(p) or len(x) == 0:
        raise ValueError(
            f"Rows (n, d) and their posteriors (n, k) are needed; got {x.shape} and {p.shape}."
        )
    for name, numbers in (("rows", x), ("posteriors", p)):
        if bad := int((~np.isfinite(numbers)).any(axis=1).sum()):
            raise ValueError(f"{bad} of {len(x)} {name} hold NaN or infinite values.")
    return x, p


def _with_ones(x: np.ndarray) -> np.ndarray:
    """Rows ``(n, d + 1)`` whose last number is 1: the column of the bias."""
    x = np.asarray(x, dtype=np.float64)
    return np.hstack([x, np.ones((len(x), 1))])


# --- one hidden ReLU layer --------------------------------------------------------------------


def find_kinks(f: Ask, low: float, high: float) -> list[float]:
    """Where a piecewise linear function of one number bends between ``low`` and ``high``.

    ``f`` maps numbers ``(m,)`` to values ``(m,)``. The lines at both ends of an interval meet where
    its only kink is: just before it, values lie on the one, just after it on the other. Else the
    interval is split in two. Six queries an interval. (Carlini, Jagielski and Mironov,
    "Cryptanalytic Extraction of Neural Network Models", 2020.) Raises ValueError where the ends are
    not in order, or a value is not finite.
    """
    width = high - low
    if not 0 < width < np.inf:
        raise ValueError(f"Kinks lie between a low and a high end; got {low} and {high}.")
    step = 1e-3 * width
    ends = np.array([low, low + step, high - step, high])
    values = np.asarray(f(ends), dtype=np.float64)
    if values.shape != ends.shape or not np.isfinite(values).all():
        raise ValueError(f"f must answer {ends.shape} finite numbers; it answered {values}.")
    left, right = (values[1] - values[0]) / step, (values[3] - values[2]) / step
    across = (values[3] - values[0]) / width
    size = 1.0 + np.abs(values).max()
    exact = 1e-12 * size / step  # what rounding leaves of a slope
    if abs(left - right) <= exact and abs(left - across) <= exact:
        return []
    if width < 1e-9 * max(1.0, abs(low), abs(high)):
        return [(low + high) / 2]
    if abs(left - right) > exact:
        at = low + (values[3] - values[0] - right * width) / (left - right)
        beside = np.array([at - 1e-6 * width, at + 1e-6 * width])
        if low < beside[0] and beside[1] < high:
            lines = [
                values[0] + left * (beside[0] - low),
                values[3] + right * (beside[1] - high),
            ]
            if np.abs(np.asarray(f(beside), dtype=np.float64) - lines).max() <= 1e-11 * size:
                return [float(at)]
    middle = low + 0.47 * width  # no kink of a drawn network sits there twice
    return find_kinks(f, low, middle) + find_kinks(f, middle, high)


def neuron_at(query: Ask, x: np.ndarray, v: np.ndarray, *, step: float = 1e-6) -> np.ndarray:
    """The neuron whose kink is at ``x (d,)`` on a line along ``v (d,)``: ``(d + 1,)``.

    Weights and bias up to one factor, which may be negative: across the kink the gradient jumps by
    the output weight times the neuron's weights. ``2 (d + 1)`` queries. Raises ValueError where
    ``x`` and ``v`` are no place and direction.
    """
    x, v = np.asarray(x, dtype=np.float64), np.asarray(v, dtype=np.float64)
    if x.ndim != 1 or x.shape != v.shape or not 0 < np.linalg.norm(v) < np.inf:
        raise ValueError(
            f"A place (d,) and a direction (d,) other than 0 are needed; got shapes {x.shape} and "
            f"{v.shape}."
        )
    d = len(x)
    aside = step * 100 * np.sqrt(d) * v / np.linalg.norm(v)  # farther than a step goes back
    gradients = []
    for place in (x + aside, x - aside):
        rows = np.vstack([place, place + step * np.eye(d)])
        values = np.asarray(query(rows), dtype=np.float64)
        gradients.append((values[1:] - values[0]) / step)
    weights = gradients[0] - gradients[1]
    return np.append(weights, -weights @ x)


def fit_outputs(query: Ask, neurons: np.ndarray, *, seed: int = 0) -> ReluNetwork:
    """The network whose hidden neurons are ``neurons (h, d + 1)``, each up to a factor.

    Each neuron is offered both ways round, and least squares over random rows says which way it
    faces, with which output weight. It needs ``2 h + 1`` queries and asks twice as many; ``h``
    must be at most ``d``, or the two ways can be exchanged. Raises ValueError for more neurons, and
    for one without weights or with NaN.
    """
    neurons = np.array(neurons, dtype=np.float64)
    if neurons.ndim != 2 or not 1 <= len(neurons) < neurons.shape[1]:
        raise ValueError(
            f"Neurons are (h, d + 1) numbers with h from 1 to d; got shape {neurons.shape}."
        )
    length = np.linalg.norm(neurons[:, :-1], axis=1, keepdims=True)
    if not (np.isfinite(neurons).all() and length.min() > 0):
        raise ValueError("A neuron has no weights, or NaN among its numbers.")
    neurons = neurons / length
    h, d = len(neurons), neurons.shape[1] - 1
    x = np.random.default_rng(seed).normal(size=(4 * h + 2, d)) * 3
    before = _with_ones(x) @ neurons.T
    columns = np.hstack([np.maximum(before, 0), np.maximum(-before, 0), np.ones((len(x), 1))])
    solved = np.linalg.lstsq(columns, np.asarray(query(x), dtype=np.float64), rcond=None)[0]
    ahead, back = solved[:h], solved[h : 2 * h]
    faces = np.where(np.abs(ahead) >= np.abs(back), 1.0, -1.0)
    out = np.where(faces > 0, ahead, back)
    turned = neurons * faces[:, None]
    return ReluNetwork(turned[:, :-1].copy(), turned[:, -1].copy(), out, float(solved[-1]))


def solve_relu(
    query: Ask, d: int, hidden: int, *, reach: float = 100.0, seed: int = 0
) -> ReluNetwork:
    """The one-hidden-layer ReLU network behind ``query``, from the kinks along one long line.

    A line on which ``hidden`` kinks cannot be told apart is given up for another, which costs few
    queries; after ten, ValueError. (Jagielski et al., "High Accuracy and High Fidelity Extraction
    of Neural Networks", 2020.)
    """
    rng = np.random.default_rng(seed)
    for _ in range(10):
        start, v = rng.normal(size=d), rng.normal(size=d)
        kinks = find_kinks(lambda t: query(start + t[:, None] * v), -reach, reach)  # noqa: B023
        if len(kinks) == hidden and np.diff([*kinks, np.inf]).min() > CLOSE:
            neurons = np.array([neuron_at(query, start + t * v, v) for t in kinks])
            return fit_outputs(query, neurons, seed=seed)
    raise ValueError(
        f"Ten lines did not show {hidden} neurons (the last had {len(kinks)} kinks): does the "
        "service tell the network's own number?"
    )


# --- a language model's last layer ------------------------------------------------------------


def singular_values(logits: np.ndarray) -> np.ndarray:
    """Of logits ``(n, V)`` or log-probabilities, without each row's mean: ``(min(n, V),)``.

    Posteriors tell the logits of a row up to a constant, and so the constant must not count.
    Raises ValueError where they are not finite, or of another shape.
    """
    return np.linalg.svd(_centred(logits), compute_uv=False)


def _centred(logits: np.ndarray) -> np.ndarray:
    """Logits ``(n, V)`` in float64, less each row's mean."""
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or logits.size == 0:
        raise ValueError(f"Logits have shape (n, V), a row for each prompt; got {logits.shape}.")
    if bad := int((~np.isfinite(logits)).any(axis=1).sum()):
        raise ValueError(
            f"{bad} of {len(logits)} prompts have NaN or infinite logits: leave them out, or "
            "recover what is missing."
        )
    return logits - logits.mean(axis=1, keepdims=True)


def hidden_size(logits: np.ndarray) -> int | None:
    """How many directions the logits ``(n, V)`` of ``n`` prompts span; None if no cliff shows it.

    The hidden size, or one less where a layer normalisation stands before the head: what it passes
    on has mean 0. The singular values fall off a cliff after it. The first is left out, since
    what all prompts have in common makes it large anyway. With fewer prompts than hidden units
    there is no cliff. (Carlini et al., "Stealing Part of a Production Language Model", 2024.)
    """
    values = singular_values(logits)
    values = values[values > 1e-12 * values[0]]  # one less than V of them, at most, are not 0
    if len(values) < 3:
        return None
    drops = values[1:-1] / values[2:]
    steepest = int(drops.argmax())
    return steepest + 2 if drops[steepest] >= CLIFF else None


def output_projection(logits: np.ndarray, size: int) -> np.ndarray:
    """A basis ``(V, size)`` of the output projection's columns, from logits ``(n, V)``.

    The projection itself, without its mean over the vocabulary, is this times a matrix
    ``(size, size)`` that no logits tell: the model before it could undo any other.
    (Carlini et al. 2024.) Raises ValueError for more columns than there are prompts or tokens.
    """
    centred = _centred(logits)
    if not 1 <= size <= min(centred.shape):
        raise ValueError(
            f"{len(centred)} prompts of {centred.shape[1]} tokens show 1 to {min(centred.shape)} "
            f"columns, not {size}."
        )
    return np.linalg.svd(centred, full_matrices=False)[2][:size].T.copy()


def projection_error(basis: np.ndarray, projection: np.ndarray) -> float:
    """The share of the true ``projection (V, h)`` that the columns of ``basis (V, s)`` miss.

    Root mean square, of the projection without its mean over the vocabulary; 0 is all of it, and
    1 none.
    """
    centred = projection - projection.mean(axis=0)
    fitted = basis @ np.linalg.lstsq(basis, centred, rcond=None)[0]
    return float(np.linalg.norm(centred - fitted) / np.linalg.norm(centred))


def logits_through_top_k(
    api: TokenService,
    prompt: Sequence[int],
    *,
    raise_by: float = 100.0,
) -> np.ndarray:
    """All logits ``(V,)`` of the next token, less that of the most likely one.

    Asks once without a bias. Then it raises all but one of the tokens that fit into an answer at a
    time; beside them stays the most likely token, against which each of them is read. That makes
    ``1 + (V - 1) / (k - 1)`` queries. A token that the service does not tell becomes NaN.
    (Carlini et al. 2024.)
    """
    logits = np.full(api.vocabulary_size, np.nan)
    token, told = api.query(prompt)
    if not told:
        return logits
    top = _reference(token, told)
    logits[top] = 0.0
    others = [token for token in range(api.vocabulary_size) if token != top]
    at_once = max(1, len(told) - 1)
    for start in range(0, len(others), at_once):
        raised = others[start : start + at_once]
        _, answer = api.query(prompt, dict.fromkeys(raised, raise_by))
        for token in raised:
            if token in answer and top in answer:
                logits[token] = answer[token] - answer[top] - raise_by
    return logits


def logits_one_by_one(api: TokenService, prompt: Sequence[int]) -> np.ndarray:
    """The same for a service that takes many biases, or large ones, for a sign of theft.

    Raises one token at a time, by 3, 5, 8 and so on until it is told: some queries for each.
    """
    logits = np.full(api.vocabulary_size, np.nan)
    token, told = api.query(prompt)
    if not told:
        return logits
    top = _reference(token, told)
    logits[list(told)] = [value - told[top] for value in told.values()]
    for token in np.flatnonzero(np.isnan(logits)).tolist():
        for raised in STEPS:
            _, answer = api.query(prompt, {token: raised})
            if token in answer and top in answer:
                logits[token] = answer[token] - answer[top] - raised
                break
    return logits


def logits_by_banning(api: TokenService, prompt: Sequence[int]) -> np.ndarray:
    """The same for a service that lets customers lower logits only.

    Bans every token that is known already, except the most likely one: each answer shows the next
    most likely ones beside it.
    """
    logits = np.full(api.vocabulary_size, np.nan)
    token, told = api.query(prompt)
    if not told:
        return logits
    top = _reference(token, told)
    new = list(told)
    while new and top in told:
        logits[new] = [told[token] - told[top] for token in new]
        known = set(np.flatnonzero(~np.isnan(logits)).tolist())
        _, told = api.query(prompt, {token: -100.0 for token in known if token != top})
        new = [token for token in told if token not in known]
    return logits


def logits_from_tokens(
    api: TokenService, prompt: Sequence[int], tokens: Sequence[int], *, steps: int = 14
) -> np.ndarray:
    """Logits of some ``tokens``, less that of the most likely one, from next tokens alone.

    For each, how much bias makes it the next token, found by ``steps`` bisections: no
    log-probabilities are needed. Asks once, and ``steps`` times for each token but the most likely.
    (Morris et al., "Language Model Inversion", 2024, and Carlini et al. 2024, for faster ways.)
    """
    top, _ = api.query(prompt)
    logits = []
    for token in tokens:
        low, high = 0.0, 100.0
        for _ in range(steps if token != top else 0):
            middle = (low + high) / 2
            chosen, _ = api.query(prompt, {token: middle})
            low, high = (low, middle) if chosen == token else (middle, high)
        logits.append(-(low + high) / 2 if token != top else 0.0)
    return np.array(logits)


def _reference(token: int, told: dict[int, float]) -> int:
    """The next token, if it is told: noise may make another's log-probability the largest."""
    return token if token in told else max(told, key=told.get)


class Averaged:
    """Asks every question ``repeats`` times and averages the log-probabilities."""

    def __init__(self, api: TokenService, repeats: int = 9):
        self._service, self.repeats = api, repeats
        self.vocabulary_size = api.vocabulary_size

    def query(
        self, prompt: Sequence[int], bias: Mapping[int, float] | None = None
    ) -> tuple[int, dict[int, float]]:
        """The first of the next tokens, and the mean of what was told of each token."""
        answers = [self._service.query(prompt, bias) for _ in range(self.repeats)]
        told: dict[int, list[float]] = {}
        for _, answer in answers:
            for token, value in answer.items():
                told.setdefault(token, []).append(value)
        often = {token: all_ for token, all_ in told.items() if 2 * len(all_) > self.repeats}
        return answers[0][0], {token: float(np.mean(all_)) for token, all_ in often.items()}


def theft_error(recovered: np.ndarray, logits: np.ndarray) -> float:
    """How far recovered logits ``(..., V)`` lie from the true ones, up to a constant for each row.

    Root mean square over that of the true logits around their means: 0 is all, and 1 what one
    learns by asking nothing. What was not recovered (NaN) is taken to be the row's mean.
    """
    recovered, logits = np.asarray(recovered, dtype=np.float64), np.asarray(logits, np.float64)
    if recovered.shape != logits.shape:
        raise ValueError(f"{recovered.shape} recovered logits, and {logits.shape} true ones.")
    known = np.isfinite(recovered)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    shift = np.where(known, recovered - logits, 0).sum(axis=-1, keepdims=True) / count
    truth = logits - logits.mean(axis=-1, keepdims=True)
    error = np.where(known, recovered - logits - shift, truth)
    return float(min(1.0, np.sqrt(np.mean(error**2) / np.mean(truth**2))))
