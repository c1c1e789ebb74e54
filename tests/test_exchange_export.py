"""Scores go back into the instructor's own table, and nothing else in it changes."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lms_files import LAB1, LAB2, bare_course, canvas, moodle, notebook, write_zip

from autograder.course import CourseError, Lab, pick_labs
from autograder.exchange import export as exporting
from autograder.exchange.collect import collect
from autograder.exchange.columns import Column, find_columns
from autograder.exchange.export import Outcome, export, fill, own_table
from autograder.exchange.feedback import pack
from autograder.exchange.late import name_undated
from autograder.exchange.ledger import Entry, Ledger
from autograder.exchange.table import Table, parse_table
from autograder.records import CellRecord, GradingRecord, failed


def graded(student: str, points: float = 7.5, lab: str = LAB1, **more: Any) -> GradingRecord:
    cells = (CellRecord("t", "test", points, 9.0),)
    return GradingRecord(lab, student, "graded", 9.0, cells, **more)


class Class:
    """A class that was graded: a repository, a course folder with its ledger, and records."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.root = folder, bare_course(folder / "repository")
        self.course = folder / "class"
        self.course.mkdir()
        self.records: list[GradingRecord] = []
        self.said: list[str] = []
        monkeypatch.setattr(exporting, "graded_records", lambda *_: self.records)

    def collect(self, files: dict[str, bytes]) -> None:
        collect(self.root, write_zip(self.folder / "d.zip", files), self.course, say=lambda _: None)

    def give_back(self, form: str, table: bytes, **options: Any) -> tuple[bytes, Outcome]:
        template = self.folder / "table.csv"
        template.write_bytes(table)
        outcome = export(self.root, self.course, form, template, say=self.said.append, **options)
        assert template.read_bytes() == table
        return (self.folder / "table-filled.csv").read_bytes(), outcome


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Class:
    return Class(tmp_path, monkeypatch)


CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Lab 1: train (701),Lab 2 (702),Quiz 1 (703),"
    "Final Score\r\n"
    ",,,,,Manual Posting,,,(read only)\r\n"
    "    Points Possible,,,,,9.00,9.00,5.00,(read only)\r\n"
    '"Doe, Jane",11,s1,jdoe,A,,,4,80.5\r\n'
    '"Doe, Jane",12,s2,jdoe2,A,3.00,8.00,,\r\n'
    "\"O'Neil, Zoé \"\"Z\"\"\",13,s3,zoe,\"A, and B\",EX,,5,\r\n"
    "=cmd|' /C calc'!A0,14,s4,=1+1,B,7.50,,,\r\n"
    '"Roe, Ann",15,s5,aroe,B,2,,,\r\n'
    '"Student, Test",99,,,B,,,,\r\n'
)  # fmt: skip


def test_canvas_s_gradebook_is_filled_in_place(room: Class) -> None:
    room.collect({
        canvas("Doe, Jane", 11, 1, "lab1.ipynb"): notebook("a"),
        canvas("Doe, Jane", 12, 2, "lab1.ipynb"): notebook("b"),
        canvas("O'Neil, Zoé", 13, 3, "lab1.ipynb"): notebook("c"),
    })  # fmt: skip
    room.records = [
        graded("doejane_11", 6.25), graded("doejane_12", 8.0), graded("oneilzoé_13"),
        graded("s4"), graded("doejane_12", 8.0, LAB2), graded("gone"),
        replace(graded("aroe"), status="needs marking"),
    ]  # fmt: skip
    content, outcome = room.give_back("canvas", CANVAS.encode())
    expected = CANVAS.replace("jdoe,A,,,4", "jdoe,A,6.25,,4").replace("A,3.00,8.00", "A,8,8.00")
    assert content == expected.encode()
    assert outcome.filled == {LAB1: 2, LAB2: 0} and outcome.same == {LAB1: 1, LAB2: 1}
    assert outcome.changed == [f"Doe, Jane ({LAB1}): 3.00 → 8"]
    assert [name for name in outcome.kept if "EX" in name] and len(outcome.kept) == 1
    assert outcome.not_in_table == [f"gone ({LAB1})"]
    assert f"Roe, Ann ({LAB1}): needs marking" in outcome.without_grade
    assert f"Student, Test ({LAB1}): nothing graded" in outcome.without_grade
    assert "Graded, but not in the table: 1." in room.said


