"""Nothing that a student may choose decides whose work it is, when it came, or how all are read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from lms_files import (
    LAB1,
    Desk,
    Files,
    canvas,
    gradescope,
    moodle,
    notebook,
    reasons,
    zip_bytes,
)

from autograder.exchange import archives


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def unpacked(desk: Desk, files: Files, name: str = "downloads") -> Path:
    """The files in a folder."""
    for path, content in files.items():
        target = desk.folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return desk.folder / name


def has(desk: Desk, student: str, lab: str = LAB1) -> bytes:
    """What is collected as somebody's notebook."""
    found = {k: v for k, v in desk.files().items() if k.startswith(f"{student}/{lab}/")}
    assert {Path(name).name for name in found} <= {f"{lab}.ipynb", "timestamp.txt"}
    return found[f"{student}/{lab}/{lab}.ipynb"]


# --- names after a system's own -----------------------------------------------------------------

VERA, MAL, ADA = notebook("vera"), notebook("mal"), notebook("ada")
BLACKBOARD = "Lab 1_{}_attempt_2026-05-04-12-00-00"


@pytest.mark.parametrize("name", [
    moodle("Vera", 456, "lab1.ipynb", "flat"), moodle("Vera", 456, "lab1.ipynb"),
    "x_456_assignsubmission_file_lab1_toy-99.ipynb", canvas("vera", 456, 9999, "lab1-9.ipynb"),
    "Lab 1_vera_attempt_2026-05-05-12-00-00_lab1_toy.ipynb", "456_9999_lab1.ipynb",
    "LATE_456_9999_lab1.ipynb", "anon_456_9999_lab1.ipynb", "submission_1_lab1.ipynb",
])  # fmt: skip
@pytest.mark.parametrize("inside", ["", "work.zip", "vera@x.edu.zip"])
def test_a_file_s_own_name_makes_it_nobody_else_s(desk: Desk, name: str, inside: str) -> None:
    own = zip_bytes({name: MAL, "submission_metadata.yml": b"a: 1"}) if inside else MAL
    name = (inside or name).replace("/", "-")
    form = "flat" if not inside else "folders"
    desk.collect({moodle("Vera", 456, "lab1.ipynb"): VERA, moodle("Ada", 7, "a.ipynb"): ADA,
                  moodle("Mal", 12, name, form): own})  # fmt: skip
    assert desk.students() == ["Ada", "Mal", "Vera"] and has(desk, "Vera") == VERA
    desk.course = desk.folder / "of canvas"
    desk.collect({canvas("Vera", 456, 6543001, "lab1.ipynb"): VERA,
                  canvas("Ada", 7, 6543002, "a.ipynb"): ADA,
                  canvas("Mal", 12, 6543003, name): own})  # fmt: skip
    assert desk.students() == ["ada_7", "mal_12", "vera_456"] and has(desk, "vera_456") == VERA
    desk.course = desk.folder / "of blackboard"
    desk.collect({f"{BLACKBOARD.format(who)}{end}": content for who, content in
                  (("vera", VERA), ("ada", ADA), ("mal", own)) for end, content in
                  ((".txt", f"Name: Some One ({who})\n".encode()),
                   (f"_{name if who == 'mal' else 'lab1.ipynb'}", content))},
                 timezone="UTC")  # fmt: skip
    assert desk.students() == ["ada", "mal", "vera"] and has(desk, "vera") == VERA
    for student in desk.students():
        date = desk.files()[f"{student}/{LAB1}/timestamp.txt"]
        assert date == b"2026-05-04 12:00:00 UTC\n"


