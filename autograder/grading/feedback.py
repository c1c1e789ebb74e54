"""Renders one feedback page: a pure job, since a class has many of them."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

from autograder import nbgrader_api
from autograder.cells import headings_of
from autograder.nbgrader_api import Page

# nbgrader's list of contents calls every test the same, and its page draws tables without lines.
ENTRY = re.compile(
    r'(?P<link><a href="#(?P<name>[^"]*)">)(?:Test cell|Written response|Coding free-response)</a>'
)
END_OF_CONTENTS = "</ol>"
STYLE = """<style>
.rendered_html table { border-collapse: collapse; margin: 0.5em 0; }
.rendered_html th, .rendered_html td { border: 1px solid #ccc; padding: 0.2em 0.8em; }
</style>
"""


@dataclass(frozen=True)
class Rendered:
    """A page's HTML, or why there is none."""

    html: str = ""
    problem: str = ""


def render_page(page: Page | str) -> Rendered:
    """The page's HTML; a text instead of a page says why there can be none. Raises nothing."""
    if isinstance(page, str):
        return Rendered(problem=page)
    try:
        return Rendered(legible(nbgrader_api.render(page), headings_of(_notebook(page))))
    except Exception as error:  # the notebook holds what a student's code has made
        return Rendered(problem=f"{type(error).__name__}: {error}")


def _notebook(page: Page) -> NotebookNode:
    return nbformat.reads(page.notebook, as_version=4)


def legible(text: str, headings: Mapping[str, str]) -> str:
    """nbgrader's page with the exercises' headings in its contents, and lines in its tables."""

    def named(match: re.Match[str]) -> str:
        name = html.unescape(match["name"])
        return f"{match['link']}{html.escape(headings.get(name) or name)}</a>"

    contents, end, cells = text.partition(END_OF_CONTENTS)
    return ENTRY.sub(named, contents).replace("</head>", f"{STYLE}</head>", 1) + end + cells
