"""A second request at every line of the first: which services answer both."""

from __future__ import annotations

import sys
from threading import Lock

import numpy as np
import pytest

from trickster import races
from trickster.api import BudgetExceeded

FIVE = np.zeros((5, 1, 28, 28), dtype=np.float32)


class Service:
    """Answers after ``check`` and ``charge``, or before ``charge``."""

    late = False

    def __init__(self):
        self.used = 0

    def query(self, x):
        self.check(x)
        if not self.late:
            self.used += len(x)
        answers = x.sum(axis=(2, 3))
        if self.late:
            self.used += len(x)
        return answers

    def check(self, x):
        left = 5 - self.used
        for _ in x:  # a line that runs several times is tried each time
            if len(x) > left:
                raise BudgetExceeded("c", len(x), left)


class Late(Service):
    late = True


class Locked(Service):
    def __init__(self):
        super().__init__()
        self.lock = Lock()

    def query(self, x):
        with self.lock:
            return super().query(x)


def received(make) -> dict[str, int]:
    return {text: n for (_, text), n in races.answers_by_line(make, FIVE, Service).items()}


def test_a_service_that_charges_first_has_a_gap_between_check_and_charge():
    found = received(Service)
    assert found["self.check(x)"] == found["left = 5 - self.used"] == 5
    assert found["for _ in x:  # a line that runs several times is tried each time"] == 10
    assert found["answers = x.sum(axis=(2, 3))"] == found["return answers"] == 5
    assert received(Late)["answers = x.sum(axis=(2, 3))"] == 10


def test_a_lock_closes_the_gap(monkeypatch):
    monkeypatch.setattr(races, "PATIENCE", 0.02)
    assert set(received(Locked).values()) == {5}


def test_other_errors_are_raised_and_tracing_ends():
    class Broken(Service):
        def check(self, x):
            raise NotImplementedError("not written")

    before = sys.gettrace()
    with pytest.raises(NotImplementedError, match="not written"):
        races.answers_by_line(Broken, FIVE, Service)
    assert sys.gettrace() is before
