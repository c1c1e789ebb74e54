"""How a check's result looks: a small table for notebooks, and plain text for terminals.

Both show the same facts. The table takes its colours from the page around it, so that it reads
well on light and on dark ones, and carries its style in each tag, since some pages drop style
sheets. Every text is escaped: it may quote what a student's code returned.
"""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trickster.checks.result import CheckResult, PartResult

WIDTH = 92  # columns of the text
MARKS = {
    "passed": "✓ passed",
    "partial": "~ in part",
    "missed": "✗ missed",
    "not written yet": "– not written yet",
    "not measured": "– not measured",
}
# The facts of a part, and what learners read as their headings.
FACTS = {"measured": "measured", "asked": "required", "usual": "typical"}

RULE = "rgba(128,128,128,.45)"  # a grey that shows on white and on black
TABLE = (
    "border-collapse:collapse;border:none;table-layout:auto;margin:.3em 0;max-width:100%;"
    "color:inherit;background:none"
)
CAPTION = (
    "caption-side:top;text-align:left;font-weight:bold;color:inherit;padding:.2em .6em;"
    "white-space:normal"
)
CELL = (
    "text-align:left;vertical-align:top;padding:.3em .6em;border:none;color:inherit;"
    "background:none;white-space:normal;overflow-wrap:anywhere"
)
RULED = f"{CELL};border-top:1px solid {RULE}"
NAME = f"{RULED};font-weight:bold;min-width:9em"
MARK = f"{RULED};white-space:nowrap"
FACT = f"{RULED};min-width:8em"
ROW = "background:none"


def points_of(result: CheckResult) -> str:
    """``2.5 of 4 points``."""
    return f"{float(result):g} of {result.maximum:g} points"


def _earned(part: PartResult) -> str:
    return f"{part.earned:.3g} of {part.points:g}"


# --- for terminals ------------------------------------------------------------------


def as_text(result: CheckResult) -> str:
    """The result in lines of at most :data:`WIDTH` columns, as far as its words allow."""
    lines = _wrapped(result.title, "", "") if result.title else []
    for part in result.parts:
        lines += _wrapped(f"{MARKS[part.status]}  {part.name}: {_earned(part)}", "  ", " " * 13)
        for name, heading in {**FACTS, "advice": "advice"}.items():
            if text := getattr(part, name):
                lines += _wrapped(f"{heading:<10}{text}", " " * 7, " " * 17)
    if result.note:
        lines += _wrapped(result.note, "  ", "  ")
    return "\n".join([*lines, points_of(result)])


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False
    )


# --- for notebooks ------------------------------------------------------------------


def as_html(result: CheckResult) -> str:
    """The result as a table, with a caption and headings that a screen reader can follow."""
    shown = [name for name in FACTS if any(getattr(part, name) for part in result.parts)]
    width = 2 + max(1, len(shown))
    lines = [f'<table style="{TABLE}">']
    if result.title:
        lines.append(f'<caption style="{CAPTION}">{escape(result.title)}</caption>')
    if result.parts:
        lines += ["<thead>", _heading(shown), "</thead>", "<tbody>"]
        for part in result.parts:
            lines += _rows(part, shown)
        lines.append("</tbody>")
    lines += ["<tfoot>"]
    if result.note:
        lines.append(_row(f'<td colspan="{width}" style="{RULED}">{escape(result.note)}</td>'))
    total = f'<td colspan="{width - 1}" style="{RULED};font-weight:bold">{points_of(result)}</td>'
    lines.append(_row(f'<th scope="row" style="{NAME}">Total</th>{total}'))
    return "\n".join([*lines, "</tfoot>", "</table>"])


def _heading(shown: list[str]) -> str:
    # Without anything measured, the last column holds advice alone.
    names = ["part", "result", *([FACTS[name] for name in shown] or ["advice"])]
    cells = (f'<th scope="col" style="{CELL}">{name.capitalize()}</th>' for name in names)
    return _row("".join(cells))


def _rows(part: PartResult, shown: list[str]) -> list[str]:
    """A part: what was measured, and below it the advice; advice alone where nothing was."""
    facts = [getattr(part, name) for name in shown]
    advice = ""
    if part.advice or not any(facts):
        # A column of its own needs no label.
        label = "<em>Advice:</em> " if part.advice and shown else ""
        words = label + escape(part.advice)
        style = CELL if any(facts) else RULED
        advice = f'<td colspan="{max(1, len(shown))}" style="{style}">{words}</td>'
    tall = ' rowspan="2"' if any(facts) and advice else ""
    mark = f"{MARKS[part.status]}<br>{_earned(part)}"
    head = (
        f'<th scope="row"{tall} style="{NAME}">{escape(part.name)}</th>'
        f'<td{tall} style="{MARK}">{mark}</td>'
    )
    if not any(facts):
        return [_row(head + advice)]
    cells = "".join(f'<td style="{FACT}">{escape(text)}</td>' for text in facts)
    return [_row(head + cells), *([_row(advice)] if advice else [])]


def _row(cells: str) -> str:
    return f'<tr style="{ROW}">{cells}</tr>'
