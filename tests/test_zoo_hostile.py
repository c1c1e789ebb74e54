"""The zoo's hostile and clumsy submissions, graded in one batch: what they get, leave and show.

`make zoo` grades every one. Left out here are those of `make grade`, the untouched ones (of which
`test_labs.py` runs every release), and those whose trick is tried elsewhere.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
import psutil
import pytest
from reference import ROOT

from autograder.course import list_labs
from autograder.grading.execution import require_sandbox
from autograder.records import read
from autograder.sample_class import runner
from autograder.sample_class.runner import GradedSample
from autograder.sample_class.specimen import Specimen
from autograder.sample_class.verdict import AS_EXPECTED

HONEST = ("quiet",)
TRIED_ELSEWHERE = {
    *("ships_the_checkpoint", "patches_the_probes"),  # test_checks_lab1.py
    *("asks_about_clothes", "asks_in_its_clone", "asks_on_after_the_budget"),  # test_checks_lab2.py
    *("counts_its_calls", "counts_its_services"),  # test_checks_cheats.py
    "patches_what_drives_limiters",  # test_canned_answers.py
    *("answers_of_every_shape", "loops_in_call"),  # test_referee_hostile.py
    *("equals_everything", "agrees_with_everything"),  # test_referee_hostile.py
    *("patches_builtins", "returns_subclasses", "exits"),  # test_referee_hostile.py
    *("writes_everywhere", "fills_the_disk", "allocates_50_gb", "kills"),  # test_sandbox.py
    "loops_at_exit",  # test_grading_execution.py; in __del__ and then at exit: here
    "sends_other_clothes",  # test_checks_lab3.py
    "peeks_at_frames",  # test_canned_answers.py
    "calls_out",  # test_sandbox.py
    "answers_later",  # make zoo alone; after a deadline: test_referee_hostile.py
    *("loops_in_cell", "prints_1_gb"),  # test_grading_execution.py, test_referee_hostile.py
    "forks_without_end",  # test_sandbox.py
    "remembers_keys",  # make zoo alone; others that remember: test_checks_lab5.py
    *("works_in_a_copy", "renames_the_notebook", "sends_utf_16"),  # test_grading_file_choice.py
    *("split_and_merged", "deleted_and_reordered", "nbformat_3"),  # test_repair.py
    "colab",  # test_grading_run.py
    "carries_a_table",  # test_checks_cheats.py, test_grading_remarks.py
    *("pastes_the_library", "uses_the_library"),  # test_grading_withheld.py
    *("asks_its_child", "copies_the_library"),  # test_grading_withheld.py
    *("borrows_accuracy", "takes_single_kinds", "joins_two_services"),  # test_withheld.py
    *("asks_its_child", "copies_the_library"),  # test_grading_withheld.py
    *("borrows_accuracy", "joins_two_services", "takes_single_kinds"),  # test_withheld.py
}
SECRET = b"the same in every test run" * 2
GUARDED = ("solutions", "labs", "autograder", "trickster", "datasets")
SHORTEST = 45  # characters of a line of code that gives its source away

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_500)]


class Batch(NamedTuple):
    """What was graded, and the world before and after."""

    folder: Path
    specimens: list[Specimen]
    graded: GradedSample
    before: dict[str, str]
    after: dict[str, str]
    left_running: list[str]


@pytest.fixture(scope="module")
def everybody() -> list[Specimen]:
    return runner.load_specimens(ROOT, whole_zoo=True)


@pytest.fixture(scope="module")
def batch(everybody: list[Specimen], tmp_path_factory: pytest.TempPathFactory) -> Batch:
    require_sandbox()
    decoy = tmp_path_factory.mktemp("another_class") / "gradebook.db"
    decoy.write_text("everybody's marks")
    folder = tmp_path_factory.mktemp("class")
    assert {one.student for one in everybody} > TRIED_ELSEWHERE
    wanted = [one for one in everybody if is_wanted(one)]
    running = set(psutil.pids())
    before = fingerprints(decoy)
    graded = runner.grade_sample(
        ROOT, wanted, workers=1, say=lambda text: None, folder=folder, given=SECRET
    )
    return Batch(folder, wanted, graded, before, fingerprints(decoy), left_running(running))


def is_wanted(specimen: Specimen) -> bool:
    if specimen.kind == "learner":
        return specimen.student in HONEST
    return not specimen.sample and specimen.student not in TRIED_ELSEWHERE


def fingerprints(*more: Path) -> dict[str, str]:
    paths = [path for name in GUARDED for path in (ROOT / name).rglob("*") if path.is_file()]
    paths = [path for path in paths if "__pycache__" not in path.parts]
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [*paths, *more, ROOT / "nbgrader_config.py", ROOT / "course.toml"]
    }


def left_running(before: set[int]) -> list[str]:
    """Kernels and sandboxes that this process has started, or that nobody owns any more."""
    found = psutil.Process().children(recursive=True)
    found += [one for one in psutil.process_iter() if one.pid not in before and one.ppid() == 1]
    lines = []
    for process in found:
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    ours = [line for line in lines if sys.prefix in line]  # another checkout may be grading, too
    return [line for line in ours if re.search("bwrap|ipykernel|autograder|spawn_main", line)]


def lines_of_code(*paths: Path) -> set[str]:
    """Lines that nobody writes twice by chance, and that no check prints."""
    lines = {line.strip() for path in paths for line in path.read_text("utf-8").split("\n")}
    return {line for line in lines if len(line) >= SHORTEST and not line.startswith('"')}


def lines_of_releases() -> set[str]:
    notebooks = [nbformat.read(path, as_version=4) for path in ROOT.glob("labs/*/*.ipynb")]
    cells = [cell for notebook in notebooks for cell in notebook.cells]
    return {line.strip() for cell in cells for line in cell.source.split("\n")}


def pages_of(folder: Path, specimen: Specimen) -> str:
    """All that a student gets to read, as text."""
    page = folder / "feedback" / specimen.student / specimen.lab / f"{specimen.lab}.html"
    if not page.is_file():
        return ""
    text = re.sub("<[^>]*>", "", page.read_text(encoding="utf-8"))
    return html.unescape(text).replace("\\n", "\n")


def escaped(line: str) -> str:
    return json.dumps(line, ensure_ascii=False)[1:-1]


def test_every_verdict_is_exact(batch: Batch) -> None:
    wrong = {key: said for key, said in batch.graded.verdicts.items() if said != AS_EXPECTED}
    assert not wrong


def test_nobody_is_stopped_by_another(batch: Batch) -> None:
    results = {(result.lab, result.student): result for result in batch.graded.results}
    for specimen in batch.specimens:
        result = results[specimen.lab, specimen.student]
        page = batch.folder / "feedback" / specimen.student / specimen.lab
        if specimen.expect.status == "failed":
            assert result.status == "failed" and result.reason
        else:
            assert (page / f"{specimen.lab}.html").is_file(), specimen.student
            receipt = read(batch.folder, specimen.student, specimen.lab)
            assert receipt is not None and receipt.score == pytest.approx(result.score)
            assert not receipt.problems, "a check took a student's trick for its own mistake"


def test_nothing_is_left_running(batch: Batch) -> None:
    assert batch.left_running == []


def test_nothing_outside_the_class_is_touched(batch: Batch) -> None:
    assert batch.after == batch.before


def test_nothing_hidden_is_shown(batch: Batch) -> None:
    checks = lines_of_code(*(ROOT / "trickster" / "checks").glob("*.py"))
    checks -= lines_of_code(ROOT / "trickster" / "checks" / "probes.py")
    checks -= lines_of_code(*(ROOT / "trickster").glob("*.py"))  # the library is shown to all
    released = lines_of_releases()
    sources = lines_of_code(*(ROOT / "solutions").glob("*/lab*.py"))
    solutions = {line for line in sources if not {line, line.removeprefix("# ")} & released}
    assert len(checks) > 500 and len(solutions) > 50
    for specimen in batch.specimens:
        handed_in = json.dumps(specimen.notebook, ensure_ascii=False)
        text = pages_of(batch.folder, specimen)
        seen = {line for line in checks | solutions if line.removeprefix("# ") in text}
        # A text of a solution's, such as a written answer, is a comment in the source alone.
        seen = {line for line in seen if escaped(line.removeprefix("# ")) not in handed_in}
        assert not seen, f"{specimen.student}: {seen}"


def test_who_warns_and_prints_scores_what_the_quiet_one_scores(batch: Batch) -> None:
    points = {
        student: {
            cell.name: cell.points
            for cell in read(batch.folder, student, "lab3_trickster_noise").cells
        }
        for student in ("quiet", "warns_and_prints")
    }
    assert points["quiet"] == points["warns_and_prints"]
    assert sum(value or 0 for value in points["quiet"].values()) == 10


def test_the_zoo_is_as_large_as_promised(everybody: list[Specimen]) -> None:
    labs = {lab.name for lab in list_labs(ROOT)}
    assert {one.lab for one in everybody} == labs, "a lab without a submission in the zoo"
    assert len(everybody) >= 90
    assert sum(one.kind != "learner" for one in everybody) >= 28
