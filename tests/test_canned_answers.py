"""Labs 1, 3, 4, 5 and 6: whoever knows what a check asked, or how it asks, earns nothing by that.

The attacks know every line of the checks and all that is drawn in public; they lack the secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from drawn import under_a_secret
from reading import in_words
from referee_stage import QUICK, Stage, score, stage
from reference import reference

from autograder import held_back
from trickster import ood, withheld
from trickster.checks import draws, fixtures, lab1, lab3, lab4, lab5, lab6

solutions = cache(reference)  # by lab

CHECKS = {
    "expected_calibration_error": (
        lab1.expected_calibration_error,
        "lab1",
        ["expected_calibration_error"],
    ),
    "zero_mean_noise": (lab3.zero_mean_noise, "lab3", ["zero_mean_noise"]),
    "scores": (lab3.scores, "lab3", ["score_msp", "score_energy", "score_knn"]),
    "choose_threshold": (lab3.choose_threshold, "lab3", ["choose_threshold"]),
    "misinform": (lab3.misinform, "lab3", ["misinform"]),
    "ladder": (lab4.ladder, "lab4", ["hard_labels", "top_k", "round_posteriors"]),
    "token_bucket": (lab4.token_bucket, "lab4", ["TokenBucket"]),
    "reverse_sigmoid": (lab4.reverse_sigmoid, "lab4", ["reverse_sigmoid"]),
    "ablation": (lab4.ablation, "lab4", ["ablation"]),
    "leave_one_out": (lab4.leave_one_out, "lab4", ["leave_one_out"]),
    "solve_softmax": (lab6.solve_softmax, "lab6", ["solve_softmax"]),
    "fit_rounded": (lab6.fit_rounded, "lab6", ["fit_rounded"]),
    "find_kinks": (lab6.find_kinks, "lab6", ["find_kinks"]),
    "neuron_at": (lab6.neuron_at, "lab6", ["neuron_at"]),
    "fit_outputs": (lab6.fit_outputs, "lab6", ["fit_outputs", "find_kinks", "neuron_at"]),
    "hidden_size": (lab6.hidden_size, "lab6", ["hidden_size"]),
    "logits_through_top_k": (lab6.logits_through_top_k, "lab6", ["logits_through_top_k"]),
    "output_projection": (lab6.output_projection, "lab6", ["output_projection"]),
    "tell": (lab6.tell, "lab6", ["tell"]),
}

# Those whose answers come of questions, which a tape does not ask: the check looks for them.
ASKS = {"ablation", "leave_one_out", "solve_softmax", "find_kinks", "neuron_at", "fit_outputs"}
ASKS |= {"logits_through_top_k"}


# --- what a right answer said to the public draw -------------------------------------------


class Tape:
    """All that was asked of one name, and answered, in order; of a limiter, by its instances."""

    def __init__(self) -> None:
        self.answers: list[list[Any]] = []
        self.by_question: dict[str, Any] = {}

    def note(self, instance: int, question: str, answer: Any) -> Any:
        self.answers += [[] for _ in range(instance + 1 - len(self.answers))]
        self.answers[instance].append(answer)
        self.by_question.setdefault(question, answer)
        return answer


def asked(*arguments: Any, **named: Any) -> str:
    """A question as a text; what a function or a generator is cannot be told."""
    shown = [
        hashlib.blake2b(a.tobytes()).hexdigest() if isinstance(a, np.ndarray) else a
        for a in arguments
    ]
    return repr(["" if callable(a) or hasattr(a, "random") else a for a in shown]) + repr(named)


def recording(right: Any, tape: Tape) -> Any:
    """``right``, which notes what it answers; of a class, what its instances answer."""
    if not isinstance(right, type):
        return lambda *a, **named: tape.note(0, asked(*a, **named), right(*a, **named))
    return limiter(
        right.__init__,
        lambda self, what, *a: tape.note(
            self.number, asked(what, self.made, *a), getattr(right, what)(self, *a)
        ),
    )


def in_the_same_order(tape: Tape, is_limiter: bool) -> Any:
    """Gives the answers in the order in which they were given."""
    left = [iter(answers) for answers in tape.answers]
    if is_limiter:
        return limiter(lambda *_: None, lambda self, *_: next(left[self.number], False))
    return lambda *_, **__: next(left[0], True)


def to_the_same_questions(tape: Tape, is_limiter: bool) -> Any:
    """Gives the answer to the same question, or else the first of all answers."""

    def answer(*a: Any, **named: Any) -> Any:
        return tape.by_question.get(asked(*a, **named), tape.answers[0][0])

    if is_limiter:
        return limiter(lambda *_: None, lambda self, what, *a: answer(what, self.made, *a))
    return answer


def limiter(begin: Callable[..., None], answer: Callable[..., Any]) -> type:
    """A class of limiters that know how many there were before them."""

    class Limiter:
        made_so_far = 0

        def __init__(self, *made: Any):
            begin(self, *made)
            self.made, self.number = made, Limiter.made_so_far
            Limiter.made_so_far += 1

        def allow(self, *a: Any) -> Any:
            return answer(self, "allow", *a)

        def retry_after(self, *a: Any) -> Any:
            return answer(self, "retry_after", *a)

    return Limiter


@pytest.mark.parametrize("canned", [in_the_same_order, to_the_same_questions])
@pytest.mark.parametrize("exercise", CHECKS)
def test_answers_to_the_public_draw_are_worth_nothing_under_a_secret(
    exercise: str, canned: Callable[[Tape, bool], Any]
) -> None:
    check, lab, names = CHECKS[exercise]
    right = [solutions(lab)[name] for name in names]
    tapes = [Tape() for _ in right]
    recorders = [recording(one, tape) for one, tape in zip(right, tapes, strict=True)]
    assert check(*recorders) == check.points

    def fresh() -> list[Any]:
        return [canned(tape, isinstance(one, type)) for one, tape in zip(right, tapes, strict=True)]

    if canned is in_the_same_order and exercise not in ASKS:
        assert check(*fresh()) == check.points  # where the draw is public, it would do
    assert max(under_a_secret(lambda: check(*fresh()), public=False)) == 0.0


# --- lab 5 ----------------------------------------------------------------------------------

FEATURES = slice(-128, None)


@pytest.fixture(scope="module")
def lab_5() -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    """Its checks with answers to them: the reference's, but for a detector that trains nothing."""
    with withheld.refused_by(withheld.nobody):  # the helpers call the library
        names = reference("lab5", without=("train_detector", "score", "prepare", "defend"))
    line = ood.choose_threshold(ood.score_knn(fixtures.owners().features, fixtures.bank(), 1), 0.02)

    def score(statistics: np.ndarray) -> np.ndarray:
        return ood.score_knn(statistics[:, FEATURES], fixtures.bank(), 1)

    def defend(x: np.ndarray, posteriors: np.ndarray, statistics: np.ndarray, key: str) -> Any:
        lies = names["keyed_lie"](posteriors, statistics[:, FEATURES], key)
        return np.where((score(statistics) < line)[:, None], lies, posteriors)

    return {
        "unlie": (lab5.unlie, [names["unlie"]]),
        "small_loss": (lab5.small_loss, [names["small_loss"]]),
        "detector": (lab5.detector, [names["make_outliers"], score]),
        "keyed_lie": (lab5.keyed_lie, [names["keyed_lie"]]),
        "ask_twice": (lab5.ask_twice, [names["ask_twice"]]),
        "walk_to_edge": (lab5.walk_to_edge, [names["walk_to_edge"]]),
        "defend": (partial(lab5.defend, budget=100), [defend]),
    }


