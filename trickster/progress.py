"""A bar that shows how far a long computation is, and about how long it still takes.

    with progress.bar("Training 24 clones", 24):
        ...  # whatever trains networks says by itself how far it is

What is printed meanwhile appears above the bar. At the end the bar is gone.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from tqdm import tqdm

_shown: list[_Bar] = []  # the innermost last


@contextmanager
def bar(label: str, total: float) -> Iterator[None]:
    """Show a bar on standard output, in a terminal or a notebook, while the block runs.

    label : what is being done, such as "Training 24 clones".
    total : how many units of work there are: networks to train, unless the block calls
        :func:`advance` for units of its own.
    """
    stream = sys.stdout
    shown = _Bar(stream, label, total)
    _shown.append(shown)
    try:
        with redirect_stdout(shown if is_watched(stream) else stream):
            yield
    finally:
        _shown.remove(shown)
        shown.bar.close()


def advance(units: float = 1) -> None:
    """Tell the bar that is shown, if there is one, that so many more units of work are done.

    ``training.fit`` and ``batched.fit_many`` do this after each epoch: a network counts as one.
    """
    if _shown:
        _shown[-1].advance(units)


def is_watched(stream: TextIO) -> bool:
    """Whether a person sees the stream while it is written: in a terminal or a notebook."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) or type(stream).__module__.startswith("ipykernel.")


class _Bar(io.TextIOBase):
    """The bar, and what standard output is meanwhile: lines that are printed appear above it."""

    def __init__(self, stream: TextIO, label: str, total: float):
        self.stream, self.line_begun = stream, False
        self.bar = tqdm(
            total=total,
            desc=label,
            file=stream,
            disable=not is_watched(stream),
            leave=False,
            mininterval=0.3,
            miniters=0,
            smoothing=0.1,
            bar_format="{desc} {percentage:3.0f}%|{bar:20}| {remaining} left",
        )

    def advance(self, units: float) -> None:
        """So many more units, but never more than there are: who counts wrongly gets no error."""
        units = max(0.0, min(units, self.bar.total - self.bar.n))
        if self.line_begun:  # a bar would cut the line in two
            self.bar.n += units
        else:
            self.bar.update(units)

    def write(self, text: str) -> int:
        if text and not self.line_begun:
            self.bar.clear()
        written = self.stream.write(text)
        if text:
            self.line_begun = not text.endswith("\n")
        if not self.line_begun:
            self.bar.refresh()
        return written

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)
