"""Seconds and peak memory of each lab's solution, run from top to bottom in a kernel of its own.

    python -m benchmarks.lab_costs             # about four minutes on two cores

As a student runs it: with as many threads as torch likes, and nothing in a store.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime

import nbformat
from nbclient import NotebookClient

from autograder.course import pick_labs
from autograder.native_kernel import NativeKernelManager
from benchmarks import cli
from benchmarks.formatting import markdown_table, plural
from benchmarks.memory import Peak
from benchmarks.store import ROOT, Job, Measurement, Results

PART = "lab_costs"


def run(job: Job) -> Measurement:
    """One lab's solution; its slowest cells by their names."""
    lab, _ = job
    path = ROOT / "solutions" / lab / f"{lab}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_manager_class=NativeKernelManager,
        resources={"metadata": {"path": path.parent}},
    )
    began = time.perf_counter()
    with Peak() as peak:
        client.execute()
    seconds = time.perf_counter() - began
    slow = sorted(
        (
            (round(_seconds(cell), 1), cell.metadata.get("nbgrader", {}).get("grade_id", cell.id))
            for cell in notebook.cells
            if cell.cell_type == "code"
        ),
        reverse=True,
    )
    return {"seconds": seconds, "bytes": peak.bytes, "slowest": slow[:5]}


def _seconds(cell: nbformat.NotebookNode) -> float:
    """What nbclient wrote down of a cell."""
    times = cell.metadata.get("execution", {})
    ends = [times.get("iopub.execute_input"), times.get("shell.execute_reply")]
    if None in ends:
        return 0.0
    began, ended = (datetime.fromisoformat(at.replace("Z", "+00:00")) for at in ends)
    return (ended - began).total_seconds()


def section(results: Results) -> str:
    """The table, as Markdown."""
    rows = []
    for lab in dict.fromkeys(job[0] for job, _ in results):
        executed = [result for job, result in results if job[0] == lab]
        slow = ", ".join(f"{name} {seconds:.0f} s" for seconds, name in executed[0]["slowest"][:3])
        rows.append(
            (
                lab,
                " / ".join(f"{one['seconds']:.0f}" for one in executed),
                f"{max(one['bytes'] for one in executed) / 2**30:.2f}",
                slow,
            )
        )
    runs = len({job[1] for job, _ in results})
    return (
        f"{plural(runs, 'run')} of each, from a fresh kernel to the last cell.\n\n"
        + markdown_table(("solution", "seconds", "peak memory, GiB", "slowest cells"), rows)
    )


def jobs(runs: int = 1) -> list[Job]:
    """Each solution, run after run."""
    return [(lab.name, number) for number in range(runs) for lab in pick_labs(ROOT)]


if __name__ == "__main__":
    for name in ("TRICKSTER_STORE", "TRICKSTER_STORE_WRITE", "OMP_NUM_THREADS"):
        os.environ.pop(name, None)
    cli.main(sys.modules[__name__], timed=True)
