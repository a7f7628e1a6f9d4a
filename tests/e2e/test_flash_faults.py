"""Boards that were flashed and do not start, take no files, reset meanwhile: each with its words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.flash_board import FlashBoard, program
from tests.e2e.flash_fronts import PtyFront

from openkline.device.port import port_for
from openkline.device.prompt import NoPrompt, reach_prompt
from openkline.flash import selftest
from openkline.flash.files import BoardFiles
from openkline.flash.trouble import FlashError


@pytest.fixture
def board(tmp_path: Path) -> Iterator[FlashBoard]:
    """A bare ESP32 on a serial port."""
    with FlashBoard(tmp_path, PtyFront()) as board:
        yield board


def prompt_error(board: FlashBoard, timeout_s: float = 10) -> str:
    with pytest.raises(NoPrompt) as caught:
        asyncio.run(reach_prompt(port_for(board.front.address), timeout_s))
    return str(caught.value)


def test_a_board_that_does_not_start_says_why(board: FlashBoard) -> None:
    assert "no program in its flash. Write it again" in prompt_error(board)
    program(board)
    board.complaint = b"\r\nBrownout detector was triggered\r\n\r\n"
    board.press_reset()
    assert "brown-out). Try a shorter cable" in prompt_error(board)
    board.complaint = b"Guru Meditation Error: Core 0 panic'ed (Cache disabled but cached memory region accessed)\r\n"
    board.press_reset()
    assert "starts again and again: the image is not for this module" in prompt_error(board)
    board.complaint = b"waiting for download\r\n"
    board.press_reset()
    assert "still in its boot loader. Press and release EN" in prompt_error(board)


def test_a_board_that_says_nothing(tmp_path: Path) -> None:
    front = PtyFront()
    try:
        with pytest.raises(NoPrompt, match=r"has said nothing within 1 s\. Press its EN"):
            asyncio.run(reach_prompt(port_for(front.address), 1))
    finally:
        front.close()


FAULTY_FILES = """
import builtins, errno
plain = builtins.open
def faulty(name, mode="r", *more):
    if "w" in mode and name.startswith("a/"):
        raise OSError(errno.{error} if hasattr(errno, "{error}") else {number}, "{error}")
    return plain(name, mode, *more)
builtins.open = faulty
"""


@pytest.mark.parametrize(
    ("error", "number", "words"),
    [
        ("ENOSPC", 28, "file system is full. Remove files from it, or make a new one: openkline flash --erase"),
        ("EROFS", 30, "file system is read-only or damaged. Make a new one: openkline flash --erase"),
    ],
)
def test_file_systems_that_take_nothing(board: FlashBoard, tmp_path: Path, error: str, number: int, words: str) -> None:
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY_FILES.format(error=error, number=number))
    program(board)
    board.options = ("--script", str(script))
    board.press_reset()
    asyncio.run(reach_prompt(port_for(board.front.address), 10))
    files = BoardFiles(board.front.address)
    with pytest.raises(FlashError, match=f"{words}.*while copying files"):
        files.put(files.look(), {"a/x.mpy": b"new"}, [], lambda *_: None)
    board.options = ()
    board.press_reset()
    asyncio.run(reach_prompt(port_for(board.front.address), 10))
    assert files.put(files.look(), {"a/x.mpy": b"new"}, [], lambda *_: None) == ["a/x.mpy"]
    assert (board.folder / "a" / "x.mpy").read_bytes() == b"new"


def test_a_damaged_board_json_is_replaced(board: FlashBoard) -> None:
    """One that is no text at all, as after a power cut."""
    program(board)
    board.press_reset()
    asyncio.run(reach_prompt(port_for(board.front.address), 10))
    (board.folder / "board.json").write_bytes(b"\xff\xfe{}")
    files = BoardFiles(board.front.address)
    seen = files.look()
    assert seen.sizes["board.json"] == 4 and seen.json("board.json") == {}
    files.replace("board.json", b"{}")
    assert files.look().texts == {"board.json": "{}"}


def test_a_board_that_resets_while_files_are_copied(board: FlashBoard) -> None:
    program(board)
    board.press_reset()
    asyncio.run(reach_prompt(port_for(board.front.address), 10))
    files = BoardFiles(board.front.address)
    wanted = {f"a/{number}.mpy": bytes([number]) * 1000 for number in range(4)}
    seen = files.look()
    board.reset_after(9_000)
    with pytest.raises(FlashError, match=r"run this again: it continues where it stopped.*while copying files"):
        files.put(seen, wanted, [], lambda *_: None)
    asyncio.run(reach_prompt(port_for(board.front.address), 10))
    written = files.put(files.look(), wanted, [], lambda *_: None)
    assert 0 < len(written) < 4
    assert {path: (board.folder / path).read_bytes() for path in wanted} == wanted


def test_an_application_that_does_not_start_is_told_by_its_error(
    board: FlashBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "_AFTER_ERROR_S", 0.5)
    program(board)
    board.folder.mkdir()
    (board.folder / "main.py").write_text("import kline.device.app\n")
    board.press_reset()
    with pytest.raises(FlashError, match="openkline does not answer; the board said: ImportError: no module named"):
        asyncio.run(selftest.self_test(port_for(board.front.address)))
