"""An ELM327 server on a real socket, with a line that does what the test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from openkline.elm.backend import Hear
from openkline.elm.operations import Close, Exchange, Monitor, Operation, Outcome
from openkline.elm.options import ElmOptions
from openkline.elm.server import ElmServer

KWP_RPM = bytes.fromhex("84 F1 10 41 0C 0D 20 FF")


class ScriptedLine:
    """Answers at once, unless `hang` names an operation; then until it is cancelled."""

    def __init__(self) -> None:
        self.ran: list[Operation] = []
        self.cancelled: list[Operation] = []
        self.hang: tuple[type[Operation], ...] = (Monitor,)
        self.tidying = asyncio.Event()
        self.tidying.set()
        self.hear: Hear = lambda message, good: None
        self.busy = 0

    async def run(self, operation: Operation, hear: Hear) -> Outcome:
        assert not self.busy, "two operations at once"
        self.busy += 1
        try:
            self.ran.append(operation)
            self.hear = hear
            if isinstance(operation, self.hang):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled.append(operation)
                    raise
            if isinstance(operation, Close):
                await self.tidying.wait()
            if isinstance(operation, Exchange):
                hear(KWP_RPM, True)
            return Outcome(key_bytes=b"\xe9\x8f")
        finally:
            self.busy -= 1


@contextlib.asynccontextmanager
async def serving(**options: object) -> AsyncIterator[tuple[ElmServer, ScriptedLine]]:
    line = ScriptedLine()
    server = ElmServer(line, ElmOptions(port=0, **options))  # type: ignore[arg-type]
    await server.start()
    try:
        yield server, line
    finally:
        line.tidying.set()
        await server.stop()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, server: ElmServer) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, end: bytes = b">") -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readuntil(end)

    async def ask(self, line: str) -> bytes:
        self.send(line.encode() + b"\r")
        return await self.read()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
