"""GatewayClient against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from openkline.errors import GatewayLost, GatewayUnreachable
from openkline.gateway import client as client_module
from openkline.gateway.client import ClientState, GatewayClient

from .fake_gateway import fake_gateway, says_connect
from .openbm.raw import DISCONNECT, HELLO, PING, until


async def test_no_answer_to_hello() -> None:
    hold = asyncio.Event()

    async def main(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    async with fake_gateway(main) as port:
        with pytest.raises(GatewayUnreachable, match="no answer"):
            await GatewayClient("127.0.0.1", port, timeout_s=0.1).connect()
        hold.set()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 400 Bad Request\r\n\r\n", HELLO, PING, b"\x63\x74"])
async def test_something_else_is_there(answer: bytes) -> None:
    async def main(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with fake_gateway(main) as port:
        with pytest.raises(GatewayUnreachable):
            await GatewayClient("127.0.0.1", port, timeout_s=0.5).connect()


async def test_a_gateway_that_no_longer_answers_pings_is_left() -> None:
    port = [0]
    pings = 0

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal pings
        with contextlib.suppress(ConnectionError):
            while await reader.read(8):
                pings += 1
        writer.close()

    async with fake_gateway(says_connect(port), session) as port[0]:
        client = GatewayClient("127.0.0.1", port[0], ping_s=0.03)
        await client.connect()
        assert [message async for message in client] == []
        assert pings == 3, "a ping, and two more tries"
        await client.close()


@contextlib.asynccontextmanager
async def stalled(says: bytes = b"") -> AsyncIterator[tuple[GatewayClient, asyncio.Task[None]]]:
    """A client that sends to a gateway that doesn't read, until nothing more goes in; then that says something."""
    port, full, over = [0], asyncio.Event(), asyncio.Event()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await full.wait()
        writer.write(says)
        await over.wait()
        writer.transport.abort()

    async with fake_gateway(says_connect(port), session) as port[0]:
        client = GatewayClient("127.0.0.1", port[0])
        await client.connect()
        assert client._writer is not None
        transport = client._writer.transport

        async def flood() -> None:
            while True:
                await client.send(0x68, 0x18, bytes(200))

        flooding = asyncio.create_task(flood())
        await until(lambda: transport.get_write_buffer_size() > 65536)
        full.set()
        try:
            yield client, flooding
        finally:
            over.set()
            await client.close()


async def test_a_gateway_that_does_not_read_keeps_nobody_from_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_CLOSE_S", 0.05)
    async with stalled() as (client, flooding):
        await asyncio.wait_for(client.close(), 5)
        assert client.state is ClientState.CLOSED
        with pytest.raises(GatewayLost):
            await flooding


async def test_a_gateway_that_reads_slowly_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours reads 16 KB a second from each client: more than it takes in a second is no reason to give up."""
    monkeypatch.setattr(client_module, "_CLOSE_S", 0.02)
    monkeypatch.setattr(client_module, "_CLOSE_TRIES", 500)
    port, got = [0], 0

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        while chunk := await reader.read(400_000):
            got += len(chunk)
            await asyncio.sleep(0.02)
        writer.close()

    async with fake_gateway(says_connect(port), session) as port[0]:
        client = GatewayClient("127.0.0.1", port[0])
        await client.connect()
        assert client._writer is not None
        client._writer.write(bytes(8_000_000))  # more than systems buffer
        await client.close()
        await until(lambda: got == 8_000_000 + len(DISCONNECT))


async def test_a_gateway_that_says_disconnect_and_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_CLOSE_S", 0.05)
    async with stalled(DISCONNECT) as (client, flooding):
        assert [message async for message in client] == []
        await until(lambda: client.state is ClientState.CLOSED)
        with pytest.raises(GatewayLost):
            await flooding


async def test_data_in_any_pieces() -> None:
    port = [0]

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = bytes.fromhex("80 BF 02 00 64 00 00 00 11 01") * 3 + bytes.fromhex("66 75 02 00 64 00 00 00 01 02")
        for i in range(len(raw)):
            writer.write(raw[i : i + 1])
            await asyncio.sleep(0)
        writer.write(DISCONNECT)
        writer.close()

    async with (
        fake_gateway(says_connect(port), session) as port[0],
        GatewayClient("127.0.0.1", port[0]) as client,
    ):
        sources = [message.source async for message in client]
    assert sources == [0x80] * 3 + [0x66]


async def test_it_tries_again_more_and_more_slowly_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_BACKOFF_MIN_S", 0.02)
    monkeypatch.setattr(client_module, "_BACKOFF_MAX_S", 0.08)
    loop = asyncio.get_running_loop()
    greeted: list[float] = []
    port = [0]

    async def main(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        greeted.append(loop.time())
        if len(greeted) == 1:
            writer.write(b"\x63\x74\0\0" + (port[0] + 1).to_bytes(2, "little") + b"\0\0")
        writer.close()

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with fake_gateway(main, session) as port[0]:
        client = GatewayClient("127.0.0.1", port[0], reconnect=True)
        await client.connect()
        await until(lambda: len(greeted) == 14)  # without a limit that would be two minutes
        await client.close()
    pauses_s = [after - before for before, after in pairwise(greeted)]
    for pause_s, at_least_s in zip(pauses_s, (0.02, 0.04, 0.08, 0.08, 0.08), strict=False):
        assert pause_s >= 0.9 * at_least_s - 0.001
