"""The chip's boot loader, through esptool: which chip it is, what its flash holds, erase, write.

Each call enters the boot loader again (DTR and RTS; over a bare TCP socket a person has to). holds() and write() leave
it and start what the flash holds, detect() where that is asked for, the others stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from openkline.boards.chips import Chip
from openkline.flash import tools
from openkline.flash.images import Part
from openkline.flash.trouble import explain
from openkline.scratch import Scratch

OnShare = Callable[[float, str], None]

SLOW_BAUD = 115200  # the ROM's; faster only where the kernel drives the port
FAST_BAUD = 460800
_ASK_S = 60.0
_COMPARE_S = 120.0
_ERASE_S = 300.0  # 16 MiB of a slow flash chip
_WRITE_S = 900.0  # 2 MiB at 115200 baud is three minutes


@dataclass(frozen=True, slots=True)
class Found:
    """chip: as esptool writes it ("ESP32-S3"); mac: 12 hex digits, MicroPython's unique id; None: size not known."""

    chip: str
    mac: str
    flash_bytes: int | None = None


class BootLoader:
    """can_reset: whether the port has DTR and RTS (a bare TCP socket has not)."""

    def __init__(self, port: str, baud: int | None = None) -> None:
        self.port = port
        self.baud = baud or (SLOW_BAUD if "://" in port else FAST_BAUD)

    @property
    def can_reset(self) -> bool:
        return not self.port.startswith("socket://")

    def detect(self, go_on: bool = False) -> Found:
        """go_on: afterwards the board starts what it has."""
        after = "hard-reset" if go_on else "no-reset"
        done = self._run("asking for the chip", ["--no-stub", "flash-id"], _ASK_S, chip="auto", after=after)
        chip = re.search(r"Detecting chip type\.+ *(\S+)", done.text)
        mac = re.search(r"^(?:BASE )?MAC: +((?:[0-9a-f]{2}[:-]?){6})", done.text, re.MULTILINE | re.IGNORECASE)
        if chip is None or mac is None:
            raise explain(self.port, "asking for the chip", done.text, done.status)
        size = re.search(r"Detected flash size: (\d+)(KB|MB)", done.text)
        size_bytes = int(size.group(1)) << (10 if size.group(2) == "KB" else 20) if size else None
        return Found(chip.group(1), re.sub("[:-]", "", mac.group(1)).lower(), size_bytes)

    def holds(self, chip: Chip, image: Path, parts: tuple[Part, ...]) -> bool:
        """Whether the flash holds these parts of the image already. The board starts."""
        data = image.read_bytes()
        words = ["verify-flash"]
        with ExitStack() as stack:
            folder = stack.enter_context(Scratch())
            for number, part in enumerate(parts):
                piece = folder / f"{number}.bin"
                piece.write_bytes(data[part.file : part.file + part.size])
                words += [hex(part.flash), str(piece)]
            done = self._call(words, _COMPARE_S, chip.key, after="hard-reset")
        if done.ok:
            return True
        if re.search("Verification failed", done.text):
            return False
        raise explain(self.port, "comparing the flash with the image", done.text, done.status)

    def erase(self, chip: Chip) -> None:
        self._run("erasing the flash", ["erase-flash"], _ERASE_S, chip.key)

    def write(self, chip: Chip, image: Path, offset: int, on_share: OnShare) -> None:
        """esptool compares an MD5 sum of the flash with what it wrote: if it doesn't say so, this fails. It starts."""

        def on_line(line: str) -> None:
            found = re.search(r"Writing at .* (\d+(?:\.\d+)?)%", line)
            if found:
                on_share(float(found.group(1)) / 100, "")

        doing = "writing MicroPython"
        done = self._run(
            doing, ["write-flash", hex(offset), str(image)], _WRITE_S, chip.key, on_line, after="hard-reset"
        )
        if "Hash of data verified" not in done.text:
            raise explain(self.port, doing, f"{done.text}\nVerification failed", done.status)

    def _run(
        self,
        doing: str,
        words: list[str],
        timeout_s: float,
        chip: str,
        on_line: Callable[[str], None] | None = None,
        after: str = "no-reset",
    ) -> tools.Finished:
        done = self._call(words, timeout_s, chip, on_line, after)
        if not done.ok:
            raise explain(self.port, doing, done.text, done.status)
        return done

    def _call(
        self,
        words: list[str],
        timeout_s: float,
        chip: str,
        on_line: Callable[[str], None] | None = None,
        after: str = "no-reset",
    ) -> tools.Finished:
        """At the slow baud rate once more, when the fast one may be what the port's bridge can't do."""
        options = ["--port", self.port, "--chip", chip, "--after", after]
        done = tools.run("esptool", [*options, "--baud", str(self.baud), *words], timeout_s, on_line)
        if not done.ok and self.baud > SLOW_BAUD and "Changing baud rate" in done.text and words[0] != "verify-flash":
            self.baud = SLOW_BAUD
            done = tools.run("esptool", [*options, "--baud", str(self.baud), *words], timeout_s, on_line)
        return done
