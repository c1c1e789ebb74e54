"""The two tables of ``docs/demos.md``, made of stored results by ``results.py``.

Means alone, of what RESULTS.md has with intervals; nothing is measured here.
"""

from __future__ import annotations

import numpy as np

from benchmarks import demo_a, lies_by_query
from benchmarks.course_defenses import BUDGET
from benchmarks.formatting import markdown_table, plural, short
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
    made = {"thieves on demo A": (demo_a, _demo_a), "thieves who probe": (lies_by_query, _probing)}
    return {name: make() for name, (part, make) in made.items() if stored_results(part)}


def _mean(values: list[float]) -> str:
    """A number with one seed says so."""
    return short(np.mean(values)) + " (one run)" * (len(values) == 1) if values else ""


def _demo_a() -> str:
    """For every defence and thief, undefended and defended, with the same seeds in both."""
    results = stored_results(demo_a)
    none, noise, ours = demo_a.CONDITIONS
    oracles = (demo_a.ORACLE, *demo_a.ORACLES)
    thieves = (demo_a.NAIVE, *demo_a.KNOWING, *oracles, demo_a.REAL_PICTURES, demo_a.HONEST)
    own = (*demo_a.CHANGING, demo_a.REAL_PICTURES, demo_a.HONEST)  # pictures, undefended

    def row(condition: str, who: str) -> tuple:
        after = {job[2]: r["accuracy"] for job, r in results if job[:2] == (condition, who)}
        sender = demo_a.ORACLES.get(who, who if who in own else demo_a.NAIVE)
        alike = [one for one in results if one[0][2] in after]
        before = demo_a.values(alike, none, sender)
        return (
            CALLED.get(who, who),
            short(np.mean(before)),
            short(np.mean([*after.values()])),
            len(after),
        )

    rows = [
        ("**Demo A's noise**", "", "", ""),
        row(noise, demo_a.NAIVE),
        (f"**Keyed lies, {2**demo_a.PLANES} cells**", "", "", ""),
        *(row(ours, who) for who in thieves),
    ]
    head = ("Accuracy", "undefended", "defended", "seeds")
    return f"{markdown_table(head, rows)}\n\n{_flagged()}\n\n{_taken()}"


def _flagged() -> str:
    """One sentence on how many of each kind of query the keyed lies' detector flags."""
    results = stored_results(demo_a)
    found = next(r["flagged"] for job, r in results if job[:2] == (demo_a.TRICKSTER, demo_a.HONEST))
    sent = {"plain clothes": found["thief"]}
    sent |= {
        f"the {who} thief's queries": np.mean(demo_a.flagged_of(results, who))
        for who in demo_a.CHANGING
    }
    others = {what: share for what, share in found.items() if what not in ("thief", "honest")}
    told, further = (
        ", ".join(f"{what} {100 * share:.0f} %" for what, share in shares.items())
        for shares in (sent, others)
    )
    return (
        f"*Flagged by the detector*: of {told}; of clothes changed in ways that no thief here "
        f"used, {further}; of honest pictures {100 * found['honest']:.1f} %."
    )


def _taken() -> str:
    """One sentence on what the keyed lies leave to the best thief of each kind."""
    results, none, ours = stored_results(demo_a), *list(demo_a.CONDITIONS)[::2]

    def best(condition: str, *thieves: str) -> str:
        found = filter(None, (demo_a.values(results, condition, thief) for thief in thieves))
        most = max(found, key=np.mean)
        return f"{short(np.mean(most))} ({plural(len(most), 'run')})"

    before = best(none, demo_a.NAIVE, *demo_a.CHANGING)
    after = best(ours, demo_a.NAIVE, *demo_a.KNOWING)
    told = best(ours, demo_a.ORACLE, *demo_a.ORACLES)
    return (
        f"*Taken by the keyed lies* from the best thief with at most one photograph: "
        f"{before} → {after}; from the best who is told which answers are lies: "
        f"{before} → {told}."
    )


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
    return markdown_table(head, rows)
