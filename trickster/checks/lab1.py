"""Checks of lab 1, Train the victim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster import evaluation, withheld
from trickster.checks import (
    api_cases,
    calibration_cases,
    draws,
    fixtures,
    live_model,
    prediction_cases,
    training_cases,
)
from trickster.checks.distributions import given_read_only
from trickster.checks.faults import is_unwritten
from trickster.checks.live_model import LiveModel
from trickster.checks.rebuilt import BATCH, Rebuilt
from trickster.checks.result import Missed, NotMeasured, Part, Sheet, check
from trickster.checks.values import array, number
from trickster.models import softmax
from trickster.training import one_thread_if_busy

Probe = Callable[..., Any]  # one of `probes`, in the student's process
THIEVES = (  # who build networks and train them
    "trickster.attacks.train_clone",
    "trickster.attacks.train_clones",
    "trickster.attacks.steal",
    "trickster.attacks.steal_jacobian",
    "trickster.adaptive_attacks.explained",
    "trickster.adaptive_attacks.small_loss",
)

# --- exercise 1 --------------------------------------------------------------------

FEWER = 7, 1  # pictures that a network is asked about as well
HIDDEN = (
    "Some of the layers are not registered, so that no optimizer finds their weights: put them in "
    "nn.Sequential or nn.ModuleList, not in a Python list."
)
KNOWS = 0.75  # of the clothes: no untrained network sorts them as well, whatever it calls them


@check(
    "Exercise 1, build_victim",
    2,
    withholds=(
        "trickster.models.cnn",
        "trickster.models.mlp",
        "trickster.models.vgg",
        "trickster.attacks.TrainingSet.network_and_targets",
        "trickster.scenario.train_victim",
        *THIEVES,
    ),
)
def build_victim(sheet: Sheet, build: Callable[..., Any], recorded: Probe) -> None:
    """Logits of the right shape, and the same weights for the same seed."""
    honest = fixtures.honest_pictures()
    x = honest.x[:BATCH]
    seed, another = (int(n) for n in draws.rng("seeds of a network").permutation(1_000)[:2])

    def network(seed: int, batch: int = BATCH) -> Rebuilt:
        model = build(seed)
        if model is None:
            raise Missed("build_victim returned None. Does it end with a return statement?")
        try:
            return Rebuilt(recorded(model, x[:batch].copy()), batch)
        except RuntimeError as error:
            if is_unwritten(error):
                raise
            raise Missed(
                f"the network does not take pictures ({batch}, 1, 28, 28): "
                f"{str(error).rstrip('.')}. {_why_no_pictures(error, batch)}"
            ) from None

    with sheet.part("gives logits", 1) as part:
        model = network(seed)
        _are_logits(part, array(model.logits(x), "Your network", (BATCH, 10), finite=False))
        if part.share == 1:
            _takes_any_number(part, lambda batch: network(seed, batch), x)
        if model.hidden:
            part.miss(HIDDEN)
        if _sorts(model, honest) > KNOWS:
            sheet.tell_instructor(
                "The network of build_victim tells clothes apart before it is trained: it has the "
                "weights of another, such as the shipped victim."
            )
            part.miss(
                "This network already tells clothes apart before it is trained. Build a new one, "
                "whose weights nobody has trained."
            )
    with sheet.part("the seed decides the weights", 1) as part:
        networks = [network(number) for number in (seed, another, seed)]
        first, other, again = (
            array(one.logits(x), "Your network", (BATCH, 10)) for one in networks
        )
        same, different = np.abs(first - again).max(), np.abs(first - other).max()
        part.expect(
            same == 0 and different > 0,
            f"same seed: logits differ by {same:.2g}; another seed: by {different:.2g}",
            "0, and more than 0",
            "0 and about 0.2",
            _why_other_weights(networks[0], same),
        )


def _why_no_pictures(error: RuntimeError, batch: int) -> str:
    """What usually is behind torch's words."""
    words = str(error)
    if batch == 1:
        return "It takes more of them. Is there a squeeze()? It drops every axis of length 1."
    if batch != BATCH:
        return (
            "It takes 64 of them. The number of pictures is not fixed: keep it, as x.flatten(1) "
            "and nn.Flatten() do."
        )
    if isinstance(error, NotImplementedError):
        return "A network's method forward computes the logits from the pictures."
    if "type" in words:
        return "The pictures are float32, as new layers are: leave out .double() and .half()."
    if "shape" in words or "size" in words:
        return (
            "With padding=2 the second convolution gives 64 x 7 x 7 values; flatten them before "
            "the linear layer."
        )
    return ""


