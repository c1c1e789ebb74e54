"""Writes the part of the repository that students may have: no solution, no zoo, no tests.

The copy is a repository of its own: `make lab` and grading one's own notebook work in it.
It holds the files that `student_copy.txt` lists, and nothing else. Whoever teaches publishes the
copy and keeps this repository private. Writing into the same folder again brings it up to date; a
git repository in it is left alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from autograder.authoring.build import check_release, released_files
from autograder.authoring.copy_list import CopyList, list_problems, read_copy_list
from autograder.course import CourseError, list_labs
from trickster.files import write_atomically

DEFAULT = Path("build") / "student_copy"
OWN = (".git", ".venv", "my_labs", ".github")  # what may lie in an earlier copy besides
# In README.md: a line with the first mark, and everything between the other two.
LINE_MARK = "<!-- instructors -->"
BLOCK = re.compile(r"<!-- instructors: -->.*?<!-- :instructors -->\n?", re.DOTALL)


def write_student_copy(
    root: Path, to: Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """Write the student copy into `to` (build/student_copy if left out), and return that."""
    folder = (to or root / DEFAULT).resolve()
    listed = read_copy_list(root)
    _check_folder(root.resolve(), folder, listed)
    problems = check_release(root, say)
    if problems:
        more = f" ({len(problems)} problems in all: make check)" if len(problems) > 1 else ""
        raise CourseError(f"labs/ is not ready to be given out: {problems[0]}{more}")
    copy_files(root, folder)
    return folder


def copy_files(root: Path, folder: Path) -> None:
    """Replace in `folder` whatever belongs to the copy."""
    listed = read_copy_list(root)
    missing = [path for path in listed.copied if not (root / path).is_file()]
    if missing:
        raise CourseError(" ".join(list_problems(root)))
    folder.mkdir(parents=True, exist_ok=True)
    for name in listed.top_level:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    assets = [path.relative_to(root) for lab in list_labs(root) for path in released_files(lab)]
    for path in dict.fromkeys([*listed.copied, *(asset.as_posix() for asset in assets)]):
        write_atomically(folder / path, (root / path).read_bytes())
    readme = folder / "README.md"
    if readme.is_file():
        write_atomically(readme, for_students(readme.read_text(encoding="utf-8")))


def for_students(readme: str) -> str:
    """README.md without what concerns instructors and authors only."""
    lines = BLOCK.sub("", readme).split("\n")
    text = "\n".join(line for line in lines if LINE_MARK not in line)
    return re.sub(r"\n{3,}", "\n\n", text)  # a block leaves the empty lines on both its sides


def _check_folder(root: Path, folder: Path, listed: CopyList) -> None:
    """Refuse a folder in which something would be lost, or that would hold the solutions."""
    if folder.is_relative_to(root) and not folder.is_relative_to(root / "build"):
        raise CourseError(f"{folder} lies in this repository: name one elsewhere, or in build/.")
    if root.is_relative_to(folder):
        raise CourseError(f"{folder} holds this repository, solutions too: name another folder.")
    if folder.is_dir():
        known = {*listed.top_level, *OWN}
        strange = sorted(path.name for path in folder.iterdir() if path.name not in known)
        if strange:
            raise CourseError(
                f"{folder} holds {strange[0]}, which is no part of a student copy: "
                "name an empty folder, or that of an earlier copy."
            )
    elif folder.exists():
        raise CourseError(f"{folder} is a file: name a folder.")
