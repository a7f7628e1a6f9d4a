"""`openkline obd` with a fake board: what is printed, and the exit statuses."""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TextIO

import pytest

from kline.protocol.link import records, unpack
from openkline import terminal

from .fake_obd import VIN, ObdBoard
from .obd_commands import board_of_commands, lines, run


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObdBoard:
    return board_of_commands(tmp_path, monkeypatch)


@pytest.mark.parametrize("command", ["scan", "live", "dtc", "clear", "freeze", "vin", "tests", "raw"])
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "-h")
    assert result.exit_code == 0 and "Example" in result.output and f"openkline obd {command}" in result.output


def test_scan(board: ObdBoard) -> None:
    result = run("scan")
    assert result.exit_code == 0, result.output
    assert VIN in result.stdout and "0C  RPM" in result.stdout and "stored codes: 2" in result.stdout
    for line in (
        "monitor      ECU 10: misfire: complete", "monitor      ECU 10: evaporative system: not complete",
        "name         ECU 10: ECM-EngineControl", "CVN          ECU 10: 1791BC82",
    ):  # fmt: skip
        assert line in result.stdout
    assert "key bytes" in result.stderr and "key bytes E9 8F" not in result.stdout
    found = lines(run("scan", "--json"))[0]
    assert (found["vin"], found["address"], found["ecus"], found["lamp"]) == (VIN, "33", ["10"], True)
    assert found["supported"] == ["01", "05", "0C", "0D", "42"]
    board.car["01 01"] = []
    assert "warning lamp not reported; stored codes: not reported; monitors: not reported" in run("scan").stdout
    assert lines(run("scan", "--json"))[0]["codes"] is None


def test_the_car_is_remembered_unless_told_otherwise(board: ObdBoard, tmp_path: Path) -> None:
    cars = tmp_path / "openkline" / "cars"
    run("vin", "--profile", "none")
    assert not cars.exists()
    run("vin", "--init", "fast", "--address", "13")
    assert json.loads((cars / "car.json").read_text())["address"] == "13"
    run("vin", "--profile", "golf")
    assert {path.name for path in cars.iterdir()} == {"car.json", "golf.json"}
    assert run("vin", "--profile", "../x").exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("live", "NONSENSE"),
        ("live", "--csv", "--json"),
        ("raw", "C1 3x"),
        ("raw",),
        ("scan", "--address", "133"),
        ("scan", "--baud", "300"),
        ("scan", "--timing", "P5=3"),
        ("scan", "--timing", "P2=nan"),
        ("scan", "--timing", "P3=5000"),
        ("scan", "--wait", "100", "--timing", "P2=90"),
    ],
)
def test_wrong_usage(board: ObdBoard, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2
    assert board.calls == []


def test_codes(board: ObdBoard) -> None:
    result = run("dtc")
    assert result.exit_code == 0
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["stored", "P0133"], ["stored", "P0301"], ["pending", "P0171"], ["permanent", "not"],
    ]  # fmt: skip
    result = run("dtc", "--json")
    assert [(one["kind"], one["code"]) for one in lines(result)][2:] == [("pending", "P0171")]
    assert (
        "permanent  not answered: permanent codes came in 2010, with CAN" in result.stderr
        and "pending" not in result.stderr
    )
    board.car["03"] = []
    result = run("dtc")
    assert result.exit_code == 7 and "does not fit" in result.stderr


def test_clear_asks(board: ObdBoard) -> None:
    assert run("clear", stdin="n\n").exit_code == 1
    nobody = run("clear", stdin="")
    assert nobody.exit_code == 1 and "--yes" in nobody.stderr
    assert board.calls == []
    assert run("clear", stdin="y\n").stdout.endswith("ECU 10: erased\n")
    assert board.requests() == ["04"]
    board.car["04"] = [(0x10, "7F 04 22")]
    result = run("clear", "--yes")
    assert result.exit_code == 7 and "refused" in result.stdout and "engine off" in result.stderr
    board.car["04"] = [(0x18, "44")]
    result = run("clear", "--yes")
    assert result.exit_code == 7 and result.stdout == "ECU 18: erased\nECU 10: no answer\n" and "dtc" in result.stderr


