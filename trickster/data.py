"""Pictures with labels: the data sets of the labs, and how to split them.

``load("fashion")`` needs no network: its pictures ship with the course. The other sets are
read from a data folder, which torchvision can fill (``download=True``); how, is the business of
``data_folder``. What a thief sends to a victim (query pools) lives in ``pools``.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import platformdirs

from trickster.data_folder import CIFAR10_CLASSES, DIGITS, FASHION_CLASSES, load_from
from trickster.dataset import BrokenData, ChecksumMismatch, DataNotFound, Dataset, from_bytes

__all__ = (
    "CIFAR10_CLASSES",
    "FASHION_CLASSES",
    "BrokenData",
    "ChecksumMismatch",
    "DataNotFound",
    "Dataset",
    "cache_dir",
    "data_root",
    "datasets_dir",
    "embedded_bytes",
    "load",
    "split",
    "train_size",
    "unknown_name",
)

CHECKSUMS = "checksums.json"
FASHION_FILE = "fashion_mnist_mini.npz"
# Where Debian's package dataset-fashion-mnist puts all 70,000 pictures.
DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")

# --- loading ----------------------------------------------------------------------------------

_cache: dict[tuple[str, str], Dataset] = {}


def load(
    name: str = "fashion", *, root: str | Path | None = None, download: bool = False
) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    name: one of ``NAMES``.
        "fashion" (default): 12,000 + 5,000 pictures of Fashion-MNIST (Xiao, Rasul, Vollgraf
        2017), shipped with the course. "fashion-full": all 60,000 + 10,000.
        "mnist"; "kmnist"; "emnist-letters" (labels 0 to 25, pictures upright); "cifar10".
        "digits": scikit-learn's 1,797 digits of 8x8, a fixed stratified split 70/30.
    root: the data folder, laid out as torchvision does. Default: the environment variable
        TRICKSTER_DATA, else a cache folder of the user's (see ``cache_dir``). "cifar10" may also
        be an image folder, ``cifar10/{train,test}/<class>/*.jpg`` or ``*.png``; its pictures
        come in turns, one of each class, so that any first n hold every class. "fashion-full"
        may also be the four IDX files directly in the folder, plain or .gz, and is looked for
        where Debian's package dataset-fashion-mnist lands when no root is given.
    download: let torchvision download what is not there into the data folder. Default: False.

    Returns
    -------
    The same ``Dataset`` object at every call in this process. Its arrays are **read-only**, so
    that nobody spoils it for the next caller: use ``x.copy()``, or ``torch.tensor(x)``, which
    copies too (``torch.from_numpy`` and ``torch.as_tensor`` warn about a read-only array).

    Raises
    ------
    ValueError: there is no data set of this name.
    DataNotFound: it is not on this machine, or the download failed.
    BrokenData: a file is truncated or is something else (``ChecksumMismatch`` for "fashion").
    """
    if name not in NAMES:
        raise ValueError(unknown_name("data set", name, NAMES))
    places = () if name in _EMBEDDED else _places(name, root)
    key = (name, os.pathsep.join(map(str, places)))
    if key not in _cache:
        data = _EMBEDDED[name]() if name in _EMBEDDED else load_from(name, places, download)
        for array in (data.x_train, data.y_train, data.x_test, data.y_test):
            array.flags.writeable = False
        _cache[key] = data
    return _cache[key]


def data_root(root: str | Path | None = None) -> Path:
    """The data folder: ``root``, else TRICKSTER_DATA, else ``cache_dir``. It need not exist."""
    chosen = root or os.environ.get("TRICKSTER_DATA")
    return Path(chosen).expanduser().absolute() if chosen else cache_dir()


