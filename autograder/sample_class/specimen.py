"""The zoo's file format: a made-up submission, and the verdict that it must get.

One file a submission, `zoo/<lab>/<student>.py`: a header, then the cells that differ from the
base notebook, each under the `grade_id` of the cell that it replaces.

    # /// zoo
    # base = "release"              or "solution": the notebook that the cells go into
    # about = "Forgets to shuffle"
    # kind = "clumsy"               or "hostile"; "learner" if left out
    # sample = true                 it also belongs to the small class of `make grade`
    # student = "O'Neil"            for names that no file of a repository should bear
    # mutations = ["delete root_sum"]   what befell the notebook: see `mutations.MUTATIONS`
    # file = "truncated"            how it lies in the folder: one of `mutations.FILE_FORMS`
    # [limits]                      what to change in the settings of `Grade`, in seconds,
    # call_timeout = 5              and in the sandbox's `Limits`: memory and disk in MiB, processes
    # [expect]                      all of it optional
    # root_sum_test = 4             points of a test cell, or [lowest, highest]
    # total = [4, 6]                points of all test cells together
    # status = "graded"             or "needs marking", or "failed"
    # reason = "is empty"           is part of the reason that the instructor reads
    # stopped = "longer than 5 s"   is part of why its process ended; "" if it must not end
    # repairs = ["restored"]        every kind of repair in the record, and no other
    # shows = ["one account"]       is in the graded notebook or its feedback page
    # never = ["ESCAPED"]           is nowhere in either
    # [marks]                       what a marker gives for the written answers
    # why = 1.5
    # ///

    # %% root_sum
    ...
    # %% [markdown] why
    # The answer, with a # before each line.

Cells are taken as they stand, so that a submission can hold a syntax error. Code that reports
what it could do spells a word of `never` in two halves, since feedback shows the code as well.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from autograder.cells import MARKER, grade_id, role
from autograder.course import Lab
from autograder.sample_class.header import KINDS, Expectation, ZooError, check_names, read_header
from autograder.sample_class.mutations import MutationError, mutated

CELL = re.compile(r"^# ?%%(?P<markdown> \[markdown\])?(?P<name>.*)$", re.MULTILINE)
FILE_NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


@dataclass(frozen=True)
class Specimen:
    """One submission of the zoo, ready to be handed in."""

    lab: str
    student: str
    about: str
    notebook: NotebookNode
    expect: Expectation
    marks: dict[str, float]
    form: str = ""  # how the notebook lies in its folder; "" as it should
    options: dict[str, Any] = field(default_factory=dict)  # what to change in `Grade`
    kind: str = KINDS[0]
    sample: bool = False  # whether it belongs to the small class


def load_zoo(lab: Lab, source: NotebookNode, release: NotebookNode) -> list[Specimen]:
    """Every submission in a lab's zoo, in the order of their names."""
    paths = sorted(lab.zoo.glob("*.py")) if lab.zoo.is_dir() else []
    found: dict[str, Specimen] = {}
    for path in paths:
        specimen = load(path, lab, source, release)
        if specimen.student in found:
            raise ZooError(f"{path.name}: there is another student called {specimen.student!r}.")
        found[specimen.student] = specimen
    return list(found.values())


def load(path: Path, lab: Lab, source: NotebookNode, release: NotebookNode) -> Specimen:
    """One submission of the zoo, from its file and the lab's notebooks."""
    where = path.relative_to(lab.root).as_posix()
    if not FILE_NAME.match(path.stem):
        raise ZooError(f"{where}: a student's name is made of letters, digits, _ and -.")
    header, cells = read_header(path.read_text(encoding="utf-8"), release, where)
    notebook = solved(source, release) if header.base == "solution" else copy.deepcopy(release)
    _replace_cells(notebook, cells, where)
    try:
        notebook = mutated(notebook, release, header.mutations)
    except MutationError as error:
        raise ZooError(f"{where}: mutations: {error}.") from None
    return Specimen(
        lab=lab.name,
        student=header.student or path.stem,
        about=header.about,
        notebook=notebook,
        expect=header.expect,
        marks=header.marks,
        form=header.form,
        options=header.options,
        kind=header.kind,
        sample=header.sample,
    )


def solved(source: NotebookNode, release: NotebookNode) -> NotebookNode:
    """The release, filled in by a student who knows the solution."""
    answers = {grade_id(cell): cell for cell in source.cells if role(cell)}
    notebook = copy.deepcopy(release)
    for cell in notebook.cells:
        if role(cell) in ("solution", "written"):
            cell.source = "\n".join(_answer_lines(answers[grade_id(cell)].source))
    return notebook


def _answer_lines(source: str) -> list[str]:
    """A solution cell without its markers and its mark scheme."""
    kept, in_scheme = [], False
    for line in source.split("\n"):
        match = MARKER.search(line)
        if match is None and not in_scheme:
            kept.append(line)
        elif match is not None and match.group(2) == "MARK SCHEME":
            in_scheme = match.group(1) == "BEGIN"
    return kept


def _replace_cells(notebook: NotebookNode, text: str, where: str) -> None:
    """Put the cells of a zoo file's `text` into the notebook."""
    cells = {grade_id(cell): cell for cell in notebook.cells if grade_id(cell)}
    headers = list(CELL.finditer(text))
    before = text[: headers[0].start()] if headers else text
    if before.strip():
        raise ZooError(f"{where}: text before the first cell. Begin cells with # %% grade_id.")
    starts = [*(header.start() for header in headers), len(text)]
    seen: set[str] = set()
    for header, end in zip(headers, starts[1:], strict=True):
        name = header["name"].strip()
        check_names([name], cells, "a cell", where)
        if name in seen:
            raise ZooError(f"{where}: two cells replace {name}. Keep one.")
        seen.add(name)
        kind = "markdown" if header["markdown"] else "code"
        if kind != cells[name].cell_type:
            mark = " [markdown]" if cells[name].cell_type == "markdown" else ""
            raise ZooError(f"{where}: {name} is a {cells[name].cell_type} cell: # %%{mark} {name}")
        lines = text[header.end() : end].strip("\n").split("\n")
        if kind == "markdown":
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        cells[name].source = "\n".join(lines)
