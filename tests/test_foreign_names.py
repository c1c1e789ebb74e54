"""Folders with odd names: each gets its row and its sentence, and none stops the others."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from pathlib import Path

import pytest
from light_jobs import InThisProcess
from rich.console import Console
from toy_course import LAB, built_course

from autograder import nbgrader_api, records
from autograder.course import Lab
from autograder.foreign_text import for_spreadsheet, unseen, visible, visible_json
from autograder.grading import feedback
from autograder.grading import submission as grading
from autograder.grading.execution import Outcome, Verdict
from autograder.grading.run import grade_class
from autograder.records import GradingRecord
from autograder.reporting import console

ACCENTED = "Zoë Müller"
FINE = [
    *("ann", "Ann", "ANN"),  # differ by case alone
    unicodedata.normalize("NFC", ACCENTED),
    unicodedata.normalize("NFD", ACCENTED),
    *("O'Brien", "d’Arc", "Jean  Luc", "a.b.c", "dots..", "x" * 255, "é" * 127, "1", "0x1F"),
    *("李小龍", "Пётр", "محمد", "ישראל", "สมชาย", "علی\u200cرضا", "👩\u200d🔬", "नमस्ते", "Ａｄａ"),
    *("=1+1", "+cmd", "-rf", "--help", "@SUM(A1)", "=HYPERLINK('x')", "＝1+1", "a;=1+1", "a; -1"),
    *("{x}", "{}", "{student_id}", "%s", "%(x)s", "$HOME", "$(id)", "`id`", "~", "~root", "!x"),
    *("#", "a&b", "a;b", "a|b", "<script>alert(1)<", "&lt;", "a\\b", "\\x1b", "(a)"),
    *("None", "null", "NaN", "__init__", "CON", "lab1_toy", "submitted", ":memory:", "a=b", "a^b"),
]  # fmt: skip
UNFIT = {  # → what the sentence shows
    b"M\xfcller": "\\xfc",
    b"\xff\xfe": "\\xff",
    b"\xed\xa0\x80": "\\xed",
    b"bell\x07": "\\x07",
    b"\x1b[31mred\x1b[0m": "\\x1b",
    b"\x1b]0;title\x07": "\\x1b",
    b"two\nlines": "\\x0a",
    b"tab\there": "\\x09",
    b"car\rriage": "\\x0d",
    b"del\x7f": "\\x7f",
    "c1\x9b2J".encode(): "\\x9b",
    "gpj.\u202eexe": "\\u202e",
    "mark\u200f": "\\u200f",
    "wide\u2028line": "\\u2028",
    "\ufeffbom": "\\ufeff",
    "soft\u00adhyphen": "\\xad",
    "tag\U000e0041": "\\U000e0041",
    "Doe, Jane": "holds ,",
    'a"b': 'holds "',
    "a*": "holds *",
    "a?": "holds ?",
    "a[b": "holds [",
    "a]b": "holds ]",
    " lead": "a blank",
    "trail ": "a blank",
    "\u3000wide": "a blank",
    "\u00a0hard": "a blank",
    '=cmd|"calc"!A0': 'holds "',
    "=1,2": "holds ,",
}
STRAY = [b"lab9_\xfc", b"=lab", b"\x1b[2J", "notes, old", "\u202e1bal", "lab1_toy-Copy1"]
ODD = {os.fsdecode(name): shown for name, shown in UNFIT.items()}
STRAY_NAMES = [os.fsdecode(name) for name in STRAY]


def test_the_lists_are_long_enough():
    assert len(set(FINE)) == len(FINE) and len(FINE) + len(ODD) + len(STRAY) >= 60


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> tuple[Path, list[GradingRecord], str]:
    """A class of them all; no notebook is run, and no page rendered, so that this stays quick."""
    root = built_course(tmp_path_factory.mktemp("names"))
    text = Lab(root, LAB).release.read_text(encoding="utf-8")
    for name in [*FINE, *ODD]:
        folder = root / "submitted" / name / LAB
        folder.mkdir(parents=True)
        (folder / f"{LAB}.ipynb").write_text(text, encoding="utf-8")
    for name in STRAY_NAMES:
        (root / "submitted" / "ann" / name).mkdir()
    outcome = Outcome(tests={name: Verdict(0.0, []) for name in ("root_sum_test", "counter_test")})
    out = Console(file=io.StringIO(), width=120)
    with pytest.MonkeyPatch.context() as patched, console.progress(out) as (began, step):
        patched.setattr(grading, "run_notebook", lambda *args, **kwargs: outcome)
        patched.setattr(nbgrader_api, "render", lambda page: "<html></html>")
        for module in (grading, feedback):
            patched.setattr(module, "within", lambda bounds, function, *given: function(*given))
        found = grade_class(
            root, root, say=str, step=step, began=began, trusted=True, executor=InThisProcess()
        )
    console.class_table(out, found, details=True)
    return root, found, out.file.getvalue()


@pytest.mark.slow
def test_each_has_its_row(graded):
    _, found, _ = graded
    by_name = {record.student: record for record in found if record.lab == LAB}
    assert set(by_name) == {*FINE, *ODD}
    for name in FINE:
        assert by_name[name].status == "graded", (name, by_name[name].reason)
    for name, shown in ODD.items():
        record = by_name[name]
        assert record.status == "failed" and shown in record.reason
        assert record.reason.endswith("rename it.") and "\n" not in record.reason
    stray = {record.lab: record.reason for record in found if record.lab != LAB}
    assert set(stray) == set(STRAY_NAMES)
    assert all("is no lab of this course" in reason for reason in stray.values())


@pytest.mark.slow
def test_files_and_terminal_are_safe(graded):
    root, found, shown = graded
    assert not any(unseen(line) for line in shown.split("\n"))
    shown.encode("utf-8")
    text = (root / "scores.csv").read_text(encoding="utf-8")
    assert not any(unseen(line) for line in text.split("\n"))
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == len(found) + 1
    for cell in (cell for row in rows for cell in row):
        for part in cell.split(";"):
            assert not part.lstrip().startswith(tuple("=+-@＝＋－＠"))
    raw = (root / "scores.json").read_text(encoding="utf-8")
    assert not any(unseen(line) for line in raw.split("\n"))
    assert {row["student"] for row in json.loads(raw)} == {record.student for record in found}
    page = (root / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert not any(unseen(line) for line in page.replace("\t", " ").split("\n"))


@pytest.mark.slow
def test_receipts_and_pages_lie_where_they_belong(graded):
    root, _, _ = graded
    assert {path.name for path in (root / records.FOLDER).iterdir()} == set(FINE)
    assert {path.name for path in (root / "feedback").iterdir()} == set(FINE)
    for name in FINE:
        assert records.read(root, name, LAB).student == name


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("ann", "ann"),
        ("a-b = c", "a-b = c"),
        ("=1+1", "'=1+1"),
        ("\t@x", "\\x09@x"),
        ("  +1", "  '+1"),
        ("a;=1", "a;'=1"),
        ("a; －1", "a; '－1"),
        ("M\udcfcller", "M\\xfcller"),
        (None, None),
        (2.5, 2.5),
    ],
)
def test_no_spreadsheet_runs_it(text, safe):
    assert for_spreadsheet(text) == safe


def test_what_cannot_be_seen_is_shown():
    assert visible("a\x1b[0m\u202e\ud800\U000e0001\n") == "a\\x1b[0m\\u202e\\ud800\\U000e0001\\x0a"
    assert visible("a\nb", keep="\n") == "a\nb" and visible("علی\u200cرضا") == "علی\u200cرضا"
    text = json.dumps({"a\x7f": "\u202e\ud800\U000e0001é\x9b"}, ensure_ascii=False)
    assert not unseen(visible_json(text)) and json.loads(visible_json(text)) == json.loads(text)
    assert visible_json('["\x7f"]') == '["\\u007f"]'