def _takes_any_number(part: Part, network: Callable[[int], Rebuilt], x: np.ndarray) -> None:
    """The last batch of an epoch is smaller, and a customer may send one picture."""
    for n in FEWER:
        shape = network(n).logits(x[:n]).shape
        if shape != (n, 10):
            part.miss(f"To {n} pictures it gives an answer of shape {shape}, not ({n}, 10).")


def _are_logits(part: Part, logits: np.ndarray) -> None:
    rows, columns = (np.abs(logits.sum(axis=axis) - 1).max() for axis in (1, 0))
    logs = np.abs(np.exp(np.minimum(logits, 50)).sum(axis=1) - 1).max()
    finite, cut = bool(np.isfinite(logits).all()), bool(logits.min() >= 0 < logits.max())
    part.expect(
        finite and logs > 1e-3 and not (rows < 1e-3 and logits.min() >= 0) and not cut,
        f"shape {logits.shape}, values from {logits.min():.2f} to {logits.max():.2f}",
        "one finite score for each of 10 classes, not normalised",
        "between -0.5 and 0.5 before training",
        "The scores of each class sum to 1 over the pictures: it ends in a softmax along dim=0. "
        "Leave the softmax out; cross_entropy applies it itself."
        if columns < 1e-3
        else "No score is below 0: something cuts them, such as a ReLU after the last linear "
        "layer. Logits can be any numbers."
        if cut and rows > 1e-3
        else "The rows are probabilities already, or their logarithms: it ends in a softmax. "
        "Return the last linear layer's scores; cross_entropy applies the softmax itself."
        if finite
        else "Some scores are NaN or infinite.",
    )


def _sorts(network: Rebuilt, honest: fixtures.Labelled) -> float:
    """How well its classes are the kinds of clothes, whatever it calls each: from .1 to 1."""
    names = network.logits(honest.x[:1_000]).argmax(axis=1)
    together = np.zeros((10, 10))
    np.add.at(together, (names, honest.y[:1_000]), 1 / len(names))
    return float(together.max(axis=1).sum())


def _why_other_weights(network: Rebuilt, same: float) -> str:
    if network.drops_out:
        return (
            "It throws units away at random even in evaluation mode: F.dropout needs "
            "training=self.training, or use nn.Dropout."
        )
    if same > 0:
        return "Call torch.manual_seed(seed) before the first layer is made."
    return "Another seed gives the same network: use the argument seed, not a fixed number."


# --- exercise 2 --------------------------------------------------------------------


@check(
    "Exercise 2, train_victim",
    5,
    withholds=(
        "trickster.training.fit",
        "trickster.batched.fit_many",
        "trickster.quick.fit_quickly",
        "trickster.scenario.train_victim",
        *THIEVES,
    ),
)
def train_victim(
    sheet: Sheet,
    build: Callable[..., Any],
    train: Callable[..., Any],
    new_network: Probe,
    weights_of: Probe,
    recorded: Probe,
) -> None:
    """The loop learns, repeats itself, and brings a network to the victim's accuracy."""
    there = training_cases.Probes(new_network, weights_of)
    found = None
    with one_thread_if_busy():
        with sheet.part(f"the loss falls on {training_cases.SMALL:,} pictures", 1) as part:
            found = training_cases.learns(sheet, part, train, there)
        with sheet.part("the same seed gives the same weights", 1) as part:
            if found and not found.moved:
                raise NotMeasured("no weights moved, see above.")
            training_cases.repeats_itself(part, train, there)
        with sheet.part("held-out accuracy", 3) as part:
            if not found or not found.learnt:
                raise NotMeasured("nothing was trained for this part: the loop must learn first.")
            training_cases.generalises(part, build, train, recorded)


# --- exercise 3 --------------------------------------------------------------------


