"""Drives a student's kernel: runs cells within a time limit, and passes on their output.

Nothing that the kernel sends is trusted: messages that are broken, too large or of no running cell
are dropped. A cell ends by its reply, by its time limit, or with the process.
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

MAX_MESSAGE = 16 * 1024**2  # bytes of one message from the kernel; larger ones never arrive
MAX_QUEUED = 8  # messages that wait to be read
QUICK_S = 0.01  # in which most answers come
ALIVE_CHECK_S = 0.5  # between two checks that the process is alive
LAST_OUTPUT_S = 2.0  # for the last output of a cell to arrive
DIED = "the Python process ended (did the code exit, or run out of memory?)"

MessageHandler = Callable[[dict[str, Any], int], None]  # a message of the running cell, its size
wait_for = run_sync(ensure_async)  # what asynchronous managers return


class CellRun(NamedTuple):
    """How a cell ended."""

    status: str  # "done", "interrupted" or "died"
    reply: dict[str, Any]  # the kernel's; empty unless done
    seconds: float
    lost: bool = False  # whether output was too large for a message, and lost with what followed


class Kernel:
    """One kernel from start to end. ``explain`` may say why a manager's process ended, or ""."""

    def __init__(
        self,
        manager: KernelManager,
        explain: Callable[[KernelManager], str] = lambda manager: "",
        grace: float = 5,
    ):
        self.manager, self.explain, self.grace = manager, explain, grace
        self.reason = ""  # why the process ended, once it has
        self.client: Any = None
        self._cell, self._on_message = "", _discard
        self._reply: dict[str, Any] | None = None
        self._idle = True
        self._last_check = self._last_poll = 0.0
        self._cached_poller: Any = None

    # --- start and end ---------------------------------------------------------------------------

    def start(
        self, extra_arguments: Sequence[str] = (), seconds: float = 60, **options: Any
    ) -> None:
        """Start the process and wait until it answers. Raises RuntimeError if it does not."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if not self.manager.has_kernel:
            options = {**quiet, **options, "extra_arguments": list(extra_arguments)}
            wait_for(self.manager.start_kernel(**options))
        self.client = self.manager.blocking_client()
        self.client.context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        self.client.context.setsockopt(zmq.RCVHWM, MAX_QUEUED)
        try:
            self.client.start_channels(stdin=False, hb=False, control=False)
            self.client.wait_for_ready(timeout=seconds)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the process and everything that belongs to it, at once."""
        try:
            if self.client is not None:
                self.client.stop_channels()
            if self.manager.has_kernel:
                wait_for(self.manager.shutdown_kernel(now=True))
        finally:
            wait_for(self.manager.cleanup_resources())

    # --- cells -----------------------------------------------------------------------------------

    def run(
        self,
        source: str,
        limit: float,
        on_message: MessageHandler | None = None,
        history: bool = True,
    ) -> CellRun:
        """Run one cell. After ``limit`` seconds it is interrupted, and killed if that fails."""
        self.begin(source, on_message, history)
        return self.finish(limit)

    def begin(
        self, source: str, on_message: MessageHandler | None = None, history: bool = False
    ) -> None:
        """Send a cell off; its messages go to ``on_message`` during every wait on the kernel."""
        if self.reason:
            raise KernelDied(self.reason)
        self._on_message, self._reply, self._idle = on_message or _discard, None, False
        self._cell = self.client.execute(
            source, store_history=history, allow_stdin=False, stop_on_error=False
        )

    def finish(self, limit: float) -> CellRun:
        """Wait for the cell that was sent off."""
        began = time.monotonic()
        status = "done"
        try:
            if not self._wait_for_reply(began + limit):
                status = "interrupted"
                if not self._interrupt_and_wait():
                    self.kill("the Python process did not stop when interrupted, and was ended")
                    status = "died"
            reply = self._reply or {}
            self._wait_for_output()
            lost = not self._idle and not self.reason
            if lost:
                self._reconnect_output()
        except KernelDied:
            status, lost = "died", False
        return CellRun(status, reply if status == "done" else {}, time.monotonic() - began, lost)

    def _wait_for_output(self) -> None:
        """Wait a short time until the kernel says that the cell's output is complete."""
        until = time.monotonic() + LAST_OUTPUT_S
        while not self._idle and not self.reason and time.monotonic() < until:
            self._poll(None, 0.05)

    def _reconnect_output(self) -> None:
        """Connect again: after a message that is too large, ZeroMQ closes the connection."""
        self.client.iopub_channel.stop()
        self.client._iopub_channel, self._cached_poller, self._on_message = None, None, _discard
        self.client.iopub_channel.start()
        for _ in range(3):  # what is sent before the connection is up is lost
            self._cell = self.client.kernel_info()
            self._wait_for_output()
            if self._idle or self.reason:
                return

    def _interrupt_and_wait(self) -> bool:
        """Interrupt the cell repeatedly; did it end within the grace period?"""
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
            self._poll(None, min(left, ALIVE_CHECK_S))
        return True

    # --- waiting ---------------------------------------------------------------------------------

    def wait(self, sock: Any, deadline: float, until_reply: bool = False) -> bool:
        """Wait until ``sock`` can be read, and handle the kernel's messages until then.

        False after the deadline, and with ``until_reply`` also when the running cell ends.
        """
        while True:
            # Most answers come at once, and polling for them alone is several times cheaper.
            now = time.monotonic()
            if now - self._last_poll < ALIVE_CHECK_S and select.select([sock], [], [], QUICK_S)[0]:
                return True
            left = deadline - now
            if self._poll(sock, max(0.0, min(left, ALIVE_CHECK_S))):
                return True
            if left <= 0 or (until_reply and self._reply is not None):
                return False

    def _poll(self, sock: Any, seconds: float) -> bool:
        """Handle the kernel's messages; is there something to read on ``sock``?"""
        self._last_poll = time.monotonic()
        poller = self._make_poller(sock)
        events = dict(poller.poll(seconds * 1_000))
        if self.client.iopub_channel.socket in events:
            self._receive(self.client.iopub_channel.socket, self._on_output)
        if self.client.shell_channel.socket in events:
            self._receive(self.client.shell_channel.socket, self._on_reply)
        if sock is not None and sock.fileno() in events:
            return True
        self._check_alive()
        return False

    def _make_poller(self, sock: Any) -> zmq.Poller:
        if self._cached_poller is None or self._cached_poller[0] is not sock:
            poller = zmq.Poller()
            for one in (self.client.iopub_channel.socket, self.client.shell_channel.socket):
                poller.register(one, zmq.POLLIN)
            if sock is not None:
                poller.register(sock.fileno(), zmq.POLLIN)
            self._cached_poller = sock, poller
        return self._cached_poller[1]

    def _receive(self, sock: zmq.Socket, handle: MessageHandler) -> None:
        """Handle some of the waiting messages; those that can't be read are dropped."""
        for _ in range(32):
            try:
                frames = sock.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            # Deep nesting, wrong signatures, missing fields: such a message is lost.
            with contextlib.suppress(Exception):
                _, parts = self.client.session.feed_identities(frames)
                message = self.client.session.deserialize(parts)
                if message["parent_header"].get("msg_id") == self._cell:
                    handle(message, sum(map(len, frames)))

    def _on_output(self, message: dict[str, Any], size: int) -> None:
        if message["msg_type"] == "status":
            self._idle |= message["content"].get("execution_state") == "idle"
        else:
            self._on_message(message, size)

    def _on_reply(self, message: dict[str, Any], size: int) -> None:
        if message["msg_type"] == "execute_reply" and type(message["content"]) is dict:
            self._reply = message["content"]

    # --- the process -----------------------------------------------------------------------------

    def interrupt(self) -> None:
        with contextlib.suppress(Exception):  # it may end at this very moment
            wait_for(self.manager.interrupt_kernel())

    def kill(self, reason: str) -> None:
        self.reason = self.reason or reason
        with contextlib.suppress(Exception):
            wait_for(self.manager.shutdown_kernel(now=True))

    def ends(self, within: float) -> bool:
        """Whether the process ends within these seconds, or has ended already."""
        until = time.monotonic() + within
        while not self.reason and time.monotonic() < until:
            self._last_check = 0.0
            with contextlib.suppress(KernelDied):
                self._poll(None, 0.05)
        return bool(self.reason)

    def _check_alive(self) -> None:
        """Raises KernelDied if the process has ended; looks only twice a second."""
        now = time.monotonic()
        if not self.reason and now - self._last_check > ALIVE_CHECK_S:
            self._last_check = now
            if not wait_for(self.manager.is_alive()):
                self.reason = self.explain(self.manager) or DIED
        if self.reason:
            raise KernelDied(self.reason)


def _discard(message: dict[str, Any], size: int) -> None:
    """Handles the output of the grader's own cells."""
