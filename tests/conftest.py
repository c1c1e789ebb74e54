"""What all tests share: one thread, the repository's own code, repeatable random examples."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path

# Before torch starts: two threads on a busy machine are slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from collections import Counter  # noqa: E402
from collections.abc import Iterator  # noqa: E402

import light_jobs  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from trickster import withheld  # noqa: E402

settings.register_profile("course", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("course")


# The files that take longest. A worker takes the next one when two tests are left of its own: so
# those that mostly wait, in the second row, come one after the other while the others compute.
LONGEST = (
    *("test_labs", "test_zoo_hostile", "test_sample_class"),
    *("test_grading_killed_runs", "test_grading_cluster"),
    *("test_checks_lab1", "test_checks_lab2", "test_grading_run", "test_checks_lab5"),
    *("test_checks_cheats", "test_cli", "test_checks_lab3", "test_grading_secret"),
    *("test_grading_silent", "test_grading_bounded", "test_foreign_names", "test_referee_hostile"),
    *("test_checks_lab6", "test_grading_withheld", "test_grading_file_choice"),
)


OF_MANY = 6  # one case of so many is run where nobody asks for all


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-cases", action="store_true", help="run all of many_cases, and the thorough"
    )


def _leave_out_cases(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of each test of many cases that train something, keep every sixth; of the thorough, none."""
    seen: Counter[str] = Counter()
    kept, left_out = [], []
    for item in items:
        one_of_many = item.get_closest_marker("many_cases") is not None
        test = item.nodeid.partition("[")[0]
        thorough = item.get_closest_marker("thorough") is not None
        (left_out if thorough or (one_of_many and seen[test] % OF_MANY) else kept).append(item)
        seen[test] += 1
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no core waits for it at the end."""
    if not config.getoption("all_cases"):
        _leave_out_cases(config, items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[int, bool]:
        name = item.path.stem
        return LONGEST.index(name) if name in LONGEST else len(LONGEST), item.path not in slow

    items.sort(key=place)


@pytest.fixture(scope="module")
def graded_here() -> Iterator[None]:
    """Grading one submission after the other starts no process."""
    with light_jobs.graded_here():
        yield


ARCHIVE = REPOSITORY.parent / "shared" / "data" / "cifar10_images.tar.xz"
REAL_PICTURES = {"train": 3, "test": 40}  # of each class


@pytest.fixture(scope="session")
def real_cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with some real pictures of CIFAR-10, where there is an archive of them."""
    if not ARCHIVE.is_file():
        pytest.skip("no archive of real CIFAR-10 pictures")
    root = tmp_path_factory.mktemp("cifar10")
    wanted: dict[tuple[str, ...], int] = {}
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            key = Path(member.name).parts[-3:-1]
            if not member.isfile() or wanted.setdefault(key, REAL_PICTURES[key[0]]) == 0:
                continue
            archive.extract(member, root, filter="data")
            wanted[key] -= 1
    assert len(wanted) == 20 and not any(wanted.values())
    return root


@pytest.fixture
def library_answers() -> Iterator[None]:
    """The library's functions may answer the exercises that they are withheld from."""
    with withheld.refused_by(withheld.nobody):
        yield
