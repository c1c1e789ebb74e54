"""Which file is graded: renamed, copied, astray, in another encoding."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from toy_course import LAB, built_course, cell_of

from autograder.course import Lab
from autograder.grading.file_choice import choose
from autograder.grading.run import grade_class
from autograder.grading.submitted import NO_LAB, Submission, find_submissions
from autograder.repair.mend import WrongNotebook, mend
from autograder.repair.salvage import FileText, NotANotebook, parse_notebook

pytestmark = pytest.mark.usefixtures("graded_here")

NAME = f"{LAB}.ipynb"
ROOT_SUM = "def root_sum(values, start=0.0):\n    return start + sum(v**0.5 for v in values)"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_course(tmp_path_factory.mktemp("choice"))


@pytest.fixture(scope="module")
def release(root: Path) -> NotebookNode:
    return nbformat.read(Lab(root, LAB).release, as_version=4)


def text_of(release: NotebookNode, answer: str = "") -> str:
    notebook = copy.deepcopy(release)
    if answer:
        cell_of(notebook, "root_sum").source = answer
    return json.dumps(notebook)


@pytest.mark.parametrize(
    ("names", "chosen", "told"),
    [
        ([NAME], NAME, None),
        ([f"{LAB} (1).ipynb"], f"{LAB} (1).ipynb", "There was no lab1_toy.ipynb"),
        ([f"doejane_LATE_1_2_{LAB}-2.ipynb"], f"doejane_LATE_1_2_{LAB}-2.ipynb", "was no"),
        ([f"sub/{NAME}"], f"sub/{NAME}", "was no"),
        ([f"-{NAME}", f"{LAB}-Copy1.ipynb"], f"{LAB}-Copy1.ipynb", "was no"),
        ([f"-{NAME}", f"-{LAB}-Copy1.ipynb"], NAME, None),
        ([NAME, f"-{LAB}-Copy1.ipynb"], NAME, None),
        ([NAME, "data.json"], NAME, None),
        ([f"{LAB} (1).ipynb", f"{LAB} (2).ipynb", f"{LAB} (10).ipynb"], f"{LAB} (10).ipynb", "no"),
    ],
)
def test_which_file_is_graded(
    release: NotebookNode, names: list[str], chosen: str, told: str | None
) -> None:
    """A name that begins with - stands for the release as it was given out."""
    files = [
        FileText(name.removeprefix("-"), text_of(release, "" if name[0] == "-" else ROOT_SUM))
        if name.endswith("ipynb")
        else FileText(name, "[1, 2]")
        for name in names
    ]
    best, notes = choose(files, LAB, release)
    assert best.name == chosen
    if f"-{NAME}" in names and chosen != NAME:
        assert notes[0].suspicious and "was not begun" in notes[0].for_instructor
    elif told is None:
        assert notes == []
    else:
        assert told in notes[0].for_instructor and not notes[0].suspicious


def test_two_with_different_answers_are_told(release: NotebookNode) -> None:
    other = ROOT_SUM.replace("start +", "1 +")
    files = [FileText(f"{LAB}-Copy1.ipynb", text_of(release, other))]
    files.append(FileText(NAME, text_of(release, ROOT_SUM)))
    best, (note,) = choose(files, LAB, release)
    assert best.name == NAME and note.suspicious
    assert f"{NAME} was graded, and not {LAB}-Copy1.ipynb" in note.for_instructor


def test_the_one_with_more_answers_is_graded_whatever_its_name(release: NotebookNode) -> None:
    further = copy.deepcopy(release)
    cell_of(further, "counter").source = "class Counter:\n    total = 0"
    files = [FileText(NAME, text_of(release, ROOT_SUM))]
    files.append(FileText("final.ipynb", text_of(further, ROOT_SUM)))
    best, (note,) = choose(files, LAB, release)
    assert best.name == "final.ipynb" and note.suspicious
    assert f"final.ipynb was graded, and not {NAME}" in note.for_instructor


def test_a_broken_file_beside_a_finished_one(release: NotebookNode) -> None:
    best, (note,) = choose(
        [FileText(NAME, ""), FileText(f"{LAB} (1).ipynb", text_of(release, ROOT_SUM))], LAB, release
    )
    assert best.name == f"{LAB} (1).ipynb" and note.suspicious


def test_none_that_could_be_graded(release: NotebookNode) -> None:
    with pytest.raises(NotANotebook, match="missing in its folder"):
        choose([], LAB, release)
    foreign = json.dumps(nbformat.v4.new_notebook())
    with pytest.raises(WrongNotebook, match=r"no other file is of lab1_toy: a.ipynb, b.ipynb"):
        choose([FileText("a.ipynb", foreign), FileText("b.ipynb", "{")], LAB, release)
    of_another = copy.deepcopy(release)
    of_another.metadata["trickster"] = {"lab": "lab2_other"}
    cell_of(of_another, "root_sum").source = ROOT_SUM
    files = [FileText(NAME, text_of(release)), FileText("x.ipynb", json.dumps(of_another))]
    assert choose(files, LAB, release)[0].name == NAME


def put(root: Path, place: str, data: str | bytes) -> Path:
    path = root / "submitted" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_what_is_never_the_notebook(tmp_path: Path) -> None:
    for name in (f"._{NAME}", f"__MACOSX/{NAME}", f".ipynb_checkpoints/{NAME}", "notes.md"):
        put(tmp_path, f"ann/{LAB}/{name}", "{}")
    submission = Submission(tmp_path, LAB, "ann")
    assert submission.read() == ()
    for name in (f"{NAME}.txt", f"{NAME}.json", f"{LAB}.IPYNB", f"deep/er/{NAME}", f"{NAME} (2)"):
        path = put(tmp_path, f"ann/{LAB}/{name}", "{}")
        assert [file.name for file in submission.read()] == [name]
        path.unlink()


def test_what_lies_in_the_wrong_place_has_a_row(root: Path, tmp_path: Path) -> None:
    put(tmp_path, NAME, "{}")
    put(tmp_path, f"ann/{NAME}", "{}")
    put(tmp_path, "ann/second.ipynb", "{}")
    put(tmp_path, f"bob/week1/{NAME}", "{}")
    put(tmp_path, f"__MACOSX/bob/{NAME}", "{}")
    found, rows = find_submissions(root, tmp_path)
    said = {(row.student, row.lab): row.reason for row in rows}
    assert found == [] and set(said) == {(NAME, NO_LAB), ("ann", NO_LAB), ("bob", "week1")}
    assert f"{NAME}, second.ipynb in ann/ itself" in said["ann", NO_LAB]
    assert "submitted/ itself" in said[NAME, NO_LAB]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "utf-8-sig"])
def test_other_encodings_are_read(release: NotebookNode, tmp_path: Path, encoding: str) -> None:
    answer = f"{ROOT_SUM}  # Straße"
    notebook = copy.deepcopy(release)
    cell_of(notebook, "root_sum").source = answer
    text = json.dumps(notebook, ensure_ascii=False).replace("…", "...")
    put(tmp_path, f"ann/{LAB}/{NAME}", text.encode(encoding, "ignore"))
    (file,) = Submission(tmp_path, LAB, "ann").read()
    assert cell_of(parse_notebook(file.text), "root_sum").source == answer
    kinds = [note.kind for note in choose([file], LAB, release)[1]]
    assert kinds == ([] if encoding == "utf-8-sig" else ["encoding"])


def test_what_is_damaged_stays_so(tmp_path: Path) -> None:
    for data in (b"\xff\xfe\x00", b"{\xe9\x00", b"\x89PNG\xff", b"{\x81"):
        put(tmp_path, f"ann/{LAB}/{NAME}", data)
        with pytest.raises(NotANotebook, match="it is damaged"):
            Submission(tmp_path, LAB, "ann").read()


def test_a_web_page_is_called_one() -> None:
    with pytest.raises(NotANotebook, match="is a web page"):
        parse_notebook("\n<!DOCTYPE html><html>", NAME)


def test_what_editors_say_of_an_old_format_is_not_believed(release: NotebookNode) -> None:
    for version in (2, 3, 4):
        notebook = copy.deepcopy(release)
        notebook.metadata["orig_nbformat"] = version
        assert mend(json.dumps(notebook), release).notes == []
    old = nbformat.convert(copy.deepcopy(release), 3)
    assert "old format 3" in mend(json.dumps(old), release).notes[0].for_instructor


@pytest.mark.slow
def test_a_class_of_renamed_notebooks(root: Path, release: NotebookNode, tmp_path: Path) -> None:
    done, blank = text_of(release, ROOT_SUM), text_of(release)
    put(tmp_path, f"copy/{LAB}/{NAME}", blank)
    put(tmp_path, f"copy/{LAB}/{LAB}-Copy1.ipynb", done)
    put(tmp_path, f"canvas/{LAB}/doejane_LATE_1_2_{LAB}-2.ipynb", done)
    put(tmp_path, f"windows/{LAB}/{NAME}.txt", done)
    put(tmp_path, f"windows/{LAB}/timestamp.txt", "2026-05-04 12:00:00 UTC")
    put(tmp_path, f"folder/{LAB}/lab/{NAME}", done)
    put(tmp_path, f"stray/{NAME}", done)
    found = {
        record.student: record
        for record in grade_class(root, tmp_path, workers=1, say=lambda text: None)
    }
    assert {name: record.score for name, record in found.items()} == {
        "copy": 4, "canvas": 4, "windows": 4, "folder": 4, "stray": 0
    }  # fmt: skip
    assert "was not begun" in found["copy"].reason and found["copy"].suspicious
    assert found["stray"].status == "failed" and NAME in found["stray"].reason
    for name in ("copy", "canvas", "windows", "folder"):
        assert found[name].status == "graded"
        assert [note.kind for note in found[name].repairs] == ["file"]
        assert (tmp_path / "feedback" / name / LAB / f"{LAB}.html").is_file()
    again = grade_class(root, tmp_path, workers=1, say=lambda text: None)
    assert {record.seconds for record in again} == {record.seconds for record in found.values()}
    put(tmp_path, f"copy/{LAB}/{LAB}-Copy1.ipynb", done.replace("start + sum", "sum"))
    (record,) = grade_class(root, tmp_path, students=["copy"], workers=1, say=lambda text: None)
    assert record.score == 0
