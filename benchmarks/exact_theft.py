"""Exact theft: published findings beside what the thieves of lab 6 measure, and its bars.

python -m benchmarks.exact_theft             # five minutes on one core
python -m benchmarks.exact_theft --seeds 1 --results build/look
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.linear_model import LogisticRegression

from autograder import held_back
from benchmarks import cli
from benchmarks.formatting import markdown_table, plural
from benchmarks.store import Job, Measurement, Results
from trickster import data, exact, language_model, services, solvable, withheld
from trickster.checks import draws, solving_cases
from trickster.services import TokenAPI, TopTokens, VectorAPI

PART = "exact_theft"
QUERIES = (784, 785)  # of the softmax regression with 784 inputs
DECIMALS, COUNTS = (12, 6, 4, 3, 2, 1), (65, 130, 1_000)
KEYHOLE = ("directions", "from_all_logits", "width", "logits", "projection", "queries", "tokens")
FLOAT32 = 1e-5  # of a logit's spread: more than a model that computes in float32 leaves
STEPS = (0.5, 1.0, 2.0, 5.0)  # by which a service lets its customers raise a word
BARS = 10  # runs of the checks with a bar for each seed of the other measurements
TELLINGS: dict[str, Callable[[], services.Telling]] = {
    "undefended": lambda: TopTokens(5),
    "rounded to 1 decimal": lambda: TopTokens(5, decimals=1),
    "fresh noise of deviation .5": lambda: TopTokens(5, noise=0.5),
    "bias, no log-probabilities": lambda: services.token_only,
    "log-probabilities, no bias": lambda: services.no_bias,
    "the bias moves the token only": lambda: services.bias_moves_the_token_only,
}


# --- what is measured -------------------------------------------------------------------------


@cache
def _fashion() -> tuple[solvable.SoftmaxRegression, np.ndarray]:
    """Lab 6's softmax regression, and test pictures as rows."""
    shipped = data.load("fashion")
    rows = shipped.x_train[:4_000].reshape(4_000, -1).astype(float)
    victim = solvable.fit_softmax(rows, shipped.y_train[:4_000], strength=0.05)
    return victim, shipped.x_test.reshape(len(shipped.x_test), -1).astype(float)


@cache
def _digits() -> tuple[solvable.SoftmaxRegression, np.ndarray]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return solvable.fit_softmax(x / 16, y), x / 16


def _agreement(one: solvable.SoftmaxRegression, other: solvable.SoftmaxRegression, x) -> float:
    return float(np.mean(one.logits(x).argmax(axis=1) == other.logits(x).argmax(axis=1)))


def softmax(queries: int, seed: int) -> Measurement:
    """A theft with so many queries of pure noise."""
    victim, x = _fashion()
    service = VectorAPI(victim.posteriors, 784, low=0, high=1)
    found = exact.solve_softmax(service.query, 784, 10, queries=queries, seed=seed)
    error = np.abs(found.centred() - victim.centred()).max()
    return {"fidelity": _agreement(found, victim, x), "error": float(error)}


def rounding(decimals: int, queries: int, seed: int) -> Measurement:
    """Fidelity on the digits of what is solved and of what is fitted from rounded answers."""
    victim, x = _digits()
    rows = np.random.default_rng(seed).random((queries, 64))
    p = victim.posteriors(rows).round(decimals)
    solved = exact.least_squares(rows, p, smallest=0.5 * 10.0**-decimals)
    fitted = exact.fit_rounded(rows, p / p.sum(axis=1, keepdims=True))
    return {"solved": _agreement(solved, victim, x), "fitted": _agreement(fitted, victim, x)}


def relu(seed: int) -> Measurement:
    """A drawn network 784-16-1."""
    victim = solvable.draw_relu(784, 16, np.random.default_rng(seed))
    service = VectorAPI(victim, 784)
    found = exact.solve_relu(service.query, 784, 16, seed=seed)
    apart = np.abs(found.neurons()[:, None] - victim.neurons()).max(axis=2).min(axis=0)
    return {
        "neurons": int((apart < 1e-3).sum()),
        "error": float(apart.max()),
        "queries": service.used(),
    }


