"""A web page reaches no server of ours: what a browser sends ends its connection before any of it has an effect."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select

import pytest

from openkline.bridge.status import StatusServer
from openkline.elm.pseudo import PseudoPort
from openkline.net.web import WebGuard, WebWatch

from .browsers import GREETINGS
from .elm_serving import Client, until
from .elm_serving import serving as elm_serving
from .openbm.conftest import serving as gateway_serving
from .openbm.raw import MESSAGE

GREETED = pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
SIZES = pytest.mark.parametrize("size", [1, 7, 1 << 20], ids="pieces of {}".format)


async def pour(writer: asyncio.StreamWriter, data: bytes, size: int) -> None:
    """In pieces, each of which the server has read before the next is sent (the two share one loop)."""
    with contextlib.suppress(ConnectionError):
        for i in range(0, min(len(data), 10_000 * size), size):
            writer.write(data[i : i + size])
            await writer.drain()
            await asyncio.sleep(0)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Until the server has closed the connection."""
    got = b""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(4096):
                got += piece
    return got


@GREETED
@SIZES
async def test_at_the_elm327(greeting: bytes, size: int) -> None:
    async with elm_serving() as (server, line):
        client = await Client.connect(server)
        await pour(client.writer, greeting, size)
        assert b">" not in await rest(client.reader), "no prompt: nothing was answered"
        await until(lambda: not server.clients and server.driver is None and not server.changing)
        assert {type(operation).__name__ for operation in line.ran} <= {"Close"}
        good = await Client.connect(server)
        assert await good.ask("ATI") == b"ATI\rELM327 v1.5\r\r>"
        await good.close()


async def test_at_the_elm327_while_another_leaves() -> None:
    """What a client sends before it is its turn is kept, but not a browser's."""
    async with elm_serving() as (server, line):
        line.tidying.clear()
        one = await Client.connect(server)
        await one.ask("ATE0")
        await one.close()
        await until(lambda: server.changing)
        web = await Client.connect(server)
        await pour(web.writer, GREETINGS["a large body"], 1 << 20)
        assert await rest(web.reader) == b""
        line.tidying.set()
        await until(lambda: not server.changing)
        assert len(line.ran) == 1


async def test_in_the_middle_of_a_session() -> None:
    async with elm_serving() as (server, line):
        client = await Client.connect(server)
        await client.ask("ATE0")
        client.send(GREETINGS["POST"])
        assert await rest(client.reader) == b""
        await until(lambda: not server.clients and not server.changing)
        assert len(line.ran) == 1  # the end of the session


@GREETED
async def test_at_the_pty(greeting: bytes) -> None:
    """A program may pass a TCP port on to it. The pty can't be closed for one client: it is deaf to that one."""
    async with elm_serving() as (server, line):
        pseudo = PseudoPort(server)
        fd = os.open(pseudo.start(), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            await until(lambda: server.clients)
            for i in range(0, min(len(greeting), 20_000), 1000):
                await until(lambda: select.select([], [fd], [], 0)[1])
                os.write(fd, greeting[i : i + 1000])
            await until(lambda: not server.clients and server.driver is None and not server.changing)
            assert {type(operation).__name__ for operation in line.ran} <= {"Close"}
        finally:
            os.close(fd)
            pseudo.stop()


@GREETED
@SIZES
async def test_at_the_gateway(greeting: bytes, size: int) -> None:
    async with gateway_serving() as gateway:
        assert gateway.bus is not None and gateway.server is not None
        raw = await gateway.open()
        await pour(raw.writer, greeting, size)
        assert await rest(raw.reader) == b""
        port = await gateway.reserve()
        reader, writer = await asyncio.open_connection(gateway.host, port)
        await pour(writer, greeting, size)
        assert await rest(reader) == b""
        await until(lambda: gateway.server.counters.web == 1)
        assert gateway.bus.sent == []
        await (await gateway.join()).ping()


async def test_an_honest_client_is_not_kept_waiting() -> None:
    """Its first message is handled with its last byte, even if it looks like text for a while."""
    async with gateway_serving() as gateway:
        assert gateway.bus is not None
        raw = await gateway.join()
        for byte in MESSAGE:
            await raw.send(bytes((byte,)))
        await until(lambda: gateway.bus.sent)


@GREETED
async def test_at_the_status_port(greeting: bytes) -> None:
    server = StatusServer(lambda: {"openkline": "1"}, 0)
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await pour(writer, greeting, 1 << 20)
        got = await rest(reader)
        assert not got or json.loads(got) == {"openkline": "1"}
    finally:
        await server.stop()


@GREETED
@pytest.mark.parametrize("cut", range(8))
def test_split_anywhere(greeting: bytes, cut: int) -> None:
    for at in range(cut, min(len(greeting), 800), 8):
        watch, guard = WebWatch(), WebGuard()
        assert [watch.found(piece) for piece in (greeting[:at], greeting[at:])].count(True) >= 1
        assert guard.admit(greeting[:at]) == b"" and (guard.found or guard.admit(greeting[at:]) == b"")
        assert guard.found


@pytest.mark.parametrize(
    "line", [b"ATZ\r", b"01 0C 1\r", b"ATSP5\r\n", b"", b"\r\r", b"AT@3HTTP/1.1....\r", b"\x16\x03\r", b"http/1.1\r"]
)
def test_what_is_no_browser(line: bytes) -> None:
    watch = WebWatch()
    assert not any(watch.found(line) for _ in range(3))


def test_a_binary_beginning_passes_at_once() -> None:
    for start in (MESSAGE, bytes(8), b"\xaa" * 8, bytes.fromhex("16 03 02 00 64 00 00 00 01 02")):
        guard = WebGuard()
        got = b""
        for byte in start:
            got += guard.admit(bytes((byte,))) if not guard.decided else bytes((byte,))
        assert got == start and not guard.found
