"""Writing while the bus runs: rotation, torn lines, full disks, slow readers. Nothing of it may stop the bus."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openkline.bus import BusFrame
from openkline.log.files import _QUEUE, FdSink, FrameLog, LogFile
from openkline.log.messages import MessageLog, TimedLines, as_line

FRAME = BusFrame(1_279_613_220.5, bytes.fromhex("C0 04 68 32 11 8F"))


def render(frame: BusFrame) -> bytes:
    return frame.data.hex().encode() + b"\n"


LINE = render(FRAME)


def eventually(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


class Blocked:
    """A sink that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.lines = 0

    def write(self, data: bytes) -> None:
        self.go.wait(20)
        self.lines += 1

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


class Failing(Blocked):
    """A disk that is full until it isn't."""

    error: OSError | None = OSError(errno.ENOSPC, "No space left on device")

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.lines += 1


def test_frames_are_in_the_file_after_close(tmp_path: Path) -> None:
    path = tmp_path / "ibus.log"
    frame_log = FrameLog(LogFile(path), render)
    for _ in range(500):
        frame_log(FRAME)
    frame_log.close()
    assert path.read_bytes() == LINE * 500
    assert (frame_log.written, frame_log.dropped, frame_log.failed) == (500, 0, 0)


def test_rotation_by_size_keeps_every_line_once(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "ibus.log", max_bytes=10 * len(LINE), keep=3)
    for n in range(35):
        file.write(b"%02d" % n + LINE[2:])
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ibus.log", "ibus.log.1", "ibus.log.2", "ibus.log.3"]
    kept = b"".join((tmp_path / f"ibus.log{end}").read_bytes() for end in (".3", ".2", ".1", ""))
    assert [int(line[:2]) for line in kept.splitlines()] == list(range(35))


def test_oldest_files_go_away(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "ibus.log", max_bytes=len(LINE), keep=2)
    for _ in range(10):
        file.write(LINE)
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ibus.log", "ibus.log.1", "ibus.log.2"]


def test_a_file_that_cannot_be_rotated_grows_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, blocked = tmp_path / "ibus.log", tmp_path / "ibus.log.1"
    blocked.mkdir()
    monkeypatch.setattr("openkline.log.files._RETRY_ROTATION_S", 0.0)
    file = LogFile(path, max_bytes=2 * len(LINE), keep=1)
    for _ in range(10):
        file.write(LINE)
    assert path.read_bytes() == LINE * 10
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "can't be rotated" in caplog.text and "ibus.log.1" in caplog.text
    blocked.rmdir()
    file.write(LINE)
    file.close()
    assert (blocked.read_bytes(), path.read_bytes()) == (LINE * 10, LINE)


def test_what_cannot_be_rotated_is_not_tried_with_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ibus.log.1").mkdir()
    tries: list[Path] = []
    replace = Path.replace

    def counted(path: Path, to: Path) -> Path:
        tries.append(path)
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", counted)
    file = LogFile(tmp_path / "ibus.log", max_bytes=len(LINE), keep=1)
    for _ in range(10):
        file.write(LINE)
    file.close()
    assert len(tries) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size to be had")
def test_a_disk_that_was_full_costs_one_torn_line(tmp_path: Path) -> None:
    """The line that was torn ends before the next begins, even if the disk was still full when that was tried."""
    import resource

    path = tmp_path / "ibus.log"
    file = LogFile(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * len(LINE) + 5, hard))
    try:
        for _ in range(3):
            file.write(LINE)
        for _ in range(3):
            with pytest.raises(OSError, match=r"bytes written|too large"):
                file.write(LINE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file.write(LINE)
    file.close()
    assert path.read_bytes() == LINE * 3 + LINE[:5] + b"\n" + LINE


def test_a_torn_last_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "ibus.log"
    path.write_bytes(LINE + LINE[:5])
    file = LogFile(path)
    file.write(LINE)
    file.close()
    assert path.read_bytes() == LINE + LINE[:5] + b"\n" + LINE


def test_reopen_follows_the_name(tmp_path: Path) -> None:
    path = tmp_path / "ibus.log"
    frame_log = FrameLog(LogFile(path), render)
    frame_log(FRAME)
    eventually(lambda: frame_log.written == 1)
    path.rename(tmp_path / "moved.log")
    frame_log.reopen()
    frame_log(FRAME)
    frame_log.close()
    assert (tmp_path / "moved.log").read_bytes() == LINE
    assert path.read_bytes() == LINE


def test_a_slow_sink_costs_frames_in_the_log_only() -> None:
    sink = Blocked()
    frame_log = FrameLog(sink, render)
    begun_s = time.monotonic()
    for _ in range(_QUEUE + 1000):
        frame_log(FRAME)
    assert time.monotonic() - begun_s < 5
    assert 998 <= frame_log.dropped <= 1000
    sink.go.set()
    frame_log.close(20)
    assert frame_log.written + frame_log.dropped == _QUEUE + 1000


def test_a_full_disk_is_counted_and_writing_resumes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("openkline.log.files._RETRY_S", 0.0)
    sink = Failing()
    frame_log = FrameLog(sink, render, "ibus.log")
    for _ in range(20):
        frame_log(FRAME)
    eventually(lambda: frame_log.failed == 20)
    sink.error = None
    frame_log(FRAME)
    frame_log.close()
    assert (sink.lines, frame_log.written) == (1, 1)
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2, "once when it begins, once when it ends"
    assert "No space left" in messages[0]
    assert "20 lines are missing" in messages[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_dev_full() -> None:
    frame_log = FrameLog(LogFile(Path("/dev/full")), render)
    for _ in range(5):
        frame_log(FRAME)
    frame_log.close()
    assert (frame_log.written, frame_log.failed) == (0, 5)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo terminals")
def test_a_closed_terminal_is_as_a_closed_pipe() -> None:
    terminal, slave = os.openpty()
    told: list[int] = []
    frame_log = FrameLog(FdSink(slave), render, "stdout", lambda: told.append(1))
    frame_log(FRAME)
    eventually(lambda: frame_log.written == 1)
    os.close(terminal)
    frame_log(FRAME)
    frame_log.close()
    os.close(slave)
    assert told == [1]
    assert frame_log.stats()["state"] == "closed"


def test_a_closed_pipe_is_told_once() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    told: list[int] = []
    frame_log = FrameLog(FdSink(writer), render, "stdout", lambda: told.append(1))
    for _ in range(10):
        frame_log(FRAME)
    frame_log.close()
    os.close(writer)
    assert told == [1]
    assert frame_log.failed == 10


def test_messages_go_to_a_file_as_frames_do(tmp_path: Path) -> None:
    """With rotation and all."""
    path = tmp_path / "messages.log"
    writer = FrameLog(LogFile(path, max_bytes=400), as_line, "messages")
    handler = MessageLog(writer)
    handler.setFormatter(TimedLines())
    logger = logging.getLogger("openkline.test_messages")
    logger.addHandler(handler)
    try:
        for n in range(20):
            logger.warning("message %d of \N{LATIN SMALL LETTER O WITH DIAERESIS}", n)
    finally:
        logger.removeHandler(handler)
    writer.close()
    text = b"".join((tmp_path / f"messages.log{end}").read_bytes() for end in (".2", ".1", "")).decode("utf-8")
    assert [line.partition(": ")[2] for line in text.splitlines()] == [f"message {n} of \u00f6" for n in range(20)]
    assert writer.written == 20
