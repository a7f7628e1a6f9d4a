"""`openkline obd` with a fake board: raw frames, looking for an address, limits of time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kline.protocol.link import records, unpack

from .fake_obd import VIN, ObdBoard
from .obd_commands import board_of_commands, lines, run


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObdBoard:
    return board_of_commands(tmp_path, monkeypatch)


def test_raw(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_RAW:
            board.answer_frame(call.ident, 0, "83 F1 10 C1 E9 8F BD", mode=records.ANSWER_WHOLE)
            board.answer_frame(call.ident, 0, "01 02", mode=records.ANSWER_NO_FRAME)
            board.end(call.ident)
        return call.operation == records.OP_RAW

    board.on_call = on_call
    assert run("raw", "C1 33 F1 81").stdout.splitlines() == ["83 F1 10 C1 E9 8F BD", "[01 02]"]
    assert board.operations() == [records.OP_RAW, records.OP_CLOSE]
    assert board.calls[0].arguments == bytes((records.RAW_PULSE, 100, 0)) + bytes.fromhex("C1 33 F1 81 66")
    board.calls.clear()
    found = lines(run("raw", "C2", "33", "F1", "01", "0C", "F3", "--no-checksum", "--json"))
    assert found[0] == {"data": "83 F1 10 C1 E9 8F BD", "ecu": "10", "valid": True} and found[1]["ecu"] is None
    assert board.operations() == [records.OP_INIT, records.OP_RAW, records.OP_CLOSE]
    assert board.calls[0].arguments == bytes((0, 0x33, 0, 0, records.INIT_ANY_KEY)) and board.calls[1].arguments[0] == 0


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (("C1 33 F1 81", "C2 33 F1 01 0C"), ["p C1 33 F1 81 66", "C2 33 F1 01 0C F3"]),
        (("C2 33 F1 01 0C", "C2 33 F1 01 0D F4"), ["C2 33 F1 01 0C F3", "C2 33 F1 01 0D F4"]),
        (("81 10 F1 81",), ["p 81 10 F1 81 03"]),
        (("01 81",), ["p 01 81 82"]),
        (("80 10 F1 01 81",), ["p 80 10 F1 01 81 03"]),
        (("C133F181", "3E"), None),
        (("68", "6A", "F1", "01", "00"), ["68 6A F1 01 00 C4"]),
    ],
)
def test_raw_frames(board: ObdBoard, words: tuple[str, ...], sent: list[str] | None) -> None:
    """p: with the wake-up pattern in front."""
    result = run("raw", *words)
    raw = [call.arguments for call in board.calls if call.operation == records.OP_RAW]
    assert [("p " if one[0] else "") + one[3:].hex(" ").upper() for one in raw] == (sent or [])
    assert result.exit_code == (7 if sent else 2)
    assert (records.OP_INIT in board.operations()) == (sent is not None and not sent[0].startswith("p"))


def test_raw_tries_each_way_and_says_why_none_worked(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_INIT:
            board.fail(call.ident, "no_sync", "no ECU answered the address.")
        return call.operation == records.OP_INIT

    board.on_call = on_call
    result = run("raw", "C2 33 F1 01 0C", "--address", "auto")
    tried = [call.arguments[:2].hex() for call in board.calls if call.operation == records.OP_INIT]
    assert tried == [kind + address for address in ("33", "10", "11", "13", "01", "7a", "12") for kind in ("00", "01")]
    assert result.exit_code == 7 and "fast init of 7A: no ECU answered" in result.stderr


def test_an_unknown_address_is_looked_for(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        silent = call.operation == records.OP_CONNECT and call.arguments[3] != 0x11
        if silent:
            board.fail(call.ident, "no_car", "no way of initialisation worked. slow init of 10: no ECU answered the ..")
        return silent

    board.on_call = on_call
    result = run("vin", "--address", "auto")
    assert result.stdout.splitlines()[0] == VIN and "address 11, 3 of 7" in result.stderr
    tried = [call.arguments.hex() for call in board.calls if call.operation == records.OP_CONNECT]
    assert tried == ["0000" + f"00{address}01{address}" for address in ("33", "10", "11")]
    board.on_call = lambda call: (
        call.operation == records.OP_CONNECT
        and not board.fail(
            call.ident, "no_car", "no way of initialisation worked. slow init of 10: the ECU did not confirm"
        )
    )
    result = run("vin", "--address", "auto", "--profile", "none", "--init", "slow")
    assert result.exit_code == 7 and "at 33, 10, 11, 13, 01, 7A, 12" in result.stderr, result.stderr
    assert result.stderr.count("did not confirm") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--wait", "100"), "02 0000 6400 0000 0000"),
        (("--timing", "P2=100"), "02 0000 6400 0000 0000"),
        (("--timing", "p1=30,P3=600", "--timing", "W1=500"), "02 1E00 0000 5802 F401"),
        ((), None),
    ],
)
def test_limits_reach_the_board_before_the_car(board: ObdBoard, words: tuple[str, ...], told: str | None) -> None:
    assert run("vin", *words).exit_code == 0
    times = [call.arguments for call in board.calls if call.operation == records.OP_TIMING]
    assert times == ([bytes.fromhex(told)] if told else [])
    assert board.operations()[: 2 if told else 1] == [records.OP_TIMING, records.OP_CONNECT][0 if told else 1 :]


def test_a_late_car_is_said_and_remembered(board: ObdBoard, tmp_path: Path) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_REQUEST:
            board.answer_frame(call.ident, 0x10, "41 0C 0D 20")
            flags = records.END_ALIVE | records.END_LATE_P2 | records.END_LATE_P3
            board.end_request(call.ident, flags=flags)
        return call.operation == records.OP_REQUEST

    board.on_call = on_call
    result = run("live", "-n", "2", "RPM")
    assert "answers late, after more than 50 ms: from now on the wait is 200 ms" in result.stderr
    assert result.stderr.count("1000 ms after an answer") == 1
    kept = json.loads((tmp_path / "openkline" / "cars" / "car.json").read_text())
    assert (kept["p2_ms"], kept["p3_ms"]) == (200, 1000)
    board.calls.clear()
    run("live", "-n", "1", "RPM")
    assert board.calls[0].arguments == bytes.fromhex("02 0000 C800 E803 0000")
    kept = json.loads((tmp_path / "openkline" / "cars" / "car.json").read_text())
    assert kept["p2_ms"] == 800, "and four times that, where it is not enough"


def test_what_came_too_late_is_said_once(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_REQUEST:
            board.end_request(call.ident, flags=records.END_ALIVE | records.END_TOO_LATE)
        return call.operation == records.OP_REQUEST

    board.on_call = on_call
    assert run("live", "-n", "2", "RPM").stderr.count("try a longer --wait") == 1


def test_a_car_that_does_not_answer_01_00_shows_its_values(board: ObdBoard) -> None:
    board.ecus = []
    assert "RPM 840 rpm" in run("live", "-n", "1", "RPM").stdout


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("C1 33 F1 81",), "Is the ignition on"),
        (("C2 33 F1 01 0C",), "though the session is open"),
        (("C2 33 F1 01 0C", "--wait", "50"), "Try a longer --wait"),
        (("68 6A F1 01 00", "--wake", "none", "--wait", "51"), "Try --wake session"),
    ],
)
def test_raw_without_an_answer(board: ObdBoard, words: tuple[str, ...], hint: str) -> None:
    result = run("raw", *words)
    assert result.exit_code == 7 and result.stdout == "" and hint in result.stderr
