"""The thief's query pools: repeatable, in range, of the shape asked for, true to their names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from trickster import data, pools

PROCEDURAL = ("noise", "shapes", "patches")
EMBEDDED = (*PROCEDURAL, "digits", "fashion")
GREY, COLOUR = (1, 28, 28), (3, 32, 32)


@pytest.mark.parametrize("shape", [GREY, COLOUR, (1, 9, 14), (3, 1, 1)])
@pytest.mark.parametrize("name", EMBEDDED)
def test_pictures_are_float32_in_the_unit_range(name, shape):
    x = pools.make(name, 25, seed=0, shape=shape)
    assert x.shape == (25, *shape) and x.dtype == np.float32
    assert x.min() >= 0 and x.max() <= 1
    assert x.std() > 0.02  # there is something to see
    assert x.flags.writeable and x.flags.c_contiguous


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("name", EMBEDDED)
def test_a_seed_gives_the_same_bytes_and_another_gives_others(name, shape):
    first = pools.make(name, 20, seed=5, shape=shape)
    assert first.tobytes() == pools.make(name, 20, seed=5, shape=shape).tobytes()
    other = pools.make(name, 20, seed=6, shape=shape)
    assert not np.array_equal(first, other)
    assert len(np.unique(first.reshape(20, -1), axis=0)) == 20


@pytest.mark.parametrize("name", EMBEDDED)
def test_making_a_pool_leaves_the_global_random_state_alone(name):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    pools.make(name, 3, seed=1)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_pools_of_one_seed_share_no_draws():
    # Were the name not part of the seed, noise would be the first draws of every other pool.
    rows = np.random.default_rng(0).random((4, *GREY), dtype=np.float32)
    assert not np.array_equal(pools.make("noise", 4, seed=0), rows)
    digits, clothes = (pools.make(name, 1_797, seed=0) for name in ("digits", "fashion"))
    order = [match(digits, all_digits()), match(clothes, data.load("fashion").x_train)]
    assert np.corrcoef(np.argsort(order[0]), np.argsort(order[1]))[0, 1] < 0.2


def match(x: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Which picture of ``source`` each row of ``x`` is, by its bytes."""
    if source.shape[1:] != x.shape[1:]:
        source = pools._fit(source, x.shape[1:])
    place = {picture.tobytes(): i for i, picture in enumerate(source)}
    return np.array([place[picture.tobytes()] for picture in x])


def all_digits() -> np.ndarray:
    digits = data.load("digits")
    return np.concatenate([digits.x_train, digits.x_test])


def test_a_pool_is_yours_to_change():
    pools.make("fashion", 5, seed=0)[:] = 0
    pools.make("digits", 5, seed=0, shape=(1, 8, 8))[:] = 0
    assert pools.make("fashion", 5, seed=0).max() > 0.5
    assert data.load("fashion").x_train.max() == 1
    assert pools.make("digits", 5, seed=0, shape=(1, 8, 8)).max() > 0.5


