"""Starts a sandbox's program by forking one that has imported what every lab imports.

Imports take a kernel three seconds of computing, and a fork takes some hundredths. `fork_server`
is the program that is forked; one runs beside each process that grades. Where it does not work,
`forked` says so, and the program is started as it always was.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.environment import ONE_THREAD
from autograder.sandbox import seccomp
from autograder.sandbox.limits import MIB
from autograder.sandbox.policy import COURSE, WORK, font_caches, python_prefixes

PROGRAM = Path(__file__).resolve().parent / "fork_server.py"
LEAST_MEMORY = 512 * MIB  # of a sandbox: a forked program holds half of it from the beginning
START_S = 60
FORK_S = 20
# What every kernel imports, and what a lab's kernel imports sooner or later. Not matplotlib.pyplot
# and its backends: they look for IPython's shell when they are imported.
KERNEL = ("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "numpy")
MODULES = (
    *(*KERNEL, "torch"),
    *("matplotlib.figure", "matplotlib.font_manager", "matplotlib.backends.backend_agg"),
    *("sklearn.linear_model", "sklearn.ensemble", "sklearn.neighbors", "tqdm"),
)
Start = Callable[..., "subprocess.Popen[bytes]"]


class ForkFailed(Exception):
    """The server could not start a program; the message says why."""


class ForkServer:
    """The process that is forked, and the socket to it. `start` is `subprocess.Popen`, or like it.

    Without `libraries`, it has imported what a kernel needs and no more. Raises ForkFailed where it
    cannot be used.
    """

    def __init__(self, start: Start = subprocess.Popen, libraries: bool = True):
        self.libraries = libraries
        self._home = tempfile.mkdtemp(prefix="trickster-fork-")
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, PROGRAM.open("rb") as program:
            self.process = start(
                # By its descriptor: a submission can read the command line, and its memory.
                [sys.executable, "-c", f"exec(open({program.fileno()}).read())"],
                env=self._environment(),
                cwd="/",
                pass_fds=[program.fileno()],
                start_new_session=True,
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        prefixes = [f"{prefix}/" for prefix in sorted(python_prefixes())]
        modules = MODULES if libraries else KERNEL
        settings = {"parent": os.getpid(), "prefixes": prefixes, "modules": modules}
        try:
            os.close(os.pidfd_open(os.getpid()))  # `init` waits for its program with one
            self.socket.send(json.dumps(settings).encode())
            answer = _answer(self.socket, START_S)
        except (OSError, AttributeError) as error:
            answer = f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(self._home, ignore_errors=True)
        if answer != "ready":
            self.close()
            raise ForkFailed(answer or "it ended")

    def fork(self, process: int, request: Mapping[str, Any], output: int) -> Forked:
        """A child in the namespaces of `process`, sealed as `request` says, that waits for `go`.

        It writes to the descriptor `output`. Raises ForkFailed if it does not come so far.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        text = json.dumps({**request, "process": process}).encode()
        try:
            with theirs:
                socket.send_fds(self.socket, [text], [theirs.fileno(), output])
            answer = _answer(ours, FORK_S)
        except OSError as error:
            answer = f"{type(error).__name__}: {error}"
        numbers = answer.split()
        if len(numbers) != 2 or not all(map(str.isdecimal, numbers)):
            ours.close()
            raise ForkFailed(answer or "it ended")
        return Forked(int(numbers[0]), int(numbers[1]), ours)

    def close(self) -> None:
        """End the server; what it has started runs on."""
        self.socket.close()
        self.process.kill()
        self.process.wait()

    def _environment(self) -> dict[str, str]:
        """What it imports with: nothing of the caller's, and no folder that others can write."""
        fonts = Path(self._home) / "matplotlib"
        fonts.mkdir()
        for path in font_caches():
            shutil.copy(path, fonts)
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": self._home,
            "LANG": "C.UTF-8",
            "MPLCONFIGDIR": str(fonts),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as ipykernel sets it
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            **ONE_THREAD,
        }


@dataclass(frozen=True)
class Forked:
    """A program that is about to begin: its number in the sandbox, and the memory it begins with.

    It shares that memory with the server until it writes to it.
    """

    pid: int
    memory: int  # bytes
    socket: socket.socket

    def go(self) -> None:
        """Let it begin."""
        with contextlib.suppress(OSError), self.socket:
            self.socket.send(b"go")


def _answer(sock: socket.socket, seconds: float) -> str:
    """The next message; "" if the other end has closed. Raises OSError after this time."""
    sock.settimeout(seconds)
    return sock.recv(4096).decode("utf-8", "replace")


# --- the one of this process ------------------------------------------------------------------

_lock = threading.Lock()
_server: ForkServer | None = None
_failure = ""  # why there is none, and will be none


def forked(
    program: Sequence[str],
    process: int,
    user: int,
    limits: Mapping[str, int],
    environment: Mapping[str, str],
    output: int,
    start: Start,
    libraries: bool = True,
) -> Forked | None:
    """`program` in the namespaces of `process`, about to begin; None where it cannot be forked.

    Only `python -m ...` and `python -c ...` can. With `libraries`, it has torch and the others
    imported, which a server that was started without them has not: another one takes its place.
    The others are as for `ForkServer.fork`.
    """
    global _server, _failure
    if _failure or program[0] != sys.executable or program[1] not in ("-m", "-c"):
        return None
    request = {
        "uid": user,
        "limits": dict(limits),
        "environment": dict(environment),
        "filter": (seccomp.program() if seccomp.supported() else b"").hex(),
        "path": [COURSE],
        "work": WORK,
        "program": list(program[1:]),
    }
    with _lock:
        try:
            if _server is not None and libraries and not _server.libraries:
                stop()
            _server = _server or ForkServer(start, libraries)
            return _server.fork(process, request, output)
        except ForkFailed as error:
            stop()
            _failure = str(error)
    return None


def failure() -> str:
    """Why programs are not forked here, or ""."""
    return _failure


def stop() -> None:
    """End this process's server; the next program starts a new one."""
    global _server, _failure
    if _server is not None:
        _server.close()
    _server, _failure = None, ""


def _forget() -> None:
    """A fork of this process leaves the server to its parent."""
    global _lock, _server
    _lock, _server = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
atexit.register(stop)
