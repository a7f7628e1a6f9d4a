"""What a mechanic asks, from the PC, of a fake car behind the real link."""

from __future__ import annotations

from pathlib import Path

import pytest

from kline.protocol.link import records, unpack
from openkline.errors import ObdError
from openkline.obd.diagnostics import Diagnostics
from openkline.obd.live import Cell
from openkline.obd.session import ObdSession

from .fake_obd import VIN, ObdBoard, opened


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "openkline" / "cars"


async def connected(session: ObdSession) -> Diagnostics:
    await session.connect()
    return Diagnostics(session)


async def test_what_a_mechanic_asks() -> None:
    async with opened(ObdBoard()) as session:
        car = await connected(session)
        assert (await car.supported()).pids() == [0, 1, 5, 0x0C, 0x0D, 0x20, 0x40, 0x42]
        assert (await car.monitors())[0x10].codes == 2
        assert await car.codes() == ({0x10: ["P0133", "P0301"]}, True)
        assert await car.codes(0x07) == ({0x10: ["P0171"]}, True)
        assert await car.codes(0x0A) == ({}, False)
        assert await car.vins() == {0x10: VIN}
        assert await car.calibration_ids() == {} and await car.standard() == ""
        assert await car.clear() == {0x10: 0}
        assert _frozen(await car.freeze_frames()) == {0x10: ("P0133", {"COOLANT": 33, "RPM": 840.0})}


async def test_refusals_and_silence_are_no_values() -> None:
    board = ObdBoard()
    board.car["03"] = []
    board.car["04"] = []
    async with opened(board) as session:
        car = await connected(session)
        assert await car.codes() == ({}, False)  # PID 01 says that there are two
        with pytest.raises(ObdError, match="no ECU answered the request to clear"):
            await car.clear()
        board.car["02 02 00"] = [(0x10, "42 02 00 00 00")]
        assert await car.freeze_frames() == {}
        board.car["02 02 00"] = []
        with pytest.raises(ObdError, match="no ECU answered 02 02 00"):
            await car.freeze_frames()
        board.car["02 02 00"] = [(0x10, "7F 02 11")]
        with pytest.raises(ObdError, match="refused 02 02 00: 11: service not supported") as refused:
            await car.freeze_frames()
        assert refused.value.name == "refused" and refused.value.exit_code == 7


async def test_an_ecu_that_says_nothing_any_more_is_not_without_codes() -> None:
    board = ObdBoard()
    async with opened(board) as session:
        car = await connected(session)
        assert session.car is not None and 0x10 in session.car.ecus
        board.car["01 01"] = [(0x18, "41 01 00 00 00 00")]
        board.car["03"] = [(0x18, "43 00 00 00 00 00 00")]
        assert await car.codes() == ({0x18: []}, False)
        board.car["01 01"].append((0x10, "41 01 00 00 00 00"))
        assert await car.codes() == ({0x18: []}, True)


def _frozen(found: dict[int, tuple[str, list[Cell]]]) -> dict[int, tuple[str, dict[str, object]]]:
    return {ecu: (code, {cell.name: cell.value.value for cell in cells}) for ecu, (code, cells) in found.items()}


async def test_the_freeze_frame_is_the_one_of_the_ecu_that_has_it() -> None:
    board = ObdBoard()
    for request, answers in board.car.items():
        if request.startswith("02") and all(ecu == 0x10 for ecu, _ in answers):
            other = "42 02 00 00 00" if request == "02 02 00" else "42 " + request[3:] + " FF FF FF FF"
            board.car[request] = [(0x18, other), *answers]
    async with opened(board) as session:
        car = await connected(session)
        engine = {0x10: ("P0133", {"COOLANT": 33, "RPM": 840.0})}
        assert _frozen(await car.freeze_frames()) == engine
        # The gearbox has one as well, with the speed, and with an engine speed that it does not tell.
        board.car["02 02 00"][0] = (0x18, "42 02 00 07 20")
        board.car["02 00 00"][0] = (0x18, "42 00 00 00 18 00 00")
        board.car["02 0D 00"] = [(0x18, "42 0D 00 39")]
        del board.car["02 0C 00"][0]
        frames = await car.freeze_frames()
        assert _frozen(frames) == engine | {0x18: ("P0720", {"RPM": None, "SPEED": 57})}
        assert [cell.why for cell in frames[0x18][1]] == ["no answer", ""]


async def test_an_ecu_that_says_nothing_to_clear_is_not_cleared() -> None:
    board = ObdBoard()
    async with opened(board) as session:
        car = await connected(session)
        board.car["04"] = [(0x18, "44")]
        assert await car.clear() == {0x18: 0, 0x10: None}


async def test_damage_is_not_silence() -> None:
    board = ObdBoard()
    damaged = {"03", "07", "04", "02 02 00", "01 0D"}
    board.car |= {"07": [(0x18, "47 00 00 00 00 00 00")], "03": [], "04": [], "02 02 00": [], "01 0D": []}

    def on_call(call: unpack.ObdCall) -> bool:
        request = call.arguments[2:].hex(" ").upper()
        if call.operation != records.OP_REQUEST or request not in damaged:
            return False
        for ecu, data in board.car[request]:
            board.answer_frame(call.ident, ecu, data)
        board.end_request(call.ident, flags=records.END_ALIVE | records.END_DAMAGED)
        return True

    board.on_call = on_call
    async with opened(board) as session:
        car = await connected(session)
        assert (await session.request(b"\x01\x0d")).broken and not (await session.request(b"\x01\x0c")).broken
        for asked in (car.freeze_frames(), car.clear()):
            with pytest.raises(ObdError, match="damage") as caught:
                await asked
            assert caught.value.name == "damaged"
        assert await car.codes() == ({}, False)
        assert await car.codes(0x07) == ({0x18: []}, False), "the engine's may be the one that was damaged"
        assert board.requests().count("07") == 3 and car.damaged
        board.car["02 02 00"] = [(0x18, "42 02 00 00 00")]
        with pytest.raises(ObdError, match="damage"):
            await car.freeze_frames()
        damaged.clear()
        assert await car.freeze_frames() == {}
        car.damaged = False
        assert await car.codes(0x07) == ({0x18: []}, True)
        assert await car.vins() == {0x10: VIN} and not car.damaged


@pytest.mark.parametrize("request_", ["07", "09 02"])
async def test_damage_that_was_made_good_is_forgotten(request_: str) -> None:
    board = ObdBoard()
    damaged = 1

    def on_call(call: unpack.ObdCall) -> bool:
        nonlocal damaged
        hit = call.arguments[2:].hex(" ").upper() == request_ and damaged > 0
        if hit:
            damaged -= 1
            board.end_request(call.ident, flags=records.END_ALIVE | records.END_DAMAGED)
        return hit

    board.on_call = on_call
    async with opened(board) as session:
        car = await connected(session)
        assert await car.codes(0x07) == ({0x10: ["P0171"]}, True) and await car.vins() == {0x10: VIN}
        assert not car.damaged and board.requests().count(request_) == 2
