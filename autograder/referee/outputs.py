"""Bounded output: what a cell or a check may write into a notebook."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode, ValidationError
from nbformat.v4 import new_output, output_from_msg
from nbformat.v4.nbbase import validate

MAX_CELL_OUTPUT = 1024**2  # characters and bytes
MAX_NOTEBOOK_OUTPUT = 10 * MAX_CELL_OUTPUT  # of all cells that are not tests
MAX_PRINTED = 20_000  # characters that the student's code prints during a check
HEADING = "--- what your code printed meanwhile ---\n"


class CellOutputs:
    """Collects the outputs of an ordinary cell, up to ``cap`` bytes; drops and counts the rest.

    What counts is what the notebook holds: an update costs what it adds to each of the outputs that
    it replaces.
    """

    def __init__(self, cell: NotebookNode, cap: int = MAX_CELL_OUTPUT):
        self.cell, self.left, self.dropped = cell, cap, 0
        self.kept = 0  # bytes
        self._clear = False
        self._displays: dict[str, list[_Display]] = {}

    def handle(self, message: dict[str, Any], size: int) -> None:
        """Handle one message of the kernel while the cell runs."""
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            self._clear = True
            if not content.get("wait"):
                self._clear_if_asked()
        elif kind == "update_display_data":
            self._update(message, size)
        elif kind in ("stream", "display_data", "execute_result", "error"):
            self._add(kind, message, size)

    def _add(self, kind: str, message: dict[str, Any], size: int) -> None:
        content = message["content"]
        if size > self.left:
            if kind == "stream" and not self.dropped and type(content["text"]) is str:
                content["text"] = content["text"][: self.left]
                self._append(output_from_msg(message))
                self.kept += self.left
            self.dropped += size
            self.left = 0
            return
        self._charge(size)
        output = output_from_msg(message)
        if "execution_count" in output:
            self.cell.execution_count = output.execution_count
        self._append(output)
        name = (content.get("transient") or {}).get("display_id")
        if type(name) is str:
            self._displays.setdefault(name, []).append(_Display(output, size))

    def _append(self, output: NotebookNode) -> None:
        try:
            validate(output, ref="output")
        except ValidationError:
            return  # a forged message
        self._clear_if_asked()
        last = self.cell.outputs[-1] if self.cell.outputs else None
        if output.output_type == "stream" and last is not None and last.get("name") == output.name:
            last.text += output.text
        else:
            self.cell.outputs.append(output)

    def _clear_if_asked(self) -> None:
        if self._clear:
            self.cell.outputs.clear()
            self._clear = False

    def _update(self, message: dict[str, Any], size: int) -> None:
        """Replace what all displays of one id show, or none of them if that does not fit."""
        displays = self._displays.get(message["content"]["transient"]["display_id"], [])
        added = sum(size - display.size for display in displays)
        if added > self.left:
            self.dropped += size
            self.left = 0
            return
        header = {**message["header"], "msg_type": "display_data"}
        new = output_from_msg({**message, "header": header})
        try:
            validate(new, ref="output")
        except ValidationError:
            return  # a forged message
        self._charge(added)
        for display in displays:
            display.output.data, display.size = new.data, size

    def _charge(self, size: int) -> None:
        self.left -= size
        self.kept += size

    def close(self, lost: bool = False) -> None:
        """Say what was left out; ``lost``: something was too large even to arrive."""
        more = f"{self.dropped / 1024**2:,.1f} MB more were printed and are not shown"
        if self.dropped or lost:
            text = f"\n[{more if self.dropped else 'output too large to be shown'}]\n"
            self.cell.outputs.append(new_output("stream", name="stdout", text=text))


@dataclass
class _Display:
    """An output that can be updated, and how much of the cap it takes."""

    output: NotebookNode
    size: int


class NotebookOutputs:
    """Shares one cap among the cells of a notebook: what a cell keeps, later ones cannot."""

    def __init__(self, cap: int = MAX_NOTEBOOK_OUTPUT):
        self.cap = self.left = cap
        self._told = False

    def cell(self, cell: NotebookNode, cap: int) -> CellOutputs:
        """For the outputs of one cell, which may take ``cap`` bytes of what is left."""
        return CellOutputs(cell, min(cap, self.left))

    def close(self, taken: CellOutputs, cap: int, lost: bool = False) -> str:
        """End a cell's outputs; the first time that the notebook's cap cut them, a sentence."""
        taken.close(lost)
        short, self.left = cap > self.left, self.left - taken.kept
        if not (taken.dropped and short):
            return ""
        size = f"{self.cap / 1024**2:,.3g} MB"
        text = f"[All outputs of a notebook together may take {size}, and these went beyond it.]\n"
        taken.cell.outputs[-1].text += text
        told, self._told = self._told, True
        return "" if told else f"the outputs of the notebook went beyond {size}."


class CapturedOutput:
    """What the student's code prints while a check runs, up to ``cap`` characters."""

    def __init__(self, cap: int = MAX_PRINTED):
        self.parts: list[str] = []
        self.left, self.dropped = cap, 0

    def handle(self, message: dict[str, Any], size: int) -> None:
        text = message["content"].get("text") if message["msg_type"] == "stream" else None
        if type(text) is str:
            self.dropped += max(0, len(text) - self.left)
            if self.left > 0:
                self.parts.append(text[: self.left])
            self.left -= min(self.left, len(text))

    def text(self) -> str:
        """All of it under a heading, or ""."""
        text = "".join(self.parts)
        if self.dropped:
            text += f"\n[{self.dropped:,} more characters are not shown]"
        return f"{HEADING}{text.rstrip()}\n" if text.strip() else ""


class BoundedWriter(io.TextIOBase):
    """A text file in memory that keeps the first ``cap`` characters: a check's standard output."""

    def __init__(self, cap: int = MAX_CELL_OUTPUT):
        self.parts: list[str] = []
        self.left = cap

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.parts.append(text[: self.left])
        self.left -= min(self.left, len(text))
        return len(text)

    def text(self) -> str:
        return "".join(self.parts)


def stream_outputs(text: str) -> list[NotebookNode]:
    """``text`` as the outputs of a cell: one, or none for no text."""
    return [new_output("stream", name="stdout", text=text)] if text else []