def test_a_canvas_name_that_reads_as_two_people_s_is_placed_only_with_a_roster(desk: Desk) -> None:
    # Canvas makes vera_1111_99 of "vera_11-11_9-9": the number of Mal is 1313, that of Vera 1111.
    forged = {"vera_1111_99_1313_6543210_x.ipynb": MAL}
    honest = {canvas("Doe, Jane", 2121, 6543001, "2026_05_04_lab1.ipynb"): ADA,
              canvas("Vera", 1111, 6543002, "lab1_1_2_.ipynb"): VERA,
              canvas("Bo Li", 1212, 6543003, "lab1_toy.ipynb"): ADA}  # fmt: skip
    for files in ({**honest, **forged}, forged):
        plan = desk.collect(files)
        assert desk.students() == ["boli_1212", "doejane_2121", "vera_1111"]
        assert "or 1313 may be the number of its user" in reasons(plan)
    assert has(desk, "vera_1111") == VERA
    desk.course = desk.folder / "with a roster"
    table = "student,name,canvas id\nvera,Vera,1111\njane,Jane Doe,2121\nbo,Bo Li,1212\n"
    lone = {canvas("Doe, Jane", 2121, 101, "2026_05_04_lab1.ipynb"): ADA}
    assert "2121 or 101 or 2026" in reasons(desk.collect(lone))
    assert desk.collect(lone, roster=desk.table(table)).refused == []
    roster = desk.table(f"{table}mal,Mal,1313\n")
    assert "or 1313 may be" in reasons(desk.collect({**honest, **forged}, roster=roster))
    assert desk.students() == ["bo", "jane", "vera"] and has(desk, "vera") == VERA


def test_other_digits_in_a_name_are_no_number(desk: Desk) -> None:
    name = "mal_\uff11\uff11\uff11\uff11_\uff19\uff19_13_6543001_x.ipynb"
    roster = desk.table("student,name,canvas id\nvera,Vera,1111\nmal,Mal,13\n")
    desk.collect({name: MAL, canvas("Vera", 1111, 6543002, "a.ipynb"): VERA}, roster=roster)
    assert desk.students() == ["mal", "vera"] and has(desk, "vera") == VERA


def test_canvas_writes_no_name_of_somebody_who_has_only_signs(desk: Desk) -> None:
    desk.collect({"_5_6543001_7_x.ipynb": MAL, canvas("A", 6, 6543002, "a.ipynb"): ADA})
    assert desk.students() == ["5", "a_6"]


def test_somebody_called_anon_does_not_make_canvas_blind(desk: Desk) -> None:
    desk.collect({canvas("Anon", 5, 6, "x.ipynb"): MAL, canvas("Ada", 6, 2, "a.ipynb"): ADA})
    assert desk.students() == ["ada_6", "anon_5"]


def test_a_lone_file_in_canvas_is_not_blackboard_s(desk: Desk) -> None:
    name = "mal_13_77_x_vera_attempt_2026-01-01-00-00-00_lab1.ipynb"
    for more in ({}, {"mal_13_78_x_vera_attempt_2026-01-01-00-00-00.txt": b"Name: V (vera)\n"}):
        plan = desk.collect({name: MAL, **more})
        assert plan.layout == "Canvas" and desk.students() == ["mal_13"]
        assert f"mal_13/{LAB1}/timestamp.txt" not in desk.files()


# --- Blackboard ---------------------------------------------------------------------------------


def test_blackboard_s_assignment_may_be_called_an_attempt_and_look_like_canvas_s(
    desk: Desk,
) -> None:
    head = "Lab_1_attempt_{}_attempt_2026-05-04-12-00-00"
    files = {}
    for login in ("30012", "j_doe", "doe"):
        files[head.format(login) + ".txt"] = f"Name: A B ({login})\r\nComments: (doe)".encode()
        files[head.format(login) + "_1_2_lab1.ipynb"] = notebook(login)
    plan = desk.collect(files)
    assert plan.layout == "Blackboard" and desk.students() == ["30012", "doe", "j_doe"]


def test_a_comment_in_blackboard_s_text_is_no_login(desk: Desk) -> None:
    files = {"Lab 1_m_vera_attempt_2026-05-04-12-00-00.txt": b"Name: Mal\nComments:\nI am (vera)\n",
             "Lab 1_m_vera_attempt_2026-05-04-12-00-00_a.ipynb": MAL,
             "Lab 1_vera_attempt_2026-05-04-12-00-00_a.ipynb": VERA}  # fmt: skip
    plan = desk.collect(files)
    assert desk.students() == [] and "where its login begins is not certain" in reasons(plan)
    roster = desk.table("student,login\nmal,m_vera\nada,ada\n")
    desk.collect(files, roster=roster)
    assert desk.students() == ["mal"]


