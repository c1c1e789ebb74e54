"""The data sets: what ships, what is read from a data folder, and what is said when it is not."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import platformdirs.windows
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows, get_win_folder_from_env_vars
from sklearn.datasets import load_digits

from trickster import data, data_folder

IDX_SETS = {
    "fashion-full": "FashionMNIST",
    "mnist": "MNIST",
    "kmnist": "KMNIST",
    "emnist-letters": "EMNIST",
}


@pytest.fixture(autouse=True)
def nothing_of_the_users(tmp_path_factory, monkeypatch):
    """No data folder, no cache and no Debian package of whoever runs the tests; no network."""
    empty = tmp_path_factory.mktemp("empty")
    for name in ("TRICKSTER_DATA", "TRICKSTER_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(empty))
    monkeypatch.setattr(data, "DEBIAN_FASHION", empty / "debian")
    monkeypatch.setattr(data, "_cache", {})

    def refuse(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def bytes_of(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def write_idx(path: Path, array: np.ndarray) -> None:
    """The IDX format, written down from its description."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = head + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_idx_set(folder: Path, name: str, gz: bool = False, n: int = 8) -> dict[str, np.ndarray]:
    """Four tiny files as the original of ``name`` has them; what they hold."""
    letters = name == "emnist-letters"
    parts = ("emnist-letters-train", "emnist-letters-test") if letters else ("train", "t10k")
    held = {}
    for seed, part in enumerate(parts):
        x = bytes_of((n, 28, 28), seed)
        y = (np.arange(n) % (26 if letters else 10) + letters).astype(np.uint8)
        end = ".gz" if gz else ""
        write_idx(folder / f"{part}-images-idx3-ubyte{end}", x)
        write_idx(folder / f"{part}-labels-idx1-ubyte{end}", y)
        which = "test" if seed else "train"
        held[f"x_{which}"], held[f"y_{which}"] = x, y
    return held


# --- what ships -------------------------------------------------------------------------------


def test_the_shipped_clothes():
    fashion = data.load("fashion")
    assert fashion.x_train.shape == (12_000, 1, 28, 28)
    assert fashion.x_test.shape == (5_000, 1, 28, 28)
    assert np.bincount(fashion.y_train).tolist() == [1_200] * 10
    assert np.bincount(fashion.y_test).tolist() == [500] * 10
    assert fashion.classes[0] == "T-shirt/top" and fashion.classes[9] == "Ankle boot"
    assert "12000 train + 5000 test, 1x28x28, 10 classes" in repr(fashion)
    # All 256 shades, as in the original, and no picture empty.
    assert len(np.unique(fashion.x_test)) == 256
    assert fashion.x_train.max(axis=(1, 2, 3)).min() > 0


def test_the_classes_look_as_they_are_called():
    fashion = data.load("fashion")
    mean = {
        name: fashion.x_train[fashion.y_train == label, 0].mean(axis=0)
        for label, name in enumerate(fashion.classes)
    }
    # A pullover's sleeves reach the edges, where trousers leave it black; soles lie low.
    assert mean["Pullover"][20, 2:5].mean() > 0.2 > mean["Trouser"][20, 2:5].mean()
    assert mean["Trouser"][26, 9:12].mean() > mean["Trouser"][26, 13:15].mean() + 0.1
    for shoe in ("Sandal", "Sneaker"):
        assert mean[shoe][14:].mean() > 1.5 * mean[shoe][:14].mean()


def test_no_test_picture_is_a_training_picture():
    fashion = data.load("fashion")
    trained = {x.tobytes() for x in fashion.x_train}
    copies = sum(x.tobytes() in trained for x in fashion.x_test)
    assert copies <= 5  # the original has a few copies of its own


def test_shipped_files_have_their_checksums():
    table = json.loads((data.datasets_dir() / data.CHECKSUMS).read_text())
    assert data.FASHION_FILE in table
    for name, digest in table.items():
        assert hashlib.sha256(data.embedded_bytes(name)).hexdigest() == digest


