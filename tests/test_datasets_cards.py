"""Every shipped file has a card that tells the truth, and the scripts make what they say."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from trickster import data, evaluation, models, scenario

REPOSITORY = Path(__file__).resolve().parent.parent
DATASETS = REPOSITORY / "datasets"
NO_CARD = {"README.md", data.CHECKSUMS}
SHIPPED = sorted(p.name for p in DATASETS.iterdir() if p.suffix != ".md" and p.name not in NO_CARD)


def checksums() -> dict[str, str]:
    return json.loads((DATASETS / data.CHECKSUMS).read_text(encoding="utf-8"))


def card(name: str) -> str:
    return (DATASETS / name).with_suffix(".md").read_text(encoding="utf-8")


def row(name: str, field: str) -> str:
    """A field of the table at the top of a card."""
    (value,) = re.findall(rf"^\| {field} \| (.+) \|$", card(name), re.MULTILINE)
    return value


def script(name: str):
    """A script of ``benchmarks/`` as a module."""
    return importlib.import_module(f"benchmarks.{name}")


# --- cards ------------------------------------------------------------------------------------


def test_the_table_of_checksums_names_exactly_what_ships():
    assert sorted(checksums()) == SHIPPED
    assert {data.FASHION_FILE, *map(scenario.victim_file, scenario.RECIPES)} <= set(SHIPPED)


def test_no_card_is_without_its_file():
    stems = {Path(name).stem for name in SHIPPED}
    assert {p.stem for p in DATASETS.glob("*.md")} == stems | {"README"}


@pytest.mark.parametrize("name", SHIPPED)
def test_card_table_and_file_have_one_checksum(name):
    content = (DATASETS / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert checksums()[name] == digest
    assert row(name, "SHA-256") == f"`{digest}`"
    assert row(name, "File") == f"`{name}`, {len(content):,} bytes"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_states_origin_licence_and_making(name):
    assert len(row(name, "Origin")) > 20
    assert "MIT" in row(name, "Licence")
    making = card(name).split("## How it was made")[1].split("\n## ")[0]
    (name, *_) = re.findall(r"^python -m benchmarks\.(\w+)", making, re.MULTILINE)
    assert (REPOSITORY / "benchmarks" / f"{name}.py").is_file()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_index_links_to_every_card(name):
    index = (DATASETS / "README.md").read_text(encoding="utf-8")
    link = Path(name).with_suffix(".md").name
    assert f"`{name}`" in index and f"[{link}]({link})" in index
    megabytes = (DATASETS / name).stat().st_size / 1e6
    assert f"{megabytes:.1f} MB" in index


def test_zalandos_licence_is_kept_in_full():
    text = card(data.FASHION_FILE)
    assert "Copyright (c) 2017 Zalando SE" in text
    ours = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    terms = ours[ours.index("Permission is hereby granted") :].split()
    assert " ".join(terms) in " ".join(text.split())


def test_the_cards_figures_are_measured():
    fashion, victim = data.load("fashion"), scenario.Scenario("fashion").victim
    name = scenario.victim_file("fashion")
    p = victim.posteriors(fashion.x_test)
    stated = float(row(name, "Accuracy").split()[0])
    # Another machine may round a handful of the 5,000 pictures to the other side.
    assert evaluation.accuracy(p, fashion.y_test) == pytest.approx(stated, abs=0.002)
    text = card(name)
    parameters = sum(p.numel() for p in victim.network.parameters())
    assert f"{parameters:,} parameters" in text
    recipe = scenario.RECIPES["fashion"]
    assert f"{recipe.epochs} epochs" in text and f"width={recipe.width}" in text
    mean, ece = p.max(axis=1).mean(), evaluation.expected_calibration_error(p, fashion.y_test)
    said = re.search(r"mean confidence (\.\d+).*expected calibration error (\.\d+)", text)
    assert [float(v) for v in said.groups()] == pytest.approx([mean, ece], abs=0.003)


def test_the_cards_table_of_arrays_is_the_file():
    with np.load(DATASETS / data.FASHION_FILE, allow_pickle=False) as file:
        for array in file.files:
            (line,) = re.findall(rf"^\|.*`{array}`.*$", card(data.FASHION_FILE), re.MULTILINE)
            assert str(file[array].dtype) in line and str(file[array].shape) in line


# --- the script that makes the pictures -------------------------------------------------------


def write_originals(folder: Path, *, gz: bool) -> dict[str, np.ndarray]:
    """Tiny IDX files, twelve pictures a class; what they hold."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    held = {}
    for part in ("train", "t10k"):
        y = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), 12))
        x = rng.integers(0, 256, (120, 28, 28), dtype=np.uint8)
        held[part] = x, y
        for stem, array in ((f"{part}-images-idx3-ubyte", x), (f"{part}-labels-idx1-ubyte", y)):
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            content = head + array.tobytes()
            path = folder / (stem + ".gz" if gz else stem)
            path.write_bytes(gzip.compress(content) if gz else content)
    return held


