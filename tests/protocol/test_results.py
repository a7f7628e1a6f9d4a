"""Modes 05 and 06: published values as vectors; any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.obd import results


@pytest.mark.parametrize(
    ("frame", "value", "least", "most", "unit", "passed"),
    [
        # Porsche 1999, "Mode 5": 0.440 V; 0.010 V within 0.002 (0.000 in the byte) .. 0.395; 0.40 s within 0.20 .. 1.20
        ("01 01 58", 0.44, None, None, "V", None),
        ("07 01 02 00 4F", 0.01, 0.0, 0.395, "V", True),
        ("09 01 0A 05 1E", 0.4, 0.2, 1.2, "s", True),
        ("09 01 1F 05 1E", 1.24, 0.2, 1.2, "s", False),
        ("05 10 7D 00 FA", 0.5, 0.0, 1.0, "s", True),
        ("81 01 40 10 50", 64, 16, 80, "", True),
    ],
)
def test_oxygen_sensors(
    frame: str, value: float, least: float | None, most: float | None, unit: str, passed: bool | None
) -> None:
    found = results.o2_result(bytes.fromhex(frame))
    assert found is not None and found.unit == unit and found.passed() is passed
    assert found.value == pytest.approx(value)
    assert (found.least, found.most) == (pytest.approx(least), pytest.approx(most))


@pytest.mark.parametrize(
    ("frame", "component", "is_least", "passed"),
    [
        ("01 01 01 00 02 00", 1, False, True),
        ("01 01 02 00 02 00", 1, False, True),
        ("01 01 02 01 02 00", 1, False, False),
        ("01 81 02 01 02 00", 1, True, True),
        ("01 81 02 00 02 00", 1, True, True),
        ("01 FF 01 FF 02 00", 0x7F, True, False),
    ],
)
def test_monitors(frame: str, component: int, is_least: bool, passed: bool) -> None:
    found = results.test_result(bytes.fromhex(frame))
    assert found is not None
    assert (found.test, found.component, found.is_least, found.passed()) == (1, component, is_least, passed)


def test_which_tests_there_are() -> None:
    assert results.supported(bytes.fromhex("00 01 C0 00 00 01")) == [1, 2, 32]
    assert results.supported(bytes.fromhex("00 FF 80 00 00 00")) == [1]
    assert results.supported(bytes.fromhex("00 80 00 00 00")) == [1]
    assert results.supported(b"\x00\x00\x00\x00") == []


def test_names_of_sensors() -> None:
    assert results.sensor_name(0x01) == "bank 1 sensor 1" and results.sensor_name(0x20) == "bank 2 sensor 2"
    assert results.sensor_name(0x04, 0x1D) == "bank 2 sensor 1" and results.sensor_name(0x03) == "sensor 03"


@given(st.binary(max_size=12))
def test_any_bytes(data: bytes) -> None:
    one, other = results.o2_result(data), results.test_result(data)
    assert (one is None) == (len(data) < 3) and (other is None) == (len(data) < 6)
    if one is not None:
        assert one.value >= 0 and (one.passed() is None) == (len(data) < 5)
    assert all(1 <= test <= 32 for test in results.supported(data))
