"""Writes docs/newcomer.md: what a newcomer types and sees, run for real on a board to be flashed (flash_board.py).

    python -m tests.e2e.newcomer        (make newcomer)

What differs from run to run (password, times, free memory) is written as one fixed example of it. Which frames the
virtual car sends first differs as well: a page that is the same but for these stays as it is. A test makes the page
again and compares it with the one in docs, all numbers and frames aside.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e import esp_image
from tests.e2e.flash_board import FlashBoard
from tests.e2e.flash_fronts import PtyFront
from tests.ports import free_port

PAGE = Path(__file__).resolve().parents[2] / "docs" / "newcomer.md"
IMAGE = "ESP32_GENERIC-20260701-v1.29.0.bin"  # a small one of our own, under a name that has no recorded digest
_COMMAND_S = 120.0
_FRAME = re.compile(r"^ *\d\d:\d\d:\d\d\.\d{3} ")
_EXAMPLES = (
    (r"update password \w{8}", "update password 56326054"),
    (r"answers in \d+ ms", "answers in 19 ms"),
    (r"in \d+ to \d+ ms", "in 16 to 43 ms"),
    (r"\d+ KiB of memory", "1787 KiB of memory"),
    (r"\d+( KiB of its file system)", r"2000\1"),  # here it is this computer's
    (r"others are heard \(\d+ messages?\)", "others are heard (5 messages)"),
    (r"(?m)^( *[0-9A-F ]+  sent).*", r"\1"),
)

TEXT = """# From the box to the first frame

You have an ESP32 board, two PC817C, some resistors, and a PC with openkline ([installing it](install.md)). This page is
a real session, written by `make newcomer` and compared by a test. The board in it is a virtual one: boot loader, reset
and MicroPython run without the chip, and these steps haven't been tried on a real board yet. Numbers and times will be
different on yours.

## 1. Which board is it?

{boards}

Yours is the one with the same chip. `openkline boards ESP32_GENERIC` shows its pins and how to wire it; nothing needs
to be wired for the next step.

## 2. Put the firmware on it

Plug it in. One command finds the board and its chip, gets MicroPython, erases, writes, copies openkline's modules, and
talks to the result. Without `--interface` it asks what you are going to solder; without `--firmware` it downloads the
image ([flash.md](flash.md)). From the source tree: `make flash`.

{flash}

If it stops anywhere, the last line says what to do; then run it again.

## 3. Is the wiring right?

Wire it ([wiring.md](wiring.md)), connect it to the car, switch the radio on, and ask the doctor. Each line is something
that it found to be right, or something to fix. With `--yes` it also tests your own sending side, when the bus is
quiet ([doctor.md](doctor.md)).

{doctor}

## 4. The first frame

One terminal has the bridge, which keeps the board and lets as many programs as you like take part:

{bridge}

In a second terminal:

{monitor}

Say something: the radio (68) asks the CD changer (18) whether it is there (01).

{send}

## What next

- Programs that speak the gateway protocol connect to port 4287: [gateway-protocol.md](gateway-protocol.md).
- OBD-II instead of the I-Bus: flash with `--interface kline-transistor`, then `openkline obd live`: [obd.md](obd.md).
- Other pins and stages: [wiring.md](wiring.md), [flash.md](flash.md). New versions: [update.md](update.md).
"""


class Session:
    """Commands as a person types them, and the same with this run's port, folder and TCP port."""

    def __init__(self, board: FlashBoard, folder: Path) -> None:
        self.port = free_port(10)
        self._real = {"/dev/ttyUSB0": board.front.address, IMAGE: str(folder / IMAGE)}
        self._environment = dict(os.environ, XDG_CONFIG_HOME=str(folder), XDG_CACHE_HOME=str(folder), COLUMNS="110")
        self._environment.pop("OPENKLINE_CONFIG", None)

    def run(self, command: str) -> str:
        """The command and all it says, as a block of the page."""
        done = subprocess.run(
            self._words(command), env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=_COMMAND_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return self._block(command, done.stdout)

    def start(self, command: str) -> tuple[subprocess.Popen[str], str]:
        """A command that goes on; what it says up to the third frame."""
        process = subprocess.Popen(
            self._words(command), env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        lines: list[str] = []
        while sum(_FRAME.match(line) is not None for line in lines) < 3:
            line = process.stdout.readline()
            assert line, f"{command} ended:\n{''.join(lines)}"
            lines.append(line)
        return process, self._block(command, "".join(lines))

    def _words(self, command: str) -> list[str]:
        words = [self._real.get(word, word) for word in shlex.split(command)]
        assert words[0] == "openkline"
        if words[1] in ("bridge", "monitor", "send"):
            words += ["-p", str(self.port)]
        return [sys.executable, "-m", *words]

    def _block(self, command: str, text: str) -> str:
        for mine, real in self._real.items():
            if len(mine) > len(real):  # columns stay columns
                text = text.replace(real + " " * (len(mine) - len(real) + 1), mine + " ")
            text = text.replace(real, mine)
        text = text.replace(f" -i 127.0.0.1 -p {self.port}", "").replace(f" -p {self.port}", "")
        text = text.replace(str(self.port), "4287")
        for pattern, example in _EXAMPLES:
            text = re.sub(pattern, example, text)
        lines = [line.rstrip() for line in text.strip("\n").splitlines()]
        return "\n".join(["```console", f"$ {command}", *lines, "```"])


def page(folder: Path) -> str:
    (folder / IMAGE).write_bytes(esp_image.merged("esp32", 0x1000))
    with FlashBoard(folder, PtyFront(), options=("--car", "demo")) as board:
        session = Session(board, folder)
        blocks = {
            "boards": session.run("openkline boards"),
            "flash": session.run(f"openkline flash -d /dev/ttyUSB0 --interface ibus-pc817 --firmware {IMAGE}"),
            "doctor": session.run("openkline doctor -d /dev/ttyUSB0 --listen 2"),
        }
        bridge, blocks["bridge"] = session.start("openkline bridge -d /dev/ttyUSB0")
        try:
            blocks["monitor"] = session.run("openkline monitor -n 3")
            blocks["send"] = session.run('openkline send "68 18 01"')
        finally:
            bridge.send_signal(signal.SIGTERM)
            bridge.communicate(timeout=30)
    return TEXT.format(**blocks)


def without_frames(text: str) -> list[str]:
    """The page's lines, any frames as one line `frame`."""
    lines: list[str] = []
    for line in text.splitlines():
        line = "frame" if _FRAME.match(line) else line
        if lines[-1:] != ["frame"] or line != "frame":
            lines.append(line)
    return lines


def masked(text: str) -> list[str]:
    """Lines that must be the same in every run: any frames are `frame`, anything with digits is a #."""
    lines = [re.sub(r"[0-9A-Fa-f]*\d[\w.]*", "#", line) for line in without_frames(text)]
    lines = [re.sub(r"^(# )+ ?sent.*", "sent", line) for line in lines]  # at the first try, or after others
    return [re.sub(r"  +", "  ", line) for line in lines]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        now = page(Path(scratch))
    same = without_frames(now) == without_frames(PAGE.read_text(encoding="utf-8"))
    if not same:
        PAGE.write_text(now, encoding="utf-8")
    print(f"{PAGE.name}: {'already up to date' if same else 'written'}")