def keyhole(seed: int) -> Measurement:
    """Hidden size and last layer of the shipped model, from 80 prompts and five tokens each."""
    model = language_model.load_shipped()
    service = TokenAPI(model)
    prompts = model.random_prompts(80, seed=seed)
    recovered = np.array([exact.logits_through_top_k(service, p) for p in prompts.tolist()])
    size = exact.hidden_size(recovered)
    head = model.network.head.weight.detach().double().numpy()
    gain = model.network.norm.weight.detach().double().numpy()
    width = len(gain)
    last = (head * gain) @ (np.eye(width) - 1 / width)
    return {
        "directions": size,
        "from_all_logits": exact.hidden_size(model.logits(prompts)),
        "width": width,
        "logits": exact.theft_error(recovered, model.logits(prompts)),
        "projection": exact.projection_error(exact.output_projection(recovered, size), last),
        "queries": service.used() / len(prompts),
        "tokens": service.tokens(),
    }


def telling(name: str, seed: int) -> Measurement:
    """Error of the best of three thieves against a way of telling, over two prompts each."""
    model = language_model.load_shipped()
    prompts = model.random_prompts(2, seed=seed)
    truth = model.logits(prompts)

    def stolen(thief) -> float:
        service = TokenAPI(model, TELLINGS[name]())
        return exact.theft_error([thief(service, p) for p in prompts.tolist()], truth)

    return {
        "raise": stolen(exact.logits_through_top_k),
        "ban": stolen(exact.logits_by_banning),
        "average": stolen(lambda api, p: exact.logits_through_top_k(exact.Averaged(api), p)),
    }


class FixedSteps:
    """A service that returns next tokens alone, and takes two biases only: a ban and one step."""

    def __init__(self, logits: np.ndarray, step: float):
        self._logits, self.step, self.used = logits, step, 0

    def query(self, banned: list[int], raised: int | None = None) -> int:
        """The next token, with some tokens banned and one raised."""
        self.used += 1
        logits = self._logits.copy()
        logits[banned] -= services.MOST_BIAS
        if raised is not None:
            logits[raised] += self.step
        return int(logits.argmax())


def read_by_steps(service: FixedSteps, vocabulary: int) -> np.ndarray:
    """All logits up to a constant: banning shows their order, and raising each how far it climbs.

    A token that climbs to between two others was one step below them: equations for least squares.
    (One that does not climb at all lies farther than a step below the next: as if two steps.)
    """
    order: list[int] = []
    for _ in range(vocabulary):
        order.append(service.query(order))
    rows, right = np.zeros((2 * vocabulary, vocabulary)), np.zeros(2 * vocabulary)
    passed = 0  # how many tokens stay above the one that is raised
    for rank in range(1, vocabulary):
        low, high = passed, rank
        while low < high:
            middle = (low + high) // 2
            wins = service.query(order[:middle], order[rank]) == order[rank]
            low, high = (low, middle) if wins else (middle + 1, high)
        passed = low
        if passed:
            rows[rank, rank] = 1
            rows[rank, [passed - 1, passed]] -= 0.5
            right[rank] = -service.step
        if rank < vocabulary - 1:  # where nothing else is known, neighbours lie evenly
            rows[vocabulary + rank, rank - 1 : rank + 2] = -0.1, 0.2, -0.1
    found = np.empty(vocabulary)
    found[order] = np.linalg.lstsq(rows, right, rcond=None)[0]
    return found


def fixed_steps(step: float, seed: int) -> Measurement:
    """Error of all logits of one prompt behind such a service, and the queries that it takes."""
    model = language_model.load_shipped()
    (logits,) = model.logits(model.random_prompts(1, seed=seed)).astype(np.float64)
    service = FixedSteps(logits, step)
    found = read_by_steps(service, len(logits))
    return {"error": exact.theft_error(found, logits), "queries": service.used}


# --- the bars of fit_rounded ------------------------------------------------------------------


