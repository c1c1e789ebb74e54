"""Environment variables of the processes that this one starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

# Several workers, or a machine with more cores, must not change a score.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set these for a while, and put back what was there before."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def one_thread() -> AbstractContextManager[None]:
    """While this is entered, processes are started to compute with one thread."""
    return variables(ONE_THREAD)
