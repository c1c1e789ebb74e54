"""Right and wrong answers to lab 5's exercise 7, thieves who choose their questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster import probing
from trickster.probing import noisy, permutation_between, reordered

Ask = Callable[[np.ndarray], np.ndarray]
Change = Callable[[np.ndarray], np.ndarray]
Differ = Callable[[np.ndarray, np.ndarray], np.ndarray]  # answers to pictures, and to their copies


def asked_twice(differ: Differ, change: Change) -> Callable[..., Any]:
    """A thief of exercise 7 who sees lies where answers ``differ``."""

    def thief(ask: Ask, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answers = ask(x)
        return answers, differ(answers, ask(change(x)))

    return thief


def one_step(x: np.ndarray) -> np.ndarray:
    """Every pixel by one step of 8 bits."""
    return probing.one_step(x, np.random.default_rng(0))


def one_pixel(x: np.ndarray) -> np.ndarray:
    """The middle pixel by one step."""
    copies, middle = x.copy(), (..., x.shape[2] // 2, x.shape[3] // 2)
    copies[middle] += np.where(x[middle] < 0.5, 1, -1) / 255
    return copies


def far_off(x: np.ndarray) -> np.ndarray:
    """Much more than a step: a truth changes as well."""
    return noisy(0.2)(x, np.random.default_rng(0))


def correlated(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    pairs = zip(np.log(first + 1e-12), np.log(second + 1e-12), strict=True)
    return np.array([np.corrcoef(*pair)[0, 1] < 0.9 for pair in pairs])


def other_class(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first.argmax(axis=1) != second.argmax(axis=1)


def other_ranks(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (np.argsort(first, axis=1) != np.argsort(second, axis=1)).any(axis=1)


def the_unsure_half(ask: Ask, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    answers = ask(x)
    sure = answers.max(axis=1)
    return answers, sure < np.median(sure)


def asked_three_times(ask: Ask, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    answers, lies = asked_twice(reordered, one_step)(ask, x)
    return answers, lies | reordered(answers, ask(one_step(x)))


def by_halving(
    halvings: int, turned: bool = False, same: Callable[..., bool] | None = None
) -> Callable[..., np.ndarray]:
    """A walk of exercise 7; ``same`` says whether the middle is on the side of the truth."""

    def walk(ask: Ask, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        truth, lie = ask(np.stack([start, end]))
        for _ in range(halvings):
            middle = (start + end) / 2
            answer = ask(middle[None])[0]
            named = answer.argmax() == truth.argmax()
            if same(answer, truth, lie) if same else named:
                start, truth = middle, answer
            else:
                end, lie = middle, answer
        found = permutation_between(truth, lie)
        return np.argsort(found) if turned else found

    return walk


def nearer_to_the_truth(answer: np.ndarray, truth: np.ndarray, lie: np.ndarray) -> bool:
    logs = np.log([answer, truth, lie])
    return np.abs(logs[0] - logs[1]).sum() < np.abs(logs[0] - logs[2]).sum()


def on_a_grid(ask: Ask, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    shares = np.linspace(0, 1, 200, dtype=np.float32)[:, None, None, None]
    answers = ask(start + shares * (end - start))
    i = np.flatnonzero(np.diff(answers.argmax(axis=1)))[0]
    return permutation_between(answers[i], answers[i + 1])


def in_reverse(ask: Ask, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    order, permutation = np.argsort(ask(start[None])[0]), np.empty(10, dtype=int)
    permutation[order] = order[::-1]
    return permutation
