"""Checks of lab 3, Trickster noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trickster import ood
from trickster.checks import defense_cases
from trickster.checks.defense_cases import PANEL_BUDGET, PANEL_SEEDS, pool, repeats
from trickster.checks.distributions import distributions
from trickster.checks.fixtures import changed, held_out
from trickster.checks.result import Missed, Part, Sheet, array, check, number
from trickster.models import softmax

# --- exercise 1 --------------------------------------------------------------------


@check("Exercise 1, zero_mean_noise", 2, withholds=("trickster.defenses.zero_mean_noise",))
def zero_mean_noise(sheet: Sheet, noise: Callable[..., Any]) -> None:
    """Gaussian noise on the logits, fresh for each entry, and distributions come out."""
    logits = np.tile(np.array([[2.0, 1.0, 0.5, 0.0, -0.5, -1.0]]), (4000, 1))
    clean = softmax(logits)
    with sheet.part("distributions, fresh draws from rng", 1) as part:
        got = distributions(noise(clean, 2.0, np.random.default_rng(1)), "It", 4000, 6)
        again = distributions(noise(clean, 2.0, np.random.default_rng(1)), "It", 4000, 6)
        part.expect(
            np.array_equal(got, again) and len(np.unique(got.round(9), axis=0)) > 3900,
            f"{len(np.unique(got.round(9), axis=0))} different answers to 4,000 equal questions; "
            f"the same generator repeats them: {np.array_equal(got, again)}",
            "a fresh draw for each row, and the same draws from the same generator",
            "",
            "Draw an array of the posteriors' shape from rng, and from nothing else.",
        )
    with sheet.part("the noise is on the logits, with mean 0 and deviation sigma", 1) as part:
        measured, tails = [], 0.0
        for sigma in (2.0, 0.5):
            got = distributions(noise(clean, sigma, np.random.default_rng(2)), "It", 4000, 6)
            logs = np.log(np.maximum(got, 1e-300)) - np.log(clean)
            shift = (logs - logs[:, :1])[:, 1:]  # differences of logits: free of the normaliser
            measured.append((float(shift.mean()), float(shift.std() / 2**0.5) / sigma))
            tails = max(tails, _excess(shift), key=abs)
        part.expect(
            all(abs(mean) < 0.15 and 0.93 < spread < 1.07 for mean, spread in measured)
            and abs(tails) < 0.3,
            "mean "
            + ", ".join(f"{mean:+.2f}" for mean, _ in measured)
            + "; deviation over sigma "
            + ", ".join(f"{spread:.2f}" for _, spread in measured)
            + f"; excess kurtosis {tails:.2f}",
            "mean within 0.15 of 0, deviation within 7 % of sigma, and normally distributed",
            "0.00, 1.00 and 0.0",
            _why_other_noise(measured, tails),
        )


def _excess(values: np.ndarray) -> float:
    """Excess kurtosis: 0 for normal values, -0.6 for differences of uniform ones."""
    standard = (values - values.mean()) / max(float(values.std()), 1e-12)
    return float(np.mean(standard**4)) - 3


def _why_other_noise(measured: list[tuple[float, float]], tails: float) -> str:
    """What means and deviations over sigma, for sigma 2 and 0.5, tell of the noise."""
    means, spreads = zip(*measured, strict=True)
    if np.allclose(spreads, [2.0, 0.5], rtol=0.07):
        return (
            "The deviation is sigma**2, the variance: rng.normal wants the deviation itself, sigma."
        )
    if tails <= -0.3 and max(map(abs, means)) < 0.15:
        return (
            "The noise is not normally distributed (uniform noise from -sigma to sigma has a "
            "deviation of .58 sigma): draw it with rng.normal(0, sigma, size)."
        )
    return (
        "The logits are log(posteriors), up to a constant that softmax ignores: add the noise "
        "to them, rng.normal(0, sigma, size), not to the probabilities, and take the softmax of "
        "the sum."
    )


# --- exercise 2 --------------------------------------------------------------------


@check(
    "Exercise 2, scores of weirdness",
    4,
    withholds=("trickster.ood.score_msp", "trickster.ood.score_energy", "trickster.ood.score_knn"),
)
def scores(
    sheet: Sheet,
    score_msp: Callable[..., Any],
    score_energy: Callable[..., Any],
    score_knn: Callable[..., Any],
) -> None:
    """Three scores against their formulas; higher is more normal, one input at a time."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 3, (40, 10))
    with sheet.part("score_msp", 1) as part:
        posteriors = softmax(logits)
        _same(part, array(score_msp(posteriors), "score_msp", (40,)), posteriors.max(axis=1), {
            "This is 1 minus the probability: higher must mean more normal.": 1 - posteriors.max(1),
            "The sign is wrong: higher must mean more normal; the score is +max.": (
                -posteriors.max(axis=1)
            ),
        })  # fmt: skip
    with sheet.part("score_energy", 1) as part:
        _energy(part, score_energy, logits)
    features, bank = rng.gamma(1.0, 1.0, (30, 12)), rng.gamma(1.0, 1.0, (200, 12))
    with sheet.part("score_knn", 1) as part:
        _knn(part, score_knn, features, bank)
    with sheet.part("one input at a time", 1) as part:
        order = rng.permutation(30)
        gaps = []
        for name, score, inputs in (
            ("score_msp", score_msp, (softmax(logits[:30]),)),
            ("score_energy", score_energy, (logits[:30],)),
            ("score_knn", lambda f: score_knn(f, bank, 5), (features,)),
        ):
            whole = array(score(*inputs), name, (30,))
            turned = array(score(inputs[0][order]), name, (30,))
            alone = array(score(inputs[0][:1]), name, (1,))
            gaps.append(max(np.abs(turned - whole[order]).max(), abs(alone[0] - whole[0])))
        part.expect(
            max(gaps) < 1e-6,
            f"scores change by up to {max(gaps):.2g} when the batch changes",
            "less than 1e-6",
            "about 1e-16",
            "A score must not depend on what else is in the batch: no means or ranks over rows.",
        )


