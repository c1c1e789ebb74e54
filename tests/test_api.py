"""The black box: what it refuses, what it charges, what it logs, and what it lets defences do."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trickster.api import (
    BudgetExceeded,
    Client,
    DefenseError,
    InvalidQuery,
    LogEntry,
    PredictionAPI,
    Query,
    RateLimited,
)
from trickster.limiters import GlobalLimit, SlidingWindow, TokenBucket

SHAPE = (1, 4, 4)


class BrightnessVictim:
    """A victim whose answer can be computed by hand, and who counts what it was asked."""

    def __init__(self):
        self.asked = 0

    def features_and_posteriors(self, x):
        self.asked += len(x)
        light = x.reshape(len(x), -1).mean(axis=1, keepdims=True)
        return light, np.concatenate([light, 1 - light], axis=1)


class FallingVictim:
    """A victim that breaks in the middle of an answer."""

    def features_and_posteriors(self, x):
        raise RuntimeError("the victim fell over")


class FakeClock:
    """Seconds that pass only when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pictures(n: int, value: float = 0.25) -> np.ndarray:
    return np.full((n, *SHAPE), value, dtype=np.float32)


@pytest.fixture
def victim() -> BrightnessVictim:
    return BrightnessVictim()


@pytest.fixture
def api(victim) -> PredictionAPI:
    return PredictionAPI(victim, SHAPE, budget=1_000)


def with_pixel(value: float) -> np.ndarray:
    x = pictures(3)
    x[1, 0, 2, 2] = value
    return x


BAD = {
    "wrong size": (np.zeros((2, 1, 5, 4), np.float32), r"\(n, 1, 4, 4\); got \(2, 1, 5, 4\)"),
    "wrong channels": (np.zeros((2, 3, 4, 4), np.float32), r"must have shape \(n, 1, 4, 4\)"),
    "flat": (np.zeros((2, 16), np.float32), r"got \(2, 16\)"),
    "one picture": (np.zeros(SHAPE, np.float32), r"leading axis: x\[None\]"),
    "a single number": (np.array(0.5), r"got \(\)"),
    "bytes": (np.full((2, *SHAPE), 255, np.uint8), r"these are uint8.*/ 255"),
    "ints": (np.ones((2, *SHAPE), np.int64), "these are int64"),
    "booleans": (np.ones((2, *SHAPE), bool), "these are bool"),
    "0 to 255": (np.full((2, *SHAPE), 255.0), r"\[0, 1\]; these run from 255 to 255"),
    "negative": (with_pixel(-0.01), r"run from -0.01 to 0.25"),
    "nan": (with_pixel(np.nan), "1 of 3 pictures hold NaN or infinite"),
    "infinite": (with_pixel(np.inf), "1 of 3 pictures hold NaN or infinite"),
    "minus infinite": (with_pixel(-np.inf), "1 of 3 pictures hold NaN or infinite"),
    "empty": (np.zeros((0, *SHAPE), np.float32), "empty: send at least one"),
    "list": ([[[[0.5] * 4] * 4]], "this is a list"),
    "nothing": (None, "this is a NoneType"),
    "a word": ("pictures", "this is a str"),
}


@pytest.mark.parametrize("x, sentence", BAD.values(), ids=BAD.keys())
def test_bad_pictures_are_refused_before_any_work(api, victim, x, sentence):
    with pytest.raises(InvalidQuery, match=sentence):
        api.query(x, "ann")
    assert victim.asked == 0
    assert api.used("ann") == 0 and api.remaining("ann") == 1_000
    (entry,) = api.log
    assert entry.key == "ann" and entry.refused


def test_the_service_works_on_after_refusing(api, victim):
    for x, _ in BAD.values():
        with pytest.raises(InvalidQuery):
            api.query(x)
    assert api.query(pictures(7)).shape == (7, 2)
    assert (victim.asked, api.used(), len(api.log)) == (7, 7, len(BAD) + 1)


def test_a_flood_is_refused_by_its_size_alone(api, victim):
    # One NaN seen 200,000 times over: had anybody looked at the pixels, they would say so.
    flood = np.broadcast_to(np.float32(np.nan), (200_000, *SHAPE))
    with pytest.raises(BudgetExceeded, match="asked for 200,000 answers but has 1,000 left"):
        api.query(flood, "thief")
    assert victim.asked == 0 and api.used("thief") == 0
    assert api.log[-1].n == 200_000 and "200,000" in api.log[-1].refused


