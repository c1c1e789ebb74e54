"""bubblewrap itself: is it there, how is it called, and what to do where it does not work."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from autograder.course import CourseError
from autograder.sandbox.limits import counts_by_namespace

# Users that no machine gives to people (systemd keeps the range for short-lived services).
PASSING_USERS = range(61184, 65520)
INSTALL = (
    "Install it: sudo apt-get install bubblewrap (Debian, Ubuntu), sudo dnf install bubblewrap "
    "(Fedora, RHEL), sudo pacman -S bubblewrap (Arch), sudo zypper install bubblewrap (openSUSE). "
    "It needs Linux; on Windows, WSL 2 will do."
)
NAMESPACES = (
    "Unprivileged user namespaces are forbidden here. On Ubuntu 23.10 or newer: sudo sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0 (or give bwrap an AppArmor profile: package "
    "apparmor-profiles, file bwrap-userns-restrict). On older Debian: sudo sysctl "
    "kernel.unprivileged_userns_clone=1. In a container: start it with --privileged, or grade "
    "outside of it."
)


class SandboxError(CourseError):
    """The sandbox could not be started; the message says why, and what to do."""


def find() -> str:
    """The path of bubblewrap; raises SandboxError where it is missing or too old."""
    path = shutil.which("bwrap")
    if path is None:
        raise SandboxError(f"bubblewrap (the program bwrap) is not installed. {INSTALL}")
    told = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)
    if "--size" not in told.stdout + told.stderr:
        raise SandboxError(
            f"{path} is too old: it cannot limit the size of a folder. Version 0.8 or newer can."
        )
    return path


def passing_user() -> int:
    """A user for one sandbox, if this process may become another user; else 0.

    Root's processes have no limit on their number, and root owns the machine's files: a
    submission that root grades runs as somebody who owns nothing.
    """
    if os.geteuid() != 0:
        return 0
    rows = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    mapped = any(
        int(first) <= PASSING_USERS[0] and PASSING_USERS[-1] < int(first) + int(count)
        for first, _, count in rows
    )
    return random.SystemRandom().choice(PASSING_USERS) if mapped else 0


def counts_processes(user: int) -> bool:
    """Can Linux itself limit the number of processes in a sandbox of this user?"""
    return user != 0 or (os.geteuid() != 0 and counts_by_namespace())


def isolation(user: int) -> list[str]:
    """The arguments that part a sandbox from the machine, apart from its file system."""
    spaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    spaces += ["--unshare-cgroup-try", "--hostname", "sandbox", "--new-session"]
    spaces += ["--die-with-parent", "--cap-drop", "ALL"]
    if user:
        # Becoming that user needs these two, and becoming it gives them up.
        return [*spaces, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*spaces, "--unshare-user", "--uid", "1000", "--gid", "1000"]


def closed_to_others(program: Path) -> str:
    """A sentence on what keeps other users from running `program`, or "" if nothing does."""
    real = program.resolve()
    for folder in reversed(real.parents):
        if not folder.stat().st_mode & 0o001:
            return f"{real} cannot be reached by the sandbox's user: {folder} is closed to others."
    if real.stat().st_mode & 0o005 != 0o005:
        return f"{real} itself is closed to other users."
    return ""


def explain(stderr: str) -> str:
    """What bubblewrap's own words mean for whoever reads them."""
    text = " ".join(stderr.split()) or "it gave no reason"
    if "mount proc" in stderr:
        return (
            "This container hides parts of /proc, so that no process namespace can be made in it: "
            "start it with --privileged (or --security-opt systempaths=unconfined), or grade "
            f"outside of it. (bwrap said: {text})"
        )
    if any(word in stderr for word in ("uid map", "user namespace", "new namespace", "userns")):
        return f"{NAMESPACES} (bwrap said: {text})"
    if "the sandbox may not run" in stderr:
        why = closed_to_others(Path(sys.executable))
        return f"{text.rstrip('.')}. {why}".rstrip()
    if "Operation not permitted" in stderr or "Permission denied" in stderr:
        return (
            f"bwrap said: {text}. If it names a file: all users must be able to read the course's "
            f"repository and its Python. Else: {NAMESPACES}"
        )
    return f"bwrap said: {text}"
