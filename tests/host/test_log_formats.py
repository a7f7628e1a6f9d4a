"""Log formats: exact bytes out, every variant in, and no exception whatever the file holds."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kline.protocol.ibus.frames import encode
from openkline.bus import BusFrame
from openkline.cli.common import pretty
from openkline.log.formats import FORMATS, GatewayFormat, LogFrame, LogProblem, NavCoderFormat
from openkline.log.reader import read_frames

CAPTURES = Path(os.environ.get("OPENKLINE_CAPTURES") or Path(__file__).resolve().parents[3] / "shared" / "captures")
FRAME = bytes.fromhex("C0 04 68 32 11 8F")


@pytest.fixture(autouse=True)
def somewhere_with_summer_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(name: str, data: bytes) -> tuple[list[LogFrame], list[LogProblem]]:
    problems: list[LogProblem] = []
    how = "raw" if name == "raw" else "auto"
    return list(read_frames(io.BytesIO(data), problems.append, how)), problems


def at(*moment: int, micros: int = 0) -> float:
    year, month, day, hour, minute, second = moment
    return time.mktime((year, month, day, hour, minute, second, 0, 0, -1)) + micros / 1e6


def test_gateway_line_to_the_byte() -> None:
    frame = LogFrame(at(2010, 7, 20, 10, 7, 0, micros=767817), FRAME)
    assert GatewayFormat().write(frame) == b"2010-Jul-20 10:07:00.767817: C0 04 68 32 11 8F \n"


def test_gateway_line_at_a_whole_second_has_no_fraction() -> None:
    assert (
        GatewayFormat().write(LogFrame(at(2010, 1, 2, 3, 4, 5), FRAME)) == b"2010-Jan-02 03:04:05: C0 04 68 32 11 8F \n"
    )


def test_gateway_line_marks_our_own_only_when_asked() -> None:
    own = BusFrame(at(2010, 7, 20, 10, 7, 0), FRAME, own=True)
    assert GatewayFormat().write(own).endswith(b"8F \n")
    assert GatewayFormat(direction=True).write(own).endswith(b"8F > \n")
    assert read("gateway", GatewayFormat(direction=True).write(own))[0][0].own


@pytest.mark.parametrize(
    "line",
    [
        b"2010-Jul-20 10:07:00.767817: C0 04 68 32 11 8F \n",
        b"2010-Jul-20 10:07:00.767817: C0 04 68 32 11 8F\n",
        b"2010-Jul-20 10:07:00.767817: C0 04 68 32 11 8F\r\n",
        b"2010-Jul-20 10:07:00.767817: c0 04 68 32 11 8f",
    ],
)
def test_gateway_lines_in_all_their_variants(line: bytes) -> None:
    assert read("gateway", line) == ([LogFrame(at(2010, 7, 20, 10, 7, 0, micros=767817), FRAME)], [])


def test_gateway_line_without_fraction() -> None:
    assert read("gateway", b"2010-Jul-20 10:07:00: C0 04 68 32 11 8F \n")[0] == [
        LogFrame(at(2010, 7, 20, 10, 7, 0), FRAME)
    ]


def test_torn_and_wrong_lines_are_named_and_skipped() -> None:
    good = GatewayFormat().write(LogFrame(at(2010, 7, 20, 10, 7, 0), FRAME))
    data = good + b"2010-Jul-20 10:07:00.76781\n" + b"2010-Jul-20 10:07:01: C0 04 68 32 11 8E \n" + good
    data += (
        b"2010-Jul-20 10:07:01: C0 09 68 32 11 8E \n"
        + b"2010-Foo-99 10:07:01: C0 04 68 32 11 8F\n"
        + b"x" * 9000
        + b"\n"
        + good
    )
    frames, problems = read("gateway", data)
    assert len(frames) == 3
    assert [problem.line for problem in problems] == [2, 3, 5, 6, 7]
    assert "checksum is 8E, should be 8F" in problems[1].reason
    assert "the length byte is 09, should be 04 in a frame of 6 bytes" in problems[2].reason
    assert problems[4].reason == "line longer than 4096 bytes"


def test_navcoder_frames_are_read_and_their_explanations_skipped() -> None:
    data = (
        b"1/26/2010 5:04:11 PM.213:  3B 05 80 41 01 01 FF\r\n"
        b"1/26/2010 5:04:11 PM.213:  GT   --> IKE : On-board computer data request\r\n"
        b"\r\n"
        b"12/1/2010 12:00:00 AM.7:  3B 05 80 41 02 01 FC\r\n"
    )
    frames, problems = read("navcoder", data)
    assert not problems
    assert frames[0] == LogFrame(at(2010, 1, 26, 17, 4, 11, micros=213000), bytes.fromhex("3B 05 80 41 01 01 FF"))
    assert frames[1].time == at(2010, 12, 1, 0, 0, 0, micros=700000)
    assert NavCoderFormat().write(frames[0]) == b"1/26/2010 5:04:11 PM.213:  3B 05 80 41 01 01 FF\r\n"


def test_raw_bytes_are_decoded_by_the_decoder_rule() -> None:
    data = b"\x00\xff" + FRAME + b"\x68\x05\x18" + FRAME + FRAME[:4]
    frames, problems = read("raw", data)
    assert [frame.data for frame in frames] == [FRAME, FRAME]
    assert problems[0].reason.startswith("9 bytes")


@pytest.mark.parametrize("at_s", ["NaN", "Infinity", "-Infinity", "1e999", "1e18", "-1e308", "253402400000", '"nan"'])
def test_a_time_that_is_none_is_named_and_skipped(at_s: str) -> None:
    frames, problems = read("json", f'{{"time": {at_s}, "frame": "C0 04 68 32 11 8F"}}'.encode())
    assert frames == []
    assert [problem.line for problem in problems] == [1]
    assert "no such date and time" in problems[0].reason


@pytest.mark.parametrize("at_s", ["0", "null", "1", "253402000000", "true", '"5"'])
def test_whatever_time_is_read_can_be_written_in_every_format(at_s: str) -> None:
    (frame,), problems = read("json", f'{{"time": {at_s}, "frame": "C0 04 68 32 11 8F"}}'.encode())
    assert problems == []
    for made in FORMATS.values():
        assert made().write(frame)
    assert pretty(io.StringIO())(BusFrame(frame.time or 0.0, frame.data))


data_bytes = st.binary(min_size=1, max_size=60)
times = st.integers(1_000_000_000_000_000, 2_000_000_000_000_000).map(lambda us: us / 1e6)


@given(st.sampled_from(sorted(FORMATS)), times, st.integers(0, 255), st.integers(0, 255), data_bytes, st.booleans())
def test_what_is_written_is_read_back(
    name: str, time_s: float, source: int, destination: int, data: bytes, own: bool
) -> None:
    frame = LogFrame(time_s, encode(source, destination, data), own)
    written = FORMATS[name]().write(frame)
    frames, problems = read(name, written)
    assert not problems
    assert [f.data for f in frames] == [frame.data]
    if name in ("gateway", "json"):
        got = frames[0].time
        assert got is not None
        # An hour a year has no unambiguous local time.
        assert abs(got - time_s) < 2e-6 or abs(abs(got - time_s) - 3600) < 2e-6


def read_and_write(name: str, data: bytes) -> None:
    """What `openkline log --to` does with it."""
    for frame in read(name, data)[0]:
        for made in FORMATS.values():
            made().write(frame)


@given(st.sampled_from(sorted(FORMATS)), st.binary(max_size=400))
def test_readers_survive_anything(name: str, data: bytes) -> None:
    read_and_write(name, data)


pieces = st.sampled_from(
    [
        b"2010-Jul-20 10:07:00.767817: ",
        b"9999-Dec-31 23:59:60",
        b"0000-Jan-00 ",
        b"1/26/2010 5:04:11 PM.213:  ",
        b"99/99/0000 99:99:99:  ",
        b"C0 04 68 32 11 8F ",
        b'"frame": "C0 04 68 32 11 8F"}\n',
        b"NaN, ",
        b"1e99, ",
        b"\n",
        b"\r\n",
        b'{"time": ',
        b'"frame": "C0"}',
        b"1e999",
        b"NaN",
        b"[" * 50,
        b"\xff\xfe",
        b"\0",
        b"}",
        b": ",
    ]
)


@given(st.sampled_from(sorted(FORMATS)), st.lists(pieces, max_size=30).map(b"".join))
def test_readers_survive_what_looks_like_a_log(name: str, data: bytes) -> None:
    read_and_write(name, data)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not here")
def test_captures() -> None:
    log = (CAPTURES / "e39-key-on.log").read_bytes()
    frames, problems = read("gateway", log)
    assert (len(frames), problems) == (71, [])
    assert b"".join(GatewayFormat().write(frame) for frame in frames) == log
    frames, problems = read("raw", (CAPTURES / "e83-uart.bin").read_bytes())
    assert (len(frames), problems) == (229, [])
