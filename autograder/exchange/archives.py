"""Reads a download safely: a zip, zips within it, or a folder; nothing else of it is trusted.

No name from an archive ever becomes a path on this machine. What may be a notebook is copied into
a staging folder under a name of ours; of all other files only the names are kept. A file that
cannot be read costs a sentence, and never the others.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from autograder.course import CourseError
from autograder.exchange import fair_share
from autograder.foreign_text import visible
from autograder.grading.submitted import MACOS, NOTEBOOK
from autograder.repair.salvage import MAX_BYTES

METADATA = "submission_metadata.yml"  # Gradescope's
ALSO_READ = (METADATA, "timestamp.txt")
RECEIPT = "_attempt_"  # in the name of Blackboard's text beside each submission
MAX_TEXT = 100_000_000  # bytes of one such file: Gradescope's is about a whole class
MAX_TOTAL = 20_000_000_000  # bytes of all that is unpacked
MAX_ENTRIES = 200_000
AN_ENTRY = 250  # bytes of the list of files for each entry, on average: 46, its name and times
MAX_DEPTH = 3  # of zips within zips
MAX_RATIO = 50  # how much larger an inner zip may become; an honest notebook's is below 20
MAX_ALLOWED = 500_000_000  # bytes that an inner zip may become: no student fills MAX_TOTAL
MIN_ALLOWED = 2 * MAX_BYTES  # bytes that every inner zip may become
BLOCK = 1024**2
OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz")
TOO_MANY = "it holds more files than any class hands in"
UNICODE_NAME = 0x7075  # Info-ZIP's extra field
NOT_READ = (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile)
LONGEST = 300  # characters of a name; file systems allow 255
SKIPPED = ("thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Item:
    """One file of a download: the folders and zips that it lies in, and its name."""

    path: tuple[str, ...]
    staged: Path | None = None  # its copy; None where it is of no use
    sha256: str = ""

    @property
    def is_notebook(self) -> bool:
        """Whether it may be one: it was copied, and is none of the texts that are read as well."""
        return self.staged is not None and NOTEBOOK.search(self.path[-1]) is not None

    @property
    def shown(self) -> str:
        return visible("/".join(self.path))


@dataclass(frozen=True)
class Refused:
    """What is not collected, and why."""

    what: str
    reason: str


@dataclass
class Download:
    """All that a download holds."""

    items: list[Item] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def refuse(self, path: tuple[str, ...], reason: str) -> None:
        shown = visible("/".join(path))
        self.refused.append(Refused(shown if len(shown) <= LONGEST else f"{shown[:80]}...", reason))


class TooLarge(ValueError):
    """More would be unpacked than is allowed."""


@dataclass
class _Budget:
    """What may still be unpacked."""

    size: int
    entries: int

    def take(self, size: int) -> None:
        self.size -= size
        if self.size < 0:
            raise TooLarge("it unpacks to far more than its own size, as a zip bomb does")

    def count(self) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise TooLarge(TOO_MANY)


class _Listed(io.BufferedReader):
    """A zip whose list of files is not read where it is longer than `most` bytes.

    `zipfile` takes it into memory as a whole, before anybody can count what is in it.
    """

    most: float = math.inf

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise TooLarge(TOO_MANY)
        return super().read(size)


@contextmanager
def _opened(source: Path, entries: int) -> Iterator[zipfile.ZipFile]:
    """A zip of about so many entries. Raises TooLarge for one with a far longer list."""
    with _Listed(io.FileIO(source)) as file:
        file.most = AN_ENTRY * max(0, entries)
        with zipfile.ZipFile(file) as archive:
            file.most = math.inf
            yield archive


def read(source: Path, staging: Path) -> Download:
    """What lies in a zip or a folder. Raises CourseError where it is neither."""
    if not source.exists():
        raise CourseError(f"There is no file or folder {source}.")
    download = Download()
    budget = _Budget(MAX_TOTAL, MAX_ENTRIES)
    reader = _Reader(download, staging)
    try:
        if source.is_dir():
            reader.folder(source, budget)
        elif zipfile.is_zipfile(source):
            reader.zip(source, (), budget, 1)
        else:
            raise CourseError(
                f"{source} is no zip and no folder: give the zip that your system lets you "
                "download, or a folder that you have unpacked."
            )
    except (TooLarge, zipfile.BadZipFile) as error:
        raise CourseError(f"{source} is not collected: {error}.") from error
    return download


class _Reader:
    """Copies what may matter into the staging folder."""

    def __init__(self, download: Download, staging: Path):
        self.download, self.staging, self.number = download, staging, 0

    def folder(self, source: Path, budget: _Budget) -> None:
        found: list[tuple[Path, tuple[str, ...]]] = []
        for place, folders, files in os.walk(source):
            for name in sorted(folders):
                path = Path(place, name)
                if path.is_symlink():
                    self._refuse_link(path.relative_to(source).parts)
            folders[:] = sorted(name for name in folders if not _is_clutter(name))
            for name in sorted(files):
                path = Path(place, name)
                if not _is_clutter(name):
                    found.append((path, path.relative_to(source).parts))
        sizes = [(parts, _counted(parts[-1], path.lstat().st_size)) for path, parts in found]
        left_out = self._left_out(sizes)
        for path, parts in found:
            if not _is_below(parts, left_out):
                budget.count()
                self._one_file(path, parts, budget)

    def _left_out(self, sizes: list[tuple[tuple[str, ...], int]]) -> set[tuple[str, ...]]:
        """What is not read so that all else can be, each with a sentence."""
        left_out = fair_share.left_out(sizes, MAX_TOTAL, MAX_ENTRIES) - {()}
        for parts in sorted(left_out):
            self.download.refuse(
                parts, "it holds far more than anybody hands in: ask for the notebook itself"
            )
        return left_out

    def _one_file(self, path: Path, parts: tuple[str, ...], budget: _Budget) -> None:
        if path.is_symlink():
            self._refuse_link(parts)
        elif not stat.S_ISREG(path.lstat().st_mode):
            self.download.refuse(parts, "it is no file, but a pipe or a device")
        else:
            self._file(parts, lambda: path.open("rb"), budget, 1)

    def _refuse_link(self, parts: tuple[str, ...]) -> None:
        self.download.refuse(parts, "it is a link to another place: ask for the file itself")

    def zip(self, source: Path, above: tuple[str, ...], budget: _Budget, depth: int) -> None:
        """Every entry of a zip; raises TooLarge or BadZipFile about the whole of it."""
        with _opened(source, budget.entries) as archive:
            entries = [(one, *_parts(one, above)) for one in archive.infolist()]
            left_out: set[tuple[str, ...]] = set()
            if depth == 1:
                sizes = ((parts, _counted(parts[-1], one.file_size)) for one, _, parts in entries)
                left_out = self._left_out([one for one in sizes if one[0]])
            for entry, names, parts in entries:
                if _is_below(parts, left_out):
                    continue
                budget.count()
                if entry.is_dir() or any(_is_clutter(name) for name in parts):
                    continue
                if reason := _unsafe(entry, names):
                    self.download.refuse(parts, reason)
                else:
                    self._file(parts, lambda e=entry: archive.open(e), budget, depth)

    def _file(self, parts: tuple[str, ...], opened, budget: _Budget, depth: int) -> None:
        name = parts[-1]
        try:
            if name.lower().endswith(".zip"):
                self._inner(parts, opened, budget, depth)
            elif limit := _limit(name):
                staged, digest = self._stage(opened, limit, budget)
                self.download.items.append(Item(parts, staged, digest))
            else:
                self.download.items.append(Item(parts))
        except TooLarge as error:
            if budget.size < 0:
                raise
            self.download.refuse(parts, str(error))
        except (*NOT_READ, zlib.error, struct.error) as error:
            self.download.refuse(parts, f"it cannot be read: {visible(str(error))}")

    def _inner(self, parts: tuple[str, ...], opened, budget: _Budget, depth: int) -> None:
        """A zip within: whole, or not at all."""
        if depth >= MAX_DEPTH:
            raise ValueError("it is a zip within zips within zips; ask for the notebook itself")
        staged, _ = self._stage(opened, min(MAX_ALLOWED, budget.size), budget)
        allowed = max(MIN_ALLOWED, MAX_RATIO * staged.stat().st_size)
        inner = _Budget(min(allowed, MAX_ALLOWED, budget.size), min(20_000, budget.entries))
        granted, own = replace(inner), Download()
        outer, self.download = self.download, own
        try:
            self.zip(staged, parts, inner, depth + 1)
        finally:
            self.download = outer
            if depth > 1:  # within a student's own zip
                budget.entries -= granted.entries - inner.entries
            budget.take(granted.size - max(0, inner.size))
            staged.unlink()
        outer.items += own.items
        outer.refused += own.refused

    def _stage(self, opened, limit: int, budget: _Budget) -> tuple[Path, str]:
        """Copy a file; its size is counted as it is read, whatever the archive says of it."""
        self.number += 1
        target = self.staging / f"{self.number:06}"
        digest, size = hashlib.sha256(), 0
        with opened() as file, target.open("xb") as copy:
            for block in _blocks(file):
                size += len(block)
                budget.take(len(block))
                if size > limit:
                    raise TooLarge(f"it has more than {limit / 1e6:,.0f} MB")
                digest.update(block)
                copy.write(block)
        return target, digest.hexdigest()


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def _limit(name: str) -> int:
    """How large a file may be that is needed; 0 for one that is not."""
    lower = name.lower()
    if name in ALSO_READ or (RECEIPT in lower and lower.endswith(".txt")):
        return MAX_TEXT
    return MAX_BYTES if NOTEBOOK.search(name) else 0


def _counted(name: str, size: int) -> int:
    """How much of a file is copied at first: a zip whole, and of what has no use nothing."""
    return size if name.lower().endswith(".zip") else min(size, _limit(name))


def _is_below(parts: tuple[str, ...], folders: set[tuple[str, ...]]) -> bool:
    return bool(folders) and any(parts[: n + 1] in folders for n in range(len(parts)))


def _parts(
    entry: zipfile.ZipInfo, above: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names in an entry's path as they are written, and its whole path as it is used."""
    names = tuple(entry_name(entry).replace("\\", "/").split("/"))
    return names, (*above, *(name for name in names if name not in ("", ".")))


