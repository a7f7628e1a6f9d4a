"""To MicroPython's prompt, from whatever the board is doing; and why it doesn't come, from what the board says.

The board gets QUIT, which the application obeys with or without a session. The record's bytes hold a Ctrl-C (03), so
the boot window and other programs end as well.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, Protocol

from kline.protocol.link import records
from kline.protocol.link.framing import HEADER, RAW_AT, finish
from openkline.errors import DeviceError, DeviceMissing

PROMPT_TIMEOUT_S = 20.0  # a board that has just been reset, with a second of boot window and its imports, twice
_TURN_S = 0.05
_REOPEN_S = 0.25
_CLOSE_S = 5.0
_LOOPS = 4  # starts in a row that say: it crashes each time
_KEEP = 4000

NO_FIRMWARE = (
    "the port is open, but no openkline firmware answers. Is the board flashed? "
    "Its reset button, or unplugging it, may help"
)
MANY_STARTS = "the board starts again and again, and no openkline firmware answers"
_TROUBLE = (
    (
        rb"Brownout detector",
        "the board's supply voltage falls too low as it starts (brown-out). Try a shorter cable, or a port without hub",
    ),
    (
        rb"filesystem appears to be corrupted",
        "the board's file system is damaged. Make a new one: openkline flash --erase",
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


class NoPrompt(DeviceMissing):
    """The board did not come to its prompt; the sentence says why, and what to try."""


def why_no_start(said: bytes) -> str:
    """What keeps a board that said this from starting, and what to try; "" when it doesn't tell."""
    for pattern, words in _TROUBLE:
        if re.search(pattern, said):
            return words
    if len(re.findall(rb"rst:0x", said)) >= _LOOPS:
        return (
            "the board starts again and again: the image is not for this module (memory or flash of another kind). "
            "Name another one with `openkline flash --firmware`"
        )
    return ""


class StartTrouble:
    """Why the board doesn't start, from the lines that it says before it answers; no more of them than are needed."""

    def __init__(self) -> None:
        self._said = bytearray()
        self.why = ""

    def reset(self) -> None:
        """It answers."""
        self._said.clear()
        self.why = ""

    def seen(self, line: str) -> str:
        """The reason, when this line has made it clear; "" before, and after."""
        if self.why:
            return ""
        self._said += line.encode() + b"\n"
        del self._said[:-_KEEP]
        self.why = why_no_start(bytes(self._said))
        return self.why


def _quit_record() -> bytes:
    out = bytearray(32)
    out[RAW_AT] = records.QUIT
    return bytes(out[: finish(out, RAW_AT + HEADER)])


class PromptSeeker:
    """What to send so that the board ends at an empty plain prompt; `found` when it is there. No I/O, no clock.

    First Ctrl-B alone: at a prompt, plain or raw, that is enough. Without an answer QUIT, again and again. What of it
    reached a prompt as input (05 is paste mode, 01 raw mode) is cleared away before `found`.
    """

    ASK_S = 0.5
    AGAIN_S = 0.5
    CLEAR_S = 2.0
    QUIET_S = 0.2
    _ASK = b"\r\x02"
    _CLEAR = b"\x03\x02"
    _PROMPT = b">>> "

    def __init__(self) -> None:
        self.found = False
        self._asked = self._clearing = False
        self._seen = b""
        self._due_s = self._heard_s = float("-inf")

    def feed(self, data: bytes, now_s: float) -> None:
        self._seen = (self._seen + data)[-64:]
        self._heard_s = now_s

    def turn(self, now_s: float) -> bytes:
        """The bytes to send now; call it every 50 ms, and after feed()."""
        if self._seen.endswith(self._PROMPT) and now_s - self._heard_s >= self.QUIET_S:
            self.found = self._clearing
            if not self._clearing:
                self._clearing = True
                return self._next(self._CLEAR, now_s, self.CLEAR_S)
        if self.found or now_s < self._due_s:
            return b""
        if not self._asked:
            self._asked = True
            return self._next(self._ASK, now_s, self.ASK_S)
        self._clearing = False
        return self._next(QUIT_RECORD, now_s, self.AGAIN_S)

    def _next(self, keys: bytes, now_s: float, wait_s: float) -> bytes:
        self._seen = b""
        self._due_s = now_s + wait_s
        return keys


QUIT_RECORD = _quit_record()


class _Port(Protocol):
    """What reach_prompt() needs of a port.Port."""

    @property
    def name(self) -> str: ...

    async def connect(self, factory: Any) -> asyncio.WriteTransport: ...


async def reach_prompt(
    port: _Port,
    timeout_s: float = PROMPT_TIMEOUT_S,
    *,
    comes_back: bool = False,
    last_resort: str = "`openkline flash` puts MicroPython on the board",
) -> None:
    """Return with the port closed and the board at its prompt. NoPrompt; DeviceError: the port can't be opened.

    comes_back: the port may be closed and come back meanwhile, as a chip's own USB port does at a reset.
    last_resort: what to do with a board that stays silent
    """
    end_s = time.monotonic() + timeout_s
    listener = _Listener(port.name)
    while True:
        try:
            transport = await port.connect(lambda: listener)
        except DeviceError:
            if not comes_back or time.monotonic() >= end_s:
                raise
            await asyncio.sleep(_REOPEN_S)
            continue
        try:
            if await _seek(transport, listener, end_s):
                return
        except TimeoutError:
            raise listener.silence(timeout_s, last_resort) from None
        finally:
            transport.close()
            await asyncio.wait_for(listener.closed.wait(), _CLOSE_S)
        if not comes_back:
            raise NoPrompt(f"{port.name}: the port was closed before a prompt came. Is the board plugged in?")


async def _seek(transport: asyncio.WriteTransport, listener: _Listener, end_s: float) -> bool:
    """Whether the prompt is there; False: the port was closed. NoPrompt; TimeoutError."""
    while not listener.closed.is_set():
        transport.write(listener.seeker.turn(time.monotonic()))
        if listener.seeker.found:
            return True
        listener.check()
        if time.monotonic() >= end_s:
            raise TimeoutError
        await asyncio.sleep(_TURN_S)
    return False


class _Listener(asyncio.Protocol):
    """What the board says, over all openings of the port."""

    def __init__(self, port: str) -> None:
        self.closed = asyncio.Event()
        self._port = port
        self._text = bytearray()
        self.seeker = PromptSeeker()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.closed.clear()
        self.seeker = PromptSeeker()

    def data_received(self, data: bytes) -> None:
        self._text += data
        del self._text[:-_KEEP]
        self.seeker.feed(data, time.monotonic())

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()

    def check(self) -> None:
        """NoPrompt: the board has said why it can't start."""
        if why := why_no_start(bytes(self._text)):
            raise NoPrompt(f"{self._port}: {why}")

    def silence(self, timeout_s: float, last_resort: str) -> NoPrompt:
        """After timeout_s without a prompt."""
        if self._text:
            words = self._text[-60:].decode("ascii", "replace").strip()
            return NoPrompt(
                f"{self._port}: MicroPython's prompt did not come within {timeout_s:.0f} s; the board said {words!r} "
                "last. Press its EN (or RST) button, then run this again"
            )
        return NoPrompt(
            f"{self._port}: the board has said nothing within {timeout_s:.0f} s. Press its EN (or RST) button and run "
            f"this again; if that is no help, {last_resort}"
        )