def test_a_batch_that_would_overspend_is_refused_whole(api, victim):
    api.query(pictures(600), "thief")
    with pytest.raises(BudgetExceeded) as caught:
        api.query(pictures(401), "thief")
    error = caught.value
    assert (error.key, error.requested, error.remaining) == ("thief", 401, 400)
    assert (victim.asked, api.used("thief"), api.remaining("thief")) == (600, 600, 400)
    assert len(api.query(pictures(400), "thief")) == 400  # the very last unit can be spent
    with pytest.raises(BudgetExceeded):
        api.query(pictures(1), "thief")
    assert [(e.n, bool(e.refused)) for e in api.log] == [
        (600, False),
        (401, True),
        (400, False),
        (1, True),
    ]


@given(sizes=st.lists(st.integers(1, 12), max_size=20), budget=st.integers(0, 60))
def test_meter_follows_a_hand_count(sizes, budget):
    victim = BrightnessVictim()
    api = PredictionAPI(victim, SHAPE, budget=budget)
    spent = 0
    for n in sizes:
        if spent + n <= budget:
            api.query(pictures(n))
            spent += n
        else:
            with pytest.raises(BudgetExceeded):
                api.query(pictures(n))
        assert (api.used(), api.remaining()) == (spent, budget - spent)
    assert victim.asked == spent == sum(e.n for e in api.log if not e.refused)
    assert [e.n for e in api.log] == sizes


def test_without_a_budget_nothing_runs_out(victim):
    api = PredictionAPI(victim, SHAPE)
    for _ in range(3):
        api.query(pictures(50))
    assert api.used() == 150 and api.remaining() is None


def test_a_negative_budget_makes_no_sense(victim):
    with pytest.raises(ValueError, match="cannot be -1"):
        PredictionAPI(victim, SHAPE, budget=-1)


def test_keys_are_separate(api):
    api.query(pictures(999), "ann")
    api.query(pictures(5), "bob")
    with pytest.raises(BudgetExceeded):
        api.query(pictures(2), "ann")
    assert (api.used("ann"), api.used("bob"), api.used("eve")) == (999, 5, 0)
    assert (api.remaining("bob"), api.remaining("eve")) == (995, 1_000)


