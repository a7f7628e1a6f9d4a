"""The queue before the board: order, bounds, and exactly one result each, whatever happens."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from openkline.bus import Outcome, TransmitResult
from openkline.device.queue import DETAIL_QUEUE_FULL, Message, TransmitQueue

BODY = bytes.fromhex("68 03 18 01")


def body(n: int) -> bytes:
    return bytes((0x68, 5, 0x18, n >> 8, n & 0xFF, 0))


async def test_higher_priority_first_ties_in_order() -> None:
    queue = TransmitQueue(in_flight=100)
    for n, priority in enumerate((100, 5, 100, -3, 32767, 5)):
        queue.submit(body(n), priority)
    order = []
    while (message := queue.take()) is not None:
        order.append(message.body[4])
    assert order == [4, 0, 2, 1, 5, 3]


async def test_a_full_queue_refuses_and_says_so() -> None:
    queue = TransmitQueue(limit=3)
    futures = [queue.submit(body(n)) for n in range(5)]
    assert [future.done() for future in futures] == [False] * 3 + [True] * 2
    assert futures[4].result() == TransmitResult(Outcome.DROPPED, detail=DETAIL_QUEUE_FULL)


async def test_cancelled_messages_make_room_and_are_never_sent() -> None:
    queue = TransmitQueue(limit=2)
    first = queue.submit(body(1))
    queue.submit(body(2))
    first.cancel()
    third = queue.submit(body(3))
    assert not third.done()
    assert [m.body[4] for m in (queue.take(), queue.take()) if m] == [2, 3]


async def test_deadlines_count_from_the_submission() -> None:
    now_s = 100.0
    queue = TransmitQueue(in_flight=1, monotonic=lambda: now_s)
    queue.submit(BODY, deadline_ms=500)
    late = queue.submit(BODY, deadline_ms=500)
    now_s += 0.2
    message = queue.take()
    assert message is not None
    assert message.deadline_ms(now_s) in (299, 300)
    now_s += 0.4
    queue.expire(board_is_there=True)
    assert late.result().outcome is Outcome.BUS_BUSY
    assert message.deadline_ms(now_s) == 1, "0 would mean: no deadline"


async def test_nobody_waits_for_ever_for_a_board() -> None:
    now_s = 0.0
    queue = TransmitQueue(patience_s=10, monotonic=lambda: now_s)
    future = queue.submit(BODY)
    now_s = 9.0
    queue.expire(board_is_there=False)
    assert not future.done()
    now_s = 60.0
    queue.expire(board_is_there=True)
    assert not future.done()
    queue.expire(board_is_there=False)
    assert future.result().outcome is Outcome.DROPPED


async def test_a_result_for_nobody_is_counted() -> None:
    queue = TransmitQueue()
    queue.result(77, TransmitResult(Outcome.SENT))
    assert queue.counters.stray_results == 1


class QueueMachine(RuleBasedStateMachine):
    """Any order of calls: bounded, no id twice in flight, each message one result, never taken twice."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now_s = 0.0
        self.queue = TransmitQueue(limit=5, in_flight=2, patience_s=3, monotonic=lambda: self.now_s)
        self.futures: list[asyncio.Future[TransmitResult]] = []
        self.taken: list[Message] = []
        self.in_flight: list[Message] = []

    def run(self, call: Any, *args: Any, **words: Any) -> Any:
        async def inside() -> Any:
            return call(*args, **words)

        return self.loop.run_until_complete(inside())

    @rule(priority=st.integers(-3, 3), deadline_ms=st.sampled_from([0, 0, 500]))
    def submit(self, priority: int, deadline_ms: int) -> None:
        n = len(self.futures)
        self.futures.append(self.run(self.queue.submit, body(n), priority, 5, deadline_ms))

    @rule()
    def take(self) -> None:
        message = self.run(self.queue.take)
        if message is not None:
            assert message not in self.taken
            assert message.id not in [other.id for other in self.in_flight]
            self.taken.append(message)
            self.in_flight.append(message)

    @rule(which=st.integers(0, 1), outcome=st.sampled_from(Outcome))
    def result(self, which: int, outcome: Outcome) -> None:
        if which < len(self.in_flight):
            message = self.in_flight.pop(which)
            self.run(self.queue.result, message.id, TransmitResult(outcome))
            assert message.future.done()

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0]), there=st.booleans())
    def time_passes(self, seconds: float, there: bool) -> None:
        self.now_s += seconds
        self.run(self.queue.expire, there)

    @rule()
    def reset(self) -> None:
        assert self.run(self.queue.abandon_in_flight) == len(self.in_flight)
        self.in_flight.clear()

    @rule(which=st.integers(0, 10))
    def cancel(self, which: int) -> None:
        if which < len(self.futures):
            self.run(self.futures[which].cancel)

    @invariant()
    def bounded(self) -> None:
        assert len(self.queue) <= 5
        assert self.queue.in_flight == len(self.in_flight) <= 2

    def teardown(self) -> None:
        self.run(self.queue.close)
        assert all(future.done() for future in self.futures)
        counters = self.queue.counters
        finished = sum(counters.outcomes.values())
        cancelled = sum(future.cancelled() for future in self.futures)
        assert counters.submitted - cancelled <= finished <= counters.submitted
        self.loop.close()


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=30)
