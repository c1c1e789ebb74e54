"""The wire format between the grader and a student's kernel. Nothing is pickled.

What may cross: None, bool, int, float, str, bytes, lists, tuples and dicts; NumPy arrays and torch
tensors of plain numbers (raw bytes, dtype, shape); fractions and decimals, as floats; iterators,
read to their end; and handles, numbers that stand for objects which stay where they are.
Subclasses of plain types cross as the plain type. The grader's read-only arrays stay read-only.

A frame is a header, the bytes of all arrays, and a body in MessagePack. In the body,
whatever is not a scalar is a list (a node), whose first item says what it is.

Decoding trusts nothing: any deviation raises :class:`WireError`. This file
also runs in the student's kernel, where the course's autograder does not exist: it needs the
standard library, msgpack and NumPy, and torch only for tensors.
"""

from __future__ import annotations

import math
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any, NamedTuple

import msgpack
import numpy as np

HEADER = struct.Struct("<4sIQ")  # magic, size of the body, size of the arrays
MAGIC = b"TRL1"
ALIGN = 16
DTYPES = frozenset(
    np.dtype(code).newbyteorder("<").str
    for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
)
SCALARS = frozenset((type(None), bool, float, str, bytes))
LAZY = frozenset(
    (
        *(type(iter_) for iter_ in ((i for i in ()), map(str, ()), zip(), filter(None, ()))),
        *(type(view) for view in ({}.keys(), {}.values(), {}.items())),
        *(type(iter(empty)) for empty in ([], (), {}, "", range(0))),
        *(set, frozenset, reversed, enumerate),
    )
)
MIB = 1024**2


class WireLimits(NamedTuple):
    """How large and how deep a message may be."""

    frame: int = 64 * MIB
    body: int = 8 * MIB  # what is not the raw bytes of arrays
    items: int = 250_000  # in one message, over all lists, tuples and dicts
    depth: int = 32
    bits: int = 4_096  # of an integer
    odd_keys: int = 10_000  # keys of dicts that are no text: these can be made to collide
    locks: bool = False  # whether an array that was read-only is so again


GRADER_LIMITS = WireLimits(
    frame=1024 * MIB, body=256 * MIB, items=10_000_000, locks=True
)  # for messages from the grader


class WireError(Exception):
    """A value or a message that may not cross; its text says why."""


EncodeHandle = Callable[[Any], list]  # an object that stays here → its node
DecodeHandle = Callable[[list], Any]  # a handle's node → its object on this side


class Message(NamedTuple):
    """One message: its kind, the call it belongs to, and its values."""

    kind: str
    call: int
    fields: list[Any]


# --- encoding ----------------------------------------------------------------------------------


class Encoder:
    """Turns the values of one message into nodes; arrays go into ``buffers``."""

    def __init__(self, encode_handle: EncodeHandle, limits: WireLimits):
        self.encode_handle, self.limits = encode_handle, limits
        self.buffers: list[memoryview | bytes] = []
        self.size = self.items = 0

    def node(self, value: Any, depth: int = 0) -> Any:
        """``value`` as MessagePack can represent it."""
        kind = type(value)
        if kind in SCALARS:
            return value
        if depth > self.limits.depth:
            raise WireError(f"the value is nested deeper than {self.limits.depth} levels.")
        if kind is int:
            return self._integer(value)
        if kind is list or kind is tuple:
            return self._row("l" if kind is list else "t", value, depth)
        if issubclass(kind, np.ndarray):
            return self._array(np.ndarray.view(value, np.ndarray), depth)
        if issubclass(kind, np.generic):
            return self._numpy_scalar(value, depth)
        if issubclass(kind, (bool, int, float, str, bytes, list, tuple, dict)):
            return self._plain(value, kind, depth)
        if kind in (range, deque):
            return self._row("l", islice(value, self.limits.items + 1), depth)
        if kind in LAZY:
            return self._row("e", islice(value, self.limits.items + 1), depth)
        if issubclass(kind, (Fraction, Decimal)):
            return float(value)
        torch = sys.modules.get("torch")
        if torch is not None and issubclass(kind, torch.Tensor):
            return self._tensor(value, torch)
        return self.encode_handle(value)

    def _plain(self, value: Any, kind: type, depth: int) -> Any:
        """A dict, or a subclass of a plain type without what it adds to it."""
        if issubclass(kind, dict):
            pairs = dict.items(value)
            return self._row("d", (half for pair in pairs for half in pair), depth)
        if issubclass(kind, int):
            return self._integer(int.__int__(value))
        if issubclass(kind, float):
            return float.__float__(value)
        if issubclass(kind, str):
            return str.__str__(value)
        if issubclass(kind, bytes):
            return memoryview(value).tobytes()
        if issubclass(kind, list):
            return self._row("l", list.__getitem__(value, slice(None)), depth)
        return self._row("t", tuple.__getitem__(value, slice(None)), depth)

    def _row(self, tag: str, values: Iterable[Any], depth: int) -> list:
        row = [tag]
        below = depth + 1
        row += [v if type(v) in SCALARS else self.node(v, below) for v in values]
        self.items += len(row)
        if self.items > self.limits.items:
            raise WireError(f"the value holds more than {self.limits.items:,} items.")
        return row

    def _integer(self, value: int) -> Any:
        if -(2**63) <= value < 2**64:
            return value
        if value.bit_length() > self.limits.bits:
            raise WireError(f"the integer has more than {self.limits.bits:,} bits.")
        return ["n", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)]

    def _numpy_scalar(self, value: np.generic, depth: int) -> Any:
        if value.dtype.kind in "biu":
            return self._integer(int(value)) if value.dtype.kind != "b" else bool(value)
        if value.dtype.kind == "f":
            return float(value)
        plain = value.item()
        return (
            self.encode_handle(value)
            if isinstance(plain, np.generic)
            else self.node(plain, depth + 1)
        )

    def _array(self, value: np.ndarray, depth: int) -> Any:
        writeable = value.flags.writeable
        if value.dtype.kind == "f" and value.dtype.itemsize > 8:
            value = value.astype(np.float64)
        dtype = value.dtype.newbyteorder("<")
        if dtype.str not in DTYPES:  # texts, objects, dates: item by item, where they may cross
            return self.node(value.tolist(), depth + 1)
        if value.nbytes > self.limits.frame:
            raise WireError(
                f"an array of {value.nbytes / MIB:,.0f} MB is larger than the "
                f"{self.limits.frame / MIB:,.0f} MB that may cross."
            )
        value = np.ascontiguousarray(value, dtype=dtype).reshape(value.shape)
        start, locked = self.size, self.limits.locks and not writeable
        if value.nbytes:
            self.buffers.append(memoryview(value.reshape(-1).view(np.uint8)))
            padding = -value.nbytes % ALIGN
            if padding:
                self.buffers.append(bytes(padding))
            self.size += value.nbytes + padding
        return ["a", dtype.str, list(value.shape), start, *([True] if locked else [])]

    def _tensor(self, value: Any, torch: Any) -> Any:
        plain = value.detach().cpu()
        if plain.layout is not torch.strided:
            plain = plain.to_dense()
        if plain.is_quantized:
            plain = plain.dequantize()
        if plain.dtype is torch.bfloat16:
            plain = plain.float()
        if plain.is_complex():
            return self.encode_handle(value)
        return ["x", self._array(plain.resolve_neg().numpy(), 0), bool(value.requires_grad)]


