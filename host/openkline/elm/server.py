"""The ELM327 for programs: TCP clients and perhaps a pty, of which one drives; the others get its name as an answer.

    bytes of a client -> ElmClient -> (its turn?) -> ElmSession -> Interpreter -> Line
                                 else: BUSY ..

Who first sends something drives, until the connection ends, or it has been silent for idle_s and another one sends.
Each gets an ELM327 as after power on; what it left running is broken off before the next one begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Callable

from openkline.elm.backend import Line
from openkline.elm.interpreter import Interpreter
from openkline.elm.memory import Memory
from openkline.elm.options import ElmOptions
from openkline.elm.session import MAX_BACKLOG, ElmSession
from openkline.net.access import ConnectLimiter, TokenBucket, host_port, networks_of, peer_address, to_evict
from openkline.net.web import WebWatch
from openkline.words import plural

log = logging.getLogger("openkline.elm327")

_BACKLOG = 16
_MAX_HELD = 4096  # what a client may have sent before it is its turn
# A phone that went out of reach never says so: asked after 10 s of silence, given up after four questions.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))
_CLOSING_S = 5.0


class ElmClient:
    """A client that may drive. write, backlog: its bytes; hold: stop or go on reading from it; end: close it."""

    def __init__(
        self,
        server: ElmServer,
        name: str,
        write: Callable[[bytes], None],
        backlog: Callable[[], int],
        hold: Callable[[bool], None],
        end: Callable[[], None],
    ) -> None:
        self.name = name
        self.write = write
        self.backlog = backlog
        self.hold = hold
        self.end = end
        self.session: ElmSession | None = None
        self.heard_s = 0.0
        self.held = b""
        self._server = server
        self._watch = WebWatch()
        self._is_web = False

    def receive(self, data: bytes) -> None:
        """What it sends. A web page could put any command behind its request: nothing of a browser is looked at."""
        if self._is_web or self._watch.found(data):
            self._turn_away()
        else:
            self._take(data)

    def _turn_away(self) -> None:
        if not self._is_web:
            self._is_web = True
            log.warning("%s: a web browser, not a program that speaks ELM327: closed", self.name)
            self._server.leave(self)
            self.end()

    def _take(self, data: bytes) -> None:
        self.heard_s = time.monotonic()
        if self._server.turn_of(self):
            assert self.session is not None
            self.session.receive(data)
        elif self._server.changing:
            self.held = (self.held + data)[-_MAX_HELD:]
            self.hold(True)
        else:
            self._refuse(data)

    def _refuse(self, data: bytes) -> None:
        """One answer to whatever has come, where a line was ended."""
        if b"\r" in data or b"\n" in data:
            driver = self._server.driver
            name = driver.name if driver is not None else "another client"
            if self.backlog() < MAX_BACKLOG:
                self.write(f"BUSY: {name} drives this ELM327; try again when it has gone\r\r>".encode())

    def go_on(self) -> None:
        held, self.held = self.held, b""
        self.hold(False)
        if held:
            self._take(held)


class ElmServer:
    """start(), stop(); clients may also be made by others (pseudo.py). All calls from one event loop."""

    def __init__(self, line: Line, options: ElmOptions | None = None) -> None:
        self.line = line
        self.options = options or ElmOptions()
        self.port = self.options.port
        self.memory = Memory()
        self.clients: list[ElmClient] = []
        self.driver: ElmClient | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._listener: asyncio.Server | None = None
        self._connections: dict[Connection, None] = {}  # oldest first
        self.limiter: ConnectLimiter

    async def start(self) -> None:
        """Listen. OSError: the address or the port can't be had."""
        loop = asyncio.get_running_loop()
        options = self.options
        self.limiter = ConnectLimiter(networks_of(options.allow), options.accepts_per_s, loop.time)
        self._listener = await loop.create_server(
            lambda: Connection(self), options.host, options.port, backlog=_BACKLOG
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        if warning := options.warning():
            log.warning("%s", warning)

    async def stop(self) -> None:
        """Close the connections; the car's session is ended."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.end()
        if self.driver is not None:
            self.leave(self.driver)
        if self._leaving is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._leaving), _CLOSING_S)

    def stats(self) -> dict[str, dict[str, object]]:
        """For `openkline status` (docs/status.md): the section elm327."""
        now_s = time.monotonic()
        clients = [
            {
                "name": client.name,
                "drives": client is self.driver,
                "silent_s": round(now_s - client.heard_s, 1) if client.heard_s else None,
            }
            for client in self.clients
        ]
        options = self.options
        return {
            "elm327": {
                "address": options.host,
                "port": self.port,
                "max_clients": options.clients,
                "clients": clients,
            }
        }

    def trouble(self) -> str:
        """What only a new start can mend; "" for nothing."""
        listens = self._listener is not None and self._listener.is_serving()
        return "" if listens else "the ELM327's port doesn't listen any more"

    # -- whose turn it is

    @property
    def changing(self) -> bool:
        """The one before is still being tidied up."""
        return self._leaving is not None

    def join(self, client: ElmClient) -> None:
        self.clients.append(client)
        log.info("%s: connected", client.name)

    def turn_of(self, client: ElmClient) -> bool:
        """Whether this one drives, or may now."""
        if self.driver is client:
            return True
        if self.driver is not None and time.monotonic() - self.driver.heard_s >= self.options.idle_s:
            log.info("%s: silent for %.0f s; %s takes its place", self.driver.name, self.options.idle_s, client.name)
            self._vacate()
        if self.driver is not None or self.changing:
            return False
        self.driver = client
        client.session = ElmSession(
            Interpreter(self.memory, self.options.volts, self.options.uncounted_refusals),
            self.line,
            client.write,
            client.backlog,
            client.name,
        )
        log.info("%s: drives", client.name)
        return True

    def leave(self, client: ElmClient) -> None:
        """Its connection has ended."""
        if client in self.clients:
            self.clients.remove(client)
            log.info("%s: gone", client.name)
        if self.driver is client:
            self._vacate()

    def _vacate(self) -> None:
        client, self.driver = self.driver, None
        if client is not None and client.session is not None:
            session, client.session = client.session, None
            session.hush()
            self._leaving = asyncio.get_running_loop().create_task(self._tidy(session), name="elm327 tidying up")

    async def _tidy(self, session: ElmSession) -> None:
        try:
            await session.close()
        except Exception:
            log.exception("%s: an internal error at its end", session.name)
        finally:
            self._leaving = None
        for client in list(self.clients):
            client.go_on()

    # -- TCP

    def admit(self, connection: Connection, address: str) -> bool:
        why = ""
        if not self.limiter.allowed(address):
            why = "its network is not named by --allow"
        elif not self.limiter.in_time(address):
            why = f"it connects more often than {self.options.accepts_per_s:g}/s"
        elif len(self._connections) >= self.options.clients and not self._evict():
            why = plural(len(self._connections), "client is connected", "clients are connected")
        if why:
            log.warning("%s: not let in: %s", address, why)
            return False
        self._connections[connection] = None
        return True

    def _evict(self) -> bool:
        """Make room for a new client; False: all have spoken."""
        oldest = to_evict(connection for connection in self._connections if connection.silent)
        if oldest is None:
            return False
        log.warning("%s: closed for a newer client, as it has not sent anything", oldest.name)
        self.gone(oldest)
        oldest.abort()
        return True

    def gone(self, connection: Connection) -> None:
        self._connections.pop(connection, None)


class Connection(asyncio.Protocol):
    """A TCP client. Not read from while it doesn't read what it is sent, or sends more than it may."""

    def __init__(self, server: ElmServer) -> None:
        self._server = server
        self._bucket: TokenBucket
        self._client: ElmClient | None = None
        self._full = self._held = self._owes = False
        self._transport: asyncio.Transport
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.address = peer_address(transport)
        if not self._server.admit(self, self.address):
            transport.abort()
            return
        _watch_peer(transport)
        rate = self._server.options.input_bytes_per_s
        self._bucket = TokenBucket(rate, rate, asyncio.get_running_loop().time)
        peer = transport.get_extra_info("peername")
        name = host_port(*peer[:2]) if isinstance(peer, tuple) and len(peer) > 1 else "client"
        self._client = ElmClient(self._server, name, transport.write, transport.get_write_buffer_size, self._hold,
                                 self.abort)  # fmt: skip
        self._server.join(self._client)

    def data_received(self, data: bytes) -> None:
        if self._client is None:
            return
        if debt_s := self._bucket.owes_s(len(data)):
            self._owes = True
            self._read_or_not()
            asyncio.get_running_loop().call_later(debt_s, self._paid)
        self._client.receive(data)
        self._read_or_not()

    def _paid(self) -> None:
        self._owes = False
        self._read_or_not()

    def _hold(self, held: bool) -> None:
        self._held = held
        self._read_or_not()

    def pause_writing(self) -> None:
        self._full = True
        self._read_or_not()

    def resume_writing(self) -> None:
        self._full = False
        self._read_or_not()

    def _read_or_not(self) -> None:
        """What prints until it is interrupted (AT MA) must be interruptible."""
        if self._transport.is_closing():
            return
        busy = self._client is not None and self._client.session is not None and self._client.session.busy
        if self._held or self._owes or (self._full and not busy):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.gone(self)
        if self._client is not None:
            self._server.leave(self._client)
            self._client = None

    @property
    def name(self) -> str:
        return self._client.name if self._client is not None else self.address

    @property
    def silent(self) -> bool:
        """It has never sent a byte."""
        return self._client is None or not self._client.heard_s

    def end(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        """Close it without what it has not read yet."""
        self._transport.abort()


def _watch_peer(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in _KEEP_ALIVE if sys.platform != "win32" else ():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
