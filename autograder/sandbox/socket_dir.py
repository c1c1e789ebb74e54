"""The folder through which the grader talks to a program in a sandbox over a Unix socket.

    with shared_socket_dir() as folder:
        manager, client = start_kernel(binds={str(folder): (SOCKET_DIR, False)})
        ...                     # a socket in `folder` is SOCKET_DIR/name in the sandbox

The sandbox sees it read-only: a submission can connect to the sockets in it, and can neither
create nor change anything.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_DIR = "/run/socket"  # where the sandbox sees it


@contextmanager
def shared_socket_dir() -> Iterator[Path]:
    """A new folder that the sandbox can reach and other users of this machine cannot."""
    with tempfile.TemporaryDirectory(prefix="trickster-socket-") as private:
        # The sandbox may run as another user: the inner folder is open, the outer one is not.
        folder = Path(private) / "shared"
        folder.mkdir()
        folder.chmod(0o755)
        yield folder
