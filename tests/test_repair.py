"""Damaged submissions: what mending makes of them, and that nbgrader then grades them."""

from __future__ import annotations

import copy
import functools
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from toy_course import LAB, built_course, cell_of

from autograder import nbgrader_api, records
from autograder.cells import grade_id, points_of, role
from autograder.course import CourseError, Lab
from autograder.grading.gradebook import ClassGradebook
from autograder.repair.mend import MendedNotebook, WrongNotebook, check_related, mend
from autograder.repair.salvage import NotANotebook, parse_notebook, read_submission

ROOT_SUM = '''\
def root_sum(values: list[float], start: float = 0.0) -> float:
    """The sum of the square roots, plus start."""
    return start + sum(math.sqrt(value) for value in values)'''
OTHER_SUM = ROOT_SUM.replace("math.sqrt(value)", "value ** 0.5")
COUNTER = '''\
class Counter:
    """Counts queries."""

    def __init__(self, limit: int = 3) -> None:
        self.limit = limit
        self.count = 0

    def query(self) -> bool:
        """True while the limit is not reached."""
        self.count += 1
        return self.count <= self.limit'''
WHY = "A patient thief opens one account after the other; my limit counts keys, not people."
ANSWERS = {"root_sum": ROOT_SUM, "counter": COUNTER, "why": WHY}


@functools.cache
def toy_release() -> NotebookNode:
    with tempfile.TemporaryDirectory() as folder:
        return nbformat.read(Lab(built_course(Path(folder)), LAB).release, as_version=4)


@pytest.fixture
def release() -> NotebookNode:
    return copy.deepcopy(toy_release())


@pytest.fixture
def filled(release: NotebookNode) -> NotebookNode:
    """The lab as a careful student hands it in."""
    notebook = copy.deepcopy(release)
    for name, source in ANSWERS.items():
        cell_of(notebook, name).source = source
    return notebook


def kinds(mended: MendedNotebook) -> list[str]:
    return [note.kind for note in mended.notes]


def place_of(notebook: NotebookNode, name: str) -> int:
    return notebook.cells.index(cell_of(notebook, name))


