"""Runs a repaired notebook: its own cells in the sandbox, its tests by the referee.

What runs in the grader's process is the course's own text and nothing else (`TrustedCells`). The
outputs go into the notebook, everything else that was found out comes back as data (`Outcome`).
"""

from __future__ import annotations

import contextlib
import math
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_client import KernelManager
from nbformat import NotebookNode
from nbformat.v4 import new_output

from autograder.cells import grade_id, role
from autograder.course import CourseError
from autograder.environment import one_thread
from autograder.grading.bounded import Bounds, within
from autograder.grading.required_cells import needed
from autograder.grading.secret import drawing
from autograder.grading.watch import report
from autograder.native_kernel import NativeKernelManager
from autograder.referee import name_resolution, outputs
from autograder.referee.errors import KernelDied
from autograder.referee.kernel import CellRun, Kernel
from autograder.referee.referee import Referee, SocketFolder, Verdict, error_output
from autograder.referee.session import TimeLimits
from autograder.sandbox import doctor
from autograder.sandbox.kernel import SandboxKernelManager, kernel_spec
from autograder.sandbox.limits import Limits
from autograder.sandbox.socket_dir import SOCKET_DIR, shared_socket_dir

ROOT = Path(__file__).resolve().parents[2]
CHOOSING = Bounds("Finding out which cells must run", computing=20, waiting=120)
LEFT_OUT = "(Not run for grading: no test needs this cell.)\n"
HELP_NS = 100_000  # of computing by all processes beside the kernel: idle ones wait without any
MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]{1,80})'")
NOT_INSTALLED = (
    "(The module {module} is not installed where labs are graded, though it may be on Colab. The "
    "labs need none but those that they import themselves: please do without it.)\n"
)
NO_SANDBOX = (
    "Submissions run in a sandbox, and this machine has none: {reason} To run them without one, "
    "with all that this user may read and write, give --trust-submissions (nbgrader: "
    "--Grade.trust_submissions=True). `python -m autograder doctor` says more."
)


# --- what a run is given --------------------------------------------------------------------


@dataclass(frozen=True)
class RunSettings:
    """How a notebook is run: what `c.Grade` in nbgrader_config.py may set. Times in seconds."""

    timeout: float | None = 600  # of a cell, and of all calls of one test
    call_timeout: float = 300  # of one call of a test
    notebook_timeout: float = 1_800  # of all of a student's code: cells, and calls by the tests
    grace: float = 5  # to end after an interrupt, before the kill
    startup_timeout: float = 60  # of the kernel
    output_limit: int = outputs.MAX_CELL_OUTPUT  # bytes of one cell's outputs
    notebook_output_limit: int = outputs.MAX_NOTEBOOK_OUTPUT  # of all cells but the tests
    run_all: bool = False  # run provided cells that no test needs, too
    trust_submissions: bool = False  # run submissions without a sandbox
    limits: Mapping[str, Any] = field(default_factory=dict)  # of the sandbox, by their names
    extra_arguments: Sequence[str] = ()  # of the kernel's command

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunSettings:
        """From settings by name. Raises CourseError for one that does not exist."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise CourseError(f"Grade has no setting {name!r}; it has {', '.join(known)}.")
        return cls(**values)


class TrustedTest(NamedTuple):
    """A test cell as the course wrote it."""

    source: str
    points: float


class TrustedCells(NamedTuple):
    """What the course itself wrote of a notebook: the only text that runs in the grader."""

    tests: dict[str, TrustedTest]  # by grade_id
    imports: name_resolution.Imports
    exercises: set[str]  # the names that students are to define


def trusted_cells(cells: Iterable[tuple[str, str, str, float]]) -> TrustedCells:
    """From the course's own cells as (grade_id, role, source, points); roles as in `cells`."""
    cells = list(cells)
    return TrustedCells(
        {name: TrustedTest(source, pts) for name, kind, source, pts in cells if kind == "test"},
        name_resolution.imports_of(source for _, kind, source, _ in cells if kind == "provided"),
        name_resolution.definitions_of(
            source for _, kind, source, _ in cells if kind == "solution"
        ),
    )


