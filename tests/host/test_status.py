"""The status of a running bridge: what it says, to whom, and how the command shows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from openkline.bridge.bridge import Bridge, BridgeSettings
from openkline.bridge.status import MAX_VISITORS, StatusServer, default_port, fetch
from openkline.cli import main
from openkline.device.state import State
from openkline.elm.options import ElmOptions
from openkline.errors import GatewayError
from openkline.gateway.client import GatewayClient
from openkline.gateway.options import GatewayOptions

from .fake_device import FAST, FakePort, frames, until
from .fake_obd import ObdBoard

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def running(elm: ElmOptions | None = None) -> AsyncIterator[tuple[Bridge, FakePort, int]]:
    port = FakePort(ObdBoard() if elm is not None else None)
    bridge = Bridge(port, BridgeSettings(FAST, GatewayOptions(port=0), status_port=0, elm=elm))
    await bridge.start()
    await bridge.device.wait_for(State.READY, timeout_s=10)
    assert bridge.status is not None
    try:
        yield bridge, port, bridge.status.port
    finally:
        await bridge.close()


async def test_it_tells_of_board_bus_and_clients() -> None:
    async with running() as (bridge, port, status_port), GatewayClient("127.0.0.1", bridge.server.port) as client:
        for frame in frames(5):
            port.board.send_frame(frame)
        await client.send(0x68, 0x18, bytes.fromhex("38 00 00"))
        seen = 0
        async for _ in client:
            seen += 1
            if seen == 6:
                break
        status = await fetch(status_port)
    assert status["device"] | {"state": "ready", "board": "FAKE", "firmware": "0.1.0"} == status["device"]
    assert (status["bus"]["frames"], status["bus"]["own_frames"]) == (6, 1)
    assert status["transmit"]["outcomes"]["sent"] == status["transmit"]["submitted"] == 1
    assert status["latency"]["frames"] == 6
    for name in ("bus_to_clients_ms", "port_to_clients_ms"):
        latency = status["latency"][name]
        assert 0 <= latency["median"] <= latency["p99"] <= latency["max"] < 1000
    assert [one["frames"] for one in status["gateway"]["clients"]] == [6]
    assert status["link"]["rx_bad"] == 0
    assert status["process"]["tasks"] > 0
    assert status["problems"] == []
    assert status["uptime_s"] < 10


async def test_a_board_that_is_away_is_a_problem() -> None:
    async with running() as (bridge, port, status_port):
        port.unplug()
        await until(lambda: bridge.device.state is State.WAITING)
        status = await fetch(status_port)
        assert status["device"]["trouble"] in status["problems"]
        assert status["problems"][0]


async def elm_status() -> dict[str, Any]:
    """Of a bridge with an ELM327, one who drives, and one who looks on."""
    async with running(ElmOptions(port=0, clients=3)) as (bridge, _, status_port), contextlib.AsyncExitStack() as stack:
        assert bridge.elm is not None
        for line in (b"ATI\r", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", bridge.elm.port)
            stack.callback(writer.close)
            writer.write(line)
            if line:
                await reader.readuntil(b">")
        await until(lambda: bridge.elm is not None and len(bridge.elm.clients) == 2)
        return await fetch(status_port)


async def test_it_tells_of_the_elm327() -> None:
    async with running() as (_, _, status_port):
        assert (await fetch(status_port))["elm327"] is None
    elm = (await elm_status())["elm327"]
    assert (elm["address"], elm["max_clients"], elm["port"] > 0) == ("127.0.0.1", 3, True)
    driver, other = elm["clients"]
    assert driver["name"].startswith("127.0.0.1:") and driver["name"] != other["name"]
    assert driver["drives"] and 0 <= driver["silent_s"] < 10
    assert (other["drives"], other["silent_s"]) == (False, None)


async def test_events_and_counters_of_the_board() -> None:
    async with running() as (bridge, port, status_port):
        port.board.send_event(1)
        port.board.send_record(0x14, bytes(4) + (77).to_bytes(4, "little"))
        await until(lambda: bridge.device.board_counters)
        status = await fetch(status_port)
        assert status["board"] == {"age_s": status["board"]["age_s"], "frames": 77}
        assert status["board"]["age_s"] < 5
        assert status["bus"]["events"] == {"bus_stuck_low": 1}
        assert status["bus"]["last_event"]["name"] == "bus_stuck_low"
        assert any("held low" in problem for problem in status["problems"])


async def test_after_the_end_nobody_answers() -> None:
    async with running() as (_, _, status_port):
        await fetch(status_port)
    with pytest.raises(GatewayError, match="connection refused"):
        await fetch(status_port)


def names(value: object) -> Iterator[str]:
    """Every key, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner)


async def test_every_field_is_described() -> None:
    async with running() as (bridge, _, status_port), GatewayClient("127.0.0.1", bridge.server.port):
        status = await fetch(status_port)
    found = {*names(status), *names(await elm_status())}
    words = set(re.findall(r"`([a-z0-9_]+)`", (ROOT / "docs" / "status.md").read_text()))
    assert found - words == set()


