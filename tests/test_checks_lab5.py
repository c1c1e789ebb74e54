"""Lab 5's checks: right answers of several kinds pass, and each wrong one is named."""

import re

import numpy as np
import pytest
from drawn import the_same, under_a_secret, under_secrets
from reading import in_words
from reference import ROOT

from autograder.course import pick_labs
from benchmarks import asking_answers
from trickster import adaptive_attacks, defenses, ood, pools, probing, withheld
from trickster.api import Query
from trickster.checks import (
    fixtures,
    keyed_cases,
    knowing_cases,
    lab3,
    lab5,
    outlier_cases,
    probing_cases,
)
from trickster.checks.panel import Pool
from trickster.checks.result import SAME, Missed, Sheet
from trickster.checks.traffic import Crowd
from trickster.scenario import Scenario

pytestmark = pytest.mark.usefixtures("library_answers")
FEATURES = slice(-128, None)
UNANSWERED = "unlie gave nothing to measure, see above."


# --- exercise 1 ---------------------------------------------------------------------


def by_the_library(told, undone, seed):
    return adaptive_attacks.unlie(told, [lambda _: undone], seed=seed).answers


def by_a_coin(told, undone, seed):
    return np.where(np.random.default_rng(seed).random((len(told), 1)) < 0.5, told, undone)


def by_confidence(told, undone, seed):
    return np.where((told.max(axis=1) >= undone.max(axis=1))[:, None], told, undone)


def the_wrong_ones(told, undone, seed):
    right = by_the_library(told, undone, seed)
    return np.where(np.all(right == told, axis=1)[:, None], undone, told)


def into_the_answers(told, undone, seed):
    told[:] = by_the_library(told, undone, seed)
    return told


def into_the_undone(told, undone, seed):
    undone[:] = by_the_library(told, undone, seed)
    return undone


def from_any_start(told, undone, seed):
    return by_the_library(told, undone, int(np.random.default_rng().integers(2**31)))


def as_lab_3_lied(told, undone, seed):
    return by_the_library(told, defenses.misinform(told), seed)


@pytest.mark.thorough
@pytest.mark.slow
def test_unlie_right_ways():
    for right in (by_the_library, lambda *given: by_the_library(*given).tolist()):
        assert lab5.unlie(right) == 3.0


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (lambda told, undone, seed: told, 0, "Every row got the same version"),
        (lambda told, undone, seed: undone, 0, "Every row got the same version"),
        (lambda told, undone, seed: (told + undone) / 2, 0, "Choose a version for each row"),
        (lambda *given: by_the_library(*given)[::-1], 0, "Rows keep their places"),
        (by_a_coin, 1, "The clouds have not settled"),
        (the_wrong_ones, 1, "is the more likely one taken?"),
        (lambda told, undone, seed: told[0], 0, "returned shape"),
        (by_confidence, 0, "Every row got the same version"),
        (lambda told, undone, seed: None, 0, "Does it end with a return"),
        (into_the_answers, 2, "unlie writes into the answers"),
        (into_the_undone, 2, "unlie writes into the undone answers"),
        (from_any_start, 2, "the same seed must give the same rows"),
        (as_lab_3_lied, 2, "Use the argument undone"),
    ],
)
def test_unlie_wrong_ways_are_named(wrong, points, words):
    result = lab5.unlie(wrong)
    assert result == points
    assert words in in_words(result)
    if not points:  # nothing else is blamed for it
        assert {part.advice for part in result.parts[1:]} <= {SAME, UNANSWERED}


# --- exercise 2 ---------------------------------------------------------------------


def kept(loss, keep):
    return np.argsort(loss)[: round(keep * len(loss))]


def cross_entropy(answers, likely):
    return -(answers * np.log(np.maximum(likely, 1e-12))).sum(axis=1)


def test_small_loss_right_ways():
    for right in (
        lambda a, q, keep: kept(cross_entropy(a, q), keep),
        lambda a, q, keep: np.sort(kept(cross_entropy(a, q), keep)).astype(float),
        lambda a, q, keep: kept(cross_entropy(a, q), keep)[::-1].tolist(),
    ):
        assert the_same(under_secrets(lab5.small_loss, right)) == 2.0


def top_class(a, q):
    return -np.log(np.maximum(q[np.arange(len(a)), a.argmax(axis=1)], 1e-12))


