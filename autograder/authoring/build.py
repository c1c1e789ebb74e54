"""Builds what is generated: the executed notebooks in `solutions/` and the release in `labs/`.

`build` writes, `check` only looks. How a source is read is the business of `source`, what may not
be seen that of `leaks`, what a scaffold promises that of `scaffold`.
"""

from __future__ import annotations

import copy
import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder import nbgrader_api
from autograder.authoring.copy_list import list_problems
from autograder.authoring.execute import execute
from autograder.authoring.leaks import find_leaks, leaks_in_text, secrets_of
from autograder.authoring.scaffold import drift
from autograder.authoring.self_study import starred_answers
from autograder.authoring.source import build_notebook, lines_of
from autograder.cells import grade_id, points_of, role, to_text
from autograder.course import CourseError, Lab, list_labs, pick_labs, read_course
from trickster.files import write_atomically

HASHED = re.compile(r"c-[0-9a-f]{8}(-\d+)?")  # the id of a cell without a name
SHOWN = 50  # characters of a cell's first line
RELEASE_SUFFIXES = (".ipynb", ".md", ".png", ".svg")
Say = Callable[[str], None]


@dataclass
class Built:
    """One lab on its way: the source as a notebook, and what is made of it."""

    lab: Lab
    source: NotebookNode
    release: NotebookNode = field(default_factory=nbformat.v4.new_notebook)
    lines: dict[str, int] = field(default_factory=dict)  # of the source, by the cell's id
    stars: list[NotebookNode] = field(default_factory=list)  # model answers, never released


def build(
    root: Path,
    names: list[str] | None = None,
    run: bool = True,
    force: bool = False,
    say: Say = print,
) -> list[str]:
    """Write `labs/` and `solutions/*.ipynb`; returns a sentence for each problem left.

    A lab runs only when its code has changed since its outputs were made, or with `force`.
    """
    labs = _expanded(root, names, say)
    problems: list[str] = []
    started = time.monotonic()
    for lab in labs:
        problems += _source_leaks(lab)
        problems += [f"{lab.lab.name}, {text}" for text in drift(lab.source, lab.release)]
    if problems:  # nothing that leaks is ever written
        return problems
    for lab in labs:
        _write_release(lab, say)
    say(f"released {len(labs)} labs in {time.monotonic() - started:.1f} s")
    problems += _build_executed(labs, run, force, say)
    return problems


def check(root: Path, names: list[str] | None = None, say: Say = print) -> list[str]:
    """A sentence for each thing in `labs/` or `solutions/` that a build would not leave so.

    Without `names`, also for what the list of the student copy forgot.
    """
    labs = _expanded(root, names, say)
    problems: list[str] = []
    for lab in labs:
        problems += _source_leaks(lab)
        problems += _check_release(lab)
        problems += _check_executed(lab)
    return problems if names else [*problems, *_check_strangers(root), *list_problems(root)]


def check_release(root: Path, say: Say = print) -> list[str]:
    """A sentence for each thing in `labs/` that a build would not leave so."""
    labs = _expanded(root, None, say)
    found = [text for lab in labs for text in (*_source_leaks(lab), *_check_release(lab))]
    return found + _check_strangers(root)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _expanded(root: Path, names: list[str] | None, say: Say) -> list[Built]:
    started = time.monotonic()
    course = read_course(root)
    labs = [Built(lab, build_notebook(lab, course)) for lab in pick_labs(root, names)]
    for lab in labs:
        lab.lines = lines_of(lab.lab, lab.source)
        lab.stars = list(itertools.chain(*starred_answers(lab.lab, lab.source).values()))
    say(f"read {_counted(len(labs), 'source')} in {time.monotonic() - started:.1f} s")
    started = time.monotonic()
    made = nbgrader_api.generate(root, {lab.lab.name: lab.source for lab in labs})
    for lab in labs:
        lab.release = made[lab.lab.name]
    seconds = time.monotonic() - started
    say(f"ran nbgrader's generator on {_counted(len(labs), 'lab')} in {seconds:.1f} s")
    return labs


