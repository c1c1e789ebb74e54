"""Checks of lab 1, Train the victim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster import evaluation
from trickster.checks import api_cases, fixtures
from trickster.checks.result import Missed, Sheet, array, check, number
from trickster.checks.thresholds import VICTIM_ACCURACY
from trickster.models import softmax
from trickster.scenario import Scenario

Forward = Callable[[Any, np.ndarray], np.ndarray]


# --- exercise 1 --------------------------------------------------------------------


@check("Exercise 1, build_victim", 2)
def build_victim(sheet: Sheet, build: Callable[..., Any], forward: Forward) -> None:
    """Logits of the right shape, and the same weights for the same seed."""
    x = fixtures.fashion().x_test[:64].copy()
    with sheet.part("gives logits", 1) as part:
        model = build(0)
        if model is None:
            raise Missed("build_victim returned None. Does it end with a return statement?")
        try:
            logits = array(forward(model, x), "Your network", (64, 10))
        except RuntimeError as error:
            raise Missed(
                f"the network does not take pictures (64, 1, 28, 28): {error}. With padding=2 the "
                "second convolution gives 64 x 7 x 7 values; flatten them before the linear layer."
            ) from None
        rows = np.abs(logits.sum(axis=1) - 1).max()
        logs = np.abs(np.exp(np.minimum(logits, 50)).sum(axis=1) - 1).max()
        part.expect(
            np.isfinite(logits).all() and logs > 1e-3 and not (rows < 1e-3 and logits.min() >= 0),
            f"shape {logits.shape}, values from {logits.min():.2f} to {logits.max():.2f}",
            "one finite score for each of 10 classes, not normalised",
            "between -0.5 and 0.5 before training",
            "The rows are probabilities already, or their logarithms: it ends in a softmax. "
            "Return the last linear layer's scores; cross_entropy applies the softmax itself."
            if np.isfinite(logits).all()
            else "Some scores are NaN or infinite.",
        )
    with sheet.part("the seed decides the weights", 1) as part:
        first, again, other = (
            array(forward(build(seed), x), "Your network", (64, 10)) for seed in (3, 3, 4)
        )
        same, different = np.abs(first - again).max(), np.abs(first - other).max()
        part.expect(
            same == 0 and different > 0,
            f"same seed: logits differ by {same:.2g}; another seed: by {different:.2g}",
            "0, and more than 0",
            "0 and about 0.2",
            "Call torch.manual_seed(seed) before the first layer is made."
            if same > 0
            else "Another seed gives the same network: use the argument, not a fixed number.",
        )


# --- exercise 2 --------------------------------------------------------------------


@check("Exercise 2, train_victim", 5)
def train_victim(
    sheet: Sheet, build: Callable[..., Any], train: Callable[..., Any], forward: Forward
) -> None:
    """The loop learns, repeats itself, and brings a network to the victim's accuracy."""
    fashion = fixtures.fashion()
    x, y = fashion.x_train[:640].copy(), fashion.y_train[:640].copy()
    options = {"epochs": 6, "batch_size": 32, "lr": 3e-3, "seed": 5}
    # Both are built first: build_victim sets the seed, and would hide a loop that does not.
    model, twin = build(0), build(0)
    first: np.ndarray | None = None
    with sheet.part("the loss falls on 640 pictures", 1) as part:
        first = array(train(model, x, y, **options), "train_victim", (6,))
        right = evaluation.accuracy(array(forward(model, x), "Your network", (640, 10)), y)
        part.expect(
            bool(
                np.isfinite(first).all()
                and 0.8 < first[0] < 4
                and first[-1] < 0.6 * first[0]
                and right > 0.7
            ),
            f"loss {first[0]:.2f} in epoch 1, {first[-1]:.2f} in epoch 6; {right:.2f} right",
            "a first loss from 0.8 to 4, the last below 0.6 of it, more than .70 right",
            "2.0 to 0.4, .86 right",
            _why_not_learning(first, right),
        )
    with sheet.part("the same seed gives the same losses", 1) as part:
        if first is None:
            raise Missed("there is no first run to compare with.")
        again = array(train(twin, x, y, **options), "train_victim", (6,))
        gap = float(np.abs(first - again).max())
        part.expect(
            gap < 1e-6,
            f"two runs differ by {gap:.2g}",
            "less than 1e-6",
            "0",
            "Something draws at random outside the seed. Leave the line torch.manual_seed(seed) "
            "where it is, and draw nothing before it.",
        )
    with sheet.part("held-out accuracy", 3) as part:
        model = build(0)
        train(model, fashion.x_train.copy(), fashion.y_train.copy(), seed=0)
        logits = array(forward(model, fashion.x_test.copy()), "Your network", (5000, 10))
        right = evaluation.accuracy(logits, fashion.y_test)
        half_width = 1.96 * (right * (1 - right) / len(logits)) ** 0.5
        part.award(
            VICTIM_ACCURACY.share(right),
            f"{right:.3f} ± {half_width:.3f} on 5,000 pictures it never saw",
            f"at least {VICTIM_ACCURACY.full} (some points from {VICTIM_ACCURACY.some})",
            VICTIM_ACCURACY.usual,
            "A little low usually means that the schedule or the number of epochs was changed, or "
            "that the network is too small. About .10 means that nothing was learnt.",
            value=right,
        )


