"""The gateway: the main port, a reserved port per client, and each frame of the bus to all of them.

A client's port listens only from its Hello until it has connected (or its time is over): no other client finds
anything there. Each frame is encoded once and the same bytes are written to every socket, without a task or a queue per
frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from dataclasses import asdict
from functools import partial

from kline.protocol.ibus.frames import MIN_FRAME
from openkline.bus import Bus, BusFrame, Unsubscribe
from openkline.gateway.counters import ClientCounters, GatewayCounters
from openkline.gateway.main_port import MainPortConnection, MainPortState
from openkline.gateway.options import GatewayOptions
from openkline.gateway.outbox import Dispatcher
from openkline.gateway.session import Arrival, Session, SessionState
from openkline.gateway.wire import UPLOAD, encode_frame
from openkline.net.access import ConnectLimiter, to_evict
from openkline.update.updater import Updater
from openkline.words import plural

log = logging.getLogger("openkline.gateway")

_BACKLOG = 64
_CLOSING_S = 1.0  # for the last bytes to the clients
_RIPE_S = 1.0  # a reservation older than this may go to another address when no slot is free


class GatewayServer:
    """start(); then clients come and go; stop(). All calls from one event loop."""

    def __init__(self, bus: Bus, options: GatewayOptions | None = None, updater: Updater | None = None) -> None:
        """updater: None: firmware updates are not offered."""
        self.bus = bus
        self.updater = updater
        self.options = options or GatewayOptions()
        self.rules = self.options.rules()
        self.counters = GatewayCounters()
        self.past_clients = ClientCounters()
        self.dispatcher = Dispatcher(bus, self.options.clients, self.options.queue, self.counters)
        self.port = self.options.port
        self.sessions: dict[int, Session] = {}
        self._limiter: ConnectLimiter
        self._connecting: dict[MainPortConnection, None] = {}
        self._open: set[Session] = set()  # with a connection, even if their port is free again
        self._idle = asyncio.Event()
        self._listeners: list[asyncio.Transport] = []  # replaced, never changed: writing may drop one
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._hosts: list[str] = []
        self._unsubscribe: Unsubscribe | None = None
        self._running = False
        self._started_s = 0.0

    # -- life

    async def start(self) -> None:
        """Listen. OSError: the address or the port can't be had."""
        loop = asyncio.get_running_loop()
        options = self.options
        self._limiter = ConnectLimiter(options.networks(), options.accepts_per_s, loop.time)
        self._listener = await loop.create_server(
            lambda: MainPortConnection(self), options.host, options.port, backlog=_BACKLOG
        )
        names = [sock.getsockname() for sock in self._listener.sockets]
        self.port = names[0][1]
        self._hosts = [options.host] if len(names) == 1 else [name[0] for name in names]
        self._started_s = loop.time()
        self._running = True
        self._unsubscribe = self.bus.subscribe(self._on_frame)
        if warning := options.warning():
            log.warning("%s", warning)

    @property
    def is_serving(self) -> bool:
        """Whether the main port listens: from start() to stop()."""
        return self._running and self._listener is not None and self._listener.is_serving()

    async def stop(self) -> None:
        """Take no more clients, send what they sent before to the bus, say Disconnect, close."""
        if not self._running:
            return
        self._running = False
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connecting):
            connection.abort()
        for task in list(self._tasks):
            task.cancel()
        for session in list(self.sessions.values()):
            session.end()
        await self._wait_for_end(self.options.drain_s, and_orphans=True)
        if left := self.dispatcher.orphaned:
            log.warning(
                "gave up %s of clients: not on the bus within %g s", plural(left, "message"), self.options.drain_s
            )
        await self._wait_for_end(_CLOSING_S)
        for session in [*self.sessions.values(), *self._open]:
            session.abort()
        self.dispatcher.close()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._wait_for_end(_CLOSING_S)

    async def _wait_for_end(self, timeout_s: float, and_orphans: bool = False) -> None:
        """Until no connection is left (and nothing that clients sent waits for the bus), but not longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.sessions or self._open or self._connecting:
                    self._idle.clear()
                    await self._idle.wait()
                if and_orphans:
                    await self.dispatcher.drained()

    def empty_queues(self) -> None:
        """Give up what clients that have gone left waiting."""
        given_up = self.dispatcher.empty()
        log.info("gave up %s of clients that have gone", plural(given_up, "message"))

    # -- frames

    def _on_frame(self, frame: BusFrame) -> None:
        if len(frame.data) < MIN_FRAME:
            self.counters.frames_empty += 1
            return
        self.counters.frames += 1
        message = encode_frame(frame.data)
        listeners = self._listeners
        if message.startswith(UPLOAD):
            listeners = self._without_updating()
        for transport in listeners:
            if not transport.is_closing():
                transport.write(message)

    def _without_updating(self) -> list[asyncio.Transport]:
        """Clients that would not take a frame from 66 to 75 for an answer about their update."""
        updating = {session.transport for session in self.sessions.values() if session.firmware.answers}
        self.counters.frames_withheld += len(updating)
        return [transport for transport in self._listeners if transport not in updating]

    def _set_listeners(self) -> None:
        self._listeners = [
            session.transport
            for session in self.sessions.values()
            if session.transport is not None and session.state in (SessionState.CONNECTED, SessionState.ENDING)
        ]

    # -- the main port

    def may_enter(self, connection: MainPortConnection) -> bool:
        """Whether this connection to the main port is taken; when too many wait there, the oldest goes."""
        counters = self.counters
        self._connecting[connection] = None
        if not self._running:
            return False
        counters.accepted += 1
        if not self._limiter.allowed(connection.address):
            counters.refused_address += 1
            return False
        if not self._limiter.in_time(connection.address):
            counters.refused_rate += 1
            return False
        if len(self._connecting) > self.options.pending:
            self._evict(connection)
        return True

    def _evict(self, newest: MainPortConnection) -> None:
        """Close one that has said nothing; where all have said Hello, one of those."""
        waiting = [
            connection
            for connection in self._connecting
            if connection is not newest and connection.state is MainPortState.WAITING
        ]
        oldest = to_evict(waiting or [connection for connection in self._connecting if connection is not newest])
        if oldest is not None:
            self.counters.evicted += 1
            oldest.abort()

    def hello(self, connection: MainPortConnection) -> None:
        self.counters.hello += 1
        task = asyncio.get_running_loop().create_task(self._reserve(connection), name="openkline gateway hello")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reserve(self, connection: MainPortConnection) -> None:
        """The lowest free port for this client; the next, when another program has it."""
        loop = asyncio.get_running_loop()
        last = min(self.port + self.options.clients, 65535)
        taken: set[int] = set()
        while True:
            free = (n for n in range(self.port + 1, last + 1) if n not in self.sessions and n not in taken)
            port = next(free, None)
            if port is None:
                port = self._take_reservation(connection.address)
            if port is None:
                self.counters.full += 1
                connection.answer(None)
                return
            session = self.sessions[port] = Session(self, port, connection.address)
            try:
                session.listener = await loop.create_server(
                    partial(Arrival, self, session), self._hosts, port, backlog=4
                )
            except OSError:
                self.counters.port_taken += 1
                taken.add(port)
                session.abort()
                continue
            except asyncio.CancelledError:
                session.abort()
                raise
            if session.state is not SessionState.RESERVED or not connection.answer(port):
                session.abort()
            return

    def _take_reservation(self, address: str) -> int | None:
        """A port for this address, though none is free: from the address that only keeps reserving.

        It must have two more open reservations than this one, of which the oldest is due: a client that wants to
        connect does so at once. So no address keeps all slots by saying Hello again and again.
        """
        reserved = [session for session in self.sessions.values() if session.state is SessionState.RESERVED]
        count = Counter(session.address for session in reserved)
        most = max(count, key=count.__getitem__, default=address)
        if count[most] < count[address] + 2:
            return None
        oldest = min((session for session in reserved if session.address == most), key=lambda each: each.reserved_s)
        if asyncio.get_running_loop().time() - oldest.reserved_s < _RIPE_S:
            return None
        self.counters.reservations_taken += 1
        oldest.abort()
        return oldest.port

    def left(self, connection: MainPortConnection) -> None:
        self._connecting.pop(connection, None)
        self._idle.set()

    # -- sessions

    def connected(self, session: Session) -> None:
        self.counters.sessions += 1
        session.frames_before = self.counters.frames
        self._open.add(session)
        self._set_listeners()

    def silenced(self, session: Session) -> None:
        """No more frames for this one."""
        self._set_listeners()

    def closed(self, session: Session) -> None:
        """Its port is free; what it sent still goes out."""
        if self.sessions.get(session.port) is session:
            del self.sessions[session.port]
            self.past_clients.add(session.counters)
        self._set_listeners()
        self.dispatcher.adopt(session.outbox)
        self._idle.set()

    def gone(self, session: Session) -> None:
        """Its connection is closed, too."""
        self._open.discard(session)
        self._idle.set()

    # -- for `openkline status`

    def stats(self) -> dict[str, dict[str, object]]:
        """The section gateway: where we listen, each client, counters, what became of the messages."""
        now_s = asyncio.get_running_loop().time()
        gateway: dict[str, object] = {
            "address": self.options.host,
            "port": self.port,
            "max_clients": self.options.clients,
            "read_only": self.options.read_only,
            "uptime_s": round(now_s - self._started_s, 3) if self._started_s else 0.0,
            "clients": [self.sessions[port].stats() for port in sorted(self.sessions)],
            "past_clients": asdict(self.past_clients),
            "at_bus": self.dispatcher.at_bus,
            "of_gone_clients": self.dispatcher.orphaned,
            "results": dict(self.dispatcher.results),
            "counters": asdict(self.counters),
        }
        return {"gateway": gateway}

    def trouble(self) -> str:
        """What only a new start can mend; "" for nothing."""
        return "" if self.is_serving else "the gateway's port doesn't listen any more"
