"""What lab 6 tries with thieves who find the kinks of a ReLU network, and its neurons by them.

Each function decides one part of a check, or draws what several parts need. Functions, networks and
lines are drawn for the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster.api import BudgetExceeded, Client
from trickster.checks import draws
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

MOST_KINKS = 10_000  # that find_kinks may return: each is compared with the true ones
MOST_FOR_OUTPUTS = 2_000  # queries of fit_outputs
A_KINK = 150  # queries that finding one may cost
EXACT = 1e-6  # of an interval: how far off a kink may be
GRAZED = 0.02  # cosine of neuron and line, below which a step aside hardly leaves the kink


# --- kinks ------------------------------------------------------------------------------------


class Bent(NamedTuple):
    """A drawn piecewise linear function, its kinks ``(m,)``, and how often it was asked."""

    f: Callable[[Any], np.ndarray]
    at: np.ndarray
    low: float
    high: float
    asked: list[int]
    cancel: bool = False


def bent(name: str, number: int, close: bool = False, cancel: bool = False) -> Bent:
    """Some kinks between two drawn ends.

    With ``close``, two of them are next to each other; with ``cancel``, they bend back in the end.
    """
    rng = draws.rng("kinks", name, number)
    m, low = int(rng.integers(5, 10)), float(rng.uniform(-80, -20))
    high = low + float(rng.uniform(50, 150))
    places = rng.permutation(40)[:m] + rng.uniform(0.2, 0.8, m)
    at = np.sort(low + (high - low) * places / 40)
    if close:
        i = int(rng.integers(1, m))
        at[i] = at[i - 1] + (high - low) * 2e-4
    bends = rng.choice([-1.0, 1.0], m) * rng.uniform(0.4, 2.0, m)
    if cancel:  # the slopes at both ends are the same
        bends[m // 2 : m // 2 * 2] = -bends[: m // 2]
        bends[-1] = bends[-1] if m % 2 == 0 else 0.0
        at, bends = at[bends != 0], bends[bends != 0]
    slope, level, asked = *rng.normal(size=2), []

    def f(t: Any) -> np.ndarray:
        t = _asked(t)
        asked.append(len(t))
        if sum(asked) > 10 * A_KINK * m:
            raise BudgetExceeded("thief", len(t), max(0, 10 * A_KINK * m - sum(asked) + len(t)))
        return slope * t + level + np.maximum(t[:, None] - at, 0) @ bends

    return Bent(f, at, low, high, asked, cancel)


def _asked(t: Any) -> np.ndarray:
    return array(t, "find_kinks (where it asks f)").reshape(-1)


def _kinks(find: Callable[..., Any], drawn: Bent) -> np.ndarray:
    try:
        found = find(drawn.f, drawn.low, drawn.high)
    except BudgetExceeded:
        raise Missed(
            f"you asked for more than {10 * A_KINK * len(drawn.at):,} values to find "
            f"{len(drawn.at)} kinks. A fine grid is asked everywhere; halving an interval asks "
            "only where something bends. Is each half smaller than the whole, and is an interval "
            "straight although rounding makes its slopes differ in the twelfth digit?"
        ) from None
    except RecursionError:
        raise Missed(
            "your search called itself without end. Stop where an interval is straight, and "
            "where it is too narrow to be halved."
        ) from None
    if isinstance(found, (list, tuple)) and any(isinstance(one, (list, tuple)) for one in found):
        raise Missed(
            "find_kinks returned lists inside a list; asked a list of numbers. Add the lists of "
            "both halves (a + b) in place of appending them."
        )
    places = array(found, "find_kinks", most=MOST_KINKS)
    if places.size < len(drawn.at) and not isinstance(found, (list, tuple)):
        off = np.abs(places.reshape(-1, 1) - drawn.at).min(axis=1) / (drawn.high - drawn.low)
        if places.size and np.mean(off <= EXACT) > 0.5:  # an array on purpose, with kinks missing
            return places.reshape(-1)
        raise Missed(
            f"find_kinks returned a {type(found).__name__} with {places.size} numbers in place of "
            f"a list of {len(drawn.at)} kinks. Does it return t somewhere, and not [t]? A NumPy "
            "number plus a list is their sum, an array, and what was found is lost."
        )
    return places.reshape(-1)


def places_of_kinks(part: Part, find: Callable[..., Any], close: bool = False) -> list[Bent]:
    """Every kink, and no other; returns the functions that were asked."""
    name = "close" if close else "places"
    tried = [bent(name, i, close, cancel=not close and i == 1) for i in range(3)]
    before, in_order = [bent("places", 0)] if close else [], True
    for drawn in tried:
        found = _kinks(find, drawn)
        in_order = in_order and bool((np.diff(found) >= 0).all())
        found = np.sort(found)
        if len(found) != len(drawn.at) or not np.allclose(
            found, drawn.at, rtol=0, atol=EXACT * (drawn.high - drawn.low)
        ):
            break
        before.append(drawn)
    width = drawn.high - drawn.low
    same = len(found) == len(drawn.at)
    error = np.abs(found - drawn.at).max() / width if same else np.inf
    part.expect(
        error <= EXACT,
        f"{len(found)} found of {len(drawn.at)} kinks"
        + (f", the worst off by {error:.1e} of the interval" if same else ""),
        f"all of them, and no other, to {EXACT:g} of the interval",
        "1e-12",
        _why_other_kinks(found, drawn, before, close),
    )
    if part.share and not close and not in_order:  # of whatever part, it costs points once
        part.miss("all kinks are right, but they are out of order: asked from low to high.")
    return tried


def _why_other_kinks(found: np.ndarray, drawn: Bent, before: list[Bent], close: bool) -> str:
    if len(found) == len(drawn.at):
        return (
            "The positions are rough. The straight lines to both sides of a kink cross exactly "
            "there: compute the crossing from values and slopes at the two ends."
        )
    exact = EXACT * (drawn.high - drawn.low)
    off = np.abs(found[:, None] - drawn.at).min(axis=1)
    if len(found) > len(drawn.at):
        if any(_holds(found, one.at) for one in before) and _holds(found, drawn.at):
            return (
                "These include the kinks of the function that was asked about before: begin with "
                "an empty list in each call, not with one that is a default value or a global."
            )
        if (off <= exact).all():
            return (
                "Kinks are listed more than once. Once an interval has given its kink, do not "
                "search its parts as well; and the parts of a split interval may not overlap."
            )
        return (
            "Some of them are none. Two lines through the ends of an interval always cross "
            "somewhere: only if f runs along the one just before the crossing and along the other "
            "just after it is it the interval's only kink."
        )
    if len(found) == 0 and not drawn.cancel:
        return (
            "Kinks are missing: none was found. Try one by hand: find_kinks(lambda t: abs(t - .3), "
            "-1, 1) must return [.3]. If it does not, print where your two lines cross, and "
            "whether your test confirms that crossing."
        )
    if (off > exact).any():
        return (
            "Kinks are missing, and one that was found is none. Two lines through the ends of an "
            "interval always cross somewhere: only if f runs along the one just before the "
            "crossing and along the other just after it is it the interval's only kink. Else split."
        )
    if close and len(found) >= len(drawn.at) - 2:
        return (
            "Two kinks are close together. An interval with more than one must be split again, "
            "however narrow it is by then."
        )
    return (
        "Kinks are missing. An interval is straight only if the slopes at both ends and the slope "
        "across it agree; bends can cancel, so neither equal slopes at the ends nor the value in "
        "the middle prove it straight. And an interval that is split must return the kinks of both "
        "parts."
    )


def _holds(found: np.ndarray, kinks: np.ndarray) -> bool:
    """Whether all ``kinks`` are among those that were found."""
    return bool(np.isclose(found[:, None], kinks, rtol=0, atol=1e-4).any(axis=0).all())


def queries_for_kinks(part: Part, tried: list[Bent]) -> None:
    """Hardly more than bisection needs."""
    each = [sum(drawn.asked) / len(drawn.at) for drawn in tried]
    if min(each) == 0:
        raise Missed("a function was not asked at all, so nothing was found out about it.")
    part.expect(
        max(each) <= A_KINK,
        f"{max(each):.0f} queries for each kink",
        f"at most {A_KINK}",
        "20 to 30",
        "Do not search where nothing bends, and do not halve down to the last digit: once an "
        "interval has one kink, the two lines give its place.",
    )


# --- neurons ----------------------------------------------------------------------------------


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
                f"neuron_at returned {d} numbers; asked {d + 1}: the {d} weights, then the bias."
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
        "The bias comes first; asked the weights, then the bias."
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
        t = _asked(t)
        left = client.remaining
        if len(t) > left:  # before a row of all inputs is made of each
            raise BudgetExceeded("thief", len(t), left)
        return client.query(start + t[:, None] * v)

    kinks = array(find(f, -60.0, 60.0), "find_kinks", most=MOST_KINKS).reshape(-1)
    if not len(kinks):
        raise Missed("find_kinks found no kink on a line through the network.")
    return kinks[:64]
