"""Checks under many secrets, for tests: what is drawn may decide nothing.

Right answers are tried with the public draw and two secrets, which are always the same; wrong ones
with the public draw and one secret, another in each test. That is enough for a change of code;
after a change of what a check draws, `SECRETS=20 make test-all`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

from autograder import held_back
from trickster.checks import draws
from trickster.checks.result import CheckResult

GIVEN = os.environ.get("SECRETS")
MANY = int(GIVEN or 2)  # secrets for a right answer
FEW = int(GIVEN or 1)  # secrets for a wrong answer
SECRETS = [bytes([i]) * draws.SHORTEST for i in range(MANY)]


def secrets_of_this_test() -> list[bytes]:
    """FEW secrets that follow from the name of the test that is running."""
    name = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    return [hashlib.sha256(f"{name} {i}".encode()).digest() for i in range(FEW)]


def under_secrets(
    check: Callable[..., CheckResult], *names: Any, public: bool = True
) -> list[CheckResult]:
    """What a check gives under MANY secrets, and first under the public draw."""
    return _under(SECRETS, check, *names, public=public)


def under_a_secret(
    check: Callable[..., CheckResult], *names: Any, public: bool = True
) -> list[CheckResult]:
    """What a check gives under a secret of this test's own, and first under the public draw."""
    return _under(secrets_of_this_test(), check, *names, public=public)


def _under(
    secrets: list[bytes], check: Callable[..., CheckResult], *names: Any, public: bool
) -> list[CheckResult]:
    results = [check(*names)] if public else []
    for secret in secrets:
        with draws.grading_with(secret, held_back.load()):
            results.append(check(*names))
    return results


def the_same(results: list[CheckResult]) -> CheckResult:
    """One of the results, which must agree in the share of every part."""
    shares = [tuple(part.share for part in result.parts) for result in results]
    assert len(set(shares)) == 1, sorted(set(shares))
    return results[-1]