def test_threads_cannot_spend_one_unit_twice(victim):
    api = PredictionAPI(victim, SHAPE, budget=100)
    start, refused = threading.Barrier(8), []

    def customer():
        start.wait()
        for _ in range(50):
            try:
                api.query(pictures(1))
            except BudgetExceeded:
                refused.append(1)

    threads = [threading.Thread(target=customer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (api.used(), len(refused)) == (100, 300)


def test_two_requests_cannot_both_pass_the_same_check(victim):
    # The second request arrives while the first has been counted but not yet charged.
    api = PredictionAPI(victim, SHAPE, budget=10)
    checks = []

    class Slow(PredictionAPI):
        def _valid(self, x):
            if not checks:
                checks.append(1)
                api.query(pictures(10))
            return super()._valid(x)

    api.__class__ = Slow
    with pytest.raises(BudgetExceeded):
        api.query(pictures(10))
    assert api.used() == 10 == victim.asked


def test_charged_before_answering():
    api = PredictionAPI(FallingVictim(), SHAPE, budget=10)
    with pytest.raises(RuntimeError, match="fell over"):
        api.query(pictures(4))
    assert (api.used(), api.remaining()) == (4, 6)
    assert api.log[-1].n == 4 and not api.log[-1].refused


def test_a_defence_sees_its_own_request_already_charged(victim):
    seen = []
    api = PredictionAPI(
        victim,
        SHAPE,
        budget=10,
        defenses=[lambda p, q: seen.append(api.used(q.key)) or p],
    )
    api.query(pictures(4), "ann")
    assert seen == [4]


def test_answers_are_the_victims_when_nothing_defends(api):
    x = np.random.default_rng(0).random((9, *SHAPE))
    light = x.astype(np.float32).reshape(9, -1).mean(axis=1)
    assert np.allclose(api.query(x), np.stack([light, 1 - light], axis=1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_is_welcome_and_reaches_the_victim_as_float32(dtype):
    seen = []

    class Witness(BrightnessVictim):
        def features_and_posteriors(self, x):
            seen.append(x.dtype)
            return super().features_and_posteriors(x)

    PredictionAPI(Witness(), SHAPE).query(pictures(2).astype(dtype))
    assert seen == [np.float32]


def test_the_edges_of_the_pixel_range_are_inside(api):
    assert len(api.query(np.stack([pictures(1, 0.0)[0], pictures(1, 1.0)[0]]))) == 2


def test_an_array_that_lies_about_its_length_pays_in_full(api, victim):
    class Liar(np.ndarray):
        def __len__(self):
            return 1

    api.query(pictures(50).view(Liar), "thief")
    assert (victim.asked, api.used("thief")) == (50, 50)


def test_defences_act_in_the_order_given(victim):
    def swap(p, query):
        return p[:, ::-1]

    def onehot(p, query):
        return np.eye(2, dtype=p.dtype)[p.argmax(axis=1)]

    def half(p, query):
        return 0.5 * p + 0.5 * np.array([1.0, 0.0])

    x = pictures(1, 0.25)  # the victim says [.25, .75]
    expected = {
        (swap, half): [0.875, 0.125],
        (half, swap): [0.375, 0.625],
        (onehot, half): [0.5, 0.5],
        (half, onehot): [1.0, 0.0],
    }
    for defenses, answer in expected.items():
        api = PredictionAPI(victim, SHAPE, defenses=defenses)
        assert np.allclose(api.query(x), [answer])


def test_a_defence_is_told_who_asks_what_and_when(victim):
    clock, told = FakeClock(), []
    api = PredictionAPI(victim, SHAPE, clock=clock, defenses=[lambda p, q: told.append(q) or p])
    x = np.random.default_rng(1).random((3, *SHAPE), dtype=np.float32)
    api.query(x, "ann")
    clock.now += 7.5
    api.query(x[:1], "bob")
    first, second = told
    assert isinstance(first, Query)
    assert np.array_equal(first.x, x)
    assert np.allclose(first.features[:, 0], x.reshape(3, -1).mean(axis=1))
    assert [(q.key, q.now) for q in told] == [("ann", 100.0), ("bob", 107.5)]
    assert len(second.x) == len(second.features) == 1


def test_the_log_keeps_the_time_of_the_clock(victim):
    clock = FakeClock()
    api = PredictionAPI(victim, SHAPE, budget=3, clock=clock)
    api.query(pictures(2), "ann")
    clock.now = 160.0
    with pytest.raises(BudgetExceeded):
        api.query(pictures(2), "ann")
    assert api.log[0] == LogEntry(100.0, "ann", 2)
    assert (api.log[1].now, api.log[1].n) == (160.0, 2)


BROKEN = {
    "wrong shape": (lambda p, q: p[:, :1], r"turned answers of shape \(3, 2\) into \(3, 1\)"),
    "fewer rows": (lambda p, q: p[:2], r"shape \(3, 2\) into \(2, 2\)"),
    "labels": (lambda p, q: p.argmax(axis=1), r"into \(3,\)"),
    "forgot to return": (lambda p, q: None, r"into \(\)"),
    "nan": (lambda p, q: p * np.nan, "NaN or infinite"),
    "infinite": (lambda p, q: p + np.inf, "NaN or infinite"),
    "not normalised": (lambda p, q: p * 2, "sum from 1 1"),
    "logits": (lambda p, q: np.log(p), "not distributions: smallest value -"),
    "negative": (lambda p, q: np.array([[1.5, -0.5]] * 3), "smallest value -0.5"),
    "zero": (lambda p, q: p * 0, "not distributions"),
    "ragged": (lambda p, q: [[1.0], [0.5, 0.5], [1.0]], "returned no array"),
    "words": (lambda p, q: np.full((3, 2), "a"), "instead of numbers"),
    "objects": (lambda p, q: np.full((3, 2), None), "instead of numbers"),
    "complex": (lambda p, q: p + 0j, "instead of numbers"),
}


@pytest.mark.parametrize("defense, sentence", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_defence_is_found_by_its_owner(victim, defense, sentence):
    api = PredictionAPI(victim, SHAPE, budget=10, defenses=[lambda p, q: p, defense])
    with pytest.raises(DefenseError, match=sentence):
        api.query(pictures(3))
    assert api.used() == 3  # the victim did work


def test_the_error_names_the_defence(victim):
    def shouting(p, query):
        return p * 2

    class Whispering:
        def __call__(self, p, query):
            return p / 2

    for defense, name in ((shouting, "shouting"), (Whispering(), "Whispering")):
        with pytest.raises(DefenseError, match=f"Defence {name} "):
            PredictionAPI(victim, SHAPE, defenses=[defense]).query(pictures(1))


def test_a_defence_may_answer_with_lists_ints_or_booleans(victim):
    for answer in ([[0, 1]], np.array([[0, 1]]), np.array([[False, True]])):
        api = PredictionAPI(victim, SHAPE, defenses=[lambda p, q, a=answer: a])
        assert api.query(pictures(1)).argmax(axis=1).tolist() == [1]


def test_small_rounding_is_no_broken_defence(victim):
    api = PredictionAPI(victim, SHAPE, defenses=[lambda p, q: p + np.float32(2e-4)])
    assert len(api.query(pictures(3))) == 3


def test_a_client_sees_only_its_own_account(api):
    ann, bob = api.client("ann"), api.client("bob")
    assert isinstance(ann, Client)
    assert np.array_equal(ann.query(pictures(3)), api.query(pictures(3), "other"))
    assert (ann.used, ann.remaining, bob.used, bob.remaining) == (3, 997, 0, 1_000)
    public = {name for name in dir(ann) if not name.startswith("_")}
    assert public == {"query", "used", "remaining", "key"}
    with pytest.raises(AttributeError):
        ann.key = "bob"


def test_a_budget_error_survives_the_trip_from_a_worker():
    error = pickle.loads(pickle.dumps(BudgetExceeded("ann", 5, 2)))
    assert (error.key, error.requested, error.remaining) == ("ann", 5, 2)
    assert "asked for 5 answers but has 2 left" in str(error)


# --- limiters -------------------------------------------------------------------------------


def limited(victim, *limiters, **options) -> tuple[PredictionAPI, FakeClock]:
    clock = FakeClock()
    return PredictionAPI(victim, SHAPE, limiters=limiters, clock=clock, **options), clock


def test_a_refusal_says_when_to_come_back(victim):
    api, clock = limited(victim, TokenBucket(rate=2, burst=10))
    assert len(api.query(pictures(10), "ann")) == 10
    with pytest.raises(
        RateLimited, match=r"'ann' asked for 4 answers too soon.* in 2\.0 s"
    ) as info:
        api.query(pictures(4), "ann")
    assert (info.value.key, info.value.requested) == ("ann", 4)
    clock.now += info.value.retry_after
    assert len(api.query(pictures(4), "ann")) == 4


def test_a_batch_that_never_passes_is_told_so(victim):
    api, _ = limited(victim, SlidingWindow(3, 60))
    with pytest.raises(RateLimited, match="never passes, send a smaller one") as info:
        api.query(pictures(4))
    assert info.value.retry_after == float("inf")


def test_what_is_refused_is_logged_and_neither_charged_nor_answered(victim):
    api, _ = limited(victim, SlidingWindow(3, 60), budget=10)
    api.query(pictures(3), "ann")
    with pytest.raises(RateLimited):
        api.query(pictures(1), "ann")
    assert (api.used("ann"), api.remaining("ann"), victim.asked) == (3, 7, 3)
    assert [bool(entry.refused) for entry in api.log] == [False, True]
    assert "too soon" in api.log[1].refused


def test_what_one_limiter_refuses_counts_for_none(victim):
    own, common = SlidingWindow(5, 60), GlobalLimit(SlidingWindow(8, 60))
    for limiters in ((own, common), (common, own)):
        api, clock = limited(victim, *limiters)
        clock.now = 1_000.0 if limiters[0] is common else 100.0
        api.query(pictures(5), "ann")
        for _ in range(3):
            with pytest.raises(RateLimited):
                api.query(pictures(4), "bob")  # 4 of his 5, but only 3 of the common 8 are left
        assert len(api.query(pictures(3), "bob")) == 3
        clock.now += 60
        assert len(api.query(pictures(5), "bob")) == 5


def test_a_request_over_budget_or_with_bad_pictures_takes_no_tokens(victim):
    api, _ = limited(victim, SlidingWindow(5, 60), budget=5)
    with pytest.raises(BudgetExceeded):
        api.query(pictures(6))
    with pytest.raises(InvalidQuery):
        api.query(with_pixel(np.nan))
    assert len(api.query(pictures(5))) == 5


def test_requests_at_one_moment_cannot_share_a_token(victim):
    api, _ = limited(victim, SlidingWindow(20, 60))
    refused = []

    def ask():
        try:
            api.query(pictures(1), "ann")
        except RateLimited as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), api.used("ann")) == (30, 20)


def test_a_limiter_that_promises_and_does_not_keep_it_refuses_all_the_same(victim):
    class Moody:
        def allow(self, key, now, n=1):
            return False

        def retry_after(self, key, now, n=1):
            return 0.0

    api, _ = limited(victim, Moody())
    with pytest.raises(RateLimited):
        api.query(pictures(1))
    assert victim.asked == 0


def test_a_rate_limit_survives_the_trip_from_a_worker():
    error = pickle.loads(pickle.dumps(RateLimited("ann", 5, 2.5)))
    assert (error.key, error.requested, error.retry_after) == ("ann", 5, 2.5)
