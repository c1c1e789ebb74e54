"""What the instructor alone is told of a submission: remarks of checks, and pasted data."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from reference import ROOT
from test_grading_run import ROOT_SUM, hand_in, submission
from toy_course import LAB, SOURCE, make_course

from autograder import nbgrader_api, records
from autograder.authoring.build import build
from autograder.authoring.source import build_notebook
from autograder.cells import role
from autograder.course import list_labs, read_course
from autograder.grading import code_remarks
from autograder.grading.bounded import Bounds
from autograder.grading.code_remarks import MOST_CODE, MOST_DATA, literals, remarks_on
from autograder.grading.run import grade_class
from autograder.records import CellRecord, GradingRecord
from autograder.sample_class.runner import load_specimens
from autograder.sample_class.specimen import solved

pytestmark = pytest.mark.usefixtures("graded_here")

REMARK = "Nobody guesses 3 that well."
CHECK = """\
from trickster.checks.result import check


@check("Exercise 1", 4)
def sums(sheet, root_sum):
    with sheet.part("of two numbers", 4) as part:
        part.expect(root_sum([1.0, 4.0]) == 3, "measured", "3")
        sheet.tell_instructor(" ".join(["Nobody", "guesses", "3", "that", "well."]))


sums(root_sum)
"""
SOURCE = SOURCE[: SOURCE.index("measured = root_sum")] + (
    CHECK + "\n# %% [markdown]\n# ## Exercise 2" + SOURCE.split("# ## Exercise 2")[1]
)
RANDOM = np.random.default_rng(1)
TABLE = RANDOM.bytes(20_000)  # 5,000 pictures, four bytes of a hash each
CENTRES = RANDOM.integers(0, 256, (256, 16))
TEXT = base64.b64encode(TABLE).decode()


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, GradingRecord]]:
    root = make_course(tmp_path_factory.mktemp("remarks"), SOURCE)
    assert build(root, say=lambda text: None) == []
    answers = {
        "honest": ROOT_SUM,
        "table": f"KNOWN = {TABLE!r}\n{ROOT_SUM}",
        "wrong": "def root_sum(values, start=0.0):\n    return 7",
    }
    for student, answer in answers.items():
        hand_in(root, student, json.dumps(submission(root, root_sum=answer)))
    results = grade_class(root, root, workers=1, say=lambda text: None)
    return root, {result.student: result for result in results}


def told(graded: tuple[Path, dict[str, GradingRecord]], student: str) -> list[str]:
    root, results = graded
    receipt = records.read(root, student, LAB)
    assert receipt.suspicious == results[student].suspicious
    return receipt.suspicious


@pytest.mark.slow
def test_a_check_tells_the_instructor_and_nobody_else(graded: Any) -> None:
    root, results = graded
    for student in ("honest", "wrong"):
        assert told(graded, student) == [f"root_sum_test: {REMARK}"]
    assert [results[student].test_points for student in ("honest", "wrong")] == [4, 0]
    for name in ("report.html", "scores.csv", "scores.json"):
        assert REMARK in (root / name).read_text(encoding="utf-8"), name
    assert REMARK in results["honest"].remark
    for folder in ("feedback", "autograded"):
        pages = [path for path in (root / folder).rglob("*") if path.is_file()]
        assert len(pages) == 3
        for path in pages:
            assert REMARK not in path.read_text(encoding="utf-8"), path


@pytest.mark.slow
def test_a_table_is_told_and_costs_nothing(graded: Any) -> None:
    root, results = graded
    (sentence,) = [one for one in told(graded, "table") if "KB of data" in one]
    assert sentence.startswith("Its code holds 20.") and results["table"].test_points == 4
    assert "KB of data" in (root / "report.html").read_text(encoding="utf-8")
    for folder in ("feedback", "autograded"):
        assert "KB of data" not in "".join(
            path.read_text() for path in (root / folder / "table").rglob("*.[ih]*")
        )


LOOKS = """
import os, pathlib
WORD = "a word that lies " + "outside of code"
seen = [text for text in In[:-1] if WORD in text]
for place in ("/tmp", "/run", "/course/trickster", os.path.expanduser("~")):
    for folder, _, files in os.walk(place):
        for name in files:
            try:
                found = pathlib.Path(folder, name).read_bytes()
            except OSError:
                continue
            seen += [folder + name] if WORD.encode() in found else []
