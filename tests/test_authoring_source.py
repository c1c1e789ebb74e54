"""The authoring format: what becomes of a source, and what is said about a bad one."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbgrader.nbgraderformat import MetadataValidator
from toy_course import LAB, SOURCE, built_course, cell_of, make_course

from autograder.authoring.source import AuthorError, expand, find_regions, lab_notebook, lines_of
from autograder.cells import grade_id, headings_of, points_of, role, to_text
from autograder.course import Course, Lab, read_course

TOY = Course("toy", "https://github.com/someone/toy-labs", "main", "fashion")
ELSEWHERE = Course("toy", "https://example.org/toy", "main", "digits")
SOLUTION = "### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n"


def test_expands_to_valid_metadata_version_3() -> None:
    notebook = expand(SOURCE, LAB, TOY)
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)
    roles = {grade_id(cell): (role(cell), points_of(cell)) for cell in notebook.cells}
    del roles[""]
    assert roles == {
        "setup": ("provided", 0),
        "root_sum": ("solution", 0),
        "root_sum_test": ("test", 4),
        "counter": ("solution", 0),
        "counter_test": ("test", 2),
        "why": ("written", 3),
    }
    assert notebook.metadata["trickster"]["points"] == 9
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            assert cell.metadata["nbgrader"]["schema_version"] == 3
            assert cell.id == grade_id(cell)


def test_the_same_source_gives_the_same_bytes_and_unique_ids() -> None:
    twin = "# %% [markdown]\n# Same words\n\n# %% [markdown]\n# Same words\n"
    first, second = (expand(SOURCE + twin, LAB, TOY) for _ in range(2))
    assert to_text(first) == to_text(second)
    ids = [cell.id for cell in first.cells]
    assert len(set(ids)) == len(ids)


def test_an_edit_leaves_the_other_ids_alone() -> None:
    before = [cell.id for cell in expand(SOURCE, LAB, TOY).cells]
    after = [cell.id for cell in expand(SOURCE.replace("## Exercise 2", "## Two"), LAB, TOY).cells]
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_fills_in_what_the_course_says() -> None:
    first, setup = expand(SOURCE, LAB, TOY).cells[:2]
    assert f"colab.research.google.com/github/someone/toy-labs/blob/main/labs/{LAB}" in first.source
    assert "is fashion" in first.source and 'SCENARIO = "fashion"' in setup.source


def test_without_an_address_in_colab_the_link_s_line_is_left_out() -> None:
    first = expand(SOURCE, LAB, ELSEWHERE).cells[0].source
    assert first == "# Toy lab"
    prose = SOURCE.replace("[Colab]({{colab_url}})", "Colab (not [here](x)): {{colab_url}}")
    assert "Open it in Colab" in expand(prose, LAB, ELSEWHERE).cells[0].source


def test_headings_and_lines_of_cells(tmp_path: Path) -> None:
    lab = Lab(make_course(tmp_path), LAB)
    notebook = lab_notebook(lab, read_course(tmp_path))
    assert headings_of(notebook)["why"] == headings_of(notebook)["counter"] == "Exercise 2"
    assert headings_of(notebook)["setup"] == ""
    line = lines_of(lab, notebook)["counter_test"]
    assert lab.source.read_text().split("\n")[line - 1].startswith('# %% test="counter_test"')


def test_a_lab_s_notebook_belongs_to_whoever_asks(tmp_path: Path) -> None:
    lab = Lab(make_course(tmp_path), LAB)
    course = read_course(tmp_path)
    first = lab_notebook(lab, course)
    first.cells[0].source = "changed"
    assert lab_notebook(lab, course).cells[0].source != "changed"
    lab.source.write_text(lab.source.read_text() + "\n# %% [markdown]\n# The end.\n")
    assert lab_notebook(lab, course).cells[-1].source == "The end."


def test_without_a_source_a_lab_is_its_release(tmp_path: Path) -> None:
    lab = Lab(built_course(tmp_path), LAB)
    shutil.rmtree(tmp_path / "solutions")
    notebook = lab_notebook(lab, read_course(tmp_path))
    assert notebook == nbformat.read(lab.release, as_version=4)


def test_fills_in_the_set_up_cell() -> None:
    text = '# %% provided="setup"\n{{setup}}\n'
    notebook = expand(text, LAB, TOY, setup='import os\n\nNAME = "{{lab}}"')
    assert notebook.cells[0].source == f'import os\n\nNAME = "{LAB}"'


def test_code_hash_ignores_prose_and_settings() -> None:
    def code_hash(text: str, course: Course = TOY) -> str:
        return expand(text, LAB, course).metadata["trickster"]["code_sha256"]

    assert code_hash(SOURCE) == code_hash(SOURCE.replace("## Exercise 2", "## Two"))
    assert code_hash(SOURCE) == code_hash(SOURCE, ELSEWHERE)
    assert code_hash(SOURCE) != code_hash(SOURCE.replace("limit: int = 3", "limit: int = 4"))


BAD = {
    "two roles": ('# %% solution="a" test="b"\n', "one role"),
    "unknown word": ('# %% hint="a"\n', "unknown word 'hint'"),
    "bare title": ("# %% Exercise one\n", "means nothing here"),
    "unreadable header": ("# %% test=my_test points=2\n", "header"),
    "same name twice": (f'# %% solution="a"\n{SOLUTION}\n' * 2, "'a' is taken"),
    "empty name": ('# %% solution=""\n', "is no name"),
    "name with a space": ('# %% solution="a b"\n', "is no name"),
    "number as a name": ("# %% solution=3\n", "is no name"),
    "written code": ('# %% written="a" points=1\n', "[markdown] cell"),
    "markdown test": ('# %% [markdown] test="a" points=1\n', "code cell"),
    "no points": ('# %% test="a"\nassert x\n', "no points"),
    "zero points": ('# %% test="a" points=0\n', "positive number"),
    "negative points": ('# %% test="a" points=-1\n', "positive number"),
    "text as points": ('# %% test="a" points="2"\n', "positive number"),
    "true points": ('# %% test="a" points=true\n', "positive number"),
    "points on a solution": (f'# %% solution="a" points=1\n{SOLUTION}', "Give them to its test"),
    "points on a plain cell": ("# %% points=1\n", "plain cell"),
    "no region": ('# %% solution="a"\nx = 1\n', "BEGIN SOLUTION"),
    "no end": ('# %% solution="a"\n### BEGIN SOLUTION\nx = 1\n', "no END SOLUTION"),
    "end only": ('# %% solution="a"\nx = 1\n### END SOLUTION\n', "without a BEGIN"),
    "nested": (f'# %% solution="a"\n### BEGIN SOLUTION\n{SOLUTION}', "second BEGIN"),
    "hidden test in a solution": (
        f'# %% solution="a"\n{SOLUTION}### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS\n',
        "belongs in a test cell",
    ),
    "solution in a plain cell": (f"# %%\n{SOLUTION}", "solution or written"),
    "mark scheme outside": (
        '# %% [markdown] written="a" points=1\n# ### BEGIN SOLUTION\n# x\n# ### END SOLUTION\n'
        "# ### BEGIN MARK SCHEME\n# y\n# ### END MARK SCHEME\n",
        "inside the solution region",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_sources_are_explained(name: str) -> None:
    text, said = BAD[name]
    with pytest.raises(AuthorError) as error:
        expand(f"# %% [markdown]\n# # Title\n\n{text}", LAB, TOY, "lab1.py")
    message = str(error.value)
    assert said in message and message.startswith("lab1.py") and "Traceback" not in message
    assert "\n" not in message


def test_errors_name_cell_and_line() -> None:
    with pytest.raises(AuthorError, match=r"lab1\.py, cell 2 \(line 4\)"):
        expand('# %% [markdown]\n# Hello\n\n# %% test="a"\n', LAB, TOY, "lab1.py")


def test_regions_within_regions() -> None:
    regions = find_regions(
        "a\n### BEGIN SOLUTION\nb\n### BEGIN MARK SCHEME\nc\n### END MARK SCHEME\n### END SOLUTION"
    )
    assert [(region.kind, region.lines) for region in regions] == [
        ("MARK SCHEME", ("c",)),
        ("SOLUTION", ("b", "c")),
    ]


WORDS = st.text("abc xyz_=+'\"#%!é{}[]\\", min_size=1, max_size=20).map(str.strip).filter(bool)
LINES = st.lists(WORDS.filter(lambda line: "%%" not in line), min_size=1, max_size=4)
KINDS = st.sampled_from(["", "provided", "solution", "test", "written"])
POINTS = st.one_of(st.integers(1, 50), st.sampled_from([0.5, 2.25]))
CELLS = st.lists(st.tuples(KINDS, LINES, POINTS), min_size=1, max_size=8)


def as_code(lines: list[str]) -> list[str]:
    """Lines of code, whatever the words: string literals."""
    return [f"value = {line!r}" for line in lines]


@settings(max_examples=60, deadline=None)
@given(CELLS)
def test_any_cells_survive(cells: list[tuple[str, list[str], float]]) -> None:
    text, wanted = "", []
    for number, (kind, words, points) in enumerate(cells):
        markdown = kind == "written"
        lines = [f"word {word}" for word in words] if markdown else as_code(words)
        if kind == "solution":
            lines = ["### BEGIN SOLUTION", *lines, "### END SOLUTION"]
        header = f' {kind}="cell-{number}"' if kind else ""
        header += f" points={points}" if kind in ("test", "written") else ""
        text += f"# %%{' [markdown]' if markdown else ''}{header}\n"
        text += "\n".join(f"# {line}" if markdown else line for line in lines) + "\n\n"
        name = f"cell-{number}" if kind else ""
        wanted.append((kind, name, points if "points" in header else 0, "\n".join(lines)))
    notebook = expand(text, LAB, ELSEWHERE)
    got = [(role(cell), grade_id(cell), points_of(cell), cell.source) for cell in notebook.cells]
    assert got == wanted
    assert nbformat.reads(to_text(notebook), as_version=4) == notebook


def test_a_written_answer_keeps_its_text() -> None:
    source = cell_of(expand(SOURCE, LAB, TOY), "why").source
    assert source.startswith("Why does a limit") and "### BEGIN MARK SCHEME" in source
