"""Framing and payloads, against the packages cobs and crccheck."""

from __future__ import annotations

import pytest
from cobs import cobs
from crccheck.crc import Crc16Modbus, Crc16Usb
from hypothesis import given, settings
from hypothesis import strategies as st

from kline.protocol.checksum import crc16
from kline.protocol.link import host_records, records, unpack
from kline.protocol.link.framing import MAX_PAYLOAD, Deframer, buffer_size, encode_record, wire_size

# Long runs without a 00, and long runs of it, are what COBS is about.
payloads = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda parts: b"".join(parts)[:MAX_PAYLOAD],
        st.lists(
            st.one_of(st.integers(240, 260).map(lambda n: b"\x55" * n), st.just(b"\0"), st.binary(max_size=20)),
            max_size=4,
        ),
    ),
)
bytes_ = st.integers(0, 255)


def oracle(kind: int, channel: int, seq: int, ack: int, payload: bytes) -> bytes:
    raw = bytes([kind, channel, seq, ack]) + payload
    return b"\0" + bytes(cobs.encode(raw + Crc16Usb.calc(raw).to_bytes(2, "little"))) + b"\0"


@given(st.binary(max_size=300), st.integers(0, 10))
def test_crc_is_crccheck_s(data: bytes, cut: int) -> None:
    assert crc16(data, 0, len(data)) == Crc16Modbus.calc(data)
    cut = min(cut, len(data))
    assert crc16(data, cut, len(data), crc16(data, 0, cut)) == Crc16Modbus.calc(data)


@settings(max_examples=300)
@given(bytes_, bytes_, bytes_, bytes_, payloads)
def test_stream_is_cobs_s(kind: int, channel: int, seq: int, ack: int, payload: bytes) -> None:
    out = bytearray(buffer_size(len(payload)))
    n = encode_record(out, kind, channel, seq, ack, b"xx" + payload, 2, 2 + len(payload))
    assert bytes(out[:n]) == oracle(kind, channel, seq, ack, payload)
    assert n <= wire_size(len(payload))
    if len(payload) + 6 < 254:
        assert n == wire_size(len(payload))


