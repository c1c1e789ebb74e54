"""The zoo's files: what becomes of them, what is said about bad ones, and the verdicts."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from toy_course import LAB, built_course, cell_of, zoo_file

from autograder.authoring.source import build_notebook
from autograder.cells import grade_id
from autograder.course import CourseError, Lab, read_course
from autograder.records import CellRecord, GradingRecord
from autograder.repair.notes import Note
from autograder.sample_class.header import Expectation, ZooError
from autograder.sample_class.mutations import FILE_FORMS, HUGE, MUTATIONS
from autograder.sample_class.runner import hand_in, load_specimens
from autograder.sample_class.specimen import Specimen, load
from autograder.sample_class.verdict import verdict

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
reason = "its code was ended"
stopped = ""
repairs = ["split", "choice", "split"]
never = ["ESCAPED"]
[marks]
why = 1.5
"""
    found = specimen(root, zoo_file(header))
    assert found.marks == {"why": 1.5}
    assert found.expect == Expectation(
        {"root_sum_test": (1, 4), "counter_test": (0.5, 0.5)},
        (1.5, 4.5),
        "needs marking",
        reason="its code was ended",
        stopped="",
        repairs=frozenset({"split", "choice"}),
        never=("ESCAPED",),
    )


def test_limits_names_and_files(root: Path) -> None:
    name = "O'Neil, née X"
    header = f'''{ABOUT}
student = "{name}"
file = "huge"
kind = "hostile"
[limits]
call_timeout = 2.5
grace = 1
memory = 300
processes = 20
'''
    found = specimen(root, zoo_file(header))
    assert (found.student, found.form, found.kind) == (name, "huge", "hostile")
    assert found.options == {
        "call_timeout": 2.5,
        "grace": 1,
        "limits": {"memory": 300 * 1024**2, "processes": 20},
    }


def test_two_students_of_one_name(tmp_path: Path) -> None:
    built_course(tmp_path)
    header = zoo_file(f'student = "half"\n{ABOUT}')
    (Lab(tmp_path, LAB).zoo / "other.py").write_text(header, encoding="utf-8")
    with pytest.raises(ZooError, match="another student called 'half'"):
        load_specimens(tmp_path, whole_zoo=True)


# --- mutations -----------------------------------------------------------------------------

ANSWERED = "# %% root_sum\nimport math\ndef root_sum(values, start=0.0):\n    return start\n"


def mutated(root: Path, *words: str, body: str = ANSWERED) -> NotebookNode:
    return specimen(root, zoo_file(f"{ABOUT}\nmutations = {json.dumps(words)}", body)).notebook


def names(notebook: NotebookNode) -> list[str]:
    return [grade_id(cell) for cell in notebook.cells if grade_id(cell)]


ALL = ["setup", "root_sum", "root_sum_test", "counter", "counter_test", "why"]


@pytest.mark.parametrize(
    ("word", "left"),
    [
        ("duplicate root_sum", ["setup", "root_sum", *ALL[1:]]),
        ("split root_sum", ["setup", "root_sum", *ALL[1:]]),
        ("merge root_sum counter", [name for name in ALL if name != "counter"]),
        ("delete counter_test", [name for name in ALL if name != "counter_test"]),
        ("move setup last", [*ALL[1:], "setup"]),
        ("move why first", ["why", *ALL[:-1]]),
        ("retype why code", ALL),
        ("strip all", []),
        ("strip why", ALL[:-1]),
        ("points counter_test 100", ALL),
        ("unlock counter_test", ALL),
        ("forge", ALL),
        ("reverse", ALL[::-1]),
        ("colab", ALL),
        ("jupyterlab", ALL),
        ("ids twice", ALL),
    ],
)
def test_mutations_of_cells(root: Path, word: str, left: list[str]) -> None:
    found = mutated(root, word)
    assert names(found) == left
    assert found != mutated(root)


def test_every_mutation_is_tried_here() -> None:
    tried = "duplicate split merge delete move retype strip points unlock forge reverse"
    assert set(MUTATIONS) == {*tried.split(), "colab", "jupyterlab", "nbformat 3", "ids twice"}


def test_what_mutations_keep_and_lose(root: Path) -> None:
    twice = [cell for cell in mutated(root, "duplicate root_sum").cells if grade_id(cell) == ALL[1]]
    assert "raise NotImplementedError" in twice[0].source and "return start" in twice[1].source
    parts = [cell for cell in mutated(root, "split root_sum").cells if grade_id(cell) == ALL[1]]
    assert "\n".join(part.source for part in parts) == cell_of(mutated(root), "root_sum").source
    merged = cell_of(mutated(root, "merge root_sum counter"), "root_sum").source
    assert "return start" in merged and "class Counter" in merged
    assert (
        cell_of(mutated(root, "points counter_test 9"), "counter_test").metadata.nbgrader["points"]
        == 9
    )
    assert cell_of(mutated(root, "forge"), "counter_test").outputs[0].data["text/plain"] == "2"
    assert "id" not in mutated(root, "colab").cells[0]
    old = mutated(root, "delete why", "nbformat 3")
    assert old.nbformat == 3 and "return start" in json.dumps(old.worksheets)


