"""The class's cache: an entry saves the work, and a damaged or foreign one never counts."""

from __future__ import annotations

import os
import stat

import numpy as np
import pytest

from trickster.api import RateLimited
from trickster.checks import cache, draws, fixtures, panel, service_cases

ARRAYS = {"x": np.arange(12, dtype=np.float32).reshape(3, 4), "y": np.array([3, 1, 2])}


class Work:
    """Something to compute that counts how often it is done."""

    def __init__(self, arrays=ARRAYS):
        self.arrays, self.done = arrays, 0

    def __call__(self):
        self.done += 1
        return {name: value.copy() for name, value in self.arrays.items()}


def same(found, wanted=ARRAYS) -> bool:
    return found.keys() == wanted.keys() and all(
        found[name].dtype == wanted[name].dtype and np.array_equal(found[name], wanted[name])
        for name in wanted
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache that is written and read."""
    monkeypatch.setenv("TRICKSTER_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("TRICKSTER_STORE_WRITE", "1")
    return tmp_path / "store"


def test_the_second_time_nothing_is_computed(folder):
    work = Work()
    for _ in range(3):
        assert same(cache.remember("pool", {"kind": "shapes", "seed": 1}, work))
    assert work.done == 1
    (entry,) = folder.iterdir()
    assert entry.name.startswith("pool-") and entry.suffix == ".npz"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # it may hold a hidden pool


def test_other_inputs_are_other_entries(folder, monkeypatch):
    work = Work()
    cache.remember("pool", {"seed": 1}, work)
    cache.remember("pool", {"seed": 2}, work)
    cache.remember("bank", {"seed": 1}, work)
    assert work.done == 3
    monkeypatch.setattr(cache.torch, "get_num_threads", lambda: 63)
    cache.remember("pool", {"seed": 1}, work)
    monkeypatch.setattr(cache, "_library", lambda: "another library")
    cache.remember("pool", {"seed": 1}, work)
    assert work.done == 5 and len(list(folder.iterdir())) == 5


def test_a_changed_line_of_the_library_is_another_library(tmp_path, monkeypatch):
    root = tmp_path / "trickster"
    (root / "checks").mkdir(parents=True)
    monkeypatch.setattr(cache, "__file__", str(root / "checks" / "cache.py"))
    (root / "attacks.py").write_text("STACK = 4\n")
    first = cache._library.__wrapped__()
    assert first == cache._library.__wrapped__()
    (root / "attacks.py").write_text("STACK = 5\n")
    assert first != cache._library.__wrapped__()


@pytest.mark.parametrize("write", [None, "", "0", "yes"])
def test_without_leave_nothing_is_written(folder, monkeypatch, write):
    if write is None:
        monkeypatch.delenv("TRICKSTER_STORE_WRITE")
    else:
        monkeypatch.setenv("TRICKSTER_STORE_WRITE", write)
    work = Work()
    assert same(cache.remember("pool", {}, work)) and same(cache.remember("pool", {}, work))
    assert work.done == 2 and not folder.exists()


def test_without_a_cache_everything_is_computed(tmp_path, monkeypatch):
    monkeypatch.delenv("TRICKSTER_STORE", raising=False)
    monkeypatch.setenv("TRICKSTER_STORE_WRITE", "1")
    monkeypatch.chdir(tmp_path)
    work = Work()
    assert same(cache.remember("pool", {}, work)) and same(cache.remember("pool", {}, work))
    assert work.done == 2 and not list(tmp_path.iterdir())


def test_what_was_written_is_read_where_nothing_may_be_written(folder, monkeypatch):
    work = Work()
    cache.remember("pool", {}, work)
    monkeypatch.delenv("TRICKSTER_STORE_WRITE")
    assert same(cache.remember("pool", {}, work)) and work.done == 1


def test_an_entry_with_any_bit_flipped_is_right_or_computed_again(folder):
    cache.remember("pool", {}, Work())
    (entry,) = folder.iterdir()
    content, mended = entry.read_bytes(), 0
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        entry.write_bytes(damaged)
        work = Work()
        assert same(cache.remember("pool", {}, work)), at
        mended += work.done
    assert mended > len(content) / 2


def test_an_entry_cut_short_is_computed_again_and_mended(folder):
    cache.remember("pool", {}, Work())
    (entry,) = folder.iterdir()
    content = entry.read_bytes()
    for size in range(0, len(content), 7):
        entry.write_bytes(content[:size])
        work = Work()
        for _ in range(2):
            assert same(cache.remember("pool", {}, work))
        assert work.done == 1


def test_a_pickle_is_never_opened(folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "boom"),)

    work = Work()
    cache.remember("pool", {}, work)
    (entry,) = folder.iterdir()
    with entry.open("wb") as file:
        np.savez(file, x=np.array([Bomb()], dtype=object), y=ARRAYS["y"])
    assert same(cache.remember("pool", {}, work))
    assert work.done == 2 and not (tmp_path / "boom").exists()


def test_half_an_entry_is_never_seen(folder, monkeypatch):
    def broken(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    assert same(cache.remember("pool", {}, Work()))
    assert not list(folder.iterdir())


def test_a_cache_that_cannot_be_made_stops_nobody(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TRICKSTER_STORE", str(tmp_path / "file"))
    monkeypatch.setenv("TRICKSTER_STORE_WRITE", "1")
    assert same(cache.remember("pool", {}, Work()))


# --- what the checks keep there -----------------------------------------------------------------


@pytest.fixture
def fresh():
    """A process that has computed nothing yet, before and after."""

    def forget():
        for function in (fixtures.answered, fixtures._tested, fixtures.bank, panel.undefended):
            function.cache_clear()

    forget()
    yield forget
    forget()


def test_undefended_thieves_are_trained_once_for_a_class(folder, fresh, monkeypatch):
    trained = []
    real = panel.attacks.train_clones
    monkeypatch.setattr(
        panel.attacks, "train_clones", lambda sets, **how: trained.append(1) or real(sets, **how)
    )
    pool = panel.Pool("shapes", 120, "five")
    first = panel.undefended(pool, ("soft", "hard"))
    assert panel.undefended(pool, ("soft", "hard")) is first  # known in this process
    fresh()
    assert same(panel.undefended(pool, ("soft", "hard")), first)  # and in the next one
    assert len(trained) == 1
    assert first["soft"].shape == (5_000,)
    other = panel.undefended(pool._replace(name="six"), ("soft", "hard"))
    assert len(trained) == 2 and not same(other, first)


def test_pools_are_kept_bit_by_bit(folder, fresh):
    for kind in ("hidden", "shapes"):
        first = fixtures.answered(kind, 40, "three")
        fresh()
        again = fixtures.answered(kind, 40, "three")
        assert again is not first
        assert same(vars(again), vars(first))
    assert len(list(folder.iterdir())) == 2


def test_one_training_set_under_two_names_is_trained_on_once_and_an_empty_one_never():
    pool = fixtures.answered("shapes", 60, "one")
    one = panel.training_set(pool.x, pool.posteriors, "soft", 0)
    empty = panel.training_set(pool.x[:0], pool.posteriors[:0], "soft", 0)
    (labels,) = panel.train([{"soft": one, "Sybil": one, "averaging": empty}])
    assert labels["soft"] is labels["Sybil"] and "averaging" not in labels


def test_a_service_that_answers_nobody_leaves_every_thief_at_chance():
    def make(bank, honest):
        def layered(x, posteriors, features, key, now):
            raise RateLimited(key, len(x), 60.0)

        return layered

    tried = service_cases.try_out(make, 1, 300, lambda text: None)
    found = service_cases.panel(tried)
    thieves = ("soft", "hard", "averaging", "Sybil")
    assert found.after == {thief: [service_cases.CHANCE] for thief in thieves}


def test_no_two_secrets_share_an_entry(folder, fresh):
    for secret in (b"1" * 16, b"2" * 16):
        with draws.grading_with(secret):
            fixtures.answered("shapes", 40, "three")
            panel.undefended(panel.Pool("shapes", 40, "three"), ("soft",))
    assert len(list(folder.iterdir())) == 4
