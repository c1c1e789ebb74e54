"""What a browser may be given of a submission, without a browser; test_browser.py has one."""

from __future__ import annotations

import base64
import json

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
    new_raw_cell,
)
from reference import ROOT

from autograder.sanitize.html import clean, is_clean
from autograder.sanitize.markdown import NOTE, as_text, render, safe_markdown
from autograder.sanitize.notebook import sanitize
from trickster.checks.result import CheckResult, PartResult

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 20).decode()
SVG = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>").decode()
GONE = ("<script", "<iframe", "<svg", "<style", "<form", "<base", "<meta", "<object", "<embed")

HONEST = {
    "formula": "The loss is $a < b$, and $$\\sum_i x_i$$ \\begin{align} a &= b \\end{align}",
    "link of a formula": "$\\href{https://example.org}{x}$",
    "table": "a | b\n--|--\n1 | 2\n",
    "code": "```python\nif a < b: print('<script>')\n```\nand `<b>`",
    "details": "<details><summary>Hint</summary>\n\n**bold** H<sub>2</sub>O <b>b</b>\n\n</details>",
    "address": "<https://example.org> and https://example.org and [x][1]\n\n[1]: https://example.org",
    "picture": f"![plot](data:image/png;base64,{PNG})",
    "file beside": "[the lab](lab2.ipynb) and [above](#Title)\n\n# Title",
    "task list": "- [ ] open\n- [x] done",
    "comparison": "x <y, a<b and 3 < 4 > 2; R&D <3",
    "comment": "text <!-- a remark --> text",
    "colour": "<font color='red'>red</font> <span style='color:red'>red</span>",
    "unfinished": "**bold and `code and [link](",
}
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "handler": "<img src=x onerror=alert(1)>",
    "handler in an allowed tag": "<b onmouseover=alert(1)>hello</b>",
    "link": "[x](javascript:alert(1))",
    "link with entities": "[x](jav&#x09;ascript:alert(1))",
    "reference link": "[x][1]\n\n[1]: JaVaScRiPt:alert(1)",
    "autolink": "<javascript:alert(1)>",
    "raw link": "<a href='vbscript:x'>x</a>",
    "page as a link": "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "picture with code": "![x](data:image/svg+xml;base64," + SVG + ")",
    "frame": "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "style": "<style>body{display:none}</style>",
    "form": "<form action=/formgrader/api/grade/1><input name=x><button>ok</button></form>",
    "base": "<base href='https://evil.example/'>",
    "refresh": "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "mermaid": "```mermaid\n</pre><img src=x onerror=alert(1)>\n```",
    "svg": "<svg><animate onbegin=alert(1) attributeName=x dur=1s></svg>",
    "math namespace": "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "comment that ends early": "<!--><script>alert(1)</script><!-- -->",
    "formula": "$\\href{javascript:alert(1)}{x}$",
    "formula that covers": "$\\bbox[position:fixed;top:0;width:100vw]{7/7}$",
    "formula of another class": "$\\class{modal-backdrop}{x}$",
    "formula that styles": "$\\style{position:fixed;top:0}{x}$",
    "server's own address": "![x](/formgrader?path=/tmp) <img src='/formgrader?path=/tmp'>",
    "protocol of the page": "<img src=//evil.example/x.png>",
    "missing attachment": "![x](attachment:none.png)",
    "unclosed": "<script>alert(1)//",
    "fence": "~~~\n<b>x</b>\n~~~\n````\n<script>alert(1)</script>\n```\n````\n<script>x</script>",
}


@pytest.mark.parametrize("text", HONEST.values(), ids=HONEST)
def test_an_honest_text_stays_as_it_is(text: str) -> None:
    assert safe_markdown(text) == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_shown_as_it_was_typed(text: str) -> None:
    safe = safe_markdown(text)
    assert safe.startswith(NOTE)
    assert safe_markdown(safe) == safe  # it is a text like any other now
    for page in (render(text), render(safe)):
        assert_harmless(page)


def assert_harmless(page: str) -> None:
    assert not any(tag in page.lower() for tag in GONE)
    assert clean(page, "") == page  # nothing is left that ammonia would take away


def test_every_text_of_the_labs_is_honest() -> None:
    for path in sorted(ROOT.glob("[ls]*s/lab*/*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                assert safe_markdown(cell.source) == cell.source


def test_a_check_s_table_looks_as_before() -> None:
    part = PartResult("a <b>", 2, 0.5, "measured", "asked", "usual", "advice")
    table = CheckResult(1, "Exercise", 2, (part,), "note")._repr_html_()
    cleaned = clean(table)
    assert is_clean(table)
    assert cleaned.count("style=") == table.count("style=") > 0
    assert cleaned.replace(" ", "").count(":") == table.replace(" ", "").count(":")


PIECES = [*HOSTILE.values(), *HONEST.values(), *"<>`$", "\n\n"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES)))
def test_mixtures_are_harmless(pieces: list[str]) -> None:
    safe = safe_markdown("".join(pieces))
    assert_harmless(render(safe))


