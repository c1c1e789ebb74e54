"""Results of long benchmarks, kept line by line: a run that was cut off goes on where it was.

``benchmarks/results/<part>.jsonl`` begins with a line about the machine and the versions, and
has another where a run went on elsewhere; each further line is one job and what it gave.
``results.py`` makes RESULTS.md of them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import inspect
import json
import multiprocessing
import os
import platform
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from scipy import stats
from tqdm import tqdm

from trickster.checks import thresholds
from trickster.evaluation import bootstrap_interval

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "scikit-learn", "scipy", "torch")

Job = tuple[Any, ...]
Result = dict[str, Any]
Found = Sequence[tuple[Job, Result]]


class KeptError(SystemExit):
    """A results file cannot be read, or would mix two versions: a script ends with the sentence."""


def measured(
    part: str,
    jobs: Sequence[Job],
    run: Callable[[Job], Result],
    *,
    workers: int = 1,
    chunk: int = 1,
    again: bool = False,
    folder: Path = RESULTS,
) -> list[tuple[Job, Result]]:
    """Every job with what ``run(job)`` gave, in the order of ``jobs``.

    Parameters
    ----------
    part : name of the results file.
    jobs : tuples of plain values that JSON can write.
    run : a function at the top of a module, so that a worker can find it; returns plain values.
    workers, chunk : processes, and how many jobs in a row go to the same one.
    again : measure all of ``jobs`` anew. A change of the script itself is not noticed.

    Where something is to be measured and what is kept came from another version of the library,
    all of it is put aside: one table must not mix two versions. If ``jobs`` are only some of what
    is kept, KeptError instead: a quick look must not cost the whole.
    """
    path = folder / f"{part}.jsonl"
    heads, kept = read(path)
    here = circumstances(part)
    left = [job for job in jobs if again or job not in kept]
    if heads and left and heads[-1]["library"] != here["library"]:
        if others := len(kept.keys() - set(jobs)):
            raise KeptError(
                f"{path} was measured with another version of the library: with what is asked "
                f"for it would be a mix of two, for {others} of its {len(kept)} results are not "
                "asked for. Keep a quick look elsewhere (--results FOLDER), measure the whole "
                "part, or rename the file."
            )
        before = _aside(path)
        print(
            f"{path.name} was begun with another version of the library: starting over. What was "
            f"there is {before.name} now."
        )
        heads, left = [], list(jobs)
    if not left:
        return [(job, kept[job]) for job in jobs]
    heads = heads if _without(path, left) else []
    with path.open("a", encoding="utf-8") as file:
        if here not in heads[-1:]:
            file.write(json.dumps(here) + "\n")
        found = _runs(left, run, workers, chunk)
        done = len(jobs) - len(left)
        for job, result in tqdm(found, desc=part, total=len(jobs), initial=done):
            file.write(json.dumps({"job": job, "result": result}) + "\n")
            file.flush()
    _, kept = read(path)
    return [(job, kept[job]) for job in jobs]


def read(path: Path) -> tuple[list[dict[str, Any]], dict[Job, Result]]:
    """A results file's lines about machine and versions, and its jobs; empty where there is none.

    A last line that was cut off in the middle does not count.
    """
    lines = [one for _, one in _lines(path)]
    heads = [line for line in lines if "job" not in line]
    return heads, {_job(line["job"]): line["result"] for line in lines if "job" in line}


def stored(script: ModuleType) -> list[tuple[Job, Result]]:
    """What a part's own jobs gave, in their order; nothing while any of them is missing."""
    _, kept = read(RESULTS / f"{script.PART}.jsonl")
    jobs = script.jobs()
    return [(job, kept[job]) for job in jobs] if all(job in kept for job in jobs) else []


