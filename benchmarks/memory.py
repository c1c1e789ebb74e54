"""How much memory the processes below this one take at most."""

from __future__ import annotations

import threading
from contextlib import suppress

import psutil


class Peak(threading.Thread):
    """The most bytes that any one child has held, with all processes below it.

        with Peak() as peak:
            ...
        print(peak.bytes)

    Parameters
    ----------
    kind : what psutil calls the memory: ``"rss"``, resident; ``"pss"``, where pages that several
        share are counted in parts (slow to read).
    every : seconds between two looks.
    """

    def __init__(self, kind: str = "rss", every: float = 0.05):
        super().__init__(daemon=True)
        self.kind, self.every = kind, every
        self.bytes, self.done = 0, threading.Event()

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()

    def run(self) -> None:
        while not self.done.wait(self.every):
            for child in psutil.Process().children():
                self.bytes = max(self.bytes, self._below(child))

    def _below(self, child: psutil.Process) -> int:
        total = 0
        with suppress(psutil.Error):  # one has ended meanwhile
            for process in (child, *child.children(recursive=True)):
                found = process.memory_full_info() if self.kind == "pss" else process.memory_info()
                total += getattr(found, self.kind)
        return total