@check("Exercise 3, predict_proba", 4, withholds=("trickster.models.Classifier", *THIEVES))
def predict_proba(sheet: Sheet, predict: Callable[..., Any], watched: Probe) -> None:
    """Distributions, in evaluation mode, row for row, and the model left as it was found."""
    network, x = live_model.draw()
    logits = LiveModel(network, False).answer(x, False)
    want = softmax(logits)

    def ask(training: bool, x: np.ndarray, **options: Any) -> tuple[Any, LiveModel]:
        live = LiveModel(network, training)
        model = watched(live, training)
        return prediction_cases.asked(predict, model, live, x, **options), live

    with sheet.part("rows are probabilities", 1) as part:
        answer, live = ask(False, x)
        got = array(answer, "predict_proba", want.shape)
        if not live.calls:
            sheet.tell_instructor("predict_proba answered without asking the model.")
        if type(answer).__module__.startswith("torch"):
            raise Missed("predict_proba returned a torch tensor, not an array: add .numpy().")
        off = float(np.abs(got - want).max())
        part.expect(
            off < 1e-4,
            f"largest difference from the softmax of the logits {off:.2g}",
            "below 1e-4",
            "about 1e-7",
            prediction_cases.which_probabilities(got, logits, want),
        )
    with sheet.part("evaluation mode while it answers", 1) as part:
        live = LiveModel(network, True)
        model = watched(live, True)
        two = [
            array(prediction_cases.asked(predict, model, live, x), "predict_proba", want.shape)
            for _ in range(2)
        ]
        prediction_cases.in_evaluation_mode(part, two, live)
    with sheet.part("row i answers picture i", 1) as part:
        prediction_cases.rows_in_place(part, ask, x, want)
    with sheet.part("the model is left in its mode", 0.75) as part:
        prediction_cases.left_in_its_mode(part, ask, x[:20])
    with sheet.part("no gradients, and one batch at a time", 0.25) as part:
        prediction_cases.little_memory(part, ask, x[:100])


# --- exercise 4 --------------------------------------------------------------------

ECE = "expected_calibration_error"


@check(
    "Exercise 4, expected_calibration_error",
    3,
    withholds=(
        "trickster.evaluation.expected_calibration_error",
        "trickster.evaluation.confidence_bins",
        "trickster.plots.reliability",
    ),
)
def expected_calibration_error(sheet: Sheet, ece: Callable[..., Any]) -> None:
    """Closed forms, the victim's own answers, and the edges."""
    with sheet.part("a few answers, worked by hand", 1) as part:
        posteriors, y, formula, want = calibration_cases.by_hand()
        got = number(ece(posteriors.copy(), y.copy(), bins=2), ECE)
        part.expect(
            abs(got - want) < 1e-6,
            f"{got:.4f}",
            f"{formula} = {want:.4f}",
            "",
            calibration_cases.which_formula(got, posteriors, y, 2),
        )
    with sheet.part("the victim's answers to 2,000 pictures", 1) as part:
        gaps = []
        for bins, posteriors, y in calibration_cases.of_the_victim():
            with withheld.lifted():
                want = evaluation.expected_calibration_error(posteriors, y, bins)
            given = given_read_only(
                lambda answers, y=y, bins=bins: ece(answers, y.copy(), bins=bins),
                ECE,
                posteriors,
                what="answers",
            )
            got = number(given, ECE)
            gaps.append((abs(got - want), got, want, bins, posteriors, y))
        worst, got, want, bins, posteriors, y = max(gaps, key=lambda gap: gap[0])
        part.expect(
            worst < 1e-4,
            f"{got:.4f} with {bins} bins",
            f"{want:.4f}",
            "",
            calibration_cases.which_formula(got, posteriors, y, bins),
        )
    with sheet.part("the edges", 1) as part:
        found = []
        for edge in calibration_cases.edges():
            options = {} if edge.bins == 15 else {"bins": edge.bins}
            found.append((edge, number(ece(edge.posteriors.copy(), edge.y.copy(), **options), ECE)))
        asked = ", ".join(f"{edge.want:g}" for edge, _ in found)
        wrong = [
            f"{edge.name}: {got:.3f} in place of {edge.want:g}"
            for edge, got in found
            if abs(got - edge.want) > 1e-6
        ]
        part.expect(
            not wrong,
            "; ".join(wrong) or asked,
            asked,
            "",
            calibration_cases.which_edges(found) if wrong else "",
        )


# --- exercise 5 --------------------------------------------------------------------


@check(
    "Exercise 5, class API",
    4,
    withholds=(
        "trickster.api.MeteredAPI",
        "trickster.api.PredictionAPI",
        "trickster.api.Client",
        "trickster.scenario.Scenario.api",
    ),
)
def api(sheet: Sheet, make_api: Callable[..., Any]) -> None:
    """Meter, budget, the order of charging and answering, and the checks of the input."""
    with sheet.part("answers and counts", 1) as part:
        api_cases.answers_and_counts(part, make_api)
    with sheet.part("never one answer over budget", 1) as part:
        api_cases.over_budget(part, make_api)
    with sheet.part("charges before it answers", 1) as part:
        api_cases.charges_first(part, make_api)
    with sheet.part("refuses what is no picture", 1) as part:
        api_cases.bad_input(part, make_api)
