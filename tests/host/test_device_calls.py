"""device/calls.py: numbers, room on the link, time, new sessions, cancelling; on a device that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from typing import cast

import pytest

from kline.protocol.link import unpack
from openkline.device.calls import Call, Calls, Failure
from openkline.device.device import Device
from openkline.device.services import Service
from openkline.device.state import State

from .openbm.raw import until

CALL, ANSWER, END, CANCEL = 0x60, 0x61, 0x62, 0x63


class _Link:
    backlog = 0


class _StubDevice:
    def __init__(self) -> None:
        self.state = State.READY
        self.away = ""
        self.link = _Link()
        self.room = 100
        self.sent: list[tuple[int, bytes]] = []
        self.service: Service

    def serve(self, first: int, last: int, service: Service) -> None:
        assert (first, last) == (CALL, CANCEL)
        self.service = service

    def send_record(self, kind: int, payload: bytes) -> bool:
        if self.state is not State.READY or not self.room:
            return False
        self.room -= 1
        self.sent.append((kind, payload))
        return True

    def say(self, kind: int, ident: int, data: bytes = b"") -> None:
        self.service.on_record(kind, ident.to_bytes(2, "little") + data)


class _Failed(Exception):
    def __init__(self, why: Failure, words: str) -> None:
        super().__init__(words)
        self.why = why


def _read(kind: int, payload: bytes) -> tuple[int, bytes] | None:
    if len(payload) < 3:
        raise unpack.RecordError("too short")
    return (kind, payload[2:]) if kind in (ANSWER, END) else None


def _calls(
    device: _StubDevice, *, at_once: int = 1, patient: bool = False, numbered: bool = True
) -> Calls[tuple[int, bytes]]:
    return Calls(
        cast(Device, device),
        CALL,
        CANCEL,
        read=_read,
        ends=lambda said: said[0] == END,
        failure=_Failed,
        at_once=at_once,
        patient=patient,
        numbered=numbered,
        cancel=CANCEL,
        cancel_s=0.01 if numbered else 0.0,
    )


async def _ask(calls: Calls[tuple[int, bytes]], timeout_s: float = 5.0) -> list[bytes]:
    got: list[bytes] = []
    async with calls.begin(timeout_s) as call:
        await call.send(CALL, call.ident.to_bytes(2, "little"))
        while (said := await call.next())[0] != END:
            got.append(said[1])
    return got


async def test_each_call_gets_its_own_records_and_nothing_after_its_end() -> None:
    device = _StubDevice()
    calls = _calls(device, at_once=2)
    first, second, third = (asyncio.create_task(_ask(calls)) for _ in range(3))
    await until(lambda: len(device.sent) == 2)
    device.say(ANSWER, 2, b"for 2")
    device.say(ANSWER, 1, b"for 1")
    device.say(ANSWER, 7, b"for none")
    device.say(END, 1, b"\0")
    device.say(ANSWER, 1, b"late")
    assert await first == [b"for 1"]
    await until(lambda: len(device.sent) == 3)
    for ident in (2, 3):
        device.say(END, ident, b"\0")
    assert (await second, await third) == ([b"for 2"], [])
    assert [payload for kind, payload in device.sent] == [b"\1\0", b"\2\0", b"\3\0"], "none is cancelled"


async def test_numbers_begin_again_at_1() -> None:
    device = _StubDevice()
    calls = _calls(device)
    calls._last = 0xFFFE
    for ident in (0xFFFF, 1):
        asking = asyncio.create_task(_ask(calls))
        await until(lambda: device.sent)
        assert device.sent.pop()[1] == ident.to_bytes(2, "little")
        device.say(END, ident, b"\0")
        assert await asking == []


async def test_it_waits_for_room() -> None:
    device = _StubDevice()
    device.room = 0
    asking = asyncio.create_task(_ask(_calls(device)))
    await asyncio.sleep(0.02)
    assert not device.sent
    device.room = 1
    await until(lambda: device.sent)
    device.say(END, 1, b"\0")
    assert await asking == []


async def test_without_a_connection_it_fails_at_once_and_says_why() -> None:
    device = _StubDevice()
    device.state, device.away = State.WAITING, "fake: unplugged"
    with pytest.raises(_Failed, match="fake: unplugged") as failed:
        await _ask(_calls(device))
    assert failed.value.why is Failure.GONE and not device.sent


async def test_a_patient_service_waits_for_the_connection_and_lets_other_records_go_first() -> None:
    device = _StubDevice()
    device.state = State.WAITING
    asking = asyncio.create_task(_ask(_calls(device, patient=True)))
    await asyncio.sleep(0.02)
    device.link.backlog, device.state = 2, State.READY
    await asyncio.sleep(0.02)
    assert not device.sent and not asking.done()
    device.link.backlog = 1
    await until(lambda: device.sent)
    device.say(END, 1, b"\0")
    assert await asking == []


async def test_a_new_session_ends_all_calls_after_what_came_before_it() -> None:
    device = _StubDevice()
    calls = _calls(device)
    got: list[tuple[int, bytes]] = []

    async def listen() -> None:
        async with calls.begin(5) as call:
            await call.send(CALL, b"")
            while True:
                got.append(await call.next())

    listening = asyncio.create_task(listen())
    await until(lambda: device.sent)
    device.say(ANSWER, 1, b"before")
    device.service.on_reset()
    device.say(ANSWER, 1, b"after")
    with pytest.raises(_Failed, match="restarted") as failed:
        await listening
    assert failed.value.why is Failure.RESET and got == [(ANSWER, b"before")]
    assert [kind for kind, _ in device.sent] == [CALL], "the board knows of nothing that could be cancelled"


async def test_after_a_new_session_nothing_of_the_old_call_is_sent() -> None:
    device = _StubDevice()
    calls = _calls(device, patient=True)
    async with calls.begin(5) as call:
        device.service.on_reset()
        with pytest.raises(_Failed, match="restarted"):
            await call.send(CALL, b"")
    assert not device.sent


async def test_silence_cancels_the_call_on_the_board_and_says_how_long_it_was() -> None:
    device = _StubDevice()
    with pytest.raises(_Failed, match="no answer within 0 s") as failed:
        await _ask(_calls(device), timeout_s=0.02)
    assert failed.value.why is Failure.SILENT
    assert device.sent == [(CALL, b"\1\0"), (CANCEL, b"\1\0")]


async def test_a_step_of_a_call_has_a_time_of_its_own() -> None:
    device = _StubDevice()
    with pytest.raises(_Failed) as failed:
        async with _calls(device, numbered=False).begin() as call:
            await call.send(CALL, b"")
            async with call.within(0.02):
                await call.next()
    assert failed.value.why is Failure.SILENT
    assert device.sent == [(CALL, b""), (CANCEL, b"")]


@pytest.mark.parametrize("is_sent", [False, True])
async def test_a_cancelled_task_cancels_only_what_the_board_knows(is_sent: bool) -> None:
    device = _StubDevice()
    calls = _calls(device)
    device.room = 2 if is_sent else 0
    asking = asyncio.create_task(_ask(calls))
    if is_sent:
        await until(lambda: device.sent)
    else:
        await asyncio.sleep(0)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    assert [kind for kind, _ in device.sent] == ([CALL, CANCEL] if is_sent else [])
    device.room = 100
    following = asyncio.create_task(_ask(calls))
    await until(lambda: device.sent and device.sent[-1] == (CALL, b"\2\0"))
    device.say(END, 2, b"\0")
    assert await following == []


async def test_a_cancelled_call_waits_for_its_end_so_that_the_next_finds_the_board_free() -> None:
    device = _StubDevice()
    calls = _calls(device)
    calls._cancel_s = 60
    asking = asyncio.create_task(_ask(calls))
    await until(lambda: device.sent)
    asking.cancel()
    await until(lambda: len(device.sent) == 2)
    assert not asking.done()
    device.say(END, 1, b"\0")
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_records_without_a_number_go_to_the_call_under_way() -> None:
    device = _StubDevice()
    calls = _calls(device, numbered=False)

    async def hear(call: Call[tuple[int, bytes]]) -> None:
        device.service.on_record(ANSWER, b"\xaa\xbbyes")
        assert call.waiting == 1 and await call.next() == (ANSWER, b"yes")

    async with calls.begin(5) as call:
        await hear(call)
    device.service.on_record(ANSWER, b"\xaa\xbbno call is under way")