def code(source: str, **metadata: object) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def text(source: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def everything(notebook: NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def run_code(notebook: NotebookNode) -> str:
    """What a kernel would run."""
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def check_whole(mended: MendedNotebook, release: NotebookNode) -> None:
    """What holds for every mended notebook, whatever was handed in."""
    notebook = mended.notebook
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == release.metadata
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    ids = [cell.id for cell in release.cells]
    ours = [cell for cell in notebook.cells if cell.id in ids]
    assert [cell.id for cell in ours] == ids
    for mine, theirs in zip(ours, release.cells, strict=True):
        assert mine.metadata == theirs.metadata
        assert mine.cell_type == theirs.cell_type
        if role(theirs) in ("test", "provided"):
            assert mine.source == theirs.source
    for cell in notebook.cells:
        if cell.id not in ids:
            assert cell.metadata == {}


# --- nothing to mend ------------------------------------------------------------------------


def test_a_sound_notebook_stays_as_it_is(release: NotebookNode, filled: NotebookNode) -> None:
    for notebook in (release, filled):
        mended = mend(notebook, release)
        assert mended.notes == [] and mended.related
        assert mended.notebook.cells == notebook.cells
        check_whole(mended, release)


def test_cells_of_the_students_own_stay_at_their_place(
    release: NotebookNode, filled: NotebookNode
) -> None:
    place = place_of(filled, "counter")
    filled.cells[place:place] = [text("my thoughts"), code("import itertools", tags=["x"])]
    filled.cells.insert(0, text("my name"))
    filled.cells.append(code(""))
    mended = mend(filled, release)
    assert [cell.source for cell in mended.notebook.cells] == [c.source for c in filled.cells]
    assert mended.notes == []
    check_whole(mended, release)


def test_what_colab_and_jupyterlab_add_is_no_damage(
    release: NotebookNode, filled: NotebookNode
) -> None:
    for cell in filled.cells:
        cell.metadata["id"] = cell.pop("id")
        cell.metadata.update(outputId="a1", colab={"base_uri": "x"}, collapsed=True)
        cell.metadata.update(execution={"iopub.status.busy": "now"}, tags=["skip-execution"])
        if cell.cell_type == "code":
            cell.execution_count = 7
            cell.outputs = [nbformat.v4.new_output("stream", text="noise")]
    test = cell_of(filled, "root_sum_test")
    test.source = "#@title Check { run: 'auto' }\n" + test.source
    filled.nbformat_minor = 0
    filled.metadata.update(colab={"toc_visible": True}, widgets={"broken": 1}, language=3)
    mended = mend(json.dumps(filled), release)
    assert mended.notes == []
    check_whole(mended, release)
    assert cell_of(mended.notebook, "root_sum").source == ROOT_SUM
    assert all(not cell.get("outputs") for cell in mended.notebook.cells)


def test_a_free_cell_of_the_release_keeps_what_the_student_wrote(
    release: NotebookNode, filled: NotebookNode
) -> None:
    filled.cells[2].source += "\n\nMy prediction: 3.0"
    mended = mend(filled, release)
    assert mended.notebook.cells[2].source.endswith("My prediction: 3.0")
    assert mended.notes == []


# --- one damage at a time -------------------------------------------------------------------


def test_a_copied_answer_with_two_versions_keeps_both(
    release: NotebookNode, filled: NotebookNode
) -> None:
    again = copy.deepcopy(cell_of(filled, "root_sum"))
    again.update(id="another", source=OTHER_SUM)
    filled.cells.append(again)
    mended = mend(filled, release)
    check_whole(mended, release)
    assert cell_of(mended.notebook, "root_sum").source == OTHER_SUM
    kept = mended.notebook.cells[place_of(mended.notebook, "root_sum") + 1]
    assert kept.cell_type == "markdown" and ROOT_SUM in kept.source and "not run" in kept.source
    assert kinds(mended) == ["choice"]
    assert "last one in the notebook" in mended.notes[0].for_instructor


@pytest.mark.parametrize("broken_first", [True, False])
def test_of_two_versions_the_readable_one_is_graded(
    release: NotebookNode, filled: NotebookNode, broken_first: bool
) -> None:
    broken = copy.deepcopy(cell_of(filled, "root_sum"))
    broken.source = ROOT_SUM.replace("return start", "return (start")
    filled.cells.insert(0 if broken_first else len(filled.cells), broken)
    mended = mend(filled, release)
    assert cell_of(mended.notebook, "root_sum").source == ROOT_SUM
    assert broken.source in everything(mended.notebook)
    assert "Python can read" in mended.notes[-1].for_instructor


def test_an_unsolved_copy_never_wins(release: NotebookNode, filled: NotebookNode) -> None:
    filled.cells.append(copy.deepcopy(cell_of(release, "root_sum")))
    filled.cells.append(copy.deepcopy(cell_of(release, "why")))
    mended = mend(filled, release)
    check_whole(mended, release)
    assert cell_of(mended.notebook, "root_sum").source == ROOT_SUM
    assert cell_of(mended.notebook, "why").source == WHY
    assert len(mended.notebook.cells) == len(release.cells)
    assert "duplicated" in kinds(mended)


def test_copies_of_a_test_cell_leave_one(release: NotebookNode, filled: NotebookNode) -> None:
    test = cell_of(filled, "counter_test")
    filled.cells += [copy.deepcopy(test), copy.deepcopy(test)]
    mended = mend(filled, release)
    check_whole(mended, release)
    assert len(mended.notebook.cells) == len(release.cells)
    assert "duplicated" in kinds(mended) and not any(note.suspicious for note in mended.notes)


@pytest.mark.parametrize("with_metadata", [True, False])
def test_an_answer_split_into_helper_and_function_works_as_before(
    release: NotebookNode, filled: NotebookNode, with_metadata: bool
) -> None:
    place = place_of(filled, "root_sum")
    helper = copy.deepcopy(filled.cells[place]) if with_metadata else code("")
    helper.source = "def root(value):\n    return value ** 0.5"
    filled.cells[place].source = ROOT_SUM.replace("math.sqrt", "root")
    filled.cells.insert(place, helper)
    mended = mend(filled, release)
    check_whole(mended, release)
    scope: dict[str, Callable[..., float]] = {}
    exec(run_code(mended.notebook).split("measured")[0], scope)
    assert scope["root_sum"]([1.0, 4.0]) == 3.0
    assert kinds(mended)[-1:] == (["split"] if with_metadata else [])


def test_a_function_cut_in_two_is_put_together(release: NotebookNode, filled: NotebookNode) -> None:
    place = place_of(filled, "root_sum")
    head, tail = ROOT_SUM.rsplit("\n", 1)
    filled.cells[place].source = head + "\n    values = list(values)"
    second = copy.deepcopy(filled.cells[place])
    second.source = tail
    filled.cells.insert(place + 1, second)
    mended = mend(filled, release)
    assert cell_of(mended.notebook, "root_sum").source == f"{filled.cells[place].source}\n{tail}"
    assert "split" in kinds(mended)


@pytest.mark.parametrize("names", [("root_sum", "counter"), ("counter", "root_sum")])
def test_two_answers_in_one_cell_are_parted(
    release: NotebookNode, filled: NotebookNode, names: tuple[str, str]
) -> None:
    kept, lost = names
    both = f"{ANSWERS[kept]}\n\n\n# the other one\n{ANSWERS[lost]}"
    cell_of(filled, kept).source = both
    filled.cells.remove(cell_of(filled, lost))
    mended = mend(filled, release)
    check_whole(mended, release)
    assert cell_of(mended.notebook, kept).source.strip() == ANSWERS[kept]
    assert cell_of(mended.notebook, lost).source.strip() == f"# the other one\n{ANSWERS[lost]}"
    assert kinds(mended) == ["merged"]


@pytest.mark.parametrize("kept", ["root_sum", "root_sum_test"])
def test_an_answer_merged_with_its_test_is_parted(
    release: NotebookNode, filled: NotebookNode, kept: str
) -> None:
    answer, test = cell_of(filled, "root_sum"), cell_of(filled, "root_sum_test")
    cell_of(filled, kept).source = f"{answer.source}\n\n{test.source}"
    filled.cells.remove(test if kept == "root_sum" else answer)
    mended = mend(filled, release)
    check_whole(mended, release)
    assert cell_of(mended.notebook, "root_sum").source.strip() == ROOT_SUM
    assert kinds(mended) == ["merged"]
    assert not mended.notes[0].suspicious


def test_a_text_answer_merged_with_its_exercise_is_parted(
    release: NotebookNode, filled: NotebookNode
) -> None:
    exercise, release = text("## Exercise 3\nIn your own words:"), copy.deepcopy(release)
    place = place_of(filled, "why")
    release.cells.insert(place, exercise)
    filled.cells[place] = copy.deepcopy(exercise)
    filled.cells[place].source += f"\n\n{WHY}"
    mended = mend(filled, release)
    check_whole(mended, release)
    assert cell_of(mended.notebook, "why").source == WHY
    assert kinds(mended)[-1] == "merged"


@pytest.mark.parametrize("name", ["setup", "root_sum", "root_sum_test", "counter_test", "why"])
def test_a_deleted_cell_comes_back(release: NotebookNode, filled: NotebookNode, name: str) -> None:
    del filled.cells[place_of(filled, name)]
    mended = mend(filled, release)
    check_whole(mended, release)
    assert cell_of(mended.notebook, name).source == cell_of(release, name).source
    assert [(note.kind, note.cell) for note in mended.notes] == [("deleted", name)]


def test_moved_cells_go_back(release: NotebookNode, filled: NotebookNode) -> None:
    filled.cells.append(filled.cells.pop(place_of(filled, "root_sum")))
    mended = mend(filled, release)
    assert mended.notebook.cells == mend(filled, release).notebook.cells
    check_whole(mended, release)
    assert kinds(mended) == ["reordered"]
    assert "root_sum" in mended.notes[0].for_student and "why" not in mended.notes[0].for_student


@pytest.mark.parametrize(("name", "kind"), [("root_sum", "markdown"), ("why", "code")])
@pytest.mark.parametrize("raw", [True, False])
def test_a_cell_of_the_wrong_type_is_changed_back(
    release: NotebookNode, filled: NotebookNode, name: str, kind: str, raw: bool
) -> None:
    cell = cell_of(filled, name)
    cell.cell_type = "raw" if raw else kind
    mended = mend(filled, release)
    check_whole(mended, release)
    assert cell_of(mended.notebook, name).source == ANSWERS[name]
    assert kinds(mended) == ["retyped"]


@pytest.mark.parametrize("with_ids", [True, False])
def test_without_any_metadata_every_cell_is_recognised(
    release: NotebookNode, filled: NotebookNode, with_ids: bool
) -> None:
    for cell in filled.cells:
        cell.metadata.clear()
        if not with_ids:
            del cell["id"]
    if not with_ids:
        filled.nbformat_minor = 4
    mended = mend(json.dumps(filled), release)
    assert mended.related
    check_whole(mended, release)
    assert [cell.source for cell in mended.notebook.cells] == [c.source for c in filled.cells]
    assert kinds(mended) == ["metadata"]


@pytest.mark.parametrize("name", ["setup", "root_sum", "root_sum_test", "why"])
def test_a_cell_without_metadata_is_recognised(
    release: NotebookNode, filled: NotebookNode, name: str
) -> None:
    cell_of(filled, name).update(metadata={}, id="something-else")
    mended = mend(filled, release)
    check_whole(mended, release)
    assert [cell.source for cell in mended.notebook.cells] == [c.source for c in filled.cells]
    assert [(note.kind, note.cell) for note in mended.notes] == [("metadata", name)]


def test_renamed_and_exchanged_metadata_are_seen_through(
    release: NotebookNode, filled: NotebookNode
) -> None:
    first, second = cell_of(filled, "root_sum"), cell_of(filled, "counter")
    first.metadata, second.metadata = second.metadata, first.metadata
    cell_of(filled, "root_sum_test").metadata.nbgrader.grade_id = "my_test"
    mended = mend(filled, release)
    check_whole(mended, release)
    assert cell_of(mended.notebook, "root_sum").source == ROOT_SUM
    assert cell_of(mended.notebook, "counter").source == COUNTER
    assert len(mended.notebook.cells) == len(release.cells)


@pytest.mark.parametrize(
    ("change", "kind", "suspicious"),
    [
        ({"points": 400}, "points", True),
        ({"points": "4"}, "points", True),
        ({"grade": False}, "metadata", False),
        ({"locked": False}, "metadata", False),
        ({"schema_version": 1}, "metadata", False),
        ({"schema_version": 99}, "metadata", False),
        ({"grade_id": "mine"}, "metadata", False),
        ({"grade_id": ["a"]}, "metadata", False),
    ],
)
def test_edited_metadata_are_as_they_were(
    release: NotebookNode,
    filled: NotebookNode,
    change: dict[str, object],
    kind: str,
    suspicious: bool,
) -> None:
    cell_of(filled, "root_sum_test").metadata.nbgrader.update(change)
    mended = mend(filled, release)
    check_whole(mended, release)
    assert [(note.kind, note.suspicious) for note in mended.notes] == [(kind, suspicious)]


def test_an_edited_test_is_replaced_and_shown(release: NotebookNode, filled: NotebookNode) -> None:
    cell_of(filled, "root_sum_test").source = "print('all is well')"
    cell_of(filled, "setup").source += "\nimport random"
    mended = mend(filled, release)
    check_whole(mended, release)
    assert {(note.kind, note.suspicious) for note in mended.notes} >= {("edited-test", True)}
    assert "all is well" in everything(mended.notebook)
    assert "all is well" not in run_code(mended.notebook)


def test_an_answer_in_a_cell_of_its_own_is_found(
    release: NotebookNode, filled: NotebookNode
) -> None:
    cell_of(filled, "root_sum").source = cell_of(release, "root_sum").source
    filled.cells.append(code(ROOT_SUM))
    mended = mend(filled, release)
    assert cell_of(mended.notebook, "root_sum").source == ROOT_SUM
    assert kinds(mended) == ["found"]


def test_the_same_id_twice_is_mended(release: NotebookNode, filled: NotebookNode) -> None:
    filled.cells.append(code("helper = 1"))
    filled.cells[-1].id = "root_sum_test"
    filled.cells.insert(0, text("hello"))
    filled.cells[0].id = "root_sum"
    mended = mend(filled, release)
    check_whole(mended, release)
    for name, source in ANSWERS.items():
        assert cell_of(mended.notebook, name).source == source
    assert "helper = 1" in everything(mended.notebook) and "hello" in everything(mended.notebook)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", [3, 2])
def test_old_formats_are_read(release: NotebookNode, filled: NotebookNode, version: int) -> None:
    # nbformat writes version 3; what stands in it is the same for version 2.
    old = json.loads(nbformat.writes(filled, version=3))
    if version == 2:
        old.update(nbformat=2, nbformat_minor=0)
        for cell in old["worksheets"][0]["cells"]:  # version 2 writes lines without their ends
            cell.update({key: "".join(cell[key]) for key in ("input", "source") if key in cell})
    mended = mend(json.dumps(old), release)
    check_whole(mended, release)
    for name, source in ANSWERS.items():
        assert cell_of(mended.notebook, name).source == source
    assert "format" in kinds(mended)


def test_pictures_pasted_into_an_answer_stay(release: NotebookNode, filled: NotebookNode) -> None:
    picture = {"image.png": {"image/png": "aGVsbG8="}}
    cell_of(filled, "why").attachments = nbformat.from_dict(picture)
    mended = mend(filled, release)
    assert cell_of(mended.notebook, "why").attachments == picture


# --- what is no notebook, or another one ----------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b'{"cells": [', "not valid JSON"),
        (b'{"a": 1}', "not a Jupyter notebook"),
        (b'{"cells": 3, "nbformat": 4}', "no list of cells"),
        (b"[1, 2]", "not a JSON object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"cells": [' + b"{}," * 3000 + b"{}]}", "3,001 cells"),
        (b"9" * 5000, "not"),
    ],
)
def test_what_can_never_be_a_notebook_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "lab.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotANotebook, match=said):
        read_submission(path)


