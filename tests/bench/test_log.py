"""Reading logs: lines a second beside the least that Python can do with them, memory, and how soon a replay begins."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from openkline.device.replay import Replay, ReplayOptions

LINE = "2010-Jul-23 11:%02d:%02d.%06d: 80 05 BF 18 05 10 37 \n"
NAVCODER = "10/13/2011 9:%02d:%02d PM.%03d:  80 05 BF 18 05 10 37\r\n"

READ = """
import resource, sys, time
from openkline.log.reader import read_frames
begun = time.process_time()
with open(sys.argv[1], "rb") as file:
    n = sum(1 for _ in read_frames(file, print))
print(n, time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
PLAIN = """
import resource, sys, time
import openkline.log.reader
begun = time.process_time()
with open(sys.argv[1], encoding="utf-8") as file:
    n = sum(1 for line in file if bytes.fromhex(line.split(": ")[-1].split(":  ")[-1]))
print(n, time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write(path: Path, form: str, lines: int) -> Path:
    scale = 1000 if form is NAVCODER else 1_000_000
    with path.open("w", newline="") as file:
        for i in range(lines):
            file.write(form % (i // 3600 % 60, i // 60 % 60, i * 16_667 % scale))
    return path


def measured(code: str, path: Path) -> tuple[int, float, int]:
    words = [sys.executable, "-c", code, str(path)]
    n, seconds, kib = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return int(n), float(seconds), int(kib)


@pytest.mark.parametrize(("name", "form"), [("gateway", LINE), ("navcoder", NAVCODER)])
def test_lines_a_second_and_memory(tmp_path: Path, name: str, form: str) -> None:
    """A log of 100 MB takes no more memory than one of a tenth."""
    small, large = (write(tmp_path / f"{n}.log", form, n) for n in (180_000, 1_800_000))
    n, seconds, kib = measured(READ, large)
    _, least_s, _ = measured(PLAIN, large)
    small_kib = measured(READ, small)[2]
    print(
        f"{name}: {large.stat().st_size / 1e6:.0f} MB, {n / seconds:,.0f} lines a second, {seconds / least_s:.1f} "
        f"times the least that Python needs; {kib / 1024:.1f} MiB of memory, {small_kib / 1024:.1f} MiB with a tenth"
    )
    assert n == 1_800_000
    assert kib < small_kib + 8192


def first_line_s(path: Path) -> float:
    replay = Replay(ReplayOptions(path))
    board = os.dup(replay.fd)
    begun_s = time.perf_counter()
    replay.start()
    with os.fdopen(board, "rb") as pipe:
        assert pipe.readline()
        return time.perf_counter() - begun_s


def test_a_replay_begins_as_soon_whatever_the_files_size(tmp_path: Path) -> None:
    sizes: dict[str, Callable[[], Path]] = {
        "a thousand lines": lambda: write(tmp_path / "a.log", LINE, 1000),
        "1.8 million lines": lambda: write(tmp_path / "b.log", LINE, 1_800_000),
    }
    took_s = {name: min(first_line_s(path) for _ in range(5)) for name, path in ((n, f()) for n, f in sizes.items())}
    for name, seconds in took_s.items():
        print(f"first frame of a replay of {name}: {seconds * 1000:.1f} ms")
