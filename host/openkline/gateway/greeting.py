"""The first connection of a client to a gateway: Hello to the main port, and the answer is the port for the session."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from openkline.errors import GatewayBusy
from openkline.gateway.wire import HELLO, Connect, Disconnect, Parser
from openkline.lazy import LazyModule
from openkline.net.access import host_port

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")


async def ask_for_port(host: str, port: int) -> int:
    """The port that the gateway at host:port has reserved for us. GatewayBusy, OSError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(HELLO)
        parser = Parser(to_gateway=False)
        while chunk := await reader.read(64):
            for message in parser.feed(chunk):
                if isinstance(message, Connect):
                    return message.port
                if isinstance(message, Disconnect):
                    raise GatewayBusy(f"the gateway at {host_port(host, port)} has no free slot")
        raise ConnectionError("closed without an answer to Hello")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