def test_the_same_read_only_object_at_every_call():
    first = data.load()
    assert first is data.load("fashion") and first.name == "fashion"
    for array in (first.x_train, first.y_train, first.x_test, first.y_test):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_digits_are_scikit_learns():
    digits, original = data.load("digits"), load_digits()
    assert (len(digits.x_train), len(digits.x_test)) == (1_257, 540)
    assert digits.input_shape == (1, 8, 8)

    def rows(x, y):
        return sorted(
            (picture.astype(np.float32).tobytes(), int(label))
            for picture, label in zip(x, y, strict=True)
        )

    x = np.concatenate([digits.x_train, digits.x_test])[:, 0] * 16
    y = np.concatenate([digits.y_train, digits.y_test])
    assert rows(x, y) == rows(original.images, original.target)
    for part in (digits.y_train, digits.y_test):
        share = np.bincount(part) / len(part)
        assert np.abs(share - np.bincount(original.target) / 1_797).max() < 0.002


def test_every_name_has_a_size():
    assert {data.train_size(name) for name in data.NAMES} >= {12_000, 50_000, 60_000}
    for name in ("fashion", "digits"):
        assert len(data.load(name).x_train) == data.train_size(name)


# --- shipped files that are damaged or missing ------------------------------------------------


@pytest.fixture
def copy_of_datasets(tmp_path, monkeypatch) -> Path:
    """A private copy of the shipped pictures."""
    folder = tmp_path / "datasets"
    folder.mkdir()
    for name in (data.FASHION_FILE, data.CHECKSUMS):
        shutil.copy(data.datasets_dir() / name, folder)
    monkeypatch.setattr(data, "datasets_dir", lambda: folder)
    return folder


def test_the_copy_is_good(copy_of_datasets):
    assert len(data.load("fashion").x_train) == 12_000


@pytest.mark.parametrize("damage", ["one bit", "truncated", "replaced"])
def test_a_damaged_file_is_found_before_it_is_read(copy_of_datasets, damage):
    path = copy_of_datasets / data.FASHION_FILE
    content = bytearray(path.read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 1
    elif damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content = bytearray(b"version https://git-lfs.github.com/spec/v1\n")
    path.write_bytes(content)
    with pytest.raises(data.ChecksumMismatch, match="Restore it") as caught:
        data.load("fashion")
    assert str(path) in str(caught.value)
    assert hashlib.sha256(content).hexdigest() in str(caught.value)


def test_a_missing_file_says_how_to_get_it_back(copy_of_datasets):
    (copy_of_datasets / data.FASHION_FILE).unlink()
    with pytest.raises(data.DataNotFound, match=r"is not there\. Reinstall trickster, or check"):
        data.load("fashion")


def test_a_file_without_a_checksum_is_not_trusted(copy_of_datasets):
    (copy_of_datasets / data.CHECKSUMS).write_text("{}")
    with pytest.raises(data.DataNotFound, match="has no checksum"):
        data.load("fashion")


def test_a_package_without_its_data_says_so(tmp_path):
    package = tmp_path / "trickster"
    shutil.copytree(Path(data.__file__).parent, package, ignore=shutil.ignore_patterns("__py*"))
    code = "import trickster.data as d\ntry: d.load()\nexcept d.DataNotFound as e: print(e)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "The course's own data is missing" in done.stdout
    shutil.copytree(data.datasets_dir(), package / "_datasets")  # as an installed wheel has it
    code = "import trickster.data as d; print(d.datasets_dir(), len(d.load().x_test))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(package / "_datasets"), "5000"]


# --- names and places -------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [data.load, data.train_size])
def test_unknown_names_get_a_hint(ask):
    with pytest.raises(ValueError, match=r"no data set 'cifar'.*Did you mean 'cifar10'.*Known: "):
        ask("cifar")


@pytest.mark.parametrize("name", [*IDX_SETS, "cifar10"])
def test_what_is_not_there_says_what_to_do(name, tmp_path):
    with pytest.raises(data.DataNotFound) as caught:
        data.load(name, root=tmp_path / "nowhere")
    sentence = str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)
    assert str(tmp_path / "nowhere") in sentence
    for advice in (f"load('{name}', download=True)", "root=<folder>", "TRICKSTER_DATA"):
        assert advice in sentence
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["kmnist", "cifar10"])
def test_a_download_without_a_network_says_so(name, tmp_path):
    with pytest.raises(data.DataNotFound, match=r"could not download.*Check the network"):
        data.load(name, root=tmp_path, download=True)


