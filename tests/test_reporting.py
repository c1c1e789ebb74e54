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

from autograder.records import CellRecord, GradingRecord
from autograder.repair.notes import Note
from autograder.reporting import statistics
from autograder.reporting.html import page, write_report
from autograder.reporting.statistics import NOT_BEGUN, NOT_ENDED, alike
from trickster.checks.result import Missed, PartResult, Sheet, check

LAB = "lab3_trickster_noise"
HEADINGS = {"setup": "", "first_test": "Exercise 1: one", "essay": "Exercise 2: two"}
SCRIPT = "<script>alert('no')</script>"


def cell(name: str, points: float | None, maximum: float = 4.0, **given) -> CellRecord:
    return CellRecord(name, "test", points, maximum, **given)


def answer(name: str, points: float | None, maximum: float = 2.0) -> CellRecord:
    return CellRecord(name, "written", points, maximum, waiting=points is None)


def record(student="ann", lab=LAB, **given) -> GradingRecord:
    plain = {
        "status": "graded",
        "maximum": 6.0,
        "inputs": {"library": "a" * 64, "torch": "2.13.0", "submission": student, "lab": lab},
        "seconds": 10.0,
        "cells": (cell("first_test", 4.0), answer("essay", 2.0)),
    }
    return GradingRecord(lab, student, **(plain | given))


def checked(judge, note: str = "") -> CellRecord:
    """The cell of a real check; `note` says what ended it later."""
    result = check("Exercise 1, toy", 3)(judge)()
    return cell("t", float(result), 3, parts=result.parts, note=note, begun=result.begun)


def missed(*cells: CellRecord) -> list[tuple[str, int, int, str]]:
    """(part, students without points, with some, the commonest reason)"""
    found = statistics.misses((f"student {i}", cell) for i, cell in enumerate(cells))
    return [(miss.part, miss.missed, miss.partly, miss.reason) for miss in found]


# --- what checks found ------------------------------------------------------------------


def test_missed_parts_are_listed_with_their_reasons():
    def judge(sheet):
        with sheet.part("good", 1) as part:
            part.expect(True, "3", "3", "3", "never shown")
        with sheet.part("half: done", 1) as part:
            part.award(0.5, "a long measurement " * 12, "x", "y", "Do it again, " * 12 + "twice.")
        with sheet.part("bad", 0.5) as part:
            part.expect(False, "7 of 9", "9 of 9")
        with sheet.part("refused", 0.5):
            raise Missed("It is no array. " * 9)

    assert sorted(missed(checked(judge))) == [
        ("bad", 1, 0, "measured 7 of 9; required 9 of 9"),
        ("half: done", 0, 1, "Do it again, " * 12 + "twice."),
        ("refused", 1, 0, ("It is no array. " * 9).strip()),
    ]


def test_a_part_that_is_nearly_full_is_still_missed():
    def judge(sheet):
        with sheet.part("close", 3) as part:
            part.award(0.99, "1", "1", advice="Nearly.")

    assert missed(checked(judge)) == [("close", 0, 1, "Nearly.")]


def test_an_error_costs_its_part_and_tells_the_place():
    def judge(sheet):
        with sheet.part("calls", 3):
            raise IndexError("index 384 is out of bounds")

    ((part, _, _, reason),) = missed(checked(judge))
    assert part == "calls" and "IndexError: index 384" in reason


def test_what_is_not_begun_has_missed_nothing_else():
    def judge(sheet):
        with sheet.part("calls", 3):
            raise NotImplementedError("not written yet: replace this line")

    assert missed(checked(judge)) == [(NOT_BEGUN, 1, 0, "")]


def test_a_test_that_ended_early_says_why():
    note = "The test stopped early: your code took longer than 5 s."
    assert missed(cell("t", 0.0, note=note)) == [(NOT_ENDED, 1, 0, note)]
    assert missed(cell("t", 4.0, note=note)) == [] == missed(answer("t", 0.0))


def test_parts_before_an_early_end_count_too():
    def judge(sheet):
        with sheet.part("first", 3) as part:
            part.expect(False, "0", "1", advice="Wrong.")

    assert [part for part, *_ in missed(checked(judge, "too much memory"))] == [
        "first",
        NOT_ENDED,
    ]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_any_check_s_parts_are_counted(marks):
    sheet = Sheet("Some check", len(marks))
    for i, mark in enumerate(marks):
        with sheet.part(f"part {i}", 1) as part:
            part.award(mark / 2, f"{mark}", "2", advice=f"Reason {i}.")
    result = sheet.result()
    found = missed(cell("t", float(result), len(marks), parts=result.parts))
    assert sorted(found) == [
        (f"part {i}", int(mark == 0), int(mark == 1), f"Reason {i}.")
        for i, mark in enumerate(marks)
        if mark < 2
    ]


