"""A PostgreSQL server for tests: started in a temporary folder, on a socket there, and ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = "nobody"  # the server refuses to run as root
START_S = 120


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, which Debian keeps out of the way."""
    places = [shutil.which(name), *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    found = [str(place) for place in places if place]
    if not found:
        pytest.skip("No PostgreSQL server is installed here: apt-get install postgresql.")
    return found[-1]


@contextmanager
def server() -> Iterator[str]:
    """The address of an empty database, for db_url."""
    initdb, postgres = program("initdb"), program("postgres")
    user = NOBODY if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="trickster-pg-", dir="/tmp"))  # a socket's path is short
    try:
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "grader", "-A", "trust", "-E", "UTF8", "--no-sync"],
            user=user, cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        options = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off"}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            running = subprocess.Popen(
                [postgres, "-D", data, *words], user=user, cwd=folder, stdout=log, stderr=log
            )
        try:
            until = time.monotonic() + START_S
            while not list(folder.glob(".s.PGSQL.*[0-9]")):
                assert running.poll() is None and time.monotonic() < until, "it does not start"
                time.sleep(0.05)
            yield f"postgresql+psycopg://grader@/postgres?host={folder}"
        finally:
            running.terminate()
            running.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
