"""Networks that train as one: each ends where it would have ended by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from trickster import attacks, batched, models, training
from trickster.attacks import TrainingSet

SHAPE, CLASSES = (1, 6, 6), 4


def training_sets(kinds: str, n: int = 150, epochs: int = 1) -> list[TrainingSet]:
    """One for each letter: "s" learns posteriors, "h" hard labels; all of different pictures."""
    made = []
    for i, kind in enumerate(kinds):
        rng = np.random.default_rng(i)
        x = rng.random((n, *SHAPE), dtype=np.float32)
        # Answers that follow from the picture, so that there is something to learn.
        logits = 6 * (x.reshape(n, -1)[:, :CLASSES] - 0.5)
        labels = {"s": "soft", "h": "hard"}[kind]
        made.append(TrainingSet(x, models.softmax(logits), labels, epochs=epochs, seed=i % 3))
    return made


def alone(one: TrainingSet) -> models.Classifier:
    return attacks.train_clone(**vars(one))


def raw(clone: models.Classifier) -> bytes:
    values = clone.network.state_dict().values()
    return b"".join(v.contiguous().numpy().tobytes() for v in values)


def assert_close(one: nn.Module, other: nn.Module) -> None:
    """Equal up to rounding, and to what AdamW makes of it.

    It divides by the gradient's own size, so a rounding error in a gradient that is nearly zero
    moves that one weight visibly.
    """
    gaps = torch.cat(
        [
            (mine - theirs).abs().flatten().detach()
            for mine, theirs in zip(one.parameters(), other.parameters(), strict=True)
        ]
    )
    assert float((gaps > 1e-5).float().mean()) < 1e-3
    assert float(gaps.max()) < 1e-3


def test_each_network_of_a_stack_counts_as_one_on_the_bar_around_it(monkeypatch):
    done = []
    monkeypatch.setattr(batched, "advance", done.append)
    attacks.train_clones(training_sets("shs", n=20, epochs=2))
    assert done == [1.5, 1.5]


@settings(max_examples=10)
@given(kinds=st.text("sh", min_size=1, max_size=9), n=st.integers(2, 140))
def test_clones_of_a_stack_are_the_clones_trained_alone(kinds, n):
    sets = training_sets(kinds, n)
    for one, clone in zip(sets, attacks.train_clones(sets), strict=True):
        assert_close(clone.network, alone(one).network)


def test_after_ten_epochs_they_still_say_the_same():
    sets = training_sets("shhs", 600, epochs=10)
    probe = np.random.default_rng(9).random((2_000, *SHAPE), dtype=np.float32)
    for one, clone in zip(sets, attacks.train_clones(sets), strict=True):
        same = np.mean(clone.labels(probe) == alone(one).labels(probe))
        assert same > 0.998
        answered = one.answers.argmax(axis=1)
        assert np.mean(clone.labels(one.x) == answered) > 0.8  # they learned something


def test_the_same_bytes_twice_and_in_another_order():
    sets = training_sets("shsh")
    first = [raw(clone) for clone in attacks.train_clones(sets)]
    assert first == [raw(clone) for clone in attacks.train_clones(sets)]
    assert first[::-1] == [raw(clone) for clone in attacks.train_clones(sets[::-1])]
    assert len(set(first)) == 4


def test_the_caller_s_random_numbers_and_threads_stay():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    attacks.train_clones(training_sets("sh"))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_training_sets_of_all_kinds_come_back_in_their_order():
    sets = [
        *training_sets("s", 70),
        *training_sets("hs", 90),
        *training_sets("s", 40),
        replace(training_sets("s", 90)[0], network="cnn"),
        replace(training_sets("s", 90)[0], epochs=2),
        replace(training_sets("s", 90)[0], lr=1e-4),
    ]
    for one, clone in zip(sets, attacks.train_clones(sets), strict=True):
        assert_close(clone.network, alone(one).network)
    assert attacks.train_clones([]) == []


def test_more_clones_than_a_stack_holds():
    many = training_sets("sh" * attacks.STACK, 30)
    for one, clone in zip(many, attacks.train_clones(many), strict=True):
        assert_close(clone.network, alone(one).network)


@pytest.mark.parametrize("wrong", [{"labels": "both"}, {"network": "rnn"}])
def test_training_sets_say_what_they_do_not_know(wrong):
    one = training_sets("s", 20)[0]
    with pytest.raises(ValueError, match="is '"):
        attacks.train_clones([TrainingSet(one.x, one.answers, **wrong)])


# --- fit_many -------------------------------------------------------------------------


def deep(seed: int) -> nn.Sequential:
    with models.seeded(seed):
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(36, 12),
            nn.ReLU(),
            nn.Linear(12, 9),
            nn.ReLU(),
            nn.Linear(9, CLASSES),
        )


def test_losses_weight_decay_and_depth_are_those_of_fit():
    pairs = [(one.x, one.answers) for one in training_sets("sss", 100)]
    options = {"epochs": 3, "batch_size": 32, "lr": 5e-3, "weight_decay": 0.5}
    together, single = [deep(i) for i in range(3)], [deep(i) for i in range(3)]
    losses = batched.fit_many(
        together, *map(list, zip(*pairs, strict=True)), seeds=[7, 8, 7], **options
    )
    for i, (x, answers) in enumerate(pairs):
        expected = training.fit(single[i], x, answers, seed=[7, 8, 7][i], **options)
        assert losses[i] == pytest.approx(expected, abs=1e-5)
        assert_close(together[i], single[i])
        assert not together[i].training


def test_decay_alone_shrinks_every_parameter_alike():
    """Where all classes are equally likely from the first, only weight decay moves anything."""
    networks = [deep(0), deep(1)]
    for network in networks:  # a head of zeros: no gradient below it
        nn.init.zeros_(network[-1].weight)
        nn.init.zeros_(network[-1].bias)
    before = [[p.detach().clone() for p in network.parameters()] for network in networks]
    x = np.zeros((8, *SHAPE), np.float32)
    flat = np.full((8, CLASSES), 1 / CLASSES, np.float32)
    batched.fit_many(networks, [x, x], [flat, flat], seeds=[0, 0], epochs=2, lr=0.1, weight_decay=1)
    shrunk = [
        (p / q)[q != 0].detach()
        for network, old in zip(networks, before, strict=True)
        for p, q in zip(network.parameters(), old, strict=True)
    ]
    factors = torch.cat([values.flatten() for values in shrunk])
    assert float(factors.max()) < 0.99
    assert float(factors.max() - factors.min()) < 1e-5


X, P = np.zeros((6, *SHAPE), np.float32), np.full((6, CLASSES), 1 / CLASSES, np.float32)


@pytest.mark.parametrize(
    ("networks", "xs", "targets", "words"),
    [
        ([], [], [], "its own pictures"),
        ([deep(0), deep(1)], [X], [P], "its own pictures"),
        ([deep(0), deep(1)], [X, X[:4]], [P, P[:4]], "as many pictures; got 6, 4"),
        ([deep(0), models.mlp(SHAPE, CLASSES)], [X, X], [P, P], "the same layers"),
        ([models.cnn(SHAPE, CLASSES)], [X], [P], "Conv2d.* training.fit"),
        ([deep(0)], [X[:0]], [P[:0]], "no rows"),
        ([deep(0)], [X * np.nan], [P], "NaN"),
        ([deep(0)], [X], [np.full(6, CLASSES)], "labels run from 0 to 3"),
        ([deep(0)], [X], [P[:, 1:] / P[:, 1:].sum(axis=1, keepdims=True)], "4 classes"),
    ],
)
def test_what_cannot_train_as_one_is_refused(networks, xs, targets, words):
    with pytest.raises(ValueError, match=words):
        batched.fit_many(networks, xs, targets, seeds=[0] * len(networks))
