"""The benchmarks' results: kept through interruptions, and quoted as they are."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from reference import ROOT
from scipy import stats

sys.path.insert(0, str(ROOT / "benchmarks"))

import calibrate_defenses
import calibrate_honest
import calibrate_training
import demo_a
import demo_b
import kept
import memory
import results
import summary
import thieves_by_defense as course
import verdicts

from trickster import data
from trickster.checks import fixtures, thresholds

GUIDE = ROOT / "docs" / "grading.md"
JOBS = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


class Counted:
    """A measurement that writes down which jobs it was asked to do, and may break at one."""

    def __init__(self, breaks_at=None):
        self.asked, self.breaks_at = [], breaks_at

    def __call__(self, job):
        if job == self.breaks_at:
            raise KeyboardInterrupt
        self.asked.append(job)
        return {"value": len(job[0]) + job[1]}


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        kept.measured("toy", JOBS, Counted(("b", 0)), folder=tmp_path)
    rest = Counted()
    found = kept.measured("toy", JOBS, rest, folder=tmp_path)
    assert rest.asked == JOBS[2:]
    assert found == [(job, {"value": 1 + job[1]}) for job in JOBS]
    again = Counted()
    assert kept.measured("toy", JOBS, again, folder=tmp_path) == found
    assert again.asked == []


def test_a_line_cut_in_the_middle_is_measured_again(tmp_path):
    kept.measured("toy", JOBS, Counted(), folder=tmp_path)
    path = tmp_path / "toy.jsonl"
    path.write_text(path.read_text()[:-9])
    rest = Counted()
    kept.measured("toy", JOBS, rest, folder=tmp_path)
    assert rest.asked == JOBS[3:]
    assert len(kept.read(path)[1]) == 4


def test_another_library_starts_an_unfinished_part_over_and_leaves_a_finished_one(tmp_path, capsys):
    path = tmp_path / "toy.jsonl"
    for jobs, asked_anew in ((JOBS[:2], JOBS), (JOBS, [])):
        kept.measured("toy", jobs, Counted(), folder=tmp_path, again=True)
        head, *lines = path.read_text().splitlines()
        old = json.dumps({**json.loads(head), "library": "an older one"})
        path.write_text("\n".join([old, *lines]) + "\n")
        count = Counted()
        kept.measured("toy", JOBS, count, folder=tmp_path)
        assert count.asked == asked_anew
    assert "starting over. What was there is toy.before" in capsys.readouterr().out
    assert len(kept.read(tmp_path / "toy.before")[1]) == 2


def test_a_quick_look_does_not_cost_what_another_library_measured(tmp_path, monkeypatch, capsys):
    path = tmp_path / "demo_b.jsonl"
    kept.measured("demo_b", [*JOBS, ("all five", 0)], Counted(), folder=tmp_path)
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(head), "library": "old"}), *lines]) + "\n")
    before = path.read_bytes()
    with pytest.raises(kept.KeptError, match=r"4 of its 5 results are not\s+asked for"):
        kept.measured("demo_b", [("all five", 0)], Counted(), folder=tmp_path, again=True)
    look = ["demo_b.py", "--seeds", "1", "--workers", "1", "--again", "--results"]
    monkeypatch.setattr(sys, "argv", [*look, str(tmp_path)])
    with pytest.raises(SystemExit, match="Keep a quick look elsewhere"):
        kept.main(demo_b)
    assert path.read_bytes() == before
    monkeypatch.setattr(sys, "argv", [*look, str(tmp_path / "elsewhere")])
    kept.main(demo_b)
    assert "Mean over 1 seed " in capsys.readouterr().out
    assert set(kept.read(tmp_path / "elsewhere" / "demo_b.jsonl")[1]) == set(demo_b.jobs(1))


def test_a_damaged_line_is_named_and_nothing_is_lost(tmp_path, monkeypatch, capsys):
    path = tmp_path / "demo_b.jsonl"
    kept.measured("demo_b", demo_b.jobs(1), Counted(), folder=tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{half a li\n", *lines[3:]]))
    before = path.read_bytes()
    monkeypatch.setattr(sys, "argv", ["demo_b.py", "--seeds", "1", "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"demo_b\.jsonl, line 4, is damaged: take the line out"):
        kept.main(demo_b)
    assert path.read_bytes() == before


def test_an_interrupted_run_says_that_it_can_go_on(tmp_path, monkeypatch):
    asked = kept.add_options(argparse.ArgumentParser(), demo_b.jobs).parse_args(
        ["--workers", "1", "--results", str(tmp_path)]
    )
    with pytest.raises(SystemExit, match="What was measured is kept: start again to go on"):
        kept.asked_for(asked, "toy", JOBS, Counted(JOBS[1]))
    assert list(kept.read(tmp_path / "toy.jsonl")[1]) == [JOBS[0]]


def test_a_complete_part_is_shown_without_what_measuring_it_needs(tmp_path, monkeypatch, capsys):
    kept.measured("demo_b", demo_b.jobs(1), demo_b.run, folder=tmp_path)
    look = ["demo_b.py", "--seeds", "1", "--results", str(tmp_path)]
    for argv, said in ((look, "Mean over 1 seed "), ([*look, "--again"], "It is not here.")):
        monkeypatch.setattr(sys, "argv", argv)
        kept.main(demo_b, left_out=lambda: "It is not here.")
        assert said in capsys.readouterr().out


def test_a_run_that_goes_on_elsewhere_says_so(tmp_path, monkeypatch):
    kept.measured("toy", JOBS[:2], Counted(), folder=tmp_path)
    here = kept.circumstances("toy")
    monkeypatch.setattr(kept, "circumstances", lambda part: {**here, "cores": 99})
    kept.measured("toy", JOBS, Counted(), folder=tmp_path)
    kept.measured("toy", JOBS, Counted(), folder=tmp_path)
    path = tmp_path / "toy.jsonl"
    heads, found = kept.read(path)
    assert [head["cores"] for head in heads] == [here["cores"], 99]
    assert list(found) == JOBS
    lines = path.read_text().splitlines()
    kept.measured("toy", JOBS, Counted(), folder=tmp_path)
    assert path.read_text().splitlines() == lines
    kept.measured("toy", JOBS[:1], Counted(), folder=tmp_path, again=True)
    assert path.read_text().splitlines() == [lines[0], *lines[2:], lines[1]]


@pytest.mark.parametrize("said", ["0", "-1", "many"])
def test_a_count_that_is_none_is_refused_with_a_sentence(said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo_b.py", "--seeds", said])
    with pytest.raises(SystemExit):
        kept.main(demo_b)
    assert f"{said} is no count: give 1 or more." in capsys.readouterr().err


def test_again_forgets_what_is_asked_for_and_nothing_else(tmp_path):
    for jobs in (JOBS, JOBS[:1], JOBS[3:], JOBS):
        count = Counted()
        kept.measured("toy", jobs, count, folder=tmp_path, again=True)
        assert count.asked == jobs
        assert set(kept.read(tmp_path / "toy.jsonl")[1]) == set(JOBS)


def test_looking_at_a_file_leaves_it_as_it_is(tmp_path):
    kept.measured("toy", JOBS, Counted(), folder=tmp_path)
    path = tmp_path / "toy.jsonl"
    path.write_text(path.read_text()[:-9])
    before = path.read_bytes()
    assert len(kept.read(path)[1]) == 3
    assert path.read_bytes() == before


def test_workers_find_the_same(tmp_path):
    jobs = [(name, seed) for seed in (0, 1) for name in ("no defence", "all five")]
    found = kept.measured("toy", jobs, demo_b.run, workers=2, folder=tmp_path)
    assert found == [(job, demo_b.run(job)) for job in jobs]


@pytest.mark.parametrize("kind", ["rss", "pss"])
def test_memory_below_this_process_is_seen(kind):
    hold = "import time; held = b'x' * 200_000_000; time.sleep(0.5)"
    with memory.Peak(kind) as peak:
        subprocess.run([sys.executable, "-c", hold], check=True)
    assert peak.bytes > 200e6


@pytest.fixture
def a_little_cifar(tmp_path, monkeypatch):
    """Pictures of ten colours in CIFAR-10's layout, and a thief with few queries."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 12), ("test", 8)):
        for label, name in enumerate(data.CIFAR10_CLASSES):
            folder = tmp_path / "cifar10" / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 60, (32, 32, 3)) + np.array(
                    [20 * label, 190 - 20 * label, 90]
                )
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    monkeypatch.setenv("TRICKSTER_DATA", str(tmp_path))
    monkeypatch.setattr(demo_a, "QUERIES", 100)
    cached = [one for one in vars(demo_a).values() if hasattr(one, "cache_clear")]
    yield
    for one in cached:
        one.cache_clear()


