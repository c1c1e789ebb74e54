"""A class on a cluster of which most is killed: is anything lost, and what does the engine cost?

    python -m benchmarks.class_scale                    # about ten minutes on two free cores
    python -m benchmarks.class_scale --size 200 --results /tmp/scale

Four workers, started as programs of their own; three of them are killed on the way. Nothing of a
submission is run: in the place of grading, a worker returns a record at once. So what is measured
is what everything around the grading costs, and that is what a machine adds nothing to.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbformat.v4 import new_output

from autograder import nbgrader_api, records
from autograder.authoring.source import lab_notebook
from autograder.cells import grade_id, points_of, role, to_text
from autograder.course import Lab, pick_labs, read_course
from autograder.grading.cluster import Cluster
from autograder.grading.executor import Call, RemoteWorkers, completed, workers_for
from autograder.grading.run import SECONDS_EACH, grade_class
from autograder.grading.submission import GradedSubmission, Job, grade_submission
from autograder.records import CellRecord, GradingRecord
from autograder.repair.salvage import FileText
from benchmarks import cli
from benchmarks.formatting import markdown_table
from benchmarks.local_cluster import LocalCluster
from benchmarks.store import ROOT, Measurement, Results

PART = "class_scale"
LAB = "lab1"
WORKERS = ("anna", "bert", "carl", "dora")
KILLED = WORKERS[1:]
KILLS_AT = (0.2, 0.4, 0.6)  # of all that is to be done
PATIENCE_S = 300  # until all four have been admitted
CORES = 8  # of a machine, in the extrapolation
CLUSTER, LOCAL = "four workers, three killed", "four local processes"


# --- what is graded -----------------------------------------------------------------------------


def points_of_student(student: str) -> float:
    """What the stand-in gives: so that a mixed-up record would be seen."""
    return float(int(student[1:]) % 3)


def stand_in(job: Job) -> GradedSubmission:
    """In the place of `grade_submission`: every test is worth what the student's number says."""
    notebook = nbformat.reads(job.files[0].text, as_version=4)
    cells = []
    for cell in notebook.cells:
        most = points_of(cell)
        if role(cell) == "test" and most:
            points = min(points_of_student(job.student), most)
            data = {"text/plain": repr(points)}
            cell.outputs = [new_output("execute_result", data, execution_count=1)]
            cells.append(CellRecord(grade_id(cell), "test", points, most))
        elif role(cell) == "written":
            cells.append(CellRecord(grade_id(cell), "written", 0.0, most))
    maximum = sum(cell.maximum for cell in cells)
    record = GradingRecord(job.lab, job.student, "graded", maximum, tuple(cells), inputs=job.inputs)
    return GradedSubmission(record, to_text(notebook))


class StandIns(RemoteWorkers):
    """A cluster whose workers do not grade: `stand_in` takes the place of `grade_submission`."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster

    @property
    def slots(self) -> int:
        return self.cluster.slots

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self.cluster.submit(stand_in if fn is grade_submission else fn, *args)


def student(number: int) -> str:
    return f"s{number:05}"


def submission(release: str, number: int) -> str:
    """The released notebook, with one number in it that no other has."""
    notebook = nbformat.reads(release, as_version=4)
    notebook.metadata["number"] = number
    return to_text(notebook)


def job(lab: Lab, source: str, release: str, number: int) -> Job:
    """As large as a real one."""
    file = FileText(f"{lab.name}.ipynb", submission(release, number))
    return Job(lab.name, student(number), (file,), source, release, bytes(32))


# --- measuring ----------------------------------------------------------------------------------


class Watch:
    """Kills workers when their time has come, and reads the head's memory on the way."""

    def __init__(self, total: int, cluster: LocalCluster | None = None):
        self.total, self.cluster = total, cluster
        self.memory: list[int] = []
        self.left = list(zip(KILLS_AT, KILLED, strict=True)) if cluster else []

    def look(self, done: int) -> None:
        """To be called when so many are done."""
        if done * 10 // self.total > len(self.memory):
            self.memory.append(psutil.Process().memory_info().rss)
        if self.left and done >= self.left[0][0] * self.total:
            self.cluster.kill(self.left.pop(0)[1])


