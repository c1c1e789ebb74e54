"""The training loop: it learns, it repeats itself to the last bit, and it keeps to itself."""

from __future__ import annotations

import doctest
import random
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from trickster import data, models, training

SHAPE = (1, 8, 8)


def toy(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three classes, told apart by which third of the rows is bright: linearly separable."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.random((n, *SHAPE), dtype=np.float32) * 0.5
    for picture, label in zip(x, y, strict=True):
        picture[0, label * 3 : label * 3 + 2] += 0.45
    return x, y


def network(seed: int = 0) -> models.Network:
    return models.cnn(SHAPE, 3, width=4, seed=seed)


def weights(net: nn.Module) -> bytes:
    return b"".join(v.contiguous().numpy().tobytes() for v in net.state_dict().values())


# --- equally many steps -----------------------------------------------------------------------


def test_few_pictures_are_trained_for_as_many_steps_as_many():
    steps = []

    def counted(logits, targets):
        steps[-1] += 1
        return F.cross_entropy(logits, targets)

    x, y = toy(300)
    for n in (300, 128, 65, 10):
        steps.append(0)
        epochs = training.same_steps(n, like=300, epochs=4)
        training.fit(models.mlp(SHAPE, 3, hidden=4), x[:n], y[:n], epochs=epochs, loss_of=counted)
    assert steps == [20, 20, 20, 20]
    assert training.same_steps(3_000, like=10, epochs=1) == 1
    assert not doctest.testmod(training).failed
    with pytest.raises(ValueError, match="1 picture or more"):
        training.same_steps(0)


# --- it learns --------------------------------------------------------------------------------


def test_the_toy_is_linearly_separable():
    x, y = toy()
    flat = x.reshape(len(x), -1)
    assert LogisticRegression(max_iter=500).fit(flat, y).score(flat, y) == 1


@pytest.mark.parametrize("build", [models.mlp, models.cnn])
def test_it_learns_a_separable_toy_and_generalises(build):
    x, y = toy(400)
    net = build(SHAPE, 3)
    losses = training.fit(net, x, y, epochs=8, lr=5e-3)
    x_new, y_new = toy(200, seed=1)
    assert np.mean(models.Classifier(net).labels(x_new) == y_new) > 0.98
    assert len(losses) == 8 and losses[-1] < 0.2 * losses[0]
    assert abs(losses[0] - np.log(3)) < 0.6  # it starts out knowing next to nothing


def test_soft_targets_are_learned_as_probabilities():
    # Every picture is the same, so the best answer is the mean of the targets.
    x = np.full((200, *SHAPE), 0.5, np.float32)
    y = np.repeat([0, 1, 2], [100, 60, 40])
    net = models.mlp(SHAPE, 3, hidden=8)
    training.fit(net, x, np.eye(3)[y], epochs=30, lr=1e-2)
    assert np.allclose(models.Classifier(net).posteriors(x[:1]), [[0.5, 0.3, 0.2]], atol=0.03)


def test_the_loss_of_a_still_network_is_its_cross_entropy():
    # With next to no learning rate the first epoch's mean is the loss of the initial weights,
    # and a last batch that is not full must not count as a full one.
    x, y = toy(70)
    net = models.mlp(SHAPE, 3)
    p = models.Classifier(net).posteriors(x)
    expected = -np.log(p[np.arange(70), y]).mean()
    (measured,) = training.fit(net, x, y, epochs=1, lr=1e-12, weight_decay=0, batch_size=64)
    assert measured == pytest.approx(expected, abs=1e-5)


def test_one_hot_posteriors_train_as_their_labels_do():
    x, y = toy(150)
    hard, soft = network(), network()
    curve = training.fit(hard, x, y, epochs=3)
    assert np.allclose(training.fit(soft, x, np.eye(3)[y], epochs=3), curve, atol=1e-4)
    logits = (models.Classifier(net).logits(x) for net in (hard, soft))
    assert np.allclose(*logits, atol=1e-2)


def test_one_step_is_pytorchs_own_adamw():
    x, y = toy(32)
    ours, theirs = models.mlp(SHAPE, 3), models.mlp(SHAPE, 3)
    training.fit(ours, x, y, epochs=2, batch_size=32, lr=1e-2, weight_decay=0.1)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=2)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()
        schedule.step()
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, reference, atol=1e-5)


# --- it repeats itself ------------------------------------------------------------------------


@pytest.mark.parametrize("soft", [False, True])
def test_same_seed_same_weights_to_the_last_bit(soft):
    x, y = toy()
    targets = np.eye(3)[y] if soft else y
    results = []
    for noise in (0, 99):
        torch.manual_seed(noise)  # what the caller drew before must not matter
        np.random.seed(noise)  # noqa: NPY002
        net = network()
        curve = training.fit(net, x, targets, epochs=2)
        results.append((curve, weights(net)))
    assert results[0] == results[1]


