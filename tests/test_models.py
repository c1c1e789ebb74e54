"""The networks and the NumPy face in front of them."""

from __future__ import annotations

import itertools
import json
import warnings

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import save_file

from trickster import models

SMALL = (1, 12, 12)
COLOUR = (3, 9, 10)  # odd sizes: strides round up


def random_pictures(n: int, shape=SMALL, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, *shape), dtype=np.float32)


def small_cnn(**options) -> models.Network:
    return models.cnn(SMALL, 4, **{"width": 4, **options})


# --- softmax ----------------------------------------------------------------------------------


@given(
    arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=1, max_dims=3, max_side=6),
        elements=st.floats(-1e4, 1e4),
    )
)
def test_softmax_is_scipys(logits):
    assert np.allclose(models.softmax(logits), scipy.special.softmax(logits, axis=-1), atol=1e-12)


def test_softmax_keeps_the_dtype_and_survives_huge_logits():
    p = models.softmax(np.array([[1e30, 0.0], [-1e30, -1e30]], np.float32))
    assert p.dtype == np.float32
    assert np.array_equal(p, [[1, 0], [0.5, 0.5]])


# --- networks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [SMALL, COLOUR, (1, 28, 28), (3, 32, 32), (1, 8, 8)])
@pytest.mark.parametrize("build", [models.cnn, models.mlp, models.vgg])
def test_networks_fit_every_picture_size(build, shape):
    clone = models.Classifier(build(shape, 7))
    x = random_pictures(3, shape)
    assert clone.logits(x).shape == (3, 7)
    assert clone.features(x).shape == (3, clone.network.head.in_features)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_follow_from_the_layers():
    dense = 28 * 28 * 256 + 256 + 256 * 10 + 10
    assert parameters(models.mlp()) == dense
    convolutions = (25 * 32 + 32) + (25 * 32 * 64 + 64)
    hidden = 64 * 7 * 7 * 128 + 128
    assert parameters(models.cnn()) == convolutions + hidden + 128 * 10 + 10
    filters = [3, 16, 64, 128, 128, 256]
    kernels = sum(9 * before * after for before, after in itertools.pairwise(filters))
    assert parameters(models.vgg()) == kernels + 2 * sum(filters[1:]) + 256 * 10 + 10


@pytest.mark.parametrize("build", [models.cnn, models.mlp, models.vgg])
def test_a_seed_decides_the_initial_weights_and_nothing_else(build):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = build(seed=1), build(seed=1), build(seed=2)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


# --- Classifier -------------------------------------------------------------------------------


def test_answers_match_a_plain_forward_pass():
    network, x = small_cnn(), random_pictures(6)
    clone = models.Classifier(network)
    with torch.no_grad():
        logits = network.eval()(torch.tensor(x)).numpy()
    assert np.allclose(clone.logits(x), logits, atol=1e-6)
    assert np.allclose(clone.posteriors(x), scipy.special.softmax(logits, axis=1), atol=1e-6)
    assert np.array_equal(clone.labels(x), logits.argmax(axis=1))


def test_the_shapes_and_dtypes_are_as_promised():
    clone, x = models.Classifier(small_cnn()), random_pictures(5)
    features, posteriors = clone.features_and_posteriors(x)
    assert (features.dtype, features.shape) == (np.float32, (5, 16))
    assert (posteriors.dtype, posteriors.shape) == (np.float32, (5, 4))
    assert clone.labels(x).dtype == np.int64
    assert np.allclose(posteriors.sum(axis=1), 1, atol=1e-6)
    assert type(features) is type(posteriors) is np.ndarray
    posteriors[:] = 0  # a defence may write into them


def test_features_and_posteriors_agree_with_the_single_calls():
    clone, x = models.Classifier(small_cnn(), batch_size=4), random_pictures(11)
    features, posteriors = clone.features_and_posteriors(x)
    assert np.allclose(features, clone.features(x), atol=1e-6)
    assert np.allclose(posteriors, clone.posteriors(x), atol=1e-6)
    head = clone.network.head
    logits = features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert np.allclose(posteriors, scipy.special.softmax(logits, axis=1), atol=1e-6)


