"""A capture on the virtual board's wire: the log is read here, in any form, and goes to the board as it is played.

    log file -> read_frames -> Timeline -> a line for each frame through a pipe -> boards/SIM/sim/player.py

A line is `US HEX`: microseconds from the start of the replay to the end of the frame, then its bytes; or `- HEX`, bytes
right behind those before (a capture of the wire's own bytes has no times). The last line is `end`. The pipe holds the
reader back, so a file of any size begins at once and takes no memory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kline.protocol.ibus.frames import BYTE_US
from openkline.errors import OptionError
from openkline.log.formats import LogFrame, LogProblem
from openkline.log.reader import read_raw_blocks
from openkline.words import plural

log = logging.getLogger("openkline.replay")

_UNTIMED_GAP_US = 10_000  # between frames of a log without times: the median of real buses
_LOOP_GAP_US = 1_000_000
_LEAST_GAP_US = 200
_TOLD_LATE_US = 100_000
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What is played, and how.

    from_time   begins with the first frame from then on: "18:30", "18:30:05" (of the day), "2026-11-20 18:30"
    max_gap_s   a longer silence is cut to this; 0: none is cut
    speed       times of the log are divided by it, as far as the wire keeps up
    loop        again and again, with a second between
    """

    path: Path
    from_time: str = ""
    max_gap_s: float = 0.0
    speed: float = 1.0
    loop: bool = False

    def __post_init__(self) -> None:
        if not 0.01 <= self.speed <= 1000:
            raise OptionError(f"speed is {self.speed}, must be 0.01..1000")
        if not 0 <= self.max_gap_s <= 86_400:
            raise OptionError(f"max_gap_s is {self.max_gap_s}, must be 0..86400")
        start_test(self.from_time)


def start_test(text: str) -> Callable[[float], bool]:
    """Whether a unix time is late enough to begin with. OptionError (a ValueError): the text is no time."""
    if not text:
        return lambda unix_s: True
    if match := _CLOCK.fullmatch(text):
        hour, minute, second = int(match[1]), int(match[2]), float(match[3] or 0)
        if hour < 24 and minute < 60 and second < 60:
            wanted_s = hour * 3600 + minute * 60 + second
            return lambda unix_s: _second_of_day(unix_s) >= wanted_s
    with contextlib.suppress(ValueError):
        start_s = datetime.fromisoformat(text).timestamp()
        return lambda unix_s: unix_s >= start_s
    raise OptionError(f"from_time is {text!r}, must be a time such as 18:30, 18:30:05 or 2026-11-20T18:30")


def _second_of_day(unix_s: float) -> float:
    at = datetime.fromtimestamp(unix_s)
    return at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6


class Timeline:
    """When each frame ends on the wire, microseconds from the start; late_us: the most that the wire was behind."""

    def __init__(self, options: ReplayOptions) -> None:
        self._speed = options.speed
        self._max_gap_us = options.max_gap_s * 1e6 or float("inf")
        self._starts = start_test(options.from_time)
        self._begun = False
        self._last_s: float | None = None
        self._at_us = 0.0
        self._wire_us = 0.0
        self.late_us = 0.0

    def place(self, frame: LogFrame) -> int | None:
        """None: it comes before the time from which is played."""
        if not self._begun and frame.time is not None and not frame.relative and not self._starts(frame.time):
            return None
        self._at_us += self._gap_us(frame) if self._begun else 0.0
        self._begun = True
        self._last_s = frame.time
        needed_us = len(frame.data) * BYTE_US + _LEAST_GAP_US
        self._wire_us = max(self._at_us, self._wire_us + needed_us)
        self.late_us = max(self.late_us, self._wire_us - self._at_us)
        return round(self._at_us)

    def _gap_us(self, frame: LogFrame) -> float:
        if frame.time is None or self._last_s is None:
            return len(frame.data) * BYTE_US + _UNTIMED_GAP_US
        # A clock that was set back, or a second recording in the file, is no reason to wait.
        return min(max(frame.time - self._last_s, 0.0) * 1e6, self._max_gap_us) / self._speed

    def again(self) -> None:
        """The file begins again, a second later."""
        self._at_us = self._wire_us + _LOOP_GAP_US
        self._last_s = None
        self._begun = False


class Replay:
    """Feeds one start of the virtual board. fd: the pipe's reading end, for the child; close_fd() when it has it."""

    def __init__(self, options: ReplayOptions) -> None:
        self.options = options
        self.frames = 0
        self.fd, self._out = os.pipe()
        self._timeline = Timeline(options)
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def start(self) -> None:
        """The child has been started: from now on only it reads."""
        os.close(self.fd)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._feed()
        except BrokenPipeError:
            pass  # the board was stopped or reset
        except OSError as error:
            log.error("%s can't be played: %s", self.options.path, error.strerror or error)
        finally:
            os.close(self._out)

    def _feed(self) -> None:
        problems: list[LogProblem] = []
        while True:
            before = self.frames
            for line in self._lines(problems):
                self._write(line)
            if not self.options.loop or self.frames == before:
                break
            self._timeline.again()
        self._write(b"end\n")
        if self._reader_is_done():
            self._tell_end(len(problems))

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._out, data) :]

    def _lines(self, problems: list[LogProblem]) -> Iterator[bytes]:
        def note(problem: LogProblem) -> None:
            if len(problems) < 1000:
                problems.append(problem)

        with self.options.path.open("rb") as file:
            for item in read_raw_blocks(file, note):
                if isinstance(item, bytes):
                    self.frames += 1
                    yield b"- %s\n" % item.hex().encode()
                elif (at_us := self._timeline.place(item)) is not None:
                    self.frames += 1
                    yield b"%d %s\n" % (at_us, item.data.hex().encode())

    def _reader_is_done(self) -> bool:
        """Waits until the board has played all of it and closed its end."""
        poll = select.poll()
        poll.register(self._out, 0)
        return bool(poll.poll())

    def _tell_end(self, problems: int) -> None:
        text = f"the replay of {self.options.path} is over: {plural(self.frames, 'frame')}"
        if not self.frames:
            text = f"{self.options.path} holds no frame to play"
        if problems:
            text += f"; {plural(problems, 'line')} could not be read (`openkline log` names them)"
        if self._timeline.late_us > _TOLD_LATE_US:
            text += f"; the wire was up to {self._timeline.late_us / 1e6:.1f} s behind the log's times"
        log.info("%s", text)
