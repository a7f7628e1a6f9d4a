"""The forms in which frames are written, and what a frame of a log is. Reading is reader.py's: it takes any form.

gateway   2010-Jul-20 10:07:00.767817: C0 04 68 32 11 8F     local time; the original ends the line with a space, and
                                                             leaves the fraction out when it is exactly zero
navcoder  1/26/2010 5:04:11 PM.213:  3B 05 80 41 01 01 FF    local time
json      {"time": 1279613220.767817, "source": "C0", "destination": "68", "data": "32 11", "frame": "C0 .. 8F",
           "own": false}                                     one object a line; unix time, or "elapsed_s" instead
raw       the bytes of the frames, without times
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from openkline.bus import BusFrame, hex_bytes
from openkline.log.moments import MONTHS
from openkline.words import plural


@dataclass(frozen=True, slots=True)
class LogFrame:
    """time: unix seconds, None where the format has none; data: the whole frame with its checksum.

    relative: time counts from some start (of the board, of a recording) instead.
    """

    time: float | None
    data: bytes
    own: bool = False
    relative: bool = False


@dataclass(frozen=True, slots=True)
class LogProblem:
    """What could not be read: line counts from 1; 0 where it is no matter of a line."""

    line: int
    reason: str
    text: str = ""


def no_frame(count: int) -> str:
    """The reason of a LogProblem for so many bytes."""
    return plural(count, "byte belongs to no valid frame", "bytes belong to no valid frame")


OnProblem = Callable[[LogProblem], None]


class LogFormat(Protocol):
    """How frames are written."""

    def write(self, frame: LogFrame | BusFrame) -> bytes: ...


def why_no_time(unix_s: float | None) -> str:
    """What is wrong with a frame's time: NaN, or a year that no format can write; nothing ("") when it is one."""
    try:
        if unix_s is not None:
            datetime.fromtimestamp(unix_s)
    except (ValueError, OverflowError, OSError):
        return f"time is {unix_s}: no such date and time"
    return ""


class GatewayFormat:
    def __init__(self, direction: bool = False) -> None:
        self.direction = direction
        self._second = -1
        self._prefix = ""

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
                f"{at.tm_year:04d}-{MONTHS[at.tm_mon - 1]}-{at.tm_mday:02d} "
                f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
            )
        return f"{self._prefix}.{micros:06d}" if micros else self._prefix


class NavCoderFormat:
    def write(self, frame: LogFrame | BusFrame) -> bytes:
        second, millis = divmod(int((frame.time or 0.0) * 1000), 1000)
        at = time.localtime(second)
        clock = f"{at.tm_hour % 12 or 12}:{at.tm_min:02d}:{at.tm_sec:02d} {'AM' if at.tm_hour < 12 else 'PM'}"
        return (f"{at.tm_mon}/{at.tm_mday}/{at.tm_year} {clock}.{millis:03d}:  {hex_bytes(frame.data)}\r\n").encode(
            "ascii"
        )


class JsonFormat:
    def write(self, frame: LogFrame | BusFrame) -> bytes:
        return (json.dumps(as_dict(frame)) + "\n").encode("ascii")


def as_dict(frame: LogFrame | BusFrame) -> dict[str, object]:
    """The frame as the object that --json prints; microseconds are what the device can tell."""
    data = frame.data
    at = None if frame.time is None else round(frame.time, 6)
    relative = isinstance(frame, LogFrame) and frame.relative
    return {
        "time": None if relative else at,
        **({"elapsed_s": at} if relative else {}),
        "source": f"{data[0]:02X}",
        "destination": f"{data[2]:02X}",
        "data": hex_bytes(data[3:-1]),
        "frame": hex_bytes(data),
        "own": frame.own,
    }


class RawFormat:
    def write(self, frame: LogFrame | BusFrame) -> bytes:
        return frame.data


FORMATS: dict[str, Callable[[], LogFormat]] = {
    "gateway": GatewayFormat,
    "navcoder": NavCoderFormat,
    "json": JsonFormat,
    "raw": RawFormat,
}
