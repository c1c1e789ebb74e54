"""The labs as a student and an author meet them: what they hold, and that they run."""

from __future__ import annotations

import importlib
import re
from functools import cache
from html import escape

import nbformat
import pytest
from forked_kernels import ForkingKernelManager
from reading import words_of
from reference import ROOT
from short_training import run_shortened

from autograder.authoring import execute as executing
from autograder.authoring.execute import execute
from autograder.authoring.source import build_notebook
from autograder.cells import grade_id, points_of, role
from autograder.course import list_labs, read_course

LABS = list_labs(ROOT)
# Checks of clones, half a minute each: `make grade` gives each solution all of their points under
# a new secret, and a build under the public draw. Other answers get theirs in these files' tests.
TRIED_ELSEWHERE = {
    "train_victim_test",  # test_checks_lab1.py
    *("train_clone_test", "steal_test"),  # test_checks_lab2.py
    *("trickster_test", "spend_test"),  # test_checks_lab3.py
    "layered_test",  # test_checks_lab4.py
    *("keyed_lie_test", "defend_test"),  # test_checks_lab5.py
}
# How long an experiment takes that stands outside the exercises: "(Five minutes, to read and run.)"
SPOKEN = {"Two": 2, "Three": 3, "Five": 5, "Six": 6, "Ten": 10, "Fifteen": 15}
LONG_ANSWERS = {(2, "steal"): 17}  # lines: a whole thief, with two helpers
every_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)


@cache
def source(name: str):
    (lab,) = [lab for lab in LABS if lab.name == name]
    return build_notebook(lab, read_course(ROOT))


def total(lab) -> float:
    return sum(points_of(cell) for cell in source(lab.name).cells)


@every_lab
def test_points_are_what_the_checks_give(lab):
    notebook, module = source(lab.name), f"lab{lab.number}"
    checks = importlib.import_module(f"trickster.checks.{module}")
    seen = []
    for cell in notebook.cells:
        if role(cell) == "test":
            (name,) = re.findall(rf"^{module}\.(\w+)\(", cell.source, re.MULTILINE)
            assert getattr(checks, name).points == points_of(cell)
            assert grade_id(cell) == f"{name}_test"
            seen.append(name)
    assert seen and len(seen) == len(set(seen))
    assert re.search(rf"\*\*Points\*\* {total(lab):g}\b", notebook.cells[0].source)


@every_lab
def test_exercise_tables_tell_the_points_of_their_checks(lab):
    """The points in an exercise's block are those of the graded cells below it."""
    promised, given = [], []
    for cell in source(lab.name).cells:
        block = re.search(r"^\| [●○]{5} \| \d+ minutes \| ([\d +]+) \|$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and block:
            promised.append(sum(int(number) for number in block.group(1).split("+")))
            given.append(0)
        elif points_of(cell):
            given[-1] += points_of(cell)
    assert promised and promised == given


@every_lab
def test_minutes_of_the_exercises_and_experiments_fit_the_time_of_the_lab(lab):
    text = "\n".join(cell.source for cell in source(lab.name).cells if cell.cell_type != "code")
    minutes = sum(map(int, re.findall(r"\| (\d+) minutes \|", text)))
    minutes += sum(SPOKEN[word] for word in re.findall(r"\((\w+) minutes, ", text))
    (promised,) = map(int, re.findall(r"\*\*Time\*\* about (\d+) minutes", text))
    assert 0.8 * promised <= minutes <= promised
    assert f"| {promised} min | {total(lab):g} |" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )


@every_lab
def test_instructors_are_told_how_long_both_halves_of_the_lab_take(lab):
    guide = (ROOT / "docs/instructors.md").read_text(encoding="utf-8")
    half = r"to exercise (\d): (\d+) min \| from exercise (\d): (\d+) min"
    told = re.search(rf"^\| {lab.number} \| {half} \|", guide, re.MULTILINE)
    last, before, first, after = map(int, told.groups())
    text = "\n".join(cell.source for cell in source(lab.name).cells if cell.cell_type != "code")
    halves = re.split(rf"^## Exercise {first}\b", text, flags=re.MULTILINE)
    assert first == last + 1 and len(halves) == 2
    minutes = [
        sum(map(int, re.findall(r"\| (\d+) minutes \|", one)))
        + sum(SPOKEN[word] for word in re.findall(r"\((\w+) minutes, ", one))
        for one in halves
    ]
    assert minutes == [before, after] and max(minutes) <= 90


