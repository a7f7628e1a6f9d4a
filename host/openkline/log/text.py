"""Frames in a text that some program or person wrote: one reader for all forms, line by line.

A line has a time in front, perhaps (moments.py), and somewhere the bytes of one whole, valid frame in hex: separated by
blanks, commas, quotes or nothing, with 0x or without. `>` at the end, [SELF], TX and Transmitted mark our own. Also:

    {"time": .., "frame": "C0 04 .."}           our own JSON lines
    00000000: 8004 bf11 012b ..                 dumps with an offset in front (xxd, hexdump -C, od -A x -t x1)
    12.345,0x80,,   and   12-34 UART: RX: 80    a byte a line (Saleae, PulseView)

A line with a time and words is a remark, and passed over. A line with neither is named, and so is one whose bytes are
no valid frame: nothing is guessed out of damaged bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from kline.protocol.ibus.frames import MAX_FRAME, IbusScanner
from kline.protocol.ring import RingBuffer
from openkline.bus import frame_fault
from openkline.documents import parse_json
from openkline.log.formats import LogFrame, LogProblem, OnProblem, no_frame, why_no_time
from openkline.log.moments import Moment, MomentReader

MAX_LINE = 4096
MIN_BYTES = 5  # of a frame

_PAIR = r"(?:0[xX])?[0-9A-Fa-f]{2}(?![0-9A-Za-z_])"
_SPACED = re.compile(rf"(?<![0-9A-Za-z_.:]){_PAIR}(?:[ \t,;'\"|]{{1,3}}{_PAIR})*")
_DENSE = re.compile(r"(?<![0-9A-Za-z_.:])(?:[0-9A-Fa-f]{2}){5,}(?![0-9A-Za-z_])")
_DIGITS = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{2})")
_ONLY_HEX = re.compile(r"(?:[0-9A-Fa-f]{2} ?)+(?: ?>)?\s*")
_OWN = re.compile(r">\s*$|\[SELF\]|\bTX\b|\bTransmitted\b")
_DUMP = re.compile(r"([0-9A-Fa-f]{6,8}):?\s+((?:[0-9A-Fa-f]{2,4} {1,2})*[0-9A-Fa-f]{2,4})(?:\s{2,}.*|\s*\|.*)?\s*")
_LONE_BYTES = (
    re.compile(r'"?[^",]*"?,"?data"?,(?P<time>\d+\.\d+),[^,]*,"?0x(?P<byte>[0-9A-Fa-f]{2})"?(?:,.*)?'),
    re.compile(r"(?P<time>\d+\.\d+),\"?0x(?P<byte>[0-9A-Fa-f]{2})\"?(?:,.*)?"),
    re.compile(r"(?P<time>)\d+-\d+ UART[^:]*: [^:]+: (?P<byte>[0-9A-Fa-f]{2})"),
)
_HEADINGS = ("Time [s],", "name,type,start_time")


def time_of(line: str) -> float | None:
    """Unix seconds of a line of a log, be it a frame or a message; None where it tells none."""
    try:
        if moment := MomentReader().read(line):
            return None if moment.relative else moment.seconds
        at = parse_json(line).get("time")
        return None if at is None or why_no_time(float(at)) else float(at)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def lines(stream: BinaryIO, problem: OnProblem) -> Iterator[tuple[int, str]]:
    """(number, text) of each line that is not empty. One that is too long is named and passed over."""
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            if line.strip(b"\0"):
                problem(LogProblem(number, f"line longer than {MAX_LINE} bytes"))
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            continue
        if text := line.decode("utf-8", "replace").strip("\r\n\0 \t"):
            yield number, text


class TextReader:
    """Reads one file. order: of day and month where dates have slashes (moments.slash_order)."""

    def __init__(self, problem: OnProblem, order: str = "") -> None:
        self._problem = problem
        self._moments = MomentReader(order)
        self._bytes = ByteStream()
        self._offset = 0

    def read(self, stream: BinaryIO) -> Iterator[LogFrame]:
        for number, text in lines(stream, self._problem):
            yield from self._line(number, text)
        yield from self._bytes.end()
        if self._bytes.dropped:
            self._problem(LogProblem(0, no_frame(self._bytes.dropped)))

    def _line(self, number: int, text: str) -> Iterator[LogFrame]:
        if text[0] == "{":
            frame = self._json(number, text)
        elif (found := self._lone_bytes(text)) is not None:
            yield from found
            return
        else:
            frame = self._hex(number, text)
        if frame is not None:
            yield frame

    # -- a whole frame in a line

    def _hex(self, number: int, text: str) -> LogFrame | None:
        moment = self._moments.read(text)
        if moment is not None and moment.seconds is None:
            self._problem(LogProblem(number, "no such date and time", text[:200]))
            return None
        rest = text[moment.end :] if moment else text
        data, reason = frame_in(rest, whole=moment is not None)
        if not data:
            if reason or moment is None or not rest.isprintable():
                self._problem(LogProblem(number, reason or "no frame in this line", text[:200]))
            return None
        seconds, relative = (moment.seconds, moment.relative) if moment else (None, False)
        return LogFrame(seconds, data, _OWN.search(rest) is not None, relative)

    def _json(self, number: int, text: str) -> LogFrame | None:
        try:
            record = parse_json(text)
            relative = record.get("elapsed_s") is not None
            at = record["elapsed_s"] if relative else record.get("time")
            data = bytes.fromhex(record["frame"])
            frame = LogFrame(None if at is None else float(at), data, bool(record.get("own", False)), relative)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            self._problem(LogProblem(number, 'no JSON object with "time" and "frame"', text[:200]))
            return None
        if reason := why_no_time(frame.time) or frame_fault(frame.data):
            self._problem(LogProblem(number, reason, text[:200]))
            return None
        return frame

    # -- bytes of which several lines make a frame

    def _lone_bytes(self, text: str) -> Iterator[LogFrame] | None:
        """Frames that these bytes complete; None: it is no line of that kind."""
        if text.startswith(_HEADINGS):
            return iter(())
        for form in _LONE_BYTES:
            if match := form.fullmatch(text):
                at = Moment(float(match["time"]), True, 0) if match["time"] else None
                return self._bytes.feed(bytes.fromhex(match["byte"]), at)
        match = _DUMP.fullmatch(text)
        if match is None or int(match[1], 16) != self._offset:
            return None
        data = bytes.fromhex(match[2])
        self._offset += len(data)
        return self._bytes.feed(data, None)


class ByteStream:
    """Frames out of bytes as the wire had them, by the board's own decoder; dropped: bytes of no valid frame."""

    def __init__(self) -> None:
        self._ring = RingBuffer(4 * MAX_FRAME)
        self._scanner = IbusScanner(self._ring, max_frame=MAX_FRAME)
        self._out = bytearray(MAX_FRAME)

    @property
    def dropped(self) -> int:
        return self._scanner.dropped_bytes

    def feed(self, data: bytes, at: Moment | None) -> Iterator[LogFrame]:
        """At most MAX_FRAME bytes at a time."""
        self._ring.write(bytearray(data))
        while n := self._scanner.scan(0):
            yield self._take(n, at)

    def end(self) -> Iterator[LogFrame]:
        while n := self._scanner.end():
            yield self._take(n, None)

    def _take(self, n: int, at: Moment | None) -> LogFrame:
        self._ring.copy_to(self._out, n)
        self._scanner.take()
        return LogFrame(at.seconds if at else None, bytes(self._out[:n]), relative=at is not None)


def frame_in(text: str, whole: bool = False) -> tuple[bytes, str]:
    """(the frame that stands in this text, "") or (b"", what is wrong with the bytes in it; "" where there are none).

    The bytes are all of a run of hex pairs, or its front (words that look like hex may follow), or its rest (a number
    may stand in front). whole: where the text is nothing but bytes, all of them must be the frame.
    """
    reason = ""
    if _ONLY_HEX.fullmatch(text):
        data = bytes.fromhex(text.rstrip("> \t"))
        reason = frame_fault(data)
        if not reason or whole:
            return (b"", reason) if reason else (data, "")
    for run in [*_SPACED.findall(text), *_DENSE.findall(text)]:
        data = bytes.fromhex("".join(_DIGITS.findall(run)))
        if len(data) < MIN_BYTES:
            continue
        wrong = frame_fault(data)
        if not wrong:
            return data, ""
        for part in (data[: data[1] + 2], data[1:], data[2:]):
            if not frame_fault(part):
                return part, ""
        reason = reason or wrong
    return b"", reason
