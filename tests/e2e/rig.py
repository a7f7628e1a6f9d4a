"""What the end-to-end tests share: the captures, waiting, and a client of a few lines that owes nothing to ours."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from openkline.device.device import Device
from openkline.device.port import SimPort
from openkline.device.sim import SimOptions
from openkline.device.state import DeviceSettings, State

ROOT = Path(__file__).resolve().parents[2]
# Third-party captures, not part of the project: beside its folder, or where the variable says.
CAPTURES = Path(os.environ.get("OPENKLINE_CAPTURES") or ROOT.parent / "shared" / "captures")
E39 = CAPTURES / "e39-key-on.log"
E83 = CAPTURES / "e83-uart.bin"
needs_captures = pytest.mark.skipif(not E39.is_file(), reason="the captures are not here")

READY_S = 30.0

HELLO = bytes.fromhex("68 69 00 00 00 00 00 00")
PING = bytes.fromhex("AA AA 00 00 00 00 00 00")


async def until(condition: Callable[[], object], what: str = "", timeout_s: float = 30.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, what or "the condition did not come true"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def sim_device(
    options: SimOptions | None = None, settings: DeviceSettings | None = None
) -> AsyncIterator[tuple[Device, SimPort]]:
    """A Device on a virtual board of its own, ready."""
    port = SimPort(options or SimOptions(car="none"))
    device = Device(port, settings or DeviceSettings(backoff_min_s=0.05))
    await device.start()
    try:
        await device.wait_for(State.READY, timeout_s=READY_S)
        yield device, port
    finally:
        await device.stop()


class PlainClient:
    """The gateway protocol, in the fewest words: received frames (with checksum) are in .frames, or go to on_frame."""

    def __init__(self, port: int, on_frame: Callable[[bytes], None] | None = None) -> None:
        self.port = port
        self.frames: list[bytes] = []
        self._on_frame = on_frame or self.frames.append
        self.ended = False
        self._heard = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> PlainClient:
        """Until the gateway answers a Ping: a connection may stand for a while before it knows, and frames pass by."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(HELLO)
        answer = await reader.readexactly(8)
        assert answer[:2] == b"ct", answer
        writer.close()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", int.from_bytes(answer[4:6], "little"))
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._ping())]
        await asyncio.wait_for(self._heard.wait(), READY_S)
        return self

    def send(self, source: int, destination: int, data: bytes, priority: int = 100) -> None:
        header = bytes((source, destination, len(data), 0)) + priority.to_bytes(2, "little", signed=True) + b"\0\0"
        self._writer.write(header + data)

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                header = await self._reader.readexactly(8)
                if not header[2]:
                    self.ended = self.ended or header[:2] == b"\0\0"
                    self._heard.set()
                    continue
                data = await self._reader.readexactly(header[2])
                frame = bytes((header[0], header[2] + 2, header[1])) + data
                checksum = 0
                for byte in frame:
                    checksum ^= byte
                self._on_frame(frame + bytes((checksum,)))
        self.ended = True

    async def _ping(self) -> None:
        while not self.ended:
            self._writer.write(PING)
            await asyncio.sleep(3)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._writer.close()
