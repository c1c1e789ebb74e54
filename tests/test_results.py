"""What the benchmarks have stored, and everything that quotes it."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from matplotlib.text import Text
from reference import ROOT

from autograder.authoring.self_study import starred_answers
from autograder.authoring.source import build_notebook
from autograder.cells import grade_id
from autograder.course import pick_labs, read_course
from benchmarks import (
    answers,
    blended_queries,
    calibrate_defenses,
    calibrate_honest,
    calibrate_knowing,
    calibrate_training,
    calibration,
    class_scale,
    demo_a,
    demo_b,
    demos_page,
    detectors,
    exact_theft,
    knowing_thieves,
    lies_by_query,
    longer_thefts,
    longer_training,
    results,
    right_answers,
    star_answers,
    store,
    summary,
    summary_figure,
)
from benchmarks import thieves_by_defense as course
from benchmarks.formatting import short
from trickster import defenses, evaluation
from trickster.api import Query
from trickster.checks import fixtures, lab3, lab4, lab5, spending_cases, thresholds
from trickster.scenario import Scenario

GUIDE = ROOT / "docs" / "grading.md"
LABS = {"lab3": lab3, "lab4": lab4, "lab5": lab5}


def test_the_page_is_what_the_stored_results_say():
    assert results.PAGE.read_text(encoding="utf-8") == results.page(), (
        "benchmarks/RESULTS.md is stale: python -m benchmarks.results --write"
    )


def test_the_tables_on_the_demonstrations_are_what_the_stored_results_say():
    text = results.DEMOS.read_text(encoding="utf-8")
    assert text == results.demos_page(text), (
        "docs/demos.md's tables are stale: python -m benchmarks.results --write"
    )
    a, probing = demos_page.tables().values()
    told = short(mean_of("demo_a", "accuracy", demo_a.TRICKSTER, demo_a.ORACLE))
    assert re.search(rf"^\| oracle: .*? \| {re.escape(told)} \| 2 \|", a, re.M)
    walked = mean_of("lies_by_query", "walking: fidelity", "8 cells", 3_000)
    assert re.search(rf"^\| walking: .*? \| {re.escape(short(walked))} \|", probing, re.M)


def test_readme_s_table_is_what_the_stored_results_say():
    text = results.README.read_text(encoding="utf-8")
    assert text == results.readme(text), (
        "README.md's table is stale: python -m benchmarks.results --write"
    )
    assert len(summary.rows()) == 7
    for picture in (store.RESULTS / "summary.png", store.RESULTS / "thieves_by_defense.png"):
        assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_model_answer_to_lab_2_s_stars_gets_what_it_says():
    text = (store.ROOT / "solutions/lab2_steal_it/stars.py").read_text(encoding="utf-8")
    get = [mean_of("star_answers", "fidelity", "check", name) for name in star_answers.THIEVES]
    assert [f"{value:.3f}"[1:] for value in get] == re.findall(r"\| (\.\d{3}) \|", text)
    lowest = min(
        one["fidelity"]
        for job, one in store.stored_results(star_answers)
        if job[:2] == ("check", star_answers.MODEL_ANSWER)
    )
    assert (
        lowest > thresholds.STOLEN_STARS[-1]
        and f"lowest is {lowest:.3f}".replace("0.", ".") in text
    )
    shipped = [
        mean_of("star_answers", "fidelity", "shipped victim", name)
        for name in (star_answers.MODEL_ANSWER, star_answers.ALL_PIXELS)
    ]
    assert "bring nothing: {:.3f}, against {:.3f} for".format(*shipped).replace("0.", ".") in text


@pytest.mark.slow
def test_the_model_answer_to_lab_1_s_star_prints_what_it_says(capsys):
    (lab,) = pick_labs(ROOT, ["lab1"])
    notebook = build_notebook(lab, read_course(ROOT))
    (cells,) = starred_answers(lab, notebook).values()
    scenario = Scenario("fashion")
    names = dict(answers.solution("lab1"), victim=scenario.victim, fashion=scenario.data)
    (given,) = (cell.source for cell in notebook.cells if grade_id(cell) == "calibration")
    exec(given.split("\n\n\nerror = ")[0], names)  # a function that the answer calls
    for cell in cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    printed = capsys.readouterr().out
    assert printed and f"```\n{printed}```" in cells[-1].source


MACHINES = 0.015  # by so much the rounding of another processor has moved a clone's fidelity


@pytest.mark.thorough
@pytest.mark.slow
def test_the_answers_to_lab_2_s_other_stars_print_what_they_say():
    """Some of the runs, again; the lab quotes their means."""
    (lab,) = pick_labs(ROOT, ["lab2"])
    _, hundred, choosing = starred_answers(lab, build_notebook(lab, read_course(ROOT))).values()
    scenario = Scenario("fashion")
    names = answers.solution("lab2") | {
        "pool": lambda name, seed: scenario.pool(name, 5_000, seed=seed),
        "victim_answers": scenario.victim.posteriors(scenario.data.x_test),
    }
    exec(hundred[1].source, names)
    exec(choosing[1].source, names)
    rows = re.findall(r"^(a.*?)  mean 0(\.\d+)  \((.*)\)$", hundred[-1].source, re.M)
    assert [name.strip() for name, *_ in rows] == list(names["hundred"])
    lab_text = re.sub(r"\s+(# )?", " ", lab.source.read_text("utf-8"))
    for name, mean, runs in rows:
        values = [float(value) for value in runs.split(", ")]
        assert float(mean) == pytest.approx(np.mean(values), abs=6e-4) and mean in lab_text
        if name.strip() in ("alone, ten epochs", "augmented"):
            found = names["hundred"][name.strip()](1)
            assert found == pytest.approx(float(runs.partition(",")[0]), abs=MACHINES)
    least, *_, most = sorted(rows[2][2].split(", "))  # of the augmented
    assert f"anything from {least} to {most} ".replace(" 0.", " .") in lab_text
    for name in ("all pixels, ten epochs", "4x4 squares, 80 epochs"):
        shapes, clothes = names["on_shapes_and_clothes"](*names["choices"][name], 1)
        quoted = re.search(rf"^{name} +([\d.]+), ([\d.]+) ", choosing[-1].source, re.M)
        assert [shapes, clothes] == pytest.approx([*map(float, quoted.groups())], abs=MACHINES)


@pytest.mark.thorough
@pytest.mark.slow
def test_the_model_answer_to_lab_4_s_star_gets_what_it_says(capsys):
    """One start of one seed: in the mirror, where the loss is small and the clone is bad."""
    (lab,) = pick_labs(ROOT, ["lab4"])
    source = build_notebook(lab, read_course(ROOT))
    ((*_, define, measure, told),) = starred_answers(lab, source).values()
    names: dict = {"SEEDS": (2,)}
    for cell in [*source.cells, define]:  # what they define and import, and no experiment
        if cell.cell_type == "code":
            body = ast.parse(cell.source).body
            wanted = (ast.FunctionDef, ast.Import, ast.ImportFrom)
            kept = [one for one in body if isinstance(one, wanted)]
            exec(compile(ast.Module(kept, []), lab.name, "exec"), names)
    scenario = names["scenario"] = Scenario("fashion")
    data = names["dataset"] = scenario.data
    names["victim_says"] = scenario.victim.labels(data.x_test)
    parts = (data.x_train, data.x_test[: len(data.x_test) // 2])
    trickster = defenses.Trickster.from_features(*map(scenario.victim.features, parts))
    x = names["pool"](2)
    features, posteriors = scenario.victim.features_and_posteriors(x)
    answers = trickster(posteriors, Query(x, features, key="", now=0.0))
    names["told_labels"] = {2: answers.argmax(axis=1)}
    names["ways"] = {"its mirror image": lambda s: [names["believing"](s, mirror=-1)]}
    exec(measure.source, names)
    found = [float(one) for one in re.findall(r"\d\.\d+", capsys.readouterr().out)]
    line = re.search(r"^its mirror image (.*)$", told.source, re.M)[1]
    quoted = [float(one) for one in re.findall(r"\d\.\d+", line)][3:6]
    assert found[0] == pytest.approx(quoted[0], abs=0.1)
    assert found[1:] == pytest.approx(quoted[1:], abs=0.04)


@pytest.mark.slow
def test_readme_s_picture_is_what_lab_1_s_first_thief_sends():
    assert results.alike(results.PICTURE.read_bytes(), results.lab_picture()), (
        "docs/shapes.png is stale: python -m benchmarks.results --write"
    )


def mean_of(part: str, what: str, *job: str | int) -> float:
    """Read from the file itself; ``what`` may be two words, a thief's and a measurement's."""
    lines = map(json.loads, (store.RESULTS / f"{part}.jsonl").read_text().splitlines())
    found = [line["result"] for line in lines if line.get("job", [])[: len(job)] == [*job]]
    for word in what.split(": "):
        found = [one[word] for one in found]
    return np.mean(found)


def test_the_summary_s_figures_are_means_of_the_stored_runs():
    a, ours_on_a, b, *_ = summary.rows()
    naive, ours = demo_a.NAIVE, demo_a.TRICKSTER
    assert a.before.mean == pytest.approx(mean_of("demo_a", "accuracy", "no defence", naive))
    assert a.naive.mean == pytest.approx(mean_of("demo_a", "accuracy", "noise on 38 %", naive))
    assert a.claimed == (0.34, 0.38) and a.honest is None and a.real is None
    met = {job[2] for job, _ in stored("demo_a") if job[:2] == (ours, naive)}
    same = [mean_of("demo_a", "accuracy", "no defence", naive, seed) for seed in met]
    assert ours_on_a.before.mean == pytest.approx(np.mean(same))  # of the same thefts
    assert ours_on_a.before.n == ours_on_a.naive.n == len(met) and ours_on_a.claimed is None

    def means(thieves: Iterable[str]) -> dict[str, float]:
        return {thief: mean_of("demo_a", "accuracy", ours, thief) for thief in thieves}

    assert ours_on_a.naive.mean == pytest.approx(mean_of("demo_a", "accuracy", ours, naive))
    for best, tried in (
        (ours_on_a.knows, means((naive, *demo_a.KNOWING))),
        (ours_on_a.oracle, means((demo_a.ORACLE, *demo_a.ORACLES))),
        (ours_on_a.real, means((demo_a.REAL_PICTURES,))),
    ):
        thief = max(tried, key=tried.get)
        assert best.after.mean == pytest.approx(tried[thief])
        if (sender := demo_a.ORACLES.get(thief, thief)) in demo_a.CHANGING:  # of the same pictures
            seeds = [job[2] for job, _ in stored("demo_a") if job[:2] == (ours, thief)]  # and seeds
            before = [mean_of("demo_a", "accuracy", "no defence", sender, one) for one in seeds]
            assert best.before.mean == pytest.approx(np.mean(before))
    kept = [mean_of("demo_a", "accuracy", c, demo_a.HONEST) for c in ("no defence", ours)]
    assert ours_on_a.honest == pytest.approx(kept)
    for value, condition in ((b.before, "no defence"), (b.naive, "all five")):
        assert value.mean == pytest.approx(mean_of("demo_b", "clone_accuracy", condition))
    assert b.claimed == (0.494, 0.174) and b.oracle is None
    assert b.honest[1] == pytest.approx(mean_of("demo_b", "honest_accuracy", "all five"))


@pytest.mark.parametrize(
    ("row", "defense", "kind"),
    [
        (3, "Trickster", None),
        (4, "layered", None),
        (5, "keyed lies", "8 cells"),
        (6, "keyed lies, 512 cells", "512 cells"),
    ],
    ids=str,
)
def test_the_course_s_rows_name_the_best_thief_of_each_kind(row, defense, kind):
    def stolen(thief, behind=defense):
        return mean_of("knowing_thieves", f"{thief}: accuracy", behind)

    def best(thieves, behind=defense):
        return max(stolen(thief, behind) for thief in thieves)

    found, ran = summary.rows()[row], dict(stored("knowing_thieves"))[(defense, 0)]
    thieves = {t for t in ran if isinstance(ran[t], dict) and "accuracy" in ran[t]}
    naive, oracle = ({t for t in thieves if t.startswith(w)} for w in ("does not know", "oracle"))
    real = {t for t in thieves if t.startswith("100 real")}
    # With the clone of labs 3 to 5, and with two better ones; augmented pictures with the first.
    assert len(naive) == len(oracle) == 3 and len(real) == 5
    assert found.before.mean == pytest.approx(best(naive, "none"))
    assert found.naive.mean == pytest.approx(best(naive))
    assert found.oracle.after.mean == pytest.approx(best(oracle))
    assert found.real.after.mean == pytest.approx(best(real))
    assert found.real.before.mean == pytest.approx(best(real, "none"))
    informed = best(thieves - oracle - real)
    if kind:  # those who ask on purpose, with as many queries
        asking = {
            f"{thief}{clone}"
            for thief in ("walking", "copying", "copying, farther")
            for clone in ("", ", 80 epochs", ", lab 2's clone")
        }
        told = (mean_of("lies_by_query", f"{t}: accuracy", kind, 3_000) for t in asking)
        informed = max(informed, *told)
    assert found.knows.after.mean == pytest.approx(informed)


def test_no_words_of_the_summary_s_picture_collide():
    canvas = summary_figure.figure(summary.rows()).figure
    canvas.draw_without_rendering()
    words = [text for text in canvas.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent() for text in words]
    for i, one in enumerate(boxes):
        assert canvas.bbox.x0 <= one.x0 and one.x1 <= canvas.bbox.x1, words[i]
        for j, other in enumerate(boxes[:i]):
            assert not one.overlaps(other), f"{words[i]} and {words[j]}"


@pytest.mark.parametrize("defense", course.DEFENSES)
def test_what_honest_users_lose_is_what_their_accuracy_falls_by(defense):
    found = course.with_who_knows(stored("thieves_by_defense"))
    (before, *_), *_ = course.values(found, "honest users", "none", "utility")
    (after, *_), *_ = course.values(found, "honest users", defense, "utility")
    (lost, low, high), *_ = course.values(found, "honest users", defense, "lost")
    assert lost == pytest.approx(before - after, abs=1e-9)
    assert low <= lost <= high and high - low < 0.02  # paired: not the pictures' own spread


@pytest.mark.slow
def test_what_honest_users_lose_at_a_desk_is_what_the_checks_measure():
    honest, truth = fixtures.honest_users(), fixtures.honest_pictures().y
    defense = calibrate_defenses.as_lab3_asks(calibrate_defenses.Answer())
    answers = defense(honest.x, honest.posteriors, honest.features)
    measured = calibrate_honest.run(("reversed, 2 %", calibrate_honest.DESK))
    assert measured["spared"] == -fixtures.differs(answers, honest.posteriors).mean()
    before, after = (np.mean(p.argmax(axis=1) == truth) for p in (honest.posteriors, answers))
    assert measured["gained"] == pytest.approx(after - before)


@pytest.mark.parametrize(
    "job",
    [
        ("zero_mean_noise", "the variance", 1),
        ("train_clone", "300 of 3,000 answers", 1),
    ],
    ids=lambda job: job[0],
)
def test_a_check_measures_what_is_stored(job):
    script = calibrate_training if job[0] in calibrate_training.CHECKED else calibrate_defenses
    before = dict(stored(script.PART))[job]
    now = script.run_check(job)
    assert now["told"] == before["told"]
    # On another machine a clone may differ in a few of its answers.
    assert now["points"] == pytest.approx(before["points"], abs=0.1)
    assert now["value"] == pytest.approx(before["value"], abs=0.03)


def test_a_cell_of_readme_s_table_says_what_was_tried_once():
    for row in summary.rows():
        line = f"| {row.name} |"
        (cells,) = [
            text.split(" | ")
            for text in results.README.read_text("utf-8").splitlines()
            if text.startswith(line)
        ]
        for cell, thief in zip(cells[3:6], (row.knows, row.oracle, row.real), strict=True):
            assert ("one run" in cell) == bool(thief and thief.after.n == 1), cell
            assert ("→" in cell) == bool(thief and thief.before), cell
        assert ("one run" in cells[2]) == (row.naive.n == 1) == (row.before.n == 1)
        assert ("one run" in cells[6]) == row.honest_once
    honest = {job[2] for job, _ in stored("demo_a") if job[:2] == (demo_a.TRICKSTER, demo_a.HONEST)}
    assert summary.rows()[1].honest_once == (len(honest) == 1)


def test_readme_s_table_calls_no_thief_by_a_name_that_it_does_not_explain():
    accounts = {
        row.knows.name for row in summary.rows() if row.knows and "accounts" in row.knows.name
    }
    assert accounts == {"10 accounts", "asks 15 times from 30 accounts"}
    asking = (f"{thief} thief" for thief in lies_by_query.ASKING)
    for name in {*demo_a.KNOWING, *demo_a.CHANGING, *asking, "un-lier", "small loss"}:
        told = summary.Thief(name, evaluation.Interval(0.5, 0.5, 0.5, 1)).explained
        assert told.name in summary.HOW.values(), name


def test_what_readme_says_in_short():
    text = " ".join(results.README.read_text(encoding="utf-8").split())
    noise, _, b = summary.rows()[:3]
    assert noise.naive.high > noise.before.low  # "A's noise takes nothing from the thief"
    assert b.knows.name == "asks 15 times from 30 accounts"
    assert b.knows.after.high > b.before.mean
    free, fallen, back = map(summary.percent, (b.before.mean, b.naive.mean, b.knows.after.mean))
    assert f"from {free} down to {fallen}, until" in text and f"accounts: {back}." in text
    labs = lab_3, lab_4, lab_5, finer = summary.rows()[3:]
    for row in labs:  # "the labs' defences fool a thief who believes all answers"
        assert row.naive.mean < 0.6 * row.before.mean
        assert row.real.after.low > 0.8 * row.real.before.mean
    assert lab_3.knows.name == "un-lier"
    assert lab_3.knows.after.mean > 0.9 * lab_3.before.mean
    assert lab_5.knows.name == "walking thief"
    assert lab_5.knows.after.mean > 0.95 * lab_5.oracle.after.mean > 2 * lab_5.naive.mean
    best = [summary.percent(row.knows.after.mean) for row in (lab_4, finer)]
    free = summary.percent(lab_4.before.mean)
    assert "leave such thieves {} and {} instead of {}.".format(*best, free) in text
    held = max(row.knows.after.high for row in (lab_4, finer))
    assert held < min(row.knows.after.low for row in (lab_3, lab_5))
    left = [round(100 * row.real.after.mean) for row in labs]
    (free,) = {summary.percent(row.real.before.mean) for row in labs}
    assert f"a hundred still bring {min(left)} to {max(left)} % instead of {free}." in text
    for row in labs[1:]:  # "The best clone behind labs 4 and 5"
        others = [row.naive, row.knows.after, row.oracle.after]
        assert row.real.after.low > max(one.high for one in others)
    level = lab_3.real.after, lab_3.knows.after  # "level with the un-lier's behind lab 3"
    assert max(one.low for one in level) < min(one.mean for one in level)


def test_the_reference_table_shows_who_knows_a_defence_and_who_is_told():
    found = course.with_who_knows(stored("thieves_by_defense"))
    known = stored("knowing_thieves")
    for thief in ("un-lier", "small loss", "oracle"):
        ours, theirs = (
            part.values(found, thief, "Trickster")
            if part is course
            else part.values(known, "Trickster", thief)
            for part in (course, knowing_thieves)
        )
        assert ours == theirs and len(ours) == len(knowing_thieves.jobs()) / 7
    assert course.worst(found, "Trickster") == "un-lier"
    table = course.section(stored("thieves_by_defense"))
    (row,) = [line for line in table.splitlines() if line.startswith("| keyed lies")][:1]
    assert row.count("[") >= 7 and " |  | " in row  # averaging and ten accounts are left out


def test_no_kind_of_lie_withstands_every_thief_who_asks_and_none_overspends():
    found = stored("lies_by_query")
    for (kind, budget, _), one in found:
        assert all(thief["queries"] <= budget for thief in one.values()), kind

    def fidelity(kind, thief, budget=3_000):
        return np.mean(lies_by_query.values(found, kind, budget, thief))

    oracle = fidelity(lies_by_query.ANY, "oracle")
    assert fidelity("one permutation", "walking") > oracle + 0.05
    assert fidelity("8 cells", "walking") > oracle - 0.05
    for thief in ("copying", "eliminating"):
        assert fidelity("one a picture", thief) > 0.7 * oracle
    best = {
        kind: fidelity(kind, lies_by_query.best(found, kind, 3_000))
        for kind in lies_by_query.PLANES
    }
    assert min(best, key=best.get) == "512 cells"  # the least that lab 5 recommends in the end
    assert lies_by_query.best(found, "512 cells", 3_000) == lies_by_query.UNAWARE


def test_right_answers_are_those_that_the_zoo_gives_all_points():
    right = {(one.lab, one.student) for one in right_answers.ANSWERS.values() if one.student}
    for lab, test in right_answers.WHOLE.items():
        specimens = answers.zoo(lab).values()
        most = max(one.expect.points[test][1] for one in specimens if test in one.expect.points)
        full = {s.student for s in specimens if s.expect.points.get(test) == (most, most)}
        assert {student for where, student in right if where == lab} == full
        assert most == getattr(LABS[lab], test.removesuffix("_test")).points


def test_which_right_answers_survive_a_thief_who_has_read_them():
    found = stored("right_answers")
    undone = {"lab 3, reference", "lab 3, other way", "lab 3, largest and smallest swapped"}
    for name in right_answers.ANSWERS:
        undefended, naive, known = (
            np.mean(right_answers.values(found, name, thief) or [0])
            for thief in (right_answers.UNDEFENDED, right_answers.NAIVE, right_answers.UNLIER)
        )
        assert naive < undefended - 0.2
        assert (known > 0.85 * undefended) == (name in undone), name
        if looks := right_answers.values(found, name, right_answers.LOOKS):
            assert (np.mean(looks) > 0.9 * undefended) == (name != "lab 3, reference"), name


@pytest.mark.parametrize("part", results.PARTS)
def test_every_part_is_complete(part):
    assert store.stored_results(results.load(part))


def test_a_part_that_was_cut_off_is_not_on_the_page_and_stops_nothing(tmp_path, monkeypatch):
    for path in store.RESULTS.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for module in (store, results):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    path = tmp_path / "demo_b.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    page = results.page()
    assert "Not measured yet: `python -m benchmarks.demo_b`" in page
    assert page.count("Not measured yet") == 1
    assert len(summary.rows()) == 6


def test_every_stored_part_names_its_circumstances():
    files = sorted(store.RESULTS.glob("*.jsonl"))
    assert files
    for path in files:
        provenances, found = store.read_results(path)
        assert provenances and found
        for line in provenances:
            assert line["part"] == path.stem
            assert {"library", "cores", "machine", "python", "numpy", "torch"} <= set(line)


CALIBRATED = {script.PART: script for script in (calibrate_training, calibrate_defenses)}


def stored(part: str) -> list[tuple[tuple, dict]]:
    return store.stored_results(results.load(part))


@pytest.mark.parametrize(("part", "script"), CALIBRATED.items())
def test_no_verdict_is_false(part, script):
    found = stored(part)
    assert calibration.false_verdicts(script.CHECKED, found) == []
    assert {job[:2] for job, _ in found} == {job[:2] for job in script.jobs()}


QUOTED = {
    "train_victim": ("calibrate_training", thresholds.VICTIM_ACCURACY),
    "train_clone": ("calibrate_training", thresholds.CLONE_FIDELITY),
    "steal": ("calibrate_training", thresholds.STOLEN_FIDELITY),
    "spend": ("calibrate_training", thresholds.SPENT_GAIN),
    "trickster": ("calibrate_defenses", thresholds.DROP),
    "layered": ("calibrate_defenses", thresholds.LAYERED_DROP),
    "read": ("calibrate_defenses", thresholds.LAYERED_READ),
}


def test_the_guide_says_how_often_the_checks_were_run():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    often = r"with a new secret: (\d+) times, and (\d+) times where an unlucky draw"
    (quoted,) = re.findall(often, text)
    runs = Counter(job[:2] for part in CALIBRATED for job, _ in stored(part))
    assert set(runs.values()) == set(map(int, quoted))
    assert "every right answer lies more than three standard deviations above its" in text


def test_the_guide_says_what_nearly_right_answers_earn():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    ((low, high, full, all_of_them, runs, *of_mirrored),) = re.findall(
        r"2x2 pixels \| ([\d.]+) to (\d) of (\d), all of them in (\d+) of (\d+) runs \| "
        r".*? images \| ([\d.]+) to ([\d.]+) of (\d), all four in (\d+) of (\d+) runs \|",
        text,
    )
    lowest, highest, most, all_mirrored, as_many = map(float, of_mirrored)
    squares, mirrored = (
        [result["points"] for job, result in stored("calibrate_training") if job[:2] == near]
        for near in (("steal", "half the size"), ("spend", "mirror images"))
    )
    assert len(squares) == int(runs) and squares.count(int(full)) == int(all_of_them)
    assert (round(min(squares), 1), max(squares)) == (float(low), int(high))
    assert (min(mirrored), max(mirrored)) == (lowest, highest)
    assert most == lab3.spend.points == 4
    assert (len(mirrored), mirrored.count(most)) == (as_many, all_mirrored)


def test_the_guide_says_how_often_other_pictures_refuse_a_right_answer():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    quoted = re.search(r"limits refused no right answer in any of (\d+) runs of grading", text)
    found = stored("calibrate_honest")
    assert quoted
    for what, full in calibrate_honest.BARS.values():
        for name, value in calibrate_honest.ranges(found, what).items():
            ((_, desk),) = [pair for pair in found if pair[0] == (name, calibrate_honest.DESK)]
            if calibrate_honest.ANSWERS[name].right:
                assert len(value) == int(quoted[1]) and min(*value, desk[what]) >= full


@pytest.mark.parametrize("check", QUOTED)
def test_the_bars_quote_what_was_measured_and_lie_three_deviations_from_it(check):
    (part, bar), found = QUOTED[check], stored(QUOTED[check][0])
    script = CALIBRATED[part]
    for quoted in calibration.evidence(found, check, script.QUOTED[check]):
        assert quoted in bar.evidence, f"{quoted} is not in the evidence of {check}"
    near = script.NEAR.get(check, ())
    for quoted in calibration.evidence(found, check, near):
        assert f"refused for something else: {quoted}" in bar.evidence
    partly = getattr(script, "PARTLY", {}).get(check, ())
    for name, words in script.CHECKED[check].answers.items():
        value = calibration.values_of(found, check, name)
        far = calibration.deviations(value, bar.full) if len(value) > 1 else 0.0
        nearly = name in script.CHECKED[check].nearly and f"nearly right: {name}" in bar.evidence
        if not words and not nearly:
            assert far >= 3, f"{name} lies {far:.1f} above {check}'s bar"
            assert value.min() >= bar.full, f"{check}: {name} was refused: measure it again"
        elif words and far < 0:  # what lies above the bar is refused for something else anyway
            assert far <= -3 or name in (*near, *partly), (
                f"{name} lies {-far:.1f} below the bar of {check}"
            )
            through = value.max() > bar.full and name not in near
            assert not through, f"{check}: {name} was let through: measure it again"


def test_the_bars_say_how_many_runs_they_rest_on():
    for check, (part, bar) in QUOTED.items():
        said = calibration.counted(stored(part), check)
        assert bar.evidence.startswith(f"{said}: "), f"{check}: {said}"


@pytest.mark.parametrize("check", QUOTED)
def test_whoever_lies_near_a_bar_was_run_often(check):
    (part, bar), found = QUOTED[check], stored(QUOTED[check][0])
    script = CALIBRATED[part]
    checked, elsewhere = script.CHECKED[check], script.NEAR.get(check, ())
    for name, words in checked.answers.items():
        value = calibration.values_of(found, check, name)
        far = calibration.deviations(value, bar.full) if len(value) > 1 else 9.0
        decides = name not in elsewhere and not (
            words and far > 0
        )  # else refused for another fault
        assert not decides or abs(far) >= 4 or name in checked.often, f"{check}: {name}, {far:.1f}"


@pytest.mark.parametrize(
    ("decimals", "bar"), [(2, thresholds.ROUNDED_TWO), (1, thresholds.ROUNDED_ONE)]
)
def test_lab_6_s_bars_quote_what_was_measured(decimals, bar):
    found = stored("exact_theft")
    for quoted in exact_theft.ranges(found, decimals).values():
        assert quoted in bar.evidence
    for answer in exact_theft.ANSWERS:
        value = exact_theft.values(found, "value", "bar", answer, decimals)
        assert int(re.match(r"(\d+) runs: ", bar.evidence)[1]) == len(value)
        if answer in exact_theft.RIGHT:
            assert value.mean() - 3 * value.std() > bar.full and value.min() > bar.full
            assert float(bar.usual.removeprefix("about ")) == pytest.approx(value.mean(), abs=0.002)
        else:
            assert value.max() < bar.some


def test_the_guide_says_how_many_points_were_run_over_and_over():
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    ours, every = (int(n) for n in re.search(r"\((\d+) of the (\d+) points", text).groups())
    checked = calibrate_training.CHECKED | calibrate_defenses.CHECKED
    assert ours == sum(one.points for name, one in checked.items() if name != "read")  # of layered
    points = re.compile(r"^# %%.* points=(\d+)", re.MULTILINE)
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "solutions").glob("*/lab*.py"))
    assert every == sum(int(n) for text in sources for n in points.findall(text))


@pytest.mark.parametrize("check", QUOTED)
def test_what_is_called_usual_is_what_the_reference_measures(check):
    (part, bar), script = QUOTED[check], CALIBRATED[QUOTED[check][0]]
    runs = calibration.values_of(stored(part), check, script.QUOTED[check][0])
    usual = float(re.findall(r"about (\.\d+)", bar.usual)[-1])
    assert usual == pytest.approx(runs.mean(), abs=0.006)


def test_what_is_called_a_usual_fidelity_of_lab_3_s_attack_is_what_the_lab_s_own_got():
    (executed,) = (ROOT / "solutions").glob("lab3_*/lab3_*.ipynb")
    (got,) = re.findall(r"0(\.\d+), runs from", executed.read_text(encoding="utf-8"))
    usual = re.search(r"about (\.\d+)", spending_cases.USUAL)[1]
    assert float(usual) == pytest.approx(float(got), abs=0.02)


def test_the_bar_of_honest_loss_quotes_what_was_measured():
    for quoted in calibrate_honest.evidence(stored("calibrate_honest"), "HONEST_LOSS"):
        assert quoted in thresholds.LAYERED_LOSS.evidence, f"{quoted} is not in its evidence"
    assert thresholds.LAYERED_LOSS.full == -thresholds.HONEST_LOSS


# --- lab 5 ----------------------------------------------------------------------------------


def test_no_verdict_of_lab_5_is_false():
    assert calibrate_knowing.false_verdicts(stored("calibrate_knowing")) == []


BARS_OF_LAB_5 = [
    (check, part, bar)
    for check, parts in calibrate_knowing.BARS.items()
    for part, bar in parts.items()
]


@pytest.mark.parametrize(("check", "part", "bar"), BARS_OF_LAB_5, ids=lambda value: str(value)[:20])
def test_lab_5_s_bars_quote_what_was_measured_and_lie_three_deviations_from_it(check, part, bar):
    found = stored("calibrate_knowing")
    for quoted in calibrate_knowing.evidence(found, check, part):
        assert quoted in bar.evidence, f"{quoted} is not in the evidence of {check}, {part}"
    for name, answer in calibrate_knowing.ANSWERS[check].items():
        runs = calibrate_knowing.values(found, check, name, part)
        if not answer.advice:
            assert runs.min() >= bar.full and calibration.deviations(runs, bar.full) >= 3


def test_lab_5_s_right_answers_are_right_in_all_runs_and_no_wrong_one_reaches_the_oracle_s_bar():
    found, part = stored("calibrate_knowing"), "the worst case"
    text = " ".join(GUIDE.read_text(encoding="utf-8").split())
    said = int(re.search(r"table of their own, with (\d+) runs", text)[1])
    for name, answer in calibrate_knowing.ANSWERS["defend"].items():
        runs = calibrate_knowing.values(found, "defend", name, part)
        if answer.advice:
            assert runs.max(initial=0.0) < thresholds.ORACLE.full, name
        else:
            assert len(runs) == (said if answer.often else calibrate_knowing.FEW)
            points = [one["points"] for job, one in found if job[:2] == ("defend", name)]
            full = np.mean([one == lab5.defend.points for one in points])
            assert full == 1 or (answer.near and full >= 0.9 and min(points) >= 2.5), name


def test_lab_5_shows_the_table_of_detectors_that_was_measured():
    (source,) = (ROOT / "solutions").glob("lab5_*/lab5_*.py")
    lines = [line.removeprefix("# ") for line in source.read_text("utf-8").splitlines()]
    head, _, *rows = detectors.table(stored("detectors")).strip().splitlines()
    shown = lines[lines.index(head) + 2 :]
    shown = shown[: shown.index("#")]
    assert shown == rows


def test_lab_5_draws_what_was_measured_of_every_kind_of_lie():
    (source,) = (ROOT / "solutions").glob("lab5_*/lab5_*.py")
    text = source.read_text("utf-8")
    drawn = ast.literal_eval(re.search(r"^MEASURED = (\{.*?^\})$", text, re.M | re.S)[1])
    lies, named = stored("lies_by_query"), {}
    for budget in (6_000, 3_000):
        named[f"best thief, {budget:,} queries"] = [
            lies_by_query.values(lies, kind, budget, lies_by_query.best(lies, kind, budget))
            for kind in lies_by_query.PLANES
        ]
    named["believes all, 3,000 queries"] = [
        lies_by_query.values(lies, kind, 3_000, lies_by_query.UNAWARE)
        for kind in lies_by_query.PLANES
    ]
    assert list(drawn) == list(named)
    for name, row in named.items():
        budget = 6_000 if "6,000" in name else 3_000
        free = lies_by_query.values(lies, lies_by_query.ANY, budget, lies_by_query.UNDEFENDED)
        found = [evaluation.bootstrap_interval(runs)[:3] for runs in (free, *row)]
        assert np.allclose(drawn[name], found, atol=6e-4), name
    for budget, level in ast.literal_eval(re.search(r"^ORACLE = (\{.*?\})", text, re.M)[1]).items():
        told = lies_by_query.values(lies, lies_by_query.ANY, budget, lies_by_query.ORACLE)
        assert level == pytest.approx(np.mean(told), abs=6e-4), budget


def of_demo_b(what: str, *conditions: str, seeds: int = 30) -> list[float]:
    """Means over the first ``seeds`` seeds; lab 4 runs the first 20 again."""
    found = [(job[0], result[what]) for job, result in stored("demo_b") if job[1] < seeds]
    return [np.mean([value for one, value in found if one == name]) for name in conditions]


def of_the_course(*pairs: tuple[str, str]) -> list[float]:
    """Mean fidelity of thieves against defences, each a pair of names."""
    return [np.mean(course.values(stored("thieves_by_defense"), *pair)) for pair in pairs]


def trained_long_and_briefly(*pairs: tuple[str, str]) -> list[float]:
    """Mean fidelity behind a defence of each thief: trained eight times as long, and as usual."""
    found = stored("knowing_thieves")
    return [
        np.mean(knowing_thieves.values(found, defense, name))
        for defense, thief in pairs
        for name in (knowing_thieves.with_clone(thief, knowing_thieves.LONG), thief)
    ]


def taken_from_the_unknowing() -> list[float]:
    """What the Trickster takes from who does not know: from a clone trained long, and briefly."""
    behind = trained_long_and_briefly(("Trickster", "does not know"))
    undefended = trained_long_and_briefly(("none", "does not know"))
    return list(np.subtract(undefended, behind))


def quotes():
    """What the labs say, word for word, and the figures that they must say there."""
    served = of_demo_b("honest_accuracy", "no defence", "noise alone", "all five")
    published = [float(demo_b.PUBLISHED[name]) for name in ("no defence", "all five")]
    demo_a_published = [100 * float(value) for value in demo_a.PUBLISHED.values()]
    longer = stored("longer_training")
    yield (
        "lab1",
        r"training loss is (\.\d+)\. The held-out loss has risen to (\.\d+) \(with two other "
        r"seeds, to (\.\d+) and (\.\d+)\), and yet the accuracy is not lower: it is (\d+\.\d) %",
        [
            longer_training.values(longer, "training loss")[0],
            *longer_training.values(longer, "held-out loss"),
            100 * longer_training.values(longer, "accuracy")[0],
        ],
    )
    yield (
        "lab1",
        r"(\.\d+) after 16 \(with two other seeds, (\.\d+) and (\.\d+)\)\. Its accuracy rises by "
        r"less than a point, but its mean confidence from \.\d+ to (\.\d+)",
        [
            *longer_training.values(longer, "calibration error"),
            longer_training.values(longer, "mean confidence")[0],
        ],
    )
    yield "lab2", r"\| clone's accuracy \| (\.\d+) \| (\.\d+) \|", published
    thefts = {
        name: calibration.values_of(stored("calibrate_training"), "steal", name)
        for name in calibrate_training.QUOTED["steal"]
    }
    scored = [thefts["reference"].min(), thefts["reference"].max()]
    yield "lab2", r"thief can score (\.\d+) or (\.\d+)", scored
    yield "lab2", r"ten epochs reach about (\.\d+)\.", [thefts["10 epochs"].mean()]
    yield (
        "lab2",
        r"\| hard labels, 20 epochs \| (\.\d+) \| \| ten epochs \| (\.\d+) \| "
        r"\| CNN, 8 epochs \| (\.\d+) \| \| 20 epochs \| (\.\d+) \| "
        r"\| 80 epochs \| (\.\d+)\\\* \| "
        r"\| means of 2x2 squares, 80 epochs \| (\.\d+) \| "
        r"\| means of 4x4 squares, 80 epochs \| (\.\d+)\\\* \| "
        r"\| the squares.*?\(the model answer\) \| (\.\d+) \|",
        [
            *(
                thefts[name].mean()
                for name in ("hard labels", "10 epochs", "CNN, 8 epochs", "shapes")
            ),
            mean_of("star_answers", "fidelity", "check", star_answers.ALL_PIXELS),
            thefts["half the size"].mean(),
            mean_of("star_answers", "fidelity", "check", "4x4 squares, 80 epochs"),
            thefts["reference"].mean(),
        ],
    )
    yield (
        "lab2",
        r"8 epochs of a CNN \((\.\d+)\) bring more than ten of the small network \((\.\d+)\), but "
        r"less than 20 \((\.\d+)\)",
        [thefts[name].mean() for name in ("CNN, 8 epochs", "10 epochs", "shapes")],
    )
    yield (
        "lab2",
        r"ten epochs of a CNN reach (\.\d+)\. The small network reaches (\.\d+) with ten \(both",
        [
            np.mean([one["fidelity"] for job, one in stored("peers") if job[:3] == theft])
            for clone in ("cnn", "mlp")
            for theft in [("ours", "Knockoff, random (probabilities)", clone)]
        ],
    )
    yield (
        "lab2",
        r"\| 6,320 \|" + len(longer_thefts.BUDGETS) * r" (\.\d+) \|",
        [
            np.mean(longer_thefts.values(stored("longer_thefts"), budget))
            for budget in longer_thefts.BUDGETS
        ],
    )
    rises = np.subtract(
        *(longer_thefts.values(stored("longer_thefts"), budget) for budget in (5_000, 3_000))
    )
    assert list(rises > 0) == [True, True, False]
    yield "lab2", r"the rise is \+(\.\d+), \+(\.\d+) and -(\.\d+): three", np.abs(rises)
    yield "lab2", r"\(about (\.\d+) to (\.\d+)\)", [served[0], served[2]]
    yield "lab3", r"accuracy of (\d+) % undefended and (\d+) % \*defended\*", demo_a_published
    yield (
        "lab3",
        r"lose at most (\d\.\d) percentage points of accuracy, and at most (\d) % of them are "
        r".*? fall by at "
        r"least (\.\d+) with fresh shapes; .*?\(a fidelity below (\.\d+)",
        [
            *(100 * share for share in (thresholds.HONEST_LOSS, thresholds.HONEST_FLAGGED)),
            *(thresholds.DROP.full, thresholds.POOR_POOL),
        ],
    )
    yield (
        "lab3",
        r"took the thief from (\.\d+) to (\.\d+)",
        of_the_course(("Jacobian", "none"), ("Jacobian", "Trickster")),
    )
    yield (
        "lab3",
        r"lost (\.\d+) on average to reversed answers, (\.\d+) to rolled ones, and (\.\d+) to",
        [
            calibration.values_of(stored("calibrate_defenses"), "trickster", lie).mean()
            for lie in ("reversed", "rolled by one", "largest and smallest swapped")
        ],
    )
    least = calibration.values_of(stored("calibrate_defenses"), "trickster", "least likely class")
    yield "lab3", r"\*least\* likely class cost the best thief (\.\d+)", [least.mean()]
    survived = stored("right_answers")
    yield (
        "lab3",
        r"over three seeds, the un-lier gets (\.\d+) in place of (\.\d+)",
        [
            np.mean(right_answers.values(survived, f"lab 3, {lie}", right_answers.UNLIER))
            for lie in ("largest and smallest swapped", "reference")
        ],
    )
    rolled = survived, "lab 3, rolled by one"
    yield (
        "lab3",
        r"over three seeds it gets (\.\d+), and a thief who takes all answers for the truth "
        r"(\.\d+)",
        [
            np.mean(right_answers.values(*rolled, thief))
            for thief in (right_answers.UNLIER, right_answers.NAIVE)
        ],
    )
    yield (
        "lab3",
        r"that gives (\.\d+), and an undefended service gives away (\.\d+)",
        [
            np.mean(right_answers.values(*rolled, thief))
            for thief in (right_answers.LOOKS, right_answers.UNDEFENDED)
        ],
    )
    yield (
        "lab3",
        r"against reversed answers it gets (\.\d+), and the un-lier (\.\d+)",
        [
            np.mean(right_answers.values(survived, "lab 3, reference", thief))
            for thief in (right_answers.LOOKS, right_answers.UNLIER)
        ],
    )
    yield (
        "lab4",
        r"labels of such lies took (\.\d+) of fidelity from the reader of the code on average, "
        r"and labels of reversed answers (\.\d+)",
        [
            calibration.values_of(stored("calibrate_defenses"), "read", f"{lie}, labels").mean()
            for lie in ("rolled by one", "reversed")
        ],
    )
    yield (
        "lab3",
        r"(\.\d+) in place of (\.\d+) for a thief who does not know, and (\.\d+) in place of "
        r"(\.\d+) for the un-lier \(undefended (\.\d+) in place of (\.\d+)\)",
        trained_long_and_briefly(
            ("Trickster", "does not know"), ("Trickster", "un-lier"), ("none", "does not know")
        ),
    )
    yield (
        "lab3",
        r"From the first of them the defence then takes (\.\d+), not (\.\d+)",
        taken_from_the_unknowing(),
    )
    yield (
        "lab4",
        r"this lab's clone \| (\.\d+) \| (\.\d+) \| (\.\d+) \| "
        r"\| the same, 80 epochs \| (\.\d+) \| (\.\d+) \| (\.\d+) \| "
        r"\| lab 2's clone, which sees coarser pictures, 80 epochs "
        r"\| (\.\d+) \| (\.\d+) \| (\.\d+) \|",
        [
            np.mean(knowing_thieves.values(found, defense, knowing_thieves.with_clone(thief, one)))
            for found in [stored("knowing_thieves")]
            for one in knowing_thieves.CLONES
            for defense, thief in (
                ("none", "does not know"),
                ("layered", "10 accounts"),
                ("layered", "small loss"),
            )
        ],
    )
    yield (
        "lab4",
        r"mixed with shapes gave (\.\d+) without a defence and (\.\d+) behind the stack; 100 alone "
        r"gave (\.\d+) and (\.\d+)",
        [
            np.mean(knowing_thieves.values(stored("knowing_thieves"), defense, thief))
            for thief in (knowing_thieves.MIXED, knowing_thieves.ALONE)
            for defense in ("none", "layered")
        ],
    )
    ablated = ("no defence", "noise alone", "all five")
    stolen = of_demo_b("clone_accuracy", *ablated, seeds=20)
    served = of_demo_b("honest_accuracy", *ablated, seeds=20)
    yield (
        "lab4",
        r"brings the clone from (\.\d+) down to (\.\d+), .* its clone reaches (\.\d+)",
        stolen,
    )
    yield (
        "lab4",
        r"falls from (\.\d+) to (\.\d+) with noise alone, and to (\.\d+) with the stack",
        served,
    )
    rungs = ("none", "reverse sigmoid")
    yield (
        "lab4",
        r"the soft thief went from (\.\d+) to (\.\d+), and the label thief from (\.\d+) to (\.\d+)",
        of_the_course(*((thief, rung) for thief in ("soft", "hard") for rung in rungs)),
    )
    yield (
        "lab4",
        r"with 3,000 answers and over ten seeds, the three get (\.\d+), (\.\d+) and (\.\d+)\.",
        of_the_course(*(("soft", rung) for rung in ("none", "rounding", "top 3"))),
    )
    yield (
        "lab4",
        r"fidelity of the best falls by (\.\d+) \(some points from (\.\d+)\)",
        [thresholds.LAYERED_DROP.full, thresholds.LAYERED_DROP.some],
    )
    yield (
        "lab4",
        r"fidelity of their best attempt falls by (\.\d+) \(some points from (\.\d+)\)",
        [thresholds.LAYERED_READ.full, thresholds.LAYERED_READ.some],
    )
    yield "lab4", r"honest accuracy may fall by (\.\d+) at most", [thresholds.HONEST_LOSS]
    yield (
        "lab4",
        r"leaves (\d+) % of the answers",
        [100 * value for value in of_demo_b("query_success", "rate limit alone", seeds=20)],
    )
    yield (
        "lab5",
        r"demo A's grey clothes \| \| --- \| ---: \| ---: \| ---: \|"
        + (r" \|[^|]*" + r"\| (\d+) % " * 3 + r"\|") * 6,
        [
            float(share)
            for row in detectors.table(stored("detectors")).splitlines()[2:]
            for share in re.findall(r"(\d+) %", row)
        ],
    )
    lies = stored("lies_by_query")
    yield (
        "lab5",
        r"from 6,000 queries the copying thief has (\.\d+), where the oracle .*? has (\.\d+) from "
        r"3,000 \(and (\.\d+) from 6,000\)",
        [
            np.mean(lies_by_query.values(lies, *one))
            for one in (
                ("one a picture", 6_000, lies_by_query.COPYING),
                (lies_by_query.ANY, 3_000, lies_by_query.ORACLE),
                (lies_by_query.ANY, 6_000, lies_by_query.ORACLE),
            )
        ],
    )
    mixed, half_of_ten = stored("blended_queries"), (10, 0.5)
    yield (
        "lab5",
        r"only (\d+) % of these queries are flagged\. Believing every answer then gives (\.\d+) "
        r"behind eight cells, where shapes alone give (\.\d+) \(a measurement of its own\)\. "
        r"That is no gain yet, since the ten pictures alone give (\.\d+)",
        [
            100 * np.mean(blended_queries.values(mixed, *half_of_ten, "flagged")),
            np.mean(blended_queries.values(mixed, *half_of_ten, blended_queries.UNAWARE)),
            np.mean(blended_queries.values(mixed, 0, 0.0, blended_queries.UNAWARE)),
            np.mean(blended_queries.values(mixed, 10, 1.0, blended_queries.UNAWARE)),
        ],
    )
    yield (
        "lab5",
        r"gives a clone with an accuracy of (\.\d+) \(two runs; "
        r"(\.\d+) without a defence",
        [
            np.mean(demo_a.values(stored("demo_a"), *one))
            for one in ((demo_a.TRICKSTER, demo_a.BLENDING), ("no defence", demo_a.BLENDING))
        ],
    )
    yield (
        "lab5",
        r"\| fresh shapes \| (\.\d+) \| \| the other pool \| (\.\d+) \| \|.*?\) \| (\.\d+) \|",
        [bar.full for bar in (thresholds.KNOWING_SHAPES, thresholds.KNOWING_HIDDEN)]
        + [thresholds.ORACLE.full],
    )
    (lab_3,) = (ROOT / "solutions").glob("lab3_*/*.ipynb")
    printed = re.search(r"un-lier +fidelity (\d\.\d+)", lab_3.read_text(encoding="utf-8"))[1]
    yield "lab5", r"Lab 3's un-lier had (\.\d+)", [float(printed)]
    yield (
        "lab5",
        r"of the answers that they leave, only (\d+) % are true",
        [100 * np.mean(lies_by_query.values(lies, "64 cells", 3_000, lies_by_query.FAR, "true"))],
    )
    theft = stored("exact_theft")
    one_short = 100 * exact_theft.values(theft, "fidelity", "softmax", 784)
    yield (
        "lab6",
        r"with other noise, for (\d+\.\d) % to (\d+\.\d) %",
        [one_short.min(), one_short.max()],
    )
    four_decimals = exact_theft.values(theft, "solved", "rounding", 4, 65)
    yield (
        "lab6",
        r"five other draws of noise gave (\.\d+) to (\.\d+)",
        [four_decimals.min(), four_decimals.max()],
    )
    by_steps = theft, "error", "fixed_steps", 1.0
    yield (
        "lab6",
        r"raise a less likely B by 1.*? reads all logits of a prompt with an error of (\.\d+)",
        [exact_theft.values(*by_steps).mean()],
    )
    bar = thresholds.SPENT_GAIN
    yield (
        "lab2",
        r"\| fidelity \|"
        + 6 * r" (\.\d+) \|"
        + r".*? without points, at (\.\d+), (\.\d+) and (\.\d+)",
        [*thresholds.STOLEN_FIDELITY.rungs, *thresholds.STOLEN_STARS],
    )
    yield (
        "lab3",
        r"\| (\.\d+) \| 2 \| \| (\.\d+) more than .*? \| 4 \| # \(A lead of (\.\d+) to",
        [thresholds.SPENT_BETTER, bar.full, bar.some],
    )


@pytest.mark.parametrize(
    ("lab", "words", "figures"), list(quotes()), ids=lambda value: str(value)[:40]
)
def test_the_labs_quote_what_was_measured(lab, words, figures):
    (source,) = (ROOT / "solutions").glob(f"{lab}_*/{lab}_*.py")
    text = " ".join(line.removeprefix("# ") for line in source.read_text("utf-8").splitlines())
    found = re.search(words, " ".join(text.split()), re.IGNORECASE)
    assert found, f"{source.name} no longer says {words}"
    for text, figure in zip(found.groups(), figures, strict=True):
        digits = len(text.partition(".")[2])
        assert abs(float(text) - figure) <= 0.6 * 10.0**-digits, words  # ".92" may be .925


def test_the_page_on_the_demonstrations_quotes_them_and_lab_3():
    text = " ".join((ROOT / "docs" / "demos.md").read_text(encoding="utf-8").split())
    (executed,) = (ROOT / "solutions").glob("lab3_*/lab3_*.ipynb")
    cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    outputs = (out for cell in cells for out in cell.get("outputs", []) if "text" in out)
    printed = "".join(line for out in outputs for line in out["text"])
    attack = re.search(r"(\.\d+) from your attack", printed)[1]
    thieves = ("undefended", "does not know", "un-lier")
    known = [re.search(rf"^{name} +fidelity 0(\.\d+)", printed, re.M)[1] for name in thieves]
    demo_b_s = [demo_b.PUBLISHED[name] for name in ("no defence", "all five")]
    a = stored("demo_a")

    def on_demo_a(*thieves: str, condition: str = demo_a.TRICKSTER) -> list[float]:
        return [round(np.mean(demo_a.values(a, condition, thief)), 3) for thief in thieves]

    lies = stored("lies_by_query")
    walking = knowing_thieves.with_clone(lies_by_query.WALKING, knowing_thieves.LAB_2)
    with_lab_2_s = round(np.mean(lies_by_query.values(lies, "8 cells", 3_000, walking)), 3)
    assert lies_by_query.best(lies, "512 cells", 3_000) == lies_by_query.UNAWARE
    true = lies_by_query.values(lies, "one a picture", 3_000, lies_by_query.COPYING, "true")
    assert np.mean(true) > 0.98  # "recognises nearly every lie"
    # "little more than a guess (.10)"; "somewhat more"; "the best theft without a defence"
    guessing = on_demo_a(demo_a.NAIVE, demo_a.UNLIER, demo_a.SMALL_LOSS, demo_a.COPYING)
    (walking,) = on_demo_a(demo_a.WALKING)
    assert max(*guessing, *on_demo_a(demo_a.COLOURING)) < 0.15 and max(guessing) < walking < 0.2
    blended, coloured = on_demo_a(*demo_a.CHANGING, condition="no defence")
    assert coloured > max(blended, *on_demo_a(demo_a.NAIVE, condition="no defence"))
    # "passes more often, and brings more"; "help more against colours"; "nearly as good a clone"
    changed = {who: np.mean(demo_a.flagged_of(a, who)) for who in demo_a.CHANGING}
    caught = dict(a)[(demo_a.TRICKSTER, demo_a.HONEST, 0)]["flagged"]
    assert changed[demo_a.BLENDING] < min(changed[demo_a.COLOURING], caught["thief"])
    assert on_demo_a(demo_a.BLENDING)[0] > walking
    assert abs(on_demo_a(demo_a.ORACLE)[0] - summary.rows()[0].before.mean) < 0.03
    noise, _, b = summary.rows()[:3]
    mixed, unaware = stored("blended_queries"), blended_queries.UNAWARE
    on_lab_5_s = [
        round(np.mean(blended_queries.values(mixed, *mixture, what)), 2 if what == "flagged" else 3)
        * (100 if what == "flagged" else 1)
        for mixture, what in (
            ((1, 0.25), "flagged"),
            ((1, 0.25), unaware),
            ((0, 0.0), unaware),
            ((10, 0.5), "flagged"),
            ((10, 0.5), unaware),
            ((10, 1.0), unaware),
        )
    ]
    lost = [row.real.before.mean - row.real.after.mean for row in summary.rows()[3:]]
    knowing, ten = stored("knowing_thieves"), knowing_thieves.MANY_ACCOUNTS
    behind = [(name, knowing_thieves.NAIVE) for name in ("none", "Trickster", "keyed lies")]
    behind.insert(2, ("layered", ten))
    clones = [
        round(np.mean(knowing_thieves.values(knowing, defense, who)), 3)
        for defense, thief in behind
        for who in (thief, knowing_thieves.with_clone(thief, knowing_thieves.LONG))
    ]
    for words, figures in (
        (r"under the defence, from (\.\d+) to (\.\d+)", demo_a.PUBLISHED.values()),
        (r"a fall from (\.\d+) to (\.\d+)", demo_b_s),
        (r"take (\.\d+) to (\.\d+) from the best", [round(min(lost), 2), round(max(lost), 2)]),
        (r"loses (\.\d+) of its fidelity behind", [attack]),
        (
            r"\| undefended \| (\.\d+) \| (\.\d+) \| .*? (\.\d+) \| (\.\d+) \| .*? "
            r"(\.\d+) \| (\.\d+) \| .*? (\.\d+) \| (\.\d+) \| \*\*Real pictures",
            clones,
        ),
        (r"(\.\d+) undefended, (\.\d+) for a thief .* (\.\d+) for the one who does", known),
        (r"level with the oracle \((\.\d+) with lab 2's clone\)", [with_lab_2_s]),
        (
            r"quarter of one picture of clothes in each shape, (\d+) % of .* fidelity of (\.\d+) "
            r"\((\.\d+) from plain shapes\); with half of one of ten pictures (\d+) % are, and it "
            r"gets (\.\d+)\. The ten pictures alone, sent without any shape, give (\.\d+)",
            on_lab_5_s,
        ),
        (
            r"takes nothing: (\.\d+) → (\.\d+)\.",
            [round(one.mean, 3) for one in (noise.before, noise.naive)],
        ),
        (
            r"claims (\.\d+) → (\.\d+)\. Over thirty seeds it is (\.\d+) → (\.\d+), and "
            r"(\.\d+) for",
            [*b.claimed, *(round(one.mean, 3) for one in (b.before, b.naive, b.knows.after))],
        ),
        (
            r"all of whose queries are answered, bring (\.\d+)",
            [round(mean_of("demo_b", "clone_accuracy", "all five, against two accounts"), 3)],
        ),
    ):
        quoted = re.search(words, text)
        assert quoted, words
        numbers = [float(one.replace(",", "")) for one in quoted.groups()]
        assert numbers == list(map(float, figures)), words


def test_the_cluster_guide_says_how_many_cores_one_head_keeps_busy():
    text = " ".join((ROOT / "docs" / "cluster.md").read_text(encoding="utf-8").split())
    stored = class_scale.section(store.stored_results(class_scale))
    most = int(re.search(r"more than (\d+) workers are of no use", stored)[1])
    assert f"one head keeps about {most} cores busy, and more are of no use" in text
    machines = round(most / class_scale.CORES)
    assert machines == 7 and "up to about seven of that size" in text
    assert f"scale(jobs={machines}) # {machines * class_scale.CORES} notebooks at once" in text
    assert f"--array=1-{machines} " in text
