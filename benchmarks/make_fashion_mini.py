"""Make the two files of Fashion-MNIST that the course has: the labs' own, and grading's reserve.

    python -m benchmarks.make_fashion_mini --root /usr/share/datasets/fashion-mnist

The root holds the four original IDX files, plain or .gz (Debian's package
dataset-fashion-mnist, or the folder FashionMNIST/raw that torchvision fills). The same files
give the same bytes at every run with the same zlib; the checksum is written to
datasets/checksums.json. See datasets/fashion_mnist_mini.md, and for the reserve, which students
are not given, autograder/held_back/fashion_reserve.md.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from trickster.data import CHECKSUMS, DEBIAN_FASHION, FASHION_FILE
from trickster.data_folder import find_idx, read_idx

SEED = 2017
TRAIN_PER_CLASS = 1_200
TEST_PER_CLASS = 500
REPOSITORY = Path(__file__).resolve().parent.parent
RESERVE = REPOSITORY / "autograder" / "held_back" / "fashion_reserve.npz"


def choose(y: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted int32 indices of ``per_class`` random samples of each label in ``y``, shape (n,).

    Sorted, so that the pictures keep the order of the original, which is already mixed.
    """
    chosen = [
        rng.choice(np.flatnonzero(y == label), per_class, replace=False) for label in np.unique(y)
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int32)


def select(root: Path, train_per_class: int, test_per_class: int) -> dict[str, np.ndarray]:
    """The arrays of the file: uint8 pictures (n, h, w) and labels (n,), int32 indices (n,)."""
    paths = find_idx(root, ["train", "t10k"])
    if paths is None:
        raise SystemExit(
            f"{root} does not hold the four IDX files of Fashion-MNIST (train- and t10k-, images "
            "and labels). Install Debian's package dataset-fashion-mnist, or give --root."
        )
    x_train, y_train, x_test, y_test = map(read_idx, paths)
    rng = np.random.default_rng(SEED)
    train, test = choose(y_train, train_per_class, rng), choose(y_test, test_per_class, rng)
    return {
        "x_train": x_train[train],
        "y_train": y_train[train],
        "x_test": x_test[test],
        "y_test": y_test[test],
        "train_index": train,
        "test_index": test,
    }


def left_over(root: Path, test_index: np.ndarray) -> dict[str, np.ndarray]:
    """The original's test pictures but those of ``test_index``, the reserve of grading.

    uint8 pictures (n, h, w) and labels (n,), int32 places in the original (n,).
    """
    x, y = map(read_idx, find_idx(root, ["t10k"]))
    index = np.setdiff1d(np.arange(len(y)), test_index).astype(np.int32)
    return {"x": x[index], "y": y[index], "index": index}


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz as bytes that depend on nothing but the arrays and zlib: no clock, no platform."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            member.external_attr = 0o644 << 16
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
            archive.writestr(member, content.getvalue(), compresslevel=9)
    return buffer.getvalue()


def make(
    root: Path,
    out: Path,
    *,
    train_per_class: int = TRAIN_PER_CLASS,
    test_per_class: int = TEST_PER_CLASS,
) -> Path:
    """Write the file and its checksum into the folder ``out``; return the file's path."""
    arrays = select(root, train_per_class, test_per_class)
    content = pack(arrays)
    digest = hashlib.sha256(content).hexdigest()
    path, table = out / FASHION_FILE, out / CHECKSUMS
    path.write_bytes(content)
    known = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else {}
    known[FASHION_FILE] = digest
    lines = json.dumps(known, indent=2, sort_keys=True) + "\n"
    table.write_text(lines, encoding="utf-8", newline="\n")
    for name, array in arrays.items():
        print(f"{name:<12} {array.dtype!s:<6} {array.shape}")
    print(f"wrote {path}: {len(content):,} bytes, SHA-256 {digest}")
    print(f"updated {table}")
    return path


def make_reserve(root: Path, path: Path) -> None:
    """Write what ``select`` leaves of the test pictures; its card has the checksum."""
    arrays = left_over(root, select(root, TRAIN_PER_CLASS, TEST_PER_CLASS)["test_index"])
    content = pack(arrays)
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    print(f"wrote {path}: {len(arrays['y']):,} pictures, {len(content):,} bytes, SHA-256 {digest}")


def main() -> None:
    """Read the command line and make the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=DEBIAN_FASHION, help="folder of IDX files")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "datasets", help="where to write")
    parser.add_argument("--reserve", action="store_true", help="make grading's reserve instead")
    arguments = parser.parse_args()
    if arguments.reserve:
        make_reserve(arguments.root, RESERVE)
    else:
        make(arguments.root, arguments.out)


if __name__ == "__main__":
    main()
