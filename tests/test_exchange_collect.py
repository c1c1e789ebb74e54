"""From a learning-management system's download to `submitted/`, by each format's own rules."""

from __future__ import annotations

import io
import os
import struct
import sys
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lms_files import (
    LAB1,
    LAB2,
    Desk,
    Files,
    canvas,
    gradescope,
    moodle,
    notebook,
    reasons,
    write_zip,
    zip_bytes,
)

from autograder import nbgrader_api
from autograder.__main__ import main
from autograder.course import CourseError
from autograder.exchange import archives
from autograder.exchange.people import folder_name, spellings, squeezed


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- layouts ----------------------------------------------------------------------------------


def test_canvas_by_user_and_the_later_of_two_uploads(desk: Desk) -> None:
    plan = desk.collect({
        canvas("Doe, Jane", 11, 109, "lab1_toy-2.ipynb"): notebook("later"),
        canvas("Doe, Jane", 11, 101, "lab1_toy.ipynb"): notebook("first"),
        canvas("Doe, Jane", 12, 102, "lab1_toy.ipynb", late=True): notebook("of the other one"),
        canvas("O'Neil, Zoé", 13, 103, "work.zip"): zip_bytes({"a/lab1.ipynb": notebook("z")}),
        canvas("دو, جین", 14, 104, "Untitled.ipynb"): notebook("r"),
        canvas("Roe, Rob", 15, 105, "report.pdf"): b"%PDF",
        "roeann_16_text.html": b"<p>my answer</p>",
    })  # fmt: skip
    assert plan.layout == "Canvas"
    assert desk.students() == ["doejane_11", "doejane_12", "oneilzoé_13", "دوجین_14"]
    assert desk.files()[f"doejane_11/{LAB1}/{LAB1}.ipynb"] == notebook("later")
    assert "1 earlier in the download: doejane_11_101_lab1_toy.ipynb" in "\n".join(desk.said)
    assert "calls it late, but not since when" in "\n".join(desk.said)
    assert len(plan.refused) == 2 and "no notebook is among it" in reasons(plan)
    assert "it was typed into the system" in reasons(plan)


@pytest.mark.parametrize("late", ["", "LATE_"])
def test_canvas_without_names(desk: Desk, late: str) -> None:
    desk.collect({f"{late}anon_aB3xZ_501_lab1.ipynb": notebook("a"),
                  "anon_Q77yk_502_lab1.ipynb": notebook("b")})  # fmt: skip
    assert desk.students() == ["anon_Q77yk", "anon_aB3xZ"]


@pytest.mark.parametrize("form", ["folders", "new folders", "flat"])
def test_moodle_by_name(desk: Desk, form: str) -> None:
    plan = desk.collect({
        moodle("Zoë d'Arc, Jr.", 501, "lab 1.ipynb", form): notebook("z", lab=""),
        moodle("ジェーン 山田", 502, f"{LAB1}.ipynb", form): notebook("j"),
        moodle("Zoë d'Arc, Jr.", 501, "notes.txt", form): b"x",
        "Bo Li_503_assignsubmission_onlinetext_/onlinetext.html": b"<p>",
    })  # fmt: skip
    assert plan.layout == "Moodle" and plan.left == 1
    assert desk.students() == ["Zoë d'Arc Jr", "ジェーン 山田"]
    assert "Bo Li_503" in reasons(plan)


def test_moodle_two_people_of_one_name_need_a_roster(desk: Desk) -> None:
    files = {moodle("Jane Doe", 501, "a.ipynb"): notebook("a"),
             moodle("Jane Doe", 502, "a.ipynb"): notebook("b"),
             moodle("Bo Li", 503, "a.ipynb"): notebook("c")}  # fmt: skip
    assert "tell them apart in a roster" in reasons(desk.collect(files))
    assert desk.students() == ["Bo Li"]
    worksheet = (
        '\ufeffID,"Vollständiger Name",E-Mail-Adresse,Status,Bewertung,"Beste Bewertung"\n'
        "Teilnehmer/in501,Jane Doe,jane@x.edu,,,9\nTeilnehmer/in502,Jane Doe,j.doe@x.edu,,,9\n"
        "Teilnehmer/in503,Bo Li,bo@x.edu,,,9\n"
    )
    plan = desk.collect(files, roster=desk.table(worksheet))
    assert plan.refused == []
    # Whoever has a folder keeps it.
    assert desk.students() == ["Bo Li", "j.doe@x.edu", "jane@x.edu"]
    assert desk.files()[f"jane@x.edu/{LAB1}/{LAB1}.ipynb"] == notebook("a")


