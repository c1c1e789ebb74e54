"""nbgrader's doors for mending: an exporter that reads any submission, and a first step.

Plugged in by `nbgrader_config.py`:

    c.Autograde.exporter_class = "autograder.repair.preprocessors.SubmissionExporter"
    c.Autograde.sanitize_preprocessors = ["autograder.repair.preprocessors.Repair", ...]
    c.Repair.labs = str(HERE / "labs")

`Repair` comes first: nbgrader's next steps take unique names and whole metadata for granted.
`OverwriteCells`, which follows, writes the gradebook's tests, hidden ones included, over the
released ones. The mending itself lives in `mend`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from autograder.cells import grade_id
from autograder.course import CourseError
from autograder.repair import salvage
from autograder.repair.mend import MendedNotebook, check_related, mend
from autograder.repair.notes import Note

TOLD_IN = "what-was-mended"


class SubmissionExporter(NotebookExporter):
    """Reads what is to be mended with this course's reader, which gives up later than nbformat's.

    Whatever it cannot read is an error of this one submission; nbgrader goes on with the next.
    """

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        if any(isinstance(step, Repair) for step in self._preprocessors):
            options["submitted"] = salvage.read_submission(Path(filename))
        return super().from_filename(filename, resources, **options)

    def from_file(
        self, file_stream: Any, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        submitted = options.pop("submitted", None)
        if submitted is None:  # the second pass, over the notebook that the first has written
            return super().from_file(file_stream, resources, **options)
        return self.from_notebook_node(submitted, resources, **options)


class Repair(NbGraderPreprocessor):
    """Makes of whatever was handed in a notebook with every cell of the release, once."""

    labs = Unicode(
        "",
        help="The folder with the released labs; if empty, the course's release directory.",
    ).tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        lab, name = (resources["nbgrader"][key] for key in ("assignment", "notebook"))
        release = self._release(lab, name)
        _check_gradebook(release, resources["nbgrader"]["db_url"], lab, name)
        mended = mend(nb, release)
        check_related(mended, nb, lab)
        for note in mended.notes:
            self.log.warning("%s: %s", note.kind, note.for_instructor)
        return told(mended), resources

    def _release(self, lab: str, name: str) -> NotebookNode:
        folder = Path(self.labs) if self.labs else self._release_directory()
        path = folder / lab / f"{name}.ipynb"
        if not path.is_file():
            raise CourseError(
                f"There is no release {path}: build it with `python -m autograder build`, "
                "or name the folder of the labs in nbgrader_config.py (c.Repair.labs)."
            )
        return nbformat.read(path, as_version=4)

    def _release_directory(self) -> Path:
        course = coursedir_of(self)
        if course is None:
            raise CourseError("Repair needs the folder of the labs: set c.Repair.labs.")
        return Path(course.root) / course.release_directory


def coursedir_of(step: Any) -> CourseDirectory | None:
    """The course folder that a preprocessor works in, as nbgrader's application knows it."""
    owner = step
    while owner is not None:
        if getattr(owner, "coursedir", None) is not None:
            return owner.coursedir
        owner = owner.parent
    return None


def told(mended: MendedNotebook) -> NotebookNode:
    """The mended notebook with its notes in the metadata, and at its top for the student."""
    notebook, notes = mended.notebook, mended.notes
    ours = notebook.metadata.setdefault("trickster", NotebookNode())
    ours["repairs"] = nbformat.from_dict([asdict(note) for note in notes])
    if notes:
        lines = dict.fromkeys(note.for_student for note in notes)
        text = (
            "## What was mended\n\nSome cells of your notebook were not as the lab needs them. "
            "They were put right before grading:\n\n" + "\n".join(f"- {line}" for line in lines)
        )
        taken = {cell.id for cell in notebook.cells}
        cell = NotebookNode(cell_type="markdown", id="", metadata=NotebookNode(), source=text)
        cell.id = salvage.content_id(cell, taken.__contains__) if TOLD_IN in taken else TOLD_IN
        notebook.cells.insert(0, cell)
    return notebook


def notes_of(notebook: NotebookNode) -> list[Note]:
    """The notes that `Repair` left in an autograded notebook."""
    return [Note(**note) for note in notebook.metadata.get("trickster", {}).get("repairs", [])]


def _check_gradebook(release: NotebookNode, db_url: str, lab: str, name: str) -> None:
    """The gradebook and the release must know the same cells, or scores have no place."""
    with Gradebook(db_url) as gradebook:
        try:
            known = {cell.name for cell in gradebook.find_notebook(name, lab).source_cells}
        except MissingEntry:
            raise CourseError(
                f"The gradebook does not know {lab}: run nbgrader generate_assignment."
            ) from None
    here = {grade_id(cell) for cell in release.cells if grade_id(cell)}
    if known != here:
        odd = ", ".join(sorted(known ^ here))
        raise CourseError(
            f"The release of {lab} and the gradebook know different cells ({odd}): "
            "build the labs anew with `python -m autograder build`, and enter them again."
        )
