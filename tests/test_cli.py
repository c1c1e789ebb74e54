"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from rich.console import Console
from toy_course import LAB, REPOSITORY, built_course, change_notebook, zoo_file
from traitlets.config import Config

from autograder import formgrader, nbgrader_api
from autograder.__main__ import main
from autograder.course import CourseError, Lab
from autograder.grading import secret
from autograder.records import GradingRecord
from autograder.reporting import console

pytestmark = pytest.mark.usefixtures("graded_here")

WRONG = zoo_file(
    """
about = "Its verdict is wrong on purpose"
[expect]
counter_test = 2
status = "failed"
"""
)


class Run(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


Cli = Callable[..., Run]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return built_course(tmp_path / "course")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], root: Path) -> Cli:
    def run(*words: object) -> Run:
        monkeypatch.chdir(root)
        monkeypatch.setattr("autograder.course.HOME", root)
        monkeypatch.setattr(sys, "argv", ["autograder", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = capfd.readouterr()
        return Run(int(stop.value.code or 0), said.out, said.err)

    return run


def test_help_names_every_command(cli: Cli) -> None:
    text = cli("--help").out
    for name in (
        *("build", "grade", "publish", "sample", "workspace", "student-copy", "formgrader"),
    ):
        assert name in text
        assert cli(name, "--help").code == 0


def test_build_and_check(cli: Cli, root: Path) -> None:
    assert cli("build").code == 0
    assert cli("build", "--check").out.endswith("All is as built.\n")
    change_notebook(Lab(root, LAB).release, lambda nb: nb.cells.pop())
    run = cli("build", "lab1", "--check")
    assert run.code == 1 and "cell why is missing" in run.err and "\n1 problem.\n" in run.err
    assert cli("build", "--no-execute").code == 0
    assert cli("build", "--check").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("build", "lab7"), "'lab7' is no lab of this course"),
        (("grade",), "has no folder submitted/"),
        (("grade", "none.ipynb"), "There is no file none.ipynb"),
        (("grade", "none"), "has no folder submitted/"),
        (("publish", "none"), "has no folder submitted/"),
        (("sample", "--labs", "lab7"), "'lab7' is no lab of this course"),
        (("sample", "--secret", "abc"), "A secret is written as 32 hexadecimal digits or more"),
        (("workspace", "--to", "labs"), "pick another"),
        (("formgrader",), "There is no class yet"),
        (("formgrader", "--course", "labs"), "it is no course folder"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_2(cli: Cli, words: tuple[str, ...], said: str) -> None:
    run = cli(*words)
    assert run.code == 2 and said in run.err
    assert run.err.count("\n") == 1 and "Traceback" not in run.err


def test_a_wrong_word_is_a_usage_error(cli: Cli) -> None:
    assert cli("grade", "--colour").code == 2
    assert cli("formgrader", "--port", "0").code == 2


@pytest.mark.slow
def test_the_sample_class_draws_anew_or_what_it_is_told_to(cli: Cli, root: Path) -> None:
    def drawn(*words: str) -> tuple[bytes, int]:
        said = cli("sample", "--student", "half", *words).out
        return secret.existing(root / "build" / "sample_class"), said.count("started ")

    first, _ = drawn()
    assert drawn() == (first, 0)
    another, _ = drawn("--again")
    assert another != first
    assert drawn("--secret", first.hex()) == (first, 1)
    assert drawn("--secret", first.hex()) == (first, 0)


@pytest.mark.slow
def test_the_sample_class(cli: Cli, root: Path) -> None:
    (Lab(root, LAB).zoo / "wrong.py").write_text(WRONG, encoding="utf-8")
    run = cli("sample", "--all", "--json", "verdicts.json", "--workers", 1, "--details")
    assert run.code == 1 and "Wrong verdicts: 1." in run.err
    rows = json.loads((root / "verdicts.json").read_text(encoding="utf-8"))
    found = {row["student"]: row for row in rows}
    assert [found[name]["verdict"] for name in ("perfect", "half", "syntax")] == ["as expected"] * 3
    assert found["wrong"]["verdict"] == (
        "WRONG: counter_test 0, expected 2; graded, expected failed"
    )
    assert [found[name]["score"] for name in ("perfect", "half", "syntax")] == [9, 5.5, 0]
    drawn = re.search(r"add --secret ([0-9a-f]{64})\n", run.err)[1]
    assert secret.existing(root / "build" / "sample_class").hex() == drawn
    assert "4/4 lab1_toy  wrong  0/9" in run.out and "as expected" in run.out
    assert "started lab1_toy  half" in run.out and "4 notebooks, about 1 minute" in run.out
    assert run.out.endswith(
        f"{console.this_program()} formgrader --course {Path('build/sample_class')}\n"
    )
    folder = root / "build" / "sample_class"
    assert (folder / "scores.csv").is_file() and (folder / "solutions" / LAB).is_dir()
    assert len(list((folder / "feedback").glob("*/*/*.html"))) == 4
    assert formgrader.course_folder(root) == folder.resolve()


@pytest.mark.slow
def test_grading_a_class_that_fails(cli: Cli, root: Path) -> None:
    folder = root / "class"
    (folder / "submitted" / "ann" / LAB).mkdir(parents=True)
    (folder / "submitted" / "ann" / LAB / f"{LAB}.ipynb").write_text("")
    run = cli("grade", folder, "--workers", 1)
    assert run.code == 1 and f"ann, {LAB}: {LAB}.ipynb is empty." in run.out
    assert "1/1 lab1_toy  ann  failed" in run.out and run.err == ""


@pytest.mark.slow
def test_publishing(cli: Cli, root: Path) -> None:
    assert cli("sample", "--student", "half", "--workers", 1).code == 0
    folder = root / "build" / "sample_class"
    with nbgrader_api.open_gradebook(folder) as gradebook:
        gradebook.find_grade("why", LAB, LAB, "half").manual_score = 3
        gradebook.db.commit()
    run = cli("publish", folder, "--workers", 1)
    assert run.code == 0 and "7 / 9" in run.out and "scores.csv" in run.out
    assert "half,lab1_toy,graded,7.0,7.0,9.0" in (folder / "scores.csv").read_text("utf-8")


def test_the_table_says_what_each_submission_is(cli: Cli) -> None:
    out = Console(file=io.StringIO(), width=100)
    result = GradingRecord(LAB, "ann", "graded", 9)
    key = (LAB, "ann")
    about = {key: "Forgets to count, and says so in a sentence that is too long for the table"}
    console.class_table(out, [result], False, {key: "as expected"}, about)
    (row,) = [line for line in out.file.getvalue().split("\n") if " ann " in line]
    assert "Forgets to count" in row and "…" in row and len(row) <= 100
    narrow = Console(file=io.StringIO(), width=60)
    console.class_table(narrow, [result], False, {key: "as expected"}, about)
    table, about_it = narrow.file.getvalue().split(f"ann, {LAB}: ")
    assert "Forgets" not in table and about_it == f"{about[key]}\n"


def test_paths_as_one_types_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    assert console.this_program() == f"{Path('.venv/bin/python')} -m autograder"
    assert console.from_here(tmp_path.parent) == str(tmp_path.parent)


def test_another_python_is_told_what_is_missing() -> None:
    words = [sys.executable, "-S", "-m", "autograder", "build"]  # -S: without installed packages
    run = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 2 and "run it with .venv/bin/python" in run.stderr
    assert run.stderr.count("\n") == 1 and run.stdout == ""


def test_a_package_that_goes_missing_is_one_sentence(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "autograder.authoring.workspace", None)
    run = cli("workspace")
    assert run.code == 2 and "lacks" in run.err and "Traceback" not in run.err


def test_grading_one_notebook(cli: Cli, root: Path) -> None:
    run = cli("grade", Lab(root, LAB).release)
    assert run.code == 0 and "0/6" in run.out and run.err == ""
    assert not (root / "gradebook.db").exists()


def test_workspace(cli: Cli, root: Path) -> None:
    assert "work there" in cli("workspace").out
    assert (root / "my_labs" / LAB / f"{LAB}.ipynb").is_file()
    assert "up to date" in cli("workspace", "--to", "my_labs").out


# --- formgrader -----------------------------------------------------------------------------


def test_formgrader_s_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    words = formgrader.command(tmp_path, 9000, True)
    assert words[:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--ServerApp.port=9000" in words and f"--ServerApp.root_dir={tmp_path}" in words
    assert "--no-browser" not in words and "--allow-root" not in words
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert "--ServerApp.port_retries=0" in words
    assert {"--no-browser", "--allow-root"} <= set(formgrader.command(tmp_path, 9000, False))


def test_formgrader_does_without_an_exchange_and_is_quiet_about_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    option = "--ExchangeFactory.list="
    (word,) = [w for w in formgrader.command(tmp_path, 9000, True) if w.startswith(option)]
    config = Config()
    config.Exchange.root = str(tmp_path / "none")
    for name, critical in (("", 1), (word.removeprefix(option), 0)):
        if name:
            config.ExchangeFactory.list = name
        caplog.clear()
        assert NbGraderAPI(CourseDirectory(config=config), config=config).exchange_missing
        assert sum(one.levelname == "CRITICAL" for one in caplog.records) == critical


def test_formgrader_finds_settings_and_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/before")
    environ = formgrader.environment(tmp_path)
    assert environ["JUPYTER_CONFIG_PATH"].split(os.pathsep) == [str(tmp_path), "/before"]
    assert environ["JUPYTER_TOKEN"] and environ["PYTHONSAFEPATH"]
    assert environ["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_formgrader_s_course_folder(root: Path) -> None:
    with pytest.raises(CourseError, match="no class yet"):
        formgrader.course_folder(root)
    (root / "submitted").mkdir()
    assert formgrader.course_folder(root) == root.resolve()


def test_formgrader_says_where_the_mark_scheme_is(root: Path) -> None:
    (said,) = formgrader.mark_schemes(root, [Lab(root, LAB)])
    assert said == (
        f"Mark scheme of {LAB}: solutions/{LAB}/{LAB}.ipynb, cell why, under 'Exercise 2'."
    )


def test_formgrader_says_which_date_it_cannot_read(tmp_path: Path) -> None:
    for student, date in (("anna", "2026-05-04 12:00:00 UTC"), ("ben", "yesterday evening")):
        path = tmp_path / "submitted" / student / "lab1_toy" / "timestamp.txt"
        path.parent.mkdir(parents=True)
        path.write_text(date)
    (said,) = formgrader.unreadable_dates(tmp_path)
    assert said == (
        "formgrader will answer with an error for lab1_toy: correct submitted/ben/lab1_toy/"
        "timestamp.txt, or remove it. timestamp.txt: 'yesterday evening' is no clear date; "
        "write it as in 2026-05-04 12:00:00 UTC, or 2026-05-04 14:00 Europe/Berlin"
    )


def test_formgrader_s_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    page = "http://localhost:9000/formgrader/gradebook"
    assert formgrader.address(9000, {"JUPYTER_TOKEN": "made"}) == f"{page}?token=made"
    monkeypatch.setenv("JUPYTER_TOKEN", "mine")
    assert formgrader.address(9000, {"JUPYTER_TOKEN": "mine"}) == page


def test_formgrader_on_a_port_that_is_taken(cli: Cli, root: Path) -> None:
    (root / "submitted").mkdir()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        run = cli("formgrader", "--port", other.getsockname()[1])
    assert run.code == 2 and "is in use: choose another" in run.err


def answer_of(url: str, patience_s: float = 180) -> str:
    """What a server that is still starting says at `url`."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return reply.read().decode()
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


@pytest.mark.slow
def test_formgrader_lists_the_labs(root: Path, tmp_path: Path) -> None:
    folder = root / "submitted" / "ann" / LAB
    folder.mkdir(parents=True)
    shutil.copy(Lab(root, LAB).release, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "autograder", "formgrader", "--no-browser"]
    words += ["--port", str(port), "--root", str(root)]
    environ = {**os.environ, "JUPYTER_TOKEN": "secret"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(words, cwd=root, env=environ, stdout=log, stderr=log)
        try:
            page = f"http://127.0.0.1:{port}/formgrader/api/assignments?token=secret"
            (lab,) = json.loads(answer_of(page))
        finally:
            server.send_signal(signal.SIGINT)
            ended = server.wait(30)
    assert ended == 0
    assert lab["name"] == LAB and lab["max_score"] == 9
    lines = (tmp_path / "log").read_text(encoding="utf-8").strip().split("\n")
    last = lines.index(f"http://localhost:{port}/formgrader/gradebook")
    # nbgrader speaks up once somebody opens a page; the server's own chatter would stand before.
    assert all(line.startswith("[C ") for line in lines[last + 1 :]), lines
