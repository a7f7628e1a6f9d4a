"""Getting the firmware started when the board sits at MicroPython's prompt.

It does so after QUIT, after Ctrl-C in its boot window, and when no host has spoken for some minutes. There a HELLO ends
as input of the REPL, which shows its prompt. Ctrl-C twice leaves whatever runs, Ctrl-B the raw REPL, and Ctrl-D on an
empty line is a soft reset, which starts main.py.
"""

from __future__ import annotations

WAKE_KEYS = b"\r\x03\x03\x02\x04"
_PROMPTS = (">>>", "raw REPL; CTRL-B to exit", 'Type "help()" for more information.')
_MAX_TRIES = 3


class ReplWaker:
    """Decides whether to press those keys: a few times per opened port, and only while no session stands."""

    def __init__(self) -> None:
        self.tries = 0

    def reset(self) -> None:
        self.tries = 0

    def seen(self, line: str) -> bytes:
        """The keys, if `line` (text of the board) shows a prompt."""
        return self.keys() if any(prompt in line for prompt in _PROMPTS) else b""

    def keys(self) -> bytes:
        """The keys, unless they have been pressed often enough."""
        if self.tries >= _MAX_TRIES:
            return b""
        self.tries += 1
        return WAKE_KEYS
