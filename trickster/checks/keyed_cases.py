"""What lab 5 tries with a keyed lie: its key is the check's, and so are those it is compared with.

Each function decides one part of the check.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from trickster import adaptive_attacks, ood
from trickster.checks import draws, fixtures
from trickster.checks.distributions import distributions, given_read_only
from trickster.checks.faults import in_notebook
from trickster.checks.result import Missed, NotMeasured, Part
from trickster.checks.thresholds import UNDONE
from trickster.checks.unlying_cases import NAME, ROWS
from trickster.defenses import misinform
from trickster.models import softmax

Lie = Callable[[np.ndarray, np.ndarray, str], Any]  # posteriors, features, key
KEYS = 40
EACH = 120  # inputs that each key is asked about
THEFT = 900  # answers that the thief collects
ALIKE = 1e-5


def key(*labels: str | int) -> str:
    """A key that a check draws: 64 hexadecimal digits."""
    return draws.rng("key", *labels).bytes(32).hex()


def asked(lie: Lie, posteriors: np.ndarray, features: np.ndarray, key: str) -> np.ndarray:
    """The lies, as distributions."""
    found = lie(posteriors.copy(), features.copy(), key)
    return distributions(found, "keyed_lie", *posteriors.shape)


def _shapes() -> fixtures.Answered:
    return fixtures.answered("shapes", ROWS, NAME)


# --- wrong, and always the same -------------------------------------------------------------


def wrong_and_steady(part: Part, lie: Lie) -> None:
    """Another class on top; the same input and key, the same lie, in whatever company."""
    rng = draws.rng("keyed lie")
    weird = _shapes().rows(rng.permutation(ROWS)[:600])
    secret = key("steady")
    with no_salted_hash("keyed_lie"):
        found = asked(lie, weird.posteriors, weird.features, secret)
    if float(np.ptp(found, axis=1).max()) < 1e-6:
        raise Missed(
            "all classes get the same probability, which shows at a glance: another class must be "
            "on top, and look as likely as the true one did."
        )
    given_read_only(lie, "keyed_lie", weird.posteriors, weird.features.copy(), secret)
    given_read_only(
        lambda features: lie(weird.posteriors.copy(), features, secret),
        "keyed_lie",
        weird.features,
        what="features",
    )
    order = rng.permutation(600)
    again = np.empty_like(found)
    for rows in np.split(order, [1, 2, 40, 300]):
        again[rows] = asked(lie, weird.posteriors[rows], weird.features[rows], secret)
    moved = float((np.abs(again - found).max(axis=1) > ALIKE).mean())
    ordered = np.sort(weird.posteriors, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 1e-4
    same = float((found.argmax(axis=1) == weird.posteriors.argmax(axis=1))[clear].mean())
    part.expect(
        same == 0 and moved == 0,
        f"{same:.1%} of the lies name the true class; {moved:.1%} change when asked again in other "
        "company",
        "0.0 % and 0.0 %",
        "0.0 % and 0.0 %",
        "A lie depends on the key and on its own input alone: no rng of the notebook's, no "
        "ranks or means over the batch."
        if moved
        else "The true class may never stay on top: a permutation must move every class. "
        "Passing them on along a circle in a secret order does.",
    )


@contextmanager
def no_salted_hash(name: str) -> Iterator[None]:
    """Raises :class:`Missed` after a notebook's code has called Python's ``hash`` for a text.

    Within one process nothing else tells such a lie from a right one. It shows at a desk; in
    grading the code runs elsewhere, and the instructor is told of it.
    """
    salted: list[Any] = []
    unwatched = builtins.hash

    def watched(value: Any) -> int:
        of_the_notebook = in_notebook(sys._getframe(1).f_code.co_filename)
        if of_the_notebook and any(isinstance(one, (str, bytes)) for one in _flat(value)):
            salted.append(value)
        return unwatched(value)

    builtins.hash = watched
    try:
        yield
    finally:
        builtins.hash = unwatched
    if salted:
        raise Missed(
            f"{name} uses Python's own hash, which gives a text another number at each start of "
            "the program: tomorrow, the same input gets another lie. Use secret_rng(key, message)."
        )


def _flat(value: Any) -> list[Any]:
    return [inner for one in value for inner in _flat(one)] if isinstance(value, tuple) else [value]


def must_lie(steady: float) -> None:
    if steady < 1:
        raise NotMeasured("the lie must be wrong and steady first, see above.")


# --- another key, another lie ---------------------------------------------------------------


def keys_differ(part: Part, lie: Lie) -> None:
    """Many keys, each pair of which must tell other lies; and none of them is a key's spelling."""
    rng = draws.rng("keyed lie", "keys")
    rows = _shapes().rows(rng.permutation(ROWS)[:EACH])
    posteriors = softmax(rng.normal(0, 2, rows.posteriors.shape)).astype(np.float32)
    keys = [key("differ", i) for i in range(KEYS)]
    # Keys that differ in one digit are other keys as well.
    keys += [_one_digit_changed(keys[0], i) for i in (0, 31, 63)]
    found = np.array([asked(lie, posteriors, rows.features, one) for one in keys])
    same = np.array(
        [
            np.mean(np.abs(found[i] - found[j]).max(axis=1) < ALIKE)
            for i in range(len(keys))
            for j in range(i)
        ]
    )
    pairs = float((same > 0.5).mean())
    part.expect(
        same.max() <= 0.5,
        f"{pairs:.1%} of {len(same)} pairs of keys tell mostly the same lies",
        "no pair",
        "0.0 %",
        "The lie does not depend on the key: whoever reads your code undoes it."
        if pairs > 0.95
        else "Too few lies to choose from, or a part of the key that does not count: a thief who "
        "reads your code tries them all. Let a keyed hash of the whole key seed a permutation.",
    )


