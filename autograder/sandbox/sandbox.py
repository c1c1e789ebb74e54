"""One running sandbox: started, watched, interrupted, and ended with all that runs in it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import psutil

from autograder.course import find_root
from autograder.sandbox import bwrap, seccomp
from autograder.sandbox.limits import Limits
from autograder.sandbox.monitor import Watch
from autograder.sandbox.policy import INIT, TOOLS, WORK, Binds, View

START_S = 30  # a busy machine starts bubblewrap in seconds, a free one in hundredths
END_S = 10
KEPT = 16_000  # bytes of what a program writes past the notebook

# A sandbox dies with the *thread* that started it: this one lives as long as the process.
_starter = ThreadPoolExecutor(1, "sandbox-starter")


def _new_starter() -> None:
    global _starter
    _starter = ThreadPoolExecutor(1, "sandbox-starter")


os.register_at_fork(after_in_child=_new_starter)


class Box:
    """A sandbox for one program at a time: `start`, then `end`.

    root: the course's repository, of which only the library and its data are shown.
    binds: further paths to show, `{path here: (path inside, writable)}`.
    hidden: folders that stay hidden even where one above them is shown.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        binds: Binds | None = None,
        root: Path | None = None,
        hidden: Sequence[Path] = (),
    ):
        self.bwrap = bwrap.find()
        self.limits = limits or Limits()
        self.view = View(find_root(root), self.limits.disk, dict(binds or {}), hidden)
        self.user = bwrap.passing_user()
        self.process: subprocess.Popen[bytes] | None = None
        self.first: psutil.Process | None = None
        self.watch: Watch | None = None
        self.killed_for = ""
        self._tail = Tail()

    @property
    def said(self) -> str:
        """The last of what the program wrote to its standard output and error."""
        return self._tail.text()

    @property
    def limit_hit(self) -> str:
        """The sentence on the limit that the submission has met, or ""."""
        return self.killed_for or (self.watch.disk_full if self.watch else "")

    @property
    def peak_memory(self) -> int:
        """Bytes resident at the worst look."""
        return self.watch.peak_memory if self.watch else 0

    def start(self, program: Sequence[str]) -> subprocess.Popen[bytes]:
        """Run `program` in the sandbox; returns when all is in place and it is about to begin."""
        if self.process is not None:
            raise RuntimeError("This sandbox runs a program already: end it first.")
        self.killed_for = ""
        with contextlib.ExitStack() as stack:
            info, info_writer = _pipe(stack)
            ready, ready_writer = _pipe(stack)
            rules = stack.enter_context(_file(seccomp.program() if seccomp.supported() else b""))
            options = [*bwrap.isolation(self.user), *self.view.arguments()]
            options += ["--info-fd", str(info_writer.fileno()), "--chdir", WORK]
            if seccomp.supported():
                options += ["--seccomp", str(rules.fileno())]
            # Through a file: a submission can read bubblewrap's command line, and need not learn
            # from it where the course and its gradebook lie.
            told = stack.enter_context(_file("\0".join(options).encode()))
            command = [self.bwrap, "--args", str(told.fileno()), "--"]
            command += [*self._first_program(ready_writer.fileno()), *program]
            # One thread starts all: a sandbox dies with the very thread that started it.
            self.process = _starter.submit(
                subprocess.Popen,
                command,
                env=self.view.environment(),  # a submission can read bubblewrap's
                cwd="/",
                pass_fds=[file.fileno() for file in (info_writer, ready_writer, rules, told)],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ).result()
            self._tail = Tail(self.process.stdout)
            info_writer.close()
            ready_writer.close()
            self._await(info, ready)
        return self.process

    def interrupt(self) -> None:
        """Send the program a Ctrl-C."""
        with contextlib.suppress(psutil.NoSuchProcess, OSError):
            program = self.program()
            if program is not None:
                program.send_signal(signal.SIGINT)

    def program(self) -> psutil.Process | None:
        """The program's own process: the eldest below the first one, which is bubblewrap's."""
        if self.first is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            return min(self.first.children(), key=psutil.Process.create_time, default=None)
        return None

    def kill(self) -> None:
        """End everything in the sandbox, at once."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.first is not None:
                self.first.kill()  # with the first process of a process namespace, all of it goes
        if self.process is not None and self.first is None:
            self.process.kill()

    def end(self) -> None:
        """`kill`, and wait until nothing is left. The work folder was memory, and is gone too."""
        if self.watch is not None:
            self.watch.end()
        self.kill()
        if self.process is not None:
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()  # and its children with it
                self.process.wait(END_S)
            self._tail.close()
        self.process = None
        self.first = None

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def _first_program(self, ready: int) -> list[str]:
        settings = {
            "limits": self.limits.resources(bwrap.counts_processes(self.user)),
            "uid": self.user,
            "ready": ready,
        }
        return [sys.executable, "-I", "-S", f"{TOOLS}/{INIT.name}", json.dumps(settings)]

    def _await(self, info: BinaryIO, ready: BinaryIO) -> None:
        """Wait for the first process and for the program, or say why they do not come."""
        told = _read(info, b"}")
        if told.rstrip().endswith(b"}"):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.first = psutil.Process(json.loads(told)["child-pid"])
        if self.first is None or not _read(ready, b"ready"):
            self.end()
            raise bwrap.SandboxError(f"The sandbox did not start: {bwrap.explain(self.said)}")
        self.watch = Watch(self.first, self.limits, self._stop)
        self.watch.start()

    def _stop(self, reason: str) -> None:
        self.killed_for = reason
        self.kill()


class Tail:
    """Reads a stream to its end and keeps the last of it: nobody can fill a disk with it."""

    def __init__(self, stream: IO[bytes] | None = None):
        self._stream = stream
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name="sandbox-tail", daemon=True)
        if stream is not None:
            self._thread.start()

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def close(self) -> None:
        if self._stream is not None:
            self._thread.join(END_S)
            self._stream.close()

    def _read(self) -> None:
        assert self._stream is not None
        with contextlib.suppress(OSError, ValueError):
            while block := os.read(self._stream.fileno(), 65536):
                self._kept = (self._kept + block)[-KEPT:]


@dataclass(frozen=True)
class Outcome:
    """How a program ended: its exit status (None: out of time), what it wrote, the limit it met."""

    status: int | None
    output: str
    limit_hit: str
    seconds: float


def run(code: str, seconds: float = 60, **box: Any) -> Outcome:
    """Run Python code in a sandbox of its own, for probes that need no kernel."""
    with Box(**box) as sandbox:
        process = sandbox.start([sys.executable, "-c", code])
        began = time.monotonic()
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        took = time.monotonic() - began
    return Outcome(status, sandbox.said, sandbox.limit_hit, took)


def _pipe(stack: contextlib.ExitStack) -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    return (
        stack.enter_context(os.fdopen(reader, "rb", 0)),
        stack.enter_context(os.fdopen(writer, "wb", 0)),
    )


def _file(content: bytes) -> BinaryIO:
    """A nameless file with this content, to be read from its beginning."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    file.write(content)
    file.seek(0)
    return file


def _read(pipe: BinaryIO, last: bytes) -> bytes:
    """What comes through a pipe up to `last`; b"" when it ends or stays silent before."""
    told, deadline = b"", time.monotonic() + START_S
    while last not in told:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return b""
        block = pipe.read(4096)
        if not block:
            return b""
        told += block
    return told
