"""What clients send, on its way to the bus.

Each client has an Outbox: a queue by priority, ties in order. It hands messages to the bus as long as fewer than its
share are there with the same or a higher priority, so a high one never waits behind low ones of the same client, and
one client's thousand messages leave room for everybody's. An outbox outlives its connection until it is empty.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable
from functools import partial

from openkline.bus import Bus, Outcome, TransmitResult
from openkline.gateway.counters import GatewayCounters

_BUS_WINDOW = 192  # messages that all outboxes together may have at the bus (its queue takes 256)
_SHARES = 128  # a client's share is this by the number of clients, at least 2; twice the share over all priorities
_MAX_ORPHANS = 64  # outboxes whose clients have gone


class Dispatcher:
    """All outboxes: what they have at the bus together, and whose turn is next."""

    def __init__(self, bus: Bus, clients: int, queue: int, counters: GatewayCounters) -> None:
        self.bus = bus
        self.share = max(2, _SHARES // clients)
        self.queue = queue
        self.results: Counter[str] = Counter()
        self.at_bus = 0
        self._counters = counters
        self._waiting: dict[Outbox, None] = {}
        self._orphans: dict[Outbox, None] = {}

    def outbox(self) -> Outbox:
        return Outbox(self)

    @property
    def full(self) -> bool:
        return self.at_bus >= _BUS_WINDOW

    def wait(self, outbox: Outbox) -> None:
        self._waiting[outbox] = None

    def released(self, result: TransmitResult) -> None:
        self.at_bus -= 1
        self.results[result.outcome.value] += 1
        while self._waiting and not self.full:
            outbox = next(iter(self._waiting))
            del self._waiting[outbox]
            outbox.pump()

    def adopt(self, outbox: Outbox) -> None:
        """The client has gone; what it sent still goes out. The oldest are given up when there are too many."""
        if outbox.idle:
            return
        while len(self._orphans) >= _MAX_ORPHANS:
            oldest = next(iter(self._orphans))
            del self._orphans[oldest]
            self._counters.outboxes_dropped += oldest.give_up()
        self._orphans[outbox] = None
        outbox.when_idle(lambda: self._orphans.pop(outbox, None))

    @property
    def orphaned(self) -> int:
        """Messages of clients that have gone, which still are to go out."""
        return sum(map(len, self._orphans))

    def empty(self) -> int:
        """Give up what clients that have gone left waiting; what the bus already has ends there. -> messages"""
        given_up = sum(outbox.give_up() for outbox in self._orphans)
        self._counters.outboxes_dropped += given_up
        return given_up

    def close(self) -> None:
        for outbox in list(self._orphans):
            outbox.give_up()
        self._orphans.clear()
        self._waiting.clear()

    async def drained(self) -> None:
        """Until no orphan has anything left."""
        while self._orphans:
            idle = asyncio.get_running_loop().create_future()
            outbox = next(iter(self._orphans))
            outbox.when_idle(lambda idle=idle: idle.done() or idle.set_result(None))  # type: ignore[misc]
            await idle


class Outbox:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._heap: list[tuple[int, int, bytes]] = []
        self._order = 0
        self._at_bus: list[int] = []  # the priorities of what the bus has
        self._idle_callbacks: list[Callable[[], object]] = []

    def __len__(self) -> int:
        return len(self._heap) + len(self._at_bus)

    @property
    def idle(self) -> bool:
        return not self._heap and not self._at_bus

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Once, when everything has its result; at once if it has."""
        if self.idle:
            callback()
        else:
            self._idle_callbacks.append(callback)

    def submit(self, body: bytes, priority: int) -> bool:
        """body: the frame without its checksum. False: too many wait, nothing was taken."""
        if len(self._heap) >= self._dispatcher.queue:
            return False
        heapq.heappush(self._heap, (-priority, self._order, body))
        self._order += 1
        self.pump()
        return True

    def pump(self) -> None:
        """Hand over what may go. When others wait, too, that is one message: then the bus has one place free."""
        dispatcher = self._dispatcher
        share = dispatcher.share
        while self._heap:
            priority = -self._heap[0][0]
            ahead = sum(1 for other in self._at_bus if other >= priority)
            if ahead >= share or len(self._at_bus) >= 2 * share:
                return
            if dispatcher.full:
                dispatcher.wait(self)
                return
            body = heapq.heappop(self._heap)[2]
            self._at_bus.append(priority)
            dispatcher.at_bus += 1
            future = dispatcher.bus.transmit(body, priority=priority)
            future.add_done_callback(partial(self._done, priority))

    def _done(self, priority: int, future: asyncio.Future[TransmitResult]) -> None:
        self._at_bus.remove(priority)
        self.pump()
        failed = future.cancelled() or future.exception() is not None
        self._dispatcher.released(TransmitResult(Outcome.DROPPED) if failed else future.result())
        if self.idle:
            callbacks, self._idle_callbacks = self._idle_callbacks, []
            for callback in callbacks:
                callback()

    def give_up(self) -> int:
        """Forget what the bus doesn't have yet. Returns how many messages."""
        n = len(self._heap)
        self._heap.clear()
        return n