def test_cudnn_is_asked_for_repeatable_convolutions_and_only_while_training(monkeypatch):
    cudnn, seen = torch.backends.cudnn, []
    monkeypatch.setattr(cudnn, "deterministic", False)
    monkeypatch.setattr(cudnn, "benchmark", True)

    def loss_of(logits, wanted):
        seen.append((cudnn.deterministic, cudnn.benchmark))
        return F.cross_entropy(logits, wanted)

    training.fit(network(), *toy(64), epochs=1, loss_of=loss_of)
    assert set(seen) == {(True, False)}
    assert (cudnn.deterministic, cudnn.benchmark) == (False, True)


def test_another_seed_gives_other_weights():
    x, y = toy()
    nets = [network() for _ in range(2)]
    for seed, net in enumerate(nets):
        training.fit(net, x, y, epochs=1, seed=seed)
    assert weights(nets[0]) != weights(nets[1])


def test_the_seed_decides_the_order_of_the_batches():
    # Without dropout nothing else is random: one full batch an epoch leaves no difference.
    x, y = toy(64)
    for batch_size, same in ((64, True), (16, False)):
        curves = []
        for seed in (0, 1):
            net = models.mlp(SHAPE, 3)
            curves.append(training.fit(net, x, y, epochs=1, batch_size=batch_size, seed=seed))
        assert np.allclose(*curves, atol=1e-6) is same


def test_the_seed_also_decides_dropout():
    # One batch an epoch: the order within it hardly matters, what dropout drops does.
    x, y = toy(40)
    curves = []
    for seed in (0, 0, 1):
        net = models.cnn(SHAPE, 3, width=4, dropout=0.8)
        curves.append(training.fit(net, x, y, epochs=1, batch_size=40, seed=seed))
    assert curves[0] == curves[1]
    assert abs(curves[0][0] - curves[2][0]) > 1e-4


# --- it keeps to itself -----------------------------------------------------------------------