@contextmanager
def four_workers() -> Iterator[tuple[LocalCluster, Cluster, list[str]]]:
    """All of them admitted; and what the head has said so far. They need no sandbox."""
    said: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="trickster-scale-") as folder,
        LocalCluster(Path(folder)) as programs,
    ):
        for name in WORKERS:
            programs.start_worker(name)
        with Cluster(programs.scheduler, trusted=True, say=said.append) as cluster:
            until = time.monotonic() + PATIENCE_S
            while cluster.slots < len(WORKERS):
                if time.monotonic() > until:
                    raise SystemExit(f"Not all workers were admitted: {said}")
                time.sleep(0.1)
            yield programs, cluster, said


def engine(where: str, size: int) -> Measurement:
    """Jobs there and records back, without a gradebook."""
    lab = pick_labs(ROOT, [LAB])[0]
    source = to_text(lab_notebook(lab, read_course(ROOT)))
    release = lab.release.read_text(encoding="utf-8")
    if where == CLUSTER:
        with four_workers() as (programs, cluster, said):
            return _engine(cluster, Watch(size, programs), lab, source, release) | {
                "gone": sum("has gone" in text for text in said)
            }
    with workers_for(size, len(WORKERS)) as pool:
        return _engine(pool, Watch(size), lab, source, release)


def _engine(pool: Executor, watch: Watch, lab: Lab, source: str, release: str) -> Measurement:
    def calls(count: int) -> Callable[[], Call | None]:
        made = (Call(stand_in, job(lab, source, release, number)) for number in range(count))
        return lambda: next(made, None)

    for _ in completed(pool, len(WORKERS), calls(2 * len(WORKERS))):
        pass  # every worker has imported all it needs
    seen: Counter[str] = Counter()
    wrong = 0
    began = time.monotonic()
    for call, graded in completed(pool, len(WORKERS), calls(watch.total)):
        seen[call.argument.student] += 1
        wrong += not _right(graded, call.argument.student)
        watch.look(seen.total())
    seconds = time.monotonic() - began
    return _report(watch, seen, wrong, seconds)


def _right(graded: Any, who: str) -> bool:
    """Whether it is this student's own record."""
    if not isinstance(graded, GradedSubmission) or graded.record.student != who:
        return False
    cells = [cell for cell in graded.record.cells if cell.kind == "test"]
    return all(c.points == min(points_of_student(who), c.maximum) for c in cells)


def _report(watch: Watch, seen: Counter[str], wrong: int, seconds: float) -> Measurement:
    everybody = {student(number) for number in range(watch.total)}
    return {
        "seconds": seconds,
        "lost": len(everybody - seen.keys()),
        "twice": sum(count > 1 for count in seen.values()),
        "wrong": wrong,
        "memory": watch.memory,
    }


def whole_class(size: int) -> Measurement:
    """With gradebook, notebooks, pages and receipts; each is compared at the end."""
    lab = pick_labs(ROOT, [LAB])[0]
    release = lab.release.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="trickster-class-") as folder:
        course = Path(folder)
        for number in range(size):
            path = course / "submitted" / student(number) / lab.name / f"{lab.name}.ipynb"
            path.parent.mkdir(parents=True)
            path.write_text(submission(release, number), encoding="utf-8")
        with four_workers() as (programs, cluster, said):
            watch = Watch(size, programs)
            seen: Counter[str] = Counter()

            def step(done: int, total: int, record: GradingRecord) -> None:
                seen[record.student] += 1
                watch.look(done)

            head = psutil.Process().cpu_times()
            began = time.monotonic()
            grade_class(
                ROOT, course, trusted=True, say=said.append, step=step, executor=StandIns(cluster)
            )
            seconds = time.monotonic() - began
            used = sum(psutil.Process().cpu_times()[:2]) - sum(head[:2])
        wrong = _wrong_in(course, lab, size)
    gone = sum("has gone" in text for text in said)
    return _report(watch, seen, wrong, seconds) | {"gone": gone, "head": used}


