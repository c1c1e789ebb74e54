"""A class whose grading is cut off again and again ends with every score right, and none twice.

Seven submissions, one run that is killed and one that Ctrl-C ends;
`KILLED_RUNS=200 pytest tests/test_grading_killed_runs.py` takes more submissions.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from test_grading_run import ANSWER, hand_in, submission
from toy_course import LAB, built_course

from autograder import nbgrader_api, records
from autograder.grading import secret

COUNT = int(os.environ.get("KILLED_RUNS", "7"))
PROGRAM = """
import sys
from pathlib import Path
from autograder.grading.run import grade_class
if __name__ == "__main__":
    root = Path(sys.argv[1])
    grade_class(root, root, workers=2, say=lambda text: None,
                step=lambda done, total, record: print(record.student, flush=True))
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400 + 12 * COUNT)]


def expected(number: int) -> float:
    """Every third has an exercise right."""
    return 4.0 if number % 3 == 0 else 0.0


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = built_course(tmp_path_factory.mktemp("killed"))
    wrong = "def root_sum(v):\n    __import__('time').sleep(1)\n    return {}"  # some are at work
    for number in range(COUNT):
        cells = ANSWER if number % 3 == 0 else {"root_sum": wrong.format(number)}
        hand_in(root, f"s{number:03}", json.dumps(submission(root, **cells)))
    return root


def rows_of(root: Path) -> list[dict]:
    return json.loads((root / "scores.json").read_text(encoding="utf-8"))


def graded_so_far(root: Path) -> int:
    return len(list((root / records.FOLDER).glob("*/*.json")))


def all_end(processes: list[psutil.Process], seconds: float) -> bool:
    """Whether they end by themselves, but for what has never started."""
    until = time.monotonic() + seconds
    alive = processes
    while alive and time.monotonic() < until:
        _, alive = psutil.wait_procs(alive, timeout=0.2)
        alive = [process for process in alive if not never_started(process)]
    return not alive


def never_started(process: psutil.Process) -> bool:
    """Ends a half of bubblewrap that waits for the other one, which was killed while starting.

    It has run nothing and never will, but bubblewrap leaves it behind.
    """
    try:
        waiting = process.name() == "bwrap" and not process.children()
        if waiting:
            process.kill()
    except psutil.NoSuchProcess:
        return True
    return waiting


def interrupt(course: Path, killed: int, output: Path) -> None:
    """Grade on, as from a terminal, and press Ctrl-C when one more is done."""
    words = ["grade", str(course), "--root", str(course), "--workers", "2"]
    command = [sys.executable, "-m", "autograder", *words]
    environ = {**os.environ, "PYTHONPATH": str(Path(nbgrader_api.__file__).parents[1])}
    with output.open("w") as file:
        run = subprocess.Popen(
            command, env=environ, stdout=file, stderr=file, start_new_session=True
        )
    while run.poll() is None and graded_so_far(course) <= killed:
        time.sleep(0.05)
    time.sleep(0.5)  # others are in the middle of theirs
    children = psutil.Process(run.pid).children(recursive=True)
    began = time.monotonic()
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(20) == 130, output.read_text()
    assert time.monotonic() - began < 10
    _, alive = psutil.wait_procs(children, timeout=10)
    assert children and not alive
    told = output.read_text()
    assert "Stopped; run it again to go on." in told and "Traceback" not in told, told


def test_killed_and_interrupted(course: Path, tmp_path: Path) -> None:
    program = tmp_path / "run.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(course)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while run.poll() is None and graded_so_far(course) < max(1, COUNT // 4):
        time.sleep(0.05)
    assert run.poll() is None, run.stderr.read().decode()
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert children and all_end(children, seconds=20), "some outlive the run that started them"
    killed = graded_so_far(course)
    assert 0 < killed < COUNT

    interrupt(course, killed, tmp_path / "output.txt")
    assert killed < graded_so_far(course) < COUNT
    assert all(receipt.status != "failed" for receipt in records.read_all(course))

    last = subprocess.run(command, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    told = last.stdout.split()
    assert sorted(told) == sorted(set(told)) and len(told) == COUNT

    scores = {row["student"]: row for row in rows_of(course)}
    assert len(scores) == COUNT
    for number in range(COUNT):
        row = scores[f"s{number:03}"]
        assert (row["status"], row["score"]) == ("graded", expected(number)), row
    with nbgrader_api.open_gradebook(course) as gradebook:
        submissions = gradebook.assignment_submissions(LAB)
        assert sorted(s.student.id for s in submissions) == sorted(scores)
        assert {s.student.id: s.score for s in submissions} == {
            student: row["score"] for student, row in scores.items()
        }
        for one in submissions:
            assert len(one.notebooks) == 1 and len(one.notebooks[0].grades) == 3
    for receipt in records.read_all(course):
        assert receipt.score == scores[receipt.student]["score"]
        assert receipt.inputs["secret"] == secret.hash_of(secret.existing(course))
    assert not list((course / records.FOLDER).rglob(".*"))


def test_nothing_is_run_when_all_is_done(course: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (course / "autograded").rglob("*.ipynb")}
    code = PROGRAM.replace("workers=2", "workers=1")
    done = subprocess.run([sys.executable, "-c", code, str(course)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert before == {
        path: path.stat().st_mtime_ns for path in (course / "autograded").rglob("*.ipynb")
    }
