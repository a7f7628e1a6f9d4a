"""The ELM327's operations as calls to a board: arguments, answers, failures, and what becomes of a cancelled one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from kline.protocol.link import records, unpack
from openkline.device.device import Device
from openkline.device.state import State
from openkline.elm import backend
from openkline.elm.backend import BoardLine
from openkline.elm.operations import (
    Bypass,
    Close,
    Exchange,
    Initialise,
    KeepAlive,
    Monitor,
    Operation,
    Outcome,
    Voltage,
)

from .fake_device import FAST, FakePort
from .fake_obd import ObdBoard

KWP_RPM = bytes.fromhex("84 F1 10 41 0C 0D 20 FF")
FOUND = records.pack_obd_found(records.INIT_FAST, 0x33, 10400, b"\xe9\x8f", bytes(32), [0x10])
Heard = list[tuple[bytes, bool]]


@contextlib.asynccontextmanager
async def line() -> AsyncIterator[tuple[BoardLine, ObdBoard, FakePort]]:
    board = ObdBoard()
    board.on_call = lambda call: answered(board, call)
    port = FakePort(board)
    device = Device(port, FAST)
    await device.start()
    try:
        await device.wait_for(State.READY, timeout_s=10)
        yield BoardLine(device), board, port
    finally:
        await device.stop()


def answered(board: ObdBoard, call: unpack.ObdCall) -> bool:
    """A board whose car always answers; OP_LISTEN never ends."""
    if call.operation == records.OP_EXCHANGE:
        board.answer_frame(call.ident, 0, KWP_RPM.hex(), mode=records.ANSWER_WHOLE)
        board.answer_frame(call.ident, 0, "84 F1", mode=records.ANSWER_NO_FRAME)
    if call.operation == records.OP_LISTEN:
        return True
    board.end(call.ident, found=FOUND if call.operation == records.OP_INIT else b"")
    return True


async def run(one: BoardLine, operation: Operation, heard: Heard | None = None) -> Outcome:
    found: Heard = [] if heard is None else heard
    return await one.run(operation, lambda message, good: found.append((message, good)))


@pytest.mark.parametrize(
    ("operation", "number", "arguments"),
    [
        (Initialise("slow", 0x13, 9600), records.OP_INIT, "00 13 80 25 00"),
        (Initialise("slow", 0x33, 10400, b"", False), records.OP_INIT, "00 33 A0 28 01"),
        (Initialise("fast", 0x33, 10400, b"\x81\x10\xf1\x81"), records.OP_INIT, "01 33 A0 28 00 81 10 F1 81"),
        (Bypass(4800), records.OP_INIT, "02 00 C0 12 00"),
        (Exchange(b"\xc1\x33\xf1\x3e", 200, 50, 1), records.OP_EXCHANGE, "01 C8 00 32 00 01 C1 33 F1 3E"),
        (Exchange(b"\x68\x6a\xf1\x01\x00", 0, 0, 0, False), records.OP_EXCHANGE, "00 00 00 00 00 00 68 6A F1 01 00"),
        (KeepAlive(2990, b"\xc1\x33\xf1\x3e"), records.OP_KEEP_ALIVE, "01 AE 0B C1 33 F1 3E"),
        (KeepAlive(0), records.OP_KEEP_ALIVE, "00 00 00"),
        (Close(), records.OP_CLOSE, ""),
        (Voltage(), records.OP_VOLTAGE, ""),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int | str) else "",
)
async def test_arguments(operation: Operation, number: int, arguments: str) -> None:
    async with line() as (one, board, _):
        outcome = await run(one, operation)
        assert outcome.error == "" and outcome.alive
        call = board.calls[-1]
        assert (call.operation, call.arguments.hex(" ").upper()) == (number, arguments)


async def test_what_comes_back() -> None:
    async with line() as (one, board, _):
        assert (await run(one, Initialise("fast", 0x33, 10400))).key_bytes == b"\xe9\x8f"
        heard: Heard = []
        await run(one, Exchange(b"\xc2\x33\xf1\x01\x0c", 200, 50), heard)
        assert heard == [(KWP_RPM, True), (b"\x84\xf1", False)]
        board.on_call = lambda call: board.end(call.ident, found=(13_842).to_bytes(2, "little")) is None
        assert (await run(one, Voltage())).volts == 13.842
        board.on_call = lambda call: board.end(call.ident) is None
        assert (await run(one, Voltage())).volts is None
        board.on_call = lambda call: board.end(call.ident, flags=0) is None
        assert not (await run(one, Exchange(b"\xc1\x33\xf1\x3e", 200, 50))).alive
        assert (await run(one, Exchange(b"\xc1\x33\xf1\x3e", 200, 50, session=False))).alive


async def test_failures_have_names(caplog: pytest.LogCaptureFixture) -> None:
    async with line() as (one, board, _):
        for name in ("no_sync", "no_echo", "stuck_low", "not_connected"):
            board.on_call = lambda call, name=name: board.fail(call.ident, name, f"why: {name}") is None  # type: ignore[misc]
            outcome = await run(one, Exchange(b"\xc1\x33\xf1\x3e", 200, 50))
            assert outcome.error == name and outcome.alive == (name != "not_connected")
        said = [record.getMessage() for record in caplog.records]
        assert "exchange: why: no_echo" in said
        assert not any("not_connected" in text for text in said)  # the next request initialises again, and that is all


async def test_a_search_in_vain_is_told_once_until_the_car_answers(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app asks again and again, with the ignition off all night."""
    monkeypatch.setattr(backend, "_FORGOTTEN_S", 0.0)
    async with line() as (one, board, _):

        def on_call(call: unpack.ObdCall) -> bool:
            if call.operation != records.OP_INIT:
                return answered(board, call)
            return board.fail(call.ident, "silent", f"nobody, kind {call.arguments[0]}") is None

        for _ in range(2):
            board.on_call = on_call
            for kind in ("slow", "fast", "slow", "slow", "fast"):
                await run(one, KeepAlive(2990))
                assert (await run(one, Initialise(kind, 0x33, 10400))).error == "silent"
            said = [record.getMessage() for record in caplog.records if record.name == "openkline.elm327"]
            assert said == ["initialise: nobody, kind 0", "initialise: nobody, kind 1"]
            caplog.clear()
            board.on_call = lambda call: answered(board, call)
            await run(one, Initialise("slow", 0x33, 10400))


