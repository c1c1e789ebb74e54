"""Results of long benchmarks, kept line by line: a run that was cut off goes on where it was.

``benchmarks/results/<part>.jsonl`` begins with a line about the machine and the versions;
each further line is one job and what it gave. ``results.py`` makes RESULTS.md of them.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scipy import stats
from tqdm import tqdm

from trickster.evaluation import bootstrap_interval

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "scikit-learn", "scipy", "torch")

Job = tuple[Any, ...]
Result = dict[str, Any]
Found = Sequence[tuple[Job, Result]]


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
    again : forget what was kept. Results that another version of the library gave are forgotten
        as well if they are not complete: one table must not mix two versions.
    """
    path = folder / f"{part}.jsonl"
    head, kept = read(path)
    stale = head.get("library") != library() and any(job not in kept for job in jobs)
    if again or stale or not head:
        if kept and not again:
            print(f"{path.name} was begun with another version of the library: starting over.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(circumstances(part)) + "\n", encoding="utf-8")
        kept = {}
    left = [job for job in jobs if job not in kept]
    with path.open("a", encoding="utf-8") as file:
        found = _runs(left, run, workers, chunk)
        done = len(jobs) - len(left)
        for job, result in tqdm(found, desc=part, total=len(jobs), initial=done):
            file.write(json.dumps({"job": job, "result": result}) + "\n")
            file.flush()
    _, kept = read(path)
    return [(job, kept[job]) for job in jobs]


def read(path: Path) -> tuple[dict[str, Any], dict[Job, Result]]:
    """A results file's first line, and its jobs; empty where there is none.

    A last line that was cut off in the middle does not count.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, {}
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    lines = [json.loads(line) for line in whole.splitlines()]
    if not lines:
        return {}, {}
    return lines[0], {_job(line["job"]): line["result"] for line in lines[1:]}


def circumstances(part: str) -> dict[str, Any]:
    """What a reader must know of the machine and the versions."""
    return {
        "part": part,
        "library": library(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def asked_for(about: str, **counts: int) -> argparse.Namespace:
    """The options that all parts share, and a count or two of their own with its default."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    for name, default in counts.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="forget the results that were kept")
    return parser.parse_args()


def interval(values: Iterable[float]) -> str:
    """``.437 [.410, .463]``: the mean of runs and its bootstrap interval."""
    mean, low, high, n = bootstrap_interval(values)
    return short(mean) if n == 1 or low == high else spelled(mean, low, high)


def spelled(mean: float, low: float, high: float) -> str:
    """``.437 [.410, .463]``."""
    return f"{short(mean)} [{short(low)}, {short(high)}]"


def short(value: float) -> str:
    """``.437``, as the field prints shares."""
    return f"{value:.3f}".replace("0.", ".", 1)


def exactly(hits: int, runs: int) -> str:
    """``[0 %, 17 %]``: the exact 95 % interval of a share (Clopper and Pearson 1934)."""
    low, high = stats.binomtest(hits, runs).proportion_ci(0.95, method="exact")
    return f"[{low:.1%}, {high:.1%}]"


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; every column after the first is aligned right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def library() -> str:
    """The first digits of one hash over the library's code and the shipped data's checksums."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "trickster").rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update((ROOT / "datasets" / "checksums.json").read_bytes())
    return digest.hexdigest()[:12]


def _runs(
    jobs: Sequence[Job], run: Callable[[Job], Result], workers: int, chunk: int
) -> Iterator[tuple[Job, Result]]:
    """Jobs and results, as they come."""
    if workers == 1:
        for job in jobs:
            yield job, run(job)
        return
    # Spawned: a fork of a process that has trained may hang in torch's threads.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(partial(_paired, run), jobs, chunksize=chunk)


def _paired(run: Callable[[Job], Result], job: Job) -> tuple[Job, Result]:
    return job, run(job)


def _job(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(_job(item) for item in value) if isinstance(value, list) else value