@every_lab
def test_the_readme_lists_the_lab(lab):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"(labs/{lab.name}/{lab.name}.ipynb)" in text


@every_lab
def test_every_picture_has_words(lab):
    notebook = nbformat.read(lab.executed, as_version=4)
    shown = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "<img" in output.get("data", {}).get("text/html", "")
    ]
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert shown or not any("plots." in source for source in code)
    for output in shown:
        assert len(output["data"]["text/plain"]) > 30
        assert f'alt="{escape(output["data"]["text/plain"])}"' in output["data"]["text/html"]
        assert "image/png" not in output["data"]  # JupyterLab would show it without its words


def printed(cells) -> list[str]:
    """What the cells print, a text for each, with numbers masked: they differ between machines."""
    texts = []
    for cell in cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error", output
            data = output.get("data", {})
            # A table's rows and cells follow from what it says.
            text = output.get("text") or words_of(data.get("text/html", "")) or data["text/plain"]
            text = re.sub(r"Measured: .*", "Measured: what was found", text)
            text = re.sub(r"[-+]?\d[\d.,e+-]*|inf", "#", text)
            texts.append(re.sub(r"(epoch # of #.*\n)+", r"\1", text))
    # Wrapping depends on the width of numbers; which class comes first may depend on a digit.
    names = r"T-shirt/top|Trouser|Pullover|Dress|Coat|Sandal|Shirt|Sneaker|Bag|Ankle boot"
    return [" ".join(re.sub(names, "CLASS", text).split()) for text in texts]


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "NativeKernelManager", ForkingKernelManager)


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
@every_lab
def test_the_solution_runs_and_prints_what_is_committed(lab):
    """Experiments train for one epoch; a build runs them in full, when a source has changed."""
    written, committed = source(lab.name), nbformat.read(lab.executed, as_version=4)
    done = run_shortened(written, lambda one: execute(one, lab.name), left_out=TRIED_ELSEWHERE)
    tried = [cell for cell in committed.cells if grade_id(cell) not in TRIED_ELSEWHERE]
    assert printed(done.cells) == printed(tried)
    for cell in [*done.cells, *committed.cells]:
        if role(cell) == "test":
            (result,) = [o for o in cell.outputs if o.output_type == "execute_result"]
            assert float(result["data"]["text/plain"]) == points_of(cell)
            assert not [o for o in cell.outputs if o.get("name") == "stderr"]


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
@every_lab
def test_the_release_stops_at_unwritten_cells_and_nowhere_else(lab):
    """Checks say calmly that nothing is written; what uses the exercises raises."""
    release = nbformat.read(lab.release, as_version=4)
    done = run_shortened(release, lambda one: execute(one, lab.name, allow_errors=True))
    errors = set()
    for cell in done.cells:
        if role(cell) == "test":
            (output,) = cell.outputs
            assert output.data["text/plain"] == "0.0"
            assert "Not written yet: " in words_of(output.data["text/html"])
        else:
            errors |= {o.ename for o in cell.get("outputs", []) if o.output_type == "error"}
    assert errors <= {"NotImplementedError"}


@every_lab
def test_scaffolds_leave_the_heart_to_the_student(lab):
    """One to fifteen lines in each solution region; longer would be boilerplate."""
    from autograder.authoring.source import find_regions

    for cell in source(lab.name).cells:
        if role(cell) == "solution":
            regions = find_regions(cell.source)
            assert 1 <= len(regions) <= 2, grade_id(cell)  # a class may have two methods
            for region in regions:
                lines = [line for line in region.lines if line.strip()]
                most = LONG_ANSWERS.get((lab.number, grade_id(cell)), 15)
                assert 1 <= len(lines) <= most, grade_id(cell)
