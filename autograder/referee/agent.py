"""Runs in the student's kernel and answers the grader's calls while one cell is running.

The grader sends this file and `wire` as source, since its own packages are not there. The agent
resolves names in the notebook, calls what the grader asks for, and sends back values, handles or
what was raised. Grader's functions that are handed to the student's code are stubs here: calling
one asks the grader in the middle of the call.

The student's code can do what it likes to this process. It gains nothing: whatever comes out of
here is an answer of the student's, and the grader takes it for no more.
"""

from __future__ import annotations

import importlib
import itertools
import signal
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import wire

TEXT = 2_000  # characters of a message; of a traceback, four times as many
NAME = 80


def serve(path: str, token: str, names: dict[str, Any]) -> None:
    """Meet the grader at the socket ``path`` and answer until it says that it is done."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
        Agent(sock, names).run(token)


class Agent:
    """One meeting with the grader: its handles, and the calls that are open."""

    def __init__(self, sock: socket.socket, names: dict[str, Any]):
        self.sock, self.names = sock, names
        self.inbox = wire.Inbox(sock, wire.WIDE)
        self.held: dict[int, Any] = {}
        self.numbers = itertools.count(1)
        self.open = self.last = 0
        self.ended = self.interrupted = False
        self.turn = threading.RLock()  # a student's threads may ask the grader, one at a time

    # --- the grader asks -----------------------------------------------------------------------

    def run(self, token: str) -> None:
        """Say hello, then answer one request after the other."""
        with self._interruptible_answers():
            self.send("hello", 0, [token])
            while not self.ended:
                try:
                    self.answer(self.receive())
                except EOFError:
                    return

    @contextmanager
    def _interruptible_answers(self) -> Iterator[None]:
        """An interrupt reaches the student's code, never the half-read message between calls."""

        def interrupt(number: int, frame: Any) -> None:
            if self.open:
                raise KeyboardInterrupt
            self.interrupted = True

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def answer(self, message: wire.Message) -> None:
        """Do what one message asks and send what came of it."""
        if message.kind == "end":
            self.ended = True
            return
        try:
            reply = "reply", [self._do(message.kind, message.fields)]
        except BaseException as error:  # SystemExit and KeyboardInterrupt are answers, too
            reply = "error", describe(error)
        with self.turn:
            try:
                self.send(reply[0], message.call, reply[1])
            except BaseException as error:  # a value that may not cross, or that fights back
                self.send("error", message.call, describe(error))

    def _do(self, kind: str, fields: list[Any]) -> Any:
        if kind == "names":
            return self._names(*fields)
        if kind == "call":
            target, positional, named, dropped = fields
            self._drop(dropped)
            return self._student(target, *positional, **named)
        if kind == "get":
            target, name, dropped = fields
            self._drop(dropped)
            return self._student(getattr, target, name)
        raise RuntimeError(f"The grader asked for {kind!r}, which this agent does not know.")

    def _student(self, function: Any, *positional: Any, **named: Any) -> Any:
        self.open += 1
        try:
            return function(*positional, **named)
        finally:
            self.open -= 1

    def _names(self, wanted: list[str], imported: dict[str, str]) -> dict[str, Any]:
        """Those of the wanted names that the notebook has; imported ones come from their module."""
        found = {name: self.names[name] for name in wanted if name in self.names}
        for name, place in imported.items():
            module, _, attribute = place.partition(":")
            found[name] = getattr(importlib.import_module(module), attribute)
        return found

    def _drop(self, handles: list[int]) -> None:
        for number in handles:
            self.held.pop(number, None)

    # --- the student asks ----------------------------------------------------------------------

    def ask(self, kind: str, fields: list[Any]) -> Any:
        """Ask the grader in the middle of its call; raises what its function raises."""
        with self.turn:
            if not self.open or self.ended:
                raise RuntimeError("This belongs to a check that is over: it can't be used now.")
            self.last -= 1
            call = self.last
            self.send(kind, call, fields)
            while True:
                message = self.receive()
                if message.call == call and message.kind == "reply":
                    return message.fields[0]
                if message.call == call and message.kind == "error":
                    raise rebuilt(*message.fields)
                self.answer(message)  # the grader's function calls the student's code in turn

    # --- messages ------------------------------------------------------------------------------

    def send(self, kind: str, call: int, fields: list[Any]) -> None:
        parts = wire.pack(kind, call, fields, self._hold, wire.Limits())
        with self._uninterrupted():
            for part in parts:
                self.sock.sendall(part)

    def receive(self) -> wire.Message:
        with self._uninterrupted():
            frame = None
            while frame is None:
                frame = self.inbox.pull()
        return wire.unpack(*frame, self._meet, wire.WIDE)

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Half a message must not be lost to an interrupt: it comes after the message."""
        before, self.open, self.interrupted = self.open, 0, False
        try:
            yield
        finally:
            self.open = before
        if self.interrupted and self.open:
            raise KeyboardInterrupt

    def _hold(self, value: Any) -> list:
        number = next(self.numbers)
        self.held[number] = value
        return ["o", number, callable(value), name_of(type(value))]

    def _meet(self, node: list) -> Any:
        tag = node[0]
        if tag == "r":
            return self.held[node[1]]
        if tag == "g":
            return generator(node[1], self._plain(node[2]))
        _, number, name, members = node
        if members is None:
            return self._function(number, name)
        return self._object(number, name, dict(members))

    def _plain(self, node: Any) -> Any:
        return wire.Decoder(memoryview(b""), self._meet, wire.WIDE).value(node)

    def _function(self, number: int, name: str, member: str = "") -> Any:
        def stub(*positional: Any, **named: Any) -> Any:
            return self.ask("call", [number, member, list(positional), named])

        stub.__name__ = stub.__qualname__ = member or name
        return stub

    def _object(self, number: int, name: str, members: dict[str, bool]) -> Any:
        """An object of the grader's: only its public names are there; ``True`` marks methods."""

        def look(stub: Any, member: str) -> Any:
            if member not in members:
                raise AttributeError(f"{name!r} has no attribute {member!r} that you may use.")
            if members[member]:
                return self._function(number, name, member)
            return self.ask("get", [number, member])

        return type(name, (), {"__getattr__": look, "__dir__": lambda stub: sorted(members)})()


