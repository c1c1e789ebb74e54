"""The course's secret: made once, told to nobody, and what every road of grading draws from."""

from __future__ import annotations

import json
import os
import pickle
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from test_grading_run import Elsewhere, hand_in, perfect, submission
from toy_course import LAB, REPOSITORY, SOURCE, built_course, make_course

from autograder import nbgrader_api, records
from autograder.authoring.build import build
from autograder.course import SECRET, CourseError
from autograder.grading import secret, single
from autograder.grading.run import grade_class
from autograder.grading.submission import Job
from autograder.held_back import load as held_back
from autograder.records import GradingRecord
from trickster.checks import draws

pytestmark = pytest.mark.usefixtures("graded_here")

# A check that shows what it draws from: at a desk, from what everybody knows.
ASKS = SOURCE.replace(
    "measured = root_sum([1.0, 4.0])\n",
    """from trickster.checks import draws
number = draws.seed("a number") % 1_000
held_back = draws.held_back().pictures is not None
print(f"asked about {number} of {draws.key()}, held back: {held_back}")
assert abs(root_sum([float(number)]) - number**0.5) < 1e-9
measured = root_sum([1.0, 4.0])
""",
)
ASKED = re.compile(r"asked about (\d+) of (\w+), held back: (\w+)")


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy course with that check."""
    root = make_course(tmp_path_factory.mktemp("asking"), ASKS)
    assert build(root, say=lambda text: None) == []
    return root


@pytest.fixture
def course(asking: Path, tmp_path: Path) -> Path:
    """A class of two, outside the repository."""
    for student in ("ann", "ben"):
        hand_in(tmp_path, student, json.dumps({**perfect(asking), "metadata": {"of": student}}))
    return tmp_path


def grade(root: Path, folder: Path, **options: Any) -> list[GradingRecord]:
    return grade_class(root, folder, **{"say": lambda text: None, "workers": 1, **options})


def asked(folder: Path, student: str = "ann") -> tuple[str, ...]:
    """The number that a student was asked about, from which secret, and with what."""
    path = folder / "autograded" / student / LAB / f"{LAB}.ipynb"
    return ASKED.search(path.read_text(encoding="utf-8")).groups()


def key_of(folder: Path) -> str:
    """The hash of what this folder's checks draw from."""
    return secret.hash_of(secret.of_lab(secret.existing(folder), LAB))


