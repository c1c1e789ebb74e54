"""Markdown of a submission: rendered as nbconvert does and cleaned, or made safe as a text.

An honest text stays as it is, byte for byte. In others, what a page would run is shown as it was
typed, so that nothing that a student wrote is lost to whoever marks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from jinja2 import pass_context
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from autograder.sanitize.html import PICTURE, TAGS, clean, is_clean

LONGEST = 50_000  # characters, pictures not counted: rendering takes time that grows faster
LARGEST = 10_000_000  # characters of what comes of it
DOT = "data:image/png;base64,AAAA"  # stands for a picture where only the text around it matters
NOTE = (
    "*(Part of this text is shown as it was typed: a page like this one does not run it. "
    "The notebook that was handed in is unchanged.)*\n\n"
)
TAG = re.compile(r"<(?!(?:https?://|mailto:)[^\s<>]*>)(/?)([A-Za-z][\w:-]*|[!?])")
TEX = re.compile(
    r"\\(?=(?:style|cssId|class|bbox|require|mmlToken|csname)(?![A-Za-z])"
    r"|href(?!\s*\{\s*https?://))"
)

Attachments = Mapping[str, Mapping[str, str]]


def render(source: str, attachments: Attachments | None = None) -> str:
    """The HTML of a Markdown text, cleaned. What cannot be rendered is shown as a text."""
    try:
        return clean(_html(source, attachments or {}))
    except Exception:  # mistune on hostile text: RecursionError, a missing attachment
        return f"<pre>{escape(source)}</pre>"


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """In the place of nbconvert's filter of this name."""
    return render(source, context.get("cell", {}).get("attachments", {}))


def safe_markdown(source: str, attachments: Attachments | None = None) -> str:
    """The text itself where it is safe, else one that shows what it cannot be trusted with."""
    attachments = attachments or {}
    if _is_safe(source, attachments):
        return source
    shown = neutralised(source)
    return NOTE + (shown if _is_safe(shown, attachments) else as_text(source))


def _is_safe(source: str, attachments: Attachments) -> bool:
    short = PICTURE.sub(DOT, source)
    if len(short) > LONGEST or TEX.search(short):
        return False
    used = {name: dict.fromkeys(kinds, "AAAA") for name, kinds in attachments.items()}
    total = sum(
        source.count(f"attachment:{name}") * max(map(len, kinds.values()), default=0)
        for name, kinds in attachments.items()
    )
    try:
        return total < LARGEST and is_clean(_html(short, used))
    except Exception:
        return False


def _html(source: str, attachments: Attachments) -> str:
    renderer = IPythonRenderer(escape=False, attachments=attachments)  # type: ignore[arg-type]
    return MarkdownWithMath(renderer=renderer).render(source)


def neutralised(source: str) -> str:
    """The text with unsafe tags and formulas to be read instead of obeyed, pictures as links."""

    def tag(found: re.Match[str]) -> str:
        end = source.find(">", found.end())
        whole = source[found.start() : end + 1] if end >= 0 else ""
        known = found[2].lower() in TAGS and whole and is_clean(f"{whole}")
        return found[0] if known else f"&lt;{found[0][1:]}"

    shown = TAG.sub(tag, source)
    shown = re.sub(r"!(?=\[[^\]\n]*\](?:\(\s*<?\s*https?:))", r"\\!", shown)
    return TEX.sub(r"\\text{\\backslash}", shown)


def as_text(source: str) -> str:
    """The whole text as a block of code, which no fence in it can end."""
    lines = "\n".join(source.replace("\0", "\ufffd").splitlines())
    longest = max((len(run) for run in re.findall(r"`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{lines}\n{fence}\n"