def _weighted(x: np.ndarray, p: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    n, k = p.shape
    fit = LogisticRegression(C=penalty, max_iter=2_000)
    fit.fit(np.repeat(x, k, axis=0), np.tile(np.arange(k), n), sample_weight=p.ravel())
    return fit.coef_, fit.intercept_


def _pair(found: solvable.SoftmaxRegression) -> tuple[np.ndarray, np.ndarray]:
    return found.weights, found.bias


def _labels(x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _weighted(x, np.eye(p.shape[1])[p.argmax(axis=1)], 1e4)


ANSWERS = {
    "likelihood, scikit-learn": lambda x, p: _weighted(x, p, 1e4),
    "likelihood, L-BFGS": lambda x, p: _pair(exact.fit_rounded(x, p)),
    "likelihood, penalty left on": lambda x, p: _weighted(x, p, 1.0),
    "logarithms, 0 as half a step": lambda x, p: _pair(
        exact.least_squares(x, p, smallest=0.5 * p[p > 0].min())
    ),
    "logarithms, 0 as 1e-12": lambda x, p: _pair(exact.least_squares(x, p, smallest=1e-12)),
    "labels only": _labels,
}
RIGHT = ("likelihood, scikit-learn", "likelihood, L-BFGS")


def bar(answer: str, decimals: int, run: int) -> Measurement:
    """What one part of the check of fit_rounded measures, under a secret of its own."""
    secret = run.to_bytes(draws.SHORTEST, "big")
    with draws.grading_with(secret, held_back.load()), withheld.refused_by(withheld.nobody):
        return {"value": solving_cases.rounded(ANSWERS[answer], decimals)}


MEASURES = {
    "softmax": softmax, "rounding": rounding, "relu": relu, "keyhole": keyhole,
    "telling": telling, "fixed_steps": fixed_steps, "bar": bar,
}  # fmt: skip


def run(job: Job) -> Measurement:
    """One measurement: its name, and what it takes."""
    name, *given = job
    return MEASURES[name](*given)


def jobs(seeds: int = 5) -> list[Job]:
    """Each measurement with each seed."""
    found: list[Job] = []
    for seed in range(seeds):
        found += [("softmax", queries, seed) for queries in QUERIES]
        found += [("rounding", d, n, seed) for d in DECIMALS for n in COUNTS]
        found += [("relu", seed), ("keyhole", seed)]
        found += [("telling", name, seed) for name in TELLINGS]
        found += [("fixed_steps", step, seed) for step in STEPS]
        for number in range(BARS):
            runs = [(answer, decimals) for answer in ANSWERS for decimals in (2, 1)]
            found += [("bar", *one, seed * BARS + number) for one in runs]
    return found


# --- the page ---------------------------------------------------------------------------------


def values(results: Results, what: str, *job: object) -> np.ndarray:
    """One measurement of every job that begins with ``job``."""
    return np.array([one[what] for name, one in results if name[: len(job)] == job], dtype=float)


def ranges(results: Results, decimals: int) -> dict[str, str]:
    """For each answer to fit_rounded the lowest and highest value, as the bars quote them."""
    found = {}
    for answer in ANSWERS:
        of = values(results, "value", "bar", answer, decimals)
        low, high = (f"{value:.3f}".removeprefix("0") for value in (of.min(), of.max()))
        found[answer] = f"{answer} {low} to {high}"
    return found


def section(results: Results) -> str:
    """The tables, as Markdown."""
    seeds = len({job[-1] for job, _ in results if job[0] == "relu"})
    parts = [
        f"{plural(seeds, 'seed')} of each. *Published* is what the paper says of its own models; "
        "these are smaller ones of the same kind.",
        _findings(results),
        "Agreement with a softmax regression on the 8x8 digits (64 inputs), recovered from rounded "
        "answers: solved by least squares on logarithms / fitted by likelihood.",
        _rounding(results),
        "What a language model's service tells, and the error of the best thief's logits (0 is "
        "all of them, 1 is nothing):",
        _tellings(results),
        "A service that returns next tokens alone, and lets its customers ban words or raise one "
        "by a fixed step: the error of all logits of a prompt. *Queries*: without fixed steps, "
        f"exercise 6's bisection takes {1 + 16 * 1_023:,}.",
        _fixed_steps(results),
        f"Bars of lab 6's check of `fit_rounded`: fidelity, from the lowest to the highest of "
        f"{len(values(results, 'value', 'bar', RIGHT[0], 1))} runs with secrets of their own.",
        _bars(results),
    ]
    return "\n\n".join(parts)


def _findings(results: Results) -> str:
    short, enough = (values(results, "fidelity", "softmax", n) for n in QUERIES)
    error = values(results, "error", "softmax", 785)
    neurons, off, asked = (values(results, w, "relu") for w in ("neurons", "error", "queries"))
    of = {name: values(results, name, "keyhole") for name in KEYHOLE}
    all_right = bool((of["directions"] + 1 == of["width"]).all())
    logits_right = bool((of["from_all_logits"] + 1 == of["width"]).all())
    exact_logits = "exact" if of["logits"].max() < FLOAT32 else "not exact"
    rows = [
        (
            "softmax regression, d + 1 queries",
            "Tramèr et al. 2016",
            "100 % agreement with as many queries as unknowns of a class",
            f"{enough.min():.1%} with 785 noise queries for 784 inputs, largest error of a weight "
            f"{error.max():.0e}; {short.min():.1%} to {short.max():.1%} with 784",
        ),
        (
            "one hidden ReLU layer",
            "Jagielski et al. 2020; Carlini, Jagielski and Mironov 2020",
            "every neuron, functionally equivalent in float64",
            f"in the worst run {neurons.min():.0f} of 16 neurons, {asked.mean():,.0f} queries "
            f"for 784 inputs, largest error {off.max():.0e}",
        ),
        (
            "hidden size of a language model",
            "Carlini et al. 2024",
            "exact, from a cliff in the singular values (1,024 and 2,048)",
            f"{'exact in every run' if all_right and logits_right else 'not exact'}: "
            f"{of['directions'].min():.0f} directions, and layer normalisation takes one of "
            f"{of['width'].min():.0f}",
        ),
        (
            "its last layer, through the five most likely tokens",
            "Carlini et al. 2024",
            "up to a linear map, for less than 20 dollars",
            f"{of['projection'].max():.0e} of it missing, {of['queries'].mean():.0f} queries for "
            f"all 1,024 logits of a prompt ({exact_logits}), {of['tokens'].mean():,.0f} tokens",
        ),
    ]
    head = ("finding", "source", "published", "measured")
    return markdown_table(head, rows, left=(0, 1, 2, 3))


def _rounding(results: Results) -> str:
    rows = []
    for decimals in DECIMALS:
        cells = [
            " / ".join(
                f"{values(results, way, 'rounding', decimals, n).mean():.3f}"
                for way in ("solved", "fitted")
            )
            for n in COUNTS
        ]
        rows.append((str(decimals), *cells))
    return markdown_table(("decimals", *(f"{n:,} queries" for n in COUNTS)), rows)


def _tellings(results: Results) -> str:
    rows = []
    for name in TELLINGS:
        thieves = ("raise", "ban", "average")
        by_thief = {thief: values(results, thief, "telling", name).mean() for thief in thieves}
        best = min(by_thief, key=lambda thief: round(by_thief[thief], 6))  # on ties, the first
        rows.append((name, f"{by_thief[best]:.3f}", best))
    return markdown_table(("service", "error of the best theft", "thief"), rows, left=(0, 2))


def _fixed_steps(results: Results) -> str:
    rows = []
    for step in STEPS:
        error, queries = (values(results, w, "fixed_steps", step) for w in ("error", "queries"))
        spread = f"{error.min():.3f} to {error.max():.3f}"
        rows.append((f"{step:g}", f"{error.mean():.3f}", spread, f"{queries.mean():,.0f}"))
    return markdown_table(("step", "error", "lowest to highest", "queries"), rows)


def _bars(results: Results) -> str:
    quoted = {decimals: ranges(results, decimals) for decimals in (2, 1)}
    rows = []
    for answer in ANSWERS:
        cells = [quoted[decimals][answer].removeprefix(f"{answer} ") for decimals in (2, 1)]
        rows.append((answer, "right" if answer in RIGHT else "wrong", *cells))
    return markdown_table(("answer", "is", "two decimals", "one decimal"), rows, left=(0, 1))


if __name__ == "__main__":
    cli.main(sys.modules[__name__], chunk=20)