def texts(folder: Path) -> str:
    """All that grading has left in a folder beside the secret itself."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != SECRET]
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in paths)


# --- the file -----------------------------------------------------------------------------------


def test_the_first_who_asks_makes_it_and_nobody_after(tmp_path: Path) -> None:
    assert secret.existing(tmp_path) is None and not list(tmp_path.iterdir())
    made = secret.of_course(tmp_path)
    path = tmp_path / SECRET
    text = path.read_text()
    assert len(made) == 32 and text.startswith("#") and text.endswith(f"\n{made.hex()}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret.of_course(tmp_path) == secret.existing(tmp_path) == made
    assert secret.keep(tmp_path, secret.new()) == made and path.read_text() == text
    assert [one.name for one in tmp_path.iterdir()] == [SECRET]


def test_of_many_who_make_it_at_once_all_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(secret.of_course, [tmp_path] * 64))
    assert found == {secret.existing(tmp_path)}
    assert [one.name for one in tmp_path.iterdir()] == [SECRET]


@pytest.mark.parametrize("there", [None, "a" * 64])
def test_a_file_system_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str | None
) -> None:
    def no_link(*_: object) -> None:
        if there:  # another process has been faster
            (tmp_path / SECRET).write_text(there)
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", no_link)
    made = secret.new()
    assert secret.keep(tmp_path, made) == (bytes.fromhex(there) if there else made)
    assert [one.name for one in tmp_path.iterdir()] == [SECRET]


@pytest.mark.parametrize(
    "text", ["", "# nothing but a comment\n", "no hex", "ab" * 15, "é" * 64, f"{'ab' * 32}\n" * 2]
)
def test_a_damaged_file_is_a_sentence_and_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / SECRET).write_text(text)
    with pytest.raises(CourseError, match=r"is damaged: .* Restore it; or remove it"):
        secret.of_course(tmp_path)
    assert (tmp_path / SECRET).read_text() == text


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / SECRET).mkdir()
    with pytest.raises(CourseError, match="secret cannot be read"):
        secret.of_course(tmp_path)


def test_a_file_that_was_copied_from_windows(tmp_path: Path) -> None:
    (tmp_path / SECRET).write_bytes(b"# a comment\r\n\r\n" + b"AB" * 32 + b"\r\n")
    assert secret.existing(tmp_path) == b"\xab" * 32


def test_git_never_sees_it() -> None:
    command = ["git", "check-ignore", "--quiet", SECRET]
    assert subprocess.run(command, cwd=REPOSITORY).returncode == 0


def test_neither_a_job_s_words_nor_its_hash_tell_it() -> None:
    known = secret.new()
    job = Job("lab", "ann", (), "", "", known)
    assert known.hex() not in repr(job) and repr(known) not in repr(job)
    assert secret.hash_of(known) != secret.hash_of(secret.new())
    assert secret.hash_of(known) not in known.hex()
    assert pickle.loads(pickle.dumps(job)) == job != Job("lab", "ann", (), "", "", secret.new())


def test_what_one_lab_shows_says_nothing_of_another() -> None:
    known = secret.new()
    drawn = {secret.of_lab(known, lab) for lab in ("lab3_trickster_noise", "lab4", "lab3")}
    assert len(drawn | {known}) == 4 and all(len(one) >= draws.SHORTEST for one in drawn)


def test_checks_draw_from_it_and_from_what_is_held_back() -> None:
    with secret.drawing(b"s" * 32):
        assert draws.key() == secret.hash_of(b"s" * 32)
        assert draws.held_back() is held_back()
    with secret.drawing(None):
        assert draws.held_back() == draws.HeldBack()


def test_a_student_copy_draws_from_what_it_has() -> None:
    """There, grading must neither fail nor draw from anything public."""
    code = (
        "import sys\n"
        "sys.modules['autograder.held_back'] = None\n"  # importing it fails
        "from autograder.grading import secret\n"
        "from trickster.checks import draws\n"
        "secret.check_held_back()\n"
        "with secret.drawing(b's' * 32):\n"
        "    print(draws.key(), draws.held_back() == draws.HeldBack())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [secret.hash_of(b"s" * 32), "True"], done.stderr


# --- grading --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_whole_class_is_asked_the_same_and_nobody_is_told(asking: Path, course: Path) -> None:
    ann, ben = grade(asking, course)
    assert [record.test_points for record in (ann, ben)] == [6, 6]
    known = secret.existing(course)
    number, key, with_reserve = asked(course)
    assert secret.hash_of(known) == ann.inputs["secret"] == ben.inputs["secret"] != key
    assert asked(course, "ben") == (number, key, "True") and with_reserve == "True"
    with draws.grading_with(secret.of_lab(known, LAB)):
        assert key == draws.key() and int(number) == draws.seed("a number") % 1_000 != 0
    everything = texts(course)
    assert key in everything and known.hex() not in everything
    assert secret.of_lab(known, LAB).hex() not in everything
    assert str(known) not in everything and SECRET not in everything


@pytest.mark.slow
def test_the_same_secret_gives_the_same_bytes(asking: Path, course: Path) -> None:
    def graded() -> tuple[bytes, tuple[object, ...]]:
        (record,) = grade(asking, course, students=["ann"], again=True)
        path = course / "autograded" / "ann" / LAB / f"{LAB}.ipynb"
        return path.read_bytes(), tuple((cell.name, cell.points) for cell in record.cells)

    assert graded() == graded()


@pytest.mark.slow
def test_another_secret_is_said_and_means_grading_anew(asking: Path, course: Path) -> None:
    said: list[str] = []

    def begun(**options: Any) -> list[str]:
        found: list[str] = []
        began = lambda lab, student: found.append(student)  # noqa: E731
        grade(asking, course, began=began, say=said.append, **options)
        return sorted(found)

    assert begun() == ["ann", "ben"] and begun() == []
    assert not [text for text in said if SECRET in text]
    before = asked(course)
    (course / SECRET).unlink()
    assert begun(students=["ann"]) == ["ann"]
    assert [text for text in said if SECRET in text and "grade the whole class" in text]
    assert asked(course, "ann") != before and asked(course, "ben") == before
    assert begun() == ["ben"] and begun() == []
    assert asked(course, "ann") == asked(course, "ben")
    (course / SECRET).unlink()
    said.clear()
    assert begun() == ["ann", "ben"]  # it need not ask for what it does itself
    assert "everybody is graded anew" in " ".join(said)
    assert "grade the whole class" not in " ".join(said)
    (course / SECRET).write_text("")
    with pytest.raises(CourseError, match="is damaged"):
        begun()
    assert records.read(course, "ann", LAB).score == 6


@pytest.mark.slow
def test_nbgrader_s_own_road_draws_from_the_same(asking: Path, course: Path) -> None:
    grade(asking, course, students=["ann"])
    nbgrader_api.autograde(asking, course, LAB, "ben")
    assert asked(course, "ben") == asked(course, "ann")
    begun: list[str] = []
    grade(asking, course, began=lambda lab, student: begun.append(student))
    assert begun == []


@pytest.mark.slow
def test_nbgrader_s_own_road_makes_it_as_well(asking: Path, course: Path) -> None:
    grade(asking, course, students=["ann"])
    (course / SECRET).unlink()
    nbgrader_api.autograde(asking, course, LAB, "ben")
    assert asked(course, "ben")[1] == key_of(course)


@pytest.mark.slow
def test_it_travels_to_any_executor(asking: Path, course: Path, tmp_path: Path) -> None:
    """Where the course folder is not to be found."""
    away = tmp_path.with_name("elsewhere")
    away.mkdir()
    grade(asking, course, students=["ann"], executor=Elsewhere(away, course))
    assert asked(course)[1] == key_of(course)


@pytest.mark.slow
def test_what_is_held_back_must_be_whole(
    asking: Path, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every submission would fail, and lose its score."""

    def damaged() -> draws.HeldBack:
        raise CourseError("it is damaged")

    grade(asking, course, students=["ann"])
    monkeypatch.setattr(secret, "_held_back", damaged)
    with pytest.raises(CourseError, match="it is damaged"):
        grade(asking, course, students=["ann"], again=True)
    assert records.read(course, "ann", LAB).score == 6


