"""The main port: one connection that says Hello and gets its port, or Disconnect.

WAITING -> ASKED -> ANSWERED -> CLOSED      Hello came; the answer went out and our side is shut; both sides shut
   '-----------------------------^          wrong first message, the time is over, the client is gone
"""

from __future__ import annotations

import asyncio
import enum
from typing import Protocol

from openkline.gateway.counters import GatewayCounters
from openkline.gateway.options import GatewayOptions
from openkline.gateway.wire import DISCONNECT, HEADER_SIZE, Connect
from openkline.net.access import peer_address

_LINGER_S = 1.0  # after the answer: for the client to close first, so that no reset overtakes our bytes


class MainPortState(enum.Enum):
    WAITING = "waiting"
    ASKED = "asked"
    ANSWERED = "answered"
    CLOSED = "closed"


class Reception(Protocol):
    """What a connection to the main port needs of its gateway."""

    options: GatewayOptions
    counters: GatewayCounters

    def may_enter(self, connection: MainPortConnection) -> bool:
        """Whether this connection is taken."""
        ...

    def hello(self, connection: MainPortConnection) -> None:
        """It has said Hello, and waits for answer()."""
        ...

    def left(self, connection: MainPortConnection) -> None:
        """It is closed."""
        ...


class MainPortConnection(asyncio.Protocol):
    def __init__(self, server: Reception) -> None:
        self._server = server
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self.state = MainPortState.WAITING
        self.address = ""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.address = peer_address(transport)
        if not self._server.may_enter(self):
            self.abort()
            return
        timeout_s = self._server.options.alive_timeout_s
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._expired)

    def data_received(self, data: bytes) -> None:
        if self.state is not MainPortState.WAITING:
            return
        self._buffer += data[:HEADER_SIZE]
        if len(self._buffer) < HEADER_SIZE:
            return
        if self._buffer[:3] == b"\x68\x69\x00":
            self.state = MainPortState.ASKED
            self._server.hello(self)
        else:
            self._server.counters.hello_wrong += 1
            self.state = MainPortState.CLOSED
            self.transport.close()

    def answer(self, port: int | None) -> bool:
        """Connect to that port, or Disconnect. False: the client has gone meanwhile."""
        if self.state is not MainPortState.ASKED:
            return False
        self.state = MainPortState.ANSWERED
        self.transport.write(DISCONNECT if port is None else Connect(port).to_bytes())
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, self.abort)
        try:
            self.transport.write_eof()
        except OSError:  # the client has reset the connection
            self.abort()
            return False
        return True

    def abort(self) -> None:
        self.state = MainPortState.CLOSED
        self.transport.abort()

    def _expired(self) -> None:
        self._server.counters.hello_timeout += 1
        self.abort()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.state = MainPortState.CLOSED
        self._cancel_timer()
        self._server.left(self)
