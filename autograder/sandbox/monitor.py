"""Enforces the limits that Linux does not: memory, processes and files of a whole sandbox.

A thread checks ten times a second. Memory is what is resident, with shared pages counted once, and
what sockets may hold: that belongs to no process.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from autograder.sandbox.limits import Limits, format_size
from autograder.sandbox.policy import WRITABLE

INTERVAL_S = 0.1
DISK_FULL_BELOW = 64 * 1024  # free bytes
SOCKET_SIZES = ("/proc/sys/net/core/wmem_default", "/proc/sys/net/core/rmem_default")
TCP_SOCKET = 10 * 1024**2  # Linux lets its buffers grow
BURST_S = 1.0  # above the limit on processes: a burst passes, a fork bomb stays


class Monitor(threading.Thread):
    """Watches the sandbox whose first process is `pid1`; tells `on_broken` of a broken limit."""

    def __init__(self, pid1: psutil.Process, limits: Limits, on_broken: Callable[[str], None]):
        super().__init__(name="sandbox-monitor", daemon=True)
        self.pid1 = pid1
        self.limits = limits
        self.on_broken = on_broken
        self.inherited = 0  # bytes that the program was forked with, which count for nothing
        self.disk_full = ""
        self._stopped = threading.Event()
        self._crowded_since: float | None = None

    def run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            try:
                broken = self.broken_limit()
            except (psutil.Error, OSError):
                broken = ""  # the sandbox is ending: the next check tells
            if broken:
                self.on_broken(broken)
                return
            if not self.pid1.is_running():
                return

    def stop(self) -> None:
        """Check no more."""
        self._stopped.set()

    def broken_limit(self) -> str:
        """A sentence on the limit that is broken right now, or ""."""
        processes = [self.pid1, *descendants(self.pid1)]
        return self._memory(processes) or self._processes(processes) or self._disk()

    def _memory(self, processes: list[psutil.Process]) -> str:
        uncounted = socket_memory(self.pid1.pid) - self.inherited
        used = uncounted + sum(_read(process, _resident) for process in processes)
        if used > self.limits.memory:  # counts shared pages several times: look closer
            used = uncounted + sum(_read(process, _proportional) for process in processes)
        if used <= self.limits.memory:
            return ""
        return f"memory: used {format_size(used)} of {format_size(self.limits.memory)}"

    def _processes(self, processes: list[psutil.Process]) -> str:
        threads = [_read(process, psutil.Process.num_threads) for process in processes]
        count = sum(threads) - 1  # the first one is bubblewrap's own
        if count <= self.limits.processes:
            self._crowded_since = None
            return ""
        now = time.monotonic()
        self._crowded_since = self._crowded_since or now
        if now - self._crowded_since < BURST_S and count < 2 * self.limits.processes:
            return ""
        return f"processes: {count} at once; {self.limits.processes} are allowed"

    def _disk(self) -> str:
        """Linux itself refuses what does not fit; that is noted, but breaks no limit."""
        root = f"/proc/{self.pid1.pid}/root"
        work, *others = [os.statvfs(root + place) for place in WRITABLE]
        if work.f_bfree * work.f_frsize < DISK_FULL_BELOW:
            self.disk_full = f"disk: used all {format_size(self.limits.disk)} of the work folder"
        files = sum(state.f_files - state.f_ffree for state in (work, *others))
        if files > self.limits.files:
            return f"disk: {files} files; {self.limits.files} are allowed"
        return ""


def socket_memory(pid: int) -> int:
    """What the sockets of this process's network may hold, in bytes: an upper bound.

    The system-call filter keeps the size that each of them has at first.
    """
    size = max(int(Path(place).read_text()) for place in SOCKET_SIZES)
    counts = {}
    with open(f"/proc/{pid}/net/sockstat") as file:
        for line in file:  # such as "TCP: inuse 1 orphan 0"
            name, word, count, *_ = line.split()
            counts[name, word] = int(count)
    tcp = counts.get(("TCP:", "inuse"), 0)
    return counts.get(("sockets:", "used"), 0) * size + tcp * TCP_SOCKET


def descendants(pid1: psutil.Process) -> list[psutil.Process]:
    """All processes below `pid1`; in a process namespace, those are all there are."""
    try:
        found, waiting = [], _children(pid1.pid)
        while waiting:
            pid = waiting.pop()
            try:
                found.append(psutil.Process(pid))
                waiting += _children(pid)
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                continue
        return found
    except FileNotFoundError:  # a Linux built without these lists: read every process instead
        return pid1.children(recursive=True) if pid1.is_running() else []


Thread = tuple[psutil.Process, int]  # and its number; 0 stands for those that have ended


def computed(pid1: psutil.Process) -> dict[Thread, int]:
    """For how many nanoseconds each thread in a sandbox has computed so far.

    Not those of the first process. The threads and children of a process that have ended count
    together, and in hundredths of a second, as Linux does.
    """
    found = {}
    for process in descendants(pid1):
        with contextlib.suppress(OSError, ValueError):
            times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]
            found[process, 0] = sum(map(int, times)) * 10**9 // os.sysconf("SC_CLK_TCK")
            for thread in _threads(process):
                with contextlib.suppress(OSError):  # it has just ended
                    text = (thread / "schedstat").read_text()
                    found[process, int(thread.name)] = int(text.split()[0])
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                children += map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):
            if os.path.exists(f"/proc/{pid}/task/{thread}"):
                raise  # no lists here
            continue  # the thread has just ended
    return children


def _read(process: psutil.Process, measure: Callable[[psutil.Process], int]) -> int:
    """What `measure` says of a process; 0 for one that has ended."""
    try:
        return measure(process)
    except (psutil.Error, OSError):
        return 0


def _resident(process: psutil.Process) -> int:
    """Also where the first thread has ended, by which Linux then says 0, and others go on."""
    return process.memory_info().rss or max(map(_of_thread, _threads(process)), default=0)


def _proportional(process: psutil.Process) -> int:
    has_first = process.memory_info().rss > 0
    return process.memory_full_info().pss if has_first else _resident(process)


def _threads(process: psutil.Process) -> list[Path]:
    return list(Path(f"/proc/{process.pid}/task").iterdir())


def _of_thread(thread: Path) -> int:
    """What is resident of the process that a thread belongs to, in bytes; 0 if it has ended."""
    with contextlib.suppress(OSError):
        return int((thread / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