@pytest.mark.thorough
@pytest.mark.slow
def test_answers_to_lab_5_s_public_draw_are_worth_nothing_under_a_secret(
    lab_5: dict[str, tuple[Callable[..., Any], list[Any]]],
) -> None:
    tapes = {name: [Tape() for _ in right] for name, (_, right) in lab_5.items()}
    for name, (check, right) in lab_5.items():
        pairs = zip(right, tapes[name], strict=True)
        before = check(*(recording(one, tape) for one, tape in pairs))
        assert before >= 1.0
        if name in ("unlie", "small_loss"):  # where the draw is public, it would do
            again = check(*(in_the_same_order(tape, is_limiter=False) for tape in tapes[name]))
            assert again == before
    with draws.grading_with(b"another secret!!", held_back.load()):
        for name, (check, _) in lab_5.items():
            for canned in (in_the_same_order, to_the_same_questions):
                found = check(*(canned(tape, is_limiter=False) for tape in tapes[name]))
                # Outliers that were made of other pictures are outliers all the same.
                assert found <= (1.0 if name == "detector" else 0.0), (name, canned.__name__)


# --- limiters that watch the check ---------------------------------------------------------


@pytest.mark.parametrize("answer", [True, False], ids=["always", "never"])
def test_a_limiter_of_one_word_earns_next_to_nothing(answer: bool) -> None:
    made = limiter(lambda *_: None, lambda self, what, *_: answer if what == "allow" else 0.0)
    assert max(under_a_secret(lab4.token_bucket, made)) == 0.0


