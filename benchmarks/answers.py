"""Answers to the labs as functions: what a notebook defines, without running its experiments.

The code runs in this process, so it must be this course's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nbformat
from nbformat import NotebookNode

from autograder.authoring.source import build_notebook
from autograder.cells import grade_id, role
from autograder.course import pick_labs, read_course
from autograder.sample_class.specimen import Specimen, load_zoo
from benchmarks.store import ROOT

# Provided cells that answers call; all others are imports or experiments.
HELPERS = {"lab5": ("world", "clouds", "tiles", "secret")}


def solution(lab: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """The names that the reference answers of ``lab`` (such as ``"lab5"``) define."""
    (found,) = pick_labs(ROOT, [lab])
    return names_in(build_notebook(found, read_course(ROOT)), lab, without)


def zoo(lab: str) -> dict[str, Specimen]:
    """The lab's sample submissions, by the student's name."""
    (found,) = pick_labs(ROOT, [lab])
    source = build_notebook(found, read_course(ROOT))
    release = nbformat.read(found.release, as_version=4)
    return {one.student: one for one in load_zoo(found, source, release)}


def names_in(notebook: NotebookNode, lab: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """What the imports, helpers and answers of a notebook define; ``without`` some cells."""
    names: dict[str, Any] = {}
    for cell in notebook.cells:
        name = grade_id(cell)
        wanted = name in ("imports", *HELPERS.get(lab, ())) or role(cell) == "solution"
        if wanted and name not in without:
            exec(compile(cell.source, f"{lab}:{name}", "exec"), names)
    return names
