"""Checks of lab 3, Trickster noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from trickster import attacks, evaluation, ood
from trickster.checks import fixtures
from trickster.checks import panel as thieves
from trickster.checks.fixtures import HELD_OUT, NOTHING, Answered, answered, changed, held_out
from trickster.checks.result import Missed, Part, Sheet, array, check, number
from trickster.checks.thresholds import DROP, HONEST_FLAGGED, HONEST_LOSS, POOR_POOL
from trickster.models import softmax

POOL_SEED = 3_000
PANEL_SEEDS = (0, 1)
PANEL_BUDGET = 3_000
REPEATS = 3
WEAK = 0.2  # who changes the answers to fewer weird inputs has a score that is of little use


def _pool(kind: str, seed: int) -> Answered:
    """A thief's pictures with what the victim says of them; digits are rarer."""
    return answered(*_place(kind, seed)[:3])


def _place(kind: str, seed: int) -> thieves.Pool:
    n = 1_500 if kind == "digits" else PANEL_BUDGET
    return thieves.Pool(kind, n, POOL_SEED + seed, seed)


def _distributions(value: Any, what: str, n: int, k: int = 10) -> np.ndarray:
    """``value`` as ``n`` distributions over ``k`` classes; raises :class:`Missed`."""
    found = array(value, what, (n, k))
    off = float(np.abs(found.sum(axis=1) - 1).max()) if np.isfinite(found).all() else np.inf
    if off > 1e-3 and n > 1 and np.allclose(found.sum(axis=0), 1, atol=1e-3):
        raise Missed(
            f"{what} returned rows that are no distributions: its columns sum to 1, its rows do "
            "not. The softmax of a row goes over its classes: axis=1, with keepdims=True."
        )
    if off > 1e-3 or found.min() < -1e-9:
        raise Missed(
            f"{what} returned rows that are no distributions: smallest value {found.min():.3g}, "
            f"largest distance of a row's sum from 1 {off:.3g}. Probabilities are at least 0 and "
            "sum to 1."
        )
    return found


# --- exercise 1 --------------------------------------------------------------------


@check("Exercise 1, zero_mean_noise", 2)
def zero_mean_noise(sheet: Sheet, noise: Callable[..., Any]) -> None:
    """Gaussian noise on the logits, fresh for each entry, and distributions come out."""
    logits = np.tile(np.array([[2.0, 1.0, 0.5, 0.0, -0.5, -1.0]]), (4000, 1))
    clean = softmax(logits)
    with sheet.part("distributions, fresh draws from rng", 1) as part:
        got = _distributions(noise(clean, 2.0, np.random.default_rng(1)), "It", 4000, 6)
        again = _distributions(noise(clean, 2.0, np.random.default_rng(1)), "It", 4000, 6)
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
            got = _distributions(noise(clean, sigma, np.random.default_rng(2)), "It", 4000, 6)
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


@check("Exercise 2, scores of weirdness", 4)
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
    features, bank = rng.gamma(1.0, 1.0, (30, 12)), rng.gamma(1.0, 1.0, (200, 12))
    with sheet.part("score_knn", 1) as part:
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


@check("Exercise 3, choose_threshold", 3)
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


@check("Exercise 4, misinform", 3)
def misinform(sheet: Sheet, misinform: Callable[..., Any]) -> None:
    """Distributions, another class on top in every row, the same answer every time."""
    honest = held_out().posteriors[:400]
    edge = np.array([[1.0] + [0.0] * 9, [0.1] * 10, [0.5, 0.5] + [0.0] * 8], np.float32)
    p = np.concatenate([honest, _pool("shapes", 0).posteriors[:400], edge])
    with sheet.part("answers are distributions", 1) as part:
        got = _distributions(misinform(p.copy()), "misinform", len(p))
        part.expect(True, f"{len(got)} rows, each sums to 1", "each sums to 1")
    with sheet.part("and wrong, each in its own way", 1) as part:
        got = _distributions(misinform(p.copy()), "misinform", len(p))
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
        _repeats(part, lambda index: misinform(p[index]), len(p), "misinform", scale=1e-5)


def _repeats(part: Part, ask: Callable[[np.ndarray], Any], n: int, what: str, scale: float) -> None:
    """The same answers again, in another order, and one by one."""
    everything = np.arange(n)
    whole = _distributions(ask(everything), what, n)
    again = _distributions(ask(everything), what, n)
    order = np.random.default_rng(4).permutation(n)
    turned = _distributions(ask(order), what, n)
    some = order[:25]
    alone = np.concatenate([_distributions(ask(some[i : i + 1]), what, 1) for i in range(25)])
    gaps = {
        "asked again": float(np.abs(again - whole).max()),
        "in another order": float(np.abs(turned - whole[order]).max()),
        "alone": float(np.abs(alone - whole[some]).max()),
    }
    part.expect(
        max(gaps.values()) < scale,
        ", ".join(f"{name}: changed by {gap:.2g}" for name, gap in gaps.items()),
        f"below {scale:g}",
        "0, or about 1e-7",
        "Answers change when asked again: whoever repeats a question and averages gets the truth. "
        "Draw nothing at random."
        if gaps["asked again"] >= scale
        else "An answer depends on its neighbours in the batch: decide for each input by itself.",
    )


