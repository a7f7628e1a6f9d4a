"""How long an open port may stay without an answer before that is worth telling.

A board that starts is no silent board: what it prints then begins the wait again. One that restarts into an update may
take a minute's trial and a second start, if the new version fails.
"""

from __future__ import annotations

import time

from openkline.device.prompt import StartTrouble

RESTART_S = 75.0  # a trial of 60 s (firmware/main.py), and the start of the version before
_MANY_STARTS = 5  # in a row, without an answer


class Patience:
    """begin() with each greeting; then over() says whether the wait has lasted `silence_s`."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._until_s = 0.0
        self._restart_until_s = 0.0
        self._starts = 0
        self.trouble = StartTrouble()  # why it doesn't come, as far as it has said

    def begin(self) -> None:
        """The board is asked whether it is there."""
        self._until_s = time.monotonic() + self._silence_s

    def board_starts(self) -> bool:
        """It was seen starting. True: so often, without an answer, that this is worth telling."""
        self.begin()
        self._starts += 1
        return self._starts % _MANY_STARTS == 0

    def restart_is_due(self) -> None:
        """The board has said that it restarts into another version."""
        self._restart_until_s = time.monotonic() + RESTART_S

    def answered(self) -> None:
        """There is a session."""
        self._restart_until_s = 0.0
        self._starts = 0
        self.trouble.reset()

    def over(self) -> bool:
        return time.monotonic() >= max(self._until_s, self._restart_until_s)