async def test_listening_is_at_the_rate_that_was_asked_for() -> None:
    async with line() as (one, board, _):
        await run(one, Initialise("slow", 0x33, 10400))
        await run(one, Close())
        for session, before in ((False, [(records.OP_INIT, bytes((2, 0, 0x80, 0x25, 0)))]), (True, [])):
            board.calls.clear()
            listening = asyncio.create_task(run(one, Monitor(9600, session)))
            async with asyncio.timeout(10):
                while records.OP_LISTEN not in board.operations():
                    await asyncio.sleep(0.005)
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            assert [(call.operation, call.arguments) for call in board.calls] == [*before, (records.OP_LISTEN, b"")]


async def test_an_ecu_that_still_believes_in_the_old_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_FORGOTTEN_S", 0.3)
    async with line() as (one, board, _):
        await run(one, Initialise("slow", 0x33, 10400))
        deaf = [True]

        def on_call(call: unpack.ObdCall) -> bool:
            if deaf:
                deaf.pop()
                return board.fail(call.ident, "no_sync", "nobody") is None
            return answered(board, call)

        board.on_call = on_call
        assert (await run(one, Initialise("slow", 0x33, 10400))).error == ""
        assert board.operations() == [records.OP_INIT] * 3
        await asyncio.sleep(0.35)  # long enough: now silence means nobody
        deaf.append(True)
        assert (await run(one, Initialise("slow", 0x33, 10400))).error == "no_sync"


async def test_a_cancelled_operation_is_cancelled_on_the_board() -> None:
    async with line() as (one, board, _):
        listening = asyncio.create_task(run(one, Monitor(10400)))
        async with asyncio.timeout(10):
            while records.OP_LISTEN not in board.operations():
                await asyncio.sleep(0.005)
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        assert board.cancelled == [board.calls[-1].ident]
        assert (await run(one, Voltage())).error == ""  # the line is free


async def test_a_board_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_BOARD_S", 0.2)
    async with line() as (one, _, port):
        port.unplug()
        outcome = await run(one, Exchange(b"\xc1\x33\xf1\x3e", 200, 50))
        assert outcome.error == "interrupted" and not outcome.alive


async def test_a_session_is_closed_late_when_its_client_went_while_the_board_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a board that kept it keeps the car awake for nobody."""
    monkeypatch.setattr(backend, "_BOARD_S", 0.1)
    async with line() as (one, board, port):
        await run(one, Initialise("slow", 0x33, 10400))
        port.unplug()
        await one.device.wait_for(State.WAITING, timeout_s=10)
        assert (await run(one, Close())).error == "interrupted"
        board.calls.clear()
        monkeypatch.setattr(backend, "_BOARD_S", 10.0)
        port.plugged = True
        # The next one's operation, which begins at the same moment, comes behind it.
        assert (await run(one, Initialise("fast", 0x33, 10400))).error == ""
        assert board.operations() == [records.OP_CLOSE, records.OP_INIT]
        port.unplug()
        await one.device.wait_for(State.WAITING, timeout_s=10)
        monkeypatch.setattr(backend, "_BOARD_S", 0.1)
        assert (await run(one, Close())).error == "interrupted"
        board.calls.clear()
        port.plugged = True
        async with asyncio.timeout(10):  # and without any next one
            while not board.operations():
                await asyncio.sleep(0.005)
        assert set(board.operations()) == {records.OP_CLOSE}
