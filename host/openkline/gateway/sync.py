"""A gateway for a plain script, which has no asyncio of its own.

    with openkline.connect() as bus:
        bus.send(0x68, 0x18, b"\\x01")
        for message in bus:
            print(message.source, message.destination, message.data)

Behind it a GatewayClient lives in a thread, so the gateway's pings are answered whatever the script does meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar

from openkline.errors import GatewayLost
from openkline.gateway.client import GatewayClient
from openkline.gateway.wire import DEFAULT_PRIORITY, Data, FirmwareVersion

T = TypeVar("T")


class SyncGateway:
    """A connected GatewayClient whose calls wait. To be used by one thread; close() it, or use `with`."""

    def __init__(self, client: GatewayClient) -> None:
        """GatewayUnreachable, GatewayBusy."""
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openkline gateway client", daemon=True)
        self._thread.start()
        try:
            self._wait_for(client.connect())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SyncGateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, source: int, destination: int, data: bytes, priority: int = DEFAULT_PRIORITY) -> None:
        """One message for the bus. ValueError: no such message; GatewayLost: not connected (with reconnect: waits)."""
        self._wait_for(self._client.send(source, destination, data, priority))

    def receive(self, timeout_s: float | None = None) -> Data | None:
        """The next message; None when timeout_s are over before there is one. GatewayLost: the connection is gone."""
        try:
            message = self._wait_for(self._next(timeout_s))
        except TimeoutError:
            return None
        if message is None:
            raise GatewayLost(f"the connection to {self._client.host} is gone")
        return message

    def __iter__(self) -> Iterator[Data]:
        """Messages until the connection is gone."""
        while (message := self._wait_for(self._next(None))) is not None:
            yield message

    def firmware_version(self) -> FirmwareVersion:
        """Major and minor of the interface's firmware; 0.0: the gateway doesn't know. TimeoutError."""
        return self._wait_for(self._client.firmware_version())

    def close(self) -> None:
        """Let the gateway take what was sent, say goodbye, end the thread."""
        if self._loop.is_closed():
            return
        try:
            self._wait_for(self._client.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _next(self, timeout_s: float | None) -> Data | None:
        """None: no more will come."""
        async with asyncio.timeout(timeout_s):
            return await anext(self._client, None)

    def _wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            coroutine.close()
            raise GatewayLost(f"the connection to {self._client.host} has been closed")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C: else it would take a message that nobody gets
            raise


def connect(
    host: str = "127.0.0.1", port: int = 4287, *, reconnect: bool = False, timeout_s: float = 5.0
) -> SyncGateway:
    """Join a gateway: `with connect() as bus: ..`. See GatewayClient. GatewayUnreachable, GatewayBusy."""
    return SyncGateway(GatewayClient(host, port, reconnect=reconnect, timeout_s=timeout_s))
