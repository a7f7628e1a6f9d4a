"""Between the firmware and MicroPython's prompt, both ways.

To the firmware (ReplWaker): the board sits at the prompt after QUIT, after Ctrl-C in its boot window, and when no host
has spoken for some minutes. A HELLO that ends there as input makes it show a prompt (the 01 in it means raw REPL).
Then: Ctrl-C twice leaves whatever runs, Ctrl-B the raw REPL, and Ctrl-D on an empty line is a soft reset, which starts
main.py.

The keys are pressed on sight of a prompt only, and not again for `HOLD_S`: a Ctrl-C in the boot window of the board
that starts would lead back to the prompt.

To the prompt (PromptSeeker, reach_prompt): whatever the board is doing, it gets QUIT, which the application obeys with
or without a session. The record's bytes hold a Ctrl-C (03), so the boot window and other programs end as well.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, Protocol

from kline.protocol.link import records
from kline.protocol.link.framing import HEADER, RAW_AT, finish
from openkline.errors import DeviceMissing

WAKE_KEYS = b"\r\x03\x03\x02\x04"
HOLD_S = 10.0  # a soft reset, the boot window of 1 s and the import of all modules from source, with room
MAX_TRIES = 3
_PROMPTS = (">>>", "raw REPL; CTRL-B to exit")


def is_prompt(line: str) -> bool:
    """Whether this is MicroPython's prompt, plain or raw, and not a word of a program."""
    return any(prompt in line for prompt in _PROMPTS)


class StartWatch:
    """Notices, in what is no whole records, that the board has left the session: it starts anew, or is at the prompt.

    Then nothing but HELLO may be sent: in the boot window any 03, as a repeated record may well contain, is a Ctrl-C.
    The link itself learns of a start only with the firmware's WELCOME, a second and more later.
    """

    _SIGNS = (b"rst:0x", b"MPY: soft reboot", b"openkline starts in", b"raw REPL; CTRL-B", b"\n>>> ")
    _SIGN = re.compile(b"|".join(map(re.escape, _SIGNS)))
    _KEEP = max(map(len, _SIGNS)) - 1

    def __init__(self) -> None:
        self._tail = b""

    def seen(self, data: bytes) -> bool:
        """Whether one of the signs is in what has come, up to and with `data`."""
        data = self._tail + data
        self._tail = data[-self._KEEP :]
        if self._SIGN.search(data) is None:
            return False
        self._tail = b""
        return True


class ReplWaker:
    """Decides whether to press the keys: MAX_TRIES times per opened port, until a session stands."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The port was opened anew, or the board has answered."""
        self.tries = 0
        self._pressed_s = float("-inf")

    def seen(self, line: str, now_s: float) -> bytes:
        """The keys to send now that the board has said `line` while no session stands, or nothing."""
        if self.tries >= MAX_TRIES or now_s - self._pressed_s < HOLD_S:
            return b""
        if not is_prompt(line):
            return b""
        self.tries += 1
        self._pressed_s = now_s
        return WAKE_KEYS


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
PROMPT_TIMEOUT_S = 20.0  # a board that has just been reset, with a second of boot window and its imports, twice


class _Port(Protocol):
    """What reach_prompt needs of serial_io.Port."""

    @property
    def name(self) -> str: ...

    async def connect(self, factory: Any) -> asyncio.WriteTransport: ...


class _Listener(asyncio.Protocol):
    def __init__(self, seeker: PromptSeeker) -> None:
        self.seeker = seeker
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.seeker.feed(data, time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


async def reach_prompt(port: _Port, timeout_s: float = PROMPT_TIMEOUT_S) -> None:
    """Bring the board to MicroPython's prompt; the port is closed again. DeviceMissing: nothing like it answers."""
    seeker = PromptSeeker()
    listener = _Listener(seeker)
    transport = await port.connect(lambda: listener)
    end_s = time.monotonic() + timeout_s
    try:
        while not seeker.found:
            now_s = time.monotonic()
            if listener.closed.is_set():
                raise DeviceMissing(f"{port.name}: the port was closed before a prompt came. Is the board plugged in?")
            if now_s >= end_s:
                raise DeviceMissing(
                    f"{port.name}: no MicroPython prompt came within {timeout_s:.0f} s. "
                    "Press the board's reset button and try again; openkline flash puts MicroPython on a new board"
                )
            keys = seeker.turn(now_s)
            if keys:
                transport.write(keys)
            await asyncio.sleep(0.05)
    finally:
        transport.close()
        await asyncio.wait_for(listener.closed.wait(), 5)