# --- values -----------------------------------------------------------------------------------


def name_of(kind: type) -> str:
    return str(type.__getattribute__(kind, "__name__"))[:NAME]


def generator(name: str, state: dict[str, Any]) -> np.random.Generator:
    """The random generator that the grader's would be, drawing the same numbers."""
    bits = getattr(np.random, name)()
    bits.state = state
    return np.random.Generator(bits)


def describe(error: BaseException) -> list[Any]:
    """What there is to tell of something raised; `errors.Told` reads it."""
    try:
        kinds = [f"{kind.__module__}:{name_of(kind)}" for kind in type(error).__mro__[:20]]
        told = {}
        for name in getattr(type(error), "_public_names", ()):
            value = getattr(error, name, None)
            told[str(name)[:NAME]] = value if type(value) in (int, float, str) else None
        ref = getattr(error, "_referee_ref", 0)
        return [name_of(type(error)), kinds, text_of(error), told, *story_of(error), ref]
    except BaseException as other:
        return ["Exception", [], f"(it can't be shown: {name_of(type(other))})", {}, [], "", 0]


def text_of(error: BaseException) -> str:
    try:
        text = str.__str__(str(error))
    except BaseException as other:
        return f"(its text cannot be shown: __str__ raised {name_of(type(other))})"
    return text if len(text) <= TEXT else f"{text[:TEXT]} ..."


def story_of(error: BaseException) -> tuple[list[str], str]:
    """The deepest line in the notebook as [function, line], and the traceback through it."""
    try:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename.startswith("<ipython") or "ipykernel" in f.filename]
        shown = "".join(traceback.format_list(own[-8:]))[: 4 * TEXT]
        return ([own[-1].name[:NAME], (own[-1].line or "")[:TEXT]] if own else []), shown
    except BaseException:
        return [], ""


def rebuilt(name: str, place: str, positional: list[Any], told: dict[str, Any], ref: int) -> Any:
    """What the grader's function raised, of the same class where this process has it."""
    try:
        module, _, attribute = place.partition(":")
        kind = getattr(importlib.import_module(module), attribute)
        error = kind.__new__(kind)
    except Exception:
        kind = type(name, (RuntimeError,), {})
        error = kind.__new__(kind)
    error.args = tuple(positional)
    for attribute, value in {**told, "_referee_ref": ref}.items():
        setattr(error, attribute, value)
    return error
