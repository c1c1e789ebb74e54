"""Services of number rows and of tokens: what they refuse, charge, log and tell."""

from __future__ import annotations

import numpy as np
import pytest

from trickster import services
from trickster.api import BudgetExceeded, InvalidQuery, RateLimited
from trickster.limiters import ManualClock, SlidingWindow
from trickster.services import TokenAPI, TopTokens, VectorAPI


class Rows:
    """Logits that depend on the last token of a prompt; it knows how often it was asked."""

    vocabulary_size, context = 12, 6

    def __init__(self):
        self.asked = 0
        self.table = np.random.default_rng(0).normal(size=(12, 12)).astype(np.float32)

    def logits(self, prompts):
        self.asked += len(prompts)
        return self.table[prompts[:, -1]]


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum())


# --- rows of numbers ----------------------------------------------------------------------------


def test_rows_are_answered_counted_and_logged():
    api = VectorAPI(lambda x: x.sum(axis=1), 3, defenses=[lambda y: y.round(1)], budget=5)
    client = api.client("thief")
    assert client.query([[0.11, 0.2, 0.3], [1, 2, 3]]).tolist() == [0.6, 6.0]
    assert (client.used, client.remaining) == (2, 3)
    assert [(entry.key, entry.n, entry.refused) for entry in api.log] == [("thief", 2, "")]


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros(3), r"leading axis: x\[None\]"),
        (np.zeros((2, 4)), r"shape \(n, 3\); got \(2, 4\)"),
        (np.zeros((0, 3)), "empty"),
        (np.array([[0, np.nan, 0], [0, 0, 0]]), "1 of 2 rows hold NaN"),
        (np.array([[0, np.inf, 0]]), "1 of 1 rows"),
        (np.array([[0, 1.5, 0]]), r"lie in \[0, 1\]; these run from 0 to 1.5"),
        ("abc", "this is a str"),
        ([[1, 2], [3]], "this is a list"),
        (None, r"got \(\)"),
    ],
)
def test_what_is_no_row_is_refused_logged_and_free(x, words):
    api = VectorAPI(lambda x: x, 3, low=0, high=1, budget=5)
    with pytest.raises(InvalidQuery, match=words):
        api.query(x, "thief")
    assert api.used("thief") == 0
    assert len(api.log) == 1 and api.log[0].refused


def test_a_budget_that_ends_refuses_the_whole_batch():
    api = VectorAPI(lambda x: x, 1, budget=5)
    api.query(np.zeros((4, 1)))
    with pytest.raises(BudgetExceeded, match="asked for 2 answers but has 1 left"):
        api.query(np.zeros((2, 1)))
    assert api.used() == 4
    api.query(np.zeros((1, 1)))
    assert api.remaining() == 0


def test_the_model_cannot_change_the_customers_array():
    x = np.zeros((2, 2))
    VectorAPI(lambda x: x.__iadd__(1), 2).query(x)
    assert not x.any()


# --- tokens -----------------------------------------------------------------------------------


def test_a_prompt_is_answered_with_the_most_likely_tokens_by_their_numbers():
    model = Rows()
    token, told = TokenAPI(model).query([4, 7])
    want = log_softmax(model.table[7].astype(float))
    best = np.argsort(-want)[:5]
    assert token == best[0] == want.argmax()
    assert list(told) == sorted(best.tolist())
    assert list(told.values()) == pytest.approx([want[t] for t in sorted(best)])


def test_a_bias_changes_token_and_log_probabilities():
    model = Rows()
    changed = model.table[7].astype(float)
    changed[[0, 3]] += [50, -2.5]
    token, told = TokenAPI(model).query([7], {0: 50, 3: -2.5})
    assert token == 0 and told[0] == pytest.approx(log_softmax(changed)[0])


def test_each_prompt_is_one_answer_and_its_tokens_are_billed():
    model, api = Rows(), None
    api = TokenAPI(model, budget=3)
    client = api.client("thief")
    client.query([1, 2, 3])
    client.query([1, 2, 3], {5: 1.0})
    assert (client.used, client.remaining, client.tokens) == (2, 1, 8)
    assert model.asked == 1  # the same prompt is computed once
    assert client.vocabulary_size == 12
    client.query([4])
    with pytest.raises(BudgetExceeded):
        client.query([4])
    assert (client.used, client.tokens) == (3, 10)
    assert [entry.refused == "" for entry in api.log] == [True, True, True, False]


def test_a_service_forgets_old_prompts(monkeypatch):
    monkeypatch.setattr(services, "REMEMBERED", 2)
    model = Rows()
    api = TokenAPI(model)
    for token in (1, 2, 3, 3, 2, 1):
        api.query([token])
    assert model.asked == 4


@pytest.mark.parametrize(
    ("prompt", "bias", "words"),
    [
        ("text", None, "this is a str"),
        (3, None, "this is a int"),
        ([], None, "1 to 6 tokens; this one has 0"),
        ([1] * 7, None, "this one has 7"),
        ([1, 12], None, "token 12, which does not exist: they run from 0 to 11"),
        ([-1], None, "token -1"),
        ([1.5], None, "1.5, which is no token"),
        ([float("nan")], None, "nan, which is no token"),
        ([[1, 2]], None, "no token"),
        ([1], {12: 1.0}, "The bias names token 12"),
        ([1], {True: 1.0}, "True, which is no token"),
        ([1], {1: float("nan")}, "bias of token 1 is nan"),
        ([1], {1: 101}, "bias of token 1 is 101"),
        ([1], {1: "much"}, "bias of token 1 is much"),
        ([1], [1.0], "this is a list"),
    ],
)
def test_what_is_no_request_is_refused_logged_and_free(prompt, bias, words):
    model = Rows()
    api = TokenAPI(model, budget=5)
    with pytest.raises(InvalidQuery, match=words):
        api.query(prompt, bias, "thief")
    assert (api.used("thief"), api.tokens("thief"), model.asked) == (0, 0, 0)
    assert [(entry.n, bool(entry.refused)) for entry in api.log] == [(1, True)]


def test_limiters_and_clock_work_as_for_pictures():
    clock = ManualClock()
    api = TokenAPI(Rows(), limiters=[SlidingWindow(2, 60)], clock=clock)
    client = api.client("thief")
    client.query([1])
    client.query([1])
    with pytest.raises(RateLimited) as refusal:
        client.query([1])
    clock.now += refusal.value.retry_after
    client.query([1])
    assert client.used == 3


def test_rounding_and_noise():
    model = Rows()
    _, exact = TokenAPI(model).query([1])
    _, told = TokenAPI(model, TopTokens(decimals=1)).query([1])
    assert told == {token: round(value, 1) for token, value in exact.items()}
    noisy = TokenAPI(model, TopTokens(noise=0.5, seed=3))
    runs = np.array([list(noisy.query([1])[1].values()) for _ in range(400)])
    assert runs.std(axis=0) == pytest.approx(0.5, abs=0.08)
    assert runs.mean(axis=0) == pytest.approx(list(exact.values()), abs=0.1)


def test_what_closed_services_tell():
    model, bias = Rows(), {0: 90.0, 1: 90.0}
    plain, told = TokenAPI(model).query([1])
    for telling, token, tells in (
        (services.token_only, 0, {}),
        (services.no_bias, plain, told),
        (services.bias_moves_the_token_only, 0, told),
    ):
        first = 1 if token == 0 and model.table[1][1] > model.table[1][0] else token
        assert TokenAPI(model, telling).query([1], bias) == (first, tells)


def test_log_softmax_of_large_logits():
    assert services.log_softmax(np.array([1000.0, 0.0])) == pytest.approx([0, -1000])
