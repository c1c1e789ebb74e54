"""A check's result: what it is made of, how it looks, and what it lets pass."""

import json
import linecache
import pickle
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reading import in_words, words_of
from torch.nn import functional as F

from autograder.authoring.execute import as_terminal
from trickster.checks import panel, progress, thresholds
from trickster.checks.faults import place_of
from trickster.checks.result import (
    SAME,
    UNWRITTEN,
    CheckResult,
    Missed,
    NotMeasured,
    PartResult,
    Sheet,
    check,
)
from trickster.checks.values import array, number


def unwritten():
    raise NotImplementedError("write me")


@check("Title", 3)
def mixed(sheet: Sheet) -> None:
    with sheet.part("first", 2) as part:
        part.expect(True, "1", "1", "about 1", "never shown")
    with sheet.part("second", 1) as part:
        part.award(0.5, "0.4", "0.5", "", "a half is a half", value=0.4)


# --- data ---------------------------------------------------------------------------


def test_a_check_returns_its_points_with_their_parts():
    result = mixed()
    assert result == 2.5 and mixed.points == result.maximum == 3 and result.title == "Title"
    assert result.begun and not result.note
    assert result.parts == (
        PartResult("first", 2, 1.0, "1", "1", "about 1", ""),
        PartResult("second", 1, 0.5, "0.4", "0.5", "", "a half is a half", 0.4),
    )
    assert [part.status for part in result.parts] == ["passed", "partial"]
    assert [part.earned for part in result.parts] == [2, 0.5]


def test_a_check_prints_nothing(capsys):
    mixed()
    assert capsys.readouterr() == ("", "")


def test_it_prints_as_the_bare_number():
    assert repr(mixed()) == str(mixed()) == "2.5"
    assert repr(CheckResult(2, "", 2)) == "2.0"


def test_points_are_rounded_and_never_outside_of_what_there_is():
    assert CheckResult(2 / 3, "", 1) == 0.67
    assert CheckResult(1.004, "", 1) == 1 and CheckResult(-0.1, "", 1) == 0


def test_it_pickles_and_goes_through_json():
    result = CheckResult(1.5, "T", 2, (PartResult("a", 2, 0.75, value=0.5),), "why", False)
    for again in (
        pickle.loads(pickle.dumps(result)),
        CheckResult.from_dict(json.loads(json.dumps(result.to_dict()))),
    ):
        assert type(again) is CheckResult and vars(again) == vars(result) and again == result


def test_results_add_up_to_one_with_the_parts_of_both():
    one, other = mixed(), CheckResult(0.0, "Other", 2, (), "not begun", begun=False)
    for both in (one + other, sum([one, other])):
        assert both == 2.5 and both.maximum == 5 and both.title == "Title; Other"
        assert both.parts == one.parts and both.note == "not begun" and both.begun
    for plain in (one + 1, 1.0 + one, one / 2, 2 * one):
        assert type(plain) is float


# --- what costs points, and what does not -------------------------------------------


def test_an_error_costs_its_own_part_only():
    @check("Title", 2)
    def run(sheet: Sheet, broken) -> None:
        with sheet.part("first", 1) as part:
            part.expect(broken(), "1", "1")
        with sheet.part("second", 1) as part:
            part.expect(True, "1", "1")

    def stops():
        raise SystemExit(3)

    result = run(lambda: 1 / 0)
    assert result == 1.0
    assert result.parts[0].advice == "your code raised ZeroDivisionError: division by zero."
    assert run(stops) == 1.0


def test_a_miss_keeps_what_was_measured_before():
    sheet = Sheet("Title", 1)
    with sheet.part("first", 1) as part:
        part.expect(True, "seven", "seven")
        raise Missed("But not for 30 classes.")
    (found,) = sheet.result().parts
    assert (found.share, found.measured, found.advice) == (0, "seven", "But not for 30 classes.")


def test_an_exercise_that_nobody_has_begun_is_told_calmly():
    @check("Title", 1)
    def run(sheet: Sheet, unwritten) -> None:
        with sheet.part("first", 1) as part:
            part.expect(unwritten(), "1", "1")

    result = run(unwritten)
    assert result == 0 and not result.begun and not result.parts
    assert result.note == "Not written yet: this exercise still raises NotImplementedError."
    assert in_words(result) == f"Title {result.note} 0 of 1 points"


def of_torch(x):
    """Swapped arguments: torch's own NotImplementedError."""
    logits, labels = torch.zeros(4, 10), torch.zeros(4, dtype=torch.long)
    return F.cross_entropy(labels, logits)


class NoForward(torch.nn.Module):
    def forwards(self, x):
        return x


