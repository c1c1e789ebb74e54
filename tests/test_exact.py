"""The thieves who solve: against closed forms, within their queries, and where they must fail."""

from __future__ import annotations

import numpy as np
import pytest

from trickster import exact, services
from trickster.api import BudgetExceeded, InvalidQuery
from trickster.services import TokenAPI, TopTokens, VectorAPI
from trickster.solvable import ReluNetwork, SoftmaxRegression, draw_relu, fit_softmax


def regression(d: int, k: int, seed: int = 0, scale: float = 1.0) -> SoftmaxRegression:
    rng = np.random.default_rng(seed)
    return SoftmaxRegression(scale * rng.normal(size=(k, d)), rng.normal(size=k))


class Drawn:
    """A language model without a text: ``W h`` with an ``h`` that each prompt draws."""

    context = 16

    def __init__(self, vocabulary: int, hidden: int, seed: int = 0, common: float = 2.0):
        rng = np.random.default_rng(seed)
        self.vocabulary_size, self.seed = vocabulary, seed
        self.projection = (rng.normal(size=(vocabulary, hidden)) / np.sqrt(hidden)).astype("f4")
        self.common = (common * rng.normal(size=hidden)).astype("f4")

    def logits(self, prompts: np.ndarray) -> np.ndarray:
        draws = [np.random.default_rng([self.seed, *p]) for p in np.asarray(prompts).tolist()]
        hidden = [self.common + rng.normal(size=self.common.shape) for rng in draws]
        return np.array(hidden, np.float32) @ self.projection.T

    def prompts(self, n: int) -> np.ndarray:
        return np.random.default_rng(9).integers(self.vocabulary_size, size=(n, 4))


# --- softmax regression -----------------------------------------------------------------------


def test_two_regressions_that_differ_by_a_constant_answer_alike():
    one = regression(5, 3)
    shift = np.random.default_rng(1).normal(size=5)
    other = SoftmaxRegression(one.weights + shift, one.bias + 2.0)
    x = np.random.default_rng(2).normal(size=(20, 5))
    assert one.posteriors(x) == pytest.approx(other.posteriors(x))
    assert one.centred() == pytest.approx(other.centred())
    assert one.posteriors(x).sum(axis=1) == pytest.approx(np.ones(20))


@pytest.mark.parametrize(("d", "k", "scale"), [(7, 2, 1), (30, 5, 1), (64, 10, 0.5), (20, 4, 8)])
def test_d_plus_one_queries_are_enough_and_d_are_not(d, k, scale):
    victim = regression(d, k, scale=scale)
    api = VectorAPI(victim.posteriors, d, low=0, high=1, budget=d + 1)
    found = exact.solve_softmax(api.query, d, k, seed=3)
    assert api.used() == d + 1
    assert np.abs(found.centred() - victim.centred()).max() < 1e-7 * scale
    fewer = exact.solve_softmax(VectorAPI(victim.posteriors, d).query, d, k, queries=d)
    assert np.abs(fewer.centred() - victim.centred()).max() > 1e-3


def test_solving_says_so_where_the_answers_do_not_fit():
    with pytest.raises(ValueError, match="answered"):
        exact.solve_softmax(VectorAPI(regression(5, 3).posteriors, 5).query, 5, 4)


def test_the_likeliest_regression_beats_least_squares_on_rounded_answers():
    victim, rng = regression(20, 5, scale=2.0), np.random.default_rng(0)
    x, fresh = rng.random((400, 20)), rng.random((2_000, 20))
    wanted = victim.logits(fresh).argmax(axis=1)
    p = victim.posteriors(x).round(1)
    found = exact.fit_rounded(x, p), exact.least_squares(x, p, smallest=0.05)
    likely, squares = (np.mean(one.logits(fresh).argmax(axis=1) == wanted) for one in found)
    assert likely > 0.95 > squares + 0.03


def test_fit_softmax_learns_classes_that_can_be_told_apart():
    x = np.random.default_rng(0).normal(size=(300, 4))
    y = x[:, :3].argmax(axis=1)
    assert np.mean(fit_softmax(x, y).logits(x).argmax(axis=1) == y) > 0.95


# --- one hidden ReLU layer --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_kinks_of_a_piecewise_linear_function(seed):
    rng = np.random.default_rng(seed)
    at = np.sort(rng.uniform(-90, 90, 9))
    at[4] = at[3] + 0.01
    bends, asked = rng.choice([-1, 1], 9) * rng.uniform(0.3, 2, 9), []

    def f(t):
        asked.extend(t)
        return 0.7 * t - 3 + np.maximum(t[:, None] - at, 0) @ bends

    found = exact.find_kinks(f, -100, 100)
    assert found == pytest.approx(np.sort(at), abs=1e-7)
    assert len(asked) < 60 * len(at)


def test_no_kinks_on_a_straight_line():
    asked = []
    assert exact.find_kinks(lambda t: [asked.append(t), 3 * t - 1][1], -5, 5) == []
    assert len(asked) == 1


