"""The class report: its numbers against arithmetic done by hand, and its page against hostility."""

from __future__ import annotations

import base64
import itertools
import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import ROOT

from autograder.records import Receipt
from autograder.reporting import statistics
from autograder.reporting.html import page, write_report
from autograder.reporting.said import NOT_BEGUN, NOT_ENDED, Failure, alike, failures
from trickster.checks.result import Missed, Sheet, check

LAB = "lab3_trickster_noise"
HEADINGS = {"setup": "", "first_test": "Exercise 1: one", "essay": "Exercise 2: two"}
SCRIPT = "<script>alert('no')</script>"


def cell(points, maximum=4.0, kind="test"):
    return {"kind": kind, "points": points, "maximum": maximum}


def receipt(student="ann", lab=LAB, **given) -> Receipt:
    plain = {
        "status": "graded",
        "maximum": 6.0,
        "penalty": 0.0,
        "reason": "",
        "inputs": {"library": "a" * 64, "torch": "2.13.0", "submission": student, "lab": lab},
        "seconds": 10.0,
        "cells": {"first_test": cell(4.0), "essay": cell(2.0, 2.0, "written")},
    }
    return Receipt(lab, student, **(plain | given))


def said(judge) -> str:
    """What a real check says."""
    result = check("Exercise 1, toy", 3)(judge)()
    return f"{result.as_text()}\n" if result.begun else f"{result.note}\n"


# --- what checks said -------------------------------------------------------------------


def test_missed_parts_are_read_with_their_reasons():
    def judge(sheet):
        with sheet.part("good", 1) as part:
            part.expect(True, "3", "3", "3", "never told")
        with sheet.part("half: done", 1) as part:
            part.award(0.5, "a long measurement " * 12, "x", "y", "Do it again, " * 12 + "twice.")
        with sheet.part("bad", 0.5) as part:
            part.expect(False, "7 of 9", "9 of 9")
        with sheet.part("refused", 0.5):
            raise Missed("It is no array. " * 9)

    found = failures(said(judge))
    assert found == [
        Failure("half: done", True, "Do it again, " * 12 + "twice."),
        Failure("bad", False, "measured 7 of 9; asked 9 of 9"),
        Failure("refused", False, ("It is no array. " * 9).strip()),
    ]


def test_a_part_that_is_nearly_full_is_still_a_failure():
    def judge(sheet):
        with sheet.part("close", 3) as part:
            part.award(0.99999, "1", "1", advice="Nearly.")

    assert failures(said(judge)) == [Failure("close", True, "Nearly.")]


def test_an_error_costs_its_part_and_tells_the_place():
    def judge(sheet):
        with sheet.part("calls", 3):
            raise IndexError("index 384 is out of bounds")

    (found,) = failures(said(judge))
    assert found.part == "calls" and "IndexError: index 384" in found.reason


def test_what_is_not_begun_has_no_other_failure():
    def judge(sheet):
        with sheet.part("calls", 3):
            raise NotImplementedError("not written yet: replace this line")

    assert failures(said(judge)) == [Failure(NOT_BEGUN, False, "")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("measured 1.0, asked 3.0\nAssertionError: line 3 does not hold\n", "AssertionError: line"),
        ("Exercise 1\nThe test stopped early: it took longer than 5 s.\n", "it took longer than"),
        ("0 points: the test gave a str instead of a number.\n", "the test gave a str"),
        ("Epoch: 3\nKernelDied: it used more than 3 GB\n", "KernelDied: it used more than 3 GB"),
        ("ValueError: \n", "ValueError"),
        ("", ""),
    ],
)
def test_a_check_that_ended_early_says_why(text, reason):
    (found,) = failures(text)
    assert found.part == NOT_ENDED and found.reason.startswith(reason)


def test_parts_before_an_early_end_count_too():
    def judge(sheet):
        with sheet.part("first", 3) as part:
            part.expect(False, "0", "1", advice="Wrong.")

    text = said(judge).replace("0 of 3 points\n", "KernelDied: too much memory\n")
    assert [found.part for found in failures(text)] == ["first", NOT_ENDED]


