"""How much a submission may use, as numbers. `init` and `monitor` enforce them."""

from __future__ import annotations

import os
import re
import resource
from dataclasses import dataclass, fields

MIB = 1024**2
GIB = 1024**3
PROCESS_HEADROOM = 16
# Address space is cheap: libraries map gigabytes that nobody touches.
ADDRESS_SLACK = 32 * GIB


@dataclass(frozen=True)
class Limits:
    """Limits of one sandbox, in bytes and counts. Time limits are the referee's (`TimeLimits`)."""

    memory: int = 3 * GIB  # of all processes together
    processes: int = 128  # threads count as processes
    disk: int = 512 * MIB  # of the work folder, which lives in memory
    files: int = 20_000  # files and folders in it
    open_files: int = 512  # of each process

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or value <= 0:
                raise ValueError(
                    f"The limit {field.name} is {value!r}; it must be a number above 0."
                )

    def resources(self, limit_processes: bool) -> dict[str, int]:
        """The limits that Linux enforces for each process, by their names in `resource`."""
        limits = {
            "RLIMIT_DATA": self.memory,
            "RLIMIT_AS": self.memory + ADDRESS_SLACK,
            "RLIMIT_FSIZE": self.disk,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_CORE": 0,
            "RLIMIT_MSGQUEUE": 0,
        }
        if limit_processes:
            # The monitor ends a sandbox that stays above the limit; this slows a fork bomb.
            limits["RLIMIT_NPROC"] = self.processes + PROCESS_HEADROOM
        return {name: int(value) for name, value in limits.items() if hasattr(resource, name)}


def counted_per_namespace() -> bool:
    """Does Linux count the processes of each user namespace on its own (since 5.14)?

    Before that it counted all of a user's, so that a limit would hit the instructor's desktop.
    """
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return version is not None and (int(version[1]), int(version[2])) >= (5, 14)


def format_size(size: float) -> str:
    """Bytes as people read them: 512 MB, 2.1 GB."""
    return f"{size / GIB:.1f} GB" if size >= GIB else f"{size / MIB:.0f} MB"
