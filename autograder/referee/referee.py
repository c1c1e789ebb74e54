"""Runs a test cell in the grader's process, with proxies for what the student made."""

from __future__ import annotations

import ast
import builtins
import contextlib
import math
import tempfile
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

from autograder.referee import name_resolution, wire
from autograder.referee.errors import CourseBug, Stopped, StudentError
from autograder.referee.kernel import Kernel
from autograder.referee.outputs import Meanwhile, Paper, stream
from autograder.referee.session import Link, Patience, Traffic
from trickster.checks.result import CheckResult

HERE = Path(__file__).parent
PACKAGE = "trickster_referee"  # under which the agent's files are known in the kernel
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
FILES = ("wire", "agent")


@dataclass
class Verdict:
    """What came of a test cell: its outputs, its points, and what the instructor should know."""

    outputs: list[NotebookNode]
    points: float = 0.0
    result: CheckResult | None = None  # None where no check came to a result, or none was called
    note: str = ""  # why the test ended early, or that nothing is written yet
    begun: bool = True  # whether anything of the exercise is written
    problem: str = ""  # nothing about the student's score is hidden here: a slip of the course's
    traffic: Traffic = field(default_factory=Traffic)
    limit_hit: str = ""  # of time, by the student's code


@dataclass
class Door:
    """The folder in which grader and kernel meet, here and as the kernel sees it."""

    folder: Path
    inside: str

    @classmethod
    @contextlib.contextmanager
    def temporary(cls) -> Any:
        """One for a kernel that sees the same files as the grader."""
        with tempfile.TemporaryDirectory(prefix="referee-") as folder:
            yield cls(Path(folder), folder)


class Referee:
    """Tests what a kernel holds. The agent goes in before any of the student's cells runs."""

    def __init__(
        self,
        kernel: Kernel,
        door: Door,
        patience: Patience | None = None,
        limits: wire.Limits | None = None,
    ):
        self.kernel, self.door = kernel, door
        self.patience, self.limits = patience or Patience(), limits or wire.Limits()
        self._meetings = 0

    def prepare(self) -> None:
        """Send the agent's source into the fresh kernel. Raises RuntimeError if it won't run."""
        files = {name: (HERE / f"{name}.py").read_text(encoding="utf-8") for name in FILES}
        code = f"{LOADER}load({PACKAGE!r}, {files!r})"
        ran = self.kernel.run(f"exec({code!r}, {{}})", self.patience.hello, history=False)
        if ran.reply.get("status") != "ok":
            reason = ran.reply.get("evalue") or self.kernel.reason or ran.status
            raise RuntimeError(f"The grader's agent does not run in the kernel: {reason}")

    def run_test(
        self,
        source: str,
        points: float,
        imports: name_resolution.Imports | None = None,
        asked: Iterable[str] = (),
    ) -> Verdict:
        """Run the test cell ``source``, worth ``points``; it must be the course's own text.

        ``imports``: what the course's own cells import (`names.imports_of`). ``asked``: what
        the course asks the student to define. Raises nothing but what stops the grader itself.
        """
        paper, meanwhile = Paper(), Meanwhile()
        link = Link(self.kernel, self.patience, self.limits)
        verdict = Verdict([], traffic=link.traffic)
        with contextlib.redirect_stdout(paper), contextlib.redirect_stderr(paper):
            last = self._judged(verdict, link, meanwhile, source, points, imports or {}, asked)
        if link.begun:
            self._part(link)
        verdict.limit_hit = link.limit_hit
        # A result stands above what the student's code printed, an error below it.
        printed = stream(meanwhile.text())
        ending = [*printed, last] if last.output_type == "error" else [last, *printed]
        verdict.outputs = [*stream(paper.text()), *ending]
        return verdict

    def _judged(
        self,
        verdict: Verdict,
        link: Link,
        meanwhile: Meanwhile,
        source: str,
        points: float,
        imports: name_resolution.Imports,
        asked: Iterable[str],
    ) -> NotebookNode:
        """Fill in the verdict; returns the output that tells nbgrader the points."""
        try:
            mine, probes, theirs = name_resolution.sort_out(
                name_resolution.free_names(source), imports, asked
            )
            self._meet(link, meanwhile)
            found = link.names(theirs, probes)
            missing = [name for name in theirs if name not in found]
            if missing:
                return failed(
                    verdict,
                    "NameError",
                    f"the notebook has no {missing[0]!r}: did the cell that defines it run without "
                    "an error?",
                )
            value = execute(source, {**found, **mine})
            verdict.points = worth(value, points)
            if isinstance(value, CheckResult):
                verdict.result, verdict.note, verdict.begun = value, value.note, value.begun
        except Stopped as error:
            verdict.note = f"Not tested to its end: {error}"
        except NoPoints as error:
            verdict.note = f"0 points: {error}"
        except StudentError as error:
            verdict.begun = not isinstance(error, NotImplementedError)
            return failed(verdict, type(error).__name__, str(error), error.story)
        except (Exception, SystemExit, CourseBug) as error:
            return self._unexpected(verdict, error)
        return presented(verdict, points)

    def _unexpected(self, verdict: Verdict, error: BaseException) -> NotebookNode:
        """The test cell's own assert, its trouble with what it was given, or a slip of a check."""
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == CELL), None)
        inside = bool(frames) and frames[-1].filename == CELL
        kind, text = type(error).__name__, str(error)
        if inside and not isinstance(error, CourseBug):
            return failed(verdict, kind, text or f"line {line} of the test does not hold")
        if isinstance(error, (AssertionError, CourseBug)):
            verdict.problem = f"The check itself is wrong: {text or kind}"
            return failed(
                verdict, "CourseBug", f"{verdict.problem} This is not your fault; tell the staff."
            )
        verdict.problem = f"The check stopped with {kind}: {text}"
        return failed(verdict, kind, text)

    # --- meeting the kernel ----------------------------------------------------------------------

    def _meet(self, link: Link, meanwhile: Meanwhile) -> None:
        self._meetings += 1
        name = f"{self._meetings}.sock"

        def start(inside: str, token: str) -> None:
            code = (
                f"__import__('sys').modules['{PACKAGE}.agent']"
                f".serve({inside!r}, {token!r}, get_ipython().user_ns)"
            )
            self.kernel.begin(code, meanwhile.take)

        link.meet(self.door.folder / name, f"{self.door.inside}/{name}", start)

    def _part(self, link: Link) -> None:
        """End the meeting, whatever the student's code is doing."""
        link.close()
        if not self.kernel.reason:
            self.kernel.finish(self.patience.grace)


