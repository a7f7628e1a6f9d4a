"""Which board is at a port: its own id, asked with a HELLO as a session begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from openkline.bus import BusFrame, TransmitResult
from openkline.device.link import BoardLink, BusEvent
from openkline.device.welcome import BoardInfo

ANSWER_S = 4.0  # a board that opening has reset starts within this
_TURN_S = 0.05
_ROOM = 1024  # bytes at once

Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[asyncio.WriteTransport]]


class _Asker(asyncio.Protocol):
    """The port's bytes to a BoardLink, of which only WELCOME matters."""

    def __init__(self) -> None:
        self.link = BoardLink(self)
        self.info: BoardInfo | None = None
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.link.feed(data, time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def on_welcome(self, info: BoardInfo, resumed: bool) -> None:
        self.info = info

    def on_silent(self) -> None: ...

    def on_frame(self, frame: BusFrame) -> None: ...

    def on_result(self, id: int, result: TransmitResult) -> None: ...

    def on_event(self, event: BusEvent) -> None: ...

    def on_counters(self, counters: dict[str, int]) -> None: ...

    def on_configured(self, key: int, ok: bool, value: int) -> None: ...

    def on_service_record(self, kind: int, payload: bytes) -> None: ...

    def on_text(self, line: str) -> None: ...


async def identify(connect: Connect, timeout_s: float | None = None) -> str:
    """The id in hex, as `openkline status` shows it; "" when no openkline firmware answers. DeviceError.

    connect: Port.connect; the port is closed again.
    """
    asker = _Asker()
    transport = await connect(lambda: asker)
    try:
        asker.link.open(resume=False)
        end_s = time.monotonic() + (ANSWER_S if timeout_s is None else timeout_s)
        while asker.info is None and not asker.closed.is_set() and time.monotonic() < end_s:
            transport.write(asker.link.pump(time.monotonic(), _ROOM))
            await asyncio.sleep(_TURN_S)
    finally:
        transport.close()
        await asker.closed.wait()
    return asker.info.unique_id if asker.info is not None else ""
