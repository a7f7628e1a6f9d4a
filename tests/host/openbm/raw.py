"""A client made of bytes: nothing in it knows the gateway's code."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from openkline.gateway.server import GatewayServer

from .fakebus import FakeBus

HELLO = bytes.fromhex("68 69 00 00 00 00 00 00")
PING = bytes.fromhex("AA AA 00 00 00 00 00 00")
DISCONNECT = bytes(8)
FRAME = bytes.fromhex("80 04 BF 11 01 2B")
TOLD = bytes.fromhex("80 BF 02 00 64 00 00 00 11 01")  # what clients get of FRAME
MESSAGE = bytes.fromhex("68 18 01 00 64 00 00 00 01")
PATIENCE_S = 10.0  # only ever waited for when something is broken


async def until(condition: Callable[[], object], what: str = "condition") -> None:
    """Wait for it, turn by turn of the loop."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"{what} did not come true in {PATIENCE_S} s") from None


class Raw:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, host: str, port: int) -> Raw:
        async with asyncio.timeout(PATIENCE_S):
            return cls(*await asyncio.open_connection(host, port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read(self, n: int) -> bytes:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.reader.readexactly(n)
        except asyncio.IncompleteReadError as error:
            raise AssertionError(f"closed after {error.partial.hex(' ')!r}, {n} bytes were to come") from None

    async def expect(self, data: bytes) -> None:
        got = await self.read(len(data))
        assert got.hex(" ") == data.hex(" ")

    async def message(self) -> bytes:
        """The next message, whole: header, and its data if it has some."""
        header = await self.read(8)
        return header + await self.read(header[2]) if header[2] else header

    async def expect_end(self, after_s: float = 0.0) -> None:
        """The gateway closes, and says nothing before; after_s: when it is expected to."""
        try:
            async with asyncio.timeout(after_s + PATIENCE_S):
                rest = await self.reader.read()
        except ConnectionError:
            rest = b""
        assert rest.hex(" ") == ""

    async def ping(self) -> None:
        """Also shows that everything sent before has been handled, and that nothing else came back."""
        await self.send(PING)
        await self.expect(PING)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def reset(self) -> None:
        """Close with a reset, as a crash of the other computer's program may do."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.close()


def port_of(connect: bytes) -> int:
    assert connect[:4].hex(" ") == "63 74 00 00", connect.hex(" ")
    assert connect[6:].hex(" ") == "00 00"
    return int(connect[4]) | int(connect[5]) << 8


def message(source: int, destination: int, data: bytes, priority: int = 100) -> bytes:
    return bytes((source, destination, len(data), 0)) + priority.to_bytes(2, "little", signed=True) + b"\0\0" + data


@dataclass
class Gateway:
    """The gateway under test. bus and server: None when it is somebody else's."""

    host: str
    port: int
    clients: int
    alive_s: float
    bus: FakeBus | None = None
    server: GatewayServer | None = None
    opened: list[Raw] = field(default_factory=list)
    reserved: set[int] = field(default_factory=set)

    async def open(self, port: int | None = None) -> Raw:
        self.reserved.discard(port or 0)
        raw = await Raw.open(self.host, port or self.port)
        self.opened.append(raw)
        return raw

    async def greet(self, hello: bytes = HELLO) -> bytes:
        """Say Hello; returns the eight bytes of the answer."""
        raw = await self.open()
        await raw.send(hello)
        answer = await raw.read(8)
        if answer[:4] == b"\x63\x74\0\0":
            self.noted(answer)
        await raw.close()
        return answer

    def noted(self, connect: bytes) -> int:
        """The port of this Connect, which is given back in the end if it isn't used."""
        port = port_of(connect)
        self.reserved.add(port)
        return port

    async def reserve(self) -> int:
        return port_of(await self.greet())

    async def join(self) -> Raw:
        """A connected client, known to be served."""
        raw = await self.open(await self.reserve())
        await raw.ping()
        return raw

    async def hear(self, frame: bytes) -> None:
        """This frame, whole, is on the bus; behind a gateway that isn't ours a client of its own sends it."""
        if self.bus is not None:
            self.bus.hear(frame)
            return
        speaker = await self.join()
        told = message(frame[0], frame[2], frame[3:-1])
        await speaker.send(told)
        await speaker.expect(told)
        await speaker.send(DISCONNECT)
        await speaker.expect_end()

    def counted(self, **numbers: int) -> None:
        """Where the gateway is our own, it has counted so many."""
        if self.server is not None:
            counters = self.server.counters
            assert {name: getattr(counters, name) for name in numbers} == numbers

    async def reserve_when_free(self) -> int:
        """As reserve, where a slot is about to become free."""
        async with asyncio.timeout(PATIENCE_S):
            while (answer := await self.greet()) == DISCONNECT:
                await asyncio.sleep(0.005)
        return port_of(answer)

    async def join_when_free(self) -> Raw:
        raw = await self.open(await self.reserve_when_free())
        await raw.ping()
        return raw

    async def close(self) -> None:
        for raw in self.opened:
            await raw.close()

    async def leave(self) -> None:
        """Another gateway is to be as empty for the next test as it was for this one."""
        for raw in self.opened:
            with contextlib.suppress(OSError, RuntimeError):
                raw.writer.write(DISCONNECT)
                await asyncio.wait_for(raw.reader.read(), self.alive_s)
        for port in self.reserved:
            with contextlib.suppress(OSError):
                raw = await Raw.open(self.host, port)
                await raw.send(DISCONNECT)
                await raw.expect_end()
                await raw.close()
        await self._let_the_bus_have_it()
        await self.close()

    async def _let_the_bus_have_it(self) -> None:
        """What clients sent before they left goes out: a message of the lowest priority comes back after all of it."""
        raw, last = await self.join_when_free(), message(0xFF, 0xFF, b"\xee", -32768)
        await raw.send(last)
        while await raw.message() != last[:4] + b"\x64\0\0\0\xee":
            pass
        await raw.send(DISCONNECT)
        await raw.expect_end()


def counters_of(gateway: Gateway) -> object:
    """Those of the first client."""
    assert gateway.server is not None
    return gateway.server.sessions[gateway.port + 1].counters
