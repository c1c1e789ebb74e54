"""A course of one tiny lab, without torch, for the autograder's tests."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader import api

from autograder.authoring.build import build
from autograder.authoring.copy_list import LIST
from autograder.cells import grade_id

REPOSITORY = Path(__file__).resolve().parent.parent
LAB = "lab1_toy"

# nbgrader asks a program of its own for every new gradebook, always the same: once is enough.
api.get_alembic_version = functools.cache(api.get_alembic_version)

COURSE = """
[course]
id = "toy"
repository = "https://github.com/someone/toy-labs"
branch = "main"
scenario = "fashion"
"""

COPIED = """
# What a student copy of the toy course holds.
README.md
course.toml
nbgrader_config.py
labs/{lab}/{lab}.ipynb
!autograder
"""

SOURCE = '''\
# %% [markdown]
# # Toy lab
# Open it in [Colab]({{colab_url}}); the scenario is {{scenario}}.

# %% provided="setup"
import math

SCENARIO = "{{scenario}}"

# %% [markdown]
# ## Exercise 1
# <details><summary>Hint</summary>
#
# `total = sum(math.sqrt(value) for value in values)`
#
# </details>

# %% solution="root_sum"
def root_sum(values: list[float], start: float = 0.0) -> float:
    """The sum of the square roots, plus start."""
    ### BEGIN SOLUTION
    total = sum(math.sqrt(value) for value in values)
    shifted_total = total + start
    return shifted_total
    ### END SOLUTION

# %% test="root_sum_test" points=4
measured = root_sum([1.0, 4.0])
print(f"measured {measured:.1f}, asked 3.0")
assert abs(measured - 3.0) < 1e-9
### BEGIN HIDDEN TESTS
hidden_measurement = root_sum([9.0], start=1.0)
assert abs(hidden_measurement - 4.0) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# ## Exercise 2

# %% solution="counter"
class Counter:
    """Counts queries."""

    def __init__(self, limit: int = 3) -> None:
        self.limit = limit
        self.count = 0

    def query(self) -> bool:
        """True while the limit is not reached."""
        ### BEGIN SOLUTION
        self.count = self.count + 1
        return self.count <= self.limit
        ### END SOLUTION

# %% test="counter_test" points=2
meter = Counter(2)
answers = [meter.query() for _ in range(3)]
print("answers", answers)
2.0 * (answers == [True, True, False])

# %% [markdown] written="why" points=3
# Why does a limit not stop a patient thief?
#
# ### BEGIN SOLUTION
# Because nobody forbids the thief a second account with a fresh budget.
# ### BEGIN MARK SCHEME
# One point for naming accounts, two for explaining what they cost the thief.
# ### END MARK SCHEME
# ### END SOLUTION
'''


def zoo_file(header: str, body: str = "") -> str:
    """A zoo file's text from its TOML header and its cells."""
    block = "\n".join(f"# {line}".rstrip() for line in header.strip().split("\n"))
    return f"# /// zoo\n{block}\n# ///\n{body}"


ZOO = {
    "perfect": zoo_file(
        """
base = "solution"
about = "The reference"
sample = true
[expect]
root_sum_test = 4
counter_test = 2
total = 6
[marks]
why = 3
"""
    ),
    "half": zoo_file(
        """
about = "The first exercise only, and an answer"
sample = true
[expect]
root_sum_test = 4
counter_test = 0
total = [4, 4]
[marks]
why = 1.5
""",
        '''
# %% root_sum
def root_sum(values: list[float], start: float = 0.0) -> float:
    """The sum of the square roots, plus start."""
    return start + sum(v**0.5 for v in values)

# %% [markdown] why
# It takes longer, that is all.
''',
    ),
    "syntax": zoo_file(
        """
about = "A syntax error, with a string that never ends"
sample = true
[expect]
total = 0
status = "graded"
""",
        '''
# %% root_sum
def root_sum(values:
    return """never closed

# %% counter
class Counter
''',
    ),
}


def make_course(folder: Path, source: str = SOURCE) -> Path:
    """Write the toy course into `folder` and return its root."""
    lab = folder / "solutions" / LAB
    zoo = folder / "autograder" / "sample_class" / "zoo" / LAB
    for path in (lab, zoo, folder / "labs"):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "course.toml").write_text(COURSE, encoding="utf-8")
    (folder / "README.md").write_text("# Toy\n", encoding="utf-8")
    (folder / LIST).parent.mkdir()
    (folder / LIST).write_text(COPIED, encoding="utf-8")
    (lab / f"{LAB}.py").write_text(source, encoding="utf-8")
    shutil.copy(REPOSITORY / "nbgrader_config.py", folder)
    for student, text in ZOO.items():
        (zoo / f"{student}.py").write_text(text, encoding="utf-8")
    return folder


@functools.cache
def _built() -> Path:
    """The toy course, built once for all tests of a process."""
    folder = Path(tempfile.mkdtemp(prefix="toy-course-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    root = make_course(folder)
    assert build(root, say=lambda text: None) == []
    return root


def built_course(folder: Path) -> Path:
    """A built toy course of one's own in `folder`."""
    shutil.copytree(_built(), folder, dirs_exist_ok=True)
    return folder


def change_notebook(path: Path, change: Callable[[NotebookNode], object]) -> None:
    """Edit a notebook file as a person would."""
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    """The cell with this grade_id."""
    return next(cell for cell in notebook.cells if grade_id(cell) == name)
