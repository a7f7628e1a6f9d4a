"""Calls to the board's probe: one PROBE_CALL out, at most one answer, one PROBE_END. Layouts: link/probe.py."""

from __future__ import annotations

import asyncio

from kline.protocol.link import probe, records, unpack
from openkline.device.calls import Calls
from openkline.device.device import Device
from openkline.errors import DeviceError

CALL_TIMEOUT_S = 3.0
_BUSY_PAUSE_S = 0.01
_BUSY_S = 5.0


class ProbeFailed(DeviceError):
    """The board did not answer, or could not. code: probe.PROBE_.., or -1 where it gave none."""

    def __init__(self, message: str, code: int = -1) -> None:
        super().__init__(message)
        self.code = code


class ProbeCalls:
    """The board's probe, one call at a time. It listens to the device's PROBE records from here on."""

    def __init__(self, device: Device) -> None:
        self._calls: Calls[bytes | int] = Calls(
            device,
            records.PROBE_FIRST,
            records.PROBE_LAST,
            read=_read,
            ends=lambda said: isinstance(said, int),
            failure=lambda why, words: ProbeFailed(words),
        )

    async def call(self, operation: int, arguments: bytes = b"") -> tuple[int, bytes | None]:
        """(probe.PROBE_.., data). While other modules send, it is asked again for some seconds. ProbeFailed."""
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
            raise ProbeFailed(f"the board did not answer question {operation}")
        return data

    async def _once(self, operation: int, arguments: bytes) -> tuple[int, bytes | None]:
        answer: bytes | None = None
        async with self._calls.begin(CALL_TIMEOUT_S) as call:
            out = bytearray(3 + len(arguments))
            probe.pack_call(out, call.ident, operation, arguments)
            await call.send(probe.PROBE_CALL, bytes(out))
            while not isinstance(said := await call.next(), int):
                answer = said
        return said, answer


def _read(kind: int, payload: bytes) -> bytes | int | None:
    """Of PROBE_ANSWER its data, of PROBE_END its code."""
    if len(payload) < 3:
        raise unpack.RecordError(f"PROBE record {kind:02X}: expected 3 bytes or more, got {payload.hex(' ')}")
    if kind == probe.PROBE_ANSWER:
        return payload[3:]
    return payload[2] if kind == probe.PROBE_END else None
