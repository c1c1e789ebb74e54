"""The scenarios: what ships works at once, what does not ship is made once and kept."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from trickster import data, evaluation, models, pools, scenario
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
    assert spec["kind"] == "cnn" and spec["width"] == scenario.RECIPES["fashion"]["width"]
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
    models.save(models.cnn(seed=1), folder / scenario.FASHION_VICTIM)
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
def cifar(tmp_path, monkeypatch):
    """CIFAR-10's scenario on forty random pictures, with one short epoch and a private cache."""
    rng = np.random.default_rng(0)
    x = rng.random((40, 3, 32, 32), dtype=np.float32)
    y = np.arange(40) % 10
    tiny = data.Dataset("cifar10", x, y, x[:20], y[:20], data.CIFAR10_CLASSES)
    asked = []

    def load(name, *, root, download):
        asked.append((name, root, download))
        return tiny

    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr(scenario, "RECIPES", {"cifar10": {"width": 2, "epochs": 1, "lr": 1e-3}})
    monkeypatch.setenv("TRICKSTER_CACHE", str(tmp_path / "cache" / "deep"))
    made = Scenario("cifar10", root=tmp_path, download=True)
    return made, asked


def test_the_colour_victim_is_trained_once_and_kept(cifar, tmp_path, monkeypatch, capfd):
    colour, asked = cifar
    first = colour.victim
    assert asked == [("cifar10", tmp_path, True)]
    kept = list((tmp_path / "cache" / "deep").iterdir())
    assert [path.name for path in kept] == ["cifar10_victim.safetensors"]
    out, err = capfd.readouterr()
    assert "training the victim, once" in out and err == ""

    def never(*args, **kwargs):
        raise AssertionError("trained a second time")

    monkeypatch.setattr(scenario, "train_victim", never)
    again = Scenario("cifar10", root=tmp_path).victim
    x = colour.data.x_test
    assert np.allclose(again.logits(x), first.logits(x), atol=1e-6)


def test_an_interrupted_training_leaves_no_half_a_victim(cifar, tmp_path, monkeypatch):
    colour, _ = cifar

    def interrupted(unfinished, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _ = colour.victim
    assert not list((tmp_path / "cache" / "deep").iterdir())
    assert Scenario("cifar10", root=tmp_path).victim.posteriors(colour.data.x_test).shape == (
        20,
        10,
    )


def test_the_colour_pools_and_api_are_in_colour(cifar):
    colour, _ = cifar
    x = colour.pool("shapes", 3, seed=0)
    assert x.shape == (3, 3, 32, 32)
    assert colour.api(budget=3).query(x).shape == (3, 10)


def test_training_a_victim_is_repeatable_and_seeded(cifar):
    colour, _ = cifar
    x = colour.data.x_test
    first, again, other = (
        models.Classifier(scenario.train_victim(colour.data, "cifar10", seed=seed)).logits(x)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