@pytest.mark.parametrize("shape", [SMALL, COLOUR])
def test_statistics_are_means_and_deviations_behind_each_convolution(shape):
    network, x = models.cnn(shape, 4, width=4), random_pictures(7, shape)
    found, posteriors = models.Classifier(network, batch_size=3).statistics_and_posteriors(x)
    with torch.no_grad():
        conv1, conv2 = (network.body[:end](torch.tensor(x)).numpy() for end in (2, 4))
    assert list(found) == ["picture", "conv1", "conv2", "features"]
    for name, layer in {"picture": x, "conv1": conv1, "conv2": conv2}.items():
        expected = np.concatenate([layer.mean(axis=(2, 3)), layer.std(axis=(2, 3))], axis=1)
        np.testing.assert_allclose(found[name], expected, atol=1e-6)
        assert found[name].dtype == np.float32
    clone = models.Classifier(network)
    np.testing.assert_allclose(found["features"], clone.features(x), atol=1e-6)
    np.testing.assert_allclose(posteriors, clone.posteriors(x), atol=1e-6)
    np.testing.assert_array_equal(clone.statistics(x)["conv1"].shape, (7, 8))


def test_a_network_without_convolutions_has_statistics_and_no_channels():
    clone, x = models.Classifier(models.mlp(SMALL, 4)), random_pictures(3)
    assert list(clone.statistics(x)) == ["picture", "features"]
    with pytest.raises(ValueError, match="Only convolutions have channels"):
        clone.channel_products(x)


@pytest.mark.parametrize("power", [1, 3])
def test_channel_products_are_the_upper_half_of_gram_matrices(power):
    network, x = small_cnn(), random_pictures(5)
    found = models.Classifier(network, batch_size=2).channel_products(x, power)
    assert list(found) == ["conv1", "conv2"]
    for name, end in (("conv1", 2), ("conv2", 4)):
        with torch.no_grad():
            layer = network.body[:end](torch.tensor(x)).numpy().astype(np.float64) ** power
        products = np.einsum("nihw,njhw->nij", layer, layer) / np.prod(layer.shape[2:])
        upper = np.triu_indices(layer.shape[1])
        expected = products[:, *upper] ** (1 / power)
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-6)


def test_the_layers_are_computed_a_batch_at_a_time():
    clone, sizes = models.Classifier(small_cnn(), batch_size=4), []
    hook = clone.network.body[0].register_forward_hook(lambda _, seen, out: sizes.append(len(out)))
    clone.statistics_and_posteriors(random_pictures(10))
    hook.remove()
    assert sizes == [4, 4, 2]  # once each, for everything
    assert clone.statistics(random_pictures(0))["conv2"].shape == (0, 16)


