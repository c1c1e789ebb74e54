"""Starts Jupyter kernels in a sandbox, one a manager.

manager = SandboxKernelManager(spec=kernel_spec(limits))    # not started yet
manager, client = start_kernel(limits)                      # started, and it answers
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from traitlets import Instance

from autograder.sandbox.bwrap import SandboxError
from autograder.sandbox.limits import Limits
from autograder.sandbox.monitor import Thread
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
    warm: bool = True,
    libraries: bool = True,
) -> KernelSpec:
    """The kernel specification of a sandboxed kernel.

    limits: what it may use.
    binds: further paths to show, `{path here: (path in the sandbox, writable)}`.
    root: the course's repository; found from the current folder if left out.
    hidden: folders that stay hidden even where one above them is shown.
    warm: fork it, where that is possible, from a process that has imported what labs import.
    libraries: torch and the others, too; False for a lab that needs none of them.
    """
    config: dict[str, Any] = {
        "limits": asdict(limits or Limits()),
        "binds": {str(here): list(there) for here, there in (binds or {}).items()},
        "root": str(root or ""),
        "hidden": [str(folder) for folder in hidden],
        "warm": warm,
        "libraries": libraries,
    }
    metadata = {"kernel_provisioner": {"provisioner_name": NAME, "config": config}}
    return KernelSpec(
        argv=PROGRAM, display_name="Python 3 (sandboxed)", language="python", metadata=metadata
    )


class SandboxKernelManager(KernelManager):
    """Starts its one kernel in a sandbox, as its `spec` (of `kernel_spec`) says.

    Needs no entry point, so that it also works where the package was not installed anew.
    """

    spec = Instance(KernelSpec)

    @property
    def kernel_spec(self) -> KernelSpec:
        return self.spec

    @property
    def limit_hit(self) -> str:
        """A sentence on the limit that the submission broke, or ""."""
        return self.provisioner.limit_hit if self.provisioner else ""

    def others(self) -> dict[Thread, int]:
        """The threads of processes that the kernel has started: see `Sandbox.others`."""
        sandbox = self.provisioner.sandbox if self.provisioner else None
        with contextlib.suppress(psutil.Error, OSError):  # the sandbox is ending
            return sandbox.others() if sandbox else {}
        return {}

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        if self.provisioner is None:
            self._private = tempfile.TemporaryDirectory(prefix="trickster-kernel-")
            self.connection_file = str(Path(self._private.name) / "kernel.json")
            config = self.spec.metadata["kernel_provisioner"]["config"]
            self.provisioner = SandboxProvisioner(
                kernel_id=self.kernel_id, kernel_spec=self.spec, parent=self, **config
            )
        return await super()._async_pre_start_kernel(**options)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if not restart:
            self._private.cleanup()


def start_kernel(
    limits: Limits | None = None,
    binds: Binds | None = None,
    root: Path | None = None,
    hidden: Sequence[Path] = (),
    warm: bool = True,
) -> tuple[SandboxKernelManager, BlockingKernelClient]:
    """A sandboxed kernel that answers, and a client of it; end both with `stop_kernel`."""
    manager = SandboxKernelManager(spec=kernel_spec(limits, binds, root, hidden, warm))
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=READY_S)
    except RuntimeError as error:
        last_line = manager.provisioner.sandbox.output.strip().split("\n")[-1]
        stop_kernel(manager, client)
        raise SandboxError(
            f"The kernel in the sandbox does not answer ({error}): {last_line}"
        ) from None
    return manager, client


def stop_kernel(manager: SandboxKernelManager, client: BlockingKernelClient) -> None:
    """End the kernel, all that it started, and its client."""
    client.stop_channels()
    manager.shutdown_kernel(now=True)
