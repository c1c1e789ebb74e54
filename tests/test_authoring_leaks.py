"""Nothing that a student must not see stands in a release."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from toy_course import LAB, REPOSITORY, SOURCE, cell_of

from autograder import nbgrader_api
from autograder.authoring.leaks import find_leaks, leaks_in_text, secrets_of
from autograder.authoring.source import expand
from autograder.course import Course

TOY = Course("toy", "https://github.com/someone/toy-labs", "main", "fashion")
SOLVED = "shifted_total = total + start\nreturn shifted_total"
LONG_HIDDEN = "hidden_measurement = root_sum([9.0], start=1.0)"
MARK_SCHEME = "One point for naming accounts, two for explaining what they cost the thief."
NEWLINE = "\n"
COUNTER = "        self.count = self.count + 1\n        return self.count <= self.limit"


def source() -> NotebookNode:
    return expand(SOURCE, LAB, TOY)


@pytest.fixture
def release() -> NotebookNode:
    return nbgrader_api.generate(REPOSITORY, {LAB: source()})[LAB]


def test_the_generated_release_is_clean(release: NotebookNode) -> None:
    assert find_leaks(source(), release) == []
    text = "\n".join(cell.source for cell in release.cells)
    assert "YOUR CODE HERE" in text and "YOUR ANSWER HERE" in text
    assert all(cell.outputs == [] for cell in release.cells if cell.cell_type == "code")


def add_markdown(text: str) -> Callable[[NotebookNode], object]:
    return lambda notebook: notebook.cells.append(new_markdown_cell(text))


def add_output(text: str) -> Callable[[NotebookNode], object]:
    output = new_output("stream", name="stdout", text=text)
    return lambda notebook: notebook.cells.append(new_code_cell("x", outputs=[output]))


def add_metadata(text: str) -> Callable[[NotebookNode], object]:
    return lambda notebook: notebook.cells[0].metadata.update({"note": text})


def add_attachment(text: str) -> Callable[[NotebookNode], object]:
    content = base64.b64encode(text.encode()).decode()
    attachments = {"a.txt": {"text/plain": content}}
    return lambda notebook: notebook.cells[0].update({"attachments": attachments})


def undo_scaffold(notebook: NotebookNode) -> None:
    cell_of(notebook, "counter").source += "\n" + COUNTER


@pytest.mark.parametrize(
    ("change", "kind", "cell"),
    [
        (add_markdown(f"Remember:\n\n    {SOLVED}"), "the solution", "root_sum"),
        (add_markdown(f"```python\n{COUNTER}\n```"), "the solution", "counter"),
        (undo_scaffold, "the solution", "counter"),
        (add_output(LONG_HIDDEN), "a hidden test", "root_sum_test"),
        (add_markdown(f"Psst: {MARK_SCHEME}"), "mark scheme", "why"),
        (add_markdown(f"Type `{COUNTER.split(NEWLINE)[0].strip()}`."), "the solution", "counter"),
        (add_metadata(MARK_SCHEME), "mark scheme", "why"),
        (add_attachment(LONG_HIDDEN), "a hidden test", "root_sum_test"),
        (add_markdown("Because nobody forbids the thief a second account with"), "", ""),
        (add_markdown("total + start"), "", ""),
    ],
)
def test_a_leak_is_named(
    release: NotebookNode, change: Callable[[NotebookNode], object], kind: str, cell: str
) -> None:
    change(release)
    found = find_leaks(source(), release)
    if not kind:  # half a line, or a few words, is no secret
        assert found == []
        return
    assert any(f"{kind} of cell {cell}" in text for text in found), found


def test_a_marker_is_a_leak(release: NotebookNode) -> None:
    release.cells[0].source += "\n### END SOLUTION"
    assert "the marker 'END SOLUTION'" in find_leaks(source(), release)[0]


def test_what_the_author_shows_is_no_secret() -> None:
    secrets = [line for secret in secrets_of(source()) for line in secret.lines]
    assert "total = sum(math.sqrt(value) for value in values)" not in secrets  # a folded hint
    assert "shifted_total = total + start" in secrets


def test_texts_beside_the_notebook() -> None:
    secrets = list(secrets_of(source()))
    assert leaks_in_text(secrets, "notes.md", "Nothing here") == []
    assert "notes.md shows a hidden test" in leaks_in_text(secrets, "notes.md", LONG_HIDDEN)[0]