def test_reasons_that_differ_in_numbers_are_alike():
    assert alike("You lose 4.1 points (allowed: 1.5).") == alike("You lose 12 points (allowed: 1).")
    assert alike("requests of [32, 32, 26]") == alike("requests of [1, 64]")
    assert alike("raised X: 3 It happened in f(), at: a") == alike("raised X: 4 It happened in g()")
    assert alike("Sort it.") != alike("Shuffle it.")


# --- numbers ----------------------------------------------------------------------------


def test_scores_of_a_lab():
    records = [
        record("a", cells=(cell("first_test", 4.0), answer("essay", 1.0))),
        record("b", cells=(cell("first_test", 1.0), answer("essay", 0.0))),
        record("c", penalty=2.5, cells=(cell("first_test", 3.0),)),
        record(
            "d",
            status="needs marking",
            cells=(cell("first_test", 2.0), answer("essay", None)),
        ),
        record("e", status="failed", cells=(), reason="not a notebook"),
        record("z", lab="lab1_train_victim"),
    ]
    lab = statistics.lab(LAB, records, HEADINGS)
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
    lab = statistics.lab(LAB, [record(status="failed", cells=())], HEADINGS)
    assert lab.scores is None and lab.exercises == [] and lab.statuses["failed"] == 1


def test_a_test_without_a_score_counts_as_none_and_points_add_up_as_floats():
    found = statistics.exercise("t", "", [record(cells=(cell("t", None),))])
    assert (found.mean, found.none, found.waiting) == (0.0, 1, [])
    found = statistics.exercise("t", "", [record(cells=(cell("t", 0.1 + 0.2 - 1e-12, 0.3),))])
    assert found.full == 1


def test_an_answer_that_was_marked_before_it_changed_waits_again():
    cells = (replace(answer("essay", 2.0), waiting=True),)
    assert statistics.exercise("essay", "", [record(cells=cells)]).waiting == ["ann"]


def test_exercises_without_a_heading_stand_last_under_their_names():
    cells = (cell("unknown", 1.0), cell("first_test", 1.0))
    found = statistics.lab(LAB, [record(cells=cells)], HEADINGS).exercises
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


def part(name: str, advice: str, share: float = 0.0) -> PartResult:
    return PartResult(name, 4.0, share, advice=advice)


def test_the_commonest_failures_come_first():
    cells = {
        "a": cell("t", 0.0, parts=(part("shape", "Wrong by 3."),)),
        "b": cell("t", 0.0, parts=(part("shape", "Wrong by 4."),)),
        "c": cell("t", 0.0, parts=(part("shape", "Wrong by 3.", 0.1),)),
        "d": cell("t", 0.0, parts=(part("shape", "It raised."),)),
        "e": cell("t", 0.0, parts=(part("sum", "Not one."),)),
        "f": cell("t", 0.0, note="Not written yet.", begun=False),
        "g": cell("t", 4.0, parts=(part("shape", "Full marks, whatever it says."),)),
    }
    shape, not_begun, total = statistics.misses(cells.items())
    assert (shape.part, shape.students, shape.missed, shape.partly) == ("shape", 4, 3, 1)
    assert (shape.reason, shape.of_reason) == ("Wrong by 3.", 3)
    assert (not_begun.part, not_begun.students, not_begun.reason) == (NOT_BEGUN, 1, "")
    assert (total.part, total.students, total.reason) == ("sum", 1, "Not one.")


def note(kind="duplicated", text="The cell x was there 2 times.", suspicious=False) -> Note:
    return Note(kind, "x", text, text, suspicious)


def test_repairs_by_kind():
    records = [
        record("a", repairs=(note(), note(), note("choice", "One of two."))),
        record("b", repairs=(note(text="The cell x was there 3 times."),)),
        record("a", lab="lab1_train_victim", repairs=(note(),)),
    ]
    assert statistics.repairs(records) == [
        ("duplicated", 4, "The cell x was there 2 times.", ["a", "b"]),
        ("choice", 1, "One of two.", ["a"]),
    ]


def test_failures_and_stops_are_grouped_within_a_lab():
    records = [
        record("a", status="failed", reason="400 MB are too many"),
        record("b", status="failed", reason="500 MB are too many"),
        record("c", status="failed", reason=""),
        record("a", lab="lab9", status="failed", reason="no such lab"),
        record("d", reason="a note on a graded one"),
    ]
    assert statistics.failed(records) == [
        (LAB, ("400 MB are too many", ["a", "b"])),
        (LAB, ("no reason was kept", ["c"])),
        ("lab9", ("no such lab", ["a"])),
    ]


def test_seconds():
    records = [record(f"s{i}", seconds=float(i)) for i in range(9)]
    found = statistics.times(LAB, records)
    assert found.seconds.median == 4.5 and found.seconds.high == 8.0 and found.seconds.count == 8
    assert found.slowest == [("s8", 8.0), ("s7", 7.0), ("s6", 6.0), ("s5", 5.0), ("s4", 4.0)]
    assert statistics.times("lab9", records) is None


