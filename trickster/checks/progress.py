"""The bar that a slow check shows while it works, to a person who is waiting."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from tqdm import tqdm

from trickster.progress import is_watched

DELAY_S = 2.0  # a quicker check shows nothing
REFRESH_S = 1.0


class Progress:
    """A bar over the points of a check, on standard output, gone when the check ends.

    It appears in a terminal or a notebook only: a log, or the grader, has no use for it.
    """

    def __init__(self, title: str, points: float):
        self.title, self.points = title, points
        self._done, self._doing = 0.0, ""
        self._bar: tqdm | None = None
        self._stream = sys.stdout
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        if is_watched(self._stream):
            # A timer, since the first slow part may begin before the delay is over.
            self._in(DELAY_S, self._open)

    def _in(self, seconds: float, call: Callable[[], None]) -> None:
        self._timer = threading.Timer(seconds, call)
        self._timer.daemon = True
        self._timer.start()

    def _open(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._bar = tqdm(
                    total=self.points,
                    initial=self._done,
                    desc=self._text(),
                    file=self._stream,
                    leave=False,
                    bar_format="{desc} {percentage:3.0f}%|{bar:20}| {n:g}/{total:g} points, "
                    "{elapsed}",
                )
                self._in(REFRESH_S, self._refresh)

    def _refresh(self) -> None:
        """Show the time each second: a part of a check can take half a minute."""
        with self._lock:
            if self._bar is not None:
                self._bar.refresh()
                self._in(REFRESH_S, self._refresh)

    def _text(self) -> str:
        return f"{self.title}: {self._doing}" if self._doing else self.title

    def doing(self, text: str) -> None:
        """Say what is being worked on."""
        with self._lock:
            self._doing = text
            if self._bar is not None:
                self._bar.set_description_str(self._text())

    def advance(self, points: float) -> None:
        """So many more points are decided."""
        with self._lock:
            self._done += points
            if self._bar is not None:
                self._bar.update(points)

    def close(self) -> None:
        """Take the bar away."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._bar is not None:
                self._bar.close()
                self._bar = None