def test_links_folders_pipes_and_giants_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.ipynb").write_text('{"cells": []}')
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    with open(tmp_path / "giant.ipynb", "wb") as file:
        file.truncate(200_000_000)
    said = {
        "link": "a link",
        "folder": "not a file",
        "pipe": "not a file",
        "giant": "200 MB",
        "no": "read",
    }
    for name, words in said.items():
        with pytest.raises(NotANotebook, match=words):
            read_submission(tmp_path / f"{name}.ipynb")


@pytest.mark.parametrize(
    "content",
    [
        {"cells": []},
        {"cells": [{}, 3, None, {"cell_type": "sql", "source": 5}]},
        {"cells": [{"cell_type": "code", "source": ["a", 1], "metadata": 7, "outputs": "x"}]},
        {"cells": [{"source": "\ud800\r\nx", "id": "a b"}], "metadata": [], "nbformat": "four"},
        {
            "cells": [
                {"cell_type": "markdown", "source": "x", "attachments": {"a": 1, "b": {"c": 2}}}
            ]
        },
        {
            "nbformat": 9,
            "cells": [{"cell_type": "code", "metadata": {"nbgrader": {"x": {"y": 1}}}}],
        },
    ],
)
def test_odd_notebooks_are_read_as_far_as_they_go(
    release: NotebookNode, content: dict[str, object]
) -> None:
    mended = mend(json.dumps(content), release)
    check_whole(mended, release)
    mended.notebook.cells[0].source.encode()
    json.dumps(mended.notebook).encode()
    with pytest.raises(WrongNotebook, match="lab1_toy"):
        check_related(mended, parse_notebook(json.dumps(content)), LAB)


