"""The course's secret, from which grading draws what it asks: where it lies, and how it is used.

One text file in the course folder, beside the gradebook, made at the first grading and the same
for the whole class. What is drawn from it, and why, is the business of `trickster.checks.draws`.
This is also the one place that knows whether what is held back from students is there at all.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from autograder.course import SECRET, CourseError
from trickster.checks import draws

try:
    from autograder.held_back import load as _held_back
except ImportError:  # a student copy has none: a learner's own grading draws from what is shipped
    _held_back = draws.HeldBack

BYTES = 32
LARGEST = 4_096  # bytes that are read of the file
COMMENT = (
    "# From this secret, grading draws its pictures, pools, numbers and orders: keep it from "
    "students.\n# If it is lost, the next grading makes another one; all that changes is what is "
    "drawn.\n"
)
DAMAGED = (
    "{path} is damaged: below its comment, it should hold the course's secret as one line of "
    f"{2 * BYTES} hexadecimal digits. Restore it; or remove it, and the next grading makes another "
    "one and grades the whole class anew."
)


def of_course(folder: Path) -> bytes:
    """The secret of a course folder; the first grading makes it. Raises CourseError."""
    return existing(folder) or keep(folder, new())


def existing(folder: Path) -> bytes | None:
    """The secret in a folder, or None without one. Raises CourseError for a file that is none."""
    path = folder / SECRET
    if not os.path.lexists(path):
        return None
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST).decode("ascii")
        (line,) = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
        return from_hex(line)
    except OSError as error:
        raise CourseError(f"The course's secret cannot be read: {error}.") from error
    except (ValueError, CourseError):
        raise CourseError(DAMAGED.format(path=path)) from None


def from_hex(text: str) -> bytes:
    """A secret from its hexadecimal digits. Raises CourseError."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) < draws.SHORTEST:
        raise CourseError(
            f"A secret is written as {2 * draws.SHORTEST} hexadecimal digits or more, such as "
            f"those that `openssl rand -hex {BYTES}` prints."
        )
    return found


def keep(folder: Path, secret: bytes) -> bytes:
    """Put a secret into a folder that has none; returns the one that is there afterwards.

    The file appears whole or not at all. One that another process has put there stays.
    """
    path = folder / SECRET
    unfinished = folder / f".{secrets.token_hex(8)}.unfinished"
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{COMMENT}{secret.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            _name_once(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    found = existing(folder)
    if found is None:
        raise CourseError(f"{path} has been removed while it was made: run this again.")
    return found


def replace(folder: Path, secret: bytes) -> None:
    """Put a secret in the place of another one: in a sample class, where no grade rests on it."""
    (folder / SECRET).unlink(missing_ok=True)
    keep(folder, secret)


def _name_once(unfinished: Path, path: Path) -> None:
    """Give the file its name, unless another file has it: FileExistsError."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:  # no links on this file system: nearly as good
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        unfinished.rename(path)


def new() -> bytes:
    """A secret that nobody knows."""
    return secrets.token_bytes(BYTES)


def of_lab(secret: bytes, lab: str) -> bytes:
    """What the checks of one lab draw from.

    Students see on their pages what their code has printed, pictures that a test has sent it among
    them: that must tell them nothing of the next lab's tests.
    """
    return hmac.digest(secret, f"lab {lab}".encode(), hashlib.sha256)


def hash_of(secret: bytes) -> str:
    """What tells secrets apart and says nothing of them: for the record of a grade."""
    with draws.grading_with(secret):
        return draws.key()


def drawing(secret: bytes | None) -> AbstractContextManager[None]:
    """As long as this lasts, checks draw from the secret, and from what students do not have.

    Without a secret, they draw as at a student's desk. Raises CourseError where what is held back
    is damaged.
    """
    return nullcontext() if secret is None else draws.grading_with(secret, _held_back())


def check_held_back() -> None:
    """Raise CourseError where what is held back is damaged: before the work, not after it."""
    _held_back()
