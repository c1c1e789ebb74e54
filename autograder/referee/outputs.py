"""Output with an end: what a cell or a check may write into a notebook."""

from __future__ import annotations

import io
from typing import Any

from nbformat import NotebookNode, ValidationError
from nbformat.v4 import new_output, output_from_msg
from nbformat.v4.nbbase import validate

CELL = 1024**2  # characters and bytes of one cell's outputs
SHOWN = 20_000  # characters of what the student's code prints during a check
HEADING = "--- what your code printed meanwhile ---\n"


class Outputs:
    """The outputs of an ordinary cell, up to ``cap`` bytes; the rest is counted and dropped."""

    def __init__(self, cell: NotebookNode, cap: int = CELL):
        self.cell, self.left, self.dropped = cell, cap, 0
        self._clear = False
        self._displays: dict[str, list[NotebookNode]] = {}

    def take(self, message: dict[str, Any], size: int) -> None:
        """One message of the kernel while the cell runs."""
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            self._clear = True
            if not content.get("wait"):
                self._cleared()
        elif kind == "update_display_data":
            self._update(content, size)
        elif kind in ("stream", "display_data", "execute_result", "error"):
            self._add(kind, message, size)

    def _add(self, kind: str, message: dict[str, Any], size: int) -> None:
        content = message["content"]
        if size > self.left:
            if kind == "stream" and not self.dropped and type(content["text"]) is str:
                content["text"] = content["text"][: self.left]
                self._append(output_from_msg(message))
            self.dropped += size
            self.left = 0
            return
        self.left -= size
        output = output_from_msg(message)
        if "execution_count" in output:
            self.cell.execution_count = output.execution_count
        self._append(output)
        name = (content.get("transient") or {}).get("display_id")
        if type(name) is str:
            self._displays.setdefault(name, []).append(output)

    def _append(self, output: NotebookNode) -> None:
        try:
            validate(output, ref="output")
        except ValidationError:
            return  # a forged message
        self._cleared()
        last = self.cell.outputs[-1] if self.cell.outputs else None
        if output.output_type == "stream" and last is not None and last.get("name") == output.name:
            last.text += output.text
        else:
            self.cell.outputs.append(output)

    def _cleared(self) -> None:
        if self._clear:
            self.cell.outputs.clear()
            self._clear = False

    def _update(self, content: dict[str, Any], size: int) -> None:
        self.left -= min(size, self.left)
        if self.left:
            for output in self._displays.get(content["transient"]["display_id"], []):
                output.data = NotebookNode(content["data"])

    def close(self, lost: bool = False) -> None:
        """Say what was left out; ``lost``: something that was too large even to arrive."""
        more = f"{self.dropped / 1024**2:,.1f} MB more were printed and are not shown"
        if self.dropped or lost:
            text = f"\n[{more if self.dropped else 'output too large to be shown'}]\n"
            self.cell.outputs.append(new_output("stream", name="stdout", text=text))


class Meanwhile:
    """What the student's code writes while a check runs, as text, up to ``cap`` characters."""

    def __init__(self, cap: int = SHOWN):
        self.parts: list[str] = []
        self.left, self.dropped = cap, 0

    def take(self, message: dict[str, Any], size: int) -> None:
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


class Paper(io.TextIOBase):
    """Standard output for a check, up to ``cap`` characters."""

    def __init__(self, cap: int = CELL):
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


def stream(text: str) -> list[NotebookNode]:
    """``text`` as an output of a cell; none for no text."""
    return [new_output("stream", name="stdout", text=text)] if text else []
