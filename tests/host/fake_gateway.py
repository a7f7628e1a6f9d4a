"""Gateways that misbehave, for tests of clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.ports import free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def fake_gateway(main: Handler, session: Handler | None = None) -> AsyncIterator[int]:
    """Servers on a port and the next one, which behave as badly as the handlers do."""
    port = free_port()
    servers = [await asyncio.start_server(main, "127.0.0.1", port)]
    if session is not None:
        servers.append(await asyncio.start_server(session, "127.0.0.1", port + 1))
    try:
        yield port
    finally:
        for server in servers:
            server.close()


def says_connect(port: list[int]) -> Handler:
    async def main(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"\x63\x74\0\0" + (port[0] + 1).to_bytes(2, "little") + b"\0\0")
        writer.close()

    return main
