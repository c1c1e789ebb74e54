"""The options that all benchmarks share, and the main functions of those that fill a table."""

from __future__ import annotations

import argparse
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from benchmarks.store import RESULTS, Job, Results, Run, measure, read_results


def main(
    part: ModuleType,
    *,
    chunk: int = 1,
    timed: bool = False,
    why_not: Callable[[], str] = lambda: "",
) -> None:
    """Measure what the command line asks of a part and is missing, and print its section.

    Where something is to be measured and ``why_not`` returns a sentence, that is printed instead.
    """
    parser = argparse.ArgumentParser(description=(part.__doc__ or part.PART).splitlines()[0])
    options = add_options(parser, part.jobs, timed=timed).parse_args()
    jobs = part.jobs(options.count)
    if is_missing(options, part.PART, jobs) and (reason := why_not()):
        print(reason)
        return
    print(part.section(measure_with(options, part.PART, jobs, part.run, chunk=chunk)))


def add_options(
    parser: argparse.ArgumentParser, jobs: Callable[[int], list[Job]], *, timed: bool = False
) -> argparse.ArgumentParser:
    """The options of every part; what is ``timed`` runs one job at a time.

    The one that counts has the name and default of the one argument of ``jobs``; it is ``.count``.
    """
    (count,) = inspect.signature(jobs).parameters.values()
    parser.add_argument(
        f"--{count.name}", type=positive_int, default=count.default, dest="count",
        metavar=count.name.upper(), help=f"default: {count.default}",
    )  # fmt: skip
    if timed:
        parser.set_defaults(workers=1)
    else:
        parser.add_argument("--workers", type=positive_int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument(
        "--confirm", action="store_true",
        help="where the library has changed: measure one job of each kind again, and keep what "
        "is there if nothing differs",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER",
        help="keep the results there, for a quick look; default: benchmarks/results",
    )  # fmt: skip
    return parser


def measure_with(
    options: argparse.Namespace, part: str, jobs: Sequence[Job], run: Run, *, chunk: int = 1
) -> Results:
    """``store.measure`` with the options of ``add_options``."""
    try:
        return measure(
            part,
            jobs,
            run,
            workers=options.workers,
            chunk=chunk,
            again=options.again,
            confirm=options.confirm,
            folder=options.results,
        )
    except KeyboardInterrupt:
        without = " without --again" * options.again
        raise SystemExit(
            f"Interrupted. What was measured is kept: start again{without} to go on."
        ) from None


def is_missing(options: argparse.Namespace, part: str, jobs: Sequence[Job]) -> bool:
    """Whether anything is to be measured."""
    _, stored = read_results(options.results / f"{part}.jsonl")
    return options.again or options.confirm or any(job not in stored for job in jobs)


def positive_int(text: str) -> int:
    """A count for an option; argparse prints the sentence."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no count: give 1 or more.")
    return int(text)