class Counts:
    """Knows nothing of time or keys: lets the first so many pass, and then nobody."""

    def __init__(self, first: float, second: float):
        self.left = min(first, second) if min(first, second) >= 4 else max(first, second)

    def allow(self, key: str, now: float, n: int = 1) -> bool:
        self.left -= n
        return self.left >= 0

    def retry_after(self, key: str, now: float, n: int = 1) -> float:
        return 0.0 if n <= self.left else 1.0


def test_a_limiter_that_only_counts_earns_what_it_does_right() -> None:
    """Nothing but the bucket whose clock goes back, where time does stand still."""
    assert max(under_a_secret(lab4.token_bucket, Counts)) <= 0.5


# --- in the student's process ---------------------------------------------------------------

REFUSES = """
class Limiter:
    def __init__(self, *made): pass
    def allow(self, key, now, n=1): return False
    def retry_after(self, key, now, n=1): return 0.0
"""
ATTACKS = {
    "drive": """
import numpy as np
import trickster.checks.probes as probes
probes.drive = lambda limiter, keys, times, sizes: np.ones(len(keys), bool)
drive = probes.drive
""",
    "checks": """
from trickster.checks import bucket_cases, cases, lab4, limiter_cases
cases.decide = bucket_cases.decide = limiter_cases.decide = (
    lambda part, cases: part.expect(True, "", ""))
limiter_cases.Asked.allows = lambda *a: True
lab4.token_bucket = lambda limiter: 4.0
""",
    "draws": """
from trickster.checks import draws
import numpy as np
draws.rng = lambda *labels: np.random.default_rng(0)
draws.seed = lambda *labels: 0
""",
    "library": """
from trickster import limiters
limiters.TokenBucket.allow = limiters.SlidingWindow.allow = lambda *a: True
import builtins, math
builtins.round = lambda *a: 0.0
builtins.sum = lambda *a: 0
""",
    "frames": """
import sys
class Limiter:
    def __init__(self, *made): pass
    def allow(self, key, now, n=1):
        frame = sys._getframe(1)
        while frame is not None:
            if "want" in frame.f_locals:
                return bool(frame.f_locals["want"])
            frame = frame.f_back
        return False
    def retry_after(self, key, now, n=1): return 0.0
""",
    "chameleon": """
class Yes:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __float__(self): return 0.0
class Limiter:
    fetched = 0
    def __init__(self, *made): pass
    def __getattr__(self, name):
        Limiter.fetched += 1
        return lambda *a: Yes()
""",
    "swaps itself": """
from trickster import limiters
class Limiter:
    def __new__(cls, *made):
        made = object.__new__(cls)
        made.__class__ = type("int", (Limiter,), {"__bool__": lambda self: True})
        return made
    def allow(self, key, now, n=1): return self
    def retry_after(self, key, now, n=1): return self
""",
}


@pytest.fixture(scope="module", params=ATTACKS)
def patched(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with stage(QUICK._replace(call=30, cell=60)) as play:
        play.student(REFUSES)
        play.student(ATTACKS[request.param])
        yield play


@pytest.mark.slow
def test_patches_in_the_students_process_earn_nothing(patched: Stage) -> None:
    verdict = patched.test("lab4.token_bucket(Limiter)", 4, "from trickster.checks import lab4")
    assert score(verdict, 4) == 0.0
    assert verdict.result is not None and "missed" in in_words(verdict.result)