def _one_digit_changed(key: str, place: int) -> str:
    return key[:place] + format(int(key[place], 16) ^ 1, "x") + key[place + 1 :]


# --- the thief ------------------------------------------------------------------------------


def cannot_be_undone(part: Part, lie: Lie) -> None:
    """Lab 3's detector with this lie, against the thief who knows every order that is usual."""
    weird = _shapes().rows(slice(THEFT))
    line = np.quantile(ood.score_knn(fixtures.owners().features, fixtures.bank(), 1), 0.02)
    lies = ood.score_knn(weird.features, fixtures.bank(), 1) < line
    told = weird.posteriors.copy()
    told[lies] = asked(lie, weird.posteriors[lies], weird.features[lies], key("undo"))
    found = adaptive_attacks.unlie(told, UNDO, seed=draws.seed("undo")).answers
    right = found.argmax(axis=1) == weird.posteriors.argmax(axis=1)
    share = float(right[lies].mean())
    part.award(
        UNDONE.share(-share),
        f"the thief who knows {len(UNDO)} ways to undo a lie gets the class right behind "
        f"{share:.0%} of the lies",
        f"at most {-UNDONE.full:.0%} (some points to {-UNDONE.some:.0%})",
        UNDONE.usual,
        "The order of the probabilities alone decides your lie, and a thief can turn it round. "
        "Which class gets which probability must follow from the key.",
        value=-share,
    )


def _swapped(p: np.ndarray) -> np.ndarray:
    """The largest probability and the smallest change places."""
    out, rows = p.copy(), np.arange(len(p))
    top, least = p.argmax(axis=1), p.argmin(axis=1)
    out[rows, top], out[rows, least] = p[rows, least], p[rows, top]
    return out


def _rolled(by: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda p: np.roll(p, -by, axis=1)


# What a thief tries who does not know the lie.
UNDO = (misinform, _swapped, *(_rolled(by) for by in range(1, 10)))
