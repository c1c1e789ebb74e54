"""Runs a lab's notebook in a third of the time: outside its test cells, training takes one epoch.

What the experiments print then has other numbers, and is made by the same code. Test cells, and
what they call, train as in the lab.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from sklearn.linear_model import LogisticRegression

from autograder.cells import grade_id, role
from trickster import attacks, demos, training

BEGIN = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import short_training"
SHORT, FULL = "short_training.short(globals())", "short_training.full(globals())"
LIBRARY = [
    (owner, name, getattr(owner, name))
    for owner, name in (
        *((training, "fit"), (attacks, "fit_many"), (LogisticRegression, "fit")),
        (demos.DemoB, "run"),
    )
]
ITERATIONS = 20  # of a logistic regression
SEEDS = 5  # of a demonstration, in turn: enough for a drop like the published one


def run_shortened(
    notebook: NotebookNode,
    run: Callable[[NotebookNode], NotebookNode],
    left_out: Collection[str] = (),
) -> NotebookNode:
    """``run(notebook)`` with short training; the cells that arrange for it are taken out again.

    Without those whose names are ``left_out``.
    """
    notebook = notebook.copy()
    cells = [_inserted(BEGIN)]
    for cell in notebook.cells:
        if grade_id(cell) in left_out:
            continue
        if cell.cell_type == "code":
            cells.append(_inserted(FULL if role(cell) == "test" else SHORT))
        cells.append(cell)
    notebook.cells = cells
    done = run(notebook)
    inserted = [cell for cell in done.cells if "inserted" in cell.metadata]
    assert not any(cell.outputs for cell in inserted)
    done.cells = [cell for cell in done.cells if "inserted" not in cell.metadata]
    return done


def _inserted(source: str) -> NotebookNode:
    return new_code_cell(source, metadata={"inserted": True})


# --- in the notebook's kernel ---------------------------------------------------------------


def short(names: dict[str, Any]) -> None:
    """Shorten the library's training, and each function of the notebook's that counts epochs."""
    for owner, name, function in LIBRARY:
        setattr(owner, name, _shortened(function))
    for name, value in list(names.items()):
        own = inspect.isfunction(value) and value.__module__ == "__main__"
        if own and "epochs" in inspect.signature(value).parameters:
            names[name] = _shortened(value)


def full(names: dict[str, Any]) -> None:
    """Put back what ``short`` has replaced."""
    for owner, name, function in LIBRARY:
        setattr(owner, name, function)
    for name, value in list(names.items()):
        names[name] = getattr(value, "in_full", value) if inspect.isfunction(value) else value


def _shortened(function: Callable[..., Any]) -> Callable[..., Any]:
    few_seeds = functools.cache(function)

    @functools.wraps(function)
    def trains_little(*given: Any, **named: Any) -> Any:
        if function.__name__ == "run":
            demo, seed = given
            return dict(few_seeds(demo, seed % SEEDS))
        if function.__name__ == "fit" and isinstance(given[0], LogisticRegression):
            given[0].max_iter = min(given[0].max_iter, ITERATIONS)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it has not converged
                return function(*given, **named)
        bound = inspect.signature(function).bind(*given, **named)
        bound.arguments["epochs"] = 1
        return function(*bound.args, **bound.kwargs)

    if hasattr(function, "in_full"):  # once is enough
        return function
    trains_little.in_full = function
    return trains_little