# -- the server


@contextlib.asynccontextmanager
async def serving(report: Callable[[], dict[str, object]]) -> AsyncIterator[StatusServer]:
    server = StatusServer(report, 0)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await until(lambda: not server.visitors)


async def test_only_this_computer_is_answered() -> None:
    async with serving(dict) as server:
        assert server._listener is not None
        assert [sock.getsockname()[0] for sock in server._listener.sockets] == ["127.0.0.1"]


async def test_a_taken_port_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("openkline").propagate = True
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = StatusServer(dict, taken.getsockname()[1])
        await server.start()
        await server.stop()
    assert "--status-port names another port" in caplog.text


async def test_visitors_who_do_not_read_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openkline.bridge.status._LEAVE_S", 60)
    async with serving(lambda: {"openkline": "x" * (6 << 20)}) as server:
        socks = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MAX_VISITORS)]
        try:
            await until(lambda: len(server.visitors) == MAX_VISITORS)
            with pytest.raises(GatewayError):
                await fetch(server.port)
            assert server.refused == 1
        finally:
            for sock in socks:
                sock.close()


async def test_a_visitor_who_does_not_read_has_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openkline.bridge.status._LEAVE_S", 0.05)
    async with serving(lambda: {"openkline": "x" * (6 << 20)}) as server:
        with socket.create_connection(("127.0.0.1", server.port)):
            await until(lambda: server.served == 1)
            await until(lambda: not server.visitors)


async def test_whoever_talks_without_end_is_no_bridge() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    with pytest.raises(GatewayError, match="is not an openkline bridge"):
        await fetch(server.sockets[0].getsockname()[1], timeout_s=30)
    server.close()


async def test_who_talks_is_not_heard() -> None:
    async with serving(lambda: {"openkline": "1"}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(OSError):
            writer.write(b"GET / HTTP/1.1\r\n\r\n" * 1000)
            await reader.read()
        writer.close()
        await until(lambda: not server.visitors)
        assert await fetch(server.port) == {"openkline": "1"}


async def test_asking_often_costs_little() -> None:
    made = 0

    def report() -> dict[str, object]:
        nonlocal made
        made += 1
        return {"openkline": "1"}

    async with serving(report) as server:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for _ in range(50):
            await fetch(server.port)
        assert made <= 1 + (loop.time() - begun_s) / 0.1
        assert server.served == 50


def test_default_ports() -> None:
    assert [default_port(port) for port in (4287, 2, 1)] == [4286, 1, 0]


# -- the command


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["status", *words])


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], int]]:
    """A program that answers each connection with these bytes; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    answers: list[bytes] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sock.sendall(answers[0])
                sock.close()

    thread = threading.Thread(target=serve, daemon=True)

    def start(answer: bytes) -> int:
        answers.append(answer)
        thread.start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


async def a_status() -> dict[str, Any]:
    async with running() as (bridge, port, status_port), GatewayClient("127.0.0.1", bridge.server.port):
        port.board.send_frame(frames(1)[0])
        await until(lambda: bridge.device.counters.frames)
        return await fetch(status_port)


def test_the_command_shows_it_to_people_and_programs(answering: Callable[[bytes], int]) -> None:
    status = asyncio.run(a_status())
    status["problems"] = ["the wire is on fire"]
    port = str(answering(json.dumps(status).encode()))
    result = run("--status-port", port)
    assert result.exit_code == 0
    for words in ("ready, FAKE", "1 frame,", "1 of 8 on 127.0.0.1", "connected", "! the wire is on fire"):
        assert words in result.output
    result = run("-p", str(int(port) + 1), "--json")
    assert result.exit_code == 0
    assert json.loads(result.output) == status
    assert result.output.count("\n") == 1


def test_the_command_shows_who_drives_the_elm327(answering: Callable[[bytes], int]) -> None:
    status = asyncio.run(elm_status())
    output = run("--status-port", str(answering(json.dumps(status).encode()))).output
    assert re.search(r"elm327 +2 of 3 on 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+ drives *\n", output), output


def test_no_bridge_is_exit_status_6() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = run("--status-port", str(unused.getsockname()[1]))
    assert result.exit_code == 6
    assert "no bridge answers with its status" in result.output


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n", b"[]", b"{}", b"[" * 100_000, b"\xff"])
def test_another_program_there_is_exit_status_6(answering: Callable[[bytes], int], answer: bytes) -> None:
    result = run("--status-port", str(answering(answer)))
    assert result.exit_code == 6
    assert "is not an openkline bridge" in result.output


def test_a_bridge_of_another_version_is_told_from_a_crash(answering: Callable[[bytes], int]) -> None:
    result = run("--status-port", str(answering(b'{"openkline": "9.0", "device": []}')))
    assert result.exit_code == 1
    assert "openkline 9.0" in result.output
