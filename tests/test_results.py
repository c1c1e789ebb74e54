"""The benchmarks' results: kept through interruptions, and quoted as they are."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
from reference import ROOT
from scipy import stats

sys.path.insert(0, str(ROOT / "benchmarks"))

import demo_b
import kept
import results

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
    assert "starting over" in capsys.readouterr().out


def test_again_forgets(tmp_path):
    kept.measured("toy", JOBS, Counted(), folder=tmp_path)
    count = Counted()
    kept.measured("toy", JOBS, count, folder=tmp_path, again=True)
    assert count.asked == JOBS


def test_workers_find_the_same(tmp_path):
    jobs = [(name, seed) for seed in (0, 1) for name in ("no defence", "all five")]
    found = kept.measured("toy", jobs, demo_b.run, workers=2, folder=tmp_path)
    assert found == [(job, demo_b.run(job)) for job in jobs]


def test_the_exact_interval_is_clopper_and_pearson_s():
    low, high = (float(x) / 100 for x in re.findall(r"[\d.]+", kept.exactly(3, 50)))
    assert low == pytest.approx(stats.beta.ppf(0.025, 3, 48), abs=1e-3)
    assert high == pytest.approx(stats.beta.ppf(0.975, 4, 47), abs=1e-3)
    assert kept.exactly(0, 200) == "[0.0%, 1.8%]"


def test_intervals_read_as_in_the_field():
    assert kept.interval([0.5]) == ".500"
    assert kept.interval(np.full(4, 0.25)) == ".250"
    assert re.fullmatch(r"-?\.\d{3} \[-?\.\d{3}, \.\d{3}\]", kept.interval([-0.1, 0.05, 0.02]))


def test_the_page_is_what_the_stored_results_say():
    assert results.PAGE.read_text(encoding="utf-8") == results.page(), (
        "benchmarks/RESULTS.md is stale: python benchmarks/results.py --write"
    )


def test_every_stored_part_names_its_circumstances():
    files = sorted(kept.RESULTS.glob("*.jsonl"))
    assert files
    for path in files:
        head, found = kept.read(path)
        assert head["part"] == path.stem and found
        assert {"library", "cores", "machine", "python", "numpy", "torch"} <= set(head)


def test_no_verdict_of_the_graded_defences_is_false():
    import calibrate_defenses

    _, found = kept.read(kept.RESULTS / f"{calibrate_defenses.PART}.jsonl")
    assert calibrate_defenses.false_verdicts(list(found.items())) == []
    runs = {job[:2]: 0 for job in found}
    for job in found:
        runs[job[:2]] += 1
    asked = {(check, name) for check, names in calibrate_defenses.CHECKS.items() for name in names}
    assert set(runs) == asked and min(runs.values()) >= 20


def test_the_bars_quote_what_was_measured():
    import calibrate_defenses

    from trickster.checks import bars

    _, found = kept.read(kept.RESULTS / f"{calibrate_defenses.PART}.jsonl")
    for check, bar in (("trickster", bars.DROP), ("layered", bars.LAYERED_DROP)):
        for name in calibrate_defenses.QUOTED[check]:
            drops = [min(r["drops"]) for job, r in found.items() if job[:2] == (check, name)]
            quoted = f"{name} {kept.short(min(drops))} to {kept.short(max(drops))}"
            assert quoted in bar.evidence, f"{quoted} is not in the evidence of {check}"
