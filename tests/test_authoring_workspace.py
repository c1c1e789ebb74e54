"""Working copies: handed out, kept up to date, never overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from toy_course import LAB, make_course

from autograder.authoring.workspace import MANIFEST, Handout, hand_out
from autograder.course import CourseError

NAME = f"{LAB}/{LAB}.ipynb"
NEW = f"{LAB}/{LAB}.new.ipynb"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_course(tmp_path)
    release(root, "release 1")
    return root


def release(root: Path, text: str, name: str = NAME) -> None:
    (root / "labs" / name).parent.mkdir(parents=True, exist_ok=True)
    (root / "labs" / name).write_text(text)


def mine(root: Path, name: str = NAME) -> Path:
    return root / "my_labs" / name


def said(done: Handout) -> str:
    return " ".join(done.sentences())


def test_the_first_time(root: Path) -> None:
    release(root, "picture", f"{LAB}/assets/a.png")
    release(root, "noise", f"{LAB}/.ipynb_checkpoints/a.ipynb")
    done = hand_out(root)
    assert done.new == [f"{LAB}/assets/a.png", NAME]
    assert mine(root).read_text() == "release 1"
    assert not mine(root, f"{LAB}/.ipynb_checkpoints").exists()
    assert said(done) == f"Copied {NAME} into {root.resolve() / 'my_labs'}: work there."


def test_labs_alone_will_do(root: Path) -> None:
    shutil.rmtree(root / "solutions")
    shutil.rmtree(root / "autograder")
    assert hand_out(root).new == [NAME]


def test_again_without_any_change(root: Path) -> None:
    hand_out(root)
    assert "up to date" in said(hand_out(root))


def test_work_is_kept(root: Path) -> None:
    hand_out(root)
    mine(root).write_text("my work")
    assert said(hand_out(root)) == f"Kept your work: {NAME}."
    assert mine(root).read_text() == "my work" and not mine(root, NEW).exists()


def test_an_untouched_copy_follows_the_release(root: Path) -> None:
    hand_out(root)
    release(root, "release 2")
    assert hand_out(root).updated == [NAME]
    assert mine(root).read_text() == "release 2" and not mine(root, NEW).exists()


def test_a_newer_release_lies_beside_the_work(root: Path) -> None:
    hand_out(root)
    mine(root).write_text("my work")
    release(root, "release 2")
    done = hand_out(root)
    assert done.beside == [NEW] and NEW in said(done)
    assert mine(root).read_text() == "my work" and mine(root, NEW).read_text() == "release 2"
    assert hand_out(root).kept == [NAME]  # it is offered once
    release(root, "release 3")
    assert hand_out(root).beside == [NEW]  # nobody had touched the offer
    assert mine(root, NEW).read_text() == "release 3"


def test_work_in_the_offered_file_is_kept_too(root: Path) -> None:
    hand_out(root)
    mine(root).write_text("my work")
    release(root, "release 2")
    hand_out(root)
    mine(root, NEW).write_text("my newer work")
    release(root, "release 3")
    assert hand_out(root).beside == [f"{LAB}/{LAB}.new2.ipynb"]
    assert mine(root, NEW).read_text() == "my newer work"
    assert mine(root).read_text() == "my work"


def test_a_deleted_copy_comes_back(root: Path) -> None:
    hand_out(root)
    mine(root).unlink()
    assert hand_out(root).new == [NAME]


@pytest.mark.parametrize("manifest", [None, "{", "[]"])
def test_without_its_memory_everything_counts_as_work(root: Path, manifest: str | None) -> None:
    hand_out(root)
    mine(root).write_text("my work")
    path = root / "my_labs" / MANIFEST
    path.unlink() if manifest is None else path.write_text(manifest)
    assert hand_out(root).beside == [NEW]
    assert mine(root).read_text() == "my work"
    assert json.loads(path.read_text())[NAME]


def test_another_folder(root: Path, tmp_path: Path) -> None:
    assert hand_out(root, tmp_path / "elsewhere").new == [NAME]
    assert (tmp_path / "elsewhere" / NAME).is_file()


@pytest.mark.parametrize("name", ["labs", "labs/mine", "solutions"])
def test_generated_folders_are_refused(root: Path, name: str) -> None:
    with pytest.raises(CourseError, match="pick another"):
        hand_out(root, root / name)


def test_nothing_to_hand_out(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="holds no released lab"):
        hand_out(make_course(tmp_path))


# --- the start page -------------------------------------------------------------------------------


def worked_on(shown: dict[str, str]) -> NotebookNode:
    """A notebook of two exercises and a written answer, with what its checks last showed."""
    told = "# Lab 1: Toy\n\n**Time** about 75 minutes."
    cells = [nbformat.v4.new_markdown_cell(told)]
    for number, (name, points) in enumerate({"first": 2, "second": 3}.items(), 1):
        block = f"## Exercise {number}: the {name}\n\n| a | b | c |\n|---|---|---|\n"
        block += f"| ●●○○○ | {10 * number} minutes | {points} |"
        test = nbformat.v4.new_code_cell(f"check({name})")
        test.metadata["nbgrader"] = {"grade": True, "solution": False, "points": points}
        if name in shown:
            data = {"text/plain": shown[name]}
            test.outputs = [nbformat.v4.new_output("execute_result", data)]
        cells += [nbformat.v4.new_markdown_cell(block), test]
    written = nbformat.v4.new_markdown_cell("## Exercise 9: not a heading of the lab's")
    written.metadata["nbgrader"] = {"grade": True, "solution": True, "points": 4}
    return nbformat.v4.new_notebook(cells=[*cells, written])


def start(root: Path) -> str:
    hand_out(root)
    page = nbformat.read(mine(root, "start.ipynb"), as_version=4)
    nbformat.validate(page)
    return page.cells[1].outputs[0].data["text/markdown"]


@pytest.mark.parametrize(
    ("shown", "points", "following"),
    [
        ({}, "0 of 5", f"[Exercise 1: the first]({NAME}#Exercise-1:-the-first), 10\u00a0min"),
        ({"first": "2.0"}, "2 of 5", "Exercise 2: the second"),
        ({"first": "1.5", "second": "3.0"}, "4.5 of 5", "Exercise 1: the first"),
        ({"first": "2.0", "second": "300"}, "5 of 5", "all checks passed"),
        ({"first": "nan", "second": "no number"}, "0 of 5", "Exercise 1: the first"),
    ],
)
def test_the_start_page_says_what_is_done_and_what_comes_next(root, shown, points, following):
    hand_out(root)
    nbformat.write(worked_on(shown), mine(root))
    table = start(root)
    (row,) = [line for line in table.split("\n") if "Lab 1: Toy" in line]
    assert f"[Lab 1: Toy]({NAME}) | 75\u00a0min | {points} (and 4 for written answers)" in row
    assert following in row and f"**{points} points**" in table


def test_the_start_page_survives_what_students_make_of_files(root: Path) -> None:
    hand_out(root)
    mine(root).write_text("{}")
    assert "cannot be read" in start(root)
    mine(root, "start.ipynb").write_text("my own notes")
    hand_out(root)
    assert mine(root, "start.ipynb").read_text() == "my own notes"
