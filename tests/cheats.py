"""Defences that know the check and not the pictures: what they may earn is in the labs' tests.

Each is a function without arguments that returns a fresh ``trickster`` of lab 3 or, in the last
part, a ``make_layered`` of lab 4; :func:`as_service` makes one of the former. A cheat may know
every line of the course, and what a student's own run of the checks sends; it lacks the secret.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np

from trickster import defenses, limiters, ood, pools
from trickster.api import RateLimited
from trickster.checks import defense_cases, draws, fixtures, traffic
from trickster.checks.hidden_pool import glyphs

DAY = 86_400
Trickster = Callable[..., np.ndarray]
MakeLayered = Callable[..., Trickster]


def misled(posteriors: np.ndarray, weird: np.ndarray | bool) -> np.ndarray:
    """A lie where ``weird (n,)``, the truth elsewhere."""
    return np.where(np.reshape(weird, (-1, 1)), defenses.misinform(posteriors), posteriors)


def by_picture(is_weird: Callable[[np.ndarray], np.ndarray]) -> Trickster:
    return lambda x, posteriors, features: misled(posteriors, is_weird(x))


# --- tables of public pictures -------------------------------------------------------


def among(known: np.ndarray, form: Callable[[np.ndarray], np.ndarray]) -> Trickster:
    """Tells the truth about pictures of whose ``form`` the table has one."""
    table = {one.tobytes() for one in form(known)}
    return by_picture(lambda x: np.array([one.tobytes() not in table for one in form(x)]))


def knows_the_test_pictures() -> Trickster:
    return among(fixtures.fashion().x_test, lambda x: x)


def knows_all_shipped_pictures() -> Trickster:
    shipped = fixtures.fashion()
    return among(np.concatenate([shipped.x_train, shipped.x_test]), lambda x: np.round(x * 255))


def knows_their_outlines() -> Trickster:
    """In a grid of 7x7, bright or dark: noise and brightness change few of them."""
    shipped = fixtures.fashion()

    def outline(x: np.ndarray) -> np.ndarray:
        squares = x.reshape(len(x), 7, 4, 7, 4).mean(axis=(2, 4))
        return squares > 0.5 * squares.max(axis=(1, 2), keepdims=True)

    return among(np.concatenate([shipped.x_train, shipped.x_test]), outline)


def nearest_in(known: np.ndarray, far: float, to_known: bool) -> Trickster:
    """Lies to pictures that lie near (or not near) one that it knows, whatever their brightness."""
    table = ood.unit_rows(known.reshape(len(known), -1)).T

    def is_weird(x: np.ndarray) -> np.ndarray:
        near = (ood.unit_rows(x.reshape(len(x), -1)) @ table).max(axis=1) > far
        return near == to_known

    return by_picture(is_weird)


def knows_the_test_pictures_by_sight() -> Trickster:
    return nearest_in(fixtures.fashion().x_test, 0.99, to_known=False)


# --- counting -------------------------------------------------------------------------


def by_call(is_weird: Callable[[int, int], bool]) -> Trickster:
    """Decides by the number of the call, and by how many pictures came before."""
    calls, before = itertools.count(), [0]

    def trickster(x, posteriors, features):
        weird = is_weird(next(calls), before[0])
        before[0] += len(x)
        return misled(posteriors, weird)

    return trickster


def counts_calls() -> Trickster:
    """Honest as long as the check measured honest users, once."""
    return by_call(lambda call, before: not 3 <= call < 13)


def every_other_call() -> Trickster:
    return by_call(lambda call, before: call % 2 == 1)


def honest_at_first() -> Trickster:
    return by_call(lambda call, before: before >= 4_000)


def honest_later() -> Trickster:
    return by_call(lambda call, before: before < 4_000)


def now_and_then() -> Trickster:
    """As rarely as honest users bear it."""
    return by_call(lambda call, before: call % 40 == 1)


def honest_to_large_requests() -> Trickster:
    return lambda x, posteriors, features: misled(posteriors, len(x) < 100)


def honest_to_small_requests() -> Trickster:
    return lambda x, posteriors, features: misled(posteriors, len(x) >= 100)


def by_memory(seen_is_weird: bool) -> Trickster:
    seen: set[bytes] = set()

    def trickster(x, posteriors, features):
        known = np.array([one.tobytes() in seen for one in x])
        seen.update(one.tobytes() for one in x)
        return misled(posteriors, known == seen_is_weird)

    return trickster


def honest_to_new_pictures() -> Trickster:
    return by_memory(seen_is_weird=True)


def honest_to_known_pictures() -> Trickster:
    return by_memory(seen_is_weird=False)


def by_the_clock() -> Trickster:
    return lambda x, posteriors, features: misled(posteriors, int(time.time() * 50) % 2 == 0)


def knows_the_desk_s_plan() -> Trickster:
    """Which places of which requests hold thieves' pictures when a student runs the check."""
    with draws.as_at_a_desk():
        kinds = ("shapes", 0), ("shapes", 1), ("hidden", 0), ("hidden", 1)
        owned = [defense_cases.pool(*one) for one in (*kinds, ("digits", 0), ("patches", 0))]
        groups = {"honest": fixtures.honest_users(), **{p.group: p.answered() for p in owned}}
        crowd = traffic.Crowd(groups)
        weird = [crowd.group[one.rows] != "honest" for one in defense_cases.plan(crowd)]
    calls = itertools.count()

    def trickster(x, posteriors, features):
        here = weird[next(calls) % len(weird)]
        return misled(posteriors, np.resize(here, len(x)))

    return trickster


