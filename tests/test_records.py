"""Records: the hash of what was handed in, whatever it is; what is written can be read back."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from reference import ROOT

from autograder import records
from autograder.grading.gradebook import completed
from autograder.records import CellRecord, GradingRecord, inputs_of
from autograder.repair.notes import changed_points, duplicated, edited
from autograder.repair.salvage import MAX_BYTES
from trickster.checks.result import PartResult


def submission_hash(path: Path) -> str:
    return inputs_of(ROOT, "lab1_train_victim", [path], False, "none", "", "", {})["submission"]


def test_the_same_text_has_the_same_hash_and_another_text_another(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    a, b, c = (submission_hash(tmp_path / name) for name in "abc")
    assert a == b != c


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: os.symlink("/dev/zero", path),
        lambda path: os.symlink("nowhere", path),
    ],
    ids=["pipe", "folder", "endless", "dangling"],
)
def test_what_is_no_file_is_not_read(tmp_path: Path, make) -> None:
    path = tmp_path / "lab.ipynb"
    missing = submission_hash(path)
    make(path)
    assert submission_hash(path) != missing


@pytest.mark.timeout(60)
def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "lab.ipynb"
    path.touch()
    os.truncate(path, 10**12)  # takes no room on the disk
    first = submission_hash(path)
    os.truncate(path, MAX_BYTES + 1)
    assert first != submission_hash(path)


def test_halves_of_characters_can_be_written(tmp_path: Path) -> None:
    record = GradingRecord("lab", "ann", "graded", 1.0, reason="a\ud800b")
    records.write(tmp_path, records.writable(record))
    assert records.read(tmp_path, "ann", "lab").reason == "a\ufffdb"


PART = PartResult("honest users", 2.0, 0.25, "3.1", "1.5", "0.9", "Sort them.", value=3.1)
RECORD = GradingRecord(
    "lab1",
    "Zo\u00eb",
    "needs marking",
    6.0,
    (
        CellRecord("test", "test", 1.5, 4.0, False, (PART,), "", True, 2.5),
        CellRecord("early", "test", 0.0, 4.0, note="not written yet", begun=False),
        CellRecord("essay", "written", None, 2.0, waiting=True),
    ),
    penalty=0.5,
    inputs={"torch": "2.13.0"},
    repairs=(duplicated("test", 2),),
    limits=("test: too long",),
    problems=("a check broke",),
)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    records.write(tmp_path, RECORD)
    assert records.read(tmp_path, RECORD.student, "lab1") == RECORD
    assert records.read_all(tmp_path) == [RECORD]
    records.remove(tmp_path, RECORD.student, "lab1")
    assert records.read(tmp_path, RECORD.student, "lab1") is None


def test_a_mark_that_an_older_file_calls_refused_is_an_invalid_one(tmp_path: Path) -> None:
    cell = CellRecord("essay", "written", None, 2.0, waiting=True, invalid_mark="9 points of 2")
    record = replace(RECORD, cells=(cell,), refused=True)
    records.write(tmp_path, record)
    path = records.path_of(tmp_path, record.student, "lab1")
    path.write_text(path.read_text("utf-8").replace('"invalid_mark": "9', '"refused": "9'), "utf-8")
    assert '"refused": "9 points of 2"' in path.read_text("utf-8")
    assert records.read(tmp_path, record.student, "lab1") == record


def test_the_score_is_the_points_less_the_penalty_and_never_below_nothing() -> None:
    assert (RECORD.score, RECORD.test_points) == (1.0, 1.5)
    assert replace(RECORD, penalty=9.0).score == 0


def test_a_record_of_format_1_is_read_without_parts() -> None:
    course = Path(__file__).parent
    path = course / "receipts_format_1" / "ben" / "lab1_toy.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    found = records.from_dict(old)
    assert found.format == records.FORMAT and found.score == 4.0
    assert {cell.name: cell.points for cell in found.cells} == {
        "counter_test": 0.0,
        "root_sum_test": 4.0,
        "why": 0.0,
    }
    assert all(cell.parts == () for cell in found.cells)
    assert [note.kind for note in found.repairs] == ["ids", "duplicated"]


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"format": 9}', '{"format": 2}', '{"format": 1}', "\xff"]
)
def test_what_is_no_record_is_none(tmp_path: Path, text: str) -> None:
    path = records.path_of(tmp_path, "ann", "lab1")
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="latin-1")
    assert records.read(tmp_path, "ann", "lab1") is None


class StandIn:
    """A gradebook with one cell of 20 points, and a penalty."""

    def __init__(self, score: float, penalty: float = 0.0):
        self.late_submission_penalty = penalty
        self.grades = [
            SimpleNamespace(
                name="why",
                cell_type="markdown",
                manual_score=score,
                auto_score=None,
                score=score,
                max_score=20.0,
                needs_manual_grade=False,
            )
        ]

    def find_submission(self, lab: str, student: str) -> StandIn:
        return self

    def find_submission_notebook(self, lab: str, notebook: str, student: str) -> StandIn:
        return self


@pytest.mark.parametrize("score", [693.0, 20.01, -0.5, float("nan"), float("inf"), -float("inf")])
def test_a_mark_that_cannot_be_is_not_published(score: float) -> None:
    draft = GradingRecord("lab", "eve", "graded", 20, (CellRecord("why", "written", None, 20.0),))
    record = completed(StandIn(score), draft)
    row = records.as_dict(record)
    assert (row["status"], row["score"], row["score_so_far"]) == ("needs marking", None, 0.0)
    assert f"{score:g} points for why, which can have 0 to 20" in row["reason"]
    assert record.suspicious == record.invalid_marks and record.invalid_marks
    mended = completed(StandIn(18.5), record)  # after the mark was corrected
    assert (mended.status, mended.score, mended.remark) == ("graded", 18.5, "")


def test_the_reason_tells_marks_that_are_missing_and_marks_of_an_earlier_answer() -> None:
    cells = (
        CellRecord("a", "written", 1.5, 2.0, waiting=True),
        CellRecord("b", "written", None, 2.0, waiting=True),
        CellRecord("c", "written", None, 2.0, waiting=True),
        CellRecord("d", "written", None, 2.0, waiting=True, invalid_mark="Too many."),
        CellRecord("e", "written", 2.0, 2.0),
    )
    record = GradingRecord("lab1", "ann", "needs marking", 10.0, cells, reason="It met a limit.")
    assert record.remark == "Too many. The mark of a is of an earlier answer. It met a limit."
    assert records.as_dict(record)["reason"] == f"Waits for a mark: b, c. {record.remark}"
    done = replace(record, status="graded", cells=cells[4:], reason="")
    assert records.as_dict(done)["reason"] == ""


def test_all_changed_tests_are_one_sentence() -> None:
    points = changed_points("b_test", "9", 2)
    notes = (edited("a_test", True), points, edited("load", False), edited("b_test", True))
    record = GradingRecord("lab1", "ann", "graded", 2.0, repairs=notes)
    together, other = record.suspicious
    assert "2 test cells had been changed (a_test, b_test)" in together
    assert other == points.for_instructor
    alone = replace(record, repairs=notes[2:])
    assert alone.suspicious == [notes[3].for_instructor]


def test_a_penalty_adds_nothing() -> None:
    draft = GradingRecord("lab", "eve", "graded", 20, (CellRecord("why", "written", None, 20.0),))
    assert completed(StandIn(20.0, penalty=-5.0), draft).score == 20.0
    assert completed(StandIn(20.0, penalty=5.0), draft).score == 15.0
