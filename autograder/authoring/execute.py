"""Runs a lab's own notebook and keeps of its outputs what a rebuild would give again.

Only the course's own notebooks run here, in a kernel of this very interpreter.
Students' notebooks are graded by `grading`, in a sandbox.
"""

from __future__ import annotations

import re
import tempfile
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from autograder.cells import LANGUAGE_INFO, grade_id
from autograder.course import CourseError
from autograder.native_kernel import NativeKernelManager

CELL_LIMIT_S = 600
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# tqdm's two shapes: "40%|####    | 4/10 [00:01<00:02, 3.1it/s]" and "12it [00:03, 4.0it/s]".
PROGRESS = re.compile(r"\d+%\|.*\|\s*[\d.]+\w*/|\d+\w*it? \[\d+:\d+")
WIDGET = "application/vnd.jupyter.widget-view+json"


class ExecutionError(CourseError):
    """The course's own notebook did not run."""


def execute(notebook: NotebookNode, name: str, allow_errors: bool = False) -> NotebookNode:
    """Run `notebook` in an empty folder and return it with tidied outputs."""
    metadata = notebook.metadata
    with tempfile.TemporaryDirectory(prefix="trickster-run-") as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_LIMIT_S,
            kernel_name="python3",
            kernel_manager_class=NativeKernelManager,
            extra_arguments=["--IPKernelApp.log_level=40"],  # says that TCP is not encrypted
            resources={"metadata": {"path": folder}},
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=False,
            allow_errors=allow_errors,
        )
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
            raise ExecutionError(f"{name} did not run: {_what(notebook, error)}") from error
    notebook.metadata = metadata
    notebook.metadata["language_info"] = dict(LANGUAGE_INFO)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata.pop("execution", None)
            cell.outputs = tidy_outputs(cell.outputs)
    return notebook


def tidy_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs with one stream a run of the same name, as a terminal would show it.

    Without bars, and without widgets, which are nothing without a running kernel.
    """
    tidy: list[NotebookNode] = []
    for output in outputs:
        if WIDGET in output.get("data", {}):
            continue
        last = tidy[-1] if tidy else None
        if (
            output.output_type == "stream"
            and last is not None
            and last.output_type == "stream"
            and last.name == output.name
        ):
            last.text += output.text
        else:
            tidy.append(output)
    for output in tidy:
        if output.output_type == "stream":
            output.text = as_terminal(output.text)
    return [output for output in tidy if output.output_type != "stream" or output.text.strip()]


def as_terminal(text: str) -> str:
    """What is left on a terminal after \\r, \\b and cursor movements, less progress bars."""
    lines = [_overwritten(line) for line in ANSI.sub("", text).replace("\r\n", "\n").split("\n")]
    kept = [line for line in lines if not PROGRESS.search(line)]
    if len(kept) < len(lines):  # a bar leaves blank lines behind
        while kept and not kept[0].strip():
            kept.pop(0)
    return "\n".join(kept)


def _overwritten(line: str) -> str:
    shown: list[str] = []
    column = 0
    for character in line:
        if character == "\r":
            column = 0
        elif character == "\b":
            column = max(0, column - 1)
        else:
            shown[column : column + 1] = [character]
            column += 1
    return "".join(shown).rstrip() if "\r" in line else "".join(shown)


def _what(notebook: NotebookNode, error: Exception) -> str:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                name: Any = grade_id(cell) or cell.id
                return f"cell {name} raised {output.ename}: {ANSI.sub('', output.evalue)}"
    return str(error).strip().split("\n")[-1]