def test_a_notebook_of_another_lab_says_so(release: NotebookNode) -> None:
    other = nbformat.v4.new_notebook(cells=[code("x = 1"), text("YOUR ANSWER HERE"), text("Hm.")])
    other.metadata["trickster"] = {"lab": "lab7_other"}
    with pytest.raises(CourseError, match="lab7_other"):
        check_related(mend(other, release), parse_notebook(json.dumps(other)), LAB)


# --- any damage -----------------------------------------------------------------------------

DAMAGES = (
    "duplicate",
    "delete",
    "swap",
    "retype",
    "strip",
    "split",
    "rename",
    "merge",
    "edit",
    "id",
)


def inflict(notebook: NotebookNode, damage: str, first: int, second: int) -> None:
    """One damage at the cells with these numbers."""
    cells = notebook.cells
    if not cells:
        return
    here, there = first % len(cells), second % len(cells)
    cell = cells[here]
    known = cell.metadata.get("nbgrader")
    if damage == "duplicate":
        cells.insert(there, copy.deepcopy(cell))
    elif damage == "delete":
        del cells[here]
    elif damage == "swap":
        cells[here], cells[there] = cells[there], cells[here]
    elif damage == "retype":
        cell.cell_type = ("code", "markdown", "raw")[second % 3]
    elif damage == "strip":
        cell.metadata.clear()
        if second % 2:
            cell.pop("id", None)
    elif damage == "split":
        lines = cell.source.split("\n")
        rest = copy.deepcopy(cell)
        if second % 2:
            rest.metadata.clear()
        cell.source = "\n".join(lines[: second % len(lines)])
        rest.source = "\n".join(lines[second % len(lines) :])
        cells.insert(here + 1, rest)
    elif damage == "merge" and here + 1 < len(cells):
        cell.source += "\n\n" + cells.pop(here + 1).source
    elif damage == "edit":
        cell.source += "\nedited = True"
    elif damage == "rename" and known:
        other = cells[there].metadata.get("nbgrader", {}).get("grade_id", "mine")
        known["grade_id"] = other
    elif damage == "id":
        cell["id"] = cells[there].get("id", "x")


