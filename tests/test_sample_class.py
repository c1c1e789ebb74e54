"""The course's own class, graded end to end: every verdict is the one it must get."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from reference import ROOT
from test_labs import TOTAL

# Some of two labs, so that the tests stay quick; `make grade` grades the whole zoo, and
# test_zoo_hostile whoever is not an ordinary learner.
LABS = ("lab1_train_victim", "lab2_steal_it")
STUDENTS = ("perfect", "other_way", "partial", "untouched")
CLASS = ROOT / "build" / "sample_class"


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The lines that `sample` prints, and its results."""
    out = tmp_path_factory.mktemp("sample") / "results.json"
    command = [sys.executable, "-m", "autograder", "sample", "--workers", "2", "--json", str(out)]
    command += [word for lab in LABS for word in ("--lab", lab)]
    command += [word for student in STUDENTS for word in ("--student", student)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout, json.loads(out.read_text(encoding="utf-8"))


pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def test_every_verdict_is_as_expected(graded):
    said, _ = graded
    assert "WRONG" not in said and "as expected" in said


@pytest.mark.parametrize("lab", LABS)
def test_marks_feedback_and_export_of_a_lab(graded, lab):
    _, results = graded
    rows = {row["student"]: row for row in results if row["lab"] == lab}
    assert set(rows) == set(STUDENTS)
    assert rows["perfect"]["score"] == rows["other_way"]["score"] == TOTAL[lab]
    assert rows["untouched"]["score"] == 0
    for student in rows:
        page = CLASS / "feedback" / student / lab / f"{lab}.html"
        assert page.is_file(), page
    lines = (CLASS / "scores.csv").read_text(encoding="utf-8").split("\n")
    perfect = [line for line in lines if lab in line and re.search(r"\bperfect\b", line)]
    assert len(perfect) == 1 and str(TOTAL[lab]) in perfect[0]
