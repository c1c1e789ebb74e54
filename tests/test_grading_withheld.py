"""The library's answer is no answer in grading either, where a student's code runs elsewhere."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import nbformat
import pytest
from reading import words_of
from test_grading_run import hand_in, submission
from toy_course import LAB, SOURCE, cell_of, make_course

from autograder import nbgrader_api, records
from autograder.authoring.build import build
from autograder.grading.run import grade_class
from autograder.records import GradingRecord
from trickster import ood
from trickster.withheld import Withheld

CHECK = """\
import numpy as np

from trickster.checks.result import check


@check("Exercise 1", 4, withholds=("trickster.ood.score_msp", "trickster.ood.score_knn"))
def scores(sheet, root_sum):
    posteriors = np.array([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]])
    for name in ("the formula", "again"):
        with sheet.part(name, 2) as part:
            got = np.asarray(root_sum(posteriors))
            part.expect(np.allclose(got, [0.7, 0.4]), f"{got}", "the largest of each row")


scores(root_sum)
"""
SOURCE = SOURCE[: SOURCE.index("measured = root_sum")] + (
    CHECK + "\n# %% [markdown]\n# ## Exercise 2" + SOURCE.split("# ## Exercise 2")[1]
)
OWN = "def root_sum(p):\n    return p.max(axis=1)"
ALIAS = "from trickster.ood import score_msp as root_sum"
REFUSED = {  # more ways: in test_withheld.py
    "imports": ALIAS,
    "replaces": f"{ALIAS}\nimport trickster.ood\ntrickster.ood.score_msp = lambda p: p",
    "deletes": f"{ALIAS}\nimport trickster.ood\ndel trickster.ood.score_msp",
    "reimports": f"{ALIAS}\nimport sys\ndel sys.modules['trickster.ood']",
    "code": "import types, trickster.ood as o\n"
    "root_sum = types.FunctionType(o.score_msp.__code__, vars(o))",
    "thread": f"{ALIAS} \nimport concurrent.futures as c\npool = c.ThreadPoolExecutor(1)\n"
    "msp = root_sum\ndef root_sum(p):\n    return pool.submit(msp, p).result()",
}
REFUSED |= {
    "copies": "import shutil\nshutil.copy('/course/trickster/ood.py', '/tmp/work/mine.py')\n"
    "from mine import score_msp as root_sum",
    "reads": "import inspect, trickster.ood as o\nnames = {}\n"
    "exec(inspect.getsource(o.score_msp), vars(o) | names, names)\nroot_sum = names['score_msp']",
    "loads": "import sys\ndef root_sum(p):\n    sys.modules.pop('trickster.ood', 0)\n"
    "    from trickster.ood import score_msp\n    return score_msp(p)",
}
PASTED = inspect.getsource(ood.score_knn)
AROUND = {
    "pastes": f"import numpy as np\nfrom trickster.ood import unit_rows\n{PASTED}\n{OWN}",
    "rewrites": "import inspect, trickster.ood as o\nnames = {}\n"
    "exec(inspect.getsource(o.score_msp).replace('posteriors', 'p'), vars(o), names)\n"
    "root_sum = names['score_msp']",
    "forks": "import os, pickle\nfrom trickster.ood import score_msp\n"
    "(r1, w1), (r2, w2) = os.pipe(), os.pipe()\n"
    "if os.fork() == 0:\n    asked, answers = os.fdopen(r1, 'rb'), os.fdopen(w2, 'wb')\n"
    "    while True:\n        pickle.dump(score_msp(pickle.load(asked)), answers)\n"
    "        answers.flush()\n"
    "to_child, from_child = os.fdopen(w1, 'wb'), os.fdopen(r2, 'rb')\n"
    "def root_sum(p):\n    pickle.dump(p, to_child)\n    to_child.flush()\n"
    "    return pickle.load(from_child)",
    "hands_over": "import os, pickle, threading\nfrom trickster.ood import score_msp\n"
    "(r1, w1), (r2, w2) = os.pipe(), os.pipe()\n"
    "def serve():\n    asked, answers = os.fdopen(r1, 'rb'), os.fdopen(w2, 'wb')\n"
    "    while True:\n        pickle.dump(score_msp(pickle.load(asked)), answers)\n"
    "        answers.flush()\n"
    "if os.fork() == 0:\n    one = threading.Thread(target=serve)\n    one.start()\n"
    "    one.join()\n"
    "to_child, from_child = os.fdopen(w1, 'wb'), os.fdopen(r2, 'rb')\n"
    "def root_sum(p):\n    pickle.dump(p, to_child)\n    to_child.flush()\n"
    "    return pickle.load(from_child)",
    "takes_turns": "import os, pickle, time\nfrom trickster.ood import score_msp\n"
    "pipes = []\n"
    "for _ in range(8):\n    (r1, w1), (r2, w2) = os.pipe(), os.pipe()\n"
    "    if os.fork() == 0:\n        asked, answers = os.fdopen(r1, 'rb'), os.fdopen(w2, 'wb')\n"
    "        while True:\n            pickle.dump(score_msp(pickle.load(asked)), answers)\n"
    "            answers.flush()\n"
    "    pipes.append((os.fdopen(w1, 'wb'), os.fdopen(r2, 'rb')))\n"
    "def root_sum(p):\n    to_child, from_child = pipes[0]\n    pipes.append(pipes.pop(0))\n"
    "    time.sleep(2)\n    pickle.dump(p, to_child)\n    to_child.flush()\n"
    "    return pickle.load(from_child)",
    "finds": "import gc\nfrom trickster.ood import score_msp as root_sum\n"
    "for kind in gc.get_objects():\n"
    "    if isinstance(kind, type) and kind.__name__ == 'Agent':\n"
    "        kind._withhold = lambda self, names: None",
    "starts": "import subprocess, sys, json, numpy as np\n"
    "CODE = 'import sys, json, numpy as np; from trickster.ood import score_msp; '\\\n"
    "    'print(json.dumps(score_msp(np.array(json.load(sys.stdin))).tolist()))'\n"
    "def root_sum(p):\n    found = subprocess.run([sys.executable, '-c', CODE], text=True,\n"
    "        input=json.dumps(p.tolist()), capture_output=True).stdout\n"
    "    return np.array(json.loads(found))",
    "unlocks": "import trickster.withheld as w, contextlib\nfrom trickster.ood import score_msp\n"
    "w.refusing = lambda *given, **named: contextlib.nullcontext()\nroot_sum = score_msp",
}
TOLD = {
    "pastes": "repeats trickster.ood.score_knn word for word",
    "rewrites": "uses exec, inspect",
    "forks": "uses fork",
    "hands_over": "uses fork",
    "takes_turns": "uses fork",
    "finds": "uses Agent, _withhold, get_objects",
    "starts": "uses subprocess",
    "unlocks": "uses refusing, withheld",
}
COUNTED = {
    "own": OWN,
    "another": "from trickster import defenses\ndef root_sum(p):\n"
    "    return (p * defenses.hard_labels(p)).sum(axis=1)",
    "loads_data": "from torch.utils.data import DataLoader\n"
    "loader = DataLoader(range(8), num_workers=2, persistent_workers=True)\n"
    "print(len(list(loader)))\n"
    "def root_sum(p):\n    return p.max(axis=1)",
    "falls_back": "from trickster.ood import score_msp\ndef root_sum(p):\n"
    "    try:\n        return score_msp(p)\n    except Exception:\n        return p.max(axis=1)",
}
SENTENCE = (
    "Withheld: trickster.ood.score_msp is the library's, and this exercise asks for your own."
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("graded_here")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_course(tmp_path_factory.mktemp("withheld"), SOURCE)
    assert build(root, run=False, say=lambda text: None) == []
    return root


@pytest.fixture(scope="module")
def graded(root: Path) -> dict[str, GradingRecord]:
    for student, answer in {**REFUSED, **COUNTED, **AROUND}.items():
        hand_in(root, student, json.dumps(submission(root, root_sum=answer)))
    found = grade_class(root, root, workers=1, say=lambda text: None)
    return {record.student: record for record in found}


@pytest.mark.parametrize("student", REFUSED)
def test_however_it_is_reached_it_gives_no_points(
    root: Path, graded: dict[str, GradingRecord], student: str
) -> None:
    record = graded[student]
    assert record.test_points == 0 and not record.problems and not record.stopped
    (cell, *_) = record.cells
    if student == "deletes":
        assert "has no attribute 'score_msp'" in cell.note
        return
    first, again = cell.parts
    assert first.advice.startswith(SENTENCE) and again.advice == Withheld.plain
    notebook = nbformat.read(root / "autograded" / student / LAB / f"{LAB}.ipynb", as_version=4)
    (output,) = cell_of(notebook, "root_sum_test").outputs
    shown = words_of(output.data["text/html"])
    assert shown.count("Withheld:") == 1 and "Traceback" not in shown
    page = root / "feedback" / student / LAB / f"{LAB}.html"
    assert words_of(page.read_text(encoding="utf-8")).count(SENTENCE) == 1


@pytest.mark.parametrize("student", COUNTED)
def test_one_s_own_work_counts_and_nobody_is_told(
    graded: dict[str, GradingRecord], student: str
) -> None:
    assert graded[student].test_points == 4 and graded[student].suspicious == []


@pytest.mark.parametrize("student", AROUND)
def test_what_gets_past_it_is_told(
    root: Path, graded: dict[str, GradingRecord], student: str
) -> None:
    """In a process of one's own, one can do what one likes: these get their points."""
    record = graded[student]
    assert record.test_points == 4
    *measured, sentence = record.suspicious
    assert TOLD[student] in sentence and sentence in record.remark
    assert len(measured) == ("fork" in AROUND[student])
    if measured:
        assert "had started before computed, or ended, during root_sum_test" in measured[0]
    page = root / "feedback" / student / LAB / f"{LAB}.html"
    assert sentence not in words_of(page.read_text(encoding="utf-8"))


def test_nbgrader_s_own_road_withholds_the_same_and_tells_the_same(
    root: Path, graded: dict[str, GradingRecord]
) -> None:
    for student in ("imports", "pastes"):
        nbgrader_api.autograde(root, root, LAB, student)
        found = records.read(root, student, LAB)
        assert found.cells[0].parts == graded[student].cells[0].parts
        assert found.suspicious == graded[student].suspicious
