"""Builds a web site from the README, the guides and the released labs, with Sphinx.

The pages are copied into a folder of their own first, so that no solution can slip in and no file
of the repository changes. A link to a file that is no page leads to the course's public address,
or, as long as it has none, stays as text.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from autograder.course import NOBODY, Course, CourseError, list_labs, read_course
from trickster.files import write_atomically

DEFAULT = "build/site"
PARTS = {
    "For students": ["docs/setup.md", "datasets/README.md"],
    "For instructors": ["docs/instructors.md", "docs/grading.md", "docs/cluster.md"],
    "Evidence": ["docs/demos.md", "benchmarks/RESULTS.md"],
    "For authors and developers": ["docs/authors.md", "CONTRIBUTING.md", "ARCHITECTURE.md"],
}
CARDS = "datasets/*.md"
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:)([^)\s#]*)(#[^)\s]*)?\)")
SETTINGS = {
    "project": "Trickster Labs",
    "extensions": ["myst_nb"],
    "html_theme": "furo",
    "html_title": "Trickster Labs",
    "html_copy_source": False,
    "html_show_sphinx": False,
    "nb_execution_mode": "off",
    "myst_heading_anchors": 4,
    "myst_enable_extensions": ["dollarmath"],
    "pygments_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    # A released notebook holds scaffolds: they need not be whole Python. A diagram stays as text.
    "suppress_warnings": ["misc.highlighting_failure", "mystnb.lexer"],
}

# What the theme leaves out, and a screen reader or a keyboard needs.
ACCESS = """document.addEventListener("DOMContentLoaded", () => {
  for (const one of document.querySelectorAll("p.caption[role=heading]")) one.ariaLevel = 2;
  for (const one of document.querySelectorAll("pre, .table-wrapper")) one.tabIndex = 0;
  // A label that differs from the words beside it cannot be called by them.
  for (const one of document.querySelectorAll("summary[aria-label]"))
    one.removeAttribute("aria-label");
});"""


def build_site(root: Path, to: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Write the site into `to` (build/site if left out), and return its first page."""
    try:
        from sphinx.application import Sphinx
        from sphinx.errors import SphinxError
    except ModuleNotFoundError as error:
        raise CourseError(
            f"The site needs {error.name}, which is not installed: make setup."
        ) from error
    folder = (to or root / DEFAULT).resolve()
    with TemporaryDirectory(prefix="trickster-site-") as temporary:
        staged = Path(temporary) / "source"
        pages = stage(root, staged)
        say(f"Building a site of {len(pages)} pages in {folder} ...")
        lines = [f"{name} = {value!r}\n" for name, value in SETTINGS.items()]
        lines.append(f"def setup(app):\n    app.add_js_file(None, body={ACCESS!r})\n")
        write_atomically(staged / "conf.py", "".join(lines).encode())
        try:
            application = Sphinx(
                staged, staged, folder, Path(temporary) / "cache", "html",
                status=None, freshenv=True, warningiserror=True,
            )  # fmt: skip
            application.build(force_all=True)
        except SphinxError as error:
            raise CourseError(f"Sphinx could not build the site: {error}") from error
    return folder / "index.html"


def stage(root: Path, staged: Path) -> list[str]:
    """Copy what the site is made of, links mended; returns the paths of the pages."""
    course = read_course(root)
    labs = [f"labs/{lab.name}/{lab.name}.ipynb" for lab in list_labs(root)]
    listed = [path for paths in PARTS.values() for path in paths]
    cards = [path.relative_to(root).as_posix() for path in sorted(root.glob(CARDS))]
    pages = ["README.md", *labs, *dict.fromkeys([*listed, *cards])]
    missing = [path for path in pages if not (root / path).is_file()]
    if missing:
        raise CourseError(f"The site needs {', '.join(missing)}: make build releases the labs.")
    for path in pages:
        text = (root / path).read_text(encoding="utf-8")
        if path.endswith(".ipynb"):
            notebook = json.loads(text)
            for cell in notebook["cells"]:
                if cell["cell_type"] == "markdown":
                    source = "".join(cell["source"])
                    cell["source"] = mend_links(source, path, pages, course, root, staged)
            text = json.dumps(notebook)
        else:
            text = mend_links(text, path, pages, course, root, staged)
        if path == "README.md":
            text = f"{text}\n{_contents(labs, cards)}"
        to = staged / ("index.md" if path == "README.md" else path)
        write_atomically(to, text.encode())
    return pages


def mend_links(
    text: str, page: str, pages: list[str], course: Course, root: Path, staged: Path
) -> str:
    """The text of a page, with each relative link led to a page, a picture or the repository."""

    def mend(match: re.Match[str]) -> str:
        picture, words, target, anchor = match[1], match[2], match[3], match[4] or ""
        if not target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if path == "README.md":
            home = posixpath.relpath("index.md", posixpath.dirname(page) or ".")
            return f"[{words}]({home}{anchor})"
        if path in pages:
            return match[0]
        if picture:
            write_atomically(staged / path, (root / path).read_bytes())
            return match[0]
        if f"/{NOBODY}/" in course.repository:
            return words
        kind = "tree" if (root / path).is_dir() else "blob"
        return f"[{words}]({course.repository}/{kind}/{course.branch}/{path}{anchor})"

    return LINK.sub(mend, text)


def _contents(labs: list[str], cards: list[str]) -> str:
    """The site's table of contents, which its first page carries and does not show."""
    further = [card for card in cards if card not in PARTS["For students"]]
    parts = {"The labs": labs, **PARTS, "Evidence": [*PARTS["Evidence"], *further]}
    return "\n".join(
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *paths, "```"])
        for caption, paths in parts.items()
    )
