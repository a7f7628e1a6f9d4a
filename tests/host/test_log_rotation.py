"""Rotation by time: how old a log is, whatever its first line, the restarts since, and what the clock does."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from openkline.bus import BusFrame
from openkline.log.files import LogFile
from openkline.log.formats import GatewayFormat
from openkline.log.json_lines import JsonLines
from openkline.log.messages import TimedLines, as_line

FRAME = BusFrame(1_279_613_220.5, bytes.fromhex("C0 04 68 32 11 8F"))
LINE = b"c0046832118f\n"


def test_rotation_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("openkline.log.files.time.time", lambda: now_s)
    file = LogFile(tmp_path / "ibus.log", max_age_s=60)
    file.write(LINE)
    now_s += 59
    file.write(LINE)
    now_s += 2
    file.write(LINE)
    file.close()
    assert (tmp_path / "ibus.log.1").read_bytes() == LINE * 2
    assert (tmp_path / "ibus.log").read_bytes() == LINE


def test_rotation_by_time_outlives_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer in a car runs for half an hour at a time: its log of a day is as old as its first line."""
    path, written, now_s = tmp_path / "ibus.log", GatewayFormat(), FRAME.time
    monkeypatch.setattr("openkline.log.files.time.time", lambda: now_s)
    for _ in range(5):
        file = LogFile(path, max_age_s=3600)
        file.open()
        file.write(written.write(BusFrame(now_s, FRAME.data)))
        file.close()
        now_s += 1000
    assert [len((tmp_path / name).read_bytes().splitlines()) for name in ("ibus.log.1", "ibus.log")] == [4, 1]


@pytest.mark.parametrize("formatter", [TimedLines(), JsonLines()], ids=["plain", "json"])
def test_rotation_by_time_outlives_restarts_with_messages_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formatter: logging.Formatter
) -> None:
    path, now_s = tmp_path / "messages.log", FRAME.time
    monkeypatch.setattr("openkline.log.files.time.time", lambda: now_s)
    for _ in range(5):
        file = LogFile(path, max_age_s=3600)
        file.open()
        file.write(as_line(formatter.format(logging.makeLogRecord({"msg": "board: hello", "created": now_s}))))
        file.close()
        now_s += 1000
    assert [len((tmp_path / name).read_bytes().splitlines()) for name in ("messages.log.1", "messages.log")] == [4, 1]


@pytest.mark.parametrize(
    "first",
    [
        b"rubbish\n",
        b"2010-Foo-20 10:07:00: C0\n",
        b'{"time": NaN}\n',
        b'{"time": "x"}\n',
        b"[1]\n",
        b"7\n",
        b"\xff\0\n",
    ],
)
def test_a_first_line_without_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    """The next one that has a time tells the age; without any, the file is as old as its opening."""
    path, line, now_s = tmp_path / "ibus.log", GatewayFormat().write(FRAME), FRAME.time + 3599
    monkeypatch.setattr("openkline.log.files.time.time", lambda: now_s)
    for head, more_s in ((first + line, 1), (first, 3600)):
        path.write_bytes(head)
        now_s = FRAME.time + 3599
        file = LogFile(path, max_age_s=3600)
        file.open()
        now_s += more_s - 0.5
        file.write(line)
        assert path.read_bytes() == head + line
        now_s += 0.5
        file.write(line)
        file.close()
        assert path.read_bytes() == line


def test_an_empty_file_does_not_grow_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("openkline.log.files.time.time", lambda: now_s)
    file = LogFile(tmp_path / "ibus.log", max_age_s=60)
    file.open()
    now_s += 1000
    file.write(LINE)
    now_s += 59
    file.write(LINE)
    file.close()
    assert (tmp_path / "ibus.log").read_bytes() == LINE * 2


def test_a_clock_that_is_set_back_does_not_end_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wall_s, monotonic_s = 2e9, 5.0
    monkeypatch.setattr("openkline.log.files.time.time", lambda: wall_s)
    monkeypatch.setattr("openkline.log.files.time.monotonic", lambda: monotonic_s)
    file = LogFile(tmp_path / "ibus.log", max_age_s=60)
    file.write(LINE)
    wall_s -= 1e9
    monotonic_s += 59
    file.write(LINE)
    monotonic_s += 1
    file.write(LINE)
    file.close()
    assert (tmp_path / "ibus.log.1").read_bytes() == LINE * 2
    assert (tmp_path / "ibus.log").read_bytes() == LINE


def test_a_computer_that_begins_in_1970_does_not_rotate_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a clock of its own it learns the time from the network, after the bridge has begun."""
    path, line, now_s = tmp_path / "ibus.log", GatewayFormat().write(FRAME), FRAME.time
    path.write_bytes(line)
    monkeypatch.setattr("openkline.log.files.time.time", lambda: now_s)
    file, now_s = LogFile(path, max_age_s=3600), 0.0
    file.open()
    file.write(line)
    now_s = FRAME.time + 3000
    file.write(line)
    assert path.read_bytes() == line * 3
    now_s = FRAME.time + 3601
    file.write(line)
    file.close()
    assert path.read_bytes() == line