def test_neurons_of_one_network_are_the_same_at_any_scale():
    one = draw_relu(6, 4, np.random.default_rng(0))
    c = np.array([0.5, 2, 3, 10])
    other = ReluNetwork(one.weights * c[:, None], one.bias * c, one.out / c, one.constant)
    x = np.random.default_rng(1).normal(size=(9, 6))
    assert one(x) == pytest.approx(other(x)) and one.neurons() == pytest.approx(other.neurons())
    assert one(x[:1])[0] == pytest.approx(
        one.out @ np.maximum(one.weights @ x[0] + one.bias, 0) + one.constant
    )


@pytest.mark.parametrize(("d", "hidden"), [(10, 1), (30, 8), (60, 16)])
def test_every_neuron_of_a_network_is_found(d, hidden):
    for seed in range(5):
        victim = draw_relu(d, hidden, np.random.default_rng(seed))
        api = VectorAPI(victim, d, budget=2 * hidden * (d + 1) + 1_500)
        found = exact.solve_relu(api.query, d, hidden, seed=seed)
        apart = np.abs(found.neurons()[:, None] - victim.neurons()).max(axis=2)
        assert sorted(apart.argmin(axis=1)) == list(range(hidden))
        assert apart.min(axis=1).max() < 1e-3
        x = np.random.default_rng(seed).normal(size=(50, d))
        assert found(x) == pytest.approx(victim(x), abs=1e-3)


def test_labels_show_no_neurons():
    victim = draw_relu(10, 4, np.random.default_rng(0))
    api = VectorAPI(lambda x: np.sign(victim(x)), 10)
    with pytest.raises(ValueError, match="the network's own number"):
        exact.solve_relu(api.query, 10, 4)


def test_a_budget_that_ends_in_the_middle_of_a_search_is_told_and_kept():
    api = VectorAPI(draw_relu(10, 4, np.random.default_rng(0)), 10, budget=50)
    with pytest.raises(BudgetExceeded):
        exact.solve_relu(api.query, 10, 4)
    assert 40 < api.used() <= 50 and api.log[-1].refused
    assert sum(entry.n for entry in api.log if not entry.refused) == api.used()


# --- a language model -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vocabulary", "hidden", "n"), [(100, 5, 12), (300, 16, 40), (500, 40, 60)]
)
def test_the_hidden_size_is_found_in_spite_of_float32_and_rounding(vocabulary, hidden, n):
    model = Drawn(vocabulary, hidden)
    logits = model.logits(model.prompts(n))
    told = services.log_softmax(logits.astype(float))
    for seen in (logits, 1e-3 * logits, 1e3 * logits, told, told.round(3), logits + n):
        assert exact.hidden_size(seen) == hidden
    assert exact.hidden_size(logits[: hidden - 2]) is None
    assert exact.hidden_size(np.random.default_rng(0).normal(size=(n, vocabulary))) is None
    assert exact.hidden_size(logits[:2]) is None


def test_the_projection_is_found_up_to_a_linear_map():
    model = Drawn(300, 16)
    logits = model.logits(model.prompts(60))
    basis = exact.output_projection(services.log_softmax(logits.astype(float)), 16)
    assert basis.shape == (300, 16)
    assert exact.projection_error(basis, model.projection) < 1e-4
    assert exact.projection_error(basis @ np.random.default_rng(0).normal(size=(16, 16)),
                                  model.projection) < 1e-4  # fmt: skip
    assert exact.projection_error(basis[:, :15], model.projection) > 0.05
    other = np.random.default_rng(1).normal(size=(300, 16))
    assert exact.projection_error(other, model.projection) > 0.9


