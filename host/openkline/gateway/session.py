"""One client, from the Hello that reserved its port to the end.

    RESERVED -> CONNECTED -> DRAINING -> CLOSED     Disconnect came: close when the bus has what came before it
        |           |'-----> ENDING ------^         the gateway stops: the same, then say Disconnect
        '-----------'---------------------^         not connected in time / end of file, no Ping, does not read

Only Ping renews the time. End of file frees the port at once; what the client sent still goes to the bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import socket
from dataclasses import asdict
from typing import Protocol

from openkline.bus import Bus
from openkline.gateway.counters import ClientCounters, GatewayCounters
from openkline.gateway.firmware import FirmwareSession
from openkline.gateway.options import GatewayOptions
from openkline.gateway.outbox import Dispatcher
from openkline.gateway.rules import Rule, denied_by
from openkline.gateway.wire import (
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
    UploadData,
    UploadFirmware,
)
from openkline.net.access import TokenBucket, peer_address
from openkline.net.web import WebGuard
from openkline.update.updater import Updater

log = logging.getLogger("openkline.gateway")

_READ_SIZE = 4096  # bytes handled at once: some 500 messages, below a millisecond or two
_MAX_REST = 65536  # bytes still taken from a connection that has broken
_FLUSH_S = 1.0  # after the end: for what waits for the client, which may not read it
# What the system is asked to keep for a client that doesn't read; left alone, it grows to megabytes. Linux takes twice
# as much, its own bookkeeping included.
_SEND_BUFFER = 32768


class SessionState(enum.Enum):
    RESERVED = "reserved"
    CONNECTED = "connected"
    DRAINING = "draining"
    ENDING = "ending"
    CLOSED = "closed"


_LAST_LOOK_S = 0.02
_LISTENS = (SessionState.CONNECTED, SessionState.ENDING)


class Gateway(Protocol):
    """What a session needs of its gateway."""

    bus: Bus
    updater: Updater | None
    options: GatewayOptions
    rules: tuple[Rule, ...]
    counters: GatewayCounters
    dispatcher: Dispatcher

    def connected(self, session: Session) -> None: ...

    def silenced(self, session: Session) -> None:
        """No more frames for this one."""
        ...

    def closed(self, session: Session) -> None:
        """Its port is free."""
        ...

    def gone(self, session: Session) -> None:
        """Its connection is closed, too."""
        ...


class Session(asyncio.BufferedProtocol):
    def __init__(self, server: Gateway, port: int, address: str) -> None:
        self.port = port
        self.address = address
        self.state = SessionState.RESERVED
        self.counters = ClientCounters()
        self.outbox = server.dispatcher.outbox()
        self.transport: asyncio.Transport | None = None
        self.listener: asyncio.Server | None = None
        self.frames_before = 0
        self.connected_s = 0.0
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._guard = WebGuard()
        self._buffer = memoryview(bytearray(_READ_SIZE))
        options = server.options
        self.firmware = FirmwareSession(server.bus, server.updater, self.counters, options.read_only, self._write)
        self._rate = TokenBucket(options.rate_per_s, options.burst, self._loop.time)
        self._input = TokenBucket(options.input_bytes_per_s, 4 * options.input_bytes_per_s, self._loop.time)
        self._resume_timer: asyncio.TimerHandle | None = None
        self.reserved_s = self._loop.time()
        self._deadline_s = self.reserved_s + options.alive_timeout_s
        self._overdue = False
        self._alive_timer = self._loop.call_at(self._deadline_s, self._check_alive)

    # -- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=self._server.options.write_buffer)
        with contextlib.suppress(OSError):  # it may be gone already
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.state = SessionState.CONNECTED
        self.connected_s = self._loop.time()
        self._renew()
        self._close_listener()
        self._server.connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._take(self._buffer[:nbytes])
        delay_s = self._input.owes_s(nbytes)
        if delay_s and self.transport is not None and not self.transport.is_closing():
            self.counters.throttled += 1
            self.transport.pause_reading()
            self._resume_timer = self._loop.call_later(delay_s, self._resume)

    def _resume(self) -> None:
        self._resume_timer = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        if self.state in _LISTENS:
            self._server.counters.eof += 1
        self._close()
        return False

    def pause_writing(self) -> None:
        """More waits for this client than it may: it does not read."""
        if self.state in _LISTENS:
            self._server.counters.slow += 1
            log.warning("client on port %d does not read: closed", self.port)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self.state in _LISTENS:
            self._server.counters.lost += 1
            self.take_rest()
        self.transport = None
        self._close()
        self._server.gone(self)

    def take_rest(self) -> None:
        """What the client sent before its connection broke, or before the gateway stops: the system still has it.

        A client may send and close without reading; then our next write fails before its last bytes were read.
        """
        sock = self.transport.get_extra_info("socket") if self.transport is not None else None
        if sock is None:
            return
        with contextlib.suppress(OSError, ValueError), sock.dup() as own:
            own.setblocking(False)
            left = _MAX_REST
            while left > 0 and self.state in _LISTENS and (rest := own.recv(_READ_SIZE)):
                left -= len(rest)
                self._take(rest)

    # -- messages

    def _take(self, data: bytes | memoryview) -> None:
        if not self._guard.decided:
            data = self._guard.admit(bytes(data))
            if self._guard.found:
                self._server.counters.web += 1
                self.abort()
        for message in self._parser.feed(data):
            if self.state not in _LISTENS:
                return
            self._handle(message)

    def _handle(self, message: Message) -> None:
        if isinstance(message, Data):
            self._to_bus(message)
        elif isinstance(message, Ping):
            self.counters.pings += 1
            self._renew()
            self._write(PING)
        elif isinstance(message, Disconnect):
            self._server.counters.disconnects += 1
            self._drain()
        elif isinstance(message, FirmwareVersion | InitFirmwareUpdate | UploadFirmware | UploadData):
            self.firmware.handle(message)
        else:
            self.counters.unknown += 1

    def _to_bus(self, message: Data) -> None:
        counters, options = self.counters, self._server.options
        counters.messages += 1
        if self.state is SessionState.ENDING:
            counters.late += 1
        elif options.read_only:
            counters.read_only += 1
        elif len(message.data) > MAX_BUS_DATA:
            counters.too_long += 1
        elif denied_by(self._server.rules, message.source, message.destination, message.data):
            counters.denied += 1
        elif not self._rate.allows():
            counters.rate_limited += 1
        elif not self.outbox.submit(message.body, message.priority):
            counters.queue_full += 1

    def _write(self, data: bytes) -> None:
        if data and self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    # -- time

    def _renew(self) -> None:
        self._deadline_s = self._loop.time() + self._server.options.alive_timeout_s
        self._overdue = False

    def _check_alive(self) -> None:
        if self._loop.time() < self._deadline_s - 1e-3:
            self._alive_timer = self._loop.call_at(self._deadline_s, self._check_alive)
            return
        if not self._overdue:
            # If it was this process that stood still (SIGSTOP, a suspended PC), a Ping waits unread: read first.
            self._overdue = True
            self._alive_timer = self._loop.call_later(_LAST_LOOK_S, self._check_alive)
            return
        if self.state is SessionState.RESERVED:
            self._server.counters.reservations_expired += 1
        elif self.state in _LISTENS:
            self._server.counters.timeouts += 1
            log.info("client on port %d has not sent a Ping in time: closed", self.port)
        self._close()

    # -- the end

    def _drain(self) -> None:
        """After Disconnect: nothing more is read or written; close when the bus has what came before."""
        self.firmware.close()
        self.state = SessionState.DRAINING
        self._server.silenced(self)
        self._alive_timer.cancel()
        self._alive_timer = self._loop.call_later(self._server.options.drain_s, self._close)
        self.outbox.when_idle(self._close)

    def end(self) -> None:
        """The gateway stops: what was sent goes out, then Disconnect. What comes from now on is too late."""
        if self.state is SessionState.CONNECTED:
            self.take_rest()
        if self.state is SessionState.CONNECTED:
            self.firmware.close()
            self.state = SessionState.ENDING
            self._alive_timer.cancel()
            self._alive_timer = self._loop.call_later(self._server.options.drain_s, self._say_goodbye)
            self.outbox.when_idle(self._say_goodbye)
        elif self.state is SessionState.RESERVED:
            self._close()

    def _say_goodbye(self) -> None:
        if self.state is SessionState.ENDING:
            self._write(DISCONNECT)
            self._close()

    def abort(self) -> None:
        """Close without waiting for what the client has not read."""
        if self.transport is not None:
            self.transport.abort()
        self._close()

    def _close(self) -> None:
        if self.state is SessionState.CLOSED:
            return
        self.firmware.close()
        self.state = SessionState.CLOSED
        self._alive_timer.cancel()
        if self._resume_timer is not None:
            self._resume_timer.cancel()
        self._close_listener()
        if self.transport is not None and not self.transport.is_closing():
            if self.transport.get_write_buffer_size():
                self._loop.call_later(_FLUSH_S, self.transport.abort)
            self.transport.close()
        self._server.closed(self)

    def _close_listener(self) -> None:
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.close()

    def stats(self) -> dict[str, object]:
        waits = self.transport.get_write_buffer_size() if self.transport is not None else 0
        return {
            "port": self.port,
            "address": self.address,
            "state": self.state.value,
            "connected_s": round(self._loop.time() - self.connected_s, 3) if self.connected_s else 0.0,
            "frames": self._server.counters.frames - self.frames_before if self.connected_s else 0,
            "unread_bytes": waits,
            "waiting_for_bus": len(self.outbox),
            **asdict(self.counters),
        }


class Arrival(asyncio.BufferedProtocol):
    """A connection to a reserved port: it becomes the session if it may, else it is closed without a word."""

    def __init__(self, server: Gateway, session: Session) -> None:
        self._server = server
        self._session = session
        self._unused = bytearray(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        session = self._session
        if session.state is SessionState.RESERVED and peer_address(transport) == session.address:
            transport.set_protocol(session)
            session.connection_made(transport)
        else:
            self._server.counters.strangers += 1
            transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._unused

    def buffer_updated(self, nbytes: int) -> None:
        pass
