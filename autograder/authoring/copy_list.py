"""Which files a student copy holds: the list in `student_copy.txt`, and what it forgot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.course import CourseError, list_labs

LIST = Path("autograder") / "authoring" / "student_copy.txt"
# Here a new file is usually one that students need; a solution or a test belongs elsewhere.
WATCHED = ("trickster", "autograder", "datasets")
GENERATED = ("__pycache__", ".ipynb_checkpoints")


@dataclass(frozen=True)
class CopyList:
    """The paths in the list, relative to the repository."""

    copied: tuple[str, ...]
    kept_out: tuple[str, ...]

    @property
    def top_level(self) -> set[str]:
        """The files and folders that stand in the root of a copy."""
        return {path.split("/")[0] for path in self.copied}


def read_copy_list(root: Path) -> CopyList:
    """The list of the repository at `root`, with its labs filled in."""
    path = root / LIST
    if not path.is_file():
        raise CourseError(f"{path} is missing: it lists what a student copy holds.")
    copied: dict[str, None] = {}
    kept_out: dict[str, None] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        chosen = kept_out if name.startswith("!") else copied
        for filled_in in _filled_in(root, name.removeprefix("!")):
            parts = PurePosixPath(filled_in).parts
            if not parts or parts[0] == "/" or ".." in parts or "*" in filled_in:
                raise CourseError(f"{LIST}: {name!r} is no path of one file in this repository.")
            chosen[filled_in] = None
    return CopyList(tuple(copied), tuple(kept_out))


def _filled_in(root: Path, name: str) -> list[str]:
    """The path, or one path for each lab."""
    if "{lab}" not in name and "{number}" not in name:
        return [name]
    return [name.format(lab=lab.name, number=lab.number) for lab in list_labs(root)]


def list_problems(root: Path) -> list[str]:
    """A sentence for each listed file that is missing, and each file that the list forgot."""
    if not (root / LIST).is_file():
        return []  # a course that publishes no copy
    found = read_copy_list(root)
    missing = [path for path in found.copied if not (root / path).is_file()]
    return [
        *(f"{path} is missing, but {LIST.as_posix()} lists it." for path in missing),
        *(
            f"{path} is in no line of {LIST.as_posix()}: add it there if students need it, "
            f"or as !{path} if they must not have it."
            for path in _files_in(root)
            if path not in found.copied and not _within(path, found.kept_out)
        ),
    ]


def _files_in(root: Path) -> list[str]:
    paths = [path for name in WATCHED for path in sorted((root / name).rglob("*"))]
    return [
        path.relative_to(root).as_posix()
        for path in paths
        if path.is_file() and not set(path.parts) & set(GENERATED)
    ]


def _within(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