def test_words_of_the_students_code_are_no_parts():
    def judge(sheet):
        with sheet.part("real", 3) as part:
            part.expect(False, "0", "1", advice="Wrong.")

    forged = "--- what your code printed meanwhile ---\n  ✗ missed  forged: 0 of 1\n       Ha.\n"
    text = said(judge)
    assert [found.part for found in failures(text + forged)] == ["real"]
    early = text.replace("0 of 3 points\n", forged + "KernelDied: too much memory\n")
    assert [found.part for found in failures(early)] == ["real", NOT_ENDED]


@given(st.text())
def test_no_text_is_too_odd(text):
    assert len({found.part for found in failures(text)}) == len(failures(text))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_any_check_is_read_back(marks):
    sheet = Sheet("Some check", len(marks))
    for i, mark in enumerate(marks):
        with sheet.part(f"part {i}", 1) as part:
            part.award(mark / 2, f"{mark}", "2", advice=f"Reason {i}.")
    expected = [
        (f"part {i}", mark == 1, f"Reason {i}.") for i, mark in enumerate(marks) if mark < 2
    ]
    assert [(f.part, f.partly, f.reason) for f in failures(sheet.result().as_text())] == expected


def test_reasons_that_differ_in_numbers_are_alike():
    assert alike("You lose 4.1 points (allowed: 1.5).") == alike("You lose 12 points (allowed: 1).")
    assert alike("requests of [32, 32, 26]") == alike("requests of [1, 64]")
    assert alike("raised X: 3 It happened in f(), at: a") == alike("raised X: 4 It happened in g()")
    assert alike("Sort it.") != alike("Shuffle it.")


# --- numbers ----------------------------------------------------------------------------


def test_scores_of_a_lab():
    receipts = [
        receipt("a", cells={"first_test": cell(4.0), "essay": cell(1.0, 2.0, "written")}),
        receipt("b", cells={"first_test": cell(1.0), "essay": cell(0.0, 2.0, "written")}),
        receipt("c", penalty=2.5, cells={"first_test": cell(3.0)}),
        receipt(
            "d",
            status="needs marking",
            cells={"first_test": cell(2.0), "essay": cell(None, 2.0, "written")},
        ),
        receipt("e", status="failed", cells={}, reason="not a notebook"),
        receipt("z", lab="lab1_train_victim"),
    ]
    lab = statistics.lab(LAB, receipts, HEADINGS)
    assert lab.statuses == {"graded": 3, "needs marking": 1, "failed": 1}
    assert lab.submissions == 5
    assert sorted(lab.settled) == [0.5, 1.0, 5.0] and lab.so_far == [2.0]
    assert lab.scores == (4, (0.5 + 1 + 5 + 2) / 4, 1.5, 0.5, 5.0)
    assert lab.late == ["c"] and lab.waiting == 1 and lab.maximum == 6
    first, essay = lab.exercises
    assert (first.name, first.heading) == ("first_test", "Exercise 1: one")
    assert first.mean == pytest.approx((4 + 1 + 3 + 2) / 16)
    assert (first.full, first.part, first.none) == (1, 3, 0)
    assert essay.mean == pytest.approx(0.25) and essay.waiting == ["d"]
    assert (essay.full, essay.part, essay.none) == (0, 1, 1)


def test_a_lab_of_which_nothing_could_be_graded():
    lab = statistics.lab(LAB, [receipt(status="failed", cells={})], HEADINGS)
    assert lab.scores is None and lab.exercises == [] and lab.statuses["failed"] == 1


def test_a_test_without_a_score_counts_as_none_and_points_add_up_as_floats():
    found = statistics.exercise("t", "", [receipt(cells={"t": cell(None)})])
    assert (found.mean, found.none, found.waiting) == (0.0, 1, [])
    found = statistics.exercise("t", "", [receipt(cells={"t": cell(0.1 + 0.2 - 1e-12, 0.3)})])
    assert found.full == 1


def test_an_answer_that_was_marked_before_it_changed_waits_again():
    cells = {"essay": cell(2.0, 2.0, "written") | {"waiting": True}}
    assert statistics.exercise("essay", "", [receipt(cells=cells)]).waiting == ["ann"]


def test_exercises_without_a_heading_stand_last_under_their_names():
    cells = {"unknown": cell(1.0), "first_test": cell(1.0)}
    found = statistics.lab(LAB, [receipt(cells=cells)], HEADINGS).exercises
    assert [one.heading for one in found] == ["Exercise 1: one", "unknown"]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60), st.sampled_from([1, 6, 20, 33, 250]))
