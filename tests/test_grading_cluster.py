"""Grading on a cluster: workers started as separate programs, of which one is killed."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from test_grading_run import ANSWER, hand_in, submission
from toy_course import LAB, built_course

from autograder import nbgrader_api
from autograder.course import CourseError
from autograder.grading import secret
from autograder.grading.cluster import DOUBTS, LOSSES, STRIKES, Cluster, _Job, _Worker
from autograder.grading.cluster_worker import Done, NotDone, Parcel
from autograder.grading.executor import Lost
from autograder.grading.proof import LONGEST_FOLDER, Proof, prove, why_not
from autograder.grading.run import grade_class
from autograder.grading.submission import GradedSubmission
from autograder.grading.watch import OverLimit
from autograder.options import chosen_executor
from autograder.records import failed
from benchmarks.local_cluster import START_S, LocalCluster


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path / "programs") as programs:
        yield programs


def hidden_from(folder: Path, texts: list[bytes]) -> bool:
    """Whether none of the texts stands in any file of the folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return not any(text in path.read_bytes() for path in files for text in texts)


@pytest.mark.slow
def test_ctrl_c_and_a_killed_worker_cost_nobody_a_score(
    programs: LocalCluster, tmp_path: Path
) -> None:
    root = built_course(tmp_path / "course")
    for number in range(4):
        cells = ANSWER if number % 2 else {"root_sum": f"def root_sum(v): return {number}"}
        hand_in(root, f"s{number}", json.dumps(submission(root, **cells)))
    hand_in(root, "s1", json.dumps(submission(root, root_sum="import time\ntime.sleep(600)")))
    said: list[str] = []
    programs.start_worker("anna")
    programs.start_worker("bert")
    programs.start_worker("carl", PATH=str(Path(sys.executable).parent))  # has no bubblewrap
    workers = [psutil.Process(programs.started[name].pid) for name in ("anna", "bert")]

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    def wait_for(condition: Callable[[], bool]) -> None:
        until = time.monotonic() + START_S
        while not condition():
            assert time.monotonic() < until, programs.logs()
            time.sleep(0.1)

    with pytest.raises(KeyboardInterrupt), Cluster(programs.scheduler, say=said.append) as cluster:
        wait_for(lambda: cluster.slots == 2 and any("carl" in text for text in said))
        grade_class(root, root, say=said.append, step=interrupted, executor=cluster)
    children = [child for worker in workers for child in worker.children(recursive=True)]
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive, "workers go on with what nobody waits for"
    assert any("Worker anna on" in text and "one at a time" in text for text in said)
    refused = next(text for text in said if "carl" in text)
    assert "left out" in refused and "bubblewrap" in refused

    hand_in(root, "s1", json.dumps(submission(root, **ANSWER)))
    begun: list[str] = []

    def began(lab: str, student: str) -> None:
        begun.append(student)
        if len(begun) == 3:  # one is done, and the other worker is at work
            programs.kill("bert")

    with Cluster(programs.scheduler, say=said.append) as cluster:
        wait_for(lambda: cluster.slots == 2)
        graded = grade_class(root, root, say=said.append, began=began, executor=cluster)
    assert begun == ["s1", "s2", "s3"] and said[-1] == "Worker bert has gone; 1 left."
    assert [(r.student, r.score) for r in graded] == [("s0", 0), ("s1", 4), ("s2", 0), ("s3", 4)]
    assert all(record.status == "graded" for record in graded)
    with nbgrader_api.open_gradebook(root) as gradebook:
        scores = {s.student.id: s.score for s in gradebook.assignment_submissions(LAB)}
    assert scores == {record.student: record.score for record in graded}
    known = secret.existing(root)
    drawn = secret.of_lab(known, LAB)
    assert hidden_from(programs.folder, [known, drawn, known.hex().encode(), drawn.hex().encode()])
    assert not any(word in programs.logs() for word in (LAB, "root_sum"))


# --- who is to blame ----------------------------------------------------------------------------


