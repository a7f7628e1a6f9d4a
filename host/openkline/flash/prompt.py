"""MicroPython's prompt after a start, from whatever the board is doing; and why it doesn't come, from what it says.

openkline.device.repl.PromptSeeker knows the keys. Here: the port may go away and come back (a chip's own USB port
does at a reset), and a board that can't start says so in its boot messages.
"""

from __future__ import annotations

import asyncio
import re
import time

from openkline.device.port import Port
from openkline.device.repl import PromptSeeker
from openkline.errors import DeviceError
from openkline.flash.trouble import HOLD_BOOT, FlashError

_TURN_S = 0.05
_REOPEN_S = 0.25
_LOOPS = 4  # starts in a row that say: it crashes each time
_KEEP = 4000

_TROUBLE = (
    (
        rb"Brownout detector",
        "the board's supply voltage falls too low as it starts (brown-out). Try a shorter cable, or a port without hub",
    ),
    (
        rb"filesystem appears to be corrupted",
        "the board's file system is damaged. Make it anew: openkline flash --erase",
    ),
    (
        rb"invalid header: 0x|No bootable app|flash read err",
        "the board finds no program in its flash. Write it again: openkline flash --erase",
    ),
    (
        rb"waiting for download",
        "the board is still in its boot loader. Press and release EN (or RST) without BOOT, then run this again",
    ),
)


async def reach_prompt(port: Port, timeout_s: float) -> None:
    """Return with the port closed and the board at its prompt. FlashError says why it isn't; DeviceError: the port."""
    end_s = time.monotonic() + timeout_s
    listener = _Listener()
    while True:
        try:
            transport = await port.connect(lambda: listener)
        except DeviceError:
            if time.monotonic() >= end_s:
                raise
            await asyncio.sleep(_REOPEN_S)
            continue
        listener.opened()
        try:
            while not listener.closed.is_set():
                transport.write(listener.seeker.turn(time.monotonic()))
                if listener.seeker.found:
                    return
                listener.raise_trouble(port.name)
                if time.monotonic() >= end_s:
                    raise FlashError(f"{port.name}: {listener.why_not(timeout_s)}")
                await asyncio.sleep(_TURN_S)
        finally:
            transport.close()
            await asyncio.wait_for(listener.closed.wait(), 5)


class _Listener(asyncio.Protocol):
    """What the board says, over all openings of the port."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.closed = asyncio.Event()
        self.seeker = PromptSeeker()

    def opened(self) -> None:
        self.closed.clear()
        self.seeker = PromptSeeker()

    def data_received(self, data: bytes) -> None:
        self.text += data
        del self.text[:-_KEEP]
        self.seeker.feed(data, time.monotonic())

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    def raise_trouble(self, port: str) -> None:
        for pattern, words in _TROUBLE:
            if re.search(pattern, self.text):
                raise FlashError(f"{port}: {words}")
        if len(re.findall(rb"rst:0x", self.text)) >= _LOOPS:
            raise FlashError(
                f"{port}: the board starts again and again: the image is not for this module (memory or flash of "
                "another kind). Name another one with --firmware"
            )

    def why_not(self, timeout_s: float) -> str:
        if self.text:
            words = self.text[-60:].decode("ascii", "replace").strip()
            return (
                f"MicroPython's prompt did not come within {timeout_s:.0f} s; the board said {words!r} last. "
                "Press its EN (or RST) button, then run this again"
            )
        return (
            f"the board has said nothing within {timeout_s:.0f} s. Press its EN (or RST) button and run this again; if "
            f"that is no help, {HOLD_BOOT}"
        )
