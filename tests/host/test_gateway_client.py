"""GatewayClient against our gateway."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.ports import free_port

from openkline.errors import GatewayBusy, GatewayLost, GatewayUnreachable
from openkline.gateway import client as client_module
from openkline.gateway.client import ClientState, GatewayClient
from openkline.gateway.wire import Data, FirmwareVersion

from .openbm.conftest import serving
from .openbm.raw import until

BODY = bytes.fromhex("68 03 18 01")
FRAME = bytes.fromhex("80 04 BF 11 01 2B")


async def test_send_and_hear() -> None:
    async with serving() as gateway, GatewayClient(gateway.host, gateway.port) as client:
        assert gateway.bus is not None
        assert client.state is ClientState.CONNECTED and client.session_port == gateway.port + 1
        await client.send(0x68, 0x18, b"\x01", priority=-7)
        assert await anext(client) == Data(0x68, 0x18, b"\x01", 100)
        assert gateway.bus.sent == [(BODY, -7)]
        gateway.bus.hear(FRAME)
        message = await anext(client)
        assert (message.source, message.destination, message.data) == (0x80, 0xBF, b"\x11\x01")
        assert await client.firmware_version() == FirmwareVersion(2, 6)


async def test_what_is_sent_right_before_closing_goes_out() -> None:
    async with serving() as gateway:
        assert gateway.bus is not None
        for _ in range(10):
            async with GatewayClient(gateway.host, gateway.port) as client:
                await client.send(0x68, 0x18, b"\x01")
        await until(lambda: len(gateway.bus.sent) == 10)  # type: ignore[union-attr]
        assert gateway.server is not None and gateway.server.counters.disconnects == 10


async def test_the_loop_ends_when_the_gateway_stops() -> None:
    async with serving() as gateway, GatewayClient(gateway.host, gateway.port) as client:
        assert gateway.server is not None and gateway.bus is not None
        gateway.bus.hear(FRAME)
        await gateway.server.stop()
        assert [message.source async for message in client] == [0x80]
        assert client.state is ClientState.CLOSED
        with pytest.raises(GatewayLost):
            await client.send(0x68, 0x18, b"\x01")


async def test_the_loop_ends_when_the_client_is_closed() -> None:
    async with serving() as gateway:
        client = GatewayClient(gateway.host, gateway.port)
        await client.connect()

        async def listen() -> int:
            return len([message async for message in client])

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await client.close()
        assert await asyncio.wait_for(listening, 5) == 0
        await client.close()


async def test_pings_keep_it_alive() -> None:
    async with serving(alive_timeout_s=0.3) as gateway:
        assert gateway.server is not None
        async with GatewayClient(gateway.host, gateway.port, ping_s=0.05) as client:
            await asyncio.sleep(0.6)
            assert client.state is ClientState.CONNECTED and client.connections == 1
            assert gateway.server.sessions[client.session_port].counters.pings >= 5


async def test_the_first_ping_comes_after_3_s() -> None:
    assert GatewayClient().ping_s == 3.0


async def test_no_free_slot() -> None:
    async with serving(clients=1) as gateway:
        await gateway.join()
        with pytest.raises(GatewayBusy, match="no free slot"):
            await GatewayClient(gateway.host, gateway.port).connect()


async def test_nobody_there() -> None:
    client = GatewayClient("127.0.0.1", free_port())
    with pytest.raises(GatewayUnreachable, match="no gateway at 127"):
        await client.connect()
    assert client.state is ClientState.CLOSED
    await client.close()


async def test_an_ipv6_address_is_told_in_brackets() -> None:
    port = free_port()
    with pytest.raises(GatewayUnreachable, match=rf"no gateway at \[::1\]:{port}"):
        await GatewayClient("::1", port).connect()


async def test_connect_again_after_the_gateway_has_gone() -> None:
    base = free_port(9)
    client = GatewayClient("127.0.0.1", base)
    for _ in range(2):
        async with serving(port=base) as gateway:
            assert gateway.bus is not None
            await client.connect()
            await client.connect()
            gateway.bus.hear(FRAME)
            assert (await anext(client)).source == 0x80
        assert [message async for message in client] == []
        with pytest.raises(GatewayLost):
            await client.send(0x68, 0x18, b"\x01")
    assert client.connections == 2
    await client.close()


async def test_connecting_can_be_cancelled_and_tried_again() -> None:
    """At every turn of the loop: nothing is left of it, and the gateway has its port back."""
    async with serving(clients=1, alive_timeout_s=0.05) as gateway:
        for turns in range(12):
            client = GatewayClient(gateway.host, gateway.port)
            connecting = asyncio.create_task(client.connect())
            for _ in range(turns):
                await asyncio.sleep(0)
            connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connecting
            await client.close()
            assert client.state is ClientState.CLOSED
            await until(lambda: not gateway.server.sessions and not gateway.server._connecting)  # type: ignore[union-attr]
        await client.connect()
        assert client.state is ClientState.CONNECTED
        await client.close()


async def test_it_comes_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_BACKOFF_MIN_S", 0.01)
    base = free_port(9)
    client = GatewayClient("127.0.0.1", base, reconnect=True)
    try:
        async with serving(port=base) as gateway:
            assert gateway.bus is not None
            await client.connect()
            gateway.bus.hear(FRAME)
            assert (await anext(client)).source == 0x80
        await until(lambda: client.state is not ClientState.CONNECTED)
        sending = asyncio.create_task(client.send(0x68, 0x18, b"\x02"))
        async with serving(port=base) as gateway:
            assert gateway.bus is not None
            await asyncio.wait_for(sending, 10)
            assert (await anext(client)).data == b"\x02"
            assert client.connections == 2
            await client.close()
    finally:
        await client.close()


async def test_a_slow_reader_loses_the_oldest_and_is_told() -> None:
    async with serving() as gateway, GatewayClient(gateway.host, gateway.port, queue=5) as client:
        assert gateway.bus is not None
        for i in range(8):
            gateway.bus.hear(bytes((0x80, 4, 0xBF, 0x11, i, 0)))
        await until(lambda: client.dropped == 3)
        assert [(await anext(client)).data[1] for _ in range(5)] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("source", "destination", "data", "priority", "says"),
    [
        (0x66, 0x75, b"\x01", 100, "firmware upload"),
        (0x68, 0x18, b"", 100, "0 bytes"),
        (0x68, 0x18, bytes(254), 100, "254 bytes"),
        (256, 0x18, b"\x01", 100, "source is 256"),
        (0x68, -1, b"\x01", 100, "destination is -1"),
        (0x68, 0x18, b"\x01", 32768, "priority is 32768"),
    ],
)
async def test_what_cannot_be_sent(source: int, destination: int, data: bytes, priority: int, says: str) -> None:
    async with serving() as gateway, GatewayClient(gateway.host, gateway.port) as client:
        with pytest.raises(ValueError, match=says):
            await client.send(source, destination, data, priority)


async def test_several_listeners_of_one_client_get_each_message_once() -> None:
    async with serving() as gateway, GatewayClient(gateway.host, gateway.port) as client:
        assert gateway.bus is not None
        heard: list[int] = []

        async def listen() -> None:
            async for message in client:
                heard.append(message.data[1])  # noqa: PERF401

        tasks = [asyncio.create_task(listen()) for _ in range(3)]
        for i in range(30):
            gateway.bus.hear(bytes((0x80, 4, 0xBF, 0x11, i, 0)))
            await asyncio.sleep(0)
        await until(lambda: len(heard) == 30)
        assert sorted(heard) == list(range(30))
        await client.close()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