def test_histograms_count_everything_once(values, highest):
    borders = statistics.edges(max(highest, *values))
    bars = statistics.histogram(values, borders)
    assert sum(bars) == len(values) and len(bars) <= statistics.MOST_BARS
    for low, high, count in zip(borders[:-1], borders[1:], bars, strict=True):
        last = high == borders[-1]
        assert count == sum(low <= v < high or (last and v == high) for v in values)


def test_bins_are_round():
    assert statistics.edges(20) == list(range(21))
    assert statistics.edges(4) == [i / 2 for i in range(9)]
    assert statistics.edges(250) == [20 * i for i in range(14)]
    assert statistics.edges(0) == [0, 0.5]


def failed_check(part, reason, mark="✗ missed"):
    return f"Exercise\n  {mark}  {part}: 0 of 4\n       {reason}\n0 of 4 points\n"


def test_the_commonest_failures_come_first():
    told = {
        "a": failed_check("shape", "Wrong by 3."),
        "b": failed_check("shape", "Wrong by 4."),
        "c": failed_check("shape", "Wrong by 3.", "~ in part"),
        "d": failed_check("shape", "It raised."),
        "e": failed_check("sum", "Not one."),
        "f": "NotImplementedError: not written yet\n",
        "g": failed_check("shape", "Full marks, whatever it printed."),
    }
    receipts = [
        receipt(name, cells={"t": cell(4.0 if name == "g" else 0.0)}, measured={"t": text})
        for name, text in told.items()
    ]
    shape, not_begun, total = statistics.misses("t", receipts)
    assert (shape.part, shape.students, shape.missed, shape.partly) == ("shape", 4, 3, 1)
    assert (shape.reason, shape.of_reason) == ("Wrong by 3.", 3)
    assert (not_begun.part, not_begun.students, not_begun.reason) == (NOT_BEGUN, 1, "")
    assert (total.part, total.students, total.reason) == ("sum", 1, "Not one.")


def note(kind="duplicated", text="The cell x was there 2 times.", suspicious=False):
    return {"kind": kind, "for_instructor": text, "suspicious": suspicious}


def test_repairs_by_kind():
    receipts = [
        receipt("a", repairs=[note(), note(), note("choice", "One of two.")]),
        receipt("b", repairs=[note(text="The cell x was there 3 times.")]),
        receipt("a", lab="lab1_train_victim", repairs=[note()]),
    ]
    assert statistics.mended(receipts) == [
        ("duplicated", 4, "The cell x was there 2 times.", ["a", "b"]),
        ("choice", 1, "One of two.", ["a"]),
    ]


def test_failures_and_stops_are_grouped_within_a_lab():
    receipts = [
        receipt("a", status="failed", reason="400 MB are too many"),
        receipt("b", status="failed", reason="500 MB are too many"),
        receipt("c", status="failed", reason=""),
        receipt("a", lab="lab9", status="failed", reason="no such lab"),
        receipt("d", reason="a note on a graded one"),
    ]
    assert statistics.failed(receipts) == [
        (LAB, ("400 MB are too many", ["a", "b"])),
        (LAB, ("no reason was kept", ["c"])),
        ("lab9", ("no such lab", ["a"])),
    ]


def test_seconds():
    receipts = [receipt(f"s{i}", seconds=float(i)) for i in range(9)]
    found = statistics.times(LAB, receipts)
    assert found.seconds.median == 4.5 and found.seconds.high == 8.0 and found.seconds.count == 8
    assert found.slowest == [("s8", 8.0), ("s7", 7.0), ("s6", 6.0), ("s5", 5.0), ("s4", 4.0)]
    assert statistics.times("lab9", receipts) is None


def test_versions_that_all_share_and_those_that_differ():
    other = receipt("bob").inputs | {"torch": "2.12.0"}
    bare = {name: value for name, value in other.items() if name != "library"}
    receipts = [
        receipt("ann"),
        receipt("bob", inputs=other),
        receipt("cat", inputs=bare),
        receipt("dan", lab="lab1_train_victim", cells={}),
        receipt("eve", inputs={}, status="failed"),
    ]
    shared, differing = statistics.inputs(receipts)
    assert shared == [("lab: lab1_train_victim", "lab1_train_victim"), (f"lab: {LAB}", LAB)]
    by_name = dict(differing)
    ann, bob, cat = (f"{name} ({LAB})" for name in ("ann", "bob", "cat"))
    dan = "dan (lab1_train_victim)"
    assert by_name["torch"] == [("2.12.0", [bob, cat]), ("2.13.0", [ann, dan])]
    assert by_name["library"] == [("a" * 64, [ann, bob, dan]), ("not recorded", [cat])]
    assert set(by_name) == {"torch", "library"}


