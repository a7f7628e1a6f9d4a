"""The vectors, on CPython; the same functions run on MicroPython in mpy_vectors.py."""

from __future__ import annotations

from kline.protocol import checksum
from kline.protocol.ibus.frames import IbusScanner
from kline.protocol.link import framing
from kline.protocol.ring import RingBuffer
from kline.protocol.ticks import TICKS_PERIOD

from .reference import Driver
from .vectors import check_checksums, check_cobs, check_records, check_streams


def test_streams() -> None:
    def drive(max_frame: int) -> Driver:
        ring = RingBuffer(2 * max_frame + 64)
        return Driver(ring, IbusScanner(ring, max_frame), TICKS_PERIOD - 50_000, TICKS_PERIOD)

    check_streams(drive)


def test_checksums() -> None:
    check_checksums(checksum)


def test_cobs() -> None:
    check_cobs(framing)


def test_records() -> None:
    check_records(framing)
