"""Which of the files in a submission's folder is the notebook to grade.

Browsers and learning-management systems rename what they store, and students hand in the release
beside their work. The content decides, and the name between notebooks with as many answers.
Whatever is graded but the one file that was asked for is told in a `Note`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nbformat import NotebookNode

from autograder.cells import role
from autograder.repair import notes
from autograder.repair.mend import WrongNotebook, check_related, mend
from autograder.repair.notes import Note
from autograder.repair.salvage import FileText, NotANotebook, parse_notebook

MAX_NAMED = 4


@dataclass(frozen=True)
class _Read:
    """One file that is a notebook of the lab, with the answers in it."""

    file: FileText
    answers: tuple[str, ...]  # that are not as the release has them


def choose(
    files: Sequence[FileText], lab: str, release: NotebookNode
) -> tuple[FileText, list[Note]]:
    """The file to grade, and what is to be said of the choice.

    Raises NotANotebook or WrongNotebook where none can be graded.
    """
    expected = f"{lab}.ipynb"
    if not files:
        raise NotANotebook(f"{expected} is missing in its folder.")
    if len(files) == 1:
        chosen, found = files[0], []
    else:
        chosen, found = _best(files, expected, lab, release)
    if chosen.name != expected and not found:
        found.append(notes.renamed(chosen.name, expected))
    if chosen.encoding:
        found.append(notes.decoded(chosen.encoding))
    return chosen, found


def _best(
    files: Sequence[FileText], expected: str, lab: str, release: NotebookNode
) -> tuple[FileText, list[Note]]:
    """The choice among several: with the most answers, then by its name."""
    known = [one for one in (_read(file, lab, release) for file in files) if one]
    by_name = {file.name: file for file in files}
    if not known:
        if expected in by_name:
            return by_name[expected], []
        names = ", ".join(sorted(by_name)[:MAX_NAMED])
        raise WrongNotebook(f"{expected} is missing, and no other file is of {lab}: {names}.")
    begun = [one for one in known if one.answers]
    best = max(known, key=lambda one: _order(one, expected))
    others = [one.file.name for one in begun if one.answers != best.answers]
    if others and best.answers:
        return best.file, [notes.several_files(best.file.name, others)]
    if best.answers and best.file.name != expected and expected in by_name:
        return best.file, [notes.untouched_beside(best.file.name, expected)]
    return best.file, []


def _read(file: FileText, lab: str, release: NotebookNode) -> _Read | None:
    """What a file holds of the lab; None for anything else."""
    try:
        submitted = parse_notebook(file.text, file.name)
        mended = mend(submitted, release)
        check_related(mended, submitted, lab)
    except (NotANotebook, WrongNotebook):
        return None
    named = submitted.metadata.get("trickster", {}).get("lab", lab)
    if named != lab:  # another lab may share a function's name
        return None
    return _Read(file, _answers(mended.notebook, release))


def _answers(notebook: NotebookNode, release: NotebookNode) -> tuple[str, ...]:
    unsolved = {cell.source for cell in release.cells if role(cell) in ("solution", "written")}
    return tuple(
        cell.source
        for cell in notebook.cells
        if role(cell) in ("solution", "written") and cell.source not in unsolved
    )


def _order(one: _Read, expected: str) -> tuple[int, bool, list[tuple[int, str]]]:
    """More answers, then the expected name, then the latest copy: (10) rather than (9)."""
    numbers = [(int(n or -1), text) for n, text in re.findall(r"(\d+)|(\D+)", one.file.name)]
    return len(one.answers), one.file.name == expected, numbers
