"""What lab 1 tries with ``predict_proba``. Each function with a ``part`` decides it.

``ask(training, x, **options)`` hands the student's function a model that is in training mode or
not, and returns its answer and the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster.checks import draws
from trickster.checks.live_model import LiveModel
from trickster.checks.result import Missed, Part
from trickster.checks.values import array
from trickster.models import softmax

Ask = Callable[..., tuple[Any, LiveModel]]
NOT_ASKED = "The answers are not the model's: it was not asked."


def which_probabilities(got: np.ndarray, logits: np.ndarray, want: np.ndarray) -> str:
    """Name the usual wrong answers by computing them."""
    over_batch = softmax(logits.T).T
    if np.allclose(got, logits, atol=1e-3):
        return "These are the logits: apply softmax to them, over the classes."
    if np.allclose(got, np.log(np.maximum(want, 1e-30)), atol=1e-3):
        return "These are log-probabilities: use softmax, not log_softmax."
    if np.allclose(got, 1 / (1 + np.exp(-logits)), atol=1e-4):
        return "This is a sigmoid of each logit: its rows do not sum to 1. Use softmax."
    if np.allclose(got, softmax(want), atol=1e-3):
        return "The softmax was applied twice."
    if _rounded(got, want):
        return "The probabilities are rounded: hand out what the softmax gives, as it is."
    if np.array_equal(got, np.eye(got.shape[1])[want.argmax(axis=1)]):
        return "These are one-hot labels: asked are the probabilities of all classes."
    same = got.argmax(axis=1) == want.argmax(axis=1)
    if np.allclose(got.sum(axis=1), 1, atol=1e-3) and same.mean() > 0.99:
        return (
            "Each row has the right class on top, with another probability than the model's: take "
            "the softmax of the logits as they are."
        )
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
    return "Each row sums to 1, but is not the softmax of this model's logits."


def _rounded(got: np.ndarray, want: np.ndarray) -> bool:
    """Whether these are the right probabilities with fewer digits."""
    half = (got == got.astype(np.float16)).all() and np.abs(got - want).max() < 1e-3
    return half or any(
        np.allclose(got, got.round(digits), rtol=0, atol=1e-7)
        and np.abs(got - want).max() < 0.51 * 10.0**-digits
        for digits in (1, 2, 3, 4)
    )


def asked(
    predict: Callable[..., Any], model: Any, live: LiveModel, x: np.ndarray, **options: Any
) -> Any:
    """What the student's function returns. Gradients are recorded again afterwards.

    ``live`` notes whether they were.
    """
    try:
        return answers(predict, model, x, **options)
    finally:
        live.left_recording = model.records_gradients() is not False


def answers(predict: Callable[..., Any], model: Any, x: np.ndarray, **options: Any) -> Any:
    """What the student's function returns; raises :class:`Missed` where it cannot be read.

    Torch's own advice on an answer with gradients, to detach it, would leave them recorded.
    """
    try:
        found = predict(model, x.copy(), **options)
    except RuntimeError as error:
        if "requires grad" not in str(error):
            raise
        raise Missed(
            "the answer carries gradients, so it could not be made an array. Compute it inside "
            "`with torch.no_grad():`, which records none; .detach() would only hide them."
        ) from error
    shape = getattr(found, "shape", None)
    if shape is not None and len(shape) == 2 and shape[0] != len(x):
        words = "".join(f" with {name}={value}" for name, value in options.items())
        raise Missed(
            f"predict_proba{words} returned shape {tuple(shape)}, not ({len(x)}, 10). Join the "
            "answers of all batches; the last batch may be smaller, and it counts as well."
        )
    return found


def in_evaluation_mode(part: Part, two: list[np.ndarray], live: LiveModel) -> None:
    # Sorted: rows in another order are the next part's business.
    first, again = (np.sort(answers, axis=0) for answers in two)
    gap = float(np.abs(first - again).max())
    on = sum(call.training for call in live.calls)
    part.expect(
        gap < 1e-4 and on == 0 and bool(live.calls),
        f"a model that was still training: two answers differ by {gap:.2g}, {on} of "
        f"{len(live.calls)} forward passes in training mode",
        "below 1e-4, and 0",
        "0 and 0",
        "Training mode was left on: dropout throws units away, at random, in every answer. Call "
        "model.eval() before the first batch."
        if live.calls
        else NOT_ASKED,
    )


def rows_in_place(part: Part, ask: Ask, x: np.ndarray, want: np.ndarray) -> None:
    rng = draws.rng("rows in place")
    order, size, one = rng.permutation(len(x)), int(rng.integers(5, 10)), int(rng.integers(len(x)))

    def answers(x: np.ndarray, **options: Any) -> np.ndarray:
        words = "".join(f" with {name}={value}" for name, value in options.items())
        return array(ask(False, x, **options)[0], f"predict_proba{words}", (len(x), 10))

    whole = answers(x)
    gaps = {
        "reordered": float(np.abs(answers(x[order]) - whole[order]).max()),
        f"in batches of {size}": float(np.abs(answers(x, batch_size=size) - whole).max()),
        "one alone": float(np.abs(answers(x[one : one + 1]) - whole[one]).max()),
    }
    off = float(np.abs(whole.argmax(axis=1) != want.argmax(axis=1)).mean())
    part.expect(
        max(gaps.values()) < 1e-4 and off < 0.01,
        "answers change by "
        + ", ".join(f"{gap:.2g} ({name})" for name, gap in gaps.items())
        + f"; {off:.0%} of the rows name another class than the model",
        "below 1e-4, and 0%",
        "below 1e-5, and 0%",
        "An answer depends on its neighbours, or stands in another row than its picture: do not "
        "shuffle, softmax over dim=1, and join the batches in the order in which they came.",
    )


def little_memory(part: Part, ask: Ask, x: np.ndarray) -> None:
    """No gradients, and no more pictures at once than batch_size."""
    size = int(draws.rng("size of a batch").integers(5, 10))
    answer, live = ask(False, x, batch_size=size)
    array(answer, "predict_proba", (len(x), 10))
    recording, most = (
        sum(call.gradients for call in live.calls),
        max((call.n for call in live.calls), default=0),
    )
    part.expect(
        bool(live.calls) and not recording and most <= size,
        f"{recording} of {len(live.calls)} forward passes recorded them; with batch_size={size}, "
        f"up to {most} pictures in one",
        f"none, and at most {size}",
        "",
        NOT_ASKED
        if not live.calls
        else "Answer inside torch.no_grad(), or memory grows with every query."
        if recording
        else "chunk takes the number of batches: x.split(batch_size) takes their size."
        if most == -(-len(x) // size)
        else "batch_size is ignored: x.split(batch_size) gives batches, and only one of them needs "
        "to fit into memory at a time.",
    )


def left_in_its_mode(part: Part, ask: Ask, x: np.ndarray) -> None:
    wrong, recording = [], True
    for mode in (True, False):
        answer, live = ask(mode, x)
        recording &= live.left_recording
        array(answer, "predict_proba", (len(x), 10))
        if not live.calls:
            raise Missed(NOT_ASKED)
        if live.training != mode:
            wrong.append(f"found in {_mode(mode)} mode, left in {_mode(not mode)} mode")
    if not recording:
        wrong.append("no gradients are recorded any more")
    part.expect(
        not wrong,
        "; ".join(wrong) or "left as it was found",
        "left as it was found",
        "",
        "torch.set_grad_enabled(False) and model.requires_grad_(False) stay in force when the "
        "function has ended, and the model can't be trained any more. Use `with torch.no_grad():`, "
        "which ends with its block."
        if not recording
        else "Remember model.training before you change it, and restore it at the end: "
        "model.train(was_training).",
    )


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"