@given(st.text())
def test_any_text_is_harmless(text: str) -> None:
    assert_harmless(render(safe_markdown(text)))


def test_a_text_in_a_fence_ends_it_never() -> None:
    text = "```\n<script>x</script>\n````\r<script>y</script>\u2028```"
    assert "script" not in render(as_text(text)).replace("&lt;script", "").replace("/script", "")


def test_a_style_stays_in_its_place() -> None:
    style = "position:fixed;top:0;margin:-9em;color:red;background:url(//evil);width:9999px"
    assert clean(f"<p style='{style}'>x</p>") == '<p style="color:red">x</p>'
    assert clean("<p class='navbar-fixed-top highlight'>x</p>") == '<p class="highlight">x</p>'
    assert clean("<p id='why'>x</p><a href='#why'>y</a>").count("text-why") == 2


def test_a_long_text_costs_no_time() -> None:
    text = "\\begin{a}" * 20_000
    assert safe_markdown(text) == NOTE + as_text(text)


def hostile_notebook() -> nbformat.NotebookNode:
    """Something in every place that a notebook has."""
    bad = "<script>alert(1)</script>"
    forms = {
        "text/plain": "kept",
        "text/html": f"<b>kept</b>{bad}",
        "text/markdown": bad,
        "text/latex": "$\\href{javascript:x}{y}$",
        "image/svg+xml": "<svg onload='x()'/>",
        "image/png": "'><script>",
        "image/jpeg": PNG,
        "application/javascript": "x()",
        "application/vnd.jupyter.widget-view+json": {"model_id": bad},
        f"text/{bad}": bad,
    }
    outputs = [
        new_output("display_data", data=forms, metadata={"image/png": {"width": bad}, "x": bad}),
        new_output("display_data", data={"image/png": PNG}, metadata={"image/png": {"width": 9}}),
        new_output("stream", name="stdout", text=bad),
        new_output("error", ename=bad, evalue=bad, traceback=[f"\x1b[31m{bad}"]),
    ]
    cells = [
        new_markdown_cell(
            "![a](attachment:a.png)",
            attachments={
                "a.png": {"image/png": PNG, "image/svg+xml": SVG},
                "b.svg": {"image/svg+xml": SVG},
                "'><script>.png": {"image/png": PNG},
            },
        ),
        new_code_cell("1", outputs=outputs, metadata={"tags": [bad], "alt": bad}),
        new_raw_cell(bad, metadata={"raw_mimetype": "text/html"}),
    ]
    metadata = {
        "title": bad,
        "widgets": {"x": bad},
        "kernelspec": {"name": "python3", "display_name": bad},
    }
    return new_notebook(cells=cells, metadata=metadata)


def test_every_place_of_a_notebook() -> None:
    notebook = hostile_notebook()
    sanitize(notebook)
    picture, code, raw = notebook.cells
    assert picture.attachments == {"a.png": {"image/png": PNG}}
    assert picture.source == "![a](attachment:a.png)"
    forms, plot, printed, error, note = code.outputs
    assert set(forms.data) == {"text/plain", "text/html", "text/markdown", "text/latex"}
    assert forms.data["text/html"] == "<b>kept</b>" and forms.metadata == {}
    assert plot.data == {"image/png": PNG} and plot.metadata == {"image/png": {"width": 9}}
    assert printed.text == "<script>alert(1)</script>" and error.evalue  # pages escape these
    assert "a drawing (SVG)" in note.text and "a script" in note.text
    assert "The submitted notebook is unchanged." in note.text
    assert code.metadata == {} and raw.metadata == {}
    assert notebook.metadata == {"kernelspec": {"name": "python3", "display_name": ""}}
    nbformat.validate(notebook)
    once = json.dumps(notebook)
    sanitize(notebook)
    assert json.dumps(notebook) == once


def test_an_honest_output_has_no_note() -> None:
    frame = (
        "<div>\n<style scoped>\n    .dataframe tbody tr th { x: y; }\n</style>\n"
        '<table border="1" class="dataframe"><tr><td>1</td></tr></table></div>'
    )
    data = {"text/plain": "1", "text/html": frame, "image/png": PNG}
    notebook = new_notebook(
        cells=[new_code_cell("", outputs=[new_output("execute_result", data=data)])]
    )
    sanitize(notebook)
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == set(data) and "dataframe" in output.data["text/html"]
