"""The small language model: its tokens, its transformer, its training, its file."""

from __future__ import annotations

import importlib
import json
import re

import numpy as np
import pytest
import torch

from trickster import data, exact, language_model
from trickster.language_model import LanguageModel, Shape, Tokenizer, Transformer, load, save, train
from trickster.services import TokenAPI, log_softmax

TEXT = "the cat sat on the mat. The cat, too, sat.\n" * 40
script = importlib.import_module("benchmarks.train_language_model")


def small(seed=0, **shape):
    torch.manual_seed(seed)
    return Transformer(Shape(50, **{"width": 16, "context": 8, "layers": 1, "heads": 2} | shape))


# --- tokens -------------------------------------------------------------------------------------


def test_text_comes_back_from_its_tokens():
    tokens = Tokenizer.of(TEXT, 30)
    assert len(tokens) <= 30
    assert tokens.decode(tokens.encode(TEXT)) == TEXT
    assert len(tokens.encode(TEXT)) < len(TEXT) / 1.5
    assert tokens.encode(" cat") == [tokens.pieces.index(" cat")]
    spelt = tokens.encode("tac")
    assert [tokens.pieces[t] for t in spelt] == ["t", "a", "c"]


def test_tokens_say_what_they_cannot_do():
    with pytest.raises(ValueError, match="more than 5"):
        Tokenizer.of(TEXT, 5)
    with pytest.raises(ValueError, match="no token for 'Z'"):
        Tokenizer.of(TEXT, 30).encode("Zebra")
    with pytest.raises(ValueError, match="same text"):
        Tokenizer(["a", "a"])


# --- the transformer ----------------------------------------------------------------------------


def test_what_comes_later_changes_nothing_before():
    network, rng = small(), np.random.default_rng(0)
    one = torch.tensor(rng.integers(50, size=(1, 8)))
    other = one.clone()
    other[0, 5:] = (other[0, 5:] + 1) % 50
    with torch.inference_mode():
        a, b = network(one), network(other)
    assert torch.allclose(a[0, :5], b[0, :5], atol=1e-6) and not torch.allclose(a[0, 5], b[0, 5])


@pytest.mark.parametrize("width", [8, 16, 24])
def test_logits_span_one_direction_less_than_the_width(width):
    network = small(width=width)
    tokens = np.random.default_rng(0).integers(50, size=(45, 8))
    logits = network.last_logits(tokens)
    assert exact.hidden_size(logits) == width - 1
    assert exact.hidden_size(log_softmax(logits.astype(float))) == width - 1


def test_training_learns_and_repeats_itself():
    tokens = Tokenizer.of(TEXT, 30)
    ids, shape = np.array(tokens.encode(TEXT)), Shape(len(tokens), 16, 8, 1, 2)

    def perplexity(steps, seed):
        network = train(ids, shape, steps=steps, batch=8, seed=seed)
        return LanguageModel(network, tokens, ids).perplexity()

    learnt = perplexity(60, 0)
    assert learnt < 0.5 * perplexity(1, 0)
    assert learnt == perplexity(60, 0) != perplexity(60, 1)
    with pytest.raises(ValueError, match="no window"):
        train(ids[:5], shape, steps=1)


# --- files --------------------------------------------------------------------------------------


def a_model():
    tokens = Tokenizer.of(TEXT, 30)
    with torch.random.fork_rng():
        network = Transformer(Shape(len(tokens), 16, 8, 1, 2))
    return LanguageModel(network, tokens, np.array(tokens.encode(TEXT)))


def test_a_model_comes_back_from_its_file(tmp_path):
    model, path = a_model(), tmp_path / "model.safetensors"
    save(model, path)
    again = load(path)
    prompts = model.random_prompts(5, length=8)
    assert np.array_equal(again.logits(prompts), model.logits(prompts))
    assert again.tokenizer.pieces == model.tokenizer.pieces
    assert np.array_equal(again.held_out, model.held_out)
    assert again.write("the", 5, seed=1) == model.write("the", 5, seed=1)


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "model.safetensors"
    save(a_model(), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="no language model that this version can read"):
        load(path)
    language_model.models.save(language_model.models.mlp(hidden=2), path)
    with pytest.raises(ValueError, match="no language model"):
        load(path)


