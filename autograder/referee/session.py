"""The grader's end of the line to a student's kernel: requests out, answers and questions in.

Requests form a stack: the answer that comes must be the innermost open request's, or a question
(a call of one of the check's functions) in the middle of it. Anything else ends the line, and
with it every further call, with a sentence that says why. The student's time is what is spent
waiting here, not what the check does in between.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from autograder.referee import errors, wire
from autograder.referee.errors import (
    BrokeProtocol,
    CourseBug,
    KernelDied,
    Stopped,
    Told,
    TookTooLong,
)
from autograder.referee.kernel import Kernel
from autograder.referee.proxies import Remote, remote_class

QUESTIONS = 200_000  # that a student's code may ask in one check
REMEMBERED = 64  # of the exceptions that answered them


class Patience(NamedTuple):
    """How long a student's code may take, in seconds."""

    call: float = 300  # one call of a check
    cell: float = 600  # all calls of one check together
    grace: float = 5  # to end after an interrupt, before the process is killed
    hello: float = 30  # to start answering


class Traffic:
    """What crossed: requests, bytes out and in, seconds waited for the student's code."""

    def __init__(self) -> None:
        self.requests = self.sent = self.received = self.largest = 0
        self.waited = 0.0


class Link:
    """One meeting with a student's kernel, for one test cell."""

    def __init__(
        self,
        kernel: Kernel,
        patience: Patience | None = None,
        limits: wire.Limits | None = None,
    ):
        self.kernel = kernel
        self.patience, self.limits = patience or Patience(), limits or wire.Limits()
        self.traffic = Traffic()
        self.begun = False
        self.limit_hit = ""  # of time, by the student's code
        self._left, self._call_left = self.patience.cell, self.patience.call
        self._open: list[int] = []
        self._numbers = itertools.count(1)
        self._last_question = self._questions = 0
        self._shown: dict[int, Any] = {}  # what the student's code may call
        self._raised: dict[int, BaseException] = {}  # by the check's functions, of late
        self._dropped: list[int] = []
        self._sock: socket.socket | None = None
        self._ended: Stopped | None = None

    # --- meeting and parting ---------------------------------------------------------------------

    def meet(self, door: Path, inside: str, start: Callable[[str, str], None]) -> None:
        """Wait at the socket ``door`` for the agent, which ``start(inside, token)`` calls."""
        token, self.begun = secrets.token_hex(16), True
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(door))
            door.chmod(0o666)  # the kernel may be another user's; the folder keeps others out
            listener.listen(1)
            start(inside, token)
            try:
                self._listen(listener, self.patience.hello)
                self._sock, _ = listener.accept()
            finally:
                door.unlink(missing_ok=True)
        self._sock.settimeout(self.patience.call)
        self._inbox = wire.Inbox(self._sock, self.limits)
        hello = self._receive(self.patience.hello)
        if (hello.kind, hello.call, hello.fields) != ("hello", 0, [token]):
            self._end(BrokeProtocol("something else than the grader's agent answered."))

    def close(self) -> None:
        """Let the agent go. Never raises."""
        if self._sock is not None:
            if self._ended is None:
                with contextlib.suppress(Exception):  # who does not listen is interrupted later
                    self._send("end", 0, [])
            self._sock.close()
        self._ended = self._ended or BrokeProtocol("this check is over.")
        self._shown.clear()
        self._raised.clear()

    # --- requests --------------------------------------------------------------------------------

    def names(self, wanted: list[str], imported: dict[str, str]) -> dict[str, Any]:
        """What the notebook has under these names; see `agent.Agent`."""
        # To import what a probe needs takes seconds, and is no slowness of the student's.
        self._left = self.patience.hello
        found = self._request("names", [wanted, imported])
        self._left = self.patience.cell
        if type(found) is not dict:
            self._end(BrokeProtocol("the notebook's names did not come as asked."))
        return {name: found[name] for name in (*wanted, *imported) if name in found}

    def call(self, handle: Remote, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._request("call", [handle, list(args), kwargs, self._forgotten()])

    def get(self, handle: Remote, name: str) -> Any:
        return self._request("get", [handle, name, self._forgotten()])

    def forget(self, number: int) -> None:
        self._dropped.append(number)

    def _forgotten(self) -> list[int]:
        dropped, self._dropped = self._dropped, []
        return dropped

    def _request(self, kind: str, fields: list[Any]) -> Any:
        """Ask, answer what is asked back meanwhile, and give what comes: a value or an error."""
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        if self._left <= 0:
            text = f"your code took longer than {self.patience.cell:g} s in this check."
            self.limit_hit = self.limit_hit or text
            raise TookTooLong(text)
        number = next(self._numbers)
        if not self._open:
            self._call_left = self._left if kind == "names" else self.patience.call
            self._raised.clear()
        self._open.append(number)
        self.traffic.requests += 1
        try:
            self._send(kind, number, fields)
            while True:
                message = self._receive(min(self._call_left, self._left), number)
                if message.kind in ("call", "get"):
                    self._answer(message)
                elif message.call != number:
                    self._end(BrokeProtocol("an answer came to a question that nobody asked."))
                elif message.kind == "reply" and len(message.fields) == 1:
                    return message.fields[0]
                elif message.kind == "error":
                    raise self._their_error(message.fields)
                else:
                    self._end(BrokeProtocol("what came was neither a value nor an error."))
        finally:
            self._open.pop()

    def _their_error(self, fields: list[Any]) -> BaseException:
        """What the student's code raised; the very exception where it came from the check."""
        try:
            told = Told(*fields)
            told.check()
        except TypeError:
            self._end(BrokeProtocol("an error came that says nothing."))
        mine = self._raised.get(told.ref)
        if mine is None:
            return told.error()
        if told.where:
            mine.notebook_line = (told.where[0][:80], told.where[1][: errors.TEXT])
        return mine.with_traceback(None)

    # --- questions -------------------------------------------------------------------------------

    def _answer(self, message: wire.Message) -> None:
        """The student's code calls one of the check's functions, or reads an attribute."""
        if message.call >= self._last_question:
            self._end(BrokeProtocol("a question came twice, or late."))
        self._last_question = message.call
        self._questions += 1
        if self._questions > QUESTIONS:
            self._end(BrokeProtocol(f"your code asked the check more than {QUESTIONS:,} times."))
        began = time.monotonic()
        try:
            value = self._asked(message.kind, message.fields)
        except (Exception, SystemExit) as error:
            if self._ended is not None:
                raise
            self._spend(time.monotonic() - began)
            self._send_error(message.call, error)
        else:
            self._spend(time.monotonic() - began)
            self._send("reply", message.call, [value])

    def _asked(self, kind: str, fields: list[Any]) -> Any:
        try:
            number, member, *rest = fields
            mine = self._shown[number]
            allowed = member == "" or member in getattr(type(mine), "_public_names", ())
            positional, named = rest if kind == "call" else ((), {})
            sound = (
                type(member) is str and type(positional) in (list, tuple) and type(named) is dict
            )
        except (KeyError, TypeError, ValueError):
            allowed = sound = False
        if not (allowed and sound):
            self._end(BrokeProtocol("a function of the check was asked for that is not there."))
        found = getattr(mine, member) if member else mine
        return found(*positional, **named) if kind == "call" else found

    def _send_error(self, call: int, error: BaseException) -> None:
        ref = next(self._numbers)
        # Without its frames, which hold the arrays of every question.
        self._raised[ref] = error.with_traceback(None)
        while len(self._raised) > REMEMBERED:
            del self._raised[next(iter(self._raised))]
        kind = type(error)
        plain = [arg for arg in error.args if type(arg) in (str, int, float, bool, type(None))]
        args = plain if len(plain) == len(error.args) else [str(error)]
        told = {name: getattr(error, name, None) for name in getattr(kind, "_public_names", ())}
        place = f"{kind.__module__}:{kind.__qualname__}"
        self._send("error", call, [kind.__name__, place, args, told, ref])

    # --- messages --------------------------------------------------------------------------------

    def _send(self, kind: str, call: int, fields: list[Any]) -> None:
        try:
            parts = wire.pack(kind, call, fields, self._hold, wire.WIDE)
        except wire.WireError as error:
            raise CourseBug(f"A check sends what may not cross: {error}") from error
        began = time.monotonic()
        try:
            for part in parts:
                self.traffic.sent += len(part)
                self._sock.sendall(part)
        except TimeoutError:
            self._give_up(self.patience.call, None)
        except OSError:
            self._lost()
        finally:
            self._spend(time.monotonic() - began)

    def _receive(self, limit: float, number: int | None = None) -> wire.Message:
        """The next message. After ``limit`` seconds the request ``number`` is given up on."""
        began = time.monotonic()
        try:
            message = self._next(began + limit)
        finally:
            self._spend(time.monotonic() - began)
        if message is None and number is None:
            self._end(BrokeProtocol("the notebook did not answer: nothing could be tested."))
        if message is None:
            self._give_up(self.patience.call if self._left > 0 else self.patience.cell, number)
        return message

    def _next(self, deadline: float) -> wire.Message | None:
        """The next message, or None if it has not come by then."""
        try:
            while True:
                # Also where something always comes: a flood must end, too.
                late = time.monotonic() > deadline
                if late or not self.kernel.wait(self._sock, deadline):
                    return None
                frame = self._inbox.pull()
                if frame is not None:
                    size = len(frame[0]) + len(frame[1])
                    self.traffic.received += size
                    self.traffic.largest = max(self.traffic.largest, size)
                    return wire.unpack(*frame, self._meet, self.limits)
        except wire.WireError as error:
            self._end(BrokeProtocol(f"what came from your code could not be read: {error}"))
        except (EOFError, OSError):
            self._lost()
        except KernelDied as error:
            self._end(error)

    def _listen(self, listener: socket.socket, limit: float) -> None:
        try:
            if not self.kernel.wait(listener, time.monotonic() + limit, until_reply=True):
                self._end(BrokeProtocol("the notebook did not answer: nothing could be tested."))
        except KernelDied as error:
            self._end(error)

    def _spend(self, seconds: float) -> None:
        self.traffic.waited += seconds
        self._left -= seconds
        self._call_left -= seconds

    # --- ends ------------------------------------------------------------------------------------

    def _give_up(self, limit: float, number: int | None) -> NoReturn:
        """Interrupt the student's code; whoever does not end in time is killed. Always raises."""
        took = f"your code took longer than {limit:g} s"
        late = TookTooLong(f"{took} (does a loop not end?).")
        self.limit_hit = self.limit_hit or f"{took}."
        self.kernel.interrupt()
        until = time.monotonic() + self.patience.grace
        while number is not None and (message := self._next(until)) is not None:
            if message.call == number and message.kind in ("reply", "error"):
                raise late  # it came too late, whatever it is; the line is in order
            if message.kind not in ("call", "get"):
                break
            self._last_question = min(self._last_question, message.call)
            self._send_error(message.call, late)
        self.kernel.kill(f"{took}. It did not stop when interrupted, and was ended.")
        self._end(late)

    def _lost(self) -> NoReturn:
        """The line is down: because the process has ended, or was it closed? Always raises."""
        if self.kernel.gone(within=2):
            self._end(KernelDied(self.kernel.reason))
        self._end(BrokeProtocol("your code closed the line to the grader."))

    def _end(self, error: Stopped) -> NoReturn:
        self._ended = self._ended or error
        raise error

    # --- handles ---------------------------------------------------------------------------------

    def _hold(self, value: Any) -> list:
        """The node of an object that is no plain data; see `wire`."""
        if isinstance(value, Remote):
            return ["r", value._number_]
        if isinstance(value, np.random.Generator):
            encoder = wire.Encoder(self._hold, wire.WIDE)
            state = value.bit_generator.state
            node = encoder.node(state)
            if encoder.buffers:
                raise CourseBug("A check hands out a random generator other than default_rng.")
            return ["g", type(value.bit_generator).__name__, node]
        public = getattr(type(value), "_public_names", None)
        if public is None and not callable(value):
            raise CourseBug(
                f"A check hands a {type(value).__name__} to the student's code. Only plain data, "
                "arrays, functions and objects whose class has _public_names may cross."
            )
        number = next(self._numbers)
        self._shown[number] = value
        if public is None:
            return ["o", number, getattr(value, "__name__", type(value).__name__), None]
        members = [[name, callable(getattr(type(value), name, None))] for name in public]
        return ["o", number, type(value).__name__, members]

    def _meet(self, node: list) -> Remote:
        """The proxy for an object of the student's."""
        kinds = [type(part) for part in node]
        if kinds != [str, int, bool, str] or node[0] != "o":
            raise wire.WireError("a message holds something that is neither data nor an object.")
        _, number, can_call, name = node
        return remote_class(errors.identifier(name, "object"), can_call)(self, number)
