"""What the command line shows: progress, score tables, one learner's own table.

On a terminal a bar and colours, elsewhere plain lines; the words are the same. Nothing is
graded here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from autograder.classroom import CellScore, Result

PLAIN_WIDTH = 120  # a file or a pipe has no width of its own
Step = Callable[[int, int, Result], None]
COLOURS = {"graded": "green", "needs marking": "yellow", "failed": "red"}


def console() -> Console:
    """Where everything is printed."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def number(value: float) -> str:
    """Points as a person writes them: 4, 2.5, 0.33."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def score_line(done: int, total: int, result: Result) -> str:
    """ "3/14 lab1_train_victim  wrong_axis  8/20  6.1 s"."""
    score = f"{number(result.score)}/{number(result.maximum)}"
    shown = "failed" if result.status == "failed" else score
    return f"{done}/{total} {result.lab}  {result.student}  {shown}  {result.seconds:.1f} s"


@contextmanager
def progress(out: Console) -> Iterator[Step]:
    """A `step` for `classroom.grade_class`: a line for each submission, and a bar if possible."""
    columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("grading", total=None)

        def step(done: int, total: int, result: Result) -> None:
            out.print(escape(score_line(done, total, result)), soft_wrap=True)
            bar.update(task, completed=done, total=total)

        yield step


def class_table(
    out: Console,
    results: list[Result],
    details: bool = False,
    verdicts: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """One row a submission, then a sentence for each that has a reason."""
    table = Table(title="Scores", title_justify="left")
    headings = ["student", "lab", "score", "status"]
    headings += ["points of each test and answer"] if details else []
    headings += ["verdict"] if verdicts is not None else []
    for heading in headings:
        justify = "right" if heading == "score" else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for result in results:
        row = [escape(result.student), escape(result.lab), _score(result), _status(result)]
        row += [escape(_cells(result))] if details else []
        if verdicts is not None:
            verdict = escape(verdicts[result.lab, result.student])
            row.append(verdict if verdict == "as expected" else f"[red]{verdict}[/red]")
        table.add_row(*row)
    out.print(table)
    for result in results:
        if result.reason:
            text = f"{result.student}, {result.lab}: {result.reason}"
            out.print(escape(text), soft_wrap=True)


def class_summary(results: list[Result], started: float) -> str:
    """How many of each status, and how long it took."""
    counts = {status: sum(r.status == status for r in results) for status in COLOURS}
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    return f"{len(results)} submissions: {', '.join(parts)}; {time.monotonic() - started:.0f} s."


def _score(result: Result) -> str:
    if result.status == "failed":
        return "-"
    late = f" (late: -{number(result.penalty)})" if result.penalty else ""
    return f"{number(result.score)} / {number(result.maximum)}{late}"


def _status(result: Result) -> str:
    waiting = [cell.name for cell in result.cells if cell.waiting]
    shown = result.status + (f": {', '.join(waiting)}" if waiting else "")
    return f"[{COLOURS[result.status]}]{escape(shown)}[/]"


def _cells(result: Result) -> str:
    return "\n".join(f"{cell.name} {cell_points(cell)}" for cell in result.cells)


def cell_points(cell: CellScore) -> str:
    """ "3/4", or "?/4" while nobody has marked the answer."""
    got = "?" if cell.points is None else number(cell.points)
    return f"{got}/{number(cell.maximum)}"