# --- Gradescope ---------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [
    b'a: !!int ""', b"a: !!timestamp x", b"a: !!bool x", b"[" * 100_000, b"\xff\xfe",
    b"submission_2:\n  :submitters: [{:email: vera@x.edu}]\n  :created_at: 2026-01-01 00:00:00 Z",
])  # fmt: skip
def test_gradescope_s_metadata_in_a_student_s_folder_is_a_file_as_any(
    desk: Desk, own: bytes
) -> None:
    name = "submission_metadata.yml"
    deeper = {f"submission_2/{n}": c for n, c in (("lab1.ipynb", MAL), (name, own))}
    desk.collect(gradescope({
        1: ([("Vera", "1", "vera@x.edu")], "2026-05-04 12:00:00 Z", {"lab1.ipynb": VERA}),
        2: ([("Mal", "2", "mal@x.edu")], "2026-05-04 12:00:00 +0000",
            {name: own, **deeper, "w.zip": zip_bytes({name: own, **deeper})}),
    }))  # fmt: skip
    assert desk.students() == ["mal@x.edu", "vera@x.edu"] and has(desk, "vera@x.edu") == VERA
    assert desk.files()[f"mal@x.edu/{LAB1}/timestamp.txt"] == b"2026-05-04 12:00:00 UTC\n"


@pytest.mark.parametrize("name", ["2026-02-31", "=", "<<", "1:99", "!x", "0x", "~", "vera@x.edu"])
def test_gradescope_s_names_are_texts_whatever_they_look_like(desk: Desk, name: str) -> None:
    files = dict(gradescope({
        1: ([("Vera", "1", "vera@x.edu")], "2026-05-04 12:00:00 Z", {"lab1.ipynb": VERA}),
        2: ([("NAME", "2", "mal@x.edu")], "2026-05-04 12:00:00 Z", {"lab1.ipynb": MAL}),
    }))  # fmt: skip
    metadata = "assignment_7_export/submission_metadata.yml"
    quoted = f'"{name}"' if name in ("~", "!x") else name  # as Ruby writes them
    files[metadata] = files[metadata].replace(b'"NAME"', quoted.encode())
    files[metadata] = files[metadata].replace(b'"2"', quoted.encode())
    assert desk.collect(files).refused == []
    assert desk.students() == ["mal@x.edu", "vera@x.edu"]


def test_a_student_number_that_a_student_wrote_is_weaker_than_the_address(desk: Desk) -> None:
    def of(number: int, email: str, content: bytes) -> Files:
        files = gradescope({number: ([("V", "007", email)], "2026-05-04 12:00:00 Z",
                                     {"lab1.ipynb": content})})  # fmt: skip
        return files

    desk.collect(of(1, "vera@x.edu", VERA))
    plan = desk.collect(of(2, "mal@x.edu", MAL))
    assert "so far been that of the folder vera@x.edu, with another email" in reasons(plan)
    desk.course = desk.folder / "other"
    roster = desk.table("student,sid,email\nvera,007,vera@x.edu\nmal,008,mal@x.edu\n")
    desk.collect(of(2, "mal@x.edu", MAL), roster=roster)
    assert desk.students() == ["mal"]
    plan = desk.collect(of(3, "mal@else.org", MAL), roster=roster)
    assert "somebody with the sis of V" in reasons(plan) and desk.students() == ["mal"]


# --- plain folders ------------------------------------------------------------------------------


def test_an_entry_is_one_voice_however_many_files_it_holds(desk: Desk) -> None:
    files = {f"all/s{n}/lab1.ipynb": notebook(str(n)) for n in range(3)}
    for n in range(30):
        files[f"all/mal/x_{n}_{n}_a.ipynb"] = MAL
        files[f"all/mal/V_{n}_assignsubmission_file_/a.ipynb"] = MAL
        files[f"all/mal/submission_{n}/a.ipynb"] = MAL
    files["all/mal/submission_metadata.yml"] = b"a: !!int x"
    plan = desk.collect(files)
    assert plan.layout == "plain folders" and desk.students() == ["mal", "s0", "s1", "s2"]


