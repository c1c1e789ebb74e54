"""nbgrader's door: runs a submission, its own cells in the kernel and its tests in the referee."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from jupyter_client import KernelManager
from nbclient.client import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute
from traitlets import Float, Integer, Type

from autograder.cells import grade_id, role
from autograder.native_kernel import NativeKernelManager
from autograder.referee import name_resolution, outputs
from autograder.referee.errors import KernelDied
from autograder.referee.kernel import CellRun, Kernel
from autograder.referee.referee import Referee, SocketFolder, error_output
from autograder.referee.session import TimeLimits


class Test(NamedTuple):
    """A test cell as the course wrote it."""

    source: str
    points: float


class Course(NamedTuple):
    """What the course itself wrote of a notebook: the only text that runs in the grader."""

    tests: dict[str, Test]  # by grade_id
    imports: name_resolution.Imports
    asked: set[str]  # what solution cells are to define


def course_of(cells: list[tuple[str, str, str, float]]) -> Course:
    """From the course's own cells as (grade_id, role, source, points); roles as in `author`."""
    return Course(
        {name: Test(source, points) for name, kind, source, points in cells if kind == "test"},
        name_resolution.imports_of(source for _, kind, source, _ in cells if kind == "provided"),
        name_resolution.definitions_of(
            source for _, kind, source, _ in cells if kind == "solution"
        ),
    )