seen += [name for name in os.environ.values() if WORD in name]
for place in ("/proc/self/cmdline", "/proc/1/cmdline"):
    seen += [place] if WORD.encode() in open(place, "rb").read() else []
print("looked, and found", seen)
"""


@pytest.mark.slow
def test_what_lies_outside_of_code_is_no_data_for_it(graded: Any) -> None:
    """Texts, attachments, outputs, metadata and files beside a notebook are not in the sandbox."""
    root, _ = graded
    word = "a word that lies outside of code"
    notebook = submission(root, root_sum=LOOKS + ROOT_SUM)
    picture = {"text/plain": word, "image/png": base64.b64encode(word.encode()).decode()}
    text = nbformat.v4.new_markdown_cell(f"# {word}", attachments={"known.png": picture})
    text.metadata["known"] = word
    notebook.cells.insert(0, text)
    notebook.metadata["known"] = {"known": word}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("display_data", data={"text/plain": word})]
            cell.metadata["known"] = word
    hand_in(root, "outside", json.dumps(notebook))
    hand_in(root, "outside", word, "known.csv")
    (result,) = grade_class(root, root, students=["outside"], workers=1, say=lambda text: None)
    assert result.test_points == 4 and result.code_remarks == ()
    notebook = (root / "autograded" / "outside" / LAB / f"{LAB}.ipynb").read_text()
    assert "looked, and found []" in notebook


@pytest.mark.slow
def test_nbgrader_s_own_road_tells_the_same(graded: Any) -> None:
    root, results = graded
    nbgrader_api.autograde(root, root, LAB, "table")
    again = records.read(root, "table", LAB)
    assert (again.suspicious, again.remark) == (
        results["table"].suspicious,
        results["table"].remark,
    )


def test_remarks_survive_their_record_and_an_older_one_has_none(tmp_path: Path) -> None:
    cell = CellRecord("a", "test", 1.0, 2.0, remarks=("One.", "Two."))
    record = GradingRecord("lab1", "ann", "graded", 2.0, (cell,), code_remarks=("Three.",))
    records.write(tmp_path, record)
    assert records.read(tmp_path, "ann", "lab1") == record
    assert record.suspicious == ["a: One.", "a: Two.", "Three."]
    found = json.loads(records.path_of(tmp_path, "ann", "lab1").read_text())
    del found["code_remarks"], found["cells"][0]["remarks"]
    assert records.from_dict(found).suspicious == []


# --- how much data a notebook's code carries ------------------------------------------------------


def notebook_of(*sources: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])


def names_from(data: bytes) -> str:
    return "\n".join(f"n{data[i : i + 8].hex()} = 1" for i in range(0, len(data), 8))


@pytest.mark.parametrize(
    "source",
    [
        f"KNOWN = {TABLE!r}",
        f"KNOWN = '{TEXT}'",
        f"KNOWN = {list(TABLE)}",
        f"KNOWN = {set(np.frombuffer(TABLE, 'u4').tolist())}",
        f"KNOWN = 0x{TABLE.hex()}",
        f"KNOWN = {CENTRES.tolist()}",
        f"KNOWN = {(CENTRES / 256).round(3).tolist()}",
        f"KNOWN = {[bool(byte & 1) for byte in TABLE + TABLE]}",
        "KNOWN = (" + "\n".join(repr(TEXT[i : i + 60]) for i in range(0, len(TEXT), 60)) + ")",
        f"KNOWN = f'{TEXT}' % ()\n",
        f"%%writefile known.txt\n{TEXT}",
        f"import os\n!echo {TEXT} > known.txt",
        f"%time KNOWN = '{TEXT}'",
        f"def unfinished(:\n    '{TEXT}'",
        # Code can read its own comments, documentation and names: In[-1], __doc__, dir().
        f"# {TEXT}\nKNOWN = In[-1]",
        f"def known():\n    '''{TEXT}'''",
        names_from(TABLE),
    ],
    ids=lambda source: source[:24],
)
def test_however_a_table_is_written_it_is_told(source: str) -> None:
    (sentence,) = remarks_on(notebook_of("import numpy as np", source))
    assert "KB" in sentence


@pytest.mark.parametrize(
    "source",
    [
        "KNOWN = [0] * 1_000_000",
        f"KNOWN = {[0.5] * 20_000}",
        "'''" + "A long explanation of what this does. " * 1_000 + "'''",
        "\n".join(f"# Line {i}: what the next line does, in some words." for i in range(300)),
        "%matplotlib inline\nimport numpy as np\n!pip list",
    ],
    ids=lambda source: source[:24],
)
def test_what_is_long_and_says_little_is_not_told(source: str) -> None:
    assert remarks_on(notebook_of(source)) == ()


def test_solutions_and_the_zoo_s_honest_submissions_stay_far_below() -> None:
    """What was measured for the limits: a third of them at most."""
    course = read_course(ROOT)
    notebooks = [build_notebook(lab, course) for lab in list_labs(ROOT)]
    notebooks += [
        one.notebook for one in load_specimens(ROOT, whole_zoo=True) if one.kind == "learner"
    ]
    assert len(notebooks) > 50
    for notebook in notebooks:
        cells = [
            cell.source
            for cell in notebook.cells
            if cell.cell_type == "code" and role(cell) not in ("test", "provided")
        ]
        data = zlib.compress(b"\n".join(map(literals, cells)), 9)
        code = zlib.compress("\n".join(cells).encode(), 9)
        assert len(data) < MOST_DATA / 3 and len(code) < MOST_CODE / 3


def test_a_solution_of_the_course_that_is_handed_in_is_told() -> None:
    """Marks, schemes and all; the same answers without them may be anybody's."""
    course = read_course(ROOT)
    lab = list_labs(ROOT)[1]
    source = build_notebook(lab, course)
    (sentence,) = remarks_on(source)
    assert "only the course's own solutions have (BEGIN SOLUTION): collect, " in sentence
    assert sentence.endswith(" more.")
    release = nbformat.read(lab.release, as_version=4)
    assert remarks_on(solved(source, release)) == () == remarks_on(release)


