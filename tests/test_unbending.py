"""A thief who knows reverse sigmoid finds probabilities that its answers may come from."""

import numpy as np
import pytest

from trickster.defenses import reverse_sigmoid
from trickster.unbending import unbent


def truths(n=200):
    return np.random.default_rng(0).dirichlet(np.full(10, 0.2), size=n).astype(np.float32)


def less_sure(p):
    guess = np.clip(p, 1e-7, 1) ** 0.8
    return guess / guess.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("beta", "gamma"), [(1.0, 0.1), (0.7, 0.3)])
def test_what_is_found_bends_to_the_answer_again(beta, gamma):
    p = truths()
    answers = reverse_sigmoid(p, beta, gamma)
    found = unbent(answers, less_sure(p), beta, gamma)
    assert found.dtype == np.float32 and found.shape == p.shape
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    gap = np.linalg.norm(reverse_sigmoid(found, beta, gamma) - answers, axis=1)
    assert (gap < 2e-3).mean() > 0.9
    nearer = np.abs(found - p).sum(axis=1) < np.abs(answers - p).sum(axis=1)
    assert nearer.mean() > 0.9


def test_of_two_origins_the_one_that_suits_the_guess_is_taken():
    one, other = np.array([[0.001, 0.117, 0.882]]), np.array([[0.117, 0.001, 0.882]])
    answers = reverse_sigmoid(one)
    for truth in (one, other):
        found = unbent(answers, less_sure(truth))
        np.testing.assert_allclose(found, truth, atol=0.01)


def test_answers_and_guess_have_the_same_shape():
    with pytest.raises(ValueError, match="both"):
        unbent(truths(3), truths(4))
