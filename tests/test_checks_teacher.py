"""The services that grading draws: fair, repeatable, and nothing shipped tells their classes."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import SECRETS
from sklearn.linear_model import LogisticRegression

from autograder import held_back
from trickster.api import PredictionAPI
from trickster.checks import draws, fixtures, teacher


@pytest.mark.parametrize("secret", SECRETS)
def test_every_class_is_as_common_as_any_other_among_clothes(secret):
    with draws.grading_with(secret, held_back.load()):
        shipped = np.bincount(teacher.labels(fixtures.fashion().x_train, "a"), minlength=10)
        reserve = np.bincount(teacher.labels(fixtures.honest_pictures().x, "a"), minlength=10)
    assert np.abs(shipped / 12_000 - 0.1).max() < 0.002
    assert np.abs(reserve / 4_000 - 0.1).max() < 0.03


def test_labels_name_a_service_and_secrets_decide_it():
    x = fixtures.fashion().x_test[:500]
    first = teacher.labels(x, "a", 1)
    assert first.dtype == np.int64 and first.shape == (500,)
    assert np.array_equal(first, teacher.labels(x, "a", 1))
    others = [teacher.labels(x, "a", 2)]
    for secret in SECRETS[:2]:
        with draws.grading_with(secret):
            others.append(teacher.labels(x, "a", 1))
    for other in others:
        assert np.mean(other == first) < 0.4


def test_it_is_served_like_a_network():
    """Posteriors are distributions, doubtful as the shipped victim's, and the labels' own."""
    x, service = fixtures.fashion().x_test, teacher.service("a")
    answers = PredictionAPI(service, budget=5_000).client("thief").query(x)
    assert answers.dtype == np.float32 and np.allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(answers.argmax(axis=1), service.labels(x))
    assert 0.65 < answers.max(axis=1).mean() < 0.85
    features, posteriors = service.features_and_posteriors(x[:3])
    assert features.shape == (3, teacher.DIRECTIONS) and np.array_equal(posteriors, answers[:3])


def test_a_picture_s_answer_does_not_depend_on_its_company():
    x, service = fixtures.fashion().x_test[:64], teacher.service("a")
    alone = np.concatenate([service.posteriors(x[i : i + 1]) for i in range(64)])
    assert np.allclose(alone, service.posteriors(x), atol=1e-6)


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_shipped_tells_its_classes(secret):
    """The victim's own classes, in whatever order fits best, and the classes of the truth."""
    with draws.grading_with(secret, held_back.load()):
        honest = fixtures.honest_pictures()
        wanted = teacher.labels(honest.x, "a")
    for known in (fixtures.victim().labels(honest.x), honest.y):
        table = np.zeros((10, 10))
        np.add.at(table, (known, wanted), 1)
        assert table.max(axis=1).sum() / len(wanted) < 0.4


def test_the_shipped_victim_s_features_help_little():
    """Told the classes of 3,000 *clothes*, which no thief is: far below a network of its own."""
    with draws.grading_with(SECRETS[0], held_back.load()):
        honest = fixtures.honest_pictures()
        wanted = teacher.labels(honest.x, "a")
    seen = fixtures.victim().features(honest.x)
    seen = (seen - seen.mean(axis=0)) / (seen.std(axis=0) + 1e-6)
    fitted = LogisticRegression(max_iter=300, C=0.1).fit(seen[:3_000], wanted[:3_000])
    assert np.mean(fitted.predict(seen[3_000:]) == wanted[3_000:]) < 0.65