def test_clear_interrupted_while_it_clears(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        if call.operation == records.OP_REQUEST:
            os.kill(os.getpid(), signal.SIGINT)
        return call.operation == records.OP_REQUEST

    board.on_call = on_call
    result = run("clear", "--yes")
    assert result.exit_code == 130 and "dtc shows whether anything was erased" in result.stderr
    assert board.cancelled and board.operations()[-1] == records.OP_CLOSE


def test_codes_in_a_form_of_their_own_are_never_certain(board: ObdBoard) -> None:
    board.car["03"] = [(0x10, "43 02 01 33 03 01")]
    result = run("dtc")
    assert result.exit_code == 7 and "P0133" in result.stdout and "P0201" not in result.stdout
    assert "stored     not certain: ECU 10 answers in a form" in result.stdout and "43 02 01 33 03 01" in result.stdout
    assert "damaged" not in result.output
    assert "43 02 01 33 03 01" in run("dtc", "--json").stderr


def test_a_vin_of_a_form_of_its_own_shows_its_bytes(board: ObdBoard) -> None:
    board.car["09 02"] = [(0x10, "49 02 01 57 42 41 45 54 33 37 34 35 33 4E 4A 31 32 33 34 35")]
    assert run("vin").stdout.splitlines()[0] == VIN
    board.car["09 02"] = [(0x10, "49 02 01 57 42 41 45 54"), (0x10, "49 02 02 33")]
    result = run("vin")
    assert result.exit_code == 7 and "in a form not known here: 49 02 01 57 42 41 45 54 / 49 02 02 33" in result.stdout
    assert "damaged" not in result.output
    assert lines(run("scan", "--json"))[0]["vin_bytes"] == {"10": "49 02 01 57 42 41 45 54 / 49 02 02 33"}


def test_an_ecu_that_does_not_say_is_named(board: ObdBoard) -> None:
    board.ecus = [0x10, 0x18]
    assert "pending    (ECU 18 did not say)" in run("dtc", "--profile", "none").stdout
    board.car["07"] = [(0x18, "47 00 00 00 00 00 00")]
    assert "pending    none (ECU 10 did not say)" in run("dtc", "--profile", "none").stdout
    result = run("dtc", "--profile", "none", "--json")
    assert "pending    none (ECU 10 did not say)" in result.stderr and all(
        one["kind"] == "stored" for one in lines(result)
    )


def test_an_ecu_without_an_address(board: ObdBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObdBoard, "answer_frame", functools.partialmethod(ObdBoard.answer_frame, mode=0))
    board.ecus = [0xFF]
    result = run("scan")
    assert "ECUs         one, without an address" in result.stdout and "ECU: misfire: complete" in result.stdout
    assert "FF" not in result.stdout and "-1" not in result.stdout
    assert list(lines(run("scan", "--json"))[0]["monitors"]) == ["FF"]  # type: ignore[call-overload]
    assert lines(run("dtc", "--json"))[0]["ecu"] == "FF"
    assert lines(run("live", "RPM", "-n", "1", "--json"))[0]["RPM"] == 840.0


@pytest.mark.parametrize("words", [("live", "RPM", "-n1", "--csv"), ("dtc",)])
def test_a_full_disk_is_said(board: ObdBoard, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    put, trouble = terminal._put, errno.ENOSPC

    def full(stream: TextIO, text: str) -> None:
        if stream is sys.stdout:
            raise OSError(trouble, os.strerror(trouble))
        put(stream, text)

    monkeypatch.setattr(terminal, "_put", full)
    result = run(*words)
    assert result.exit_code == 1 and "cannot write: No space left" in result.stderr
    assert board.operations()[-1] == records.OP_CLOSE
    trouble = errno.EBADF
    assert isinstance(run(*words).exception, OSError), "a fault of ours is not hidden"


def test_freeze_and_vin(board: ObdBoard) -> None:
    assert run("freeze").stdout.startswith("stored by P0133")
    assert lines(run("freeze", "--json")) == [{"ecu": "10", "code": "P0133", "COOLANT": 33, "RPM": 840.0}]
    assert run("vin").stdout.splitlines() == [
        VIN, "name         ECU 10: ECM-EngineControl", "CVN          ECU 10: 1791BC82",
    ]  # fmt: skip
    assert lines(run("vin", "--json")) == [
        {"vin": VIN, "vins": {"10": VIN}, "vin_bytes": {}, "names": {"10": "ECM-EngineControl"}, "calibration": {},
         "cvn": {"10": ["1791BC82"]}}
    ]  # fmt: skip
    other = VIN[:-1] + "6"
    frames = [(0x18, one.replace("33 34 35", "33 34 36")) for _, one in board.car["09 02"]]
    board.car["09 02"] = [*frames, *board.car["09 02"]]
    assert run("vin").stdout.splitlines()[:2] == [VIN, f"VIN          ECU 18 gives another one: {other}"]
    assert f"VIN          ECU 18 gives another one: {other}" in run("scan").stdout
    assert lines(run("vin", "--json"))[0]["vins"] == {"10": VIN, "18": other}
    board.car["02 02 00"] = [(0x10, "42 02 00 00 00")]
    board.car["09 02"] = []
    assert run("freeze").stdout == "no freeze frame\n"
    assert lines(run("freeze", "--json")) == [{"code": None}]
    board.car["02 02 00"] = []
    assert run("freeze").exit_code == 7
    assert run("vin").exit_code == 7


def test_results_of_tests(board: ObdBoard) -> None:
    assert run("tests").stdout.splitlines() == [
        "ECU 10  mode 05 test 01  bank 1 sensor 1: rich to lean threshold voltage 0.45 V",
        "ECU 10  mode 05 test 07  bank 1 sensor 1: lowest voltage in the test 0.28 V  (least 0, most 0.48)  good",
        "ECU 10  mode 06 test 01  component 01: value 256  (most 512)  good",
        "ECU 10  mode 06 test 01  component 02: value 256  (least 512)  NOT GOOD",
    ]
    assert [one["passed"] for one in lines(run("tests", "--json"))] == [None, True, True, False]
    for request in ("01 13", "06 00"):
        board.car[request] = []
    result = run("tests")
    assert result.exit_code == 7 and result.stdout == "" and "many K-line cars" in result.stderr


def test_a_car_that_goes_away_meanwhile_has_not_said_that_it_has_nothing(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        silent = call.operation == records.OP_REQUEST
        if silent:
            board.end_request(call.ident, flags=0 if call.arguments[2:] == b"\x06\x00" else records.END_ALIVE)
        return silent

    board.on_call = on_call
    result = run("tests")
    assert result.exit_code == 7 and "stopped answering" in result.stderr and "many K-line cars" not in result.stderr


def test_damage_is_told(board: ObdBoard, tmp_path: Path) -> None:
    damaged = "01 20"

    def on_call(call: unpack.ObdCall) -> bool:
        hit = call.operation == records.OP_REQUEST and call.arguments[2:].hex(" ").upper() == damaged
        if hit:
            if damaged == "01 20":
                board.answer_frame(call.ident, 0x18, "41 20 80 00 00 00")
            board.end_request(call.ident, flags=records.END_ALIVE | records.END_DAMAGED)
        return hit

    board.on_call = on_call
    result = run("scan")
    assert result.exit_code == 0 and "something may be missing here" in result.stderr
    saved = json.loads((tmp_path / "openkline" / "cars" / "car.json").read_text())
    assert saved["supported"][-1] == "20", "what is not whole is not remembered"
    damaged = "09 02"
    result = run("vin")
    assert result.exit_code == 7 and "the VIN came incomplete" in result.stderr and "about 2002" not in result.stderr
    damaged = ""
    board.car["09 02"] = board.car["09 02"][1:]
    result = run("vin")
    assert result.exit_code == 7 and "the VIN came incomplete" in result.stderr


def test_errors_end_with_their_status(board: ObdBoard) -> None:
    def on_call(call: unpack.ObdCall) -> bool:
        board.fail(call.ident, "no_echo", "nothing that was sent came back: is there 12 V?")
        return True

    board.on_call = on_call
    result = run("scan")
    assert result.exit_code == 7 and "12 V" in result.stderr and result.stdout == ""
