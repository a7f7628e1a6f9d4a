"""python-OBD's decoders as an independent second opinion, wherever both decode the same.

Run by `make test-obd`, in an environment of its own:  .venv-obd/bin/python -m pytest -c tests/obd_oracle/pytest.ini
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

obd = pytest.importorskip("obd", reason="python-OBD lives in an environment of its own: make test-obd")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "firmware"))

from kline.protocol.obd import answers, dtc, pids  # noqa: E402
from kline.protocol.obd import requests as ours  # noqa: E402

# The quantity that python-OBD takes from a PID with several, and PIDs whose bits and codes have tests below.
SECOND = dict.fromkeys((*range(36, 44), *range(52, 60)), 1)
WORDS = {0x00, 0x01, 0x02, 0x03, 0x12, 0x13, 0x1C, 0x1D, 0x1E, 0x20, 0x40, 0x41, 0x51, 0x60}
# They drop it, or have no such PID.
NOT_THERE = {0x4F, 0x61, 0x62, 0x63}
# Where we follow SAE J1979 and they do something else:
#   32  they read the low byte as signed too, so that 00FB is -1.25 Pa
#   54  they subtract 32767; the table says two's complement
#   13, 1D  they take the highest bit as bank 1 sensor 1; it is the lowest
DIFFERENT = {0x32, 0x54}


class Message:
    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)


def theirs(mode: int, pid: int, data: bytes) -> Any:
    return obd.commands[mode][pid].decode([Message(bytes((mode | 0x40, pid)) + data)])


def samples(length: int, first: int, size: int) -> list[bytes]:
    """All values of one byte, a spread of two bytes' with both ends; the other bytes are something else each time."""
    numbers = range(256) if size == 1 else [*range(0, 65536, 251), 0x7FFF, 0x8000, 0xFFFF]
    found = []
    for n in numbers:
        data = bytearray((n * 7 + i * 31) & 0xFF for i in range(length))
        data[first : first + size] = n.to_bytes(size, "big")
        found.append(bytes(data))
    return found


COMPARED = [pid for pid in pids.known() if pid not in WORDS | NOT_THERE | DIFFERENT]


@pytest.mark.parametrize("pid", COMPARED, ids=lambda pid: f"{pid:02X}")
def test_numbers(pid: int) -> None:
    field = pids.fields(pid)[SECOND.get(pid, 0)]
    tolerance = 1e-6
    if pid in (0x44, *range(0x24, 0x2C)):
        tolerance = 1e-3  # they multiply by a rounded constant
    for data in samples(field.length, field.first, abs(field.size)):
        answer = theirs(1, pid, data)
        number = getattr(answer, "magnitude", answer)
        assert math.isclose(number, field.value(data), rel_tol=tolerance, abs_tol=tolerance), (data.hex(), answer)


def test_supported_pids() -> None:
    for bitmap in (b"\xbe\x1f\xa8\x13", b"\x00\x00\x00\x01", b"\x80\x00\x00\x00", b"\xff\xff\xff\xff"):
        found = ours.PidSet()
        found.add_bitmap(0, bitmap)
        bits = theirs(1, 0x00, bitmap)
        assert [pid for pid in range(1, 33) if bits[pid - 1]] == found.pids()[1:]


@pytest.mark.parametrize("data", ["83 07 65 04", "00 00 00 00", "81 07 FF 00", "00 7F EB 41", "7F 0F EB EB"])
def test_monitor_status(data: str) -> None:
    four = bytes.fromhex(data)
    mine = answers.MonitorStatus(four)
    other = theirs(1, 0x01, four)
    assert (mine.mil, mine.codes) == (other.MIL, other.DTC_count)
    assert mine.compression == (other.ignition_type == "compression")
    base = {
        "MISFIRE_MONITORING": "misfire",
        "FUEL_SYSTEM_MONITORING": "fuel system",
        "COMPONENT_MONITORING": "components",
    }
    found = dict(mine.monitors)
    for name, word in base.items():
        test = getattr(other, name)
        assert test.available == (word in found)
        assert not test.available or test.complete == found[word]
    names = obd.codes.COMPRESSION_TESTS if mine.compression else obd.codes.SPARK_TESTS
    words = answers.COMPRESSION if mine.compression else answers.SPARK
    for name, word in zip(names, words, strict=True):
        if name and word:
            test = getattr(other, name)
            assert test.available == (word in found), name
            assert not test.available or test.complete == found[word], name


def test_the_different_ones_agree_where_the_difference_does_not_show() -> None:
    for data in (b"\x00\x7b", b"\x7f\x10", b"\x00\x00"):
        assert theirs(1, 0x32, data).magnitude == pids.decode(0x32, data)[0].value


def test_trouble_codes() -> None:
    for n in range(1, 65536, 7):
        high, low = divmod(n, 256)
        assert theirs(1, 0x02, bytes((high, low)))[0].upper() == dtc.decode(high, low)
    data = bytes.fromhex("01 33 03 01 00 00")
    listed = obd.commands.GET_DTC.decode([Message(b"\x43" + b"\x00" + data)])  # CAN's form, with a count
    assert [code for code, _ in listed] == dtc.decode_all(data)
