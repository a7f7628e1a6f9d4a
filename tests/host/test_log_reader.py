"""Logs that others wrote: every form gives the same frames, times and senders, and nothing is made up."""

from __future__ import annotations

import gzip
import io
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openkline.log.formats import LogFrame, LogProblem
from openkline.log.moments import MomentReader, slash_order
from openkline.log.reader import read_frames

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "logs"
FRAMES = [
    bytes.fromhex(text)
    for text in (
        "80 04 BF 11 01 2B", "80 05 BF 18 05 10 37", "D0 07 BF 5B 20 00 04 00 17", "68 05 18 38 00 00 4D",
        "18 0A 68 39 00 02 00 01 00 01 04 45", "44 05 BF 74 04 00 8E",
    )
]  # fmt: skip
START = datetime(2011, 8, 23, 21, 5, 2)
TIMES = [START.timestamp() + 0.25 * i for i in range(len(FRAMES))]


@pytest.fixture(autouse=True, scope="module")
def somewhere_with_summer_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def read(data: bytes, how: str = "auto") -> tuple[list[LogFrame], list[LogProblem]]:
    problems: list[LogProblem] = []
    return list(read_frames(io.BytesIO(data), problems.append, how)), problems


def log_of(line: Callable[[datetime, str], str], end: str = "\n") -> bytes:
    made = [line(datetime.fromtimestamp(at), data.hex(" ").upper()) for at, data in zip(TIMES, FRAMES, strict=True)]
    return (end.join(made) + end).encode()


def ms(at: datetime) -> str:
    return f"{at.microsecond // 1000:03d}"


WITH_TIMES: dict[str, Callable[[datetime, str], str]] = {
    "gateway": lambda at, data: f"{at:%Y-%b-%d %H:%M:%S}.{at.microsecond:06d}: {data} ",
    "gateway, level 0": lambda at, data: f"{at:%Y-%b-%d %H:%M:%S}.{at.microsecond:06d}: info: ibus: Received: {data} ",
    "navcoder, Germany": lambda at, data: f"{at:%d.%m.%Y %H:%M:%S}.{ms(at)}:  {data}",
    "navcoder, Czechia": lambda at, data: f"{at.day}. {at.month}. {at:%Y %H:%M:%S}.{ms(at)}:  {data}",
    "navcoder, Hungary": lambda at, data: f"{at:%Y.%m.%d. %H:%M:%S}.{ms(at)}:  {data}",
    "navcoder, ISO": lambda at, data: f"{at:%Y-%m-%d %H:%M:%S}.{ms(at)}:  {data}",
    "navcoder, Japan": lambda at, data: f"{at:%Y/%m/%d %H:%M:%S}.{ms(at)}:  {data}",
    "navcoder, Netherlands": lambda at, data: f"{at:%d-%m-%Y %H:%M:%S}.{ms(at)}:  {data}",
    "navcoder, Britain": lambda at, data: f"{at:%d/%m/%Y %H:%M:%S}.{ms(at)}:  {data}",
    "navcoder, two digits": lambda at, data: f"{at:%d/%m/%y %H:%M:%S}.{ms(at)}:  {data}",
    "navcoder, America": lambda at, data: f"{at.month}/{at.day}/{at:%Y %I:%M:%S %p}.{ms(at)}:  {data}",
    "navcoder, Italy": lambda at, data: f"{at:%d/%m/%Y %H.%M.%S}.{ms(at)}:  {data}",
    "ISO 8601": lambda at, data: f"{at:%Y-%m-%dT%H:%M:%S}.{ms(at)}+02:00 {data}",
    "candump": lambda at, data: f"({at.timestamp():.6f})  {data}",
    "unix time": lambda at, data: f"{at.timestamp():.6f}, {data}",
}


