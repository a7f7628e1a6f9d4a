"""Messages of the log as lines for people."""

from __future__ import annotations

import errno
import logging
import sys

from openkline.printable import printable
from openkline.terminal import OFF, RED, YELLOW, colours, width_of, wrapped

_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)


class PlainLines(logging.Formatter):
    """A message as printable lines, of a terminal's width and with colours for warnings and errors where wanted."""

    def __init__(self, for_terminal: bool = False) -> None:
        super().__init__()
        self._for_terminal = for_terminal

    def format(self, record: logging.LogRecord) -> str:
        width = width_of(sys.stderr) if self._for_terminal else None
        text = super().format(shortened(record))
        lines = [line for part in text.split("\n") for line in wrapped(printable(part), width)]
        shown = "\n".join(lines)
        if not self._for_terminal or record.levelno < logging.WARNING or not colours(sys.stderr):
            return shown
        return f"{RED if record.levelno >= logging.ERROR else YELLOW}{shown}{OFF}"


def shortened(record: logging.LogRecord) -> logging.LogRecord:
    """asyncio prints one for each connection that it can't accept."""
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, OSError) or error.errno not in _TOO_MANY_FILES:
        return record
    text = f"{record.getMessage().splitlines()[0]}: too many open files. `ulimit -n` raises the limit"
    return logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, text, (), None)
