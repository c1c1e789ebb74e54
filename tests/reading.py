"""What a learner reads: a check's result, a page, and the browser that shows it, for tests."""

from __future__ import annotations

import re
import shutil
from html import unescape

from trickster.checks.result import CheckResult

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


def in_words(result: CheckResult) -> str:
    """Everything that the result says, on one line."""
    assert isinstance(result, CheckResult), result
    return " ".join(result.as_text().split())


def words_of(html: str) -> str:
    """The words of a page or a table, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
