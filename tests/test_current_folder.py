"""The folder in which a command is started may be a submission's: none of its code is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from reference import ROOT

LAB = "lab1_train_victim"
# Of the standard library, of what the autograder needs, and what only its workers import. Not
# contextlib and what that imports: python -m does so before it comes to the autograder.
MODULES = (
    *("__future__", "shlex", "typing", "pathlib", "re", "tomllib", "random", "socket"),
    *("typer", "trickster", "nbformat", "nbgrader", "torch", "numpy", "pickle", "multiprocessing"),
)
SETTINGS = ("nbgrader_config", "jupyter_config", "ipython_config", "ipython_kernel_config")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with modules and settings of a student's."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in (*MODULES, *SETTINGS):
        # Without an import, which would be of these modules again.
        text = f"import os; os.close(os.open({str(tmp_path / name)!r}, os.O_CREAT))\n"
        (folder / f"{name}.py").write_text(text)
    (folder / "course.toml").write_text((ROOT / "course.toml").read_text())
    (folder / "solutions" / LAB).mkdir(parents=True)
    return folder


def what_ran(folder: Path, words: list[str], code: int = 0) -> set[str]:
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    words = [sys.executable, "-m", "autograder", *words]
    run = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True)
    assert run.returncode == code, run.stdout + run.stderr
    return {path.name for path in folder.parent.iterdir()} - {"hostile", "class"}


def test_the_command_does_not(hostile: Path) -> None:
    assert what_ran(hostile, ["--help"]) == set()


@pytest.mark.slow
def test_grading_and_its_workers_do_not(hostile: Path) -> None:
    course = hostile.parent / "class"
    empty = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    for student in ("ann", "ben"):
        place = course / "submitted" / student / LAB / f"{LAB}.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text(empty)
    assert what_ran(hostile, ["grade", str(course), "--workers", "2"], code=1) == set()
    assert (course / "scores.json").read_text().count("The notebook has no cell of") == 2
