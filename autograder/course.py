"""Where the course lives: its root, its `course.toml`, its labs.

Nothing here imports nbgrader or Jupyter, so that `nbgrader_config.py` and the
command line can read it at once. How a lab's source is read is the business of `authoring`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
LAB_FOLDER = re.compile(r"^lab(\d+)_\w+$")
# What trickster.scenario.Scenario can be made of; not imported, so that reading stays quick.
SCENARIOS = ("fashion", "cifar10")
ADDRESS = re.compile(r"^https://[\w.-]+(:\d+)?/\S+$")
SECRET = "grading_secret.txt"  # in a course folder; see grading.secret
NOBODY = "YOUR-ORGANISATION"  # in course.toml until an instructor writes an address
GITHUB = re.compile(r"^https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?$")


class CourseError(Exception):
    """Something in the course's files is wrong; the message says what, where, and what to do."""


@dataclass(frozen=True)
class Course:
    """What `course.toml` says."""

    id: str
    repository: str
    branch: str
    scenario: str

    def colab_url(self, lab: str) -> str:
        """Colab's address of a lab, or "" as long as the course has none on github.com."""
        match = GITHUB.match(self.repository)
        if match is None or match[1] == NOBODY:
            return ""
        owner, name = match.groups()
        base = f"https://colab.research.google.com/github/{owner}/{name}/blob/{self.branch}"
        return f"{base}/labs/{lab}/{lab}.ipynb"


@dataclass(frozen=True)
class Lab:
    """One lab's name, and the places where its files live."""

    root: Path
    name: str

    @property
    def number(self) -> int:
        """4 of lab4_rate_limit_hard_labels."""
        return int(LAB_FOLDER.sub(r"\1", self.name))

    @property
    def source(self) -> Path:
        return self.root / "solutions" / self.name / f"{self.name}.py"

    @property
    def executed(self) -> Path:
        return self.source.with_suffix(".ipynb")

    @property
    def assets(self) -> Path:
        return self.source.parent / "assets"

    @property
    def release_folder(self) -> Path:
        return self.root / "labs" / self.name

    @property
    def release(self) -> Path:
        return self.release_folder / f"{self.name}.ipynb"

    @property
    def zoo(self) -> Path:
        return self.root / "autograder" / "sample_class" / "zoo" / self.name


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """TOML text as a dict; `where` names it in the error."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{where} is not valid TOML: {error}.") from error


def find_root(start: Path | None = None) -> Path:
    """The folder with `course.toml`: `start` or a folder above it, else this package's home.

    Never the current folder: it may be a submission's, and settings are code that is run.
    """
    above = (start.resolve(), *start.resolve().parents) if start else ()
    for folder in (*above, HOME):
        if (folder / "course.toml").is_file():
            return folder
    raise CourseError(f"{HOME} has no course.toml: name the course's repository with --root.")


def read_course(root: Path) -> Course:
    """Read `course.toml` of the repository at `root`."""
    path = root / "course.toml"
    if not path.is_file():
        raise CourseError(f"{path} is missing: it holds the course's id, repository and branch.")
    table = parse_toml(path.read_text(encoding="utf-8"), str(path)).get("course")
    if not isinstance(table, dict):
        raise CourseError(f"{path} has no [course] table: add one with id, repository, branch.")
    values: dict[str, str] = {}
    for key in ("id", "repository", "branch", "scenario"):
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            raise CourseError(f'{path}: [course] needs {key} = "...", a text that is not empty.')
        values[key] = value.strip()
    _check_values(values, path)
    return Course(**values)


def _check_values(values: dict[str, str], path: Path) -> None:
    if not ADDRESS.match(values["repository"]):
        raise CourseError(
            f"{path}: repository = {values['repository']!r} is no https:// address of a "
            "repository, as in https://github.com/someone/trickster-labs."
        )
    if values["scenario"] not in SCENARIOS:
        raise CourseError(
            f"{path}: scenario = {values['scenario']!r} is unknown; it is {' or '.join(SCENARIOS)}."
        )


def list_labs(root: Path) -> list[Lab]:
    """Every lab that has a source, in the order of their numbers; in a student copy, every lab.

    A student copy has no solutions/: its labs are what was released.
    """
    if not (root / "solutions").is_dir():
        return released_labs(root)
    labs = _labs_in(root, "solutions")
    for lab in labs:
        if not lab.source.is_file():
            raise CourseError(
                f"solutions/{lab.name} holds no {lab.name}.py: "
                "a lab's source bears its folder's name."
            )
    return labs


def released_labs(root: Path) -> list[Lab]:
    """Every lab in labs/, in the order of their numbers."""
    if not (root / "labs").is_dir():
        raise CourseError(f"{root / 'labs'} is missing: it holds one folder for each lab.")
    return _labs_in(root, "labs")


def _labs_in(root: Path, place: str) -> list[Lab]:
    numbered = []
    for folder in (root / place).iterdir():
        match = LAB_FOLDER.match(folder.name)
        if match and folder.is_dir():
            numbered.append((int(match.group(1)), folder.name))
    return [Lab(root, name) for _, name in sorted(numbered)]


def pick_labs(root: Path, names: list[str] | None = None) -> list[Lab]:
    """The labs called `names` (a beginning such as "lab1" will do), or all of them."""
    labs = list_labs(root)
    if not names:
        return labs
    picked = []
    for name in names:
        found = [lab for lab in labs if lab.name == name or lab.name.startswith(f"{name}_")]
        found = found or [lab for lab in labs if lab.name.startswith(name)]
        if len(found) != 1:
            known = ", ".join(lab.name for lab in labs) or "none yet"
            why = "fits several labs" if found else "is no lab of this course"
            raise CourseError(f"{name!r} {why}. The labs are: {known}.")
        picked += [lab for lab in found if lab not in picked]
    return picked
