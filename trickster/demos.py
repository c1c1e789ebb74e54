"""Two public demonstrations of model theft, rebuilt from their published protocols.

The labs audit them: the same experiment, over many seeds, with the honest users
whom the originals never measured, one mechanism at a time. Nothing here is a recommended defence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from trickster.progress import advance

MECHANISMS = ("rate limit", "noise", "rounding", "hard labels", "renormalising")


@dataclass(frozen=True)
class DemoB:
    """The ML05:2023 "model theft" demonstration: a random forest on 8x8 digits, 300 queries.

    ``defenses`` names the mechanisms that are on, out of :data:`MECHANISMS`, which
    act in that order (the noise also normalises its rows):

    - rate limit: after 150 queries of one client, each further one is refused
      with probability .8;
    - noise: N(0, .2) on the probabilities, clipped to [.01, .99];
    - rounding: to one decimal;
    - hard labels: with probability .4 the answer is the one-hot true argmax;
    - renormalising: rows are divided by their sums; empty ones become uniform.

    The thief sends synthetic pictures, keeps the argmax of each answer and fits
    a logistic regression. ``run(seed)`` draws everything but the victim from
    ``seed``; the original shows one seed.

    The rest is what the original's thief might have done: ``accounts`` take turns, each with
    the rate limit's first 150 to itself; ``repeats`` rounds ask all pictures again, and the
    majority of the answers to a picture counts; with ``real_pictures`` the queries are digits
    that the victim never saw, and the other digits are what the clone is measured on.
    """

    defenses: tuple[str, ...] = MECHANISMS
    queries: int = 300
    accounts: int = 1
    repeats: int = 1
    real_pictures: bool = False

    def __post_init__(self):
        unknown = sorted(set(self.defenses) - set(MECHANISMS))
        if unknown:
            raise ValueError(f"Demo B has no mechanism {unknown}; it has {MECHANISMS}.")

    def run(self, seed: int) -> dict[str, float]:
        """One theft: ``clone_accuracy``, ``fidelity``, ``query_success``, ``honest_accuracy``."""
        rng = np.random.default_rng(seed)
        forest, x_honest, y_honest = demo_b_victim()
        x_test, y_test = x_honest, y_honest
        if self.real_pictures:
            order = rng.permutation(len(x_honest))
            pictures, rest = x_honest[order[: self.queries]], order[self.queries :]
            x_test, y_test = x_honest[rest], y_honest[rest]
        else:
            pictures = synthetic_digits(self.queries, rng)
        served = self._served(self.queries * self.repeats, rng)
        asked = np.tile(np.arange(self.queries), self.repeats)[served]
        answers = self._defended(forest.predict_proba(pictures[asked]), rng)
        votes = np.zeros((self.queries, answers.shape[1]))
        np.add.at(votes, (asked, answers.argmax(axis=1)), 1)
        answered = votes.any(axis=1)
        labels = votes[answered].argmax(axis=1)
        if len(np.unique(labels)) > 1:
            with threadpool_limits(1):  # so small a problem is three times as slow on two
                clone = LogisticRegression(max_iter=1000).fit(pictures[answered], labels)
            stolen = clone.predict(x_test)
        else:
            stolen = np.full(len(x_test), labels[0])
        honest = self._defended(forest.predict_proba(x_honest), rng).argmax(axis=1)
        advance()
        return {
            "clone_accuracy": float(np.mean(stolen == y_test)),
            "fidelity": float(np.mean(stolen == forest.predict(x_test))),
            "query_success": float(served.mean()),
            "honest_accuracy": float(np.mean(honest == y_honest)),
        }

    def _served(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Which of ``n`` queries are answered, as a mask; accounts take turns."""
        if "rate limit" not in self.defenses:
            return np.ones(n, dtype=bool)
        return (np.arange(n) // self.accounts < 150) | (rng.random(n) >= 0.8)

    def _defended(self, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        true_argmax = p.argmax(axis=1)
        if "noise" in self.defenses:
            p = np.clip(p + rng.normal(0, 0.2, p.shape), 0.01, 0.99)
            p = p / p.sum(axis=1, keepdims=True)
        if "rounding" in self.defenses:
            p = np.round(p, 1)
        if "hard labels" in self.defenses:
            clean = rng.random(len(p)) < 0.4
            p = np.where(clean[:, None], np.eye(p.shape[1])[true_argmax], p)
        if "renormalising" not in self.defenses:
            return p
        total = p.sum(axis=1, keepdims=True)
        return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / p.shape[1])


@cache
def demo_b_victim() -> tuple[RandomForestClassifier, np.ndarray, np.ndarray]:
    """The forest and its held-out pictures ``(540, 64)`` in [0, 1] and labels: always the same."""
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.data / 16, digits.target, test_size=0.3, random_state=42
    )
    forest = RandomForestClassifier(50, random_state=42).fit(x_train, y_train)
    return forest, x_test, y_test


def synthetic_digits(n: int, rng: np.random.Generator) -> np.ndarray:
    """Demo B's queries, ``(n, 64)`` in [0, 1]: uniform pixels, usually with a brighter disc."""
    pictures = rng.random((n, 8, 8))
    rows, columns = np.mgrid[:8, :8]
    for picture in pictures:
        if rng.random() < 0.7:
            r, c = rng.integers(2, 6, size=2)
            disc = (rows - r) ** 2 + (columns - c) ** 2 <= 3**2
            picture[disc] = np.minimum(1, picture[disc] + rng.uniform(0.3, 0.7))
    return pictures.reshape(n, 64)


# One run of an experiment: the mechanisms that are switched on and a seed, to measurements by name.
Run = Callable[[tuple[str, ...], int], dict[str, float]]


def ablation(
    run: Run, mechanisms: Sequence[str], seeds: Sequence[int]
) -> dict[str, list[dict[str, float]]]:
    """What ``run`` returns for ``"none"``, each mechanism alone and ``"all"``, seed by seed."""
    conditions = {"none": (), **{name: (name,) for name in mechanisms}, "all": tuple(mechanisms)}
    return {name: [run(on, seed) for seed in seeds] for name, on in conditions.items()}


def leave_one_out(
    run: Run, mechanisms: Sequence[str], seeds: Sequence[int], what: str
) -> dict[str, list[float]]:
    """How much larger ``what`` is without each mechanism than with all of them, seed by seed."""
    whole = [run(tuple(mechanisms), seed)[what] for seed in seeds]
    others = {name: tuple(one for one in mechanisms if one != name) for name in mechanisms}
    return {
        name: [run(on, seed)[what] - all_on for seed, all_on in zip(seeds, whole, strict=True)]
        for name, on in others.items()
    }
