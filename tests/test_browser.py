"""Feedback pages and formgrader in a real Chromium: nothing of a submission runs there."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from reading import CHROMIUM
from toy_course import LAB, built_course, cell_of

from autograder import formgrader
from autograder.course import Lab
from autograder.grading.gradebook import ClassGradebook
from autograder.grading.run import grade_class

RAN = re.compile(r'data-ran-(\d+)="')
PUT = """fetch('/formgrader/api/grades?submission_id=' + submission_id).then(r => r.json()).then(
g => g.forEach(one => fetch('/formgrader/api/grade/' + one.id, {method: 'PUT', headers:
{'X-XSRFToken': (document.cookie.match(/_xsrf=([^;]+)/) || [])[1]},
body: JSON.stringify({manual_score: 693})})))"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: its tests did not run"),
]


def svg(code: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" onload="{code}"><text>drawn</text></svg>'


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# JS stands for what marks the page, URL for an address that is told when it is loaded.
MARKDOWN = [
    "<script>JS</script>",
    "<img src=x onerror=\"JS\">",
    "hello <svg onload=\"JS\"></svg>",
    "<iframe srcdoc=\"<script>parent.JS</script>\"></iframe>",
    "<iframe src=\"javascript:parent.JS\"></iframe>",
    "<details open ontoggle=\"JS\"><summary>x</summary></details>",
    "<b style=\"animation:cursor-blink 1s\" onanimationstart=\"JS\" onpointerover=\"JS\">b</b>",
    "<input autofocus onfocus=\"JS\">",
    "<video><source onerror=\"JS\"></video>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=\"JS\">",
    "<!--><script>JS</script><!-- -->",
    "```mermaid\n</pre><img src=x onerror=\"JS\">\n```",
    "<object data=\"URL\"></object>",
    "<embed src=\"URL\">",
    "<link rel=stylesheet href=\"URL\">",
    "<style>@import 'URL';</style>",
    "<div style=\"background:url(URL)\">x</div>",
    "![x](URL)",
    "<img srcset=\"URL 1x\">",
    "<svg><image href=\"URL\"></image></svg>",
    "<noscript><p title=\"</noscript><img src=x onerror=JS>\"></noscript><script>JS</script>",
    "<template><img src=x></template><audio src=x onerror=\"JS\"></audio>",
    "<a href=\"javascript:JS\" id=a></a><script>document.querySelector('#a').click()</script>",
    "text\n\n<body onload=\"JS\"><marquee onstart=\"JS\">x</marquee>",
]  # fmt: skip
HTML = [
    "<script>JS</script>",
    "<img src=x onerror=\"JS\">",
    "<iframe srcdoc=\"<script>parent.JS</script>\"></iframe>",
    "<style>@import 'URL';</style>",
    "<svg><script>JS</script></svg>",
    "<table><tr><td><img src=x onerror=\"JS\"></td></tr></table>",
]  # fmt: skip
OTHER = [
    ("application/javascript", "JS"),
    ("image/png", "x\" onerror=\"JS"),
    ("text/markdown", "<img src=x onerror=\"JS\">"),
    ("text/latex", "</div><img src=x onerror=\"JS\">"),
    ("text/plain", "<img src=x onerror=\"JS\">"),
]  # fmt: skip


class Ears(BaseHTTPRequestHandler):
    """Writes down which addresses are asked for."""

    heard: set[int]

    def do_GET(self) -> None:
        found = re.fullmatch(r"/hit/(\d+)", self.path)
        if found:
            self.heard.add(int(found[1]))
        self.send_response(404)
        self.end_headers()

    def log_message(self, *about: object) -> None:
        pass


@pytest.fixture(scope="module")
def ears() -> Iterator[tuple[int, set[int]]]:
    """The port of a server on loopback, and what it has heard."""
    heard: set[int] = set()
    handler = type("Handler", (Ears,), {"heard": heard})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, heard
    server.shutdown()


def filled(text: str, number: int, port: int) -> str:
    mark = f"document.documentElement.setAttribute('data-ran-{number}','')"
    return text.replace("JS", mark).replace("URL", f"http://127.0.0.1:{port}/hit/{number}")


def payloads(port: int) -> tuple[list[str], list[dict[str, str]]]:
    """Markdown texts and the data of outputs, all numbered."""
    texts = [filled(text, number, port) for number, text in enumerate(MARKDOWN)]
    forms = [("text/html", text) for text in HTML] + OTHER
    data = [
        {kind: filled(text, number, port)} for number, (kind, text) in enumerate(forms, len(texts))
    ]
    return texts, [*data, {"image/svg+xml": svg("x()")}]


def loaded(address: str, folder: Path) -> str:
    """The page as it stands once Chromium has loaded it."""
    words = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    words += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=8000"]
    words.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
    done = subprocess.run([*words, address], capture_output=True, text=True, timeout=240)
    assert "</html>" in done.stdout, done.stderr
    return done.stdout


def ran(page: str) -> set[int]:
    """The numbers of the payloads that have marked the page."""
    return {int(number) for number in RAN.findall(page)}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, ears: tuple[int, set[int]]) -> Path:
    """A graded class of one submission that has a payload in every place."""
    root = built_course(tmp_path_factory.mktemp("browser") / "course")
    texts, data = payloads(ears[0])
    notebook = nbformat.read(Lab(root, LAB).release, as_version=4)
    cell_of(notebook, "why").source = f"My answer. <script>{PUT}</script>"
    shown = f"from IPython.display import display\nfor one in {data!r}: display(one, raw=True)"
    notebook.cells[1:1] = [new_markdown_cell(text) for text in texts] + [new_code_cell(shown)]
    path = root / "submitted" / "eve" / LAB / f"{LAB}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (record,) = grade_class(root, root, workers=1, say=lambda text: None)
    assert record.status == "needs marking"
    return root


