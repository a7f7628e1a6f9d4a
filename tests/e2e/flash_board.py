"""A board to be flashed: boot loader and MicroPython behind one port, with the reset circuit between, as on a real one.

    client -- front: rfc2217 (DTR, RTS), bare TCP, or a pty -- reset circuit -+- download: esp32-mock-bootloader
                                                                             '- run: micropython boot.py --bare

The flash outlives resets: boot loader, table and application are checked at each start, and erasing the flash takes the
file system (a folder) with it. DTR and RTS pull IO0 and EN down through the two usual transistors (Espressif,
"Schematic of the DevKitC": EN is low when RTS is asserted and DTR is not, IO0 the other way round); EN rises slowly, so
that IO0 counts a little later. Where a front has no such lines, `hold_boot` and `press_reset()` are the buttons.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path
from typing import Protocol

from esp32_mock_bootloader.server import BootloaderConnection, FlashImage, handle_client
from tests.e2e import esp_image

from openkline.device.sim import (
    EXIT_RESET,
    EXIT_SOFT_RESET,
    ROM_LINES,
    SOFT_RESET_LINES,
    die_with_parent,
    find_micropython,
)

ROOT = Path(__file__).resolve().parents[2]
_EN_RISES_S = 0.15  # the capacitor at EN, and RFC 2217's round trips
_AGAIN_S = 0.2


class Flash(FlashImage):  # type: ignore[misc]
    """The mock's flash, with a file system in the board's folder that goes with it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.bad_at: int | None = None  # a worn sector: what is written there is not kept

    def erase_all(self) -> None:
        super().erase_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_defl_block(self, payload: bytes) -> None:
        super().write_defl_block(payload)
        if self.bad_at is not None:
            self.data[self.bad_at] = 0

    def starts(self, offset: int) -> bool:
        image = esp_image.is_whole
        return image(bytes(self.data[offset : offset + 0x7000])) and image(bytes(self.data[esp_image.APP :]))


class Front(Protocol):
    """One way to the board. opened and closed by clients; send() goes to whoever is there."""

    address: str

    def register(self, board: FlashBoard) -> None: ...

    def send(self, data: bytes) -> None: ...

    def listen(self) -> None: ...

    def cut(self) -> None: ...

    def close(self) -> None: ...