# --- what comes of it -----------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of a run beside the outputs in the notebook."""

    tests: dict[str, Verdict] = field(default_factory=dict)  # by grade_id
    stopped: str = ""  # why the student's process ended before its time
    limits: list[str] = field(default_factory=list)  # that single cells have met
    problems: list[str] = field(default_factory=list)  # mistakes of the course's own checks
    missing: dict[str, list[str]] = field(default_factory=dict)  # modules → the cells that want it
    withheld: set[str] = field(default_factory=set)  # names of the library that tests withheld
    helped: list[str] = field(
        default_factory=list
    )  # tests during which older processes computed or ended


def run_notebook(
    notebook: NotebookNode,
    trusted: TrustedCells,
    settings: RunSettings,
    secret: bytes | None,
    hidden: Sequence[Path] = (),
) -> Outcome:
    """Run `notebook`, whose outputs are replaced.

    Checks draw from the `secret`; without one, as at a student's desk. `hidden` folders stay hidden
    in the sandbox even where one above them is shown. Raises CourseError where submissions are to
    be isolated and cannot be.
    """
    runner = NotebookRunner(trusted, settings)
    wanted = (
        [True] * len(notebook.cells) if settings.run_all else within(CHOOSING, needed, notebook)
    )
    sandbox = _sandbox(settings, hidden, _needs_libraries(trusted.imports))
    with _on_one_core(), drawing(secret), sandbox as (kernel, referee):
        for number, cell in enumerate(notebook.cells, 1):
            if cell.cell_type != "code":
                continue
            cell.outputs, cell.execution_count = [], None
            if wanted[number - 1]:
                report(grade_id(cell) or f"cell {number}")
                runner.run(cell, grade_id(cell) or f"cell {number}", kernel, referee)
            else:
                cell.outputs = [new_output("stream", name="stdout", text=LEFT_OUT)]
    return runner.outcome


def _on_one_core() -> contextlib.AbstractContextManager[None]:
    """While this is entered, torch has one thread: no score may depend on the cores.

    A test that trains a clone imports it; a lab without one is graded without it, which saves its
    workers a second each.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    return one_thread()


def _needs_libraries(imports: name_resolution.Imports) -> bool:
    """Whether the course's own cells import more than the standard library."""
    roots = {source.module.partition(".")[0] for source in imports.values()}
    return not roots <= sys.stdlib_module_names


@contextlib.contextmanager
def _sandbox(
    settings: RunSettings, hidden: Sequence[Path], libraries: bool
) -> Iterator[tuple[Kernel, Referee]]:
    """A kernel with the agent in it, and the referee who asks it."""
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {}
        if settings.trust_submissions:
            sockets = stack.enter_context(SocketFolder.temporary())
            manager: KernelManager = NativeKernelManager()
            options["cwd"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="trickster-"))
        else:
            require_sandbox()
            folder = stack.enter_context(shared_socket_dir())
            sockets = SocketFolder(folder, SOCKET_DIR)
            binds = {str(folder): (SOCKET_DIR, False)}
            spec = kernel_spec(Limits(**settings.limits), binds, ROOT, hidden, libraries=libraries)
            manager = SandboxKernelManager(spec=spec)
        kernel = Kernel(manager, lambda manager: getattr(manager, "limit_hit", ""), settings.grace)
        try:
            kernel.start(settings.extra_arguments, settings.startup_timeout, **options)
            referee = Referee(kernel, sockets)
            referee.prepare()
            yield kernel, referee
        finally:
            kernel.close()


