"""The cure of a broken torchvision: given when it is needed, and only then."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from trickster import _torchvision

REPOSITORY = Path(__file__).resolve().parent.parent
SYMPTOM = "operator torchvision::nms does not exist"


@pytest.fixture(autouse=True)
def fresh():
    """``load`` remembers its answer: forget it before and after each test."""
    _torchvision.load.cache_clear()
    yield
    _torchvision.load.cache_clear()


def in_a_new_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_real_torchvision_can_be_used_afterwards():
    code = """
from trickster import _torchvision
assert "torchvision" not in __import__("sys").modules  # it takes seconds: only when needed
tv = _torchvision.load()
import torchvision.datasets, torchvision.transforms.functional as F, torchvision.utils, torch
assert tv is torchvision is _torchvision.load()
tv.datasets.CIFAR10, tv.datasets.KMNIST, tv.transforms.ToTensor, tv.utils.make_grid
print(tuple(F.resize(torch.rand(1, 8, 8), [4, 4]).shape))
"""
    assert in_a_new_process(code).split("\n")[-2] == "(1, 4, 4)"


@pytest.mark.slow
def test_the_cure_makes_undeclared_operators_known():
    # Also where the installed torchvision is healthy: in a namespace that nobody has declared.
    code = """
import torch
from trickster import _torchvision
assert not hasattr(torch.ops.torchvision, "nms")
_torchvision._declare_schemas()
_torchvision._declare_schemas()  # a second time changes nothing
names = [str(getattr(torch.ops.torchvision, n).default._schema) for n in ("nms", "qnms")]
import gc; gc.collect()
assert hasattr(torch.ops.torchvision, "nms")
torch.library.register_fake("torchvision::nms")(lambda d, s, t: d)  # what torchvision does
print(names)
"""
    schema = "torchvision::{}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    assert in_a_new_process(code).strip() == str([schema.format(n) for n in ("nms", "qnms")])


def pretend(monkeypatch, *outcomes) -> list[str]:
    """Let each import in turn raise or return what is given; the record of what happened."""
    record, left = [], list(outcomes)

    def fake_import():
        record.append("import")
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(_torchvision, "_import", fake_import)
    monkeypatch.setattr(_torchvision, "_forget_half_import", lambda: record.append("forget"))
    monkeypatch.setattr(_torchvision, "_declare_schemas", lambda: record.append("declare"))
    return record


def test_a_healthy_torchvision_is_left_alone(monkeypatch):
    healthy = types.ModuleType("torchvision")
    record = pretend(monkeypatch, healthy)
    assert _torchvision.load() is healthy is _torchvision.load()
    assert record == ["import"]


def test_a_broken_one_is_cured_and_imported_again(monkeypatch):
    cured = types.ModuleType("torchvision")
    record = pretend(monkeypatch, RuntimeError(SYMPTOM), cured)
    assert _torchvision.load() is cured
    assert record == ["import", "forget", "declare", "import"]


def test_other_illnesses_are_reported_as_they_are(monkeypatch):
    record = pretend(monkeypatch, RuntimeError("no kernel image is available"))
    with pytest.raises(RuntimeError, match="no kernel image"):
        _torchvision.load()
    assert record == ["import"]


def test_a_cure_that_fails_is_not_remembered(monkeypatch):
    healthy = types.ModuleType("torchvision")
    pretend(monkeypatch, RuntimeError(SYMPTOM), RuntimeError(SYMPTOM), healthy)
    with pytest.raises(RuntimeError):
        _torchvision.load()
    assert _torchvision.load() is healthy


def test_without_torchvision_the_error_says_what_to_install(monkeypatch):
    pretend(monkeypatch, ModuleNotFoundError("No module named 'torchvision'"))
    with pytest.raises(ImportError, match="pip install torchvision"):
        _torchvision.load()


def test_what_a_failed_import_left_behind_is_forgotten(monkeypatch):
    for name in ("torchvision", "torchvision.ops", "torchvisionary"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    kept = dict(sys.modules)
    try:
        _torchvision._forget_half_import()
        assert "torchvision" not in sys.modules and "torchvision.ops" not in sys.modules
        assert "torchvisionary" in sys.modules  # another package
    finally:
        sys.modules.update(kept)