def test_moodle_the_second_of_a_name_does_not_get_the_first_one_s_folder(desk: Desk) -> None:
    desk.collect({moodle("Jane Doe", 501, "a.ipynb"): notebook("a")})
    plan = desk.collect({moodle("Jane Doe", 777, "a.ipynb"): notebook("b")}, replace=True)
    assert "the work of somebody else of that name (501)" in reasons(plan)
    assert desk.files() == {f"Jane Doe/{LAB1}/{LAB1}.ipynb": notebook("a")}


def test_moodle_blind(desk: Desk) -> None:
    desk.collect({moodle("Participant", n, "a.ipynb"): notebook(str(n)) for n in (31, 32)})
    assert desk.students() == ["Participant 31", "Participant 32"]


def test_moodle_dates_come_from_the_worksheet_of_that_lab(desk: Desk) -> None:
    worksheet = (
        'Identifier,"Full name","Email address",Status,Grade,"Last modified (submission)"\r\n'
        'Participant 501,Jane Doe,jane@x.edu,Submitted,,"Monday, 4 May 2026, 9:05 PM"\r\n'
        "Participant 502,Bo Li,bo@x.edu,No submission,,-\r\n"
    )
    roster = desk.table(worksheet)
    files = {moodle("Jane Doe", 501, "a.ipynb"): notebook("a")}
    desk.collect(files, dry_run=True)
    assert "Not known of 1: when it was handed in" in "\n".join(desk.said)
    desk.said.clear()
    desk.collect(files, roster=roster, timezone="Europe/Berlin")
    assert "Not known" not in "\n".join(desk.said)
    date = desk.course / "submitted" / "jane@x.edu" / LAB1 / "timestamp.txt"
    assert nbgrader_api.parse_utc(date.read_text()).isoformat() == "2026-05-04T19:05:00"
    other = {moodle("Bo Li", 999, "a.ipynb"): notebook("a", LAB2)}
    assert "is about one assignment" in reasons(desk.collect(other, roster=roster))


def test_gradescope_gives_a_group_s_work_to_each_of_them(desk: Desk) -> None:
    files = gradescope({
        1: ([("Ann", "007", "ann@x.edu"), ("Bo", "008", "bo@x.edu")],
            "2026-05-04 23:30:00.000000000 -04:00", {"lab1.ipynb": notebook("both")}),
        2: ([("Cy", "", "cy@x.edu")], "2026-05-05 00:00:00.5 Z", {"work/x.ipynb": notebook("c")}),
    })  # fmt: skip
    orphan = {"assignment_7_export/submission_3/x.ipynb": notebook("d")}
    plan = desk.collect({**files, **orphan})
    assert plan.layout == "Gradescope"
    assert desk.students() == ["ann@x.edu", "bo@x.edu", "cy@x.edu"]
    assert desk.files()[f"bo@x.edu/{LAB1}/timestamp.txt"] == b"2026-05-05 03:30:00 UTC\n"
    assert "does not say whose it is" in reasons(plan)
    assert "handed in by a group: Ann" in "\n".join(desk.said)


def test_gradescope_with_damaged_metadata_is_a_sentence(desk: Desk) -> None:
    plan = desk.collect({"e/submission_metadata.yml": b"a: [", "e/submission_1/x.ipynb": b"{}"})
    assert "it is no valid YAML" in reasons(plan) and plan.placements == []