# --- the release ---------------------------------------------------------------


def _write_release(lab: Built, say: Say) -> None:
    folder = lab.lab.release_folder
    _write(lab.lab.release, to_text(lab.release), lab.lab.root, say)
    for asset in _assets(lab.lab):
        target = folder / "assets" / asset.relative_to(lab.lab.assets)
        _write(target, asset.read_bytes(), lab.lab.root, say)


def released_files(lab: Lab) -> list[Path]:
    """Where the files of a lab's release lie: the notebook, and what stands beside it."""
    folder = lab.release_folder / "assets"
    return [lab.release, *(folder / path.relative_to(lab.assets) for path in _assets(lab))]


def _assets(lab: Lab) -> list[Path]:
    """What the author put beside the source for students; anything but text and pictures stays."""
    if not lab.assets.is_dir():
        return []
    wanted = [path for path in sorted(lab.assets.rglob("*")) if path.is_file()]
    return [path for path in wanted if path.suffix in RELEASE_SUFFIXES]


def _check_release(lab: Built) -> list[str]:
    place = _short(lab.lab.release, lab.lab.root)
    if not lab.lab.release.is_file():
        return [f"{place} is missing: run make build."]
    problems = _check_files(lab)
    text = lab.lab.release.read_text(encoding="utf-8", errors="replace")
    try:
        there = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
        different = list(_differences(lab.release, there, lab.lines))
    except Exception as error:  # whatever a hand edit made of the file
        return [*problems, f"{place} is no notebook any more ({error}). Run make build."]
    if not different and text != to_text(lab.release):
        different = ["its bytes are not the generator's (order or spacing)"]
    problems += [f"{place}: {what}." for what in different]
    if different:
        problems[-1] += f" {_advice(lab)}"
    known = find_leaks(lab.source, lab.release, lab.stars)
    leaks = [what for what in find_leaks(lab.source, there, lab.stars) if what not in known]
    problems += [f"{place}: {_with_lines(what, lab.lines)}" for what in leaks]
    problems += [f"{lab.lab.name}, {what}" for what in drift(lab.source, there)]
    return problems


def _source_leaks(lab: Built) -> list[str]:
    """What the source itself shows: it would leak from every build."""
    place = _short(lab.lab.source, lab.lab.root)
    leaks = find_leaks(lab.source, lab.release, lab.stars)
    return [f"{place}: {_with_lines(what, lab.lines)}" for what in leaks]


def _advice(lab: Built) -> str:
    """What to do about a release that is not as built."""
    try:
        before = nbformat.read(lab.lab.executed, as_version=nbformat.NO_CONVERT)
        known = before.metadata["trickster"]["source_sha256"]
    except Exception:  # missing, or no notebook: nothing to compare with
        known = ""
    if known != lab.source.metadata["trickster"]["source_sha256"]:
        return "The source has changed since the last build: run make build."
    return (
        "Either labs/ was edited by hand (git checkout labs undoes that), or course.toml or "
        "nbgrader_config.py has changed (make build)."
    )


def _check_files(lab: Built) -> list[str]:
    """Files that are missing or do not belong, and secrets in the texts beside the notebook."""
    folder, root = lab.lab.release_folder, lab.lab.root
    wanted = set(released_files(lab.lab)) - {lab.lab.release}
    there = {path for path in folder.rglob("*") if path.is_file() and not _checkpoint(path)}
    problems = []
    for path in sorted(wanted - there):
        problems.append(f"{_short(path, root)} is missing: run make build.")
    for path in sorted(there - wanted - {lab.lab.release}):
        problems.append(f"{_short(path, root)} is not the build's: remove it.")
    secrets = list(secrets_of(lab.source, lab.stars))
    for path in sorted(wanted & there):
        source = lab.lab.assets / path.relative_to(folder / "assets")
        if path.read_bytes() != source.read_bytes():
            problems.append(f"{_short(path, root)} is not the same as {_short(source, root)}.")
        if path.suffix in (".md", ".svg", ".ipynb"):
            text = path.read_text(encoding="utf-8", errors="replace")
            problems += leaks_in_text(secrets, _short(path, root), text)
    return problems