def test_demo_a_runs_on_pictures_of_one_s_own(a_little_cifar):
    jobs = [(condition, "honest users", 0) for condition in demo_a.CONDITIONS]
    jobs += [(condition, learns, 0) for condition in demo_a.CONDITIONS for learns in demo_a.LEARNS]
    found = [(job, demo_a.run(job)) for job in jobs]
    assert all(0 <= result["accuracy"] <= 1 for _, result in found)
    weird = found[-1]
    assert demo_a.run(weird[0]) == weird[1]
    table = demo_a.section(found)
    assert "(published .34)" in table and "100 queries" in table
    _, logits, caught = demo_a.answered("thief")
    told = demo_a.told("Trickster", logits, caught, 0)
    np.testing.assert_array_equal(told[~caught], logits[~caught])
    assert (told[caught].argmax(axis=1) == logits[caught].argmin(axis=1)).all()


def test_demo_a_is_left_out_where_its_pictures_are_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo_a.py", "--root", str(tmp_path), "--seeds", "99"])
    monkeypatch.setenv("TRICKSTER_DATA", str(tmp_path))
    demo_a.cifar.cache_clear()
    assert demo_a.main() == 0
    assert "left out" in capsys.readouterr().out


def test_the_exact_interval_is_clopper_and_pearson_s():
    low, high = (float(x) / 100 for x in re.findall(r"[\d.]+", kept.exactly(3, 50)))
    assert low == pytest.approx(stats.beta.ppf(0.025, 3, 48), abs=1e-3)
    assert high == pytest.approx(stats.beta.ppf(0.975, 4, 47), abs=1e-3)
    assert kept.exactly(0, 200) == "[0.0%, 1.8%]"