def test_a_download_is_read_from_where_it_landed(tmp_path, monkeypatch):
    wrote = []

    class Stand:  # for torchvision's class: it writes where the real one would
        def __init__(self, root, download):
            assert download
            write_idx_set(Path(root) / "KMNIST" / "raw", "kmnist")
            wrote.append(root)

    from trickster import _torchvision

    monkeypatch.setattr(_torchvision.load().datasets, "KMNIST", Stand)
    first = data.load("kmnist", root=tmp_path / "new", download=True)
    assert len(first.x_train) == 8 and wrote == [str(tmp_path / "new")]
    monkeypatch.setattr(data, "_cache", {})
    data.load("kmnist", root=tmp_path / "new", download=True)
    assert len(wrote) == 1  # what is there is not fetched again


def test_the_data_folder_is_found_in_this_order(tmp_path, monkeypatch):
    monkeypatch.setenv("TRICKSTER_CACHE", str(tmp_path / "cache"))
    assert data.data_root() == tmp_path / "cache"
    monkeypatch.setenv("TRICKSTER_DATA", str(tmp_path / "mine"))
    assert data.data_root() == tmp_path / "mine"
    assert data.data_root(tmp_path / "given") == tmp_path / "given"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.data_root("~/data") == tmp_path / "data"


@pytest.mark.parametrize(
    "system, variable, expected",
    [
        (Unix, None, ".cache/trickster"),
        (Unix, "XDG_CACHE_HOME", "local/trickster"),
        (MacOS, None, "Library/Caches/trickster"),
        (Windows, "LOCALAPPDATA", "local/trickster"),
    ],
)
def test_the_cache_folder_of_each_system(system, variable, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    monkeypatch.setattr(platformdirs.windows, "get_win_folder", get_win_folder_from_env_vars)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "local"))
    assert data.cache_dir() == tmp_path / expected
    assert data.data_root() == tmp_path / expected
    monkeypatch.setenv("TRICKSTER_CACHE", str(tmp_path / "chosen"))
    assert data.cache_dir() == tmp_path / "chosen"


def test_the_environment_variable_is_used_and_followed(tmp_path, monkeypatch):
    for which, n in (("a", 4), ("b", 6)):
        write_idx_set(tmp_path / which / "MNIST" / "raw", "mnist", n=n)
        monkeypatch.setenv("TRICKSTER_DATA", str(tmp_path / which))
        assert len(data.load("mnist").x_train) == n
    assert len(data.load("mnist", root=tmp_path / "a").x_train) == 4


# --- the MNIST family -------------------------------------------------------------------------


@pytest.mark.parametrize("gz", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", IDX_SETS)
def test_idx_sets_are_read_from_torchvisions_folders(name, gz, tmp_path):
    held = write_idx_set(tmp_path / IDX_SETS[name] / "raw", name, gz)
    loaded = data.load(name, root=tmp_path)
    letters = name == "emnist-letters"
    assert loaded.n_classes == (26 if letters else 10)
    for part in ("train", "test"):
        x, y = held[f"x_{part}"], held[f"y_{part}"].astype(int)
        if letters:
            x, y = x.transpose(0, 2, 1), y - 1
        assert np.array_equal(getattr(loaded, f"x_{part}"), x[:, None].astype(np.float32) / 255)
        assert np.array_equal(getattr(loaded, f"y_{part}"), y)


@pytest.mark.parametrize("name", IDX_SETS)
def test_torchvision_reads_the_same(name, tmp_path):
    from trickster import _torchvision

    write_idx_set(tmp_path / IDX_SETS[name] / "raw", name)
    options = {"split": "letters"} if name == "emnist-letters" else {}
    theirs = getattr(_torchvision.load().datasets, IDX_SETS[name])(tmp_path, **options)
    ours = data.load(name, root=tmp_path)
    x, y = theirs.data.numpy(), theirs.targets.numpy()
    if options:
        x, y = x.transpose(0, 2, 1), y - 1
    assert np.array_equal(ours.x_train[:, 0] * 255, x)
    assert np.array_equal(ours.y_train, y)


def test_all_the_clothes_may_lie_directly_in_the_folder(tmp_path):
    write_idx_set(tmp_path, "fashion-full", gz=True)
    assert len(data.load("fashion-full", root=tmp_path).x_train) == 8
    with pytest.raises(data.DataNotFound):  # the others share its file names: no guessing
        data.load("mnist", root=tmp_path)


def test_all_the_clothes_are_looked_for_in_debians_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "DEBIAN_FASHION", tmp_path / "debian")
    write_idx_set(tmp_path / "debian", "fashion-full", gz=True)
    assert len(data.load("fashion-full").x_train) == 8
    with pytest.raises(data.DataNotFound):
        data.load("fashion-full", root=tmp_path / "elsewhere")


