"""Renders one feedback page: a pure job, since a class has many of them."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

import nbformat
from nbformat import NotebookNode

from autograder import nbgrader_api
from autograder.cells import headings_of
from autograder.grading.bounded import Bounds, OverLimit, within
from autograder.nbgrader_api import Page

# nbgrader's list of contents calls every test and comment the same, and what nobody has marked yet
# has 0.0 points; its page draws tables without lines, folds as plain text, and pale links.
ENTRY = re.compile(
    r'(?P<link><a href="#(?:comment-)?(?P<name>[^"]*)">)'
    r"(?:Test cell|Written response|Coding free-response|(?P<comment>Comment))</a>"
    r"(?P<points>(?: \(Score: [\d.]+ / (?P<most>[\d.]+)\))?)"
)
HEAD = re.compile(
    r'(?P<before><a name="(?P<name>[^"]*)"></a>\s*<div class="panel-heading">'
    r'<span class="nbgrader-label">[^<]*</span>\s*<span class="pull-right">\s*)'
    r"Score: [\d.]+ / (?P<most>[\d.]+)"
)
UNMARKED = "Not marked yet: {most} points"
END_OF_CONTENTS = "</ol>"
STYLE = """<style>
.rendered_html table { border-collapse: collapse; margin: 0.5em 0; }
.rendered_html th, .rendered_html td { border: 1px solid #ccc; padding: 0.2em 0.8em; }
summary { display: list-item; cursor: pointer; }
.anchor-link { display: none; }
a { color: #23527c; text-decoration: underline; }
.panel-primary > .panel-heading a { color: #fff !important; }
.highlight, .highlight pre, div.input_area { background: #fff !important; }
</style>
"""
SHOWING = Bounds("Showing the notebook as a page", computing=20, waiting=120)
MAX_PAGE = 8 * 1024**2  # characters
LEFT_OUT = "\n\n*(Pictures are left out here: with them, this page would be too large.)*"
PLAIN = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{lab}</title></head>
<body><h1>{lab}</h1>
<p>Score: {score} of {maximum} points.</p>
<p>Your notebook cannot be shown here. {why}</p></body></html>
"""


@dataclass(frozen=True)
class Rendered:
    """A page's HTML, and what is wrong with it, or why there is none."""

    html: str = ""
    problem: str = ""


def render_page(page: Page | str) -> Rendered:
    """The page's HTML; a text instead of a page says why there can be none. Raises nothing.

    A notebook that cannot be shown within the limits gives a plain page that says so.
    """
    if isinstance(page, str):
        return Rendered(problem=page)
    _prepare()
    try:
        return Rendered(within(SHOWING, _html, page))
    except OverLimit as error:
        problem = str(error)
    except Exception as error:  # the notebook holds what a student's code has made
        problem = f"{type(error).__name__}: {error}"
    return Rendered(_plain(page, problem), problem)


@cache
def _prepare() -> None:
    """Import what pages need here and not anew in each process that makes one: half of its time."""
    cells = [nbformat.v4.new_markdown_cell("**a**"), nbformat.v4.new_code_cell("a = 1")]
    own = nbformat.writes(nbformat.v4.new_notebook(cells=cells))
    points = {"score": 0.0, "max_score": 0.0, "late_penalty": 0.0}
    with suppress(Exception):  # where it fails, a student's page says why
        nbgrader_api.render(Page(own, {"metadata": {"name": ""}, "nbgrader": points}, {}))


def _html(page: Page) -> str:
    """The page, without pasted pictures where it cannot be shown with them."""
    try:
        text = _legible(page)
    except MemoryError:
        raise
    except Exception:  # a picture that is not there, say
        return _small(_legible(without_pictures(page)))
    return text if len(text) <= MAX_PAGE else _small(_legible(without_pictures(page)))


def _legible(page: Page) -> str:
    return legible(nbgrader_api.render(page), headings_of(_notebook(page)), page.unmarked)


def _small(text: str) -> str:
    if len(text) > MAX_PAGE:
        raise OverLimit(
            f"The page would have {len(text) / 1024**2:.0f} MB; at most {MAX_PAGE // 1024**2} MB "
            "are shown."
        )
    return text


def without_pictures(page: Page) -> Page:
    """The page without the pictures that are pasted into its texts."""
    notebook = _notebook(page)
    for cell in notebook.cells:
        if cell.pop("attachments", None) or "attachment:" in cell.source:
            cell.source = cell.source.replace("attachment:", "left-out:") + LEFT_OUT
    return replace(page, notebook=nbformat.writes(notebook))


def _plain(page: Page, why: str) -> str:
    known = page.resources.get("nbgrader", {})
    return PLAIN.format(
        lab=html.escape(str(known.get("assignment", ""))),
        score=html.escape(str(known.get("score", "?"))),
        maximum=html.escape(str(known.get("max_score", "?"))),
        why=html.escape(why),
    )


def _notebook(page: Page) -> NotebookNode:
    return nbformat.reads(page.notebook, as_version=4)


def legible(text: str, headings: Mapping[str, str], unmarked: Collection[str] = ()) -> str:
    """nbgrader's page with the exercises' headings in its contents, and lines in its tables.

    Answers that wait for a mark say so, where nbgrader shows 0 points.
    """

    def named(match: re.Match[str]) -> str:
        name, points = html.unescape(match["name"]), match["points"]
        if name in unmarked and points:
            points = f" ({UNMARKED.format(most=match['most'])})"
        about = html.escape(headings.get(name) or name)
        kind = "comment on " if match["comment"] else ""
        return f"{match['link']}{kind}{about}</a>{points}"

    def headed(match: re.Match[str]) -> str:
        if html.unescape(match["name"]) not in unmarked:
            return match[0]
        return match["before"] + UNMARKED.format(most=match["most"])

    contents, end, cells = text.partition(END_OF_CONTENTS)
    contents = ENTRY.sub(named, contents).replace("</head>", f"{STYLE}</head>", 1)
    return contents + end + HEAD.sub(headed, cells)