def _energy(part: Part, score_energy: Callable[..., Any], logits: np.ndarray) -> None:
    """The formula, also where logits are large, and where rows are far apart."""
    got = array(score_energy(logits), "score_energy", (40,))
    large = array(score_energy(logits + 1000), "score_energy", (40,))
    if not np.isfinite(large).all():
        raise Missed(
            "score_energy overflows: with logits near 1,000 it is not finite. Take each row's "
            "largest logit out of the exponential first, and add it again at the end."
        )
    want = ood.score_energy(logits)
    far = np.where(np.arange(40) % 2, 1000.0, -1000.0)
    mixed = array(score_energy(logits + far[:, None]), "score_energy", (40,))
    if not np.isfinite(mixed).all():
        raise Missed(
            "score_energy is not finite where one row's logits are near -1,000 and another's "
            "near +1,000. Take out each row's own largest logit, not the batch's: "
            "max(axis=1, keepdims=True)."
        )
    _same(part, np.r_[got, large - 1000, mixed - far], np.r_[want, want, want], {
        "The sign is wrong: higher must mean more normal; the score is +log sum exp.": -np.r_[
            want, want + 2000, want + 2 * far
        ],
    })  # fmt: skip


def _knn(part: Part, score_knn: Callable[..., Any], features: np.ndarray, bank: np.ndarray) -> None:
    """The cosine to the first and to the tenth neighbour."""
    got = np.r_[
        array(score_knn(features, bank, 1), "score_knn", (30,)),
        array(score_knn(features, bank, 10), "score_knn", (30,)),
    ]
    similar = np.sort(ood.unit_rows(features) @ ood.unit_rows(bank).T, axis=1)[:, ::-1]
    raw = np.sort(features @ bank.T, axis=1)[:, ::-1]
    _same(part, got, np.r_[similar[:, 0], similar[:, 9]], {
        "Divide each row by its length first: the cosine of two rows lies between -1 and 1.": (
            np.r_[raw[:, 0], raw[:, 9]]
        ),
        "This is a distance, 1 - cosine: higher must mean more normal, so return the cosine.": (
            1 - np.r_[similar[:, 0], similar[:, 9]]
        ),
        "This is the mean of the k most similar; asked is the k-th of them.": np.r_[
            similar[:, 0], similar[:, :10].mean(axis=1)
        ],
        "This is one neighbour too far: the k-th most similar is at index k - 1.": np.r_[
            similar[:, 1], similar[:, 10]
        ],
        "These are the least similar rows of the bank: sort the other way.": np.r_[
            similar[:, -1], similar[:, -10]
        ],
    })  # fmt: skip


