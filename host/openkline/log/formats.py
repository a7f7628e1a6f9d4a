"""The log formats: how each is recognised, read and written.

gateway   2010-Jul-20 10:07:00.767817: C0 04 68 32 11 8F     local time; the original ends the line with a space, and
                                                             leaves the fraction out when it is exactly zero
navcoder  1/26/2010 5:04:11 PM.213:  3B 05 80 41 01 01 FF    local time; lines that explain a frame in words between
json      {"time": 1279613220.767817, "source": "C0", "destination": "68", "data": "32 11", "frame": "C0 .. 8F",
           "own": false}                                     one object a line; unix time
raw       the bytes of the line as they came, without times; kline.protocol.ibus.frames finds the frames

Readers never raise on what they read: a line that is no frame is handed to `problem` with its number, and skipped.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from kline.protocol.ibus.frames import MAX_FRAME, IbusScanner
from kline.protocol.ring import RingBuffer
from openkline.bus import BusFrame, frame_fault

MAX_LINE = 4096
_MOMENT = re.compile(r"(\d{4})-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?: ")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class LogFrame:
    """time: unix seconds, None where the format has none; data: the whole frame with its checksum."""

    time: float | None
    data: bytes
    own: bool = False


@dataclass(frozen=True, slots=True)
class LogProblem:
    """What could not be read: line counts from 1 (raw: the byte offset, from 0)."""

    line: int
    reason: str
    text: str = ""


OnProblem = Callable[[LogProblem], None]


class LogFormat(Protocol):
    name: str

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins with `head` is of this format."""
        ...

    def read(self, stream: BinaryIO, problem: OnProblem) -> Iterator[LogFrame]: ...

    def write(self, frame: LogFrame | BusFrame) -> bytes: ...


def hex_bytes(data: bytes) -> str:
    return data.hex(" ").upper()


def why_no_time(unix_s: float | None) -> str:
    """What is wrong with a frame's time: NaN, or a year that no format can write; nothing ("") when it is one."""
    try:
        if unix_s is not None:
            datetime.fromtimestamp(unix_s)
    except (ValueError, OverflowError, OSError):
        return f"time is {unix_s}: no such date and time"
    return ""


def time_of(line: str) -> float | None:
    """Unix seconds of a line of a gateway or JSON log, be it a frame or a message; None where it tells none."""
    try:
        if match := _MOMENT.match(line):
            return _unix(*match.groups())
        at = json.loads(line).get("time")
        return None if at is None or why_no_time(float(at)) else float(at)
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError, OSError):
        return None


def _unix(year: str, month: str, day: str, hour: str, minute: str, second: str, fraction: str | None) -> float:
    """Of the local time in a gateway log. ValueError, OverflowError, OSError: there is no such date and time."""
    moment = datetime(
        int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second),
        int((fraction or "0").ljust(6, "0")),
    )  # fmt: skip
    return moment.timestamp()


def _lines(stream: BinaryIO, problem: OnProblem) -> Iterator[tuple[int, str]]:
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        whole = line.endswith(b"\n")
        if not whole and len(line) == MAX_LINE:
            problem(LogProblem(number, f"line longer than {MAX_LINE} bytes"))
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            continue
        yield number, line.decode("utf-8", "replace").strip("\r\n\0 \t")


class GatewayFormat:
    name = "gateway"
    _line = re.compile(_MOMENT.pattern + r"((?:[0-9A-Fa-f]{2} ?)+)( ?>)?\s*")

    def __init__(self, direction: bool = False) -> None:
        self.direction = direction
        self._second = -1
        self._prefix = ""

    def matches(self, head: bytes) -> bool:
        return re.match(rb"\s*\d{4}-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d", head) is not None

    def read(self, stream: BinaryIO, problem: OnProblem) -> Iterator[LogFrame]:
        for number, text in _lines(stream, problem):
            if not text:
                continue
            match = self._line.fullmatch(text)
            if match is None:
                problem(LogProblem(number, "not a line of a gateway log", text))
                continue
            *moment, data, own = match.groups()
            try:
                unix_s = _unix(*moment)
            except (ValueError, OverflowError, OSError):
                problem(LogProblem(number, "no such date and time", text))
                continue
            frame = bytes.fromhex(data)
            if reason := frame_fault(frame):
                problem(LogProblem(number, reason, text))
                continue
            yield LogFrame(unix_s, frame, bool(own))

    def write(self, frame: LogFrame | BusFrame) -> bytes:
        mark = "> " if self.direction and frame.own else ""
        return f"{self.moment(frame.time or 0.0)}: {hex_bytes(frame.data)} {mark}\n".encode("ascii")

    def moment(self, unix_s: float) -> str:
        """That time as it stands in the log: local, without a fraction when that is exactly zero."""
        second, micros = divmod(round(unix_s * 1_000_000), 1_000_000)
        if second != self._second:
            at = time.localtime(second)
            self._second = second
            self._prefix = (
                f"{at.tm_year:04d}-{_MONTHS[at.tm_mon - 1]}-{at.tm_mday:02d} "
                f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
            )
        return f"{self._prefix}.{micros:06d}" if micros else self._prefix