def test_half_a_set_is_not_there(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    write_idx_set(folder, "mnist")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(data.DataNotFound):
        data.load("mnist", root=tmp_path)


def test_labels_that_do_not_fit_are_broken_data(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    write_idx_set(folder, "mnist")
    write_idx(folder / "train-labels-idx1-ubyte", np.full(8, 10, np.uint8))
    with pytest.raises(data.BrokenData, match=r"are not 'mnist'.*labels from 0 to 9"):
        data.load("mnist", root=tmp_path)


@given(
    arrays.arrays(np.uint8, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)),
    st.booleans(),
)
def test_idx_files_are_read_as_they_were_written(tmp_path_factory, array, gz):
    path = tmp_path_factory.mktemp("idx") / ("a.gz" if gz else "a")
    write_idx(path, array)
    read = data_folder.read_idx(path)
    assert read.dtype == np.uint8 and np.array_equal(read, array)


GOOD = bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3])
# Without the time of day, which would give the tests other names in each worker.
GZIPPED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("a", b"", "not an IDX file"),
        ("a", b"<html>not found</html>", "not an IDX file"),
        ("a", bytes([0, 0, 13]) + GOOD[3:], "not an IDX file"),  # floats
        ("a", GOOD[:6], "not an IDX file"),
        ("a", bytes([0, 0, 8, 0, 1]), "not an IDX file"),  # no dimensions
        ("a", GOOD[:-1], "should hold 3 bytes .* holds 2"),
        ("a", GOOD + b"x", "should hold 3 bytes .* holds 4"),
        ("a", bytes([0, 0, 8, 4]) + b"\xff" * 16, "should hold 340282"),
        ("a.gz", GOOD, "is damaged"),
        ("a.gz", GZIPPED[:-9], "is damaged"),
        ("a.gz", GZIPPED[:20] + b"\xff" * 20, "is damaged"),
    ],
)
def test_broken_idx_files_are_explained(name, content, sentence, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(data.BrokenData, match=sentence) as caught:
        data_folder.read_idx(path)
    assert str(path) in str(caught.value)


# --- CIFAR-10 ---------------------------------------------------------------------------------


def write_image_folder(root: Path, per_class: int = 3) -> dict[str, np.ndarray]:
    """Tiny PNGs; class c, number k is all (10c, 20k, 100 + c)."""
    for part in ("train", "test"):
        for label, name in enumerate(data.CIFAR10_CLASSES):
            folder = root / "cifar10" / part / name
            folder.mkdir(parents=True)
            for k in range(per_class):
                colour = (10 * label, 20 * k, 100 + label)
                # 0.png, 9.png, 18.png: by letters, 18 would come before 9.
                Image.new("RGB", (32, 32), colour).save(folder / f"{9 * k}.png")


def test_an_image_folder_is_read_in_turns(tmp_path):
    write_image_folder(tmp_path)
    cifar = data.load("cifar10", root=tmp_path)
    assert cifar.x_train.shape == (30, 3, 32, 32)
    assert cifar.y_train.tolist() == [*range(10)] * 3
    for i, (picture, label) in enumerate(zip(cifar.x_train, cifar.y_train, strict=True)):
        colour = np.array([10 * label, 20 * (i // 10), 100 + label], np.float32) / 255
        assert np.array_equal(picture, np.broadcast_to(colour[:, None, None], (3, 32, 32)))


def test_classes_of_different_sizes_take_turns_while_they_last(tmp_path):
    write_image_folder(tmp_path, per_class=2)
    (tmp_path / "cifar10/train/airplane/9.png").unlink()
    y = data.load("cifar10", root=tmp_path).y_train
    assert y.tolist() == [*range(10), *range(1, 10)]


def test_other_modes_and_other_files_are_fine(tmp_path):
    write_image_folder(tmp_path, per_class=1)
    folder = tmp_path / "cifar10/train/cat"
    (folder / "notes.txt").write_text("not a picture")
    Image.new("L", (32, 32), 51).save(folder / "1.PNG")
    Image.new("RGB", (32, 32), (51, 51, 51)).save(folder / "2.jpg", quality=95)
    cifar = data.load("cifar10", root=tmp_path)
    grey = cifar.x_train[cifar.y_train == 3][1:]
    assert np.allclose(grey, 0.2, atol=0.01) and len(grey) == 2


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (lambda f: shutil.rmtree(f / "frog"), r"frog holds no \.jpg or \.png.*all ten classes"),
        (lambda f: (f / "cat/0.png").write_bytes(b"no"), "cat.0.png cannot be read as a picture"),
        (
            lambda f: (f / "cat/0.png").write_bytes((f / "dog/0.png").read_bytes()[:60]),
            "cat.0.png cannot be read as a picture",
        ),
        (
            lambda f: Image.new("RGB", (64, 32)).save(f / "dog/0.png"),
            "dog.0.png is 64x32, and pictures of CIFAR-10 are 32x32",
        ),
    ],
    ids=["a class is missing", "no picture", "truncated", "other size"],
)
def test_spoilt_image_folders_are_explained(spoil, sentence, tmp_path):
    write_image_folder(tmp_path, per_class=1)
    spoil(tmp_path / "cifar10" / "train")
    with pytest.raises(data.BrokenData, match=sentence):
        data.load("cifar10", root=tmp_path)


def write_cifar_batches(root: Path, n: int = 10) -> np.ndarray:
    """Tiny batches as the original archive has them; the training pictures (5n, 3, 32, 32)."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rows = bytes_of((6 * n, 3072))
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        batch = {"data": rows[i * n : (i + 1) * n], "labels": [j % 10 for j in range(n)]}
        content = pickle.dumps(batch, protocol=2)
        # The originals spell the flags of a dtype as 0 and 1, to which some NumPys object.
        assert b"\x89\x88\x87" in content
        (folder / name).write_bytes(content.replace(b"\x89\x88\x87", b"K\x00K\x01\x87"))
    meta = {"label_names": list(data.CIFAR10_CLASSES)}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return rows[: 5 * n].reshape(-1, 3, 32, 32)


def trust(monkeypatch, folder: Path) -> None:
    """Let torchvision expect the checksums of the tiny batches."""
    from trickster import _torchvision

    cifar = _torchvision.load().datasets.CIFAR10

    def md5(name):
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    lists = {"train_list": cifar.train_list, "test_list": cifar.test_list}
    for attribute, files in lists.items():
        monkeypatch.setattr(cifar, attribute, [[name, md5(name)] for name, _ in files])
    monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": md5("batches.meta")})


def test_the_original_batches_are_read_through_torchvision(tmp_path, monkeypatch):
    x = write_cifar_batches(tmp_path)
    trust(monkeypatch, tmp_path / "cifar-10-batches-py")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cifar = data.load("cifar10", root=tmp_path)
    assert np.array_equal(cifar.x_train, x.astype(np.float32) / 255)
    assert cifar.y_train.tolist() == [*range(10)] * 5
    assert len(cifar.x_test) == 10
    assert cifar.classes == data.CIFAR10_CLASSES


def test_batches_that_are_not_the_original_are_refused(tmp_path):
    write_cifar_batches(tmp_path)
    with pytest.raises(data.BrokenData, match=r"incomplete or damaged.*download=True"):
        data.load("cifar10", root=tmp_path)


@pytest.mark.slow
def test_real_pictures_of_cifar10(real_cifar10):
    cifar = data.load("cifar10", root=real_cifar10)
    assert cifar.x_train.shape == (30, 3, 32, 32) and cifar.x_test.shape == (400, 3, 32, 32)
    sky = cifar.x_train[np.isin(cifar.y_train, [0, 8]), 2].mean()
    assert (
        sky > cifar.x_train[cifar.y_train == 6, 2].mean()
    )  # planes and ships are bluer than frogs


# --- Dataset ----------------------------------------------------------------------------------

X, Y = np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"x_train": X[:, 0]}, "x_train must be a non-empty float32"),
        ({"x_test": X.astype(np.float64)}, "x_test must be a non-empty float32.*got float64"),
        ({"x_train": X[:0]}, "non-empty"),
        ({"x_train": X.tolist()}, "got list"),
        ({"x_train": X + 1.5}, r"lie in \[0, 1\], got values from 1.5.*Divide 8-bit"),
        ({"x_train": X * np.nan}, r"lie in \[0, 1\]"),
        ({"y_train": Y[:3]}, r"shape \(4,\), one label a picture"),
        ({"y_test": Y.astype(np.int32)}, "y_test must be an int64"),
        ({"y_test": Y + 1}, "labels from 0 to 1, got 1 to 2"),
        ({"y_test": Y - 1}, "labels from 0 to 1, got -1 to 0"),
        ({"x_test": X[..., :1]}, "training pictures have shape.*Resize"),
    ],
)
def test_a_dataset_checks_its_arrays(change, sentence):
    good = {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, "classes": ("a", "b")}
    data.Dataset("toy", **good)
    with pytest.raises(ValueError, match=sentence):
        data.Dataset("toy", **{**good, **change})


# --- split ------------------------------------------------------------------------------------


@st.composite
def labels_and_sizes(draw) -> tuple[np.ndarray, list[int]]:
    y = np.array(draw(st.lists(st.integers(0, 4), min_size=1, max_size=80)))
    sizes, left = [], len(y)
    for _ in range(draw(st.integers(1, 4))):
        sizes.append(draw(st.integers(0, left)))
        left -= sizes[-1]
    return y, sizes


@given(labels_and_sizes(), st.integers(0, 1_000))
def test_splits_are_disjoint_stratified_and_repeatable(case, seed):
    y, sizes = case
    x = np.arange(len(y))
    parts = data.split(x, y, sizes, seed=seed)
    assert [len(part) for part, _ in parts] == sizes
    chosen = np.concatenate([part for part, _ in parts])
    assert len(set(chosen)) == len(chosen)
    for part, labels in parts:
        assert np.array_equal(labels, y[part])
        for label in np.unique(y):
            expected = np.mean(y == label) * len(part)
            assert abs(np.sum(labels == label) - expected) <= 2
    again = data.split(x, y, sizes, seed=seed)
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(parts, again, strict=True))


def test_another_seed_splits_otherwise():
    y = np.repeat(np.arange(10), 20)
    (first, _), (other, _) = (data.split(np.arange(200), y, [50], seed=s)[0] for s in (0, 1))
    assert set(first) != set(other)


def test_every_sample_has_the_same_chance():
    y = np.repeat([0, 1], [30, 10])
    counts = np.zeros(40)
    for seed in range(600):
        counts[data.split(np.arange(40), y, [20], seed=seed)[0][0]] += 1
    # Binomial(600, 1/2) has a standard deviation of 12.
    assert counts.min() > 240 and counts.max() < 360


def test_parts_are_copies_that_may_be_changed():
    digits = data.load("digits")
    ((x, y),) = data.split(digits.x_train, digits.y_train, [100], seed=0)
    x[:], y[:] = 0, 0
    assert digits.x_train.max() == 1 and digits.y_train.max() == 9


@pytest.mark.parametrize(
    "x, y, sizes, sentence",
    [
        (np.zeros(5), np.zeros(4), [1], "one label a sample"),
        (np.zeros(5), np.zeros((5, 1)), [1], "one label a sample"),
        (np.zeros(5), np.zeros(5), [3, 3], r"3 \+ 3 = 6 samples, and there are 5"),
        (np.zeros(5), np.zeros(5), [-1], "integers from 0"),
        (np.zeros(5), np.zeros(5), [0.5], "integers from 0"),
        (np.zeros(5), np.zeros(5), [True], "integers from 0"),
    ],
)
def test_impossible_splits_are_refused(x, y, sizes, sentence):
    with pytest.raises(ValueError, match=sentence):
        data.split(x, y, sizes, seed=0)


def test_the_network_guard_of_these_tests_works():
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("192.0.2.1", 80))
    assert "TRICKSTER_DATA" not in os.environ
