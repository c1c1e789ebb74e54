"""Checks under many secrets, for tests: what is drawn may decide nothing.

Three are enough for a change of code; after a change of what a check draws, `SECRETS=20 make test`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from autograder import held_back
from trickster.checks import draws
from trickster.checks.result import CheckResult

MANY = int(os.environ.get("SECRETS", "3"))


def under_secrets(
    check: Callable[..., CheckResult], *names: Any, public: bool = True
) -> list[CheckResult]:
    """What a check gives under so many secrets, and first under the public draw."""
    results = [check(*names)] if public else []
    for i in range(MANY):
        with draws.grading_with(bytes([i]) * draws.SHORTEST, held_back.load()):
            results.append(check(*names))
    return results


def the_same(results: list[CheckResult]) -> CheckResult:
    """One of the results, which must agree in the share of every part."""
    shares = [tuple(part.share for part in result.parts) for result in results]
    assert len(set(shares)) == 1, sorted(set(shares))
    return results[-1]
