"""The grader's side of the connection to a student's kernel, for one test cell.

Requests form a stack: what arrives must be the answer to the innermost open request, or a callback
(a call of one of the check's functions) in the middle of it. Anything else ends the session, and
every further call raises the reason. The student's time is what is spent waiting here, not what the
check does in between.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import zmq

from autograder.referee import errors, wire
from autograder.referee.errors import (
    CourseBug,
    KernelDied,
    MachineFault,
    ProtocolError,
    RemoteErrorDescription,
    Stopped,
    TimeLimitExceeded,
)
from autograder.referee.kernel import Kernel
from autograder.referee.proxies import RemoteObject, remote_class
from trickster.checks.faults import of_the_machine

MAX_CALLBACKS = 200_000  # of a student's code in one check
MAX_REMEMBERED = 64  # of the exceptions that callbacks raised
MAX_NESTED = 16  # calls within calls: each holds its arguments until it returns
MAX_NAME = 200  # characters of an argument's name
LONGEST_PATH = 107  # bytes of a Unix socket's path, on Linux


class TimeLimits(NamedTuple):
    """How long a student's code may take, in seconds."""

    call: float = 300  # one call of a check
    cell: float = 600  # all calls of one check together
    grace: float = 5  # to end after an interrupt, before the process is killed
    startup: float = 30  # to start answering


