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
        ("for i in range(3):\n    t = i", {"i", "t"}, {"range"}),
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
        ("files = !ls\nd, e = %magic 3\nprint(files)", {"files", "d", "e"}, {"print"}),
        ("text = '''\n!not a command\n%nor a magic\n'''", {"text"}, set()),
        ("%%bash\nrm -rf x", set(), set()),
        (">>> def f(x):\n...     return g(x)\n>>> v = f(w)", {"f", "v"}, {"g", "w"}),
        ("In [3]: for v in w:\n   ...:     print(v)", {"v"}, {"w", "print"}),
        ("v = (w\n%2)\n!ls", {"v"}, {"w"}),
        ("%timeit -n 10 -r3 f(w)\n%%timeit -o\n%prun -s time g()", set(), {"f", "g", "w"}),
        ("def broken(:", set(), set()),
    ],
)
def test_names_of_a_cell(source, bound, used):
    assert names_of(source) == (bound, used)


@pytest.mark.parametrize(
    ("source", "needed_of_a"),
    [
        ("a = 1\nprint(a)", False),
        ("print(a)\na = 1", True),
        ("a = a + 1", True),
        ("a = 0\na += 1", False),
        ("a[0] = 1\na = 2", True),
        ("a: int\nprint(a)\na = 1", True),
        ("a: int = 1\nprint(a)", False),
        ("for a in range(3):\n    print(a)", False),
        ("for a in range(3):\n    pass\nprint(a)", True),  # there may be none
        ("for i, (a, *b) in c:\n    print(a)", False),
        ("for a in a:\n    pass", True),
        ("for i in b:\n    a = i\n    print(a)", False),
        ("if b:\n    a = 1\nprint(a)", True),
        ("while b:\n    a = 1\nelse:\n    print(a)", True),
        ("with b as a:\n    print(a)", False),
        ("with b:\n    a = 1\nprint(a)", True),  # it may swallow an error
        ("try:\n    a = b()\nexcept E:\n    print(a)", True),
        ("try:\n    a = b()\nfinally:\n    pass\nprint(a)", True),
        ("try:\n    a = b()\n    print(a)\nexcept* E:\n    pass", False),
        ("match b:\n    case 1:\n        a = 2\n    case _:\n        print(a)", True),
        ("b and (a := 1)\nprint(a)", True),
        ("a = 1\ndel a\nprint(a)", True),
        ("import a\na.b()", False),
        ("from b import c as a\na()", False),
        ("def a(): pass\na()", False),
        ("class a: pass\na()", False),
        ("a = 1\ndef f():\n    return a", True),  # when it is called, `a` may be another
        ("a = 1\nf = lambda: a", True),
        ("a = 1\nb = [a for i in c]", False),
        ("b = [a for a in c]\na = 1", False),
        ("b = {a: i for i in a}\na = 1", True),
        ("def f(b=a):\n    pass\na = 1", True),
        ("@a\ndef f():\n    pass\na = 1", True),
    ],
)
def test_a_name_that_a_cell_binds_before_it_reads_it_is_its_own(source, needed_of_a):
    names = names_of(source)
    assert "a" in names.bound or "for a in c]" in source
    assert ("a" in names.used) == needed_of_a


def test_a_loop_s_variable_wants_no_experiment_with_the_same_name():
    assert runs(
        ("provided", "queries = [1, 2]"),
        ("", "for name in queries:\n    print(name)"),
        ("provided", "for name in range(10**6):\n    experiment(name)"),
        ("", "print(name)"),
    ) == [True, True, True, True]
    assert runs(
        ("provided", "queries = [1, 2]"),
        ("", "for name in queries:\n    print(name)"),
        ("provided", "for name in range(10**6):\n    experiment(name)"),
    ) == [True, True, False]


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
    assert by_id["imports"] and not by_id["setup"] and not by_id["playground"]
    # What takes long enough to show a bar is an experiment, but for what all of a lab works with.
    shows_a_bar = [c for c in notebook.cells if "progress.bar(" in c.source]
    assert not any(by_id[c.id] for c in shows_a_bar if c.id != "imports")


@pytest.mark.parametrize("line", ["!echo", "%time f()", "x = !ls", "y?", "!ls \\", "\t" * 30])
def test_many_odd_lines_cost_neither_time_nor_what_stands_beside_them(line):
    began = time.process_time()
    found = names_of("v = w\n" + f"{line}\n" * 20_000)
    assert found.bound >= {"v"} and "w" in found.used
    assert time.process_time() - began < 5
