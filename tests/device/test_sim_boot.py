"""The virtual board as a program: boot.py with the unmodified firmware, spoken to through its pipes and ptys."""

from __future__ import annotations

import os
import resource
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.charging import ROOT, charged_firmware
from tests.conftest import micropython

from kline.protocol.link import records
from kline.protocol.link.host_end import HostLink
from kline.protocol.link.link import OPEN

LIMIT_S = 20.0


CHIPS = ["", "160"]  # Python costs nothing; it costs what it does on a stock board


def command(*options: str, chip: str = "") -> tuple[list[str], dict[str, str]]:
    firmware = charged_firmware(ROOT / ".pytest_cache/charged") if chip else ROOT / "firmware"
    path = [str(ROOT / "boards/SIM/port"), str(ROOT / "boards/SIM"), str(firmware), ".frozen"]
    env = dict(os.environ, MICROPYPATH=":".join(path), OPENKLINE_CHIP=chip)
    return [micropython(), str(ROOT / "boards/SIM/boot.py"), *options], env


class Board:
    """boot.py with pipes, and the PC's Link on them."""

    def __init__(self, folder: Path, *options: str, chip: str = "") -> None:
        words, env = command("--flash", str(folder), *options, chip=chip)
        self.process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.frames: list[tuple[int, bytes]] = []
        self.text = bytearray()
        self.link = HostLink()
        self.link.on_record = self._record
        self.link.on_text = lambda buf, n: self.text.extend(bytes(buf[:n]))

    def _record(self, type: int, channel: int, buf: bytes, start: int, end: int) -> None:
        if type == records.FRAME:
            self.frames.append((int.from_bytes(buf[start : start + 4], "little"), bytes(buf[start + 5 : end])))

    def _write(self, buf: bytes, n: int) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(bytes(buf[:n]))
        self.process.stdin.flush()
        return n

    def run_until(self, condition: Callable[[], bool]) -> None:
        assert self.process.stdout is not None
        out = self.process.stdout.fileno()
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end, f"nothing in {LIMIT_S} s; text: {bytes(self.text)!r}"
            now = int(time.monotonic() * 1e6) & 0x3FFFFFFF
            self.link.pump(now, self._write, 4096)
            if select.select([out], [], [], 0.01)[0]:
                data = os.read(out, 4096)
                assert data, "the board ended"
                self.link.feed(data, len(data), now)

    def close(self) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        status = self.process.wait(LIMIT_S)
        self.process.stdout.close()
        return status


@pytest.mark.parametrize("chip", CHIPS)
def test_demo_car_reaches_a_link_on_the_other_side(tmp_path: Path, chip: str) -> None:
    board = Board(tmp_path / "flash", "--car", "demo", chip=chip)
    board.link.open(77)
    board.run_until(lambda: len(board.frames) >= 8)
    for _, frame in board.frames:
        x = 0
        for b in frame:
            x ^= b
        assert x == 0 and frame[1] == len(frame) - 2
    assert (tmp_path / "flash" / "board.json").exists()
    assert b"openkline" in board.text
    assert board.close() == 0


@pytest.mark.parametrize("chip", CHIPS)
def test_replay_waits_for_its_start_file_and_keeps_the_times(tmp_path: Path, chip: str) -> None:
    log = tmp_path / "capture.lines"
    gaps_us = (40_000, 25_000, 600_000)
    frame = bytes.fromhex("80 04 BF 11 01 2B")
    t = 0
    lines = []
    for gap in (0, *gaps_us):
        t += gap
        lines.append(f"{t} {frame.hex()}\n")
    log.write_text("".join(lines))
    go = tmp_path / "go"
    board = Board(tmp_path / "flash", "--replay", str(log), "--start-file", str(go), chip=chip)
    board.link.open(78)
    board.run_until(lambda: board.link.state == OPEN)
    assert not board.frames
    go.touch()
    board.run_until(lambda: len(board.frames) == 4)
    assert [f for _, f in board.frames] == [frame] * 4
    times = [t for t, _ in board.frames]
    for gap, first, second in zip(gaps_us, times, times[1:], strict=False):
        assert abs(((second - first) & 0x3FFFFFFF) - gap) <= 5_000
    board.close()


def test_wrong_options_are_named(tmp_path: Path) -> None:
    words, env = command("--colour", "red")
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == 2 and b"--colour" in done.stdout


@pytest.mark.parametrize(("call", "status"), [("reset", 75), ("soft_reset", 76)])
def test_reset_ends_the_process_with_its_status(tmp_path: Path, call: str, status: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import machine\nw.at(500_000, lambda _: w.post(lambda _: machine.{call}(), None))\n")
    flash = str(tmp_path / "flash")
    words, env = command("--flash", flash, "--clock", "virtual", "--for", "5", "--script", str(script))
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == status, done.stdout


def test_ctrl_c_in_the_boot_window_leads_to_the_repl(tmp_path: Path) -> None:
    words, env = command("--flash", str(tmp_path / "flash"))
    process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    assert b"openkline" in process.stdout.readline()
    process.stdin.write(b"\x03")
    process.stdin.flush()
    out = b""
    while b">>>" not in out:
        data = os.read(process.stdout.fileno(), 4096)
        assert data, out
        out += data
    assert b"openkline not started" in out
    # the REPL knows the board's machine, and its way out
    rest, _ = process.communicate(b"import machine; machine.reset()\r", LIMIT_S)
    assert process.returncode == 75, rest


def test_an_idle_board_needs_little_of_the_processor(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words, env = command("--flash", str(tmp_path / "flash"), "--for", "5", "--no-repl")
    subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{used / 5:.1%} of a core")
    assert used < 0.5, f"{used:.2f} s of processor time in 5 s"
