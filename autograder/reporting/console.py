"""What the command line shows: progress, score tables, one learner's own table.

On a terminal a bar and colours, elsewhere plain lines; the words are the same. Nothing is
graded here.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from autograder.foreign_text import visible
from autograder.records import CellRecord, GradingRecord

PLAIN_WIDTH = 120  # a file or a pipe has no width of its own
ABOUT_WIDTH = 20  # with less room than this, what a submission is stands below the table
Began = Callable[[str, str], None]
Step = Callable[[int, int, GradingRecord], None]
COLOURS = {"graded": "green", "needs marking": "yellow", "failed": "red"}


def console() -> Console:
    """Where everything is printed."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def number(value: float) -> str:
    """Points as a person writes them: 4, 2.5, 0.33."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def score_line(done: int, total: int, record: GradingRecord, ran: bool = True) -> str:
    """ "3/14 lab1_train_victim  wrong_axis  8/20  6.1 s"; without a time where nothing was run."""
    late = f" (late: -{number(record.penalty)})" if record.penalty else ""
    score = f"{number(record.score)}/{number(record.maximum)}{late}"
    shown = "failed" if record.status == "failed" else score
    names = f"{visible(record.lab)}  {visible(record.student)}"
    took = f"  {record.seconds:.1f} s" if ran else ""
    return f"{done}/{total} {names}  {shown}{took}"


def from_here(path: Path) -> str:
    """A path as one would type it in the current folder."""
    path = Path(os.path.abspath(path))  # not resolved: .venv/bin/python is a link
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def this_program() -> str:
    """How to call this command line again: ".venv/bin/python -m autograder"."""
    return f"{shlex.quote(from_here(Path(sys.executable)))} -m autograder"


def how_to_mark(folder: Path) -> str:
    """The two commands that follow where answers of a class wait for marks."""
    course = shlex.quote(from_here(folder))
    return (
        f"Mark the answers with: {this_program()} formgrader --course {course}\n"
        f"Then write scores and feedback anew with: {this_program()} publish {course}"
    )


@contextmanager
def progress(out: Console) -> Iterator[tuple[Began, Step]]:
    """`began` and `step` for `grading.run`: a line for each submission.

    On a terminal a bar shows what runs; elsewhere a line does when it starts.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeElapsedColumn(), console=out, transient=True)
    bar.disable = not out.is_terminal
    with bar:
        task = bar.add_task("grading", total=None)
        ran: set[tuple[str, str]] = set()

        def began(lab: str, student: str) -> None:
            ran.add((lab, student))
            bar.update(task, description=_plain(f"grading {student}"))
            if bar.disable:
                out.print(_plain(f"started {lab}  {student}"), soft_wrap=True)

        def step(done: int, total: int, record: GradingRecord) -> None:
            line = score_line(done, total, record, (record.lab, record.student) in ran)
            out.print(escape(line), soft_wrap=True)
            bar.update(task, completed=done, total=total)

        yield began, step


def class_table(
    out: Console,
    records: list[GradingRecord],
    details: bool = False,
    verdicts: Mapping[tuple[str, str], str] | None = None,
    abouts: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """One row a submission, then a sentence for each that has a reason."""
    columns = {
        "student": [_plain(record.student) for record in records],
        # Room for what each is; "lab1" is also what --lab takes.
        "lab": [_plain(r.lab.split("_")[0] if abouts else r.lab) for r in records],
        "score": [_score(record) for record in records],
        "status": [_status(record) for record in records],
    }
    if details:
        columns["points of each test and answer"] = [escape(_cells(record)) for record in records]
    keys = [(record.lab, record.student) for record in records]
    if verdicts is not None:
        columns["verdict"] = [_verdict(verdicts[key]) for key in keys]
    room = out.width - _width(columns)
    if abouts and room >= ABOUT_WIDTH:
        columns["what it is"] = [escape(_shortened(abouts[key], room)) for key in keys]
    table = Table(title="Scores", title_justify="left")
    for heading in columns:
        justify = "right" if heading == "score" else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    out.print(table)
    if abouts and room < ABOUT_WIDTH:
        for lab, student in keys:
            text = f"{student}, {lab}: {abouts[lab, student]}"
            out.print(_plain(text), soft_wrap=True)
    for record in records:
        if record.remark:
            text = f"{record.student}, {record.lab}: {record.remark}"
            out.print(_plain(text), soft_wrap=True)


def _plain(text: str) -> str:
    """Text that others wrote, as rich and the terminal print it: nothing in it is obeyed."""
    return escape(visible(text))


def _width(columns: Mapping[str, list[str]]) -> int:
    """What a table with these columns, and one more, leaves no room beside."""
    widest = 0
    for heading, cells in columns.items():
        lines = [line for cell in cells for line in Text.from_markup(cell).plain.split("\n")]
        widest += max(cell_len(text) for text in [heading, *lines]) + 3
    return widest + 4


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip(" ,:;") + "…"


def _verdict(verdict: str) -> str:
    return escape(verdict) if verdict == "as expected" else f"[red]{escape(verdict)}[/red]"


def class_summary(records: list[GradingRecord], started: float) -> str:
    """How many of each status, and how long it took."""
    counts = {status: sum(r.status == status for r in records) for status in COLOURS}
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    many = "submission" if len(records) == 1 else "submissions"
    return f"{len(records)} {many}: {', '.join(parts)}; {time.monotonic() - started:.0f} s."


def _score(record: GradingRecord) -> str:
    if record.status == "failed":
        return "-"
    late = f" (late: -{number(record.penalty)})" if record.penalty else ""
    return f"{number(record.score)} / {number(record.maximum)}{late}"


def _status(record: GradingRecord) -> str:
    waiting = [cell.name for cell in record.cells if cell.waiting]
    shown = record.status + (f": {', '.join(waiting)}" if waiting else "")
    return f"[{COLOURS[record.status]}]{escape(shown)}[/]"


def _cells(record: GradingRecord) -> str:
    return "\n".join(f"{cell.name} {cell_points(cell)}" for cell in record.cells)


def cell_points(cell: CellRecord) -> str:
    """ "3/4", or "?/4" while nobody has marked the answer."""
    got = "?" if cell.points is None else number(cell.points)
    return f"{got}/{number(cell.maximum)}"
