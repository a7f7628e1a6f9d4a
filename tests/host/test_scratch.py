"""Folders for a short time: gone with their program, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from openkline.scratch import Scratch

HOLD = """
import sys
from openkline.scratch import Scratch
scratch = Scratch()
print(scratch.folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def old(folder: Path) -> None:
    os.utime(folder / ".lock", (time.time() - 100, time.time() - 100))


def test_it_is_gone_at_the_end(place: Path) -> None:
    with Scratch() as folder:
        (folder / "sub").mkdir()
        assert folder.parent == place
    assert not list(place.iterdir())


def test_what_a_killed_program_left_goes_with_the_next_and_a_living_ones_stays(place: Path) -> None:
    programs = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = [Path(program.stdout.readline().strip()) for program in programs if program.stdout]
    for folder in folders:
        old(folder)
        (folder / "flash").mkdir()
        (folder / "flash" / "main.py").write_text("x")
    programs[0].send_signal(signal.SIGKILL)
    programs[0].wait()
    with Scratch() as mine:
        assert set(place.iterdir()) == {folders[1], mine}
    programs[1].communicate("")


def test_nothing_but_our_own_old_folders_is_removed(place: Path) -> None:
    other = place / "elsewhere"
    other.mkdir()
    (other / ".lock").touch()
    old(other)
    (place / "openkline-abcdefgh").symlink_to(other)
    for name in ("openkline-bcdefghi", "openkline-x", "openkline-abcdefgh.bin"):
        (place / name).mkdir()
    young = place / "openkline-cdefghij"
    young.mkdir()
    (young / ".lock").touch()
    linked = place / "openkline-defghijk"
    linked.mkdir()
    (linked / ".lock").symlink_to(other / ".lock")
    before = set(place.rglob("*"))
    Scratch().close()
    assert set(place.rglob("*")) == before
    old(young)
    Scratch().close()
    assert not young.exists()
