"""Model answers for those who learn alone: folded into their copies, and given to no class."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from toy_course import LAB, REPOSITORY, built_course, cell_of, change_notebook

from autograder.authoring.build import build, check
from autograder.authoring.leaks import leaks_in_text, secrets_of
from autograder.authoring.self_study import starred_answers, with_model_answers
from autograder.authoring.source import AuthorError, build_notebook
from autograder.authoring.student_copy import write_student_copy
from autograder.authoring.workspace import hand_out
from autograder.cells import grade_id, is_model_answer, role
from autograder.course import CourseError, Lab, list_labs, read_course
from autograder.repair.mend import mend

STARS = """\
# %% [markdown] after="counter_test"
# Two counters, of which one forgets nothing that the other one has counted so far.

# %%
both_counters = [Counter(limit) for limit in (1, 2)]

# %% [markdown] after="Exercise 2"
# A headed answer, which nobody needs.
"""
ANSWER = "Because nobody forbids the thief a second account with a fresh budget."
SCHEME = "One point for naming accounts, two for explaining what they cost the thief."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = built_course(tmp_path / "course")
    Lab(root, LAB).source.with_name("stars.py").write_text(STARS, encoding="utf-8")
    return root


def copy_in(folder: Path) -> NotebookNode:
    return nbformat.read(folder / LAB / f"{LAB}.ipynb", as_version=4)


def without_answers(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if not is_model_answer(cell.source)]


def test_each_is_folded_below_what_it_answers(root: Path) -> None:
    released = nbformat.read(Lab(root, LAB).release, as_version=4)
    mine = copy_in(hand_out(root, answers=True).folder)
    nbformat.validate(mine)
    assert without_answers(mine) == released.cells and mine.metadata == released.metadata
    after = {
        grade_id(before): cell.source
        for before, cell in zip(mine.cells, mine.cells[1:], strict=False)
        if is_model_answer(cell.source)
    }
    assert list(after) == ["", "counter_test", "why"]
    (headed,) = [place for place, cell in enumerate(mine.cells) if "A headed answer" in cell.source]
    assert mine.cells[headed - 1].source == "## Exercise 2"
    assert ANSWER in after["why"] and f"**Give yourself points.** {SCHEME}" in after["why"]
    assert after["counter_test"].count("```") == 2 and "both_counters = " in after["counter_test"]
    for text in after.values():
        assert text.endswith("\n\n</details>") and "###" not in text


def test_a_folder_stays_with_what_was_chosen(root: Path) -> None:
    folder = hand_out(root, answers=True).folder
    assert hand_out(root).updated == []
    assert "model answer is folded" in (folder / "start.ipynb").read_text(encoding="utf-8")
    assert hand_out(root, answers=False).updated and hand_out(root).updated == []
    assert copy_in(folder).cells == without_answers(copy_in(folder))
    assert "from your instructor" in (folder / "start.ipynb").read_text(encoding="utf-8")
    change_notebook(folder / LAB / f"{LAB}.ipynb", lambda notebook: notebook.cells.pop())
    said = " ".join(hand_out(root, answers=True).sentences())
    assert f"put a copy with model answers beside it: {LAB}/{LAB}.new.ipynb" in said


def test_no_class_gets_them(root: Path) -> None:
    assert build(root, run=False, say=str) == []
    source = build_notebook(Lab(root, LAB), read_course(root))
    stars = [cell for cells in starred_answers(Lab(root, LAB), source).values() for cell in cells]
    secrets = list(secrets_of(source, stars))
    assert any("both_counters" in (line or "") for one in secrets for line in one.lines)
    copied = write_student_copy(root, say=str)
    for folder in (root / "labs", copied):
        for path in (path for path in folder.rglob("*") if path.is_file()):
            text = path.read_text(encoding="utf-8")
            assert leaks_in_text(secrets, path.name, text) == [] and "Model answer" not in text
    with pytest.raises(CourseError, match="come from solutions/"):
        hand_out(copied, answers=True)
    pasted = nbformat.v4.new_markdown_cell(stars[0].source)
    change_notebook(Lab(root, LAB).release, lambda notebook: notebook.cells.append(pasted))
    assert any("the solution of cell 1 of stars.py" in problem for problem in check(root, say=str))


@pytest.mark.parametrize("header", ["[markdown]", '[markdown] after="gone"'])
def test_an_answer_without_its_place_stops_the_build(root: Path, header: str) -> None:
    path = Lab(root, LAB).source.with_name("stars.py")
    path.write_text(f"# %% {header}\n# An answer.\n", encoding="utf-8")
    with pytest.raises(AuthorError, match=r"stars\.py: after='.*' in a header is no cell"):
        build(root, say=str)


def test_they_change_nothing_of_a_grade(root: Path) -> None:
    release = nbformat.read(Lab(root, LAB).release, as_version=4)
    mine = copy_in(hand_out(root, answers=True).folder)
    cell_of(mine, "why").source = "My own answer."
    mended = mend(mine, release)
    assert mended.notes == []
    assert [cell.source for cell in mended.notebook.cells] == [cell.source for cell in mine.cells]
    mine.cells.remove(cell_of(mine, "why"))  # nobody hands in the course's answer as theirs
    assert cell_of(mend(mine, release).notebook, "why") == cell_of(release, "why")


@pytest.mark.parametrize("lab", list_labs(REPOSITORY), ids=lambda lab: lab.name)
def test_every_written_question_of_the_labs_has_one(lab: Lab) -> None:
    notebook = with_model_answers(lab)
    written = [place for place, cell in enumerate(notebook.cells) if role(cell) == "written"]
    assert written
    for place in written:
        answer = notebook.cells[place + 1].source
        assert is_model_answer(answer) and len(answer) > 500
        assert "\n\n**Give yourself points.** One point" in answer
    assert "Model answer" not in lab.release.read_text(encoding="utf-8")
