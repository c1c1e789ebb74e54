"""The student copy: enough for a student, and no solution."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_course import LAB, REPOSITORY, built_course, change_notebook

from autograder.authoring.leaks import leaks_in_text, secrets_of
from autograder.authoring.source import build_notebook
from autograder.authoring.student_copy import copy_files, for_students, write_student_copy
from autograder.course import CourseError, Lab, list_labs, read_course

README = """# Toy
| who | what |
|---|---|
| student | make lab |
| instructor | make grade | <!-- instructors -->

<!-- instructors: -->
## For instructors
Look into solutions/.
<!-- :instructors -->

## Licence
"""


def quiet(text: str) -> None:
    """Say nothing."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = built_course(tmp_path / "course")
    (root / "README.md").write_text(README, encoding="utf-8")
    (root / "tests").mkdir()
    (root / "tests" / "test_x.py").write_text("assert True")
    (root / "autograder" / "sample.py").write_text("# the machinery")
    return root


def texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def leaks(root: Path, found: dict[str, str]) -> list[str]:
    course = read_course(root)
    secrets = [s for lab in list_labs(root) for s in secrets_of(build_notebook(lab, course))]
    assert secrets
    return [text for name, said in found.items() for text in leaks_in_text(secrets, name, said)]


def test_it_holds_the_labs_and_no_solution(root: Path) -> None:
    folder = write_student_copy(root, say=quiet)
    assert folder == (root / "build" / "student_copy").resolve()
    found = texts(folder)
    assert set(found) == {
        *(f"labs/{LAB}/{LAB}.ipynb", "README.md", "course.toml"),
        *("nbgrader_config.py", "autograder/sample.py"),
    }
    assert leaks(root, found) == []
    assert "instructor" not in found["README.md"] and "make lab" in found["README.md"]
    assert for_students(README).endswith("| student | make lab |\n\n## Licence\n")


def test_again_brings_it_up_to_date_and_keeps_the_rest(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / "labs" / "lab9_gone").mkdir(parents=True)
    write_student_copy(root, folder, quiet)
    assert [path.name for path in (folder / "labs").iterdir()] == [LAB]
    assert (folder / ".git" / "HEAD").read_text() == "ref"


def test_folders_in_which_something_would_be_lost(root: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years")
    (tmp_path / "file").write_text("x")
    places = {
        tmp_path / "full": "holds thesis.tex",
        tmp_path / "file": "is a file",
        root: "lies in this repository",
        root / "labs": "lies in this repository",
        tmp_path: "holds this repository",
    }
    for place, said in places.items():
        with pytest.raises(CourseError, match=said):
            write_student_copy(root, place, quiet)
    assert (tmp_path / "full" / "thesis.tex").read_text() == "years"


def test_a_release_that_is_not_as_built_is_not_copied(root: Path) -> None:
    change_notebook(Lab(root, LAB).release, lambda notebook: notebook.cells.pop())
    with pytest.raises(CourseError, match="not ready to be given out"):
        write_student_copy(root, say=quiet)
    assert not (root / "build" / "student_copy").exists()


def run(folder: Path, *words: str) -> str:
    """What the command line that lies in a student copy says."""
    command = [sys.executable, "-m", "autograder", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_students_can_work_and_grade_themselves_in_it(tmp_path: Path) -> None:
    root = built_course(tmp_path / "course")
    shutil.copytree(
        REPOSITORY / "autograder",
        root / "autograder",
        ignore=shutil.ignore_patterns("zoo", "__pycache__"),
        dirs_exist_ok=True,
    )
    shutil.copytree(REPOSITORY / "trickster", root / "trickster", dirs_exist_ok=True)
    (root / "datasets").mkdir(exist_ok=True)
    folder = write_student_copy(root, tmp_path / "published", quiet)
    assert "work there" in run(folder, "workspace")
    said = run(folder, "grade", f"my_labs/{LAB}/{LAB}.ipynb")
    assert "0/6" in said and "Your instructor has the mark scheme." in said
    assert sorted(path.name for path in folder.iterdir()) == [
        *("autograder", "course.toml", "datasets", "labs", "my_labs", "nbgrader_config.py"),
        "trickster",
    ]


def test_this_repository_s_own_copy(tmp_path: Path) -> None:
    copy_files(REPOSITORY, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert not names & {"solutions", "tests", "benchmarks"}
    assert {"labs", "trickster", "datasets", "README.md", "LICENSE", "Makefile"} <= names
    assert not (tmp_path / "autograder" / "sample_class" / "zoo").exists()
    found = {
        name: text
        for name, text in texts(tmp_path).items()
        # The library holds functions of the same shape as some exercises, and the word lists
        # of the machinery its markers: neither is a lab's text.
        if not name.startswith(("trickster/", "autograder/", "datasets/"))
    }
    assert leaks(REPOSITORY, found) == []
    for word in ("solutions/", "<!--", "## For instructors"):
        assert word not in found["README.md"]
    assert "work there" in run(tmp_path, "workspace")
