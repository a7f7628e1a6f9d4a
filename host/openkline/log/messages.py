"""Messages in a file: what -f holds at levels 0 to 3, as with the original gateway."""

from __future__ import annotations

import logging

from openkline.log.files import FrameLog
from openkline.log.formats import GatewayFormat
from openkline.log.plain_lines import PlainLines


class MessageLog(logging.Handler):
    """Gives each message to a writer of its own thread: a full disk, rotation and SIGHUP are met as with frames."""

    def __init__(self, writer: FrameLog[str]) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer(self.format(record))
        except Exception:
            self.handleError(record)


class TimedLines(PlainLines):
    """A message behind the time of the frames' lines: `2010-Jul-20 10:07:00.767817: message`."""

    def __init__(self) -> None:
        super().__init__()
        self._time = GatewayFormat()

    def format(self, record: logging.LogRecord) -> str:
        return f"{self._time.moment(record.created)}: {super().format(record)}"


def as_line(text: str) -> bytes:
    return text.encode("utf-8", "replace") + b"\n"
