"""What a learner reads of a check's result, for tests."""

from __future__ import annotations

import re
from html import unescape

from trickster.checks.result import CheckResult


def in_words(result: CheckResult) -> str:
    """Everything that the result says, on one line."""
    assert isinstance(result, CheckResult), result
    return " ".join(result.as_text().split())


def words_of(html: str) -> str:
    """The words of a page or a table, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