def test_blackboard_with_attempts_and_logins_with_underscores(desk: Desk) -> None:
    head = "Lab_1_j_doe_attempt_"
    about = b"Name: Jane Doe (j_doe)\nAssignment: Lab 1\n"
    plan = desk.collect({
        f"{head}2026-05-04-12-00-00.txt": about,
        f"{head}2026-05-04-12-00-00_old.ipynb": notebook("old", lab=""),
        f"{head}2026-05-06-08-00-00.txt": about,
        f"{head}2026-05-06-08-00-00_new.ipynb": notebook("new", lab=""),
        "Lab_1_bo_attempt_2026-05-04-12-00-00.txt": b"Name: Bo (bo)\n",
    }, timezone="UTC")  # fmt: skip
    assert desk.files() == {
        f"j_doe/{LAB1}/{LAB1}.ipynb": notebook("new", lab=""),
        f"j_doe/{LAB1}/timestamp.txt": b"2026-05-06 08:00:00 UTC\n",
    }
    assert len(plan.refused) == 1 and "typed into the system" in reasons(plan)


@pytest.mark.parametrize(
    "names",
    [
        ("{s}/{lab}/{lab}.ipynb", LAB1), ("{s}/x.ipynb", LAB1), ("lab 1/{s}/x.ipynb", ""),
        ("class/{s}/x.ipynb", LAB1), ("class/submitted/{s}/lab1/x (2).ipynb.txt", ""),
        ("{s}.zip", LAB1),
    ],
)  # fmt: skip
def test_plain_folders(desk: Desk, names: tuple[str, str]) -> None:
    path, lab = names
    files = {}
    for student in ("ada", "Doe, Jane"):
        name, content = path.format(s=student, lab=LAB1), notebook(student, lab)
        files[name] = zip_bytes({"n.ipynb": content}) if name.endswith(".zip") else content
    desk.collect(files)
    assert desk.students() == ["Doe Jane", "ada"]
    assert desk.files()[f"ada/{LAB1}/{LAB1}.ipynb"] == notebook("ada", lab)


def test_a_folder_is_read_like_a_zip_but_for_its_links(desk: Desk) -> None:
    source = desk.folder / "submitted"
    (source / "ada" / "lab1").mkdir(parents=True)
    (source / "ada" / "lab1" / "lab1.ipynb").write_bytes(notebook("ada"))
    (source / "ada" / "lab1" / "timestamp.txt").write_text("2026-05-04 12:00:00 UTC")
    (source / "bo").mkdir()
    os.symlink("/etc/passwd", source / "bo" / "lab1.ipynb")
    os.symlink(source / "ada", source / "cy")
    os.mkfifo(source / "bo" / "lab2.ipynb")
    plan = desk.read(source)
    assert desk.students() == ["ada"]
    assert desk.files()[f"ada/{LAB1}/timestamp.txt"] == b"2026-05-04 12:00:00 UTC\n"
    assert reasons(plan).count("a link to another place") == 2
    assert "a pipe or a device" in reasons(plan)


def test_a_bundle_of_two_labs_and_a_student_s_zip_that_plays_another(desk: Desk) -> None:
    trick = zip_bytes(
        {canvas("Li, Bo", 12, 900 + n, "lab1.ipynb"): notebook("t") for n in range(9)}
    )
    desk.collect({
        "lab1.zip": zip_bytes({canvas("Li, Bo", 12, 1, "a.ipynb"): notebook("b", lab=""),
                               canvas("Ek, Eve", 13, 2, "a.zip"): trick}),
        "lab2.zip": zip_bytes({canvas("Li, Bo", 12, 3, "a.ipynb"): notebook("b2", lab="")}),
    })  # fmt: skip
    assert desk.files()[f"libo_12/{LAB1}/{LAB1}.ipynb"] == notebook("b", lab="")
    assert desk.files()[f"libo_12/{LAB2}/{LAB2}.ipynb"] == notebook("b2", lab="")
    assert desk.students() == ["ekeve_13", "libo_12"]


