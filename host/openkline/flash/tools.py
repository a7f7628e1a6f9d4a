"""esptool and mpremote as programs of their own: started with this Python, what they print read line by line.

They are never imported: esptool is under the GPL, and mpremote declares its library unstable.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from openkline.flash.trouble import FlashError
from openkline.programs import python_program

_KEEP = 400  # lines
# Text that is no terminal's: without colours, and wide enough that no line is broken.
_PLAIN = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "COLUMNS": "200"}
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Finished:
    """status: the program's exit status, None when it was ended because it took too long; text: all that it said."""

    status: int | None
    text: str

    @property
    def ok(self) -> bool:
        return self.status == 0


def run(tool: str, words: list[str], timeout_s: float, on_line: Callable[[str], None] | None = None) -> Finished:
    """Run `python -m tool words`. OpenklineError: it is not installed, or can't be started."""
    command, environment = python_program(tool, *words)
    try:
        process = subprocess.Popen(
            command,
            env=environment | _PLAIN,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise FlashError(f"{tool} can't be started: {error}") from error
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(timeout_s, end)
    timer.start()
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in _lines(process.stdout):
            lines.append(line)
            del lines[:-_KEEP]
            if on_line is not None:
                on_line(line)
        status = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    return Finished(None if late.is_set() else status, "\n".join(lines))


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines as they come; a progress bar's, which end with a carriage return, too."""
    pending = b""
    while chunk := os.read(stream.fileno(), 4096):
        *whole, pending = re.split(rb"[\r\n]+", pending + chunk)
        yield from (_plain(line) for line in whole if line.strip())
    if pending.strip():
        yield _plain(pending)


def _plain(line: bytes) -> str:
    return _COLOUR.sub("", line.decode("utf-8", "replace")).rstrip()