def pack(
    kind: str, call: int, fields: Iterable[Any], encode_handle: EncodeHandle, limits: WireLimits
) -> list:
    """A message as the parts of its frame, in the order in which they are sent."""
    encoder = Encoder(encode_handle, limits)
    nodes = [encoder.node(field) for field in fields]
    body = msgpack.packb([kind, call, nodes], unicode_errors="replace")
    if len(body) > limits.body or len(body) + encoder.size > limits.frame:
        raise WireError(
            f"the value takes {(len(body) + encoder.size) / MIB:,.0f} MB; at most "
            f"{limits.frame / MIB:,.0f} MB in arrays and {limits.body / MIB:,.0f} MB in anything "
            "else may cross. Lists of numbers are smaller as arrays."
        )
    header = HEADER.pack(MAGIC, len(body), encoder.size)
    return [header, *encoder.buffers, body] if encoder.buffers else [header + body]


# --- decoding ----------------------------------------------------------------------------------


class Decoder:
    """Turns nodes back into values; ``data`` holds the bytes of the arrays."""

    def __init__(self, data: memoryview, decode_handle: DecodeHandle, limits: WireLimits):
        self.data, self.decode_handle, self.limits = data, decode_handle, limits
        self.items = self.array_bytes = self.odd_keys = 0

    def value(self, node: Any, depth: int = 0) -> Any:
        kind = type(node)
        if kind in SCALARS or kind is int:
            return node
        if kind is not list or not node:
            raise WireError(f"a message holds a {kind.__name__} where a value should be.")
        if depth > self.limits.depth:
            raise WireError(f"a value is nested deeper than {self.limits.depth} levels.")
        tag = node[0]
        if tag == "l":
            return self._row(node, depth)
        if tag == "t":
            return tuple(self._row(node, depth))
        if tag == "e":
            return iter(self._row(node, depth))
        if tag == "d":
            return self._dict(node, depth)
        if tag == "a":
            return self._array(node)
        if tag == "x":
            return self._tensor(node)
        if tag == "n":
            return self._integer(node)
        return self.decode_handle(node)

    def _row(self, node: list, depth: int) -> list:
        self.items += len(node)
        if self.items > self.limits.items:
            raise WireError(f"a message holds more than {self.limits.items:,} items.")
        below = depth + 1
        return [v if type(v) in SCALARS else self.value(v, below) for v in islice(node, 1, None)]

    def _dict(self, node: list, depth: int) -> dict:
        row = self._row(node, depth)
        if len(row) % 2:
            raise WireError("a dictionary in a message has a key without a value.")
        self.odd_keys += sum(type(key) not in (str, bytes) for key in row[::2])
        if self.odd_keys > self.limits.odd_keys:
            raise WireError(
                f"dictionaries in a message have more than {self.limits.odd_keys:,} keys that are "
                "no texts."
            )
        try:
            return dict(zip(row[::2], row[1::2], strict=True))
        except TypeError:
            raise WireError("a dictionary has a key that is not a plain value.") from None

    def _integer(self, node: list) -> int:
        if len(node) != 2 or type(node[1]) is not bytes or len(node[1]) * 8 > self.limits.bits + 8:
            raise WireError("a message holds a broken or huge integer.")
        return int.from_bytes(node[1], "little", signed=True)

    def _array(self, node: list) -> np.ndarray:
        locked = len(node) == 5 and node[4] is True and self.limits.locks
        if len(node) != 4 and not locked:
            raise WireError("an array in a message is not described by dtype, shape and position.")
        _, code, shape, start = node[:4]
        if type(code) is not str or code not in DTYPES:
            raise WireError("an array in a message has a dtype that may not cross.")
        whole = type(shape) is list and len(shape) <= 32 and all(type(n) is int for n in shape)
        if not whole or type(start) is not int or min(shape, default=0) < 0:
            raise WireError("an array in a message has a broken shape or position.")
        dtype, count = np.dtype(code), math.prod(shape)
        if count == 0:
            try:
                return np.empty(shape, dtype)
            except (ValueError, MemoryError):
                raise WireError("an empty array in a message has an absurd shape.") from None
        if start < 0 or start + count * dtype.itemsize > len(self.data):
            raise WireError("an array in a message is larger than the bytes that came with it.")
        # Many arrays in the same bytes would cost nothing to send and gigabytes to stack.
        self.array_bytes += count * dtype.itemsize
        if self.array_bytes > len(self.data):
            raise WireError("arrays in a message share their bytes.")
        found = np.frombuffer(self.data, dtype, count, start)
        # Other bytes than 0 and 1 would make True count more than 1.
        if dtype.kind == "b" and found.view(np.uint8).max() > 1:
            raise WireError("an array of bools in a message holds something else.")
        found = found.reshape(shape)
        if locked:
            found.flags.writeable = False
        return found

    def _tensor(self, node: list) -> Any:
        if len(node) != 3 or type(node[1]) is not list or type(node[2]) is not bool:
            raise WireError("a tensor in a message is broken.")
        import torch

        try:
            return torch.from_numpy(self._array(node[1])).requires_grad_(node[2])
        except (TypeError, RuntimeError):
            raise WireError("a tensor in a message has a dtype that may not cross.") from None


