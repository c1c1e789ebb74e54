"""The grader's agent in the student's kernel: answers the grader's calls while a test cell runs.

The grader sends this file and `wire` as source, since its own packages do not exist there. The
agent looks up names in the notebook, calls what the grader asks for, and sends back values, handles
or errors. The grader's functions that are passed to the student's code are stubs here: calling one
sends a request to the grader in the middle of the grader's own call.

The student's code can do what it likes to this process, and gains nothing: the grader treats
whatever comes from here as the student's answer, and as no more.
"""

from __future__ import annotations

import importlib
import itertools
import signal
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from . import wire

MAX_TEXT = 2_000  # characters of a message; of a traceback, four times as many
MAX_NAME = 80


def serve(path: str, token: str, names: dict[str, Any]) -> None:
    """Connect to the grader's socket at ``path`` and answer until it says that it is done."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
        Agent(sock, names).run(token)


class Agent:
    """One session with the grader: its handles, and the calls that are running."""

    def __init__(self, sock: socket.socket, names: dict[str, Any]):
        self.sock, self.names = sock, names
        self.reader = wire.FrameReader(sock, wire.GRADER_LIMITS)
        self.handles: dict[int, Any] = {}
        self.numbers = itertools.count(1)
        self.running_calls = self.last_request = 0
        self.ended = self.interrupted = False
        self.withheld = ExitStack()
        self.lock = threading.RLock()  # a student's threads may ask the grader, one at a time

    # --- requests of the grader ----------------------------------------------------------------

    def run(self, token: str) -> None:
        """Say hello, then answer one request after the other."""
        with self._interruptible_answers(), self.withheld:
            self.send("hello", 0, [token])
            while not self.ended:
                try:
                    self.answer(self.receive())
                except EOFError:
                    return

    @contextmanager
    def _interruptible_answers(self) -> Iterator[None]:
        """Let an interrupt reach the student's code, but never a half-read message."""

        def interrupt(number: int, frame: Any) -> None:
            if self.running_calls:
                raise KeyboardInterrupt
            self.interrupted = True

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def answer(self, message: wire.Message) -> None:
        """Do what one message asks for, and send the value or the error."""
        if message.kind == "end":
            self.ended = True
            return
        try:
            reply = "reply", [self._do(message.kind, message.fields)]
        except BaseException as error:  # SystemExit and KeyboardInterrupt are answers too
            reply = "error", describe(error)
        with self.lock:
            try:
                self.send(reply[0], message.call, reply[1])
            except BaseException as error:  # a value that may not cross, or raises when examined
                self.send("error", message.call, describe(error))

    def _do(self, kind: str, fields: list[Any]) -> Any:
        if kind == "names":
            return self._names(*fields)
        if kind == "call":
            target, positional, named, released = fields
            self._release(released)
            return self._call_student(target, *positional, **named)
        if kind == "withhold":
            return self._withhold(*fields)
        if kind == "get":
            target, name, released = fields
            self._release(released)
            return self._call_student(getattr, target, name)
        raise RuntimeError(f"The grader asked for {kind!r}, which this agent does not know.")

    def _call_student(self, function: Any, *positional: Any, **named: Any) -> Any:
        self.running_calls += 1
        try:
            return function(*positional, **named)
        finally:
            self.running_calls -= 1

    def _names(self, wanted: list[str], imported: dict[str, str]) -> dict[str, Any]:
        """The wanted names that the notebook defines; imported ones come from their module."""
        found = {name: self.names[name] for name in wanted if name in self.names}
        for name, place in imported.items():
            module, _, attribute = place.partition(":")
            found[name] = getattr(importlib.import_module(module), attribute)
        return found

    def _withhold(self, names: list[str]) -> None:
        """Let these names of the course's library refuse from now on, and no others."""
        self.withheld.close()
        if names:
            refusing = importlib.import_module("trickster.withheld").refusing
            self.withheld.enter_context(refusing(names, copies=True))

    def _release(self, numbers: list[int]) -> None:
        for number in numbers:
            self.handles.pop(number, None)

    # --- requests of the student's code --------------------------------------------------------

    def ask(self, kind: str, fields: list[Any]) -> Any:
        """Send the grader a request in the middle of its call; raises what its function raises."""
        with self.lock:
            if not self.running_calls or self.ended:
                raise RuntimeError(
                    "This belongs to a check that has ended; it can't be used any more."
                )
            self.last_request -= 1
            call = self.last_request
            self.send(kind, call, fields)
            while True:
                message = self.receive()
                if message.call == call and message.kind == "reply":
                    return message.fields[0]
                if message.call == call and message.kind == "error":
                    raise rebuild_error(*message.fields)
                self.answer(message)  # the grader's function calls the student's code in turn

    # --- messages ------------------------------------------------------------------------------

    def send(self, kind: str, call: int, fields: list[Any]) -> None:
        parts = wire.pack(kind, call, fields, self._encode_handle, wire.WireLimits())
        with self._uninterrupted():
            for part in parts:
                self.sock.sendall(part)

    def receive(self) -> wire.Message:
        with self._uninterrupted():
            frame = None
            while frame is None:
                frame = self.reader.read()
        return wire.unpack(*frame, self._decode_handle, wire.GRADER_LIMITS)

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Delay an interrupt until the message is complete, so that no half of one is lost."""
        before, self.running_calls, self.interrupted = self.running_calls, 0, False
        try:
            yield
        finally:
            self.running_calls = before
        if self.interrupted and self.running_calls:
            raise KeyboardInterrupt

    def _encode_handle(self, value: Any) -> list:
        number = next(self.numbers)
        self.handles[number] = value
        return ["o", number, callable(value), class_name(type(value))]

    def _decode_handle(self, node: list) -> Any:
        tag = node[0]
        if tag == "r":
            return self.handles[node[1]]
        if tag == "g":
            return generator(node[1], self._plain(node[2]))
        _, number, name, members = node
        if members is None:
            return self._function(number, name)
        return self._object(number, name, dict(members))

    def _plain(self, node: Any) -> Any:
        return wire.Decoder(memoryview(b""), self._decode_handle, wire.GRADER_LIMITS).value(node)

    def _function(self, number: int, name: str, member: str = "") -> Any:
        def stub(*positional: Any, **named: Any) -> Any:
            return self.ask("call", [number, member, list(positional), named])

        stub.__name__ = stub.__qualname__ = member or name
        return stub

    def _object(self, number: int, name: str, members: dict[str, bool]) -> Any:
        """A stub for a grader's object: only its public names exist; ``True`` marks methods."""

        def get_member(stub: Any, member: str) -> Any:
            if member not in members:
                raise AttributeError(f"{name!r} has no attribute {member!r} that you may use.")
            if members[member]:
                return self._function(number, name, member)
            return self.ask("get", [number, member])

        return type(
            name, (), {"__getattr__": get_member, "__dir__": lambda stub: sorted(members)}
        )()


