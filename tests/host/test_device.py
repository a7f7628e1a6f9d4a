"""Device and a board that does what it should: frames, messages, settings, versions, events."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace

import pytest

from kline.protocol.link import records
from openkline.bus import BusFrame, Outcome, TransmitResult
from openkline.device.device import Device
from openkline.device.queue import DETAIL_CLOSED, DETAIL_NOT_A_FRAME, DETAIL_TOO_LONG
from openkline.device.state import State
from openkline.errors import DeviceRefused

from .fake_device import BODY, FAST, FakeBoard, FakePort, connected, frames, result_of, until


async def test_frames_reach_every_subscriber_in_order() -> None:
    port = FakePort()
    async with connected(port) as device:
        one: list[BusFrame] = []
        two: list[BusFrame] = []
        device.subscribe(one.append)
        leave = device.subscribe(two.append)
        sent = frames(200)
        for frame in sent[:100]:
            assert port.board.send_frame(frame)
            port.flush()
            await asyncio.sleep(0)
        await until(lambda: len(one) == 100)
        leave()
        for frame in sent[100:]:
            assert port.board.send_frame(frame)
            port.flush()
            await asyncio.sleep(0)
        await until(lambda: len(one) == 200)
    assert [frame.data for frame in one] == sent
    assert [frame.data for frame in two] == sent[:100]
    assert all(a.time <= b.time for a, b in itertools.pairwise(one))


async def test_frames_share_acknowledgements_and_a_backlog_does_not_wait_for_them() -> None:
    port = FakePort()
    board = port.board
    async with connected(port) as device:
        await until(lambda: not board.link.outbox.ring.count)
        before, since_s = device.counters.bytes_out, time.monotonic()
        for frame in frames(60):
            assert board.send_frame(frame)
            port.flush()
            await asyncio.sleep(0.01)
        await until(lambda: not board.link.outbox.ring.count, "the last are acknowledged, too")
        bare = 11  # the longest acknowledgement, encoded
        assert device.counters.bytes_out - before <= bare * ((time.monotonic() - since_s) / 0.1 + 4)
        count = device.counters.frames
        many = frames(4000)
        since_s = time.monotonic()
        while many:
            if board.send_frame(many[-1]):
                many.pop()
            else:
                port.flush()
                await asyncio.sleep(0)
        await until(lambda: port.flush() or device.counters.frames == count + 4000)
        assert time.monotonic() - since_s < 4  # half a second; with a window of 100 records each 160 ms it would be 6 s


async def test_what_the_board_says_of_itself() -> None:
    async with connected(FakePort(FakeBoard(firmware=(0, 1, 0), micropython=(1, 28, 3)))) as device:
        assert device.firmware_version == (0, 1, 0)
        assert device.info is not None
        assert device.info.board == "FAKE"
        assert device.info.micropython == (1, 28, 3)


async def test_a_subscriber_that_fails_is_counted_and_harms_nobody() -> None:
    port = FakePort()
    got: list[BusFrame] = []

    def fail(frame: BusFrame) -> None:
        raise RuntimeError("on purpose")

    async with connected(port) as device:
        device.subscribe(fail)
        device.subscribe(got.append)
        port.board.send_frame(frames(1)[0])
        await until(lambda: got)
        assert device.counters.callback_errors == 1
        assert device.state is State.READY


async def test_each_message_has_one_result() -> None:
    async with connected(FakePort()) as device:
        futures = [device.transmit(bytes((0x68, 4, 0x18, 1, n))) for n in range(50)]
        results = [await result_of(future) for future in futures]
    assert {result.outcome for result in results} == {Outcome.SENT}


async def test_results_are_those_of_the_board() -> None:
    port = FakePort()
    board = port.board
    code = 0

    def answer(message: object) -> None:
        board.answer(message.ident, code, detail=2, tries=3)  # type: ignore[attr-defined]

    board.on_transmit = answer
    async with connected(port) as device:
        for code, outcome in enumerate(list(Outcome)[:8]):  # noqa: B007
            assert await result_of(device.transmit(BODY)) == TransmitResult(outcome, 3, 1500, 2)


async def test_what_is_no_frame_is_dropped_here() -> None:
    port = FakePort()
    async with connected(port) as device:
        assert (await result_of(device.transmit(b"\x68\x09\x18\x01"))).detail == DETAIL_NOT_A_FRAME
        long = bytes((0x68, 80, 0x18)) + bytes(78)
        assert (await result_of(device.transmit(long))).detail == DETAIL_TOO_LONG
        assert not port.board.transmits


async def test_an_urgent_message_passes_a_burst() -> None:
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    async with connected(port) as device:
        burst = [device.transmit(bytes((0x68, 4, 0x18, 1, n)), priority=0) for n in range(20)]
        urgent = device.transmit(bytes((0x50, 4, 0x68, 0x32, 0x11)), priority=200)
        await until(lambda: len(board.transmits) == 2)
        board.on_transmit = board.succeed
        for message in list(board.transmits):
            board.succeed(message)
        assert (await result_of(urgent)).sent
        for future in burst:
            assert (await result_of(future)).sent
    at = board.bodies().index(bytes((0x50, 4, 0x68, 0x32, 0x11)))
    assert at == 2, "behind the two that the board had already, before all others"
    assert [body[4] for body in board.bodies() if body[0] == 0x68] == list(range(20))


async def test_the_board_never_has_more_than_its_share() -> None:
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    async with connected(port) as device:
        for n in range(10):
            device.transmit(bytes((0x68, 4, 0x18, 1, n)))
        await until(lambda: len(board.transmits) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
            port.flush()
        assert len(board.transmits) == 2
        assert device.queue.in_flight == 2


async def test_old_micropython_is_refused_with_the_reason() -> None:
    device = Device(FakePort(FakeBoard(micropython=(1, 25, 0))), FAST)
    await device.start()
    with pytest.raises(DeviceRefused, match=r"MicroPython 1\.25\.0.*1\.26"):
        await device.wait_for(State.READY, timeout_s=10)
    await until(lambda: device.state is State.REFUSED)
    await device.stop()


async def test_micropython_1_26_works_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(FakePort(FakeBoard(micropython=(1, 26, 1)))):
        assert any("1.26.1; tested are 1.27.0" in record.message for record in caplog.records)


async def test_another_link_protocol_is_explained() -> None:
    device = Device(FakePort(FakeBoard(protocol=2)), FAST)
    await device.start()
    with pytest.raises(DeviceRefused, match=r"link protocol 2.*speaks 1.*update this program"):
        await device.wait_for(State.READY, timeout_s=10)
    await device.stop()


async def test_settings_are_given_to_each_start_of_the_board() -> None:
    port = FakePort()
    settings = replace(FAST, configure=((records.CONFIG_SLEEP_AFTER_S, 120),))
    async with connected(port, settings) as device:
        await until(lambda: port.board.configured == [(1, 120)])
        port.board.reboot()
        await until(lambda: device.counters.reboots == 1)
        await until(lambda: port.board.configured == [(1, 120), (1, 120)])


async def test_stop_gives_every_message_its_result() -> None:
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    async with connected(port) as device:
        futures = [device.transmit(bytes((0x68, 4, 0x18, 1, n))) for n in range(5)]
        await until(lambda: len(board.transmits) == 2)
    results = [await result_of(future) for future in futures]
    assert [result.outcome for result in results] == [Outcome.UNKNOWN_AFTER_RESET] * 2 + [Outcome.DROPPED] * 3
    assert results[-1].detail == DETAIL_CLOSED
    assert device.state is State.CLOSED


async def test_events_reach_their_subscribers() -> None:
    port = FakePort()
    async with connected(port) as device:
        names: list[str] = []
        device.subscribe_events(lambda event: names.append(event.name))
        port.board.send_event(records.EVENT_BUS_STUCK_LOW)
        port.board.send_event(records.EVENT_BUS_RELEASED)
        await until(lambda: len(names) == 2)
        assert names == ["bus_stuck_low", "bus_released"]
