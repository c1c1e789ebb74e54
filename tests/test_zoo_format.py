"""The zoo's files: what becomes of them, what is said about bad ones, and the verdicts."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from toy_course import LAB, built_course, cell_of, zoo_file

from autograder.author import build_notebook
from autograder.course import CourseError, Lab, read_course
from autograder.results import CellScore, Result
from autograder.sample import hand_in, load_specimens, verdict
from autograder.submissions import Expectation, Specimen, ZooError, load

ABOUT = 'about = "A test"'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_course(tmp_path_factory.mktemp("zoo"))


def specimen(root: Path, text: str, name: str = "someone.py") -> Specimen:
    lab = Lab(root, LAB)
    path = lab.zoo / name
    path.write_text(text, encoding="utf-8")
    try:
        release = nbformat.read(lab.release, as_version=4)
        return load(path, lab, build_notebook(lab, read_course(root)), release)
    finally:
        path.unlink()


def sources(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells]


def test_the_base_alone_is_the_release(root: Path) -> None:
    found = specimen(root, zoo_file(ABOUT))
    assert found.notebook == nbformat.read(Lab(root, LAB).release, as_version=4)
    assert (found.lab, found.student, found.about) == (LAB, "someone", "A test")
    assert found.expect == Expectation() and found.marks == {}


def test_the_solution_is_what_a_student_would_write(root: Path) -> None:
    found = specimen(root, zoo_file(f'base = "solution"\n{ABOUT}')).notebook
    text = "\n".join(sources(found))
    for word in ("BEGIN", "END", "One point for naming", "hidden_measurement", "YOUR CODE"):
        assert word not in text
    assert "shifted_total = total + start" in cell_of(found, "root_sum").source
    assert cell_of(found, "why").source == (
        "Why does a limit not stop a patient thief?\n\n"
        "Because nobody forbids the thief a second account with a fresh budget."
    )


def test_cells_replace_cells_and_nothing_else(root: Path) -> None:
    body = "\n# %% counter\nclass Counter\n    '''open\n\n# %% [markdown] why\n# One.\n#\n# Two.\n"
    found = specimen(root, zoo_file(ABOUT, body)).notebook
    base = nbformat.read(Lab(root, LAB).release, as_version=4)
    assert cell_of(found, "counter").source == "class Counter\n    '''open"
    assert cell_of(found, "why").source == "One.\n\nTwo."
    changed = [a for a, b in zip(base.cells, found.cells, strict=True) if a.source != b.source]
    assert len(changed) == 2
    assert [cell.metadata for cell in base.cells] == [cell.metadata for cell in found.cells]


def test_expectations_and_marks(root: Path) -> None:
    header = f"""{ABOUT}
