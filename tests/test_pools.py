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


# --- outliers made from honest pictures -------------------------------------------------------


def numbered(n: int, shape=GREY) -> np.ndarray:
    """Pictures of which no two pixels are alike: each is its own number, over all of them."""
    values = np.arange(n * np.prod(shape), dtype=np.float32).reshape(n, *shape)
    return values / np.float32(values.size)


def pixels_of(x: np.ndarray, honest: np.ndarray) -> np.ndarray:
    """Which pixel of all of ``numbered`` each pixel of ``x`` is."""
    return np.rint(x * honest.size).astype(int)


def one_kind(honest: np.ndarray, kind: str, n: int = 40) -> np.ndarray:
    return pools.outliers(honest, n, seed=3, kinds=[kind])


def test_turned_outliers_are_honest_pictures_on_their_side():
    honest = numbered(5)
    upright = {
        np.rot90(x, turn, (1, 2)).tobytes(): turn for x in honest for turn in (-1, 1)
    }  # what each becomes
    assert {upright[x.tobytes()] for x in one_kind(honest, "turned")} == {-1, 1}


def test_overlaid_outliers_are_the_brighter_or_the_mean_of_two_pictures():
    honest = np.random.default_rng(0).random((4, *GREY), dtype=np.float32)
    pairs = [(a, b) for i, a in enumerate(honest) for b in honest[i + 1 :]]
    brighter, means = [np.maximum(a, b) for a, b in pairs], [(a + b) / 2 for a, b in pairs]
    found = one_kind(honest, "overlaid", 60)
    counts = [sum(any(np.array_equal(x, y) for y in of) for x in found) for of in (brighter, means)]
    assert sum(counts) == 60 and min(counts) > 15


