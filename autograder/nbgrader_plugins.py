"""This course's own steps in nbgrader's pipelines, named in `nbgrader_config.py`."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Grade, Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor

HASHES = ("code_sha256", "source_sha256")


class DropHashes(NbGraderPreprocessor):
    """Takes the source's hashes out: a release changes only when a student can see a change."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        for key in HASHES:
            nb.metadata.get("trickster", {}).pop(key, None)
        return nb, resources


class SayUnmarked(NbGraderPreprocessor):
    """Says on a feedback page which answers wait for a mark: nbgrader shows 0.0 for them."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        where = resources["nbgrader"]
        names = where["notebook"], where["assignment"], where["student"]
        with Gradebook(where["db_url"]) as gradebook:
            for cell in nb.cells:
                if utils.is_grade(cell) and utils.is_solution(cell):
                    details = cell.metadata.nbgrader
                    grade = gradebook.find_grade(details.grade_id, *names)
                    if grade.needs_manual_grade:
                        details["comment"] = " ".join(
                            filter(None, (self._words(grade), details.get("comment")))
                        )
        return nb, resources

    @staticmethod
    def _words(grade: Grade) -> str:
        if grade.manual_score is None:
            return f"Not marked yet: all {grade.max_score:g} points are still open."
        return "The mark is of an earlier answer; this one has not been looked at yet."
