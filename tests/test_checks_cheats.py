"""Defences that know the checks of labs 3 and 4, and nothing about pictures, earn next to nothing.

Each is graded with a secret, and each is told to the instructor unless it did nothing at all. What
it gets where a student works, with draws that repeat themselves, is no concern of ours.
"""

from __future__ import annotations

import cheats
import numpy as np
import pytest
from test_checks_lab3 import by_features

from autograder import held_back
from trickster import defenses
from trickster.checks import draws, lab3, lab4

SECRET = b"which no cheat knows"
LAB3, LAB4 = {"pools": 1, "budget": 1_200}, {"services": 2, "budget": 600}

BY_HEART = "by heart"
COUNTS = "counts"
REMEMBERS = "it may count, or remember"
CHEATS = {
    cheats.knows_the_test_pictures: BY_HEART,
    cheats.knows_all_shipped_pictures: BY_HEART,
    cheats.knows_their_outlines: BY_HEART,
    cheats.knows_the_test_pictures_by_sight: BY_HEART,
    cheats.counts_calls: COUNTS,
    cheats.every_other_call: COUNTS,
    cheats.honest_at_first: COUNTS,
    cheats.honest_later: COUNTS,
    cheats.now_and_then: COUNTS,
    cheats.honest_to_large_requests: COUNTS,
    cheats.honest_to_small_requests: COUNTS,
    cheats.honest_to_new_pictures: REMEMBERS,
    cheats.honest_to_known_pictures: REMEMBERS,
    cheats.by_the_clock: "",
    cheats.knows_the_desk_s_plan: "",
    cheats.knows_the_desk_s_pools: BY_HEART,
    cheats.knows_pools_of_constant_seeds: "",
    cheats.looks_for_unrounded_pixels: "",
}
CHEATING_SERVICES = {
    cheats.counts_services: "it may count services",
    cheats.honest_to_the_first_keys: REMEMBERS,
    cheats.honest_to_guests: REMEMBERS,
    cheats.honest_to_regular_customers: REMEMBERS,
    cheats.honest_to_small_accounts: REMEMBERS,
    cheats.honest_for_a_week: COUNTS,
    cheats.by_date: COUNTS,
    cheats.by_the_account_s_mean: "",
    cheats.remembers_the_last_service: "",
}


@pytest.fixture(autouse=True)
def _graded():
    with draws.grading_with(SECRET, held_back.load()):
        yield


def names(cheat):
    return getattr(cheat, "__name__", None)


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize(("make", "told"), CHEATS.items(), ids=names)
def test_a_trickster_that_looks_at_no_picture_earns_next_to_nothing(make, told):
    result = lab3.trickster(make(), **LAB3)
    assert result <= 1
    assert told in " ".join(result.remarks)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [  # one of each kind
        cheats.knows_all_shipped_pictures,
        cheats.every_other_call,
        cheats.honest_later,
        cheats.honest_to_small_requests,
        cheats.honest_to_known_pictures,
        cheats.looks_for_unrounded_pixels,
    ],
    ids=names,
)
def test_nor_does_a_service_that_answers_like_it(make):
    result = lab4.layered(cheats.as_service(make), **LAB4)
    assert result <= 2
    earned = {part.name: part.earned for part in result.parts}
    assert earned["the best thief of the panel"] == earned["honest customers: accuracy"] == 0


@pytest.mark.many_cases
@pytest.mark.slow
@pytest.mark.parametrize(("make", "told"), CHEATING_SERVICES.items(), ids=names)
def test_a_service_that_looks_at_accounts_earns_next_to_nothing(make, told):
    result = lab4.layered(make(), **LAB4)
    assert result <= 2
    assert told in " ".join(result.remarks)


@pytest.mark.thorough
@pytest.mark.slow
def test_nothing_is_said_of_a_defence_that_looks_at_pictures():
    right = by_features(lie=lambda p: np.roll(p, 1, axis=1))
    result = lab3.trickster(right, **LAB3)
    assert result == 5.0 and result.remarks == ()

    def labels(x, posteriors, features):
        return defenses.hard_labels(right(x, posteriors, features))

    result = lab4.layered(cheats.as_service(lambda: labels), **LAB4)
    assert result >= 4.5 and result.remarks == ()  # whoever reads the code turns some lies back


@pytest.mark.thorough
@pytest.mark.slow
def test_who_copies_one_generator_detects_what_it_draws_and_no_more():
    """Ten thousand letters, as a desk hides them; or a ground that is dark, like that of shapes."""
    assert lab3.trickster(cheats.knows_ten_thousand_letters(), **LAB3) <= 2
    result = lab3.trickster(cheats.looks_at_the_ground(), **LAB3)
    earned = {part.name: part.earned for part in result.parts}
    assert earned["thieves with fresh shapes"] >= 0.75
    assert earned["thieves with a pool that you have not seen"] <= 0.5
