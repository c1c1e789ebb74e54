"""The scenarios: what ships works at once, and fits together."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from trickster import data, evaluation, models, ood, pools, scenario, training
from trickster.api import BudgetExceeded
from trickster.scenario import Scenario


@pytest.fixture(scope="module")
def fashion() -> Scenario:
    return Scenario()


# --- fashion ----------------------------------------------------------------------------------


def test_the_shipped_victim_is_as_good_as_its_card_says(fashion):
    victims = fashion.victim.posteriors(fashion.data.x_test)
    assert 0.88 <= evaluation.accuracy(victims, fashion.data.y_test) <= 0.89
    assert victims.shape == (5_000, 10)


def test_the_shipped_victim_has_the_recipes_architecture(fashion):
    spec = fashion.victim.network.spec
    assert spec["kind"] == "cnn" and spec["width"] == scenario.RECIPES["fashion"].width
    assert tuple(spec["input_shape"]) == fashion.data.input_shape == (1, 28, 28)
    assert not fashion.victim.network.training


def test_data_and_victim_are_loaded_once(fashion):
    assert fashion.victim is fashion.victim
    assert fashion.data is data.load("fashion")


def test_scenarios_are_values():
    assert Scenario("fashion") == Scenario()
    with pytest.raises(AttributeError):
        Scenario().name = "cifar10"


def test_a_changed_victim_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "datasets"
    shutil.copytree(data.datasets_dir(), folder)
    monkeypatch.setattr(data, "datasets_dir", lambda: folder)
    models.save(models.cnn(seed=1), folder / scenario.victim_file("fashion"))
    with pytest.raises(data.ChecksumMismatch, match="fashion_victim"):
        _ = Scenario().victim


def test_the_api_serves_the_victim_under_fresh_budgets(fashion):
    x = fashion.data.x_test[:5]
    api = fashion.api(budget=7)
    assert np.allclose(api.query(x), fashion.victim.posteriors(x), atol=1e-6)
    with pytest.raises(BudgetExceeded):
        api.query(x)
    assert fashion.api(budget=7).remaining() == 7  # the next one starts afresh
    uniform = fashion.api(defenses=[lambda p, q: np.full_like(p, 0.1)], clock=lambda: 0.0)
    assert np.all(uniform.query(x) == np.float32(0.1))


def test_the_pools_fit_the_victim(fashion):
    for name in fashion.pools:
        x = fashion.pool(name, 4, seed=3)
        assert np.array_equal(x, pools.make(name, 4, seed=3, shape=(1, 28, 28)))
        assert fashion.victim.posteriors(x).shape == (4, 10)


def test_the_victim_knows_clothes_better_than_noise_by_its_features_not_its_confidence(fashion):
    # The finding that the labs build on: confidence alone hardly tells them apart.
    clothes = fashion.victim.posteriors(fashion.data.x_test[:1_000]).max(axis=1).mean()
    noise = fashion.victim.posteriors(fashion.pool("noise", 1_000, seed=0)).max(axis=1).mean()
    assert clothes > 0.85
    assert noise > 0.6


def test_unknown_scenarios_are_refused_at_once():
    with pytest.raises(ValueError, match=r"no scenario 'svhn'.*\['cifar10', 'fashion'\]"):
        Scenario("svhn")


# --- cifar10 ----------------------------------------------------------------------------------


@pytest.fixture
def cifar(tmp_path, monkeypatch) -> Scenario:
    """CIFAR-10's scenario on forty random pictures, with one short epoch of a small network."""
    rng = np.random.default_rng(0)
    x = rng.random((40, 3, 32, 32), dtype=np.float32)
    y = np.arange(40) % 10
    tiny = data.Dataset("cifar10", x, y, x[:20], y[:20], data.CIFAR10_CLASSES)
    load = data.load

    def stand_in(name, *, root=None, download=False):
        if name != "cifar10":
            return load(name, root=root, download=download)
        assert root == tmp_path and download
        return tiny

    monkeypatch.setattr(data, "load", stand_in)
    small = replace(scenario.RECIPES["cifar10"], width=4, epochs=1)
    monkeypatch.setitem(scenario.RECIPES, "cifar10", small)
    return Scenario("cifar10", root=tmp_path, download=True)


def test_the_colour_victim_ships_and_needs_no_pictures(monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("asked for pictures, or trained")

    monkeypatch.setattr(data, "load", never)
    monkeypatch.setattr(training, "fit", never)
    network = Scenario("cifar10").victim.network
    recipe = scenario.RECIPES["cifar10"]
    assert network.spec["kind"] == "vgg" and network.spec["width"] == recipe.width
    assert not network.training
    assert next(network.parameters()).dtype == torch.float32


@pytest.mark.slow
def test_the_colour_victim_knows_real_pictures(real_cifar10):
    colour = Scenario("cifar10", root=real_cifar10)
    accuracy = evaluation.accuracy(colour.victim.posteriors(colour.data.x_test), colour.data.y_test)
    assert 0.75 <= accuracy <= 0.95
    features = colour.victim.features(colour.data.x_test)
    weird = colour.victim.features(colour.pool("noise", 100, seed=0))
    bank = features[:200]
    assert ood.auroc(ood.score_knn(features[200:], bank), ood.score_knn(weird, bank)) > 0.8


def test_the_colour_pools_and_api_are_in_colour(cifar):
    assert {*cifar.pools} == {*Scenario("fashion").pools, "fashion"}
    api = cifar.api(budget=3 * len(cifar.pools))
    for name in cifar.pools:
        x = cifar.pool(name, 3, seed=0)
        assert x.shape == (3, 3, 32, 32)
        assert api.query(x).shape == (3, 10)
    clothes = cifar.pool("fashion", 3, seed=0)
    assert np.array_equal(clothes[:, 0], clothes[:, 2])


@pytest.mark.slow
def test_training_a_victim_is_repeatable_and_seeded(cifar):
    x = cifar.data.x_test
    first, again, other = (
        models.Classifier(scenario.train_victim(cifar.data, "cifar10", seed=seed)).logits(x)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
