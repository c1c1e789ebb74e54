"""`build` writes the release and the executed solution; `check` notices every other state."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from toy_course import COURSE, LAB, SOURCE, built_course, cell_of, change_notebook, make_course

from autograder.authoring.build import build, check
from autograder.authoring.source import AuthorError
from autograder.course import Lab
from autograder.nbgrader_api import NbgraderError

MARK_SCHEME = "One point for naming accounts, two for explaining what they cost the thief."


def quiet(text: str) -> None:
    """Say nothing."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return built_course(tmp_path)


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("labs", "solutions")
        for path in (root / folder).rglob("*")
        if path.is_file()
    }


def edit_source(root: Path, old: str, new: str) -> None:
    path = Lab(root, LAB).source
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_build_passes_the_check(root: Path) -> None:
    assert check(root, say=quiet) == []
    assert check(root, [LAB], say=quiet) == []


def test_building_again_changes_no_byte_and_runs_nothing(root: Path) -> None:
    before, said = files(root), []
    assert build(root, say=said.append) == []
    assert files(root) == before
    assert not any(text.startswith(("executing", "wrote")) for text in said)


def test_building_afresh_gives_the_same_bytes(root: Path) -> None:
    before = files(root)
    Lab(root, LAB).release.unlink()
    assert build(root, force=True, say=quiet) == []
    assert files(root) == before


