"""What a person sees of the work: each step has a line, long ones a bar. On stderr; without a terminal no bars."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_WIDTH = 30
_COLUMNS = 80  # of a terminal that doesn't tell
_EVERY_S = 0.1


class Progress:
    """steps: how many there will be. Each step's line is written when it ends, a bar in its place before."""

    def __init__(self, steps: int, stream: TextIO | None = None) -> None:
        self._steps = steps
        self._number = 0
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._title = ""
        self._shown_s = 0.0

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        self._number += 1
        self._title = f"[{self._number}/{self._steps}] {title:<12}"
        step = Step(self)
        self._temporary("..")
        try:
            yield step
        except BaseException:
            self._permanent("stopped")
            raise
        self._permanent(step.result)

    def say(self, text: str) -> None:
        """A line between."""
        self._clear()
        self._stream.write(f"{' ' * len(f'[{self._steps}/{self._steps}] ')}{text}\n")
        self._stream.flush()

    def wait(self, words: str) -> None:
        self._temporary(f".. {words}")

    def bar(self, share: float, words: str) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s >= _EVERY_S:
            self._shown_s = now_s
            share = min(max(share, 0.0), 1.0)
            full = round(share * _WIDTH)
            self._temporary(f"[{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%} {words}")

    def _temporary(self, text: str) -> None:
        """Never a second line: only one can be taken back."""
        if self._is_terminal:
            self._stream.write(f"\r\x1b[K{(self._title + text)[: self._columns() - 1]}")
            self._stream.flush()

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
        except (OSError, ValueError):
            return _COLUMNS

    def _clear(self) -> None:
        if self._is_terminal:
            self._stream.write("\r\x1b[K")

    def _permanent(self, text: str) -> None:
        self._clear()
        self._stream.write(f"{self._title}{text}\n")
        self._stream.flush()


class Step:
    """result: what stands behind the step's name when it has ended."""

    def __init__(self, progress: Progress) -> None:
        self.result = "done"
        self._progress = progress

    def bar(self, share: float, words: str = "") -> None:
        """share: 0..1 of the step."""
        self._progress.bar(share, words)

    def wait(self, words: str) -> None:
        """What is being done, where nobody can tell how far it is."""
        self._progress.wait(words)

    def say(self, text: str) -> None:
        self._progress.say(text)