def test_intervals_read_as_in_the_field():
    assert kept.interval([0.5]) == ".500"
    assert kept.interval(np.full(4, 0.25)) == ".250"
    assert re.fullmatch(r"-?\.\d{3} \[-?\.\d{3}, \.\d{3}\]", kept.interval([-0.1, 0.05, 0.02]))


CHECKED = verdicts.Checked(
    2.0,
    {"right": "", "wrong": "too low"},
    thresholds.Threshold(0.5, 0.3, "", ""),
    re.compile(r"drop is (-?\d\.\d+)"),
)


def test_a_verdict_is_read_from_what_a_check_prints():
    def run(points, *lines):
        def check():
            for line in lines:
                print(line)
            return points

        return check

    low = verdicts.judged(
        CHECKED, "wrong", run(1.0, "the drop is 0.40", "drop is -0.10, far", "too low")
    )
    assert low == {"points": 1.0, "value": -0.1, "told": True}
    silent = verdicts.judged(CHECKED, "wrong", run(2.0, "fine"))
    assert silent == {"points": 2.0, "value": None, "told": False}
    right = verdicts.judged(CHECKED, "right", run(2.0, "drop is 0.60"))
    partly = verdicts.judged(CHECKED, "right", run(1.5, "drop is 0.45"))
    found = [
        (("c", "wrong", 0), low), (("c", "wrong", 1), silent),
        (("c", "right", 0), right), (("c", "right", 1), partly),
    ]  # fmt: skip
    checks = {"c": CHECKED}
    assert verdicts.false_verdicts(checks, found) == ["c: wrong (run 1)", "c: right (run 1)"]
    spread = np.std([0.6, 0.45], ddof=1)
    assert verdicts.evidence(found, "c", ("right",)) == ["right .45 to .60"]
    finer = [
        *found,
        (("c", "right", 2), verdicts.judged(CHECKED, "right", run(2, "drop is 0.512"))),
    ]
    assert verdicts.evidence(finer, "c", ("right",)) == ["right .450 to .600"]
    assert verdicts.deviations(verdicts.values(found, "c", "right"), 0.5) == pytest.approx(
        0.025 / spread
    )
    table = verdicts.table(checks, found)
    assert "| c: right | right | 1 of 2 [1.3%, 98.7%] |  | 1.5 to 2 of 2 |" in table
    assert "Nearer to the bar than three standard deviations: *c: right* (+0.2)." in table
    assert verdicts.too_near({"a": 3.1, "b": -4.0}).startswith("All lie at least three")


