"""The form of a check: what it prints, what it returns, what it lets pass."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trickster.checks import thresholds
from trickster.checks.result import Missed, Sheet, array, check, number


def test_points_add_up_and_every_part_says_what_was_asked(capsys):
    @check("Title", 3)
    def run(sheet: Sheet) -> None:
        with sheet.part("first", 2) as part:
            part.expect(True, "1", "1", "about 1", "never shown")
        with sheet.part("second", 1) as part:
            part.award(0.5, "0.4", "0.5", "", "a half is a half")

    assert run() == 2.5
    assert run.points == 3
    said = capsys.readouterr().out
    for words in ("Title", "ok   first: 2 of 2", "part second: 0.5 of 1", "a half is a half"):
        assert words in said
    assert "never shown" not in said and "2.5 of 3 points" in said


def test_an_error_costs_its_own_part_only(capsys):
    @check("Title", 2)
    def run(sheet: Sheet, broken) -> None:
        with sheet.part("first", 1) as part:
            part.expect(broken(), "1", "1")
        with sheet.part("second", 1) as part:
            part.expect(True, "1", "1")

    def stops():
        raise SystemExit(3)

    assert run(lambda: 1 / 0) == 1.0
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert run(stops) == 1.0


def test_unwritten_cells_stop_the_check():
    @check("Title", 1)
    def run(sheet: Sheet, unwritten) -> None:
        with sheet.part("first", 1) as part:
            part.expect(unwritten(), "1", "1")

    def unwritten():
        raise NotImplementedError("write me")

    with pytest.raises(NotImplementedError, match="write me"):
        run(unwritten)


def test_an_unwritten_function_keeps_what_others_have_earned(capsys):
    @check("Title", 3)
    def run(sheet: Sheet, unwritten) -> None:
        for name, answer in (("first", lambda: True), ("second", unwritten), ("third", lambda: 1)):
            with sheet.part(name, 1) as part:
                part.expect(bool(answer()), "1", "1")

    def unwritten():
        raise NotImplementedError

    assert run(unwritten) == 2.0
    said = capsys.readouterr().out
    assert "MISS second: 0 of 1" in said and "is not written yet" in said
    assert "ok   third" in said


def test_parts_that_missed_do_not_hide_an_unwritten_cell():
    @check("Title", 2)
    def run(sheet: Sheet, unwritten) -> None:
        with sheet.part("first", 1) as part:
            part.expect(False, "0", "1")
        with sheet.part("second", 1) as part:
            part.expect(unwritten(), "1", "1")

    def unwritten():
        raise NotImplementedError("write me")

    with pytest.raises(NotImplementedError, match="write me"):
        run(unwritten)


NOISY = """
import sys, warnings
from trickster.checks.result import check

@check("Title", 1)
def run(sheet):
    with sheet.part("first", 1) as part:
        print("noise", file=sys.stderr)
        warnings.warn("a warning")
        part.expect(True, "1", "1")

assert run() == 1.0
"""


def test_standard_error_stays_empty():
    # A process of its own: pytest catches warnings before they are written anywhere.
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "noise" in done.stdout and "a warning" in done.stdout


def test_an_undecided_part_is_an_error_of_the_check():
    @check("Title", 1)
    def run(sheet: Sheet) -> None:
        with sheet.part("first", 1):
            pass

    with pytest.raises(AssertionError, match="undecided"):
        run()


def test_parts_must_make_up_the_points():
    @check("Title", 2)
    def run(sheet: Sheet) -> None:
        with sheet.part("first", 1) as part:
            part.expect(True, "1", "1")

    with pytest.raises(AssertionError, match="2"):
        run()


def test_array_accepts_arrays_lists_and_tensors():
    for value in (np.ones((2, 3)), [[1, 1, 1], [1, 1, 1]], torch.ones(2, 3)):
        assert array(value, "it", (None, 3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        ("text", "str"),
        ([[1], [2, 3]], "list"),
        (np.ones(4), r"shape \(4,\)"),
        (torch.ones(2, 3, requires_grad=True), "gradients"),
    ],
)
def test_array_says_what_came_instead(value, words):
    with pytest.raises(Missed, match=words):
        array(value, "it", (2, 3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, 2], None, "x"])
def test_number_refuses_what_is_no_finite_number(value):
    with pytest.raises(Missed):
        number(value, "it")


@given(st.floats(-1, 2, allow_nan=False), st.floats(-1, 2, allow_nan=False))
def test_a_bar_gives_a_share_that_never_falls(low, high):
    bar = thresholds.Bar(0.6, 0.4, "", "")
    low, high = sorted((low, high))
    assert 0 <= bar.share(low) <= bar.share(high) <= 1
    assert bar.share(0.6) == 1 and bar.share(0.399) == 0 and bar.share(0.4) == 0.5


def test_every_bar_lies_between_some_and_full_and_has_evidence():
    table = [value for value in vars(thresholds).values() if isinstance(value, thresholds.Bar)]
    assert table
    for bar in table:
        assert -1 < bar.some < bar.full < 1  # a loss is a negative gain
        assert len(bar.evidence) > 20 and any(c.isdigit() for c in bar.evidence)


def test_what_ends_a_part_says_so_plainly_and_once(capsys):
    class Ended(Exception):
        plain = "it had ended, as above."

    sheet = Sheet("Exercise", 2)
    for name in ("one", "two"):
        with sheet.part(name, 1):
            raise Ended("it ended here.")
    told = capsys.readouterr().out
    assert "Ended" not in told and told.count("it ended here.") == 1
    assert told.count("it had ended, as above.") == 1
