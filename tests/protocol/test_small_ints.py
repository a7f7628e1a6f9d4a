"""No step of the receive path leaves -2**30 .. 2**30 - 1: a 32-bit MicroPython computes those without allocating.

The 64-bit ports would hide it, so here the arithmetic is done with ints that check every result.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kline.protocol.checksum import CRC_TABLE, crc16
from kline.protocol.ibus.frames import IbusScanner, encode
from kline.protocol.link import records
from kline.protocol.link.device_end import DeviceLink
from kline.protocol.link.host_end import HostLink
from kline.protocol.link.link import OPEN
from kline.protocol.ring import RingBuffer
from kline.protocol.ticks import TICKS_HALF, TICKS_MASK, TICKS_PERIOD, count_up, ticks_add, ticks_diff


class Small(int):
    """An int whose arithmetic yields Small again and fails where a 32-bit MicroPython would allocate."""


def _checked(name: str) -> Any:
    plain = getattr(int, name)

    def operation(self: Small, *others: int) -> Any:
        result = plain(self, *others)
        if result is NotImplemented:
            return result
        assert -(2**30) <= result < 2**30, f"{int(self)} {name} {others} = {result}"
        return Small(result)

    return operation


for _name in ("add", "sub", "mul", "and", "or", "xor", "lshift", "rshift", "mod", "floordiv"):
    setattr(Small, f"__{_name}__", _checked(f"__{_name}__"))
    setattr(Small, f"__r{_name}__", _checked(f"__r{_name}__"))
for _name in ("neg", "abs", "invert"):
    setattr(Small, f"__{_name}__", _checked(f"__{_name}__"))

ticks = st.one_of(st.sampled_from([0, 1, TICKS_HALF, TICKS_MASK - 1, TICKS_MASK]), st.integers(0, TICKS_MASK))


def test_the_instrument_works() -> None:
    with pytest.raises(AssertionError):
        Small(2**30 - 1) + 1
    with pytest.raises(AssertionError):
        1 << Small(30)


@settings(max_examples=500)
@given(ticks, ticks)
def test_ticks_diff(a: int, b: int) -> None:
    d = ticks_diff(Small(a), Small(b))
    assert -TICKS_HALF <= d < TICKS_HALF
    assert (b + int(d)) % TICKS_PERIOD == a


@settings(max_examples=500)
@given(ticks, st.one_of(st.sampled_from([TICKS_MASK, -TICKS_MASK]), st.integers(-TICKS_MASK, TICKS_MASK)))
def test_ticks_add(a: int, delta: int) -> None:
    assert ticks_add(Small(a), Small(delta)) == (a + delta) % TICKS_PERIOD


@given(ticks)
def test_count_up(n: int) -> None:
    assert count_up(Small(n)) == (n + 1) % TICKS_PERIOD


@given(st.binary(max_size=300))
def test_crc16(data: bytes) -> None:
    crc = crc16([Small(b) for b in data], 0, len(data), Small(0xFFFF))  # type: ignore[arg-type]
    assert crc == crc16(data, 0, len(data))
    assert max(CRC_TABLE) < 2**16


def test_times_in_records() -> None:
    out = bytearray(8)
    for time_us in (0, TICKS_HALF, TICKS_MASK):
        records.put_u32(out, 0, Small(time_us))
        assert records.get_u32([Small(b) for b in out], 0) == time_us  # type: ignore[arg-type]


def test_scanner_with_counters_and_ticks_at_their_ends() -> None:
    ring = RingBuffer(128)
    scanner = IbusScanner(ring)
    for name in ("frames", "bad_checksum", "bad_length", "too_long", "stalled", "dropped_bytes"):
        setattr(scanner, name, Small(TICKS_MASK))
    for data in (encode(0x3F, 0x80, b"\x0b\x0a"), b"\x68\x03\x18\x01\x73", b"\x00\x01", b"\x00\xff", b"\x3f\x20\x01"):
        ring.write(data)
        for time_us in (TICKS_MASK - 60_000, TICKS_MASK, 60_000):
            while scanner.scan(Small(time_us)):
                scanner.take()
    counters = (scanner.frames, scanner.bad_checksum, scanner.bad_length, scanner.too_long, scanner.stalled)
    assert counters[0] == 0
    assert all(0 <= n < 50 for n in counters)


def test_link_with_counters_and_ticks_at_their_ends() -> None:
    """A session over the wrap of the ticks, in which every counter of the receive and send path wraps too."""
    device, pc = DeviceLink(), HostLink()
    for link in (device, pc):
        for owner, names in (
            (link, "rx_records rx_gaps rx_duplicates abandoned queue_full no_session now_refused losses"),
            (link.outbox, "sent_first sent_again"),
            (link.deframer, "bad text_bytes"),
        ):
            for name in names.split():
                setattr(owner, name, Small(TICKS_MASK))
    now_us = TICKS_PERIOD - 2_000_000
    pc.open(0x11223344)
    payload = bytes(8)
    for turn in range(1200):
        for link, peer in ((device, pc), (pc, device)):
            wire = bytearray()
            if link.queue(records.FRAME, 0, payload, 8):
                link.queue(records.FRAME, 0, payload, 8, 2048 + 8)
            link.send_now(records.LOG, 0, payload, 8)
            link.pump(Small(now_us % TICKS_PERIOD), lambda buf, n, wire=wire: wire.extend(buf[:n]), 200)
            if turn % 7 == 0 and len(wire) > 3:
                wire[len(wire) // 2] ^= 0x10
            if turn % 50 == 0:
                wire += b"Traceback\0\x01\x02\0" + wire
            if not 300 < turn < 900:
                peer.feed(wire, len(wire), Small(now_us % TICKS_PERIOD))
        now_us += 10_000
    for link in (device, pc):
        assert link.state == OPEN
        for name in ("rx_records", "rx_gaps", "rx_duplicates", "queue_full", "losses"):
            assert 0 <= getattr(link, name) < 100_000, name
        assert 0 <= link.deframer.bad < 100_000 and 0 <= link.outbox.sent_first < 100_000
