"""Kernels for tests of many notebooks: forks of one process that has imported what labs import.

Imports take a kernel three seconds of computing. A build starts a fresh one for every notebook.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from autograder.native_kernel import NativeKernelManager
from autograder.sandbox.warm_start import MODULES

PROGRAM = """
import gc, importlib, json, os, signal, sys
from autograder.sandbox import fork_server
for name in json.loads(sys.stdin.readline()):
    importlib.import_module(name)
assert fork_server.why_unsafe() == ""
gc.collect()
gc.freeze()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that have ended
for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        break
    print(child, flush=True)
else:
    sys.exit()
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
os.setsid()
nothing = os.open(os.devnull, os.O_RDWR)
for descriptor in (0, 1, 2):
    os.dup2(nothing, descriptor)
os.chdir(request["folder"])
os.environ.clear()
os.environ.update(request["environment"], JPY_PARENT_PID=str(os.getppid()))
fork_server.reseed()
fork_server.run(request["program"])
"""


@functools.cache
def _server() -> subprocess.Popen[str]:
    """The process that is forked, one for all tests of this process."""
    root = str(Path(__file__).resolve().parent.parent)
    server = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    )
    atexit.register(server.kill)
    _send(server, MODULES)
    return server


def _send(server: subprocess.Popen[str], message: Any) -> None:
    print(json.dumps(message), file=server.stdin, flush=True)


class Forked:
    """What a provisioner asks of a process, as of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int):
        self.pid = pid

    def poll(self) -> int | None:
        return None if psutil.pid_exists(self.pid) else 0

    def wait(self) -> int:
        while psutil.pid_exists(self.pid):
            time.sleep(0.02)
        return 0


class ForkingProvisioner(LocalProvisioner):
    """Forks a kernel in place of starting it."""

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        server = _server()
        given = {"folder": options["cwd"], "environment": dict(options["env"])}
        _send(server, {**given, "program": cmd[1:]})
        self.process = Forked(int(server.stdout.readline()))
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class ForkingKernelManager(NativeKernelManager):
    """In the place of `NativeKernelManager`, on Linux."""

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        if self.provisioner is None and sys.platform == "linux":
            self.provisioner = ForkingProvisioner(
                kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
        return await super()._async_pre_start_kernel(**options)
