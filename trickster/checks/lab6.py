"""Checks of lab 6, Exact theft."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from trickster.checks import (
    closing_cases,
    kink_cases,
    logit_cases,
    neuron_cases,
    solving_cases,
    token_cases,
)
from trickster.checks.result import NotMeasured, Sheet, check

# --- exercises 1 and 2 --------------------------------------------------------------


@check(
    "Exercise 1, solve_softmax",
    4,
    withholds=("trickster.exact.solve_softmax", "trickster.exact.least_squares"),
)
def solve_softmax(sheet: Sheet, solve_softmax: Callable[..., Any]) -> None:
    """Every weight of drawn softmax regressions, with hardly more queries than unknowns."""
    asked, found = [], False
    with sheet.part("weights and bias", 2) as part:
        asked = solving_cases.weights_and_bias(part, solve_softmax)
        found = part.share == 1
    with sheet.part("queries", 1) as part:
        if not found:
            raise NotMeasured("the weights are not right yet (see above).")
        solving_cases.queries_spent(part, asked, solve_softmax)
    with sheet.part("tiny probabilities", 1) as part:
        if not found:
            raise NotMeasured("the weights are not right yet (see above).")
        solving_cases.tiny_probabilities(part, solve_softmax)


@check(
    "Exercise 2, fit_rounded",
    2,
    withholds=("trickster.exact.fit_rounded", "trickster.solvable.fit_softmax"),
)
def fit_rounded(sheet: Sheet, fit_rounded: Callable[..., Any]) -> None:
    """Fidelity of what is recovered from rounded posteriors."""
    for decimals in (2, 1):
        with sheet.part(f"{decimals} decimal{'s' * (decimals > 1)}", 1) as part:
            solving_cases.fit_of_rounded(part, fit_rounded, decimals)


# --- exercise 3 --------------------------------------------------------------------


@check(
    "Exercise 3a, find_kinks",
    2,
    withholds=("trickster.exact.find_kinks", "trickster.exact.solve_relu"),
)
def find_kinks(sheet: Sheet, find_kinks: Callable[..., Any]) -> None:
    """All kinks of drawn piecewise linear functions, within a budget."""
    asked: list[Any] = []
    with sheet.part("positions", 1) as part:
        asked = kink_cases.places_of_kinks(part, find_kinks)
        found = part.share == 1
    with sheet.part("two kinks close together", 0.5) as part:
        kink_cases.places_of_kinks(part, find_kinks, close=True)
    with sheet.part("queries", 0.5) as part:
        if not (asked and found):
            raise NotMeasured("what was found is not right yet (see above).")
        kink_cases.queries_for_kinks(part, asked)


@check(
    "Exercise 3b, neuron_at",
    2,
    withholds=("trickster.exact.neuron_at", "trickster.exact.solve_relu"),
)
def neuron_at(sheet: Sheet, neuron_at: Callable[..., Any]) -> None:
    """Weights and bias of the neuron whose kink is given, up to one factor."""
    used: list[int] = []
    with sheet.part("weights", 1) as part:
        used = neuron_cases.neuron_of(part, neuron_at, bias=False)
        found = part.share == 1
    with sheet.part("bias", 0.5) as part:
        neuron_cases.neuron_of(part, neuron_at, bias=True)
    with sheet.part("queries", 0.5) as part:
        if not (used and found):
            raise NotMeasured("the weights are not right yet (see above).")
        neuron_cases.queries_for_a_neuron(part, used)


@check(
    "Exercise 3c, fit_outputs",
    2,
    withholds=("trickster.exact.fit_outputs", "trickster.exact.solve_relu"),
)
def fit_outputs(
    sheet: Sheet,
    fit_outputs: Callable[..., Any],
    find_kinks: Callable[..., Any],
    neuron_at: Callable[..., Any],
) -> None:
    """Which way neurons face, and their output weights; then a whole network, step by step."""
    with sheet.part("from the right neurons", 1) as part:
        neuron_cases.outputs(part, fit_outputs)
    with sheet.part("all neurons of a network, with your three functions", 1) as part:
        neuron_cases.whole_network(part, find_kinks, neuron_at, fit_outputs)


# --- exercises 4 to 6 --------------------------------------------------------------


@check(
    "Exercise 4, hidden_size",
    3,
    withholds=("trickster.exact.hidden_size", "trickster.exact.singular_values"),
)
def hidden_size(sheet: Sheet, hidden_size: Callable[..., Any]) -> None:
    """How many directions logits span, in float32, at any scale, from log-probabilities too."""
    with sheet.part("logits of three models", 1) as part:
        logit_cases.logits_of_several(part, hidden_size)
    with sheet.part("log-probabilities, rounded", 0.75) as part:
        logit_cases.log_probabilities_too(part, hidden_size)
    with sheet.part("two transformers", 0.5) as part:
        logit_cases.transformers(part, hidden_size)
    with sheet.part("too few prompts, and just enough", 0.75) as part:
        logit_cases.too_few_prompts(part, hidden_size)


THROUGH = (
    "trickster.exact.logits_through_top_k",
    "trickster.exact.logits_one_by_one",
    "trickster.exact.logits_by_banning",
    "trickster.exact.logits_from_tokens",
)


@check("Exercise 5a, logits_through_top_k", 4, withholds=THROUGH)
def logits_through_top_k(sheet: Sheet, recover: Callable[..., Any]) -> None:
    """All logits of drawn services that tell a few tokens, with few queries."""
    asked: list[Any] = []
    with sheet.part("all logits", 2) as part:
        asked = token_cases.all_logits(part, recover, "usual")
        found = part.share == 1
    with sheet.part("queries", 1) as part:
        if not (asked and found):
            raise NotMeasured("the logits are not right yet (see above).")
        token_cases.queries_for_logits(part, asked)
    with sheet.part("logits that lie far apart", 1) as part:
        token_cases.all_logits(part, recover, "far apart", spread=8.0)


@check("Exercise 5b, output_projection", 1, withholds=("trickster.exact.output_projection",))
def output_projection(sheet: Sheet, output_projection: Callable[..., Any]) -> None:
    """A basis of a drawn model's output projection."""
    with sheet.part("its columns, up to a linear map", 1) as part:
        logit_cases.projection(part, output_projection)


TELLING = (  # one of them for queries with a bias, another for those without: an answer as well
    "trickster.services.bias_moves_the_token_only",
    "trickster.services.token_only",
    "trickster.services.no_bias",
    "trickster.services.TopTokens",
    "trickster.services.biased",
    "trickster.services.most_likely",
)


@check("Exercise 6, tell", 3, withholds=TELLING)
def tell(sheet: Sheet, tell: Callable[..., Any]) -> None:
    """Honest users keep what they need, and five thieves who know the service get nothing."""
    served, stolen = 0.0, functools.cache(lambda: closing_cases.stolen_anyway(tell))
    with sheet.part("log-probabilities without a bias", 0.75) as part:
        first = closing_cases.asked_once(tell)  # before anything can be counted
        closing_cases.honest_log_probabilities(part, tell)
        served += part.share
        closing_cases.must_defend(part, stolen)
    with sheet.part("the bias moves the token", 0.75) as part:
        closing_cases.bias_still_works(part, tell)
        served += part.share
        closing_cases.must_defend(part, stolen)
    with sheet.part("the best of five thieves", 1.5) as part:
        if served < 2:
            raise NotMeasured(
                "a service that honest users cannot use needs no defence (see above)."
            )
        closing_cases.best_theft(part, tell, first)