damages = st.lists(
    st.tuples(st.sampled_from(DAMAGES), st.integers(0, 40), st.integers(0, 40)), max_size=8
)


def words(source: str) -> set[str]:
    return {line.strip() for line in source.split("\n") if line.strip()}


@pytest.mark.slow
@settings(max_examples=150)
@given(damages)
@example([("duplicate", 4, 9), ("swap", 4, 6), ("strip", 9, 1)])
def test_any_damage_is_mended_and_no_answer_lost(steps: list[tuple[str, int, int]]) -> None:
    release = toy_release()
    notebook = copy.deepcopy(release)
    for name, source in ANSWERS.items():
        cell_of(notebook, name).source = source
    for step in steps:
        inflict(notebook, *step)
    handed_in = json.dumps(notebook)
    mended = mend(handed_in, release)
    check_whole(mended, release)
    assert words(everything(notebook)) <= words(everything(mended.notebook))
    for answer in ANSWERS.values():  # one that was whole is whole
        before = any(answer in cell.source for cell in notebook.cells)
        assert before <= any(answer in cell.source for cell in mended.notebook.cells)
    again = mend(mended.notebook, release)
    assert again.notebook == mended.notebook
    assert again.notes == []
    assert mend(handed_in, release) == mended


# --- through nbgrader -------------------------------------------------------------------------


