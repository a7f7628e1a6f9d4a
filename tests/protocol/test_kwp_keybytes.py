"""Key bytes, timing limits, AccessTimingParameters."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.obd import keybytes, timing
from kline.protocol.obd.keybytes import KeyBytes

from .kline_vectors import read

VECTORS = read(str(Path(__file__).parents[1] / "vectors"))
BYTE = st.integers(0, 255)


@pytest.mark.parametrize("row", [row for row in VECTORS if row[0] == "key"], ids=lambda row: row[1].hex())
def test_vectors(row: tuple[str, bytes, list[bytes], str]) -> None:
    key = KeyBytes(*row[1])
    assert [key.protocol, key.key_word] == [int(n) for n in row[3].split()], key.text()


@given(BYTE, BYTE)
def test_any_two_bytes_mean_something_and_order_does_not_matter(first: int, second: int) -> None:
    one, other = KeyBytes(first, second), KeyBytes(second, first)
    assert one.text().startswith(f"{first:02X} {second:02X}: ")
    assert (one.protocol, one.key_word, one.timing) == (other.protocol, other.key_word, other.timing)
    assert one.protocol in (keybytes.UNKNOWN, keybytes.ISO_9141, keybytes.KWP)


def test_unequal_key_bytes_are_no_error_and_the_bits_are_read() -> None:
    key = KeyBytes(0xE9, 0x8F)
    assert key.length_in_format and key.addressed_header and not key.extra_length and not key.one_byte_header
    assert key.timing == keybytes.TIMING_NORMAL and not key.swapped
    key = KeyBytes(0x57, 0x8F)
    assert key.length_in_format and key.extra_length and key.one_byte_header and not key.addressed_header
    assert key.timing == keybytes.TIMING_EXTENDED
    assert KeyBytes(0x8F, 0xEF).swapped
    silent = KeyBytes(0xD0, 0x8F)
    assert silent.timing == keybytes.TIMING_UNSAID and silent.addressed_header and silent.length_in_format
    assert KeyBytes(0x94, 0x94).p2_min_us == 0
    assert KeyBytes(0x08, 0x08).p2_min_us == 25_000


@pytest.mark.parametrize(("span_us", "baud"), [(769, 10400), (833, 9600), (1667, 4800), (6667, 1200), (0, 0), (-5, 0)])
def test_rate_from_the_sync_byte(span_us: int, baud: int) -> None:
    assert keybytes.baud_of_sync(span_us) == baud
    if baud:
        assert keybytes.baud_of_sync(span_us + 15) == keybytes.baud_of_sync(span_us - 15) == baud


@given(st.integers(-10, 10_000_000), st.integers(1, 8))
def test_rate_never_raises(span_us: int, bits: int) -> None:
    assert keybytes.baud_of_sync(span_us, bits) >= 0


def test_limits_are_those_of_the_standards() -> None:
    """In ms, as public descriptions of ISO 9141-2 and ISO 14230-2 have them."""
    limits = {
        "W0": (2, None), "W1": (60, 300), "W2": (5, 20), "W3": (0, 20), "W4 tester": (25, 50), "W4 ECU": (25, 50),
        "W5": (300, None), "5-baud bit": (198, 202), "fast idle": (300, None), "TiniL": (24, 26), "TWuP": (49, 51),
        "P1": (0, 20), "P2": (25, 50), "P3": (55, 5000), "P4": (5, 20),
    }  # fmt: skip
    assert set(limits) == set(timing.LIMITS)
    for name, (shortest, longest) in limits.items():
        wanted = (1000 * shortest, timing.NO_LIMIT if longest is None else 1000 * longest)
        assert timing.LIMITS[name][:2] == wanted and timing.LIMITS[name][3].startswith("ISO "), name
    normal = timing.Timing()
    assert (normal.p1_max_us, normal.p4_max_us) == (20_000, 20_000)
    assert normal.values() == (25_000, 50_000, 55_000, 5_000_000, 5_000)


def test_access_timing_parameters() -> None:
    assert timing.encode_access_timing(timing.Timing()) == bytes.fromhex("32 02 6E 14 0A")
    fast = timing.decode_access_timing(bytes.fromhex("00 F2 00 FF 00"))
    assert fast is not None and fast.values() == (0, 12_800_000, 0, timing.NO_LIMIT, 0)
    assert timing.decode_access_timing(b"\x32\x00\x6e\x14\x0a") is None
    assert timing.decode_access_timing(b"\x32\x02\x6e\x14") is None
    with pytest.raises(ValueError, match="P3min"):
        timing.encode_access_timing(timing.Timing(p3_min_us=200_000))


@given(st.binary(min_size=5, max_size=5))
def test_access_timing_round_trip(five: bytes) -> None:
    decoded = timing.decode_access_timing(five)
    if decoded is None:
        assert five[1] == 0
        return
    again = timing.decode_access_timing(timing.encode_access_timing(decoded))
    assert again is not None and again.values() == decoded.values()
