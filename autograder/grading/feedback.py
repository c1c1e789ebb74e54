"""Renders one feedback page: a pure job, since a class has many of them."""

from __future__ import annotations

from dataclasses import dataclass

from autograder import nbgrader_api
from autograder.nbgrader_api import Page


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
        return Rendered(nbgrader_api.render(page))
    except Exception as error:  # the notebook holds what a student's code has made
        return Rendered(problem=f"{type(error).__name__}: {error}")