def test_the_release_has_no_outputs_and_no_hashes(root: Path) -> None:
    notebook = nbformat.read(Lab(root, LAB).release, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    assert notebook.metadata["trickster"] == {"lab": LAB, "points": 9}


def test_the_solution_is_executed(root: Path) -> None:
    notebook = nbformat.read(Lab(root, LAB).executed, as_version=4)
    assert cell_of(notebook, "root_sum_test").outputs[0].text == "measured 3.0, asked 3.0\n"
    assert "BEGIN HIDDEN TESTS" in cell_of(notebook, "root_sum_test").source


def test_prose_keeps_the_outputs(root: Path) -> None:
    edit_source(root, "## Exercise 2", "## The second exercise")
    assert any("stale" in text for text in check(root, say=quiet))
    said: list[str] = []
    assert build(root, say=said.append) == []
    assert not any(text.startswith("executing") for text in said)
    assert check(root, say=quiet) == []


def test_code_needs_another_run(root: Path) -> None:
    edit_source(root, 'print("answers", answers)', 'print("said", answers)')
    said: list[str] = []
    assert build(root, run=False, say=said.append) == []
    assert any("not executed: lab1_toy" in text for text in said)
    assert any("is stale" in text for text in check(root, say=quiet))
    assert build(root, say=quiet) == []
    assert check(root, say=quiet) == []


# --- what people do to generated files -------------------------------------------------


def release_edit(change: Callable[[object], object]) -> Callable[[Path], None]:
    return lambda root: change_notebook(Lab(root, LAB).release, change)


def executed_edit(change: Callable[[object], object]) -> Callable[[Path], None]:
    return lambda root: change_notebook(Lab(root, LAB).executed, change)


def write(name: str, text: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")

    return act


def swap(cells: list) -> None:
    cells[1], cells[2] = cells[2], cells[1]


def reindent(root: Path) -> None:
    path = Lab(root, LAB).release
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")


def fail_cell(notebook: object) -> None:
    cell = cell_of(notebook, "counter_test")
    cell.outputs = [new_output("error", ename="ValueError", evalue="no", traceback=[])]


DEEDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "source": (
        release_edit(lambda nb: cell_of(nb, "setup").update(source="import os")),
        "cell setup is not what the generator makes: -import math",
    ),
    "metadata": (
        release_edit(lambda nb: cell_of(nb, "root_sum_test").metadata["nbgrader"].update(points=5)),
        "cell root_sum_test differs from what the generator makes in its metadata",
    ),
    "order": (release_edit(lambda nb: swap(nb.cells)), "another order"),
    "added cell": (
        release_edit(lambda nb: nb.cells.append(new_code_cell("1", id="extra"))),
        "cell extra is not in the source",
    ),
    "removed cell": (release_edit(lambda nb: nb.cells.pop(1)), "cell setup is missing"),
    "output": (
        release_edit(
            lambda nb: nb.cells[1].update(outputs=[new_output("stream", name="stdout", text="x")])
        ),
        "in its outputs",
    ),
    "notebook metadata": (
        release_edit(lambda nb: nb.metadata.update(author="me")),
        "its notebook metadata",
    ),
    "bytes": (reindent, "its bytes"),
    "leak": (
        release_edit(
            lambda nb: nb.cells.append(new_markdown_cell(f"Psst: {MARK_SCHEME}", id="psst"))
        ),
        "Cell psst shows mark scheme of cell why",
    ),
    "drift": (
        release_edit(
            lambda nb: cell_of(nb, "root_sum").update(
                source=cell_of(nb, "root_sum").source.replace("start: float", "begin: float")
            )
        ),
        "the scaffold says root_sum(values: list[float], begin: float=0.0)",
    ),
    "no notebook": (write(f"labs/{LAB}/{LAB}.ipynb", "{"), "is no notebook any more"),
    "missing release": (lambda root: Lab(root, LAB).release.unlink(), "is missing"),
    "extra file": (write(f"labs/{LAB}/answers.txt", "42"), "is not the build's: remove it"),
    "stranger": (write("labs/lab9_gone/lab9_gone.ipynb", "{}"), "belongs to no lab"),
    "missing run": (lambda root: Lab(root, LAB).executed.unlink(), "is missing"),
    "broken run": (write(f"solutions/{LAB}/{LAB}.ipynb", "[]"), "is no notebook any more"),
    "stale run": (
        executed_edit(lambda nb: cell_of(nb, "counter").update(source="pass")),
        "is stale: cell counter is not what the generator makes",
    ),
    "failed run": (executed_edit(fail_cell), "cell counter_test ended in ValueError: no"),
    "not run": (
        executed_edit(lambda nb: nb.cells[1].update(execution_count=None)),
        "cell setup was not executed",
    ),
    "weak reference": (
        executed_edit(
            lambda nb: cell_of(nb, "counter_test").outputs[-1].data.update({"text/plain": "1.0"})
        ),
        "cell counter_test gives the solution 1.0 of 2",
    ),
}


@pytest.mark.parametrize("name", DEEDS)
def test_check_notices(root: Path, name: str) -> None:
    deed, said = DEEDS[name]
    deed(root)
    problems = check(root, say=quiet)
    assert any(said in problem for problem in problems), problems


def test_build_mends_a_hand_edit(root: Path) -> None:
    before = files(root)
    for name in ("source", "metadata", "order", "added cell", "stale run"):
        DEEDS[name][0](root)
        assert build(root, run=False, say=quiet) == []
        assert files(root) == before


def test_checkpoints_are_nobody_s_business(root: Path) -> None:
    write(f"labs/{LAB}/.ipynb_checkpoints/x.ipynb", "{}")(root)
    assert check(root, say=quiet) == []


# --- assets ------------------------------------------------------------------------------


def test_assets_are_released_and_checked(root: Path) -> None:
    write(f"solutions/{LAB}/assets/figures/map.md", "A map")(root)
    write(f"solutions/{LAB}/assets/secret.csv", "not for students")(root)
    assert build(root, run=False, say=quiet) == []
    released = root / "labs" / LAB / "assets"
    assert [path.name for path in released.rglob("*") if path.is_file()] == ["map.md"]
    assert check(root, say=quiet) == []
    (released / "figures" / "map.md").write_text("Another map")
    assert any("is not the same as" in problem for problem in check(root, say=quiet))
    (released / "figures" / "map.md").unlink()
    assert any("map.md is missing" in problem for problem in check(root, say=quiet))


def test_a_leaking_asset_is_named(root: Path) -> None:
    write(f"solutions/{LAB}/assets/notes.md", f"Note: {MARK_SCHEME}")(root)
    build(root, run=False, say=quiet)
    assert any("notes.md shows mark scheme" in problem for problem in check(root, say=quiet))


# --- what is said about them ---------------------------------------------------------------


def test_advice_says_whose_change_it_is(root: Path) -> None:
    DEEDS["source"][0](root)
    assert any("git checkout labs" in problem for problem in check(root, say=quiet))
    assert build(root, run=False, say=quiet) == []
    edit_source(root, "## Exercise 2", "## The second exercise")
    problems = check(root, say=quiet)
    assert any("The source has changed" in problem for problem in problems)
    assert not any("git checkout" in problem for problem in problems)


def test_cells_without_a_name_are_told_by_their_words_and_lines(root: Path) -> None:
    edit_source(root, "## Exercise 2", "## The second exercise")
    lines = Lab(root, LAB).source.read_text(encoding="utf-8").split("\n")
    number = lines.index("# ## The second exercise")  # the header is the line before
    problems = " ".join(check(root, say=quiet))
    assert f"(source line {number}: '## The second exercise') is missing" in problems
    assert "('## Exercise 2') is not in the source" in problems


def test_check_names_a_leak_in_the_source(root: Path) -> None:
    edit_source(root, "## Exercise 2", f"## Exercise 2\n# Psst: {MARK_SCHEME}")
    place, _ = f"solutions/{LAB}/{LAB}.py", build(root, run=False, say=quiet)
    lines = Lab(root, LAB).source.read_text(encoding="utf-8").split("\n")
    at = lines.index("# ## Exercise 2")
    home = next(n for n, line in enumerate(lines, 1) if 'written="why"' in line)
    (problem,) = [text for text in check(root, say=quiet) if "shows mark scheme" in text]
    assert problem.startswith(f"{place}: Cell c-") and f"(source line {at}) shows" in problem
    assert f"cell why (source line {home})" in problem
    assert problem in build(root, say=quiet)


# --- sources that must not be released ---------------------------------------------------


def test_a_leak_is_never_written(tmp_path: Path) -> None:
    shown = f"# %% [markdown]\n# {MARK_SCHEME}\n\n# %% solution"
    root = make_course(tmp_path, SOURCE.replace("# %% solution", shown, 1))
    problems = build(root, say=quiet)
    assert any("shows mark scheme of cell why" in problem for problem in problems)
    assert not Lab(root, LAB).release.exists() and not Lab(root, LAB).executed.exists()


def test_a_drifting_scaffold_is_never_written(tmp_path: Path) -> None:
    moved = "### BEGIN SOLUTION\ndef public_helper():\n    pass\n### END SOLUTION\n"
    text = SOURCE.replace("def root_sum", moved + "def root_sum")
    problems = build(make_course(tmp_path, text), say=quiet)
    assert any("public_helper" in problem and "scaffold" in problem for problem in problems)


def test_a_solution_that_fails_keeps_the_old_notebook(root: Path) -> None:
    before = Lab(root, LAB).executed.read_bytes()
    edit_source(root, "total + start", "total + stop")
    problems = build(root, say=quiet)
    assert len(problems) == 1 and "root_sum_test raised NameError" in problems[0]
    assert Lab(root, LAB).executed.read_bytes() == before


def test_a_solution_must_get_every_point(root: Path) -> None:
    edit_source(root, "2.0 * (answers", "1.5 * (answers")
    assert any("gives the solution 1.5 of 2" in problem for problem in build(root, say=quiet))


@pytest.mark.slow
def test_a_noisy_check_is_named(root: Path) -> None:
    edit_source(root, 'print("answers", answers)', "import sys; print(answers, file=sys.stderr)")
    assert any("because it writes to stderr" in problem for problem in build(root, say=quiet))


def test_friendly_errors(root: Path) -> None:
    edit_source(root, "points=4", "points=0")
    with pytest.raises(AuthorError, match=rf"solutions/{LAB}/{LAB}\.py, cell 5"):
        build(root, say=quiet)
    edit_source(root, "points=0", "points=4")
    (root / "nbgrader_config.py").unlink()
    with pytest.raises(NbgraderError, match=r"holds no nbgrader_config\.py"):
        build(root, say=quiet)


def test_the_course_s_address_reaches_the_release(root: Path) -> None:
    (root / "course.toml").write_text(COURSE.replace("someone/toy-labs", "other/labs"))
    assert check(root, say=quiet) != []
    assert build(root, say=quiet) == []
    assert "github/other/labs" in Lab(root, LAB).release.read_text(encoding="utf-8")