def test_the_page_is_what_the_stored_results_say():
    assert results.PAGE.read_text(encoding="utf-8") == results.page(), (
        "benchmarks/RESULTS.md is stale: python benchmarks/results.py --write"
    )


def test_readme_s_table_is_what_the_stored_results_say():
    text = summary.README.read_text(encoding="utf-8")
    assert text == summary.readme(text), (
        "README.md's table is stale: python benchmarks/results.py --write"
    )
    assert len(summary.rows()) == 5
    for picture in (summary.FIGURE, kept.RESULTS / "thieves_by_defense.png"):
        assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_summary_s_figures_are_means_of_the_stored_runs():
    a, ours_on_a, b, trickster, _ = summary.rows()

    def mean(part, what, *job):
        lines = (kept.RESULTS / f"{part}.jsonl").read_text().splitlines()
        found = [
            line for line in map(json.loads, lines) if line.get("job", [])[: len(job)] == [*job]
        ]
        return np.mean([line["result"][what] for line in found])

    logits = "logits, squared error"
    assert a.before.mean == pytest.approx(mean("demo_a", "accuracy", "no defence", logits))
    assert a.after.mean == pytest.approx(mean("demo_a", "accuracy", "noise on 38 %", logits))
    assert a.claimed == (0.34, 0.38) and a.honest is None and a.real is None
    assert ours_on_a.before == a.before and ours_on_a.claimed is None
    assert ours_on_a.after.mean == pytest.approx(mean("demo_a", "accuracy", "Trickster", logits))
    honest = [mean("demo_a", "accuracy", c, "honest users") for c in ("no defence", "Trickster")]
    assert ours_on_a.honest == pytest.approx(honest)
    for value, condition in ((b.before, "no defence"), (b.after, "all five")):
        assert value.mean == pytest.approx(mean("demo_b", "clone_accuracy", condition))
    assert b.claimed == (0.494, 0.174)
    assert b.honest[1] == pytest.approx(mean("demo_b", "honest_accuracy", "all five"))
    course_part = ("thieves_by_defense", "accuracy")
    assert trickster.before.mean == pytest.approx(mean(*course_part, "soft", "none"))
    worst = [mean(*course_part, thief, "Trickster") for thief in course.WITHOUT_REAL]
    assert trickster.worst[1].mean == pytest.approx(max(worst))
    real = [mean(*course_part, thief, "Trickster") for thief in ("100 real", "Jacobian")]
    assert trickster.real[2].mean == pytest.approx(max(real))
    assert trickster.real[1].mean == pytest.approx(mean(*course_part, "Jacobian", "none"))


@pytest.mark.parametrize("defense", course.DEFENSES)
def test_what_honest_users_lose_is_what_their_accuracy_falls_by(defense):
    found = stored("thieves_by_defense")
    (before, *_), *_ = course.values(found, "honest users", "none", "utility")
    (after, *_), *_ = course.values(found, "honest users", defense, "utility")
    (lost, low, high), *_ = course.values(found, "honest users", defense, "lost")
    assert lost == pytest.approx(before - after, abs=1e-9)
    assert low <= lost <= high and high - low < 0.02  # paired: not the pictures' own spread


def test_the_checks_own_half_is_what_the_checks_measure():
    asked = fixtures.held_out()
    defense = calibrate_defenses.trickster_of(calibrate_defenses.Answer())
    answers = defense(asked.x, asked.posteriors, asked.features)
    measured = calibrate_honest.run(("reversed, 2 %", calibrate_honest.OWN))
    assert measured["spared"] == -fixtures.changed(answers, asked.posteriors)
    truth = fixtures.fashion().y_test[fixtures.HELD_OUT]
    before, after = (np.mean(p.argmax(axis=1) == truth) for p in (asked.posteriors, answers))
    assert measured["gained"] == pytest.approx(after - before)


def test_a_whole_check_is_read_right():
    found = calibrate_training.run_check(("train_clone", "300 of 3,000 answers", 1))
    assert found["told"] and found["points"] < 4 and 0.25 < found["value"] < 0.55


@pytest.mark.parametrize("part", results.PARTS)
def test_every_part_is_complete(part):
    assert kept.stored(importlib.import_module(part))


