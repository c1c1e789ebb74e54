"""Whose fault an error is: the code that is checked, or the machine that checks it.

A full disk, a file that cannot be read or memory that is not there must not cost anybody a point.
"""

from __future__ import annotations

import traceback
from pathlib import Path

# What torch and Python raise as a RuntimeError where memory or threads are missing.
OUT_OF = ("DefaultCPUAllocator", "can't start new thread")


def of_the_machine(error: BaseException) -> bool:
    """Whether the machine failed at the check's own work: not where the student's code was at it.

    What the student's code raises has ``notebook_line`` where it runs in another process, and a
    line of the notebook in its traceback where it runs in this one.
    """
    if hasattr(error, "notebook_line") or place_of(error) is not None:
        return False
    out_of = isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF)
    return isinstance(error, (OSError, MemoryError)) or out_of


SCAFFOLD = "not written yet"  # what the error of an untouched cell begins with (nbgrader_config)


def is_unwritten(error: BaseException) -> bool:
    """Whether an error is a scaffold's own ``raise NotImplementedError``.

    Torch raises the same kind of error where a call is wrong, such as arguments in another order.
    """
    if not isinstance(error, NotImplementedError):
        return False
    place, frames = place_of(error), traceback.extract_tb(error.__traceback__)
    line = place[1] if place else frames[-1].line if frames and not _installed(frames[-1]) else ""
    return str(error).startswith(SCAFFOLD) or (line or "").startswith("raise NotImplementedError")


def _installed(frame: traceback.FrameSummary) -> bool:
    return "site-packages" in Path(frame.filename).parts


def place_of(error: BaseException) -> tuple[str, str | None] | None:
    """The deepest (function, line) of the student's notebook behind an error."""
    # Where the student's code runs in another process, its traceback does not come along.
    found = getattr(error, "notebook_line", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if in_notebook(frame.filename)]
    if found is None and own:
        # A comprehension, which has a frame of its own, is a part of its function.
        named = [frame.name for frame in own if not frame.name.startswith("<")]
        found = (named or [own[-1].name])[-1], own[-1].line
    return found


def in_notebook(filename: str) -> bool:
    """Whether code with this file name is a notebook's."""
    return filename.startswith("<ipython") or "ipykernel" in filename
