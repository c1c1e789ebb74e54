"""The program bubblewrap: where it is, its arguments, and what to do where it does not work."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from autograder.course import CourseError
from autograder.sandbox.limits import counted_per_namespace

# User ids that belong to nobody (systemd keeps the range for short-lived services).
TRANSIENT_USERS = range(61184, 65520)
INSTALL_ADVICE = (
    "Install it: sudo apt-get install bubblewrap (Debian, Ubuntu), sudo dnf install bubblewrap "
    "(Fedora, RHEL), sudo pacman -S bubblewrap (Arch), sudo zypper install bubblewrap (openSUSE). "
    "It needs Linux; on Windows, use WSL 2."
)
NAMESPACE_ADVICE = (
    "Unprivileged user namespaces are disabled here. On Ubuntu 23.10 or newer: sudo sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0 (or give bwrap an AppArmor profile: package "
    "apparmor-profiles, file bwrap-userns-restrict). On older Debian: sudo sysctl "
    "kernel.unprivileged_userns_clone=1. In a container: start it with --privileged, or grade "
    "outside it."
)


class SandboxError(CourseError):
    """The sandbox could not be started; the message says why, and what to do."""


def find() -> str:
    """The path of bubblewrap; raises SandboxError where it is missing or too old."""
    path = shutil.which("bwrap")
    if path is None:
        raise SandboxError(f"bubblewrap (the program bwrap) is not installed. {INSTALL_ADVICE}")
    usage = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)
    if "--size" not in usage.stdout + usage.stderr:
        raise SandboxError(
            f"{path} is too old: it cannot limit the size of a folder. Install version 0.8 or "
            "newer."
        )
    return path


def transient_user() -> int:
    """A user for one sandbox, if this process may become another user; else 0.

    Root's processes have no limit on their number, and root owns the machine's files: a
    submission that root grades runs as somebody who owns nothing.
    """
    if os.geteuid() != 0:
        return 0
    rows = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    mapped = any(
        int(first) <= TRANSIENT_USERS[0] and TRANSIENT_USERS[-1] < int(first) + int(count)
        for first, _, count in rows
    )
    return random.SystemRandom().choice(TRANSIENT_USERS) if mapped else 0


def can_limit_processes(user: int) -> bool:
    """Can Linux itself limit the number of processes in a sandbox of this user?"""
    return user != 0 or (os.geteuid() != 0 and counted_per_namespace())


def isolation_arguments(user: int) -> list[str]:
    """The arguments that isolate a sandbox from the machine, except for its file system."""
    spaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    spaces += ["--unshare-cgroup-try", "--hostname", "sandbox", "--new-session"]
    spaces += ["--die-with-parent", "--cap-drop", "ALL"]
    if user:
        # Becoming that user needs these two, and becoming it gives them up.
        return [*spaces, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*spaces, "--unshare-user", "--uid", "1000", "--gid", "1000"]


def unreadable_reason(program: Path) -> str:
    """A sentence on what keeps other users from running `program`, or "" if nothing does."""
    real = program.resolve()
    for folder in reversed(real.parents):
        if not folder.stat().st_mode & 0o001:
            return f"{real} is out of reach for the sandbox's user: {folder} is closed to others."
    if real.stat().st_mode & 0o005 != 0o005:
        return f"{real} cannot be read and run by other users."
    return ""


def explain_failure(stderr: str) -> str:
    """What bubblewrap's error message means, and what to do about it."""
    text = " ".join(stderr.split()) or "it gave no reason"
    if "mount proc" in stderr:
        return (
            "This container hides parts of /proc, so no process namespace can be created in it: "
            "start it with --privileged (or --security-opt systempaths=unconfined), or grade "
            f"outside it. (bubblewrap reports: {text})"
        )
    if any(word in stderr for word in ("uid map", "user namespace", "new namespace", "userns")):
        return f"{NAMESPACE_ADVICE} (bubblewrap reports: {text})"
    if "the sandbox may not run" in stderr:
        why = unreadable_reason(Path(sys.executable))
        return f"{text.rstrip('.')}. {why}".rstrip()
    if "Operation not permitted" in stderr or "Permission denied" in stderr:
        return (
            f"bubblewrap reports: {text}. If it names a file: all users must be able to read the "
            f"course's repository and its Python. Otherwise: {NAMESPACE_ADVICE}"
        )
    return f"bubblewrap reports: {text}"
