"""Makes text that others wrote, such as the names of their folders, safe to show and to save.

A terminal obeys control characters, a spreadsheet runs what begins like a formula, and some
characters make a text read in another order than it is written.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

JOINERS = "\u200c\u200d"  # unseen, but needed to write Persian, or families of emoji
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format, half a pair or no character, line ends
# A spreadsheet skips blanks and obeys the wide forms too; where commas are decimals, it reads
# what stands behind a semicolon as a cell of its own.
FORMULA = re.compile("(^|[;\t\r\n])(\\s*)(?=[-=+@\uff1d\uff0b\uff0d\uff20])")


def unseen(text: str) -> str:
    """The first character of `text` that cannot be seen, or ""."""
    return next(filter(_is_unseen, text), "")


def visible(text: str, keep: str = "") -> str:
    r"""`text` with each unseen character as its escape, `\x1b`, but for those to `keep`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if c not in keep and _is_unseen(c) else c for c in text)


def visible_json(text: str) -> str:
    """JSON with unseen characters as its own escapes, which read back as the same."""
    if text.isascii():
        return text.replace("\x7f", "\\u007f")
    shown = (json.dumps(c)[1:-1] if c != "\n" and _is_unseen(c) else c for c in text)
    return "".join(shown)


def listed(names: Sequence[str], most: int) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def for_spreadsheet(value: Any) -> Any:
    """A value that no spreadsheet runs: an apostrophe stands before what would be a formula."""
    return FORMULA.sub(r"\1\2'", visible(value)) if isinstance(value, str) else value


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in UNSEEN and character not in JOINERS


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte of a file's name
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
