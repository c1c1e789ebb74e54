"""The kernel provisioner through which Jupyter starts a kernel in a sandbox.

    "metadata": {"kernel_provisioner": {"provisioner_name": "trickster-sandbox",
                                        "config": {"limits": {"memory": 2000000000}}}}

The kernel's sockets lie in memory inside the sandbox, so no folder of the machine need be writable
for a submission. This process opens them before the first cell runs: see `kernel_sockets`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Bool, Dict, List, Unicode

from autograder.sandbox.kernel_sockets import ENDPOINT, KernelSockets
from autograder.sandbox.limits import Limits
from autograder.sandbox.policy import KERNEL_SOCKETS, TOOLS
from autograder.sandbox.sandbox import Sandbox

NAME = "trickster-sandbox"
CONNECTION = f"{TOOLS}/kernel.json"
CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
SOCKETS_S = 60  # for a kernel to make its sockets: where none was forked, it imports first
SHUTDOWN_S = 4.0  # half of it for the kernel to end by itself


class SandboxProvisioner(LocalProvisioner):
    """Starts a kernel in a sandbox of its own, and ends that with all that runs in it."""

    limits = Dict(help="What to change in Limits, by the names of its fields.").tag(config=True)
    binds = Dict(help="Paths to show: {path here: [path there, writable]}.").tag(config=True)
    root = Unicode(help="The course's repository; found if left out.").tag(config=True)
    hidden = List(Unicode(), help="Folders that stay hidden in any case.").tag(config=True)
    warm = Bool(True, help="Fork the kernel where that is possible.").tag(config=True)
    libraries = Bool(True, help="Fork it with torch and others imported.").tag(config=True)

    sandbox: Sandbox | None = None
    _sockets: KernelSockets | None = None

    @property
    def limit_hit(self) -> str:
        """A sentence on the limit that the submission broke, or ""."""
        return self.sandbox.limit_hit if self.sandbox else ""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        self.parent.transport, self.parent.cache_ports = "ipc", False
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        connection = os.path.realpath(self.parent.connection_file)
        shown = {here: (inside, writable) for here, (inside, writable) in self.binds.items()}
        self.sandbox = Sandbox(
            Limits(**self.limits),
            {**shown, f"{connection}.inside": (CONNECTION, False)},
            Path(self.root) if self.root else None,
            [Path(folder) for folder in self.hidden],
            warm=self.warm,
            libraries=self.libraries,
        )
        with _private_file(self.sandbox.user, f"{connection}.inside") as file:
            ours = json.loads(Path(connection).read_text())
            json.dump({**ours, "ip": f"{KERNEL_SOCKETS}/{ENDPOINT}"}, file)
        # Twice the same option, ours and nbclient's, is an error to ipykernel.
        program = [CONNECTION if part == connection else part for part in dict.fromkeys(cmd)]
        try:
            self.process = await asyncio.to_thread(self.sandbox.start, program)
        finally:
            os.remove(f"{connection}.inside")  # the sandbox holds on to it
        self.pid, self.pgid = self.process.pid, None
        await self._hold_sockets([ours[f"{channel}_port"] for channel in CHANNELS])
        self.connection_info["ip"] = self._sockets.address
        return self.connection_info

    async def _hold_sockets(self, numbers: Sequence[int]) -> None:
        """Wait for the kernel's sockets and hold them; one that has ended makes none."""
        if self._sockets is None:
            self._sockets = KernelSockets()
        self._sockets.release()
        inside = f"/proc/{self.sandbox.pid1.pid}/root{KERNEL_SOCKETS}"
        folder = os.open(inside, os.O_PATH | os.O_DIRECTORY)
        owner, deadline = self.sandbox.user or os.geteuid(), time.monotonic() + SOCKETS_S
        try:
            while not self._sockets.hold(folder, numbers, owner):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    return
                await asyncio.sleep(0.01)
        finally:
            os.close(folder)

    async def send_signal(self, signum: int) -> None:
        """An interrupt goes to the kernel itself; whatever is meant to end it ends all."""
        if self.sandbox is None:
            return
        if signum == signal.SIGINT:
            self.sandbox.interrupt()
        elif signum in (signal.SIGTERM, signal.SIGKILL):
            self.sandbox.kill()

    async def kill(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)

    async def wait(self) -> int | None:
        process = self.process
        if process is None:
            return 0
        while process.poll() is None:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(self.sandbox.end)
        self.process = None
        return process.returncode

    async def cleanup(self, restart: bool = False) -> None:
        if self.sandbox is not None:
            await asyncio.to_thread(self.sandbox.end)
        self.process = None
        if self._sockets is not None and not restart:
            self._sockets.close()
            self._sockets = None

    def get_shutdown_wait_time(self, recommended: float = 5.0) -> float:
        return min(recommended, SHUTDOWN_S)

    def resolve_path(self, path_str: str) -> str | None:
        """No path inside has a meaning here."""
        return None


def _private_file(user: int, path: str) -> TextIO:
    """A new file that only this process and the sandbox's user may read: it holds a key."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
    if user:
        os.chown(path, user, -1)
    return file