class Collector:
    def __init__(self, size: int = 600) -> None:
        self.frames: list[bytes] = []
        self.text = b""
        self.deframer = Deframer(size)
        self.deframer.on_frame = lambda buf, start, end: self.frames.append(bytes(buf[start:end]))
        self.deframer.on_text = self._on_text

    def _on_text(self, buf: bytearray, n: int) -> None:
        self.text += bytes(buf[:n])


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(bytes_, payloads, st.sampled_from([b"", b"", b"\0", b"ets Jul 29 2019\r\nrst:0x1\r\n"])), max_size=6
    ),
    st.lists(st.integers(1, 50), min_size=1),
)
def test_records_come_back_from_among_text(items: list[tuple[int, bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(text + oracle(kind, 0, 1, 2, payload) for kind, payload, text in items)
    got = Collector()
    at = turn = 0
    while at < len(stream):
        chunk = stream[at : at + cuts[turn % len(cuts)]]
        got.deframer.feed(chunk, len(chunk))
        at += len(chunk)
        turn += 1
    assert got.frames == [bytes([kind, 0, 1, 2]) + payload for kind, payload, _ in items]
    assert got.text == b"".join(text.strip(b"\0") for _, _, text in items)
    assert got.deframer.bad == 0
    assert got.deframer.text_bytes == len(got.text)


@settings(max_examples=300)
@given(
    st.lists(st.one_of(st.binary(max_size=80), payloads.map(lambda p: oracle(16, 0, 0, 0, p))), max_size=8), st.data()
)
def test_any_bytes_at_all(pieces: list[bytes], data: st.DataObject) -> None:
    """Never raises; the buffer keeps its size; what is reported as a record is one (by the oracle)."""
    stream = bytearray(b"".join(pieces))
    if stream:
        for _ in range(data.draw(st.integers(0, 3))):
            stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(bytes_)
    got = Collector(100)
    got.deframer.feed(stream, len(stream))
    assert len(got.deframer._buf) == 100
    valid = []
    for stretch in bytes(stream).split(b"\0"):
        try:
            raw = cobs.decode(stretch)
        except cobs.DecodeError:
            continue
        if len(raw) >= 6 and len(stretch) <= 100 and Crc16Usb.calc(raw[:-2]) == int.from_bytes(raw[-2:], "little"):
            valid.append(raw[:-2])
    if not stream.endswith(b"\0") and valid and got.frames != valid:
        valid.pop()  # its delimiter has not come
    assert got.frames == valid


def test_a_damaged_record_is_counted_and_not_shown() -> None:
    got = Collector()
    stream = bytearray(oracle(16, 0, 0, 0, bytes(range(30))))
    stream[12] ^= 4
    got.deframer.feed(stream, len(stream))
    assert (got.frames, got.text, got.deframer.bad) == ([], b"", 1)


@settings(max_examples=100)
@given(payloads, st.integers(1, 3))
def test_zeros_behind_a_record_are_no_part_of_it(payload: bytes, zeros: int) -> None:
    """As when the byte that stands for the last distance is doubled."""
    raw = bytes([16, 0, 1, 2]) + payload
    raw += Crc16Usb.calc(raw).to_bytes(2, "little") + bytes(zeros)
    stream = b"\0" + bytes(cobs.encode(raw)) + b"\0"
    got = Collector()
    got.deframer.feed(stream, len(stream))
    assert got.frames == []


def test_text_without_a_delimiter() -> None:
    got = Collector(64)
    text = b"Traceback (most recent call last):\r\n" * 5 + b"OSError\r\n"
    got.deframer.feed(text, len(text))
    got.deframer.flush_text()
    assert got.text == text
    record = oracle(16, 0, 0, 0, b"abc")
    got.deframer.feed(record, len(record))
    assert len(got.frames) == 1


def test_the_rest_of_an_endless_stretch_is_no_record() -> None:
    """Even when it looks like one from where the buffer was full."""
    got = Collector(64)
    stream = b"\0" + b"\xfe" * 64 + oracle(16, 0, 0, 0, b"abc")[1:]
    got.deframer.feed(stream, len(stream))
    assert (got.frames, got.deframer.bad) == ([], 2)
    got.deframer.feed(oracle(16, 0, 0, 0, b"abc"), 12)
    assert len(got.frames) == 1


def test_half_a_record_is_not_flushed_as_text() -> None:
    got = Collector(64)
    record = oracle(16, 0, 0, 0, b"\x01\x02\x03\x80\x81\xff\xfe\xfd")
    got.deframer.feed(record, 8)
    got.deframer.flush_text()
    got.deframer.feed(record[8:], len(record) - 8)
    assert (len(got.frames), got.text) == (1, b"")


# -- payloads

u8, u16, u32 = bytes_, st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
ticks = st.integers(0, 2**30 - 1)


@given(ticks, st.booleans(), st.binary(min_size=5, max_size=257))
def test_frame(time_us: int, own: bool, data: bytes) -> None:
    out = bytearray(280)
    n = records.pack_frame(out, time_us, int(own), data, len(data))
    assert unpack.unpack_frame(out, 0, n) == (time_us, own, data)


@given(u16, u8, u8, u16, st.binary(min_size=4, max_size=256))
def test_transmit(ident: int, tries: int, flags: int, deadline_ms: int, body: bytes) -> None:
    out = bytearray(280)
    n = host_records.pack_transmit(out, ident, tries, flags, deadline_ms, body)
    t = unpack.unpack_transmit(out, 0, n)
    assert (t.ident, t.max_tries, t.flags, t.deadline_ms, t.body) == (ident, tries, flags, deadline_ms, body)
    assert records.get_u16(out, records.TRANSMIT_ID) == ident
    assert out[records.TRANSMIT_MAX_TRIES] == tries
    assert out[records.TRANSMIT_FLAGS] == flags
    assert records.get_u16(out, records.TRANSMIT_DEADLINE_MS) == deadline_ms
    assert bytes(out[records.TRANSMIT_BODY : n]) == body


@given(u16, u8, u8, u8, ticks, ticks)
def test_result(ident: int, code: int, detail: int, tries: int, waited_us: int, time_us: int) -> None:
    out = bytearray(20)
    r = unpack.unpack_result(out, 0, records.pack_result(out, ident, code, detail, tries, waited_us, time_us))
    assert (r.ident, r.code, r.detail, r.tries) == (ident, code, detail, tries)
    assert (r.waited_us, r.time_us) == (waited_us, time_us)


@given(u8, ticks, st.one_of(st.none(), ticks))
def test_event(code: int, time_us: int, argument: int | None) -> None:
    out = bytearray(20)
    e = unpack.unpack_event(out, 0, records.pack_event(out, code, time_us, -1 if argument is None else argument))
    assert (e.code, e.time_us, e.argument) == (code, time_us, argument)


@given(ticks, st.lists(ticks, max_size=len(host_records.COUNTER_NAMES) + 3))
def test_counters(time_us: int, values: list[int]) -> None:
    """Also from a device that has more or fewer of them than we know."""
    out = bytearray(200)
    t, got = unpack.unpack_counters(out, 0, records.pack_counters(out, time_us, values))
    assert t == time_us
    assert got == dict(zip(host_records.COUNTER_NAMES, values, strict=False))


@given(u8, st.booleans(), u32)
def test_configure(key: int, ok: bool, value: int) -> None:
    out = bytearray(20)
    assert unpack.unpack_configure(out, 0, host_records.pack_configure(out, key, value)) == (key, value)
    assert unpack.unpack_configured(out, 0, records.pack_configured(out, key, ok, value)) == (key, ok, value)


def test_log_is_cut_to_its_buffer() -> None:
    out = bytearray(8)
    n = records.pack_log(out, records.LOG_ERROR, b"0123456789")
    assert unpack.unpack_log(out, 0, n) == (records.LOG_ERROR, "0123456")


@given(u32, u16, u32, st.tuples(u8, u8, u8), st.tuples(u8, u8, u8), st.text(max_size=40), st.binary(max_size=20))
def test_welcome(
    boot_id: int,
    max_frame: int,
    capabilities: int,
    firmware: tuple[int, int, int],
    micropython: tuple[int, int, int],
    board: str,
    uid: bytes,
) -> None:
    payload = records.pack_welcome(boot_id, max_frame, capabilities, firmware, micropython, board, uid)
    w = unpack.unpack_welcome(payload + b"later", 0, len(payload) + 5)
    assert (w.boot_id, w.max_frame, w.capabilities) == (boot_id, max_frame, capabilities)
    assert (w.firmware, w.micropython, w.unique_id) == (firmware, micropython, uid[:16])
    assert w.board == board.encode()[:32].decode("utf-8", "replace")
    assert (w.proto, w.session, w.resumed) == (records.PROTOCOL, 0, False)


@pytest.mark.parametrize("name", sorted(n for n in dir(unpack) if n.startswith("unpack_") and n != "unpack_heartbeat"))
def test_too_short_is_an_error_that_says_so(name: str) -> None:
    with pytest.raises(unpack.RecordError, match=r"expected at least \d+ bytes, got 0"):
        getattr(unpack, name)(b"", 0, 0)


def test_heartbeat() -> None:
    assert unpack.unpack_heartbeat(b"\x05", 0, 1) is None
    assert unpack.unpack_heartbeat(bytes.fromhex("0080841E00"), 0, 5) == 2_000_000


def test_show() -> None:
    assert repr(unpack.unpack_event(bytes((1, 2, 0, 0, 0)), 0, 5)) == "Event(argument=None, code=1, time_us=2)"