def _check_strangers(root: Path) -> list[str]:
    """Folders and files in `labs/` that belong to no lab."""
    names = {lab.name for lab in list_labs(root)}
    folder = root / "labs"
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    return [
        f"labs/{path.name} belongs to no lab in solutions/: remove it."
        for path in there
        if not (path.is_dir() and path.name in names)
        and not (path.is_file() and path.suffix in (".md", ".png", ".svg"))
        and not _checkpoint(path)
    ]


def _differences(
    wanted: NotebookNode, there: NotebookNode, lines: Mapping[str, int]
) -> Iterator[str]:
    """What a person changed in a generated notebook, cell by cell."""
    old = {cell.id: cell for cell in wanted.cells}
    new = {cell.get("id", f"number {n}"): cell for n, cell in enumerate(there.cells, 1)}
    for name in old:
        called = _called(name, old[name], lines)
        if name not in new:
            yield f"cell {called} is missing"
        elif old[name].source != new[name].source:
            yield f"cell {called} is not what the generator makes: {_diff(old[name], new[name])}"
        elif old[name] != new[name]:
            keys = {
                key for key in {*old[name], *new[name]} if old[name].get(key) != new[name].get(key)
            }
            yield f"cell {called} differs from what the generator makes in its {_listed(keys)}"
    for name in new:
        if name not in old:
            yield f"cell {_called(name, new[name], {})} is not in the source"
    if list(old) != list(new) and set(old) == set(new):
        yield "its cells stand in another order"
    if wanted.metadata != there.metadata:
        yield "its notebook metadata is not what the generator makes"


def _called(name: str, cell: NotebookNode, lines: Mapping[str, int]) -> str:
    """A cell's name; where that is a hash, also its first line and where the source has it."""
    if not HASHED.fullmatch(name):
        return name
    first = next((line for line in cell.source.split("\n") if line.strip()), "")
    shown = first if len(first) <= SHOWN else first[:SHOWN].rstrip() + "…"
    place = f"source line {lines[name]}: " if name in lines else ""
    return f"{name} ({place}{shown!r})"


def _with_lines(sentence: str, lines: Mapping[str, int]) -> str:
    """A sentence about cells, with the line of the source for each that is named."""

    def value(match: re.Match[str]) -> str:
        line = lines.get(match.group(1))
        return f"{match.group(0)} (source line {line})" if line else match.group(0)

    return re.sub(r"\b[Cc]ell ([\w-]+)", value, sentence, count=2)


def _diff(old: NotebookNode, new: NotebookNode, limit: int = 6) -> str:
    lines = list(unified_diff(old.source.split("\n"), new.source.split("\n"), lineterm="", n=0))
    changed = [line for line in lines[2:] if not line.startswith("@@")]
    more = f" … {len(changed) - limit} more lines" if len(changed) > limit else ""
    return " | ".join(changed[:limit]) + more


# --- the executed solution -------------------------------------------------------


def _build_executed(labs: list[Built], run: bool, force: bool, say: Say) -> list[str]:
    """Write `solutions/<lab>/<lab>.ipynb`, keeping the outputs of code that did not change."""
    problems: list[str] = []
    stale: list[Built] = []
    for lab in labs:
        kept = None if force and run else _with_kept_outputs(lab)
        if kept is None:
            stale.append(lab)
            continue
        _write(lab.lab.executed, to_text(kept), lab.lab.root, say)
        problems += [f"{lab.lab.name}: {text}" for text in _reference_scores(kept)]
    if stale and not run:
        names = _listed(lab.lab.name for lab in stale)
        say(f"not executed: {names}. Their outputs are stale until a build without --no-execute.")
        return problems
    for lab in stale:
        problems += _execute(lab, say)
    return problems