CELL = "<test cell>"


class NoPoints(Exception):
    """A test cell's result is no number of points; the text says why."""


def execute(source: str, given: dict[str, Any]) -> Any:
    """Run a test cell; the value of its last expression, or of True for a cell of asserts."""
    tree = ast.parse(source, CELL)
    space = {"__name__": "__test__", "__builtins__": builtins, **given}
    last = tree.body[-1] if tree.body else None
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    value = None
    if isinstance(last, ast.Expr):
        exec(compile(ast.Module(tree.body[:-1], []), CELL, "exec"), space)
        value = eval(compile(ast.Expression(last.value), CELL, "eval"), space)
    else:
        exec(compile(tree, CELL, "exec"), space)
    return True if value is None and asserts else value


def worth(value: Any, points: float) -> float:
    """The points that a test cell's value stands for. Raises NoPoints."""
    if value is True:
        return float(points)
    if not isinstance(value, Real):
        raise NoPoints(f"the test gave a {type(value).__name__} instead of a number.")
    if not math.isfinite(value) or not -1e-9 <= value <= points + 1e-9:
        raise NoPoints(f"the test gave {float(value):g}, which is not between 0 and {points:g}.")
    return min(float(points), max(0.0, float(value)))


def presented(verdict: Verdict, points: float) -> NotebookNode:
    """The points as nbgrader reads them, and the table that people see in their place.

    A cell of asserts, or of other arithmetic than a sum of checks, has a line with its points.
    """
    result = verdict.result
    if result is None:
        result = CheckResult(verdict.points, "", points, note=verdict.note)
    data = {"text/plain": repr(verdict.points), "text/html": result._repr_html_()}
    return new_output("execute_result", data, execution_count=None)


def failed(verdict: Verdict, kind: str, text: str, story: str = "") -> NotebookNode:
    """The same error as data and as an output."""
    verdict.note = f"{kind}: {text}"
    return failure(kind, text, story)


def failure(kind: str, text: str, story: str = "") -> NotebookNode:
    """An error as nbgrader takes it: no points. Tells nothing of the grader's own code."""
    lines = [*story.rstrip().split("\n"), f"{kind}: {text}"] if story else [f"{kind}: {text}"]
    return new_output("error", ename=kind, evalue=text, traceback=lines)
