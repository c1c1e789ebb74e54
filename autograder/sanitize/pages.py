"""The pages that nbconvert makes for this course: cleaned once more, with a security policy.

`nbgrader_config.py` names what is here, for feedback pages and for formgrader.
"""

from __future__ import annotations

from typing import Any

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode

from autograder.sanitize.html import clean

# MathJax runs (and evaluates its own settings); nothing that stands in the page does.
POLICY = (
    "default-src 'none'; "
    "script-src https://cdnjs.cloudflare.com/ajax/libs/mathjax/ 'unsafe-eval'; "
    "connect-src https://api.cdnjs.com; style-src 'unsafe-inline'; "
    "font-src data: https://cdnjs.cloudflare.com; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"/>'


def clean_html(html: Any) -> str:
    """In the place of nbconvert's filter of this name."""
    return clean(html.decode("utf-8") if isinstance(html, bytes) else str(html))


class FeedbackExporter(HTMLExporter):
    """A feedback page: its own policy comes before anything else in it; it says its language."""

    def from_notebook_node(
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        html, found = super().from_notebook_node(nb, resources, **options)
        html = html.replace("<html>", '<html lang="en">', 1)  # screen readers choose a voice by it
        return html.replace("<head>", f"<head>\n{META}", 1), found
