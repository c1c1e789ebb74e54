"""A lab of the class of `make grade`, end to end: verdicts, marks, feedback and export.

`.ci/run` grades the whole class after the tests, where there is time left.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from reference import ROOT

LABS = ["lab6_exact_theft"]  # the quickest
CLASS = ROOT / "build" / "sample_class"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """What `sample` prints, and its results."""
    out = tmp_path_factory.mktemp("sample") / "results.json"
    words = ["--json", str(out), "--secret", "ab" * 32]  # the same secret in every test run
    words += [word for lab in LABS for word in ("--lab", lab)]
    command = [sys.executable, "-m", "autograder", "sample", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout, json.loads(out.read_text(encoding="utf-8"))


def test_every_verdict_is_as_expected(graded):
    printed, results = graded
    assert {row["verdict"] for row in results} == {"as expected"}
    assert sum(0 < (row["score"] or 0) < row["maximum"] for row in results) >= len(LABS)
    assert {row["status"] for row in results} == {"graded"}
    assert "WRONG" not in printed and "build/sample_class/report.html" in printed
    assert (CLASS / "report.html").is_file()


@pytest.mark.parametrize("lab", LABS)
def test_marks_feedback_and_export_of_a_lab(graded, lab):
    _, results = graded
    rows = {row["student"]: row for row in results if row["lab"] == lab}
    perfect = rows["perfect"]
    assert perfect["score"] == perfect["maximum"]
    for student in rows:
        page = CLASS / "feedback" / student / lab / f"{lab}.html"
        assert page.is_file(), page
    lines = (CLASS / "scores.csv").read_text(encoding="utf-8").split("\n")
    (line,) = [line for line in lines if line.startswith(f"perfect,{lab},")]
    assert f"{perfect['maximum']:.1f}" in line
