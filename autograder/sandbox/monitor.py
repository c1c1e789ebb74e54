"""What no limit of Linux's own covers: memory and processes of a whole sandbox, and its disk.

A thread looks ten times a second. Memory counts what is resident, shared parts once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import psutil

from autograder.sandbox.limits import Limits, human

EVERY_S = 0.1
NEARLY_NOTHING = 64 * 1024
PATIENCE_S = 1.0  # at the limit of processes: a burst passes, a fork bomb stays


class Watch(threading.Thread):
    """Looks after the sandbox whose first process is `first`; `stop` is told of a broken limit."""

    def __init__(self, first: psutil.Process, limits: Limits, stop: Callable[[str], None]):
        super().__init__(name="sandbox-watch", daemon=True)
        self.first = first
        self.limits = limits
        self.stop = stop
        self.peak_memory = 0
        self.disk_full = ""
        self._ended = threading.Event()
        self._crowded_since: float | None = None

    def run(self) -> None:
        while not self._ended.wait(EVERY_S):
            try:
                broken = self.look()
            except (psutil.Error, OSError):
                broken = ""  # it has ended, or is ending: the next look tells
            if broken:
                self.stop(broken)
                return
            if not self.first.is_running():
                return

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def look(self) -> str:
        """The sentence on the limit that is broken right now, or ""."""
        family = [self.first, *family_of(self.first)]
        return self._memory(family) or self._processes(family) or self._disk()

    def _memory(self, family: list[psutil.Process]) -> str:
        used = sum(_ask(process, _resident) for process in family)
        if used > self.limits.memory:  # counts shared pages several times: look closer
            used = sum(_ask(process, _proportional) for process in family)
        self.peak_memory = max(self.peak_memory, used)
        if used <= self.limits.memory:
            return ""
        return f"memory: used {human(used)} of {human(self.limits.memory)}"

    def _processes(self, family: list[psutil.Process]) -> str:
        threads = [_ask(process, psutil.Process.num_threads) for process in family]
        count = sum(threads) - 1  # the first one is bubblewrap's own
        if count <= self.limits.processes:
            self._crowded_since = None
            return ""
        now = time.monotonic()
        self._crowded_since = self._crowded_since or now
        if now - self._crowded_since < PATIENCE_S and count < 2 * self.limits.processes:
            return ""
        return f"processes: {count} at once, where {self.limits.processes} are allowed"

    def _disk(self) -> str:
        """Linux refuses what does not fit; that it did so is noted, but breaks nothing."""
        state = os.statvfs(f"/proc/{self.first.pid}/root/tmp")
        if state.f_bfree * state.f_frsize < NEARLY_NOTHING:
            self.disk_full = f"disk: used all {human(self.limits.disk)} of the work folder"
        files = state.f_files - state.f_ffree
        if files > self.limits.files:
            return f"disk: {files} files, where {self.limits.files} are allowed"
        return ""


def family_of(first: psutil.Process) -> list[psutil.Process]:
    """All processes below `first`; in a process namespace, those are all there are."""
    try:
        found, waiting = [], _children(first.pid)
        while waiting:
            pid = waiting.pop()
            try:
                found.append(psutil.Process(pid))
                waiting += _children(pid)
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                continue
        return found
    except FileNotFoundError:  # a Linux built without these lists: read every process instead
        return first.children(recursive=True) if first.is_running() else []


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            children += map(int, file.read().split())
    return children


def _ask(process: psutil.Process, question: Callable[[psutil.Process], int]) -> int:
    try:
        return question(process)
    except (psutil.Error, OSError):
        return 0


def _resident(process: psutil.Process) -> int:
    return process.memory_info().rss


def _proportional(process: psutil.Process) -> int:
    return process.memory_full_info().pss
