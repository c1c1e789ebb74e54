"""Data sets in a folder laid out as torchvision does it: reading them, and filling it.

The MNIST family as IDX files; CIFAR-10 as its original batches or as a folder of pictures. Which
folder, and what ships with the course, is the business of ``data``.
"""

from __future__ import annotations

import functools
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trickster.dataset import BrokenData, DataNotFound, Dataset, from_bytes

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
DIGITS = tuple("0123456789")
# name -> torchvision's class (also its folder's name, in the MNIST family) and its options
TORCHVISION: dict[str, tuple[str, dict[str, str]]] = {
    "fashion-full": ("FashionMNIST", {}),
    "mnist": ("MNIST", {}),
    "kmnist": ("KMNIST", {}),
    "emnist-letters": ("EMNIST", {"split": "letters"}),
    "cifar10": ("CIFAR10", {}),
}
CLASSES: dict[str, tuple[str, ...]] = {
    "fashion-full": FASHION_CLASSES,
    "mnist": DIGITS,
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "emnist-letters": tuple("abcdefghijklmnopqrstuvwxyz"),
}


def load_from(name: str, places: Sequence[Path], download: bool) -> Dataset:
    """Read a data set from the first place that has it, after a download if need be."""
    read = _read_cifar10 if name == "cifar10" else functools.partial(_read_idx_set, name)
    for place in places:
        data = read(place)
        if data is not None:
            return data
    if download:
        _download(name, places[0])
        data = read(places[0])
        if data is not None:
            return data
    raise DataNotFound(
        f"The data set {name!r} was not found; looked in {' and '.join(map(str, places))}. "
        f"Either let torchvision download it, load({name!r}, download=True); or say where it is, "
        f"load({name!r}, root=<folder>); or set the environment variable TRICKSTER_DATA to "
        "that folder."
    )


def _download(name: str, root: Path) -> None:
    """Let torchvision download ``name`` into ``root``."""
    from trickster import _torchvision

    class_name, options = TORCHVISION[name]
    root.mkdir(parents=True, exist_ok=True)
    try:
        getattr(_torchvision.load().datasets, class_name)(str(root), download=True, **options)
    except (OSError, RuntimeError) as error:
        raise DataNotFound(
            f"torchvision could not download {name!r} into {root}: {_one_line(error)}. Check the "
            "network, or copy the files there by hand from a machine that has one."
        ) from error


