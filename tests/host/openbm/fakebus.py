"""A bus in memory: what is transmitted comes back as our own frame, by priority, or as slowly as the test wants."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field

from kline.protocol.checksum import xor8
from openkline.bus import BusFrame, FrameCallback, Outcome, TransmitResult, Unsubscribe


def with_checksum(body: bytes) -> bytes:
    return body + bytes((xor8(body, 0, len(body)),))


@dataclass
class FakeBus:
    """held: messages wait until release(). outcomes: what becomes of the next ones (then SENT)."""

    firmware_version: tuple[int, int, int] | None = (2, 6, 1)
    held: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    sent: list[tuple[bytes, int]] = field(default_factory=list)
    submitted: int = 0
    callbacks: list[FrameCallback] = field(default_factory=list)
    max_waiting: int = 0
    _heap: list[tuple[int, int, bytes, asyncio.Future[TransmitResult]]] = field(default_factory=list)

    def subscribe(self, callback: FrameCallback) -> Unsubscribe:
        self.callbacks = [*self.callbacks, callback]

        def unsubscribe() -> None:
            self.callbacks = [other for other in self.callbacks if other is not callback]

        return unsubscribe

    def transmit(
        self, body: bytes, *, priority: int = 100, max_tries: int = 5, deadline_ms: int = 0
    ) -> asyncio.Future[TransmitResult]:
        assert 4 <= len(body) <= 256 and body[1] == len(body) - 1, body.hex(" ")
        future: asyncio.Future[TransmitResult] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (-priority, self.submitted, bytes(body), future))
        self.submitted += 1
        self.max_waiting = max(self.max_waiting, len(self._heap))
        if not self.held:
            asyncio.get_running_loop().call_soon(self.step)
        return future

    @property
    def waiting(self) -> int:
        return len(self._heap)

    def step(self) -> None:
        """Send one message: the highest, of these the first."""
        if not self._heap:
            return
        priority, _, body, future = heapq.heappop(self._heap)
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome.SENT
        if outcome is Outcome.SENT:
            self.sent.append((body, -priority))
            self.hear(with_checksum(body), own=True)
        if not future.done():
            future.set_result(TransmitResult(outcome, tries=1))

    def release(self) -> None:
        self.held = False
        for _ in range(len(self._heap)):
            asyncio.get_running_loop().call_soon(self.step)

    def hear(self, frame: bytes, own: bool = False) -> None:
        """A frame on the bus."""
        for callback in self.callbacks:
            callback(BusFrame(0.0, frame, own))

    @property
    def bodies(self) -> list[bytes]:
        return [body for body, _ in self.sent]
