"""What checks compute once for a whole class, such as hidden pools: where a machine keeps it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, suppress

from autograder.environment import variables
from trickster.data import cache_dir

CACHE_DAYS = 7  # that what checks have computed once is kept


def shared_cache() -> AbstractContextManager[None]:
    """What is the same for a whole class is computed once: this machine's workers keep it.

    The sandbox sees neither the folder nor the variables.
    """
    folder = cache_dir() / "checks"
    with suppress(OSError):  # a sandbox hides what is there when it starts
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob("*.npz"):  # an entry of an older library is never asked for again
        with suppress(FileNotFoundError):  # another worker has been faster
            if time.time() - path.stat().st_mtime > CACHE_DAYS * 86_400:
                path.unlink()
    return variables({"TRICKSTER_STORE": str(folder), "TRICKSTER_STORE_WRITE": "1"})
