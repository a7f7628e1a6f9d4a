"""Calls to the board's probe: one PROBE_CALL out, at most one answer, one PROBE_END. Layouts: link/probe.py."""

from __future__ import annotations

import asyncio

from kline.protocol.link import probe, records
from openkline.device.device import Device, State
from openkline.errors import DeviceError

CALL_TIMEOUT_S = 3.0
_BUSY_PAUSE_S = 0.01
_BUSY_S = 5.0
_LOOK_S = 0.2  # how often to see whether the port is still there


class ProbeFailed(DeviceError):
    """The board did not answer, or could not. code: probe.PROBE_.., or -1 where it gave none."""

    def __init__(self, message: str, code: int = -1) -> None:
        super().__init__(message)
        self.code = code


class ProbeCalls:
    """The board's probe, one call at a time. It listens to the device's PROBE records from here on."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._last = 0
        self._answer: bytes | None = None
        self._end: asyncio.Future[int] | None = None
        device.serve(records.PROBE_FIRST, records.PROBE_LAST, self)

    async def call(self, operation: int, arguments: bytes = b"") -> tuple[int, bytes | None]:
        """(probe.PROBE_.., data). Waits while somebody talks, at most some seconds. ProbeFailed."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _BUSY_S
        while True:
            code, data = await self._once(operation, arguments)
            if code == probe.PROBE_BUSY and loop.time() < until_s:
                await asyncio.sleep(_BUSY_PAUSE_S)
                continue
            if code not in (probe.PROBE_DONE, probe.PROBE_NO_MORE):
                raise ProbeFailed(f"the board ended question {operation} with code {code}", code)
            return code, data

    async def ask(self, operation: int, arguments: bytes = b"") -> bytes:
        """The answer of a call that has one."""
        _, data = await self.call(operation, arguments)
        if data is None:
            raise ProbeFailed(f"the board gave no answer to question {operation}")
        return data

    async def _once(self, operation: int, arguments: bytes) -> tuple[int, bytes | None]:
        self._last = self._last % 0xFFFF + 1
        self._answer = None
        self._end = asyncio.get_running_loop().create_future()
        out = bytearray(3 + len(arguments))
        probe.pack_call(out, self._last, operation, arguments)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                while not self.device.send_record(probe.PROBE_CALL, bytes(out)):
                    if self.device.state is not State.READY:
                        raise ProbeFailed(self.device.trouble or "the connection to the board is gone")
                    await asyncio.sleep(_BUSY_PAUSE_S)
                while not self._end.done():
                    await asyncio.wait((self._end,), timeout=_LOOK_S)
                    if self.device.state is State.WAITING:
                        raise ProbeFailed(self.device.trouble)
                return self._end.result(), self._answer
        except TimeoutError:
            raise ProbeFailed(f"the board gave no answer within {CALL_TIMEOUT_S:.0f} s") from None
        finally:
            self._end.cancel()

    # -- device.Service

    def on_reset(self) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_exception(ProbeFailed("the board has restarted, or another program took it"))

    def on_record(self, kind: int, payload: bytes) -> None:
        if self._end is None or self._end.done() or records.get_u16(payload, 0) != self._last:
            return
        if kind == probe.PROBE_ANSWER:
            self._answer = payload[3:]
        elif kind == probe.PROBE_END:
            self._end.set_result(payload[2])
