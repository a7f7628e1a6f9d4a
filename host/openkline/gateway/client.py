"""A client of an OpenBM gateway, ours or any other.

    async with GatewayClient("127.0.0.1", 4287) as client:
        await client.send(0x68, 0x18, b"\\x01")
        async for message in client:
            print(message.source, message.destination, message.data, message.priority)

    CLOSED -> GREETING -> CONNECTED -> CLOSED            close(), or the connection is gone
                 ^------------'                          with reconnect=True, after a pause of 0.25 s to 5 s

What the bus carried before connecting, or while reconnecting, is not heard. A copy of what we send comes back when it
has been on the bus.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import random
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

from openkline.errors import GatewayError, GatewayLost, GatewayUnreachable
from openkline.gateway.greeting import ask_for_port
from openkline.gateway.wire import (
    DEFAULT_PRIORITY,
    DISCONNECT,
    MAX_BUS_DATA,
    PING,
    Data,
    Disconnect,
    FirmwareVersion,
    InitFirmwareUpdate,
    Message,
    Parser,
    Ping,
    UploadStatus,
    encode,
)
from openkline.lazy import LazyModule
from openkline.net.access import host_port
from openkline.words import plural

if TYPE_CHECKING:
    import asyncio

    from openkline.gateway.upload import Upload
    from openkline.update.errors import Progress
else:
    asyncio = LazyModule("asyncio")

log = logging.getLogger("openkline.gateway.client")

GatewayMessage: TypeAlias = Data

_BACKOFF_MIN_S, _BACKOFF_MAX_S = 0.25, 5.0
_MISSED_PINGS = 3  # the page: a ping is tried twice more, then the connection has died
_CLOSE_S = 1.0  # for the gateway to close its side
_CLOSE_TRIES = 10  # so often, as long as something waits for it


class ClientState(enum.Enum):
    CLOSED = "closed"
    GREETING = "greeting"
    CONNECTED = "connected"


class GatewayClient:
    """One session with a gateway; when it is over, a reader's loop ends and send() raises GatewayLost.

    reconnect   come back by itself until close(); then loops go on and send() waits
    timeout_s   for each step of connecting;  ping_s: between two pings
    queue       messages kept for a slow reader; then the oldest are dropped, counted in `dropped`
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 4287,
        *,
        reconnect: bool = False,
        timeout_s: float = 5.0,
        ping_s: float = 3.0,
        queue: int = 4096,
    ) -> None:
        self.host, self.port = host, port
        self._where = host_port(host, port)
        self.reconnect = reconnect
        self.timeout_s, self.ping_s = timeout_s, ping_s
        self.session_port = 0
        self.dropped = 0
        self.connections = 0
        self.firmware: FirmwareVersion | None = None
        self._upload: Upload | None = None
        self._parser = Parser(to_gateway=False)
        self._queue: deque[Data] = deque()
        self._limit = queue
        self._state = ClientState.CLOSED
        self._changed = asyncio.Event()
        self._closing = False
        self._unanswered = 0
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    # -- life

    async def __aenter__(self) -> GatewayClient:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def state(self) -> ClientState:
        return self._state

    async def connect(self) -> None:
        """Say Hello and connect to the port we are given, unless connected. GatewayUnreachable, GatewayBusy."""
        if self._task is not None and not self._task.done():
            return
        self._closing = False
        reader = await self._open()
        self._task = asyncio.create_task(self._run(reader), name="openkline gateway client")

    async def close(self) -> None:
        """Say Disconnect, let the gateway take what was sent before, close."""
        self._closing = True
        writer, task = self._writer, self._task
        if writer is not None and task is not None:
            with contextlib.suppress(OSError):
                writer.write(DISCONNECT)
                writer.write_eof()
                await self._taken(writer, task)
            writer.transport.abort()  # a gateway that doesn't read would keep what waits for it, and us, for ever
        self._task = None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._set_state(ClientState.CLOSED)

    async def _taken(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        """Until the gateway closes, which ends the task; longer where it is slow to take what waits for it."""
        for _ in range(_CLOSE_TRIES):
            if (await asyncio.wait((task,), timeout=_CLOSE_S))[0] or not writer.transport.get_write_buffer_size():
                return

    # -- use

    async def send(self, source: int, destination: int, data: bytes, priority: int = DEFAULT_PRIORITY) -> None:
        """One message for the bus. ValueError: no such message; GatewayLost: not connected (with reconnect: waits)."""
        if (source, destination) == (0x66, 0x75):
            raise ValueError("66 75 means a firmware upload to a gateway: no message to the bus can be sent so")
        if not 1 <= len(data) <= MAX_BUS_DATA:
            raise ValueError(f"data has {plural(len(data), 'byte')}, must be 1..{MAX_BUS_DATA}")
        raw = encode(source, destination, bytes(data), priority)
        while self._state is not ClientState.CONNECTED or self._writer is None:
            if self._task is None or self._task.done():
                raise GatewayLost(f"not connected to {self._where}")
            await self._change()
        try:
            self._writer.write(raw)
            await self._writer.drain()
        except OSError as error:
            raise GatewayLost(f"the connection to {self._where} is gone ({error})") from error

    async def firmware_version(self) -> FirmwareVersion:
        """Major and minor of the interface's firmware; 0.0: the gateway doesn't know. TimeoutError."""
        if self._writer is None:
            raise GatewayLost(f"not connected to {self._where}")
        self.firmware = None
        self._writer.write(FirmwareVersion().to_bytes())
        async with asyncio.timeout(self.timeout_s):
            while self.firmware is None:
                await self._change()
        return self.firmware

    async def update(
        self, bundle: bytes, password: int, version: tuple[int, int] = (0, 0), progress: Progress = lambda count: None
    ) -> None:
        """Update the board's firmware; returns when the board has verified the bundle and restarts into it.

        progress(count): so many bytes are safe on the board. UpdateError: refused, and with which code
        """
        from openkline.gateway.upload import Upload
        from openkline.update.errors import ERROR_OTHER_CLIENT, UpdateError

        if self._writer is None:
            raise GatewayLost(f"not connected to {self._where}")
        if self._upload is not None:
            raise UpdateError(ERROR_OTHER_CLIENT)
        self._upload = Upload(self._writer.write, bundle, version, password, progress)
        self._parser.expect_answers(len(bundle))
        try:
            await self._upload.run()
        finally:
            self._upload = None

    def __aiter__(self) -> AsyncIterator[Data]:
        return self

    async def __anext__(self) -> Data:
        while not self._queue:
            if self._task is None or self._task.done():
                raise StopAsyncIteration
            await self._change()
        return self._queue.popleft()

    # -- the connection

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _set_state(self, state: ClientState) -> None:
        self._state = state
        self._changed.set()

    async def _open(self) -> asyncio.StreamReader:
        self._set_state(ClientState.GREETING)
        try:
            async with asyncio.timeout(self.timeout_s):
                self.session_port = await ask_for_port(self.host, self.port)
            async with asyncio.timeout(self.timeout_s):
                reader, self._writer = await asyncio.open_connection(self.host, self.session_port)
        except (OSError, TimeoutError) as error:
            self._set_state(ClientState.CLOSED)
            why = "no answer" if isinstance(error, TimeoutError) else str(error)
            raise GatewayUnreachable(f"no gateway at {self._where} ({why}). Does a bridge run there?") from error
        except BaseException:
            self._set_state(ClientState.CLOSED)
            raise
        self._parser = Parser(to_gateway=False)
        self.connections += 1
        self._unanswered = 0
        self._set_state(ClientState.CONNECTED)
        return reader

    async def _run(self, reader: asyncio.StreamReader | None) -> None:
        pause_s = _BACKOFF_MIN_S
        try:
            while True:
                if reader is not None:
                    pause_s = _BACKOFF_MIN_S
                    await self._session(reader)
                if self._closing or not self.reconnect:
                    return
                await asyncio.sleep(pause_s * random.uniform(0.9, 1.1))
                pause_s = min(2 * pause_s, _BACKOFF_MAX_S)
                try:
                    reader = await self._open()
                except GatewayError as error:
                    reader = None
                    log.info("%s", error)
        finally:
            asyncio.get_running_loop().call_soon(self._set_state, ClientState.CLOSED)

    async def _session(self, reader: asyncio.StreamReader) -> None:
        """Until the connection ends, from whichever side."""
        writer = self._writer
        assert writer is not None
        pinging = asyncio.create_task(self._ping(writer), name="openkline gateway ping")
        parser = self._parser
        try:
            while chunk := await reader.read(65536):
                if any(self._take(message) for message in parser.feed(chunk)) and not self._closing:
                    break
        except OSError:
            pass
        finally:
            pinging.cancel()
            self._writer = None
            if self._upload is not None:
                self._upload.hear(None)
            if self._state is ClientState.CONNECTED:
                self._set_state(ClientState.GREETING)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                await asyncio.gather(pinging, return_exceptions=True)
                async with asyncio.timeout(_CLOSE_S):
                    await writer.wait_closed()
            writer.transport.abort()

    def _take(self, message: Message) -> bool:
        """True: the gateway says Disconnect."""
        if isinstance(message, Data):
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(message)
        elif isinstance(message, Ping):
            self._unanswered = 0
            return False
        elif isinstance(message, FirmwareVersion):
            self.firmware = message
        elif isinstance(message, InitFirmwareUpdate | UploadStatus):
            if self._upload is not None:
                self._upload.hear(message)
        elif isinstance(message, Disconnect):
            return True
        self._changed.set()
        return False

    async def _ping(self, writer: asyncio.StreamWriter) -> None:
        """Every ping_s; the third without an answer ends the connection."""
        while True:
            await asyncio.sleep(self.ping_s)
            if self._unanswered >= _MISSED_PINGS:
                log.warning("the gateway at %s does not answer", self._where)
                writer.transport.abort()
                return
            self._unanswered += 1
            writer.write(PING)
