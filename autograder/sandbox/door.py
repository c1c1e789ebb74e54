"""A way for a program in the sandbox to talk to this process: a Unix socket in a shown folder.

    with Door() as door:
        manager, client = start_kernel(binds=door.binds)   # inside: connect to door.inside
        connection, _ = door.socket.accept()

The folder is shown read-only: a submission can connect, and can make or change nothing.
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from autograder.sandbox.policy import Binds

FOLDER = "/run/door"
NAME = "socket"


class Door:
    """A listening socket; other users of this machine cannot reach it, the sandbox can."""

    inside = f"{FOLDER}/{NAME}"

    def __init__(self) -> None:
        # Closed to others from outside; what is shown lies one folder deeper and is open, for
        # the sandbox may run as another user.
        self._private = tempfile.TemporaryDirectory(prefix="trickster-door-")
        folder = Path(self._private.name) / "shown"
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        self.binds: Binds = {str(folder): (FOLDER, False)}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(folder / NAME))
        os.chmod(folder / NAME, 0o666)
        self.socket.listen(1)

    def close(self) -> None:
        self.socket.close()
        self._private.cleanup()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
