"""The documentation names only what exists: links, commands, options, files and modules."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
from reference import ROOT
from typer.core import TyperGroup

from autograder.__main__ import app
from autograder.authoring.student_copy import copy_files
from autograder.course import SECRET, list_labs
from autograder.sample_class.runner import load_specimens

ROOT_PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
PAGES = [*ROOT_PAGES, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES)
LINK = re.compile(r"\]\((?!https?://)([^)\s#]*)(?:#([^)\s]*))?\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
MAKE = re.compile(r"(?<!install -y )\bmake ([a-z][\w-]*)")
AUTOGRADER = re.compile(r"python -m autograder ([a-z][\w-]*)([^\n#|]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|txt|html|png|jsonl)|(?:[\w.-]+/)+")
MODULE = re.compile(r"(?:autograder|trickster|benchmarks)(?:\.\w+)+")
NAME = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)?")
CODED = re.compile(r"\w_\w|[a-z][A-Z]|^[A-Z]{3,}$")  # not a word of English
# What a course folder or a build holds, and the repository does not.
GENERATED = {
    *("submitted/", "autograded/", "feedback/", "receipts/", "report.html", "timestamp.txt"),
    *(
        "collected.json",
        "earlier/",
        "my_labs/",
        "build/",
        "build/site/",
        "build/student_copy/",
        "build/sample_class/",
        SECRET,
    ),
}


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code_in(text: str) -> list[str]:
    """What is set as code: the fenced blocks (diagrams left out) and the spans between them."""
    blocks = [body for kind, body in FENCE.findall(text) if kind != "mermaid"]
    return blocks + SPAN.findall(FENCE.sub("", text))


@cache
def tracked() -> frozenset[str]:
    """Every file of the repository, and every folder with a slash at its end."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    folders = {f"{folder}/" for name in files for folder in Path(name).parents}
    return frozenset({*files, *folders})


@cache
def words_of_the_code() -> frozenset[str]:
    """Every word of the source code and its settings, tests left out."""
    files = [name for name in tracked() if name.endswith((".py", ".toml", "Makefile"))]
    code = (text_of(name) for name in files if not name.startswith("tests/"))
    return frozenset(word for text in code for word in re.findall(r"\w+", text))


NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
)
NUMBERS += "sixteen seventeen eighteen nineteen twenty"
NUMBER = {word: value for value, word in enumerate(NUMBERS.split(), 1)}


