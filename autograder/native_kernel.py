"""The kernel manager that starts kernels of the running interpreter."""

from __future__ import annotations

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import default


class NativeKernelManager(AsyncKernelManager):
    """Starts kernels of this interpreter, whatever "python3" is installed elsewhere."""

    @default("kernel_spec_manager")
    def _native_specs(self) -> KernelSpecManager:
        return KernelSpecManager(parent=self, kernel_dirs=[], ensure_native_kernel=True)