# --- exercise 5 --------------------------------------------------------------------

Defense = Callable[..., Any]
Ask = Callable[[Answered], np.ndarray]


@check("Exercise 5, trickster", 8)
def trickster(sheet: Sheet, trickster: Defense, seeds: tuple[int, ...] = PANEL_SEEDS) -> None:
    """A panel of thieves from outside, and what honest users pay."""
    ask, honest = asker(trickster), held_out()
    kept, steady, caught = 0.0, 0.0, 1.0
    with sheet.part("the same question, the same answer", 1) as part:
        weird = _pool("shapes", seeds[0]).rows(slice(0, 150))
        caught = changed(ask(weird), weird.posteriors)
        _must_defend(caught, first=True)
        mixed = [honest.rows(slice(0, 150)), weird]
        both = Answered(
            *(np.concatenate(parts) for parts in zip(*map(_fields, mixed), strict=True))
        )
        _repeats(part, lambda i: ask(both.rows(i)), 300, "trickster", scale=1e-3)
        steady = part.share
    with sheet.part("honest users", 2) as part:
        _must_defend(caught)
        kept = _honest(part, ask(honest), honest)
    for kind, name, points in (
        ("shapes", "thieves with fresh shapes", 2),
        ("hidden", "thieves with a pool that you have not seen", 2),
    ):
        with sheet.part(name, points) as part:
            _must_defend(caught)
            _panel(part, panel(ask, kind, seeds), kept, steady, caught)
    with sheet.part("pools that steal badly anyway", 1) as part:
        _must_defend(caught)
        worst = poor_fidelity(ask, ("digits", "patches"), seeds[0])
        part.expect(
            max(worst.values()) < POOR_POOL and kept > 0,
            ", ".join(f"{kind}: fidelity {value:.2f}" for kind, value in worst.items()),
            f"below {POOR_POOL}" + ("" if kept > 0 else ", and honest users served"),
            "about .25 and .10",
            "The honest users pay for it: see above."
            if kept == 0
            else "A wrong answer taught the thief something: is it wrong in the same way always?",
        )


def asker(trickster: Defense) -> Ask:
    """``trickster`` behind the wire: batches of 256 go in, and distributions come out."""

    def ask(asked: Answered) -> np.ndarray:
        rows = [slice(i, i + 256) for i in range(0, len(asked.x), 256)]
        answers = [
            _distributions(
                trickster(asked.x[r].copy(), asked.posteriors[r].copy(), asked.features[r].copy()),
                "trickster",
                len(asked.x[r]),
            )
            for r in rows
        ]
        return np.concatenate(answers)

    return ask


def _must_defend(caught: float, first: bool = False) -> None:
    """Nobody earns points for what a service without any defence does as well."""
    if caught < NOTHING and not first:
        raise Missed("nothing is defended yet: see above.")
    if caught < NOTHING:
        raise Missed(
            f"{caught:.0%} of the weird inputs get another answer than the victim's own: nothing "
            "is defended yet. Recognise weird inputs by their score, and answer those with "
            "misinform(posteriors)."
        )


def _fields(asked: Answered) -> tuple[np.ndarray, ...]:
    return asked.x, asked.features, asked.posteriors


def _honest(part: Part, answers: np.ndarray, honest: Answered) -> float:
    """Award what honest users keep; returns the share of the thieves' points it leaves open."""
    truth = fixtures.fashion().y_test[HELD_OUT]
    before, after = (evaluation.accuracy(a, truth) for a in (honest.posteriors, answers))
    flagged, loss = changed(answers, honest.posteriors), before - after
    turned = float(np.mean(answers.argmax(axis=1) != honest.posteriors.argmax(axis=1)))
    fine_loss, fine_flag = loss <= HONEST_LOSS, flagged <= HONEST_FLAGGED
    part.award(
        0.5 * fine_loss + 0.5 * fine_flag,
        f"accuracy {before:.4f} → {after:.4f}, a loss of {100 * loss:.2f} points; {flagged:.2%} "
        "of 2,500 honest inputs are treated as weird",
        f"a loss of at most {100 * HONEST_LOSS:.1f} points, at most {HONEST_FLAGGED:.0%}",
        "0.4 points, 1.2%",
        f"Honest users lose {100 * loss:.2f} points (allowed: {100 * HONEST_LOSS:.1f}). Your "
        f"defence treats {flagged:.2%} of them as weird; {_what_to_do(answers, turned)}",
    )
    return float(np.clip(1 - (loss - HONEST_LOSS) / 0.02, 0, 1)) * float(flagged < 0.1)