def kullback_leibler(a, q, keep):
    ratios = np.maximum(a, 1e-12) / np.maximum(q, 1e-12)
    return kept((a * np.log(ratios)).sum(axis=1), keep)


def no_clipping(a, q, keep):
    with np.errstate(all="ignore"):
        return kept(-(a * np.log(q)).sum(axis=1), keep)


def into_the_answers_too(a, q, keep):
    a *= np.log(np.maximum(q, 1e-12))
    return kept(-a.sum(axis=1), keep)


def into_the_clone(a, q, keep):
    q[q == 0] = 1e-12
    return kept(cross_entropy(a, q), keep)


@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (lambda a, q, keep: kept(-cross_entropy(a, q), keep), 0, "the clone fits worst"),
        (lambda a, q, keep: kept(-q.max(axis=1), keep), 0.5, "how sure the clone is"),
        (lambda a, q, keep: kept(top_class(a, q), keep), 0.5, "the top class alone"),
        (lambda a, q, keep: kept(cross_entropy(q, a), keep), 0.5, "have changed places"),
        (no_clipping, 1.5, "has no logarithm"),
        (lambda a, q, keep: kept(cross_entropy(a, q), 0.5), 0.5, "answers with keep="),
        (lambda a, q, keep: cross_entropy(a, q) < 1, 0, "numbers of the rows"),
        (lambda a, q, keep: kept(cross_entropy(a, q), 1 - keep), 0.5, "the share that stays"),
        (lambda a, q, keep: kept(((a - q) ** 2).sum(axis=1), keep), 0.5, "a squared distance"),
        (kullback_leibler, 0.5, "Kullback-Leibler"),
        (lambda a, q, keep: np.zeros(round(keep * len(a))), 0, "none twice"),
        (lambda a, q, keep: kept(cross_entropy(a, q + 1e-3), keep), 0.5, "no further"),
        (lambda a, q, keep: kept(cross_entropy(a, np.maximum(q, 1e-4)), keep), 0.5, "no further"),
        (lambda a, q, keep: kept(q.max(axis=1), keep), 0, "that comes first"),
        (into_the_answers_too, 0.5, "small_loss writes into the answers"),
        (into_the_clone, 0.5, "small_loss writes into the clone's posteriors"),
    ],
)
def test_small_loss_wrong_ways_are_named(wrong, points, words):
    for result in under_a_secret(lab5.small_loss, wrong):
        assert result <= points
        assert words in in_words(result)


# --- exercise 3 ---------------------------------------------------------------------


def all_kinds(honest, seed):
    return pools.outliers(honest, len(honest), seed=seed)


@pytest.fixture(scope="module")
def exposed():
    """A smaller detector than the lab's: trained in seconds, and not as good."""
    shipped = fixtures.fashion().x_train[:4_000]
    weird = np.concatenate([all_kinds(shipped, 0), pools.make("patches", 600, seed=0)])
    rows = [outlier_cases.statistics(fixtures.as_sent(x, "mine")) for x in (shipped, weird)]
    return ood.OutlierExposure.fit(*rows)


def only_noise(honest, seed):
    return np.random.default_rng(seed).random(honest.shape)


def nearest(statistics):
    return ood.score_knn(statistics[:, FEATURES], fixtures.bank(), 1)


def beside(honest):
    return np.roll(honest, 1, axis=0)


def halves(honest, axis):
    first, second = np.split(honest, 2, axis)[0], np.split(beside(honest), 2, axis)[1]
    return np.concatenate([first, second], axis)


def any_of(*kinds):
    def make(honest, seed):
        made = np.stack([kind(honest) for kind in kinds])
        chosen = np.random.default_rng(seed).integers(len(kinds), size=len(honest))
        return made[chosen, np.arange(len(honest))]

    return make


def of_one(kind):
    return lambda honest, seed: kind(honest).copy()


def turned(honest):
    return np.rot90(honest, 1, (2, 3))


def mirrored(honest):
    return honest[..., ::-1]


def overlaid(honest):
    return np.maximum(honest, beside(honest))


def mixed(honest):
    return (honest + beside(honest)) / 2


def to_one_side(honest):
    return np.roll(honest, 2, axis=3)


