"""Messages waiting for the board, and those that the board has taken but not reported yet.

The board gets at most `in_flight` messages at a time, so that an urgent message never waits behind a burst: here is
where priority counts (higher first, ties first-in first-out). Every message ends in exactly one TransmitResult:

    submit -> waiting -> take() -> in flight -> result()                 the board's word
                 |                      '-----> abandon_in_flight()      unknown_after_reset: it may have been sent
                 '-> expire()                                            bus_busy, or dropped (no board for too long)

At most once on the wire: what was handed over once is never handed over again.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from openkline.bus import DEFAULT_PRIORITY, DEFAULT_TRIES, Outcome, TransmitResult

# TransmitResult.detail of results that the host gives; the board's own details stay below 0x80.
DETAIL_QUEUE_FULL = 0x81
DETAIL_NOT_A_FRAME = 0x82
DETAIL_TOO_LONG = 0x83
DETAIL_NO_BOARD = 0x84
DETAIL_CLOSED = 0x85
DETAIL_DEADLINE = 0x86

_MAX_DEADLINE_MS = 0xFFFF


@dataclass(slots=True)
class Message:
    """One transmission. body: source, length, destination, data.. ; deadline_s on time.monotonic()'s scale or None."""

    body: bytes
    max_tries: int
    deadline_s: float | None
    queued_s: float
    future: asyncio.Future[TransmitResult]
    id: int = -1

    def deadline_ms(self, now_s: float) -> int:
        """What is left for the board, 1..65535; 0 = no deadline."""
        if self.deadline_s is None:
            return 0
        return min(max(int((self.deadline_s - now_s) * 1000), 1), _MAX_DEADLINE_MS)


@dataclass(slots=True)
class TransmitCounters:
    submitted: int = 0
    stray_results: int = 0  # for a message that is not in flight
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))


class TransmitQueue:
    """limit: messages waiting at most; patience_s: how long a message waits while there is no board."""

    def __init__(
        self,
        limit: int = 256,
        in_flight: int = 2,
        patience_s: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.in_flight_limit = in_flight
        self.patience_s = patience_s
        self.max_frame = 257
        self.counters = TransmitCounters()
        self._monotonic = monotonic
        self._heap: list[tuple[int, int, Message]] = []
        self._order = 0
        self._next_id = 0
        self._in_flight: dict[int, Message] = {}

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def submit(
        self,
        body: bytes,
        priority: int = DEFAULT_PRIORITY,
        max_tries: int = DEFAULT_TRIES,
        deadline_ms: int = 0,
    ) -> asyncio.Future[TransmitResult]:
        now_s = self._monotonic()
        deadline_s = now_s + deadline_ms / 1000 if deadline_ms > 0 else None
        future: asyncio.Future[TransmitResult] = asyncio.get_running_loop().create_future()
        message = Message(bytes(body), min(max(max_tries, 1), 255), deadline_s, now_s, future)
        self.counters.submitted += 1
        refusal = self._refusal(message.body)
        if refusal:
            self._finish(message, TransmitResult(Outcome.DROPPED, detail=refusal))
        else:
            heapq.heappush(self._heap, (-priority, self._order, message))
            self._order += 1
        return future

    def _refusal(self, body: bytes) -> int:
        if not 4 <= len(body) <= 256 or body[1] != len(body) - 1:
            return DETAIL_NOT_A_FRAME
        if len(body) + 1 > self.max_frame:
            return DETAIL_TOO_LONG
        if len(self._heap) >= self.limit:
            self._drop_cancelled()
            if len(self._heap) >= self.limit:
                return DETAIL_QUEUE_FULL
        return 0

    def _drop_cancelled(self) -> None:
        self._heap = [entry for entry in self._heap if not entry[2].future.done()]
        heapq.heapify(self._heap)

    def take(self) -> Message | None:
        """The next message for the board, now in flight; None: nothing waits, or enough is in flight."""
        while self._heap and len(self._in_flight) < self.in_flight_limit:
            message = heapq.heappop(self._heap)[2]
            if message.future.done():
                continue
            if message.deadline_s is not None and message.deadline_s <= self._monotonic():
                self._finish(message, TransmitResult(Outcome.BUS_BUSY, detail=DETAIL_DEADLINE))
                continue
            message.id = self._free_id()
            self._in_flight[message.id] = message
            return message
        return None

    def _free_id(self) -> int:
        while True:
            self._next_id = (self._next_id + 1) & 0xFFFF
            if self._next_id not in self._in_flight:
                return self._next_id

    def result(self, id: int, result: TransmitResult) -> None:
        message = self._in_flight.pop(id, None)
        if message is None:
            self.counters.stray_results += 1
        else:
            self._finish(message, result)

    def abandon_in_flight(self) -> int:
        """The board lost its memory, or is gone: whether these were sent is unknown. Returns how many."""
        messages = list(self._in_flight.values())
        self._in_flight.clear()
        for message in messages:
            self._finish(message, TransmitResult(Outcome.UNKNOWN_AFTER_RESET))
        return len(messages)

    def expire(self, board_is_there: bool) -> None:
        """End what has waited past its deadline, and what has waited too long for a board to appear."""
        now_s = self._monotonic()
        late = [entry for entry in self._heap if self._expired(entry[2], now_s, board_is_there)]
        if not late:
            return
        self._heap = [entry for entry in self._heap if not self._expired(entry[2], now_s, board_is_there)]
        heapq.heapify(self._heap)
        for _, _, message in late:
            if message.deadline_s is not None and message.deadline_s <= now_s:
                self._finish(message, TransmitResult(Outcome.BUS_BUSY, detail=DETAIL_DEADLINE))
            else:
                self._finish(message, TransmitResult(Outcome.DROPPED, detail=DETAIL_NO_BOARD))

    def _expired(self, message: Message, now_s: float, board_is_there: bool) -> bool:
        if message.deadline_s is not None and message.deadline_s <= now_s:
            return True
        return not board_is_there and now_s - message.queued_s >= self.patience_s

    def close(self) -> None:
        """No more sending: what waits is dropped, what is in flight is unknown."""
        waiting, self._heap = self._heap, []
        for _, _, message in waiting:
            self._finish(message, TransmitResult(Outcome.DROPPED, detail=DETAIL_CLOSED))
        self.abandon_in_flight()

    def stats(self) -> dict[str, object]:
        """For `openkline status`."""
        return {
            "waiting": len(self),
            "in_flight": self.in_flight,
            "submitted": self.counters.submitted,
            "stray_results": self.counters.stray_results,
            "outcomes": {outcome.value: n for outcome, n in self.counters.outcomes.items()},
        }

    def _finish(self, message: Message, result: TransmitResult) -> None:
        self.counters.outcomes[result.outcome] += 1
        if not message.future.done():
            message.future.set_result(result)
