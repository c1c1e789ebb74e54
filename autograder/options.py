"""The options that several commands share, and where the work of `grade` is to be done."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from autograder.course import CourseError

Root = Annotated[
    Path | None,
    typer.Option(help="The course's repository; this program's own if left out."),
]
Labs = Annotated[
    list[str] | None,
    typer.Option("--labs", "--lab", help="Only this lab (lab1 will do); may be repeated."),
]
Students = Annotated[
    list[str] | None,
    typer.Option("--students", "--student", help="Only this student; may be repeated."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Notebooks graded at once; as many as cores if left out.")
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust-submissions",
        help="Run submissions without a sandbox, with all that you may read and write.",
    ),
]
Details = Annotated[bool, typer.Option("--details", help="Show the points of each test.")]
Executor = Annotated[
    str,
    typer.Option(help="local: processes of this machine; dask: the workers at --scheduler."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(help="A dask scheduler: tcp://HOST:8786, or the path of its scheduler file."),
]


def chosen_executor(
    executor: str,
    scheduler: str | None,
    workers: int | None,
    trusted: bool,
    say: Callable[[str], None],
) -> AbstractContextManager[concurrent.futures.Executor | None]:
    """The workers of a cluster, or None for processes of this machine. Raises CourseError."""
    if executor not in ("local", "dask"):
        raise CourseError(f"--executor {executor}: it is local or dask.")
    if executor == "local":
        if scheduler:
            raise CourseError("--scheduler is for --executor dask: add that, or leave it out.")
        return nullcontext()
    if not scheduler:
        raise CourseError(
            "--executor dask needs --scheduler, such as tcp://HOST:8786; docs/cluster.md says how "
            "to start one."
        )
    if workers:
        raise CourseError(
            "--workers is the number of this machine's processes: the workers of a cluster say "
            "themselves how many notebooks they grade at once (--nthreads)."
        )
    from autograder.grading.cluster import Cluster

    return Cluster(scheduler, trusted, say)
