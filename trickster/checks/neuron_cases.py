"""What lab 6 tries with thieves who find a ReLU network's neurons at the kinks, and its last layer.

Each function decides one part of a check, or draws what several parts need. Networks and lines are
drawn for the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster.api import BudgetExceeded, Client
from trickster.checks import draws
from trickster.checks.kink_cases import A_KINK, MOST_KINKS, places_asked
from trickster.checks.result import Missed, Part
from trickster.checks.values import (
    array,
    locked,
    number,
    returned,
    saying_what_is_written_into,
)
from trickster.services import VectorAPI
from trickster.solvable import ReluNetwork, draw_relu

MOST_FOR_OUTPUTS = 2_000  # queries of fit_outputs
GRAZED = 0.02  # cosine of neuron and line, below which a step aside hardly leaves the kink


class Crossing(NamedTuple):
    """A drawn network, and a line that crosses its neuron ``i`` at ``x``, far from others."""

    network: ReluNetwork
    i: int
    x: np.ndarray
    v: np.ndarray


def crossing(number: int) -> Crossing:
    """A neuron and where a line crosses it."""
    rng = draws.rng("crossing", number)
    network = draw_relu(int(rng.integers(20, 40)), int(rng.integers(5, 9)), rng)
    while True:
        start, v = rng.normal(size=(2, network.weights.shape[1]))
        along = network.weights @ v
        at = -(network.weights @ start + network.bias) / along
        i = int(rng.integers(len(at)))
        gap = np.abs(np.delete(at, i) - at[i]).min()
        steep = abs(along[i]) / np.linalg.norm(v) / np.linalg.norm(network.weights[i])
        if gap > 0.1 and steep > 0.1 and abs(at[i]) < 5:
            return Crossing(network, i, start + at[i] * v, v)


def neuron_of(part: Part, neuron_at: Callable[..., Any], bias: bool) -> list[int]:
    """Weights (or weights and bias) up to one factor; returns the queries of each."""
    used, error, first = [], 0.0, False
    for number_ in range(3):
        drawn = crossing(number_)
        d = len(drawn.x)
        client = VectorAPI(drawn.network, d, budget=20 * (d + 1)).client("thief")
        try:
            found = _neuron(neuron_at, client.query, drawn.x, drawn.v)
        except BudgetExceeded:
            raise Missed(
                f"you asked for more than {20 * (d + 1)} values; two gradients cost {2 * (d + 1)}."
            ) from None
        if array(found, "neuron_at").shape == (d,):
            raise Missed(
                f"neuron_at returned {d} numbers, not {d + 1}: the {d} weights, then the bias."
            )
        found = array(found, "neuron_at", (d + 1,))
        used.append(client.used)
        truth = np.append(drawn.network.weights[drawn.i], drawn.network.bias[drawn.i])
        error = max(error, _apart(found, truth, bias))
        first = _apart(np.roll(found, -1), truth, bias) <= 1e-4
    part.expect(
        error <= 1e-4,
        f"largest difference {error:.1e} for weights of length 1",
        "at most 1e-4, up to one factor",
        "1e-8",
        "The bias comes first: return the weights, then the bias."
        if first
        else "On the kink, w . x + b is 0: that gives b once w is known, with its sign."
        if bias
        else "Take the gradient a little way along v on either side of x, and subtract: what all "
        "other neurons do cancels. The steps must be smaller than the way to the side, or they "
        "cross the kink themselves, and small enough to cross no other.",
    )
    return used


def _neuron(neuron_at: Callable[..., Any], query: Any, x: np.ndarray, v: np.ndarray) -> Any:
    """What ``neuron_at`` returns, which may not write into the direction of the line."""
    with saying_what_is_written_into(
        "neuron_at changes v, which is the line's direction for its other kinks as well. Make a "
        "new array in place of v /= ... or v[:] = ..."
    ):
        return neuron_at(query, x.copy(), locked(v))


def _apart(found: np.ndarray, truth: np.ndarray, bias: bool) -> float:
    """The largest difference of two neurons scaled to weights of length 1, either way round."""
    length = np.linalg.norm(found[:-1])
    if not np.isfinite(found).all() or length == 0:
        return np.inf
    one, other = found / length, truth / np.linalg.norm(truth[:-1])
    shown = slice(None) if bias else slice(-1)
    return float(min(np.abs(one - other)[shown].max(), np.abs(one + other)[shown].max()))


def queries_for_a_neuron(part: Part, used: list[int]) -> None:
    """Two gradients."""
    sizes = [len(crossing(i).x) for i in range(len(used))]
    each = [n / (d + 1) for n, d in zip(used, sizes, strict=True)]
    part.expect(
        0 < max(each) <= 4,
        f"{max(each):.1f} (d + 1) queries",
        "at most 4 (d + 1)",
        "2 (d + 1)",
        "A gradient costs d + 1 values: one where you are, and one a step away along each input.",
    )


def outputs(part: Part, fit_outputs: Callable[..., Any]) -> None:
    """The right neurons, each up to a factor and turned round by chance, become the network."""
    rng = draws.rng("outputs")
    d, h = int(rng.integers(20, 30)), int(rng.integers(6, 12))
    network = draw_relu(d, h, rng)
    factors = rng.choice([-1.0, 1.0], h) * rng.uniform(0.3, 3, h)
    factors[:2] = np.abs(factors[0]), -np.abs(factors[1])
    neurons = np.hstack([network.weights, network.bias[:, None]]) * factors[:, None]
    service = VectorAPI(network, d, budget=MOST_FOR_OUTPUTS)
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def query(x: Any) -> np.ndarray:
        answers = service.query(x)
        asked.append((np.array(x, dtype=float), answers.copy()))
        return answers

    given = neurons[rng.permutation(h)]
    try:
        found = fit_outputs(query, given.copy())
    except BudgetExceeded:
        most = f"{MOST_FOR_OUTPUTS:,} values to find {2 * h + 1} numbers"
        raise Missed(f"you asked for more than {most}.") from None
    stolen = as_network(found, d, h)
    error = _error_of(stolen, network, rng)
    part.expect(
        error <= 1e-4,
        f"on fresh rows it is off by {error:.1e} of the network's spread",
        "at most 1e-4",
        "1e-13",
        "Your constant is 0, and the network's is not: offer least squares a column of ones."
        if stolen.constant == 0
        else "z is w . x + b: your columns were made without the bias."
        if error > 1e-4 and asked and _without_bias(stolen, given, asked)
        else "A neuron that was found may face the wrong way: max(0, z) and max(0, -z) are two "
        "different columns. Offer least squares both of each neuron, and a column of ones; where "
        "the other way round gets the weight, turn the neuron.",
    )


def _without_bias(
    stolen: ReluNetwork, given: np.ndarray, asked: list[tuple[np.ndarray, np.ndarray]]
) -> bool:
    """Whether these output weights come of columns in which the neurons have no bias."""
    x, values = (np.concatenate(parts) for parts in zip(*asked, strict=True))
    z = x @ (given[:, :-1] / np.linalg.norm(given[:, :-1], axis=1, keepdims=True)).T
    columns = np.hstack([np.maximum(z, 0), np.maximum(-z, 0), np.ones((len(x), 1))])
    both = np.linalg.lstsq(columns, values, rcond=None)[0][:-1].reshape(2, -1)
    larger = np.take_along_axis(both, np.abs(both).argmax(axis=0)[None], axis=0)[0]
    return np.allclose(np.sort(larger), np.sort(stolen.out), rtol=1e-4)


def as_network(found: Any, d: int, h: int) -> ReluNetwork:
    """What ``fit_outputs`` returned, as a network."""
    try:
        neurons, out, constant = returned(found, "fit_outputs")
    except (TypeError, ValueError):
        raise Missed(
            "fit_outputs must return three things: neurons (h, d + 1), output weights (h,) and "
            "the constant."
        ) from None
    neurons = array(neurons, "fit_outputs (neurons)", (h, d + 1))
    out = array(out, "fit_outputs (output weights)", (h,))
    return ReluNetwork(neurons[:, :-1], neurons[:, -1], out, number(constant, "The constant"))


def _error_of(found: ReluNetwork, network: ReluNetwork, rng: np.random.Generator) -> float:
    fresh = 2 * rng.normal(size=(500, network.weights.shape[1]))
    truth = network(fresh)
    error = float(np.abs(found(fresh) - truth).max() / truth.std())
    return error if np.isfinite(error) else np.inf


def whole_network(
    part: Part,
    find_kinks: Callable[..., Any],
    neuron_at: Callable[..., Any],
    fit_outputs: Callable[..., Any],
) -> None:
    """All neurons of a drawn network with the student's three functions, within a budget."""
    rng = draws.rng("whole network")
    d, h = int(rng.integers(40, 60)), 16
    network = draw_relu(d, h, rng)
    budget = 3 * h * (d + 1) + 2 * A_KINK * h
    client = VectorAPI(network, d, budget=budget).client("thief")
    try:
        start, v = _good_line(network, rng)
        kinks = _kinks_on(client, find_kinks, start, v)
        neurons = [array(_neuron(neuron_at, client.query, start + t * v, v), "neuron_at", (d + 1,))
                   for t in kinks]  # fmt: skip
        found = as_network(fit_outputs(client.query, np.array(neurons)), d, len(neurons))
    except BudgetExceeded:
        raise Missed(
            f"the budget of {budget:,} queries for {h} neurons of {d} inputs was spent before the "
            "network was solved."
        ) from None
    length = np.linalg.norm(found.weights, axis=1)
    if not (np.isfinite(found.weights).all() and length.min() > 0):
        raise Missed("some of the neurons have no weights.")
    apart = np.abs(found.neurons()[:, None] - network.neurons()).max(axis=2).min(axis=0)
    right = int((apart <= 1e-3).sum())
    part.expect(
        right == h,
        f"{right} of {h} neurons, with {client.used:,} of {budget:,} queries",
        f"all {h}, up to order and scale",
        f"{h}, with about {2 * h * (d + 1) + 30 * h:,}",
        "This takes find_kinks, neuron_at and fit_outputs: which of their checks is not passed?",
    )


def _good_line(network: ReluNetwork, rng: np.random.Generator) -> np.ndarray:
    """A line on which all kinks lie within 50, none closer than .01 to another, none grazed."""
    length = np.linalg.norm(network.weights, axis=1)
    while True:
        start, v = rng.normal(size=(2, network.weights.shape[1]))
        along = network.weights @ v
        at = np.sort(-(network.weights @ start + network.bias) / along)
        steep = np.abs(along / length).min() / np.linalg.norm(v)
        if np.abs(at).max() < 50 and np.diff(at).min() > 0.01 and steep > GRAZED:
            return np.stack([start, v])


def _kinks_on(
    client: Client, find: Callable[..., Any], start: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """The kinks that the student's function finds between -60 and 60."""

    def f(t: Any) -> np.ndarray:
        t = places_asked(t)
        left = client.remaining
        if len(t) > left:  # before a row of all inputs is made of each
            raise BudgetExceeded("thief", len(t), left)
        return client.query(start + t[:, None] * v)

    kinks = array(find(f, -60.0, 60.0), "find_kinks", most=MOST_KINKS).reshape(-1)
    if not len(kinks):
        raise Missed("find_kinks found no kink on a line through the network.")
    return kinks[:64]
