"""A person who flashes the board of flash_board.py, and what can go wrong meanwhile."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from tests.e2e import esp_image
from tests.e2e.flash_board import FlashBoard

from openkline.flash.flasher import STEPS, Done, Flasher
from openkline.flash.plan import Wishes
from openkline.flash.progress import Progress

BOARDS = {"esp32": "ESP32_GENERIC", "esp32s3": "ESP32_GENERIC_S3", "esp32c3": "ESP32_GENERIC_C3"}


def image_for(board: FlashBoard, folder: Path) -> Path:
    path = folder / f"{BOARDS[board.chip]}-20260101-v1.28.0.bin"
    if not path.exists():
        path.write_bytes(esp_image.merged(board.chip, board.offset))
    return path


class Person(Progress):
    """Reads what is said, and presses the buttons of a board whose port has no control lines."""

    def __init__(self, board: FlashBoard) -> None:
        self.said = io.StringIO()
        super().__init__(STEPS, Console(file=self.said))
        self.board = board

    def say(self, text: str) -> None:
        super().say(text)
        if "button now" in text:
            self.board.press_reset()


def flash(there: FlashBoard, folder: Path, **wishes: object) -> tuple[Done, str]:
    person = Person(there)
    given = {"device": there.front.address, "firmware": image_for(there, folder), "interface": "ibus-pc817"} | wishes
    done = Flasher(Wishes(**given), person, lambda question, lines: None).run()  # type: ignore[arg-type]
    return done, person.said.getvalue()


def into_boot_loader(board: FlashBoard) -> None:
    """Plugged in, BOOT held, EN pressed and released, BOOT let go."""
    board.unplugged = False
    board.hold_boot = True
    board.press_reset()
    board.hold_boot = False


# Each with the words that a person reads. Until the last but one nothing on the board has changed.
FAULTS = {
    "no boot mode": "does not enter its boot loader: hold the board's BOOT button",
    "port busy": r"in use by cat \(pid \d+\)\. End that program, then run this again",
    "wrong chip": "the chip is an ESP32, but ESP32_GENERIC_S3 has an ESP32-S3",
    "wrong image": "is for the chip ESP32-S3, but the board has an ESP32",
    "digest": "its application is damaged: its SHA-256 digest does not match",
    "worn flash": "what was written is not what the flash holds.*while writing MicroPython",
    "brown-out": r"voltage falls too low as it starts \(brown-out\)\. Try a shorter cable",
}


@contextmanager
def fault(name: str, board: FlashBoard, folder: Path) -> Iterator[dict[str, object]]:
    """While it lasts; what is asked for meanwhile."""
    image = bytearray(image_for(board, folder).read_bytes())
    bad = folder / "bad.bin"
    if name == "no boot mode":
        board.ignores_boot = True
        yield {}
        board.ignores_boot = False
    elif name == "port busy":
        port = os.open(board.front.address, os.O_RDWR | os.O_NOCTTY)
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[port]) as other:
            os.close(port)
            yield {}
            assert other.stdin is not None
            other.stdin.close()
    elif name == "wrong chip":
        yield {"board": "ESP32_GENERIC_S3"}
    elif name == "worn flash":
        board.flash.bad_at = 0x12000
        yield {}
        board.flash.bad_at = None
    elif name == "brown-out":
        board.complaint = b"\r\nBrownout detector was triggered\r\n\r\n"
        yield {}
        board.complaint = b""
    else:
        image[-1] ^= 1
        bad.write_bytes(image if name == "digest" else esp_image.merged("esp32s3", board.offset))
        yield {"firmware": bad}
