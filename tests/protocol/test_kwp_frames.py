"""KWP and ISO 9141 frames: round trips, any chunking, garbage, and the situations that real cars produce."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.obd import kwp
from kline.protocol.obd.keybytes import KeyBytes

from .kline_vectors import read

VECTORS = read(str(Path(__file__).parents[1] / "vectors"))
BYTE = st.integers(0, 255)
KWP_MODES = st.sampled_from([kwp.NO_ADDRESS, kwp.PHYSICAL, kwp.FUNCTIONAL])


def take_all(parser: kwp.FrameParser, ended: bool = False) -> list[kwp.Frame]:
    found = []
    while (frame := parser.take(ended)) is not None:
        found.append(frame)
    return found


def hear(stream: bytes, bits: int = kwp.HEAR_ALL) -> list[tuple[int, bytes]]:
    parser = kwp.FrameParser(bits)
    parser.feed(stream)
    return [(frame.source, frame.data) for frame in take_all(parser) + take_all(parser, True)]


@pytest.mark.parametrize("row", [row for row in VECTORS if row[0] == "frame"], ids=lambda row: row[1].hex())
def test_vectors_are_built_and_understood(row: tuple[str, bytes, list[bytes], str]) -> None:
    frame = row[1]
    if frame[0] == 0x68:
        assert kwp.encode_iso9141(frame[3:-1]) == frame
    else:
        assert kwp.encode(frame[3:-1], frame[1], frame[2], frame[0] >> 6) == frame
    assert frame[kwp.data_start(frame, len(frame))] == frame[3]


@given(st.binary(min_size=1, max_size=255), BYTE, KWP_MODES, st.booleans())
def test_round_trip(data: bytes, source: int, mode: int, extra: bool) -> None:
    frame = kwp.encode(data, kwp.TESTER, source, mode, extra)
    assert kwp.frame_size(frame, len(frame)) == len(frame)
    start = kwp.data_start(frame, len(frame))
    assert frame[start:-1] == data
    expected = (-1 if mode == kwp.NO_ADDRESS else source, data)
    assert hear(frame) == [expected]


@given(st.binary(min_size=1, max_size=7), BYTE)
def test_round_trip_iso9141(data: bytes, ecu: int) -> None:
    frame = kwp.encode_iso9141(data, bytes((0x48, 0x6B, ecu)))
    parser = kwp.FrameParser(kwp.HEAR_ISO_9141)
    parser.feed(frame)
    assert parser.take() is None, "it ends by silence only"
    found = parser.take(True)
    assert found is not None and found.source == ecu
    # A checksum is a sum of eight bits: that a shorter piece fits too and a header follows takes five chosen bytes.
    assert found.data == data or b"\x48" in data


@given(st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=6), st.lists(st.integers(1, 9)))
def test_any_chunking_gives_the_same_frames(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(kwp.encode(data, kwp.TESTER, 0x10, kwp.PHYSICAL) for data in payloads)
    parser = kwp.FrameParser(kwp.HEAR_ADDRESSED)
    found = []
    while stream:
        n = cuts.pop() if cuts else len(stream)
        parser.feed(stream[: min(n, 200)])
        stream = stream[min(n, 200) :]
        found += take_all(parser)
    assert [frame.data for frame in found] == payloads
    assert parser.waiting() == 0 and parser.dropped_bytes == 0


@given(st.lists(st.tuples(st.binary(max_size=400), st.booleans())), st.integers(0, 7))
def test_garbage_never_raises_and_is_never_kept(pieces: list[tuple[bytes, bool]], bits: int) -> None:
    parser = kwp.FrameParser(bits)
    for piece, ended in pieces:
        parser.feed(piece)
        take_all(parser, ended)
        assert parser.waiting() <= 320
    take_all(parser, True)
    assert parser.waiting() == 0


@given(st.binary(max_size=40).filter(lambda noise: b"\xf1" not in noise and b"\x48" not in noise))
def test_noise_before_an_answer_costs_nothing(noise: bytes) -> None:
    answer = bytes.fromhex("84 F1 10 41 0C 0D 20 FF")
    assert (0x10, b"\x41\x0c\x0d\x20") in hear(noise + answer, kwp.HEAR_ADDRESSED)


def test_a_stray_zero_is_known_at_once_and_not_only_after_silence() -> None:
    parser = kwp.FrameParser(kwp.hears(KeyBytes(0xE9, 0x8F)))
    parser.feed(bytes.fromhex("00 83 F1 10 41 05 49 13"))
    frame = parser.take()
    assert frame is not None and frame.data == b"\x41\x05\x49"
    assert parser.dropped_bytes == 1


def test_concatenated_answers_and_a_cut_one() -> None:
    both = bytes.fromhex("83 F1 18 7F 01 12 1E 84 F1 10 41 0C 0D 20 FF")
    assert hear(both) == [(0x18, b"\x7f\x01\x12"), (0x10, b"\x41\x0c\x0d\x20")]
    assert hear(b"\x87\xf1\x10\x41" + both) == [(0x18, b"\x7f\x01\x12"), (0x10, b"\x41\x0c\x0d\x20")]


def test_48_is_not_length_8_and_two_iso9141_answers_are_two() -> None:
    one = kwp.encode_iso9141(b"\x41\x0c\x0d\x20", b"\x48\x6b\x10")
    two = kwp.encode_iso9141(b"\x41\x0c\x00\x00", b"\x48\x6b\x18")
    assert kwp.frame_size(one, len(one)) == -1
    assert kwp.data_start(one, len(one)) == 3
    assert hear(one) == [(0x10, b"\x41\x0c\x0d\x20")]
    assert hear(one + two) == [(0x10, b"\x41\x0c\x0d\x20"), (0x18, b"\x41\x0c\x00\x00")]
    assert hear(b"\x00" + one, kwp.HEAR_ISO_9141) == [(0x10, b"\x41\x0c\x0d\x20")]
    assert hear(one[:-1] + b"\x00") == []


def test_frames_to_another_tester_are_not_ours() -> None:
    assert hear(kwp.encode(b"\x41\x0c\x00\x00", 0xF2, 0x10, kwp.PHYSICAL), kwp.HEAR_ADDRESSED) == []


def test_wrong_checksum_is_counted_and_not_believed() -> None:
    parser = kwp.FrameParser()
    parser.feed(bytes.fromhex("83 F1 10 41 05 49 14"))
    assert take_all(parser, True) == []
    assert parser.bad_checksum >= 1 and parser.dropped_bytes == 7


def test_what_cannot_be_said_is_refused_by_name() -> None:
    for data in (b"", bytes(256)):
        with pytest.raises(ValueError, match=r"data has \d+ bytes, must be 1\.\.255"):
            kwp.encode(data)
    with pytest.raises(ValueError, match="mode"):
        kwp.encode(b"\x01", mode=kwp.EXCEPTION)
    with pytest.raises(ValueError, match="target is 256"):
        kwp.encode(b"\x01", target=256)
    with pytest.raises(ValueError, match=r"1\.\.7 on ISO 9141"):
        kwp.encode_iso9141(bytes(8))


def test_requests_follow_the_key_bytes() -> None:
    def request(first: int, second: int) -> str:
        return kwp.build_request(KeyBytes(first, second), b"\x01\x0c").hex(" ").upper()

    assert request(0x08, 0x08) == request(0x94, 0x94) == "68 6A F1 01 0C D0"
    assert request(0xE9, 0x8F) == request(0x8F, 0xE9) == request(0xD0, 0x8F) == "C2 33 F1 01 0C F3"
    assert request(0x57, 0x8F) == "02 01 0C 0F", "key word 2007: headers without addresses only"
    physical = kwp.build_request(KeyBytes(0xE9, 0x8F), b"\x3e", target=0x10, functional=False)
    assert physical.hex(" ") == "81 10 f1 3e c0"
