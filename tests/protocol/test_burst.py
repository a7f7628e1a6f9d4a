"""Messages in a burst of bytes: true frames are found whatever lies around, and every byte is accounted for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.obd import kwp
from kline.protocol.obd.burst import next_message


def split(data: bytes) -> list[tuple[bytes, bool]]:
    found = []
    at = 0
    while at < len(data):
        size = next_message(data, at, len(data), True)
        assert size != 0
        found.append((data[at : at + abs(size)], size > 0))
        at += abs(size)
    return found


def words(text: str) -> bytes:
    return bytes.fromhex(text)


iso = st.binary(min_size=1, max_size=7).map(lambda data: kwp.encode_iso9141(data, b"\x48\x6b\x10"))
addressed = st.tuples(st.binary(min_size=1, max_size=255), st.booleans()).map(
    lambda one: kwp.encode(one[0], 0xF1, 0x10, kwp.PHYSICAL, one[1])
)


def test_known_exchanges() -> None:
    # tests/vectors/kline_exchanges.txt
    burst = words("83 F1 18 7F 01 12 1E 84 F1 10 41 0C 0D 20 FF")
    assert split(burst) == [(burst[:7], True), (burst[7:], True)]
    asked = words("68 6A F1 01 00 C4")
    assert split(asked) == [(asked, True)]
    assert split(asked + words("48 6B 10 41 0C 0D 20 3D")) == [(asked, True), (words("48 6B 10 41 0C 0D 20 3D"), True)]
    short = words("04 41 0C 0D 20 7E")
    assert split(short) == [(short, True)]


def test_what_is_not_yet_whole_waits() -> None:
    frame = words("84 F1 10 41 0C 0D 20 FF")
    for n in range(len(frame)):
        assert next_message(frame, 0, n, False) == 0
    assert next_message(frame, 0, 8, False) == 8
    answer = words("48 6B 10 41 0C 0D 20 3D")
    assert next_message(answer, 0, 8, False) == 0  # ISO 9141 says no length
    assert next_message(answer + b"\x48", 0, 9, False) == 8


def test_damage() -> None:
    good = words("84 F1 10 41 0C 0D 20 FF")
    bad = words("84 F1 10 41 0C 0D 21 FF")
    assert split(bad) == [(bad, False)]
    assert split(bad + good) == [(bad, False), (good, True)]
    assert split(b"\x00" + good) == [(b"\x00", False), (good, True)]
    # Short frames look like anything: in the middle of damage they are none.
    assert split(b"\xff\x01\x3e\x3f") == [(b"\xff\x01\x3e\x3f", False)]


@given(st.lists(addressed, min_size=1, max_size=4))
def test_frames_with_a_length_need_no_gap(frames: list[bytes]) -> None:
    assert split(b"".join(frames)) == [(frame, True) for frame in frames]


@given(iso)
def test_iso_9141(frame: bytes) -> None:
    assert split(frame) == [(frame, True)] or 0x48 in frame[5:] or 0x68 in frame[5:]


@given(st.binary(max_size=300))
def test_every_byte_is_accounted_for(data: bytes) -> None:
    assert b"".join(part for part, _ in split(data)) == data