# --- the checks' own pools ------------------------------------------------------------


def desk_pools(kind: str) -> np.ndarray:
    with draws.as_at_a_desk():
        owned = defense_cases.panel_pools(kind, 2, 3_000)
        return np.concatenate([one.answered().x for one in owned])


def knows_the_desk_s_pools() -> Trickster:
    known = np.concatenate([desk_pools("shapes"), desk_pools("hidden")])
    return nearest_in(known, 0.97, to_known=True)


def knows_pools_of_constant_seeds() -> Trickster:
    """The seeds that the checks once had."""
    known = [pools.make("shapes", 3_000, seed=3_000 + i) for i in range(2)]
    known += [glyphs(3_000, seed=3_000 + i) for i in range(2)]
    return nearest_in(np.concatenate(known), 0.97, to_known=True)


def looks_for_unrounded_pixels() -> Trickster:
    return by_picture(lambda x: np.abs(x * 255 - np.round(x * 255)).max(axis=(1, 2, 3)) > 1e-3)


def looks_at_the_ground() -> Trickster:
    """Clothes have a black ground, before noise; the labs' shapes have a dark one."""

    def black(x: np.ndarray) -> np.ndarray:
        return np.mean(x.reshape(len(x), -1) == 0, axis=1)

    honest = black(fixtures.as_sent(fixtures.fashion().x_test[:2_500], "mine"))
    line = np.quantile(honest, 0.02)
    return by_picture(lambda x: black(x) < line)


def knows_ten_thousand_letters() -> Trickster:
    return nearest_in(glyphs(10_000, seed=5), 0.9, to_known=True)


# --- services -------------------------------------------------------------------------


def fair(answer: Callable[..., np.ndarray]) -> Trickster:
    """``answer(x, posteriors, features, key, now)`` behind a limit that keeps the terms."""
    limit = limiters.SlidingWindow(900, DAY)

    def layered(x, posteriors, features, key, now):
        if not limit.allow(key, now, len(x)):
            raise RateLimited(key, len(x), limit.retry_after(key, now, len(x)))
        return answer(x, posteriors, features, key, now)

    return layered


def as_service(make: Callable[[], Trickster]) -> MakeLayered:
    """A service whose answers are those of a cheat in lab 3."""

    def make_layered(bank, honest):
        trickster = make()
        return fair(lambda x, posteriors, features, key, now: trickster(x, posteriors, features))

    return make_layered


def counts_services() -> MakeLayered:
    services = itertools.count()

    def make_layered(bank, honest):
        weird = next(services) % 2 == 1
        return fair(lambda x, posteriors, features, key, now: misled(posteriors, weird))

    return make_layered


def by_account(is_weird: Callable[[str, float, dict, int], bool]) -> MakeLayered:
    """Decides by who asks and when; a dictionary is its memory, the last argument the size."""

    def make_layered(bank, honest):
        memory: dict = {}
        return fair(
            lambda x, posteriors, features, key, now: misled(
                posteriors, is_weird(key, now, memory, len(x))
            )
        )

    return make_layered


def honest_to_the_first_keys() -> MakeLayered:
    def is_weird(key, now, memory, n):
        return memory.setdefault(key, len(memory)) >= 10

    return by_account(is_weird)


def honest_to_guests() -> MakeLayered:
    """Lies to accounts that come on a second day."""

    def is_weird(key, now, memory, n):
        return now - memory.setdefault(key, now) > DAY / 2

    return by_account(is_weird)


def honest_to_regular_customers() -> MakeLayered:
    def is_weird(key, now, memory, n):
        return now - memory.setdefault(key, now) < DAY / 2

    return by_account(is_weird)


def honest_to_small_accounts() -> MakeLayered:
    def is_weird(key, now, memory, n):
        memory[key] = memory.get(key, 0) + n
        return memory[key] > 300

    return by_account(is_weird)


def honest_for_a_week() -> MakeLayered:
    def is_weird(key, now, memory, n):
        return now - memory.setdefault("", now) > 7 * DAY

    return by_account(is_weird)


def by_date() -> MakeLayered:
    return by_account(lambda key, now, memory, n: now // DAY % 2 == 1)


def by_the_account_s_mean() -> MakeLayered:
    """Misleads accounts whose pictures are weird on average, and repeats what it once answered."""

    def make_layered(bank, honest):
        line = ood.choose_threshold(ood.score_knn(honest, bank, 1), 0.02)
        usual = ood.score_knn(honest, bank, 1).mean()
        scores: dict[str, list[float]] = {}
        answered: dict[bytes, np.ndarray] = {}

        def answer(x, posteriors, features, key, now):
            scores.setdefault(key, []).extend(ood.score_knn(features, bank, 1))
            weird = np.mean(scores[key]) < (line + usual) / 2
            new = misled(posteriors, weird)
            return np.array(
                [answered.setdefault(one.tobytes(), p) for one, p in zip(x, new, strict=True)]
            )

        return fair(answer)

    return make_layered


def remembers_the_last_service() -> MakeLayered:
    """What came as the nth request of the service before tells it whom to mislead in this one."""
    services: list[list[float]] = []

    def make_layered(bank, honest):
        line = ood.choose_threshold(ood.score_knn(honest, bank, 1), 0.02)
        before, here = (services[-1] if services else []), []
        services.append(here)

        def answer(x, posteriors, features, key, now):
            here.append(float(np.mean(ood.score_knn(features, bank, 1) < line)))
            told = before[len(here) - 1] if len(here) <= len(before) else here[-1]
            return misled(posteriors, told > 0.3)

        return fair(answer)

    return make_layered
