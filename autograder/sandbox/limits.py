"""What a submission may use, as numbers. Who enforces each is in `inside` and `watch`."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

MIB = 1024**2
GIB = 1024**3
SOME_MORE = 16
# Address space is cheap: libraries map gigabytes that nobody touches.
ADDRESS_SLACK = 32 * GIB


@dataclass(frozen=True)
class Limits:
    """Seconds, bytes and counts. Whoever runs the cells keeps the seconds; the sandbox the rest."""

    cell_seconds: float = 600
    notebook_seconds: float = 1800
    memory: int = 3 * GIB  # of all processes together
    processes: int = 128  # threads count as processes
    disk: int = 512 * MIB  # of the work folder, which lives in memory
    files: int = 20_000  # files and folders in it
    open_files: int = 512  # of each process
    output: int = 1 * MIB  # text and pictures of one cell
    message: int = 64 * MIB  # one message from the kernel

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
                raise ValueError(f"The limit {field.name} is {value!r}: give a number above 0.")

    def resources(self, count_processes: bool) -> dict[str, int]:
        """The limits that the kernel keeps for each process, by their names in `resource`."""
        limits = {
            "RLIMIT_DATA": self.memory,
            "RLIMIT_AS": self.memory + ADDRESS_SLACK,
            "RLIMIT_FSIZE": self.disk,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_CORE": 0,
            "RLIMIT_MSGQUEUE": 0,
        }
        if count_processes:
            # The watch stops who stays above the limit; this keeps them from running away.
            limits["RLIMIT_NPROC"] = self.processes + SOME_MORE
        return {name: int(value) for name, value in limits.items() if hasattr(resource, name)}


def counts_by_namespace() -> bool:
    """Does Linux count the processes of each user namespace on its own (since 5.14)?

    Before that it counted all of a user's, so that a limit would hit the instructor's desktop.
    """
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (5, 14)


def human(size: float) -> str:
    """Bytes as people read them: 512 MB, 2.1 GB."""
    return f"{size / GIB:.1f} GB" if size >= GIB else f"{size / MIB:.0f} MB"


def shorten(outputs: Iterable[Any], limit: int) -> tuple[list[Any], int]:
    """The outputs of a cell that fit into `limit` characters, and how many were left out.

    A text that runs over is cut and says so; a picture or other data that does, is left out.
    The outputs themselves are not changed.
    """
    kept: list[Any] = []
    room, lost = limit, 0
    for output in outputs:
        size = _size(output)
        if size <= room:
            kept.append(output)
            room -= size
            continue
        lost += size
        if room > 0 and output.get("output_type") == "stream":
            text = output["text"]
            kept.append(type(output)({**output, "text": text[:room] + _cut(limit)}))
            lost -= room
        elif room > 0:
            kept.append(_stream(output, _cut(limit).lstrip()))
        room = 0
    return kept, lost


def _cut(limit: int) -> str:
    return f"\n[The rest is left out: a cell may show {human(limit)}.]\n"


def _stream(like: Any, text: str) -> Any:
    return type(like)({"output_type": "stream", "name": "stdout", "text": text})


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(str(key)) + _size(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return sum(_size(item) for item in value)
    return 8