def _same(
    part: Part, got: np.ndarray, want: np.ndarray, known: dict[str, np.ndarray | None]
) -> None:
    """Equal to the formula; otherwise name the known wrong one that it equals."""
    off = float(np.abs(got - want).max())
    named = [w for w, v in known.items() if v is not None and np.allclose(got, v, atol=1e-5)]
    part.expect(
        off < 1e-5,
        f"largest difference from the formula {off:.2g}",
        "below 1e-5",
        "about 1e-16",
        named[0] if named else "Compare your formula with the one in the text, on one row.",
    )


# --- exercise 3 --------------------------------------------------------------------


@check(
    "Exercise 3, choose_threshold",
    3,
    withholds=("trickster.ood.choose_threshold", "trickster.defenses.Trickster"),
)
def choose_threshold(sheet: Sheet, choose: Callable[..., Any]) -> None:
    """At most the given share of honest scores below it, and not much less."""
    rng = np.random.default_rng(8)
    scores = rng.normal(0.8, 0.1, 2000)
    with sheet.part("on the scores it was given", 1) as part:
        shares = {
            rate: float(np.mean(scores < number(choose(scores.copy(), rate), "choose_threshold")))
            for rate in (0.01, 0.05, 0.2)
        }
        ok = all(rate - 0.002 <= share <= rate + 1e-9 for rate, share in shares.items())
        upside = all(abs(share - (1 - rate)) < 0.01 for rate, share in shares.items())
        part.expect(
            ok,
            ", ".join(f"{share:.3f} flagged" for share in shares.values()),
            "0.010, 0.050 and 0.200, never more",
            "exactly these",
            "This flags nearly everybody: weird is what lies below, so the threshold belongs to "
            "the low end of the honest scores."
            if upside
            else "Sort the scores: the threshold is the one that has max_fpr of them below it.",
        )
    with sheet.part("on fresh honest scores", 1) as part:
        line = number(choose(scores.copy(), 0.05), "choose_threshold")
        fresh = float(np.mean(rng.normal(0.8, 0.1, 100_000) < line))
        part.expect(
            0.03 < fresh < 0.07,
            f"{fresh:.3f} of 100,000 new honest users flagged",
            "between .03 and .07",
            ".05",
            "The threshold does not follow from the honest scores alone.",
        )
    with sheet.part("the edges", 1) as part:
        none = float(np.mean(scores < number(choose(scores.copy(), 0.0), "choose_threshold")))
        ties = np.repeat([0.2, 0.9], [5, 95])
        tied = float(np.mean(ties < number(choose(ties.copy(), 0.03), "choose_threshold")))
        odd = rng.permutation(np.arange(7.0))
        few = float(np.mean(odd < number(choose(odd.copy(), 0.3), "choose_threshold")))
        part.expect(
            none == 0 and tied <= 0.03 and abs(few - 2 / 7) < 1e-9,
            f"max_fpr 0: {none:.3f} flagged; ties: {tied:.3f} of at most .03; .3 of seven scores: "
            f"{few * 7:.0f} flagged",
            "0, at most .03, and 2",
            "",
            "At most max_fpr may lie below: round down, and compare with <, so that equal scores "
            "stay together.",
        )


# --- exercise 4 --------------------------------------------------------------------


@check(
    "Exercise 4, misinform",
    3,
    withholds=("trickster.defenses.misinform", "trickster.defenses.Trickster"),
)
def misinform(sheet: Sheet, misinform: Callable[..., Any]) -> None:
    """Distributions, another class on top in every row, the same answer every time."""
    honest = held_out().posteriors[:400]
    edge = np.array([[1.0] + [0.0] * 9, [0.1] * 10, [0.5, 0.5] + [0.0] * 8], np.float32)
    p = np.concatenate([honest, pool("shapes", 0).answered().posteriors[:400], edge])
    with sheet.part("answers are distributions", 1) as part:
        got = distributions(misinform(p.copy()), "misinform", len(p))
        part.expect(True, f"{len(got)} rows, each sums to 1", "each sums to 1")
    with sheet.part("and wrong, each in its own way", 1) as part:
        got = distributions(misinform(p.copy()), "misinform", len(p))
        clear = np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2] > 1e-6
        same = float(np.mean(got[clear].argmax(axis=1) == p[clear].argmax(axis=1)))
        tops = len(np.unique(got[clear].argmax(axis=1)))
        part.expect(
            same == 0 and tops >= 5,
            f"{same:.1%} of the rows still name the true class; {tops} classes are named in all",
            "0.0%, and at least 5 classes",
            "0.0%, and 8 to 10",
            "Everybody gets the same class, which shows at a glance, and is right for some: the "
            "answer must follow the posteriors."
            if tops < 5
            else "Noise that keeps the largest class teaches a hard-label thief everything: "
            "another class must be on top.",
        )
    with sheet.part("the same question, the same answer", 1) as part:
        repeats(part, lambda index: misinform(p[index]), len(p), "misinform", scale=1e-5)