def test_pasted_outliers_are_a_box_of_one_picture_in_another():
    honest = numbered(6)
    for x in one_kind(honest, "pasted"):
        pixels = pixels_of(x[0], honest)
        ground = [n for n in range(6) if np.isin(pixels, np.arange(784 * n, 784 * (n + 1))).any()]
        boxes = []
        for other in ground:
            rows, columns = np.nonzero(pixels // 784 == other)
            box = pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            whole = (box // 784 == other).all()
            if whole and (np.diff(box, axis=0) == 28).all() and (np.diff(box) == 1).all():
                boxes.append((other, box))
        assert len(ground) == 2 and boxes
        assert any(7 <= side <= 21 for _, box in boxes for side in box.shape)
        other = boxes[0][0]
        base = np.arange(784).reshape(28, 28) + 784 * (sum(ground) - other)
        assert np.array_equal(pixels[pixels // 784 != other], base[pixels // 784 != other])


@pytest.mark.parametrize("kind, side", [("tiles 4x4", 4), ("tiles 2x2", 2)])
@pytest.mark.parametrize("shape", [GREY, COLOUR, (1, 9, 14)])
def test_shuffled_tiles_are_all_there_and_not_in_their_places(kind, side, shape):
    honest = numbered(3, shape)
    _, height, width = shape
    h, w = height // side, width // side

    def tiles(x):
        corners = [(i * h, j * w) for i in range(side) for j in range(side)]
        return [x[:, top : top + h, left : left + w].tobytes() for top, left in corners]

    sources = [tiles(x) for x in honest]
    for x in one_kind(honest, kind):
        source = next(i for i, of in enumerate(sources) if tiles(x)[0] in of)
        assert sorted(tiles(x)) == sorted(sources[source]) and tiles(x) != sources[source]
        assert np.array_equal(x[:, side * h :], honest[source][:, side * h :])


def test_inverted_outliers_are_rolled_and_inverted_in_one_half():
    honest = np.random.default_rng(0).random((3, *COLOUR), dtype=np.float32)
    halves = [np.s_[:, :16], np.s_[:, 16:], np.s_[:, :, :16], np.s_[:, :, 16:]]
    seen = set()
    for x in one_kind(honest, "inverted", 30):
        for i, half in enumerate(halves):
            back = x.copy()
            back[half] = 1 - back[half]
            # A picture's brightest pixels are found again wherever it was rolled to.
            if any(np.allclose(np.sort(back, None), np.sort(y, None), atol=1e-6) for y in honest):
                seen.add(i)
                break
        else:
            pytest.fail("no half of it can be turned back")
        source = next(y for y in honest if np.isclose(np.sort(y, None), np.sort(back, None)).all())
        down, right = np.argwhere(np.isclose(back[0], source[0, 0, 0], atol=1e-7))[0]
        np.testing.assert_allclose(np.roll(source, (down, right), (1, 2)), back, atol=1e-6)
        assert 8 <= down < 24 and 8 <= right < 24
    assert seen == {0, 1, 2, 3}


def test_grey_outliers_are_what_pillow_calls_grey():
    honest = data.load("fashion").x_train[:3].repeat(3, axis=1) * np.array([1, 0.5, 0.2])[
        :, None, None
    ].astype(np.float32)  # fmt: skip
    greys = [
        np.asarray(
            Image.fromarray(np.rint(255 * x.transpose(1, 2, 0)).astype(np.uint8)).convert("L")
        )
        for x in honest
    ]
    for x in one_kind(honest, "grey"):
        assert np.array_equal(x[0], x[1]) and np.array_equal(x[0], x[2])
        assert min(np.abs(255 * x[0] - grey).max() for grey in greys) < 1.5


def test_swapped_colours_are_another_order_of_the_same():
    honest = numbered(4, COLOUR)
    orders = set()
    for x in one_kind(honest, "colours", 60):
        first = pixels_of(x[:, 0, 0], honest) // 1_024
        source = honest[first[0] // 3]
        orders.add(tuple(first % 3))
        assert np.array_equal(x, source[first % 3])
    assert len(orders) == 5 and (0, 1, 2) not in orders


@given(
    n=st.integers(1, 30),
    seed=st.integers(0, 2**70),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(4, 12), st.integers(4, 12)),
)
def test_outliers_are_pictures_of_the_same_shape_and_repeat_themselves(n, seed, shape):
    honest = pools.make("noise", 5, seed=0, shape=shape)
    honest.flags.writeable = False
    x = pools.outliers(honest, n, seed=seed)
    assert x.shape == (n, *shape) and x.dtype == np.float32
    assert x.min() >= 0 and x.max() <= 1
    assert x.tobytes() == pools.outliers(honest, n, seed=seed).tobytes()
    assert not np.array_equal(x, pools.outliers(honest, n, seed=seed + 1))


def test_every_kind_of_outlier_has_its_part():
    black = np.zeros((2, *COLOUR), np.float32)
    black[1, 0] = 1  # and one that is red
    x = pools.outliers(black, 80, seed=0)
    has_green = x[:, 1].reshape(80, -1).max(axis=1) > 0.9  # inverted, or in another order
    assert 10 <= has_green.sum() <= 20
    assert pools.outlier_kinds(GREY) == pools.outlier_kinds(COLOUR)[:6]
    assert pools.outlier_kinds(COLOUR)[6:] == ("grey", "colours")
    assert "turned" not in pools.outlier_kinds((1, 9, 14))


def test_outliers_that_cannot_be_made_are_refused():
    honest = numbered(3)
    with pytest.raises(ValueError, match=r"no kind of outlier 'turn'.*Did you mean 'turned'"):
        pools.outliers(honest, 5, seed=0, kinds=["turn"])
    with pytest.raises(ValueError, match="no kind of outlier 'grey'"):
        pools.outliers(honest, 5, seed=0, kinds=["grey"])
    with pytest.raises(ValueError, match="at least one kind"):
        pools.outliers(honest, 5, seed=0, kinds=[])
    with pytest.raises(ValueError, match="at least two honest pictures, got 1"):
        pools.outliers(honest[:1], 5, seed=0)
