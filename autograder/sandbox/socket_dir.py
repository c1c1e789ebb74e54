"""Where a program in the sandbox can meet this process: a folder for a Unix socket.

    with shown_folder() as folder:
        manager, client = start_kernel(binds={str(folder): (FOLDER, False)})
        ...                             # a socket in folder is there as FOLDER/name, inside

It is shown read-only: a submission can connect to what lies in it, and can make or change nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = "/run/door"


@contextmanager
def shown_folder() -> Iterator[Path]:
    """A new folder; other users of this machine cannot reach it, the sandbox can."""
    with tempfile.TemporaryDirectory(prefix="trickster-door-") as private:
        # The sandbox may run as another user: the inner folder is open, the outer one is not.
        folder = Path(private) / "shown"
        folder.mkdir()
        folder.chmod(0o755)
        yield folder