@given(order=st.permutations(range(9)), batch_size=st.integers(1, 10))
def test_an_answer_does_not_depend_on_its_neighbours(order, batch_size):
    network, x = small_cnn(), random_pictures(9)
    whole = models.Classifier(network).logits(x)
    shuffled = models.Classifier(network, batch_size=batch_size).logits(x[order])
    assert np.allclose(shuffled, whole[order], atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_left_as_found_and_dropout_is_off(training):
    network, x = small_cnn(dropout=0.9).train(training), random_pictures(4)
    clone = models.Classifier(network)
    assert np.array_equal(clone.logits(x), clone.logits(x))
    assert network.training is training
    assert network.body[-1].training is training


def test_the_mode_is_left_as_found_even_after_an_error():
    clone = models.Classifier(small_cnn().train())
    with pytest.raises(RuntimeError):
        clone.logits(random_pictures(2, (2, 12, 12)))
    assert clone.network.training


def test_no_pictures_get_no_answers():
    clone, none = models.Classifier(small_cnn()), random_pictures(0)
    assert clone.posteriors(none).shape == (0, 4)
    assert clone.labels(none).shape == (0,)


@pytest.mark.parametrize("batch_size", [2, 1024])
def test_read_only_and_strange_memory_is_fine_and_silent(batch_size):
    clone, x = models.Classifier(small_cnn(), batch_size=batch_size), random_pictures(6)
    expected = clone.logits(x)
    frozen = x.copy()
    frozen.flags.writeable = False
    reversed_twice = np.ascontiguousarray(x[::-1])[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for same in (frozen, reversed_twice, x.astype(np.float64), np.asfortranarray(x)):
            assert np.allclose(clone.logits(same), expected, atol=1e-6)


def test_a_read_only_array_is_never_shared_with_torch():
    frozen = random_pictures(2)
    frozen.flags.writeable = False
    before = frozen.copy()
    models.as_pictures(frozen).zero_()
    assert np.array_equal(frozen, before)


# --- files ------------------------------------------------------------------------------------


def test_half_precision_takes_half_the_room_and_three_digits(tmp_path):
    network = models.vgg(COLOUR, 4, width=8)
    sizes = []
    for half in (False, True):
        models.save(network, tmp_path / "n", half=half)
        sizes.append((tmp_path / "n").stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]
    again, x = models.load(tmp_path / "n"), random_pictures(5, COLOUR)
    assert all(p.dtype == torch.float32 for p in again.parameters())
    expected, got = (models.Classifier(net.eval()).logits(x) for net in (network, again))
    assert not np.array_equal(expected, got) and np.allclose(expected, got, atol=5e-3)


@pytest.mark.parametrize(
    "network",
    [
        models.cnn(SMALL, 4, width=4, dropout=0.4, seed=3),
        models.mlp(COLOUR, 6, hidden=5, seed=3),
    ],
    ids=["cnn", "mlp"],
)
def test_save_and_load_give_the_same_network(network, tmp_path):
    models.save(network, tmp_path / "n.safetensors")
    again = models.load(tmp_path / "n.safetensors")
    assert again.spec == network.spec and not again.training
    state, loaded = network.state_dict(), again.state_dict()
    assert state.keys() == loaded.keys()
    assert all(torch.equal(state[key], loaded[key]) for key in state)
    x = random_pictures(4, tuple(network.spec["input_shape"]))
    assert np.allclose(
        models.Classifier(again).logits(x), models.Classifier(network).logits(x), atol=1e-6
    )


def test_saving_is_deterministic_and_does_not_depend_on_the_memory_layout(tmp_path):
    network = small_cnn()
    models.save(network, tmp_path / "a")
    models.save(network.to(memory_format=torch.channels_last), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_loading_leaves_the_random_state_alone(tmp_path):
    models.save(small_cnn(), tmp_path / "n")
    before = torch.get_rng_state()
    models.load(tmp_path / "n")
    assert torch.equal(torch.get_rng_state(), before)


def damaged(kind: str, path):
    """A file with one thing wrong."""
    models.save(small_cnn(), path)
    content = path.read_bytes()
    spec = {"kind": "cnn", "input_shape": [1, 12, 12], "n_classes": 4, "width": 4, "dropout": 0.0}
    weights = {k: v.contiguous() for k, v in small_cnn().state_dict().items()}
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "a web page":
        path.write_bytes(b"<html><body>404: not found</body></html>" * 50)
    elif kind == "no spec":
        save_file(weights, str(path))
    elif kind == "spec is no JSON":
        save_file(weights, str(path), metadata={"spec": "{cnn"})
    elif kind == "unknown kind":
        save_file(weights, str(path), metadata={"spec": json.dumps({**spec, "kind": "resnet"})})
    elif kind == "other width":
        save_file(weights, str(path), metadata={"spec": json.dumps({**spec, "width": 8})})
    elif kind == "unknown option":
        save_file(weights, str(path), metadata={"spec": json.dumps({**spec, "depth": 8})})
    elif kind == "a weight is missing":
        weights.pop("head.bias")
        save_file(weights, str(path), metadata={"spec": json.dumps(spec)})


@pytest.mark.parametrize(
    "kind, sentence",
    [
        ("truncated", "not a readable safetensors file"),
        ("empty", "not a readable safetensors file"),
        ("a web page", "not a readable safetensors file"),
        ("no spec", "does not say which network"),
        ("spec is no JSON", "not a readable"),
        ("unknown kind", "does not say which network"),
        ("other width", "do not fit the network"),
        ("unknown option", "do not fit the network"),
        ("a weight is missing", "head.bias"),
    ],
)
def test_damaged_files_are_explained(kind, sentence, tmp_path):
    path = tmp_path / "n.safetensors"
    damaged(kind, path)
    with pytest.raises(ValueError, match=sentence) as caught:
        models.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        models.load(tmp_path / "nowhere.safetensors")


# --- randomness -------------------------------------------------------------------------------


def test_seeded_gives_the_state_back_even_after_an_error():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(KeyError), models.seeded(1):
        torch.rand(5)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)
