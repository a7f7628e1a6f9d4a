"""Writing frames while the bus runs: never blocking the bridge, never ending it.

Formatting and writing happen in a thread of their own behind a bounded queue: a slow disk, or a terminal on which
somebody pressed Ctrl-S, costs frames in the log (counted), not frames on TCP. A whole line goes to the operating
system in one write, so kill -9 tears one line at most; the next start begins on a new line.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from openkline.log.text import MAX_LINE, time_of
from openkline.words import plural

log = logging.getLogger("openkline.log")

_QUEUE = 8192
_RETRY_S = 5.0
_RETRY_ROTATION_S = 60.0

T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol):
    """Where bytes go. write() may block, raises OSError; it is called from the writing thread only."""

    def write(self, data: bytes) -> None: ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class LogFile:
    """A file with rotation: FILE -> FILE.1 -> .. -> FILE.keep, when it reaches max_bytes or is max_age_s old.

    A file is as old as its first line, so rotation by time outlives restarts; a clock that was set back doesn't keep
    one for longer than max_age_s after it was opened. Where it can't be rotated (somebody's folder is called FILE.1,
    ..), it grows, with a warning, and tries again after a minute.
    """

    def __init__(self, path: Path, max_bytes: int = 0, max_age_s: float = 0.0, keep: int = 5) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.keep = max(keep, 1)
        self.rotations = 0
        self._fd = -1
        self._size = 0
        self._torn = False
        self._began_s = 0.0
        self._opened_s = 0.0  # monotonic
        self._rotate_again_s = 0.0

    def open(self) -> None:
        """OSError: it can't be written. Called by write() too, but here a wrong path shows at once."""
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        self._size = os.fstat(self._fd).st_size
        self._torn = False
        self._begin()
        if self._size:
            with contextlib.suppress(OSError):
                os.lseek(self._fd, -1, os.SEEK_END)
                self._torn = os.read(self._fd, 1) != b"\n"
                os.lseek(self._fd, 0, os.SEEK_SET)
                self._began_s = first_time(os.read(self._fd, MAX_LINE), self._began_s)

    def write(self, data: bytes) -> None:
        if self._fd < 0:
            self.open()
        elif self._is_due(len(data)):
            self._rotate()
        if not self._size:
            self._begin()
        if self._torn:
            data = b"\n" + data  # in one write with the line: on a full disk both fail, and are tried again
        written = os.write(self._fd, data)
        self._size += written
        if written < len(data):
            self.close()  # the disk is full in the middle of a line; the next open() sees that
            raise OSError(f"{self.path}: only {written} of {plural(len(data), 'byte')} written")
        self._torn = False

    def _begin(self) -> None:
        self._began_s, self._opened_s = time.time(), time.monotonic()

    def _is_due(self, more: int) -> bool:
        if not self._size or time.monotonic() < self._rotate_again_s:
            return False
        if self.max_bytes and self._size + more > self.max_bytes:
            return True
        if not self.max_age_s:
            return False
        return max(time.time() - self._began_s, time.monotonic() - self._opened_s) >= self.max_age_s

    def _rotate(self) -> None:
        self.close()
        try:
            for n in range(self.keep - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._numbered(n).replace(self._numbered(n + 1))
            with contextlib.suppress(FileNotFoundError):
                self.path.replace(self._numbered(1))
            self.rotations += 1
            self._rotate_again_s = 0.0
        except OSError as error:
            if not self._rotate_again_s:
                log.warning("%s can't be rotated, and grows: %s", self.path, error)
            self._rotate_again_s = time.monotonic() + _RETRY_ROTATION_S
        self.open()

    def _numbered(self, n: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{n}")

    def reopen(self) -> None:
        """Somebody (logrotate) moved the file away."""
        self.close()
        self.open()

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def first_time(head: bytes, otherwise: float) -> float:
    """Unix seconds of the first line that tells its time in a log that begins with `head`; `otherwise` without one."""
    for line in head.splitlines():
        if (at := time_of(line.decode("utf-8", "replace"))) is not None:
            return at
    return otherwise


class FdSink:
    """stdout, or any open descriptor. A terminal that has been closed is like a pipe whose reader has gone."""

    def __init__(self, fd: int = 1) -> None:
        self.fd = fd
        self._is_terminal = os.isatty(fd)

    def write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError as error:
            if self._is_terminal and error.errno == errno.EIO:
                raise BrokenPipeError(*error.args) from error
            raise

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


class FrameLog(Generic[T_contra]):
    """A subscriber of the bus that writes each frame with `render` to `sink`, from a thread of its own.

    What it is given is a BusFrame; or a str, for messages instead of frames.

    Counters: written; dropped (queue full); failed (the sink refused: full disk, closed pipe).
    """

    def __init__(
        self,
        sink: Sink,
        render: Callable[[T_contra], bytes],
        name: str = "log",
        on_broken_pipe: Callable[[], None] | None = None,
    ) -> None:
        """on_broken_pipe is called once, from the writing thread."""
        self.written = self.dropped = self.failed = 0
        self._on_broken_pipe = on_broken_pipe
        self._sink = sink
        self._render = render
        self._name = name
        self._queue: queue.Queue[T_contra | None] = queue.Queue(_QUEUE)
        self._reopen = False
        self._retry_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"openkline {name}", daemon=True)
        self._thread.start()

    def __call__(self, frame: T_contra) -> None:
        try:
            self._queue.put_nowait(frame)
        except queue.Full:
            self.dropped += 1

    @property
    def is_alive(self) -> bool:
        """Whether the writing thread runs: until close(), unless an error of ours ended it."""
        return self._thread.is_alive()

    def stats(self) -> dict[str, object]:
        """Plain values; state: writing, failing (the sink refused: tried again) or closed (a pipe's reader went)."""
        state = "writing" if not self._retry_s else "closed" if self._retry_s == float("inf") else "failing"
        return {
            "name": self._name,
            "state": state,
            "waiting": self._queue.qsize(),
            "written": self.written,
            "dropped": self.dropped,
            "failed": self.failed,
        }

    def reopen(self) -> None:
        """SIGHUP: before the next frame, close the file and open it by its name again."""
        self._reopen = True

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, for at most timeout_s, and end the thread."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=timeout_s)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (frame := self._queue.get()) is not None:
            self._write(frame)
        with contextlib.suppress(OSError):
            self._sink.close()

    def _write(self, frame: T_contra) -> None:
        if time.monotonic() < self._retry_s:
            self.failed += 1
            return
        try:
            if self._reopen:
                self._reopen = False
                self._sink.reopen()
            self._sink.write(self._render(frame))
            self.written += 1
            if self._retry_s:
                self._retry_s = 0.0
                log.warning(
                    "%s: writing again, %s", self._name, plural(self.failed, "line is missing", "lines are missing")
                )
        except BrokenPipeError:
            self.failed += 1
            self._retry_s = float("inf")
            if self._on_broken_pipe is not None:
                self._on_broken_pipe()
        except OSError as error:
            self.failed += 1
            if not self._retry_s:
                log.error("%s: %s; the bridge goes on without this log until it can be written", self._name, error)
            self._retry_s = time.monotonic() + _RETRY_S