# --- values -----------------------------------------------------------------------------------


def class_name(kind: type) -> str:
    return str(type.__getattribute__(kind, "__name__"))[:MAX_NAME]


def generator(name: str, state: dict[str, Any]) -> np.random.Generator:
    """A random generator in the state of the grader's, which draws the same numbers."""
    bits = getattr(np.random, name)()
    bits.state = state
    return np.random.Generator(bits)


def describe(error: BaseException) -> list[Any]:
    """The fields of `errors.RemoteErrorDescription` for something raised."""
    try:
        kinds = [f"{kind.__module__}:{class_name(kind)}" for kind in type(error).__mro__[:20]]
        attributes = {}
        for name in getattr(type(error), "_public_names", ()):
            value = getattr(error, name, None)
            attributes[str(name)[:MAX_NAME]] = value if type(value) in (int, float, str) else None
        ref = getattr(error, "_referee_ref", 0)
        return [
            class_name(type(error)),
            kinds,
            message_of(error),
            attributes,
            *location_of(error),
            ref,
        ]
    except BaseException as other:
        return ["Exception", [], f"(it cannot be shown: {class_name(type(other))})", {}, [], "", 0]


def message_of(error: BaseException) -> str:
    try:
        text = str.__str__(str(error))
    except BaseException as other:
        return f"(its message cannot be shown: __str__ raised {class_name(type(other))})"
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ..."


def location_of(error: BaseException) -> tuple[list[str], str]:
    """The deepest line in the notebook as [function, line], and the traceback through it."""
    try:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename.startswith("<ipython") or "ipykernel" in f.filename]
        shown = "".join(traceback.format_list(own[-8:]))[: 4 * MAX_TEXT]
        if not own:
            return [], shown
        # A comprehension, which has a frame of its own, is a part of its function.
        named = [f.name for f in own if not f.name.startswith("<")] or [own[-1].name]
        return [named[-1][:MAX_NAME], (own[-1].line or "")[:MAX_TEXT]], shown
    except BaseException:
        return [], ""


def rebuild_error(
    name: str, place: str, positional: list[Any], attributes: dict[str, Any], ref: int
) -> Any:
    """What the grader's function raised, of the same class if this process has it."""
    try:
        module, _, attribute = place.partition(":")
        kind = getattr(importlib.import_module(module), attribute)
        error = kind.__new__(kind)
    except Exception:
        kind = type(name, (RuntimeError,), {})
        error = kind.__new__(kind)
    error.args = tuple(positional)
    for attribute, value in {**attributes, "_referee_ref": ref}.items():
        setattr(error, attribute, value)
    return error