def _why_not_learning(losses: np.ndarray, right: float) -> str:
    if not np.isfinite(losses).all():
        return "A loss is NaN or infinite. Check what goes into cross_entropy: logits and labels."
    if right > 0.7:
        return (
            "The network learns, but the losses you return are not the means of the epochs: add "
            "loss.item() * len(batch) to total for each batch."
        )
    if np.ptp(losses) < 0.05:
        return (
            "The loss stands still: the weights are never changed. The order is zero_grad(), "
            "backward(), step(), once for each batch."
        )
    if losses[-1] > losses[0]:
        return "The loss rises: are gradients added up because zero_grad() is missing?"
    return (
        "It learns too slowly: is zero_grad() missing, so that old gradients pile up, or is step() "
        "not called for each batch?"
    )


# --- exercise 3 --------------------------------------------------------------------


@check("Exercise 3, predict_proba", 4)
def predict_proba(
    sheet: Sheet,
    predict: Callable[..., Any],
    make_probe: Callable[[bool], Any],
    read_probe: Callable[[Any], dict[str, Any]],
) -> None:
    """Distributions, in evaluation mode, row for row, and the model left as it was found."""
    x = fixtures.fashion().x_test[:300].copy()
    logits = Scenario("fashion").victim.logits(x)
    want = softmax(logits)
    with sheet.part("rows are probabilities", 1) as part:
        answer = predict(make_probe(False), x)
        got = array(answer, "predict_proba", (300, 10))
        if type(answer).__module__.startswith("torch"):
            raise Missed("predict_proba returned a torch tensor; asked an array: add .numpy().")
        off = float(np.abs(got - want).max())
        part.expect(
            off < 1e-4,
            f"largest difference from the softmax of the logits {off:.2g}",
            "below 1e-4",
            "about 1e-7",
            _which_probabilities(got, logits, want),
        )
    with sheet.part("evaluation mode while it answers", 1) as part:
        probe = make_probe(True)
        first, again = (array(predict(probe, x), "predict_proba", (300, 10)) for _ in range(2))
        # Sorted: rows in another order are the next part's business.
        gap = float(np.abs(np.sort(first, axis=0) - np.sort(again, axis=0)).max())
        on = sum(bool(call["training"]) for call in read_probe(probe)["calls"])
        part.expect(
            gap == 0 and on == 0,
            f"a model that was still training: two answers differ by {gap:.2g}, {on} forward "
            "passes in training mode",
            "0 and 0",
            "0 and 0",
            "Training mode was left on: dropout throws units away, at random, in every answer. "
            "Call model.eval() before the first batch.",
        )
    with sheet.part("row i answers picture i", 1) as part:
        _rows_in_place(part, predict, make_probe, x, want)
    with sheet.part("the model is left as it was found", 1) as part:
        _left_as_found(part, predict, make_probe, read_probe, x)


