"""Environment variables that processes started meanwhile inherit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

# Several workers, or a machine with more cores, must not change a score.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


@contextmanager
def variables(told: Mapping[str, str]) -> Iterator[None]:
    """Set these, and put back at the end whatever was there before."""
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def one_thread() -> AbstractContextManager[None]:
    """Processes started in here compute with one thread."""
    return variables(ONE_THREAD)
