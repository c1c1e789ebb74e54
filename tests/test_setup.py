"""Set-up: Makefile, development container and Binder, as far as they run without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.specifiers import SpecifierSet
from reference import ROOT

from autograder.authoring import start_page

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CONTAINER = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))


@pytest.fixture
def bare(tmp_path):
    """A course that is nothing but its set-up, with a `python3` of its own that fakes pip."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text("", encoding="utf-8")
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f'*version_info*) exec {sys.executable} "$@";;\n'
        '"-m venv "*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/uv;;\n'
        '*) echo "$(basename $0) $*" >> ran; if [ -e broken ]; then exit 1; fi;;\n'
        "esac\n",
        encoding="utf-8",
    )
    python.chmod(0o755)

    def make(*words: str) -> tuple[int, str, list[str]]:
        ran = tmp_path / "ran"
        ran.unlink(missing_ok=True)
        done = subprocess.run(
            ["make", "setup", f"PYTHON={python}", *words],
            cwd=tmp_path, capture_output=True, text=True,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        said = ran.read_text(encoding="utf-8").splitlines() if ran.exists() else []
        return done.returncode, done.stdout, said

    return tmp_path, make


def test_a_set_up_says_its_steps_and_how_long_it_took_and_is_done_once(bare):
    _, make = bare
    code, text, ran = make()
    assert code == 0
    assert [int(step) for step in re.findall(r"step (\d) of 3", text)] == [1, 2, 3]
    assert re.search(r"Set up in \d+ seconds\.", text)
    assert ["-r requirements.txt" in line or "-e ." in line for line in ran] == [True, True]
    assert make() == (0, "make: Nothing to be done for 'setup'.\n", [])


def test_a_set_up_that_failed_continues_from_the_step_that_failed(bare):
    folder, make = bare
    (folder / "broken").touch()
    code, text, _ = make()
    assert code != 0 and "step 2 of 3" in text and "step 3" not in text
    assert "it continues from here" in text
    (folder / "broken").unlink()
    code, text, _ = make()
    assert code == 0
    assert re.findall(r"step (\d) of 3", text) == ["2", "3"]


def test_new_pins_are_installed_and_a_new_project_file_installs_the_library_alone(bare):
    folder, make = bare
    make()
    later = (folder / ".venv/ready").stat().st_mtime + 5
    os.utime(folder / "pyproject.toml", (later, later))
    assert re.findall(r"step (\d) of 3", make()[1]) == ["3"]
    os.utime(folder / "requirements.txt", (later + 5, later + 5))
    assert re.findall(r"step (\d) of 3", make()[1]) == ["2", "3"]


def test_one_word_leaves_cuda_out(bare):
    _, make = bare
    code, text, ran = make("TORCH=cpu")
    assert code == 0 and "CUDA" not in text
    assert "uv" in ran[0]
    assert ran[1].startswith("uv pip install") and "--torch-backend cpu" in ran[1]


def test_without_pytorchs_own_site_the_way_out_is_told(bare):
    folder, make = bare
    (folder / "broken").touch()
    told = "Where only PyPI (or a mirror of it) can be reached, leave TORCH=cpu out."
    assert told in make("TORCH=cpu")[1]
    assert told not in make()[1]
    (folder / "broken").unlink()
    assert "step 3" in make()[1]


def test_an_old_python_is_told(bare):
    folder, make = bare
    old = folder / "old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.9" || exit 1\n')
    old.chmod(0o755)
    code, text, _ = make(f"PYTHON={old}")
    assert code != 0
    assert "Python 3.11 or newer is needed; this is Python 3.9.9." in text


def test_the_pythons_of_the_guide_are_those_of_the_project_and_the_makefile():
    versions = re.search(r"for version in ([\d. ]+);", MAKEFILE)[1].split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = SpecifierSet(project["requires-python"])
    assert all(version in wanted for version in versions)
    assert "3.10" not in wanted and versions[0] == "3.11"
    guide = (ROOT / "docs/setup.md").read_text(encoding="utf-8")
    assert "{}, {}, {} or {}".format(*versions) in guide
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {versions[0]} to {versions[-1]}" in readme


def test_one_word_asks_for_model_answers():
    # Below `make test`, make would say which folder it enters.
    ask = ["make", "--dry-run", "--no-print-directory", "--assume-old=.venv/ready"]
    for word, wanted in (("self-study", "workspace --answers"), ("lab", "workspace")):
        done = subprocess.run([*ask, word], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.split("\n")[0].strip() == f".venv/bin/python -m autograder {wanted}"


def test_container_binder_and_make_lab_open_the_start_page_with_commands_that_exist():
    commands = CONTAINER["postCreateCommand"]
    assert commands.startswith("make setup TORCH=cpu && ")
    assert commands.endswith("python -m autograder workspace")
    opened = CONTAINER["customizations"]["codespaces"]["openFiles"]
    assert opened == [f"my_labs/{start_page.NAME}"]
    assert f"/lab/tree/{start_page.NAME}" in MAKEFILE
    script = ROOT / "binder/postBuild"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    lines = script.read_text(encoding="utf-8").splitlines()
    assert any("--torch-backend cpu" in line for line in lines)
    assert lines[-1] == "python -m autograder workspace"