def test_a_student_s_metadata_does_not_make_a_class_gradescope_s(desk: Desk) -> None:
    forged = gradescope({1: ([("Bo", "", "bo@x.edu")], "2026-01-01", {"lab1.ipynb": notebook()})})
    plan = desk.collect({"ada/lab1.ipynb": notebook("a"), "eve/all.zip": zip_bytes(forged)})
    assert plan.layout == "plain folders" and desk.students() == ["ada", "eve"]


# --- which lab --------------------------------------------------------------------------------


def test_the_lab_is_what_the_notebook_says_or_what_is_asked_for(desk: Desk) -> None:
    files = {"ada/x.ipynb": notebook("a", lab=""), "bo/lab1.ipynb": notebook("b", LAB2)}
    plan = desk.collect(files)
    assert desk.students(LAB2) == ["bo"] and "name it with --lab" in reasons(plan)
    plan = desk.collect(files, lab="lab1")
    assert desk.students() == ["ada"]
    assert f"says that it is of {LAB2}, not of {LAB1}: ask for the one of {LAB1}" in reasons(plan)


# --- what is there already ----------------------------------------------------------------------


def test_collecting_twice_changes_nothing_and_a_newer_one_keeps_the_older(desk: Desk) -> None:
    one = {canvas("Doe, Jane", 11, 101, "lab1.ipynb"): notebook("one")}
    two = {canvas("Doe, Jane", 11, 205, "lab1-1.ipynb"): notebook("two")}
    desk.collect(one)
    before = {p: p.stat().st_mtime_ns for p in (desk.course / "submitted").rglob("*")}
    assert [p.action for p in desk.collect(one).placements] == ["unchanged"]
    assert {p: p.stat().st_mtime_ns for p in (desk.course / "submitted").rglob("*")} == before
    assert [p.action for p in desk.collect(two).placements] == ["newer"]
    assert desk.files() == {f"doejane_11/{LAB1}/{LAB1}.ipynb": notebook("two")}
    assert desk.files("earlier") == {f"doejane_11/{LAB1}/try 1/{LAB1}.ipynb": notebook("one")}
    plan = desk.collect(one)
    assert [p.action for p in plan.placements] == ["stays"]
    assert "was uploaded later" in plan.placements[0].notes[0]
    assert desk.files() == {f"doejane_11/{LAB1}/{LAB1}.ipynb": notebook("two")}


def test_a_newer_hand_in_that_holds_the_earlier_notebook_as_well_is_newer(desk: Desk) -> None:
    def handed_in(day: int, **notebooks: bytes) -> Files:
        date = f"2026-05-{day:02} 10:00:00 Z"
        files = {f"{name}.ipynb": text for name, text in notebooks.items()}
        return gradescope({1: ([("Cy", "", "cy@x.edu")], date, files)})

    def action(day: int, **notebooks: bytes) -> str:
        return desk.collect(handed_in(day, **notebooks)).placements[0].action

    one, two = notebook("one"), notebook("two")
    assert action(4, lab1=one) == "new"
    assert action(5, lab1=one) == "unchanged"
    assert action(6, lab1=one, final=two) == "newer" and two in desk.files().values()
    assert action(6, lab1=one, final=two) == "unchanged"
    assert action(6, lab1=one) == "unchanged"  # a part of the same one
    assert action(7, final=two) == "newer" and one not in desk.files().values()


def test_dates_decide_where_there_are_any(desk: Desk) -> None:
    def handed_in(day: int) -> Files:
        date = f"2026-05-{day:02} 10:00:00 Z"
        return gradescope({1: ([("Cy", "", "cy@x.edu")], date, {"lab1.ipynb": notebook(str(day))})})

    actions = [desk.collect(handed_in(day)).placements[0].action for day in (4, 9, 6, 9)]
    assert actions == ["new", "newer", "stays", "unchanged"]
    assert desk.files()[f"cy@x.edu/{LAB1}/{LAB1}.ipynb"] == notebook("9")
    kept = f"cy@x.edu/{LAB1}/2026-05-04 10.00.00/"
    assert desk.files("earlier")[f"{kept}{LAB1}.ipynb"] == notebook("4")
    assert desk.files("earlier")[f"{kept}timestamp.txt"] == b"2026-05-04 10:00:00 UTC\n"


