"""A class whose gradebook is in a real PostgreSQL server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgresql import server
from reference import ROOT
from sqlalchemy import text
from test_grading_run import ANSWER, hand_in, perfect, rows_of, submission
from toy_course import LAB, built_course

from autograder import formgrader, nbgrader_api
from autograder.course import CourseError
from autograder.database import LONGEST_NAME, Database, database
from autograder.grading.run import grade_class, publish

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("graded_here")]
OPEN = """
import sys
from pathlib import Path
from autograder import nbgrader_api
with nbgrader_api.open_gradebook(Path(sys.argv[1])) as gradebook:
    print(len(gradebook.students))
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with server() as url:
        root = built_course(tmp_path_factory.mktemp("postgresql") / "course")
        with (root / "nbgrader_config.py").open("a") as file:
            file.write(f"\nc.CourseDirectory.db_url = {url!r}\n")
        yield root


def connections(place: Database) -> int:
    with place.connected() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return connection.execute(text(query)).scalar()


def grade(root: Path, **hooks: Any) -> dict:
    return {record.student: record for record in grade_class(root, root, workers=1, **hooks)}


def test_two_programs_make_the_tables_at_once(course: Path) -> None:
    assert not database(course).exists
    command = [sys.executable, "-c", OPEN, str(course)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for program in both:
        output, errors = program.communicate()
        assert (program.returncode, output) == (0, b"0\n"), errors.decode()
    assert database(course).exists


def test_a_class_is_graded_there_and_nowhere_else(course: Path) -> None:
    place, seen, begun = database(course), [], []
    hand_in(course, "ann", json.dumps(perfect(course)))
    odd = submission(course, **ANSWER, why="\0 is no text for PostgreSQL, \U0001f600 is.")
    hand_in(course, "Zoë O'Brien", json.dumps(odd))
    hand_in(course, "x" * (LONGEST_NAME + 1), json.dumps(submission(course, **ANSWER)))
    found = grade(
        course,
        step=lambda done, total, record: seen.append(connections(place)),
        began=lambda lab, student: begun.append(student),
    )
    too_long = found.pop("x" * (LONGEST_NAME + 1))
    assert too_long.status == "failed" and "up to 128 characters: shorten it" in too_long.reason
    assert {student: record.score for student, record in found.items()} == {
        "ann": 6, "Zoë O'Brien": 4,
    }  # fmt: skip
    assert max(seen) <= 2  # the run's lock, and the one that counts
    assert connections(place) == 1
    assert not list(course.rglob("*.db"))
    again = grade(course, began=lambda lab, student: begun.append(student))
    assert sorted(begun) == ["Zoë O'Brien", "ann"] and again["ann"].score == 6


def test_one_writer(course: Path) -> None:
    with database(course).only_writer(), pytest.raises(CourseError, match="Another run is writ"):
        grade(course)
    assert grade(course)["ann"].score == 6


def test_formgrader_marks_and_publish_tells(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN", "token")
    port = 18_000 + os.getpid() % 10_000

    def asked(path: str, method: str = "GET", **values: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/formgrader/api/{path}",
            json.dumps(values).encode() if values else None,
            {"Authorization": "token token"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    words, environ = formgrader.command(course, port, False), formgrader.environment(course)
    jupyter = subprocess.Popen(words, env=environ, cwd=course, start_new_session=True)
    try:
        while not formgrader._answers(port):
            assert jupyter.poll() is None
            time.sleep(0.2)
        rows = asked(f"submissions/{LAB}")
        assert {row["student"]: row["score"] for row in rows if row["autograded"]} == {
            "ann": 6, "Zoë O'Brien": 4,
        }  # fmt: skip
        with nbgrader_api.open_gradebook(course) as gradebook:
            grade = gradebook.find_grade("why", LAB, LAB, "ann").id
        asked(f"grade/{grade}", "PUT", manual_score=2.5)
    finally:
        os.killpg(jupyter.pid, signal.SIGKILL)
        jupyter.wait()
    found = {record.student: record for record in publish(course, course, 1, say=str)}
    assert (found["ann"].score, found["ann"].status) == (8.5, "graded")
    assert rows_of(course)["ann"]["score"] == "8.5"
    assert not list(course.rglob("*.db"))


def test_a_text_that_no_column_holds_is_told(course: Path) -> None:
    with (
        pytest.raises(nbgrader_api.NbgraderError, match="cannot be read or written: value too lo"),
        nbgrader_api.open_gradebook(course) as gradebook,
    ):
        gradebook.update_or_create_student("ben", first_name="b" * (LONGEST_NAME + 1))


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://me:secret@/grades?host={tmp_path}"
    (tmp_path / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.CourseDirectory.db_url = {url!r}\n"
    )
    for ask in (lambda: database(tmp_path).exists, database(tmp_path).only_writer().__enter__):
        with pytest.raises(CourseError, match="does not answer") as error:
            ask()
        assert "secret" not in str(error.value) and "grades" in str(error.value)