def unpack(
    body: bytes | memoryview, data: memoryview, decode_handle: DecodeHandle, limits: WireLimits
) -> Message:
    """The message in a frame. Raises :class:`WireError`."""
    items = 0

    def count(row: list) -> list:
        """Called for each list once it is read: eight million empty ones fit into 8 MB."""
        nonlocal items
        items += len(row) + 1
        if items > 4 * limits.items:  # the decoder counts exactly
            raise WireError("too many items")
        return row

    try:
        parts = msgpack.unpackb(
            body,
            strict_map_key=False,
            max_array_len=limits.items,
            max_map_len=0,
            max_ext_len=0,
            list_hook=count,
        )
    except WireError:
        raise WireError(f"a message holds more than {limits.items:,} items.") from None
    except Exception as error:  # msgpack has half a dozen, ValueErrors and others
        raise WireError(f"a message is not MessagePack ({type(error).__name__}).") from None
    kinds = [type(part) for part in parts] if type(parts) is list else []
    if kinds != [str, int, list]:
        raise WireError("a message does not say what it is.")
    decoder = Decoder(data, decode_handle, limits)
    return Message(parts[0], parts[1], [decoder.value(node, 0) for node in parts[2]])


# --- frames ------------------------------------------------------------------------------------


class FrameReader:
    """Reads frames from a stream socket, in however many parts they arrive."""

    def __init__(self, sock: socket.socket, limits: WireLimits):
        self.sock, self.limits = sock, limits
        self._expect_header()

    def read(self) -> tuple[memoryview, memoryview] | None:
        """Take what has arrived: body and arrays if that completes a frame, else None.

        Raises EOFError when the other side has closed, :class:`WireError` for a bad header.
        """
        got = self.sock.recv_into(self._buffer[self._received :])
        if got == 0:
            raise EOFError
        self._received += got
        if self._received < len(self._buffer):
            return None
        if self._body_size is None:
            self._read_header()
            return None
        frame, body = self._buffer, self._body_size
        self._expect_header()
        return frame[-body:], frame[:-body]

    def _expect_header(self) -> None:
        self._buffer, self._received = memoryview(bytearray(HEADER.size)), 0
        self._body_size: int | None = None

    def _read_header(self) -> None:
        magic, body, data = HEADER.unpack(self._buffer)
        if magic != MAGIC or not body:
            raise WireError("something other than a message arrived.")
        if body > self.limits.body or body + data > self.limits.frame:
            raise WireError(
                f"a message of {(body + data) / MIB:,.0f} MB arrived; at most "
                f"{self.limits.frame / MIB:,.0f} MB are allowed."
            )
        self._buffer, self._received, self._body_size = memoryview(bytearray(data + body)), 0, body
