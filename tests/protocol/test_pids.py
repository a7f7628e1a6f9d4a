"""PID table: complete, sound, and right at its ends; vectors worked out by hand from SAE J1979's tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.obd import answers, pids, words


def values(pid: int, data: str) -> list[tuple[str, float | None, str]]:
    return [(v.name, v.value, v.unit) for v in pids.decode(pid, bytes.fromhex(data))]


def test_every_pid_up_to_5a_is_there() -> None:
    assert not set(range(0x00, 0x5B)) - set(pids.known())
    for pid in pids.known():
        fields = pids.fields(pid)
        assert len({field.length for field in fields}) == 1
        assert all(abs(f.size) >= 1 and f.first + abs(f.size) <= f.length <= 5 for f in fields)
        assert all(words.quantity(f.name) != f.name and f.name.isupper() and f.name.isidentifier() for f in fields)
    names = [field.name for pid in pids.known() for field in pids.fields(pid)]
    assert len(names) == len(set(names))


def test_constants_by_name() -> None:
    assert (pids.RPM, pids.SPEED, pids.COOLANT, pids.THROTTLE, pids.VOLTAGE) == (0x0C, 0x0D, 0x05, 0x11, 0x42)
    assert pids.number("rpm") == 0x0C and pids.number("o2_3_trim") == 0x16 and pids.number("nothing") == -1
    for pid in pids.known():
        assert all(pids.number(field.name) == pid for field in pids.fields(pid))
    with pytest.raises(AttributeError):
        pids.NOTHING  # noqa: B018
    assert pids.length(0xEE) == 0 and pids.decode(0xEE, b"\x00") == []


@pytest.mark.parametrize(
    ("pid", "data", "expected"),
    [
        (0x04, "FF", [("LOAD", 100.0, "%")]),
        (0x05, "00", [("COOLANT", -40, "C")]),
        (0x05, "49", [("COOLANT", 33, "C")]),
        (0x06, "80", [("STFT_1", 0.0, "%")]),
        (0x06, "00", [("STFT_1", -100.0, "%")]),
        (0x0A, "FF", [("FUEL_PRESSURE", 765, "kPa")]),
        (0x0C, "0D 20", [("RPM", 840.0, "rpm")]),
        (0x0C, "FF FF", [("RPM", 16383.75, "rpm")]),
        (0x0D, "39", [("SPEED", 57, "km/h")]),
        (0x0E, "FF", [("TIMING", 63.5, "deg")]),
        (0x10, "FF FF", [("MAF", 655.35, "g/s")]),
        (0x14, "5A 80", [("O2_1_VOLTAGE", 0.45, "V"), ("O2_1_TRIM", 0.0, "%")]),
        (0x1B, "C8 FF", [("O2_8_VOLTAGE", 1.0, "V"), ("O2_8_TRIM", None, "%")]),
        (0x22, "FF FF", [("RAIL_PRESSURE_VACUUM", 5177.265, "kPa")]),
        (0x24, "80 00 40 00", [("O2_1_WIDE_LAMBDA", 1.0, ""), ("O2_1_WIDE_VOLTAGE", 2.0, "V")]),
        (0x32, "FF FF", [("EVAP_PRESSURE", -0.25, "Pa")]),
        (0x32, "80 00", [("EVAP_PRESSURE", -8192.0, "Pa")]),
        (0x3B, "80 00 80 00", [("O2_8_PUMP_LAMBDA", 1.0, ""), ("O2_8_PUMP_CURRENT", 0.0, "mA")]),
        (0x3C, "02 58", [("CATALYST_11", 20.0, "C")]),
        (0x42, "37 14", [("VOLTAGE", 14.1, "V")]),
        (0x43, "FF FF", [("ABSOLUTE_LOAD", 25700.0, "%")]),
        (0x50, "0A 00 00 00", [("MAX_MAF", 100, "g/s")]),
        (0x53, "FF FF", [("EVAP_PRESSURE_ABS", 327.675, "kPa")]),
        (0x54, "80 01", [("EVAP_PRESSURE_WIDE", -32767, "Pa")]),
        (0x5A, "80", [("RELATIVE_PEDAL", 50.19607843137255, "%")]),
        (0x5D, "FF FF", [("INJECTION_TIMING", 301.9921875, "deg")]),
    ],
)
def test_values(pid: int, data: str, expected: list[tuple[str, float | None, str]]) -> None:
    for (name, value, unit), (name_, value_, unit_) in zip(values(pid, data), expected, strict=True):
        assert (name, unit) == (name_, unit_) and value == (None if value_ is None else pytest.approx(value_))


@given(st.integers(-1, 300), st.binary(max_size=8), st.integers(0, 3))
def test_any_bytes(pid: int, data: bytes, start: int) -> None:
    for value in pids.decode(pid, data, start):
        assert value.value is None or -40_000 <= value.value < 2**32
    assert isinstance(words.describe(pid, data, start), list)


@given(st.sampled_from(pids.known()), st.binary(min_size=4, max_size=4))
def test_decoded_values_lead_back_to_the_bytes(pid: int, data: bytes) -> None:
    for field in pids.fields(pid):
        value = field.value(data)
        raw = round((value - field.add) * field.div / field.mul)
        assert raw == field.raw(data)
        part = data[field.first : field.first + abs(field.size)]
        assert raw == int.from_bytes(part, "big", signed=field.size < 0)


def test_monitor_status() -> None:
    found = answers.monitor_status(bytes.fromhex("83 07 65 04"))
    assert found is not None and found.mil and found.codes == 3 and not found.compression and not found.ready()
    assert found.monitors == [
        ("misfire", True), ("fuel system", True), ("components", True), ("catalyst", True),
        ("evaporative system", False), ("oxygen sensor", True), ("oxygen sensor heater", True),
    ]  # fmt: skip
    diesel = answers.monitor_status(bytes.fromhex("00 0F EB EB"))
    assert diesel is not None and diesel.compression
    assert [name for name, _ in diesel.monitors][3:] == [
        "NMHC catalyst", "NOx/SCR", "boost pressure", "exhaust gas sensor", "particulate filter", "EGR or VVT system",
    ]  # fmt: skip
    assert answers.monitor_status(b"\0\0\0") is None


def test_words() -> None:
    assert words.describe(0x03, b"\x02\x00") == ["closed loop: oxygen sensors control the mixture", "off"]
    assert words.describe(0x13, b"\x33") == [
        "bank 1 sensor 1", "bank 1 sensor 2", "bank 2 sensor 1", "bank 2 sensor 2",
    ]  # fmt: skip
    assert words.describe(0x1D, b"\x05") == ["bank 1 sensor 1", "bank 2 sensor 1"]
    assert words.describe(0x1C, b"\x06") == ["EOBD"] and words.describe(0x1C, b"\xfa") == ["reserved (250)"]
    assert words.describe(0x51, b"\x01") == ["petrol"] and words.describe(0x51, b"\x00") == ["not available"]
    assert words.describe(0x02, b"\x01\x33") == ["P0133"] and words.describe(0x02, b"\x00\x00") == ["no freeze frame"]
    assert words.describe(0x0C, b"\x00\x00") == []
