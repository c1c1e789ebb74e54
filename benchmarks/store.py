"""Results of long benchmarks, stored line by line: a run that was cut off continues where it was.

``benchmarks/results/<part>.jsonl`` begins with a line about the machine and the versions, its
provenance, and has another where a run continued elsewhere, or where results were confirmed with
another version of the library; each further line is one job and its measurement. ``results.py``
makes RESULTS.md of them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from statistics import stdev
from types import ModuleType
from typing import Any

import torch
from tqdm import tqdm

from autograder.grading.executor import Call, Lost, completed, workers_for
from benchmarks.fingerprint import ROOT, library_hash
from trickster.files import write_atomically

RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "scikit-learn", "scipy", "torch")
CONFIRMED = "confirmed"  # in a line of provenance: how many jobs gave the same with this version
NEARLY = "nearly"  # how many of them only nearly, on another processor
PROCESSOR = "processor"
ENOUGH_RUNS = 5  # of a kind of job, for their spread to be known

Job = tuple[Any, ...]
Measurement = dict[str, Any]
Results = Sequence[tuple[Job, Measurement]]
Run = Callable[[Job], Measurement]


class StoreError(SystemExit):
    """A results file cannot be read, or would mix two versions: a script ends with the sentence."""


def measure(
    part: str,
    jobs: Sequence[Job],
    run: Run,
    *,
    workers: int = 1,
    chunk: int = 1,
    again: bool = False,
    confirm: bool = False,
    folder: Path = RESULTS,
) -> list[tuple[Job, Measurement]]:
    """Every job with what ``run(job)`` gave, in the order of ``jobs``; what is stored is not run.

    Parameters
    ----------
    part : name of the results file.
    jobs : tuples of plain values that JSON can write.
    run : a function at the top of a module, so that a worker can find it; returns plain values.
    workers, chunk : processes, and how many jobs in a row go to the same one.
    again : measure all of ``jobs`` anew. A change of the script itself is not noticed.
    confirm : keep what another version of the library has measured where this one finds the same.
        Jobs that differ in their last part alone, as a rule the number of a run, are of one kind:
        the first one stored of each kind is measured again. Where anything differs, all of its
        kind is measured anew. Another processor rounds differently, and trains other networks: of
        a job that was measured on one, each number may differ by one standard deviation of those
        that the kind's stored runs have.

    Where something is to be measured and what is stored came from another version of the library,
    all of it is put aside: one table must not mix two versions. A version is the code that the
    part's script can reach (``fingerprint.py``). If ``jobs`` are only some of what is stored,
    StoreError instead: a quick look must not cost the whole. Where nothing is to be measured, the
    version does not matter.
    """
    path = folder / f"{part}.jsonl"
    provenances, stored = read_results(path)
    here = provenance(part)
    missing = [job for job in jobs if again or job not in stored]
    if provenances and provenances[-1]["library"] != here["library"]:
        if confirm and not again:
            _must_be_all(path, stored, jobs)
            elsewhere = _measured_elsewhere(path, here[PROCESSOR])
            same, nearly, changed = _compare_kinds(
                stored, jobs, elsewhere, lambda some: _run_all(some, run, workers, chunk)
            )
            confirmed = {CONFIRMED: len(same | nearly), **({NEARLY: len(nearly)} if nearly else {})}
            provenances = [*provenances, here | confirmed]
            _confirm(path, provenances[-1], changed)
            missing = [job for job in jobs if job not in stored or job[:-1] in changed]
        elif missing:
            _set_aside(path, stored, jobs)
            provenances, missing = [], list(jobs)
    if not missing:
        return [(job, stored[job]) for job in jobs]
    provenances = provenances if _remove_jobs(path, missing) else []
    with path.open("a", encoding="utf-8") as file:
        if not provenances or here != {k: provenances[-1].get(k) for k in here}:
            file.write(json.dumps(here) + "\n")
        done = len(jobs) - len(missing)
        with closing(_run_all(missing, run, workers, chunk)) as results:
            for job, result in tqdm(results, desc=part, total=len(jobs), initial=done):
                file.write(json.dumps({"job": job, "result": result}) + "\n")
                file.flush()
    _, stored = read_results(path)
    return [(job, stored[job]) for job in jobs]


def read_results(path: Path) -> tuple[list[dict[str, Any]], dict[Job, Measurement]]:
    """A file's provenance lines, and its jobs' measurements; empty where there is no file.

    A last line that was cut off in the middle does not count.
    """
    lines = [content for _, content in _read_lines(path)]
    provenances = [line for line in lines if "job" not in line]
    return provenances, {_as_job(line["job"]): line["result"] for line in lines if "job" in line}


def stored_results(script: ModuleType) -> list[tuple[Job, Measurement]]:
    """Measurements of a part's own jobs, in their order; nothing while any of them is missing."""
    _, stored = read_results(RESULTS / f"{script.PART}.jsonl")
    jobs = script.jobs()
    return [(job, stored[job]) for job in jobs] if all(job in stored for job in jobs) else []