RIGHT_KINDS = {
    "all": all_kinds,
    "one after the other": lambda honest, seed: np.stack([turned(honest), overlaid(honest)])[
        np.arange(len(honest)) % 2, np.arange(len(honest))
    ],
    "two pictures": any_of(overlaid, mixed, lambda x: halves(x, 2), lambda x: halves(x, 3)),
    "two kinds": any_of(overlaid, mixed),
    "some mirrored": any_of(turned, overlaid, lambda x: halves(x, 3), mirrored),
}


def outliers_of(make):
    """Exercise 3 but for the detector, which takes longer."""
    sheet = Sheet("outliers", 1)
    with sheet.part("outliers", 1) as part:
        outlier_cases.other_pictures(part, make)
    return sheet.result()


@pytest.mark.parametrize("make", RIGHT_KINDS.values(), ids=RIGHT_KINDS)
def test_outliers_of_several_kinds(make):
    assert the_same(under_secrets(outliers_of, make)) == 1.0


def into_the_honest(honest, seed):
    honest[:] = all_kinds(honest, seed)
    return honest


@pytest.mark.parametrize(
    ("make", "words"),
    [
        *[(of_one(kind), "as if all were of one kind") for kind in (turned, mirrored)],
        *[(of_one(kind), "as if all were of one kind") for kind in (mixed, to_one_side)],
        (of_one(lambda honest: 1 - honest), "as if all were of one kind"),
        (any_of(mirrored, to_one_side), "mirrored or moved by a pixel or two"),
        (into_the_honest, "writes into the honest pictures"),
        (lambda honest, seed: 1.001 * all_kinds(honest, seed), "run from 0 to 1.001"),
        (lambda honest, seed: honest, "must not be an honest picture"),
    ],
)
def test_outliers_that_are_none_are_named(make, words):
    for result in under_a_secret(outliers_of, make):
        assert result == 0 and words in in_words(result)


def into_the_statistics(statistics):
    statistics *= 2.0
    return nearest(statistics / 2)


def test_a_score_that_is_wrong_in_one_way_is_told_so():
    rng = np.random.default_rng(0)
    for score, words in (
        (into_the_statistics, "score writes into the statistics"),
        (lambda s: nearest(s) + rng.normal(0, 0.01, len(s)), "draw nothing at random"),
        (lambda s: nearest(s) > 0.9, "too few different scores for a threshold, see above"),
    ):
        result = lab5.detector(RIGHT_KINDS["two kinds"], score)
        assert words in in_words(result)
        assert result.parts[0].share == 1 and result.parts[1].share == 0


@pytest.mark.thorough
@pytest.mark.slow
def test_a_detector_that_was_exposed_to_outliers(exposed):
    result = lab5.detector(all_kinds, exposed)
    assert result >= 3.0 and result.parts[2].share == 1


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "score", "words"),
    [
        (lambda honest, seed: honest, nearest, "must not be an honest picture"),
        (lambda honest, seed: honest[:20], nearest, "outliers or more"),
        (lambda honest, seed: np.stack(200 * [honest]), nearest, "not (n, 1, 28, 28)"),
        (lambda honest, seed: 2 * all_kinds(honest, seed), nearest, "Pixels lie in"),
        (lambda honest, seed: np.zeros_like(honest), nearest, "leave none empty"),
        (only_noise, nearest, "stay the same when the honest pictures are others"),
        (all_kinds, nearest, "more outliers of more kinds"),
        (all_kinds, lambda s: -nearest(s), "The sign is wrong"),
        (all_kinds, lambda s: nearest(s) - nearest(s).mean(), "what else is in the batch"),
        (all_kinds, lambda s: nearest(s) > 0.9, "a threshold needs finer ones"),
        (all_kinds, lambda s: nearest(s)[:, None], "returned shape"),
    ],
)
def test_detector_wrong_ways_are_named(make, score, words):
    result = lab5.detector(make, score)
    assert result <= 3.0
    assert words in in_words(result)


# --- exercise 4 ---------------------------------------------------------------------


def as_cells(planes):
    weird = fixtures.victim().features(pools.outliers(fixtures.fashion().x_train, 500, seed=0))

    def lie(posteriors, features, key):
        found = defenses.CellLie.fit(bytes.fromhex(key), weird, planes)
        return found(posteriors, Query(features, features, "", 0.0))

    return lie


