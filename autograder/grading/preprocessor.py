"""How a submission is run: its own code in the sandbox, its tests by the referee.

`Grade` stands in nbgrader_config.py where nbgrader has `Execute`, so that `nbgrader autograde`,
formgrader's button and `python -m autograder grade` all take this one road.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from jupyter_client import KernelManager
from nbformat import NotebookNode
from nbformat.v4 import new_output
from traitlets import Bool, Dict

from autograder.course import CourseError
from autograder.grading.required_cells import needed
from autograder.referee.preprocessor import RefereeExecute
from autograder.referee.referee import SocketFolder
from autograder.repair.preprocessors import coursedir_of
from autograder.sandbox import doctor
from autograder.sandbox.kernel import SandboxKernelManager, kernel_spec
from autograder.sandbox.limits import Limits
from autograder.sandbox.socket_dir import SOCKET_DIR, shared_socket_dir

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = "(Not run for grading: no test needs this cell.)\n"
NO_SANDBOX = (
    "Submissions run in a sandbox, and this machine has none: {reason} To run them without one, "
    "with all that this user may read and write, give --trust-submissions (nbgrader: "
    "--Grade.trust_submissions=True). `python -m autograder doctor` says more."
)


class Grade(RefereeExecute):
    """Runs what a score needs; refuses where there is no sandbox, unless told to trust."""

    trust_submissions = Bool(False, help="Run submissions without a sandbox.").tag(config=True)
    limits = Dict(help="What to change in sandbox.limits.Limits, by field.").tag(config=True)
    run_all = Bool(False, help="Run provided cells that no test needs, too.").tag(config=True)

    @contextlib.contextmanager
    def open_sockets(self) -> Iterator[SocketFolder]:
        """A folder that only this process and the sandbox can reach."""
        if self.trust_submissions:
            with SocketFolder.temporary() as sockets:
                yield sockets
            return
        require_sandbox()
        with shared_socket_dir() as folder:
            yield SocketFolder(folder, SOCKET_DIR)

    def create_kernel_manager(self) -> KernelManager:
        if self.trust_submissions:
            return super().create_kernel_manager()
        manager = SandboxKernelManager(parent=self)
        binds = {str(self.sockets.folder): (SOCKET_DIR, False)}
        course = coursedir_of(self)
        hidden = [Path(course.root)] if course is not None else []
        manager.spec = kernel_spec(Limits(**self.limits), binds, ROOT, hidden)
        return manager

    def preprocess(self, nb: NotebookNode, *args: Any, **options: Any) -> Any:
        torch.set_num_threads(1)  # the checks' own clones: no score may depend on the cores
        return super().preprocess(nb, *args, **options)

    def wanted(self, nb: NotebookNode) -> list[bool]:
        """Which cells to run: all that a score may need."""
        return [True] * len(nb.cells) if self.run_all else needed(nb)

    def leave_out(self, cell: NotebookNode) -> None:
        """Say why a cell has no output."""
        cell.outputs = [new_output("stream", name="stdout", text=LEFT_OUT)]
        cell.execution_count = None


def require_sandbox() -> None:
    """Raise CourseError where submissions cannot be isolated."""
    reason = doctor.why_unavailable(ROOT)
    if reason:
        raise CourseError(NO_SANDBOX.format(reason=sentence(reason)))


def sentence(text: str) -> str:
    """`text` with a full stop behind it, wherever it came from."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", ".)")) else f"{text}."