def provenance(part: str) -> dict[str, Any]:
    """What a reader must know of the machine and the versions."""
    return {
        "part": part,
        "library": library_hash(part),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        PROCESSOR: processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def processor() -> str:
    """Which processor this is, as far as that decides how it rounds; "" where nobody can say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    fields = {
        name.strip(): value.strip() for name, _, value in (one.partition(":") for one in lines)
    }
    wanted = ("vendor_id", "cpu family", "model", "stepping")
    return " ".join(fields[name] for name in wanted if name in fields) or platform.processor()


def _set_aside(path: Path, stored: dict[Job, Measurement], jobs: Sequence[Job]) -> None:
    """Rename what another version of the library has measured; StoreError if that loses results."""
    _must_be_all(path, stored, jobs)
    names = (path.with_suffix(f".before{number or ''}") for number in count())
    before = path.replace(next(name for name in names if not name.exists()))
    print(
        f"{path.name} was begun with another version of the library: starting over. What was "
        f"there is {before.name} now."
    )


def _must_be_all(path: Path, stored: dict[Job, Measurement], jobs: Sequence[Job]) -> None:
    if others := len(stored.keys() - set(jobs)):
        raise StoreError(
            f"{path} was measured with another version of the library: with what is asked "
            f"for it would be a mix of two, for {others} of its {len(stored)} results are not "
            "asked for. Keep a quick look elsewhere (--results FOLDER), measure the whole "
            "part, or rename the file."
        )


def _compare_kinds(
    stored: dict[Job, Measurement],
    jobs: Sequence[Job],
    elsewhere: set[Job],
    measured: Callable[[list[Job]], Iterable[tuple[Job, Measurement]]],
) -> tuple[set[Job], set[Job], set[Job]]:
    """Of which kinds the first stored job measures the same again, of which nearly, and not.

    Only a job that was measured ``elsewhere``, on another processor, can be nearly the same.
    """
    first: dict[Job, Job] = {}
    for job in jobs:
        if job in stored:
            first.setdefault(job[:-1], job)
    same, nearly = set(), set()
    for job, result in measured(list(first.values())):
        found, kind = json.loads(json.dumps(result)), job[:-1]
        if found == stored[job]:
            same.add(kind)
        elif job in elsewhere:
            runs = [one for other, one in stored.items() if other[:-1] == kind]
            if _agree(found, stored[job], runs):
                nearly.add(kind)
    return same, nearly, first.keys() - same - nearly


def _agree(found: Any, before: Any, runs: Sequence[Any]) -> bool:
    """Whether two measurements differ in numbers alone, by one standard deviation of the runs.

    Where too few runs have such a number, it must be the same.
    """
    if isinstance(before, dict):
        return (
            isinstance(found, dict)
            and found.keys() == before.keys()
            and all(
                _agree(found[k], before[k], [r[k] for r in runs if isinstance(r, dict) and k in r])
                for k in before
            )
        )
    if isinstance(before, list):
        return (
            isinstance(found, list)
            and len(found) == len(before)
            and all(
                _agree(f, b, [r[i] for r in runs if isinstance(r, list) and len(r) > i])
                for i, (f, b) in enumerate(zip(found, before, strict=True))
            )
        )
    if not (_is_number(found) and _is_number(before)):
        return found == before
    values = [value for value in runs if _is_number(value)]
    return abs(found - before) <= (stdev(values) if len(values) >= ENOUGH_RUNS else 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _measured_elsewhere(path: Path, here: str) -> set[Job]:
    """Stored jobs that another processor has measured, or nobody knows which."""
    found, processor = set(), ""
    for _, line in _read_lines(path):
        if "job" not in line:
            processor = line.get(PROCESSOR, "")
        elif processor != here:
            found.add(_as_job(line["job"]))
    return found


def _confirm(path: Path, provenance: dict[str, Any], changed: set[Job]) -> None:
    """Write down that results hold with another version, and take out the kinds that do not."""
    staying = [
        line
        for line, content in _read_lines(path)
        if "job" not in content or _as_job(content["job"])[:-1] not in changed
    ]
    write_atomically(path, "".join([*staying, json.dumps(provenance) + "\n"]))
    rest = f"; {len(changed)} do not, and are measured anew" if changed else ""
    if nearly := provenance.get(NEARLY):
        rest = f", {nearly} of them but for what another processor rounds differently{rest}"
    print(f"{path.name}: {provenance[CONFIRMED]} kinds of job give the same as before{rest}.")


def _remove_jobs(path: Path, jobs: Sequence[Job]) -> int:
    """Take ``jobs`` and a line that was cut off out of the file; how many jobs stay."""
    removed = set(jobs)
    staying = [
        (line, content)
        for line, content in _read_lines(path)
        if "job" not in content or _as_job(content["job"]) not in removed
    ]
    number = sum("job" in content for _, content in staying)
    write_atomically(path, "".join(line for line, _ in staying) if number else "")
    return number


def _read_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """A file's whole lines, each with its content; none where there is no file."""
    pairs = []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            break
        try:
            pairs.append((line, dict(json.loads(line))))
        except ValueError:
            raise StoreError(
                f"{path}, line {number}, is damaged: take the line out, and what it held is "
                "measured again."
            ) from None
    return pairs


def _run_all(
    jobs: Sequence[Job], run: Run, workers: int, chunk: int
) -> Generator[tuple[Job, Measurement], None, None]:
    """Jobs and measurements, as they come. A job whose worker dies stops no other."""
    if workers == 1:  # in this process, with as many threads as its script has chosen
        for job in jobs:
            yield job, run(job)
        return
    chunks = [jobs[i : i + chunk] for i in range(0, len(jobs), chunk)]
    calls = (Call(partial(_run_chunk, run), some) for some in chunks)
    lost: list[Job] = []
    with (
        workers_for(len(chunks), workers) as executor,
        closing(completed(executor, workers, lambda: next(calls, None))) as results,
    ):
        for call, pairs in results:
            if isinstance(pairs, Lost):
                lost += call.argument
                reason = pairs.error
            else:
                yield from pairs
    if lost:
        raise StoreError(
            f"Jobs {lost} failed: {reason!r}. What was measured is kept: start again to go on."
        ) from reason


def _run_chunk(run: Run, jobs: Sequence[Job]) -> list[tuple[Job, Measurement]]:
    return [(job, run(job)) for job in jobs]


def _as_job(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(_as_job(item) for item in value) if isinstance(value, list) else value