class NavCoderFormat:
    name = "navcoder"
    _line = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d\d):(\d\d)(?: ([AP])M)?(?:\.(\d{1,3}))?:\s+(.*)")
    _hex = re.compile(r"(?:[0-9A-Fa-f]{2} ?)+")

    def matches(self, head: bytes) -> bool:
        return re.match(rb"\s*\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d", head) is not None

    def read(self, stream: BinaryIO, problem: OnProblem) -> Iterator[LogFrame]:
        for number, text in _lines(stream, problem):
            match = self._line.fullmatch(text)
            if match is None:
                if text:
                    problem(LogProblem(number, "not a line of a NavCoder log", text))
                continue
            month, day, year, hour, minute, second, half, millis, rest = match.groups()
            if not self._hex.fullmatch(rest.strip()):
                continue  # the frame before, in words
            hour_of_day = int(hour) % 12 + (12 if half == "P" else 0) if half else int(hour)
            try:
                moment = datetime(int(year), int(month), int(day), hour_of_day, int(minute), int(second))
                unix_s = moment.timestamp() + int((millis or "0").ljust(3, "0")) / 1000
            except (ValueError, OverflowError, OSError):
                problem(LogProblem(number, "no such date and time", text))
                continue
            frame = bytes.fromhex(rest)
            if reason := frame_fault(frame):
                problem(LogProblem(number, reason, text))
                continue
            yield LogFrame(unix_s, frame)

    def write(self, frame: LogFrame | BusFrame) -> bytes:
        second, millis = divmod(int((frame.time or 0.0) * 1000), 1000)
        at = time.localtime(second)
        clock = f"{at.tm_hour % 12 or 12}:{at.tm_min:02d}:{at.tm_sec:02d} {'AM' if at.tm_hour < 12 else 'PM'}"
        return (f"{at.tm_mon}/{at.tm_mday}/{at.tm_year} {clock}.{millis:03d}:  {hex_bytes(frame.data)}\r\n").encode(
            "ascii"
        )


class JsonFormat:
    name = "json"

    def matches(self, head: bytes) -> bool:
        return head.lstrip().startswith(b"{")

    def read(self, stream: BinaryIO, problem: OnProblem) -> Iterator[LogFrame]:
        for number, text in _lines(stream, problem):
            if not text:
                continue
            try:
                record = json.loads(text)
                at = record.get("time")
                frame = LogFrame(
                    None if at is None else float(at), bytes.fromhex(record["frame"]), bool(record.get("own", False))
                )
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
                problem(LogProblem(number, 'no JSON object with "time" and "frame"', text[:200]))
                continue
            if reason := why_no_time(frame.time) or frame_fault(frame.data):
                problem(LogProblem(number, reason, text[:200]))
                continue
            yield frame

    def write(self, frame: LogFrame | BusFrame) -> bytes:
        return (json.dumps(as_dict(frame)) + "\n").encode("ascii")


def as_dict(frame: LogFrame | BusFrame) -> dict[str, object]:
    """The frame as the object that --json prints; microseconds are what the device can tell."""
    data = frame.data
    return {
        "time": None if frame.time is None else round(frame.time, 6),
        "source": f"{data[0]:02X}",
        "destination": f"{data[2]:02X}",
        "data": hex_bytes(data[3:-1]),
        "frame": hex_bytes(data),
        "own": frame.own,
    }


class RawFormat:
    name = "raw"

    def matches(self, head: bytes) -> bool:
        return bool(head)

    def read(self, stream: BinaryIO, problem: OnProblem) -> Iterator[LogFrame]:
        ring = RingBuffer(4 * MAX_FRAME)
        scanner = IbusScanner(ring, max_frame=MAX_FRAME)
        out = bytearray(MAX_FRAME)
        while chunk := stream.read(ring.free()):
            ring.write(bytearray(chunk))
            yield from self._frames(scanner.scan, scanner, ring, out)
        yield from self._frames(scanner.end, scanner, ring, out)
        if scanner.dropped_bytes:
            problem(LogProblem(0, f"{scanner.dropped_bytes} bytes belong to no valid frame"))

    def _frames(
        self, scan: Callable[..., int], scanner: IbusScanner, ring: RingBuffer, out: bytearray
    ) -> Iterator[LogFrame]:
        arguments = (0,) if scan == scanner.scan else ()
        while n := scan(*arguments):
            ring.copy_to(out, n)
            scanner.take()
            yield LogFrame(None, bytes(out[:n]))

    def write(self, frame: LogFrame | BusFrame) -> bytes:
        return frame.data


FORMATS: dict[str, Callable[[], LogFormat]] = {
    "gateway": GatewayFormat,
    "navcoder": NavCoderFormat,
    "json": JsonFormat,
    "raw": RawFormat,
}


def detect(head: bytes) -> LogFormat:
    """The format of a file that begins with `head` (some hundred bytes). Raw is what is nothing else.

    A log may begin with a torn line: then the second line decides.
    """
    for candidate in (head, head.partition(b"\n")[2]):
        for name in ("gateway", "navcoder", "json"):
            log_format = FORMATS[name]()
            if log_format.matches(candidate):
                return log_format
    return RawFormat()
