"""The student copy: enough for a student, and no solution."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy_course import LAB, REPOSITORY, built_course, change_notebook

from autograder.authoring.build import build, check
from autograder.authoring.copy_list import LIST, list_problems, read_copy_list
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
        *(f"labs/{LAB}/{LAB}.ipynb", "README.md", "course.toml", "nbgrader_config.py"),
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


def test_assets_of_a_lab_go_with_it(root: Path) -> None:
    for asset in ("figures/map.md", "secret.csv"):
        path = Lab(root, LAB).assets / asset
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("A map")
    assert build(root, run=False, say=quiet) == []
    found = texts(write_student_copy(root, say=quiet))
    assert {name for name in found if name.startswith("labs/")} == {
        *(f"labs/{LAB}/{LAB}.ipynb", f"labs/{LAB}/assets/figures/map.md"),
    }


# --- the list ---------------------------------------------------------------------------------


def add_lines(root: Path, *lines: str) -> None:
    with (root / LIST).open("a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def test_a_listed_file_that_is_missing_is_named(root: Path) -> None:
    add_lines(root, "trickster/checks/lab{number}.py")
    missing = f"trickster/checks/lab1.py is missing, but {LIST} lists it"
    assert any(missing in problem for problem in check(root, say=quiet))
    with pytest.raises(CourseError, match=missing):
        write_student_copy(root, say=quiet)


@pytest.mark.parametrize("folder", ["trickster", "trickster/checks", "datasets", "autograder/new"])
def test_check_names_a_file_that_the_list_forgot(root: Path, folder: str) -> None:
    add_lines(root, f"{folder}/known.py", f"!{folder}/secret.py", "!autograder/authoring")
    text = (root / LIST).read_text(encoding="utf-8")
    (root / LIST).write_text(text.replace("!autograder\n", "!autograder/sample_class\n"))
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in ("known.py", "secret.py"):
        (root / folder / name).write_text("x = 1")
    assert check(root, say=quiet) == []
    (root / folder / "other.py").write_text("x = 1")
    (problem,) = check(root, say=quiet)
    assert problem.startswith(f"{folder}/other.py is in no line of {LIST}: add it there")


@pytest.mark.parametrize("line", ["/etc/passwd", "../secret.py", "labs/*.ipynb", "!"])
def test_lines_that_are_no_path(root: Path, line: str) -> None:
    add_lines(root, line)
    with pytest.raises(CourseError, match="is no path of one file"):
        read_copy_list(root)


def test_a_course_without_a_list_publishes_no_copy(root: Path) -> None:
    (root / LIST).unlink()
    assert check(root, say=quiet) == []
    with pytest.raises(CourseError, match="it lists what a student copy holds"):
        write_student_copy(root, say=quiet)


# --- this repository's own copy ---------------------------------------------------------------


def run(folder: Path, *words: str) -> str:
    """What the command line that lies in a student copy prints."""
    command = [sys.executable, "-m", "autograder", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_of_this_repository(folder: Path) -> Path:
    """All that a commit would hold."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, folder / name)
    return folder


def test_nothing_stray_gets_into_the_copy(tmp_path: Path) -> None:
    root = copy_of_this_repository(tmp_path / "course")
    copy_files(root, tmp_path / "before")
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    assert root / "autograder" / "sample_class" / "zoo" / "lab1_train_victim" in folders
    for folder in folders:
        # In the zoo, one makes a package of all its solutions.
        (folder / "__init__.py").touch()
        for name in ("stray.py", "stray.ipynb", "stray.md", "lab1_stray.py", ".stray"):
            (folder / name).write_text("the solution")
        (folder / "stray_package").mkdir()
        (folder / "stray_package" / "__init__.py").write_text("the solution")
    copy_files(root, tmp_path / "after")
    assert texts(tmp_path / "after") == texts(tmp_path / "before")


def test_the_list_forgets_no_file() -> None:
    assert list_problems(REPOSITORY) == []


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    copy_files(REPOSITORY, folder)
    return folder


def test_this_repository_s_own_copy(own: Path) -> None:
    assert {path.name for path in own.iterdir() if path.is_dir()} == {
        *("labs", "trickster", "datasets", "autograder"),
        *("docs", "binder", ".devcontainer"),
    }
    assert not (own / "autograder" / "sample_class").exists()
    found = {
        name: text
        for name, text in texts(own).items()
        # The library holds functions of the same shape as some exercises, and the word lists
        # of the machinery its markers: neither is a lab's text.
        if not name.startswith(("trickster/", "autograder/", "datasets/"))
    }
    assert leaks(REPOSITORY, found) == []
    for word in ("solutions/", "<!--", "## For instructors"):
        assert word not in found["README.md"]


def test_links_of_the_readme_lead_somewhere_in_the_copy(own: Path) -> None:
    readme = (own / "README.md").read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", readme)]
    local = [link for link in links if link and "://" not in link]
    assert local
    assert [link for link in local if not (own / link).exists()] == []


@pytest.mark.slow
def test_students_can_work_and_grade_themselves_in_it(own: Path, tmp_path: Path) -> None:
    """With the toy course's lab, which is graded in seconds."""
    shutil.copytree(own, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "labs")
    toy = built_course(tmp_path.with_name("toy"))
    shutil.copytree(toy / "labs", tmp_path / "labs")
    shutil.copy(toy / "course.toml", tmp_path)
    assert "work there" in run(tmp_path, "workspace")
    shown = run(tmp_path, "grade", f"my_labs/{LAB}/{LAB}.ipynb")
    assert "0/6" in shown and "Your instructor has the mark scheme." in shown


@pytest.mark.slow
def test_commands_that_need_more_say_that_this_is_a_student_copy(own: Path) -> None:
    command = [sys.executable, "-m", "autograder", "sample"]
    done = subprocess.run(command, cwd=own, capture_output=True, text=True)
    assert done.returncode == 2 and "student copy" in done.stderr
