"""A graded notebook as it is stored: what a browser may be given of each cell and output.

Feedback pages, formgrader and JupyterLab all read this copy. The original stays in `submitted/`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

from autograder.sanitize.html import FRAMES, clean, is_clean
from autograder.sanitize.markdown import safe_markdown

CELL_KEYS = ("nbgrader", "trickster", "deletable", "editable", "collapsed")
NOTEBOOK_KEYS = ("kernelspec", "language_info", "trickster", "nbgrader")
LABEL = re.compile(r"[\w .,()/+-]{0,80}")
ATTACHMENT = re.compile(r"[\w.-][\w .()-]{0,199}")
MAGIC: dict[str, Callable[[bytes], bool]] = {
    "image/png": lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": lambda data: data.startswith(b"\xff\xd8\xff"),
    "image/gif": lambda data: data.startswith((b"GIF87a", b"GIF89a")),
    "image/webp": lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
}
NAMES = {
    "text/html": "parts of some HTML",
    "image/svg+xml": "a drawing (SVG)",
    "application/javascript": "a script",
}
LEFT_OUT = "[Not shown here, since a page could run it: {}. The submitted notebook is unchanged.]\n"


def sanitize(notebook: NotebookNode) -> None:
    """Leave in the notebook only what is safe to show, and say where something was taken out."""
    notebook.metadata = NotebookNode(
        {key: _labels(notebook.metadata[key]) for key in NOTEBOOK_KEYS if key in notebook.metadata}
    )
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in CELL_KEYS if key in cell.metadata}
        cell.metadata = _labels(kept)
        attachments = cell.pop("attachments", None)
        if cell.cell_type == "markdown":
            pictures = _attachments(attachments)
            if pictures:
                cell.attachments = pictures
            cell.source = safe_markdown(cell.source, pictures)
        elif cell.cell_type == "code":
            if type(cell.get("execution_count")) is not int:
                cell.execution_count = None
            cell.outputs = _outputs(cell.outputs)


def _labels(value: Any) -> Any:
    """Plain names, numbers and collections of them; other texts become empty."""
    if isinstance(value, Mapping):
        return NotebookNode(
            {key: _labels(one) for key, one in value.items() if LABEL.fullmatch(key)}
        )
    if isinstance(value, list):
        return [_labels(one) for one in value]
    return value if not isinstance(value, str) or LABEL.fullmatch(value) else ""


def _attachments(found: Any) -> NotebookNode:
    """The pictures among the attachments."""
    kept = NotebookNode()
    for name, bundle in found.items() if isinstance(found, Mapping) else ():
        pictures = {
            kind: data
            for kind, data in (bundle.items() if isinstance(bundle, Mapping) else ())
            if _is_picture(kind, data)
        }
        if pictures and ATTACHMENT.fullmatch(name):
            kept[name] = NotebookNode(pictures)
    return kept


def _is_picture(kind: str, data: Any) -> bool:
    """Whether these are the bytes of such a picture, in base64."""
    if kind not in MAGIC or not isinstance(data, str):
        return False
    try:
        return MAGIC[kind](base64.b64decode("".join(data.split()), validate=True))
    except (ValueError, binascii.Error):
        return False


# --- outputs ----------------------------------------------------------------------------


def _outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """A cell's outputs, and one more that says what was left out of them."""
    lost: dict[str, None] = {}
    kept = [one for output in outputs if (one := _output(output, lost)) is not None]
    if lost:
        text = LEFT_OUT.format(", ".join(lost))
        kept.append(new_output("stream", name="stderr", text=text))
    return kept


def _output(output: NotebookNode, lost: dict[str, None]) -> NotebookNode | None:
    kind = output.output_type
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return new_output("stream", name=name, text=_text(output.get("text", "")))
    if kind == "error":
        trace = output.get("traceback")
        return new_output(
            "error",
            ename=_text(output.get("ename", "")),
            evalue=_text(output.get("evalue", "")),
            traceback=[_text(line) for line in trace] if isinstance(trace, list) else [],
        )
    if kind not in ("display_data", "execute_result"):
        return None
    data = NotebookNode()
    for mime, value in output.data.items():
        shown = _shown(mime, value, lost)
        if shown is not None:
            data[mime] = shown
    if not data:
        return None
    kept = new_output(kind, data=data, metadata=_sizes(output.get("metadata")))
    if kind == "execute_result":
        count = output.get("execution_count")
        kept.execution_count = count if type(count) is int else None
    return kept


def _shown(mime: str, value: Any, lost: dict[str, None]) -> str | None:
    """What may be shown of one form of an output; else it is noted as `lost`."""
    if mime in MAGIC:
        if _is_picture(mime, value):
            return "".join(value.split())
        lost["something that is no picture"] = None
        return None
    text = _text(value)
    if mime == "text/plain":
        return text
    if mime == "text/html":
        if not is_clean(text):
            lost[NAMES[mime]] = None
        return clean(FRAMES.sub("", text), prefix="")
    if mime in ("text/markdown", "text/latex"):
        return safe_markdown(text)
    known = re.fullmatch(r"[\w.+/-]{1,80}", mime)
    lost[NAMES.get(mime, mime if known else "something of an unknown kind")] = None
    return None


def _sizes(metadata: Any) -> NotebookNode:
    """How large pictures are to be shown."""
    kept = NotebookNode()
    for mime in MAGIC:
        given = metadata.get(mime) if isinstance(metadata, Mapping) else None
        sizes = {
            key: given[key]
            for key in ("width", "height")
            if isinstance(given, Mapping) and type(given.get(key)) is int and 0 < given[key] < 5_000
        }
        if sizes:
            kept[mime] = NotebookNode(sizes)
    return kept


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)
