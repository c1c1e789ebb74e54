"""Which files a submission sees: what Python needs of the machine, and the course's library.

All else is absent: the repository, solutions, gradebook, other submissions, home folders. The
checks hold hidden data and thresholds, so stand-ins take their place; only `probes`, which runs
on the student's side by design, is the real one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from autograder.environment import ONE_THREAD

STAND_IN = Path(__file__).resolve().parent / "stand_in"
INIT = Path(__file__).resolve().parent / "init.py"
COURSE = "/course"  # the library and its data, inside
CHECKS = "trickster/checks"
TOOLS = "/run/trickster"  # the program that starts there first
KERNEL_SOCKETS = "/run/kernel"  # the kernel's own sockets
WRITABLE = ("/tmp", "/dev/shm", KERNEL_SOCKETS)  # each in memory
WORK = "/tmp/work"  # the private work folder
HOME = "/tmp/home"
SHARED_MEMORY = 64 * 1024**2
# Where the machine's Python and its libraries are; of /etc, what the linker and the fonts need.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "fonts")

Binds = Mapping[str, tuple[str, bool]]  # a path here → (its path in the sandbox, is it writable)


@dataclass
class FileSystem:
    """The file system of a sandbox: what is shown, and where."""

    root: Path
    disk: int
    binds: Binds = field(default_factory=dict)
    hidden: Sequence[Path] = ()  # folders that stay hidden even inside one that is shown

    def arguments(self) -> list[str]:
        """bubblewrap's arguments, a folder before what lies in it."""
        places: list[tuple[str, list[str]]] = [
            *self._system(),
            *self._python(),
            *self._course(),
            *self._writable(),
        ]
        for source, (inside, writable) in self.binds.items():
            places.append((inside, ["--bind" if writable else "--ro-bind", str(source), inside]))
        # Whatever shows a folder above the repository must not show the repository, and so on.
        shown = [place for place, arguments in places if arguments[0] == "--ro-bind"]
        for folder in map(str, (self.root, *self.hidden, *_cache_of_checks())):
            if any(_within(folder, place) for place in shown):
                places.append((folder, ["--tmpfs", folder]))
        places += _folders_above(places)
        ordered = sorted(places, key=lambda place: place[0].count("/"))
        made = [argument for _, arguments in ordered for argument in arguments]
        return [*made, *_remount_read_only(ordered)]

    def environment(self) -> dict[str, str]:
        """All the variables that a submission gets."""
        programs = Path(sys.executable).parent
        return {
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "HOME": HOME,
            "TMPDIR": "/tmp",
            "LANG": "C.UTF-8",
            "USER": "student",
            "LOGNAME": "student",
            "MPLCONFIGDIR": f"{HOME}/matplotlib",
            "PYTHONPATH": COURSE,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            **ONE_THREAD,
            # The kernel's parent is the first process of the sandbox, and ipykernel ends at once
            # if it is not told so.
            "JPY_PARENT_PID": "1",
        }

    def _system(self) -> list[tuple[str, list[str]]]:
        places = [("/proc", ["--proc", "/proc"]), ("/dev", ["--dev", "/dev"])]
        # Shared mappings of /dev/zero are memory that no process seems to hold.
        places.append(("/dev/zero", ["--dev-bind", "/dev/null", "/dev/zero"]))
        for name in SYSTEM:
            if os.path.islink(name):
                places.append((name, ["--symlink", os.readlink(name), name]))
            elif os.path.isdir(name):
                places.append((name, ["--ro-bind", name, name]))
        return places + [
            (f"/etc/{name}", ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]) for name in ETC
        ]

    def _python(self) -> list[tuple[str, list[str]]]:
        shown = [path for path in python_prefixes() if not _within(path, "/usr")]
        places = [(path, ["--ro-bind", path, path]) for path in shown]
        return [*places, (f"{TOOLS}/{INIT.name}", _bind(INIT, f"{TOOLS}/{INIT.name}"))]

    def _course(self) -> list[tuple[str, list[str]]]:
        places = [
            (f"{COURSE}/{name}", _bind(self.root / name, f"{COURSE}/{name}"))
            for name in ("trickster", "datasets")
        ]
        return places + self._checks()

    def _checks(self) -> list[tuple[str, list[str]]]:
        """A stand-in for each module of the checks, in packages as well; the real `probes`."""
        checks, inside = self.root / CHECKS, f"{COURSE}/{CHECKS}"
        real = {"__init__.py": STAND_IN / "__init__.py", "probes.py": checks / "probes.py"}
        places = [(inside, ["--tmpfs", inside])]
        for path in sorted(checks.rglob("*.py")):
            name = path.relative_to(checks).as_posix()
            place = f"{inside}/{name}"
            places.append((place, _bind(real.get(name, STAND_IN / "check.py"), place)))
        packages = {os.path.dirname(place) for place, _ in places[1:]} - {inside}
        return places + [(place, ["--perms", "0755", "--dir", place]) for place in packages]

    def _writable(self) -> list[tuple[str, list[str]]]:
        def memory(place: str, size: int) -> list[str]:
            return ["--perms", "1777", "--size", str(size), "--tmpfs", place]

        sizes = (self.disk, min(self.disk, SHARED_MEMORY), 1024**2)
        places = [(place, memory(place, n)) for place, n in zip(WRITABLE, sizes, strict=True)]
        for folder in (WORK, HOME, f"{HOME}/matplotlib"):
            places.append((folder, ["--perms", "0777", "--dir", folder]))
        for path in font_caches():
            inside = f"{HOME}/matplotlib/{path.name}"
            places.append((inside, _bind(path, inside)))
        return places


def python_prefixes() -> set[str]:
    """The folders of this Python and its packages."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    # .venv/bin/python is a link, often through another link.
    return prefixes | {os.path.realpath(prefix) for prefix in prefixes}


def _cache_of_checks() -> list[Path]:
    """The folder where checks keep what they have computed: drawn pictures are among it."""
    folder = os.environ.get("TRICKSTER_STORE")
    return [Path(folder).resolve()] if folder and os.path.isdir(folder) else []


def _bind(path: Path, inside: str) -> list[str]:
    return ["--ro-bind", str(path), inside]


def _folders_above(places: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The folders above these places: those that bubblewrap makes itself are open to root only.

    What lies in a shown folder is there already; in one in memory, such as /tmp, it is not.
    """
    there = {place for place, _ in places} | {"/"}
    shown = [place for place, args in places if not {"--tmpfs", "--dir"} & set(args)]
    above = {str(folder) for place, _ in places for folder in Path(place).parents} - there
    made = [folder for folder in above if not any(_within(folder, place) for place in shown)]
    return [(folder, ["--perms", "0755", "--dir", folder]) for folder in made]


def _remount_read_only(places: list[tuple[str, list[str]]]) -> list[str]:
    """Write-protect the folders that bubblewrap made in memory: no size limits them.

    And /proc, where a process could make itself the last that Linux ends for want of memory.
    """
    made = ["/dev", "/proc", "/"]
    made += [place for place, args in places if args[0] == "--tmpfs"]
    return [argument for place in made for argument in ("--remount-ro", place)]


def font_caches() -> list[Path]:
    """matplotlib's list of fonts: without it every kernel spends seconds on making one."""
    configured = os.environ.get("MPLCONFIGDIR")
    folder = Path(configured) if configured else platformdirs.user_cache_path("matplotlib")
    return sorted(folder.glob("fontlist-v*.json")) if folder.is_dir() else []


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
