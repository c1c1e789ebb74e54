"""What the model answer to lab 2's stars gets, and what each of its changes brings.

python -m benchmarks.star_answers              # 5 secrets, five minutes on two cores
python -m benchmarks.star_answers --secrets 1
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

from functools import cache
from typing import Any

import numpy as np

from autograder import held_back
from autograder.authoring.self_study import starred_answers
from autograder.authoring.source import build_notebook
from autograder.course import pick_labs, read_course
from benchmarks import answers, cli
from benchmarks.formatting import low_to_high, markdown_table, plural, short
from benchmarks.store import ROOT, Job, Measurement, Results
from trickster import evaluation
from trickster.checks import clone_cases, draws, lab2, thresholds
from trickster.scenario import Scenario

PART = "star_answers"
CHECK, SHIPPED = "check", "shipped victim"
ALL_PIXELS = "all pixels, 80 epochs"
THIEVES: dict[str, dict[str, Any]] = {
    ALL_PIXELS: {"side": 1, "epochs": 80, "mirror": False},
    "4x4 squares, 80 epochs": {"epochs": 80, "mirror": False},
    "4x4 squares, 200 epochs": {"mirror": False},
    (MODEL_ANSWER := "the model answer: also half of the shapes mirrored"): {},
}
AGAINST_SHIPPED = {name: THIEVES[name] for name in (ALL_PIXELS, MODEL_ANSWER)}
SEEDS = (1, 2, 3)


@cache
def model_answer() -> Any:
    """`steal` of the model answer, with the reference's `collect` and `train_clone`."""
    (lab,) = pick_labs(ROOT, ["lab2"])
    names = answers.solution("lab2")
    cells = starred_answers(lab, build_notebook(lab, read_course(ROOT)))["steal_test"]
    for cell in cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "lab2:stars", "exec"), names)
    return names["steal"]


def run(job: Job) -> Measurement:
    """The thefts of one check with a secret, or those from the shipped victim with three seeds."""
    where, thief, number = job
    began = time.process_time()
    if where == CHECK:
        how = THIEVES[thief]
        with draws.grading_with(bytes([number + 1]) * 16, held_back.load()):
            found = [
                clone_cases.one_theft(
                    lambda *given, seed: model_answer()(*given, seed=seed, **how),
                    lab2.STEAL_BUDGET,
                    i,
                ).fidelity
                for i in lab2.THEFTS
            ]
    else:
        found = [_from_the_shipped_victim(AGAINST_SHIPPED[thief], seed) for seed in SEEDS]
    seconds = (time.process_time() - began) / len(found)
    return {"fidelity": float(np.mean(found)), "seconds": seconds}


def _from_the_shipped_victim(how: dict[str, Any], seed: int) -> float:
    """The fidelity of a clone of the labs' own victim, as lab 2 measures it."""
    scenario = Scenario("fashion")
    budget = lab2.STEAL_BUDGET
    pools = {"shapes": scenario.pool("shapes", budget, seed=seed)}
    client = scenario.api(budget=budget).client("thief")
    clone = model_answer()(client, pools, budget, seed=seed, **how)
    x = scenario.data.x_test
    return evaluation.fidelity(clone(x), scenario.victim.labels(x))


def section(results: Results) -> str:
    """The tables, as Markdown."""
    rows = []
    for name in THIEVES:
        runs = [one for job, one in results if job[:2] == (CHECK, name)]
        values = [one["fidelity"] for one in runs]
        stars = [sum(value >= star for star in thresholds.STOLEN_STARS) for value in values]
        rows.append(
            (
                name,
                short(float(np.mean(values))),
                low_to_high(short(min(values)), short(max(values))),
                low_to_high(str(min(stars)), str(max(stars))),
                f"{max(one['seconds'] for one in runs):.0f}",
            )
        )
    shipped = {job[1]: short(one["fidelity"]) for job, one in results if job[0] == SHIPPED}
    secrets = len({job[2] for job, _ in results if job[0] == CHECK})
    head = ("thief", "mean", "range", "stars, of 3", "seconds a theft, of one core")
    return (
        f"Fidelity at exercise 4's check: means over its three services, with "
        f"{plural(secrets, 'secret')}. The model answer is in `solutions/lab2_steal_it/stars.py`; "
        "those who learn alone get it. A thief with 2x2 squares and 80 epochs is below, among the "
        "graded checks (steal: half the size).\n\n"
        f"{markdown_table(head, rows)}\n\n"
        "Against the shipped victim of the labs, three seeds: "
        + "; ".join(f"{name} {value}" for name, value in shipped.items())
        + "."
    )


def jobs(secrets: int = 5) -> list[Job]:
    """Each thief with each secret, and two against the shipped victim."""
    return [(CHECK, name, i) for i in range(secrets) for name in reversed(THIEVES)] + [
        (SHIPPED, name, 0) for name in AGAINST_SHIPPED
    ]


if __name__ == "__main__":
    cli.main(sys.modules[__name__])
