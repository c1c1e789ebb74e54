"""What crosses between grader and kernel, and what does not get through."""

from __future__ import annotations

import contextlib
import enum
import math
import socket
import tracemalloc
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import msgpack
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder.referee import wire
from autograder.referee.wire import WireError


class Handle:
    """Stands for an object that stays where it is."""


def no_handles(node: list) -> Any:
    raise WireError("there is no such object.")


def encode_handle(value: Any) -> list:
    return ["o", 1, callable(value), type(value).__name__]


def parts_of(value: Any, limits: wire.WireLimits = wire.WireLimits()) -> list:  # noqa: B008
    return wire.pack("reply", 1, [value], encode_handle, limits)


def frame(parts: list, limits: wire.WireLimits = wire.WireLimits()) -> tuple:  # noqa: B008
    """The parts as they arrive at the other end of a socket."""
    here, there = socket.socketpair()
    with here, there:
        raw = b"".join(bytes(part) for part in parts)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        reader, found, sent = wire.FrameReader(there, limits), None, 0
        while found is None:
            if sent < len(raw):
                sent += here.send(raw[sent : sent + 50_000])
            found = reader.read()
        return found


def crossed(value: Any, limits: wire.WireLimits = wire.WireLimits()) -> Any:  # noqa: B008
    message = wire.unpack(*frame(parts_of(value, limits), limits), no_handles, limits)
    assert (message.kind, message.call) == ("reply", 1)
    (found,) = message.fields
    return found


def decode(node: Any, data: bytes = b"", limits: wire.WireLimits = wire.WireLimits()) -> Any:  # noqa: B008
    """A node that somebody forged."""
    body = msgpack.packb(["reply", 1, [node]])
    return wire.unpack(body, memoryview(bytearray(data)), no_handles, limits).fields[0]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(
    st.characters(exclude_categories=["Cs"])
) | st.binary()  # fmt: skip
keys = st.none() | st.booleans() | st.integers() | st.text("abc") | st.tuples(st.integers())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)
arrays = hnp.arrays(
    st.sampled_from(sorted(wire.DTYPES)), hnp.array_shapes(min_dims=0, min_side=0, max_side=5)
)


