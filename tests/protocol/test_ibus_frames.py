"""I-Bus frames: the scanner against the slow reference, on everything that a bus can carry."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kline.protocol.ibus import frames as ibus
from kline.protocol.ibus.frames import MAX_FRAME, UNKNOWN, IbusScanner, encode
from kline.protocol.ring import RingBuffer
from kline.protocol.ticks import TICKS_MASK, TICKS_PERIOD

from .reference import Driver, decode, xor

STALL_US = 100_000
CAPTURES = Path(__file__).parents[2] / ".." / "shared" / "captures"

frames = st.builds(encode, st.integers(0, 255), st.integers(0, 255), st.binary(min_size=1, max_size=12))
nested = st.builds(lambda a, b: encode(0x68, 0x18, (a + b)[:60]), frames, frames)
# Few values, so that plausible lengths and right checksums come up by themselves.
garbage = st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 62, 63, 0x80, 255]), max_size=30).map(bytes)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    frame = bytearray(draw(st.one_of(frames, nested)))
    kind = draw(st.sampled_from(["flip", "truncated", "headless", "doubled", "hole"]))
    at = draw(st.integers(0, len(frame) - 1))
    if kind == "flip":
        frame[at] ^= 1 << draw(st.integers(0, 7))
    elif kind == "truncated":
        del frame[at:]
    elif kind == "headless":
        del frame[:at]
    elif kind == "doubled":
        frame[at:at] = frame[at:]
    else:
        del frame[at]
    return bytes(frame)


pieces = st.one_of(frames, nested, damaged(), garbage, st.binary(max_size=20))
gaps = st.one_of(st.sampled_from([0, 1, 1146, STALL_US - 1, STALL_US, STALL_US + 1]), st.integers(0, 3 * STALL_US))
steps = st.lists(st.tuples(pieces, gaps, gaps, st.booleans(), st.booleans(), st.booleans()), max_size=12)


def scanner_counts(driver: Driver) -> tuple[int, int]:
    return driver.scanner.frames, driver.scanner.dropped_bytes + sum(map(len, driver.frames))


class PlainRing:
    """The least that a scanner accepts: no fast path, and not a RingBuffer."""

    def __init__(self, size: int) -> None:
        self.data = bytearray()
        self.size = size

    def available(self) -> int:
        return len(self.data)

    def peek(self, n: int) -> int:
        return self.data[n] if n < len(self.data) else -1

    def remove(self, n: int) -> int:
        n = min(n, len(self.data))
        del self.data[:n]
        return n

    def put(self, byte: int) -> bool:
        if len(self.data) == self.size:
            return False
        self.data.append(byte)
        return True

    def copy_to(self, buf: bytearray, n: int) -> int:
        buf[:n] = self.data[:n]
        return n


def check_missing(driver: Driver) -> None:
    """missing() beside what the bytes in the ring say; that it was asked changes nothing of what scan() finds."""
    scanner, ring = driver.scanner, driver.ring
    data = bytes(ring.peek(i) for i in range(ring.available()))
    whole = frames = 0
    while frames < 64 and len(data) > whole + 1:
        need = data[whole + 1] + 2
        if need < 5 or need > scanner.max_frame or len(data) < whole + need or xor(data[whole : whole + need]):
            break
        whole += need
        frames += 1
    rest = data[whole:]
    missing = scanner.missing(0)
    if missing == 0:
        assert not rest
    elif missing != UNKNOWN:
        assert missing == (4 if len(rest) == 1 else rest[1] + 2 - len(rest))
        assert missing > 0


def test_a_frame_that_is_over_is_known_before_those_in_front_are_taken() -> None:
    ring = RingBuffer(256)
    scanner = IbusScanner(ring)
    assert scanner.missing(0) == 0
    a, b = encode(0x68, 0x18, b"\x01"), encode(0x18, 0x68, b"\x02\x00\x03")
    for i, byte in enumerate(a + b):
        ring.put(byte)
        expected = len(a) - i - 1 if i < len(a) else len(a + b) - i - 1
        assert scanner.missing(1000 * i) == (4 if i in (0, len(a)) else expected)
    for whole, end_us in ((a, 1000 * (len(a) - 1)), (b, 1000 * (len(a + b) - 1))):
        assert scanner.scan(50_000) == len(whole)
        assert scanner.take() == len(whole)
        assert scanner.end_us == end_us
    assert scanner.frames == 2 and scanner.missing(0) == 0
    for byte in b"\x68\x04\x18\x01\x02\x03":  # a wrong checksum
        ring.put(byte)
    assert scanner.missing(0) == UNKNOWN
    assert scanner.scan(60_000) == 0 and scanner.bad_checksum == 1


@settings(max_examples=300)
@given(
    steps=steps,
    max_frame=st.sampled_from([5, 16, 64, 64, MAX_FRAME]),
    extra=st.integers(0, 40),
    start=st.one_of(st.just(0), st.integers(TICKS_PERIOD - 3 * STALL_US, TICKS_MASK)),
    plain=st.booleans(),
    ahead=st.booleans(),
)
def test_any_stream_any_timing(
    steps: list[tuple[bytes, int, int, bool, bool, bool]],
    max_frame: int,
    extra: int,
    start: int,
    plain: bool,
    ahead: bool,
) -> None:
    size = 2 * max_frame + extra
    ring = PlainRing(size) if plain else RingBuffer(size)
    driver = Driver(ring, IbusScanner(ring, max_frame, STALL_US), start, TICKS_PERIOD)
    for data, gap_us, lag_us, look_before, look_after, leave in steps:
        if look_before:
            driver.look(gap_us, leave)
            if leave:  # bytes come while a frame waits to be taken, then the rest is taken
                driver.write(data)
                driver.look(0, leave)
                driver.look(lag_us)
            driver.check()
        else:
            driver.now_us += gap_us
        driver.write(data)
        if ahead:
            check_missing(driver)
        if look_after:
            driver.look(lag_us)
            driver.check()
    driver.finish()
    driver.check()
    assert scanner_counts(driver) == (len(driver.frames), driver.accepted)
    assert ring.available() == 0
    if isinstance(ring, RingBuffer):
        assert len(ring._buf) == size


@settings(max_examples=100)
@given(data=st.lists(pieces, max_size=20).map(b"".join), cuts=st.lists(st.integers(1, 40), min_size=1))
def test_chunking_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    ring = RingBuffer(128)
    driver = Driver(ring, IbusScanner(ring, 64, STALL_US), 0, TICKS_PERIOD)
    at = 0
    turn = 0
    while at < len(data):
        cut = cuts[turn % len(cuts)]
        turn += 1
        driver.write(data[at : at + cut])
        driver.look(cut * ibus.BYTE_US)
        at += cut
    driver.finish()
    assert driver.frames == decode(data, 64, True)[0]


@pytest.mark.parametrize("max_frame", [5, 37, 64, 257])
def test_a_full_ring_never_blocks(max_frame: int) -> None:
    """Whatever fills a ring of twice max_frame: the first candidate is decided, so bytes go out without a stall."""
    for fill in (0x00, 0x03, max_frame - 2, max_frame - 1, 0xFF):
        ring = RingBuffer(2 * max_frame)
        scanner = IbusScanner(ring, max_frame)
        while ring.put(fill & 0xFF):
            pass
        while scanner.scan(0):
            scanner.take()
        assert ring.free() >= max_frame + 1


def test_late_growth_is_no_stall() -> None:
    """A loop that slept for longer than a stall and finds new bytes has not seen one."""
    ring = RingBuffer(128)
    scanner = IbusScanner(ring)
    frame = encode(0x50, 0x68, b"\x32\x11")
    ring.write(frame[:3])
    assert scanner.scan(0) == 0
    ring.write(frame[3:])
    assert scanner.scan(10 * STALL_US) == len(frame)


def test_stall_ends_every_candidate_in_the_ring() -> None:
    """Two nested claims, both incomplete: the frame behind them comes with the first stall, not with the third."""
    ring = RingBuffer(128)
    scanner = IbusScanner(ring)
    ring.write(b"\x68\x30\x68\x30" + encode(0x50, 0x68, b"\x32\x11"))
    assert scanner.scan(0) == 0
    assert scanner.scan(STALL_US - 1) == 0
    assert scanner.scan(STALL_US) == 6
    assert (scanner.stalled, scanner.bad_length, scanner.too_long) == (2, 0, 2)


def test_what_comes_after_a_stall_is_not_joined_to_it() -> None:
    """New bytes while frames of the stalled stretch are still being taken out."""
    ring = RingBuffer(128)
    scanner = IbusScanner(ring)
    frame = encode(0x50, 0x68, b"\x32\x11")
    ring.write(b"\x68\x30" + frame + b"\x68\x03")
    assert scanner.scan(0) == 0
    assert scanner.scan(STALL_US) == 6
    scanner.take()
    ring.write(b"\x18\x01\x72")  # would make 68 03 .. whole
    assert scanner.scan(STALL_US + 1) == 0
    assert scanner.end() == 0
    assert scanner.frames == 1


def test_a_flushed_ring_is_no_trap() -> None:
    ring = RingBuffer(128)
    scanner = IbusScanner(ring)
    frame = encode(0x50, 0x68, b"\x32\x11")
    ring.write(frame)
    assert scanner.scan(0) == 6
    ring.clear()
    assert scanner.scan(1) == 0
    assert scanner.take() == 0
    scanner.reset()
    ring.write(frame)
    assert scanner.scan(2) == 6
    assert scanner.take() == 6


@pytest.mark.parametrize(
    ("source", "destination", "data", "message"),
    [
        (256, 0, b"\0", "source is 256, must be 0..255"),
        (-1, 0, b"\0", "source is -1, must be 0..255"),
        (0, 999, b"\0", "destination is 999, must be 0..255"),
        (0, 0, b"", "data has 0 bytes, must be 1..253"),
        (0, 0, bytes(254), "data has 254 bytes, must be 1..253"),
    ],
)
def test_encode_says_what_is_wrong(source: int, destination: int, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(source, destination, data)


@pytest.mark.parametrize("max_frame", [4, 258])
def test_max_frame_is_checked(max_frame: int) -> None:
    with pytest.raises(ValueError, match=r"must be 5\.\.257"):
        IbusScanner(RingBuffer(16), max_frame)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(min_size=1, max_size=253))
def test_encoded_frames_come_back(source: int, destination: int, data: bytes) -> None:
    frame = encode(source, destination, data)
    ring = RingBuffer(2 * MAX_FRAME)
    scanner = IbusScanner(ring, MAX_FRAME)
    assert ring.write(frame)
    assert scanner.scan(0) == len(frame) == frame[1] + 2
    assert scanner.state == ibus.GOOD_CHECKSUM


def scan_all(data: bytes) -> tuple[list[bytes], IbusScanner]:
    ring = RingBuffer(128)
    driver = Driver(ring, IbusScanner(ring), 0, TICKS_PERIOD)
    for at in range(0, len(data), 32):
        driver.write(data[at : at + 32])
        driver.look(32 * ibus.BYTE_US)
    driver.finish()
    return driver.frames, driver.scanner


def test_capture_of_an_e83() -> None:
    path = CAPTURES / "e83-uart.bin"
    if not path.exists():
        pytest.skip("no capture")
    frames, scanner = scan_all(path.read_bytes())
    assert len(frames) == 229
    assert scanner.dropped_bytes == 0


def test_capture_of_an_e39() -> None:
    path = CAPTURES / "e39-key-on.log"
    if not path.exists():
        pytest.skip("no capture")
    logged = [bytes.fromhex(line[28:]) for line in path.read_text().splitlines() if line.strip()]
    frames, _ = scan_all(b"".join(logged))
    assert len(logged) == 71
    assert frames == logged