def test_an_empty_file_does_not_stand_in_the_way_of_a_later_one(desk: Desk) -> None:
    name = moodle("Jane Doe", 501, "a.ipynb")
    assert "the file is empty: ask for it anew" in reasons(desk.collect({name: b""}))
    assert desk.files() == {}
    assert desk.collect({name: notebook("a")}).refused == []
    assert desk.files() == {f"Jane Doe/{LAB1}/{LAB1}.ipynb": notebook("a")}
    beside = {moodle("Bo Li", 502, "a.ipynb"): b"", moodle("Bo Li", 502, "b.ipynb"): notebook("b")}
    plan = desk.collect(beside)
    assert plan.refused == [] and plan.left == 1
    assert desk.files()[f"Bo Li/{LAB1}/{LAB1}.ipynb"] == notebook("b")


def test_what_the_instructor_put_there_stays_unless_told_otherwise(desk: Desk) -> None:
    mine = desk.course / "submitted" / "ada" / LAB1 / f"{LAB1}.ipynb"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(notebook("mended by hand"))
    plan = desk.collect({"ada/lab1.ipynb": notebook("downloaded")})
    assert plan.placements[0].action == "stays" and "--replace" in plan.placements[0].notes[0]
    assert mine.read_bytes() == notebook("mended by hand")
    desk.collect({"ada/lab1.ipynb": notebook("downloaded")}, replace=True)
    assert mine.read_bytes() == notebook("downloaded")
    assert notebook("mended by hand") in desk.files("earlier").values()


def test_a_dry_run_writes_nothing_and_says_the_same(desk: Desk) -> None:
    files = {"ada/lab1.ipynb": notebook("a"), "bo/x.pdf": b""}
    desk.collect(files, dry_run=True)
    assert not desk.course.exists() and "dry run" in desk.said[-1]
    said = desk.said[:-2]
    desk.collect(files)
    assert desk.said[:-1] == said


def test_nothing_is_written_through_a_link(desk: Desk) -> None:
    elsewhere = desk.folder / "elsewhere"
    elsewhere.mkdir()
    (desk.course / "submitted").mkdir(parents=True)
    os.symlink(elsewhere, desk.course / "submitted" / "ada")
    plan = desk.collect({"ada/lab1.ipynb": notebook("a"), "bo/lab1.ipynb": notebook("b")})
    assert list(elsewhere.iterdir()) == [] and desk.students() == ["bo"]
    assert plan.placements[0].action == "stays"


def test_a_damaged_ledger_is_a_sentence(desk: Desk) -> None:
    desk.course.mkdir()
    (desk.course / "collected.json").write_text('{"format": 1, "collected": [{"a": 1}]}')
    with pytest.raises(CourseError, match=r"collected\.json is damaged"):
        desk.collect({"ada/lab1.ipynb": notebook("a")})


# --- hostile and damaged archives -----------------------------------------------------------------


def hostile_zip() -> bytes:
    data = io.BytesIO(zip_bytes({
        "../eve/lab1.ipynb": notebook("e"), "/etc/eve/lab1.ipynb": notebook("e"),
        "C:\\eve\\lab1.ipynb": notebook("e"), "a\\..\\..\\lab1.ipynb": notebook("e"),
        f"{'9' * 70_000}/lab1.ipynb"[-65_000:]: notebook("e"), "ada/lab1.ipynb": notebook("a"),
        "bo/broken.zip": b"PK\x03\x04 not a zip", "cy/work.rar": b"Rar!",
    }))  # fmt: skip
    with zipfile.ZipFile(data, "a") as archive:
        link = zipfile.ZipInfo("dan/lab1.ipynb")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return data.getvalue()


