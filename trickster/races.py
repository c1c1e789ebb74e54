"""Two requests to one service at the same moment, in every order that its code allows.

What threads do depends on chance. Here it does not: the first request stops at a line of the
service's code, the second runs, and the first goes on.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from trickster.api import BudgetExceeded

PATIENCE = 0.2  # seconds, after which the second request is taken to wait for the first


def answers_by_line(
    new_service: Callable[[], Any], x: np.ndarray, traced: type
) -> dict[tuple[int, str], int]:
    """How many answers two requests for ``x`` receive if the second arrives at a certain line.

    ``new_service`` returns a service with a method ``query``. Each line of the class ``traced``
    that a request runs is tried, with a service of its own. The result maps the line's number and
    text to the rows that both received; :class:`BudgetExceeded` counts as none. At a line that
    runs several times, the largest number counts. If the second request waits for the first (for a
    lock, say), the first goes on.
    """
    found: dict[tuple[int, str], int] = {}
    step = 0
    while True:
        line, answers = _received(new_service(), x, traced, step)
        if line is None:
            return found
        found[line] = max(answers, found.get(line, 0))
        step += 1


def _received(
    service: Any, x: np.ndarray, traced: type, step: int
) -> tuple[tuple[int, str] | None, int]:
    """The line before which the second request ran, the ``step``-th of the first, and the answers.

    The line is ``None`` where the first request has no more than ``step`` lines.
    """
    lines: list[tuple[int, str]] = []
    second = []

    def ask() -> int:
        try:
            return len(service.query(x.copy()))
        except BudgetExceeded:
            return 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_qualname.startswith(f"{traced.__qualname__}."):
            return None
        if event == "line" and not second:
            text = linecache.getline(code.co_filename, frame.f_lineno).strip()
            lines.append((frame.f_lineno, text or f"line {frame.f_lineno}"))
            if len(lines) == step + 1:
                second.append(threads.submit(ask))
                wait(second, PATIENCE)
        return trace

    with ThreadPoolExecutor(1) as threads:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            answers = ask()
        finally:
            sys.settrace(before)
        answers += sum(one.result() for one in second)
    return (lines[-1] if second else None), answers