def circumstances(part: str) -> dict[str, Any]:
    """What a reader must know of the machine and the versions."""
    return {
        "part": part,
        "library": library(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def main(
    part: ModuleType,
    *,
    chunk: int = 1,
    timed: bool = False,
    left_out: Callable[[], str] = lambda: "",
) -> None:
    """Measure what the command line asks of a part and is missing, and print its section.

    Where something is to be measured, a sentence of ``left_out`` is printed instead.
    """
    parser = argparse.ArgumentParser(description=(part.__doc__ or part.PART).splitlines()[0])
    asked = add_options(parser, part.jobs, timed=timed).parse_args()
    jobs = part.jobs(asked.count)
    if is_missing(asked, part.PART, jobs) and (why := left_out()):
        print(why)
        return
    print(part.section(asked_for(asked, part.PART, jobs, part.run, chunk=chunk)))


def add_options(
    parser: argparse.ArgumentParser, jobs: Callable[[int], list[Job]], *, timed: bool = False
) -> argparse.ArgumentParser:
    """The options of every part; what is ``timed`` runs one job at a time.

    The one that counts has the name and default of the one argument of ``jobs``; it is ``.count``.
    """
    (count,) = inspect.signature(jobs).parameters.values()
    parser.add_argument(
        f"--{count.name}", type=positive, default=count.default, dest="count",
        metavar=count.name.upper(), help=f"default: {count.default}",
    )  # fmt: skip
    if timed:
        parser.set_defaults(workers=1)
    else:
        parser.add_argument("--workers", type=positive, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="measure anew what is kept already")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER",
        help="keep the results there, for a quick look; default: benchmarks/results",
    )  # fmt: skip
    return parser


def asked_for(
    asked: argparse.Namespace,
    part: str,
    jobs: Sequence[Job],
    run: Callable[[Job], Result],
    *,
    chunk: int = 1,
) -> Found:
    """``measured`` as the options of ``add_options`` say."""
    how = {"workers": asked.workers, "chunk": chunk, "again": asked.again, "folder": asked.results}
    try:
        return measured(part, jobs, run, **how)
    except KeyboardInterrupt:
        how = " without --again" * asked.again
        raise SystemExit(
            f"Interrupted. What was measured is kept: start again{how} to go on."
        ) from None


def is_missing(asked: argparse.Namespace, part: str, jobs: Sequence[Job]) -> bool:
    """Whether anything is to be measured."""
    _, kept = read(asked.results / f"{part}.jsonl")
    return asked.again or any(job not in kept for job in jobs)


def positive(said: str) -> int:
    """A count for an option; argparse says the sentence."""
    if not said.isdecimal() or int(said) < 1:
        raise argparse.ArgumentTypeError(f"{said} is no count: give 1 or more.")
    return int(said)


def counted(number: int, what: str) -> str:
    """``1 seed``, ``30 seeds``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def interval(values: Iterable[float]) -> str:
    """``.437 [.410, .463]``: the mean of runs and its bootstrap interval."""
    mean, low, high, n = bootstrap_interval(values)
    return short(mean) if n == 1 or low == high else spelled(mean, low, high)


def spelled(mean: float, low: float, high: float) -> str:
    """``.437 [.410, .463]``."""
    return f"{short(mean)} [{short(low)}, {short(high)}]"


def short(value: float, digits: int = 3) -> str:
    """``.437``, as the field prints shares."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")


def exactly(hits: int, runs: int) -> str:
    """``[0.0%, 16.8%]``: the exact 95 % interval of a share (Clopper and Pearson 1934)."""
    low, high = stats.binomtest(hits, runs).proportion_ci(0.95, method="exact")
    return f"[{low:.1%}, {high:.1%}]"


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; every column after the first is aligned right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def library() -> str:
    """The first digits of one hash over the library's code and the shipped data's checksums.

    Of the table of bars only the numbers: its evidence is written from these results.
    """
    digest = hashlib.sha256()
    for path in sorted((ROOT / "trickster").rglob("*.py")):
        code = path.read_bytes() if path.name != "bars.py" else repr(_bars()).encode()
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + code)
    digest.update((ROOT / "datasets" / "checksums.json").read_bytes())
    return digest.hexdigest()[:12]


def _bars() -> list[tuple[str, object]]:
    numbers = {
        name: (value.full, value.some) if isinstance(value, thresholds.Threshold) else value
        for name, value in vars(thresholds).items()
        if name.isupper()
    }
    return sorted(numbers.items())


def _without(path: Path, left: Sequence[Job]) -> int:
    """Take a line that was cut off out of the file, and those of ``left``; how many jobs stay."""
    anew = set(left)
    lines = _lines(path)
    stay = [pair for pair in lines if "job" not in pair[1] or _job(pair[1]["job"]) not in anew]
    jobs = sum("job" in one for _, one in stay)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line for line, _ in stay) if jobs else "", encoding="utf-8")
    return jobs


def _lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """A file's whole lines, each with what it says; none where there is no file."""
    found = []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            break
        try:
            found.append((line, dict(json.loads(line))))
        except ValueError:
            raise KeptError(
                f"{path}, line {number}, is damaged: take the line out, and what it held is "
                "measured again."
            ) from None
    return found


def _aside(path: Path) -> Path:
    """Rename to a name that is free."""
    names = (path.with_suffix(f".before{number or ''}") for number in count())
    return path.replace(next(name for name in names if not name.exists()))


def _runs(
    jobs: Sequence[Job], run: Callable[[Job], Result], workers: int, chunk: int
) -> Iterator[tuple[Job, Result]]:
    """Jobs and results, as they come."""
    if workers == 1:
        for job in jobs:
            yield job, run(job)
        return
    # Spawned: a fork of a process that has trained may hang in torch's threads.
    # Ctrl-C is the parent's business.
    silent = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}
    with multiprocessing.get_context("spawn").Pool(workers, **silent) as pool:
        yield from pool.imap_unordered(partial(_paired, run), jobs, chunksize=chunk)
        pool.close()
        pool.join()  # workers that are ended in the middle leave locks behind


def _paired(run: Callable[[Job], Result], job: Job) -> tuple[Job, Result]:
    return job, run(job)


def _job(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(_job(item) for item in value) if isinstance(value, list) else value
