"""What checks draw: from a secret in grading, from a public seed elsewhere, and never the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder import held_back
from trickster.checks import draws, fixtures

SECRETS = st.binary(min_size=draws.SHORTEST, max_size=40)


def test_the_public_draws_repeat_themselves() -> None:
    assert draws.seed("pool", 3) == draws.seed("pool", 3) != draws.seed("pool", 4)
    assert np.array_equal(draws.rng("x").random(5), draws.rng("x").random(5))


@given(SECRETS, SECRETS)
def test_secrets_decide_every_draw(one: bytes, other: bytes) -> None:
    with draws.grading_with(one):
        first = draws.seed("pool"), draws.key(), draws.rng("pool").random()
    with draws.grading_with(other):
        second = draws.seed("pool"), draws.key(), draws.rng("pool").random()
    assert (first == second) == (one == other)


def test_labels_are_told_apart() -> None:
    """Neither their order nor where one ends may be lost."""
    found = {draws.seed(*labels) for labels in (("a", "b"), ("b", "a"), ("ab",), ("a", 1), (1,))}
    assert len(found) == 5


def test_what_is_held_back_ends_with_the_grading() -> None:
    with pytest.raises(RuntimeError), draws.grading_with(b"s" * 16, held_back.load()):
        assert draws.held_back().pictures is not None
        raise RuntimeError
    assert draws.held_back() == draws.HeldBack()


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="can be guessed"), draws.grading_with(b"1234"):
        pass


def test_nothing_drawn_with_one_secret_is_kept_for_another() -> None:
    calls = []

    @draws.cached
    def drawn(label: str) -> int:
        calls.append(label)
        return draws.seed(label)

    assert drawn("a") == drawn("a") and calls == ["a"]
    with draws.grading_with(b"1" * 16):
        assert drawn("a") == draws.seed("a") and calls == ["a", "a"]
    assert drawn("a") == draws.seed("a")


def test_honest_pictures_of_grading_are_in_nobodys_hands() -> None:
    """None is a shipped one, nor equal to its own original bit for bit; labels go along."""
    at_a_desk = fixtures.honest_pictures()
    assert at_a_desk.x.shape == (2_500, 1, 28, 28)
    reserve, shipped = held_back.load(), fixtures.fashion()
    public = {p.tobytes() for p in (*shipped.x_train, *shipped.x_test, *reserve.pictures)}
    with draws.grading_with(b"2" * 16, reserve):
        graded = fixtures.honest_pictures()
    assert graded.x.shape == (fixtures.N_HONEST, 1, 28, 28) and graded.x.dtype == np.float32
    assert not public & {picture.tobytes() for picture in (*graded.x, *at_a_desk.x)}
    levels = graded.x * 255
    assert np.allclose(levels, levels.round(), atol=1e-4) and graded.x.min() >= 0
    # Each is its original still: the nearest by far, with the same label.
    flat = reserve.pictures.reshape(5_000, -1)
    for picture, label in zip(graded.x[:20], graded.y[:20], strict=True):
        assert reserve.labels[((flat - picture.reshape(-1)) ** 2).sum(axis=1).argmin()] == label


def test_the_reserve_shares_no_picture_with_the_labs() -> None:
    reserve, shipped = held_back.load(), fixtures.fashion()
    ours = {picture.tobytes() for picture in (*shipped.x_train, *shipped.x_test)}
    assert not ours & {picture.tobytes() for picture in reserve.pictures}
    assert np.bincount(reserve.labels).tolist() == [500] * 10