@pytest.mark.parametrize("form", WITH_TIMES)
def test_every_form_of_time(form: str) -> None:
    frames, problems = read(log_of(WITH_TIMES[form]))
    assert problems == []
    assert [frame.data for frame in frames] == FRAMES
    assert [frame.time for frame in frames] == pytest.approx(TIMES, abs=1e-3)
    assert not any(frame.own or frame.relative for frame in frames)


RELATIVE: dict[str, Callable[[float, str], str]] = {
    "bluebus": lambda at, data: f"[{at * 1000:.0f}] DEBUG: IBus: RX[{len(data.split())}]: {data}",
    "seconds": lambda at, data: f"{at:.3f}: {data}",
    "time of the day": lambda at, data: f"{time.strftime('%H:%M:%S', time.gmtime(at))}.{at * 1000 % 1000:03.0f} {data}",
}


@pytest.mark.parametrize("form", RELATIVE)
def test_times_since_a_start_are_told_apart(form: str) -> None:
    at = [44.25 + i for i in range(len(FRAMES))]
    text = "\n".join(RELATIVE[form](s, data.hex(" ").upper()) for s, data in zip(at, FRAMES, strict=True))
    frames, problems = read(text.encode())
    assert problems == []
    assert [frame.data for frame in frames] == FRAMES
    assert [frame.time for frame in frames] == pytest.approx(at)
    assert all(frame.relative for frame in frames)


WITHOUT_TIMES: dict[str, Callable[[str], str]] = {
    "plain": lambda data: data,
    "dense": lambda data: data.replace(" ", "").lower(),
    "0x": lambda data: " ".join(f"0x{pair}" for pair in data.split()),
    "0x with commas": lambda data: ", ".join(f"0x{pair}" for pair in data.split()),
    "quoted": lambda data: f'"{data}","LCM","IKE","bad face"',
    "words behind": lambda data: f"{data}   some words, be added",
    "words in front": lambda data: f"Good Message -> {data}",
    "a number in front": lambda data: f"17 {data}",
}


@pytest.mark.parametrize("form", WITHOUT_TIMES)
def test_every_form_of_bytes(form: str) -> None:
    text = "\r\n".join(WITHOUT_TIMES[form](data.hex(" ").upper()) for data in FRAMES)
    frames, problems = read(text.encode())
    assert problems == []
    assert frames == [LogFrame(None, data) for data in FRAMES]


@pytest.mark.parametrize(
    "line",
    [
        "[45930] DEBUG: IBus: RX[6]: 80 04 BF 11 01 2B [SELF]",
        "2010-Jul-23 11:21:05.000123: info: ibus: Transmitted: id=1 [p=100] -> 80 04 BF 11 01 2B ",
        "2010-Jul-23 11:21:05.000123: 80 04 BF 11 01 2B > ",
        "12.5 TX 80 04 BF 11 01 2B",
    ],
)
def test_own_frames_are_marked(line: str) -> None:
    (frame,), problems = read(line.encode())
    assert frame.own and frame.data == FRAMES[0] and problems == []


def dump(data: bytes, form: str) -> str:
    lines = []
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        if form == "xxd":
            pairs = part.hex(" ", 2)
            lines.append(f"{at:08x}: {pairs:<39}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in part)}")
        elif form == "hexdump":
            lines.append(f"{at:08x}  {part[:8].hex(' ')}  {part[8:].hex(' ')}".ljust(60) + "|................|")
        else:
            lines.append(f"{at:06x} {part.hex(' ')}")
    return "\n".join(lines)


@pytest.mark.parametrize("form", ["xxd", "hexdump", "od"])
def test_dumps_with_an_offset_in_front(form: str) -> None:
    frames, problems = read(dump(b"".join(FRAMES), form).encode())
    assert problems == []
    assert [frame.data for frame in frames] == FRAMES


BYTE_A_LINE = {
    "saleae 1": ("Time [s],Value,Parity Error,Framing Error\n", "{at:.9f},0x{byte:02X},,\n"),
    "saleae 2": ("name,type,start_time,duration,data\n", '"Async Serial","data",{at:.6f},0.00104,0x{byte:02X}\n'),
    "pulseview": ("", "{sample}-{sample} UART: RX: {byte:02X}\n"),
}


