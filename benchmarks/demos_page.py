"""The two tables of ``docs/demos.md``, made of stored results by ``results.py``.

Means alone, of what RESULTS.md has with intervals; nothing is measured here.
"""

from __future__ import annotations

import numpy as np

from benchmarks import demo_a, lies_by_query
from benchmarks.course_defenses import BUDGET
from benchmarks.formatting import markdown_table, short
from benchmarks.store import stored_results

LIES = (lies_by_query.COURSE, lies_by_query.FINER, "one a picture")
CALLED = {
    lies_by_query.UNAWARE: "unaware: believes every answer",
    "un-lier": "un-lier: puts reversed answers right",
    "small loss": "small loss: leaves out what a first clone finds unlikely",
    lies_by_query.WALKING: "walking: reads off the permutations along lines, and undoes them",
    lies_by_query.COPYING: "copying: asks about each picture twice",
    demo_a.BLENDING: "blending: mixes one real picture into each, half and half",
    demo_a.COLOURING: "colouring: mixes random colours into each, half and half",
    "oracle, blending": "oracle, whose pictures are blended likewise",
    "oracle, colouring": "oracle, whose pictures are coloured likewise",
    lies_by_query.FAR: "copying, farther: asks about more and noisier copies",
    lies_by_query.ELIMINATING: "eliminating: asks about 24 copies of each picture",
    lies_by_query.ORACLE: "oracle: is told which answers are lies",
    "one a picture": "one permutation a picture",
}


def tables() -> dict[str, str]:
    """Each table by the name of its block in the page; those that are not measured are left out."""
    made = {"thieves on demo A": _demo_a(), "thieves who probe": _probing()}
    return {name: table for name, table in made.items() if table}


def _mean(values: list[float]) -> str:
    """A number with one seed says so."""
    return short(np.mean(values)) + " (one run)" * (len(values) == 1) if values else ""


def _demo_a() -> str:
    results = stored_results(demo_a)
    oracles = (demo_a.ORACLE, *demo_a.ORACLES)
    whose = (demo_a.NAIVE, *demo_a.KNOWING, *oracles, demo_a.REAL_PICTURES, demo_a.HONEST)
    rows = [
        (CALLED.get(who, who), *(_mean(demo_a.values(results, c, who)) for c in demo_a.CONDITIONS))
        for who in whose
    ]
    head = ("Accuracy", "undefended", "demo A's noise", f"keyed lies, {2**demo_a.PLANES} cells")
    return markdown_table(head, rows) if results else ""


def _probing() -> str:
    results = stored_results(lies_by_query)

    def mean(kind: str, thief: str) -> str:
        return _mean(lies_by_query.values(results, kind, BUDGET, thief))

    rows = [
        (CALLED[thief], *(mean(kind, thief) for kind in LIES))
        for thief in (lies_by_query.UNAWARE, *lies_by_query.ASKING)
    ]
    for name, thief in (
        (CALLED[lies_by_query.ORACLE], lies_by_query.ORACLE),
        ("for comparison: without a defence", lies_by_query.UNDEFENDED),
    ):
        rows.append((name, *[mean(lies_by_query.ANY, thief)] * len(LIES)))
    head = ("Fidelity", *(CALLED.get(kind, kind) for kind in LIES))
    return markdown_table(head, rows) if results else ""