class FlashBoard:
    """chip: a key of esp_image.CHIP_IDS. Use as a context manager; `front.address` is the port."""

    def __init__(self, folder: Path, front: Front, chip: str = "esp32", options: tuple[str, ...] = ()) -> None:
        self.folder = folder / "board"
        self.front = front
        self.chip = chip
        self.offset = 0x1000 if chip == "esp32" else 0
        self.options = options
        self.flash = Flash(self.folder)
        self.in_download = False
        self.hold_boot = False
        self.ignores_boot = False  # a broken circuit: IO0 is never seen low
        self.complaint = b""  # what it prints at each start instead of running
        self.unplugged = False
        self.starts: list[str] = []  # "download" or "run"
        self.selector = selectors.DefaultSelector()
        self._cut_after: dict[str, int] = {}
        self._mcu: int | None = None  # what the chip's UART is connected to
        self._child: subprocess.Popen[bytes] | None = None
        self._loader: tuple[socket.socket, threading.Event] | None = None
        self._en_low = False
        self._io0_low = False
        self._rising_s: float | None = None
        self._again_s: float | None = None  # a watchdog's reset
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)

    def __enter__(self) -> FlashBoard:
        self.front.register(self)
        self.press_reset()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._off()
        self.front.close()
        self.selector.close()

    # -- what a person, or a fault, does

    def press_reset(self) -> None:
        with self._lock:
            self._start(self.hold_boot and not self.ignores_boot)

    def cut_after(self, count: int, when: str) -> None:
        """The cable is pulled after so many more bytes to the chip in that state ("download", "run").

        It stays out until `unplugged` is False again: esptool heals a short interruption by itself.
        """
        with self._lock:
            self._cut_after = {when: count}

    def reset_after(self, count: int) -> None:
        """The running board resets after so many more bytes to it, once."""
        with self._lock:
            self._cut_after = {"reset": count}

    # -- the circuit

    def lines(self, dtr: bool, rts: bool) -> None:
        """Levels of DTR and RTS, True: asserted."""
        with self._lock:
            en_low, self._io0_low = rts and not dtr, dtr and not rts
            if en_low:
                self._rising_s = None
                self._off()
            elif self._en_low:
                self._rising_s = time.monotonic() + _EN_RISES_S
            elif self._rising_s is not None and self._io0_low:
                self._rising_s = None
                self._start(not self.ignores_boot)
            self._en_low = en_low

    def _start(self, download: bool) -> None:
        self._off()
        self.starts.append("download" if download else "run")
        self.in_download = download
        self._again_s = None
        if download:
            self.front.send(ROM_LINES.replace(b"boot:0x13 (SPI_FAST_FLASH_BOOT)", b"boot:0x3 (DOWNLOAD_BOOT)"))
            self.front.send(b"waiting for download\r\n")
            ours, theirs = socket.socketpair()
            stop = threading.Event()
            words = (BootloaderConnection(sock=theirs), stop, self.chip)
            more = {"exit_on_disconnect": True, "flash": self.flash}
            threading.Thread(target=handle_client, args=words, kwargs=more, daemon=True).start()
            self._loader = (ours, stop)
            self._connect(ours.fileno())
            return
        self.front.send(ROM_LINES)
        complaint = self.complaint
        if not self.flash.starts(self.offset):
            complaint = complaint or b"invalid header: 0xffffffff\r\n" * 3
        if complaint:
            self.front.send(complaint)
            self._again_s = time.monotonic() + _AGAIN_S
        else:
            self._spawn()

    def _spawn(self) -> None:
        """MicroPython on a pty, as openkline.device.sim starts it."""
        master, slave = os.openpty()
        tty.setraw(slave)
        sim = ROOT / "boards" / "SIM"
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [find_micropython(), "-X", "heapsize=2M", str(sim / "boot.py"), "--bare", "--flash", str(self.folder)]
        environment = dict(os.environ, MICROPYPATH=f"{sim / 'port'}:{sim}:.frozen")
        self._child = subprocess.Popen(
            [*words, *self.options],
            stdin=master,
            stdout=master,
            stderr=master,
            env=environment,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
        os.close(master)
        self._connect(slave)

    def _connect(self, fd: int) -> None:
        self._mcu = fd
        self.selector.register(fd, selectors.EVENT_READ, self._from_chip)

    def _off(self) -> None:
        if self._mcu is not None:
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(self._mcu)
        if self._loader is not None:
            self._loader[1].set()
            self._loader[0].close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            if self._mcu is not None:
                os.close(self._mcu)
        self._mcu = self._child = self._loader = None

    # -- bytes

    def to_chip(self, data: bytes) -> None:
        """From the front."""
        with self._lock:
            fault = "reset" if "reset" in self._cut_after else "download" if self.in_download else "run"
            if fault in self._cut_after and not (fault == "reset" and self.in_download):
                self._cut_after[fault] -= len(data)
                if self._cut_after[fault] <= 0:
                    self._cut_after = {}
                    if fault == "reset":
                        self.press_reset()
                    else:
                        self.unplugged = True
                        self.front.cut()
                    return
            if self._mcu is not None:
                with contextlib.suppress(OSError):
                    os.write(self._mcu, data)

    def _from_chip(self) -> None:
        with self._lock:
            if self._mcu is None:
                return
            try:
                data = os.read(self._mcu, 4096)
            except OSError:
                data = b""
            if data:
                self.front.send(data)
            elif self._child is None:
                self._off()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.front.listen()
            for key, _ in self.selector.select(0.02):
                key.data()
            with self._lock:
                if self._rising_s is not None and time.monotonic() >= self._rising_s:
                    self._rising_s = None
                    self._start((self._io0_low or self.hold_boot) and not self.ignores_boot)
                if self._again_s is not None and time.monotonic() >= self._again_s:
                    self._start(False)
                if self._child is not None and self._child.poll() is not None:
                    self._ended(self._child.returncode)

    def _ended(self, status: int) -> None:
        """MicroPython's process: a supervisor's part."""
        if status in (0, EXIT_SOFT_RESET):
            self._off()
            self.front.send(SOFT_RESET_LINES)
            self._spawn()
        else:
            assert status in (EXIT_RESET, -signal.SIGKILL), f"micropython ended with {status}"
            self._start(False)


def program(board: FlashBoard) -> None:
    """As if the image were written already."""
    data = esp_image.merged(board.chip, board.offset)
    board.flash.data[board.offset : board.offset + len(data)] = data