def test_a_lab_to_come_is_one_line_and_not_one_for_each_student(room: Class) -> None:
    room.records = [graded("s4")]
    content, outcome = room.give_back("canvas", CANVAS.encode())
    assert content == CANVAS.encode()
    assert outcome.nothing == [LAB2] and not [n for n in outcome.without_grade if LAB2 in n]
    assert f"{LAB2}, column Lab 2 (702): nothing graded." in room.said
    assert f"{LAB1}, column Lab 1: train (701): 0 filled, 1 as before." in room.said


def test_a_name_that_fits_two_rows_or_whose_number_is_another_s_is_nobody(room: Class) -> None:
    room.collect({canvas("Roe, Ann", 77, 1, "lab1.ipynb"): notebook("a")})
    room.records = [graded("Jane Doe"), graded("roeann_77")]
    content, outcome = room.give_back("canvas", CANVAS.encode())
    assert content == CANVAS.encode()
    assert outcome.not_in_table == [f"Jane Doe ({LAB1})", f"roeann_77 ({LAB1})"]
    assert f"Doe, Jane ({LAB1}): 2 rows fit Jane Doe" in outcome.without_grade


MOODLE = (
    '\ufeffIdentifier;"Vollständiger Name";E-Mail-Adresse;Status;Bewertung;"Beste Bewertung";'
    '"Bewertung kann geändert werden";"Zuletzt geändert (Abgabe)";"Feedback als Kommentar"\r\n'
    'Teilnehmer/in501;"Zoë Arc";z@x.edu;"Abgegeben; bewertet";;9,00;Ja;"4. Mai 2026, 10:00";"<p>a'
    '\r\n""b""</p>"\r\n'
    "Teilnehmer/in502;Zoë Arc;z2@x.edu;;1,50;9,00;Ja;-;\r\n"
    "Teilnehmer/in503;Bo Li;b@x.edu;;2,00;9,00;Nein;-;\r\n"
    "Teilnehmer/in504;Al Foe;a@x.edu;;4,00;9,00;Ja;-;"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_moodle_s_worksheet_keeps_language_commas_and_encoding(room: Class, encoding: str) -> None:
    files = {moodle("Zoë Arc", 501, "a.ipynb"): notebook("a"),
             moodle("Bo Li", 503, "a.ipynb"): notebook("b")}  # fmt: skip
    room.collect(files)
    room.records = [graded("Zoë Arc"), graded("Bo Li")]
    text = MOODLE if encoding == "utf-8" else MOODLE.removeprefix("\ufeff")
    content, outcome = room.give_back("moodle", text.encode(encoding), lab="lab1")
    assert content == text.replace('bewertet";;9', 'bewertet";7,5;9').encode(encoding)
    assert outcome.kept == [f"Bo Li ({LAB1}): 2,00"]
    assert f"Zoë Arc ({LAB1}): nothing graded" in outcome.without_grade


GRADESCOPE = (
    "First Name,Last Name,SID,Email,Sections,Total Score,Max Points,Status,Submission ID\n"
    "Ann,Roe,007,ann@x.edu,A,,9.0,Ungraded,81\nBo,Li,008,bo@x.edu,A,9.0,9.0,Graded,82\n"
)


def test_gradescope_and_any_other_table_by_address(room: Class) -> None:
    room.records = [graded("ann@x.edu"), graded("bo@x.edu", 9.0)]
    content, _ = room.give_back("gradescope", GRADESCOPE.encode(), lab="lab1")
    assert content == GRADESCOPE.replace("A,,9.0", "A,7.5,9.0").encode()
    own = b"mail\tLab 01\tnote\nann@x.edu\t\t=A1\nBO@x.edu\t\t\n"
    content, _ = room.give_back("csv", own)
    assert content == own.replace(b"u\t\t=", b"u\t7.5\t=").replace(b"BO@x.edu\t", b"BO@x.edu\t9")
    content, _ = room.give_back("csv", own, lab="lab1", column="NOTE")
    assert content == own.replace(b"=A1", b"7.5").replace(b"BO@x.edu\t\t", b"BO@x.edu\t\t9")


def test_points_of_the_table_must_be_the_lab_s_or_be_converted(room: Class) -> None:
    room.records = [graded("ann@x.edu", 4.5)]
    table = GRADESCOPE.replace(",9.0,U", ",100,U").encode()
    with pytest.raises(CourseError, match="has 100 points for lab1_toy, which has 9"):
        room.give_back("gradescope", table, lab="lab1")
    assert not (room.folder / "table-filled.csv").exists()
    content, _ = room.give_back("gradescope", table, lab="lab1", scale=True)
    assert b"A,50,100" in content


@pytest.mark.parametrize(
    ("record", "why", "with_unfinished"),
    [
        (replace(graded("ann@x.edu"), status="needs marking"), "needs marking", b"7.5"),
        (replace(graded("ann@x.edu"), stale="!"), "handed in anew since", b"7.5"),
        (failed(LAB1, "ann@x.edu", "empty"), "could not be graded", b""),
    ],
)
def test_only_final_scores_go_out(
    room: Class, record: GradingRecord, why: str, with_unfinished: bytes
) -> None:
    room.records = [record]
    content, outcome = room.give_back("gradescope", GRADESCOPE.encode(), lab="lab1")
    assert content == GRADESCOPE.encode() and why in outcome.without_grade[0]
    content, _ = room.give_back("gradescope", GRADESCOPE.encode(), lab="lab1", unfinished=True)
    assert content == GRADESCOPE.encode().replace(b"A,,9.0", b"A," + with_unfinished + b",9.0")


@pytest.mark.parametrize(
    ("form", "table", "options", "said"),
    [
        ("moodle", CANVAS, {}, "not one that Moodle has exported"),
        ("canvas", MOODLE, {}, "not one that Canvas has exported"),
        ("moodle", MOODLE, {}, "about one lab: add --lab"),
        ("moodle", MOODLE.replace("Bewertung;\"B", "Arvosana;\"B"), {"lab": "lab1"},
         "No column is known to hold the grade"),
        ("canvas", CANVAS.replace("Quiz 1", "Lab 1 bonus"), {}, "Several columns name lab1_toy"),
        ("canvas", CANVAS.replace(" (701)", "").replace(" (702)", ""), {}, "No column of"),
        ("csv", GRADESCOPE, {"column": "Email"}, "add --lab"),
        ("csv", GRADESCOPE, {"column": "Mark", "lab": "lab1"}, "'Mark' is no column"),
        ("csv", 'a,b\n"open,1\n', {}, "opens a quotation mark"),
        ("csv", "", {}, "The table is empty"),
        ("csv", "PK\x03\x04", {}, "save it as CSV"),
        ("blackboard", GRADESCOPE, {}, "is no format"),
    ],
)  # fmt: skip
def test_what_is_not_certain_is_one_sentence(
    room: Class, form: str, table: str, options: dict[str, Any], said: str
) -> None:
    room.records = [graded("x")]
    with pytest.raises(CourseError, match=said) as error:
        room.give_back(form, table.encode(), **options)
    assert "\n" not in str(error.value) and not (room.folder / "table-filled.csv").exists()


def test_the_template_is_never_overwritten(room: Class) -> None:
    room.records = [graded("ann@x.edu")]
    with pytest.raises(CourseError, match="is the template itself"):
        room.give_back("csv", b"email,lab1\n", to=room.folder / "repository" / ".." / "table.csv")


def test_pages_go_back_under_the_names_that_the_system_knows(room: Class) -> None:
    room.collect({canvas("Doe, Jane", 11, 101, "lab1.ipynb", late=True): notebook("a"),
                  canvas("Li, Bo", 12, 102, "lab1.ipynb"): notebook("b")})  # fmt: skip
    room.records = [graded("doejane_11"), graded("libo_12"), graded("jdoe2")]
    for student in ("doejane_11", "jdoe2"):
        page = room.course / "feedback" / student / LAB1 / f"{LAB1}.html"
        page.parent.mkdir(parents=True)
        page.write_text(student)
    _, outcome = room.give_back("canvas", CANVAS.encode(), feedback=room.folder / "f.zip")
    with zipfile.ZipFile(room.folder / "f.zip") as archive:
        assert archive.namelist() == [f"doejane_LATE_11_101_{LAB1}.html"]
        assert archive.read(archive.namelist()[0]) == b"doejane_11"
    assert outcome.without_page == [
        f"libo_12 ({LAB1}): there is no page; run publish",
        f"jdoe2 ({LAB1}): it was not collected from Canvas",
    ]


def test_pages_of_two_labs_do_not_go_to_one_assignment(room: Class) -> None:
    room.collect({canvas("Doe, Jane", 11, 101, "lab1.ipynb"): notebook("a")})
    room.records = [graded("doejane_11"), graded("doejane_11", lab=LAB2)]
    with pytest.raises(CourseError, match=f"would be of {LAB1}, {LAB2}: name one with --lab"):
        room.give_back("canvas", CANVAS.encode(), feedback=room.folder / "f.zip")
    assert not (room.folder / "table-filled.csv").exists()
    room.give_back("canvas", CANVAS.encode(), lab="lab1", feedback=room.folder / "f.zip")
    assert (room.folder / "f.zip").exists()


def test_who_is_called_late_without_a_date_is_named_where_lateness_may_cost(room: Class) -> None:
    room.collect({canvas("Doe, Jane", 11, 101, "lab1.ipynb", late=True): notebook("a"),
                  canvas("Li, Bo", 12, 102, "lab1.ipynb"): notebook("b")})  # fmt: skip

    def named(due: str) -> list[str]:
        said: list[str] = []
        records = [graded(one, inputs={"due": due}) for one in ("doejane_11", "libo_12", "x")]
        name_undated(room.course, records, said.append)
        return said

    assert named("none") == []
    (sentence,) = named("2026-05-01 12:00:00")
    place = f"submitted/doejane_11/{LAB1}/timestamp.txt"
    assert f"doejane_11, {LAB1}: Canvas calls it late" in sentence and place in sentence
    (room.course / place).write_text("2026-05-02 12:00:00 UTC")
    assert named("2026-05-01 12:00:00") == []
    (room.course / "collected.json").write_text("{")
    assert "collected.json is damaged" in named("2026-05-01 12:00:00")[0]


@pytest.mark.parametrize("form", ["folders", "new folders", "flat"])
def test_moodle_s_pages_lie_in_moodle_s_own_folders(room: Class, form: str) -> None:
    room.collect({moodle("Zoë Arc", 501, "a.ipynb", form): notebook("a")})
    room.records = [graded("Zoë Arc")]
    page = room.course / "feedback" / "Zoë Arc" / LAB1 / f"{LAB1}.html"
    page.parent.mkdir(parents=True)
    page.write_text("well done")
    room.give_back("moodle", MOODLE.encode(), lab="lab1", feedback=room.folder / "f.zip")
    with zipfile.ZipFile(room.folder / "f.zip") as archive:
        assert archive.namelist() == [moodle("Zoë Arc", 501, f"{LAB1}.html", form)]


def test_a_table_of_our_own_takes_pages_along(room: Class) -> None:
    room.records = [graded("ann"), graded("bo"), graded("ann", lab=LAB2)]
    for lab in (LAB1, LAB2):
        page = room.course / "feedback" / "ann" / lab / f"{lab}.html"
        page.parent.mkdir(parents=True)
        page.write_text(lab)
    target = room.folder / "f.zip"
    outcome = export(
        room.root, room.course, "csv", None, "lab1", feedback=target, say=room.said.append
    )
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == [f"ann/{LAB1}.html"]
    assert outcome.without_page == [f"bo ({LAB1}): there is no page; run publish"]
    with pytest.raises(CourseError, match="--column needs a --template"):
        export(room.root, room.course, "csv", None, column="Points", feedback=target)


def test_a_table_of_our_own_runs_nothing_in_a_spreadsheet(room: Class) -> None:
    ledger = Ledger(room.course, [Entry("ann", LAB1, "Canvas", "=cmd()", {"canvas": "11"})])
    labs = pick_labs(room.root)
    records = [
        graded("ann"),
        graded("-bo", lab=LAB2),
        replace(graded("cy"), status="needs marking"),
    ]
    rows = list(csv.DictReader(io.StringIO(own_table(records, labs, ledger, unfinished=False))))
    assert [(r["student"], r["name"], r["canvas"], r[LAB1], r[LAB2]) for r in rows] == [
        ("'-bo", "", "", "", "7.5"), ("ann", "'=cmd()", "11", "7.5", ""), ("cy", "", "", "", ""),
    ]  # fmt: skip


# --- tables of any shape ---------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8", exclude_characters='\0"'), max_size=8)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, int]:
    """A table of strange people, and how many there are."""
    mark, end = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\r\n", "\n", "\r"]))

    def cell(text: str) -> str:
        quoted = draw(st.booleans()) or any(c in text for c in f'{mark}\r\n"')
        return '"' + text.replace('"', '""') + '"' if quoted else text

    number = draw(st.integers(1, 5))
    lines = [mark.join(["student", "lab1_toy", "lab2 notes", "free"])]
    for n in range(number):
        old = draw(st.sampled_from(["", "3", "3,5", "4.25"]))
        row = [f"s{n}", old, draw(texts), draw(texts) + draw(st.sampled_from(["", '"', "=1+1"]))]
        lines.append(mark.join(map(cell, row)))
    text = end.join(lines) + draw(st.sampled_from(["", end]))
    return text.encode(draw(st.sampled_from(ENCODINGS))), number


@given(tables(), st.lists(st.floats(0, 9), min_size=5, max_size=5))
def test_no_other_field_of_any_table_changes(made: tuple[bytes, int], points: list[float]) -> None:
    data, number = made
    table = parse_table(data)
    assert table.as_bytes() == data
    records = [graded(f"s{n}", points[n]) for n in range(number)]
    columns = [find_one(table)]
    filled, _ = fill(table, columns, records, Ledger(Path("nowhere")))
    again = parse_table(filled.as_bytes())
    assert (again.delimiter, again.encoding, again.bom) == (
        table.delimiter, table.encoding, table.bom)  # fmt: skip
    for before, after in zip(table.rows, again.rows, strict=True):
        assert before.end == after.end
        assert before.fields[:1] + before.fields[2:] == after.fields[:1] + after.fields[2:]
    for n in range(number):
        written = float(again.value(n + 1, 1).replace(",", "."))
        assert written == pytest.approx(round(points[n], 4), abs=1e-9)
    twice, _ = fill(again, columns, records, Ledger(Path("nowhere")))
    assert twice == again


def find_one(table: Table) -> Column:
    (column,) = find_columns("csv", table, [], Lab(Path("nowhere"), LAB1), "lab1_toy")
    return column


def test_a_name_that_is_no_text_can_be_packed(room: Class) -> None:
    place = "jos\udce9_11_101_"
    entry = Entry("jos_11", LAB1, "Canvas", "jos\udce9", {"canvas": "11"}, place)
    page = room.course / "feedback" / "jos_11" / LAB1 / f"{LAB1}.html"
    page.parent.mkdir(parents=True)
    page.write_text("p")
    target = room.folder / "f.zip"
    done = pack(room.course, "canvas", [graded("jos_11")], Ledger(room.course, [entry]), target)
    assert done == (1, [])
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == [f"jos-xe9_11_101_{LAB1}.html"]