@pytest.mark.parametrize("name", FILE_FORMS)
def test_forms_of_files(root: Path, name: str) -> None:
    found = specimen(root, zoo_file(f'{ABOUT}\nfile = "{name}"'))
    folder = hand_in(root, [found]) / "submitted" / "someone" / LAB
    path = folder / f"{LAB}.ipynb"
    mode = path.lstat().st_mode if path.name in os.listdir(folder) else 0
    looks = {
        "empty": lambda: path.read_bytes() == b"",
        "truncated": lambda: path.read_text().startswith("{") and _unreadable(path.read_text()),
        "huge": lambda: path.stat().st_size == HUGE and path.stat().st_blocks < 10_000,
        "nested": lambda: path.read_text().startswith("[[[[") and path.stat().st_size > 1e5,
        "utf-16": lambda: "nbformat" in path.read_text("utf-16"),
        "symlink": lambda: path.resolve() == Lab(root, LAB).executed.resolve(),
        "endless link": lambda: stat.S_ISLNK(mode),
        "pipe": lambda: stat.S_ISFIFO(mode),
        "folder": lambda: stat.S_ISDIR(mode),
        "link beside it": lambda: path.is_file() and (folder / "data.csv").is_symlink(),
        "odd names beside it": lambda: path.is_file() and len(list(folder.iterdir())) > 5,
        "copy beside the release": lambda: len(list(folder.iterdir())) == 2,
        "renamed": lambda: [other.name for other in folder.iterdir()] == [f"{LAB} (1).ipynb"],
    }
    assert looks[name]()


def _unreadable(text: str) -> bool:
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    return True