def of_each(posteriors, features, key):
    return defenses.PictureLie(bytes.fromhex(key))(posteriors, Query(features, features, "", 0.0))


@pytest.mark.thorough
@pytest.mark.slow
def test_keyed_lie_right_ways():
    numbers = in_a_notebook("np.random.default_rng([hash(int(one, 16)) for one in key])")
    for right in (as_cells(0), of_each, numbers):  # eight cells: the lab's own, in test_labs.py
        assert lab5.keyed_lie(right) == 3.0


def rolled(by):
    return lambda posteriors, features, key: np.roll(posteriors, by(key), axis=1)


def by_half_of_the_key(posteriors, features, key):
    return as_cells(3)(posteriors, features, key[:32] * 2)


def anywhere(posteriors, features, key):
    rng = np.random.default_rng(int(key, 16))
    return posteriors[:, rng.permutation(10)]


def into_the_input(posteriors, features, key):
    posteriors[:] = np.roll(posteriors, 1 + int(key, 16) % 9, axis=1)
    return posteriors


def into_the_features(posteriors, features, key):
    features -= 1
    return as_cells(3)(posteriors, features, key)


def in_a_notebook(rng):
    """A lie by one permutation, in a notebook's cell."""
    cell = (
        "def lie(posteriors, features, key):\n"
        f"    order, lies = ({rng}).permutation(10), np.empty_like(posteriors)\n"
        "    lies[:, order] = posteriors[:, np.roll(order, 1)]\n"
        "    return lies\n"
    )
    scope = {"np": np}
    exec(compile(cell, "<ipython-input-1>", "exec"), scope)
    return scope["lie"]


def by_chance(posteriors, features, key):
    return np.random.default_rng().permuted(posteriors, axis=1)


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (lambda p, f, key: defenses.misinform(p), 1, "whoever reads your code undoes it"),
        (rolled(lambda key: 3), 2, "whoever reads your code undoes it"),
        (rolled(lambda key: 1 + int(key, 16) % 9), 2, "tries them all"),
        (by_half_of_the_key, 2, "a part of the key that does not count"),
        (anywhere, 0, "must move every class"),
        (by_chance, 0, "depends on the key and on its own input alone"),
        (lambda p, f, key: as_cells(3)(p, f - f.mean(axis=0), key), 0, "in other company"),
        (lambda p, f, key: p, 0, "must move every class"),
        (lambda p, f, key: 2 * p, 0, "no distributions"),
        (lambda p, f, key: np.full_like(p, 0.1), 0, "which shows at a glance"),
        (into_the_input, 0, "keyed_lie writes into the posteriors"),
        (into_the_features, 0, "keyed_lie writes into the features"),
        (in_a_notebook("np.random.default_rng(abs(hash(key)))"), 0, "Python's own hash"),
        (in_a_notebook("np.random.default_rng(abs(hash((1, key.encode()))))"), 0, "own hash"),
    ],
)
def test_keyed_lie_wrong_ways_are_named(wrong, points, words):
    result = lab5.keyed_lie(wrong)
    assert result <= points
    assert words in in_words(result)


def test_the_thief_s_ways_undo_what_they_are_named_after():
    p = np.random.default_rng(0).dirichlet(np.ones(10), size=50)
    lies = [
        defenses.misinform(p),
        keyed_cases.UNDO[1](p),
        *(np.roll(p, i, 1) for i in range(1, 10)),
    ]
    for undo, lie in zip(keyed_cases.UNDO, lies, strict=True):
        assert np.array_equal(undo(lie), p)


# --- exercise 5 ---------------------------------------------------------------------

SMALL = {"budget": 400}  # enough where the words do not depend on the drop


def defended(score, lie, share=0.015):
    owners = outlier_cases.statistics(fixtures.as_sent(fixtures.owners().x, "mine"))
    line = ood.choose_threshold(score(owners), share)

    def defend(x, posteriors, statistics, key):
        weird = score(statistics) < line
        lies = lie(posteriors, statistics[:, FEATURES], key)
        return np.where(weird[:, None], lies, posteriors)

    return defend


def parts_of(result):
    return {part.name: part for part in result.parts}


def test_defend_that_does_nothing():
    result = lab5.defend(lambda x, posteriors, statistics, key: posteriors, **SMALL)
    assert result == 0.0
    assert "nothing is defended yet" in in_words(result)
    assert "answer those with keyed_lie(posteriors, features, key)" in in_words(result)