[expect]
root_sum_test = [1, 4]
counter_test = 0.5
total = [1.5, 4.5]
status = "needs marking"
[marks]
why = 1.5
"""
    found = specimen(root, zoo_file(header))
    assert found.marks == {"why": 1.5}
    assert found.expect == Expectation(
        {"root_sum_test": (1, 4), "counter_test": (0.5, 0.5)}, (1.5, 4.5), "needs marking"
    )


BAD = {
    "no header": ("# %% counter\n", "must begin with a block"),
    "header never ends": ("# /// zoo\n# about = 1\n", "must begin with a block"),
    "bad toml": (zoo_file("about = "), "not valid TOML"),
    "no about": (zoo_file('base = "release"'), "needs about"),
    "unknown word": (zoo_file(f"{ABOUT}\nauthor = 1"), "unknown word 'author'"),
    "unknown base": (zoo_file(f'base = "mine"\n{ABOUT}'), "base = 'mine'"),
    "unknown test": (zoo_file(f"{ABOUT}\n[expect]\nsum_test = 1"), "root_sum_test, counter_test"),
    "written expected": (zoo_file(f"{ABOUT}\n[expect]\nwhy = 1"), "not the name of a test"),
    "too many points": (zoo_file(f"{ABOUT}\n[expect]\ncounter_test = 3"), "from 0 to 2"),
    "negative": (zoo_file(f"{ABOUT}\n[expect]\ncounter_test = -1"), "from 0 to 2"),
    "upside down": (zoo_file(f"{ABOUT}\n[expect]\ncounter_test = [2, 1]"), "from 0 to 2"),
    "three numbers": (zoo_file(f"{ABOUT}\n[expect]\ncounter_test = [0, 1, 2]"), "from 0 to 2"),
    "text points": (zoo_file(f'{ABOUT}\n[expect]\ncounter_test = "2"'), "from 0 to 2"),
    "total too high": (zoo_file(f"{ABOUT}\n[expect]\ntotal = 7"), "from 0 to 6"),
    "unknown status": (zoo_file(f'{ABOUT}\n[expect]\nstatus = "fine"'), "status = 'fine'"),
    "no table": (zoo_file(f"{ABOUT}\nexpect = 3"), "[expect] is a table"),
    "unknown mark": (zoo_file(f"{ABOUT}\n[marks]\ncounter_test = 1"), "The names are why"),
    "mark too high": (zoo_file(f"{ABOUT}\n[marks]\nwhy = 4"), "from 0 to 3"),
    "mark range": (zoo_file(f"{ABOUT}\n[marks]\nwhy = [0, 1]"), "one number"),
    "unknown cell": (zoo_file(ABOUT, "# %% nothing\n"), "'nothing' is not the name of a cell"),
    "nameless cell": (zoo_file(ABOUT, "# %%\nx = 1\n"), "'' is not the name of a cell"),
    "code for words": (zoo_file(ABOUT, "# %% why\nx\n"), "# %% [markdown] why"),
    "words for code": (zoo_file(ABOUT, "# %% [markdown] counter\n"), "# %% counter"),
    "twice": (zoo_file(ABOUT, "# %% counter\nx\n# %% counter\ny\n"), "two cells replace counter"),
    "text before": (zoo_file(ABOUT, "x = 1\n# %% counter\n"), "text before the first cell"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_explained(root: Path, name: str) -> None:
    text, said = BAD[name]
    with pytest.raises(CourseError) as error:
        specimen(root, text)
    message = str(error.value)
    assert said in message and f"autograder/zoo/{LAB}/someone.py" in message


def test_odd_student_names(root: Path) -> None:
    with pytest.raises(ZooError, match="letters, digits"):
        specimen(root, zoo_file(ABOUT), "some one.py")


def test_an_empty_zoo(root: Path, tmp_path: Path) -> None:
    for path in Lab(built_course(tmp_path), LAB).zoo.iterdir():
        path.unlink()
    with pytest.raises(CourseError, match="holds no submission"):
        load_specimens(tmp_path)


def test_handing_in_starts_afresh(root: Path) -> None:
    stale = root / "build" / "sample_class" / "submitted" / "gone" / LAB
    stale.mkdir(parents=True)
    folder = hand_in(root, load_specimens(root))
    assert sorted(path.name for path in (folder / "submitted").iterdir()) == [
        "half",
        "perfect",
        "syntax",
    ]
    assert (folder / "submitted" / "half" / LAB / f"{LAB}.ipynb").is_file()


def result(status: str = "graded", **points: float | None) -> Result:
    cells = tuple(CellScore(name, "test", value, 4) for name, value in points.items())
    return Result(LAB, "someone", status, 9, cells, reason="it is empty.")


@pytest.mark.parametrize(
    ("expect", "got", "said"),
    [
        (Expectation(), result(a=0), "as expected"),
        (Expectation({"a": (2, 3)}), result(a=2.5), "as expected"),
        (Expectation({"a": (0.3, 0.3)}), result(a=0.1 + 0.2), "as expected"),
        (Expectation({"a": (2, 3)}), result(a=1), "WRONG: a 1, expected 2 to 3"),
        (Expectation({"a": (2, 2)}), result(a=None), "WRONG: a no score, expected 2"),
        (Expectation({"a": (2, 2)}), result("failed"), "WRONG: a no score"),
        (Expectation(total=(3, 3)), result(a=1, b=2), "as expected"),
        (Expectation(total=(3, 3)), result(a=1, b=1), "WRONG: total 2, expected 3"),
        (Expectation(), result("failed"), "WRONG: failed: it is empty."),
        (Expectation(status="failed"), result("failed"), "as expected"),
        (Expectation(status="graded"), result("needs marking"), "WRONG: needs marking, expected"),
    ],
)
def test_verdicts(expect: Expectation, got: Result, said: str) -> None:
    wanted = Specimen(LAB, "someone", "about", nbformat.v4.new_notebook(), expect, {})
    assert verdict(wanted, got).startswith(said)