BAD = {
    "no header": ("# %% counter\n", "must begin with a block"),
    "header never ends": ("# /// zoo\n# about = 1\n", "must begin with a block"),
    "bad toml": (zoo_file("about = "), "not valid TOML"),
    "no about": (zoo_file('base = "release"'), "needs about"),
    "unknown word": (zoo_file(f"{ABOUT}\nauthor = 1"), "unknown word 'author'"),
    "unknown base": (zoo_file(f'base = "mine"\n{ABOUT}'), "base = 'mine'"),
    "unknown kind": (zoo_file(f'{ABOUT}\nkind = "evil"'), "kind = 'evil'"),
    "sample is no yes": (zoo_file(f'{ABOUT}\nsample = "yes"'), "sample = 'yes' is unknown"),
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
    "mutation is no list": (zoo_file(f'{ABOUT}\nmutations = "strip all"'), "no list of texts"),
    "unknown mutation": (zoo_file(f'{ABOUT}\nmutations = ["eat why"]'), "'eat why' is no mutation"),
    "mutation without a cell": (zoo_file(f'{ABOUT}\nmutations = ["delete"]'), "takes 1 words"),
    "mutation to no cell": (zoo_file(f'{ABOUT}\nmutations = ["delete x"]'), "has no cell 'x'"),
    "lost already": (
        zoo_file(f'{ABOUT}\nmutations = ["delete why", "strip why"]'),
        "no cell 'why'",
    ),
    "after the format": (
        zoo_file(f'{ABOUT}\nmutations = ["nbformat 3", "delete why"]'),
        "must be the last word",
    ),
    "moved nowhere": (zoo_file(f'{ABOUT}\nmutations = ["move why up"]'), "first or last"),
    "unknown file": (zoo_file(f'{ABOUT}\nfile = "lost"'), "file = 'lost' is unknown"),
    "a path for a name": (zoo_file(f'{ABOUT}\nstudent = "../a"'), "name of a folder"),
    "unknown limit": (zoo_file(f"{ABOUT}\n[limits]\ncores = 1"), "unknown word 'cores'"),
    "no time": (zoo_file(f"{ABOUT}\n[limits]\ntimeout = 0"), "number above 0"),
    "reason is no text": (zoo_file(f"{ABOUT}\n[expect]\nreason = 3"), "reason = 3 is no text"),
    "never is no list": (zoo_file(f'{ABOUT}\n[expect]\nnever = "X"'), "no list of texts"),
    "text before": (zoo_file(ABOUT, "x = 1\n# %% counter\n"), "text before the first cell"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_explained(root: Path, name: str) -> None:
    text, said = BAD[name]
    with pytest.raises(CourseError) as error:
        specimen(root, text)
    message = str(error.value)
    assert said in message and f"autograder/sample_class/zoo/{LAB}/someone.py" in message


def test_odd_student_names(root: Path) -> None:
    with pytest.raises(ZooError, match="letters, digits"):
        specimen(root, zoo_file(ABOUT), "some one.py")


def test_an_empty_zoo(root: Path, tmp_path: Path) -> None:
    for path in Lab(built_course(tmp_path), LAB).zoo.iterdir():
        path.unlink()
    with pytest.raises(CourseError, match="holds no submission"):
        load_specimens(tmp_path, whole_zoo=True)


def test_the_small_class_and_the_whole_zoo(tmp_path: Path) -> None:
    zoo = Lab(built_course(tmp_path), LAB).zoo
    (zoo / "rare.py").write_text(zoo_file(ABOUT), encoding="utf-8")

    def students(**chosen: object) -> list[str]:
        return [one.student for one in load_specimens(tmp_path, **chosen)]

    assert students() == ["half", "perfect", "syntax"]
    assert students(whole_zoo=True) == ["half", "perfect", "rare", "syntax"]
    assert students(students=["rare"]) == ["rare"]
    with pytest.raises(CourseError, match="'nobody' is no student of the zoo"):
        load_specimens(tmp_path, students=["nobody"])
    for path in zoo.glob("[!r]*.py"):
        path.unlink()
    with pytest.raises(CourseError, match="grade --all of them"):
        load_specimens(tmp_path)


def test_handing_in_starts_afresh(root: Path) -> None:
    stale = root / "build" / "sample_class" / "submitted" / "gone" / LAB
    stale.mkdir(parents=True)
    folder = hand_in(root, load_specimens(root, whole_zoo=True))
    assert sorted(path.name for path in (folder / "submitted").iterdir()) == [
        "half",
        "perfect",
        "syntax",
    ]
    assert (folder / "submitted" / "half" / LAB / f"{LAB}.ipynb").is_file()


def record(status: str = "graded", **points: float | None) -> GradingRecord:
    cells = tuple(CellRecord(name, "test", value, 4) for name, value in points.items())
    return GradingRecord(LAB, "someone", status, 9, cells, reason="it is empty.")


@pytest.mark.parametrize(
    ("expect", "got", "said"),
    [
        (Expectation(), record(a=0), "as expected"),
        (Expectation({"a": (2, 3)}), record(a=2.5), "as expected"),
        (Expectation({"a": (0.3, 0.3)}), record(a=0.1 + 0.2), "as expected"),
        (Expectation({"a": (2, 3)}), record(a=1), "WRONG: a 1, expected 2 to 3"),
        (Expectation({"a": (2, 2)}), record(a=None), "WRONG: a no score, expected 2"),
        (Expectation({"a": (2, 2)}), record("failed"), "WRONG: a no score"),
        (Expectation(total=(3, 3)), record(a=1, b=2), "as expected"),
        (Expectation(total=(3, 3)), record(a=1, b=1), "WRONG: total 2, expected 3"),
        (Expectation(), record("failed"), "WRONG: failed: it is empty."),
        (Expectation(status="failed"), record("failed"), "as expected"),
        (Expectation(status="graded"), record("needs marking"), "WRONG: needs marking, expected"),
    ],
)
def test_verdicts(expect: Expectation, got: GradingRecord, said: str) -> None:
    wanted = Specimen(LAB, "someone", "about", nbformat.v4.new_notebook(), expect, {})
    assert verdict(wanted, got).startswith(said)


def found(stopped: str = "", *kinds: str) -> GradingRecord:
    repairs = tuple(Note(kind, "a", "", "") for kind in kinds)
    return replace(record(), repairs=repairs, stopped=stopped)


TOLD = replace(found(), reason="It is odd.", code_remarks=("It is odd.",))


@pytest.mark.parametrize(
    ("expect", "got", "pages", "said"),
    [
        (Expectation(reason="is empty"), found(), "", "as expected"),
        (Expectation(reason="is full"), found(), "", "WRONG: reason 'it is empty.', expected"),
        (Expectation(stopped="memory"), found("memory: used 3 GB"), "", "as expected"),
        (Expectation(stopped="memory"), found("disk"), "", "WRONG: stopped 'disk'"),
        (Expectation(stopped=""), found("disk"), "", "WRONG: stopped 'disk', expected ''"),
        (Expectation(stopped=""), found(), "", "as expected"),
        (Expectation(repairs=frozenset("ab")), found("", "a", "b", "a"), "", "as expected"),
        (
            Expectation(repairs=frozenset("a")),
            found("", "a", "b"),
            "",
            "WRONG: repaired: a, b, expected a",
        ),
        (Expectation(repairs=frozenset()), found(), "", "as expected"),
        (Expectation(never=("SECRET",)), found(), "a secret", "as expected"),
        (Expectation(never=("SECRET",)), found(), "a SECRET", "WRONG: shows 'SECRET'"),
        (Expectation(shows=("a",)), found(), "a b", "as expected"),
        (Expectation(shows=("a", "c")), found(), "a b", "WRONG: does not show 'c'"),
        (Expectation(), TOLD, "", "WRONG: told the instructor: It is odd."),
        (Expectation(reason="is odd"), TOLD, "", "as expected"),
    ],
)
def test_verdicts_on_what_was_found(
    expect: Expectation, got: GradingRecord, pages: str, said: str
) -> None:
    wanted = Specimen(LAB, "someone", "about", nbformat.v4.new_notebook(), expect, {})
    assert verdict(wanted, got, pages).startswith(said)
