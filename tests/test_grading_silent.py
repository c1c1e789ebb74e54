"""What once cost points, or showed another truth, without a word: each told or harmless."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from referee_stage import Stage, score, stage, text
from toy_course import LAB, built_course, cell_of, change_notebook

from autograder import nbgrader_api, records
from autograder.authoring.build import build
from autograder.course import CourseError, Lab
from autograder.database import database, of_file
from autograder.formgrader import open_formgrader
from autograder.grading.feedback import legible
from autograder.grading.run import grade_class, publish
from autograder.records import CellRecord, GradingRecord

pytestmark = pytest.mark.usefixtures("graded_here")

ROOT_SUM = "def root_sum(values, start=0.0):\n    return start + sum(v**0.5 for v in values)"

DRIVE = "from google.colab import drive\ndrive.mount('/content/drive')"

# --- in the student's kernel ----------------------------------------------------------------


@pytest.fixture(scope="module")
def kernel() -> Iterator[Stage]:
    with stage() as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "from google.colab import drive; drive.mount('/content/drive')",
        "import google.colab.files as files; files.upload()",
        "import google.colab; google.colab.output.clear()",
        "from google.colab.patches import cv2_imshow; cv2_imshow(1)",
        "from google.colab import userdata; userdata.get('TOKEN').get('x')",
        "name = input('Your name? '); assert name == ''",
        "import getpass; assert getpass.getpass() == ''",
        "quit()",
        "exit()",
        "get_ipython().ask_exit()",
    ],
)
def test_what_a_desk_has_and_grading_not_costs_nothing(kernel: Stage, line: str) -> None:
    kernel.student(f"{line}\nanswer = lambda: {len(line)}")
    assert score(kernel.test(f"assert answer() == {len(line)}")) == 4


@pytest.mark.slow
def test_a_module_that_is_nowhere_is_still_missing(kernel: Stage) -> None:
    run = kernel.kernel.run("import google.cloud.storage", 20)
    assert run.reply["ename"] == "ModuleNotFoundError"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "same"),
    [
        ("Fraction(1, 4)", ".25"),
        ("Decimal('0.25')", ".25"),
        ("[Fraction(1, 4), 1]", "[.25, 1]"),
        ("np.array([Fraction(1, 4)])", "[.25]"),
        ("{Decimal(1): Fraction(3)}", "{1.0: 3.0}"),
    ],
)
def test_fractions_and_decimals_count(kernel: Stage, value: str, same: str) -> None:
    kernel.student(
        "import numpy as np\nfrom fractions import Fraction\nfrom decimal import Decimal\n"
        f"def exact(): return {value}"
    )
    verdict = kernel.test(f"found = exact()\nprint(found)\nassert found == {same}")
    assert score(verdict) == 4, text(verdict.outputs)


# --- a class --------------------------------------------------------------------------------


def hand_in(root: Path, student: str, **cells: str) -> None:
    notebook = nbformat.read(Lab(root, LAB).release, as_version=4)
    for name, source in cells.items():
        cell_of(notebook, name).source = source
    path = root / "submitted" / student / LAB / f"{LAB}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


@pytest.mark.slow
def test_a_class_of_habits(tmp_path: Path) -> None:
    root = built_course(tmp_path)
    hand_in(
        root, "drive", root_sum=f"from google.colab import drive\ndrive.mount('/d')\n{ROOT_SUM}"
    )
    hand_in(root, "quits", root_sum=f"{ROOT_SUM}\nquit()")
    hand_in(root, "pandas", root_sum=f"import pandas_of_colab\n{ROOT_SUM}")
    inside = ROOT_SUM.replace("\n", "\n    import pandas_of_colab\n", 1)
    hand_in(root, "inside", root_sum=inside)
    hand_in(root, "halves", root_sum=f"print('\\ud800')\n{ROOT_SUM}", why="So \ud800.")
    raising = "def root_sum(values, start=0.0):\n    raise ValueError('\\ud800')"
    hand_in(root, "raises", root_sum=raising)
    graded = grade_class(root, root, workers=1, say=lambda text: None)
    found = {record.student: record for record in graded}
    points = {name: record.test_points for name, record in found.items()}
    assert points == {"drive": 4, "quits": 4, "pandas": 0, "inside": 0, "halves": 4, "raises": 0}
    assert all(record.status != "failed" for record in graded)
    assert found["drive"].reason == found["quits"].reason == ""
    for name in ("pandas", "inside"):
        assert "needs the module pandas_of_colab" in found[name].reason
        page = (root / "feedback" / name / LAB / f"{LAB}.html").read_text("utf-8")
        assert "pandas_of_colab" in page
    assert "is not installed where labs are graded" in page_of(root, "pandas")
    assert "ValueError: ?" in records.read(root, "raises", LAB).cells[0].note


def page_of(root: Path, student: str) -> str:
    return (root / "feedback" / student / LAB / f"{LAB}.html").read_text("utf-8")


@pytest.mark.slow
def test_another_gradebook_is_the_only_one(tmp_path: Path) -> None:
    root = built_course(tmp_path / "course")
    hand_in(root, "ann", root_sum=ROOT_SUM)
    other = tmp_path / "other.db"
    with (root / "nbgrader_config.py").open("a") as file:
        file.write(f"\nc.CourseDirectory.db_url = 'sqlite:///{other}'\n")
    grade_class(root, root, workers=1, say=lambda text: None)
    assert other.is_file() and not (root / "gradebook.db").exists()
    with nbgrader_api.open_gradebook(root) as gradebook:
        grade = gradebook.find_grade("counter_test", LAB, LAB, "ann")
        grade.manual_score, grade.needs_manual_grade = 1, False
        gradebook.db.commit()
    (record,) = publish(root, root, say=lambda text: None)
    assert record.score == 5
    assert str(other) in str(nbgrader_api.settings(root).CourseDirectory.db_url)


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@host/grades", "sqlite://", "sqlite:///:memory:", "gradebook"]
)
def test_a_gradebook_that_is_no_file_is_refused(tmp_path: Path, url: str) -> None:
    (tmp_path / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.CourseDirectory.db_url = {url!r}\n"
    )
    with pytest.raises(CourseError, match="db_url") as error:
        database(tmp_path)
    assert "secret" not in str(error.value)


def test_formgrader_shows_no_other_class_s_gradebook(tmp_path: Path) -> None:
    (tmp_path / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.db_url = 'sqlite:///spring.db'\n"
    )
    assert database(tmp_path) == of_file(tmp_path / "spring.db")
    (tmp_path / "elsewhere" / "submitted").mkdir(parents=True)
    with pytest.raises(CourseError, match="take the line out"):
        open_formgrader(tmp_path, tmp_path / "elsewhere")


@pytest.mark.slow
def test_nbgrader_s_generator_finds_alembic_by_itself(tmp_path: Path) -> None:
    root = built_course(tmp_path)
    release = Lab(root, LAB).release
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", LAB, "--force"],
        cwd=root,
        env={**os.environ, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert release.is_file()


def test_points_are_rounded_for_other_programs() -> None:
    cells = tuple(CellRecord(f"c{n}", "test", points, 10) for n, points in enumerate((0.1, 0.2)))
    record = GradingRecord("lab", "ann", "graded", 20.000000000000004, cells, penalty=0.1)
    (row,) = csv.DictReader(records.as_csv([record]).splitlines())
    assert (row["score"], row["maximum"], row["penalty"]) == ("0.2", "20.0", "0.1")
    assert json.loads(records.as_json([record]))[0]["score"] == 0.2


@pytest.mark.slow
def test_points_that_change_are_told_once_and_accuse_nobody(tmp_path: Path) -> None:
    root = built_course(tmp_path)
    for student in ("ann", "bob"):
        hand_in(root, student, root_sum=ROOT_SUM, why="Because it has friends.")
    grade_class(root, root, marks={(LAB, "ann"): {"why": 3}}, workers=1, say=lambda text: None)
    repoint(root, 4)
    forged = Path(root / "submitted" / "bob" / LAB / f"{LAB}.ipynb")
    change_notebook(forged, lambda nb: cell_of(nb, "why").metadata.nbgrader.update(points=99))
    ann, bob = grade_class(root, root, workers=1, say=lambda text: None)
    assert (ann.score, ann.maximum, ann.status) == (7, 10, "graded")
    assert not ann.suspicious and not ann.reason and ann.former_points == {"why": 3.0}
    assert [note.kind for note in ann.repairs] == ["repointed"]
    assert "is worth 4 now" in page_of(root, "ann")
    assert "was worth 3" in (root / "report.html").read_text("utf-8")
    assert bob.suspicious and [note.kind for note in bob.repairs] == ["points"]
    hand_in(root, "cat", root_sum=ROOT_SUM)
    late = root / "submitted" / "cat" / LAB / f"{LAB}.ipynb"
    change_notebook(late, lambda nb: cell_of(nb, "why").metadata.nbgrader.update(points=3))
    (cat,) = grade_class(root, root, students=["cat"], say=lambda text: None)
    assert not cat.suspicious and [note.kind for note in cat.repairs] == ["repointed"]


def repoint(root: Path, points: int) -> None:
    """The author changes what the written answer is worth, and builds the lab."""
    path = Lab(root, LAB).source
    path.write_text(
        path.read_text().replace('written="why" points=3', f'written="why" points={points}')
    )
    assert build(root, run=False, say=lambda text: None) == []


@pytest.mark.slow
def test_pages_name_exercises_and_the_report_students(tmp_path: Path) -> None:
    root = built_course(tmp_path)
    hand_in(root, "ann", root_sum=ROOT_SUM, why="| a | b |\n|---|---|\n| 1 | 2 |")
    hand_in(root, "bob")
    (root / "submitted" / "cat" / LAB).mkdir(parents=True)
    grade_class(root, root, workers=1, say=lambda text: None)
    page = page_of(root, "ann")
    contents = page.partition("</ol>")[0].partition('<div id="toc">')[2]
    assert '<a href="#root_sum_test">Exercise 1</a> (Score: 4.0' in contents
    assert "Test cell" not in contents and "Written response" not in contents
    # Ann's answer waits for its mark, in the contents and above the answer itself.
    assert page.count("Not marked yet: 3.0 points") == 2 and "Score: 0.0 / 3.0" not in page
    assert ".rendered_html td {" in page.partition("</head>")[0]
    # Bob wrote nothing: his checks say so, and a comment stands where a person marks only.
    unwritten = page_of(root, "bob")
    assert re.findall(r"#comment-(\w+)", unwritten) == ["why"]
    assert "comment on Exercise 2</a>" in unwritten and unwritten.count("No response.") == 1
    report = (root / "report.html").read_text("utf-8")
    rows = report.partition("Scores by student")[2].partition("</table>")[0]
    assert '<th scope="row">ann</th><td class="n">(4)</td>' in rows
    assert '<th scope="row">bob</th><td class="n">0</td>' in rows
    assert '<th scope="row">cat</th><td class="n">not graded</td>' in rows
    with nbgrader_api.open_gradebook(root) as gradebook:
        names = {(one.first_name, one.last_name) for one in gradebook.students}
    assert names == {("ann", "ann"), ("bob", "bob"), ("cat", "cat")}


def test_headings_on_a_page_are_text() -> None:
    link = '<a href="#x">Test cell</a>'
    found = legible(f"<head></head><ol>{link}</ol>{link}", {"x": "<b>A & B"})
    assert found.count("Test cell") == 1 and "&lt;b&gt;A &amp; B</a></ol>" in found


def test_contents_say_what_a_comment_is_about() -> None:
    link = '<a href="#comment-x">Comment</a>'
    found = legible(f"<head></head><ol>{link}</ol>", {"x": "Exercise 7"})
    assert f"<ol>{link.replace('Comment', 'comment on Exercise 7')}</ol>" in found