@pytest.mark.parametrize("top", [2, 3, 5, 8])
def test_all_logits_come_through_the_keyhole(top):
    model = Drawn(90, 8)
    api = TokenAPI(model, TopTokens(top))
    client, prompt = api.client("thief"), [3, 1, 4]
    want = model.logits(np.array([prompt]))[0]
    found = exact.logits_through_top_k(client, prompt)
    assert np.abs(found - (want - want.max())).max() < 1e-5
    assert client.used == 1 + -(-89 // (top - 1))
    assert exact.theft_error(found, want) < 1e-5
    before = client.used
    banned = exact.logits_by_banning(client, prompt)
    assert np.abs(banned - found).max() < 1e-5 and client.used - before <= 2 + 89 // (top - 1)
    before = client.used
    assert np.abs(exact.logits_one_by_one(client, prompt) - found).max() < 1e-5
    assert client.used - before <= 1 + 89 * len(exact.STEPS)


def test_next_tokens_alone_tell_logits_as_well_at_a_price():
    model, prompt = Drawn(60, 8), [5]
    api = TokenAPI(model, services.token_only)
    logits = model.logits(np.array([prompt]))[0]
    found = exact.logits_from_tokens(api, prompt, [7, 8, int(logits.argmax())], steps=20)
    assert found == pytest.approx((logits - logits.max())[[7, 8, logits.argmax()]], abs=1e-3)
    assert api.used() == 1 + 2 * 20


@pytest.mark.parametrize(
    "telling", [services.token_only, services.no_bias, services.bias_moves_the_token_only]
)
def test_a_closed_service_gives_the_thieves_next_to_nothing(telling):
    model, prompt = Drawn(90, 8), [3, 1, 4]
    want = model.logits(np.array([prompt]))[0]
    for thief in (
        exact.logits_through_top_k,
        exact.logits_one_by_one,
        exact.logits_by_banning,
    ):
        found = thief(TokenAPI(model, telling), prompt)
        assert exact.theft_error(found, want) > 0.8


def test_fresh_noise_averages_out():
    model, prompt = Drawn(60, 8), [1]
    want = model.logits(np.array([prompt]))[0]

    def error(repeats):
        api = TokenAPI(model, TopTokens(noise=0.5, seed=1))
        asked = exact.Averaged(api, repeats)
        return exact.theft_error(exact.logits_through_top_k(asked, prompt), want)

    assert error(25) < 0.4 * error(1)


def test_noise_does_not_choose_the_token_that_others_are_read_against():
    model = Drawn(60, 8)
    for seed in range(10):
        api = TokenAPI(model, TopTokens(noise=2.0, seed=seed))
        assert np.isfinite(exact.logits_through_top_k(api, [1])).sum() > 4, seed


def test_the_error_of_a_theft_is_0_for_all_and_1_for_nothing():
    logits = np.random.default_rng(0).normal(size=(3, 50))
    assert exact.theft_error(logits + np.arange(3)[:, None], logits) == pytest.approx(0)
    assert exact.theft_error(np.full((3, 50), np.nan), logits) == 1
    half = logits.copy()
    half[:, 25:] = np.nan
    assert 0.4 < exact.theft_error(half, logits) < 1


# --- bad input --------------------------------------------------------------------------------

X, P, LOGITS = np.zeros((4, 3)), np.full((4, 2), 0.5), np.eye(6)[:4]
NAN = np.nan


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: exact.least_squares(X, P[:3]), r"got \(4, 3\) and \(3, 2\)"),
        (lambda: exact.least_squares(X, P * [1, NAN]), "4 of 4 posteriors hold NaN"),
        (lambda: exact.fit_rounded(X[0], P), r"got \(3,\) and \(4, 2\)"),
        (lambda: exact.fit_rounded(X + np.inf, P), "4 of 4 rows hold NaN"),
        (lambda: exact.find_kinks(lambda t: t, 1, 1), "low and a high end"),
        (lambda: exact.find_kinks(lambda t: t * NAN, 0, 1), r"\(4,\) finite numbers"),
        (lambda: exact.find_kinks(lambda t: t[None], 0, 1), r"\(4,\) finite numbers"),
        (lambda: exact.neuron_at(np.sum, X[0], X[0]), "other than 0"),
        (lambda: exact.neuron_at(np.sum, X, X + 1), r"shapes \(4, 3\)"),
        (lambda: exact.fit_outputs(np.sum, np.ones((3, 3))), "h from 1 to d"),
        (lambda: exact.fit_outputs(np.sum, np.ones(3)), r"got shape \(3,\)"),
        (lambda: exact.fit_outputs(np.sum, np.zeros((1, 3))), "no weights"),
        (lambda: exact.fit_outputs(np.sum, np.full((1, 3), NAN)), "NaN"),
        (lambda: exact.hidden_size(LOGITS[0]), r"got \(6,\)"),
        (lambda: exact.hidden_size(np.where(LOGITS == 1, NAN, 0)), "4 of 4 prompts have NaN"),
        (lambda: exact.singular_values(LOGITS[:0]), "a row for each prompt"),
        (lambda: exact.output_projection(LOGITS, 5), "1 to 4 columns, not 5"),
        (lambda: exact.output_projection(LOGITS, 0), "not 0"),
        (lambda: exact.theft_error(LOGITS[0], LOGITS), "recovered logits"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "thief",
    [
        exact.logits_through_top_k,
        exact.logits_one_by_one,
        exact.logits_by_banning,
        lambda api, prompt: exact.logits_from_tokens(api, prompt, [7, 8, 9]),
    ],
)
def test_a_budget_that_ends_in_the_middle_of_a_prompt_is_told_and_kept(thief):
    api = TokenAPI(Drawn(60, 8), budget=10)
    client = api.client("thief")
    with pytest.raises(BudgetExceeded, match="has 0 left"):
        thief(client, [3, 1, 4])
    assert (client.used, client.remaining, client.tokens) == (10, 0, 40)
    assert [bool(entry.refused) for entry in api.log] == [False] * 10 + [True]


def test_a_prompt_that_the_service_refuses_costs_the_thief_nothing():
    api = TokenAPI(Drawn(60, 8))
    for prompt in ([60], [], [0] * 17):
        with pytest.raises(InvalidQuery):
            exact.logits_through_top_k(api, prompt)
    assert (api.used(), api.tokens()) == (0, 0) and all(entry.refused for entry in api.log)
