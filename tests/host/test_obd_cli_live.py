"""`openkline obd live` with a fake board."""

from __future__ import annotations

import datetime
import os
import signal
from pathlib import Path

import pytest

from kline.protocol.link import records, unpack
from openkline.cli import obd_live
from openkline.cli.obd_show import sparkline

from .fake_obd import ObdBoard
from .obd_commands import board_of_commands, lines, run


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObdBoard:
    return board_of_commands(tmp_path, monkeypatch)


def test_live(board: ObdBoard) -> None:
    found = lines(run("live", "RPM", "05", "VOLTAGE", "-n", "2", "--json"))
    assert len(found) == 2
    assert (found[0]["RPM"], found[0]["COOLANT"], found[0]["VOLTAGE"]) == (840.0, 33, 14.1)
    table = run("live", "RPM", "2F", "-n", "1", "--csv").stdout.splitlines()
    local, unix = table[1].split(",")[:2]
    assert f"{datetime.datetime.fromisoformat(local).timestamp():.3f}" == unix
    assert table[0] == "time,unix time [s],RPM [rpm],FUEL_LEVEL [%]" and table[1].endswith(",840,")
    plain = run("live", "-n", "1").stdout
    assert "RPM 840 rpm" in plain and "COOLANT 33 C" in plain and "VOLTAGE 14.1 V" in plain and "LOAD" not in plain


def test_live_shows_any_pid(board: ObdBoard) -> None:
    board.car["01 A6"] = [(0x10, "41 A6 00 01 0D 20")]
    assert "A6 00 01 0D 20  RPM 840 rpm" in run("live", "A6", "RPM", "-n", "1").stdout
    assert lines(run("live", "A6", "-n", "1", "--json"))[0]["A6"] == "00 01 0D 20"
    assert run("live", "A6", "-n", "1", "--csv").stdout.splitlines()[1].endswith(",00 01 0D 20")
    assert "A7 no answer" in run("live", "A7", "-n", "1").stdout


def test_live_asks_for_several_in_one_request_where_the_car_takes_it(board: ObdBoard) -> None:
    board.car["01 0C 0D 05"] = [(0x10, "41 0C 0D 20 0D 39 05 49")]
    found = lines(run("live", "RPM", "SPEED", "COOLANT", "-n", "3", "--json"))
    assert [(one["RPM"], one["SPEED"], one["COOLANT"]) for one in found] == [(840.0, 57, 33)] * 3
    assert board.requests() == ["01 0C 0D 05"] * 3
    board.calls.clear()
    board.car["01 0C 0D 05"] = [(0x10, "7F 01 12")]
    found = lines(run("live", "RPM", "SPEED", "COOLANT", "-n", "4", "--json"))
    assert [(one["RPM"], one["SPEED"], one["COOLANT"]) for one in found] == [(840.0, 57, 33)] * 4
    asked = board.requests()
    # The next round is asked for before the present one is read, so a third may still try it.
    assert 2 <= asked.count("01 0C 0D 05") <= 3 and asked.count("01 0C") == 4


def test_live_fastest(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_TIMING and answer is None:
            board.fail(call.ident, "not_allowed", "ISO 14230-4 fixes the timing")
        elif call.operation == records.OP_TIMING and answer == b"":
            board.fail(call.ident, "refused", "the ECU refused AccessTimingParameters")
        elif call.operation == records.OP_TIMING:
            board.end(call.ident, found=answer or b"")
        return call.operation == records.OP_TIMING

    board.on_call = on_call
    words = ("live", "RPM", "-n", "1", "--fastest", "--json")
    answer: bytes | None = bytes.fromhex("00 01 14 14 00")
    result = run(*words, "--address", "10")
    assert "answers after 0 ms, and takes the next request after 10 ms" in result.stderr and len(lines(result)) == 1
    assert [call.arguments for call in board.calls if call.operation == records.OP_TIMING] == [b"\x01"]
    answer = b""
    result = run(*words, "--address", "10")
    assert "no faster: the ECU refused" in result.stderr and len(lines(result)) == 1
    answer = None
    result = run(*words)
    assert result.exit_code == 7 and "ISO 14230-4" in result.stderr


def test_live_goes_on_when_the_car_comes_back(board: ObdBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obd_live, "_RETRY_S", 0.01)
    seen = 0

    def on_call(call: unpack.ObdCall) -> bool:
        nonlocal seen
        seen += call.operation == records.OP_REQUEST
        if call.operation == records.OP_REQUEST and seen == 2:
            board.fail(call.ident, "no_car", "no way of initialisation worked.")
            return True
        return False

    board.on_call = on_call
    result = run("live", "RPM", "-n", "2", "--json")
    assert result.exit_code == 0 and len(lines(result)) == 2
    assert "is not there: no way" in result.stderr and "is back" in result.stderr


def test_live_ends_at_once_with_a_signal_also_while_it_connects(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_CONNECT:
            os.kill(os.getpid(), signal.SIGTERM)
        return call.operation == records.OP_CONNECT

    board.on_call = on_call
    result = run("live", "RPM")
    assert result.exit_code == 0 and result.stdout == ""
    assert board.cancelled == [1] and board.operations()[-1] == records.OP_CLOSE


def test_a_curve() -> None:
    assert sparkline([]) == "" and sparkline([3]) == "▁" and sparkline([1, 1]) == "▁▁"
    assert sparkline([0, 50, 100]) == "▁▅█" or sparkline([0, 50, 100]) == "▁▄█"