@pytest.mark.parametrize("wrong", [of_torch, NoForward()], ids=["swapped", "no forward"])
def test_an_error_of_torch_s_is_no_unwritten_exercise(wrong):
    @check("Title", 2)
    def run(sheet: Sheet, student) -> None:
        with sheet.part("only", 2) as part:
            part.expect(student(torch.zeros(1)), "1", "1")

    result = run(wrong)
    assert result == 0 and result.begun and result.parts[0].status == "missed"
    assert "your code raised NotImplementedError: " in in_words(result)
    assert "Not written yet" not in in_words(result)


def test_a_call_of_torch_s_in_a_notebook_is_told_with_its_line():
    lines = "def student(x):\n    return F.softmax(torch.zeros(4).long(), dim=0)\n"
    name = "<ipython-input-1-torch>"
    linecache.cache[name] = (len(lines), None, lines.splitlines(True), name)
    names = {"F": F, "torch": torch}
    exec(compile(lines, name, "exec"), names)

    @check("Title", 2)
    def run(sheet: Sheet, student) -> None:
        with sheet.part("only", 2) as part:
            part.expect(student(1), "1", "1")

    result = run(names["student"])
    assert result.begun and "in student(), at: return F.softmax" in in_words(result)


def test_an_unwritten_function_keeps_what_others_have_earned():
    @check("Title", 3)
    def run(sheet: Sheet, unwritten) -> None:
        for name, answer in (("first", lambda: True), ("second", unwritten), ("third", lambda: 1)):
            with sheet.part(name, 1) as part:
                part.expect(bool(answer()), "1", "1")

    result = run(unwritten)
    assert result == 2.0 and result.begun and not result.note
    assert "– not written yet second: 0 of 1" in in_words(result) and "✗" not in in_words(result)
    assert result.parts[1].status == UNWRITTEN
    assert "✓ passed third: 1 of 1" in in_words(result)


def test_a_later_function_counts_where_an_earlier_one_is_not_written():
    @check("Title", 3)
    def run(sheet: Sheet, unwritten) -> None:
        for name, answer in (("first", unwritten), ("second", unwritten), ("third", lambda: 1)):
            with sheet.part(name, 1) as part:
                part.expect(bool(answer()), "1", "1")

    result = run(unwritten)
    assert result == 1.0 and result.begun
    assert [part.status for part in result.parts] == [UNWRITTEN, UNWRITTEN, "passed"]


def test_what_depends_on_an_unwritten_part_is_not_begun_either():
    @check("Title", 2)
    def run(sheet: Sheet, unwritten) -> None:
        with sheet.part("first", 1) as part:
            part.expect(unwritten(), "1", "1")
        with sheet.part("second", 1):
            raise NotMeasured("the first comes first, see above.")

    result = run(unwritten)
    assert result == 0 and not result.begun and not result.parts and "Not written" in result.note
    result = run(lambda: False)
    assert result.begun and "– not measured second: 0 of 1" in in_words(result)


def test_parts_that_missed_do_not_hide_an_unwritten_cell():
    @check("Title", 2)
    def run(sheet: Sheet, unwritten) -> None:
        with sheet.part("first", 1) as part:
            part.expect(False, "0", "1", advice="Look again.")
        with sheet.part("second", 1) as part:
            part.expect(unwritten(), "1", "1")

    result = run(unwritten)
    assert result == 0 and result.begun and not result.note
    assert [part.status for part in result.parts] == ["missed", UNWRITTEN]
    assert "Look again." in in_words(result) and "Not written yet: " in in_words(result)


def test_the_same_error_in_several_parts_is_told_once():
    @check("Title", 3)
    def run(sheet: Sheet, broken) -> None:
        for name, case in (("first", 0), ("second", 0), ("third", 1)):
            with sheet.part(name, 1) as part:
                part.expect(broken(case), "1", "1")

    def broken(number):
        raise ValueError(f"no room for {number} of them, which is a long way to say so")

    text = in_words(run(broken))
    assert text.count("no room for 0") == text.count("no room for 1") == 1
    assert text.count(SAME) == 1


def test_a_slip_that_spoils_several_parts_is_told_once():
    @check("Title", 3)
    def run(sheet: Sheet) -> None:
        for name, right in (("first", False), ("second", True), ("third", False)):
            with sheet.part(name, 1) as part:
                part.expect(right, "2", "1", "", "Some other advice.")
                part.blame(
                    lambda: "The dictionary belongs into __init__, where each object makes its own."
                )

    result = run()
    assert result == 1.0 and in_words(result).count("belongs into __init__") == 1
    assert [part.advice for part in result.parts][1:] == ["", SAME] and result.parts[0].measured