def job_and_workers() -> tuple[Cluster, _Job, list[_Worker]]:
    workers = [_Worker(str(n), f"w{n}", 1, admitted=True) for n in range(LOSSES)]
    cluster = Cluster("nowhere", say=lambda text: None)
    cluster._workers = {worker.address: worker for worker in workers}
    return cluster, _Job(Parcel.of(None), Future()), workers


def graded(status: str, refused: bool = False) -> GradedSubmission:
    record = failed("lab1_toy", "ann", "The disk is full.", refused=refused)
    return GradedSubmission(record if status == "failed" else replace(record, status=status))


def test_a_job_that_is_lost_again_and_again_is_given_up_and_nobody_is_blamed() -> None:
    cluster, job, workers = job_and_workers()
    for worker in workers:
        assert not job.future.done()
        cluster._settle(job, worker, NotDone("killed"))
    assert isinstance(job.future.result(), Lost)
    assert all(worker.serves and not worker.strikes for worker in workers)


def test_a_worker_that_fails_at_what_others_do_is_left_out() -> None:
    cluster, _, (bad, good, *_) = job_and_workers()
    for answer in (NotDone("killed"), Done(graded("failed")), NotDone("killed")):
        assert bad.serves
        job = _Job(Parcel.of(None), Future())
        cluster._settle(job, bad, answer)
        assert job in cluster._waiting and job.failed_on == [bad]
        cluster._settle(job, good, Done(graded("graded")))
        assert job.future.result().record.status == "graded"
    assert bad.strikes == STRIKES and not bad.serves and good.serves
    assert "left out" in bad.left_out and cluster.slots == LOSSES - 1


def test_a_job_that_takes_too_much_goes_to_nobody_else_and_nobody_is_blamed() -> None:
    cluster, job, (bad, good, *_) = job_and_workers()
    cluster._settle(job, bad, NotDone("killed"))  # by its system, for memory
    cluster._settle(job, good, Done(Lost(OverLimit("It took more than 10 minutes."))))
    assert isinstance(job.future.result().error, OverLimit)
    assert not bad.strikes and not good.strikes


def test_two_machines_agree_before_a_submission_fails() -> None:
    cluster, job, workers = job_and_workers()
    for worker in workers[:DOUBTS]:
        assert not job.future.done()
        cluster._settle(job, worker, Done(graded("failed")))
    assert job.future.result().record.status == "failed"
    at_once = _Job(Parcel.of(None), Future())  # for what it is, it fails everywhere
    cluster._settle(at_once, workers[0], Done(graded("failed", refused=True)))
    assert at_once.future.result().record.refused


def test_a_machine_with_other_software_is_refused() -> None:
    ours = {"library": "a" * 64, "torch": "2.13.0"}
    assert why_not(Proof("here", ours), ours) == ""
    said = why_not(Proof("there", {**ours, "torch": "2.12.1"}), ours)
    assert "torch (2.12.1 there, 2.13.0 here)" in said and "library" not in said
    assert "library (none there, aaaaaaaaaaaa... here)" in why_not(Proof("there", {}), ours)
    assert why_not(Proof("here", ours, ("NOT ENFORCED  disk",)), ours) == "NOT ENFORCED  disk"


def test_a_machine_on_which_no_socket_can_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * LONGEST_FOLDER)))
    with pytest.raises(CourseError, match="too long a path for sockets: set TMPDIR"):
        prove(sandbox=False)


def test_a_parcel_shows_nothing() -> None:
    parcel = Parcel.of(b"the secret")
    assert parcel.open() == b"the secret" and "secret" not in f"{parcel} {parcel!r}"


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="No dask scheduler answers"):
        Cluster(str(tmp_path / "scheduler.json"), say=str).__enter__()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("local", "tcp://x:1", None), "--scheduler is for --executor dask"),
        (("dask", None, None), "needs --scheduler"),
        (("dask", "tcp://x:1", 2), "--workers is the number of this machine's"),
        (("slurm", None, None), "it is local or dask"),
    ],
)
def test_options_that_contradict_each_other(options: tuple, words: str) -> None:
    with pytest.raises(CourseError, match=words):
        chosen_executor(*options, False, str)