def test_a_part_that_was_cut_off_is_not_on_the_page_and_stops_nothing(tmp_path, monkeypatch):
    for path in kept.RESULTS.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for module in (kept, results):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    path = tmp_path / "demo_b.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    page = results.page()
    assert "Not measured yet: `python benchmarks/demo_b.py`" in page
    assert page.count("Not measured yet") == 1
    assert len(summary.rows()) == 4


def test_every_stored_part_names_its_circumstances():
    files = sorted(kept.RESULTS.glob("*.jsonl"))
    assert files
    for path in files:
        heads, found = kept.read(path)
        assert heads and found
        for head in heads:
            assert head["part"] == path.stem
            assert {"library", "cores", "machine", "python", "numpy", "torch"} <= set(head)


CALIBRATED = {
    part: importlib.import_module(part) for part in ("calibrate_training", "calibrate_defenses")
}


def stored(part: str) -> list[tuple[tuple, dict]]:
    return kept.stored(importlib.import_module(part))


@pytest.mark.parametrize(("part", "script"), CALIBRATED.items())
def test_no_verdict_is_false(part, script):
    found = stored(part)
    assert verdicts.false_verdicts(script.CHECKED, found) == []
    assert {job[:2] for job, _ in found} == {job[:2] for job in script.jobs()}


QUOTED = {
    "train_victim": ("calibrate_training", thresholds.VICTIM_ACCURACY),
    "train_clone": ("calibrate_training", thresholds.CLONE_FIDELITY),
    "steal": ("calibrate_training", thresholds.STOLEN_FIDELITY),
    "trickster": ("calibrate_defenses", thresholds.DROP),
    "layered": ("calibrate_defenses", thresholds.LAYERED_DROP),
}


def test_the_guide_says_how_often_the_checks_were_run():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    said = re.search(r"in any of its (\d+) runs", text)
    runs = Counter(job[:2] for part in CALIBRATED for job, _ in stored(part))
    assert said and set(runs.values()) == {int(said[1])}


def test_the_guide_says_how_often_random_halves_refuse_a_right_answer():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    said = re.search(r"refuse a right answer in up to (\d+) of (\d+) runs; with the half", text)
    found, refused = stored("calibrate_honest"), []
    for what, full in calibrate_honest.BARS.values():
        for name, value in calibrate_honest.ranges(found, what).items():
            if calibrate_honest.ANSWERS[name].right:
                refused.append((int(np.sum(value < full)), len(value)))
                ((_, own),) = [pair for pair in found if pair[0] == (name, calibrate_honest.OWN)]
                assert own[what] >= full
    assert said and max(refused) == (int(said[1]), int(said[2]))


@pytest.mark.parametrize("check", QUOTED)
def test_the_bars_quote_what_was_measured_and_lie_three_deviations_from_it(check):
    (part, bar), found = QUOTED[check], stored(QUOTED[check][0])
    script = CALIBRATED[part]
    for quoted in verdicts.evidence(found, check, script.QUOTED[check]):
        assert quoted in bar.evidence, f"{quoted} is not in the evidence of {check}"
    near = script.NEAR.get(check, ())
    for quoted in verdicts.evidence(found, check, near):
        assert f"refused for something else: {quoted}" in bar.evidence
    for name, words in script.CHECKED[check].answers.items():
        value = verdicts.values(found, check, name)
        far = verdicts.deviations(value, bar.full) if len(value) else 0.0
        if not words:
            assert far >= 3, f"{name} lies {far:.1f} standard deviations above the bar of {check}"
            assert value.min() >= bar.full, f"{check}: {name} was refused: measure it again"
        elif far < 0:  # what lies above the bar is refused for something else anyway
            assert far <= -3 or name in near, f"{name} lies {-far:.1f} below the bar of {check}"
            assert value.max() <= bar.full, f"{check}: {name} was let through: measure it again"


def test_the_bars_say_how_many_runs_they_rest_on():
    for check, (part, bar) in QUOTED.items():
        runs = Counter(job[1] for job, _ in stored(part) if job[0] == check)
        said = int(re.match(r"(\d+) runs: ", bar.evidence)[1])
        assert set(runs.values()) == {said}, check


def test_the_guide_says_how_many_points_were_run_over_and_over():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    ours, every = (int(n) for n in re.search(r"\((\d+) of the (\d+) points", text).groups())
    assert ours == sum(one.points for s in CALIBRATED.values() for one in s.CHECKED.values())
    points = re.compile(r" points=(\d+)", re.MULTILINE)
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "solutions").glob("*/lab*.py"))
    assert every == sum(int(n) for text in sources for n in points.findall(text))


