"""How many messages of one kind the log takes: nothing that repeats itself fills a disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from openkline.words import plural

BURST = 100  # messages of a kind that pass at once
PER_S = 0.5  # further ones
_MAX_KINDS = 1000
_SHOWN = 60  # characters of a kind's wording


class _Kind:
    """A bucket of tokens: full at first."""

    __slots__ = ("at_s", "left", "missing")

    def __init__(self, now_s: float) -> None:
        self.left, self.at_s, self.missing = float(BURST), now_s, 0

    def admits(self, now_s: float) -> bool:
        self.left = min(self.left + (now_s - self.at_s) * PER_S, float(BURST))
        self.at_s = now_s
        if self.left < 1:
            self.missing += 1
            return False
        self.left -= 1
        return True


class Moderated(logging.Handler):
    """Passes messages on; of a kind (logger and wording, whatever the values) BURST at once and PER_S after them.

    How many were left out is said before the next of that kind, and at the end.
    """

    def __init__(self, target: logging.Handler, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._target = target
        self._monotonic = monotonic
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self.formatter = target.formatter

    def emit(self, record: logging.LogRecord) -> None:
        now_s = self._monotonic()
        key = record.name, str(record.msg) or " "
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _MAX_KINDS:
                self._kinds.clear()
            kind = self._kinds[key] = _Kind(now_s)
        if kind.admits(now_s):
            self._tell_missing(key, kind)
            self._target.handle(record)

    def _tell_missing(self, key: tuple[str, str], kind: _Kind) -> None:
        missing, kind.missing = kind.missing, 0
        if missing:
            text = f"{plural(missing, 'more message')} like {key[1].splitlines()[0][:_SHOWN]!r} left out"
            self._target.handle(logging.LogRecord(key[0], logging.WARNING, "", 0, "%s", (text,), None))

    def close(self) -> None:
        for key, kind in self._kinds.items():
            self._tell_missing(key, kind)
        self._target.close()
        super().close()