@pytest.mark.parametrize("inner", [
    {canvas("Vera", 11, 9, "a.ipynb"): MAL}, {moodle("Vera", 11, "a.ipynb"): MAL},
    gradescope({1: ([("V", "", "vera")], "2026-01-01", {"a.ipynb": MAL})}),
    {"vera/a.ipynb": MAL, "ada/a.ipynb": MAL}, {"submitted/vera/lab1/a.ipynb": MAL},
    {"lab1/vera/a.ipynb": MAL},
])  # fmt: skip
@pytest.mark.parametrize("form", ["mal", "mal.zip", "lab1.zip"])
def test_what_one_student_alone_packed_is_nobody_else_s(
    desk: Desk, inner: Files, form: str
) -> None:
    own = (
        {form: zip_bytes(inner)} if "zip" in form else {f"{form}/{k}": v for k, v in inner.items()}
    )
    source = unpacked(desk, own)
    plan = desk.read(source)
    assert set(desk.students()) <= {"mal"}
    assert desk.students() or "collect it by itself" in reasons(plan) or form == "lab1.zip"


@pytest.mark.parametrize("roster", ["", "student,email\nvera,vera@x.edu\nada,\nmal,mal@x.edu\n",
                                    "name,email\nAda,\nVera,vera@x.edu\n"])  # fmt: skip
@pytest.mark.parametrize("own", [
    {"mal/vera@x.edu/a.ipynb": MAL}, {"mal/submitted/vera/lab1/a.ipynb": MAL},
    {"mal/w.zip": zip_bytes({"vera/a.ipynb": MAL})}, {"mal/lab1/vera/a.ipynb": MAL},
    {"mal.zip": zip_bytes({"vera@x.edu/a.ipynb": MAL, "submitted/vera/x.ipynb": MAL})},
])  # fmt: skip
def test_folders_within_a_student_s_are_nobody_s(desk: Desk, own: Files, roster: str) -> None:
    table = desk.table(roster) if roster else None
    desk.collect({"all/ada/a.ipynb": ADA, **{f"all/{k}": v for k, v in own.items()}}, roster=table)
    assert set(desk.students()) <= {"ada", "Ada", "mal"}
    assert "ada" in desk.students() or "Ada" in desk.students()


def test_a_roster_finds_the_students_below_folders_of_sections(desk: Desk) -> None:
    roster = desk.table("student,email\nvera,vera@x.edu\nada,ada@x.edu\n")
    files = {"A/ada/a.ipynb": ADA, "B/vera/a.ipynb": VERA, "B/mal/vera/b.ipynb": MAL}
    plan = desk.collect(files, roster=roster)
    assert has(desk, "vera") == VERA and "nobody like mal" in reasons(plan)


def test_clones_named_after_the_lab_are_their_students(desk: Desk) -> None:
    desk.collect({f"lab1-{who}/vera/x.ipynb": notebook(who) for who in ("vera", "mal", "ada")})
    assert desk.students() == ["lab1-ada", "lab1-mal", "lab1-vera"]


@pytest.mark.parametrize("path", [
    "mal/lab1/timestamp.txt", "mal/timestamp.txt", "mal/submitted/mal/lab1/timestamp.txt",
    "mal/lab1/x/timestamp.txt",
])  # fmt: skip
def test_a_student_s_timestamp_is_no_date(desk: Desk, path: str) -> None:
    inner = zip_bytes({"lab1.ipynb": MAL, "timestamp.txt": b"2020-01-01 00:00:00 UTC"})
    date = b"2020-01-01 00:00:00 UTC"
    desk.collect({"ada/lab1/x.ipynb": ADA, f"{Path(path).parent}/x.ipynb": MAL, path: date,
                  "vera/a.zip": inner})  # fmt: skip
    assert [name for name in desk.files() if "timestamp" in name] == []


