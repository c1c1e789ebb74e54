"""The library as it gets to a student: the wheel, and the labs' set-up cell."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from reference import ROOT

from autograder.authoring.source import build_notebook
from autograder.course import list_labs, read_course

CODE = (ROOT / "solutions" / "setup_cell.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("trickster-*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_library_and_data_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"trickster"}
    assert "trickster/_datasets/fashion_mnist_mini.npz" in names
    assert "trickster/_datasets/fashion_victim.safetensors" in names
    assert wheel.stat().st_size < 15e6


@pytest.mark.slow
def test_the_installed_library_finds_its_data(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import trickster; from trickster.scenario import Scenario\n"
        f"assert trickster.__file__.startswith({str(tmp_path)!r}), trickster.__file__\n"
        "s = Scenario(); print(s.victim.labels(s.data.x_test[:3]).tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("[") and done.stderr == ""


def run_setup(
    monkeypatch, repository: str, there: bool = False, pip_ends_with: int = 0
) -> list[list[str]]:
    """Run the set-up cell as on a machine without the library; return the commands it starts."""
    started: list[list[str]] = []

    def run(command):
        started.append(command)
        return subprocess.CompletedProcess(command, pip_ends_with)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if there else None)
    monkeypatch.setattr(subprocess, "run", run)
    text = CODE.replace("{{repository}}", repository).replace("{{branch}}", "main")
    exec(compile(text, "setup_cell", "exec"), {})
    return started


def test_the_setup_cell_does_nothing_where_the_library_is(monkeypatch, capsys):
    assert run_setup(monkeypatch, "https://github.com/someone/labs", there=True) == []
    assert capsys.readouterr().out == (
        "The course library is installed. Go on with the next cell.\n"
    )


def test_the_setup_cell_installs_and_keeps_torch(monkeypatch):
    (command,) = run_setup(monkeypatch, "https://github.com/someone/labs")
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert command[-1] == "trickster @ git+https://github.com/someone/labs@main"
    constraints = Path(command[command.index("-c") + 1]).read_text().split("\n")
    assert f"torch=={importlib.metadata.version('torch')}" in constraints
    assert f"numpy=={importlib.metadata.version('numpy')}" in constraints


def test_the_setup_cell_says_what_it_does_and_on_colab_how_to_keep_the_work(monkeypatch, capsys):
    run_setup(monkeypatch, "https://github.com/someone/labs")
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Installing") and last.startswith("The course library is installed")
    monkeypatch.setitem(sys.modules, "google.colab", object())
    run_setup(monkeypatch, "https://github.com/someone/labs")
    assert "File > Save a copy in Drive" in capsys.readouterr().out


def test_the_setup_cell_says_when_pip_fails(monkeypatch, capsys):
    with pytest.raises(RuntimeError, match="pip could not install the course library"):
        run_setup(monkeypatch, "https://github.com/someone/labs", pip_ends_with=1)
    assert "is installed" not in capsys.readouterr().out


def test_the_setup_cell_is_folded_in_every_lab():
    for lab in list_labs(ROOT):
        notebook = build_notebook(lab, read_course(ROOT))
        folded = [cell for cell in notebook.cells if cell.metadata.get("cellView") == "form"]
        assert [cell.source.split("\n")[0] for cell in folded] == [CODE.split("\n")[0]], lab.name
        assert all(cell.metadata.jupyter.source_hidden for cell in folded)


def test_the_setup_cell_says_when_the_course_has_no_address(monkeypatch):
    with pytest.raises(RuntimeError, match="has no address to download it from"):
        run_setup(monkeypatch, "https://github.com/YOUR-ORGANISATION/trickster-labs")


@pytest.mark.slow
def test_constraints_let_pip_install_the_wheel_beside_this_torch(wheel, monkeypatch):
    """What the set-up cell writes is satisfiable here: pip would change nothing but the course."""
    (command,) = run_setup(monkeypatch, "https://github.com/someone/labs")
    monkeypatch.undo()
    dry = [*command[:4], "--dry-run", "--no-index", "--quiet", "--report", "-"]
    dry += [*command[command.index("-c") :][:2], str(wheel)]
    done = subprocess.run(dry, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    changed = {item["metadata"]["name"] for item in json.loads(done.stdout)["install"]}
    assert changed <= {"trickster"}


def test_the_course_file_is_read():
    course = read_course(ROOT)
    assert course.scenario == "fashion"
    assert course.repository.startswith("https://")


def test_requirements_are_pinned_and_within_the_ranges():
    from packaging.requirements import Requirement

    lines = (ROOT / "requirements.txt").read_text().split("\n")
    pins = {}
    for line in lines:
        text = line.split("#")[0].strip()
        if text:
            requirement = Requirement(text)
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{text} is not pinned"
            pins[requirement.name.lower().replace("_", "-")] = specifier.version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [
        ranges
        for extra, ranges in project["optional-dependencies"].items()
        if extra != "peers"  # only compared with, and never installed with the course
    ]
    ranges = [*project["dependencies"], *itertools.chain.from_iterable(extras)]
    for text in ranges:
        requirement = Requirement(text)
        name = requirement.name.lower().replace("_", "-")
        assert name in pins, f"{name} is in pyproject.toml but not in requirements.txt"
        assert requirement.specifier.contains(pins[name]), f"{name} {pins[name]} not in {text}"
