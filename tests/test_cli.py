"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import shutil
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
from toy_course import LAB, built_course, change_notebook, zoo_file

from autograder import formgrader
from autograder.__main__ import main
from autograder.course import CourseError, Lab

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
        monkeypatch.setattr(sys, "argv", ["autograder", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        said = capfd.readouterr()
        return Run(int(stop.value.code or 0), said.out, said.err)

    return run


def test_help_names_every_command(cli: Cli) -> None:
    text = cli("--help").out
    for name in ("build", "grade", "sample", "workspace", "formgrader"):
        assert name in text
        assert cli(name, "--help").code == 0


def test_build_and_check(cli: Cli, root: Path) -> None:
    assert cli("build").code == 0
    assert cli("build", "--check").out.endswith("All is as built.\n")
    change_notebook(Lab(root, LAB).release, lambda nb: nb.cells.pop())
    run = cli("build", "lab1", "--check")
    assert run.code == 1 and "cell why is missing" in run.err and "1 problems." in run.err
    assert cli("build", "--no-execute").code == 0
    assert cli("build", "--check").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("build", "lab7"), "'lab7' is no lab of this course"),
        (("grade",), "has no folder submitted/"),
        (("grade", "none.ipynb"), "There is no file none.ipynb"),
        (("grade", "none"), "has no folder submitted/"),
        (("sample", "--labs", "lab7"), "'lab7' is no lab of this course"),
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


def test_the_sample_class(cli: Cli, root: Path) -> None:
    (Lab(root, LAB).zoo / "wrong.py").write_text(WRONG, encoding="utf-8")
    run = cli("sample", "--json", "verdicts.json", "--workers", 1, "--details")
    assert run.code == 1 and "1 verdicts are wrong." in run.err
    rows = json.loads((root / "verdicts.json").read_text(encoding="utf-8"))
    found = {row["student"]: row for row in rows}
    assert [found[name]["verdict"] for name in ("perfect", "half", "syntax")] == ["as expected"] * 3
    assert found["wrong"]["verdict"] == (
        "WRONG: counter_test 0, expected 2; graded, expected failed"
    )
    assert [found[name]["score"] for name in ("perfect", "half", "syntax")] == [9, 5.5, 0]
    assert "4/4 lab1_toy  wrong  0/9" in run.out and "as expected" in run.out
    folder = root / "build" / "sample_class"
    assert (folder / "scores.csv").is_file() and (folder / "solutions" / LAB).is_dir()
    assert len(list((folder / "feedback").glob("*/*/*.html"))) == 4
    assert formgrader.course_folder(root) == folder.resolve()


def test_grading_a_class_that_fails(cli: Cli, root: Path) -> None:
    folder = root / "class"
    (folder / "submitted" / "ann" / LAB).mkdir(parents=True)
    (folder / "submitted" / "ann" / LAB / f"{LAB}.ipynb").write_text("")
    run = cli("grade", folder)
    assert run.code == 1 and f"ann, {LAB}: {LAB}.ipynb is empty." in run.out
    assert "1/1 lab1_toy  ann  failed" in run.out and run.err == ""


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
    assert {"--no-browser", "--allow-root"} <= set(formgrader.command(tmp_path, 9000, False))


def test_formgrader_finds_settings_and_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/before")
    environ = formgrader.environment(tmp_path)
    assert environ["JUPYTER_CONFIG_PATH"].split(os.pathsep) == [str(tmp_path), "/before"]
    assert environ["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_formgrader_s_course_folder(root: Path) -> None:
    with pytest.raises(CourseError, match="no class yet"):
        formgrader.course_folder(root)
    (root / "submitted").mkdir()
    assert formgrader.course_folder(root) == root.resolve()


def answer_of(url: str, patience_s: float = 60) -> str:
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
    words = [sys.executable, "-m", "autograder", "formgrader", "--no-browser", "--port", str(port)]
    environ = {**os.environ, "JUPYTER_TOKEN": "secret"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(words, cwd=root, env=environ, stdout=log, stderr=log)
        try:
            page = f"http://127.0.0.1:{port}/formgrader/api/assignments?token=secret"
            (lab,) = json.loads(answer_of(page))
        finally:
            server.terminate()
            server.wait(30)
    assert lab["name"] == LAB and lab["max_score"] == 9
