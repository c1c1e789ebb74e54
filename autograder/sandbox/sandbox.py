"""One running sandbox: starts it, interrupts it, and ends it with everything that runs in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
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
from autograder.sandbox import bwrap, seccomp, warm_start
from autograder.sandbox.limits import Limits
from autograder.sandbox.monitor import Monitor, Thread, computed
from autograder.sandbox.policy import INIT, TOOLS, WORK, Binds, FileSystem

START_S = 30  # a busy machine starts bubblewrap in seconds, a free one in hundredths
END_S = 10
KEPT_OUTPUT = 16_000  # bytes of what a program writes outside the notebook
# When memory runs out, Linux is to end the sandbox first. Set before it begins, since its /proc is
# read-only; where it cannot be set, that is no reason not to run.
SET_OOM_SCORE = 'echo 1000 2> /dev/null > /proc/self/oom_score_adj; exec "$0" "$@"'
FIRST_TO_END = ("/bin/sh", "-c", SET_OOM_SCORE)

# A sandbox ends with the *thread* that started it (--die-with-parent), so all are started on one
# thread that lives as long as this process.
_starter = ThreadPoolExecutor(1, "sandbox-starter")


def _new_starter() -> None:
    global _starter
    _starter = ThreadPoolExecutor(1, "sandbox-starter")


os.register_at_fork(after_in_child=_new_starter)


class Sandbox:
    """A sandbox for one program at a time: `start`, then `end`.

    root: the course's repository, of which only the library and its data are shown.
    binds: further paths to show, `{path here: (path in the sandbox, writable)}`.
    hidden: folders that stay hidden even where one above them is shown.
    warm: fork the program where that is possible, instead of starting it: see `warm_start`.
    libraries: fork it with torch and the others imported; without them, it imports its own.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        binds: Binds | None = None,
        root: Path | None = None,
        hidden: Sequence[Path] = (),
        warm: bool = False,
        libraries: bool = True,
    ):
        self.warm, self.libraries = warm, libraries
        self.bwrap = bwrap.find()
        self.limits = limits or Limits()
        self.files = FileSystem(find_root(root), self.limits.disk, dict(binds or {}), hidden)
        self.user = bwrap.transient_user()
        self.process: subprocess.Popen[bytes] | None = None  # bubblewrap itself, outside
        self.pid1: psutil.Process | None = None  # the first process of the sandbox's namespace
        self._forked: psutil.Process | None = None  # the program, unless bubblewrap started it
        self.monitor: Monitor | None = None
        self.killed_for = ""  # the limit that was broken
        self._tail = OutputTail()

    @property
    def output(self) -> str:
        """The last of what the program wrote to its standard output and error."""
        return self._tail.text()

    @property
    def limit_hit(self) -> str:
        """A sentence on the limit that the submission broke, or ""."""
        return self.killed_for or (self.monitor.disk_full if self.monitor else "")

    def start(self, program: Sequence[str]) -> subprocess.Popen[bytes]:
        """Run `program` in the sandbox; returns when all is in place and it is about to begin."""
        if self.process is not None:
            raise RuntimeError("This sandbox runs a program already: end it first.")
        self.killed_for = ""
        with contextlib.ExitStack() as stack:
            info, info_writer = _pipe(stack)
            ready, ready_writer = _pipe(stack)
            go_reader, go = _pipe(stack)
            rules = stack.enter_context(_file(seccomp.program() if seccomp.supported() else b""))
            options = [*bwrap.isolation_arguments(self.user), *self.files.arguments()]
            options += ["--info-fd", str(info_writer.fileno()), "--chdir", WORK]
            if seccomp.supported():
                options += ["--seccomp", str(rules.fileno())]
            # Through a file: a submission can read bubblewrap's command line, and must not learn
            # from it where the course and its gradebook are.
            arguments = stack.enter_context(_file("\0".join(options).encode()))
            command = [self.bwrap, "--args", str(arguments.fileno()), "--"]
            command += [*self._init_command(ready_writer.fileno(), go_reader.fileno()), *program]
            inherited = (info_writer, ready_writer, go_reader, rules, arguments)
            reader, writer = os.pipe()
            output = stack.enter_context(os.fdopen(writer, "wb", 0))
            self.process = _launch(
                command,
                env=self.files.environment(),  # a submission can read bubblewrap's
                cwd="/",
                pass_fds=[file.fileno() for file in inherited],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            self._tail = OutputTail(os.fdopen(reader, "rb", 0))
            info_writer.close()
            ready_writer.close()
            go_reader.close()
            self._wait_until_ready(info, ready, output)
            self._begin(program, go, output)
        return self.process

    def interrupt(self) -> None:
        """Send the program a Ctrl-C."""
        with contextlib.suppress(psutil.NoSuchProcess, OSError):
            program = self.program()
            if program is not None:
                program.send_signal(signal.SIGINT)

    def program(self) -> psutil.Process | None:
        """The program's own process: the oldest child of the first one, if it was not forked."""
        if self.pid1 is None or self._forked is not None:
            return self._forked
        with contextlib.suppress(psutil.NoSuchProcess):
            return min(self.pid1.children(), key=psutil.Process.create_time, default=None)
        return None

    def others(self) -> dict[Thread, int]:
        """The threads of processes that the program has started, and how many ns each computed."""
        if self.pid1 is None or (program := self.program()) is None:
            return {}
        waiting = min(self.pid1.children(), key=psutil.Process.create_time, default=None)
        found = computed(self.pid1)
        return {one: time for one, time in found.items() if one[0] not in (program, waiting)}

    def kill(self) -> None:
        """End everything in the sandbox, at once."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.pid1 is not None:
                self.pid1.kill()  # Linux ends a process namespace with its first process
        if self.process is not None and self.pid1 is None:
            self.process.kill()

    def end(self) -> None:
        """`kill`, and wait until nothing is left. The work folder was memory, and is gone too."""
        if self.monitor is not None:
            self.monitor.stop()
        self.kill()
        if self.process is not None:
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()  # and its children with it
                self.process.wait(END_S)
            self._tail.close()
        self.process = None
        self.pid1 = self._forked = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def _init_command(self, ready: int, go: int) -> list[str]:
        settings = {
            "limits": self.limits.resources(bwrap.can_limit_processes(self.user)),
            "uid": self.user,
            "ready": ready,
            "go": go,
        }
        return [sys.executable, "-I", "-S", f"{TOOLS}/{INIT.name}", json.dumps(settings)]

    def _begin(self, program: Sequence[str], go: BinaryIO, output: BinaryIO) -> None:
        """Fork the program into the sandbox, or tell `init` to become it."""
        limits = self.limits.resources(bwrap.can_limit_processes(self.user))
        first = min(self.pid1.children(), key=psutil.Process.create_time, default=None)
        forked = None
        if self.warm and first is not None and self.limits.memory >= warm_start.LEAST_MEMORY:
            forked = warm_start.forked(
                program,
                first.pid,
                self.user,
                limits,
                self.files.environment(),
                output.fileno(),
                _launch,
                self.libraries,
            )
        if forked is not None:
            self._forked = _numbered(forked.pid, self.pid1)
            self.monitor.inherited = forked.memory
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            go.write(str(forked.pid).encode() if forked is not None else b"go")
        if forked is not None:
            forked.go()

    def _wait_until_ready(self, info: BinaryIO, ready: BinaryIO, output: BinaryIO) -> None:
        """Wait for the first process and for `init`; raises SandboxError without them."""
        state = _read_until(b"}", info)
        if state.rstrip().endswith(b"}"):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.pid1 = psutil.Process(json.loads(state)["child-pid"])
        if self.pid1 is None or not _read_until(b"ready", ready):
            output.close()  # or what reads it would wait for more
            self.end()
            reason = bwrap.explain_failure(self.output)
            raise bwrap.SandboxError(f"The sandbox did not start: {reason}")
        self.monitor = Monitor(self.pid1, self.limits, self._kill_for)
        self.monitor.start()

    def _kill_for(self, reason: str) -> None:
        self.killed_for = reason
        self.kill()


def _launch(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process on the one thread that lives as long as this process.

    What it runs is the first to end when memory runs out.
    """
    return _starter.submit(subprocess.Popen, [*FIRST_TO_END, *command], **options).result()


def _numbered(number: int, pid1: psutil.Process) -> psutil.Process | None:
    """The child of a sandbox's first process that has this number inside it."""
    for child in pid1.children():
        with contextlib.suppress(OSError):
            numbers = re.search(r"^NSpid:(.*)", Path(f"/proc/{child.pid}/status").read_text(), re.M)
            if numbers and int(numbers[1].split()[-1]) == number:
                return child
    return None


class OutputTail:
    """Reads a stream to its end and keeps the last of it, so that it cannot fill a disk."""

    def __init__(self, stream: IO[bytes] | None = None):
        self._stream = stream
        self._kept = b""
        self._thread = threading.Thread(target=self._read, name="sandbox-output", daemon=True)
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
                self._kept = (self._kept + block)[-KEPT_OUTPUT:]


@dataclass(frozen=True)
class ProgramResult:
    """How a program ended: its exit status (None: out of time), its output, the limit it broke."""

    status: int | None
    output: str
    limit_hit: str
    seconds: float


def run(code: str, seconds: float = 60, **options: Any) -> ProgramResult:
    """Run Python code in a sandbox of its own, without a kernel; `options` as of `Sandbox`."""
    with Sandbox(**options) as sandbox:
        process = sandbox.start([sys.executable, "-c", code])
        began = time.monotonic()
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        took = time.monotonic() - began
    return ProgramResult(status, sandbox.output, sandbox.limit_hit, took)


def _pipe(stack: contextlib.ExitStack) -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    return (
        stack.enter_context(os.fdopen(reader, "rb", 0)),
        stack.enter_context(os.fdopen(writer, "wb", 0)),
    )


def _file(content: bytes) -> BinaryIO:
    """A nameless file with this content, at its beginning."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    file.write(content)
    file.seek(0)
    return file


def _read_until(end: bytes, pipe: BinaryIO) -> bytes:
    """What comes through a pipe up to `end`; b"" when it closes or stays silent before."""
    received, deadline = b"", time.monotonic() + START_S
    while end not in received:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return b""
        block = pipe.read(4096)
        if not block:
            return b""
        received += block
    return received