def slugs(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(folder: Path, page: Path) -> Iterator[str]:
    """Relative links of a page that lead to nothing in ``folder``."""
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or not there.is_relative_to(folder.resolve()):
            yield f"{page.name}: {target} does not exist"
        elif anchor and anchor not in slugs(there.read_text(encoding="utf-8")):
            yield f"{page.name}: {target} has no heading {anchor!r}"


def unknown_files(text: str) -> Iterator[str]:
    """Files and folders that a text names, and that the repository does not hold."""
    for span in SPAN.findall(FENCE.sub("", text)):
        if not FILE.fullmatch(span) or span in GENERATED or span in tracked():
            continue
        if "lab9" in span or "STUDENT" in span:  # a lab or a student of the reader's
            continue
        # A bare name, or the end of a path, is enough where the text has named its folder.
        if not any(name.endswith(f"/{span}") for name in tracked()):
            yield span


@cache
def commands() -> dict[str, set[str]]:
    """Every command of the autograder, and its options."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {
        name: {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        for name, command in group.commands.items()
    }


def unknown_options(command: str, words: str) -> list[str]:
    if command not in commands():
        return [command]
    return sorted(set(OPTION.findall(words)) - {*commands()[command], "--help"})


@every_page
def test_every_link_leads_somewhere(page):
    assert list(broken_links(ROOT, ROOT / page)) == []


@every_page
def test_every_make_target_exists(page):
    targets = set(re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE))
    named = {name for code in code_in(text_of(page)) for name in MAKE.findall(code)}
    assert named <= targets


@every_page
def test_every_command_of_the_autograder_and_its_options_exist(page):
    for code in code_in(text_of(page)):
        for command, words in AUTOGRADER.findall(code):
            assert unknown_options(command, words) == [], code


@every_page
def test_every_file_that_is_named_exists(page):
    assert list(unknown_files(text_of(page))) == []


@every_page
def test_every_module_that_is_named_exists(page):
    for span in SPAN.findall(FENCE.sub("", text_of(page))):
        if not MODULE.fullmatch(span) or FILE.fullmatch(span):
            continue
        *parents, last = span.split(".")
        found = importlib.import_module(".".join(parents[:2]))
        for name in parents[2:]:
            found = getattr(found, name, None) or importlib.import_module(
                f"{found.__name__}.{name}"
            )
        assert hasattr(found, last) or importlib.import_module(span), span


@every_page
def test_every_name_of_the_code_that_is_named_exists(page):
    """Functions, classes, constants: what looks like no word of English."""
    names = {part for span in SPAN.findall(FENCE.sub("", text_of(page)))
             if NAME.fullmatch(span) for part in span.split(".")}  # fmt: skip
    assert {name for name in names if CODED.search(name)} <= words_of_the_code()


def test_the_table_of_options_is_the_command_line():
    """Each row names its command's options, all of them but --root, and no other."""
    rows = re.findall(r"^\| `([a-z-]+)[^`]*` \| (.*) \|$", text_of("docs/instructors.md"), re.M)
    table = {name: set(OPTION.findall(options)) for name, options in rows if name in commands()}
    assert set(table) == {
        "grade",
        "collect",
        "export",
        "due",
        "publish",
        "sample",
        "formgrader",
        "doctor",
    }
    for name, options in table.items():
        there = {option for option in commands()[name] if option.startswith("--")}
        assert options <= there, name
        missing = there - options - {"--root", "--labs", "--students", "--browser"}
        assert not missing, f"{name}: the table does not name {missing}"


# --- the diagram of imports ---------------------------------------------------------------

# Left out of the diagram.
EVERYBODY_S = {"course", "cells", "environment", "native_kernel", "files", "foreign_text"}


def room_of(module: str) -> str:
    """The room of `autograder` that a module is in; the library has two, the checks and the rest.

    "" for what the diagram leaves out.
    """
    package, room, *_ = (*module.split("."), "")
    if room in EVERYBODY_S:
        return ""
    if package == "trickster":
        return "trickster.checks" if room == "checks" else "trickster"
    return room


def imported_by(path: Path) -> set[str]:
    """The modules of this repository that a file imports, here or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith(("autograder.", "trickster."))}


def imports_of_rooms() -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second."""
    pairs = set()
    for name in tracked():
        inside = Path(name).suffix == ".py" and name.startswith(("autograder/", "trickster/"))
        if inside and not {"zoo", "stand_in"} & set(Path(name).parts):
            room = room_of(".".join(Path(name).with_suffix("").parts))
            pairs |= {(room, room_of(module)) for module in imported_by(ROOT / name)}
    return {(one, other) for one, other in pairs if one and other and one != other}


def drawn() -> set[tuple[str, str]]:
    """The arrows of ARCHITECTURE.md's diagram of imports."""
    diagram = next(b for kind, b in FENCE.findall(text_of("ARCHITECTURE.md")) if kind == "mermaid")
    labels = dict(re.findall(r'(\w+)\["([^"]+)"\]', diagram))
    pairs = set()
    for line in re.sub(r'\["[^"]+"\]', "", diagram).splitlines()[1:]:
        chain = [labels.get(name, name) for name in re.split(r"\s*-->\s*", line.strip())]
        pairs |= set(itertools.pairwise(chain))
    return pairs


def reachable(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What follows from the pairs, step by step."""
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs = pairs | more
    return pairs


def test_the_diagram_of_imports_is_the_code():
    real, shown = imports_of_rooms(), drawn()
    assert len(real) > 20
    assert all(one != other for one, other in reachable(real)), "a circle"
    library = {pair for pair in shown if "labs" not in pair}
    assert library <= real, "an arrow without an import"
    assert reachable(library) == reachable(real), "an import without an arrow"
    for pair in library:
        assert pair not in reachable(library - {pair}), f"{pair} follows from other arrows"


def test_every_room_is_in_the_tables_of_the_architecture():
    text = text_of("ARCHITECTURE.md")
    rooms = {room_of(name.removesuffix(".py").replace("/", ".")) for name in tracked()
             if name.startswith("autograder/") and name.endswith(".py")}  # fmt: skip
    for room in rooms - {"", "__init__"}:
        assert f"`autograder/{room}/`" in text or f"`autograder/{room}.py`" in text, room
    for path in (ROOT / "trickster").glob("[a-z]*.py"):
        assert f"`{path.stem}`" in text, path


# --- README and the student copy ------------------------------------------------------------


def test_readme_is_short_and_leads_to_every_other_page():
    text = text_of("README.md")
    assert len(text.splitlines()) <= 90 and len(text.encode()) <= 6_000
    assert {target for target, _ in LINK.findall(text)} >= set(PAGES) - {"README.md"}


def test_readme_asks_for_the_python_that_the_makefile_needs():
    (asked,) = re.findall(r"Python (\d+\.\d+) to \d", text_of("README.md"))
    makefile = text_of("Makefile")
    assert set(re.findall(r"Python (\d+\.\d+) or newer", makefile)) == {asked}
    assert f"sys.version_info < ({asked.replace('.', ', ')})" in makefile


def test_a_student_s_copy_names_nothing_that_is_not_there(tmp_path):
    copy_files(ROOT, tmp_path)
    pages = [page for page in tmp_path.rglob("*.md") if "zoo" not in page.parts]
    assert tmp_path / "README.md" in pages
    assert [broken for page in pages for broken in broken_links(tmp_path, page)] == []
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    paths = {span for span in SPAN.findall(readme) if FILE.fullmatch(span)}
    assert paths > GENERATED & paths
    assert [path for path in paths - GENERATED if not (tmp_path / path).exists()] == []
    makefile = (tmp_path / "Makefile").read_text(encoding="utf-8")
    without_sources = re.search(r"^ifneq.*?^endif", makefile, re.MULTILINE | re.DOTALL).group()
    offered = set(MAKE.findall(makefile.replace(without_sources, "")))
    assert {name for code in code_in(readme) for name in MAKE.findall(code)} <= offered
    assert "make grade" not in readme and "solutions" not in readme


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("`trickster/no_such.py`", ["trickster/no_such.py"]),
        ("`no_such_file.md`", ["no_such_file.md"]),
        ("`trickster/api.py`, `report.html`, `solutions/`, `lab1_train_victim.py`", []),
    ],
)
def test_a_file_that_does_not_exist_is_found(text, wrong):
    assert list(unknown_files(text)) == wrong


def test_a_link_an_option_and_a_command_that_do_not_exist_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](gone.md) [b](#one) [c](#two) [d](../elsewhere.md)")
    assert len(list(broken_links(tmp_path, page))) == 3
    assert unknown_options("grade", "--again --no-such .") == ["--no-such"]
    assert unknown_options("no-such", "") == ["no-such"]


def test_instructors_are_told_of_the_hardest_exercises() -> None:
    heads = {lab.number: lab.source.read_text(encoding="utf-8") for lab in list_labs(ROOT)}
    hardest = [number for number, text in heads.items() for _ in re.findall("●{4}", text)]
    guide = " ".join(text_of("docs/instructors.md").split())
    (told,) = re.findall(r"(\w+) have four dots: (.*?)\. The longest is", guide)
    assert NUMBER[told[0].lower()] == len(hardest)
    assert set(map(int, re.findall(r"lab (\d)", told[1]))) == set(hardest)
    ((lab, number, minutes),) = re.findall(
        r"The longest is lab (\d)'s exercise (\d) \((\d+) minutes\)", guide
    )
    head = r"## Exercise (\d)(?:(?!## ).)*?\| [●○]{5} \| (\d+) minutes"
    times = {(at, one): int(takes) for at, text in heads.items()
             for one, takes in re.findall(head, text, re.DOTALL)}  # fmt: skip
    assert len(times) > 30 and max(times.values()) == int(minutes) == times[int(lab), number]


def test_the_counts_on_the_first_page_are_true() -> None:
    text = text_of("README.md")
    (labs,) = re.findall(r"In these (\w+) labs", text)
    (submissions,) = re.findall(r"(\w+) sample submissions are graded", text)
    assert NUMBER[labs] == len(list_labs(ROOT))
    rows = re.findall(r"\| (\d+) min \| (\d+) \|", text)
    minutes, points = (sum(map(int, column)) for column in zip(*rows, strict=True))
    (hours,) = re.findall(r"(\w+) hours of PyTorch notebooks", text)
    assert len(rows) == len(list_labs(ROOT)) and NUMBER[hours] == round(minutes / 60)
    assert f"\n{points} points. " in text
    assert NUMBER[submissions] == len(load_specimens(ROOT))
    (guide,) = re.findall(r"a sample class of (\w+) submissions", text_of("docs/instructors.md"))
    assert guide == submissions