@pytest.mark.parametrize("form", BYTE_A_LINE)
def test_a_byte_a_line(form: str) -> None:
    heading, line = BYTE_A_LINE[form]
    wire = b"".join(FRAMES)
    text = heading + "".join(line.format(at=0.5 + i / 873, byte=b, sample=i * 26) for i, b in enumerate(wire))
    frames, problems = read(text.encode())
    assert problems == []
    assert [frame.data for frame in frames] == FRAMES
    if form != "pulseview":
        assert frames[0].time == pytest.approx(0.5 + 5 / 873, abs=1e-5) and frames[0].relative


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress,
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.decode().encode("utf-16"),
        lambda text: b"\xfe\xff" + text.decode().encode("utf-16-be"),
        lambda text: bytes(8000) + text,
        lambda text: bytes(200_000) + text,
        lambda text: gzip.compress(text.decode().encode("utf-16")),
    ],
    ids=["gzip", "bom", "utf-16", "utf-16-be", "nuls", "many nuls", "gzip of utf-16"],
)
def test_how_text_is_packed(packed: Callable[[bytes], bytes]) -> None:
    frames, problems = read(packed(log_of(WITH_TIMES["gateway"])))
    assert problems == []
    assert [frame.data for frame in frames] == FRAMES


def test_a_torn_gzip_file_gives_what_is_whole_and_says_so() -> None:
    frames, problems = read(gzip.compress(log_of(WITH_TIMES["gateway"]) * 50, mtime=0)[:-40])
    assert 0 < len(frames) <= 50 * len(FRAMES)
    assert any("ends in the middle" in problem.reason for problem in problems)


def test_a_file_has_one_order_of_day_and_month() -> None:
    lines = [f"03/04/2008 21:55:02.{i:03d}:  80 04 BF 11 01 2B\r\n" for i in range(3000)]
    later = "14/04/2008 21:55:03.500:  80 04 BF 11 01 2B\r\n"
    frames, _ = read("".join([*lines, later]).encode())
    assert frames[0].time == datetime(2008, 4, 3, 21, 55, 2).timestamp()
    assert slash_order(b"03/04/2008 9:05:42 PM") == slash_order(b"4/13/2008 21:05:42") == "mdy"
    assert slash_order(b"13/04/2008 21:05:42") == "dmy" and slash_order(b"03/04/2008 21:05:42") == ""


def test_the_hour_that_comes_twice() -> None:
    """2026-10-25: 02:59:59.5 summer time is followed by 02:00:01 winter time."""
    clocks = ["02:59:58", "02:59:59.500000", "02:00:01", "02:00:02"]
    frames, _ = read("".join(f"2026-Oct-25 {clock}: 80 04 BF 11 01 2B \n" for clock in clocks).encode())
    assert [frame.time - frames[0].time for frame in frames] == [0, 1.5, 3, 4]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("51 00 DA", "5 to 257 bytes"),
        ("# drive to work", "no frame in this line"),
        ("2010-Jul-20 10:07:01: C0 04 68 32 11 8E", "checksum is 8E, should be 8F"),
        ("2010-Jul-20 10:07:01: C0 04 68 32 11 8F 00", "length byte is 04"),
        ("2010-Foo-20 10:07:01: C0 04 68 32 11 8F", "no such date"),
        ("2010-Feb-30 10:07:01: C0 04 68 32 11 8F", "no such date"),
        ("31/31/2010 10:07:01: C0 04 68 32 11 8F", "no such date"),
        ("2010-Jul-20 10:07:01: \x1b]0;title\x07", "no frame in this line"),
    ],
)
def test_what_is_no_frame_is_named_with_its_line(line: str, reason: str) -> None:
    good = "2010-Jul-20 10:07:00: C0 04 68 32 11 8F \n"
    frames, problems = read((good + line + "\n" + good).encode())
    assert len(frames) == 2
    assert [problem.line for problem in problems] == [2]
    assert reason in problems[0].reason