# --- the page ---------------------------------------------------------------------------


class Outline(HTMLParser):
    """What a browser would see: elements with their attributes, headings, text, ids."""

    VOID = ("meta", "img", "br", "wbr")
    WITHIN = ("wbr", "a", "code", "strong", "small", "span")  # do not part words

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag not in self.WITHIN:
            self.words.append(" ")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def a_class(size: int) -> list[Receipt]:
    """Many submissions with something of everything."""
    dice = random.Random(7)
    text = failed_check("honest users", "Honest users lose 3.1 points (allowed: 1.5).")
    found = []
    for i in range(size):
        lab = dice.choice([LAB, "lab1_train_victim"])
        points = dice.choice([0.0, 2.5, 4.0])
        waits = dice.random() < 0.3
        one = receipt(
            f"student {i:04}",
            lab,
            status="needs marking" if waits else "graded",
            seconds=dice.uniform(1, 90),
            cells={
                "trickster_test": cell(points),
                "limits": cell(None if waits else 1.0, 2.0, "written"),
            },
            measured={"trickster_test": text},
            repairs=[note(suspicious=True)] if dice.random() < 0.1 else [],
            stopped="it used 3.1 GB of memory (cell 4)" if dice.random() < 0.1 else "",
        )
        if dice.random() < 0.05:
            one = replace(one, status="failed", cells={}, reason="it is no notebook.")
        found.append(one)
    return found


HOSTILE = receipt(
    f"{SCRIPT}\udcff",
    f"lab9_{SCRIPT}",
    reason=SCRIPT,
    inputs={"torch": SCRIPT, SCRIPT: "1"},
    cells={"t": cell(0.0), SCRIPT: cell(None, 2.0, "written")},
    measured={"t": failed_check(SCRIPT, f"{SCRIPT}\x00\x1b[31m\u202e \" onload='x'")},
    repairs=[note(SCRIPT, SCRIPT, suspicious=True)],
    stopped=SCRIPT,
    problems=[SCRIPT, "x" * 100_000],
)


@pytest.mark.parametrize("size", [0, 1, 2, 60, 1000])
def test_a_page_for_any_class(size, tmp_path):
    path = write_report(ROOT, tmp_path, a_class(size))
    assert path == tmp_path / "report.html"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    found = Outline(path.read_text(encoding="utf-8"))
    assert found.open == [] and len(path.read_bytes()) < 2e6
    many = f"{size:,} submission{'s' if size > 1 else ''} by {size:,} student"
    assert (many if size else "Nothing is graded yet.") in found.text


def test_hostile_words_stay_words(tmp_path):
    failed = replace(HOSTILE, status="failed", cells={})
    write_report(ROOT, tmp_path, [HOSTILE, replace(failed, student='"><img src=x>')])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = Outline(text)
    assert found.all("script") == [] and found.open == []
    assert all(not name.startswith("on") for _, attrs in found.tags for name in attrs)
    assert all(attrs["src"].startswith("data:image/svg+xml;base64,") for attrs in found.all("img"))
    assert found.text.count(SCRIPT) >= 8 and "x" * 1000 not in text
    assert not re.search("[\x00\x1b\u202e]", text)


def test_the_page_needs_nothing_from_elsewhere():
    text = page(ROOT, a_class(30))
    found = Outline(text)
    links = [attrs.get(key) for _, attrs in found.tags for key in ("src", "href") if key in attrs]
    assert links and all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in text and "url(" not in text and "http" not in "".join(links)
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_the_page_can_be_read_without_seeing_it():
    found = Outline(page(ROOT, [*a_class(60), HOSTILE]))
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(deeper - level <= 1 for level, deeper in itertools.pairwise(levels))
    assert all(len(attrs["alt"]) > 30 for attrs in found.all("img"))
    assert all(
        "aria-hidden" in attrs or (attrs.get("role") == "img" and attrs["aria-label"])
        for attrs in found.all("svg")
    )
    assert all(attrs.get("scope") in ("col", "row") for attrs in found.all("th"))
    assert found.all("html")[0]["lang"] == "en"
    ids = {attrs["id"] for _, attrs in found.tags if "id" in attrs}
    named = {attrs["aria-labelledby"] for _, attrs in found.tags if "aria-labelledby" in attrs}
    assert named <= ids


