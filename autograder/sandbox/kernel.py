"""Starts sandboxed kernels, for nbclient and for whoever talks to a kernel directly.

with sandboxed(limits) as manager:                  # nbclient runs a whole notebook
    NotebookClient(notebook, km=manager).execute()
manager, client = start_kernel(limits)              # blocking, cell by cell
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager, KernelManager
from jupyter_core.utils import run_sync

from autograder.sandbox.bwrap import SandboxError
from autograder.sandbox.limits import Limits
from autograder.sandbox.policy import Binds
from autograder.sandbox.provisioner import NAME, SandboxProvisioner

READY_S = 60
PROGRAM = [
    *(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
    "--HistoryManager.hist_file=:memory:",
    "--IPKernelApp.log_level=40",
]


def kernel_spec(
    limits: Limits | None = None,
    binds: Binds | None = None,
    root: Path | None = None,
    hidden: Sequence[Path] = (),
) -> KernelSpec:
    """What a `kernel.json` with these limits would say."""
    config: dict[str, Any] = {
        "limits": asdict(limits or Limits()),
        "binds": {str(here): list(there) for here, there in (binds or {}).items()},
        "root": str(root or ""),
        "hidden": [str(folder) for folder in hidden],
    }
    metadata = {"kernel_provisioner": {"provisioner_name": NAME, "config": config}}
    return KernelSpec(
        argv=PROGRAM, display_name="Python 3 (sandboxed)", language="python", metadata=metadata
    )


class Sandboxed:
    """Makes a kernel manager start its one kernel in a sandbox.

    Needs no entry point, so that it also works where the package's were not installed anew.
    """

    spec: KernelSpec

    @property
    def kernel_spec(self) -> KernelSpec:
        return self.spec

    @property
    def limits(self) -> Limits:
        return Limits(**self._config["limits"])

    @property
    def limit_hit(self) -> str:
        """The sentence on the limit that the submission has met, or ""."""
        return self.provisioner.limit_hit if self.provisioner else ""

    @property
    def _config(self) -> dict[str, Any]:
        return self.spec.metadata["kernel_provisioner"]["config"]

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        if self.provisioner is None:
            self._private = tempfile.TemporaryDirectory(prefix="trickster-kernel-")
            self.connection_file = str(Path(self._private.name) / "kernel.json")
            self.provisioner = SandboxProvisioner(
                kernel_id=self.kernel_id, kernel_spec=self.spec, parent=self, **self._config
            )
        return await super()._async_pre_start_kernel(**options)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if not restart:
            self._private.cleanup()

    def client(self, **options: Any) -> Any:
        client = super().client(**options)
        # A message larger than this ends the connection instead of filling our memory.
        client.context.setsockopt(zmq.MAXMSGSIZE, int(self.limits.message))
        return client


class SandboxKernelManager(Sandboxed, AsyncKernelManager):
    """For nbclient: `NotebookClient(notebook, km=manager)`; see `sandboxed`."""


class BlockingSandboxKernelManager(Sandboxed, KernelManager):
    """For code that is not asynchronous."""


@contextmanager
def sandboxed(
    limits: Limits | None = None,
    binds: Binds | None = None,
    root: Path | None = None,
    hidden: Sequence[Path] = (),
) -> Iterator[SandboxKernelManager]:
    """A manager of one sandboxed kernel, not started yet; at the end nothing of it is left.

    limits: what it may use.
    binds: further paths to show, `{path here: (path inside, writable)}`.
    root: the course's repository; found from the current folder if left out.
    hidden: folders that stay hidden even where one above them is shown.
    """
    manager = SandboxKernelManager()
    manager.spec = kernel_spec(limits, binds, root, hidden)
    try:
        yield manager
    finally:
        if manager.provisioner is not None:
            run_sync(manager.shutdown_kernel)(now=True)


def start_kernel(
    limits: Limits | None = None,
    binds: Binds | None = None,
    root: Path | None = None,
    hidden: Sequence[Path] = (),
) -> tuple[BlockingSandboxKernelManager, BlockingKernelClient]:
    """A sandboxed kernel that answers, and a client of it; end both with `stop_kernel`."""
    manager = BlockingSandboxKernelManager()
    manager.spec = kernel_spec(limits, binds, root, hidden)
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=READY_S)
    except RuntimeError as error:
        said = manager.provisioner.box.said.strip().split("\n")[-1]
        stop_kernel(manager, client)
        raise SandboxError(f"The kernel in the sandbox does not answer ({error}): {said}") from None
    return manager, client


def stop_kernel(manager: BlockingSandboxKernelManager, client: BlockingKernelClient) -> None:
    """End the kernel, all that it started, and its client."""
    client.stop_channels()
    manager.shutdown_kernel(now=True)
