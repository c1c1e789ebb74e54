"""Which part of a download is left out where it holds more than can be read.

That is the part of one student, never the whole class: without it, all others are collected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

Path = tuple[str, ...]
DEEPEST = 12  # folders that are told apart
MOST = 1_000  # parts that are left out before all is
AROUND = re.compile(r"lab|submi", re.IGNORECASE)  # may begin the name of a folder of many


def left_out(files: Iterable[tuple[Path, int]], most_bytes: int, most_files: int) -> set[Path]:
    """The folders or files to leave out, given each file's path and size; {()} if nothing helps."""
    files = list(files)
    size, number = sum(length for _, length in files), len(files)
    if size <= most_bytes and number <= most_files:
        return set()
    weights: Counter[Path] = Counter()
    below: dict[Path, set[Path]] = {}
    sizes: dict[Path, list[int]] = {}
    for path, length in files:
        for depth in range(min(len(path), DEEPEST) + 1):
            weights[path[:depth]] += length * most_files + most_bytes
            sizes.setdefault(path[:depth], [0, 0])
            sizes[path[:depth]][0] += length
            sizes[path[:depth]][1] += 1
            if depth:
                below.setdefault(path[: depth - 1], set()).add(path[:depth])
    out: set[Path] = set()
    while size > most_bytes or number > most_files:
        part = _heaviest(weights, below)
        if not part or len(out) == MOST:
            return {()}
        out.add(part)
        size, number = size - sizes[part][0], number - sizes[part][1]
        for depth in range(len(part)):
            weights[part[:depth]] -= weights[part]
            sizes[part[:depth]][0] -= sizes[part][0]
            sizes[part[:depth]][1] -= sizes[part][1]
        below[part[:-1]].discard(part)
    return out


def _heaviest(weights: Counter[Path], below: dict[Path, set[Path]]) -> Path:
    """The part with most in it: a folder of many files, but not one around those of others."""
    part: Path = ()
    around = True
    while inside := below.get(part):
        child = max(inside, key=lambda one: (weights[one], one))
        child_is_around = around and bool(len(inside) == 1 or AROUND.match(child[-1]))
        if weights[child] * 2 <= weights[part] and not child_is_around:
            return child if around else part
        part, around = child, child_is_around
    return part