def _which_probabilities(got: np.ndarray, logits: np.ndarray, want: np.ndarray) -> str:
    """Name the usual wrong answers by computing them."""
    over_batch = softmax(logits.T).T
    if np.allclose(got, logits, atol=1e-3):
        return "These are the logits: apply softmax to them, over the classes."
    if np.allclose(got, np.log(np.maximum(want, 1e-30)), atol=1e-3):
        return "These are log-probabilities: use softmax, not log_softmax."
    if np.allclose(got, 1 / (1 + np.exp(-logits)), atol=1e-4):
        return "This is a sigmoid of each logit: its rows do not sum to 1. Use softmax."
    if np.allclose(got.sum(axis=1), 1, atol=1e-3) and np.allclose(
        np.sort(got.argmax(axis=1)), np.sort(want.argmax(axis=1))
    ):
        return "Each row is a distribution, but of another picture: are the rows shuffled?"
    if np.allclose(got, over_batch, atol=1e-3) or not np.allclose(got.sum(axis=1), 1, atol=1e-3):
        columns = got.sum(axis=0)
        if np.allclose(columns, np.round(columns), atol=1e-3) and got.min() >= 0:
            return (
                "The columns sum to 1, not the rows: the softmax runs over the batch (dim=0). "
                "Each picture's 10 classes are one distribution: dim=1."
            )
        return f"The rows sum to between {got.sum(axis=1).min():.2f} and " + (
            f"{got.sum(axis=1).max():.2f}; a distribution sums to 1."
        )
    if np.allclose(got, softmax(want), atol=1e-3):
        return "The softmax was applied twice."
    return "Each row sums to 1, but is not the softmax of this model's logits."


def _rows_in_place(
    part: Any, predict: Callable[..., Any], make_probe: Any, x: np.ndarray, want: np.ndarray
) -> None:
    order = np.random.default_rng(11).permutation(len(x))
    probe = make_probe(False)
    turned = array(predict(probe, x[order]), "predict_proba", want.shape)
    small = array(predict(probe, x, batch_size=7), "predict_proba with batch_size=7", want.shape)
    one = array(predict(probe, x[:1]), "predict_proba for one picture", (1, 10))
    whole = array(predict(probe, x), "predict_proba", want.shape)
    gaps = {
        "reordered": float(np.abs(turned - whole[order]).max()),
        "in batches of 7": float(np.abs(small - whole).max()),
        "one alone": float(np.abs(one - whole[:1]).max()),
    }
    off = float(np.abs(whole.argmax(axis=1) != want.argmax(axis=1)).mean())
    part.expect(
        max(gaps.values()) < 1e-4 and off < 0.01,
        "answers change by "
        + ", ".join(f"{gap:.2g} ({name})" for name, gap in gaps.items())
        + f"; {off:.0%} of the rows name another class than the model",
        "below 1e-4, and 0%",
        "about 1e-7, and 0%",
        "An answer depends on its neighbours, or stands in another row than its picture: do not "
        "shuffle, softmax over dim=1, and join the batches in the order in which they came.",
    )


def _left_as_found(
    part: Any, predict: Callable[..., Any], make_probe: Any, read_probe: Any, x: np.ndarray
) -> None:
    wrong = []
    for mode in (True, False):
        probe = make_probe(mode)
        array(predict(probe, x[:20]), "predict_proba", (20, 10))
        seen = read_probe(probe)
        if bool(seen["training"]) != mode:
            wrong.append(f"found in {_mode(mode)} mode, left in {_mode(not mode)} mode")
        if any(call["gradients"] for call in seen["calls"]):
            wrong.append("gradients were recorded")
    part.expect(
        not wrong,
        "; ".join(dict.fromkeys(wrong)) or "mode restored, no gradients recorded",
        "mode restored, no gradients recorded",
        "",
        "Note model.training before you change it and give it back with model.train(...) at the "
        "end; answer inside torch.no_grad(), or memory grows with every query.",
    )


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"


# --- exercise 4 --------------------------------------------------------------------


