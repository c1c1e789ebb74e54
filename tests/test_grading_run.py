"""A class from end to end: exact scores, and bad submissions that stop nobody else."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import pickle
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from light_jobs import InThisProcess, fragile
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.plugins import CsvExportPlugin
from rich.console import Console
from toy_course import LAB, built_course, cell_of

from autograder import nbgrader_api, records
from autograder.authoring.source import build_notebook
from autograder.cells import grade_id
from autograder.course import CourseError, Lab, read_course
from autograder.environment import one_thread
from autograder.grading import run, single
from autograder.grading.executor import Call, Lost, WorkerProcesses, alone_in, completed
from autograder.grading.run import grade_class, publish
from autograder.records import GradingRecord
from autograder.reporting import console
from autograder.sample_class.specimen import solved

FORMAT_1 = Path(__file__).parent / "receipts_format_1"  # written by an earlier version
ODD = "Zoë O'Brien {x}"
ROOT_SUM = "def root_sum(values, start=0.0):\n    return start + sum(v**0.5 for v in values)"
NOISY = "import warnings\n" + ROOT_SUM.replace("\n", "\n    warnings.warn('careful')\n", 1)
ANSWER = {"root_sum": ROOT_SUM}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("graded_here")]


@dataclass
class Class:
    """A graded class and what was said on the way."""

    root: Path
    results: dict[str, GradingRecord]
    steps: list[tuple[int, int, str]]
    begun: list[str]


def hand_in(root: Path, student: str, text: str, name: str = f"{LAB}.ipynb") -> None:
    path = root / "submitted" / student / LAB / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def submission(root: Path, **cells: str) -> NotebookNode:
    notebook = nbformat.read(Lab(root, LAB).release, as_version=4)
    for name, source in cells.items():
        cell_of(notebook, name).source = source
    return notebook


def perfect(root: Path) -> NotebookNode:
    lab = Lab(root, LAB)
    source = build_notebook(lab, read_course(root))
    return solved(source, nbformat.read(lab.release, as_version=4))


def without_cell(notebook: NotebookNode, name: str) -> NotebookNode:
    notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != name]
    return notebook


def from_colab(notebook: NotebookNode) -> NotebookNode:
    """Colab writes the older minor version, without cell ids."""
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        del cell["id"]
    return notebook


def hand_in_all(root: Path) -> None:
    """The good, the odd and the bad."""
    notebooks = {
        "perfect": perfect(root),
        "waiting": perfect(root),
        "half": submission(root, **ANSWER),
        "syntax": submission(root, root_sum="def root_sum(:", counter="'''open"),
        "noisy": submission(root, root_sum=NOISY),
        "exits": submission(root, root_sum="import os\nos._exit(3)"),
        "colab": from_colab(submission(root, **ANSWER)),
        "deleted": without_cell(submission(root, **ANSWER), "counter_test"),
        ODD: submission(root, **ANSWER),
    }
    for student, notebook in notebooks.items():
        hand_in(root, student, json.dumps(notebook))
    twice = submission(root, **ANSWER)
    twice.cells.append(cell_of(submission(root), "root_sum"))
    hand_in(root, "twice", json.dumps(twice))
    hand_in(root, "other", json.dumps(new_notebook(cells=[new_code_cell("print(1)")])))
    hand_in(root, "linked", json.dumps(submission(root)))
    (root / "submitted" / "linked" / LAB / "data.csv").symlink_to("/etc/passwd")
    stripped = submission(root, **ANSWER)
    for cell in stripped.cells:
        cell.metadata.pop("nbgrader", None)
    hand_in(root, "stripped", json.dumps(stripped))
    hand_in(root, "bad_json", '{"cells": [')
    hand_in(root, "no_notebook", '{"a": 1}')
    hand_in(root, "empty", "")
    hand_in(root, "missing", "My notes", "notes.md")
    hand_in(root, "renamed", "{}", f"{LAB} (1).ipynb")
    hand_in(root, "Doe, Jane", json.dumps(submission(root)))
    (root / "submitted" / "mistaken" / "lab9_other").mkdir(parents=True)
    (root / "submitted" / "damaged" / LAB).mkdir(parents=True)
    (root / "submitted" / "damaged" / LAB / f"{LAB}.ipynb").write_bytes(b"\xff\xfe\x00")
    (root / "submitted" / ".cache" / LAB).mkdir(parents=True)
    (root / "submitted" / "stray.txt").write_text("not a folder")


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Class:
    root = built_course(tmp_path_factory.mktemp("class"))
    hand_in_all(root)
    steps: list[tuple[int, int, str]] = []
    begun: list[str] = []
    results = grade_class(
        root,
        root,
        workers=2,
        marks={(LAB, "perfect"): {"why": 2.5}},
        say=lambda text: None,
        step=lambda done, total, result: steps.append((done, total, result.student)),
        began=lambda lab, student: begun.append(student),
    )
    return Class(root, {result.student: result for result in results}, steps, begun)


@pytest.mark.parametrize(
    ("student", "points", "status"),
    [
        ("perfect", (4, 2, 2.5), "graded"),
        ("waiting", (4, 2, None), "needs marking"),
        ("half", (4, 0, 0), "graded"),
        ("syntax", (0, 0, 0), "graded"),
        ("noisy", (4, 0, 0), "graded"),
        ("exits", (0, 0, 0), "graded"),
        ("colab", (4, 0, 0), "graded"),
        ("deleted", (4, 0, 0), "graded"),
        ("twice", (4, 0, 0), "graded"),
        ("stripped", (4, 0, 0), "graded"),
        (ODD, (4, 0, 0), "graded"),
    ],
)
def test_exact_scores(
    graded: Class, student: str, points: tuple[float | None, ...], status: str
) -> None:
    result = graded.results[student]
    assert [cell.name for cell in result.cells] == ["root_sum_test", "counter_test", "why"]
    assert tuple(cell.points for cell in result.cells) == points
    assert [cell.maximum for cell in result.cells] == [4, 2, 3]
    assert (result.status, result.maximum) == (status, 9)
    assert result.score == sum(value or 0 for value in points)


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ("bad_json", "is not valid JSON"),
        ("no_notebook", "is not a Jupyter notebook"),
        ("empty", "is empty"),
        ("missing", "is missing in its folder."),
        ("renamed", f"{LAB} (1).ipynb is not a Jupyter notebook"),
        ("damaged", "not text in UTF-8"),
        ("linked", "is a link to another place"),
        ("other", "has no cell of lab1_toy"),
        ("Doe, Jane", "whose name holds ,"),
        ("mistaken", f"lab9_other is no lab of this course; the labs are {LAB}"),
    ],
)
def test_what_cannot_be_graded_says_why(graded: Class, student: str, said: str) -> None:
    result = graded.results[student]
    assert result.status == "failed" and result.cells == () and result.score == 0
    assert said in result.reason and "Traceback" not in result.reason
    assert "\n" not in result.reason


def test_everybody_is_reported_once(graded: Class) -> None:
    total = len(graded.results)
    assert total == 21
    assert [step[:2] for step in graded.steps] == [(n, total) for n in range(1, total + 1)]
    assert {step[2] for step in graded.steps} == set(graded.results)
    assert sorted(graded.begun) == sorted(set(graded.results) - {"Doe, Jane", "mistaken"})
    assert "process ended" in graded.results["exits"].reason


def test_receipts_tell_what_was_mended_and_measured(graded: Class) -> None:
    kinds = {}
    for student, result in graded.results.items():
        receipt = records.read(graded.root, student, LAB)
        if student in ("Doe, Jane", "mistaken"):
            assert receipt is None
            continue
        assert receipt.status == result.status and receipt.score == result.score
        kinds[student] = {note.kind for note in receipt.repairs}
    assert "duplicated" in kinds["twice"] and "metadata" in kinds["stripped"]
    assert "deleted" in kinds["deleted"] and kinds["perfect"] == set()
    perfect = records.read(graded.root, "perfect", LAB)
    assert [cell.name for cell in perfect.cells] == ["root_sum_test", "counter_test", "why"]
    assert all(cell.begun and not cell.note for cell in perfect.cells)
    root_sum, *_ = records.read(graded.root, "syntax", LAB).cells
    assert "NameError: the notebook has no 'root_sum'" in root_sum.note
    assert not records.read(graded.root, "half", LAB).cells[1].begun
    assert "ended" in records.read(graded.root, "exits", LAB).stopped
    assert not (graded.root / "autograded" / "linked").exists()


def rows_of(root: Path) -> dict[str, dict[str, str]]:
    with (root / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def json_of(root: Path) -> dict[str, dict]:
    rows = json.loads((root / "scores.json").read_text(encoding="utf-8"))
    return {row["student"]: row for row in rows}


def test_the_csv_gives_a_score_to_the_graded_only(graded: Class) -> None:
    found = rows_of(graded.root)
    assert set(found) == set(graded.results)
    assert found["perfect"]["score"] == "8.5" and float(found[ODD]["score"]) == 4
    assert found["waiting"]["score"] == "" and float(found["waiting"]["score_so_far"]) == 6
    assert found["waiting"]["status"] == "needs marking"
    for student in ("bad_json", "other", "Doe, Jane"):
        assert (found[student]["score"], found[student]["score_so_far"]) == ("", "")
        assert found[student]["status"] == "failed" and found[student]["reason"]


def test_the_json_holds_everything(graded: Class) -> None:
    found = json_of(graded.root)
    assert set(found) == set(graded.results)
    assert found["perfect"]["score"] == 8.5 and found["perfect"]["maximum"] == 9
    assert found["perfect"]["cells"]["why"] == {"kind": "written", "points": 2.5, "maximum": 3}
    assert found["waiting"]["cells"]["why"]["points"] is None
    assert found["waiting"]["score"] is None and found["waiting"]["score_so_far"] == 6
    assert found["empty"]["status"] == "failed" and "empty" in found["empty"]["reason"]
    assert found["empty"]["score"] is found["empty"]["score_so_far"] is None


def test_nbgrader_s_own_export_still_works(graded: Class) -> None:
    out = graded.root / "grades.csv"
    with nbgrader_api.open_gradebook(graded.root) as gradebook:
        CsvExportPlugin(to=str(out)).export(gradebook)
    assert f"{LAB},,,perfect,perfect,perfect,,8.5,0.0,8.5,9.0" in out.read_text(encoding="utf-8")
    out.unlink()


def feedback_of(graded: Class, student: str) -> str:
    return feedback_text(graded.root, student)


def test_feedback_for_the_graded_only(graded: Class) -> None:
    pages = {path.parent.parent.name for path in (graded.root / "feedback").glob("*/*/*.html")}
    assert pages == {name for name, r in graded.results.items() if r.status != "failed"}
    text = feedback_of(graded, "perfect")
    assert "8.5" in text and "measured 3.0, asked 3.0" in text
    assert "Not marked yet" not in text
    assert "Not marked yet: all 3 points are still open." in feedback_of(graded, "waiting")


def test_the_table_shows_everything(graded: Class) -> None:
    out = Console(file=io.StringIO(), width=160)
    console.class_table(out, list(graded.results.values()), details=True)
    text = out.file.getvalue()
    for words in ("8.5 / 9", "needs marking: why", "root_sum_test 4/4", ODD, "empty, lab1_toy:"):
        assert words in text
    summary = console.class_summary(list(graded.results.values()), 0.0)
    assert summary.startswith("21 submissions: 10 graded, 1 needs marking, 10 failed")
    line = console.score_line(3, 14, graded.results["perfect"])
    assert line.startswith(f"3/14 {LAB}  perfect  8.5/9  ") and line.endswith(" s")


# --- grading again ------------------------------------------------------------------------


def test_a_broken_resubmission_loses_its_old_score(graded: Class) -> None:
    hand_in(graded.root, "colab", "")
    assert again(graded, "colab").status == "failed"
    with nbgrader_api.open_gradebook(graded.root) as gradebook:
        assert gradebook.find_submission(LAB, "colab").score == 0
        assert gradebook.find_submission(LAB, "perfect").score == 8.5
    for step in ("autograded", "feedback"):
        assert not (graded.root / step / "colab" / LAB).exists()


def again(graded: Class, student: str) -> GradingRecord:
    (result,) = grade_class(
        graded.root, graded.root, students=[student], workers=1, say=lambda text: None
    )
    return result


def mark(root: Path, student: str, points: float, cell: str = "why") -> None:
    """What formgrader does when somebody types a mark."""
    with nbgrader_api.open_gradebook(root) as gradebook:
        grade = gradebook.find_grade(cell, LAB, LAB, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        gradebook.db.commit()


def test_marked_stays_marked_until_the_answer_changes(graded: Class) -> None:
    mark(graded.root, "waiting", 2)
    for _ in range(2):
        result = again(graded, "waiting")
        assert (result.score, result.status) == (8, "graded") and not result.cells[2].waiting
    notebook = perfect(graded.root)
    cell_of(notebook, "why").source += "\nAnd it may hire friends."
    hand_in(graded.root, "waiting", json.dumps(notebook))
    for _ in range(2):  # a run alone does not make it marked
        result = again(graded, "waiting")
        assert result.status == "needs marking" and result.cells[2].waiting
    assert result.score == 8  # the mark is kept for whoever looks at it again
    assert "The mark is of an earlier answer" in feedback_of(graded, "waiting")
    row = json_of(graded.root)["waiting"]
    assert (row["score"], row["score_so_far"]) == (None, 8)
    assert row["reason"] == "The mark of why is of an earlier answer."


def test_a_mark_does_not_stay_when_a_picture_in_the_answer_changes(graded: Class) -> None:
    def answered_with(drawn: bytes) -> None:
        notebook = perfect(graded.root)
        picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + drawn).decode()
        cell = cell_of(notebook, "why")
        cell.source, cell.attachments = "![](attachment:a.png)", {"a.png": {"image/png": picture}}
        hand_in(graded.root, "waiting", json.dumps(notebook))

    answered_with(b"one")
    again(graded, "waiting")
    mark(graded.root, "waiting", 2)
    answered_with(b"one")
    assert again(graded, "waiting").status == "graded"
    answered_with(b"another")
    result = again(graded, "waiting")
    assert result.status == "needs marking" and result.cells[2].waiting


def test_a_mark_on_a_test_stays_until_the_code_changes(graded: Class) -> None:
    mark(graded.root, "half", 1, "counter_test")
    result = again(graded, "half")
    assert (result.score, result.status) == (5, "graded")
    changed = submission(graded.root, **ANSWER, counter="class Counter:\n    pass")
    hand_in(graded.root, "half", json.dumps(changed))
    assert again(graded, "half").status == "needs marking"
    mark(graded.root, "half", 0, "counter_test")


def test_what_has_not_changed_is_not_graded_again(
    graded: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[int, int]] = []
    grade_class(
        graded.root,
        graded.root,
        students=["perfect", "mistaken", "noisy"],
        say=lambda text: None,
        step=lambda done, total, record: steps.append((done, total)),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    with monkeypatch.context() as patch:
        patch.setattr(run, "grade_submission", lambda job: pytest.fail("it was graded again"))
        assert again(graded, "perfect").score == 8.5
        page = graded.root / "feedback" / "perfect" / LAB / f"{LAB}.html"
        text = page.read_bytes()
        page.unlink()  # as after a run that was cut off: the page alone is made again
        assert again(graded, "perfect").score == 8.5 and page.read_bytes() == text
        page.write_text("of an earlier version")
        os.utime(page, (0, 0))
        assert again(graded, "perfect").score == 8.5 and page.read_bytes() == text


def test_one_run_at_a_time(graded: Class) -> None:
    with alone_in(graded.root), pytest.raises(CourseError, match="Another run is grading"):
        again(graded, "perfect")


# --- scores of the whole class ------------------------------------------------------------


def test_grading_one_student_keeps_everybody_s_scores(graded: Class) -> None:
    hand_in(graded.root, "gone", "")
    again(graded, "gone")
    assert "gone" in rows_of(graded.root)
    shutil.rmtree(graded.root / "submitted" / "gone")
    result = again(graded, "perfect")
    assert result.score == 8.5 and result.status == "graded"
    found = json_of(graded.root)
    assert set(found) == set(rows_of(graded.root)) == set(graded.results)
    assert found["perfect"]["score"] == 8.5 and found["bad_json"]["status"] == "failed"
    assert "is not valid JSON" in found["bad_json"]["reason"]


def test_publishing_tells_the_marks_and_runs_nothing(
    graded: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "grade_submission", lambda job: pytest.fail("something was run"))
    page = graded.root / "feedback" / "deleted" / LAB / f"{LAB}.html"
    page.unlink()
    mark(graded.root, "deleted", 1.5, "counter_test")
    mark(graded.root, "perfect", 3)
    mark(graded.root, "waiting", 2)
    hand_in(graded.root, "late", json.dumps(submission(graded.root)))
    said: list[str] = []
    results = publish(graded.root, graded.root, 1, said.append)
    shutil.rmtree(graded.root / "submitted" / "late")
    found = {result.student: result for result in results}
    assert set(found) == set(graded.results) == set(json_of(graded.root))
    assert (found["perfect"].score, found["perfect"].status) == (9, "graded")
    assert found["deleted"].score == 5.5 and page.is_file()
    assert "earlier answer" not in feedback_of(graded, "waiting")
    assert found["empty"].status == "failed" and "is empty" in found["empty"].reason
    assert float(rows_of(graded.root)["perfect"]["score"]) == 9
    assert records.read(graded.root, "perfect", LAB).score == 9
    assert "is not valid JSON" in (graded.root / "report.html").read_text(encoding="utf-8")
    assert said == ["Not graded yet, and left out: 1 of 22 submissions."]
    mark(graded.root, "perfect", 2.5)


def test_publishing_a_class_that_nobody_graded(graded: Class, tmp_path: Path) -> None:
    (tmp_path / "submitted" / "ann" / LAB).mkdir(parents=True)
    with pytest.raises(CourseError, match="grade the class first"):
        publish(graded.root, tmp_path)
    assert not (tmp_path / "gradebook.db").exists()


def test_how_long_a_class_takes() -> None:
    assert run.forecast(20, 2) == "20 notebooks, about 2 minutes on 2 cores."
    assert run.forecast(1, 8) == "1 notebook, about 1 minute on 1 core."


def test_a_lab_that_gained_a_cell_is_refused(graded: Class) -> None:
    path = Lab(graded.root, LAB).source
    text = path.read_text(encoding="utf-8")
    path.write_text(text + '\n# %% test="more" points=1\nassert True\n', encoding="utf-8")
    try:
        with pytest.raises(CourseError, match="gained or lost a cell"):
            grade_class(graded.root, graded.root, say=lambda text: None)
    finally:
        path.write_text(text, encoding="utf-8")


# --- course folders that are none ---------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda folder: None, {}, "has no folder submitted/"),
        (lambda folder: (folder / "submitted").mkdir(), {}, "holds no submission"),
        (lambda folder: (folder / "submitted").mkdir(), {"labs": ["lab7"]}, "is no lab"),
        (lambda folder: (folder / "submitted").mkdir(), {"students": ["x"]}, "no folder 'x'"),
    ],
)
def test_a_folder_without_a_class(
    tmp_path: Path,
    graded: Class,
    make: Callable[[Path], object],
    options: dict[str, list[str]],
    said: str,
) -> None:
    make(tmp_path)
    with pytest.raises(CourseError, match=said):
        grade_class(graded.root, tmp_path, say=lambda text: None, **options)
    assert not (tmp_path / "gradebook.db").exists()


def test_a_folder_that_nbgrader_cannot_read(tmp_path: Path, graded: Class) -> None:
    folder = tmp_path / "class [2]"
    (folder / "submitted").mkdir(parents=True)
    with pytest.raises(CourseError, match="rename it"):
        grade_class(graded.root, folder, say=lambda text: None)


# --- a worker that dies -------------------------------------------------------------------


def results_of(executor: Executor, workers: int, students: list[str]) -> dict[str, Any]:
    left = iter(students)

    def next_call() -> Call | None:
        student = next(left, None)
        return None if student is None else Call(fragile, student)

    return {call.argument: found for call, found in completed(executor, workers, next_call)}


def test_a_dead_worker_costs_one_submission() -> None:
    students = ["killer", "one", "two", "three"]
    with WorkerProcesses(2) as pool:
        found = results_of(pool, 2, students)
    assert isinstance(found.pop("killer"), Lost)
    assert found == {name: f"graded {name}" for name in students[1:]}


class Unlucky(InThisProcess):
    """Loses a worker, whoever it works for, in every second call; and each of `doomed`."""

    def __init__(self, *doomed: str):
        self.calls, self.doomed = 0, doomed

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        if args[0] in self.doomed or self.calls % 2:
            future: Future[Any] = Future()
            future.set_exception(RuntimeError("KilledWorker"))
            return future
        return super().submit(fn, *args, **kwargs)


def test_any_executor_s_losses_are_repeated_once() -> None:
    found = results_of(Unlucky("two"), 1, ["one", "two", "three"])
    assert found["one"] == "graded one" and found["three"] == "graded three"
    assert isinstance(found["two"], Lost) and "KilledWorker" in str(found["two"].error)


class Elsewhere(Executor):
    """Stands in for a cluster's client: what goes there and comes back is pickled.

    While a job runs, the class's folder is not to be found.
    """

    def __init__(self, folder: Path, course: Path):
        self.folder, self.course, self.functions = folder, course, []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.functions.append(fn.__name__)
        future: Future[Any] = Future()
        home = Path.cwd()
        os.chdir(self.folder)
        away = self.course.rename(self.course.with_name("away"))
        try:
            function, given = pickle.loads(pickle.dumps((fn, args)))
            future.set_result(pickle.loads(pickle.dumps(function(*given))))
        finally:
            assert not self.course.exists()
            away.rename(self.course)
            os.chdir(home)
        return future


def test_a_class_is_graded_by_any_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRICKSTER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "checks").mkdir(parents=True)
    for name, changed in (("old", 0), ("new", time.time())):
        (tmp_path / "cache" / "checks" / f"{name}.npz").touch()
        os.utime(tmp_path / "cache" / "checks" / f"{name}.npz", (changed, changed))
    root = built_course(tmp_path / "course")
    hand_in(root, "good", json.dumps(perfect(root)))
    hand_in(root, "bad", "{")
    (tmp_path / "elsewhere").mkdir()
    cluster = Elsewhere(tmp_path / "elsewhere", root)
    bad, good = grade_class(root, root, workers=3, executor=cluster, say=lambda text: None)
    assert (bad.status, good.status, good.score) == ("failed", "needs marking", 6)
    assert cluster.functions == ["grade_submission", "grade_submission", "render_page"]
    assert not list(cluster.folder.iterdir())
    assert [path.name for path in (tmp_path / "cache" / "checks").iterdir()] == ["new.npz"]
    assert "8.0" not in feedback_text(root, "good") and "6.0" in feedback_text(root, "good")


def feedback_text(root: Path, student: str) -> str:
    return (root / "feedback" / student / LAB / f"{LAB}.html").read_text(encoding="utf-8")


def test_threads_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with one_thread():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "3" and "MKL_NUM_THREADS" not in os.environ


# --- one's own notebook -------------------------------------------------------------------


def test_a_learner_s_own_table(graded: Class, tmp_path: Path) -> None:
    before = {path.name for path in graded.root.iterdir()}
    path = tmp_path / "my work.ipynb"
    path.write_text(json.dumps(submission(graded.root, root_sum=NOISY)), encoding="utf-8")
    out = Console(file=io.StringIO(), width=100)
    single.show(out, single.grade_notebook(graded.root, path))
    text = out.file.getvalue()
    assert "Exercise 1" in text and "4/6" in text and "yours to judge (3)" in text
    assert "NotImplementedError: " in text
    assert f"mark scheme in solutions/{LAB}/{LAB}.ipynb" in text
    assert "not marked by the machine: Exercise 2." in text  # its heading, not its cell's name
    assert {path.name for path in graded.root.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["my work.ipynb"]


def test_cells_that_stopped_are_named(graded: Class) -> None:
    notebook = nbformat.read(
        graded.root / "autograded" / "syntax" / LAB / f"{LAB}.ipynb", as_version=4
    )
    out = Console(file=io.StringIO(), width=100)
    record = graded.results["syntax"]
    single.show(out, single.OwnGrade(Lab(graded.root, LAB), record, notebook))
    text = out.file.getvalue()
    assert "Cell root_sum stopped with an error" in text and "SyntaxError" in text


def test_which_lab_a_notebook_is(graded: Class, tmp_path: Path) -> None:
    named = submission(graded.root)
    nameless = submission(graded.root)
    del nameless.metadata["trickster"]
    for name, notebook in {"a.ipynb": named, f"Copy of {LAB}.ipynb": nameless}.items():
        (tmp_path / name).write_text(json.dumps(notebook), encoding="utf-8")
        assert single.lab_of(graded.root, tmp_path / name).name == LAB
    (tmp_path / "b.ipynb").write_text(json.dumps(nameless), encoding="utf-8")
    with pytest.raises(CourseError, match=f"does not say which lab.*{LAB}"):
        single.lab_of(graded.root, tmp_path / "b.ipynb")


def test_a_learner_s_file_that_cannot_be_graded(graded: Class, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="There is no file"):
        single.grade_notebook(graded.root, tmp_path / "none.ipynb")
    (tmp_path / "empty.ipynb").write_text("")
    with pytest.raises(CourseError, match="is empty"):
        single.grade_notebook(graded.root, tmp_path / "empty.ipynb")


def test_what_changes_the_penalty_alone_runs_no_notebook(tmp_path: Path) -> None:
    root = built_course(tmp_path)
    hand_in(root, "someone", json.dumps(submission(root, **ANSWER)))
    begun: list[str] = []
    with (root / "nbgrader_config.py").open("a") as file:
        file.write('\nc.LateSubmissionPlugin.penalty_method = "zero"\n')

    def grade() -> GradingRecord:
        begun.clear()
        (result,) = grade_class(root, root, began=lambda lab, student: begun.append(student))
        return result

    assert grade().score == 4 and begun
    stamp = root / "submitted" / "someone" / LAB / "timestamp.txt"
    stamp.write_text("2026-05-04 12:00:00 UTC\n")
    assert grade().score == 4 and not begun
    with nbgrader_api.open_gradebook(root) as gradebook:
        gradebook.update_or_create_assignment(LAB, duedate="2026-05-01 12:00:00 UTC")
    assert grade().score == 0 and not begun
    assert "Late submission penalty" in feedback_text(root, "someone")
    assert records.read(root, "someone", LAB).inputs["due"] == "2026-05-01 12:00:00"
    with nbgrader_api.open_gradebook(root) as gradebook:
        gradebook.grant_extension(LAB, "someone", days=7)
    (extended,) = publish(root, root, say=lambda text: None)
    assert extended.score == 4 and rows_of(root)["someone"]["penalty"] == "0.0"
    with nbgrader_api.open_gradebook(root) as gradebook:
        gradebook.grant_extension(LAB, "someone", days=1)
    assert grade().score == 0 and not begun
    text = (root / "nbgrader_config.py").read_text().replace('"zero"', '"none"')
    (root / "nbgrader_config.py").write_text(text)
    assert grade().score == 4 and not begun
    (root / "nbgrader_config.py").write_text(text.replace('"none"', '"zero"'))
    assert grade().score == 0 and not begun
    stamp.unlink()  # as collect does where a newer submission has no date
    assert grade().score == 4 and not begun
    stamp.write_text("2026-05-04 12:00:00 UTC\n")
    assert grade().score == 0 and not begun
    (root / "nbgrader_config.py").write_text(text.replace('"none"', '"zer"'))
    for command in (grade, lambda: publish(root, root, say=lambda text: None)):
        with pytest.raises(CourseError, match=r"penalty_method.*Nothing was done"):
            command()
    (root / "nbgrader_config.py").write_text(text.replace('"none"', '"zero"'))
    with (root / "nbgrader_config.py").open("a") as file:
        file.write("\nc.Grade.timeout = 599\n")
    assert grade().score == 0 and begun
    stamp.write_text("yesterday evening")
    (unread,) = publish(root, root, say=lambda text: None)
    assert unread.score == 0
    result = grade()
    assert result.status == "failed"
    assert result.reason == (
        "timestamp.txt: 'yesterday evening' is no clear date; write it as in "
        "2026-05-04 12:00:00 UTC, or 2026-05-04 14:00 Europe/Berlin"
    )
    grade()
    assert not begun
    stamp.write_text("2026-04-30 12:00:00 UTC")
    assert grade().score == 4 and begun


def test_the_grader_s_own_trouble_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = built_course(tmp_path)
    hand_in(root, "someone", json.dumps(submission(root, **ANSWER)))
    with monkeypatch.context() as patched:

        def full(*_: object, **__: object) -> None:
            raise nbgrader_api.NbgraderError("the disk is full")

        patched.setattr(nbgrader_api, "record", full)
        (result,) = grade_class(root, root, workers=1)
        assert result.status == "failed"
    (result,) = grade_class(root, root, workers=1)
    assert (result.status, result.score) == ("graded", 4.0)


def test_a_limit_met_in_a_test_is_told(tmp_path: Path) -> None:
    root = built_course(tmp_path)
    with (root / "nbgrader_config.py").open("a") as file:
        file.write("\nc.Grade.call_timeout = 1\n")
    loop = ROOT_SUM.replace("\n", "\n    while True: pass\n", 1)
    hand_in(root, "loops", json.dumps(submission(root, root_sum=loop)))
    (result,) = grade_class(root, root)
    (receipt,) = records.read_all(root)
    assert receipt.limits == ("root_sum_test: your code took longer than 1 s.",)
    assert not receipt.stopped and receipt.limits[0] in result.reason
    assert receipt.limits[0] in (root / "report.html").read_text()
    page = (root / "feedback" / "loops" / LAB / f"{LAB}.html").read_text()
    assert "is there an endless loop?" in page and "TimeLimitExceeded" not in page


def test_a_record_of_an_earlier_file_says_so(tmp_path: Path) -> None:
    root = built_course(tmp_path)
    hand_in(root, "someone", json.dumps(submission(root)))
    grade_class(root, root)
    hand_in(root, "someone", json.dumps(submission(root, **ANSWER)))
    (record,) = publish(root, root)
    assert record.score == 0 and "run grade to bring the score up to date" in record.stale
    assert records.read(root, "someone", LAB).stale == record.stale
    assert record.stale in (root / "report.html").read_text()
    assert record.stale in (root / "scores.csv").read_text()
    (record,) = grade_class(root, root)
    assert record.score == 4 and not record.remark
    assert "run grade to" not in (root / "report.html").read_text()


# --- nbgrader's own way, and what earlier versions of this course have left ----------------


def test_nbgrader_s_own_autograder_does_the_same(graded: Class) -> None:
    for student in ("twice", "exits"):
        ours = again_from_scratch(graded, student)
        nbgrader_api.autograde(graded.root, graded.root, LAB, student)
        theirs = records.read(graded.root, student, LAB)
        same = {"seconds": 0, "cells": tuple(replace(c, seconds=0) for c in ours.cells)}
        assert replace(ours, **same) == replace(
            theirs, **same | {"cells": tuple(replace(c, seconds=0) for c in theirs.cells)}
        )
        assert again(graded, student) == theirs  # nothing is left to do but the page


def again_from_scratch(graded: Class, student: str) -> GradingRecord:
    (record,) = grade_class(
        graded.root, graded.root, students=[student], workers=1, say=str, again=True
    )
    return record


def test_a_class_graded_before_checks_returned_their_parts(
    graded: Class, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gradebook, notebooks and marks are as nbgrader keeps them; its records have format 1."""
    root = built_course(tmp_path)
    hand_in(root, "ann", json.dumps(perfect(root)))
    twice = submission(root, **ANSWER)
    twice.cells.append(cell_of(submission(root), "root_sum"))
    hand_in(root, "ben", json.dumps(twice))
    hand_in(root, "cat", "")
    hand_in(root, "dan", json.dumps(submission(root, root_sum="import os\nos._exit(3)")))
    grade_class(root, root, workers=1, marks={(LAB, "ann"): {"why": 2.5}}, say=str)
    for name in ("receipts", "feedback"):
        shutil.rmtree(root / name)
    for name in ("scores.csv", "scores.json", "report.html"):
        (root / name).unlink()
    shutil.copytree(FORMAT_1, root / "receipts")

    ann, ben, cat, dan = publish(root, root, 1, say=str)
    assert (ann.score, ann.status, ben.score, dan.score) == (8.5, "graded", 4, 0)
    assert cat.status == "failed" and cat.reason == f"{LAB}.ipynb is empty."
    assert [cell.name for cell in ben.cells] == ["root_sum_test", "counter_test", "why"]
    assert [note.kind for note in ben.repairs] == ["ids", "duplicated"]
    assert "the Python process ended" in dan.stopped and "the Python process" in dan.reason
    assert (root / "feedback" / "ann" / LAB / f"{LAB}.html").is_file()
    assert records.read(root, "ann", LAB).format == records.FORMAT
    mark(root, "dan", 1)
    shutil.copytree(FORMAT_1, root / "receipts", dirs_exist_ok=True)
    records_of = grade_class(root, root, workers=1, say=str)  # the marks stay, all else is renewed
    assert [record.score for record in records_of] == [8.5, 4, 0, 1]
    assert [record.status for record in records_of] == ["graded", "graded", "failed", "graded"]