class RefereeExecute(Execute):
    """Stands in `Autograde.autograde_preprocessors` where nbgrader has `Execute`.

    Doors for others: `create_kernel_manager` (or the trait `kernel_manager_class`) says how a
    kernel is started, `open_sockets` where grader and kernel meet, `course` what to believe,
    `wanted` which cells to run.
    """

    kernel_manager_class = Type(
        NativeKernelManager, klass=KernelManager, help="What starts the student's kernel."
    ).tag(config=True)
    timeout = Integer(600, allow_none=True, help="Seconds for a cell.").tag(config=True)
    notebook_timeout = Float(
        1_800, help="Seconds for all of a student's code: cells, and calls by the tests."
    ).tag(config=True)
    call_timeout = Float(300, help="Seconds for one call of a test.").tag(config=True)
    grace = Float(5, help="Seconds to end after an interrupt, before the kill.").tag(config=True)
    output_limit = Integer(outputs.MAX_CELL_OUTPUT, help="Bytes of one cell's outputs.").tag(
        config=True
    )

    # --- doors -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def open_sockets(self) -> Iterator[SocketFolder]:
        """The folder shared with the kernel: its path here and as the kernel sees it."""
        with SocketFolder.temporary() as sockets:
            yield sockets

    def explain(self, manager: KernelManager) -> str:
        """Why the process ended, if the manager knows (a sandbox does: `limit_hit`); else ""."""
        return getattr(manager, "limit_hit", "")

    def course(self, nb: NotebookNode, resources: Any) -> Course:
        """What the course wrote of this notebook, from the gradebook."""
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            notebook = gradebook.find_notebook(where["notebook"], where["assignment"])
            points = {cell.name: float(cell.max_score) for cell in notebook.grade_cells}
            answers = {cell.name for cell in notebook.solution_cells}
            cells = [
                (cell.name, _role(cell, points, answers), cell.source, points.get(cell.name, 0.0))
                for cell in notebook.source_cells
                if cell.cell_type == "code"
            ]
        return course_of(cells)

    def wanted(self, nb: NotebookNode) -> list[bool]:
        """Which of the cells are to run."""
        return [True] * len(nb.cells)

    def leave_out(self, cell: NotebookNode) -> None:
        """What a code cell that does not run looks like."""
        cell.outputs, cell.execution_count = [], None

    # --- a notebook ------------------------------------------------------------------------------

    def preprocess(
        self, nb: NotebookNode, resources: Any = None, km: KernelManager | None = None
    ) -> tuple[NotebookNode, Any]:
        NotebookClient.__init__(self, nb, km)
        self.reset_execution_trackers()
        self._check_assign_resources(resources)
        course = self.course(nb, resources)
        self.problems: list[str] = []
        self.limits_hit: list[str] = []
        self.waited: dict[str, float] = {}
        self.texts: dict[str, str] = {}
        self._count, self._ended = 0, ""
        wanted = self.wanted(nb)
        with self._running() as (kernel, referee):
            for number, cell in enumerate(nb.cells, 1):
                if cell.cell_type == "code" and not wanted[number - 1]:
                    self.leave_out(cell)
                elif cell.cell_type == "code":
                    self._cell(cell, grade_id(cell) or f"cell {number}", kernel, referee, course)
        self._report(nb)
        return nb, self.resources

    @contextlib.contextmanager
    def _running(self) -> Iterator[tuple[Kernel, Referee]]:
        """A kernel with the agent in it, and the referee who asks it."""
        with self.open_sockets() as sockets:
            self.sockets = sockets
            self.km = self.km or self.create_kernel_manager()
            kernel = Kernel(self.km, self.explain, self.grace)
            try:
                folder = self.resources.get("metadata", {}).get("path") or None
                options = {"cwd": folder} if folder else {}
                kernel.start(self.extra_arguments, self.startup_timeout, **options)
                referee = Referee(kernel, sockets)
                referee.prepare()
                self._left = self.notebook_timeout
                yield kernel, referee
            finally:
                kernel.close()
                self.km = None

    def _cell(
        self, cell: NotebookNode, name: str, kernel: Kernel, referee: Referee, course: Course
    ) -> None:
        """One code cell, in its place."""
        test = course.tests.get(grade_id(cell))
        cell.outputs, cell.execution_count = [], None
        if not self._ended and self._left <= 0:
            kernel.kill(f"the notebook had used its {self.notebook_timeout:g} s")
        if test is not None:
            self._test(cell, name, test, referee, course)
        elif role(cell) == "test":
            cell.outputs = [
                error_output("UnknownTest", "this test is none of the course's: no points.")
            ]
        elif cell.source.strip():
            self._own(cell, name, kernel)
        if kernel.reason and not self._ended:
            self._ended = f"{kernel.reason} ({name})"
            kernel.reason = f"the Python process had ended before (in {name})."  # said in full once

    def _own(self, cell: NotebookNode, name: str, kernel: Kernel) -> None:
        """A cell of the student's, or one that the course provides, in the kernel."""
        if self._ended:
            cell.outputs = [error_output("Not run", kernel.reason)]
            return
        limit = min(self.timeout or self._left, self._left)
        taken = outputs.CellOutputs(cell, self.output_limit)
        self._count += 1
        try:
            kernel.begin(cell.source, taken.handle, history=True)
            ran = kernel.finish(limit)
        except KernelDied:
            ran = CellRun("died", {}, 0.0)
        self._left -= ran.seconds
        cell.execution_count = self._count
        taken.close(ran.lost)
        if ran.status == "interrupted" or ran.seconds >= limit:
            self.limits_hit.append(f"{name}: the cell took longer than {limit:g} s.")
        cell.outputs += _ending(ran, cell, limit, kernel.reason)

    def _test(
        self, cell: NotebookNode, name: str, test: Test, referee: Referee, course: Course
    ) -> None:
        cell.source = test.source
        referee.time_limits = TimeLimits(
            min(self.call_timeout, max(self._left, 1)),
            min(self.timeout or self._left, max(self._left, 1)),
            self.grace,
        )
        began = time.monotonic()
        verdict = referee.run_test(test.source, test.points, course.imports, course.asked)
        self._left -= verdict.seconds
        self._count += 1
        cell.execution_count = self._count
        cell.outputs = verdict.outputs
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = self._count
        self.waited[name] = verdict.seconds
        if all(output.output_type != "error" for output in cell.outputs):
            whole = verdict.result is not None and not verdict.note
            self.texts[name] = verdict.result.as_text() if whole else verdict.note
        if verdict.limit_hit:
            self.limits_hit.append(f"{name}: {verdict.limit_hit}")
        if verdict.problem:
            self.problems.append(f"{name}: {verdict.problem}")
            self.log.error("%s: %s", name, verdict.problem)
        self.log.debug("%s took %.1f s", name, time.monotonic() - began)

    def _report(self, nb: NotebookNode) -> None:
        """Leave in the notebook what an instructor should know."""
        found = nb.metadata.setdefault("trickster", NotebookNode())
        waited = {name: round(seconds, 2) for name, seconds in self.waited.items()}
        for key, value in (
            ("check_problems", self.problems),
            ("kernel_ended", self._ended),
            ("limits_hit", self.limits_hit),
            ("waited", waited),
            ("check_texts", {name: f"{text}\n" for name, text in self.texts.items() if text}),
        ):
            found.pop(key, None)
            if value:
                found[key] = value


def _ending(ran: CellRun, cell: NotebookNode, limit: float, reason: str) -> list[NotebookNode]:
    """What is to be said of how a cell ended, beyond what it said itself."""
    if ran.status == "interrupted":
        text = f"the cell took longer than {limit:g} s and was interrupted (an endless loop?)."
        return [error_output("Too slow", text)]
    if ran.status == "died":
        return [error_output("The Python process ended here", reason or "nobody knows why.")]
    told = any(output.output_type == "error" for output in cell.outputs)
    if ran.reply.get("status") != "error" or told:
        return []
    kind, text = str(ran.reply.get("ename", "Error"))[:80], str(ran.reply.get("evalue", ""))[:2_000]
    return [new_output("error", ename=kind, evalue=text, traceback=[f"{kind}: {text}"])]


def _role(cell: Any, points: dict[str, float], answers: set[str]) -> str:
    """A source cell's role in the gradebook, in the words of `author.role`."""
    if cell.name in answers:
        return "solution"
    if cell.name in points:
        return "test"
    return "provided" if cell.locked else ""
