"""Working copies of the labs, for a student who works in a clone of the repository.

`labs/` is generated and changes with every release; a student's copy never changes by
itself. A hidden file beside the copies remembers what was handed out, so that only a file
that nobody touched is ever replaced. Who learns alone may have model answers in the copies
(`self_study`), where the sources are there; the hidden file remembers that as well.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from autograder.authoring import start_page
from autograder.cells import to_text
from autograder.course import CourseError, released_labs
from trickster.files import write_atomically

MANIFEST = ".handed_out.json"
DEFAULT = "my_labs"
WITH_ANSWERS = "with model answers"  # in the hidden file, beside the names of files


@dataclass
class Handout:
    """What `hand_out` did, by file name relative to the working copies."""

    folder: Path
    new: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # yours, and the release has not changed
    beside: list[str] = field(default_factory=list)  # yours is kept, a newer release lies beside
    answers: bool = False  # whether the notebooks have model answers

    def sentences(self) -> list[str]:
        """What happened, for the student."""
        notebooks = [name for name in self.new if name.endswith(".ipynb")]
        sentences = []
        if notebooks:
            sentences.append(f"Copied {_listed(notebooks)} into {self.folder}: work there.")
        if self.updated:
            sentences.append(
                f"Brought up to date (you had not touched it): {_listed(self.updated)}."
            )
        if self.kept:
            sentences.append(f"Kept your work: {_listed(self.kept)}.")
        if self.beside:
            other = "a copy with model answers" if self.answers else "the newer release"
            sentences.append(f"Kept your work and put {other} beside it: {_listed(self.beside)}.")
        sentences = sentences or [f"Everything in {self.folder} is up to date."]
        if self.answers:
            sentences.append(
                "Below each written question a model answer is folded: open it after your own. "
                "(To hand out the labs without them again: make lab ANSWERS=--no-answers)"
            )
        return sentences


def hand_out(root: Path, to: Path | None = None, answers: bool | None = None) -> Handout:
    """Copy the release of every lab into `to`, without ever overwriting earlier work.

    With `answers`, each notebook has model answers, folded; None: as the folder had it before.
    """
    folder = (to or root / DEFAULT).resolve()
    for generated in ("labs", "solutions"):
        if folder.is_relative_to((root / generated).resolve()):
            raise CourseError(f"{folder} lies in {generated}/, which is generated: pick another.")
    if answers and not (root / "solutions").is_dir():
        raise CourseError(
            "Model answers come from solutions/, which this copy of the course does not have. "
            "`make lab` opens the labs without them."
        )
    handed_out = _read_manifest(folder)
    if answers is not None:
        handed_out[WITH_ANSWERS] = "yes" if answers else "no"
    wanted = _released_files(root)
    if not wanted:
        raise CourseError(
            f"{root / 'labs'} holds no released lab. Its author runs: python -m autograder build"
        )
    answers = handed_out.get(WITH_ANSWERS) == "yes" and (root / "solutions").is_dir()
    if answers:
        wanted |= _with_model_answers(root)
    folder.mkdir(parents=True, exist_ok=True)
    done = Handout(folder, answers=answers)
    for name, release in wanted.items():
        _hand_out_file(release, name, handed_out, done)
        _write_manifest(folder, handed_out)  # at once: an interruption must not lose it
    start_page.write(folder, answers)
    return done


def _hand_out_file(release: bytes, name: str, handed_out: dict[str, str], done: Handout) -> None:
    target, latest = done.folder / name, hashlib.sha256(release).hexdigest()
    if not target.exists():
        write_atomically(target, release)
        done.new.append(name)
    elif _hash(target) == latest:
        pass
    elif _hash(target) == handed_out.get(name):
        write_atomically(target, release)
        done.updated.append(name)
    elif handed_out.get(name) == latest:
        done.kept.append(name)
        return
    else:
        beside = _beside(done.folder, name, latest, handed_out)
        if not (done.folder / beside).exists() or _hash(done.folder / beside) != latest:
            write_atomically(done.folder / beside, release)
        handed_out[beside] = latest
        done.beside.append(beside)
    handed_out[name] = latest


def _beside(folder: Path, name: str, latest: str, handed_out: dict[str, str]) -> str:
    """A name such as lab1.new.ipynb, that is free or holds an earlier release nobody touched."""
    path, count = Path(name), 1
    while True:
        word = "new" if count == 1 else f"new{count}"
        other = path.with_name(f"{path.stem}.{word}{path.suffix}").as_posix()
        if not (folder / other).exists():
            return other
        if _hash(folder / other) in (latest, handed_out.get(other)):
            return other
        count += 1


def _released_files(root: Path) -> dict[str, bytes]:
    """Every file of the release, by its name relative to labs/."""
    found = {}
    for lab in released_labs(root):
        for path in sorted(lab.release_folder.rglob("*")):
            if path.is_file() and ".ipynb_checkpoints" not in path.parts:
                found[path.relative_to(root / "labs").as_posix()] = path.read_bytes()
    return found


def _with_model_answers(root: Path) -> dict[str, bytes]:
    """Each lab's notebook with model answers, by the name under which it is handed out."""
    from autograder.authoring.self_study import with_model_answers  # not in a student copy

    return {
        f"{lab.name}/{lab.name}.ipynb": to_text(with_model_answers(lab)).encode()
        for lab in released_labs(root)
        if lab.source.is_file()
    }


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_manifest(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # without it, every file that differs counts as work
        return {}
    return found if isinstance(found, dict) else {}


def _write_manifest(folder: Path, handed_out: dict[str, str]) -> None:
    text = json.dumps(handed_out, indent=1, sort_keys=True) + "\n"
    write_atomically(folder / MANIFEST, text)


def _listed(names: list[str]) -> str:
    return ", ".join(names)
