"""A student's kernel as the grader drives it: cells in, capped output out, and an end in time.

Believes nothing that the kernel sends: messages that are broken, too large or nobody's are
dropped, and that a cell is done is believed from its reply, its time limit or the process.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import zmq
from jupyter_client import KernelManager
from jupyter_core.utils import ensure_async, run_sync

from autograder.referee.errors import KernelDied

MESSAGE = 16 * 1024**2  # bytes of one message from the kernel; larger ones never arrive
QUEUE = 8  # messages that wait to be read
QUICK = 0.01  # seconds in which most answers come
TICK = 0.5  # seconds between two looks at the process
SETTLE = 2.0  # seconds for a cell's last output to come in
DIED = "the Python process ended (did the code end it, or run out of memory?)"

Sink = Callable[[dict[str, Any], int], None]  # a message of the running cell, and its size
settled = run_sync(ensure_async)  # waits for what the asynchronous managers return


class Ran(NamedTuple):
    """How a cell ended: "done", "interrupted", or "died"."""

    status: str
    reply: dict[str, Any]  # of the kernel; empty unless done
    seconds: float
    lost: bool = False  # output that was too large for one message, and what came after it


class Kernel:
    """One kernel from start to end. ``explain`` may know why the process of a manager ended."""

    def __init__(
        self,
        manager: KernelManager,
        explain: Callable[[KernelManager], str] = lambda manager: "",
        grace: float = 5,
    ):
        self.manager, self.explain, self.grace = manager, explain, grace
        self.reason = ""  # why the process has ended, once it has
        self.client: Any = None
        self._cell, self._sink = "", _nowhere
        self._reply: dict[str, Any] | None = None
        self._idle = True
        self._looked = self._polled_at = 0.0
        self._polled: Any = None

    # --- start and end ---------------------------------------------------------------------------

    def start(
        self, extra_arguments: Sequence[str] = (), seconds: float = 60, **options: Any
    ) -> None:
        """Start the process and wait until it answers. Raises RuntimeError where it does not."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if not self.manager.has_kernel:
            options = {**quiet, **options, "extra_arguments": list(extra_arguments)}
            settled(self.manager.start_kernel(**options))
        self.client = self.manager.blocking_client()
        self.client.context.setsockopt(zmq.MAXMSGSIZE, MESSAGE)
        self.client.context.setsockopt(zmq.RCVHWM, QUEUE)
        try:
            self.client.start_channels(stdin=False, hb=False, control=False)
            self.client.wait_for_ready(timeout=seconds)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the process, at once and whatever it does, and everything that belongs to it."""
        try:
            if self.client is not None:
                self.client.stop_channels()
            if self.manager.has_kernel:
                settled(self.manager.shutdown_kernel(now=True))
        finally:
            settled(self.manager.cleanup_resources())

    # --- cells -----------------------------------------------------------------------------------

    def run(self, source: str, limit: float, sink: Sink | None = None, history: bool = True) -> Ran:
        """Run one cell. After ``limit`` seconds it is interrupted, and killed if that is no use."""
        self.begin(source, sink, history)
        return self.finish(limit)

    def begin(self, source: str, sink: Sink | None = None, history: bool = False) -> None:
        """Send a cell off; messages go to ``sink`` whenever somebody waits on the kernel."""
        if self.reason:
            raise KernelDied(self.reason)
        self._sink, self._reply, self._idle = sink or _nowhere, None, False
        self._cell = self.client.execute(
            source, store_history=history, allow_stdin=False, stop_on_error=False
        )

    def finish(self, limit: float) -> Ran:
        """Wait for the cell that was sent off."""
        began = time.monotonic()
        status = "done"
        try:
            if not self._wait_for_reply(began + limit):
                status = "interrupted"
                if not self._interrupted():
                    self.kill("the Python process did not stop when interrupted, and was ended")
                    status = "died"
            reply = self._reply or {}
            self._settle()
            lost = not self._idle and not self.reason
            if lost:
                self._listen_again()
        except KernelDied:
            status, lost = "died", False
        return Ran(status, reply if status == "done" else {}, time.monotonic() - began, lost)

    def _settle(self) -> None:
        """Wait, not for long, until the kernel says that the cell's output is complete."""
        until = time.monotonic() + SETTLE
        while not self._idle and not self.reason and time.monotonic() < until:
            self._poll(None, 0.05)

    def _listen_again(self) -> None:
        """After a message that is too large ZeroMQ hangs up for good: call again."""
        self.client.iopub_channel.stop()
        self.client._iopub_channel, self._polled, self._sink = None, None, _nowhere
        self.client.iopub_channel.start()
        for _ in range(3):  # what is said before the line is up is lost
            self._cell = self.client.kernel_info()
            self._settle()
            if self._idle or self.reason:
                return

    def _interrupted(self) -> bool:
        """Interrupt the cell, again and again; did it end within the grace?"""
        until = time.monotonic() + self.grace
        while (left := until - time.monotonic()) > 0:
            self.interrupt()
            if self._wait_for_reply(time.monotonic() + min(1.0, left)):
                return True
        return False

    def _wait_for_reply(self, deadline: float) -> bool:
        while self._reply is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._poll(None, min(left, TICK))
        return True

    # --- waiting ---------------------------------------------------------------------------------

    def wait(self, sock: Any, deadline: float, until_reply: bool = False) -> bool:
        """Wait until ``sock`` can be read, taking in the kernel's messages meanwhile.

        False after the deadline, and with ``until_reply`` also when the running cell ends.
        """
        while True:
            # Most answers come at once, and asking for them alone is several times cheaper.
            now = time.monotonic()
            if now - self._polled_at < TICK and select.select([sock], [], [], QUICK)[0]:
                return True
            left = deadline - now
            if self._poll(sock, max(0.0, min(left, TICK))):
                return True
            if left <= 0 or (until_reply and self._reply is not None):
                return False

    def _poll(self, sock: Any, seconds: float) -> bool:
        """Take in what the kernel says; is there something on ``sock``?"""
        self._polled_at = time.monotonic()
        poller = self._poller(sock)
        events = dict(poller.poll(seconds * 1_000))
        if self.client.iopub_channel.socket in events:
            self._take(self.client.iopub_channel.socket, self._heard)
        if self.client.shell_channel.socket in events:
            self._take(self.client.shell_channel.socket, self._replied)
        if sock is not None and sock.fileno() in events:
            return True
        self._look()
        return False

    def _poller(self, sock: Any) -> zmq.Poller:
        if self._polled is None or self._polled[0] is not sock:
            poller = zmq.Poller()
            for one in (self.client.iopub_channel.socket, self.client.shell_channel.socket):
                poller.register(one, zmq.POLLIN)
            if sock is not None:
                poller.register(sock.fileno(), zmq.POLLIN)
            self._polled = sock, poller
        return self._polled[1]

    def _take(self, sock: zmq.Socket, into: Callable[[dict[str, Any], int], None]) -> None:
        """Some of the waiting messages; those that can't be read are dropped."""
        for _ in range(32):
            try:
                frames = sock.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            # Deep nesting, wrong signatures, missing fields: whoever sends such loses it.
            with contextlib.suppress(Exception):
                _, parts = self.client.session.feed_identities(frames)
                message = self.client.session.deserialize(parts)
                if message["parent_header"].get("msg_id") == self._cell:
                    into(message, sum(map(len, frames)))

    def _heard(self, message: dict[str, Any], size: int) -> None:
        if message["msg_type"] == "status":
            self._idle |= message["content"].get("execution_state") == "idle"
        else:
            self._sink(message, size)

    def _replied(self, message: dict[str, Any], size: int) -> None:
        if message["msg_type"] == "execute_reply" and type(message["content"]) is dict:
            self._reply = message["content"]

    # --- the process -----------------------------------------------------------------------------

    def interrupt(self) -> None:
        with contextlib.suppress(Exception):  # it may end at this very moment
            settled(self.manager.interrupt_kernel())

    def kill(self, reason: str) -> None:
        self.reason = self.reason or reason
        with contextlib.suppress(Exception):
            settled(self.manager.shutdown_kernel(now=True))

    def gone(self, within: float) -> bool:
        """Does the process end within these seconds, or has it already?"""
        until = time.monotonic() + within
        while not self.reason and time.monotonic() < until:
            self._looked = 0.0
            with contextlib.suppress(KernelDied):
                self._poll(None, 0.05)
        return bool(self.reason)

    def _look(self) -> None:
        """Raises KernelDied, now and then, if the process is no more."""
        now = time.monotonic()
        if not self.reason and now - self._looked > TICK:
            self._looked = now
            if not settled(self.manager.is_alive()):
                self.reason = self.explain(self.manager) or DIED
        if self.reason:
            raise KernelDied(self.reason)


def _nowhere(message: dict[str, Any], size: int) -> None:
    """Where the output of the grader's own cells goes."""
