"""The bridge in one process, with a board of which every fault can be had. The real one is in tests/e2e."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from openkline.bridge import Bridge, BridgeSettings
from openkline.bus import BusFrame
from openkline.client import GatewayClient
from openkline.device import State
from openkline.errors import DeviceRefused
from openkline.gateway.options import GatewayOptions
from openkline.log.files import FrameLog, LogFile
from openkline.log.formats import JsonFormat

from .fake_device import FAST, FakeBoard, FakePort, frames, until


def settings() -> BridgeSettings:
    return BridgeSettings(FAST, GatewayOptions(port=0))


async def test_from_board_to_client_and_log(tmp_path: Path) -> None:
    port = FakePort()
    bridge = Bridge(port, settings())
    bridge.add_log(FrameLog(LogFile(tmp_path / "log"), JsonFormat().write))
    await bridge.start()
    running = asyncio.create_task(bridge.run())
    await bridge.device.wait_for(State.READY, timeout_s=10)
    async with GatewayClient("127.0.0.1", bridge.server.port) as client:
        await client.send(0x68, 0x18, bytes.fromhex("38 00 00"))
        async for message in client:
            assert (message.source, message.destination, bytes(message.data)) == (0x68, 0x18, bytes.fromhex("38 00 00"))
            break
    bridge.stop.set()
    await asyncio.wait_for(running, 10)
    await bridge.close()
    logged = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(item["frame"], item["own"]) for item in logged] == [("68 05 18 38 00 00 4D", True)]


async def test_a_board_that_is_refused_ends_it_with_the_reason() -> None:
    bridge = Bridge(FakePort(FakeBoard(micropython=(1, 20, 0))), settings())
    await bridge.start()
    with pytest.raises(DeviceRefused, match="1\\.20\\.0"):
        await asyncio.wait_for(bridge.run(), 10)
    await bridge.close()


async def test_clients_stay_while_the_board_is_away() -> None:
    port = FakePort()
    bridge = Bridge(port, settings())
    await bridge.start()
    await bridge.device.wait_for(State.READY, timeout_s=10)
    got: list[BusFrame] = []
    async with GatewayClient("127.0.0.1", bridge.server.port) as client:
        port.unplug()
        await until(lambda: bridge.device.state is State.WAITING)
        port.plugged = True
        await bridge.device.wait_for(State.READY, timeout_s=10)
        bridge.device.subscribe(got.append)
        port.board.send_frame(frames(1)[0])
        async with asyncio.timeout(10):
            async for message in client:
                assert message.source == 0x68
                break
    await bridge.close()
    assert len(got) == 1


async def test_a_taken_tcp_port_is_an_oserror_and_leaves_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bridge = Bridge(FakePort(), BridgeSettings(FAST, GatewayOptions(port=taken.getsockname()[1])))
        with pytest.raises(OSError, match="in use"):
            await bridge.start()
        await bridge.close()


async def test_an_error_that_ends_the_device_comes_out_after_the_logs_are_closed(tmp_path: Path) -> None:
    port = FakePort()
    bridge = Bridge(port, settings())
    frame_log = FrameLog(LogFile(tmp_path / "log"), JsonFormat().write)
    bridge.add_log(frame_log)

    async def broken(factory: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    port.connect = broken  # type: ignore[method-assign,assignment]
    await bridge.start()
    await until(lambda: bridge.device.failure is not None)
    with pytest.raises(ZeroDivisionError):
        await bridge.close()
    assert bridge.device.state is State.CLOSED
    assert not frame_log.is_alive
