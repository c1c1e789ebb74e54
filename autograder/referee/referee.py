"""Runs a test cell in the grader's process, with proxies for the student's objects."""

from __future__ import annotations

import ast
import builtins
import contextlib
import math
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import zmq
from nbformat import NotebookNode
from nbformat.v4 import new_output

from autograder.referee import name_resolution, wire
from autograder.referee.errors import CourseBug, MachineFault, NotTested, Stopped, StudentError
from autograder.referee.kernel import Kernel
from autograder.referee.outputs import BoundedWriter, CapturedOutput, stream_outputs
from autograder.referee.session import Session, TimeLimits
from trickster.checks.faults import is_unwritten, of_the_machine
from trickster.checks.result import CheckResult
from trickster.withheld import refused_by

HERE = Path(__file__).parent
PACKAGE = "trickster_referee"  # of the agent's files in the kernel
LOADER = """
def load(package, files):
    import sys, types
    parent = types.ModuleType(package)
    parent.__path__ = []
    sys.modules[package] = parent
    for name, source in files.items():
        module = types.ModuleType(f"{package}.{name}")
        module.__package__ = package
        sys.modules[module.__name__] = module
        setattr(parent, name, module)
        exec(compile(source, f"<{module.__name__}>", "exec"), module.__dict__)
"""
FILES = ("wire", "agent", "habits")
TEST_CELL = "<test cell>"  # its file name in tracebacks


@dataclass
class Verdict:
    """What came of a test cell: its outputs, its points, and what the instructor should know."""

    outputs: list[NotebookNode]
    points: float = 0.0
    result: CheckResult | None = None  # None where no check came to a result, or none was called
    note: str = ""  # why the test ended early, or that nothing is written yet
    begun: bool = True  # whether anything of the exercise is written
    remarks: tuple[str, ...] = ()  # the check's, for the instructor alone
    withheld: frozenset[str] = frozenset()  # what of the library refused meanwhile
    problem: str = ""  # a mistake of the course's own: for the instructor
    seconds: float = 0.0  # waited for the student's code
    limit_hit: str = ""  # of time, by the student's code


@dataclass
class SocketFolder:
    """The folder of the sockets through which grader and kernel talk."""

    folder: Path
    in_kernel: str  # its path as the kernel sees it

    @classmethod
    @contextlib.contextmanager
    def temporary(cls) -> Iterator[SocketFolder]:
        """One for a kernel that sees the same files as the grader."""
        with tempfile.TemporaryDirectory(prefix="trickster-socket-") as folder:
            yield cls(Path(folder), folder)


class Referee:
    """Tests what a kernel holds. The agent goes in before any of the student's cells runs."""

    def __init__(
        self,
        kernel: Kernel,
        sockets: SocketFolder,
        time_limits: TimeLimits | None = None,
        wire_limits: wire.WireLimits | None = None,
    ):
        self.kernel, self.sockets = kernel, sockets
        self.time_limits = time_limits or TimeLimits()
        self.wire_limits = wire_limits or wire.WireLimits()
        self._sessions = 0

    def prepare(self) -> None:
        """Send the agent's source into the fresh kernel. Raises RuntimeError if it won't run."""
        files = {name: (HERE / f"{name}.py").read_text(encoding="utf-8") for name in FILES}
        code = (
            f"{LOADER}load({PACKAGE!r}, {files!r})\n"
            f"import sys, IPython\n"
            f"sys.modules['{PACKAGE}.habits'].install(IPython.get_ipython())"
        )
        run = self.kernel.run(f"exec({code!r}, {{}})", self.time_limits.startup, history=False)
        if run.reply.get("status") != "ok":
            reason = run.reply.get("evalue") or self.kernel.reason or run.status
            raise RuntimeError(f"The grader's agent does not run in the kernel: {reason}")

    def run_test(
        self,
        source: str,
        points: float,
        imports: name_resolution.Imports | None = None,
        exercises: Iterable[str] = (),
    ) -> Verdict:
        """Run the test cell ``source``, worth ``points``; it must be the course's own text.

        imports: what the course's own cells import (`name_resolution.imports_of`).
        exercises: the names that students are to define. Raises NotTested where the machine failed,
        and else only what stops the grader itself.
        """
        stdout, printed = BoundedWriter(), CapturedOutput()
        session = Session(self.kernel, self.time_limits, self.wire_limits)
        verdict = Verdict([])

        def evaluate() -> Any:
            names = name_resolution.resolve(
                name_resolution.free_names(source), imports or {}, exercises
            )
            self._open(session, printed)
            given = {**_student_objects(session, names), **names.graders}
            with refused_by(session.withhold):
                return run_source(source, given)

        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stdout):
            try:
                last = _judge(verdict, points, evaluate)
            except MachineFault as fault:
                self._close(session)
                raise NotTested(fault) from fault
        self._close(session)
        verdict.seconds, verdict.limit_hit = session.seconds, session.limit_hit
        verdict.withheld = frozenset(session.withheld)
        # A result stands above what the student's code printed, an error below it.
        shown = stream_outputs(printed.text())
        ending = [*shown, last] if last.output_type == "error" else [last, *shown]
        verdict.outputs = [*stream_outputs(stdout.text()), *ending]
        return verdict

    def _open(self, session: Session, printed: CapturedOutput) -> None:
        """Start the agent in the kernel and connect the session to it."""
        self._sessions += 1
        name = f"{self._sessions}.sock"

        def start_agent(token: str) -> None:
            code = (
                f"__import__('sys').modules['{PACKAGE}.agent']"
                f".serve({f'{self.sockets.in_kernel}/{name}'!r}, {token!r}, get_ipython().user_ns)"
            )
            self.kernel.begin(code, printed.handle)

        session.open(self.sockets.folder / name, start_agent)

    def _close(self, session: Session) -> None:
        """End the session, whatever the student's code is doing."""
        if session.opened:
            session.close()
            if not self.kernel.reason:
                self.kernel.finish(self.time_limits.grace)