class Ended(Exception):
    plain = "it had ended, as above."


def test_what_ends_a_part_says_so_plainly_and_once():
    sheet = Sheet("Exercise", 2)
    for name in ("one", "two"):
        with sheet.part(name, 1):
            raise Ended("it ended here.")
    text = in_words(sheet.result())
    assert "Ended" not in text and text.count("it ended here.") == 1
    assert text.count("it had ended, as above.") == 1


def test_what_ends_a_check_is_its_note_and_leaves_no_points():
    @check("Title", 2)
    def run(sheet: Sheet) -> None:
        with sheet.part("first", 1) as part:
            part.expect(True, "1", "1")
        raise Ended("it ended here.")

    result = run()
    assert result == 0 and result.begun and result.note == "The test stopped early: it ended here."
    assert [part.name for part in result.parts] == ["first"]


def test_a_slip_of_the_check_itself_is_no_result():
    @check("Title", 1)
    def run(sheet: Sheet) -> None:
        raise KeyError("the check's own")

    with pytest.raises(KeyError):
        run()


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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_array_lets_no_nan_pass_a_comparison_that_does_not_expect_it(bad):
    value = [0.0, bad, bad]
    with pytest.raises(Missed, match="it returned 2 of 3 values as NaN or infinite"):
        array(value, "it")
    np.testing.assert_array_equal(array(value, "it", (3,), finite=False), value)


@pytest.mark.parametrize(
    "value", [np.zeros(11, np.int8), torch.zeros(11), [0] * 11, np.zeros((11, 0, 5)).repeat(1, 0)]
)
def test_array_takes_no_more_than_a_check_can_look_at(value):
    if np.size(value):
        with pytest.raises(Missed, match="it returned 11 numbers; at most 10 can"):
            array(value, "it", most=10)
    else:
        assert array(value, "it", most=10).size == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, 2], None, "x"])
def test_number_refuses_what_is_no_finite_number(value):
    with pytest.raises(Missed):
        number(value, "it")


@given(st.floats(-1, 2, allow_nan=False), st.floats(-1, 2, allow_nan=False))
def test_a_bar_gives_a_share_that_never_falls(low, high):
    bar = thresholds.Threshold(0.6, 0.4, "", "")
    low, high = sorted((low, high))
    assert 0 <= bar.share(low) <= bar.share(high) <= 1
    assert bar.share(0.6) == 1 and bar.share(0.399) == 0 and bar.share(0.4) == 0.5


def test_every_bar_lies_between_some_and_full_and_has_evidence():
    table = [
        value for value in vars(thresholds).values() if isinstance(value, thresholds.Threshold)
    ]
    assert table
    for bar in table:
        assert -1 < bar.some < bar.full < 1  # a loss is a negative gain
        assert len(bar.evidence) > 20 and any(c.isdigit() for c in bar.evidence)


# --- how it looks -------------------------------------------------------------------

HOSTILE = "<script>alert('&')</script>\x1b[31m\x00\ud800\n" + '"><img src=x onerror=alert(1)>'


TAGS = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "br", "em"}
ATTRIBUTES = {"style", "scope", "colspan", "rowspan"}