def duplicate(notebook: NotebookNode) -> None:
    notebook.cells.append(copy.deepcopy(cell_of(notebook, "root_sum")))


def strip(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata.clear()


def delete_test(notebook: NotebookNode) -> None:
    notebook.cells.remove(cell_of(notebook, "counter_test"))


def more_points(notebook: NotebookNode) -> None:
    cell_of(notebook, "root_sum_test").metadata.nbgrader.points = 400


def forge_test(notebook: NotebookNode) -> None:
    cell_of(notebook, "root_sum").source = "root_sum = None"
    cell_of(notebook, "root_sum_test").source = "4"


def leave(notebook: NotebookNode) -> None:
    """Nothing is wrong."""


SUBMITTED: dict[str, tuple[Callable[[NotebookNode], None], set[str], tuple[float, float]]] = {
    "careful": (leave, set(), (4, 2)),
    "deleted": (delete_test, {"deleted"}, (4, 2)),
    "duplicated": (duplicate, {"duplicated", "ids"}, (4, 2)),
    "forged": (forge_test, {"edited-test"}, (0, 2)),
    "points": (more_points, {"points"}, (4, 2)),
    "stripped": (strip, {"metadata"}, (4, 2)),
    "old": (leave, {"format"}, (4, 2)),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class with every damage, graded by nbgrader in one batch, in an alphabet of bad files."""
    root = built_course(tmp_path_factory.mktemp("repaired"))
    release = nbformat.read(Lab(root, LAB).release, as_version=4)
    for student, (damage, _, _) in SUBMITTED.items():
        notebook = copy.deepcopy(release)
        for name, source in ANSWERS.items():
            cell_of(notebook, name).source = source
        damage(notebook)
        written = nbformat.writes(notebook, version=3) if student == "old" else json.dumps(notebook)
        hand_in(root, student, written)
    hand_in(root, "a_broken", '{"cells": [')
    hand_in(root, "b_other", '{"cells": [{"cell_type": "code", "source": "1"}]}')
    hand_in(root, "c_link", "").unlink()
    os.symlink(Lab(root, LAB).release, root / "submitted" / "c_link" / LAB / f"{LAB}.ipynb")
    ClassGradebook(root, root).register([LAB])
    config = nbgrader_api.settings(root, root, assignment_id=LAB)
    config.Autograde.exporter_class = "autograder.nbgrader_plugins.SubmissionExporter"
    config.Autograde.sanitize_preprocessors = [
        "autograder.nbgrader_plugins.Repair",
        "nbgrader.preprocessors.OverwriteKernelspec",
        "nbgrader.preprocessors.OverwriteCells",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    config.Repair.labs = str(root / "labs")
    with nbgrader_api.alembic_in_reach(), nbgrader_api.quiet():
        app = Autograde(coursedir=CourseDirectory(config=config), config=config)
        with pytest.raises(NbGraderException, match="Please see"):  # the three bad files
            app.start()
    return root


def hand_in(root: Path, student: str, content: str) -> Path:
    path = root / "submitted" / student / LAB / f"{LAB}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    return path


def autograded(root: Path, student: str) -> Path:
    return root / "autograded" / student / LAB / f"{LAB}.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("student", SUBMITTED)
def test_nbgrader_grades_every_damaged_notebook(graded: Path, student: str) -> None:
    _, told, points = SUBMITTED[student]
    with nbgrader_api.open_gradebook(graded) as gradebook:
        grades = gradebook.find_submission_notebook(LAB, LAB, student).grades
        scores = {grade.name: (grade.auto_score, grade.max_score) for grade in grades}
    assert scores["root_sum_test"] == (points[0], 4)
    assert scores["counter_test"] == (points[1], 2)
    notebook = nbformat.read(autograded(graded, student), as_version=4)
    notes = records.read(graded, student, LAB).repairs
    assert {note.kind for note in notes} == told
    top = notebook.cells[0].source
    assert top.startswith("## What was repaired") == bool(told)
    assert all(note.for_student in top for note in notes)
    assert "hidden_measurement" in cell_of(notebook, "root_sum_test").source
    assert [points_of(cell) for cell in notebook.cells if grade_id(cell)] == [0, 0, 4, 0, 2, 3]


@pytest.mark.slow
def test_bad_files_fail_alone(graded: Path) -> None:
    for student in ("a_broken", "b_other", "c_link"):
        assert not autograded(graded, student).exists()