def test_what_the_course_wrote_does_not_count() -> None:
    notebook = notebook_of(f"KNOWN = '{TEXT}'")
    meta = {"grade_id": "a", "solution": False, "grade": False, "locked": True}
    notebook.cells[0].metadata["nbgrader"] = meta
    assert role(notebook.cells[0]) == "provided" and remarks_on(notebook) == ()


def test_a_text_that_takes_for_ever_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_remarks, "LOOKING", Bounds("Looking", computing=1, waiting=60))
    monkeypatch.setattr(code_remarks, "_remarks", lambda cells, withheld: spin())
    (sentence,) = remarks_on(notebook_of("x = 1"))
    assert sentence.startswith("Looking takes more than 1 s")


def spin() -> None:
    while True:
        pass


DETECTOR = "detector.fit(statistics(scenario.pool('noise', 1_500)), labels)"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def lie(p, f, key):\n    return np.roll(p, abs(hash(key)) % 9 + 1)", "Python's hash"),
        (DETECTOR.replace("noise", "shapes"), "name the shapes"),
        ("names = ('noise', 'shapes')\ndetector = train(map(scenario.pool, names))", "the shapes"),
        (
            "def make_outliers(honest, seed):\n    return np.maximum(honest, shapes(seed)[0])",
            "pes,",
        ),
        # What honest code does.
        (DETECTOR, ""),
        ("x, _, _ = shapes(0)\nprint(np.mean(score(x) < threshold))", ""),
        ("class Key:\n    def __hash__(self):\n        return 1\nhashlib.sha256(key)", ""),
    ],
)
def test_what_no_test_of_an_exercise_can_see_is_told(source: str, words: str) -> None:
    withheld = ("trickster.defenses.KeyedLie", "trickster.ood.OutlierExposure")
    found = remarks_on(notebook_of("def make_outliers(honest, seed): ...", source), withheld)
    assert len(found) == bool(words) and words in " ".join(found)
    assert remarks_on(notebook_of(source), ["trickster.limiters.TokenBucket"]) == ()
