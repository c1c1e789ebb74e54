"""Every lab's solution, judged by its own checks twice: in its kernel, and by the referee."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from autograder.authoring.source import build_notebook
from autograder.cells import grade_id, points_of, role
from autograder.course import Lab, list_labs, read_course
from autograder.referee.preprocessor import Course, RefereeExecute, course_of

ROOT = Path(__file__).resolve().parent.parent
CHEAP = {
    "lab3_trickster_noise": {"zero_mean_noise_test", "scores_test", "choose_threshold_test"},
    "lab4_rate_limit_hard_labels": {
        *("ladder_test", "counterexample_test", "token_bucket_test", "sliding_window_test"),
        *("price_of_theft_test", "ablation_test"),
    },
}
LABS = [lab.name for lab in list_labs(ROOT)]


class Both(RefereeExecute):
    """Runs each test cell in the kernel as well, as a student does."""

    def course(self, nb: NotebookNode, resources: Any) -> Course:
        cells = [(grade_id(c), role(c), c.source, points_of(c)) for c in nb.cells]
        return course_of([cell for cell in cells if cell[1]])

    def _test(self, cell, name, test, referee, course) -> None:
        local = nbformat.v4.new_code_cell(test.source)
        self._own(local, name, referee.kernel)
        super()._test(cell, name, test, referee, course)
        self.local = {**getattr(self, "local", {}), name: local.outputs}


def points(outputs: list[NotebookNode]) -> float:
    """As nbgrader reads them from a check's outputs."""
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    (result,) = [o for o in outputs if o.output_type == "execute_result"]
    return float(result.data["text/plain"])


def table(outputs: list[NotebookNode]) -> str:
    (result,) = [o for o in outputs if o.output_type == "execute_result"]
    return result.data["text/html"]


def same_points(notebook: NotebookNode, folder: Path) -> None:
    """Full points for every test, with the same words from the referee as in the kernel."""
    runner = Both(extra_arguments=["--IPKernelApp.log_level=40"])
    runner.preprocess(notebook, {"metadata": {"path": str(folder)}})
    tests = [cell for cell in notebook.cells if role(cell) == "test"]
    assert tests and set(runner.local) == {grade_id(cell) for cell in tests}
    for cell in tests:
        assert points(cell.outputs) == points(runner.local[grade_id(cell)]) == points_of(cell)
        assert table(cell.outputs) == table(runner.local[grade_id(cell)])
    assert not runner.problems


@pytest.mark.parametrize("name", CHEAP)
def test_cheap_checks_get_the_same_points_from_the_referee(name: str, tmp_path: Path) -> None:
    notebook = build_notebook(Lab(ROOT, name), read_course(ROOT))
    wanted = {"setup", "imports", *CHEAP[name]}
    notebook.cells = [
        cell for cell in notebook.cells if role(cell) == "solution" or grade_id(cell) in wanted
    ]
    same_points(notebook, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", LABS)
def test_the_solution_gets_the_same_points_from_the_referee(name: str, tmp_path: Path) -> None:
    same_points(build_notebook(Lab(ROOT, name), read_course(ROOT)), tmp_path)
