"""The state of a Device (device.py) and waiting for another one; its settings and counters."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from dataclasses import asdict, dataclass

from openkline.errors import DeviceFailed, DeviceRefused, DeviceUnusable

log = logging.getLogger("openkline.device.device")


class State(enum.Enum):
    CLOSED = "closed"
    OPENING = "opening"
    GREETING = "greeting"
    READY = "ready"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """backoff_*  pause between two tries to open the port: it doubles from min to max
    resume_s      how long a session may be resumed after the board was last heard
    silence_s     an open port without an answer for so long is worth telling
    queue_limit   messages that wait at most; in_flight: that the board has at once
    patience_s    how long a message waits while there is no board
    wake          whether our messages may wake a sleeping car
    configure     (key, value) of CONFIGURE records, sent after each start of the board
    """

    backoff_min_s: float = 0.25
    backoff_max_s: float = 5.0
    resume_s: float = 30.0
    silence_s: float = 8.0
    queue_limit: int = 256
    in_flight: int = 2
    patience_s: float = 10.0
    wake: bool = True
    configure: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class DeviceCounters:
    frames: int = 0
    opened: int = 0
    open_failures: int = 0
    reboots: int = 0
    resumed: int = 0
    silences: int = 0
    callback_errors: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def stats(self) -> dict[str, object]:
        return {"reconnects": max(self.opened - 1, 0), **asdict(self)}


class DeviceState:
    """state now; refusal, failure: why no other one will come (the board's versions don't fit, or what was
    named is no board; an error of ours)."""

    def __init__(self, name: str) -> None:
        self.state = State.CLOSED
        self.refusal: DeviceRefused | DeviceUnusable | None = None
        self.failure: Exception | None = None
        self._name = name  # the port's, for the log
        self._changed = asyncio.Event()

    def set(self, state: State) -> None:
        if state is not self.state:
            log.debug("%s: %s -> %s", self._name, self.state.value, state.value)
            self.state = state
            self._changed.set()

    def refuse(self, refusal: DeviceRefused | DeviceUnusable) -> None:
        self.refusal = refusal
        self._changed.set()

    async def wait_for(self, *states: State, timeout_s: float | None = None) -> State:
        """Wait for one. TimeoutError; DeviceRefused, DeviceUnusable, DeviceFailed when it never will come."""
        async with asyncio.timeout(timeout_s):
            while self.state not in states:
                if self.refusal is not None:
                    raise self.refusal
                if self.failure is not None:
                    raise DeviceFailed(
                        f"the connection to the board ended by an error of this program ({self.failure!r}): "
                        "please report it, with the traceback"
                    ) from self.failure
                self._changed.clear()
                await self._changed.wait()
        return self.state

    async def run_until(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. DeviceRefused, DeviceUnusable, DeviceFailed: there is nothing to wait for any more."""
        stopped = asyncio.ensure_future(stop.wait())
        ended = asyncio.ensure_future(self.wait_for())  # for no state: only such an error ends it
        try:
            await asyncio.wait((stopped, ended), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
        finally:
            for task in (stopped, ended):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, DeviceRefused, DeviceUnusable, DeviceFailed):
                    await task
