"""From MicroPython's prompt back to the firmware; the way to the prompt is in prompt.py.

The board sits at the prompt after QUIT, after Ctrl-C in its boot window, and when no host has spoken for some minutes.
A HELLO that ends there as input makes it show a prompt (the 01 in it means raw REPL). Then: Ctrl-C twice leaves
whatever runs, Ctrl-B the raw REPL, and Ctrl-D on an empty line is a soft reset, which starts main.py.

The keys are pressed on sight of a prompt only, and not again for `HOLD_S`: a Ctrl-C in the boot window of the board
that starts would lead back to the prompt.
"""

from __future__ import annotations

import re

WAKE_KEYS = b"\r\x03\x03\x02\x04"
HOLD_S = 10.0  # a soft reset, the boot window of 1 s and the import of all modules from source, with room
MAX_TRIES = 3
PROMPTS = (b"raw REPL; CTRL-B", b"\n>>> ")  # as signs that StartWatch sees
_PROMPTS = (">>>", "raw REPL; CTRL-B to exit")


def is_prompt(line: str) -> bool:
    """Whether this is MicroPython's prompt, plain or raw, and not a word of a program."""
    return any(prompt in line for prompt in _PROMPTS)


class StartWatch:
    """Notices, in what is no whole records, that the board has left the session: it restarts, or is at the prompt.

    Then nothing but HELLO may be sent: in the boot window any 03, as a repeated record may well contain, is a Ctrl-C.
    The link itself learns of a start only with the firmware's WELCOME, a second and more later.
    """

    _SIGNS = (b"rst:0x", b"MPY: soft reboot", b"openkline starts in", *PROMPTS)
    _SIGN = re.compile(b"|".join(map(re.escape, _SIGNS)))
    _KEEP = max(map(len, _SIGNS)) - 1

    def __init__(self) -> None:
        self._tail = b""

    def seen(self, data: bytes) -> bytes:
        """The first of the signs in what has come, up to and with `data`; b"" for none."""
        data = self._tail + data
        self._tail = data[-self._KEEP :]
        found = self._SIGN.search(data)
        if found is None:
            return b""
        self._tail = b""
        return found[0]


class ReplWaker:
    """Decides whether to press the keys: MAX_TRIES times per opened port, until a session stands."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The port was opened again, or the board has answered."""
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