# --- exercise 5 --------------------------------------------------------------------


@check("Exercise 5, trickster", 8, withholds=("trickster.defenses.Trickster",))
def trickster(
    sheet: Sheet,
    trickster: Callable[..., Any],
    seeds: tuple[int, ...] = PANEL_SEEDS,
    budget: int = PANEL_BUDGET,
) -> None:
    """A panel of thieves from outside, and what honest users pay."""
    defense = defense_cases.as_defense(trickster)
    kept, steady, caught = 0.0, 0.0, 1.0
    with sheet.part("the same question, the same answer", 1) as part:
        weird = pool("shapes", seeds[0]).answered().rows(slice(0, 150))
        caught = changed(defense_cases.answers(defense, weird), weird.posteriors)
        defense_cases.must_defend(caught, first=True)
        defense_cases.same_answers(part, defense, weird)
        steady = part.share
    with sheet.part("honest users", 2) as part:
        defense_cases.must_defend(caught)
        kept = defense_cases.honest_users(part, defense)
    for kind, name, points in (
        ("shapes", "thieves with fresh shapes", 2),
        ("hidden", "thieves with a pool that you have not seen", 2),
    ):
        with sheet.part(name, points) as part:
            defense_cases.must_defend(caught)
            found = defense_cases.panel(defense, kind, seeds, budget, part.doing)
            defense_cases.best_thief(part, found, kept, steady, caught)
    with sheet.part("pools that steal badly anyway", 1) as part:
        defense_cases.must_defend(caught)
        defense_cases.poor_pools(part, defense, seeds[0], budget, kept)


# --- exercise 6 --------------------------------------------------------------------


@check("Exercise 6, choose_point", 1)
def choose_point(sheet: Sheet, choose: Callable[..., Any]) -> None:
    """The lowest fidelity among the points that honest users can bear."""
    points = {0.0: (0.70, 0.890), 0.01: (0.45, 0.884), 0.02: (0.33, 0.879), 0.05: (0.30, 0.860)}
    with sheet.part("the best defence within the price", 1) as part:
        wanted = {0.0: 0.0, 0.007: 0.01, 0.015: 0.02, 0.1: 0.05}
        got = {loss: _chosen(choose, points, loss) for loss in wanted}
        wrong = [
            f"allowed loss {loss}: {got[loss]:g}" for loss in wanted if got[loss] != wanted[loss]
        ]
        # Neither number falls steadily: the highest rate is not the best, nor rate 0 the most
        # useful.
        bumpy = {0.0: (0.70, 0.890), 0.005: (0.60, 0.896), 0.01: (0.33, 0.885), 0.02: (0.45, 0.884)}
        other = _chosen(choose, bumpy, 0.007)
        if other != 0.01:
            wrong.append(f"other points {bumpy}, allowed loss .007: {other:g} instead of .01")
        part.expect(
            not wrong,
            "; ".join(wrong) or "the five rates asked for",
            "rates 0, .01, .02 and .05 for allowed losses of 0, .007, .015 and .1, and .01 among "
            "points where fidelity is lowest in between",
            "",
            "Among the rates whose utility is at least the undefended one (rate 0, not the best of "
            "all) less max_loss, return the one with the lowest fidelity, not the highest rate. A "
            "loss of exactly max_loss is allowed.",
        )


def _chosen(choose: Callable[..., Any], points: dict[float, tuple[float, float]], loss: float):
    """The rate that ``choose`` returns; raises :class:`Missed` where it finds no rate at all."""
    try:
        return number(choose(dict(points), loss), "choose_point")
    except ValueError as error:
        raise Missed(
            f"choose_point found no rate for an allowed loss of {loss} ({error}). A loss of "
            "exactly max_loss is allowed, so rate 0 always is: compare with >= and <=."
        ) from error
