"""What lab 5 tries with outliers made from honest pictures, and with a detector trained on them.

The detector scores honest pictures and thieves' pictures together, mixed, and never hears which
are which. Each function decides one part of the check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster.checks import draws, fixtures, traffic
from trickster.checks.distributions import given_read_only
from trickster.checks.result import Missed, NotMeasured, Part
from trickster.checks.thresholds import Threshold
from trickster.checks.unlying_cases import NAME, ROWS
from trickster.checks.values import array

Make = Callable[[np.ndarray, int], Any]
Score = Callable[[np.ndarray], Any]
GIVEN = 200  # honest pictures that outliers are made from
COPIES, LOOKED_AT = 60, 60  # of two pictures, to count kinds; outliers compared with moved pictures
FLAGGED = 0.02  # of honest pictures
SAME, FEW = 0.01, 0.05  # mean difference of two pictures; share that may be no outliers
ITSELF = 1e-3  # mean difference that rounding may make
FEWEST = 50  # different scores
FINDS = 0.5  # of the shapes; lab 3's nearest neighbour flags .6
STEADY, UNSTEADY = 1e-3, 0.001  # of the scores' spread; of the inputs: rounding may cost that much


def statistics(x: np.ndarray) -> np.ndarray:
    """What a detector is given of pictures: the victim's statistics of all layers, ``(n, 322)``."""
    return np.hstack(list(fixtures.victim().statistics(x).values()))


# --- outliers -------------------------------------------------------------------------------


def other_pictures(part: Part, make_outliers: Make) -> None:
    """As many as were given, in range, none of them honest, of more than one kind."""
    rng = draws.rng("outliers")
    honest = fixtures.honest_pictures().x[rng.permutation(2_000)[:GIVEN]]
    seed = draws.seed("outliers")
    made = given_read_only(make_outliers, "make_outliers", honest, seed, what="honest pictures")
    found = array(made, "make_outliers", (None, *honest.shape[1:]))
    if len(found) < GIVEN:
        raise Missed(
            f"make_outliers returned shape {found.shape}: of {GIVEN} honest pictures it makes "
            f"{GIVEN} outliers or more."
        )
    if found.min() < -1e-6 or found.max() > 1 + 1e-6:
        raise Missed(
            f"Pixels lie in [0, 1]; these run from {found.min():.7g} to {found.max():.7g}."
        )
    honest_too = _nearest(found, honest) < SAME
    repeated = len(found) - len(np.unique(found.round(4).reshape(len(found), -1), axis=0))
    darkest = float(found.std(axis=(1, 2, 3)).min())
    if darkest > 0:
        _must_come_from_honest(make_outliers, honest, found)
    part.expect(
        honest_too.mean() <= FEW and repeated <= FEW * len(found) and darkest > 0,
        f"{len(found):,} pictures, of which {honest_too.mean():.1%} are honest ones hardly "
        f"changed and {repeated} are repeated",
        f"at most {FEW:.0%} hardly changed, at most {FEW:.0%} repeated, none of a single grey",
        "0.5% and 0",
        "An outlier must not be an honest picture: the detector would learn to call customers "
        "weird. Overlay and paste two different pictures, and put tiles in another order."
        if honest_too.mean() > FEW
        else "Make every outlier from other pictures or in another way, and leave none empty.",
    )
    if part.share:
        _must_be_of_several_kinds(make_outliers, honest, found)


def _must_come_from_honest(make_outliers: Make, honest: np.ndarray, found: np.ndarray) -> None:
    """Noise is weird as well, but anybody can make it, and it is not what is asked for here."""
    seed = draws.seed("outliers")
    again, others = (
        array(make_outliers(given.copy(), seed), "make_outliers", found.shape)
        for given in (honest, 1 - honest)
    )
    if not np.array_equal(again, found):
        raise Missed(
            "the same pictures and the same seed must give the same outliers: take everything "
            "random from np.random.default_rng(seed)."
        )
    same = float(np.mean(np.abs(others - found).mean(axis=(1, 2, 3)) < SAME))
    if same > 0.5:
        raise Missed(
            f"{same:.0%} of the outliers stay the same when the honest pictures are others: most "
            "must be made from the pictures that make_outliers is given."
        )


def _must_be_of_several_kinds(make_outliers: Make, honest: np.ndarray, found: np.ndarray) -> None:
    """Two pictures, each many times: of one kind, few different outliers come of them."""
    rng = draws.rng("outliers", "kinds")
    two = honest[:2]
    made = array(
        make_outliers(two[rng.permutation(np.arange(COPIES) % 2)], draws.seed("outliers")),
        "make_outliers",
        (None, *honest.shape[1:]),
    )
    different = np.unique(made.round(3).reshape(len(made), -1), axis=0)
    # Who puts two pictures together sometimes puts the same one together with itself.
    themselves = _nearest(different, two) < ITSELF
    if (~themselves).sum() <= (1 if themselves.any() else 2):
        raise Missed(
            f"{COPIES} pictures, of which only two differ, became {len(different)} different "
            "outliers, as if all were of one kind: make several kinds, and take one of them for "
            "each picture."
        )
    # To a customer's camera, these are the same pictures.
    moved = [np.roll(honest, by, axis) for by in (-2, -1, 1, 2) for axis in (2, 3)]
    alike = float(
        (_nearest(found[:LOOKED_AT], np.concatenate([honest[..., ::-1], *moved])) < SAME).mean()
    )
    if alike > 0.5:
        raise Missed(
            f"{alike:.0%} of the outliers are honest pictures, mirrored or moved by a pixel or "
            "two: the detector would learn to call customers weird."
        )


