"""Scaffolds promise what their solutions are."""

from __future__ import annotations

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from autograder.authoring.scaffold import drift, promises

SOLUTION = '''
def clone(victim: Net, queries: int = 100) -> Net:
    """Steal it."""
    return Net()

class Meter:
    """Counts."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def ask(self) -> bool:
        """True while there is budget."""
        return True
'''


def notebook(code: str) -> NotebookNode:
    meta = {"grade_id": "clone", "solution": True, "grade": False, "locked": False}
    return new_notebook(cells=[new_code_cell(code, metadata={"nbgrader": meta})])


def drifted(scaffold: str, solution: str = SOLUTION) -> list[str]:
    return drift(notebook(solution), notebook(scaffold))


def test_the_same_promises() -> None:
    assert drifted(SOLUTION.replace("return True", "raise NotImplementedError()")) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("queries: int = 100", "queries: int = 50", "queries: int=50"),
        ("queries: int = 100", "query: int = 100", "query: int=100"),
        ("-> Net", "-> None", "-> None"),
        ("Steal it.", "Take it.", "docstring of clone"),
        ("True while", "False while", "docstring of Meter.ask"),
        ("def ask(self)", "def ask(self, twice)", "Meter.ask(self, twice)"),
        ("class Meter", "class Meter(Base)", "class Meter(Base)"),
        ("    def ask(self) -> bool:", "    async def ask(self) -> bool:", "async Meter.ask"),
        ("def clone", "@cache\ndef clone", "@cache"),
        ("def clone", "def copy", "the solution defines clone"),
    ],
)
def test_each_drift_is_named(old: str, new: str, said: str) -> None:
    found = " ".join(drifted(SOLUTION.replace(old, new)))
    assert said in found
    assert "cell clone" in found


def test_private_helpers_may_differ() -> None:
    assert drifted("x = 1", "def _helper(): pass\nx = 1") == []


def test_a_broken_scaffold_is_named() -> None:
    assert "scaffold is no valid Python" in drifted("def clone(:")[0]
    assert "solution is no valid Python" in drifted("x = 1", "def clone(:")[0]


def test_magics_and_conditions() -> None:
    found = promises("%matplotlib inline\n!ls\nif True:\n    def f(x): ...\n")
    assert found["f"].signature == "f(x)"
