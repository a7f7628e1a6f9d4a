"""The bridge in one process, with a board of which every fault can be had. The real one is in tests/e2e."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.ports import free_port

from kline.protocol.link import records
from openkline.bridge.bridge import Bridge, BridgeSettings
from openkline.bus import BusFrame
from openkline.cli import bridge as bridge_command
from openkline.cli import main as command
from openkline.device.state import State
from openkline.errors import DeviceFailed, DeviceRefused
from openkline.gateway.client import GatewayClient
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


class BrokenPort(FakePort):
    async def connect(self, factory: object) -> asyncio.WriteTransport:
        raise ZeroDivisionError("a mistake of ours")


async def test_a_mistake_of_ours_in_the_work_with_the_board_ends_the_bridge(tmp_path: Path) -> None:
    bridge = Bridge(BrokenPort(), settings())
    frame_log = FrameLog(LogFile(tmp_path / "log"), JsonFormat().write)
    bridge.add_log(frame_log)
    await bridge.start()
    with pytest.raises(DeviceFailed, match="a mistake of ours"):
        await asyncio.wait_for(bridge.run(), 10)
    sent = bridge.device.transmit(bytes.fromhex("68 03 18 01"))
    await bridge.close()
    assert not (await sent).sent
    assert bridge.device.state is State.CLOSED
    assert not frame_log.is_alive


def test_then_the_command_ends_with_status_1_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_command, "port_for", lambda *_: BrokenPort())
    words = ["bridge", "-d", "broken", "-l", "2", "-p", str(free_port(9)), "-o", "8080", "-r", "/var/www"]
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 1
    assert "no web page" in result.stderr
    assert "ended by an error of this program (ZeroDivisionError" in result.stderr


async def test_the_board_is_told_its_mode_first_and_a_refusal_of_what_it_does_anyway_is_no_matter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    board = FakeBoard()
    board.refuses = {records.CONFIG_MODE: records.MODE_IBUS}
    wanted = ((records.CONFIG_SLEEP_AFTER_S, 120),)
    bridge = Bridge(FakePort(board), BridgeSettings(replace(FAST, configure=wanted), GatewayOptions(port=0)))
    await bridge.start()
    await bridge.device.wait_for(State.READY, timeout_s=10)
    await until(lambda: len(board.configured) == 2)
    await bridge.close()
    assert board.configured == [(records.CONFIG_MODE, records.MODE_IBUS), *wanted]
    assert "refused" not in caplog.text
