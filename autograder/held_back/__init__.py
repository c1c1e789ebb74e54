"""What grading has and students are not given: honest pictures, and query pools of its own.

No student copy holds this folder, and no sandbox shows it. What is drawn from it, and how it is
changed on the way, depends on the course's secret as well (``trickster.checks.draws``): whoever
reads this folder in a public repository still does not know what will be asked.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from autograder.course import CourseError
from autograder.held_back.pools import mixture
from trickster.checks.draws import HeldBack

RESERVE = Path(__file__).parent / "fashion_reserve.npz"
SHA256 = "63e2b8cef9e3f6e123cb331f15d1ab20238f8f343d462d66e179bef002a6599f"


@cache
def load() -> HeldBack:
    """The reserve and the pools. Raises CourseError where the reserve's file is not as it was."""
    content = RESERVE.read_bytes() if RESERVE.is_file() else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise CourseError(
            f"{RESERVE} is {'damaged' if content else 'missing'}: it holds the pictures that "
            "grading asks about. Restore it (git checkout)."
        )
    with np.load(RESERVE, allow_pickle=False) as file:
        pictures = (file["x"][:, None] / np.float32(255)).astype(np.float32)
        labels = file["y"].astype(np.int64)
    for array in (pictures, labels):
        array.flags.writeable = False
    return HeldBack(pictures, labels, {"hidden": mixture})
