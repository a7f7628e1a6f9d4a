"""The status of a running bridge: a TCP port that only this computer reaches.

Each connection gets one JSON object (docs/status.md), one line, and is closed. Nothing is read from it, so a client can
ask for nothing and change nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from openkline.documents import parse_json
from openkline.errors import GatewayError

log = logging.getLogger("openkline.bridge.status")

HOST = "127.0.0.1"  # always, whatever address the gateway listens on
_LOCAL = (HOST, "localhost", "::1")
MAX_VISITORS = 16
_LEAVE_S = 5.0  # then a visitor that doesn't read is gone
_FRESH_S = 0.1  # an answer is given again for so long: asking without pause costs little
_MAX_ANSWER = 1 << 22
_TIMEOUT_S = 5.0


def default_port(gateway_port: int) -> int:
    """The one below the gateway's; 0: there is none."""
    return max(gateway_port - 1, 0)


class _Visitor(asyncio.Protocol):
    def __init__(self, server: StatusServer) -> None:
        self._server = server
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self.transport = transport
        self._timer = asyncio.get_running_loop().call_later(_LEAVE_S, transport.abort)
        answer = self._server.arrived(self)
        if answer is None:
            transport.abort()
        else:
            transport.write(answer)
            transport.close()  # when the last byte is out

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._server.visitors.discard(self)


class StatusServer:
    """start(), then it answers; stop(). report: makes the object, of values that JSON knows."""

    def __init__(self, report: Callable[[], dict[str, object]], port: int) -> None:
        """port 0: any free one; .port is it after start()."""
        self.port = port
        self.served = self.refused = 0
        self.visitors: set[_Visitor] = set()
        self._report = report
        self._listener: asyncio.Server | None = None
        self._answer = b""
        self._answered_s = 0.0

    async def start(self) -> None:
        """Listen. A port that can't be had is a warning; the bridge goes on without it."""
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(lambda: _Visitor(self), HOST, self.port, backlog=MAX_VISITORS)
        except OSError as error:
            log.warning(
                "port %d is not available (%s): `openkline status` will not work; --status-port names another port",
                self.port,
                error.strerror or error,
            )
            return
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for visitor in list(self.visitors):
            visitor.transport.abort()

    def stats(self) -> dict[str, object]:
        return {}

    def trouble(self) -> str:
        return ""

    def arrived(self, visitor: _Visitor) -> bytes | None:
        """The answer; None: too many are here already."""
        self.visitors.add(visitor)
        if len(self.visitors) > MAX_VISITORS:
            self.refused += 1
            return None
        self.served += 1
        now_s = asyncio.get_running_loop().time()
        if not self._answer or now_s - self._answered_s >= _FRESH_S:
            self._answer = json.dumps(self._report()).encode() + b"\n"
            self._answered_s = now_s
        return self._answer


async def fetch(port: int, timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
    """The object of the bridge whose status port that is. GatewayError: there is none, or something else."""
    try:
        async with asyncio.timeout(timeout_s):
            text = await _read(port)
    except (OSError, TimeoutError) as error:
        raise GatewayError(
            f"no bridge answers with its status on {HOST}:{port} ({_reason(error)}). Is one running on this computer? "
            "-p names its port if it isn't the usual one, --status-port the port of its status"
        ) from error
    try:
        status = parse_json(text)
        if not isinstance(status, dict) or "openkline" not in status:
            raise ValueError("no status")
    except ValueError as error:
        raise GatewayError(f"what answers on {HOST}:{port} is not an openkline bridge") from error
    return status


async def fetch_beside(host: str, gateway_port: int) -> dict[str, Any] | None:
    """Of the bridge with this gateway, if it runs here and its status port is the usual one; else None."""
    if host not in _LOCAL or not default_port(gateway_port):
        return None
    try:
        found = await fetch(default_port(gateway_port))
    except GatewayError:
        return None
    return found if found.get("gateway", {}).get("port") == gateway_port else None


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(error) or "no answer"


async def _read(port: int) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        text = b""
        while len(text) <= _MAX_ANSWER and (data := await reader.read(65536)):
            text += data
        return text
    finally:
        writer.close()
