"""The vectors, on MicroPython."""

from reference import Driver
from vectors import check_checksums, check_cobs, check_records, check_streams

from kline.protocol import checksum
from kline.protocol.ibus.frames import IbusScanner
from kline.protocol.link import framing
from kline.protocol.ring import RingBuffer
from kline.protocol.ticks import TICKS_PERIOD


def test_streams():
    def drive(max_frame):
        ring = RingBuffer(2 * max_frame + 64)
        return Driver(ring, IbusScanner(ring, max_frame), TICKS_PERIOD - 50_000, TICKS_PERIOD)

    check_streams(drive)


def test_checksums():
    check_checksums(checksum)


def test_cobs():
    check_cobs(framing)


def test_records():
    check_records(framing)