def test_a_hostile_zip_costs_nobody_else_a_place(desk: Desk) -> None:
    path = desk.folder / "h.zip"
    path.write_bytes(hostile_zip())
    plan = desk.read(path)
    assert desk.students() == ["ada"]
    why = reasons(plan)
    assert why.count("leads out of the archive") == 4 and "longer than any file's" in why
    assert "a link to another place" in why and "it cannot be read: File is not a zip file" in why
    assert "an archive that cannot be opened here" in why
    assert sorted(p.name for p in desk.folder.iterdir()) == ["class", "h.zip", "repository"]


def test_zip_bombs_are_not_unpacked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MIN_ALLOWED", 1_000_000)
    zeros = b"0" * 900_000
    bomb = zip_bytes({f"{n}.ipynb": zeros for n in range(9)})
    nested = zip_bytes({"1.zip": zip_bytes({"2.zip": zip_bytes({"3.ipynb": notebook()})})})
    plan = desk.collect({"eve/b.zip": bomb, "dan/n.zip": nested, "ada/lab1.ipynb": notebook("a")})
    assert desk.students() == ["ada"]
    assert "eve/b.zip: it unpacks to far more than its own size, as a zip bomb does" in reasons(
        plan
    )
    assert "a zip within zips within zips" in reasons(plan)


def test_a_size_that_an_archive_claims_is_not_believed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 10_000)
    plan = desk.collect({"eve/a.ipynb": b"0" * 20_000, "ada/lab1.ipynb": notebook("a")})
    assert desk.students() == ["ada"] and "it has more than" in reasons(plan)
    data = bytearray(zip_bytes({"ada/lab1.ipynb": notebook("a")}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 16 : at + 20] = struct.pack("<I", 1)  # the checksum
    path = desk.folder / "d.zip"
    path.write_bytes(data)
    assert "it cannot be read: Bad CRC-32" in reasons(desk.read(path))


@pytest.mark.parametrize(
    ("content", "said"), [(b"<html>", "is no zip and no folder"), (None, "There is no file")]
)
def test_what_is_no_download_is_one_sentence(desk: Desk, content: bytes | None, said: str) -> None:
    path = desk.folder / "x.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CourseError, match=said):
        desk.read(path)


def as_written_without_flag(name: str) -> bytes:
    """A zip whose name is UTF-8 without saying so, as macOS and many servers write it."""
    raw = name.encode()
    data = zip_bytes({"x" * len(raw): notebook("u")})
    return data.replace(b"x" * len(raw), raw)


@pytest.mark.parametrize("name", ["Zoë/lab1.ipynb", "山田/lab1.ipynb", "дом/lab1.ipynb"])
def test_names_in_utf_8_that_do_not_say_so(desk: Desk, name: str) -> None:
    path = desk.folder / "u.zip"
    path.write_bytes(as_written_without_flag(name))
    desk.read(path)
    assert desk.students() == [name.split("/")[0]]


# --- who is who -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        "student,name,canvas id\njdoe,Jane Doe,11\nbli,Bo Li,12\n",
        "id,first_name,last_name,email,lms_user_id\njdoe,Jane,Doe,,11\nbli,Bo,Li,,12\n",
        "Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (7)\n    Points Possible,,,,,20\n"
        '"Doe, Jane",11,s1,jdoe,A,\n"Li, Bo",12,s2,bli,A,\n',
        "sep=;\nstudent;name\njdoe;Doe, Jane\nbli;Li, Bo\n",
    ],
)
def test_rosters_say_which_folder(desk: Desk, table: str) -> None:
    files = {canvas("Doe, Jane", 11, 1, "lab1.ipynb"): notebook("a"),
             canvas("Li, Bo", 12, 2, "lab1.ipynb"): notebook("b"),
             canvas("Foe, Al", 13, 3, "lab1.ipynb"): notebook("c")}  # fmt: skip
    plan = desk.collect(files, roster=desk.table(table))
    assert desk.students() == ["bli", "jdoe"]
    assert "roster.csv has nobody like foeal (canvas 13): add a row" in reasons(plan)