def _wrong_in(course: Path, lab: Lab, size: int) -> int:
    """Submissions whose gradebook entry, receipt or page is not what it should be."""
    wrong = 0
    with nbgrader_api.open_gradebook(course) as gradebook:
        there = {s.student.id: s for s in gradebook.assignment_submissions(lab.name)}
        for who in map(student, range(size)):
            receipt = records.read(course, who, lab.name)
            found = there.pop(who, None)
            page = course / "feedback" / who / lab.name / f"{lab.name}.html"
            tests = [c for c in receipt.cells if c.kind == "test"] if receipt else []
            right = found is not None and page.is_file() and len(found.notebooks) == 1 and tests
            right = right and found.score == receipt.score
            wrong += not (
                right and all(c.points == min(points_of_student(who), c.maximum) for c in tests)
            )
    return wrong + len(there)


# --- the part -----------------------------------------------------------------------------------


def jobs(size: int = 5_000) -> list[tuple[str, str, int]]:
    """The engine with so many, and a whole class of a fiftieth."""
    few = max(20, size // 50)
    return [("engine", CLUSTER, size), ("engine", LOCAL, size), ("class", CLUSTER, few)]


def run(job: tuple[str, str, int]) -> Measurement:
    what, where, size = job
    return engine(where, size) if what == "engine" else whole_class(size)


def section(results: Results) -> str:
    """Two tables, and how to read them."""
    found = {(what, where): (size, m) for (what, where, size), m in results}
    rows = []
    for (what, where), (size, m) in found.items():
        growth = (m["memory"][-1] - m["memory"][0]) / 2**20
        name = "jobs and records alone" if what == "engine" else "a whole class"
        counts = f"{m['lost']}, {m['twice']}, {m['wrong']}"
        each = f"{1000 * m['seconds'] / size:,.0f} ms"
        rows.append([f"{name}, {where}", f"{size:,}", counts, each, f"{growth:+.0f} MB"])
    headings = ["", "Submissions", "Lost, twice, wrong", "Each", "Memory of the head"]
    size, whole = found["class", CLUSTER]
    return "\n\n".join(
        [
            "Nothing of a submission is run here: what is measured is everything else. *Jobs and "
            "records alone* sends real jobs and takes their records; *a whole class* also writes "
            "gradebook, notebooks, pages and receipts, and compares them afterwards. *Memory* is "
            "what the head has gained between a tenth of the way and the end. *Each* is wall-clock "
            "time: other work on the machine counts as well, and the stored run had much of it. "
            "The counts and the memory do not depend on that.",
            markdown_table(headings, rows),
            extrapolated(whole["head"] / size),
        ]
    )


def extrapolated(head: float) -> str:
    """Minutes for classes of real labs; `head` is the seconds that it needs for each."""
    rows = []
    for size in (60, 1_000, 50_000):
        for machines in (1, 4, 20):
            workers = size * SECONDS_EACH / (machines * CORES) / 60
            least = size * head / 60
            bound = "the head" if least > workers else "the workers"
            minutes = max(1.0, workers, least)
            rows.append([f"{size:,}", f"{machines}", f"{minutes:,.0f}", bound])
    table = markdown_table(["Submissions", f"Machines of {CORES} cores", "Minutes", "Limit"], rows)
    return (
        f"Extrapolated, not measured, for real labs: a notebook takes a worker {SECONDS_EACH} s of "
        f"one core, as `grade` assumes, and the head {head:.2f} s of processor time, as in the run "
        f"of a whole class. Nothing else runs on these cores, all workers are there from the "
        f"beginning, and the network costs nothing.\n\n{table}\n\nThe head does one submission at "
        f"a time, since one process writes the gradebook: more than {SECONDS_EACH / head:.0f} "
        f"workers are of no use."
    )


def main() -> None:
    from benchmarks import class_scale  # workers import `stand_in` from there

    cli.main(class_scale, timed=True)


if __name__ == "__main__":
    main()
