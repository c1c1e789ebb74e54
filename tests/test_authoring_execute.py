"""Running the course's own notebooks, and what is kept of their outputs."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from autograder.authoring.execute import ExecutionError, as_terminal, execute, tidy_outputs


def test_runs_and_tidies() -> None:
    code = "import sys\nfor n in range(3):\n    print(f'\\rstep {n}', end='')\nprint('\\n7', 1 + 1)"
    done = execute(new_notebook(cells=[new_code_cell(code), new_code_cell("6 * 7")]), "lab")
    first, second = done.cells
    assert [(out.name, out.text) for out in first.outputs] == [("stdout", "step 2\n7 2\n")]
    assert second.outputs[0].data["text/plain"] == "42" and second.execution_count == 2
    assert "execution" not in first.metadata
    assert done.metadata["language_info"] == {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
    }


def test_an_error_names_the_cell() -> None:
    cell = new_code_cell("1 / 0", metadata={"nbgrader": {"grade_id": "divide"}})
    with pytest.raises(ExecutionError) as error:
        execute(new_notebook(cells=[cell]), "lab1")
    assert str(error.value).startswith("lab1 did not run: cell divide raised ZeroDivisionError")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\n", "plain\n"),
        ("one\rtwo\n", "two\n"),
        ("longer\rab\n", "abnger\n"),
        ("ab\bc\n", "ac\n"),
        ("\x1b[31mred\x1b[0m\n", "red\n"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
        ("  0%|      | 0/4 [00:00<?]\r100%|####| 4/4 [00:01<00:00]\ndone\n", "done\n"),
        ("3it [00:01, 2.5it/s]\nloss 0.50% | 3/4\n", "loss 0.50% | 3/4\n"),
    ],
)
def test_streams_as_a_terminal_shows_them(raw: str, shown: str) -> None:
    assert as_terminal(raw) == shown


def test_streams_of_one_name_are_one() -> None:
    outputs = [new_output("stream", name="stdout", text=text) for text in ("a", "b\n")]
    outputs.append(new_output("stream", name="stderr", text=" 50%|##  | 2/4 [00:01<00:01]"))
    tidy = tidy_outputs(outputs)
    assert [(out.name, out.text) for out in tidy] == [("stdout", "ab\n")]