# --- what they are named ----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_noise_is_uniform_and_independent(shape):
    x = pools.make("noise", 200, seed=0, shape=shape).astype(float)
    assert x.mean() == pytest.approx(0.5, abs=0.005)
    assert x.var() == pytest.approx(1 / 12, abs=0.002)
    neighbours = np.corrcoef(x[..., 1:].ravel(), x[..., :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.02


@pytest.mark.parametrize("shape", [GREY, COLOUR])
@pytest.mark.parametrize("name", ["shapes", "patches", "digits", "fashion"])
def test_all_other_pools_are_smoother_than_noise(name, shape):
    x = pools.make(name, 60, seed=0, shape=shape).astype(float)
    assert np.corrcoef(x[..., 1:].ravel(), x[..., :-1].ravel())[0, 1] > 0.7


def test_shapes_lie_on_a_dark_ground():
    x = pools.make("shapes", 300, seed=0)
    border = np.concatenate([x[:, 0, 0].ravel(), x[:, 0, -1].ravel()])
    assert np.mean(border <= 0.08) > 0.6
    assert (x.max(axis=(1, 2, 3)) > 0.15).mean() > 0.95  # hardly any picture is empty


def test_many_shapes_are_drawn_in_chunks_without_a_seam():
    # More pixels than one chunk holds: the parts must differ from one another.
    x = pools.make("shapes", 700, seed=0, shape=GREY)
    assert len(np.unique(x.reshape(700, -1), axis=0)) > 690


@pytest.mark.parametrize("shape, tolerance", [(GREY, 0.02), (COLOUR, 0.02)])
def test_patches_have_the_colours_of_the_photographs(shape, tolerance):
    photos = [np.asarray(p, float) / 255 for p in load_sample_images().images]
    low = min(p.min() for p in photos)
    high = max(p.max() for p in photos)
    x = pools.make("patches", 300, seed=0, shape=shape)
    assert low - tolerance <= x.min() and x.max() <= high + tolerance
    if shape[0] == 3:
        assert np.abs(x[:, 0] - x[:, 2]).mean() > 0.05  # in colour


def test_digits_are_scikit_learns_enlarged():
    x = pools.make("digits", 1_797, seed=3, shape=(1, 8, 8))
    ours = sorted(picture.tobytes() for picture in x)
    theirs = sorted((d / 16).astype(np.float32)[None].tobytes() for d in load_digits().images)
    assert ours == theirs  # every one of them, each once


def test_enlarging_is_what_pillow_calls_bilinear():
    small = pools.make("digits", 10, seed=0, shape=(1, 8, 8))
    large = pools.make("digits", 10, seed=0)
    for s, x in zip(small[:, 0], large[:, 0], strict=True):
        expected = Image.fromarray(s).resize((28, 28), Image.Resampling.BILINEAR)
        assert np.allclose(x, np.asarray(expected), atol=0.01)


def test_shrinking_does_not_alias():
    clothes, small = (pools.make("fashion", 10, seed=0, shape=(1, k, k)) for k in (28, 7))
    for x, s in zip(clothes[:, 0], small[:, 0], strict=True):
        expected = Image.fromarray(x).resize((7, 7), Image.Resampling.BILINEAR)
        assert np.allclose(s, np.asarray(expected), atol=0.02)


def test_grey_pictures_get_three_equal_channels():
    x = pools.make("fashion", 5, seed=0, shape=(3, 28, 28))
    grey = pools.make("fashion", 5, seed=0)
    assert np.array_equal(x, np.repeat(grey, 3, axis=1))


def test_colour_turns_grey_as_pillow_does_it():
    x = np.random.default_rng(0).random((6, 3, 8, 8)).astype(np.float32)
    for picture, grey in zip(x, pools._fit(x, (1, 8, 8)), strict=True):
        image = Image.fromarray((picture.transpose(1, 2, 0) * 255).round().astype(np.uint8))
        assert np.allclose(grey[0] * 255, np.asarray(image.convert("L")), atol=1.5)


def test_no_picture_comes_twice_from_a_pool_with_a_limit():
    x = pools.make("fashion", 12_000, seed=1)
    assert len(set(match(x, data.load("fashion").x_train))) == 12_000 - repeated_clothes()


def repeated_clothes() -> int:
    """How many pictures of the training set are byte for byte copies of an earlier one."""
    x = data.load("fashion").x_train
    return len(x) - len({picture.tobytes() for picture in x})


# --- limits and mistakes ----------------------------------------------------------------------


@pytest.mark.parametrize("name", PROCEDURAL)
def test_procedural_pools_have_no_limit(name):
    assert pools.size_limit(name) is None


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_the_limit_is_what_can_be_had(name):
    limit = pools.size_limit(name)
    assert len(pools.make(name, limit, seed=0, shape=(1, 4, 4))) == limit
    with pytest.raises(ValueError, match=rf"holds {limit:,} pictures, and {limit + 1:,} were"):
        pools.make(name, limit + 1, seed=0)


def test_the_limit_of_a_set_is_known_without_loading_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TRICKSTER_DATA", str(tmp_path))
    assert pools.size_limit("cifar10") == 50_000
    assert pools.size_limit("emnist-letters") == 124_800
    with pytest.raises(data.DataNotFound, match="cifar10"):
        pools.make("cifar10", 10, seed=0)


@pytest.mark.parametrize("ask", [pools.size_limit, lambda name: pools.make(name, 1, seed=0)])
def test_unknown_pools_get_a_hint(ask):
    with pytest.raises(ValueError, match=r"no query pool 'shape'.*Did you mean 'shapes'"):
        ask("shape")


@pytest.mark.parametrize("n", [0, -1, 2.5, "ten", None, True])
def test_n_counts_pictures(n):
    with pytest.raises(ValueError, match="number of pictures"):
        pools.make("noise", n, seed=0)


@pytest.mark.parametrize("seed", [-1, 0.5, None, "a"])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        pools.make("noise", 1, seed=seed)


@pytest.mark.parametrize("shape", [(28, 28), (2, 28, 28), (1, 0, 28), (1, 28, 28, 1), 28, None])
def test_a_shape_is_channels_height_width(shape):
    with pytest.raises(ValueError, match=r"shape must be \(channels, height, width\)"):
        pools.make("noise", 1, seed=0, shape=shape)


@given(
    name=st.sampled_from(EMBEDDED),
    n=st.integers(1, 6),
    seed=st.integers(0, 2**70),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(1, 20), st.integers(1, 20)),
)
def test_any_sensible_request_is_met(name, n, seed, shape):
    x = pools.make(name, np.int64(n), seed=seed, shape=shape)
    assert x.shape == (n, *shape) and x.dtype == np.float32
    assert np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1
