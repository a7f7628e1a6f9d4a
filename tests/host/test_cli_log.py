"""`openkline log` with files that others made: what reaches the terminal, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_cli import LINES, run


def written(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "some.log"
    path.write_bytes(data)
    return str(path)


def test_no_control_byte_of_a_file_reaches_the_terminal(tmp_path: Path) -> None:
    evil = b"\x1b]0;title\x07\x1b[2J\x1b[31mred\n"
    result = run("log", written(tmp_path, LINES + b"2010-Jul-20 10:07:01.5: " + evil + evil + LINES))
    assert result.exit_code == 0
    assert r"\x1b]0;title\x07" in result.stderr
    assert set(map(chr, range(32))) & set(result.output + result.stderr) == {"\n"}


def test_no_control_byte_of_a_files_name_reaches_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2Jb"
    path.write_bytes(b"no frame\n")
    result = run("log", str(path))
    assert result.exit_code == 1
    assert "\x1b" not in result.output + result.stderr and r"a\x1b[2Jb" in result.stderr


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"", 0, ""),
        (LINES, 0, ""),
        (LINES + b"torn\n", 0, "some.log:4: no frame in this line"),
        (b"IKE says hello\n", 1, "no frame found"),
        (LINES + b"words\n" * 4, 1, "more unreadable lines (4) than frames (3)"),
        (bytes(range(1, 256)), 1, "no frame found"),
    ],
)
def test_exit_status(tmp_path: Path, data: bytes, status: int, says: str) -> None:
    result = run("log", written(tmp_path, data), "--to", "gateway")
    assert result.exit_code == status
    assert says in result.stderr
    assert result.stdout_bytes == (LINES if data.startswith(LINES) else b"")


def test_text_is_taken_for_bytes_only_when_told(tmp_path: Path) -> None:
    path = written(tmp_path, b"hello, world\n" * 3)
    assert "no frame in this line" in run("log", path).stderr
    assert "39 bytes belong to no valid frame" in run("log", path, "--from", "raw").stderr


def test_times_since_a_start(tmp_path: Path) -> None:
    path = written(tmp_path, b"[44430] DEBUG: IBus: RX[6]: 80 04 BF 11 01 2B\r\n")
    assert run("log", path).stdout.split()[0] == "+44.430"
    as_json = run("log", path, "--json").stdout
    assert (json.loads(as_json)["time"], json.loads(as_json)["elapsed_s"]) == (None, 44.43)
    assert json.loads(run("log", "-", "--json", stdin=as_json.encode()).stdout) == json.loads(as_json)


def test_the_end_of_summer_time_is_no_negative_duration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    clocks = ("02:59:59.500000", "02:00:01")
    data = "".join(f"2026-Oct-25 {clock}: 80 04 BF 11 01 2B \n" for clock in clocks).encode()
    assert json.loads(run("log", written(tmp_path, data), "--stats", "--json").stdout)["seconds"] == 1.5
    monkeypatch.undo()
    time.tzset()