def test_a_number_that_contradicts_a_name_is_not_that_person(desk: Desk) -> None:
    roster = desk.table("student,name,canvas id\njdoe,Jane Doe,11\n")
    plan = desk.collect({canvas("Doe, Jane", 99, 1, "lab1.ipynb"): notebook("a")}, roster=roster)
    assert plan.placements == [] and "nobody like doejane" in reasons(plan)


def test_a_roster_that_names_two_people_alike_is_refused(desk: Desk) -> None:
    roster = desk.table("name\nJane Doe\nJane Doe\n")
    with pytest.raises(CourseError, match="two people for the folder Jane Doe"):
        desk.collect({"ada/lab1.ipynb": notebook("a")}, roster=roster)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_and_apostrophes_in_any_form_are_one_person(desk: Desk, form: str) -> None:
    name = unicodedata.normalize(form, "Zoé O\u2019Neil")
    roster = desk.table("student,name\nzo,Zoé O'Neil\n", "cp1252")
    desk.collect({moodle(name, 5, "lab1.ipynb"): notebook("a")}, roster=roster)
    assert desk.students() == ["zo"]


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)


@given(names)
def test_a_folder_s_name_is_one_that_nbgrader_takes(name: str) -> None:
    found = folder_name(name)
    assert not nbgrader_api.unusable_name(found) and len(found.encode()) <= 200
    assert "/" not in found and not found.startswith(".") and folder_name(found) == found


@given(st.text(st.characters(categories=["L"]), min_size=1, max_size=12),
       st.text(st.characters(categories=["L"]), min_size=1, max_size=12))  # fmt: skip
def test_both_orders_of_a_name_are_one(first: str, last: str) -> None:
    assert squeezed(f"{last}{first}") in spellings(f"{last}, {first}")
    assert squeezed(f"{last}{first}") in spellings(f"{first} {last}")


def test_a_name_with_a_suffix_between_commas() -> None:
    for other in ("Bob Smith, Jr.", "Bob Smith Jr.", "Smith Jr., Bob"):
        assert spellings("Smith, Jr., Bob") & spellings(other)


@pytest.mark.parametrize("zone", ["Nowhere", "../etc", ""])
def test_a_time_zone_that_does_not_exist_is_a_sentence(desk: Desk, zone: str) -> None:
    with pytest.raises(CourseError, match="is no time zone"):
        desk.collect({"ada/lab1.ipynb": notebook("a")}, timezone=zone)


def test_bytes_that_are_no_characters_in_a_folder_s_files(desk: Desk) -> None:
    source = desk.folder / "downloads"
    source.mkdir()
    with open(os.path.join(os.fsencode(source), b"jos\xe9_11_101_lab1.ipynb"), "wb") as file:
        file.write(notebook("a"))
    desk.read(source)
    assert desk.students() == ["jos_11"]
    assert [p.action for p in desk.read(source).placements] == ["unchanged"]
    "\n".join(desk.said).encode()  # what a terminal can show


def test_a_late_one_whose_date_is_written_by_hand_is_not_asked_about_again(desk: Desk) -> None:
    files = {canvas("Doe, Jane", 11, 101, "lab1.ipynb", late=True): notebook("a")}
    desk.collect(files)
    assert "write timestamp.txt by hand" in "\n".join(desk.said)
    date = desk.course / "submitted" / "doejane_11" / LAB1 / "timestamp.txt"
    date.write_text("2026-05-04 12:00:00 UTC")
    desk.collect(files)
    assert "write timestamp.txt by hand" not in "\n".join(desk.said)
    assert date.read_text() == "2026-05-04 12:00:00 UTC"


@pytest.mark.parametrize(("extra", "code"), [({}, 0), ({"bo/x.pdf": b""}, 1)])
def test_the_command_says_by_its_exit_code_whether_all_is_placed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, extra: Files, code: int
) -> None:
    download = write_zip(desk.folder / "d.zip", {"ada/lab1.ipynb": notebook("a"), **extra})
    words = ["collect", download, "--to", desk.course, "--root", desk.root]
    monkeypatch.setattr(sys, "argv", ["autograder", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert (stop.value.code or 0) == code and desk.students() == ["ada"]