def _student_objects(session: Session, names: name_resolution.ResolvedNames) -> dict[str, Any]:
    """What the notebook holds under a test cell's names. Raises MissingName."""
    found = session.names(names.students, names.probes)
    for name in names.students:
        if name not in found:
            raise MissingName(
                f"the notebook has no {name!r}: did the cell that defines it run without an error?"
            )
    return found


# --- from a test cell to points ---------------------------------------------------------------


class MissingName(Exception):
    """The notebook does not define a name that the test cell needs."""


class NoPoints(Exception):
    """A test cell's value is not a number of points; the text says why."""


def _judge(verdict: Verdict, points: float, evaluate: Callable[[], Any]) -> NotebookNode:
    """Fill in the verdict on a test cell; returns the output that tells nbgrader the points.

    Raises MachineFault where the machine failed, and not what is tested.
    """
    try:
        value = evaluate()
        verdict.points = points_for(value, points)
        if isinstance(value, CheckResult):
            verdict.result, verdict.note, verdict.begun = value, value.note, value.begun
            verdict.remarks = value.remarks
    except Stopped as error:
        verdict.note = f"The test stopped early: {error}"
    except NoPoints as error:
        verdict.note = f"0 points: {error}"
    except MissingName as error:
        return _failed(verdict, "NameError", str(error))
    except StudentError as error:
        verdict.begun = not is_unwritten(error)
        return _failed(verdict, type(error).__name__, str(error), error.traceback_text)
    except (Exception, SystemExit, CourseBug) as error:
        if of_the_machine(error) or isinstance(error, zmq.ZMQError):
            raise MachineFault.by(error) from error
        return _unexpected(verdict, error)
    return _points_output(verdict, points)


def _unexpected(verdict: Verdict, error: BaseException) -> NotebookNode:
    """The test cell's own assert, a value that it could not handle, or a mistake in a check."""
    frames = traceback.extract_tb(error.__traceback__)
    line = next((f.lineno for f in reversed(frames) if f.filename == TEST_CELL), None)
    inside = bool(frames) and frames[-1].filename == TEST_CELL
    kind, text = type(error).__name__, str(error)
    if inside and not isinstance(error, CourseBug):
        return _failed(verdict, kind, text or f"line {line} of the test does not hold")
    if isinstance(error, (AssertionError, CourseBug)):
        verdict.problem = f"The check itself is wrong: {text or kind}"
        return _failed(
            verdict,
            "CourseBug",
            f"{verdict.problem} This is not your fault; please tell your instructor.",
        )
    verdict.problem = f"The check stopped with {kind}: {text}"
    return _failed(verdict, kind, text)


def run_source(source: str, given: dict[str, Any]) -> Any:
    """Run a test cell; the value of its last expression, or True for a cell of asserts."""
    tree = ast.parse(source, TEST_CELL)
    namespace = {"__name__": "__test__", "__builtins__": builtins, **given}
    last = tree.body[-1] if tree.body else None
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    value = None
    if isinstance(last, ast.Expr):
        exec(compile(ast.Module(tree.body[:-1], []), TEST_CELL, "exec"), namespace)
        value = eval(compile(ast.Expression(last.value), TEST_CELL, "eval"), namespace)
    else:
        exec(compile(tree, TEST_CELL, "exec"), namespace)
    return True if value is None and asserts else value


def points_for(value: Any, points: float) -> float:
    """The points that a test cell's value stands for. Raises NoPoints."""
    if value is True:
        return float(points)
    if not isinstance(value, Real):
        raise NoPoints(f"the test gave a {type(value).__name__} instead of a number.")
    if not math.isfinite(value) or not -1e-9 <= value <= points + 1e-9:
        raise NoPoints(f"the test gave {float(value):g}, which is not between 0 and {points:g}.")
    return min(float(points), max(0.0, float(value)))


def _points_output(verdict: Verdict, points: float) -> NotebookNode:
    """The points as nbgrader reads them, and the table that people see instead.

    A cell of asserts, or of arithmetic other than a sum of checks, shows one line with its points.
    """
    result = verdict.result
    if result is None:
        result = CheckResult(verdict.points, "", points, note=verdict.note)
    data = {"text/plain": repr(verdict.points), "text/html": result._repr_html_()}
    return new_output("execute_result", data, execution_count=None)


def _failed(verdict: Verdict, kind: str, text: str, traceback_text: str = "") -> NotebookNode:
    """Note an error in the verdict; returns it as an output."""
    verdict.note = f"{kind}: {text}"
    return error_output(kind, text, traceback_text)


def error_output(kind: str, text: str, traceback_text: str = "") -> NotebookNode:
    """An error as nbgrader reads it: no points. Shows nothing of the grader's own code."""
    lines = (
        [*traceback_text.rstrip().split("\n"), f"{kind}: {text}"]
        if traceback_text
        else [f"{kind}: {text}"]
    )
    return new_output("error", ename=kind, evalue=text, traceback=lines)
