"""What goes to the virtual board when a log is played: which frames, when, and how early the first."""

from __future__ import annotations

import gzip
import logging
import os
import threading
from datetime import datetime
from pathlib import Path

import pytest

from openkline.device.replay import Replay, ReplayOptions, Timeline, start_test
from openkline.errors import OptionError
from openkline.log.formats import LogFrame

from .openbm.raw import until

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "logs"
FRAME = bytes.fromhex("80 04 BF 11 01 2B")
NIGHT = [
    (datetime(2026, 11, 20, 18, 0, 0, 500_000), ""),
    (datetime(2026, 11, 20, 18, 0, 1, 500_000), "> "),
    (datetime(2026, 11, 21, 7, 0, 0, 500_000), ""),
    (datetime(2026, 11, 21, 7, 0, 3), ""),
]


def gateway_log(frames: list[tuple[datetime, str]]) -> bytes:
    form = "%Y-%b-%d %H:%M:%S.%f: "
    return "".join(f"{at.strftime(form)}{FRAME.hex(' ').upper()} {own}\n" for at, own in frames).encode()


def played(path: Path, **options: object) -> list[tuple[int | None, bytes]]:
    """All that the board would be given, by a board that takes it at once."""
    replay = Replay(ReplayOptions(path, **options))  # type: ignore[arg-type]
    board = os.dup(replay.fd)
    replay.start()
    with os.fdopen(board, "rb") as pipe:
        lines = []
        while (line := pipe.readline()) not in (b"end\n", b""):
            lines.append(line.split())
    return [(None if us == b"-" else int(us), bytes.fromhex(data.decode())) for us, data in lines]


@pytest.fixture
def night(tmp_path: Path) -> Path:
    path = tmp_path / "night.log"
    path.write_bytes(gateway_log(NIGHT))
    return path


def times(path: Path, **options: object) -> list[int | None]:
    return [us for us, _ in played(path, **options)]


def test_dates_and_own_frames_are_kept(night: Path) -> None:
    assert played(night) == [(us, FRAME) for us in (0, 1_000_000, 46_800_000_000, 46_802_500_000)]


def test_a_long_silence_is_cut_and_time_goes_faster(night: Path) -> None:
    assert times(night, max_gap_s=5) == [0, 1_000_000, 6_000_000, 8_500_000]
    assert times(night, max_gap_s=5, speed=10) == [0, 100_000, 600_000, 850_000]
    assert times(night, max_gap_s=2.5, speed=0.5) == [0, 2_000_000, 7_000_000, 12_000_000]


@pytest.mark.parametrize(
    ("from_time", "count"),
    [("18:00", 4), ("18:00:01", 3), ("18:00:02", 0), ("07:00", 4), ("2026-11-21", 2), ("2026-11-21T07:00:01", 1)],
)
def test_it_begins_at_a_time(night: Path, from_time: str, count: int) -> None:
    got = times(night, from_time=from_time)
    assert len(got) == count and (not got or got[0] == 0)


@pytest.mark.parametrize("text", ["25:00", "18:60", "now", "18", "18:00:61", "2026-13-01"])
def test_a_time_that_is_none(text: str) -> None:
    with pytest.raises(OptionError, match="from_time"):
        start_test(text)


@pytest.mark.parametrize(
    "wrong", [{"speed": 0.0}, {"speed": float("nan")}, {"max_gap_s": -1.0}, {"max_gap_s": float("nan")}]
)
def test_numbers_that_can_not_be(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        ReplayOptions(tmp_path, **wrong)  # type: ignore[arg-type]


def test_a_clock_that_was_set_back_is_no_reason_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "two.log"
    path.write_bytes(gateway_log([*NIGHT[:2], *NIGHT[:2]]))
    assert times(path) == [0, 1_000_000, 1_000_000, 2_000_000]


def test_frames_without_times_are_some_way_apart(tmp_path: Path) -> None:
    path = tmp_path / "hex.txt"
    path.write_text("8004bf11012b\n" * 3)
    first, second, third = times(path)
    assert first == 0 and second == third - second == 10_000 + 6 * 1146  # type: ignore[operator]


def test_the_wires_own_bytes_come_as_they_are(tmp_path: Path) -> None:
    raw = bytes(range(256)) * 3
    path = tmp_path / "capture.bin"
    path.write_bytes(raw)
    got = played(path)
    assert b"".join(data for _, data in got) == raw and {us for us, _ in got} == {None}


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize(
    "name", ["navcoder-us.log", "gateway-level0.log", "gateway-torn-first-line.log", "hex-csv.txt"]
)
def test_any_form_is_played(name: str) -> None:
    expected = [bytes.fromhex(line) for line in (CASES / "hex-dense.txt").read_text().split()]
    assert [data for _, data in played(CASES / name)] == expected


def test_a_large_log_begins_at_once_and_is_not_held_in_memory(tmp_path: Path) -> None:
    """The pipe holds the reader back: when the first line is here, most of the file has not been read."""
    count = 100_000
    path = tmp_path / "large.log.gz"
    path.write_bytes(gzip.compress(gateway_log(NIGHT[:1]) * count, 1))
    replay = Replay(ReplayOptions(path))
    board = os.dup(replay.fd)
    replay.start()
    with os.fdopen(board, "rb") as pipe:
        assert pipe.readline() == b"0 " + FRAME.hex().encode() + b"\n"
        assert 0 < replay.frames < count / 2
    replay._thread.join(10)
    assert not replay._thread.is_alive(), "the board has gone: nothing more is read"


async def test_its_end_is_told_when_the_board_has_played_it(night: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openkline.replay")
    logging.getLogger("openkline").propagate = True
    night.write_bytes(night.read_bytes() + b"torn\n")
    replay = Replay(ReplayOptions(night, max_gap_s=1, speed=1000))
    board = os.dup(replay.fd)
    replay.start()
    with os.fdopen(board, "rb") as pipe:
        while pipe.readline() != b"end\n":
            pass
        assert not caplog.messages
    await until(lambda: bool(caplog.messages))
    assert "is over: 4 frames; 1 line could not be read" in caplog.messages[0]
    assert "behind the log's times" not in caplog.messages[0]


def test_where_the_wire_is_too_slow_that_is_measured(tmp_path: Path) -> None:
    timeline = Timeline(ReplayOptions(tmp_path, speed=100))
    for i in range(100):
        timeline.place(LogFrame(i * 0.1, FRAME))
    # Each frame takes 6 bytes and the least gap; the log leaves it 1 ms.
    assert timeline.late_us == pytest.approx(99 * (6 * 1146 + 200 - 1000) + 6 * 1146 + 200, abs=2000)


def test_again_and_again(night: Path) -> None:
    replay = Replay(ReplayOptions(night, max_gap_s=1, loop=True))
    board = os.dup(replay.fd)
    replay.start()
    with os.fdopen(board, "rb") as pipe:
        got = [int(pipe.readline().split()[0]) for _ in range(9)]
    assert got[4] - got[3] == pytest.approx(1_000_000, abs=20_000)
    assert [us - got[4] for us in got[4:8]] == got[:4]


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("openkline").propagate = True
    replay = Replay(ReplayOptions(tmp_path / "none.log"))
    replay.start()
    replay._thread.join(10)
    assert "can't be played" in caplog.text
    assert threading.active_count() < 50