def _nearest(found: np.ndarray, honest: np.ndarray) -> np.ndarray:
    """The mean difference of each picture's pixels from those of the most similar honest one."""
    flat = honest.reshape(len(honest), -1)
    return np.array([np.abs(flat - one.ravel()).mean(axis=1).min() for one in found])


# --- the detector ---------------------------------------------------------------------------


class Scored(NamedTuple):
    """Scores of all pictures, by whose they are, and the share that moved in other company."""

    groups: dict[str, np.ndarray]
    moved: float
    random: bool  # whether one request got other scores when it was sent again

    @property
    def values(self) -> int:
        """How many different scores there are."""
        return len(np.unique(np.concatenate(list(self.groups.values()))))

    def flagged(self, group: str) -> float:
        """The share below the score that 2 % of the honest pictures lie below."""
        return float(np.mean(self.groups[group] < np.quantile(self.groups["honest"], FLAGGED)))


def try_out(score: Score) -> Scored:
    """Scores in requests of all sizes that hold everybody's pictures; a third of them twice."""
    rng = draws.rng("detector")
    pools = {
        "honest": fixtures.honest_users().x,
        **{kind: fixtures.answered(kind, ROWS, NAME).x for kind in ("shapes", "hidden")},
    }
    group = np.repeat(list(pools), [len(x) for x in pools.values()])
    rows = statistics(np.concatenate(list(pools.values())))
    scores, again = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    sizes = traffic.log_uniform(rng, 16, 800)
    for lot in traffic.lots(rng, np.arange(len(rows)), sizes):
        scores[lot] = _scores(score, rows[lot])
    random = not np.array_equal(_scores(score, rows[lot]), scores[lot])
    third = rng.permutation(len(rows))[: len(rows) // 3]
    for lot in [third[:1], third[1:2], *traffic.lots(rng, third[2:], sizes)]:
        again[lot] = _scores(score, rows[lot])
    spread = max(float(scores.std()), 1e-12)
    moved = float(np.mean(np.abs(again[third] - scores[third]) > STEADY * spread))
    return Scored({name: scores[group == name] for name in pools}, moved, random)


def _scores(score: Score, rows: np.ndarray) -> np.ndarray:
    found = array(score(rows.copy()), "score", (len(rows),))
    return found


def steady(part: Part, scored: Scored) -> None:
    """One input at a time; and the scores tell inputs apart at all."""
    if scored.values < FEWEST:
        raise Missed(
            f"There are {scored.values} different scores for "
            f"{sum(map(len, scored.groups.values())):,} inputs: a threshold needs finer ones. "
            "Return decision_function or the log odds, not the predicted class."
        )
    if scored.moved <= UNSTEADY and scored.flagged("shapes") < FINDS:
        raise Missed(
            f"{scored.flagged('shapes'):.0%} of the shapes are flagged where {FLAGGED:.0%} of "
            "honest pictures are (lab 3's score: about 60%). These scores detect too little for "
            "their other properties to count."
        )
    part.expect(
        scored.moved <= UNSTEADY,
        f"asked again beside other inputs, {scored.moved:.1%} of the scores move",
        f"at most {UNSTEADY:.1%}, which rounding may cost",
        "0.0%",
        "The same inputs get other scores when asked again: draw nothing at random."
        if scored.random
        else "A score must not depend on what else is in the batch: fit scales and means once, "
        "before.",
    )


def must_leave_its_inputs(score: Score) -> None:
    """Raises :class:`Missed` for a score that writes into the statistics that it is given."""
    rows = statistics(fixtures.honest_users().x[:COPIES])
    given_read_only(score, "score", rows, what="statistics")


def must_be_scored(scored: Scored | None) -> Scored:
    if scored is None:
        raise NotMeasured("score gave nothing to measure, see above.")
    return scored


def caught(part: Part, scored: Scored, group: str, bar: Threshold) -> None:
    """Award the share of a pool that is flagged where 2 % of honest pictures are."""
    share = scored.flagged(group)
    if scored.values < FEWEST and bar.share(share) < 1:
        raise NotMeasured("there are too few different scores for a threshold, see above.")
    part.award(
        bar.share(share),
        f"{share:.1%} flagged, at the score below which {FLAGGED:.0%} of honest pictures lie",
        f"at least {bar.full:.0%} (some points from {bar.some:.0%})",
        bar.usual,
        _why_few(scored, share, group),
        value=share,
    )


def _why_few(scored: Scored, share: float, group: str) -> str:
    higher = float(np.mean(scored.groups[group] > np.median(scored.groups["honest"])))
    if higher > 0.8:
        return "The sign is wrong: scores are higher for normal inputs."
    other = scored.flagged("shapes")
    if group == "hidden" and other - share > 0.4:
        return (
            f"It catches {other:.0%} of the shapes and much less of what it has not seen: the "
            "outliers should be of many kinds, and none of them a thief's."
        )
    return (
        "Show it more outliers of more kinds (turned, overlaid, pasted, tiles shuffled, halves "
        "inverted, noise), as many as honest pictures, and all statistics, not only the features. "
        "And decision_function is high for the class labelled 1: those are the honest pictures."
    )