@pytest.fixture
def made(tmp_path):
    """The script's output from plain and from zipped originals, and the originals."""
    maker, folders = script("make_fashion_mini"), []
    for gz in (False, True):
        held = write_originals(tmp_path / f"in{gz}", gz=gz)
        out = tmp_path / f"out{gz}"
        out.mkdir()
        maker.make(tmp_path / f"in{gz}", out, train_per_class=5, test_per_class=3)
        folders.append(out)
    return folders, held


def test_the_same_originals_give_the_same_bytes(made):
    (plain, zipped), _ = made
    for name in (data.FASHION_FILE, data.CHECKSUMS):
        assert (plain / name).read_bytes() == (zipped / name).read_bytes()


def test_what_is_kept_is_stratified_and_untouched(made):
    (folder, _), held = made
    with np.load(folder / data.FASHION_FILE, allow_pickle=False) as file:
        for part, original, per_class in (("train", "train", 5), ("test", "t10k", 3)):
            index = file[f"{part}_index"]
            x, y = held[original]
            assert np.all(np.diff(index) > 0)
            assert np.array_equal(file[f"x_{part}"], x[index])
            assert np.array_equal(file[f"y_{part}"], y[index])
            assert np.bincount(file[f"y_{part}"]).tolist() == [per_class] * 10


def test_the_script_records_the_checksum_beside_the_others(tmp_path):
    write_originals(tmp_path / "in", gz=False)
    (tmp_path / data.CHECKSUMS).write_text('{"another.bin": "abc"}')
    maker = script("make_fashion_mini")
    path = maker.make(tmp_path / "in", tmp_path, train_per_class=2, test_per_class=1)
    table = json.loads((tmp_path / data.CHECKSUMS).read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert table == {"another.bin": "abc", data.FASHION_FILE: digest}


def test_without_originals_the_script_says_where_to_get_them(tmp_path):
    with pytest.raises(SystemExit, match="dataset-fashion-mnist"):
        script("make_fashion_mini").make(tmp_path, tmp_path)


@pytest.mark.skipif(not data.DEBIAN_FASHION.is_dir(), reason="the originals are not installed")
def test_the_shipped_pictures_are_the_scripts():
    maker = script("make_fashion_mini")
    arrays = maker.select(data.DEBIAN_FASHION, maker.TRAIN_PER_CLASS, maker.TEST_PER_CLASS)
    with np.load(DATASETS / data.FASHION_FILE, allow_pickle=False) as file:
        assert set(file.files) == set(arrays)
        for name, array in arrays.items():
            assert np.array_equal(file[name], array) and file[name].dtype == array.dtype


# --- the script that trains the victim --------------------------------------------------------


@pytest.mark.parametrize("name", scenario.RECIPES)
def test_the_victims_script_writes_file_and_checksum(name, tmp_path, monkeypatch):
    trainer = script("train_victim")
    (tmp_path / data.CHECKSUMS).write_text('{"another.bin": "abc"}')
    monkeypatch.setattr(data, "datasets_dir", lambda: tmp_path)
    network = models.cnn(width=2, seed=1)
    trainer.write(network, name)
    path = tmp_path / scenario.victim_file(name)
    assert models.load(path).spec == network.spec
    table = json.loads((tmp_path / data.CHECKSUMS).read_text())
    assert table[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert table["another.bin"] == "abc"


def compare(monkeypatch, trained: models.Network) -> None:
    """Run the script as a user does, with ``trained`` as the result of the training."""
    monkeypatch.setattr(scenario, "train_victim", lambda *args, **kwargs: trained)
    monkeypatch.setattr("sys.argv", ["train_victim.py"])
    script("train_victim").main()


def test_the_victims_script_is_content_with_an_equal(monkeypatch, capsys):
    compare(monkeypatch, models.load(DATASETS / scenario.victim_file("fashion")))
    assert "differ by 0.0000: within 0.01" in capsys.readouterr().out


def test_the_victims_script_fails_where_the_two_differ(monkeypatch):
    with pytest.raises(SystemExit, match=r"more than 0\.01"):
        compare(monkeypatch, models.cnn(width=2))
