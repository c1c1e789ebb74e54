"""The referee in a whole run: a small class, and single notebooks that meet limits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from light_jobs import InThisProcess
from nbformat import NotebookNode
from referee_stage import text
from reference import ROOT
from toy_course import LAB, built_course, cell_of

from autograder.cells import grade_id, points_of, role
from autograder.course import Lab, list_labs
from autograder.environment import ONE_THREAD
from autograder.grading import execution
from autograder.grading.execution import (
    Outcome,
    RunSettings,
    TrustedCells,
    run_notebook,
    trusted_cells,
)
from autograder.grading.run import grade_class
from autograder.records import GradingRecord
from autograder.referee.outputs import CellOutputs

LIMITS = """
c.Grade.call_timeout = 5
c.Grade.timeout = 20
c.Grade.grace = 2
"""
ROOT_SUM = """
def root_sum(values, start=0.0):
    return start + sum(v ** 0.5 for v in values)
"""
COUNTER = """
class Counter:
    def __init__(self, limit=3):
        self.limit, self.count = limit, 0
    def query(self):
        self.count += 1
        return self.count <= self.limit
"""
NOISY = "import warnings, sys\nprint('x' * 1000)\n" + ROOT_SUM.replace(
    "    return", "    warnings.warn('careful'); print('err', file=sys.stderr)\n    return"
)
CHEAT = """
import ast
class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(NoAsserts())
get_ipython().events.register("pre_run_cell", lambda info: print("SEEN", info.raw_cell))
class Yes(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __hash__ = None
root_sum = lambda *a, **k: Yes(3.0)
"""
STUDENTS = {
    "perfect": (ROOT_SUM, COUNTER, 6),
    "noisy": (NOISY, COUNTER, 6),
    "half": (ROOT_SUM, "", 4),
    "cheat": (CHEAT, "class Counter: pass", 0),
    "exits": ("import os\nos._exit(0)", COUNTER, 0),
    "late_exit": (ROOT_SUM, COUNTER.replace("self.count += 1", "import os; os._exit(3)"), 4),
}


def notebook(root: Path, **sources: str) -> NotebookNode:
    found = nbformat.read(Lab(root, LAB).release, as_version=4)
    for name, source in sources.items():
        if source:
            cell_of(found, name).source = source
    return found


def hand_in(root: Path, student: str, found: NotebookNode) -> None:
    folder = root / "submitted" / student / LAB
    folder.mkdir(parents=True)
    (folder / f"{LAB}.ipynb").write_text(json.dumps(found), encoding="utf-8")


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, GradingRecord]]:
    root = built_course(tmp_path_factory.mktemp("referee"))
    with (root / "nbgrader_config.py").open("a", encoding="utf-8") as file:
        file.write(LIMITS)
    for student, (root_sum, counter, _) in STUDENTS.items():
        hand_in(root, student, notebook(root, root_sum=root_sum, counter=counter))
    forged = notebook(root, root_sum="root_sum = lambda *a, **k: 0.0")
    for name in ("setup", "root_sum_test"):
        cell_of(forged, name).source = "root_sum_test = 4.0\nroot_sum_test"
    hand_in(root, "forged", forged)
    results = grade_class(root, root, workers=1, say=lambda text: None, trusted=True)
    return root, {result.student: result for result in results}


def cells_of(root: Path, student: str) -> dict[str, NotebookNode]:
    path = root / "autograded" / student / LAB / f"{LAB}.ipynb"
    return {grade_id(cell): cell for cell in nbformat.read(path, as_version=4).cells}


@pytest.mark.slow
def test_a_fault_of_the_machine_leaves_a_submission_ungraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = built_course(tmp_path)
    hand_in(root, "perfect", notebook(root, root_sum=ROOT_SUM, counter=COUNTER))
    folder = tmp_path / ("long" * 30)  # too long for the path of a socket
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    here = {"trusted": True, "executor": InThisProcess()}
    (result,) = grade_class(root, root, say=lambda text: None, **here)
    assert result.status == "failed" and not result.refused and "set TMPDIR" in result.reason
    monkeypatch.setattr("tempfile.tempdir", None)
    (result,) = grade_class(root, root, workers=1, say=lambda text: None, trusted=True)
    assert result.test_points == 6


@pytest.mark.slow
@pytest.mark.parametrize("student", STUDENTS)
def test_everybody_gets_what_the_work_is_worth(graded: Any, student: str) -> None:
    _, results = graded
    assert results[student].status in ("graded", "needs marking"), results[student].reason
    assert results[student].test_points == STUDENTS[student][2]


@pytest.mark.slow
def test_a_changed_test_cell_is_the_course_s_again(graded: Any) -> None:
    root, results = graded
    assert results["forged"].test_points == 0
    assert "hidden_measurement" in cells_of(root, "forged")["root_sum_test"].source


@pytest.mark.slow
def test_the_outputs_are_nbgrader_s(graded: Any) -> None:
    root, _ = graded
    cells = cells_of(root, "noisy")
    outputs = cells["root_sum_test"].outputs
    assert [o.get("name") for o in outputs] == ["stdout", None, "stdout"]
    assert outputs[0].text == "measured 3.0, asked 3.0\n"
    assert outputs[1].data["text/plain"] == "4.0"
    assert "UserWarning: careful" in outputs[2].text and "err" in outputs[2].text
    assert "SEEN measured" not in str(cells_of(root, "cheat")["root_sum_test"])
    page = (root / "feedback" / "noisy" / LAB / f"{LAB}.html").read_text(encoding="utf-8")
    assert "measured 3.0, asked 3.0" in page and "careful" in page


@pytest.mark.slow
def test_a_kernel_that_ended_costs_what_comes_after(graded: Any) -> None:
    root, _ = graded
    cells = cells_of(root, "exits")
    assert "the Python process ended" in cells["root_sum"].outputs[0].evalue
    later = cells["counter"].outputs[0]
    assert (later.ename, later.evalue) == (
        "Not run",
        "the Python process had ended before (in root_sum).",
    )
    for name in ("root_sum_test", "counter_test"):
        assert "the Python process had ended before" in text(cells[name].outputs)
        assert cells[name].outputs[-1].data["text/plain"] == "0.0"


# --- limits, without nbgrader around -------------------------------------------------------------


def run(
    cells: list[str],
    test: str = "",
    trusted: TrustedCells | None = None,
    secret: bytes | None = None,
    **options: Any,
) -> tuple[Outcome, NotebookNode]:
    """A notebook of these cells, run on its own word for what the course wrote."""
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    if test:
        meta = {"grade": True, "solution": False, "locked": True, "grade_id": "test", "points": 4}
        made.append(nbformat.v4.new_code_cell(test, metadata={"nbgrader": meta}))
    found = nbformat.v4.new_notebook(cells=made)
    known = [(grade_id(c), role(c), c.source, points_of(c)) for c in made if role(c)]
    settings = RunSettings(
        trust_submissions=True,
        extra_arguments=["--IPKernelApp.log_level=40"],
        **{"grace": 1.5, **options},
    )
    return run_notebook(found, trusted or trusted_cells(known), settings, secret), found


def test_a_test_cell_that_the_course_never_wrote_is_not_run_here(tmp_path: Path) -> None:
    source = f"import pathlib; pathlib.Path({str(tmp_path / 'here')!r}).write_text('x'); 4.0"
    _, found = run([], source, TrustedCells({}, {}, set()))
    assert found.cells[0].outputs[0].ename == "UnknownTest"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_cell_past_its_limit_is_interrupted_and_the_rest_goes_on() -> None:
    outcome, found = run(["while True: pass", "1 / 0", "x = 4.0\nx"], "x", timeout=2)
    kinds = [[o.get("ename") for o in cell.outputs] for cell in found.cells]
    assert "Too slow" in kinds[0] and kinds[1] == ["ZeroDivisionError"]
    assert found.cells[2].outputs[0].data["text/plain"] == "4.0"
    assert found.cells[3].outputs[-1].data["text/plain"] == "4.0"
    assert outcome.limits == ["cell 1: the cell took longer than 2 s."]
    assert [cell.execution_count for cell in found.cells] == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_notebook_past_its_limit_is_ended() -> None:
    began = time.monotonic()
    cells = ["import time\nx = 1.0"] + ["time.sleep(2)"] * 5
    outcome, found = run(cells, "x", notebook_timeout=5, timeout=60)
    assert time.monotonic() - began < 20
    told = [output.get("evalue", "") for cell in found.cells for output in cell.outputs]
    assert sum("had used its 5 s" in text for text in told) == 1
    assert "the Python process had ended before" in text(found.cells[-1].outputs)
    assert outcome.stopped.startswith("the notebook had used")


@pytest.mark.slow
def test_output_is_cut_while_it_comes() -> None:
    before = psutil.Process().memory_info().rss
    source = "for _ in range(2_000): print('x' * 100_000)\nx = 4.0"
    _, found = run([source, "print('y' * 50_000_000)", "print('z')"], "x", output_limit=50_000)
    assert psutil.Process().memory_info().rss - before < 300 * 1024**2
    assert len(str(found.cells[0].outputs)) < 60_000
    assert re.search("more were printed|too large", found.cells[0].outputs[-1].text)
    assert "too large to be shown" in found.cells[1].outputs[-1].text
    assert found.cells[2].outputs[0].text == "z\n"
    assert found.cells[3].outputs[-1].data["text/plain"] == "4.0"


def test_displays_and_clearing_are_kept() -> None:
    source = (
        "from IPython.display import display, clear_output, HTML, update_display\n"
        "print('gone'); clear_output(); print('a'); print('b')\n"
        "display(HTML('<b>x</b>'), display_id='one'); update_display(HTML('<i>y</i>'), "
        "display_id='one')\n"
    )
    _, found = run([source])
    outputs = found.cells[0].outputs
    assert [o.output_type for o in outputs] == ["stream", "display_data"]
    assert outputs[0].text == "a\nb\n" and outputs[1].data["text/html"] == "<i>y</i>"
    nbformat.validate(found)


def shown(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """A message that shows or updates the display called "one"."""
    content = {"data": data, "metadata": {}, "transient": {"display_id": "one"}}
    return {"msg_type": kind, "header": {"msg_type": kind}, "content": content}


def test_an_update_costs_what_it_adds_to_each_output_that_it_replaces() -> None:
    cell = nbformat.v4.new_code_cell()
    taken = CellOutputs(cell, 1_000_000)
    for _ in range(150):
        taken.handle(shown("display_data", {"text/html": "-"}), 500)
    for data in ({"text/html": 1}, {"text/html": "x" * 400_000}):
        taken.handle(shown("update_display_data", data), 400_500)
        assert {output.data["text/html"] for output in cell.outputs} == {"-"}
    taken.close()
    assert taken.kept == 75_000 and "more were printed" in cell.outputs[-1].text


def test_a_progress_bar_may_be_updated_for_long() -> None:
    cell = nbformat.v4.new_code_cell()
    taken = CellOutputs(cell, 10_000)
    taken.handle(shown("display_data", {"text/html": "-"}), 500)
    for number in range(3_000):
        taken.handle(shown("update_display_data", {"text/html": f"{number}"}), 600 + number % 2)
    (output,) = cell.outputs
    assert output.data["text/html"] == "2999" and taken.kept == 601


def test_the_outputs_of_a_notebook_have_a_limit_of_their_own() -> None:
    cells = ["print('x' * 40_000)"] * 5 + ["print('y')", "x = 4.0"]
    outcome, found = run(cells, "x", notebook_output_limit=100_000, output_limit=50_000)
    assert len(str(found.cells)) < 110_000
    assert "All outputs of a notebook together" in found.cells[2].outputs[-1].text
    assert len(outcome.limits) == 1 and outcome.limits[0].startswith("cell 3: the outputs of")
    assert found.cells[-1].outputs[-1].data["text/plain"] == "4.0"


def test_input_returns_at_once() -> None:
    _, found = run(["input('name?')", "1"])
    assert found.cells[0].outputs[-1].data["text/plain"] == "''"
    assert found.cells[1].outputs[0].data["text/plain"] == "1"


def test_problems_of_a_check_are_left_for_the_instructor() -> None:
    outcome, _ = run(["x = 1"], "import trickster.checks.result as s\ns.Sheet('A', 4).result()")
    assert "The check itself is wrong" in outcome.problems[0]


def test_no_process_is_left_behind() -> None:
    run(["1"])  # from now on, the process that kernels are forked from is there
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    run(["import atexit, time\natexit.register(time.sleep, 100)"])
    time.sleep(0.5)
    left = {child.pid for child in psutil.Process().children(recursive=True)} - before
    assert not {pid for pid in left if psutil.pid_exists(pid)}


# --- what a worker imports ----------------------------------------------------------------------


@pytest.mark.slow
def test_torch_is_imported_by_tests_that_need_it_and_has_one_thread() -> None:
    code = (
        "import sys\n"
        "from autograder.grading import execution, submission\n"
        "assert not {'torch', 'matplotlib', 'nbgrader'} & set(sys.modules)\n"
        "with execution._on_one_core():\n"
        "    import torch\n"
        "print(torch.get_num_threads())"
    )
    environ = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    given = {"env": environ, "cwd": ROOT, "text": True}
    assert subprocess.check_output([sys.executable, "-c", code], **given).strip() == "1"


def test_kernels_of_every_lab_begin_with_their_libraries() -> None:
    releases = [nbformat.read(lab.release, as_version=4) for lab in list_labs(ROOT)]
    for release in releases:
        cells = [(grade_id(c), role(c), c.source, points_of(c)) for c in release.cells]
        assert execution._needs_libraries(trusted_cells(cells).imports)
    own = trusted_cells([("setup", "provided", "import math\nfrom os.path import join", 0)])
    assert releases and not execution._needs_libraries(own.imports)
