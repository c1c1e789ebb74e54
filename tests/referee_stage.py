"""A kernel with a referee, for tests that play a student."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbformat import NotebookNode
from reading import words_of

from autograder.native_kernel import NativeKernelManager
from autograder.referee import wire
from autograder.referee.kernel import Kernel
from autograder.referee.referee import Referee, SocketFolder, Verdict
from autograder.referee.session import TimeLimits

QUICK = TimeLimits(call=2, cell=6, grace=1.5, startup=20)


class Stage:
    """Plays student cells and the course's tests."""

    def __init__(self, kernel: Kernel, referee: Referee):
        self.kernel, self.referee = kernel, referee

    def student(self, source: str) -> dict[str, Any]:
        """Run a student's cell; it must work."""
        run = self.kernel.run(source, 60)
        assert run.reply.get("status") == "ok", (run, self.kernel.reason)
        return run.reply

    def test(self, source: str, points: float = 4, imports: str = "") -> Verdict:
        from autograder.referee.name_resolution import imports_of

        return self.referee.run_test(source, points, imports_of([imports]))


@contextmanager
def stage(
    time_limits: TimeLimits = QUICK, wire_limits: wire.WireLimits | None = None
) -> Iterator[Stage]:
    kernel = Kernel(NativeKernelManager(), grace=1.5)
    with SocketFolder.temporary() as sockets:
        try:
            kernel.start(["--IPKernelApp.log_level=40"], cwd=str(sockets.folder))
            referee = Referee(kernel, sockets, time_limits, wire_limits)
            referee.prepare()
            yield Stage(kernel, referee)
        finally:
            kernel.close()


def text(outputs: list[NotebookNode]) -> str:
    """All that a student reads there."""
    told = [o.get("text", "") or words_of(o.get("data", {}).get("text/html", "")) for o in outputs]
    return "".join(told) + "\n".join(f"{o.ename}: {o.evalue}" for o in outputs if "ename" in o)


def score(verdict: Verdict, points: float = 4) -> float:
    """As nbgrader finds it in the outputs, which must agree with the verdict."""
    assert not any(o.get("name") == "stderr" for o in verdict.outputs)
    if any(o.output_type == "error" for o in verdict.outputs):
        assert verdict.points == 0
        return 0.0
    (result,) = [o for o in verdict.outputs if o.output_type == "execute_result"]
    value = float(result.data["text/plain"])
    assert value == verdict.points and 0 <= value <= points
    return value
