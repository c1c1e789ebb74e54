"""Holds a kernel's sockets, so that it does not matter what a submission does to their folder.

A submission may rename and replace what lies in that folder, and a path into it that this process
follows could end anywhere on the machine. So the sockets are opened once, without following a link,
before any of a student's code runs. Clients reach what is open, through links in a folder of our
own, whenever they connect.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable

ENDPOINT = "kernel"  # the sockets are called kernel-1 and so on


class KernelSockets:
    """The sockets of one kernel at a time; of a restarted one under the same address."""

    def __init__(self) -> None:
        self._links = tempfile.TemporaryDirectory(prefix="trickster-sockets-")
        # Under its number, since the path of a socket may have only 107 characters.
        self._folder = os.open(self._links.name, os.O_PATH | os.O_DIRECTORY)
        self._held: dict[str, int] = {}

    @property
    def address(self) -> str:
        """What Jupyter takes for the address of the kernel: it adds "-1" and so on."""
        return f"/proc/self/fd/{self._folder}/{ENDPOINT}"

    def release(self) -> None:
        """Let go of the sockets: those of the next kernel take their place."""
        for name, descriptor in self._held.items():
            with contextlib.suppress(FileNotFoundError):  # Jupyter may have removed it
                os.remove(name, dir_fd=self._folder)
            os.close(descriptor)
        self._held.clear()

    def hold(self, folder: int, numbers: Iterable[int], owner: int) -> bool:
        """Hold those of these sockets that are in a folder by now; whether those are all.

        folder: its descriptor.
        owner: the user whose they must be.
        """
        wanted = {f"{ENDPOINT}-{number}" for number in numbers}
        for name in wanted - set(self._held):
            descriptor = _open_socket(name, folder, owner)
            if descriptor is not None:
                os.symlink(f"/proc/self/fd/{descriptor}", name, dir_fd=self._folder)
                self._held[name] = descriptor
        return wanted == set(self._held)

    def close(self) -> None:
        self.release()
        os.close(self._folder)
        self._links.cleanup()


def _open_socket(name: str, folder: int, owner: int) -> int | None:
    """A descriptor of this socket; None where there is none of this owner, or something else."""
    try:
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if stat.S_ISSOCK(found.st_mode) and found.st_uid == owner:
        return descriptor
    os.close(descriptor)
    return None