def unguarded(port: int) -> NotebookNode:
    texts, data = payloads(port)
    outputs = [new_output("display_data", data=one) for one in data]
    cells = [new_markdown_cell(text) for text in texts]
    return new_notebook(cells=[*cells, new_code_cell("", outputs=outputs)])


def test_the_payloads_run_where_nothing_guards(ears: tuple[int, set[int]], tmp_path: Path) -> None:
    port, heard = ears
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(unguarded(port))
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    found = ran(loaded((tmp_path / "page.html").as_uri(), tmp_path)) | heard
    assert len(found) >= 20, sorted(set(range(len(MARKDOWN + HTML + OTHER))) - found)
    heard.clear()


def test_nothing_runs_in_a_feedback_page(
    hostile: Path, ears: tuple[int, set[int]], tmp_path: Path
) -> None:
    path = hostile / "feedback" / "eve" / LAB / f"{LAB}.html"
    page = loaded(path.as_uri(), tmp_path)
    assert "My answer." in page and "Part of this text is shown as it was typed" in page
    assert "Not shown here, since a page could run it" in page
    assert (ran(page), ears[1]) == (set(), set())
    assert page.index("Content-Security-Policy") < page.index("<title>")
    assert '<html lang="en">' in page


def test_the_policy_alone_stops_what_is_written_in_a_page(
    hostile: Path, ears: tuple[int, set[int]], tmp_path: Path
) -> None:
    page = (hostile / "feedback" / "eve" / LAB / f"{LAB}.html").read_text(encoding="utf-8")
    texts, _ = payloads(ears[0])
    (tmp_path / "page.html").write_text(page.replace("</body>", "\n".join(texts) + "</body>"))
    assert (ran(loaded((tmp_path / "page.html").as_uri(), tmp_path)), ears[1]) == (set(), set())


def test_nothing_runs_in_formgrader(
    hostile: Path, ears: tuple[int, set[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN", "token")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    book = ClassGradebook(hostile, hostile)
    with book.open() as gradebook:
        number = gradebook.find_submission_notebook(LAB, LAB, "eve").id
    words, environ = formgrader.command(hostile, port, False), formgrader.environment(hostile)
    environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1])])
    server = subprocess.Popen(words, env=environ, cwd=hostile)
    try:
        for _ in range(600):
            if formgrader._answers(port) or server.poll() is not None:
                break
            time.sleep(0.1)
        page = loaded(
            f"http://localhost:{port}/formgrader/submissions/{number}/?token=token", tmp_path
        )
    finally:
        server.terminate()
        server.wait()
    assert "My answer." in page and 'id="why"' in page and "submission_id" in page
    assert (ran(page), ears[1]) == (set(), set())
    with book.open() as gradebook:
        grades = gradebook.find_submission_notebook(LAB, LAB, "eve").grades
        assert [grade.manual_score for grade in grades] == [None] * len(grades)