def test_bad_prompts_are_told():
    model = a_model()
    bad = [[[1, float("nan")]], "whole numbers"], [[[1.5]], "float64"], [[1, 2], "shape"]
    for prompts, words in (*bad, ([[1] * 9], "t from 1 to 8"), ([[99]], "run from 0")):
        with pytest.raises(ValueError, match=words):
            model.logits(prompts)


# --- the shipped model --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    return language_model.load_shipped()


def test_the_shipped_model_is_what_its_card_says(shipped):
    card = (data.datasets_dir() / "jargon_model.md").read_text(encoding="utf-8")
    (stated,) = re.findall(r"^\| Perplexity \| ([\d.]+) ", card, re.MULTILINE)
    assert shipped.perplexity() == pytest.approx(float(stated), abs=0.05)
    parameters = sum(p.numel() for p in shipped.network.parameters())
    assert f"{parameters:,} parameters" in card
    shape = shipped.network.shape
    assert f"hidden size {shape.width}" in card and f"{shape.vocabulary:,} tokens" in card
    sample = card.split("```text\n")[1].split("\n```")[0]
    # Another machine may come to draw another token sooner or later.
    assert shipped.write("\n:hacker: n. ", 60, seed=1).strip()[:40] == sample[:40]
    assert (data.datasets_dir() / language_model.SHIPPED).stat().st_size <= 3_000_000


def test_the_shipped_model_betrays_its_hidden_size(shipped):
    prompts = shipped.random_prompts(120, seed=3)
    logits = shipped.logits(prompts)
    assert exact.hidden_size(logits) == shipped.network.shape.width - 1
    found = exact.logits_through_top_k(TokenAPI(shipped), prompts[0].tolist())
    assert exact.theft_error(found, logits[0]) < 1e-5


def test_a_patient_thief_sees_the_cliff_through_noise(shipped):
    """Lab 6's extension, and what it tells readers to expect."""

    def falls(n):
        told = log_softmax(shipped.logits(shipped.random_prompts(n, seed=1)).astype(float))
        told += np.random.default_rng(0).normal(0, 0.1, told.shape)
        values = exact.singular_values(told)[:120]
        ratios = values[1:-1] / values[2:]
        return ratios[61], np.delete(ratios, 61).max()  # behind 63, and elsewhere

    few, beside_few = falls(200)
    many, beside_many = falls(1_000)
    assert 1.4 < few < 1.6 and beside_few > 1.2
    assert many > 2.5 and beside_many < 1.5


# --- the script that trains it ------------------------------------------------------------------


def test_the_script_reads_a_text_and_trains_on_its_beginning(tmp_path):
    path = tmp_path / "text.txt"
    words = "Welcome to the Jargon File\n\n   A ‘hack’\n   is neat. "
    path.write_text(f"Contents\n\n{words}\n\n" + TEXT * 4, encoding="utf-8")
    text = script.read_text(path)
    assert text.startswith("Welcome to the Jargon File\nA 'hack' is neat.\nthe cat")
    with pytest.raises(SystemExit, match="apt-get install jargon-text"):
        script.read_text(tmp_path / "nothing.txt")


def test_the_script_records_the_checksum_beside_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "datasets_dir", lambda: tmp_path)
    (tmp_path / data.CHECKSUMS).write_text('{"another.bin": "abc"}')
    script.write(a_model())
    table = json.loads((tmp_path / data.CHECKSUMS).read_text())
    assert set(table) == {"another.bin", language_model.SHIPPED}
    assert load(tmp_path / language_model.SHIPPED).vocabulary_size == a_model().vocabulary_size
