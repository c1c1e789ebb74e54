"""What is the same for a whole class: computed once, and kept on disk by the instructor's run.

``TRICKSTER_STORE`` names the folder. Entries are written only where ``TRICKSTER_STORE_WRITE``
is ``1``, whole or not at all, so that many workers may share it. Where neither is set, as on a
student's machine, everything is computed. The folder holds hidden pictures: keep it out of
reach of the code that is graded.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch

from trickster import data
from trickster.files import write_atomically

Arrays = dict[str, np.ndarray]
# Those that draw, compute or train what is kept.
PACKAGES = ("matplotlib", "numpy", "pillow", "scikit-learn", "torch")

CONTENTS = "contents"  # in every entry: the names of its arrays


def remember(what: str, inputs: Mapping[str, object], make: Callable[[], Arrays]) -> Arrays:
    """The arrays of ``make()``, from the cache if an earlier run left them there.

    Parameters
    ----------
    what : the kind of entry, such as ``"pool"``; the first part of its file name.
    inputs : all that the arrays depend on beside the library, its data and its versions; plain
        values that JSON can write.
    make : computes the arrays; a function of ``inputs`` alone.
    """
    folder = os.environ.get("TRICKSTER_STORE")
    if not folder:
        return make()
    path = Path(folder) / f"{what}-{_key(what, inputs)}.npz"
    arrays = _read(path)
    if arrays is None:
        arrays = make()
        if os.environ.get("TRICKSTER_STORE_WRITE") == "1":
            _write(path, arrays)
    return arrays


def _key(what: str, inputs: Mapping[str, object]) -> str:
    """Changes with everything that could change an entry by one bit."""
    everything = {
        "what": what,
        "inputs": dict(inputs),
        "library": _library(),
        "threads": torch.get_num_threads(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.is_available(),
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:32]


@cache
def _library() -> str:
    """One hash of the library's code, of the shipped data and victim, and of the packages."""
    digest = hashlib.sha256((data.datasets_dir() / data.CHECKSUMS).read_bytes())
    root = Path(__file__).resolve().parent.parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"\0{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    for name in PACKAGES:
        digest.update(f"\0{name} {importlib.metadata.version(name)}".encode())
    return digest.hexdigest()


def _read(path: Path) -> Arrays | None:
    """The arrays of an entry; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        # A zip guards what its members hold, but not how many it has.
        return arrays if arrays.pop(CONTENTS).tolist() == sorted(arrays) else None
    except Exception:  # a damaged zip fails in a dozen ways, and each means: compute it again
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """All at once: nobody may find half an entry. A full disk stops no grading."""
    content = io.BytesIO()
    np.savez(content, **{CONTENTS: np.array(sorted(arrays))}, **arrays)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # hidden pools are in there
        write_atomically(path, content.getvalue())
