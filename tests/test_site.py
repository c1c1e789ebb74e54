"""The web site: pages, links, and that it works where there is no network."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from reading import CHROMIUM
from reference import ROOT

from autograder.authoring import site
from autograder.authoring.site import build_site, mend_links, stage
from autograder.course import CourseError, list_labs, read_course

PUBLIC = dataclasses.replace(
    read_course(ROOT), repository="https://github.com/someone/labs", branch="trunk"
)
PAGES = ["README.md", "docs/a.md", "docs/b.md"]


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("see [b](b.md#part)", "see [b](b.md#part)"),
        ("see [home](../README.md#start)", "see [home](../index.md#start)"),
        ("[here](#part), [there](https://example.org/x.py)", None),
        ("[code](../trickster/api.py)", "[code](https://github.com/someone/labs/blob/trunk/trickster/api.py)"),
        ("[rooms](../trickster/)", "[rooms](https://github.com/someone/labs/tree/trunk/trickster)"),
    ],
)  # fmt: skip
def test_a_link_leads_to_a_page_or_to_the_repository(text, mended, tmp_path):
    assert mend_links(text, "docs/a.md", PAGES, PUBLIC, ROOT, tmp_path) == (mended or text)


def test_without_an_address_a_link_to_code_stays_as_text(tmp_path):
    course = read_course(ROOT)
    assert mend_links("[code](../a.py).", "docs/a.md", PAGES, course, ROOT, tmp_path) == "code."


def test_nothing_but_pages_and_their_pictures_goes_in(tmp_path):
    pages = stage(ROOT, tmp_path / "staged")
    there = {path.relative_to(tmp_path / "staged").as_posix()
             for path in (tmp_path / "staged").rglob("*") if path.is_file()}  # fmt: skip
    pictures = {path for path in there if path.endswith(".png")}
    assert there - pictures == {*pages, "index.md"} - {"README.md"}
    assert not any(path.startswith(("solutions", "autograder", "tests")) for path in there)
    assert {f"labs/{lab.name}/{lab.name}.ipynb" for lab in list_labs(ROOT)} <= there


def test_every_guide_is_a_page():
    listed = {path for paths in site.PARTS.values() for path in paths}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= listed


def test_a_course_without_its_pages_is_told(tmp_path):
    shutil.copy(ROOT / "course.toml", tmp_path)
    (tmp_path / "labs").mkdir()
    (tmp_path / "solutions").mkdir()
    with pytest.raises(CourseError, match=r"The site needs README\.md"):
        stage(tmp_path, tmp_path / "staged")


class Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        got = dict(attrs)
        self.anchors.add(got.get("id") or "")
        for name in ("href", "src"):
            if got.get(name) and not re.match(r"[a-z]+:", got[name]):
                self.links.append(got[name])


@pytest.mark.slow
def test_the_site_of_this_course(tmp_path):
    first = build_site(ROOT, tmp_path / "site", lambda text: None)  # a warning of Sphinx's fails
    pages = {path: Links(path) for path in first.parent.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(unquote(link.partition("?")[0] if "#" not in link else link))
            there = (path.parent / target).resolve() if target else path
            assert there.exists(), (path, link)
            assert there not in pages or anchor in pages[there].anchors, (path, link)
    others = (path for path in pages if path.name != "authors.html")  # it shows a lab's source
    text = "".join(path.read_text(encoding="utf-8") for path in others)
    assert "BEGIN SOLUTION" not in text and "YOUR CODE HERE" in text
    if CHROMIUM is None:
        pytest.skip("no Chromium here: the site was built, and not opened")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", str(first)]
    opened = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    captions = re.findall(r"<p class=\"caption\"[^>]*>", opened)
    assert len(captions) == 1 + len(site.PARTS)
    assert all('aria-level="2"' in caption for caption in captions)
