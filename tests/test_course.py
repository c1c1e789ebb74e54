"""course.toml and the places of a lab."""

from pathlib import Path

import pytest
from toy_course import COURSE, LAB, make_course

from autograder.course import Course, CourseError, find_root, list_labs, pick_labs, read_course


def test_reads_the_course(tmp_path: Path) -> None:
    course = read_course(make_course(tmp_path))
    assert course == Course("toy", "https://github.com/someone/toy-labs", "main", "fashion")


def test_colab_url() -> None:
    url = "https://colab.research.google.com/github/o/r/blob/b/labs/lab1/lab1.ipynb"
    for repository in ("https://github.com/o/r", "https://github.com/o/r.git"):
        assert Course("x", repository, "b", "fashion").colab_url("lab1") == url
    assert Course("x", "https://example.org/o/r", "b", "fashion").colab_url("lab1") == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[course", "not valid TOML"),
        ("id = 'x'", "no [course] table"),
        (COURSE.replace('branch = "main"', ""), "branch"),
        (COURSE.replace('"fashion"', "3"), "scenario"),
        (COURSE.replace('"toy"', '" "'), "id"),
        (COURSE.replace("https://github.com/someone", "git@github.com:someone"), "no https://"),
        (COURSE.replace("https://github.com/someone/toy-labs", "https://toy"), "no https://"),
        (COURSE.replace('"fashion"', '"digits"'), "it is fashion or cifar10"),
    ],
)
def test_bad_course_files_are_explained(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "course.toml").write_text(text)
    with pytest.raises(CourseError) as error:
        read_course(tmp_path)
    assert said in str(error.value) and "course.toml" in str(error.value)


def test_missing_course_file(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"course\.toml is missing"):
        read_course(tmp_path)


def test_finds_the_root_from_inside(tmp_path: Path) -> None:
    root = make_course(tmp_path)
    assert find_root(root / "solutions" / LAB) == root.resolve()


def test_without_a_course_above_it_is_this_repository(tmp_path: Path) -> None:
    assert find_root(tmp_path) == Path(__file__).resolve().parent.parent


def test_the_current_folder_is_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a submission's, with an nbgrader_config.py, which is run."""
    monkeypatch.chdir(make_course(tmp_path))
    assert find_root() == Path(__file__).resolve().parent.parent
    monkeypatch.setattr("autograder.course.HOME", tmp_path / "none")
    with pytest.raises(CourseError, match="--root"):
        find_root()


def test_labs_in_order_and_by_their_beginning(tmp_path: Path) -> None:
    root = make_course(tmp_path)
    for name in ("lab10_last", "lab2_next"):
        (root / "solutions" / name).mkdir()
        (root / "solutions" / name / f"{name}.py").touch()
    (root / "solutions" / "notes").mkdir()
    assert [lab.name for lab in list_labs(root)] == [LAB, "lab2_next", "lab10_last"]
    assert [lab.name for lab in pick_labs(root, ["lab2"])] == ["lab2_next"]
    assert [lab.name for lab in pick_labs(root, [LAB, "lab1"])] == [LAB]
    with pytest.raises(CourseError, match="fits several"):
        pick_labs(root, ["lab"])
    with pytest.raises(CourseError, match=f"no lab of this course.*{LAB}"):
        pick_labs(root, ["lab7"])


def test_a_lab_without_source(tmp_path: Path) -> None:
    root = make_course(tmp_path)
    (root / "solutions" / "lab2_empty").mkdir()
    with pytest.raises(CourseError, match="bears its folder's name"):
        list_labs(root)


def test_a_student_copy_has_the_labs_that_were_released(tmp_path: Path) -> None:
    for name in ("lab2_next", LAB, ".ipynb_checkpoints"):
        (tmp_path / "labs" / name).mkdir(parents=True)
    assert [lab.name for lab in list_labs(tmp_path)] == [LAB, "lab2_next"]


def test_neither_sources_nor_labs(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="labs is missing"):
        list_labs(tmp_path)
