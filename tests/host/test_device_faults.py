"""Device when cable, line, port or board fail."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from kline.protocol.link import records
from openkline.bus import Outcome
from openkline.device.device import Device
from openkline.device.queue import DETAIL_NO_BOARD
from openkline.device.repl import WAKE_KEYS
from openkline.device.state import State
from openkline.errors import DeviceBusy

from .fake_device import BODY, FAST, FakePort, Noisy, connected, frames, result_of, until

BOOT = b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0xc (SW_CPU_RESET)\r\n"


async def test_a_pulled_cable_loses_and_doubles_nothing() -> None:
    port = FakePort()
    got: list[bytes] = []
    async with connected(port) as device:
        device.subscribe(lambda frame: got.append(frame.data))
        sent = frames(30)
        for frame in sent[:10]:
            port.board.send_frame(frame)
        await until(lambda: len(got) == 10)
        port.unplug()
        await until(lambda: device.state is State.WAITING)
        for frame in sent[10:20]:
            assert port.board.send_frame(frame)
        port.plugged = True
        await device.wait_for(State.READY, timeout_s=10)
        for frame in sent[20:]:
            assert port.board.send_frame(frame)
        await until(lambda: len(got) == 30)
        assert got == sent
        assert device.counters.resumed == 1
        assert device.counters.reboots == 0


async def test_a_message_under_way_survives_a_pulled_cable() -> None:
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    async with connected(port) as device:
        future = device.transmit(BODY)
        await until(lambda: board.transmits)
        port.unplug()
        await until(lambda: device.state is State.WAITING)
        board.succeed(board.transmits[0])
        port.plugged = True
        assert (await result_of(future)).sent
        assert len(board.transmits) == 1


async def test_a_cable_that_stays_out_ends_in_unknown() -> None:
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    async with connected(port, replace(FAST, resume_s=0.1, patience_s=0.1)) as device:
        taken = [device.transmit(bytes((0x68, 4, 0x18, 1, n))) for n in range(2)]
        waiting = device.transmit(bytes((0x68, 4, 0x18, 1, 9)))
        await until(lambda: len(board.transmits) == 2)
        port.unplug()
        for future in taken:
            assert (await result_of(future)).outcome is Outcome.UNKNOWN_AFTER_RESET
        late = await result_of(waiting)
        assert (late.outcome, late.detail) == (Outcome.DROPPED, DETAIL_NO_BOARD)
        board.on_transmit = board.succeed
        port.plugged = True
        await device.wait_for(State.READY, timeout_s=10)
        assert (await result_of(device.transmit(BODY))).sent
        assert board.bodies().count(bytes((0x68, 4, 0x18, 1, 0))) == 1


async def test_messages_that_the_board_has_flushed_hold_up_no_others() -> None:
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    async with connected(port) as device:
        flushed = [device.transmit(bytes((0x68, 4, 0x18, 1, n))) for n in range(2)]
        waiting = device.transmit(bytes((0x68, 4, 0x18, 1, 9)))
        await until(lambda: len(board.transmits) == 2)
        board.on_transmit = board.succeed
        board.send_event(records.EVENT_TX_FLUSHED)
        for future in flushed:
            assert (await result_of(future)).outcome is Outcome.UNKNOWN_AFTER_RESET
        assert (await result_of(waiting)).sent
        assert len(board.transmits) == 3


async def test_a_reset_of_the_board_is_an_event_not_an_error() -> None:
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    got: list[bytes] = []
    async with connected(port) as device:
        device.subscribe(lambda frame: got.append(frame.data))
        future = device.transmit(BODY)
        await until(lambda: board.transmits)
        board.text = b"ets Jul 29 2019 12:21:46\r\nrst:0x1 (POWERON_RESET)\r\n"
        board.reboot()
        board.on_transmit = board.succeed
        assert (await result_of(future)).outcome is Outcome.UNKNOWN_AFTER_RESET
        await until(lambda: device.state is State.READY and device.counters.reboots == 1)
        assert (await result_of(device.transmit(BODY))).sent
        board.send_frame(frames(1)[0])
        await until(lambda: len(got) == 2)
        assert port.opened == 1, "the port stays open"


async def test_a_start_that_is_told_together_with_its_welcome_is_over(caplog: pytest.LogCaptureFixture) -> None:
    """A PC that was busy reads both at once."""
    port = FakePort()
    begun: list[bytes] = []

    def first(data: bytes) -> bytes:
        if not begun:
            port.board.text = BOOT
        begun.append(data)
        return data

    port.to_board = first
    caplog.set_level(logging.DEBUG, "openkline.device.device")
    async with connected(port) as device:
        port.board.send_frame(frames(1)[0])
        await until(lambda: device.counters.frames == 1)
        assert device.state is State.READY
    assert sum("-> ready" in record.message for record in caplog.records) == 1


async def test_messages_that_waited_go_out_after_a_reset() -> None:
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    async with connected(port) as device:
        futures = [device.transmit(bytes((0x68, 4, 0x18, 1, n))) for n in range(6)]
        await until(lambda: len(board.transmits) == 2)
        board.on_transmit = board.succeed
        board.reboot()
        outcomes = [(await result_of(future)).outcome for future in futures]
    assert outcomes == [Outcome.UNKNOWN_AFTER_RESET] * 2 + [Outcome.SENT] * 4
    assert sorted(body[4] for body in board.bodies()) == list(range(6)), "each at most once"


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(6))
async def test_a_bad_line_loses_and_doubles_nothing(seed: int) -> None:
    port = FakePort()
    got: list[bytes] = []
    async with connected(port) as device:
        device.subscribe(lambda frame: got.append(frame.data) if not frame.own else None)
        noise = Noisy(0.004, seed), Noisy(0.004, seed + 100)
        port.to_host, port.to_board = noise
        sent = frames(120)
        futures = []
        for n, frame in enumerate(sent):
            await until(lambda: port.board.link.room() > 100, timeout_s=30)
            assert port.board.send_frame(frame)
            if n % 4 == 0:
                futures.append(device.transmit(bytes((0x68, 4, 0x18, 1, n))))
            port.flush()
            await asyncio.sleep(0)
        await until(lambda: len(got) == len(sent), timeout_s=30)
        results = [await asyncio.wait_for(future, 30) for future in futures]
    assert got == sent
    assert all(result.sent for result in results)
    assert [body[4] for body in port.board.bodies()] == list(range(0, 120, 4))
    assert noise[0].faults > 0


async def test_a_board_that_falls_silent_is_noticed_and_found_again() -> None:
    port = FakePort()
    async with connected(port, replace(FAST, silence_s=0.2)) as device:
        assert (await result_of(device.transmit(BODY))).sent
        port.board.mute = True
        await device.wait_for(State.GREETING, timeout_s=15)
        await until(lambda: "no openkline firmware answers" in device.away)
        port.board.mute = False
        await device.wait_for(State.READY, timeout_s=10)
        assert device.counters.silences >= 1
        assert device.counters.resumed == 1


async def test_a_board_at_the_prompt_is_started_with_one_press_of_the_keys() -> None:
    port = FakePort()
    board = port.board
    board.mute = True
    pressed: list[bytes] = []

    def watch(data: bytes) -> bytes:
        if WAKE_KEYS in data:
            pressed.append(data)
            board.mute = False
        return data

    device = Device(port, FAST)
    await device.start()
    try:
        await until(lambda: port._far is not None)
        port._far.write(b"raw REPL; CTRL-B to exit\r\n>" * 5)  # type: ignore[union-attr]
        reading = port.arrived

        def arrived(data: bytes) -> None:
            watch(data)
            reading(data)

        port.arrived = arrived  # type: ignore[method-assign]
        await device.wait_for(State.READY, timeout_s=10)
        assert len(pressed) == 1
    finally:
        await device.stop()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([BOOT], id="text"),
        pytest.param([BOOT[:31], BOOT[31:]], id="in two pieces"),
        pytest.param([b"\0" + BOOT + b"\0"], id="between delimiters"),
        pytest.param([b"\0\xff\xfe" + BOOT + b"\0"], id="behind half a record"),
    ],
)
async def test_a_board_that_starts_anew_hears_nothing_but_greetings(pieces: list[bytes]) -> None:
    """In the boot window any 03 is a Ctrl-C; a record that is repeated may well contain one."""
    port = FakePort()
    board = port.board
    board.on_transmit = board.hold
    async with connected(port) as device:
        heard = bytearray()

        def listen(data: bytes) -> bytes:
            heard.extend(data)
            return b""  # the board resets and hears nothing

        port.to_board = listen
        device.transmit(bytes.fromhex("03 07 03 03 03 03 03 03"))
        await until(lambda: 3 in heard)
        board.mute = True
        heard.clear()
        assert port._far is not None
        for piece in pieces:
            due = device.counters.bytes_in + len(piece)
            port._far.write(piece)
            await until(lambda due=due: device.counters.bytes_in >= due)  # type: ignore[misc]
        await device.wait_for(State.GREETING, timeout_s=1)  # the link itself takes 5 s
        heard.clear()
        board.mute = False
        port.arrived = listen  # type: ignore[method-assign,assignment]
        await until(lambda: len(heard) > 60)
        assert 3 not in heard
        assert 4 not in heard


async def test_a_port_that_cannot_be_opened_is_tried_again_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    port = FakePort()
    port.error = DeviceBusy("fake: in use by minicom (pid 7)")
    device = Device(port, FAST)
    await device.start()
    try:
        await until(lambda: device.counters.open_failures >= 3)
        assert device.away == "fake: in use by minicom (pid 7)"
        assert sum("minicom" in record.message for record in caplog.records) == 1
        port.error = None
        await device.wait_for(State.READY, timeout_s=10)
        assert device.away == ""
    finally:
        await device.stop()


async def test_garbage_before_during_and_after_is_only_counted() -> None:
    port = FakePort()
    board = port.board
    board.text = bytes(range(256)) * 4 + b"\0Traceback (most recent call last):\r\n"
    async with connected(port) as device:
        got: list[bytes] = []
        device.subscribe(lambda frame: got.append(frame.data))
        for frame in frames(5):
            board.text = bytes(range(255, 0, -1))
            board.send_frame(frame)
            port.flush()
        await until(lambda: len(got) == 5)
        assert got == frames(5)


async def test_a_record_that_is_too_short_is_counted() -> None:
    port = FakePort()
    async with connected(port) as device:
        port.board.send_record(records.RESULT, b"\x01")
        port.board.send_record(records.FRAME, b"\x01\0\0\0\0\x68")
        port.board.send_record(0x7E, b"unknown")
        port.board.send_frame(frames(1)[0])
        await until(lambda: device.counters.frames == 1)
        assert device.link.misread == 2


@pytest.mark.parametrize(
    ("said", "why"),
    [(BOOT, "the board starts again and again"), (b"\r\nBrownout detector was triggered\r\n", "supply voltage")],
)
async def test_a_board_in_a_boot_loop_is_told_once_with_its_cause(
    said: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = FakePort()
    port.board.mute = True
    port.board.text = said * 5
    device = Device(port, replace(FAST, silence_s=0.5))
    with caplog.at_level(logging.WARNING, "openkline.device.device"):
        await device.start()
        try:
            await until(lambda: device.counters.silences > 1)
            assert why in device.away
        finally:
            await device.stop()
    told = [record.getMessage() for record in caplog.records]
    assert sum(why in text for text in told) == 1 and not any("Is the board flashed" in text for text in told)
