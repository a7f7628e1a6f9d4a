"""The way to the board: one port, opened again and again, its bytes passed on, and a tick while it is open.

    OPENING --open--> bytes and ticks --closed--> a pause that doubles from backoff_min_s to backoff_max_s --> OPENING

What the bytes mean is its user's business (device.py).
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol

from openkline.device.port import Port
from openkline.device.state import DeviceCounters, DeviceSettings
from openkline.errors import DeviceError, DeviceUnusable

_MAX_UNWRITTEN = 4096  # bytes that the operating system doesn't take: then we wait, too
_WAITING_TICK_S = 0.25


class User(Protocol):
    """Who uses a Connection. Calls come in this order: opening, then trouble, or open, received and tick.., closed."""

    def on_opening(self) -> None: ...

    def on_open(self) -> None: ...

    def on_received(self, data: bytes) -> None: ...

    def on_tick(self) -> None:
        """The time that tick_in() named is over."""
        ...

    def on_closed(self) -> bool:
        """Whether it was of use, so that the next pause is a short one."""
        ...

    def on_trouble(self, text: str) -> None:
        """Why there is no connection now, for a person."""
        ...

    def on_pause(self) -> None:
        """Now and then while the port is closed."""
        ...


class _Wire(asyncio.Protocol):
    """The port's bytes, straight to the user."""

    def __init__(self, user: User) -> None:
        self.data_received = user.on_received  # type: ignore[method-assign]
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(exc)

    def end(self, exc: Exception | None = None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)


class Connection:
    """run() as a task of its own; cancelling it closes the port."""

    def __init__(self, port: Port, settings: DeviceSettings, counters: DeviceCounters, user: User) -> None:
        self._port = port
        self._settings = settings
        self._counters = counters
        self._user = user
        self._transport: asyncio.WriteTransport | None = None
        self._wire: _Wire | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._finished = False

    async def run(self) -> None:
        """Until finish(). DeviceUnusable."""
        pause_s = self._settings.backoff_min_s
        while True:
            self._user.on_opening()
            try:
                wire = await self._open()
            except DeviceUnusable:
                raise  # trying again is no help
            except DeviceError as error:
                self._counters.open_failures += 1
                self._user.on_trouble(str(error))
            else:
                was_of_use = await self._stay(wire)
                if self._finished:
                    return
                why = wire.lost.result() or "port closed"
                if isinstance(why, DeviceUnusable):
                    raise why
                self._user.on_trouble(f"{self._port.name}: the connection to the board is gone ({why})")
                if was_of_use:
                    pause_s = self._settings.backoff_min_s
            await self._pause(pause_s * random.uniform(0.9, 1.1))
            pause_s = min(pause_s * 2, self._settings.backoff_max_s)

    def finish(self) -> None:
        """Close the port and end run(): there is nothing to wait for."""
        self._finished = True
        if self._wire is not None:
            self._wire.end()

    def drop(self) -> None:
        """Close the port without waiting for anything."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def tick_in(self, seconds: float) -> None:
        """Call on_tick() then, and not before. Setting it again costs less than a wake-up for nothing."""
        self._stop_ticking()
        if self._wire is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._user.on_tick)

    def tick_soon(self, seconds: float) -> None:
        """The same, but an earlier tick stays."""
        now_s = asyncio.get_running_loop().time()
        if self._timer is not None and self._timer.when() > now_s + seconds:
            self.tick_in(seconds)

    def _stop_ticking(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    @property
    def room(self) -> int:
        """Bytes that may be written now; 0 without a port."""
        transport = self._transport
        return max(0, _MAX_UNWRITTEN - transport.get_write_buffer_size()) if transport is not None else 0

    def write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._counters.bytes_out += len(data)
            self._transport.write(data)

    async def _open(self) -> _Wire:
        wires: list[_Wire] = []

        def factory() -> _Wire:
            wires.append(_Wire(self._user))
            return wires[-1]

        self._transport = await self._port.connect(factory)
        self._counters.opened += 1
        return wires[-1]

    async def _stay(self, wire: _Wire) -> bool:
        """Until the port closes."""
        self._wire = wire
        self._user.on_open()
        try:
            await wire.lost
        finally:
            self._wire = None
            self._stop_ticking()
            self.drop()
            was_of_use = self._user.on_closed()
        return was_of_use

    async def _pause(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._user.on_pause()
            await asyncio.sleep(min(left_s, _WAITING_TICK_S))
