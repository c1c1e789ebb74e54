"""Writes the part of the repository that students may have: no solution, no zoo, no tests.

The copy is a repository of its own: `make lab` and grading one's own notebook work in it.
Whoever teaches publishes the copy and keeps this repository private. Writing into the same
folder again brings it up to date; a git repository in it is left alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from autograder.authoring.build import check_release
from autograder.course import CourseError

DEFAULT = Path("build") / "student_copy"
FOLDERS = ("labs", "trickster", "datasets")
FILES = (
    *("README.md", "LICENSE", "pyproject.toml", "requirements.txt", "Makefile"),
    *("course.toml", "nbgrader_config.py", ".gitignore"),
)
OWN = (".git", ".venv", "my_labs", ".github")  # what may lie in an earlier copy besides
SKIPPED = shutil.ignore_patterns("zoo", "__pycache__", ".ipynb_checkpoints", "*.pyc", ".*_cache")
# In README.md: a line with the first mark, and everything between the other two.
LINE_MARK = "<!-- instructors -->"
BLOCK = re.compile(r"<!-- instructors: -->.*?<!-- :instructors -->\n?", re.DOTALL)


def write_student_copy(
    root: Path, to: Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """Write the student copy into `to` (build/student_copy if left out), and return that."""
    folder = (to or root / DEFAULT).resolve()
    _check_folder(root.resolve(), folder)
    stale = check_release(root, say)
    if stale:
        more = f" ({len(stale)} problems in all: make check)" if len(stale) > 1 else ""
        raise CourseError(f"labs/ is not ready to be given out: {stale[0]}{more}")
    copy_files(root, folder)
    return folder


def copy_files(root: Path, folder: Path) -> None:
    """Replace in `folder` whatever belongs to the copy."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*FOLDERS, "autograder"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in FOLDERS:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=SKIPPED)
    for path in sorted((root / "autograder").glob("*.py")):
        (folder / "autograder").mkdir(exist_ok=True)
        shutil.copyfile(path, folder / "autograder" / path.name)
    for package in sorted((root / "autograder").glob("*/__init__.py")):  # the zoo is none
        target = folder / "autograder" / package.parent.name
        shutil.copytree(package.parent, target, ignore=SKIPPED)
    for name in FILES:
        if (root / name).is_file():
            shutil.copyfile(root / name, folder / name)
    readme = folder / "README.md"
    if readme.is_file():
        readme.write_text(for_students(readme.read_text(encoding="utf-8")), encoding="utf-8")


def for_students(readme: str) -> str:
    """README.md without what concerns instructors and authors only."""
    lines = BLOCK.sub("", readme).split("\n")
    text = "\n".join(line for line in lines if LINE_MARK not in line)
    return re.sub(r"\n{3,}", "\n\n", text)  # a block leaves the empty lines on both its sides


def _check_folder(root: Path, folder: Path) -> None:
    """Refuse a folder in which something would be lost, or that would hold the solutions."""
    if folder.is_relative_to(root) and not folder.is_relative_to(root / "build"):
        raise CourseError(f"{folder} lies in this repository: name one elsewhere, or in build/.")
    if root.is_relative_to(folder):
        raise CourseError(f"{folder} holds this repository, solutions too: name another folder.")
    if folder.is_dir():
        known = {*FOLDERS, "autograder", *FILES, *OWN}
        strange = sorted(path.name for path in folder.iterdir() if path.name not in known)
        if strange:
            raise CourseError(
                f"{folder} holds {strange[0]}, which is no part of a student copy: "
                "name an empty folder, or that of an earlier copy."
            )
    elif folder.exists():
        raise CourseError(f"{folder} is a file: name a folder.")
