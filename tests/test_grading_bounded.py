"""Texts that were made to take minutes: each is cut off, and the class is graded."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from light_jobs import InThisProcess
from nbformat.v4 import new_code_cell, new_markdown_cell
from toy_course import LAB, built_course

from autograder import __main__ as command_line
from autograder import nbgrader_api
from autograder.course import CourseError, Lab
from autograder.grading import feedback, submission
from autograder.grading.bounded import Bounds, OverLimit, within
from autograder.grading.execution import Outcome, Verdict
from autograder.grading.required_cells import needed
from autograder.grading.run import grade_class
from autograder.records import GradingRecord

QUICK = Bounds("It", computing=1, waiting=30)


def burn() -> None:
    re.match(r"(a+)+b", "a" * 60)  # hours, and no signal handler of Python's runs meanwhile


def odd_error() -> None:
    raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd")


def unpicklable() -> None:
    class Unpicklable(Exception):
        """No other process could find its class, whatever libraries teach pickle of exceptions."""

    raise Unpicklable("ab")


def test_what_is_returned_and_raised_comes_through():
    assert within(QUICK, sorted, [2, 1], reverse=True) == [2, 1]
    with pytest.raises(UnicodeDecodeError):
        within(QUICK, odd_error)
    with pytest.raises(CourseError, match="Unpicklable: ab"):
        within(QUICK, unpicklable)


@pytest.mark.parametrize(
    ("bounds", "function", "said"),
    [
        (QUICK, burn, "It takes more than 1 s of computing"),
        (replace(QUICK, waiting=0.3), lambda: time.sleep(60), "It took longer than 0.3 s"),
        (QUICK, lambda: "x" * (3 << 30), "It needs more than 1,024 MB of memory"),
        (QUICK, lambda: __import__("os")._exit(7), "It ended without a result (7)"),
        (QUICK, lambda: "x" * (300 << 20), "It gives more than 256 MB"),
    ],
)
def test_a_limit_is_a_sentence(bounds, function, said):
    with pytest.raises(CourseError, match=re.escape(said)) as caught:
        within(bounds, function)
    busy = "took longer" in said or "without a result" in said
    assert isinstance(caught.value, OverLimit) != busy


def hand_in(root: Path, student: str, *cells: nbformat.NotebookNode) -> None:
    notebook = nbformat.read(Lab(root, LAB).release, as_version=4)
    notebook.cells += cells
    folder = root / "submitted" / student / LAB
    folder.mkdir(parents=True)
    (folder / f"{LAB}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def pictured(name: str, times: int, size: int) -> nbformat.NotebookNode:
    text = f"![a](attachment:{name})\n\n" * times
    return new_markdown_cell(text, attachments={"a.png": {"image/png": "A" * size}})


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> tuple[Path, dict[str, GradingRecord]]:
    root = built_course(tmp_path_factory.mktemp("bounded"))
    hand_in(root, "maths", new_markdown_cell(r"\begin{a}" * 20_000))
    hand_in(root, "pictures", pictured("a.png", 200, 200_000))
    hand_in(root, "lost picture", pictured("b.png", 1, 100))
    hand_in(root, "beside")
    with (root / "submitted" / "beside" / LAB / "big.bin").open("wb") as file:
        file.truncate(2 * 1024**3)
    hand_in(root, "nested")
    text = '{"cells": [' + "[[]]," * 2_000_000 + "0]}"
    (root / "submitted" / "nested" / LAB / f"{LAB}.ipynb").write_text(text)
    hand_in(root, "zoe")
    outcome = Outcome(tests={name: Verdict(0.0, []) for name in ("root_sum_test", "counter_test")})
    render = nbgrader_api.render

    def slow(page: nbgrader_api.Page) -> str:
        """A renderer that some text keeps busy for hours."""
        if r"begin{a}" in page.notebook:
            burn()
        return render(page)

    with pytest.MonkeyPatch.context() as patched:  # what runs is no matter here
        patched.setattr(nbgrader_api, "render", slow)
        patched.setattr(submission, "run_notebook", lambda *args, **kwargs: outcome)
        patched.setattr(feedback, "SHOWING", replace(feedback.SHOWING, computing=6))
        repairing = replace(submission.REPAIRING, memory=150 * 1024**2)
        patched.setattr(submission, "REPAIRING", repairing)
        found = grade_class(root, root, say=str, trusted=True, executor=InThisProcess())
    return root, {record.student: record for record in found}


def page_of(root: Path, student: str) -> str:
    return (root / "feedback" / student / LAB / f"{LAB}.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_rest_of_the_class_is_graded(graded):
    root, found = graded
    for student in ("beside", "zoe", "lost picture", "pictures"):
        assert found[student].status == "graded" and not found[student].reason
    assert found["nested"].status == "failed" and found["nested"].refused
    # Which limit it meets first depends on the memory that the process had left over.
    assert re.search("more than 150 MB of memory|at most 1,000 are", found["nested"].reason)
    assert "Exercise 1" in page_of(root, "zoe")


@pytest.mark.slow
def test_a_page_that_takes_minutes_is_a_plain_one(graded):
    root, found = graded
    assert found["maths"].status == "graded"
    said = "Showing the notebook as a page takes more than 6 s of computing"
    assert f"Feedback page without the notebook: {said}" in found["maths"].reason
    page = page_of(root, "maths")
    assert said in page and re.search(r"Score: [\d.]+ of 9.0 points", page) and len(page) < 1_000


@pytest.mark.slow
def test_pages_stay_small(graded):
    root, found = graded
    for student in ("pictures", "lost picture"):
        assert "Exercise 1" in page_of(root, student)
    assert all(len(page_of(root, name)) <= feedback.MAX_PAGE for name in found if name != "nested")


@pytest.mark.slow
def test_nothing_beside_a_notebook_is_copied(graded):
    root, _ = graded
    assert [p.name for p in (root / "autograded" / "beside" / LAB).iterdir()] == [f"{LAB}.ipynb"]


def test_600_shell_lines_cost_nothing_that_is_needed():
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell("!echo\n" * 600 + "f(x)")])
    began = time.process_time()
    assert needed(notebook) == [True] and time.process_time() - began < 1


def test_pictures_can_be_left_out():
    notebook = nbformat.v4.new_notebook(cells=[pictured("a.png", 2, 10), new_code_cell("x")])
    page = nbgrader_api.Page(nbformat.writes(notebook), {}, {})
    text, code = nbformat.reads(feedback.without_pictures(page).notebook, 4).cells
    assert "attachment" not in text and "attachment:" not in text.source and code.source == "x"


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device", "scores.csv")


def test_a_full_disk_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "app", full)
    with pytest.raises(SystemExit) as stop:
        command_line.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2 and "No space left on device: 'scores.csv'" in said
    assert said.startswith("A file cannot be read or written") and "run the command again" in said


def test_a_gradebook_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "gradebook.db").write_text("not a database, but long enough to look like one" * 99)
    with (
        pytest.raises(CourseError, match="cannot be read or written"),
        nbgrader_api.open_gradebook(tmp_path),
    ):
        pass