@check("Exercise 4, expected_calibration_error", 3)
def expected_calibration_error(sheet: Sheet, ece: Callable[..., Any]) -> None:
    """Closed forms, the victim's own answers, and the edges."""
    with sheet.part("six answers, worked by hand", 1) as part:
        # Bins of width 1/2: four answers at .4 (one of them right), two at .8 (both right).
        posteriors = np.array([[0.4, 0.3, 0.3]] * 4 + [[0.8, 0.1, 0.1]] * 2)
        y = np.array([0, 1, 2, 2, 0, 0])
        want = 4 / 6 * abs(1 / 4 - 0.4) + 2 / 6 * abs(1 - 0.8)
        got = number(ece(posteriors, y, bins=2), "expected_calibration_error")
        part.expect(
            abs(got - want) < 1e-6,
            f"{got:.4f}",
            f"4/6 · |1/4 - .4| + 2/6 · |1 - .8| = {want:.4f}",
            "",
            _which_calibration(got, posteriors, y, 2),
        )
    with sheet.part("the victim's answers to 2,000 pictures", 1) as part:
        fashion = fixtures.fashion()
        posteriors = Scenario("fashion").victim.posteriors(fashion.x_test[:2000])
        y = fashion.y_test[:2000].copy()
        gaps = []
        for bins in (15, 10):
            want = evaluation.expected_calibration_error(posteriors, y, bins)
            got = number(ece(posteriors, y, bins=bins), "expected_calibration_error")
            gaps.append((abs(got - want), got, want, bins))
        worst, got, want, bins = max(gaps)
        part.expect(
            worst < 1e-4,
            f"{got:.4f} with {bins} bins",
            f"{want:.4f}",
            "",
            "With 15 bins it is right, with 10 it is not: is the argument bins ignored?"
            if gaps[0][0] < 1e-4
            else _which_calibration(got, posteriors, y, bins),
        )
    with sheet.part("the edges", 1) as part:
        sure = np.eye(3)[[0, 1, 2, 0]]
        cases = {
            "always sure and right": (number(ece(sure, np.array([0, 1, 2, 0])), "it"), 0.0),
            "always sure and wrong": (number(ece(sure, np.array([1, 2, 0, 1])), "it"), 1.0),
            "one answer": (number(ece(np.array([[0.3, 0.7]]), np.array([1])), "it"), 0.3),
        }
        wrong = [
            f"{name}: {got:.3f}, asked {want:.3f}"
            for name, (got, want) in cases.items()
            if abs(got - want) > 1e-6
        ]
        part.expect(
            not wrong,
            "; ".join(wrong) or "0, 1 and 0.3",
            "0, 1 and 0.3",
            "",
            "A gap has no sign: take |accuracy - confidence|."
            if any(got < -1e-6 for got, _ in cases.values())
            else "A confidence of exactly 1 belongs to the last bin; empty bins count nothing (and "
            "must not divide by zero).",
        )


def _which_calibration(got: float, posteriors: np.ndarray, y: np.ndarray, bins: int) -> str:
    """Name the usual wrong formulas by computing them."""
    confidence = posteriors.max(axis=1).astype(float)
    right = (posteriors.argmax(axis=1) == y).astype(float)
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    full = [bin_of == b for b in range(bins) if (bin_of == b).any()]
    gaps = np.array([abs(right[m].mean() - confidence[m].mean()) for m in full])
    signed = np.array([(right[m].mean() - confidence[m].mean()) * m.mean() for m in full])
    truth = posteriors[np.arange(len(y)), y]
    variants = {
        "Each bin counts the same in yours: weight it by its share of the answers.": gaps.mean(),
        "This is the largest gap (the maximum calibration error): take the weighted mean.": (
            gaps.max()
        ),
        "Gaps of different sign cancel: take |accuracy - confidence| in each bin.": signed.sum(),
        "Gaps of different sign cancel: take |accuracy - confidence| in each bin. ": -signed.sum(),
        "All answers went into one bin: sort them by confidence first.": abs(
            right.mean() - confidence.mean()
        ),
        "Confidence is the largest probability of a row, not that of the true class.": abs(
            right.mean() - truth.mean()
        ),
    }
    for words, value in variants.items():
        if abs(got - value) < 1e-5:
            return words.strip()
    return (
        "In each bin: |share of right answers - mean confidence|, weighted by the share of all "
        "answers that fall into the bin."
    )


# --- exercise 5 --------------------------------------------------------------------


@check("Exercise 5, class API", 4)
def api(sheet: Sheet, make_api: Callable[..., Any]) -> None:
    """Meter, budget, the order of charging and answering, and the checks of the input."""
    x = fixtures.fashion().x_test[:64].copy()
    with sheet.part("answers and counts", 1) as part:
        api_cases.answers_and_counts(part, make_api, x)
    with sheet.part("never one answer over budget", 1) as part:
        api_cases.over_budget(part, make_api, x)
    with sheet.part("charges before it answers", 1) as part:
        api_cases.charges_first(part, make_api, x)
    with sheet.part("refuses what is no picture", 1) as part:
        api_cases.bad_input(part, make_api, x)
