"""Thieves who ask on purpose: what they find out of a toy service whose lies are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trickster import probing
from trickster.models import softmax

K = 10
MOVED_TO = np.array(
    [[1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [7, 5, 4, 1, 8, 2, 9, 3, 6, 0]]
)  # class c's number is at MOVED_TO[c]
START = np.full((1, 3, 3), 0.2, np.float32)  # a dark picture, which looks normal


class Toy:
    """A linear victim of 3x3 pictures; bright ones are lied about, and all questions counted.

    ``lie`` says which permutation: "one", "two" (by the first pixel) or "each" picture its own.
    """

    def __init__(self, lie: str):
        self.lie, self.asked = lie, 0
        self.weights = np.random.default_rng(3).normal(0, 4, (9, K)).astype(np.float32)

    def truth(self, x: np.ndarray) -> np.ndarray:
        return softmax((x.reshape(len(x), -1) - 0.5) @ self.weights)

    def lied_to(self, x: np.ndarray) -> np.ndarray:
        return x.mean(axis=(1, 2, 3)) > 0.45

    def order(self, picture: np.ndarray) -> np.ndarray:
        if self.lie == "each":  # a circle in an order of its own: no class stays
            circle = np.random.default_rng(list(picture.tobytes())).permutation(K)
            order = np.empty(K, int)
            order[circle] = np.roll(circle, 1)
            return order
        return MOVED_TO[int(self.lie == "two" and picture[0, 0, 0] > 0.6)]

    def ask(self, x: np.ndarray) -> np.ndarray:
        self.asked += len(x)
        answers = self.truth(x)
        for row in np.flatnonzero(self.lied_to(x)):
            answers[row, self.order(x[row])] = answers[row].copy()
        return answers


def pool(n: int) -> np.ndarray:
    return np.random.default_rng(7).random((n, 1, 3, 3), dtype=np.float32)


# --- copies -----------------------------------------------------------------------------------


@given(arrays(np.float32, (2, 1, 2, 2), elements=st.integers(0, 255).map(lambda v: v / 255)))
@settings(max_examples=25, deadline=None)
def test_a_copy_differs_in_each_pixel_by_one_step(x):
    copy = probing.one_step(x, np.random.default_rng(0))
    assert copy.dtype == np.float32 and copy.min() >= 0 and copy.max() <= 1
    np.testing.assert_array_equal(np.abs(np.round(copy * 255) - np.round(x * 255)), 1)


def test_who_copies_finds_every_lie_that_is_one_picture_s_own():
    toy, x = Toy("each"), pool(300)
    found = probing.copying(toy.ask, x, 401)
    assert found.queries == toy.asked == 400
    lies, truths = (x[:200][toy.lied_to(x[:200]) == lied] for lied in (True, False))
    kept = toy.lied_to(found.x)  # by chance a copy may get the same lie, or pass for normal
    assert kept.sum() <= 0.04 * len(lies) and (~kept).sum() >= 0.96 * len(truths) > 40
    np.testing.assert_allclose(found.answers[~kept], toy.truth(found.x[~kept]), rtol=1e-4)


def test_who_copies_finds_no_lie_that_is_the_same_next_door_unless_copies_leave_the_cell():
    toy, x = Toy("two"), pool(100)
    near = probing.copying(toy.ask, x, 200)
    far = probing.copying(toy.ask, x, 600, copies=5, change=probing.noisy(0.2))
    lies = toy.lied_to(x).sum()
    assert toy.lied_to(near.x).sum() > 0.9 * lies
    assert toy.lied_to(far.x).sum() < 0.7 * lies


def test_many_copies_put_a_lie_right():
    toy, x = Toy("each"), pool(60)
    found = probing.eliminating(toy.ask, x, 60 * 31, copies=30)
    np.testing.assert_array_equal(found.x, x)
    assert found.queries == toy.asked == 60 * 31
    lies, truth = toy.lied_to(x), toy.truth(x)
    right = np.abs(found.answers - truth).max(axis=1) < 1e-6
    assert right[~lies].all() and lies.sum() > 30 and right[lies].mean() > 0.7
    assert np.mean(found.answers.argmax(axis=1) == truth.argmax(axis=1)) > 0.95


@pytest.mark.parametrize(("budget", "copies"), [(1, 1), (10, 0), (5, 5)])
def test_a_picture_and_a_copy_must_be_paid_for(budget, copies):
    for thief in (probing.copying, probing.eliminating):
        with pytest.raises(ValueError, match="at least one copy"):
            thief(Toy("one").ask, pool(5), budget, copies=copies)


# --- lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", ["one", "two"])
def test_a_walk_finds_the_permutation_behind_each_edge(lie):
    toy, ends = Toy(lie), pool(60)
    found = probing.walk(toy.ask, START, ends)
    lines = START + np.linspace(0, 1, 9, dtype=np.float32)[:, None, None, None] * (
        ends[:, None] - START
    )
    x = lines.reshape(-1, 1, 3, 3)
    np.testing.assert_allclose(found.answers.reshape(-1, K), toy.ask(x), rtol=1e-4)
    expected = [toy.order(one) if lied else np.arange(K) for one, lied in zip(
        x, toy.lied_to(x), strict=True)]  # fmt: skip
    right = (found.permutations.reshape(-1, K) == expected).all(axis=1)
    assert toy.lied_to(x).sum() > 100 and right.mean() > 0.95
    np.testing.assert_allclose(found.truths[right], toy.truth(x)[right], rtol=1e-4)
    assert found.queries == toy.asked - len(x)


def test_a_permutation_counts_that_two_lines_show():
    truth, lie, misread = np.arange(K), MOVED_TO[0], MOVED_TO[1]
    lines = np.array([[truth, lie, lie], [truth, truth, lie], [truth, misread, misread]])
    np.testing.assert_array_equal(probing.shared(lines), [truth, lie])
    np.testing.assert_array_equal(probing.shared(lines[2:]), [truth])


@pytest.mark.parametrize("lie", ["one", "two"])
def test_who_walks_undoes_the_lies_within_the_budget(lie):
    toy, x = Toy(lie), pool(1_500)
    found = probing.walking(toy.ask, START, x, 1_200)
    assert found.queries == toy.asked == 1_200 and len(found.x) > 500
    np.testing.assert_array_equal(found.x, x[: len(found.x)])
    told = np.abs(Toy(lie).ask(found.x) - toy.truth(found.x)).max(axis=1) < 1e-6
    right = np.abs(found.answers - toy.truth(found.x)).max(axis=1) < 1e-6
    assert told.mean() < 0.5 and right.mean() > 0.85


def test_who_walks_for_nothing_believes_what_was_told():
    toy = Toy("each")
    found = probing.walking(toy.ask, START, pool(600), 600)
    np.testing.assert_allclose(found.answers, Toy("each").ask(found.x), rtol=1e-4)
    assert found.queries == toy.asked <= 600


def test_a_walk_keeps_to_its_budget():
    toy = Toy("two")
    found = probing.walk(toy.ask, START, pool(20), budget=200)
    assert found.queries == toy.asked == 200
    with pytest.raises(ValueError, match="20 lines of 9 pictures do not fit a budget of 179"):
        probing.walk(toy.ask, START, pool(20), budget=179)