def _what_to_do(answers: np.ndarray, turned: float) -> str:
    if float(np.abs(answers - answers[0]).max()) < 1e-6:
        return "everybody gets one and the same answer, which is no service at all."
    if turned > 0.5:
        return (
            "the comparison is the wrong way round: scores are higher for normal inputs, so weird "
            "is a score *below* the threshold."
        )
    return "pick the threshold from the held-out honest scores, not from the pool."


class Panel(NamedTuple):
    """The best thief of the panel, seed by seed: rows of accuracy and fidelity."""

    before: np.ndarray
    after: np.ndarray
    best: str  # in the last seed, under the defence

    @property
    def drops(self) -> np.ndarray:
        return self.before - self.after

    @property
    def drop(self) -> float:
        """What falls less, accuracy or fidelity, in the mean over the seeds."""
        return float(self.drops.mean(axis=0).min())


def panel(ask: Ask, kind: str, seeds: tuple[int, ...] = PANEL_SEEDS) -> Panel:
    """Thieves with their own pools of ``kind``: undefended, and against what ``ask`` answers."""
    taught = [_lessons(_pool(kind, seed), ask, seed) for seed in seeds]
    before = [_best(_undefended(kind, seed))[1] for seed in seeds]
    best = [_best(_scores(named)) for named in thieves.learn(taught)]
    return Panel(np.array(before), np.array([scores for _, scores in best]), best[-1][0])


def poor_fidelity(ask: Ask, kinds: tuple[str, ...], seed: int) -> dict[str, float]:
    """Fidelity of the best thief with each pool that steals badly anyway."""
    taught = [_lessons(_pool(kind, seed), ask, seed, repeats=1) for kind in kinds]
    best = [_best(_scores(named)) for named in thieves.learn(taught)]
    return {kind: scores[1] for kind, (_, scores) in zip(kinds, best, strict=True)}


def _panel(part: Part, found: Panel, kept: float, steady: float, caught: float) -> None:
    """Award the drop, as far as honest users and steady answers let it count."""
    (acc, fid), (acc_after, fid_after) = found.before.mean(axis=0), found.after.mean(axis=0)
    if kept < 1:
        means = "Honest users pay for this drop (see above): it counts only as far as they do not."
    elif caught < WEAK:
        means = (
            f"Your score catches only {caught:.0%} of the shapes: compare the scores in exercise "
            "2's table."
        )
    elif steady < 1:
        means = "Answers that change with time or company can be averaged or steered: half counts."
    elif found.drop < DROP.some:
        means = (
            "The thief loses too little. Are weird queries recognised (feature distance, not "
            "confidence), and is the answer to them really wrong?"
        )
    else:
        means = "More weird queries must be caught at the same cost, or the answers be more wrong."
    part.award(
        DROP.share(found.drop) * kept * (1.0 if steady == 1 else 0.5),
        f"best thief ({found.best}): accuracy {acc:.3f} → {acc_after:.3f}, fidelity {fid:.3f} → "
        f"{fid_after:.3f}; the smaller drop is {found.drop:.3f} "
        f"(seeds: {', '.join(f'{d.min():.3f}' for d in found.drops)})",
        f"both fall by at least {DROP.full} (some points from {DROP.some})",
        DROP.usual,
        means,
        value=found.drop,
    )


Scores = dict[str, tuple[float, float]]


def _best(scores: Scores) -> tuple[str, tuple[float, float]]:
    """The thief with the highest fidelity: its name, its accuracy and fidelity."""
    name = max(scores, key=lambda thief: scores[thief][1])
    return name, scores[name]


def _undefended(kind: str, seed: int) -> Scores:
    return _scores(thieves.undefended(_place(kind, seed), ("soft", "hard")))


def _lessons(
    asked: Answered, ask: Ask, seed: int, repeats: int = REPEATS
) -> dict[str, attacks.TrainingSet]:
    """What each thief learns from; the averaging one asks ``repeats`` times about a third."""
    answers = ask(asked)
    taught = {
        "soft labels": thieves.lesson(asked.x, answers, "soft", seed),
        "hard labels": thieves.lesson(asked.x, answers, "hard", seed),
    }
    if repeats > 1:
        third = slice(0, len(asked.x) // REPEATS)
        some = asked.rows(third)
        mean = np.mean([answers[third], *(ask(some) for _ in range(repeats - 1))], axis=0)
        taught["averaging"] = thieves.lesson(some.x, mean, "soft", seed)
    return taught


def _scores(named: thieves.Named) -> Scores:
    """Accuracy and fidelity of each thief's clone on the held-out pictures."""
    truth, victim = fixtures.fashion().y_test[HELD_OUT], held_out().posteriors
    return {
        name: (
            evaluation.accuracy(labels[HELD_OUT], truth),
            evaluation.fidelity(labels[HELD_OUT], victim),
        )
        for name, labels in named.items()
    }


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