# --- one's own notebook -------------------------------------------------------------------------


def own_grade(root: Path, path: Path) -> tuple[tuple[str, ...], str]:
    said: list[str] = []
    graded = single.grade_notebook(root, path, say=said.append)
    assert graded.record.test_points == 6
    return ASKED.search(json.dumps(graded.notebook)).groups(), " ".join(said)


@pytest.mark.slow
def test_a_learner_alone_gets_a_draw_of_their_own(asking: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{LAB}.ipynb"
    path.write_text(json.dumps(perfect(asking)), encoding="utf-8")
    # A student's own file is no course's secret, wherever it lies.
    (tmp_path / SECRET).write_text("ab" * 32)
    (one, said), (other, _) = own_grade(asking, path), own_grade(asking, path)
    theirs = secret.hash_of(secret.of_lab(b"\xab" * 32, LAB))
    assert one != other and theirs not in (one[1], other[1])
    assert "for this run alone" in said and secret.existing(asking) is None


@pytest.mark.slow
def test_one_notebook_of_a_class_is_asked_what_the_class_was(asking: Path, course: Path) -> None:
    grade(asking, course, students=["ann"])
    folder = course / "submitted" / "ben" / LAB
    (folder / SECRET).write_text("ab" * 32)
    found, said = own_grade(asking, folder / f"{LAB}.ipynb")
    assert found == asked(course)
    assert str(course / SECRET) in said and "the course's secret" in said


def test_a_class_in_the_repository_keeps_its_secret_there(tmp_path: Path) -> None:
    root = built_course(tmp_path / "course")
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps(submission(root)))
    assert single.course_folder(root, path) == root
    handed_in = root / "submitted" / "ann" / LAB / f"{LAB}.ipynb"
    assert single.course_folder(tmp_path, handed_in) == root