class NotebookRunner:
    """Runs one notebook's code cells, each in its turn, and keeps the time."""

    def __init__(self, trusted: TrustedCells, settings: RunSettings):
        self.trusted, self.settings = trusted, settings
        self.outcome = Outcome()
        self._left = settings.notebook_timeout
        self._outputs = outputs.NotebookOutputs(settings.notebook_output_limit)
        self._count = 0

    def run(self, cell: NotebookNode, name: str, kernel: Kernel, referee: Referee) -> None:
        """One code cell, in its place."""
        if not self.outcome.stopped and self._left <= 0:
            kernel.kill(f"the notebook had used its {self.settings.notebook_timeout:g} s")
        test = self.trusted.tests.get(grade_id(cell))
        if test is not None:
            self.test(cell, name, test, referee)
        elif role(cell) == "test":
            cell.outputs = [
                error_output("UnknownTest", "this test is none of the course's: no points.")
            ]
        elif cell.source.strip():
            self.own(cell, name, kernel)
        if kernel.reason and not self.outcome.stopped:
            self.outcome.stopped = f"{kernel.reason} ({name})"
            kernel.reason = f"the Python process had ended before (in {name})."  # in full once

    def own(self, cell: NotebookNode, name: str, kernel: Kernel) -> None:
        """A cell of the student's, or one that the course provides, in the kernel."""
        if self.outcome.stopped:
            cell.outputs = [error_output("Not run", kernel.reason)]
            return
        limit = min(self.settings.timeout or self._left, self._left)
        taken = self._outputs.cell(cell, self.settings.output_limit)
        self._count += 1
        try:
            kernel.begin(cell.source, taken.handle, history=True)
            ran = kernel.finish(limit)
        except KernelDied:
            ran = CellRun("died", {}, 0.0)
        self._left -= ran.seconds
        cell.execution_count = self._count
        cut = self._outputs.close(taken, self.settings.output_limit, ran.lost)
        if cut:
            self.outcome.limits.append(f"{name}: {cut}")
        if ran.status == "interrupted" or ran.seconds >= limit:
            self.outcome.limits.append(f"{name}: the cell took longer than {limit:g} s.")
        cell.outputs += _ending(ran, cell, limit, kernel.reason)
        self._note_missing(cell, name)

    def _note_missing(self, cell: NotebookNode, name: str) -> None:
        """Say it where a cell wants a module that is not here, as Colab may have had it."""
        errors = [o for o in cell.outputs if o.output_type == "error"]
        for error in errors:
            found = MISSING_MODULE.fullmatch(f"{error.ename}: {error.evalue}")
            if found is not None:
                self.outcome.missing.setdefault(found[1], []).append(name)
                text = NOT_INSTALLED.format(module=found[1])
                cell.outputs.append(new_output("stream", name="stderr", text=text))
                return

    def test(self, cell: NotebookNode, name: str, test: TrustedTest, referee: Referee) -> None:
        """A test cell, by the referee."""
        cell.source = test.source
        left = max(self._left, 1)
        referee.time_limits = TimeLimits(
            min(self.settings.call_timeout, left),
            min(self.settings.timeout or left, left),
            self.settings.grace,
        )
        before = _others(referee)
        verdict = referee.run_test(
            test.source, test.points, self.trusted.imports, self.trusted.exercises
        )
        after = _others(referee)
        helped = sum(after.get(one, math.inf) - time for one, time in before.items())
        if helped > HELP_NS and verdict.withheld and not referee.kernel.reason:
            self.outcome.helped.append(name)
        self._left -= verdict.seconds
        self._count += 1
        cell.execution_count = self._count
        cell.outputs = verdict.outputs
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = self._count
        self.outcome.tests[name] = verdict
        wanted = MISSING_MODULE.match(verdict.note)
        if wanted is not None:  # imported by a function, and so not before it was called
            self.outcome.missing.setdefault(wanted[1], []).append(name)
        if verdict.limit_hit:
            self.outcome.limits.append(f"{name}: {verdict.limit_hit}")
        self.outcome.withheld |= verdict.withheld
        if verdict.problem:
            self.outcome.problems.append(f"{name}: {verdict.problem}")


def _others(referee: Referee) -> dict[Any, int]:
    """The threads of other processes, and for how long each computed; none without a sandbox."""
    manager = referee.kernel.manager
    return manager.others() if isinstance(manager, SandboxKernelManager) else {}


def _ending(ran: CellRun, cell: NotebookNode, limit: float, reason: str) -> list[NotebookNode]:
    """How a cell ended, where its own output does not show it."""
    if ran.status == "interrupted":
        text = f"the cell took longer than {limit:g} s and was interrupted (an endless loop?)."
        return [error_output("Too slow", text)]
    if ran.status == "died":
        return [error_output("The Python process ended here", reason or "nobody knows why.")]
    shown = any(output.output_type == "error" for output in cell.outputs)
    if ran.reply.get("status") != "error" or shown:
        return []
    kind, text = str(ran.reply.get("ename", "Error"))[:80], str(ran.reply.get("evalue", ""))[:2_000]
    return [new_output("error", ename=kind, evalue=text, traceback=[f"{kind}: {text}"])]


def require_sandbox() -> None:
    """Raise CourseError where submissions cannot be isolated."""
    reason = doctor.why_unavailable(ROOT)
    if reason:
        raise CourseError(NO_SANDBOX.format(reason=sentence(reason)))


def sentence(text: str) -> str:
    """`text` with a full stop behind it, wherever it came from."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", ".)")) else f"{text}."
