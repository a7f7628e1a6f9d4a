"""One client of the ELM327: its bytes to an interpreter, the interpreter's operations to the line, one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from openkline.elm.backend import Line
from openkline.elm.interpreter import INCOMPLETE_S, Interpreter
from openkline.elm.operations import STOPPED, Close, Exchange, Initialise, Monitor, Operation, Outcome

log = logging.getLogger("openkline.elm327")

_WAITS = (Initialise, Exchange, Monitor)
MAX_BACKLOG = 16_384  # bytes that the client doesn't read; then what prints ends with BUFFER FULL


class ElmSession:
    """write: to the client; backlog: how much of it waits.

    hush(), and then close(), which leaves the line as it was before.
    """

    def __init__(
        self, chip: Interpreter, line: Line, write: Callable[[bytes], None], backlog: Callable[[], int], name: str
    ) -> None:
        self.chip = chip
        self.name = name
        self._line = line
        self._write = write
        self._backlog = backlog
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._cancelled = False
        self._overlong = 0

    @property
    def busy(self) -> bool:
        return self.chip.busy

    def receive(self, data: bytes) -> None:
        self.chip.receive(data)
        if self.chip.overlong != self._overlong:
            self._overlong = self.chip.overlong
            log.warning("%s: a line had no end, or was too long: discarded", self.name)
        self._pump()
        self._watch_partial_line()

    def _pump(self) -> None:
        """What is to be written goes out; what is to be done begins, or is broken off.

        Only what waits for the car is. A session whose end was broken off would be kept alive without a client.
        """
        chip = self.chip
        while chip.cancel and self._task is None and isinstance(chip.operation, _WAITS):
            chip.completed(Outcome(STOPPED))  # the interruption came in one piece with the command
        self._flush()
        if chip.operation is None:
            return
        if self._task is None:
            self._task = asyncio.create_task(self._run(chip.operation), name=f"elm327 {self.name}")
        elif chip.cancel and not self._cancelled and isinstance(chip.operation, _WAITS):
            self._cancelled = True  # once: the board needs a moment to let go
            self._task.cancel()

    def _flush(self) -> None:
        if self.chip.out:
            self._write(bytes(self.chip.out))
            self.chip.out.clear()

    async def _run(self, operation: Operation) -> None:
        try:
            outcome = await self._line.run(operation, self._heard)
        except asyncio.CancelledError:
            if not self.chip.cancel:  # not the client's doing
                raise
            outcome = Outcome(STOPPED)
        except Exception:
            log.exception("%s: an internal error", self.name)
            outcome = Outcome("failed", alive=False)
        self._task = None
        self._cancelled = False
        self.chip.completed(outcome)
        self._pump()

    def _heard(self, message: bytes, good: bool) -> None:
        self.chip.heard(message, good)
        self._flush()
        if self._backlog() > MAX_BACKLOG:
            self.chip.clogged()
            self._pump()

    def _watch_partial_line(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.chip.has_partial_line:
            self._timer = asyncio.get_running_loop().call_later(INCOMPLETE_S, self._expire)

    def _expire(self) -> None:
        self.chip.expire()
        self._flush()

    def hush(self) -> None:
        """From now on nothing is written: the client has gone, or it is already the next one."""
        self._write = _nowhere

    async def close(self) -> None:
        """Break off what runs, and end the session with the car."""
        if self._timer is not None:
            self._timer.cancel()
        task, self._task = self._task, None
        if task is not None:
            self.chip.cancel = False
            if not self._cancelled:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._line.run(Close(), lambda message, good: None)


def _nowhere(data: bytes) -> None:
    pass