class Tags(HTMLParser):
    """The tags of a table, which must close one another."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_text_and_table_tell_the_same_facts():
    result = mixed()
    assert result.as_text() == (
        "Title\n"
        "  ✓ passed  first: 2 of 2\n"
        "       measured  1\n"
        "       required  1\n"
        "       typical   about 1\n"
        "  ~ in part  second: 0.5 of 1\n"
        "       measured  0.4\n"
        "       required  0.5\n"
        "       advice    a half is a half\n"
        "2.5 of 3 points"
    )
    assert words_of(result._repr_html_()) == (
        "Title Part Result Measured Required Typical first ✓ passed 2 of 2 1 1 about 1 "
        "second ~ in part 0.5 of 1 0.4 0.5 Advice: a half is a half Total 2.5 of 3 points"
    )


def test_the_table_has_a_caption_and_headings_for_screen_readers():
    tags = Tags(mixed()._repr_html_()).seen
    scopes = [attrs.get("scope") for tag, attrs in tags if tag == "th"]
    assert scopes == ["col"] * 5 + ["row"] * 3
    assert [tag for tag, _ in tags].count("caption") == 1


def test_the_table_takes_its_colours_from_the_page():
    for _, attrs in Tags(mixed()._repr_html_()).seen:
        style = attrs.get("style") or ""
        assert "#" not in style and "black" not in style and "white;" not in style


def test_columns_that_nobody_fills_are_left_out():
    result = CheckResult(0.0, "T", 1, (PartResult("a", 1, 0.0, advice="It raised."),))
    assert words_of(result._repr_html_()) == (
        "T Part Result Advice a ✗ missed 0 of 1 It raised. Total 0 of 1 points"
    )


def test_hostile_words_stay_words():
    @check("Title", 1)
    def run(sheet: Sheet) -> None:
        with sheet.part("first", 1) as part:
            part.expect(False, HOSTILE, HOSTILE, HOSTILE, HOSTILE)

    clean = run().parts[0].measured
    assert clean.isprintable() and "<script>" in clean and "\ud800" not in clean
    given = CheckResult(0.0, HOSTILE, 1, (PartResult(HOSTILE, 1, 0.0, *[HOSTILE] * 4),), HOSTILE)
    for html in (run()._repr_html_(), given._repr_html_()):
        tags = Tags(html).seen
        assert {tag for tag, _ in tags} <= TAGS
        assert {name for _, attrs in tags for name in attrs} <= ATTRIBUTES


def test_a_text_has_an_end():
    sheet = Sheet("Title", 1)
    with sheet.part("first", 1):
        raise Missed("x" * 10**6)
    assert len(sheet.result().as_text()) < 5_000


def test_lines_fit_a_terminal():
    sheet = Sheet("Title", 1)
    with sheet.part("first", 1) as part:
        part.expect(False, "a long measurement " * 20, "b", "c", "do it again, " * 20)
    assert max(map(len, sheet.result().as_text().split("\n"))) <= 92


# --- while it works -----------------------------------------------------------------


class Watched:
    """A terminal that keeps what is written to it."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def slow(sheet: Sheet, wait) -> None:
    for name in ("first", "second"):
        with sheet.part(name, 1) as part:
            wait()
            part.expect(True, "1", "1")


def test_a_slow_check_shows_what_it_is_doing_and_cleans_up(monkeypatch):
    screen = Watched()
    monkeypatch.setattr(progress, "DELAY_S", 0.05)
    monkeypatch.setattr(sys, "stdout", screen)
    assert check("Title", 2)(slow)(lambda: time.sleep(0.3)) == 2
    assert "Title: first" in screen.text and "Title: second" in screen.text
    assert "50%" in screen.text and "1/2 points" in screen.text
    assert not as_terminal(screen.text).strip()


def test_a_slow_part_shows_how_far_it_is(monkeypatch):
    screen = Watched()
    monkeypatch.setattr(progress, "DELAY_S", 0.05)
    monkeypatch.setattr(sys, "stdout", screen)
    x = np.random.default_rng(0).random((20, 1, 28, 28), dtype=np.float32)
    sets = {i: panel.training_set(x, np.full((20, 10), 0.1), "soft", i) for i in range(5)}

    def theft(sheet: Sheet) -> None:
        with sheet.part("thieves", 1) as part:
            time.sleep(0.2)
            panel.train([sets], part.doing)
            part.expect(True, "1", "1")

    assert check("Title", 1)(theft)() == 1
    assert "Title: thieves, 4 of 5 clones trained" in screen.text
    assert "Title: thieves, 5 of 5 clones trained" in screen.text
    assert not as_terminal(screen.text).strip()


def test_a_part_that_takes_long_shows_the_time(monkeypatch):
    screen = Watched()
    monkeypatch.setattr(progress, "DELAY_S", 0.05)
    monkeypatch.setattr(progress, "REFRESH_S", 0.3)
    monkeypatch.setattr(sys, "stdout", screen)
    assert check("Title", 2)(slow)(lambda: time.sleep(1.5)) == 2
    assert "0/2 points, 00:00" in screen.text and "0/2 points, 00:01" in screen.text
    assert not as_terminal(screen.text).strip()


def test_an_error_in_a_comprehension_is_one_of_its_function():
    code = "def fails(rows):\n    return [1 / row for row in rows]\n"
    names: dict = {}
    exec(compile(code, "<ipython-input-1>", "exec"), names)
    with pytest.raises(ZeroDivisionError) as caught:
        names["fails"]([0])
    assert place_of(caught.value)[0] == "fails"


def test_a_quick_check_shows_no_bar(monkeypatch):
    screen = Watched()
    monkeypatch.setattr(sys, "stdout", screen)
    assert check("Title", 2)(slow)(lambda: None) == 2
    assert screen.text == ""


def test_nobody_watches_a_log(monkeypatch, capsys):
    monkeypatch.setattr(progress, "DELAY_S", 0.01)
    assert check("Title", 2)(slow)(lambda: time.sleep(0.1)) == 2
    assert capsys.readouterr().out == ""