def same_types(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return all(map(same_types, one, other))
    if isinstance(one, dict):
        return all(map(same_types, [*one, *one.values()], [*other, *other.values()]))
    return True


@given(values)
@settings(max_examples=200, deadline=None)
def test_plain_data_comes_out_as_it_went_in(value: Any) -> None:
    found = crossed(value)
    assert found == value and same_types(found, value)


@given(arrays)
@settings(max_examples=200, deadline=None)
def test_arrays_come_out_as_they_went_in(value: np.ndarray) -> None:
    for sent in (value, value.T, value[::-1] if value.ndim else value):
        found = crossed(sent)
        assert type(found) is np.ndarray and found.dtype == value.dtype
        assert found.shape == sent.shape and found.flags.writeable
        np.testing.assert_array_equal(found, sent)


def test_a_read_only_array_of_the_grader_stays_read_only() -> None:
    locked = np.ones((2, 3))
    locked.flags.writeable = False
    found = crossed(locked, wire.GRADER_LIMITS)
    assert not found.flags.writeable and (found == 1).all()
    assert crossed(np.ones(2), wire.GRADER_LIMITS).flags.writeable
    assert crossed(locked).flags.writeable  # what a student sends is the grader's own from here on
    with pytest.raises(wire.WireError, match="is not described"):
        decode(["a", "<f8", [1], 0, True], bytes(8))


def test_several_arrays_in_one_message() -> None:
    sent = {"a": np.arange(7, dtype=np.int8), "b": [np.eye(3), (np.float32(2), np.zeros((0, 4)))]}
    found = crossed(sent)
    np.testing.assert_array_equal(found["a"], sent["a"])
    np.testing.assert_array_equal(found["b"][0], np.eye(3))
    assert found["b"][1][0] == 2 and type(found["b"][1][0]) is float
    assert found["b"][1][1].shape == (0, 4)


class Number(float):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = float.__hash__

    def __float__(self) -> float:
        return 1.0


class Text(str):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class Sneaky(dict):
    def items(self) -> Any:
        return [("points", 5)]


class Liar(np.ndarray):
    def __eq__(self, other: object) -> Any:
        return True

    __hash__ = None

    @property
    def shape(self) -> Any:
        return (10, 10)


class Colour(enum.IntEnum):
    RED = 3


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Number(0.25), 0.25),
        (Text("no"), "no"),
        (Sneaky(a=1), {"a": 1}),
        (Colour.RED, 3),
        (Pair(1, 2), (1, 2)),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, {3: [1]}), {3: [1]}),
        (deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (np.bool_(True), True),
        (np.int64(-5), -5),
        (np.float32(0.5), 0.5),
        (np.str_("x"), "x"),
        (type("List", (list,), {})([1]), [1]),
        (type("Int", (int,), {})(7), 7),
        (2**200, 2**200),
        (-(2**64), -(2**64)),
        ("\ud800", "?"),
        (np.array([1.5, None], object), [1.5, None]),
        (np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_what_is_more_than_plain_becomes_plain(value: Any, plain: Any) -> None:
    found = crossed(value)
    assert found == plain and same_types(found, plain)


def test_array_subclasses_become_plain() -> None:
    found = crossed(np.arange(3.0).view(Liar))
    assert type(found) is np.ndarray and found.tolist() == [0, 1, 2] and found.shape == (3,)
    assert crossed(np.ma.masked_array([1, 2], [True, False])).tolist() == [1, 2]
    assert crossed(np.arange(3, dtype=">i4")).tolist() == [0, 1, 2]
    assert crossed(np.arange(2, dtype=np.longdouble)).dtype == np.float64


def test_iterators_are_read_once_and_are_no_lists() -> None:
    for value in (
        (i for i in range(3)),
        map(int, "012"),
        {0: 1, 1: 1, 2: 1}.keys(),
        iter([0, 1, 2]),
    ):
        found = crossed(value)
        assert list(found) == [0, 1, 2] and list(found) == []
    assert sorted(crossed({1, 2})) == [1, 2]


def test_tensors_stay_tensors() -> None:
    found = crossed(torch.arange(6.0).reshape(2, 3).T)
    assert isinstance(found, torch.Tensor) and not found.requires_grad
    assert found.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert crossed(torch.zeros(2, requires_grad=True)).requires_grad
    assert crossed(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float32
    assert crossed(torch.tensor([True, False])).tolist() == [True, False]


def test_nan_and_infinity_cross() -> None:
    found = crossed([math.nan, math.inf, np.array([math.nan])])
    assert math.isnan(found[0]) and found[1] == math.inf and np.isnan(found[2]).all()


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def endless() -> Any:
    while True:
        yield 1


cyclic: list = []
cyclic.append(cyclic)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (nested(10_000), "nested deeper than 32"),
        (cyclic, "nested deeper"),
        ([1.0] * 1_000_000, "more than 250,000 items"),
        (endless(), "more than 250,000 items"),
        (2**100_000, "bits"),
        (np.zeros(20_000_000), "MB"),
        ("x" * 9_000_000, "MB"),
    ],
    ids=["nested", "cyclic", "list", "endless", "integer", "array", "text"],
)
def test_what_is_too_much_is_refused_where_it_is_made(value: Any, said: str) -> None:
    with pytest.raises(WireError, match=said):
        parts_of(value)


@pytest.mark.parametrize(
    "node",
    [
        [],
        ["?"],
        [1, 2],
        ["o", 1, True, "x"],
        ["a"],
        ["a", "<f8", [2], 8],
        ["a", "<f8", [2], -8],
        ["a", "<f8", [3], 0],
        ["a", "<f8", [-1], 0],
        ["a", "<f8", [2.0], 0],
        ["a", "<f8", 2, 0],
        ["a", "<f8", [2], None],
        ["a", "<f8", [2**62, 2**62], 0],
        ["a", "<f8", [0, 2**62, 2**62], 0],
        ["a", "<f8", [1] * 33, 0],
        ["a", "|O", [2], 0],
        ["a", "<M8[s]", [2], 0],
        ["a", "<U4", [2], 0],
        ["a", "not a dtype", [2], 0],
        ["a", [["x", "<f8"]], [2], 0],
        ["a", "|b1", [16], 0],
        ["x", ["a", "<f8", [2], 0]],
        ["x", ["a", "<i8", [2], 0], True],
        ["x", 3, False],
        ["d", 1],
        ["d", ["l"], 1],
        ["d", ["a", "<f8", [2], 0], 1],
        ["n", b"x" * 10_000],
        ["n", "12"],
        ["n"],
        ["l", ["l", ["?"]]],
        {"a": 1},
        nested(500),
    ],
    ids=lambda node: str(node)[:30],
)
def test_forged_values_are_refused(node: Any) -> None:
    data = np.array([1.5, np.pi]).tobytes()
    with pytest.raises(WireError):
        decode(node, data)


def test_depth_and_items_are_counted_on_this_side_as_well() -> None:
    deep: list = ["l"]
    for _ in range(40):
        deep = ["l", deep]
    with pytest.raises(WireError, match="nested deeper"):
        decode(deep)
    many = ["l", *[["l", *[0] * 1000]] * 300]
    with pytest.raises(WireError, match="more than 250,000 items"):
        decode(many)


@pytest.mark.slow
def test_eight_megabytes_of_nothing_are_not_half_a_gigabyte() -> None:
    row = b"\xdd" + (200_000).to_bytes(4, "big") + b"\x90" * 200_000
    body = b"\x93\xa5reply\x01\xdc" + (40).to_bytes(2, "big") + row * 40
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="more than 250,000 items"):
            wire.unpack(body, memoryview(b""), no_handles, wire.WireLimits())
        assert tracemalloc.get_traced_memory()[1] < 100 * wire.MIB
    finally:
        tracemalloc.stop()