def test_defend_that_answers_everybody_alike():
    result = lab5.defend(
        lambda x, posteriors, statistics, key: np.full_like(posteriors, 0.1), **SMALL
    )
    assert result <= 0.25
    assert "one and the same answer" in in_words(result)


def test_defend_that_counts_its_calls():
    calls = []

    def defend(x, posteriors, statistics, key):
        calls.append(key)
        return of_each(posteriors, statistics, key) if len(calls) % 2 else posteriors

    assert lab5.defend(defend, **SMALL) <= 0.25


@pytest.mark.parametrize("what", ["posteriors", "statistics", "pictures"])
def test_defend_that_writes_into_what_it_is_given(what):
    def defend(x, posteriors, statistics, key):
        given = {"pictures": x, "posteriors": posteriors, "statistics": statistics}
        given[what] *= 1
        return posteriors

    crowd, _ = knowing_cases.everybody(SMALL["budget"])
    with pytest.raises(Missed, match=f"defend writes into the {what}"):
        knowing_cases.must_leave_its_inputs(defend, crowd, SMALL["budget"])


@pytest.mark.thorough
@pytest.mark.slow
def test_defend_with_the_old_lie_or_a_lie_without_the_key(exposed):
    unkeyed = as_cells(3)
    for lie in (
        lambda p, f, key: defenses.misinform(p),
        lambda p, f, key: unkeyed(p, f, "5e" * 32),
    ):
        result = lab5.defend(defended(exposed, lie), **SMALL)
        assert result <= 1.0
        parts = parts_of(result)
        assert parts["another key, another lie"].share == 0
        assert abs(parts["thieves with fresh shapes"].value) < 0.1
        assert "reader of the code" in parts["thieves with fresh shapes"].measured


@pytest.mark.thorough
@pytest.mark.slow
def test_defend_with_a_keyed_lie_leaves_every_real_thief_with_little(exposed):
    result = lab5.defend(defended(exposed, as_cells(3)), budget=900)
    parts = parts_of(result)
    assert parts["another key, another lie"].share == 1
    assert parts["honest users"].share == 1
    assert parts["thieves with fresh shapes"].value > 0.3
    oracle = parts["the worst case with fresh shapes, the oracle included"].value
    assert oracle < parts["thieves with fresh shapes"].value


@pytest.fixture(scope="module")
def crowd():
    owned = [Pool(kind, 60, str(i)) for kind, n in knowing_cases.POOLS.items() for i in range(n)]
    return Crowd({"honest": fixtures.honest_users(), **{p.group: p.answered() for p in owned}})


def test_each_service_is_asked_about_its_own_and_every_picture_comes_first_once(crowd):
    requests = knowing_cases.plan(crowd)
    first = np.concatenate([one.rows for one in requests if one.round == 0])
    assert sorted(first) == list(range(len(crowd.group)))
    keys = {i: keyed_cases.key("service", i) for i in range(2)}
    for i, key in keys.items():
        rows = np.concatenate([one.rows for one in requests if one.key == key and one.round < 3])
        kinds = set(crowd.group[rows])
        assert kinds == {"honest", f"hidden {i}"} | {f"shapes {j}" for j in range(i, 6, 2)}
    own = [one for one in requests if one.round == knowing_cases.OWN]
    assert len({one.key for one in own}) == knowing_cases.TRIED + 2
    rows = np.concatenate([one.rows for one in own])
    assert len(rows) == len(set(rows))


# --- exercise 7 ---------------------------------------------------------------------

BY_ORDER = asking_answers.asked_twice(probing.reordered, asking_answers.one_step)
HALVED = asking_answers.by_halving(18)


def in_requests(ask, x):
    found = [BY_ORDER(ask, x[i : i + 50]) for i in range(0, len(x), 50)]
    answers, lies = (np.concatenate(one) for one in zip(*found, strict=True))
    return answers.tolist(), [int(one) for one in lies]


@pytest.mark.slow
def test_ask_twice_and_walk_to_edge_right_ways():
    for right in (
        asking_answers.asked_twice(probing.reordered, asking_answers.one_pixel),
        asking_answers.asked_twice(asking_answers.correlated, asking_answers.one_step),
        in_requests,
    ):
        assert lab5.ask_twice(right) == 2.0
    for right in (
        HALVED,
        asking_answers.by_halving(22, same=asking_answers.nearer_to_the_truth),
        lambda *given: asking_answers.by_halving(12)(*given).tolist(),
    ):
        assert lab5.walk_to_edge(right) == 2.0


