"""The benchmarks' tools: results that survive interruptions, options, intervals and verdicts."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from light_jobs import measured
from PIL import Image
from scipy import stats

from benchmarks import (
    calibration,
    cli,
    course_defenses,
    demo_a,
    demo_a_protocol,
    demo_b,
    detectors,
    fingerprint,
    formatting,
    memory,
    store,
    thieves_by_defense,
)
from trickster import data, probing
from trickster.checks import thresholds
from trickster.checks.result import CheckResult, PartResult
from trickster.models import softmax

JOBS = [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


class Counted:
    """A measurement that writes down which jobs it was given, and may break at one."""

    def __init__(self, breaks_at=None):
        self.jobs, self.breaks_at = [], breaks_at

    def __call__(self, job):
        if job == self.breaks_at:
            raise KeyboardInterrupt
        self.jobs.append(job)
        return {"value": len(job[0]) + job[1]}


@pytest.fixture
def small_library(tmp_path):
    """A script that reaches two of the three modules of a library."""
    files = {
        "benchmarks/part.py": "from trickster import thief\n",
        "trickster/__init__.py": "",
        "trickster/thief.py": "def steal():\n    from trickster.victim import answer\n",
        "trickster/victim.py": '"""Answers."""\nanswer = 1  # of ten\n# as before\ntext = "#"\n',
        "trickster/plots.py": "colour = 1\n",
        "datasets/checksums.json": "{}",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "before", "after", "same"),
    [
        ("trickster/victim.py", "answer = 1", "answer = 2", False),  # two imports away
        ("trickster/victim.py", '"#"', '"# changed"', False),  # no comment, but a string
        ("trickster/__init__.py", "", "x = 1", False),  # which every import runs
        ("datasets/checksums.json", "{}", "[]", False),
        ("trickster/victim.py", '"""Answers."""', '"""Answers,\n\nwell."""', True),
        ("trickster/victim.py", "# as before", "# as ever\n", True),
        ("trickster/plots.py", "colour = 1", "colour = 2", True),  # the script never reaches it
    ],
)
def test_results_are_kept_when_a_change_cannot_touch_them(small_library, file, before, after, same):
    earlier = fingerprint.library_hash("part", small_library)
    whole = fingerprint.library_hash("no script", small_library)
    path = small_library / file
    path.write_text(path.read_text().replace(before, after, 1))
    assert (fingerprint.library_hash("part", small_library) == earlier) is same
    changes_code = not same or "plots" in file
    assert (fingerprint.library_hash("no script", small_library) != whole) is changes_code


def test_a_fingerprint_covers_what_a_calibration_runs():
    reached = {path.name for path in fingerprint.library_files("calibrate_knowing")}
    assert {"lab5.py", "attacks.py", "thresholds.py", "draws.py"} <= reached
    assert not {"plots.py", "lab6.py", "playground.py"} & reached


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        store.measure("toy", JOBS, Counted(("b", 0)), folder=tmp_path)
    rest = Counted()
    found = store.measure("toy", JOBS, rest, folder=tmp_path)
    assert rest.jobs == JOBS[2:]
    assert found == [(job, {"value": 1 + job[1]}) for job in JOBS]
    again = Counted()
    assert store.measure("toy", JOBS, again, folder=tmp_path) == found
    assert again.jobs == []


def test_a_line_cut_in_the_middle_is_measured_again(tmp_path):
    store.measure("toy", JOBS, Counted(), folder=tmp_path)
    path = tmp_path / "toy.jsonl"
    path.write_text(path.read_text()[:-9])
    rest = Counted()
    store.measure("toy", JOBS, rest, folder=tmp_path)
    assert rest.jobs == JOBS[3:]
    assert len(store.read_results(path)[1]) == 4


def test_another_library_starts_an_unfinished_part_over_and_leaves_a_finished_one(tmp_path, capsys):
    path = tmp_path / "toy.jsonl"
    for jobs, measured_anew in ((JOBS[:2], JOBS), (JOBS, [])):
        store.measure("toy", jobs, Counted(), folder=tmp_path, again=True)
        head, *lines = path.read_text().splitlines()
        old = json.dumps({**json.loads(head), "library": "an older one"})
        path.write_text("\n".join([old, *lines]) + "\n")
        count = Counted()
        store.measure("toy", JOBS, count, folder=tmp_path)
        assert count.jobs == measured_anew
    assert "starting over. What was there is toy.before" in capsys.readouterr().out
    assert len(store.read_results(tmp_path / "toy.before")[1]) == 2


def _by_an_older_library(path):
    head, *lines = path.read_text().splitlines()
    old = json.dumps({**json.loads(head), "library": "an older one"})
    path.write_text("\n".join([old, *lines]) + "\n")


def test_results_of_another_library_are_kept_where_one_of_each_kind_is_confirmed(tmp_path, capsys):
    path = tmp_path / "toy.jsonl"
    store.measure("toy", JOBS, Counted(), folder=tmp_path)
    _by_an_older_library(path)
    more = [*JOBS, ("a", 9), ("new", 0)]
    first, rest = [("a", 0), ("b", 0)], [("a", 9), ("new", 0)]
    count = Counted()
    found = store.measure("toy", more, count, folder=tmp_path, confirm=True)
    assert count.jobs == [*first, *rest]
    assert found == [(job, {"value": len(job[0]) + job[1]}) for job in more]
    assert "2 kinds of job give the same as before." in capsys.readouterr().out
    provenances, _ = store.read_results(path)
    assert [line.get("confirmed") for line in provenances] == [None, 2]
    assert provenances[-1]["library"] == store.provenance("toy")["library"]
    for options in ({"confirm": True}, {}):
        count = Counted()
        store.measure("toy", more, count, folder=tmp_path, **options)
        assert count.jobs == []


def test_a_kind_that_another_library_measures_otherwise_is_measured_anew(tmp_path, capsys):
    path = tmp_path / "toy.jsonl"
    store.measure("toy", JOBS, Counted(), folder=tmp_path)
    _by_an_older_library(path)
    path.write_text(
        path.read_text().replace(
            '["b", 0], "result": {"value": 1', '["b", 0], "result": {"value": 5'
        )
    )
    before = path.read_bytes()
    with pytest.raises(store.StoreError, match="1 of its 4 results are not"):
        store.measure("toy", JOBS[:3], Counted(), folder=tmp_path, confirm=True)
    with pytest.raises(KeyboardInterrupt):
        store.measure("toy", JOBS, Counted(("b", 0)), folder=tmp_path, confirm=True)
    assert path.read_bytes() == before
    count = Counted()
    found = store.measure("toy", JOBS, count, folder=tmp_path, confirm=True)
    assert count.jobs == [("a", 0), ("b", 0), *(job for job in JOBS if job[0] == "b")]
    assert found == [(job, {"value": 1 + job[1]}) for job in JOBS]
    assert "1 kinds of job give the same as before; 1 do not" in capsys.readouterr().out


class Trained:
    """What training may give: .7, a spread of .02, and a shift that a processor brings."""

    def __init__(self, shift=0.0, told=True):
        self.shift, self.told = shift, told

    def __call__(self, job):
        value = 0.7 + 0.02 * (-1) ** job[1] + self.shift
        return {"points": 5.0, "values": [value, None], "told": self.told}


RUNS = [("clone", number) for number in range(6)]


def _on_another_processor(path, processor="another one"):
    head, *lines = path.read_text().splitlines()
    old = json.dumps({**json.loads(head), "library": "an older one", "processor": processor})
    path.write_text("\n".join([old, *lines]) + "\n")


@pytest.mark.parametrize(
    ("run", "stays"),
    [
        (Trained(0.015), True),  # less than the runs' standard deviation of .022
        (Trained(0.03), False),
        (Trained(0.015, told=False), False),  # words and verdicts must be the same
    ],
)
def test_what_another_processor_measured_may_differ_by_a_standard_deviation(
    tmp_path, capsys, run, stays
):
    path = tmp_path / "toy.jsonl"
    before = store.measure("toy", RUNS, Trained(), folder=tmp_path)
    _on_another_processor(path)
    found = store.measure("toy", RUNS, run, folder=tmp_path, confirm=True)
    assert found == (before if stays else [(job, run(job)) for job in RUNS])
    provenances, _ = store.read_results(path)
    assert provenances[-1].get("nearly") == (1 if stays else None)
    assert ("another processor rounds differently" in capsys.readouterr().out) is stays


def test_on_the_same_processor_and_of_few_runs_nothing_may_differ(tmp_path):
    for runs, processor in ((RUNS, store.processor()), (RUNS[:3], "another one")):
        folder = tmp_path / processor
        folder.mkdir()
        store.measure("toy", runs, Trained(), folder=folder)
        _on_another_processor(folder / "toy.jsonl", processor)
        found = store.measure("toy", runs, Trained(0.001), folder=folder, confirm=True)
        assert found == [(job, Trained(0.001)(job)) for job in runs]


def test_a_quick_look_does_not_cost_what_another_library_measured(tmp_path, monkeypatch, capsys):
    path = tmp_path / "demo_b.jsonl"
    store.measure("demo_b", [*JOBS, ("all five", 0)], Counted(), folder=tmp_path)
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(head), "library": "old"}), *lines]) + "\n")
    before = path.read_bytes()
    with pytest.raises(store.StoreError, match=r"4 of its 5 results are not\s+asked for"):
        store.measure("demo_b", [("all five", 0)], Counted(), folder=tmp_path, again=True)
    look = ["demo_b.py", "--seeds", "1", "--workers", "1", "--again", "--results"]
    monkeypatch.setattr(sys, "argv", [*look, str(tmp_path)])
    with pytest.raises(SystemExit, match="Keep a quick look elsewhere"):
        cli.main(demo_b)
    assert path.read_bytes() == before
    monkeypatch.setattr(sys, "argv", [*look, str(tmp_path / "elsewhere")])
    cli.main(demo_b)
    assert "Mean over 1 seed " in capsys.readouterr().out
    assert set(store.read_results(tmp_path / "elsewhere" / "demo_b.jsonl")[1]) == set(
        demo_b.jobs(1)
    )


def test_a_damaged_line_is_named_and_nothing_is_lost(tmp_path, monkeypatch, capsys):
    path = tmp_path / "demo_b.jsonl"
    store.measure("demo_b", demo_b.jobs(1), Counted(), folder=tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{half a li\n", *lines[3:]]))
    before = path.read_bytes()
    monkeypatch.setattr(sys, "argv", ["demo_b.py", "--seeds", "1", "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"demo_b\.jsonl, line 4, is damaged: take the line out"):
        cli.main(demo_b)
    assert path.read_bytes() == before


def test_an_interrupted_run_says_that_it_can_go_on(tmp_path, monkeypatch):
    options = cli.add_options(argparse.ArgumentParser(), demo_b.jobs).parse_args(
        ["--workers", "1", "--results", str(tmp_path)]
    )
    with pytest.raises(SystemExit, match="What was measured is kept: start again to go on"):
        cli.measure_with(options, "toy", JOBS, Counted(JOBS[1]))
    assert list(store.read_results(tmp_path / "toy.jsonl")[1]) == [JOBS[0]]


def test_a_complete_part_is_shown_without_what_measuring_it_needs(tmp_path, monkeypatch, capsys):
    store.measure("demo_b", demo_b.jobs(1), demo_b.run, folder=tmp_path)
    look = ["demo_b.py", "--seeds", "1", "--results", str(tmp_path)]
    for argv, sentence in ((look, "Mean over 1 seed "), ([*look, "--again"], "It is not here.")):
        monkeypatch.setattr(sys, "argv", argv)
        cli.main(demo_b, why_not=lambda: "It is not here.")
        assert sentence in capsys.readouterr().out


def test_a_run_that_goes_on_elsewhere_says_so(tmp_path, monkeypatch):
    store.measure("toy", JOBS[:2], Counted(), folder=tmp_path)
    here = store.provenance("toy")
    monkeypatch.setattr(store, "provenance", lambda part: {**here, "cores": 99})
    store.measure("toy", JOBS, Counted(), folder=tmp_path)
    store.measure("toy", JOBS, Counted(), folder=tmp_path)
    path = tmp_path / "toy.jsonl"
    provenances, found = store.read_results(path)
    assert [line["cores"] for line in provenances] == [here["cores"], 99]
    assert list(found) == JOBS
    lines = path.read_text().splitlines()
    store.measure("toy", JOBS, Counted(), folder=tmp_path)
    assert path.read_text().splitlines() == lines
    store.measure("toy", JOBS[:1], Counted(), folder=tmp_path, again=True)
    assert path.read_text().splitlines() == [lines[0], *lines[2:], lines[1]]


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_count_that_is_none_is_refused_with_a_sentence(text, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo_b.py", "--seeds", text])
    with pytest.raises(SystemExit):
        cli.main(demo_b)
    assert f"{text} is no count: give 1 or more." in capsys.readouterr().err


def test_again_forgets_what_is_asked_for_and_nothing_else(tmp_path):
    for jobs in (JOBS, JOBS[:1], JOBS[3:], JOBS):
        count = Counted()
        store.measure("toy", jobs, count, folder=tmp_path, again=True)
        assert count.jobs == jobs
        assert set(store.read_results(tmp_path / "toy.jsonl")[1]) == set(JOBS)


def test_looking_at_a_file_leaves_it_as_it_is(tmp_path):
    store.measure("toy", JOBS, Counted(), folder=tmp_path)
    path = tmp_path / "toy.jsonl"
    path.write_text(path.read_text()[:-9])
    before = path.read_bytes()
    assert len(store.read_results(path)[1]) == 3
    assert path.read_bytes() == before


@pytest.mark.slow
def test_workers_find_the_same(tmp_path):
    jobs = [(name, seed) for seed in (0, 1, 2) for name in ("no defence", "all five")]
    found = store.measure("toy", jobs, measured, workers=2, chunk=3, folder=tmp_path)
    assert [(job, one["value"]) for job, one in found] == [
        (job, len(job[0]) + job[1]) for job in jobs
    ]
    assert os.getpid() not in {one["process"] for _, one in found}


@pytest.mark.slow
def test_a_worker_that_dies_costs_one_job_and_says_which(tmp_path):
    jobs = [("killer", number) for number in range(4)]
    with pytest.raises(
        SystemExit, match=r"Jobs \[\('killer', 2\)\] failed: .*its process was killed"
    ):
        store.measure("toy", jobs, measured, workers=2, folder=tmp_path)
    _, found = store.read_results(tmp_path / "toy.jsonl")
    assert set(found) == {("killer", 0), ("killer", 1), ("killer", 3)}


@pytest.mark.parametrize("kind", ["rss", "pss"])
def test_memory_below_this_process_is_seen(kind):
    code = "import time; block = b'x' * 200_000_000; time.sleep(0.5)"
    with memory.Peak(kind) as peak:
        subprocess.run([sys.executable, "-c", code], check=True)
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
    monkeypatch.setattr(demo_a_protocol, "QUERIES", 200)
    monkeypatch.setattr(demo_a, "EPOCHS", 1)
    monkeypatch.setattr(demo_a_protocol, "VICTIM", tmp_path / "kept" / "victim.safetensors")
    monkeypatch.setattr(demo_a, "MOST", demo_a.EPOCHS)
    monkeypatch.setattr(detectors, "BANK", 120)
    cached = [
        one
        for module in (demo_a, demo_a_protocol, detectors)
        for one in vars(module).values()
        if hasattr(one, "cache_clear")
    ]
    yield
    for one in cached:
        one.cache_clear()


def permutations_between(truths, told):
    """Where each class of each answer has gone."""
    moved_to = np.empty(truths.shape, dtype=int)
    np.put_along_axis(moved_to, truths.argsort(axis=1), told.argsort(axis=1), axis=1)
    return moved_to


@pytest.mark.slow
def test_demo_a_runs_on_pictures_of_one_s_own(a_little_cifar):
    found = [(job, demo_a.run(job)) for job in demo_a.jobs(1)]
    assert all(0 <= result["accuracy"] <= 1 for _, result in found)
    weird = found[-1]
    assert demo_a.run(weird[0]) == weird[1]
    table = demo_a.section(found)
    assert "(published .34)" in table and "200 queries" in table
    _, logits, caught = demo_a.judged("queries")
    ours, sent = demo_a.TRICKSTER, demo_a_protocol.queries()
    answers, lies = demo_a.served(ours, "queries", 0)
    assert np.array_equal(lies, caught) and lies.sum() > 0
    np.testing.assert_array_equal(answers[~lies], logits[~lies])
    assert (answers[lies].argmax(axis=1) != logits[lies].argmax(axis=1)).all()
    assert not np.array_equal(answers[lies], demo_a.served(ours, "queries", 1)[0][lies])
    orders = permutations_between(logits[lies], answers[lies])
    assert len(np.unique(orders, axis=0)) > 8
    asked = probing.copying(demo_a.asking(0), sent, 200)
    copied = demo_a.theft(ours, demo_a.COPYING, 0)
    np.testing.assert_array_equal(copied.x, asked.x)
    np.testing.assert_allclose(softmax(copied.targets), asked.answers, atol=1e-5)
    own = np.broadcast_to(demo_a.one_real_picture(0), sent.shape)
    blended = demo_a.theft(ours, demo_a.BLENDING, 0).x
    np.testing.assert_allclose(blended, 0.5 * own + 0.5 * sent, atol=1e-6)
    for oracle, thief in demo_a.ORACLES.items():
        changed, (_, truths, weird) = demo_a.changed(thief, 0)
        told = demo_a.theft(ours, oracle, 0)
        np.testing.assert_array_equal(told.x, changed[~weird])
        np.testing.assert_array_equal(told.targets, truths[~weird])
    kept = demo_a_protocol.victim().logits(demo_a_protocol.cifar().x_test)
    demo_a_protocol.victim.cache_clear()
    again = demo_a_protocol.victim().logits(demo_a_protocol.cifar().x_test)
    np.testing.assert_array_equal(kept, again)
    assert torch.full((1,), 1e-40) != 0, "Training has left this thread without denormal numbers."


@pytest.mark.slow
def test_mixed_outliers_are_what_their_recipe_says(a_little_cifar):
    honest = demo_a_protocol.cifar().x_train
    made = detectors.mixed_outliers(honest, 240, seed=3)
    assert made.shape == (240, 3, 32, 32) and made.dtype == np.float32
    assert made.min() >= 0 and made.max() <= 1
    np.testing.assert_array_equal(made, detectors.mixed_outliers(honest, 240, seed=3))
    assert not np.array_equal(made, detectors.mixed_outliers(honest, 240, seed=4))
    assert not (made[:, None] == honest[None]).all(axis=(2, 3, 4)).any()  # none is honest
    bytes_of = 255 * made[::2]  # as a file holds them
    np.testing.assert_allclose(bytes_of, np.round(bytes_of), atol=1e-3)
    assert not np.allclose(255 * made[1::2], np.round(255 * made[1::2]), atol=1e-3)


def test_a_jpeg_is_close_to_its_picture_and_keeps_its_colours():
    rows = np.linspace(0, 1, 32, dtype=np.float32)
    x = np.stack([np.broadcast_to(rows, (32, 32)), np.full((32, 32), 0.5), 0 * np.eye(32)])
    (back,) = detectors.saved_as_jpeg(x[None].astype("f"), quality=95)
    assert np.abs(back - x).mean() < 0.03
    for channel, meant in zip(back, x, strict=True):
        assert channel.mean() == pytest.approx(meant.mean(), abs=0.03)


def test_the_perceptron_s_score_is_its_log_odds_and_no_input_counts_beyond_its_limit():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 3)), np.repeat([0, 1], 100)
    x[y == 1] += 2
    one = detectors.Perceptron((8,), max_iter=300, random_state=0).fit(x, y)
    odds = one.predict_proba(x.astype("f"))
    np.testing.assert_allclose(one.decision_function(x), np.log(odds[:, 1] / odds[:, 0]), atol=1e-3)
    far = np.full((1, 3), one.FARTHEST)
    np.testing.assert_array_equal(one.decision_function(10 * far), one.decision_function(far))


def test_who_has_few_answers_learns_them_for_as_many_steps():
    x = np.zeros((100, 1), np.float32)
    some = demo_a.Theft(x, x).rows(np.arange(100) < 20)
    assert len(some.x) == 20 and some.epochs == 5 * demo_a.EPOCHS
    assert demo_a.Theft(x, x).rows(np.arange(100) < 1).epochs == demo_a.MOST


def test_demo_a_is_left_out_where_its_pictures_are_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo_a.py", "--root", str(tmp_path), "--seeds", "99"])
    monkeypatch.setenv("TRICKSTER_DATA", str(tmp_path))
    demo_a_protocol.cifar.cache_clear()
    assert demo_a_protocol.measure_on_cifar(demo_a, "Demo A is") == 0
    assert "left out" in capsys.readouterr().out


@pytest.mark.slow
def test_who_knows_a_defence_is_told_what_its_service_answers():
    x = thieves_by_defense.scenario.pool("shapes", 60, seed=0)
    truth = thieves_by_defense.scenario.victim.posteriors(x)
    for name in ("none", "Trickster", "layered"):
        told, lies = course_defenses.tell(name, x, 0)
        np.testing.assert_allclose(told, thieves_by_defense.service(name, 0).query(x), atol=1e-5)
        np.testing.assert_array_equal(lies, told.argmax(axis=1) != truth.argmax(axis=1))
        assert 0.3 < lies.mean() < 0.9 or name == "none"


def test_the_exact_interval_is_clopper_and_pearson_s():
    low, high = (float(x) / 100 for x in re.findall(r"[\d.]+", formatting.exact_interval(3, 50)))
    assert low == pytest.approx(stats.beta.ppf(0.025, 3, 48), abs=1e-3)
    assert high == pytest.approx(stats.beta.ppf(0.975, 4, 47), abs=1e-3)
    assert formatting.exact_interval(0, 200) == "[0.0%, 1.8%]"


def test_intervals_read_as_in_the_field():
    assert formatting.mean_interval([0.5]) == ".500"
    assert formatting.mean_interval(np.full(4, 0.25)) == ".250"
    assert re.fullmatch(
        r"-?\.\d{3} \[-?\.\d{3}, \.\d{3}\]", formatting.mean_interval([-0.1, 0.05, 0.02])
    )


CALIBRATED_TOY = calibration.Calibrated(
    2.0, {"right": "", "wrong": "too low"}, thresholds.Threshold(0.5, 0.3, "", ""), ("near", "far")
)


def toy_result(points: float, *values: float | None, advice: str = "") -> CheckResult:
    """A check whose two parts compare these values, and whose third compares none."""
    parts = [
        PartResult(name, 1.0, points / 2, f"measured {value}", advice=advice, value=value)
        for name, value in zip(("near", "far"), values, strict=True)
    ]
    other = PartResult("other", 0.0, 1.0, "measured -9.0")
    return CheckResult(points, "A toy check", 2.0, (*parts, other))


def test_a_verdict_is_read_from_a_check_s_data():
    def measure(answer, *given, **more):
        return calibration.measure_verdict(CALIBRATED_TOY, answer, toy_result(*given, **more))

    low = measure("wrong", 1.0, 0.40004, -0.1004, advice="It is too low.")
    assert low == {"points": 1.0, "value": -0.1, "told": True}  # the smallest, in three digits
    silent = measure("wrong", 2.0, None, None)
    assert silent == {"points": 2.0, "value": None, "told": False}
    right, partly = measure("right", 2.0, 0.6, None), measure("right", 1.5, 0.5, 0.45)
    results = [
        (("c", "wrong", 0), low), (("c", "wrong", 1), silent),
        (("c", "right", 0), right), (("c", "right", 1), partly),
    ]  # fmt: skip
    checks = {"c": CALIBRATED_TOY}
    assert calibration.false_verdicts(checks, results) == ["c: wrong (run 1)", "c: right (run 1)"]
    nearly = {"c": CALIBRATED_TOY._replace(nearly=("right",))}
    assert calibration.false_verdicts(nearly, results) == ["c: wrong (run 1)"]
    assert "| c: right | nearly right |  |" in calibration.table(nearly, results)
    spread = np.std([0.6, 0.45], ddof=1)
    assert calibration.evidence(results, "c", ("right",)) == ["right .45 to .60"]
    finer = [*results, (("c", "right", 2), measure("right", 2.0, 0.7, 0.512))]
    assert calibration.evidence(finer, "c", ("right",)) == ["right .450 to .600"]
    values = calibration.values_of(results, "c", "right")
    assert calibration.deviations(values, 0.5) == pytest.approx(0.025 / spread)
    table = calibration.table(checks, results)
    assert "| c: right | right | 1 of 2 [1.3%, 98.7%] |  | 1.5 to 2 of 2 |" in table
    assert "Nearer to the bar than three standard deviations: *c: right* (+0.2)." in table
    assert calibration.name_the_near({"a": 3.1, "b": -4.0}).startswith("All lie at least three")


def test_a_part_that_a_check_no_longer_has_is_an_error_and_no_empty_value():
    renamed = CALIBRATED_TOY._replace(parts=("near", "farther"))
    with pytest.raises(KeyError, match="farther"):
        calibration.measure_verdict(renamed, "right", toy_result(2.0, 0.6, 0.6))