@pytest.mark.parametrize("check", QUOTED)
def test_what_is_called_usual_is_what_the_reference_measures(check):
    (part, bar), script = QUOTED[check], CALIBRATED[QUOTED[check][0]]
    runs = verdicts.values(stored(part), check, script.QUOTED[check][0])
    assert float(bar.usual.removeprefix("about ")) == pytest.approx(runs.mean(), abs=0.006)


def test_the_bar_of_honest_loss_quotes_what_was_measured():
    for quoted in calibrate_honest.evidence(stored("calibrate_honest"), "HONEST_LOSS"):
        assert quoted in thresholds.LAYERED_LOSS.evidence, f"{quoted} is not in its evidence"
    assert thresholds.LAYERED_LOSS.full == -thresholds.HONEST_LOSS


def of_demo_b(what: str, *conditions: str) -> list[float]:
    found = stored("demo_b")
    return [np.mean([r[what] for job, r in found if job[0] == name]) for name in conditions]


def quotes():
    """What the labs say, word for word, and the figures that they must say there."""
    stolen = of_demo_b(
        "clone_accuracy", "no defence", "noise alone", "all five", "rate limit alone"
    )
    served = of_demo_b("honest_accuracy", "no defence", "noise alone", "all five")
    published = [float(demo_b.PUBLISHED[name]) for name in ("no defence", "all five")]
    demo_a_published = [100 * float(value) for value in demo_a.PUBLISHED.values()]
    yield "lab2", r"\| clone's accuracy \| (\.\d+) \| (\.\d+) \|", published
    yield "lab2", r"accuracy falls from about (\.\d+) to about (\.\d+)", [stolen[0], stolen[2]]
    yield "lab2", r"\(about (\.\d+) to (\.\d+)\)", [served[0], served[2]]
    yield "lab3", r"with (\d+) % undefended and (\d+) % \*defended\*", demo_a_published
    yield (
        "lab3",
        r"fall by at least (\.\d+), and that honest users lose at most (\d\.\d) points of "
        r"accuracy, with at most (\d) %",
        [thresholds.DROP.full, 100 * thresholds.HONEST_LOSS, 100 * thresholds.HONEST_FLAGGED],
    )
    yield (
        "lab4",
        r"from about (\.\d+) down to about (\.\d+), further than the whole stack does "
        r"\(about (\.\d+)\)",
        stolen[:3],
    )
    yield (
        "lab4",
        r"about (\.\d+) down to (\.\d+) with noise alone, to about (\.\d+) with the stack",
        served,
    )
    stolen = [
        np.mean(course.values(stored("thieves_by_defense"), "soft", defense))
        for defense in ("Trickster", "none")
    ]
    yield "lab4", r"answers give a fidelity near (\.\d) instead of (\.\d)", stolen
    yield (
        "lab4",
        r"full points for a drop of fidelity of (\.\d+), part of them from (\.\d+)",
        [thresholds.LAYERED_DROP.full, thresholds.LAYERED_DROP.some],
    )
    yield "lab4", r"honest accuracy may fall by (\.\d+) at most", [thresholds.HONEST_LOSS]
    yield (
        "lab4",
        r"\((\d+) % are left\)",
        [100 * value for value in of_demo_b("query_success", "rate limit alone")],
    )
    yield (
        "lab2",
        r"fidelity of (\.\d+) \(mean .* from (\.\d+); above (\.\d+) the check",
        [thresholds.STOLEN_FIDELITY.full, thresholds.STOLEN_FIDELITY.some, thresholds.STOLEN_WELL],
    )


@pytest.mark.parametrize(
    ("lab", "words", "figures"), list(quotes()), ids=lambda value: str(value)[:40]
)
def test_the_labs_quote_what_was_measured(lab, words, figures):
    (source,) = (ROOT / "solutions").glob(f"{lab}_*/{lab}_*.py")
    text = " ".join(line.removeprefix("# ") for line in source.read_text("utf-8").splitlines())
    found = re.search(words, " ".join(text.split()), re.IGNORECASE)
    assert found, f"{source.name} no longer says {words}"
    for said, figure in zip(found.groups(), figures, strict=True):
        digits = len(said.partition(".")[2])
        assert abs(float(said) - figure) <= 0.6 * 10.0**-digits, words  # ".92" may be .925
