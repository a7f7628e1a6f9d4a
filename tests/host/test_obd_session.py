"""The PC's half of OBD over the real link, with a fake car behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kline.protocol.link import records, unpack
from openkline.errors import DeviceRefused, ObdError
from openkline.obd.session import sender

from .fake_device import until
from .fake_obd import ObdBoard, opened


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "openkline" / "cars"


async def test_connect_tells_progress_and_what_it_found() -> None:
    board = ObdBoard()
    said: list[str] = []
    async with opened(board) as session:
        car = await session.connect(progress=said.append)
        await until(lambda: board.configured == [(records.CONFIG_MODE, records.MODE_OBD)])
    assert said == ["key bytes E9 8F"]
    assert (car.kind, car.address, car.ecus) == ("slow", 0x33, (0x10,)) and "2025" in car.protocol()
    assert board.calls[0].arguments == bytes.fromhex("0000 0033 0133 0033 0133")
    assert board.operations() == [records.OP_CONNECT, records.OP_CLOSE]


async def test_errors_come_in_the_boards_words() -> None:
    board = ObdBoard()
    tried = "slow init of 33: " + "no ECU answered. " * 30 + "/ fast init of 33: silence"
    why = f"no way of initialisation worked. {tried} / fast init of 33: silence"

    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_CONNECT:
            board.fail(call.ident, "no_car", why)
        return call.operation == records.OP_CONNECT

    board.on_call = on_call
    async with opened(board) as session:
        with pytest.raises(ObdError) as failed:
            await session.connect()
    assert failed.value.name == "no_car"
    assert [line.split(":")[0].strip() for line in str(failed.value).splitlines()] == [
        "no way of initialisation worked.", "slow init of 33", "fast init of 33",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (records.END_BUSY, "failed"),
        (records.END_WRONG_MODE, "wrong_mode"),
        (records.END_FAILED, "failed"),
        (99, "failed"),
    ],
)
async def test_each_end_has_words(code: int, name: str) -> None:
    board = ObdBoard()
    board.on_call = lambda call: not board.end(call.ident, code)
    async with opened(board) as session:
        with pytest.raises(ObdError, match=r"\w+ \w+") as failed:
            await session.connect()
    assert failed.value.name == name


async def test_a_firmware_without_obd_is_refused() -> None:
    async with opened(ObdBoard(capabilities=records.CAN_IBUS)) as session:
        with pytest.raises(DeviceRefused, match="update"):
            await session.connect()


async def test_only_the_last_attempt_counts() -> None:
    board = ObdBoard()

    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation != records.OP_REQUEST:
            return False
        board.answer_frame(call.ident, 0x18, "41 0C 00 00", attempt=255)
        board.answer_frame(call.ident, 0x10, "7F 01 21", attempt=255)
        board.answer_frame(call.ident, 0x10, "41 0C 0D 20", attempt=0)
        board.end(call.ident, found=last)
        return True

    board.on_call = on_call
    async with opened(board) as session:
        await session.connect()
        for told in (b"\x00", b""):  # the second: a firmware that does not tell it
            last = told
            assembly = await session.request(b"\x01\x0c")
            assert [(answer.ecu, answer.frames) for answer in assembly.answers] == [(0x10, [b"\x0c\x0d\x20"])]
        last = b"\x01"
        assert (await session.request(b"\x01\x0c")).answers == [], "to the last one nobody answered"


async def test_lost_answers_are_an_error() -> None:
    board = ObdBoard()
    board.on_call = lambda call: (
        call.operation == records.OP_REQUEST and not board.end(call.ident, flags=records.END_LOST_ANSWERS)
    )
    async with opened(board) as session:
        await session.connect()
        with pytest.raises(ObdError, match="ask again"):
            await session.request(b"\x01\x0c")


async def test_two_requests_are_under_way_and_no_more() -> None:
    board = ObdBoard()
    waiting: list[int] = []

    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_REQUEST:
            waiting.append(call.ident)
        return call.operation == records.OP_REQUEST

    board.on_call = on_call
    async with opened(board) as session:
        await session.connect()
        asking = [asyncio.create_task(session.request(bytes((1, pid)))) for pid in (5, 0x0C, 0x0D)]
        for n in range(3):
            await until(lambda n=n: len(waiting) >= min(n + 2, 3))  # type: ignore[misc]
            assert len(waiting) == min(n + 2, 3)
            board.answer_frame(waiting[n], 0x10, f"41 {(5, 0x0C, 0x0D)[n]:02X} {n:02X} 00")
            board.end_request(waiting[n])
            assert (await asking[n]).positive()[0].frames[0][1] == n


async def test_after_a_restart_two_requests_connect_once_and_the_times_are_asked_for_again() -> None:
    board = ObdBoard()

    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_TIMING:
            board.end(call.ident, found=bytes.fromhex("00 01 14 14 00"))
        return call.operation == records.OP_TIMING

    board.on_call = on_call
    async with opened(board) as session:
        await session.connect()
        assert (await session.timing(fastest=True)).p3_min_us == 10_000
        board.reboot()
        await until(lambda: session.calls.device.counters.reboots == 1)
        found = await asyncio.gather(*(session.request(bytes((1, pid))) for pid in (5, 0x0C)))
        assert all(one.positive() for one in found)
    assert session.renewed == 1
    assert board.operations().count(records.OP_CONNECT) == 2 and board.operations().count(records.OP_TIMING) == 2


async def test_a_request_that_is_broken_off_is_cancelled_on_the_board() -> None:
    board = ObdBoard()
    board.on_call = lambda call: call.operation == records.OP_REQUEST
    async with opened(board) as session:
        await session.connect()
        asking = asyncio.create_task(session.request(b"\x01\x0c"))
        await until(lambda: board.requests())
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert board.cancelled == [board.calls[-1].ident]
        board.on_call = lambda call: False
        assert (await session.request(b"\x01\x0c")).positive()


async def test_requests_wait_for_each_other() -> None:
    board = ObdBoard()
    async with opened(board) as session:
        await session.connect()
        found = await asyncio.gather(*(session.request(bytes((1, pid))) for pid in (5, 0x0C, 0x0D)))
    assert [one.positive()[0].frames[0][0] for one in found] == [5, 0x0C, 0x0D]


async def test_after_a_restart_of_the_board_the_car_is_connected_again() -> None:
    board = ObdBoard()
    async with opened(board) as session:
        await session.connect()
        board.on_call = lambda call: call.operation == records.OP_REQUEST
        asking = asyncio.create_task(session.request(b"\x01\x0c"))
        await until(lambda: board.requests())
        board.on_call = lambda call: False
        board.reboot()
        assert (await asking).positive()
        board.reboot()
        await until(lambda: session.calls.device.counters.reboots == 2)
        assert (await session.request(b"\x01\x0c")).positive()
    assert session.renewed == 2 and board.operations().count(records.OP_CONNECT) == 3
    assert board.configured == [(records.CONFIG_MODE, records.MODE_OBD)] * 3


async def test_raw_frames_look_as_they_were_on_the_line() -> None:
    board = ObdBoard()

    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_RAW:
            assert call.arguments == bytes.fromhex("03 2C01 C133F181")
            for whole in ("80 F1 10 03 C1 E9 8F BD", "01 7E 7F", "48 6B 11 41 0D 00 12"):
                board.answer_frame(call.ident, 0, whole, mode=records.ANSWER_WHOLE)
            board.answer_frame(call.ident, 0, "01 02", mode=records.ANSWER_NO_FRAME)
            board.end(call.ident)
        return call.operation == records.OP_RAW

    board.on_call = on_call
    async with opened(board) as session:
        answers = await session.raw(bytes.fromhex("C133F181"), checksum=True, pulse=True, silence_ms=300)
    assert [(one.data.hex(" ").upper(), sender(one)) for one in answers] == [
        ("80 F1 10 03 C1 E9 8F BD", 0x10), ("01 7E 7F", -1), ("48 6B 11 41 0D 00 12", 0x11), ("01 02", -1),
    ]  # fmt: skip
