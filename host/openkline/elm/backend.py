"""The car's line behind the interpreter: its operations as calls to a board in OBD mode (docs/link-protocol.md)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any, Protocol

from kline.protocol.link import records, unpack
from openkline.device.device import Device
from openkline.device.state import State
from openkline.elm.operations import (
    NOT_CONNECTED,
    Bypass,
    Close,
    Exchange,
    Initialise,
    KeepAlive,
    Monitor,
    Operation,
    Outcome,
    Voltage,
)
from openkline.errors import DeviceFailed, DeviceRefused, ObdError
from openkline.obd.calls import Done, ObdCalls

log = logging.getLogger("openkline.elm327")

Hear = Callable[[bytes, bool], None]

_BOARD_S = 3.0  # a board that restarts: the client may wait so long for it
# A session that could not be closed ends by itself: after 5 s the board notices that the PC is away, 5 s later the ECU.
_OWED_S = 12.0
_CALL_S = 20.0
_LONG_S = 60.0  # an ECU may say 78 again and again
_FOREVER_S = 1e6
# An ECU that believes itself in a session may not listen to another initialisation; after P3max it does.
_FORGOTTEN_S = 5.3
_AWAY = tuple(state for state in State if state is not State.READY)
_DEAF = ("no_sync", "sync_wrong", "no_key_bytes", "no_address", "silent")
# After these there is no session.
_GONE = ("interrupted", "timeout", "wrong_mode", "failed", "not_connected")
_KINDS = {"slow": records.INIT_SLOW, "fast": records.INIT_FAST}


class Line(Protocol):
    """Who carries operations out. A run() that is cancelled ends soon, and leaves the line free."""

    async def run(self, operation: Operation, hear: Hear) -> Outcome: ...


class BoardLine:
    """A board in OBD mode (openkline.obd.session.SETTINGS)."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._calls = ObdCalls(device)
        self._alive_s = 0.0  # when an ECU was last known to be in a session; 0: it isn't
        self._logged: set[str] = set()
        self._owed: asyncio.Task[None] | None = None  # a Close that found no board

    async def run(self, operation: Operation, hear: Hear) -> Outcome:
        try:
            await self._wait_for_board()
            if self._owed is not None:
                await asyncio.wait((self._owed,))
            outcome = await self._while_board_is_there(self._run(operation, hear))
        except ObdError as error:
            if error.name != NOT_CONNECTED:  # the interpreter initialises again, and that is all
                self._log(operation, str(error))
            if isinstance(operation, Close) and self._owed is None:
                self._owed = asyncio.create_task(self._close_when_back(), name="elm327 closing later")
            return Outcome(error.name or "failed", alive=error.name not in _GONE)
        if isinstance(operation, Initialise | Exchange):
            self._logged.clear()
        return outcome

    def _log(self, operation: Operation, text: str) -> None:
        """The chip's words are few: the log says why. Each reason is logged once, until the car has answered again."""
        if text not in self._logged:
            log.warning("%s: %s", type(operation).__name__.lower(), text)
            self._logged.add(text)

    async def _wait_for_board(self) -> None:
        try:
            await self.device.wait_for(State.READY, timeout_s=_BOARD_S)
        except TimeoutError:
            raise ObdError(self.device.away or "the board is not there", "interrupted") from None
        except (DeviceRefused, DeviceFailed) as error:
            raise ObdError(str(error), "failed") from error

    async def _while_board_is_there(self, work: Coroutine[Any, Any, Outcome]) -> Outcome:
        """A pulled cable may be back soon, and the call goes on; the client is not left waiting for long."""
        running = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                gone.result()
            return await running
        finally:
            for task in (running, gone):
                task.cancel()
            await asyncio.wait((running, gone))  # until the board has let go

    async def _gone(self) -> None:
        """Raises ObdError when the board has been away for _BOARD_S."""
        while True:
            with contextlib.suppress(DeviceRefused, DeviceFailed):
                await self.device.wait_for(*_AWAY)
            await self._wait_for_board()

    async def _run(self, operation: Operation, hear: Hear) -> Outcome:
        match operation:
            case Initialise():
                return await self._initialise(operation)
            case Exchange():
                return await self._exchange(operation, hear)
            case Monitor():
                return await self._monitor(operation, hear)
            case Bypass():
                await self._call(records.OP_INIT, _init(records.INIT_NONE, 0, operation.baud))
            case KeepAlive():
                interval = min(operation.interval_ms, 0xFFFF).to_bytes(2, "little")
                await self._call(records.OP_KEEP_ALIVE, bytes((operation.interval_ms > 0,)) + interval
                                 + operation.message)  # fmt: skip
            case Close():
                await self._close()
            case Voltage():
                done = await self._call(records.OP_VOLTAGE)
                volts = int.from_bytes(done.found[:2], "little") / 1000 if len(done.found) >= 2 else None
                return Outcome(volts=volts)
        return Outcome()

    async def _call(self, operation: int, arguments: bytes = b"", timeout_s: float = _CALL_S,
                    hear: Hear | None = None) -> Done:  # fmt: skip
        def on_answer(answer: unpack.ObdAnswer) -> None:
            if hear is not None:
                hear(answer.data, answer.mode == records.ANSWER_WHOLE)

        return await self._calls.call(operation, arguments, timeout_s=timeout_s, on_answer=on_answer)

    async def _initialise(self, operation: Initialise) -> Outcome:
        flags = 0 if operation.check_keys else records.INIT_ANY_KEY
        arguments = _init(_KINDS[operation.kind], operation.address, operation.baud, flags) + operation.frame
        try:
            done = await self._call(records.OP_INIT, arguments)
        except ObdError as error:
            left_s = self._alive_s + _FORGOTTEN_S - time.monotonic()
            if not self._alive_s or left_s < 0 or error.name not in _DEAF:
                raise
            log.info("no ECU answered, but one may still be in the previous session: trying again in %.1f s", left_s)
            self._alive_s = 0.0
            await asyncio.sleep(left_s)
            done = await self._call(records.OP_INIT, arguments)
        self._alive_s = time.monotonic()
        return Outcome(alive=done.alive, key_bytes=unpack.ObdFound(done.found).key_bytes)

    async def _exchange(self, operation: Exchange, hear: Hear) -> Outcome:
        head = bytes((operation.session,)) + operation.first_ms.to_bytes(2, "little")
        head += operation.more_ms.to_bytes(2, "little") + bytes((operation.count,))
        heard_s: list[float] = []

        def timed(message: bytes, good: bool) -> None:
            heard_s.append(time.monotonic())
            hear(message, good)

        done = await self._call(records.OP_EXCHANGE, head + operation.frame, _LONG_S, timed)
        if done.alive:
            self._alive_s = time.monotonic()
        gap_s = max((later - earlier for earlier, later in pairwise(heard_s)), default=0.0)
        return Outcome(alive=done.alive or not operation.session, gap_ms=round(gap_s * 1000))

    async def _monitor(self, operation: Monitor, hear: Hear) -> Outcome:
        if not operation.session:
            await self._call(records.OP_INIT, _init(records.INIT_NONE, 0, operation.baud))
        done = await self._call(records.OP_LISTEN, timeout_s=_FOREVER_S, hear=hear)
        return Outcome(alive=done.alive)

    async def _close_when_back(self) -> None:
        """The cable is back, and the board has kept the session, which is no longer wanted."""
        try:
            with contextlib.suppress(TimeoutError, DeviceRefused, DeviceFailed):
                await self.device.wait_for(State.READY, timeout_s=_OWED_S)
                await self._close()
        finally:
            self._owed = None

    async def _close(self) -> None:
        with contextlib.suppress(ObdError):  # it ends by itself
            await self._call(records.OP_CLOSE)


def _init(kind: int, address: int, baud: int, flags: int = 0) -> bytes:
    return bytes((kind, address)) + baud.to_bytes(2, "little") + bytes((flags,))