@pytest.mark.slow
def test_ask_twice_and_walk_to_edge_under_secrets():
    both = under_secrets(lambda: lab5.ask_twice(BY_ORDER) + lab5.walk_to_edge(HALVED))
    assert the_same(both) == 4.0


def twice(differ, change=asking_answers.one_step):
    return asking_answers.asked_twice(differ, change)


def sorted_over_the_pictures(first, second):
    """The copies' own numbers beside those of all pictures: right only among many."""
    one, other = (np.log(np.maximum(answers, 1e-12)) for answers in (first, second))
    over = np.abs(np.sort(one, axis=0) - np.sort(other, axis=0)).mean(axis=1)
    return np.abs(one - other).mean(axis=1) - over > 0.7


def farther_half(first, second):
    apart = np.abs(first - second).sum(axis=1)
    return apart > np.median(apart)


def into_the_pictures(ask, x):
    answers, copies = ask(x), x
    copies[:, 0, 0, 0] += 1 / 255
    return answers, probing.reordered(answers, ask(copies))


def nothing_asked(ask, x):
    return np.full((len(x), 10), 0.1), np.zeros(len(x), dtype=bool)


@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (twice(asking_answers.other_class), 1.6, "compare all ten numbers"),
        (twice(asking_answers.other_ranks), 1.5, "Truths are called lies"),
        (twice(farther_half), 0, "Lies are missing"),
        (twice(sorted_over_the_pictures), 0.5, "asked about 10 pictures at a time"),
        (twice(probing.reordered, asking_answers.far_off), 0, "only one step away"),
        (twice(lambda a, b: (a != b).any(axis=1), np.copy), 0, "the same pictures"),
        (twice(lambda a, b: ~probing.reordered(a, b)), 0, "You have marked the truths"),
        (twice(lambda a, b: np.ones(len(a))), 0, "Truths are called lies"),
        (twice(probing.reordered, lambda x: x + 0.1), 0, "Pixels must lie in [0, 1]"),
        (asking_answers.the_unsure_half, 0, "a lie looks as sure"),
        (asking_answers.asked_three_times, 0, "more than its budget"),
        (nothing_asked, 0, "asked nothing"),
        (into_the_pictures, 0, "ask_twice writes into the pictures"),
        (twice(probing.reordered, lambda x: x + np.float32(1 / 255)), 0, "to 1.003922"),
        (lambda ask, x: BY_ORDER(ask, x)[1], 0, "must return two things"),
        (lambda ask, x: BY_ORDER(ask, x[::-1].copy()), 0, "in the order of x"),
        (lambda ask, x: (ask(x), np.flatnonzero(x[:, 0, 0, 0] < 9)[:7]), 0, "returned shape"),
    ],
)
def test_ask_twice_wrong_ways_are_named(wrong, points, words):
    result = lab5.ask_twice(wrong)
    assert result <= points
    assert words in in_words(result)


def into_the_ends(ask, start, end):
    start[:] = (start + end) / 2
    return HALVED(ask, start, end)


class Kept:
    """The first line's permutation, for every line."""

    found = None

    def __call__(self, ask, start, end):
        if self.found is None:
            self.found = HALVED(ask, start, end)
        return self.found


def twenty_walks(ask, start, end):
    for _ in range(20):
        found = HALVED(ask, start, end)
    return found


@pytest.mark.parametrize(
    ("wrong", "points", "words"),
    [
        (asking_answers.by_halving(0), 0, "at the two ends of the line"),
        (asking_answers.by_halving(3), 0, "still too far apart"),
        (asking_answers.by_halving(18, turned=True), 0, "the other way round"),
        (asking_answers.by_halving(18, same=lambda a, t, lie: a.argmax() != t.argmax()), 0, "lost"),
        (asking_answers.in_reverse, 0, "the truth in reverse"),
        (asking_answers.on_a_grid, 1.5, "about the middle of what is left"),
        (lambda ask, start, end: np.arange(10), 0, "You asked nothing"),
        (lambda ask, start, end: ask(end[None])[0], 0, "each of the numbers 0 to 9 once"),
        (into_the_ends, 0, "walk_to_edge writes into the pictures"),
        (Kept(), 0, "On this line you asked nothing"),
        (twenty_walks, 0, "more than its budget of 240"),
    ],
)
def test_walk_to_edge_wrong_ways_are_named(wrong, points, words):
    result = lab5.walk_to_edge(wrong)
    assert result <= points
    assert words in in_words(result)


