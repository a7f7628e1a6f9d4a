"""What openkline.bus says of frames."""

from __future__ import annotations

import pytest

from kline.protocol.ibus.frames import MAX_FRAME, encode
from openkline.bus import frame_fault


@pytest.mark.parametrize("data_bytes", [1, 2, 60, 253])
def test_whatever_encode_makes_is_a_frame(data_bytes: int) -> None:
    assert frame_fault(encode(0x68, 0x18, bytes(range(data_bytes)))) == ""


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", "a frame has 5 to 257 bytes (source, length, destination, data, checksum), not 0"),
        ("68 02 18 72", "a frame has 5 to 257 bytes (source, length, destination, data, checksum), not 4"),
        ("68 04 18 01 75", "the length byte is 04, should be 03 in a frame of 5 bytes"),
        ("68 03 18 01 73", "the checksum is 73, should be 72"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said(data: str, fault: str) -> None:
    assert frame_fault(bytes.fromhex(data)) == fault


def test_a_frame_of_more_bytes_than_its_length_byte_can_count_is_none() -> None:
    assert frame_fault(bytes(MAX_FRAME + 1)).endswith("not 258")


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ((0x68, None, 0x18, 1, 0x72), ""),
        ((0x68, 3, None, 1, 0x72), ""),
        ((0x68, 3, 0x18, 1, None), ""),
        ((None,) * 5, ""),
        ((None, 4, None, None, None), "the length byte is 04, should be 03 in a frame of 5 bytes"),
        ((None,) * 4, "a frame has 5 to 257 bytes (source, length, destination, data, checksum), not 4"),
    ],
)
def test_in_a_pattern_a_byte_that_may_be_any_is_never_wrong(pattern: tuple[int | None, ...], fault: str) -> None:
    assert frame_fault(pattern) == fault
