"""Solutions judged by their own checks twice: in the kernel, and by the referee."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from forked_kernels import ForkingKernelManager
from nbformat import NotebookNode

from autograder.authoring.source import build_notebook
from autograder.cells import grade_id, points_of, role
from autograder.course import Lab, read_course
from autograder.grading import execution
from autograder.grading.execution import RunSettings, run_notebook, trusted_cells

ROOT = Path(__file__).resolve().parent.parent
CHEAP = {
    "lab1_train_victim": {
        *("build_victim_test", "predict_proba_test", "expected_calibration_error_test", "api_test"),
    },
    "lab3_trickster_noise": {"zero_mean_noise_test", "scores_test", "choose_threshold_test"},
    "lab4_rate_limit_hard_labels": {
        *("ladder_test", "counterexample_test", "reverse_sigmoid_test", "token_bucket_test"),
        *("ablation_test", "leave_one_out_test"),
    },
    "lab6_exact_theft": {
        *("solve_softmax_test", "fit_rounded_test", "find_kinks_test", "neuron_at_test"),
        *("fit_outputs_test", "hidden_size_test", "logits_through_top_k_test"),
        *("output_projection_test", "tell_test"),
    },
}


class Both(execution.NotebookRunner):
    """Runs each test cell in the kernel as well, as a student does."""

    def test(self, cell, name, test, referee) -> None:
        local = nbformat.v4.new_code_cell(test.source)
        self.own(local, name, referee.kernel)
        super().test(cell, name, test, referee)
        LOCAL[name] = local.outputs


LOCAL: dict[str, list[NotebookNode]] = {}


def points(outputs: list[NotebookNode]) -> float:
    """As nbgrader reads them from a check's outputs."""
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    (result,) = [o for o in outputs if o.output_type == "execute_result"]
    return float(result.data["text/plain"])


def table(outputs: list[NotebookNode]) -> str:
    (result,) = [o for o in outputs if o.output_type == "execute_result"]
    return result.data["text/html"]


def same_points(notebook: NotebookNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full points for every test, with the same words from the referee as in the kernel."""
    monkeypatch.setattr(execution, "NotebookRunner", Both)
    monkeypatch.setattr(execution, "NativeKernelManager", ForkingKernelManager)
    LOCAL.clear()
    settings = RunSettings(
        trust_submissions=True, run_all=True, extra_arguments=["--IPKernelApp.log_level=40"]
    )
    cells = [(grade_id(c), role(c), c.source, points_of(c)) for c in notebook.cells]
    outcome = run_notebook(notebook, trusted_cells(c for c in cells if c[1]), settings, None)
    tests = [cell for cell in notebook.cells if role(cell) == "test"]
    assert tests and set(LOCAL) == set(outcome.tests) == {grade_id(cell) for cell in tests}
    for cell in tests:
        assert points(cell.outputs) == points(LOCAL[grade_id(cell)]) == points_of(cell)
        assert table(cell.outputs) == table(LOCAL[grade_id(cell)])
    assert not outcome.problems


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEAP)
def test_cheap_checks_get_the_same_points_from_the_referee(name: str, monkeypatch) -> None:
    notebook = build_notebook(Lab(ROOT, name), read_course(ROOT))
    wanted = {"setup", "imports", *CHEAP[name]}
    notebook.cells = [
        cell for cell in notebook.cells if role(cell) == "solution" or grade_id(cell) in wanted
    ]
    same_points(notebook, monkeypatch)