def _is_clutter(name: str) -> bool:
    """What systems and editors leave beside files; hidden files are never notebooks."""
    return name == MACOS or (name.startswith(".") and name != "..") or name.lower() in SKIPPED


def _unsafe(entry: zipfile.ZipInfo, names: tuple[str, ...]) -> str:
    """Why an entry is left alone, or ""."""
    if ".." in names or names[0] == "" or names[0].endswith(":"):
        return "its name leads out of the archive, which no download of a system does"
    if any(len(name) > LONGEST for name in names) or len(names) > LONGEST:
        return "its name is longer than any file's: rename it"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link to another place: ask for the file itself"
    if entry.flag_bits & 1:
        return "it is encrypted: ask for it without a password"
    return ""


def entry_name(entry: zipfile.ZipInfo) -> str:
    """An entry's name as it was meant: many programs write UTF-8 and do not say so."""
    name = entry.orig_filename.split("\0")[0]
    if entry.flag_bits & 0x800 or name.isascii():
        return name
    raw = name.encode("cp437", "replace")
    declared = _unicode_extra(entry.extra, zlib.crc32(raw))
    if declared is not None:
        return declared
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return name


def _unicode_extra(extra: bytes, checksum: int) -> str | None:
    """The name in Info-ZIP's extra field, if it is about this name."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_NAME and len(content) > 5 and content[0] == 1:
            if struct.unpack("<I", content[1:5])[0] != checksum:
                return None
            try:
                return content[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None


def is_other_archive(name: str) -> bool:
    return name.lower().endswith(OTHER_ARCHIVES)