class Session:
    """One session with a student's kernel: `open`, then requests, then `close`."""

    def __init__(
        self,
        kernel: Kernel,
        time_limits: TimeLimits | None = None,
        wire_limits: wire.WireLimits | None = None,
    ):
        self.kernel = kernel
        self.time_limits = time_limits or TimeLimits()
        self.wire_limits = wire_limits or wire.WireLimits()
        self.seconds = 0.0  # waited for the student's code
        self.opened = False
        self.limit_hit = ""  # of time, by the student's code
        self.withheld: set[str] = set()  # names of the library that have refused so far
        self._withheld: set[str] = set()  # that do now
        self._time_left, self._call_time_left = self.time_limits.cell, self.time_limits.call
        self._open_requests: list[int] = []
        self._numbers = itertools.count(1)
        self._last_callback = self._callbacks = 0
        self._exported: dict[int, Any] = {}  # what the student's code may call
        self._raised: dict[int, BaseException] = {}  # lately, by the check's functions
        self._released: list[int] = []
        self._sock: socket.socket | None = None
        self._ended: Stopped | None = None

    # --- start and end ---------------------------------------------------------------------------

    def open(self, path: Path, start_agent: Callable[[str], None]) -> None:
        """Listen on a socket at ``path`` for the agent, which ``start_agent(token)`` starts."""
        token, self.opened = secrets.token_hex(16), True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            if len(os.fsencode(path)) > LONGEST_PATH:
                raise MachineFault(
                    f"the path of a socket, {path}, is longer than {LONGEST_PATH} bytes, which is "
                    "all that the system allows (set TMPDIR to a folder with a short name)"
                )
            listener.bind(str(path))
            path.chmod(0o666)  # the kernel may be another user's; the folder keeps others out
            listener.listen(1)
            start_agent(token)
            try:
                self._listen(listener, self.time_limits.startup)
                self._sock, _ = listener.accept()
            finally:
                path.unlink(missing_ok=True)
        self._sock.settimeout(self.time_limits.call)
        self._reader = wire.FrameReader(self._sock, self.wire_limits)
        hello = self._receive(self.time_limits.startup)
        if (hello.kind, hello.call, hello.fields) != ("hello", 0, [token]):
            self._fail(ProtocolError("something other than the grader's agent answered."))

    def close(self) -> None:
        """End the agent's work. Never raises."""
        if self._sock is not None:
            if self._ended is None:
                # An agent that does not listen is interrupted later.
                with contextlib.suppress(Exception):
                    self._send("end", 0, [])
            self._sock.close()
        self._ended = self._ended or ProtocolError("this check has ended.")
        self._exported.clear()
        self._raised.clear()

    # --- requests --------------------------------------------------------------------------------

    def names(self, wanted: list[str], imported: dict[str, str]) -> dict[str, Any]:
        """The notebook's objects by name; ``imported`` ones come from their "module:name" there."""
        found = self._prepared("names", [wanted, imported])
        if type(found) is not dict:
            self._fail(ProtocolError("the notebook's names did not arrive as requested."))
        return {name: found[name] for name in (*wanted, *imported) if name in found}

    def withhold(self, names: tuple[str, ...]) -> contextlib.AbstractContextManager[None]:
        """Let these names of the library refuse in the student's process, and no others.

        That lasts until the next check names its own, or the session ends.
        """
        if set(names) != self._withheld:
            self._prepared("withhold", [list(names)])
            self._withheld = set(names)
            self.withheld |= self._withheld
        return contextlib.nullcontext()

    def _prepared(self, kind: str, fields: list[Any]) -> Any:
        """The answer to a request whose imports may take seconds, which are not the student's."""
        self._time_left, left = self.time_limits.startup, self._time_left
        try:
            return self._request(kind, fields)
        finally:
            self._time_left = left

    def call(self, handle: RemoteObject, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._request("call", [handle, list(args), kwargs, self._take_released()])

    def get(self, handle: RemoteObject, name: str) -> Any:
        return self._request("get", [handle, name, self._take_released()])

    def release(self, number: int) -> None:
        self._released.append(number)

    def _take_released(self) -> list[int]:
        released, self._released = self._released, []
        return released

    def _request(self, kind: str, fields: list[Any]) -> Any:
        """Send a request, serve callbacks until the answer arrives, and return or raise it."""
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if self._time_left <= 0:
            text = f"your code took longer than {self.time_limits.cell:g} s in this check."
            self.limit_hit = self.limit_hit or text
            raise TimeLimitExceeded(text)
        if len(self._open_requests) >= MAX_NESTED:
            self._fail(ProtocolError("your code and the check call each other without end."))
        number = next(self._numbers)
        if not self._open_requests:
            prepares = kind in ("names", "withhold")
            self._call_time_left = self._time_left if prepares else self.time_limits.call
            self._raised.clear()
        self._open_requests.append(number)
        try:
            self._send(kind, number, fields)
            while True:
                message = self._receive(min(self._call_time_left, self._time_left), number)
                if message.kind in ("call", "get"):
                    self._serve_callback(message)
                elif message.call != number:
                    self._fail(ProtocolError("an answer arrived to a question that was not asked."))
                elif message.kind == "reply" and len(message.fields) == 1:
                    return message.fields[0]
                elif message.kind == "error":
                    raise self._remote_error(message.fields)
                else:
                    self._fail(ProtocolError("what arrived was neither a value nor an error."))
        finally:
            self._open_requests.pop()

    def _remote_error(self, fields: list[Any]) -> BaseException:
        """What the student's code raised; the very exception where it came from the check."""
        try:
            description = RemoteErrorDescription(*fields)
            description.check()
        except TypeError:
            self._fail(ProtocolError("an error arrived that could not be read."))
        ours = self._raised.get(description.ref)
        if ours is None:
            return description.error()
        # Even where there is no line: it went through the student's code.
        ours.notebook_line = description.notebook_line()
        return ours.with_traceback(None)

    # --- callbacks -------------------------------------------------------------------------------

    def _serve_callback(self, message: wire.Message) -> None:
        """The student's code calls one of the check's functions, or reads an attribute."""
        if message.call >= self._last_callback:
            self._fail(ProtocolError("a call of the check's functions arrived twice, or too late."))
        self._last_callback = message.call
        self._callbacks += 1
        if self._callbacks > MAX_CALLBACKS:
            self._fail(
                ProtocolError(f"your code called the check back more than {MAX_CALLBACKS:,} times.")
            )
        began = time.monotonic()
        try:
            value = self._call_exported(message.kind, message.fields)
        except (Exception, SystemExit) as error:
            if self._ended is not None:
                raise
            if of_the_machine(error) and not isinstance(error, ConnectionError):
                raise MachineFault.by(error) from error
            self._spend(time.monotonic() - began)
            self._send_error(message.call, error)
        else:
            self._spend(time.monotonic() - began)
            self._send("reply", message.call, [value])

    def _call_exported(self, kind: str, fields: list[Any]) -> Any:
        try:
            number, member, *rest = fields
            ours = self._exported[number]
            allowed = member == "" or member in getattr(type(ours), "_public_names", ())
            positional, named = rest if kind == "call" else ((), {})
            valid = (
                type(member) is str and type(positional) in (list, tuple) and type(named) is dict
            )
            valid = valid and all(type(name) is str and len(name) <= MAX_NAME for name in named)
        except (KeyError, TypeError, ValueError):
            allowed = valid = False
        if not (allowed and valid):
            self._fail(
                ProtocolError("your code called a function of the check that does not exist.")
            )
        found = getattr(ours, member) if member else ours
        return found(*positional, **named) if kind == "call" else found

    def _send_error(self, call: int, error: BaseException) -> None:
        ref = next(self._numbers)
        # Without its frames, which hold the arrays of every call.
        self._raised[ref] = error.with_traceback(None)
        while len(self._raised) > MAX_REMEMBERED:
            del self._raised[next(iter(self._raised))]
        kind = type(error)
        plain = [arg for arg in error.args if type(arg) in (str, int, float, bool, type(None))]
        args = plain if len(plain) == len(error.args) else [str(error)]
        attributes = {
            name: getattr(error, name, None) for name in getattr(kind, "_public_names", ())
        }
        place = f"{kind.__module__}:{kind.__qualname__}"
        self._send("error", call, [kind.__name__, place, args, attributes, ref])

    # --- messages --------------------------------------------------------------------------------

    def _send(self, kind: str, call: int, fields: list[Any]) -> None:
        try:
            parts = wire.pack(kind, call, fields, self._encode_handle, wire.GRADER_LIMITS)
        except wire.WireError as error:
            raise CourseBug(f"A check sends a value that may not cross: {error}") from error
        began = time.monotonic()
        try:
            for part in parts:
                self._sock.sendall(part)
        except TimeoutError:
            self._time_out(self.time_limits.call, None)
        except ConnectionError:
            self._connection_lost()
        except OSError as error:
            raise MachineFault.by(error) from error
        finally:
            self._spend(time.monotonic() - began)

    def _receive(self, limit: float, number: int | None = None) -> wire.Message:
        """The next message; after ``limit`` seconds, the request ``number`` has timed out."""
        began = time.monotonic()
        try:
            message = self._next(began + limit)
        finally:
            self._spend(time.monotonic() - began)
        if message is None and number is None:
            self._fail(ProtocolError("the notebook did not answer: nothing could be tested."))
        if message is None:
            self._time_out(
                self.time_limits.call if self._time_left > 0 else self.time_limits.cell, number
            )
        return message

    def _next(self, deadline: float) -> wire.Message | None:
        """The next message, or None if it has not arrived by the deadline."""
        try:
            while True:
                # Checked even while messages arrive: a flood must end, too.
                late = time.monotonic() > deadline
                if late or not self.kernel.wait(self._sock, deadline):
                    return None
                frame = self._reader.read()
                if frame is not None:
                    return wire.unpack(*frame, self._decode_handle, self.wire_limits)
        except wire.WireError as error:
            self._fail(ProtocolError(f"what your code returned could not be read: {error}"))
        except (EOFError, ConnectionError, TimeoutError):
            self._connection_lost()
        except (OSError, zmq.ZMQError) as error:
            raise MachineFault.by(error) from error
        except KernelDied as error:
            self._fail(error)

    def _listen(self, listener: socket.socket, limit: float) -> None:
        try:
            if not self.kernel.wait(listener, time.monotonic() + limit, until_reply=True):
                self._fail(ProtocolError("the notebook did not answer: nothing could be tested."))
        except KernelDied as error:
            self._fail(error)

    def _spend(self, seconds: float) -> None:
        self.seconds += seconds
        self._time_left -= seconds
        self._call_time_left -= seconds

    # --- failures --------------------------------------------------------------------------------

    def _time_out(self, limit: float, number: int | None) -> NoReturn:
        """Interrupt the student's code, and kill it if it does not end in time. Always raises."""
        took = f"your code took longer than {limit:g} s"
        late = TimeLimitExceeded(f"{took} (is there an endless loop?).")
        self.limit_hit = self.limit_hit or f"{took}."
        self.kernel.interrupt()
        until = time.monotonic() + self.time_limits.grace
        while number is not None and (message := self._next(until)) is not None:
            if message.call == number and message.kind in ("reply", "error"):
                raise late  # too late, whatever it is; but the connection is in order
            if message.kind not in ("call", "get"):
                break
            self._last_callback = min(self._last_callback, message.call)
            self._send_error(message.call, late)
        self.kernel.kill(f"{took}. It did not stop when interrupted, and was ended.")
        self._fail(late)

    def _connection_lost(self) -> NoReturn:
        """Find out why the connection broke: did the process end? Always raises."""
        if self.kernel.ends(within=2):
            self._fail(KernelDied(self.kernel.reason))
        self._fail(ProtocolError("your code closed the connection to the grader."))

    def _fail(self, error: Stopped) -> NoReturn:
        self._ended = self._ended or error
        raise error

    # --- handles ---------------------------------------------------------------------------------

    def _encode_handle(self, value: Any) -> list:
        """The node of an object that is not plain data; see `wire`."""
        if isinstance(value, RemoteObject):
            return ["r", value._number_]
        if isinstance(value, np.random.Generator):
            encoder = wire.Encoder(self._encode_handle, wire.GRADER_LIMITS)
            state = value.bit_generator.state
            node = encoder.node(state)
            if encoder.buffers:
                raise CourseBug("A check passes on a random generator other than default_rng.")
            return ["g", type(value.bit_generator).__name__, node]
        public = getattr(type(value), "_public_names", None)
        if public is None and not callable(value):
            raise CourseBug(
                f"A check passes a {type(value).__name__} to the student's code. Only plain data, "
                "arrays, functions and objects whose class has _public_names may cross."
            )
        number = next(self._numbers)
        self._exported[number] = value
        if public is None:
            return ["o", number, getattr(value, "__name__", type(value).__name__), None]
        members = [[name, callable(getattr(type(value), name, None))] for name in public]
        return ["o", number, type(value).__name__, members]

    def _decode_handle(self, node: list) -> RemoteObject:
        """The proxy for a student's object."""
        kinds = [type(part) for part in node]
        if kinds != [str, int, bool, str] or node[0] != "o":
            raise wire.WireError("a message holds something that is neither data nor an object.")
        _, number, can_call, name = node
        return remote_class(errors.valid_class_name(name, "object"), can_call)(self, number)