def cache_dir() -> Path:
    """The folder of what the course fetches or measures on a user's machine, and keeps there.

    TRICKSTER_CACHE, else %LOCALAPPDATA%/trickster on Windows, ~/Library/Caches/trickster on
    macOS, and $XDG_CACHE_HOME/trickster or ~/.cache/trickster elsewhere. It need not exist.
    """
    chosen = os.environ.get("TRICKSTER_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("trickster", appauthor=False, opinion=False)


def train_size(name: str) -> int:
    """How many training pictures the complete data set ``name`` has, without loading it."""
    if name not in _TRAIN_SIZES:
        raise ValueError(unknown_name("data set", name, NAMES))
    return _TRAIN_SIZES[name]


def unknown_name(what: str, name: object, names: Iterable[str]) -> str:
    """The sentence for a name that does not exist."""
    names = list(names)
    close = difflib.get_close_matches(str(name).lower(), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"There is no {what} {name!r}.{hint} Known: {', '.join(names)}."


# --- what ships with the course ---------------------------------------------------------------


def datasets_dir() -> Path:
    """The folder of the files that ship with the course.

    In an installed wheel it is inside the package (``trickster/_datasets``), in a checkout it
    is ``datasets`` beside the package.

    Raises
    ------
    DataNotFound: neither is there.
    """
    package = Path(__file__).resolve().parent
    candidates = (package / "_datasets", package.parent / "datasets")
    for folder in candidates:
        if (folder / CHECKSUMS).is_file():
            return folder
    raise DataNotFound(
        f"The course's own data is missing: neither {candidates[0]} nor {candidates[1]} holds "
        f"{CHECKSUMS}. Reinstall trickster, or check the repository out again."
    )


def embedded_bytes(filename: str) -> bytes:
    """The content of a file that ships with the course, checked against its SHA-256.

    Parameters
    ----------
    filename: its name in ``datasets_dir()``; it must be listed in checksums.json there.

    Raises
    ------
    DataNotFound: the file is missing, or has no checksum.
    ChecksumMismatch: the file was damaged or changed.
    """
    folder = datasets_dir()
    expected = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8")).get(filename)
    path = folder / filename
    if expected is None or not path.is_file():
        lack = "is not there" if expected else f"has no checksum in {CHECKSUMS}"
        raise DataNotFound(
            f"{path} {lack}. Reinstall trickster, or check the repository out again."
        )
    content = path.read_bytes()
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise ChecksumMismatch(
            f"{path} is not the file that ships with the course: its SHA-256 should be "
            f"{expected} and is {got}. Restore it (git checkout, or reinstall trickster); if you "
            f"changed it on purpose, run the script that its card names, which updates {CHECKSUMS}."
        )
    return content


def _load_fashion() -> Dataset:
    """The embedded Fashion-MNIST; see datasets/fashion_mnist_mini.md."""
    with np.load(io.BytesIO(embedded_bytes(FASHION_FILE)), allow_pickle=False) as file:
        train, test = (
            (file[f"x_{part}"][:, None], file[f"y_{part}"]) for part in ("train", "test")
        )
    return from_bytes("fashion", train, test, FASHION_CLASSES)


def _load_digits() -> Dataset:
    """scikit-learn's digits (Alpaydin and Kaynak 1998), 1,257 for training and 540 for test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    x = (bunch.images[:, None] / 16).astype(np.float32)
    y = bunch.target.astype(np.int64)
    parts = train_test_split(x, y, test_size=0.3, stratify=y, random_state=42)
    x_train, x_test, y_train, y_test = parts
    return Dataset("digits", x_train, y_train, x_test, y_test, DIGITS)


# --- what lies in a data folder ---------------------------------------------------------------


def _places(name: str, root: str | Path | None) -> tuple[Path, ...]:
    """The data folders to look in, in order; downloads go to the first."""
    extra = (DEBIAN_FASHION,) if name == "fashion-full" and root is None else ()
    return (data_root(root), *extra)


# --- the table --------------------------------------------------------------------------------

_EMBEDDED: dict[str, Callable[[], Dataset]] = {"fashion": _load_fashion, "digits": _load_digits}
_TRAIN_SIZES = {
    "fashion": 12_000,
    "fashion-full": 60_000,
    "mnist": 60_000,
    "kmnist": 60_000,
    "emnist-letters": 124_800,
    "cifar10": 50_000,
    "digits": 1_257,
}
NAMES: tuple[str, ...] = tuple(_TRAIN_SIZES)


# --- splits -----------------------------------------------------------------------------------


def split(
    x: np.ndarray, y: np.ndarray, sizes: Sequence[int], *, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut stratified, disjoint parts out of labelled data.

    Every class is spread evenly over one order of all the samples (chance decides within a
    class, and between classes where they tie), and the parts are consecutive slices of it. So
    any sizes work, also with classes of a single sample; each part holds every class in its
    share of ``y``, to within two samples; and so does the beginning of a part.

    Parameters
    ----------
    x: samples, shape (n, ...), any dtype.
    y: labels, shape (n,).
    sizes: how many samples each part gets; what is left over is in no part.
    seed: the same seed gives the same parts.

    Returns
    -------
    One pair (x, y) for each size: writeable copies.

    Raises
    ------
    ValueError: a size is negative or no integer, they add up to more than n, or x and y differ
        in length.
    """
    x, y = np.asarray(x), np.asarray(y)
    if y.ndim != 1 or x.ndim < 1 or len(x) != len(y):
        raise ValueError(
            f"split needs one label a sample, got x of shape {x.shape} and y of shape {y.shape}."
        )
    if any(isinstance(s, bool) or not isinstance(s, (int, np.integer)) or s < 0 for s in sizes):
        raise ValueError(f"split needs sizes that are integers from 0, got {list(sizes)}.")
    if sum(sizes) > len(y):
        raise ValueError(
            f"split was asked for {' + '.join(map(str, sizes))} = {sum(sizes)} samples, and there "
            f"are {len(y)}. Ask for smaller parts."
        )
    ends = np.cumsum([0, *sizes])
    order = _stratified_order(y, np.random.default_rng(seed))
    parts = [order[a:b] for a, b in itertools.pairwise(ends)]
    return [(x[part], y[part]) for part in parts]


def _stratified_order(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of range(len(y)) that spreads every class evenly from front to back."""
    position = np.empty(len(y))
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((rng.random(len(y)), position))