def test_versions_that_all_share_and_those_that_differ():
    other = record("bob").inputs | {"torch": "2.12.0"}
    bare = {name: value for name, value in other.items() if name != "library"}
    records = [
        record("ann"),
        record("bob", inputs=other),
        record("cat", inputs=bare),
        record("dan", lab="lab1_train_victim", cells=()),
        record("eve", inputs={}, status="failed"),
    ]
    shared, differing = statistics.inputs(records)
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


def a_class(size: int) -> list[GradingRecord]:
    """Many submissions with something of everything."""
    dice = random.Random(7)
    missing = part("honest users", "Honest users lose 3.1 points (allowed: 1.5).")
    found = []
    for i in range(size):
        lab = dice.choice([LAB, "lab1_train_victim"])
        points = dice.choice([0.0, 2.5, 4.0])
        waits = dice.random() < 0.3
        one = record(
            f"student {i:04}",
            lab,
            status="needs marking" if waits else "graded",
            seconds=dice.uniform(1, 90),
            cells=(
                cell("trickster_test", points, parts=(missing,)),
                answer("limits", None if waits else 1.0),
            ),
            repairs=(note(suspicious=True),) if dice.random() < 0.1 else (),
            stopped="it used 3.1 GB of memory (cell 4)" if dice.random() < 0.1 else "",
        )
        if dice.random() < 0.05:
            one = replace(one, status="failed", cells=(), reason="it is no notebook.")
        found.append(one)
    return found


HOSTILE = record(
    f"{SCRIPT}\udcff",
    f"lab9_{SCRIPT}",
    reason=SCRIPT,
    inputs={"torch": SCRIPT, SCRIPT: "1"},
    cells=(
        cell("t", 0.0, parts=(part(SCRIPT, f"{SCRIPT}\x00\x1b[31m\u202e \" onload='x'"),)),
        cell("u", 0.0, note=SCRIPT),
        answer(SCRIPT, None),
    ),
    repairs=(note(SCRIPT, SCRIPT, suspicious=True),),
    stopped=SCRIPT,
    problems=(SCRIPT, "x" * 100_000),
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
    failed = replace(HOSTILE, status="failed", cells=())
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
    landmarks = [
        attrs["aria-labelledby"]
        for tag, attrs in found.tags
        if tag == "section" or attrs.get("role") == "region"
    ]
    assert len(landmarks) == len(set(landmarks))


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


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = [*a_class(40), HOSTILE]
    first = write_report(ROOT, tmp_path, records).read_bytes()
    random.Random(1).shuffle(records)
    assert write_report(ROOT, tmp_path, records).read_bytes() == first
    changed = [replace(records[0], seconds=99.9), *records[1:]]
    assert write_report(ROOT, tmp_path, changed).read_bytes() != first


def test_the_drawing_tells_its_numbers():
    records = [record(f"s{i}", cells=(cell("t", p),)) for i, p in enumerate((0.0, 1.0, 1.2, 4.0))]
    records.append(record("w", status="needs marking", cells=(cell("t", 1.1),)))
    (drawing,) = Outline(page(ROOT, records)).all("img")
    said = "0 to 0.5: 1; 1 to 1.5: 3, 1 of them waiting for marks; 4 to 4.5: 1."
    assert drawing["alt"].endswith(said)
    svg = ET.fromstring(base64.b64decode(drawing["src"].partition(",")[2]))
    words = " ".join(svg.itertext())
    mean = fmean([0, 1, 1.2, 4, 1.1])
    assert f"mean {mean:.1f}" in words and "median 1.1" in words and "waits for marks" in words


def test_slips_of_the_course_come_first_and_only_if_there_are_any():
    calm = Outline(page(ROOT, [record()])).text
    assert "went wrong" not in calm and "without the sandbox" not in calm
    slip = "trickster_test: The check stopped with KeyError: 'seeds'"
    inputs = record().inputs | {"sandbox": "none: trusted"}
    alarmed = Outline(page(ROOT, [record(problems=(slip,), inputs=inputs)])).text
    assert slip in alarmed and alarmed.index(slip) < alarmed.index("At a glance")
    assert alarmed.index("Graded without the sandbox") < alarmed.index("At a glance")


def test_the_page_says_what_was_found():
    records = [
        record("ann", seconds=61.0, cells=(
            cell("trickster_test", 2.0, parts=(part("honest users", "They lose 3.1 points."),)),)),
        record("bob", cells=(cell("trickster_test", 4.0),), stopped="it ran out of memory"),
        record("cat", status="needs marking", cells=(answer("limits", None),)),
        record("dan", status="failed", cells=(), reason="it is empty."),
        record("eve", repairs=(note("edited-test", "The test was changed.", suspicious=True),)),
    ]  # fmt: skip
    text = Outline(page(ROOT, records)).text
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
    write_report(ROOT, tmp_path, [record("ann", seconds=77.0)])
    text = write_report(ROOT, tmp_path, [record("bob")]).read_text(encoding="utf-8")
    assert "bob" in text and "ann" not in text.split("</style>")[1].replace("cannot", "")