def _one_line(error: Exception) -> str:
    """What an error says, without line breaks and the full stop."""
    return " ".join(str(error).split()).rstrip(".")


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of bytes, the format of MNIST (LeCun, Cortes, Burges).

    Parameters
    ----------
    path: the file; it is unzipped on the fly if the name ends in .gz.

    Returns
    -------
    uint8 array of the shape that the file states.

    Raises
    ------
    BrokenData: the file is truncated, or is not an IDX file of bytes.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BrokenData(f"{path} is damaged ({error}). Delete it and fetch it again.") from error
    # Two zero bytes, 8 for "unsigned byte", the number of dimensions, then each as 4 bytes.
    start = 4 + 4 * raw[3] if len(raw) > 3 and raw[:3] == b"\x00\x00\x08" else 0
    if start <= 4 or len(raw) < start:
        raise BrokenData(
            f"{path} is not an IDX file of bytes. Delete it and fetch the original again."
        )
    shape = tuple(np.frombuffer(raw, ">u4", offset=4, count=raw[3]).tolist())
    size = int(np.prod(shape, dtype=object))
    if len(raw) - start != size:
        raise BrokenData(
            f"{path} should hold {size} bytes of data for its shape {shape} and holds "
            f"{len(raw) - start}. Delete it and fetch it again."
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def find_idx(folder: Path, prefixes: Sequence[str]) -> list[Path] | None:
    """The IDX files of images and labels for each prefix, plain or .gz; None if one is missing.

    For ``["train", "t10k"]``: [train images, train labels, test images, test labels].
    """
    found = []
    for prefix in prefixes:
        for stem in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
            paths = [p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()]
            if not paths:
                return None
            found.append(paths[0])
    return found


def _read_idx_set(name: str, root: Path) -> Dataset | None:
    """One of the MNIST family from ``root``; None if it is not there."""
    letters = name == "emnist-letters"
    prefixes = [f"{name}-train", f"{name}-test"] if letters else ["train", "t10k"]
    folders = [root / TORCHVISION[name][0] / "raw"]
    # Only here: the MNIST family shares its file names, so a bare folder could be any of them.
    folders += [root] if name == "fashion-full" else []
    paths = next(filter(None, (find_idx(folder, prefixes) for folder in folders)), None)
    if paths is None:
        return None
    x_train, y_train, x_test, y_test = map(read_idx, paths)
    if letters:  # EMNIST stores its pictures transposed and counts its letters from 1
        x_train, x_test = x_train.swapaxes(1, 2), x_test.swapaxes(1, 2)
        y_train, y_test = y_train.astype(np.int64) - 1, y_test.astype(np.int64) - 1
    try:
        pairs = (x_train[:, None], y_train), (x_test[:, None], y_test)
        return from_bytes(name, *pairs, CLASSES[name])
    except ValueError as error:
        raise BrokenData(f"The files in {paths[0].parent} are not {name!r}: {error}") from error


def _read_cifar10(root: Path) -> Dataset | None:
    """CIFAR-10 (Krizhevsky 2009) from ``root``; None if it is not there."""
    if (root / "cifar-10-batches-py").is_dir():
        train, test = (_read_cifar_batches(root, train) for train in (True, False))
    elif (root / "cifar10").is_dir():
        train, test = (_read_image_folder(root / "cifar10" / part) for part in ("train", "test"))
    else:
        return None
    return from_bytes("cifar10", train, test, CIFAR10_CLASSES)


def _read_cifar_batches(root: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (n, 3, 32, 32) and labels from the original batches, which torchvision verifies."""
    from trickster import _torchvision

    datasets = _torchvision.load().datasets
    with warnings.catch_warnings():
        # NumPy >= 2.4 objects to how these old pickles spell their dtype; the data is fine.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        try:
            data = datasets.CIFAR10(str(root), train=train)
        except RuntimeError as error:
            raise BrokenData(
                f"{root / 'cifar-10-batches-py'} is incomplete or damaged ({error}). Delete it "
                "and call load('cifar10', download=True)."
            ) from error
    return data.data.transpose(0, 3, 1, 2), np.array(data.targets)


def _read_image_folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (n, 3, 32, 32) and labels from ``folder/<class>/*.jpg|png``, classes in turns."""
    ranked = []
    for label, name in enumerate(CIFAR10_CLASSES):
        files = (folder / name).glob("*") if (folder / name).is_dir() else ()
        pictures = [p for p in files if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
        if not pictures:
            raise BrokenData(
                f"{folder / name} holds no .jpg or .png. An image folder of CIFAR-10 needs all "
                f"ten classes: {', '.join(CIFAR10_CLASSES)}."
            )
        pictures.sort(key=_natural_order)
        ranked += [(rank, label, path) for rank, path in enumerate(pictures)]
    ranked.sort(key=lambda entry: entry[:2])
    paths = [path for _, _, path in ranked]
    return _decode(paths), np.array([label for _, label, _ in ranked])


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Sort key: 2.jpg before 10.jpg."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts]


def _decode(paths: Sequence[Path]) -> np.ndarray:
    """The pictures in ``paths`` as uint8 (n, 3, 32, 32).

    One after the other, about a third of a millisecond each: threads made it no faster.
    """
    from PIL import Image

    x = np.empty((len(paths), 32, 32, 3), np.uint8)
    for row, path in zip(x, paths, strict=True):
        try:
            # Read at once and convert only if need be: half the time for pictures this small.
            with Image.open(io.BytesIO(path.read_bytes())) as picture:
                size = picture.size
                rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
                pixels = rgb.tobytes()
        except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError on a broken PNG
            raise BrokenData(
                f"{path} cannot be read as a picture ({error}). Restore it or delete it."
            ) from error
        if size != (32, 32):
            raise BrokenData(
                f"{path} is {size[0]}x{size[1]}, and pictures of CIFAR-10 are 32x32. Resize it."
            )
        row[:] = np.frombuffer(pixels, np.uint8).reshape(32, 32, 3)
    return x.transpose(0, 3, 1, 2)
