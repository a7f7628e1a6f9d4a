"""RingBuffer against a plain bytearray."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol import ring as ring_module
from kline.protocol.link.record_ring import OVERHEAD, RecordRing
from kline.protocol.ring import RingBuffer

operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.binary(max_size=12)),
        st.tuples(st.just("part"), st.binary(min_size=3, max_size=12)),
        st.tuples(st.just("put"), st.integers(0, 511)),
        st.tuples(st.just("read"), st.none()),
        st.tuples(st.just("remove"), st.integers(-3, 15)),
        st.tuples(st.just("copy"), st.tuples(st.integers(-2, 15), st.integers(-2, 15))),
        st.tuples(st.just("clear"), st.none()),
    ),
    max_size=60,
)


def write(ring: RingBuffer, model: bytearray, data: bytes, n: int = -1, start: int = 0) -> None:
    new = data[start:] if n < 0 else data[start : start + n]
    fits = len(new) <= ring.size - len(model)
    assert ring.write(data, n, start) is fits
    if fits:
        model += new


def step(ring: RingBuffer, model: bytearray, name: str, value: object) -> None:
    if isinstance(value, bytes):
        if name == "write":
            write(ring, model, value)
        else:
            write(ring, model, value, len(value) - 2, 1)
    elif isinstance(value, tuple):
        n, start = value
        out = bytearray(20)
        expected = bytes(model[start : start + n]) if n > 0 and start >= 0 else b""
        assert ring.copy_to(out, n, start) == len(expected)
        assert out == expected.ljust(20, b"\0")
    elif name == "put":
        assert isinstance(value, int)
        fits = len(model) < ring.size
        assert ring.put(value) is fits
        if fits:
            model.append(value & 0xFF)
    elif name == "remove":
        assert isinstance(value, int)
        n = max(0, min(value, len(model)))
        assert ring.remove(value) == n
        del model[:n]
    elif name == "read":
        assert ring.read() == (model.pop(0) if model else -1)
    else:
        ring.clear()
        model.clear()


@given(st.integers(0, 16), operations)
def test_as_a_plain_buffer(size: int, steps: list[tuple[str, object]]) -> None:
    ring = RingBuffer(size)
    model = bytearray()
    for name, value in steps:
        step(ring, model, name, value)
        assert ring.available() == len(model)
        assert ring.free() == size - len(model)
        assert [ring.peek(i) for i in range(-1, len(model) + 2)] == [-1, *model, -1, -1]
        x = 0
        for i in range(len(model) + 1):
            assert ring.xor8(i) == x
            x ^= model[i] if i < len(model) else 0
        assert len(ring._buf) == size


def test_write_refuses_what_is_not_in_the_buffer() -> None:
    ring = RingBuffer(16)
    assert not ring.write(b"abc", 4)
    assert not ring.write(b"abc", 2, 2)
    assert not ring.write(b"abc", -1, 5)
    assert not ring.write(b"abc", 1, -1)
    assert ring.available() == 0


def test_copy_to_stops_at_the_end_of_the_target() -> None:
    ring = RingBuffer(16)
    ring.write(b"abcdef")
    out = bytearray(4)
    assert ring.copy_to(out, 6) == 4
    assert out == b"abcd"


@pytest.mark.parametrize("kind", [RingBuffer, RecordRing])
def test_without_memory(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed allocation leaves a ring that refuses everything."""

    def no_memory(size: int) -> bytearray:
        if size:
            raise MemoryError
        return bytearray()

    module = ring_module if kind is RingBuffer else __import__("kline.protocol.link.record_ring", fromlist=["x"])
    monkeypatch.setattr(module, "bytearray", no_memory, raising=False)
    ring = kind(256)
    assert ring.size == 0
    if isinstance(ring, RingBuffer):
        assert not ring.write(b"a")
        assert ring.write(b"")
        assert not ring.put(1)
        assert (ring.peek(0), ring.read(), ring.remove(1), ring.free(), ring.copy_to(bytearray(4), 4)) == (
            -1,
            -1,
            0,
            0,
            0,
        )
    else:
        assert not ring.push(1, 0, b"", 0, 0)
        ring.drop()


@given(
    st.integers(8, 60),
    st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 127), st.binary(max_size=20))), max_size=80),
)
def test_record_ring(size: int, steps: list[tuple[int, bytes] | None]) -> None:
    """None drops the oldest; records come out as they went in, wherever the ring wraps."""
    ring = RecordRing(size)
    model: list[tuple[int, bytes]] = []
    for item in steps:
        if item is None:
            ring.drop()
            del model[:1]
        else:
            used = sum(len(payload) + OVERHEAD for _, payload in model)
            fits = used + len(item[1]) + OVERHEAD <= size
            assert ring.push(item[0], 1, b"x" + item[1] + b"y", 1, len(item[1])) is fits
            if fits:
                model.append(item)
        assert ring.count == len(model)
        at = ring.head
        for kind, payload in model:
            out = bytearray(64)
            end = ring.load(at, out)
            assert (out[4], out[5], bytes(out[8:end])) == (kind, 1, payload)
            assert ring.length(at) == len(payload)
            at = ring.after(at)