def test_the_callers_random_states_stay_as_they_were():
    x, y = toy(40)
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    training.fit(network(), x, y, epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


@pytest.mark.parametrize("soft", [False, True])
def test_data_is_not_changed(soft):
    x, y = toy(40)
    targets = np.eye(3)[y] if soft else y
    kept = x.copy(), targets.copy()
    training.fit(network(), x, targets, epochs=1)
    assert np.array_equal(x, kept[0]) and np.array_equal(targets, kept[1])


def test_the_network_ends_in_evaluation_mode_on_the_cpu():
    x, y = toy(40)
    net = network()
    training.fit(net, x, y, epochs=1)
    assert not net.training and not net.body[-1].training
    assert {p.device.type for p in net.parameters()} == {"cpu"}


def test_the_progress_bar_goes_to_standard_output(capfd):
    x, y = toy(40)
    training.fit(network(), x, y, epochs=2, progress="stealing")
    out, err = capfd.readouterr()
    assert "stealing" in out and "loss=" in out
    assert err == ""


def test_a_network_counts_as_one_on_the_bar_around_it(monkeypatch):
    done = []
    monkeypatch.setattr(training, "advance", done.append)
    x, y = toy(40)
    training.fit(network(), x, y, epochs=4)
    assert len(done) == 4 and sum(done) == pytest.approx(1)


def test_without_a_label_it_is_silent(capfd):
    x, y = toy(40)
    training.fit(network(), x, y, epochs=1)
    assert capfd.readouterr() == ("", "")


def test_the_read_only_pictures_of_a_data_set_train_without_a_warning(capfd):
    digits = data.load("digits")
    assert not digits.x_train.flags.writeable
    x, y = digits.x_train[:64], digits.y_train[:64]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone = models.mlp(digits.input_shape)
        training.fit(clone, x, y, epochs=1)
        posteriors = models.Classifier(clone).posteriors(x)
        posteriors.flags.writeable = False
        training.fit(clone, x, posteriors, epochs=1)
    assert capfd.readouterr().err == ""


# --- what it refuses --------------------------------------------------------------------------


HALF = np.full((6, 3), 1 / 3)
REFUSED = {
    "nothing": (np.zeros((0, *SHAPE)), np.zeros(0, int), "nothing to train on"),
    "one target short": (toy(6)[0], np.zeros(5, int), "6 rows but targets has 5"),
    "float labels": (toy(6)[0], np.zeros(6), "got float64 of shape"),
    "one-hot integers": (toy(6)[0], np.eye(3, dtype=int)[[0] * 6], "got int64 of shape"),
    "booleans": (toy(6)[0], np.zeros(6, bool), "got bool of shape"),
    "logits": (toy(6)[0], HALF * 9 - 4, "must be posteriors.*softmax first"),
    "unnormalised": (toy(6)[0], HALF * 2, "must be posteriors"),
    "negative": (toy(6)[0], np.array([[1.5, -0.5, 0.0]] * 6), "must be posteriors"),
    "nan posteriors": (toy(6)[0], HALF * np.nan, "must be posteriors"),
    "label out of range": (toy(6)[0], np.array([0, 1, 2, 3, 0, 0]), "from 0 to 2 but .* 0 to 3"),
    "negative label": (toy(6)[0], np.array([0, 1, -100, 2, 0, 0]), "targets from -100"),
    "too many classes": (toy(6)[0], np.full((6, 4), 0.25), "3 classes but the posteriors 4"),
    "nan pictures": (toy(6)[0] * np.nan, np.zeros(6, int), "x holds NaN or infinite"),
    "infinite pictures": (toy(6)[0] + np.inf, np.zeros(6, int), "x holds NaN or infinite"),
}


@pytest.mark.parametrize("x, targets, sentence", REFUSED.values(), ids=REFUSED.keys())
def test_bad_data_is_refused_before_a_weight_moves(x, targets, sentence):
    net = network()
    before = weights(net)
    with pytest.raises(ValueError, match=sentence):
        training.fit(net, x, targets, epochs=1)
    assert weights(net) == before


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_labels_of_every_integer_type_will_do(dtype):
    x, y = toy(40)
    expected = training.fit(network(), x, y, epochs=1)
    assert training.fit(network(), x, y.astype(dtype), epochs=1) == expected


def test_threads_are_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        x = np.zeros((8, 1, 4, 4), np.float32)
        training.fit(models.mlp((1, 4, 4), 2), x, np.zeros(8, np.int64), epochs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# --- trained to be wrong ----------------------------------------------------------------------


def test_reverse_cross_entropy_is_the_logarithm_of_the_doubt():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (50, 6))
    y = rng.integers(0, 6, 50)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    want = -np.log(1 - p[np.arange(50), y]).mean()
    got = training.reverse_cross_entropy(torch.tensor(logits), torch.tensor(y))
    assert float(got) == pytest.approx(want, rel=1e-9)
    sure = torch.tensor([[1_000.0, 0.0, 0.0]])
    assert float(training.reverse_cross_entropy(sure, torch.tensor([0]))) == pytest.approx(1_000, 1)


def test_a_network_can_be_trained_to_be_wrong():
    x, y = toy()
    liar = network()
    training.fit(liar, x, y, epochs=8, loss_of=training.reverse_cross_entropy)
    assert np.mean(models.Classifier(liar).labels(x) == y) < 0.02


# --- augmentation and mixed precision ---------------------------------------------------------


def test_pictures_are_shifted_by_a_few_pixels_and_every_other_one_is_mirrored():
    rows = torch.arange(8.0)[:, None].expand(8, 8)
    x = torch.stack([rows, rows.T]).expand(400, 2, 8, 8)  # where each pixel comes from
    with models.seeded(0):
        shown = training.shifted_and_flipped(x, most=2)
    folded = torch.tensor([2, 1, 0, 1, 2, 3, 4, 5, 6, 7, 6, 5])  # two pixels beyond either edge
    seen = set()
    for down, across in zip(shown[:, 0, :, 0].tolist(), shown[:, 1, 0].tolist(), strict=True):
        windows = [folded[i : i + 8].tolist() for i in range(5)]
        mirrored = across not in windows
        seen.add(
            (windows.index(down), windows.index(across[::-1] if mirrored else across), mirrored)
        )
    assert len(seen) == 5 * 5 * 2
    assert torch.equal(shown[:, 0, :, :1].expand(-1, -1, 8), shown[:, 0])


def test_training_shows_what_the_augmentation_makes_of_each_batch():
    x, y = toy(40)
    batches = []

    def spoilt(pictures: torch.Tensor) -> torch.Tensor:
        batches.append(len(pictures))
        return pictures + torch.randn_like(pictures)

    nets = [network() for _ in range(3)]
    for net, augment in zip(nets, (spoilt, spoilt, None), strict=True):
        training.fit(net, x, y, epochs=2, batch_size=16, augment=augment)
    assert batches == [16, 16, 8] * 4
    assert weights(nets[0]) == weights(nets[1]) != weights(nets[2])


def test_mixed_precision_ends_near_full_precision():
    x, y = toy()
    nets = network(), network()
    for net, mixed in zip(nets, (False, True), strict=True):
        training.fit(net, x, y, epochs=2, mixed_precision=mixed)
    full, mixed = (models.Classifier(net).logits(x) for net in nets)
    assert nets[1].head.weight.dtype == torch.float32
    assert not np.array_equal(full, mixed)
    assert np.abs(full - mixed).mean() < 0.05 * full.std()