def test_each_line_of_the_check_has_one_edge_and_one_true_class():
    for line in probing_cases.lines():
        points = np.linspace(0, 1, 40, dtype=np.float32)[:, None, None, None]
        pictures = line.start + points * (line.end - line.start)
        truth, told = line.asked.model.posteriors(pictures), line.asked.ask(pictures)
        lies = np.abs(truth - told).max(axis=1) > 1e-4
        assert not lies[0] and lies[-1] and np.diff(lies).sum() == 1
        assert len(set(truth.argmax(axis=1))) == 1
        assert np.allclose(told[lies][:, line.permutation], truth[lies])


# --- another scenario -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "names"),
    [(lab3.trickster, 1), (lab5.detector, 2), (lab5.keyed_lie, 1), (lab5.defend, 1)],
)
def test_a_notebook_on_other_pictures_is_told_so_in_one_sentence(check, names):
    notebook = {"scenario": Scenario("cifar10")}
    exec("def answer(*given):\n    raise ValueError('shapes do not fit')", notebook)
    result = check(*[notebook["answer"]] * names)
    assert result == 0 and result.parts == ()
    assert result.note.count(".") == 2 and 'Scenario("fashion") to be graded' in result.note
    assert "ValueError" not in result.as_text()


# --- stuck ---------------------------------------------------------------------------


def stuck() -> dict[str, str]:
    """By the exercise, the lines that the lab offers to whoever is stuck."""
    (lab,) = pick_labs(ROOT, ["lab5"])
    text = lab.source.read_text("utf-8")
    block = re.search(r"The library's functions</summary>.*?```python\n(.*?)# ```", text, re.S)[1]
    lines = re.sub(r"^# ?", "", block, flags=re.M)
    return dict(re.findall(r"^# Exercise (.*)\n((?:(?!# ).*\n)*)", lines, re.M))


@pytest.mark.slow
def test_the_lines_for_those_who_are_stuck_do_what_the_lab_calls_them_for():
    rng = np.random.default_rng(0)
    statistics = rng.normal(size=(200, 322))
    posteriors = rng.dirichlet(np.ones(10), 200)
    x = rng.random((200, 1, 28, 28), dtype=np.float32)
    scope = {
        "np": np,
        "adaptive_attacks": adaptive_attacks,
        "ood": ood,
        "pools": pools,
        "probing": probing,
        "CellLie": defenses.CellLie,
        "Query": Query,
        "choose_threshold": ood.choose_threshold,
        "FEATURES": FEATURES,
        "weird_features": rng.normal(size=(100, 128)),
        "x_train": x,
        "x_choose": x,
        "as_customers_send": lambda x, seed: x,
        "statistics_and_posteriors": lambda x: (statistics, posteriors),
    }
    lines = stuck()
    assert list(lines) == ["1", "2", "3", "4", "5", "7"]
    for text in lines.values():
        exec(text, scope)
    assert scope["unlie"](posteriors, posteriors[:, ::-1], 0).shape == (200, 10)
    assert len(scope["small_loss"](posteriors, posteriors, 0.5)) == 100
    assert scope["ask_twice"](lambda x: posteriors, x)[1].shape == (200,)
    scope["score"] = lambda statistics: statistics[:, 0]
    exec(lines["5"], scope)
    key = "0123456789abcdef" * 4
    lies = scope["keyed_lie"](posteriors, statistics[:, FEATURES], key)
    returned = scope["defend"](x, posteriors, statistics, key)
    weird = statistics[:, 0] < scope["threshold"]
    assert 0 < weird.sum() <= 3 and (returned == np.where(weird[:, None], lies, posteriors)).all()
    assert lab5.small_loss(scope["small_loss"]) == 2
    with withheld.refused_by(withheld.refusing):
        result = lab5.small_loss(scope["small_loss"])
    assert result == 0 and "asks for your own" in in_words(result)
