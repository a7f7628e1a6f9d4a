"""What is counted, for `openkline status` and the tests: every drop has a name here."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class GatewayCounters:
    """Of the whole gateway since its start."""

    frames: int = 0  # from the bus, handed to all clients
    frames_empty: int = 0  # without a data byte: they would look like a special message
    frames_withheld: int = 0  # from 66 to 75, of a client that updates: they would look like answers
    accepted: int = 0  # connections to the main port
    refused_address: int = 0  # not in `allow`
    refused_rate: int = 0  # connecting too often
    evicted: int = 0  # closed for newer ones before saying Hello
    hello: int = 0
    hello_wrong: int = 0  # another first message
    hello_timeout: int = 0
    full: int = 0  # answered with Disconnect
    port_taken: int = 0  # a reserved port that another program has: the next one was taken
    strangers: int = 0  # on a reserved port, not the address that said Hello, or too late
    web: int = 0  # on a reserved port, a web browser
    reservations_expired: int = 0
    reservations_taken: int = 0  # from an address that had more of them, for another one
    sessions: int = 0  # that got connected
    disconnects: int = 0  # said so
    eof: int = 0
    lost: int = 0  # reset, unreachable
    timeouts: int = 0  # no Ping
    slow: int = 0  # did not read
    outboxes_dropped: int = 0  # messages of clients that have gone, given up for newer ones or on request


@dataclass(slots=True)
class ClientCounters:
    """Of one client, or the sum of those that have gone."""

    messages: int = 0  # bus messages it sent
    pings: int = 0
    unknown: int = 0
    read_only: int = 0
    too_long: int = 0  # more than 253 data bytes
    denied: int = 0
    rate_limited: int = 0
    queue_full: int = 0
    late: int = 0  # came while the gateway was ending
    throttled: int = 0  # reading from it was paused
    uploads: int = 0
    upload_bytes: int = 0
    updates: int = 0  # that ended in the board's restart
    updates_refused: int = 0

    def add(self, other: ClientCounters) -> None:
        for counter in fields(self):
            setattr(self, counter.name, getattr(self, counter.name) + getattr(other, counter.name))