def test_nbgrader_s_timestamp_is_that_of_all_in_its_folder(desk: Desk) -> None:
    date = b"2026-05-04 12:00:00 UTC"
    desk.collect({"submitted/ada/lab1/x.ipynb": ADA, "submitted/ada/lab1/timestamp.txt": date,
                  f"submitted/ada/lab1/a/{LAB1} (99).ipynb": notebook("late"),
                  "submitted/ada/lab1/a/timestamp.txt": b"2020-01-01 00:00:00 UTC",
                  "submitted/bo/lab1/x.ipynb": VERA})  # fmt: skip
    assert desk.files()[f"ada/{LAB1}/timestamp.txt"] == date + b"\n"


def test_a_timestamp_that_does_not_count_is_said(desk: Desk) -> None:
    desk.collect({"ada/x.ipynb": ADA, "ada/timestamp.txt": b"2026-05-04 12:00:00 UTC"})
    assert "the timestamp.txt beside it does not count" in "\n".join(desk.said)


# --- the batch ----------------------------------------------------------------------------------


def test_one_zip_cannot_use_up_what_all_may_unpack(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_TOTAL", 900_000)
    monkeypatch.setattr(archives, "MAX_ALLOWED", 300_000)
    big = zip_bytes({f"{n}.ipynb": bytes(range(256)) * 400 for n in range(8)})
    plan = desk.collect({"mal/a.zip": big, "ada/a.ipynb": ADA, "vera/a.ipynb": VERA})
    assert desk.students() == ["ada", "vera"] and "as a zip bomb does" in reasons(plan)


def test_a_zip_s_list_of_files_is_not_read_where_it_is_longer_than_any(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can say in some KB that it holds a million files, and costs a GB once it is read."""
    long, read = zip_bytes({f"{n}.txt": b"" for n in range(9_000)}), []
    real = zipfile.ZipFile._RealGetContents

    def counted(archive: zipfile.ZipFile) -> None:
        real(archive)
        read.append(len(archive.infolist()))

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", counted)
    monkeypatch.setattr(archives, "MAX_ENTRIES", 600)
    twice = zip_bytes({"1.zip": long, "2.zip": long, "x.ipynb": VERA})
    plan = desk.collect({"mal/a.zip": twice, "ada/a.ipynb": ADA, "vera/a.ipynb": VERA})
    assert desk.students() == ["ada", "mal", "vera"] and max(read) < 600
    assert reasons(plan).count("it holds more files than any class hands in") == 2


def test_a_student_s_zips_share_what_one_may_hold(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 600)
    some = zip_bytes({f"{n}.txt": b"" for n in range(350)})
    plan = desk.collect(
        {"mal/a.zip": zip_bytes({"1.zip": some, "2.zip": some}), "ada/a.ipynb": ADA}
    )
    assert desk.students() == ["ada"]
    assert reasons(plan).count("it holds more files than any class hands in") == 1


def test_texts_that_systems_write_are_no_notebooks_of_a_student_s(desk: Desk) -> None:
    own = {"submission_metadata.yml": b"a: !!int x", "x_attempt_y.txt": b"Name: (vera)"}
    plan = desk.collect({"ada/a.ipynb": ADA, **{f"mal/{k}": v for k, v in own.items()}})
    assert "x_attempt_y.txt of mal (folder mal): no notebook is among it" in reasons(plan)


@pytest.mark.parametrize(("form", "around"), [("zip", ""), ("zip", "all/"), ("zip", "lab1/"),
                                              ("folder", ""), ("folder", "lab1/")])  # fmt: skip
@pytest.mark.parametrize("what", ["files", "bytes"])
def test_one_folder_cannot_hold_more_than_all_may(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, around: str, form: str, what: str
) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 100)
    monkeypatch.setattr(archives, "MAX_TOTAL", 100_000)
    files = {f"{around}s{n}/lab1.ipynb": ADA for n in range(20)}
    for n in range(90):
        name, content = ("ipynb", b"0" * 2_000) if what == "bytes" else ("txt", b"")
        files[f"{around}mal/a{n % 3}/{n}.{name}"] = content
    plan = desk.read(unpacked(desk, files)) if form == "folder" else desk.collect(files)
    assert len(desk.students()) == 20
    assert f"{around}mal: it holds far more than anybody hands in" in reasons(plan)