def _execute(lab: Built, say: Say) -> list[str]:
    """Run one lab and write what came of it; a sentence for each problem."""
    say(f"executing {lab.lab.name} ...")
    started = time.monotonic()
    try:
        notebook = execute(copy.deepcopy(lab.source), lab.lab.name)
    except CourseError as error:
        return [f"{error} The executed notebook was left as it was."]
    say(f"executed {lab.lab.name} in {time.monotonic() - started:.1f} s")
    _write(lab.lab.executed, to_text(notebook), lab.lab.root, say)
    return [f"{lab.lab.name}: {what}" for what in _reference_scores(notebook)]


def _with_kept_outputs(lab: Built) -> NotebookNode | None:
    """The source with the outputs of the last run, or None when they are of other code."""
    try:
        before = nbformat.read(lab.lab.executed, as_version=nbformat.NO_CONVERT)
    except Exception:  # missing, or no notebook: it is made anew
        return None
    known = before.metadata.get("trickster", {}).get("code_sha256")
    if known != lab.source.metadata["trickster"]["code_sha256"] or _unfinished(before):
        return None
    ran = [cell for cell in before.cells if cell.cell_type == "code"]
    notebook = copy.deepcopy(lab.source)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if len(ran) != len(cells):
        return None
    for cell, old in zip(cells, ran, strict=True):
        cell.outputs, cell.execution_count = old.outputs, old.execution_count
    return notebook


def _unfinished(notebook: NotebookNode) -> list[str]:
    """What shows that a notebook did not run to its end."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for cell in code:
        name = grade_id(cell) or cell.id
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors:
            found.append(f"cell {name} ended in {errors[0].ename}: {errors[0].evalue}")
        elif cell.execution_count is None:
            found.append(f"cell {name} was not executed")
    if code and not any(cell.outputs for cell in code):
        found.append("no cell has an output")
    return found


def _reference_scores(notebook: NotebookNode) -> list[str]:
    """The course's own solution must get every point, or no student can."""
    found = []
    for cell in notebook.cells:
        if role(cell) != "test" or any(out.output_type == "error" for out in cell.outputs):
            continue
        score, points = nbgrader_api.determine_grade(cell)[0], points_of(cell)
        if score != points:
            noisy = any(out.get("name") == "stderr" for out in cell.outputs)
            why = " because it writes to stderr" if noisy else ""
            found.append(f"cell {grade_id(cell)} gives the solution {score} of {points:g}{why}.")
    return found


def _check_executed(lab: Built) -> list[str]:
    place = _short(lab.lab.executed, lab.lab.root)
    if not lab.lab.executed.is_file():
        return [f"{place} is missing: run make build."]
    try:
        there = nbformat.read(lab.lab.executed, as_version=nbformat.NO_CONVERT)
        bare = copy.deepcopy(there)
        for cell in bare.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        stale = list(_differences(lab.source, bare, lab.lines))
    except Exception as error:  # whatever a hand edit made of the file
        return [f"{place} is no notebook any more ({error}). Run make build."]
    problems = [f"{place} is stale: {what}. Run make build." for what in stale]
    problems += [f"{place}: {what}. Run make build." for what in _unfinished(there)]
    return problems + [f"{place}: {what}" for what in _reference_scores(there)]


# --- small things ------------------------------------------------------------------


def _write(path: Path, data: str | bytes, root: Path, say: Say) -> None:
    """Write what is not there yet, and say so."""
    content = data.encode() if isinstance(data, str) else data
    if path.is_file() and path.read_bytes() == content:
        return
    write_atomically(path, content)
    say(f"wrote {_short(path, root)}")


def _short(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _checkpoint(path: Path) -> bool:
    return ".ipynb_checkpoints" in path.parts


def _listed(words: object) -> str:
    return ", ".join(sorted(words))  # type: ignore[call-overload]
