"""A gateway with a fake board that can be updated, on a real link and real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.ports import free_port

from openkline.device.device import Device
from openkline.device.state import State
from openkline.gateway.options import GatewayOptions
from openkline.gateway.server import GatewayServer
from openkline.update.updater import Updater

from .fake_device import FAST, FakeBoard, FakePort
from .fake_update import FakeUpdates, crc_of
from .openbm.raw import Gateway, Raw

ASK_VERSION = bytes.fromhex("66 67 00 00 00 00 00 00")
INIT = bytes.fromhex("66 69 00 00 22 11 33 44")
WRONG_INIT = bytes.fromhex("66 69 00 00 22 11 33 45")
GO_ON = bytes.fromhex("66 69 00 00 00 00 00 00")
BUNDLE = random.Random(6).randbytes(3000)


def upload(data: bytes, crc: int | None = None) -> bytes:
    """For version 2.6."""
    crc = crc_of(data) if crc is None else crc
    return b"\x66\x75" + len(data).to_bytes(2, "big") + crc.to_bytes(2, "little") + b"\x02\x06" + data


def answer(count: int = 0, error: int = 0) -> bytes:
    return b"\x66\x75" + count.to_bytes(2, "big") + error.to_bytes(2, "little") + bytes(2)


@dataclass
class Setup:
    gateway: Gateway
    server: GatewayServer
    board: FakeBoard
    port: FakePort
    updates: FakeUpdates

    async def join(self) -> Raw:
        return await self.gateway.join()

    async def opened(self) -> Raw:
        """A client that may upload."""
        raw = await self.join()
        await raw.send(INIT)
        await raw.expect(GO_ON)
        return raw

    async def counts(self, raw: Raw, length: int) -> list[int]:
        """Of the answers up to the one with the whole length."""
        found: list[int] = []
        while not found or found[-1] != length:
            got = await raw.read(8)
            assert got[:2] == b"\x66\x75" and got[4:] == bytes(4), got.hex(" ")
            found.append(int.from_bytes(got[2:4], "big"))
        return found


@contextlib.asynccontextmanager
async def updating(**options: object) -> AsyncIterator[Setup]:
    """The board is ready. Afterwards nothing of an update may be left."""
    made = GatewayOptions(**{"port": free_port(9), "drain_s": 0.5, **options})  # type: ignore[arg-type]
    board = FakeBoard()
    updates = FakeUpdates(board)
    port = FakePort(board)
    device = Device(port, FAST)
    server = GatewayServer(device, made, Updater(device))
    await device.start()
    await device.wait_for(State.READY, timeout_s=10)
    await server.start()
    gateway = Gateway("127.0.0.1", server.port, made.clients, made.alive_timeout_s, None, server)
    try:
        yield Setup(gateway, server, board, port, updates)
    finally:
        await gateway.close()
        await server.stop()
        await device.stop()
    assert not [task for task in asyncio.all_tasks() if "gateway update" in task.get_name()]