def test_arrays_in_one_message_have_bytes_of_their_own() -> None:
    data = np.arange(4.0).tobytes()
    assert len(decode(["l", ["a", "<f8", [2], 0], ["a", "<f8", [2], 16]], data)) == 2
    with pytest.raises(WireError, match="share their bytes"):
        decode(["l", *[["a", "<f8", [4], 0]] * 1_000], data)


@pytest.mark.parametrize("tuples", [False, True])
def test_keys_that_collide_do_not_keep_the_grader_busy(tuples: bool) -> None:
    prime = 2**61 - 1  # all of its multiples have the hash 0
    keys: list[Any] = [n * prime for n in range(11_000)]
    keys = [(key, "a") for key in keys] if tuples else keys
    with pytest.raises(WireError, match="keys that are no texts"):
        crossed([{key: 1} for key in keys])
    assert len(crossed({f"{n}": n for n in range(20_000)})) == 20_000


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        b"",
        b"\xdd\xff\xff\xff\xff",
        msgpack.packb(1),
        msgpack.packb(["reply", 1]),
        msgpack.packb(["reply", "1", []]),
        msgpack.packb(["reply", True, []]),
        msgpack.packb(["reply", 1, {}]),
        msgpack.packb(["reply", 1, [msgpack.ExtType(1, b"x")]]),
        msgpack.packb(["reply", 1, [1]]) + b"more",
        msgpack.packb(["reply", 1, [1]])[:-1],
        msgpack.packb(["reply", 1, [b"\xff\xfe"]], use_bin_type=False),
        b"\x91" * 5_000,
    ],
)
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        wire.unpack(body, memoryview(b""), no_handles, wire.WireLimits())


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    try:
        wire.unpack(body, memoryview(b""), no_handles, wire.WireLimits())
    except WireError as error:
        assert str(error).endswith(".")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_message_is_a_message_or_refused(data: st.DataObject) -> None:
    parts = parts_of({"a": [1, 2.5, None], "b": np.arange(4, dtype=np.int16), "c": ("x", 2**70)})
    raw = bytearray(bytes(parts[-1]))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        wire.unpack(bytes(raw), memoryview(bytearray(16)), no_handles, wire.WireLimits())


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (wire.HEADER.pack(b"HTTP", 10, 0), "something other"),
        (wire.HEADER.pack(wire.MAGIC, 0, 0), "something other"),
        (wire.HEADER.pack(wire.MAGIC, 2**31, 0), "MB arrived"),
        (wire.HEADER.pack(wire.MAGIC, 10, 2**63), "MB arrived"),
    ],
)
def test_a_frame_is_refused_by_its_header(header: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        frame([header])


def test_a_line_that_ends_in_the_middle() -> None:
    here, there = socket.socketpair()
    with there:
        with here:
            here.sendall(b"".join(map(bytes, parts_of([1, 2, 3])))[:-2])
        reader = wire.FrameReader(there, wire.WireLimits())
        assert reader.read() is None
        assert reader.read() is None
        with pytest.raises(EOFError):
            reader.read()
