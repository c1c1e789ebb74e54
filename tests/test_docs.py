"""The documentation names only what exists: links, commands, options, files and modules."""

from __future__ import annotations

import importlib
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

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES)
LINK = re.compile(r"\]\((?!https?://)([^)\s#]*)(?:#([^)\s]*))?\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
MAKE = re.compile(r"\bmake ([a-z][\w-]*)")
AUTOGRADER = re.compile(r"python -m autograder ([a-z][\w-]*)([^\n#|]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
FILE = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|txt|html|png|jsonl)|(?:[\w.-]+/)+")
MODULE = re.compile(r"(?:autograder|trickster|benchmarks)(?:\.\w+)+")
# What a course folder or a build holds, and the repository does not.
GENERATED = {
    *("submitted/", "autograded/", "feedback/", "receipts/", "report.html", "timestamp.txt"),
    *("my_labs/", "build/", "build/student_copy/", "build/sample_class/", ".store/"),
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


def test_the_table_of_options_is_the_command_line():
    """Each row names its command's options, all of them but --root, and no other."""
    rows = re.findall(r"^\| `([a-z-]+)[^`]*` \| (.*) \|$", text_of("docs/instructors.md"), re.M)
    table = {name: set(OPTION.findall(options)) for name, options in rows if name in commands()}
    assert set(table) == {"grade", "publish", "sample", "formgrader", "doctor"}
    for name, options in table.items():
        there = {option for option in commands()[name] if option.startswith("--")}
        assert options <= there, name
        missing = there - options - {"--root", "--labs", "--students", "--browser"}
        assert not missing, f"{name}: the table does not name {missing}"


def test_readme_is_short_and_leads_to_every_other_page():
    text = text_of("README.md")
    assert len(text.splitlines()) <= 90 and len(text.encode()) <= 6_000
    assert {target for target, _ in LINK.findall(text)} >= set(PAGES) - {"README.md"}


def test_readme_asks_for_the_python_that_the_makefile_needs():
    (asked,) = re.findall(r"Python (\d+\.\d+) or newer", text_of("README.md"))
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
