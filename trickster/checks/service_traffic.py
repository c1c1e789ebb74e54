"""Who asks lab 4's services when: keys, times and sizes of the requests that ``traffic`` mixes.

All accounts but one keep the terms of the service, and each sends what honest customers and
thieves ask about. So neither key nor time nor size tells them apart, and a service refuses or
misleads both or neither, unless it looks at the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from trickster.checks import traffic
from trickster.checks.traffic import AGAIN, AMID, FIRST, HONEST, Crowd, Request, Rng

REQUEST = 60  # pictures in a request, at most
REQUESTS_A_DAY = 5  # of one account, at most
DAY = 86_400  # seconds
PAUSE = 600  # seconds by which an account's next day begins later than 24 hours after the last
PATIENT = 2  # accounts that between them ask about everything, day after day
ALONE = 24  # pictures that also come alone
GREEDY = AMID + 1  # the round of the account that keeps no terms

Lots = Sequence[np.ndarray]


def plan(crowd: Crowd, rng: Rng) -> list[Request]:
    """The requests to one service, by time.

    Everything comes twice: from patient accounts and from many that come for a day. A third of it
    comes in the same requests both times, and once more, later, in other company.
    """
    third = crowd.a_third(rng)
    rest = np.setdiff1d(np.arange(len(crowd.group)), third)
    repeated = traffic.lots(rng, third, _sizes(rng))
    first, second = (
        _shuffled(rng, [*repeated, *traffic.lots(rng, rest, _sizes(rng))]) for _ in range(2)
    )
    later = traffic.in_company(rng, third, crowd.group == HONEST, _sizes(rng), ALONE)
    begin = float(rng.uniform(1, 30)) * DAY
    requests = _patient(rng, first, begin)
    end = max(one.now for one in requests)
    for day in _days(rng, second):
        requests += _account(rng, AGAIN, [day], rng.uniform(begin, end))
    days = list(_days(rng, _shuffled(rng, later)))
    for i in range(0, len(days), 3):
        requests += _account(rng, AMID, days[i : i + 3], end + DAY * rng.uniform(0, 3))
    requests += _greedy(rng, len(crowd.group), begin)
    return sorted(requests, key=lambda one: one.now)


def _sizes(rng: Rng) -> Iterator[int]:
    """Most requests are as large as the terms allow."""
    while True:
        yield REQUEST if rng.random() < 0.7 else int(rng.integers(2, REQUEST))


def _shuffled(rng: Rng, lots: Lots) -> list[np.ndarray]:
    return [lots[i] for i in rng.permutation(len(lots))]


def _days(rng: Rng, lots: Lots) -> Iterator[Lots]:
    """What accounts ask in a day: mostly as many requests as the terms allow."""
    while lots:
        n = REQUESTS_A_DAY if rng.random() < 0.6 else int(rng.integers(1, REQUESTS_A_DAY))
        yield lots[:n]
        lots = lots[n:]


def _patient(rng: Rng, lots: Lots, begin: float) -> list[Request]:
    """A few accounts that come day after day. One uses the terms to the last two days in a row."""
    full = [i for i, lot in enumerate(lots) if len(lot) == REQUEST][: 2 * REQUESTS_A_DAY]
    used_up = [lots[i] for i in full]
    days: list[Lots] = [used_up[:REQUESTS_A_DAY], used_up[REQUESTS_A_DAY:]]
    days += _days(rng, [lot for i, lot in enumerate(lots) if i not in full])
    each, requests = -(-len(days) // PATIENT), []
    for i in range(0, len(days), each):
        requests += _account(rng, FIRST, days[i : i + each], begin + DAY * rng.uniform(0, 1))
    return requests


def _account(rng: Rng, round: int, days: Sequence[Lots], begin: float) -> list[Request]:
    """The requests of one key: a burst each day, never more than a day's worth in any 24 hours."""
    key, requests = _key(rng), []
    for day, lots in enumerate(days):
        seconds = np.sort(rng.uniform(0, 0.9 * PAUSE, len(lots)))
        times = begin + day * (DAY + PAUSE) + seconds
        requests += [
            Request(round, lot, key, float(now)) for lot, now in zip(lots, times, strict=True)
        ]
    return requests


def _greedy(rng: Rng, n: int, begin: float) -> list[Request]:
    """One account that asks every half an hour for 24 hours, and once more when a day has passed.

    Midnight lies in between: who counts by the date gives twice. It asks about no picture twice,
    so that its pictures are no commoner than others.
    """
    key, rows, requests = _key(rng), rng.permutation(n), []
    now = DAY * (begin // DAY + float(rng.uniform(1.2, 1.8)))
    end = now + DAY
    while now < end and len(rows) > 2 * REQUEST:
        size = int(rng.integers(50, REQUEST + 1))
        requests.append(Request(GREEDY, rows[:size], key, now))
        rows, now = rows[size:], now + float(rng.uniform(1_500, 1_900))
    for i in range(REQUEST):  # what is left by then goes one by one, or some would be missed
        if len(rows) > 2 * REQUEST:
            requests.append(Request(GREEDY, rows[:1], key, end - 1 + i / REQUEST))
            rows = rows[1:]
    return [*requests, Request(GREEDY, rows[:50], key, end + DAY + PAUSE)]


def _key(rng: Rng) -> str:
    return rng.bytes(6).hex()