def test_a_remark_with_a_time_is_passed_over() -> None:
    text = (
        "2010-Jul-23 11:20:59.000100: info: gateway started\n1/26/2010 5:04:11 PM.213:  GT   --> IKE : data request\n"
    )
    assert read(text.encode()) == ([], [])


@pytest.mark.parametrize("words", ["IKE says hello to the LCM at 12:30.\n" * 40, "be added, face a bad cafe " * 80])
def test_words_are_never_bytes(words: str) -> None:
    frames, problems = read(words.encode())
    assert frames == [] and problems
    assert read(words.encode(), "raw")[1]  # only this takes them for bytes


@given(st.text(st.sampled_from("0123456789abcdefABCDEFxX ,;'\"|-:>\t\n\u00e4["), max_size=300))
def test_no_frame_is_made_of_what_is_not_in_one_line_of_the_text(text: str) -> None:
    frames, _ = read(text.encode(), "text")
    lines = [re.sub(r"0x|[^0-9a-f]", "", line.lower()) for line in text.split("\n")]
    dumped = "".join(lines)
    for frame in frames:
        assert any(frame.data.hex() in line for line in lines) or frame.data.hex() in dumped


@given(st.text(max_size=80))
def test_no_text_raises_as_a_time(text: str) -> None:
    reader = MomentReader()
    for line in ("2010-Jul-20 10:07:00: ", text, "99/99/9999 99:99:99 ", text):
        reader.read(line)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x1f\x8b\x08", b"\xff\xfe", b"\xef\xbb\xbf", b"\0\0"]))
def test_no_bytes_raise(data: bytes, front: bytes) -> None:
    read(front + data)


# What each file of the cases holds: frames, own ones (from 1), lines named, the seconds from the first to the last.
CASE_RESULTS: dict[str, tuple[int, list[int], list[int], float | None]] = {
    "bluebus-console.log": (12, [7], [], 2.75),
    "escape-codes.log": (1, [], [2], 0),
    "gateway-bom.log": (12, [], [], 2.75),
    "gateway-comment-first.log": (12, [], [1], 2.75),
    "gateway-end-of-summer-time.log": (4, [], [], 4.0),
    "gateway-level0.log": (12, [10], [], 2.75),
    "gateway-nuls-in-front.log": (12, [], [], 2.75),
    "gateway-over-night.log": (10, [], [], 46_805.0),
    "gateway-torn-first-line.log": (12, [], [1], 2.75),
    "gateway-utf16.log": (12, [], [], 2.75),
    "good-message.txt": (12, [], [], None),
    "hex-0x.txt": (12, [], [], None),
    "hex-csv.txt": (12, [], [], None),
    "hex-dense.txt": (12, [], [], None),
    "hex-lines.txt": (12, [], [1], None),
    "navcoder-de.log": (12, [], [], 2.75),
    "navcoder-dmy-slash-early.log": (12, [], [], 950_402.75),
    "navcoder-dmy-slash.log": (12, [], [], 2.75),
    "navcoder-iso.log": (12, [], [], 2.75),
    "navcoder-us.log": (12, [], [], 2.75),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize("name", CASE_RESULTS)
def test_cases(name: str) -> None:
    count, own, named, seconds = CASE_RESULTS[name]
    frames, problems = read((CASES / name).read_bytes())
    assert len(frames) == count
    assert [i for i, frame in enumerate(frames, 1) if frame.own] == own
    assert [problem.line for problem in problems] == named
    if seconds is None:
        assert all(frame.time is None for frame in frames)
    else:
        assert frames[-1].time - frames[0].time == pytest.approx(seconds, abs=2e-3)  # type: ignore[operator]
