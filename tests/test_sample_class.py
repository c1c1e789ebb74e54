"""The small class of `make grade`, end to end: verdicts, marks, feedback and export."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from reference import ROOT

from autograder.course import list_labs

LABS = [lab.name for lab in list_labs(ROOT)]
CLASS = ROOT / "build" / "sample_class"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """What `sample` prints, and its results."""
    out = tmp_path_factory.mktemp("sample") / "results.json"
    words = ["--workers", "2", "--json", str(out), "--secret", "ab" * 32]  # in every test run
    command = [sys.executable, "-m", "autograder", "sample", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout, json.loads(out.read_text(encoding="utf-8"))


def test_every_verdict_is_as_expected(graded):
    printed, results = graded
    assert {row["verdict"] for row in results} == {"as expected"}
    assert sum(0 < (row["score"] or 0) < row["maximum"] for row in results) >= len(LABS)
    assert {row["status"] for row in results} >= {"graded", "failed"}
    assert "WRONG" not in printed and "build/sample_class/report.html" in printed
    assert (CLASS / "report.html").is_file()


@pytest.mark.parametrize("lab", LABS)
def test_marks_feedback_and_export_of_a_lab(graded, lab):
    _, results = graded
    rows = {row["student"]: row for row in results if row["lab"] == lab}
    perfect = rows["perfect"]
    assert perfect["score"] == perfect["maximum"]
    for student, row in rows.items():
        page = CLASS / "feedback" / student / lab / f"{lab}.html"
        assert page.is_file() != (row["status"] == "failed"), page
    lines = (CLASS / "scores.csv").read_text(encoding="utf-8").split("\n")
    (line,) = [line for line in lines if line.startswith(f"perfect,{lab},")]
    assert f"{perfect['maximum']:.1f}" in line
