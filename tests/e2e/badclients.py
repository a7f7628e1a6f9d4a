"""Clients as one hopes not to have: they die, stall, flood, send garbage, begin and don't go on."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from .rig import HELLO, PING

MESSAGE = bytes.fromhex("F7 BF 02 00 64 00 00 00 00 00")  # source F7: nobody else's
DISCONNECT = bytes(8)

Kind = Callable[["Bad"], Awaitable[None]]


class Bad:
    """One after the other, until cancelled: run() as a task. delivered: messages that surely came through."""

    def __init__(self, port: int, seed: int) -> None:
        self.delivered = 0
        self._port = port
        self._random = random.Random(seed)
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        kinds: list[Kind] = [garbage, flood, upload, half, reset, stall, silent, at_the_door]
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(self._random.uniform(0.2, 2.0)):
                    await self._random.choice(kinds)(self)

    def bytes(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randrange(1, most))

    async def open(self, port: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Small buffers and segments: who doesn't read is felt by the gateway soon."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        sock.setblocking(False)
        try:
            await self._loop.sock_connect(sock, ("127.0.0.1", port or self._port))
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await self.open()
        try:
            writer.write(HELLO)
            answer = await reader.readexactly(8)
        finally:
            writer.transport.abort()
        if answer[:2] != b"ct":
            raise OSError("full")
        reader, writer = await self.open(int.from_bytes(answer[4:6], "little"))
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def until_closed(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


async def garbage(bad: Bad) -> None:
    async with bad.session() as (reader, writer):
        writer.write(bad.bytes(3000))
        await until_closed(reader)


async def flood(bad: Bad) -> None:
    """More than it may; then it says Disconnect and waits for the end: all of it was taken."""
    async with bad.session() as (reader, writer):
        writer.write(MESSAGE * 300 + DISCONNECT)
        await until_closed(reader)
        bad.delivered += 300


async def upload(bad: Bad) -> None:
    async with bad.session() as (reader, writer):
        writer.write(bytes.fromhex("66 75 FF FF 00 00 02 06") + bytes(5000))
        await until_closed(reader)


async def half(bad: Bad) -> None:
    async with bad.session() as (reader, writer):
        writer.write(MESSAGE[: bad.bytes(9)[0] % 9 + 1])
        await until_closed(reader)


async def reset(bad: Bad) -> None:
    async with bad.session() as (reader, writer):
        await reader.read(50)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def stall(bad: Bad) -> None:
    """Asks for more and more, and doesn't read any of it, until it is thrown out."""
    async with bad.session() as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        while True:
            writer.write(PING * 2000)
            await writer.drain()


async def silent(bad: Bad) -> None:
    """Says Hello and doesn't come; then sits on the main port."""
    reader, writer = await bad.open()
    try:
        writer.write(HELLO)
        await until_closed(reader)
    finally:
        writer.transport.abort()
    reader, writer = await bad.open()
    try:
        await until_closed(reader)
    finally:
        writer.transport.abort()


async def at_the_door(bad: Bad) -> None:
    reader, writer = await bad.open()
    try:
        writer.write(bad.bytes(300))
        await until_closed(reader)
    finally:
        writer.transport.abort()
