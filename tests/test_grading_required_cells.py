"""What must run for a score: whatever a student wrote, and what that refers to."""

import time

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from reference import ROOT

from autograder.grading.required_cells import names_of, needed


def cell(kind, source):
    meta = {"grade": kind == "test", "solution": kind == "solution", "locked": kind == "provided"}
    made = new_code_cell(source)
    if kind:
        made.metadata["nbgrader"] = meta | {"grade_id": source[:5], "task": False}
    return made


def runs(*cells):
    return needed(new_notebook(cells=[cell(kind, source) for kind, source in cells]))


@pytest.mark.parametrize(
    ("source", "bound", "used"),
    [
        ("import numpy as np", {"np"}, set()),
        ("import a.b\nfrom c import d", {"a", "d"}, set()),
        ("def f(x):\n    return g(x) + y", {"f"}, {"g", "y"}),
        ("x = [i + k for i in z]", {"x"}, {"z", "k"}),
        ("for i in range(3):\n    t = i", {"i", "t"}, {"i", "range"}),
        ("def f():\n    global n\n    n = 1", {"f", "n"}, set()),
        ("class A(B):\n    c = d\n    def m(self):\n        return e", {"A"}, {"B", "d", "e"}),
        ("lambda q: q + r", set(), {"r"}),
        ("f(x)[0].y = 3", set(), {"f", "x"}),
        ("with a as b:\n    pass", {"b"}, {"a"}),
        ("(n := m)", {"n"}, {"m"}),
        ("%time v = w", {"v"}, {"w"}),
        ("%%time\nv = w", {"v"}, {"w"}),
        ("%matplotlib inline\n!ls {x}\n?y\nv = w\nz?", {"v"}, {"w"}),
        ("if a:\n    !ls \\\n  more\n    b = c", {"b"}, {"a", "c"}),
        ("files = !ls\nd, e = %magic 3\nprint(files)", {"files", "d", "e"}, {"files", "print"}),
        ("text = '''\n!not a command\n%nor a magic\n'''", {"text"}, set()),
        ("%%bash\nrm -rf x", set(), set()),
        ("def broken(:", set(), set()),
    ],
)
def test_names_of_a_cell(source, bound, used):
    assert names_of(source) == (bound, used)


@given(st.text())
def test_no_text_is_too_odd(source):
    names_of(source)


def test_experiments_that_nobody_needs_do_not_run():
    assert runs(
        ("provided", "import numpy as np"),
        ("solution", "def f(x):\n    return np.mean(x)"),
        ("test", "check(f)"),
        ("provided", "print(f([1, 2]))"),
        ("provided", "values = [f([i]) for i in range(9)]"),
        ("provided", "draw(values)"),
    ) == [True, True, True, False, False, False]


def test_what_is_needed_runs_with_all_that_it_needs_in_turn():
    assert runs(
        ("provided", "import numpy as np\nimport os"),
        ("provided", "base = np.ones(3)"),
        ("provided", "bank = base * 2"),
        ("solution", "def f(x):\n    return bank @ x"),
    ) == [True, True, True, True]


def test_a_function_may_look_for_what_comes_later():
    assert runs(("solution", "def f():\n    return late"), ("provided", "late = 3")) == [True, True]


def test_a_name_inside_a_function_is_not_the_notebooks():
    assert runs(("solution", "def f(x):\n    return x"), ("provided", "x = slow()")) == [
        True,
        False,
    ]


def test_what_a_student_adds_runs_and_text_does_not():
    notebook = new_notebook(cells=[cell("", "helper = 1"), new_markdown_cell("helper")])
    assert needed(notebook) == [True, False]


def test_star_imports_run():
    assert runs(("provided", "from math import *"), ("solution", "y = cos(0)")) == [True, True]


@pytest.mark.parametrize("path", sorted((ROOT / "labs").glob("*/*.ipynb")), ids=lambda p: p.stem)
def test_labs_keep_their_imports_and_lose_experiments(path):
    notebook = nbformat.read(path, as_version=4)
    by_id = dict(zip((c.id for c in notebook.cells), needed(notebook), strict=True))
    assert by_id["imports"] and not by_id["setup"]
    assert sum(c.cell_type == "code" for c in notebook.cells) > sum(by_id.values())


@pytest.mark.parametrize("line", ["!echo", "%time f()", "x = !ls", "y?", "!ls \\", "\t" * 30])
def test_many_odd_lines_cost_neither_time_nor_what_stands_beside_them(line):
    began = time.process_time()
    found = names_of("v = w\n" + f"{line}\n" * 20_000)
    assert found.bound >= {"v"} and "w" in found.used
    assert time.process_time() - began < 5
