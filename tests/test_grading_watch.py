"""A job that hangs its process, or fills its memory, is ended from outside and recorded."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from light_jobs import Bounded, fragile, greedy
from test_grading_run import ANSWER, hand_in, submission
from toy_course import LAB, SOURCE, make_course

from autograder import nbgrader_api, records
from autograder.authoring.build import build
from autograder.grading.cluster_worker import Done, Parcel, end_run, work
from autograder.grading.execution import RunSettings
from autograder.grading.executor import (
    Call,
    Lost,
    LostWorker,
    WorkerProcesses,
    completed,
    in_own_process,
)
from autograder.grading.submission import COMPUTING_S, COMPUTING_S_EACH, WAITING, job_bounds
from autograder.grading.watch import Bounds, OverLimit
from autograder.sandbox.limits import GIB

AMPLE = Bounds("It", computing=60, waiting=120, memory=GIB)
GREEDY = [
    ("computes", replace(AMPLE, computing=4), "It took more than 4 s of computing (at ask_test)."),
    ("waits", replace(AMPLE, waiting=10), "It took more than 10 s (at ask_test)."),
    ("fills", replace(AMPLE, memory=GIB // 4), "more than 256 MB of memory (at ask_test)."),
]


@pytest.mark.parametrize(("how", "bounds", "said"), GREEDY)
def test_a_worker_that_takes_too_much_is_killed(how: str, bounds: Bounds, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(OverLimit, match="It took more than") as caught:
        in_own_process(greedy, Bounded(how, bounds))
    assert said in str(caught.value) and time.monotonic() - began < 60


def test_it_costs_no_other_job_anything_and_is_not_repeated() -> None:
    jobs = [Bounded("computes", GREEDY[0][1]), *(Bounded(f"job {n}", AMPLE) for n in range(4))]
    left = iter(jobs)

    def next_call() -> Call | None:
        job = next(left, None)
        return None if job is None else Call(greedy, job)

    began: dict[str, int] = {}
    with WorkerProcesses(2) as pool:
        submit = pool.submit

        def counted(fn, job):
            began[job.how] = began.get(job.how, 0) + 1
            return submit(fn, job)

        pool.submit = counted
        found = {call.argument.how: result for call, result in completed(pool, 2, next_call)}
    lost = found.pop("computes")
    assert isinstance(lost, Lost) and isinstance(lost.error, OverLimit)
    assert found == {f"job {n}": f"did job {n}" for n in range(4)}
    assert set(began.values()) == {1}


def test_workers_come_anew_and_end_with_the_pool() -> None:
    with WorkerProcesses(1) as pool:
        assert pool.submit(fragile, "ann").result() == "graded ann"
        with pytest.raises(LostWorker):
            pool.submit(fragile, "killer").result()
        queued = [pool.submit(fragile, name) for name in ("bob", "cat")]
        assert [future.result() for future in queued] == ["graded bob", "graded cat"]
        with pytest.raises(ValueError):
            pool.submit(int, "x").result()
        workers = [worker.process for worker in pool._all]
    assert len(workers) == 1 and not workers[0].is_alive()


def test_an_interrupted_pool_kills_what_hangs() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), WorkerProcesses(1) as pool:
        hangs = pool.submit(greedy, Bounded("computes", AMPLE))
        while not (pool._all and next(iter(pool._all)).process.is_alive()):
            time.sleep(0.05)
        raise KeyboardInterrupt
    assert isinstance(hangs.exception(), LostWorker)
    assert time.monotonic() - began < 60


def test_a_worker_of_a_cluster_kills_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where the job is
    try:
        job = Parcel.of((greedy, Bounded("computes", AMPLE)))
        answer = work(job, "run", GREEDY[0][1]).open()
    finally:
        end_run("run")
    assert isinstance(answer, Done) and isinstance(answer.value, Lost)
    assert GREEDY[0][2] == str(answer.value.error)


def test_what_a_job_may_use_follows_from_what_a_submission_may() -> None:
    usual, longer = RunSettings(), RunSettings(notebook_timeout=7_200, limits={"memory": 8 * GIB})
    assert job_bounds(usual, 1).computing == COMPUTING_S
    many = job_bounds(usual, 10)
    assert many.computing == 10 * COMPUTING_S_EACH
    assert many.waiting > usual.notebook_timeout + WAITING * many.computing
    assert job_bounds(longer, 10).waiting == many.waiting + 7_200 - usual.notebook_timeout
    assert job_bounds(longer, 10).memory == many.memory + 5 * GIB


# --- a class ----------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from autograder import __main__ as command
from autograder.grading import submission
if __name__ == "__main__":
    submission.COMPUTING_S, submission.COMPUTING_S_EACH = int(sys.argv.pop(1)), 0
    command.main()
"""
# A fault of a check, through which a submission makes the grader itself hang.
FAULT = """measured = root_sum([1.0, 4.0])
if measured == "hang":
    __import__("re").match(r"(a+)+b", "a" * 60)
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = SOURCE.replace("measured = root_sum([1.0, 4.0])\n", FAULT)
    root = make_course(tmp_path_factory.mktemp("hangs"), source)
    assert build(root, say=lambda text: None) == []
    hand_in(root, "ann", json.dumps(submission(root, root_sum="def root_sum(v): return 'hang'")))
    hand_in(root, "bob", json.dumps(submission(root, **ANSWER)))
    return root


def started(root: Path, computing: int, *words: str) -> subprocess.Popen[str]:
    """`autograder grade`, as from a terminal."""
    given = [str(computing), "grade", *words, "--root", str(root)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *given],
        env={**os.environ, "PYTHONPATH": str(Path(nbgrader_api.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def burning(run: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes below it, once its worker computes without end: a kernel has been started."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        below = psutil.Process(run.pid).children(recursive=True)
        with contextlib.suppress(psutil.Error):
            workers = [p for p in below if "spawn_main" in " ".join(p.cmdline())]
            before = [worker.cpu_times().user for worker in workers]
            time.sleep(1)
            if any(
                worker.cpu_times().user > was + 0.4 and "bwrap" in {c.name() for c in below}
                for worker, was in zip(workers, before, strict=True)
            ):
                return below
    raise AssertionError(f"it never came to that: {run.communicate()}")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_submission_that_hangs_the_grader_stops_nobody(course: Path) -> None:
    run = started(course, 600, str(course), "--workers", "1")
    below = burning(run)
    os.killpg(run.pid, signal.SIGINT)
    told, _ = run.communicate(timeout=20)
    assert run.returncode == 130 and "Stopped; run it again to go on." in told, told
    _, alive = psutil.wait_procs(below, timeout=10)
    assert not alive

    told, _ = (run := started(course, 3, str(course), "--workers", "1")).communicate(timeout=180)
    assert run.returncode == 1 and "Traceback" not in told, told
    ann, bob = sorted(records.read_all(course), key=lambda record: record.student)
    assert (bob.status, bob.score) == ("graded", 4.0)
    assert ann.status == "failed" and ann.refused and ann.maximum == bob.maximum
    assert "took more than 3 s of computing (at root_sum_test)" in ann.reason
    assert "Look at its code." in ann.reason and "--student ann --again" in ann.reason
    rows = json.loads((course / "scores.json").read_text(encoding="utf-8"))
    assert [row["student"] for row in rows] == ["ann", "bob"]
    assert "root_sum_test" in (course / "report.html").read_text(encoding="utf-8")

    told, _ = (run := started(course, 3, str(course))).communicate(timeout=60)
    assert run.returncode == 1 and "2 of 2 notebooks are unchanged" in told, told
    again, _ = records.read_all(course)
    assert again == ann

    path = course / "submitted" / "ann" / LAB / f"{LAB}.ipynb"
    told, _ = (run := started(course, 3, str(path))).communicate(timeout=60)
    assert run.returncode and "could not be graded: Grading it took more than" in told, told
