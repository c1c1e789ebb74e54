"""The hash of what was handed in, whatever lies in the notebook's place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reference import ROOT

from autograder.records import inputs_of
from autograder.repair.salvage import MAX_BYTES


def submission_hash(path: Path) -> str:
    return inputs_of(ROOT, "lab1_train_victim", path, trusted=False)["submission"]


def test_the_same_text_has_the_same_hash_and_another_text_another(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    a, b, c = (submission_hash(tmp_path / name) for name in "abc")
    assert a == b != c


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: os.symlink("/dev/zero", path),
        lambda path: os.symlink("nowhere", path),
    ],
    ids=["pipe", "folder", "endless", "dangling"],
)
def test_what_is_no_file_is_not_read(tmp_path: Path, make) -> None:
    path = tmp_path / "lab.ipynb"
    missing = submission_hash(path)
    make(path)
    assert submission_hash(path) != missing


@pytest.mark.timeout(60)
def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "lab.ipynb"
    path.touch()
    os.truncate(path, 10**12)  # takes no room on the disk
    first = submission_hash(path)
    os.truncate(path, MAX_BYTES + 1)
    assert first != submission_hash(path)