def test_the_colours_have_contrast():
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", page(ROOT, [])))

    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(one, other):
        dark, bright = sorted((light(colours[one]), light(colours[other])))
        return (bright + 0.05) / (dark + 0.05)

    for ink in ("ink", "soft", "link"):
        assert contrast(ink, "paper") >= 4.5
    assert contrast("alarm", "alarm-panel") >= 4.5 and contrast("ink", "alarm-panel") >= 4.5
    assert contrast("full", "part") >= 3  # neighbours in a bar, also in grey


def test_the_same_receipts_give_the_same_bytes(tmp_path):
    receipts = [*a_class(40), HOSTILE]
    first = write_report(ROOT, tmp_path, receipts).read_bytes()
    random.Random(1).shuffle(receipts)
    assert write_report(ROOT, tmp_path, receipts).read_bytes() == first
    changed = [replace(receipts[0], seconds=99.9), *receipts[1:]]
    assert write_report(ROOT, tmp_path, changed).read_bytes() != first


def test_the_drawing_tells_its_numbers():
    receipts = [receipt(f"s{i}", cells={"t": cell(p)}) for i, p in enumerate((0.0, 1.0, 1.2, 4.0))]
    receipts.append(receipt("w", status="needs marking", cells={"t": cell(1.1)}))
    (drawing,) = Outline(page(ROOT, receipts)).all("img")
    said = "0 to 0.5: 1; 1 to 1.5: 3, 1 of them waiting for marks; 4 to 4.5: 1."
    assert drawing["alt"].endswith(said)
    svg = ET.fromstring(base64.b64decode(drawing["src"].partition(",")[2]))
    words = " ".join(svg.itertext())
    mean = fmean([0, 1, 1.2, 4, 1.1])
    assert f"mean {mean:.1f}" in words and "median 1.1" in words and "waits for marks" in words


def test_slips_of_the_course_come_first_and_only_if_there_are_any():
    calm = Outline(page(ROOT, [receipt()])).text
    assert "went wrong" not in calm and "without the sandbox" not in calm
    slip = "trickster_test: The check stopped with KeyError: 'seeds'"
    inputs = receipt().inputs | {"sandbox": "none: trusted"}
    alarmed = Outline(page(ROOT, [receipt(problems=[slip], inputs=inputs)])).text
    assert slip in alarmed and alarmed.index(slip) < alarmed.index("At a glance")
    assert alarmed.index("Graded without the sandbox") < alarmed.index("At a glance")


def test_the_page_says_what_was_found():
    receipts = [
        receipt("ann", cells={"trickster_test": cell(2.0)}, seconds=61.0,
                measured={"trickster_test": failed_check("honest users", "They lose 3.1 points.")}),
        receipt("bob", cells={"trickster_test": cell(4.0)}, stopped="it ran out of memory"),
        receipt("cat", status="needs marking", cells={"limits": cell(None, 2.0, "written")}),
        receipt("dan", status="failed", cells={}, reason="it is empty."),
        receipt("eve", repairs=[note("edited-test", "The test was changed.", suspicious=True)]),
    ]  # fmt: skip
    text = Outline(page(ROOT, receipts)).text
    for words in (
        "5 submissions by 5 students in 1 lab.",
        "Exercise 5: the trickster",
        "honest users: 1 student. Reason: They lose 3.1 points.",
        "75% 1 full, 1 some, 0 none",
        "Exercise 7: where it ends (limits): cat",
        "it is empty. dan",
        "it ran out of memory bob",
        "eve lab3_trickster_noise The test was changed.",
        "edited-test 1 The test was changed. eve",
        "ann (61.0 s)",
        "torch 2.13.0",
        "aaaaaaaaaaaa…",
    ):
        assert words in text


def test_a_file_that_is_there_is_replaced(tmp_path: Path):
    write_report(ROOT, tmp_path, [receipt("ann", seconds=77.0)])
    text = write_report(ROOT, tmp_path, [receipt("bob")]).read_text(encoding="utf-8")
    assert "bob" in text and "ann" not in text.split("</style>")[1].replace("cannot", "")
